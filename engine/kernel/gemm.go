package kernel

import "fmt"

// Sizes of the blocks that Gemm works in. A panel of panelCols columns of B and blockK rows (16 KiB) stays in the
// first-level cache while the rows of A pass by, and a block of blockRows rows of A (384 KiB) in the second-level cache
// while the panels of B pass by.
const (
	panelCols = 16
	tileRows  = 6
	blockK    = 256
	blockRows = 384
	// tileGap is between packed tiles of A, so that their beginnings do not compete for the same few lines of the cache.
	tileGap = 16
	// genericCols is the width of the portable panels, a multiple of its tiles' three columns.
	genericCols = 48
)

// When to copy parts of A and B together first, as measured: rows that are many lines apart compete for the same few
// lines of the cache, and enough must be computed with a copy to pay for it.
const (
	farApartA, manyCols = 512, 48
	farApartB, manyRows = 64, 48
)

// Workspace is the scratch memory of [Gemm]: it holds parts of B in a better order, grows when it must and is then reused. The
// zero value is ready. It serves one goroutine at a time.
type Workspace struct{ a, b []float32 }

func take(buf *[]float32, n int) []float32 {
	if cap(*buf) < n {
		*buf = make([]float32, n)
	}
	return (*buf)[:n]
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
// ws holds parts of B. It may be nil, but then a product with transB set allocates.
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
	if m == 1 && useAVX2 {
		gemmRow(transB, n, k, a, stepK, b, ldb, c, accumulate)
		return
	}
	if useAVX2 {
		gemmAVX2(transA, transB, m, n, k, a, lda, b, ldb, c, ldc, accumulate, ws)
		return
	}
	for k0 := 0; k0 < k; k0 += blockK {
		kc := min(blockK, k-k0)
		for j0 := 0; j0 < n; j0 += genericCols {
			nc := min(genericCols, n-j0)
			panel, stepB := b, genericCols
			if transB {
				panel = take(&ws.b, blockK*genericCols)
				packGeneric(panel, b[j0*ldb+k0:], ldb, nc, kc)
			} else {
				panel, stepB = b[k0*ldb+j0:], ldb
			}
			gemmPanelGeneric(m, nc, kc, a[k0*stepK:], stepRow, stepK, panel, stepB, c[j0:], ldc, accumulate || k0 > 0)
		}
	}
}

// gemmAVX2 is Gemm without the trivial cases. Blocks of A and panels of B that are read often are copied together first.
func gemmAVX2(transA, transB bool, m, n, k int, a []float32, lda int, b []float32, ldb int, c []float32, ldc int, accumulate bool, ws *Workspace) {
	stepRow, stepK := lda, 1
	if transA {
		stepRow, stepK = 1, lda
	}
	packA := ws != nil && n >= manyCols && (transA || lda >= farApartA)
	packB := ws != nil && m >= manyRows && ldb >= farApartB && !transB
	rows := m
	if packA {
		rows = blockRows
	}
	for k0 := 0; k0 < k; k0 += blockK {
		kc := min(blockK, k-k0)
		add := accumulate || k0 > 0
		for i0 := 0; i0 < m; i0 += rows {
			mc := min(rows, m-i0)
			block, stepTile, stepRow, stepK := a[i0*stepRow+k0*stepK:], tileRows*stepRow, stepRow, stepK
			if packA {
				stepTile = tileRows*kc + tileGap
				into := take(&ws.a, (blockRows+tileRows-1)/tileRows*(tileRows*blockK+tileGap))
				if transA {
					packTransAVX2(&into[0], stepTile, &block[0], lda, mc, kc)
				} else {
					for i := 0; i < mc; i += tileRows {
						packTileAVX2(&into[i/tileRows*stepTile], &block[i*lda], lda, min(tileRows, mc-i), kc)
					}
				}
				block, stepRow, stepK = into, 1, tileRows
			}
			for j0 := 0; j0 < n; j0 += panelCols {
				nc := min(panelCols, n-j0)
				panel, stepB := b, ldb
				switch {
				case transB:
					panel, stepB = take(&ws.b, blockK*panelCols), panelCols
					packAVX2(panel, b[j0*ldb+k0:], ldb, nc, kc)
				case packB && nc == panelCols:
					panel, stepB = take(&ws.b, blockK*panelCols), panelCols
					pack16AVX2(&panel[0], &b[k0*ldb+j0], ldb, kc)
				default:
					panel = b[k0*ldb+j0:]
				}
				gemmPanelAVX2(mc, nc, kc, &block[0], stepTile, stepRow, stepK, &panel[0], stepB, &c[i0*ldc+j0], ldc, add)
			}
		}
	}
}

// gemmRow is Gemm for a single row, as decoding has many: B is read once, so that rearranging it would cost more than the
// product.
func gemmRow(transB bool, n, k int, a []float32, stepK int, b []float32, ldb int, c []float32, accumulate bool) {
	if transB {
		rowByRowsAVX2(n, k, &a[0], stepK, &b[0], ldb, &c[0], accumulate)
		return
	}
	whole := n / panelCols * panelCols
	rowByColumnsAVX2(whole, k, &a[0], stepK, &b[0], ldb, &c[0], accumulate)
	if whole < n {
		gemmPanelAVX2(1, n-whole, k, &a[0], 0, 0, stepK, &b[whole], ldb, &c[whole], 0, accumulate)
	}
}

// pack writes the transpose of the nc by kc matrix b to dst, as rows of panelCols elements (generic: genericCols) of which
// the first nc are set.
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
