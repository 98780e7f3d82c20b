package task

import (
	"fmt"
	"slices"

	"candor/internal/rng"
	"candor/reasoning/cot"
)

// Split names one of the three disjoint parts of all problems.
type Split string

// The splits: about 80%, 10% and 10% of all problems.
const (
	Train      Split = "train"
	Validation Split = "validation"
	Test       Split = "test"
)

// SplitOf returns the split of a problem by a hash of its ID. It is a property of the problem alone, the same in every
// run, range and corpus, so a problem that is held out anywhere is held out everywhere.
func SplitOf(id string) Split {
	src := rng.New(0).Split("split").Split(id)
	switch src.Uint64() % 10 {
	case 8:
		return Validation
	case 9:
		return Test
	}
	return Train
}

// Split returns the problem's split.
func (p Problem) Split() Split { return SplitOf(p.ID()) }

// Range describes a set of problems and the distribution that Draw takes them from: first the number of terms, then the
// modulus, then the operands, each uniformly.
type Range struct {
	// Terms is the least and the greatest number of operands.
	Terms [2]int `json:"terms" yaml:"terms"`
	// Operands is the least and the greatest size of an operand, both at least 0.
	Operands [2]int `json:"operands" yaml:"operands"`
	Moduli   []int  `json:"moduli" yaml:"moduli"`
	// Negatives says how many operands are negative: "none" (or nothing), "one" (one of them, but not the first) or
	// "first" (the first alone). A negative operand is never 0.
	Negatives string `json:"negatives,omitempty" yaml:"negatives,omitempty"`
}

// maxTries bounds the search for a problem in a split; a tenth of all problems are in the smallest.
const maxTries = 100_000

// Validate returns an error that names the field and the valid values unless every problem of the range can be written,
// and every split has some.
func (r Range) Validate() error {
	if r.Terms[0] < MinTerms || r.Terms[1] < r.Terms[0] || r.Terms[1] > MaxTerms {
		return fmt.Errorf("terms %v: must be two numbers in order, between %d and %d", r.Terms, MinTerms, MaxTerms)
	}
	lo, hi := r.Operands[0], r.Operands[1]
	if lo < 0 || hi < lo {
		return fmt.Errorf("operands %v: must be two numbers in order, at least 0 (negatives are asked for by negatives)", r.Operands)
	}
	if len(r.Moduli) == 0 {
		return fmt.Errorf("moduli: at least one is needed")
	}
	biggest := slices.Max(r.Moduli)
	if smallest := slices.Min(r.Moduli); smallest < 2 || biggest > cot.MaxNumber {
		return fmt.Errorf("moduli %v: must be between 2 and %d", r.Moduli, cot.MaxNumber)
	}
	if top := hi + max(hi, biggest-1); top > cot.MaxNumber {
		return fmt.Errorf("operands up to %d with moduli up to %d: sums reach %d, but numbers end at %d", hi, biggest, top, cot.MaxNumber)
	}
	switch r.Negatives {
	case "", "none":
	case "one", "first":
		if hi < 1 || hi > -cot.MinNumber {
			return fmt.Errorf("operands %v with negatives: the greatest must be between 1 and %d", r.Operands, -cot.MinNumber)
		}
	default:
		return fmt.Errorf("negatives %q: must be none, one or first", r.Negatives)
	}
	for _, split := range []Split{Train, Validation, Test} {
		src := rng.New(0).Split("validate")
		if _, err := r.Draw(&src, 1, split, false); err != nil {
			return err
		}
	}
	return nil
}

// Draw returns n problems of a split, each with a random label offset; if distinct is set, no two with the same ID. It
// returns an error if the range has too few. The range must be valid.
func (r Range) Draw(src *rng.Source, n int, split Split, distinct bool) ([]Problem, error) {
	problems := make([]Problem, 0, n)
	seen := map[string]bool{}
	for tries := 0; len(problems) < n; tries++ {
		if tries == maxTries {
			return nil, fmt.Errorf("problems with terms %v, operands %v, moduli %v: only %d of %d found in split %s; widen the range or ask for fewer",
				r.Terms, r.Operands, r.Moduli, len(problems), n, split)
		}
		p := r.one(src)
		id := p.ID()
		if SplitOf(id) != split || distinct && seen[id] {
			continue
		}
		seen[id] = true
		problems = append(problems, p)
		tries = -1
	}
	return problems, nil
}

// one draws a problem of any split.
func (r Range) one(src *rng.Source) Problem {
	n := src.Between(r.Terms[0], r.Terms[1])
	p := Problem{Modulus: r.Moduli[src.IntN(len(r.Moduli))], Operands: make([]int, n)}
	for i := range p.Operands {
		p.Operands[i] = src.Between(r.Operands[0], r.Operands[1])
	}
	switch r.Negatives {
	case "one":
		p.Operands[src.Between(1, n-1)] = -src.Between(max(1, r.Operands[0]), r.Operands[1])
	case "first":
		p.Operands[0] = -src.Between(max(1, r.Operands[0]), r.Operands[1])
	}
	p.Offset = src.Between(0, Labels-1-n)
	return p
}
