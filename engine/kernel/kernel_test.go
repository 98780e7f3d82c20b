package kernel

import (
	"math"
	"strings"
	"testing"

	"candor/internal/rng"
)

// canary is a value that no test computes.
const canary = -12345.678

var (
	nan = float32(math.NaN())
	inf = float32(math.Inf(1))
)

// everywhere runs a test with each implementation that this machine has.
func everywhere(t *testing.T, f func(t *testing.T)) {
	before := Name()
	defer func() {
		if err := Use(before); err != nil {
			t.Fatal(err)
		}
	}()
	for _, name := range Available() {
		if err := Use(name); err != nil {
			t.Fatal(err)
		}
		t.Run(name, f)
	}
}

// failer is what checks need of a *testing.T or a *rapid.T.
type failer interface {
	Helper()
	Fatalf(format string, args ...any)
}

// operand is memory for one argument of a kernel: its end lies at a guard page (see newGuarded), and what lies around it
// is checked for changes.
type operand struct {
	memory []float32
	after  int // elements between the last one taken and the guard page
}

// margin is how many elements before and after an argument are watched, at most.
const margin = 16

func newOperand(t testing.TB, n int) *operand { return &operand{memory: newGuarded(t, n+2*margin)} }

// take returns the last n elements, surrounded by canaries.
func (o *operand) take(n int) []float32 { return o.takeBefore(n, 0) }

// takeBefore is take with some elements, at most margin, between the slice and the guard page: this moves it off the
// alignment that its length gives it.
func (o *operand) takeBefore(n, after int) []float32 {
	o.after = after
	end := len(o.memory) - after
	start := end - n
	for i := start - margin; i < start; i++ {
		o.memory[i] = canary
	}
	for i := end; i < len(o.memory); i++ {
		o.memory[i] = canary
	}
	return o.memory[start:end:end]
}

// check fails if something was written just before or after the n elements.
func (o *operand) check(t failer, n int) {
	t.Helper()
	end := len(o.memory) - o.after
	start := end - n
	for i := start - margin; i < start; i++ {
		if o.memory[i] != canary {
			t.Fatalf("element %d before a slice of %d was overwritten with %v", start-i, n, o.memory[i])
		}
	}
	for i := end; i < len(o.memory); i++ {
		if o.memory[i] != canary {
			t.Fatalf("element %d after a slice of %d was overwritten with %v", i-end, n, o.memory[i])
		}
	}
}

func fill(x []float32, src *rng.Source) {
	for i := range x {
		x[i] = float32(src.Norm())
	}
}

// same reports equal bits, where any NaN equals any other.
func same(a, b float32) bool {
	return math.Float32bits(a) == math.Float32bits(b) || a != a && b != b
}

func TestUse(t *testing.T) {
	before := Name()
	if before != Available()[0] {
		t.Errorf("%s is in use at the start, but the best is %s", before, Available()[0])
	}
	err := Use("sse9")
	if err == nil || !strings.Contains(err.Error(), generic) {
		t.Errorf("Use of an unknown name: %v, want an error that lists %s", err, generic)
	}
	if Name() != before {
		t.Errorf("a failed Use switched to %s", Name())
	}
	everywhere(t, func(t *testing.T) {
		if !strings.HasSuffix(t.Name(), Name()) {
			t.Errorf("Use did not switch: %s", Name())
		}
	})
}

// Operands that do not fit must be refused before assembly sees them.
func TestMismatchPanics(t *testing.T) {
	x, y := make([]float32, 8), make([]float32, 7)
	gemm := func(a, b, c []float32, lda, ldb, ldc int) func() {
		return func() { Gemm(false, false, 2, 4, 3, a, lda, b, ldb, c, ldc, false, nil) }
	}
	for name, f := range map[string]func(){
		"Softmax":           func() { Softmax(x, y) },
		"GELU":              func() { GELU(x, y) },
		"GELUBackward":      func() { GELUBackward(x, y, x) },
		"LayerNorm":         func() { LayerNorm(x, x, x, y, 0, x[:2]) },
		"LayerNorm empty":   func() { LayerNorm(nil, nil, nil, nil, 0, nil) },
		"LayerNormBackward": func() { LayerNormBackward(x, x, x, x, x, y, x[:2]) },
		"Add":               func() { Add(x, y) },
		"Axpy":              func() { Axpy(x, 1, y) },
		"Dot":               func() { Dot(x, y) },
		"AdamW":             func() { AdamW(x, x, x, y, AdamWStep{}) },
		"Gemm short A":      gemm(make([]float32, 5), make([]float32, 12), make([]float32, 8), 3, 4, 4),
		"Gemm short B":      gemm(make([]float32, 6), make([]float32, 11), make([]float32, 8), 3, 4, 4),
		"Gemm short C":      gemm(make([]float32, 6), make([]float32, 12), make([]float32, 7), 3, 4, 4),
		"Gemm narrow lda":   gemm(make([]float32, 60), make([]float32, 12), make([]float32, 8), 2, 4, 4),
		"Gemm narrow ldb":   gemm(make([]float32, 6), make([]float32, 120), make([]float32, 8), 3, 3, 4),
		"Gemm narrow ldc":   gemm(make([]float32, 6), make([]float32, 12), make([]float32, 80), 3, 4, 3),
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				message, ok := recover().(string)
				if !ok || !strings.HasPrefix(message, "kernel.") {
					t.Errorf("no panic that names the kernel, but %q", message)
				}
			}()
			f()
		})
	}
}
