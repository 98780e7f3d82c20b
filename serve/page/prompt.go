package page

import (
	"strings"

	"candor/reasoning/compose"
	"candor/reasoning/llm"
	"candor/serve/record"
)

// prompt is a conversation as monitors read it, which is one text, and where the texts of its messages are in it.
type prompt struct {
	text     string
	messages []said
}

// said is the text of a message.
type said struct {
	text  string
	at    int // where it begins
	marks []mark
}

// newPrompt returns nil where the monitors of some try have read more than the trace's conversation: an agent's goes on after
// each action.
func newPrompt(t *record.Trace) *prompt {
	for i := range t.Stages {
		if t.Stages[i].What != "try" {
			return nil
		}
	}
	// This is how compose.Dialogue puts a conversation into monitor.View.Prompt.
	alone := len(t.Messages) == 1 && t.Messages[0].Role == llm.User
	p := &prompt{}
	var b strings.Builder
	for i, m := range t.Messages {
		if i > 0 {
			b.WriteString("\n\n")
		}
		if !alone {
			b.WriteString(string(m.Role) + ": ")
		}
		p.messages = append(p.messages, said{text: m.Text, at: b.Len()})
		b.WriteString(compose.Output{Text: m.Text, Calls: m.Calls}.Judged())
	}
	p.text = b.String()
	return p
}

// spot marks a span of the prompt in the messages that it touches. Seen is false if it touches none.
func (p *prompt) spot(start, end int, r ref) (quote string, seen bool) {
	at, ok := newMark(p.text, start, end)
	if !ok {
		return "", false
	}
	for i := range p.messages {
		m := &p.messages[i]
		if one, ok := newMark(m.text, at.start-m.at, at.end-m.at); ok && one.start < one.end {
			one.ref = r
			m.marks = append(m.marks, one)
			seen = true
		}
	}
	return line(p.text[at.start:at.end]), seen
}

func (p *prompt) marksOf(i int) []mark {
	if p == nil {
		return nil
	}
	return p.messages[i].marks
}
