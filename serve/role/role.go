package role

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"candor/internal/rng"
	"candor/openai"
	"candor/reasoning/llm"
	"candor/serve/record"
)

// Model is a model that can play the role.
type Model struct {
	// Name is by what the model is noted.
	Name      string
	Generator llm.Generator
}

// Options say how a role's models are asked.
type Options struct {
	Role string // reasoner, paraphraser, face, judge, ...
	// Models are asked in order: the first, and the others when those before have failed.
	Models []Model
	// Timeout bounds an attempt; 0 does not.
	Timeout time.Duration
	// Retries is how many further attempts each model gets after a transient error.
	Retries int
	Clock   func() time.Time
	// Random draws the pauses between attempts.
	Random rng.Source
	// InFlight is the most attempts under way at a time, over all models; others wait. 0 sets no bound.
	InFlight int
	Breaker  Breaker
}

// maxName is how much of the name that a server gives its model is noted, in bytes.
const maxName = 200

// Breaker has a model left out for a while that keeps failing. The zero value never does.
type Breaker struct {
	// Failures is how many attempts in a row must have failed; 0 switches it off.
	Failures int
	// Pause is for how long the model is then left out. The first request after that tries it again.
	Pause time.Duration
}

// Generator asks one of several models. It is safe for concurrent use.
type Generator struct {
	o      Options
	models []*model
	slots  chan struct{} // nil without a bound
	pauses atomic.Int64  // counts pauses, for the random streams
}

// ErrTimeout is wrapped, within an [llm.TransientError], by the error of a model that gave no answer within Options.Timeout.
var ErrTimeout = errors.New("no answer in time")

// New returns a generator.
func New(o Options) (*Generator, error) {
	bad := func(format string, args ...any) (*Generator, error) {
		return nil, fmt.Errorf("role %q: %s", o.Role, fmt.Sprintf(format, args...))
	}
	switch {
	case o.Role == "":
		return bad("it must have a name")
	case len(o.Models) == 0:
		return bad("it must have at least one model")
	case o.Clock == nil:
		return bad("it must have a clock")
	case o.Timeout < 0 || o.Retries < 0 || o.InFlight < 0 || o.Breaker.Failures < 0:
		return bad("the timeout %v, %d retries, %d in flight and %d failures must not be negative", o.Timeout, o.Retries, o.InFlight, o.Breaker.Failures)
	case o.Breaker.Failures > 0 && o.Breaker.Pause <= 0:
		return bad("the breaker's pause is %v, must be positive", o.Breaker.Pause)
	}
	g := &Generator{o: o}
	for i, m := range o.Models {
		if m.Name == "" || m.Generator == nil {
			return bad("model %d must have a name and a generator", i)
		}
		g.models = append(g.models, &model{Model: m})
	}
	if o.InFlight > 0 {
		g.slots = make(chan struct{}, o.InFlight)
	}
	return g, nil
}

// Generate implements [llm.Generator]. When every model has failed, the error wraps what the last attempt of each met.
func (g *Generator) Generate(ctx context.Context, requests []llm.Request) ([]llm.Completion, error) {
	rec := from(ctx)
	rec.enter(g.o.Clock)
	defer rec.leave()
	var failed []error
	for _, m := range g.models {
		out, err := g.ask(ctx, rec, m, requests)
		if err == nil {
			return out, nil
		}
		if gone := ctx.Err(); gone != nil {
			err = gone
		}
		if final(ctx, err, requests) {
			return nil, fmt.Errorf("asking the %s: %w", g.o.Role, err)
		}
		failed = append(failed, err)
	}
	return nil, fmt.Errorf("asking the %s: %w", g.o.Role, together(failed))
}

// ask gives one model its attempts.
func (g *Generator) ask(ctx context.Context, rec *Record, m *model, requests []llm.Request) ([]llm.Completion, error) {
	for attempt := 0; ; attempt++ {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if wait := m.closed(g.o.Clock(), g.o.Breaker); wait > 0 {
			return nil, &llm.TransientError{After: wait, Err: fmt.Errorf("model %s has failed %d times in a row and is left out for %v", m.Name, g.o.Breaker.Failures, wait)}
		}
		out, err := g.attempt(ctx, rec, m, attempt, requests)
		if err == nil || final(ctx, err, requests) || attempt == g.o.Retries || errors.Is(err, errLost) {
			return out, err
		}
		var transient *llm.TransientError
		if !errors.As(err, &transient) || !g.pause(ctx, attempt, transient) {
			return nil, err
		}
	}
}

// attempt asks a model once and notes it.
func (g *Generator) attempt(ctx context.Context, rec *Record, m *model, n int, requests []llm.Request) ([]llm.Completion, error) {
	if g.slots != nil {
		select {
		case g.slots <- struct{}{}:
			defer func() { <-g.slots }()
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	call := record.Call{Role: g.o.Role, Model: m.Name, Attempt: n, Began: g.o.Clock()}
	out, err := m.generate(ctx, g.o.Timeout, requests)
	now := g.o.Clock()
	call.Took = now.Sub(call.Began)
	for i := range out {
		call.PromptTokens += out[i].PromptTokens
		call.CompletionTokens += out[i].CompletionTokens
		if name := out[i].Model; name != "" && name != m.Name {
			call.Answered = name[:min(len(name), maxName)]
		}
	}
	if err != nil {
		call.Err = word(ctx, err)
		err = fmt.Errorf("model %s: %w", m.Name, err)
	}
	if ctx.Err() == nil { // what the caller gave up says nothing about the model
		refused := errors.Is(err, llm.ErrInvalid) || openai.OutcomeOf(err) == openai.ContentFilter
		m.note(now, g.o.Breaker, err == nil || refused)
	}
	rec.add(call)
	return out, err
}

const (
	firstPause = 100 * time.Millisecond
	overloaded = time.Second // the first pause where there were too many requests
	mostPause  = 30 * time.Second
)

// pause waits before the next attempt. It returns false where the wait would be too long, or the caller has gone.
func (g *Generator) pause(ctx context.Context, attempt int, why *llm.TransientError) bool {
	d := firstPause
	if why.Overloaded {
		d = overloaded
	}
	d = min(d<<min(attempt, 10), mostPause)
	random := g.o.Random.SplitN("pause", int(g.pauses.Add(1)))
	jitter := random.Float64()
	d = d/2 + time.Duration(jitter*float64(d/2))
	if why.After > 0 {
		d = max(d, why.After+time.Duration(jitter*float64(why.After)/10))
	}
	if d > mostPause+mostPause/10 {
		return false
	}
	if deadline, ok := ctx.Deadline(); ok && deadline.Sub(g.o.Clock()) <= d {
		return false
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// final says whether no further attempt and no other model may be tried after an error.
func final(ctx context.Context, err error, requests []llm.Request) bool {
	if ctx.Err() != nil || openai.OutcomeOf(err) == openai.ContentFilter {
		return true
	}
	if errors.Is(err, llm.ErrInvalid) {
		for i := range requests {
			if requests[i].Validate() != nil {
				return true // no model could answer this
			}
		}
	}
	return false
}

// together joins the errors of all models. That one could not do what the request asks is left out where another could have.
func together(failed []error) error {
	var other []error
	for _, err := range failed {
		if !errors.Is(err, llm.ErrInvalid) {
			other = append(other, err)
		}
	}
	if len(other) == 0 {
		other = failed
	}
	err := other[0]
	for _, next := range other[1:] {
		err = fmt.Errorf("%w; %w", err, next)
	}
	return err
}
