package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// layerNorm writes the normalisation of rows that lie side by side. Those that fit are kept in registers.
func layerNorm() {
	function("layerNorm"+isa.name, "func(dst, x, gain, bias *float32, rows, n int, eps float32, stats *float32)",
		"layerNorm"+isa.name+" is LayerNorm of rows of n elements.")
	dst, x, gain, bias := loadWord("dst"), loadWord("x"), loadWord("gain"), loadWord("bias")
	rows, n, stats := loadWord("rows"), loadWord("n"), loadWord("stats")
	size, eps := count(n), spread("eps")
	kept := 6
	if isa.wide {
		kept = 4
	}
	step := GP64()
	MOVQ(n, step)
	SHLQ(Imm(2), step)
	mean, rstd := isa.vector(), isa.vector()
	Label("row")
	for v := 1; v <= kept; v++ {
		CMPQ(n, Imm(uint64(isa.lanes*v)))
		JLE(LabelRef("short" + itoa(v)))
	}
	longNorm(dst, x, gain, bias, n, size, eps, mean, rstd)
	Label("next")
	VMOVSS(mean.AsX(), Mem{Base: stats})
	VMOVSS(rstd.AsX(), Mem{Base: stats, Disp: 4})
	ADDQ(Imm(8), stats)
	ADDQ(step, dst)
	ADDQ(step, x)
	DECQ(rows)
	JNZ(LabelRef("row"))
	leave()
	for v := 1; v <= kept; v++ {
		Label("short" + itoa(v))
		shortNorm(dst, x, gain, bias, n, v, size, eps, mean, rstd)
		JMP(LabelRef("next"))
	}
}

// longNorm passes over the row three times.
func longNorm(dst, x, gain, bias, n reg.GPVirtual, size, eps, mean, rstd reg.VecVirtual) {
	VXORPS(mean, mean, mean)
	each(n, 1, func(w *vectors) { VADDPS(w.load(x), mean, mean) })
	fold(mean, sum)
	VDIVPS(size, mean, mean)
	variance := zero()
	each(n, 1, func(w *vectors) {
		v := w.load(x)
		VSUBPS(mean, v, v)
		w.only(v)
		VFMADD231PS(v, v, variance)
	})
	deviation(variance, size, eps, rstd)
	each(n, 1, func(w *vectors) {
		v := w.load(x)
		VSUBPS(mean, v, v)
		VMULPS(rstd, v, v)
		b := w.load(bias)
		VFMADD231PS(w.load(gain), v, b)
		w.store(dst, b)
	})
}

// deviation sets rstd to 1/sqrt(sum of variance/size + eps).
func deviation(variance, size, eps, rstd reg.VecVirtual) {
	fold(variance, sum)
	VDIVPS(size, variance, variance)
	VADDPS(eps, variance, variance)
	VSQRTPS(variance, variance)
	VMOVUPS(splat(1), rstd)
	VDIVPS(variance, rstd, rstd)
}

// shortNorm is longNorm of a row that fits into so many vectors, with the same order of additions.
func shortNorm(dst, x, gain, bias, n reg.GPVirtual, count int, size, eps, mean, rstd reg.VecVirtual) {
	rest := GP64()
	MOVQ(n, rest)
	SUBQ(Imm(uint64(isa.lanes*(count-1))), rest)
	mask := isa.mask(func() reg.GPVirtual { return rest })
	at := func(base reg.GPVirtual, j int) Mem { return Mem{Base: base, Disp: 4 * isa.lanes * j} }
	load := func(base reg.GPVirtual, j int) reg.VecVirtual {
		v := isa.vector()
		if j < count-1 {
			VMOVUPS(at(base, j), v)
		} else {
			mask.load(at(base, j), v)
		}
		return v
	}
	g := make(group, count)
	for j := range g {
		g[j] = load(x, j)
	}
	VMOVAPS(g[0], mean)
	for _, v := range g[1:] {
		VADDPS(v, mean, mean)
	}
	fold(mean, sum)
	VDIVPS(size, mean, mean)
	variance := zero()
	for j, v := range g {
		VSUBPS(mean, v, v)
		if j == count-1 {
			mask.only(v)
		}
		VFMADD231PS(v, v, variance)
	}
	deviation(variance, size, eps, rstd)
	for j, v := range g {
		VMULPS(rstd, v, v)
		b := load(bias, j)
		VFMADD231PS(load(gain, j), v, b)
		if j < count-1 {
			VMOVUPS(b, at(dst, j))
		} else {
			mask.storeAll(b, at(dst, j))
		}
	}
}

// layerNormBackward writes the gradients of rows that lie side by side.
func layerNormBackward() {
	function("layerNormBackward"+isa.name, "func(dx, dgain, dbias, dy, x, gain *float32, rows, n int, stats *float32)",
		"layerNormBackward"+isa.name+" is LayerNormBackward of rows of n elements.")
	dx, dgain, dbias := loadWord("dx"), loadWord("dgain"), loadWord("dbias")
	dy, x, gain, n := loadWord("dy"), loadWord("x"), loadWord("gain"), loadWord("n")
	size, mean, rstd := count(n), isa.vector(), isa.vector()
	Label("row")
	stats := loadWord("stats")
	VBROADCASTSS(Mem{Base: stats}, mean)
	VBROADCASTSS(Mem{Base: stats, Disp: 4}, rstd)
	// normal returns the normalised x; what it holds past the end is harmless, since dy is 0 there.
	normal := func(w *vectors) reg.VecVirtual {
		v := w.load(x)
		VSUBPS(mean, v, v)
		VMULPS(rstd, v, v)
		return v
	}
	total, along := zero(), zero()
	each(n, 1, func(w *vectors) {
		v, g := normal(w), w.load(dy)
		dg := w.load(dgain)
		VFMADD231PS(v, g, dg)
		w.store(dgain, dg)
		db := w.load(dbias)
		VADDPS(g, db, db)
		w.store(dbias, db)
		VMULPS(w.load(gain), g, g)
		VADDPS(g, total, total)
		w.only(v) // mean or rstd may be infinite, and 0 * Inf is NaN
		VFMADD231PS(v, g, along)
	})
	fold(total, sum)
	fold(along, sum)
	VDIVPS(size, total, total)
	VDIVPS(size, along, along)
	each(n, 1, func(w *vectors) {
		v, g := normal(w), w.load(dy)
		VMULPS(w.load(gain), g, g)
		VSUBPS(total, g, g)
		VFNMADD231PS(along, v, g)
		d := w.load(dx)
		VFMADD231PS(rstd, g, d)
		w.store(dx, d)
	})
	step := loadBytes("n")
	for _, pointer := range []reg.GPVirtual{dx, dy, x} {
		ADDQ(step, pointer)
	}
	ADDQ(Imm(8), argument("stats"))
	DECQ(argument("rows"))
	JNZ(LabelRef("row"))
	leave()
}
