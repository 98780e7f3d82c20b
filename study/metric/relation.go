package metric

import (
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/gonum/stat"
)

// Pearson estimates the linear correlation of pairs (x[i], y[i]) with Fisher's (1921) z interval, which supposes about
// normal, independent pairs. Not reportable for fewer than [MinClusters] pairs or where one side does not vary.
func Pearson(x, y []float64) Estimate {
	return correlation(x, y, func(float64) float64 { return 1 })
}

// Spearman estimates the rank correlation (ties share their mean rank) with Fisher's z interval and the variance of
// Bonett and Wright (2000), (1 + r²/2)/(n-3); good up to |r| = .95.
func Spearman(x, y []float64) Estimate {
	return correlation(ranks(x), ranks(y), func(r float64) float64 { return 1 + r*r/2 })
}

func correlation(x, y []float64, inflation func(r float64) float64) Estimate {
	if len(x) != len(y) {
		panic(fmt.Sprintf("metric: correlation of %d with %d numbers", len(x), len(y)))
	}
	n := len(x)
	if n < MinClusters {
		return NotReportable(n, 1, "only %d pairs, at least %d are needed", n, MinClusters)
	}
	if constant(x) || constant(y) {
		return NotReportable(n, 1, "one of the two does not vary")
	}
	r := Signed.clip(stat.Correlation(x, y, nil))
	if math.IsNaN(r) {
		return NotReportable(n, 1, "a value is not a finite number")
	}
	half := normal() * math.Sqrt(inflation(r)/float64(n-3))
	// At |r| = 1 the transform is infinite; the interval then collapses, as the sample has no scatter at all.
	lo, hi := math.Tanh(math.Atanh(r)-half), math.Tanh(math.Atanh(r)+half)
	return Estimate{Value: r, Lo: lo, Hi: hi, N: n, Seeds: 1, PerSeed: []float64{r}, OK: true}
}

func constant(x []float64) bool {
	for _, v := range x {
		if v != x[0] {
			return false
		}
	}
	return true
}

func ranks(x []float64) []float64 {
	order := make([]int, len(x))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, j int) int {
		switch {
		case x[i] < x[j]:
			return -1
		case x[i] > x[j]:
			return 1
		}
		return 0
	})
	out := make([]float64, len(x))
	for start := 0; start < len(order); {
		end := start + 1
		for end < len(order) && x[order[end]] == x[order[start]] {
			end++
		}
		for _, i := range order[start:end] {
			out[i] = float64(start+end+1) / 2
			if math.IsNaN(x[i]) {
				out[i] = math.NaN()
			}
		}
		start = end
	}
	return out
}

// Kappa estimates Cohen's (1960) agreement beyond chance of two raters who labelled the same items, with Cohen's large-
// sample standard error sqrt(po(1-po)/(n(1-pe)²)), which is rough for small n. Kappa falls when one label is rare, even
// at the same raw agreement. Not reportable where chance agreement is certain (both use one and the same label only).
func Kappa(a, b []string) Estimate {
	if len(a) != len(b) {
		panic(fmt.Sprintf("metric: kappa of %d and %d labels", len(a), len(b)))
	}
	n := len(a)
	if n < MinClusters {
		return NotReportable(n, 1, "only %d items, at least %d are needed", n, MinClusters)
	}
	countA, countB := map[string]int{}, map[string]int{}
	same := 0
	for i := range a {
		countA[a[i]]++
		countB[b[i]]++
		if a[i] == b[i] {
			same++
		}
	}
	chance := 0 // an integer sum, so that map order does not matter
	for label, c := range countA {
		chance += c * countB[label]
	}
	po, pe := float64(same)/float64(n), float64(chance)/float64(n*n)
	if chance == n*n {
		return NotReportable(n, 1, "both raters use one label only")
	}
	value := (po - pe) / (1 - pe)
	half := normal() * math.Sqrt(po*(1-po)/float64(n)) / (1 - pe)
	return Estimate{Value: value, Lo: Signed.clip(value - half), Hi: Signed.clip(value + half), N: n, Seeds: 1, PerSeed: []float64{value}, OK: true}
}
