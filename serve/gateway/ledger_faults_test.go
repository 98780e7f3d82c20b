package gateway_test

import (
	"context"
	"database/sql"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"candor/reasoning/llm"
	"candor/serve/gateway"
	"candor/serve/ledger"
	"candor/serve/record"
)

// breaking is a ledger that refuses the appends that a function names.
type breaking struct {
	gateway.Ledger
	refuses func(entries []ledger.Entry) bool
}

func (b breaking) Append(ctx context.Context, entries ...ledger.Entry) ([]ledger.Receipt, error) {
	if b.refuses(entries) {
		return nil, fmt.Errorf("%w: the disk is full", ledger.ErrUnavailable)
	}
	return b.Ledger.Append(ctx, entries...)
}

// counted is a model that counts how often it is asked.
func counted(n *atomic.Int64) llm.Generator {
	inner := says(secretChain, "draft")
	return generator(func(ctx context.Context, r llm.Request) (llm.Completion, error) {
		n.Add(1)
		out, err := inner.Generate(ctx, []llm.Request{r})
		if err != nil {
			return llm.Completion{}, err
		}
		return out[0], nil
	})
}

func TestNothingIsAskedWithoutABegin(t *testing.T) {
	var asked atomic.Int64
	var broken atomic.Bool
	s := newStack(t, parts{reasoner: counted(&asked), ledger: func(l *ledger.Ledger) gateway.Ledger {
		return breaking{l, func(e []ledger.Entry) bool { return broken.Load() && e[0].Kind == ledger.KindBegin }}
	}})
	broken.Store(true)
	for _, extra := range []string{"", `,"stream":true`, `,"n":3`} {
		if g := s.ask(extra); g.status != 503 || g.code != "ledger_unavailable" || g.text != "" {
			t.Errorf("asked with %q: %+v, want a 503", extra, g)
		}
	}
	if n := asked.Load(); n != 0 {
		t.Errorf("the reasoner was asked %d times without a begin", n)
	}
	broken.Store(false)
	s.sound(s.ask("")) // and it goes on by itself
}

func TestNothingIsReleasedWithoutAnEnd(t *testing.T) {
	var broken atomic.Bool
	s := newStack(t, parts{ledger: func(l *ledger.Ledger) gateway.Ledger {
		return breaking{l, func(e []ledger.Entry) bool { return broken.Load() && e[len(e)-1].Kind == ledger.KindEnd }}
	}})
	broken.Store(true)
	var answers []got
	for _, extra := range []string{"", `,"stream":true`, `,"n":3`} {
		g := s.ask(extra)
		if g.code != "ledger_unavailable" || g.text != "" || g.status != 503 {
			t.Errorf("asked with %q: %+v, want a 503", extra, g)
		}
		answers = append(answers, g)
	}
	traces := s.sound(answers...)
	if len(traces) != 5 {
		t.Fatalf("%d traces, want 5", len(traces))
	}
	for _, tr := range traces {
		if tr.Outcome != record.Dropped || tr.Answer != nil {
			t.Errorf("trace %+v, want one that was dropped", tr.Summary)
		}
	}
}

func TestALockedLedgerRefusesAndRecovers(t *testing.T) {
	s := newStack(t, parts{})
	db, err := sql.Open("sqlite", "file:"+s.path+"?_txlock=exclusive")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	tx, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	g := s.ask("")
	if g.status != 503 || g.code != "ledger_unavailable" {
		t.Errorf("with the ledger locked: %+v", g)
	}
	if s.gate.Ready(t.Context()) == nil || s.gate.Stats().Store == "" {
		t.Error("the gateway says that it is ready")
	}
	// Requests are refused at once while the store is known to be away, and leave nothing in memory.
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for range 300 {
		if g := s.ask(""); g.status != 503 {
			t.Fatalf("with the ledger locked: %+v", g)
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 4<<20 {
		t.Errorf("300 refused requests left %d bytes", grown)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if g = s.ask(""); g.status == 200 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the ledger is free again, and the client gets %+v", g)
		}
	}
	s.sound(g)
}

func TestAClockThatGoesBack(t *testing.T) {
	var back atomic.Int64
	s := newStack(t, parts{clock: func() time.Time { return time.Now().Add(-time.Duration(back.Load())) }})
	first := s.ask("")
	back.Store(int64(48 * time.Hour))
	second := s.ask(`,"stream":true`)
	traces := s.sound(first, second)
	if len(traces) != 2 || traces[0].Outcome != record.Released || traces[1].Outcome != record.Released || traces[1].Began.Before(traces[0].Began) {
		t.Errorf("traces %+v", traces)
	}
	if st := s.gate.Stats(); st.Outcomes[record.Released] != 2 {
		t.Errorf("stats %+v", st)
	}
}

func TestARestartClosesWhatWasOpenAndKeepsWhatIsHeld(t *testing.T) {
	release := make(chan struct{})
	s := newStack(t, parts{monitor: scores(1), rules: []gateway.Rule{{OnBlock: gateway.Hold}}, reasoner: generator(func(ctx context.Context, r llm.Request) (llm.Completion, error) {
		if len(r.Messages) > 0 && r.Messages[len(r.Messages)-1].Text == "hang" {
			<-release
		}
		return llm.Completion{Text: "x", Finish: llm.FinishStop}, nil
	})})
	defer close(release)
	held := s.ask("")
	// The ledger is closed under the gateway, as a kill would leave it but for the lock.
	if err := s.ledger.Close(); err != nil {
		t.Fatal(err)
	}
	s.open(time.Now)
	again, err := gateway.New(t.Context(), gateway.Options{Systems: s.gate.Systems, Ledger: s.ledger, Reader: s.reader, Clock: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	if again.Stats().Held != 1 {
		t.Errorf("after a restart %d answers are held, want 1", again.Stats().Held)
	}
	if err := again.Decide(t.Context(), held.trace, record.Review{Approve: true, Who: "ann", Why: "fine"}); err != nil {
		t.Fatal(err)
	}
	a, _, err := again.Retrieve(t.Context(), held.trace)
	if err != nil || a.Text != saidByFace {
		t.Errorf("after a restart and a decision: %+v, %v", a, err)
	}
}
