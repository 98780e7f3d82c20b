package claim

import (
	"encoding/json"
	"math"
	"strings"
	"testing"

	"candor/study/metric"
	"candor/study/runlog"
)

// known is a test whose estimate has the interval [lo, hi].
func known(name string, side Side, bound, lo, hi float64) Test {
	return Test{name, "accuracy", side, bound, func(*Table) metric.Estimate {
		if math.IsNaN(lo) {
			return metric.NotReportable(3, 1, "too few")
		}
		return metric.Estimate{Value: (lo + hi) / 2, Lo: lo, Hi: hi, N: 100, Seeds: 3, OK: true}
	}}
}

func TestRule(t *testing.T) {
	nan := math.NaN()
	outcomes := map[string]Test{
		"holds":           known("a", Above, .5, .6, .7),
		"fails":           known("a", Above, .5, .3, .4),
		"open":            known("a", Above, .5, .4, .6),
		"touches above":   known("a", Above, .5, .5, .6),
		"touches below":   known("a", Above, .5, .4, .5),
		"not reportable":  known("a", Above, .5, nan, nan),
		"holds below":     known("a", Below, .5, .3, .4),
		"fails below":     known("a", Below, .5, .6, .7),
		"open below":      known("a", Below, .5, .4, .6),
		"shown, far off":  known("a", Shown, 0, -9, -8),
		"shown, unknown":  known("a", Shown, 0, nan, nan),
		"holds, point":    known("a", Above, .5, .51, .51),
		"touches, below.": known("a", Below, .5, .4, .5),
	}
	kind := map[string]outcome{
		"holds": holds, "fails": fails, "holds below": holds, "fails below": fails, "holds, point": holds,
	}
	verdict := func(all bool, as ...outcome) Verdict {
		nHolds, nFails := 0, 0
		for _, a := range as {
			switch a {
			case holds:
				nHolds++
			case fails:
				nFails++
			}
		}
		switch {
		case all && nHolds == len(as), !all && nHolds > 0:
			return Supported
		case all && nFails > 0, !all && nFails == len(as):
			return Refuted
		}
		return Undecided
	}
	for nameA, a := range outcomes {
		for nameB, b := range outcomes {
			b.Name = "b"
			if a.Side == Shown {
				continue // the first test is the headline and decides
			}
			decide := []outcome{kind[nameA]}
			if b.Side != Shown {
				decide = append(decide, kind[nameB])
			}
			for _, any := range []bool{false, true} {
				c := Claim{ID: "x", Any: any, Tests: []Test{a, b}}
				d := c.decide(NewTable(nil))
				if want := verdict(!any, decide...); d.Verdict != want {
					t.Errorf("any %v, %s and %s: %s, want %s", any, nameA, nameB, d.Verdict, want)
				}
				if (d.Verdict == Supported) != (d.Note == "") {
					t.Errorf("any %v, %s and %s: %s with the note %q", any, nameA, nameB, d.Verdict, d.Note)
				}
				if d.Verdict != Supported && kind[nameA] != holds && !strings.Contains(d.Note, "a is open") && !strings.Contains(d.Note, "a fails") {
					t.Errorf("%s and %s: the note does not say what became of a: %q", nameA, nameB, d.Note)
				}
				if d.Threshold != .5 || len(d.Parts) != 2 || *d.Parts[0].Threshold != .5 || (b.Side == Shown) != (d.Parts[1].Threshold == nil) {
					t.Errorf("thresholds of %s and %s: %+v", nameA, nameB, d)
				}
				if (d.Estimate == nil) != (nameA == "not reportable") || d.Estimate != nil && *d.Estimate != *d.Parts[0].Estimate {
					t.Errorf("the headline of %s and %s is not its first test's: %+v", nameA, nameB, d)
				}
			}
		}
	}
}

// What cannot be estimated is null in claims.json, never 0.
func TestDecisionAsJSON(t *testing.T) {
	for _, c := range []struct {
		test Test
		want map[string]string
	}{
		{known("a", Above, .5, math.NaN(), 0), map[string]string{"estimate": "null", "lo": "null", "hi": "null", "verdict": `"undecided"`, "n": "3", "seeds": "1", "threshold": "0.5"}},
		{known("a", Above, .5, .6, .8), map[string]string{"lo": "0.6", "hi": "0.8", "verdict": `"supported"`, "n": "100", "seeds": "3", "id": `"x"`, "runs": "[]", "rule": `"supported if the whole 95% interval meets each of: a \u003e 0.5; refuted if one interval lies wholly on the other side; else undecided"`}},
	} {
		data, err := json.Marshal(Claim{ID: "x", Tests: []Test{c.test}}.decide(NewTable(nil)))
		if err != nil {
			t.Fatal(err)
		}
		var got map[string]json.RawMessage
		if err := json.Unmarshal(data, &got); err != nil {
			t.Fatal(err)
		}
		for key, want := range c.want {
			if string(got[key]) != want {
				t.Errorf("%s is %s, want %s", key, got[key], want)
			}
		}
	}
}

func TestDecideOnlyWhatTheStudyIsAbout(t *testing.T) {
	none, err := Decide(nil, nil)
	if err != nil || none == nil || len(none) != 0 {
		t.Errorf("without samples: %v, %v; want an empty list", none, err)
	}
	untrained := cells{
		{arm: "untrained", eval: "chain", split: "test"}: {},
		{arm: "untrained", eval: "quick", split: "test"}: {},
	}.samples(worldSeeds(1, 2, 3))
	got, err := Decide(untrained, nil)
	if err != nil || len(got) != 1 || got[0].ID != "control-untrained" || got[0].Verdict != Supported {
		t.Errorf("with the untrained arm alone: %+v, %v; want its control", got, err)
	}
	got, err = Decide(untrained, []string{"drift", "control-untrained"})
	if err != nil || len(got) != 2 || got[0].ID != "drift" || got[0].Verdict != Undecided || got[0].Estimate != nil || !strings.Contains(got[0].Note, "arm small-rl-noleash") {
		t.Errorf("a claim that was asked for must be told as undecided: %+v, %v", got, err)
	}
	if _, err = Decide(nil, []string{"drfit"}); err == nil || !strings.Contains(err.Error(), `"drfit"`) || !strings.Contains(err.Error(), "calibration-learned, control-random-reward") {
		t.Errorf("unknown id: %v", err)
	}
	if _, err = Arms([]string{"drfit"}); err == nil {
		t.Error("Arms takes an unknown id")
	}
	arms, err := Arms([]string{"forward-pass"})
	if err != nil || strings.Join(arms, " ") != "large-direct small small-rl" {
		t.Errorf("forward-pass reads %q, %v", arms, err)
	}
}

// Too little data decides nothing, however clear it looks.
func TestTooLittleData(t *testing.T) {
	few := claimCases["control-untrained"].supported.samples(worldSeeds(1, 2, 3))
	kept := few[:0:0]
	for _, s := range few {
		if strings.HasPrefix(s.ID, "1+") { // a few problems
			kept = append(kept, s)
		}
	}
	got, err := Decide(kept, []string{"control-untrained"})
	if err != nil || got[0].Verdict != Undecided || got[0].Estimate != nil {
		t.Errorf("%d samples: %+v, %v", len(kept), got, err)
	}
}

func TestRunsAreThoseThatWereUsed(t *testing.T) {
	samples := claimCases["control-untrained"].supported.samples(worldSeeds(1, 2, 3))
	samples = append(samples, runlog.Sample{Run: "other", Arm: "small", Seed: 1, Eval: "chain", Split: "test", ID: "1+1%3", Intervention: "none"})
	got, err := Decide(samples, []string{"control-untrained"})
	if err != nil {
		t.Fatal(err)
	}
	want := "untrained/chain/1 untrained/chain/2 untrained/chain/3 untrained/quick/1 untrained/quick/2 untrained/quick/3"
	if runs := strings.Join(got[0].Runs, " "); runs != want {
		t.Errorf("runs are %s, want %s", runs, want)
	}
}
