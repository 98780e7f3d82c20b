package metric

import (
	"math"
	"slices"
)

// KappaMany estimates agreement beyond chance of several raters, Fleiss's (1971) kappa: ratings[i] are the labels that item
// i got, equally many (at least 2) for all, from raters who need not be the same for each item. With r[i][l] of m raters
// giving item i the label l and π[l] the share of label l in all,
//
//	κ = (P - Pe)/(1 - Pe),  P = mean of Σ r(r-1)/(m(m-1)),  Pe = Σ π²
//
// The interval is Student's over items, each item's influence on κ counted through P and Pe (Gwet 2014, Handbook of
// Inter-Rater Reliability, the variance that does not suppose κ = 0, which Fleiss's own does); where all items agree alike,
// the rule of three. Not reportable for fewer than [MinClusters] items, unequal numbers of raters, or one label only.
//
// Known faults: for two raters it is Scott's pi and not Cohen's [Kappa]: it takes both to have the same habits. Like that
// it falls when one label is rare. Items that share a problem are taken for independent.
func KappaMany(ratings [][]string) Estimate {
	n := len(ratings)
	if n < MinClusters {
		return NotReportable(n, 1, "only %d items, at least %d are needed", n, MinClusters)
	}
	m := len(ratings[0])
	share := map[string]float64{}
	counts := make([]map[string]int, n)
	for i, labels := range ratings {
		if len(labels) != m || m < 2 {
			return NotReportable(n, 1, "item %d has %d labels and item 1 %d: all need equally many, at least 2", i+1, len(labels), m)
		}
		counts[i] = map[string]int{}
		for _, l := range labels {
			counts[i][l]++
			share[l]++
		}
	}
	if len(share) == 1 {
		return NotReportable(n, 1, "all raters use one label only")
	}
	order := make([]string, 0, len(share))
	for l := range share {
		order = append(order, l)
	}
	slices.Sort(order) // sums in an order that does not depend on the map
	var chance float64
	for _, l := range order {
		share[l] /= float64(n * m)
		chance += share[l] * share[l]
	}
	agree, expected := make([]float64, n), make([]float64, n)
	var mean float64
	for i, c := range counts {
		for _, l := range order {
			r := float64(c[l])
			agree[i] += r * (r - 1) / float64(m*(m-1))
			expected[i] += share[l] * r / float64(m)
		}
		mean += agree[i] / float64(n)
	}
	value := (mean - chance) / (1 - chance)
	var variance float64
	for i := range agree {
		influence := (agree[i]-mean)/(1-chance) - 2*(1-value)*(expected[i]-chance)/(1-chance)
		variance += influence * influence / float64(n*(n-1))
	}
	half := student(n-1) * math.Sqrt(variance)
	e := Estimate{Value: value, Lo: value - half, Hi: value + half, N: n, Seeds: 1, PerSeed: []float64{value}, OK: true}
	if mean == 1 || variance == 0 {
		e.widenRare(n, Signed)
	}
	e.Lo, e.Hi = Signed.clip(e.Lo), Signed.clip(e.Hi)
	return e
}
