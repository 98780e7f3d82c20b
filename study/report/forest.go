package report

import (
	"fmt"

	"candor/study/claim"
)

// mark is one estimate drawn on an axis: a point, its interval, the seeds' own values and the threshold. Places are
// percentages of the figure's width.
type mark struct {
	// OK is false when the estimate is not reportable; then only the threshold is drawn.
	OK          bool
	At, Lo, Hi  string
	Seeds       []string
	HasBound    bool
	Bound       string // place of the threshold
	BoundLabel  string
	BoundAnchor string // text-anchor of its label: start, middle or end
	Zero        string
	Ticks       []tick
	Side        side
	// Alt tells the picture in words.
	Alt string
}

// numbers are an estimate in words.
type numbers struct {
	OK                 bool
	Estimate, Interval string
	Unit               string
}

func newNumbers(est, lo, hi *float64, unit string) numbers {
	n := numbers{Unit: unit, Estimate: "not reportable"}
	if !finite(est) {
		return n
	}
	n.OK = true
	n.Estimate = number(*est, signedUnit(unit))
	if finite(lo, hi) {
		n.Interval = interval(*lo, *hi, signedUnit(unit))
	}
	return n
}

func newMark(a axis, est, lo, hi *float64, bound *float64, perSeed []float64, s side) mark {
	m := mark{Side: s, Zero: a.Zero, Ticks: a.Ticks, Alt: "not reportable"}
	if finite(est) {
		m.OK = true
		m.At, m.Lo, m.Hi = a.at(*est), a.at(*est), a.at(*est)
		m.Alt = "estimate " + number(*est, false)
		if finite(lo, hi) {
			m.Lo, m.Hi = a.at(*lo), a.at(*hi)
			m.Alt += ", 95% interval " + number(*lo, false) + " to " + number(*hi, false)
		}
		for _, v := range perSeed {
			if isFinite(v) {
				m.Seeds = append(m.Seeds, a.at(v))
			}
		}
	}
	if finite(bound) {
		m.HasBound, m.Bound, m.BoundLabel = true, a.at(*bound), "threshold "+short(*bound)
		m.Alt += ", threshold " + short(*bound)
		switch p := a.share(*bound); {
		case p < .15:
			m.BoundAnchor = "start"
		case p > .85:
			m.BoundAnchor = "end"
		default:
			m.BoundAnchor = "middle"
		}
	}
	if a.Unit != "" {
		m.Alt += " (" + a.Unit + ")"
	}
	return m
}

// claimView is one claim or control as the page shows it.
type claimView struct {
	ID, Statement, Argues, Rule, Statistic, Source, Note string
	Side                                                 side
	Verdict, Shape                                       string
	Control                                              bool
	Numbers                                              numbers
	N, Seeds, Threshold                                  string
	Axis                                                 axis
	Mark                                                 mark
	Parts                                                []partGroup
	Runs                                                 []string
	HasSamples                                           bool
}

// partGroup holds a claim's parts of one unit, which share an axis.
type partGroup struct {
	Axis  axis
	Parts []partView
}

type partView struct {
	Name     string
	Numbers  numbers
	N, Seeds string
	Mark     mark
}

// forestGroup is the part of the overview in which all claims have one unit.
type forestGroup struct {
	Axis   axis
	Claims []*claimView
}

// forest lays out clean decisions: each on the axis of its unit, the axes common to all decisions of that unit. Groups come in
// the order in which their units are first met.
func forest(ds []claim.Decision) ([]*claimView, []forestGroup) {
	values := map[string][]float64{}
	var units []string
	for _, d := range ds {
		if _, ok := values[d.Unit]; !ok {
			units = append(units, d.Unit)
		}
		values[d.Unit] = append(values[d.Unit], d.Threshold)
		values[d.Unit] = append(values[d.Unit], known(d.Estimate, d.Lo, d.Hi)...)
	}
	axes := map[string]axis{}
	for _, u := range units {
		axes[u] = newAxis(u, values[u])
	}
	var views []*claimView
	byUnit := map[string][]*claimView{}
	for _, d := range ds {
		v := newClaimView(d, axes[d.Unit])
		views = append(views, v)
		byUnit[d.Unit] = append(byUnit[d.Unit], v)
	}
	var groups []forestGroup
	for _, u := range units {
		groups = append(groups, forestGroup{Axis: axes[u], Claims: byUnit[u]})
	}
	return views, groups
}

func newClaimView(d claim.Decision, a axis) *claimView {
	s := sideOf(d.Argues)
	v := &claimView{
		ID: d.ID, Control: d.Control, Side: s,
		Statement: visible(d.Statement), Argues: arguer(d.Argues), Rule: visible(d.Rule),
		Statistic: visible(d.Statistic), Source: visible(d.Source), Note: visible(d.Note),
		Verdict: verdictWord(d.Verdict), Shape: shape(d.Verdict),
		Numbers: newNumbers(d.Estimate, d.Lo, d.Hi, d.Unit),
		N:       thousands(d.N), Seeds: plural(d.Seeds, "seed"), Threshold: short(d.Threshold),
		Axis: a, Mark: newMark(a, d.Estimate, d.Lo, d.Hi, &d.Threshold, nil, s),
		Parts: partGroups(d.Parts, s), Runs: d.Runs,
	}
	return v
}

// verdictWord guards against a verdict that this version does not know.
func verdictWord(v claim.Verdict) string {
	switch v {
	case claim.Supported, claim.Refuted, claim.Undecided:
		return string(v)
	}
	return fmt.Sprintf("undecided (unknown verdict %q)", oneLine(string(v)))
}

func partGroups(parts []claim.Part, s side) []partGroup {
	values := map[string][]float64{}
	var units []string
	for _, p := range parts {
		if _, ok := values[p.Unit]; !ok {
			units = append(units, p.Unit)
		}
		values[p.Unit] = append(values[p.Unit], p.PerSeed...)
		values[p.Unit] = append(values[p.Unit], known(p.Estimate, p.Lo, p.Hi, p.Threshold)...)
	}
	var groups []partGroup
	for _, u := range units {
		g := partGroup{Axis: newAxis(u, values[u])}
		for _, p := range parts {
			if p.Unit != u {
				continue
			}
			g.Parts = append(g.Parts, partView{
				Name: oneLine(p.Name), Numbers: newNumbers(p.Estimate, p.Lo, p.Hi, p.Unit),
				N: thousands(p.N), Seeds: plural(p.Seeds, "seed"),
				Mark: newMark(g.Axis, p.Estimate, p.Lo, p.Hi, p.Threshold, p.PerSeed, s),
			})
		}
		groups = append(groups, g)
	}
	return groups
}

// known drops nil pointers.
func known(vs ...*float64) []float64 {
	var out []float64
	for _, v := range vs {
		if finite(v) {
			out = append(out, *v)
		}
	}
	return out
}
