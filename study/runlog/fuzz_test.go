package runlog

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func FuzzLines(f *testing.F) {
	for _, s := range []string{"", "\n", "{}\n{}", "a\nb\n\x00", strings.Repeat("x", 70_000) + "\ny"} {
		f.Add([]byte(s), true)
		f.Add([]byte(s), false)
	}
	f.Fuzz(func(t *testing.T, data []byte, complete bool) {
		var seen bytes.Buffer
		lines := 0
		torn, err := eachLine(bytes.NewReader(data), "f", complete, func(line int, b []byte) error {
			if lines++; line != lines {
				t.Fatalf("line %d comes as number %d", lines, line)
			}
			seen.Write(b)
			return seen.WriteByte('\n')
		})
		if !bytes.HasPrefix(data, seen.Bytes()) {
			t.Fatal("lines are not what was written")
		}
		whole := len(data) == 0 || data[len(data)-1] == '\n'
		if err == nil && torn == whole || whole && seen.Len() != len(data) && err == nil || !whole && complete && err == nil {
			t.Fatalf("whole %v, complete %v: torn %v, %v", whole, complete, torn, err)
		}
	})
}

func FuzzSample(f *testing.F) {
	f.Add([]byte(`{"run":"r","arm":"small","seed":1,"eval":"chain","id":"6+2%5","split":"test","problem":"6 + 2 mod 5","intervention":"none","chain":"i1 6","answer":"3","target":"3","parsed":true,"correct":true,"values":{"kl":0.25}}`))
	f.Add([]byte(`{"id":"\ud800","intervention":"\u2028</script>"}`))
	f.Add([]byte(`{"id":7}`))
	f.Add([]byte(`[`))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := parseSample(data)
		if err != nil {
			return
		}
		var b bytes.Buffer
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(false)
		if err := e.Encode(s); err != nil {
			t.Fatalf("a sample that was read cannot be written: %v", err)
		}
		again, err := parseSample(bytes.TrimRight(b.Bytes(), "\n"))
		if err != nil {
			t.Fatalf("a sample that was written cannot be read: %v", err)
		}
		if len(s.Values) == 0 {
			s.Values = nil
		}
		if d := cmp.Diff(s, again); d != "" {
			t.Fatal(d)
		}
	})
}

func FuzzMetrics(f *testing.F) {
	for _, s := range []string{`{"step":3,"loss":1.5}`, `{"loss":1}`, `{"step":1.5}`, `{"step":1e300}`, `null`, `{"step":null}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		row, err := parseMetrics(data)
		if _, has := row.Values["step"]; err == nil && has {
			t.Fatal("step is among the values")
		}
	})
}

func FuzzStatusAndManifest(f *testing.F) {
	status, err := encodeStatus(Status{State: Failed, Reason: "disk", Started: clock()})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(status)
	f.Add(status[:100])
	f.Add([]byte(`{"state":"finished"}`))
	f.Add([]byte(`{"name":"grpo","hash":"0123456789abcdef","settings":{"a":1}}`))
	f.Add([]byte(`{"name":"../../etc","hash":"0123456789abcdef"}`))
	path := filepath.Join(f.TempDir(), "manifest.json")
	f.Fuzz(func(t *testing.T, data []byte) {
		if s, err := decodeStatus(data); err == nil {
			again, err := encodeStatus(s)
			if err != nil {
				t.Fatalf("a status that was read cannot be written: %v", err)
			}
			if s2, err := decodeStatus(again); err != nil || s2.State != s.State {
				t.Fatalf("%+v comes back as %+v, %v", s, s2, err)
			}
		}
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
		if m, err := ReadManifest(path); err == nil {
			name, err := m.Folder()
			if err != nil || filepath.Base(name) != name || name == ".." {
				t.Fatalf("manifest %+v has the folder %q, %v", m, name, err)
			}
		}
	})
}
