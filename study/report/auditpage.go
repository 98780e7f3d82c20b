package report

import (
	"bytes"
	_ "embed" // the page's parts
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"strings"
)

var (
	//go:embed page/audit.html
	auditHTML string
	//go:embed page/audit.css
	auditCSS string
	//go:embed page/audit.js
	auditJS string
)

var (
	auditPage   = template.Must(template.Must(page.Clone()).New("audit").Parse(auditHTML))
	auditStyles = pageCSS + auditCSS
)

// auditView is what the page of an audit is filled from.
type auditView struct {
	CSP        string
	CSS        template.CSS
	JS         template.JS
	Title      string
	Lead       []string
	Warnings   []string
	Failures   []string
	Model      []KV
	Groups     []auditGroupView
	Calibrated bool
	Distance   []string
	// Far is the sentence that says so at once, "" for a model like those that the tests were calibrated on.
	Far          string
	Untested     []AuditUntested
	HasReader    bool
	Shown, Total string
	Settings     []KV
	Machine      []KV
	Data         template.JS
}

type auditGroupView struct {
	ID, Name, About string
	Forests         []auditForest
	Believed        []believedView
}

// auditForest holds a group's measures of one unit, which share an axis.
type auditForest struct {
	Axis axis
	Rows []auditRow
}

type auditRow struct {
	ID, Title, About, Source, Note string
	Numbers                        numbers
	N                              string
	Dot                            dot
	HasSamples                     bool
}

// dot is an estimate drawn as a shape of its own, so that no one needs its colour. Places are percentages.
type dot struct {
	mark
	// Shape is "here" (a diamond: this model), "faithful" (a ring) or "unfaithful" (a triangle).
	Shape string
}

// believedView is what a calibrated test flags, beside what it flags of models whose truth is known.
type believedView struct {
	// Place is its id on the page.
	Place, ID, Title, Threshold string
	// Here and Beside are what it flags, and how much that is; Unseen is what it does not see. Flags says that there are rows.
	Here, Beside, Unseen string
	Flags                bool
	Rows                 []rateRow
	Axis                 axis
	Organisms            []organismRow
	HasSamples           bool
}

type rateRow struct {
	Name, Rate, Interval, Chains string
	Dot                          dot
}

type organismRow struct {
	Name, Kind           string
	Faithful, Unfaithful rateRow
}

// WriteAudit writes the page of an audit as one self-contained HTML file. It fails if two measures have one ID, or none, or if w
// fails. Equal inputs give equal bytes.
func WriteAudit(w io.Writer, a Audit) error {
	a, err := a.clean()
	if err != nil {
		return err
	}
	d := newAuditData(a)
	js, err := json.Marshal(d) // escapes <, >, & and the line separators, so the block cannot end early
	if err != nil {
		return fmt.Errorf("report: encoding the audit's samples: %w", err)
	}
	v := auditView{
		CSP: policy(auditStyles, auditJS), CSS: template.CSS(auditStyles), JS: template.JS(auditJS), Data: template.JS(js),
		Title: a.Title, Lead: a.lead(), Warnings: a.warnings(), Failures: a.Counts.failures(), Model: a.Model,
		Distance: a.Distance, Far: far(a.Distance), Untested: a.Untested, Settings: a.Settings, Machine: a.Machine,
		HasReader: len(d.Samples) > 0, Shown: thousands(len(d.Samples)), Total: thousands(max(a.Counts.Samples, len(d.Samples))),
	}
	for i, g := range a.Groups {
		if len(g.Measures) > 0 {
			v.Groups = append(v.Groups, newAuditGroup(fmt.Sprint("group-", i+1), g, d))
			v.Calibrated = v.Calibrated || len(v.Groups[len(v.Groups)-1].Believed) > 0
		}
	}
	var buf bytes.Buffer
	if err := auditPage.ExecuteTemplate(&buf, "audit", v); err != nil {
		return fmt.Errorf("report: filling the page of an audit: %w", err)
	}
	if _, err := w.Write(buf.Bytes()); err != nil {
		return fmt.Errorf("report: writing the page of an audit: %w", err)
	}
	return nil
}

func newAuditGroup(id string, g AuditGroup, d auditData) auditGroupView {
	v := auditGroupView{ID: id, Name: g.Name, About: g.About}
	values := map[string][]float64{}
	var units []string
	for _, m := range g.Measures {
		if _, ok := values[m.Unit]; !ok {
			units = append(units, m.Unit)
		}
		values[m.Unit] = append(values[m.Unit], known(m.Value, m.Lo, m.Hi)...)
	}
	for _, unit := range units {
		f := auditForest{Axis: auditAxis(unit, values[unit])}
		for _, m := range g.Measures {
			if m.Unit == unit {
				f.Rows = append(f.Rows, auditRow{
					ID: m.ID, Title: m.Title, About: m.About, Source: m.Source, Note: m.Note, Numbers: auditNumbers(m), N: thousands(m.N),
					Dot: newDot(f.Axis, "here", m.Value, m.Lo, m.Hi), HasSamples: d.behind[m.ID],
				})
			}
		}
		v.Forests = append(v.Forests, f)
	}
	for i, m := range g.Measures {
		if m.Calibration != nil {
			b := newBelieved(m, d)
			b.Place = fmt.Sprint(id, "-test-", i+1)
			v.Believed = append(v.Believed, b)
		}
	}
	return v
}

// auditAxis is an axis whose ticks are percentages if the unit is a share.
func auditAxis(unit string, values []float64) axis {
	a := newAxis(unit, values)
	if !inPercent(unit) {
		return a
	}
	if a.lo == 0 && a.hi == 1 {
		a.Ticks = nil
		for _, v := range []float64{0, .25, .5, .75, 1} {
			a.Ticks = append(a.Ticks, tick{a.at(v), short(100*v) + "%"})
		}
		return a
	}
	for i, t := range axisOver("", 100*a.lo, 100*a.hi, 5).Ticks {
		if i < len(a.Ticks) {
			a.Ticks[i].Label = t.Label + "%"
		}
	}
	return a
}

func newDot(a axis, shape string, v, lo, hi *float64) dot {
	return dot{mark: newMark(a, v, lo, hi, nil, nil, sideNone), Shape: shape}
}

func newBelieved(m AuditMeasure, d auditData) believedView {
	v := believedView{ID: m.ID, Title: m.Title, Axis: auditAxis("share", nil), HasSamples: d.behind[m.ID]}
	v.Axis.Ticks = []tick{v.Axis.Ticks[0], v.Axis.Ticks[2], v.Axis.Ticks[4]} // a small figure has no room for more
	here, there := m.sure()
	v.Here = strings.ToUpper(here[:1]) + here[1:]
	c := m.Calibration
	if c.Threshold == nil {
		v.Beside = strings.ToUpper(there[:1]) + there[1:] + "."
		return v
	}
	v.Beside, v.Unseen = m.beside(), c.unseen()
	v.Flags, v.Threshold = true, short(*c.Threshold)
	if m.Flagged != nil {
		v.Rows = append(v.Rows, newRate(v.Axis, "here", "this model", *m.Flagged))
	}
	v.Rows = append(v.Rows, newRate(v.Axis, "faithful", "faithful", c.FalsePositive))
	for _, r := range c.Sensitivity {
		v.Rows = append(v.Rows, newRate(v.Axis, "unfaithful", r.Name, r.AuditRate))
	}
	for _, o := range c.Organisms {
		v.Organisms = append(v.Organisms, organismRow{o.Name, o.Kind, newRate(v.Axis, "faithful", "", o.Faithful), newRate(v.Axis, "unfaithful", "", o.Unfaithful)})
	}
	return v
}

func newRate(a axis, shape, name string, r AuditRate) rateRow {
	row := rateRow{Name: name, Rate: "–", Chains: thousands(r.Chains), Dot: newDot(a, shape, r.Value, r.Lo, r.Hi)}
	if r.Value != nil {
		row.Rate, row.Interval = share(*r.Value)+"%", strings.TrimSpace(r.interval())
	}
	return row
}

// far says how much weight the rates of other models have for this one.
func far(distance []string) string {
	if len(distance) == 0 {
		return ""
	}
	return "This model is unlike those of known truth in " + plural(len(distance), "way") + ", so their rates may not be its own."
}
