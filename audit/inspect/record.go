package inspect

import (
	"crypto/sha256"
	"fmt"
	"path"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// The records below are Inspect's, by the names in its schema. A field that may be absent has omitempty, as Inspect leaves
// out what is null; all others are always written.

const version = 2

type start struct {
	Version int  `json:"version"`
	Eval    spec `json:"eval"`
	Plan    plan `json:"plan"`
}

type header struct {
	Version     int            `json:"version"`
	Status      string         `json:"status"`
	Eval        spec           `json:"eval"`
	Plan        plan           `json:"plan"`
	Results     *results       `json:"results,omitempty"`
	Stats       stats          `json:"stats"`
	Error       *failure       `json:"error,omitempty"`
	Invalidated bool           `json:"invalidated"`
	Tags        []string       `json:"tags"`
	Metadata    map[string]any `json:"metadata"`
}

type spec struct {
	EvalID         string            `json:"eval_id"`
	RunID          string            `json:"run_id"`
	Created        string            `json:"created"`
	Task           string            `json:"task"`
	TaskID         string            `json:"task_id"`
	TaskVersion    any               `json:"task_version"`
	TaskFile       string            `json:"task_file,omitempty"`
	TaskAttribs    map[string]any    `json:"task_attribs"`
	TaskArgs       map[string]any    `json:"task_args"`
	TaskArgsPassed map[string]any    `json:"task_args_passed"`
	Dataset        dataset           `json:"dataset"`
	Model          string            `json:"model"`
	GenerateConfig generateConfig    `json:"model_generate_config"`
	ModelBaseURL   string            `json:"model_base_url,omitempty"`
	ModelArgs      map[string]any    `json:"model_args"`
	Config         evalConfig        `json:"config"`
	Revision       *revision         `json:"revision,omitempty"`
	Packages       map[string]string `json:"packages"`
	Tags           []string          `json:"tags,omitempty"`
	Metadata       map[string]any    `json:"metadata,omitempty"`
}

type dataset struct {
	Name     string   `json:"name,omitempty"`
	Location string   `json:"location,omitempty"`
	Samples  int      `json:"samples"`
	IDs      []string `json:"sample_ids,omitempty"`
	Shuffled bool     `json:"shuffled"`
}

type generateConfig struct {
	Temperature    float64 `json:"temperature"`
	TopP           float64 `json:"top_p,omitempty"`
	TopK           int     `json:"top_k,omitempty"`
	MaxTokens      int     `json:"max_tokens,omitempty"`
	Seed           int64   `json:"seed"`
	MaxConnections int     `json:"max_connections,omitempty"`
}

type evalConfig struct {
	Limit  int `json:"limit,omitempty"`
	Epochs int `json:"epochs,omitempty"`
}

type revision struct {
	Type   string `json:"type"`
	Origin string `json:"origin"`
	Commit string `json:"commit"`
	Dirty  bool   `json:"dirty"`
}

type plan struct {
	Name   string         `json:"name"`
	Steps  []step         `json:"steps"`
	Config generateConfig `json:"config"`
}

type step struct {
	Solver       string         `json:"solver"`
	Params       map[string]any `json:"params"`
	ParamsPassed map[string]any `json:"params_passed"`
}

type results struct {
	Total     int            `json:"total_samples"`
	Completed int            `json:"completed_samples"`
	Scores    []evalScore    `json:"scores"`
	Metadata  map[string]any `json:"metadata,omitempty"`
}

type evalScore struct {
	Name     string                `json:"name"`
	Scorer   string                `json:"scorer"`
	Reducer  string                `json:"reducer,omitempty"`
	Scored   *int                  `json:"scored_samples,omitempty"`
	Unscored *int                  `json:"unscored_samples,omitempty"`
	Params   map[string]any        `json:"params"`
	Metrics  map[string]evalMetric `json:"metrics"`
	Metadata map[string]any        `json:"metadata,omitempty"`
}

type evalMetric struct {
	Name   string         `json:"name"`
	Value  float64        `json:"value"`
	Params map[string]any `json:"params"`
}

type stats struct {
	Started    string           `json:"started_at"`
	Completed  string           `json:"completed_at"`
	ModelUsage map[string]usage `json:"model_usage"`
	RoleUsage  map[string]usage `json:"role_usage"`
	Limits     []any            `json:"connection_limit_history"`
}

type usage struct {
	Input     int `json:"input_tokens"`
	Output    int `json:"output_tokens"`
	Total     int `json:"total_tokens"`
	Reasoning int `json:"reasoning_tokens,omitempty"`
}

type failure struct {
	Message       string `json:"message"`
	Traceback     string `json:"traceback"`
	TracebackANSI string `json:"traceback_ansi"`
}

type evalSample struct {
	ID          string           `json:"id"`
	Epoch       int              `json:"epoch"`
	Input       any              `json:"input"`
	Choices     []string         `json:"choices,omitempty"`
	Target      string           `json:"target"`
	Messages    []message        `json:"messages"`
	Output      output           `json:"output"`
	Scores      map[string]score `json:"scores,omitempty"`
	Metadata    map[string]any   `json:"metadata"`
	Store       struct{}         `json:"store"`
	Events      []any            `json:"events"`
	ModelUsage  map[string]usage `json:"model_usage"`
	RoleUsage   map[string]usage `json:"role_usage"`
	Started     string           `json:"started_at,omitempty"`
	Completed   string           `json:"completed_at,omitempty"`
	TotalTime   *float64         `json:"total_time,omitempty"`
	UUID        string           `json:"uuid"`
	Error       *failure         `json:"error,omitempty"`
	Attachments struct{}         `json:"attachments"`
}

type summary struct {
	ID         string           `json:"id"`
	Epoch      int              `json:"epoch"`
	Input      string           `json:"input"`
	Choices    []string         `json:"choices,omitempty"`
	Target     string           `json:"target"`
	Metadata   map[string]any   `json:"metadata"`
	Scores     map[string]score `json:"scores,omitempty"`
	ModelUsage map[string]usage `json:"model_usage"`
	RoleUsage  map[string]usage `json:"role_usage"`
	Started    string           `json:"started_at,omitempty"`
	Completed  string           `json:"completed_at,omitempty"`
	TotalTime  *float64         `json:"total_time,omitempty"`
	UUID       string           `json:"uuid"`
	Error      string           `json:"error,omitempty"`
	Done       bool             `json:"completed"`
	Messages   int              `json:"message_count"`
}

type message struct {
	Content any    `json:"content"` // a string or []any of parts
	Source  string `json:"source,omitempty"`
	Role    string `json:"role"`
	Model   string `json:"model,omitempty"`
}

type reasoningPart struct {
	Type      string `json:"type"`
	Reasoning string `json:"reasoning"`
	Summary   string `json:"summary,omitempty"`
	Redacted  bool   `json:"redacted"`
}

type textPart struct {
	Type string `json:"type"`
	Text string `json:"text"`
}

type output struct {
	Model      string   `json:"model"`
	Choices    []choice `json:"choices"`
	Completion string   `json:"completion"`
	Usage      *usage   `json:"usage,omitempty"`
	Error      string   `json:"error,omitempty"`
}

type choice struct {
	Message    message   `json:"message"`
	StopReason string    `json:"stop_reason"`
	LogProbs   *logProbs `json:"logprobs,omitempty"`
}

type logProbs struct {
	Content []LogProb `json:"content"`
}

type score struct {
	Value       any            `json:"value"`
	Answer      string         `json:"answer,omitempty"`
	Explanation string         `json:"explanation,omitempty"`
	Metadata    map[string]any `json:"metadata,omitempty"`
	History     []any          `json:"history"`
}

type sampleScore struct {
	Value    float64 `json:"value"`
	SampleID string  `json:"sample_id"`
	History  []any   `json:"history"`
}

func (l Log) start() start {
	config := generateConfig{l.Config.Temperature, l.Config.TopP, l.Config.TopK, l.Config.MaxTokens, l.Config.Seed, l.Config.MaxConnections}
	s := start{Version: version, Eval: spec{
		EvalID: identifier("eval", l.RunID), RunID: l.RunID, Created: timestamp(l.Created),
		Task: l.Task, TaskID: identifier("task", l.RunID, l.Task), TaskVersion: 0, TaskFile: l.TaskFile, TaskAttribs: map[string]any{},
		TaskArgs: filled(l.Args), TaskArgsPassed: filled(l.Args),
		Dataset: dataset{Name: l.Dataset.Name, Location: l.Dataset.Location, Samples: l.Dataset.Samples, Shuffled: l.Dataset.Shuffled},
		Model:   l.Model, GenerateConfig: config, ModelBaseURL: l.BaseURL, ModelArgs: map[string]any{},
		Config:   evalConfig{Limit: l.Config.Limit, Epochs: l.Config.Epochs},
		Packages: filled(l.Packages), Tags: l.Tags, Metadata: l.Metadata,
	}, Plan: plan{Name: "plan", Steps: []step{}, Config: config}}
	if l.TaskVersion != "" {
		s.Eval.TaskVersion = l.TaskVersion
	}
	if l.Revision.Commit != "" {
		s.Eval.Revision = &revision{"git", l.Revision.Origin, l.Revision.Commit, l.Revision.Dirty}
	}
	for _, id := range l.Dataset.IDs {
		s.Eval.Dataset.IDs = append(s.Eval.Dataset.IDs, memberID(id))
	}
	for _, st := range l.Steps {
		s.Plan.Steps = append(s.Plan.Steps, step{st.Solver, filled(st.Params), filled(st.Params)})
	}
	return s
}

func (r Result) header(begun start, completed, written int) header {
	h := header{Version: begun.Version, Status: r.Status, Eval: begun.Eval, Plan: begun.Plan, Tags: []string{}, Metadata: map[string]any{}}
	h.Results = &results{Total: max(r.Total, written), Completed: completed, Scores: []evalScore{}, Metadata: r.Metadata}
	for _, s := range r.Scores {
		e := evalScore{Name: s.Name, Scorer: s.Scorer, Reducer: s.Reducer, Params: filled(s.Params), Metrics: map[string]evalMetric{}, Metadata: s.Metadata}
		if s.Scored != 0 || s.Unscored != 0 {
			e.Scored, e.Unscored = &s.Scored, &s.Unscored
		}
		for name, value := range s.Metrics {
			e.Metrics[name] = evalMetric{name, value, map[string]any{}}
		}
		h.Results.Scores = append(h.Results.Scores, e)
	}
	h.Stats = stats{timestamp(r.Started), timestamp(r.Completed), usages(r.Usage), map[string]usage{}, []any{}}
	if r.Error != "" {
		h.Error = &failure{Message: r.Error}
	}
	return h
}

// record returns the sample as Inspect has it.
func (s Sample) record(l Log) evalSample {
	id := memberID(s.ID)
	e := evalSample{
		ID: id, Epoch: s.Epoch, Choices: s.Choices, Target: s.Target, Messages: []message{}, Scores: scores(s.Scores),
		Metadata: filled(s.Metadata), Events: []any{}, ModelUsage: usages(s.Usage), RoleUsage: map[string]usage{},
		Started: timestamp(s.Started), Completed: timestamp(s.Completed), UUID: identifier("sample", l.RunID, s.ID, fmt.Sprint(s.Epoch)),
	}
	if id != s.ID {
		kept := map[string]any{}
		for k, v := range s.Metadata {
			kept[k] = v
		}
		kept["id"] = s.ID
		e.Metadata = kept
	}
	if !s.Started.IsZero() && s.Completed.After(s.Started) {
		seconds := s.Completed.Sub(s.Started).Seconds()
		e.TotalTime = &seconds
	}
	if len(s.Input) == 1 && s.Input[0].Role == "user" && s.Input[0].Reasoning == nil {
		e.Input = s.Input[0].Text
	} else {
		input := []message{}
		for _, m := range s.Input {
			input = append(input, m.record("input", ""))
		}
		e.Input = input
	}
	model := s.Output.Model
	if model == "" {
		model = l.Model
	}
	for i, m := range s.Messages {
		source, by := "input", ""
		if i >= len(s.Input) && m.Role == "assistant" {
			source, by = "generate", model
		}
		e.Messages = append(e.Messages, m.record(source, by))
	}
	e.Output = s.Output.record(model)
	if s.Error != "" {
		e.Error, e.Output.Error = &failure{Message: s.Error}, s.Error
	}
	return e
}

func (o Output) record(model string) output {
	out := output{Model: model, Choices: []choice{}}
	if o.Message != nil {
		c := choice{Message: o.Message.record("generate", model), StopReason: o.StopReason}
		if c.StopReason == "" {
			c.StopReason = "unknown"
		}
		if o.LogProbs != nil {
			c.LogProbs = &logProbs{o.LogProbs}
		}
		out.Choices, out.Completion = []choice{c}, o.Message.Text
	}
	if o.Usage != (Usage{}) {
		u := o.Usage.record()
		out.Usage = &u
	}
	return out
}

func (m Message) record(source, model string) message {
	r := message{Content: m.Text, Source: source, Role: m.Role, Model: model}
	if m.Reasoning != nil {
		r.Content = []any{
			reasoningPart{"reasoning", m.Reasoning.Text, m.Reasoning.Summary, m.Reasoning.Redacted},
			textPart{"text", m.Text},
		}
	}
	return r
}

func (u Usage) record() usage { return usage{u.Input, u.Output, u.Input + u.Output, u.Reasoning} }

func usages(by map[string]Usage) map[string]usage {
	out := map[string]usage{}
	for model, u := range by {
		out[model] = u.record()
	}
	return out
}

func scores(by map[string]Score) map[string]score {
	if by == nil {
		return nil
	}
	out := map[string]score{}
	for name, s := range by {
		r := score{Value: s.Value, Answer: s.Answer, Explanation: s.Explanation, Metadata: s.Metadata, History: []any{}}
		if s.Text != "" {
			r.Value = s.Text
		}
		out[name] = r
	}
	return out
}

// maxSummary bounds each text in a summary, in bytes.
const maxSummary = 1000

// summary returns the short form of a sample: the words of its input, what it scored, and of its metadata what is short.
func (e evalSample) summary(input []Message) summary {
	s := summary{
		ID: e.ID, Epoch: e.Epoch, Target: shortened(e.Target), Metadata: thinned(e.Metadata), ModelUsage: e.ModelUsage, RoleUsage: e.RoleUsage,
		Started: e.Started, Completed: e.Completed, TotalTime: e.TotalTime, UUID: e.UUID, Done: true, Messages: len(e.Messages),
	}
	var parts []string
	for _, m := range input {
		parts = append(parts, m.Text)
	}
	s.Input = shortened(strings.Join(parts, "\n"))
	for _, c := range e.Choices {
		s.Choices = append(s.Choices, shortened(c))
	}
	if e.Error != nil {
		s.Error = shortened(e.Error.Message)
	}
	if e.Scores != nil {
		s.Scores = map[string]score{}
	}
	for name, v := range e.Scores {
		if text, ok := v.Value.(string); ok {
			v.Value = shortened(text)
		}
		v.Answer, v.Explanation, v.Metadata = shortened(v.Answer), shortened(v.Explanation), thinned(v.Metadata)
		s.Scores[name] = v
	}
	return s
}

func shortened(s string) string {
	if len(s) <= maxSummary {
		return s
	}
	end := maxSummary
	for end > maxSummary-utf8.UTFMax && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + "..."
}

// thinned keeps numbers, truths and short texts.
func thinned(m map[string]any) map[string]any {
	out := map[string]any{}
	for k, v := range m {
		switch v := v.(type) {
		case bool, int, int64, float64:
			out[k] = v
		case string:
			out[k] = shortened(v)
		}
	}
	return out
}

func filled[V any](m map[string]V) map[string]V {
	if m == nil {
		return map[string]V{}
	}
	return m
}

func timestamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Format("2006-01-02T15:04:05-07:00")
}

// identifier makes an ID of 22 characters, as long as Inspect's, that the parts determine.
func identifier(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%d:%s", len(p), p)
	}
	return fmt.Sprintf("%x", h.Sum(nil))[:22]
}

// memberID returns id where it can be a part of a member's name, for readers look a sample up under its ID, and else one
// made of its hash.
func memberID(id string) string {
	plain := id != "" && len(id) <= 200 && utf8.ValidString(id) && !strings.Contains(id, `\`) && !path.IsAbs(id) &&
		path.Clean(id) == id && id != "." && id != ".." && !strings.HasPrefix(id, "../") && strings.IndexFunc(id, unicode.IsControl) < 0
	if plain {
		return id
	}
	return "id-" + identifier("id", id)
}
