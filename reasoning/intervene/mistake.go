package intervene

import (
	"fmt"

	"candor/internal/rng"
	"candor/reasoning/cot"
)

// Rest says what becomes of the steps behind a mistake.
type Rest string

// What becomes of the steps behind a mistake.
const (
	// Kept leaves them as they were, so that the chain contradicts itself; it still leads to its original last total
	// (to the wrong one if there are no steps behind).
	Kept Rest = "kept"
	// Carried works them out anew from the mistake: the chain is right but for one step, and leads to a wrong answer.
	Carried Rest = "carried"
	// Regenerated takes them away: the model goes on by itself. Reckoning with the operands of the steps taken away, it
	// would come to where Carried leads.
	Regenerated Rest = "regenerated"
)

// mistakes are the amounts by which a mistaken sum is off, equally likely where they change the total.
var mistakes = [...]int{-2, -1, 1, 2}

// AddMistake gives step n (from 2; the first step only copies) a plausible wrong sum: the raw sum is off by one or two, and
// the total is that sum reduced, so it is another residue than the original. It panics if n < 2 or for an unknown rest.
func AddMistake(n int, rest Rest) Intervention {
	switch rest {
	case Kept, Carried, Regenerated:
	default:
		panic(fmt.Sprintf("intervene: unknown rest %q after a mistake", rest))
	}
	name := fmt.Sprintf("mistake/%d/%s", atLeast(n, 2), rest)
	return intervention{name, n, func(t cot.Trace, src rng.Source) (Edit, error) {
		s := withModulus(t.Steps[n-1], t.Modulus)
		if !s.HasRaw {
			return inapplicable("step %d states no sum", n)
		}
		if s.Modulus == 0 {
			return inapplicable("the modulus is not known")
		}
		var sums []int
		for _, d := range mistakes {
			if raw := s.Raw + d; isNumber(raw) && cot.Reduce(raw, s.Modulus) != s.Total {
				sums = append(sums, raw)
			}
		}
		if len(sums) == 0 {
			return inapplicable("no wrong sum near %d leaves another total than %d", s.Raw, s.Total)
		}
		raw := sums[src.IntN(len(sums))]
		return mistaken(t, n-1, raw, cot.Reduce(raw, s.Modulus), rest)
	}}
}

// SetTotal lets the model go on behind step n (from 1), in which total stands in place of the total; a raw sum is shifted
// to match if that is a number of the language. It is the mistake that a person makes by hand.
func SetTotal(t cot.Trace, n, total int) (Edit, error) {
	if n < 1 || n > len(t.Steps) {
		return inapplicable("there is no step %d; the chain has %d", n, len(t.Steps))
	}
	if !isNumber(total) {
		return inapplicable("%d is not a number of the language: %d to %d are", total, cot.MinNumber, cot.MaxNumber)
	}
	s := t.Steps[n-1]
	raw := s.Raw
	for _, shifted := range []int{raw + total - s.Total, raw + total - s.Total + t.Modulus, raw + total - s.Total - t.Modulus} {
		if isNumber(shifted) {
			raw = shifted
			break
		}
	}
	return mistaken(t, n-1, raw, total, Regenerated)
}

// mistaken states another raw sum and total in step i and treats the steps behind as rest says.
func mistaken(t cot.Trace, i, raw, total int, rest Rest) (Edit, error) {
	changed := append([]cot.Step(nil), t.Steps[i:]...)
	if s := &changed[0]; s.HasRaw {
		s.Raw, s.Total = raw, total
	} else {
		s.Operand, s.Total = total, total
	}
	head := join(t.Text[:t.Steps[i].Start], cot.RenderStep(changed[0], changed[0].Wording))
	if rest == Kept {
		e := Edit{Prefix: join(head, t.Text[t.Steps[i].End:cueEnd(t)]), Step: i}
		if i == len(t.Steps)-1 {
			return lead(e, changed, t.Modulus), nil
		}
		return lead(e, t.Steps, t.Modulus), nil
	}
	parts := []string{head}
	for j := 1; j < len(changed); j++ {
		s := &changed[j]
		modulus := withModulus(*s, t.Modulus).Modulus
		if modulus == 0 || !s.HasRaw {
			if rest == Regenerated { // where the model will get to is not known
				return Edit{Prefix: head, Step: i}, nil
			}
			return inapplicable("step %d cannot be worked out anew", i+j+1)
		}
		if s.Raw = changed[j-1].Total + s.Operand; !isNumber(s.Raw) && rest == Carried {
			return inapplicable("the sum of step %d would be %d, which is not a number of the language", i+j+1, s.Raw)
		}
		s.Total = cot.Reduce(s.Raw, modulus)
		parts = append(parts, cot.RenderStep(*s, s.Wording))
	}
	e := lead(Edit{Prefix: head, Step: i}, changed, t.Modulus)
	if rest == Carried {
		e.Prefix = join(append(parts, t.Text[t.Steps[len(t.Steps)-1].End:cueEnd(t)])...)
	}
	return e, nil
}

func isNumber(n int) bool { return n >= cot.MinNumber && n <= cot.MaxNumber }
