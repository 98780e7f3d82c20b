package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"candor/internal/rng"
	"candor/reasoning/cot"
	"candor/reasoning/intervene"
	"candor/reasoning/llm"
	"candor/reasoning/monitor"
	"candor/reasoning/task"
)

// maxTemperature bounds :temperature. Above a few, words are next to uniformly random.
const maxTemperature = 100

// dialogue is a conversation with a model about one problem after another.
type dialogue struct {
	screen
	model       *reasoner
	temperature float64 // 0 is greedy
	last, chain *turn   // what was written last, and the last of it with steps; nil before the first
}

// turn is something that the model wrote: a chain, what became of an edited one, or a quick answer.
type turn struct {
	problem task.Problem
	mode    task.Mode
	sample  int // how many times it was written before
	// before and edit are the chain that was edited and how; edit is nil if none was.
	before cot.Trace
	edit   *intervene.Edit
	trace  cot.Trace
	// cut tells that it was stopped for its length.
	cut bool
}

// ask puts a problem to the model.
func (d *dialogue) ask(ctx context.Context, p task.Problem) error {
	if d.prompt == nil { // nobody sees the line that was typed
		fmt.Fprintln(d.out, p.Text())
	}
	return d.perform(ctx, &turn{problem: p, mode: task.Steps})
}

// quick asks for the answer to the last problem without a chain.
func (d *dialogue) quick(ctx context.Context) error {
	if d.last == nil {
		return heardError{errNoProblem}
	}
	return d.perform(ctx, &turn{problem: d.last.problem, mode: task.Quick})
}

var errNoProblem = errors.New("there is no problem yet; type one such as 8 + 5 + 3 mod 7")

// again lets the model write what it wrote last once more, with other luck.
func (d *dialogue) again(ctx context.Context) error {
	if d.last == nil {
		return heardError{errNoProblem}
	}
	if d.temperature == 0 {
		return heardError{errors.New("at temperature 0 it would write the same again; :temperature 1 lets it draw")}
	}
	t := *d.last
	t.sample++
	return d.perform(ctx, &t)
}

// mistake edits a step of the last chain and lets the model go on from there.
func (d *dialogue) mistake(ctx context.Context, step, total int) error {
	switch {
	case d.last == nil:
		return heardError{errNoProblem}
	case d.chain == nil || d.chain.problem.ID() != d.last.problem.ID():
		return heardError{errors.New("there is no chain with steps to edit; type another problem")}
	}
	edit, err := intervene.SetTotal(d.chain.trace, step, total)
	if err != nil {
		return heardError{errors.New(strings.TrimPrefix(err.Error(), intervene.ErrNotApplicable.Error()+": "))}
	}
	return d.perform(ctx, &turn{problem: d.chain.problem, mode: task.Steps, before: d.chain.trace, edit: &edit})
}

// perform shows what stands, lets the model write, and judges the whole.
func (d *dialogue) perform(ctx context.Context, t *turn) error {
	page := &page{d: d}
	text := ""
	if t.edit != nil {
		text = t.edit.Prefix
		page.edit(t)
	}
	text, err := d.write(ctx, t, text, page)
	page.finish()
	if err != nil {
		return err
	}
	t.trace = t.problem.Read(text)
	if d.last = t; len(t.trace.Steps) > 0 {
		d.chain = t
	}
	return d.judge(t)
}

// write lets the model go on from text, word by word, and returns the whole. A word is one token; each is sampled from
// what stands before it, as it would be in one go.
func (d *dialogue) write(ctx context.Context, t *turn, text string, page *page) (string, error) {
	src := rng.New(0).Split("chat").Split(t.problem.ID()).Split(string(t.mode)).Split(text).SplitN("sample", t.sample)
	request := llm.Request{Messages: []llm.Message{{Role: llm.User, Text: t.problem.Prompt(t.mode)}}, MaxTokens: 1, Temperature: d.temperature}
	// as long as the lab lets chains get
	for left := maxWords(t.problem) - len(strings.Fields(text)); left > 0; left-- {
		request.Prefix, request.Seed = text, src.Uint64()
		out, err := d.model.gen.Generate(ctx, []llm.Request{request})
		if err != nil {
			return text, err
		}
		word := out[0].Text
		if out[0].Finish == llm.FinishStop {
			return text, nil
		}
		text += word
		page.word(strings.TrimSpace(word), text)
		if out[0].PromptTokens >= d.model.Model.Config.Context {
			break
		}
		if err := d.wait(ctx, 1); err != nil {
			return text, err
		}
	}
	t.cut = true
	return text, nil
}

// maxWords is the most words that a chain may have: more than the longest wording needs.
func maxWords(p task.Problem) int { return 20 + 11*len(p.Operands) }

// judge says whether the answer is right, and what the step checker finds.
func (d *dialogue) judge(t *turn) error {
	var verdict string
	right := t.problem.Answer()
	switch task.Check(t.problem, t.trace) {
	case task.Correct:
		verdict = fmt.Sprintf("Answer %d: %s.", t.trace.Answer, d.styled(good, "right"))
	case task.Wrong:
		verdict = fmt.Sprintf("Answer %d: %s, %d is right.", t.trace.Answer, d.styled(bad, "wrong"), right)
	case task.Unparsed:
		reason := t.trace.Reason
		if t.cut {
			reason = "it goes on and on and was cut off"
		}
		verdict = fmt.Sprintf("%s (%s); %d is right.", d.styled(bad, "No answer could be read"), reason, right)
	}
	if t.edit != nil {
		verdict += " " + effect(t)
	}
	if language := foreign(t.trace); language != "" {
		verdict += " The chain is in " + language + "."
	}
	if odd := d.model.unlike(t.problem); odd != "" {
		verdict += " No such problem was in the training: " + odd + "."
	}
	if t.mode == task.Steps {
		verdict += "\nStep checker: " + stepReport(t) + "."
	}
	_, err := fmt.Fprintln(d.out, verdict)
	return err
}

// foreign names the languages of a chain other than English; "" if there are none.
func foreign(t cot.Trace) string {
	var names []string
	for _, s := range t.Steps {
		name := s.Wording.Language()
		name = strings.ToUpper(name[:1]) + name[1:]
		if name != "English" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return strings.Join(names, " and ")
}

// effect says what an edit did to the answer.
func effect(t *turn) string {
	was := "Before the edit: none."
	if t.before.Parsed {
		was = fmt.Sprintf("Before the edit: %d.", t.before.Answer)
	}
	right := t.problem.Answer()
	switch e := t.edit; {
	case !t.trace.Parsed || !e.HasFollows:
		return was
	case e.Follows == right:
		return was + " The edited chain leads to the right answer, too."
	case t.trace.Answer == e.Follows:
		return was + " The model followed the edited chain."
	case t.trace.Answer == right:
		return was + fmt.Sprintf(" The model came to the right answer in spite of the edited chain, which leads to %d.", e.Follows)
	default:
		return was + fmt.Sprintf(" The edited chain leads to %d.", e.Follows)
	}
}

// stepReport says what is wrong with a chain: taken by itself, and beside the prompt.
func stepReport(t *turn) string {
	view := monitor.View{Prompt: t.problem.Prompt(task.Steps), Chain: t.trace.Text}
	alone := faults(monitor.StepChecker{}.Faults(monitor.Written{Chain: view.Chain}), t.trace)
	beside := faults(monitor.StepCheckerWithPrompt{}.Faults(view), t.trace)
	switch {
	case alone != "":
		return alone
	case beside != "":
		return "every step follows from the one before, but beside the problem: " + beside
	}
	return "every step follows, and copies the problem truly"
}

func faults(found []monitor.Fault, t cot.Trace) string {
	var b strings.Builder
	for i, f := range found {
		switch {
		case i > 0 && found[i-1].Step == f.Step:
			b.WriteString(", ")
		case i > 0:
			b.WriteString("; ")
			fallthrough
		default:
			if f.Step < len(t.Steps) {
				fmt.Fprintf(&b, "step %d: ", f.Step+1)
			}
		}
		b.WriteString(f.Text)
	}
	return b.String()
}

// page writes a chain, a line for each step, while it grows.
type page struct {
	d      *dialogue
	steps  int // how many are complete
	column int // of the line under way; 0 before its first word
}

// numberColumn is where the number of a step stands.
const numberColumn = 44

// edit shows the chain that an edited turn goes on from: the steps before the edit, the struck one and the new one.
func (p *page) edit(t *turn) {
	for _, s := range t.before.Steps[:t.edit.Step] {
		p.step(" ", "", t.before.Text[s.Start:s.End], "")
	}
	old := t.before.Steps[t.edit.Step]
	p.step("-", struck, t.before.Text[old.Start:old.End], "")
	p.steps--
	now := cot.Parse(t.edit.Prefix).Steps[t.edit.Step]
	p.step("+", edited, t.edit.Prefix[now.Start:now.End], ", edited")
}

// step writes a whole step.
func (p *page) step(mark, style, text, note string) {
	text = printable(text)
	p.steps++
	p.column = 2 + utf8.RuneCountInString(text)
	fmt.Fprint(p.d.out, mark, " ", p.d.styled(style, text))
	p.number(note)
}

// number closes the line of a step.
func (p *page) number(note string) {
	space := strings.Repeat(" ", max(2, numberColumn-p.column))
	fmt.Fprintln(p.d.out, space+p.d.styled(dim, fmt.Sprintf("step %d%s", p.steps, note)))
	p.column = 0
}

// word writes one word; text is the chain up to and with it.
func (p *page) word(word, text string) {
	word = printable(word)
	length := utf8.RuneCountInString(word)
	if p.column > 0 && p.column+1+length > p.d.w.width-2 { // a chain that has lost its form
		fmt.Fprintln(p.d.out)
		p.column = 0
	}
	if p.column == 0 {
		word, length = " "+word, length+1
	}
	fmt.Fprint(p.d.out, " ", word)
	p.column += 1 + length
	if steps := cot.Parse(text).Steps; len(steps) > p.steps && steps[len(steps)-1].End == len(text) {
		p.steps = len(steps)
		p.number("")
	}
}

// finish ends the last line.
func (p *page) finish() {
	if p.column > 0 {
		fmt.Fprintln(p.d.out)
	}
}

// describe introduces the model.
func (r *reasoner) describe() string {
	c := r.Model.Config
	layers := "one layer"
	if c.Layers > 1 {
		layers = fmt.Sprintf("%d layers", c.Layers)
	}
	return fmt.Sprintf("A GPT of %s and %d numbers (%s)", layers, c.Parameters(), r.about)
}
