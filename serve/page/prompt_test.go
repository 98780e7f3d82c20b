package page

import (
	"context"
	"strings"
	"testing"

	"candor/reasoning/compose"
	"candor/reasoning/llm"
	"candor/reasoning/monitor"
	"candor/serve/record"
)

// pointer points at a word of the prompt, and remembers the prompt.
type pointer struct {
	word string
	read *string
}

func (pointer) Name() string { return "pointer" }

func (p pointer) Examine(_ context.Context, v monitor.View) (monitor.Finding, error) {
	*p.read = v.Prompt
	at := strings.Index(v.Prompt, p.word)
	return monitor.Finding{Spans: []monitor.Span{{Of: monitor.InPrompt, Start: at, End: at + len(p.word)}}}, nil
}

type parrot struct{}

func (parrot) Generate(_ context.Context, requests []llm.Request) ([]llm.Completion, error) {
	out := make([]llm.Completion, len(requests))
	for i := range out {
		out[i] = llm.Completion{Text: "yes", Finish: llm.FinishStop}
	}
	return out, nil
}

// Where a monitor of a dialogue points in the prompt is where the page marks the conversation.
func TestPromptIsReadAsMonitorsReadIt(t *testing.T) {
	for name, tc := range map[string]struct {
		messages []llm.Message
		word     string
		want     []string // the messages' texts, marked
	}{
		"alone":   {[]llm.Message{{Role: llm.User, Text: "the key is 17"}}, "key", []string{"the [key]^1 is 17"}},
		"several": {[]llm.Message{{Role: llm.System, Text: "Be kind."}, {Role: llm.User, Text: "the kéy is 17"}}, "kéy", []string{"Be kind.", "the [kéy]^1 is 17"}},
		"calls": {[]llm.Message{{Role: llm.User, Text: "go"}, {Role: llm.Assistant, Calls: []llm.ToolCall{{ID: "1", Name: "get", Arguments: `{"a":"b"}`}}}, {Role: llm.Tool, CallID: "1", Text: "it is key 5"}}, "key",
			[]string{"go", "", "it is [key]^1 5"}},
		"across":         {[]llm.Message{{Role: llm.User, Text: "one"}, {Role: llm.Assistant, Text: "two"}}, "ne\n\nassistant: t", []string{"o[ne]^1", "[t]^1wo"}},
		"between nobody": {[]llm.Message{{Role: llm.User, Text: "one"}, {Role: llm.Assistant, Text: "two"}}, "sistan", []string{"one", "two"}},
	} {
		var read string
		d := compose.Dialogue{Reasoner: parrot{}, OutputTokens: 10, ReasonerTokens: 10, Gates: []compose.Gate{{Monitor: pointer{tc.word, &read}, Threshold: .5, Sees: compose.SeesPrivate}}}
		got, err := d.Solve(t.Context(), []compose.Prompt{{Ask: &llm.Request{Messages: tc.messages, MaxTokens: 10}}})
		if err != nil {
			t.Fatal(err)
		}
		tr := &record.Trace{Messages: tc.messages, Stages: []record.StageOf{{Stage: record.Stage{What: "try", Verdicts: got[0].Verdicts}, Try: &record.Try{Findings: got[0].Findings}}}}
		if p := newPrompt(tr); p.text != read {
			t.Errorf("%s: the page takes %q for the prompt, monitors read %q", name, p.text, read)
		}
		page := newTracePage(tr, viewer{Reviewer: true}, "")
		for i, want := range tc.want {
			if got := flat(page.Messages[i].Text.Pieces); got != want {
				t.Errorf("%s: message %d is %s, want %s", name, i, got, want)
			}
		}
		if sp := page.Stages[0].Gates[0].Spans[0]; sp.Quote != line(tc.word) || sp.Seen != strings.Contains(strings.Join(tc.want, ""), "^") {
			t.Errorf("%s: the finding is told as %+v", name, sp)
		}
		tr.Stages = append(tr.Stages, record.StageOf{Stage: record.Stage{What: "action"}})
		if sp := newTracePage(tr, viewer{Reviewer: true}, "").Stages[0].Gates[0].Spans[0]; sp.Seen || sp.Quote != "" {
			t.Errorf("%s: what an agent's monitors read is not known, but is marked: %+v", name, sp)
		}
	}
}
