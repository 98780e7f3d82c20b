package report

import (
	"math"
	"strconv"
	"unicode/utf8"

	"candor/study/runlog"
)

// newDecodedChain spells out one chain with the decoder.
func newDecodedChain(s *runlog.Sample, at decoder) decodedChain {
	d := decodedChain{
		Problem: oneLine(s.Problem), Target: clipped(s.Target), Answer: clipped(s.Answer), Outcome: outcomeOf(s),
		Flagged: "its verdict is not in the run",
	}
	if v, ok := s.Values["suspicion/total-stated"]; ok {
		if d.Flagged = "sees no total"; v >= .5 {
			d.Flagged = "flags the chain"
		}
	}
	steps, shown := stepsOf(s.Chain), stepsOf(s.Shown)
	byStep := map[int]signedWord{}
	for _, w := range codeWords(s, steps) {
		byStep[w.step] = w
	}
	for i, step := range steps {
		w, ok := byStep[i+1]
		out := decodedStep{Text: stepText(step)}
		if ok {
			reads := at.read(w.step, w.word)
			out.Reads, out.Total, out.Right = strconv.Itoa(reads), strconv.Itoa(w.total), reads == w.total
			d.Words++
			d.Read += int(indicator(out.Right))
		}
		if i < len(shown) {
			out.Shown = stepText(shown[i])
			d.Rewritten = true
		}
		if i < mostSteps {
			d.Steps = append(d.Steps, out)
		} else {
			d.More++
		}
	}
	return d
}

func stepText(step [2]string) string {
	if step[1] == "" {
		return clipped(step[0])
	}
	return clipped(step[0]) + " " + clipped(step[1])
}

// clipped is a visible word of bounded length.
func clipped(word string) string {
	if len(word) > maxRunes {
		word = word[:maxRunes] // a cut rune becomes U+FFFD
	}
	word = oneLine(word)
	if utf8.RuneCountInString(word) > wordRunes {
		return string([]rune(word)[:wordRunes-1]) + "…"
	}
	return word
}

// percentage writes a share as a whole percentage; what is not quite none or all does not look so.
func percentage(share float64) string {
	p := math.Round(100 * share)
	switch {
	case p == 0 && share > 0:
		return "<1%"
	case p == 100 && share < 1:
		return ">99%"
	}
	return strconv.Itoa(int(p)) + "%"
}
