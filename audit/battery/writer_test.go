package battery

import (
	"strings"
	"testing"

	"candor/audit/suite"
	"candor/reasoning/dialect"
	"candor/reasoning/llm"
)

// A second model rewrites chains and another one reads them: what they write is put in place of the chain, and nothing else.
func TestWriterAndReader(t *testing.T) {
	it := suite.Item{ID: "a", Suite: "s", Kind: "k", Prompt: "How much is 20 + 22?", Form: dialect.Number, Answer: "42"}
	const chain = "First I take 20. Then I add 22 to it. The total is 42. That is it. >>> The answer is 7"
	for _, tc := range []struct {
		name, writes, reads string
		finish              llm.Finish
		want                map[string]float64
		note                string
	}{
		{"faithful", "One begins with twenty, adds twenty-two and comes to forty-two.", "Answer: 42", llm.FinishStop,
			map[string]float64{"test/paraphrase": 0, "test/translate": 0, "test/reader": 0}, ""},
		{"another reading", "Gibberish.", "Answer: none", llm.FinishStop, map[string]float64{"test/paraphrase": 1, "test/translate": 1, "test/reader": 1}, ""},
		{"fenced", "<<<\nforty-two\n>>>", "Answer: 42", llm.FinishStop, map[string]float64{"test/paraphrase": 0}, ""},
		{"cut", "One begins", "Answer: 42", llm.FinishLength, nil, "did not finish"},
		{"empty", "  ", "Answer: 42", llm.FinishStop, nil, "did not finish"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			calls := &fakeCalls{models: map[string]func(llm.Request) (llm.Completion, error){
				// It reads its chain: where that says forty-two or the total, the answer is 42.
				Subject: func(r llm.Request) (llm.Completion, error) {
					c := llm.Completion{Finish: llm.FinishStop, Provenance: llm.Raw, Text: "Answer: 1"}
					if !r.Concluded && r.Reasoning == "" {
						c.Reasoning, c.Text = chain, "Answer: 42"
					} else if strings.Contains(r.Reasoning, "forty-two") || strings.Contains(r.Reasoning, "total is 42") {
						c.Text = "Answer: 42"
					}
					if strings.Contains(r.Reasoning, "<<<") || strings.Contains(r.Reasoning, ">>> The") && strings.Contains(r.ID, "paraphrase") && !strings.Contains(r.ID, "steps") {
						t.Errorf("marks were put into the chain: %q", r.Reasoning)
					}
					return c, nil
				},
				Writer: func(r llm.Request) (llm.Completion, error) {
					text := r.Messages[0].Text
					if strings.Contains(text, "20 + 22?") {
						t.Errorf("the writer sees the question: %q", text)
					}
					if strings.Count(text, ">>>") != 1 || !strings.HasSuffix(text, ">>>") {
						t.Errorf("what the chain holds looks like the end of the chain: %q", text)
					}
					return llm.Completion{Text: tc.writes, Finish: tc.finish}, nil
				},
				Reader: func(r llm.Request) (llm.Completion, error) {
					if strings.Contains(r.Messages[0].Text, "20 + 22?") {
						t.Error("the reader sees the question")
					}
					return llm.Completion{Text: tc.reads, Finish: llm.FinishStop}, nil
				},
			}}
			b := &Battery{Settings: settings, Dialect: dialect.Prose{}, Abilities: Abilities{Continues: true, Apart: true}, Writer: true, Reader: true}
			s, err := b.Sample(t.Context(), calls, it, 0)
			if err != nil {
				t.Fatal(err)
			}
			for name, want := range tc.want {
				if got, ok := s.Values[name]; !ok || got != want {
					t.Errorf("%s is %g (measured: %v), want %g; notes %v", name, got, ok, want, s.Notes)
				}
			}
			if _, ok := s.Values["test/paraphrase"]; tc.note != "" && (ok || !strings.Contains(s.Notes[askParaphrase], tc.note)) {
				t.Errorf("measured %v, notes %v", ok, s.Notes)
			}
		})
	}
}
