package page

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	// maxText bounds one text on a page, and maxPage all of them, in characters. One that is spelled out counts as spelledCost.
	maxText     = 12_000
	maxPage     = 400_000
	spelledCost = 12
	// maxLine bounds a text in one line, and maxName a name in a table.
	maxLine = 400
	maxName = 64
)

// piece is a stretch of text that is shown in one way.
type piece struct {
	Text string
	// Op is "del" or "ins" for what an edit took out or put in.
	Op string
	// Code tells that the text stands for characters that have no glyph.
	Code bool
	// Marked tells that a monitor points at it, and Refs are the numbers of the spans that end with it.
	Marked bool
	Refs   []ref
}

// ref is a link from marked text to what was found there.
type ref struct {
	N int
	// ID is the place in the list of findings.
	ID string
}

// mark is a span of a text, in bytes. Both ends are where a character begins or the text ends.
type mark struct {
	start, end int
	ref        ref
}

// newMark clips a span to a text and widens it to whole characters. OK is false if nothing of it lies in the text.
func newMark(text string, start, end int) (m mark, ok bool) {
	if start > end || end < 0 || start > len(text) {
		return m, false
	}
	m.start = charStart(text, max(start, 0))
	m.end = min(end, len(text))
	if at := charStart(text, m.end); at < m.end {
		_, size := utf8.DecodeRuneInString(text[at:])
		m.end = at + size
	}
	return m, true
}

// charStart returns where the character that byte i belongs to begins; a byte that is no UTF-8 is one of its own.
func charStart(text string, i int) int {
	for at := i; at >= 0 && at > i-utf8.UTFMax && at < len(text); at-- {
		if utf8.RuneStart(text[at]) {
			if _, size := utf8.DecodeRuneInString(text[at:]); at+size > i {
				return at
			}
			break
		}
	}
	return i
}

// clip returns how many bytes of a text are shown if most characters may be, and what these count.
func clip(text string, most int) (size, cost int) {
	for i := 0; i < len(text); {
		r, n := utf8.DecodeRuneInString(text[i:])
		c := 1
		if hidden(r) || r == utf8.RuneError && n == 1 {
			c = spelledCost
		}
		if cost += c; cost > most {
			return i, most
		}
		i += n
	}
	return len(text), cost
}

// pieces cuts text, which begins at byte base of the text that marks count in, where the way it is shown changes.
func pieces(text string, base int, marks []mark, op string) (out []piece) {
	at := 0
	for _, end := range cuts(text, base, marks) {
		marked := false
		var refs []ref
		for _, m := range marks {
			marked = marked || m.start < base+end && m.end > base+at
			if m.end == base+end && (end > 0 || base == 0 && m.start == m.end) {
				refs = append(refs, m.ref)
			}
		}
		n := len(out)
		out = spell(out, text[at:end], op, marked)
		if len(refs) > 0 {
			if len(out) == n {
				out = append(out, piece{Op: op})
			}
			out[len(out)-1].Refs = refs
		}
		at = end
	}
	return out
}

// cuts returns where stretches of a text end, in order; the last is its own end.
func cuts(text string, base int, marks []mark) []int {
	ends := []int{len(text)}
	for _, m := range marks {
		for _, at := range []int{m.start - base, m.end - base} {
			if at >= 0 && at < len(text) {
				ends = append(ends, at)
			}
		}
	}
	slices.Sort(ends)
	return slices.Compact(ends)
}

// spell appends text with what has no glyph in pieces of its own.
func spell(out []piece, text, op string, marked bool) []piece {
	from := 0
	plain := func(to int) {
		if from < to {
			out = append(out, piece{Text: text[from:to], Op: op, Marked: marked})
		}
	}
	var code strings.Builder
	for i := 0; i < len(text); {
		r, n := utf8.DecodeRuneInString(text[i:])
		bad := r == utf8.RuneError && n == 1
		if !bad && !hidden(r) {
			i += n
			continue
		}
		plain(i)
		code.Reset()
		for bad || hidden(r) {
			if bad {
				fmt.Fprintf(&code, "⟨byte %02X⟩", text[i])
			} else {
				fmt.Fprintf(&code, "⟨U+%04X⟩", r)
			}
			if i += n; i == len(text) {
				break
			}
			r, n = utf8.DecodeRuneInString(text[i:])
			bad = r == utf8.RuneError && n == 1
		}
		out = append(out, piece{Text: code.String(), Op: op, Code: true, Marked: marked})
		from = i
	}
	plain(len(text))
	return out
}

// hidden tells whether r has no glyph of its own: controls, format characters (zero width, bidirectional, tags), line and
// paragraph separators, private use, odd spaces, blank fillers and variation selectors.
func hidden(r rune) bool {
	if r < 0x7f {
		return r < ' ' && r != '\n' && r != '\t'
	}
	switch {
	case unicode.In(r, unicode.Cc, unicode.Cf, unicode.Co, unicode.Cs, unicode.Zl, unicode.Zp, unicode.Zs):
		return true
	case r == 0x034f, r == 0x115f, r == 0x1160, r == 0x17b4, r == 0x17b5, r == 0x2800, r == 0x3164, r == 0xffa0:
		return true
	}
	return r >= 0xfe00 && r <= 0xfe0f || r >= 0xe0100 && r <= 0xe01ef || r >= 0x180b && r <= 0x180f
}

// line returns text in one line, what has no glyph spelled out, and cut to [maxLine] characters.
func line(text string) string { return cutLine(text, maxLine) }

// short is a line for a name in a table.
func short(text string) string { return cutLine(text, maxName) }

func cutLine(text string, most int) string {
	size, _ := clip(text, most)
	var b strings.Builder
	for _, p := range spell(nil, strings.Join(strings.Fields(text[:size]), " "), "", false) {
		b.WriteString(p.Text)
	}
	if size < len(text) {
		b.WriteString("…")
	}
	return b.String()
}
