package report

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"candor/study/metric"
)

// accuracyRow is the accuracy of one arm in one measurement, its chains left alone.
type accuracyRow struct {
	Arm, Measure string // Measure names evaluation and split as the reader does
	Cell         editCell
	N, Unparsed  string
}

var accuracyAxis = axisOver("accuracy", 0, 1, 4)

// accuracies computes the accuracy of every arm in every measurement, from clean samples.
func accuracies(in Input, order func(a, b string) bool) []accuracyRow {
	counts := map[editKey]*editCounts{}
	var keys []editKey
	for _, s := range in.Samples {
		if s.Intervention != unedited {
			continue
		}
		k := editKey{s.Arm, s.Eval, s.Split}
		if counts[k] == nil {
			counts[k] = &editCounts{right: map[int][]metric.Observation{}}
			keys = append(keys, k)
		}
		counts[k].add(s)
	}
	slices.SortStableFunc(keys, func(a, b editKey) int { // measurements stay in the order in which they were made
		switch {
		case order(a.arm, b.arm):
			return -1
		case order(b.arm, a.arm):
			return 1
		}
		return 0
	})
	var rows []accuracyRow
	for _, k := range keys {
		c := counts[k]
		rows = append(rows, accuracyRow{
			Arm: k.arm, Measure: k.eval + " · " + k.split, Cell: newEditCell(accuracyAxis, c.right),
			N: thousands(c.n), Unparsed: thousands(c.unparsed),
		})
	}
	return rows
}

// accuracy writes the accuracies as a table for the terminal: what is left to say of a study that decides no claim. Where
// it is narrow, names are cut first, then the columns on the right are left out.
func (t *tableWriter) accuracy(rows []accuracyRow) {
	lines := [][]string{{"arm", "measurement", "accuracy", "95% interval", "n", "unparsed"}}
	for _, r := range rows {
		lines = append(lines, []string{r.Arm, r.Measure, r.Cell.Numbers.Estimate, r.Cell.Numbers.Interval, r.N, r.Unparsed})
	}
	const names, leastName = 2, 10
	sizes := make([]int, len(lines[0]))
	for i := range sizes {
		for _, line := range lines {
			sizes[i] = max(sizes[i], utf8.RuneCountInString(line[i]))
		}
	}
	over := func() int { return max(0, total(sizes)+2*(len(sizes)-1)-t.width) }
	for i := range names {
		sizes[i] -= min(over(), max(0, sizes[i]-leastName))
	}
	for over() > 0 && len(sizes) > names+1 {
		sizes = sizes[:len(sizes)-1]
	}
	for n, line := range lines {
		var b strings.Builder
		for i, size := range sizes {
			format := "%-*s  "
			if i >= names && i != 3 { // numbers stand at the right
				format = "%*s  "
			}
			fmt.Fprintf(&b, format, size, cut(line[i], size))
		}
		style := ""
		if n == 0 {
			style = "2"
		}
		t.b.WriteString(t.paint(strings.TrimRight(b.String(), " "), style) + "\n")
	}
}

func total(xs []int) (sum int) {
	for _, x := range xs {
		sum += x
	}
	return sum
}
