package dialect

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxValue bounds how much of a text is looked at for one answer, in bytes.
const maxValue = 300

// readValue reads an answer of a form at the beginning of a text. Statements in running prose are loose: what follows their
// answer is not theirs. It says why not, if there is none.
func readValue(text string, form Form, loose bool) (value, why string) {
	text = clip(text, maxValue)
	ok := false
	switch form {
	case Number:
		value, ok = readNumber(text, loose)
	case Choice:
		value, ok = readChoice(text)
	case YesNo:
		value, ok = readYesNo(text)
	default:
		value, ok = readText(text, loose)
	}
	switch {
	case ok:
		return value, ""
	case strings.Trim(text, " \t\r\n*_:#$\"'`(") == "":
		return "", "nothing follows the mark of the answer"
	}
	return "", "what follows the mark of the answer is no " + string(form) + ": " + clip(strings.Join(strings.Fields(text), " "), 60)
}

// clip cuts a text to at most n bytes, between characters.
func clip(text string, n int) string {
	if len(text) <= n {
		return text
	}
	for n > 0 && !utf8.RuneStart(text[n]) {
		n--
	}
	return text[:n]
}

// What may stand before an answer without being part of it.
const (
	markup = `\\(?:text|textbf|textrm|mathbf|mathrm|boxed|fbox|bf|quad|left|displaystyle|,|;|!| |\(|\[)|[*_$"'“‘` + "`" + `:\s{\[(=>#]`
	hedges = `definitely|clearly|likely|probably|therefore|indeed|thus|simply|just|actually|still|also|then|hence|surely|obviously|of course|again`
)

var (
	choiceLead  = regexp.MustCompile(`^(?:(?i:(?:the|option|choice|letter|answer|number|most|` + hedges + `)\b)|` + markup + `|,)*`)
	yesNoLead   = regexp.MustCompile(`^(?:(?i:(?:` + hedges + `|a|an|the statement is)\b)|` + markup + `|,)*`)
	choiceRest  = regexp.MustCompile(`^(?i:because|since|as|and|for|due|which|given|based|with|here|is|by|from)\b`)
	secondTalks = regexp.MustCompile(`^[\s)*_.\]}"]*(?:(?i:or|and|&|/)|,(?:\s*(?i:or|and))?)\s*(?i:(?:possibly|maybe|perhaps|option)\s+)?[*_(\[]*([A-HJ])[)\]*_]*(?:[\s.,;?!]|$)`)
)

// readChoice reads the letter of a choice. In small letters or before words it must stand apart: "a" is a word, too.
func readChoice(text string) (string, bool) {
	lead := choiceLead.FindString(text)
	rest := text[len(lead):]
	if rest == "" || rest[0]|0x20 < 'a' || rest[0]|0x20 > 'j' {
		return "", false
	}
	letter, rest := rest[0], rest[1:]
	value := strings.ToUpper(string(letter))
	if m := secondTalks.FindStringSubmatchIndex(rest); m != nil && !alsoProse(rest, m) {
		return "", false
	}
	r, size := utf8.DecodeRuneInString(rest)
	switch {
	case rest == "" || r == '\n' || r == '\r':
		return value, true
	case unicode.IsLetter(r) || unicode.IsNumber(r) || r == '\'' || r == '’' || r == '_' && len(rest) > 1 && isLetter(rest[1]):
		return "", false
	case r == '-' && len(rest) > size && isLetter(rest[size]):
		return "", false
	case !unicode.IsSpace(r):
		return value, true
	}
	next, _ := utf8.DecodeRuneInString(strings.TrimLeft(rest, " \t\u00a0"))
	switch {
	case next == utf8.RuneError || next == '\n' || !unicode.IsLetter(next) && !unicode.IsNumber(next):
		return value, letter < 'a'
	case letter >= 'a':
		return "", false
	case letter == 'A' || letter == 'I':
		return value, choiceRest.MatchString(strings.TrimLeft(rest, " \t"))
	}
	return value, unicode.IsLower(next) || strings.HasSuffix(lead, " ")
}

// alsoProse tells of a match of secondTalks at a bare comma whether a clause begins there: "B, A is wrong".
func alsoProse(rest string, m []int) bool {
	between := rest[m[0]:m[2]]
	if !strings.Contains(between, ",") || strings.ContainsAny(between, "oOdD") {
		return false
	}
	after := strings.TrimLeft(rest[m[3]:], " )*]")
	return after != "" && isLetter(after[0])
}

var (
	yesNo     = regexp.MustCompile(`^(?i:(yes|true|y)|(no|false|n))\b`)
	yesNoRest = regexp.MustCompile(`^[*_"'” \t)}\]$]*(?:$|[\n.,;:!—–-]|\\|(?i:because|since|as|it|they|given|the|he|she|we)\b)`)
)

func readYesNo(text string) (string, bool) {
	rest := text[len(yesNoLead.FindString(text)):]
	m := yesNo.FindStringSubmatchIndex(rest)
	if m == nil || !yesNoRest.MatchString(rest[m[1]:]) {
		return "", false
	}
	if m[2] >= 0 {
		return "yes", true
	}
	return "no", true
}

const digits = `(?:\d{1,3}(?:(?:,|\{,\}|\\,|\x{202f}|\x{2009})\d{3})+|\d+)(?:\.\d+)?|\.\d+`

var (
	numberLead = regexp.MustCompile(`^(?:(?i:(?:about|approximately|approx\.|around|roughly|exactly|precisely|only|equal to|equals|the number|a total of|in total|usd|us|rs\.?|` +
		hedges + `)\b\.?)|(?:[A-Za-z]\w?|\\[a-z]+)\s*=|` + markup + `|[≈~€£¥₹]|\\approx|\\\$|,)*`)
	number     = regexp.MustCompile(`^([-+−–]?)\s?\\?[$€£¥₹]?\s?(` + digits + `)(?:[eE]([-+]?\d{1,2}))?(?:\s*(?:×|\\times|\\cdot|\*|x)\s*10\s*\^\s*\{?\s*([-−]?\d{1,2})\s*\}?)?`)
	fraction   = regexp.MustCompile(`^([-+−–]?)\s?\\[dt]?frac\s*\{\s*(\d+)\s*\}\s*\{\s*(\d+)\s*\}`)
	overNumber = regexp.MustCompile(`^\s?/\s?(\d+)`)
	mixed      = regexp.MustCompile(`^\s(\d+)\s?/\s?(\d+)`)
	goesOn     = regexp.MustCompile(`^[*_)}\]]*(?:\s*(?:[+×÷^=≈]\s*[\d(\\a-zA-Z$]|[*/<>]\s*[\d(\\$]|\\times|\\cdot|\\div|\\pm|±)|\s+[-−–]\s*\d|[-−–:]\s*\d|,\d|\.\d|\d|\s*(?i:(?:or|and|to|plus|minus|times)\s+)[$€£]?\d|[a-zA-Z]\s*[+*/^=])`)
	ordinal    = regexp.MustCompile(`^(?:st|nd|rd|th)\b`)
	smallWords = []string{"zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"}
)

// readNumber reads a number, of an equation its last right side. On a line of its own other words may stand around it, if
// the line is short and holds no other number.
func readNumber(text string, loose bool) (string, bool) {
	line, _, _ := strings.Cut(strings.TrimLeft(text, " \t\r\n*_#:"), "\n")
	value, rest, ok := numberAt(line)
	at := strings.LastIndexAny(line, "=≈")
	if at >= 0 && (!loose || side.MatchString(line[:at])) {
		_, size := utf8.DecodeRuneInString(line[at:])
		if right, rest, ok := numberAt(line[at+size:]); ok && !goesOn.MatchString(rest) {
			return right, true
		}
	}
	if ok {
		return value, !goesOn.MatchString(rest)
	}
	if all := numbers.FindAllStringIndex(line, 2); !loose && len(all) == 1 && len(line) <= maxLine && !shortOpener.MatchString(line) {
		value, rest, ok = numberAt(line[all[0][0]:])
		return value, ok && !goesOn.MatchString(rest)
	}
	return "", false
}

// maxLine bounds, in bytes, a line with an answer among other words.
const maxLine = 80

var (
	// side is the left side of an equation without words.
	side    = regexp.MustCompile(`^[\s\d.,+*/×÷^=()$€£%{}_−-]*(?:(?:[A-Za-z]\w?|\\[a-z]+)[\s\d.,+*/×÷^=()$%{}_−-]+)*$`)
	numbers = regexp.MustCompile(`[-+−–]?[$€£]?\d(?:[\d,]*\d)?(?:\.\d+)?(?:/\d+)?`)
)

// numberAt reads the number that a text begins with, and returns it in its shortest form with what follows.
func numberAt(text string) (value, rest string, ok bool) {
	lead := numberLead.FindString(text)
	rest = text[len(lead):]
	if m := fraction.FindStringSubmatch(rest); m != nil {
		return sign(m[1]) + m[2] + "/" + m[3], rest[len(m[0]):], true
	}
	m := number.FindStringSubmatch(rest)
	if m == nil {
		return wordNumber(rest)
	}
	rest = rest[len(m[0]):]
	if ordinal.MatchString(rest) {
		return "", "", false
	}
	whole := strings.NewReplacer(",", "", "{", "", "}", "", `\`, "", "\u202f", "", "\u2009", "").Replace(m[2])
	if f := mixed.FindStringSubmatch(rest); f != nil && !strings.Contains(whole, ".") {
		return sign(m[1]) + whole + " " + f[1] + "/" + f[2], rest[len(f[0]):], true
	}
	if f := overNumber.FindStringSubmatch(rest); f != nil && !strings.Contains(whole, ".") {
		return sign(m[1]) + whole + "/" + f[1], rest[len(f[0]):], true
	}
	return canonical(m[1], whole, exponent(m[3])+exponent(m[4])), rest, true
}

// wordNumber reads a number word that ends what is stated.
func wordNumber(text string) (value, rest string, ok bool) {
	word := strings.ToLower(wordAt(text, 0))
	for i, w := range smallWords {
		if after := text[len(wordAt(text, 0)):]; w == word && strings.Trim(after, " .*_)}$\"'!\r\n") == "" {
			return canonical("", itoa(i), 0), after, true
		}
	}
	return "", "", false
}

func sign(s string) string {
	if s == "" || s == "+" {
		return ""
	}
	return "-"
}

// exponent reads a power of ten of at most two digits; "" is 0.
func exponent(s string) int {
	n, negative := 0, false
	for _, r := range s {
		if r >= '0' && r <= '9' {
			n = 10*n + int(r-'0')
		} else {
			negative = negative || r != '+'
		}
	}
	if negative {
		return -n
	}
	return n
}

// canonical writes a number of digits with at most one period, times a power of ten, in its shortest form.
func canonical(minus, digits string, power int) string {
	whole, part, _ := strings.Cut(digits, ".")
	for ; power > 0; power-- {
		if part == "" {
			part = "0"
		}
		whole, part = whole+part[:1], part[1:]
	}
	for ; power < 0; power++ {
		if whole == "" {
			whole = "0"
		}
		whole, part = whole[:len(whole)-1], whole[len(whole)-1:]+part
	}
	whole, part = strings.TrimLeft(whole, "0"), strings.TrimRight(part, "0")
	if whole == "" {
		whole = "0"
	}
	if part != "" {
		whole += "." + part
	}
	if whole == "0" {
		return whole
	}
	return sign(minus) + whole
}

var texCommand = regexp.MustCompile(`\\(?:text|textbf|mathbf|mathrm|textrm)\{([^{}]*)\}`)

// readText reads a few words: the first line, of a loose statement its sentence.
func readText(text string, loose bool) (string, bool) {
	line, _, _ := strings.Cut(strings.TrimLeft(text, " \t\r\n*_#:"), "\n")
	if loose {
		if steps := splitProse(line); len(steps) > 0 {
			line = steps[0]
		}
	}
	line = texCommand.ReplaceAllString(line, "$1")
	for _, pair := range []string{`\(`, `\)`, `\[`, `\]`, "**", "__", "`"} {
		line = strings.ReplaceAll(line, pair, "")
	}
	line = strings.Trim(strings.Join(strings.Fields(line), " "), " \"'“”‘’.*_$,;:!")
	return line, line != "" && !(loose && notText.MatchString(line))
}

// notText matches what a loose statement of a text says about its answer in place of it.
var notText = regexp.MustCompile(`^(?i:not|in|that|clear|correct|wrong|right|incorrect|obvious|simple|straightforward|unclear|the same|to|found|given|either|whether|what)\b`)
