// Package cot reads and writes chains of thought.
//
// # The language of chains
//
// A chain works a sum off term by term. Words are separated by single spaces. Every step takes the operand that stands at
// a label of the prompt; the first step only copies it, each further step also states the raw sum (the total so far plus
// the operand) and the total (the raw sum reduced by the modulus). Each step ends in its separator. The chain closes with
// the label after the last operand, a cue word and the answer:
//
//	i14 6 ; i15 -2 get 4 mod 5 is 4 ; i16 9 get 13 mod 5 is 3 ; i17 . answer 3
//
// There are six wordings of the same thing ([Wordings]), two of them in other languages. One chain may mix them. A writer
// who bluffs writes no steps: `hmm so answer 3`; a direct reply is `answer 3`.
//
// # Reading
//
// [Parse] reads any text, also a chain that was cut anywhere or is full of garbage, and never fails: what cannot be read
// is an outcome of its own (Trace.Parsed is false and Trace.Reason says why), never a wrong answer. [WellFormed] and
// [Consistent] judge form and arithmetic by the chain alone, without the prompt. [PendingSum] and [PendingResidue] tell
// a calculator what to work out where a chain breaks off in front of a number.
//
// # Writing
//
// [Render], [RenderStep] and [RenderCue] are the inverse: Parse(Render(x)) gives x back.
package cot

import "strconv"

// The numbers that are words of the task language, both ends included. Parse reads other numbers too (a remote model may
// write them); whoever makes up a chain for the lab's models keeps to these.
const (
	MinNumber = -18
	MaxNumber = 30
)

// Labels is the number of labels that are words of the task language: "i0" to "i23".
const Labels = 24

// End is the word that ends a page or a completion.
const End = "<|end|>"

// Filler is the word that stands in for a chain's words where they are taken away.
const Filler = "..."

// Step is one step of a chain: an operand is taken and the running total becomes Total.
type Step struct {
	// Label is the index token of the operand, such as "i15".
	Label string
	// Operand is what the step says it takes.
	Operand int
	// Raw is the stated sum before reduction; HasRaw is false for a first step, which only copies its operand.
	Raw    int
	HasRaw bool
	// Modulus is the modulus that the step states; 0 if its wording states none. Render needs it for the wording Plain.
	Modulus int
	// Total is the stated running total after the step.
	Total int
	// Wording is how the step is worded.
	Wording Wording
	// Start and End are byte offsets of the step's text in the chain, so that chain[:Start] is the chain before it. The
	// text includes the step's separator.
	Start, End int
}

// Trace is a parsed chain of thought.
type Trace struct {
	// Text is the chain as it was written, answer included.
	Text string
	// Wording names the wording of the steps, or "mixed"; "" if there are none.
	Wording string
	Steps   []Step
	// Parsed tells whether an answer could be read. When it is false, Answer means nothing and Reason says what was missing.
	Parsed bool
	Answer int
	Reason string
	// AnswerStart is the byte offset at which the answer's cue word ("answer", "antwort", ...) begins; len(Text) if none.
	AnswerStart int
	// EndLabel is the label that closes the chain; "" if none does. EndStart is the byte offset of the phrase around it
	// ("i17 .", "stop i17 ."), AnswerStart if there is none.
	EndLabel string
	EndStart int
	// Modulus is the modulus that the chain's first step to state one states; 0 if none does. A caller who knows the
	// prompt may set it: paraphrases and mistakes need it where the wording states none.
	Modulus int
	// Bluff tells that the answer stands behind the bluffer's phrase "hmm so".
	Bluff bool
	// Stray counts the words in front of the answer that belong to no step and to no closing phrase.
	Stray int
}

// Prefix returns the text up to and including the nth step (its separator included, no space behind it), such that
// Prefix + " " + continuation is a chain again. It is "" for n = 0 and panics if there are fewer than n steps.
func (t Trace) Prefix(n int) string {
	if n == 0 {
		return ""
	}
	return t.Text[:t.Steps[n-1].End]
}

// Reduce returns the residue of n in 0..modulus-1, also for a negative n. It panics if modulus < 1.
func Reduce(n, modulus int) int {
	if modulus < 1 {
		panic("cot: a modulus below 1")
	}
	if n %= modulus; n < 0 {
		n += modulus
	}
	return n
}

// Label returns the label with an index, such as "i15".
func Label(index int) string { return "i" + strconv.Itoa(index) }

// LabelIndex returns the index of a label; ok is false if the word is none.
func LabelIndex(word string) (index int, ok bool) {
	if len(word) < 2 || len(word) > 4 || word[0] != 'i' {
		return 0, false
	}
	n, ok := number(word[1:])
	return n, ok && n >= 0
}

// number reads a whole number in its one canonical spelling: no "+", no "-0", no leading zeros, at most 9 digits.
func number(word string) (int, bool) {
	digits := word
	if len(digits) > 1 && digits[0] == '-' {
		digits = digits[1:]
		if digits[0] == '0' {
			return 0, false
		}
	}
	if len(digits) == 0 || len(digits) > 9 || len(digits) > 1 && digits[0] == '0' {
		return 0, false
	}
	n := 0
	for i := range len(digits) {
		if digits[i] < '0' || digits[i] > '9' {
			return 0, false
		}
		n = n*10 + int(digits[i]-'0')
	}
	if len(digits) < len(word) {
		n = -n
	}
	return n, true
}
