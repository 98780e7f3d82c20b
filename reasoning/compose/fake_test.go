package compose

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"

	"candor/internal/rng"
	"candor/reasoning/cot"
	"candor/reasoning/llm/llmtest"
)

// worker is a model that works sums off in one wording and makes known mistakes, each independent of all others.
type worker struct {
	wording cot.Wording
	slip    float64 // probability that a raw sum is one too high or, as often, one too low
	leave   float64 // probability that a total is one too high
	miscopy float64 // probability that an operand is copied one too high
	modulus int     // what it writes for the modulus; 0 means the prompt's
}

// sum is a problem as a prompt states it.
type sum struct {
	first    int
	operands []int
	modulus  int
}

func (p sum) text() string {
	var b strings.Builder
	b.WriteString("q")
	for i, a := range p.operands {
		fmt.Fprintf(&b, " %s %d", cot.Label(p.first+i), a)
	}
	fmt.Fprintf(&b, " %s . mod %d ; steps :", cot.Label(p.first+len(p.operands)), p.modulus)
	return b.String()
}

func (p sum) answer() int {
	total := 0
	for _, a := range p.operands {
		total += a
	}
	return cot.Reduce(total, p.modulus)
}

func readSum(prompt string) sum {
	var p sum
	words := strings.Fields(prompt)
	for i := 1; words[i+1] != "."; i += 2 {
		a, _ := strconv.Atoi(words[i+1])
		if i == 1 {
			p.first, _ = cot.LabelIndex(words[i])
		}
		p.operands = append(p.operands, a)
	}
	p.modulus = promptModulus(prompt)
	return p
}

// randomSum draws a problem with n operands in 0..9.
func randomSum(src *rng.Source, n, modulus int) sum {
	p := sum{first: src.IntN(10), modulus: modulus}
	for range n {
		p.operands = append(p.operands, src.IntN(10))
	}
	return p
}

func (w worker) generator() *llmtest.Fake { return &llmtest.Fake{Next: w.next} }

// Stand-ins for what a phrase leaves open; no number of the tests is as large.
const (
	holeOperand = 1001 + iota
	holeRaw
	holeModulus
	holeTotal
)

func (w worker) next(s *llmtest.State) (string, float64) {
	problem := readSum(s.Prompt)
	modulus := problem.modulus
	if w.modulus != 0 {
		modulus = w.modulus
	}
	text := strings.Join(s.Words, " ")
	if text == answerCue {
		return w.perhaps(s, problem.answer(), w.slip, +1)
	} else if strings.HasPrefix(text, answerCue) {
		return "", 0
	}
	steps := cot.Parse(text).Steps
	k, total, end := len(steps), 0, 0
	if k > 0 {
		total, end = steps[k-1].Total, steps[k-1].End
	}
	tail := strings.Fields(text[end:])
	label := cot.Label(problem.first + k)
	if k >= len(problem.operands) {
		phrase := append(strings.Fields(cot.RenderCue(label, w.wording)), strconv.Itoa(total))
		if len(tail) >= len(phrase) {
			return "", 0
		}
		return phrase[len(tail)], 0
	}
	phrase := strings.Fields(cot.RenderStep(cot.Step{
		Label: label, Operand: holeOperand, Raw: holeRaw, HasRaw: k > 0, Modulus: holeModulus, Total: holeTotal,
	}, w.wording))
	said := func(hole int) int {
		n, err := strconv.Atoi(tail[slices.Index(phrase, strconv.Itoa(hole))])
		if err != nil {
			panic("worker: no number where it wrote one: " + text)
		}
		return n
	}
	switch word := phrase[len(tail)]; word {
	case strconv.Itoa(holeOperand):
		return w.perhaps(s, problem.operands[k], w.miscopy, +1)
	case strconv.Itoa(holeRaw):
		off := +1
		if s.Rand.Bool(.5) {
			off = -1
		}
		return w.perhaps(s, total+said(holeOperand), w.slip, off)
	case strconv.Itoa(holeModulus):
		return strconv.Itoa(modulus), 0
	case strconv.Itoa(holeTotal):
		return w.perhaps(s, cot.Reduce(said(holeRaw), modulus), w.leave, +1)
	default:
		return word, 0
	}
}

// perhaps returns n, or with probability p what is off by off.
func (w worker) perhaps(s *llmtest.State, n int, p float64, off int) (string, float64) {
	if !s.Greedy() && s.Rand.Bool(p) {
		return strconv.Itoa(n + off), math.Log(p)
	}
	return strconv.Itoa(n), math.Log1p(-p)
}

// problems draws n problems of the given number of operands.
func problems(n, operands, modulus int, seed uint64) ([]sum, []Prompt) {
	src := rng.New(seed).Split("problems")
	sums, prompts := make([]sum, n), make([]Prompt, n)
	for i := range n {
		sums[i] = randomSum(&src, operands, modulus)
		prompts[i] = Prompt{ID: fmt.Sprint("p", i), Text: sums[i].text(), Seed: src.Uint64()}
	}
	return sums, prompts
}

// accuracy is the share of right answers. An outcome whose answer cannot be read fails the test.
func accuracy(t *testing.T, s System, sums []sum, prompts []Prompt) (float64, []Outcome) {
	t.Helper()
	outcomes := solve(t, s, prompts)
	right := 0
	for i, o := range outcomes {
		if !o.Trace.Parsed {
			t.Fatalf("%s: no answer in %q: %s", s.Name(), o.Text, o.Trace.Reason)
		}
		if o.Trace.Answer == sums[i].answer() {
			right++
		}
	}
	return float64(right) / float64(len(sums)), outcomes
}

func solve(t *testing.T, s System, prompts []Prompt) []Outcome {
	t.Helper()
	outcomes, err := s.Solve(t.Context(), prompts)
	if err != nil {
		t.Fatal(err)
	}
	if len(outcomes) != len(prompts) {
		t.Fatalf("%s: %d outcomes for %d prompts", s.Name(), len(outcomes), len(prompts))
	}
	return outcomes
}

// near fails unless got is within 4 standard errors of the probability want, estimated from n draws.
func near(t *testing.T, what string, got, want float64, n int) {
	t.Helper()
	if se := math.Sqrt(want * (1 - want) / float64(n)); math.Abs(got-want) > 4*se+1e-9 {
		t.Errorf("%s is %.4f, should be %.4f with standard error %.4f", what, got, want, se)
	}
}
