package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

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
	unable
}

// unable are fields that ask for what a Generator cannot do. They are refused unless they ask for nothing.
type unable struct {
	Tools              json.RawMessage `json:"tools"`
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
	v := reflect.ValueOf(u).Elem()
	for i := range v.NumField() {
		raw, name := v.Field(i).Interface().(json.RawMessage), v.Type().Field(i).Tag.Get("json")
		var plain bytes.Buffer
		if len(raw) > 0 {
			_ = json.Compact(&plain, raw) // it was parsed before
		}
		value := plain.String()
		if slices.Contains(nothing, value) || (name == "best_of" && value == "1") {
			continue
		}
		if name == "top_logprobs" {
			return refuse(name, "top_logprobs: only the sampled token's probability is known here; leave it out")
		}
		return refuse(name, "%s is not supported by this server; leave it out", name)
	}
	return nil
}

// prompt is one of those that a request puts.
type prompt struct {
	messages          []llm.Message
	prefix, reasoning string
	concluded         bool
}

// call is a request as the generator gets it: choice k of prompt p is requests[p*n+k].
type call struct {
	id       string
	requests []llm.Request
	n        int
	stream   bool
	usage    bool // at the end of the stream
	logProbs bool
}

// body reads a request's body, which must be JSON.
func (s *Server) body(w http.ResponseWriter, r *http.Request, into any) error {
	if kind := r.Header.Get("Content-Type"); kind != "" {
		if media, _, err := mime.ParseMediaType(kind); err != nil || media != "application/json" {
			return &fault{status: http.StatusUnsupportedMediaType, message: fmt.Sprintf("the body is said to be %s; send application/json", shown(kind))}
		}
	}
	// not every ResponseWriter has deadlines; those of a network connection have
	deadline := http.NewResponseController(w)
	_ = deadline.SetReadDeadline(s.Clock().Add(bodyTimeout))
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	_ = deadline.SetReadDeadline(time.Time{}) // the connection is watched from here on: who waits for an answer may wait
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return &fault{status: http.StatusRequestEntityTooLarge, message: fmt.Sprintf("the body is longer than %d bytes", large.Limit)}
	case err != nil:
		return refuse("", "the body could not be read to its end: %s", err)
	}
	return parse(data, into)
}

// parse reads JSON. Its error names the field that is wrong.
func parse(data []byte, into any) error {
	err := json.Unmarshal(data, into)
	var wrong *json.UnmarshalTypeError
	switch {
	case err == nil:
		return nil
	case !errors.As(err, &wrong):
		return refuse("", "the body is not valid JSON: %s", err)
	case wrong.Field == "":
		return refuse("", "the body is a JSON %s, must be an object", wrong.Value)
	}
	name := strings.TrimPrefix(wrong.Field, "settings.") // encoding/json names embedded structs, too
	return refuse(name, "%s is a JSON %s, must be %s", name, wrong.Value, expected(wrong.Type))
}

// expected says what a field of a Go type must be.
func expected(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Int, reflect.Int64:
		return "a whole number of 64 bits"
	case reflect.Float64:
		return "a number of 64 bits"
	case reflect.Bool:
		return "true or false"
	case reflect.String:
		return "a string"
	case reflect.Slice:
		return "a list"
	}
	return "an object"
}

// texts reads a string or a list of strings; null is none.
func texts(raw json.RawMessage, param string) ([]string, error) {
	var one string
	var list []string
	switch {
	case absent(raw):
		return nil, nil
	case json.Unmarshal(raw, &one) == nil:
		return []string{one}, nil
	case raw[0] == '[' && json.Unmarshal(raw, &list) == nil:
		return list, nil
	}
	return nil, refuse(param, "%s must be a string or a list of strings", param)
}

func absent(raw json.RawMessage) bool { return len(raw) == 0 || string(raw) == "null" }

// content reads a message's content: a string, null, or a list of parts, whose texts are joined. Parts that are not text
// are refused: an answer that ignored a picture would be worth nothing.
func content(raw json.RawMessage, param string) (string, error) {
	if absent(raw) {
		return "", nil
	}
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return text, nil
	}
	var parts []struct {
		Type string  `json:"type"`
		Text *string `json:"text"`
	}
	if raw[0] != '[' || json.Unmarshal(raw, &parts) != nil {
		return "", refuse(param, "%s must be a string or a list of parts of type text", param)
	}
	var all strings.Builder
	for i, p := range parts {
		if !slices.Contains([]string{"text", "input_text", "output_text"}, p.Type) || p.Text == nil {
			return "", refuse(param, "part %d of %s has the type %s; this model reads parts of type text, which have a text", i, param, shown(p.Type))
		}
		all.WriteString(*p.Text)
	}
	return all.String(), nil
}

// message reads one message of a conversation; param is its field.
func message(role string, raw json.RawMessage, param string) (llm.Message, error) {
	text, err := content(raw, param+".content")
	if err != nil {
		return llm.Message{}, err
	}
	switch role {
	case "developer":
		role = string(llm.System)
	case string(llm.System), string(llm.User), string(llm.Assistant):
	default:
		return llm.Message{}, refuse(param+".role", "%s.role is %s, must be one of system, developer, user, assistant", param, shown(role))
	}
	return llm.Message{Role: llm.Role(role), Text: text}, nil
}

// call makes a request's call: every prompt with n choices. bound is the most tokens of a choice by the field called param,
// nil if the client sets none.
func (s *Server) call(id string, set *settings, prompts []prompt, bound *int, param string) (*call, error) {
	if err := set.unable.check(); err != nil {
		return nil, err
	}
	r := llm.Request{Temperature: 1, MaxTokens: s.Model.Context}
	c := &call{id: id, n: 1, stream: set.Stream, usage: set.StreamOptions != nil && set.StreamOptions.IncludeUsage}
	if r.MaxTokens == 0 {
		r.MaxTokens = defaultTokens
	}
	if bound != nil {
		if *bound < 1 {
			return nil, refuse(param, "%s is %d, must be at least 1", param, *bound)
		}
		r.MaxTokens = *bound
		if s.Model.Context > 0 {
			r.MaxTokens = min(*bound, s.Model.Context)
		}
	}
	if t := set.Temperature; t != nil {
		if !(*t >= 0 && *t <= 100) {
			return nil, refuse("temperature", "temperature is %g, must be between 0 and 100", *t)
		}
		r.Temperature = *t
	}
	if p := set.TopP; p != nil {
		if !(*p > 0 && *p <= 1) {
			return nil, refuse("top_p", "top_p is %g, must be above 0 and at most 1", *p)
		}
		r.TopP = *p
	}
	if k := set.TopK; k != nil {
		if *k < -1 {
			return nil, refuse("top_k", "top_k is %d, must be at least 1, or 0 or -1 for all tokens", *k)
		}
		r.TopK = max(*k, 0)
	}
	if n := set.N; n != nil {
		if *n < 1 || *n > maxChoices {
			return nil, refuse("n", "n is %d, must be between 1 and %d", *n, maxChoices)
		}
		c.n = *n
	}
	if len(prompts)*c.n > maxAnswers {
		return nil, refuse("prompt", "%d prompts with %d choices each are more than %d answers: ask in several requests", len(prompts), c.n, maxAnswers)
	}
	var err error
	if r.Stop, err = stops(set.Stop); err != nil {
		return nil, err
	}
	for _, p := range prompts {
		if err := s.fits(p); err != nil {
			return nil, err
		}
		r.Messages, r.Prefix, r.Reasoning, r.Concluded = p.messages, p.prefix, p.reasoning, p.concluded
		first := s.firstSeed(set.Seed)
		for k := range c.n {
			r.ID, r.Seed = id, choiceSeed(first, k)
			c.requests = append(c.requests, r)
		}
	}
	return c, nil
}

// fits refuses a prompt with more words than the model has room for, before it costs anything.
func (s *Server) fits(p prompt) error {
	if s.Model.Context == 0 {
		return nil
	}
	words := len(strings.Fields(p.prefix))
	for _, m := range p.messages {
		words += len(strings.Fields(m.Text))
	}
	if words > s.Model.Context {
		return &fault{status: http.StatusBadRequest, code: "context_length_exceeded", message: fmt.Sprintf("the prompt has %d words, but the model's context is %d", words, s.Model.Context)}
	}
	return nil
}

func (s *Server) firstSeed(asked *int64) uint64 {
	if asked != nil {
		return uint64(*asked)
	}
	return s.seed()
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
