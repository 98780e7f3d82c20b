package load

import (
	"bytes"
	"io"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"
)

// Mock is a server of OpenAI's chat completions that gives each request the same answer, with a chain of thought in
// reasoning_content.
type Mock struct {
	// Delay is how long it takes.
	Delay time.Duration
	body  []byte
	calls atomic.Int64
}

// NewMock returns a mock that thinks and says these texts, which must need no escaping in JSON.
func NewMock(chain, text string) *Mock {
	var b bytes.Buffer
	b.WriteString(`{"id":"mock","object":"chat.completion","created":1,"model":"mock","choices":[{"index":0,"message":{"role":"assistant","content":"`)
	b.WriteString(text)
	b.WriteString(`","reasoning_content":"`)
	b.WriteString(chain)
	b.WriteString(`"},"finish_reason":"stop"}],"usage":{"prompt_tokens":20,"completion_tokens":40,"total_tokens":60}}`)
	return &Mock{body: b.Bytes()}
}

// Calls counts the answers.
func (m *Mock) Calls() int64 { return m.calls.Load() }

// ServeHTTP answers.
func (m *Mock) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	m.calls.Add(1)
	_, _ = io.Copy(io.Discard, r.Body) // else the connection cannot be used again
	if m.Delay > 0 {
		select {
		case <-time.After(m.Delay):
		case <-r.Context().Done():
			return
		}
	}
	w.Header()["Content-Type"] = []string{"application/json"}
	w.Header()["Content-Length"] = []string{strconv.Itoa(len(m.body))}
	_, _ = w.Write(m.body)
}
