package ledger

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"candor/internal/rng"
)

func TestMain(m *testing.M) {
	if path := os.Getenv("CANDOR_LEDGER_CHILD"); path != "" {
		child(path)
	}
	code := m.Run()
	stopServer()
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Println(err)
		code = 1
	}
	os.Exit(code)
}

var testKey = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize))

var testPublic = testKey.Public().(ed25519.PublicKey)

// options have a clock that stands still, and sign and retry by themselves only where a test asks for it.
func options() Options {
	at := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	return Options{Key: testKey, Clock: func() time.Time { return at }, Secret: rng.Secret, Busy: 50 * time.Millisecond, Sign: time.Hour, retry: time.Hour}
}

// eachStore runs a test with a place in each kind of store.
func eachStore(t *testing.T, test func(t *testing.T, where string)) {
	t.Run("sqlite", func(t *testing.T) { test(t, filepath.Join(t.TempDir(), "a b#?%.ledger")) })
	t.Run("postgres", func(t *testing.T) { test(t, database(t)) })
}

func open(t testing.TB, path string, opts Options) *Ledger {
	t.Helper()
	if IsPostgres(path) && opts.Busy < time.Second {
		opts.Busy = 5 * time.Second // the machine may be busy too
	}
	l, err := Open(context.Background(), path, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = l.Close() // again, or after a fault that the test has looked at
	})
	return l
}

func closed(t testing.TB, l *Ledger) {
	t.Helper()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

func verify(t testing.TB, path string, check Check) *Report {
	t.Helper()
	r := reader(t, path)
	report, err := r.Verify(context.Background(), check)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func reader(t testing.TB, path string) *Reader {
	t.Helper()
	r, err := OpenReader(context.Background(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// good verifies with the key and demands that nothing is wrong.
func good(t testing.TB, path string) *Report {
	t.Helper()
	report := verify(t, path, Check{Key: testPublic})
	for _, f := range report.Faults {
		t.Error(f)
	}
	if t.Failed() {
		t.FailNow()
	}
	return report
}

// request appends what one request leaves.
func request(ctx context.Context, l *Ledger, trace string) (out []Receipt, err error) {
	begin, err := l.Begin(ctx, trace, []byte(`{"model": "m"}`), Content{Name: "prompt", Data: []byte("Is " + trace + " <even>?")})
	if err != nil {
		return nil, err
	}
	stage, err := l.Append(ctx, Entry{Kind: KindStage, Trace: trace, Body: []byte(`{"stage":"reasoner"}`), Contents: []Content{{Name: "chain", Data: []byte{0xff, 1}}, {Name: "empty"}}})
	if err != nil {
		return nil, err
	}
	end, err := l.End(ctx, trace, []byte(`{"verdict":"pass"}`), Content{Name: "answer", Data: []byte("yes\n")})
	return append([]Receipt{begin}, append(stage, end)...), err
}

func requests(t testing.TB, l *Ledger, n int) {
	t.Helper()
	for i := range n {
		if _, err := request(context.Background(), l, fmt.Sprintf("req-%d", i)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestWhatIsAppendedIsThere(t *testing.T) { eachStore(t, testWhatIsAppendedIsThere) }

func testWhatIsAppendedIsThere(t *testing.T, path string) {
	l := open(t, path, options())
	receipts, err := request(context.Background(), l, "req-1")
	if err != nil {
		t.Fatal(err)
	}
	entries, err := reader(t, path).Trace(context.Background(), "req-1")
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 3 || len(receipts) != 3 {
		t.Fatalf("%d entries, %d receipts, want 3", len(entries), len(receipts))
	}
	for i, want := range []struct{ kind, body, content string }{{"begin", `{"model":"m"}`, "Is req-1 <even>?"}, {"stage", `{"stage":"reasoner"}`, "\xff\x01"}, {"end", `{"verdict":"pass"}`, "yes\n"}} {
		e := entries[i]
		if string(e.Kind) != want.kind || string(e.Body) != want.body || string(e.Contents[0].Data) != want.content {
			t.Errorf("entry %d is %s %s %q, want %v", e.Seq, e.Kind, e.Body, e.Contents[0].Data, want)
		}
		if got := (Receipt{e.Seq, e.Time, e.Hash}); got != receipts[i] {
			t.Errorf("the receipt is %v, the entry has %v", receipts[i], got)
		}
	}
	closed(t, l)
	report := good(t, path)
	if report.Begun != 1 || report.Ended != 1 || report.Unfinished != 0 || report.Contents != 4 || report.Signed != report.Last.Seq-1 {
		t.Errorf("report %+v", report)
	}
	if unchecked := verify(t, path, Check{}); !unchecked.OK() || unchecked.SignaturesChecked || unchecked.Signed != 0 {
		t.Errorf("without a key: %+v", unchecked)
	}
}

// The encoding is what others verify by: a change of it breaks every ledger that there is.
func TestHashIsFrozen(t *testing.T) {
	e := Entry{Seq: 3, Time: time.UnixMilli(1_700_000_000_123), Back: 5, Kind: KindEnd, Trace: "req-1", Body: []byte(`{"a":1}`)}
	e.Prev[0] = 9
	c := Content{Name: "answer", Salt: bytes.Repeat([]byte{1}, 32), Data: []byte("yes")}
	c.Commitment = c.commit()
	e.Contents = []Content{c}
	if got, want := c.Commitment.String(), "20f5e177583d56c170e018eeb049e326940c8d9d90e208e848db51059ae34afa"; got != want {
		t.Errorf("the commitment is %s, want %s", got, want)
	}
	if got, want := e.sum().String(), "3325f9199d6ea66b56a9fa7e73542bb6c24132f78676fb3ce84b892b0a6857d6"; got != want {
		t.Errorf("the hash is %s, want %s", got, want)
	}
}

func TestRefusedEntries(t *testing.T) { eachStore(t, testRefusedEntries) }

func testRefusedEntries(t *testing.T, path string) {
	l := open(t, path, options())
	ctx := context.Background()
	if _, err := l.Begin(ctx, "open", nil); err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("x", 1<<20)
	for name, tc := range map[string]struct {
		entries []Entry
		is      error
		says    string
	}{
		"none":              {nil, nil, "want 1 to"},
		"end without begin": {[]Entry{{Kind: KindEnd, Trace: "t"}}, ErrNotBegun, `end of "t"`},
		"stage without":     {[]Entry{{Kind: KindStage, Trace: "t"}}, ErrNotBegun, `stage of "t"`},
		"begun twice":       {[]Entry{{Kind: KindBegin, Trace: "open"}}, ErrBegun, `"open"`},
		"all or none":       {[]Entry{{Kind: KindBegin, Trace: "u"}, {Kind: KindEnd, Trace: "u"}, {Kind: KindEnd, Trace: "u"}}, ErrNotBegun, `"u"`},
		"own kind":          {[]Entry{{Kind: KindCheckpoint}}, nil, "the ledger's own"},
		"kind":              {[]Entry{{Kind: "Policy!"}}, nil, "kind"},
		"no trace":          {[]Entry{{Kind: KindBegin}}, nil, "needs a trace"},
		"trace":             {[]Entry{{Kind: KindBegin, Trace: "a\nb"}}, nil, "control characters"},
		"no JSON":           {[]Entry{{Kind: "policy", Body: []byte(`{"a"`)}}, nil, "no JSON"},
		"not UTF-8":         {[]Entry{{Kind: "policy", Body: []byte("\"\xff\"")}}, nil, "UTF-8"},
		"long body":         {[]Entry{{Kind: "policy", Body: []byte(`"` + long + `"`)}}, nil, "put texts into contents"},
		"content name":      {[]Entry{{Kind: "policy", Contents: []Content{{Name: ""}}}}, nil, "name"},
		"same name":         {[]Entry{{Kind: "policy", Contents: []Content{{Name: "a"}, {Name: "a"}}}}, nil, "two contents"},
		"too large":         {[]Entry{{Kind: "policy", Contents: []Content{{Name: "a", Data: make([]byte, maxAppend)}}}}, nil, "at most"},
	} {
		_, err := l.Append(ctx, tc.entries...)
		if err == nil || !strings.Contains(err.Error(), tc.says) || tc.is != nil && !errors.Is(err, tc.is) || errors.Is(err, ErrUnavailable) {
			t.Errorf("%s: error %v, want one that says %q", name, err, tc.says)
		}
	}
	if got := l.Unfinished(); !slices.Equal(got, []string{"open"}) {
		t.Errorf("unfinished: %q", got)
	}
	closed(t, l)
	if r := good(t, path); r.Begun != 1 || r.Abandoned != 1 {
		t.Errorf("refused entries left something: %+v", r)
	}
	if _, err := l.Begin(ctx, "late", nil); !errors.Is(err, ErrUnavailable) {
		t.Errorf("after Close: %v", err)
	}
}

// What gathers while one commit is under way goes into the next one.
func TestGroupCommit(t *testing.T) { eachStore(t, testGroupCommit) }

func testGroupCommit(t *testing.T, path string) {
	l := open(t, path, options())
	before := l.Stats()
	var wg sync.WaitGroup
	const writers, each = 128, 4
	for i := range writers {
		wg.Go(func() {
			for k := range each {
				if _, err := request(context.Background(), l, fmt.Sprintf("req-%d-%d", i, k)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	after := l.Stats()
	entries, commits := after.Entries-before.Entries, after.Commits-before.Commits
	if entries < writers*each*3 || commits*8 > entries {
		t.Errorf("%d entries in %d commits, want at least 8 a commit", entries, commits)
	}
	closed(t, l)
	if r := good(t, path); r.Begun != writers*each || r.Ended != writers*each || r.Checkpoints < r.Entries/(Every+1) {
		t.Errorf("report %+v", r)
	}
}

func TestClockGoingBack(t *testing.T) { eachStore(t, testClockGoingBack) }

func testClockGoingBack(t *testing.T, path string) {
	opts := options()
	start := opts.Clock()
	var now time.Time
	opts.Clock = func() time.Time { return now }
	now = start
	l := open(t, path, opts)
	var got []Receipt
	for i, at := range []time.Duration{time.Hour, 0, time.Minute, 2 * time.Hour} {
		now = start.Add(at)
		r, err := l.Append(context.Background(), Entry{Kind: "policy", Trace: fmt.Sprint(i)})
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, r...)
	}
	for i, want := range []time.Duration{time.Hour, time.Hour, time.Hour, 2 * time.Hour} {
		if !got[i].Time.Equal(start.Add(want)) {
			t.Errorf("entry %d has time %s, want %s after the start", i, got[i].Time, want)
		}
	}
	closed(t, l)
	if r := good(t, path); r.ClockBack != 2 {
		t.Errorf("%d entries say that the clock was behind, want 2", r.ClockBack)
	}
	e, err := reader(t, path).Trace(context.Background(), "2")
	if err != nil || len(e) != 1 || e[0].Back != 59*60*1000 {
		t.Errorf("entry %+v (%v), want one 59 minutes back", e, err)
	}
	now = start // and across a restart
	closed(t, open(t, path, opts))
	good(t, path)
}

func TestRedaction(t *testing.T) {
	path := filepath.Join(t.TempDir(), "l")
	l := open(t, path, options())
	ctx := context.Background()
	secret := strings.Repeat("my secret is Rosebud. ", 1000)
	if _, err := l.Append(ctx, Entry{Kind: KindBegin, Trace: "case-1", Contents: []Content{{Name: "prompt", Data: []byte(secret)}, {Name: "system", Data: []byte("be brief")}}},
		Entry{Kind: KindEnd, Trace: "case-1", Contents: []Content{{Name: "answer", Data: []byte("Rosebud it is")}}}); err != nil {
		t.Fatal(err)
	}
	requests(t, l, 3)
	for _, tc := range []struct{ trace, who, why, name string }{{"", "w", "y", ""}, {"case-1", "", "y", ""}, {"case-1", "w", "", ""}, {"nobody", "w", "y", ""}, {"case-1", "w", "y", "chain"}} {
		names := []string{tc.name}
		if tc.name == "" {
			names = nil
		}
		if _, err := l.Redact(ctx, tc.trace, tc.who, tc.why, names...); err == nil {
			t.Errorf("redacted %v", tc)
		}
	}
	if n, err := l.Redact(ctx, "case-1", "Ada", "erasure request", "prompt", "answer"); err != nil || n != 2 {
		t.Fatalf("%d redacted (%v), want 2", n, err)
	}
	for _, name := range []string{path, path + "-wal"} {
		if data, err := os.ReadFile(name); err != nil || bytes.Contains(data, []byte("Rosebud")) {
			t.Errorf("%s still has what was redacted (%v)", filepath.Base(name), err)
		}
	}
	if r := good(t, path); r.Redacted != 2 {
		t.Errorf("%d redacted, want 2", r.Redacted)
	}
	if n, err := l.Redact(ctx, "case-1", "Ada", "the rest"); err != nil || n != 1 {
		t.Fatalf("%d redacted (%v), want the system prompt", n, err)
	}
	if _, err := l.Redact(ctx, "case-1", "Ada", "again"); err == nil || errors.Is(err, ErrUnavailable) {
		t.Errorf("a second redaction gave %v", err)
	}
	closed(t, l)
	r := good(t, path)
	if r.Redacted != 3 || r.Contents != 3+3*4 {
		t.Errorf("report %+v", r)
	}
	entries, err := reader(t, path).Trace(ctx, "case-1")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"who":"Ada"`, `"why":"erasure request"`, `"name":"prompt"`, entries[0].Contents[0].Commitment.String()} {
		if !strings.Contains(string(entries[2].Body), want) {
			t.Errorf("the redaction %s does not say %s", entries[2].Body, want)
		}
	}
}

func TestKeys(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "key")
	key, err := LoadKey(file, rng.Secret)
	if err != nil {
		t.Fatal(err)
	}
	again, err := LoadKey(file, rng.Secret)
	if err != nil || !key.Equal(again) {
		t.Errorf("the key is another when read again (%v)", err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm()&0o077 != 0 && os.PathSeparator == '/' {
		t.Errorf("the key file has mode %v (%v)", info.Mode(), err)
	}
	text, err := os.ReadFile(file + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	if public, err := ParsePublicKey(string(text)); err != nil || !public.Equal(key.Public()) {
		t.Errorf("the public key file has %s (%v)", text, err)
	}
	if err := os.WriteFile(file, []byte("ed25519-seed:00"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadKey(file, rng.Secret); err == nil || !strings.Contains(err.Error(), "no key") {
		t.Errorf("a broken key gave %v", err)
	}
	for _, text := range []string{"", "ed25519:", "ed25519:zz", strings.TrimPrefix(FormatPublicKey(testPublic), "ed25519:")} {
		if _, err := ParsePublicKey(text); err == nil {
			t.Errorf("%q was read as a public key", text)
		}
	}
	for _, text := range []string{"", "1", "0:" + Hash{}.String(), "x:" + Hash{}.String(), "1:00"} {
		if _, err := ParseMark(text); err == nil {
			t.Errorf("%q was read as a mark", text)
		}
	}

	path := filepath.Join(dir, "l")
	l := open(t, path, options())
	requests(t, l, 1)
	if _, err := Open(context.Background(), path, options()); err == nil || !strings.Contains(err.Error(), "another process") {
		t.Errorf("a second writer got %v", err)
	}
	closed(t, l)
	opts := options()
	opts.Key = key
	if _, err := Open(context.Background(), path, opts); err == nil || !strings.Contains(err.Error(), "signed with the key") {
		t.Errorf("another key got %v", err)
	}
	if r := verify(t, path, Check{Key: key.Public().(ed25519.PublicKey)}); r.OK() || r.Faults[0].Problem != Unsigned && r.Faults[0].Problem != Signature {
		t.Errorf("another key verifies: %+v", r)
	}
	closed(t, open(t, path, options()))
	good(t, path)
}
