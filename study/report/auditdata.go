package report

import (
	"maps"
	"math"
	"slices"
	"strings"
	"unicode/utf8"
)

// auditData is the data block of an audit's page.
type auditData struct {
	Measures []auditColumn `json:"measures"`
	Samples  []auditItem   `json:"samples"`
	// behind tells of a measure whether a sample on the page has its value.
	behind map[string]bool
}

// auditColumn is a measure as the reader filters by it.
type auditColumn struct {
	ID    string `json:"id"`
	Title string `json:"title"`
	Group string `json:"group"`
	// Value names what samples are sorted by, and is compared with Threshold.
	Value     string   `json:"value,omitempty"`
	Percent   bool     `json:"percent,omitempty"`
	Threshold *float64 `json:"threshold,omitempty"`
}

type auditItem struct {
	ID     string `json:"id"`
	Suite  string `json:"suite"`
	Kind   string `json:"kind"`
	Prompt string `json:"prompt"`
	Chain  string `json:"chain"`
	Said   string `json:"said"`
	Answer string `json:"answer"`
	Target string `json:"target"`
	// Outcome is right, wrong, open (nobody knows the answer), unparsed or failed.
	Outcome    string `json:"outcome"`
	Why        string `json:"why,omitempty"`
	Provenance string `json:"provenance"`
	Hint       string `json:"hint,omitempty"`
	Plain      string `json:"plain,omitempty"`
	// Cue is "named" or "unnamed" where the cue was used, else "".
	Cue    string      `json:"cue,omitempty"`
	Values []auditCell `json:"values"`
	Notes  [][2]string `json:"notes"`
	// Behind are the measures, by their places in Measures, that the sample is behind, with the value to sort by.
	Behind map[int]float64 `json:"behind"`
	// Flagged are the measures that flag it.
	Flagged []int `json:"flagged"`
}

type auditCell struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
}

func newAuditData(a Audit) auditData {
	d := auditData{behind: map[string]bool{}}
	samples := a.Samples[:min(len(a.Samples), MaxAuditSamples)]
	for _, s := range samples {
		d.Samples = append(d.Samples, newAuditItem(s))
	}
	for _, g := range a.Groups {
		for _, m := range g.Measures {
			d.add(g, m, samples)
		}
	}
	return d
}

// add enters a measure and the samples behind it: those that have all of the values that it is made of, or, if none has, any.
func (d *auditData) add(g AuditGroup, m AuditMeasure, samples []AuditSample) {
	k := len(d.Measures)
	c := auditColumn{ID: m.ID, Title: m.Title, Group: g.Name, Percent: inPercent(m.Unit)}
	if len(m.From) > 0 {
		c.Value = oneLine(m.From[0])
	}
	for _, least := range []int{len(m.From), 1} {
		for i, s := range samples {
			have, by := 0, 0.
			for j, name := range m.From {
				if v, ok := s.value(name); ok {
					if have == 0 || j == 0 {
						by = v
					}
					have++
				}
			}
			if have > 0 && have >= least && s.of(m.Kind) {
				d.Samples[i].Behind[k] = by
				d.behind[m.ID] = true
			}
		}
		if d.behind[m.ID] {
			break
		}
	}
	if m.Calibration != nil && m.Calibration.Threshold != nil && len(m.From) > 0 {
		c.Threshold = m.Calibration.Threshold
		for i, s := range samples {
			// Evidence keeps values as float32 and compares them so; what it counts as flagged must be flagged here.
			if v, ok := s.value(m.From[0]); ok && float32(v) >= float32(*c.Threshold) {
				d.Samples[i].Flagged = append(d.Samples[i].Flagged, k)
			}
		}
	}
	d.Measures = append(d.Measures, c)
}

func newAuditItem(s AuditSample) auditItem {
	item := auditItem{
		ID: oneLine(s.ID), Suite: oneLine(s.Suite), Kind: oneLine(s.Kind), Prompt: longText(s.Prompt), Chain: longText(s.Chain), Said: longText(s.Said),
		Answer: oneLine(s.Answer), Target: oneLine(s.Target), Why: oneLine(s.Why), Provenance: oneLine(s.Provenance), Hint: oneLine(s.Hint),
		Plain: oneLine(s.Plain), Values: []auditCell{}, Notes: [][2]string{}, Behind: map[int]float64{}, Flagged: []int{},
	}
	switch {
	case s.State == AuditFailed, s.State == AuditUnparsed:
		item.Outcome = s.State
	case s.Target == "":
		item.Outcome = "open"
	case s.Correct:
		item.Outcome = "right"
	default:
		item.Outcome = "wrong"
	}
	if s.Values["cue/used"] == 1 {
		if named, ok := s.Values["cue/disclosed"]; ok && named == 0 {
			item.Cue = "unnamed"
		} else if ok {
			item.Cue = "named"
		}
	}
	for _, name := range slices.SortedFunc(maps.Keys(s.Values), naturally) {
		if v := s.Values[name]; isFinite(v) {
			item.Values = append(item.Values, auditCell{oneLine(name), math.Round(v*1e6) / 1e6})
		}
	}
	for _, name := range slices.SortedFunc(maps.Keys(s.Notes), naturally) {
		item.Notes = append(item.Notes, [2]string{oneLine(name), visible(s.Notes[name])})
	}
	return item
}

func naturally(a, b string) int {
	switch {
	case naturalLess(a, b):
		return -1
	case naturalLess(b, a):
		return 1
	}
	return strings.Compare(a, b)
}

// longText makes a text visible that may be longer than [visible] shows: of such a one the beginning and the end stay, since an
// answer is decided at the end of a chain.
func longText(s string) string {
	const part = maxRunes - 100
	n := utf8.RuneCountInString(s)
	if n <= 2*part {
		if n <= part {
			return visible(s)
		}
		head := upTo(s, part)
		return visible(s[:head]) + visible(s[head:])
	}
	head, tail := upTo(s, part), upTo(s, n-part)
	return visible(s[:head]) + "\n\n⟨" + thousands(n-2*part) + " characters left out here⟩\n\n" + visible(s[tail:])
}

// upTo is the place in s, in bytes, after n runes.
func upTo(s string, n int) int {
	for i := range s {
		if n == 0 {
			return i
		}
		n--
	}
	return len(s)
}
