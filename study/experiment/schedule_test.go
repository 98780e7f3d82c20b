package experiment

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func node(id string, cost float64, input, reader *stage) *stage {
	return &stage{id: id, cost: cost, input: input, reader: reader}
}

// Whatever the graph, the threads and what is done already: each stage runs once, after what it needs, and no more
// threads are out than there are.
func TestScheduleRespectsNeeds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var order []*stage
		for i := range rapid.IntRange(0, 20).Draw(t, "stages") {
			pick := func(name string) *stage {
				if n := rapid.IntRange(-1, i-1).Draw(t, name); n >= 0 {
					return order[n]
				}
				return nil
			}
			st := node(fmt.Sprint(i), rapid.Float64Range(1, 9).Draw(t, "cost"), pick("input"), pick("reader"))
			order = append(order, st)
		}
		for _, st := range order { // done is whatever could have been done before
			ready := true
			for _, need := range st.needs() {
				ready = ready && need.done
			}
			st.done = ready && rapid.Bool().Draw(t, "done")
		}
		before := map[*stage]bool{}
		for _, st := range order {
			before[st] = st.done
		}
		threads := rapid.IntRange(1, 5).Draw(t, "threads")
		var mu sync.Mutex
		out := 0
		ran := map[*stage]int{}
		ended := map[*stage]bool{}
		err := schedule(context.Background(), order, threads, func(_ context.Context, st *stage, n int) error {
			mu.Lock()
			ran[st]++
			out += n
			if n < 1 || out > threads {
				t.Errorf("stage %s gets %d threads, %d of %d are out", st.id, n, out, threads)
			}
			for _, need := range st.needs() {
				if !before[need] && !ended[need] {
					t.Errorf("stage %s runs before %s", st.id, need.id)
				}
			}
			mu.Unlock()
			mu.Lock()
			ended[st], out = true, out-n
			mu.Unlock()
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, st := range order {
			if want := map[bool]int{false: 1}[before[st]]; ran[st] != want || !st.done {
				t.Errorf("stage %s ran %d times, want %d", st.id, ran[st], want)
			}
		}
	})
}

// Independent stages run beside each other, and the one with the longest way ahead goes first.
func TestScheduleRunsWhatIsReady(t *testing.T) {
	short := node("short", 5, nil, nil)
	long := node("long", 1, nil, nil)
	after := node("after", 9, long, nil)
	var first []string
	both := make(chan bool)
	var mu sync.Mutex
	err := schedule(t.Context(), []*stage{short, long, after}, 2, func(ctx context.Context, st *stage, n int) error {
		mu.Lock()
		first = append(first, st.id)
		mu.Unlock()
		if st == after {
			return nil
		}
		select { // each waits for the other
		case both <- true:
		case <-both:
		case <-time.After(5 * time.Second):
			return errors.New("the other stage does not run")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	var one []string
	for _, st := range []*stage{short, long, after} {
		st.done = false
	}
	if err := schedule(t.Context(), []*stage{short, long, after}, 1, func(_ context.Context, st *stage, n int) error {
		one = append(one, st.id)
		return nil
	}); err != nil || strings.Join(one, " ") != "long after short" {
		t.Errorf("on one thread: %v, %v", one, err)
	}
}

func TestScheduleStopsAtTheFirstError(t *testing.T) {
	bad := errors.New("bad luck")
	good, failing, slow := node("good", 9, nil, nil), node("failing", 8, nil, nil), node("slow", 7, nil, nil)
	user := node("user", 1, failing, nil)
	finished := make(chan bool)
	err := schedule(t.Context(), []*stage{good, failing, slow, user}, 3, func(ctx context.Context, st *stage, _ int) error {
		switch st {
		case good:
			close(finished)
			return nil
		case failing:
			<-finished
			time.Sleep(time.Millisecond)
			return bad
		case slow:
			<-ctx.Done()
			return fmt.Errorf("stopped: %w", ctx.Err())
		}
		t.Errorf("%s was started", st.id)
		return nil
	})
	if !errors.Is(err, bad) || !strings.Contains(err.Error(), "stage failing") {
		t.Errorf("the error must be the first real one: %v", err)
	}
	if !good.done || failing.done || slow.done || user.done {
		t.Error("what is done must stay so, and nothing else")
	}
}

// A stage that was told to stop may end before the error that stopped it is noted.
func TestTheFirstErrorIsARealOne(t *testing.T) {
	s := &scheduler{waiting: map[*stage]int{}, users: map[*stage][]*stage{}}
	s.wake = sync.NewCond(&s.mu)
	for _, err := range []error{context.Canceled, errors.New("bad luck"), context.Canceled, errors.New("worse")} {
		s.finished(node("a", 1, nil, nil), 1, err)
	}
	if s.err == nil || !strings.Contains(s.err.Error(), "bad luck") {
		t.Errorf("the error is %v", s.err)
	}
}

func TestScheduleIsCancelled(t *testing.T) {
	for _, cause := range []error{context.Canceled, context.DeadlineExceeded} {
		ctx, cancel := context.WithCancel(t.Context())
		if cause == context.DeadlineExceeded {
			ctx, cancel = context.WithTimeout(t.Context(), time.Millisecond)
		}
		a := node("a", 1, nil, nil)
		b := node("b", 1, a, nil)
		err := schedule(ctx, []*stage{a, b}, 1, func(ctx context.Context, st *stage, _ int) error {
			if st == b {
				t.Error("b was started")
			}
			if cause == context.Canceled {
				cancel()
			}
			<-ctx.Done()
			return ctx.Err()
		})
		if !errors.Is(err, cause) {
			t.Errorf("want %v, got %v", cause, err)
		}
		cancel()
		if err := schedule(ctx, []*stage{node("c", 1, nil, nil)}, 1, func(context.Context, *stage, int) error { return errors.New("started") }); !errors.Is(err, ctx.Err()) {
			t.Errorf("on an ended context: %v", err)
		}
	}
}

func TestProgressCounts(t *testing.T) {
	a, b := node("a", 3, nil, nil), node("b", 1, nil, nil)
	a.uses, b.uses = []use{{"x", 1}}, []use{{"y", 2}}
	a.done = true
	var got []Event
	g := newProgress(func(e Event) { got = append(got, e) }, &plan{stages: []*stage{a, b}})
	if n := g.begin([]*stage{a, b}); n != 1 {
		t.Errorf("%d stages to compute, want 1", n)
	}
	g.event(Started, b)
	g.step(b, 1, 2)
	g.event(Finished, b)
	shares := []float64{.75, .75, .875, 1}
	for i, e := range got {
		if e.Share != shares[i] || e.StageCount != 2 {
			t.Errorf("event %d: share %g of %d stages, want %g of 2", i, e.Share, e.StageCount, shares[i])
		}
	}
	if last := got[len(got)-1]; last.Here != .25 || last.Stages != 2 || last.Arm != "y" || last.Seed != 2 {
		t.Errorf("the last event: %+v", last)
	}
}
