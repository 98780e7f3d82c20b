package compose

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"candor/reasoning/cot"
	"candor/reasoning/llm"
)

// Score says how [TreeOfThoughts] judges a chain in the making.
type Score string

// The ways to judge.
const (
	// ByAgreement is voting, as in self-consistency, after every step: of a chain's candidates the share that reached the
	// same state, in whatever words, times the chain's own score. So a score is the product of the shares of votes along
	// the chain. A state is the step's number, label and total, and at the end the answer.
	ByAgreement Score = "agreement"
	// ByLogProb is the mean log-probability of the chain's tokens (nats, at temperature 1). The model must tell it.
	ByLogProb Score = "logprob"
)

// TreeOfThoughts searches over steps, breadth first (Yao et al. 2023, BFS with b = Beam and k = Branch): each of the kept
// chains is carried on by Branch sampled steps, candidates that reached the same state count as one, and the Beam best are
// kept, until all kept chains are finished. The best finished chain with a readable answer is returned. The judge is the
// same language model (its agreement with itself, or its probabilities), not another prompt.
//
// A step is sampled as StepTokens tokens of plain continuation, of which all after the first step that [cot.Parse] sees is
// thrown away. A continuation without a step is kept whole: it is the answer, or prose that goes on.
//
// A beam above 1 helps where a wrong step shows later, as disagreement or improbable words. Where slips are independent
// and show nowhere it does harm: scores along whole chains are noisier than the vote on one step, so with 5 votes a step
// Beam 1 is better than 3 (see the tests).
type TreeOfThoughts struct {
	Model llm.Generator
	// Branch is the number of steps sampled from each kept chain, Beam the number of chains kept; both at least 1.
	Branch, Beam int
	// StepTokens is at least the tokens of one step with its separator: 9 for candor's own tasks.
	StepTokens  int
	Score       Score
	Temperature float64
	Limits      Limits
}

// Name returns "tree-of-thoughts".
func (TreeOfThoughts) Name() string { return "tree-of-thoughts" }

// Solve implements [System]. Outcome.Votes counts the finished chains by answer, pruned ones included.
func (s TreeOfThoughts) Solve(ctx context.Context, prompts []Prompt) ([]Outcome, error) {
	var badScore error
	if s.Score != ByAgreement && s.Score != ByLogProb {
		badScore = fmt.Errorf("the Score is %q, must be %q or %q", s.Score, ByAgreement, ByLogProb)
	}
	err := checkSettings(s.Name(), s.Model, s.Temperature, s.Limits,
		atLeast("Branch", s.Branch, 1), atLeast("Beam", s.Beam, 1), atLeast("StepTokens", s.StepTokens, 1), badScore)
	if err != nil {
		return nil, err
	}
	trees := make([]*tree, len(prompts))
	for i, p := range prompts {
		trees[i] = &tree{problem: newProblem(p, s.Name(), s.Limits, s.Temperature), system: s,
			beam: []*node{{weight: 1}}, votes: map[int]int{}}
	}
	return drive(ctx, s.Name(), s.Model, trees)
}

// node is a chain in the making.
type node struct {
	candidate
	state  string  // chains in the same state count as one
	steps  int     // steps in text
	weight float64 // score by agreement, 0 to 1; before merge, the share of one vote in it
	parent *node   // whose child it is in the round under way, else nil
	done   bool    // nothing can follow
	cut    Limit   // the limit that ended it, if one did
	trace  cot.Trace
}

// tree is one problem being searched.
type tree struct {
	problem
	system  TreeOfThoughts
	beam    []*node // best first
	parents []*node // the parent of each call under way
	votes   map[int]int
	partial Limit
}

func (t *tree) ask() []llm.Request {
	var requests []llm.Request
	t.parents = t.parents[:0]
	open := false
	for _, n := range t.beam {
		if n.done {
			continue
		}
		left := min(t.system.StepTokens, t.limits.Completion-n.length)
		if left < 1 {
			n.done, n.cut = true, LimitCompletion
			continue
		}
		open = true
		for range t.system.Branch {
			r, ok := t.call(n.text, left)
			if !ok {
				break
			}
			requests = append(requests, r)
			t.parents = append(t.parents, n)
		}
	}
	if open && len(requests) == 0 {
		t.partial = t.refused
	}
	return requests
}

func (t *tree) take(completions []llm.Completion) error {
	t.account(completions)
	branches := map[*node]int{}
	for _, n := range t.parents {
		branches[n]++
	}
	// chains that are finished, or had no call this time, stay in the running
	var pool []*node
	for _, n := range t.beam {
		if branches[n] == 0 {
			pool = append(pool, n)
		}
	}
	tooDeep := map[*node]int{}
	for i, c := range completions {
		if t.system.Score == ByLogProb && len(c.Tokens) == 0 && c.CompletionTokens > 0 {
			return errors.New("the model tells no probabilities: choose the score " + strconv.Quote(string(ByAgreement)))
		}
		parent := t.parents[i]
		child := parent.grow(c)
		child.parent, child.weight = parent, parent.weight/float64(branches[parent])
		if t.limits.Depth > 0 && child.steps > t.limits.Depth {
			tooDeep[parent]++
			continue
		}
		if child.done && child.trace.Parsed {
			t.votes[child.trace.Answer]++
		}
		pool = append(pool, child)
	}
	for _, n := range t.beam {
		if tooDeep[n] > 0 && tooDeep[n] == branches[n] {
			n.done, n.cut = true, LimitDepth
			pool = append(pool, n)
		}
	}
	t.beam = t.best(merge(pool))
	return nil
}

// grow returns the chain carried on by a completion, cut after its first new step.
func (n *node) grow(c llm.Completion) *node {
	whole := n.text + c.Text
	trace := cot.Parse(whole)
	if len(trace.Steps) > n.steps {
		step := trace.Steps[n.steps]
		if step.End > len(n.text) {
			child := &node{candidate: n.then(c, step.End-len(n.text)), steps: n.steps + 1}
			child.state = fmt.Sprintf("step %d %s %d", child.steps, step.Label, step.Total)
			if step.End == len(whole) && c.Finish == llm.FinishStop {
				child.finish(trace)
			}
			return child
		}
	}
	child := &node{candidate: n.then(c, len(c.Text)), steps: n.steps}
	child.state = "text " + child.text
	if c.Finish == llm.FinishStop {
		child.finish(trace)
	} else if c.CompletionTokens == 0 { // the model's context is full
		child.finish(trace)
		child.cut = LimitCompletion
	}
	return child
}

func (n *node) finish(trace cot.Trace) {
	n.done, n.trace = true, trace
	if trace.Parsed {
		n.state = "answer " + strconv.Itoa(trace.Answer)
	} else {
		n.state = "end " + n.text
	}
}

// merge makes one node of those in the same state: the votes of one parent's children add up, then the heaviest node is
// kept, of equal ones the likeliest, then the first. The order is that of first appearance.
func merge(pool []*node) []*node {
	type family struct {
		parent *node
		state  string
	}
	votes := map[family]float64{}
	for _, n := range pool {
		votes[family{n.parent, n.state}] += n.weight
	}
	var out []*node
	index := map[string]int{}
	for _, n := range pool {
		n.weight = votes[family{n.parent, n.state}]
		i, ok := index[n.state]
		switch {
		case !ok:
			index[n.state] = len(out)
			out = append(out, n)
		case n.weight > out[i].weight, n.weight == out[i].weight && n.meanLogProb() > out[i].meanLogProb():
			out[i] = n
		}
	}
	for _, n := range out {
		n.parent = nil
	}
	return out
}

// best sorts nodes by score and keeps the Beam best.
func (t *tree) best(nodes []*node) []*node {
	slices.SortStableFunc(nodes, func(a, b *node) int {
		if t.system.Score == ByAgreement && a.weight != b.weight {
			return descending(a.weight, b.weight)
		}
		return descending(a.meanLogProb(), b.meanLogProb())
	})
	return nodes[:min(len(nodes), t.system.Beam)]
}

func descending(a, b float64) int {
	switch {
	case a > b:
		return -1
	case a < b:
		return 1
	}
	return 0
}

// outcome is the best finished chain with an answer; failing that, the best chain.
func (t *tree) outcome() Outcome {
	chosen := t.beam[0]
	for _, n := range t.beam {
		if n.done && n.trace.Parsed {
			chosen = n
			break
		}
	}
	out := Outcome{Text: chosen.text, Trace: cot.Parse(chosen.text), Written: chosen.tokens,
		Calls: t.calls, Tokens: t.tokens, Votes: t.votes, Partial: t.partial}
	if out.Partial == "" {
		out.Partial = chosen.cut
	}
	return out
}
