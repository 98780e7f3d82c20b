package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"candor/internal/rng"
	"candor/openai"
	"candor/reasoning/llm"
)

const (
	maxChoices   = 128  // of one prompt
	maxAnswers   = 2048 // of one request
	maxStops     = 16   // stop texts of a request
	maxStopBytes = 1000 // of one of them
)

// settings are the fields that the bodies of all endpoints have in common.
type settings struct {
	Model         string                `json:"model"`
	Temperature   *float64              `json:"temperature"`
	TopP          *float64              `json:"top_p"`
	TopK          *int                  `json:"top_k"`
	N             *int                  `json:"n"`
	Seed          *int64                `json:"seed"`
	Stop          json.RawMessage       `json:"stop"`
	Stream        bool                  `json:"stream"`
	StreamOptions *openai.StreamOptions `json:"stream_options"`
	Tools         []toolDef             `json:"tools"`
	ToolChoice    json.RawMessage       `json:"tool_choice"`
	unable
}

// unable are fields that ask for what a Backend cannot do. They are refused unless they ask for nothing.
type unable struct {
	Functions          json.RawMessage `json:"functions"`
	ResponseFormat     json.RawMessage `json:"response_format"`
	PresencePenalty    json.RawMessage `json:"presence_penalty"`
	FrequencyPenalty   json.RawMessage `json:"frequency_penalty"`
	LogitBias          json.RawMessage `json:"logit_bias"`
	TopLogProbs        json.RawMessage `json:"top_logprobs"`
	Echo               json.RawMessage `json:"echo"`
	Suffix             json.RawMessage `json:"suffix"`
	BestOf             json.RawMessage `json:"best_of"`
	PreviousResponseID json.RawMessage `json:"previous_response_id"`
	Conversation       json.RawMessage `json:"conversation"`
	Background         json.RawMessage `json:"background"`
}

// nothing are the values, without white space, by which a field asks for nothing.
var nothing = []string{"", "null", "false", "0", "0.0", `""`, "[]", "{}", `{"type":"text"}`}

// check refuses the first field that asks for something.
func (u *unable) check() error {
	for _, f := range [...]struct {
		name string
		raw  json.RawMessage
	}{
		{"functions", u.Functions}, {"response_format", u.ResponseFormat}, {"presence_penalty", u.PresencePenalty}, {"frequency_penalty", u.FrequencyPenalty},
		{"logit_bias", u.LogitBias}, {"top_logprobs", u.TopLogProbs}, {"echo", u.Echo}, {"suffix", u.Suffix}, {"best_of", u.BestOf},
		{"previous_response_id", u.PreviousResponseID}, {"conversation", u.Conversation}, {"background", u.Background},
	} {
		if len(f.raw) == 0 {
			continue
		}
		var plain bytes.Buffer
		_ = json.Compact(&plain, f.raw) // it was parsed before
		value := plain.String()
		if slices.Contains(nothing, value) || (f.name == "best_of" && value == "1") {
			continue
		}
		if f.name == "top_logprobs" {
			return refuse(f.name, "top_logprobs: only the sampled token's probability is known here; leave it out")
		}
		return unsupported(f.name)
	}
	return nil
}

func unsupported(param string) error {
	return refuse(param, "%s is not supported by this server; leave it out", param)
}

// prompt is one of those that a request puts.
type prompt struct {
	messages          []llm.Message
	prefix, reasoning string
	concluded         bool
}

// call is a Call with what the front itself has to know.
type call struct {
	Call
	model    *Model
	usage    bool // at the end of the stream
	logProbs bool
}

// asks makes a request's call: every prompt with n choices. bound is the most tokens of a choice by the field called param, nil if
// the client sets none. The call's Requests have no log-probabilities yet.
func (x *exchange) asks(m *Model, protocol, id string, set *settings, prompts []prompt, bound *int, param string) (*call, error) {
	if err := set.unable.check(); err != nil {
		return nil, err
	}
	r, err := m.sampling(set, bound, param)
	if err != nil {
		return nil, err
	}
	c := &call{model: m, usage: set.StreamOptions != nil && set.StreamOptions.IncludeUsage}
	c.Call = Call{ID: id, Protocol: protocol, Model: m.Name, N: 1, Stream: set.Stream, Arrived: x.arrived}
	if n := set.N; n != nil {
		if *n < 1 || *n > maxChoices {
			return nil, refuse("n", "n is %d, must be between 1 and %d", *n, maxChoices)
		}
		c.N = *n
	}
	if len(prompts)*c.N > maxAnswers {
		return nil, refuse("prompt", "%d prompts with %d choices each are more than %d answers: ask in several requests", len(prompts), c.N, maxAnswers)
	}
	if r.Tools, r.ToolChoice, err = set.tools(m.Tools && protocol != "completions"); err != nil {
		return nil, err
	}
	c.Requests = make([]llm.Request, 0, len(prompts)*c.N)
	r.ID = id
	for _, p := range prompts {
		if err := m.fits(p); err != nil {
			return nil, err
		}
		r.Messages, r.Prefix, r.Reasoning, r.Concluded = p.messages, p.prefix, p.reasoning, p.concluded
		first := x.s.firstSeed(set.Seed)
		for k := range c.N {
			r.Seed = choiceSeed(first, k)
			c.Requests = append(c.Requests, r)
		}
	}
	return c, nil
}

// sampling reads how a completion is to be sampled and ended.
func (m *Model) sampling(set *settings, bound *int, param string) (r llm.Request, err error) {
	r = llm.Request{Temperature: 1, MaxTokens: m.Served.Context}
	if r.MaxTokens == 0 {
		r.MaxTokens = defaultTokens
	}
	if bound != nil {
		if *bound < 1 {
			return r, refuse(param, "%s is %d, must be at least 1", param, *bound)
		}
		r.MaxTokens = *bound
		if m.Served.Context > 0 {
			r.MaxTokens = min(*bound, m.Served.Context)
		}
	}
	if t := set.Temperature; t != nil {
		if !(*t >= 0 && *t <= 100) {
			return r, refuse("temperature", "temperature is %g, must be between 0 and 100", *t)
		}
		r.Temperature = *t
	}
	if p := set.TopP; p != nil {
		if !(*p > 0 && *p <= 1) {
			return r, refuse("top_p", "top_p is %g, must be above 0 and at most 1", *p)
		}
		r.TopP = *p
	}
	if k := set.TopK; k != nil {
		if *k < -1 {
			return r, refuse("top_k", "top_k is %d, must be at least 1, or 0 or -1 for all tokens", *k)
		}
		r.TopK = max(*k, 0)
	}
	r.Stop, err = stops(set.Stop)
	return r, err
}

// fits refuses a prompt with more words than the model has room for, before it costs anything. A token is at most a word here.
func (m *Model) fits(p prompt) error {
	if m.Served.Context == 0 {
		return nil
	}
	words := count(p.prefix)
	for _, m := range p.messages {
		words += count(m.Text)
	}
	if words > m.Served.Context {
		return &Fault{Status: http.StatusBadRequest, Code: "context_length_exceeded", Message: fmt.Sprintf("the prompt has %d words, but the model's context is %d", words, m.Served.Context)}
	}
	return nil
}

// count counts words.
func count(text string) (n int) {
	for range strings.FieldsSeq(text) {
		n++
	}
	return n
}

func (s *Server) firstSeed(asked *int64) uint64 {
	if asked != nil {
		return uint64(*asked)
	}
	return s.draw()
}

// choiceSeed returns the seed of choice k.
func choiceSeed(first uint64, k int) uint64 {
	if k == 0 {
		return first
	}
	src := rng.New(first).SplitN("choice", k)
	return src.Uint64()
}

func stops(raw json.RawMessage) ([]string, error) {
	list, err := texts(raw, "stop")
	if err != nil {
		return nil, err
	}
	if len(list) > maxStops {
		return nil, refuse("stop", "stop has %d texts, must have at most %d", len(list), maxStops)
	}
	for i, text := range list {
		if len(text) == 0 || len(text) > maxStopBytes {
			return nil, refuse("stop", "text %d of stop has %d bytes, must have 1 to %d", i, len(text), maxStopBytes)
		}
	}
	return list, nil
}

// field names an element of a list, as OpenAI does.
func field(list string, i int) string { return list + "." + strconv.Itoa(i) }
