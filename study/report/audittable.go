package report

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// Widths of the terminal table of an audit: of its columns of numbers, and from where on they stand beside the title.
const (
	auditValue, auditInterval, auditN = 9, 18, 8
	auditBeside                       = 72
)

// WriteAuditTable writes an audit for a terminal of width columns (100 if width is 0 or less): by group the measures with value,
// interval and n, below a calibrated test what it flags and how far that can be believed; then the distance from where it was
// calibrated, and what was not tested. It fails if two measures have one ID, or if w fails. With color, headings carry ANSI
// colours; the words say the same without.
func WriteAuditTable(w io.Writer, a Audit, width int, color bool) error {
	a, err := a.clean()
	if err != nil {
		return err
	}
	if width <= 0 {
		width = defaultWidth
	}
	t := auditTable{tableWriter{width: max(width, leastWidth), color: color}}
	t.line(t.paint(cut(a.Title, t.width), "1"))
	t.paragraph("", strings.Join(a.lead(), " "))
	for _, s := range a.Counts.failures() {
		t.paragraph("  ", s)
	}
	for _, s := range a.warnings() {
		t.line("")
		t.warn(s)
	}
	if s := far(a.Distance); s != "" {
		t.line("")
		t.paragraph("", s+" The ways are listed below.")
	}
	for _, g := range a.Groups {
		t.group(g)
	}
	t.heading("How far from where that was measured", len(a.Distance) > 0)
	for _, s := range a.Distance {
		t.item(s)
	}
	t.heading("Not tested", len(a.Untested) > 0)
	for _, u := range a.Untested {
		if u.Why != "" {
			u.What += ": " + u.Why
		}
		t.item(u.What)
	}
	if _, err := io.WriteString(w, t.b.String()); err != nil {
		return fmt.Errorf("report: writing the table of an audit: %w", err)
	}
	return nil
}

type auditTable struct{ tableWriter }

func (t *auditTable) line(s string) { t.b.WriteString(strings.TrimRight(s, " ") + "\n") }

func (t *auditTable) heading(s string, any bool) {
	if any {
		t.line("")
		t.line(t.paint(cut(s, t.width), "1"))
	}
}

// wrapped returns text broken into lines of at most room columns.
func wrapped(text string, room int) []string {
	w := tableWriter{width: room}
	w.paragraph("", text)
	return strings.Split(strings.TrimSuffix(w.b.String(), "\n"), "\n")
}

func (t *auditTable) warn(s string) {
	for _, line := range wrapped(s, t.width-2) {
		t.line(t.paint("!", "33") + " " + line)
	}
}

// item writes an entry of a list, its further lines indented.
func (t *auditTable) item(s string) {
	for i, line := range wrapped(s, t.width-4) {
		if i == 0 {
			line = "  - " + line
		} else {
			line = "    " + line
		}
		t.line(line)
	}
}

func (t *auditTable) group(g AuditGroup) {
	if len(g.Measures) == 0 {
		return
	}
	t.line("")
	room := t.width - auditValue - auditInterval - auditN
	if t.width < auditBeside {
		t.line(t.paint(cut(g.Name, t.width), "1"))
	} else {
		t.line(t.paint(pad(g.Name, room), "1") + t.paint(left("value", auditValue)+"  "+pad("95% interval", auditInterval-2)+left("n", auditN), "2"))
	}
	for _, m := range g.Measures {
		t.measure(m, room)
	}
}

func (t *auditTable) measure(m AuditMeasure, room int) {
	n := auditNumbers(m)
	value := n.Estimate
	if !n.OK {
		value = "–"
	}
	unit := ""
	if !inPercent(m.Unit) && m.Unit != "" && !strings.EqualFold(m.Unit, m.Title) {
		unit = " (" + m.Unit + ")"
	}
	figures := left(value, auditValue) + "  " + pad(n.Interval, auditInterval-2) + left(thousands(m.N), auditN)
	if t.width < auditBeside {
		for _, line := range wrapped(m.Title+unit, t.width-2) {
			t.line("  " + line)
		}
		t.paragraph("    ", strings.TrimSpace(value+" "+n.Interval)+", n "+thousands(m.N))
	} else {
		for i, line := range wrapped(m.Title+unit, room-3) {
			if i == 0 {
				line = pad(line, room-2) + figures
			}
			t.line("  " + line)
		}
	}
	if m.Note != "" {
		t.paragraph("    ", m.Note)
	}
	if here, there := m.sure(); here != "" {
		if there != "" {
			here += "; " + there
		}
		t.paragraph("    ", here)
	}
}

// pad fills s with spaces at its right, left at its left, to n columns; a longer one is cut.
func pad(s string, n int) string {
	s = cut(s, n)
	return s + strings.Repeat(" ", n-utf8.RuneCountInString(s))
}

func left(s string, n int) string {
	s = cut(s, n)
	return strings.Repeat(" ", n-utf8.RuneCountInString(s)) + s
}
