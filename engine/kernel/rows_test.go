package kernel

import (
	"math"
	"testing"

	"candor/internal/rng"
)

// lengths reach over the whole vectors, their tails and the unrolled loops.
const lengths = 131

// near fails unless got is within relative tolerance of want, or within tiny of it.
func near(t *testing.T, what string, n, i int, got float32, want, relative, tiny float64) {
	if w32 := float32(want); same(got, w32) {
		return
	}
	if d := math.Abs(float64(got) - want); !(d <= relative*math.Abs(want)+tiny) {
		t.Helper() // not before: it is slow
		t.Fatalf("%s of %d elements: [%d] = %v, want %v", what, n, i, got, want)
	}
}

func geluExact(x float64) float64 {
	return x / 2 * (1 + math.Tanh(math.Sqrt(2/math.Pi)*(x+0.044715*x*x*x)))
}

func geluSlope(x float64) float64 {
	c := math.Sqrt(2 / math.Pi)
	th := math.Tanh(c * (x + 0.044715*x*x*x))
	return (1+th)/2 + x/2*(1-th*th)*c*(1+3*0.044715*x*x)
}

// rowCase is what a row test gets: operands of n elements, random, and their old values in float64.
type rowCase struct {
	n       int
	x, y, z []float32 // inputs
	out     [3][]float32
	old     [3][]float64
}

// eachRow runs f for every length with every implementation and checks that nothing beside the outputs was written.
func eachRow(t *testing.T, f func(t *testing.T, c rowCase)) {
	everywhere(t, func(t *testing.T) {
		src := rng.New(2)
		var in, out [3]*operand
		for i := range 3 {
			in[i], out[i] = newOperand(t, lengths), newOperand(t, lengths)
		}
		for n := range lengths {
			c := rowCase{n: n}
			for i, x := range []*[]float32{&c.x, &c.y, &c.z} {
				*x = in[i].takeBefore(n, i) // each is aligned in another way
				fill(*x, &src)
				c.out[i] = out[i].takeBefore(n, (n+i)%4)
				fill(c.out[i], &src)
				c.old[i] = make([]float64, n)
				for j, v := range c.out[i] {
					c.old[i][j] = float64(v)
				}
			}
			f(t, c)
			for i := range 3 {
				in[i].check(t, n)
				out[i].check(t, n)
			}
		}
	})
}

func TestSoftmax(t *testing.T) {
	eachRow(t, func(t *testing.T, c rowCase) {
		for i := range c.x {
			c.x[i] = c.x[i]*20 + 1000 // far from where exp itself is finite
		}
		if c.n > 3 {
			c.x[c.n/2] = -inf
		}
		top, sum := math.Inf(-1), 0.0
		for _, v := range c.x {
			top = max(top, float64(v))
		}
		for _, v := range c.x {
			sum += math.Exp(float64(v) - top)
		}
		Softmax(c.out[0], c.x)
		for i, got := range c.out[0] {
			near(t, "softmax", c.n, i, got, math.Exp(float64(c.x[i])-top)/sum, 2e-6, 1e-37)
		}
		want := top + math.Log(sum)
		if c.n == 0 {
			want = math.Inf(-1)
		}
		near(t, "logsumexp", c.n, 0, LogSumExp(c.x), want, 1e-6, 1e-6)
		Softmax(c.x, c.x)
		for i, got := range c.x {
			if got != c.out[0][i] {
				t.Fatalf("softmax in place differs at %d of %d", i, c.n)
			}
		}
	})
}

func TestSoftmaxNotFinite(t *testing.T) {
	everywhere(t, func(t *testing.T) {
		for _, n := range []int{1, 3, 8, 13, 40} {
			for at := range n {
				for _, bad := range []float32{nan, inf} {
					x, dst := make([]float32, n), make([]float32, n)
					x[at] = bad
					Softmax(dst, x)
					for i, v := range dst {
						if v == v {
							t.Fatalf("softmax with %v at %d of %d: [%d] = %v, want NaN", bad, at, n, i, v)
						}
					}
					if got := LogSumExp(x); !same(got, bad) {
						t.Fatalf("logsumexp with %v at %d of %d = %v", bad, at, n, got)
					}
				}
			}
			x := make([]float32, n)
			for i := range x {
				x[i] = -inf
			}
			if got := LogSumExp(x); got != -inf {
				t.Fatalf("logsumexp of %d times -Inf = %v", n, got)
			}
			Softmax(x, x)
			if x[0] == x[0] {
				t.Fatalf("softmax of %d times -Inf = %v, want NaN", n, x)
			}
		}
	})
}

func TestGELU(t *testing.T) {
	eachRow(t, func(t *testing.T, c rowCase) {
		for i := range c.x {
			c.x[i] *= 3
		}
		GELU(c.out[0], c.x)
		GELUBackward(c.out[1], c.x, c.y)
		for i, v := range c.x {
			near(t, "gelu", c.n, i, c.out[0][i], geluExact(float64(v)), 1e-6, 2e-7)
			near(t, "gelu backward", c.n, i, c.out[1][i], float64(c.y[i])*geluSlope(float64(v)), 1e-6, 1e-6*math.Abs(float64(c.y[i])))
		}
		GELUBackward(c.y, c.x, c.y)
		GELU(c.x, c.x)
		for i := range c.x {
			if c.x[i] != c.out[0][i] || c.y[i] != c.out[1][i] {
				t.Fatalf("in place differs at %d of %d", i, c.n)
			}
		}
	})
}

// Small arguments keep their relative precision, large ones do not overflow and what is not finite stays visible.
func TestGELUExtremes(t *testing.T) {
	everywhere(t, func(t *testing.T) {
		const n = 11 // three lanes in a tail
		run := func(v float32) (y, slope [n]float32) {
			var x, one [n]float32
			for i := range n {
				x[i], one[i] = v, 1
			}
			GELU(y[:], x[:])
			GELUBackward(slope[:], x[:], one[:])
			return y, slope
		}
		for _, v := range []float64{0, 1e-30, -1e-30, 1e-5, -1e-5, -3, -6, 6, 9.9, -9.9, 12, -12, 30, -30, 1e20, -1e20, 3e38, -3e38} {
			y, slope := run(float32(v))
			for i := range n {
				near(t, "gelu", n, i, y[i], geluExact(float64(float32(v))), 2e-6, 2e-7)
				near(t, "gelu'", n, i, slope[i], geluSlopeLimit(v), 2e-6, 1e-6)
			}
		}
		for v := -6.0; v < 6; v += 0.01 { // the left tail too has a relative error, that of exp
			y, _ := run(float32(v))
			if want := geluSmooth(float64(float32(v))); math.Abs(float64(y[0])-want) > 3e-6*math.Abs(want) {
				t.Fatalf("gelu(%v) = %v, want %v", v, y[0], want)
			}
		}
		y, slope := run(nan)
		for i := range n {
			if y[i] == y[i] || slope[i] == slope[i] {
				t.Fatalf("NaN gives %v with slope %v", y[i], slope[i])
			}
		}
		if y, _ = run(inf); y[0] != inf || y[n-1] != inf {
			t.Fatalf("+Inf gives %v", y)
		}
	})
}

// geluSmooth is geluExact without its cancellation at the left.
func geluSmooth(x float64) float64 {
	return x / (1 + math.Exp(-2*math.Sqrt(2/math.Pi)*(x+0.044715*x*x*x)))
}

func geluSlopeLimit(x float64) float64 {
	if math.Abs(x) > 20 {
		return math.Max(0, math.Copysign(1, x))
	}
	return geluSlope(x)
}

// normalise is LayerNorm of a single row.
func normalise(dst, x, gain, bias []float32, eps float32) (mean, rstd float32) {
	var stats [2]float32
	LayerNorm(dst, x, gain, bias, eps, stats[:])
	return stats[0], stats[1]
}

func TestLayerNorm(t *testing.T) {
	eachRow(t, func(t *testing.T, c rowCase) {
		if c.n == 0 {
			return
		}
		for i := range c.x {
			c.x[i] = c.x[i]*3 + 5
		}
		const eps = 1e-5
		n := float64(c.n)
		mean, variance := 0.0, 0.0
		for _, v := range c.x {
			mean += float64(v) / n
		}
		for _, v := range c.x {
			variance += (float64(v) - mean) * (float64(v) - mean) / n
		}
		rstd := 1 / math.Sqrt(variance+eps)
		gotMean, gotRstd := normalise(c.out[0], c.x, c.y, c.z, eps)
		near(t, "mean", c.n, 0, gotMean, mean, 1e-5, 0)
		if c.n == 1 {
			return // the difference from the mean is all rounding
		}
		near(t, "rstd", c.n, 0, gotRstd, rstd, 1e-4, 0)
		for i, v := range c.x {
			want := (float64(v)-mean)*rstd*float64(c.y[i]) + float64(c.z[i])
			near(t, "layer norm", c.n, i, c.out[0][i], want, 1e-5, 2e-5)
		}
		normalise(c.x, c.x, c.y, c.z, eps)
		for i, got := range c.x {
			if got != c.out[0][i] {
				t.Fatalf("layer norm in place differs at %d of %d", i, c.n)
			}
		}
	})
}

func TestLayerNormBackward(t *testing.T) {
	eachRow(t, func(t *testing.T, c rowCase) {
		if c.n == 0 {
			return
		}
		const mean, rstd = 0.25, 1.5
		dy, x, gain := c.x, c.y, c.z
		sum, along := 0.0, 0.0
		hat := func(i int) float64 { return (float64(x[i]) - mean) * rstd }
		for i := range c.n {
			d := float64(dy[i]) * float64(gain[i])
			sum += d / float64(c.n)
			along += d * hat(i) / float64(c.n)
		}
		LayerNormBackward(c.out[0], c.out[1], c.out[2], dy, x, gain, []float32{mean, rstd})
		for i := range c.n {
			near(t, "dx", c.n, i, c.out[0][i], c.old[0][i]+(float64(dy[i])*float64(gain[i])-sum-hat(i)*along)*rstd, 2e-6, 1e-5)
			near(t, "dgain", c.n, i, c.out[1][i], c.old[1][i]+float64(dy[i])*hat(i), 1e-6, 2e-6)
			near(t, "dbias", c.n, i, c.out[2][i], c.old[2][i]+float64(dy[i]), 1e-6, 1e-6)
		}
	})
}

func TestVectors(t *testing.T) {
	eachRow(t, func(t *testing.T, c rowCase) {
		const alpha = 0.3
		dot, size, squares := 0.0, 1.0, 0.0
		for i, v := range c.x {
			dot += float64(v) * float64(c.y[i])
			size += math.Abs(float64(v) * float64(c.y[i]))
			squares += float64(v) * float64(v)
		}
		near(t, "dot", c.n, 0, Dot(c.x, c.y), dot, 0, 2e-7*size)
		if got := SumSquares(c.x); math.Abs(got-squares) > 1e-13*squares {
			t.Fatalf("sum of %d squares = %v, want %v", c.n, got, squares)
		}
		Add(c.out[0], c.x)
		Axpy(c.out[1], alpha, c.x)
		Scale(c.out[2], alpha)
		for i, v := range c.x {
			near(t, "add", c.n, i, c.out[0][i], c.old[0][i]+float64(v), 1e-7, 0)
			near(t, "axpy", c.n, i, c.out[1][i], c.old[1][i]+float64(float32(alpha))*float64(v), 1e-7, 1e-7)
			near(t, "scale", c.n, i, c.out[2][i], c.old[2][i]*float64(float32(alpha)), 1e-7, 0)
		}
	})
}

// What is not finite must reach the sums from every lane, so that a training run notices.
func TestSumsNotFinite(t *testing.T) {
	everywhere(t, func(t *testing.T) {
		for _, n := range []int{1, 8, 13, 70} {
			for at := range n {
				x, one := make([]float32, n), make([]float32, n)
				for i := range one {
					one[i] = 1
				}
				x[at] = nan
				if v, w := Dot(x, one), SumSquares(x); v == v || w == w {
					t.Fatalf("NaN at %d of %d: dot %v, squares %v", at, n, v, w)
				}
				if mean, rstd := normalise(make([]float32, n), x, one, one, 1e-5); mean == mean || rstd == rstd {
					t.Fatalf("NaN at %d of %d: mean %v, rstd %v", at, n, mean, rstd)
				}
				x[at] = -inf
				if v, w := Dot(x, one), SumSquares(x); v != -inf || !math.IsInf(w, 1) {
					t.Fatalf("-Inf at %d of %d: dot %v, squares %v", at, n, v, w)
				}
			}
		}
	})
}

func TestAdamW(t *testing.T) {
	eachRow(t, func(t *testing.T, c rowCase) {
		p, m, v := c.out[0], c.out[1], c.out[2]
		for i := range v {
			v[i] *= v[i]
			c.old[2][i] = float64(v[i])
		}
		step := AdamWStep{LR: 0.01, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8, WeightDecay: 0.1, Correct1: 0.271, Correct2: 0.002997, GradScale: 0.5}
		AdamW(p, c.x, m, v, step)
		lr, decay := float64(step.LR), float64(step.WeightDecay)
		beta1, beta2 := float64(step.Beta1), float64(step.Beta2)
		for i := range p {
			g := float64(c.x[i]) * float64(step.GradScale)
			m1 := beta1*c.old[1][i] + (1-beta1)*g
			v1 := beta2*c.old[2][i] + (1-beta2)*g*g
			p1 := c.old[0][i]*(1-lr*decay) - lr/float64(step.Correct1)*m1/(math.Sqrt(v1)/math.Sqrt(float64(step.Correct2))+float64(step.Eps))
			near(t, "m", c.n, i, m[i], m1, 1e-6, 1e-7)
			near(t, "v", c.n, i, v[i], v1, 1e-6, 0)
			near(t, "p", c.n, i, p[i], p1, 1e-6, 1e-7)
		}
	})
}

// rowKernels are all row kernels, each with how many operands it has and how far it may be from its twin. Operands that are
// both read and written come first.
var rowKernels = []struct {
	name           string
	operands       int
	f              func(x [][]float32) (a, b float64)
	relative, tiny float64
}{
	{"Softmax", 2, func(x [][]float32) (a, b float64) { return float64(Softmax(x[0], x[1])), 0 }, 2e-6, 1e-6},
	{"Softmax in place", 1, func(x [][]float32) (a, b float64) { return float64(Softmax(x[0], x[0])), 0 }, 2e-6, 1e-6},
	{"LogSumExp", 1, func(x [][]float32) (a, b float64) { return float64(LogSumExp(x[0])), 0 }, 1e-6, 1e-6},
	{"GELU", 2, func(x [][]float32) (a, b float64) { GELU(x[0], x[1]); return 0, 0 }, 2e-6, 1e-37},
	{"GELU in place", 1, func(x [][]float32) (a, b float64) { GELU(x[0], x[0]); return 0, 0 }, 2e-6, 1e-37},
	{"GELUBackward", 3, func(x [][]float32) (a, b float64) { GELUBackward(x[0], x[1], x[2]); return 0, 0 }, 2e-6, 2e-6},
	{"GELUBackward in place", 2, func(x [][]float32) (a, b float64) { GELUBackward(x[0], x[1], x[0]); return 0, 0 }, 2e-6, 2e-6},
	{"LayerNorm", 4, func(x [][]float32) (a, b float64) {
		if len(x[0]) == 0 {
			return 0, 0
		}
		mean, rstd := normalise(x[0], x[1], x[2], x[3], 1e-2)
		return float64(mean), float64(rstd)
	}, 1e-5, 1e-5},
	{"LayerNorm in place", 3, func(x [][]float32) (a, b float64) {
		if len(x[0]) == 0 {
			return 0, 0
		}
		mean, rstd := normalise(x[0], x[0], x[1], x[2], 1e-2)
		return float64(mean), float64(rstd)
	}, 1e-5, 1e-5},
	{"LayerNormBackward", 6, func(x [][]float32) (a, b float64) {
		if len(x[0]) == 0 {
			return 0, 0
		}
		LayerNormBackward(x[0], x[1], x[2], x[3], x[4], x[5], []float32{0.25, 1.5})
		return 0, 0
	}, 1e-5, 1e-5},
	{"Add", 2, func(x [][]float32) (a, b float64) { Add(x[0], x[1]); return 0, 0 }, 0, 0},
	{"Axpy", 2, func(x [][]float32) (a, b float64) { Axpy(x[0], 0.3, x[1]); return 0, 0 }, 1e-7, 1e-7},
	{"Scale", 1, func(x [][]float32) (a, b float64) { Scale(x[0], 0.3); return 0, 0 }, 0, 0},
	{"Dot", 2, func(x [][]float32) (a, b float64) { return float64(Dot(x[0], x[1])), 0 }, 1e-6, 1e-5},
	{"SumSquares", 1, func(x [][]float32) (a, b float64) { return SumSquares(x[0]), 0 }, 1e-13, 0},
	{"AdamW", 4, func(x [][]float32) (a, b float64) {
		for i, v := range x[2] {
			x[2][i] = v * v // the second moment is not negative
		}
		AdamW(x[0], x[3], x[1], x[2], AdamWStep{LR: 0.01, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8, WeightDecay: 0.1, Correct1: 0.271, Correct2: 0.002997, GradScale: 0.5})
		return 0, 0
	}, 3e-6, 1e-6},
}

// Every row kernel agrees with its twin at every length, wherever its operands lie and whatever they hold: odd numbers at
// many places, none, or one at one place of one operand.
func TestRowTwins(t *testing.T) {
	const most, trials = 6, 14
	odd := []float32{nan, inf, -inf, 0, float32(math.Copysign(0, -1)), math.SmallestNonzeroFloat32}
	everywhere(t, func(t *testing.T) {
		name, src := Name(), rng.New(5)
		var operands [most]*operand
		var twins [most][]float32
		for i := range operands {
			operands[i], twins[i] = newOperand(t, lengths), make([]float32, lengths)
		}
		numbers := make([]float32, 1<<14)
		fill(numbers, &src)
		x, y := make([][]float32, most), make([][]float32, most)
		for _, k := range rowKernels {
			x, y := x[:k.operands], y[:k.operands]
			for n := range lengths {
				for trial := range trials {
					for i := range x {
						x[i], y[i] = operands[i].takeBefore(n, src.IntN(4)), twins[i][:n]
						copy(x[i], numbers[src.IntN(len(numbers)-n):])
						if trial == 0 {
							for range n / 4 {
								x[i][src.IntN(n)] = odd[src.IntN(len(odd))]
							}
						}
					}
					if trial > 1 && n > 0 {
						x[src.IntN(len(x))][src.IntN(n)] = odd[trial%len(odd)]
					}
					for i := range x {
						copy(y[i], x[i])
					}
					got1, got2 := k.f(x)
					if err := Use(generic); err != nil {
						t.Fatal(err)
					}
					want1, want2 := k.f(y)
					if err := Use(name); err != nil {
						t.Fatal(err)
					}
					nearResult(t, k.name, n, got1, want1, k.relative, k.tiny)
					nearResult(t, k.name, n, got2, want2, k.relative, k.tiny)
					for i := range x {
						operands[i].check(t, n)
						for j, want := range y[i] {
							near(t, k.name, n, j, x[i][j], float64(want), k.relative, k.tiny)
						}
					}
				}
			}
		}
	})
}

// nearResult is near for what a kernel returns.
func nearResult(t *testing.T, what string, n int, got, want, relative, tiny float64) {
	t.Helper()
	if got == want || got != got && want != want {
		return
	}
	if d := math.Abs(got - want); !(d <= relative*math.Abs(want)+tiny) {
		t.Fatalf("result of %s of %d elements: %v, want %v", what, n, got, want)
	}
}

// No implementation may disagree with another by more than rounding.
func TestTwins(t *testing.T) {
	src := rng.New(3)
	x := make([]float32, 1000)
	fill(x, &src)
	results := map[string][][]float32{}
	everywhere(t, func(t *testing.T) {
		soft, gelu, slope := make([]float32, len(x)), make([]float32, len(x)), make([]float32, len(x))
		Softmax(soft, x)
		GELU(gelu, x)
		GELUBackward(slope, x, x)
		results[Name()] = [][]float32{soft, gelu, slope, {LogSumExp(x)}}
	})
	for name, got := range results {
		for i, want := range results[generic] {
			for j := range want {
				near(t, name, len(want), j, got[i][j], float64(want[j]), 1e-6, 1e-7)
			}
		}
	}
}
