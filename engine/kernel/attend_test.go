package kernel

import (
	"fmt"
	"math"
	"testing"

	"candor/internal/rng"
)

// chain adds x*y to sum as the implementation in use does.
func chain(x, y, sum float32) float32 {
	s := [1]float32{sum}
	chains(s[:], 1, []float32{x}, 1, []float32{y}, 1, 1, Name() != generic)
	return s[0]
}

// causal is the operands of one head's attention over n tokens: matrices [n,hw] with leading dimension ld, and a pattern.
type causal struct {
	n, hw, ld int
	a, b      []float32
	p         []float32
	c         []float32
}

// eachCausal runs f for sequences around the sizes of tiles and panels. What lies between the rows of operands is NaN.
func eachCausal(t *testing.T, f func(t *testing.T, x causal)) {
	everywhere(t, func(t *testing.T) {
		src := rng.New(3)
		var a, b, p, c *operand
		a, b, p, c = newOperand(t, 131*80), newOperand(t, 131*80), newOperand(t, 131*131), newOperand(t, 131*80)
		for n := range 131 {
			hw := []int{1, 3, 12, 16, 17, 32, 33, 40}[n%8]
			x := causal{n: n, hw: hw, ld: hw + n%5*7}
			size := 0
			if n > 0 {
				size = (n-1)*x.ld + hw
			}
			x.a, x.b, x.c, x.p = a.take(size), b.take(size), c.take(size), p.take(n*n)
			for _, m := range [][]float32{x.a, x.b, x.c, x.p} {
				fill(m, &src)
			}
			for i := range size {
				if i%x.ld >= hw {
					x.a[i], x.b[i], x.c[i] = nan, nan, canary
				}
			}
			f(t, x)
			for i := range size {
				if i%x.ld >= hw && x.c[i] != canary {
					t.Fatalf("n=%d hw=%d: wrote between rows, at %d", n, hw, i)
				}
			}
			for _, o := range []*operand{a, b, c} {
				o.check(t, size)
			}
			p.check(t, n*n)
		}
	})
}

// lower keeps the triangle that products of attention read.
func (x causal) lower() {
	clearUpper(x.p, x.n)
}

func (x causal) expect(t *testing.T, what string, got []float32, ld, i, j int, want float32) {
	t.Helper()
	if g := got[i*ld+j]; !same(g, want) {
		t.Fatalf("%s, n=%d hw=%d ld=%d: [%d,%d] = %v, but the chain gives %v", what, x.n, x.hw, x.ld, i, j, g, want)
	}
}

// begin returns what the chains of row i start from.
func (x causal) begin(old []float32, i int, accumulate bool) []float32 {
	row := make([]float32, x.hw)
	if accumulate {
		copy(row, old[i*x.ld:])
	}
	return row
}

func TestCausalScores(t *testing.T) {
	var ws Workspace
	eachCausal(t, func(t *testing.T, x causal) {
		CausalScores(x.n, x.hw, x.a, x.ld, x.b, x.ld, x.p, &ws)
		for i := range x.n {
			for j := range i + 1 {
				want := float32(0)
				for q := range x.hw {
					want = chain(x.a[i*x.ld+q], x.b[j*x.ld+q], want)
				}
				x.expect(t, "CausalScores", x.p, x.n, i, j, want)
			}
		}
	})
}

func TestCausalMix(t *testing.T) {
	for _, accumulate := range []bool{false, true} {
		t.Run(fmt.Sprint("accumulate=", accumulate), func(t *testing.T) {
			eachCausal(t, func(t *testing.T, x causal) {
				x.lower()
				old := append([]float32(nil), x.c...)
				CausalMix(x.n, x.hw, x.p, x.b, x.ld, x.c, x.ld, accumulate)
				for i := range x.n {
					want := x.begin(old, i, accumulate)
					chains(want, i+1, x.p[i*x.n:], 1, x.b, 1, x.ld, Name() != generic)
					for j := range x.hw {
						x.expect(t, "CausalMix", x.c, x.ld, i, j, want[j])
					}
				}
				copy(x.c, old)
				CausalMixTransposed(x.n, x.hw, x.p, x.b, x.ld, x.c, x.ld, accumulate)
				for i := range x.n {
					want := x.begin(old, i, accumulate)
					chains(want, x.n-i, x.p[i*x.n+i:], x.n, x.b[i*x.ld:], 1, x.ld, Name() != generic)
					for j := range x.hw {
						x.expect(t, "CausalMixTransposed", x.c, x.ld, i, j, want[j])
					}
				}
			})
		})
	}
}

// A row of a causal pattern has the bits that Softmax and SoftmaxRows give it, and zeros behind it.
func TestCausalSoftmax(t *testing.T) {
	eachCausal(t, func(t *testing.T, x causal) {
		scores := append([]float32(nil), x.p...)
		CausalSoftmax(x.p, x.n)
		for i := range x.n {
			row, alone := append([]float32(nil), scores[i*x.n:i*x.n+i+1]...), scores[i*x.n:i*x.n+i+1]
			SoftmaxRows(row, len(row), 1, len(row))
			Softmax(alone, alone)
			for j := range x.n {
				want := float32(0)
				if j <= i {
					want = row[j]
					if !same(alone[j], row[j]) {
						t.Fatalf("row of %d: Softmax gives %v at %d, SoftmaxRows %v", i+1, alone[j], j, row[j])
					}
				}
				x.expect(t, "CausalSoftmax", x.p, x.n, i, j, want)
			}
		}
	})
}

func TestCausalSoftmaxBackward(t *testing.T) {
	eachCausal(t, func(t *testing.T, x causal) {
		CausalSoftmax(x.p, x.n)
		src := rng.New(4)
		d := make([]float32, x.n*x.n)
		fill(d, &src)
		old := append([]float32(nil), d...)
		CausalSoftmaxBackward(d, x.p, x.n)
		for i := range x.n {
			mean := 0.
			for j := range i + 1 {
				mean += float64(x.p[i*x.n+j]) * float64(old[i*x.n+j])
			}
			for j := range x.n {
				want := 0.
				if j <= i {
					want = float64(x.p[i*x.n+j]) * (float64(old[i*x.n+j]) - mean)
				}
				if got := d[i*x.n+j]; math.Abs(float64(got)-want) > 2e-6 || j > i && got != 0 {
					t.Fatalf("n=%d: [%d,%d] = %v, want %v", x.n, i, j, got, want)
				}
			}
		}
	})
}

// One token's attention has the bits of the same row of a whole sequence's.
func TestAttendStep(t *testing.T) {
	everywhere(t, func(t *testing.T) {
		src := rng.New(5)
		most := 5 * 40
		qs, ks, vs := newOperand(t, most), newOperand(t, most*144), newOperand(t, most*131)
		ss, zs := newOperand(t, 5*300), newOperand(t, most)
		for n := 1; n < 131; n++ {
			heads, hw := 1+n%5, []int{1, 5, 8, 12, 16, 17, 32, 40}[n/5%8]
			width, stride := heads*hw, n+KeyBlock+n%3
			blocks := (n + KeyBlock - 1) / KeyBlock
			q, keys, values := qs.take(width), ks.take(blocks*width*KeyBlock), vs.take(n*width)
			room := (heads-1)*stride + blocks*KeyBlock
			scores, z := ss.take(room), zs.take(width)
			for _, x := range [][]float32{q, keys, values, scores, z} {
				fill(x, &src)
			}
			for tok := n; tok < blocks*KeyBlock; tok++ { // room that no key has filled
				for j := range width {
					keys[tok/KeyBlock*width*KeyBlock+j*KeyBlock+tok%KeyBlock] = nan
				}
			}
			AttendScores(heads, hw, n, q, keys, scores, stride)
			for h := range heads {
				for tok := range n {
					want := float32(0)
					for j := h * hw; j < (h+1)*hw; j++ {
						want = chain(q[j], keys[tok/KeyBlock*width*KeyBlock+j*KeyBlock+tok%KeyBlock], want)
					}
					if got := scores[h*stride+tok]; !same(got, want) {
						t.Fatalf("n=%d heads=%d hw=%d: score %d of head %d is %v, but the chain gives %v", n, heads, hw, tok, h, got, want)
					}
				}
			}
			SoftmaxRows(scores, stride, heads, n)
			for _, accumulate := range []bool{false, true} {
				old := append([]float32(nil), z...)
				AttendValues(heads, hw, n, scores, stride, values, z, accumulate)
				for j := range width {
					want := float32(0)
					if accumulate {
						want = old[j]
					}
					for tok := range n {
						want = chain(scores[j/hw*stride+tok], values[tok*width+j], want)
					}
					if !same(z[j], want) {
						t.Fatalf("n=%d heads=%d hw=%d accumulate=%v: output %d is %v, but the chain gives %v", n, heads, hw, accumulate, j, z[j], want)
					}
				}
			}
			qs.check(t, width)
			ks.check(t, len(keys))
			vs.check(t, len(values))
			ss.check(t, room)
			zs.check(t, width)
		}
	})
}

// Keys land where AttendScores reads them, one by one and many at a time, and nowhere before.
func TestStoreKeys(t *testing.T) {
	everywhere(t, func(t *testing.T) {
		src := rng.New(8)
		room, from := newOperand(t, 160*40), newOperand(t, 131*60)
		for n := range 131 {
			width, first := 1+n%40, n%3*8
			ld := width + n%5
			if n == 1 {
				first = 21
			}
			blocks := (first + n + KeyBlock - 1) / KeyBlock
			keys, k := room.take(blocks*width*KeyBlock), from.take(max(0, (n-1)*ld+width)*min(n, 1))
			fill(k, &src)
			fill(keys, &src)
			old := append([]float32(nil), keys...)
			StoreKeys(keys, first, n, width, k, ld)
			for tok := range first + n {
				for j := range width {
					at := tok/KeyBlock*width*KeyBlock + j*KeyBlock + tok%KeyBlock
					want := old[at]
					if tok >= first {
						want = k[(tok-first)*ld+j]
					}
					if keys[at] != want {
						t.Fatalf("%d keys of width %d from %d on: channel %d of token %d is %v, want %v", n, width, first, j, tok, keys[at], want)
					}
				}
			}
			room.check(t, len(keys))
			from.check(t, len(k))
		}
	})
}

func TestAttendMismatchPanics(t *testing.T) {
	x := make([]float32, 64)
	for name, f := range map[string]func(){
		"no token":         func() { AttendScores(1, 4, 0, x, x, x, 16) },
		"short keys":       func() { AttendScores(1, 4, 1, x, x[:63], x, 16) },
		"short scores":     func() { AttendScores(1, 4, 1, x, x, x[:15], 16) },
		"no room for keys": func() { StoreKeys(x[:63], 0, 1, 4, x, 4) },
		"odd first key":    func() { StoreKeys(x, 1, 2, 4, x, 4) },
		"short values":     func() { AttendValues(2, 4, 3, x, 8, x[:23], x, false) },
		"short outputs":    func() { AttendValues(2, 4, 3, x, 8, x, x[:7], false) },
		"short shares":     func() { AttendValues(2, 4, 3, x[:10], 8, x, x, false) },
		"short pattern":    func() { CausalMix(4, 4, x[:15], x, 4, x, 4, false) },
		"short operand":    func() { CausalMixTransposed(4, 4, x, x[:15], 4, x, 4, false) },
		"short softmax":    func() { CausalSoftmax(x, 9) },
		"short gradient":   func() { CausalSoftmaxBackward(x[:8], x, 3) },
		"short rows":       func() { SoftmaxRows(x, 16, 5, 8) },
		"narrow leading":   func() { CausalScores(4, 4, x, 3, x, 4, x, new(Workspace)) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if message, ok := recover().(string); !ok || len(message) < 7 || message[:7] != "kernel." {
					t.Errorf("no panic that names the kernel, but %q", message)
				}
			}()
			f()
		})
	}
}
