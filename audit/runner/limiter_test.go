package runner

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// take acquires n places and returns their generations.
func take(t *testing.T, l *limiter, n int) []int {
	t.Helper()
	var out []int
	for range n {
		g, err := l.acquire(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, g)
	}
	return out
}

func limitOf(l *limiter) int {
	_, limit, _ := l.load()
	return limit
}

func TestLimitRisesOnlyWhileItIsInUse(t *testing.T) {
	l := newLimiter(0)
	if limitOf(l) != 20 {
		t.Fatalf("the limit starts at %d", limitOf(l))
	}
	for range 1000 { // one call at a time proves nothing about twenty
		l.release(take(t, l, 1)[0], answered, 0)
	}
	if limitOf(l) != 20 {
		t.Errorf("unused, the limit went to %d", limitOf(l))
	}
	held := take(t, l, 20)
	for range 21 { // one round of answers at the limit is worth one
		l.release(held[0], answered, 0)
		held = append(held[1:], take(t, l, 1)...)
		for inFlight, limit, _ := l.load(); inFlight < limit; inFlight++ {
			held = append(held, take(t, l, 1)...)
		}
	}
	if limitOf(l) != 21 {
		t.Errorf("after a round of answers the limit is %d", limitOf(l))
	}
	for range 20_000 {
		l.release(held[0], answered, 0)
		held = append(held[1:], take(t, l, 1)...)
		for inFlight, limit, _ := l.load(); inFlight < limit; inFlight++ {
			held = append(held, take(t, l, 1)...)
		}
	}
	if limitOf(l) != 100 {
		t.Errorf("the limit rose to %d, not to its bound", limitOf(l))
	}
}

func TestBurstHalvesTheLimitOnce(t *testing.T) {
	l := newLimiter(0)
	burst := take(t, l, 20)
	for _, g := range burst[:15] {
		l.release(g, overloaded, 0)
	}
	if limitOf(l) != 10 {
		t.Errorf("15 overloads of one burst took the limit from 20 to %d", limitOf(l))
	}
	for _, g := range burst[15:] { // answers to calls of before say nothing about now
		l.release(g, answered, 0)
	}
	if limitOf(l) != 10 {
		t.Errorf("answers from before the burst made it %d", limitOf(l))
	}
	l.limit = 50
	l.release(take(t, l, 1)[0], overloaded, 0)
	l.release(take(t, l, 1)[0], neutral, 0)
	if limitOf(l) != 25 {
		t.Errorf("the next burst took the limit from 50 to %d", limitOf(l))
	}
	for range 5 {
		l.release(take(t, l, 1)[0], overloaded, 0)
	}
	if limitOf(l) != 10 {
		t.Errorf("the limit fell to %d, under or over its bound", limitOf(l))
	}
}

func TestFixedLimitStays(t *testing.T) {
	l := newLimiter(3)
	held := take(t, l, 3)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := l.acquire(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("a fourth is let in or fails with %v", err)
	}
	l.release(held[0], overloaded, 0)
	l.release(held[1], answered, 0)
	if limitOf(l) != 3 {
		t.Errorf("the limit went to %d", limitOf(l))
	}
}

func TestNobodyIsLetInDuringAPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(0)
		start := time.Now()
		burst := take(t, l, 2)
		l.release(burst[0], overloaded, 7*time.Second)
		l.release(burst[1], overloaded, 3*time.Second) // the longer pause counts
		if _, _, paused := l.load(); paused != 7*time.Second {
			t.Errorf("paused for %v", paused)
		}
		g := take(t, l, 1)[0]
		if waited := time.Since(start); waited != 7*time.Second {
			t.Errorf("let in after %v", waited)
		}
		l.release(g, answered, 0)
		if inFlight, _, paused := l.load(); inFlight != 0 || paused != 0 {
			t.Errorf("%d under way, paused for %v", inFlight, paused)
		}
	})
}

func TestWhoLeavesTheQueueTakesNoPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(1)
		held := take(t, l, 1)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := l.acquire(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("waiting at a full limit gives %v", err)
		}
		l.release(held[0], answered, 0)
		l.release(take(t, l, 1)[0], answered, 0)
		if inFlight, _, _ := l.load(); inFlight != 0 || l.waiting.Len() != 0 {
			t.Errorf("%d under way, %d waiting", inFlight, l.waiting.Len())
		}
	})
}
