package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// strip is up to eight rows of a matrix, read in blocks of eight columns. Its pointers move along.
type strip struct {
	from    rowPointers
	rows, k reg.GPVirtual // k counts the columns that remain
}

func newStrip(b0, ldb, rows, k reg.GPVirtual) *strip {
	return &strip{newRows(8, b0, ldb), rows, k}
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
	for _, b := range s.from.pointers {
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
			VMOVUPS(s.from.at(j), v[j])
		} else {
			VMASKMOVPS(s.from.at(j), *mask, v[j])
		}
	}
	Label(loaded)
	return v
}

// packRows writes the transposition of up to eight rows into a panel of B.
func packRows(t target) {
	cols := itoa(t.columns())
	function("packRows"+t.name, "func(dst *float32, b *float32, ldb, rows, k int)",
		"packRows"+t.name+" sets dst[p*"+cols+"+j] = b[j*ldb+p] for j < rows, at most 8, and p < k; up to column 8 it may write zeros.")
	dst, b := loadWord("dst"), loadWord("b")
	step := 4 * t.columns()
	newStrip(b, loadBytes("ldb"), loadWord("rows"), loadWord("k")).walk(func(p int, column reg.VecVirtual) {
		VMOVUPS(column, Mem{Base: dst, Disp: step * p})
	}, func() { ADDQ(U32(8*step), dst) })
	leave()
}

// packTiles writes the copies of tiles of A to where their columns lie next to one another. What is stored beyond a column
// is overwritten with the next one.
func packTiles(t target) {
	height := itoa(t.rows)
	function("packTile"+t.name, "func(dst *float32, a *float32, lda, rows, k int)",
		"packTile"+t.name+" sets dst[p*"+height+"+i] = a[i*lda+p] for i < rows, at most "+height+", and p < k; it may write 16 more than k*"+height+" elements.")
	for first := 0; first < t.rows; first += 8 {
		done := label("done")
		rows, dst, a, lda := loadWord("rows"), loadWord("dst"), loadWord("a"), loadBytes("lda")
		if first > 0 {
			SUBQ(Imm(uint64(first)), rows)
			JLE(LabelRef(done))
			LEAQ(Mem{Base: a, Index: lda, Scale: 8}, a)
			ADDQ(Imm(uint64(4*first)), dst)
		}
		if t.rows-first > 8 {
			eight := GP64()
			MOVQ(U32(8), eight)
			CMPQ(rows, eight)
			CMOVQGT(eight, rows)
		}
		newStrip(a, lda, rows, loadWord("k")).walk(func(p int, column reg.VecVirtual) {
			to := Mem{Base: dst, Disp: 4 * t.rows * p}
			if first > 0 {
				VMOVUPS(column.AsX(), to) // the next tile column's first rows are there already
			} else {
				VMOVUPS(column, to)
			}
		}, func() { ADDQ(U32(uint32(32*t.rows)), dst) })
		Label(done)
	}
	leave()
}

// packRuns writes the copy of a matrix to where runs of its columns lie next to one another, row after row: panels of B, and
// tiles of a transposed A. What is stored beyond a run is overwritten with its next row.
func packRuns(t target, name string, run int) {
	width := itoa(run)
	function(name+t.name, "func(dst *float32, step int, x *float32, ld, n, k int)",
		name+t.name+" sets dst[j/"+width+"*step+p*"+width+"+j%"+width+"] = x[p*ld+j] for j < n and p < k; beyond a run's k*"+width+" elements it may write 4 more.")
	dst, step := loadWord("dst"), loadBytes("step")
	x, ld, k := loadWord("x"), loadBytes("ld"), loadWord("k")
	to, from, left, n := GP64(), GP64(), GP64(), loadWord("n")
	vectors := (run + t.lanes - 1) / t.lanes
	// move copies a run: whole vectors as far as there are no masks, then under masks.
	move := func(masks ...mask) {
		for i := range vectors {
			v, at := t.vector(), Mem{Base: from, Disp: 4 * t.lanes * i}
			PREFETCHT0(at.Offset(2048)) // the hardware's own stops where a page ends
			if plain := vectors - len(masks); i < plain {
				VMOVUPS(at, v)
			} else {
				masks[i-plain].load(at, v)
			}
			VMOVUPS(v, Mem{Base: to, Disp: 4 * t.lanes * i})
		}
	}
	rest := GP64() // columns of the last run, at least 1
	MOVQ(n, rest)
	Label("reduce")
	CMPQ(rest, Imm(uint64(run)))
	JLE(LabelRef("reduced"))
	SUBQ(Imm(uint64(run)), rest)
	JMP(LabelRef("reduce"))
	Label("reduced")
	var last []mask
	for i := range vectors {
		last = append(last, t.mask(clamp(rest, t.lanes*i, t.lanes)))
	}
	var whole []mask // of the last vector of a run that is not the last one
	if used := run - (vectors-1)*t.lanes; used < t.lanes {
		whole = append(whole, t.mask(func() reg.GPVirtual {
			r := GP64()
			MOVQ(U32(uint32(used)), r)
			return r
		}))
	}
	Label("row")
	MOVQ(dst, to)
	MOVQ(x, from)
	MOVQ(n, left)
	Label("run")
	CMPQ(left, Imm(uint64(run)))
	JLE(LabelRef("last"))
	move(whole...)
	ADDQ(U32(uint32(4*run)), from)
	ADDQ(step, to)
	SUBQ(Imm(uint64(run)), left)
	JMP(LabelRef("run"))
	Label("last")
	move(last...)
	ADDQ(ld, x)
	ADDQ(U32(uint32(4*run)), dst)
	DECQ(k)
	JNZ(LabelRef("row"))
	leave()
}

// clamp returns n - from, but at least 0 and at most most.
func clamp(n reg.GPVirtual, from, most int) func() reg.GPVirtual {
	return func() reg.GPVirtual {
		used, limit := GP64(), GP64()
		MOVQ(n, used)
		SUBQ(Imm(uint64(from)), used)
		MOVQ(U32(0), limit)
		CMPQ(used, limit)
		CMOVQLT(limit, used)
		MOVQ(U32(uint32(most)), limit)
		CMPQ(used, limit)
		CMOVQGT(limit, used)
		return used
	}
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
