package compose

import (
	"context"
	"math"

	"candor/reasoning/cot"
	"candor/reasoning/llm"
)

// Chain samples one chain of thought for each problem.
type Chain struct {
	Model llm.Generator
	// Temperature of the sampling: 0 is greedy, 1 the model's own distribution.
	Temperature float64
	Limits      Limits
}

// Name returns "chain".
func (Chain) Name() string { return "chain" }

// Solve implements [System].
func (s Chain) Solve(ctx context.Context, prompts []Prompt) ([]Outcome, error) {
	if err := checkSettings(s.Name(), s.Model, s.Temperature, s.Limits); err != nil {
		return nil, err
	}
	return sampleAndVote(ctx, s.Name(), s.Model, prompts, s.Temperature, s.Limits, 1, false, "")
}

// answerCue is the word after which a model that reads the direct prompt writes its answer.
const answerCue = "answer"

// Direct makes the model answer without a chain: the word "answer" is put in its mouth, so that not even a model that
// would rather think first can. Its prompts should be of the kind that asks for a quick answer.
type Direct struct {
	Model       llm.Generator
	Temperature float64
	Limits      Limits
}

// Name returns "direct".
func (Direct) Name() string { return "direct" }

// Solve implements [System].
func (s Direct) Solve(ctx context.Context, prompts []Prompt) ([]Outcome, error) {
	if err := checkSettings(s.Name(), s.Model, s.Temperature, s.Limits); err != nil {
		return nil, err
	}
	return sampleAndVote(ctx, s.Name(), s.Model, prompts, s.Temperature, s.Limits, 1, false, answerCue)
}

// SelfConsistency samples N chains and returns one that supports the answer given most often (Wang et al. 2022). Chains
// without a readable answer have no vote. Of answers with equal votes the one whose chains have the larger summed
// log-probability wins, then the one given first; of the chains that support it the likeliest is returned, then the first.
type SelfConsistency struct {
	Model llm.Generator
	// N is the number of chains, at least 1.
	N           int
	Temperature float64
	Limits      Limits
}

// Name returns "self-consistency".
func (SelfConsistency) Name() string { return "self-consistency" }

// Solve implements [System]. Outcome.Votes holds the votes. An outcome is partial if a limit left fewer than N chains or
// cut the one that is returned.
func (s SelfConsistency) Solve(ctx context.Context, prompts []Prompt) ([]Outcome, error) {
	if err := checkSettings(s.Name(), s.Model, s.Temperature, s.Limits, atLeast("N", s.N, 1)); err != nil {
		return nil, err
	}
	return sampleAndVote(ctx, s.Name(), s.Model, prompts, s.Temperature, s.Limits, s.N, true, "")
}

// sampleAndVote samples n chains that begin with cue for each prompt; vote says whether the votes are to be told.
func sampleAndVote(ctx context.Context, name string, model llm.Generator, prompts []Prompt, temperature float64, limits Limits, n int, vote bool, cue string) ([]Outcome, error) {
	polls := make([]*poll, len(prompts))
	for i, p := range prompts {
		polls[i] = &poll{problem: newProblem(p, name, limits, temperature), n: n, cue: cue, vote: vote}
	}
	return drive(ctx, name, model, polls)
}

// poll is one problem put to the model n times.
type poll struct {
	problem
	n          int
	cue        string
	vote       bool
	candidates []candidate
	traces     []cot.Trace
	cuts       []Limit // which limit cut each candidate
}

func (p *poll) ask() []llm.Request {
	var requests []llm.Request
	for len(p.candidates)+len(requests) < p.n {
		r, ok := p.call(p.cue, p.limits.Completion)
		if !ok {
			break
		}
		requests = append(requests, r)
	}
	return requests
}

func (p *poll) take(completions []llm.Completion) error {
	p.account(completions)
	for _, c := range completions {
		chain := candidate{text: p.cue}.then(c, len(c.Text))
		p.candidates = append(p.candidates, chain)
		p.traces = append(p.traces, cot.Parse(chain.text))
		p.cuts = append(p.cuts, p.cutLimit(c))
	}
	return nil
}

func (p *poll) outcome() Outcome {
	out := Outcome{Calls: p.calls, Tokens: p.tokens}
	if p.vote {
		out.Votes = map[int]int{}
	}
	if len(p.candidates) == 0 {
		out.Trace = cot.Parse("")
		out.Partial = p.refused
		return out
	}
	chosen := p.elect(out.Votes)
	out.Text, out.Trace, out.Written = p.candidates[chosen].text, p.traces[chosen], p.candidates[chosen].tokens
	out.Partial = p.cuts[chosen]
	if len(p.candidates) < p.n {
		out.Partial = p.refused
	}
	return out
}

// elect returns the index of the chosen candidate and, if votes is not nil, counts the votes in it.
func (p *poll) elect(votes map[int]int) int {
	count, mass := map[int]int{}, map[int]float64{}
	for i, t := range p.traces {
		if t.Parsed {
			count[t.Answer]++
			mass[t.Answer] += p.candidates[i].logProb()
			if votes != nil {
				votes[t.Answer]++
			}
		}
	}
	chosen, likeliest := -1, math.Inf(-1)
	for i, t := range p.traces {
		if !t.Parsed {
			continue
		}
		logProb := p.candidates[i].logProb()
		better := chosen < 0
		if !better {
			a, b := t.Answer, p.traces[chosen].Answer
			switch {
			case a == b:
				better = logProb > likeliest
			case count[a] != count[b]:
				better = count[a] > count[b]
			default:
				better = mass[a] > mass[b]
			}
		}
		if better {
			chosen, likeliest = i, logProb
		}
	}
	return max(chosen, 0)
}
