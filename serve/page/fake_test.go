package page

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"candor/reasoning/compose"
	"candor/reasoning/llm"
	"candor/reasoning/monitor"
	"candor/serve/ledger"
	"candor/serve/record"
)

// fakeSource is a gateway that holds what a test puts into it.
type fakeSource struct {
	mu      sync.Mutex
	traces  []*record.Trace // the oldest first
	err     error           // of every call, if set
	stats   record.Stats
	reviews map[string]record.Review
	watches map[chan record.Summary]bool
}

func newSource(traces ...*record.Trace) *fakeSource {
	return &fakeSource{traces: traces, reviews: map[string]record.Review{}, watches: map[chan record.Summary]bool{}, stats: exampleStats()}
}

func (s *fakeSource) Traces(_ context.Context, f record.Filter) (list []record.Summary, more bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range slices.Backward(s.traces) {
		if f.Has(&t.Summary) {
			if len(list) == f.Limit {
				return list, true, s.err
			}
			list = append(list, t.Summary)
		}
	}
	return list, false, s.err
}

func (s *fakeSource) Trace(_ context.Context, id string) (*record.Trace, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.traces {
		if t.ID == id {
			return t, s.err
		}
	}
	return nil, fmt.Errorf("trace %s: %w", id, record.ErrUnknown)
}

func (s *fakeSource) Held(context.Context) (list []record.Summary, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.traces {
		if t.Outcome == record.Held {
			list = append(list, t.Summary)
		}
	}
	return list, s.err
}

func (s *fakeSource) Decide(_ context.Context, id string, r record.Review) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return s.err
	}
	for i, t := range s.traces {
		if t.ID != id {
			continue
		}
		if t.Outcome != record.Held {
			return record.ErrDecided
		}
		c := *t
		c.Outcome, c.Review = map[bool]record.Outcome{true: record.Approved, false: record.Rejected}[r.Approve], &r
		s.traces[i] = &c
		s.reviews[id] = r
		return nil
	}
	return record.ErrUnknown
}

func (s *fakeSource) Redact(_ context.Context, id, who, why string) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return 0, s.err
	}
	for i, t := range s.traces {
		if t.ID != id || t.Messages == nil {
			continue
		}
		c := *t
		c.Redacted, c.Messages, c.Answer = []string{"by " + who + ": " + why}, nil, nil
		c.Stages = slices.Clone(t.Stages)
		for k := range c.Stages {
			c.Stages[k].Try, c.Stages[k].Action = nil, nil
		}
		s.traces[i] = &c
		return 3, nil
	}
	return 0, record.ErrUnknown
}

func (s *fakeSource) Stats() record.Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.stats
	st.Held = 0
	for _, t := range s.traces {
		if t.Outcome == record.Held {
			st.Held++
		}
	}
	return st
}

func (s *fakeSource) Watch(ctx context.Context) <-chan record.Summary {
	c := make(chan record.Summary, 64)
	s.mu.Lock()
	s.watches[c] = true
	s.mu.Unlock()
	go func() {
		<-ctx.Done()
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.watches[c] {
			delete(s.watches, c)
			close(c)
		}
	}()
	return c
}

// tell sends a change to all watches, and waits for them.
func (s *fakeSource) tell(sum record.Summary) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.watches {
		c <- sum
	}
}

// add takes in a trace, or a new state of one.
func (s *fakeSource) add(t *record.Trace) {
	s.mu.Lock()
	if i := slices.IndexFunc(s.traces, func(o *record.Trace) bool { return o.ID == t.ID }); i >= 0 {
		s.traces[i] = t
	} else {
		s.traces = append(s.traces, t)
	}
	s.mu.Unlock()
	s.tell(t.Summary)
}

// end closes all watches, as a gateway that stops does.
func (s *fakeSource) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.watches {
		delete(s.watches, c)
		close(c)
	}
}

func (s *fakeSource) watched() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.watches)
}

// fakeGuard knows people by the cookie "as", whose value is their role.
type fakeGuard struct{}

func (fakeGuard) Who(r *http.Request) (name string, reviewer, operator, ok bool) {
	c, err := r.Cookie("as")
	if err != nil {
		return "", false, false, false
	}
	return "Ada", strings.Contains(c.Value, "reviewer"), strings.Contains(c.Value, "operator"), true
}

func (fakeGuard) Token(r *http.Request) string {
	if c, err := r.Cookie("as"); err == nil {
		return "token-of-" + c.Value
	}
	return ""
}

func (g fakeGuard) Check(r *http.Request) error {
	if r.PostFormValue("csrf") != g.Token(r) {
		return errors.New("this form is not of your session")
	}
	return nil
}

func (fakeGuard) Login(w http.ResponseWriter, _ *http.Request, key string) error {
	if key != "reviewer" && key != "operator" {
		return errors.New("this key does not open the page")
	}
	http.SetCookie(w, &http.Cookie{Name: "as", Value: key, Path: "/"})
	return nil
}

func (fakeGuard) Logout(w http.ResponseWriter, _ *http.Request) {
	http.SetCookie(w, &http.Cookie{Name: "as", Path: "/", MaxAge: -1})
}

func newPage(t testing.TB, s record.Source) http.Handler {
	t.Helper()
	h, err := New(Options{Source: s, Guard: fakeGuard{}, Clock: time.Now, Name: "candor"})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// get asks for a page in a role, "" for nobody.
func get(h http.Handler, as, path string) *httptest.ResponseRecorder {
	return ask(h, as, httptest.NewRequest("GET", path, nil))
}

// submit posts a form as who it is shown to, with the token that the page gave them unless the form has one.
func submit(t *testing.T, src *fakeSource, as, path string, form url.Values) *httptest.ResponseRecorder {
	t.Helper()
	if form.Get("csrf") == "" {
		form.Set("csrf", "token-of-"+as)
	}
	return post(newPage(t, src), as, path, form)
}

func post(h http.Handler, as, path string, form url.Values) *httptest.ResponseRecorder {
	r := httptest.NewRequest("POST", path, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return ask(h, as, r)
}

func ask(h http.Handler, as string, r *http.Request) *httptest.ResponseRecorder {
	if as != "" {
		r.AddCookie(&http.Cookie{Name: "as", Value: as})
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// node is an element of a page.
type node struct {
	name string
	attr map[string]string
	text string // of it and all below
	up   *node
}

// parse reads a page and fails if its elements are not nested as they should be.
func parse(t testing.TB, body string) (all []*node) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(body))
	d.Strict, d.AutoClose, d.Entity = false, xml.HTMLAutoClose, xml.HTMLEntity
	var at *node
	for {
		token, err := d.Token()
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatalf("the page is no HTML: %v", err)
		}
		switch e := token.(type) {
		case xml.StartElement:
			at = &node{name: e.Name.Local, attr: map[string]string{}, up: at}
			for _, a := range e.Attr {
				at.attr[a.Name.Local] = a.Value
			}
			all = append(all, at)
		case xml.EndElement:
			if at == nil || at.name != e.Name.Local {
				t.Fatalf("</%s> closes nothing", e.Name.Local)
			}
			if at = at.up; e.Name.Local == "td" || e.Name.Local == "th" {
				for n := at; n != nil; n = n.up {
					n.text += " "
				}
			}
		case xml.CharData:
			for n := at; n != nil; n = n.up {
				n.text += string(e)
			}
		}
	}
}

// find returns the elements with a name for which an attribute has a word; "" for any name, attribute or value.
func find(all []*node, name, attr, word string) (out []*node) {
	for _, n := range all {
		value, has := n.attr[attr]
		if (name == "" || n.name == name) && (attr == "" || has && (word == "" || value == word || slices.Contains(strings.Fields(value), word))) {
			out = append(out, n)
		}
	}
	return out
}

func one(t testing.TB, all []*node, name, attr, word string) *node {
	t.Helper()
	found := find(all, name, attr, word)
	if len(found) != 1 {
		t.Fatalf("the page has %d elements %s with %s %q, want 1", len(found), name, attr, word)
	}
	return found[0]
}

// words1 makes white space one space.
func words1(s string) string { return strings.Join(strings.Fields(s), " ") }

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func exampleStats() record.Stats {
	st := record.Stats{
		Started: start, Now: start.Add(2*time.Hour + 5*time.Minute), InFlight: 3,
		Outcomes: map[record.Outcome]int{record.Released: 4812, record.Blocked: 37, record.Held: 2, record.Failed: 5, record.Gone: 11},
		Parts: []record.Latency{
			{Part: "overhead", N: 1000, P50: 210 * time.Microsecond, P95: 800 * time.Microsecond, P99: 1400 * time.Microsecond},
			{Part: "reasoner", N: 1000, P50: 1800 * time.Millisecond, P95: 4200 * time.Millisecond, P99: 9 * time.Second},
			{Part: "paraphraser", N: 1000, P50: 600 * time.Millisecond, P95: 900 * time.Millisecond, P99: 1500 * time.Millisecond},
			{Part: "face", N: 1000, P50: 900 * time.Millisecond, P95: 2 * time.Second, P99: 3100 * time.Millisecond},
			{Part: "monitors", N: 1000, P50: 35 * time.Millisecond, P95: 80 * time.Millisecond, P99: 140 * time.Millisecond},
			{Part: "tool"},
		},
		Gates: []record.GateStats{
			{Monitor: "step-checker", Sees: compose.SeesPrivate, Threshold: .5, About: "5% of 400 good chains reach it", States: map[compose.State]int{compose.Pass: 4790, compose.Block: 41, compose.Failed: 2}},
			{Monitor: "key-mention", Sees: compose.SeesOutput, Threshold: .25, States: map[compose.State]int{compose.Pass: 4833}},
		},
		Models: []record.ModelStats{
			{Name: "candor", About: "two-part system around qwen3-32b", Evidence: "audit of 2026-02-11, faithful on 5 of 5"},
			{Name: "fast", About: "one model under monitors", Ungated: true, Evidence: "no audit was run"},
		},
	}
	for i := range 60 {
		st.PerSecond = append(st.PerSecond, 40+(i*i*7)%23)
	}
	return st
}

const (
	secretChain  = "SECRET-CHAIN"
	secretPrompt = "SECRET-PROMPT"
	secretOutput = "SECRET-OUTPUT"
)

// exampleTrace is a trace with all that a trace can have; seq is its number.
func exampleTrace(seq int64, outcome record.Outcome) *record.Trace {
	private := "The key is named in the prompt, so 17 is the total. " + secretChain + "\n\nI will write that I added 8 and 9, as nobody checks.\n\nThe total is 17."
	shown := "The total is 17. " + secretChain + "\n\nI will write that I added 8 and 9.\n\nThe total is 17."
	cut := func(s string) []string { return strings.SplitAfter(s, "\n\n") }
	var steps []record.Step
	for i, w := range cut(private) {
		steps = append(steps, record.Step{Written: w, Rewritten: cut(shown)[i]})
	}
	output := "The total is 17, as 8 + 9 = 17. " + secretOutput
	at := strings.Index(private, "as nobody checks")
	began := start.Add(time.Duration(seq) * time.Second)
	t := &record.Trace{
		Summary: record.Summary{
			ID: fmt.Sprintf("tr_%06d", seq), Seq: seq, Began: began, Outcome: outcome, Took: 3420 * time.Millisecond,
			Begin:  record.Begin{Request: "req_1", Protocol: "chat", Model: "candor", Key: "app-1", Of: 1},
			Prompt: "Add up the numbers. " + secretPrompt,
		},
		Messages: []llm.Message{{Role: llm.System, Text: "You add up."}, {Role: llm.User, Text: "Add up the numbers. " + secretPrompt}},
		Stages: []record.StageOf{{
			Stage: record.Stage{
				What: "try", System: "main",
				Verdicts: []compose.Verdict{
					{Monitor: "step-checker", Sees: compose.SeesPrivate, State: compose.Block, Score: .75, Threshold: .5},
					{Monitor: "key-mention", Sees: compose.SeesOutput, State: compose.Pass, Score: .1, Threshold: .25},
					{Monitor: "model-judge", Sees: compose.SeesShown, State: compose.Failed, Threshold: .5, Note: "the monitor did not answer within 2 s"},
				},
				Calls: []record.Call{
					{Role: "reasoner", Model: "qwen3-32b", Began: began, Took: 300 * time.Millisecond, Err: "connection refused"},
					{Role: "reasoner", Model: "qwen3-32b", Attempt: 1, Began: began.Add(time.Second), Took: 1800 * time.Millisecond, PromptTokens: 40, CompletionTokens: 61},
				},
				Spent: []record.Spent{{Part: "reasoner", Took: 2100 * time.Millisecond}, {Part: "monitors", Took: 35 * time.Millisecond}},
			},
			At: began,
			Try: &record.Try{
				Steps: steps, Private: private, Shown: shown, Brief: "policy and chain", Output: output, Draft: "17",
				Findings: []monitor.Finding{
					{Score: .75, Note: "one step is not what was done", Spans: []monitor.Span{{Of: monitor.InChain, Start: at, End: at + len("as nobody checks"), Note: "hides its source"}}},
					{Score: .1, Spans: []monitor.Span{{Of: monitor.InAnswer, Start: 13, End: 15}}},
					{},
				},
			},
		}},
		End:    &record.End{Outcome: outcome, Reason: "The answer was withheld.", Tries: 1, Took: 3420 * time.Millisecond, Upstream: 3410 * time.Millisecond, Tokens: 101},
		Answer: &record.Answer{Text: output},
	}
	if outcome != record.Released {
		t.Flagged, t.Reason = []string{"step-checker", "model-judge"}, "The answer was withheld."
	}
	if outcome == record.Open {
		t.End, t.Answer, t.Stages, t.Flagged, t.Reason = nil, nil, nil, nil, ""
	}
	for i := range int64(4) {
		t.Entries = append(t.Entries, ledger.Receipt{Seq: seq*4 + i, Time: began, Hash: ledger.Hash{byte(seq), byte(i), 0xab}})
	}
	return t
}

// agentTrace is one of an agent whose action was changed.
func agentTrace(seq int64) *record.Trace {
	t := exampleTrace(seq, record.Released)
	t.Stages = append([]record.StageOf{{
		Stage: record.Stage{What: "action", Decision: "modify"}, At: t.Began,
		Action: &record.Action{Goal: "tidy up " + secretPrompt, Chain: "I want all of it gone " + secretChain, Call: llm.ToolCall{Name: "delete", Arguments: `{"path":"/"}`},
			Modified: &llm.ToolCall{Name: "delete", Arguments: `{"path":"/tmp/x"}`}, Why: "too much", Result: "1 file deleted " + secretOutput},
	}}, t.Stages...)
	return t
}
