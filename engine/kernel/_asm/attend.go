package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// keptVectors is the longest row, in vectors, that softmax keeps in registers.
const keptVectors = 4

// softmaxRows writes softmax in place, for rows of equal or growing lengths.
func softmaxRows() {
	function("softmaxRows"+isa.name, "func(x *float32, stride, rows, n, grow int) (top, total float32)",
		"softmaxRows"+isa.name+" replaces n elements by their softmax, then n+grow elements at x[stride], and so on; it returns the last row's maximum and the sum of its exponentials.")
	x, stride, rows, n := loadWord("x"), loadBytes("stride"), loadWord("rows"), loadWord("n")
	best, total := isa.vector(), isa.vector()
	Label("row")
	for v := 1; v <= keptVectors; v++ {
		CMPQ(n, Imm(uint64(isa.lanes*v)))
		JLE(LabelRef("short" + itoa(v)))
	}
	longRow(x, n, best, total)
	Label("next")
	ADDQ(stride, x)
	ADDQ(loadWord("grow"), n)
	DECQ(rows)
	JNZ(LabelRef("row"))
	give(best, Return("top"))
	give(total, Return("total"))
	leave()
	for v := 1; v <= keptVectors; v++ {
		Label("short" + itoa(v))
		shortRow(x, n, v, best, total)
		JMP(LabelRef("next"))
	}
}

// longRow passes over the row three times.
func longRow(x, n reg.GPVirtual, best, total reg.VecVirtual) {
	t := top(x, n)
	VMOVAPS(t, best)
	VXORPS(total, total, total)
	each(n, 3, func(w *vectors) { w.store(x, exponentials(w, x, best, total)...) })
	fold(total, sum)
	share := constant(1)
	VDIVPS(total, share, share)
	each(n, 1, func(w *vectors) {
		v := w.load(x)
		VMULPS(share, v, v)
		w.store(x, v)
	})
}

// shortRow is softmax of a row that fits into so many vectors. It adds in the order of longRow.
func shortRow(x, n reg.GPVirtual, count int, best, total reg.VecVirtual) {
	rest := GP64()
	MOVQ(n, rest)
	SUBQ(Imm(uint64(isa.lanes*(count-1))), rest)
	zero := GP64()
	XORQ(zero, zero)
	w := &vectors{wide: 1, n: rest, i: zero, mask: isa.mask(func() reg.GPVirtual { return rest }), tail: true}
	lowest := constant(negInf)
	g := make(group, count)
	for j := range g {
		if j < count-1 {
			g[j] = isa.vector()
			VMOVUPS(Mem{Base: x, Disp: 4 * isa.lanes * j}, g[j])
		}
	}
	last := GP64()
	LEAQ(Mem{Base: x, Disp: 4 * isa.lanes * (count - 1)}, last)
	g[count-1] = w.orElse(last, lowest)
	VMOVAPS(g[0], best)
	for _, v := range g[1:] {
		VMAXPS(v, best, best)
	}
	fold(best, most)
	for _, v := range g {
		VSUBPS(best, v, v)
	}
	exp(g, false)
	w.only(g[count-1])
	VMOVAPS(g[0], total)
	for _, v := range g[1:] {
		VADDPS(v, total, total)
	}
	fold(total, sum)
	share := constant(1)
	VDIVPS(total, share, share)
	for j, v := range g {
		VMULPS(share, v, v)
		if j < count-1 {
			VMOVUPS(v, Mem{Base: x, Disp: 4 * isa.lanes * j})
		}
	}
	w.mask.storeAll(g[count-1], Mem{Base: last})
}

// softmaxBackwardRows writes the gradient of softmaxRows.
func softmaxBackwardRows() {
	function("softmaxBackwardRows"+isa.name, "func(d, p *float32, stride, rows, n, grow int)",
		"softmaxBackwardRows"+isa.name+" sets d[i] to p[i]*(d[i] - sum of p[j]*d[j]) in rows as softmaxRows has them.")
	d, p, stride, rows, n := loadWord("d"), loadWord("p"), loadBytes("stride"), loadWord("rows"), loadWord("n")
	Label("row")
	mean := zero()
	each(n, 1, func(w *vectors) {
		v := w.load(p)
		VFMADD231PS(w.load(d), v, mean)
	})
	fold(mean, sum)
	each(n, 1, func(w *vectors) {
		v := w.load(d)
		VSUBPS(mean, v, v)
		VMULPS(w.load(p), v, v)
		w.store(d, v)
	})
	ADDQ(stride, d)
	ADDQ(stride, p)
	ADDQ(loadWord("grow"), n)
	DECQ(rows)
	JNZ(LabelRef("row"))
	leave()
}

// clearUpper writes zeros above the diagonal.
func clearUpper() {
	function("clearUpper"+isa.name, "func(x *float32, n int)", "clearUpper"+isa.name+" sets x[i*n+j] = 0 for i < j < n.")
	x, n := loadWord("x"), loadWord("n")
	step := GP64() // from what follows one diagonal element to what follows the next
	MOVQ(n, step)
	INCQ(step)
	SHLQ(Imm(2), step)
	ADDQ(Imm(4), x)
	v := zero()
	Label("row")
	DECQ(n)
	JLE(LabelRef("done"))
	each(n, 1, func(w *vectors) { w.store(x, v) })
	ADDQ(step, x)
	JMP(LabelRef("row"))
	Label("done")
	leave()
}

// keyBlock is how many tokens' keys lie side by side.
const keyBlock = 16

// attendScores writes the products of one row of queries with the keys of all tokens, head by head.
func attendScores() {
	function("attendScores"+isa.name, "func(heads, hw, n int, q, keys, scores *float32, stride int)",
		"attendScores"+isa.name+" sets scores[h*stride+t] to the sum over j < hw of q[h*hw+j]*keys[t/16*heads*hw*16 + (h*hw+j)*16 + t%16] for t < n; up to the next multiple of 16 it writes whatever follows.")
	heads, hw, stride := loadWord("heads"), loadWord("hw"), loadBytes("stride")
	q, keys, scores := loadWord("q"), loadWord("keys"), loadWord("scores")
	step := GP64() // bytes of a block
	MOVQ(heads, step)
	IMULQ(hw, step)
	SHLQ(Imm(6), step)
	blocks := 64 / keyBlock
	if !isa.wide {
		blocks = 2
	}
	vectors := keyBlock / isa.lanes
	Label("head")
	k, to, left := GP64(), GP64(), loadWord("n")
	MOVQ(keys, k)
	MOVQ(scores, to)
	Label("some")
	for b := 1; b < blocks; b++ {
		CMPQ(left, Imm(uint64(keyBlock*b)))
		JLE(LabelRef("blocks" + itoa(b)))
	}
	for b := blocks; b > 0; b-- {
		Label("blocks" + itoa(b))
		from := GP64()
		MOVQ(k, from)
		at := newRows(b, from, step)
		total := zeros(b * vectors)
		x, j := GP64(), GP64()
		MOVQ(q, x)
		MOVQ(hw, j)
		loop := "channels" + itoa(b)
		Label(loop)
		v := isa.vector()
		VBROADCASTSS(Mem{Base: x}, v)
		for i := range b {
			PREFETCHT0(at.at(i).Offset(1024))
		}
		for i, t := range total {
			VFMADD231PS(at.at(i/vectors).Offset(4*isa.lanes*(i%vectors)), v, t)
		}
		ADDQ(Imm(4), x)
		for _, pointer := range at.pointers {
			ADDQ(Imm(4*keyBlock), pointer)
		}
		DECQ(j)
		JNZ(LabelRef(loop))
		for i, t := range total {
			VMOVUPS(t, Mem{Base: to, Disp: 4 * isa.lanes * i})
		}
		if b == blocks {
			ADDQ(U32(uint32(4*keyBlock*b)), to)
			far := GP64()
			MOVQ(step, far)
			IMUL3Q(Imm(uint64(b)), far, far)
			ADDQ(far, k)
			SUBQ(Imm(uint64(keyBlock*b)), left)
			JG(LabelRef("some"))
		}
		if b > 1 {
			JMP(LabelRef("nextHead"))
		}
	}
	Label("nextHead")
	far := GP64()
	MOVQ(hw, far)
	SHLQ(Imm(2), far)
	ADDQ(far, q)
	SHLQ(Imm(4), far)
	ADDQ(far, keys)
	ADDQ(stride, scores)
	DECQ(heads)
	JNZ(LabelRef("head"))
	leave()
}

// attendValues writes the mixtures of all tokens' values by the attention of one row of queries.
func attendValues() {
	function("attendValues"+isa.name, "func(heads, hw, n int, p *float32, stride int, values, z *float32, add bool)",
		"attendValues"+isa.name+" sets z[h*hw+j] to the sum over t < n of p[h*stride+t]*values[t*heads*hw + h*hw+j], added to z if add is set.")
	heads, hw := loadWord("heads"), loadWord("hw")
	width := GP64() // in bytes
	MOVQ(heads, width)
	IMULQ(hw, width)
	SHLQ(Imm(2), width)
	const together = 4 // heads, so that one need not wait for the others' additions
	Label("heads4")
	CMPQ(heads, Imm(together))
	JLT(LabelRef("heads1"))
	mixHeads(together, width)
	SUBQ(Imm(together), heads)
	JMP(LabelRef("heads4"))
	Label("heads1")
	TESTQ(heads, heads)
	JZ(LabelRef("done"))
	mixHeads(1, width)
	DECQ(heads)
	JMP(LabelRef("heads1"))
	Label("done")
	leave()
}

// mixHeads does so many heads, and moves the arguments on.
func mixHeads(count int, width reg.GPVirtual) {
	name := "mix" + itoa(count)
	channel := GP64() // those that are done
	XORQ(channel, channel)
	rest := GP64() // those that are left
	Label(name)
	MOVQ(argument("hw"), rest)
	SUBQ(channel, rest)
	JLE(LabelRef(name + "end"))
	CMPQ(rest, Imm(uint64(isa.lanes)))
	JLE(LabelRef(name + "by1"))
	for _, vectors := range []int{2, 1} {
		Label(name + "by" + itoa(vectors))
		mixChannels(name+"v"+itoa(vectors), count, vectors, channel, rest, width)
		ADDQ(Imm(uint64(isa.lanes*vectors)), channel)
		JMP(LabelRef(name))
	}
	Label(name + "end")
	step := loadWord("hw")
	IMUL3Q(Imm(uint64(4*count)), step, step)
	ADDQ(step, argument("values"))
	ADDQ(step, argument("z"))
	step = loadWord("stride")
	IMUL3Q(Imm(uint64(4*count)), step, step)
	ADDQ(step, argument("p"))
}

// mixChannels does so many vectors of the heads' channels, of which the last may be partly used.
func mixChannels(name string, count, vectors int, channel, rest, width reg.GPVirtual) {
	mask := isa.mask(clamp(rest, isa.lanes*(vectors-1), isa.lanes))
	load := func(from Mem, j int, v reg.VecVirtual) {
		from = from.Offset(4 * isa.lanes * j)
		if j < vectors-1 {
			VMOVUPS(from, v)
		} else {
			mask.load(from, v)
		}
	}
	begin := func(argument string) reg.GPVirtual {
		r := loadWord(argument)
		LEAQ(Mem{Base: r, Index: channel, Scale: 4}, r)
		return r
	}
	v := newRows(count, begin("values"), loadBytes("hw"))
	p := newRows(count, loadWord("p"), loadBytes("stride"))
	total := zeros(count * vectors)
	add := Load(Param("add"), GP8()).(reg.GPVirtual)
	TESTB(add, add)
	JZ(LabelRef(name + "fresh"))
	z := newRows(count, begin("z"), v.step)
	for i, t := range total {
		load(z.at(i/vectors), i%vectors, t)
	}
	Label(name + "fresh")
	n := loadWord("n")
	Label(name + "token")
	for h := range count {
		share := isa.vector()
		VBROADCASTSS(p.at(h), share)
		for j := range vectors {
			x := isa.vector()
			load(v.at(h), j, x)
			VFMADD231PS(x, share, total[h*vectors+j])
		}
	}
	for _, pointer := range v.pointers {
		ADDQ(width, pointer)
	}
	for _, pointer := range p.pointers {
		ADDQ(Imm(4), pointer)
	}
	DECQ(n)
	JNZ(LabelRef(name + "token"))
	z = newRows(count, begin("z"), loadBytes("hw"))
	for i, t := range total {
		if to := z.at(i / vectors).Offset(4 * isa.lanes * (i % vectors)); i%vectors < vectors-1 {
			VMOVUPS(t, to)
		} else {
			mask.storeAll(t, to)
		}
	}
}
