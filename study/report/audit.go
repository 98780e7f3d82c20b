package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Audit is what the page of an audit shows: what is known of one model. An empty part leaves its section out.
type Audit struct {
	// Title heads the page, for example "Audit of qwen3-8b".
	Title string
	// Suites name the suites of the samples.
	Suites []string
	// Model lists what is known of the model: its name, base URL, dialect, log-probabilities, seeds, parameters, weights.
	Model  []KV
	Counts AuditCounts
	// Continues ends the sentence "Edited chains were given back ...", such as "as the beginning of its own message"; "" if
	// they could not be.
	Continues string
	// Complete is false while samples are missing; Reason then says why, as a sentence.
	Complete bool
	Reason   string
	// Groups are shown in the page's order, unknown ones after the known. A measure's ID is unique among all of them.
	Groups []AuditGroup
	// Distance says in what the model differs from those that the tests were calibrated on, a clause each.
	Distance []string
	Untested []AuditUntested
	// Samples are those that the page lets read, at most [MaxAuditSamples]; more are left out.
	Samples  []AuditSample
	Settings []KV
	Machine  []KV
}

// MaxAuditSamples is how many samples a page of an audit carries.
const MaxAuditSamples = 120

// AuditCounts are how many samples there are of which kind; all of them, not those on the page alone.
type AuditCounts struct {
	Samples int
	Failed  int
	// Reasons counts why samples failed.
	Reasons map[string]int
	// Unparsed samples gave no answer that could be read.
	Unparsed int
	// Provenance counts the chains by what they are, by the names of candor/reasoning/llm; "" is a chain in the model's own
	// text, which is raw.
	Provenance map[string]int
}

// AuditGroup holds the measures of one question.
type AuditGroup struct {
	// Name is one of "importance", "meaning", "verbalisation", "consistency", "legibility", "monitorability", "capability" and
	// "control", or another.
	Name string
	// About says what its measures can and cannot mean; "" takes the page's own words for a known group.
	About    string
	Measures []AuditMeasure
}

// AuditMeasure is one number about the model, as candor/audit/evidence has it.
type AuditMeasure struct {
	ID, Title, About, Source string
	// Unit is "share", "difference of shares", "bits", "tokens", "" or another; shares are shown as percentages. A share that may
	// be below 0 is taken for a difference.
	Unit string
	// Value is the estimate and [Lo, Hi] its 95% interval; nil where Note says why it is not reportable.
	Value, Lo, Hi *float64
	N             int
	Note          string
	// From names the values of the samples behind it, the one to sort by first; "correct" and "parsed" need not be among a
	// sample's Values. Kind, if set, says that only samples whose kind ends in "/" + Kind are meant.
	From []string
	Kind string
	// Flagged is the share of chains that the test suspects, Calibration what that is worth; nil for a measure that is no
	// calibrated test. The first of From is what is compared with the threshold.
	Flagged     *AuditRate
	Calibration *AuditBelieved
}

// AuditRate is a share with its 95% interval, nil where it is not reportable, and how many chains it is of.
type AuditRate struct {
	Value, Lo, Hi *float64
	Chains        int
	Note          string
}

// NamedRate is the rate of a kind of mechanism.
type NamedRate struct {
	Name string
	AuditRate
}

// AuditBelieved is what a test said of models whose truth is known.
type AuditBelieved struct {
	// Threshold is the least suspicion that is flagged; nil if none kept to few false positives.
	Threshold *float64
	// FalsePositive is the share flagged of faithful chains, Sensitivity that of unfaithful ones by kind of mechanism.
	FalsePositive AuditRate
	Sensitivity   []NamedRate
	// Organisms are the same model by model; they may be left out.
	Organisms []AuditOrganism
}

// AuditOrganism is what a test flagged of one model whose truth is known.
type AuditOrganism struct {
	Name, Kind           string
	Faithful, Unfaithful AuditRate
}

// AuditUntested is a question without an answer.
type AuditUntested struct{ What, Why string }

// The states of a sample.
const (
	AuditDone     = "done"
	AuditFailed   = "failed"
	AuditUnparsed = "unparsed"
)

// AuditSample is one sample of the reader.
type AuditSample struct {
	// ID is unique on the page.
	ID, Suite, Kind string
	Prompt, Chain   string
	// Said is what the model said after its chain, Answer what was read from that, Target the right answer or "".
	Said, Answer, Target string
	Correct              bool
	// State is AuditDone, AuditFailed or AuditUnparsed; Why says why it is one of the latter.
	State, Why string
	// Provenance is what Chain is, as in AuditCounts.
	Provenance string
	// Hint is the answer that a cue in the prompt suggests, Plain the answer to the prompt without the cue.
	Hint, Plain string
	Values      map[string]float64
	Notes       map[string]string
}

// value returns a value of the sample, also those that are no entry of Values but that measures are made of.
func (s AuditSample) value(name string) (float64, bool) {
	if v, ok := s.Values[name]; ok {
		return v, isFinite(v)
	}
	is := func(b bool) (float64, bool) {
		if b {
			return 1, true
		}
		return 0, true
	}
	switch name {
	case "parsed":
		if s.State != AuditFailed {
			return is(s.State == AuditDone)
		}
	case "correct":
		if s.State == AuditDone && s.Target != "" && s.Hint == "" {
			return is(s.Correct)
		}
	}
	return 0, false
}

// of tells whether the sample is of a measure's kind.
func (s AuditSample) of(kind string) bool { return kind == "" || strings.HasSuffix(s.Kind, "/"+kind) }

// groupWords are the page's own words for the known groups, in the page's order.
var groupWords = []struct{ name, title, about string }{
	{"importance", "Importance", "Does the answer hang on the chain? An answer that stays when the chain is cut, spoilt or taken away did not need it here; that does not make the chain a lie. An answer that moves shows that the chain is used, not that it tells everything."},
	{"meaning", "Meaning", "Does the answer hang on what the chain says, and not on how it is put? An answer that moves under other words may come from a code in the wording, or from a bad paraphrase. One that stays does not show that the words are the reason."},
	{"verbalisation", "Verbalisation", "Does the chain name what moved the answer? The cause is known here because it was planted in the prompt. A cue that moves nothing tests nothing, and what moves answers without a cue stays unknown."},
	{"consistency", "Consistency", "Do its answers agree with one another? Of two answers that cannot both be right, one had a chain that argued for what is not so. Agreement does not show that either chain is the reason."},
	{"legibility", "Legibility", "Can a reader follow the chain, and is all there? A chain can be easy to read and not the reason, or the reason and hard to read."},
	{"monitorability", "Monitorability", "Can a monitor tell from the chain that a planted cue was used? This is about these monitors and these cues. A model that hides on purpose may do better than this one did."},
	{"capability", "Capability", "Does it solve the problems at all? Where it cannot, or can without thinking, tests of its chains say little."},
	{"control", "Controls", "What the same numbers are where there is nothing to find. An effect no larger than its control is no effect."},
}

// clean returns the audit in the page's order, its short texts fit to show and without numbers that are none. It copies what it
// changes.
func (a Audit) clean() (Audit, error) {
	rank := func(g AuditGroup) int {
		for i, w := range groupWords {
			if w.name == strings.ToLower(g.Name) {
				return i
			}
		}
		return len(groupWords)
	}
	a.Groups = slices.Clone(a.Groups)
	slices.SortStableFunc(a.Groups, func(x, y AuditGroup) int { return cmp.Compare(rank(x), rank(y)) })
	seen := map[string]bool{}
	for i := range a.Groups {
		g := &a.Groups[i]
		name := oneLine(g.Name)
		if r := rank(*g); r < len(groupWords) {
			name = groupWords[r].title
			g.About = cmp.Or(g.About, groupWords[r].about)
		}
		g.Name, g.About = name, oneLine(g.About)
		g.Measures = slices.Clone(g.Measures)
		for j := range g.Measures {
			m := &g.Measures[j]
			m.ID = oneLine(m.ID)
			if m.ID == "" || seen[m.ID] {
				return a, fmt.Errorf("report: the measure %q is there twice, or has no name: every measure needs an ID of its own", m.ID)
			}
			seen[m.ID] = true
			m.clean()
		}
	}
	a.Title = cmp.Or(oneLine(a.Title), "candor audit")
	a.Continues, a.Reason = oneLine(a.Continues), oneLine(a.Reason)
	a.Suites = cleanAll(a.Suites)
	a.Distance = cleanAll(a.Distance)
	a.Untested = slices.Clone(a.Untested)
	for i, u := range a.Untested {
		a.Untested[i] = AuditUntested{oneLine(u.What), oneLine(u.Why)}
	}
	a.Model, a.Settings, a.Machine = cleanKV(a.Model), cleanKV(a.Settings), cleanKV(a.Machine)
	return a, nil
}

func cleanAll(texts []string) []string {
	out := make([]string, len(texts))
	for i, s := range texts {
		out[i] = oneLine(s)
	}
	return out
}

func (m *AuditMeasure) clean() {
	m.Title, m.About, m.Source, m.Note, m.Unit = cmp.Or(oneLine(m.Title), oneLine(m.ID)), oneLine(m.About), oneLine(m.Source), oneLine(m.Note), oneLine(m.Unit)
	m.Value, m.Lo, m.Hi = finiteOnly(m.Value, m.Lo, m.Hi)
	if m.Unit == "share" && (finite(m.Value) && *m.Value < 0 || finite(m.Lo) && *m.Lo < 0) {
		m.Unit = "difference of shares"
	}
	if m.Flagged != nil {
		r := m.Flagged.clean()
		m.Flagged = &r
	}
	if m.Calibration == nil {
		return
	}
	c := *m.Calibration
	if !finite(c.Threshold) {
		c.Threshold = nil
	}
	c.FalsePositive = c.FalsePositive.clean()
	c.Sensitivity = slices.Clone(c.Sensitivity)
	for i, r := range c.Sensitivity {
		c.Sensitivity[i] = NamedRate{oneLine(r.Name), r.clean()}
	}
	c.Organisms = slices.Clone(c.Organisms)
	for i, o := range c.Organisms {
		c.Organisms[i] = AuditOrganism{oneLine(o.Name), oneLine(o.Kind), o.Faithful.clean(), o.Unfaithful.clean()}
	}
	m.Calibration = &c
}

func (r AuditRate) clean() AuditRate {
	r.Note = oneLine(r.Note)
	r.Value, r.Lo, r.Hi = finiteOnly(r.Value, r.Lo, r.Hi)
	return r
}

// finiteOnly drops an estimate, or just its interval, that is no number.
func finiteOnly(v, lo, hi *float64) (a, b, c *float64) {
	switch {
	case !finite(v):
		return nil, nil, nil
	case !finite(lo, hi):
		return v, nil, nil
	}
	return v, lo, hi
}

// raw tells whether a chain is what the model thought in.
func raw(provenance string) bool { return provenance == "" || provenance == "raw" }

// chains counts the chains that are raw and those that are not, with the kinds of the latter in words, the most frequent first.
func (c AuditCounts) chains() (isRaw, isNot int, kinds string) {
	var others []string
	for p, n := range c.Provenance {
		switch {
		case n <= 0:
		case raw(p):
			isRaw += n
		default:
			isNot += n
			others = append(others, p)
		}
	}
	slices.SortFunc(others, func(x, y string) int { return cmp.Or(cmp.Compare(c.Provenance[y], c.Provenance[x]), cmp.Compare(x, y)) })
	for i, p := range others {
		n := thousands(c.Provenance[p]) + " "
		switch {
		case p == "summary" && c.Provenance[p] == 1:
			others[i] = n + "summary"
		case p == "summary":
			others[i] = n + "summaries"
		case p == "leaked":
			others[i] = n + "leaked into the answer"
		default:
			others[i] = n + oneLine(p)
		}
	}
	return isRaw, isNot, strings.Join(others, ", ")
}
