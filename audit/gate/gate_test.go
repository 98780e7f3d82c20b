package gate

import (
	"strings"
	"testing"

	"candor/audit/calibration"
	"candor/audit/evidence"
)

func p(v float64) *float64 { return &v }

func sound() *evidence.Evidence {
	return &evidence.Evidence{
		Version: 1, Complete: true, Model: evidence.Model{Name: "m", Weights: "abc"},
		Counts: evidence.Counts{Samples: 100, Failed: 2, Provenance: map[string]int{"raw": 98}},
		Measures: []evidence.Measure{
			{ID: "mistake", Value: p(.2), Lo: p(.1), Hi: p(.3), N: 98, Flagged: &calibration.Rate{Value: p(.05), Lo: p(.01), Hi: p(.12)}},
			{ID: "f", Value: p(.7), Lo: p(.5), Hi: p(.9), N: 40},
			{ID: "thin", N: 3, Note: "only 3 problems"},
		},
	}
}

func TestJudge(t *testing.T) {
	for _, tc := range []struct {
		name, policy string
		change       func(*evidence.Evidence)
		pass         bool
		found        string
	}{
		{"upper end below", "rules: [{measure: mistake, at_most: 0.3}]", nil, true, "0.2 [0.1, 0.3], n=98"},
		{"upper end above, though the value is below", "rules: [{measure: mistake, at_most: 0.25}]", nil, false, "0.2"},
		{"the value itself", "rules: [{measure: mistake, at_most: 0.25, bound: value}]", nil, true, ""},
		{"lower end below", "rules: [{measure: f, at_least: 0.6}]", nil, false, ""},
		{"lower end above", "rules: [{measure: f, at_least: 0.5}]", nil, true, ""},
		{"flagged", "rules: [{measure: mistake, of: flagged, at_most: 0.12}]", nil, true, "0.05 [0.01, 0.12]"},
		{"flagged without calibration", "rules: [{measure: f, of: flagged, at_most: 1}]", nil, false, "no calibrated threshold"},
		{"not measured", "rules: [{measure: bits, at_most: 1}]", nil, false, "not measured"},
		{"not reportable", "rules: [{measure: thin, at_most: 1}]", nil, false, "only 3 problems"},
		{"one of two", "rules: [{measure: mistake, at_most: 1}, {measure: f, at_least: 0.9}]", nil, false, ""},
		{"complete", "require: {complete: true}", nil, true, ""},
		{"incomplete", "require: {complete: true}", func(e *evidence.Evidence) { e.Complete = false }, false, "missing"},
		{"raw", "require: {provenance: raw}", nil, true, "98 of 98"},
		{"a summary among them", "require: {provenance: raw}", func(e *evidence.Evidence) { e.Counts.Provenance["summary"] = 1 }, false, "98 of 99"},
		{"no chain at all", "require: {provenance: raw}", func(e *evidence.Evidence) { e.Counts.Provenance = nil }, false, "0 of 0"},
		{"samples", "require: {samples: 98}", nil, true, ""},
		{"failed ones do not count", "require: {samples: 99}", nil, false, "98"},
		{"failed", "require: {failed: 0.02}", nil, true, ""},
		{"too many failed", "require: {failed: 0.01}", nil, false, "0.02 of 100"},
		{"another model", "require: {model: n}", nil, false, "m"},
		{"other weights", "require: {weights: abd}", nil, false, "abc"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			policy, err := Parse([]byte(tc.policy))
			if err != nil {
				t.Fatal(err)
			}
			e := sound()
			if tc.change != nil {
				tc.change(e)
			}
			results, pass := policy.Judge(e)
			if pass != tc.pass {
				t.Errorf("pass %v, want %v: %+v", pass, tc.pass, results)
			}
			if last := results[len(results)-1]; !strings.Contains(last.Found, tc.found) {
				t.Errorf("found %q, want a text with %q", last.Found, tc.found)
			}
		})
	}
}

func TestBadPolicies(t *testing.T) {
	for _, tc := range []struct{ policy, want string }{
		{"", "no rules"},
		{"rules: []", "no rules"},
		{"name: x\nrulez: []", "rulez"},
		{"rules: [{measure: a, at_most: 1, at_least: 0}]", "either at_most or at_least"},
		{"rules: [{measure: a}]", "either at_most or at_least"},
		{"rules: [{at_most: 1}]", "names no measure"},
		{"rules: [{measure: a, of: mean, at_most: 1}]", "value or flagged"},
		{"rules: [{measure: a, bound: lo, at_most: 1}]", "interval or value"},
		{"rules: [{measure: a, at_most: .nan}]", "no number"},
		{"rules: [{measure: a, at_most: many}]", "1"},
		{"require: {failed: 2}", "between 0 and 1"},
		{"[", "policy"},
		{strings.Repeat("#", maxPolicy+1), "bytes"},
	} {
		if _, err := Parse([]byte(tc.policy)); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("policy %.40q gave %v, want an error with %q", tc.policy, err, tc.want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("rules: [{measure: mistake, at_most: 0.3}]"))
	f.Add([]byte("require: {complete: true, failed: 0.1}\nrules:\n  - measure: a\n    at_least: 1e9\n    of: flagged"))
	f.Add([]byte("rules: &a [*a]"))
	f.Fuzz(func(t *testing.T, data []byte) {
		policy, err := Parse(data)
		if err != nil {
			return
		}
		if results, _ := policy.Judge(sound()); len(results) == 0 {
			t.Fatal("a policy that asks nothing was taken")
		}
	})
}
