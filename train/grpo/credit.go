package grpo

import (
	"fmt"
	"math"
	"slices"
)

// Credit is an event of a reward: Value is earned at the token of index At of what was written in a turn.
type Credit struct {
	At    int
	Value float64
	Turn  int
}

// locate turns the events' places into indices within all tokens of the rollout. It returns an error unless each event is at
// a token that was written and has a finite value.
func (o *Rollout) locate(events []Credit) error {
	for i, e := range events {
		if e.Turn < 0 || e.Turn >= len(o.Turns) {
			return fmt.Errorf("it credits turn %d of a rollout of %d turns", e.Turn, len(o.Turns))
		}
		if n := len(o.Turns[e.Turn].Tokens); e.At < 0 || e.At >= n {
			return fmt.Errorf("it credits token %d of a turn of %d tokens", e.At, n)
		}
		if math.IsNaN(e.Value) || math.IsInf(e.Value, 0) {
			return fmt.Errorf("it gives token %d the value %g, must be finite", e.At, e.Value)
		}
		for _, before := range o.Turns[:e.Turn] {
			events[i].At += len(before.Tokens)
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

// returns is a group's tokens, by completion: what they are credited with.
type returns struct {
	adv, ret [][]float64 // advantages, and scratch of the same shape
	turn     [][]int     // the turn in which each token was written; nil if all were in turn 0
}

// advantages computes a group's advantages by the formulas of the package comment. events[k][i] are the events of reward k
// for completion i, weights[k] the weight of reward k, totals[i] the total reward of completion i; advantages go to g.adv.
func (c *Config) advantages(g returns, events [][][]Credit, weights, totals []float64) {
	for _, a := range g.adv {
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
	for k := range c.Rewards {
		reward := &c.Rewards[k]
		if reward.Credit == Chain {
			c.addChain(g, reward, events[k], scale*weights[k])
			continue
		}
		horizon := 0
		if reward.Credit == Horizon {
			horizon = reward.Horizon
		}
		longest := 0
		for i, r := range g.ret {
			clear(r)
			longest = max(longest, len(r))
			for _, e := range events[k][i] {
				for t := max(0, e.At-horizon); t <= e.At; t++ {
					r[t] += e.Value
				}
			}
		}
		for t := range longest {
			c.addAt(g, reward, t, scale*weights[k])
		}
	}
}

// add adds x to the advantage of token t of completion i, if the reward is credited to that token's turn.
func (g returns) add(reward *Reward, i, t int, x float64) {
	if len(reward.Turns) > 0 {
		turn := 0
		if g.turn != nil {
			turn = g.turn[i][t]
		}
		if !slices.Contains(reward.Turns, turn) {
			return
		}
	}
	g.adv[i][t] += x
}

// addChain adds weight x (R - baseline) to every token, for a reward that is credited to the whole chain.
func (c *Config) addChain(g returns, reward *Reward, events [][]Credit, weight float64) {
	var all float64
	equal := true
	for i := range events {
		all += sum(events[i])
		equal = equal && sum(events[i]) == sum(events[0])
	}
	if equal {
		return // exactly zero, which a rounded mean might miss
	}
	for i, a := range g.adv {
		x := weight * c.above(sum(events[i]), all, len(g.adv))
		for t := range a {
			g.add(reward, i, t, x)
		}
	}
}

// addAt adds weight x (R - baseline) to token t of each completion that has one.
func (c *Config) addAt(g returns, reward *Reward, t int, weight float64) {
	var all, first float64
	n, equal := 0, true
	for _, r := range g.ret {
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
	for i, r := range g.ret {
		if t < len(r) {
			g.add(reward, i, t, weight*c.above(r[t], all, n))
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
