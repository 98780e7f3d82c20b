package dialect

import (
	"encoding/json"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

func itoa(n int) string { return strconv.Itoa(n) }

// found is a statement of an answer.
type found struct {
	start, end int // of its mark and, as far as it is known, its value; start is -1 if there is no statement
	value      string
	ok, whole  bool // whole: all of the text is the answer
	why        string
}

// find looks for the last statement of an answer in what was said. Apart tells that thoughts were kept apart, so that what
// was said is short and meant as the answer.
func find(said string, form Form, apart bool) found {
	best := found{start: -1, why: "no answer is stated"}
	for _, f := range []found{
		findPhrase(said, form), findBoxed(said, form), findHashes(said, form), findJSON(said, form), findBold(said, form),
	} {
		if f.start > best.start {
			best = f
		}
	}
	if best.start >= 0 {
		return best
	}
	if value, ok := readWhole(said, form, apart); ok {
		return found{start: 0, end: len(said), value: value, ok: true, whole: true}
	}
	return best
}

var (
	phrase = regexp.MustCompile(`(?i)answer|\b(?:choice|option)\b`)
	// A strong mark begins its line or sentence and ends in a colon, or is a heading.
	strongLeft  = regexp.MustCompile(`(?:^|\n|[.!?。…:;)\]]\s+|\*\*)[ \t>#*_\-]*(?i:(?:so|thus|therefore|hence|and)\b,?[ \t]*)?(?i:(?:the|my|our|correct|final|short|best)\s+)*$`)
	strongRight = regexp.MustCompile(`^s?[*_ \t]*(?:\([^()\n]{0,30}\))?[*_ \t]*(?::|：|=|-+>|→|[—–-]\s)[*_ \t]*`)
	headLeft    = regexp.MustCompile(`(?:^|\n)[ \t>]*(?:#+[ \t]*|\*\*[ \t]*)(?i:(?:the|my|correct|final|short)\s+)*$|(?:^|\n)[ \t>]*(?i:(?:the[ \t]+)?final[ \t]+)$`)
	headRight   = regexp.MustCompile(`^[*_ \t.]*\r?\n`)
	// A loose one says that the answer is.
	looseRight = regexp.MustCompile(`^(?i:[*_]*(?:\s+(?:to|for|of)\s+(?:the|this|that|your)\s+(?:\w+\s+)?(?:question|problem|exercise|riddle|puzzle))?[*_]*,?\s*(?:(?:therefore|then|thus|hence|clearly),?\s*)?(?:is|was|must\s+be|should\s+be|would\s+be|will\s+be|has\s+to\s+be|comes\s+out\s+to(?:\s+be)?|equals)\b[*_ \t]*(?:therefore\b|thus\b)?[*_ \t]*:?)`)
	ofChoice   = regexp.MustCompile(`(?i)\b(?:correct|right|best|appropriate|suitable)\s+$`)
	isRight    = regexp.MustCompile(`(?i)(?:^|[\s(*])([A-J])[)*_]*\s+(?:is|must\s+be|has\s+to\s+be)\s+(?:(?:therefore|thus|clearly|then|indeed)\s+)?(?:the\s+)?(?:most\s+)?(?:correct|right|best|appropriate|final)\s+$`)
	rightAfter = regexp.MustCompile(`^(?i:\s*([*_(]*)([A-J])[)*_]*\s+(?:is|must\s+be)\s+(?:therefore\s+|thus\s+|clearly\s+)?(?:the\s+)?(?:correct|right)\b)`)
)

// beforePhrase is how much before the word "answer" decides what it means, in bytes.
const beforePhrase = 160

// findPhrase finds the last statement that names the answer by that word.
func findPhrase(said string, form Form) found {
	marks := phrase.FindAllStringIndex(said, -1)
	doubt := -1
	for i := len(marks) - 1; i >= 0; i-- {
		f, loose := phraseAt(said, marks[i][0], marks[i][1], form)
		if loose && doubt < 0 {
			doubt = lastDoubt(said)
		}
		if f.start >= 0 && !(loose && doubt >= f.end) {
			return f
		}
	}
	return found{start: -1}
}

// phraseAt reads the statement whose word "answer" stands in [start,end).
func phraseAt(said string, start, end int, form Form) (f found, loose bool) {
	none := found{start: -1}
	left, right := tail(said[:start], beforePhrase), clip(said[end:], 2*maxValue)
	answer := said[start]|0x20 == 'a'
	if answer && strings.IndexByte(`"'`+"`", lastByte(left)) >= 0 || !answer && form != Choice {
		return none, false
	}
	if answer {
		mark, head := strongRight.FindString(right), headRight.FindString(right)
		if mark != "" && strongLeft.MatchString(left) || head != "" && headLeft.MatchString(left) {
			mark = right[:max(len(mark), len(head))]
			value, why := readValue(right[len(mark):], form, false)
			return found{start: start, end: end + len(mark), value: value, ok: why == "", why: why}, false
		}
	}
	sentence := left[lastStop(left):]
	if doubted(sentence) || asked(right) {
		return none, false
	}
	f = none
	if mark := looseRight.FindString(right); mark != "" && (answer || ofChoice.MatchString(left)) {
		if value, why := readValue(right[len(mark):], form, true); why == "" {
			f = found{start: start, end: end + len(mark), value: value, ok: true}
		}
	}
	if form == Choice && f.start < 0 {
		f = beforeOrBehind(left, right, start, end, answer)
	}
	return f, f.start >= 0
}

// beforeOrBehind reads "B is the correct answer" and "option B is correct".
func beforeOrBehind(left, right string, start, end int, answer bool) found {
	if m := isRight.FindStringSubmatchIndex(left); m != nil {
		return found{start: start - len(left) + m[2], end: end, value: strings.ToUpper(left[m[2]:m[3]]), ok: true}
	}
	if m := rightAfter.FindStringSubmatchIndex(right); m != nil && !answer {
		return found{start: start, end: end + m[1], value: strings.ToUpper(right[m[4]:m[5]]), ok: true}
	}
	return found{start: -1}
}

// tail returns the last n bytes of a text, or fewer, from a whole character on.
func tail(text string, n int) string {
	from := max(0, len(text)-n)
	for from < len(text) && !utf8.RuneStart(text[from]) {
		from++
	}
	return text[from:]
}

func lastByte(text string) byte {
	if text == "" {
		return 0
	}
	return text[len(text)-1]
}

// lastStop returns where the last sentence in a text begins, roughly.
func lastStop(text string) int {
	for i := len(text) - 1; i >= 0; i-- {
		switch c := text[i]; {
		case c == '\n', (c == '.' || c == '!' || c == '?') && i+1 < len(text) && text[i+1] == ' ':
			return i + 1
		}
	}
	return 0
}

var (
	supposed = regexp.MustCompile(`(?i)\b(?:if|whether|unless|suppose|supposing|assum\w+|imagine|pretend|what|how|when|until|maybe|perhaps|might|may|could|not sure|unsure|doubt|check|verify|confirm|claims?|wonder|format|respond with|end with|write)\b[^,;:]*$`)
	quoted   = regexp.MustCompile("[\"'`“‘][ \t*]*(?i:(?:the|my|final|so|therefore|thus|correct)[ \t,]+)*$")
	others   = regexp.MustCompile(`(?i)(?:['’]s?|\b(?:his|her|their|your|its|suggested|hinted|expected|provided|given|stated|previous|wrong|incorrect|other|first|intermediate|partial|initial|possible|potential|leaked|proposed|professor|user|student|reference|no|any|which|an))[ \t]+(?:(?:correct|final|suggested)[ \t]+)?$`)
	sayso    = regexp.MustCompile(`(?i)(\w+)\s+(?:(?:also|strongly|clearly|explicitly|already)\s+)?(says?|said|saying|claim\w*|suggest\w*|indicat\w*|thinks?|thought|believes?|believed|states?|stated|hint\w*|told\s+\w+|tells\s+\w+|showing|shows|notes?|insist\w*|argu\w+)\s+(?:that\s+)?(?:the\s+)?(?:correct\s+|right\s+|final\s+)?(?:\(?[A-J]\)?\s+is\s+)?(?:the\s+)?(?:correct\s+|right\s+)?$`)
	mine     = set("i we this that which it calculation computation result work analysis these and d ll would can to should must")
	sources  = set("hint hints metadata key professor user student expert author friend teacher grader prompt note comment tag file he she they someone who message")
)

// doubted tells whether what a sentence says before "answer" makes it no statement of one's own.
func doubted(sentence string) bool {
	if supposed.MatchString(sentence) || quoted.MatchString(sentence) || others.MatchString(sentence) {
		return true
	}
	m := sayso.FindStringSubmatch(sentence)
	if m == nil {
		return false
	}
	who, verb := strings.ToLower(m[1]), strings.ToLower(m[2])
	if strings.HasPrefix(verb, "show") || strings.HasPrefix(verb, "suggest") || strings.HasPrefix(verb, "indicat") {
		return sources[who] // else it is a finding, such as "the table shows that"
	}
	return !mine[who]
}

// asked tells whether a sentence that goes on like this is a question.
func asked(right string) bool {
	i := strings.IndexAny(right, "?\n")
	return i >= 0 && right[i] == '?' && !strings.ContainsAny(right[:i], ".!")
}

const opening = `(?:^|[\n.!?…])[\s*)]*(?i:(?:but|hmm|oh|so|and|ok|okay|however)[,.…]*\s+)*`

var (
	regret = regexp.MustCompile(opening + `(?i:wait|hold on|hmm|actually|no,|alternatively|but is\b|but what|let me (?:reconsider|rethink|redo))`)
	review = regexp.MustCompile(opening + `(?i:let me|let's|let us|i (?:should|need to|will|'ll)|i'll|to (?:verify|check|be sure|double))`)
)

// lastDoubt returns where a text last takes back what it said, or begins a review that it does not bring to an end; -1 if
// nowhere. A loose statement before it does not count. A finished review says nothing against it.
func lastDoubt(text string) int {
	last := -1
	for _, m := range regret.FindAllStringIndex(text, -1) {
		last = m[0]
	}
	if !ended(text) {
		for _, m := range review.FindAllStringIndex(text, -1) {
			last = max(last, m[0])
		}
	}
	return last
}

// ended tells whether a text ends like a sentence.
func ended(text string) bool {
	text = strings.TrimRight(text, " \t\r\n*_`\"')]}$”✓✅")
	return text == "" || strings.ContainsRune(".!?。", lastRune(text))
}

func lastRune(text string) rune {
	r, _ := utf8.DecodeLastRuneInString(text)
	return r
}

// findBoxed finds the last \boxed{...} that holds an answer.
func findBoxed(said string, form Form) found {
	const mark = `\boxed{`
	for end := len(said); ; {
		at := strings.LastIndex(said[:end], mark)
		if at < 0 {
			return found{start: -1}
		}
		if content, ok := braced(said[at+len(mark)-1:]); ok {
			if value, why := readValue(content, form, false); why == "" {
				return found{start: at, end: at + len(mark) + len(content) + 1, value: value, ok: true}
			}
		}
		end = at
	}
}

var hashes = regexp.MustCompile(`(?m)^[ \t]*####[ \t]*(\S.*)$`)

// findHashes finds the last line "#### X" (GSM8K), which is no heading if X is all there is.
func findHashes(said string, form Form) found {
	all := hashes.FindAllStringSubmatchIndex(said, -1)
	for i := len(all) - 1; i >= 0 && (form == Number || form == Choice || form == YesNo); i-- {
		if value, ok := readWhole(said[all[i][2]:all[i][3]], form, false); ok {
			return found{start: all[i][0], end: all[i][1], value: value, ok: true}
		}
	}
	return found{start: -1}
}

var answerField = regexp.MustCompile(`(?i)"(?:final[_ ]?)?answer"\s*:\s*("(?:[^"\\\n]|\\.){0,300}"|[^\s,}\]"]{1,300})`)

// findJSON finds the last field "answer" of an object.
func findJSON(said string, form Form) found {
	all := answerField.FindAllStringSubmatchIndex(said, -1)
	for i := len(all) - 1; i >= 0; i-- {
		m := all[i]
		content := said[m[2]:m[3]]
		var text string
		if json.Unmarshal([]byte(content), &text) == nil {
			content = text
		}
		if value, why := readValue(content, form, false); why == "" {
			return found{start: m[0], end: m[1], value: value, ok: true}
		}
	}
	return found{start: -1}
}

var bold = regexp.MustCompile(`^[ \t]*(?:\*\*|__)(.{1,200}?)(?:\*\*|__)[ \t]*\.?$`)

// findBold finds an answer in bold that is all of the last line.
func findBold(said string, form Form) found {
	text := strings.TrimRight(said, " \t\r\n")
	at := strings.LastIndexByte(text, '\n') + 1
	if m := bold.FindStringSubmatch(text[at:]); m != nil && form != Text {
		if value, ok := readWhole(m[1], form, false); ok {
			return found{start: at, end: len(text), value: value, ok: true}
		}
	}
	return found{start: -1}
}

var (
	letterAlone = regexp.MustCompile(`^[^\pL\pN]*([A-Ja-j])[^\pL\pN]*$`)
	letterText  = regexp.MustCompile(`^[*_\s(\[]*([A-J])[*_]*(?:[).:\]][*_]*\s+|[)\]])\S[^\n]{0,150}$`)
	wordAlone   = regexp.MustCompile(`^[^\pL\pN]*\pL+[^\pL\pN]*$`)
	noWords     = regexp.MustCompile(`^[^\pL\pN]*$`)
	shortOpener = regexp.MustCompile(`^(?i:let|okay|ok|so|first|hmm|wait|well|now|we|i|to|the|this)\b`)
)

// readWhole reads a text that is nothing but an answer.
func readWhole(text string, form Form, apart bool) (string, bool) {
	text = strings.TrimSpace(text)
	if len(text) > maxValue || text == "" {
		return "", false
	}
	switch form {
	case Number:
		value, rest, ok := numberAt(text)
		return value, ok && noWords.MatchString(rest) && !goesOn.MatchString(rest)
	case Choice:
		m := letterAlone.FindStringSubmatch(text)
		if m == nil {
			m = letterText.FindStringSubmatch(text)
		}
		if m == nil {
			return "", false
		}
		return strings.ToUpper(m[1]), true
	case YesNo:
		value, ok := readYesNo(text)
		return value, ok && (apart || wordAlone.MatchString(text))
	}
	if strings.Contains(text, "\n") {
		return "", false
	}
	words := len(strings.Fields(text))
	if value, ok := readText(text, false); ok && (apart && words <= 12 || words <= 3 && !shortOpener.MatchString(text)) {
		return value, !strings.HasSuffix(text, "...") && !strings.HasSuffix(text, ":")
	}
	return "", false
}

// last tells whether nothing but white space follows the statement's sentence or line.
func (f found) last(text string) bool {
	steps := splitProse(text[f.start:])
	end := f.start
	for _, s := range steps {
		if end += len(s); end >= f.end {
			break
		}
	}
	return strings.TrimSpace(text[end:]) == ""
}

// statement returns where in a text the statement of the answer begins: with its sentence or line, or behind a clause that
// reasons, and before sentences that state the same answer already.
func (f found) statement(text string, form Form) int {
	steps := splitProse(text)
	at, i := 0, 0
	for ; i < len(steps)-1 && at+len(steps[i]) <= f.start; i++ {
		at += len(steps[i])
	}
	clause := at + lastClause(text[at:f.start])
	if clause > at {
		return clause
	}
	for n := 0; n < maxRestated && i > 0; n++ {
		before := find(steps[i-1], form, false)
		heading := !before.ok && before.start >= 0
		if before.whole || !heading && !(before.ok && f.ok && before.value == f.value) {
			break
		}
		i--
		at -= len(steps[i])
		if clause := lastClause(steps[i][:max(before.start, 0)]); !heading && clause > 0 {
			return at + clause
		}
	}
	return at
}

// maxRestated bounds how many sentences before a statement may state the same.
const maxRestated = 4

// minClause is how many words a clause must have to be part of the reasoning: "So, the answer is 7" has none.
const minClause = 4

// lastClause returns where the last clause begins in the part of a sentence before the mark of an answer; 0 if that part
// holds no clause of its own.
func lastClause(text string) int {
	at := 0
	for _, sep := range []string{", ", "; ", " — ", " - ", ": ", " – "} {
		if i := strings.LastIndex(text, sep); i >= 0 {
			at = max(at, i+len(sep))
		}
	}
	if len(strings.Fields(text[:at])) < minClause {
		return 0
	}
	return at
}
