package dialect

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"candor/internal/rng"
	"candor/reasoning/cot"
	"candor/reasoning/intervene"
	"candor/reasoning/monitor"
)

// Steps is the dialect of package cot, in which the models of the default study write: labelled steps in six wordings.
type Steps struct {
	// Modulus of the problem, which a chain need not state; 0 if it is not known ([For] finds it in the prompt).
	Modulus int
}

// Name returns "steps".
func (Steps) Name() string { return "steps" }

// For implements [Prompted].
func (Steps) For(prompt string) Dialect {
	words := strings.Fields(prompt)
	if i := slices.Index(words, "mod"); i >= 0 && i+1 < len(words) {
		if m, err := strconv.Atoi(words[i+1]); err == nil && m > 1 && m <= cot.MaxNumber {
			return Steps{Modulus: m}
		}
	}
	return Steps{}
}

// Read implements [Dialect]. These models keep nothing apart.
func (d Steps) Read(reasoning, text string, _ Form) Chain {
	t := cot.Parse(strings.TrimSpace(reasoning + " " + text))
	c := Chain{Text: strings.TrimSpace(t.Text[:t.AnswerStart]), Said: t.Text[t.AnswerStart:], Parsed: t.Parsed, Why: t.Reason}
	for _, s := range t.Steps {
		c.Steps = append(c.Steps, strings.TrimSpace(t.Text[s.Start:s.End]))
	}
	if t.Parsed {
		c.Answer = strconv.Itoa(t.Answer)
	}
	return c
}

// trace reads a chain again.
func (d Steps) trace(c Chain) cot.Trace {
	t := cot.Parse(strings.TrimSpace(c.Text + " " + c.Said))
	t.Modulus = max(t.Modulus, d.Modulus)
	return t
}

// Prefix implements [Dialect]. A closed chain ends in the cue of its answer already.
func (Steps) Prefix(e Edit, _ bool, _ Form) (reasoning string, concluded bool, prefix string) {
	return "", false, e.Text
}

func (d Steps) apply(c Chain, v intervene.Intervention, closed bool, src rng.Source) (Edit, error) {
	e, err := v.Apply(d.trace(c), src)
	if err != nil {
		return Edit{}, err
	}
	out := Edit{Text: e.Prefix, Closed: closed}
	if e.HasFollows {
		out.Follows = strconv.Itoa(e.Follows)
	}
	return out, nil
}

// Early implements [Dialect].
func (d Steps) Early(c Chain, keep int) (Edit, error) {
	n := len(c.Steps)
	if n == 0 {
		return Edit{}, tooFew(c, 1)
	}
	return d.apply(c, intervene.EarlyAnswer(float64(min(max(keep, 0), n))/float64(n)), true, rng.New(0))
}

// Begin implements [Dialect].
func (d Steps) Begin(c Chain, keep int) (Edit, error) {
	if keep < 1 || keep > len(c.Steps) {
		return Edit{}, tooFew(c, keep)
	}
	return Edit{Text: strings.TrimSpace(d.trace(c).Prefix(keep))}, nil
}

// Mistake implements [Dialect]. The first step only copies, so the middle begins at the second.
func (d Steps) Mistake(c Chain, src *rng.Source) (edited, unedited Edit, err error) {
	if len(c.Steps) < 3 {
		return edited, unedited, tooFew(c, 3)
	}
	step := 2 + src.IntN(len(c.Steps)-2)
	if edited, err = d.apply(c, intervene.AddMistake(step, intervene.Regenerated), false, src.Split("mistake")); err == nil {
		unedited, err = d.Begin(c, step)
	}
	return edited, unedited, err
}

// Filler implements [Dialect].
func (d Steps) Filler(c Chain, src *rng.Source) (Edit, error) {
	return d.apply(c, intervene.Filler(1), true, src.Split("filler"))
}

// Paraphrase implements [Dialect].
func (d Steps) Paraphrase(c Chain, src *rng.Source) (Edit, error) {
	return d.apply(c, intervene.Paraphrase(), true, src.Split(strconv.FormatUint(src.Uint64(), 36)))
}

// Reword implements [Dialect]: one step is said in other words.
func (d Steps) Reword(c Chain, src *rng.Source) (edited, unedited Edit, err error) {
	if len(c.Steps) < 2 {
		return edited, unedited, tooFew(c, 2)
	}
	keep := 1 + src.IntN(len(c.Steps)-1)
	if edited, err = d.apply(c, intervene.ParaphraseStep(keep), false, src.Split("reword")); err == nil {
		unedited, err = d.Begin(c, keep)
	}
	return edited, unedited, err
}

// Translate implements [Dialect]: into German or French.
func (d Steps) Translate(c Chain, src *rng.Source) (Edit, error) {
	language := []string{"german", "french"}[src.IntN(2)]
	return d.apply(c, intervene.Translate(language), true, src.Split("translate"))
}

// Check implements [Checker] by monitor.StepCheckerWithPrompt.
func (d Steps) Check(prompt string, c Chain) (suspicion float64, wrong []int) {
	view := monitor.View{Prompt: prompt, Chain: strings.TrimSpace(c.Text + " " + c.Said), Answer: c.Answer}
	for _, f := range (monitor.StepCheckerWithPrompt{}).Faults(view) {
		if f.Step < len(c.Steps) && !slices.Contains(wrong, f.Step) {
			wrong = append(wrong, f.Step)
		}
	}
	return monitor.StepCheckerWithPrompt{}.Score(view), wrong
}

func tooFew(c Chain, least int) error {
	return fmt.Errorf("the chain has %d steps, and %d are needed", len(c.Steps), least)
}
