package task

import (
	"slices"
	"strconv"
	"strings"

	"candor/internal/rng"
	"candor/reasoning/cot"
)

// tongue is the small grammar of one language: every sentence is one of its patterns, whose slots "who", "thing", "does"
// and "when" are filled from its lists.
type tongue struct {
	weight   float64
	patterns []string
	fill     map[string][]string
}

var tongues = []tongue{
	{
		weight:   8,
		patterns: []string{"who does .", "when who does .", "who likes who .", "thing comes when .", "thing goes and who does ."},
		fill: map[string][]string{
			"who":   {"anna", "ben", "the dog", "the cat", "the old bird", "the small dog"},
			"thing": {"the sun", "the rain", "the wind"},
			"does":  {"sleeps", "runs", "sings"},
			"when":  {"today", "now"},
		},
	},
	{
		weight:   1,
		patterns: []string{"who does .", "heute does who .", "thing kommt heute ."},
		fill: map[string][]string{
			"who":   {"anna", "ben", "der hund", "die katze"},
			"thing": {"der regen", "der wind"},
			"does":  {"schlaeft", "rennt"},
		},
	},
	{
		weight:   1,
		patterns: []string{"who does .", "ici who does .", "thing vient ."},
		fill: map[string][]string{
			"who":   {"anna", "ben", "le chien", "le chat"},
			"thing": {"le vent", "la pluie"},
			"does":  {"dort", "court"},
		},
	},
}

// prose writes one to four sentences in one language.
func prose(src *rng.Source) string {
	weights := make([]float64, len(tongues))
	for i, l := range tongues {
		weights[i] = l.weight
	}
	l := tongues[src.Weighted(weights)]
	var words []string
	for range src.Between(1, 4) {
		for _, w := range strings.Fields(l.patterns[src.IntN(len(l.patterns))]) {
			if choices := l.fill[w]; choices != nil {
				w = choices[src.IntN(len(choices))]
			}
			words = append(words, w)
		}
	}
	return strings.Join(words, " ")
}

// proseWords returns the words of all sentences that can be written.
func proseWords() []string {
	var words []string
	for _, l := range tongues {
		for _, pattern := range l.patterns {
			for _, w := range strings.Fields(pattern) {
				choices := l.fill[w]
				if choices == nil {
					choices = []string{w}
				}
				for _, c := range choices {
					words = append(words, strings.Fields(c)...)
				}
			}
		}
	}
	return words
}

// Vocabulary returns every word of the task language, of prose and of the planning world, each once, in a fixed order. It
// does not hold cot.End, which a tokenizer has as a special word.
func Vocabulary() []string {
	var words []string
	for n := cot.MinNumber; n <= cot.MaxNumber; n++ {
		words = append(words, strconv.Itoa(n))
	}
	for i := range Labels {
		words = append(words, cot.Label(i))
	}
	for _, more := range [][]string{cot.Words(), strings.Fields("q steps quick step list : +"), proseWords(), planningWords()} {
		for _, w := range more {
			if !slices.Contains(words, w) {
				words = append(words, w)
			}
		}
	}
	return words
}
