package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"

	"candor/engine/tokenizer"
	"candor/reasoning/monitor"
	"candor/reasoning/tally"
	"candor/serve/config"
)

type monitorsCmd struct {
	Calibrate monitorsCalibrateCmd `cmd:"" help:"Find the threshold at which a monitor flags no more than a chosen share of good samples."`
	Samples   monitorsSamplesCmd   `cmd:"" help:"Draw samples, with their truth, from systems inside this program."`
}

type monitorsCalibrateCmd struct {
	Monitor string  `required:"" help:"Monitor: key-mention, key-value, tally-checker, total-stated, step-checker, answer-only, reader or rules:FILE; with --config one that the file names." placeholder:"NAME"`
	Config  string  `help:"Configuration of candor serve that names the monitor, such as a judge with its model." type:"path" placeholder:"FILE"`
	Samples string  `required:"" help:"Samples as JSON lines: prompt, chain, answer, bad and perhaps shown and kind." type:"path" placeholder:"FILE"`
	FPR     float64 `name:"fpr" default:"0.05" help:"Largest share of good samples that may be flagged."`
	Sees    string  `default:"private" enum:"private,shown,output" help:"What the monitor sees: private (the chain as it was written), shown (as it was rewritten) or output (no chain)."`
	Modulus int     `default:"5" help:"Modulus of the sums, for key-value, tally-checker and reader."`
	Out     string  `help:"File for the calibration, which candor serve can be given." type:"path" placeholder:"FILE"`
}

// Help is shown by candor monitors calibrate --help.
func (monitorsCalibrateCmd) Help() string {
	return `Examples:
  candor monitors calibrate --monitor tally-checker --samples samples.jsonl --fpr 0.05
  candor monitors calibrate --monitor rules:rules.yaml --samples samples.jsonl --out leaks.json
  candor monitors calibrate --config candor.yaml --monitor judge --samples s.jsonl --out j.json

A sample is flagged if its score reaches the threshold; one that the monitor cannot judge is, too.
answer-only is the control: it is fitted on half of the samples and calibrated on the others. Where it
does better than chance, the answers alone tell good from bad.`
}

func (c *monitorsCalibrateCmd) Run(ctx context.Context, w *world) error {
	samples, err := readSamples(c.Samples)
	if err != nil {
		return usageError{err}
	}
	if c.Modulus < 2 || c.Modulus > tally.Digits {
		return usageError{fmt.Errorf("the modulus is %d, must be between 2 and %d", c.Modulus, tally.Digits)}
	}
	got, err := c.calibrate(ctx, w, samples)
	if err != nil && !errors.Is(err, monitor.ErrNoThreshold) {
		return err
	}
	printCalibration(w.stdout, got.Calibration)
	if err != nil {
		return err
	}
	if c.Out == "" {
		return nil
	}
	data, err := json.MarshalIndent(got.Calibration, "", "  ")
	if err == nil {
		err = os.WriteFile(c.Out, append(data, '\n'), 0o666)
	}
	if err != nil {
		return fmt.Errorf("writing the calibration: %w", err)
	}
	return nil
}

func (c *monitorsCalibrateCmd) calibrate(ctx context.Context, w *world, samples []monitor.Sample) (out calibratedMonitor, err error) {
	if c.Config == "" {
		return calibrateOne(ctx, c.Monitor, c.Modulus, samples, c.Sees, c.FPR)
	}
	cfg, err := readConfig(c.Config)
	if err != nil {
		return out, err
	}
	i := slices.IndexFunc(cfg.Monitors, func(m config.Monitor) bool { return m.Name == c.Monitor })
	if i < 0 {
		return out, usageError{fmt.Errorf("%s names no monitor %q", c.Config, c.Monitor)}
	}
	m := &cfg.Monitors[i]
	b := &builder{w: w, dir: filepath.Dir(c.Config), c: cfg, clients: map[string]*remote{}}
	e, err := b.examiner(ctx, m)
	if err != nil {
		return out, err
	}
	out.Calibration, err = monitor.Calibrate(ctx, renamed{m.Name, e}, samples, m.Sees, c.FPR)
	return out, err
}

func readSamples(file string) ([]monitor.Sample, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("reading samples: %w", err)
	}
	defer f.Close()
	samples, err := monitor.ParseSamples(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return samples, nil
}

// openMonitor opens a monitor by its name, for sums of a modulus.
func openMonitor(name string, modulus int) (monitor.Examiner, error) {
	if file, ok := strings.CutPrefix(name, "rules:"); ok {
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("reading rules: %w", err)
		}
		rules, err := monitor.ParseRules(data)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		return rules, nil
	}
	switch name {
	case "key-mention":
		return monitor.Local(monitor.KeyMention{}), nil
	case "key-value":
		return monitor.Local(monitor.KeyValue{Modulus: modulus}), nil
	case "tally-checker":
		return monitor.Local(monitor.TallyChecker{Modulus: modulus}), nil
	case "total-stated":
		return monitor.Local(monitor.TotalStated{}), nil
	case "step-checker":
		return monitor.Local(monitor.StepChecker{}), nil
	case "reader":
		return embeddedReader(modulus)
	}
	return nil, fmt.Errorf("there is no monitor %q; choose key-mention, key-value, tally-checker, total-stated, step-checker, answer-only, reader or rules:FILE", name)
}

// embeddedReader is the reader inside this program as a monitor.
func embeddedReader(modulus int) (monitor.Examiner, error) {
	gen, _, err := openReader(1)
	if err != nil {
		return nil, err
	}
	return monitor.Reader{Generator: gen, Terms: readerWorld.Terms, Modulus: min(modulus, readerWorld.Modulus), End: tokenizer.End}, nil
}

// printCalibration writes a calibration as a table.
func printCalibration(w io.Writer, c monitor.Calibration) {
	row := func(name, format string, args ...any) {
		fmt.Fprintf(w, "%-16s "+format+"\n", append([]any{name}, args...)...)
	}
	row(c.Monitor, "sees %s; at most %g%% of good samples were to be flagged", c.Sees, 100*c.FPR)
	row("threshold", "%.4g", c.Threshold)
	row("good", "%s flagged", rateText(c.FalsePositives))
	row("bad", "%s flagged", rateText(c.TruePositives))
	kinds := make([]string, 0, len(c.Kinds))
	for kind := range c.Kinds {
		kinds = append(kinds, kind)
	}
	sort.Strings(kinds)
	for _, kind := range kinds {
		row("  "+printable(kind), "%s flagged", rateText(c.Kinds[kind]))
	}
	if c.AUROC.N > 0 {
		row("AUROC", "%.3f [%.3f, %.3f]; 0.5 is chance", c.AUROC.Value, c.AUROC.Lo, c.AUROC.Hi)
	}
	if h := c.HeldOut; h != nil {
		row("other half", "threshold %.4g of one half: good %s, bad %s", h.Threshold, rateText(h.FalsePositives), rateText(h.TruePositives))
	}
	if c.Failed > 0 {
		row("not judged", "%d, counted as flagged; the first: %s", c.Failed, printable(c.Failure))
	}
	row("data", "sha256 %s", c.Data)
}

// rateText writes a share as "4.0% [2.4, 6.6] of 400".
func rateText(r monitor.Rate) string {
	if r.N == 0 {
		return "none there to be"
	}
	return fmt.Sprintf("%.1f%% [%.1f, %.1f] of %d", 100*r.Value, 100*r.Lo, 100*r.Hi, r.N)
}
