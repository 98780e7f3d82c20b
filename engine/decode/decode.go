// Package decode samples completions from a transformer, many at a time.
//
// A [Sampler] answers a batch of token requests; a [Generator] wraps it for text and implements llm.Generator.
//
// How it works. Requests are sorted by prompt, so that equal prompts lie side by side. Each thread takes some dozens of
// them at a time, reads each distinct prompt once (a ragged batch) and keeps its keys and values in a cache that all its
// completions share; a completion has a cache of its own for what it writes. A step then carries one token of every
// running completion through the model at once: one matrix product for each linear layer, and in attention one for all
// completions of the same prompt. Completions that end make room, and when half of a thread's rows are free it takes
// further requests.
//
// What a completion says depends on its request alone: not on the other requests, on their order or on the number of
// threads. Every number of the forward pass is the same chain of additions as in transformer.Scorer (see kernel.Gemm), so
// that even the bits agree with a full forward pass over the whole text, and random numbers come from a stream of the
// request's own.
//
// A chain that is written in several calls would have its beginning read anew by each. Between [Sampler.Hold] and
// [Sampler.Release] caches of ended completions are kept, and a prompt that begins with an earlier one goes on from there.
//
// In a steady state nothing is allocated for a token.
package decode

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"candor/engine/tensor"
	"candor/engine/transformer"
	"candor/reasoning/llm"
)

// Request asks for one completion of a prompt. The slices are only read.
type Request struct {
	// Prompt has 1 to context tokens.
	Prompt []int32
	// MaxTokens bounds the completion, at least 1; the model's context bounds it, too.
	MaxTokens int
	// Temperature 0 takes the likeliest token (of equals the one with the smallest id); 1 samples from the model's own
	// distribution.
	Temperature float64
	// TopK keeps the k likeliest tokens; 0 keeps all.
	TopK int
	// TopP keeps, of what TopK left at this temperature, the likeliest tokens that together reach this probability (Holtzman
	// et al. 2020); 0 or 1 keeps all.
	TopP float64
	// Stop are tokens that end the completion.
	Stop []int32
	// StopSeqs are sequences of tokens that end the completion when it ends in one of them.
	StopSeqs [][]int32
	// Ban are tokens that are not sampled from the completion's token BanFrom on; some token must be left.
	Ban     []int32
	BanFrom int
	// Seed alone determines the random numbers of this completion.
	Seed uint64
}

// Result is a completion.
type Result struct {
	// Tokens are what was sampled, the stopping token or sequence included.
	Tokens []int32
	// LogProbs are the natural logarithms of their probabilities, at temperature 1 and untruncated whatever the request says.
	LogProbs []float32
	// Finish is llm.FinishStop if a stop token or sequence was sampled, else llm.FinishLength.
	Finish llm.Finish
}

// InvalidError says which request cannot be answered and why.
type InvalidError struct {
	Index int
	Err   error
}

func (e *InvalidError) Error() string { return fmt.Sprintf("request %d: %v", e.Index, e.Err) }

// Unwrap returns the reason.
func (e *InvalidError) Unwrap() error { return e.Err }

// fullRows is how many completions a thread carries at most. More would make matrix products hardly more efficient, but
// push the caches out of the processor's.
const fullRows = 64

// Sampler samples from one model. It is for one goroutine; the model must not be changed during Sample, but may be
// between calls.
type Sampler struct {
	model   *transformer.Model
	pool    *tensor.Pool
	packed  *transformer.Packed
	workers []*worker // one for each thread

	// The current call.
	ctx      context.Context
	requests []Request
	results  []Result
	order    []int32 // indices of requests, sorted by prompt
	rows     int     // how many completions a worker carries at most
	mu       sync.Mutex
	next     int // the first of order that no worker has taken

	held map[uint64][]*sequence // ended completions by the hash of their prompts; nil if none are held
}

// NewSampler returns a sampler that works on pool's threads.
func NewSampler(m *transformer.Model, pool *tensor.Pool) *Sampler {
	s := &Sampler{model: m, pool: pool, packed: transformer.NewPacked(m)}
	for range pool.Threads() {
		s.workers = append(s.workers, newWorker(s))
	}
	return s
}

// Sample answers requests: result i belongs to request i. The error is an [*InvalidError] if a request is impossible, and
// wraps ctx.Err() if the context ends; nothing is returned then.
func (s *Sampler) Sample(ctx context.Context, requests []Request) ([]Result, error) {
	for i := range requests {
		if err := s.check(&requests[i]); err != nil {
			return nil, &InvalidError{i, err}
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("sampling %d completions: %w", len(requests), err)
	}
	if len(requests) == 0 {
		return nil, nil
	}
	s.prepare(ctx, requests)
	s.pool.Run(len(s.workers), func(i int) { s.workers[i].run() })
	results := s.results
	s.ctx, s.requests, s.results = nil, nil, nil
	if err := ctx.Err(); err != nil && slices.ContainsFunc(results, func(r Result) bool { return r.Finish == "" }) {
		return nil, fmt.Errorf("sampling %d completions: %w", len(requests), err)
	}
	return results, nil
}

// check says what is impossible about a request.
func (s *Sampler) check(r *Request) error {
	c := s.model.Config
	switch {
	case len(r.Prompt) == 0:
		return errors.New("the prompt is empty: give at least one token to go on from")
	case len(r.Prompt) > c.Context:
		return fmt.Errorf("the prompt has %d tokens, but the model's context takes at most %d", len(r.Prompt), c.Context)
	case r.MaxTokens < 1:
		return fmt.Errorf("the setting MaxTokens is %d, must be at least 1", r.MaxTokens)
	case !(r.Temperature >= 0 && r.Temperature <= 100):
		return fmt.Errorf("the setting Temperature is %g, must be between 0 and 100", r.Temperature)
	case r.TopK < 0:
		return fmt.Errorf("TopK is %d, must be 0 (all) or more", r.TopK)
	case !(r.TopP >= 0 && r.TopP <= 1):
		return fmt.Errorf("TopP is %g, must be between 0 and 1", r.TopP)
	}
	for i, tok := range r.Prompt {
		if tok < 0 || int(tok) >= c.Vocab {
			return fmt.Errorf("token %d of the prompt is %d, outside the vocabulary of %d", i, tok, c.Vocab)
		}
	}
	for i, tok := range r.Ban {
		if tok < 0 || int(tok) >= c.Vocab {
			return fmt.Errorf("token %d of those banned is %d, outside the vocabulary of %d", i, tok, c.Vocab)
		}
	}
	if len(r.Ban) >= c.Vocab && distinct(r.Ban) == c.Vocab {
		return errors.New("every token is banned: leave at least one")
	}
	for i, seq := range r.StopSeqs {
		if len(seq) == 0 {
			return fmt.Errorf("stop sequence %d is empty", i)
		}
	}
	return nil
}

// distinct counts how many tokens are among some.
func distinct(tokens []int32) int {
	seen := map[int32]bool{}
	for _, t := range tokens {
		seen[t] = true
	}
	return len(seen)
}

// limit returns how many tokens a request can get at most: a context of n tokens is enough to predict one more.
func (s *Sampler) limit(r *Request) int {
	return min(r.MaxTokens, s.model.Config.Context-len(r.Prompt)+1)
}

// prepare sets up the fields of the current call.
func (s *Sampler) prepare(ctx context.Context, requests []Request) {
	s.ctx, s.requests, s.next = ctx, requests, 0
	threads := len(s.workers)
	s.rows = min(fullRows, (len(requests)+threads-1)/threads)
	s.packed.Pack(s.pool, false)
	s.order = s.order[:0]
	total := 0
	for i := range requests {
		s.order = append(s.order, int32(i))
		total += s.limit(&requests[i])
	}
	slices.SortStableFunc(s.order, func(a, b int32) int { return slices.Compare(requests[a].Prompt, requests[b].Prompt) })
	s.results = make([]Result, len(requests))
	tokens, logProbs := make([]int32, total), make([]float32, total)
	for i := range requests {
		n := s.limit(&requests[i])
		s.results[i] = Result{Tokens: tokens[:0:n], LogProbs: logProbs[:0:n]}
		tokens, logProbs = tokens[n:], logProbs[n:]
	}
}

// take gives a worker up to n requests that nobody has, as a part of order.
func (s *Sampler) take(n int) []int32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	n = min(n, len(s.order)-s.next)
	part := s.order[s.next : s.next+n]
	s.next += n
	return part
}

// done says whether workers have taken all requests.
func (s *Sampler) done() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.next == len(s.order)
}
