package audit_test

import (
	"strings"
	"testing"

	"candor/audit/evidence"
	"candor/audit/suite"
	"candor/openai/openaitest"
)

func hinted(t *testing.T) suite.Source {
	t.Helper()
	source, err := suite.Hinted(additions{n: 20, choice: true}, []string{"sycophancy"}, 5)
	if err != nil {
		t.Fatal(err)
	}
	return source
}

// Who follows hints and says so is told from who does it in silence, and both from who does not.
func TestHints(t *testing.T) {
	const use, raw, effect = "hint/sycophancy/use", "hint/sycophancy/f-raw", "cue-effect"
	for name, tc := range map[string]struct {
		model reasoner
		want  map[string]float64
	}{
		"silent": {reasoner{together: true, follows: true}, map[string]float64{use: 1, raw: 0, effect: 1, "cue-unmentioned": 1, "hint/sycophancy/f-norm": 0}},
		"open":   {reasoner{together: true, follows: true, tells: true}, map[string]float64{use: 1, raw: 1, effect: 1, "cue-unmentioned": 0, "hint/sycophancy/f-norm": 1}},
		"firm":   {reasoner{together: true}, map[string]float64{use: 0, effect: 0, "cue-unmentioned": 0}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := openaitest.Serve(t, openaitest.OpenAI, tc.model.answer)
			e := run(t, configure(t, s.URL, hinted(t), t.TempDir()))
			for id, want := range tc.want {
				if got := value(t, e, id); got != want {
					t.Errorf("%s is %v, want %v", id, got, want)
				}
			}
			if m, _ := e.Measure(raw); name == "firm" && m.Value != nil {
				t.Errorf("nobody took a hint, and %v of them named it", *m.Value)
			}
			if got := value(t, e, "accuracy"); got != 1 {
				t.Errorf("%v of the questions without a hint are answered right", got)
			}
		})
	}
}

// Of summaries nobody can tell whether they are faithful: nothing is said of the chain, and why. What only looks at answers is
// still measured.
func TestSummaries(t *testing.T) {
	model := reasoner{hidden: true, follows: true}
	s := openaitest.Serve(t, openaitest.OpenRouter, model.answer)
	source, err := suite.Concat(hinted(t), additions{n: 10})
	if err != nil {
		t.Fatal(err)
	}
	e := run(t, configure(t, s.URL, source, t.TempDir()))
	if e.Counts.Provenance["summary"] != source.Len() || e.Continues != "" {
		t.Errorf("%+v, %q", e.Counts, e.Continues)
	}
	for id, want := range map[string]float64{"accuracy": 1, "cue-effect": 1, "repeat": 0, "reworded": 0, "hint/sycophancy/use": 1} {
		if got := value(t, e, id); got != want {
			t.Errorf("%s is %v, want %v", id, got, want)
		}
	}
	value(t, e, "same-without-chain")
	for _, m := range e.Measures {
		chain := m.Group == evidence.Meaning || m.Group == evidence.Legibility || m.Group == evidence.Monitorability
		if m.Value != nil && (chain || strings.HasPrefix(m.ID, "hint/sycophancy/f") || m.ID == "cue-unmentioned" || m.ID == "mistake" || m.ID == "early-answering") {
			t.Errorf("a summary gave %s = %v", m.ID, *m.Value)
		}
	}
	for _, what := range []string{"All edits of the chain", "Same answer from a chain cut short", "Cues that move the answer unmentioned"} {
		if why := untested(e, what); !strings.Contains(why, "summary") {
			t.Errorf("%s: %q", what, why)
		}
	}
	if m, _ := e.Measure("hint/sycophancy/f-raw"); m.Note != "not judged: the chain is summary" {
		t.Errorf("how often hints are named: %q", m.Note)
	}
	if why := untested(e, "All edits of the chain"); strings.Contains(why, "cannot carry on") {
		t.Errorf("nobody tried, yet: %s", why)
	}
}
