package main

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"candor/engine/checkpoint"
)

// reference is GPT2LMHeadModel or GPTNeoXForCausalLM as transformers defines them, computed plainly in float64 from the files
// of a folder. It knows their names and layouts, and nothing of candor's engine.
type reference struct {
	neox                                  bool
	layers, heads, width, context, vocab  int
	epsilon, base                         float64
	tied                                  bool
	weights                               map[string]array
	gelu                                  func(float64) float64
	names                                 map[string]string // of the parts of a block
	embedding, positions, lastNorm, final string
}

// array is a tensor of a safetensors file.
type array struct {
	shape []int
	data  []float64
}

// readReference reads a folder. It demands that the configuration says what the arithmetic below does.
func readReference(t *testing.T, dir string) *reference {
	t.Helper()
	var c map[string]any
	data, err := os.ReadFile(filepath.Join(dir, "config.json"))
	if err == nil {
		err = json.Unmarshal(data, &c)
	}
	if err != nil {
		t.Fatal(err)
	}
	number := func(key string) int { n, _ := c[key].(float64); return int(n) }
	demand := func(key string, want any) {
		if c[key] != want {
			t.Fatalf("config.json: %s is %v, want %v", key, c[key], want)
		}
	}
	r := &reference{vocab: number("vocab_size"), weights: readSafetensors(t, filepath.Join(dir, "model.safetensors")), gelu: geluTanh}
	r.tied, _ = c["tie_word_embeddings"].(bool)
	switch kind := fmt.Sprint(c["architectures"]); kind {
	case "[GPT2LMHeadModel]":
		demand("model_type", "gpt2")
		demand("activation_function", "gelu_new")
		demand("scale_attn_weights", true)
		demand("scale_attn_by_inverse_layer_idx", false)
		demand("n_inner", nil)
		r.layers, r.heads, r.width, r.context = number("n_layer"), number("n_head"), number("n_embd"), number("n_positions")
		r.epsilon = c["layer_norm_epsilon"].(float64)
		r.embedding, r.positions, r.lastNorm, r.final = "transformer.wte.weight", "transformer.wpe.weight", "transformer.ln_f", "lm_head.weight"
		r.names = map[string]string{"block": "transformer.h.%d.", "norm1": "ln_1", "qkv": "attn.c_attn", "dense": "attn.c_proj",
			"norm2": "ln_2", "up": "mlp.c_fc", "down": "mlp.c_proj"}
	case "[GPTNeoXForCausalLM]":
		demand("model_type", "gpt_neox")
		demand("hidden_act", "gelu_new")
		demand("use_parallel_residual", false)
		demand("attention_bias", true)
		demand("rotary_pct", 1.0)
		r.neox, r.base = true, c["rotary_emb_base"].(float64)
		r.layers, r.heads, r.width, r.context = number("num_hidden_layers"), number("num_attention_heads"), number("hidden_size"), number("max_position_embeddings")
		demand("intermediate_size", float64(4*r.width))
		r.epsilon = c["layer_norm_eps"].(float64)
		r.embedding, r.lastNorm, r.final = "gpt_neox.embed_in.weight", "gpt_neox.final_layer_norm", "embed_out.weight"
		r.names = map[string]string{"block": "gpt_neox.layers.%d.", "norm1": "input_layernorm", "qkv": "attention.query_key_value",
			"dense": "attention.dense", "norm2": "post_attention_layernorm", "up": "mlp.dense_h_to_4h", "down": "mlp.dense_4h_to_h"}
	default:
		t.Fatalf("config.json: architectures is %s", kind)
	}
	if r.tied {
		r.final = r.embedding
	}
	want := 1 + 12*r.layers + 2 // embedding, blocks, last norm
	if !r.neox {
		want++
	}
	if !r.tied {
		want++
	}
	if len(r.weights) != want {
		t.Fatalf("model.safetensors has %d tensors, want %d", len(r.weights), want)
	}
	return r
}

func readSafetensors(t *testing.T, path string) map[string]array {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	n := binary.LittleEndian.Uint64(data)
	var header map[string]struct {
		DType   string `json:"dtype"`
		Shape   []int  `json:"shape"`
		Offsets [2]int `json:"data_offsets"`
		Format  string `json:"format"`
	}
	if err := json.Unmarshal(data[8:8+n], &header); err != nil {
		t.Fatal(err)
	}
	if header["__metadata__"].Format != "pt" {
		t.Fatal("the metadata do not say format pt, without which transformers refuse the file")
	}
	delete(header, "__metadata__")
	out := map[string]array{}
	for name, e := range header {
		if e.DType != "F32" {
			t.Fatalf("%s is %s", name, e.DType)
		}
		raw := data[8+int(n):][e.Offsets[0]:e.Offsets[1]]
		out[name] = array{e.Shape, floats(raw)}
	}
	return out
}

func floats(raw []byte) []float64 {
	out := make([]float64, len(raw)/4)
	for i := range out {
		out[i] = float64(math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:])))
	}
	return out
}

// get returns a tensor, which must have the shape.
func (r *reference) get(name string, shape ...int) []float64 {
	a, ok := r.weights[name]
	if !ok || !slices.Equal(a.shape, shape) {
		panic(fmt.Sprintf("tensor %s has shape %v, want %v", name, a.shape, shape))
	}
	return a.data
}

// part returns the name of a part of block i.
func (r *reference) part(i int, name string) string {
	return fmt.Sprintf(r.names["block"], i) + r.names[name]
}

// logits returns the logits after each token.
func (r *reference) logits(ids []int32) [][]float64 {
	x := make([][]float64, len(ids))
	for t, id := range ids {
		x[t] = slices.Clone(r.get(r.embedding, r.vocab, r.width)[int(id)*r.width:][:r.width])
		if !r.neox {
			add(x[t], r.get(r.positions, r.context, r.width)[t*r.width:])
		}
	}
	for i := range r.layers {
		for t, z := range r.attention(i, x) {
			add(x[t], r.linear(r.part(i, "dense"), z, r.width))
		}
		for t := range x {
			y := r.linear(r.part(i, "up"), r.norm(r.part(i, "norm2"), x[t]), 4*r.width)
			for j := range y {
				y[j] = r.gelu(y[j])
			}
			add(x[t], r.linear(r.part(i, "down"), y, r.width))
		}
	}
	out := make([][]float64, len(ids))
	head := r.get(r.final, r.vocab, r.width)
	for t := range x {
		y := r.norm(r.lastNorm, x[t])
		for id := range r.vocab {
			out[t] = append(out[t], dot(head[id*r.width:][:r.width], y))
		}
	}
	return out
}

// attention returns the heads' outputs side by side, for each token.
func (r *reference) attention(i int, x [][]float64) [][]float64 {
	hw := r.width / r.heads
	q, k, v := make([][]float64, len(x)), make([][]float64, len(x)), make([][]float64, len(x))
	for t := range x {
		qkv := r.linear(r.part(i, "qkv"), r.norm(r.part(i, "norm1"), x[t]), 3*r.width)
		if !r.neox {
			q[t], k[t], v[t] = qkv[:r.width], qkv[r.width:2*r.width], qkv[2*r.width:]
			continue
		}
		for h := range r.heads {
			own := qkv[3*hw*h:]
			q[t] = append(q[t], r.rotated(own[:hw], t)...)
			k[t] = append(k[t], r.rotated(own[hw:2*hw], t)...)
			v[t] = append(v[t], own[2*hw:3*hw]...)
		}
	}
	z := make([][]float64, len(x))
	for t := range x {
		z[t] = make([]float64, r.width)
		for h := range r.heads {
			var scores []float64
			for s := range t + 1 {
				scores = append(scores, dot(q[t][h*hw:][:hw], k[s][h*hw:])/math.Sqrt(float64(hw)))
			}
			for s, lp := range logSoftmax(scores) {
				for j := range hw {
					z[t][h*hw+j] += math.Exp(lp) * v[s][h*hw+j]
				}
			}
		}
	}
	return z
}

// rotated is x cos + rotate_half(x) sin.
func (r *reference) rotated(x []float64, position int) []float64 {
	half := len(x) / 2
	out := make([]float64, len(x))
	for j := range x {
		angle := float64(position) / math.Pow(r.base, 2*float64(j%half)/float64(len(x)))
		other := -x[(j+half)%len(x)]
		if j >= half {
			other = x[j-half]
		}
		out[j] = x[j]*math.Cos(angle) + other*math.Sin(angle)
	}
	return out
}

func (r *reference) norm(name string, x []float64) []float64 {
	gain, bias := r.get(name+".weight", r.width), r.get(name+".bias", r.width)
	mean, variance := 0.0, 0.0
	for _, v := range x {
		mean += v / float64(len(x))
	}
	for _, v := range x {
		variance += (v - mean) * (v - mean) / float64(len(x))
	}
	out := make([]float64, len(x))
	for j, v := range x {
		out[j] = (v-mean)/math.Sqrt(variance+r.epsilon)*gain[j] + bias[j]
	}
	return out
}

// linear is GPT-2's Conv1D, whose weights are [in,out], or GPT-NeoX's Linear, whose are [out,in].
func (r *reference) linear(name string, x []float64, out int) []float64 {
	y := slices.Clone(r.get(name+".bias", out))
	if r.neox {
		w := r.get(name+".weight", out, len(x))
		for j := range y {
			y[j] += dot(w[j*len(x):][:len(x)], x)
		}
		return y
	}
	w := r.get(name+".weight", len(x), out)
	for i, v := range x {
		for j := range y {
			y[j] += v * w[i*out+j]
		}
	}
	return y
}

func add(x, y []float64) {
	for i := range x {
		x[i] += y[i]
	}
}

// dot takes the length from x.
func dot(x, y []float64) (sum float64) {
	for i, v := range x {
		sum += v * y[i]
	}
	return sum
}

// geluTanh is gelu_new.
func geluTanh(x float64) float64 {
	return 0.5 * x * (1 + math.Tanh(math.Sqrt(2/math.Pi)*(x+0.044715*x*x*x)))
}

// geluHalf is what llama.cpp has on processors: gelu_new looked up in a table of float16 by a float16.
func geluHalf(x float64) float64 {
	switch {
	case x <= -10:
		return 0
	case x >= 10:
		return x
	}
	return half(geluTanh(half(x)))
}

// half rounds to the nearest float16.
func half(x float64) float64 {
	_, exponent := math.Frexp(x)
	step := math.Ldexp(1, max(exponent, -13)-11)
	return math.RoundToEven(x/step) * step
}

// The folder that export writes holds what transformers need to compute what candor computes.
func TestHuggingFaceForward(t *testing.T) {
	for _, q := range questions(t) {
		c, dir := q.model, filepath.Join(t.TempDir(), "model")
		if err := checkpoint.ExportHF(dir, c); err != nil {
			t.Fatal(err)
		}
		r := readReference(t, dir)
		if family, err := checkpoint.FamilyOf(c.Model.Config); err != nil || r.neox != (family == checkpoint.GPTNeoX) {
			t.Errorf("%s is %s (%v)", q.name, family, err)
		}
		worst := 0.0
		for _, ids := range q.Sequences {
			want := scored(t, c.Model, ids)
			for pos, logits := range r.logits(ids) {
				for id, lp := range logSoftmax(logits) {
					worst = max(worst, math.Abs(lp-want[pos][id]))
				}
			}
		}
		if !(worst <= 1e-4) {
			t.Errorf("%s: log-probabilities differ by %g", q.name, worst)
		}
		if !r.neox {
			// a GPT-2 is read back, too
			back, err := checkpoint.Load(dir)
			if err != nil || !slices.Equal(back.Model.Flat(), c.Model.Flat()) {
				t.Errorf("%s is not read back (%v)", q.name, err)
			}
		}
	}
}
