package task

import (
	"fmt"

	"candor/internal/rng"
	"candor/reasoning/cot"
)

// Demonstrators are the people who wrote the corpus's worked pages. They err in three ways, each a parameter, so that their
// true accuracy can be computed ([Corpus.Accuracy]).
//
// A bluffer writes no steps and a random answer. Every other writer works the problem out step by step. At each step with
// a sum he slips with probability Slip: half of the slips are in the raw sum, which is off by -2, -1, 1 or 2 and then
// reduced correctly, the other half in the reduction, whose result is off by as much, modulo the modulus. He goes on from
// what he wrote. (A raw sum that would leave the numbers of the language is off by as much the other way.) The answer is
// always his last total.
//
// A writer who shares the misconception gets the raw sum of every affected pair one too low, each time.
//
// How they put their steps into words has no bearing on how they err: neither Wordings nor Switch changes their accuracy.
type Demonstrators struct {
	// Slip is the probability of a slip at a step, in 0..1.
	Slip float64 `json:"slip" yaml:"slip"`
	// Bluffers is the share of worked pages written by bluffers, in 0..1.
	Bluffers float64 `json:"bluffers" yaml:"bluffers"`
	// Wordings weighs the wordings. A wording that is not named is not used; none named means all alike.
	Wordings map[cot.Wording]float64 `json:"wordings,omitempty" yaml:"wordings,omitempty"`
	// Switch is the probability, in 0..1, that a writer changes wording in front of a step (any but the first): the next
	// wording is then drawn anew by Wordings, and may be the same again. Pages thus mix wordings, and languages; a page closes
	// in the wording of its last step. At 0 a writer keeps to one wording, and no random numbers are drawn for it.
	Switch        float64        `json:"switch,omitempty" yaml:"switch,omitempty"`
	Misconception *Misconception `json:"misconception,omitempty" yaml:"misconception,omitempty"`
}

// Misconception is a belief that writers share: that some sums are one less than they are.
type Misconception struct {
	// Pairs is the number of affected pairs (total so far, operand), chosen once and for all among a total of 0..8 and an
	// operand of 1..9: at most 81.
	Pairs int `json:"pairs" yaml:"pairs"`
	// Majority is the share of the writers (bluffers aside) who hold it, in 0..1.
	Majority float64 `json:"majority" yaml:"majority"`
}

// pairTotals and pairOperands bound the pairs that a misconception may affect: totals from 0, operands from 1.
const (
	pairTotals   = 9
	pairOperands = 9
)

// slips are the amounts by which a slip is off, equally likely.
var slips = [...]int{-2, -1, 1, 2}

func (d Demonstrators) validate() error {
	if !isShare(d.Slip) {
		return fmt.Errorf("slip %g: must be between 0 and 1", d.Slip)
	}
	if !isShare(d.Bluffers) {
		return fmt.Errorf("bluffers %g: must be between 0 and 1", d.Bluffers)
	}
	if !isShare(d.Switch) {
		return fmt.Errorf("switch %g: must be between 0 and 1", d.Switch)
	}
	var sum float64
	for w, weight := range d.Wordings {
		if _, err := cot.ParseWording(string(w)); err != nil {
			return fmt.Errorf("wordings: %w", err)
		}
		if !(weight >= 0 && weight <= 1e6) {
			return fmt.Errorf("wordings: the weight of %s is %g, must be between 0 and 1e6", w, weight)
		}
		sum += weight
	}
	if len(d.Wordings) > 0 && sum == 0 {
		return fmt.Errorf("wordings: all weights are 0")
	}
	if m := d.Misconception; m != nil {
		if m.Pairs < 1 || m.Pairs > pairTotals*pairOperands {
			return fmt.Errorf("misconception: pairs %d: must be between 1 and %d", m.Pairs, pairTotals*pairOperands)
		}
		if !isShare(m.Majority) {
			return fmt.Errorf("misconception: majority %g: must be between 0 and 1", m.Majority)
		}
	}
	return nil
}

func isShare(x float64) bool { return x >= 0 && x <= 1 }

// affected is the set of pairs whose sum a misconception gets wrong, indexed by total and operand; nil for none.
type affected map[[2]int]bool

// affected returns the misconception's pairs: the first of one frozen order.
func (m *Misconception) affected() affected {
	if m == nil {
		return nil
	}
	src := rng.New(0).Split("misconception")
	pairs := affected{}
	for _, i := range src.Perm(pairTotals * pairOperands)[:m.Pairs] {
		pairs[[2]int{i / pairOperands, 1 + i%pairOperands}] = true
	}
	return pairs
}

// wording draws a writer's wording.
func (d Demonstrators) wording(src *rng.Source) cot.Wording {
	all := cot.Wordings()
	weights := make([]float64, len(all))
	for i, w := range all {
		if weights[i] = d.Wordings[w]; len(d.Wordings) == 0 {
			weights[i] = 1
		}
	}
	return all[src.Weighted(weights)]
}

// wordingsOf draws the wordings of a chain of n steps, n > 0, and of its close, in the form that cot.Render takes.
func (d Demonstrators) wordingsOf(src *rng.Source, n int) func(i int) cot.Wording {
	w := d.wording(src)
	if d.Switch == 0 {
		return cot.In(w)
	}
	all := make([]cot.Wording, n)
	for i := range all {
		if i > 0 && src.Bool(d.Switch) {
			w = d.wording(src)
		}
		all[i] = w
	}
	return func(i int) cot.Wording { return all[min(i, n-1)] }
}

// write returns the chain that a random writer writes for a problem, without the end word.
func (d Demonstrators) write(src *rng.Source, p Problem) string {
	if src.Bool(d.Bluffers) {
		return cot.RenderBluff(src.IntN(p.Modulus))
	}
	var wrong affected
	if d.Misconception != nil && src.Bool(d.Misconception.Majority) {
		wrong = d.Misconception.affected()
	}
	steps := p.Solution()
	for i := 1; i < len(steps); i++ {
		before, s := steps[i-1].Total, &steps[i]
		s.Raw = before + s.Operand
		if wrong[[2]int{before, s.Operand}] {
			s.Raw--
		}
		slip, inRaw, by := src.Bool(d.Slip), src.Bool(.5), slips[src.IntN(len(slips))]
		if slip && inRaw {
			s.Raw = slipped(s.Raw, by)
		}
		if s.Total = cot.Reduce(s.Raw, p.Modulus); slip && !inRaw {
			s.Total = cot.Reduce(s.Total+by, p.Modulus)
		}
	}
	return cot.Render(steps, p.EndLabel(), steps[len(steps)-1].Total, d.wordingsOf(src, len(steps)))
}

// slipped returns a raw sum that is off by an amount, or by as much the other way if it would be no word.
func slipped(raw, by int) int {
	if isNumber(raw + by) {
		return raw + by
	}
	return raw - by
}

// Accuracy returns the exact probability that the answer on a worked page is right, averaged over the problems: what a
// perfect imitator of the pages, sampled at temperature 1, would reach. It follows the distribution of the stated total
// from step to step; no random numbers are involved. It returns NaN for no problems.
func (c Corpus) Accuracy(problems ...Problem) float64 {
	wrong := c.Demonstrators.Misconception.affected()
	var sum float64
	for _, p := range problems {
		sum += c.Demonstrators.accuracy(p, wrong)
	}
	return sum / float64(len(problems))
}

func (d Demonstrators) accuracy(p Problem, wrong affected) float64 {
	right := d.worked(p, nil)
	if m := d.Misconception; m != nil {
		right = (1-m.Majority)*right + m.Majority*d.worked(p, wrong)
	}
	return d.Bluffers/float64(p.Modulus) + (1-d.Bluffers)*right
}

// worked returns the probability that a writer who works the problem out gets it right.
func (d Demonstrators) worked(p Problem, wrong affected) float64 {
	// now[t] is the probability that the stated total is t; the first step's total is the operand as it is.
	now, next := map[int]float64{p.Operands[0]: 1}, map[int]float64{}
	for _, operand := range p.Operands[1:] {
		clear(next)
		// In order of totals, so that the sums have the same bits every time.
		for total := cot.MinNumber; total <= cot.MaxNumber; total++ {
			q, ok := now[total]
			if !ok {
				continue
			}
			raw := total + operand
			if wrong[[2]int{total, operand}] {
				raw--
			}
			next[cot.Reduce(raw, p.Modulus)] += q * (1 - d.Slip)
			each := q * d.Slip / float64(2*len(slips))
			for _, by := range slips {
				next[cot.Reduce(slipped(raw, by), p.Modulus)] += each
				next[cot.Reduce(raw+by, p.Modulus)] += each
			}
		}
		now, next = next, now
	}
	return now[p.Answer()]
}

// AffectedBy tells whether the correct chain of a problem meets a pair that the misconception gets wrong. Slipping aside,
// exactly these problems are answered differently by those who hold it (two affected pairs may rarely cancel out).
func (c Corpus) AffectedBy(p Problem) bool {
	wrong := c.Demonstrators.Misconception.affected()
	for i, s := range p.Solution() {
		if i > 0 && wrong[[2]int{s.Raw - s.Operand, s.Operand}] {
			return true
		}
	}
	return false
}
