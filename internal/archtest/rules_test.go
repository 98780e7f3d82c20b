package archtest

import (
	"slices"
	"strings"
	"testing"
)

// DO NOT CHANGE THESE RULES TO MAKE AN IMPORT PASS. They are the design's (DESIGN.md section 4, docs/decisions); a change
// of a rule is a decision and is recorded there first.
const rules = `
internal/rng < reasoning, engine, study/metric
reasoning < engine < train < study/experiment < cmd
reasoning, study/runlog < study/eval < study/experiment
study/runlog, study/metric < study/claim < study/report < cmd
study/metric < study/experiment
reasoning < openai < audit, serve < cmd
study/eval, study/metric, study/report < audit

# task knows the right answers. A monitor that could reach them would be scored on its key, not on what it reads, and
# could not run in production, where nobody has the key.
reasoning/task !< reasoning/monitor

# What judges or serves a model sees it only as an llm.Generator that cmd hands in, so that local and remote models are
# judged by the same code and none is favoured by a look inside.
engine !< study/eval, openai, audit, serve

# A report shows what was recorded. If it could run a model or parse a chain anew, its numbers could differ from the
# samples behind them.
reasoning, engine !< study/report
`

func TestImportRules(t *testing.T) {
	p, err := parsePolicy(rules)
	if err != nil {
		t.Fatal(err)
	}
	imports := map[string][]string{}
	for _, f := range sources(t) {
		if f.test {
			continue
		}
		if imports[f.pkg] == nil {
			imports[f.pkg] = []string{}
		}
		for _, path := range f.imports() {
			rel, ok := strings.CutPrefix(path, module+"/")
			if ok && !slices.Contains(imports[f.pkg], rel) {
				imports[f.pkg] = append(imports[f.pkg], rel)
			}
		}
	}
	if len(imports["reasoning/monitor"]) == 0 {
		t.Fatal("no import of reasoning/monitor was found: the scan reads the wrong tree")
	}
	for _, fault := range p.check(imports) {
		t.Error(fault)
	}
}

// A rule that cannot fail guards nothing: each case breaks one rule of the real policy, or keeps them all.
func TestBrokenRulesAreReported(t *testing.T) {
	p, err := parsePolicy(rules)
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name    string
		imports map[string][]string
		want    []string // each fault in order, by a part of its sentence; none if the imports are fine
	}{
		{"downwards", map[string][]string{
			"cmd/candor": {"study/report", "engine/decode", "internal/rng"}, "study/eval": {"reasoning/cot", "study/runlog"},
			"reasoning/compose": {"reasoning/cot", "internal/rng"}, "train/grpo": {"train", "engine/optim"}}, nil},
		{"upwards", map[string][]string{"engine/nn": {"train/sft"}}, []string{"engine/nn imports train/sft, and no rule lets engine"}},
		{"sideways", map[string][]string{"study/metric": {"study/runlog"}}, []string{"study/metric imports study/runlog"}},
		{"helper of tests", map[string][]string{"serve/page": {"internal/browser"}}, []string{"serve/page imports internal/browser, and no rule"}},
		{"unnamed", map[string][]string{"helper": {"engine/nn"}}, []string{"no rule names helper"}},
		{"name alone is no folder", map[string][]string{"engineering": {"reasoning/llm"}}, []string{"no rule names engineering"}},
		{"ban within a folder", map[string][]string{"reasoning/monitor": {"reasoning/task"}},
			[]string{"reasoning/monitor imports reasoning/task (line"}},
		{"ban through another", map[string][]string{"reasoning/monitor": {"reasoning/cot"}, "reasoning/cot": {"reasoning/task"}},
			[]string{"reasoning/monitor imports reasoning/cot imports reasoning/task (line"}},
		{"ban and missing rule", map[string][]string{"study/report": {"engine/decode"}},
			[]string{"no rule lets study/report", "bans engine from study/report: A report shows"}},
		{"eval through experiment", map[string][]string{"study/eval": {"study/experiment"}, "study/experiment": {"engine/nn"}},
			[]string{"no rule lets study/eval", "study/eval imports study/experiment imports engine/nn"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := p.check(tc.imports)
			for _, want := range tc.want {
				if !slices.ContainsFunc(got, func(s string) bool { return strings.Contains(s, want) }) {
					t.Errorf("no fault says %q", want)
				}
			}
			if len(got) != len(tc.want) {
				t.Errorf("%d faults, want %d:\n%s", len(got), len(tc.want), strings.Join(got, "\n"))
			}
		})
	}
}

func TestBadRulesAreRefused(t *testing.T) {
	for _, tc := range []struct{ text, want string }{
		{"a b", "line 1"},
		{"\na < ", "line 2"},
		{"a b < c", "line 1"},
		{"a !< b", "no reason"},
		{"# stale comment\n\na !< b", "no reason"},
		{"a < b < c\nc < a", "circle"},
	} {
		if _, err := parsePolicy(tc.text); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("rules %q gave error %v, want one with %q", tc.text, err, tc.want)
		}
	}
}
