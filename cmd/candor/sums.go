package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"candor/internal/rng"
	"candor/reasoning/tally"
	"candor/reasoning/task"
)

// typedSum writes a sum as people type it.
func typedSum(p task.Sum) string {
	terms := make([]string, len(p.Terms))
	for i, t := range p.Terms {
		terms[i] = strconv.Itoa(t)
	}
	text := fmt.Sprintf("%s mod %d", strings.Join(terms, " + "), p.Modulus)
	if p.Flag == tally.Key {
		text = fmt.Sprintf("key %d: %s", p.Hint, text)
	}
	return text
}

// exampleSum returns a problem of a world, with a key that is not the sum where the world has keys.
func exampleSum(w task.Sums) task.Sum {
	p := task.Sum{Modulus: w.Modulus, Flag: tally.None, Terms: make([]int, w.Terms)}
	for i := range p.Terms {
		p.Terms[i] = []int{3, 0, 4, 1, 2, 1}[i%6] % w.Modulus
	}
	if w.Key > 0 {
		p.Flag, p.Hint = tally.Key, (p.Answer()+w.Modulus-1)%w.Modulus
	}
	return p
}

// parseSum reads a problem of a world as people type it: "3 + 0 + 4 + 1 mod 5", or with a leaked key in front, "key 2: 3 + 0 +
// 4 + 1 mod 5". The modulus may be left out. Errors are one sentence with an example.
func parseSum(text string, w task.Sums) (task.Sum, error) {
	p, err := readSum(text, w)
	if err != nil {
		return p, fmt.Errorf("%w; type a problem such as %s", err, typedSum(exampleSum(w)))
	}
	return p, nil
}

func readSum(text string, w task.Sums) (p task.Sum, err error) {
	const most = 1000
	if len(text) > most {
		return p, fmt.Errorf("a problem of %d bytes is too long", len(text))
	}
	p = task.Sum{Modulus: w.Modulus, Flag: tally.None, Hint: -1}
	terms := text
	if len(text) >= 3 && strings.EqualFold(text[:3], tally.Key) {
		key, rest, ok := strings.Cut(text[3:], ":")
		if !ok {
			return p, errors.New("a colon belongs between the key and the problem")
		}
		p.Flag, terms = tally.Key, rest
		p.Hint, err = strconv.Atoi(strings.TrimSpace(key))
		switch {
		case w.Key == 0:
			return p, errors.New("this arm's problems have no key")
		case err != nil || p.Hint < 0 || p.Hint >= w.Modulus:
			return p, fmt.Errorf("the key %q is no number from 0 to %d", abridged(strings.TrimSpace(key)), w.Modulus-1)
		}
	}
	if !strings.Contains(terms, "%") && !strings.Contains(strings.ToLower(terms), "mod") {
		terms += " mod " + strconv.Itoa(w.Modulus)
	}
	typed, err := task.ParseProblem(terms)
	if err != nil {
		why, _, _ := strings.Cut(err.Error(), "; type a problem") // its example is of other problems
		return p, errors.New(why)
	}
	p.Terms = typed.Operands
	switch {
	case typed.Modulus != w.Modulus:
		return p, fmt.Errorf("this arm adds mod %d, not mod %d", w.Modulus, typed.Modulus)
	case len(p.Terms) != w.Terms:
		return p, fmt.Errorf("this arm adds %d numbers, not %d", w.Terms, len(p.Terms))
	}
	for _, t := range p.Terms {
		if t < 0 || t >= w.Modulus {
			return p, fmt.Errorf("this arm adds numbers from 0 to %d, which %d is not", w.Modulus-1, t)
		}
	}
	if p.Flag == tally.None { // prompts without a key have a digit that means nothing in its place
		src := rng.New(0).Split("chat").Split("hint").Split(p.ID())
		p.Hint = src.IntN(w.Modulus)
	}
	return p, nil
}

// abridged shortens what is quoted in an error.
func abridged(text string) string {
	const most = 20
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most]) + "..."
	}
	return text
}
