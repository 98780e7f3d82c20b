package monitor

import (
	"math"
	"slices"
)

// z is the quantile of the normal distribution of a two-sided 95% interval.
const z = 1.959963984540054

// rateOf returns a share with Wilson's (1927) interval.
func rateOf(hits, n int) Rate {
	if n == 0 {
		return Rate{}
	}
	p, m := float64(hits)/float64(n), float64(n)
	centre := (p + z*z/(2*m)) / (1 + z*z/m)
	half := z / (1 + z*z/m) * math.Sqrt(p*(1-p)/m+z*z/(4*m*m))
	return Rate{Value: p, Lo: max(0, min(p, centre-half)), Hi: min(1, max(p, centre+half)), N: n}
}

// auroc returns Mann and Whitney's area with the interval of Hanley and McNeil (1982). Where the area is 0 or 1 that has no width, and
// the exact form of the rule of three on the smaller class takes its place.
func auroc(samples []Sample, scores []float64) Rate {
	var good, bad []float64
	for i := range samples {
		if samples[i].Bad {
			bad = append(bad, scores[i])
		} else {
			good = append(good, scores[i])
		}
	}
	if len(good) == 0 || len(bad) == 0 {
		return Rate{}
	}
	slices.Sort(good)
	sum := 0.
	for _, s := range bad {
		below, _ := slices.BinarySearch(good, s)
		notAbove, _ := slices.BinarySearch(good, math.Nextafter(s, math.Inf(1)))
		sum += float64(below) + float64(notAbove-below)/2
	}
	g, b := float64(len(good)), float64(len(bad))
	a := sum / (g * b)
	half := 1 - math.Pow(.025, 1/min(g, b))
	if a > 0 && a < 1 {
		q1, q2 := a/(2-a), 2*a*a/(1+a)
		half = z * math.Sqrt((a*(1-a)+(b-1)*(q1-a*a)+(g-1)*(q2-a*a))/(g*b))
	}
	return Rate{Value: a, Lo: max(0, a-half), Hi: min(1, a+half), N: len(samples)}
}
