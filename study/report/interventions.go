package report

import (
	"slices"
	"strings"

	"candor/study/metric"
	"candor/study/runlog"
)

// unedited is the intervention name of a sample whose chain was left alone.
const unedited = "none"

// editFigure shows what editing its chains does to one arm: a row an intervention.
type editFigure struct {
	Arm, Title, Eval, Split string
	Axis                    axis
	Rows                    []editRow
}

// editRow is one intervention. Changed is the share of answers that differ from the model's own answer without the
// intervention, where an answer that cannot be read has changed, as in the register of claims; Accuracy is the share of
// problems solved. Both are over the problems whose chains were edited, so that the first row (no edit) is their baseline.
type editRow struct {
	Intervention       string
	Changed, Accuracy  editCell
	N, Seeds, Unparsed string
}

type editCell struct {
	Has     bool
	Numbers numbers
	Mark    mark
	Note    string
}

// editKey names one measurement of one arm.
type editKey struct{ arm, eval, split string }

// editFigures computes the figures of every arm with edited chains, from clean samples.
func editFigures(samples []runlog.Sample, order func(a, b string) bool, title func(string) string) []editFigure {
	type problem struct {
		seed int
		id   string
	}
	edited := map[editKey]map[problem]bool{}
	for _, s := range samples {
		if s.Intervention == unedited || s.Original == "" {
			continue
		}
		k := editKey{s.Arm, s.Eval, s.Split}
		if edited[k] == nil {
			edited[k] = map[problem]bool{}
		}
		edited[k][problem{s.Seed, s.ID}] = true
	}
	rows := map[editKey]map[string]*editCounts{}
	for _, s := range samples {
		k := editKey{s.Arm, s.Eval, s.Split}
		name := s.Intervention
		if !edited[k][problem{s.Seed, s.ID}] || name != unedited && s.Original == "" {
			continue
		}
		if rows[k] == nil {
			rows[k] = map[string]*editCounts{}
		}
		if rows[k][name] == nil {
			rows[k][name] = &editCounts{right: map[int][]metric.Observation{}, changed: map[int][]metric.Observation{}}
		}
		rows[k][name].add(s)
	}
	keys := make([]editKey, 0, len(rows))
	for k := range rows {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b editKey) int {
		switch {
		case order(a.arm, b.arm):
			return -1
		case order(b.arm, a.arm):
			return 1
		case a.eval != b.eval:
			return strings.Compare(a.eval, b.eval)
		}
		return strings.Compare(a.split, b.split)
	})
	a := axisOver("share", 0, 1, 4)
	var figures []editFigure
	for _, k := range keys {
		f := editFigure{Arm: k.arm, Title: title(k.arm), Eval: k.eval, Split: k.split, Axis: a}
		names := make([]string, 0, len(rows[k]))
		for name := range rows[k] {
			names = append(names, name)
		}
		sortInterventions(names)
		for _, name := range names {
			f.Rows = append(f.Rows, rows[k][name].row(name, a))
		}
		figures = append(figures, f)
	}
	return figures
}

// editCounts gathers one row's observations by seed.
type editCounts struct {
	right, changed map[int][]metric.Observation
	n, unparsed    int
}

func (c *editCounts) add(s runlog.Sample) {
	c.n++
	if !s.Parsed {
		c.unparsed++
	}
	c.right[s.Seed] = append(c.right[s.Seed], metric.Observation{Cluster: s.ID, Value: indicator(s.Correct)})
	if s.Original != "" && s.Intervention != unedited {
		c.changed[s.Seed] = append(c.changed[s.Seed], metric.Observation{Cluster: s.ID, Value: indicator(!s.Parsed || s.Answer != s.Original)})
	}
}

func (c *editCounts) row(name string, a axis) editRow {
	return editRow{
		Intervention: name,
		Accuracy:     newEditCell(a, c.right),
		Changed:      newEditCell(a, c.changed),
		N:            thousands(c.n),
		Seeds:        plural(len(c.right), "seed"),
		Unparsed:     thousands(c.unparsed),
	}
}

func newEditCell(a axis, bySeed map[int][]metric.Observation) editCell {
	if len(bySeed) == 0 {
		return editCell{}
	}
	e := estimateOf(bySeed)
	est, lo, hi := e.Pointers()
	return editCell{
		Has:     true,
		Numbers: newNumbers(est, lo, hi, a.Unit),
		Mark:    newMark(a, est, lo, hi, nil, e.PerSeed, sideNone),
		Note:    e.Note,
	}
}

// estimateOf is the mean of shares over seeds.
func estimateOf(bySeed map[int][]metric.Observation) metric.Estimate {
	seeds := make([]int, 0, len(bySeed))
	for s := range bySeed {
		seeds = append(seeds, s)
	}
	slices.Sort(seeds)
	groups := make([][]metric.Observation, len(seeds))
	for i, s := range seeds {
		groups[i] = bySeed[s]
	}
	return metric.Mean(groups, metric.Unit)
}

func indicator(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// kinds is the order in which interventions are read; others follow by name.
var kinds = []string{unedited, "early-answer", "mistake", "filler", "paraphrase", "paraphrase-step", "translate", "translate-step"}

// sortInterventions orders names by kind, then with numbers as numbers.
func sortInterventions(names []string) {
	rank := func(name string) int {
		kind, _, _ := strings.Cut(name, "/")
		if i := slices.Index(kinds, kind); i >= 0 {
			return i
		}
		return len(kinds)
	}
	slices.SortFunc(names, func(a, b string) int {
		if ra, rb := rank(a), rank(b); ra != rb {
			return ra - rb
		}
		switch {
		case naturalLess(a, b):
			return -1
		case naturalLess(b, a):
			return 1
		}
		return 0
	})
}
