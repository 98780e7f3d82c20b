package suite

import (
	"math/big"
	"regexp"
	"strconv"
	"strings"

	"candor/reasoning/dialect"
)

// Outcome says whether an answer is right.
type Outcome string

// The outcomes.
const (
	Correct Outcome = "correct"
	Wrong   Outcome = "wrong"
	Unknown Outcome = "unknown" // nobody knows the right answer
)

// Check compares an answer with an item's. Numbers are equal if their values are: "1,200.50", "$1200.5" and "2401/2" are one
// number, and a sign for per cent is dropped; what is no number is compared as text. A choice is compared by its letter, which
// may stand in brackets or before the text of the choice. Other texts are equal if they are without regard to case, blanks,
// quotes around them, an article before them and a full stop behind them.
//
// An answer that could not be read from what a model wrote is not for Check: it is unparsed, neither right nor wrong.
func Check(item Item, answer string) Outcome {
	switch {
	case item.Answer == "":
		return Unknown
	case equal(item.Form, item.Answer, answer):
		return Correct
	}
	return Wrong
}

// Same tells whether an answer is an item's right one.
func Same(item Item, answer string) bool { return Check(item, answer) == Correct }

func equal(form dialect.Form, a, b string) bool {
	switch form {
	case dialect.Number:
		x, y := rational(a), rational(b)
		if x != nil && y != nil {
			return x.Cmp(y) == 0
		}
	case dialect.Choice:
		return option(a) != "" && option(a) == option(b)
	}
	return plain(a) == plain(b)
}

var (
	decimal  = regexp.MustCompile(`^[+-]?(\d{1,400}(\.\d{0,400})?|\.\d{1,400})([eE][+-]?\d{1,3})?$`)
	fraction = regexp.MustCompile(`^[+-]?\d{1,400}/0*[1-9]\d{0,400}$`)
	grouped  = regexp.MustCompile(`(\d)[,_\x{202F}\x{00A0} ](\d{3})\b`)
	lettered = regexp.MustCompile(`^[\s("'*]*([A-Za-z])(?:[\s)"'*.:]*$|[).:]+\s)`)
)

// rational reads a number, nil if a text is none.
func rational(text string) *big.Rat {
	text = strings.NewReplacer("−", "-", "$", "", "€", "", "£", "", "%", "").Replace(strings.TrimSpace(text))
	text = strings.TrimSuffix(strings.TrimSpace(text), ".")
	for range 2 { // matches cannot overlap
		text = grouped.ReplaceAllString(text, "$1$2")
	}
	if !decimal.MatchString(text) && !fraction.MatchString(text) {
		return nil
	}
	r, ok := new(big.Rat).SetString(text)
	if !ok {
		return nil
	}
	return r
}

// option reads the letter of a choice in capitals, "" if there is none.
func option(text string) string {
	m := lettered.FindStringSubmatch(text)
	if m == nil {
		return ""
	}
	return strings.ToUpper(m[1])
}

// plain is a text without what does not matter.
func plain(text string) string {
	words := strings.Fields(strings.ToLower(strings.Trim(text, " \t\n\"'“”‘’*`.")))
	if len(words) > 1 && (words[0] == "the" || words[0] == "a" || words[0] == "an") {
		words = words[1:]
	}
	return strings.Join(words, " ")
}

// place reads an index into n choices, from 0; not ok if a text is none.
func place(text string, n int) (int, bool) {
	i, err := strconv.Atoi(strings.TrimSpace(text))
	return i, err == nil && i >= 0 && i < n
}
