package kernel

import "math"

// The portable row operations. As in gemm_generic.go, explicit conversions keep every platform to the same bits. Sums run
// in four lanes so that additions overlap.

// Constants of exp32 and of its assembly twin. The exponential is 2^n * exp(r) with n = round(x/ln 2) and r = x - n*ln 2
// in two parts (Cody and Waite 1980), |r| <= ln(2)/2; exp(r) = 1 + r + r*r*p(r) with the coefficients of Moshier's
// Cephes library (expf), whose relative error is below 2e-7.
const (
	expMin = -88 // here n is -127, for which the factor below is 0
	log2E  = 1.44269504088896341
	ln2Hi  = 0.693359375
	ln2Lo  = -2.12194440e-4
	expP0  = 1.9875691500e-4
	expP1  = 1.3981999507e-3
	expP2  = 8.3334519073e-3
	expP3  = 4.1665795894e-2
	expP4  = 1.6666665459e-1
	expP5  = 5.0000001201e-1
	// Adding 1.5*2^23 rounds a small float32 to an integer, which then stands in its low bits; 127 more make it the
	// exponent of 2^n.
	expShift = 12582912 + 127
)

// Constants of GELU: gelu(x) = x * sigmoid(2u) with 2u = x * (geluA + geluB*x*x), and (2u)' = geluA + 3*geluB*x*x.
// Beyond geluClamp the result is 0 or x and the derivative 0 or 1 to float32, while exp(2u) is still finite and normal.
const (
	geluA     = 1.5957691216057308   // 2*sqrt(2/pi)
	geluB     = 0.071354816272600246 // 2*sqrt(2/pi) * 0.044715
	geluClamp = 10
)

// exp32 returns exp(x) for x up to 88 or NaN. Results below the normal numbers may be 0 or lose precision.
func exp32(x float32) float32 {
	if x < expMin {
		return 0
	}
	shifted := float32(x*log2E) + expShift
	n := shifted - expShift
	r := x - float32(n*ln2Hi)
	r -= float32(n * ln2Lo)
	p := float32(expP0*r) + expP1
	p = float32(p*r) + expP2
	p = float32(p*r) + expP3
	p = float32(p*r) + expP4
	p = float32(p*r) + expP5
	p = float32(p*float32(r*r)) + r + 1
	return p * math.Float32frombits(math.Float32bits(shifted)<<23)
}

func maxGeneric(x []float32) float32 {
	top := x[0]
	for _, v := range x[1:] {
		if v > top {
			top = v
		}
	}
	return top
}

func expSumGeneric(x []float32, top float32) float32 {
	sum := float32(0)
	for _, v := range x {
		sum += exp32(v - top)
	}
	return sum
}

func softmaxRowsGeneric(x []float32, stride, rows, n, grow int) (top, total float32) {
	for i := range rows {
		row := x[i*stride : i*stride+n+i*grow]
		top, total = maxGeneric(row), 0
		for j, v := range row {
			e := exp32(v - top)
			row[j] = e
			total += e
		}
		scaleGeneric(row, 1/total)
	}
	return top, total
}

func softmaxBackwardRowsGeneric(d, p []float32, stride, rows, n, grow int) {
	for i := range rows {
		from, to := i*stride, i*stride+n+i*grow
		d, p := d[from:to], p[from:to]
		mean := float32(0)
		for j, v := range p {
			mean += float32(v * d[j])
		}
		for j, v := range p {
			d[j] = v * (d[j] - mean)
		}
	}
}

// clamped returns x within [-geluClamp, geluClamp]; NaN stays.
func clamped(x float32) float32 {
	if x > geluClamp {
		return geluClamp
	}
	if x < -geluClamp {
		return -geluClamp
	}
	return x
}

func geluGeneric(dst, x []float32) {
	dst = dst[:len(x)]
	for i, v := range x {
		w := clamped(v)
		u := float32(w * (geluA + float32(geluB*float32(w*w))))
		if v < w {
			v = w // the sigmoid no longer shrinks
		}
		dst[i] = v / (1 + exp32(-u))
	}
}

func geluBackwardGeneric(dx, x, dy []float32) {
	dx, dy = dx[:len(x)], dy[:len(x)]
	for i, v := range x {
		w := clamped(v)
		square := float32(w * w)
		u := float32(w * (geluA + float32(geluB*square)))
		slope := float32(w * (geluA + float32(3*geluB*square)))
		e := exp32(-u)
		s := 1 / (1 + e)
		// sigmoid' = s*(1-s), and 1-s = e*s without cancellation.
		dx[i] = dy[i] * float32(s*(1+float32(slope*float32(e*s))))
	}
}

// sum4 adds four lanes, always in the same order.
func sum4(a, b, c, d float32) float32 { return (a + b) + (c + d) }

func layerNormGeneric(dst, x, gain, bias []float32, eps float32) (mean, rstd float32) {
	n := len(x)
	dst, gain, bias = dst[:n], gain[:n], bias[:n]
	var s0, s1, s2, s3 float32
	i := 0
	for ; i+4 <= n; i += 4 {
		v := x[i : i+4 : i+4]
		s0 += v[0]
		s1 += v[1]
		s2 += v[2]
		s3 += v[3]
	}
	for ; i < n; i++ {
		s0 += x[i]
	}
	mean = sum4(s0, s1, s2, s3) / float32(n)
	s0, s1, s2, s3 = 0, 0, 0, 0
	for i = 0; i+4 <= n; i += 4 {
		v := x[i : i+4 : i+4]
		d0, d1, d2, d3 := v[0]-mean, v[1]-mean, v[2]-mean, v[3]-mean
		s0 += float32(d0 * d0)
		s1 += float32(d1 * d1)
		s2 += float32(d2 * d2)
		s3 += float32(d3 * d3)
	}
	for ; i < n; i++ {
		d := x[i] - mean
		s0 += float32(d * d)
	}
	rstd = 1 / float32(math.Sqrt(float64(sum4(s0, s1, s2, s3)/float32(n)+eps)))
	for i, v := range x {
		dst[i] = float32(float32((v-mean)*rstd)*gain[i]) + bias[i]
	}
	return mean, rstd
}

func layerNormBackwardGeneric(dx, dgain, dbias, dy, x, gain []float32, mean, rstd float32) {
	n := len(x)
	dx, dgain, dbias, dy, gain = dx[:n], dgain[:n], dbias[:n], dy[:n], gain[:n]
	var sum, sumHat float32
	for i, v := range x {
		hat := float32((v - mean) * rstd)
		d := float32(dy[i] * gain[i])
		sum += d
		sumHat += float32(d * hat)
		dgain[i] += float32(dy[i] * hat)
		dbias[i] += dy[i]
	}
	sum /= float32(n)
	sumHat /= float32(n)
	for i, v := range x {
		hat := float32((v - mean) * rstd)
		dx[i] += float32((float32(dy[i]*gain[i]) - sum - float32(hat*sumHat)) * rstd)
	}
}

func addGeneric(dst, x []float32) {
	dst = dst[:len(x)]
	for i, v := range x {
		dst[i] += v
	}
}

func axpyGeneric(dst []float32, alpha float32, x []float32) {
	dst = dst[:len(x)]
	for i, v := range x {
		dst[i] += float32(alpha * v)
	}
}

func scaleGeneric(x []float32, alpha float32) {
	for i := range x {
		x[i] *= alpha
	}
}

func dotGeneric(x, y []float32) float32 {
	var s0, s1, s2, s3 float32
	n := len(x)
	y = y[:n]
	i := 0
	for ; i+4 <= n; i += 4 {
		v, w := x[i:i+4:i+4], y[i:i+4:i+4]
		s0 += float32(v[0] * w[0])
		s1 += float32(v[1] * w[1])
		s2 += float32(v[2] * w[2])
		s3 += float32(v[3] * w[3])
	}
	for ; i < n; i++ {
		s0 += float32(x[i] * y[i])
	}
	return sum4(s0, s1, s2, s3)
}

func sumSquaresGeneric(x []float32) float64 {
	var s0, s1, s2, s3 float64
	n := len(x)
	i := 0
	for ; i+4 <= n; i += 4 {
		v := x[i : i+4 : i+4]
		a, b, c, d := float64(v[0]), float64(v[1]), float64(v[2]), float64(v[3])
		s0 += float64(a * a)
		s1 += float64(b * b)
		s2 += float64(c * c)
		s3 += float64(d * d)
	}
	for ; i < n; i++ {
		s0 += float64(float64(x[i]) * float64(x[i]))
	}
	return (s0 + s1) + (s2 + s3)
}

func adamWGeneric(p, g, m, v []float32, s *[adamScalars]float32) {
	n := len(p)
	g, m, v = g[:n], m[:n], v[:n]
	gradScale, keep, mix1, beta2 := s[adamGradScale], s[adamKeep], s[adamMix1], s[adamBeta2]
	mix2, root, eps, rate := s[adamMix2], s[adamRoot], s[adamEps], s[adamRate]
	for i := range p {
		grad := float32(g[i] * gradScale)
		m1 := m[i] + float32(mix1*(grad-m[i]))
		v1 := float32(beta2*v[i]) + float32(float32(mix2*grad)*grad)
		m[i], v[i] = m1, v1
		bottom := float32(float32(math.Sqrt(float64(v1)))*root) + eps
		p[i] = float32(p[i]*keep) - float32(rate*float32(m1/bottom))
	}
}
