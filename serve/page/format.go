package page

import (
	"math"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"candor/reasoning/compose"
	"candor/serve/record"
)

// outcomes are all of them, in the order in which they are listed.
var outcomes = []record.Outcome{record.Open, record.Released, record.Blocked, record.Held, record.Approved, record.Rejected, record.Failed, record.Gone, record.Dropped}

// shape returns the mark beside a word, so that nothing is told by its colour alone.
func shape(word any) string {
	switch word {
	case record.Open, compose.NotRun:
		return "○"
	case record.Released, compose.Pass:
		return "●"
	case record.Blocked, compose.Block:
		return "■"
	case record.Held:
		return "◆"
	case record.Approved:
		return "✓"
	case record.Rejected:
		return "✕"
	case record.Failed, compose.Failed:
		return "▲"
	case record.Gone:
		return "◇"
	case record.Dropped:
		return "□"
	}
	return "·"
}

// stateWords returns a verdict as it is said.
func stateWords(v compose.Verdict) string {
	switch {
	case v.Off:
		return "off"
	case v.Advisory && v.State == compose.Block:
		return "block, advisory"
	}
	return line(string(v.State))
}

func clock(t time.Time) string { return t.UTC().Format("15:04:05") }
func date(t time.Time) string  { return t.UTC().Format("2006-01-02 15:04:05") }
func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

// took writes a duration with three digits that matter.
func took(d time.Duration) string {
	switch a := d.Abs(); {
	case a == 0:
		return "0"
	case a < time.Millisecond:
		return digits(float64(d)/float64(time.Microsecond)) + " µs"
	case a < time.Second:
		return digits(float64(d)/float64(time.Millisecond)) + " ms"
	case a < time.Minute:
		return digits(d.Seconds()) + " s"
	case a < time.Hour:
		return strconv.Itoa(int(d/time.Minute)) + " min " + strconv.Itoa(int(d%time.Minute/time.Second)) + " s"
	case a < 48*time.Hour:
		return strconv.Itoa(int(d/time.Hour)) + " h " + strconv.Itoa(int(d%time.Hour/time.Minute)) + " min"
	}
	return strconv.Itoa(int(d/(24*time.Hour))) + " days"
}

func digits(v float64) string {
	switch a := math.Abs(v); {
	case a >= 100:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case a >= 10:
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return strconv.FormatFloat(v, 'f', 2, 64)
}

// number writes a score or threshold.
func number(v float64) string {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return "no number"
	}
	return strconv.FormatFloat(v, 'f', 2, 64)
}

// count groups digits by comma.
func count(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return count(n) + " " + noun + "s"
}

func sum(a, b int) int { return a + b }

// percent is a place on an SVG's axis.
func percent(share float64) string {
	if math.IsNaN(share) {
		share = 0
	}
	return strconv.FormatFloat(100*min(max(share, 0), 1), 'f', 2, 64) + "%"
}

// scale is a score beside its threshold on a line from 0 to 1.
type scale struct {
	Score, Threshold string // places
	Scored           bool
}

func scaleOf(v compose.Verdict) scale {
	return scale{percent(v.Score), percent(v.Threshold), v.State == compose.Pass || v.State == compose.Block}
}

// escape makes a text part of a URL.
func escape(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }

// sentence writes an error that is for people as one.
func sentence(err error) string {
	text := line(err.Error())
	first, size := utf8.DecodeRuneInString(text)
	return string(unicode.ToUpper(first)) + text[size:] + "."
}
