package ledger

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// sample is a closed ledger of n requests, three entries each, with two redactions.
func sample(t testing.TB, n int) (data []byte) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "sample")
	l := open(t, path, options())
	requests(t, l, n)
	for _, trace := range []string{"req-3", "req-20"} {
		if _, err := l.Redact(context.Background(), trace, "Ada", "asked for"); err != nil {
			t.Fatal(err)
		}
	}
	closed(t, l)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// changed writes a copy of a ledger, changes it by SQL and verifies it.
func changed(t rapid.TB, path string, data []byte, check Check, statements ...string) *Report {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	sqlDo(t, path, statements...)
	r, err := OpenReader(context.Background(), path)
	if err != nil {
		t.Fatal(err)
	}
	report, err := r.Verify(context.Background(), check)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	return report
}

func sqlDo(t rapid.TB, path string, statements ...string) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range statements {
		if _, err := db.Exec(s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

func names(r *Report, seq int64, problems ...Problem) bool {
	return slices.ContainsFunc(r.Faults, func(f Fault) bool { return f.Seq == seq && slices.Contains(problems, f.Problem) })
}

// Whatever single thing is done to the entries, the verification finds it and names the entry.
func TestTamperingIsFoundAndNamed(t *testing.T) {
	data := sample(t, 30)
	path := filepath.Join(t.TempDir(), "l")
	all := changed(t, path, data, Check{Key: testPublic})
	if !all.OK() {
		t.Fatal(all.Faults)
	}
	last := all.Last.Seq
	contents := map[int64][]byte{}
	r := reader(t, path)
	if err := r.from.each(t.Context(), "SELECT seq, contents FROM entries", nil, func(scan func(...any) error) error {
		var seq int64
		var stored []byte
		err := scan(&seq, &stored)
		contents[seq] = stored
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil { // what it holds would stay for those that follow
		t.Fatal(err)
	}
	renumber := func(from int64, by string) []string {
		return []string{fmt.Sprintf("UPDATE entries SET seq = -(seq%s) WHERE seq >= %d", by, from), "UPDATE entries SET seq = -seq WHERE seq < 0"}
	}
	rapid.Check(t, func(t *rapid.T) {
		seq := rapid.Int64Range(1, last-1).Draw(t, "seq")
		var do []string
		want := []Problem{Changed}
		switch op := rapid.SampledFrom([]string{"edit", "remove", "remove and close up", "swap", "duplicate", "content"}).Draw(t, "op"); op {
		case "edit":
			do = append(do, "UPDATE entries SET "+rapid.SampledFrom([]string{
				"time = time + 1", "back = back + 1", "kind = kind || 'x'", "trace = trace || 'x'", "body = body || ' '", "body = '{\"verdict\":\"forged\"}'",
				"prev = zeroblob(33)", "prev = randomblob(32)", "hash = randomblob(32)", "hash = x''",
			}).Draw(t, "edit")+fmt.Sprintf(" WHERE seq = %d", seq))
		case "remove":
			do, want = []string{fmt.Sprintf("DELETE FROM entries WHERE seq = %d", seq)}, []Problem{Removed}
		case "remove and close up":
			do, want = append([]string{fmt.Sprintf("DELETE FROM entries WHERE seq = %d", seq)}, renumber(seq+1, "-1")...), []Problem{Reordered}
		case "swap":
			other := rapid.Int64Range(1, last-1).Filter(func(o int64) bool { return o != seq }).Draw(t, "other")
			for _, move := range [][2]int64{{seq, -1}, {other, seq}, {-1, other}} {
				do = append(do, fmt.Sprintf("UPDATE entries SET seq = %d WHERE seq = %d", move[1], move[0]))
			}
			want = []Problem{Reordered, Changed}
		case "duplicate":
			do = append(renumber(seq+1, "+1"), fmt.Sprintf("INSERT INTO entries SELECT seq+1, time, back, kind, trace, body, prev, hash, contents FROM entries WHERE seq = %d", seq))
			seq++
			want = []Problem{Reordered}
		case "content":
			seq = rapid.SampledFrom([]int64{3, 4, 5, 6, 20}).Draw(t, "entry") // of the first requests, none of them redacted
			stored := bytes.Clone(contents[seq])
			switch at := rapid.IntRange(0, len(stored)-1).Draw(t, "at"); rapid.SampledFrom([]string{"byte", "cut", "longer", "gone", "blank"}).Draw(t, "edit") {
			case "byte":
				stored[at] ^= byte(rapid.IntRange(1, 255).Draw(t, "xor"))
			case "cut":
				stored = stored[:at]
			case "longer":
				stored = append(stored, byte(at))
			case "gone":
				stored = nil
			case "blank":
				split, _ := splitContents(stored)
				split[0].blank()
			}
			do, want = []string{fmt.Sprintf("UPDATE entries SET contents = x'%x' WHERE seq = %d", stored, seq)}, []Problem{BadContent, Changed}
		}
		check := Check{}
		if rapid.Bool().Draw(t, "with key") {
			check.Key = testPublic
		}
		r := changed(t, path, data, check, do...)
		if !names(r, seq, want...) {
			t.Fatalf("entry %d: want a fault of %v, found %v after %q", seq, want, r.Faults, do)
		}
	})
}

// Who can write to the file can compute hashes too, but not signatures: a forged chain is found by the key alone.
func TestForgedChain(t *testing.T) {
	data := sample(t, 100)
	path := filepath.Join(t.TempDir(), "l")
	for name, tc := range map[string]struct {
		forge func(e *Entry) bool // changes an entry, or removes it by false
		want  Problem
	}{
		"changed verdict": {func(e *Entry) bool {
			if e.Trace == "req-5" && e.Kind == KindEnd {
				e.Body = []byte(`{"verdict":"forged"}`)
			}
			return true
		}, Signature},
		"removed request": {func(e *Entry) bool { return e.Trace != "req-5" }, Signature},
		"no checkpoints": {func(e *Entry) bool {
			if e.Trace == "req-5" && e.Kind == KindEnd {
				e.Body = []byte(`{"verdict":"forged"}`)
			}
			return e.Kind != KindCheckpoint
		}, Unsigned},
		"own key": {func(e *Entry) bool {
			if e.Kind == KindCheckpoint {
				body, err := Marshal(signed(ed25519.NewKeyFromSeed(make([]byte, 32)), Mark{e.Seq - 1, e.Prev}, e.Time))
				if err != nil {
					t.Fatal(err)
				}
				e.Body = body
			}
			return true
		}, Signature},
	} {
		t.Run(name, func(t *testing.T) {
			forged := newChecker(Check{})
			withKey := newChecker(Check{Key: testPublic})
			if err := os.WriteFile(path, data, 0o600); err != nil {
				t.Fatal(err)
			}
			var seq int64
			var prev Hash
			r := reader(t, path)
			if err := r.Each(context.Background(), func(e *Entry) error {
				e.Seq, e.Prev = seq+1, prev
				if !tc.forge(e) {
					return nil
				}
				if e.Kind == KindRedaction { // its numbers would not fit, and this is not what is tested
					e.Kind = "other"
				}
				for i := range e.Contents {
					if e.Contents[i].Redacted() {
						e.Contents[i].Salt = bytes.Repeat([]byte{1}, saltLen)
						e.Contents[i].Commitment = e.Contents[i].commit()
					}
				}
				e.Hash = e.sum()
				seq, prev = e.Seq, e.Hash
				forged.add(e)
				withKey.add(e)
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			if r := forged.end(); !r.OK() {
				t.Errorf("the forger made a mistake: %v", r.Faults)
			}
			if r := withKey.end(); !slices.ContainsFunc(r.Faults, func(f Fault) bool { return f.Problem == tc.want }) {
				t.Errorf("found %v, want %s", r.Faults, tc.want)
			}
		})
	}
}

// A ledger whose end is cut off is a ledger; a mark that was kept elsewhere shows it.
func TestTruncation(t *testing.T) {
	data := sample(t, 100)
	path := filepath.Join(t.TempDir(), "l")
	whole := changed(t, path, data, Check{Key: testPublic})
	mark := whole.Last.Mark()
	if r := changed(t, path, data, Check{Key: testPublic, At: []Mark{mark}}); !r.OK() {
		t.Fatal(r.Faults)
	}
	cut := fmt.Sprintf("DELETE FROM entries WHERE seq >= %d", mark.Seq-2)
	if r := changed(t, path, data, Check{Key: testPublic, At: []Mark{mark}}, cut); !names(r, mark.Seq, Truncated) {
		t.Errorf("found %v, want that the end was cut off", r.Faults)
	}
	mark.Hash[0]++
	if r := changed(t, path, data, Check{At: []Mark{mark}}); !names(r, mark.Seq, Changed) {
		t.Errorf("found %v, want that the last entry is another", r.Faults)
	}
	if r := changed(t, path, data, Check{Key: testPublic}, "DELETE FROM entries WHERE seq < 10"); !names(r, 1, Removed) {
		t.Errorf("found %v, want that the start is gone", r.Faults)
	}
	if r := changed(t, path, data, Check{}, "DELETE FROM entries"); r.OK() {
		t.Error("an empty ledger verifies")
	}
	if r := changed(t, path, data, Check{}, "UPDATE entries SET body = body || ' '"); r.FaultCount != whole.Entries || len(r.Faults) != MaxFaults {
		t.Errorf("%d faults, %d named, want %d and %d", r.FaultCount, len(r.Faults), whole.Entries, MaxFaults)
	}
}

func TestChangedLastEntryIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "l")
	if err := os.WriteFile(path, sample(t, 100), 0o600); err != nil {
		t.Fatal(err)
	}
	sqlDo(t, path, "UPDATE entries SET time = time + 1 WHERE seq = (SELECT MAX(seq) FROM entries)")
	if _, err := Open(context.Background(), path, options()); err == nil || !strings.Contains(err.Error(), "not as it was written") {
		t.Errorf("error %v", err)
	}
}
