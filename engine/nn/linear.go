package nn

import (
	"fmt"

	"candor/engine/kernel"
)

// Epsilon is LayerNorm's, as in GPT-2.
const Epsilon = 1e-5

// LayerNorm normalises each row of x [rows,width] and applies gain and bias [1,width].
func (t *Tape) LayerNorm(x, gain, bias Value) Value {
	rows, width := t.nodes[x].rows, t.nodes[x].cols
	y := t.fresh(rows, width)
	stats := t.arena.Float32(2 * rows)
	kernel.LayerNorm(t.nodes[y].x, t.nodes[x].x, t.nodes[gain].x, t.nodes[bias].x, Epsilon, stats)
	return t.record(record{kind: opLayerNorm, x: x, y: y, w: gain, b: bias, aux: stats})
}

func (t *Tape) layerNormBackward(r *record) {
	dx := t.zeroedGrad(r.x)
	x, gain, bias := &t.nodes[r.x], &t.nodes[r.w], &t.nodes[r.b]
	kernel.LayerNormBackward(dx, gain.d, bias.d, t.nodes[r.y].d, x.x, gain.x, r.aux)
}

// Linear returns x w + b for x [rows,in], w [in,out] and b [1,out].
func (t *Tape) Linear(x, w, b Value) Value { return t.LinearAdd(x, w, b, None) }

// LinearAdd returns (res + b) + x w, the end of a residual branch; res [rows,out] is left as it is. Each number is one
// ascending chain over the inner dimension that starts from res + b.
func (t *Tape) LinearAdd(x, w, b, res Value) Value {
	rows, in, out := t.nodes[x].rows, t.nodes[x].cols, t.nodes[w].cols
	if t.nodes[w].rows != in || t.nodes[b].cols != out || res != None && (t.nodes[res].rows != rows || t.nodes[res].cols != out) {
		panic(fmt.Sprintf("nn: linear layer of [%d,%d] with weights [%d,%d]", rows, in, t.nodes[w].rows, out))
	}
	y := t.fresh(rows, out)
	start := kernel.Start{Bias: t.nodes[b].x}
	if res != None {
		start.D, start.LD = t.nodes[res].x, out
	}
	kernel.GemmPanels(false, rows, t.nodes[x].x, in, t.panels(w), t.nodes[y].x, out, start, &t.ws)
	return t.record(record{kind: opLinear, x: x, y: y, w: w, b: b, res: res})
}

// product sets the gradient dx [rows,cols], or adds to it if it holds something, to dy times the matrix.
func (t *Tape) product(rows int, dy []float32, inner int, matrix *kernel.Panels, dx []float32, cols int, holds bool) {
	var start kernel.Start
	if holds {
		start.D, start.LD = dx, cols
	}
	kernel.GemmPanels(false, rows, dy, inner, matrix, dx, cols, start, &t.ws)
}

func (t *Tape) linearBackward(r *record) {
	dx, holds := t.grad(r.x)
	x, y, w := &t.nodes[r.x], &t.nodes[r.y], &t.nodes[r.w]
	kernel.AddRows(t.nodes[r.b].d, y.d, y.rows, y.cols)
	kernel.Gemm(true, false, x.cols, y.cols, x.rows, x.x, x.cols, y.d, y.cols, w.d, y.cols, true, &t.ws)
	t.product(x.rows, y.d, y.cols, t.transposed(r.w), dx, x.cols, holds)
	if r.res == None {
		return
	}
	// The residual stream's gradient is handed on in place: nothing reads y's after this operation.
	if res := &t.nodes[r.res]; res.d == nil {
		res.d, res.owned = y.d, y.owned
		y.owned = false
	} else {
		kernel.Add(res.d, y.d)
	}
}

// GELU returns the tanh form of GELU (GPT-2's gelu_new) of each number of x.
func (t *Tape) GELU(x Value) Value {
	y := t.fresh(t.nodes[x].rows, t.nodes[x].cols)
	kernel.GELU(t.nodes[y].x, t.nodes[x].x)
	return t.record(record{kind: opGELU, x: x, y: y})
}

// geluBackward turns y's gradient into x's in place. x feeds nothing else in a GPT; if it does, the two are added.
func (t *Tape) geluBackward(r *record) {
	x, y := &t.nodes[r.x], &t.nodes[r.y]
	if x.d != nil || !y.owned {
		dx := t.zeroedGrad(r.x)
		part := t.scratch(len(dx))
		kernel.GELUBackward(part, x.x, y.d)
		kernel.Add(dx, part)
		t.release(part)
		return
	}
	kernel.GELUBackward(y.d, x.x, y.d)
	x.d, x.owned = y.d, true
	y.owned = false
}

// MatMulT returns x w^T for x [rows,width] and w [vocab,width]: the output head, tied or not.
func (t *Tape) MatMulT(x, w Value) Value {
	rows, width, vocab := t.nodes[x].rows, t.nodes[x].cols, t.nodes[w].rows
	if t.nodes[w].cols != width {
		panic(fmt.Sprintf("nn: head of width %d on rows of width %d", t.nodes[w].cols, width))
	}
	y := t.fresh(rows, vocab)
	kernel.GemmPanels(false, rows, t.nodes[x].x, width, t.transposed(w), t.nodes[y].x, vocab, kernel.Start{}, &t.ws)
	return t.record(record{kind: opMatMulT, x: x, y: y, w: w})
}

func (t *Tape) matMulTBackward(r *record) {
	dx, holds := t.grad(r.x)
	x, y, w := &t.nodes[r.x], &t.nodes[r.y], &t.nodes[r.w]
	kernel.Gemm(true, false, y.cols, x.cols, x.rows, y.d, y.cols, x.x, x.cols, w.d, x.cols, true, &t.ws)
	kernel.Gemm(false, false, x.rows, x.cols, y.cols, y.d, y.cols, w.x, x.cols, dx, x.cols, holds, &t.ws)
}
