package transformer

import (
	"fmt"
	"math"
	"strings"

	"candor/engine/nn"
	"candor/internal/rng"
)

// Tensor is a named parameter, row-major. Data is a view, not a copy.
type Tensor struct {
	Name  string
	Shape []int
	Data  []float32
}

// Weights are a model's parameters by role; all are views into one flat slice. Those that the model lacks are nil.
type Weights struct {
	WTE       []float32 // [vocab,width]
	WPE       []float32 // [context,width], if all heads have learned positions
	Shift     []float32 // [width,width], with token shift
	Layers    []Layer
	FinalGain []float32 // [width]
	FinalBias []float32 // [width]
	Head      []float32 // [vocab,width]: WTE itself if tied
}

// Layer holds the parameters of one block; weights are [in,out].
type Layer struct {
	Gain1, Bias1       []float32 // LayerNorm before attention, [width]
	QKV, QKVBias       []float32 // [width,3*width], [3*width]
	Positions          []float32 // [context, 2 x learned heads x head width], in a mixture with learned heads
	Proj, ProjBias     []float32 // [width,width], [width]
	Gain2, Bias2       []float32 // LayerNorm before the MLP, [width]
	FC, FCBias         []float32 // [width,4*width], [4*width]
	FCProj, FCProjBias []float32 // [4*width,width], [width]
}

// Model is a GPT. Reading it (training included, which only reads) is safe from several goroutines; updating is not.
type Model struct {
	Config  Config
	Weights Weights
	flat    []float32
	tensors []Tensor
	attn    *nn.Attention
}

// New returns a model with random weights drawn from src.
//
// Matrices are normal with standard deviation 1/sqrt(numbers in), so that a layer keeps the size of what it is given; the
// two projections that end a residual branch are divided by sqrt(2 x layers), as GPT-2's are. Embeddings, position vectors,
// shift and head have 1/sqrt(width). Gains are 1, biases 0. Each tensor has its own stream, named after it.
//
// GPT-2's own constant, 0.02, suits a width of 768 and stalls small models: on sums of 2-4 digits modulo 5, 7 or 9 (one
// layer of width 48, 1,000 steps of 128, one or two seeds) the training loss ended at 1.5 with it, at .97 with half of the
// above, at .69 with the above, at .9 with embeddings twice as large and at 1.1 with matrices half as large again.
func New(cfg Config, src rng.Source) (*Model, error) {
	m, err := Zero(cfg)
	if err != nil {
		return nil, err
	}
	for _, t := range m.tensors {
		if len(t.Shape) == 1 {
			if strings.HasSuffix(t.Name, ".weight") { // a LayerNorm's gain
				for i := range t.Data {
					t.Data[i] = 1
				}
			}
			continue
		}
		fan := cfg.Width
		if strings.HasSuffix(t.Name, "mlp.c_proj.weight") {
			fan = 4 * cfg.Width
		}
		std := 1 / math.Sqrt(float64(fan))
		if strings.HasSuffix(t.Name, "c_proj.weight") {
			std /= math.Sqrt(2 * float64(cfg.Layers))
		}
		stream := src.Split(t.Name)
		for i := range t.Data {
			t.Data[i] = float32(std * stream.Norm())
		}
	}
	return m, nil
}

// Zero returns a model whose parameters are all zero, to be filled through Tensors or Flat.
func Zero(cfg Config) (*Model, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("make a transformer: %w", err)
	}
	cfg.Positions = append([]string(nil), cfg.Positions...)
	m := &Model{Config: cfg, flat: make([]float32, cfg.Parameters()), attn: cfg.Attention()}
	at := 0
	for _, s := range cfg.layout() {
		m.tensors = append(m.tensors, Tensor{Name: s.name, Shape: s.dims, Data: m.flat[at : at+s.size() : at+s.size()]})
		at += s.size()
	}
	m.Weights = cfg.views(m.flat)
	return m, nil
}

// Tensors returns the named parameters in a fixed order, that of Flat. They are views: writing to them changes the model.
func (m *Model) Tensors() []Tensor { return append([]Tensor(nil), m.tensors...) }

// Flat returns all parameters in one slice, the memory of the model itself.
func (m *Model) Flat() []float32 { return m.flat }

// Attention returns the description of the attention layers.
func (m *Model) Attention() *nn.Attention { return m.attn }

// Clone returns a copy that shares no parameters with m.
func (m *Model) Clone() *Model {
	c, err := Zero(m.Config)
	if err != nil {
		panic("transformer: a model with an impossible configuration: " + err.Error())
	}
	copy(c.flat, m.flat)
	return c
}

// Decayed returns the ranges [start,end) of Flat that hold matrices, which weight decay shrinks; gains and biases are left
// alone. The ranges ascend and do not touch.
func (m *Model) Decayed() [][2]int {
	var ranges [][2]int
	at := 0
	for _, t := range m.tensors {
		end := at + len(t.Data)
		if len(t.Shape) > 1 {
			if n := len(ranges); n > 0 && ranges[n-1][1] == at {
				ranges[n-1][1] = end
			} else {
				ranges = append(ranges, [2]int{at, end})
			}
		}
		at = end
	}
	return ranges
}

// views cuts flat, of Parameters() numbers, into tensors by role. It serves parameters and gradients alike.
func (c Config) views(flat []float32) Weights {
	byName := map[string][]float32{}
	at := 0
	for _, s := range c.layout() {
		byName[s.name] = flat[at : at+s.size() : at+s.size()]
		at += s.size()
	}
	w := Weights{
		WTE: byName["wte.weight"], WPE: byName["wpe.weight"], Shift: byName["shift.weight"],
		FinalGain: byName["ln_f.weight"], FinalBias: byName["ln_f.bias"], Head: byName["lm_head.weight"],
	}
	if c.Tied {
		w.Head = w.WTE
	}
	for i := range c.Layers {
		get := func(name string) []float32 { return byName[fmt.Sprintf("h.%d.%s", i, name)] }
		w.Layers = append(w.Layers, Layer{
			Gain1: get("ln_1.weight"), Bias1: get("ln_1.bias"),
			QKV: get("attn.c_attn.weight"), QKVBias: get("attn.c_attn.bias"),
			Positions: get("attn.wpe"),
			Proj:      get("attn.c_proj.weight"), ProjBias: get("attn.c_proj.bias"),
			Gain2: get("ln_2.weight"), Bias2: get("ln_2.bias"),
			FC: get("mlp.c_fc.weight"), FCBias: get("mlp.c_fc.bias"),
			FCProj: get("mlp.c_proj.weight"), FCProjBias: get("mlp.c_proj.bias"),
		})
	}
	return w
}
