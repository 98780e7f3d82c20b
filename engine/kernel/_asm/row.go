package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

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
