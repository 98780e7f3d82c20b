package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	openaigo "github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/packages/param"
	"github.com/openai/openai-go/v3/responses"

	"candor/internal/rng"
	"candor/reasoning/llm"
	"candor/reasoning/llm/llmtest"
)

// scripted is a backend that does what it is told.
type scripted struct {
	answer   func(ctx context.Context, c *Call) (*Answers, error)
	retrieve func(ctx context.Context, id string) (*Answer, *Call, error)
}

func (s *scripted) Answer(ctx context.Context, c *Call) (*Answers, error) { return s.answer(ctx, c) }

func (s *scripted) Retrieve(ctx context.Context, id string) (*Answer, *Call, error) {
	if s.retrieve == nil {
		return nil, nil, &Fault{Status: 404, Message: "none"}
	}
	return s.retrieve(ctx, id)
}

// same is a backend that gives each request the same answer.
func same(a Answer) *scripted {
	return &scripted{answer: func(_ context.Context, c *Call) (*Answers, error) {
		out := make([]Answer, len(c.Requests))
		for i := range out {
			out[i] = a
		}
		return &Answers{Answers: out, Header: http.Header{"Server-Timing": {"gates;dur=1.5"}}}, nil
	}}
}

func withTools(o *Options) { o.Models[0].Tools = true }

// all asks for an answer in every protocol, streamed or not, and returns the bodies by what was asked.
func all(s *Server, fields string) map[string]*httptest.ResponseRecorder {
	out := map[string]*httptest.ResponseRecorder{}
	for path, ask := range map[string]string{"/v1/chat/completions": `"messages":[{"role":"user","content":"a"}]`, "/v1/completions": `"prompt":"a"`, "/v1/responses": `"input":"a"`} {
		for _, stream := range []bool{false, true} {
			out[fmt.Sprintf("%s stream=%v", path, stream)] = post(s, path, fmt.Sprintf(`{%s,"stream":%v%s}`, ask, stream, fields))
		}
	}
	return out
}

// Of an answer that is withheld nothing gets out, whatever the backend leaves in it.
func TestWithheld(t *testing.T) {
	secret := llm.Completion{
		Text: "SECRET", Reasoning: "SECRET", Provenance: llm.Raw, Stop: "SECRET", Finish: llm.FinishTools, PromptTokens: 5, CompletionTokens: 6,
		Calls: []llm.ToolCall{{ID: "SECRET", Name: "SECRET", Arguments: "SECRET"}}, Tokens: []llm.Token{{Text: "SECRET", LogProb: -1}},
	}
	for name, a := range map[string]Answer{
		"refused": {Completion: secret, Refusal: "It was blocked."}, "pending": {Completion: secret, Pending: true},
		"pending with a text": {Completion: secret, Pending: true, Refusal: "Somebody has to look at it."},
	} {
		s := serverOf(t, same(a), withTools)
		for _, logProbs := range []string{``, `,"logprobs":true,"include":["message.output_text.logprobs"]`} {
			for ask, w := range all(s, logProbs) {
				if strings.Contains(ask, "/v1/completions") && logProbs != "" {
					continue // it has numbers there
				}
				body := w.Body.String()
				if w.Code != 200 || strings.Contains(body, "SECRET") || w.Header().Get("Server-Timing") == "" {
					t.Errorf("%s, %s: %d, %v\n%s", name, ask, w.Code, w.Header(), body)
				}
				if !strings.Contains(ask, "responses") && strings.Count(body, "content_filter") != 1 {
					t.Errorf("%s, %s: %s", name, ask, body)
				}
			}
		}
	}
	// nor of tokens that nobody asked for
	s := serverOf(t, same(Answer{Completion: llm.Completion{Text: "x", Tokens: secret.Tokens}}), nil)
	for ask, w := range all(s, ``) {
		if strings.Contains(w.Body.String(), "SECRET") {
			t.Errorf("%s: %s", ask, w.Body)
		}
	}
}

// OpenAI's client sees a refusal as one.
func TestRefusal(t *testing.T) {
	const says = "It was blocked."
	c := client(t, serverOf(t, same(Answer{Refusal: says, Completion: llm.Completion{Text: "no", PromptTokens: 5, CompletionTokens: 6}}), nil))
	ask := openaigo.ChatCompletionNewParams{Model: "small:rl", Messages: user("a"), N: param.NewOpt[int64](2)}
	got, err := c.Chat.Completions.New(t.Context(), ask)
	if err != nil {
		t.Fatal(err)
	}
	for _, choice := range got.Choices {
		if choice.Message.Refusal != says || choice.Message.Content != "" || choice.FinishReason != "content_filter" || !strings.Contains(choice.RawJSON(), `"content":null`) {
			t.Errorf("choice %s", choice.RawJSON())
		}
	}
	stream, acc := c.Chat.Completions.NewStreaming(t.Context(), ask), openaigo.ChatCompletionAccumulator{}
	for stream.Next() {
		acc.AddChunk(stream.Current())
	}
	if stream.Err() != nil || len(acc.Choices) != 2 {
		t.Fatalf("%v, %d choices", stream.Err(), len(acc.Choices))
	}
	for _, choice := range acc.Choices {
		if choice.Message.Refusal != says || choice.Message.Content != "" || choice.FinishReason != "content_filter" {
			t.Errorf("streamed %+v", choice)
		}
	}
	old, err := c.Completions.New(t.Context(), openaigo.CompletionNewParams{Model: "small:rl", Prompt: openaigo.CompletionNewParamsPromptUnion{OfString: param.NewOpt("a")}})
	if err != nil || old.Choices[0].Text != "" || old.Choices[0].FinishReason != "content_filter" {
		t.Errorf("%v, %+v", err, old)
	}
	r, err := c.Responses.New(t.Context(), responses.ResponseNewParams{Model: "small:rl", Input: responses.ResponseNewParamsInputUnion{OfString: param.NewOpt("a")}})
	if err != nil {
		t.Fatal(err)
	}
	if r.Status != "incomplete" || r.IncompleteDetails.Reason != "content_filter" || r.Output[0].Content[0].Refusal != says || r.OutputText() != "" || r.Usage.TotalTokens != 11 {
		t.Errorf("response %s", r.RawJSON())
	}
	events := c.Responses.NewStreaming(t.Context(), responses.ResponseNewParams{Model: "small:rl", Input: responses.ResponseNewParamsInputUnion{OfString: param.NewOpt("a")}})
	var kinds, delta []string
	for events.Next() {
		e := events.Current()
		kinds = append(kinds, strings.TrimPrefix(e.Type, "response."))
		if e.Type == "response.refusal.delta" {
			delta = append(delta, e.Delta)
		}
	}
	want := "created in_progress output_item.added content_part.added refusal.delta refusal.done content_part.done output_item.done incomplete"
	if events.Err() != nil || strings.Join(kinds, " ") != want || strings.Join(delta, "") != says {
		t.Errorf("%v, %v, %v", events.Err(), kinds, delta)
	}
}

// An answer that waits for a person is asked for again until there is one.
func TestPending(t *testing.T) {
	held := Answer{ID: "resp_held1", Pending: true, Refusal: "Somebody has to look at it.", Completion: llm.Completion{Text: "hidden"}}
	decided := Answer{Completion: llm.Completion{Text: "shown", Finish: llm.FinishStop, PromptTokens: 1, CompletionTokens: 2}}
	b, open := same(held), false
	b.retrieve = func(ctx context.Context, id string) (*Answer, *Call, error) {
		if ctx.Value(keyed{}) != "me" || id != "resp_held1" {
			return nil, nil, &Fault{Status: 404, Message: "not yours"}
		}
		call := &Call{ID: "resp_other", Model: "small:rl", Arrived: time.Unix(1e9, 0), Requests: []llm.Request{{Temperature: .5, TopP: .25}}}
		if open {
			return &decided, call, nil
		}
		return &held, call, nil
	}
	who := "me"
	s := serverOf(t, b, func(o *Options) {
		o.Models = append(o.Models, Model{Name: "another", Backend: same(Answer{})}, Model{Name: "one more", Backend: b})
		o.Admit = func(r *http.Request) (context.Context, func(), error) {
			return context.WithValue(r.Context(), keyed{}, who), nil, nil
		}
	})
	if len(s.retrievers) != 2 {
		t.Errorf("%d retrievers", len(s.retrievers))
	}
	c := client(t, s)
	input := responses.ResponseNewParamsInputUnion{OfString: param.NewOpt("a")}
	first, err := c.Responses.New(t.Context(), responses.ResponseNewParams{Model: "small:rl", Input: input})
	if err != nil || first.Status != "in_progress" || len(first.Output) != 0 || first.ID != "resp_held1" {
		t.Fatalf("%v, %s", err, first.RawJSON())
	}
	events := c.Responses.NewStreaming(t.Context(), responses.ResponseNewParams{Model: "small:rl", Input: input})
	last := ""
	for events.Next() {
		last = events.Current().Type
	}
	if events.Err() != nil || last != "response.in_progress" {
		t.Errorf("%v, the last event is %s", events.Err(), last)
	}
	again, err := c.Responses.Get(t.Context(), first.ID, responses.ResponseGetParams{})
	if err != nil || again.Status != "in_progress" || strings.Contains(again.RawJSON(), "hidden") {
		t.Errorf("%v, %s", err, again.RawJSON())
	}
	open = true
	again, err = c.Responses.Get(t.Context(), first.ID, responses.ResponseGetParams{})
	if err != nil || again.Status != "completed" || again.OutputText() != "shown" || again.ID != first.ID || again.CreatedAt != 1e9 || again.Temperature != .5 || again.TopP != .25 || again.Usage.TotalTokens != 3 {
		t.Errorf("%v, %s", err, again.RawJSON())
	}
	who = "another"
	_, err = c.Responses.Get(t.Context(), first.ID, responses.ResponseGetParams{})
	var told *openaigo.Error
	if !errors.As(err, &told) || told.StatusCode != 404 || !strings.Contains(told.Message, "resp_held1") {
		t.Errorf("somebody else's: %v", err)
	}
	for path, want := range map[string]int{"/v1/responses/resp_held1?stream=true": 400, "/v1/responses/resp_held1/cancel": 404, "/v1/responses/": 404} {
		w := httptest.NewRecorder()
		s.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		if w.Code != want {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
}

type keyed struct{}

// Calls say what is asked, and what admission found out reaches the backend.
func TestCall(t *testing.T) {
	var got *Call
	b := &scripted{answer: func(ctx context.Context, c *Call) (*Answers, error) {
		got = c
		if ctx.Value(keyed{}) != "me" {
			t.Error("the context is not that of admission")
		}
		for _, r := range c.Requests {
			if err := r.Validate(); err != nil || r.ID != c.ID {
				t.Errorf("%+v: %v", r, err)
			}
		}
		return &Answers{Answers: make([]Answer, len(c.Requests))}, nil
	}}
	done := 0
	now := time.Unix(2e9, 0)
	s := serverOf(t, b, func(o *Options) {
		o.Clock = func() time.Time { return now }
		o.Models[0].Name = "first"
		o.Models = append(o.Models, Model{Name: "second", Backend: b})
		o.Admit = func(r *http.Request) (context.Context, func(), error) {
			return context.WithValue(r.Context(), keyed{}, "me"), func() { done++ }, nil
		}
	})
	for _, test := range []struct {
		path, body, protocol, model, prefix string
		requests, n                         int
		stream                              bool
	}{
		{"/v1/chat/completions", `{"messages":[{"role":"user","content":"a"}],"n":3,"model":"second"}`, "chat", "second", "chatcmpl-", 3, 3, false},
		{"/v1/completions", `{"prompt":["a","b"],"n":2,"stream":true}`, "completions", "first", "cmpl-", 4, 2, true},
		{"/v1/responses", `{"input":"a"}`, "responses", "first", "resp_", 1, 1, false},
	} {
		got = nil
		if w := post(s, test.path, test.body); w.Code != 200 || got == nil {
			t.Fatalf("%s: %d %s", test.path, w.Code, w.Body)
		}
		if got.Protocol != test.protocol || got.Model != test.model || got.N != test.n || len(got.Requests) != test.requests || got.Stream != test.stream || !strings.HasPrefix(got.ID, test.prefix) || !got.Arrived.Equal(now) {
			t.Errorf("%s: %+v", test.path, got)
		}
	}
	if done != 3 {
		t.Errorf("admission was told of %d ends, want 3", done)
	}
}

// Of an error that is no Fault nobody learns the words: they may be a model's thoughts.
func TestErrorsKeepQuiet(t *testing.T) {
	for _, test := range []struct {
		err    error
		status int
	}{
		{errors.New("SECRET"), 500}, {fmt.Errorf("SECRET: %w", llm.ErrInvalid), 400}, {&llm.RequestError{Err: errors.New("SECRET")}, 400},
		{&llm.TransientError{Err: errors.New("SECRET")}, 503}, {&llm.TransientError{Overloaded: true, Err: errors.New("SECRET")}, 429},
		{fmt.Errorf("SECRET: %w", context.DeadlineExceeded), 504}, {fmt.Errorf("wrapped SECRET: %w", &Fault{Status: 422, Message: "said"}), 422},
	} {
		b := &scripted{answer: func(context.Context, *Call) (*Answers, error) { return nil, test.err }}
		for ask, w := range all(serverOf(t, b, nil), ``) {
			if told(t, w); w.Code != test.status || strings.Contains(w.Body.String(), "SECRET") {
				t.Errorf("%v, %s: %d %s", test.err, ask, w.Code, w.Body)
			}
		}
	}
	for _, n := range []int{0, 2} {
		b := &scripted{answer: func(context.Context, *Call) (*Answers, error) { return &Answers{Answers: make([]Answer, n)}, nil }}
		for ask, w := range all(serverOf(t, b, nil), ``) {
			if told(t, w); w.Code != 500 {
				t.Errorf("%d answers, %s: %d", n, ask, w.Code)
			}
		}
	}
}

// Typed errors are what OpenAI's client makes of statuses.
func TestTyped(t *testing.T) {
	b := &scripted{answer: func(context.Context, *Call) (*Answers, error) {
		return nil, &Fault{Status: 429, Message: "too many", Param: "n", Code: "rate_limit_exceeded", After: 1500 * time.Millisecond}
	}}
	c := client(t, serverOf(t, b, nil))
	_, err := c.Chat.Completions.New(t.Context(), openaigo.ChatCompletionNewParams{Model: "small:rl", Messages: user("a")})
	var told *openaigo.Error
	if !errors.As(err, &told) || told.StatusCode != 429 || told.Code != "rate_limit_exceeded" || told.Type != "rate_limit_error" || told.Param != "n" || told.Message != "too many" || told.Response.Header.Get("Retry-After") != "2" {
		t.Errorf("%v", err)
	}
}

func TestReady(t *testing.T) {
	var why error
	s := newServer(t, words(), func(o *Options) { o.Ready = func(context.Context) error { return why } })
	ask := func(path string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		s.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		return w
	}
	if w := ask("/readyz"); w.Code != 200 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	why = errors.New("the disk is full")
	if w := ask("/readyz"); w.Code != 503 || !strings.Contains(w.Body.String(), "the disk is full") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := ask("/healthz"); w.Code != 200 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// What is mounted is reached without a key; below /v1 nothing else answers.
func TestHandle(t *testing.T) {
	s := newServer(t, words(), func(o *Options) { o.Admit = AdmitKey("k") })
	s.Handle("GET /page/{id}", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "page ", r.PathValue("id"))
	}))
	s.Handle("GET /", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "root") }))
	s.Handle("GET /v1/stolen", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "stolen") }))
	for ask, want := range map[string]string{
		"GET /page/7": "page 7", "GET /": "root", "GET /x": "root", "POST /page/7": "there is nothing at", "GET /v1/stolen": "there is nothing at",
		"GET /v1": "there is nothing at", "GET /v1/models": "wants its API key", "GET /healthz": "ok",
	} {
		method, path, _ := strings.Cut(ask, " ")
		w := httptest.NewRecorder()
		s.ServeHTTP(w, httptest.NewRequest(method, path, nil))
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s: %d %s", ask, w.Code, w.Body)
		}
		if w.Code >= 400 {
			told(t, w)
		}
	}
}

// A batch is a generator like any other.
func TestBatchConforms(t *testing.T) {
	llmtest.Run(t, func(t *testing.T) llm.Generator { return NewBatch(t.Context(), words()) },
		llmtest.Options{Prompts: []string{"count on from a", "and c", "k"}, NoBans: true})
}

// A request that is at fault is named by its place among its caller's.
func TestBatchFault(t *testing.T) {
	b := NewBatch(t.Context(), picky{words()})
	request := func(text string) llm.Request {
		return llm.Request{ID: text, Messages: []llm.Message{{Role: llm.User, Text: text}}, MaxTokens: 1}
	}
	_, err := b.Generate(t.Context(), []llm.Request{request("a"), request("b"), request("zebra")})
	var one *llm.RequestError
	if !errors.As(err, &one) || one.Index != 2 || one.ID != "zebra" {
		t.Errorf("%v", err)
	}
}

// Answers' names are different.
func TestNames(t *testing.T) {
	s := newServer(t, words(), func(o *Options) { o.Random = rng.New(5) })
	have := map[string]bool{}
	for range 1000 {
		name := s.name("resp_")
		if have[name] || len(name) != len("resp_")+16 {
			t.Fatalf("the name %q", name)
		}
		have[name] = true
	}
}
