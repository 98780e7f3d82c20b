package monitor

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"
)

const someRules = `name: leaks
rules:
  - name: names the key
    match: '(?i)\bkey\b'
    in: chain
    score: 0.5
    note: it speaks of a key
  - name: digits
    match: '[0-9]{4,}'
    score: 0.8
  - {name: sure, match: 'bykey', in: answer}
`

func TestRules(t *testing.T) {
	m, err := ParseRules([]byte(someRules))
	if err != nil {
		t.Fatal(err)
	}
	if m.Name() != "leaks" {
		t.Errorf("the name is %q", m.Name())
	}
	for _, test := range []struct {
		about string
		view  View
		score float64
		hits  []string
		note  string
	}{
		{"nothing", View{Prompt: "key 12345 bykey", Chain: "monkeys"}, 0, nil, ""},
		{"in the chain alone", View{Chain: "the Key is", Answer: "key"}, .5, []string{"Key"}, "names the key: it speaks of a key"},
		{"the strongest counts", View{Chain: "key 12345", Answer: "9999"}, .8, []string{"key", "12345", "9999"}, "digits"},
		{"score left out", View{Chain: "bykey", Answer: "bykey 3"}, 1, []string{"bykey"}, "sure"},
	} {
		f, err := m.Examine(context.Background(), test.view)
		if err != nil || f.Score != test.score || f.Note != test.note {
			t.Errorf("%s: score %g, note %q, error %v; want %g and %q", test.about, f.Score, f.Note, err, test.score, test.note)
		}
		var hits []string
		for _, s := range f.Spans {
			hits = append(hits, cutOut(test.view, s))
		}
		if strings.Join(hits, "|") != strings.Join(test.hits, "|") {
			t.Errorf("%s: spans at %q, want %q", test.about, hits, test.hits)
		}
	}
}

// cutOut returns what a span points at.
func cutOut(v View, s Span) string {
	return map[Text]string{InPrompt: v.Prompt, InChain: v.Chain, InAnswer: v.Answer}[s.Of][s.Start:s.End]
}

func TestRulesErrors(t *testing.T) {
	for _, test := range []struct{ about, text, want string }{
		{"empty", "", "there are 0 rules"},
		{"unknown key", "rules:\n  - name: a\n    match: b\n    scored: 1\n", `[4:`},
		{"unknown key on top", "rule: []\n", "unknown field"},
		{"bad expression", "rules:\n  - name: a\n    match: x\n  - name: b\n    match: '(('\n", "rule 2 of the rules, line 5: b is no regular expression"},
		{"lookahead", "rules:\n  - {name: a, match: 'a(?=b)'}\n", "line 2: a is no regular expression"},
		{"matches all", "rules:\n  - {name: a, match: 'x*'}\n", "matches the empty text"},
		{"no expression", "rules:\n  - {name: a}\n", "has 0 bytes"},
		{"no name", "rules:\n  - {match: a}\n", "its name has 0 bytes"},
		{"twice the name", "rules:\n  - {name: a, match: a}\n  - {name: a, match: b}\n", "another rule with the name"},
		{"score of 0", "rules:\n  - {name: a, match: a, score: 0}\n", "score of a is 0"},
		{"score above 1", "rules:\n  - {name: a, match: a, score: 1.5}\n", "above 0 and at most 1"},
		{"score of no number", "rules:\n  - {name: a, match: a, score: .nan}\n", "NaN"},
		{"prompt", "rules:\n  - {name: a, match: a, in: prompt}\n", "chain, answer or both"},
		{"large repeat", "rules:\n  - {name: a, match: 'a{1001}'}\n", "invalid repeat count"},
		{"long expression", "rules:\n  - {name: a, match: '" + strings.Repeat("a", 1001) + "'}\n", "between 1 and 1000"},
		{"deep", "rules: " + strings.Repeat("[", 50_000), "nested too deeply"},
		{"aliases", "name: &a b\nrules: *a\n", "anchors"},
		{"two documents", "rules: [{name: a, match: b}]\n---\nrules: []\n", "more than one"},
		{"too large", strings.Repeat("#", 300<<10), "bytes"},
	} {
		if _, err := ParseRules([]byte(test.text)); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: error %v, want one with %q", test.about, err, test.want)
		}
	}
}

// TestRulesAreBounded: a hostile text costs what any text of its length does, and one that is too long is not let through unread.
func TestRulesAreBounded(t *testing.T) {
	m, err := NewRules("r", []Rule{{Name: "a", Match: `(a+)+(a+)+$|x`, Score: 1}, {Name: "b", Match: `a`, Score: .5}})
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	f, err := m.Examine(context.Background(), View{Chain: strings.Repeat("a", 1<<20-1) + "!"})
	if took := time.Since(began); err != nil || took > 10*time.Second {
		t.Errorf("a text of a MiB took %v, error %v", took, err)
	}
	if f.Score != .5 || len(f.Spans) > maxRuleSpans {
		t.Errorf("score %g with %d spans", f.Score, len(f.Spans))
	}
	if _, err := m.Examine(context.Background(), View{Answer: strings.Repeat("a", 1<<20+1)}); err == nil {
		t.Error("a text that is too long was let through")
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := m.Examine(ctx, View{}); !errors.Is(err, context.Canceled) {
		t.Errorf("after its context ended it returned %v", err)
	}
}

func FuzzParseRules(f *testing.F) {
	f.Add([]byte(someRules), "key 12345", "bykey")
	f.Add([]byte("rules: [{name: a, match: '\\xff|[^a]', in: both}]"), "\xff\xfe", "")
	f.Add([]byte("a: &a [*a]\n"), "", "")
	f.Fuzz(func(t *testing.T, data []byte, chain, answer string) {
		m, err := ParseRules(data)
		if err != nil {
			return
		}
		v := View{Chain: chain, Answer: answer}
		found, err := m.Examine(context.Background(), v)
		if err != nil || !(found.Score >= 0 && found.Score <= 1) || len(found.Spans) > maxRuleSpans {
			t.Fatalf("%+v, %v", found, err)
		}
		for _, s := range found.Spans {
			if cutOut(v, s) == "" && s.Start != s.End {
				t.Fatalf("the span %+v points at nothing", s)
			}
		}
		if (found.Score > 0) != (len(found.Spans) > 0) {
			t.Fatalf("score %g with %d spans", found.Score, len(found.Spans))
		}
	})
}
