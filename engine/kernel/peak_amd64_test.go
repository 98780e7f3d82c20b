//go:build !purego

package kernel

import "time"

// measurePeak returns the floating-point operations a nanosecond that one core of this machine does in fused
// multiply-adds on registers, or 0 if it has no such instructions.
func measurePeak() float64 {
	if !haveAVX2 {
		return 0
	}
	const rounds = 1 << 20
	best := 0.0
	for range 10 {
		start := time.Now()
		peakAVX2(rounds)
		best = max(best, 192*rounds/float64(time.Since(start).Nanoseconds()))
	}
	return best
}
