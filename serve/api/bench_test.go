package api

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"candor/reasoning/llm"
)

// instant is a backend that costs nothing and says about 200 words.
func instant() Backend {
	text := strings.TrimSpace(strings.Repeat("some words that are said ", 40))
	return &scripted{answer: func(_ context.Context, c *Call) (*Answers, error) {
		out := make([]Answer, len(c.Requests))
		for i := range out {
			out[i].Completion = llm.Completion{Text: text, Finish: llm.FinishStop, PromptTokens: 100, CompletionTokens: 200}
		}
		return &Answers{Answers: out}, nil
	}}
}

// sink is a ResponseWriter that keeps nothing.
type sink struct {
	header http.Header
	status int
}

func (s *sink) Header() http.Header         { return s.header }
func (s *sink) WriteHeader(status int)      { s.status = status }
func (s *sink) Write(p []byte) (int, error) { return len(p), nil }

func benchmark(b *testing.B, path, body string) {
	s, err := New(Options{Clock: time.Now, Models: []Model{{Name: "m", Backend: instant(), Tools: true}}})
	if err != nil {
		b.Fatal(err)
	}
	defer s.stop()
	w := &sink{header: http.Header{}}
	b.ReportAllocs()
	for b.Loop() {
		r, err := http.NewRequestWithContext(b.Context(), http.MethodPost, path, strings.NewReader(body))
		if err != nil {
			b.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		clear(w.header)
		s.ServeHTTP(w, r)
		if w.status != 200 {
			b.Fatal(w.status)
		}
	}
}

func chatOf(fields string) string {
	prompt := strings.Repeat("a sentence of a prompt that somebody wrote. ", 20)
	return fmt.Sprintf(`{"model":"m","messages":[{"role":"system","content":"be brief"},{"role":"user","content":%q}],"temperature":0.7,"max_tokens":500%s}`, prompt, fields)
}

func BenchmarkChat(b *testing.B) { benchmark(b, "/v1/chat/completions", chatOf("")) }
func BenchmarkChatStream(b *testing.B) {
	benchmark(b, "/v1/chat/completions", chatOf(`,"stream":true`))
}
func BenchmarkResponses(b *testing.B) {
	benchmark(b, "/v1/responses", `{"model":"m","input":"a question"}`)
}
func BenchmarkResponsesStream(b *testing.B) {
	benchmark(b, "/v1/responses", `{"model":"m","input":"a question","stream":true}`)
}
