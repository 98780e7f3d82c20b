package transformer

import (
	"fmt"
	"sync"

	"candor/engine/nn"
)

// worker is what one thread needs to carry chunks through a model.
type worker struct {
	tape  nn.Tape
	chunk chunk
}

// workers lends a worker to each thread that has a shard. Which one a shard gets does not matter: workers hold scratch only.
type workers struct {
	mu   sync.Mutex
	idle []*worker
}

func (w *workers) take() *worker {
	w.mu.Lock()
	defer w.mu.Unlock()
	if n := len(w.idle); n > 0 {
		last := w.idle[n-1]
		w.idle = w.idle[:n-1]
		return last
	}
	return &worker{}
}

func (w *workers) put(x *worker) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.idle = append(w.idle, x)
}

// hook receives hidden states; see [Scorer].
type hook func(name string, seq int, rows []float32, width int)

// forward carries the worker's chunk through m, whose matrices are packed in mats, and returns the logits of the weighted
// rows [len(chunk.rows),vocab]. grads are the views of a gradient buffer, or nil when there is nothing to train. With h set every row is carried to the end, so
// that h sees them all, and the tape's operations are the same otherwise.
func (w *worker) forward(m *Model, mats *Packed, grads *Weights, h hook) nn.Value {
	t, c, cfg := &w.tape, &w.chunk, m.Config
	width := cfg.Width
	t.Reset(grads != nil)
	if grads == nil {
		grads = &noGrads
	}
	p, g := &m.Weights, grads
	wte := t.Param(p.WTE, g.WTE, cfg.Vocab, width)
	wpe, shift := nn.None, nn.None
	if p.WPE != nil {
		wpe = t.Param(p.WPE, g.WPE, cfg.Context, width)
	}
	if p.Shift != nil {
		shift = t.Matrix(p.Shift, g.Shift, width, width, mats.Shift)
	}
	x := t.Embed(&c.ragged, wte, wpe, shift)
	w.show(h, -1, "hook_embed", x)
	for i := range p.Layers {
		x = w.block(m, &mats.Layers[i], grads, h, i, x)
	}
	vector := func(x, d []float32) nn.Value { return t.Param(x, d, 1, width) }
	x = t.LayerNorm(x, vector(p.FinalGain, g.FinalGain), vector(p.FinalBias, g.FinalBias))
	w.show(h, -1, "ln_final.hook_normalized", x)
	if t.Rows(x) != len(c.rows) {
		x = t.Gather(x, c.rows)
	}
	return t.MatMulT(x, t.Matrix(p.Head, g.Head, cfg.Vocab, width, mats.Head))
}

// noGrads stands for gradients where there are none to compute.
var noGrads Weights

// block is one layer: x + proj(attention(ln_1(x))), then y + mlp(ln_2(y)).
func (w *worker) block(m *Model, mats *PackedLayer, grads *Weights, h hook, i int, x nn.Value) nn.Value {
	t, c, width := &w.tape, &w.chunk, m.Config.Width
	p, g := &m.Weights.Layers[i], &noLayer
	if len(grads.Layers) > 0 {
		g = &grads.Layers[i]
	}
	w.show(h, i, "hook_resid_pre", x)
	y := t.LayerNorm(x, t.Param(p.Gain1, g.Gain1, 1, width), t.Param(p.Bias1, g.Bias1, 1, width))
	qkv := t.Linear(y, t.Matrix(p.QKV, g.QKV, width, 3*width, &mats.QKV), t.Param(p.QKVBias, g.QKVBias, 1, 3*width))
	positions := nn.None
	if p.Positions != nil {
		positions = t.Param(p.Positions, g.Positions, m.Config.Context, len(p.Positions)/m.Config.Context)
	}
	z := t.Attention(qkv, positions, m.attn, &c.ragged)
	w.showPattern(h, i)
	w.show(h, i, "attn.hook_z", z)
	if h == nil && i == len(m.Weights.Layers)-1 && len(c.rows) != t.Rows(x) {
		// From here on rows no longer look at one another: go on with those that predict something.
		z, x = t.Gather(z, c.rows), t.Gather(x, c.rows)
	}
	proj, projBias := t.Matrix(p.Proj, g.Proj, width, width, &mats.Proj), t.Param(p.ProjBias, g.ProjBias, 1, width)
	if h != nil {
		w.show(h, i, "hook_attn_out", t.Linear(z, proj, projBias))
	}
	x = t.LinearAdd(z, proj, projBias, x)
	w.show(h, i, "hook_resid_mid", x)
	y = t.LayerNorm(x, t.Param(p.Gain2, g.Gain2, 1, width), t.Param(p.Bias2, g.Bias2, 1, width))
	y = t.Linear(y, t.Matrix(p.FC, g.FC, width, 4*width, &mats.FC), t.Param(p.FCBias, g.FCBias, 1, 4*width))
	y = t.GELU(y)
	w.show(h, i, "mlp.hook_post", y)
	out, outBias := t.Matrix(p.FCProj, g.FCProj, 4*width, width, &mats.FCProj), t.Param(p.FCProjBias, g.FCProjBias, 1, width)
	if h != nil {
		w.show(h, i, "hook_mlp_out", t.Linear(y, out, outBias))
	}
	x = t.LinearAdd(y, out, outBias, x)
	w.show(h, i, "hook_resid_post", x)
	return x
}

var noLayer Layer

// show hands v to h, sequence by sequence.
func (w *worker) show(h hook, layer int, name string, v nn.Value) {
	if h == nil {
		return
	}
	r, width := &w.chunk.ragged, w.tape.Cols(v)
	for s := range r.Seqs() {
		h(hookName(layer, name), w.chunk.first+s, w.tape.Data(v)[int(r.Starts[s])*width:int(r.Starts[s+1])*width], width)
	}
}

// showPattern hands the attention patterns of the latest layer to h.
func (w *worker) showPattern(h hook, layer int) {
	if h == nil {
		return
	}
	r := &w.chunk.ragged
	w.tape.Patterns(func(s int, pattern []float32) {
		h(hookName(layer, "attn.hook_pattern"), w.chunk.first+s, pattern, int(r.Starts[s+1]-r.Starts[s]))
	})
}

func hookName(layer int, name string) string {
	if layer < 0 {
		return name
	}
	return fmt.Sprintf("blocks.%d.%s", layer, name)
}
