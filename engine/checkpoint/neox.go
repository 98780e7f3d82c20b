package checkpoint

import (
	"fmt"
	"io"

	"candor/engine/nn"
	"candor/engine/tokenizer"
	"candor/engine/transformer"
)

// neoxConfig is the config.json of a GPTNeoXForCausalLM.
type neoxConfig struct {
	Architectures    []string `json:"architectures"`
	ModelType        string   `json:"model_type"`
	Activation       string   `json:"hidden_act"`
	VocabSize        int      `json:"vocab_size"`
	Positions        int      `json:"max_position_embeddings"`
	Width            int      `json:"hidden_size"`
	Inner            int      `json:"intermediate_size"`
	Layers           int      `json:"num_hidden_layers"`
	Heads            int      `json:"num_attention_heads"`
	Epsilon          float64  `json:"layer_norm_eps"`
	RotaryShare      float64  `json:"rotary_pct"`
	RotaryBase       float64  `json:"rotary_emb_base"`
	ParallelResidual bool     `json:"use_parallel_residual"`
	AttentionBias    bool     `json:"attention_bias"`
	Tie              bool     `json:"tie_word_embeddings"`
	HiddenDrop       float64  `json:"hidden_dropout"`
	AttnDrop         float64  `json:"attention_dropout"`
	BOS              *int32   `json:"bos_token_id"`
	EOS              *int32   `json:"eos_token_id"`
	TorchDType       string   `json:"torch_dtype"`
}

// writeNeoX writes the files of a GPTNeoXForCausalLM, the settings of its tokenizer apart.
func writeNeoX(w folder, c Checkpoint) error {
	m := c.Model.Config
	config := neoxConfig{
		Architectures: []string{"GPTNeoXForCausalLM"}, ModelType: "gpt_neox", Activation: activation,
		VocabSize: m.Vocab, Positions: m.Context, Width: m.Width, Inner: 4 * m.Width, Layers: m.Layers, Heads: m.Heads,
		Epsilon: epsilon, RotaryShare: 1, RotaryBase: nn.RotaryBase, AttentionBias: true, Tie: m.Tied, TorchDType: "float32",
	}
	if end, ok := c.Tokenizer.ID(tokenizer.End); ok {
		config.BOS, config.EOS = &end, &end
	}
	if err := writeJSON(w, configName, config); err != nil {
		return err
	}
	if err := writeJSON(w, tokenizerName, c.Tokenizer); err != nil {
		return err
	}
	return w.write(modelFile, func(out io.Writer) error { return writeTensors(out, neoxTensors(c.Model)) })
}

// neoxTensors returns a model's weights under GPT-NeoX's names, matrices as [out,in].
func neoxTensors(m *transformer.Model) []tensor {
	width, vocab := m.Config.Width, m.Config.Vocab
	var out []tensor
	vector := func(name string, data []float32) { out = append(out, tensor{name, []int{len(data)}, data}) }
	matrix := func(name string, data []float32, from, to int) {
		out = append(out, tensor{name, []int{to, from}, transposed(data, from, to)})
	}
	w := &m.Weights
	out = append(out, tensor{"gpt_neox.embed_in.weight", []int{vocab, width}, w.WTE})
	for i := range w.Layers {
		l, name := &w.Layers[i], fmt.Sprintf("gpt_neox.layers.%d.", i)
		vector(name+"input_layernorm.weight", l.Gain1)
		vector(name+"input_layernorm.bias", l.Bias1)
		matrix(name+"attention.query_key_value.weight", byHead(l.QKV, m.Config), width, 3*width)
		vector(name+"attention.query_key_value.bias", byHead(l.QKVBias, m.Config))
		matrix(name+"attention.dense.weight", l.Proj, width, width)
		vector(name+"attention.dense.bias", l.ProjBias)
		vector(name+"post_attention_layernorm.weight", l.Gain2)
		vector(name+"post_attention_layernorm.bias", l.Bias2)
		matrix(name+"mlp.dense_h_to_4h.weight", l.FC, width, 4*width)
		vector(name+"mlp.dense_h_to_4h.bias", l.FCBias)
		matrix(name+"mlp.dense_4h_to_h.weight", l.FCProj, 4*width, width)
		vector(name+"mlp.dense_4h_to_h.bias", l.FCProjBias)
	}
	vector("gpt_neox.final_layer_norm.weight", w.FinalGain)
	vector("gpt_neox.final_layer_norm.bias", w.FinalBias)
	if !m.Config.Tied {
		out = append(out, tensor{"embed_out.weight", []int{vocab, width}, w.Head})
	}
	return out
}

// byHead returns rows of all heads' queries, then all keys, then all values as rows of each head's query, key and value.
func byHead(rows []float32, c transformer.Config) []float32 {
	hw := c.HeadWidth()
	out := make([]float32, 0, len(rows))
	for at := 0; at < len(rows); at += 3 * c.Width {
		for h := range c.Heads {
			for part := range 3 {
				from := at + part*c.Width + h*hw
				out = append(out, rows[from:from+hw]...)
			}
		}
	}
	return out
}
