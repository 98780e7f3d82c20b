package telemetry_test

import (
	"bytes"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"candor/reasoning/llm"
	"candor/reasoning/monitor"
	"candor/serve/record"
	"candor/serve/telemetry"
)

// confidential fills everything of an observation that may hold a text with a word that says what it is.
func confidential(outcome record.Outcome) telemetry.Observation {
	o := observation()
	call := llm.ToolCall{ID: "c", Name: "f", Arguments: "SECRET-answer-arguments"}
	o.Prompt = []llm.Message{{Role: llm.System, Text: "SECRET-prompt-system"}, {Role: llm.User, Text: "SECRET-prompt-user"},
		{Role: llm.Assistant, Calls: []llm.ToolCall{{ID: "c", Name: "f", Arguments: "SECRET-prompt-arguments"}}}, {Role: llm.Tool, CallID: "c", Text: "SECRET-prompt-result"}}
	o.Answer = &record.Answer{Text: "SECRET-answer-text", Calls: []llm.ToolCall{call}}
	for range 2 {
		o.Tries = append(o.Tries, &record.Try{Steps: []record.Step{{Written: "SECRET-step", Rewritten: "SECRET-rewritten"}}, Draft: "SECRET-draft",
			Private: "SECRET-chain-private", Shown: "SECRET-chain-shown", Brief: "SECRET-brief", Output: "SECRET-output", Calls: []llm.ToolCall{call},
			Findings: []monitor.Finding{{Note: "SECRET-note"}}})
	}
	o.Stages = slices.Clone(o.Stages)
	o.Stages[0].Err = "SECRET-error"
	o.Stages[0].Verdicts[0].Note = "SECRET-note"
	o.End.Outcome, o.End.Reason = outcome, "SECRET-reason"
	return o
}

// Every byte that leaves is searched for what must stay.
func TestTextsStay(t *testing.T) {
	prompt := []string{"prompt-system", "prompt-user", "prompt-arguments", "prompt-result"}
	answer := []string{"answer-text", "answer-arguments"}
	chain := []string{"chain-private", "chain-shown"}
	tests := map[string]struct {
		content, private bool
		outcome          record.Outcome
		may              []string
	}{
		"nothing":            {false, false, record.Released, nil},
		"the chain alone":    {false, true, record.Released, nil},
		"content":            {true, false, record.Released, append(slices.Clone(prompt), answer...)},
		"content, blocked":   {true, false, record.Blocked, prompt},
		"content, held":      {true, false, record.Held, prompt},
		"content, and chain": {true, true, record.Released, append(append(slices.Clone(prompt), answer...), chain...)},
		"chain of a blocked": {true, true, record.Blocked, append(slices.Clone(prompt), chain...)},
	}
	for name, tc := range tests {
		r := newReceiver(t)
		tel := start(t, telemetry.Options{Endpoint: r.URL, Content: tc.content, PrivateChain: tc.private})
		tel.Observe(t.Context(), confidential(tc.outcome))
		stop(t, tel)
		sent := string(bytes.Join(r.bodies, nil))
		if !strings.Contains(sent, "chat sound") {
			t.Errorf("%s: the span itself is missing", name)
		}
		for _, word := range tc.may {
			if !strings.Contains(sent, "SECRET-"+word) {
				t.Errorf("%s: %s is missing", name, word)
			}
			sent = strings.ReplaceAll(sent, "SECRET-"+word, "")
		}
		if at := strings.Index(sent, "SECRET"); at >= 0 {
			t.Errorf("%s: %q got out", name, sent[at:min(len(sent), at+30)])
		}
		if page := scrape(tel); strings.Contains(page, "SECRET") || !strings.Contains(page, "candor_requests_total") {
			t.Errorf("%s: the metrics show a secret, or nothing", name)
		}
	}
}

func scrape(tel *telemetry.Telemetry) string {
	w := httptest.NewRecorder()
	tel.Metrics().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	return w.Body.String()
}

// Long texts are cut.
func TestContentIsBounded(t *testing.T) {
	r := newReceiver(t)
	tel := start(t, telemetry.Options{Endpoint: r.URL, Content: true, PrivateChain: true})
	o := confidential(record.Released)
	long := strings.Repeat("\xff\"x", 1<<20)
	o.Prompt = slices.Repeat([]llm.Message{{Role: "user", Text: long}}, 4)
	o.Answer = &record.Answer{Text: long, Calls: slices.Repeat([]llm.ToolCall{{Name: long, Arguments: long}}, 3)}
	o.Tries[0].Private = long
	tel.Observe(t.Context(), o)
	stop(t, tel)
	if n := len(bytes.Join(r.bodies, nil)); n < 50_000 || n > 1<<20 {
		t.Errorf("%d bytes were sent", n)
	}
	if len(r.spans(t)) != 12 {
		t.Error("not all spans have arrived")
	}
}
