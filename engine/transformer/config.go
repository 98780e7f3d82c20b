// Package transformer is a decoder-only GPT: its parameters, its gradients and its predictions.
//
// The network is GPT-2's (Radford et al. 2019): pre-LayerNorm blocks, MLPs four times the width with the tanh form of GELU,
// weights stored [in,out], a head tied to the token embedding or not. Beyond GPT-2, each head chooses how it sees
// positions, and the embedding may be shifted (see [Config]).
//
// A [Model] keeps all parameters in one flat slice, and [Model.Tensors] names views into it as GPT-2 checkpoints do.
// [NewTrainer] gives gradients of any loss over rows of logits ([Loss]); [NewScorer] gives the logits alone, and hidden
// states at named hook points.
//
//	model, err := transformer.New(cfg, rng.New(seed).Split("init"))
//	trainer := transformer.NewTrainer(model, pool)
//	loss, err := trainer.Gradient(batch, transformer.CrossEntropy(1/weights))
//	opt.Step(model.Flat(), trainer.Grad)
//
// Batches are ragged: each [Sequence] has its own length, positions restart at 0 in each, and there is no padding. Work is
// spared wherever no weighted prediction depends on it: tokens after the last weighted prediction are not read, and after
// the last attention only the rows that predict something are carried on.
//
// A batch is cut into a fixed number of shards whose bounds depend on the batch alone. Their gradients are summed in a
// fixed order, so losses and gradients have the same bits for any number of threads.
package transformer

import (
	"fmt"
	"slices"
	"strings"

	"candor/engine/nn"
)

// The ways in which a head can see positions; see [Config].
const (
	Learned = "learned"
	Rotary  = "rotary"
	None    = "none"
)

// Config is the shape of a model.
//
// Positions has one entry for each head, or a single one for all. If every head is "learned", position vectors are added to
// the token embedding as in GPT-2 (tensor "wpe.weight" [context,width]). In a mixture, nothing is added to the embedding,
// which the "none" heads would see; instead each layer adds vectors to the queries and keys of its learned heads (tensor
// "h.i.attn.wpe" [context, 2 x learned heads x head width], queries' vectors first). "rotary" heads rotate queries and keys
// as GPT-NeoX does, with base 10000 over the whole head.
//
// TokenShift adds to each embedding a linear map of the previous token's embedding (tensor "shift.weight" [width,width]).
// Tied makes the token embedding the output head, too.
type Config struct {
	Layers     int      `yaml:"layers" json:"layers"`
	Heads      int      `yaml:"heads" json:"heads"`
	Width      int      `yaml:"width" json:"width"`
	Context    int      `yaml:"context" json:"context"` // longest input, in tokens
	Vocab      int      `yaml:"vocab" json:"vocab"`
	Positions  []string `yaml:"positions" json:"positions"`
	TokenShift bool     `yaml:"token_shift" json:"token_shift"`
	Tied       bool     `yaml:"tied" json:"tied"`
}

// Bounds keep a hostile config.json from asking for more memory than any machine has, and products from overflowing.
const (
	maxLayers     = 1 << 10
	maxWidth      = 1 << 16
	maxContext    = 1 << 20
	maxVocab      = 1 << 22
	maxParameters = 1 << 31
)

// Validate says which setting is not possible and what would be.
func (c Config) Validate() error {
	for _, f := range []struct {
		name       string
		value, max int
	}{
		{"layers", c.Layers, maxLayers}, {"heads", c.Heads, maxWidth}, {"width", c.Width, maxWidth},
		{"context", c.Context, maxContext}, {"vocab", c.Vocab, maxVocab},
	} {
		if f.value < 1 || f.value > f.max {
			return fmt.Errorf("%s is %d: choose 1 to %d", f.name, f.value, f.max)
		}
	}
	if c.Width%c.Heads != 0 {
		return fmt.Errorf("width %d is not divisible by %d heads", c.Width, c.Heads)
	}
	if n := len(c.Positions); n != 1 && n != c.Heads {
		return fmt.Errorf("positions has %d entries: give one for all heads or one for each of the %d", n, c.Heads)
	}
	for _, p := range c.Positions {
		if p != Learned && p != Rotary && p != None {
			return fmt.Errorf("positions has %q: choose from %s", p, strings.Join([]string{Learned, Rotary, None}, ", "))
		}
		if p == Rotary && c.HeadWidth()%2 != 0 {
			return fmt.Errorf("rotary positions need heads of even width: width %d over %d heads gives %d", c.Width, c.Heads, c.HeadWidth())
		}
	}
	if n := c.Parameters(); n > maxParameters {
		return fmt.Errorf("the model would have %d parameters: at most %d are possible", n, maxParameters)
	}
	return nil
}

// HeadWidth returns the width of one head.
func (c Config) HeadWidth() int { return c.Width / c.Heads }

// HeadPositions returns one entry of Positions for each head.
func (c Config) HeadPositions() []string {
	if len(c.Positions) == 1 {
		return slices.Repeat(c.Positions, c.Heads)
	}
	return slices.Clone(c.Positions)
}

// LearnedHeads returns how many heads have learned positions.
func (c Config) LearnedHeads() int {
	n := 0
	for _, p := range c.HeadPositions() {
		if p == Learned {
			n++
		}
	}
	return n
}

// EmbedsPositions says whether position vectors are added to the token embedding, as in GPT-2: all heads are learned.
func (c Config) EmbedsPositions() bool { return c.LearnedHeads() == c.Heads }

// Attention describes the model's attention layers for package nn.
func (c Config) Attention() *nn.Attention {
	positions := make([]nn.Position, c.Heads)
	for h, p := range c.HeadPositions() {
		switch {
		case p == Rotary:
			positions[h] = nn.Rotary
		case p == Learned && !c.EmbedsPositions():
			positions[h] = nn.Learned
		}
	}
	return nn.NewAttention(c.HeadWidth(), c.Context, positions)
}

// Parameters returns the number of parameters.
func (c Config) Parameters() int {
	n := 0
	for _, s := range c.layout() {
		n += s.size()
	}
	return n
}

// shape is a tensor's name and dimensions.
type shape struct {
	name string
	dims []int
}

func (s shape) size() int {
	n := 1
	for _, d := range s.dims {
		n *= d
	}
	return n
}

// layout lists the tensors in the order in which they lie in Model.Flat.
func (c Config) layout() []shape {
	w := c.Width
	list := []shape{{"wte.weight", []int{c.Vocab, w}}}
	if c.EmbedsPositions() {
		list = append(list, shape{"wpe.weight", []int{c.Context, w}})
	}
	if c.TokenShift {
		list = append(list, shape{"shift.weight", []int{w, w}})
	}
	for i := range c.Layers {
		h := fmt.Sprintf("h.%d.", i)
		list = append(list,
			shape{h + "ln_1.weight", []int{w}}, shape{h + "ln_1.bias", []int{w}},
			shape{h + "attn.c_attn.weight", []int{w, 3 * w}}, shape{h + "attn.c_attn.bias", []int{3 * w}})
		if n := c.LearnedHeads(); n > 0 && !c.EmbedsPositions() {
			list = append(list, shape{h + "attn.wpe", []int{c.Context, 2 * n * c.HeadWidth()}})
		}
		list = append(list,
			shape{h + "attn.c_proj.weight", []int{w, w}}, shape{h + "attn.c_proj.bias", []int{w}},
			shape{h + "ln_2.weight", []int{w}}, shape{h + "ln_2.bias", []int{w}},
			shape{h + "mlp.c_fc.weight", []int{w, 4 * w}}, shape{h + "mlp.c_fc.bias", []int{4 * w}},
			shape{h + "mlp.c_proj.weight", []int{4 * w, w}}, shape{h + "mlp.c_proj.bias", []int{w}})
	}
	list = append(list, shape{"ln_f.weight", []int{w}}, shape{"ln_f.bias", []int{w}})
	if !c.Tied {
		list = append(list, shape{"lm_head.weight", []int{c.Vocab, w}})
	}
	return list
}
