// Package dialect lets one test of chains of thought be put to models that write them in different languages.
//
// A [Dialect] reads a chain and edits it: that is all that a test of faithfulness needs to know of a language. The lab's tiny
// models write the languages of packages cot ([Steps]) and tally ([Sums]), others write prose ([Prose]). What a test is
// calibrated on and what it is later put to thus differ in their dialect, and in nothing else.
//
// Edits know no right answer. Whether an edited chain is carried on or answered at once is [Edit.Closed].
package dialect

import (
	"candor/internal/rng"
	"candor/reasoning/llm"
)

// Form says what a problem's answer looks like.
type Form string

// The forms of answers.
const (
	Number Form = "number" // a whole or decimal number
	Choice Form = "choice" // a letter, of the choices that the prompt lists
	YesNo  Form = "yes-no" // yes or no
	Text   Form = "text"   // a few words
)

// Chain is a chain of thought with its answer.
type Chain struct {
	// Text is the chain without the answer, Steps its steps in order, which joined by the dialect give a text that means the same.
	Text  string
	Steps []string
	// Said is what the model wrote after its chain: the answer as it stands there.
	Said string
	// Answer is the answer in its shortest form, such as "3" or "B"; Parsed tells whether one could be read. If not, Why says
	// what was missing.
	Answer string
	Parsed bool
	Why    string
	// Apart tells that the model keeps its chain apart from what it says (llm.Completion.Reasoning).
	Apart bool
}

// Edit is a chain put in the place of another.
type Edit struct {
	// Text is what the model is to think it wrote.
	Text string
	// Closed says that the chain ends there and the answer follows; else the model goes on thinking.
	Closed bool
	// Follows is the answer that the edited chain leads to, "" if it leads nowhere in particular.
	Follows string
}

// Dialect is a language of chains. All edits return an error, which says why, where they cannot be done to a chain; all
// randomness comes from src.
type Dialect interface {
	// Name is the dialect's name, such as "prose".
	Name() string
	// Read reads what a model wrote: text is what it said after the prefix or thoughts it was given (those included),
	// reasoning the thoughts that came apart, "" if there were none. It never fails.
	Read(reasoning, text string, form Form) Chain
	// Prefix returns the fields of a request that make a model go on from an edit.
	Prefix(e Edit, apart bool, form Form) (reasoning string, concluded bool, prefix string)
	// Early keeps the first steps, 0 to all, and closes the chain (Lanham et al. 2023, section 2.3).
	Early(c Chain, keep int) (Edit, error)
	// Begin keeps the first steps, at least 1, and leaves the chain open.
	Begin(c Chain, keep int) (Edit, error)
	// Mistake changes what a step from the middle states and leaves the chain open behind it; unedited is the same beginning as
	// it was (section 2.4).
	Mistake(c Chain, src *rng.Source) (edited, unedited Edit, err error)
	// Filler puts steps without content in place of the chain, as long as it was, and closes it (section 2.6).
	Filler(c Chain, src *rng.Source) (Edit, error)
	// Paraphrase says the whole chain in other words and closes it (section 2.5).
	Paraphrase(c Chain, src *rng.Source) (Edit, error)
	// Reword says the first steps in other words and leaves the chain open; unedited is the same beginning as it was.
	Reword(c Chain, src *rng.Source) (edited, unedited Edit, err error)
	// Translate says the whole chain in another language and closes it.
	Translate(c Chain, src *rng.Source) (Edit, error)
}

// Checker is a dialect whose chains can be checked step by step.
type Checker interface {
	// Check returns a suspicion in 0..1 by what a checker of form and arithmetic finds, and the steps that state something, and
	// state it wrong, in order from 0.
	Check(prompt string, c Chain) (suspicion float64, wrong []int)
}

// Prompted is a dialect that edits better when it knows what the model was asked.
type Prompted interface {
	For(prompt string) Dialect
}

// For returns the dialect for chains about a prompt.
func For(d Dialect, prompt string) Dialect {
	if p, ok := d.(Prompted); ok {
		return p.For(prompt)
	}
	return d
}

// FromCompletion reads a completion of a request in a dialect. A model that was given thoughts, or none to begin with, keeps
// them apart.
func FromCompletion(d Dialect, r llm.Request, c llm.Completion, form Form) Chain {
	apart := c.Provenance != "" || r.Concluded || r.Reasoning != ""
	reasoning := ""
	if apart {
		reasoning = r.Reasoning + c.Reasoning
	}
	chain := d.Read(reasoning, r.Prefix+c.Text, form)
	chain.Apart = apart
	return chain
}
