package compose

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"candor/reasoning/llm"
	"candor/reasoning/monitor"
)

// examiner does what a test wants.
type examiner func(ctx context.Context, v monitor.View) (monitor.Finding, error)

func (examiner) Name() string { return "examiner" }
func (e examiner) Examine(ctx context.Context, v monitor.View) (monitor.Finding, error) {
	return e(ctx, v)
}

func scoring(score float64) examiner {
	return func(context.Context, monitor.View) (monitor.Finding, error) {
		return monitor.Finding{Score: score}, nil
	}
}

func failing(err error) examiner {
	return func(context.Context, monitor.View) (monitor.Finding, error) { return monitor.Finding{}, err }
}

// nilError is an error whose nil pointer cannot be asked anything.
type nilError struct{ text string }

func (e *nilError) Error() string { return e.text }
func (e *nilError) Unwrap() error { return errors.New(e.text) }

// both are the systems whose gates are tested. Their outputs and prompts have the word secret in them.
func both(gates ...Gate) []Parts {
	two := plain(reasoner(), face())
	two.Gates = gates
	d := talk(func(llm.Request) llm.Completion { return thought("secret plans", "") }, says("secret answer"))
	d.Gates = gates
	return []Parts{two, d}
}

// Whatever a monitor does: its gate has a verdict that quotes nobody, the other gates have theirs, and nothing is released unless all
// is passed.
func TestGateStates(t *testing.T) {
	for _, tc := range []struct {
		name     string
		gate     Gate
		state    State
		note     string
		released bool
	}{
		{"pass", Gate{Monitor: scoring(.4), Timeout: time.Second}, Pass, "", true},
		{"pass without a timeout", Gate{Monitor: scoring(0)}, Pass, "", true},
		{"a local monitor passes in time", Gate{Monitor: broken(.4), Timeout: time.Second}, Pass, "", true},
		{"block", Gate{Monitor: scoring(.5)}, Block, "", false},
		{"advisory block", Gate{Monitor: scoring(1), Advisory: true}, Block, "", true},
		{"off", Gate{Monitor: examiner(nil), Off: true}, NotRun, "switched off", true},
		{"error", Gate{Monitor: failing(errors.New("the secret is out"))}, Failed, "the monitor failed", false},
		{"advisory error", Gate{Monitor: failing(errors.New("secret")), Advisory: true}, Failed, "the monitor failed", false},
		{"overloaded", Gate{Monitor: failing(&llm.TransientError{Err: errors.New("secret")})}, Failed, "the monitor failed: its model cannot be had for now", false},
		{"refused", Gate{Monitor: failing(fmt.Errorf("secret: %w", llm.ErrInvalid))}, Failed, "the monitor failed: its model refused what it was asked", false},
		{"a timeout of its own", Gate{Monitor: failing(context.DeadlineExceeded), Timeout: time.Second}, Failed,
			"the monitor failed: something that it waited for took too long", false},
		{"nil in an error", Gate{Monitor: failing((*nilError)(nil))}, Failed, "the monitor panicked", false},
		{"error with a score", Gate{Monitor: examiner(func(context.Context, monitor.View) (monitor.Finding, error) {
			return monitor.Finding{Score: .1}, errors.New("secret")
		})}, Failed, "the monitor failed", false},
		{"panic", Gate{Monitor: examiner(func(_ context.Context, v monitor.View) (monitor.Finding, error) { panic("secret " + v.Prompt) })}, Failed,
			"the monitor panicked", false},
		{"nil function", Gate{Monitor: examiner(nil), Timeout: time.Second}, Failed, "the monitor panicked", false},
		{"nil inside", Gate{Monitor: (*examiner)(nil)}, Failed, "the monitor panicked", false},
		{"ends its goroutine", Gate{Monitor: examiner(func(context.Context, monitor.View) (monitor.Finding, error) {
			runtime.Goexit()
			return monitor.Finding{}, nil
		})}, Failed, "the monitor failed", false},
		{"timeout", Gate{Timeout: 10 * time.Second, Monitor: examiner(func(ctx context.Context, _ monitor.View) (monitor.Finding, error) {
			<-ctx.Done()
			return monitor.Finding{Score: .1}, ctx.Err()
		})}, Failed, "no verdict within 10s", false},
		{"not a number", Gate{Monitor: scoring(math.NaN())}, Failed, "the monitor gave NaN, not a number between 0 and 1", false},
		{"infinite", Gate{Monitor: scoring(math.Inf(-1)), Timeout: 1}, Failed, "the monitor gave -Inf, not a number between 0 and 1", false},
		{"garbage", Gate{Monitor: scoring(1.1)}, Failed, "the monitor gave 1.1, not a number between 0 and 1", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tc.gate.Threshold, tc.gate.Sees = .5, SeesPrivate
				gates := []Gate{{Monitor: broken(.1), Threshold: 1, Sees: SeesShown}, tc.gate, {Monitor: scoring(.2), Threshold: 1, Sees: SeesOutput, Timeout: time.Hour}}
				for _, s := range both(gates...) {
					all, err := s.Solve(t.Context(), twoPartPrompts(2, 0))
					if err != nil {
						t.Fatal(err)
					}
					for i := range all {
						checkGate(t, &all[i], tc.gate, tc.state, tc.note, tc.released)
					}
				}
			})
		})
	}
}

func checkGate(t *testing.T, got *Transcript, gate Gate, state State, note string, released bool) {
	t.Helper()
	if len(got.Verdicts) != 3 || len(got.Findings) != 3 {
		t.Fatalf("verdicts %+v, findings %+v", got.Verdicts, got.Findings)
	}
	if a, b := got.Verdicts[0], got.Verdicts[2]; a.State != Pass || a.Score != .1 || a.Monitor != "broken" || b.State != Pass || b.Score != .2 || b.Monitor != "examiner" {
		t.Errorf("the other gates gave %+v and %+v", a, b)
	}
	v, f := got.Verdicts[1], got.Findings[1]
	if v.State != state || v.Note != note || v.Sees != gate.Sees || v.Threshold != gate.Threshold || v.Off != gate.Off || v.Advisory != gate.Advisory {
		t.Errorf("verdict %+v, want state %q and note %q", v, state, note)
	}
	if judged := state == Pass || state == Block; v.Score != f.Score || !judged && v.Score != 0 || judged && f.Note != "" || state == Failed && f.Note == "" && note != "the monitor panicked" {
		t.Errorf("verdict %+v of finding %+v", v, f)
	}
	if got.Released() != released || (got.Answer() != "") != released || got.Output.Text == "" {
		t.Errorf("released %v: %q of %q", got.Released(), got.Answer(), got.Output.Text)
	}
	if text, err := json.Marshal(got.Verdicts); err != nil || strings.Contains(string(text), "secret") {
		t.Errorf("verdicts %s: %v", text, err)
	}
	if _, err := json.Marshal(got.Findings); err != nil {
		t.Error(err)
	}
}

// A monitor that heeds nothing holds nobody up for longer than its timeout, and what it does later reaches nobody.
func TestHungMonitor(t *testing.T) {
	for i := range both() {
		synctest.Test(t, func(t *testing.T) {
			wake, woken := make(chan struct{}), make(chan struct{})
			spans := []monitor.Span{{Of: monitor.InPrompt, End: 1}}
			hung := Gate{Threshold: 1, Sees: SeesOutput, Timeout: 10 * time.Second, Monitor: examiner(func(context.Context, monitor.View) (monitor.Finding, error) {
				<-wake
				defer close(woken)
				return monitor.Finding{Score: .1, Spans: spans}, nil
			})}
			early := Gate{Threshold: 1, Sees: SeesOutput, Timeout: time.Minute, Monitor: examiner(func(context.Context, monitor.View) (monitor.Finding, error) {
				return monitor.Finding{Score: .3, Spans: spans}, nil
			})}
			gates := []Gate{hung, early}
			began := time.Now()
			all, err := both(gates...)[i].Solve(t.Context(), twoPartPrompts(1))
			if err != nil {
				t.Fatal(err)
			}
			if took := time.Since(began); took != 10*time.Second {
				t.Errorf("it took %s", took)
			}
			kept := all[0]
			kept.Verdicts, kept.Findings = slices.Clone(kept.Verdicts), slices.Clone(kept.Findings)
			kept.Findings[1].Spans = slices.Clone(kept.Findings[1].Spans)
			if v := kept.Verdicts; v[0].State != Failed || v[0].Note != "no verdict within 10s" || v[1].State != Pass || kept.Released() {
				t.Fatalf("verdicts %+v", v)
			}
			gates[0].Off = true
			spans[0].Note = "written later"
			close(wake)
			<-woken
			synctest.Wait()
			if !reflect.DeepEqual(kept, all[0]) || all[0].Released() || all[0].Answer() != "" {
				t.Errorf("the transcript was written to: %+v", all[0])
			}
		})
	}
}

// When the context ends nothing is released, whatever the other monitors said.
func TestContextEndsWithMonitorsAtWork(t *testing.T) {
	for i := range both() {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			wake := make(chan struct{})
			defer close(wake)
			s := both(Gate{Monitor: broken(0), Threshold: 1, Sees: SeesShown}, Gate{Monitor: examiner(func(context.Context, monitor.View) (monitor.Finding, error) {
				<-wake
				return monitor.Finding{}, nil
			}), Threshold: 1, Sees: SeesOutput, Timeout: time.Hour})[i]
			out, err := s.Solve(ctx, twoPartPrompts(1, 1))
			if out != nil || !errors.Is(err, context.DeadlineExceeded) || !strings.HasPrefix(err.Error(), s.Name()+", monitors: ") {
				t.Errorf("%v, %v", out, err)
			}
		})
	}
}

// Monitors of one transcript work at the same time, and however many transcripts there are, all are judged.
func TestGatesRunAtOnce(t *testing.T) {
	defer goleak.VerifyNone(t)
	var most, now atomic.Int32
	meet := func(name string, mine, other chan string) Gate {
		return Gate{Threshold: 1, Sees: SeesOutput, Timeout: time.Minute, Monitor: examiner(func(ctx context.Context, v monitor.View) (monitor.Finding, error) {
			most.Store(max(most.Load(), now.Add(1)))
			defer now.Add(-1)
			for {
				select {
				case mine <- name:
					return monitor.Finding{Note: name}, nil
				case <-other:
					return monitor.Finding{Note: name}, nil
				case <-ctx.Done():
					return monitor.Finding{}, ctx.Err()
				}
			}
		})}
	}
	ab := make(chan string)
	for _, s := range both(meet("a", ab, ab), meet("b", ab, ab)) {
		all, err := s.Solve(t.Context(), twoPartPrompts(make([]int, 3*maxJudged+1)...))
		if err != nil {
			t.Fatal(err)
		}
		for i := range all {
			if got := &all[i]; !got.Released() || got.Findings[0].Note != "a" || got.Findings[1].Note != "b" {
				t.Fatalf("transcript %d: verdicts %+v, findings %+v", i, got.Verdicts, got.Findings)
			}
		}
	}
	if n := most.Load(); n > 2*maxJudged {
		t.Errorf("%d monitors worked at once", n)
	}
}

// One system serves many at once, and each gets what it would have got alone.
func TestPartsServeManyAtOnce(t *testing.T) {
	for _, s := range both(Gate{Monitor: broken(.1), Threshold: .5, Sees: SeesPrivate}, Gate{Monitor: scoring(.1), Threshold: .5, Sees: SeesShown, Timeout: time.Minute}) {
		prompts := twoPartPrompts(1, 2, 3, 4, 5, 6, 3, 2)
		want, err := s.Solve(t.Context(), prompts)
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for i := range prompts {
			wg.Go(func() {
				got, err := s.Solve(t.Context(), prompts[i:i+1])
				if err != nil || !reflect.DeepEqual(got[0], want[i]) {
					t.Errorf("%s: %v, %+v, want %+v", s.Name(), err, got, want[i])
				}
			})
		}
		wg.Wait()
	}
}

func TestGateSettings(t *testing.T) {
	good := Gate{Monitor: broken(0), Sees: SeesOutput}
	for want, spoil := range map[string]func(*Gate){
		"gate 1: the Monitor is nil":              func(g *Gate) { g.Monitor = monitor.Local(nil) },
		"gate 1: the Timeout is -1s, must be 0":   func(g *Gate) { g.Timeout = -time.Second },
		"gate 1: the Threshold is NaN":            func(g *Gate) { g.Threshold = math.NaN() },
		`gate 1: the part that it Sees is "all",`: func(g *Gate) { g.Sees = "all" },
	} {
		g := good
		spoil(&g)
		for _, s := range both(good, g) {
			if _, err := s.Solve(t.Context(), nil); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: error %v, want one with %q", s.Name(), err, want)
			}
		}
	}
}
