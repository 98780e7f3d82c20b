package runner

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"candor/internal/rng"
	"candor/reasoning/llm"
	"candor/study/runlog"
)

// failing returns an answer that fails the first n times.
func failing(n int, err error) func(context.Context, llm.Request) (llm.Completion, error) {
	var mu sync.Mutex
	return func(ctx context.Context, r llm.Request) (llm.Completion, error) {
		mu.Lock()
		defer mu.Unlock()
		if n--; n >= 0 {
			return llm.Completion{}, err
		}
		return said(ctx, r)
	}
}

func one(ctx context.Context, calls Calls, index, _ int) (runlog.Sample, error) {
	c, err := calls.Do(ctx, "subject", request("a", 0))
	return runlog.Sample{Chain: c.Text}, err
}

func TestRetries(t *testing.T) {
	bad := errors.New("502")
	for name, c := range map[string]struct {
		times    int
		err      error
		failed   string
		tries    int
		min, max time.Duration
	}{
		"none":        {0, bad, "", 1, 0, 0},
		"final":       {1, bad, "call a/chain to subject: 502", 1, 0, 0},
		"transient":   {3, &llm.TransientError{Err: bad}, "", 4, 1750 * time.Millisecond, 3500 * time.Millisecond},
		"too often":   {9, &llm.TransientError{Err: bad}, "given up after 9 tries: 502", 9, 60 * time.Second, 125 * time.Second},
		"wait":        {1, &llm.TransientError{Err: bad, After: 30 * time.Second}, "", 2, 30 * time.Second, 30500 * time.Millisecond},
		"overloaded":  {20, &llm.TransientError{Err: bad, Overloaded: true}, "", 21, 6 * time.Minute, 15 * time.Minute},
		"always":      {1000, &llm.TransientError{Err: bad, Overloaded: true}, "given up after 101 tries", 101, 45 * time.Minute, 100 * time.Minute},
		"retry-after": {1, &llm.TransientError{Err: bad, Overloaded: true, After: 90 * time.Second}, "", 2, 90 * time.Second, 90500 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := folder(t, fastDir(t))
				g := &generator{answer: failing(c.times, c.err)}
				start := time.Now()
				p := mustRun(t, options(f, g), ids{"a"}, one)
				if took := time.Since(start); took < c.min || took > c.max {
					t.Errorf("took %v", took)
				}
				e := entries(t, f)[0]
				if g.calls != c.tries || p.Retries != c.tries-1 || (c.failed != "") != (e.State == Failed) || !strings.Contains(e.Sample.Failed, c.failed) {
					t.Errorf("%d tries, %+v: %+v", g.calls, p, e)
				}
			})
		})
	}
}

func TestJitterSpreadsRetriesAndRepeats(t *testing.T) {
	root := rng.New(1).Split("retry")
	seen := map[time.Duration]bool{}
	for i := range 100 {
		s := root.SplitN("call", i)
		for n := 1; n < 200; n++ {
			d := delay(s.SplitN("delay", n), n, 0)
			if again := delay(s.SplitN("delay", n), n, 0); again != d || d < firstDelay/2 || d > maxDelay {
				t.Fatalf("retry %d waits %v, then %v", n, d, again)
			}
			if n == 5 {
				seen[d] = true
			}
		}
	}
	if len(seen) < 95 {
		t.Errorf("100 calls wait %d different times", len(seen))
	}
}

// A server that asks to wait is left alone by all calls, not just by the one that it told.
func TestRetryAfterHoldsAllCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := numbered(40)
		start := time.Now()
		var mu sync.Mutex
		told, early, at := false, 0, time.Duration(0)
		g := &generator{answer: func(ctx context.Context, r llm.Request) (llm.Completion, error) {
			mu.Lock()
			defer mu.Unlock()
			now := time.Since(start)
			if now >= 2*time.Second && !told {
				told, at = true, now
				return llm.Completion{}, &llm.TransientError{Err: errors.New("429"), Overloaded: true, After: 20 * time.Second}
			}
			if told && now > at && now < at+20*time.Second {
				early++
			}
			return said(ctx, r)
		}}
		slow := &generator{answer: func(ctx context.Context, r llm.Request) (llm.Completion, error) {
			if err := sleep(ctx, 700*time.Millisecond); err != nil {
				return llm.Completion{}, err
			}
			return g.answer(ctx, r)
		}}
		o := options(folder(t, fastDir(t)), slow)
		o.Connections = 3
		var paused time.Duration
		o.Progress = func(p Progress) { paused = max(paused, p.Paused) }
		p := mustRun(t, o, s, echo(s))
		// Those that were under way when the server spoke end within 700 ms.
		if p.Done != 40 || early > 2 || !told || paused != 20*time.Second {
			t.Errorf("%d calls came while the server was not to be called; paused %v; %+v", early, paused, p)
		}
	})
}

func TestNoAnswerInTimeIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := folder(t, fastDir(t))
		n := 0
		g := &generator{answer: func(ctx context.Context, r llm.Request) (llm.Completion, error) {
			if n++; n < 3 {
				<-ctx.Done()
				return llm.Completion{}, fmt.Errorf("post: %w", ctx.Err())
			}
			return said(ctx, r)
		}}
		o := options(f, g)
		o.Timeout = time.Minute
		start := time.Now()
		p := mustRun(t, o, ids{"a"}, one)
		if took := time.Since(start); p.Done != 1 || p.Retries != 2 || took < 2*time.Minute || took > 2*time.Minute+2*time.Second {
			t.Errorf("took %v: %+v", took, p)
		}
	})
}

func TestOverloadLowersTheLimitOfARun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := numbered(300)
		var g *generator
		g = &generator{answer: func(ctx context.Context, r llm.Request) (llm.Completion, error) {
			g.mu.Lock()
			over := g.inFlight > 15
			g.mu.Unlock()
			if over {
				return llm.Completion{}, &llm.TransientError{Err: errors.New("429"), Overloaded: true}
			}
			return taking(time.Second)(ctx, r)
		}}
		o := options(folder(t, fastDir(t)), g)
		lowest := 100
		o.Progress = func(p Progress) {
			if p.Limit > 0 {
				lowest = min(lowest, p.Limit)
			}
		}
		if p := mustRun(t, o, s, echo(s)); p.Done != 300 || p.Retries == 0 || p.Retries > 100 || lowest != 10 {
			t.Errorf("limit down to %d: %+v", lowest, p)
		}
	})
}

// Whatever goes wrong, however often the run is stopped: every sample ends exactly once, as done or failed, and no call that
// was answered is asked again.
func TestEverySampleEndsOnce(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		seed := rapid.Uint64().Draw(rt, "seed")
		n := rapid.IntRange(0, 40).Draw(rt, "items")
		epochs := rapid.IntRange(1, 2).Draw(rt, "epochs")
		connections := rapid.SampledFrom([]int{0, 1, 3, 50}).Draw(rt, "connections")
		faults := rapid.SampledFrom([]float64{0, 0.1, 0.5}).Draw(rt, "faults")
		finals := rapid.SampledFrom([]float64{0, 0.05}).Draw(rt, "finals")
		local := rapid.Bool().Draw(rt, "local")
		stops := rapid.SliceOfN(rapid.IntRange(0, 5000), 0, 2).Draw(rt, "stopped after milliseconds")
		dir, err := os.MkdirTemp(memory(), "runner")
		if err != nil {
			rt.Fatal(err)
		}
		defer func() {
			if err := os.RemoveAll(dir); err != nil {
				rt.Error(err)
			}
		}()
		var fault string
		synctest.Test(t, func(t *testing.T) {
			fault = troubled(t.Context(), dir, trouble{seed, n, epochs, connections, faults, finals, local, stops})
		})
		if fault != "" {
			rt.Fatal(fault)
		}
	})
}

type trouble struct {
	seed                   uint64
	n, epochs, connections int
	faults, finals         float64
	local                  bool
	stops                  []int
}

// troubled runs an audit through trouble and says what is wrong with what it leaves.
func troubled(ctx context.Context, dir string, tr trouble) string {
	f, err := runlog.Open(dir, clock, "candor audit")
	if err != nil {
		return err.Error()
	}
	defer func() { _ = f.Close() }() // what it leaves is removed
	var mu sync.Mutex
	stream := rng.New(tr.seed)
	answered := map[string]int{}
	g := &generator{answer: func(ctx context.Context, r llm.Request) (llm.Completion, error) {
		mu.Lock()
		wait := time.Duration(stream.IntN(2000)) * time.Millisecond
		fault, final, over, after := stream.Bool(tr.faults), stream.Bool(tr.finals), stream.Bool(0.5), stream.Bool(0.3)
		mu.Unlock()
		if err := sleep(ctx, wait); err != nil {
			return llm.Completion{}, err
		}
		if final {
			return llm.Completion{}, errors.New("no")
		}
		if fault {
			e := &llm.TransientError{Err: errors.New("not now"), Overloaded: over}
			if after {
				e.After = wait
			}
			return llm.Completion{}, e
		}
		c, err := said(ctx, r)
		mu.Lock()
		defer mu.Unlock()
		answered[fmt.Sprint(r.Messages, r.Prefix, r.Seed)]++
		return c, err
	}}
	o := options(f, g)
	o.Epochs, o.Connections, o.Seed = tr.epochs, tr.connections, tr.seed
	o.Models["subject"] = Model{Generator: g, Identity: "test", Local: tr.local}
	s := numbered(tr.n)
	var p Progress
	o.Progress = func(now Progress) {
		if now.Done < p.Done || now.Failed < p.Failed || now.Done+now.Failed > now.Total || now.InFlight < 0 || now.InFlight > 256 {
			panic(fmt.Sprintf("%+v after %+v", now, p))
		}
		p = now
	}
	for _, stop := range tr.stops {
		limited, cancel := context.WithTimeout(ctx, time.Duration(stop)*time.Millisecond)
		p = Progress{}
		last, err := Run(limited, o, s, echo(s))
		cancel()
		if err != nil && !errors.Is(err, context.DeadlineExceeded) || err == nil && last.Done+last.Failed != last.Total {
			return fmt.Sprintf("a stopped run: %+v, %v", last, err)
		}
	}
	p = Progress{}
	last, err := Run(ctx, o, s, echo(s))
	if err != nil || last.Done+last.Failed != tr.n*tr.epochs {
		return fmt.Sprintf("the last run: %+v, %v", last, err)
	}
	at := 0
	err = Each(dir, func(e Entry) error {
		if e.ID != s[at/tr.epochs] || e.Epoch != at%tr.epochs || (e.State == Failed) != (e.Sample.Failed != "") || e.Sample.Parsed == (e.State == Failed) {
			return fmt.Errorf("entry %d is %+v", at, e)
		}
		at++
		return nil
	})
	if err != nil || at != tr.n*tr.epochs {
		return fmt.Sprintf("%d entries, %v", at, err)
	}
	// A local batch in which one request fails is asked again, so only a remote model is asked once; a stop may come between
	// an answer and its commit.
	for what, n := range answered {
		if n > 1 && !tr.local && len(tr.stops) == 0 {
			return fmt.Sprintf("%s was answered %d times", what, n)
		}
	}
	return ""
}
