// Package tensor holds what the engine needs around its kernels: a pool of goroutines and an arena of float32 memory.
//
// Neither influences results: [Pool.Run] gives each index to exactly one call, so work that is split into a fixed number
// of shards has the same bits for any number of threads, and an [Arena] only saves the garbage collector work.
package tensor

import (
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"
)

// Pool runs functions on a fixed number of goroutines that live until [Pool.Close]. Run allocates nothing.
type Pool struct {
	threads int
	wake    chan struct{}  // one message sends one worker into the current run
	exited  sync.WaitGroup // workers that are alive

	busy atomic.Bool // a Run holds the workers
	shut atomic.Bool

	// The current run.
	f       func(int)
	n       int64
	next    atomic.Int64   // the first index that nobody has taken
	working sync.WaitGroup // workers that still take indices
	failure atomic.Pointer[failure]
}

// failure is a panic on its way from a worker to the caller of Run.
type failure struct {
	value any
	stack []byte
}

// NewPool returns a pool of that many threads, at least 1. The caller of [Pool.Run] is one of them, so a pool of one
// thread has no goroutines.
func NewPool(threads int) *Pool {
	if threads < 1 {
		panic(fmt.Sprintf("tensor.NewPool: %d threads, but at least 1 is needed", threads))
	}
	p := &Pool{threads: threads, wake: make(chan struct{}, threads)}
	for range threads - 1 {
		p.exited.Go(p.work)
	}
	return p
}

// Threads returns the number of threads.
func (p *Pool) Threads() int { return p.threads }

// Run calls f(0) to f(n-1), each once, in no particular order and on at most Threads goroutines at a time, and returns
// when all have returned. With one thread, or while another Run of the same pool is under way (a nested one included),
// all calls are made by the caller itself in ascending order. If f panics, no further indices are begun and Run panics
// once the calls under way have returned: with the same value, or, if it happened on another goroutine, with an error
// that shows the value and where it happened (and unwraps to the value if that is an error).
func (p *Pool) Run(n int, f func(i int)) {
	if p.shut.Load() {
		panic("tensor.Pool: Run after Close")
	}
	if p.threads == 1 || n <= 1 || !p.busy.CompareAndSwap(false, true) {
		for i := range n {
			f(i)
		}
		return
	}
	defer p.busy.Store(false)
	p.f, p.n = f, int64(n)
	p.next.Store(0)
	p.failure.Store(nil)
	helpers := min(p.threads, n) - 1
	p.working.Add(helpers)
	for range helpers {
		p.wake <- struct{}{}
	}
	// If f panics here, the caller's own stack is worth more than a wrapped one: wait for the workers and let it fly.
	defer p.settle()
	p.takeIndices()
}

// settle waits for the workers of the current run, then raises what they failed with. It is deferred, so that it also
// runs while a panic of the caller's own share passes through; a nested panic then shows both.
func (p *Pool) settle() {
	p.next.Store(p.n) // after a panic nobody begins another index; otherwise all are taken already
	p.working.Wait()
	p.f = nil
	if fail := p.failure.Load(); fail != nil {
		verb := "%v"
		if _, ok := fail.value.(error); ok {
			verb = "%w"
		}
		panic(fmt.Errorf(verb+"\n\non a thread of the pool:\n%s", fail.value, fail.stack))
	}
}

func (p *Pool) takeIndices() {
	for {
		i := p.next.Add(1) - 1
		if i >= p.n {
			return
		}
		p.f(int(i))
	}
}

func (p *Pool) work() {
	for range p.wake {
		p.help()
	}
}

func (p *Pool) help() {
	defer p.working.Done()
	defer func() {
		if v := recover(); v != nil {
			p.failure.CompareAndSwap(nil, &failure{v, debug.Stack()})
			p.next.Store(p.n)
		}
	}()
	p.takeIndices()
}

// Close ends the pool's goroutines and returns when they have gone. The pool must be idle, and Run must not be called
// again. Closing twice is harmless.
func (p *Pool) Close() {
	if p.shut.CompareAndSwap(false, true) {
		close(p.wake)
	}
	p.exited.Wait()
}
