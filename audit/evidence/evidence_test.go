package evidence

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"candor/audit/calibration"
	"candor/internal/rng"
	"candor/study/runlog"
)

// sample is a done sample with values.
func sample(id string, values map[string]float64) runlog.Sample {
	return runlog.Sample{Eval: "s", ID: id, Split: "k", Intervention: "none", Parsed: true, Answer: "1", Target: "1", Correct: true, Provenance: "raw", Values: values}
}

func get(t *testing.T, measures []Measure, id string) Measure {
	t.Helper()
	i := slices.IndexFunc(measures, func(m Measure) bool { return m.ID == id })
	if i < 0 {
		t.Fatalf("there is no measure %s", id)
	}
	return measures[i]
}

// What failed or could not be read is counted and enters no other number.
func TestFailedAndUnparsedCountNowhere(t *testing.T) {
	c := NewCollector()
	for i := range 20 {
		c.Add(sample(fmt.Sprint("a", i), map[string]float64{"test/mistake": .25, "steps": 3}))
		c.Add(runlog.Sample{Eval: "s", ID: fmt.Sprint("b", i), Failed: "timeout", Values: map[string]float64{"test/mistake": 1}})
		c.Add(runlog.Sample{Eval: "s", ID: fmt.Sprint("c", i), Target: "1", Provenance: "raw", Values: map[string]float64{"test/mistake": 1}})
	}
	measures, untested := c.Measures(nil)
	if m := get(t, measures, "accuracy"); *m.Value != 1 || m.N != 20 {
		t.Errorf("accuracy %+v", m)
	}
	if m := get(t, measures, "parsed"); *m.Value != .5 || m.N != 40 {
		t.Errorf("parsed %+v", m)
	}
	if m := get(t, measures, "mistake"); *m.Value != .25 || m.N != 20 {
		t.Errorf("mistake %+v", m)
	}
	if n := c.Counts(); n.Samples != 60 || n.Failed != 20 || n.Unparsed != 20 || n.Reasons["timeout"] != 20 || n.Provenance["raw"] != 40 {
		t.Errorf("counts %+v", n)
	}
	if !slices.ContainsFunc(untested, func(u Untested) bool { return strings.Contains(u.What, "paraphrase") && u.Why != "" }) {
		t.Errorf("what no sample allowed is not listed: %v", untested)
	}
}

// A measure is what the samples say, worked out here in another way.
func TestMeasures(t *testing.T) {
	src := rng.New(5)
	c := NewCollector()
	var values []float64
	right, quick := 0, 0
	for i := range 60 {
		v, with, without := src.Float64(), src.Bool(.8), src.Bool(.4)
		s := sample(fmt.Sprint(i), map[string]float64{"test/filler": v, "nochain/correct": indicator(without), "steps": float64(i)})
		s.Correct = with
		c.Add(s)
		values = append(values, v)
		if with {
			right++
		}
		if without {
			quick++
		}
	}
	table := &calibration.Table{Tests: map[string]calibration.Test{"test/filler": {Threshold: at(.5), Sensitivity: map[string]calibration.Rate{"recall": {}}}}}
	measures, _ := c.Measures(table)
	sum, over := 0., 0
	for _, v := range values {
		sum += v
		if v >= .5 {
			over++
		}
	}
	m := get(t, measures, "filler")
	if math.Abs(*m.Value-sum/60) > 1e-6 || m.Flagged == nil || math.Abs(*m.Flagged.Value-float64(over)/60) > 1e-6 || m.Calibration == nil {
		t.Errorf("filler %+v, want %g with %d of 60 flagged", m, sum/60, over)
	}
	if n := get(t, measures, "necessity"); math.Abs(*n.Value-float64(right-quick)/60) > 1e-9 {
		t.Errorf("necessity %+v, want %g", n, float64(right-quick)/60)
	}
	if u := c.Conditions(); u.Steps != 30 || math.Abs(u.Accuracy-float64(right)/60) > 1e-9 {
		t.Errorf("conditions %+v", u)
	}
	last := -1
	for _, m := range measures {
		g := slices.Index(Groups(), m.Group)
		if g < last {
			t.Fatalf("%s of %s stands behind a later group", m.ID, m.Group)
		}
		last = g
		if m.Value != nil && !(*m.Lo <= *m.Value && *m.Value <= *m.Hi) {
			t.Errorf("%s: %g outside [%g, %g]", m.ID, *m.Value, *m.Lo, *m.Hi)
		}
	}
}

func at(v float64) *float64 { return &v }

// A combination of fewer tests than were calibrated is told to be one.
func TestMissing(t *testing.T) {
	table := &calibration.Table{Tests: map[string]calibration.Test{"test/mistake": {}, "test/reader": {}, "test/filler": {}}}
	c := NewCollector()
	c.Add(sample("a", map[string]float64{"test/mistake": 0}))
	if m := c.Missing(table); len(m) != 1 || !strings.HasSuffix(m[0], ": reader") {
		t.Errorf("%q", m)
	}
	c.Add(sample("b", map[string]float64{"test/reader": 0}))
	if m := c.Missing(table); len(m) != 0 {
		t.Errorf("%q", m)
	}
}

func TestPlainNote(t *testing.T) {
	const plain = "one seed: the interval is over problems only"
	for note, want := range map[string]string{
		"": "", plain: "", plain + "; all agree": "all agree", "all agree; " + plain: "all agree", "only 2 problems in seed 1 of 1, at least 10 are needed": "only 2 problems, at least 10 are needed",
	} {
		if got := plainNote(note); got != want {
			t.Errorf("%q becomes %q, want %q", note, got, want)
		}
	}
}

// The ladder shows from which level on the chain is needed.
func TestLevels(t *testing.T) {
	c := NewCollector()
	for level := range 3 {
		for i := range 20 {
			s := sample(fmt.Sprintf("%d/%d", level, i), map[string]float64{"level": float64(level + 1), "nochain/correct": indicator(level == 0 || level == 1 && i%2 == 0)})
			s.Eval = "ladder"
			c.Add(s)
		}
	}
	measures, _ := c.Measures(nil)
	for level, want := range []float64{0, .5, 1} {
		if m := get(t, measures, fmt.Sprintf("necessity/level-%d", level+1)); *m.Value != want || m.N != 20 {
			t.Errorf("%+v, want %g", m, want)
		}
	}
	if slices.ContainsFunc(measures, func(m Measure) bool { return m.ID == "necessity/level-4" }) {
		t.Error("there is a level that was not asked")
	}
}

func TestReversedPairs(t *testing.T) {
	c := NewCollector()
	for i := range 40 {
		for half := range 2 {
			s := sample(fmt.Sprintf("pairs/%d/%d", i, half), map[string]float64{})
			s.Eval, s.Cluster, s.Answer = "pairs", fmt.Sprint(i), "yes"
			if half == 1 && i%4 != 0 { // every fourth pair gets yes both times
				s.Answer = "no"
			}
			c.Add(s)
		}
	}
	half := sample("pairs/alone", nil)
	half.Eval, half.Cluster = "pairs", "alone" // its other half failed
	c.Add(half)
	measures, _ := c.Measures(nil)
	if m := get(t, measures, "reversed-pairs"); *m.Value != .25 || m.N != 40 {
		t.Errorf("%+v", m)
	}
}

func TestParseRefuses(t *testing.T) {
	good := Evidence{Version: Version, Measures: []Measure{{ID: "a", Value: at(.5), Lo: at(.4), Hi: at(.6)}}}
	for _, tc := range []struct {
		name   string
		change func(*Evidence)
		want   string
	}{
		{"sound", func(*Evidence) {}, ""},
		{"version", func(e *Evidence) { e.Version++ }, "version"},
		{"twice", func(e *Evidence) { e.Measures = append(e.Measures, e.Measures[0]) }, "twice"},
		{"no name", func(e *Evidence) { e.Measures[0].ID = "" }, "no name"},
		{"interval", func(e *Evidence) { e.Measures[0].Hi = at(.45) }, "interval"},
		{"no interval", func(e *Evidence) { e.Measures[0].Lo = nil }, "interval"},
	} {
		e := good
		e.Measures = slices.Clone(good.Measures)
		tc.change(&e)
		data, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		_, err = Parse(data)
		if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
			t.Errorf("%s: %v", tc.name, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"version":1,"measures":[{"id":"a","value":0.5,"lo":0.4,"hi":0.6}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if e, err := Parse(data); err == nil {
			e.Measure("a")
		}
	})
}
