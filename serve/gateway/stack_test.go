package gateway_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"candor/internal/rng"
	"candor/openai"
	"candor/reasoning/compose"
	"candor/reasoning/llm"
	"candor/reasoning/monitor"
	"candor/serve/api"
	"candor/serve/gateway"
	"candor/serve/ledger"
	"candor/serve/record"
	"candor/serve/role"
)

// What the models of a stack say. The secrets must never reach a client unless they are released.
const (
	secretChain = "private-thought-17"
	saidByFace  = "forty-two-released"
)

// stack is a gateway with all that it stands on, reached as a client reaches it.
type stack struct {
	t      *testing.T
	url    string
	path   string // of the ledger
	gate   *gateway.Gateway
	ledger *ledger.Ledger
	reader *ledger.Reader

	mu  sync.Mutex
	saw []gateway.Observation
}

// parts are what a test may put in the place of a stack's own; the zero value is a stack in which all goes well.
type parts struct {
	reasoner, face, paraphraser llm.Generator
	monitor                     monitor.Examiner
	gates                       []compose.Gate
	rules                       []gateway.Rule
	change                      func(*gateway.System)
	timeout                     time.Duration // of a role's attempt and of a gate; 2 s if 0
	clock                       func() time.Time
	ledger                      func(*ledger.Ledger) gateway.Ledger
	inFlight                    int
	keepAlive                   time.Duration
}

// says is a model that always says the same, with a chain kept apart.
func says(chain, text string) llm.Generator {
	return generator(func(_ context.Context, r llm.Request) (llm.Completion, error) {
		c := llm.Completion{Text: text, Reasoning: chain, Finish: llm.FinishStop, PromptTokens: 5, CompletionTokens: 7}
		if chain != "" {
			c.Provenance = llm.Raw
		}
		return c, nil
	})
}

// generator answers requests one by one.
type generator func(context.Context, llm.Request) (llm.Completion, error)

func (g generator) Generate(ctx context.Context, requests []llm.Request) ([]llm.Completion, error) {
	out := make([]llm.Completion, len(requests))
	for i, r := range requests {
		var err error
		if out[i], err = g(ctx, r); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// scores is a monitor that always finds the same.
type scores float64

func (scores) Name() string { return "fixed" }
func (s scores) Examine(context.Context, monitor.View) (monitor.Finding, error) {
	return monitor.Finding{Score: float64(s)}, nil
}

func newStack(t *testing.T, p parts) *stack {
	t.Helper()
	s := &stack{t: t, path: filepath.Join(t.TempDir(), "ledger.db")}
	if p.clock == nil {
		p.clock = time.Now
	}
	if p.timeout == 0 {
		p.timeout = 2 * time.Second
	}
	s.open(p.clock)
	system := gateway.System{Name: "candor", Main: p.dialogue(t), Rules: p.rules, Tools: true, Evidence: "none", Ungated: true}
	if p.change != nil {
		p.change(&system)
	}
	var l gateway.Ledger = s.ledger
	if p.ledger != nil {
		l = p.ledger(s.ledger)
	}
	var err error
	s.gate, err = gateway.New(t.Context(), gateway.Options{Systems: []gateway.System{system}, Ledger: l, Reader: s.reader, Clock: p.clock, Random: rng.New(1), InFlight: p.inFlight,
		Observe: func(_ context.Context, o gateway.Observation) {
			s.mu.Lock()
			s.saw = append(s.saw, o)
			s.mu.Unlock()
		}})
	if err != nil {
		t.Fatal(err)
	}
	front, err := api.New(api.Options{Models: s.gate.Models(), Ready: s.gate.Ready, Random: rng.New(2), Clock: p.clock, KeepAlive: p.keepAlive})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(front)
	s.url = server.URL
	t.Cleanup(server.Close)
	return s
}

func (s *stack) open(clock func() time.Time) {
	key, err := ledger.LoadKey(filepath.Join(filepath.Dir(s.path), "key"), rng.Secret)
	if err == nil {
		s.ledger, err = ledger.Open(context.Background(), s.path, ledger.Options{Key: key, Clock: clock, Secret: rng.Secret, Busy: 200 * time.Millisecond})
	}
	if err == nil {
		s.reader, err = ledger.OpenReader(context.Background(), s.path)
	}
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		if err := s.reader.Close(); err != nil {
			s.t.Error(err)
		}
		_ = s.ledger.Close() // which a test may have damaged
	})
}

func (p parts) dialogue(t *testing.T) *compose.Dialogue {
	or := func(g, otherwise llm.Generator) llm.Generator {
		if g == nil {
			return otherwise
		}
		return g
	}
	play := func(part string, g llm.Generator) llm.Generator {
		out, err := role.New(role.Options{Role: part, Models: []role.Model{{Name: part, Generator: g}}, Timeout: p.timeout, Clock: time.Now, Random: rng.New(3)})
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	d := &compose.Dialogue{Reasoner: play("reasoner", or(p.reasoner, says(secretChain, "draft"))), Face: play("face", or(p.face, says("", saidByFace))),
		ReasonerTokens: 1000, OutputTokens: 1000, Gates: p.gates}
	if p.paraphraser != nil {
		d.Paraphrase = compose.ModelParaphraser{Generator: play("paraphraser", p.paraphraser), MaxTokens: 100}
	}
	if p.gates == nil {
		m := p.monitor
		if m == nil {
			m = scores(.1)
		}
		d.Gates = []compose.Gate{{Monitor: m, Threshold: .5, Sees: compose.SeesPrivate, Timeout: p.timeout}}
	}
	return d
}

// got is what a client got.
type got struct {
	status   int
	body     string
	text     string // of the answer, put together from a stream
	refusal  string
	finish   string
	code     string // of an error
	trace    string
	whole    bool // a stream came to its end
	complete []string
}

const chatBody = `{"model":"candor","messages":[{"role":"user","content":"what is it?"}]%s}`

// ask asks for a chat completion.
func (s *stack) ask(extra string) got {
	s.t.Helper()
	return s.askIn(s.t.Context(), extra)
}

func (s *stack) askIn(ctx context.Context, extra string) got {
	s.t.Helper()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url+"/v1/chat/completions", strings.NewReader(fmt.Sprintf(chatBody, extra)))
	if err != nil {
		s.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return got{body: err.Error()}
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	g := got{status: resp.StatusCode, body: string(data), trace: resp.Header.Get("X-Candor-Trace")}
	if err != nil {
		return g
	}
	if strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream") {
		g.stream(s.t)
		return g
	}
	var a openai.ChatResponse
	var f struct {
		Error *struct{ Code string }
	}
	if err := errors.Join(json.Unmarshal(data, &a), json.Unmarshal(data, &f)); err != nil {
		s.t.Fatalf("the answer %q is no JSON: %v", data, err)
	}
	if f.Error != nil {
		g.code = f.Error.Code
		return g
	}
	g.whole = true
	for _, c := range a.Choices {
		g.complete = append(g.complete, c.Message.Content.Text)
		g.text += c.Message.Content.Text
		g.finish = c.FinishReason
		if c.Message.Refusal != nil {
			g.refusal += *c.Message.Refusal
		}
	}
	return g
}

// stream reads the events of a body.
func (g *got) stream(t *testing.T) {
	for lines := bufio.NewScanner(bytes.NewReader([]byte(g.body))); lines.Scan(); {
		data, ok := strings.CutPrefix(lines.Text(), "data: ")
		if !ok {
			continue
		}
		if data == "[DONE]" {
			g.whole = true
			continue
		}
		var c openai.ChatChunk
		var f struct {
			Error *struct{ Code string }
		}
		if err := errors.Join(json.Unmarshal([]byte(data), &c), json.Unmarshal([]byte(data), &f)); err != nil {
			t.Fatalf("the event %q is no JSON: %v", data, err)
		}
		if f.Error != nil {
			g.code = f.Error.Code
			continue
		}
		for _, choice := range c.Choices {
			if choice.Delta.Content != nil {
				g.text += choice.Delta.Content.Text
			}
			if choice.Delta.Refusal != nil {
				g.refusal += *choice.Delta.Refusal
			}
			if choice.FinishReason != nil {
				g.finish = *choice.FinishReason
			}
		}
	}
}

// settle waits until no trace is open, and returns all of them, the oldest first.
func (s *stack) settle() []*record.Trace {
	s.t.Helper()
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if s.ledger.Stats().Open == 0 {
			break
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("traces stay open: %v", s.ledger.Unfinished())
		}
	}
	var out []*record.Trace
	begins, err := s.reader.Begins(context.Background(), 0, 200)
	if err != nil {
		s.t.Fatal(err)
	}
	for i := len(begins) - 1; i >= 0; i-- {
		tr, err := s.gate.Trace(context.Background(), begins[i].Trace)
		if err != nil {
			s.t.Fatal(err)
		}
		out = append(out, tr)
	}
	return out
}

// sound checks what must hold whatever happened: the ledger verifies, a client got a text only if that stands in the ledger as
// released, and no client got anything of a private chain.
func (s *stack) sound(answers ...got) []*record.Trace {
	s.t.Helper()
	traces := s.settle()
	report, err := s.reader.Verify(context.Background(), ledger.Check{})
	if err != nil || len(report.Faults) > 0 {
		s.t.Errorf("the ledger does not verify: %v, %+v", err, report)
	}
	released := map[string]bool{}
	for _, tr := range traces {
		if tr.Answer != nil && (tr.Outcome == record.Released || tr.Outcome == record.Approved) {
			released[tr.Answer.Text] = true
		}
	}
	for _, g := range answers {
		if g.text != "" && !released[g.text] {
			s.t.Errorf("a client got %q, which the ledger has not as released", g.text)
		}
		if strings.Contains(g.body, secretChain) {
			s.t.Errorf("a client got the private chain: %q", g.body)
		}
	}
	return traces
}
