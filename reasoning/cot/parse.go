package cot

import (
	"slices"
	"unicode"
	"unicode/utf8"
)

// word is a word of a text with its byte offsets.
type word struct {
	text       string
	start, end int
}

// split cuts a text at white space.
func split(text string) []word {
	words := make([]word, 0, len(text)/3+1)
	start := -1
	for i := 0; i < len(text); {
		r, size := rune(text[i]), 1
		if r >= utf8.RuneSelf {
			r, size = utf8.DecodeRuneInString(text[i:])
		}
		switch space := unicode.IsSpace(r); {
		case space && start >= 0:
			words = append(words, word{text[start:i], start, i})
			start = -1
		case !space && start < 0:
			start = i
		}
		i += size
	}
	if start >= 0 {
		words = append(words, word{text[start:], start, len(text)})
	}
	return words
}

// match reads a pattern at the beginning of words into s and returns whether all of it was there.
func match(p pattern, words []word, s *Step) bool {
	if len(words) < len(p) {
		return false
	}
	for i, want := range p {
		got := words[i].text
		if !isSlot(want) {
			if got != want {
				return false
			}
			continue
		}
		if want == slotLabel {
			if _, ok := LabelIndex(got); !ok {
				return false
			}
			s.Label = got
			continue
		}
		n, ok := number(got)
		if !ok {
			return false
		}
		switch want {
		case slotOperand:
			s.Operand = n
		case slotRaw:
			s.Raw, s.HasRaw = n, true
		case slotModulus:
			if n < 1 {
				return false
			}
			s.Modulus = n
		case slotTotal:
			s.Total = n
		}
	}
	return true
}

// Parse reads a chain. It takes every wording, mixed wordings, bluffs, direct replies, chains cut anywhere, and a closing
// [End]. Words it cannot place are skipped and counted in Trace.Stray.
//
// The answer is read only if the text ends with it. Otherwise Parsed is false and Reason is one of: "empty chain", "no
// answer", "no number after the answer's cue", "two answers", "words after the answer".
func Parse(chain string) Trace {
	t := Trace{Text: chain, AnswerStart: len(chain), EndStart: len(chain)}
	words := split(chain)
	i := 0
	for i < len(words) && words[i].text != End && !slices.Contains(cues, words[i].text) {
		i += t.take(words[i:])
	}
	if n := len(words); n > 0 && words[n-1].text == End && i < n {
		words = words[:n-1]
	}
	if i < len(words) && words[i].text != End {
		t.AnswerStart = words[i].start
		if t.EndLabel == "" {
			t.EndStart = t.AnswerStart
		}
		t.readAnswer(words[i:])
		return t
	}
	if t.Reason = "no answer"; len(words) == 0 {
		t.Reason = "empty chain"
	}
	return t
}

// take reads a step or the close at the beginning of words, which begin with no cue and no End, and returns how many
// words it took; of the close it leaves the cue.
func (t *Trace) take(words []word) int {
	for _, g := range grammars {
		for _, p := range []pattern{g.next, g.first} {
			s := Step{Wording: g.wording, Start: words[0].start}
			if !match(p, words, &s) {
				continue
			}
			if s.End = words[len(p)-1].end; !s.HasRaw {
				s.Total = s.Operand
			}
			t.add(s)
			return len(p)
		}
		var s Step
		if match(g.last, words, &s) {
			t.EndLabel, t.EndStart = s.Label, words[0].start
			return len(g.last) - 1
		}
	}
	if match(bluff, words, nil) {
		t.Bluff = true
		return len(bluff) - 1
	}
	t.Stray++
	return 1
}

func (t *Trace) add(s Step) {
	t.Steps = append(t.Steps, s)
	switch {
	case len(t.Steps) == 1:
		t.Wording = string(s.Wording)
	case t.Wording != string(s.Wording):
		t.Wording = Mixed
	}
	if t.Modulus == 0 {
		t.Modulus = s.Modulus
	}
}

// readAnswer reads an answer at its cue, words[0].
func (t *Trace) readAnswer(words []word) {
	if len(words) < 2 {
		t.Reason = "no number after the answer's cue"
		return
	}
	n, ok := number(words[1].text)
	if !ok {
		t.Reason = "no number after the answer's cue"
		return
	}
	if rest := words[2:]; len(rest) > 0 {
		t.Reason = "words after the answer"
		for _, w := range rest {
			if slices.Contains(cues, w.text) {
				t.Reason = "two answers"
			}
		}
		return
	}
	t.Answer, t.Parsed = n, true
}

// PendingSum tells whether a partial chain breaks off right where a raw sum must be written (behind "get", "makes",
// "for", the first "->", "macht" or "donne") and, if so, which two numbers the chain says are to be added: the total of
// the last whole step in front and the operand. It looks at the chain alone, so a wrong total or operand is taken as it is.
func PendingSum(partial string) (a, b int, ok bool) {
	words := split(partial)
	for _, g := range grammars {
		s, at, ok := pending(g.next, slotRaw, words)
		if !ok {
			continue
		}
		steps := Parse(partial[:at]).Steps
		if len(steps) == 0 {
			return 0, 0, false
		}
		return steps[len(steps)-1].Total, s.Operand, true
	}
	return 0, 0, false
}

// PendingResidue tells whether a partial chain breaks off right where a total must be written (behind "is", "leaves",
// "to", the second "->", "rest" or "reste") and, if so, what is to be reduced by which modulus: the one that the step
// states, or else the given one. It is not ok if there is neither (modulus < 1).
func PendingResidue(partial string, modulus int) (raw, by int, ok bool) {
	words := split(partial)
	for _, g := range grammars {
		s, _, ok := pending(g.next, slotTotal, words)
		if !ok {
			continue
		}
		if slices.Contains(g.next, slotModulus) {
			modulus = s.Modulus
		}
		if modulus < 1 { // neither stated nor given
			return 0, 0, false
		}
		return s.Raw, modulus, true
	}
	return 0, 0, false
}

// pending reads the pattern up to the slot off the end of words and returns the byte offset at which it begins.
func pending(p pattern, slot string, words []word) (s Step, at int, ok bool) {
	p = p[:slices.Index(p, slot)]
	if len(words) < len(p) {
		return s, 0, false
	}
	words = words[len(words)-len(p):]
	return s, words[0].start, match(p, words, &s)
}
