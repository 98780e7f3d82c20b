// Package compose builds systems out of many calls of one language model.
//
// Every call is a plain continuation of a text by an [llm.Generator]; nothing is trained, and a system has no weights and
// no files of its own. What a system adds is only how often it asks, what it keeps, and what it writes in front of the
// next call. The systems, around the same model:
//
//   - [Direct] forces the answer at once: what the forward pass can do alone.
//   - [Chain] samples one chain of thought.
//   - [SelfConsistency] samples several and lets their answers vote (Wang et al. 2022, arXiv 2203.11171).
//   - [TreeOfThoughts] searches over steps (Yao et al. 2023, arXiv 2305.10601).
//   - [CalculatorLoop] lets a calculator write the sums and residues (in the manner of PAL and Toolformer: Gao et al.
//     2022, arXiv 2211.10435; Schick et al. 2023, arXiv 2302.04761).
//
// [TwoPart] is a system of two models, or of one in two roles: a private reasoner, a paraphraser, monitors, and a face that
// writes what the user may see. It gives a [Transcript] in place of an [Outcome]. [Dialogue] is the same around models that hold
// conversations; [Parts] is either. An [Agent] has such a system pursue a goal with tools: each action is reviewed by who has not seen
// the conversation, and recorded, before it is done.
//
// A system solves many problems at once, in rounds: the calls that all problems are waiting for go out as one batch, so a
// local model runs them as one matrix product. An outcome depends on its own [Prompt] alone, never on the problems
// solved beside it, and all randomness comes from [Prompt.Seed].
//
// [Limits] bound what is spent on one problem. A system that reaches one returns what it has, with [Outcome.Partial]
// saying which limit it was; it is not an error.
package compose

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"candor/internal/rng"
	"candor/reasoning/cot"
	"candor/reasoning/llm"
)

// Prompt is one problem as the model reads it.
type Prompt struct {
	// ID names the problem in errors and in the generator's log; it has no influence on the outcome.
	ID string
	// Text is the prompt, such as "q i14 6 i15 2 i16 . mod 5 ; steps :".
	Text string
	// Seed starts the streams from which all calls on the problem draw their seeds.
	Seed uint64
	// Ask is what a user asked, for [Dialogue], which says what it reads of it. It is nil elsewhere.
	Ask *llm.Request
}

// Limit names a bound in [Limits].
type Limit string

// The limits, as they are recorded in [Outcome.Partial].
const (
	LimitCompletion Limit = "completion"
	LimitCalls      Limit = "calls"
	LimitTokens     Limit = "tokens"
	LimitDepth      Limit = "depth"
)

// Limits bound the work on one problem.
type Limits struct {
	// Completion is the most tokens that one chain may have, its answer included; at least 1. A chain that is longer, or
	// that the model's context cuts, is partial.
	Completion int
	// Calls is the most calls of the model; 0 sets no bound.
	Calls int
	// Tokens is the most tokens sampled by all calls together; 0 sets no bound. A call reserves what it may write at
	// most, and calls for which too little is left wait for what others did not use. So the bound always holds.
	Tokens int
	// Depth is the most steps of a chain, in the systems that go step by step (tree, calculator); 0 sets no bound.
	Depth int
}

func (l Limits) validate() error {
	switch {
	case l.Completion < 1:
		return fmt.Errorf("Limits.Completion is %d, must be at least 1 token", l.Completion)
	case l.Calls < 0 || l.Tokens < 0 || l.Depth < 0:
		return fmt.Errorf("Limits.Calls, Tokens and Depth are %d, %d and %d, must be 0 (no bound) or more", l.Calls, l.Tokens, l.Depth)
	}
	return nil
}

// Outcome is what a system made of one problem.
type Outcome struct {
	// Text is the chosen chain, its answer included, and Trace the same parsed.
	Text  string
	Trace cot.Trace
	// Written are the tokens of Text with their log-probabilities, if the model tells them; their texts join to Text. A
	// number that the calculator wrote has log-probability 0, and the cue that [Direct] forces is not among them.
	Written []llm.Token
	// Calls and Tokens count the calls on the problem and the tokens sampled in them, discarded ones included.
	Calls, Tokens int
	// Votes counts the candidates that reached each answer, where a system has several; otherwise it is nil.
	Votes map[int]int
	// Corrections counts the numbers that the calculator wrote other than the model would have.
	Corrections int
	// Partial is the limit that ended the work early, "" if none did.
	Partial Limit
}

// System solves problems by calls of a model.
type System interface {
	// Name names the system in records, such as "self-consistency".
	Name() string
	// Solve returns outcome i for prompt i. An error is about the system's settings or comes from the model (wrapped); no
	// outcome is returned then. An answer that cannot be read is no error: see Trace.Parsed.
	Solve(ctx context.Context, prompts []Prompt) ([]Outcome, error)
}

// machine is one problem in the making: drive asks it for its next calls until there are none.
type machine interface {
	// ask returns the next calls; none if the work is over.
	ask() []llm.Request
	// take receives the completions of the calls that ask returned last, in order.
	take([]llm.Completion) error
	outcome() Outcome
}

// drive runs machines in rounds, the calls of one round as one batch, and collects the outcomes.
func drive[M machine](ctx context.Context, name string, model llm.Generator, machines []M) ([]Outcome, error) {
	waiting := make([]M, len(machines))
	copy(waiting, machines)
	for round := 1; ; round++ {
		var batch []llm.Request
		var counts []int
		still := waiting[:0]
		for _, m := range waiting {
			if requests := m.ask(); len(requests) > 0 {
				batch = append(batch, requests...)
				counts = append(counts, len(requests))
				still = append(still, m)
			}
		}
		waiting = still
		if len(batch) == 0 {
			break
		}
		completions, err := model.Generate(ctx, batch)
		if err != nil {
			return nil, fmt.Errorf("%s, round %d: %w", name, round, err)
		}
		if len(completions) != len(batch) {
			return nil, fmt.Errorf("%s, round %d: the model gave %d completions for %d requests", name, round, len(completions), len(batch))
		}
		for i, m := range waiting {
			if err := m.take(completions[:counts[i]]); err != nil {
				return nil, fmt.Errorf("%s, round %d: %w", name, round, err)
			}
			completions = completions[counts[i]:]
		}
	}
	outcomes := make([]Outcome, len(machines))
	for i, m := range machines {
		outcomes[i] = m.outcome()
	}
	return outcomes, nil
}

// problem is what all machines keep: the prompt, the seeds and the account of calls and tokens.
type problem struct {
	prompt      Prompt
	messages    []llm.Message // the prompt's; only read
	limits      Limits
	temperature float64
	src         rng.Source
	calls       int   // calls granted
	tokens      int   // tokens sampled
	reserved    int   // tokens that the calls under way may still write
	refused     Limit // the limit that refused the last call, if one did
}

func newProblem(p Prompt, system string, limits Limits, temperature float64) problem {
	return problem{
		prompt: p, messages: []llm.Message{{Role: llm.User, Text: p.Text}}, limits: limits, temperature: temperature,
		src: rng.New(p.Seed).Split("compose/" + system),
	}
}

// call returns a request that carries prefix on by at most want tokens, or false if a limit forbids another call now. A
// call for which too few tokens are left is granted with those only if no other is under way, for then no more will come.
func (p *problem) call(prefix string, want int) (llm.Request, bool) {
	p.refused = ""
	if p.limits.Calls > 0 && p.calls >= p.limits.Calls {
		p.refused = LimitCalls
		return llm.Request{}, false
	}
	if p.limits.Tokens > 0 {
		left := p.limits.Tokens - p.tokens - p.reserved
		if left < 1 || left < want && p.reserved > 0 {
			p.refused = LimitTokens
			return llm.Request{}, false
		}
		want = min(want, left)
	}
	seed := p.src.SplitN("call", p.calls)
	r := llm.Request{
		ID:          p.prompt.ID + "/" + strconv.Itoa(p.calls),
		Messages:    p.messages,
		Prefix:      prefix,
		MaxTokens:   want,
		Temperature: p.temperature,
		Seed:        seed.Uint64(),
		LogProbs:    true,
	}
	p.calls++
	p.reserved += want
	return r, true
}

// account books completions that came back.
func (p *problem) account(completions []llm.Completion) {
	p.reserved = 0
	for _, c := range completions {
		p.tokens += c.CompletionTokens
	}
}

// cutLimit says which limit cut a completion that was not ended by the model.
func (p *problem) cutLimit(c llm.Completion) Limit {
	switch {
	case c.Finish != llm.FinishLength:
		return ""
	case p.limits.Tokens > 0 && p.tokens >= p.limits.Tokens:
		return LimitTokens
	default:
		return LimitCompletion
	}
}

// candidate is a chain with the tokens that it was sampled as.
type candidate struct {
	text   string
	tokens []llm.Token
	length int // tokens in text; known even where the model does not tell them
}

// then returns the candidate carried on by the first n bytes of a completion's text.
func (c candidate) then(next llm.Completion, n int) candidate {
	kept, length := keep(next, n)
	out := candidate{text: c.text + next.Text[:n], length: c.length + length}
	out.tokens = append(append(make([]llm.Token, 0, len(c.tokens)+len(kept)+1), c.tokens...), kept...)
	return out
}

// logProb is the natural logarithm of the probability of the candidate's tokens at temperature 1; 0 if it has none.
func (c candidate) logProb() float64 {
	var sum float64
	for _, t := range c.tokens {
		sum += t.LogProb
	}
	return sum
}

// meanLogProb is the same per token.
func (c candidate) meanLogProb() float64 {
	if len(c.tokens) == 0 {
		return 0
	}
	return c.logProb() / float64(len(c.tokens))
}

// keep returns the tokens that lie in the first n bytes of a completion, and how many they are. A model that tells no
// tokens is charged for the whole completion.
func keep(c llm.Completion, n int) ([]llm.Token, int) {
	if len(c.Tokens) == 0 {
		return nil, c.CompletionTokens
	}
	end := 0
	for i, t := range c.Tokens {
		if end += len(t.Text); end > n {
			return c.Tokens[:i], i
		}
	}
	return c.Tokens, len(c.Tokens)
}

// checkSettings validates what all systems have.
func checkSettings(name string, model llm.Generator, temperature float64, limits Limits, more ...error) error {
	errs := []error{limits.validate()}
	if model == nil {
		errs = append(errs, errors.New("the Model is nil, must be a generator"))
	}
	if !(temperature >= 0) || temperature > 100 {
		errs = append(errs, fmt.Errorf("the Temperature is %g, must be between 0 and 100", temperature))
	}
	if err := errors.Join(append(errs, more...)...); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// atLeast returns an error if a setting is below a bound.
func atLeast(setting string, value, bound int) error {
	if value < bound {
		return fmt.Errorf("%s is %d, must be at least %d", setting, value, bound)
	}
	return nil
}
