package openai

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"

	"candor/reasoning/llm"
)

// maxCalls bounds the tool calls of one answer.
const maxCalls = 128

// ChatTool is an entry of ChatRequest.Tools.
type ChatTool struct {
	Type     string       `json:"type"` // function
	Function ChatFunction `json:"function"`
}

// ChatFunction is a tool that may be called.
type ChatFunction struct {
	Name        string          `json:"name"`
	Description string          `json:"description,omitempty"`
	Parameters  json.RawMessage `json:"parameters,omitempty"` // the JSON Schema of its arguments
}

// ResponseTool is an entry of ResponseRequest.Tools.
type ResponseTool struct {
	Type string `json:"type"` // function
	ChatFunction
}

// ChatToolCall is an entry of ChatMessage.ToolCalls, and of ChatDelta.ToolCalls, where it may be a piece of one.
type ChatToolCall struct {
	Index    *int             `json:"index,omitempty"` // which call a piece belongs to
	ID       string           `json:"id,omitempty"`
	Type     string           `json:"type,omitempty"` // function
	Function ChatFunctionCall `json:"function"`
}

// ChatFunctionCall says which tool is called and with what.
type ChatFunctionCall struct {
	Name      string   `json:"name,omitempty"`
	Arguments argument `json:"arguments"`
}

// argument is a text of JSON. Some servers send the JSON itself in its place.
type argument string

// UnmarshalJSON implements json.Unmarshaler.
func (a *argument) UnmarshalJSON(data []byte) error {
	*a = argument(textOf(data))
	return nil
}

// textOf returns the text that valid JSON is, "" for null, and the JSON itself where it is something else.
func textOf(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return s
	}
	var b bytes.Buffer
	_ = json.Compact(&b, raw)
	return b.String()
}

// Calls returns the tool calls of an assistant's message; none if there are none.
func (m *ChatMessage) Calls() ([]llm.ToolCall, error) {
	if !isSet(m.ToolCalls) {
		return nil, nil
	}
	var calls []ChatToolCall
	if err := json.Unmarshal(m.ToolCalls, &calls); err != nil {
		return nil, fmt.Errorf("reading the calls of tools: %w", err)
	}
	out := make([]llm.ToolCall, len(calls))
	for i, c := range calls {
		out[i] = llm.ToolCall{ID: c.ID, Name: c.Function.Name, Arguments: string(c.Function.Arguments)}
	}
	return out, nil
}

// callCollector assembles the calls of a stream.
type callCollector struct {
	calls []*callPieces
	odd   json.RawMessage // the first piece that is no list of calls
}

type callPieces struct {
	index     *int
	id, name  string
	arguments []byte
}

// add adds a piece. It returns by how many bytes the calls grew, and false where there are too many.
func (c *callCollector) add(raw json.RawMessage) (grown int64, ok bool) {
	if !isSet(raw) {
		return 0, true
	}
	var pieces []ChatToolCall
	if err := json.Unmarshal(raw, &pieces); err != nil {
		if c.odd != nil {
			return 0, true
		}
		c.odd = bytes.Clone(raw)
		return int64(len(raw)), true
	}
	for _, p := range pieces {
		one := c.find(p)
		if one == nil {
			if len(c.calls) == maxCalls {
				return grown, false
			}
			one = &callPieces{index: p.Index}
			c.calls = append(c.calls, one)
			grown += 100
		}
		if one.id == "" {
			one.id = p.ID
			grown += int64(len(p.ID))
		}
		if one.name == "" {
			one.name = p.Function.Name
			grown += int64(len(p.Function.Name))
		}
		one.arguments = append(one.arguments, p.Function.Arguments...)
		grown += int64(len(p.Function.Arguments))
	}
	return grown, true
}

// find returns the call that a piece belongs to, nil if it begins one: the last with its index, or, where there are no indices, the
// last. Another ID begins another call, since some servers give all of them the same index.
func (c *callCollector) find(p ChatToolCall) *callPieces {
	for _, one := range slices.Backward(c.calls) {
		if p.Index != nil && (one.index == nil || *one.index != *p.Index) {
			continue
		}
		if p.ID != "" && one.id != "" && p.ID != one.id || p.Index == nil && p.ID == "" && p.Function.Name != "" {
			return nil
		}
		return one
	}
	return nil
}

// raw returns the calls in the form of an answer in one piece; nil if there are none.
func (c *callCollector) raw() json.RawMessage {
	if len(c.calls) == 0 {
		return c.odd
	}
	calls := make([]ChatToolCall, len(c.calls))
	for i, p := range c.calls {
		calls[i] = ChatToolCall{ID: p.id, Type: "function", Function: ChatFunctionCall{Name: p.name, Arguments: argument(p.arguments)}}
	}
	raw, err := plainJSON(calls)
	if err != nil {
		return c.odd
	}
	return raw
}

// noArguments is the schema of a tool without arguments, which some servers want to see.
const noArguments = `{"type":"object","properties":{}}`

func function(t llm.ToolSpec) ChatFunction {
	f := ChatFunction{Name: t.Name, Description: t.Description, Parameters: t.Schema}
	if len(f.Parameters) == 0 {
		f.Parameters = json.RawMessage(noArguments)
	}
	return f
}

// offered tells whether the model may call a tool.
func offered(r llm.Request) bool { return len(r.Tools) > 0 && r.ToolChoice != llm.ToolNone }

// checkTools refuses what nobody could send, and all of it where the model cannot call tools.
func (c Capabilities) checkTools(r llm.Request) error {
	if !c.Tools {
		if len(r.Tools) > 0 {
			return invalid("%d tools are offered to a model that cannot call any: ask without, or say in its capabilities that it can", len(r.Tools))
		}
		for i, m := range r.Messages {
			if len(m.Calls) > 0 || m.Role == llm.Tool {
				return invalid("message %d is about the call of a tool, which this model does not know", i)
			}
		}
	}
	for _, t := range r.Tools {
		if len(t.Schema) > 0 && !json.Valid(t.Schema) {
			return invalid("the schema of the tool %s is not JSON", spell(t.Name))
		}
	}
	return nil
}

// chatTools returns what a chat completion says of tools.
func chatTools(r llm.Request) (tools, choice json.RawMessage) {
	if len(r.Tools) == 0 {
		return nil, nil
	}
	list := make([]ChatTool, len(r.Tools))
	for i, t := range r.Tools {
		list[i] = ChatTool{Type: "function", Function: function(t)}
	}
	tools, _ = plainJSON(list) // what is not JSON in it was refused
	switch r.ToolChoice {
	case llm.ToolAuto:
	case llm.ToolNone, llm.ToolRequired:
		choice, _ = plainJSON(r.ToolChoice)
	default:
		choice, _ = plainJSON(map[string]any{"type": "function", "function": map[string]any{"name": r.ToolChoice}})
	}
	return tools, choice
}

// responseTools is the same for a response.
func responseTools(r llm.Request) (tools, choice json.RawMessage) {
	if len(r.Tools) == 0 {
		return nil, nil
	}
	list := make([]ResponseTool, len(r.Tools))
	for i, t := range r.Tools {
		list[i] = ResponseTool{Type: "function", ChatFunction: function(t)}
	}
	tools, _ = plainJSON(list)
	switch r.ToolChoice {
	case llm.ToolAuto:
	case llm.ToolNone, llm.ToolRequired:
		choice, _ = plainJSON(r.ToolChoice)
	default:
		choice, _ = plainJSON(map[string]any{"type": "function", "name": r.ToolChoice})
	}
	return tools, choice
}

// chatMessage returns a message as a chat completion has it.
func chatMessage(m llm.Message) ChatMessage {
	out := ChatMessage{Role: string(m.Role), Content: Text(m.Text), ToolCallID: m.CallID}
	if len(m.Calls) == 0 {
		return out
	}
	out.Content.Null = m.Text == ""
	calls := make([]ChatToolCall, len(m.Calls))
	for i, c := range m.Calls {
		calls[i] = ChatToolCall{ID: c.ID, Type: "function", Function: ChatFunctionCall{Name: c.Name, Arguments: argument(c.Arguments)}}
	}
	out.ToolCalls, _ = plainJSON(calls)
	return out
}

// responseItems returns a message as the items of a response's input.
func responseItems(m llm.Message) (items []ResponseItem) {
	if m.Role == llm.Tool {
		return []ResponseItem{{Type: "function_call_output", CallID: m.CallID, Output: &m.Text}}
	}
	kind := "input_text"
	if m.Role == llm.Assistant {
		kind = "output_text"
	}
	if m.Text != "" || len(m.Calls) == 0 {
		items = append(items, ResponseItem{Type: "message", Role: string(m.Role), Content: []ResponsePart{{Type: kind, Text: m.Text}}})
	}
	for _, c := range m.Calls {
		items = append(items, ResponseItem{Type: "function_call", CallID: c.ID, Name: c.Name, Arguments: &c.Arguments})
	}
	return items
}

// named gives each call an ID that no other has, in the answer or before it: what a tool returns is told apart by it, and not every
// server gives one.
func named(calls []llm.ToolCall, conversation []llm.Message) {
	seen := map[string]bool{"": true}
	n := 0
	for _, m := range conversation {
		for _, c := range m.Calls {
			seen[c.ID] = true
			n++
		}
	}
	for i := range calls {
		for k := n + i; seen[calls[i].ID]; k++ {
			calls[i].ID = fmt.Sprintf("call_%d", k)
		}
		seen[calls[i].ID] = true
	}
}
