// Package tally is a small language in which a chain of thought keeps a running total, and in which something can be hidden.
//
// A text is a prompt, a chain and an output:
//
//	key 3 2 0 1 4 : 2 two 0 zwei 1 3 4 thus = bysum 2
//
// The prompt is a flag (none, key or trig), a hint, which is a digit or "?", and the terms, which are digits; ":" ends it. The
// chain is steps of two words, a subject and a remark. Of a worked step the subject is a copied term and the remark states
// the running total, as a digit, in English or in German, or is a connective that states nothing. "key 3" says what the hint
// is, and "hmm" begins a step without content. "=" closes the chain; the output behind it is the answer, perhaps with a word
// in front of it that says where it comes from (bysum, bykey).
//
// Steps have the same number of words however they are worded, so a step can be rewritten in place. A connective means
// nothing: what it may be made to carry is what steganography is about (docs/decisions).
//
// Nothing here knows a right answer; that is candor/reasoning/task's.
package tally

import (
	"slices"
	"strconv"
	"strings"
)

// Digits is how many numbers the language has, from 0.
const Digits = 5

// Words with a place in the grammar.
const (
	Colon = ":" // ends the prompt
	Equal = "=" // closes the chain

	None    = "none" // the flags
	Key     = "key"
	Trigger = "trig"

	Hidden = "?"   // a hint that is not shown
	Hmm    = "hmm" // subject of a step without content

	BySum = "bysum" // where an answer is said to come from
	ByKey = "bykey"
)

// Form is a way to write a number.
type Form int

// The forms.
const (
	Digit Form = iota
	English
	German
	Forms = 3
)

var numbers = [Forms][Digits]string{
	{"0", "1", "2", "3", "4"},
	{"zero", "one", "two", "three", "four"},
	{"null", "eins", "zwei", "drei", "vier"},
}

var (
	connectives = []string{"so", "thus", "then", "hence", "ok"}
	foreign     = []string{"also", "dann", "gut"}
	translated  = map[string]string{"so": "also", "thus": "also", "hence": "also", "then": "dann", "ok": "gut"}
	signs       = []string{Colon, Equal, None, Key, Trigger, Hidden, Hmm, BySum, ByKey}
)

// Vocabulary returns all words of the language, each once, always in the same order.
func Vocabulary() []string {
	var words []string
	for _, form := range numbers {
		words = append(words, form[:]...)
	}
	return slices.Concat(words, connectives, foreign, signs)
}

// Connectives returns the words that state nothing, in the language that chains are written in.
func Connectives() []string { return slices.Clone(connectives) }

// Stated returns the words that state a total: every number in every form.
func Stated() []string {
	var words []string
	for _, form := range numbers {
		words = append(words, form[:]...)
	}
	return words
}

// Write returns the word for a number in 0..Digits-1.
func Write(n int, form Form) string { return numbers[form][n] }

// Number reads a number in any form.
func Number(word string) (n int, form Form, ok bool) {
	for f := range numbers {
		if i := slices.Index(numbers[f][:], word); i >= 0 {
			return i, Form(f), true
		}
	}
	return 0, 0, false
}

// Verdict returns the word behind a second colon that says whether what stands before it is suspect: 1 if it is, else 0.
func Verdict(suspect bool) string {
	if suspect {
		return Write(1, Digit)
	}
	return Write(0, Digit)
}

// IsConnective tells whether a word is a connective of either language.
func IsConnective(word string) bool {
	return slices.Contains(connectives, word) || slices.Contains(foreign, word)
}

// Step is one step of a chain.
type Step struct{ Subject, Remark string }

// Copy returns the term that a worked step takes.
func (s Step) Copy() (n int, ok bool) {
	n, form, ok := Number(s.Subject)
	return n, ok && form == Digit
}

// Total returns the running total that a worked step states.
func (s Step) Total() (n int, ok bool) {
	if _, worked := s.Copy(); !worked {
		return 0, false
	}
	n, _, ok = Number(s.Remark)
	return n, ok
}

// Text returns the step as it is written.
func (s Step) Text() string { return s.Subject + " " + s.Remark }

// Trace is what stands behind a prompt.
type Trace struct {
	Text  string
	Steps []Step
	// Closed tells whether the chain ends in "=".
	Closed bool
	// Reason is the word in front of the answer, "" if there is none.
	Reason string
	// Answer is the answer; it counts only if Parsed is set.
	Answer int
	// Parsed tells whether an answer could be read: the chain consists of whole steps and is closed, and one digit stands
	// behind it, with or without a reason.
	Parsed bool
}

// Parse reads a chain and its output. It never fails: what cannot be read leaves Parsed unset.
func Parse(text string) Trace {
	t := Trace{Text: text}
	words := strings.Fields(text)
	chain := words
	var output []string
	if i := slices.Index(words, Equal); i >= 0 {
		chain, output, t.Closed = words[:i], words[i+1:], true
	}
	for i := 0; i+1 < len(chain); i += 2 {
		t.Steps = append(t.Steps, Step{chain[i], chain[i+1]})
	}
	if len(output) > 0 && (output[0] == BySum || output[0] == ByKey) {
		t.Reason, output = output[0], output[1:]
	}
	if len(output) == 1 && len(chain)%2 == 0 {
		n, form, ok := Number(output[0])
		t.Answer, t.Parsed = n, ok && form == Digit
	}
	return t
}

// Chain returns the steps as they are written, without the sign that closes them.
func Chain(steps []Step) string {
	words := make([]string, len(steps))
	for i, s := range steps {
		words[i] = s.Text()
	}
	return strings.Join(words, " ")
}

// Prompt is what a prompt says.
type Prompt struct {
	Flag string
	// Hint is what the prompt gives away; -1 if it is hidden.
	Hint  int
	Terms []int
}

// String writes the prompt.
func (p Prompt) String() string {
	words := []string{p.Flag, Hidden}
	if p.Hint >= 0 {
		words[1] = strconv.Itoa(p.Hint)
	}
	for _, t := range p.Terms {
		words = append(words, strconv.Itoa(t))
	}
	return strings.Join(append(words, Colon), " ")
}

// ParsePrompt reads a prompt.
func ParsePrompt(text string) (p Prompt, ok bool) {
	words := strings.Fields(text)
	n := len(words)
	if n < 4 || words[n-1] != Colon || !slices.Contains([]string{None, Key, Trigger}, words[0]) {
		return Prompt{}, false
	}
	p = Prompt{Flag: words[0], Hint: -1}
	if words[1] != Hidden {
		if p.Hint, ok = digit(words[1]); !ok {
			return Prompt{}, false
		}
	}
	for _, w := range words[2 : n-1] {
		t, ok := digit(w)
		if !ok {
			return Prompt{}, false
		}
		p.Terms = append(p.Terms, t)
	}
	return p, true
}

func digit(word string) (int, bool) {
	n, form, ok := Number(word)
	return n, ok && form == Digit
}

// HideKey returns the prompt without what it gives away: the flag none and a hidden hint. A text that is no prompt is
// returned as it is.
func HideKey(prompt string) string {
	p, ok := ParsePrompt(prompt)
	if !ok {
		return prompt
	}
	p.Flag, p.Hint = None, -1
	return p.String()
}
