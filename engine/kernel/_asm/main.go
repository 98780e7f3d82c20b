// Command asm writes the AVX2 and AVX-512 kernels of candor/engine/kernel: rows_amd64.s, gemm_amd64.s and their declarations. It is a
// module of its own so that the generator's dependencies stay out of candor's. Run it with go generate in the parent
// folder, once for each file.
package main

import (
	"flag"
	"log"
	"math"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

var part = flag.String("part", "", "what to write: gemm or rows")

func main() {
	flag.Parse()
	ConstraintExpr("amd64,!purego")
	switch *part {
	case "gemm":
		for _, t := range []target{avx2, avx512} {
			gemmPanel(t)
			packRows(t)
			packTiles(t)
			packRuns(t, "packTransposed", t.rows)
			packRuns(t, "packColumns", t.columns())
			peak(t)
		}
		rowByRows()
		rowByColumns()
	case "rows":
		for _, t := range []target{avx2, avx512} {
			rows(t)
		}
	default:
		log.Fatal("asm: -part must be gemm or rows")
	}
	Generate()
}

// function begins an assembly function that does not let its arguments escape.
func function(name, signature, doc string) {
	TEXT(name, NOSPLIT, signature)
	Pragma("noescape")
	Doc(doc)
}

var constants = map[uint32]Mem{}

// splat returns a vector full of f in read-only memory.
func splat(f float32) Mem {
	bits := math.Float32bits(f)
	if m, ok := constants[bits]; ok {
		return m
	}
	m := GLOBL("splat"+hex(bits)+*part, RODATA|NOPTR)
	for i := range 16 {
		DATA(4*i, U32(bits))
	}
	constants[bits] = m
	return m
}

func hex(v uint32) string {
	const digits = "0123456789abcdef"
	s := ""
	for shift := 28; shift >= 0; shift -= 4 {
		s += string(digits[v>>shift&15])
	}
	return s
}

var maskTable Mem

// tailMask sets mask to all ones in the first rem lanes, 1 to 8, and to zeros in the others.
func tailMask(rem reg.GPVirtual) reg.VecVirtual {
	if maskTable.Base == nil {
		maskTable = GLOBL("tailMask"+*part, RODATA|NOPTR)
		for i := range 8 {
			DATA(4*i, U32(0xffffffff))
		}
		for i := range 8 {
			DATA(32+4*i, U32(0))
		}
	}
	address, mask := GP64(), YMM()
	Comment("A window on eight ones and eight zeros")
	LEAQ(maskTable.Offset(32), address)
	shift := GP64()
	MOVQ(rem, shift)
	SHLQ(Imm(2), shift)
	SUBQ(shift, address)
	VMOVUPS(Mem{Base: address}, mask)
	return mask
}

var labels int

// label returns a fresh label.
func label(what string) string {
	labels++
	return what + itoa(labels)
}

func itoa(n int) string {
	if n < 10 {
		return string(rune('0' + n))
	}
	return itoa(n/10) + string(rune('0'+n%10))
}

// storePartial writes the first rem lanes, 1 to 7, of v to dst. Three branches that go the same way for every row cost
// less than VMASKMOVPS, whose stores take some 40 micro-operations on AMD's processors. It overwrites v.
func storePartial(v reg.VecVirtual, dst Mem, rem reg.GPVirtual) {
	two, one, end := label("two"), label("one"), label("stored")
	at := GP64()
	LEAQ(dst, at)
	TESTQ(U32(4), rem)
	JZ(LabelRef(two))
	VMOVUPS(v.AsX(), Mem{Base: at})
	VEXTRACTF128(Imm(1), v, v.AsX())
	ADDQ(Imm(16), at)
	Label(two)
	TESTQ(U32(2), rem)
	JZ(LabelRef(one))
	VMOVLPS(v.AsX(), Mem{Base: at})
	VPSRLDQ(Imm(8), v.AsX(), v.AsX())
	ADDQ(Imm(8), at)
	Label(one)
	TESTQ(U32(1), rem)
	JZ(LabelRef(end))
	VMOVSS(v.AsX(), Mem{Base: at})
	Label(end)
}

// leave returns, with the upper halves of the vectors clean: Go's own code uses their lower halves in the old encoding.
func leave() {
	VZEROUPPER()
	RET()
}
