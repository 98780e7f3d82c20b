//go:build !amd64 || purego

package kernel

const haveAVX2, haveAVX512 = false, false

// Without assembly the dispatch never reaches these.

func softmaxAVX2(dst, x []float32)                                           { unreachable() }
func maxAVX2(x []float32) float32                                            { return unreachable() }
func expSumAVX2(x []float32, top float32) float32                            { return unreachable() }
func geluAVX2(dst, x []float32)                                              { unreachable() }
func geluBackwardAVX2(dx, x, dy []float32)                                   { unreachable() }
func addAVX2(dst, x []float32)                                               { unreachable() }
func axpyAVX2(dst []float32, alpha float32, x []float32)                     { unreachable() }
func scaleAVX2(x []float32, alpha float32)                                   { unreachable() }
func dotAVX2(x, y []float32) float32                                         { return unreachable() }
func sumSquaresAVX2(x []float32) float64                                     { return float64(unreachable()) }
func adamWAVX2(p, g, m, v []float32, s *[adamScalars]float32)                { unreachable() }
func layerNormAVX2(dst, x, gain, bias []float32, eps float32) (a, b float32) { return unreachable(), 0 }
func layerNormBackwardAVX2(dx, dgain, dbias, dy, x, gain []float32, mean, rstd float32) {
	unreachable()
}
func rowByRowsAVX2(n, k int, a *float32, stepK int, b *float32, ldb int, c *float32, add bool) {
	unreachable()
}
func rowByColumnsAVX2(n, k int, a *float32, stepK int, b *float32, ldb int, c *float32, add bool) {
	unreachable()
}
func gemmPanelAVX2(m, n, k int, a *float32, stepTile, stepRow, stepK int, b *float32, ldb int, c *float32, ldc int, d *float32, ldd int, bias *float32) {
	unreachable()
}
func gemmPanelAVX512(m, n, k int, a *float32, stepTile, stepRow, stepK int, b *float32, ldb int, c *float32, ldc int, d *float32, ldd int, bias *float32) {
	unreachable()
}

func packRowsAVX2(dst, b *float32, ldb, rows, k int)                        { unreachable() }
func packRowsAVX512(dst, b *float32, ldb, rows, k int)                      { unreachable() }
func packColumnsAVX2(dst *float32, step int, x *float32, ld, n, k int)      { unreachable() }
func packColumnsAVX512(dst *float32, step int, x *float32, ld, n, k int)    { unreachable() }
func packTileAVX2(dst, a *float32, lda, rows, k int)                        { unreachable() }
func packTileAVX512(dst, a *float32, lda, rows, k int)                      { unreachable() }
func packTransposedAVX2(dst *float32, step int, x *float32, ld, n, k int)   { unreachable() }
func packTransposedAVX512(dst *float32, step int, x *float32, ld, n, k int) { unreachable() }

func peakAVX2(n int)   { unreachable() }
func peakAVX512(n int) { unreachable() }

func unreachable() float32 { panic("kernel: assembly called where there is none") }
