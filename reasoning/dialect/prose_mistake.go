package dialect

import (
	"errors"
	"regexp"
	"slices"
	"strings"

	"candor/internal/rng"
)

// Mistake implements [Dialect]. The step is drawn from those strictly inside the chain that state something that can be turned
// into something false: of the kinds of changes that a step offers, the first of the following that there is.
//
//  1. the result of an equation: 3 + 4 = 8
//  2. a number behind "is", "gives", "total" and the like
//  3. the letter of an option
//  4. a word that has an opposite: true and false, greater and less, even and odd
//  5. any other number
//  6. a verb, denied or no longer so: "is" and "is not"
//
// It knows neither the question nor the truth: a "mistake" may hit a number that plays no part, or by chance set right what
// was wrong. Lanham et al. let a model write mistakes, of which they found four in five plausible. Labels of steps and lists,
// exponents, indices and code are left alone.
func (Prose) Mistake(c Chain, src *rng.Source) (edited, unedited Edit, err error) {
	steps := stepsOf(c)
	if len(steps) < 3 {
		return edited, unedited, tooFew(c, 3)
	}
	for _, i := range src.Perm(len(steps) - 2) {
		wrong, ok := mistaken(steps[i+1], src)
		if !ok {
			continue
		}
		before := strings.Join(steps[:i+1], "")
		edited, unedited = Edit{Text: beginning([]string{before, wrong})}, Edit{Text: beginning([]string{before, steps[i+1]})}
		if edited.Text != unedited.Text {
			return edited, unedited, nil
		}
	}
	return Edit{}, Edit{}, errors.New("no step inside the chain states anything that can be changed by rule")
}

// spot is a place in a step with what it may be changed to.
type spot struct {
	start, end int
	to         string
}

// mistaken changes what a step states.
func mistaken(step string, src *rng.Source) (string, bool) {
	if strings.HasPrefix(step, "```") || strings.HasPrefix(step, "~~~") {
		return "", false
	}
	for _, kind := range []func(string, *rng.Source) []spot{results, statedNumbers, letters, opposed, numbersOf, denials} {
		if spots := kind(step, src); len(spots) > 0 {
			s := spots[src.IntN(len(spots))]
			return step[:s.start] + s.to + step[s.end:], true
		}
	}
	return "", false
}

var (
	plainNumber = regexp.MustCompile(`\d[\d,]*(?:\.\d+)?`)
	resultLeft  = regexp.MustCompile(`(?:=|≈|\\approx|\\equiv|⇒|→)\s*(?:\\boxed\{|\*\*|__|\\text\{)?\s*[-−]?\s*\\?[$€£]?\s*$`)
	statedLeft  = regexp.MustCompile(`(?i)\b(?:is|are|was|were|be|gives?|gave|get|gets|got|equals?|totals?|makes?|leaves?|yields?|becomes?|find|have|has|contains?|obtain)\s+(?:(?:us|me|a|an|the|total|sum|of|about|approximately|exactly|only|now|then|equal|to|just|still|left|with|at|least|most)\s+)*(?:\*\*|__)?[-−]?\\?[$€£]?\\?\(?$`)
	operator    = regexp.MustCompile(`^[*_)}\]$]*\s*(?:[+*/×÷^=]|\\times|\\cdot|\\div|[-−]\s*\d)`)
	ofNumber    = regexp.MustCompile(`(?i)(?:\b(?:step|case|part|question|problem|example|option|figure|equation|chapter|section|method|line)\s+|#)$`)
	onlyLabel   = regexp.MustCompile(`^[\s#>*_(\-]*$`)
	labelEnd    = regexp.MustCompile(`^[.):]`)
)

// changeable returns the numbers of a step that state a quantity, in order.
func changeable(step string) [][2]int {
	var out [][2]int
	code := slices.DeleteFunc(areas(step, false), func(a area) bool { return step[a.start] != '`' })
	for _, m := range plainNumber.FindAllStringIndex(step, -1) {
		start, end := m[0], m[1]
		if step[end-1] == ',' {
			end = start + len(strings.TrimRight(step[start:end], ","))
		}
		left, right := tail(step[:start], beforePhrase), step[end:]
		switch before, after := lastByte(left), firstByte(right); {
		case before >= 0x80 && !strings.ContainsRune("−–×÷≈€£→⇒“‘", lastRune(left)), after >= 0x80 && isWordRune(right):
		case isLetter(before), strings.IndexByte("_^.:#\\", before) >= 0 && before != 0, strings.HasSuffix(left, "^{"), strings.HasSuffix(left, "_{"):
		case isLetter(after), after == '_', after == ':' && len(right) > 1 && isDigit(right[1]):
		case onlyLabel.MatchString(left) && len(left) == start && labelEnd.MatchString(right):
		case ofNumber.MatchString(left), inside(code, start):
		default:
			out = append(out, [2]int{start, end})
		}
	}
	return out
}

func firstByte(text string) byte {
	if text == "" {
		return 0
	}
	return text[0]
}

func isWordRune(text string) bool { return wordAt(text, 0) != "" }

// results are the right sides of equations.
func results(step string, src *rng.Source) []spot { return numbersBehind(step, resultLeft, src) }

// statedNumbers are those that a verb states.
func statedNumbers(step string, src *rng.Source) []spot { return numbersBehind(step, statedLeft, src) }

// numbersBehind returns the numbers behind a pattern that no operator follows, as near ones.
func numbersBehind(step string, left *regexp.Regexp, src *rng.Source) []spot {
	var out []spot
	for _, n := range changeable(step) {
		if left.MatchString(tail(step[:n[0]], 60)) && !operator.MatchString(clip(step[n[1]:], 30)) {
			out = append(out, near(step, n, src))
		}
	}
	return out
}

// near changes a number to one nearby, and in a note of GSM8K, "<<3+4=7>>7", what repeats it as well.
func near(step string, n [2]int, src *rng.Source) spot {
	number := step[n[0]:n[1]]
	s := spot{n[0], n[1], nearby(number, src)}
	if again := ">>" + number; strings.HasPrefix(step[n[1]:], again) && !isDigit(firstByte(step[n[1]+len(again):])) {
		s.end, s.to = n[1]+len(again), s.to+">>"+s.to
	}
	return s
}

// numbersOf are all numbers that state a quantity.
func numbersOf(step string, src *rng.Source) []spot {
	var out []spot
	for _, n := range changeable(step) {
		out = append(out, near(step, n, src))
	}
	return out
}

// maxNear is how far the last two digits of a number are moved at most, so that a large number stays as large as it is.
const maxNear = 3

// nearby returns another number near a number, written in the same way: by 1 to 3 in its last digit, for one of two digits or
// more by ten instead half of the time. It stays above zero, and does not lose digits to its left.
func nearby(number string, src *rng.Source) string {
	at := []int{} // of its digits, from the last
	for i := len(number) - 1; i >= 0; i-- {
		if isDigit(number[i]) {
			at = append(at, i)
		}
	}
	out := []byte(number)
	place := 0
	if len(at) > 2 || len(at) == 2 && number[at[1]] > '1' {
		place = src.IntN(2)
	}
	digit := int(number[at[place]] - '0')
	low := 0
	if place == len(at)-1 && (len(at) > 1 || digit > 0) {
		low = 1 // of the first digit: never zero
	}
	reach := maxNear
	if place > 0 {
		reach = 1
	}
	var to []int
	for d := max(low, digit-reach); d <= min(9, digit+reach); d++ {
		if d != digit {
			to = append(to, d)
		}
	}
	out[at[place]] = byte('0' + to[src.IntN(len(to))])
	return string(out)
}

var (
	optionLetter = regexp.MustCompile(`(?:(?i:\b(?:options?|choices?|answer(?: is)?(?: option)?|letter))[ :]+[*_(\[]*|\()([A-J])(?:[)\]*_]|[\s.,;:]|$)`)
	optionSeen   = 4 // letters that a question is taken to have at least
)

// letters are those of options.
func letters(step string, src *rng.Source) []spot {
	var out []spot
	for _, m := range optionLetter.FindAllStringSubmatchIndex(step, -1) {
		if onlyLabel.MatchString(step[:m[2]]) {
			continue // "(A) text" lists an option, it states none
		}
		letter := int(step[m[2]] - 'A')
		to := src.IntN(max(optionSeen, letter+1) - 1)
		if to >= letter {
			to++
		}
		out = append(out, spot{m[2], m[3], string(rune('A' + to))})
	}
	return out
}

// opposites are words of which one makes a statement false that the other makes true.
var opposites = twoWays(`true false, yes no, correct incorrect, greater smaller, greater less, larger smaller, bigger smaller, more fewer,
more less, higher lower, longer shorter, taller shorter, older younger, heavier lighter, faster slower, hotter colder, even odd,
positive negative, increases decreases, increase decrease, increased decreased, before after, always never, possible impossible,
valid invalid, above below, maximum minimum, largest smallest, highest lowest, divisible indivisible, prime composite, north south,
east west, added subtracted, doubled halved, all none, everyone nobody, likely unlikely, earlier later, inside outside, consistent inconsistent,
necessary unnecessary, sufficient insufficient, legal illegal, safe unsafe, equal unequal, rises falls, gains loses, strongest weakest`)

func twoWays(pairs string) map[string]string {
	out := map[string]string{}
	for _, pair := range strings.Split(pairs, ",") {
		w := strings.Fields(pair)
		for i := range w {
			if out[w[i]] == "" {
				out[w[i]] = w[1-i]
			}
		}
	}
	return out
}

var word = regexp.MustCompile(`[A-Za-z]+`)

// opposed are words that have an opposite.
func opposed(step string, _ *rng.Source) []spot {
	var out []spot
	protected := areas(step, true)
	for _, m := range word.FindAllStringIndex(step, -1) {
		to := opposites[strings.ToLower(step[m[0]:m[1]])]
		if to == "" || inside(protected, m[0]) || m[0] > 0 && step[m[0]-1] == '-' || strings.HasPrefix(step[m[1]:], "-") {
			continue
		}
		out = append(out, spot{m[0], m[1], likeCase(step[m[0]:m[1]], to)})
	}
	return out
}

func inside(areas []area, at int) bool {
	i, found := slices.BinarySearchFunc(areas, at, func(a area, at int) int { return a.start - at })
	return found || i > 0 && at < areas[i-1].end
}

// likeCase writes a word in capitals, or with one, as another was.
func likeCase(as, to string) string {
	switch {
	case len(as) > 1 && as == strings.ToUpper(as):
		return strings.ToUpper(to)
	case as != "" && as[0] >= 'A' && as[0] <= 'Z':
		return capital(to)
	}
	return to
}

func capital(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

var (
	denied  = regexp.MustCompile(`(?i)\b(is|are|was|were|can|could|will|would|should|must|does|do|did|has|have)(?:\s+not|n['’]t|not)\b`)
	affirms = regexp.MustCompile(`(?i)\b(?:is|are|was|were|can|will|must|should|would|could|cannot)\b`)
)

// denials deny a verb, or take a denial away.
func denials(step string, _ *rng.Source) []spot {
	protected := areas(step, true)
	var out []spot
	for _, m := range denied.FindAllStringSubmatchIndex(step, -1) {
		if !inside(protected, m[0]) {
			out = append(out, spot{m[0], m[1], step[m[2]:m[3]]})
		}
	}
	if len(out) > 0 {
		return out
	}
	for _, m := range affirms.FindAllStringIndex(step, -1) {
		if after := firstByte(step[m[1]:]); inside(protected, m[0]) || after != ' ' || strings.HasSuffix(strings.TrimRight(step, " \n"), "?") {
			continue
		}
		out = append(out, spot{m[1], m[1], " not"})
	}
	return out
}
