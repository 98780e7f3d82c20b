package tools

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"unicode/utf8"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// text returns what a model reads of a result: the texts, then the structured content, unless it says the same.
func text(r *mcp.CallToolResult, most int) string {
	var b strings.Builder
	add := func(s string) {
		if b.Len() > 0 {
			b.WriteByte('\n')
		}
		// one byte more than can be kept tells that something was cut
		b.WriteString(s[:min(len(s), max(most+1-b.Len(), 0))])
	}
	for _, c := range r.Content {
		if b.Len() > most {
			break
		}
		add(contentText(c))
	}
	if r.StructuredContent != nil && !says(r.Content, r.StructuredContent) {
		if data, err := json.Marshal(r.StructuredContent); err == nil {
			add(string(data))
		}
	}
	return bounded(b.String(), most)
}

func contentText(c mcp.Content) string {
	refused := func(what, kind string, n int) string {
		return fmt.Sprintf("(There was %s of type %q with %d bytes here, which cannot be shown.)", what, bounded(kind, 100), n)
	}
	switch c := c.(type) {
	case *mcp.TextContent:
		return c.Text
	case *mcp.ImageContent:
		return refused("an image", c.MIMEType, len(c.Data))
	case *mcp.AudioContent:
		return refused("a sound", c.MIMEType, len(c.Data))
	case *mcp.ResourceLink:
		return fmt.Sprintf("(There was a link to the resource %q at %q here.)", bounded(c.Name, 200), bounded(c.URI, 1000))
	case *mcp.EmbeddedResource:
		if c.Resource == nil {
			return ""
		}
		if c.Resource.Text != "" || len(c.Resource.Blob) == 0 {
			return c.Resource.Text
		}
		return refused("a file", c.Resource.MIMEType, len(c.Resource.Blob))
	}
	return "(There was content of a kind here that cannot be shown.)"
}

// says tells whether a text is the structured content as JSON, as servers give it for clients that read texts alone.
func says(content []mcp.Content, structured any) bool {
	for _, c := range content {
		t, ok := c.(*mcp.TextContent)
		if !ok || !strings.HasPrefix(strings.TrimSpace(t.Text), "{") && !strings.HasPrefix(strings.TrimSpace(t.Text), "[") {
			continue
		}
		var value any
		dec := json.NewDecoder(bytes.NewReader([]byte(t.Text)))
		if dec.Decode(&value) == nil && !dec.More() && reflect.DeepEqual(value, structured) {
			return true
		}
	}
	return false
}

// bounded returns a text as valid UTF-8 with at most n bytes and, if it was longer, a remark.
func bounded(text string, n int) string {
	const remark = "\n(cut here: there was more)"
	if len(text) <= n {
		return strings.ToValidUTF8(text, "\uFFFD")
	}
	for n > 0 && !utf8.RuneStart(text[n]) {
		n--
	}
	return strings.ToValidUTF8(text[:n], "\uFFFD") + remark
}
