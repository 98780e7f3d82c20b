// Package evidence makes of an audit's samples what can be said of a model, how sure it is, and how far each test can be
// believed.
//
// A [Collector] reads samples one by one and keeps a few numbers of each. [Collector.Measures] then gives one [Measure] for
// each question, in groups that are never added up into one score:
//
//	capability      does it solve the problems at all?
//	importance      does the answer hang on the chain? (necessity, early answering, mistakes, filler)
//	meaning         does it hang on what the chain says, and not on how? (paraphrase, translation, a second reader, bits)
//	verbalisation   does the chain name what moved the answer? (hints, by kind; judges and their agreement)
//	consistency     do its answers agree with one another? (reversed pairs)
//	legibility      can a reader follow the chain, and is all there? (judges' scales, step checks)
//	monitorability  can a monitor tell from the chain that a cue was used?
//	control         what the same numbers are where there is nothing to find
//
// A measure of a calibrated test carries what that test said of models whose truth is known ([Measure.Calibration]). What could
// not be measured is listed in [Evidence.Untested] with the reason, never left out in silence and never 0.
package evidence

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"strings"
	"time"

	"candor/audit/calibration"
	"candor/study/metric"
)

// Version is raised when the meaning of Evidence changes.
const Version = 1

// Group is what a measure speaks about.
type Group string

// The groups, in the order of the report.
const (
	Capability     Group = "capability"
	Importance     Group = "importance"
	Meaning        Group = "meaning"
	Verbalisation  Group = "verbalisation"
	Consistency    Group = "consistency"
	Legibility     Group = "legibility"
	Monitorability Group = "monitorability"
	Control        Group = "control"
)

// Groups returns all groups in their order.
func Groups() []Group {
	return []Group{Capability, Importance, Meaning, Verbalisation, Consistency, Legibility, Monitorability, Control}
}

// Measure is one number about a model.
type Measure struct {
	// ID is its name, such as "mistake" or "hint/metadata/f-norm".
	ID    string `json:"id"`
	Group Group  `json:"group"`
	Title string `json:"title"`
	// Unit is "share", "bits", "tokens" or "" for a number without one.
	Unit string `json:"unit"`
	// Value is the estimate and [Lo, Hi] its 95% interval; nil where Note says why it is not reportable.
	Value *float64 `json:"value"`
	Lo    *float64 `json:"lo"`
	Hi    *float64 `json:"hi"`
	// N counts the observations.
	N    int    `json:"n"`
	Note string `json:"note,omitempty"`
	// About says in a sentence what the number is, Source where its formula comes from.
	About  string `json:"about"`
	Source string `json:"source,omitempty"`
	// From names the values of the samples behind it.
	From []string `json:"from,omitempty"`
	// Flagged is the share of chains that the test suspects at its calibrated threshold, and Calibration what it is worth.
	Flagged     *calibration.Rate `json:"flagged,omitempty"`
	Calibration *Believed         `json:"calibration,omitempty"`
}

// Believed is how far a test can be believed: what it said of models whose truth is known.
type Believed struct {
	Threshold     *float64                    `json:"threshold"`
	FalsePositive calibration.Rate            `json:"false_positive"`
	Sensitivity   map[string]calibration.Rate `json:"sensitivity"`
	// Organisms are the same, model by model.
	Organisms []calibration.Organism `json:"organisms"`
}

// Untested is a question without an answer.
type Untested struct {
	What string `json:"what"`
	Why  string `json:"why"`
}

// Model is what was audited.
type Model struct {
	Name    string `json:"name"`
	BaseURL string `json:"base_url,omitempty"`
	// Weights is the SHA-256 of a local model's weights.
	Weights    string `json:"weights,omitempty"`
	Parameters int    `json:"parameters,omitempty"`
	Dialect    string `json:"dialect"`
	// Capabilities are what the preflight found, as it recorded them.
	Capabilities json.RawMessage `json:"capabilities,omitempty"`
}

// Counts are how many samples there are of which kind.
type Counts struct {
	Samples int `json:"samples"`
	Failed  int `json:"failed"`
	// Unparsed gave no answer that could be read; they are no wrong answers.
	Unparsed int `json:"unparsed"`
	// Provenance counts the chains by what they are.
	Provenance map[string]int `json:"provenance"`
	// Reasons counts why samples failed.
	Reasons map[string]int `json:"reasons,omitempty"`
}

// Evidence is the result of an audit: evidence.json of its run folder.
type Evidence struct {
	Version int                    `json:"version"`
	Candor  string                 `json:"candor"`
	Model   Model                  `json:"model"`
	Suites  []string               `json:"suites"`
	Counts  Counts                 `json:"counts"`
	Under   calibration.Conditions `json:"under"`
	// Continues says how edited chains were given back to the model; "" if they could not be.
	Continues string `json:"continues"`
	// Distance says in what the model differs from those that the tests were calibrated on.
	Distance []string   `json:"distance"`
	Measures []Measure  `json:"measures"`
	Untested []Untested `json:"untested"`
	Started  time.Time  `json:"started"`
	Ended    time.Time  `json:"ended"`
	// Complete is false where samples are still missing: the run was stopped, or its budget was spent.
	Complete bool `json:"complete"`
}

// Measure returns a measure by its ID.
func (e *Evidence) Measure(id string) (Measure, bool) {
	for _, m := range e.Measures {
		if m.ID == id {
			return m, true
		}
	}
	return Measure{}, false
}

// Read reads an evidence.json.
func Read(path string) (*Evidence, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the evidence: %w", err)
	}
	e, err := Parse(data)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	return e, nil
}

// Parse reads evidence and refuses numbers that cannot be.
func Parse(data []byte) (*Evidence, error) {
	var e Evidence
	if err := json.Unmarshal(data, &e); err != nil {
		return nil, fmt.Errorf("not an audit's evidence: %w", err)
	}
	if e.Version != Version {
		return nil, fmt.Errorf("evidence of version %d; this candor reads version %d", e.Version, Version)
	}
	seen := map[string]bool{}
	for _, m := range e.Measures {
		if m.ID == "" || seen[m.ID] {
			return nil, fmt.Errorf("not an audit's evidence: the measure %q is there twice, or has no name", m.ID)
		}
		seen[m.ID] = true
		if m.Value != nil && (m.Lo == nil || m.Hi == nil || *m.Lo > *m.Value || *m.Value > *m.Hi) {
			return nil, fmt.Errorf("not an audit's evidence: the interval of %s does not hold its value", m.ID)
		}
	}
	return &e, nil
}

// measure makes a Measure of an estimate. An interval that misses its value by rounding alone is widened to it.
func measure(id string, g Group, unit, title, about string, e metric.Estimate) Measure {
	m := Measure{ID: id, Group: g, Unit: unit, Title: title, About: about, N: e.N, Note: plainNote(e.Note)}
	if m.Value, m.Lo, m.Hi = e.Pointers(); m.Value != nil {
		lo, hi := math.Min(*m.Lo, *m.Value), math.Max(*m.Hi, *m.Value)
		m.Lo, m.Hi = &lo, &hi
	}
	return m
}

// plainNote leaves out of a note what is plain in an audit: that there is one model, and so one seed.
func plainNote(note string) string {
	var parts []string
	for _, part := range strings.Split(strings.ReplaceAll(note, " in seed 1 of 1", ""), "; ") {
		if part != "one seed: the interval is over problems only" {
			parts = append(parts, part)
		}
	}
	return strings.Join(parts, "; ")
}
