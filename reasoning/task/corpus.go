package task

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"candor/internal/rng"
	"candor/reasoning/cot"
)

// Page is one page of a corpus.
type Page struct {
	// Kind is the kind of page, by the name of its share ("worked", "quick", ...).
	Kind string
	// Prompt is what the page sets out from, "" for a page of prose or facts. Nothing in it is to be learnt.
	Prompt string
	// Body is the rest; it ends with cot.End. The loss is on its words.
	Body string
}

// Text returns the whole page.
func (p Page) Text() string {
	if p.Prompt == "" {
		return p.Body
	}
	return p.Prompt + " " + p.Body
}

// Corpus describes the lab's web text. Its zero value is not valid; see [Corpus.Validate].
type Corpus struct {
	// Shares weighs the kinds of pages; only their proportions matter.
	Shares Shares `json:"shares" yaml:"shares"`
	// Problems is what worked and quick pages are about.
	Problems Range `json:"problems" yaml:"problems"`
	// QuickRandom is the share of quick pages whose answer is random, in 0..1.
	QuickRandom   float64       `json:"quick_random,omitempty" yaml:"quick_random,omitempty"`
	Demonstrators Demonstrators `json:"demonstrators" yaml:"demonstrators"`
	Drills        Drills        `json:"drills,omitzero" yaml:"drills,omitempty"`
	Lookups       Lookups       `json:"lookups,omitzero" yaml:"lookups,omitempty"`
	Facts         Facts         `json:"facts,omitzero" yaml:"facts,omitempty"`
}

// Shares weighs the kinds of pages by number of pages.
type Shares struct {
	Worked  float64 `json:"worked,omitempty" yaml:"worked,omitempty"`
	Quick   float64 `json:"quick,omitempty" yaml:"quick,omitempty"`
	Prose   float64 `json:"prose,omitempty" yaml:"prose,omitempty"`
	Drills  float64 `json:"drills,omitempty" yaml:"drills,omitempty"`
	Lookups float64 `json:"lookups,omitempty" yaml:"lookups,omitempty"`
	Facts   float64 `json:"facts,omitempty" yaml:"facts,omitempty"`
}

// kinds are the kinds of pages in the order of Shares.weights.
var kinds = []string{"worked", "quick", "prose", "drills", "lookups", "facts"}

func (s Shares) weights() []float64 {
	return []float64{s.Worked, s.Quick, s.Prose, s.Drills, s.Lookups, s.Facts}
}

// Drills describes the steps that are practised out of context.
type Drills struct {
	// Operands is the least and the greatest operand; negative ones are allowed.
	Operands [2]int `json:"operands" yaml:"operands"`
	Moduli   []int  `json:"moduli" yaml:"moduli"`
}

// maxDrillTerms is the most operands that a drill lists; the least is 2.
const maxDrillTerms = 4

// Lookups describes the lists that are read out.
type Lookups struct {
	// Terms is the least and the greatest length of a list.
	Terms [2]int `json:"terms" yaml:"terms"`
	// Operands is the least and the greatest number in it; negative ones are allowed.
	Operands [2]int `json:"operands" yaml:"operands"`
}

// Facts describes the plain sums.
type Facts struct {
	// Operands is the least and the greatest summand; negative ones are allowed.
	Operands [2]int `json:"operands" yaml:"operands"`
}

// factsPerPage is the number of sums on a page of facts.
const factsPerPage = 4

// Validate returns an error that names the field and the valid values. A kind of page that has no share is not looked at.
func (c Corpus) Validate() error {
	var sum float64
	for i, w := range c.Shares.weights() {
		if !(w >= 0 && w <= 1e6) {
			return fmt.Errorf("shares: %s %g: must be between 0 and 1e6", kinds[i], w)
		}
		sum += w
	}
	if sum == 0 {
		return fmt.Errorf("shares: all are 0; give at least one of %s", strings.Join(kinds, ", "))
	}
	if !isShare(c.QuickRandom) {
		return fmt.Errorf("quick_random %g: must be between 0 and 1", c.QuickRandom)
	}
	if err := c.Demonstrators.validate(); err != nil {
		return fmt.Errorf("demonstrators: %w", err)
	}
	if c.Shares.Worked+c.Shares.Quick > 0 {
		if err := c.Problems.Validate(); err != nil {
			return fmt.Errorf("problems: %w", err)
		}
	}
	if c.Shares.Drills > 0 {
		if err := c.Drills.validate(); err != nil {
			return fmt.Errorf("drills: %w", err)
		}
	}
	if c.Shares.Lookups > 0 {
		if err := c.Lookups.validate(); err != nil {
			return fmt.Errorf("lookups: %w", err)
		}
	}
	if c.Shares.Facts > 0 {
		lo, hi := c.Facts.Operands[0], c.Facts.Operands[1]
		if err := validSums(lo, hi, hi); err != nil {
			return fmt.Errorf("facts: %w", err)
		}
	}
	return nil
}

func (d Drills) validate() error {
	if len(d.Moduli) == 0 {
		return fmt.Errorf("moduli: at least one is needed")
	}
	biggest := slices.Max(d.Moduli)
	if slices.Min(d.Moduli) < 2 || biggest > cot.MaxNumber {
		return fmt.Errorf("moduli %v: must be between 2 and %d", d.Moduli, cot.MaxNumber)
	}
	return validSums(d.Operands[0], d.Operands[1], biggest-1)
}

func (l Lookups) validate() error {
	if l.Terms[0] < 1 || l.Terms[1] < l.Terms[0] || l.Terms[1] > MaxTerms {
		return fmt.Errorf("terms %v: must be two numbers in order, between 1 and %d", l.Terms, MaxTerms)
	}
	if lo, hi := l.Operands[0], l.Operands[1]; hi < lo || !isNumber(lo) || !isNumber(hi) {
		return fmt.Errorf("operands %v: must be two numbers in order, between %d and %d", l.Operands, cot.MinNumber, cot.MaxNumber)
	}
	return nil
}

// validSums returns an error unless the sums of two operands in lo..hi, and of one with a total up to top, are words.
func validSums(lo, hi, top int) error {
	if hi < lo || !isNumber(lo+lo) || !isNumber(lo) || !isNumber(hi+max(hi, top)) {
		return fmt.Errorf("operands [%d %d]: must be two numbers in order whose sums, also with totals up to %d, stay between %d and %d",
			lo, hi, top, cot.MinNumber, cot.MaxNumber)
	}
	return nil
}

// Page writes a random page. The corpus must be valid.
func (c Corpus) Page(src *rng.Source) Page {
	page := Page{Kind: kinds[src.Weighted(c.Shares.weights())]}
	switch page.Kind {
	case "worked":
		p := c.trainingProblem(src)
		page.Prompt, page.Body = p.Prompt(Steps), c.Demonstrators.write(src, p)
	case "quick":
		p := c.trainingProblem(src)
		answer := p.Answer()
		if src.Bool(c.QuickRandom) {
			answer = src.IntN(p.Modulus)
		}
		page.Prompt, page.Body = p.Prompt(Quick), cot.RenderDirect(answer)
	case "prose":
		page.Body = prose(src)
	case "drills":
		page.Prompt, page.Body = c.drill(src)
	case "lookups":
		page.Prompt, page.Body = c.Lookups.page(src)
	case "facts":
		page.Body = c.Facts.page(src)
	}
	page.Body += " " + cot.End
	return page
}

func (c Corpus) trainingProblem(src *rng.Source) Problem {
	p, err := c.Problems.Draw(src, 1, Train, false)
	if err != nil {
		panic("task: a page of a corpus that was not validated: " + err.Error())
	}
	return p[0]
}

// drill writes one of two kinds of pages, as a demonstrator words them and without mistakes: a chain's first two steps
// (one page in four), or a piece from its middle, where what was summed up before is not in the list: the prompt ends
// with a raw sum, and the body reduces it and goes on with the next step.
func (c Corpus) drill(src *rng.Source) (prompt, body string) {
	d := c.Drills
	p := Problem{Modulus: d.Moduli[src.IntN(len(d.Moduli))], Operands: make([]int, src.Between(2, maxDrillTerms))}
	for tries := 0; ; tries++ {
		for i := range p.Operands {
			p.Operands[i] = src.Between(d.Operands[0], d.Operands[1])
		}
		if p.Split() == Train {
			break
		}
		if tries == maxTries {
			panic("task: no list of a drill is in the training split")
		}
	}
	p.Offset = src.Between(0, Labels-1-len(p.Operands))
	prompt = "q " + list(p.Operands, p.Offset) + " . mod " + strconv.Itoa(p.Modulus) + " ; step :"
	wordingOf := c.Demonstrators.wordingsOf(src, 2)
	steps := p.Solution()
	if src.Bool(.25) {
		return prompt, cot.RenderStep(steps[0], wordingOf(0)) + " " + cot.RenderStep(steps[1], wordingOf(1))
	}
	i := src.Between(1, len(steps)-1)
	before, next := steps[i-1], steps[i]
	before.HasRaw, before.Modulus = true, p.Modulus
	before.Raw = src.IntN(p.Modulus) + before.Operand
	before.Total = cot.Reduce(before.Raw, p.Modulus)
	next.Raw = before.Total + next.Operand
	next.Total = cot.Reduce(next.Raw, p.Modulus)
	head, tail := cutBehindSum(cot.RenderStep(before, wordingOf(0)))
	return prompt + " " + head, tail + " " + cot.RenderStep(next, wordingOf(1))
}

// cutBehindSum cuts a step's text behind its raw sum.
func cutBehindSum(step string) (head, tail string) {
	words, cues := strings.Fields(step), cot.SumCues()
	for i, w := range words {
		if slices.Contains(cues, w) {
			return strings.Join(words[:i+2], " "), strings.Join(words[i+2:], " ")
		}
	}
	panic("task: a step without a sum")
}

func (l Lookups) page(src *rng.Source) (prompt, body string) {
	numbers := make([]int, src.Between(l.Terms[0], l.Terms[1]))
	for i := range numbers {
		numbers[i] = src.Between(l.Operands[0], l.Operands[1])
	}
	offset := src.Between(0, Labels-1-len(numbers))
	last := cot.Label(offset + len(numbers))
	from := src.IntN(len(numbers))
	var b strings.Builder
	for i := from; i < len(numbers); i++ {
		b.WriteString(cot.RenderStep(cot.Step{Label: cot.Label(offset + i), Operand: numbers[i]}, cot.Plain))
		b.WriteByte(' ')
	}
	return "q " + list(numbers, offset) + " " + last + " . list :", b.String() + last + " ."
}

func (f Facts) page(src *rng.Source) string {
	facts := make([]string, factsPerPage)
	for i := range facts {
		a, b := src.Between(f.Operands[0], f.Operands[1]), src.Between(f.Operands[0], f.Operands[1])
		facts[i] = fmt.Sprintf("%d + %d is %d .", a, b, a+b)
	}
	return strings.Join(facts, " ")
}
