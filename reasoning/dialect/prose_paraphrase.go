package dialect

import (
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"

	"candor/internal/rng"
)

// leastReworded is the share of a chain's words that a paraphrase changes, if it can.
const leastReworded = 0.1

// errNothingToReword says that no rule applies to a chain.
var errNothingToReword = errors.New("nothing to reword: no rule of the paraphrase applies")

// Paraphrase implements [Dialect], by rule: phrases of reasoning, adverbs and connectives at the beginning of sentences,
// contractions, and small numbers that count things are said in other words, all that the table knows, and the draws choose
// among synonyms. Where that changes fewer than one word in ten, sentences are introduced by "note that" and the like. Code,
// LaTeX, quotations, option letters and numbers in equations stay as they are.
//
// Its fault: it is weaker than the paraphrase of a model (Lanham et al. 2023, section 2.5). The order of words and of
// sentences, and most words that carry the content, stay. A code that hides in those survives, so that an unchanged answer says
// less here; and English may come out stiff. An audit with a second model should let that write.
func (Prose) Paraphrase(c Chain, src *rng.Source) (Edit, error) {
	text, changed := reword(strings.Join(stepsOf(c), ""), src)
	if changed == 0 {
		return Edit{}, errNothingToReword
	}
	return Edit{Text: beginning([]string{text}), Closed: true}, nil
}

// RewordProse says a text in other words by the same rules, without a chain around it; one to which no rule applies stays as it is.
func RewordProse(text string, src *rng.Source) string {
	out, _ := reword(text, src)
	return out
}

// Reword implements [Dialect]: how many steps is drawn; if none of them can be reworded, all but the last are taken.
func (Prose) Reword(c Chain, src *rng.Source) (edited, unedited Edit, err error) {
	steps := stepsOf(c)
	if len(steps) < 2 {
		return edited, unedited, tooFew(c, 2)
	}
	for _, keep := range []int{1 + src.IntN(len(steps)-1), len(steps) - 1} {
		before := beginning(steps[:keep])
		if text, changed := reword(before, src); changed > 0 {
			return Edit{Text: beginning([]string{text})}, Edit{Text: before}, nil
		}
	}
	return edited, unedited, errNothingToReword
}

// reword says a text in other words, and tells how many words of it are new.
func reword(text string, src *rng.Source) (string, int) {
	protected := areas(text, true)
	var sentences []sentence
	words, changed, at := 0, 0, 0
	for _, step := range splitProse(text) {
		for len(protected) > 0 && protected[0].end <= at {
			protected = protected[1:]
		}
		s := tokenize(text, at, at+len(step), protected)
		s.reword(src)
		words, changed, at = words+s.words, changed+s.changed, at+len(step)
		sentences = append(sentences, s)
	}
	for i := range sentences {
		if float64(changed) >= leastReworded*float64(words) {
			break
		}
		changed += sentences[i].introduce(src)
	}
	var out strings.Builder
	for _, s := range sentences {
		for _, t := range s.tokens {
			out.WriteString(t.text)
		}
	}
	return out.String(), changed
}

// token is a word, a number, or what stands between them.
type token struct {
	text string
	kind tokenKind
}

type tokenKind int

const (
	gap tokenKind = iota
	wordToken
	numberToken
	fixed // nothing in it is changed
)

// sentence is a step in pieces.
type sentence struct {
	tokens         []token
	words, changed int
	sum            bool // something in it is calculated
}

// tokenize takes the step that is text[start:end] to pieces. What is protected stays in one.
func tokenize(text string, start, end int, protected []area) sentence {
	s := sentence{sum: strings.ContainsAny(text[start:end], `=+*/^<>\`) || strings.ContainsAny(text[start:end], "×÷≈−")}
	for i := start; i < end; {
		for len(protected) > 0 && protected[0].end <= i {
			protected = protected[1:]
		}
		if len(protected) > 0 && protected[0].start <= i {
			to := min(protected[0].end, end)
			s.tokens = append(s.tokens, token{text[i:to], fixed})
			i = to
			continue
		}
		stop := end
		if len(protected) > 0 {
			stop = min(end, protected[0].start)
		}
		kind := kindAt(text[i:stop])
		j := i
		for j < stop {
			_, size := utf8.DecodeRuneInString(text[j:stop])
			if !kind.goesOn(text[j:stop]) {
				break
			}
			j += size
		}
		s.tokens = append(s.tokens, token{text[i:j], kind})
		if kind == wordToken || kind == numberToken {
			s.words++
		}
		i = j
	}
	return s
}

func kindAt(text string) tokenKind {
	r, _ := utf8.DecodeRuneInString(text)
	switch {
	case unicode.IsLetter(r):
		return wordToken
	case unicode.IsDigit(r):
		return numberToken
	}
	return gap
}

// goesOn tells whether a token of the kind, once begun, takes in the next character.
func (k tokenKind) goesOn(text string) bool {
	r, size := utf8.DecodeRuneInString(text)
	next, _ := utf8.DecodeRuneInString(text[size:])
	inWord := unicode.IsLetter(r) || unicode.IsDigit(r) || r == '_'
	switch k {
	case wordToken:
		return inWord || (r == '\'' || r == '’' || r == '-' || r == '.') && unicode.IsLetter(next)
	case numberToken:
		return inWord || strings.ContainsRune(".,:/-%", r) && unicode.IsDigit(next)
	}
	return !unicode.IsLetter(r) && !unicode.IsDigit(r)
}

// reword replaces all phrases of the table, and numbers.
func (s *sentence) reword(src *rng.Source) {
	var out []token
	for i := 0; i < len(s.tokens); {
		t := s.tokens[i]
		if t.kind == wordToken {
			if to, n, words := s.phraseAt(i, src); n > 0 {
				out = append(out, token{to, fixed})
				i += n
				s.changed += words
				continue
			}
		}
		if to := s.numberAt(i); to != "" {
			t.text, t.kind = to, fixed
			s.changed++
		}
		out = append(out, t)
		i++
	}
	s.tokens = out
}

// phraseAt rewords the phrase that begins with token i, which takes n tokens and some words; n is 0 if there is none.
func (s *sentence) phraseAt(i int, src *rng.Source) (to string, n, words int) {
	for _, r := range rewordings[plain(s.tokens[i].text)] {
		n := s.match(i, r)
		if n == 0 || !s.stands(i, r.where) {
			continue
		}
		to := r.to[src.IntN(len(r.to))]
		if s.after(i+n, ",") {
			to = strings.TrimSuffix(to, ",")
		}
		return s.write(i, to), n, len(r.phrase)
	}
	return "", 0, 0
}

// plain returns a word in small letters and with a straight apostrophe.
func plain(word string) string { return strings.ReplaceAll(strings.ToLower(word), "’", "'") }

// match returns how many tokens a phrase takes from i on, 0 if it does not stand there.
func (s *sentence) match(i int, r rewording) int {
	n := 2*len(r.phrase) - 1
	if i+n > len(s.tokens) {
		return 0
	}
	for k, w := range r.phrase {
		if t := s.tokens[i+2*k]; t.kind != wordToken || plain(t.text) != w || k > 0 && s.tokens[i+2*k-1].text != " " {
			return 0
		}
	}
	if i+n+1 < len(s.tokens) {
		if next := s.tokens[i+n+1]; r.unless[plain(next.text)] || next.kind == numberToken && r.phrase[n/2] == "since" {
			return 0
		}
	}
	if i > 1 && n == 1 && verbs[r.phrase[0]] && nounMakers[plain(s.tokens[i-2].text)] {
		return 0
	}
	if strings.HasSuffix(r.to[0], "'s") && !s.after(i+n, " ") || strings.Contains(r.phrase[len(r.phrase)-1], "'") && s.after(i+n, "?") {
		return 0 // "that is what it is."
	}
	if all := s.tokens[i].text; len(all) > 1 && all == strings.ToUpper(all) && all != "I'M" && !strings.Contains(all, "'") {
		return 0 // shouted, or an abbreviation
	}
	return n
}

func (s *sentence) after(i int, prefix string) bool {
	return i < len(s.tokens) && strings.HasPrefix(s.tokens[i].text, prefix)
}

// stands tells whether token i is where a phrase may be reworded.
func (s *sentence) stands(i int, where string) bool {
	switch where {
	case atStart:
		return s.begins(i)
	case afterComma:
		return i > 0 && s.tokens[i-1].kind == gap && (s.tokens[i-1].text == ", " || s.tokens[i-1].text == "; ")
	}
	// In front of a noun, "n't" is part of a question: "Isn't it".
	return !(s.begins(i) && strings.HasSuffix(plain(s.tokens[i].text), "n't"))
}

// begins tells whether token i begins the sentence, list marks and labels apart.
func (s *sentence) begins(i int) bool {
	switch {
	case i > 6:
		return false
	case i == 0 || i == 1 && s.tokens[0].kind == gap:
		return true
	}
	for _, t := range s.tokens[:i] {
		if t.kind == fixed {
			return false
		}
	}
	before := s.tokens[i-1].text
	return strings.IndexByte(".:)", before[0]) >= 0 && strings.TrimRight(before, " \t*_\"") != before
}

// write gives the rewording of token i the case of what it stands for.
func (s *sentence) write(i int, to string) string {
	r, _ := utf8.DecodeRuneInString(s.tokens[i].text)
	first := plain(s.tokens[i].text)
	if unicode.IsUpper(r) && (s.begins(i) || first != "i" && !strings.HasPrefix(first, "i'")) {
		to = capital(to)
	}
	if to == "i" || strings.HasPrefix(to, "i ") {
		to = capital(to)
	}
	return to
}

// numberAt returns a small number that counts things the other way: in digits or in letters; "" if it is none.
func (s *sentence) numberAt(i int) string {
	t := s.tokens[i]
	to := numberDigits[t.text]
	if t.kind == wordToken {
		to = numberWords[t.text]
	}
	if to == "" || s.sum || t.kind == fixed || i < 2 || i+2 >= len(s.tokens) || s.tokens[i-1].text != " " || s.tokens[i+1].text != " " {
		return ""
	}
	before, after := s.tokens[i-2], s.tokens[i+2]
	small := after.kind == wordToken && len(after.text) > 1 && after.text == strings.ToLower(after.text)
	if before.kind != wordToken || !small || notCounting[plain(before.text)] || notCounted[after.text] || numberWords[after.text] != "" || numberWords[plain(before.text)] != "" {
		return ""
	}
	return to
}

// introduce puts an introduction in front of a statement that was left as it was, and tells how many words that added.
func (s *sentence) introduce(src *rng.Source) int {
	if s.changed > 0 || s.words < 4 || len(s.tokens) == 0 {
		return 0
	}
	i := 0
	if s.tokens[0].kind == gap && strings.TrimSpace(s.tokens[0].text) == "" {
		i = 1
	}
	if last := s.tokens[len(s.tokens)-1].text; i >= len(s.tokens) || strings.Contains(last, "?") {
		return 0
	}
	first := s.tokens[i].text
	if s.tokens[i].kind != wordToken || !statesThings[strings.ToLower(first)] || first != capital(strings.ToLower(first)) {
		return 0
	}
	intro := introductions[src.IntN(len(introductions))]
	s.tokens[i].text = capital(intro) + " " + strings.ToLower(first)
	words := len(strings.Fields(intro))
	s.changed += words
	return words
}
