package openaitest

import (
	"strings"

	"candor/openai"
)

// Carried is what a request says that the assistant has thought and written already.
type Carried struct {
	// Prompt is the conversation in front of it: the texts of the messages with line ends between them, or the raw prompt.
	Prompt string
	// Reasoning is what it has thought; Thinking tells that it is in the midst of that, Concluded that it has ended.
	Reasoning           string
	Thinking, Concluded bool
	// Prefix is what it has said.
	Prefix string
}

// Carry reads a request, so that the function of a model can go on from where it is told to, whichever way it is told: by a last
// message of the assistant's, with thoughts in tags, in reasoning_content or in a part, or by the end of a raw prompt.
func Carry(r openai.ChatRequest) Carried {
	var c Carried
	messages := r.Messages
	n := len(messages) - 1
	if n < 0 {
		return c
	}
	last := messages[n]
	switch {
	case last.Role == "prompt":
		at := strings.LastIndex(last.Content.Text, "<think>")
		if at < 0 {
			c.Prompt = last.Content.Text
			return c
		}
		c.Prompt = last.Content.Text[:at]
		c.tagged(last.Content.Text[at:])
		return c
	case last.Role != "assistant":
		n++
	case last.Content.Thinking != "":
		c.Reasoning, c.Prefix = last.Content.Thinking, last.Content.Text
		c.Thinking, c.Concluded = last.Content.Open, !last.Content.Open
	case last.ReasoningContent != nil:
		c.Reasoning, c.Prefix = *last.ReasoningContent, last.Content.Text
		c.Thinking, c.Concluded = c.Prefix == "", c.Prefix != ""
	default:
		c.tagged(last.Content.Text)
	}
	texts := make([]string, n)
	for i := range texts {
		texts[i] = messages[i].Content.Text
	}
	c.Prompt = strings.Join(texts, "\n")
	return c
}

// tagged reads a text with thoughts in tags.
func (c *Carried) tagged(s string) {
	rest, ok := strings.CutPrefix(s, "<think>\n")
	if !ok {
		c.Prefix = s
		return
	}
	thoughts, said, ended := strings.Cut(rest, "</think>")
	c.Reasoning, c.Thinking, c.Concluded = thoughts, !ended, ended
	if ended {
		c.Reasoning, c.Prefix = strings.TrimSuffix(thoughts, "\n"), strings.TrimPrefix(said, "\n\n")
	}
}
