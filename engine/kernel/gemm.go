package kernel

import (
	"fmt"
	"unsafe"
)

// blocking is how an implementation cuts products. A block of blockRows rows of A stays in the second-level cache while the
// panels of B pass by, and a panel of B in the first-level cache while the tiles of A do.
type blocking struct {
	cols int // of a panel of B, and of a tile
	rows int // of a tile
}

// The largest number of terms that are added in one go, and of rows of A that are copied together.
const (
	blockK    = 256
	blockRows = 384
)

// tileGap is between packed tiles of A, so that their beginnings do not compete for the same few lines of the cache; tiles
// are overwritten by less than that.
const tileGap = 16

var (
	genericBlocking = blocking{cols: 48, rows: 1}
	avx2Blocking    = blocking{cols: 16, rows: 6}
	avx512Blocking  = blocking{cols: 32, rows: 12}
)

func currentBlocking() blocking {
	switch {
	case useAVX512:
		return avx512Blocking
	case useAVX2:
		return avx2Blocking
	}
	return genericBlocking
}

// When to copy parts of A and B together first, as measured: rows that are many lines apart compete for the same few
// lines of the cache, and enough must be computed with a copy to pay for it.
const (
	farApartA, manyCols = 512, 48
	farApartB, manyRows = 64, 48
)

// Workspace is the scratch memory of products: it holds parts of A and B in a better order, grows when it must and is then
// reused. The zero value is ready. It serves one goroutine at a time.
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
// adds a[i,0]*b[0,j], a[i,1]*b[1,j] and so on, each product fused into its addition by avx2 and avx512 and rounded before
// it by generic. It depends on nothing else, so rows and columns can be batched, split and reordered without changing a
// bit, and avx2 and avx512 give the same bits. An accumulating product over k1+k2 terms has the bits of two that accumulate
// over k1 and then k2.
//
// ws holds copies of parts of A and B. It may be nil, but then a product with transB set allocates.
func Gemm(transA, transB bool, m, n, k int, a []float32, lda int, b []float32, ldb int, c []float32, ldc int, accumulate bool, ws *Workspace) {
	checkMatrix("A", transA, m, k, a, lda)
	checkMatrix("B", transB, k, n, b, ldb)
	checkMatrix("C", false, m, n, c, ldc)
	if m == 1 && n > 0 && k > 0 && useAVX2 {
		stepK := 1
		if transA {
			stepK = lda
		}
		gemmRow(transB, n, k, a, stepK, b, ldb, c, accumulate)
		return
	}
	if transB && ws == nil {
		ws = new(Workspace)
	}
	p := product{m: m, n: n, k: k, a: a, lda: lda, transA: transA, b: b, ldb: ldb, transB: transB, c: c, ldc: ldc}
	if accumulate {
		p.d, p.ldd = c, ldc
	}
	p.run(ws)
}

// Start is what the elements of a product start from: D plus Bias, in this order. D is nil for zeros, or a matrix as large as
// the product, row-major with leading dimension LD, which may be the product's own memory. Bias is nil, or has one number
// for each column.
type Start struct {
	D    []float32
	LD   int
	Bias []float32
}

// GemmPanels computes C = start + op(A)*B with chains as [Gemm] has them. op(A) is m by k; A is stored k by m if transA is
// set. C overlaps neither A nor the bias. ws may be nil.
func GemmPanels(transA bool, m int, a []float32, lda int, b *Panels, c []float32, ldc int, start Start, ws *Workspace) {
	if b.cols != currentBlocking().cols {
		panic("kernel.GemmPanels: B was packed for other kernels than those in use")
	}
	checkMatrix("A", transA, m, b.k, a, lda)
	checkMatrix("C", false, m, b.n, c, ldc)
	if start.D != nil {
		checkMatrix("D", false, m, b.n, start.D, start.LD)
	}
	if start.Bias != nil && len(start.Bias) < b.n {
		panicMatrix("the bias", 1, b.n, len(start.Bias), b.n)
	}
	p := product{m: m, n: b.n, k: b.k, a: a, lda: lda, transA: transA, b: b.data, packed: true, c: c, ldc: ldc, bias: start.Bias}
	if start.D != nil {
		p.d, p.ldd = start.D, start.LD
	}
	p.run(ws)
}

// Panels is a matrix B in the order in which products read it, for matrices that take part in many of them. It belongs to
// the kernels that were in use when it was packed. The zero value is ready for Pack.
type Panels struct {
	n, k int
	cols int       // of a panel
	data []float32 // panels of k rows by cols columns; what is beyond the last column is not read
}

// Pack makes p the k by n matrix op(B), which is stored n by k if transB is set. It allocates only if p was smaller before.
func (p *Panels) Pack(transB bool, n, k int, b []float32, ldb int) {
	checkMatrix("B", transB, k, n, b, ldb)
	p.n, p.k, p.cols = n, k, currentBlocking().cols
	p.data = take(&p.data, (n+p.cols-1)/p.cols*p.cols*k)
	if n == 0 || k == 0 {
		return
	}
	if transB {
		packRows(p.data, p.cols*k, b, ldb, n, k)
	} else {
		packColumns(p.data, p.cols*k, b, ldb, n, k)
	}
}

// product is a product in the making: C = D + bias + op(A)*op(B).
type product struct {
	m, n, k        int
	a              []float32
	lda            int
	transA, transB bool
	b              []float32 // row-major, or panels if packed
	ldb            int
	packed         bool
	c              []float32
	ldc            int
	d              []float32 // nil for zeros
	ldd            int
	bias           []float32 // nil for none
}

func (p *product) run(ws *Workspace) {
	if p.m == 0 || p.n == 0 {
		return
	}
	if p.k == 0 {
		p.start()
		return
	}
	by := currentBlocking()
	stepRow, stepK := p.lda, 1
	if p.transA {
		stepRow, stepK = 1, p.lda
	}
	packA := useAVX2 && ws != nil && p.n >= manyCols && (p.transA || p.lda >= farApartA)
	packB := !p.packed && (p.transB || useAVX2 && ws != nil && p.m >= manyRows && p.ldb >= farApartB)
	for k0 := 0; k0 < p.k; k0 += blockK {
		kc := min(blockK, p.k-k0)
		if k0 > 0 {
			p.d, p.ldd, p.bias = p.c, p.ldc, nil
		}
		b := p.panels(k0, kc, packB, by.cols, ws)
		for i0 := 0; i0 < p.m; i0 += blockRows {
			t := tiles{m: min(blockRows, p.m-i0), k: kc, a: p.a[i0*stepRow+k0*stepK:], stepTile: by.rows * stepRow, stepRow: stepRow, stepK: stepK}
			if packA {
				t.pack(p.transA, p.lda, by.rows, ws)
			}
			for j0 := 0; j0 < p.n; j0 += by.cols {
				t.multiply(min(by.cols, p.n-j0), b.data[j0/by.cols*b.step:], b.ld, p, i0, j0)
			}
		}
	}
}

// start is the product without terms.
func (p *product) start() {
	for i := range p.m {
		row := p.c[i*p.ldc : i*p.ldc+p.n]
		if p.d == nil {
			clear(row)
		} else {
			copy(row, p.d[i*p.ldd:])
		}
		if p.bias != nil {
			Add(row, p.bias[:p.n])
		}
	}
}

// block is some rows of B as panels: element (p, j) is data[j/cols*step + p*ld + j%cols].
type block struct {
	data     []float32
	step, ld int
}

// panels returns rows k0 to k0+kc of B, copied together if pack is set.
func (p *product) panels(k0, kc int, pack bool, cols int, ws *Workspace) block {
	switch {
	case p.packed:
		return block{p.b[k0*cols:], cols * p.k, cols}
	case !pack:
		return block{p.b[k0*p.ldb:], cols, p.ldb}
	}
	step := cols * kc
	data := take(&ws.b, (p.n+cols-1)/cols*step+tileGap)
	if p.transB {
		packRows(data, step, p.b[k0:], p.ldb, p.n, kc)
	} else {
		packColumns(data, step, p.b[k0*p.ldb:], p.ldb, p.n, kc)
	}
	return block{data, step, cols}
}

// tiles are some rows of A: element (i, p) is a[i/rows*stepTile + i%rows*stepRow + p*stepK].
type tiles struct {
	m, k                     int
	a                        []float32
	stepTile, stepRow, stepK int
}

// pack copies the rows to the workspace, tile by tile, column by column.
func (t *tiles) pack(transA bool, lda, height int, ws *Workspace) {
	step := height*t.k + tileGap
	into := take(&ws.a, (blockRows+height-1)/height*(height*blockK+tileGap))
	switch {
	case transA && useAVX512:
		packTransposedAVX512(&into[0], step, &t.a[0], lda, t.m, t.k)
	case transA:
		packTransposedAVX2(&into[0], step, &t.a[0], lda, t.m, t.k)
	default:
		for i := 0; i < t.m; i += height {
			to, from, rows := &into[i/height*step], &t.a[i*lda], min(height, t.m-i)
			if useAVX512 {
				packTileAVX512(to, from, lda, rows, t.k)
			} else {
				packTileAVX2(to, from, lda, rows, t.k)
			}
		}
	}
	t.a, t.stepTile, t.stepRow, t.stepK = into, step, 1, height
}

// multiply computes the elements of p's C that lie in the tiles' rows, from i0 on, and in a panel of n columns, from j0 on.
func (t *tiles) multiply(n int, b []float32, ldb int, p *product, i0, j0 int) {
	c, ldc := p.c[i0*p.ldc+j0:], p.ldc
	d, ldd, bias := p.d, p.ldd, p.bias
	if d != nil {
		d = d[i0*ldd+j0:]
	}
	if bias != nil {
		bias = bias[j0:]
	}
	switch {
	case useAVX512:
		gemmPanelAVX512(t.m, n, t.k, &t.a[0], t.stepTile, t.stepRow, t.stepK, &b[0], ldb, &c[0], ldc, unsafe.SliceData(d), ldd, unsafe.SliceData(bias))
	case useAVX2:
		gemmPanelAVX2(t.m, n, t.k, &t.a[0], t.stepTile, t.stepRow, t.stepK, &b[0], ldb, &c[0], ldc, unsafe.SliceData(d), ldd, unsafe.SliceData(bias))
	default:
		gemmPanelGeneric(t.m, n, t.k, t.a, t.stepRow, t.stepK, b, ldb, c, ldc, d, ldd, bias)
	}
}

// packRows writes the transpose of the n by k matrix b to dst as panels, step elements apart. What is beyond the n-th column
// may be set to anything.
func packRows(dst []float32, step int, b []float32, ldb, n, k int) {
	cols := currentBlocking().cols
	for j := 0; j < n; j += 8 {
		to := dst[j/cols*step+j%cols:]
		switch {
		case useAVX512:
			packRowsAVX512(&to[0], &b[j*ldb], ldb, min(8, n-j), k)
		case useAVX2:
			packRowsAVX2(&to[0], &b[j*ldb], ldb, min(8, n-j), k)
		default:
			packRowsGeneric(to, b[j*ldb:], ldb, min(8, n-j), k)
		}
	}
}

// packColumns writes the k by n matrix b to dst as panels, step elements apart. What is beyond the n-th column may be set to
// anything.
func packColumns(dst []float32, step int, b []float32, ldb, n, k int) {
	switch {
	case useAVX512:
		packColumnsAVX512(&dst[0], step, &b[0], ldb, n, k)
	case useAVX2:
		packColumnsAVX2(&dst[0], step, &b[0], ldb, n, k)
	default:
		packColumnsGeneric(dst, step, b, ldb, n, k)
	}
}

// gemmRow is Gemm for a single row: B is read once, so that rearranging it would cost more than the product.
func gemmRow(transB bool, n, k int, a []float32, stepK int, b []float32, ldb int, c []float32, accumulate bool) {
	if transB {
		rowByRowsAVX2(n, k, &a[0], stepK, &b[0], ldb, &c[0], accumulate)
		return
	}
	const step = 16
	whole := n / step * step
	rowByColumnsAVX2(whole, k, &a[0], stepK, &b[0], ldb, &c[0], accumulate)
	if whole < n {
		d := (*float32)(nil)
		if accumulate {
			d = &c[whole]
		}
		gemmPanelAVX2(1, n-whole, k, &a[0], 0, 0, stepK, &b[whole], ldb, &c[whole], 0, d, 0, nil)
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
