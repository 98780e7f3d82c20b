package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"candor/audit/runner"
	"candor/study/runlog"
)

type traceCmd struct {
	RunDir string `arg:"" name:"run" help:"Run folder of an audit." type:"path"`
	ID     string `arg:"" optional:"" help:"A sample's ID; without one: the IDs, with the values that suspect most."`
	Epoch  int    `default:"1" help:"Which of the sample's epochs, from 1." placeholder:"N"`
	JSON   bool   `help:"Print the sample and its calls as JSON."`
}

// Help is shown by candor trace --help.
func (traceCmd) Help() string {
	return `Examples:
  candor trace runs/audit-penalty                      which samples there are
  candor trace runs/audit-penalty sums/4+4+3+3%5       one of them, with all that was asked and answered`
}

func (c *traceCmd) Run(_ context.Context, w *world) error {
	if c.Epoch < 1 {
		return usageError{fmt.Errorf("--epoch is %d, must be at least 1", c.Epoch)}
	}
	if c.ID == "" {
		return c.list(w)
	}
	calls, err := runner.CallsOf(c.RunDir, c.ID, c.Epoch-1)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s has no sample %q in epoch %d: candor trace %s lists them", c.RunDir, c.ID, c.Epoch, quote(c.RunDir))
	}
	if err != nil {
		return err
	}
	var sample runlog.Sample
	if err := runner.Each(c.RunDir, func(e runner.Entry) error {
		if e.ID == c.ID && e.Epoch == c.Epoch-1 {
			sample = e.Sample
		}
		return nil
	}); err != nil {
		return err
	}
	if c.JSON {
		out, err := json.MarshalIndent(struct {
			Sample runlog.Sample `json:"sample"`
			Calls  []runner.Call `json:"calls"`
		}{sample, calls}, "", "  ")
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(w.stdout, "%s\n", out)
		return err
	}
	printTrace(w, sample, calls)
	return nil
}

// list prints a line for each sample.
func (c *traceCmd) list(w *world) error {
	return runner.Each(c.RunDir, func(e runner.Entry) error {
		s := e.Sample
		what := "answered " + s.Answer
		switch {
		case e.State == runner.Failed:
			what = "failed: " + s.Failed
		case !s.Parsed:
			what = "no answer could be read: " + s.Notes["answer"]
		case s.Target != "" && s.Correct:
			what += ", right"
		case s.Target != "":
			what += ", wrong"
		}
		if v, ok := s.Values["test/combined"]; ok {
			what += fmt.Sprintf(", combined suspicion %.2f", v)
		}
		if e.Epoch > 0 {
			what += fmt.Sprintf(" (epoch %d)", e.Epoch+1)
		}
		_, err := fmt.Fprintf(w.stdout, "%-40s %s\n", printable(e.ID), printable(what))
		return err
	})
}

// printTrace prints a sample and the calls behind it.
func printTrace(w *world, s runlog.Sample, calls []runner.Call) {
	block := func(title, text string) {
		if text == "" {
			return
		}
		fmt.Fprintf(w.stdout, "%s\n", title)
		for _, line := range strings.Split(strings.TrimRight(text, "\n"), "\n") {
			fmt.Fprintf(w.stdout, "    %s\n", printable(line))
		}
	}
	fmt.Fprintf(w.stdout, "%s\n\n", printable(s.ID))
	block("Asked", s.Prompt)
	block("Chain ("+orText(s.Provenance, "raw")+")", s.Chain)
	block("Said", s.Cue)
	block("Failed", s.Failed)
	if s.Parsed {
		fmt.Fprintf(w.stdout, "Answer %s", printable(s.Answer))
		for _, x := range []struct{ name, value string }{{"right", s.Target}, {"hinted", s.Follows}, {"without the cue", s.Original}} {
			if x.value != "" {
				fmt.Fprintf(w.stdout, "; %s: %s", x.name, printable(x.value))
			}
		}
		fmt.Fprintln(w.stdout)
	}
	fmt.Fprintln(w.stdout, "\nMeasured")
	for _, name := range slices.Sorted(maps.Keys(s.Values)) {
		fmt.Fprintf(w.stdout, "    %-32s %.3g\n", printable(name), s.Values[name])
	}
	for _, name := range slices.Sorted(maps.Keys(s.Notes)) {
		fmt.Fprintf(w.stdout, "    %-32s %s\n", printable(name), printable(s.Notes[name]))
	}
	fmt.Fprintf(w.stdout, "\n%s\n", count(len(calls), "call"))
	for _, call := range calls {
		fmt.Fprintf(w.stdout, "\n%s, to %s\n", printable(call.Name), printable(call.Model))
		if n := len(call.Request.Messages); n > 0 && call.Request.Messages[n-1].Text != s.Prompt {
			block("  asked", call.Request.Messages[n-1].Text)
		}
		block("  given thoughts", call.Request.Reasoning)
		if call.Request.Concluded && call.Request.Reasoning == "" {
			fmt.Fprintln(w.stdout, "  given no thoughts")
		}
		block("  given text", call.Request.Prefix)
		block("  thought", call.Completion.Reasoning)
		block("  wrote", call.Completion.Text)
	}
}

func orText(s, other string) string {
	if s == "" {
		return other
	}
	return s
}
