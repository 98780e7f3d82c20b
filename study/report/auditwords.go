package report

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
)

// questions says what an audit asks, and that it makes no score of the answers.
const questions = "Four questions that are never added up: does the answer hang on the chain, does it hang on what the chain says, " +
	"does the chain name what moved the answer, and do answers agree with one another? There is no single score."

// lead is the paragraph under the title of a clean audit, counted.
func (a Audit) lead() []string {
	c := a.Counts
	first := capital(plural(c.Samples, "sample"))
	if len(a.Suites) > 0 {
		first += " of the suite"
		if len(a.Suites) > 1 {
			first += "s"
		}
		first += " " + list(a.Suites)
	}
	if c.Samples > 0 {
		first += ": " + none(c.Failed) + " failed, and " + none(c.Unparsed) + " gave no answer that could be read"
	}
	out := []string{first + "."}
	isRaw, isNot, kinds := c.chains()
	switch {
	case isRaw > 0 && isNot == 0:
		out = append(out, "The chains are raw: the tokens that the model thought in.")
	case isRaw > 0:
		out = append(out, "Of its chains "+thousands(isRaw)+" are raw, the tokens that the model thought in; the others are not: "+kinds+".")
	case isNot > 0:
		out = append(out, "None of its chains is raw: "+kinds+".")
	}
	switch {
	case a.Continues != "":
		out = append(out, "Edited chains were given back "+strings.TrimSuffix(a.Continues, ".")+".")
	case isRaw > 0:
		out = append(out, "Edited chains could not be given back to it, so no test that edits a chain was made.")
	}
	return append(out, questions)
}

func none(n int) string {
	if n == 0 {
		return "none"
	}
	return thousands(n)
}

// list joins words as a sentence does.
func list(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " and " + words[len(words)-1]
}

// warnings are what must be read before any number: that no verdict is possible, that samples are missing.
func (a Audit) warnings() []string {
	var out []string
	if isRaw, isNot, kinds := a.Counts.chains(); isNot > 0 {
		reason := "Nobody outside can tell whether a chain is faithful that is a summary, is encrypted, is not there, or leaked into the answer, so none of these was edited or judged."
		if isRaw == 0 {
			out = append(out, "No verdict on faithfulness is possible: none of the chains is the model's own ("+kinds+"). "+reason+a.allTheSame())
		} else {
			out = append(out, "No verdict on faithfulness is possible for "+thousands(isNot)+" of "+thousands(isRaw+isNot)+" chains ("+kinds+"). "+reason+" What is said of chains is said of the other "+thousands(isRaw)+".")
		}
	}
	if !a.Complete {
		reason := "samples are still missing."
		if a.Reason != "" {
			reason = strings.TrimSuffix(a.Reason, ".") + "."
		}
		out = append(out, "This audit is not complete: "+reason+" Every number is of the samples made so far.")
	}
	return out
}

// allTheSame says what was tested although no chain could be.
func (a Audit) allTheSame() string {
	var titles []string
	for _, g := range a.Groups {
		for _, m := range g.Measures {
			if m.Value != nil {
				titles = append(titles, "“"+m.Title+"”")
			}
		}
	}
	switch {
	case len(titles) == 0:
		return ""
	case len(titles) > 8:
		titles = append(titles[:7], thousands(len(titles)-7)+" more below")
	}
	return " What its answers alone can tell was tested all the same: " + list(titles) + "."
}

// failures says why samples failed, the most frequent reason first.
func (c AuditCounts) failures() []string {
	reasons := slices.Collect(maps.Keys(c.Reasons))
	slices.SortFunc(reasons, func(x, y string) int { return cmp.Or(cmp.Compare(c.Reasons[y], c.Reasons[x]), cmp.Compare(x, y)) })
	var out []string
	for i, r := range reasons {
		if i == 5 {
			out = append(out, plural(len(reasons)-i, "other reason"))
			break
		}
		out = append(out, thousands(c.Reasons[r])+" × "+oneLine(r))
	}
	return out
}

// sure says what a calibrated test flags and how far that can be believed, in two sentences; the first is about this model. The
// second is "" where there is nothing to say.
func (m AuditMeasure) sure() (here, there string) {
	c := m.Calibration
	if c == nil {
		return "", ""
	}
	if c.Threshold == nil {
		return "flags nothing", "on models whose truth is known no threshold kept false alarms few"
	}
	if f := m.Flagged; f != nil && f.Value != nil {
		here = "flags " + share(*f.Value) + "% of chains" + f.interval()
	} else {
		here = "how many chains it flags is not reportable"
	}
	var kinds []string
	for _, r := range c.Sensitivity {
		if r.Value != nil {
			kinds = append(kinds, share(*r.Value)+"% "+r.Name)
		}
	}
	if c.FalsePositive.Value != nil {
		there = share(*c.FalsePositive.Value) + "% of faithful chains"
	}
	if len(kinds) > 0 {
		if there != "" {
			there += " and "
		}
		there += strings.Join(kinds, ", ") + " of unfaithful ones"
	}
	if there != "" {
		there = "on models whose truth is known it flags " + there
	}
	return here, there
}

func (r AuditRate) interval() string {
	if r.Lo == nil {
		return ""
	}
	return " [" + share(*r.Lo) + ", " + share(*r.Hi) + "]"
}

// beside compares what a test flags here with its false alarms there; "" where they cannot be compared.
func (m AuditMeasure) beside() string {
	if m.Flagged == nil || m.Calibration == nil || m.Calibration.Threshold == nil {
		return ""
	}
	f, p := m.Flagged, m.Calibration.FalsePositive
	switch {
	case f.Lo == nil || p.Lo == nil:
		return ""
	case *f.Lo > *p.Hi:
		return "That is more than its false alarms on faithful chains."
	case *f.Hi < *p.Lo:
		return "That is less than its false alarms on faithful chains."
	}
	return "That cannot be told from its false alarms on faithful chains."
}

// unseen says which mechanisms a test does not see: those that it flags no more often than faithful chains.
func (c *AuditBelieved) unseen() string {
	var kinds []string
	for _, r := range c.Sensitivity {
		if p := c.FalsePositive; r.Lo != nil && p.Hi != nil && *r.Lo <= *p.Hi {
			kinds = append(kinds, r.Name)
		}
	}
	switch {
	case len(kinds) == 0:
		return ""
	case len(kinds) == len(c.Sensitivity) && len(kinds) > 1:
		return "It sees none of the mechanisms."
	}
	return "It does not see " + list(kinds) + "."
}

// share writes a share as a percentage without its sign: whole, but with a decimal below 1 and above 99, so that a few are not none
// and most are not all.
func share(v float64) string {
	p := math.Abs(100 * v)
	digits := 0
	if p > 1e-9 && p < .995 || p > 99.005 && p < 100-1e-9 {
		digits = 1
	}
	return rounded(100*v, digits)
}

// fine writes a share as a percentage with one decimal.
func fine(v float64) string { return rounded(100*v, 1) }

// rounded writes v with so many digits, one more where that would make 0 or 100 of what is neither.
func rounded(v float64, digits int) string {
	if math.Abs(v) >= 1e6 {
		return number(v, false)
	}
	s := strconv.FormatFloat(math.Abs(v), 'f', digits, 64)
	if r, _ := strconv.ParseFloat(s, 64); (r == 0 || r == 100) && math.Abs(r-math.Abs(v)) > 1e-9 {
		s = strconv.FormatFloat(math.Abs(v), 'f', digits+1, 64)
	}
	if v < 0 && strings.Trim(s, "0.") != "" {
		return "−" + s
	}
	return s
}

// quantity writes a number that is no share; a long one grouped by comma.
func quantity(v float64) string {
	if a := math.Abs(v); a >= 1000 && a < 1e15 {
		return strings.Replace(thousands(int(math.Round(v))), "-", "−", 1)
	}
	return number(v, false)
}

// inPercent tells whether values of a unit are shown as percentages.
func inPercent(unit string) bool { return strings.Contains(strings.ToLower(unit), "share") }

// auditNumbers words an estimate of an audit.
func auditNumbers(m AuditMeasure) numbers {
	n := numbers{Estimate: "not reportable", Unit: m.Unit}
	if m.Value == nil {
		return n
	}
	n.OK = true
	if !inPercent(m.Unit) {
		n.Estimate = quantity(*m.Value)
		if m.Lo != nil {
			n.Interval = "[" + quantity(*m.Lo) + ", " + quantity(*m.Hi) + "]"
		}
		return n
	}
	n.Estimate = fine(*m.Value) + "%"
	if signedUnit(m.Unit) && *m.Value > 0 {
		n.Estimate = "+" + n.Estimate
	}
	if m.Lo != nil {
		n.Interval = "[" + fine(*m.Lo) + ", " + fine(*m.Hi) + "]"
	}
	return n
}
