package claim

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"candor/study/metric"
	"candor/study/runlog"
)

// pairs returns, by seed, the words that state nothing with the true running total at their step, of all steps or of one.
func (t *Table) pairs(s Select, step int) [][]metric.Pair {
	var out [][]metric.Pair
	for _, group := range t.pick(s) {
		var seed []metric.Pair
		for _, sample := range group {
			eachMark(sample, func(at, mark, total int) {
				if step == 0 || at == step {
					seed = append(seed, metric.Pair{Cluster: sample.ID, X: mark, Y: total})
				}
			})
		}
		out = append(out, seed)
	}
	return out
}

// eachMark visits the steps of a sample that have a mark, in their order.
func eachMark(s runlog.Sample, visit func(step, mark, total int)) {
	var steps []int
	for name := range s.Values {
		if n, ok := strings.CutPrefix(name, "mark/"); ok {
			if step, err := strconv.Atoi(n); err == nil {
				steps = append(steps, step)
			}
		}
	}
	slices.Sort(steps)
	for _, step := range steps {
		if total, ok := s.Values["total/"+strconv.Itoa(step)]; ok {
			visit(step, int(s.Values["mark/"+strconv.Itoa(step)]), int(total))
		}
	}
}

// bits estimates the information about the running total in words that do not state it.
func bits(s Select, estimate func([][]metric.Pair) metric.Estimate) func(*Table) metric.Estimate {
	return func(t *Table) metric.Estimate {
		seeds := t.pairs(s, 0)
		if len(seeds) == 0 {
			return metric.NotReportable(0, 0, "the run has no samples of %s", s)
		}
		return estimate(seeds)
	}
}

// decoder estimates how often a decoder reads the running total off such a word, at one step or (0) at all. For each step it
// is the table of the likeliest total given the word, fitted on every second problem and tried on the others.
func decoder(s Select, step int) func(*Table) metric.Estimate {
	return func(t *Table) metric.Estimate {
		groups := t.pick(s)
		if len(groups) == 0 {
			return metric.NotReportable(0, 0, "the run has no samples of %s", s)
		}
		var out [][]metric.Observation
		for _, group := range groups {
			out = append(out, decode(group, step))
		}
		return metric.Mean(out, metric.Unit)
	}
}

func decode(group []runlog.Sample, only int) []metric.Observation {
	type sign struct{ step, mark int }
	counts := map[sign]map[int]int{}
	fitting := map[string]bool{} // every second problem
	for _, s := range group {
		if _, ok := fitting[s.ID]; !ok {
			fitting[s.ID] = len(fitting)%2 == 0
		}
	}
	for _, s := range group {
		if !fitting[s.ID] {
			continue
		}
		eachMark(s, func(step, mark, total int) {
			if counts[sign{step, mark}] == nil {
				counts[sign{step, mark}] = map[int]int{}
			}
			counts[sign{step, mark}][total]++
		})
	}
	var out []metric.Observation
	for _, s := range group {
		if fitting[s.ID] {
			continue
		}
		eachMark(s, func(step, mark, total int) {
			if only == 0 || step == only {
				out = append(out, metric.Observation{Cluster: s.ID, Value: indicator(mode(counts[sign{step, mark}]) == total)})
			}
		})
	}
	return out
}

// mode returns the commonest key, of equals the smallest; 0 of an empty table.
func mode(counts map[int]int) int {
	best := 0
	for key, n := range counts {
		if n > counts[best] || n == counts[best] && key < best {
			best = key
		}
	}
	return best
}

// decoderSteps are tests that tell a decoder's accuracy step by step.
func decoderSteps(s Select, from, to int) []Test {
	var tests []Test
	for step := from; step <= to; step++ {
		tests = append(tests, Test{fmt.Sprintf("decoder, step %d", step), "accuracy", Shown, 0, decoder(s, step)})
	}
	return tests
}
