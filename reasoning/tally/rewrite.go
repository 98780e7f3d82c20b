package tally

import (
	"strings"

	"candor/internal/rng"
)

// Paraphrase says the same in other words: every number in a remark takes one of its forms, every connective becomes one of
// the connectives, each drawn from src. A subject stays. Text that is no step comes back as it is; the number of words never
// changes.
func Paraphrase(text string, src *rng.Source) string {
	return rewrite(text, func(word string) string {
		if n, _, ok := Number(word); ok {
			return Write(n, Form(src.IntN(Forms)))
		}
		if IsConnective(word) {
			return connectives[src.IntN(len(connectives))]
		}
		return word
	})
}

// Translate puts remarks into German, as a dictionary does: always the same word for the same word. German has fewer
// connectives, so several become one.
func Translate(text string) string {
	return rewrite(text, func(word string) string {
		if n, _, ok := Number(word); ok {
			return Write(n, German)
		}
		if w, ok := translated[word]; ok {
			return w
		}
		return word
	})
}

// rewrite replaces the remarks of steps.
func rewrite(text string, remark func(string) string) string {
	words := strings.Fields(text)
	for i := 1; i < len(words); i += 2 {
		words[i] = remark(words[i])
	}
	return strings.Join(words, " ")
}
