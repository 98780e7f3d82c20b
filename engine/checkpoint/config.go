package checkpoint

import (
	"bytes"
	"encoding/json"
	"fmt"

	"candor/engine/tokenizer"
	"candor/engine/transformer"
)

// configFile is config.json: the keys of Hugging Face's GPT2Config, and under "candor" what GPT-2 lacks.
type configFile struct {
	Architectures      []string    `json:"architectures"`
	ModelType          string      `json:"model_type"`
	ActivationFunction string      `json:"activation_function"`
	VocabSize          int         `json:"vocab_size"`
	Positions          int         `json:"n_positions"`
	Embd               int         `json:"n_embd"`
	Layer              int         `json:"n_layer"`
	Head               int         `json:"n_head"`
	Inner              *int        `json:"n_inner"`
	LayerNormEpsilon   *float64    `json:"layer_norm_epsilon"`
	Tie                *bool       `json:"tie_word_embeddings"`
	ScaleAttention     *bool       `json:"scale_attn_weights"`
	ScaleByLayer       *bool       `json:"scale_attn_by_inverse_layer_idx"`
	EmbdDrop           float64     `json:"embd_pdrop"`
	AttnDrop           float64     `json:"attn_pdrop"`
	ResidDrop          float64     `json:"resid_pdrop"`
	BOS                *int32      `json:"bos_token_id"`
	EOS                *int32      `json:"eos_token_id"`
	TorchDType         string      `json:"torch_dtype"`
	Candor             *candorPart `json:"candor,omitempty"`
}

type candorPart struct {
	Positions  []string `json:"positions"`
	TokenShift bool     `json:"token_shift"`
}

// The two kinds of model_type and their architectures.
const (
	gpt2Type, gpt2Architecture     = "gpt2", "GPT2LMHeadModel"
	candorType, candorArchitecture = "candor", "CandorLMHeadModel"
)

const (
	activation = "gelu_new"
	epsilon    = 1e-5
)

// The largest sizes that config.json may name. They keep the arithmetic on sizes from overflowing; what is allocated is
// bounded by the weights that are really there.
const (
	maxSize   = 1 << 20
	maxLayers = 1 << 10
	// Positions that are not learned take no weights, but tables in memory.
	maxTable = 1 << 16
)

// isGPT2 says whether GPT-2's own code computes the same function: learned positions everywhere and no token shift.
func isGPT2(c transformer.Config) bool {
	return c.EmbedsPositions() && !c.TokenShift
}

func encodeConfig(c transformer.Config, tok *tokenizer.Tokenizer) ([]byte, error) {
	yes, no, eps := true, false, epsilon
	f := configFile{
		Architectures: []string{gpt2Architecture}, ModelType: gpt2Type, ActivationFunction: activation,
		VocabSize: c.Vocab, Positions: c.Context, Embd: c.Width, Layer: c.Layers, Head: c.Heads,
		LayerNormEpsilon: &eps, Tie: &c.Tied, ScaleAttention: &yes, ScaleByLayer: &no, TorchDType: "float32",
	}
	if end, ok := tok.ID(tokenizer.End); ok {
		f.BOS, f.EOS = &end, &end
	}
	if !isGPT2(c) {
		f.Architectures, f.ModelType = []string{candorArchitecture}, candorType
		f.Candor = &candorPart{Positions: c.Positions, TokenShift: c.TokenShift}
	}
	return encodeJSON(f)
}

// decodeConfig reads a config.json. It refuses models that the transformer package would compute differently.
func decodeConfig(data []byte) (transformer.Config, error) {
	var none transformer.Config
	var f configFile
	if err := json.Unmarshal(data, &f); err != nil {
		return none, fmt.Errorf("no valid model configuration: %w", err)
	}
	switch {
	case f.ModelType != gpt2Type && f.ModelType != candorType:
		return none, fmt.Errorf("model_type is %s, candor reads %q and %q", shown(f.ModelType), candorType, gpt2Type)
	case f.ModelType == candorType && f.Candor == nil:
		return none, fmt.Errorf("model_type is %q but the key \"candor\" with positions and token_shift is missing", candorType)
	case f.ModelType == gpt2Type && f.Candor != nil:
		return none, fmt.Errorf("model_type is %q but there is a key \"candor\", which GPT-2 does not have", gpt2Type)
	case f.ActivationFunction != activation:
		return none, fmt.Errorf("activation_function is %s, candor computes %q", shown(f.ActivationFunction), activation)
	case f.LayerNormEpsilon != nil && *f.LayerNormEpsilon != epsilon:
		return none, fmt.Errorf("layer_norm_epsilon is %g, candor computes with %g", *f.LayerNormEpsilon, epsilon)
	case f.ScaleAttention != nil && !*f.ScaleAttention:
		return none, fmt.Errorf("scale_attn_weights is false, candor computes with true")
	case f.ScaleByLayer != nil && *f.ScaleByLayer:
		return none, fmt.Errorf("scale_attn_by_inverse_layer_idx is true, candor computes with false")
	}
	for _, size := range []struct {
		name      string
		value, to int
	}{
		{"vocab_size", f.VocabSize, maxSize}, {"n_positions", f.Positions, maxSize}, {"n_embd", f.Embd, maxSize},
		{"n_layer", f.Layer, maxLayers}, {"n_head", f.Head, maxSize},
	} {
		if size.value < 1 || size.value > size.to {
			return none, fmt.Errorf("%s is %d, must be between 1 and %d", size.name, size.value, size.to)
		}
	}
	if f.Inner != nil && *f.Inner != 4*f.Embd {
		return none, fmt.Errorf("n_inner is %d, candor computes with 4 x n_embd = %d", *f.Inner, 4*f.Embd)
	}
	c := transformer.Config{
		Layers: f.Layer, Heads: f.Head, Width: f.Embd, Context: f.Positions, Vocab: f.VocabSize,
		Positions: []string{"learned"}, Tied: f.Tie == nil || *f.Tie,
	}
	if f.Candor != nil {
		c.Positions, c.TokenShift = f.Candor.Positions, f.Candor.TokenShift
	}
	if !c.EmbedsPositions() && c.Context > maxTable {
		return none, fmt.Errorf("n_positions is %d, must be between 1 and %d for a model whose positions are not all learned", c.Context, maxTable)
	}
	if err := c.Validate(); err != nil {
		return none, fmt.Errorf("no possible model: %w", err)
	}
	return c, nil
}

// encodeJSON writes v as indented JSON with a final line break and without escapes meant for HTML.
func encodeJSON(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}
