package decode

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"unicode"

	"candor/engine/tensor"
	"candor/engine/tokenizer"
	"candor/engine/transformer"
	"candor/reasoning/llm"
)

// Generator is the local llm.Generator: a model and its words. It is safe for concurrent use; concurrent calls wait for
// one another, since one batch already keeps all threads busy.
//
// The prompt is the text of the messages and the prefix, joined by single spaces; roles do not matter to a model that has
// only ever seen plain text. A completion ends at the word <|end|>, which is not part of its text. Words of the text are
// separated by single spaces; the text begins with a space if it carries on a prefix that does not end in white space, so that
// prefix and text join as they are.
//
// A stop text is matched against whole text, so that it may begin or end within a word; a space at its ends matches the
// edge of a word. The text ends before the first word that the stop text touches.
type Generator struct {
	tok    *tokenizer.Tokenizer
	end    int32
	spaced []string // by token, its word with a space in front

	mu      sync.Mutex
	sampler *Sampler
}

// NewGenerator returns a generator that works on pool's threads. The tokenizer must have a word for each of the model's
// tokens, [tokenizer.End] among them. While Generate runs the model must not be changed.
func NewGenerator(m *transformer.Model, tok *tokenizer.Tokenizer, pool *tensor.Pool) (*Generator, error) {
	if tok.Size() != m.Config.Vocab {
		return nil, fmt.Errorf("making a generator: the tokenizer has %d words, but the model a vocabulary of %d", tok.Size(), m.Config.Vocab)
	}
	end, ok := tok.ID(tokenizer.End)
	if !ok {
		return nil, fmt.Errorf("making a generator: the tokenizer lacks the word %s, at which completions end", tokenizer.End)
	}
	g := &Generator{tok: tok, end: end, sampler: NewSampler(m, pool)}
	for _, word := range tok.Words() {
		g.spaced = append(g.spaced, " "+word)
	}
	return g, nil
}

// Generate implements llm.Generator. A word that the model does not know, or a prompt that is longer than its context, is
// the fault of one request: the error is an *llm.RequestError that says which word or length it is and what would do.
func (g *Generator) Generate(ctx context.Context, requests []llm.Request) ([]llm.Completion, error) {
	batch := make([]Request, len(requests))
	stops := stopTexts{}
	for i := range requests {
		r, err := g.translate(&requests[i], stops)
		if err != nil {
			return nil, &llm.RequestError{Index: i, ID: requests[i].ID, Err: err}
		}
		batch[i] = r
	}
	results, err := g.Sample(ctx, batch)
	var invalid *InvalidError
	if errors.As(err, &invalid) {
		return nil, &llm.RequestError{Index: invalid.Index, ID: requests[invalid.Index].ID, Err: invalid.Err}
	}
	if err != nil {
		return nil, err
	}
	out := make([]llm.Completion, len(requests))
	for i := range out {
		out[i] = g.completion(&requests[i], &batch[i], results[i], stops)
	}
	return out, nil
}

// Sample is that of [Sampler], for whoever has tokens at hand.
func (g *Generator) Sample(ctx context.Context, requests []Request) ([]Result, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.sampler.Sample(ctx, requests)
}

// Hold and Release are those of [Sampler].
func (g *Generator) Hold() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.sampler.Hold()
}

// Release ends what Hold began.
func (g *Generator) Release() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.sampler.Release()
}

// translate turns words into tokens.
func (g *Generator) translate(r *llm.Request, stops stopTexts) (Request, error) {
	if err := r.Validate(); err != nil {
		return Request{}, err
	}
	if r.Reasoning != "" || r.Concluded {
		return Request{}, fmt.Errorf("%w: this model keeps no chain of thought apart from its text: put what it has thought into Prefix", llm.ErrInvalid)
	}
	if len(r.Tools) > 0 {
		return Request{}, fmt.Errorf("%w: this model cannot call tools: offer none", llm.ErrInvalid)
	}
	for i, m := range r.Messages {
		if m.Role == llm.Tool || len(m.Calls) > 0 {
			return Request{}, fmt.Errorf("%w: message %d is about the call of a tool, which this model does not know", llm.ErrInvalid, i)
		}
	}
	out := Request{
		MaxTokens: r.MaxTokens, Temperature: r.Temperature, TopK: r.TopK, TopP: r.TopP, Seed: r.Seed,
		Stop: []int32{g.end},
	}
	words := 1 + strings.Count(r.Prefix, " ")
	for _, m := range r.Messages {
		words += 1 + strings.Count(m.Text, " ")
	}
	out.Prompt = make([]int32, 0, words)
	var err error
	for i, m := range r.Messages {
		if out.Prompt, err = g.tok.AppendEncode(out.Prompt, m.Text); err != nil {
			return out, fmt.Errorf("message %d: %w", i, err)
		}
	}
	if out.Prompt, err = g.tok.AppendEncode(out.Prompt, r.Prefix); err != nil {
		return out, fmt.Errorf("prefix: %w", err)
	}
	if len(out.Prompt) == 0 {
		return out, fmt.Errorf("%w: messages and prefix have no words", llm.ErrInvalid)
	}
	out.Ban, out.BanFrom = make([]int32, 0, len(r.Ban)), r.BanFrom
	for _, word := range r.Ban {
		id, ok := g.tok.ID(word)
		if !ok {
			return out, fmt.Errorf("%w: the word %q to be banned is none of the model's", llm.ErrInvalid, word)
		}
		out.Ban = append(out.Ban, id)
	}
	for _, stop := range r.Stop {
		seqs, err := stops.of(g, stop)
		if err != nil {
			return out, err
		}
		out.StopSeqs = append(out.StopSeqs, seqs...)
	}
	return out, nil
}

// stopTexts remembers what stopSeqs returns, for one call of Generate.
type stopTexts map[string][][]int32

func (s stopTexts) of(g *Generator, stop string) (seqs [][]int32, err error) {
	seqs, known := s[stop]
	if !known {
		if seqs, err = g.stopSeqs(stop); err == nil {
			s[stop] = seqs
		}
	}
	return seqs, err
}

// stopSeqs returns the sequences of tokens whose text, with a space at either end, contains the stop text while no part
// of them does. Text in which words are separated otherwise than by single spaces is never written and gives none.
func (g *Generator) stopSeqs(stop string) ([][]int32, error) {
	if stop == " " {
		return nil, fmt.Errorf("%w: a single space as stop text would end every completion after one word; set MaxTokens to 1 instead", llm.ErrInvalid)
	}
	words := strings.Split(stop, " ")
	last := len(words) - 1
	seqs := [][]int32{nil}
	for i, part := range words {
		if part == "" && (i == 0 || i == last) {
			continue // a space at the edge
		}
		var next [][]int32
		for id := range int32(g.tok.Size()) {
			word := g.tok.Word(id)
			var fits bool
			switch {
			case i == 0 && i == last:
				fits = strings.Contains(word, part)
			case i == 0:
				fits = strings.HasSuffix(word, part)
			case i == last:
				fits = strings.HasPrefix(word, part)
			default:
				fits = word == part
			}
			if fits && id != g.end {
				for _, s := range seqs {
					next = append(next, append(s[:len(s):len(s)], id))
				}
			}
		}
		seqs = next
	}
	return seqs, nil
}

// completion turns tokens into words.
func (g *Generator) completion(r *llm.Request, request *Request, result Result, stops stopTexts) llm.Completion {
	tokens := result.Tokens
	stop := ""
	if result.Finish == llm.FinishStop {
		var n int
		stop, n = g.stopped(r, tokens, stops)
		tokens = tokens[:len(tokens)-n]
	}
	c := llm.Completion{Finish: result.Finish, Stop: stop, PromptTokens: len(request.Prompt), CompletionTokens: len(tokens)}
	var text strings.Builder
	joined := r.Prefix != "" && strings.TrimRightFunc(r.Prefix, unicode.IsSpace) == r.Prefix
	if r.LogProbs && len(tokens) > 0 {
		c.Tokens = make([]llm.Token, 0, len(tokens))
	}
	for i, id := range tokens {
		word := g.spaced[id]
		if i == 0 && !joined {
			word = word[1:]
		}
		text.WriteString(word)
		if r.LogProbs {
			c.Tokens = append(c.Tokens, llm.Token{Text: word, LogProb: float64(result.LogProbs[i])})
		}
	}
	c.Text = text.String()
	return c
}

// stopped returns the stop text that ended a completion, "" for the model's own end, and how many of the last tokens belong to
// it: of several, the one with the most.
func (g *Generator) stopped(r *llm.Request, tokens []int32, stops stopTexts) (text string, length int) {
	length = 1
	if tokens[len(tokens)-1] == g.end {
		return "", length
	}
	for _, stop := range r.Stop {
		seqs, _ := stops.of(g, stop) // its error was returned by translate
		for _, seq := range seqs {
			if n := len(seq); (text == "" || n > length) && endsIn(tokens, seq) {
				text, length = stop, n
			}
		}
	}
	return text, length
}
