package metric

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/stat"
)

// Observation is one measured value of one problem in one seed.
type Observation struct {
	// Cluster names the problem: observations of one problem are not independent, within a seed or across seeds.
	Cluster string
	// Value is 0 or 1 for an outcome, or any finite number.
	Value float64
}

// Mean estimates the mean of the seeds' means; package documentation says how its interval is made. Within a seed every
// observation has the same weight, so a problem asked twice counts twice.
//
// It is not reportable without seeds, where a seed has fewer than [MinClusters] problems, or where a value is not finite.
func Mean(seeds [][]Observation, bounds Bounds) Estimate {
	n := 0
	for _, seed := range seeds {
		n += len(seed)
	}
	index := newClusters()
	s := spread{values: make([]float64, len(seeds)), errors: make([][]float64, len(seeds)), n: n, bounds: bounds}
	for i, seed := range seeds {
		var sum float64
		before := map[int]bool{}
		for _, o := range seed {
			if math.IsNaN(o.Value) || math.IsInf(o.Value, 0) {
				return NotReportable(n, len(seeds), "problem %s has the value %g in seed %d of %d", o.Cluster, o.Value, i+1, len(seeds))
			}
			before[index.of(o.Cluster)] = true
			sum += o.Value
		}
		if len(before) < MinClusters {
			return NotReportable(n, len(seeds), "only %d problems in seed %d of %d, at least %d are needed", len(before), i+1, len(seeds), MinClusters)
		}
		s.values[i] = sum / float64(len(seed))
		s.errors[i] = make([]float64, index.len())
		for _, o := range seed {
			s.errors[i][index.of(o.Cluster)] += (o.Value - s.values[i]) / float64(len(seed))
		}
	}
	s.clusters = index.len()
	return s.estimate()
}

// PairedDifference estimates mean(a) - mean(b) with seed i of a paired with seed i of b and, within a seed, problem with
// problem: both arms answered the same questions, so what makes a question hard cancels out. Problems that only one of
// the two has are left out and counted in the note. Each problem's value is the mean of its repeats, each problem has the
// same weight. Bounds are those of the difference: [Signed] for shares.
func PairedDifference(a, b [][]Observation, bounds Bounds) Estimate {
	if len(a) != len(b) {
		return NotReportable(0, min(len(a), len(b)), "%d seeds cannot be paired with %d", len(a), len(b))
	}
	differences := make([][]Observation, len(a))
	dropped := 0
	for i := range a {
		left, right := byCluster(a[i]), byCluster(b[i])
		for _, id := range left.order {
			other, ok := right.mean[id]
			if !ok {
				dropped++
				continue
			}
			differences[i] = append(differences[i], Observation{id, left.mean[id] - other})
		}
		for _, id := range right.order {
			if _, ok := left.mean[id]; !ok {
				dropped++
			}
		}
	}
	e := Mean(differences, bounds)
	if dropped > 0 {
		e.note(fmt.Sprintf("%d problems without a partner left out", dropped))
	}
	return e
}

type clusterMeans struct {
	order []string
	mean  map[string]float64
}

func byCluster(observations []Observation) clusterMeans {
	c := clusterMeans{mean: map[string]float64{}}
	count := map[string]float64{}
	for _, o := range observations {
		if count[o.Cluster] == 0 {
			c.order = append(c.order, o.Cluster)
		}
		count[o.Cluster]++
		c.mean[o.Cluster] += o.Value
	}
	for id, n := range count {
		c.mean[id] /= n
	}
	return c
}

// clusters numbers problem names in order of first appearance, so that sums run in an order that the input fixes.
type clusters struct{ number map[string]int }

func newClusters() *clusters { return &clusters{map[string]int{}} }

func (c *clusters) of(name string) int {
	i, ok := c.number[name]
	if !ok {
		i = len(c.number)
		c.number[name] = i
	}
	return i
}

func (c *clusters) len() int { return len(c.number) }

// spread is what an interval over seeds and problems is made of.
type spread struct {
	values []float64 // the statistic of each seed
	// errors[s][c] is what problem c contributes to the error of values[s], to first order (its influence); shorter than
	// clusters where later problems do not occur in seed s.
	errors   [][]float64
	clusters int
	n        int
	bounds   Bounds
}

func (e *Estimate) note(text string) {
	if e.Note != "" {
		e.Note += "; "
	}
	e.Note += text
}

func (e *Estimate) widen(lo, hi float64) { e.Lo, e.Hi = min(e.Lo, lo), max(e.Hi, hi) }

func (s spread) estimate() Estimate {
	k := len(s.values)
	if k == 0 {
		return NotReportable(s.n, 0, "there are no seeds")
	}
	value := stat.Mean(s.values, nil)
	e := Estimate{Value: value, Lo: value, Hi: value, N: s.n, Seeds: k, PerSeed: s.values, OK: true}
	problem, both := s.problemVariance()
	t := student(s.clusters - 1)
	s.within(&e, problem, t)
	if k == 1 {
		e.note("one seed: the interval is over problems only")
	} else {
		between := stat.Variance(s.values, nil) / float64(k)
		ts := student(k - 1)
		half := math.Sqrt(ts*ts*between + t*t*max(0, problem-both))
		e.widen(value-half, value+half)
	}
	e.Lo, e.Hi = s.bounds.clip(e.Lo), s.bounds.clip(e.Hi)
	return e
}

// within widens e to the interval from resampling problems.
func (s spread) within(e *Estimate, variance, t float64) {
	c := float64(s.clusters)
	half := t * math.Sqrt(variance)
	switch s.bounds {
	case Unit:
		// Wilson's interval at the number of independent trials that would have this variance.
		trials := c
		if v := e.Value; v > 0 && v < 1 && variance > 0 {
			trials = min(v*(1-v)/variance, float64(s.n))
		}
		e.widen(wilson(e.Value, max(trials, 1), t))
	case Signed:
		// Agresti and Min (2005): half a pair added to each cell of the paired table keeps the interval from collapsing
		// when nearly all pairs agree. Here a pair is a problem, averaged over seeds.
		centre := e.Value * c / (c + 2)
		adjusted := t * math.Sqrt(variance*c*c+1) / (c + 2)
		e.widen(centre-adjusted, centre+adjusted)
	default:
		e.widen(e.Value-half, e.Value+half)
		if variance == 0 {
			e.note("all problems have the same value")
		}
	}
	if variance == 0 && !math.IsInf(s.bounds.Lo, 0) && !math.IsInf(s.bounds.Hi, 0) {
		// Nothing varied; still a small share of unseen problems could lie at either bound.
		share := rare(s.clusters)
		e.widen(e.Value-share*(e.Value-s.bounds.Lo), e.Value+share*(s.bounds.Hi-e.Value))
	}
}

// problemVariance returns the variance of the mean over seeds when problems are resampled, and the part of it that the
// spread of the seeds' means shows already.
func (s spread) problemVariance() (problem, both float64) {
	k := float64(len(s.values))
	sum := make([]float64, s.clusters)
	for _, errors := range s.errors {
		for c, e := range errors {
			sum[c] += e
			both += e * e / (k * k)
		}
	}
	for _, e := range sum {
		problem += e * e / (k * k)
	}
	bessel := float64(s.clusters) / float64(s.clusters-1)
	return problem * bessel, both * bessel
}
