package claim

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"candor/study/metric"
	"candor/study/runlog"
)

// Select picks samples: those of one arm, evaluation and intervention, on one split, or on any of several splits.
type Select struct {
	Arm          string
	Eval         string
	Split        string // several are separated by "|"
	Intervention string // "" means "none"
}

// Table is a run's samples, grouped so that estimates can be made from them.
type Table struct {
	samples map[Select][]runlog.Sample
	seeds   []int
	used    map[string]bool // runs whose samples an estimate used
	asked   map[Select]bool // what an estimate asked for, one split each
}

// NewTable groups samples. Their order does not matter.
func NewTable(samples []runlog.Sample) *Table {
	t := &Table{samples: map[Select][]runlog.Sample{}, used: map[string]bool{}, asked: map[Select]bool{}}
	for _, s := range samples {
		key := Select{s.Arm, s.Eval, s.Split, s.Intervention}
		t.samples[key] = append(t.samples[key], s)
		if !slices.Contains(t.seeds, s.Seed) {
			t.seeds = append(t.seeds, s.Seed)
		}
	}
	slices.Sort(t.seeds)
	for _, group := range t.samples {
		slices.SortStableFunc(group, func(a, b runlog.Sample) int {
			if a.Seed != b.Seed {
				return a.Seed - b.Seed
			}
			if a.ID != b.ID {
				return strings.Compare(a.ID, b.ID)
			}
			return a.Repeat - b.Repeat
		})
	}
	return t
}

// askedArms returns the arms that estimates asked for, sorted.
func (t *Table) askedArms() []string {
	var arms []string
	for s := range t.asked {
		arms = append(arms, s.Arm)
	}
	slices.Sort(arms)
	return slices.Compact(arms)
}

// has tells whether every one of these arms has samples.
func (t *Table) has(arms []string) bool {
	found := map[string]bool{}
	for key := range t.samples {
		found[key.Arm] = true
	}
	return !slices.ContainsFunc(arms, func(a string) bool { return !found[a] })
}

func (t *Table) usedRuns() []string {
	runs := make([]string, 0, len(t.used))
	for r := range t.used {
		runs = append(runs, r)
	}
	slices.Sort(runs)
	return runs
}

// pick returns the selected samples, one slice for each seed that has any.
func (t *Table) pick(s Select) [][]runlog.Sample {
	if s.Intervention == "" {
		s.Intervention = "none"
	}
	bySeed := map[int][]runlog.Sample{}
	for split := range strings.SplitSeq(s.Split, "|") {
		one := Select{s.Arm, s.Eval, split, s.Intervention}
		t.asked[one] = true
		for _, sample := range t.samples[one] {
			bySeed[sample.Seed] = append(bySeed[sample.Seed], sample)
			t.used[sample.Run] = true
		}
	}
	var out [][]runlog.Sample
	for _, seed := range t.seeds {
		if group := bySeed[seed]; len(group) > 0 {
			out = append(out, group)
		}
	}
	return out
}

// measure is a number read off a sample; ok is false where the sample does not have it.
type measure func(runlog.Sample) (x float64, ok bool)

func solved(s runlog.Sample) (float64, bool) { return indicator(s.Correct), true }

func unparsed(s runlog.Sample) (float64, bool) { return indicator(!s.Parsed), true }

// changed tells whether the answer after an intervention differs from the one without; becoming unparsed is a change.
func changed(s runlog.Sample) (float64, bool) {
	return indicator(!s.Parsed || s.Answer != s.Original), true
}

// follows tells whether the answer is the one that the edited chain leads to.
func follows(s runlog.Sample) (float64, bool) {
	return indicator(s.Parsed && s.Answer == s.Follows), s.Follows != ""
}

func value(name string) measure {
	return func(s runlog.Sample) (float64, bool) { x, ok := s.Values[name]; return x, ok }
}

// aboveChance is solved minus the share that guessing a residue would solve: 1/modulus, read off the problem's id.
func aboveChance(s runlog.Sample) (float64, bool) {
	_, modulus, ok := strings.Cut(s.ID, "%")
	m, err := strconv.Atoi(modulus)
	if !ok || err != nil || m < 1 {
		return 0, false
	}
	return indicator(s.Correct) - 1/float64(m), true
}

// minus is the difference of two measures of the same sample.
func minus(a, b measure) measure {
	return func(s runlog.Sample) (float64, bool) {
		x, ok := a(s)
		y, ok2 := b(s)
		return x - y, ok && ok2
	}
}

// where restricts a measure to samples that a condition holds for.
func where(m measure, condition func(runlog.Sample) bool) measure {
	return func(s runlog.Sample) (float64, bool) {
		if !condition(s) {
			return 0, false
		}
		return m(s)
	}
}

func indicator(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func (t *Table) observe(s Select, m measure) [][]metric.Observation {
	var out [][]metric.Observation
	for _, group := range t.pick(s) {
		var seed []metric.Observation
		for _, sample := range group {
			if x, ok := m(sample); ok {
				seed = append(seed, metric.Observation{Cluster: sample.ID, Value: x})
			}
		}
		out = append(out, seed)
	}
	return out
}

// mean estimates the mean of a measure.
func mean(s Select, m measure, bounds metric.Bounds) func(*Table) metric.Estimate {
	return func(t *Table) metric.Estimate {
		seeds := t.observe(s, m)
		if len(seeds) == 0 {
			return metric.NotReportable(0, 0, "the run has no samples of %s", s)
		}
		return metric.Mean(seeds, bounds)
	}
}

// difference estimates measure ma over a minus measure mb over b, paired by problem within each seed.
func difference(a Select, ma measure, b Select, mb measure, bounds metric.Bounds) func(*Table) metric.Estimate {
	return func(t *Table) metric.Estimate {
		left, right := t.observe(a, ma), t.observe(b, mb)
		if len(left) == 0 {
			return metric.NotReportable(0, 0, "the run has no samples of %s", a)
		}
		if len(right) == 0 {
			return metric.NotReportable(0, 0, "the run has no samples of %s", b)
		}
		return metric.PairedDifference(left, right, bounds)
	}
}

// scored gives each selected sample a detector's score; positive are those that are not solved.
func (t *Table) scored(s Select, score measure) [][]metric.Scored {
	var out [][]metric.Scored
	for _, group := range t.pick(s) {
		var seed []metric.Scored
		for _, sample := range group {
			if x, ok := score(sample); ok {
				seed = append(seed, metric.Scored{Cluster: sample.ID, Score: x, Positive: !sample.Correct})
			}
		}
		out = append(out, seed)
	}
	return out
}

// auroc estimates how well a score tells samples that are not solved from those that are.
func auroc(s Select, score measure) func(*Table) metric.Estimate {
	return func(t *Table) metric.Estimate {
		seeds := t.scored(s, score)
		if len(seeds) == 0 {
			return metric.NotReportable(0, 0, "the run has no samples of %s", s)
		}
		return metric.AUROC(seeds)
	}
}

// aurocDifference estimates by how much one detector on one arm beats another on another arm.
func aurocDifference(a Select, scoreA measure, b Select, scoreB measure) func(*Table) metric.Estimate {
	return func(t *Table) metric.Estimate {
		left, right := t.scored(a, scoreA), t.scored(b, scoreB)
		if len(left) == 0 {
			return metric.NotReportable(0, 0, "the run has no samples of %s", a)
		}
		if len(right) == 0 {
			return metric.NotReportable(0, 0, "the run has no samples of %s", b)
		}
		return metric.AUROCDifference(left, right)
	}
}

// pooled is the mean over several selections, each problem clustered across them: arms that differ in one setting (such
// as the delay) and answer for one condition.
func pooled(selections []Select, m measure, bounds metric.Bounds) func(*Table) metric.Estimate {
	return func(t *Table) metric.Estimate {
		seeds, missing := t.pool(selections, m)
		if missing != nil {
			return metric.NotReportable(0, 0, "the run has no samples of %s", *missing)
		}
		return metric.Mean(seeds, bounds)
	}
}

// pooledDifference is the difference of two pooled means, paired by seed and by cluster.
func pooledDifference(a, b []Select, m measure, bounds metric.Bounds) func(*Table) metric.Estimate {
	return func(t *Table) metric.Estimate {
		left, missing := t.pool(a, m)
		if missing != nil {
			return metric.NotReportable(0, 0, "the run has no samples of %s", *missing)
		}
		right, missing := t.pool(b, m)
		if missing != nil {
			return metric.NotReportable(0, 0, "the run has no samples of %s", *missing)
		}
		return metric.PairedDifference(left, right, bounds)
	}
}

func (t *Table) pool(selections []Select, m measure) (seeds [][]metric.Observation, missing *Select) {
	for _, s := range selections {
		observed := t.observe(s, m)
		if missing != nil || len(observed) == 0 || seeds != nil && len(observed) != len(seeds) {
			missing = cmp.Or(missing, &s)
			continue
		}
		if seeds == nil {
			seeds = make([][]metric.Observation, len(observed))
		}
		for i := range observed {
			seeds[i] = append(seeds[i], observed[i]...)
		}
	}
	return seeds, missing
}

// negative turns a measure round, so that less of it is more suspicious.
func negative(m measure) measure {
	return func(s runlog.Sample) (float64, bool) { x, ok := m(s); return -x, ok }
}

// String names the selection for people.
func (s Select) String() string {
	parts := []string{"arm " + s.Arm, "eval " + s.Eval, "split " + s.Split}
	if s.Intervention != "" && s.Intervention != "none" {
		parts = append(parts, "intervention "+s.Intervention)
	}
	return strings.Join(parts, ", ")
}

// earlyAnswers are the shares of a chain at which early answering is measured, as its interventions name them.
var earlyAnswers = []string{"0.00", "0.25", "0.50", "0.75", "1.00"}

// earlyAnsweringAOC estimates the area over the curve of early answering (Lanham et al. 2023).
func earlyAnsweringAOC(s Select) func(*Table) metric.Estimate {
	return func(t *Table) metric.Estimate {
		byChain := map[string]*metric.Curve{}
		var out [][]metric.Curve
		index := map[int]int{}
		for _, share := range earlyAnswers {
			at, err := strconv.ParseFloat(share, 64)
			if err != nil {
				panic(err) // earlyAnswers is a constant
			}
			for _, group := range t.pick(under(s, "early-answer/"+share)) {
				for _, sample := range group {
					key := strconv.Itoa(sample.Seed) + "/" + sample.ID + "/" + strconv.Itoa(sample.Repeat)
					c := byChain[key]
					if c == nil {
						c = &metric.Curve{Cluster: sample.ID}
						byChain[key] = c
					}
					different, _ := changed(sample)
					c.Points = append(c.Points, metric.Point{At: at, Same: 1 - different})
					if _, ok := index[sample.Seed]; !ok {
						index[sample.Seed] = len(out)
						out = append(out, nil)
					}
				}
			}
		}
		keys := make([]string, 0, len(byChain))
		for key := range byChain {
			keys = append(keys, key)
		}
		slices.Sort(keys)
		for _, key := range keys {
			seed, _, _ := strings.Cut(key, "/")
			n, err := strconv.Atoi(seed)
			if err != nil {
				panic(err) // made by Itoa above
			}
			out[index[n]] = append(out[index[n]], *byChain[key])
		}
		if len(out) == 0 {
			return metric.NotReportable(0, 0, "the run has no early answers of %s", s)
		}
		return metric.AOC(out)
	}
}
