//go:build !amd64 || purego

package kernel

const haveAVX2, haveAVX512 = false, false

// Without assembly the dispatch never reaches these.

func maxAVX2(x []float32) float32                 { return unreachable() }
func expSumAVX2(x []float32, top float32) float32 { return unreachable() }
func softmaxRowsAVX2(x *float32, stride int, rows int, n int, grow int) (top float32, total float32) {
	return unreachable(), 0
}
func softmaxBackwardRowsAVX2(d *float32, p *float32, stride int, rows int, n int, grow int) {
	unreachable()
}
func attendScoresAVX2(heads int, hw int, n int, q *float32, keys *float32, scores *float32, stride int) {
	unreachable()
}
func attendValuesAVX2(heads int, hw int, n int, p *float32, stride int, values *float32, z *float32, add bool) {
	unreachable()
}
func geluAVX2(dst []float32, x []float32)                                         { unreachable() }
func geluBackwardAVX2(dx []float32, x []float32, dy []float32)                    { unreachable() }
func addAVX2(dst []float32, x []float32)                                          { unreachable() }
func axpyAVX2(dst []float32, alpha float32, x []float32)                          { unreachable() }
func scaleAVX2(x []float32, alpha float32)                                        { unreachable() }
func dotAVX2(x []float32, y []float32) float32                                    { return unreachable() }
func sumSquaresAVX2(x []float32) float64                                          { return float64(unreachable()) }
func adamWAVX2(p []float32, g []float32, m []float32, v []float32, s *[8]float32) { unreachable() }
func maxAVX512(x []float32) float32                                               { return unreachable() }
func expSumAVX512(x []float32, top float32) float32                               { return unreachable() }
func softmaxRowsAVX512(x *float32, stride int, rows int, n int, grow int) (top float32, total float32) {
	return unreachable(), 0
}
func softmaxBackwardRowsAVX512(d *float32, p *float32, stride int, rows int, n int, grow int) {
	unreachable()
}
func attendScoresAVX512(heads int, hw int, n int, q *float32, keys *float32, scores *float32, stride int) {
	unreachable()
}
func attendValuesAVX512(heads int, hw int, n int, p *float32, stride int, values *float32, z *float32, add bool) {
	unreachable()
}
func geluAVX512(dst []float32, x []float32)                                         { unreachable() }
func geluBackwardAVX512(dx []float32, x []float32, dy []float32)                    { unreachable() }
func addAVX512(dst []float32, x []float32)                                          { unreachable() }
func axpyAVX512(dst []float32, alpha float32, x []float32)                          { unreachable() }
func scaleAVX512(x []float32, alpha float32)                                        { unreachable() }
func dotAVX512(x []float32, y []float32) float32                                    { return unreachable() }
func sumSquaresAVX512(x []float32) float64                                          { return float64(unreachable()) }
func adamWAVX512(p []float32, g []float32, m []float32, v []float32, s *[8]float32) { unreachable() }
func gemmPanelAVX2(m int, n int, k int, a *float32, stepTile int, stepRow int, stepK int, b *float32, ldb int, c *float32, ldc int, d *float32, ldd int, bias *float32) {
	unreachable()
}
func packRowsAVX2(dst *float32, b *float32, ldb int, rows int, k int)             { unreachable() }
func packTileAVX2(dst *float32, a *float32, lda int, rows int, k int)             { unreachable() }
func packTransposedAVX2(dst *float32, step int, x *float32, ld int, n int, k int) { unreachable() }
func packColumnsAVX2(dst *float32, step int, x *float32, ld int, n int, k int)    { unreachable() }
func peakAVX2(n int)                                                              { unreachable() }
func gemmPanelAVX512(m int, n int, k int, a *float32, stepTile int, stepRow int, stepK int, b *float32, ldb int, c *float32, ldc int, d *float32, ldd int, bias *float32) {
	unreachable()
}
func packRowsAVX512(dst *float32, b *float32, ldb int, rows int, k int)             { unreachable() }
func packTileAVX512(dst *float32, a *float32, lda int, rows int, k int)             { unreachable() }
func packTransposedAVX512(dst *float32, step int, x *float32, ld int, n int, k int) { unreachable() }
func packColumnsAVX512(dst *float32, step int, x *float32, ld int, n int, k int)    { unreachable() }
func peakAVX512(n int)                                                              { unreachable() }
func rowByRowsAVX2(n int, k int, a *float32, stepK int, b *float32, ldb int, c *float32, add bool) {
	unreachable()
}
func rowByColumnsAVX2(n int, k int, a *float32, stepK int, b *float32, ldb int, c *float32, add bool) {
	unreachable()
}

func clearUpperAVX2(x *float32, n int)                       { unreachable() }
func clearUpperAVX512(x *float32, n int)                     { unreachable() }
func addRowsAVX2(dst, x *float32, ld int, rows int, n int)   { unreachable() }
func addRowsAVX512(dst, x *float32, ld int, rows int, n int) { unreachable() }

func layerNormAVX2(dst, x, gain, bias *float32, rows, n int, eps float32, stats *float32) {
	unreachable()
}
func layerNormAVX512(dst, x, gain, bias *float32, rows, n int, eps float32, stats *float32) {
	unreachable()
}
func layerNormBackwardAVX2(dx, dgain, dbias, dy, x, gain *float32, rows, n int, stats *float32) {
	unreachable()
}
func layerNormBackwardAVX512(dx, dgain, dbias, dy, x, gain *float32, rows, n int, stats *float32) {
	unreachable()
}

func unreachable() float32 { panic("kernel: assembly called where there is none") }
