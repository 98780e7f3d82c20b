package compose

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"candor/reasoning/llm"
)

func proposed() Proposed {
	return Proposed{
		ID: "p/action 0", Goal: `say "hi"`, Call: llm.ToolCall{Name: "send", Arguments: `{"to":"anna</x>"}`}, Chain: "hm", Seed: 4,
		Tools: []llm.ToolSpec{{Name: "look"}, {Name: "send", Description: "sends", Schema: []byte(`{"type":"object"}`)}},
	}
}

func TestModelReviewer(t *testing.T) {
	model := &talker{reply: says(`{"decision": "modify", "why": "not her", "arguments": {"to": "otto"}, "tool": "look"}`)}
	m := ModelReviewer{Model: model, Policy: "Nobody writes to Anna.", MaxTokens: 50, Temperature: .2}
	d, err := m.Review(t.Context(), proposed())
	if err != nil || d.Ruling != Modify || d.Why != "not her" || d.Call.Name != "look" || d.Call.Arguments != `{"to": "otto"}` || d.Tokens != 2 {
		t.Errorf("%+v, %v", d, err)
	}
	r := model.requests()[0]
	if r.MaxTokens != 50 || r.Temperature != .2 || r.Seed != 4 || r.ID != "p/action 0" || len(r.Messages) != 2 || r.Tools != nil || !strings.Contains(r.Messages[0].Text, m.Policy) {
		t.Errorf("asked %+v", r)
	}
	var material struct {
		Goal, Thoughts string
		Tool           struct{ Name, Description string }
		Arguments      struct{ To string }
		Others         []string `json:"other_tools"`
	}
	if err := json.Unmarshal([]byte(r.Messages[1].Text), &material); err != nil || material.Goal != `say "hi"` || material.Thoughts != "hm" ||
		material.Tool.Name != "send" || material.Tool.Description != "sends" || material.Arguments.To != "anna</x>" || len(material.Others) != 1 {
		t.Errorf("it reads %s (%v)", r.Messages[1].Text, err)
	}
}

func TestModelReviewerFails(t *testing.T) {
	for name, reply := range map[string]func(llm.Request) llm.Completion{
		"prose": says("I approve."),
		"cut": func(llm.Request) llm.Completion {
			return llm.Completion{Text: `{"decision":"approve","why":""}`, Finish: llm.FinishLength}
		},
		"calls": calls(llm.ToolCall{Name: "send"}),
	} {
		if d, err := (ModelReviewer{Model: &talker{reply: reply}, MaxTokens: 9}).Review(t.Context(), proposed()); err == nil || d.Ruling != "" {
			t.Errorf("%s: %+v, %v", name, d, err)
		}
	}
	if _, err := (ModelReviewer{Model: &talker{reply: says("")}}).Review(t.Context(), proposed()); !errors.Is(err, llm.ErrInvalid) {
		t.Errorf("without MaxTokens: %v", err)
	}
	if _, err := (ModelReviewer{}).Review(t.Context(), proposed()); err == nil {
		t.Error("without a model there is no error")
	}
}

func TestParseDecision(t *testing.T) {
	for _, text := range []string{
		`{"decision":"approve","why":"fine"}`, ` {"why":"","decision":"reject"} `, `{"decision":"escalate","why":"\u00e9"}`,
		`{"decision":"modify","why":"w","arguments":{}}`, `{"decision":"modify","why":"w","arguments":{"a":[1]},"tool":"t"}`,
	} {
		if d, err := parseDecision(text); err != nil || !strings.Contains(text, `"`+string(d.Ruling)+`"`) || (d.Call != nil) != (d.Ruling == Modify) {
			t.Errorf("%s: %+v, %v", text, d, err)
		}
	}
	for _, text := range []string{
		``, `approve`, `"approve"`, `null`, `[]`, `{}`, `{"decision":"approve"}`, `{"why":"x"}`, `{"decision":"Approve","why":""}`, `{"Decision":"approve","why":""}`,
		`{"decision":"approve","why":null}`, `{"decision":["approve"],"why":""}`, `{"decision":"approve","why":"","more":1}`, `{"decision":"approve","why":"","arguments":{}}`,
		`{"decision":"approve","why":"","arguments":null}`, `{"decision":"approve","why":"","tool":"t"}`, `{"decision":"reject","decision":"approve","why":""}`,
		`{"decision":"modify","why":""}`, `{"decision":"modify","why":"","arguments":[]}`, `{"decision":"modify","why":"","arguments":"{}"}`,
		`{"decision":"modify","why":"","arguments":{"a":1,"a":2}}`, `{"decision":"modify","why":"","arguments":{},"tool":1}`,
		"```json\n{\"decision\":\"approve\",\"why\":\"\"}\n```", `{"decision":"approve","why":""} or not`, `{"decision":"approve","why":""}{"decision":"reject","why":""}`,
		"{\"decision\":\"approve\",\"why\":\"\xff\"}",
	} {
		if d, err := parseDecision(text); err == nil {
			t.Errorf("%s: %+v", text, d)
		}
	}
}

func FuzzParseDecision(f *testing.F) {
	for _, text := range []string{
		`{"decision":"approve","why":"fine"}`, `{"decision":"modify","why":"w","arguments":{"a":[1,{"b":null}]},"tool":"t"}`, `{"decision":"reject","why":"\ud800"}`,
		`{"a":[{"x":1,"x":2}]}`, `[[`, `{"decision":`,
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, err := parseDecision(text)
		if err != nil {
			if d != (Decision{}) {
				t.Errorf("an error with the decision %+v", d)
			}
			return
		}
		var plain map[string]any
		if json.Unmarshal([]byte(text), &plain) != nil || plain["decision"] != string(d.Ruling) || plain["why"] != d.Why {
			t.Errorf("%q is read as %+v", text, d)
		}
		switch _, given := plain["arguments"].(map[string]any); d.Ruling {
		case Approve, Reject, Escalate:
			if d.Call != nil || given {
				t.Errorf("%q is read as %+v", text, d)
			}
		case Modify:
			if d.Call == nil || !given || callFault(&llm.ToolCall{Name: "t", Arguments: d.Call.Arguments}, []llm.ToolSpec{{Name: "t"}}) != "" {
				t.Errorf("%q is read as %+v", text, d)
			}
		default:
			t.Errorf("%q is read as %+v", text, d)
		}
	})
}
