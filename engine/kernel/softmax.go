package kernel

import "math"

// Softmax sets dst to exp(x[i]) / sum over j of exp(x[j]), shifted by the maximum so that nothing overflows, and returns
// [LogSumExp] of x. The two have the same length and dst may be x. A row that holds NaN or +Inf, or nothing but -Inf, becomes
// all NaN; if dst is x, that is then also what is returned.
func Softmax(dst, x []float32) (lse float32) {
	sameLength("Softmax", len(dst), len(x))
	if len(x) == 0 {
		return negInf
	}
	if &dst[0] != &x[0] {
		copy(dst, x)
	}
	top, sum := softmaxRows(dst, 0, 1, len(x), 0)
	if top-top != 0 || sum-sum != 0 {
		return lseNotFinite(x, &dst[0] == &x[0])
	}
	return top + float32(math.Log(float64(sum)))
}

var negInf = float32(math.Inf(-1))

// lseNotFinite is LogSumExp of a row that has a NaN or +Inf, or nothing but -Inf. Once it was overwritten, only NaN is known
// of it.
func lseNotFinite(x []float32, overwritten bool) float32 {
	if overwritten {
		return float32(math.NaN())
	}
	total := negInf
	for _, v := range x {
		switch {
		case v != v:
			return v
		case v > 0 && v-v != 0:
			total = v
		}
	}
	return total
}

// LogSumExp returns the logarithm of the sum of exp(x[i]), without overflow; -Inf for an empty row.
func LogSumExp(x []float32) float32 {
	if len(x) == 0 {
		return negInf
	}
	var top, sum float32
	switch {
	case useAVX512:
		top = maxAVX512(x)
		sum = expSumAVX512(x, top)
	case useAVX2:
		top = maxAVX2(x)
		sum = expSumAVX2(x, top)
	default:
		top = maxGeneric(x)
		sum = expSumGeneric(x, top)
	}
	if top-top != 0 || sum-sum != 0 { // infinite or NaN: the shifted sum says nothing
		return lseNotFinite(x, false)
	}
	return top + float32(math.Log(float64(sum)))
}

// SoftmaxRows replaces each of some rows, which begin stride elements apart and have n elements, by its softmax. The bits of
// a row are those of [Softmax].
func SoftmaxRows(x []float32, stride, rows, n int) {
	checkMatrix("x", false, rows, n, x, stride)
	if rows > 0 && n > 0 {
		softmaxRows(x, stride, rows, n, 0)
	}
}

// CausalSoftmax replaces row i of the n by n matrix p by the softmax of its elements up to i, with zeros behind them.
func CausalSoftmax(p []float32, n int) {
	checkMatrix("p", false, n, n, p, n)
	if n == 0 {
		return
	}
	softmaxRows(p, n, n, 1, 1)
	clearUpper(p, n)
}

// CausalSoftmaxBackward turns d [n,n], the gradient of p = [CausalSoftmax] of some scores, into that of the scores.
func CausalSoftmaxBackward(d, p []float32, n int) {
	checkMatrix("d", false, n, n, d, n)
	checkMatrix("p", false, n, n, p, n)
	if n == 0 {
		return
	}
	switch {
	case useAVX512:
		softmaxBackwardRowsAVX512(&d[0], &p[0], n, n, 1, 1)
	case useAVX2:
		softmaxBackwardRowsAVX2(&d[0], &p[0], n, n, 1, 1)
	default:
		softmaxBackwardRowsGeneric(d, p, n, n, 1, 1)
	}
	clearUpper(d, n)
}

// clearUpper sets the elements above the diagonal of an n by n matrix to 0.
func clearUpper(x []float32, n int) {
	switch {
	case n == 0:
	case useAVX512:
		clearUpperAVX512(&x[0], n)
	case useAVX2:
		clearUpperAVX2(&x[0], n)
	default:
		for i := range n {
			clear(x[i*n+i+1 : (i+1)*n])
		}
	}
}

// softmaxRows replaces n elements by their softmax, then n+grow elements at x[stride], and so on; it returns the last row's
// maximum and the sum of its exponentials.
func softmaxRows(x []float32, stride, rows, n, grow int) (top, total float32) {
	switch {
	case useAVX512:
		return softmaxRowsAVX512(&x[0], stride, rows, n, grow)
	case useAVX2:
		return softmaxRowsAVX2(&x[0], stride, rows, n, grow)
	}
	return softmaxRowsGeneric(x, stride, rows, n, grow)
}
