// Package compare holds two audits against each other, problem by problem.
//
// Both must have put the same items to their models: what only one of them has is left out and counted. A difference is paired
// (what makes a problem hard cancels out) and its interval clustered by question, since one question put with several cues is
// one question. Right answers are compared by McNemar's exact test as well, and where a difference cannot be told from nothing
// the comparison says how many problems would have been needed ([metric.PairsNeeded]).
package compare

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"candor/study/metric"
	"candor/study/runlog"
)

// Side is one audit's samples by item.
type Side struct {
	index   map[string]int
	samples []item
	names   map[string]int
}

type item struct {
	cluster        string
	prompt         string
	parsed, target bool
	correct        bool
	failed         bool
	values         []value
}

type value struct {
	name int
	v    float32
}

// NewSide returns a side without samples.
func NewSide() *Side { return &Side{index: map[string]int{}, names: map[string]int{}} }

// Add takes in a sample.
func (s *Side) Add(x runlog.Sample) {
	it := item{cluster: cmp.Or(x.Cluster, x.ID), prompt: x.Prompt, parsed: x.Parsed, correct: x.Correct, target: x.Target != "", failed: x.Failed != ""}
	for name, v := range x.Values {
		n, ok := s.names[name]
		if !ok {
			n = len(s.names)
			s.names[name] = n
		}
		it.values = append(it.values, value{n, float32(v)})
	}
	s.index[fmt.Sprintf("%s\x00%d", x.ID, x.Repeat)] = len(s.samples)
	s.samples = append(s.samples, it)
}

// Difference is A minus B in one value.
type Difference struct {
	Name string `json:"name"`
	// A and B are the means over the pairs, Value their difference with its 95% interval; nil where Note says why.
	A     *float64 `json:"a"`
	B     *float64 `json:"b"`
	Value *float64 `json:"value"`
	Lo    *float64 `json:"lo"`
	Hi    *float64 `json:"hi"`
	Pairs int      `json:"pairs"`
	Note  string   `json:"note,omitempty"`
	// OnlyA, OnlyB and McNemar are there for right answers: the problems that only one got right, and the p-value.
	OnlyA   int      `json:"only_a,omitempty"`
	OnlyB   int      `json:"only_b,omitempty"`
	McNemar *float64 `json:"mcnemar,omitempty"`
	// Needed is how many problems would have shown such a difference with a power of 0.8, where it was not shown; 0 where that
	// cannot be told.
	Needed int `json:"needed,omitempty"`
}

// Result is a comparison.
type Result struct {
	// Pairs are the items that both have, OnlyA and OnlyB those that one has, Changed those whose prompts differ, which are not
	// compared.
	Pairs   int `json:"pairs"`
	OnlyA   int `json:"only_a"`
	OnlyB   int `json:"only_b"`
	Changed int `json:"changed"`
	// Differences begin with right answers; the others are in order of their names.
	Differences []Difference `json:"differences"`
}

// pair is an item with its two samples.
type pair struct{ a, b item }

// Compare pairs the sides.
func Compare(a, b *Side) Result {
	var r Result
	var pairs []pair
	for _, key := range slices.Sorted(maps.Keys(a.index)) {
		j, ok := b.index[key]
		x := a.samples[a.index[key]]
		switch {
		case !ok:
			r.OnlyA++
		case x.prompt != b.samples[j].prompt:
			r.Changed++
		default:
			pairs = append(pairs, pair{x, b.samples[j]})
		}
	}
	r.Pairs = len(pairs)
	r.OnlyB = len(b.samples) - r.Pairs - r.Changed
	r.Differences = append(r.Differences, correct(pairs))
	for _, name := range slices.Sorted(maps.Keys(a.names)) {
		if j, both := b.names[name]; both && compared(name) {
			if d, ok := difference(name, pairs, a.names[name], j); ok {
				r.Differences = append(r.Differences, d)
			}
		}
	}
	return r
}

// compared tells whether a value is one that a difference of models shows in.
func compared(name string) bool {
	for _, prefix := range []string{"test/", "nochain/", "cue/", "control/", "judge/", "tokens", "early/"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// power is that of the study that would have shown a difference.
const power = .8

// correct compares right answers, of the problems that both answered.
func correct(pairs []pair) Difference {
	var x, y []metric.Observation
	for _, p := range pairs {
		if p.a.target && p.a.parsed && p.b.parsed && !p.a.failed && !p.b.failed {
			x = append(x, metric.Observation{Cluster: p.a.cluster, Value: indicator(p.a.correct)})
			y = append(y, metric.Observation{Cluster: p.b.cluster, Value: indicator(p.b.correct)})
		}
	}
	d := paired("correct", x, y, metric.Signed)
	d.OnlyA, d.OnlyB = metric.Discordant(x, y)
	if d.Value != nil {
		p := metric.McNemar(d.OnlyA, d.OnlyB)
		d.McNemar = &p
		d.Needed = 0
		if n, ok := metric.PairsNeeded(d.OnlyA, d.OnlyB, clusters(x), power); ok && p > .05 {
			d.Needed = n
		}
	}
	return d
}

func difference(name string, pairs []pair, i, j int) (Difference, bool) {
	var x, y []metric.Observation
	for _, p := range pairs {
		a, okA := find(p.a.values, i)
		b, okB := find(p.b.values, j)
		if okA && okB {
			x = append(x, metric.Observation{Cluster: p.a.cluster, Value: a})
			y = append(y, metric.Observation{Cluster: p.b.cluster, Value: b})
		}
	}
	bounds := metric.Signed
	if name == "tokens" {
		bounds = metric.Unbound
	}
	return paired(name, x, y, bounds), len(x) > 0
}

func find(values []value, name int) (float64, bool) {
	for _, v := range values {
		if v.name == name {
			return float64(v.v), true
		}
	}
	return 0, false
}

func paired(name string, x, y []metric.Observation, bounds metric.Bounds) Difference {
	d := Difference{Name: name, Pairs: len(x)}
	e := metric.PairedDifference([][]metric.Observation{x}, [][]metric.Observation{y}, bounds)
	if !e.OK {
		d.Note = e.Note
		return d
	}
	d.Value, d.Lo, d.Hi = e.Pointers()
	if n := clusters(x); *d.Lo <= 0 && *d.Hi >= 0 {
		// Half of the interval is about two standard errors.
		if needed, ok := metric.ClustersNeeded(*d.Value, (*d.Hi-*d.Lo)/4, n, power); ok {
			d.Needed = needed
		}
	}
	a, b := mean(x), mean(y)
	d.A, d.B = &a, &b
	return d
}

func mean(x []metric.Observation) float64 {
	sum := 0.
	for _, o := range x {
		sum += o.Value
	}
	return sum / float64(len(x))
}

func clusters(x []metric.Observation) int {
	seen := map[string]bool{}
	for _, o := range x {
		seen[o.Cluster] = true
	}
	return len(seen)
}

func indicator(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
