package api

import (
	"encoding/json"
	"slices"

	"candor/reasoning/llm"
)

// Bounds on tools, beside that on the body.
const (
	maxTools       = 128       // that a request offers, and that a message calls
	maxToolName    = 64        // bytes
	maxToolAbout   = 16 << 10  // bytes of a description
	maxToolSchema  = 64 << 10  // bytes of a JSON Schema
	maxToolSchemas = 512 << 10 // bytes of all of them
	maxCallID      = 256       // bytes
)

// toolDef is a tool as chat completions have it, in Function, or as responses do, without.
type toolDef struct {
	Type string `json:"type"`
	toolFunction
	Function *toolFunction `json:"function"`
}

type toolFunction struct {
	Name        string          `json:"name"`
	Description string          `json:"description"`
	Parameters  json.RawMessage `json:"parameters"`
}

// tools reads the tools that may be called, and which must be. allowed tells whether the model can call any.
func (s *settings) tools(allowed bool) ([]llm.ToolSpec, string, error) {
	switch {
	case len(s.Tools) > 0 && !allowed:
		return nil, "", unsupported("tools")
	case len(s.Tools) > maxTools:
		return nil, "", refuse("tools", "tools has %d tools, must have at most %d", len(s.Tools), maxTools)
	}
	var specs []llm.ToolSpec
	size := 0
	for i, t := range s.Tools {
		at := field("tools", i)
		if t.Type != "function" {
			return nil, "", refuse(at+".type", "%s is a tool of type %s; this server has only those of type function", at, shown(t.Type))
		}
		f := &t.toolFunction
		if t.Function != nil {
			f = t.Function
		}
		size += len(f.Parameters)
		switch {
		case !isToolName(f.Name):
			return nil, "", refuse(at+".name", "%s has the name %s, must have one of 1 to %d letters, digits, _ and -, which is not auto, none or required", at, shown(f.Name), maxToolName)
		case slices.ContainsFunc(specs, func(o llm.ToolSpec) bool { return o.Name == f.Name }):
			return nil, "", refuse(at+".name", "two tools have the name %s", shown(f.Name))
		case len(f.Description) > maxToolAbout:
			return nil, "", refuse(at+".description", "the description of %s has %d bytes, must have at most %d", at, len(f.Description), maxToolAbout)
		case !absent(f.Parameters) && f.Parameters[0] != '{':
			return nil, "", refuse(at+".parameters", "the parameters of %s must be a JSON Schema, which is an object", at)
		case len(f.Parameters) > maxToolSchema || size > maxToolSchemas:
			return nil, "", refuse(at+".parameters", "the parameters of %s are too large: at most %d bytes, and %d bytes those of all tools", at, maxToolSchema, maxToolSchemas)
		}
		spec := llm.ToolSpec{Name: f.Name, Description: f.Description}
		if !absent(f.Parameters) {
			spec.Schema = f.Parameters
		}
		specs = append(specs, spec)
	}
	choice, err := toolChoice(s.ToolChoice, specs)
	return specs, choice, err
}

func isToolName(name string) bool {
	if name == "auto" || name == llm.ToolNone || name == llm.ToolRequired {
		return false // they are words of tool_choice
	}
	return namePattern(name)
}

func namePattern(name string) bool {
	for i := range len(name) {
		if c := name[i]; !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-') {
			return false
		}
	}
	return len(name) > 0 && len(name) <= maxToolName
}

// toolChoice reads tool_choice: a word, or an object that names a function.
func toolChoice(raw json.RawMessage, tools []llm.ToolSpec) (string, error) {
	const param = "tool_choice"
	if absent(raw) {
		return llm.ToolAuto, nil
	}
	var word string
	if raw[0] == '"' && json.Unmarshal(raw, &word) == nil {
		switch {
		case word == "auto":
			return llm.ToolAuto, nil
		case word == llm.ToolNone && len(tools) == 0:
			return llm.ToolAuto, nil // there are none
		case word == llm.ToolNone, word == llm.ToolRequired && len(tools) > 0:
			return word, nil
		case word == llm.ToolRequired:
			return "", refuse(param, "tool_choice is required, but there are no tools")
		}
		return "", refuse(param, "tool_choice is %s, must be auto, none, required, or an object that names a function", shown(word))
	}
	var one struct {
		Type     string `json:"type"`
		Name     string `json:"name"`
		Function struct {
			Name string `json:"name"`
		} `json:"function"`
	}
	if raw[0] != '{' || json.Unmarshal(raw, &one) != nil || one.Type != "function" {
		return "", refuse(param, "tool_choice must be auto, none, required, or an object of type function with the name of one")
	}
	name := one.Name + one.Function.Name
	if !slices.ContainsFunc(tools, func(t llm.ToolSpec) bool { return t.Name == name }) {
		return "", refuse(param, "tool_choice names the function %s, which is none of the tools", shown(name))
	}
	return name, nil
}

// history is a conversation that is being read.
type history struct {
	tools    bool // calls of tools may be in it
	messages []llm.Message
	called   map[string]bool // by the IDs of calls
}

// message reads one message; param is its field.
func (h *history) message(role string, raw json.RawMessage, param string) (llm.Message, error) {
	text, err := content(raw, param+".content")
	if err != nil {
		return llm.Message{}, err
	}
	switch role {
	case "developer":
		role = string(llm.System)
	case string(llm.System), string(llm.User), string(llm.Assistant):
	default:
		also := ""
		if h.tools {
			also = ", tool"
		}
		return llm.Message{}, refuse(param+".role", "%s.role is %s, must be one of system, developer, user, assistant%s", param, shown(role), also)
	}
	return llm.Message{Role: llm.Role(role), Text: text}, nil
}

// call adds a call to an assistant's message.
func (h *history) call(m *llm.Message, c llm.ToolCall, param string) error {
	switch {
	case !h.tools:
		return refuse(param, "%s is a call of a tool; this model cannot call any", param)
	case len(c.ID) == 0 || len(c.ID) > maxCallID:
		return refuse(param, "%s has an ID of %d bytes, must have 1 to %d", param, len(c.ID), maxCallID)
	case !namePattern(c.Name):
		return refuse(param, "%s calls %s, must call a function by a name of 1 to %d letters, digits, _ and -", param, shown(c.Name), maxToolName)
	case len(m.Calls) == maxTools:
		return refuse(param, "%s: a message can call tools %d times", param, maxTools)
	}
	if h.called == nil {
		h.called = map[string]bool{}
	}
	h.called[c.ID] = true
	m.Calls = append(m.Calls, c)
	return nil
}

// result adds what a tool gave.
func (h *history) result(id string, raw json.RawMessage, param, contentField string) error {
	if !h.called[id] {
		return refuse(param, "%s is the result of the call %s, but no message before it has that call", param, shown(id))
	}
	text, err := content(raw, contentField)
	if err == nil {
		h.messages = append(h.messages, llm.Message{Role: llm.Tool, Text: text, CallID: id})
	}
	return err
}
