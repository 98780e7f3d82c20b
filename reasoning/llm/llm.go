// Package llm is the one interface through which candor talks to a language model, local or remote.
//
// A [Generator] continues text. The lab's tiny GPTs ([candor/engine/decode]), remote endpoints and fakes all implement
// it and pass the conformance suite in llm/llmtest, so that whatever judges a model (study/eval, audit, compose) cannot
// tell, and need not know, where it runs.
package llm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Role says who a message is from.
type Role string

// The roles of a conversation, by the names that chat APIs use.
const (
	System    Role = "system"
	User      Role = "user"
	Assistant Role = "assistant"
	Tool      Role = "tool" // the result of a tool call
)

// Message is one turn of a conversation.
type Message struct {
	Role Role   `json:"role"`
	Text string `json:"text"`
	// Calls are the tools that an assistant's message calls.
	Calls []ToolCall `json:"calls,omitempty"`
	// CallID names the call whose result a tool's message is.
	CallID string `json:"call_id,omitempty"`
}

// ToolSpec is a tool that a model may call.
type ToolSpec struct {
	Name        string `json:"name"`
	Description string `json:"description,omitempty"`
	// Schema is the JSON Schema of its arguments; nil for a tool without any.
	Schema json.RawMessage `json:"schema,omitempty"`
}

// ToolCall is a model's wish to call a tool.
type ToolCall struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	// Arguments is a JSON object as the model wrote it: it may be no JSON at all.
	Arguments string `json:"arguments"`
}

// What Request.ToolChoice may be, beside the name of a tool, which must then be called.
const (
	ToolAuto     = ""         // the model decides
	ToolNone     = "none"     // none may be called
	ToolRequired = "required" // at least one must be called
)

// Request asks for one completion of a conversation.
type Request struct {
	// ID names the request in errors and logs. It does not influence the completion.
	ID       string
	Messages []Message
	// Prefix is what the assistant has already written, taken as its own words: the completion goes on from there. An
	// edited chain of thought is carried on by putting it here. Completion.Text does not repeat it: Prefix + Text is what
	// the assistant has written in all, so a text that starts a new word after a prefix without trailing white space
	// begins with a space.
	Prefix string
	// Reasoning is what a model that keeps its chain of thought apart from what it says has already thought: it goes on from
	// there, unless Concluded is set, which ends its thoughts there (none at all, if Reasoning is empty); what it says follows,
	// going on from Prefix. A Prefix needs Concluded wherever the model would think first. A generator whose model does not keep
	// its chain apart, or that cannot carry one on, refuses with an error that wraps ErrInvalid.
	Reasoning string
	Concluded bool
	// Tools are those that may be called, and ToolChoice says whether one must be. A generator whose model cannot call tools
	// refuses with an error that wraps ErrInvalid. In JSON they are left out where they are empty: stored calls are found by it.
	Tools      []ToolSpec `json:",omitempty"`
	ToolChoice string     `json:",omitempty"`
	// MaxTokens bounds the completion; at least 1.
	MaxTokens int
	// Temperature 0 is greedy decoding; 1 samples from the model's own distribution.
	Temperature float64
	// TopK keeps the k likeliest tokens; 0 keeps all.
	TopK int
	// TopP keeps the likeliest tokens that together reach this probability (nucleus sampling); 0 or 1 keeps all.
	TopP float64
	// Stop ends the completion where one of these texts appears; the stop text itself is not part of Completion.Text.
	Stop []string
	// Ban lists words that may not be sampled, as a logit bias of minus infinity does; log-probabilities are told as if
	// nothing were banned. A generator that cannot do this refuses with an error that wraps ErrInvalid. The first BanFrom
	// tokens of the completion are free of it.
	Ban     []string
	BanFrom int
	// Seed makes sampling repeatable: the same request with the same seed gives the same completion.
	Seed uint64
	// LogProbs asks for Completion.Tokens.
	LogProbs bool
}

// Finish says why a completion ended.
type Finish string

// Why a completion ended.
const (
	FinishStop   Finish = "stop"   // the model ended it, or a stop text appeared
	FinishLength Finish = "length" // MaxTokens or the model's context was reached
	FinishTools  Finish = "tools"  // the model waits for the results of Completion.Calls
)

// Token is one sampled token.
type Token struct {
	Text string `json:"text"`
	// LogProb is the natural logarithm of the token's probability under the model at temperature 1 without truncation,
	// whatever the sampling settings were.
	LogProb float64 `json:"logprob"`
}

// Provenance says what a chain of thought that came beside a text is.
type Provenance string

// What a chain can be. Only a raw one can be faithful or not; of the others nobody outside can tell.
const (
	Raw       Provenance = "raw"       // the tokens that the model thought in
	Summary   Provenance = "summary"   // somebody's account of them
	Encrypted Provenance = "encrypted" // not to be read by whoever asked
	Absent    Provenance = "absent"    // there is none, or it is not shown
	Leaked    Provenance = "leaked"    // raw, but spilled into what the model says: where it begins or ends is a guess
)

// Completion is what a model wrote.
type Completion struct {
	Text string
	// Reasoning is the chain of thought, without Request.Reasoning, of a model that keeps it apart from Text, and Provenance
	// what that is. Provenance is "" where the model keeps none apart: its chain, if any, is in Text and raw.
	Reasoning  string
	Provenance Provenance
	// Calls are the tools that the model wants called, in order; none unless Finish is FinishTools.
	Calls []ToolCall `json:",omitempty"`
	// Model is the name of the model that answered, by its own account; "" if it gives none.
	Model  string
	Finish Finish
	// Stop is the stop text that ended it; "" if the model ended by itself or not at all.
	Stop string
	// Tokens are the sampled tokens in order, filled if Request.LogProbs was set and the model can tell.
	Tokens []Token
	// PromptTokens and CompletionTokens count what was read and written, thoughts included.
	PromptTokens, CompletionTokens int
}

// Generator continues text.
type Generator interface {
	// Generate answers requests in order: completion i belongs to request i. A local model answers them as one batch; a
	// remote one concurrently. It returns a [*RequestError] when a single request is at fault, and ctx.Err() wrapped when
	// the context ends. On an error no completion is returned.
	Generate(ctx context.Context, requests []Request) ([]Completion, error)
}

// ErrInvalid is wrapped by errors about a request that no model could answer.
var ErrInvalid = errors.New("invalid request")

// TransientError is an error that the same request may not meet again.
type TransientError struct {
	// After is how long to wait first, 0 if nobody said.
	After time.Duration
	// Overloaded says that there were too many requests: ask for less at a time.
	Overloaded bool
	Err        error
}

func (e *TransientError) Error() string { return e.Err.Error() }
func (e *TransientError) Unwrap() error { return e.Err }

// RequestError says which request failed.
type RequestError struct {
	Index int
	ID    string
	Err   error
}

func (e *RequestError) Error() string {
	if e.ID == "" {
		return fmt.Sprintf("request %d: %v", e.Index, e.Err)
	}
	return fmt.Sprintf("request %d (%s): %v", e.Index, e.ID, e.Err)
}

func (e *RequestError) Unwrap() error { return e.Err }

// Validate returns an error that wraps [ErrInvalid] and says which field is wrong and what is allowed.
func (r Request) Validate() error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("%w: %s", ErrInvalid, fmt.Sprintf(format, args...))
	}
	switch {
	case r.MaxTokens < 1:
		return bad("MaxTokens is %d, must be at least 1", r.MaxTokens)
	case !(r.Temperature >= 0) || r.Temperature > 100:
		return bad("Temperature is %g, must be between 0 and 100", r.Temperature)
	case r.TopK < 0:
		return bad("TopK is %d, must be 0 (all) or more", r.TopK)
	case !(r.TopP >= 0 && r.TopP <= 1):
		return bad("TopP is %g, must be between 0 and 1", r.TopP)
	case r.BanFrom < 0:
		return bad("BanFrom is %d, must be at least 0", r.BanFrom)
	case len(r.Messages) == 0 && r.Prefix == "":
		return bad("there are no messages and no prefix")
	}
	for i, m := range r.Messages {
		switch m.Role {
		case System, User, Assistant, Tool:
		default:
			return bad("message %d has role %q, must be one of system, user, assistant, tool", i, m.Role)
		}
		if (m.Role == Tool) != (m.CallID != "") {
			return bad("message %d has role %q and answers the call %q: a tool's message names a call, and no other does", i, m.Role, m.CallID)
		}
		if len(m.Calls) > 0 && m.Role != Assistant {
			return bad("message %d has role %q and calls tools: only an assistant's can", i, m.Role)
		}
	}
	for i, t := range r.Tools {
		if t.Name == "" || slices.ContainsFunc(r.Tools[:i], func(o ToolSpec) bool { return o.Name == t.Name }) {
			return bad("tool %d has the name %q, must have one that no other has", i, t.Name)
		}
	}
	switch c := r.ToolChoice; {
	case c == ToolAuto || c == ToolNone || c == ToolRequired && len(r.Tools) > 0:
	case !slices.ContainsFunc(r.Tools, func(t ToolSpec) bool { return t.Name == c }):
		return bad("ToolChoice is %q, must be none, or with tools required or the name of one", c)
	}
	for i, s := range r.Stop {
		if s == "" {
			return bad("stop text %d is empty", i)
		}
	}
	return nil
}
