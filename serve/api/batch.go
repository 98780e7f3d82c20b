package api

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"candor/reasoning/llm"
)

const (
	maxBatch   = 256     // requests that Generate is given at once
	maxWaiting = 1 << 14 // requests that may wait
)

// Batch is a generator whose callers' requests are answered together where they wait at the same time: a local model answers many
// far faster than one after another. It is safe for concurrent use, and asks its own generator for one thing at a time. Nothing waits
// while that is idle. A request whose caller gives it up leaves the queue, and what nobody waits for any more is called off.
type Batch struct {
	ctx context.Context // its end calls off what is running
	gen llm.Generator

	mu      sync.Mutex
	waiting []*job
	busy    bool // a goroutine answers, which runs while there are any requests, and no longer
}

// NewBatch returns a batch in front of gen. The end of ctx calls off what is running.
func NewBatch(ctx context.Context, gen llm.Generator) *Batch { return &Batch{ctx: ctx, gen: gen} }

// job is one request on its way.
type job struct {
	ctx     context.Context // of who waits for it
	request llm.Request
	done    chan outcome // has room for one
}

type outcome struct {
	completion llm.Completion
	fault      error // of the request's own
	err        error // of all of a batch
}

// Generate implements llm.Generator.
func (b *Batch) Generate(ctx context.Context, requests []llm.Request) ([]llm.Completion, error) {
	jobs := make([]*job, len(requests))
	for i, r := range requests {
		jobs[i] = &job{ctx: ctx, request: r, done: make(chan outcome, 1)}
	}
	if err := b.enqueue(jobs); err != nil {
		return nil, err
	}
	out := make([]llm.Completion, len(jobs))
	for i, j := range jobs {
		select {
		case o := <-j.done:
			if o.fault != nil {
				return nil, &llm.RequestError{Index: i, ID: requests[i].ID, Err: o.fault}
			}
			if o.err != nil {
				return nil, o.err
			}
			out[i] = o.completion
		case <-ctx.Done():
			return nil, fmt.Errorf("waiting for %d completions: %w", len(requests), ctx.Err())
		}
	}
	return out, nil
}

func (b *Batch) enqueue(jobs []*job) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.waiting)+len(jobs) > maxWaiting {
		return &llm.TransientError{After: time.Second, Overloaded: true, Err: fmt.Errorf("%d completions wait already; ask for fewer at a time", len(b.waiting))}
	}
	b.waiting = append(b.waiting, jobs...)
	if !b.busy && len(b.waiting) > 0 {
		b.busy = true
		go b.work()
	}
	return nil
}

// work answers batches until nothing waits.
func (b *Batch) work() {
	for {
		batch := b.take()
		if len(batch) == 0 {
			return
		}
		b.answer(batch)
	}
}

// take removes the requests that come next from the queue, and those that nobody waits for. None says that the work is over.
func (b *Batch) take() []*job {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.waiting = slices.DeleteFunc(b.waiting, func(j *job) bool { return j.ctx.Err() != nil })
	n := min(len(b.waiting), maxBatch)
	batch := slices.Clone(b.waiting[:n])
	b.waiting = slices.Delete(b.waiting, 0, n)
	b.busy = n > 0
	return batch
}

// answer lets the generator answer a batch. A request at fault is taken out, and the rest asked again: a generator notices
// such a request before it begins.
func (b *Batch) answer(batch []*job) {
	ctx, cancel := context.WithCancel(b.ctx)
	defer cancel()
	var wanted atomic.Int64
	wanted.Store(int64(len(batch)))
	gone := func() {
		if wanted.Add(-1) == 0 {
			cancel()
		}
	}
	stay := make([]func() bool, len(batch))
	for i, j := range batch {
		stay[i] = context.AfterFunc(j.ctx, gone)
		defer stay[i]()
	}
	for len(batch) > 0 {
		requests := make([]llm.Request, len(batch))
		for i, j := range batch {
			requests[i] = j.request
		}
		out, err := b.call(ctx, requests)
		var one *llm.RequestError
		if errors.As(err, &one) && one.Index >= 0 && one.Index < len(batch) {
			if stay[one.Index]() {
				gone()
			}
			batch[one.Index].done <- outcome{fault: one.Err}
			batch, stay = slices.Delete(batch, one.Index, one.Index+1), slices.Delete(stay, one.Index, one.Index+1)
			continue
		}
		for i, j := range batch {
			o := outcome{err: err}
			if err == nil {
				o.completion = out[i]
			}
			j.done <- o
		}
		return
	}
}

// call is Generate; a panic or a wrong number of completions is an error, since one request must not end the server.
func (b *Batch) call(ctx context.Context, requests []llm.Request) (out []llm.Completion, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("answering %d requests: panic: %v", len(requests), p)
		}
	}()
	out, err = b.gen.Generate(ctx, requests)
	if err == nil && len(out) != len(requests) {
		err = fmt.Errorf("it gave %d completions for %d requests", len(out), len(requests))
	}
	return out, err
}
