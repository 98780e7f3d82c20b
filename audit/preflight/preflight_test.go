package preflight

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"candor/openai"
	"candor/openai/openaitest"
	"candor/reasoning/llm"
)

func TestFamilies(t *testing.T) {
	local := openai.Capabilities{API: openai.ChatAPI, Stream: true, Provenance: llm.Raw, Continue: openai.ContinueFinalMessage, ContinueReasoning: true, Seeds: true, LogProbs: true}
	with := func(c openai.Capabilities, change func(*openai.Capabilities)) openai.Capabilities {
		change(&c)
		return c
	}
	noLogProbs := func(r openai.ChatRequest) string {
		if r.LogProbs {
			return "logprobs is not supported"
		}
		return ""
	}
	for _, tc := range []struct {
		name      string
		family    openaitest.Family
		mind      *mind
		options   Options
		want      openai.Capabilities
		continues bool
		apart     bool
		findings  map[string]string
	}{
		{"vllm", openaitest.VLLM, &mind{thinks: true, goesOn: byFlags}, Options{},
			with(local, func(c *openai.Capabilities) { c.Reasoning = openai.ReasoningField }), true, true,
			map[string]string{"models~owned by \"vllm\"": "listed", "chain~a field reasoning of": "raw, in reasoning", "carrying on~went on with \" 5 6 7 8 9\"": "yes, by continue-final-message",
				"putting thoughts in place": "yes, by continue-final-message", "thoughts of earlier turns": "not kept", "log-probabilities": "yes", "seed": "repeats an answer"}},
		{"vllm before 0.11", openaitest.VLLMOld, &mind{thinks: true, goesOn: byFlags, remembers: true}, Options{},
			with(local, func(c *openai.Capabilities) { c.Reasoning = openai.ReasoningContent }), true, true,
			map[string]string{"chain~a field reasoning_content": "raw, in reasoning_content", "thoughts of earlier turns": "kept"}},
		{"vllm without a parser", openaitest.VLLMTags, &mind{thinks: true, goesOn: byFlags, remembers: true}, Options{},
			with(local, func(c *openai.Capabilities) { c.Reasoning = openai.ThinkTags }), true, true,
			map[string]string{"chain~<think> and </think>": "raw, in think-tags", "thoughts of earlier turns": "kept"}},
		{"vllm with a template that opens", openaitest.VLLMOpened, &mind{thinks: true, goesOn: byFlags}, Options{},
			with(local, func(c *openai.Capabilities) { c.Reasoning, c.Opened = openai.ThinkTags, true }), true, true,
			map[string]string{"chain~chat template begins them": "raw, in think-tags"}},
		{"vllm that does not think", openaitest.VLLM, &mind{goesOn: byFlags}, Options{},
			with(local, func(c *openai.Capabilities) {
				c.Reasoning, c.Provenance, c.ContinueReasoning = openai.NoReasoning, "", false
			}), true, false,
			map[string]string{"chain": "raw, part of the text"}},
		{"sglang", openaitest.SGLang, &mind{thinks: true, goesOn: byFlags, random: true}, Options{},
			with(local, func(c *openai.Capabilities) { c.Reasoning = openai.ReasoningContent }), true, true,
			map[string]string{"seed": "taken, but does not repeat an answer"}},
		{"llama.cpp", openaitest.LlamaCPP, &mind{thinks: true, goesOn: byPrefill}, Options{},
			with(local, func(c *openai.Capabilities) { c.Reasoning, c.Continue = openai.ReasoningContent, openai.Prefill }), true, true,
			map[string]string{"carrying on": "yes, by prefill"}},
		{"ollama", openaitest.Ollama, &mind{thinks: true, goesOn: byPrefill, deaf: true, refuse: noLogProbs}, Options{},
			with(local, func(c *openai.Capabilities) {
				c.Reasoning, c.Continue, c.ContinueReasoning, c.LogProbs = openai.ReasoningField, openai.Prefill, false, false
			}), false, true,
			map[string]string{"refused fields~out: log-probabilities": "left out", "log-probabilities": "no", "carrying on": "yes, by prefill",
				"putting thoughts in place~given ZQ-4821 in thoughts that have ended, it said \"AB-1234\"": "no"}},
		{"openrouter", openaitest.OpenRouter, &mind{thinks: true}, Options{},
			with(local, func(c *openai.Capabilities) {
				c.Reasoning, c.Continue, c.ContinueReasoning = openai.ReasoningDetails, openai.NoContinue, false
			}), false, true,
			map[string]string{"chain~reasoning.text": "raw, in reasoning_details", "carrying on~it wrote \"1 2 3 4 5 6 7 8 9\" after 1 2 3 4": "no"}},
		{"openrouter with summaries", openaitest.OpenRouter, &mind{thinks: true, summary: "It added."}, Options{},
			with(local, func(c *openai.Capabilities) {
				c.Reasoning, c.Provenance, c.Continue, c.ContinueReasoning = openai.ReasoningDetails, llm.Summary, openai.NoContinue, false
			}), false, true,
			map[string]string{"chain": "summary, in reasoning_details", "carrying on~this one is summary": "no"}},
		{"openrouter with encrypted ones", openaitest.OpenRouter, &mind{thinks: true, encrypted: "Z0FB"}, Options{},
			with(local, func(c *openai.Capabilities) {
				c.Reasoning, c.Provenance, c.Continue, c.ContinueReasoning = openai.ReasoningDetails, llm.Encrypted, openai.NoContinue, false
			}), false, true,
			map[string]string{"chain": "encrypted, in reasoning_details"}},
		{"deepseek", openaitest.DeepSeek, &mind{thinks: true, goesOn: byPrefix}, Options{},
			with(local, func(c *openai.Capabilities) { c.Reasoning, c.Continue = openai.ReasoningContent, openai.PrefixMessage }), true, true,
			map[string]string{"carrying on": "yes, by prefix", "putting thoughts in place~give a Prefix beside Concluded": OnlyOpen}},
		{"mistral", openaitest.Mistral, &mind{thinks: true, goesOn: byPrefix, remembers: true, refuse: func(r openai.ChatRequest) string {
			if r.Seed != nil {
				return "Extra inputs are not permitted: body.seed"
			}
			return ""
		}}, Options{},
			with(local, func(c *openai.Capabilities) {
				c.Reasoning, c.Continue, c.Seeds = openai.ThinkingParts, openai.PrefixMessage, false
			}), true, true,
			map[string]string{"chain~parts of the type thinking": "raw, in thinking-parts", "refused fields~out: seed": "left out", "seed": "no", "thoughts of earlier turns": "kept"}},
		{"openai", openaitest.OpenAI, &mind{thinks: true, counts: true, refuse: func(r openai.ChatRequest) string {
			switch {
			case r.MaxTokens != 0:
				return "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
			case r.Temperature != nil:
				return "Unsupported value: 'temperature' does not support 0 with this model. Only the default (1) value is supported."
			case r.LogProbs:
				return "'logprobs' is not supported with this model."
			}
			return ""
		}}, Options{},
			openai.Capabilities{API: openai.ChatAPI, Stream: true, Reasoning: openai.NoReasoning, Provenance: llm.Absent, Continue: openai.NoContinue, Seeds: true,
				MaxTokensField: "max_completion_tokens", NoTemperature: true}, false, true,
			map[string]string{"chain~tokens of reasoning were counted": "absent, in nothing that is shown", "seed": "no",
				"refused fields~out: max_tokens (max_completion_tokens is taken), temperature, log-probabilities": "left out"}},
		{"openai without thoughts", openaitest.OpenAI, &mind{counts: true}, Options{},
			openai.Capabilities{API: openai.ChatAPI, Stream: true, Reasoning: openai.NoReasoning, Continue: openai.NoContinue, Seeds: true, LogProbs: true}, false, false,
			map[string]string{"carrying on~\"5 6 7 8 9\" after 1 2 3 4, without a space in front": "no"}},
		{"anthropic", openaitest.Anthropic, &mind{thinks: true, goesOn: byPrefill, hasty: true}, Options{},
			with(local, func(c *openai.Capabilities) {
				c.Reasoning, c.ContinueReasoning = openai.ThinkingParts, false
			}), false, true,
			map[string]string{"putting thoughts in place~it spoke at once": "no"}},
		{"responses with summaries", openaitest.OpenAI, &mind{thinks: true, summary: "It added."}, Options{API: openai.ResponsesAPI},
			openai.Capabilities{API: openai.ResponsesAPI, Stream: true, Reasoning: openai.ResponsesItems, Provenance: llm.Summary, Continue: openai.NoContinue}, false, true,
			map[string]string{"chain": "summary, in responses-items", "carrying on": "no"}},
		{"responses with encrypted thoughts", openaitest.OpenAI, &mind{thinks: true, encrypted: "gAAA"}, Options{API: openai.ResponsesAPI},
			openai.Capabilities{API: openai.ResponsesAPI, Stream: true, Reasoning: openai.ResponsesItems, Provenance: llm.Encrypted, Continue: openai.NoContinue}, false, true, nil},
		{"responses with hidden thoughts", openaitest.OpenAI, &mind{thinks: true, refuse: func(r openai.ChatRequest) string {
			if r.Temperature != nil {
				return "Unsupported parameter: 'temperature'"
			}
			return ""
		}}, Options{API: openai.ResponsesAPI},
			openai.Capabilities{API: openai.ResponsesAPI, Stream: true, Reasoning: openai.NoReasoning, Provenance: llm.Absent, Continue: openai.NoContinue, NoTemperature: true}, false, true,
			map[string]string{"refused fields~out: temperature": "left out"}},
		{"responses with open thoughts", openaitest.VLLM, &mind{thinks: true}, Options{API: openai.ResponsesAPI},
			openai.Capabilities{API: openai.ResponsesAPI, Stream: true, Reasoning: openai.ResponsesItems, Provenance: llm.Raw, Continue: openai.NoContinue}, false, true, nil},
		{"responses without thoughts", openaitest.OpenAI, &mind{}, Options{API: openai.ResponsesAPI},
			openai.Capabilities{API: openai.ResponsesAPI, Stream: true, Reasoning: openai.NoReasoning, Continue: openai.NoContinue}, false, false, nil},
		{"raw completions of one that thinks", openaitest.VLLM, &mind{thinks: true, goesOn: byPrompt}, Options{API: openai.CompletionsAPI, Template: "qwen3"},
			with(local, func(c *openai.Capabilities) {
				c.API, c.Reasoning, c.Continue, c.Template = openai.CompletionsAPI, openai.ThinkTags, openai.RawTemplate, "qwen3"
			}), true, true,
			map[string]string{"chain~the chat template qwen3": "raw, in think-tags", "carrying on": "yes, by template", "putting thoughts in place": "yes, by template", "log-probabilities": "yes"}},
		{"raw completions of one that does not", openaitest.VLLM, &mind{goesOn: byPrompt, refuse: noLogProbs}, Options{API: openai.CompletionsAPI, Template: "qwen3"},
			with(local, func(c *openai.Capabilities) {
				c.API, c.Reasoning, c.Provenance, c.Continue, c.Template = openai.CompletionsAPI, openai.NoReasoning, "", openai.RawTemplate, "qwen3"
				c.ContinueReasoning, c.LogProbs = false, false
			}), true, false,
			map[string]string{"chain": "raw, part of the text", "log-probabilities": "no"}},
		{"a template where chat cannot go on", openaitest.LlamaCPP, &mind{thinks: true, goesOn: byPrompt, mute: true}, Options{Template: "qwen3"},
			with(local, func(c *openai.Capabilities) {
				c.API, c.Reasoning, c.Continue, c.Template = openai.CompletionsAPI, openai.ThinkTags, openai.RawTemplate, "qwen3"
				c.LogProbs = false
			}), true, true, map[string]string{"carrying on": "yes, by template"}},
		{"cut off", openaitest.VLLM, &mind{thinks: true, goesOn: byFlags, brief: true}, Options{MaxTokens: 30},
			with(local, func(c *openai.Capabilities) { c.Reasoning = openai.ReasoningField }), true, true,
			map[string]string{"length~did not fit into 30 tokens": "cut off"}},
		{"one way by name", openaitest.OpenRouter, &mind{thinks: true, goesOn: byFlags}, Options{Continue: openai.ContinueFinalMessage},
			with(local, func(c *openai.Capabilities) { c.Reasoning = openai.ReasoningDetails }), true, true, nil},
		{"no way by name", openaitest.VLLM, &mind{thinks: true, goesOn: byFlags}, Options{Continue: openai.NoContinue},
			with(local, func(c *openai.Capabilities) {
				c.Reasoning, c.Continue, c.ContinueReasoning = openai.ReasoningField, openai.NoContinue, false
			}), false, true, map[string]string{"carrying on~as was asked for": "no"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			r := run(t, openaitest.Serve(t, tc.family, tc.mind.answer), tc.options)
			if d := cmp.Diff(tc.want, r.Capabilities); d != "" {
				t.Errorf("capabilities (-want +got): %s%s", d, list(r))
			}
			if r.Continues() != tc.continues || r.Apart() != tc.apart {
				t.Errorf("continues %v, apart %v", r.Continues(), r.Apart())
			}
			check(t, r, tc.findings)
		})
	}
}

// More tokens than characters cannot be all there were, and some providers call a summary text.
func TestSummariesInDisguise(t *testing.T) {
	for name, tc := range map[string]struct {
		choice string
		how    string
	}{
		"too short": {`{"message":{"role":"assistant","content":"Answer: 50","reasoning_content":"I added them."}}`, "13 characters, but 640 tokens of reasoning were counted"},
		"by format": {`{"message":{"role":"assistant","content":"Answer: 50","reasoning":"` + strings.Repeat("I add. ", 200) + `","reasoning_details":[{"type":"reasoning.text","text":"` +
			strings.Repeat("I add. ", 200) + `","format":"anthropic-claude-v1","index":0}]}}`, "anthropic-claude-v1"},
	} {
		t.Run(name, func(t *testing.T) {
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				if r.Method == http.MethodGet {
					fmt.Fprint(w, `{"object":"list","data":[{"id":"m","owned_by":"x"}]}`)
					return
				}
				fmt.Fprint(w, `{"id":"1","object":"chat.completion","choices":[`+tc.choice+`],"usage":{"prompt_tokens":5,"completion_tokens":650,"completion_tokens_details":{"reasoning_tokens":640}}}`)
			}))
			defer s.Close()
			r, err := Run(t.Context(), newClient(t, s.URL), Options{Model: "m"})
			if err != nil {
				t.Fatal(err)
			}
			if r.Capabilities.Provenance != llm.Summary || r.Continues() || !strings.Contains(list(r), tc.how) {
				t.Errorf("%+v\n%s", r.Capabilities, list(r))
			}
		})
	}
}

// A server whose streams break is asked for answers in one piece; what it said of the key is told by nobody.
func TestStreams(t *testing.T) {
	streamed := func(r *openaitest.Request) bool { return r.Chat.Stream }
	m := &mind{thinks: true, goesOn: byFlags}
	for _, fault := range []openaitest.Fault{openaitest.Torn, openaitest.ErrorInStream, openaitest.Unauthorized, openaitest.NotHTTP} {
		t.Run(string(fault), func(t *testing.T) {
			s := openaitest.New(t, openaitest.Exchange{Family: openaitest.VLLM, Fault: fault, When: streamed, Reply: openaitest.Reply{Text: "Answer: 50"}},
				openaitest.Exchange{Family: openaitest.VLLM, Model: m.answer})
			r := run(t, s, Options{})
			if r.Capabilities.Stream || !r.Continues() {
				t.Errorf("%+v", r.Capabilities)
			}
			check(t, r, map[string]string{"streaming~a streamed answer failed (POST": "no"})
		})
	}
	t.Run("without thoughts", func(t *testing.T) {
		s := openaitest.New(t, openaitest.Exchange{Family: openaitest.VLLM, When: streamed, Reply: openaitest.Reply{Text: "Answer: 50"}}, openaitest.Exchange{Family: openaitest.VLLM, Model: m.answer})
		r := run(t, s, Options{})
		if r.Capabilities.Stream {
			t.Error("streams that lose the thoughts are used")
		}
		check(t, r, map[string]string{"streaming~streamed one absent": "no"})
	})
}

// A list of models is no must; a model that it does not have is an error if the list is short enough to be one.
func TestModels(t *testing.T) {
	models := func(r *openaitest.Request) bool { return strings.HasSuffix(r.Path, "/models") }
	m := &mind{goesOn: byFlags}
	for _, e := range []openaitest.Exchange{
		{Family: openaitest.VLLM, Reply: openaitest.Reply{Status: 404, Error: "Not Found"}}, {Family: openaitest.VLLM, Fault: openaitest.HTMLPage},
		{Family: openaitest.VLLM, Fault: openaitest.Overloaded},
	} {
		e.When = models
		r := run(t, openaitest.New(t, e, openaitest.Exchange{Family: openaitest.VLLM, Model: m.answer}), Options{})
		check(t, r, map[string]string{"models~GET /models": "not listed", "carrying on": "yes, by continue-final-message"})
	}
	s := openaitest.New(t, openaitest.Exchange{Family: openaitest.VLLM, Reply: openaitest.Reply{Model: "other\x1b[31m"}})
	_, err := Run(t.Context(), newClient(t, s.URL), Options{Model: "test-model"})
	if err == nil || !strings.Contains(err.Error(), `has no model "test-model"; it lists: "other\x1b[31m"`) {
		t.Errorf("%v", err)
	}
	if n := len(s.Requests()); n != 0 {
		t.Errorf("%d calls for a model that is not there", n)
	}
	r := run(t, openaitest.New(t, openaitest.Exchange{Family: openaitest.Ollama, When: models, Reply: openaitest.Reply{Model: "qwen3:latest"}},
		openaitest.Exchange{Family: openaitest.Ollama, Model: m.answer}), Options{Model: "qwen3"})
	check(t, r, map[string]string{"models": "listed"})
}

// What makes an audit impossible is told in one sentence, soon, and without the key.
func TestErrors(t *testing.T) {
	for name, tc := range map[string]struct {
		url     func(t *testing.T) *openaitest.Server
		options Options
		want    string
		calls   int
	}{
		"key": {func(t *testing.T) *openaitest.Server {
			return openaitest.New(t, openaitest.Exchange{Family: openaitest.OpenAI, Fault: openaitest.Unauthorized})
		}, Options{}, "the API key is missing, wrong or not good for this model", 1},
		"quota": {func(t *testing.T) *openaitest.Server {
			return openaitest.New(t, openaitest.Exchange{Family: openaitest.OpenAI, Fault: openaitest.QuotaGone})
		}, Options{}, "quota", 1},
		"no HTTP": {func(t *testing.T) *openaitest.Server {
			return openaitest.New(t, openaitest.Exchange{Fault: openaitest.NotHTTP})
		}, Options{}, "does not speak HTTP", 0},
		"always busy": {func(t *testing.T) *openaitest.Server {
			return openaitest.New(t, openaitest.Exchange{Fault: openaitest.Overloaded})
		}, Options{}, "too many requests", 1 + maxOverloads},
		"never answering": {func(t *testing.T) *openaitest.Server {
			return openaitest.New(t, openaitest.Exchange{Fault: openaitest.Reset})
		}, Options{}, "the connection broke", 2},
		"a page": {func(t *testing.T) *openaitest.Server {
			return openaitest.New(t, openaitest.Exchange{Fault: openaitest.HTMLPage})
		}, Options{}, "HTML page", 1},
		"refusing all": {func(t *testing.T) *openaitest.Server {
			return openaitest.New(t, openaitest.Exchange{Family: openaitest.VLLM, Reply: openaitest.Reply{Status: 400, Error: "no"}, When: func(r *openaitest.Request) bool { return r.Method == http.MethodPost }},
				openaitest.Exchange{Family: openaitest.VLLM})
		}, Options{}, "400 Bad Request: no", 5},
		"completions without a template": {func(t *testing.T) *openaitest.Server {
			return openaitest.New(t, openaitest.Exchange{Family: openaitest.VLLM})
		},
			Options{API: openai.CompletionsAPI}, "--chat-template, one of chatml", 0},
		"the wrong template": {func(t *testing.T) *openaitest.Server {
			return openaitest.New(t, openaitest.Exchange{Family: openaitest.VLLM, Reply: openaitest.Reply{Text: "Hello!"}})
		}, Options{API: openai.CompletionsAPI, Template: "llama3"}, `with the chat template llama3 it wrote "Hello!" after 1 2 3 4: is it this model's template?`, 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := tc.url(t)
			tc.options.Model = "test-model"
			r, err := Run(t.Context(), newClient(t, s.URL), tc.options)
			if err == nil {
				t.Fatalf("no error, but %+v", r)
			}
			if !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), key) {
				t.Errorf("%v", err)
			}
			if n := len(s.Requests()); n != tc.calls {
				t.Errorf("%d calls, want %d", n, tc.calls)
			}
		})
	}
	t.Run("nobody there", func(t *testing.T) {
		_, err := Run(t.Context(), newClient(t, openaitest.Refused(t)), Options{Model: "m"})
		if openai.OutcomeOf(err) != openai.RefusedConnection || !strings.Contains(err.Error(), "is the server running") {
			t.Errorf("%v", err)
		}
	})
	t.Run("given up", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		s := openaitest.New(t, openaitest.Exchange{Family: openaitest.VLLM, Fault: openaitest.Hang, When: func(r *openaitest.Request) bool {
			if r.Method == http.MethodPost {
				cancel()
			}
			return r.Method == http.MethodPost
		}}, openaitest.Exchange{Family: openaitest.VLLM})
		if _, err := Run(ctx, newClient(t, s.URL), Options{Model: "test-model"}); !errors.Is(err, context.Canceled) {
			t.Errorf("%v", err)
		}
	})
}

// A server that has too much to do for a while, or breaks one connection, is asked again.
func TestPatience(t *testing.T) {
	var n atomic.Int64
	now := func(from, to int64) func(*openaitest.Request) bool {
		return func(r *openaitest.Request) bool {
			i := n.Load()
			return r.Method == http.MethodPost && i >= from && i < to
		}
	}
	m := &mind{thinks: true, goesOn: byFlags}
	s := openaitest.New(t,
		openaitest.Exchange{Family: openaitest.VLLM, When: func(r *openaitest.Request) bool {
			if r.Method == http.MethodPost {
				n.Add(1)
			}
			return false
		}},
		openaitest.Exchange{Family: openaitest.VLLM, Fault: openaitest.Overloaded, When: now(1, 4)},
		openaitest.Exchange{Family: openaitest.VLLM, Fault: openaitest.Torn, When: now(5, 6)},
		openaitest.Exchange{Family: openaitest.VLLM, Fault: openaitest.HTMLError, When: now(8, 9)},
		openaitest.Exchange{Family: openaitest.VLLM, Model: m.answer})
	if r := run(t, s, Options{}); !r.Continues() || !r.Capabilities.Stream {
		t.Errorf("%+v\n%s", r.Capabilities, list(r))
	}
}
