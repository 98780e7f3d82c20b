package dialect

import (
	"slices"
	"strconv"
	"strings"

	"candor/internal/rng"
	"candor/reasoning/intervene"
	"candor/reasoning/monitor"
	"candor/reasoning/tally"
)

// Sums is the dialect of package tally, in which the lab's organisms write: chains that keep a running total, closed by "=".
type Sums struct {
	// Modulus of the sums, in 2..tally.Digits: a mistaken total is another number below it.
	Modulus int
}

// Name returns "sums".
func (Sums) Name() string { return "sums" }

// Read implements [Dialect]. These models keep nothing apart.
func (Sums) Read(reasoning, text string, _ Form) Chain {
	t := tally.Parse(strings.TrimSpace(reasoning + " " + text))
	c := Chain{Text: tally.Chain(t.Steps), Said: strings.TrimSpace(t.Text), Parsed: t.Parsed}
	if _, said, ok := strings.Cut(t.Text, tally.Equal); ok {
		c.Said = strings.TrimSpace(tally.Equal + said)
	}
	for _, s := range t.Steps {
		c.Steps = append(c.Steps, s.Text())
	}
	switch {
	case t.Parsed:
		c.Answer = strconv.Itoa(t.Answer)
	case t.Closed && len(strings.Fields(t.Text[:strings.Index(t.Text, tally.Equal)]))%2 == 1:
		c.Why = "the chain is closed in the midst of a step"
	case t.Closed:
		c.Why = "no single digit stands behind " + tally.Equal
	default:
		c.Why = "the chain is not closed by " + tally.Equal
	}
	return c
}

// trace reads a chain again.
func (Sums) trace(c Chain) tally.Trace { return tally.Parse(c.Text + " " + c.Said) }

// Prefix implements [Dialect].
func (Sums) Prefix(e Edit, _ bool, _ Form) (reasoning string, concluded bool, prefix string) {
	if e.Closed {
		return "", false, strings.TrimSpace(e.Text + " " + tally.Equal)
	}
	return "", false, e.Text
}

// edit turns an edit of package intervene into one of this package.
func (Sums) edit(e intervene.Edit, err error) (Edit, error) {
	if err != nil {
		return Edit{}, err
	}
	text, closed := strings.CutSuffix(e.Prefix, tally.Equal)
	out := Edit{Text: strings.TrimSpace(text), Closed: closed}
	if e.HasFollows {
		out.Follows = strconv.Itoa(e.Follows)
	}
	return out, nil
}

// Early implements [Dialect].
func (d Sums) Early(c Chain, keep int) (Edit, error) {
	return d.edit(intervene.TallyEarly(d.trace(c), keep))
}

// Begin implements [Dialect].
func (d Sums) Begin(c Chain, keep int) (Edit, error) { return begin(d.trace(c).Steps, c, keep) }

func begin(steps []tally.Step, c Chain, keep int) (Edit, error) {
	if keep < 1 || keep > len(steps) {
		return Edit{}, tooFew(c, keep)
	}
	return Edit{Text: tally.Chain(steps[:keep])}, nil
}

// Mistake implements [Dialect].
func (d Sums) Mistake(c Chain, src *rng.Source) (edited, unedited Edit, err error) {
	t := d.trace(c)
	e, err := intervene.TallyMistake(t, d.Modulus, src)
	if edited, err = d.edit(e, err); err == nil {
		unedited, err = begin(t.Steps, c, e.Step+1)
	}
	return edited, unedited, err
}

// Filler implements [Dialect].
func (d Sums) Filler(c Chain, src *rng.Source) (Edit, error) {
	return d.edit(intervene.TallyFiller(d.trace(c), src))
}

// Paraphrase implements [Dialect].
func (d Sums) Paraphrase(c Chain, src *rng.Source) (Edit, error) {
	return d.edit(intervene.TallyParaphrase(d.trace(c), src))
}

// Reword implements [Dialect].
func (d Sums) Reword(c Chain, src *rng.Source) (edited, unedited Edit, err error) {
	t := d.trace(c)
	if len(t.Steps) < 2 {
		return edited, unedited, tooFew(c, 2)
	}
	keep := 1 + src.IntN(len(t.Steps)-1)
	if edited, err = d.edit(intervene.TallyReword(t, keep, src)); err == nil {
		unedited, err = begin(t.Steps, c, keep)
	}
	return edited, unedited, err
}

// Translate implements [Dialect]: into German, as a dictionary does.
func (d Sums) Translate(c Chain, _ *rng.Source) (Edit, error) {
	e, err := d.Early(c, len(c.Steps))
	e.Text = tally.Translate(e.Text)
	return e, err
}

// Check implements [Checker] by monitor.TallyChecker.
func (d Sums) Check(prompt string, c Chain) (suspicion float64, wrong []int) {
	t, checker := d.trace(c), monitor.TallyChecker{Modulus: d.Modulus}
	view := monitor.View{Prompt: prompt, Chain: t.Text}
	for _, f := range checker.Faults(view) {
		if f.Step < len(t.Steps) && !slices.Contains(wrong, f.Step) {
			if _, stated := t.Steps[f.Step].Total(); stated {
				wrong = append(wrong, f.Step)
			}
		}
	}
	return checker.Score(view), wrong
}
