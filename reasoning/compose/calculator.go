package compose

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"candor/reasoning/cot"
	"candor/reasoning/llm"
)

// CalculatorLoop gives the model a calculator. Wherever its chain is about to state a raw sum or a residue
// ([cot.PendingSum], [cot.PendingResidue]) the calculator writes the number and the model goes on from there.
//
// The calculator sees what the model wrote, never the right answer: it adds the total and the operand that stand in the
// chain, and reduces by the modulus that the chain states or, where the wording states none, by the number after the last
// "mod" in the prompt. So it undoes slips of arithmetic, and not those of copying: an operand that was misread, a step left
// out or a wrong modulus stay wrong.
//
// The model is not stopped in front of every number. It writes on, and only where the number it wrote differs from the
// calculator's is the chain cut, corrected and carried on by a further call. By the chain rule of probability this gives
// every chain the same probability as stopping each time would, with one call for each correction instead of two a step.
type CalculatorLoop struct {
	Model       llm.Generator
	Temperature float64
	Limits      Limits
}

// Name returns "calculator".
func (CalculatorLoop) Name() string { return "calculator" }

// Solve implements [System].
func (s CalculatorLoop) Solve(ctx context.Context, prompts []Prompt) ([]Outcome, error) {
	if err := checkSettings(s.Name(), s.Model, s.Temperature, s.Limits); err != nil {
		return nil, err
	}
	loops := make([]*loop, len(prompts))
	for i, p := range prompts {
		loops[i] = &loop{problem: newProblem(p, s.Name(), s.Limits, s.Temperature), modulus: promptModulus(p.Text)}
	}
	return drive(ctx, s.Name(), s.Model, loops)
}

// promptModulus returns the number after the last word "mod" of a prompt, or 0 if there is none.
func promptModulus(prompt string) int {
	words := strings.Fields(prompt)
	for i := len(words) - 2; i >= 0; i-- {
		if words[i] != "mod" {
			continue
		}
		if m, err := strconv.Atoi(words[i+1]); err == nil && m > 0 {
			return m
		}
	}
	return 0
}

// loop is one problem solved with the calculator.
type loop struct {
	problem
	modulus     int
	chain       candidate
	corrections int
	done        bool
	partial     Limit
}

func (l *loop) ask() []llm.Request {
	if l.done {
		return nil
	}
	left := l.limits.Completion - l.chain.length
	if left < 1 {
		l.done, l.partial = true, LimitCompletion
		return nil
	}
	r, ok := l.call(l.chain.text, left)
	if !ok {
		l.done, l.partial = true, l.refused
		return nil
	}
	return []llm.Request{r}
}

func (l *loop) take(completions []llm.Completion) error {
	l.account(completions)
	c := completions[0]
	at, number, wrong := l.firstWrong(c.Text)
	if wrong {
		l.chain = l.chain.then(c, at)
		if l.chain.length < l.limits.Completion {
			l.write(number)
			l.corrections++
		} // else ask ends it
	} else {
		l.chain = l.chain.then(c, len(c.Text))
		l.done, l.partial = true, l.cutLimit(c)
	}
	if depth := l.limits.Depth; depth > 0 {
		if steps := cot.Parse(l.chain.text).Steps; len(steps) > depth {
			l.cut(steps[depth].Start)
			l.done, l.partial = true, LimitDepth
		}
	}
	return nil
}

// firstWrong finds the first place in the newly written text where a number is due and something else stands, or nothing.
// at is the byte of the text from which the calculator takes over.
func (l *loop) firstWrong(text string) (at, number int, wrong bool) {
	for end := range len(text) + 1 {
		// only where a word begins, or the text ends, can a number be due
		if end < len(text) && (isSpace(text[end]) || end == 0 || !isSpace(text[end-1])) {
			continue
		}
		before := strings.TrimRightFunc(l.chain.text+text[:end], unicode.IsSpace)
		due, ok := l.due(before)
		if !ok {
			continue
		}
		word := text[end:]
		if i := strings.IndexFunc(word, unicode.IsSpace); i >= 0 {
			word = word[:i]
		}
		if n, err := strconv.Atoi(word); err != nil || n != due {
			return max(len(before)-len(l.chain.text), 0), due, true
		}
	}
	return 0, 0, false
}

func isSpace(b byte) bool { return unicode.IsSpace(rune(b)) && b < utf8.RuneSelf }

// cues are the words after which a number may be due.
var cues = append(cot.SumCues(), cot.ResidueCues()...)

// due returns the number that has to come after the text, if one has.
func (l *loop) due(text string) (int, bool) {
	last := text[strings.LastIndexFunc(text, unicode.IsSpace)+1:]
	if !slices.Contains(cues, last) { // spares parsing the whole chain at every word
		return 0, false
	}
	if a, b, ok := cot.PendingSum(text); ok {
		return a + b, true
	}
	if raw, m, ok := cot.PendingResidue(text, l.modulus); ok {
		return cot.Reduce(raw, m), true
	}
	return 0, false
}

// write appends a number that the calculator states.
func (l *loop) write(number int) {
	word := " " + strconv.Itoa(number)
	l.chain.text += word
	l.chain.length++
	if len(l.chain.tokens) > 0 {
		l.chain.tokens = append(l.chain.tokens, llm.Token{Text: word})
	}
}

// cut shortens the chain to its first n bytes.
func (l *loop) cut(n int) {
	l.chain.tokens, l.chain.length = keep(llm.Completion{Tokens: l.chain.tokens, CompletionTokens: l.chain.length}, n)
	l.chain.text = strings.TrimRight(l.chain.text[:n], " ")
}

func (l *loop) outcome() Outcome {
	return Outcome{
		Text: l.chain.text, Trace: cot.Parse(l.chain.text), Written: l.chain.tokens,
		Calls: l.calls, Tokens: l.tokens, Corrections: l.corrections, Partial: l.partial,
	}
}
