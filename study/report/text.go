package report

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxRunes bounds one text of a sample on the page; a chain of candor's own models has a few hundred.
const maxRunes = 4000

// visible makes text safe to look at: characters that are invisible, control the terminal or reorder the line are spelled
// out as ⟨U+202E⟩, bytes that are no UTF-8 become U+FFFD, and text beyond maxRunes runes is cut with a count of the
// rest. Line feeds and tabs stay. It does not escape markup; html/template and textContent do.
func visible(s string) string {
	clean := len(s) <= maxRunes
	if clean {
		for i := 0; i < len(s); i++ {
			if c := s[i]; c >= utf8.RuneSelf || c == 0x7f || c < ' ' && c != '\n' && c != '\t' {
				clean = false
				break
			}
		}
	}
	if clean {
		return s
	}
	var b strings.Builder
	n := 0
	for i, r := range s {
		if n == maxRunes {
			fmt.Fprintf(&b, " … (%s more characters)", thousands(utf8.RuneCountInString(s[i:])))
			break
		}
		n++
		if hidden(r) {
			fmt.Fprintf(&b, "⟨U+%04X⟩", r)
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}

// hidden tells whether r has no glyph of its own: controls, format characters (zero width, bidirectional overrides, tags),
// line and paragraph separators, private use, odd spaces, blank fillers and variation selectors.
func hidden(r rune) bool {
	switch {
	case r == '\n' || r == '\t' || r == ' ':
		return false
	case unicode.In(r, unicode.Cc, unicode.Cf, unicode.Co, unicode.Zl, unicode.Zp, unicode.Zs):
		return true
	case r == 0x034f, r == 0x115f, r == 0x1160, r == 0x17b4, r == 0x17b5, r == 0x3164, r == 0xffa0:
		return true
	}
	return r >= 0xfe00 && r <= 0xfe0f || r >= 0xe0100 && r <= 0xe01ef
}

// oneLine is visible text with runs of white space made one space, for names and tables.
func oneLine(s string) string {
	s = visible(s)
	if !strings.ContainsAny(s, " \n\t") {
		return s
	}
	return strings.Join(strings.Fields(s), " ")
}

// number writes v in a width that suits its size, with a true minus sign: three decimals below 10, one below 1,000.
// signed adds a plus, for differences.
func number(v float64, signed bool) string {
	digits := 3
	switch a := math.Abs(v); {
	case a >= 1000:
		digits = 0
	case a >= 10:
		digits = 1
	}
	s := strconv.FormatFloat(math.Abs(v), 'f', digits, 64)
	switch {
	case strings.Trim(s, "0.") == "":
		return s // no sign on what rounds to zero
	case v < 0:
		return "−" + s
	case signed:
		return "+" + s
	}
	return s
}

// short writes v without trailing zeros, for thresholds and tick labels.
func short(v float64) string {
	s := strconv.FormatFloat(math.Abs(v), 'f', 4, 64)
	s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	if v < 0 && s != "0" {
		return "−" + s
	}
	return s
}

// interval writes "[lo, hi]".
func interval(lo, hi float64, signed bool) string {
	return "[" + number(lo, signed) + ", " + number(hi, signed) + "]"
}

// thousands groups digits by comma.
func thousands(n int) string {
	s := strconv.Itoa(n)
	start := 0
	if n < 0 {
		start = 1
	}
	for i := len(s) - 3; i > start; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return thousands(n) + " " + noun + "s"
}

var smallNumbers = []string{"No", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine", "Ten", "Eleven", "Twelve"}

// capital spells a small number at the start of a sentence: "9 claims" gives "Nine claims".
func capital(s string) string {
	head, rest, _ := strings.Cut(s, " ")
	if n, err := strconv.Atoi(head); err == nil && n >= 0 && n < len(smallNumbers) {
		return smallNumbers[n] + " " + rest
	}
	return s
}

// finite tells whether all pointers are set to finite numbers.
func finite(vs ...*float64) bool {
	for _, v := range vs {
		if v == nil || math.IsNaN(*v) || math.IsInf(*v, 0) {
			return false
		}
	}
	return true
}

func isFinite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

// naturalLess orders text with its digit runs compared as numbers: "early-answer/0.50" before "early-answer/0.75" and
// "mistake/2" before "mistake/10".
func naturalLess(a, b string) bool {
	for a != "" && b != "" {
		da, db := digits(a), digits(b)
		if da > 0 && db > 0 {
			na, nb := strings.TrimLeft(a[:da], "0"), strings.TrimLeft(b[:db], "0")
			if len(na) != len(nb) {
				return len(na) < len(nb)
			}
			if na != nb {
				return na < nb
			}
			if da != db {
				return da < db
			}
			a, b = a[da:], b[db:]
			continue
		}
		if a[0] != b[0] {
			return a[0] < b[0]
		}
		a, b = a[1:], b[1:]
	}
	return a == "" && b != ""
}

func digits(s string) int {
	n := 0
	for n < len(s) && s[n] >= '0' && s[n] <= '9' {
		n++
	}
	return n
}
