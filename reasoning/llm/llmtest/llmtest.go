// Package llmtest holds what every [llm.Generator] must pass, and a fake one for the tests of others.
//
// [Run] is the conformance suite. A generator's own tests call it with a few prompts that the model can continue:
//
//	llmtest.Run(t, func(t *testing.T) llm.Generator { return openGenerator(t) }, llmtest.Options{Prompts: prompts})
//
// [Fake] is a generator whose words come from a function; it passes the suite.
package llmtest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"

	"candor/reasoning/llm"
)

// Options say what the suite needs to know about a generator.
type Options struct {
	// Prompts are at least three user messages that the model can continue. Greedily, at least one of them must give
	// four words or more; sampled at temperature 1, at least one must give different texts.
	Prompts []string
	// MaxTokens bounds the completions; 0 means 24.
	MaxTokens int
	// NoLogProbs says that the model cannot tell probabilities; Completion.Tokens must then stay empty.
	NoLogProbs bool
	// NoBans says that the model cannot ban words; it must then refuse. Of one that can, the suite supposes that tokens are words.
	NoBans bool
	// Tools says that the model can call tools, and does so where it must; without it, it must refuse them.
	Tools bool
}

// suite is one generator under test.
type suite struct {
	newGenerator func(*testing.T) llm.Generator
	Options
}

// Run checks that generators made by newGenerator keep the contract of [llm.Generator]. newGenerator is called once for
// each subtest; the generators it makes behave alike.
func Run(t *testing.T, newGenerator func(t *testing.T) llm.Generator, o Options) {
	if o.MaxTokens == 0 {
		o.MaxTokens = 24
	}
	if len(o.Prompts) < 3 {
		t.Fatalf("llmtest: %d prompts, need at least 3", len(o.Prompts))
	}
	s := suite{newGenerator, o}
	t.Run("EmptyBatch", s.emptyBatch)
	t.Run("Seeds", s.seeds)
	t.Run("Greedy", s.greedy)
	t.Run("BatchIndependence", s.batchIndependence)
	t.Run("MaxTokens", s.maxTokens)
	t.Run("Stop", s.stop)
	t.Run("Prefix", s.prefix)
	t.Run("LogProbs", s.logProbs)
	t.Run("Frequencies", s.frequencies)
	t.Run("Bans", s.bans)
	t.Run("BanFrequencies", s.banFrequencies)
	t.Run("Tools", s.tools)
	t.Run("Invalid", s.invalid)
	t.Run("Cancelled", s.cancelled)
	t.Run("Concurrency", s.concurrency)
}

// request is a request for prompt i at temperature 0 or 1.
func (s suite) request(i int, temperature float64, seed uint64) llm.Request {
	return llm.Request{
		ID:          fmt.Sprintf("prompt-%d", i),
		Messages:    []llm.Message{{Role: llm.User, Text: s.Prompts[i]}},
		MaxTokens:   s.MaxTokens,
		Temperature: temperature,
		Seed:        seed,
	}
}

func generate(t *testing.T, g llm.Generator, requests ...llm.Request) []llm.Completion {
	t.Helper()
	out, err := g.Generate(t.Context(), requests)
	if err != nil {
		t.Fatalf("Generate: %v", err)
	}
	if len(out) != len(requests) {
		t.Fatalf("%d completions for %d requests", len(out), len(requests))
	}
	for i, c := range out {
		if c.Finish != llm.FinishStop && c.Finish != llm.FinishLength {
			t.Fatalf("completion %d has Finish %q", i, c.Finish)
		}
		if c.CompletionTokens > requests[i].MaxTokens {
			t.Fatalf("completion %d has %d tokens, MaxTokens was %d", i, c.CompletionTokens, requests[i].MaxTokens)
		}
		if c.Stop != "" && (c.Finish != llm.FinishStop || !slices.Contains(requests[i].Stop, c.Stop)) {
			t.Errorf("completion %d ended (%s) by the stop text %q, of %q", i, c.Finish, c.Stop, requests[i].Stop)
		}
		if c.PromptTokens < 1 {
			t.Errorf("completion %d counts %d prompt tokens", i, c.PromptTokens)
		}
	}
	return out
}

// longest returns the prompt with the longest greedy completion, and that completion.
func (s suite) longest(t *testing.T, g llm.Generator) (int, llm.Completion) {
	t.Helper()
	best, completion := 0, llm.Completion{}
	for i := range s.Prompts {
		c := generate(t, g, s.request(i, 0, 0))[0]
		if len(strings.Fields(c.Text)) > len(strings.Fields(completion.Text)) {
			best, completion = i, c
		}
	}
	if n := len(strings.Fields(completion.Text)); n < 4 {
		t.Fatalf("llmtest: the longest greedy completion has %d words, need prompts that give at least 4", n)
	}
	return best, completion
}

func (s suite) emptyBatch(t *testing.T) {
	if out, err := s.newGenerator(t).Generate(t.Context(), nil); err != nil || len(out) != 0 {
		t.Errorf("no requests gave %v, %v", out, err)
	}
}

// seeds: the same seed gives the same text, and some other seed another.
func (s suite) seeds(t *testing.T) {
	g := s.newGenerator(t)
	varied := false
	for i := range s.Prompts {
		texts := map[string]bool{}
		for seed := range uint64(12) {
			a, b := generate(t, g, s.request(i, 1, seed))[0], generate(t, g, s.request(i, 1, seed))[0]
			if a.Text != b.Text || a.Finish != b.Finish {
				t.Errorf("prompt %d with seed %d gave %q and then %q", i, seed, a.Text, b.Text)
			}
			texts[a.Text] = true
		}
		varied = varied || len(texts) > 1
	}
	if !varied {
		t.Error("12 seeds gave the same text for every prompt at temperature 1")
	}
}

// greedy: temperature 0 ignores the seed, and keeping only the likeliest token is the same thing.
func (s suite) greedy(t *testing.T) {
	g := s.newGenerator(t)
	for i := range s.Prompts {
		want := generate(t, g, s.request(i, 0, 1))[0].Text
		seeded := s.request(i, 0, 2)
		top, nucleus := s.request(i, 1, 3), s.request(i, 1, 4)
		top.TopK, nucleus.TopP = 1, 1e-9
		for k, c := range generate(t, g, seeded, top, nucleus) {
			if c.Text != want {
				t.Errorf("prompt %d: greedy gave %q, %s %q", i, want, []string{"another seed", "TopK 1", "TopP 1e-9"}[k], c.Text)
			}
		}
	}
}

// batchIndependence: order is kept, and a completion does not depend on what it was asked together with.
func (s suite) batchIndependence(t *testing.T) {
	g := s.newGenerator(t)
	var requests []llm.Request
	for i := range s.Prompts {
		for seed := range uint64(4) {
			r := s.request(i, float64(seed%2), seed)
			r.MaxTokens = 1 + (7*i+3*int(seed))%s.MaxTokens
			requests = append(requests, r)
		}
	}
	together := generate(t, g, requests...)
	for i, r := range requests {
		if alone := generate(t, g, r)[0]; alone.Text != together[i].Text || alone.Finish != together[i].Finish {
			t.Errorf("request %d (%s, seed %d) alone gave %q (%s), in a batch %q (%s)", i, r.ID, r.Seed, alone.Text, alone.Finish, together[i].Text, together[i].Finish)
		}
	}
	slices.Reverse(requests)
	reversed := generate(t, g, requests...)
	slices.Reverse(reversed)
	for i := range together {
		if together[i].Text != reversed[i].Text {
			t.Errorf("request %d gave %q, in a reversed batch %q", i, together[i].Text, reversed[i].Text)
		}
	}
}

func (s suite) maxTokens(t *testing.T) {
	g := s.newGenerator(t)
	i, full := s.longest(t, g)
	for n := 1; n <= 2; n++ {
		r := s.request(i, 0, 0)
		r.MaxTokens = n
		c := generate(t, g, r)[0]
		if c.Finish != llm.FinishLength || c.CompletionTokens != n {
			t.Errorf("MaxTokens %d gave %d tokens and Finish %q, want %q", n, c.CompletionTokens, c.Finish, llm.FinishLength)
		}
		if !strings.HasPrefix(full.Text, c.Text) {
			t.Errorf("MaxTokens %d gave %q, which does not begin %q", n, c.Text, full.Text)
		}
	}
}

// stop: the text ends in front of the stop text. White space in front of it may stay or go, and so may the beginning of
// the word in whose middle the stop text lies.
func (s suite) stop(t *testing.T) {
	g := s.newGenerator(t)
	i, full := s.longest(t, g)
	words := strings.Fields(full.Text)
	for _, stop := range []string{words[len(words)/2], words[1] + " " + words[2], words[0]} {
		r := s.request(i, 0, 0)
		r.Stop = []string{"never said", stop}
		c := generate(t, g, r)[0]
		if c.Finish != llm.FinishStop || c.Stop != stop {
			t.Errorf("stop %q: Finish is %q, Stop is %q", stop, c.Finish, c.Stop)
		}
		if strings.Contains(c.Text, stop) {
			t.Errorf("stop %q is part of %q", stop, c.Text)
		}
		want, _, _ := strings.Cut(full.Text, stop)
		rest, ok := strings.CutPrefix(want, c.Text)
		if !ok || strings.Contains(strings.TrimSpace(rest), " ") || (rest != "" && strings.HasSuffix(want, " ") && strings.TrimSpace(rest) != "") {
			t.Errorf("stop %q gave %q, want %q of %q", stop, c.Text, want, full.Text)
		}
	}
	r := s.request(i, 0, 0)
	r.Stop = []string{"never said"}
	if c := generate(t, g, r)[0]; c.Text != full.Text || c.Stop != "" {
		t.Errorf("a stop text that does not occur changed %q into %q, Stop is %q", full.Text, c.Text, c.Stop)
	}
}

// prefix: what the model would have written anyway, given as a prefix, is carried on in the same way. The texts join
// without anything added between them.
func (s suite) prefix(t *testing.T) {
	g := s.newGenerator(t)
	i, full := s.longest(t, g)
	for at, c := range full.Text {
		if c != ' ' || at == 0 {
			continue
		}
		r := s.request(i, 0, 0)
		r.Prefix = full.Text[:at]
		rest := generate(t, g, r)[0]
		whole := r.Prefix + rest.Text
		// with the same MaxTokens the continuation may go further than the original did
		agrees := whole == full.Text
		if full.Finish == llm.FinishLength {
			agrees = strings.HasPrefix(whole, full.Text)
		}
		if !agrees {
			t.Errorf("prefix %q was carried on as %q, want %q", r.Prefix, rest.Text, full.Text[at:])
		}
	}
}

func (s suite) logProbs(t *testing.T) {
	g := s.newGenerator(t)
	for i := range s.Prompts {
		for seed := range uint64(4) {
			r := s.request(i, float64(seed%3)/2, seed)
			if c := generate(t, g, r)[0]; len(c.Tokens) != 0 {
				t.Errorf("%d tokens that nobody asked for", len(c.Tokens))
			}
			plain := generate(t, g, r)[0].Text
			r.LogProbs = true
			c := generate(t, g, r)[0]
			if c.Text != plain {
				t.Errorf("asking for probabilities changed %q into %q", plain, c.Text)
			}
			if s.NoLogProbs {
				if len(c.Tokens) != 0 {
					t.Errorf("%d tokens from a model without probabilities", len(c.Tokens))
				}
				continue
			}
			if len(c.Tokens) != c.CompletionTokens {
				t.Errorf("%d tokens, but CompletionTokens is %d", len(c.Tokens), c.CompletionTokens)
			}
			var text strings.Builder
			for _, token := range c.Tokens {
				text.WriteString(token.Text)
				if !(token.LogProb <= 0) || math.IsInf(token.LogProb, -1) {
					t.Errorf("token %q has log-probability %g", token.Text, token.LogProb)
				}
			}
			if text.String() != c.Text {
				t.Errorf("tokens spell %q, the text is %q", text.String(), c.Text)
			}
		}
	}
}

// frequencies: at temperature 1 the first token comes as often as its log-probability says.
func (s suite) frequencies(t *testing.T) {
	if s.NoLogProbs {
		return
	}
	g := s.newGenerator(t)
	const n = 400
	for i := range s.Prompts {
		requests := make([]llm.Request, n)
		for k := range requests {
			requests[k] = s.request(i, 1, uint64(1000+k))
			requests[k].MaxTokens, requests[k].LogProbs = 1, true
		}
		count, claimed := map[string]int{}, map[string]float64{}
		for _, c := range generate(t, g, requests...) {
			if len(c.Tokens) == 1 {
				count[c.Tokens[0].Text]++
				claimed[c.Tokens[0].Text] = math.Exp(c.Tokens[0].LogProb)
			}
		}
		for text, k := range count {
			p, f := claimed[text], float64(k)/n
			if sd := math.Sqrt(p * (1 - p) / n); math.Abs(f-p) > 5*sd+1e-6 && math.Abs(f-p) > 3.0/n {
				t.Errorf("prompt %d: first token %q came in %.3f of %d samples, its log-probability says %.3f", i, text, f, n, p)
			}
		}
	}
}

// bans: a banned word is not written from the token BanFrom on, however the completion is sampled; before it, everything is
// as it would be.
func (s suite) bans(t *testing.T) {
	g := s.newGenerator(t)
	i, full := s.longest(t, g)
	words := strings.Fields(full.Text)
	if s.NoBans {
		r := s.request(i, 0, 0)
		r.Ban = words[:1]
		if out, err := g.Generate(t.Context(), []llm.Request{r}); !errors.Is(err, llm.ErrInvalid) || len(out) != 0 {
			t.Errorf("a ban gave %v, %v, want an error that wraps llm.ErrInvalid", out, err)
		}
		return
	}
	var requests []llm.Request
	for seed := range uint64(12) {
		r := s.request(i, float64(seed%3), seed)
		r.TopK, r.TopP = []int{0, 0, 2}[seed%3], []float64{0, .5}[seed%2]
		requests = append(requests, r)
	}
	free := generate(t, g, requests...)
	for at := range min(len(words), 5) {
		banned := slices.Clone(requests)
		for k := range banned {
			banned[k].Ban, banned[k].BanFrom = words[max(0, at-1):at+1], at
		}
		for k, c := range generate(t, g, banned...) {
			got, want := strings.Fields(c.Text), strings.Fields(free[k].Text)
			if n := min(at, len(want)); len(got) < n || !slices.Equal(got[:n], want[:n]) {
				t.Errorf("seed %d: %q, with a ban from %d on %q", k, free[k].Text, at, c.Text)
			}
			for _, word := range got[min(at, len(got)):] {
				if slices.Contains(banned[k].Ban, word) {
					t.Errorf("seed %d: %q is banned from %d on, but %q was written", k, word, at, c.Text)
				}
			}
		}
	}
	for k := range requests {
		requests[k].Ban, requests[k].BanFrom = words, s.MaxTokens
	}
	for k, c := range generate(t, g, requests...) {
		if c.Text != free[k].Text || c.Finish != free[k].Finish {
			t.Errorf("seed %d: a ban that is never reached changed %q into %q", k, free[k].Text, c.Text)
		}
	}
}

// banFrequencies: with the likeliest word banned the others come as often as their log-probabilities say, which are told
// as if nothing were banned.
func (s suite) banFrequencies(t *testing.T) {
	if s.NoBans || s.NoLogProbs {
		return
	}
	g := s.newGenerator(t)
	const n = 400
	for i := range s.Prompts {
		requests := make([]llm.Request, 2*n)
		for k := range requests {
			requests[k] = s.request(i, 1, uint64(1000+k))
			requests[k].MaxTokens, requests[k].LogProbs = 1, true
		}
		likeliest := s.request(i, 0, 0)
		likeliest.MaxTokens, likeliest.LogProbs = 1, true
		first := generate(t, g, likeliest)[0]
		if len(first.Tokens) == 0 {
			continue // the model would end here
		}
		banned, left := first.Tokens[0], 1-math.Exp(first.Tokens[0].LogProb)
		for k := range n {
			requests[k].Ban = []string{strings.TrimSpace(banned.Text)}
		}
		count, told := map[string]float64{}, map[string]float64{}
		for k, c := range generate(t, g, requests...) {
			if len(c.Tokens) == 0 {
				continue
			}
			token := c.Tokens[0]
			if before, ok := told[token.Text]; ok && math.Abs(before-token.LogProb) > 1e-6 {
				t.Errorf("prompt %d: first token %q has log-probability %g or %g; a ban must not change it", i, token.Text, before, token.LogProb)
			}
			told[token.Text] = token.LogProb
			if k < n {
				count[token.Text]++
			}
		}
		for text, k := range count {
			p, f := math.Exp(told[text])/left, k/n
			if sd := math.Sqrt(p * max(0, 1-p) / n); math.Abs(f-p) > 5*sd+1e-6 && math.Abs(f-p) > 3.0/n {
				t.Errorf("prompt %d: with %q banned, first token %q came in %.3f of %d samples, its log-probability says %.3f", i, banned.Text, text, f, n, p)
			}
		}
	}
}

// tools: whoever is offered tools answers with whole calls, as far as they may be called, and takes their results; or refuses all of
// it as invalid.
func (s suite) tools(t *testing.T) {
	g := s.newGenerator(t)
	r := s.request(0, 0, 0)
	r.Tools = []llm.ToolSpec{{Name: "now", Description: "the time"}, {Name: "add", Schema: json.RawMessage(`{"type":"object"}`)}}
	past := s.request(0, 0, 0)
	past.Messages = append(past.Messages, llm.Message{Role: llm.Assistant, Calls: []llm.ToolCall{{ID: "call_x", Name: "now", Arguments: "{}"}}},
		llm.Message{Role: llm.Tool, CallID: "call_x", Text: s.Prompts[1]})
	_, err := g.Generate(t.Context(), []llm.Request{r})
	refuses := errors.Is(err, llm.ErrInvalid)
	if refuses == s.Tools {
		t.Fatalf("tools were offered: error %v; Options.Tools is %v", err, s.Tools)
	}
	for name, choice := range map[string]string{"auto": llm.ToolAuto, "none": llm.ToolNone, "required": llm.ToolRequired, "one": "add", "a past call": "past"} {
		q := r
		if q.ToolChoice = choice; choice == "past" {
			q = past
		}
		out, err := g.Generate(t.Context(), []llm.Request{s.request(1, 0, 0), q})
		if refuses {
			var at *llm.RequestError
			if !errors.As(err, &at) || !errors.Is(err, llm.ErrInvalid) || at.Index != 1 || len(out) != 0 {
				t.Errorf("%s: %d completions, error %v, want a *llm.RequestError about request 1 that wraps llm.ErrInvalid", name, len(out), err)
			}
			continue
		}
		if err != nil || len(out) != 2 {
			t.Errorf("%s: %d completions, error %v", name, len(out), err)
			continue
		}
		c := out[1]
		if (c.Finish == llm.FinishTools) != (len(c.Calls) > 0) || len(out[0].Calls) > 0 {
			t.Errorf("%s: finish %s with %d calls, and %d calls where no tools were offered", name, c.Finish, len(c.Calls), len(out[0].Calls))
		}
		if must := choice == llm.ToolRequired || choice == "add"; must && len(c.Calls) == 0 || (choice == llm.ToolNone || choice == "past") && len(c.Calls) > 0 {
			t.Errorf("%s: %d calls", name, len(c.Calls))
		}
		ids := map[string]bool{"": true, "call_x": choice == "past"}
		for _, call := range c.Calls {
			if ids[call.ID] || call.Name == "" || choice == "add" && call.Name != "add" {
				t.Errorf("%s: call %+v, must have an ID of its own and the name of a tool that may be called", name, call)
			}
			ids[call.ID] = true
		}
	}
}

func (s suite) invalid(t *testing.T) {
	g := s.newGenerator(t)
	for name, spoil := range map[string]func(*llm.Request){
		"MaxTokens":   func(r *llm.Request) { r.MaxTokens = 0 },
		"Temperature": func(r *llm.Request) { r.Temperature = math.NaN() },
		"TopK":        func(r *llm.Request) { r.TopK = -1 },
		"TopP":        func(r *llm.Request) { r.TopP = 1.5 },
		"messages":    func(r *llm.Request) { r.Messages = nil },
		"role":        func(r *llm.Request) { r.Messages = []llm.Message{{Role: "robot", Text: s.Prompts[0]}} },
		"stop":        func(r *llm.Request) { r.Stop = []string{""} },
		"ban":         func(r *llm.Request) { r.Ban = []string{"no such word"} },
		"BanFrom":     func(r *llm.Request) { r.BanFrom = -1 },
	} {
		bad := s.request(1, 0, 0)
		spoil(&bad)
		out, err := g.Generate(t.Context(), []llm.Request{s.request(0, 0, 0), bad, s.request(2, 0, 0)})
		var at *llm.RequestError
		switch {
		case !errors.As(err, &at) || !errors.Is(err, llm.ErrInvalid):
			t.Errorf("%s: error %v, want a *llm.RequestError that wraps llm.ErrInvalid", name, err)
		case at.Index != 1 || at.ID != bad.ID:
			t.Errorf("%s: error is about request %d (%q), want 1 (%q)", name, at.Index, at.ID, bad.ID)
		}
		if len(out) != 0 {
			t.Errorf("%s: %d completions beside an error", name, len(out))
		}
	}
}

func (s suite) cancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	out, err := s.newGenerator(t).Generate(ctx, []llm.Request{s.request(0, 0, 0)})
	if !errors.Is(err, context.Canceled) || len(out) != 0 {
		t.Errorf("a cancelled context gave %d completions and error %v", len(out), err)
	}
}

// concurrency: one generator used by several goroutines gives each what it would get alone.
func (s suite) concurrency(t *testing.T) {
	g := s.newGenerator(t)
	want := make([]string, len(s.Prompts))
	for i := range want {
		want[i] = generate(t, g, s.request(i, 1, 5))[0].Text
	}
	var wg sync.WaitGroup
	for k := range 8 {
		wg.Go(func() {
			i := k % len(want)
			out, err := g.Generate(context.Background(), []llm.Request{s.request(i, 1, 5)})
			if err != nil || len(out) != 1 || out[0].Text != want[i] {
				t.Errorf("beside others, prompt %d gave %v, %v, want %q", i, out, err, want[i])
			}
		})
	}
	wg.Wait()
}
