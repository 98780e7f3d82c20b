package api

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	openaigo "github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/packages/param"
	"github.com/openai/openai-go/v3/responses"
	"github.com/openai/openai-go/v3/shared"

	"candor/reasoning/llm"
)

// weather is a backend that calls a tool for each of two cities, and tells what came of it once it has the results.
func weather(seen *[]llm.Request) *scripted {
	return &scripted{answer: func(_ context.Context, c *Call) (*Answers, error) {
		*seen = append(*seen, c.Requests...)
		out := make([]Answer, len(c.Requests))
		for i, r := range c.Requests {
			var results []string
			for _, m := range r.Messages {
				if m.Role == llm.Tool {
					results = append(results, m.CallID+"="+m.Text)
				}
			}
			if results != nil {
				out[i].Completion = llm.Completion{Text: strings.Join(results, ", "), Finish: llm.FinishStop}
				continue
			}
			out[i].Completion = llm.Completion{Text: "I look.", Finish: llm.FinishTools, Calls: []llm.ToolCall{
				{ID: "c1", Name: "weather", Arguments: `{"city":"Bern"}`}, {Name: "weather", Arguments: `{"city":"<Rom>"}`},
			}}
		}
		return &Answers{Answers: out}, nil
	}}
}

var schema = map[string]any{"type": "object", "properties": map[string]any{"city": map[string]any{"type": "string"}}}

func TestChatTools(t *testing.T) {
	var seen []llm.Request
	c := client(t, serverOf(t, weather(&seen), withTools))
	ask := openaigo.ChatCompletionNewParams{
		Model: "small:rl", Messages: user("the weather?"),
		Tools: []openaigo.ChatCompletionToolUnionParam{openaigo.ChatCompletionFunctionTool(shared.FunctionDefinitionParam{Name: "weather", Description: param.NewOpt("tells it"), Parameters: schema})},
		ToolChoice: openaigo.ChatCompletionToolChoiceOptionUnionParam{OfFunctionToolChoice: &openaigo.ChatCompletionNamedToolChoiceParam{
			Function: openaigo.ChatCompletionNamedToolChoiceFunctionParam{Name: "weather"},
		}},
	}
	got, err := c.Chat.Completions.New(t.Context(), ask)
	if err != nil {
		t.Fatal(err)
	}
	r := seen[0]
	if len(r.Tools) != 1 || r.Tools[0].Name != "weather" || r.Tools[0].Description != "tells it" || !json.Valid(r.Tools[0].Schema) || r.ToolChoice != "weather" {
		t.Errorf("the request has %+v, %q", r.Tools, r.ToolChoice)
	}
	message := got.Choices[0].Message
	calls := message.ToolCalls
	if got.Choices[0].FinishReason != "tool_calls" || message.Content != "I look." || len(calls) != 2 || calls[0].ID != "c1" || calls[1].ID == "" || calls[1].ID == "c1" || calls[1].Function.Arguments != `{"city":"<Rom>"}` {
		t.Fatalf("answer %s", got.RawJSON())
	}
	stream, acc := c.Chat.Completions.NewStreaming(t.Context(), ask), openaigo.ChatCompletionAccumulator{}
	for stream.Next() {
		acc.AddChunk(stream.Current())
	}
	if stream.Err() != nil || len(acc.Choices) != 1 {
		t.Fatalf("%v, %d choices", stream.Err(), len(acc.Choices))
	}
	for i, call := range acc.Choices[0].Message.ToolCalls {
		if call.Function.Name != "weather" || call.Function.Arguments != calls[i].Function.Arguments || call.ID == "" {
			t.Errorf("streamed call %d: %+v", i, call)
		}
	}
	if n := len(acc.Choices[0].Message.ToolCalls); n != 2 || acc.Choices[0].FinishReason != "tool_calls" || acc.Choices[0].Message.Content != "I look." {
		t.Errorf("streamed %d calls: %+v", n, acc.Choices[0])
	}
	ask.Messages = append(ask.Messages, message.ToParam(), openaigo.ToolMessage("sun", "c1"), openaigo.ToolMessage("rain", calls[1].ID))
	got, err = c.Chat.Completions.New(t.Context(), ask)
	if err != nil {
		t.Fatal(err)
	}
	if want := "c1=sun, " + calls[1].ID + "=rain"; got.Choices[0].Message.Content != want || got.Choices[0].FinishReason != "stop" {
		t.Errorf("answer %s", got.RawJSON())
	}
	want := []llm.Message{
		{Role: llm.User, Text: "the weather?"},
		{Role: llm.Assistant, Text: "I look.", Calls: []llm.ToolCall{{ID: "c1", Name: "weather", Arguments: `{"city":"Bern"}`}, {ID: calls[1].ID, Name: "weather", Arguments: `{"city":"<Rom>"}`}}},
		{Role: llm.Tool, Text: "sun", CallID: "c1"}, {Role: llm.Tool, Text: "rain", CallID: calls[1].ID},
	}
	if d := cmp.Diff(want, seen[len(seen)-1].Messages); d != "" {
		t.Errorf("the backend got -want +got\n%s", d)
	}
}

func TestResponsesTools(t *testing.T) {
	var seen []llm.Request
	c := client(t, serverOf(t, weather(&seen), withTools))
	ask := responses.ResponseNewParams{
		Model: "small:rl", Instructions: param.NewOpt("be short"), Input: responses.ResponseNewParamsInputUnion{OfString: param.NewOpt("the weather?")},
		Tools:             []responses.ToolUnionParam{responses.ToolParamOfFunction("weather", schema, true)},
		ToolChoice:        responses.ResponseNewParamsToolChoiceUnion{OfToolChoiceMode: param.NewOpt(responses.ToolChoiceOptionsRequired)},
		ParallelToolCalls: param.NewOpt(true), Store: param.NewOpt(true), User: param.NewOpt("me"), SafetyIdentifier: param.NewOpt("x"), Metadata: shared.Metadata{"a": "b"}, ServiceTier: "auto",
	}
	got, err := c.Responses.New(t.Context(), ask)
	if err != nil {
		t.Fatal(err)
	}
	if r := seen[0]; len(r.Tools) != 1 || r.Tools[0].Name != "weather" || r.ToolChoice != llm.ToolRequired {
		t.Errorf("the request has %+v, %q", r.Tools, r.ToolChoice)
	}
	if len(got.Output) != 3 || got.OutputText() != "I look." || got.Status != "completed" || got.Tools[0].Name != "weather" || got.ToolChoice.OfToolChoiceMode != "required" {
		t.Fatalf("answer %s", got.RawJSON())
	}
	one, two := got.Output[1].AsFunctionCall(), got.Output[2].AsFunctionCall()
	if one.CallID != "c1" || one.Name != "weather" || two.CallID == "" || two.Arguments != `{"city":"<Rom>"}` || one.ID == two.ID || one.ID == "" {
		t.Errorf("answer %s", got.RawJSON())
	}
	streamed(t, c, ask, got)
	ask.Input = responses.ResponseNewParamsInputUnion{OfInputItemList: responses.ResponseInputParam{
		responses.ResponseInputItemParamOfMessage("the weather?", responses.EasyInputMessageRoleUser),
		responses.ResponseInputItemParamOfMessage("I look.", responses.EasyInputMessageRoleAssistant),
		responses.ResponseInputItemParamOfFunctionCall(one.Arguments, one.CallID, one.Name),
		responses.ResponseInputItemParamOfFunctionCall(two.Arguments, two.CallID, two.Name),
		result(one.CallID, "sun"), result(two.CallID, "rain"),
	}}
	got, err = c.Responses.New(t.Context(), ask)
	if err != nil || got.OutputText() != "c1=sun, "+two.CallID+"=rain" {
		t.Fatalf("%v, %s", err, got.RawJSON())
	}
	want := []llm.Message{
		{Role: llm.System, Text: "be short"}, {Role: llm.User, Text: "the weather?"},
		{Role: llm.Assistant, Text: "I look.", Calls: []llm.ToolCall{{ID: "c1", Name: "weather", Arguments: one.Arguments}, {ID: two.CallID, Name: "weather", Arguments: two.Arguments}}},
		{Role: llm.Tool, Text: "sun", CallID: "c1"}, {Role: llm.Tool, Text: "rain", CallID: two.CallID},
	}
	if d := cmp.Diff(want, seen[len(seen)-1].Messages); d != "" {
		t.Errorf("the backend got -want +got\n%s", d)
	}
}

func result(id, text string) responses.ResponseInputItemUnionParam {
	r := responses.ResponseInputItemParamOfFunctionCallOutput(text)
	r.OfFunctionCallOutput.CallID = param.NewOpt(id)
	return r
}

// streamed compares the events of a response with two calls to the whole.
func streamed(t *testing.T, c openaigo.Client, ask responses.ResponseNewParams, whole *responses.Response) {
	t.Helper()
	events := c.Responses.NewStreaming(t.Context(), ask)
	var kinds []string
	arguments := map[int64]string{}
	for events.Next() {
		e := events.Current()
		kinds = append(kinds, strings.TrimPrefix(e.Type, "response."))
		switch e.Type {
		case "response.function_call_arguments.delta":
			arguments[e.OutputIndex] += e.Delta
		case "response.function_call_arguments.done":
			if e.Arguments != arguments[e.OutputIndex] || e.Arguments != whole.Output[e.OutputIndex].Arguments.OfString {
				t.Errorf("event %s", e.RawJSON())
			}
		case "response.completed":
			if len(e.Response.Output) != 3 || e.Response.Output[1].CallID != "c1" {
				t.Errorf("event %s", e.RawJSON())
			}
		}
	}
	call := " output_item.added function_call_arguments.delta function_call_arguments.done output_item.done"
	want := "created in_progress output_item.added content_part.added output_text.delta output_text.done content_part.done output_item.done" + call + call + " completed"
	if events.Err() != nil || strings.Join(kinds, " ") != want {
		t.Errorf("%v, events %v", events.Err(), kinds)
	}
}

// What tools, calls and results may not be.
func TestToolsRefused(t *testing.T) {
	const cc, rs = "/v1/chat/completions", "/v1/responses"
	chat := func(fields string) string { return `{"messages":[{"role":"user","content":"a"}],` + fields + `}` }
	tool := func(fields string) string {
		return chat(`"tools":[{"type":"function","function":{` + fields + `}}]`)
	}
	messages := func(list string) string { return `{"messages":[` + list + `]}` }
	const called = `{"role":"assistant","tool_calls":[{"id":"c1","type":"function","function":{"name":"f","arguments":"{"}}]}`
	many := make([]string, maxTools+1)
	large := make([]string, 10)
	for i := range many {
		many[i] = fmt.Sprintf(`{"type":"function","function":{"name":"f%d"}}`, i)
	}
	for i := range large {
		large[i] = fmt.Sprintf(`{"type":"function","function":{"name":"f%d","parameters":{"x":"%s"}}}`, i, strings.Repeat("x", 60<<10))
	}
	for _, test := range []struct{ path, body, param, says string }{
		{cc, chat(`"tools":7`), "tools", "a list"},
		{cc, chat(`"tools":[7]`), "tools", "an object"},
		{cc, tool(`"name":7`), "tools.function.name", "a string"},
		{rs, `{"input":"a","tools":[{"type":"function","name":7}]}`, "tools.name", "a string"},
		{cc, chat(`"tools":[{}]`), "tools.0.type", "type function"},
		{rs, `{"input":"a","tools":[{"type":"web_search"}]}`, "tools.0.type", "web_search"},
		{cc, chat(`"tools":[{"type":"function"}]`), "tools.0.name", "letters"},
		{cc, tool(`"name":"a b"`), "tools.0.name", "letters"},
		{cc, tool(`"name":"required"`), "tools.0.name", "not auto, none or required"},
		{cc, tool(`"name":"` + strings.Repeat("a", maxToolName+1) + `"`), "tools.0.name", "letters"},
		{cc, tool(`"name":"a","description":"` + strings.Repeat("a", maxToolAbout+1) + `"`), "tools.0.description", "at most"},
		{cc, tool(`"name":"a","parameters":[]`), "tools.0.parameters", "an object"},
		{cc, tool(`"name":"a","parameters":{"a":"` + strings.Repeat("a", maxToolSchema) + `"}`), "tools.0.parameters", "too large"},
		{cc, chat(`"tools":[` + strings.Join(many, ",") + `]`), "tools", "at most 128"},
		{cc, chat(`"tools":[` + strings.Join(large, ",") + `]`), "tools.8.parameters", "too large"},
		{cc, chat(`"tools":[` + many[0] + `,` + many[0] + `]`), "tools.1.name", "two tools"},
		{cc, chat(`"tool_choice":"required"`), "tool_choice", "there are no tools"},
		{cc, chat(`"tool_choice":"f0"`), "tool_choice", "must be auto"},
		{cc, chat(`"tool_choice":7`), "tool_choice", "must be auto"},
		{cc, chat(`"tools":[` + many[0] + `],"tool_choice":{"type":"function","function":{"name":"g"}}`), "tool_choice", "none of the tools"},
		{cc, chat(`"tools":[` + many[0] + `],"tool_choice":{"type":"allowed_tools"}`), "tool_choice", "must be auto"},
		{cc, messages(`{"role":"tool","tool_call_id":"c1","content":"a"}`), "messages.0.tool_call_id", "no message before"},
		{cc, messages(called + `,{"role":"tool","tool_call_id":"c2","content":"a"}`), "messages.1.tool_call_id", "no message before"},
		{cc, messages(called + `,{"role":"tool","tool_call_id":"c1","content":7}`), "messages.1.content", "a string or a list"},
		{cc, messages(`{"role":"user","content":"a","tool_calls":[{"id":"c1"}]}`), "messages.0.tool_calls.0", "only an assistant's"},
		{cc, messages(`{"role":"assistant","tool_calls":[{"id":"","function":{"name":"f"}}]}`), "messages.0.tool_calls.0", "an ID of 0 bytes"},
		{cc, messages(`{"role":"assistant","tool_calls":[{"id":"a","function":{}}]}`), "messages.0.tool_calls.0", "must call a function"},
		{cc, messages(`{"role":"assistant","tool_calls":[{"id":"a","type":"custom"}]}`), "messages.0.tool_calls.0.type", "custom"},
		{cc, messages(`{"role":"assistant","tool_calls":[{"id":7}]}`), "messages.tool_calls.id", "a string"},
		{cc, messages(`{"role":"assistant","tool_calls":[` + strings.Repeat(`{"id":"a","function":{"name":"f"}},`, maxTools) + `{"id":"a","function":{"name":"f"}}]}`), "messages.0.tool_calls.128", "128 times"},
		{cc, `{"continue_final_message":true,"messages":[` + called + `]}`, "messages.0", "cannot be carried on"},
		{cc, messages(`{"role":"function","content":"a"}`), "messages.0.role", "assistant, tool"},
		{rs, `{"input":[{"type":"function_call_output","call_id":"c1","output":"a"}]}`, "input.0.call_id", "no message before"},
		{rs, `{"input":[{"type":"function_call","name":"f"}]}`, "input.0", "an ID of 0 bytes"},
		{rs, `{"input":[{"type":"reasoning"}]}`, "input.0.type", "function_call_output"},
		{"/v1/completions", `{"prompt":"a","tools":[` + many[0] + `]}`, "tools", "not supported"},
	} {
		s := serverOf(t, same(Answer{}), withTools)
		w := post(s, test.path, test.body)
		if d := told(t, w); w.Code != 400 || d.Param != test.param || !strings.Contains(d.Message, test.says) {
			t.Errorf("%s %.120s\ngave %d, param %q: %s\nwant param %q: %s", test.path, test.body, w.Code, d.Param, d.Message, test.param, test.says)
		}
	}
	// a model without tools reads nothing of them
	for _, body := range []string{tool(`"name":"f"`), messages(called)} {
		if w := post(serverOf(t, same(Answer{}), nil), cc, body); w.Code != 400 {
			t.Errorf("%s: %d %s", body, w.Code, w.Body)
		}
	}
	// forms that are taken
	for _, body := range []string{
		chat(`"tool_choice":"none"`), chat(`"tool_choice":null,"tools":null`), tool(`"name":"f","parameters":null,"strict":true`),
		chat(`"tools":[{"type":"function","name":"f"}],"tool_choice":{"type":"function","name":"f"}`), messages(called), messages(`{"role":"assistant","content":null,"refusal":"no"},{"role":"user","content":"a"}`),
	} {
		if w := post(serverOf(t, same(Answer{}), withTools), cc, body); w.Code != 200 {
			t.Errorf("%s: %d %s", body, w.Code, w.Body)
		}
	}
}
