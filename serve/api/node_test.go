package api

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"candor/internal/rng"
	"candor/reasoning/llm"
)

// nodeClient returns the folder with npm's openai, or skips the test. To have it (its version 7 needs Node.js 22):
//
//	npm install --prefix DIR --ignore-scripts openai@6.49.0
//	CANDOR_NODE_MODULES=DIR/node_modules go test ./serve/api -run TestNode
func nodeClient(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("CANDOR_NODE_MODULES")
	if dir == "" {
		t.Skip("CANDOR_NODE_MODULES does not name a folder with the npm package openai")
	}
	// a folder that is named but wrong is a fault, lest the test never run
	if _, err := exec.LookPath("node"); err != nil {
		t.Fatal("CANDOR_NODE_MODULES is set, but there is no node in PATH; install Node.js 20 or newer")
	}
	if _, err := os.Stat(filepath.Join(dir, "openai", "index.mjs")); err != nil {
		t.Fatalf("CANDOR_NODE_MODULES is %s, which has no openai: %v", dir, err)
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// waiting is a backend that takes a moment, longer than the server keeps silent.
func waiting(a *Answers, err error) *scripted {
	return &scripted{answer: func(context.Context, *Call) (*Answers, error) {
		time.Sleep(50 * time.Millisecond)
		return a, err
	}}
}

// failed is what Node's client says of an error.
type failed struct {
	Kind    string
	Status  *int
	Code    *string
	Message string
}

// OpenAI's client for Node understands all answers.
func TestNode(t *testing.T) {
	modules := nodeClient(t)
	var seen []llm.Request
	asked := 0
	held := same(Answer{ID: "resp_7", Pending: true, Refusal: "Somebody has to look at it."})
	held.retrieve = func(context.Context, string) (*Answer, *Call, error) {
		if asked++; asked > 1 {
			return &Answer{Completion: llm.Completion{Text: "approved", Finish: llm.FinishStop}}, nil, nil
		}
		return &Answer{Pending: true}, nil, nil
	}
	s, err := New(Options{Clock: time.Now, Random: rng.New(1), KeepAlive: 5 * time.Millisecond, Models: []Model{
		{Name: "plain", Backend: Bare(words()), Served: served},
		{Name: "tools", Backend: weather(&seen), Tools: true},
		{Name: "blocked", Backend: same(Answer{Refusal: "It was blocked."})},
		{Name: "held", Backend: held},
		{Name: "slow", Backend: waiting(&Answers{Answers: []Answer{{Completion: llm.Completion{Text: "at last"}}}}, nil)},
		{Name: "limited", Backend: &scripted{answer: func(context.Context, *Call) (*Answers, error) {
			return nil, &Fault{Status: 429, Code: "rate_limit_exceeded", Message: "too many"}
		}}},
		{Name: "late", Backend: waiting(nil, &Fault{Status: 503, Code: "store", Message: "the disk is full"})},
	}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	cmd := exec.CommandContext(ctx, "node", filepath.Join("testdata", "openai.mjs"), modules, start(t, s)+"/v1")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	data, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, stderr.String())
	}
	type results struct {
		Models                                    []string
		Chat, Streamed, Waited, Completion        string
		Choices, Usage                            int
		Calls, ResponseCalls                      []string
		Results, ResponseText, ResponseResults    string
		Refusal, ResponseRefusal, Held            []any
		Unknown, Limited, Late, ResponseLate, Bad failed
	}
	var got results
	if err := json.Unmarshal(data, &got); err != nil {
		t.Fatalf("%v: %s", err, data)
	}
	word := func(s string) *string { return &s }
	number := func(n int) *int { return &n }
	calls := []string{`{"city":"Bern"}`, `{"city":"<Rom>"}`}
	want := results{
		Models: []string{"plain", "tools", "blocked", "held", "slow", "limited", "late"},
		Chat:   "b c d e", Streamed: "b c d e", Waited: "at last", Completion: " b c d", Choices: 3, Usage: 7, Calls: calls, ResponseCalls: calls,
		ResponseText: "I look.", Refusal: []any{nil, "It was blocked.", "content_filter"}, ResponseRefusal: []any{"incomplete", "content_filter", "It was blocked."},
		Held:         []any{"in_progress", 0., "in_progress", "completed", "approved"},
		Unknown:      failed{"NotFoundError", number(404), word("model_not_found"), got.Unknown.Message},
		Limited:      failed{"RateLimitError", number(429), word("rate_limit_exceeded"), "429 too many"},
		Late:         failed{"APIError", nil, word("store"), "the disk is full"},
		ResponseLate: failed{"APIError", nil, word("store"), "the disk is full"},
		Bad:          failed{"BadRequestError", number(400), nil, "400 n is 0, must be between 1 and 128"},
	}
	want.Results, want.ResponseResults = got.Results, got.ResponseResults // they have IDs that are drawn
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
	for _, text := range []string{got.Results, got.ResponseResults} {
		if !bytes.Contains([]byte(text), []byte("c1=result 0, call_")) || !bytes.HasSuffix([]byte(text), []byte("=result 1")) {
			t.Errorf("results %q", text)
		}
	}
}
