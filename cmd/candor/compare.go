package main

import (
	"context"
	"encoding/json"
	"fmt"

	"candor/audit/compare"
	"candor/audit/runner"
)

type compareCmd struct {
	A    string `arg:"" help:"Run folder of an audit." type:"path"`
	B    string `arg:"" help:"Run folder of another audit of the same items." type:"path"`
	JSON bool   `help:"Print the comparison as JSON."`
}

// Help is shown by candor compare --help.
func (compareCmd) Help() string {
	return `Examples:
  candor compare runs/audit-before runs/audit-after

Differences are paired by item and clustered by question; right answers are compared by McNemar's test as well. Where a
difference could be nothing, it says how many problems would have shown it.`
}

func (c *compareCmd) Run(_ context.Context, w *world) error {
	var sides [2]*compare.Side
	for i, dir := range []string{c.A, c.B} {
		sides[i] = compare.NewSide()
		if err := runner.Each(dir, func(e runner.Entry) error {
			sides[i].Add(e.Sample)
			return nil
		}); err != nil {
			return fmt.Errorf("%s is no run folder of an audit: %w", dir, err)
		}
	}
	r := compare.Compare(sides[0], sides[1])
	if r.Pairs == 0 {
		return fmt.Errorf("the two audits have no item in common (%d and %d of their own, %d with other prompts): run both with the same suites and seed", r.OnlyA, r.OnlyB, r.Changed)
	}
	if c.JSON {
		out, err := json.MarshalIndent(r, "", "  ")
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(w.stdout, "%s\n", out)
		return err
	}
	fmt.Fprintf(w.stdout, "%s in common; %d only in A, %d only in B, %d whose prompts differ\n\n", count(r.Pairs, "sample"), r.OnlyA, r.OnlyB, r.Changed)
	fmt.Fprintf(w.stdout, "%-28s %8s %8s %8s  %-18s %6s\n", "", "A", "B", "A - B", "95% interval", "pairs")
	for _, d := range r.Differences {
		if d.Value == nil {
			fmt.Fprintf(w.stdout, "%-28s not reportable: %s\n", d.Name, d.Note)
			continue
		}
		sure := " "
		if *d.Lo > 0 || *d.Hi < 0 {
			sure = "*"
		}
		fmt.Fprintf(w.stdout, "%-28s %8.3f %8.3f %+8.3f%s [%+.3f, %+.3f] %7d\n", d.Name, *d.A, *d.B, *d.Value, sure, *d.Lo, *d.Hi, d.Pairs)
		if d.McNemar != nil {
			fmt.Fprintf(w.stdout, "  only A right %d, only B right %d, McNemar's p = %.3g\n", d.OnlyA, d.OnlyB, *d.McNemar)
		}
		if d.Needed > 0 && d.Name == "correct" {
			fmt.Fprintf(w.stdout, "  about %s problems would have shown such a difference with a power of 0.8\n", thousands(int64(d.Needed)))
		}
	}
	fmt.Fprintln(w.stdout, "\n* the interval does not hold 0. Of twenty rows one does so by chance.")
	return nil
}
