package metric

import (
	"math"
	"slices"

	"candor/internal/rng"
)

// oneSeed is the note of estimates about a single model.
const oneSeed = "one seed: the interval is over problems only"

// maxUndefined is in how many bootstrap samples at most a statistic may be undefined: with more, an end of its interval
// would be made up.
const maxUndefined = resamples/40 - 1

// bootstrapSums draws clusters with replacement 1000 times, from the stream called name, and returns for each statistic its
// values in these samples (NaN where it is undefined). Rows are what each cluster contributes to the sums that a statistic
// is computed from; all statistics see the same samples, so that differences of them are differences of pairs.
func bootstrapSums(name string, rows [][]float64, statistics ...func(sums []float64) float64) [][]float64 {
	out := make([][]float64, len(statistics))
	if len(rows) == 0 {
		return out
	}
	root := rng.New(0).Split(name)
	sums := make([]float64, len(rows[0]))
	for draw := range resamples {
		src := root.SplitN("draw", draw)
		clear(sums)
		for range rows {
			for i, x := range rows[src.IntN(len(rows))] {
				sums[i] += x
			}
		}
		for i, statistic := range statistics {
			out[i] = append(out[i], statistic(sums))
		}
	}
	return out
}

// sumRows adds up rows of equal length; nil for none.
func sumRows(rows [][]float64) []float64 {
	if len(rows) == 0 {
		return nil
	}
	out := make([]float64, len(rows[0]))
	for _, row := range rows {
		for i, x := range row {
			out[i] += x
		}
	}
	return out
}

// percentiles returns the 95% interval of bootstrap values, made wider about value by what Student's t is wider than the
// normal with so many clusters, as the bootstrap takes the sample's spread for the population's. Undefined values count as
// worst, which is both ends: it is not ok where they are more than maxUndefined.
func percentiles(values []float64, value float64, clusters int, bounds Bounds) (lo, hi float64, ok bool) {
	defined := make([]float64, 0, len(values))
	for _, v := range values {
		if !math.IsNaN(v) {
			defined = append(defined, v)
		}
	}
	missing := len(values) - len(defined)
	if len(values) < resamples || missing > maxUndefined {
		return 0, 0, false
	}
	slices.Sort(defined)
	tail := resamples/40 - 1 - missing
	lo, hi = defined[tail], defined[len(defined)-1-tail]
	c := float64(clusters)
	stretch := student(clusters-1) / normal() * math.Sqrt(c/(c-1))
	lo, hi = min(lo, value), max(hi, value)
	return bounds.clip(value - stretch*(value-lo)), bounds.clip(value + stretch*(hi-value)), true
}

// widenRare widens an estimate that all samples agree about: a small share of unseen problems could still lie at either
// bound.
func (e *Estimate) widenRare(clusters int, bounds Bounds) {
	share := rare(clusters)
	e.widen(e.Value-share*(e.Value-bounds.Lo), e.Value+share*(bounds.Hi-e.Value))
}

// single returns an estimate about one model.
func single(value float64, n int, lo, hi float64) Estimate {
	return Estimate{Value: value, Lo: min(lo, value), Hi: max(hi, value), N: n, Seeds: 1, PerSeed: []float64{value}, OK: true, Note: oneSeed}
}
