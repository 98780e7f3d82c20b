package runner

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"candor/internal/rng"
	"candor/reasoning/llm"
)

// How often a call is tried again, and how long it waits first.
const (
	maxRetries   = 8   // whatever went wrong
	maxOverloads = 100 // more, where the server had too much to do: that says nothing about the request
	firstDelay   = 500 * time.Millisecond
	maxDelay     = time.Minute
)

// calls are the [Calls] of one sample.
type calls struct {
	run   *run
	epoch int

	mu   sync.Mutex
	used []use
	cut  bool // a call was not made because the run or the budget came to its end
}

// Do implements [Calls].
func (c *calls) Do(ctx context.Context, name string, r llm.Request) (llm.Completion, error) {
	m, ok := c.run.models[name]
	if !ok {
		return llm.Completion{}, fmt.Errorf("call %s: there is no model %q", r.ID, name)
	}
	k, completion, err := c.run.do(ctx, m, c.epoch, r)
	if err != nil {
		err = fmt.Errorf("call %s to %s: %w", r.ID, name, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case err == nil:
		c.used = append(c.used, use{r.ID, name, k[:]})
	case errors.Is(err, ErrBudget) || c.run.ctx.Err() != nil:
		c.cut = true
	}
	return completion, err
}

// end returns the calls that the sample made, in an order that does not depend on when they ended, and whether one was not
// made because the run was over: whatever work made of that, the sample is not what it would be otherwise.
func (c *calls) end() (used []use, cut bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	sortUses(c.used)
	used = slices.CompactFunc(c.used, func(a, b use) bool {
		return a.Name == b.Name && a.Model == b.Model && slices.Equal(a.Key, b.Key)
	})
	return used, c.cut
}

// flight is a call that is under way for all who ask for it.
type flight struct {
	done       chan struct{}
	completion llm.Completion
	err        error
}

// do makes a call unless the store has it or it is under way. A call under way belongs to the run: it ends, and is kept,
// even if all who asked have left.
func (r *run) do(ctx context.Context, m *model, epoch int, request llm.Request) (key, llm.Completion, error) {
	if err := request.Validate(); err != nil {
		return key{}, llm.Completion{}, err
	}
	if m.Local {
		epoch = 0
	}
	k, body, err := callKey(m.Identity, epoch, request)
	if err != nil {
		return key{}, llm.Completion{}, err
	}
	r.mu.Lock()
	f, shared := r.flights[k]
	if !shared {
		f = &flight{done: make(chan struct{})}
		r.flights[k] = f
		m.called = true
		r.calls.Go(func() {
			f.completion, f.err = r.fetch(m, k, request, body)
			r.mu.Lock()
			delete(r.flights, k)
			r.mu.Unlock()
			close(f.done)
		})
	}
	r.mu.Unlock()
	select {
	case <-f.done:
	case <-ctx.Done():
		return key{}, llm.Completion{}, context.Cause(ctx)
	}
	if shared && f.err == nil {
		r.note(func(p *Progress) { p.Hits++ })
	}
	return k, f.completion, f.err
}

// fetch gets a call's completion from the store, or from the model and then keeps it.
func (r *run) fetch(m *model, k key, request llm.Request, body []byte) (llm.Completion, error) {
	data, err := r.store.getCall(r.ctx, k)
	if err != nil {
		return llm.Completion{}, r.broken(err)
	}
	if data != nil {
		c, err := decode(data)
		if err != nil {
			return llm.Completion{}, r.broken(r.store.explain(fmt.Errorf("the file is damaged: a call's completion cannot be read: %w", err)))
		}
		r.note(func(p *Progress) { p.Hits++ })
		return c, nil
	}
	c, err := r.ask(m, k, request)
	if err != nil {
		return llm.Completion{}, err
	}
	if data, err = json.Marshal(c); err != nil {
		return llm.Completion{}, fmt.Errorf("the completion cannot be kept: %w", err)
	}
	in, out := cost(request, c)
	// The budget counts it at once, before it is durable.
	r.mu.Lock()
	r.progress.Spent += in + out
	r.mu.Unlock()
	if err := r.store.putCall(k, m.Identity, body, data, in, out); err != nil {
		return llm.Completion{}, r.broken(fmt.Errorf("keeping a call: %w", err))
	}
	r.note(func(p *Progress) {
		p.Calls++
		p.TokensIn, p.TokensOut = p.TokensIn+in, p.TokensOut+out
	})
	return decode(data) // as the store will give it, to the last byte
}

// broken ends the run because of its store.
func (r *run) broken(err error) error {
	r.cancel(err)
	return err
}

// cost returns how many tokens a call read and wrote.
func cost(r llm.Request, c llm.Completion) (in, out int64) {
	in, out = int64(max(c.PromptTokens, 0)), int64(max(c.CompletionTokens, 0))
	if in+out > 0 {
		return in, out
	}
	for _, m := range r.Messages {
		in += int64(len(m.Text))
	}
	in += int64(len(r.Prefix) + len(r.Reasoning))
	return (in + 3) / 4, int64(len(c.Text)+len(c.Reasoning)+3) / 4
}

// ask makes a call, again and again where that may help.
func (r *run) ask(m *model, k key, request llm.Request) (llm.Completion, error) {
	jitter := r.jitter.Split(string(k[:]))
	retries, overloads := 0, 0
	for {
		c, err := m.try(r.ctx, request, r.begin)
		var transient *llm.TransientError
		switch {
		case err == nil:
			return c, nil
		case r.ctx.Err() != nil:
			return llm.Completion{}, context.Cause(r.ctx)
		case !errors.As(err, &transient):
			return llm.Completion{}, err
		case transient.Overloaded:
			overloads++
		default:
			retries++
		}
		if retries > maxRetries || overloads > maxOverloads {
			return llm.Completion{}, fmt.Errorf("given up after %d tries: %w", retries+overloads, err)
		}
		r.note(func(p *Progress) { p.Retries++ })
		n := retries + overloads
		if err := sleep(r.ctx, delay(jitter.SplitN("delay", n), n, transient.After)); err != nil {
			return llm.Completion{}, err
		}
	}
}

// begin lets a call begin if there are tokens left.
func (r *run) begin() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.Budget > 0 && r.progress.Spent >= r.Budget {
		r.broke = true
		return ErrBudget
	}
	r.tell()
	return nil
}

// delay returns how long to wait before the nth retry: between half and all of an exponential backoff or, where the server
// said how long, that and up to as much again, but no more of it than the backoff.
func delay(s rng.Source, n int, after time.Duration) time.Duration {
	backoff := maxDelay
	if n < 8 {
		backoff = min(firstDelay<<(n-1), maxDelay)
	}
	if after > 0 {
		return after + time.Duration(s.Float64()*float64(min(backoff, after)))
	}
	return backoff/2 + time.Duration(s.Float64()*float64(backoff/2))
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
