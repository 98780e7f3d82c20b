package kernel

import (
	"testing"

	"candor/internal/rng"
)

// Every size from 0 to 130 in each dimension, while the other two go through the edges of tiles, panels and blocks. All
// orientations of each; what else a call has is drawn.
func TestSizes(t *testing.T) {
	others := [3][][2]int{
		{{1, 9}, {15, 2}, {16, 1}, {17, 8}, {31, 3}, {32, 7}, {33, 5}, {48, 12}, {65, 4}, {2, 256}, {1, 257}}, // n and k for every m
		{{1, 9}, {2, 3}, {5, 8}, {6, 1}, {7, 7}, {11, 2}, {12, 5}, {13, 9}, {48, 4}, {2, 256}, {1, 257}},      // m and k for every n
		{{1, 17}, {1, 33}, {2, 65}, {5, 16}, {6, 31}, {7, 32}, {12, 33}, {13, 17}, {48, 5}, {3, 48}, {14, 1}}, // m and n for every k
	}
	everywhere(t, func(t *testing.T) {
		w := newBench(t)
		for dimension, pairs := range others {
			for size := range lengths {
				for _, o := range pairs {
					sizes := [...][3]int{{size, o[0], o[1]}, {o[0], size, o[1]}, {o[0], o[1], size}}[dimension]
					w.orientations(t, sizes[0], sizes[1], sizes[2])
				}
			}
		}
	})
}

// Sizes at which the blocks of rows and of k end.
func TestBlocks(t *testing.T) {
	everywhere(t, func(t *testing.T) {
		w := newBench(t)
		for _, s := range [][3]int{{383, 49, 5}, {384, 33, 3}, {385, 50, 9}, {397, 48, 2}, {769, 49, 3}, {13, 50, 513}, {49, 65, 512}, {7, 9, 640}} {
			w.orientations(t, s[0], s[1], s[2])
		}
	})
}

// orientations checks a product of these sizes in all orientations.
func (w *bench) orientations(t *testing.T, m, n, k int) {
	t.Helper()
	gaps := [...]int{0, 1, 3, 9, 65}
	for o := range 4 {
		p := call{transA: o&1 > 0, transB: o&2 > 0, m: m, n: n, k: k, shift: w.src.IntN(4), packed: w.src.Bool(0.5), bare: w.src.Bool(0.1)}
		for _, gap := range []*int{&p.gapA, &p.gapB, &p.gapC, &p.gapD} {
			*gap = gaps[w.src.IntN(len(gaps))]
		}
		if w.src.Bool(0.05) {
			p.gapA = farApartA + 1
		}
		p.accumulate = w.src.Bool(0.4)
		if p.packed {
			p.separate, p.bias = !p.accumulate && w.src.Bool(0.6), w.src.Bool(0.5)
		}
		if w.src.Bool(0.25) {
			p.oddity = 4*k + 1 // so that a chain has perhaps one
		}
		w.check(t, p)
	}
}

// A product writes to no more of the workspace than it has asked for, and reads nothing from it that it did not write.
func TestWorkspaceBounds(t *testing.T) {
	everywhere(t, func(t *testing.T) {
		w := newBench(t)
		guarded := [2]*operand{newOperand(t, largest), newOperand(t, largest)}
		for _, s := range [][3]int{{384, 48, 256}, {383, 50, 20}, {50, 48, 7}, {5, 1, 1}, {7, 33, 12}, {49, 65, 257}} {
			for o := range 4 {
				p := call{transA: o&1 > 0, transB: o&2 > 0, packed: w.src.Bool(0.3), m: s[0], n: s[1], k: s[2], gapA: farApartA + 1, gapB: farApartB + 1}
				w.ws = Workspace{}
				w.check(t, p)
				var parts [2][]float32
				for i, n := range [2]int{cap(w.ws.a), cap(w.ws.b)} {
					parts[i] = guarded[i].take(n)
					fillNaN(parts[i])
				}
				w.ws = Workspace{parts[0], parts[1]}
				w.check(t, p)
				for i, now := range [2][]float32{w.ws.a, w.ws.b} {
					guarded[i].check(t, len(parts[i]))
					if len(parts[i]) > 0 && &now[0] != &parts[i][0] {
						t.Fatalf("%+v: part %d of the workspace grew to %d elements from %d", p, i, cap(now), len(parts[i]))
					}
				}
			}
		}
	})
}

// avx2 and avx512 give the same bits.
func TestSameBits(t *testing.T) {
	sizes := [][3]int{{1, 37, 12}, {2, 130, 50}, {12, 32, 256}, {13, 33, 257}, {61, 97, 300}}
	results := map[string][][]float32{}
	everywhere(t, func(t *testing.T) {
		w := newBench(t) // the same numbers for each
		for _, s := range sizes {
			for o := range 8 {
				p := call{transA: o&1 > 0, transB: o&2 > 0, packed: o&4 > 0, m: s[0], n: s[1], k: s[2], accumulate: o%3 == 0, bias: o > 5}
				w.check(t, p)
				results[Name()] = append(results[Name()], append([]float32(nil), w.c.take(p.m*p.n)...))
			}
		}
	})
	if len(results) < 3 {
		return // this machine has but one of them
	}
	for i, want := range results[avx2] {
		for j, got := range results[avx512][i] {
			if !same(got, want[j]) {
				t.Fatalf("product %d of %v: [%d] = %v with avx512, %v with avx2", i%8, sizes[i/8], j, got, want[j])
			}
		}
	}
}

// Adding rows one after the other is the same sum.
func TestAddRows(t *testing.T) {
	everywhere(t, func(t *testing.T) {
		src := rng.New(6)
		x, sum := newOperand(t, 9*140), newOperand(t, 130)
		for n := 1; n <= 130; n++ {
			rows, ld := n%9, n+n%4
			in, out := x.take(max(0, (rows-1)*ld+n)), sum.take(n)
			fill(in, &src)
			fill(out, &src)
			for i := range in {
				if i%ld >= n {
					in[i] = nan
				}
			}
			want := append([]float32(nil), out...)
			for i := range rows {
				Add(want, in[i*ld:i*ld+n])
			}
			AddRows(out, in, rows, ld)
			for j, w := range want {
				if !same(out[j], w) {
					t.Fatalf("%d rows of %d: [%d] = %v, want %v", rows, n, j, out[j], w)
				}
			}
			x.check(t, len(in))
			sum.check(t, n)
		}
	})
}

// Normalising rows together is normalising them one by one.
func TestLayerNormRows(t *testing.T) {
	everywhere(t, func(t *testing.T) {
		src := rng.New(7)
		var operands [9]*operand
		for i := range operands {
			operands[i] = newOperand(t, 4*130)
		}
		for n := 1; n <= 130; n++ {
			rows := n % 5
			var o [9][]float32
			for i := range o {
				o[i] = operands[i].take([]int{rows * n, rows * n, n, n, 2 * rows, rows * n, rows * n, n, n}[i])
				fill(o[i], &src)
			}
			y, x, gain, bias, stats, dy, dx, dgain, dbias := o[0], o[1], o[2], o[3], o[4], o[5], o[6], o[7], o[8]
			var want [5][]float32
			for i, part := range [...][]float32{y, stats, dx, dgain, dbias} {
				want[i] = append([]float32(nil), part...)
			}
			for i := range rows {
				from, to := i*n, (i+1)*n
				LayerNorm(want[0][from:to], x[from:to], gain, bias, 1e-5, want[1][2*i:2*i+2])
				LayerNormBackward(want[2][from:to], want[3], want[4], dy[from:to], x[from:to], gain, want[1][2*i:2*i+2])
			}
			LayerNorm(y, x, gain, bias, 1e-5, stats)
			LayerNormBackward(dx, dgain, dbias, dy, x, gain, stats)
			for i, part := range [...][]float32{y, stats, dx, dgain, dbias} {
				for j, v := range part {
					if !same(v, want[i][j]) {
						t.Fatalf("%d rows of %d: result %d has %v at %d, want %v", rows, n, i, v, j, want[i][j])
					}
				}
			}
			for i := range o {
				operands[i].check(t, len(o[i]))
			}
		}
	})
}
