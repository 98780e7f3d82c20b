// Package openaitest is a server of language models that says what a test tells it to, in the form that a family of servers says it,
// with the faults that they have.
//
//	s := openaitest.New(t, openaitest.Exchange{Family: openaitest.VLLM, Reply: openaitest.Reply{Reasoning: "2 and 2", Text: "4"}})
//	client, err := openai.NewClient(openai.Options{BaseURL: s.URL})
//
// [Serve] has a function answer instead, which makes a model of any behaviour. The forms are written out here by hand, from what
// those servers send, and share no types with package openai.
package openaitest

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"candor/openai"
	"candor/reasoning/llm"
)

// Reply is what a model says.
type Reply struct {
	// Reasoning is its chain of thought, Text what it says. Where thoughts or a text are carried on, both are what is new.
	Reasoning, Text string
	// Summary is shown in place of Reasoning, and Encrypted beside it, by the families that know such things.
	Summary, Encrypted string
	// Calls are the tools that it calls, after the text.
	Calls []llm.ToolCall
	// Finish is the finish_reason, "" for stop, or tool_calls if there are Calls; Stop is the stop text that ended it.
	Finish, Stop string
	// Model is the name that answers, "" for the one asked.
	Model string
	// Tokens spell Text, for servers that are asked for log-probabilities.
	Tokens []llm.Token
	// PromptTokens and CompletionTokens are counted; 0 counts words. ReasoningTokens are told even if no Reasoning is.
	PromptTokens, CompletionTokens, ReasoningTokens int
	// Status with Error, in the words of the family, is answered instead if it is not 0.
	Status int
	Error  string
}

// Exchange is one question and what becomes of it.
type Exchange struct {
	Family Family
	// Reply is the answer; Model makes it, if it is set.
	Reply Reply
	Model func(openai.ChatRequest) Reply
	Fault Fault
	// When chooses the requests that the exchange answers, as often as they come; nil means the next one.
	When func(*Request) bool
}

// Request is what a server was asked.
type Request struct {
	Method, Path string
	Header       http.Header
	Body         []byte
	// Chat is the body of a chat completion. Of a completion it holds the prompt as the only message, whose role is "prompt"; of
	// a response the input as messages.
	Chat openai.ChatRequest
}

// Server answers by a script.
type Server struct {
	// URL is the base URL, with /v1 at its end.
	URL string

	t      testing.TB
	http   *httptest.Server
	closed chan struct{}
	once   sync.Once

	mu       sync.Mutex
	script   []Exchange
	requests []Request
}

// New returns a server that answers the first request by the first exchange and so on; the last one answers all that follow.
// Exchanges with a When are asked first. The test's end closes it.
func New(t testing.TB, script ...Exchange) *Server {
	t.Helper()
	s := &Server{t: t, script: script, closed: make(chan struct{})}
	s.http = httptest.NewServer(s)
	s.URL = s.http.URL + "/v1"
	t.Cleanup(s.Close)
	return s
}

// Serve returns a server whose answers come from a function, which must be safe for concurrent use.
func Serve(t testing.TB, family Family, model func(openai.ChatRequest) Reply) *Server {
	t.Helper()
	return New(t, Exchange{Family: family, Model: model})
}

// Refused returns a base URL at which nobody listens.
func Refused(t testing.TB) string {
	t.Helper()
	s := httptest.NewServer(http.NotFoundHandler())
	s.Close()
	return s.URL + "/v1"
}

// Close ends the server with all connections; calling it again does nothing.
func (s *Server) Close() {
	s.once.Do(func() {
		close(s.closed)
		s.http.CloseClientConnections()
		s.http.Close()
	})
}

// Requests returns what was asked, in the order in which it came; questions for models are not counted.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Request(nil), s.requests...)
}

// next returns the exchange for a request.
func (s *Server) next(r *Request) (Exchange, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	asksModels := strings.HasSuffix(r.Path, "/models")
	if !asksModels {
		s.requests = append(s.requests, *r)
	}
	for _, e := range s.script {
		if e.When != nil && e.When(r) {
			return e, true
		}
	}
	for i, e := range s.script {
		if e.When != nil {
			continue
		}
		for _, later := range s.script[i+1:] {
			if later.When == nil && !asksModels {
				s.script = append(append([]Exchange(nil), s.script[:i]...), s.script[i+1:]...)
				break
			}
		}
		return e, true
	}
	return Exchange{}, false
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	asked := &Request{Method: r.Method, Path: r.URL.Path, Header: r.Header.Clone(), Body: body}
	if err := asked.read(); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	e, ok := s.next(asked)
	if !ok {
		s.t.Errorf("openaitest: no exchange is for %s %s %s", r.Method, r.URL.Path, body)
		http.Error(w, "no exchange is for this", http.StatusInternalServerError)
		return
	}
	reply := e.Reply
	if e.Model != nil {
		reply = e.Model(asked.Chat)
	}
	s.answer(w, r, asked, e, reply)
}

func (r *Request) read() error {
	if r.Method == http.MethodGet {
		return nil
	}
	switch {
	case strings.HasSuffix(r.Path, "/chat/completions"):
		return json.Unmarshal(r.Body, &r.Chat)
	case strings.HasSuffix(r.Path, "/completions"):
		var c openai.CompletionRequest
		err := json.Unmarshal(r.Body, &c)
		r.Chat = openai.ChatRequest{Model: c.Model, MaxTokens: c.MaxTokens, Temperature: c.Temperature, TopP: c.TopP, TopK: c.TopK,
			Seed: c.Seed, Stop: c.Stop, Stream: c.Stream, LogProbs: c.LogProbs != nil,
			Messages: []openai.ChatMessage{{Role: "prompt", Content: openai.Text(c.Prompt)}}}
		return err
	case strings.HasSuffix(r.Path, "/responses"):
		var short struct{ Input string }
		var c openai.ResponseRequest
		err := json.Unmarshal(r.Body, &c)
		if err != nil && json.Unmarshal(r.Body, &short) == nil { // the input may be a string
			err, c.Input = nil, []openai.ResponseItem{{Role: "user", Content: []openai.ResponsePart{{Text: short.Input}}}}
		}
		r.Chat = openai.ChatRequest{Model: c.Model, MaxTokens: c.MaxOutputTokens, Temperature: c.Temperature, TopP: c.TopP, Stream: c.Stream}
		r.Chat.Tools, r.Chat.ToolChoice = chatOf(c)
		for _, item := range c.Input {
			r.Chat.Messages = addItem(r.Chat.Messages, item)
		}
		for _, what := range c.Include {
			r.Chat.LogProbs = r.Chat.LogProbs || strings.HasSuffix(what, ".logprobs")
		}
		return err
	}
	return fmt.Errorf("there is nothing at %s", r.Path)
}

// obj is a JSON object.
type obj map[string]any

// text encodes v without escapes for HTML.
func text(v any) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(err) // all that is encoded is built here
	}
	return strings.TrimRight(b.String(), "\n")
}

// answer writes what becomes of a request.
func (s *Server) answer(w http.ResponseWriter, r *http.Request, asked *Request, e Exchange, reply Reply) {
	form := form{family: e.Family, asked: asked, reply: reply, fault: e.Fault}
	form.reply.Model = strings.TrimSpace(form.reply.Model)
	if form.reply.Model == "" {
		form.reply.Model = asked.Chat.Model
	}
	if form.reply.Finish == "" {
		form.reply.Finish = "stop"
		if len(form.reply.Calls) > 0 {
			form.reply.Finish = "tool_calls"
		}
	}
	switch {
	case s.spoil(w, r, &form):
	case reply.Status != 0:
		send(w, reply.Status, "application/json", text(form.failure(reply.Error, reply.Status)))
	case strings.HasSuffix(asked.Path, "/models"):
		send(w, http.StatusOK, "application/json", text(form.models()))
	case asked.Chat.Stream:
		s.stream(w, r, form.events(), &form)
	default:
		s.whole(w, r, text(form.body()), &form)
	}
}

func send(w http.ResponseWriter, status int, media, body string) {
	w.Header().Set("Content-Type", media)
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body)
}
