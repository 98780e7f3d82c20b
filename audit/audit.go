// Package audit finds out how far a model's chain of thought can be relied on.
//
// [Run] takes items from a suite (candor/audit/suite), puts each to the model in all the ways of a battery (candor/audit/battery),
// keeps every call and sample in the run folder (candor/audit/runner), and makes evidence of them (candor/audit/evidence) beside
// what the same tests said of models whose truth is known (candor/audit/calibration). What can be asked of an endpoint was found
// out before (candor/audit/preflight). The run folder then holds
//
//	audit.json      what was audited, how, and what the preflight found
//	audit.db        every call and every sample
//	samples.jsonl   the samples, in the order of the suite
//	evidence.json   the measures, their intervals, what each test is worth, and what was not tested
//	report.html     the same to look at
//	log.eval        the same for Inspect
package audit

import (
	"context"
	"errors"
	"fmt"
	"time"

	"candor/audit/battery"
	"candor/audit/calibration"
	"candor/audit/evidence"
	"candor/audit/preflight"
	"candor/audit/runner"
	"candor/audit/suite"
	"candor/reasoning/llm"
	"candor/study/runlog"
)

// Manifest is a run folder's audit.json: all that its samples depend on.
type Manifest struct {
	Model evidence.Model `json:"model"`
	// Judges, Writer and Reader name the other models.
	Judges []string `json:"judges,omitempty"`
	Writer string   `json:"writer,omitempty"`
	Reader string   `json:"reader,omitempty"`
	// Suites are the suites as they were asked for, in order.
	Suites    []string          `json:"suites"`
	Battery   battery.Settings  `json:"battery"`
	Abilities battery.Abilities `json:"abilities"`
	Epochs    int               `json:"epochs"`
	// Preflight is what was found out about an endpoint; null for a local model.
	Preflight *preflight.Report `json:"preflight,omitempty"`
	Machine   runlog.Machine    `json:"machine"`
	Started   time.Time         `json:"started"`
}

// ManifestFile is the name of the manifest.
const ManifestFile = "audit.json"

// EvidenceFile is the name of the evidence.
const EvidenceFile = "evidence.json"

// Config is an audit to be run.
type Config struct {
	Folder   *runlog.Folder
	Manifest Manifest
	Source   suite.Source
	Battery  *battery.Battery
	// Models are those that the battery calls, by its names for them.
	Models map[string]runner.Model
	// Table is the calibration to tell beside the results.
	Table *calibration.Table
	// Connections, Timeout and Budget are those of the runner.
	Connections int
	Timeout     time.Duration
	Budget      int64
	Clock       func() time.Time
	Progress    func(runner.Progress)
	// Concluding, if set, is called when the samples are made and the results are about to be.
	Concluding func()
	// Version is candor's own.
	Version string
}

// Run makes the samples that are missing and then all results. Where the budget is spent, everything fails or ctx ends, it
// returns the error of runner.Run; the results are then made of what there is, unless ctx has ended.
func Run(ctx context.Context, c Config) (*evidence.Evidence, error) {
	settings, err := runlog.Hash(struct {
		Battery   battery.Settings
		Abilities battery.Abilities
		Judges    []string
		Writer    bool
		Reader    bool
		Dialect   string
	}{c.Battery.Settings, c.Battery.Abilities, c.Battery.Judges, c.Battery.Writer, c.Battery.Reader, c.Battery.Dialect.Name()})
	if err != nil {
		return nil, err
	}
	work := func(ctx context.Context, calls runner.Calls, index, epoch int) (runlog.Sample, error) {
		item, err := c.Source.Item(index)
		if err != nil {
			return runlog.Sample{}, err
		}
		s, err := c.Battery.Sample(ctx, calls, item, epoch)
		if err != nil {
			// The failed sample keeps what belongs to its problem, so that it can be found among the others of its kind.
			s = runlog.Sample{Eval: item.Suite, ID: item.ID, Repeat: epoch, Split: item.Kind, Cluster: item.Cluster, Problem: item.ID, Intervention: "none", Prompt: item.Prompt, Target: item.Answer}
		}
		s.Run, s.Arm = "audit", c.Manifest.Model.Name
		return s, err
	}
	_, failure := runner.Run(ctx, runner.Options{
		Folder: c.Folder, Models: c.Models, Settings: map[string]string{"tests": settings}, Epochs: c.Manifest.Epochs,
		Connections: c.Connections, Timeout: c.Timeout, Budget: c.Budget, Seed: c.Battery.Seed, Progress: c.Progress,
	}, c.Source, work)
	if failure != nil && (ctx.Err() != nil || !errors.Is(failure, runner.ErrBudget) && !errors.Is(failure, runner.ErrGivenUp)) {
		return nil, failure
	}
	if c.Concluding != nil {
		c.Concluding()
	}
	e, err := Conclude(c.Folder, c.Manifest, c.Table, c.Clock, c.Version)
	return e, errors.Join(failure, err)
}

// Conclude makes all results anew from the samples of a run folder.
func Conclude(folder *runlog.Folder, m Manifest, table *calibration.Table, clock func() time.Time, version string) (*evidence.Evidence, error) {
	if _, err := runner.Export(folder); err != nil {
		return nil, err
	}
	collector := evidence.NewCollector()
	if err := runner.Each(folder.Dir(), func(e runner.Entry) error {
		collector.Add(e.Sample)
		return nil
	}); err != nil {
		return nil, fmt.Errorf("reading the samples of %s: %w", folder.Dir(), err)
	}
	counts, err := runner.Count(folder.Dir())
	if err != nil {
		return nil, err
	}
	e := &evidence.Evidence{
		Version: evidence.Version, Candor: version, Model: m.Model, Suites: m.Suites, Counts: collector.Counts(), Under: collector.Conditions(), Continues: continues(m),
		Started: m.Started, Ended: clock().UTC().Truncate(time.Second), Complete: counts.Done == counts.Total,
	}
	e.Under.Dialect, e.Under.Parameters, e.Under.Apart = m.Model.Dialect, m.Model.Parameters, m.Abilities.Apart
	e.Measures, e.Untested = collector.Measures(table)
	e.Untested = append(e.Untested, untested(m)...)
	if table != nil {
		e.Distance = append(table.Distance(e.Under), collector.Missing(table)...)
	}
	if err := folder.WriteJSON(EvidenceFile, e); err != nil {
		return nil, err
	}
	return e, writeResults(folder, m, e)
}

// untested says what could not be asked of the endpoint or of nobody.
func untested(m Manifest) []evidence.Untested {
	var out []evidence.Untested
	found := func(what, found string) (how string) {
		if m.Preflight != nil {
			for _, f := range m.Preflight.Findings {
				if f.What == what && f.Found == found {
					how += " (" + f.How + ")"
				}
			}
		}
		return how
	}
	if how := found(preflight.Placing, preflight.OnlyOpen); how != "" {
		out = append(out, evidence.Untested{What: "Edits that end the chain", Why: "the endpoint takes " + preflight.OnlyOpen + how})
	}
	if !m.Abilities.Continues {
		why := "the endpoint cannot carry on a chain that was edited" + found(preflight.CarryingOn, "no") + found(preflight.Placing, "no")
		if p := m.Preflight; p != nil && p.Capabilities.Provenance != "" && p.Capabilities.Provenance != llm.Raw {
			why = "only a raw chain can be edited, and this one is " + string(p.Capabilities.Provenance)
		}
		out = append(out, evidence.Untested{What: "All edits of the chain", Why: why})
	}
	if len(m.Judges) == 0 && m.Model.Dialect == "prose" {
		out = append(out, evidence.Untested{What: "Agreement of judges", Why: "regular expressions alone judged whether a cue is disclosed: name two models with --judge"})
	}
	return out
}
