package compose

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"candor/reasoning/llm"
)

// Reviewer decides on an agent's actions. Each review stands by itself: it depends on what is proposed alone and remembers nothing of
// the reviews before. It must return soon after its context ends, and be safe for concurrent use.
type Reviewer interface {
	// Review returns its decision. An error rejects the action.
	Review(ctx context.Context, p Proposed) (Decision, error)
}

// Proposed is all that a reviewer sees.
type Proposed struct {
	// ID names the action in errors and logs.
	ID   string
	Goal string
	// Call is the action. Its arguments are a JSON object without doubled keys.
	Call llm.ToolCall
	// Tools are those that may be called.
	Tools []llm.ToolSpec
	// Chain is the chain behind the action; "" where reviewers are not shown any.
	Chain string
	// Seed starts the reviewer's own randomness.
	Seed uint64
}

// Ruling is what a reviewer may decide.
type Ruling string

// The rulings.
const (
	Approve  Ruling = "approve"
	Modify   Ruling = "modify"   // do Decision.Call in its place
	Reject   Ruling = "reject"   // do nothing, and go on
	Escalate Ruling = "escalate" // do nothing, and stop: a person has to decide
)

// Decision is a reviewer's on one action.
type Decision struct {
	Ruling Ruling
	Why    string
	// Call is what Modify puts in place: other arguments, or another tool; a Name of "" keeps the tool.
	Call *llm.ToolCall
	// Tokens counts what the reviewer sampled.
	Tokens int
	// Failed says what was wrong with the reviewer, or with the proposal so that no reviewer was asked; the ruling is Reject then.
	Failed string
}

// failed is the decision that stands in the place of one that could not be had.
func failed(tokens int, format string, args ...any) Decision {
	return Decision{Ruling: Reject, Tokens: tokens, Failed: fmt.Sprintf(format, args...)}
}

// whyBytes is the most that is kept of a reviewer's reasons.
const whyBytes = 2000

// vet returns a decision as it can be carried out, and the call that it allows, if it does.
func vet(d Decision, call llm.ToolCall, tools []llm.ToolSpec) (Decision, *llm.ToolCall) {
	d.Why, d.Failed = cut(d.Why, whyBytes), ""
	d.Tokens = max(d.Tokens, 0)
	switch d.Ruling {
	case Approve:
		return d, &call
	case Modify:
		if d.Call == nil {
			return failed(d.Tokens, "the reviewer modifies the call, but says not into what"), nil
		}
		made := llm.ToolCall{ID: call.ID, Name: d.Call.Name, Arguments: d.Call.Arguments}
		if made.Name == "" {
			made.Name = call.Name
		}
		if fault := callFault(&made, tools); fault != "" {
			return failed(d.Tokens, "the reviewer modifies the call into one that cannot be made: %s", fault), nil
		}
		d.Call = &made
		return d, &made
	case Reject, Escalate:
		return d, nil
	}
	return failed(d.Tokens, "the reviewer decided %q, must be one of approve, modify, reject, escalate", cut(string(d.Ruling), 50)), nil
}

// callFault says in a sentence why a call cannot be made, "" if it can. Arguments that are left out become an empty object.
func callFault(call *llm.ToolCall, tools []llm.ToolSpec) string {
	known := false
	for i := range tools {
		known = known || tools[i].Name == call.Name
	}
	if !known {
		return fmt.Sprintf("there is no tool %q.", cut(call.Name, 100))
	}
	if strings.TrimSpace(call.Arguments) == "" {
		call.Arguments = "{}"
	}
	if _, err := parseObject(call.Arguments); err != nil {
		return fmt.Sprintf("the arguments for %s are not as they must be: %v.", call.Name, err)
	}
	return ""
}

// parseObject reads a text that is one JSON object and nothing else. It refuses doubled keys at any depth, which different readers
// understand differently: what a reviewer approves must be what the tool is given.
func parseObject(text string) (map[string]json.RawMessage, error) {
	if !utf8.ValidString(text) {
		return nil, errors.New("they are not valid UTF-8")
	}
	var out map[string]json.RawMessage
	if err := json.Unmarshal([]byte(text), &out); err != nil || out == nil {
		return nil, errors.New("they are not one JSON object")
	}
	// levels are the objects and arrays that are open; keys is nil for an array
	type level struct {
		keys  map[string]bool
		value bool // a key stands, and its value comes next
	}
	var levels []level
	for dec := json.NewDecoder(strings.NewReader(text)); ; {
		token, err := dec.Token()
		if err != nil {
			return nil, errors.New("they are not one JSON object")
		}
		var top *level
		if len(levels) > 0 {
			top = &levels[len(levels)-1]
		}
		if key, ok := token.(string); ok && top != nil && top.keys != nil && !top.value {
			if top.keys[key] {
				return nil, fmt.Errorf("the key %q is there twice", cut(key, 50))
			}
			top.keys[key], top.value = true, true
			continue
		}
		if top != nil {
			top.value = false
		}
		switch token {
		case json.Delim('{'):
			levels = append(levels, level{keys: map[string]bool{}})
		case json.Delim('['):
			levels = append(levels, level{})
		case json.Delim('}'), json.Delim(']'):
			if levels = levels[:len(levels)-1]; len(levels) == 0 {
				return out, nil
			}
		}
	}
}

// cut returns at most n bytes of a text, as valid UTF-8.
func cut(text string, n int) string {
	if len(text) > n {
		for n > 0 && !utf8.RuneStart(text[n]) {
			n--
		}
		text = text[:n] + "…"
	}
	return strings.ToValidUTF8(text, "\uFFFD")
}
