package main

import (
	"go/types"
	"log"
	"math"

	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/gotypes"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// isa is what the row kernels are being written for.
var isa target

// group is one vector or several that are worked on side by side, because the processor's scheduler is too small to
// overlap long computations of successive rounds by itself.
type group []reg.VecVirtual

// vectors is one round of a walk over n elements.
type vectors struct {
	wide int           // vectors in this round
	n    reg.GPVirtual // elements that remain
	i    reg.GPVirtual // elements done; index of all operands
	mask mask
	tail bool // less than a vector, under the mask
}

// each writes the walk: rounds of wide vectors, then of one, then the few elements that are left. body is
// written once for each of these.
func each(n reg.GPVirtual, wide int, body func(w *vectors)) {
	tail, end := label("tail"), label("end")
	left, i := GP64(), GP64()
	MOVQ(n, left)
	XORQ(i, i)
	rounds := func(wide int) {
		loop, next := label("loop"), label("next")
		Label(loop)
		CMPQ(left, Imm(uint64(isa.lanes*wide)))
		JLT(LabelRef(next))
		body(&vectors{wide: wide, n: left, i: i})
		ADDQ(Imm(uint64(isa.lanes*wide)), i)
		SUBQ(Imm(uint64(isa.lanes*wide)), left)
		JMP(LabelRef(loop))
		Label(next)
	}
	rounds(wide)
	if wide > 1 {
		rounds(1)
	}
	Label(tail)
	TESTQ(left, left)
	JZ(LabelRef(end))
	body(&vectors{wide: 1, n: left, i: i, mask: isa.mask(func() reg.GPVirtual { return left }), tail: true})
	Label(end)
}

func (w *vectors) at(base reg.GPVirtual, j int) Mem {
	return Mem{Base: base, Index: w.i, Scale: 4, Disp: 4 * isa.lanes * j}
}

// group returns registers for the vectors of this round.
func (w *vectors) group() group {
	g := make(group, w.wide)
	for j := range g {
		g[j] = isa.vector()
	}
	return g
}

// all reads the next elements; beyond the last one it gives zeros.
func (w *vectors) all(base reg.GPVirtual) group {
	g := w.group()
	for j, v := range g {
		if w.tail {
			w.mask.load(w.at(base, j), v)
		} else {
			VMOVUPS(w.at(base, j), v)
		}
	}
	return g
}

// orElse is load with another vector's lanes beyond the last element.
func (w *vectors) orElse(base reg.GPVirtual, other reg.VecVirtual) reg.VecVirtual {
	if !w.tail || !isa.wide {
		v := w.load(base)
		if w.tail {
			VBLENDVPS(w.mask.reg, v, other, v)
		}
		return v
	}
	v := isa.vector()
	VMOVAPS(other, v)
	VMOVUPS(w.at(base, 0), w.mask.reg, v)
	return v
}

// load is all for rounds of one vector.
func (w *vectors) load(base reg.GPVirtual) reg.VecVirtual { return w.all(base)[0] }

// store writes the elements; v is lost.
func (w *vectors) store(base reg.GPVirtual, g ...reg.VecVirtual) {
	for j, v := range g {
		if w.tail {
			w.mask.store(v, w.at(base, j))
		} else {
			VMOVUPS(v, w.at(base, j))
		}
	}
}

// only keeps the elements and puts zeros elsewhere.
func (w *vectors) only(g ...reg.VecVirtual) {
	for _, v := range g {
		if w.tail {
			w.mask.only(v)
		}
	}
}

func base(name string) reg.GPVirtual { return Load(Param(name).Base(), GP64()).(reg.GPVirtual) }
func length(name string) reg.GPVirtual {
	return Load(Param(name).Len(), GP64()).(reg.GPVirtual)
}

// spread loads a scalar argument into all lanes.
func spread(name string) reg.VecVirtual {
	scalar, err := Param(name).Resolve()
	if err != nil {
		log.Fatal("asm: ", err)
	}
	v := isa.vector()
	VBROADCASTSS(scalar.Addr, v)
	return v
}

// give stores the lowest lane of v as a result. Like everything here it uses the newer encoding: mixing it with the older
// one costs dearly on some machines.
func give(v reg.VecVirtual, result gotypes.Component) {
	scalar, err := result.Resolve()
	if err != nil {
		log.Fatal("asm: ", err)
	}
	if scalar.Type.Kind() == types.Float64 {
		VMOVSD(v.AsX(), scalar.Addr)
	} else {
		VMOVSS(v.AsX(), scalar.Addr)
	}
}

func constant(f float32) reg.VecVirtual {
	v := isa.vector()
	VMOVUPS(splat(f), v)
	return v
}

func zero() reg.VecVirtual {
	v := isa.vector()
	VXORPS(v, v, v)
	return v
}

// fold combines the lanes of v in a fixed order and leaves the result in all lanes.
func fold(v reg.VecVirtual, op func(a, b, dst Op)) {
	t := isa.vector()
	if isa.wide {
		VSHUFF32X4(U8(0x4e), v, v, t)
		op(t, v, v)
		VSHUFF32X4(U8(0xb1), v, v, t)
		op(t, v, v)
	} else {
		VPERM2F128(Imm(1), v, v, t)
		op(t, v, v)
	}
	VPERMILPS(U8(0x4e), v, t)
	op(t, v, v)
	VPERMILPS(U8(0xb1), v, t)
	op(t, v, v)
}

func sum(a, b, dst Op)  { VADDPS(a, b, dst) }
func most(a, b, dst Op) { VMAXPS(a, b, dst) }

// exp replaces x, at most 88, by exp(x), as exp32 in rows_generic.go describes. Unless bounded, x may be less than -88.
// The maximum takes x as its last source, which is the one it returns for NaN.
func exp(x group, bounded bool) {
	if !bounded {
		lowest := constant(-88)
		for _, x := range x {
			VMAXPS(x, lowest, x)
		}
	}
	shifted, p, square := make(group, len(x)), make(group, len(x)), make(group, len(x))
	for j, x := range x {
		shifted[j] = constant(12582912 + 127)
		VFMADD231PS(splat(math.Log2E), x, shifted[j])
	}
	for j, x := range x {
		n := isa.vector()
		VSUBPS(splat(12582912+127), shifted[j], n)
		VFNMADD231PS(splat(0.693359375), n, x)
		VFNMADD231PS(splat(-2.12194440e-4), n, x)
		VPSLLD(Imm(23), shifted[j], shifted[j])
	}
	for j := range x {
		p[j] = constant(1.9875691500e-4)
	}
	for _, c := range []float32{1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1} {
		for j, x := range x {
			VFMADD213PS(splat(c), x, p[j])
		}
	}
	for j, x := range x {
		square[j] = isa.vector()
		VMULPS(x, x, square[j])
		VFMADD213PS(x, square[j], p[j])
	}
	for j, x := range x {
		VADDPS(splat(1), p[j], p[j])
		VMULPS(shifted[j], p[j], x)
	}
}

var negInf = float32(math.Inf(-1))
