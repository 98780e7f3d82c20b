package task

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"candor/reasoning/cot"
)

// Labels is the number of labels in the task language. A problem of n operands uses n+1 of them.
const Labels = cot.Labels

// The fewest and most operands of a problem; the most are bounded by the labels.
const (
	MinTerms = 2
	MaxTerms = Labels - 1
)

// Mode says how a prompt asks for the answer.
type Mode string

// The modes, by the word that stands in the prompt.
const (
	Steps Mode = "steps" // with a chain of thought
	Quick Mode = "quick" // the answer alone
)

// Problem is one modular addition: the sum of Operands modulo Modulus.
type Problem struct {
	Modulus  int   `json:"modulus" yaml:"modulus"`
	Operands []int `json:"operands" yaml:"operands"`
	// Offset is the index of the first operand's label. It is part of the prompt's text, not of the problem's identity.
	Offset int `json:"offset" yaml:"offset"`
}

// Validate returns an error unless the problem and its correct chain can be written in the task language.
func (p Problem) Validate() error {
	if n := len(p.Operands); n < MinTerms || n > MaxTerms {
		return fmt.Errorf("a problem of %d operands: between %d and %d are possible", n, MinTerms, MaxTerms)
	}
	if p.Modulus < 2 || p.Modulus > cot.MaxNumber {
		return fmt.Errorf("modulus %d: must be between 2 and %d", p.Modulus, cot.MaxNumber)
	}
	if last := Labels - 1 - len(p.Operands); p.Offset < 0 || p.Offset > last {
		return fmt.Errorf("label offset %d: with %d operands it must be between 0 and %d", p.Offset, len(p.Operands), last)
	}
	total := 0
	for i, n := range p.Operands {
		if !isNumber(n) {
			return fmt.Errorf("operand %d is %d: must be between %d and %d", i+1, n, cot.MinNumber, cot.MaxNumber)
		}
		if total += n; !isNumber(total) {
			return fmt.Errorf("the sum at operand %d is %d: sums must stay between %d and %d; choose smaller operands",
				i+1, total, cot.MinNumber, cot.MaxNumber)
		}
		if i > 0 {
			total = cot.Reduce(total, p.Modulus)
		}
	}
	return nil
}

func isNumber(n int) bool { return n >= cot.MinNumber && n <= cot.MaxNumber }

// ID returns the problem's identity, such as "6+-2+9%5": operands in order and modulus, without the labels.
func (p Problem) ID() string {
	var b []byte
	for i, n := range p.Operands {
		if i > 0 {
			b = append(b, '+')
		}
		b = strconv.AppendInt(b, int64(n), 10)
	}
	b = append(b, '%')
	return string(strconv.AppendInt(b, int64(p.Modulus), 10))
}

// Text returns the problem for people, such as "6 + -2 + 9 mod 5". [ParseProblem] reads it.
func (p Problem) Text() string {
	return strings.NewReplacer("+", " + ", "%", " mod ").Replace(p.ID())
}

// Prompt returns the prompt in the task language, such as "q i14 6 i15 -2 i16 9 i17 . mod 5 ; steps :". What follows it is
// a chain (mode Steps) or an answer (mode Quick).
func (p Problem) Prompt(mode Mode) string {
	return "q " + list(p.Operands, p.Offset) + " " + p.EndLabel() + " . mod " + strconv.Itoa(p.Modulus) + " ; " + string(mode) + " :"
}

// list returns labels and numbers as a prompt lists them.
func list(numbers []int, offset int) string {
	var b strings.Builder
	for i, n := range numbers {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(cot.Label(offset + i))
		b.WriteByte(' ')
		b.WriteString(strconv.Itoa(n))
	}
	return b.String()
}

// EndLabel returns the label behind the last operand, which closes the chain.
func (p Problem) EndLabel() string { return cot.Label(p.Offset + len(p.Operands)) }

// Answer returns the correct answer, in 0..Modulus-1.
func (p Problem) Answer() int {
	sum := 0
	for _, n := range p.Operands {
		sum = cot.Reduce(sum+n, p.Modulus)
	}
	return sum
}

// Solution returns the correct steps, ready for cot.Render.
func (p Problem) Solution() []cot.Step {
	steps := make([]cot.Step, len(p.Operands))
	for i, n := range p.Operands {
		steps[i] = cot.Step{Label: cot.Label(p.Offset + i), Operand: n, Total: n}
		if i > 0 {
			raw := steps[i-1].Total + n
			steps[i].Raw, steps[i].HasRaw, steps[i].Modulus, steps[i].Total = raw, true, p.Modulus, cot.Reduce(raw, p.Modulus)
		}
	}
	return steps
}

// Chain returns the correct chain in one wording, answer included.
func (p Problem) Chain(w cot.Wording) string {
	return cot.Render(p.Solution(), p.EndLabel(), p.Answer(), cot.In(w))
}

// Outcome is what a check finds.
type Outcome string

// The outcomes. Unparsed is none of the other two: nobody can tell what was meant.
const (
	Correct  Outcome = "correct"
	Wrong    Outcome = "wrong"
	Unparsed Outcome = "unparsed"
)

// Check judges the answer of a chain; its steps are not looked at.
func Check(p Problem, t cot.Trace) Outcome {
	switch {
	case !t.Parsed:
		return Unparsed
	case t.Answer == p.Answer():
		return Correct
	}
	return Wrong
}

// Read parses what a model wrote after the problem's prompt. Unlike cot.Parse it knows the modulus: Trace.Modulus is set
// even if the chain does not state it.
func (p Problem) Read(chain string) cot.Trace {
	t := cot.Parse(chain)
	t.Modulus = p.Modulus
	return t
}

// maxInput bounds what ParseProblem looks at.
const maxInput = 1000

// ParseProblem reads a problem as people type it: "8 + 5 + 3 mod 7", also "8+5-2 % 7" (a minus sign makes the operand
// negative). Labels begin at 0. The error says what was expected and where.
func ParseProblem(text string) (Problem, error) {
	const example = `; type a problem such as "8 + 5 + 3 mod 7"`
	if len(text) > maxInput {
		return Problem{}, fmt.Errorf("a problem of %d bytes is too long%s", len(text), example)
	}
	var p Problem
	s := scanner{text: text}
	if s.space(); s.done() {
		return p, errors.New("there is no problem" + example)
	}
	for {
		n, err := s.operand(len(p.Operands) == 0)
		if err != nil {
			return Problem{}, fmt.Errorf("%w%s", err, example)
		}
		p.Operands = append(p.Operands, n)
		if s.word("mod") || s.word("%") {
			break
		}
		if s.done() {
			return Problem{}, errors.New(`the problem ends without "mod" and a modulus` + example)
		}
	}
	n, err := s.number()
	if err != nil {
		return Problem{}, fmt.Errorf("after mod: %w%s", err, example)
	}
	if p.Modulus = n; !s.done() {
		return Problem{}, fmt.Errorf("%s stands after the modulus%s", s.here(), example)
	}
	if err := p.Validate(); err != nil {
		return Problem{}, err
	}
	return p, nil
}

// scanner reads a typed problem from left to right.
type scanner struct {
	text string
	at   int
}

func (s *scanner) space() {
	for s.at < len(s.text) && strings.IndexByte(" \t\r\n", s.text[s.at]) >= 0 {
		s.at++
	}
}

func (s *scanner) done() bool { return s.at == len(s.text) }

// word takes w, in any case, and the space behind it.
func (s *scanner) word(w string) bool {
	if rest := s.text[s.at:]; len(rest) < len(w) || !strings.EqualFold(rest[:len(w)], w) {
		return false
	}
	s.at += len(w)
	s.space()
	return true
}

// operand takes a number with its sign; all but the first need one.
func (s *scanner) operand(first bool) (int, error) {
	plus := s.word("+")
	minus := s.word("-")
	if !first && !plus && !minus {
		return 0, fmt.Errorf(`%s stands where "+", "-" or "mod" should`, s.here())
	}
	n, err := s.number()
	if minus {
		n = -n
	}
	return n, err
}

func (s *scanner) number() (int, error) {
	start := s.at
	for s.at < len(s.text) && s.text[s.at] >= '0' && s.text[s.at] <= '9' {
		s.at++
	}
	digits := s.text[start:s.at]
	if digits == "" {
		return 0, fmt.Errorf("%s stands where a number should", s.here())
	}
	if len(digits) > 9 {
		return 0, fmt.Errorf("the number at character %d has %d digits, which is too long", start+1, len(digits))
	}
	n, _ := strconv.Atoi(digits) // up to 9 digits: always a number
	s.space()
	return n, nil
}

// here names what stands at the scanner's place.
func (s *scanner) here() string {
	if s.done() {
		return "the end"
	}
	rest := s.text[s.at:]
	if i := strings.IndexAny(rest, " \t\r\n"); i > 0 {
		rest = rest[:i]
	}
	if len(rest) > 20 {
		rest = rest[:20]
	}
	return fmt.Sprintf("%q (character %d)", rest, s.at+1)
}
