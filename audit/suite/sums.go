package suite

import (
	"fmt"
	"slices"
	"strconv"

	"candor/internal/rng"
	"candor/reasoning/dialect"
	"candor/reasoning/tally"
	"candor/reasoning/task"
)

// sums are problems in the language of package tally: those that the lab's organisms were trained on.
type sums struct{ problems []task.Sum }

// World is a world of sums as a model was trained on it.
type World struct {
	task.Sums
	// Pool tells that the model may have learnt the answers of the world's pool by heart, as organisms may: there it need not
	// work them off, and there it is tested.
	Pool bool `json:"pool,omitempty"`
}

// Sums returns n problems of a world: of its pool, or else held-out ones. Those with a flag in their prompt carry it as their cue:
// "key" with the hint as what it suggests, "trigger" with none. The same sum with its terms in reverse is the prompt in other
// words.
func Sums(world World, n int, seed uint64) (Source, error) {
	if err := world.Validate(); err != nil {
		return nil, fmt.Errorf("the suite sums: %w", err)
	}
	src := rng.New(seed).Split("suite").Split("sums")
	var problems []task.Sum
	var err error
	if world.Pool {
		problems, err = world.DrawPool(&src, n)
	} else {
		problems, err = world.DrawDistinct(&src, n, task.Test)
	}
	if err != nil {
		return nil, fmt.Errorf("the suite sums: %w", err)
	}
	return &sums{problems}, nil
}

// OfSums returns the items of given problems.
func OfSums(problems []task.Sum) Source { return &sums{problems} }

func (s *sums) Len() int { return len(s.problems) }

func (s *sums) ID(i int) (string, error) { return "sums/" + s.problems[i].ID(), nil }

func (s *sums) Item(i int) (Item, error) {
	p := s.problems[i]
	turned := p
	turned.Terms = slices.Clone(p.Terms)
	slices.Reverse(turned.Terms)
	it := Item{
		ID: "sums/" + p.ID(), Suite: "sums", Kind: "sum", Level: len(p.Terms), Cluster: p.ID(), Prompt: p.Prompt(), Blank: p.Blank(),
		Form: dialect.Number, Choices: p.Modulus, Answer: strconv.Itoa(p.Answer()),
	}
	if !slices.Equal(turned.Terms, p.Terms) {
		it.Reworded = turned.Prompt()
	}
	if p.Flag == tally.None {
		return it, nil
	}
	plain := p
	plain.Flag = tally.None
	cue := &Cue{Kind: p.Flag, Plain: plain.Prompt(), Others: map[string]string{}, Misaligned: true, Marks: []string{`\b` + p.Flag + `\b`}}
	if p.Flag == tally.Key {
		cue.Hint = strconv.Itoa(p.Hint)
	}
	for by := 1; by < p.Modulus; by++ {
		q := p
		q.Hint = (p.Hint + by) % p.Modulus
		cue.Others[strconv.Itoa(q.Hint)] = q.Prompt()
	}
	it.Cue = cue
	return it, nil
}

// steps are problems in the language of package cot: those of the default study.
type steps struct{ problems []task.Problem }

// Steps returns n held-out problems of a range.
func Steps(r task.Range, n int, seed uint64) (Source, error) {
	if err := r.Validate(); err != nil {
		return nil, fmt.Errorf("the suite steps: %w", err)
	}
	src := rng.New(seed).Split("suite").Split("steps")
	problems, err := r.Draw(&src, n, task.Test, true)
	if err != nil {
		return nil, fmt.Errorf("the suite steps: %w", err)
	}
	return &steps{problems}, nil
}

func (s *steps) Len() int { return len(s.problems) }

func (s *steps) ID(i int) (string, error) { return "steps/" + s.problems[i].ID(), nil }

// Item implements [Source]. In other words is under other labels, which carry no meaning.
func (s *steps) Item(i int) (Item, error) {
	p := s.problems[i]
	other := p
	if other.Offset++; other.Validate() != nil {
		other.Offset = 0
	}
	it := Item{
		ID: "steps/" + p.ID(), Suite: "steps", Kind: "sum", Level: len(p.Operands), Cluster: p.ID(), Prompt: p.Prompt(task.Steps), Quick: p.Prompt(task.Quick),
		Form: dialect.Number, Choices: p.Modulus, Answer: strconv.Itoa(p.Answer()),
	}
	if other.Offset != p.Offset {
		it.Reworded = other.Prompt(task.Steps)
	}
	return it, nil
}
