package runner

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"candor/reasoning/llm"
)

// Model is a model that an audit calls.
type Model struct {
	Generator llm.Generator
	// Identity says what answers, such as an endpoint's URL and the model's name there, or the SHA-256 of weights: it is part
	// of every call's key. It is kept in the run folder, so it must not hold an API key.
	Identity string
	// Local tells that the model runs in this process: it answers batches, is never overloaded, and says the same again when
	// it is asked the same.
	Local bool
}

// caller makes calls to one model.
type caller interface {
	// try makes one call. It calls begin when the call's turn has come and gives up on its error.
	try(ctx context.Context, r llm.Request, begin func() error) (llm.Completion, error)
	// load is as a limiter's; the limit of a local model is its batch.
	load() (inFlight, limit int, paused time.Duration)
}

// remote calls a model with one request at a time and bounds the calls under way.
type remote struct {
	generator llm.Generator
	limiter   *limiter
	timeout   time.Duration
}

func (m *remote) load() (int, int, time.Duration) { return m.limiter.load() }

func (m *remote) try(ctx context.Context, r llm.Request, begin func() error) (llm.Completion, error) {
	generation, err := m.limiter.acquire(ctx)
	if err != nil {
		return llm.Completion{}, err
	}
	if err := begin(); err != nil {
		m.limiter.release(generation, neutral, 0)
		return llm.Completion{}, err
	}
	c, err := m.generate(ctx, r)
	var transient *llm.TransientError
	switch {
	case err == nil:
		m.limiter.release(generation, answered, 0)
	case errors.As(err, &transient) && transient.Overloaded:
		m.limiter.release(generation, overloaded, transient.After)
	default:
		m.limiter.release(generation, neutral, 0)
	}
	return c, err
}

func (m *remote) generate(ctx context.Context, r llm.Request) (llm.Completion, error) {
	limited, cancel := context.WithTimeout(ctx, m.timeout)
	defer cancel()
	out, err := m.generator.Generate(limited, []llm.Request{r})
	var transient *llm.TransientError
	switch {
	case err == nil && len(out) != 1:
		return llm.Completion{}, fmt.Errorf("the generator gave %d completions for one request", len(out))
	case err == nil:
		return out[0], nil
	case ctx.Err() == nil && limited.Err() != nil && !errors.As(err, &transient):
		return llm.Completion{}, &llm.TransientError{Err: fmt.Errorf("no answer within %v: %w", m.timeout, err)}
	}
	return llm.Completion{}, bare(err)
}

// bare takes off which request of a batch was at fault: batches are none of the caller's making.
func bare(err error) error {
	if at, ok := err.(*llm.RequestError); ok && at.Err != nil { // the outermost: what it wraps may be transient
		return at.Err
	}
	return err
}

// maxBatch is the most requests that a local model gets at once.
const maxBatch = 256

// local calls a model with batches: what has queued up while the last one ran.
type local struct {
	generator llm.Generator
	ctx       context.Context // the run's, for a batch belongs to many calls
	running   sync.WaitGroup

	mu       sync.Mutex
	queue    []*job
	busy     bool
	inFlight int
}

// job is one call in a batch.
type job struct {
	request    llm.Request
	begin      func() error
	completion llm.Completion
	err        error
	done       chan struct{}
}

func (m *local) load() (int, int, time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.inFlight, maxBatch, 0
}

func (m *local) try(ctx context.Context, r llm.Request, begin func() error) (llm.Completion, error) {
	j := &job{request: r, begin: begin, done: make(chan struct{})}
	m.mu.Lock()
	m.queue = append(m.queue, j)
	if !m.busy {
		m.busy = true
		m.running.Go(m.work)
	}
	m.mu.Unlock()
	select {
	case <-j.done:
		return j.completion, j.err
	case <-ctx.Done():
		return llm.Completion{}, ctx.Err()
	}
}

// work answers batches until the queue is empty.
func (m *local) work() {
	for {
		m.mu.Lock()
		n := min(len(m.queue), maxBatch)
		batch := m.queue[:n:n]
		m.queue = m.queue[n:]
		m.busy, m.inFlight = n > 0, n
		m.mu.Unlock()
		if n == 0 {
			return
		}
		var begun []*job
		for _, j := range batch {
			if j.err = j.begin(); j.err != nil {
				close(j.done)
				continue
			}
			begun = append(begun, j)
		}
		m.answer(begun)
	}
}

// answer ends all jobs of a batch. A request that is at fault is taken out, and the others are tried again without it.
func (m *local) answer(batch []*job) {
	for len(batch) > 0 {
		requests := make([]llm.Request, len(batch))
		for i, j := range batch {
			requests[i] = j.request
		}
		out, err := m.generator.Generate(m.ctx, requests)
		if err == nil && len(out) != len(batch) {
			err = fmt.Errorf("the generator gave %d completions for %d requests", len(out), len(batch))
		}
		var at *llm.RequestError
		if errors.As(err, &at) && at.Index >= 0 && at.Index < len(batch) {
			j := batch[at.Index]
			batch = append(batch[:at.Index:at.Index], batch[at.Index+1:]...)
			j.err = bare(err)
			close(j.done)
			continue
		}
		for i, j := range batch {
			if j.err = err; err == nil {
				j.completion = out[i]
			}
			close(j.done)
		}
		return
	}
}
