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
	function("gemmPanelAVX2", "func(m, n, k int, a *float32, stepRow, stepK int, b *float32, ldb int, c *float32, ldc int, add bool)",
		"gemmPanelAVX2 computes C[m, n] = A*B, or += if add is set, with n at most 16; element (i, p) of A is a[i*stepRow+p*stepK].")
	n := Load(Param("n"), GP64()).(reg.GPVirtual)
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
		p.a = Load(Param("a"), GP64()).(reg.GPVirtual)
		p.c = Load(Param("c"), GP64()).(reg.GPVirtual)
		p.m = Load(Param("m"), GP64()).(reg.GPVirtual)
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

// loadBytes loads a distance in elements and makes it one in bytes.
func loadBytes(name string) reg.GPVirtual {
	r := Load(Param(name), GP64()).(reg.GPVirtual)
	SHLQ(Imm(2), r)
	return r
}

func (p *panel) label(what string, rows int) string { return p.name + what + itoa(rows) }

// rest returns the number of columns in the partial vector.
func (p *panel) rest() reg.GPVirtual {
	r := Load(Param("n"), GP64()).(reg.GPVirtual)
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
	LEAQ(Mem{Base: p.a, Index: p.stepRow, Scale: 4}, p.a)
	LEAQ(Mem{Base: p.a, Index: p.stepRow, Scale: 2}, p.a)
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
	b := Load(Param("b"), GP64()).(reg.GPVirtual)
	k := Load(Param("k"), GP64()).(reg.GPVirtual)
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

// pack writes the transposition of up to eight rows into a panel of B.
func pack() {
	function("pack8AVX2", "func(dst *float32, b *float32, ldb, rows, k int)",
		"pack8AVX2 sets dst[p*16+j] = b[j*ldb+p] for j < rows, at most 8, and p < k; up to column 8 it may write zeros.")
	dst := Load(Param("dst"), GP64()).(reg.GPVirtual)
	b0 := Load(Param("b"), GP64()).(reg.GPVirtual)
	ldb := loadBytes("ldb")
	rows := Load(Param("rows"), GP64()).(reg.GPVirtual)
	k := Load(Param("k"), GP64()).(reg.GPVirtual)
	b3 := third(4, b0, ldb)
	b6 := third(4, b3, ldb)
	address := func(j int) Mem {
		if j >= 6 {
			return row(j-6, b6, b6, ldb)
		}
		return row(j, b0, b3, ldb)
	}
	// block transposes eight by eight. Without a mask it reads eight elements of a row, with one those it allows and
	// writes as many rows.
	block := func(whole bool, mask *reg.VecVirtual, name string) {
		v := make([]reg.VecVirtual, 8)
		for j := range v {
			v[j] = YMM()
			if !whole {
				VXORPS(v[j], v[j], v[j])
			}
		}
		for j := range v {
			if !whole && j > 0 {
				CMPQ(rows, Imm(uint64(j)))
				JLE(LabelRef(name + "loaded"))
			}
			if mask == nil {
				VMOVUPS(address(j), v[j])
			} else {
				VMASKMOVPS(address(j), *mask, v[j])
			}
		}
		Label(name + "loaded")
		for p, out := range transpose(v) {
			if mask != nil && p > 0 {
				CMPQ(k, Imm(uint64(p)))
				JLE(LabelRef("done"))
			}
			VMOVUPS(out, Mem{Base: dst, Disp: 64 * p})
		}
		if mask != nil {
			JMP(LabelRef("done"))
		}
	}
	loop := func(whole bool, name string) {
		Label(name)
		CMPQ(k, Imm(8))
		JLT(LabelRef(name + "tail"))
		block(whole, nil, name)
		ADDQ(U32(8*64), dst)
		for _, b := range []reg.GPVirtual{b0, b3, b6} {
			ADDQ(Imm(32), b)
		}
		SUBQ(Imm(8), k)
		JMP(LabelRef(name))
		Label(name + "tail")
		TESTQ(k, k)
		JZ(LabelRef("done"))
		mask := tailMask(k)
		block(whole, &mask, name+"tail")
	}
	CMPQ(rows, Imm(8))
	JNE(LabelRef("some"))
	loop(true, "all")
	loop(false, "some")
	Label("done")
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
