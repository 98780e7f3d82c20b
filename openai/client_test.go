package openai

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"candor/reasoning/llm"
)

func TestBaseURL(t *testing.T) {
	for in, want := range map[string]string{
		"http://localhost:8000":                           "http://localhost:8000/v1",
		"http://localhost:8000/":                          "http://localhost:8000/v1",
		"http://localhost:8000/v1":                        "http://localhost:8000/v1",
		" http://localhost:8000/v1/ ":                     "http://localhost:8000/v1",
		"http://localhost:8000/v1/chat/completions":       "http://localhost:8000/v1",
		"https://openrouter.ai/api/v1":                    "https://openrouter.ai/api/v1",
		"https://host/some/proxy":                         "https://host/some/proxy/v1",
		"https://api.deepseek.com/beta":                   "https://api.deepseek.com/beta",
		"https://host/v1beta/openai/":                     "https://host/v1beta/openai",
		"https://host/api/paas/v4":                        "https://host/api/paas/v4",
		"https://host/openai/v1?api-version=2025&sig=abc": "https://host/openai/v1",
		"http://[::1]:8080":                               "http://[::1]:8080/v1",
	} {
		c, err := NewClient(Options{BaseURL: in})
		if err != nil || c.BaseURL() != want {
			t.Errorf("%q: %v, want %s", in, err, want)
		}
	}
	for in, want := range map[string]string{
		"":                              "is empty",
		"localhost:8000/v1":             "does not begin with http://",
		"api.openai.com":                "does not begin with http://",
		"ftp://host":                    "does not begin with http://",
		"http://":                       "names no host",
		"http:///v1":                    "names no host",
		"http://user:hunter2@host/v1":   "give the key apart",
		"http://user:hunter2@ho st/v1":  "cannot be read",
		"https://user:hunter2@host:x/1": "cannot be read",
	} {
		_, err := NewClient(Options{BaseURL: in})
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: %v, want %s", in, err, want)
		}
	}
}

func TestBadOptions(t *testing.T) {
	for want, o := range map[string]Options{
		"not copied cleanly": {Key: "sk-secret\n"},
		"cannot be sent":     {Headers: map[string]string{"X-Key": "sk-secret\r\nEvil: 1"}},
		"timeout is":         {Timeout: -1},
	} {
		o.BaseURL = "http://localhost"
		if _, err := NewClient(o); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// However a server gives the key back, errors do not tell it.
func TestKeysAreRedacted(t *testing.T) {
	const key, team = "sk-a/b+c0123456789", "team-9876543210"
	body := ""
	status := 400
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", "http://elsewhere/?key="+key)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
	defer server.Close()
	c, err := NewClient(Options{BaseURL: server.URL + "/v1?key=" + key, Key: key, Headers: map[string]string{"api-key": team, "X-Auth": "Token " + team + "x"}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	escaped, _ := json.Marshal("no: " + key + " " + team)
	for _, body = range []string{
		key + team,
		strings.Repeat("x", 190) + key + team,
		`{"error":{"message":` + string(escaped) + `,"code":"` + key + `"}}`,
		`{"error":{"message":"` + strings.ReplaceAll(key, "/", `\/`) + `","type":"` + team + `"}}`,
		`{"error":` + string(escaped) + `}`,
		`["` + strings.ReplaceAll(key, "/", `\/`) + `"]`,
		`data: {"error":{"message":` + string(escaped) + `}}` + "\n\n",
		`data: no JSON ` + key + team + "\n\n",
		`{"detail":"sk-a%2Fb%2Bc0123456789"}`,
		"<html>" + key + team + "x",
	} {
		for _, status = range []int{200, 307, 400, 401, 429, 500} {
			_, err := c.Chat(t.Context(), ChatRequest{Model: "m"})
			if err == nil {
				t.Fatalf("%s: no error", body)
			}
			var e *Error
			if !errors.As(err, &e) {
				t.Fatalf("%s: %v", body, err)
			}
			data, _ := json.Marshal(e)
			for _, text := range []string{err.Error(), string(data)} {
				if strings.Contains(text, "0123456789") || strings.Contains(text, "sk-a") || strings.Contains(text, "9876543210") {
					t.Errorf("status %d, body %s: %s", status, body, text)
				}
			}
		}
	}
}

// The key is sent to the server that it is for, and nowhere else.
func TestNoRedirects(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a redirection was followed") }))
	defer elsewhere.Close()
	server := httptest.NewServer(http.RedirectHandler(elsewhere.URL, http.StatusPermanentRedirect))
	defer server.Close()
	c, _ := NewClient(Options{BaseURL: server.URL, Key: "sk-0123456789", HTTP: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}})
	_, err := c.Models(t.Context())
	if OutcomeOf(err) != HTTPStatus || !strings.Contains(err.Error(), elsewhere.URL) {
		t.Errorf("%v", err)
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, tc := range []struct {
		ms, after string
		want      time.Duration
	}{
		{"", "", 0},
		{"", "3", 3 * time.Second},
		{"", "0.25", 250 * time.Millisecond},
		{"1500", "3", 1500 * time.Millisecond},
		{"", "-3", 0},
		{"", "NaN", 0},
		{"", "Inf", 0},
		{"", "1e300", 24 * time.Hour},
		{"", "soon", 0},
		{"", "Sun, 01 Mar 2026 12:00:20 GMT", 20 * time.Second},
		{"", "Sun, 01 Mar 2026 11:00:00 GMT", 0},
		{"", "Sun, 01 Mar 2099 12:00:00 GMT", 24 * time.Hour},
	} {
		h := http.Header{}
		h.Set("Retry-After", tc.after)
		if tc.ms != "" {
			h.Set("Retry-After-Ms", tc.ms)
		}
		if got := retryAfter(h, func() time.Time { return now }); got != tc.want {
			t.Errorf("%q %q: %v, want %v", tc.ms, tc.after, got, tc.want)
		}
	}
	h := http.Header{"Retry-After": {"Sun, 01 Mar 2026 12:00:20 GMT"}}
	if got := retryAfter(h, nil); got != 0 {
		t.Errorf("without a clock: %v", got)
	}
}

// What servers say of an error decides whether it may pass.
func TestWorthAnotherTry(t *testing.T) {
	for _, tc := range []struct {
		status                int
		body, header          string
		transient, overloaded bool
	}{
		{400, `{"error":{"message":"m"}}`, "", false, false},
		{401, ``, "", false, false},
		{404, `{"detail":"Not Found"}`, "", false, false},
		{408, ``, "", true, false},
		{409, ``, "", true, false},
		{422, `{"detail":[{"msg":"m"}]}`, "", false, false},
		{429, `{"error":{"message":"m","code":"rate_limit_exceeded"}}`, "", true, true},
		{429, `{"error":{"message":"m","code":"insufficient_quota"}}`, "", false, false},
		{429, ``, "false", false, false},
		{500, ``, "", true, false},
		{501, ``, "", false, false},
		{502, `<html>`, "", true, false},
		{503, ``, "", true, true},
		{524, ``, "", true, false},
		{529, `{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}`, "", true, true},
		{200, `{"error":{"message":"m","code":429}}`, "", true, true},
		{200, `{"error":{"message":"m","code":"502"}}`, "", true, false},
		{200, `{"error":{"message":"m","code":400}}`, "", false, false},
		{200, `{"error":{"message":"m"}}`, "", false, false},
		{200, `{"error":"m"}`, "", false, false},
		{200, `[{"error":{"message":"m","status":"UNAVAILABLE","code":503}}]`, "", true, true},
		{200, `{"object":"error","message":"m","type":"InternalServerError","code":500}`, "", true, false},
		{200, "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}\n\n", "", true, true},
		{200, "data: {\"error\":{\"message\":\"m\"}}\n\n", "", true, false},
		{200, "error: {\"code\":500,\"message\":\"m\",\"type\":\"server_error\"}\n\n", "", true, false},
		{200, "data: {\"error\":{\"message\":\"m\",\"type\":\"invalid_request_error\"}}\n\n", "", false, false},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if tc.header != "" {
				w.Header().Set("X-Should-Retry", tc.header)
			}
			w.Header().Set("Content-Type", "application/json")
			if strings.Contains(tc.body, ": {") && tc.body[0] != '{' {
				w.Header().Set("Content-Type", "text/event-stream")
			}
			w.WriteHeader(tc.status)
			_, _ = io.WriteString(w, tc.body)
		}))
		c, _ := NewClient(Options{BaseURL: server.URL})
		_, err := c.Chat(t.Context(), ChatRequest{})
		var again *llm.TransientError
		if passes := errors.As(err, &again); err == nil || passes != tc.transient || passes && again.Overloaded != tc.overloaded {
			t.Errorf("%d %s: %v (worth another try: %v, %+v)", tc.status, tc.body, err, passes, again)
		}
		c.Close()
		server.Close()
	}
}

// replay returns a client of a server that answers everything in the same way.
func replay(t testing.TB, media, body string) *Client {
	c, err := NewClient(Options{BaseURL: "http://host", HTTP: &http.Client{Transport: answering(func() *http.Response {
		return &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {media}}, Body: io.NopCloser(strings.NewReader(body))}
	})}})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

type answering func() *http.Response

func (a answering) RoundTrip(*http.Request) (*http.Response, error) { return a(), nil }

// Shapes of answers that some server has.
func TestOddAnswers(t *testing.T) {
	for _, tc := range []struct{ name, media, body, want string }{
		{"no content type", "", `{"choices":[{"message":{"content":"4"}}]}`, "4"},
		{"no content type, streamed", "", "data: {\"choices\":[{\"delta\":{\"content\":\"4\"}}]}\n\ndata: [DONE]", "4"},
		{"comment first", "text/plain", ": hi\n\ndata: {\"choices\":[{\"delta\":{\"content\":\"4\"}}]}\n\ndata:[DONE]\n", "4"},
		{"byte order mark", "application/json", "\ufeff{\"choices\":[{\"message\":{\"content\":\"4\"}}]}", "4"},
		{"parts", "application/json", `{"choices":[{"message":{"content":[{"type":"text","text":"4"}]}}]}`, "4"},
		{"null content", "application/json", `{"choices":[{"message":{"content":null}}]}`, ""},
		{"a last event without an empty line", "text/event-stream", "data: {\"choices\":[{\"delta\":{\"content\":\"4\"},\"finish_reason\":\"stop\"}]}", "4"},
		{"half an event behind the end", "text/event-stream", "data: {\"choices\":[{\"delta\":{\"content\":\"4\"},\"finish_reason\":\"stop\"}]}\n\ndata: {\"usa", "4"},
		{"lone surrogates", "application/json", `{"choices":[{"message":{"content":"\ud83d4"}}]}`, "\ufffd4"},
	} {
		r, err := replay(t, tc.media, tc.body).Chat(t.Context(), ChatRequest{})
		if err != nil || r.Choices[0].Message.Content.Text != tc.want {
			t.Errorf("%s: %+v, %v", tc.name, r, err)
		}
	}
	for want, body := range map[Outcome]string{
		NotAnAnswer: `{"choices":[{"message":{"content":7}}]}`,
		ErrorIn200:  `{"choices":"none","error":{"message":"m"}}`,
		NotJSON:     `{"choices":[`,
	} {
		if r, err := replay(t, "application/json", body).Chat(t.Context(), ChatRequest{}); OutcomeOf(err) != want {
			t.Errorf("%s: %+v, %v, want %s", body, r, err, want)
		}
	}
	_, err := replay(t, "application/x-ndjson", "{\"response\":\"a\"}\n{\"done\":true}\n").Chat(t.Context(), ChatRequest{})
	if OutcomeOf(err) != WrongContentType || !strings.Contains(err.Error(), "Ollama") {
		t.Errorf("%v", err)
	}
	if list, err := replay(t, "application/json", `[{"id":"a"},{"id":"b"}]`).Models(t.Context()); err != nil || len(list.Data) != 2 {
		t.Errorf("%+v, %v", list, err)
	}
}

// The bound on a stream holds for its text and for what is read.
func TestStreamBounds(t *testing.T) {
	c := replay(t, "text/event-stream", strings.Repeat("data: {\"choices\":[]}\n\n", 100)+"data: [DONE]\n\n")
	c.maxRead = 1000
	if _, err := c.Chat(t.Context(), ChatRequest{}); OutcomeOf(err) != TooLarge {
		t.Errorf("%v", err)
	}
	many := strings.Builder{}
	for i := range maxChoices + 1 {
		data, _ := json.Marshal(map[string]any{"choices": []any{map[string]any{"index": i}}})
		many.WriteString("data: " + string(data) + "\n\n")
	}
	if _, err := replay(t, "text/event-stream", many.String()).Chat(t.Context(), ChatRequest{}); OutcomeOf(err) != TooLarge {
		t.Errorf("%v", err)
	}
}

// Whatever a server sends as a chat completion, in one piece or streamed, gives a whole answer or a fault, and chunks handed on
// assemble to what is returned.
func FuzzChat(f *testing.F) {
	f.Add(true, `data: {"id":"a","choices":[{"index":0,"delta":{"content":"4","reasoning":"2"}}]}`+"\n\n"+`data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":{"completion_tokens":3}}`+"\n\ndata: [DONE]\n\n")
	f.Add(true, `data: {"choices":[{"index":1,"delta":{"content":[{"type":"thinking","thinking":[{"type":"text","text":"a"}]},{"type":"text","text":"b"}]},"logprobs":{"content":[{"token":"a","logprob":-1,"bytes":[97]}]}}]}`+"\n\ndata: [DONE]")
	f.Add(true, `data: {"error":{"message":"x","code":503}}`+"\n\n")
	f.Add(false, `{"choices":[{"message":{"content":"<think>a</think>b","reasoning_details":[{"type":"reasoning.encrypted","data":"x"}],"tool_calls":[{}]},"finish_reason":"length"}]}`)
	f.Add(false, `[{"error":{"message":"x"}}]`)
	caps := Capabilities{API: ChatAPI, Reasoning: ThinkTags, Provenance: llm.Raw, Continue: NoContinue, LogProbs: true}
	f.Fuzz(func(t *testing.T, stream bool, body string) {
		media := "application/json"
		if stream {
			media = "text/event-stream"
		}
		c := replay(t, media, body)
		var again ChatCollector
		r, err := c.ChatStream(t.Context(), ChatRequest{}, func(chunk *ChatChunk) error {
			again.Add(chunk)
			return nil
		})
		if err != nil {
			if OutcomeOf(err) == "" || strings.ContainsAny(err.Error(), "\n\r\x1b\x00") {
				t.Errorf("error %q", err)
			}
		} else if len(r.Choices) == 0 {
			t.Error("an answer without choices")
		} else if got := again.Response(); stream && !reflect.DeepEqual(got, r) {
			t.Errorf("assembled %+v, returned %+v", got, r)
		}
		g, _ := NewGenerator(c, "m", caps)
		out, err2 := g.Generate(context.Background(), []llm.Request{{Messages: []llm.Message{{Role: llm.User, Text: "q"}}, MaxTokens: 9, LogProbs: true, Stop: []string{"."}}})
		if err2 == nil && err != nil || err2 != nil && err == nil && OutcomeOf(err2) != ToolCall {
			t.Errorf("the client said %v, the generator %v", err, err2)
		}
		if err2 == nil {
			checkCompletion(t, out[0])
		}
	})
}

// checkCompletion checks what holds of any completion.
func checkCompletion(t *testing.T, c llm.Completion) {
	t.Helper()
	var spelled strings.Builder
	for _, token := range c.Tokens {
		spelled.WriteString(token.Text)
	}
	if len(c.Tokens) > 0 && spelled.String() != c.Text {
		t.Errorf("tokens spell %q, the text is %q", spelled.String(), c.Text)
	}
	if strings.Contains(c.Text, ".") {
		t.Errorf("the stop text is part of %q", c.Text)
	}
	hidden := c.Provenance == llm.Absent || c.Provenance == llm.Encrypted || c.Provenance == ""
	if hidden && strings.TrimSpace(c.Reasoning) != "" {
		t.Errorf("%s thoughts are shown: %q", c.Provenance, c.Reasoning)
	}
}

// The same for responses.
func FuzzResponses(f *testing.F) {
	f.Add(false, `{"id":"r","status":"completed","output":[{"type":"reasoning","summary":[{"type":"summary_text","text":"s"}],"encrypted_content":"x"},{"type":"message","content":[{"type":"output_text","text":"4","logprobs":[{"token":"4","logprob":-0.5}]}]}],"usage":{"output_tokens":3,"output_tokens_details":{"reasoning_tokens":2}}}`)
	f.Add(false, `{"status":"incomplete","incomplete_details":{"reason":"max_output_tokens"},"output":[{"type":"message","content":"4"}]}`)
	f.Add(true, `data: {"type":"response.output_text.delta","output_index":1,"delta":"4"}`+"\n\n"+`data: {"type":"response.reasoning_summary_text.delta","summary_index":1,"delta":"s"}`+"\n\n"+`data: {"type":"response.completed","response":{"output":[]}}`+"\n\n")
	f.Add(true, `data: {"type":"response.failed","response":{"status":"failed","error":{"code":"server_error","message":"m"}}}`+"\n\n")
	caps := Capabilities{API: ResponsesAPI, Reasoning: ResponsesItems, Provenance: llm.Raw, Continue: NoContinue, LogProbs: true}
	f.Fuzz(func(t *testing.T, stream bool, body string) {
		media := "application/json"
		if stream {
			media = "text/event-stream"
		}
		g, _ := NewGenerator(replay(t, media, body), "m", caps)
		out, err := g.Generate(context.Background(), []llm.Request{{Messages: []llm.Message{{Role: llm.User, Text: "q"}}, MaxTokens: 9, LogProbs: true, Stop: []string{"."}}})
		if err == nil {
			checkCompletion(t, out[0])
		} else if OutcomeOf(err) == "" || strings.ContainsAny(err.Error(), "\n\r\x1b\x00") {
			t.Errorf("error %q", err)
		}
	})
}
