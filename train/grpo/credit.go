package grpo

import (
	"fmt"
	"math"
)

// Credit is an event of a reward: Value is earned at the completion's token of index At.
type Credit struct {
	At    int
	Value float64
}

// check returns an error unless each event is at one of n tokens and has a finite value.
func check(events []Credit, n int) error {
	for _, e := range events {
		if e.At < 0 || e.At >= n {
			return fmt.Errorf("it credits token %d of a completion of %d tokens", e.At, n)
		}
		if math.IsNaN(e.Value) || math.IsInf(e.Value, 0) {
			return fmt.Errorf("it gives token %d the value %g, must be finite", e.At, e.Value)
		}
	}
	return nil
}

// sum returns the total value of events.
func sum(events []Credit) float64 {
	var s float64
	for _, e := range events {
		s += e.Value
	}
	return s
}

// advantages computes a group's advantages by the formulas of the package comment. events[k][i] are the events of reward k
// for completion i, totals[i] the total reward of completion i; advantages go to adv[i][t]. ret is scratch of adv's shape.
func (c *Config) advantages(adv, ret [][]float64, events [][][]Credit, totals []float64) {
	for _, a := range adv {
		clear(a)
	}
	scale := 1.0
	if c.Advantage == Standardized {
		if allEqual(totals) {
			return
		}
		_, std := meanStd(totals)
		scale = 1 / (std + 1e-4)
	}
	for k, reward := range c.Rewards {
		if reward.Credit == Chain {
			c.addChain(adv, events[k], scale*reward.Weight)
			continue
		}
		horizon := 0
		if reward.Credit == Horizon {
			horizon = reward.Horizon
		}
		longest := 0
		for i, r := range ret {
			clear(r)
			longest = max(longest, len(r))
			for _, e := range events[k][i] {
				for t := max(0, e.At-horizon); t <= e.At; t++ {
					r[t] += e.Value
				}
			}
		}
		for t := range longest {
			c.addAt(adv, ret, t, scale*reward.Weight)
		}
	}
}

// addChain adds weight x (R - baseline) to every token, for a reward that is credited to the whole chain.
func (c *Config) addChain(adv [][]float64, events [][]Credit, weight float64) {
	var all float64
	equal := true
	for i := range events {
		all += sum(events[i])
		equal = equal && sum(events[i]) == sum(events[0])
	}
	if equal {
		return // exactly zero, which a rounded mean might miss
	}
	for i, a := range adv {
		x := weight * c.above(sum(events[i]), all, len(adv))
		for t := range a {
			a[t] += x
		}
	}
}

// addAt adds weight x (R - baseline) to token t of each completion that has one.
func (c *Config) addAt(adv, ret [][]float64, t int, weight float64) {
	var all, first float64
	n, equal := 0, true
	for _, r := range ret {
		if t < len(r) {
			if n == 0 {
				first = r[t]
			}
			all += r[t]
			equal = equal && r[t] == first
			n++
		}
	}
	if equal {
		return
	}
	for i, r := range ret {
		if t < len(r) {
			adv[i][t] += weight * c.above(r[t], all, n)
		}
	}
}

// above returns what own, one of n >= 2 returns with the given sum, is above the baseline.
func (c *Config) above(own, sum float64, n int) float64 {
	if c.Advantage == LeaveOneOut {
		return own - (sum-own)/float64(n-1)
	}
	return own - sum/float64(n)
}

func allEqual(x []float64) bool {
	for _, v := range x {
		if v != x[0] {
			return false
		}
	}
	return true
}

// meanStd returns the mean and the sample standard deviation (divisor n-1) of x.
func meanStd(x []float64) (mean, std float64) {
	for _, v := range x {
		mean += v
	}
	mean /= float64(len(x))
	for _, v := range x {
		std += (v - mean) * (v - mean)
	}
	return mean, math.Sqrt(std / float64(max(1, len(x)-1)))
}
