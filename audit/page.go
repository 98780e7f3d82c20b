package audit

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"candor/audit/calibration"
	"candor/audit/evidence"
	"candor/audit/runner"
	"candor/openai"
	"candor/study/report"
	"candor/study/runlog"
)

// writeResults writes what people and other programs look at.
func writeResults(folder *runlog.Folder, m Manifest, e *evidence.Evidence) error {
	samples, err := pick(folder.Dir())
	if err != nil {
		return err
	}
	in := pageOf(e)
	in.Samples, in.Settings, in.Machine = samples, settings(m), machine(m.Machine)
	var page bytes.Buffer
	if err := report.WriteAudit(&page, in); err != nil {
		return fmt.Errorf("making the page: %w", err)
	}
	if err := folder.WriteFile("report.html", page.Bytes()); err != nil {
		return err
	}
	return writeLog(folder, m, e)
}

// WriteTable prints evidence for a terminal of so many columns.
func WriteTable(w io.Writer, e *evidence.Evidence, width int) error {
	return report.WriteAuditTable(w, pageOf(e), width, false)
}

// pageOf turns evidence into what the page shows.
func pageOf(e *evidence.Evidence) report.Audit {
	a := report.Audit{
		Title: "Audit of " + e.Model.Name, Suites: e.Suites, Complete: e.Complete, Distance: e.Distance, Continues: e.Continues,
		Counts: report.AuditCounts{Samples: e.Counts.Samples, Failed: e.Counts.Failed, Reasons: e.Counts.Reasons, Unparsed: e.Counts.Unparsed, Provenance: e.Counts.Provenance},
		Model:  modelFacts(e.Model),
	}
	if !e.Complete {
		a.Reason = "Some samples have not been made, or failed."
	}
	for _, g := range evidence.Groups() {
		group := report.AuditGroup{Name: string(g)}
		for _, m := range e.Measures {
			if m.Group == g {
				group.Measures = append(group.Measures, measureOf(m))
			}
		}
		if len(group.Measures) > 0 {
			a.Groups = append(a.Groups, group)
		}
	}
	for _, u := range e.Untested {
		a.Untested = append(a.Untested, report.AuditUntested{What: u.What, Why: u.Why})
	}
	return a
}

func measureOf(m evidence.Measure) report.AuditMeasure {
	out := report.AuditMeasure{
		ID: m.ID, Title: m.Title, About: m.About, Source: m.Source, Unit: m.Unit, Value: m.Value, Lo: m.Lo, Hi: m.Hi, N: m.N, Note: m.Note, From: m.From,
	}
	if kind, ok := strings.CutPrefix(m.ID, "hint/"); ok {
		out.Kind, _, _ = strings.Cut(kind, "/")
	}
	if m.Flagged != nil {
		r := rateOf(*m.Flagged)
		out.Flagged = &r
	}
	if c := m.Calibration; c != nil {
		b := &report.AuditBelieved{Threshold: c.Threshold, FalsePositive: rateOf(c.FalsePositive)}
		for _, family := range slices.Sorted(maps.Keys(c.Sensitivity)) {
			b.Sensitivity = append(b.Sensitivity, report.NamedRate{Name: family, AuditRate: rateOf(c.Sensitivity[family])})
		}
		for _, o := range c.Organisms {
			b.Organisms = append(b.Organisms, report.AuditOrganism{Name: o.Arm, Kind: o.Family, Faithful: rateOf(o.Faithful), Unfaithful: rateOf(o.Unfaithful)})
		}
		out.Calibration = b
	}
	return out
}

func rateOf(r calibration.Rate) report.AuditRate {
	return report.AuditRate{Value: r.Value, Lo: r.Lo, Hi: r.Hi, Chains: r.Chains, Note: r.Note}
}

func modelFacts(m evidence.Model) []report.KV {
	facts := []report.KV{{Key: "model", Value: m.Name}, {Key: "chains", Value: m.Dialect}}
	add := func(key, value string) {
		if value != "" {
			facts = append(facts, report.KV{Key: key, Value: value})
		}
	}
	add("endpoint", m.BaseURL)
	if m.Parameters > 0 {
		add("parameters", strconv.Itoa(m.Parameters))
	}
	add("weights", m.Weights)
	return facts
}

// continues says how edited chains were given back.
func continues(m Manifest) string {
	switch {
	case !m.Abilities.Continues:
		return ""
	case m.Preflight == nil:
		return "as what the model has written so far"
	}
	how := map[string]string{
		openai.Prefill: "as the beginning of its own message", openai.ContinueFinalMessage: "as its own message to be continued",
		openai.PrefixMessage: "as the prefix of its own message", openai.RawTemplate: "as the end of a raw prompt, by the chat template " + m.Preflight.Capabilities.Template,
	}
	return how[m.Preflight.Capabilities.Continue]
}

func settings(m Manifest) []report.KV {
	out := []report.KV{
		{Key: "suites", Value: strings.Join(m.Suites, ", ")},
		{Key: "temperature", Value: strconv.FormatFloat(m.Battery.Temperature, 'g', -1, 64)},
		{Key: "tokens of a chain", Value: strconv.Itoa(m.Battery.MaxTokens)},
		{Key: "draws of each edit", Value: strconv.Itoa(m.Battery.Repeats)},
		{Key: "epochs", Value: strconv.Itoa(m.Epochs)},
		{Key: "seed", Value: strconv.FormatUint(m.Battery.Seed, 10)},
	}
	for _, kv := range []report.KV{{Key: "judges", Value: strings.Join(m.Judges, ", ")}, {Key: "reader", Value: m.Reader}, {Key: "writer", Value: m.Writer}, {Key: "system prompt", Value: m.Battery.System}} {
		if kv.Value != "" {
			out = append(out, kv)
		}
	}
	if m.Preflight != nil {
		for _, f := range m.Preflight.Findings {
			out = append(out, report.KV{Key: "preflight: " + f.What, Value: f.Found + " (" + f.How + ")"})
		}
	}
	return out
}

func machine(m runlog.Machine) []report.KV {
	return []report.KV{{Key: "commit", Value: m.Commit}, {Key: "Go", Value: m.Go}, {Key: "system", Value: m.System}, {Key: "processor", Value: m.CPU}, {Key: "kernel", Value: m.Kernel}}
}

// pick chooses the samples that the page lets read: a few of each suite, kind and outcome, in the order of the suite. It holds no
// more than a page does.
func pick(dir string) ([]report.AuditSample, error) {
	const perShelf = 6
	shelves := map[string]int{}
	var out []report.AuditSample
	err := runner.Each(dir, func(e runner.Entry) error {
		if len(out) >= report.MaxAuditSamples {
			return nil
		}
		shelf := shelfOf(e)
		if shelves[shelf] < perShelf {
			shelves[shelf]++
			out = append(out, sampleOf(e))
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading the samples of %s: %w", dir, err)
	}
	return out, nil
}

// shelfOf says what is remarkable about a sample, beside its suite and kind.
func shelfOf(e runner.Entry) string {
	s := e.Sample
	what := "usual"
	switch {
	case e.State == runner.Failed:
		what = "failed"
	case !s.Parsed:
		what = "unparsed"
	case s.Values["cue/used"] == 1 && s.Values["cue/disclosed"] == 0:
		what = "cue used, not disclosed"
	case s.Values["cue/used"] == 1:
		what = "cue used"
	case s.Values["test/combined"] >= .5:
		what = "suspect"
	case !s.Correct && s.Target != "":
		what = "wrong"
	}
	return s.Eval + "/" + s.Split + "/" + what
}

func sampleOf(e runner.Entry) report.AuditSample {
	s := e.Sample
	out := report.AuditSample{
		ID: fmt.Sprintf("%s %d", s.ID, e.Epoch+1), Suite: s.Eval, Kind: s.Split, Prompt: s.Prompt, Chain: s.Chain, Said: s.Cue, Answer: s.Answer, Target: s.Target,
		Correct: s.Correct, State: report.AuditDone, Provenance: s.Provenance, Hint: s.Follows, Plain: s.Original, Values: s.Values, Notes: s.Notes,
	}
	switch {
	case e.State == runner.Failed:
		out.State, out.Why = report.AuditFailed, s.Failed
	case !s.Parsed:
		out.State, out.Why = report.AuditUnparsed, s.Notes["answer"]
	}
	return out
}
