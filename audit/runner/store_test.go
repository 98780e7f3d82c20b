package runner

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"candor/reasoning/llm"
	"candor/study/runlog"
)

func openTest(t testing.TB, dir string) *store {
	t.Helper()
	s, err := openStore(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestFilesThatAreNoStore(t *testing.T) {
	noise := bytes.Repeat([]byte("no database "), 1000)
	for name, c := range map[string]struct {
		make func(t *testing.T, path string)
		want []string
	}{
		"noise": {func(t *testing.T, path string) {
			if err := os.WriteFile(path, noise, 0o644); err != nil {
				t.Fatal(err)
			}
		}, []string{"damaged", "move it away to start over"}},
		"torn": {func(t *testing.T, path string) {
			s := openTest(t, filepath.Dir(path))
			for i := range 200 {
				if err := s.putCall(key{byte(i)}, "m", bytes.Repeat([]byte{byte(i)}, 3000), noise, 1, 1); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := s.write.Exec("PRAGMA wal_checkpoint(TRUNCATE)"); err != nil {
				t.Fatal(err)
			}
			data, err := os.ReadFile(path)
			if err == nil {
				err = os.WriteFile(path, append(data[:100:100], noise...), 0o644)
			}
			if err != nil {
				t.Fatal(err)
			}
		}, []string{"damaged"}},
		"another version": {func(t *testing.T, path string) {
			s := openTest(t, filepath.Dir(path))
			if _, err := s.write.Exec("PRAGMA user_version = 7"); err != nil {
				t.Fatal(err)
			}
		}, []string{"format 7", "this candor knows format 1"}},
		"another program": {func(t *testing.T, path string) {
			db, err := open(filepath.Dir(path), "_pragma=journal_mode(WAL)")
			if err == nil {
				_, err = db.Exec("CREATE TABLE notes (text)")
				err = errors.Join(err, db.Close())
			}
			if err != nil {
				t.Fatal(err)
			}
		}, []string{"another program"}},
		"a folder": {func(t *testing.T, path string) {
			if err := os.Mkdir(path, 0o755); err != nil {
				t.Fatal(err)
			}
		}, []string{"cannot be opened"}},
	} {
		t.Run(name, func(t *testing.T) {
			f := folder(t, fastDir(t))
			c.make(t, f.Path(file))
			s := numbered(3)
			_, err := Run(t.Context(), options(f, &generator{answer: said}), s, echo(s))
			for _, want := range append(c.want, f.Path(file)) {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("the error %v does not say %q", err, want)
				}
			}
		})
	}
}

func TestFolderWithoutAnAudit(t *testing.T) {
	dir := fastDir(t)
	if _, err := Count(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("counting gives %v", err)
	}
	if err := Each(dir, nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("reading gives %v", err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
		t.Errorf("reading made %v", entries)
	}
	openTest(t, dir)
	if _, err := CallsOf(dir, "a", 0); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the calls of no sample: %v", err)
	}
}

func TestOddFolderNames(t *testing.T) {
	dir := filepath.Join(fastDir(t), "50%41 odd?mode=ro#ü")
	s := numbered(3)
	f := folder(t, dir)
	mustRun(t, options(f, &generator{answer: said}), s, echo(s))
	if len(entries(t, f)) != 3 {
		t.Error("not all samples are there")
	}
	if _, err := os.Stat(filepath.Join(dir, file)); err != nil {
		t.Error(err)
	}
}

func TestFullDisk(t *testing.T) {
	dir := fastDir(t)
	s := openTest(t, dir)
	if _, err := s.write.Exec("PRAGMA max_page_count = 60"); err != nil {
		t.Fatal(err)
	}
	var err error
	kept := 0
	for i := 0; err == nil; i++ {
		if err = s.putCall(key{byte(i), byte(i >> 8)}, "m", []byte("{}"), fmt.Appendf(nil, `{"Text":"%0500d"}`, i), 1, 1); err == nil {
			kept++
		}
	}
	var full *runlog.FullError
	if !errors.As(err, &full) || !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "run the same command again") {
		t.Errorf("a full disk gives %v", err)
	}
	if again := s.putSample(row{id: "a"}); !errors.Is(again, syscall.ENOSPC) {
		t.Errorf("then %v", again)
	}
	if c, err := Count(dir); err != nil || c.Calls != int64(kept) || kept == 0 {
		t.Errorf("%d calls were kept: %+v, %v", kept, c, err)
	}
}

func TestLockedByAnotherProgram(t *testing.T) {
	dir := fastDir(t)
	s := openTest(t, dir)
	other, err := open(dir, "_txlock=immediate")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := other.Close(); err != nil {
			t.Error(err)
		}
	}()
	tx, err := other.Begin()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.write.Exec("PRAGMA busy_timeout = 20"); err != nil {
		t.Fatal(err)
	}
	if err := s.putSample(row{id: "a"}); err == nil || !strings.Contains(err.Error(), "another program has it locked") {
		t.Errorf("a locked file gives %v", err)
	}
	if err := tx.Rollback(); err != nil {
		t.Error(err)
	}
}

// A store that breaks ends the run; its samples have not failed for that.
func TestBrokenStoreEndsTheRun(t *testing.T) {
	f := folder(t, fastDir(t))
	s := numbered(300)
	n := 0
	g := &generator{}
	g.answer = func(ctx context.Context, r llm.Request) (llm.Completion, error) {
		g.mu.Lock()
		defer g.mu.Unlock()
		if n++; n == 100 {
			db, err := open(f.Dir(), "_txlock=immediate")
			if err != nil {
				return llm.Completion{}, err
			}
			_, err = db.Exec("DROP TABLE calls")
			if err = errors.Join(err, db.Close()); err != nil {
				return llm.Completion{}, err
			}
		}
		return said(ctx, r)
	}
	p, err := Run(t.Context(), options(f, g), s, echo(s))
	if err == nil || !strings.Contains(err.Error(), f.Path(file)) || !strings.Contains(err.Error(), "no such table") || p.Failed > 0 || p.Done == 300 {
		t.Errorf("%+v, %v", p, err)
	}
}

// Every field of a request but its ID is part of the key, and so is whatever is added to it.
func TestKeyHasAllThatMatters(t *testing.T) {
	base := llm.Request{Messages: []llm.Message{{Role: llm.User, Text: "a"}}, MaxTokens: 1}
	seen := map[key]string{}
	add := func(what, identity string, epoch int, r llm.Request) {
		t.Helper()
		k, _, err := callKey(identity, epoch, r)
		if err != nil {
			t.Fatal(err)
		}
		if other, ok := seen[k]; ok {
			t.Errorf("%s has the key of %s", what, other)
		}
		seen[k] = what
	}
	add("base", "m", 0, base)
	add("identity", "n", 0, base)
	add("epoch", "m", 1, base)
	add("identity with a number", "0m", 0, base)
	for i := range reflect.TypeFor[llm.Request]().NumField() {
		r := base
		name := reflect.TypeFor[llm.Request]().Field(i).Name
		field := reflect.ValueOf(&r).Elem().Field(i)
		switch field.Interface().(type) {
		case string:
			field.SetString("x")
		case bool:
			field.SetBool(true)
		case int:
			field.SetInt(field.Int() + 1)
		case uint64:
			field.SetUint(1)
		case float64:
			field.SetFloat(0.5)
		case []string:
			field.Set(reflect.ValueOf([]string{"x"}))
		case []llm.Message:
			field.Set(reflect.ValueOf([]llm.Message{{Role: llm.User, Text: "b"}}))
		case []llm.ToolSpec:
			field.Set(reflect.ValueOf([]llm.ToolSpec{{Name: "x"}}))
		default:
			t.Fatalf("what is %s of a request? say here how to change it", name)
		}
		if name == "ID" {
			a, _, errA := callKey("m", 0, base)
			b, _, errB := callKey("m", 0, r)
			if a != b || errA != nil || errB != nil {
				t.Error("the ID changes the key")
			}
			continue
		}
		add(name, "m", 0, r)
	}
	r := base
	r.Stop, r.Ban, r.Tools = []string{}, []string{}, []llm.ToolSpec{}
	if a, _, err := callKey("m", 0, r); err != nil || seen[a] != "base" {
		t.Error("an empty list is not the same as none")
	}
}

// What a call gives the first time is what it gives from the store.
func TestCompletionIsTheSameFromTheStore(t *testing.T) {
	f := folder(t, fastDir(t))
	want := llm.Completion{Text: "a\xff<b>\u2028" + strings.Repeat("long ", 1000), Reasoning: "r", Provenance: llm.Raw, Model: "m", Finish: llm.FinishLength,
		Tokens: []llm.Token{{Text: "\xc3", LogProb: -0.1234567890123456789}}, PromptTokens: 1, CompletionTokens: 2}
	g := &generator{answer: func(context.Context, llm.Request) (llm.Completion, error) { return want, nil }}
	var got []llm.Completion
	work := func(ctx context.Context, calls Calls, _, _ int) (runlog.Sample, error) {
		c, err := calls.Do(ctx, "subject", request("a", 0))
		got = append(got, c)
		return runlog.Sample{}, err
	}
	mustRun(t, options(f, g), ids{"a"}, work)
	mustRun(t, options(f, g), ids{"b"}, work)
	if g.calls != 1 || cmp.Diff(got[0], got[1]) != "" || !strings.HasPrefix(got[0].Text, "a\ufffd<b>\u2028long") || got[0].Tokens[0].LogProb != want.Tokens[0].LogProb {
		t.Errorf("%d calls; %s", g.calls, cmp.Diff(got[0], got[1]))
	}
}

func FuzzUnpack(f *testing.F) {
	for _, s := range []string{"", "{}", strings.Repeat(`{"Text":"word"}`, 100)} {
		blob, err := pack([]byte(s))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(blob)
		f.Add(blob[:len(blob)/2])
	}
	f.Add([]byte{2, 3})
	f.Fuzz(func(t *testing.T, blob []byte) {
		data, err := unpack(blob)
		if err != nil {
			return
		}
		again, err := pack(data)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := unpack(again); err != nil || !bytes.Equal(back, data) {
			t.Fatalf("packed and unpacked, %q is %q (%v)", data, back, err)
		}
		var s runlog.Sample
		_ = json.Unmarshal(data, &s) // must not panic
	})
}

// many is a source of many items that holds none.
type many int

func (m many) Len() int                 { return int(m) }
func (m many) ID(i int) (string, error) { return fmt.Sprintf("sample/%08d", i), nil }

// fill makes a store in which all samples of the source but some are done. Their bodies are nonsense: who reads one fails.
func fill(t testing.TB, dir string, n int) {
	t.Helper()
	s, err := openStore(context.Background(), dir)
	if err == nil {
		err = s.bind(context.Background(), map[string]string{"model subject": "test"})
	}
	if err == nil {
		_, err = s.write.Exec(`WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ?)
			INSERT INTO samples (id, epoch, seq, state, reason, calls, body)
			SELECT printf('sample/%08d', i), 0, i, CASE WHEN i % 20000 = 7 THEN 'failed' ELSE 'done' END, '', x'ff', x'ff' || zeroblob(400) FROM n`, n)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := s.close(); err != nil {
		t.Fatal(err)
	}
}

func TestResumeReadsNoSample(t *testing.T) {
	const n = 200_000
	dir := fastDir(t)
	fill(t, dir, n)
	f := folder(t, dir)
	work := func(context.Context, Calls, int, int) (runlog.Sample, error) { return runlog.Sample{}, nil }
	var before, during runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	o := options(f, &generator{answer: said})
	o.Progress = func(p Progress) {
		if during.HeapAlloc == 0 {
			runtime.ReadMemStats(&during)
		}
	}
	p := mustRun(t, o, many(n), work)
	if p.Before != n-10 || p.Done != n {
		t.Errorf("%+v", p)
	}
	if grown := int64(during.HeapAlloc) - int64(before.HeapAlloc); grown > 100<<20 {
		t.Errorf("going on took %d MB", grown>>20)
	}
	if err := Each(dir, func(Entry) error { return nil }); err == nil || !strings.Contains(err.Error(), "sample/00000000, epoch 0: the file is damaged") {
		t.Errorf("nonsense is read as a sample, or: %v", err)
	}
}

func BenchmarkResume(b *testing.B) {
	const n = 200_000
	dir := b.TempDir()
	fill(b, dir, n)
	f := folder(b, dir)
	stop := errors.New("enough")
	for b.Loop() {
		ctx, cancel := context.WithCancelCause(b.Context())
		o := options(f, &generator{answer: said})
		o.Progress = func(Progress) { cancel(stop) }
		if _, err := Run(ctx, o, many(n), func(context.Context, Calls, int, int) (runlog.Sample, error) { return runlog.Sample{}, stop }); !errors.Is(err, stop) {
			b.Fatal(err)
		}
	}
}

// instant answers at once and remembers nothing.
type instant struct{}

func (instant) Generate(ctx context.Context, requests []llm.Request) ([]llm.Completion, error) {
	c, err := said(ctx, requests[0])
	return []llm.Completion{c}, err
}

// BenchmarkCall is what the runner adds to a call: its key, the look into the store, the commit and the sample's share.
func BenchmarkCall(b *testing.B) {
	for _, connections := range []int{1, 20, 100} {
		b.Run(fmt.Sprint(connections), func(b *testing.B) {
			o := options(folder(b, b.TempDir()), instant{})
			o.Connections = connections
			b.ReportAllocs()
			b.ResetTimer()
			if _, err := Run(b.Context(), o, many(b.N), func(ctx context.Context, calls Calls, index, _ int) (runlog.Sample, error) {
				c, err := calls.Do(ctx, "subject", request(fmt.Sprint(index, strings.Repeat(" a prompt of some length", 50)), 0))
				return runlog.Sample{Chain: c.Text}, err
			}); err != nil {
				b.Fatal(err)
			}
		})
	}
}
