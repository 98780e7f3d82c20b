// Package cot reads and writes chains of thought.
package cot

// Step is one step of a chain: an operand is taken and the running total becomes Total.
type Step struct {
	// Label is the index token of the operand, such as "i15".
	Label string
	// Operand is what the step says it takes.
	Operand int
	// Raw is the stated sum before reduction; HasRaw is false for a first step, which only copies its operand.
	Raw    int
	HasRaw bool
	// Total is the stated running total after the step.
	Total int
	// Start and End are byte offsets of the step's text in the chain, so that chain[:Start] is the chain before it.
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
}
