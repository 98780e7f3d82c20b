package report

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"candor/study/claim"
)

// Width of the terminal table: asked for, and the least that it can be squeezed to.
const (
	defaultWidth = 100
	leastWidth   = 40
)

// column is one column of the terminal table.
type column struct {
	head  string
	right bool // numbers stand at the right
	// drop is the order in which columns go when the terminal is narrow, the lowest first; 0 is never dropped.
	drop int
	cell func(claim.Decision) string
}

var columns = []column{
	{"claim", false, 0, func(d claim.Decision) string { return d.ID }},
	{"argued by", false, 3, func(d claim.Decision) string { return oneLine(d.Argues) }},
	{"verdict", false, 0, func(d claim.Decision) string { return shape(d.Verdict) + " " + verdictWord(d.Verdict) }},
	{"estimate", true, 0, func(d claim.Decision) string {
		if n := decisionNumbers(d); n.OK {
			return n.Estimate
		}
		return "–"
	}},
	{"95% interval", false, 6, func(d claim.Decision) string { return decisionNumbers(d).Interval }},
	{"threshold", true, 5, func(d claim.Decision) string { return short(d.Threshold) }},
	{"n", true, 4, func(d claim.Decision) string { return thousands(d.N) }},
	{"seeds", true, 2, func(d claim.Decision) string { return fmt.Sprint(d.Seeds) }},
	{"unit", false, 1, func(d claim.Decision) string { return d.Unit }},
}

func decisionNumbers(d claim.Decision) numbers { return newNumbers(d.Estimate, d.Lo, d.Hi, d.Unit) }

// WriteTable writes the decisions as a table for a terminal of width columns (100 if width is 0 or less), first the
// claims, then the controls, with the reason under every entry that has a note; without decisions, the accuracy of every
// arm. Columns that do not fit are left out, the
// unit first (it is then said below). With color, verdicts and headings carry ANSI colours; the words and shapes say the same without.
func WriteTable(w io.Writer, in Input, width int, color bool) error {
	if err := in.validate(); err != nil {
		return err
	}
	if width <= 0 {
		width = defaultWidth
	}
	width = max(width, leastWidth)
	t := tableWriter{width: width, color: color}
	if len(in.Decisions) > 0 {
		in.Samples = nil // not shown, so not to be cleaned
	}
	in = in.clean()
	if len(in.Decisions) == 0 {
		order, _ := armOrder(in.Arms)
		t.accuracy(accuracies(in, order))
	}
	claims, controls := in.split()
	cols, sizes := fit(in.Decisions, width)
	t.section("", claims, cols, sizes)
	t.section("control", controls, cols, sizes)
	if t.b.Len() > 0 {
		t.b.WriteByte('\n')
	}
	if !hasUnit(cols) {
		t.units(in.Decisions)
	}
	for _, s := range in.summary() {
		t.paragraph("", s)
	}
	if _, err := io.WriteString(w, t.b.String()); err != nil {
		return fmt.Errorf("report: writing the claims table: %w", err)
	}
	return nil
}

func hasUnit(cols []column) bool { return cols[len(cols)-1].head == "unit" }

// units says below the table what a column for the unit had no room to say.
func (t *tableWriter) units(ds []claim.Decision) {
	ids := map[string][]string{}
	var units []string
	for _, d := range ds {
		if d.Unit == "" {
			continue
		}
		if ids[d.Unit] == nil {
			units = append(units, d.Unit)
		}
		ids[d.Unit] = append(ids[d.Unit], d.ID)
	}
	if len(units) == 0 {
		return
	}
	t.b.WriteString("units\n")
	for _, u := range units {
		t.paragraph("  ", u+": "+strings.Join(ids[u], ", "))
	}
	t.b.WriteByte('\n')
}

// fit chooses the columns that fit and their widths; if even the last few do not, cells are cut.
func fit(ds []claim.Decision, width int) ([]column, []int) {
	cols := append([]column(nil), columns...)
	for {
		sizes := make([]int, len(cols))
		total := 2 * (len(cols) - 1)
		for i, c := range cols {
			sizes[i] = utf8.RuneCountInString(c.head)
			for _, d := range ds {
				sizes[i] = max(sizes[i], utf8.RuneCountInString(c.cell(d)))
			}
			total += sizes[i]
		}
		victim := -1
		for i, c := range cols {
			if c.drop > 0 && (victim < 0 || c.drop < cols[victim].drop) {
				victim = i
			}
		}
		if total <= width {
			return cols, sizes
		}
		if victim < 0 {
			for i := range sizes {
				sizes[i] = min(sizes[i], (width-2*(len(cols)-1))/len(cols))
			}
			return cols, sizes
		}
		cols = append(cols[:victim], cols[victim+1:]...)
	}
}

type tableWriter struct {
	b     strings.Builder
	width int
	color bool
}

// section writes a heading and its rows. The first column's head is replaced by name if that is not empty.
func (t *tableWriter) section(name string, ds []claim.Decision, cols []column, sizes []int) {
	if len(ds) == 0 {
		return
	}
	if t.b.Len() > 0 {
		t.b.WriteByte('\n')
	}
	heads := make([]string, len(cols))
	for i, c := range cols {
		heads[i] = c.head
	}
	if name != "" {
		heads[0] = name
	}
	t.row(cols, sizes, heads, func(int) string { return "2" })
	for _, d := range ds {
		cells := make([]string, len(cols))
		for i, c := range cols {
			cells[i] = c.cell(d)
		}
		t.row(cols, sizes, cells, func(i int) string {
			switch cols[i].head {
			case "claim":
				return "1"
			case "verdict":
				return verdictColor(d.Verdict)
			}
			return ""
		})
		if d.Note != "" {
			t.paragraph("  ", oneLine(d.Note))
		}
	}
}

// verdictColor is a pair that colour-blind readers can tell apart, cyan and yellow, and dim for undecided.
func verdictColor(v claim.Verdict) string {
	switch v {
	case claim.Supported:
		return "36"
	case claim.Refuted:
		return "33"
	}
	return "2"
}

func (t *tableWriter) row(cols []column, sizes []int, cells []string, style func(int) string) {
	var line strings.Builder
	for i := range cells {
		if i > 0 {
			line.WriteString("  ")
		}
		cell := cut(cells[i], sizes[i])
		pad := strings.Repeat(" ", sizes[i]-utf8.RuneCountInString(cell))
		if cols[i].right {
			line.WriteString(pad)
			pad = ""
		}
		line.WriteString(t.paint(cell, style(i)))
		if i < len(cells)-1 {
			line.WriteString(pad)
		}
	}
	t.b.WriteString(strings.TrimRight(line.String(), " "))
	t.b.WriteByte('\n')
}

func (t *tableWriter) paint(s, code string) string {
	if !t.color || code == "" || s == "" {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

// paragraph wraps text to the width; a word longer than the line is cut.
func (t *tableWriter) paragraph(indent, text string) {
	room := t.width - utf8.RuneCountInString(indent)
	line := ""
	flush := func() {
		if line != "" {
			t.b.WriteString(indent + line + "\n")
			line = ""
		}
	}
	for _, word := range strings.Fields(text) {
		word = cut(word, room)
		if line != "" && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > room {
			flush()
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	flush()
}

// cut shortens s to n runes, the last of them an ellipsis.
func cut(s string, n int) string {
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	r := []rune(s)
	return string(r[:max(0, n-1)]) + "…"
}
