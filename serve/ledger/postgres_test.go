package ledger

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// shared are options of one of several gateways on a database.
func shared(name string) Options {
	opts := options()
	opts.Instance, opts.Busy, opts.retry, opts.lease = name, 10*time.Second, 20*time.Millisecond, time.Hour
	return opts
}

// do runs statements in a ledger's database, behind the ledger's back.
func do(t testing.TB, where string, statements ...string) {
	t.Helper()
	conn, err := pgx.Connect(context.Background(), where)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range statements {
		if _, err := conn.Exec(context.Background(), s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
	if err := conn.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
}

// Several gateways write one chain, and whoever signs signs for all.
func TestSharedChain(t *testing.T) {
	where := database(t)
	var ledgers []*Ledger
	var starting, writing sync.WaitGroup
	var mu sync.Mutex
	for i := range 3 { // all at once in an empty database
		starting.Go(func() {
			l, err := Open(context.Background(), where, shared(fmt.Sprint("g", i)))
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			ledgers = append(ledgers, l)
			mu.Unlock()
		})
	}
	starting.Wait()
	for i, l := range ledgers {
		for k := range 8 {
			writing.Go(func() {
				for n := range 10 {
					if _, err := request(context.Background(), l, fmt.Sprintf("req-%d-%d-%d", i, k, n)); err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
	writing.Wait()
	if _, err := ledgers[0].Begin(context.Background(), "taken", nil); err != nil {
		t.Error(err)
	}
	if _, err := ledgers[1].Begin(context.Background(), "taken", nil); !errors.Is(err, ErrBegun) {
		t.Errorf("beginning a trace that another gateway has open: %v", err)
	}
	if _, err := ledgers[1].End(context.Background(), "taken", nil); !errors.Is(err, ErrNotBegun) {
		t.Errorf("ending a trace of another gateway: %v", err)
	}
	if n, err := ledgers[2].Redact(context.Background(), "req-0-0-0", "Ada", "asked"); err != nil || n != 4 {
		t.Errorf("%d redacted (%v), want the 4 contents of another gateway's trace", n, err)
	}
	for _, l := range ledgers {
		closed(t, l)
	}
	r := good(t, where)
	if r.Begun != 241 || r.Ended != 240 || r.Abandoned != 1 || r.Redacted != 4 {
		t.Errorf("report %+v", r)
	}
	var first int64
	mixed := 0
	var before byte
	if err := reader(t, where).Each(context.Background(), func(e *Entry) error {
		if e.Kind == KindLedger {
			first++
		}
		if len(e.Trace) > 4 && e.Trace[4] != before {
			mixed++
			before = e.Trace[4]
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if first != 1 || mixed < 10 {
		t.Errorf("%d first entries, the gateways take turns %d times", first, mixed)
	}
}

// What a killed gateway has open is given up by the next of its name at once, and by others once it is silent for too long.
func TestSharedKilled(t *testing.T) {
	where := database(t)
	other := open(t, where, shared("other"))
	if _, err := other.Begin(context.Background(), "of other", nil); err != nil {
		t.Fatal(err)
	}
	marks := killed(t, where, 100)
	left := verify(t, where, Check{}).Unfinished - 1
	if left == 0 {
		t.Fatal("the killed gateway had nothing open")
	}
	again := open(t, where, shared("killed"))
	if got := len(again.Recovered()); int64(got) != left {
		t.Errorf("%d traces recovered, %d were unfinished", got, left)
	}
	if r := verify(t, where, Check{Key: testPublic, At: marks}); r.Unfinished != 1 || !r.OK() {
		t.Errorf("report %+v", r)
	}
	closed(t, again)

	killed(t, where, 100)
	do(t, where, "UPDATE instances SET seen = seen - interval '2 hours' WHERE id = 'killed'")
	closed(t, open(t, where, shared("third")))
	if r := verify(t, where, Check{}); r.Unfinished == 1 {
		t.Error("a gateway was taken for dead right after Postgres had started")
	}
	fresh := shared("fourth")
	fresh.lease = time.Millisecond // any that is not heard of for so long; but other has not been heard of either
	do(t, where, "UPDATE instances SET seen = now() + interval '1 hour' WHERE id = 'other'")
	late := open(t, where, fresh)
	until(t, "the dead gateway's traces are given up", func() bool { return verify(t, where, Check{}).Unfinished == 1 })
	closed(t, late)
	if _, err := other.End(context.Background(), "of other", nil); err != nil {
		t.Errorf("a gateway that is alive lost its trace: %v", err)
	}
	closed(t, other)
	if r := good(t, where); r.Unfinished != 0 || r.Begun != r.Ended+r.Abandoned {
		t.Errorf("report %+v", r)
	}
}

// A gateway that was taken for dead finds its traces given up, and goes on with new ones. One whose name was taken over stops.
func TestSharedLapsed(t *testing.T) {
	where := database(t)
	l := open(t, where, shared("slow"))
	ctx := context.Background()
	if _, err := l.Begin(ctx, "lost", nil); err != nil {
		t.Fatal(err)
	}
	do(t, where, "DELETE FROM instances")
	closed(t, open(t, where, shared("judge"))) // it has no lease to wait for
	do(t, where, "INSERT INTO instances VALUES ('judge', '', now())")
	if _, err := l.End(ctx, "lost", nil); !errors.Is(err, ErrNotBegun) {
		t.Errorf("ending a trace that was given up: %v", err)
	}
	if _, err := request(ctx, l, "next"); err != nil {
		t.Errorf("after a lapse: %v", err)
	}
	if _, err := l.Begin(ctx, "mine", nil); err != nil {
		t.Fatal(err)
	}
	second := open(t, where, shared("slow"))
	if got := second.Recovered(); len(got) != 1 || got[0] != "mine" {
		t.Errorf("recovered %q", got)
	}
	if _, err := l.Begin(ctx, "more", nil); !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), "has taken over") {
		t.Errorf("a gateway whose name was taken over: %v", err)
	}
	if _, err := request(ctx, second, "new"); err != nil {
		t.Error(err)
	}
	if err := l.Close(); err == nil {
		t.Error("a gateway whose name was taken over closes as if nothing were")
	}
	closed(t, second)
	if r := good(t, where); r.Begun != 4 || r.Abandoned != 2 || r.Ended != 2 {
		t.Errorf("report %+v", r)
	}
}

// While Postgres is away, appends fail soon; once it is back, so is the ledger, and so are its readers.
func TestPostgresAway(t *testing.T) {
	where := database(t)
	opts := shared("g")
	opts.Busy = time.Second
	l := open(t, where, opts)
	r := reader(t, where)
	ctx := context.Background()
	requests(t, l, 3)
	if _, err := l.Begin(ctx, "open", nil); err != nil {
		t.Fatal(err)
	}
	crash(t, func() {
		start := time.Now()
		var wg sync.WaitGroup
		for i := range 2 * queueLen {
			wg.Go(func() {
				if _, err := l.Begin(ctx, fmt.Sprint(i), nil, Content{Name: "prompt", Data: make([]byte, 1<<10)}); !errors.Is(err, ErrUnavailable) {
					t.Errorf("error %v", err)
				}
			})
		}
		wg.Wait()
		if _, err := l.End(ctx, "open", nil); !errors.Is(err, ErrUnavailable) || strings.Contains(err.Error(), "hush") {
			t.Errorf("error %v", err)
		}
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("appends failed after %s", took)
		}
		if s := l.Stats(); s.Waiting != 0 || l.queued.Load() != 0 {
			t.Errorf("stats %+v, %d bytes queued", s, l.queued.Load())
		}
		if _, err := r.Head(ctx); err == nil || strings.Contains(err.Error(), "hush") {
			t.Errorf("reading gave %v", err)
		}
	})
	until(t, "the ledger goes on", func() bool { return l.Err() == nil })
	if _, err := l.End(ctx, "open", nil); err != nil {
		t.Errorf("ending after the fault: %v", err)
	}
	requests(t, l, 3)
	if _, err := r.Head(ctx); err != nil {
		t.Errorf("reading after the fault: %v", err)
	}
	conn, err := pgx.Connect(ctx, where)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(ctx, "BEGIN; SELECT * FROM head FOR UPDATE"); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Begin(ctx, "late", nil); !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), "has it locked") {
		t.Errorf("a locked database gave %v", err)
	}
	if err := conn.Close(ctx); err != nil {
		t.Error(err)
	}
	until(t, "the ledger goes on", func() bool { return l.Err() == nil })
	closed(t, l)
	if r := good(t, where); r.Begun != 7 || r.Ended != 7 {
		t.Errorf("report %+v", r)
	}
}

// Tampering in a database is found as in a file.
func TestTamperingInPostgres(t *testing.T) {
	where := database(t)
	l := open(t, where, shared("g"))
	requests(t, l, 10)
	closed(t, l)
	good(t, where)
	for i, tc := range []struct {
		edit, undo string
		want       Problem
	}{
		{"UPDATE entries SET body = body || ' ' WHERE seq = 5", "UPDATE entries SET body = rtrim(body) WHERE seq = 5", Changed},
		{"UPDATE entries SET kind = 'other' WHERE seq = 5", "UPDATE entries SET kind = 'end' WHERE seq = 5", Changed},
		{"UPDATE entries SET hash = '' WHERE seq = 5", "", Changed},
		{"UPDATE entries SET contents = overlay(contents placing 'x' from 45) WHERE seq = 8", "", BadContent},
		{"UPDATE entries SET contents = NULL WHERE seq = 12", "", Changed},
		{"DELETE FROM entries WHERE seq = 15", "", Removed},
	} {
		do(t, where, tc.edit)
		seq := []int64{5, 5, 5, 8, 12, 15}[i]
		if r := verify(t, where, Check{}); !names(r, seq, tc.want) {
			t.Errorf("%s: found %v", tc.edit, r.Faults)
		}
		if tc.undo != "" {
			do(t, where, tc.undo)
		}
	}
	do(t, where, "UPDATE head SET seq = seq - 1")
	if _, err := Open(context.Background(), where, shared("g")); err == nil || !strings.Contains(err.Error(), "table head") {
		t.Errorf("a changed head gave %v", err)
	}
}

func TestPostgresURLs(t *testing.T) {
	for _, where := range []string{
		"postgres://ada:hush@/x?search_path=a,b", "postgres://ada:hu/sh@localhost/x", "postgres://ada:hush@localhost:port/x", "postgres://ada:hush@local host/x",
		"postgres://ada:hush@localhost/x?sslmode=what", "postgres://ada@localhost/x?password=hush&sslrootcert=/no/such", "postgres://ada:hush@127.0.0.1:1/x", "postgresql://ada:%zzhush@x/y",
	} {
		_, err := OpenReader(context.Background(), where)
		_, err2 := Open(context.Background(), where, options())
		if err == nil || err2 == nil || strings.Contains(fmt.Sprint(err, err2), "hu") {
			t.Errorf("%s: errors %v, %v", where, err, err2)
		}
	}
	where := database(t)
	if _, err := OpenReader(context.Background(), where); err == nil || !strings.Contains(err.Error(), "no ledger in it") {
		t.Errorf("reading where there is no ledger gave %v", err)
	}
	l := open(t, where, options())
	requests(t, l, 3)
	closed(t, l)
	var b bytes.Buffer
	if err := reader(t, where).Export(context.Background(), &b); err != nil {
		t.Fatal(err)
	}
	stored := good(t, where)
	if r, err := VerifyExport(&b, Check{Key: testPublic}); err != nil || !r.OK() || r.Last != stored.Last {
		t.Errorf("the export has %+v (%v), the store %+v", r, err, stored)
	}
}
