package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

func rows(t target) {
	isa = t
	maximum()
	expSum()
	softmaxRows()
	softmaxBackwardRows()
	clearUpper()
	attendScores()
	attendValues()
	gelu()
	geluBackward()
	layerNorm()
	layerNormBackward()
	add()
	addRows()
	axpy()
	scale()
	dot()
	sumSquares()
	adamW()
}

// top returns the maximum of n elements in all lanes; a NaN may or may not win.
func top(x, n reg.GPVirtual) reg.VecVirtual {
	lowest := constant(negInf)
	best := isa.vector()
	VMOVAPS(lowest, best)
	each(n, 1, func(w *vectors) {
		VMAXPS(w.orElse(x, lowest), best, best)
	})
	fold(best, most)
	return best
}

func maximum() {
	function("max"+isa.name, "func(x []float32) float32", "max"+isa.name+" returns the largest element; a NaN may or may not win.")
	best := top(base("x"), length("x"))
	give(best, ReturnIndex(0))
	leave()
}

func expSum() {
	function("expSum"+isa.name, "func(x []float32, top float32) float32", "expSum"+isa.name+" returns the sum of exp(x[i]-top), where no x[i] exceeds top.")
	x, n, best, total := base("x"), length("x"), spread("top"), zero()
	each(n, 3, func(w *vectors) { exponentials(w, x, best, total) })
	fold(total, sum)
	give(total, ReturnIndex(0))
	leave()
}

// exponentials returns exp(x[i]-best) and adds them to total.
func exponentials(w *vectors, x reg.GPVirtual, best, total reg.VecVirtual) group {
	g := w.all(x)
	for _, v := range g {
		VSUBPS(best, v, v)
	}
	exp(g, false)
	w.only(g...)
	for _, v := range g {
		VADDPS(v, total, total)
	}
	return g
}

const (
	geluA     = 1.5957691216057308
	geluB     = 0.071354816272600246
	geluClamp = 10
)

func gelu() {
	function("gelu"+isa.name, "func(dst, x []float32)", "gelu"+isa.name+" is GELU.")
	dst, x, n := base("dst"), base("x"), length("x")
	each(n, 3, func(w *vectors) {
		g, u := w.all(x), w.group()
		low, high := constant(-geluClamp), constant(geluClamp)
		for j, v := range g {
			VMAXPS(v, low, v) // in this order NaN stays
			VMINPS(v, high, u[j])
		}
		for _, u := range u {
			square, slope := isa.vector(), constant(-geluA)
			VMULPS(u, u, square)
			VFNMADD231PS(splat(geluB), square, slope)
			VMULPS(slope, u, u)
		}
		exp(u, true)
		for j, u := range u {
			VADDPS(splat(1), u, u)
			VDIVPS(u, g[j], g[j])
		}
		w.store(dst, g...)
	})
	leave()
}

func geluBackward() {
	function("geluBackward"+isa.name, "func(dx, x, dy []float32)", "geluBackward"+isa.name+" is GELUBackward.")
	dx, x, dy, n := base("dx"), base("x"), base("dy"), length("x")
	each(n, 2, func(w *vectors) {
		g, e, slope := w.all(x), w.group(), w.group()
		low, high := constant(-geluClamp), constant(geluClamp)
		for _, v := range g {
			VMAXPS(v, low, v) // in this order NaN stays
			VMINPS(v, high, v)
		}
		for j, v := range g {
			square := isa.vector()
			VMOVUPS(splat(-geluA), e[j])
			VMOVUPS(splat(geluA), slope[j])
			VMULPS(v, v, square)
			VFNMADD231PS(splat(geluB), square, e[j])
			VFMADD231PS(splat(3*geluB), square, slope[j])
			VMULPS(v, slope[j], slope[j])
			VMULPS(v, e[j], e[j])
		}
		exp(e, true)
		s := w.group()
		for j, e := range e {
			one := constant(1)
			VADDPS(one, e, s[j])
			VDIVPS(s[j], one, s[j])
		}
		out := w.all(dy)
		for j, e := range e {
			VMULPS(s[j], e, e)
			VFMADD213PS(splat(1), slope[j], e) // 1 + v*slope*(1-s)
			VMULPS(s[j], e, e)
			VMULPS(e, out[j], out[j])
		}
		w.store(dx, out...)
	})
	leave()
}

// count returns n as a float in all lanes.
func count(n reg.GPVirtual) reg.VecVirtual {
	v := isa.vector()
	VXORPS(v, v, v)
	VCVTSI2SSQ(n, v.AsX(), v.AsX())
	VBROADCASTSS(v.AsX(), v)
	return v
}

func add() {
	function("add"+isa.name, "func(dst, x []float32)", "add"+isa.name+" is Add.")
	dst, x, n := base("dst"), base("x"), length("x")
	each(n, 1, func(w *vectors) {
		v := w.load(x)
		VADDPS(w.load(dst), v, v)
		w.store(dst, v)
	})
	leave()
}

// addRows walks down the rows for a few vectors of columns at a time, so that the sums stay in registers.
func addRows() {
	function("addRows"+isa.name, "func(dst, x *float32, ld, rows, n int)", "addRows"+isa.name+" sets dst[j] to dst[j] + x[j] + x[ld+j] + ... over the rows, in this order, for j < n.")
	dst, x, ld, n := loadWord("dst"), loadWord("x"), loadBytes("ld"), loadWord("n")
	each(n, 4, func(w *vectors) {
		total := w.all(dst)
		row, rows, loop := GP64(), loadWord("rows"), label("rows")
		LEAQ(w.at(x, 0), row)
		Label(loop)
		for j, t := range total {
			if w.tail {
				v := isa.vector()
				w.mask.load(Mem{Base: row}, v)
				VADDPS(v, t, t)
			} else {
				VADDPS(Mem{Base: row, Disp: 4 * isa.lanes * j}, t, t)
			}
		}
		ADDQ(ld, row)
		DECQ(rows)
		JNZ(LabelRef(loop))
		w.store(dst, total...)
	})
	leave()
}

func axpy() {
	function("axpy"+isa.name, "func(dst []float32, alpha float32, x []float32)", "axpy"+isa.name+" is Axpy.")
	dst, alpha, x, n := base("dst"), spread("alpha"), base("x"), length("x")
	each(n, 1, func(w *vectors) {
		v := w.load(dst)
		VFMADD231PS(w.load(x), alpha, v)
		w.store(dst, v)
	})
	leave()
}

func scale() {
	function("scale"+isa.name, "func(x []float32, alpha float32)", "scale"+isa.name+" is Scale.")
	x, n, alpha := base("x"), length("x"), spread("alpha")
	each(n, 1, func(w *vectors) {
		v := w.load(x)
		VMULPS(alpha, v, v)
		w.store(x, v)
	})
	leave()
}

// four writes a loop over whole groups of 4*step elements, so that four sums run beside one another, and returns the
// number of elements that are left. body adds the elements from the address on to sum j.
func four(n reg.GPVirtual, step int, pointers []reg.GPVirtual, body func(j int)) reg.GPVirtual {
	loop, end := label("four"), label("rest")
	left := GP64()
	MOVQ(n, left)
	Label(loop)
	CMPQ(left, Imm(uint64(4*step)))
	JLT(LabelRef(end))
	for j := range 4 {
		body(j)
	}
	for _, p := range pointers {
		ADDQ(U32(16*step), p)
	}
	SUBQ(Imm(uint64(4*step)), left)
	JMP(LabelRef(loop))
	Label(end)
	return left
}

func zeros(n int) []reg.VecVirtual {
	var v []reg.VecVirtual
	for range n {
		v = append(v, zero())
	}
	return v
}

func dot() {
	function("dot"+isa.name, "func(x, y []float32) float32", "dot"+isa.name+" is Dot.")
	x, y, n := base("x"), base("y"), length("x")
	s := zeros(4)
	left := four(n, isa.lanes, []reg.GPVirtual{x, y}, func(j int) {
		v := isa.vector()
		VMOVUPS(Mem{Base: x, Disp: 4 * isa.lanes * j}, v)
		VFMADD231PS(Mem{Base: y, Disp: 4 * isa.lanes * j}, v, s[j])
	})
	each(left, 1, func(w *vectors) {
		v := w.load(x)
		VFMADD231PS(w.load(y), v, s[0])
	})
	VADDPS(s[1], s[0], s[0])
	VADDPS(s[3], s[2], s[2])
	VADDPS(s[2], s[0], s[0])
	fold(s[0], sum)
	give(s[0], ReturnIndex(0))
	leave()
}

func sumSquares() {
	function("sumSquares"+isa.name, "func(x []float32) float64", "sumSquares"+isa.name+" is SumSquares.")
	x, n := base("x"), length("x")
	s := zeros(4)
	half := isa.lanes / 2
	left := four(n, half, []reg.GPVirtual{x}, func(j int) {
		v := isa.vector()
		VCVTPS2PD(Mem{Base: x, Disp: 4 * half * j}, v)
		VFMADD231PD(v, v, s[j])
	})
	each(left, 1, func(w *vectors) {
		v := w.load(x)
		low, high := isa.vector(), isa.vector()
		if isa.wide {
			VEXTRACTF64X4(Imm(1), v, high.AsY())
			VCVTPS2PD(v.AsY(), low)
			VCVTPS2PD(high.AsY(), high)
		} else {
			VEXTRACTF128(Imm(1), v, high.AsX())
			VCVTPS2PD(v.AsX(), low)
			VCVTPS2PD(high.AsX(), high)
		}
		VFMADD231PD(low, low, s[0])
		VFMADD231PD(high, high, s[1])
	})
	VADDPD(s[1], s[0], s[0])
	VADDPD(s[3], s[2], s[2])
	VADDPD(s[2], s[0], s[0])
	t := isa.vector()
	if isa.wide {
		VSHUFF64X2(U8(0x4e), s[0], s[0], t)
		VADDPD(t, s[0], s[0])
		VSHUFF64X2(U8(0xb1), s[0], s[0], t)
	} else {
		VPERM2F128(Imm(1), s[0], s[0], t)
	}
	VADDPD(t, s[0], s[0])
	VPERMILPD(Imm(1), s[0].AsX(), t.AsX())
	VADDSD(t.AsX(), s[0].AsX(), s[0].AsX())
	give(s[0], ReturnIndex(0))
	leave()
}

func adamW() {
	function("adamW"+isa.name, "func(p, g, m, v []float32, s *[8]float32)", "adamW"+isa.name+" is AdamW; s holds the scalars in the order of their constants.")
	p, g, m, v, n := base("p"), base("g"), base("m"), base("v"), length("p")
	s := Load(Param("s"), GP64()).(reg.GPVirtual)
	var scalars []reg.VecVirtual
	for i := range 8 {
		x := isa.vector()
		VBROADCASTSS(Mem{Base: s, Disp: 4 * i}, x)
		scalars = append(scalars, x)
	}
	gradScale, keep, mix1, beta2, mix2, root, eps, rate := scalars[0], scalars[1], scalars[2], scalars[3], scalars[4], scalars[5], scalars[6], scalars[7]
	each(n, 1, func(w *vectors) {
		grad := w.load(g)
		VMULPS(gradScale, grad, grad)
		m1, difference := w.load(m), isa.vector()
		VSUBPS(m1, grad, difference)
		VFMADD231PS(mix1, difference, m1)
		v1, share := w.load(v), isa.vector()
		VMULPS(beta2, v1, v1)
		VMULPS(mix2, grad, share)
		VFMADD231PS(share, grad, v1)
		bottom, step := isa.vector(), isa.vector()
		VSQRTPS(v1, bottom)
		VFMADD213PS(eps, root, bottom)
		VDIVPS(bottom, m1, step)
		p1 := w.load(p)
		VMULPS(keep, p1, p1)
		VFNMADD231PS(rate, step, p1)
		w.store(m, m1)
		w.store(v, v1)
		w.store(p, p1)
	})
	leave()
}
