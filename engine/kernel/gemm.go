package kernel

import "fmt"

// Sizes of the blocks that Gemm works in. A panel of panelCols columns of B and blockK rows stays in the first-level
// cache (16 KiB) while all rows of A pass by.
const (
	panelCols = 16
	blockK    = 256
)

// Workspace is the scratch memory of [Gemm]: it holds the transposed operand, grows when it must and is then reused. The
// zero value is ready. It serves one goroutine at a time.
type Workspace struct{ buf []float32 }

func (w *Workspace) take(n int) []float32 {
	if cap(w.buf) < n {
		w.buf = make([]float32, n)
	}
	return w.buf[:n]
}

// Gemm computes C = op(A)*op(B), or C += op(A)*op(B) if accumulate is set. op(A) is m by k and op(B) is k by n; A is
// stored k by m if transA is set, and B n by k if transB is set. lda, ldb and ldc are the distances between stored rows,
// at least their lengths. C overlaps neither A nor B.
//
// Each element of C is one chain over ascending k: it starts from 0, or from the old element if accumulate is set, and
// adds a[i,0]*b[0,j], a[i,1]*b[1,j] and so on, each product fused into its addition by avx2 and rounded before it by
// generic. It depends on nothing else, so rows and columns can be batched, split and reordered without changing a bit.
// An accumulating product over k1+k2 terms has the bits of two that accumulate over k1 and then k2.
//
// ws is used only if transB is set; nil then allocates.
func Gemm(transA, transB bool, m, n, k int, a []float32, lda int, b []float32, ldb int, c []float32, ldc int, accumulate bool, ws *Workspace) {
	checkMatrix("A", transA, m, k, a, lda)
	checkMatrix("B", transB, k, n, b, ldb)
	checkMatrix("C", false, m, n, c, ldc)
	if m == 0 || n == 0 {
		return
	}
	if k == 0 {
		if !accumulate {
			for i := range m {
				clear(c[i*ldc : i*ldc+n])
			}
		}
		return
	}
	stepRow, stepK := lda, 1
	if transA {
		stepRow, stepK = 1, lda
	}
	if transB && ws == nil {
		ws = new(Workspace)
	}
	for k0 := 0; k0 < k; k0 += blockK {
		kc := min(blockK, k-k0)
		add := accumulate || k0 > 0
		ak := a[k0*stepK:]
		for j0 := 0; j0 < n; j0 += panelCols {
			nc := min(panelCols, n-j0)
			var panel []float32
			stepB := ldb
			if transB {
				stepB = panelCols
				panel = ws.take(blockK * panelCols)
				pack(panel, b[j0*ldb+k0:], ldb, nc, kc)
			} else {
				panel = b[k0*ldb+j0:]
			}
			if useAVX2 {
				gemmPanelAVX2(m, nc, kc, &ak[0], stepRow, stepK, &panel[0], stepB, &c[j0], ldc, add)
			} else {
				gemmPanelGeneric(m, nc, kc, ak, stepRow, stepK, panel, stepB, c[j0:], ldc, add)
			}
		}
	}
}

// pack writes the transpose of the nc by kc matrix b to dst, as rows of panelCols elements of which the first nc are set.
func pack(dst, b []float32, ldb, nc, kc int) {
	if useAVX2 {
		packAVX2(dst, b, ldb, nc, kc)
	} else {
		packGeneric(dst, b, ldb, nc, kc)
	}
}

// checkMatrix panics unless x holds a rows by cols matrix (cols by rows if trans) with leading dimension ld.
func checkMatrix(name string, trans bool, rows, cols int, x []float32, ld int) {
	if trans {
		rows, cols = cols, rows
	}
	if rows < 0 || cols < 0 || ld < cols || (rows > 0 && cols > 0 && len(x) < (rows-1)*ld+cols) {
		panicMatrix(name, rows, cols, len(x), ld)
	}
}

//go:noinline
func panicMatrix(name string, rows, cols, length, ld int) {
	panic(fmt.Sprintf("kernel.Gemm: %s is stored as %d rows of %d with leading dimension %d, but its slice has %d elements", name, rows, cols, ld, length))
}
