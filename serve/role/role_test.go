package role_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"candor/internal/rng"
	"candor/openai"
	"candor/reasoning/llm"
	"candor/serve/role"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// script is a model whose calls go one after the other as told; the last goes on for ever.
type script struct {
	mu    sync.Mutex
	asked int
	does  []func(ctx context.Context, n int) ([]llm.Completion, error)
}

func (s *script) Generate(ctx context.Context, requests []llm.Request) ([]llm.Completion, error) {
	s.mu.Lock()
	do := s.does[min(s.asked, len(s.does)-1)]
	s.asked++
	s.mu.Unlock()
	return do(ctx, len(requests))
}

func (s *script) calls() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked
}

type step = func(ctx context.Context, n int) ([]llm.Completion, error)

const secret = "what was said in confidence"

func fails(err error) step {
	return func(context.Context, int) ([]llm.Completion, error) { return nil, err }
}

var (
	good step = func(_ context.Context, n int) ([]llm.Completion, error) {
		return slices.Repeat([]llm.Completion{{Text: "ok", PromptTokens: 3, CompletionTokens: 2}}, n), nil
	}
	transient      = fails(&llm.TransientError{Err: errors.New(secret)})
	overload       = fails(&llm.TransientError{Overloaded: true, After: 4 * time.Second, Err: &openai.Error{Outcome: openai.HTTPStatus, Status: 429, Message: secret}})
	later          = fails(&llm.TransientError{After: time.Hour, Err: &openai.Error{Outcome: openai.HTTPStatus, Status: 503, Message: secret}})
	denied         = fails(&openai.Error{Outcome: openai.HTTPStatus, Status: 401, Message: secret})
	filtered       = fails(&openai.Error{Outcome: openai.ContentFilter, Status: 200, Message: secret})
	cannot         = fails(fmt.Errorf("%w: %s", llm.ErrInvalid, secret))
	panics         = step(func(context.Context, int) ([]llm.Completion, error) { panic(secret) })
	miscounts      = step(func(_ context.Context, n int) ([]llm.Completion, error) { return make([]llm.Completion, n+1), nil })
	lost           = fails(&llm.RequestError{Err: netError{}})
	hangs     step = func(ctx context.Context, _ int) ([]llm.Completion, error) { <-ctx.Done(); return nil, ctx.Err() }
	// deaf hangs for an hour whatever its context says.
	deaf step = func(context.Context, int) ([]llm.Completion, error) { time.Sleep(time.Hour); return nil, nil }
)

type netError struct{}

func (netError) Error() string   { return secret }
func (netError) Timeout() bool   { return false }
func (netError) Temporary() bool { return false }

func ask() []llm.Request {
	return []llm.Request{{Messages: []llm.Message{{Role: llm.User, Text: "?"}}, MaxTokens: 1}}
}

// scripted returns options whose models are called a, b, ... and go as told.
func scripted(models ...[]step) (role.Options, []*script) {
	o := role.Options{Role: "reasoner", Timeout: 10 * time.Second, Clock: time.Now, Random: rng.New(7)}
	var scripts []*script
	for i, does := range models {
		s := &script{does: does}
		scripts = append(scripts, s)
		o.Models = append(o.Models, role.Model{Name: string(rune('a' + i)), Generator: s})
	}
	return o, scripts
}

func newRole(t *testing.T, o role.Options) *role.Generator {
	t.Helper()
	g, err := role.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// What each fault leads to, by the calls that are noted.
func TestFaults(t *testing.T) {
	tests := map[string]struct {
		models  [][]step
		retries int
		calls   string // model, attempt and error of each
		least   time.Duration
		most    time.Duration
		err     string // "" for an answer
	}{
		"well":                        {[][]step{{good}}, 2, "a0", 0, 0, ""},
		"transient, then well":        {[][]step{{transient, good}}, 2, "a0:transient a1", 50 * time.Millisecond, 100 * time.Millisecond, ""},
		"transient for ever":          {[][]step{{transient}}, 2, "a0:transient a1:transient a2:transient", 150 * time.Millisecond, 300 * time.Millisecond, "transient"},
		"no retries":                  {[][]step{{transient, good}}, 0, "a0:transient", 0, 0, "transient"},
		"transient, fall-back":        {[][]step{{transient}, {transient, good}}, 1, "a0:transient a1:transient b0:transient b1", 0, time.Second, ""},
		"as long as the server says":  {[][]step{{overload, good}}, 1, "a0:http-status 429 a1", 4 * time.Second, 4400 * time.Millisecond, ""},
		"not for as long as an hour":  {[][]step{{later}, {good}}, 1, "a0:http-status 503 b0", 0, 0, ""},
		"an hour and nobody else":     {[][]step{{later}}, 1, "a0:http-status 503", 0, 0, "transient"},
		"hangs":                       {[][]step{{hangs}}, 1, "a0:timeout a1:timeout", 20 * time.Second, 21 * time.Second, "timeout"},
		"deaf":                        {[][]step{{deaf}, {good}}, 1, "a0:timeout a1:timeout b0", 20 * time.Second, 21 * time.Second, ""},
		"connection lost":             {[][]step{{lost, good}}, 1, "a0:transient a1", 0, time.Second, ""},
		"no key":                      {[][]step{{denied}, {good}}, 3, "a0:http-status 401 b0", 0, 0, ""},
		"no key anywhere":             {[][]step{{denied}, {denied}}, 3, "a0:http-status 401 b0:http-status 401", 0, 0, "other"},
		"panic":                       {[][]step{{panics}, {good}}, 3, "a0:panic b0", 0, 0, ""},
		"panic and nobody else":       {[][]step{{panics}}, 3, "a0:panic", 0, 0, "other"},
		"wrong count":                 {[][]step{{miscounts}, {good}}, 3, "a0:wrong-count b0", 0, 0, ""},
		"filtered":                    {[][]step{{filtered}, {good}}, 3, "a0:content-filter 200", 0, 0, "other"},
		"cannot, another can":         {[][]step{{cannot}, {good}}, 3, "a0:invalid b0", 0, 0, ""},
		"none can":                    {[][]step{{cannot}, {cannot}}, 3, "a0:invalid b0:invalid", 0, 0, "invalid"},
		"who could is down":           {[][]step{{transient}, {cannot}}, 0, "a0:transient b0:invalid", 0, 0, "transient"},
		"cannot, and who could is so": {[][]step{{cannot}, {denied}}, 0, "a0:invalid b0:http-status 401", 0, 0, "other"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o, _ := scripted(tc.models...)
				o.Retries = tc.retries
				g := newRole(t, o)
				var rec role.Record
				began := time.Now()
				out, err := g.Generate(role.With(t.Context(), &rec), ask())
				took := time.Since(began)
				if (err == nil) != (tc.err == "") || err == nil && (len(out) != 1 || out[0].Text != "ok") || err != nil && out != nil {
					t.Errorf("%+v, %v", out, err)
				}
				var passing *llm.TransientError
				kind := "other"
				switch {
				case err == nil:
					kind = ""
				case errors.Is(err, role.ErrTimeout) && errors.As(err, &passing):
					kind = "timeout"
				case errors.Is(err, llm.ErrInvalid):
					kind = "invalid"
				case errors.As(err, &passing):
					kind = "transient"
				}
				if kind != tc.err {
					t.Errorf("the error is of kind %q, want %q: %v", kind, tc.err, err)
				}
				if took < tc.least || took > tc.most {
					t.Errorf("it took %v, want %v to %v", took, tc.least, tc.most)
				}
				if rec.Upstream() != took {
					t.Errorf("upstream %v of %v", rec.Upstream(), took)
				}
				if got := spell(&rec); got != tc.calls {
					t.Errorf("calls %s, want %s", got, tc.calls)
				}
				time.Sleep(2 * time.Hour) // for the deaf
			})
		})
	}
}

func spell(rec *role.Record) string {
	var words []string
	for _, c := range rec.Calls() {
		w := fmt.Sprintf("%s%d", c.Model, c.Attempt)
		if c.Err != "" {
			w += ":" + c.Err
		}
		if strings.Contains(c.Err, secret) || c.Role != "reasoner" || c.Began.IsZero() || (c.Err == "") != (c.CompletionTokens > 0) {
			w += fmt.Sprintf(" BAD %+v", c)
		}
		words = append(words, w)
	}
	return strings.Join(words, " ")
}

// A request that no model could answer is sent to one only, and a batch is one call.
func TestInvalidAndBatch(t *testing.T) {
	o, scripts := scripted([]step{cannot, good}, []step{good})
	g := newRole(t, o)
	if _, err := g.Generate(t.Context(), []llm.Request{{}}); !errors.Is(err, llm.ErrInvalid) || scripts[1].calls() != 0 {
		t.Errorf("%v, %d calls of the fall-back", err, scripts[1].calls())
	}
	var rec role.Record
	out, err := g.Generate(role.With(t.Context(), &rec), append(ask(), ask()...))
	if c := rec.Calls(); err != nil || len(out) != 2 || len(c) != 1 || c[0].PromptTokens != 6 || c[0].CompletionTokens != 4 {
		t.Errorf("%v, %v, %+v", out, err, c)
	}
}

// The caller's end ends everything at once, wherever it comes, and is told as what it is.
func TestCallerGoes(t *testing.T) {
	for name, does := range map[string][]step{"in a call": {hangs}, "in a deaf call": {deaf}, "in a pause": {overload}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o, scripts := scripted(does, []step{good})
				o.Retries = 5
				g := newRole(t, o)
				ctx, cancel := context.WithCancel(t.Context())
				time.AfterFunc(3*time.Second, cancel)
				began := time.Now()
				_, err := g.Generate(ctx, ask())
				if !errors.Is(err, context.Canceled) || time.Since(began) != 3*time.Second || scripts[1].calls() != 0 {
					t.Errorf("%v after %v, %d calls of the fall-back", err, time.Since(began), scripts[1].calls())
				}
				if _, err = g.Generate(ctx, ask()); !errors.Is(err, context.Canceled) {
					t.Errorf("with an ended context: %v", err)
				}
				time.Sleep(2 * time.Hour)
			})
		})
	}
}

// A pause that the caller's deadline does not leave time for is not begun: the fall-back is asked in that time.
func TestDeadlineBeforePause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, _ := scripted([]step{overload}, []step{good})
		o.Retries = 5
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		began := time.Now()
		if _, err := newRole(t, o).Generate(ctx, ask()); err != nil || time.Since(began) != 0 {
			t.Errorf("%v after %v", err, time.Since(began))
		}
	})
}

// Of a model that never returns only so many calls are begun, and it is asked again once they have.
func TestLostCallsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, scripts := scripted([]step{deaf})
		o.Timeout = time.Second
		g := newRole(t, o)
		var began int
		for range 100 {
			if _, err := g.Generate(t.Context(), ask()); !errors.Is(err, role.ErrTimeout) {
				var rec role.Record
				start := time.Now()
				_, err := g.Generate(role.With(t.Context(), &rec), ask())
				var passing *llm.TransientError
				if !errors.As(err, &passing) || time.Since(start) != 0 || spell(&rec) != "a0:lost-calls" {
					t.Errorf("%v after %v: %s", err, time.Since(start), spell(&rec))
				}
				break
			}
			began++
		}
		if began < 64 || began > 70 || scripts[0].calls() != began {
			t.Errorf("%d calls were begun, %d by the model", began, scripts[0].calls())
		}
		time.Sleep(2 * time.Hour)
		scripts[0].mu.Lock()
		scripts[0].does = []step{good}
		scripts[0].mu.Unlock()
		if _, err := g.Generate(t.Context(), ask()); err != nil {
			t.Errorf("once they have returned: %v", err)
		}
	})
}

// Calls that return soon after their end do not count as lost, however many they are.
func TestManyCanceledCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := func(ctx context.Context, n int) ([]llm.Completion, error) {
			<-ctx.Done()
			time.Sleep(100 * time.Millisecond)
			return nil, ctx.Err()
		}
		o, scripts := scripted(append(slices.Repeat([]step{slow}, 500), good))
		g := newRole(t, o)
		ctx, cancel := context.WithCancel(t.Context())
		var all sync.WaitGroup
		for range 500 {
			all.Go(func() { g.Generate(ctx, ask()) })
		}
		synctest.Wait()
		cancel()
		all.Wait()
		if _, err := g.Generate(t.Context(), ask()); err != nil || scripts[0].calls() != 501 {
			t.Errorf("%v after %d calls", err, scripts[0].calls())
		}
		time.Sleep(time.Hour)
	})
}

func TestBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, scripts := scripted([]step{denied, good, denied, denied, denied, denied, good}, []step{good})
		o.Breaker = role.Breaker{Failures: 3, Pause: 10 * time.Second}
		g := newRole(t, o)
		for i, want := range []int{1, 2, 3, 4, 5, 5, 5} { // five calls, three of them failures in a row
			if _, err := g.Generate(t.Context(), ask()); err != nil || scripts[0].calls() != want {
				t.Fatalf("call %d: %v, the first model was asked %d times, want %d", i, err, scripts[0].calls(), want)
			}
		}
		for i, want := range []int{6, 6, 7, 8, 9} {
			if i == 0 || i == 2 { // the first probe fails, the second does not
				time.Sleep(11 * time.Second)
			}
			if _, err := g.Generate(t.Context(), ask()); err != nil || scripts[0].calls() != want {
				t.Fatalf("call %d after a pause: %v, the first model was asked %d times, want %d", i, err, scripts[0].calls(), want)
			}
		}
		// With nobody else the error says for how long.
		o, scripts = scripted([]step{denied})
		o.Breaker = role.Breaker{Failures: 1, Pause: 10 * time.Second}
		g = newRole(t, o)
		g.Generate(t.Context(), ask())
		time.Sleep(4 * time.Second)
		_, err := g.Generate(t.Context(), ask())
		var passing *llm.TransientError
		if !errors.As(err, &passing) || passing.After != 6*time.Second || scripts[0].calls() != 1 {
			t.Errorf("%v, %d calls", err, scripts[0].calls())
		}
	})
}

// What the caller gave up does not count against the model.
func TestBreakerForgivesTheCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, scripts := scripted([]step{hangs, hangs, good})
		o.Breaker = role.Breaker{Failures: 1, Pause: time.Hour}
		g := newRole(t, o)
		for range 2 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			if _, err := g.Generate(ctx, ask()); !errors.Is(err, context.DeadlineExceeded) {
				t.Error(err)
			}
			cancel()
		}
		if _, err := g.Generate(t.Context(), ask()); err != nil || scripts[0].calls() != 3 {
			t.Errorf("%v, %d calls", err, scripts[0].calls())
		}
	})
}

// No more calls than allowed are under way; who waits can go.
func TestInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var now, most int
		busy := func(ctx context.Context, n int) ([]llm.Completion, error) {
			mu.Lock()
			now++
			most = max(most, now)
			mu.Unlock()
			time.Sleep(time.Second)
			mu.Lock()
			now--
			mu.Unlock()
			return good(ctx, n)
		}
		o, scripts := scripted([]step{busy})
		o.InFlight = 3
		g := newRole(t, o)
		began := time.Now()
		var all sync.WaitGroup
		for range 9 {
			all.Go(func() {
				if _, err := g.Generate(t.Context(), ask()); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		var rec role.Record
		if _, err := g.Generate(role.With(ctx, &rec), ask()); !errors.Is(err, context.DeadlineExceeded) || len(rec.Calls()) != 0 {
			t.Errorf("%v, %s", err, spell(&rec))
		}
		all.Wait()
		if most != 3 || time.Since(began) != 3*time.Second || scripts[0].calls() != 9 {
			t.Errorf("%d at a time, %v, %d calls", most, time.Since(began), scripts[0].calls())
		}
	})
}

// Upstream is the union of what overlaps.
func TestUpstream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		takes := func(d time.Duration) *role.Generator {
			o, _ := scripted([]step{func(ctx context.Context, n int) ([]llm.Completion, error) { time.Sleep(d); return good(ctx, n) }})
			return newRole(t, o)
		}
		var rec role.Record
		ctx := role.With(t.Context(), &rec)
		var all sync.WaitGroup
		all.Go(func() { takes(3*time.Second).Generate(ctx, ask()) })
		all.Go(func() { time.Sleep(2 * time.Second); takes(4*time.Second).Generate(ctx, ask()) }) // until 6
		time.Sleep(4 * time.Second)
		if got := rec.Upstream(); got != 4*time.Second {
			t.Errorf("%v in the midst", got)
		}
		all.Wait()
		time.Sleep(5 * time.Second)
		takes(time.Second).Generate(ctx, ask())
		if got := rec.Upstream(); got != 7*time.Second {
			t.Errorf("%v, want 7s", got)
		}
		calls := rec.Calls()
		if len(calls) != 3 || calls[0].Took != 3*time.Second || calls[1].Took != 4*time.Second || calls[2].Took != time.Second {
			t.Errorf("%+v", calls)
		}
	})
}

func TestNew(t *testing.T) {
	if _, err := role.New(role.Options{}); err == nil {
		t.Error("no role is fine")
	}
	for name, spoil := range map[string]func(*role.Options){
		"no models": func(o *role.Options) { o.Models = nil }, "no clock": func(o *role.Options) { o.Clock = nil },
		"no generator": func(o *role.Options) { o.Models[0].Generator = nil }, "no name": func(o *role.Options) { o.Models[0].Name = "" },
		"retries": func(o *role.Options) { o.Retries = -1 }, "timeout": func(o *role.Options) { o.Timeout = -1 },
		"breaker": func(o *role.Options) { o.Breaker.Failures = 1 },
	} {
		o, _ := scripted([]step{good})
		spoil(&o)
		if _, err := role.New(o); err == nil {
			t.Errorf("%s: it is fine", name)
		}
	}
}

func BenchmarkGenerate(b *testing.B) {
	one := make([]llm.Completion, 1)
	o, _ := scripted(nil)
	o.Models = []role.Model{{Name: "a", Generator: instant(one)}}
	o.InFlight, o.Breaker = 100, role.Breaker{Failures: 5, Pause: time.Second}
	g, err := role.New(o)
	if err != nil {
		b.Fatal(err)
	}
	requests := ask()
	b.ReportAllocs()
	for b.Loop() {
		var rec role.Record
		if _, err := g.Generate(role.With(b.Context(), &rec), requests); err != nil {
			b.Fatal(err)
		}
	}
}

type instant []llm.Completion

func (i instant) Generate(context.Context, []llm.Request) ([]llm.Completion, error) { return i, nil }

// A server that answers with another model than was asked does so on record.
func TestTheModelThatAnsweredIsNoted(t *testing.T) {
	for says, want := range map[string]string{"": "", "r1": "", "r1-mini": "r1-mini", strings.Repeat("x", 500): strings.Repeat("x", 200)} {
		m := &script{does: []step{func(context.Context, int) ([]llm.Completion, error) {
			return []llm.Completion{{Text: "ok", Model: says}}, nil
		}}}
		g, err := role.New(role.Options{Role: "reasoner", Models: []role.Model{{Name: "r1", Generator: m}}, Clock: time.Now})
		if err != nil {
			t.Fatal(err)
		}
		var calls role.Record
		if _, err := g.Generate(role.With(t.Context(), &calls), []llm.Request{{MaxTokens: 1, Messages: []llm.Message{{Role: llm.User, Text: "?"}}}}); err != nil {
			t.Fatal(err)
		}
		if got := calls.Calls()[0].Answered; got != want {
			t.Errorf("a model that calls itself %.20q is noted as %.20q, want %.20q", says, got, want)
		}
	}
}
