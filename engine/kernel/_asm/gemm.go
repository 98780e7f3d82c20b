package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

const tileRows = 6

// columns says how a tile of up to 16 columns is held: in whole vectors, and perhaps a last one that is partly used.
type columns struct {
	name    string
	whole   int
	partial bool
}

func (c columns) vectors() int {
	if c.partial {
		return c.whole + 1
	}
	return c.whole
}

// panel holds what all tiles of a panel share.
type panel struct {
	a, c, stepRow, stepK, ldb, ldc, m reg.GPVirtual // a and c walk down the rows; steps in bytes
	columns
	mask reg.VecVirtual // the used lanes of the partial vector
}

// gemmPanel writes the matrix product: six rows at a time, then the one to five that are left.
func gemmPanel() {
	function("gemmPanelAVX2", "func(m, n, k int, a *float32, stepTile, stepRow, stepK int, b *float32, ldb int, c *float32, ldc int, add bool)",
		"gemmPanelAVX2 computes C[m, n] = A*B, or += if add is set, with n at most 16; element (i, p) of A is a[i/6*stepTile+i%6*stepRow+p*stepK].")
	n := loadWord("n")
	classes := []columns{{"full", 2, false}, {"wide", 1, true}, {"half", 1, false}, {"narrow", 0, true}}
	CMPQ(n, Imm(16))
	JEQ(LabelRef("full"))
	CMPQ(n, Imm(8))
	JGT(LabelRef("wide"))
	JEQ(LabelRef("half"))
	JMP(LabelRef("narrow"))
	for _, class := range classes {
		Label(class.name)
		p := panel{columns: class}
		p.a = loadWord("a")
		p.c = loadWord("c")
		p.m = loadWord("m")
		p.stepRow, p.stepK = loadBytes("stepRow"), loadBytes("stepK")
		p.ldb, p.ldc = loadBytes("ldb"), loadBytes("ldc")
		if class.partial {
			p.mask = tailMask(p.rest())
		}
		p.sixes()
		for rows := tileRows - 1; rows > 0; rows-- {
			Label(p.label("rows", rows))
			p.tile(rows)
			leave()
		}
	}
}

// loadWord loads a pointer or a number.
func loadWord(name string) reg.GPVirtual { return Load(Param(name), GP64()).(reg.GPVirtual) }

// loadBytes loads a distance in elements and makes it one in bytes.
func loadBytes(name string) reg.GPVirtual {
	r := loadWord(name)
	SHLQ(Imm(2), r)
	return r
}

func (p *panel) label(what string, rows int) string { return p.name + what + itoa(rows) }

// rest returns the number of columns in the partial vector.
func (p *panel) rest() reg.GPVirtual {
	r := loadWord("n")
	if p.whole > 0 {
		SUBQ(Imm(uint64(8*p.whole)), r)
	}
	return r
}

// sixes does all whole tiles and jumps to the tile for the rows that are left.
func (p *panel) sixes() {
	loop, tail := p.name+"loop", p.name+"tail"
	Label(loop)
	CMPQ(p.m, Imm(tileRows))
	JLT(LabelRef(tail))
	p.tile(tileRows)
	ADDQ(loadBytes("stepTile"), p.a)
	LEAQ(Mem{Base: p.c, Index: p.ldc, Scale: 4}, p.c)
	LEAQ(Mem{Base: p.c, Index: p.ldc, Scale: 2}, p.c)
	SUBQ(Imm(tileRows), p.m)
	JMP(LabelRef(loop))
	Label(tail)
	for rows := 1; rows < tileRows; rows++ {
		CMPQ(p.m, Imm(uint64(rows)))
		JEQ(LabelRef(p.label("rows", rows)))
	}
	leave()
}

// row addresses row r of a tile, given the address of row 0, that of row 3 and the distance.
func row(r int, r0, r3, step reg.Register) Mem {
	base := r0
	if r >= 3 {
		base, r = r3, r-3
	}
	switch r {
	case 0:
		return Mem{Base: base}
	case 1:
		return Mem{Base: base, Index: step, Scale: 1}
	default:
		return Mem{Base: base, Index: step, Scale: 2}
	}
}

// third returns base + 3*step if the tile has a row 3.
func third(rows int, base, step reg.GPVirtual) reg.GPVirtual {
	r := GP64()
	if rows > 3 {
		LEAQ(Mem{Base: base, Index: step, Scale: 2}, r)
		ADDQ(step, r)
	}
	return r
}

// tile computes rows by n elements of C: one sum to a lane, all of k in ascending order.
func (p *panel) tile(rows int) {
	vectors := p.vectors()
	sum := make([][]reg.VecVirtual, rows)
	for r := range sum {
		for range vectors {
			sum[r] = append(sum[r], YMM())
		}
	}
	start, loop := p.label("start", rows), p.label("k", rows)
	fresh := p.label("fresh", rows)
	add := Load(Param("add"), GP8()).(reg.GPVirtual)
	TESTB(add, add)
	JZ(LabelRef(fresh))
	c3 := third(rows, p.c, p.ldc)
	for r := range rows {
		for v, s := range sum[r] {
			p.load(v, row(r, p.c, c3, p.ldc), s)
		}
	}
	JMP(LabelRef(start))
	Label(fresh)
	for r := range rows {
		for _, s := range sum[r] {
			VXORPS(s, s, s)
		}
	}
	Label(start)
	a := GP64()
	MOVQ(p.a, a)
	a3 := third(rows, a, p.stepRow)
	b := loadWord("b")
	k := loadWord("k")
	step := func() {
		var bv []reg.VecVirtual
		for v := range vectors {
			bv = append(bv, YMM())
			p.load(v, Mem{Base: b}, bv[v])
		}
		for r := range rows {
			x := YMM()
			VBROADCASTSS(row(r, a, a3, p.stepRow), x)
			for v := range vectors {
				VFMADD231PS(bv[v], x, sum[r][v])
			}
		}
		ADDQ(p.stepK, a)
		if rows > 3 {
			ADDQ(p.stepK, a3)
		}
		ADDQ(p.ldb, b)
	}
	Label(loop)
	step()
	DECQ(k)
	JNZ(LabelRef(loop))
	c3 = third(rows, p.c, p.ldc)
	var rest reg.GPVirtual
	if p.partial {
		rest = p.rest()
	}
	for r := range rows {
		at := row(r, p.c, c3, p.ldc)
		for v, s := range sum[r] {
			if v < p.whole {
				VMOVUPS(s, at.Offset(32*v))
			} else {
				storePartial(s, at.Offset(32*v), rest)
			}
		}
	}
}

// load reads vector v of a row of B or C that begins at the address.
func (p *panel) load(v int, at Mem, dst reg.VecVirtual) {
	if v < p.whole {
		VMOVUPS(at.Offset(32*v), dst)
	} else {
		VMASKMOVPS(at.Offset(32*v), p.mask, dst)
	}
}

// strip is up to eight rows of a matrix, read in blocks of eight columns. Its pointers move along.
type strip struct {
	b0, b3, b6, ldb reg.GPVirtual // rows 0, 3 and 6; the distance in bytes
	rows, k         reg.GPVirtual // k counts the columns that remain
}

func newStrip(b0, ldb, rows, k reg.GPVirtual) *strip {
	b3 := third(4, b0, ldb)
	return &strip{b0, b3, third(4, b3, ldb), ldb, rows, k}
}

func (s *strip) row(j int) Mem {
	if j >= 6 {
		return row(j-6, s.b6, s.b6, s.ldb)
	}
	return row(j, s.b0, s.b3, s.ldb)
}

// walk gives use every column in ascending order, as a vector of the rows' elements with zeros for missing rows. After
// each whole block it calls next.
func (s *strip) walk(use func(p int, column reg.VecVirtual), next func()) {
	some, end := label("some"), label("walked")
	CMPQ(s.rows, Imm(8))
	JNE(LabelRef(some))
	s.blocks(true, end, use, next)
	Label(some)
	s.blocks(false, end, use, next)
	Label(end)
}

// blocks walks over strips with or without all eight rows.
func (s *strip) blocks(whole bool, end string, use func(p int, column reg.VecVirtual), next func()) {
	loop, tail := label("block"), label("columns")
	Label(loop)
	CMPQ(s.k, Imm(8))
	JLT(LabelRef(tail))
	for p, column := range transpose(s.load(whole, nil)) {
		use(p, column)
	}
	next()
	for _, b := range []reg.GPVirtual{s.b0, s.b3, s.b6} {
		ADDQ(Imm(32), b)
	}
	SUBQ(Imm(8), s.k)
	JMP(LabelRef(loop))
	Label(tail)
	TESTQ(s.k, s.k)
	JZ(LabelRef(end))
	mask := tailMask(s.k)
	for p, column := range transpose(s.load(whole, &mask)) {
		if p > 0 {
			CMPQ(s.k, Imm(uint64(p)))
			JLE(LabelRef(end))
		}
		use(p, column)
	}
	JMP(LabelRef(end))
}

// load reads a block, or the part of it that the mask allows.
func (s *strip) load(whole bool, mask *reg.VecVirtual) []reg.VecVirtual {
	loaded := label("loaded")
	v := make([]reg.VecVirtual, 8)
	for j := range v {
		v[j] = YMM()
		if !whole {
			VXORPS(v[j], v[j], v[j])
		}
	}
	for j := range v {
		if !whole && j > 0 {
			CMPQ(s.rows, Imm(uint64(j)))
			JLE(LabelRef(loaded))
		}
		if mask == nil {
			VMOVUPS(s.row(j), v[j])
		} else {
			VMASKMOVPS(s.row(j), *mask, v[j])
		}
	}
	Label(loaded)
	return v
}

// pack writes the transposition of up to eight rows into a panel of B.
func pack() {
	function("pack8AVX2", "func(dst *float32, b *float32, ldb, rows, k int)",
		"pack8AVX2 sets dst[p*16+j] = b[j*ldb+p] for j < rows, at most 8, and p < k; up to column 8 it may write zeros.")
	dst, b := loadWord("dst"), loadWord("b")
	s := newStrip(b, loadBytes("ldb"), loadWord("rows"), loadWord("k"))
	s.walk(func(p int, column reg.VecVirtual) {
		VMOVUPS(column, Mem{Base: dst, Disp: 64 * p})
	}, func() { ADDQ(U32(8*64), dst) })
	leave()
}

// packWhole writes the copy of a whole panel of B to where its rows lie next to one another.
func packWhole() {
	function("pack16AVX2", "func(dst *float32, b *float32, ldb, k int)", "pack16AVX2 sets dst[p*16+j] = b[p*ldb+j] for j < 16 and p < k.")
	dst, b, ldb, k := loadWord("dst"), loadWord("b"), loadBytes("ldb"), loadWord("k")
	ahead := GP64()
	MOVQ(ldb, ahead)
	SHLQ(Imm(4), ahead)
	ADDQ(b, ahead)
	Label("loop")
	low, high := YMM(), YMM()
	VMOVUPS(Mem{Base: b}, low)
	VMOVUPS(Mem{Base: b, Disp: 32}, high)
	PREFETCHT0(Mem{Base: ahead})
	VMOVUPS(low, Mem{Base: dst})
	VMOVUPS(high, Mem{Base: dst, Disp: 32})
	ADDQ(ldb, b)
	ADDQ(ldb, ahead)
	ADDQ(Imm(64), dst)
	DECQ(k)
	JNZ(LabelRef("loop"))
	leave()
}

// packTiles writes the copies of tiles of A to where their columns of up to six elements lie next to one another. What is
// stored beyond the sixth element is overwritten with the next column.
func packTiles() {
	function("packTileAVX2", "func(dst *float32, a *float32, lda, rows, k int)",
		"packTileAVX2 sets dst[p*6+i] = a[i*lda+p] for i < rows, at most 6, and p < k; up to dst[k*6+1] it may write zeros.")
	dst, a := loadWord("dst"), loadWord("a")
	newStrip(a, loadBytes("lda"), loadWord("rows"), loadWord("k")).walk(func(p int, column reg.VecVirtual) {
		VMOVUPS(column, Mem{Base: dst, Disp: 24 * p})
	}, func() { ADDQ(U32(8*24), dst) })
	leave()

	function("packTransAVX2", "func(dst *float32, stepTile int, a *float32, lda, rows, k int)",
		"packTransAVX2 sets dst[i/6*stepTile+p*6+i%6] = a[p*lda+i] for i < rows and p < k; beyond a tile's k*6 elements it may write two more.")
	dst, stepTile := loadWord("dst"), loadBytes("stepTile")
	a, lda, k := loadWord("a"), loadBytes("lda"), loadWord("k")
	to, from, left := GP64(), GP64(), GP64()
	move := func(mask *reg.VecVirtual) {
		v := YMM()
		if mask == nil {
			VMOVUPS(Mem{Base: from}, v)
		} else {
			VMASKMOVPS(Mem{Base: from}, *mask, v)
		}
		VMOVUPS(v, Mem{Base: to})
	}
	whole := GP64()
	MOVQ(U32(tileRows), whole)
	wholeMask := tailMask(whole)
	rest := GP64() // rows of the last tile, 1 to 6
	MOVQ(loadWord("rows"), rest)
	Label("reduce")
	CMPQ(rest, Imm(tileRows))
	JLE(LabelRef("reduced"))
	SUBQ(Imm(tileRows), rest)
	JMP(LabelRef("reduce"))
	Label("reduced")
	restMask := tailMask(rest)
	rows := loadWord("rows")
	Label("row")
	MOVQ(dst, to)
	MOVQ(a, from)
	MOVQ(rows, left)
	Label("tile")
	CMPQ(left, Imm(8)) // a whole vector may be read
	JL(LabelRef("last"))
	move(nil)
	ADDQ(Imm(4*tileRows), from)
	ADDQ(stepTile, to)
	SUBQ(Imm(tileRows), left)
	JMP(LabelRef("tile"))
	Label("last")
	CMPQ(left, Imm(tileRows))
	JLE(LabelRef("rest"))
	move(&wholeMask)
	ADDQ(Imm(4*tileRows), from)
	ADDQ(stepTile, to)
	Label("rest")
	move(&restMask)
	ADDQ(lda, a)
	ADDQ(Imm(4*tileRows), dst)
	DECQ(k)
	JNZ(LabelRef("row"))
	leave()
}

// rowByRows writes the product of one row with a transposed B: eight of its rows at a time, turned in registers.
func rowByRows() {
	function("rowByRowsAVX2", "func(n, k int, a *float32, stepK int, b *float32, ldb int, c *float32, add bool)",
		"rowByRowsAVX2 sets c[j] to the sum over p < k of a[p*stepK]*b[j*ldb+p] for j < n, added to c[j] if add is set.")
	n, stepK, ldb := loadWord("n"), loadBytes("stepK"), loadBytes("ldb")
	b, c := loadWord("b"), loadWord("c")
	Label("strip")
	TESTQ(n, n)
	JZ(LabelRef("done"))
	rows := GP64()
	MOVQ(U32(8), rows)
	CMPQ(n, rows)
	CMOVQLT(n, rows)
	total := YMM()
	VXORPS(total, total, total)
	add := Load(Param("add"), GP8()).(reg.GPVirtual)
	TESTB(add, add)
	JZ(LabelRef("begin"))
	mask := tailMask(rows)
	VMASKMOVPS(Mem{Base: c}, mask, total)
	Label("begin")
	b0, a := GP64(), loadWord("a")
	MOVQ(b, b0)
	newStrip(b0, ldb, rows, loadWord("k")).walk(func(_ int, column reg.VecVirtual) {
		x := YMM()
		VBROADCASTSS(Mem{Base: a}, x)
		VFMADD231PS(column, x, total)
		ADDQ(stepK, a)
	}, func() {})
	CMPQ(rows, Imm(8))
	JNE(LabelRef("last"))
	VMOVUPS(total, Mem{Base: c})
	ADDQ(Imm(32), c)
	LEAQ(Mem{Base: b, Index: ldb, Scale: 8}, b)
	SUBQ(Imm(8), n)
	JMP(LabelRef("strip"))
	Label("last")
	storePartial(total, Mem{Base: c}, rows)
	Label("done")
	leave()
}

// rowByColumns writes the product of one row with whole groups of B's columns: many sums at once, where a tile of one row
// would wait for each addition.
func rowByColumns() {
	function("rowByColumnsAVX2", "func(n, k int, a *float32, stepK int, b *float32, ldb int, c *float32, add bool)",
		"rowByColumnsAVX2 sets c[j] to the sum over p < k of a[p*stepK]*b[p*ldb+j] for j < n, a multiple of 16, added to c[j] if add is set.")
	n, stepK, ldb := loadWord("n"), loadBytes("stepK"), loadBytes("ldb")
	b, c := loadWord("b"), loadWord("c")
	for _, wide := range []int{8, 4, 2} {
		name := "by" + itoa(8*wide)
		Label(name)
		CMPQ(n, Imm(uint64(8*wide)))
		JLT(LabelRef(name + "done"))
		total := zeros(wide)
		add := Load(Param("add"), GP8()).(reg.GPVirtual)
		TESTB(add, add)
		JZ(LabelRef(name + "begin"))
		for j, t := range total {
			VMOVUPS(Mem{Base: c, Disp: 32 * j}, t)
		}
		Label(name + "begin")
		a, k, row := loadWord("a"), loadWord("k"), GP64()
		MOVQ(b, row)
		Label(name + "k")
		x := YMM()
		VBROADCASTSS(Mem{Base: a}, x)
		for j, t := range total {
			VFMADD231PS(Mem{Base: row, Disp: 32 * j}, x, t)
		}
		ADDQ(stepK, a)
		ADDQ(ldb, row)
		DECQ(k)
		JNZ(LabelRef(name + "k"))
		for j, t := range total {
			VMOVUPS(t, Mem{Base: c, Disp: 32 * j})
		}
		ADDQ(U32(uint32(32*wide)), b)
		ADDQ(U32(uint32(32*wide)), c)
		SUBQ(Imm(uint64(8*wide)), n)
		JMP(LabelRef(name))
		Label(name + "done")
	}
	leave()
}

// transpose returns the columns of an 8 by 8 matrix: pairs, then quadruples within the 128-bit halves, then the halves.
func transpose(v []reg.VecVirtual) []reg.VecVirtual {
	pair := make([]reg.VecVirtual, 8)
	for j := 0; j < 8; j += 2 {
		pair[j], pair[j+1] = YMM(), YMM()
		VUNPCKLPS(v[j+1], v[j], pair[j])
		VUNPCKHPS(v[j+1], v[j], pair[j+1])
	}
	quad := make([]reg.VecVirtual, 8)
	for h := 0; h < 8; h += 4 {
		for i := range 2 {
			quad[h+2*i], quad[h+2*i+1] = YMM(), YMM()
			VSHUFPS(U8(0x44), pair[h+2+i], pair[h+i], quad[h+2*i])
			VSHUFPS(U8(0xee), pair[h+2+i], pair[h+i], quad[h+2*i+1])
		}
	}
	out := make([]reg.VecVirtual, 8)
	for i := range 4 {
		out[i], out[i+4] = YMM(), YMM()
		VPERM2F128(U8(0x20), quad[i+4], quad[i], out[i])
		VPERM2F128(U8(0x31), quad[i+4], quad[i], out[i+4])
	}
	return out
}

// peak writes the loop that measures the machine: as many independent fused multiply-adds as it can do, from registers.
func peak() {
	function("peakAVX2", "func(n int)", "peakAVX2 does n rounds of 12 fused multiply-adds of 8 lanes: 192 n floating-point operations.")
	n := Load(Param("n"), GP64())
	x := YMM()
	VXORPS(x, x, x)
	var sum []reg.VecVirtual
	for range 12 {
		s := YMM()
		VXORPS(s, s, s)
		sum = append(sum, s)
	}
	Label("loop")
	for _, s := range sum {
		VFMADD231PS(x, x, s)
	}
	DECQ(n)
	JNZ(LabelRef("loop"))
	leave()
}
