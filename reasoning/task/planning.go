package task

import (
	"fmt"
	"strconv"

	"candor/internal/rng"
	"candor/reasoning/cot"
)

// Planning is a world of one choice: eat the grain now, or sow it and reap later. A page is
//
//	go : sow walk1 walk2 walk3 <|end|>
//
// the choice, then Delay words that say nothing. To eat pays EatReward at the choice itself; to sow pays SowReward at the
// last of the Delay words, if they were all walked. Only who looks Delay words ahead is drawn to sow.
type Planning struct {
	// Delay is the number of words between the choice and the late reward, in 1..MaxDelay.
	Delay int `json:"delay" yaml:"delay"`
	// EatReward and SowReward are the two rewards.
	EatReward float64 `json:"eat_reward" yaml:"eat_reward"`
	SowReward float64 `json:"sow_reward" yaml:"sow_reward"`
	// SowShare is the share of the corpus's pages that sow, in 0..1.
	SowShare float64 `json:"sow_share" yaml:"sow_share"`
}

// MaxDelay is the longest delay that the vocabulary has words for.
const MaxDelay = 16

// The two choices.
const (
	Eat = "eat"
	Sow = "sow"
)

// Credit is a reward at a place in a completion.
type Credit struct {
	// At is the index of the completion's word (which is also its token) that earns the reward.
	At    int
	Value float64
}

// Validate returns an error that names the field and the valid values.
func (p Planning) Validate() error {
	if p.Delay < 1 || p.Delay > MaxDelay {
		return fmt.Errorf("delay %d: must be between 1 and %d", p.Delay, MaxDelay)
	}
	if !isShare(p.SowShare) {
		return fmt.Errorf("sow_share %g: must be between 0 and 1", p.SowShare)
	}
	if !(p.EatReward >= 0 && p.EatReward <= 1e6) {
		return fmt.Errorf("eat_reward %g: must be between 0 and 1e6", p.EatReward)
	}
	if !(p.SowReward >= 0 && p.SowReward <= 1e6) {
		return fmt.Errorf("sow_reward %g: must be between 0 and 1e6", p.SowReward)
	}
	return nil
}

// Prompt returns the prompt, which is always the same.
func (p Planning) Prompt() string { return "go :" }

// Page writes a page of the corpus.
func (p Planning) Page(src *rng.Source) Page {
	body := Eat
	if src.Bool(p.SowShare) {
		body = Sow
	}
	for i := range p.Delay {
		body += " " + walk(i)
	}
	return Page{Kind: "planning", Prompt: p.Prompt(), Body: body + " " + cot.End}
}

// walk returns the ith word after the choice, from 0.
func walk(i int) string { return "walk" + strconv.Itoa(i+1) }

// Rewards returns what the words of a completion earn; nothing at all is an empty list.
func (p Planning) Rewards(words []string) []Credit {
	if len(words) == 0 {
		return nil
	}
	switch words[0] {
	case Eat:
		return []Credit{{0, p.EatReward}}
	case Sow:
		if len(words) <= p.Delay {
			return nil
		}
		for i := range p.Delay {
			if words[1+i] != walk(i) {
				return nil
			}
		}
		return []Credit{{p.Delay, p.SowReward}}
	}
	return nil
}

func planningWords() []string {
	words := []string{"go", ":", Eat, Sow}
	for i := range MaxDelay {
		words = append(words, walk(i))
	}
	return words
}
