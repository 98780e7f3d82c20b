package eval

import (
	"strings"

	"candor/reasoning/cot"
	"candor/reasoning/llm"
)

// answerLogProb returns the log-probability of the answer's number: the sum over the tokens that any part of it is in.
// written is the byte offset at which what the model wrote begins in the trace's text. It is not ok where the answer was
// not parsed, was not written by the model, or the tokens are not known.
func answerLogProb(t cot.Trace, written int, tokens []llm.Token) (sum float64, ok bool) {
	if !t.Parsed || len(tokens) == 0 {
		return 0, false
	}
	// Behind the cue word stands the number.
	cue := t.Text[t.AnswerStart:]
	space := strings.IndexByte(cue, ' ')
	if space < 0 {
		return 0, false
	}
	start := t.AnswerStart + space + len(cue[space:]) - len(strings.TrimLeft(cue[space:], " "))
	end := start + len(firstWord(t.Text[start:]))
	if start < written {
		return 0, false
	}
	at := written
	for _, token := range tokens {
		if next := at + len(token.Text); at < end && next > start {
			sum += token.LogProb
			ok = true
		}
		at += len(token.Text)
	}
	return sum, ok
}

func firstWord(text string) string {
	word, _, _ := strings.Cut(text, " ")
	return word
}

// meanLogProb returns the mean log-probability of the tokens.
func meanLogProb(tokens []llm.Token) (mean float64, ok bool) {
	if len(tokens) == 0 {
		return 0, false
	}
	for _, token := range tokens {
		mean += token.LogProb
	}
	return mean / float64(len(tokens)), true
}
