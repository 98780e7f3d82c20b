package openai_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"candor/openai"
	"candor/openai/openaitest"
	"candor/reasoning/llm"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// newClient returns a client that leaves no connections behind.
func newClient(t testing.TB, o openai.Options) *openai.Client {
	t.Helper()
	c, err := openai.NewClient(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func newGenerator(t testing.TB, url string, caps openai.Capabilities) *openai.Generator {
	t.Helper()
	g, err := openai.NewGenerator(newClient(t, openai.Options{BaseURL: url, Timeout: 10 * time.Second}), "test-model", caps)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func ask(text string) llm.Request {
	return llm.Request{ID: "q", Messages: []llm.Message{{Role: llm.User, Text: text}}, MaxTokens: 50, Temperature: 1, Seed: 7}
}

func one(t testing.TB, g *openai.Generator, r llm.Request) llm.Completion {
	t.Helper()
	out, err := g.Generate(t.Context(), []llm.Request{r})
	if err != nil {
		t.Fatal(err)
	}
	return out[0]
}

func both(t *testing.T, f func(t *testing.T, stream bool)) {
	t.Run("whole", func(t *testing.T) { f(t, false) })
	t.Run("stream", func(t *testing.T) { f(t, true) })
}

// Every family's format gives the same thoughts and text, and says of what kind the thoughts are.
func TestFamilies(t *testing.T) {
	reply := openaitest.Reply{Reasoning: "First 2 + 2.\n\nThat is 4, – ≈ 4.", Text: "The answer is 4.\n", Model: "served-model", PromptTokens: 11, CompletionTokens: 22}
	for _, f := range openaitest.Families() {
		t.Run(string(f), func(t *testing.T) {
			both(t, func(t *testing.T, stream bool) {
				s := openaitest.New(t, openaitest.Exchange{Family: f, Reply: reply})
				got := one(t, newGenerator(t, s.URL, f.Capabilities(stream)), ask("2 + 2?"))
				want := llm.Completion{Text: reply.Text, Reasoning: reply.Reasoning, Provenance: llm.Raw, Model: "served-model", Finish: llm.FinishStop, PromptTokens: 11, CompletionTokens: 22}
				switch f {
				case openaitest.OpenAI:
					want.Reasoning, want.Provenance = "", llm.Absent
				case openaitest.Candor:
					want.Reasoning, want.Provenance = "", ""
				}
				if d := cmp.Diff(want, got); d != "" {
					t.Error(d)
				}
			})
		})
	}
}

// A server that shows other thoughts than raw ones says so, or the capabilities do.
func TestProvenance(t *testing.T) {
	details := openaitest.OpenRouter.Capabilities(false)
	items := openai.Capabilities{API: openai.ResponsesAPI, Reasoning: openai.ResponsesItems, Provenance: llm.Summary, Continue: openai.NoContinue}
	field := openaitest.VLLM.Capabilities(false)
	summaries := details
	summaries.Provenance = llm.Summary
	plain := openaitest.Candor.Capabilities(false)
	for _, tc := range []struct {
		name      string
		family    openaitest.Family
		caps      openai.Capabilities
		reply     openaitest.Reply
		fault     openaitest.Fault
		reasoning string
		want      llm.Provenance
	}{
		{"summary details", openaitest.OpenRouter, details, openaitest.Reply{Text: "4", Summary: "It added."}, "", "It added.", llm.Summary},
		{"encrypted details", openaitest.OpenRouter, details, openaitest.Reply{Text: "4", Encrypted: "Z0FB"}, "", "", llm.Encrypted},
		{"summary beside encrypted", openaitest.OpenRouter, details, openaitest.Reply{Text: "4", Summary: "It added.", Encrypted: "Z0FB"}, "", "It added.", llm.Summary},
		{"known to be summaries", openaitest.OpenRouter, summaries, openaitest.Reply{Text: "4", Reasoning: "I added."}, "", "I added.", llm.Summary},
		{"items with a summary", openaitest.OpenAI, items, openaitest.Reply{Text: "4", Summary: "It added."}, "", "It added.", llm.Summary},
		{"encrypted items", openaitest.OpenAI, items, openaitest.Reply{Text: "4", Encrypted: "gAAA"}, "", "", llm.Encrypted},
		{"raw items known to be raw", openaitest.VLLM, openai.Capabilities{API: openai.ResponsesAPI, Reasoning: openai.ResponsesItems, Provenance: llm.Raw, Continue: openai.NoContinue},
			openaitest.Reply{Text: "4", Reasoning: "I added."}, "", "I added.", llm.Raw},
		{"announced items", openaitest.OpenAI, items, openaitest.Reply{Text: "4", ReasoningTokens: 64}, "", "", llm.Absent},
		{"announced", openaitest.OpenAI, plain, openaitest.Reply{Text: "4", ReasoningTokens: 64}, "", "", llm.Absent},
		{"nothing in the field", openaitest.VLLM, field, openaitest.Reply{Text: "4"}, "", "", llm.Absent},
		{"field and tags", openaitest.VLLM, field, openaitest.Reply{Reasoning: "a", Text: "<think>b</think>4"}, "", "a\nb", llm.Leaked},
		{"tags that the parser missed", openaitest.VLLM, field, openaitest.Reply{Text: "<think>\nb\n</think>\n\n4"}, "", "b", llm.Raw},
		{"a lone end that the parser missed", openaitest.VLLM, field, openaitest.Reply{Text: "b\n</think>\n\n4"}, "", "b", llm.Raw},
		{"thoughts behind the text", openaitest.VLLMTags, openaitest.VLLMTags.Capabilities(false), openaitest.Reply{Text: "4<think>b</think>"}, "", "b", llm.Leaked},
		{"no thoughts in the tags", openaitest.VLLMTags, openaitest.VLLMTags.Capabilities(false), openaitest.Reply{Text: "<think>\n\n</think>\n\n4"}, "", "", llm.Raw},
		{"no tags", openaitest.VLLMTags, openaitest.VLLMTags.Capabilities(false), openaitest.Reply{Text: "4"}, "", "", llm.Absent},
		{"marks in the field", openaitest.VLLM, field, openaitest.Reply{Reasoning: "<think>\nb\n</think>", Text: "4"}, "", "b", llm.Raw},
	} {
		t.Run(tc.name, func(t *testing.T) {
			both(t, func(t *testing.T, stream bool) {
				s := openaitest.New(t, openaitest.Exchange{Family: tc.family, Reply: tc.reply, Fault: tc.fault})
				tc.caps.Stream = stream
				got := one(t, newGenerator(t, s.URL, tc.caps), ask("2 + 2?"))
				if got.Text != "4" || got.Reasoning != tc.reasoning || got.Provenance != tc.want {
					t.Errorf("text %q, reasoning %q, %q, want 4, %q, %q", got.Text, got.Reasoning, got.Provenance, tc.reasoning, tc.want)
				}
			})
		})
	}
}

// In a stream thoughts may come after the text, and then nobody knows what they are of it.
func TestLateThoughts(t *testing.T) {
	for _, f := range []openaitest.Family{openaitest.VLLM, openaitest.DeepSeek, openaitest.OpenRouter, openaitest.Mistral} {
		s := openaitest.New(t, openaitest.Exchange{Family: f, Fault: openaitest.Late, Reply: openaitest.Reply{Reasoning: "I added.", Text: "4"}})
		got := one(t, newGenerator(t, s.URL, f.Capabilities(true)), ask("2 + 2?"))
		if got.Text != "4" || got.Reasoning != "I added." || got.Provenance != llm.Leaked {
			t.Errorf("%s: %+v", f, got)
		}
	}
}

// Each fault becomes an error of its outcome, or an answer if the answer is whole.
func TestFaults(t *testing.T) {
	const key = "sk-secret-0123456789"
	passing := map[openaitest.Fault]bool{openaitest.Torn: true, openaitest.HalfClosed: true, openaitest.NoEndMarker: true,
		openaitest.EmptyChoices: true, openaitest.HTMLError: true, openaitest.ErrorIn200: true, openaitest.ErrorInStream: true,
		openaitest.RateLimited: true, openaitest.Overloaded: true, openaitest.Hang: true, openaitest.HangMidst: true,
		openaitest.Reset: true, openaitest.Aborted: true}
	both(t, func(t *testing.T, stream bool) {
		for fault, want := range openaitest.Outcomes(stream) {
			t.Run(string(fault), func(t *testing.T) {
				t.Parallel()
				s := openaitest.New(t, openaitest.Exchange{Family: openaitest.VLLM, Fault: fault, Reply: openaitest.Reply{Reasoning: "two and two", Text: "It is 4."}})
				o := openai.Options{BaseURL: s.URL, Key: key, Timeout: time.Minute}
				if fault == openaitest.Hang || fault == openaitest.HangMidst {
					o.Timeout = 100 * time.Millisecond
				}
				g, err := openai.NewGenerator(newClient(t, o), "test-model", openaitest.VLLM.Capabilities(stream))
				if err != nil {
					t.Fatal(err)
				}
				out, err := g.Generate(t.Context(), []llm.Request{ask("2 + 2?")})
				if want == "" {
					if err != nil || !strings.HasPrefix(out[0].Text, "It is 4.") || out[0].Reasoning != "two and two" {
						t.Errorf("%+v, %v, want the answer", out, err)
					}
					return
				}
				var e *openai.Error
				var at *llm.RequestError
				if !errors.As(err, &e) || !errors.As(err, &at) || e.Outcome != want || openai.OutcomeOf(err) != want || at.ID != "q" || out != nil {
					t.Fatalf("%+v, %v, want outcome %s", out, err, want)
				}
				var again *llm.TransientError
				if errors.As(err, &again) != passing[fault] {
					t.Errorf("worth another try is %v: %v", !passing[fault], err)
				}
				text := err.Error()
				if strings.Contains(text, "0123456789") || strings.ContainsAny(text, "\x1b\x07\x00\n\u202e") || len(text) > 700 {
					t.Errorf("the error tells the key, control characters or too much: %q", text)
				}
				if !strings.Contains(text, s.URL+"/chat/completions") {
					t.Errorf("the error does not say where: %v", err)
				}
				if again != nil && again.Overloaded != (fault == openaitest.RateLimited || fault == openaitest.Overloaded) {
					t.Errorf("overloaded is %v", again.Overloaded)
				}
				if fault == openaitest.RateLimited && again.After != 2*time.Second {
					t.Errorf("to be waited for are %v", again.After)
				}
			})
		}
	})
}

// The sentences that people read.
func TestErrorTexts(t *testing.T) {
	for fault, want := range map[openaitest.Fault]string{
		openaitest.Unauthorized: "the server answered 401 Unauthorized: Incorrect API key provided: Bearer [redacted]",
		openaitest.HTMLPage:     "the answer is an HTML page: is this the address of an API? it begins: <!DOCTYPE html>\\n<html><body>Sign in</body></html>",
		openaitest.Escapes:      `the server answered 400 Bad Request: \x1b]0;pwned\a\x1b[31mred\u202e\x00 end`,
		openaitest.NotHTTP:      "what answers there does not speak HTTP",
		openaitest.Redirected:   "use where it leads as base URL: http://192.0.2.1/v1/chat/completions",
		openaitest.NoEndMarker:  "the stream ended after",
	} {
		s := openaitest.New(t, openaitest.Exchange{Family: openaitest.VLLM, Fault: fault, Reply: openaitest.Reply{Text: "It is 4, as everybody knows."}})
		c := newClient(t, openai.Options{BaseURL: s.URL, Key: "sk-secret-0123456789"})
		_, err := c.Chat(t.Context(), openai.ChatRequest{Model: "m", Stream: true})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v\nwant %s", fault, err, want)
		}
	}
}

func TestRefusedConnection(t *testing.T) {
	c := newClient(t, openai.Options{BaseURL: openaitest.Refused(t)})
	_, err := c.Models(t.Context())
	var again *llm.TransientError
	if openai.OutcomeOf(err) != openai.RefusedConnection || !errors.As(err, &again) {
		t.Errorf("%v", err)
	}
	s := openaitest.New(t, openaitest.Exchange{})
	c = newClient(t, openai.Options{BaseURL: strings.Replace(s.URL, "http:", "https:", 1)})
	if _, err = c.Models(t.Context()); openai.OutcomeOf(err) != openai.BadTLS {
		t.Errorf("%v", err)
	}
}

// The caller's context ends a call as itself, not as a timeout of the server.
func TestContext(t *testing.T) {
	for _, fault := range []openaitest.Fault{openaitest.Hang, openaitest.HangMidst} {
		both(t, func(t *testing.T, stream bool) {
			s := openaitest.New(t, openaitest.Exchange{Family: openaitest.VLLM, Fault: fault, Reply: openaitest.Reply{Text: "It is 4."}})
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			g := newGenerator(t, s.URL, openaitest.VLLM.Capabilities(stream))
			out, err := g.Generate(ctx, []llm.Request{ask("2 + 2?"), ask("3 + 3?")})
			if !errors.Is(err, context.DeadlineExceeded) || openai.OutcomeOf(err) != "" || out != nil {
				t.Errorf("%v, %v", out, err)
			}
		})
	}
}

// A timeout of the client is no end of the caller's context.
func TestTimeoutIsNoDeadline(t *testing.T) {
	s := openaitest.New(t, openaitest.Exchange{Fault: openaitest.Hang})
	_, err := newClient(t, openai.Options{BaseURL: s.URL, Timeout: 30 * time.Millisecond}).Chat(t.Context(), openai.ChatRequest{})
	if openai.OutcomeOf(err) != openai.Timeout || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
}

func TestMegabyteChain(t *testing.T) {
	chain := strings.Repeat("and then 2 more makes \u2248 4 \x1b[2J ", 1<<20/29)
	both(t, func(t *testing.T, stream bool) {
		for _, f := range []openaitest.Family{openaitest.VLLM, openaitest.VLLMTags} {
			s := openaitest.New(t, openaitest.Exchange{Family: f, Reply: openaitest.Reply{Reasoning: chain, Text: "4"}})
			if got := one(t, newGenerator(t, s.URL, f.Capabilities(stream)), ask("2 + 2?")); got.Reasoning != chain || got.Text != "4" {
				t.Errorf("%s: %d bytes of %d arrived, text %.40q", f, len(got.Reasoning), len(chain), got.Text)
			}
		}
	})
}

// What a request asks for arrives in the server's own fields.
func TestRequestFields(t *testing.T) {
	s := openaitest.New(t, openaitest.Exchange{Family: openaitest.VLLM, Reply: openaitest.Reply{Text: "4"}})
	r := ask("2 + 2 < 5?")
	r.TopP, r.TopK, r.Stop, r.LogProbs, r.Seed = .5, 3, []string{"\n"}, true, 1<<63|5
	caps := openaitest.VLLM.Capabilities(true)
	c := newClient(t, openai.Options{BaseURL: strings.TrimSuffix(s.URL, "/v1"), Key: "k-1", Headers: map[string]string{"X-Team": "audit"}})
	g, _ := openai.NewGenerator(c, "m", caps)
	one(t, g, r)
	asked := s.Requests()[0]
	want := `{"model":"m","messages":[{"role":"user","content":"2 + 2 < 5?"}],"max_tokens":50,"temperature":1,"top_p":0.5,"top_k":3,"seed":5,` +
		`"stop":["\n"],"stream":true,"stream_options":{"include_usage":true},"logprobs":true}`
	if string(asked.Body) != want {
		t.Errorf("body %s\nwant %s", asked.Body, want)
	}
	if asked.Header.Get("Authorization") != "Bearer k-1" || asked.Header.Get("X-Team") != "audit" || asked.Path != "/v1/chat/completions" {
		t.Errorf("path %s, header %v", asked.Path, asked.Header)
	}

	s = openaitest.New(t, openaitest.Exchange{Family: openaitest.OpenAI, Reply: openaitest.Reply{Text: "4"}})
	r.TopK = 0
	one(t, newGenerator(t, s.URL, openaitest.OpenAI.Capabilities(false)), r)
	want = `{"model":"test-model","messages":[{"role":"user","content":"2 + 2 < 5?"}],"max_completion_tokens":50,"stop":["\n"]}`
	if got := string(s.Requests()[0].Body); got != want {
		t.Errorf("body %s\nwant %s", got, want)
	}

	s = openaitest.New(t, openaitest.Exchange{Family: openaitest.OpenAI, Reply: openaitest.Reply{Text: "4"}})
	one(t, newGenerator(t, s.URL, openai.Capabilities{API: openai.ResponsesAPI, Reasoning: openai.ResponsesItems, Provenance: llm.Encrypted, Continue: openai.NoContinue, LogProbs: true}), r)
	want = `{"model":"test-model","input":[{"type":"message","role":"user","content":[{"type":"input_text","text":"2 + 2 < 5?"}]}],` +
		`"max_output_tokens":50,"temperature":1,"top_p":0.5,"include":["reasoning.encrypted_content","message.output_text.logprobs"],"store":false}`
	if got := string(s.Requests()[0].Body); got != want {
		t.Errorf("body %s\nwant %s", got, want)
	}
}

// The order of completions is that of the requests, whichever is answered first.
func TestOrder(t *testing.T) {
	s := openaitest.Serve(t, openaitest.VLLM, func(r openai.ChatRequest) openaitest.Reply {
		text := r.Messages[0].Content.Text
		if text == "bad" {
			return openaitest.Reply{Status: http.StatusBadRequest, Error: "no such thing"}
		}
		return openaitest.Reply{Text: "echo " + text}
	})
	g := newGenerator(t, s.URL, openaitest.VLLM.Capabilities(false))
	var requests []llm.Request
	for _, word := range strings.Fields("a b c d e f g h") {
		requests = append(requests, ask(word))
	}
	out, err := g.Generate(t.Context(), requests)
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range out {
		if c.Text != "echo "+requests[i].Messages[0].Text {
			t.Errorf("completion %d is %q", i, c.Text)
		}
	}
	requests[3] = ask("bad")
	_, err = g.Generate(t.Context(), requests)
	var at *llm.RequestError
	if !errors.As(err, &at) || at.Index != 3 || openai.OutcomeOf(err) != openai.HTTPStatus {
		t.Errorf("%v", err)
	}
}

func TestModels(t *testing.T) {
	for _, f := range openaitest.Families() {
		s := openaitest.New(t, openaitest.Exchange{Family: f})
		list, err := newClient(t, openai.Options{BaseURL: s.URL}).Models(t.Context())
		if err != nil || len(list.Data) != 1 || list.Data[0].ID != "test-model" || list.Data[0].OwnedBy == "" {
			t.Errorf("%s: %+v, %v", f, list, err)
		}
	}
}

// Chunks arrive one by one, and an error of who reads them ends the call.
func TestChatStream(t *testing.T) {
	s := openaitest.New(t, openaitest.Exchange{Family: openaitest.DeepSeek, Reply: openaitest.Reply{Reasoning: "two and two", Text: "It is 4, I think."}})
	c := newClient(t, openai.Options{BaseURL: s.URL})
	var text strings.Builder
	n := 0
	r, err := c.ChatStream(t.Context(), openai.ChatRequest{Model: "m"}, func(chunk *openai.ChatChunk) error {
		n++
		for _, choice := range chunk.Choices {
			if choice.Delta.Content != nil {
				text.WriteString(choice.Delta.Content.Text)
			}
		}
		return nil
	})
	if err != nil || n < 5 || text.String() != "It is 4, I think." || r.Choices[0].Message.Content.Text != text.String() {
		t.Errorf("%d chunks, %q, %+v, %v", n, text.String(), r, err)
	}
	enough := errors.New("enough")
	if _, err := c.ChatStream(t.Context(), openai.ChatRequest{Model: "m"}, func(*openai.ChatChunk) error { return enough }); err != enough {
		t.Errorf("%v, want that of the callback", err)
	}
}

// Capabilities survive their JSON, as they are recorded.
func TestCapabilitiesJSON(t *testing.T) {
	for _, f := range openaitest.Families() {
		want := f.Capabilities(true)
		if err := want.Validate(); err != nil {
			t.Errorf("%s: %v", f, err)
		}
		data, _ := json.Marshal(want)
		var got openai.Capabilities
		if err := json.Unmarshal(data, &got); err != nil || !cmp.Equal(got, want) {
			t.Errorf("%s: %s became %+v, %v", f, data, got, err)
		}
	}
}
