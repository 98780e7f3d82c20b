package nn

import (
	"fmt"

	"candor/engine/kernel"
)

// Ragged lays sequences one behind the other: row r of a matrix belongs to sequence s where Starts[s] <= r < Starts[s+1],
// at position r - Starts[s].
type Ragged struct {
	Tokens []int32 // one per row
	Starts []int32 // one per sequence and the number of rows at the end
	Masks  []Mask  // in ascending order of Seq
}

// Mask forbids queries at positions [FromStart,FromEnd) of one sequence to attend to keys at [ToStart,ToEnd).
type Mask struct {
	Seq                int32
	FromStart, FromEnd int32
	ToStart, ToEnd     int32
}

// Rows returns the number of rows, that is of tokens.
func (r *Ragged) Rows() int { return len(r.Tokens) }

// Seqs returns the number of sequences.
func (r *Ragged) Seqs() int { return len(r.Starts) - 1 }

// Embed returns [rows,width]: for each token its row of wte [vocab,width], plus the row of its position in wpe
// [context,width] unless that is None, plus, unless shift is None, the previous token's row of wte times shift
// [width,width]; the first token of a sequence has no previous one.
func (t *Tape) Embed(r *Ragged, wte, wpe, shift Value) Value {
	width := t.nodes[wte].cols
	y := t.fresh(r.Rows(), width)
	table, out := t.nodes[wte].x, t.nodes[y].x
	for i, tok := range r.Tokens {
		copy(out[i*width:(i+1)*width], table[int(tok)*width:])
	}
	if wpe != None {
		positions := t.nodes[wpe].x
		for s := range r.Seqs() {
			rows := out[int(r.Starts[s])*width : int(r.Starts[s+1])*width]
			if len(rows) > len(positions) {
				panic(fmt.Sprintf("nn: a sequence of %d tokens with %d positions", len(rows)/width, len(positions)/width))
			}
			kernel.Add(rows, positions[:len(rows)])
		}
	}
	rec := record{kind: opEmbed, y: y, w: wte, pos: wpe, shift: shift, ragged: r}
	if shift != None {
		prev := t.arena.Float32(r.Rows() * width)
		for s := range r.Seqs() {
			first, end := int(r.Starts[s]), int(r.Starts[s+1])
			if first < end {
				clear(prev[first*width : (first+1)*width])
			}
			for i := first + 1; i < end; i++ {
				copy(prev[i*width:(i+1)*width], table[int(r.Tokens[i-1])*width:])
			}
		}
		kernel.GemmPanels(false, r.Rows(), prev, width, t.panels(shift), out, width, kernel.Start{D: out, LD: width}, &t.ws)
		rec.aux = prev
	}
	return t.record(rec)
}

func (t *Tape) embedBackward(rec *record) {
	r, dy, dtable := rec.ragged, t.nodes[rec.y].d, t.nodes[rec.w].d
	width := t.nodes[rec.w].cols
	if rec.shift != None {
		rows := r.Rows()
		shift := &t.nodes[rec.shift]
		kernel.Gemm(true, false, width, width, rows, rec.aux, width, dy, width, shift.d, width, true, &t.ws)
		dprev := rec.aux // the shifted embeddings themselves are no longer needed
		t.product(rows, dy, width, t.transposed(rec.shift), dprev, width, false)
		for s := range r.Seqs() {
			for i := int(r.Starts[s]) + 1; i < int(r.Starts[s+1]); i++ {
				tok := int(r.Tokens[i-1])
				kernel.Add(dtable[tok*width:(tok+1)*width], dprev[i*width:(i+1)*width])
			}
		}
	}
	if rec.pos != None {
		dpos := t.nodes[rec.pos].d
		for s := range r.Seqs() {
			rows := dy[int(r.Starts[s])*width : int(r.Starts[s+1])*width]
			kernel.Add(dpos[:len(rows)], rows)
		}
	}
	for i, tok := range r.Tokens {
		kernel.Add(dtable[int(tok)*width:(int(tok)+1)*width], dy[i*width:(i+1)*width])
	}
}

// Gather returns the given rows of x, in that order. The rows must be distinct and the slice must live until Backward.
func (t *Tape) Gather(x Value, rows []int32) Value {
	width := t.nodes[x].cols
	y := t.fresh(len(rows), width)
	in, out := t.nodes[x].x, t.nodes[y].x
	for i, r := range rows {
		copy(out[i*width:(i+1)*width], in[int(r)*width:])
	}
	return t.record(record{kind: opGather, x: x, y: y, rows: rows})
}

func (t *Tape) gatherBackward(rec *record) {
	width := t.nodes[rec.x].cols
	dx, dy := t.zeroedGrad(rec.x), t.nodes[rec.y].d
	for i, r := range rec.rows {
		kernel.Add(dx[int(r)*width:(int(r)+1)*width], dy[i*width:(i+1)*width])
	}
}
