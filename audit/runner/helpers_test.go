package runner

import (
	"context"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"candor/reasoning/llm"
	"candor/study/runlog"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv("CANDOR_RUNNER_CHILD"); dir != "" {
		os.Exit(child(dir, os.Getenv("CANDOR_RUNNER_URL")))
	}
	goleak.VerifyTestMain(m)
}

// memory returns a folder on a disk in memory if there is one, "" otherwise: most of what these tests would wait for is
// fsync.
func memory() string {
	if info, err := os.Stat("/dev/shm"); err == nil && info.IsDir() {
		return "/dev/shm"
	}
	return ""
}

func fastDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp(memory(), "runner")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func clock() time.Time { return time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC) }

func folder(t testing.TB, dir string) *runlog.Folder {
	t.Helper()
	f, err := runlog.Open(dir, clock, "candor audit")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

// ids is a source.
type ids []string

func (s ids) Len() int                 { return len(s) }
func (s ids) ID(i int) (string, error) { return s[i], nil }

func numbered(n int) ids {
	s := make(ids, n)
	for i := range s {
		s[i] = fmt.Sprintf("item-%03d", (i*7919)%n) // not in the order of their names; 7919 is prime
	}
	return s
}

func request(id string, seed uint64) llm.Request {
	return llm.Request{ID: id + "/chain", Messages: []llm.Message{{Role: llm.User, Text: id}}, MaxTokens: 50, Temperature: 1, Seed: seed}
}

// echo is the work of most tests: it asks for a chain and then, with it, for an answer.
func echo(s ids) Work {
	return func(ctx context.Context, calls Calls, index, epoch int) (runlog.Sample, error) {
		out := runlog.Sample{Eval: "chain", Split: "test", Prompt: s[index]}
		chain, err := calls.Do(ctx, "subject", request(s[index], uint64(epoch)))
		if err != nil {
			return out, err
		}
		out.Chain = chain.Text
		r := request(s[index], uint64(epoch))
		r.ID, r.Prefix = s[index]+"/answer", chain.Text
		answer, err := calls.Do(ctx, "subject", r)
		out.Answer, out.Parsed = answer.Text, true
		return out, err
	}
}

// generator is a model made of a function; it counts.
type generator struct {
	answer func(ctx context.Context, r llm.Request) (llm.Completion, error)

	mu       sync.Mutex
	asked    map[string]int // by text and prefix
	calls    int
	inFlight int
	most     int // in flight at once
	batches  []int
}

func (g *generator) Generate(ctx context.Context, requests []llm.Request) ([]llm.Completion, error) {
	g.mu.Lock()
	if g.asked == nil {
		g.asked = map[string]int{}
	}
	g.batches = append(g.batches, len(requests))
	g.inFlight += len(requests)
	g.most = max(g.most, g.inFlight)
	for _, r := range requests {
		g.calls++
		g.asked[r.Messages[0].Text+"|"+r.Prefix]++
	}
	g.mu.Unlock()
	defer func() {
		g.mu.Lock()
		g.inFlight -= len(requests)
		g.mu.Unlock()
	}()
	out := make([]llm.Completion, len(requests))
	for i, r := range requests {
		var err error
		if out[i], err = g.answer(ctx, r); err != nil {
			return nil, &llm.RequestError{Index: i, ID: r.ID, Err: err}
		}
	}
	return out, nil
}

func said(_ context.Context, r llm.Request) (llm.Completion, error) {
	text := "chain of " + r.Messages[0].Text
	if r.Prefix != "" {
		text = "answer"
	}
	return llm.Completion{Text: text, Finish: llm.FinishStop, PromptTokens: 7, CompletionTokens: 3}, nil
}

// taking returns an answer that takes a while.
func taking(d time.Duration) func(context.Context, llm.Request) (llm.Completion, error) {
	return func(ctx context.Context, r llm.Request) (llm.Completion, error) {
		if err := sleep(ctx, d); err != nil {
			return llm.Completion{}, err
		}
		return said(ctx, r)
	}
}

func options(f *runlog.Folder, g llm.Generator) Options {
	return Options{Folder: f, Models: map[string]Model{"subject": {Generator: g, Identity: "test"}}}
}

func mustRun(t testing.TB, o Options, s Source, w Work) Progress {
	t.Helper()
	p, err := Run(t.Context(), o, s, w)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func exported(t testing.TB, f *runlog.Folder) string {
	t.Helper()
	if _, err := Export(f); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(f.Path("samples.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func entries(t testing.TB, f *runlog.Folder) (out []Entry) {
	t.Helper()
	if err := Each(f.Dir(), func(e Entry) error { out = append(out, e); return nil }); err != nil {
		t.Fatal(err)
	}
	return out
}
