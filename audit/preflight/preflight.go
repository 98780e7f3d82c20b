// Package preflight finds out what can be asked of an endpoint before an audit asks it.
//
// [Run] makes about a dozen short calls and returns a [Report]: the [openai.Capabilities] by which all later calls are made,
// and in words what was found and how. It believes nothing that it can try:
//
//   - where the chain of thought arrives, and of what kind it is: an answer to a small sum is looked through, in one piece and
//     streamed
//   - whether a text that the assistant is said to have begun is carried on: counting from 5 after "1 2 3 4". The space in front
//     of the 5 must be there: without it the model began a turn of its own, in which many go on counting as well
//   - whether thoughts can be put into its head: it is given a code word in its thoughts that nobody could guess, and asked for it
//   - whether thoughts of earlier turns are kept: the same, in a turn before
//   - whether a seed repeats an answer, and whether log-probabilities come
//
// Ways that a server understands are tried in the order in which its family is known to have them. A field that a server refuses
// is left out from then on; whoever names a way with [Options] gets that one tried alone. A server that has too much to do is asked
// again after a while, anything else that broke in between once.
//
// A chain is raw where the server shows it as such, does not say in the same breath that it comes from a provider who gives out
// summaries alone, and counts no more tokens of reasoning than the text has characters. Nobody can tell from outside whether a
// text that is called reasoning is what the model thought in: the report says what was declared, and the audit's verdicts hold
// under that. Nor can it be told whether a server that took thoughts to be carried on put anything between them and the rest.
package preflight

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"candor/openai"
	"candor/reasoning/llm"
)

// Options are what is known beforehand; zero values are found out.
type Options struct {
	Model string
	// API is openai.ChatAPI, CompletionsAPI or ResponsesAPI.
	API string
	// Continue is a way to carry texts on; Template names a chat template for raw completions.
	Continue, Template string
	// MaxTokens bounds what a probe may take; a model that thinks long needs more. 0 means 2000.
	MaxTokens int
}

// Finding is one thing that was found out.
type Finding struct {
	What  string `json:"what"`
	Found string `json:"found"`
	// How says what was tried.
	How string `json:"how"`
}

// Report is what a preflight found.
type Report struct {
	Model        string              `json:"model"`
	BaseURL      string              `json:"base_url"`
	Family       string              `json:"family"` // by its own account, "" if it gives none
	Capabilities openai.Capabilities `json:"capabilities"`
	Findings     []Finding           `json:"findings"`
	// Served is there where candor itself serves the model.
	Served *openai.ServedModel `json:"served,omitempty"`
	// Tokens is what the preflight took.
	Tokens int `json:"tokens"`
}

// Continues tells whether a chain of thought that was edited can be put in place of the model's own.
func (r *Report) Continues() bool {
	c := r.Capabilities
	if c.Provenance == "" {
		return c.Continue != openai.NoContinue
	}
	return c.Provenance == llm.Raw && c.ContinueReasoning
}

// Apart tells whether the model keeps its chain apart from what it says.
func (r *Report) Apart() bool {
	return r.Capabilities.Reasoning != openai.NoReasoning || r.Capabilities.Provenance != ""
}

// probe is a preflight in the making.
type probe struct {
	Options
	client *openai.Client
	report Report
}

// Run finds out what can be asked of a model. An error means that not even a simple question was answered.
func Run(ctx context.Context, client *openai.Client, o Options) (*Report, error) {
	if o.MaxTokens == 0 {
		o.MaxTokens = 2000
	}
	p := &probe{Options: o, client: client, report: Report{Model: o.Model, BaseURL: client.BaseURL()}}
	if err := p.listed(ctx); err != nil {
		return nil, err
	}
	var err error
	switch {
	case p.report.Served != nil:
		err = p.served(ctx)
	case o.API == openai.CompletionsAPI:
		err = p.completions(ctx)
	case o.API == openai.ResponsesAPI:
		err = p.responses(ctx)
	default:
		err = p.chat(ctx)
	}
	if err == nil {
		err = p.report.Capabilities.Validate()
	}
	var refusal *openai.Error
	switch {
	case errors.As(err, &refusal) && (refusal.Status == 401 || refusal.Status == 403):
		return nil, fmt.Errorf("finding out what %s at %s can do: the API key is missing, wrong or not good for this model: %w", o.Model, client.BaseURL(), err)
	case err != nil:
		return nil, fmt.Errorf("finding out what %s at %s can do: %w", o.Model, client.BaseURL(), err)
	}
	return &p.report, nil
}

func (p *probe) found(what, found, how string, args ...any) {
	p.report.Findings = append(p.report.Findings, Finding{what, found, fmt.Sprintf(how, args...)})
}

// listed looks for the model in the server's list, which not every server has.
func (p *probe) listed(ctx context.Context) error {
	var list *openai.ModelList
	err := patiently(ctx, func() (err error) {
		list, err = p.client.Models(ctx)
		return err
	})
	if err != nil {
		if ctx.Err() != nil {
			return err
		}
		switch openai.OutcomeOf(err) {
		case openai.RefusedConnection, openai.UnknownHost, openai.BadTLS, openai.NotHTTP:
			return err // nobody is there
		}
		p.found("models", "not listed", "GET /models: %v", err)
		return nil
	}
	i := slices.IndexFunc(list.Data, func(m openai.Model) bool { return m.ID == p.Model || m.ID == p.Model+":latest" }) // Ollama
	if i < 0 {
		var names []string
		for _, m := range list.Data {
			names = append(names, strconv.Quote(m.ID))
		}
		if len(names) > 0 && len(names) <= 20 {
			return fmt.Errorf("%s has no model %q; it lists: %s", p.client.BaseURL(), p.Model, strings.Join(names, ", "))
		}
		p.found("models", "the model is not listed", "GET /models lists %d others; servers may know a model under more names", len(names))
		return nil
	}
	p.report.Family, p.report.Served = list.Data[i].OwnedBy, list.Data[i].Candor
	p.found("models", "listed", "GET /models says that it is owned by %q", list.Data[i].OwnedBy)
	return nil
}

// ask puts one request with given capabilities.
func (p *probe) ask(ctx context.Context, c openai.Capabilities, r llm.Request) (llm.Completion, error) {
	gen, err := openai.NewGenerator(p.client, p.Model, c)
	if err != nil {
		return llm.Completion{}, err
	}
	var out []llm.Completion
	err = patiently(ctx, func() (err error) {
		out, err = gen.Generate(ctx, []llm.Request{r})
		return err
	})
	if err != nil {
		return llm.Completion{}, err
	}
	p.report.Tokens += out[0].PromptTokens + out[0].CompletionTokens
	return out[0], nil
}

// user is a request with one message.
func (p *probe) user(text string) llm.Request {
	return llm.Request{Messages: []llm.Message{{Role: llm.User, Text: text}}, MaxTokens: p.MaxTokens}
}

// refused tells whether a server does not understand a field: it answers with 400 or 422, and would again.
func refused(err error) bool {
	var e *openai.Error
	return errors.As(err, &e) && (e.Status == 400 || e.Status == 422)
}

// passing tells whether an error is about the moment and not about what was asked.
func passing(ctx context.Context, err error) bool {
	var t *llm.TransientError
	return ctx.Err() != nil || errors.As(err, &t)
}

// How often a server that has too much to do is asked again, how long it is waited for at first, and how long at most: who asks
// for more has no time for a preflight.
const (
	maxOverloads = 5
	maxPause     = 2 * time.Minute
)

var firstPause = time.Second

// patiently makes a call again where that may help: once, or as often as maxOverloads where the server has too much to do.
func patiently(ctx context.Context, call func() error) error {
	for try := 0; ; try++ {
		err := call()
		var t *llm.TransientError
		if err == nil || ctx.Err() != nil || !errors.As(err, &t) {
			return err
		}
		pause := max(t.After, firstPause<<try)
		switch o := openai.OutcomeOf(err); {
		case o == openai.RefusedConnection, o == openai.Timeout, pause > maxPause, try >= maxOverloads, try > 0 && !t.Overloaded:
			return err
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return context.Cause(ctx)
		}
	}
}
