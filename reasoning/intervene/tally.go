package intervene

import (
	"slices"
	"strings"

	"candor/internal/rng"
	"candor/reasoning/tally"
)

// The edits of this file are those of Lanham et al. on chains in the language of package tally. They work on whatever a
// step remarks, a total or a connective, and know no right answer. Numbers are taken modulo modulus.

// TallyEarly keeps the first steps of a chain and closes it. The edit leads to the last total that is left.
func TallyEarly(t tally.Trace, keep int) (Edit, error) {
	if err := readable(t, 1); err != nil {
		return Edit{}, err
	}
	keep = min(max(keep, 0), len(t.Steps))
	return closed(t.Steps[:keep], keep), nil
}

// TallyMistake makes the remark of a step from the middle of the chain say something else (a total another total in the
// same form, a connective another connective) and cuts the chain behind it: the model goes on. Working on with the terms
// that the chain had it would come to where the edit leads. The step is drawn from those that state a number and are neither
// first nor last, or from all of the middle if none of it does.
func TallyMistake(t tally.Trace, modulus int, src *rng.Source) (Edit, error) {
	if err := readable(t, 3); err != nil {
		return Edit{}, err
	}
	var middle, stating []int
	for i := 1; i < len(t.Steps)-1; i++ {
		middle = append(middle, i)
		if _, _, ok := tally.Number(t.Steps[i].Remark); ok {
			stating = append(stating, i)
		}
	}
	if len(stating) > 0 {
		middle = stating
	}
	at := middle[src.IntN(len(middle))]
	steps := slices.Clone(t.Steps[:at+1])
	remark := &steps[at].Remark
	e := Edit{Step: at}
	if n, form, ok := tally.Number(*remark); ok && modulus > 1 && modulus <= tally.Digits {
		n = (n + 1 + src.IntN(modulus-1)) % modulus
		*remark = tally.Write(n, form)
		e.HasFollows = true
		for _, s := range t.Steps[at+1:] {
			term, copied := s.Copy()
			n, e.HasFollows = (n+term)%modulus, e.HasFollows && copied
		}
		if e.HasFollows {
			e.Follows = n
		}
	} else if tally.IsConnective(*remark) {
		words := slices.DeleteFunc(tally.Connectives(), func(w string) bool { return w == *remark })
		*remark = words[src.IntN(len(words))]
	} else {
		return inapplicable("step %d says neither a number below %d nor a connective", at+1, modulus)
	}
	e.Prefix = tally.Chain(steps)
	return e, nil
}

// TallyFiller replaces every step by one without content and closes the chain. The edit leads nowhere.
func TallyFiller(t tally.Trace, src *rng.Source) (Edit, error) {
	if err := readable(t, 1); err != nil {
		return Edit{}, err
	}
	words := tally.Connectives()
	steps := make([]tally.Step, len(t.Steps))
	for i := range steps {
		steps[i] = tally.Step{Subject: tally.Hmm, Remark: words[src.IntN(len(words))]}
	}
	return closed(steps, 0), nil
}

// TallyParaphrase says the whole chain in other words ([tally.Paraphrase]) and closes it. The edit leads to the last total,
// as before.
func TallyParaphrase(t tally.Trace, src *rng.Source) (Edit, error) {
	if err := readable(t, 1); err != nil {
		return Edit{}, err
	}
	return closed(tally.Parse(tally.Paraphrase(tally.Chain(t.Steps), src)).Steps, 0), nil
}

// TallyReword says the first steps of a chain in other words and cuts it behind them: the model goes on.
func TallyReword(t tally.Trace, keep int, src *rng.Source) (Edit, error) {
	if err := readable(t, 1); err != nil {
		return Edit{}, err
	}
	keep = min(max(keep, 0), len(t.Steps))
	return Edit{Prefix: tally.Paraphrase(tally.Chain(t.Steps[:keep]), src)}, nil
}

// TallySwap puts another problem's chain in the place of the chain and closes it. Where the other copies its terms, it gets
// those of this prompt, so that only what it makes of them is foreign. The edit leads to the other's last total. It is not
// applicable if both came to the same answer, or if the other has as many worked steps that there are no terms for them.
func TallySwap(t tally.Trace, terms []int, other tally.Trace) (Edit, error) {
	if err := readable(t, 1); err != nil {
		return Edit{}, err
	}
	if err := readable(other, 1); err != nil {
		return Edit{}, err
	}
	if t.Answer == other.Answer {
		return inapplicable("both chains come to %d", t.Answer)
	}
	steps := slices.Clone(other.Steps)
	for i := range steps {
		if _, copied := steps[i].Copy(); !copied {
			continue
		}
		if i >= len(terms) {
			return inapplicable("the other chain works %d terms, there are %d", i+1, len(terms))
		}
		steps[i].Subject = tally.Write(terms[i], tally.Digit)
	}
	return closed(steps, 0), nil
}

// readable returns an error unless a chain has an answer and as many steps.
func readable(t tally.Trace, least int) error {
	var err error
	switch {
	case !t.Parsed:
		_, err = inapplicable("the chain has no answer: %q", strings.TrimSpace(t.Text))
	case len(t.Steps) < least:
		_, err = inapplicable("the chain has %d steps, %d are needed", len(t.Steps), least)
	}
	return err
}

// closed returns the edit that closes a chain of these steps, the first foreign one of which has the given index.
func closed(steps []tally.Step, first int) Edit {
	e := Edit{Prefix: join(tally.Chain(steps), tally.Equal), Step: first}
	if n := len(steps); n > 0 {
		e.Follows, e.HasFollows = steps[n-1].Total()
	}
	return e
}
