package openai

import (
	"bytes"
	"encoding/json"
	"strings"
)

// Content is the text of a message. Its JSON is a string, null, or a list of parts, of which those of type text (also
// input_text and output_text) are joined; thinking parts (Mistral, and what hands on Anthropic's blocks) are kept in Thinking.
type Content struct {
	Text     string
	Thinking string
	// Open says of an assistant's message that is to be carried on that its thoughts have not ended (Mistral).
	Open bool
	Null bool
}

// Text returns the content of a plain text.
func Text(s string) Content { return Content{Text: s} }

// contentPart is one part of a content that is a list.
type contentPart struct {
	Type     string          `json:"type"`
	Text     string          `json:"text,omitempty"`
	Thinking json.RawMessage `json:"thinking,omitempty"`
	Closed   *bool           `json:"closed,omitempty"`
	Refusal  string          `json:"refusal,omitempty"`
}

// MarshalJSON implements json.Marshaler: a string, or Mistral's parts if there is any thinking.
func (c Content) MarshalJSON() ([]byte, error) {
	switch {
	case c.Null:
		return []byte("null"), nil
	case c.Thinking == "":
		return plainJSON(c.Text)
	}
	inner, err := plainJSON([]contentPart{{Type: "text", Text: c.Thinking}})
	if err != nil {
		return nil, err
	}
	closed := !c.Open
	parts := []contentPart{{Type: "thinking", Thinking: inner, Closed: &closed}}
	if c.Text != "" {
		parts = append(parts, contentPart{Type: "text", Text: c.Text})
	}
	return plainJSON(parts)
}

// plainJSON encodes without the escapes that HTML needs: models see what they are sent, and < is no \u003c.
func plainJSON(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return bytes.TrimRight(b.Bytes(), "\n"), err
}

// UnmarshalJSON implements json.Unmarshaler.
func (c *Content) UnmarshalJSON(data []byte) error {
	return c.unmarshal(data, 2)
}

// unmarshal reads a content in which lists may lie in lists depth times.
func (c *Content) unmarshal(data []byte, depth int) error {
	*c = Content{}
	if string(data) == "null" {
		c.Null = true
		return nil
	}
	if len(data) > 0 && data[0] == '[' && depth > 0 {
		return c.parts(data, depth-1)
	}
	return json.Unmarshal(data, &c.Text)
}

func (c *Content) parts(data []byte, depth int) error {
	var parts []contentPart
	if err := json.Unmarshal(data, &parts); err != nil {
		return err
	}
	var text, thinking strings.Builder
	for _, p := range parts {
		switch p.Type {
		case "text", "input_text", "output_text":
			text.WriteString(p.Text)
		case "refusal":
			text.WriteString(p.Refusal)
		case "thinking":
			var inner Content // a string at Anthropic's, a list of text parts at Mistral's
			if len(p.Thinking) > 0 {
				if err := inner.unmarshal(p.Thinking, depth); err != nil {
					return err
				}
			}
			thinking.WriteString(inner.Text)
			c.Open = c.Open || p.Closed != nil && !*p.Closed
		}
	}
	c.Text, c.Thinking = text.String(), thinking.String()
	return nil
}
