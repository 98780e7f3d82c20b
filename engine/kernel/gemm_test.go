package kernel

import (
	"math"
	"testing"

	"pgregory.net/rapid"

	"candor/internal/rng"
)

// call is one call of Gemm, or of GemmPanels if packed is set.
type call struct {
	transA, transB bool // transB is how B is packed, if it is
	m, n, k        int
	gapA, gapB     int // leading dimension minus row length
	gapC, gapD     int
	accumulate     bool // C is what it starts from
	packed         bool
	separate, bias bool // starts from a matrix D of its own, and from a bias; only if packed
	bare           bool // without a workspace
	shift          int  // elements between the operands and their guard pages
	oddity         int  // about one number in so many is one of the oddities, 0 for none
}

// oddities are numbers that arithmetic treats unlike others.
var oddities = []float32{nan, inf, -inf, 0, float32(math.Copysign(0, -1)), math.MaxFloat32, -math.MaxFloat32, math.SmallestNonzeroFloat32}

// bench holds what checking products needs, so that thousands of them allocate nothing.
type bench struct {
	a, b, c, d, bias *operand
	packed           *operand // the memory of panels
	panels           Panels
	old, want        []float32
	ws               Workspace
	src              rng.Source
	numbers          []float32 // at random, between -1 and 1
}

const largest = 640 * (130 + farApartA)

func newBench(t testing.TB) *bench {
	w := &bench{src: rng.New(1), want: make([]float32, 1024), numbers: make([]float32, 1<<14)}
	for i := range w.numbers {
		w.numbers[i] = float32(w.src.Float64()*2 - 1)
	}
	for _, o := range []**operand{&w.a, &w.b, &w.c, &w.d, &w.bias, &w.packed} {
		*o = newOperand(t, largest)
	}
	return w
}

// matrix takes a rows by cols matrix with leading dimension cols+gap, random, with pad between the rows. The last row
// ends where the slice does.
func (w *bench) matrix(o *operand, rows, cols, gap int, pad float32, p call) (x []float32, ld int) {
	ld = cols + gap
	if rows == 0 || cols == 0 {
		return o.take(0), ld
	}
	x = o.takeBefore((rows-1)*ld+cols, p.shift)
	for i := range rows {
		row := x[i*ld : min((i+1)*ld, len(x))]
		copy(row[:cols], w.numbers[w.src.IntN(len(w.numbers)-cols):])
		for j := cols; j < len(row); j++ {
			row[j] = pad
		}
	}
	if p.oddity > 0 {
		for at := w.src.IntN(2 * p.oddity); at < rows*cols; at += 1 + w.src.IntN(2*p.oddity) {
			x[at/cols*ld+at%cols] = oddities[w.src.IntN(len(oddities))]
		}
	}
	return x, ld
}

// check compares every element of C with the chain that Gemm promises, bit for bit, and one of them with a sum in float64.
// The chain knows nothing of the other rows and columns, so it also shows that a row alone has the bits it has in a batch.
func (w *bench) check(t failer, p call) {
	t.Helper()
	rowsA, colsA, rowsB, colsB := p.m, p.k, p.k, p.n
	if p.transA {
		rowsA, colsA = colsA, rowsA
	}
	if p.transB {
		rowsB, colsB = colsB, rowsB
	}
	a, lda := w.matrix(w.a, rowsA, colsA, p.gapA, nan, p)
	b, ldb := w.matrix(w.b, rowsB, colsB, p.gapB, nan, p)
	c, ldc := w.matrix(w.c, p.m, p.n, p.gapC, canary, p)
	ws := &w.ws
	if p.bare {
		ws = nil
	}
	start := Start{LD: ldc}
	if p.accumulate {
		start.D = c
	}
	if p.separate {
		start.D, start.LD = w.matrix(w.d, p.m, p.n, p.gapD, nan, p)
	}
	if p.bias {
		start.Bias, _ = w.matrix(w.bias, 1, p.n, 0, nan, p)
	}
	old := append(w.old[:0], start.D...)
	w.old = old
	if p.packed {
		w.pack(t, p, b, ldb)
		GemmPanels(p.transA, p.m, a, lda, &w.panels, c, ldc, start, ws)
	} else {
		Gemm(p.transA, p.transB, p.m, p.n, p.k, a, lda, b, ldb, c, ldc, p.accumulate, ws)
	}
	stepA, stepAK := lda, 1
	if p.transA {
		stepA, stepAK = 1, lda
	}
	stepB, stepBK := 1, ldb
	if p.transB {
		stepB, stepBK = ldb, 1
	}
	w.c.check(t, len(c))
	if len(c) == 0 {
		return
	}
	begin := func(i, j int) (v float32) {
		if start.D != nil {
			v = old[i*start.LD+j]
		}
		if p.bias {
			v += start.Bias[j]
		}
		return v
	}
	for i := range p.m {
		want := w.want[:p.n]
		for j := range want {
			want[j] = begin(i, j)
		}
		if p.k > 0 {
			chains(want, p.k, a[i*stepA:], stepAK, b, stepB, stepBK, Name() != generic)
		}
		for j, got := range c[i*ldc : min((i+1)*ldc, len(c))] {
			switch {
			case j >= p.n && got != canary:
				t.Fatalf("%+v: wrote %v between rows %d and %d", p, got, i, i+1)
			case j < p.n && !same(got, want[j]):
				t.Fatalf("%+v: C[%d,%d] = %v, but the chain gives %v", p, i, j, got, want[j])
			}
		}
	}
	if p.oddity > 0 {
		return
	}
	i, j := w.src.IntN(p.m), w.src.IntN(p.n)
	exact, size := float64(begin(i, j)), 1.0
	for q := range p.k {
		term := float64(a[i*stepA+q*stepAK]) * float64(b[j*stepB+q*stepBK])
		exact += term
		size += math.Abs(term)
	}
	if got := c[i*ldc+j]; !(math.Abs(float64(got)-exact) <= 1e-6*size) {
		t.Fatalf("%+v: C[%d,%d] = %v, but the sum is %v", p, i, j, got, exact)
	}
}

// pack packs B into memory that is as large as it must be, and full of NaN: what is beyond the last column is not read.
func (w *bench) pack(t failer, p call, b []float32, ldb int) {
	t.Helper()
	cols := currentBlocking().cols
	memory := w.packed.take((p.n + cols - 1) / cols * cols * p.k)
	fillNaN(memory)
	w.panels.data = memory
	w.panels.Pack(p.transB, p.n, p.k, b, ldb)
	w.packed.check(t, len(memory))
	if len(memory) > 0 && &w.panels.data[0] != &memory[0] {
		t.Fatalf("%+v: Pack allocated, though %d elements were there", p, len(memory))
	}
}

func fillNaN(x []float32) {
	for i := range x {
		x[i] = nan
	}
}

// chains adds k terms to each of a row of sums, with products fused into the additions or rounded before. The race detector
// would slow it down much.
//
//go:norace
func chains(sums []float32, k int, a []float32, stepAK int, b []float32, stepB, stepBK int, fused bool) {
	for q := range k {
		x, row := a[q*stepAK], b[q*stepBK:]
		for j, z := range sums {
			y := row[j*stepB]
			if !fused {
				sums[j] = z + float32(x*y)
			} else if s := float64(x)*float64(y) + float64(z); mayTie(s) {
				sums[j] = fma32(x, y, z)
			} else {
				sums[j] = float32(s) // as fma32 would, but without the call
			}
		}
	}
}

// mayTie reports whether s may lie halfway between two numbers of float32.
func mayTie(s float64) bool {
	const normal = (1023 - 126) << 52 // the smallest number that is normal in float32: below it, halfway is elsewhere
	bits := math.Float64bits(s)
	return bits&(1<<29-1) == 1<<28 || bits<<1 < normal<<1
}

// fma32 returns x*y+z rounded once. The product is exact in float64. Rounding the sum to float64 first does harm only if it
// then lies halfway between two numbers of float32; so it is rounded to odd, and rounding it again cannot err (Boldo and
// Melquiond 2008).
func fma32(x, y, z float32) float32 {
	p, q := float64(x)*float64(y), float64(z)
	s := p + q
	if !mayTie(s) {
		return float32(s)
	}
	back := s - p
	lost := (p - (s - back)) + (q - back)
	if lost != 0 && math.Float64bits(s)&1 == 0 {
		if (lost > 0) == (s > 0) {
			s = math.Float64frombits(math.Float64bits(s) + 1)
		} else {
			s = math.Float64frombits(math.Float64bits(s) - 1)
		}
	}
	return float32(s)
}

// Every tile, edge and mask: all small sizes in all orientations.
func TestGemmSmall(t *testing.T) {
	everywhere(t, func(t *testing.T) {
		w := newBench(t)
		for m := range 14 {
			for n := range 35 {
				for i, k := range []int{0, 1, 2, 7, 8, 9, 12, 17} {
					variant := m + 3*n + 5*i // every combination meets every kind of size somewhere
					for o := range 4 {
						w.check(t, call{transA: o&1 > 0, transB: o&2 > 0, m: m, n: n, k: k, gapA: variant % 3, gapB: variant / 3 % 3, gapC: variant / 9 % 2, accumulate: (variant+o)%2 == 0})
					}
				}
			}
		}
	})
}

// Sizes beyond a block of k, and everything else at random.
func TestGemmRandom(t *testing.T) {
	everywhere(t, func(t *testing.T) {
		w := newBench(t)
		rapid.Check(t, func(r *rapid.T) {
			size, gap := rapid.IntRange(0, 130), rapid.IntRange(0, 9)
			p := call{
				transA: rapid.Bool().Draw(r, "transA"), transB: rapid.Bool().Draw(r, "transB"),
				m: size.Draw(r, "m"), n: size.Draw(r, "n"),
				k:    rapid.OneOf(rapid.IntRange(0, 40), rapid.IntRange(250, 270), rapid.Just(640)).Draw(r, "k"),
				gapA: gap.Draw(r, "gapA"), gapB: rapid.OneOf(gap, rapid.Just(farApartA)).Draw(r, "gapB"),
				gapC: gap.Draw(r, "gapC"), gapD: gap.Draw(r, "gapD"),
				accumulate: rapid.Bool().Draw(r, "accumulate"), packed: rapid.Bool().Draw(r, "packed"),
				shift: rapid.IntRange(0, 3).Draw(r, "shift"), oddity: rapid.SampledFrom([]int{0, 0, 100, 10000}).Draw(r, "oddity"),
			}
			if p.packed {
				p.separate, p.bias = !p.accumulate && rapid.Bool().Draw(r, "separate"), rapid.Bool().Draw(r, "bias")
			}
			w.check(r, p)
		})
	})
}

// A NaN in one row of A stays in that row of C, and an infinity in one column of B in that column.
func TestGemmNotFinite(t *testing.T) {
	everywhere(t, func(t *testing.T) {
		const m, n, k = 14, 51, 5
		a, b := make([]float32, m*k), make([]float32, k*n)
		for i := range a {
			a[i] = 1
		}
		for i := range b {
			b[i] = 1
		}
		a[3*k+2], b[1*n+17] = nan, inf
		var panels Panels
		panels.Pack(false, n, k, b, n)
		plain, packed := make([]float32, m*n), make([]float32, m*n)
		Gemm(false, false, m, n, k, a, k, b, n, plain, n, false, nil)
		GemmPanels(false, m, a, k, &panels, packed, n, Start{}, nil)
		for i := range plain {
			want := float32(k)
			switch {
			case i/n == 3:
				want = nan
			case i%n == 17:
				want = inf
			}
			if !same(plain[i], want) || !same(packed[i], want) {
				t.Fatalf("C[%d,%d] = %v, %v with panels, want %v", i/n, i%n, plain[i], packed[i], want)
			}
		}
	})
}

// After its first use a workspace costs nothing.
func TestGemmAllocatesNothing(t *testing.T) {
	everywhere(t, func(t *testing.T) {
		a, b, c := make([]float32, 40*300), make([]float32, 40*300), make([]float32, 40*40)
		var ws Workspace
		run := func() { Gemm(false, true, 40, 40, 300, a, 300, b, 300, c, 40, true, &ws) }
		run()
		if n := testing.AllocsPerRun(10, run); n != 0 {
			t.Errorf("%v allocations", n)
		}
	})
}
