package openai_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"candor/openai"
	"candor/openai/openaitest"
	"candor/reasoning/llm"
	"candor/reasoning/llm/llmtest"
)

// candorServer serves a generator as candor's own server does: a conversation whose last message is the assistant's to be carried on,
// or a raw prompt, which is a prefix without messages.
func candorServer(t testing.TB, g llm.Generator) string {
	choice := func(c llm.Completion) map[string]any {
		out := map[string]any{"index": 0, "finish_reason": string(c.Finish)}
		if c.Stop != "" {
			out["stop_reason"] = c.Stop
		}
		return out
	}
	run := func(w http.ResponseWriter, r llm.Request, answer func(llm.Completion) any) {
		out, err := g.Generate(context.Background(), []llm.Request{r})
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			_ = json.NewEncoder(w).Encode(map[string]any{"error": map[string]any{"message": err.Error(), "type": "invalid_request_error"}})
			return
		}
		usage := map[string]any{"prompt_tokens": out[0].PromptTokens, "completion_tokens": out[0].CompletionTokens}
		_ = json.NewEncoder(w).Encode(map[string]any{"model": "tiny", "choices": []any{answer(out[0])}, "usage": usage})
	}
	seeded := func(seed *int64) uint64 {
		if seed == nil {
			return 0
		}
		return uint64(*seed)
	}
	value := func(p *float64) float64 {
		if p == nil {
			return 0
		}
		return *p
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("Content-Type", "application/json")
		if strings.HasSuffix(r.URL.Path, "/chat/completions") {
			var q openai.ChatRequest
			if err := json.Unmarshal(body, &q); err != nil {
				t.Error(err)
			}
			ask := llm.Request{MaxTokens: q.MaxTokens, Temperature: value(q.Temperature), TopP: value(q.TopP), TopK: q.TopK, Stop: q.Stop, Seed: seeded(q.Seed), LogProbs: q.LogProbs}
			for _, m := range q.Messages {
				calls, err := m.Calls()
				if err != nil {
					t.Error(err)
				}
				ask.Messages = append(ask.Messages, llm.Message{Role: llm.Role(m.Role), Text: m.Content.Text, Calls: calls, CallID: m.ToolCallID})
			}
			ask.Tools, ask.ToolChoice = openaitest.Tools(q)
			if n := len(ask.Messages) - 1; q.ContinueFinalMessage {
				ask.Prefix, ask.Messages = ask.Messages[n].Text, ask.Messages[:n]
			}
			run(w, ask, func(c llm.Completion) any {
				out := choice(c)
				message := map[string]any{"role": "assistant", "content": c.Text}
				if calls := []any{}; len(c.Calls) > 0 {
					for _, call := range c.Calls {
						calls = append(calls, map[string]any{"id": call.ID, "type": "function", "function": map[string]any{"name": call.Name, "arguments": call.Arguments}})
					}
					message["tool_calls"], out["finish_reason"] = calls, "tool_calls"
				}
				out["message"] = message
				logProbs := []any{}
				for _, token := range c.Tokens {
					logProbs = append(logProbs, map[string]any{"token": token.Text, "logprob": token.LogProb})
				}
				out["logprobs"] = map[string]any{"content": logProbs}
				return out
			})
			return
		}
		var q openai.CompletionRequest
		if err := json.Unmarshal(body, &q); err != nil {
			t.Error(err)
		}
		ask := llm.Request{Prefix: q.Prompt, MaxTokens: q.MaxTokens, Temperature: value(q.Temperature), TopP: value(q.TopP), TopK: q.TopK, Stop: q.Stop, Seed: seeded(q.Seed), LogProbs: q.LogProbs != nil}
		run(w, ask, func(c llm.Completion) any {
			out := choice(c)
			out["text"] = c.Text
			tokens, logProbs := []string{}, []float64{}
			for _, token := range c.Tokens {
				tokens, logProbs = append(tokens, token.Text), append(logProbs, token.LogProb)
			}
			out["logprobs"] = map[string]any{"tokens": tokens, "token_logprobs": logProbs}
			return out
		})
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// tinyModel continues a text of which it sees all, whether it came as messages or as a prefix.
func tinyModel() *llmtest.Fake {
	vocabulary := []string{"red", "green", "blue", "–", "日本"}
	return &llmtest.Fake{Next: func(s *llmtest.State) (string, float64) {
		seen := strings.Fields(s.Prompt + " " + strings.Join(s.Words, " "))
		sum := 0
		for _, word := range seen {
			for _, r := range word {
				sum = (sum*31 + int(r)) % 10007
			}
		}
		if len(seen) > 14 && sum%5 == 0 {
			return "", 0
		}
		likeliest := sum % len(vocabulary)
		k := likeliest
		if !s.Greedy() && s.Rand.Float64() < .4 {
			k = (likeliest + 1) % len(vocabulary)
		}
		if k == likeliest {
			return vocabulary[k], math.Log(.6)
		}
		return vocabulary[k], math.Log(.4)
	}}
}

// A model behind a server is a generator like any other, by both protocols.
func TestConformance(t *testing.T) {
	plain := openai.Capabilities{API: openai.CompletionsAPI, Reasoning: openai.NoReasoning, Continue: openai.RawTemplate, Template: "plain", Seeds: true, LogProbs: true, TopK: true}
	for name, caps := range map[string]openai.Capabilities{"chat": openaitest.Candor.Capabilities(false), "tools": calling(openaitest.Candor.Capabilities(false)), "plain": plain} {
		t.Run(name, func(t *testing.T) {
			model := tinyModel()
			model.Calls = func(r llm.Request) []llm.ToolCall {
				name := r.ToolChoice
				if name == llm.ToolAuto || name == llm.ToolRequired {
					name = r.Tools[0].Name
				}
				return []llm.ToolCall{{ID: "call_1", Name: name, Arguments: "{}"}}
			}
			url := candorServer(t, model)
			llmtest.Run(t, func(t *testing.T) llm.Generator { return newGenerator(t, url, caps) },
				llmtest.Options{Prompts: []string{"a b c", "three of them", "one more"}, NoBans: true, Tools: caps.Tools, MaxTokens: 50})
		})
	}
}

// Served or not, a model gives the same completions, but for its name.
func TestServedGivesTheSame(t *testing.T) {
	local := tinyModel()
	url := candorServer(t, local)
	g := newGenerator(t, url, openaitest.Candor.Capabilities(false))
	rapid.Check(t, func(t *rapid.T) {
		r := llm.Request{
			Messages:    []llm.Message{{Role: llm.User, Text: rapid.StringMatching(`[a-z]{1,5}( [a-z]{1,5}){0,3}`).Draw(t, "prompt")}},
			Prefix:      rapid.SampledFrom([]string{"", "red", "red green "}).Draw(t, "prefix"),
			MaxTokens:   rapid.IntRange(1, 20).Draw(t, "tokens"),
			Temperature: rapid.SampledFrom([]float64{0, .5, 1}).Draw(t, "temperature"),
			Seed:        rapid.Uint64Max(math.MaxInt64).Draw(t, "seed"),
			LogProbs:    true,
			Stop:        rapid.SampledFrom([][]string{nil, {"blue"}, {"n b", "日"}}).Draw(t, "stop"),
		}
		want, err := local.Generate(context.Background(), []llm.Request{r})
		if err != nil {
			t.Fatal(err)
		}
		got, err := g.Generate(context.Background(), []llm.Request{r})
		if err != nil {
			t.Fatal(err)
		}
		want[0].Model = "tiny"
		if len(want[0].Tokens) == 0 {
			want[0].Tokens = nil
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Error(d)
		}
	})
}

// An edited chain is carried on, and what comes back is put where it belongs, however a server's parser takes it.
func TestCarriedOnAnswers(t *testing.T) {
	tags, field := openaitest.VLLMTags, openaitest.VLLM
	raw := openai.Capabilities{API: openai.CompletionsAPI, Reasoning: openai.ThinkTags, Provenance: llm.Raw, Continue: openai.RawTemplate, ContinueReasoning: true, Template: "qwen3"}
	r1 := raw
	r1.Template = "deepseek-r1"
	fresh := llm.Request{}
	open := llm.Request{Reasoning: "First, two"}
	closed := llm.Request{Reasoning: "First, two.", Concluded: true, Prefix: "It"}
	for _, tc := range []struct {
		name            string
		family          openaitest.Family
		caps            openai.Capabilities
		r               llm.Request
		reply           openaitest.Reply
		reasoning, text string
		want            llm.Provenance
	}{
		{"thoughts go on in tags", tags, tags.Capabilities(false), open, openaitest.Reply{Reasoning: " more.", Text: "It is 4."}, " more.", "It is 4.", llm.Raw},
		{"thoughts go on in the field", field, field.Capabilities(false), open, openaitest.Reply{Reasoning: " more.", Text: "It is 4."}, " more.", "It is 4.", llm.Raw},
		{"the parser missed them", field, field.Capabilities(false), open, openaitest.Reply{Text: " more.\n</think>\n\nIt is 4."}, " more.", "It is 4.", llm.Raw},
		{"they may have been cut", field, field.Capabilities(false), open, openaitest.Reply{Text: " more and more", Finish: "length"}, " more and more", "", llm.Leaked},
		{"they were cut in tags", tags, tags.Capabilities(false), open, openaitest.Reply{Text: " more and more", Finish: "length"}, " more and more", "", llm.Raw},
		{"concluded", field, field.Capabilities(false), closed, openaitest.Reply{Text: " is 4."}, "", " is 4.", llm.Raw},
		{"the parser took the answer for thoughts", field, field.Capabilities(false), closed, openaitest.Reply{Reasoning: " is 4."}, "", " is 4.", llm.Raw},
		{"concluded in tags", tags, tags.Capabilities(false), closed, openaitest.Reply{Text: " is 4."}, "", " is 4.", llm.Raw},
		{"thoughts after the conclusion", tags, tags.Capabilities(false), closed, openaitest.Reply{Text: " is 4.<think>no</think>"}, "no", " is 4.", llm.Leaked},
		{"raw, fresh", field, raw, fresh, openaitest.Reply{Reasoning: "two.", Text: "It is 4."}, "two.", "It is 4.", llm.Raw},
		{"raw, thoughts go on", field, raw, open, openaitest.Reply{Reasoning: " more.", Text: "It is 4."}, " more.", "It is 4.", llm.Raw},
		{"raw, concluded", field, raw, closed, openaitest.Reply{Text: " is 4."}, "", " is 4.", llm.Raw},
		{"raw, ended by its mark", field, raw, closed, openaitest.Reply{Text: " is 4.<|im_end|>\n<|im_start|>user"}, "", " is 4.", llm.Raw},
		{"opened by the template", field, r1, fresh, openaitest.Reply{Reasoning: "two.", Text: "It is 4."}, "two.", "It is 4.", llm.Raw},
		{"opened and cut", field, r1, fresh, openaitest.Reply{Reasoning: "two and", Finish: "length"}, "two and", "", llm.Raw},
	} {
		t.Run(tc.name, func(t *testing.T) {
			both(t, func(t *testing.T, stream bool) {
				s := openaitest.New(t, openaitest.Exchange{Family: tc.family, Reply: tc.reply})
				tc.caps.Stream = stream
				r := ask("2 + 2?")
				r.Reasoning, r.Concluded, r.Prefix = tc.r.Reasoning, tc.r.Concluded, tc.r.Prefix
				got := one(t, newGenerator(t, s.URL, tc.caps), r)
				if got.Reasoning != tc.reasoning || got.Text != tc.text || got.Provenance != tc.want {
					t.Errorf("reasoning %q, text %q, %q\nwant %q, %q, %q", got.Reasoning, got.Text, got.Provenance, tc.reasoning, tc.text, tc.want)
				}
			})
		})
	}
}

// Log-probabilities are those of the text alone, and spell it.
func TestLogProbs(t *testing.T) {
	tokens := []llm.Token{{Text: "It", LogProb: -.5}, {Text: " is", LogProb: -.25}, {Text: " 4", LogProb: -.125}, {Text: ".", LogProb: -.0625}}
	thoughts := []llm.Token{{Text: "two", LogProb: -1}, {Text: ".\n", LogProb: -1}, {Text: "</think>", LogProb: -1}, {Text: "\n\nIt", LogProb: -.5}}
	reply := openaitest.Reply{Text: "It is 4.", Tokens: tokens}
	beside := openaitest.Reply{Reasoning: "two.", Text: "It is 4.", Tokens: append(thoughts, tokens[1:]...)}
	raw := openai.Capabilities{API: openai.CompletionsAPI, Reasoning: openai.NoReasoning, Continue: openai.RawTemplate, Template: "chatml", LogProbs: true}
	responses := openai.Capabilities{API: openai.ResponsesAPI, Reasoning: openai.ResponsesItems, Provenance: llm.Summary, Continue: openai.NoContinue, LogProbs: true}
	for _, tc := range []struct {
		name   string
		family openaitest.Family
		caps   openai.Capabilities
		reply  openaitest.Reply
	}{
		{"chat", openaitest.VLLM, openaitest.VLLM.Capabilities(false), reply},
		{"those of thoughts are told, too", openaitest.VLLM, openaitest.VLLM.Capabilities(false), beside},
		{"completions", openaitest.VLLM, raw, reply},
		{"llama.cpp's completions", openaitest.LlamaCPP, raw, reply},
		{"responses", openaitest.OpenAI, responses, reply},
	} {
		t.Run(tc.name, func(t *testing.T) {
			both(t, func(t *testing.T, stream bool) {
				s := openaitest.New(t, openaitest.Exchange{Family: tc.family, Reply: tc.reply})
				tc.caps.Stream = stream
				r := ask("2 + 2?")
				r.LogProbs = true
				got := one(t, newGenerator(t, s.URL, tc.caps), r)
				if d := cmp.Diff(tokens, got.Tokens); d != "" || got.Text != "It is 4." {
					t.Errorf("text %q: %s", got.Text, d)
				}
				r.Stop = []string{" 4"} // which this server ignores
				got = one(t, newGenerator(t, s.URL, tc.caps), r)
				if d := cmp.Diff(tokens[:2], got.Tokens); d != "" || got.Text != "It is" || got.Stop != " 4" || got.Finish != llm.FinishStop {
					t.Errorf("stopped: %+v %s", got, d)
				}
				r.LogProbs = false
				if got = one(t, newGenerator(t, s.URL, tc.caps), r); got.Tokens != nil {
					t.Errorf("%d tokens that nobody asked for", len(got.Tokens))
				}
			})
		})
	}
}

func TestFinish(t *testing.T) {
	for _, f := range []openaitest.Family{openaitest.VLLM, openaitest.SGLang, openaitest.OpenAI, openaitest.Ollama} {
		both(t, func(t *testing.T, stream bool) {
			s := openaitest.New(t, openaitest.Exchange{Family: f, Reply: openaitest.Reply{Text: "It is", Stop: "4"}},
				openaitest.Exchange{Family: f, Reply: openaitest.Reply{Text: "It is", Finish: "length"}})
			g := newGenerator(t, s.URL, f.Capabilities(stream))
			r := ask("2 + 2?")
			r.Stop = []string{"never", "4"}
			got := one(t, g, r)
			tells := f == openaitest.VLLM || f == openaitest.SGLang
			if got.Finish != llm.FinishStop || (got.Stop == "4") != tells || got.Text != "It is" {
				t.Errorf("%s: %+v", f, got)
			}
			if got = one(t, g, r); got.Finish != llm.FinishLength || got.Stop != "" {
				t.Errorf("%s: %+v", f, got)
			}
		})
	}
	s := openaitest.New(t, openaitest.Exchange{Family: openaitest.OpenAI, Reply: openaitest.Reply{Text: "It is", Finish: "length"}},
		openaitest.Exchange{Family: openaitest.OpenAI, Reply: openaitest.Reply{Text: "It is", Finish: "content_filter"}})
	g := newGenerator(t, s.URL, openai.Capabilities{API: openai.ResponsesAPI, Reasoning: openai.NoReasoning, Continue: openai.NoContinue})
	if got := one(t, g, ask("2 + 2?")); got.Finish != llm.FinishLength {
		t.Errorf("%+v", got)
	}
	if _, err := g.Generate(t.Context(), []llm.Request{ask("2 + 2?")}); openai.OutcomeOf(err) != openai.ContentFilter {
		t.Errorf("%v", err)
	}
}

// Completions and responses meet the same faults.
func TestFaultsOfOtherProtocols(t *testing.T) {
	completions := openai.Capabilities{API: openai.CompletionsAPI, Reasoning: openai.NoReasoning, Continue: openai.RawTemplate, Template: "plain"}
	responses := openai.Capabilities{API: openai.ResponsesAPI, Reasoning: openai.NoReasoning, Continue: openai.NoContinue}
	both(t, func(t *testing.T, stream bool) {
		for fault, want := range openaitest.Outcomes(stream) {
			switch fault {
			case openaitest.ToolCall, openaitest.Huge, openaitest.Hang, openaitest.HangMidst, openaitest.Aborted, openaitest.Late, openaitest.ContentFilter:
				continue
			}
			for name, caps := range map[string]openai.Capabilities{"completions": completions, "responses": responses} {
				want := want
				if name == "responses" {
					switch fault { // its streams have no [DONE], and their last event is the whole
					case openaitest.EmptyChoices:
						if stream {
							want = openai.NoEndMarker
						}
					}
				}
				caps.Stream = stream
				s := openaitest.New(t, openaitest.Exchange{Family: openaitest.OpenAI, Fault: fault, Reply: openaitest.Reply{Text: "It is 4."}})
				out, err := newGenerator(t, s.URL, caps).Generate(t.Context(), []llm.Request{ask("2 + 2?")})
				if openai.OutcomeOf(err) != want || want == "" && (err != nil || !strings.HasPrefix(out[0].Text, "It is 4.")) {
					t.Errorf("%s, %s: %+v, %v, want %q", name, fault, out, err, want)
				}
			}
		}
	})
}

// Clients that come and go leave nothing behind, and a slow server does not hold up the others.
func TestManyAtATime(t *testing.T) {
	release := make(chan struct{})
	s := openaitest.Serve(t, openaitest.VLLM, func(r openai.ChatRequest) openaitest.Reply {
		if r.Messages[0].Content.Text == "last" {
			close(release)
		}
		<-release
		return openaitest.Reply{Text: "ok"}
	})
	g := newGenerator(t, s.URL, openaitest.VLLM.Capabilities(true))
	requests := make([]llm.Request, 60)
	for i := range requests {
		requests[i] = ask("q")
	}
	requests[59] = ask("last") // no answer comes before this has been asked
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if out, err := g.Generate(ctx, requests); err != nil || len(out) != 60 {
		t.Errorf("%d, %v", len(out), err)
	}
}

func TestNewGenerator(t *testing.T) {
	if _, err := openai.NewGenerator(nil, "m", openaitest.VLLM.Capabilities(true)); err == nil {
		t.Error("no client is fine")
	}
	c := newClient(t, openai.Options{BaseURL: "http://localhost"})
	if _, err := openai.NewGenerator(c, "m", openai.Capabilities{}); err == nil || !strings.Contains(err.Error(), "api is") {
		t.Errorf("%v", err)
	}
	caps := openaitest.Ollama.Capabilities(false)
	g, err := openai.NewGenerator(c, "m", caps)
	if err != nil || !cmp.Equal(g.Capabilities(), caps) {
		t.Errorf("%+v, %v", g, err)
	}
	r := ask("q")
	r.TopK = 5
	if _, err := g.Generate(t.Context(), []llm.Request{r}); !errors.Is(err, llm.ErrInvalid) {
		t.Errorf("TopK at a server that has none: %v", err)
	}
}

// What a request carries on arrives as what it was, by each way.
func TestCarriedRequests(t *testing.T) {
	raw := openai.Capabilities{API: openai.CompletionsAPI, Reasoning: openai.ThinkTags, Provenance: llm.Raw, Continue: openai.RawTemplate, ContinueReasoning: true, Template: "qwen3"}
	prefill := openaitest.VLLMTags.Capabilities(false)
	prefill.Continue = openai.Prefill
	for name, caps := range map[string]openai.Capabilities{
		"vllm": openaitest.VLLM.Capabilities(false), "tags": openaitest.VLLMTags.Capabilities(false), "prefill": prefill,
		"deepseek": openaitest.DeepSeek.Capabilities(false), "mistral": openaitest.Mistral.Capabilities(false), "raw": raw,
	} {
		for _, want := range []openaitest.Carried{
			{Reasoning: "First, <two>\n\n", Thinking: true},
			{Reasoning: "First, two.", Concluded: true, Prefix: "It"},
		} {
			var got openaitest.Carried
			s := openaitest.Serve(t, openaitest.VLLM, func(r openai.ChatRequest) openaitest.Reply {
				got = openaitest.Carry(r)
				return openaitest.Reply{Text: "x"}
			})
			r := ask("2 + 2?")
			r.Reasoning, r.Concluded, r.Prefix = want.Reasoning, want.Concluded, want.Prefix
			one(t, newGenerator(t, s.URL, caps), r)
			if !strings.Contains(got.Prompt, "2 + 2?") {
				t.Errorf("%s: the prompt is %q", name, got.Prompt)
			}
			if got.Prompt = ""; got != want {
				t.Errorf("%s: %+v, want %+v", name, got, want)
			}
		}
	}
}
