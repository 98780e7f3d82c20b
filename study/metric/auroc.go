package metric

import (
	"cmp"
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

// ranking holds the items of a seed by score.
type ranking struct {
	ties                 []tie // ascending
	positives, negatives int
	clusters             int
}

// tie is the items with one score. Neighbours that have only positives, or only negatives, are one tie: which of them
// scores higher is nothing to the area.
type tie struct{ positives, negatives []cell }

// cell counts the items of one problem, of one class, in a tie.
type cell struct{ cluster, count uint32 }

func newRanking(items []Scored, index *clusters) ranking {
	type numbered struct {
		score    float64
		cell     cell
		positive bool
	}
	sorted := make([]numbered, len(items))
	for i, item := range items {
		sorted[i] = numbered{item.Score, cell{uint32(index.of(item.Cluster)), 1}, item.Positive}
	}
	slices.SortFunc(sorted, func(x, y numbered) int { return cmp.Compare(x.score, y.score) })
	r := ranking{clusters: index.len()}
	for start, end := 0, 0; start < len(sorted); start = end {
		positives := 0
		for end = start; end < len(sorted) && sorted[end].score == sorted[start].score; end++ {
			if sorted[end].positive {
				positives++
			}
		}
		negatives := end - start - positives
		r.positives, r.negatives = r.positives+positives, r.negatives+negatives
		k := len(r.ties) - 1
		if k < 0 || len(r.ties[k].positives)+positives > 0 && len(r.ties[k].negatives)+negatives > 0 {
			r.ties, k = append(r.ties, tie{}), k+1
		}
		for _, item := range sorted[start:end] {
			if item.positive {
				r.ties[k].positives = append(r.ties[k].positives, item.cell)
			} else {
				r.ties[k].negatives = append(r.ties[k].negatives, item.cell)
			}
		}
	}
	for i, t := range r.ties {
		r.ties[i] = tie{gather(t.positives), gather(t.negatives)}
	}
	return r
}

// gather returns one cell for each problem.
func gather(cells []cell) []cell {
	slices.SortFunc(cells, func(x, y cell) int { return cmp.Compare(x.cluster, y.cluster) })
	out := cells[:0]
	for _, c := range cells {
		if n := len(out); n > 0 && out[n-1].cluster == c.cluster {
			out[n-1].count += c.count
		} else {
			out = append(out, c)
		}
	}
	return out
}

// total counts items, as often each as weight says of its cluster (once if nil).
func total(cells []cell, weight []float64) (sum float64) {
	for _, c := range cells {
		w := 1.
		if weight != nil {
			w = weight[c.cluster]
		}
		sum += w * float64(c.count)
	}
	return sum
}

// area returns the area with items counted as often as weight says of their cluster (once each if nil); NaN where the
// weights leave a class empty.
func (r ranking) area(weight []float64) float64 {
	var wins, positives, negatives float64
	for _, t := range r.ties {
		p, n := total(t.positives, weight), total(t.negatives, weight)
		wins += p * (negatives + n/2)
		positives, negatives = positives+p, negatives+n
	}
	return wins / (positives * negatives)
}

// influence returns by cluster, times sign, the sum of its items' contributions to the error of the area.
func (r ranking) influence(sign float64) []float64 {
	area := r.area(nil)
	p, n := float64(r.positives), float64(r.negatives)
	out := make([]float64, r.clusters)
	var positives, negatives float64
	for _, t := range r.ties {
		tiedPositives, tiedNegatives := total(t.positives, nil), total(t.negatives, nil)
		beats := (negatives + tiedNegatives/2) / n      // for a positive here: the negatives it beats
		beaten := (p - positives - tiedPositives/2) / p // for a negative here: the positives that beat it
		for _, c := range t.positives {
			out[c.cluster] += sign * float64(c.count) * (beats - area) / p
		}
		for _, c := range t.negatives {
			out[c.cluster] += sign * float64(c.count) * (beaten - area) / n
		}
		positives, negatives = positives+tiedPositives, negatives+tiedNegatives
	}
	return out
}

// lanes is how many bootstrap samples are gone through at once. It divides resamples.
const lanes = 8

// drawn counts something in each of lanes samples, two to a word: sample i in the lower half of word i/2 if i is even, else in the
// upper. A half has room for the counts of a hundred million items, since no sample draws a problem more than some ten times.
type drawn [lanes / 2]uint64

const halfWord = 32 // bits

// count returns how many items each sample has, given how often it drew each cluster.
func count(cells []cell, draws []drawn) drawn {
	var a, b, c, d uint64 // which stay in registers, as an array does not
	for _, cell := range cells {
		times, n := &draws[cell.cluster], uint64(cell.count)
		a += n * times[0]
		b += n * times[1]
		c += n * times[2]
		d += n * times[3]
	}
	return drawn{a, b, c, d}
}

// areas is area for each of some samples, and gives the same bits: all that is added is whole, as wins are counted in halves.
func (r ranking) areas(draws []drawn) (out [lanes]float64) {
	var positives, negatives drawn
	var wins [lanes]uint64
	for _, t := range r.ties {
		n := count(t.negatives, draws)
		if len(t.positives) > 0 {
			p := count(t.positives, draws)
			for k := range p {
				twice := 2*negatives[k] + n[k]
				wins[2*k] += uint64(uint32(p[k])) * uint64(uint32(twice))
				wins[2*k+1] += p[k] >> halfWord * (twice >> halfWord)
				positives[k] += p[k]
			}
		}
		for k := range n {
			negatives[k] += n[k]
		}
	}
	for i := range out {
		p, n := uint32(positives[i/2]>>(i%2*halfWord)), uint32(negatives[i/2]>>(i%2*halfWord))
		out[i] = float64(wins[i]) / 2 / (float64(p) * float64(n))
	}
	return out
}

// bootstrap returns the percentile interval of the mean over seeds of area(first) - area(second) when problems are drawn
// with replacement. It is not ok where most draws leave a class empty.
func bootstrap(first, second []ranking, clusters int) (lo, hi float64, ok bool) {
	root := rng.New(0).Split("metric/auroc")
	draws := make([]drawn, clusters)
	values := make([]float64, 0, resamples)
	for draw := 0; len(values) < resamples && draw < 2*resamples; draw += lanes {
		clear(draws)
		for i := range lanes {
			src := root.SplitN("draw", draw+i)
			for range clusters {
				draws[src.IntN(clusters)][i/2] += 1 << (i % 2 * halfWord)
			}
		}
		var sums [lanes]float64
		for i := range first {
			for k, area := range first[i].areas(draws) {
				sums[k] += area
			}
			if second != nil {
				for k, area := range second[i].areas(draws) {
					sums[k] -= area
				}
			}
		}
		for _, sum := range sums {
			if !math.IsNaN(sum) && len(values) < resamples {
				values = append(values, sum/float64(len(first)))
			}
		}
	}
	if len(values) < resamples {
		return 0, 0, false
	}
	slices.Sort(values)
	return values[resamples/40-1], values[resamples-resamples/40], true
}
