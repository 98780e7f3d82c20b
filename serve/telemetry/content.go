package telemetry

import (
	"bytes"
	"encoding/json"

	"go.opentelemetry.io/otel/attribute"

	"candor/reasoning/llm"
	"candor/serve/record"
)

const (
	maxText     = 8 << 10 // bytes of a text
	maxMessages = 32      // of a prompt, the last ones
)

// message is one by the conventions' JSON schema of messages.
type message struct {
	Role   string `json:"role"`
	Parts  []part `json:"parts"`
	Finish string `json:"finish_reason,omitempty"`
}

type part struct {
	Type      string  `json:"type"` // text, tool_call or tool_call_response
	Content   *string `json:"content,omitempty"`
	ID        string  `json:"id,omitempty"`
	Name      string  `json:"name,omitempty"`
	Arguments string  `json:"arguments,omitempty"`
	Response  *string `json:"response,omitempty"`
}

func partsOf(m llm.Message) (parts []part) {
	text := cut(m.Text, maxText)
	switch {
	case m.Role == llm.Tool:
		return []part{{Type: "tool_call_response", ID: clip(m.CallID), Response: &text}}
	case text != "" || len(m.Calls) == 0:
		parts = append(parts, part{Type: "text", Content: &text})
	}
	for _, c := range m.Calls[:min(len(m.Calls), maxMessages)] {
		parts = append(parts, part{Type: "tool_call", ID: clip(c.ID), Name: clip(c.Name), Arguments: cut(c.Arguments, maxText)})
	}
	return parts
}

// content adds the prompt, and the answer if it was released.
func (t *one) content(attrs []attribute.KeyValue) []attribute.KeyValue {
	var messages []message
	for _, m := range t.Prompt[max(0, len(t.Prompt)-maxMessages):] {
		messages = append(messages, message{Role: clip(string(m.Role)), Parts: partsOf(m)})
	}
	if messages != nil {
		attrs = append(attrs, attribute.String(attrInputMessages, encode(messages)))
	}
	if a := t.Answer; a != nil && (t.End.Outcome == record.Released || t.End.Outcome == record.Approved) {
		said := llm.Message{Role: llm.Assistant, Text: a.Text, Calls: a.Calls}
		attrs = append(attrs, attribute.String(attrOutputMessages, encode([]message{{Role: string(llm.Assistant), Parts: partsOf(said), Finish: clip(string(t.End.Finish))}})))
	}
	return attrs
}

func encode(v any) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if e.Encode(v) != nil {
		return ""
	}
	return string(bytes.TrimRight(b.Bytes(), "\n"))
}
