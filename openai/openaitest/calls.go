package openaitest

import (
	"encoding/json"
	"fmt"

	"candor/openai"
	"candor/reasoning/llm"
)

// Tools returns the tools that a request offers, and what it says of choosing among them as llm.Request has it.
func Tools(r openai.ChatRequest) (tools []llm.ToolSpec, choice string) {
	var list []struct {
		Function struct {
			Name, Description string
			Parameters        json.RawMessage
		}
	}
	_ = json.Unmarshal(r.Tools, &list)
	for _, t := range list {
		tools = append(tools, llm.ToolSpec{Name: t.Function.Name, Description: t.Function.Description, Schema: t.Function.Parameters})
	}
	var named struct{ Function struct{ Name string } }
	if json.Unmarshal(r.ToolChoice, &choice) != nil && json.Unmarshal(r.ToolChoice, &named) == nil {
		choice = named.Function.Name
	}
	if choice == "auto" {
		choice = llm.ToolAuto
	}
	return tools, choice
}

// chatOf turns what a response was asked into the form of a chat completion, as far as tools are concerned.
func chatOf(c openai.ResponseRequest) (tools, choice json.RawMessage) {
	var list []struct {
		Type, Name, Description string
		Parameters              json.RawMessage
	}
	if json.Unmarshal(c.Tools, &list) == nil && len(list) > 0 {
		var out []any
		for _, t := range list {
			out = append(out, obj{"type": t.Type, "function": obj{"name": t.Name, "description": t.Description, "parameters": t.Parameters}})
		}
		tools = json.RawMessage(text(out))
	}
	var named struct{ Name string }
	choice = c.ToolChoice
	if json.Unmarshal(choice, &named) == nil && named.Name != "" {
		choice = json.RawMessage(text(obj{"type": "function", "function": obj{"name": named.Name}}))
	}
	return tools, choice
}

// addItem adds an item of a response's input to the messages.
func addItem(messages []openai.ChatMessage, item openai.ResponseItem) []openai.ChatMessage {
	value := func(s *string) string {
		if s == nil {
			return ""
		}
		return *s
	}
	switch item.Type {
	case "function_call":
		call := obj{"id": item.CallID, "type": "function", "function": obj{"name": item.Name, "arguments": value(item.Arguments)}}
		n := len(messages) - 1
		if n < 0 || messages[n].Role != "assistant" {
			messages = append(messages, openai.ChatMessage{Role: "assistant", Content: openai.Content{Null: true}})
			n++
		}
		var calls []any
		_ = json.Unmarshal(messages[n].ToolCalls, &calls)
		messages[n].ToolCalls = json.RawMessage(text(append(calls, call)))
		return messages
	case "function_call_output":
		return append(messages, openai.ChatMessage{Role: "tool", Content: openai.Text(value(item.Output)), ToolCallID: item.CallID})
	}
	var said string
	for _, p := range item.Content {
		said += p.Text
	}
	return append(messages, openai.ChatMessage{Role: item.Role, Content: openai.Text(said)})
}

// call is a whole call of a tool.
func (f *form) call(i int, c llm.ToolCall) obj {
	function := obj{"name": c.Name, "arguments": c.Arguments}
	out := obj{"id": c.ID, "type": "function", "function": function}
	switch f.family {
	case Ollama, OpenRouter, SGLang:
		out["index"] = i
	case Mistral:
		delete(out, "type")
		out["index"] = i
	}
	return out
}

// calls are all of them.
func (f *form) calls() []any {
	var out []any
	for i, c := range f.reply.Calls {
		out = append(out, f.call(i, c))
	}
	return out
}

// callDeltas are the pieces by which a family streams its calls: Ollama and Mistral send them whole, the others name a tool first
// and send its arguments in pieces.
func (f *form) callDeltas() (deltas []obj) {
	if len(f.reply.Calls) == 0 {
		return nil
	}
	if f.family == Ollama || f.family == Mistral {
		return []obj{{"tool_calls": f.calls()}}
	}
	for i, c := range f.reply.Calls {
		first := obj{"index": i, "id": c.ID, "type": "function", "function": obj{"name": c.Name, "arguments": ""}}
		deltas = append(deltas, obj{"tool_calls": []any{first}})
		for _, piece := range pieces(c.Arguments) {
			more := obj{"index": i, "function": obj{"arguments": piece}}
			switch f.family {
			case SGLang:
				more["id"], more["type"], more["function"] = nil, "function", obj{"name": nil, "arguments": piece}
			case OpenRouter:
				more["type"] = "function"
			}
			deltas = append(deltas, obj{"tool_calls": []any{more}})
		}
	}
	return deltas
}

// callItems are the calls in a response.
func (f *form) callItems() (items []obj) {
	for i, c := range f.reply.Calls {
		items = append(items, obj{"id": fmt.Sprintf("fc_%d", i), "type": "function_call", "status": "completed", "call_id": c.ID, "name": c.Name,
			"arguments": c.Arguments})
	}
	return items
}
