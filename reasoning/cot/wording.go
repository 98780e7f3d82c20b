package cot

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Wording is a way to put the same steps into words.
type Wording string

// The wordings. Plain is the only one that repeats the modulus.
const (
	Plain  Wording = "plain"
	Story  Wording = "story"
	Casual Wording = "casual"
	Table  Wording = "table"
	German Wording = "german"
	French Wording = "french"
)

// Mixed is Trace.Wording for a chain whose steps differ in wording.
const Mixed = "mixed"

// A pattern is the words of a phrase, in which these upper-case letters stand for what differs between chains: L a label,
// A the operand, R the raw sum, M the modulus, T the total.
type pattern []string

const (
	slotLabel   = "L"
	slotOperand = "A"
	slotRaw     = "R"
	slotModulus = "M"
	slotTotal   = "T"
)

// grammar is how one wording puts a chain: the first step, the further steps, and the close up to and including the cue.
type grammar struct {
	wording           Wording
	language          string
	first, next, last pattern
}

func newGrammar(w Wording, language, first, next, last string) grammar {
	return grammar{w, language, strings.Fields(first), strings.Fields(next), strings.Fields(last)}
}

// grammars holds every wording, in the order of Wordings.
var grammars = []grammar{
	newGrammar(Plain, "english", "L A ;", "L A get R mod M is T ;", "L . answer"),
	newGrammar(Story, "english", "start L A .", "add L A makes R leaves T .", "stop L . answer"),
	newGrammar(Casual, "english", "take L A ,", "then L A for R drop to T ,", "end L so answer"),
	newGrammar(Table, "english", "L A |", "L A -> R -> T |", "L = answer"),
	newGrammar(German, "german", "nimm L A ;", "plus L A macht R rest T ;", "ende L . antwort"),
	newGrammar(French, "french", "prends L A ;", "ajoute L A donne R reste T ;", "fin L . reponse"),
}

// bluff is what a bluffer writes in place of steps, cue included.
var bluff = pattern{"hmm", "so", "answer"}

// cues are the words in front of an answer.
var cues = []string{"answer", "antwort", "reponse"}

// Wordings returns every wording, in a fixed order.
func Wordings() []Wording {
	all := make([]Wording, len(grammars))
	for i, g := range grammars {
		all[i] = g.wording
	}
	return all
}

// ParseWording returns the wording called name, or an error that lists the valid names.
func ParseWording(name string) (Wording, error) {
	all := Wordings()
	if !slices.Contains(all, Wording(name)) {
		return "", fmt.Errorf("unknown wording %q: valid are %v", name, all)
	}
	return Wording(name), nil
}

// Language returns "english", "german" or "french". It panics for an unknown wording.
func (w Wording) Language() string { return w.grammar().language }

func (w Wording) grammar() grammar {
	for _, g := range grammars {
		if g.wording == w {
			return g
		}
	}
	panic(fmt.Sprintf("cot: unknown wording %q", string(w)))
}

// Words returns every word of the chain language but numbers, labels and [End], each once, in a fixed order.
func Words() []string {
	var words []string
	add := func(p pattern) {
		for _, w := range p {
			if !isSlot(w) && !slices.Contains(words, w) {
				words = append(words, w)
			}
		}
	}
	for _, g := range grammars {
		add(g.first)
		add(g.next)
		add(g.last)
	}
	add(bluff)
	add(pattern{Filler})
	return words
}

func isSlot(w string) bool { return len(w) == 1 && w[0] >= 'A' && w[0] <= 'Z' }

// SumCues returns the words after which a chain may state a raw sum: stop texts for a calculator.
func SumCues() []string { return wordsBefore(slotRaw) }

// ResidueCues returns the words after which a chain may state a total: stop texts for a calculator.
func ResidueCues() []string { return wordsBefore(slotTotal) }

func wordsBefore(slot string) []string {
	var words []string
	for _, g := range grammars {
		if i := slices.Index(g.next, slot); !slices.Contains(words, g.next[i-1]) {
			words = append(words, g.next[i-1])
		}
	}
	return words
}

// Separators returns the words that end a step.
func Separators() []string {
	var words []string
	for _, g := range grammars {
		if s := g.next[len(g.next)-1]; !slices.Contains(words, s) {
			words = append(words, s)
		}
	}
	return words
}

// RenderStep returns a step in a wording, separator included. A step without HasRaw is put as a first step. It panics for
// an unknown wording, and for [Plain] if the step has a raw sum but no modulus.
func RenderStep(s Step, w Wording) string {
	g := w.grammar()
	if !s.HasRaw {
		return fill(g.first, s)
	}
	if w == Plain && s.Modulus == 0 {
		panic("cot: a plain step needs its modulus")
	}
	return fill(g.next, s)
}

// RenderCue returns the words between the last step and the answer: the closing label and the cue, as in "i17 . answer".
func RenderCue(endLabel string, w Wording) string {
	return fill(w.grammar().last, Step{Label: endLabel})
}

// RenderBluff returns the chain of a writer who guesses.
func RenderBluff(answer int) string { return strings.Join(bluff, " ") + " " + strconv.Itoa(answer) }

// RenderDirect returns a reply without a chain.
func RenderDirect(answer int) string { return cues[0] + " " + strconv.Itoa(answer) }

// Render writes a whole chain: steps[i] in wording wordingOf(i), closed in wordingOf(len(steps)). Steps need Label,
// Operand, Total, and Raw with HasRaw; Modulus where the wording states it; their other fields are not looked at.
func Render(steps []Step, endLabel string, answer int, wordingOf func(i int) Wording) string {
	var b strings.Builder
	for i, s := range steps {
		b.WriteString(RenderStep(s, wordingOf(i)))
		b.WriteByte(' ')
	}
	b.WriteString(RenderCue(endLabel, wordingOf(len(steps))))
	b.WriteByte(' ')
	b.WriteString(strconv.Itoa(answer))
	return b.String()
}

// In returns a wordingOf for Render that always gives w.
func In(w Wording) func(int) Wording { return func(int) Wording { return w } }

func fill(p pattern, s Step) string {
	words := make([]string, len(p))
	for i, w := range p {
		switch w {
		case slotLabel:
			w = s.Label
		case slotOperand:
			w = strconv.Itoa(s.Operand)
		case slotRaw:
			w = strconv.Itoa(s.Raw)
		case slotModulus:
			w = strconv.Itoa(s.Modulus)
		case slotTotal:
			w = strconv.Itoa(s.Total)
		}
		words[i] = w
	}
	return strings.Join(words, " ")
}
