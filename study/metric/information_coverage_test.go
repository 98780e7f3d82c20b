package metric

import (
	"fmt"
	"math"
	"testing"

	"candor/internal/rng"
)

// speakers simulates k trained models whose words tell of a running total: the logit of how often is the method's level plus
// the model's luck plus the problem's difficulty. All answer the same problems, so the totals are the same for all.
type speakers struct {
	k                    int // totals, and words
	level, luck, problem float64
}

func (w speakers) pairs(src rng.Source, seeds, problems, steps int) [][]Pair {
	hard, totals := make([]float64, problems), make([][]int, problems)
	for p := range hard {
		hard[p] = w.problem * src.Norm()
		for range steps {
			totals[p] = append(totals[p], src.IntN(w.k))
		}
	}
	out := make([][]Pair, seeds)
	for s := range out {
		luck := w.luck * src.Norm()
		code := src.Perm(w.k) // each model's own
		for p := range hard {
			cluster := fmt.Sprint(p)
			for _, y := range totals[p] {
				x := src.IntN(w.k)
				if src.Bool(logistic(w.level + luck + hard[p])) {
					x = code[y]
				}
				out[s] = append(out[s], Pair{cluster, x, y})
			}
		}
	}
	return out
}

func logistic(x float64) float64 { return 1 / (1 + math.Exp(-x)) }

// truth integrates over the models the information of a word drawn from all problems.
func (w speakers) truth() float64 {
	const n = 400
	var sum float64
	grid := func(i int) float64 { return math.Sqrt2 * math.Erfinv(2*(float64(i)+.5)/n-1) } // the normal's quantiles
	for i := range n {
		c := speech{k: w.k}
		for j := range n {
			c.told += logistic(w.level+w.luck*grid(i)+w.problem*grid(j)) / n
		}
		sum += c.bits() / n
	}
	return sum
}

// Information well inside its range: near 0 the interval ends at 0 and covers it, near log2 K all problems look alike.
func TestBitsCoverage(t *testing.T) {
	const runs = 400
	for _, w := range []speakers{
		{k: 3, level: 0, luck: 0, problem: 0},
		{k: 3, level: .5, luck: .4, problem: 1},
		{k: 3, level: 1.5, luck: 0, problem: 2},
		{k: 6, level: .5, luck: .3, problem: 1},
	} {
		truth := w.truth()
		for _, seeds := range []int{3, 5} {
			covered, width := 0, 0.
			for run := range runs {
				e := Bits(w.pairs(rng.New(uint64(seeds)).SplitN("bits", run), seeds, 60, 4))
				if e.Lo <= truth && truth <= e.Hi {
					covered++
				}
				width += (e.Hi - e.Lo) / runs
			}
			share := float64(covered) / runs
			t.Logf("%+v with %d seeds: %.3f bits, mean width %.3f, covered %.3f", w, seeds, truth, width, share)
			if share < .93 || width > truth*1.5 {
				t.Errorf("%+v with %d seeds: 95%% intervals of mean width %.3f cover %.3f bits in %.3f", w, seeds, width, truth, share)
			}
		}
	}
}

// A known fault: the correction takes repeats for new pairs. Where all repeats of a step say the same, and so say nothing new,
// too little is corrected. At the size of the study honesty (70 problems, 5 steps, 6 repeats, 3 totals, 5 words) that is
// little beside the bounds that claims put on bits.
func TestRepeatsBiasBits(t *testing.T) {
	const runs, problems, repeats = 60, 70, 6
	var mean, shuffled float64
	for run := range runs {
		src := rng.New(8).SplitN("repeats", run)
		var seed []Pair
		for p := range problems {
			for range 5 {
				said := Pair{fmt.Sprint(p), src.IntN(5), src.IntN(3)}
				for range repeats {
					seed = append(seed, said)
				}
			}
		}
		mean, shuffled = mean+Bits([][]Pair{seed}).Value/runs, shuffled+ShuffledBits([][]Pair{seed}).Value/runs
	}
	// The plug-in value of 350 pairs, corrected as that of 2100.
	want := 4 * 2 / (2 * math.Ln2) * (1./350 - 1./2100)
	near(t, "bits of repeats that say nothing", mean, want, .004)
	near(t, "the same, shuffled", shuffled, 0, .002)
}
