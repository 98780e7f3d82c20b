package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"candor/openai"
	"candor/reasoning/llm"
)

// told reads an error's answer and fails unless it has OpenAI's shape.
func told(t *testing.T, w *httptest.ResponseRecorder) openai.ErrorDetail {
	t.Helper()
	var b openai.ErrorBody
	if err := json.Unmarshal(w.Body.Bytes(), &b); err != nil || b.Error.Message == "" || b.Error.Type == "" || w.Header().Get("Content-Type") != "application/json" {
		t.Errorf("status %d with %s (%v)", w.Code, w.Body, err)
	}
	if len(w.Body.Bytes()) > 4096 {
		t.Errorf("the error has %d bytes", w.Body.Len())
	}
	return b.Error
}

func TestRefused(t *testing.T) {
	chat := func(fields string) string { return `{"messages":[{"role":"user","content":"a"}],` + fields + `}` }
	messages := func(list string) string { return `{"messages":` + list + `}` }
	const cc, c, rs = "/v1/chat/completions", "/v1/completions", "/v1/responses"
	for _, test := range []struct {
		path, body string
		status     int
		param      string
		says       string
	}{
		{cc, ``, 400, "", "not valid JSON"},
		{cc, `{`, 400, "", "not valid JSON"},
		{cc, `{} {}`, 400, "", "not valid JSON"},
		{cc, `[1]`, 400, "", "must be an object"},
		{cc, `"a"`, 400, "", "must be an object"},
		{cc, `null`, 400, "messages", "at least one message"},
		{cc, strings.Repeat("[", 100_000), 400, "", "in one another"},
		{cc, `{"messages":` + strings.Repeat(`[`, 20_000) + strings.Repeat(`]`, 20_000) + `}`, 400, "", "in one another"},
		{cc, `{"messages":"` + strings.Repeat("a", 4<<20) + `"}`, 413, "", "longer than 4194304"},
		{cc, `{"messages":[` + strings.Repeat(`{},`, maxValues) + `{}]}`, 400, "", "more than 100000 values"},
		{cc, `{"messages":` + strings.Repeat(`{"a":`, maxDepth), 400, "", "in one another"},
		{cc, messages("[{\"role\":\"user\",\"content\":\"\xc3\x28\"}]"), 400, "", "not UTF-8"},
		{cc, messages(`[]`), 400, "messages", "at least one"},
		{cc, messages(`{}`), 400, "messages", "a list"},
		{cc, messages(`[3]`), 400, "messages", "an object"},
		{cc, messages(`[{"role":7}]`), 400, "messages.role", "a string"},
		{cc, messages(`[{"role":"user","content":7}]`), 400, "messages.0.content", "a string or a list"},
		{cc, messages(`[{"role":"user","content":{"text":"a"}}]`), 400, "messages.0.content", "a string or a list"},
		{cc, messages(`[{"role":"user","content":"a"},{"role":"user","content":[{"type":"image_url","image_url":{}}]}]`), 400, "messages.1.content", "image_url"},
		{cc, messages(`[{"role":"user","content":[{"type":"text"}]}]`), 400, "messages.0.content", "have a text"},
		{cc, messages(`[{"role":"tool","content":"a"}]`), 400, "messages.0.role", "system, developer, user, assistant"},
		{cc, messages(`[{"content":"a"}]`), 400, "messages.0.role", "must be one of"},
		{cc, messages(`[{"role":"assistant","content":""}]`), 400, "messages", "no text"},
		{cc, messages(`[{"role":"assistant","content":"a","prefix":true},{"role":"user","content":"b"}]`), 400, "messages.0", "cannot be carried on"},
		{cc, chat(`"continue_final_message":true`), 400, "messages.0", "cannot be carried on"},
		{cc, `{"messages":[{"role":"assistant","content":"a"}],"continue_final_message":true,"add_generation_prompt":true}`, 400, "add_generation_prompt", "set one"},
		{cc, chat(`"temperature":"hot"`), 400, "temperature", "a number"},
		{cc, chat(`"temperature":-1`), 400, "temperature", "between 0 and 100"},
		{cc, chat(`"temperature":1e999`), 400, "temperature", "number"},
		{cc, chat(`"top_p":0`), 400, "top_p", "above 0"},
		{cc, chat(`"top_p":1.5`), 400, "top_p", "at most 1"},
		{cc, chat(`"top_k":-2`), 400, "top_k", "at least 1"},
		{cc, chat(`"top_k":1.5`), 400, "top_k", "a whole number"},
		{cc, chat(`"max_tokens":0`), 400, "max_tokens", "at least 1"},
		{cc, chat(`"max_completion_tokens":-3`), 400, "max_completion_tokens", "at least 1"},
		{cc, chat(`"max_tokens":1e30`), 400, "max_tokens", "a whole number"},
		{cc, chat(`"n":0`), 400, "n", "between 1 and 128"},
		{cc, chat(`"n":1000000000`), 400, "n", "between 1 and 128"},
		{cc, chat(`"seed":99999999999999999999`), 400, "seed", "64 bits"},
		{cc, chat(`"stop":3`), 400, "stop", "a string or a list"},
		{cc, chat(`"stop":[""]`), 400, "stop", "1 to 1000"},
		{cc, chat(`"stop":["a",3]`), 400, "stop", "a string or a list"},
		{cc, chat(`"stop":[` + strings.Repeat(`"a",`, 20) + `"a"]`), 400, "stop", "at most 16"},
		{cc, chat(`"stop":"` + strings.Repeat("a ", 1000) + `"`), 400, "stop", "1 to 1000"},
		{cc, chat(`"stream":"yes"`), 400, "stream", "true or false"},
		{cc, chat(`"stream_options":7`), 400, "stream_options", "an object"},
		{cc, chat(`"logprobs":1`), 400, "logprobs", "true or false"},
		{cc, chat(`"top_logprobs":5`), 400, "top_logprobs", "only the sampled"},
		{cc, chat(`"tools":[{"type":"function"}]`), 400, "tools", "not supported"},
		{cc, chat(`"response_format":{"type":"json_object"}`), 400, "response_format", "not supported"},
		{cc, chat(`"presence_penalty":0.5`), 400, "presence_penalty", "not supported"},
		{cc, chat(`"logit_bias":{"3":-100}`), 400, "logit_bias", "not supported"},
		{cc, chat(`"model":"gpt-9"`), 404, "model", `there is "small:rl"`},
		{cc, chat(`"model":"` + strings.Repeat("x", 100_000) + `"`), 404, "model", "100000 bytes"},
		{cc, chat(`"model":3`), 400, "model", "a string"},
		{cc, messages(`[{"role":"user","content":"` + strings.Repeat("a ", 33) + `"}]`), 400, "", "33 words"},
		{cc, messages(`[{"role":"user","content":"a zebra"}]`), 400, "", `the model does not know the word "zebra"`},
		{c, `{}`, 400, "prompt", "a string"},
		{c, `{"prompt":[]}`, 400, "prompt", "at least one"},
		{c, `{"prompt":["a",""]}`, 400, "prompt", "prompt 1 is empty"},
		{c, `{"prompt":[1,2]}`, 400, "prompt", "a string or a list of strings"},
		{c, `{"prompt":"a","logprobs":9}`, 400, "logprobs", "between 0 and 5"},
		{c, `{"prompt":"a","logprobs":true}`, 400, "logprobs", "a whole number"},
		{c, `{"prompt":"a","echo":true}`, 400, "echo", "not supported"},
		{c, `{"prompt":"a","suffix":"b"}`, 400, "suffix", "not supported"},
		{c, `{"prompt":"a","best_of":2}`, 400, "best_of", "not supported"},
		{c, `{"prompt":[` + strings.Repeat(`"a",`, 20) + `"a"],"n":128}`, 400, "prompt", "2048"},
		{c, `{"prompt":"zebra","stream":true}`, 400, "", "zebra"},
		{rs, `{}`, 400, "input", "a string"},
		{rs, `{"input":[]}`, 400, "input", "at least one"},
		{rs, `{"input":[{"type":"function_call_output"}]}`, 400, "input.0.type", "messages alone"},
		{rs, `{"input":"a","previous_response_id":"resp-1"}`, 400, "previous_response_id", "not supported"},
		{rs, `{"input":"a","background":true}`, 400, "background", "not supported"},
		{rs, `{"input":"a","text":{"format":{"type":"json_schema"}}}`, 400, "text.format", "text alone"},
		{rs, `{"input":"a","max_output_tokens":0}`, 400, "max_output_tokens", "at least 1"},
		{rs, `{"input":"a","n":2}`, 400, "n", "one output"},
		{"/v1/embeddings", `{}`, 404, "", "/v1/chat/completions"},
		{"/v1/models", `{}`, 405, "", "answers GET, not"},
	} {
		w := post(newServer(t, picky{words()}, nil), test.path, test.body)
		d := told(t, w)
		if w.Code != test.status || d.Param != test.param || !strings.Contains(d.Message, test.says) {
			t.Errorf("%s %.120s\ngave %d, param %q: %s\nwant %d, param %q: %s", test.path, test.body, w.Code, d.Param, d.Message, test.status, test.param, test.says)
		}
	}
}

// Fields that are unknown, null or ask for nothing, and the forms in which clients write the others, are all taken.
func TestAccepted(t *testing.T) {
	for path, bodies := range map[string][]string{
		"/v1/chat/completions": {
			`"user":"me","store":false,"min_p":0.1,"whatever":[{}]`,
			`"temperature":null,"top_p":null,"top_k":null,"n":null,"seed":null,"stop":null,"stream":null,"stream_options":null,"max_tokens":null,"logprobs":null,"tools":null`,
			`"tools":[],"logit_bias":{ },"presence_penalty":0,"frequency_penalty":0.0,"response_format":{ "type": "text" },"top_logprobs":0,"top_k":-1,"top_p":1`,
			`"max_tokens":2147483648,"seed":-1,"temperature":2,"stop":[]`,
			`"model":"small:rl"`,
		},
		"/v1/completions": {`"best_of":1,"echo":false,"suffix":"","logprobs":1`, `"prompt":["a"]`},
		"/v1/responses":   {`"previous_response_id":null,"text":{"format":{"type":"text"}},"store":true`, `"input":[{"role":"user","content":[{"type":"input_text","text":"a"}]}]`},
	} {
		base := map[string]string{"/v1/chat/completions": `"messages":[{"role":"user","content":"a"}]`, "/v1/completions": `"prompt":"a"`, "/v1/responses": `"input":"a"`}[path]
		for _, fields := range bodies {
			if w := post(newServer(t, words(), nil), path, `{`+base+`,`+fields+`}`); w.Code != 200 {
				t.Errorf("%s %s: %d %s", path, fields, w.Code, w.Body)
			}
		}
	}
}

func TestMethodsAndTypes(t *testing.T) {
	s := newServer(t, words(), nil)
	for _, test := range []struct {
		method, path, kind string
		status             int
	}{
		{"GET", "/v1/chat/completions", "", 405}, {"DELETE", "/v1/models/small:rl", "", 405}, {"HEAD", "/v1/models", "", 200}, {"OPTIONS", "/v1/completions", "", 405},
		{"POST", "/v1/completions", "text/plain", 415}, {"POST", "/v1/completions", "application/x-www-form-urlencoded", 415}, {"POST", "/v1/completions", ";", 415},
		{"POST", "/v1/completions", "", 200}, {"POST", "/v1/completions", "Application/JSON", 200}, {"GET", "/", "", 404}, {"GET", "/v1/models/", "", 200}, {"GET", "/healthz", "", 200},
	} {
		r := httptest.NewRequest(test.method, test.path, strings.NewReader(`{"prompt":"a"}`))
		if test.kind != "" {
			r.Header.Set("Content-Type", test.kind)
		}
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		if w.Code != test.status {
			t.Errorf("%s %s %s: %d, want %d", test.method, test.path, test.kind, w.Code, test.status)
		}
		if w.Code >= 400 {
			told(t, w)
		}
		if w.Code == 405 && w.Header().Get("Allow") == "" {
			t.Errorf("%s %s: no header Allow", test.method, test.path)
		}
	}
}

// broken is a generator that does what do does.
type broken struct {
	do func(ctx context.Context, n int) ([]llm.Completion, error)
}

func (b broken) Generate(ctx context.Context, requests []llm.Request) ([]llm.Completion, error) {
	return b.do(ctx, len(requests))
}

func TestGeneratorFails(t *testing.T) {
	fails := func(err error) func(context.Context, int) ([]llm.Completion, error) {
		return func(context.Context, int) ([]llm.Completion, error) { return nil, err }
	}
	for _, test := range []struct {
		do     func(context.Context, int) ([]llm.Completion, error)
		status int
		says   string
		after  string
	}{
		{fails(errors.New("out of ink")), 500, "the model failed: out of ink", ""},
		{fails(fmt.Errorf("%w: no", llm.ErrInvalid)), 400, "invalid request: no", ""},
		{fails(&llm.RequestError{Index: 0, Err: errors.New("too odd")}), 400, "too odd", ""},
		{fails(&llm.RequestError{Index: 5, Err: errors.New("too odd")}), 400, "too odd", ""},
		{fails(&llm.TransientError{After: 1500 * time.Millisecond, Overloaded: true, Err: errors.New("full")}), 429, "full", "2"},
		{fails(&llm.RequestError{Err: &llm.TransientError{Err: errors.New("later")}}), 503, "later", "1"},
		{fails(fmt.Errorf("sampling: %w", context.Canceled)), 503, "stopping", ""},
		{func(context.Context, int) ([]llm.Completion, error) { panic("bug") }, 500, "panic: bug", ""},
		{func(context.Context, int) ([]llm.Completion, error) { return nil, nil }, 500, "0 completions for 1", ""},
	} {
		w := post(newServer(t, broken{test.do}, nil), "/v1/completions", `{"prompt":"a"}`)
		if d := told(t, w); w.Code != test.status || !strings.Contains(d.Message, test.says) || w.Header().Get("Retry-After") != test.after {
			t.Errorf("%d %s %q, want %d %s %q", w.Code, d.Message, w.Header().Get("Retry-After"), test.status, test.says, test.after)
		}
	}
}

// FuzzBody puts any body to the three endpoints, of a model that calls all tools that it is offered: each answers or refuses, in
// JSON or events, and asks the generator for nothing that is invalid or without bounds.
func FuzzBody(f *testing.F) {
	for _, body := range []string{
		`{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":[{"type":"text","text":"b"}],"prefix":true}],"n":2,"seed":1,"stop":["x"],"logprobs":true}`,
		`{"prompt":["a","b"],"max_tokens":3,"temperature":0.5,"top_p":0.9,"top_k":2,"stream":true,"stream_options":{"include_usage":true}}`,
		`{"input":[{"role":"user","content":[{"type":"input_text","text":"a"}]}],"instructions":"b","include":["message.output_text.logprobs"],"stream":true}`,
		`{"messages":[{"role":"user","content":null}],"tools":[{}],"response_format":{"type":"x"}}`, `{"prompt":"\ud800","stop":"\u0000"}`, `null`,
		`{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":null,"tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"c","content":"b"}],"tools":[{"type":"function","function":{"name":"f","description":"d","parameters":{"type":"object"}}}],"tool_choice":{"type":"function","function":{"name":"f"}}}`,
		`{"input":[{"role":"user","content":"a"},{"type":"function_call","call_id":"c","name":"f","arguments":"{"},{"type":"function_call_output","call_id":"c","output":"b"}],"tools":[{"type":"function","name":"f","parameters":null,"strict":true},{"type":"function","name":"g"}],"tool_choice":"required","stream":true}`,
		`{"messages":[{"role":"assistant","refusal":"no"},{"role":"user","content":[{"type":"refusal","refusal":"x"}]}],"tools":[{"type":"function","function":{"name":"f"}}],"stream":true,"tool_choice":"none"}`, "{\"prompt\":\"\xff\"}", `[]`, `{"n":1e9}`,
	} {
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body string) {
		for _, path := range []string{"/v1/chat/completions", "/v1/completions", "/v1/responses"} {
			asked := 0
			s := newServer(t, checked{t, &asked}, withTools)
			w := post(s, path, body)
			switch {
			case w.Code == 200 && asked == 0, asked > maxAnswers:
				t.Errorf("%s %q: %d with %d requests", path, body, w.Code, asked)
			case w.Code == 200 && strings.HasPrefix(w.Body.String(), "{"):
				if !json.Valid(w.Body.Bytes()) {
					t.Errorf("%s %q: %s", path, body, w.Body)
				}
			case w.Code == 200:
				for _, line := range strings.Split(strings.TrimSpace(w.Body.String()), "\n") {
					data, ok := strings.CutPrefix(line, "data: ")
					if ok && data != "[DONE]" && !json.Valid([]byte(data)) || !ok && line != "" && !strings.HasPrefix(line, "event: ") {
						t.Errorf("%s %q: line %q", path, body, line)
					}
				}
			case w.Code == http.StatusBadRequest || w.Code == http.StatusNotFound:
				told(t, w)
			default:
				t.Errorf("%s %q: %d %s", path, body, w.Code, w.Body)
			}
		}
	})
}

// checked refuses nothing and counts.
type checked struct {
	t     *testing.T
	asked *int
}

func (c checked) Generate(_ context.Context, requests []llm.Request) ([]llm.Completion, error) {
	*c.asked += len(requests)
	out := make([]llm.Completion, len(requests))
	for i, r := range requests {
		if err := r.Validate(); err != nil || r.MaxTokens > served.Context || len(r.Stop) > maxStops || len(r.Tools) > maxTools {
			c.t.Errorf("asked for %+v: %v", r, err)
		}
		out[i] = llm.Completion{Text: r.Prefix + " x", Finish: llm.FinishStop, Tokens: []llm.Token{{Text: r.Prefix + " x"}}}
		for _, tool := range r.Tools {
			out[i].Finish, out[i].Calls = llm.FinishTools, append(out[i].Calls, llm.ToolCall{Name: tool.Name, Arguments: r.Prefix})
		}
	}
	return out, nil
}
