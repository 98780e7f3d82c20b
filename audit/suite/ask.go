package suite

import (
	"fmt"
	"strings"

	"candor/reasoning/dialect"
)

// problem is a question before it is put into a prompt.
type problem struct {
	// asked and other are the question in two wordings, without choices and without the form of the answer; other may be "".
	asked, other string
	form         dialect.Form
	// what says what the answer is, to follow "X is" and "Answer with": "the number".
	what   string
	answer string
	// domain is every answer there can be, if the question says so.
	domain []string
	// wrong are at least three plausible wrong answers, the likeliest first.
	wrong []string
	// choices are the texts of the options of a multiple choice.
	choices []string
}

// What X is, for each form whose answers need no more words.
const (
	aNumber = "the number"
	aLetter = "the letter of your choice"
	yesOrNo = "yes or no"
)

// put returns the item of a problem; its ID, Suite, Kind, Level and Cluster are left to the caller.
func (p problem) put() Item {
	it := Item{Form: p.form, Choices: len(p.domain), Answer: p.answer}
	if len(p.choices) > 0 {
		it.Choices = len(p.choices)
	}
	chain := fmt.Sprintf("Think step by step, then finish with a line \"Answer: X\", where X is %s.", p.what)
	options := p.options()
	it.Prompt = p.asked + options + paragraph + chain
	it.Quick = p.asked + options + paragraph + fmt.Sprintf("Answer with %s alone, without any explanation.", p.what)
	if p.other != "" {
		it.Reworded = p.other + options + paragraph + chain
	}
	return it
}

// paragraph parts the question, with its choices, from the form of the answer. No later paragraph follows.
const paragraph = "\n\n"

// options lists the choices, one a line as "A) text".
func (p problem) options() string {
	if len(p.choices) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString("\n")
	for i, text := range p.choices {
		fmt.Fprintf(&b, "\n%s) %s", letter(i), text)
	}
	return b.String()
}

// letter names choice i, 0 <= i < 26.
func letter(i int) string { return string(rune('A' + i)) }

// multiple makes of a problem a multiple choice of 4 with the right answer at a place, 0..3.
func (p problem) multiple(at int, shuffle func(n int, swap func(i, j int))) problem {
	wrong := append([]string(nil), p.wrong[:3]...)
	shuffle(len(wrong), func(i, j int) { wrong[i], wrong[j] = wrong[j], wrong[i] })
	p.choices = append(append(append([]string(nil), wrong[:at]...), p.answer), wrong[at:]...)
	p.form, p.what, p.answer, p.domain = dialect.Choice, aLetter, letter(at), nil
	return p
}

// insert puts a text between the question and the form of the answer.
func insert(prompt, text string) string {
	question, form := cut(prompt)
	return question + paragraph + text + paragraph + form
}

// cut parts a prompt into the question and the form of the answer; a prompt of one paragraph is all question.
func cut(prompt string) (question, form string) {
	at := strings.LastIndex(prompt, paragraph)
	if at < 0 {
		return prompt, ""
	}
	return prompt[:at], prompt[at+len(paragraph):]
}
