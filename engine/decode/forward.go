package decode

import (
	"candor/engine/kernel"
	"candor/engine/nn"
)

// matrix is a reused row-major buffer.
type matrix []float32

// rows returns the buffer with room for n numbers, of any value.
func (m *matrix) rows(n int) []float32 {
	if cap(*m) < n {
		*m = make([]float32, n)
	}
	return (*m)[:n]
}

// input is the token that one row carries through the model.
type input struct {
	token int32
	prev  int32 // the token before it in its text, -1 at the beginning
	pos   int32
}

// forward carries w.inputs through the model. attend computes attention of one layer from w.qkv to w.z and stores keys and
// values. The logits [len(keep),vocab] of the rows in keep are returned; nil keeps all. They live until the next call.
//
// The operations and their order are those of transformer's forward pass; that is why the bits are the same.
func (w *worker) forward(attend func(w *worker, layer int), keep []int32) []float32 {
	m, mats := w.s.model, w.s.packed
	cfg, p := m.Config, &m.Weights
	n, width := len(w.inputs), cfg.Width
	w.x, w.y = w.bufX.rows(n*width), w.bufY.rows(n*width)
	w.z, w.qkv = w.bufZ.rows(n*width), w.bufQKV.rows(n*3*width)
	w.embed()
	for l := range p.Layers {
		layer := &p.Layers[l]
		w.normalise(n, layer.Gain1, layer.Bias1)
		w.linear(w.qkv, w.y, &mats.Layers[l].QKV, layer.QKVBias, n, width, 3*width)
		for i, in := range w.inputs {
			w.attn.Place(w.qkv[i*3*width:(i+1)*3*width], int(in.pos), layer.Positions)
		}
		attend(w, l)
		if l == len(p.Layers)-1 && keep != nil {
			for i, row := range keep { // keep ascends, so nothing is overwritten before it is read
				copy(w.x[i*width:(i+1)*width], w.x[int(row)*width:])
				copy(w.z[i*width:(i+1)*width], w.z[int(row)*width:])
			}
			n = len(keep)
		}
		w.residual(w.x, w.z, &mats.Layers[l].Proj, layer.ProjBias, n, width, width)
		w.normalise(n, layer.Gain2, layer.Bias2)
		hidden := w.bufHidden.rows(n * 4 * width)
		w.linear(hidden, w.y, &mats.Layers[l].FC, layer.FCBias, n, width, 4*width)
		kernel.GELU(hidden, hidden)
		w.residual(w.x, hidden, &mats.Layers[l].FCProj, layer.FCProjBias, n, 4*width, width)
	}
	w.normalise(n, p.FinalGain, p.FinalBias)
	logits := w.bufLogits.rows(n * cfg.Vocab)
	kernel.GemmPanels(false, n, w.y, width, mats.Head.Transposed(), logits, cfg.Vocab, kernel.Start{}, &w.ws)
	return logits
}

// embed fills w.x.
func (w *worker) embed() {
	cfg, p := w.s.model.Config, &w.s.model.Weights
	width := cfg.Width
	for i, in := range w.inputs {
		row := w.x[i*width : (i+1)*width]
		copy(row, p.WTE[int(in.token)*width:])
		if p.WPE != nil {
			kernel.Add(row, p.WPE[int(in.pos)*width:(int(in.pos)+1)*width])
		}
	}
	if p.Shift == nil {
		return
	}
	for i, in := range w.inputs {
		row := w.y[i*width : (i+1)*width]
		if in.prev < 0 {
			clear(row)
		} else {
			copy(row, p.WTE[int(in.prev)*width:])
		}
	}
	n := len(w.inputs)
	kernel.GemmPanels(false, n, w.y, width, w.s.packed.Shift.Panels(), w.x, width, kernel.Start{D: w.x, LD: width}, &w.ws)
}

// normalise sets the first n rows of w.y to the LayerNorm of those of w.x.
func (w *worker) normalise(n int, gain, bias []float32) {
	size := n * len(gain)
	kernel.LayerNorm(w.y[:size], w.x[:size], gain, bias, nn.Epsilon, w.bufStats.rows(2*n))
}

// linear sets dst [n,to] to src [n,from] times weights [from,to] plus bias.
func (w *worker) linear(dst, src []float32, weights *nn.Packed, bias []float32, n, from, to int) {
	kernel.GemmPanels(false, n, src, from, weights.Panels(), dst, to, kernel.Start{Bias: bias}, &w.ws)
}

// residual adds src [n,from] times weights [from,to] and bias to dst [n,to].
func (w *worker) residual(dst, src []float32, weights *nn.Packed, bias []float32, n, from, to int) {
	kernel.GemmPanels(false, n, src, from, weights.Panels(), dst, to, kernel.Start{D: dst, LD: to, Bias: bias}, &w.ws)
}
