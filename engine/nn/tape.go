// Package nn records and differentiates the few fused operations of which a GPT is made.
//
// A [Tape] runs operations forward as they are called and, when it was reset for training, keeps one plain record of each;
// [Tape.Backward] walks the records in reverse. The operations are coarse (a whole attention layer is one), so a forward
// pass of a one-layer model is eight records and the tape itself costs nothing beside the arithmetic.
//
//	tape.Reset(true)
//	w := tape.Param(weights, gradient, in, out)       // gradients of parameters are added to what is there
//	x := tape.Embed(&ragged, wte, wpe, nn.None)       // [rows,width]
//	x = tape.Linear(x, w, bias)
//	logits := tape.Data(x)                            // overwrite with dLoss/dlogits ...
//	tape.Backward(x)                                  // ... and this fills all gradients
//
// Matrices are row-major float32. Sequences lie one behind the other without padding ([Ragged]); only [Tape.Embed] and
// [Tape.Attention] know where one ends. Every row's bits are independent of the other rows in the matrix: that is the
// promise of kernel.Gemm, and nothing here breaks it.
//
// Memory comes from the tape's arena and is valid until the next Reset. In a steady state, with batches no larger than
// those before, nothing is allocated. A tape is for one goroutine.
//
// Mismatched shapes are mistakes of the calling program and panic.
package nn

import (
	"fmt"

	"candor/engine/kernel"
	"candor/engine/tensor"
)

// Value is a handle on one matrix on a tape.
type Value int32

// None stands for an operand that the model does not have.
const None Value = -1

// node is a matrix and, during Backward, its gradient.
type node struct {
	x, d       []float32
	rows, cols int
	owned      bool // d may be recycled once the operation that made x has been differentiated
	packed     *Packed
}

// Packed is a parameter matrix w [rows,cols] in the orders in which products read it. Packing costs about as much as one
// product with a few rows, so that whoever uses the same weights in many batches packs them once.
type Packed struct {
	w, transposed kernel.Panels
}

// Pack packs w, which Linear reads forward and MatMulT backward.
func (p *Packed) Pack(w []float32, rows, cols int) { p.w.Pack(false, cols, rows, w, cols) }

// PackTransposed packs the transpose, which Linear reads backward and MatMulT forward.
func (p *Packed) PackTransposed(w []float32, rows, cols int) {
	p.transposed.Pack(true, rows, cols, w, cols)
}

// Panels returns w as Pack left it.
func (p *Packed) Panels() *kernel.Panels { return &p.w }

// Transposed returns the transpose of w as PackTransposed left it.
func (p *Packed) Transposed() *kernel.Panels { return &p.transposed }

type kind uint8

const (
	opEmbed kind = iota
	opLayerNorm
	opLinear
	opGELU
	opAttention
	opGather
	opMatMulT
)

// record is what the backward pass of one operation needs. Which fields are set depends on the kind.
type record struct {
	kind            kind
	x, y, w, b, res Value
	pos, shift      Value
	aux             []float32 // LayerNorm: mean, rstd per row; Embed: shifted embeddings; Attention: patterns
	rows            []int32
	ragged          *Ragged
	attn            *Attention
}

// Tape records operations. The zero value is ready for Reset.
type Tape struct {
	train    bool
	arena    tensor.Arena
	ws       kernel.Workspace
	nodes    []node
	records  []record
	free     [][]float32
	patterns record // of the latest attention
	own      Packed // of the latest matrix that came without
}

// Reset forgets everything, keeps the memory, and chooses whether the following operations are recorded for Backward.
func (t *Tape) Reset(train bool) {
	t.train = train
	t.arena.Reset()
	t.nodes = t.nodes[:0]
	t.records = t.records[:0]
	t.free = t.free[:0]
}

// Param puts a parameter matrix [rows,cols] on the tape. Backward adds its gradient to d, which may be nil if the tape is
// not for training. Vectors have rows 1.
func (t *Tape) Param(x, d []float32, rows, cols int) Value {
	if len(x) != rows*cols || t.train && len(d) != rows*cols {
		panic(fmt.Sprintf("nn: parameter of %d numbers and %d gradients is not [%d,%d]", len(x), len(d), rows, cols))
	}
	t.nodes = append(t.nodes, node{x: x, d: d, rows: rows, cols: cols})
	return Value(len(t.nodes) - 1)
}

// Matrix is Param for a matrix that is packed already, both ways if the tape is for training.
func (t *Tape) Matrix(x, d []float32, rows, cols int, packed *Packed) Value {
	v := t.Param(x, d, rows, cols)
	t.nodes[v].packed = packed
	return v
}

// panels returns the matrix v for a product.
func (t *Tape) panels(v Value) *kernel.Panels {
	n := &t.nodes[v]
	if n.packed != nil {
		return n.packed.Panels()
	}
	t.own.Pack(n.x, n.rows, n.cols)
	return t.own.Panels()
}

// transposed returns the transpose of the matrix v for a product.
func (t *Tape) transposed(v Value) *kernel.Panels {
	n := &t.nodes[v]
	if n.packed != nil {
		return n.packed.Transposed()
	}
	t.own.PackTransposed(n.x, n.rows, n.cols)
	return t.own.Transposed()
}

// Data returns the numbers of v, row-major [Rows,Cols], until the next Reset.
func (t *Tape) Data(v Value) []float32 { return t.nodes[v].x }

// Rows returns the number of rows of v.
func (t *Tape) Rows(v Value) int { return t.nodes[v].rows }

// Cols returns the number of columns of v.
func (t *Tape) Cols(v Value) int { return t.nodes[v].cols }

// fresh makes a matrix whose numbers are not yet set.
func (t *Tape) fresh(rows, cols int) Value {
	t.nodes = append(t.nodes, node{x: t.arena.Float32(rows * cols), rows: rows, cols: cols})
	return Value(len(t.nodes) - 1)
}

func (t *Tape) record(r record) Value {
	if t.train {
		t.records = append(t.records, r)
	}
	return r.y
}

// grad returns the gradient of v and whether it already holds something; if not, the caller must overwrite all of it.
func (t *Tape) grad(v Value) (d []float32, holds bool) {
	n := &t.nodes[v]
	if n.d != nil {
		return n.d, true
	}
	n.d, n.owned = t.scratch(len(n.x)), true
	return n.d, false
}

// zeroedGrad returns the gradient of v for adding to.
func (t *Tape) zeroedGrad(v Value) []float32 {
	d, holds := t.grad(v)
	if !holds {
		clear(d)
	}
	return d
}

// scratch returns n floats of any value. Buffers of gradients that were used up come first: they are warm in the cache.
func (t *Tape) scratch(n int) []float32 {
	for i := len(t.free) - 1; i >= 0; i-- {
		if b := t.free[i]; len(b) == n {
			t.free[i] = t.free[len(t.free)-1]
			t.free = t.free[:len(t.free)-1]
			return b
		}
	}
	return t.arena.Float32(n)
}

func (t *Tape) release(b []float32) { t.free = append(t.free, b) }

// Backward differentiates everything recorded since Reset, last to first, and adds to the gradients of the parameters. On
// entry Data(y) must hold dLoss/dy in place of y's values. The tape must then be Reset.
func (t *Tape) Backward(y Value) {
	if !t.train {
		panic("nn: Backward on a tape that was not reset for training")
	}
	t.nodes[y].d = t.nodes[y].x
	for i := len(t.records) - 1; i >= 0; i-- {
		r := &t.records[i]
		if t.nodes[r.y].d == nil {
			continue // nothing that matters was computed from it
		}
		switch r.kind {
		case opEmbed:
			t.embedBackward(r)
		case opLayerNorm:
			t.layerNormBackward(r)
		case opLinear:
			t.linearBackward(r)
		case opGELU:
			t.geluBackward(r)
		case opAttention:
			t.attentionBackward(r)
		case opGather:
			t.gatherBackward(r)
		case opMatMulT:
			t.matMulTBackward(r)
		}
		if n := &t.nodes[r.y]; n.owned {
			t.release(n.d)
			n.d, n.owned = nil, false
		}
	}
	t.records = t.records[:0]
}
