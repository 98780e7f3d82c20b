package dialect

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Bounds on how far an opening mark looks for its end, in bytes: what is longer was not meant as one, and the search stays
// linear in the length of a text.
const (
	maxInline  = 1_000 // $...$ and `...`
	maxDisplay = 5_000 // \[...\], $$...$$ and environments
	maxQuote   = 500
)

// area is a stretch of a text, [start,end) in bytes, inside which nothing is a sentence and no word is replaced.
type area struct {
	start, end int
	fence      bool // a fenced block of code, which is a step of its own
}

// areas finds code, LaTeX and, if asked, quotations, in order and without overlaps.
func areas(text string, quotes bool) []area {
	var out []area
	s := seeker{text: text, next: map[string]int{}}
	for i := 0; i < len(text); {
		a := area{start: i}
		switch c := text[i]; {
		case c == '`' || c == '~':
			a = s.code(i)
		case c == '\\':
			a.end = s.latex(i)
			if a.end == i && i+1 < len(text) && text[i+1] < utf8.RuneSelf {
				i++ // an escaped character opens nothing
			}
		case c == '$':
			a.end = s.dollar(i)
		case quotes && c == '"':
			a.end = s.within(i, 1, `"`, maxQuote)
		case quotes && strings.HasPrefix(text[i:], "“"):
			a.end = s.within(i, len("“"), "”", maxQuote)
		}
		switch {
		case a.end > a.start:
			out = append(out, a)
			i = a.end
		case text[i] == '`':
			i += run(text[i:], '`')
		default:
			i++
		}
	}
	return out
}

// seeker looks for closing marks. It remembers where the next of each is, so that one that is missing is missed once only.
type seeker struct {
	text string
	next map[string]int
}

// find returns where mark next stands at or behind from, -1 if nowhere. Calls for one mark must not go backwards.
func (s *seeker) find(mark string, from int) int {
	if from > len(s.text) {
		return -1
	}
	at, known := s.next[mark]
	if !known || at >= 0 && at < from {
		if at = strings.Index(s.text[from:], mark); at >= 0 {
			at += from
		}
		s.next[mark] = at
	}
	return at
}

// until returns the end of what opens at i with a mark of size bytes and closes with another within limit bytes; i if nothing.
func (s *seeker) until(i, size int, closing string, limit int) int {
	if at := s.find(closing, i+size); at >= 0 && at-i <= limit {
		return at + len(closing)
	}
	return i
}

// within is until on one line.
func (s *seeker) within(i, size int, closing string, limit int) int {
	rest := s.text[i+size : min(i+size+limit, len(s.text))]
	at := strings.Index(rest, closing)
	if at <= 0 || strings.Contains(rest[:at], "\n") {
		return i
	}
	return i + size + at + len(closing)
}

func run(text string, c byte) int {
	n := 0
	for n < len(text) && text[n] == c {
		n++
	}
	return n
}

// code finds a fenced block or inline code. A fence that is not closed goes to the end, as in markdown.
func (s *seeker) code(i int) area {
	n := run(s.text[i:], s.text[i])
	start := i
	for start > 0 && (s.text[start-1] == ' ' || s.text[start-1] == '\t') {
		start--
	}
	atLine := start == 0 || s.text[start-1] == '\n'
	switch {
	case n >= 3 && atLine:
		fence := "\n" + s.text[i:i+3]
		at := s.find(fence, i+n)
		if at < 0 {
			return area{i, len(s.text), true}
		}
		end := at + len(fence)
		if line := strings.IndexByte(s.text[end:], '\n'); line >= 0 {
			return area{i, end + line + 1, true}
		}
		return area{i, len(s.text), true}
	case s.text[i] == '`' && n < 3:
		return area{i, s.within(i, n, s.text[i:i+n], maxInline), false}
	}
	return area{start: i, end: i}
}

var environment = regexp.MustCompile(`^\\begin\{((?:align|equation|gather|multline)(?:ed)?\*?|cases|array|[pbvBV]?matrix|tabular)\}`)

// latex finds what a backslash opens.
func (s *seeker) latex(i int) int {
	rest := s.text[i:]
	switch {
	case strings.HasPrefix(rest, `\[`):
		return s.until(i, 2, `\]`, maxDisplay)
	case strings.HasPrefix(rest, `\(`):
		return s.until(i, 2, `\)`, maxInline)
	case strings.HasPrefix(rest, `\begin{`):
		if m := environment.FindStringSubmatch(rest[:min(30, len(rest))]); m != nil {
			return s.until(i, len(m[0]), `\end{`+m[1]+`}`, maxDisplay)
		}
	case strings.HasPrefix(rest, `\boxed{`):
		if content, ok := braced(rest[len(`\boxed`):]); ok {
			return i + len(`\boxed{`) + len(content) + 1
		}
	}
	return i
}

// braced returns what stands in the braces that a text begins with.
func braced(text string) (string, bool) {
	depth := 0
	for i := 0; i < min(len(text), maxInline); i++ {
		switch text[i] {
		case '\\':
			i++
		case '{':
			depth++
		case '}':
			if depth--; depth == 0 {
				return text[1:i], true
			}
		}
	}
	return "", false
}

// dollar tells LaTeX from prices: no blank stands inside its dollars next to them, and no digit behind the second.
func (s *seeker) dollar(i int) int {
	if strings.HasPrefix(s.text[i:], "$$") {
		if end := s.until(i, 2, "$$", maxDisplay); end > i {
			return end
		}
		return i
	}
	end := s.within(i, 1, "$", maxInline)
	if end == i {
		return i
	}
	first, last := s.text[i+1], s.text[end-2]
	if first == ' ' || first == '\t' || last == ' ' || last == '\t' || last == '(' || end < len(s.text) && isDigit(s.text[end]) {
		return i
	}
	return end
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// splitProse cuts a text into steps: sentences, lines and fenced blocks, each with the white space behind it. Joined they are
// the text. What holds neither letter nor digit belongs to the step before it, or behind it if there is none before.
func splitProse(text string) []string {
	var steps []string
	start, content := 0, false // of the step in the making
	cut := func(end int) {
		switch {
		case end == start:
		case content:
			steps = append(steps, text[start:end])
			start = end
		case len(steps) > 0:
			last := len(steps) - 1
			steps[last] = text[start-len(steps[last]) : end]
			start = end
		}
		content = content && start != end
	}
	parts := areas(text, false)
	for i := 0; i < len(text); {
		if len(parts) > 0 && parts[0].start == i {
			a := parts[0]
			parts = parts[1:]
			if a.fence {
				cut(i)
			}
			i, content = a.end, true
			if a.fence || closesSentence(text, a) {
				i = skipSpace(text, i)
				cut(i)
			}
			continue
		}
		r, size := utf8.DecodeRuneInString(text[i:])
		switch {
		case r == '\n':
			i = skipSpace(text, i)
			cut(i)
		case strings.ContainsRune(".!?…。！？", r):
			end, ended := sentenceEnd(text, start, i)
			if i = end; ended {
				i = skipSpace(text, i)
				cut(i)
			}
		default:
			content = content || unicode.IsLetter(r) || unicode.IsNumber(r)
			i += size
		}
		for len(parts) > 0 && parts[0].start < i { // an opening mark was swallowed as white space or closing mark
			parts = parts[1:]
		}
	}
	cut(len(text))
	if start < len(text) && len(steps) == 0 && strings.TrimSpace(text) != "" {
		return []string{text}
	}
	return steps
}

func skipSpace(text string, i int) int {
	for i < len(text) {
		r, size := utf8.DecodeRuneInString(text[i:])
		if !unicode.IsSpace(r) {
			break
		}
		i += size
	}
	return i
}

// sentenceEnd tells whether the sentence that begins at start ends with the mark at i. If so end is behind what closes it,
// brackets and quotes included, else behind the mark.
func sentenceEnd(text string, start, i int) (end int, ended bool) {
	j := i
	for j < len(text) {
		r, size := utf8.DecodeRuneInString(text[j:])
		if !strings.ContainsRune(".!?…。！？", r) {
			break
		}
		j += size
	}
	marks, k := text[i:j], j
	for k < len(text) {
		r, size := utf8.DecodeRuneInString(text[k:])
		if !strings.ContainsRune("\"'”’)]}*_", r) {
			break
		}
		k += size
	}
	if k == len(text) || strings.ContainsAny(marks, "。！？") {
		return k, true
	}
	next := skipSpace(text, k)
	if next == k {
		return j, marks == "." && j == k && glued(text, i, k)
	}
	if next == len(text) || strings.Contains(text[k:next], "\n") {
		return k, true
	}
	r, _ := utf8.DecodeRuneInString(text[next:])
	switch {
	case strings.Contains(marks, "?"):
		return k, true
	case strings.HasPrefix(marks, "..") || strings.HasPrefix(marks, "…"):
		ended = !unicode.IsLower(r)
	case strings.HasPrefix(marks, "!"):
		ended = !factorial(text, i, r)
	default:
		ended = !abbreviated(text, start, i, next)
	}
	if ended {
		return k, true
	}
	return j, false
}

// closesSentence tells whether a sentence ends inside the end of an area, as in "$x = 3.$ So".
func closesSentence(text string, a area) bool {
	inner := strings.TrimRight(text[a.start:a.end], "$`\\])")
	next := skipSpace(text, a.end)
	if next == a.end || next == len(text) || !strings.ContainsRune(".!?", rune(lastByte(inner))) {
		return false
	}
	r, _ := utf8.DecodeRuneInString(text[next:])
	return unicode.IsUpper(r)
}

// openers are words that begin sentences: they tell the end of one from an initial or an abbreviation.
var openers = set(`a actually adding after also alternatively an and answer as assuming because but by check consider each finally
first for from given hence here hmm how however i if in it its let lets looking next no not note notice now okay on one option
or otherwise our second similarly since so step subtracting that the then there therefore these they third this thus to total
using wait we what when where which while with yes you he she his her their multiplying dividing`)

func set(words string) map[string]bool {
	out := map[string]bool{}
	for _, w := range strings.Fields(words) {
		out[w] = true
	}
	return out
}

// glued tells whether a new sentence begins at k right behind the period at i, as in "is 7.So".
func glued(text string, i, k int) bool {
	if i == 0 || !unicode.IsUpper(rune(text[k])) {
		return false
	}
	return openers[strings.ToLower(wordAt(text, k))] && strings.ToLower(wordAt(text, k)) != wordAt(text, k)
}

// wordAt returns the letters from i on, 20 bytes at most.
func wordAt(text string, i int) string {
	end := i
	for end < min(len(text), i+20) {
		r, size := utf8.DecodeRuneInString(text[end:])
		if !unicode.IsLetter(r) {
			break
		}
		end += size
	}
	return text[i:end]
}

// factorial tells whether the "!" at i is that of mathematics, r being what follows the blank behind it.
func factorial(text string, i int, r rune) bool {
	if strings.ContainsRune("=*+/-×÷<>^≈−", r) {
		return true
	}
	if i == 0 || !(unicode.IsLower(r) || unicode.IsDigit(r)) {
		return false
	}
	single := i == 1 || !unicode.IsLetter(rune(text[i-2]))
	return isDigit(text[i-1]) || text[i-1] == ')' || unicode.IsLetter(rune(text[i-1])) && single
}

var (
	// Behind these no sentence ends.
	abbreviations = set("e.g i.e dr mr mrs ms prof vs cf fig figs eq eqs approx resp viz ca incl")
	// Behind these one may, if the next begins with a word that begins sentences.
	maybeAbbreviations = set("etc inc ltd co corp jr sr al est no st jan feb aug sept oct nov dec vol ch sec dept a.m p.m u.s u.k u.n u.s.a ph.d b.c a.d")
	label              = regexp.MustCompile(`^[\s#>*_+(\-]*(?:\d{1,3}|\pL|[ivxIVX]{1,4}|(?i:step|case|part|question|problem|example|option|method|approach|q)[ \t]+\w{1,3})$`)
	beforeLetter       = set("is be option answer choice to are pick choose select with and or not than of at point say says equals")
)

// abbreviated tells whether the period at i ends no sentence. The sentence begins at start, the next word at next.
func abbreviated(text string, start, i, next int) bool {
	if i-start < 40 && label.MatchString(text[start:i]) {
		return true
	}
	from := i
	for from > start && i-from < 20 && (text[from-1] == '.' || isLetter(text[from-1])) {
		from--
	}
	word := strings.ToLower(text[from:i])
	opens := openers[strings.ToLower(wordAt(text, next))] && unicode.IsUpper(rune(text[next]))
	switch {
	case abbreviations[word]:
		return true
	case word == "no":
		return isDigit(text[next])
	case maybeAbbreviations[word]:
		return !opens
	case len(word) == 1 && unicode.IsUpper(rune(text[from])) && unicode.IsUpper(rune(text[next])) && !opens:
		return !beforeLetter[strings.ToLower(lastWord(text[start:from]))] // an initial
	}
	return false
}

func isLetter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }

// lastWord returns the ASCII letters at the end of a text, blanks and bold marks apart.
func lastWord(text string) string {
	end := len(text)
	for end > 0 && strings.IndexByte(" \t*_(", text[end-1]) >= 0 {
		end--
	}
	from := end
	for from > 0 && isLetter(text[from-1]) {
		from--
	}
	return text[from:end]
}
