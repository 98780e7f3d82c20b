package main

import (
	"log"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// target is a set of instructions to write matrix kernels in.
type target struct {
	name  string
	lanes int // of a vector
	rows  int // of a tile; two vectors wide, its sums fill the registers
	wide  bool
}

var (
	avx2   = target{"AVX2", 8, 6, false}
	avx512 = target{"AVX512", 16, 12, true}
)

// columns returns the width of a tile.
func (t target) columns() int { return 2 * t.lanes }

func (t target) vector() reg.VecVirtual {
	if t.wide {
		return ZMM()
	}
	return YMM()
}

// mask is the used lanes of a vector: a vector or, with AVX-512, a mask register. rest is their number.
type mask struct {
	target
	reg  reg.Register
	rest func() reg.GPVirtual
}

// mask returns a mask for the lanes below rest, which is between 1 and the number of lanes.
func (t target) mask(rest func() reg.GPVirtual) mask {
	if !t.wide {
		return mask{t, tailMask(rest()), rest}
	}
	ones, k := GP32(), K()
	MOVL(U32(0xffffffff), ones)
	BZHIL(rest().As32(), ones, ones)
	KMOVW(ones, k)
	return mask{t, k, rest}
}

// load reads the used lanes and puts zeros into the others.
func (m mask) load(from Mem, v reg.VecVirtual) {
	if m.wide {
		VMOVUPS_Z(from, m.reg, v)
	} else {
		VMASKMOVPS(from, m.reg, v)
	}
}

// store writes the used lanes; v is lost.
func (m mask) store(v reg.VecVirtual, to Mem) {
	if m.wide {
		VMOVUPS(v, m.reg, to)
	} else {
		storePartial(v, to, m.rest())
	}
}

// storeAll is store for masks that may have all lanes.
func (m mask) storeAll(v reg.VecVirtual, to Mem) {
	if m.wide {
		m.store(v, to)
		return
	}
	partial, end := label("partial"), label("whole")
	CMPQ(m.rest(), Imm(uint64(m.lanes)))
	JNE(LabelRef(partial))
	VMOVUPS(v, to)
	JMP(LabelRef(end))
	Label(partial)
	m.store(v, to)
	Label(end)
}

// only puts zeros into the lanes that are not used.
func (m mask) only(v reg.VecVirtual) {
	if m.wide {
		VMOVAPS_Z(v, m.reg, v)
	} else {
		VANDPS(v, m.reg, v)
	}
}

// columns says how a tile is held: in whole vectors, and perhaps a last one that is partly used.
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
	target
	columns
	stepRow, stepK, ldb reg.GPVirtual // in bytes
	mask                mask          // of the partial vector
}

// gemmPanel writes the matrix product: a tile of full height at a time, then the rows that are left.
func gemmPanel(t target) {
	function("gemmPanel"+t.name, "func(m, n, k int, a *float32, stepTile, stepRow, stepK int, b *float32, ldb int, c *float32, ldc int, d *float32, ldd int, bias *float32)",
		"gemmPanel"+t.name+" computes C[m, n] = D + bias + A*B with n at most "+itoa(t.columns())+"; element (i, p) of A is a[i/"+itoa(t.rows)+"*stepTile+i%"+itoa(t.rows)+
			"*stepRow+p*stepK]. d and bias may be nil; if d is, ldd must be 0.")
	n := loadWord("n")
	CMPQ(n, Imm(uint64(2*t.lanes)))
	JEQ(LabelRef("full"))
	CMPQ(n, Imm(uint64(t.lanes)))
	JGT(LabelRef("wide"))
	JEQ(LabelRef("half"))
	JMP(LabelRef("narrow"))
	for _, class := range []columns{{"full", 2, false}, {"wide", 1, true}, {"half", 1, false}, {"narrow", 0, true}} {
		Label(class.name)
		p := panel{target: t, columns: class}
		p.stepRow, p.stepK, p.ldb = loadBytes("stepRow"), loadBytes("stepK"), loadBytes("ldb")
		if class.partial {
			p.mask = t.mask(p.rest)
		}
		p.tiles()
		for rows := t.rows - 1; rows > 0; rows-- {
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

func (p *panel) label(what string, rows int) string { return p.name() + what + itoa(rows) }

func (p *panel) name() string { return p.columns.name }

// rest returns the number of columns in the partial vector.
func (p *panel) rest() reg.GPVirtual {
	r := loadWord("n")
	if p.whole > 0 {
		SUBQ(Imm(uint64(p.lanes*p.whole)), r)
	}
	return r
}

// tiles does all whole tiles and jumps to the tile for the rows that are left.
func (p *panel) tiles() {
	loop, tail := p.name()+"loop", p.name()+"tail"
	Label(loop)
	CMPQ(argument("m"), Imm(uint64(p.rows)))
	JLT(LabelRef(tail))
	p.tile(p.rows)
	// The arguments themselves walk down the rows: the registers are needed within a tile.
	ADDQ(loadBytes("stepTile"), argument("a"))
	for _, walk := range [][2]string{{"c", "ldc"}, {"d", "ldd"}} {
		step := loadWord(walk[1])
		IMUL3Q(Imm(uint64(4*p.rows)), step, step)
		ADDQ(step, argument(walk[0]))
	}
	SUBQ(Imm(uint64(p.rows)), argument("m"))
	JMP(LabelRef(loop))
	Label(tail)
	for rows := 1; rows < p.rows; rows++ {
		CMPQ(argument("m"), Imm(uint64(rows)))
		JEQ(LabelRef(p.label("rows", rows)))
	}
	leave()
}

// argument returns where an argument lies.
func argument(name string) Mem {
	a, err := Param(name).Resolve()
	if err != nil {
		log.Fatal("asm: ", err)
	}
	return a.Addr
}

// rowPointers addresses rows that are step bytes apart: there is a pointer to every third of them.
type rowPointers struct {
	pointers []reg.GPVirtual
	step     reg.GPVirtual
}

// newRows returns the addresses of n rows, the first of which begins at base.
func newRows(n int, base, step reg.GPVirtual) rowPointers {
	r := rowPointers{[]reg.GPVirtual{base}, step}
	for at := 3; at < n; at += 3 {
		next := GP64()
		LEAQ(Mem{Base: r.pointers[len(r.pointers)-1], Index: step, Scale: 2}, next)
		ADDQ(step, next)
		r.pointers = append(r.pointers, next)
	}
	return r
}

func (r rowPointers) at(i int) Mem {
	m := Mem{Base: r.pointers[i/3]}
	if i%3 > 0 {
		m.Index, m.Scale = r.step, uint8(i%3)
	}
	return m
}

// tile computes rows by n elements of C: one sum to a lane, all of k in ascending order.
func (p *panel) tile(n int) {
	sum := make([][]reg.VecVirtual, n)
	for r := range sum {
		for range p.vectors() {
			sum[r] = append(sum[r], p.vector())
		}
	}
	// Fetch what will be stored to: it may be far away, and nothing else would ask for it before.
	to := newRows(n, loadWord("c"), loadBytes("ldc"))
	for r := range sum {
		for v := range sum[r] {
			PREFETCHT0(to.at(r).Offset(4 * p.lanes * v))
		}
	}
	p.begin(sum)
	p.multiply(sum)
	c := newRows(n, loadWord("c"), loadBytes("ldc"))
	for r := range sum {
		for v, s := range sum[r] {
			to := c.at(r).Offset(4 * p.lanes * v)
			if v < p.whole {
				VMOVUPS(s, to)
			} else {
				p.mask.store(s, to)
			}
		}
	}
}

// begin sets the sums to D plus bias.
func (p *panel) begin(sum [][]reg.VecVirtual) {
	n := len(sum)
	fresh, biased, begun := p.label("fresh", n), p.label("biased", n), p.label("begun", n)
	first := loadWord("d")
	TESTQ(first, first)
	JZ(LabelRef(fresh))
	d := newRows(n, first, loadBytes("ldd"))
	for r := range sum {
		for v, s := range sum[r] {
			p.load(v, d.at(r), s)
		}
	}
	JMP(LabelRef(biased))
	Label(fresh)
	for r := range sum {
		for _, s := range sum[r] {
			VXORPS(s, s, s)
		}
	}
	Label(biased)
	bias := loadWord("bias")
	TESTQ(bias, bias)
	JZ(LabelRef(begun))
	for v := range p.vectors() {
		x := p.vector()
		p.load(v, Mem{Base: bias}, x)
		for r := range sum {
			VADDPS(x, sum[r][v], sum[r][v])
		}
	}
	Label(begun)
}

// multiply adds A*B to the sums.
func (p *panel) multiply(sum [][]reg.VecVirtual) {
	b, k := loadWord("b"), loadWord("k")
	from := newRows(len(sum), loadWord("a"), p.stepRow)
	loop := p.label("k", len(sum))
	Label(loop)
	var bv []reg.VecVirtual
	for v := range p.vectors() {
		bv = append(bv, p.vector())
		p.load(v, Mem{Base: b}, bv[v])
	}
	for r := range sum {
		x := p.vector()
		VBROADCASTSS(from.at(r), x)
		for v, s := range sum[r] {
			VFMADD231PS(bv[v], x, s)
		}
	}
	for _, pointer := range from.pointers {
		ADDQ(p.stepK, pointer)
	}
	ADDQ(p.ldb, b)
	DECQ(k)
	JNZ(LabelRef(loop))
}

// load reads vector v of a row of B, D or the bias that begins at the address.
func (p *panel) load(v int, from Mem, to reg.VecVirtual) {
	from = from.Offset(4 * p.lanes * v)
	if v < p.whole {
		VMOVUPS(from, to)
	} else {
		p.mask.load(from, to)
	}
}

// peak writes the loop that measures the machine: as many independent fused multiply-adds as it can do, from registers.
func peak(t target) {
	function("peak"+t.name, "func(n int)", "peak"+t.name+" does n rounds of 12 fused multiply-adds of "+itoa(t.lanes)+" lanes.")
	n := Load(Param("n"), GP64())
	x := t.vector()
	VXORPS(x, x, x)
	var sum []reg.VecVirtual
	for range 12 {
		s := t.vector()
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
