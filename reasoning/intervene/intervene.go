// Package intervene edits chains of thought, to see what the answer hangs on.
//
// An [Intervention] takes a chain that a model wrote and returns the text from which the model is to go on ([Edit]). If
// the text ends with an answer's cue, the model can only answer; otherwise it carries the chain on. Where the edited
// chain leads to an answer of its own, the edit says which, so that "follows the chain" and "finds the truth anyway" can
// be told apart. After Lanham et al. 2023, "Measuring Faithfulness in Chain-of-Thought Reasoning":
//
//	early-answer/0.50     the chain is cut after that share of its steps, then the cue
//	mistake/2/kept        step 2 gets a plausible wrong sum; the later steps stay as they were, then the cue
//	mistake/2/carried     the same, but the later steps are worked out from the wrong sum, then the cue
//	mistake/2/regenerated the same, cut behind step 2: the model goes on
//	filler/0.50           the last half of the steps is replaced by as many words "...", then the cue
//	paraphrase            all steps in another wording of the same language, then the cue
//	paraphrase-step/2     the chain up to step 2, that step in another wording: the model goes on
//	translate/german      all steps in another language, then the cue (also french)
//	translate-step/2/german
//	swap                  another problem's chain in this one's labels, then the cue; by [SwapChain] only
//
// Steps are counted from 1 in names. [Named] reads these names. Nothing but what the name says is edited: what stays is
// copied from the model's own text, byte for byte.
//
// Mistakes, and paraphrases into a wording that states the modulus, need to know it: set Trace.Modulus where the chain may
// not state it (task's Problem.Read does).
package intervene

import (
	"errors"
	"fmt"
	"math"
	"strings"

	"candor/internal/rng"
	"candor/reasoning/cot"
)

// Edit is an edited chain, ready to be carried on.
type Edit struct {
	// Prefix is what the model goes on from: the whole of what it is to think it wrote after the prompt. Prefix + " " +
	// continuation is the resulting chain. "" lets it begin anew.
	Prefix string
	// Follows is the answer that the edited chain leads to, if HasFollows.
	Follows    int
	HasFollows bool
	// Step is the index in Trace.Steps (from 0) of the first step that differs from the original; len(Trace.Steps) if only
	// what comes after differs.
	Step int
}

// Intervention is one way to edit chains.
type Intervention interface {
	// Name returns the name that Named reads.
	Name() string
	// Apply edits a chain. Random choices come from src alone. The error wraps [ErrNotApplicable] if this chain cannot be
	// edited so and says why; there are no other errors.
	Apply(t cot.Trace, src rng.Source) (Edit, error)
}

// ErrNotApplicable says that a chain cannot be edited in the way asked for.
var ErrNotApplicable = errors.New("not applicable")

func inapplicable(format string, args ...any) (Edit, error) {
	return Edit{}, fmt.Errorf("%w: %s", ErrNotApplicable, fmt.Sprintf(format, args...))
}

// intervention is every Intervention of this package: a name, the least number of steps, and what it does to a chain that
// has an answer and as many steps.
type intervention struct {
	name  string
	least int
	apply func(t cot.Trace, src rng.Source) (Edit, error)
}

func (v intervention) Name() string { return v.name }

func (v intervention) Apply(t cot.Trace, src rng.Source) (Edit, error) {
	if !t.Parsed {
		return inapplicable("the chain has no answer: %s", t.Reason)
	}
	if len(t.Steps) < v.least {
		return inapplicable("the chain has %d steps, %s needs %d", len(t.Steps), v.name, v.least)
	}
	if endLabel(t) == "" {
		return inapplicable("there is no label to close the chain with")
	}
	return v.apply(t, src)
}

// EarlyAnswer cuts the chain after a share of its steps in [0,1], rounded to whole steps, and asks for the answer. The
// edit leads to the last total that is left. It panics for a share outside.
func EarlyAnswer(share float64) Intervention {
	if !(share >= 0 && share <= 1) {
		panic(fmt.Sprintf("intervene: early answer after share %g, must be between 0 and 1", share))
	}
	return intervention{fmt.Sprintf("early-answer/%.2f", share), 1, func(t cot.Trace, _ rng.Source) (Edit, error) {
		n := len(t.Steps)
		keep := int(math.Round(share * float64(n)))
		if keep == n {
			return lead(Edit{Prefix: t.Text[:cueEnd(t)], Step: n}, t.Steps, t.Modulus), nil
		}
		w := t.Steps[max(keep-1, 0)].Wording
		return lead(Edit{Prefix: join(t.Prefix(keep), cot.RenderCue(endLabel(t), w)), Step: keep}, t.Steps[:keep], t.Modulus), nil
	}}
}

// Filler replaces a share of the steps in (0,1], the last ones, word by word by cot.Filler and asks for the answer: like
// EarlyAnswer, but with the time to think. The edit leads to the last total that is left. It panics for a share outside.
func Filler(share float64) Intervention {
	if !(share > 0 && share <= 1) {
		panic(fmt.Sprintf("intervene: filler for share %g, must be above 0 and at most 1", share))
	}
	return intervention{fmt.Sprintf("filler/%.2f", share), 1, func(t cot.Trace, _ rng.Source) (Edit, error) {
		n := len(t.Steps)
		keep := n - int(math.Round(share*float64(n)))
		if keep == n {
			return inapplicable("a share of %.2f of %d steps is none", share, n)
		}
		words := strings.Fields(t.Text[len(t.Prefix(keep)):t.EndStart])
		for i := range words {
			words[i] = cot.Filler
		}
		prefix := join(t.Prefix(keep), strings.Join(words, " "), t.Text[t.EndStart:cueEnd(t)])
		return lead(Edit{Prefix: prefix, Step: keep}, t.Steps[:keep], t.Modulus), nil
	}}
}

// Paraphrase puts all steps and the close into another wording of the same language, one for the whole chain, and asks
// for the answer. The edit leads to the last total, as before.
func Paraphrase() Intervention {
	return intervention{"paraphrase", 1, func(t cot.Trace, src rng.Source) (Edit, error) {
		w, err := otherWording(t, 0, src)
		if err != nil {
			return Edit{}, err
		}
		return reword(t, w), nil
	}}
}

// ParaphraseStep puts step n (from 1) into another wording of the same language and lets the model go on from there. It
// panics if n < 1.
func ParaphraseStep(n int) Intervention {
	name := fmt.Sprintf("paraphrase-step/%d", atLeast(n, 1))
	return intervention{name, n, func(t cot.Trace, src rng.Source) (Edit, error) {
		w, err := otherWording(t, n-1, src)
		if err != nil {
			return Edit{}, err
		}
		return rewordStep(t, n-1, w), nil
	}}
}

// Translate puts all steps and the close into another language ("german" or "french") and asks for the answer. The edit
// leads to the last total, as before. It panics for another language.
func Translate(language string) Intervention {
	w := languageWording(language)
	return intervention{"translate/" + language, 1, func(t cot.Trace, _ rng.Source) (Edit, error) {
		for _, s := range t.Steps {
			if s.Wording == w {
				return inapplicable("the chain is in %s already", language)
			}
		}
		return reword(t, w), nil
	}}
}

// TranslateStep puts step n (from 1) into another language ("german" or "french") and lets the model go on from there. It
// panics for another language or if n < 1.
func TranslateStep(n int, language string) Intervention {
	w, name := languageWording(language), fmt.Sprintf("translate-step/%d/%s", atLeast(n, 1), language)
	return intervention{name, n, func(t cot.Trace, _ rng.Source) (Edit, error) {
		if t.Steps[n-1].Wording == w {
			return inapplicable("step %d is in %s already", n, language)
		}
		return rewordStep(t, n-1, w), nil
	}}
}

// SwapChain puts another problem's chain in the place of the chain, with labels that begin where the original's do, and
// asks for the answer. The edit leads to the other's last total. Take a chain with the same modulus and, for a fair test,
// as many steps. It is not applicable if both chains come to the same answer.
func SwapChain(other cot.Trace) Intervention {
	return intervention{"swap", 1, func(t cot.Trace, _ rng.Source) (Edit, error) {
		n := len(other.Steps)
		first, _ := cot.LabelIndex(t.Steps[0].Label)
		e := lead(Edit{}, other.Steps, other.Modulus)
		switch {
		case !other.Parsed || n == 0:
			return inapplicable("the other chain has no answer or no steps")
		case first+n >= cot.Labels:
			return inapplicable("the other chain has %d steps, and there are no labels behind %s", n, cot.Label(cot.Labels-1))
		case e.HasFollows && e.Follows == t.Answer:
			return inapplicable("both chains come to %d", t.Answer)
		}
		var parts []string
		for i, s := range other.Steps {
			s.Label = cot.Label(first + i)
			parts = append(parts, cot.RenderStep(s, s.Wording))
		}
		e.Prefix = join(append(parts, cot.RenderCue(cot.Label(first+n), other.Steps[n-1].Wording))...)
		return e, nil
	}}
}

// lead sets where an edit leads whose last steps are these: to their last total, which of a first step is still to be
// reduced. Without steps, or without the modulus that this takes, it leads nowhere.
func lead(e Edit, steps []cot.Step, modulus int) Edit {
	if len(steps) == 0 {
		return e
	}
	last := steps[len(steps)-1]
	switch {
	case last.HasRaw:
		e.Follows, e.HasFollows = last.Total, true
	case modulus > 0:
		e.Follows, e.HasFollows = cot.Reduce(last.Total, modulus), true
	}
	return e
}

// reword puts the whole chain into a wording, up to the cue.
func reword(t cot.Trace, w cot.Wording) Edit {
	var parts []string
	for _, s := range t.Steps {
		parts = append(parts, cot.RenderStep(withModulus(s, t.Modulus), w))
	}
	e := Edit{Prefix: join(append(parts, cot.RenderCue(endLabel(t), w))...)}
	return lead(e, t.Steps, t.Modulus)
}

// rewordStep puts step i into a wording and cuts the chain behind it.
func rewordStep(t cot.Trace, i int, w cot.Wording) Edit {
	s := withModulus(t.Steps[i], t.Modulus)
	e := Edit{Prefix: join(t.Text[:s.Start], cot.RenderStep(s, w)), Step: i}
	return lead(e, t.Steps, t.Modulus)
}

func withModulus(s cot.Step, modulus int) cot.Step {
	if s.Modulus == 0 {
		s.Modulus = modulus
	}
	return s
}

// otherWording draws a wording of the language of step i that is not the step's own.
func otherWording(t cot.Trace, i int, src rng.Source) (cot.Wording, error) {
	own := t.Steps[i].Wording
	var others []cot.Wording
	for _, w := range cot.Wordings() {
		if w != own && w.Language() == own.Language() && (w != cot.Plain || t.Modulus > 0) {
			others = append(others, w)
		}
	}
	if len(others) == 0 {
		return "", fmt.Errorf("%w: there is no other wording in %s", ErrNotApplicable, own.Language())
	}
	return others[src.IntN(len(others))], nil
}

// languageWording returns the wording of a language to translate into.
func languageWording(language string) cot.Wording {
	switch w := cot.Wording(language); w {
	case cot.German, cot.French:
		return w
	}
	panic(fmt.Sprintf("intervene: translation into %q, must be german or french", language))
}

// endLabel returns the label that closes the chain: its own, or else the one after the last step's.
func endLabel(t cot.Trace) string {
	if t.EndLabel != "" || len(t.Steps) == 0 {
		return t.EndLabel
	}
	index, _ := cot.LabelIndex(t.Steps[len(t.Steps)-1].Label)
	return cot.Label(index + 1)
}

// cueEnd returns the byte offset behind the answer's cue.
func cueEnd(t cot.Trace) int {
	return t.AnswerStart + len(strings.Fields(t.Text[t.AnswerStart:])[0])
}

// join puts a space between texts, of which some may be empty or have one already.
func join(parts ...string) string {
	var b strings.Builder
	for _, p := range parts {
		if p = strings.TrimSpace(p); p != "" {
			if b.Len() > 0 {
				b.WriteByte(' ')
			}
			b.WriteString(p)
		}
	}
	return b.String()
}

func atLeast(n, least int) int {
	if n < least {
		panic(fmt.Sprintf("intervene: step %d, must be at least %d", n, least))
	}
	return n
}
