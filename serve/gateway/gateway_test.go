package gateway_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"candor/reasoning/compose"
	"candor/reasoning/llm"
	"candor/reasoning/monitor"
	"candor/serve/gateway"
	"candor/serve/record"
)

func TestAnAnswerIsReleasedAndOnRecord(t *testing.T) {
	s := newStack(t, parts{})
	for _, extra := range []string{"", `,"stream":true`, `,"n":3`, `,"n":2,"stream":true`} {
		g := s.ask(extra)
		if g.status != 200 || !g.whole || !strings.Contains(g.text, saidByFace) || g.finish != "stop" {
			t.Errorf("asked with %q: %+v", extra, g)
		}
	}
	traces := s.settle()
	if len(traces) != 7 {
		t.Fatalf("%d traces, want one for each of 7 answers", len(traces))
	}
	for _, tr := range traces {
		if tr.Outcome != record.Released || tr.Answer == nil || tr.Answer.Text != saidByFace || len(tr.Stages) != 1 {
			t.Fatalf("trace %+v", tr)
		}
		st := tr.Stages[0]
		if st.Try == nil || st.Try.Private != secretChain || len(st.Verdicts) != 1 || st.Verdicts[0].State != compose.Pass || len(st.Calls) != 2 || !tr.Begin.Ungated {
			t.Errorf("stage %+v, try %+v", st.Stage, st.Try)
		}
	}
	if r := s.sound(); len(s.saw) != len(r) {
		t.Errorf("telemetry was told of %d traces, want %d", len(s.saw), len(r))
	}
}

// A gate's state and what the system says of it, against what a client gets and what stands in the ledger.
func TestWhatFollowsAVerdict(t *testing.T) {
	failing := examiner(func(context.Context, monitor.View) (monitor.Finding, error) {
		return monitor.Finding{}, errors.New("no idea, it said " + secretChain)
	})
	trusted := func(s *gateway.System) {
		s.Trusted = &compose.Dialogue{Reasoner: says("", "trusted-words"), ReasonerTokens: 10, OutputTokens: 10}
	}
	for _, tc := range []struct {
		name    string
		monitor monitor.Examiner
		rule    gateway.Rule
		change  func(*gateway.System)
		text    string // "" for a refusal
		outcome record.Outcome
		tries   int
	}{
		{"passes", scores(.49), gateway.Rule{}, nil, saidByFace, record.Released, 1},
		{"blocks", scores(.5), gateway.Rule{}, nil, "", record.Blocked, 1},
		{"fails", failing, gateway.Rule{}, nil, "", record.Blocked, 1},
		{"holds", scores(1), gateway.Rule{OnBlock: gateway.Hold}, nil, "", record.Held, 1},
		{"fails and holds", failing, gateway.Rule{OnError: gateway.Hold}, nil, "", record.Held, 1},
		{"tries again in vain", scores(1), gateway.Rule{OnBlock: gateway.Resample}, func(s *gateway.System) { s.Tries = 3 }, "", record.Blocked, 3},
		{"tries again with success", nth(2), gateway.Rule{OnBlock: gateway.Resample}, func(s *gateway.System) { s.Tries = 3 }, saidByFace, record.Released, 2},
		{"defers", scores(1), gateway.Rule{OnBlock: gateway.Defer}, trusted, "trusted-words", record.Released, 2},
		{"fails and defers", failing, gateway.Rule{OnError: gateway.Defer}, trusted, "trusted-words", record.Released, 2},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newStack(t, parts{monitor: tc.monitor, rules: []gateway.Rule{tc.rule}, change: tc.change})
			g := s.ask("")
			traces := s.sound(g)
			if len(traces) != 1 || traces[0].Outcome != tc.outcome || traces[0].End.Tries != tc.tries {
				t.Errorf("traces %+v, want one that is %s after %d tries", traces, tc.outcome, tc.tries)
			}
			if g.status != 200 || g.text != tc.text || (g.refusal == "") != (tc.text != "") || tc.text == "" && g.finish != "content_filter" {
				t.Errorf("the client got %+v", g)
			}
		})
	}
}

func TestAdvisoryGatesWithholdNothingButFailClosed(t *testing.T) {
	for _, tc := range []struct {
		name string
		m    monitor.Examiner
		want record.Outcome
	}{
		{"blocks", scores(1), record.Released},
		{"fails", examiner(func(context.Context, monitor.View) (monitor.Finding, error) { panic("gone") }), record.Blocked},
	} {
		s := newStack(t, parts{gates: []compose.Gate{{Monitor: tc.m, Threshold: .5, Sees: compose.SeesOutput, Advisory: true}}, rules: []gateway.Rule{{OnBlock: gateway.Release}}})
		if tr := s.sound(s.ask("")); tr[0].Outcome != tc.want {
			t.Errorf("%s: the outcome is %s, want %s", tc.name, tr[0].Outcome, tc.want)
		}
	}
}

func TestTheStrictestCounts(t *testing.T) {
	gate := func() compose.Gate { return compose.Gate{Monitor: scores(1), Threshold: .5, Sees: compose.SeesShown} }
	for _, tc := range []struct {
		rules []gateway.Rule
		want  record.Outcome
	}{
		{[]gateway.Rule{{OnBlock: gateway.Hold}, {OnBlock: gateway.Hold}}, record.Held},
		{[]gateway.Rule{{OnBlock: gateway.Hold}, {OnBlock: gateway.Block}}, record.Blocked},
		{[]gateway.Rule{{OnBlock: gateway.Hold}}, record.Blocked}, // a gate without a rule blocks
	} {
		s := newStack(t, parts{gates: []compose.Gate{gate(), gate()}, rules: tc.rules})
		if tr := s.sound(s.ask("")); tr[0].Outcome != tc.want {
			t.Errorf("rules %+v: the outcome is %s, want %s", tc.rules, tr[0].Outcome, tc.want)
		}
	}
}

func TestAHeldAnswerWaitsForAPerson(t *testing.T) {
	for _, approve := range []bool{true, false} {
		s := newStack(t, parts{monitor: scores(1), rules: []gateway.Rule{{OnBlock: gateway.Hold}}})
		g := s.ask("")
		ctx := t.Context()
		held, err := s.gate.Held(ctx)
		if err != nil || len(held) != 1 || g.trace != held[0].ID {
			t.Fatalf("held %+v, %v; the client was told of %q", held, err, g.trace)
		}
		a, _, err := s.gate.Retrieve(ctx, g.trace)
		if err != nil || !a.Pending || a.Text != "" {
			t.Fatalf("before the decision: %+v, %v", a, err)
		}
		if err := s.gate.Decide(ctx, g.trace, record.Review{Approve: approve, Who: "ann"}); err == nil {
			t.Error("a decision without a reason was taken")
		}
		if err := s.gate.Decide(ctx, g.trace, record.Review{Approve: approve, Who: "ann", Why: "looked at it"}); err != nil {
			t.Fatal(err)
		}
		if err := s.gate.Decide(ctx, g.trace, record.Review{Approve: !approve, Who: "bob", Why: "no"}); !errors.Is(err, record.ErrDecided) {
			t.Errorf("a second decision gave %v", err)
		}
		a, _, err = s.gate.Retrieve(ctx, g.trace)
		if err != nil || a.Pending || (a.Text == saidByFace) != approve || (a.Refusal == "") != approve {
			t.Errorf("approve %v: %+v, %v", approve, a, err)
		}
		if held, _ := s.gate.Held(ctx); len(held) != 0 {
			t.Errorf("still in the queue: %+v", held)
		}
		s.sound(g)
	}
}

func TestAClientMayWaitForThePerson(t *testing.T) {
	s := newStack(t, parts{monitor: scores(1), rules: []gateway.Rule{{OnBlock: gateway.Hold}}, change: func(s *gateway.System) { s.HoldWait = 10 * time.Second }})
	go func() {
		for t.Context().Err() == nil {
			held, _ := s.gate.Held(t.Context())
			for _, h := range held {
				_ = s.gate.Decide(t.Context(), h.ID, record.Review{Approve: true, Who: "ann", Why: "fine"})
			}
			time.Sleep(5 * time.Millisecond)
		}
	}()
	g := s.ask("")
	if g.text != saidByFace {
		t.Errorf("the client got %+v", g)
	}
	s.sound(g)
}

func TestNobodyElsesAnswerCanBeRetrieved(t *testing.T) {
	s := newStack(t, parts{})
	g := s.ask("")
	s.gate.Key = func(context.Context) string { return "somebody-else" }
	if a, _, err := s.gate.Retrieve(t.Context(), g.trace); err == nil {
		t.Errorf("somebody else got %+v", a)
	}
}

func TestRoomIsBounded(t *testing.T) {
	hold := make(chan struct{})
	s := newStack(t, parts{inFlight: 2, reasoner: generator(func(ctx context.Context, _ llm.Request) (llm.Completion, error) {
		<-hold
		return llm.Completion{Text: "x", Finish: llm.FinishStop}, nil
	})})
	done := make(chan got, 2)
	for range 2 {
		go func() { done <- s.ask("") }()
	}
	for s.gate.Stats().InFlight < 2 {
		time.Sleep(time.Millisecond)
	}
	if g := s.ask(""); g.status != 429 || g.code != "overloaded" {
		t.Errorf("beyond the room: %+v", g)
	}
	if g := s.ask(`,"n":3`); g.status != 429 {
		t.Errorf("more choices than there is room for: %+v", g)
	}
	close(hold)
	s.sound(<-done, <-done)
	if g := s.ask(`,"n":2`); g.status != 200 {
		t.Errorf("the room was not given back: %+v", g)
	}
}

func TestToolCallsAreJudged(t *testing.T) {
	calls := generator(func(_ context.Context, r llm.Request) (llm.Completion, error) {
		return llm.Completion{Calls: []llm.ToolCall{{ID: "1", Name: "delete", Arguments: `{"path":"/"}`}}, Finish: llm.FinishTools}, nil
	})
	rm := examiner(func(_ context.Context, v monitor.View) (monitor.Finding, error) {
		if strings.Contains(v.Answer, "delete") {
			return monitor.Finding{Score: 1}, nil
		}
		return monitor.Finding{}, nil
	})
	const tools = `,"tools":[{"type":"function","function":{"name":"delete","parameters":{"type":"object"}}}]`
	for _, tc := range []struct {
		m     monitor.Examiner
		calls bool
	}{{scores(0), true}, {rm, false}} {
		s := newStack(t, parts{face: calls, monitor: tc.m})
		g := s.ask(tools)
		if strings.Contains(g.body, `"delete"`) != tc.calls || (g.finish == "tool_calls") != tc.calls {
			t.Errorf("judged by %s: %+v", tc.m.Name(), g)
		}
		s.sound(g)
	}
}

func TestStatsAndListsTellWhatHappened(t *testing.T) {
	s := newStack(t, parts{monitor: nth(2)})
	watch, stop := context.WithCancel(t.Context())
	seen := s.gate.Watch(watch)
	s.ask("")
	s.ask("")
	st := s.gate.Stats()
	if st.Outcomes[record.Blocked] != 1 || st.Outcomes[record.Released] != 1 || st.InFlight != 0 || st.Store != "" || len(st.PerSecond) != 60 {
		t.Errorf("stats %+v", st)
	}
	if len(st.Gates) != 1 || st.Gates[0].States[compose.Block] != 1 || st.Gates[0].States[compose.Pass] != 1 {
		t.Errorf("gates %+v", st.Gates)
	}
	parts := map[string]bool{}
	for _, p := range st.Parts {
		parts[p.Part] = p.N > 0 && p.P99 >= p.P50
	}
	for _, want := range []string{"begin", "end", "reasoner", "face", "overhead"} {
		if !parts[want] {
			t.Errorf("no latency of the part %s in %+v", want, st.Parts)
		}
	}
	list, more, err := s.gate.Traces(t.Context(), record.Filter{Outcome: record.Blocked})
	if err != nil || more || len(list) != 1 || list[0].Prompt != "what is it?" || len(list[0].Flagged) != 1 {
		t.Errorf("blocked traces %+v, %v, %v", list, more, err)
	}
	all, more, err := s.gate.Traces(t.Context(), record.Filter{Limit: 1})
	if err != nil || !more || len(all) != 1 || all[0].Outcome != record.Released {
		t.Errorf("the newest trace %+v, %v, %v", all, more, err)
	}
	stop()
	n := 0
	for range seen {
		n++
	}
	if n != 4 {
		t.Errorf("a watcher saw %d changes, want 2 begins and 2 ends", n)
	}
}

// examiner is a monitor of a function.
type examiner func(context.Context, monitor.View) (monitor.Finding, error)

func (examiner) Name() string { return "scripted" }
func (e examiner) Examine(ctx context.Context, v monitor.View) (monitor.Finding, error) {
	return e(ctx, v)
}

// nth passes from its nth look on.
func nth(n int64) monitor.Examiner {
	var looks atomic.Int64
	return examiner(func(context.Context, monitor.View) (monitor.Finding, error) {
		if looks.Add(1) < n {
			return monitor.Finding{Score: 1}, nil
		}
		return monitor.Finding{}, nil
	})
}

func TestTextsAreRedactedWhileTheGatewayRuns(t *testing.T) {
	s := newStack(t, parts{monitor: nth(2), rules: []gateway.Rule{{OnBlock: gateway.Hold}}})
	held, released := s.ask(""), s.ask("")
	ctx := t.Context()
	if _, err := s.gate.Redact(ctx, held.trace, "ann", "asked for"); err == nil {
		t.Error("an answer that waits for a person was redacted")
	}
	n, err := s.gate.Redact(ctx, released.trace, "ann", "the user asked for it")
	if err != nil || n != 3 {
		t.Fatalf("redacted %d texts, %v, want prompt, try and answer", n, err)
	}
	tr, err := s.gate.Trace(ctx, released.trace)
	if err != nil || tr.Messages != nil || tr.Answer != nil || tr.Stages[0].Try != nil || len(tr.Redacted) != 3 || tr.Outcome != record.Released {
		t.Errorf("after that: %+v, %v", tr, err)
	}
	if _, err := s.gate.Redact(ctx, released.trace, "ann", "again"); !errors.Is(err, record.ErrUnknown) {
		t.Errorf("a second time: %v", err)
	}
	if a, _, err := s.gate.Retrieve(ctx, released.trace); err != nil || a.Text != "" || a.Refusal == "" {
		t.Errorf("retrieved afterwards: %+v, %v", a, err)
	}
	s.sound()
}

// A chain that is no chain is marked as what it is.
func TestTheProvenanceOfAChainIsOnRecord(t *testing.T) {
	for _, kind := range []llm.Provenance{llm.Raw, llm.Summary, llm.Leaked, ""} {
		s := newStack(t, parts{reasoner: generator(func(context.Context, llm.Request) (llm.Completion, error) {
			return llm.Completion{Text: "draft", Reasoning: secretChain, Provenance: kind, Finish: llm.FinishStop}, nil
		})})
		if tr := s.sound(s.ask("")); tr[0].Stages[0].Provenance != kind {
			t.Errorf("a chain that is %q is recorded as %q", kind, tr[0].Stages[0].Provenance)
		}
	}
}
