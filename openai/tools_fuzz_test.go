package openai

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"candor/reasoning/llm"
)

// Pieces of calls come in many ways; what they make up is the same.
func TestCallPieces(t *testing.T) {
	tests := map[string]struct {
		pieces []string
		want   string
	}{
		"by index": {[]string{`[{"index":0,"id":"a","function":{"name":"f","arguments":""}}]`, `[{"index":1,"id":"b","function":{"name":"g","arguments":"1"}}]`,
			`[{"index":0,"function":{"arguments":"{"}},{"index":1,"function":{"arguments":"2"}}]`, `[{"index":0,"function":{"arguments":"}"}}]`}, "a f {} b g 12"},
		"all at index 0":       {[]string{`[{"index":0,"id":"a","function":{"name":"f","arguments":"1"}},{"index":0,"id":"b","function":{"name":"g","arguments":"2"}}]`}, "a f 1 b g 2"},
		"no index":             {[]string{`[{"id":"a","function":{"name":"f","arguments":"1"}}]`, `[{"function":{"arguments":"1"}}]`, `[{"id":"b","function":{"name":"g","arguments":"2"}}]`}, "a f 11 b g 2"},
		"no index and no ID":   {[]string{`[{"function":{"name":"f","arguments":"1"}},{"function":{"name":"f","arguments":"2"}}]`}, " f 1  f 2"},
		"the ID on each piece": {[]string{`[{"index":0,"id":"a","function":{"name":"f","arguments":"1"}}]`, `[{"index":0,"id":"a","function":{"name":null,"arguments":"2"}}]`}, "a f 12"},
		"arguments as JSON":    {[]string{`[{"index":0,"id":"a","function":{"name":"f","arguments":{"x": 1}}}]`}, `a f {"x":1}`},
		"null arguments":       {[]string{`[{"index":0,"id":"a","function":{"name":"f","arguments":null}}]`, `null`, `[]`}, "a f "},
		"a huge index":         {[]string{`[{"index":2000000000,"id":"a","function":{"name":"f","arguments":"1"}}]`}, "a f 1"},
	}
	for name, tc := range tests {
		var c callCollector
		for _, p := range tc.pieces {
			if _, ok := c.add(json.RawMessage(p)); !ok {
				t.Errorf("%s: too many", name)
			}
		}
		calls, err := (&ChatMessage{ToolCalls: c.raw()}).Calls()
		var got []string
		for _, call := range calls {
			got = append(got, call.ID+" "+call.Name+" "+call.Arguments)
		}
		if s := strings.Join(got, " "); err != nil || s != tc.want {
			t.Errorf("%s: %q, %v, want %q", name, s, err, tc.want)
		}
	}
	var c callCollector
	if _, ok := c.add(json.RawMessage("[" + strings.Repeat(`{"function":{"name":"f"}},`, 128) + `{"function":{"name":"f"}}]`)); ok {
		t.Error("129 calls are not too many")
	}
}

// Whatever a server sends where calls are expected, a completion's calls are whole, or it is an error of the package.
func FuzzCalls(f *testing.F) {
	f.Add(0, `data: {"choices":[{"index":0,"delta":{"content":null,"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":""}}]}}]}`+"\n\n"+
		`data: {"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{}"}}]},"finish_reason":"tool_calls"}]}`+"\n\ndata: [DONE]\n\n")
	f.Add(0, `data: {"choices":[{"index":0,"delta":{"tool_calls":{"a":1}},"finish_reason":"stop"}]}`+"\n\ndata: [DONE]\n\n")
	f.Add(1, `{"choices":[{"message":{"content":null,"tool_calls":[{"id":"","function":{"name":"f","arguments":{"a":1}}},{"function":{"name":"f"}}]},"finish_reason":"tool_calls"}]}`)
	f.Add(1, `{"choices":[{"message":{"content":"a.b","tool_calls":[{}]},"finish_reason":"length"}]}`)
	f.Add(2, `{"status":"completed","output":[{"type":"function_call","call_id":"a","name":"f","arguments":"{}"},{"type":"function_call","call_id":1,"name":"f","arguments":[]},{"type":"code_call","output":{}}]}`)
	f.Add(3, `data: {"type":"response.output_item.added","output_index":0,"item":{"type":"function_call","call_id":"a","name":"f"}}`+"\n\n"+
		`data: {"type":"response.function_call_arguments.delta","output_index":0,"delta":"{}"}`+"\n\n"+`data: {"type":"response.completed","response":{"output":[]}}`+"\n\n")
	chat := Capabilities{API: ChatAPI, Reasoning: ThinkTags, Provenance: llm.Raw, Continue: NoContinue, Tools: true}
	respond := Capabilities{API: ResponsesAPI, Reasoning: ResponsesItems, Provenance: llm.Raw, Continue: NoContinue, Tools: true}
	f.Fuzz(func(t *testing.T, how int, body string) {
		media, caps := "text/event-stream", chat
		if how%2 == 1 {
			media = "application/json"
		}
		if how%4 >= 2 {
			caps = respond
			media = map[bool]string{true: "text/event-stream", false: "application/json"}[how%2 == 1]
		}
		g, _ := NewGenerator(replay(t, media, body), "m", caps)
		out, err := g.Generate(context.Background(), []llm.Request{{Messages: []llm.Message{{Role: llm.User, Text: "q"}}, MaxTokens: 9,
			Stop: []string{"."}, Tools: []llm.ToolSpec{{Name: "f"}}}})
		if err != nil {
			if OutcomeOf(err) == "" || strings.ContainsAny(err.Error(), "\n\r\x1b\x00") {
				t.Errorf("error %q", err)
			}
			return
		}
		c := out[0]
		checkCompletion(t, c)
		if (c.Finish == llm.FinishTools) != (len(c.Calls) > 0) || len(c.Calls) > maxCalls {
			t.Errorf("%d calls, finish %s", len(c.Calls), c.Finish)
		}
		ids := map[string]bool{}
		for _, call := range c.Calls {
			if call.Name == "" || call.ID == "" || ids[call.ID] {
				t.Errorf("call %+v", call)
			}
			ids[call.ID] = true
		}
	})
}
