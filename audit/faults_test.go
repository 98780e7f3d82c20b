package audit_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"candor/audit"
	"candor/audit/evidence"
	"candor/audit/runner"
	"candor/openai"
	"candor/openai/openaitest"
	"candor/study/runlog"
)

// about tells whether a request asks about item i of additions.
func about(r *openaitest.Request, i int) bool {
	return strings.Contains(string(r.Body), fmt.Sprintf(" %d + ", 101+i))
}

// weather is what goes wrong with a server while an audit runs.
type weather struct {
	mu     sync.Mutex
	seen   map[int]int
	lifted bool
}

// first chooses the first n requests about an item, and all of them for n < 0, until the weather has lifted.
func (w *weather) first(item, n int) func(*openaitest.Request) bool {
	return func(r *openaitest.Request) bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.lifted || !about(r, item) {
			return false
		}
		w.seen[item]++
		return n < 0 || w.seen[item] <= n
	}
}

func (w *weather) lift() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lifted = true
}

// samples reads a run folder's samples, by ID.
func samples(t *testing.T, dir string) map[string]runlog.Sample {
	t.Helper()
	out := map[string]runlog.Sample{}
	if err := runner.Each(dir, func(e runner.Entry) error {
		out[e.ID] = e.Sample
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return out
}

// What a server does wrong is met by another try or makes a failed sample with its reason, and is never a wrong answer. Later
// the failed ones are tried again, and nothing else.
func TestFaults(t *testing.T) {
	const n = 20
	model := reasoner{goesOn: true}
	w := &weather{seen: map[int]int{}}
	const pondering = "Let me think about this again and again and again.\n"
	long := func(r openai.ChatRequest) openaitest.Reply {
		reply := model.answer(r)
		if !r.ContinueFinalMessage {
			reply.Reasoning = strings.Repeat(pondering, 4000) + reply.Reasoning
		}
		return reply
	}
	endless := func(openai.ChatRequest) openaitest.Reply { // more than a line of samples.jsonl holds
		return openaitest.Reply{Reasoning: strings.Repeat(pondering, 1<<20/len(pondering)), Text: "I got lost."}
	}
	mute := func(openai.ChatRequest) openaitest.Reply {
		return openaitest.Reply{Reasoning: "Hm.", Text: "I would rather not say."}
	}
	unparsed := func(r *openaitest.Request) bool { return about(r, 12) }
	longOne := func(r *openaitest.Request) bool { return about(r, 13) }
	endlessOne := w.first(14, -1)
	bad := map[int]string{1: "HTML page", 2: "401 Unauthorized", 3: "does not speak HTTP", 4: "the provider's filter", 5: "400 Bad Request", 6: "called a tool",
		14: "longer than the 1048576 allowed"}
	s := openaitest.New(t,
		openaitest.Exchange{Family: openaitest.VLLM, When: w.first(1, -1), Fault: openaitest.HTMLPage},
		openaitest.Exchange{Family: openaitest.VLLM, When: w.first(2, -1), Fault: openaitest.Unauthorized},
		openaitest.Exchange{Family: openaitest.VLLM, When: w.first(3, -1), Fault: openaitest.NotHTTP},
		openaitest.Exchange{Family: openaitest.VLLM, When: w.first(4, -1), Fault: openaitest.ContentFilter, Reply: openaitest.Reply{Text: "Answer: 1"}},
		openaitest.Exchange{Family: openaitest.VLLM, When: w.first(5, -1), Reply: openaitest.Reply{Status: 400, Error: "too long; you sent Bearer " + secret}},
		openaitest.Exchange{Family: openaitest.VLLM, When: w.first(6, -1), Fault: openaitest.ToolCall},
		openaitest.Exchange{Family: openaitest.VLLM, When: w.first(7, 1), Fault: openaitest.Torn, Reply: openaitest.Reply{Text: "Answer: 1"}},
		openaitest.Exchange{Family: openaitest.VLLM, When: w.first(8, 2), Fault: openaitest.HTMLError},
		openaitest.Exchange{Family: openaitest.VLLM, When: w.first(9, 1), Fault: openaitest.ErrorInStream, Reply: openaitest.Reply{Text: "Answer: 1"}},
		openaitest.Exchange{Family: openaitest.VLLM, When: w.first(10, 1), Fault: openaitest.NoEndMarker, Reply: openaitest.Reply{Text: "Answer: 1"}},
		openaitest.Exchange{Family: openaitest.VLLM, When: w.first(11, 1), Fault: openaitest.Reset},
		openaitest.Exchange{Family: openaitest.VLLM, When: unparsed, Model: mute},
		openaitest.Exchange{Family: openaitest.VLLM, When: longOne, Model: long},
		openaitest.Exchange{Family: openaitest.VLLM, When: endlessOne, Model: endless},
		openaitest.Exchange{Family: openaitest.VLLM, Model: model.answer})
	busy := 0 // a burst of 429 in the midst
	var mu sync.Mutex
	outer := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		mu.Lock()
		busy++
		refuse := busy > 60 && busy <= 90
		mu.Unlock()
		if refuse {
			rw.Header().Set("Retry-After", "1")
			rw.Header().Set("Retry-After-Ms", "80")
			http.Error(rw, `{"error":{"message":"slow down","type":"rate_limit_exceeded"}}`, http.StatusTooManyRequests)
			return
		}
		s.ServeHTTP(rw, r)
	}))
	t.Cleanup(outer.Close)

	dir := t.TempDir()
	c := configure(t, outer.URL, additions{n: n}, dir)
	var last runner.Progress
	c.Progress = func(p runner.Progress) { last = p }
	e := run(t, c)
	if e.Complete || e.Counts.Failed != len(bad) || e.Counts.Unparsed != 1 || last.Done != n-len(bad) || last.Failed != len(bad) {
		t.Errorf("%+v, %+v", e.Counts, last)
	}
	for why := range e.Counts.Reasons {
		if strings.Contains(why, "add/0") && !strings.Contains(why, "makes a line") {
			t.Errorf("reasons that name samples cannot be counted: %s", why)
		}
	}
	if last.Retries < 30+6 {
		t.Errorf("only %d calls were tried again", last.Retries)
	}
	accuracy, _ := e.Measure("accuracy")
	if accuracy.N != n-len(bad)-1 || accuracy.Value == nil || *accuracy.Value != 1 {
		t.Errorf("accuracy %+v", accuracy)
	}
	all := samples(t, dir)
	for i := range n {
		id, _ := c.Source.ID(i)
		sample, why := all[id], bad[i]
		if (sample.Failed != "") != (why != "") || !strings.Contains(sample.Failed, why) {
			t.Errorf("%s failed: %q, want %q", id, sample.Failed, why)
		}
		if sample.Run != "audit" || sample.Arm != "test-model" || sample.Eval != "additions" {
			t.Errorf("%s is of run %q, arm %q, suite %q", id, sample.Run, sample.Arm, sample.Eval)
		}
		if sample.Failed != "" && (sample.Correct || sample.Parsed || sample.Answer != "" || sample.Cluster == "") {
			t.Errorf("%s: a failed sample is %+v", id, sample)
		}
	}
	if got := all["add/013"]; len(got.Chain) < 4000*len(pondering) || !got.Correct || got.Values["early/1.00"] != 1 || got.Values["early/0.00"] != 0 {
		t.Errorf("the long chain: %d bytes, correct %v, %v", len(got.Chain), got.Correct, got.Values)
	}
	if page := read(t, c.Folder.Path("report.html")); len(page) > 4<<20 {
		t.Errorf("the page has %d bytes", len(page))
	}

	// On better days the same command makes what failed, and asks nothing that was answered: neither what came out well nor what
	// was too long.
	w.lift()
	before := len(s.Requests())
	e = run(t, c)
	if e.Complete || e.Counts.Failed != 1 || e.Counts.Unparsed != 1 || e.Counts.Samples != n || samples(t, dir)["add/014"].Failed == "" {
		t.Errorf("%+v", e.Counts)
	}
	if accuracy, _ := e.Measure("accuracy"); accuracy.N != n-2 || *accuracy.Value != 1 {
		t.Errorf("accuracy %+v", accuracy)
	}
	for _, r := range s.Requests()[before:] {
		again := false
		for i := range bad {
			again = again || about(&r, i) && i != 14
		}
		if !again {
			t.Fatalf("asked again: %.300s", r.Body)
		}
	}
}

// An audit that is stopped half way goes on without asking anything again, and comes to the same evidence as one that was not.
func TestResume(t *testing.T) {
	model := reasoner{goesOn: true}
	var mu sync.Mutex
	asked := map[string]int{}
	limit, stop := 0, func() {}
	s := openaitest.New(t,
		openaitest.Exchange{Family: openaitest.VLLM, Fault: openaitest.Hang, When: func(r *openaitest.Request) bool {
			if r.Method != http.MethodPost {
				return false
			}
			mu.Lock()
			defer mu.Unlock()
			asked[string(r.Body)]++
			if limit--; limit == 0 {
				stop()
				return true
			}
			return false
		}},
		openaitest.Exchange{Family: openaitest.VLLM, Model: model.answer})
	start := func(dir string) audit.Config {
		c := configure(t, s.URL, additions{n: 12}, dir)
		c.Connections = 1 // so that what was under way when it was stopped is one call
		mu.Lock()
		clear(asked)
		mu.Unlock()
		return c
	}

	c := start(t.TempDir())
	want := toJSON(t, run(t, c))
	calls := 0
	for _, n := range asked {
		calls += n
	}

	c = start(t.TempDir())
	stopped := 0
	for _, at := range []int{1, 40, 50} { // in the first call, and twice in the midst
		ctx, cancel := context.WithCancel(t.Context())
		mu.Lock()
		limit, stop = at, cancel
		mu.Unlock()
		e, err := audit.Run(ctx, c)
		if !errors.Is(err, context.Canceled) || e != nil {
			t.Fatalf("stopped at call %d: %v, %v", at, e, err)
		}
		cancel()
		stopped++
	}
	if n, err := runner.Count(c.Folder.Dir()); err != nil || n.Done == 0 || n.Done == 12 || n.Failed != 0 {
		t.Errorf("stopped half way: %+v, %v", n, err)
	}
	if got := toJSON(t, run(t, c)); got != want {
		t.Errorf("the evidence differs:\n%s\n%s", got, want)
	}
	total, twice := 0, 0
	for body, n := range asked {
		total += n
		if n > 1 {
			twice += n - 1
		}
		if n > stopped+1 {
			t.Errorf("asked %d times: %.300s", n, body)
		}
	}
	if twice != stopped || total != calls+stopped {
		t.Errorf("%d calls were made again and %d in all; %d were cut off, and %d are needed", twice, total, stopped, calls)
	}

	// Nothing is left to ask: the same command only makes the results anew.
	before := total
	if got := toJSON(t, run(t, c)); got != want {
		t.Error("the evidence of a finished audit changes")
	}
	total = 0
	for _, n := range asked {
		total += n
	}
	if total != before {
		t.Errorf("%d calls for an audit that was finished", total-before)
	}
}

// A budget that is spent is told, with results of what there is; a larger one goes on.
func TestBudget(t *testing.T) {
	s := openaitest.Serve(t, openaitest.VLLM, reasoner{goesOn: true}.answer)
	c := configure(t, s.URL, additions{n: 16}, t.TempDir())
	c.Connections, c.Budget = 2, 9000
	e, err := audit.Run(t.Context(), c)
	if !errors.Is(err, runner.ErrBudget) || e == nil || e.Complete || e.Counts.Samples == 0 || e.Counts.Samples == 16 || e.Counts.Failed != 0 {
		t.Fatalf("%+v, %v", e, err)
	}
	c.Budget = 0
	if e = run(t, c); !e.Complete {
		t.Errorf("%+v", e.Counts)
	}
	var again evidence.Evidence
	if err := json.Unmarshal([]byte(toJSON(t, e)), &again); err != nil {
		t.Error(err)
	}
}
