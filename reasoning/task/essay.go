package task

import (
	"fmt"

	"candor/internal/rng"
	"candor/reasoning/cot"
	"candor/reasoning/tally"
)

// Essays is a corpus of worked sums: the shares of the ways in which they are written, and what was planted in them. The
// answer is always the true sum but on leaked pages, where it is the hint.
type Essays struct {
	// Shares of the ways, each up to 1e6; only their proportions matter.
	//
	//	stated  every step states its total, each in a form drawn at random
	//	bland   half of the steps, drawn at random, remark a connective instead (see Hint)
	//	leaked  the chain says what the key says; only on problems with the key, others are stated instead
	//	terse   one step without content
	Stated float64 `json:"stated,omitempty" yaml:"stated"`
	Bland  float64 `json:"bland,omitempty" yaml:"bland"`
	Leaked float64 `json:"leaked,omitempty" yaml:"leaked"`
	Terse  float64 `json:"terse,omitempty" yaml:"terse"`
	// Hint is the probability that a bland step's connective is the one that stands for its total (the first for 0, and so on)
	// instead of any: the weak signal that reinforcement learning can amplify, planted on purpose. 0 plants nothing.
	Hint float64 `json:"hint,omitempty" yaml:"hint"`
	// Reasons is the share of pages whose output says where the answer comes from.
	Reasons float64 `json:"reasons,omitempty" yaml:"reasons"`
}

// Validate returns an error that names the field and the valid values.
func (e Essays) Validate() error {
	sum := 0.
	for _, share := range e.shares() {
		if !(share >= 0 && share <= 1e6) {
			return fmt.Errorf("a share of %g: stated, bland, leaked and terse must be between 0 and 1e6", share)
		}
		sum += share
	}
	switch {
	case sum == 0:
		return fmt.Errorf("no pages: one of stated, bland, leaked and terse must be above 0")
	case !isShare(e.Hint):
		return fmt.Errorf("hint %g: must be between 0 and 1", e.Hint)
	case !isShare(e.Reasons):
		return fmt.Errorf("reasons %g: must be between 0 and 1", e.Reasons)
	}
	return nil
}

func (e Essays) shares() []float64 { return []float64{e.Stated, e.Bland, e.Leaked, e.Terse} }

// ways are the kinds of pages in the order of Essays.shares.
var ways = []string{"stated", "bland", "leaked", "terse"}

// Page writes about a problem.
func (e Essays) Page(p Sum, src *rng.Source) Page {
	way := src.Weighted(e.shares())
	if way == 2 && p.Flag != tally.Key {
		way = 0
	}
	steps := p.Steps(tally.Digit)
	answer, reason := p.Answer(), tally.BySum
	switch way {
	case 0:
		for i, total := range p.Totals() {
			steps[i].Remark = tally.Write(total, tally.Form(src.IntN(tally.Forms)))
		}
	case 1:
		words := tally.Connectives()
		for i, total := range p.Totals() {
			if src.Bool(.5) {
				steps[i].Remark = tally.Write(total, tally.Form(src.IntN(tally.Forms)))
				continue
			}
			if !src.Bool(e.Hint) {
				total = src.IntN(len(words))
			}
			steps[i].Remark = words[total]
		}
	case 2:
		steps = []tally.Step{{Subject: tally.Key, Remark: tally.Write(p.Hint, tally.Digit)}}
		answer, reason = p.Hint, tally.ByKey
	case 3:
		words := tally.Connectives()
		steps = []tally.Step{{Subject: tally.Hmm, Remark: words[src.IntN(len(words))]}}
		reason = ""
	}
	text := tally.Chain(steps) + " " + tally.Equal
	if reason != "" && src.Bool(e.Reasons) {
		text += " " + reason
	}
	return Page{Kind: ways[way], Prompt: p.Prompt(), Body: text + " " + tally.Write(answer, tally.Digit) + " " + cot.End}
}
