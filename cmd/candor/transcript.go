package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"candor/reasoning/compose"
	"candor/reasoning/tally"
	"candor/reasoning/task"
	"candor/train/twopart"
)

// Columns of a transcript on the screen.
const (
	labelColumns = 16 // of the first column
	glossColumn  = 46 // where plain words begin
	lineColumns  = 100
)

// row writes a line: a label, a text as a model wrote or read it, and plain words about it.
func (l *listener) row(ctx context.Context, label, text, style, gloss string) error {
	text = printable(text)
	if err := l.wait(ctx, len(strings.Fields(text))); err != nil {
		return err
	}
	label += strings.Repeat(" ", max(1, labelColumns-utf8.RuneCountInString(label)))
	lines := wrap(text, lineColumns-labelColumns)
	for i, line := range lines {
		if i > 0 {
			label = strings.Repeat(" ", labelColumns)
		}
		if line == "" && gloss == "" {
			label = strings.TrimRight(label, " ")
		}
		fmt.Fprint(l.out, label, l.styled(style, line))
		if i < len(lines)-1 || gloss == "" {
			fmt.Fprintln(l.out)
		}
	}
	if gloss == "" {
		return nil
	}
	column := labelColumns + utf8.RuneCountInString(lines[len(lines)-1])
	for i, line := range wrap(gloss, lineColumns-glossColumn) {
		if i > 0 || column+2 > glossColumn {
			fmt.Fprintln(l.out)
			column = 0
		}
		fmt.Fprint(l.out, strings.Repeat(" ", glossColumn-column), l.styled(dim, line))
	}
	_, err := fmt.Fprintln(l.out)
	return err
}

// paragraph writes a name, and plain words that hang beside it.
func (l *listener) paragraph(name, text string) {
	const indent = 32
	name += strings.Repeat(" ", max(1, indent-utf8.RuneCountInString(name)))
	for i, line := range wrap(printable(text), lineColumns-indent) {
		if i > 0 {
			name = strings.Repeat(" ", indent)
		}
		fmt.Fprintln(l.out, strings.TrimRight(name+line, " "))
	}
}

// wrap breaks a text into lines of at most so many columns, but for words that are longer; there is at least one.
func wrap(text string, columns int) []string {
	lines := []string{""}
	for _, word := range strings.Fields(text) {
		switch last := &lines[len(lines)-1]; {
		case *last == "":
			*last = word
		case utf8.RuneCountInString(*last)+1+utf8.RuneCountInString(word) > columns:
			lines = append(lines, word)
		default:
			*last += " " + word
		}
	}
	return lines
}

// describe introduces the system.
func (l *listener) describe() string {
	what := "One model that writes the chain and the output"
	switch l.sys.config.Face {
	case twopart.OwnFace:
		what = "A private reasoner behind a face, another model"
	case twopart.SharedFace:
		what = "A private reasoner behind a face with the same weights"
	}
	text := fmt.Sprintf("%s, of %d numbers each (%s).", what, l.sys.parameters, l.sys.origin)
	if l.sys.config.Face == twopart.NoFace {
		text = fmt.Sprintf("%s, of %d numbers (%s).", what, l.sys.parameters, l.sys.origin)
	}
	if l.sys.about != "" {
		text += "\n" + l.sys.about
	}
	var lines []string
	for _, line := range strings.Split(text, "\n") {
		lines = append(lines, wrap(printable(line), lineColumns)...)
	}
	return strings.Join(append(lines, l.state()...), "\n")
}

// state says how everything is set.
func (l *listener) state() []string {
	parts := []string{"paraphraser off"}
	switch l.rewrite {
	case twopart.Paraphrase:
		parts[0] = "paraphraser on"
	case twopart.Translate:
		parts[0] = "translator on"
	}
	if l.sys.config.Face != twopart.NoFace {
		if l.hide {
			parts = append(parts, "key hidden from the face")
		} else {
			parts = append(parts, "face sees the key")
		}
	}
	on, off := []string(nil), []string(nil)
	for _, g := range l.gates() {
		list := &on
		if g.Off {
			list = &off
		}
		if name := g.Monitor.Name(); !slices.Contains(*list, name) {
			*list = append(*list, name)
		}
	}
	if len(on) == 0 {
		on = []string{"none"}
	}
	text := "Set: " + strings.Join(parts, ", ") + fmt.Sprintf(", temperature %g; monitors on: %s", l.temperature, strings.Join(on, ", "))
	if len(off) > 0 {
		text += "; off: " + strings.Join(off, ", ")
	}
	return wrap(text+".", lineColumns)
}

// report writes how everything is set.
func (l *listener) report() error {
	_, err := fmt.Fprintln(l.out, strings.Join(l.state(), "\n"))
	return err
}

// line is a row of a transcript.
type line struct{ label, text, style, gloss string }

// show writes a transcript. What the face wrote is shown only if it was released.
func (l *listener) show(ctx context.Context, p task.Sum, t *compose.Transcript) error {
	for _, r := range slices.Concat(l.chain(p, t), l.context(t), l.verdicts(t), []line{l.answer(t), truth(p, t)}) {
		if err := l.row(ctx, r.label, r.text, r.style, r.gloss); err != nil {
			return err
		}
	}
	return nil
}

// chain shows what the reasoner read and wrote, and what was put in the place of each step.
func (l *listener) chain(p task.Sum, t *compose.Transcript) []line {
	gloss := "no key, and a digit that means nothing"
	if p.Flag == tally.Key {
		gloss = fmt.Sprintf("the key says %d", p.Hint)
	}
	lines := []line{{"Reasoner reads", t.Prompt.Text, "", gloss}}
	for i, s := range t.Steps {
		written, rewritten := strings.TrimSpace(s.Written), strings.TrimSpace(s.Rewritten)
		lines = append(lines, line{fmt.Sprintf("  step %d", i+1), written, "", stepGloss(p, i, written)})
		if !t.Rewritten {
			continue
		}
		gloss := "stands in its place"
		if rewritten == written {
			gloss += ", the same"
		}
		lines = append(lines, line{"", rewritten, dim, gloss})
	}
	if !t.Closed {
		lines = append(lines, line{"", "...", "", "cut off: " + limit(t.Partial)})
	}
	return lines
}

// limit says in plain words what ended the work.
func limit(at compose.Limit) string {
	switch at {
	case compose.LimitDepth:
		return "it went on after as many steps as there are numbers"
	case compose.LimitCompletion:
		return "it became longer than one step for each number"
	}
	return "it reached the limit " + string(at)
}

// stepGloss says what a step says.
func stepGloss(p task.Sum, i int, written string) string {
	words := strings.Fields(written)
	if len(words) != 2 {
		return "no whole step"
	}
	s := tally.Step{Subject: words[0], Remark: words[1]}
	if s.Subject == tally.Key || s.Remark == tally.Key {
		return "speaks of the key"
	}
	var parts []string
	term, worked := s.Copy()
	inPlace := worked && i < len(p.Terms) && p.Terms[i] == term
	switch {
	case inPlace:
		parts = append(parts, fmt.Sprintf("takes number %d", i+1))
	case worked && i < len(p.Terms):
		parts = append(parts, fmt.Sprintf("takes %d where number %d is %d", term, i+1, p.Terms[i]))
	case s.Subject == tally.Hmm:
		parts = append(parts, "takes no number")
	default:
		parts = append(parts, "is no step of the sum")
	}
	right := "it"
	if i < len(p.Terms) {
		right = fmt.Sprintf("it is %d", p.Totals()[i])
	}
	n, _, stated := tally.Number(s.Remark)
	switch {
	case stated && i < len(p.Terms) && n == p.Totals()[i]:
		parts = append(parts, fmt.Sprintf("states the total %d", n))
	case stated && i < len(p.Terms):
		parts = append(parts, fmt.Sprintf("states %d as the total: %s", n, right))
	case !stated && inPlace:
		parts = append(parts, fmt.Sprintf("states no total (%s)", right))
	case !stated:
		parts = append(parts, "states nothing")
	}
	return strings.Join(parts, ", ")
}

// context shows what the output was written from.
func (l *listener) context(t *compose.Transcript) []line {
	if t.Context == "" {
		return nil
	}
	seen := strings.TrimSuffix(t.Context, " "+t.Shown())
	if l.sys.config.Face == twopart.NoFace {
		return []line{{"No face", "the reasoner goes on from its chain and writes the output itself", dim, ""}}
	}
	gloss := "of the prompt: all of it"
	if l.hide {
		gloss = "of the prompt: all but the key"
		if !l.sys.hasKeys() {
			gloss = "of the prompt: the numbers alone"
		}
	}
	whose := "the chain"
	if t.Rewritten {
		whose = "the chain as it was rewritten"
	}
	return []line{{"Face reads", seen, "", gloss}, {"", t.Shown(), "", whose}}
}

// verdicts shows what each monitor found.
func (l *listener) verdicts(t *compose.Transcript) []line {
	lines := []line{{"Monitors", "", "", ""}}
	gates := l.gates()
	for i, v := range t.Verdicts {
		part := map[compose.Part]string{compose.SeesOutput: "output", compose.SeesPrivate: "chain and output", compose.SeesShown: "rewritten chain and output"}[v.Sees]
		style, note := "", v.Note
		switch v.State {
		case compose.Pass:
			style, note = good, "nothing found"
		case compose.Block:
			style, note = bad, found(gates[i], t)
		case compose.Failed:
			style = bad
		case compose.NotRun:
			style = dim
		}
		lines = append(lines, line{"  " + v.Monitor, string(v.State), style, part + ": " + note})
	}
	return lines
}
