package kernel

import "runtime"

// Spin does rounds of independent fused multiply-adds on registers, with the instructions that the matrix products of the
// implementation in use are made of, and returns how many floating-point operations they were. Timing it gives the most
// that one core of this machine can do; [Gemm] is measured against that. The portable implementation multiplies and adds
// in two roundings, as its products do.
func Spin(rounds int) (flops float64) {
	if rounds < 1 {
		return 0
	}
	switch {
	case useAVX512:
		peakAVX512(rounds)
		return 2 * 12 * 16 * float64(rounds)
	case useAVX2:
		peakAVX2(rounds)
		return 2 * 12 * 8 * float64(rounds)
	}
	runtime.KeepAlive(spinGeneric(rounds))
	return 12 * float64(rounds)
}

func spinGeneric(rounds int) float32 {
	x := float32(.5)
	a, b, c, d, e, f := x, x, x, x, x, x
	for range rounds {
		a += float32(x * a)
		b += float32(x * b)
		c += float32(x * c)
		d += float32(x * d)
		e += float32(x * e)
		f += float32(x * f)
	}
	return a + b + c + d + e + f
}
