package llmtest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"candor/internal/rng"
	"candor/reasoning/llm"
)

// Fake is a Generator whose words come from a function: a language model with one word a token. It keeps the requests
// that it has answered. Use it by pointer; it is safe for concurrent use if Next is.
type Fake struct {
	// Next returns the word that follows, "" to end the completion, and the natural logarithm of its probability at
	// temperature 1. It must depend on nothing but its argument, so that order and batches do not matter. A word has no
	// white space. A request whose ban Next does not keep to (see [State].Banned) is refused.
	Next func(s *State) (word string, logProb float64)
	// Calls returns the tools that are called, with IDs, once Next has ended the completion. nil makes a fake that cannot call
	// tools and refuses them.
	Calls func(llm.Request) []llm.ToolCall

	mu       sync.Mutex
	requests []llm.Request
}

// State is what [Fake].Next knows when it chooses a word.
type State struct {
	Request llm.Request
	// Prompt is the text of the messages, joined by single spaces.
	Prompt string
	// Words are the assistant's words so far, those of Request.Prefix included.
	Words []string
	// Written counts the words of this completion: the last so many of Words.
	Written int
	// Rand is a stream that depends on Request.Seed alone.
	Rand *rng.Source

	script []string
}

// Greedy says whether the likeliest word is asked for: temperature 0, or a truncation that leaves one word.
func (s *State) Greedy() bool {
	return s.Request.Temperature == 0 || s.Request.TopK == 1 || (s.Request.TopP > 0 && s.Request.TopP < 1e-6)
}

// Banned returns the words that may not come next.
func (s *State) Banned() []string {
	if s.Written < s.Request.BanFrom {
		return nil
	}
	return s.Request.Ban
}

// Scripted returns a fake that answers each request with the words of reply's text, each of probability 1. reply returns
// what follows after Request.Prefix; it is called once for each request and must depend on nothing but its argument.
// Stop texts and MaxTokens cut the text as they would any model's.
func Scripted(reply func(llm.Request) string) *Fake {
	return &Fake{Next: func(s *State) (string, float64) {
		if s.Written == 0 {
			s.script = strings.Fields(reply(s.Request))
		}
		if s.Written == len(s.script) {
			return "", 0
		}
		return s.script[s.Written], 0
	}}
}

// Requests returns the requests answered so far, in the order of the calls.
func (f *Fake) Requests() []llm.Request {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.requests)
}

// Generate implements [llm.Generator].
func (f *Fake) Generate(ctx context.Context, requests []llm.Request) ([]llm.Completion, error) {
	for i, r := range requests {
		if err := f.validate(r); err != nil {
			return nil, &llm.RequestError{Index: i, ID: r.ID, Err: err}
		}
	}
	out := make([]llm.Completion, len(requests))
	for i, r := range requests {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("generating completion %d of %d: %w", i, len(requests), err)
		}
		var err error
		if out[i], err = f.complete(r); err != nil {
			return nil, &llm.RequestError{Index: i, ID: r.ID, Err: err}
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.requests = append(f.requests, requests...)
	return out, nil
}

func (f *Fake) validate(r llm.Request) error {
	about := func(m llm.Message) bool { return m.Role == llm.Tool || len(m.Calls) > 0 }
	if f.Calls == nil && (len(r.Tools) > 0 || slices.ContainsFunc(r.Messages, about)) {
		return fmt.Errorf("%w: this fake cannot call tools", llm.ErrInvalid)
	}
	for _, word := range r.Ban {
		if words := strings.Fields(word); len(words) != 1 || words[0] != word {
			return fmt.Errorf("%w: %q to be banned is no word", llm.ErrInvalid, word)
		}
	}
	return r.Validate()
}

func (f *Fake) complete(r llm.Request) (llm.Completion, error) {
	prompt := make([]string, len(r.Messages))
	for i, m := range r.Messages {
		prompt[i] = m.Text
	}
	src := rng.New(r.Seed)
	s := &State{Request: r, Prompt: strings.Join(prompt, " "), Words: strings.Fields(r.Prefix), Rand: &src}
	c := llm.Completion{Finish: llm.FinishLength, PromptTokens: len(strings.Fields(s.Prompt)) + len(s.Words)}
	var tokens []llm.Token
	var text string
	for s.Written < r.MaxTokens {
		word, logProb := f.Next(s)
		if word == "" {
			c.Finish = llm.FinishStop
			break
		}
		if slices.Contains(s.Banned(), word) {
			return c, fmt.Errorf("%w: this fake cannot do without the banned word %q", llm.ErrInvalid, word)
		}
		s.Words = append(s.Words, word)
		s.Written++
		if text != "" || (r.Prefix != "" && !strings.HasSuffix(r.Prefix, " ")) {
			word = " " + word
		}
		tokens = append(tokens, llm.Token{Text: word, LogProb: logProb})
		text += word
		if at, stop := firstStop(text, r.Stop); at >= 0 {
			tokens, text = cut(tokens, at)
			c.Finish, c.Stop = llm.FinishStop, stop
			break
		}
	}
	if f.Calls != nil && len(r.Tools) > 0 && r.ToolChoice != llm.ToolNone && c.Finish == llm.FinishStop && c.Stop == "" {
		if c.Calls = f.Calls(r); len(c.Calls) > 0 {
			c.Finish = llm.FinishTools
		}
	}
	c.Text, c.CompletionTokens = text, len(tokens)
	if r.LogProbs {
		c.Tokens = tokens
	}
	return c, nil
}

// firstStop returns where the earliest stop text begins in text, or -1, and which it is.
func firstStop(text string, stops []string) (first int, which string) {
	first = -1
	for _, stop := range stops {
		if at := strings.Index(text, stop); at >= 0 && (first < 0 || at < first) {
			first, which = at, stop
		}
	}
	return first, which
}

// cut keeps the tokens that end at byte at or before, and returns them with their text.
func cut(tokens []llm.Token, at int) ([]llm.Token, string) {
	var text strings.Builder
	for i, t := range tokens {
		if text.Len()+len(t.Text) > at {
			return tokens[:i], text.String()
		}
		text.WriteString(t.Text)
	}
	return tokens, text.String()
}
