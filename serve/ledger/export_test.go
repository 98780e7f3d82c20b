package ledger

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func exported(t testing.TB) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "l")
	if err := os.WriteFile(path, sample(t, 30), 0o600); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := reader(t, path).Export(context.Background(), &b); err != nil {
		t.Fatal(err)
	}
	stored := good(t, path)
	report, err := VerifyExport(bytes.NewReader(b.Bytes()), Check{Key: testPublic})
	if err != nil {
		t.Fatal(err)
	}
	if !report.OK() || report.Last != stored.Last || report.Contents != stored.Contents || report.Redacted != stored.Redacted || report.Signed != stored.Signed {
		t.Fatalf("the export has %+v, the store %+v", report, stored)
	}
	return b.Bytes()
}

// An export is evidence like the store: whatever is done to a line is found.
func TestExport(t *testing.T) {
	data := exported(t)
	if !bytes.Contains(data, []byte("Is req-7 <even>?")) || bytes.Contains(data, []byte("Is req-3 <even>?")) {
		t.Error("the export lacks a text as it was, or has one that was redacted")
	}
	lines := bytes.Split(bytes.TrimSpace(data), []byte("\n"))
	rapid.Check(t, func(t *rapid.T) {
		i := rapid.IntRange(1, len(lines)-2).Draw(t, "line")
		seq := int64(i + 1)
		now := slices.Clone(lines)
		var want []Problem
		switch rapid.SampledFrom([]string{"byte", "remove", "swap", "duplicate", "space"}).Draw(t, "op") {
		case "byte":
			line := bytes.Clone(now[i])
			line[rapid.IntRange(0, len(line)-1).Draw(t, "at")] ^= byte(rapid.IntRange(1, 255).Draw(t, "xor"))
			now[i] = line
		case "remove":
			now, want = slices.Delete(now, i, i+1), []Problem{Removed}
		case "swap":
			now[i], now[i+1] = now[i+1], now[i]
			want = []Problem{Reordered}
		case "duplicate":
			now, want = slices.Insert(now, i, now[i]), []Problem{Reordered}
		case "space":
			now[i], want = append([]byte(" "), now[i]...), []Problem{Unreadable}
		}
		r, err := VerifyExport(bytes.NewReader(bytes.Join(now, []byte("\n"))), Check{})
		if err != nil {
			t.Fatal(err)
		}
		if r.OK() || want != nil && !names(r, seq, want...) {
			t.Fatalf("line %d: want %v, found %v", i+1, want, r.Faults)
		}
	})
}

func TestExportRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := Entry{Kind: "policy", Trace: rapid.StringMatching(`[^\x00-\x1f\x7f]{0,20}`).Draw(t, "trace")}
		body, err := Marshal(map[string]any{rapid.String().Draw(t, "key"): rapid.Float64().Draw(t, "value"), "html": "<&>\u2028"})
		if err != nil {
			t.Fatal(err)
		}
		e.Body = append([]byte(" "), body...)
		for _, name := range []string{"a", "b"} {
			e.Contents = append(e.Contents, Content{Name: name, Data: rapid.OneOf(rapid.SliceOf(rapid.Byte()), rapid.Map(rapid.String(), func(s string) []byte { return []byte(s) })).Draw(t, name)})
		}
		if _, err := e.ready(func(n int) []byte { return bytes.Repeat([]byte{3}, n) }); err != nil {
			t.Fatal(err)
		}
		e.Seq, e.Time = 1, options().Clock()
		e.Hash = e.sum()
		line, err := pack(&e)
		if err != nil {
			t.Fatal(err)
		}
		got, err := parseLine(line)
		if err != nil {
			t.Fatal(err)
		}
		if got.sum() != e.Hash || got.Hash != e.Hash {
			t.Fatalf("%s reads as another entry", line)
		}
		for i := range e.Contents {
			if c := got.Contents[i]; c.commit() != e.Contents[i].Commitment || !bytes.Equal(c.Data, e.Contents[i].Data) {
				t.Fatalf("%s reads as another content", line)
			}
		}
	})
}

func FuzzVerifyExport(f *testing.F) {
	data := exported(f)
	lines := bytes.SplitAfter(data, []byte("\n"))
	f.Add(bytes.Join(lines[:3], nil))
	for _, line := range lines {
		if bytes.Contains(line, []byte(`"redaction"`)) || bytes.Contains(line, []byte(`"base64"`)) {
			f.Add(line)
			if bytes.Contains(line, []byte(`"redaction"`)) {
				break
			}
		}
	}
	f.Add([]byte("{}\n{\"seq\":-1}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := VerifyExport(bytes.NewReader(data), Check{Key: testPublic})
		if err == nil && r.OK() && !strings.HasPrefix(string(data), `{"seq":1,`) {
			t.Errorf("%q verifies", data)
		}
		for line := range bytes.SplitSeq(data, []byte("\n")) {
			e, err := parseLine(line)
			if err != nil {
				continue
			}
			if again, err := pack(e); err != nil || !bytes.Equal(again, line) {
				t.Errorf("%q is written again as %q (%v)", line, again, err)
			}
		}
	})
}
