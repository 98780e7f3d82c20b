package nn

import (
	"fmt"
	"math"
	"testing"

	"candor/engine/kernel"
	"candor/internal/rng"

	"pgregory.net/rapid"
)

// random returns n normal numbers.
func random(src *rng.Source, n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(src.Norm())
	}
	return x
}

// graph builds an expression of operands on a tape. Each operand is a parameter of the given shape.
type graph struct {
	name   string
	shapes [][2]int
	build  func(t *Tape, in []Value) Value
}

var ragged = Ragged{
	Tokens: []int32{0, 3, 3, 1, 2, 4, 4, 0, 1, 1},
	Starts: []int32{0, 3, 3, 4, 10}, // the second sequence is empty
	Masks: []Mask{
		{Seq: 0, FromStart: 1, FromEnd: 3, ToStart: 0, ToEnd: 2}, // query 1 has no key left
		{Seq: 3, FromStart: 2, FromEnd: 5, ToStart: 0, ToEnd: 1},
		{Seq: 3, FromStart: 4, FromEnd: 6, ToStart: 2, ToEnd: 9},
	},
}

// long is one sequence, of more queries than kernels handle at once if rows is 43.
func long(rows int) *Ragged {
	return &Ragged{Tokens: make([]int32, rows), Starts: []int32{0, int32(rows)}}
}

func graphs() []graph {
	some, blocks := []int32{4, 0, 3}, 43
	long, all := long(blocks), iota32(blocks)
	spread := NewAttention(4, blocks, []Position{Rotary, NoPosition})
	attention := func(name string, positions ...Position) graph {
		a := NewAttention(4, 8, positions)
		w, rows, all := 4*len(positions), ragged.Rows(), iota32(ragged.Rows())
		table := [2]int{8, max(2*4*a.learnedHeads, 1)}
		return graph{"attention, " + name, [][2]int{{rows, 3 * w}, table}, func(t *Tape, in []Value) Value {
			pos := None
			if a.learnedHeads > 0 {
				pos = in[1]
			}
			// Attention finishes its input in place: give it a copy.
			return t.Attention(t.Gather(in[0], all), pos, a, &ragged)
		}}
	}
	return []graph{
		{"embed", [][2]int{{5, 3}}, func(t *Tape, in []Value) Value { return t.Embed(&ragged, in[0], None, None) }},
		{"embed with positions", [][2]int{{5, 3}, {7, 3}}, func(t *Tape, in []Value) Value {
			return t.Embed(&ragged, in[0], in[1], None)
		}},
		{"embed with shift", [][2]int{{5, 3}, {7, 3}, {3, 3}}, func(t *Tape, in []Value) Value {
			return t.Embed(&ragged, in[0], in[1], in[2])
		}},
		{"layer norm", [][2]int{{4, 6}, {1, 6}, {1, 6}}, func(t *Tape, in []Value) Value {
			return t.LayerNorm(in[0], in[1], in[2])
		}},
		{"linear", [][2]int{{4, 3}, {3, 5}, {1, 5}}, func(t *Tape, in []Value) Value { return t.Linear(in[0], in[1], in[2]) }},
		{"linear with residual", [][2]int{{4, 3}, {3, 5}, {1, 5}, {4, 5}}, func(t *Tape, in []Value) Value {
			return t.LinearAdd(in[0], in[1], in[2], in[3])
		}},
		{"gelu", [][2]int{{4, 3}}, func(t *Tape, in []Value) Value { return t.GELU(in[0]) }},
		{"gelu between", [][2]int{{4, 3}, {3, 3}, {1, 3}}, func(t *Tape, in []Value) Value {
			return t.Linear(t.GELU(t.Linear(in[0], in[1], in[2])), in[1], in[2])
		}},
		{"gather", [][2]int{{5, 3}}, func(t *Tape, in []Value) Value { return t.Gather(in[0], some) }},
		{"head", [][2]int{{4, 3}, {6, 3}}, func(t *Tape, in []Value) Value { return t.MatMulT(in[0], in[1]) }},
		{"a value used three times", [][2]int{{4, 3}, {3, 3}, {1, 3}}, func(t *Tape, in []Value) Value {
			x := t.Linear(in[0], in[1], in[2])
			y := t.LinearAdd(t.GELU(x), in[1], in[2], x)
			return t.LinearAdd(t.LayerNorm(x, in[2], in[2]), in[1], in[2], y)
		}},
		attention("none", NoPosition, NoPosition),
		attention("rotary", Rotary),
		attention("learned", Learned, Learned),
		attention("mixed", Rotary, Learned, NoPosition, Learned),
		{"attention over several blocks of queries", [][2]int{{blocks, 24}}, func(t *Tape, in []Value) Value {
			return t.Attention(t.Gather(in[0], all), None, spread, long)
		}},
	}
}

func iota32(n int) []int32 {
	x := make([]int32, n)
	for i := range x {
		x[i] = int32(i)
	}
	return x
}

// run builds g over the operands and returns the sum of the result weighted by probe; with grads, the gradient of that sum
// is added to them.
func run(t *Tape, g graph, operands, grads [][]float32, seed uint64) float64 {
	t.Reset(grads != nil)
	in := make([]Value, len(operands))
	for i, x := range operands {
		var d []float32
		if grads != nil {
			d = grads[i]
		}
		in[i] = t.Param(x, d, g.shapes[i][0], g.shapes[i][1])
	}
	y := g.build(t, in)
	out := t.Data(y)
	src := rng.New(seed)
	var sum float64
	for i, v := range out {
		probe := float32(src.Norm())
		sum += float64(probe) * float64(v)
		out[i] = probe
	}
	if grads != nil {
		t.Backward(y)
	}
	return sum
}

func TestBackwardAgreesWithFiniteDifferences(t *testing.T) {
	best := kernel.Name()
	t.Cleanup(func() { kernel.Use(best) })
	for _, impl := range kernel.Available() {
		if err := kernel.Use(impl); err != nil {
			t.Fatal(err)
		}
		for _, g := range graphs() {
			t.Run(impl+"/"+g.name, func(t *testing.T) { checkBackward(t, g) })
		}
	}
}

func checkBackward(t *testing.T, g graph) {
	src := rng.New(11)
	var tape Tape
	var operands, grads [][]float32
	for _, s := range g.shapes {
		operands = append(operands, random(&src, s[0]*s[1]))
		grads = append(grads, make([]float32, s[0]*s[1]))
	}
	run(&tape, g, operands, grads, 12)
	for i, x := range operands {
		for range 4 {
			dir := random(&src, len(x))
			var want, size float64
			for j, d := range dir {
				want += float64(d) * float64(grads[i][j])
				size += float64(grads[i][j]) * float64(grads[i][j])
			}
			old := append([]float32(nil), x...)
			at := func(h float32) float64 {
				for j := range x {
					x[j] = old[j] + h*dir[j]
				}
				return run(&tape, g, operands, nil, 12)
			}
			h := 2e-2 / math.Sqrt(float64(len(x)))
			got := (8*(at(float32(h))-at(float32(-h))) - (at(float32(2*h)) - at(float32(-2*h)))) / (12 * h)
			copy(x, old)
			if !(math.Abs(got-want) <= 2e-3*(math.Sqrt(size)+.2)) {
				t.Errorf("operand %d: derivative %.6g, by differences %.6g", i, want, got)
			}
		}
	}
	// Parameters' gradients add up: a second pass doubles them.
	once := append([]float32(nil), grads[0]...)
	run(&tape, g, operands, grads, 12)
	for j, d := range grads[0] {
		if math.Abs(float64(d-2*once[j])) > 1e-4*(1+math.Abs(float64(once[j]))) {
			t.Fatalf("gradient %d is %g after two passes of %g each", j, d, once[j])
		}
	}
}

// A tape in its steady state must not allocate. (Builders are called once before, but must not allocate either.)
func TestNoAllocations(t *testing.T) {
	for _, g := range graphs() {
		src := rng.New(1)
		var operands, grads [][]float32
		for _, s := range g.shapes {
			operands = append(operands, random(&src, s[0]*s[1]))
			grads = append(grads, make([]float32, s[0]*s[1]))
		}
		var tape Tape
		in := make([]Value, len(g.shapes))
		step := func() {
			tape.Reset(true)
			for i, x := range operands {
				in[i] = tape.Param(x, grads[i], g.shapes[i][0], g.shapes[i][1])
			}
			tape.Backward(g.build(&tape, in))
		}
		step()
		if n := testing.AllocsPerRun(5, step); n != 0 {
			t.Errorf("%s allocates %g times", g.name, n)
		}
	}
}

// Rotary scores depend on distances alone (RoFormer, section 3.2), and rotating back undoes rotating.
func TestRotaryIsRelative(t *testing.T) {
	table := NewRotaryTable(200, 6)
	rapid.Check(t, func(t *rapid.T) {
		src := rng.New(rapid.Uint64().Draw(t, "seed"))
		q, k := random(&src, 6), random(&src, 6)
		i, j := rapid.IntRange(0, 99).Draw(t, "i"), rapid.IntRange(0, 99).Draw(t, "j")
		by := rapid.IntRange(0, 100).Draw(t, "by")
		score := func(i, j int) float64 {
			a, b := append([]float32(nil), q...), append([]float32(nil), k...)
			table.Rotate(a, i)
			table.Rotate(b, j)
			return float64(kernel.Dot(a, b))
		}
		if a, b := score(i, j), score(i+by, j+by); math.Abs(a-b) > 1e-4 {
			t.Fatalf("score %g at (%d,%d), %g when both are moved by %d", a, i, j, b, by)
		}
		back := append([]float32(nil), q...)
		table.Rotate(back, i)
		table.rotateBack(back, i)
		for d := range q {
			if math.Abs(float64(back[d]-q[d])) > 1e-5 {
				t.Fatalf("%v comes back as %v", q, back)
			}
		}
	})
}

// Patterns are causal distributions, zero where masked and for a query without keys; Patterns shows them per sequence.
func TestPatterns(t *testing.T) {
	var tape Tape
	tape.Reset(false)
	src := rng.New(3)
	a := NewAttention(4, 8, []Position{NoPosition, Rotary})
	qkv := tape.Param(random(&src, ragged.Rows()*24), nil, ragged.Rows(), 24)
	tape.Attention(qkv, None, a, &ragged)
	seen := 0
	tape.Patterns(func(seq int, pattern []float32) {
		n := int(ragged.Starts[seq+1] - ragged.Starts[seq])
		if len(pattern) != 2*n*n {
			t.Fatalf("sequence %d of %d tokens has a pattern of %d numbers", seq, n, len(pattern))
		}
		for at, p := range pattern {
			i, j := at/n%n, at%n
			masked := j > i
			for _, m := range ragged.Masks {
				in := func(x int, lo, hi int32) bool { return x >= int(lo) && x < int(hi) }
				masked = masked || int(m.Seq) == seq && in(i, m.FromStart, m.FromEnd) && in(j, m.ToStart, m.ToEnd)
			}
			if masked != (p == 0) {
				t.Errorf("sequence %d, query %d, key %d: weight %g, masked %v", seq, i, j, p, masked)
			}
		}
		for row := range 2 * n {
			var sum float64
			for _, p := range pattern[row*n : (row+1)*n] {
				sum += float64(p)
			}
			if want := 1.; sum != 0 && math.Abs(sum-want) > 1e-5 {
				t.Errorf("sequence %d, row %d sums to %g", seq, row, sum)
			}
		}
		seen++
	})
	if seen != ragged.Seqs() {
		t.Errorf("%d patterns of %d sequences", seen, ragged.Seqs())
	}
}

func TestWrongShapesPanic(t *testing.T) {
	for name, f := range map[string]func(t *Tape, x Value){
		"linear":    func(t *Tape, x Value) { t.Linear(x, x, x) },
		"head":      func(t *Tape, x Value) { t.MatMulT(x, t.Param(make([]float32, 2), nil, 1, 2)) },
		"attention": func(t *Tape, x Value) { t.Attention(x, None, NewAttention(4, 8, []Position{NoPosition}), &ragged) },
		"parameter": func(t *Tape, _ Value) { t.Param(make([]float32, 5), nil, 2, 3) },
		"positions": func(t *Tape, x Value) {
			t.Embed(&ragged, t.Param(make([]float32, 15), nil, 5, 3), t.Param(make([]float32, 15), nil, 5, 3), None)
		},
		"odd rotary": func(*Tape, Value) { NewRotaryTable(3, 3) },
		"backward":   func(t *Tape, x Value) { t.Backward(x) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s took operands that do not fit", name)
				}
			}()
			var tape Tape
			tape.Reset(false)
			f(&tape, tape.Param(make([]float32, 12), nil, 4, 3))
		}()
	}
}

func BenchmarkAttention(b *testing.B) {
	for _, n := range []int{40, 160} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			a := NewAttention(12, n, []Position{NoPosition, NoPosition, NoPosition, NoPosition})
			src := rng.New(1)
			x, d := random(&src, n*144), make([]float32, n*144)
			r := long(n)
			var tape Tape
			for b.Loop() {
				tape.Reset(true)
				tape.Backward(tape.Attention(tape.Param(x, d, n, 144), None, a, r))
			}
		})
	}
}
