package nn

import (
	"fmt"
	"math"

	"candor/engine/kernel"
)

// Position says how a head knows where a token stands.
type Position uint8

const (
	NoPosition Position = iota // from the causal mask alone
	Learned                    // a vector per position, added to the head's queries and keys
	Rotary                     // rotations of queries and keys (RoFormer, Su et al. 2021)
)

// Attention describes an attention layer; it is shared by all layers of a model and all threads.
type Attention struct {
	Heads, HeadWidth int
	Positions        []Position   // one per head
	Rotary           *RotaryTable // needed if a head is Rotary
	learned          []int        // for each Learned head its index among them
	learnedHeads     int
}

// NewAttention describes a layer with one head for each of positions, each of width headWidth, for up to context tokens.
func NewAttention(headWidth, context int, positions []Position) *Attention {
	a := &Attention{Heads: len(positions), HeadWidth: headWidth, Positions: positions}
	for _, p := range positions {
		a.learned = append(a.learned, a.learnedHeads)
		switch {
		case p == Learned:
			a.learnedHeads++
		case p == Rotary && a.Rotary == nil:
			a.Rotary = NewRotaryTable(context, headWidth)
		}
	}
	return a
}

// Place finishes one row of queries, keys and values (3 times the layer's width) of the token at position pos: learned
// heads get their vectors from table [context, 2 x learned heads x head width] (queries' first), rotary heads are rotated,
// and all queries are scaled by 1/sqrt(head width). table may be nil if no head is Learned.
func (a *Attention) Place(row []float32, pos int, table []float32) {
	hw, width := a.HeadWidth, a.Heads*a.HeadWidth
	for h, p := range a.Positions {
		q, k := row[h*hw:(h+1)*hw], row[width+h*hw:width+(h+1)*hw]
		switch p {
		case Learned:
			qv, kv := a.vectors(table, pos, h)
			for j := range q {
				q[j] += qv[j]
				k[j] += kv[j]
			}
		case Rotary:
			a.Rotary.Rotate(q, pos)
			a.Rotary.Rotate(k, pos)
		}
	}
	kernel.Scale(row[:width], a.scale())
}

// placeBackward turns the gradient of a placed row into the gradient of the row before, and adds to dtable.
func (a *Attention) placeBackward(drow []float32, pos int, dtable []float32) {
	hw, width := a.HeadWidth, a.Heads*a.HeadWidth
	kernel.Scale(drow[:width], a.scale())
	for h, p := range a.Positions {
		dq, dk := drow[h*hw:(h+1)*hw], drow[width+h*hw:width+(h+1)*hw]
		switch p {
		case Learned:
			dqv, dkv := a.vectors(dtable, pos, h)
			for j := range dq {
				dqv[j] += dq[j]
				dkv[j] += dk[j]
			}
		case Rotary:
			a.Rotary.rotateBack(dq, pos)
			a.Rotary.rotateBack(dk, pos)
		}
	}
}

func (a *Attention) vectors(table []float32, pos, h int) (q, k []float32) {
	half := a.learnedHeads * a.HeadWidth
	at := pos*2*half + a.learned[h]*a.HeadWidth
	return table[at : at+a.HeadWidth], table[at+half : at+half+a.HeadWidth]
}

func (a *Attention) scale() float32 { return float32(1 / math.Sqrt(float64(a.HeadWidth))) }

// Attention returns causal self-attention within each sequence of r: [rows,width] from queries, keys and values side by
// side in qkv [rows,3*width], which is finished in place (see [Attention.Place]). pos is the table of learned vectors or
// None. A query all of whose keys are masked gives zeros.
func (t *Tape) Attention(qkv, pos Value, a *Attention, r *Ragged) Value {
	width := a.Heads * a.HeadWidth
	if t.nodes[qkv].cols != 3*width {
		panic(fmt.Sprintf("nn: attention of width %d on rows of %d", width, t.nodes[qkv].cols))
	}
	y := t.fresh(r.Rows(), width)
	x, z := t.nodes[qkv].x, t.nodes[y].x
	var table []float32
	if pos != None {
		table = t.nodes[pos].x
	}
	size := 0
	for s := range r.Seqs() {
		n := int(r.Starts[s+1] - r.Starts[s])
		size += a.Heads * n * n
	}
	patterns := t.arena.Float32(size)
	rest, masks := patterns, r.Masks
	for s := range r.Seqs() {
		first, n := int(r.Starts[s]), int(r.Starts[s+1]-r.Starts[s])
		if n == 0 {
			continue
		}
		for i := range n {
			a.Place(x[(first+i)*3*width:(first+i+1)*3*width], i, table)
		}
		for len(masks) > 0 && int(masks[0].Seq) < s {
			masks = masks[1:]
		}
		for h := range a.Heads {
			t.attend(a, x[first*3*width:], z[first*width:], rest[:n*n], n, h, s, masks)
			rest = rest[n*n:]
		}
	}
	t.patterns = record{kind: opAttention, x: qkv, y: y, pos: pos, aux: patterns, ragged: r, attn: a}
	return t.record(t.patterns)
}

// attend fills the pattern p [n,n] and the output of head h for one sequence.
func (t *Tape) attend(a *Attention, qkv, z, p []float32, n, h, seq int, masks []Mask) {
	hw, width := a.HeadWidth, a.Heads*a.HeadWidth
	ld := 3 * width
	q, k, v := qkv[h*hw:], qkv[width+h*hw:], qkv[2*width+h*hw:]
	kernel.CausalScores(n, hw, q, ld, k, ld, p, &t.ws)
	if len(masks) > 0 && int(masks[0].Seq) == seq {
		for i := range n {
			row := p[i*n : i*n+i+1]
			if maskRow(row, i, seq, masks) {
				clear(row)
			} else {
				kernel.Softmax(row, row)
			}
			clear(p[i*n+i+1 : (i+1)*n])
		}
	} else {
		kernel.CausalSoftmax(p, n)
	}
	kernel.CausalMix(n, hw, p, v, ld, z[h*hw:], width, false)
}

// maskRow puts -Inf at the keys that query i must not see and says whether none is left.
func maskRow(row []float32, i, seq int, masks []Mask) (empty bool) {
	masked := false
	for _, m := range masks {
		if int(m.Seq) != seq {
			break
		}
		if i < int(m.FromStart) || i >= int(m.FromEnd) {
			continue
		}
		for j := int(m.ToStart); j < min(int(m.ToEnd), len(row)); j++ {
			row[j] = float32(math.Inf(-1))
			masked = true
		}
	}
	if !masked {
		return false
	}
	for _, s := range row {
		if !math.IsInf(float64(s), -1) {
			return false
		}
	}
	return true
}

// Patterns calls visit with the attention pattern [heads,n,n] of each sequence in the latest call of [Tape.Attention].
func (t *Tape) Patterns(visit func(seq int, pattern []float32)) {
	rest := t.patterns.aux
	for s := range t.patterns.ragged.Seqs() {
		n := int(t.patterns.ragged.Starts[s+1] - t.patterns.ragged.Starts[s])
		size := t.patterns.attn.Heads * n * n
		visit(s, rest[:size])
		rest = rest[size:]
	}
}

func (t *Tape) attentionBackward(rec *record) {
	a, r := rec.attn, rec.ragged
	width := a.Heads * a.HeadWidth
	dqkv, holds := t.grad(rec.x)
	qkv, dz := t.nodes[rec.x].x, t.nodes[rec.y].d
	var dtable []float32
	if rec.pos != None {
		dtable = t.nodes[rec.pos].d
	}
	longest := 0
	for s := range r.Seqs() {
		longest = max(longest, int(r.Starts[s+1]-r.Starts[s]))
	}
	dp := t.scratch(longest * longest)
	rest := rec.aux
	for s := range r.Seqs() {
		first, n := int(r.Starts[s]), int(r.Starts[s+1]-r.Starts[s])
		if n == 0 {
			continue
		}
		for h := range a.Heads {
			t.attendBackward(a, qkv[first*3*width:], dqkv[first*3*width:], dz[first*width:], rest[:n*n], dp, n, h, holds)
			rest = rest[n*n:]
		}
		for i := range n {
			a.placeBackward(dqkv[(first+i)*3*width:(first+i+1)*3*width], i, dtable)
		}
	}
	t.release(dp)
}

// attendBackward sets the gradients of the placed queries, keys and values of head h for one sequence, or adds to them if they
// hold something.
func (t *Tape) attendBackward(a *Attention, qkv, dqkv, dz, p, dp []float32, n, h int, holds bool) {
	hw, width := a.HeadWidth, a.Heads*a.HeadWidth
	ld := 3 * width
	q, k, v := qkv[h*hw:], qkv[width+h*hw:], qkv[2*width+h*hw:]
	dq, dk, dv := dqkv[h*hw:], dqkv[width+h*hw:], dqkv[2*width+h*hw:]
	dz = dz[h*hw:]
	kernel.CausalMixTransposed(n, hw, p, dz, width, dv, ld, holds)
	kernel.CausalScores(n, hw, dz, width, v, ld, dp, &t.ws)
	kernel.CausalSoftmaxBackward(dp, p, n)
	kernel.CausalMix(n, hw, dp, k, ld, dq, ld, holds)
	kernel.CausalMixTransposed(n, hw, dp, q, ld, dk, ld, holds)
}
