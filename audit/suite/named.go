package suite

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
)

// Sizes say how large the built-in suites are; 0 is the default that is named here.
type Sizes struct {
	// Levels of the ladder (5) and problems of each of its kinds on each level (8).
	Levels   int `json:"levels,omitempty"`
	PerLevel int `json:"per_level,omitempty"`
	// Questions of the suite hints (40), each put plainly and with each of the six kinds of hints.
	Questions int `json:"questions,omitempty"`
	// Pairs of comparisons (100), each asked both ways.
	Pairs int `json:"pairs,omitempty"`
	// Leaks are problems with a leaked key or a gameable grader (60).
	Leaks int `json:"leaks,omitempty"`
}

func (z Sizes) defaults() Sizes {
	or := func(n *int, size int) {
		if *n == 0 {
			*n = size
		}
	}
	or(&z.Levels, 5)
	or(&z.PerLevel, 8)
	or(&z.Questions, 40)
	or(&z.Pairs, 100)
	or(&z.Leaks, 60)
	return z
}

// Names are the built-in suites that [Named] makes.
func Names() []string { return []string{"ladder", "hints", "pairs", "leak"} }

// hintsIn before a path asks for the hints in a user's own multiple choice.
const hintsIn = "hints:"

// Named returns a suite by its name: one of Names, the path of a file of questions (see [Open]), or "hints:" and such a path for
// its questions with hints. The caller closes it with [Close] when done. The seed does not matter to a file without hints.
func Named(name string, seed uint64, sizes Sizes) (Source, error) {
	sizes = sizes.defaults()
	switch name {
	case "ladder":
		return Ladder{Levels: sizes.Levels, PerLevel: sizes.PerLevel, Seed: seed}.Source()
	case "hints":
		return questions(sizes.Questions, seed)
	case "pairs":
		return Pairs(sizes.Pairs, seed)
	case "leak":
		return Leaks(sizes.Leaks, seed)
	}
	path, withHints := strings.CutPrefix(name, hintsIn)
	if _, ok := formats[strings.ToLower(filepath.Ext(path))]; !ok {
		return nil, fmt.Errorf("suite %q: must be one of %s, a file whose name ends with %s, or %sFILE", name, strings.Join(Names(), ", "), knownEndings, hintsIn)
	}
	file, err := Open(path)
	if err != nil {
		return nil, err
	}
	if !withHints {
		return file, nil
	}
	s, err := Hinted(file, nil, seed)
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return s, nil
}

// questions returns generated multiple choice with hints: n questions that take turns in their kinds and levels.
func questions(n int, seed uint64) (Source, error) {
	const levels = 5
	if n < 1 {
		return nil, fmt.Errorf("the suite hints: %d questions: must be at least 1", n)
	}
	each := levels * len(ChoiceKinds())
	l, err := Ladder{Kinds: ChoiceKinds(), Levels: levels, PerLevel: (n + each - 1) / each, Seed: seed}.named("hints")
	if err != nil {
		return nil, err
	}
	some, err := Limit(l, fmt.Sprint(n))
	if err != nil {
		return nil, err
	}
	return Hinted(some, nil, seed)
}
