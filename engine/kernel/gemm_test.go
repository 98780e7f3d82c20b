package kernel

import (
	"fmt"
	"math"
	"testing"

	"pgregory.net/rapid"

	"candor/internal/rng"
)

// call is one call of Gemm.
type call struct {
	transA, transB bool
	m, n, k        int
	gapA, gapB     int // leading dimension minus row length
	gapC           int
	accumulate     bool
}

func (p call) String() string {
	return fmt.Sprintf("m=%d n=%d k=%d transA=%v transB=%v gaps=%d,%d,%d accumulate=%v", p.m, p.n, p.k, p.transA, p.transB, p.gapA, p.gapB, p.gapC, p.accumulate)
}

// bench holds what checking products needs, so that thousands of them allocate nothing.
type bench struct {
	a, b, c *operand
	old     []float32
	ws      Workspace
	src     rng.Source
}

const largest = 640 * (130 + farApartA)

func newBench(t testing.TB) *bench {
	return &bench{a: newOperand(t, largest), b: newOperand(t, largest), c: newOperand(t, largest), src: rng.New(1)}
}

// matrix takes a rows by cols matrix with leading dimension cols+gap, random, with pad between the rows. The last row
// ends where the slice does.
func (w *bench) matrix(o *operand, rows, cols, gap int, pad float32) (x []float32, ld int) {
	ld = cols + gap
	if rows == 0 || cols == 0 {
		return o.take(0), ld
	}
	x = o.take((rows-1)*ld + cols)
	for i := range x {
		if i%ld < cols {
			x[i] = float32(w.src.Float64()*2 - 1)
		} else {
			x[i] = pad
		}
	}
	return x, ld
}

// check compares every element of C with the chain that Gemm promises, bit for bit, and the chain with a sum in float64.
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
	a, lda := w.matrix(w.a, rowsA, colsA, p.gapA, nan)
	b, ldb := w.matrix(w.b, rowsB, colsB, p.gapB, nan)
	c, ldc := w.matrix(w.c, p.m, p.n, p.gapC, canary)
	old := append(w.old[:0], c...)
	w.old = old
	Gemm(p.transA, p.transB, p.m, p.n, p.k, a, lda, b, ldb, c, ldc, p.accumulate, &w.ws)
	stepA, stepAK := lda, 1
	if p.transA {
		stepA, stepAK = 1, lda
	}
	stepB, stepBK := 1, ldb
	if p.transB {
		stepB, stepBK = ldb, 1
	}
	fused := Name() != generic
	for i := range c {
		row, col := i/ldc, i%ldc
		if col >= p.n {
			if c[i] != canary {
				t.Fatalf("%v: wrote %v between rows %d and %d", p, c[i], row, row+1)
			}
			continue
		}
		chain, exact, size := float32(0), 0.0, 1.0
		if p.accumulate {
			chain, exact = old[i], float64(old[i])
		}
		for q := range p.k {
			x, y := a[row*stepA+q*stepAK], b[col*stepB+q*stepBK]
			if fused {
				chain = fma32(x, y, chain)
			} else {
				chain += float32(x * y)
			}
			exact += float64(x) * float64(y)
			size += math.Abs(float64(x) * float64(y))
		}
		if c[i] != chain {
			t.Fatalf("%v: C[%d,%d] = %v, but the chain gives %v", p, row, col, c[i], chain)
		}
		if math.Abs(float64(chain)-exact) > 1e-6*size {
			t.Fatalf("%v: C[%d,%d] = %v, but the sum is %v", p, row, col, c[i], exact)
		}
	}
	w.c.check(t, len(c))
}

// fma32 returns x*y+z rounded once. The product is exact in float64; the sum is rounded to odd, so that rounding it again
// cannot err (Boldo and Melquiond 2008).
func fma32(x, y, z float32) float32 {
	p, q := float64(x)*float64(y), float64(z)
	s := p + q
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
						w.check(t, call{o&1 > 0, o&2 > 0, m, n, k, variant % 3, variant / 3 % 3, variant / 9 % 2, (variant+o)%2 == 0})
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
			size := rapid.IntRange(0, 130)
			p := call{
				transA: rapid.Bool().Draw(r, "transA"), transB: rapid.Bool().Draw(r, "transB"),
				m: size.Draw(r, "m"), n: size.Draw(r, "n"),
				k:    rapid.OneOf(rapid.IntRange(0, 40), rapid.IntRange(250, 270), rapid.Just(640)).Draw(r, "k"),
				gapA: rapid.IntRange(0, 9).Draw(r, "gapA"), gapB: rapid.OneOf(rapid.IntRange(0, 9), rapid.Just(farApartA)).Draw(r, "gapB"), gapC: rapid.IntRange(0, 9).Draw(r, "gapC"),
				accumulate: rapid.Bool().Draw(r, "accumulate"),
			}
			w.check(r, p)
		})
	})
}

// A NaN in one row of A stays in that row of C, and an infinity shows.
func TestGemmNotFinite(t *testing.T) {
	everywhere(t, func(t *testing.T) {
		const m, n, k = 8, 19, 5
		a, b, c := make([]float32, m*k), make([]float32, k*n), make([]float32, m*n)
		for i := range a {
			a[i] = 1
		}
		for i := range b {
			b[i] = 1
		}
		a[3*k+2], b[1*n+17] = nan, inf
		Gemm(false, false, m, n, k, a, k, b, n, c, n, false, nil)
		for i, v := range c {
			want := float32(k)
			switch {
			case i/n == 3:
				want = nan
			case i%n == 17:
				want = inf
			}
			if !same(v, want) {
				t.Fatalf("C[%d,%d] = %v, want %v", i/n, i%n, v, want)
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
