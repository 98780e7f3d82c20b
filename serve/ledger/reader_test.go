package ledger

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestQueries(t *testing.T) { eachStore(t, testQueries) }

func testQueries(t *testing.T, where string) {
	ctx := context.Background()
	l := open(t, where, options())
	r := reader(t, where)
	must := func(entries ...Entry) {
		t.Helper()
		receipts, err := l.Append(ctx, entries...)
		if err != nil {
			t.Fatal(err)
		}
		// what has a receipt can be read at once
		if head, err := r.Head(ctx); err != nil || head != receipts[len(receipts)-1] {
			t.Fatalf("the head is %v (%v), the last receipt %v", head, err, receipts[len(receipts)-1])
		}
	}
	const n = 10
	for i := range n {
		trace := fmt.Sprint("t", i)
		must(Entry{Kind: KindBegin, Trace: trace, Contents: []Content{{Name: "prompt", Data: []byte(trace)}}})
		must(Entry{Kind: "held", Trace: trace}, Entry{Kind: KindEnd, Trace: trace, Contents: []Content{{Name: "answer", Data: []byte("yes")}}})
	}
	must(Entry{Kind: KindReview, Trace: "t3"})
	must(Entry{Kind: KindReview, Trace: "t7"})
	must(Entry{Kind: "held", Trace: "t7"}) // again, so it waits behind the others
	waiting, err := r.Waiting(ctx, "held", KindReview)
	if want := []string{"t0", "t1", "t2", "t4", "t5", "t6", "t8", "t9", "t7"}; err != nil || !slices.Equal(waiting, want) {
		t.Errorf("waiting: %q (%v), want %q", waiting, err, want)
	}
	for _, kinds := range [][2]Kind{{KindEnd, KindReview}, {"held", KindEnd}} {
		if _, err := r.Waiting(ctx, kinds[0], kinds[1]); err == nil {
			t.Errorf("%v can be asked for", kinds)
		}
	}
	var traces []string
	before := int64(0)
	for {
		begins, err := r.Begins(ctx, before, 4)
		if err != nil {
			t.Fatal(err)
		}
		if len(begins) == 0 {
			break
		}
		for _, e := range begins {
			if e.Kind != KindBegin || string(e.Contents[0].Data) != e.Trace || e.sum() != e.Hash {
				t.Errorf("entry %+v", e)
			}
			traces, before = append(traces, e.Trace), e.Seq
		}
	}
	if want := []string{"t9", "t8", "t7", "t6", "t5", "t4", "t3", "t2", "t1", "t0"}; !slices.Equal(traces, want) {
		t.Errorf("begun: %q, want %q", traces, want)
	}
	many := []string{"", "unknown", "t7", "t1"}
	for i := range 3 * page {
		many = append(many, fmt.Sprint("u", i))
	}
	found, err := r.Traces(ctx, append(many, "t2"))
	if err != nil || len(found) != 3 || len(found["t7"]) != 5 || len(found["t1"]) != 3 || len(found["t2"]) != 3 {
		t.Fatalf("traces %v (%v)", found, err)
	}
	one, err := r.Trace(ctx, "t7")
	if err != nil || !slices.EqualFunc(one, found["t7"], func(a, b Entry) bool { return a.Hash == b.Hash && string(a.Body) == string(b.Body) }) {
		t.Errorf("trace %v (%v), among others it is %v", one, err, found["t7"])
	}
	if some, err := r.Trace(ctx, ""); err != nil || len(some) != 0 {
		t.Errorf("entries of no trace: %v (%v)", some, err)
	}
	closed(t, l)
	good(t, where)
}

// The lists of a page must not read the whole ledger.
func TestQueriesUseIndexes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "l")
	closed(t, open(t, path, options()))
	r := reader(t, path)
	plan := &planner{source: r.from}
	r.from = plan
	ctx := context.Background()
	_, err1 := r.Trace(ctx, "t")
	_, err2 := r.Traces(ctx, []string{"a", "b"})
	_, err3 := r.Waiting(ctx, "held", KindReview)
	_, err4 := r.Begins(ctx, 100, 10)
	if err1 != nil || err2 != nil || err3 != nil || err4 != nil {
		t.Fatal(err1, err2, err3, err4)
	}
	if len(plan.steps) < 5 {
		t.Fatalf("plans %q", plan.steps)
	}
	for _, step := range plan.steps {
		if strings.HasPrefix(step, "SCAN ") && !strings.HasPrefix(step, "SCAN w") {
			t.Errorf("a query reads a whole table: %s", step)
		}
	}
	r.from = plan.source
}

// planner notes how queries would be answered, and answers none.
type planner struct {
	source
	steps []string
}

func (p *planner) each(ctx context.Context, query string, args []any, _ func(scan func(...any) error) error) error {
	return p.source.each(ctx, "EXPLAIN QUERY PLAN "+query, args, func(scan func(...any) error) error {
		var id, parent, x int
		var detail string
		err := scan(&id, &parent, &x, &detail)
		p.steps = append(p.steps, detail)
		return err
	})
}

// However long texts are and wherever in the file they lie, nothing is left of one that was redacted, and nothing else is touched.
func TestRedactionLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	n := 0
	rapid.Check(t, func(t *rapid.T) {
		n++
		path := filepath.Join(dir, fmt.Sprint(n))
		l, err := Open(context.Background(), path, options())
		if err != nil {
			t.Fatal(err)
		}
		sizes := rapid.SliceOfN(rapid.SampledFrom([]int{1, 10, 100, 1000, 4000, 5000, 20000}), 1, 20).Draw(t, "sizes")
		text := func(i int) string { return fmt.Sprintf("<secret %d>", i) }
		var entries []Entry
		for i, size := range sizes {
			data := []byte(strings.Repeat(text(i), size/10+1))
			entries = append(entries, Entry{Kind: "policy", Trace: fmt.Sprint(i), Contents: []Content{{Name: "keep", Data: []byte("kept")}, {Name: "text", Data: data}}})
		}
		if _, err := l.Append(context.Background(), entries...); err != nil {
			t.Fatal(err)
		}
		gone := rapid.SliceOfNDistinct(rapid.IntRange(0, len(sizes)-1), 1, min(len(sizes), 4), rapid.ID).Draw(t, "gone")
		for _, i := range gone {
			if _, err := l.Redact(context.Background(), fmt.Sprint(i), "Ada", "asked", "text"); err != nil {
				t.Fatal(err)
			}
		}
		var all []byte
		for _, name := range []string{path, path + "-wal"} {
			data, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, data...)
		}
		for i := range sizes {
			if bytes.Contains(all, []byte(text(i))) == slices.Contains(gone, i) {
				t.Errorf("text %d was to be deleted: %v", i, slices.Contains(gone, i))
			}
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		r, err := OpenReader(context.Background(), path)
		if err != nil {
			t.Fatal(err)
		}
		report, err := r.Verify(context.Background(), Check{Key: testPublic})
		if err != nil || !report.OK() || report.Redacted != int64(len(gone)) {
			t.Errorf("%v %+v", err, report)
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

// Whatever bytes a store gives are read without a panic, and only those that were written read as they were.
func FuzzStoredContents(f *testing.F) {
	contents := []Content{{Name: "a", Salt: bytes.Repeat([]byte{1}, saltLen), Data: []byte("text")}, {Name: "b", Salt: bytes.Repeat([]byte{2}, saltLen)}}
	stored := storedContents(contents)
	f.Add([]byte{})
	f.Add(bytes.Clone(stored))
	split, _ := splitContents(stored)
	split[0].blank()
	f.Add(stored)
	f.Add(stored[:len(stored)-1])
	torn := storedContents(contents[:1])
	torn[len("a")+1+len(Hash{})] = wasRedacted // but salt and text are there
	f.Add(torn)
	f.Fuzz(func(t *testing.T, b []byte) {
		was := bytes.Clone(b)
		got := readContents(b)
		split, ok := splitContents(b)
		if !bytes.Equal(b, was) || len(b) > 0 && len(got) == 0 {
			t.Fatalf("%x reads as %v", b, got)
		}
		if !ok {
			return
		}
		redacted := false
		for i := range split {
			redacted = redacted || split[i].Redacted()
		}
		if again := storedContents(got); !redacted && !bytes.Equal(again, b) {
			t.Errorf("%x is written again as %x", b, again)
		}
		for i := range split {
			split[i].blank()
		}
		for _, c := range readContents(b) {
			if !c.Redacted() || c.Data != nil {
				t.Errorf("%x still has %q", b, c.Data)
			}
		}
	})
}
