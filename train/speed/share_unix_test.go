//go:build unix

package speed

import (
	"syscall"
	"testing"
	"time"
)

// processorTime is a clock that stands still while other programs have the processor, so that they do not decide a test.
func processorTime() time.Time {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		panic(err)
	}
	return time.Unix(0, used.Utime.Nano()+used.Stime.Nano())
}

// Nothing is much faster than the peak: steps that do less than they are said to do, or a peak that is none, would be.
func TestSharesOfThePeak(t *testing.T) {
	r, err := Run(t.Context(), Options{Threads: 1, Seconds: .001, Only: []string{aProduct, "train/small", "sample/small"}, Now: processorTime})
	if err != nil {
		t.Fatal(err)
	}
	for name, share := range map[string]float64{"product": r.Kernels[0].Share, "train": r.Train[0].Share, "sample": r.Sample[0].Share} {
		if !(share > 0 && share <= 1.5) {
			t.Errorf("%s reaches %g of the peak, want a share above 0 and at most 1.5", name, share)
		}
	}
}
