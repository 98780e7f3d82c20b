package kernel

import (
	"fmt"
	"testing"
	"time"

	"candor/internal/rng"
)

// BenchmarkGemm times the products of the default models, in GFLOP/s and as a share of the machine's peak: linear layers
// forward, their weight gradients (transA) and input gradients (transB), decoding and attention.
func BenchmarkGemm(b *testing.B) {
	peak := measurePeak()
	src := rng.New(1)
	for _, c := range []struct {
		name           string
		transA, transB bool
		m, n, k        int
		ld             int // of all operands; 0 is the row length
	}{
		{"qkv", false, false, 640, 144, 48, 0},
		{"up", false, false, 640, 192, 48, 0},
		{"down", false, false, 640, 48, 192, 0},
		{"up64", false, false, 640, 256, 64, 0},
		{"down64", false, false, 640, 64, 256, 0},
		{"up256", false, false, 640, 1024, 256, 0},
		{"down256", false, false, 640, 256, 1024, 0},
		{"dW-qkv", true, false, 48, 144, 640, 0},
		{"dW-up", true, false, 48, 192, 640, 0},
		{"dW-down", true, false, 192, 48, 640, 0},
		{"dW-up256", true, false, 256, 1024, 640, 0},
		{"dX-qkv", false, true, 640, 48, 144, 0},
		{"dX-up", false, true, 640, 48, 192, 0},
		{"dX-down", false, true, 640, 192, 48, 0},
		{"dX-up256", false, true, 640, 256, 1024, 0},
		{"head", false, false, 256, 170, 48, 0},
		{"decode1", false, false, 1, 144, 48, 0},
		{"decode2", false, false, 2, 144, 48, 0},
		{"decode4", false, false, 4, 144, 48, 0},
		{"decode16", false, false, 16, 144, 48, 0},
		{"decode64", false, false, 64, 144, 48, 0},
		{"scores", false, true, 40, 40, 12, 144},
		{"scores1", false, true, 1, 40, 12, 144},
		{"values", false, false, 40, 12, 40, 144},
		{"values1", false, false, 1, 12, 40, 144},
	} {
		rowsA, colsA, rowsB, colsB := c.m, c.k, c.k, c.n
		if c.transA {
			rowsA, colsA = colsA, rowsA
		}
		if c.transB {
			rowsB, colsB = colsB, rowsB
		}
		lda, ldb, ldc := max(colsA, c.ld), max(colsB, c.ld), max(c.n, c.ld)
		x, y, z := make([]float32, rowsA*lda), make([]float32, rowsB*ldb), make([]float32, c.m*ldc)
		fill(x, &src)
		fill(y, &src)
		var ws Workspace
		b.Run(fmt.Sprintf("%s/%dx%dx%d", c.name, c.m, c.n, c.k), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				Gemm(c.transA, c.transB, c.m, c.n, c.k, x, lda, y, ldb, z, ldc, false, &ws)
			}
			speed := 2 * float64(c.m*c.n*c.k) * float64(b.N) / float64(b.Elapsed().Nanoseconds())
			b.ReportMetric(speed, "GFLOP/s")
			if peak > 0 {
				b.ReportMetric(100*speed/peak, "%peak")
			}
		})
	}
}

// BenchmarkRows times the row operations on one row of a model 48 wide (attention rows of 40, activations of 192).
func BenchmarkRows(b *testing.B) {
	src := rng.New(1)
	x, y, z := make([]float32, 192), make([]float32, 192), make([]float32, 192)
	gain, m, v := make([]float32, 192), make([]float32, 192), make([]float32, 192)
	for _, s := range [][]float32{x, y, gain} {
		fill(s, &src)
	}
	for _, c := range []struct {
		name string
		n    int
		f    func()
	}{
		{"Softmax", 40, func() { Softmax(z[:40], x[:40]) }},
		{"Softmax", 37, func() { Softmax(z[:37], x[:37]) }},
		{"LogSumExp", 170, func() { LogSumExp(x[:170]) }},
		{"GELU", 192, func() { GELU(z, x) }},
		{"GELUBackward", 192, func() { GELUBackward(z, x, y) }},
		{"LayerNorm", 48, func() { LayerNorm(z[:48], x[:48], y[:48], gain[:48], 1e-5, m[:2]) }},
		{"LayerNormBackward", 48, func() { LayerNormBackward(z[:48], m[:48], v[:48], y[:48], x[:48], gain[:48], []float32{0, 1e-9}) }},
		{"Add", 48, func() { Add(z[:48], x[:48]) }},
		{"Dot", 48, func() { Dot(x[:48], y[:48]) }},
		{"SumSquares", 192, func() { SumSquares(x) }},
		{"AdamW", 192, func() {
			AdamW(z, x, m, v, AdamWStep{LR: 1e-9, Beta1: 0.9, Beta2: 0.99, Eps: 1e-8, Correct1: 1, Correct2: 1, GradScale: 1})
		}},
	} {
		b.Run(fmt.Sprintf("%s/%d", c.name, c.n), func(b *testing.B) {
			for b.Loop() {
				c.f()
			}
		})
	}
}

// measurePeak returns the floating-point operations a nanosecond that one core does in [Spin].
func measurePeak() float64 {
	best := 0.0
	for range 10 {
		start := time.Now()
		flops := Spin(1 << 18)
		best = max(best, flops/float64(time.Since(start).Nanoseconds()))
	}
	return best
}
