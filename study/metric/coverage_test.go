package metric

import (
	"fmt"
	"math"
	"testing"

	"candor/internal/rng"
)

// world simulates the accuracy of k trained models on the same problems: the logit is the method's level plus the model's
// luck plus the problem's difficulty.
type world struct {
	level, model, problem float64
	shared                bool
}

func (w world) seeds(src rng.Source, k, problems int) [][]Observation {
	hard := make([]float64, problems)
	for p := range hard {
		hard[p] = w.problem * src.Norm()
	}
	out := make([][]Observation, k)
	for s := range out {
		luck := w.model * src.Norm()
		for p := range hard {
			o := Observation{Cluster: fmt.Sprint(p)}
			difficulty := hard[p]
			if !w.shared {
				o.Cluster = fmt.Sprintf("%d/%d", s, p)
				difficulty = w.problem * src.Norm()
			}
			if src.Bool(1 / (1 + math.Exp(-w.level-luck-difficulty))) {
				o.Value = 1
			}
			out[s] = append(out[s], o)
		}
	}
	return out
}

// truth integrates the accuracy over models and problems.
func (w world) truth() float64 {
	src := rng.New(5)
	sd := math.Hypot(w.model, w.problem)
	var sum float64
	const n = 200_000
	for range n {
		sum += 1 / (1 + math.Exp(-w.level-sd*src.Norm()))
	}
	return sum / n
}

func TestCoverageOverSeeds(t *testing.T) {
	const runs, problems = 500, 60
	for _, w := range []world{
		{level: 0, model: 0, problem: 0, shared: true},
		{level: 0, model: .3, problem: 1, shared: true},
		{level: 0, model: .3, problem: 3, shared: true},
		{level: 2, model: .5, problem: 1, shared: true},
		{level: 2, model: .5, problem: 1, shared: false},
		{level: 3.5, model: 0, problem: 1, shared: true},
		{level: 1, model: 0, problem: 6, shared: true},
	} {
		truth := w.truth()
		for _, k := range []int{3, 4, 5} {
			covered, paired := 0, 0
			for run := range runs {
				src := rng.New(uint64(k)).SplitN("coverage", run)
				a := w.seeds(src.Split("a"), k, problems)
				if e := Mean(a, Unit); e.Lo <= truth && truth <= e.Hi {
					covered++
				}
				if run%2 == 0 {
					// Two methods of equal level, on the same problems where they are shared.
					b := w.seeds(src.Split("a"), k, problems)
					for s, other := range w.seeds(src.Split("b"), k, problems) {
						if s%2 == 0 {
							a[s] = other
						} else {
							b[s] = other
						}
					}
					if e := PairedDifference(a, b, Signed); e.Lo <= 0 && 0 <= e.Hi {
						paired++
					}
				}
			}
			share, pairedShare := float64(covered)/runs, float64(paired)/(runs/2)
			t.Logf("%+v with %d seeds: covered %.3f, paired %.3f", w, k, share, pairedShare)
			if share < .93 || pairedShare < .92 {
				t.Errorf("%+v with %d seeds: 95%% intervals cover %.3f, paired %.3f", w, k, share, pairedShare)
			}
		}
	}
}
