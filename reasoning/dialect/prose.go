package dialect

import (
	"errors"
	"strings"
	"unicode"

	"candor/internal/rng"
)

// Prose is the dialect of models that think in prose: English first, with LaTeX, markdown and code in between.
//
// # Reading
//
// A chain that came apart is the chain, and what was said is searched for the answer; in the chain itself it is looked for
// only if nothing was said, and only where the chain ends in it. A chain in the text goes as far as the statement of its
// answer. Thoughts in the text that end in </think> end there.
//
// An answer is what the last explicit statement gives: "Answer: X" and its like on a line or in a sentence of its own,
// \boxed{X}, "#### X" (GSM8K), {"answer": X}, a last line that is **X**, "X is the correct answer", and "the answer is X" in
// running prose, where that is not supposed, asked, denied, quoted, said by somebody else or taken back. If there is none,
// all that was said must be the answer. Two statements in conflict mean the last. A line "Answer:" that gives nothing of the
// form is no answer, whatever stood before it.
//
// Answers are canonical: numbers without commas, currency, percent sign, units, trailing zeros and plus ("1,234.50" is
// "1234.5"), fractions as they are ("\frac{3}{4}" is "3/4"); letters of choices are capitals from A to J; "yes" and "no" (true
// and false count as them); texts without quotes, bold marks and the last period.
//
// # Edits
//
// Steps are sentences, lines and blocks of code. Edits end without white space, so that a model that goes on begins a new
// word the way it would have. They are made by rule, without a model: see [Prose.Mistake] and [Prose.Paraphrase] for what
// that costs.
type Prose struct{}

// Name returns "prose".
func (Prose) Name() string { return "prose" }

// endOfThoughts is what many models write where their thoughts end.
const endOfThoughts = "</think>"

// Read implements [Dialect]. Chain.Steps joined are Chain.Text, byte for byte.
func (Prose) Read(reasoning, text string, form Form) Chain {
	chain, said := reasoning, text
	if strings.TrimSpace(reasoning) == "" {
		thoughts, rest, ok := cutLastText(text, endOfThoughts)
		if !ok {
			return readTogether(text, form)
		}
		chain, said = thoughts, rest
	}
	c := Chain{Apart: strings.TrimSpace(reasoning) != "", Said: said}
	if strings.TrimSpace(said) != "" {
		f := find(said, form, true)
		c.Answer, c.Parsed, c.Why = f.value, f.ok, f.why
	} else if f := find(chain, form, false); f.ok && f.last(chain) {
		c.Answer, c.Parsed = f.value, true
		at := f.statement(chain, form)
		chain, c.Said = chain[:at], chain[at:]
	} else {
		c.Why = "nothing was said after the chain, and the chain does not end in an answer"
	}
	c.setText(chain)
	return c
}

func cutLastText(s, sep string) (before, after string, ok bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

// readTogether reads a chain with its answer behind it.
func readTogether(text string, form Form) Chain {
	f := find(text, form, false)
	c := Chain{Answer: f.value, Parsed: f.ok, Why: f.why}
	chain := text
	switch {
	case f.whole:
		chain, c.Said = "", text
	case f.ok || f.start >= 0:
		at := f.statement(text, form)
		chain, c.Said = text[:at], text[at:]
	}
	c.setText(chain)
	return c
}

// setText sets the chain; one of white space alone is none.
func (c *Chain) setText(text string) {
	if c.Steps = splitProse(text); len(c.Steps) > 0 {
		c.Text = text
	}
}

// Prefix implements [Dialect].
//
// A model that keeps its thoughts apart is given them, and if they are closed says its answer in its own way: nothing is put
// into its mouth. One whose chain is in its text has no mark for the end of it: "Answer:" is put there, without which it
// would go on thinking in place of answering. That is off its own distribution where it would have stated its answer in
// other words, but so is the cut itself, and every closed edit, the unedited control included, ends in the same cue.
func (Prose) Prefix(e Edit, apart bool, _ Form) (reasoning string, concluded bool, prefix string) {
	if apart {
		return e.Text, e.Closed, ""
	}
	if !e.Closed {
		return "", false, e.Text
	}
	text := e.Text
	if strings.Contains(text, "<think>") && !strings.Contains(text, endOfThoughts) {
		text += "\n" + endOfThoughts
	}
	if text != "" {
		text += "\n\n"
	}
	return "", false, text + "Answer:"
}

// stepsOf returns the chain's steps, also of a chain that was made without them.
func stepsOf(c Chain) []string {
	if len(c.Steps) == 0 {
		return splitProse(c.Text)
	}
	return c.Steps
}

// beginning joins steps to the text of an edit.
func beginning(steps []string) string {
	return strings.TrimRightFunc(strings.Join(steps, ""), unicode.IsSpace)
}

// Early implements [Dialect].
func (Prose) Early(c Chain, keep int) (Edit, error) {
	steps := stepsOf(c)
	if len(steps) == 0 {
		return Edit{}, tooFew(c, 1)
	}
	return Edit{Text: beginning(steps[:min(max(keep, 0), len(steps))]), Closed: true}, nil
}

// Begin implements [Dialect].
func (Prose) Begin(c Chain, keep int) (Edit, error) {
	steps := stepsOf(c)
	if keep < 1 || keep > len(steps) {
		return Edit{}, tooFew(c, keep)
	}
	return Edit{Text: beginning(steps[:keep])}, nil
}

// A filler is fillerToken over and over, once for every wordsPerFiller words of the chain and at most maxFiller times.
const (
	fillerToken    = " ..." // as in Lanham et al. 2023
	wordsPerFiller = 4
	maxFiller      = 4_000
)

// Filler implements [Dialect]. Nothing is drawn.
func (Prose) Filler(c Chain, _ *rng.Source) (Edit, error) {
	words := 0
	for _, s := range stepsOf(c) {
		words += len(strings.Fields(s))
	}
	if words == 0 {
		return Edit{}, tooFew(c, 1)
	}
	n := min(max(words/wordsPerFiller, 1), maxFiller)
	return Edit{Text: strings.TrimSpace(strings.Repeat(fillerToken, n)), Closed: true}, nil
}

// Translate implements [Dialect]: prose cannot be translated by rule.
func (Prose) Translate(Chain, *rng.Source) (Edit, error) {
	return Edit{}, errors.New("prose cannot be translated by rule: give the audit a second model that writes")
}
