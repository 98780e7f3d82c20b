package role

import (
	"context"
	"slices"
	"sync"
	"time"

	"candor/serve/record"
)

// Record takes down the calls that are made for one request. The zero value is ready; it is safe for concurrent use.
type Record struct {
	mu     sync.Mutex
	calls  []record.Call
	active int       // runs of Generate
	since  time.Time // when active became 1
	total  time.Duration
	clock  func() time.Time
}

type key struct{}

// With returns a context in which calls are noted in r.
func With(ctx context.Context, r *Record) context.Context { return context.WithValue(ctx, key{}, r) }

// from returns the record that a context carries, nil if none.
func from(ctx context.Context) *Record {
	r, _ := ctx.Value(key{}).(*Record)
	return r
}

// Calls returns the calls that have ended, in the order in which they began.
func (r *Record) Calls() []record.Call {
	r.mu.Lock()
	defer r.mu.Unlock()
	calls := slices.Clone(r.calls)
	slices.SortStableFunc(calls, func(a, b record.Call) int { return a.Began.Compare(b.Began) })
	return calls
}

// Upstream returns for how long at least one model was being asked. Time that several were asked at once counts once, and the
// waits for a free slot and between attempts are part of it: it is the models that they wait for.
func (r *Record) Upstream() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.active > 0 {
		return r.total + r.clock().Sub(r.since)
	}
	return r.total
}

func (r *Record) enter(clock func() time.Time) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.active++; r.active == 1 {
		r.since, r.clock = clock(), clock
	}
}

func (r *Record) leave() {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.active--; r.active == 0 {
		r.total += r.clock().Sub(r.since)
	}
}

func (r *Record) add(c record.Call) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls = append(r.calls, c)
}
