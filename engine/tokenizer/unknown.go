package tokenizer

import (
	"fmt"
	"slices"
	"strings"
)

// UnknownWordError says which word is not in the vocabulary and which similar ones are.
type UnknownWordError struct {
	Word string
	Near []string // a few words of the vocabulary, the most similar first
}

func (e *UnknownWordError) Error() string {
	if len(e.Near) == 0 {
		return fmt.Sprintf("the model does not know the word %s: its vocabulary is empty", shown(e.Word))
	}
	quoted := make([]string, len(e.Near))
	for i, w := range e.Near {
		quoted[i] = fmt.Sprintf("%q", w)
	}
	return fmt.Sprintf("the model does not know the word %s (words are separated by spaces; it knows for example %s)",
		shown(e.Word), strings.Join(quoted, ", "))
}

// shown quotes a word of any length for a one-line message.
func shown(word string) string {
	const most = 40
	if len(word) > most {
		return fmt.Sprintf("%q... (%d bytes)", word[:most], len(word))
	}
	return fmt.Sprintf("%q", word)
}

// near returns up to five words, the fewest edits away first, equals in the order of ids.
func (t *Tokenizer) near(word string) []string {
	const most = 5
	if len(word) > 64 {
		word = word[:64]
	}
	type candidate struct {
		word     string
		distance int
	}
	all := make([]candidate, len(t.words))
	for i, w := range t.words {
		all[i] = candidate{w, edits(word, w)}
	}
	slices.SortStableFunc(all, func(a, b candidate) int { return a.distance - b.distance })
	var out []string
	for _, c := range all[:min(most, len(all))] {
		out = append(out, c.word)
	}
	return out
}

// edits returns the Levenshtein distance of two words in bytes; words beyond 64 bytes are compared by their beginnings.
func edits(a, b string) int {
	const most = 64
	a, b = a[:min(len(a), most)], b[:min(len(b), most)]
	var row [most + 1]int
	for j := range len(b) + 1 {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
