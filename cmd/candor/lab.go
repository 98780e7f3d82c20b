package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"candor/engine/kernel"
	"candor/study/claim"
	"candor/study/experiment"
	"candor/study/report"
	"candor/study/runlog"
)

type labCmd struct {
	Run labRunCmd `cmd:"" default:"withargs" help:"Run a study, or go on with one that was interrupted."`
}

type labRunCmd struct {
	Spec    string   `arg:"" optional:"" default:"default" help:"A built-in study (${studies}) or a YAML file."`
	Out     string   `help:"Folder for results; the default is runs/NAME." type:"path" placeholder:"DIR"`
	Seeds   int      `help:"Number of seeds, instead of the study's own." placeholder:"N"`
	Only    []string `help:"Only these claims, by id; arms that they do not need are left out." placeholder:"CLAIM"`
	Threads int      `help:"Threads; the default is all cores. Results do not depend on it." placeholder:"N"`
	JSON    bool     `help:"Print claims.json instead of the table."`
}

// Help is shown by candor lab run --help.
func (labRunCmd) Help() string {
	return `Examples:
  candor lab                          the default study, into runs/default
  candor lab run sweep                the study that chose the default's learning rates
  candor lab run my.yaml --seeds 5    your own study over 5 seeds
  candor lab --only capability,drift  two claims and what they need

The same command again goes on where it stood. Ctrl-C stops after saving.`
}

func (c *labRunCmd) Run(ctx context.Context, w *world) error {
	spec, yaml, err := experiment.Load(c.Spec)
	if err != nil {
		return usageError{err}
	}
	switch {
	case c.Seeds < 0:
		return usageError{fmt.Errorf("--seeds is %d, must be at least 1", c.Seeds)}
	case c.Seeds > 0:
		spec.SetSeeds(c.Seeds)
	}
	if c.Threads < 0 {
		return usageError{fmt.Errorf("--threads is %d, must be at least 1", c.Threads)}
	}
	threads := c.Threads
	if threads == 0 {
		threads = runtime.GOMAXPROCS(0)
	}
	if len(c.Only) > 0 {
		arms, err := claim.Arms(c.Only)
		if err != nil {
			return usageError{err}
		}
		if err := spec.Keep(arms); err != nil {
			return usageError{err}
		}
	}
	out := c.Out
	if out == "" {
		out = filepath.Join("runs", spec.Name)
	}
	return c.run(ctx, w, spec, yaml, out, threads)
}

func (c *labRunCmd) run(ctx context.Context, w *world, spec *experiment.Spec, yaml []byte, out string, threads int) (err error) {
	folder, err := runlog.Open(out, w.clock, "candor lab run "+c.Spec)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, folder.Close()) }()
	begin := w.clock()
	show := newProgress(w, spec.Title, out)
	result, err := experiment.Run(ctx, spec, experiment.Options{
		Folder: folder, Machine: runlog.ThisMachine(kernel.Name(), threads), Threads: threads, YAML: yaml, Clock: w.clock, Progress: show.event,
	})
	show.close()
	if errors.Is(err, context.Canceled) {
		return interrupted("stopped; what is done is kept. To go on:\n  " + c.again(w, out))
	}
	if err != nil {
		return fmt.Errorf("%w\nTo go on once that is mended:\n  %s", err, c.again(w, out))
	}
	if _, err := decide(folder, c.Only); err != nil {
		return err
	}
	in, err := report.Load(out)
	if err != nil {
		return err
	}
	if err := writeReport(folder, in); err != nil {
		return err
	}
	if result.Computed == 0 {
		fmt.Fprintf(w.stderr, "All %d stages were done already; nothing was computed anew.\n", len(result.Stages))
	} else {
		fmt.Fprintf(w.stderr, "Computed %s in %s.\n", count(result.Computed, "stage"), w.clock().Sub(begin).Round(time.Second))
	}
	if err := printDecisions(w, out, in, c.JSON); err != nil {
		return err
	}
	fmt.Fprintf(w.stderr, "\nThe page:    %s\nThe claims:  %s\nThe samples: %s\n", filepath.Join(out, "report.html"), filepath.Join(out, "claims.json"), filepath.Join(out, "samples.jsonl"))
	return nil
}

// again is the command that goes on with this run.
func (c *labRunCmd) again(w *world, out string) string {
	words := []string{w.program}
	if w.kernel != "" {
		words = append(words, "--kernel", w.kernel)
	}
	words = append(words, "lab", "run", quote(c.Spec), "--out", quote(out))
	if c.Seeds > 0 {
		words = append(words, "--seeds", strconv.Itoa(c.Seeds))
	}
	if len(c.Only) > 0 {
		words = append(words, "--only", strings.Join(c.Only, ","))
	}
	if c.Threads > 0 {
		words = append(words, "--threads", strconv.Itoa(c.Threads))
	}
	if c.JSON {
		words = append(words, "--json")
	}
	return strings.Join(words, " ")
}

// decide computes claims.json from the run's samples and writes it.
func decide(folder *runlog.Folder, only []string) ([]claim.Decision, error) {
	samples, _, err := runlog.ReadSamples(folder.Path("samples.jsonl"), true)
	if err != nil {
		return nil, err
	}
	decisions, err := claim.Decide(samples, only)
	if err != nil {
		return nil, err
	}
	return decisions, folder.WriteJSON("claims.json", decisions)
}

// printDecisions writes the run's claims to standard output: as a table, or claims.json as it lies in the folder.
func printDecisions(w *world, dir string, in report.Input, asJSON bool) error {
	if asJSON {
		claims, err := os.ReadFile(filepath.Join(dir, "claims.json"))
		if err != nil {
			return err
		}
		_, err = w.stdout.Write(claims)
		return err
	}
	return report.WriteTable(w.stdout, in, w.width, w.stdoutTerminal && w.env("NO_COLOR") == "")
}
