package runner

import (
	"container/list"
	"context"
	"sync"
	"time"
)

// The bounds of a limit that adapts.
const (
	startLimit = 20
	minLimit   = 10
	maxLimit   = 100
)

// limiter bounds the calls that are under way at once, by additive increase and multiplicative decrease. Those who wait are
// let in in the order in which they came.
type limiter struct {
	mu       sync.Mutex
	limit    float64
	min, max float64
	inFlight int
	// generation counts the decreases. A call that was let in before the last one tells nothing about the present limit.
	generation int
	pauses     int           // that have not ended
	longest    time.Duration // of those
	waiting    list.List     // of chan int, which gets the generation
}

// newLimiter returns a limiter that adapts, or one with a fixed limit if that is at least 1.
func newLimiter(fixed int) *limiter {
	if fixed > 0 {
		return &limiter{limit: float64(fixed), min: float64(fixed), max: float64(fixed)}
	}
	return &limiter{limit: startLimit, min: minLimit, max: maxLimit}
}

// acquire waits for a place and returns the generation, which release wants back. On an error there is no place to release.
func (l *limiter) acquire(ctx context.Context) (generation int, err error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	l.mu.Lock()
	in := make(chan int, 1)
	e := l.waiting.PushBack(in)
	l.admit()
	l.mu.Unlock()
	select {
	case generation = <-in:
		return generation, nil
	case <-ctx.Done():
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-in: // let in at the same moment
		l.inFlight--
		l.admit()
	default:
		l.waiting.Remove(e)
	}
	return 0, ctx.Err()
}

// admit lets in those who wait as long as there are places. l.mu is held.
func (l *limiter) admit() {
	for l.pauses == 0 && l.waiting.Len() > 0 && l.inFlight < int(l.limit) {
		l.inFlight++
		l.waiting.Remove(l.waiting.Front()).(chan int) <- l.generation
	}
}

// outcome is what a call tells about the limit.
type outcome int

const (
	neutral    outcome = iota // nothing: it failed for a reason of its own
	answered                  // more may be possible
	overloaded                // it was too much
)

// release gives a place back. after is how long an overloaded server asked everybody to wait, 0 if it did not say.
func (l *limiter) release(generation int, o outcome, after time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch o {
	case answered:
		inUse := l.inFlight >= int(l.limit) || l.waiting.Len() > 0
		if generation == l.generation && inUse {
			l.limit = min(l.max, l.limit+1/l.limit)
		}
	case overloaded:
		if generation == l.generation {
			l.limit = max(l.min, l.limit/2)
			l.generation++
		}
		if after > 0 {
			l.pause(after)
		}
	}
	l.inFlight--
	l.admit()
}

// pause lets nobody in for a while. Pauses overlap: the one that ends last counts. l.mu is held.
func (l *limiter) pause(d time.Duration) {
	l.pauses++
	l.longest = max(l.longest, d)
	time.AfterFunc(d, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.pauses--; l.pauses == 0 {
			l.longest = 0
		}
		l.admit()
	})
}

// load returns how many calls are under way, how many may be, and the longest pause that the server asked for and that has
// not ended.
func (l *limiter) load() (inFlight, limit int, paused time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.inFlight, int(l.limit), l.longest
}
