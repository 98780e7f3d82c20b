package metric

import (
	"fmt"
	"math"
	"slices"

	"candor/internal/rng"
)

// MinClass is the least number of positives and of negatives, in each seed, behind a reportable AUROC.
const MinClass = 5

// resamples is the number of bootstrap samples: the ends of a percentile interval are then the 25th and the 975th value.
const resamples = 1000

// Scored is one item that a detector scored.
type Scored struct {
	// Cluster names the problem, as in Observation.
	Cluster string
	// Score is higher the more the detector suspects.
	Score float64
	// Positive is the truth: the item is what the detector looks for.
	Positive bool
}

// AUROC estimates the probability that a positive scores higher than a negative, ties counting half: the area under the
// ROC curve in Mann and Whitney's form (Hanley and McNeil 1982). The value is the mean of the seeds' areas. Its interval
// is that of package documentation, with each item's influence on the area (DeLong, DeLong and Clarke-Pearson 1988)
// summed by problem (Obuchowski 1997), and never narrower than the percentile interval of 1000 bootstrap samples of
// problems. When every positive lies above every negative (or all below) the bootstrap sees no spread, and the exact
// form of the rule of three on the smaller class is used.
//
// Known faults: the area says nothing about a threshold, and areas of detectors on different sets of items are not
// comparable when one set is easier. It is not reportable where a seed has fewer than [MinClass] of either class.
func AUROC(seeds [][]Scored) Estimate { return aurocs(seeds, nil) }

// AUROCDifference estimates AUROC(a) - AUROC(b), seed by seed. Problems are resampled for both at once, so two detectors
// on the same items, or two models on the same problems, are compared as pairs. The items of a and b may differ.
func AUROCDifference(a, b [][]Scored) Estimate {
	if len(a) != len(b) {
		return NotReportable(0, min(len(a), len(b)), "%d seeds cannot be paired with %d", len(a), len(b))
	}
	if b == nil {
		b = [][]Scored{}
	}
	return aurocs(a, b)
}

func aurocs(a, b [][]Scored) Estimate {
	n := 0
	for _, side := range [][][]Scored{a, b} {
		for i, seed := range side {
			n += len(seed)
			if why := unreportable(seed); why != "" {
				return NotReportable(n, len(a), "seed %d of %d has %s", i+1, len(side), why)
			}
		}
	}
	if len(a) == 0 {
		return NotReportable(0, 0, "there are no seeds")
	}
	index := newClusters()
	s := spread{n: n, bounds: Unit}
	if b != nil {
		s.bounds = Signed
	}
	var first, second []ranking
	smallest := math.MaxInt
	for i := range a {
		r := newRanking(a[i], index)
		first, smallest = append(first, r), min(smallest, r.positives, r.negatives)
		value, errors := r.area(nil), r.influence(1)
		if b != nil {
			r := newRanking(b[i], index)
			second, smallest = append(second, r), min(smallest, r.positives, r.negatives)
			value -= r.area(nil)
			errors = append(errors, make([]float64, index.len()-len(errors))...)
			for c, e := range r.influence(-1) {
				errors[c] += e
			}
		}
		s.values, s.errors = append(s.values, value), append(s.errors, errors)
	}
	s.clusters = index.len()
	if s.clusters < MinClusters {
		return NotReportable(n, len(a), "only %d problems, at least %d are needed", s.clusters, MinClusters)
	}
	e := s.estimate()
	if lo, hi, ok := bootstrap(first, second, s.clusters); ok {
		e.widen(lo, hi)
	}
	if variance, _ := s.problemVariance(); variance == 0 {
		share := rare(smallest)
		e.widen(e.Value-share*(e.Value-s.bounds.Lo), e.Value+share*(s.bounds.Hi-e.Value))
	}
	e.Lo, e.Hi = s.bounds.clip(e.Lo), s.bounds.clip(e.Hi)
	return e
}

// unreportable says why an area cannot be reported for these items, or "".
func unreportable(items []Scored) string {
	positives := 0
	for _, item := range items {
		if math.IsNaN(item.Score) {
			return "a score that is not a number, of problem " + item.Cluster
		}
		if item.Positive {
			positives++
		}
	}
	if negatives := len(items) - positives; min(positives, negatives) < MinClass {
		return fmt.Sprintf("%d positives and %d negatives, at least %d of each are needed", positives, negatives, MinClass)
	}
	return ""
}

// ranking holds the items of a seed in ascending order of score, those of one problem with the same score together: scores of
// detectors take few values, and the bootstrap goes through all of this a thousand times.
type ranking struct {
	cells                []rankCell
	positives, negatives int
}

// rankCell is the items of one problem with one score.
type rankCell struct {
	cluster            int
	positive, negative float64 // how many of them are
	last               bool    // of those with its score
}

func newRanking(items []Scored, index *clusters) ranking {
	sorted := slices.Clone(items)
	for _, item := range items {
		index.of(item.Cluster) // numbered in the order given, not in that of the scores
	}
	slices.SortFunc(sorted, func(x, y Scored) int {
		switch {
		case x.Score < y.Score:
			return -1
		case x.Score > y.Score:
			return 1
		}
		return index.of(x.Cluster) - index.of(y.Cluster)
	})
	r := ranking{}
	for i, item := range sorted {
		cluster := index.of(item.Cluster)
		if i == 0 || sorted[i-1].Score != item.Score || r.cells[len(r.cells)-1].cluster != cluster {
			r.cells = append(r.cells, rankCell{cluster: cluster})
		}
		c := &r.cells[len(r.cells)-1]
		c.last = i == len(sorted)-1 || sorted[i+1].Score != item.Score
		if item.Positive {
			c.positive++
			r.positives++
		} else {
			c.negative++
			r.negatives++
		}
	}
	return r
}

// area returns the area with items counted as often as weight says of their cluster (once each if nil); NaN where the
// weights leave a class empty.
func (r ranking) area(weight []float64) float64 {
	var wins, positives, negatives, tiedPositives, tiedNegatives float64
	for i := range r.cells {
		c := &r.cells[i]
		w := 1.
		if weight != nil {
			w = weight[c.cluster]
		}
		tiedPositives += w * c.positive
		tiedNegatives += w * c.negative
		if c.last {
			wins += tiedPositives * (negatives + tiedNegatives/2)
			positives, negatives = positives+tiedPositives, negatives+tiedNegatives
			tiedPositives, tiedNegatives = 0, 0
		}
	}
	return wins / (positives * negatives)
}

// influence returns by cluster, times sign, the sum of its items' contributions to the error of the area.
func (r ranking) influence(sign float64) []float64 {
	area := r.area(nil)
	p, n := float64(r.positives), float64(r.negatives)
	clusters := 0
	for _, c := range r.cells {
		clusters = max(clusters, c.cluster+1)
	}
	out := make([]float64, clusters)
	var positives, negatives float64
	for start := 0; start < len(r.cells); {
		end := start
		var tiedPositives, tiedNegatives float64
		for {
			tiedPositives += r.cells[end].positive
			tiedNegatives += r.cells[end].negative
			end++
			if r.cells[end-1].last {
				break
			}
		}
		beats := (negatives + tiedNegatives/2) / n                      // for a positive here: the negatives it beats
		beaten := (p - positives - tiedPositives + tiedPositives/2) / p // for a negative here: the positives that beat it
		for _, c := range r.cells[start:end] {
			out[c.cluster] += sign * (c.positive*(beats-area)/p + c.negative*(beaten-area)/n)
		}
		positives, negatives, start = positives+tiedPositives, negatives+tiedNegatives, end
	}
	return out
}

// bootstrap returns the percentile interval of the mean over seeds of area(first) - area(second) when problems are drawn
// with replacement. It is not ok where most draws leave a class empty.
func bootstrap(first, second []ranking, clusters int) (lo, hi float64, ok bool) {
	root := rng.New(0).Split("metric/auroc")
	weight := make([]float64, clusters)
	values := make([]float64, 0, resamples)
	for draw := 0; len(values) < resamples && draw < 2*resamples; draw++ {
		src := root.SplitN("draw", draw)
		clear(weight)
		for range clusters {
			weight[src.IntN(clusters)]++
		}
		var sum float64
		for i := range first {
			sum += first[i].area(weight)
			if second != nil {
				sum -= second[i].area(weight)
			}
		}
		if !math.IsNaN(sum) {
			values = append(values, sum/float64(len(first)))
		}
	}
	if len(values) < resamples {
		return 0, 0, false
	}
	slices.Sort(values)
	return values[resamples/40-1], values[resamples-resamples/40], true
}
