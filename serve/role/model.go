package role

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"candor/openai"
	"candor/reasoning/llm"
)

const (
	// maxLost is how many calls of a model may have been left to themselves.
	maxLost = 64
	// grace is how long after the end of its context a call may return before it counts as lost.
	grace = time.Second
)

var (
	errPanic = errors.New("the generator panicked")
	errCount = errors.New("the generator returned a wrong number of completions")
	errLost  = errors.New("too many calls have not returned although their time had ended: the model is not asked until some have")
)

// model is a model with what is known of how it does.
type model struct {
	Model
	lost atomic.Int64 // calls that nobody waits for any more and that have not returned

	mu       sync.Mutex
	failures int       // in a row
	until    time.Time // left out so long
}

// closed returns for how long the model is still left out. Where that time has passed, whoever asks first may try, and the others
// keep out until it is known how that went.
func (m *model) closed(now time.Time, b Breaker) time.Duration {
	if b.Failures == 0 {
		return 0
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.failures < b.Failures {
		return 0
	}
	if wait := m.until.Sub(now); wait > 0 {
		return wait
	}
	m.until = now.Add(b.Pause)
	return 0
}

// note takes in how an attempt went.
func (m *model) note(now time.Time, b Breaker, fine bool) {
	if b.Failures == 0 {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if fine {
		m.failures = 0
		return
	}
	if m.failures++; m.failures >= b.Failures {
		m.until = now.Add(b.Pause)
	}
}

// answer is what a call of a generator came to.
type answer struct {
	completions []llm.Completion
	err         error
}

// What has become of a call: its caller waits, it is lost, it has returned.
const (
	waited int32 = iota
	isLost
	returned
)

// generate asks the model once. It returns when ctx ends or the timeout has passed, whatever the model does.
func (m *model) generate(ctx context.Context, timeout time.Duration, requests []llm.Request) ([]llm.Completion, error) {
	if m.lost.Load() >= maxLost {
		return nil, &llm.TransientError{After: grace, Err: errLost}
	}
	bounded := ctx
	if timeout > 0 {
		var cancel context.CancelFunc
		bounded, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
	}
	if _, ok := m.Generator.(*openai.Generator); ok {
		// It keeps to its context down to the connection. A goroutine of its own would have to grow its stack for each call.
		return m.settle(ctx, timeout, m.guarded(bounded, requests))
	}
	type call struct {
		state atomic.Int32
		done  chan answer
	}
	c := &call{done: make(chan answer, 1)}
	go func() {
		a := m.guarded(bounded, requests)
		if c.state.Swap(returned) == isLost {
			m.lost.Add(-1)
		}
		c.done <- a
	}()
	var a answer
	select {
	case a = <-c.done:
	case <-bounded.Done():
		time.AfterFunc(grace, func() {
			m.lost.Add(1)
			if !c.state.CompareAndSwap(waited, isLost) {
				m.lost.Add(-1)
			}
		})
		select {
		case a = <-c.done: // it came at the last moment
		default:
			a.err = bounded.Err()
		}
	}
	return m.settle(ctx, timeout, a)
}

func (m *model) settle(ctx context.Context, timeout time.Duration, a answer) ([]llm.Completion, error) {
	if a.err == nil {
		return a.completions, nil
	}
	return nil, classify(ctx, timeout, a.err)
}

// guarded turns a panic and a wrong number of completions into errors.
func (m *model) guarded(ctx context.Context, requests []llm.Request) (a answer) {
	defer func() {
		if p := recover(); p != nil {
			a = answer{err: fmt.Errorf("%w: %v", errPanic, p)}
		}
	}()
	a.completions, a.err = m.Generator.Generate(ctx, requests)
	if a.err == nil && len(a.completions) != len(requests) {
		return answer{err: fmt.Errorf("%w: %d for %d requests", errCount, len(a.completions), len(requests))}
	}
	return a
}

// classify tells the ends of the caller's and of the attempt's own time apart, and marks what may go well the next time.
func classify(caller context.Context, timeout time.Duration, err error) error {
	if gone := caller.Err(); gone != nil {
		return gone
	}
	var transient *llm.TransientError
	var network net.Error
	switch {
	case errors.As(err, &transient):
		return err
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		if timeout > 0 {
			return &llm.TransientError{Err: fmt.Errorf("%w: %v have passed", ErrTimeout, timeout)}
		}
		return &llm.TransientError{Err: fmt.Errorf("%w: the call was given up", ErrTimeout)}
	case openai.OutcomeOf(err) == "" && errors.As(err, &network):
		return &llm.TransientError{Err: err}
	}
	return err
}

// word says in one or two words what went wrong, without anything that a model or a server said.
func word(caller context.Context, err error) string {
	var fault *openai.Error
	var transient *llm.TransientError
	switch {
	case caller.Err() != nil:
		if errors.Is(caller.Err(), context.DeadlineExceeded) {
			return "deadline"
		}
		return "canceled"
	case errors.As(err, &fault):
		if fault.Status != 0 {
			return fmt.Sprintf("%s %d", fault.Outcome, fault.Status)
		}
		return string(fault.Outcome)
	case errors.Is(err, ErrTimeout):
		return string(openai.Timeout)
	case errors.Is(err, errPanic):
		return "panic"
	case errors.Is(err, errCount):
		return "wrong-count"
	case errors.Is(err, errLost):
		return "lost-calls"
	case errors.Is(err, llm.ErrInvalid):
		return "invalid"
	case errors.As(err, &transient):
		return "transient"
	}
	return "error"
}
