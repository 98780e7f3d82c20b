package preflight

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"candor/openai"
	"candor/openai/openaitest"
	"candor/reasoning/llm"
)

func TestMain(m *testing.M) {
	firstPause = time.Millisecond
	goleak.VerifyTestMain(m)
}

const (
	key = "sk-test-0123456789abcdef"
	// maxCalls is what a preflight may cost.
	maxCalls = 15
)

// mind is a model that understands the probes, in the hands of a server of a kind.
type mind struct {
	// thinks: it has thoughts of its own, beside its text. Summary and encrypted are shown in their place.
	thinks             bool
	summary, encrypted string
	// goesOn tells whether the server has it go on from the assistant's last message; nil means never.
	goesOn func(openai.ChatRequest) bool
	// counts: in a turn of its own it goes on counting.
	counts bool
	// deaf: thoughts that are given do not reach it. hasty: they are always taken for ended.
	deaf, hasty bool
	// remembers: the server shows it its thoughts of earlier turns.
	remembers bool
	// random: seeds are not kept to. mute: log-probabilities are not told. brief: answers are cut off.
	random, mute, brief bool
	// refuse is the answer to requests that the server does not take, "" for others.
	refuse func(openai.ChatRequest) string
	asked  atomic.Int64
}

var anyCode = regexp.MustCompile(`[A-Z]{2}-\d{4}`)

func (m *mind) answer(r openai.ChatRequest) openaitest.Reply {
	if len(r.Messages) == 0 { // for the list of models
		return openaitest.Reply{}
	}
	if m.refuse != nil {
		if why := m.refuse(r); why != "" {
			return openaitest.Reply{Status: 400, Error: why}
		}
	}
	n := m.asked.Add(1)
	c := openaitest.Carry(r)
	begun := c.Prefix != "" || c.Reasoning != "" || c.Concluded
	if raw := r.Messages[0].Role == "prompt"; raw && strings.HasSuffix(c.Prompt, "1 2 3 4") {
		c.Prefix, begun = "1 2 3 4", true
	} else if begun && (m.goesOn == nil || !m.goesOn(r)) {
		c, begun = openaitest.Carried{Prompt: c.Prompt}, false
	}
	reply := openaitest.Reply{Text: m.say(r, c, n)}
	switch {
	case strings.Contains(c.Prompt, "17 + 25 + 8") && m.thinks:
		reply.Reasoning = "17 + 25 is 42, and 42 + 8 is 50."
	case strings.Contains(c.Prompt, "17 + 25 + 8"):
		reply.Text = "17 + 25 is 42, and 42 + 8 is 50.\n" + reply.Text
	case c.Thinking && !m.hasty:
		reply.Reasoning = " One, two, three."
	case m.thinks && !begun:
		reply.Reasoning = "What shall I say?"
	}
	if reply.Reasoning != "" && m.summary+m.encrypted != "" {
		reply.Reasoning, reply.Summary, reply.Encrypted = "", m.summary, m.encrypted
	}
	if m.brief {
		reply.Finish = "length"
	}
	if r.LogProbs && !m.mute {
		reply.Tokens = []llm.Token{{Text: reply.Text, LogProb: -.5}}
	}
	return reply
}

func (m *mind) say(r openai.ChatRequest, c openaitest.Carried, n int64) string {
	switch prompt := c.Prompt; {
	case strings.Contains(prompt, "17 + 25 + 8"):
		return "Answer: 50"
	case strings.Contains(prompt, "Count from 1"):
		switch {
		case c.Prefix == "1 2 3 4":
			return " 5 6 7 8 9"
		case m.counts:
			return "5 6 7 8 9"
		}
		return "1 2 3 4 5 6 7 8 9"
	case strings.Contains(prompt, "Make up a code word"):
		if code := anyCode.FindString(c.Reasoning); code != "" && !m.deaf {
			return code
		}
		return "AB-1234"
	case strings.Contains(prompt, "Which code word"):
		earlier := r.Messages[1]
		for _, s := range []*string{earlier.Reasoning, earlier.ReasoningContent, &earlier.Content.Thinking, &earlier.Content.Text} {
			if s != nil && m.remembers && anyCode.MatchString(*s) {
				return anyCode.FindString(*s)
			}
		}
		return "none"
	case strings.Contains(prompt, "random words"):
		seed := n
		if r.Seed != nil && !m.random {
			seed = *r.Seed
		}
		return "tree moon " + strconv.FormatInt(seed, 10)
	}
	return "I do not understand."
}

// The ways of servers to have a text carried on.
func byPrefill(r openai.ChatRequest) bool { return r.Messages[len(r.Messages)-1].Role == "assistant" }
func byFlags(r openai.ChatRequest) bool   { return byPrefill(r) && r.ContinueFinalMessage }
func byPrefix(r openai.ChatRequest) bool  { return byPrefill(r) && r.Messages[len(r.Messages)-1].Prefix }
func byPrompt(r openai.ChatRequest) bool  { return r.Messages[0].Role == "prompt" }

func newClient(t *testing.T, url string) *openai.Client {
	t.Helper()
	c, err := openai.NewClient(openai.Options{BaseURL: url, Key: key, Timeout: 10 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// run runs a preflight that must succeed, and checks what holds of all.
func run(t *testing.T, s *openaitest.Server, o Options) *Report {
	t.Helper()
	if o.Model == "" {
		o.Model = "test-model"
	}
	r, err := Run(t.Context(), newClient(t, s.URL), o)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(s.Requests()); n > maxCalls {
		t.Errorf("%d calls, at most %d are fine", n, maxCalls)
	}
	if _, err := openai.NewGenerator(newClient(t, s.URL), "m", r.Capabilities); err != nil {
		t.Errorf("the capabilities make no generator: %v", err)
	}
	data, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(data), key) {
		t.Errorf("the key is in the report: %s", data)
	}
	var again Report
	if err := json.Unmarshal(data, &again); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(r, &again); d != "" {
		t.Errorf("read back from JSON it differs: %s", d)
	}
	if r.Tokens == 0 {
		t.Error("no tokens were counted")
	}
	return r
}

// check compares what was found, by what it is about; "~" begins a part of how it was found.
func check(t *testing.T, r *Report, want map[string]string) {
	t.Helper()
	for what, found := range want {
		what, how, _ := strings.Cut(what, "~")
		ok := false
		for _, f := range r.Findings {
			ok = ok || f.What == what && f.Found == found && strings.Contains(f.How, how)
		}
		if !ok {
			t.Errorf("%s should be %q (%s); found were:\n%s", what, found, how, list(r))
		}
	}
}

func list(r *Report) string {
	var b strings.Builder
	for _, f := range r.Findings {
		fmt.Fprintf(&b, "  %s: %s (%s)\n", f.What, f.Found, f.How)
	}
	return b.String()
}
