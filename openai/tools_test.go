package openai_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	official "github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/responses"

	"candor/openai"
	"candor/openai/openaitest"
	"candor/reasoning/llm"
)

var (
	weather = llm.ToolSpec{Name: "weather", Description: "The weather in a <town>", Schema: json.RawMessage(`{"type":"object","properties":{"town":{"type":"string"}}}`)}
	now     = llm.ToolSpec{Name: "now"}
	twice   = []llm.ToolCall{{ID: "call_a", Name: "weather", Arguments: `{"town": "Malmö <centre>"}`}, {ID: "call_b", Name: "now", Arguments: `{}`}}
)

func calling(caps openai.Capabilities) openai.Capabilities {
	caps.Tools = true
	return caps
}

func responsesWithTools(stream bool) openai.Capabilities {
	return openai.Capabilities{API: openai.ResponsesAPI, Reasoning: openai.ResponsesItems, Provenance: llm.Raw, Continue: openai.NoContinue, Tools: true, Stream: stream}
}

func offering(r llm.Request) llm.Request {
	r.Tools = []llm.ToolSpec{weather, now}
	return r
}

// Each family's form gives the same calls, beside thoughts and a text or without.
func TestCalls(t *testing.T) {
	for _, f := range openaitest.Families() {
		t.Run(string(f), func(t *testing.T) {
			both(t, func(t *testing.T, stream bool) {
				for i, reply := range []openaitest.Reply{
					{Calls: twice}, {Text: "I look.", Calls: twice}, {Reasoning: "I must look.", Calls: twice[:1]},
					{Reasoning: "I must look.", Text: "I look.", Calls: twice},
				} {
					if f == openaitest.VLLMOpened && reply.Reasoning == "" && reply.Text != "" {
						continue // its answers begin within thoughts
					}
					s := openaitest.New(t, openaitest.Exchange{Family: f, Reply: reply})
					got := one(t, newGenerator(t, s.URL, calling(f.Capabilities(stream))), offering(ask("?")))
					if d := cmp.Diff(reply.Calls, got.Calls); d != "" || got.Text != reply.Text || got.Finish != llm.FinishTools {
						t.Errorf("%d: %+v %s", i, got, d)
					}
					if got.Provenance == llm.Raw && got.Reasoning != reply.Reasoning {
						t.Errorf("%d: thoughts %q", i, got.Reasoning)
					}
				}
			})
		})
	}
	both(t, func(t *testing.T, stream bool) {
		reply := openaitest.Reply{Reasoning: "I must look.", Text: "I look.", Calls: twice}
		s := openaitest.New(t, openaitest.Exchange{Family: openaitest.VLLM, Reply: reply})
		got := one(t, newGenerator(t, s.URL, responsesWithTools(stream)), offering(ask("?")))
		if d := cmp.Diff(twice, got.Calls); d != "" || got.Text != "I look." || got.Reasoning != "I must look." || got.Finish != llm.FinishTools {
			t.Errorf("responses: %+v %s", got, d)
		}
	})
}

// A conversation in which tools were called arrives as it is, by both protocols.
func TestToolMessages(t *testing.T) {
	r := offering(ask("How is it?"))
	r.Messages = append(r.Messages,
		llm.Message{Role: llm.Assistant, Text: "I look.", Calls: twice},
		llm.Message{Role: llm.Tool, CallID: "call_a", Text: "rain"},
		llm.Message{Role: llm.Tool, CallID: "call_b", Text: ""},
		llm.Message{Role: llm.Assistant, Calls: []llm.ToolCall{{ID: "call_c", Name: "now"}}},
		llm.Message{Role: llm.Tool, CallID: "call_c", Text: "noon"})
	for name, caps := range map[string]openai.Capabilities{"chat": calling(openaitest.VLLM.Capabilities(false)), "responses": responsesWithTools(false)} {
		for _, choice := range []string{llm.ToolAuto, llm.ToolNone, llm.ToolRequired, "now"} {
			var messages []llm.Message
			var tools []llm.ToolSpec
			var chosen string
			s := openaitest.Serve(t, openaitest.VLLM, func(q openai.ChatRequest) openaitest.Reply {
				for _, m := range q.Messages {
					calls, err := m.Calls()
					if err != nil {
						t.Error(err)
					}
					messages = append(messages, llm.Message{Role: llm.Role(m.Role), Text: m.Content.Text, Calls: calls, CallID: m.ToolCallID})
				}
				tools, chosen = openaitest.Tools(q)
				return openaitest.Reply{Text: "It rains."}
			})
			r.ToolChoice = choice
			if got := one(t, newGenerator(t, s.URL, caps), r); got.Text != "It rains." || got.Finish != llm.FinishStop || got.Calls != nil {
				t.Errorf("%s: %+v", name, got)
			}
			want := []llm.ToolSpec{weather, {Name: "now", Schema: json.RawMessage(`{"type":"object","properties":{}}`)}}
			if d := cmp.Diff(r.Messages, messages) + cmp.Diff(want, tools); d != "" || chosen != choice {
				t.Errorf("%s: tool choice %q, want %q; %s", name, chosen, choice, d)
			}
			if body := string(s.Requests()[0].Body); strings.Contains(body, `\u003c`) || !strings.Contains(body, "Malmö <centre>") {
				t.Errorf("%s: escaped for HTML: %s", name, body)
			}
			s.Close()
		}
	}
}

// Without tools in the capabilities nothing about tools is sent, and by completions it never is.
func TestToolsRefused(t *testing.T) {
	g := newGenerator(t, openaitest.Refused(t), openaitest.VLLM.Capabilities(false))
	bad := map[string]func(*llm.Request){
		"tools": func(r *llm.Request) { r.Tools = []llm.ToolSpec{now} },
		"calls": func(r *llm.Request) {
			r.Messages = append(r.Messages, llm.Message{Role: llm.Assistant, Calls: twice})
		},
		"result": func(r *llm.Request) {
			r.Messages = append(r.Messages, llm.Message{Role: llm.Tool, CallID: "call_a"})
		},
	}
	for name, spoil := range bad {
		r := ask("?")
		spoil(&r)
		if _, err := g.Generate(t.Context(), []llm.Request{r}); !errors.Is(err, llm.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	g = newGenerator(t, openaitest.Refused(t), calling(openaitest.VLLM.Capabilities(false)))
	r := ask("?")
	r.Tools = []llm.ToolSpec{{Name: "now", Schema: json.RawMessage(`{"type":`)}}
	if _, err := g.Generate(t.Context(), []llm.Request{r}); !errors.Is(err, llm.ErrInvalid) {
		t.Errorf("a schema that is no JSON: %v", err)
	}
	caps := openai.Capabilities{API: openai.CompletionsAPI, Reasoning: openai.NoReasoning, Continue: openai.RawTemplate, Template: "plain", Tools: true}
	if err := caps.Validate(); err == nil || !strings.Contains(err.Error(), "tools") {
		t.Errorf("completions with tools: %v", err)
	}
}

// What models and servers do wrong about calls.
func TestOddCalls(t *testing.T) {
	many := make([]llm.ToolCall, 129)
	for i := range many {
		many[i] = llm.ToolCall{ID: fmt.Sprint(i), Name: "now", Arguments: "{}"}
	}
	tests := map[string]struct {
		reply   openaitest.Reply
		request func(*llm.Request)
		want    []llm.ToolCall
		finish  llm.Finish
		text    string
		outcome openai.Outcome
	}{
		"arguments that are no JSON": {reply: openaitest.Reply{Calls: []llm.ToolCall{{ID: "a", Name: "now", Arguments: `{"a":`}}},
			want: []llm.ToolCall{{ID: "a", Name: "now", Arguments: `{"a":`}}, finish: llm.FinishTools},
		"a tool that nobody knows": {reply: openaitest.Reply{Calls: []llm.ToolCall{{ID: "a", Name: "rm", Arguments: `{}`}}},
			want: []llm.ToolCall{{ID: "a", Name: "rm", Arguments: `{}`}}, finish: llm.FinishTools},
		"no names": {reply: openaitest.Reply{Calls: []llm.ToolCall{{ID: "a"}}}, outcome: openai.NotAnAnswer},
		"IDs of earlier calls": {reply: openaitest.Reply{Calls: []llm.ToolCall{{ID: "call_a", Name: "now"}, {ID: "call_b", Name: "now"}}},
			request: func(r *llm.Request) {
				r.Messages = append(r.Messages, llm.Message{Role: llm.Assistant, Calls: twice[:1]}, llm.Message{Role: llm.Tool, CallID: "call_a"})
			},
			want: []llm.ToolCall{{ID: "call_1", Name: "now"}, {ID: "call_b", Name: "now"}}, finish: llm.FinishTools},
		"finished as if there were none": {reply: openaitest.Reply{Calls: twice, Finish: "stop"}, want: twice, finish: llm.FinishTools},
		"cut short":                      {reply: openaitest.Reply{Text: "I", Calls: twice, Finish: "length"}, finish: llm.FinishLength, text: "I"},
		"a stop text before":             {reply: openaitest.Reply{Text: "I. look", Calls: twice}, finish: llm.FinishStop, text: "I"},
		"finished as if there were some": {reply: openaitest.Reply{Finish: "tool_calls"}, outcome: openai.NotAnAnswer},
		"none may be called":             {reply: openaitest.Reply{Calls: twice}, request: func(r *llm.Request) { r.ToolChoice = llm.ToolNone }, outcome: openai.ToolCall},
		"none are offered":               {reply: openaitest.Reply{Calls: twice}, request: func(r *llm.Request) { r.Tools = nil }, outcome: openai.ToolCall},
		"none are offered, and a text":   {reply: openaitest.Reply{Text: "I look", Calls: twice}, request: func(r *llm.Request) { r.Tools = nil }, finish: llm.FinishStop, text: "I look"},
		"too many":                       {reply: openaitest.Reply{Calls: many}, outcome: openai.TooLarge},
		"as many as may be":              {reply: openaitest.Reply{Calls: many[:128]}, want: many[:128], finish: llm.FinishTools},
	}
	for name, tc := range tests {
		both(t, func(t *testing.T, stream bool) {
			s := openaitest.New(t, openaitest.Exchange{Family: openaitest.VLLM, Reply: tc.reply})
			for api, caps := range map[string]openai.Capabilities{"chat": calling(openaitest.VLLM.Capabilities(stream)), "responses": responsesWithTools(stream)} {
				if api == "responses" && name == "finished as if there were some" {
					continue // nothing in a response says so
				}
				r := offering(ask("?"))
				r.Stop = []string{"."}
				if tc.request != nil {
					tc.request(&r)
				}
				out, err := newGenerator(t, s.URL, caps).Generate(t.Context(), []llm.Request{r})
				if openai.OutcomeOf(err) != tc.outcome || (err == nil) != (tc.outcome == "") {
					t.Fatalf("%s, %s: %v, want %q", name, api, err, tc.outcome)
				}
				if err != nil {
					continue
				}
				if d := cmp.Diff(tc.want, out[0].Calls); d != "" || out[0].Finish != tc.finish || out[0].Text != tc.text {
					t.Errorf("%s, %s: %+v %s", name, api, out[0], d)
				}
			}
		})
	}
}

// OpenAI's own client reads the calls of openaitest, and what candor sends is what it would send.
func TestOfficialClientReadsTheCalls(t *testing.T) {
	for _, f := range []openaitest.Family{openaitest.VLLM, openaitest.SGLang, openaitest.Ollama, openaitest.OpenAI, openaitest.DeepSeek, openaitest.LlamaCPP, openaitest.OpenRouter} {
		s := openaitest.New(t, openaitest.Exchange{Family: f, Reply: openaitest.Reply{Text: "I look.", Calls: twice}})
		c := official.NewClient(option.WithBaseURL(s.URL), option.WithAPIKey("k"), option.WithMaxRetries(0))
		params := official.ChatCompletionNewParams{Model: "m", Messages: []official.ChatCompletionMessageParamUnion{official.UserMessage("?")},
			Tools: []official.ChatCompletionToolUnionParam{official.ChatCompletionFunctionTool(official.FunctionDefinitionParam{Name: "now"})}}
		check := func(how string, r *official.ChatCompletion) {
			t.Helper()
			m := r.Choices[0]
			if len(m.Message.ToolCalls) != 2 || m.FinishReason != "tool_calls" || m.Message.ToolCalls[0].Function.Arguments != twice[0].Arguments ||
				m.Message.ToolCalls[1].ID != "call_b" || m.Message.ToolCalls[1].Function.Name != "now" {
				t.Errorf("%s, %s: %s", f, how, r.RawJSON())
			}
		}
		whole, err := c.Chat.Completions.New(t.Context(), params)
		if err != nil {
			t.Fatal(err)
		}
		check("whole", whole)
		stream := c.Chat.Completions.NewStreaming(t.Context(), params)
		var all official.ChatCompletionAccumulator
		for stream.Next() {
			all.AddChunk(stream.Current())
		}
		check("streamed", &all.ChatCompletion)
		if tools, _ := openaitest.Tools(s.Requests()[0].Chat); len(tools) != 1 || tools[0].Name != "now" {
			t.Errorf("%s: tools %+v", f, tools)
		}
	}
	s := openaitest.New(t, openaitest.Exchange{Family: openaitest.OpenAI, Reply: openaitest.Reply{Calls: twice}})
	c := official.NewClient(option.WithBaseURL(s.URL), option.WithAPIKey("k"), option.WithMaxRetries(0))
	r, err := c.Responses.New(t.Context(), responses.ResponseNewParams{Model: "m", Input: responses.ResponseNewParamsInputUnion{OfString: official.String("?")}})
	if err != nil || len(r.Output) != 2 || r.Output[0].AsFunctionCall().Arguments != twice[0].Arguments || r.Output[1].AsFunctionCall().CallID != "call_b" {
		t.Errorf("%+v, %v", r, err)
	}
}
