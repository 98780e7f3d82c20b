package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// until waits for something that the ledger's own clockwork brings about.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for range 2000 {
		if ok() {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatalf("never: %s", what)
}

func fileOf(l *Ledger) *sqliteStore { return l.store.(*sqliteStore) }

// When the store is away, requests are refused, what was promised stays, and it goes on by itself once the store is back.
func TestStoreAway(t *testing.T) {
	for name, tc := range map[string]struct {
		away func(t *testing.T, l *Ledger) (back func())
		says string
	}{
		"locked": {func(t *testing.T, l *Ledger) func() {
			db, err := sql.Open("sqlite", "file:"+fileOf(l).path+"?_txlock=immediate")
			if err != nil {
				t.Fatal(err)
			}
			tx, err := db.Begin()
			if err != nil {
				t.Fatal(err)
			}
			return func() {
				if err := errors.Join(tx.Rollback(), db.Close()); err != nil {
					t.Fatal(err)
				}
			}
		}, "another program has it locked"},
		"full": {func(t *testing.T, l *Ledger) func() {
			pages := func(sql string) {
				if err := fileOf(l).exec(t.Context(), sql); err != nil {
					t.Fatal(err)
				}
			}
			pages("PRAGMA max_page_count = 1") // as many as there are
			return func() { pages("PRAGMA max_page_count = 1000000") }
		}, "the disk is full"},
		"moved": {func(t *testing.T, l *Ledger) func() {
			path := fileOf(l).path
			if err := os.Rename(path, path+".away"); err != nil {
				t.Fatal(err)
			}
			return func() {
				if err := os.Rename(path+".away", path); err != nil {
					t.Fatal(err)
				}
			}
		}, "moved or deleted"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "l")
			opts := options()
			opts.retry = 10 * time.Millisecond
			l := open(t, path, opts)
			ctx := context.Background()
			requests(t, l, 3)
			for _, trace := range []string{"open-1", "open-2"} {
				if _, err := l.Begin(ctx, trace, nil); err != nil {
					t.Fatal(err)
				}
			}
			back := tc.away(t, l)
			big := Content{Name: "prompt", Data: []byte(strings.Repeat("x", 1<<20))}
			if _, err := l.Begin(ctx, "late", nil, big); !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("begin: error %v, want one that says %q", err, tc.says)
			}
			if _, err := l.End(ctx, "open-1", nil, big); !errors.Is(err, ErrUnavailable) {
				t.Errorf("end: error %v", err)
			}
			l.Abandon("open-1", "the answer could not be recorded")
			if l.Err() == nil || l.Stats().Refused == 0 {
				t.Errorf("the ledger says that all is well: %v, %+v", l.Err(), l.Stats())
			}
			back()
			until(t, "the ledger goes on", func() bool { return l.Err() == nil })
			until(t, "the trace is abandoned", func() bool { return len(l.Unfinished()) == 1 })
			if _, err := l.End(ctx, "open-2", nil); err != nil {
				t.Errorf("ending after the fault: %v", err)
			}
			requests(t, l, 3)
			closed(t, l)
			if r := good(t, path); r.Begun != 8 || r.Ended != 7 || r.Abandoned != 1 {
				t.Errorf("report %+v", r)
			}
		})
	}
}

// A store that stays away costs no more memory than the queue: all beyond is refused at once.
func TestQueueIsBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "l")
	opts := options()
	opts.Busy = 300 * time.Millisecond
	l := open(t, path, opts)
	db, err := sql.Open("sqlite", "file:"+path+"?_txlock=immediate")
	if err != nil {
		t.Fatal(err)
	}
	tx, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range 3 * queueLen {
		wg.Go(func() {
			if _, err := l.Begin(context.Background(), fmt.Sprint(i), nil); !errors.Is(err, ErrUnavailable) {
				t.Errorf("error %v", err)
			}
		})
	}
	wg.Wait()
	if s := l.Stats(); s.Waiting != 0 || s.Refused != 3*queueLen || l.queued.Load() != 0 || s.Open != 0 {
		t.Errorf("stats %+v, %d bytes queued", s, l.queued.Load())
	}
	if err := errors.Join(tx.Rollback(), db.Close()); err != nil {
		t.Fatal(err)
	}
	closed(t, l)
	if r := good(t, path); r.Begun != 0 {
		t.Errorf("%d requests begun, want none", r.Begun)
	}
}

// A caller that goes away while its entry waits leaves nothing behind.
func TestCancelled(t *testing.T) { eachStore(t, testCancelled) }

func testCancelled(t *testing.T, path string) {
	l := open(t, path, options())
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	cancelled := 0
	for i := range 30 {
		trace := fmt.Sprint(i)
		_, err := l.Begin(ctx, trace, nil)
		if errors.Is(err, context.Canceled) {
			cancelled++
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, err := l.End(ctx, trace, nil); err != nil {
			t.Fatal(err)
		}
	}
	if open := l.Unfinished(); len(open) != 0 {
		t.Errorf("unfinished: %q", open)
	}
	closed(t, l)
	if r := good(t, path); r.Begun != int64(30-cancelled) || r.Ended != r.Begun {
		t.Errorf("%d cancelled, report %+v", cancelled, r)
	}
}

// A commit may be on the disk although the disk reported an error. Then the ledger goes on from there, and gives up the
// requests whose callers were told that they had not begun.
func TestCommitMadeDespiteItsError(t *testing.T) { eachStore(t, testCommitMadeDespiteItsError) }

func testCommitMadeDespiteItsError(t *testing.T, path string) {
	l := open(t, path, options())
	requests(t, l, 1)
	before := l.state // the writer is idle
	before.stale = true
	if _, err := l.Begin(context.Background(), "told it failed", nil); err != nil {
		t.Fatal(err)
	}
	l.state = before
	delete(l.open, "told it failed")
	if _, err := request(context.Background(), l, "next"); err != nil {
		t.Fatal(err)
	}
	if open := l.Unfinished(); len(open) != 0 {
		t.Errorf("unfinished: %q", open)
	}
	closed(t, l)
	if r := good(t, path); r.Begun != 3 || r.Ended != 2 || r.Abandoned != 1 {
		t.Errorf("report %+v", r)
	}
}

// A start that has many requests to give up signs as often as any other writer.
func TestManyUnfinished(t *testing.T) { eachStore(t, testManyUnfinished) }

func testManyUnfinished(t *testing.T, path string) {
	l := open(t, path, options())
	for k := range 2 {
		begins := make([]Entry, Every)
		for i := range begins {
			begins[i] = Entry{Kind: KindBegin, Trace: fmt.Sprint(k, "-", i)}
		}
		if _, err := l.Append(context.Background(), begins...); err != nil {
			t.Fatal(err)
		}
	}
	closed(t, l)
	if r := good(t, path); r.Abandoned != 2*Every || r.Unfinished != 0 {
		t.Errorf("report %+v", r)
	}
}

func TestFilesThatAreNoLedger(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	other := filepath.Join(dir, "other")
	sqlDo(t, other, "CREATE TABLE t (x)")
	later := filepath.Join(dir, "later")
	sqlDo(t, later, "CREATE TABLE t (x)", "PRAGMA user_version = 99")
	whole := sample(t, 30)
	damaged := rubbished(whole, 4096, len(whole))
	for _, tc := range []struct{ path, says string }{
		{write("text", strings.Repeat("not a database ", 1000)), "damaged or no ledger"},
		{other, "another program"},
		{later, "format 99"},
		{write("damaged", damaged), "damaged"},
		{filepath.Join(dir, "no", "such", "folder"), "no such"},
	} {
		_, err := Open(context.Background(), tc.path, options())
		if err == nil || !strings.Contains(err.Error(), tc.says) {
			t.Errorf("opening %s to write: error %v, want one that says %q", filepath.Base(tc.path), err, tc.says)
		}
		r, err := OpenReader(context.Background(), tc.path)
		if err == nil {
			_, err = r.Verify(context.Background(), Check{})
			err = errors.Join(err, r.Close())
		}
		if err == nil {
			t.Errorf("%s was read", filepath.Base(tc.path))
		}
	}
}

// rubbished returns data as text with bytes from to to replaced by rubbish.
func rubbished(data []byte, from, to int) string {
	return string(data[:from]) + strings.Repeat("rubbish!", (to-from)/8) + string(data[to:])
}

// Entries are signed soon even when no others come.
func TestSignedWhenIdle(t *testing.T) {
	path := filepath.Join(t.TempDir(), "l")
	opts := options()
	opts.Sign = 10 * time.Millisecond
	l := open(t, path, opts)
	requests(t, l, 1)
	until(t, "a checkpoint after the last entry", func() bool {
		r := good(t, path)
		return r.Signed == r.Last.Seq-1 && r.Signed >= 5
	})
}

// BenchmarkAppend measures entries of a request as a gateway appends them, by 256 at the same time.
func BenchmarkAppend(b *testing.B) {
	path := filepath.Join(b.TempDir(), "l")
	l := open(b, path, options())
	prompt := []byte(strings.Repeat("What is 17 times 23? ", 50))
	work := make(chan int)
	var wg sync.WaitGroup
	for range 256 {
		wg.Go(func() {
			for i := range work {
				trace := fmt.Sprint(i)
				if _, err := l.Begin(context.Background(), trace, []byte(`{"model":"m"}`), Content{Name: "prompt", Data: prompt}); err != nil {
					b.Error(err)
				}
				if _, err := l.End(context.Background(), trace, []byte(`{"verdict":"pass"}`), Content{Name: "answer", Data: prompt}); err != nil {
					b.Error(err)
				}
			}
		})
	}
	before := l.Stats()
	b.ResetTimer()
	for i := range b.N {
		work <- i
	}
	close(work)
	wg.Wait()
	b.StopTimer()
	s := l.Stats()
	b.ReportMetric(float64(s.Entries-before.Entries)/b.Elapsed().Seconds(), "appends/s")
	b.ReportMetric(float64(s.Entries-before.Entries)/float64(s.Commits-before.Commits), "appends/sync")
	if err := l.Close(); err != nil {
		b.Fatal(err)
	}
}
