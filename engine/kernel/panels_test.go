package kernel

import (
	"strings"
	"testing"

	"candor/internal/rng"
)

// panicOf returns the message with which f panics, "" if it does not.
func panicOf(f func()) (message string) {
	defer func() {
		if r := recover(); r != nil {
			message, _ = r.(string)
		}
	}()
	f()
	return ""
}

// Panels that other kernels packed, or none, are refused.
func TestPanelsOfOtherKernels(t *testing.T) {
	const m, n, k = 3, 5, 4
	a, b := make([]float32, m*k), make([]float32, k*n)
	packed := map[string]*Panels{"nothing": new(Panels)}
	everywhere(t, func(*testing.T) {
		packed[Name()] = new(Panels)
		packed[Name()].Pack(false, n, k, b, n)
	})
	everywhere(t, func(t *testing.T) {
		for by, panels := range packed {
			c := []float32{canary, m*n - 1: canary}
			message := panicOf(func() { GemmPanels(false, m, a, k, panels, c, n, Start{}, nil) })
			if by == Name() {
				if message != "" {
					t.Errorf("its own panels: %q", message)
				}
				continue
			}
			if !strings.Contains(message, "kernel.GemmPanels") || !strings.Contains(message, "packed for other kernels") {
				t.Errorf("panels packed by %s: %q, want a panic that says so", by, message)
			}
			if c[0] != canary {
				t.Errorf("panels packed by %s: C was written to before the panic", by)
			}
		}
	})
}

// Operands that do not fit must be refused before anything is written.
func TestPanelsMismatchPanics(t *testing.T) {
	const m, n, k = 2, 4, 3
	zeros := func(n int) []float32 { return make([]float32, n) }
	everywhere(t, func(t *testing.T) {
		var b Panels
		b.Pack(true, n, k, zeros(n*k), k)
		for name, c := range map[string]struct {
			a, c  []float32
			lda   int
			ldc   int
			start Start
			part  string // what is wrong
		}{
			"short A":     {zeros(5), zeros(8), 3, 4, Start{}, "A"},
			"narrow lda":  {zeros(60), zeros(8), 2, 4, Start{}, "A"},
			"short C":     {zeros(6), zeros(7), 3, 4, Start{}, "C"},
			"narrow ldc":  {zeros(6), zeros(80), 3, 3, Start{}, "C"},
			"short D":     {zeros(6), zeros(8), 3, 4, Start{D: zeros(7), LD: 4}, "D"},
			"empty D":     {zeros(6), zeros(8), 3, 4, Start{D: zeros(0), LD: 4}, "D"},
			"narrow ldd":  {zeros(6), zeros(8), 3, 4, Start{D: zeros(80), LD: 3}, "D"},
			"D without":   {zeros(6), zeros(8), 3, 4, Start{D: zeros(8)}, "D"},
			"short bias":  {zeros(6), zeros(8), 3, 4, Start{Bias: zeros(3)}, "the bias"},
			"empty bias":  {zeros(6), zeros(8), 3, 4, Start{Bias: zeros(0)}, "the bias"},
			"bias with D": {zeros(6), zeros(8), 3, 4, Start{D: zeros(8), LD: 4, Bias: zeros(3)}, "the bias"},
		} {
			message := panicOf(func() { GemmPanels(false, m, c.a, c.lda, &b, c.c, c.ldc, c.start, nil) })
			if !strings.HasPrefix(message, "kernel.") || !strings.Contains(message, c.part+" is stored as") {
				t.Errorf("%s: %q, want a panic about %s", name, message, c.part)
			}
		}
		for name, f := range map[string]func(){
			"short B":             func() { b.Pack(false, n, k, zeros(n*k-1), n) },
			"short transposed B":  func() { b.Pack(true, n, k, zeros(n*k-1), k) },
			"narrow ldb":          func() { b.Pack(false, n, k, zeros(80), n-1) },
			"narrow transposed B": func() { b.Pack(true, n, k, zeros(80), k-1) },
			"negative n":          func() { b.Pack(false, -1, k, zeros(80), n) },
		} {
			if message := panicOf(f); !strings.Contains(message, "B is stored as") {
				t.Errorf("Pack, %s: %q, want a panic about B", name, message)
			}
		}
	})
}

// Panels can be packed again with any other matrix; those that are no larger cost nothing.
func TestPanelsRepacked(t *testing.T) {
	everywhere(t, func(t *testing.T) {
		src := rng.New(4)
		const m = 7
		var panels Panels
		for i, s := range [][2]int{{97, 60}, {33, 7}, {5, 60}, {64, 1}, {0, 5}, {5, 0}, {1, 40}, {97, 60}} {
			n, k := s[0], s[1]
			a, b, want, got := make([]float32, m*k), make([]float32, n*k), make([]float32, m*n), make([]float32, m*n)
			fill(a, &src)
			for _, transB := range []bool{false, true} {
				fill(b, &src)
				ldb := n
				if transB {
					ldb = k
				}
				pack := func() { panels.Pack(transB, n, k, b, ldb) }
				if i == 0 && !transB {
					pack()
				} else if n := testing.AllocsPerRun(1, pack); n != 0 {
					t.Errorf("packing matrix %d, %v, again: %v allocations", i, s, n)
				}
				Gemm(false, transB, m, n, k, a, k, b, ldb, want, n, false, nil)
				GemmPanels(false, m, a, k, &panels, got, n, Start{}, nil)
				for j := range want {
					if !same(got[j], want[j]) {
						t.Fatalf("matrix %d, %v, transB=%v: [%d] = %v, want %v", i, s, transB, j, got[j], want[j])
					}
				}
			}
		}
	})
}

// After its first use a workspace costs nothing, and without one there is nothing to allocate.
func TestGemmPanelsAllocatesNothing(t *testing.T) {
	everywhere(t, func(t *testing.T) {
		const m, n, k = 50, 70, 300
		a, b, c, d := make([]float32, k*(m+farApartA)), make([]float32, k*n), make([]float32, m*n), make([]float32, m*n)
		var panels Panels
		panels.Pack(true, n, k, b, k)
		for _, transA := range []bool{false, true} {
			lda := k + farApartA
			if transA {
				lda = m + farApartA
			}
			for _, ws := range []*Workspace{nil, new(Workspace)} {
				x := a
				if !transA {
					x = make([]float32, m*lda)
				}
				run := func() { GemmPanels(transA, m, x, lda, &panels, c, n, Start{D: d, LD: n, Bias: b}, ws) }
				run()
				if n := testing.AllocsPerRun(10, run); n != 0 {
					t.Errorf("transA=%v, workspace %v: %v allocations", transA, ws != nil, n)
				}
			}
		}
	})
}

// What is not finite stands at every place of A and of B in turn, and reaches the elements of C that have it in their chains
// and no others.
func TestPanelsNotFinite(t *testing.T) {
	everywhere(t, func(t *testing.T) {
		const m, n, k = 13, 49, 3
		a, b, c := make([]float32, m*k), make([]float32, k*n), make([]float32, m*n)
		var panels Panels
		for _, bad := range []float32{nan, inf, -inf} {
			for o := range 4 {
				transA, transB := o&1 > 0, o&2 > 0
				lda, ldb := k, n
				if transA {
					lda = m
				}
				if transB {
					ldb = k
				}
				for at := range m*k + k*n {
					for i := range a {
						a[i] = 1
					}
					for i := range b {
						b[i] = 1
					}
					row, col := -1, -1
					switch i := at - m*k; {
					case i < 0 && transA:
						a[at], row = bad, at%m
					case i < 0:
						a[at], row = bad, at/k
					case transB:
						b[i], col = bad, i/k
					default:
						b[i], col = bad, i%n
					}
					panels.Pack(transB, n, k, b, ldb)
					GemmPanels(transA, m, a, lda, &panels, c, n, Start{}, nil)
					for i, got := range c {
						want := float32(k)
						if i/n == row || i%n == col {
							want = bad
						}
						if !same(got, want) {
							t.Fatalf("%v at row %d or column %d, transA=%v transB=%v: C[%d,%d] = %v, want %v", bad, row, col, transA, transB, i/n, i%n, got, want)
						}
					}
				}
			}
		}
	})
}
