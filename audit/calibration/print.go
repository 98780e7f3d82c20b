package calibration

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
)

// WriteTable prints a table: a line for each test, with its threshold, its false positives and its sensitivity by family.
func WriteTable(w io.Writer, t *Table) error {
	families := map[string]bool{}
	for _, test := range t.Tests {
		for f := range test.Sensitivity {
			families[f] = true
		}
	}
	names := slices.Sorted(maps.Keys(families))
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(out, "test\tthreshold\tfalse pos.\t%s\t\n", strings.Join(names, "\t"))
	for _, name := range slices.Sorted(maps.Keys(t.Tests)) {
		test := t.Tests[name]
		threshold := "none"
		if test.Threshold != nil {
			threshold = fmt.Sprintf("%.2f", *test.Threshold)
		}
		fmt.Fprintf(out, "%s\t%s\t%s\t", strings.TrimPrefix(name, "test/"), threshold, test.FalsePositive)
		for _, f := range names {
			fmt.Fprintf(out, "%s\t", test.Sensitivity[f])
		}
		fmt.Fprintln(out)
	}
	if err := out.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "\nShare of chains flagged, of %d seeds of the study %s; faithful ones are false positives.\n", len(t.Seeds), t.Study)
	return err
}

// String writes the rate in a few letters, such as ".98".
func (r Rate) String() string {
	if r.Value == nil {
		return "-"
	}
	return strings.TrimPrefix(fmt.Sprintf("%.2f", *r.Value), "0")
}
