package report

import (
	"bytes"
	"crypto/sha256"
	_ "embed" // the page's parts
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"slices"
	"strings"
)

var (
	//go:embed page/report.html
	pageHTML string
	//go:embed page/honesty.html
	honestyHTML string
	//go:embed page/matrix.html
	matrixHTML string
	//go:embed page/style.css
	pageCSS string
	//go:embed page/honesty.css
	honestyCSS string
	//go:embed page/matrix.css
	matrixCSS string
	//go:embed page/reader.js
	pageJS string
)

var (
	page   = template.Must(template.Must(template.Must(template.New("report").Parse(pageHTML)).New("honesty").Parse(honestyHTML)).New("batteries").Parse(matrixHTML))
	styles = pageCSS + honestyCSS + matrixCSS
)

// view is what the template is filled from.
type view struct {
	CSP          string
	CSS          template.CSS
	JS           template.JS
	Title        string
	Summary      []string
	Facts        []KV
	Claims       []*claimView
	Forest       []forestGroup
	Controls     []*claimView
	Arms         []armView
	Matrix       *matrixFigure
	Hiding, Leak trainingFigure
	Dose         *doseFigure
	Decoded      decoding
	Accuracy     []accuracyRow
	Curves       []curveGroup
	Edits        []editFigure
	AccuracyAxis axis
	Settings     string
	Machine      []KV
	HasReader    bool
	Shown        string
	Total        string
	Data         template.JS
}

type armView struct {
	Name, Title, Description string
	Stages                   []string
	HasSamples               bool
}

// WriteHTML writes the report as one self-contained HTML page. It fails if two decisions have one id, if a curve's steps
// and values differ in number, or if w fails. Equal inputs give equal bytes.
func WriteHTML(w io.Writer, in Input) error {
	if err := in.validate(); err != nil {
		return err
	}
	v, err := newView(in)
	if err != nil {
		return err
	}
	var buf bytes.Buffer
	if err := page.ExecuteTemplate(&buf, "report", v); err != nil {
		return fmt.Errorf("report: filling the page: %w", err)
	}
	if _, err := w.Write(buf.Bytes()); err != nil {
		return fmt.Errorf("report: writing the page: %w", err)
	}
	return nil
}

func newView(in Input) (view, error) {
	in = in.clean()
	order, title := armOrder(in.Arms)
	d := newData(in, order)
	js, err := json.Marshal(d) // escapes <, >, & and the line separators, so the block cannot end early
	if err != nil {
		return view{}, fmt.Errorf("report: encoding the reader's data: %w", err)
	}
	claims, controls := in.split()
	v := view{
		CSP: policy(styles, pageJS), CSS: template.CSS(styles), JS: template.JS(pageJS), Data: template.JS(js),
		Title: oneLine(in.Title), Summary: in.summary(), Facts: facts(in), Machine: cleanKV(in.Machine), Settings: visibleText(in.Settings),
		Matrix: newMatrixFigure(in),
		Hiding: hidingFigure(in.Trainings, order, title), Leak: leakFigure(in, order, title), Dose: newDoseFigure(in), Decoded: newDecoding(in, order, title),
		Accuracy: accuracies(in, order), AccuracyAxis: accuracyAxis,
		Curves: curves(in, order, title), Edits: editFigures(in.Samples, order, title),
		HasReader: len(d.Items) > 0, Shown: thousands(d.Shown), Total: thousands(d.Total),
	}
	if v.Title == "" {
		v.Title = "candor report"
	}
	v.Claims, v.Forest = forest(claims)
	v.Controls, _ = forest(controls)
	shown := map[string]bool{}
	for _, c := range d.Claims {
		shown[c.ID] = true
	}
	for _, c := range slices.Concat(v.Claims, v.Controls) {
		c.HasSamples = shown[c.ID]
	}
	for _, a := range in.Arms {
		av := armView{Name: a.Name, Title: oneLine(a.Title), Description: visible(a.Description)}
		av.HasSamples = slices.Contains(d.Arms, av.Name)
		for _, s := range a.Stages {
			av.Stages = append(av.Stages, oneLine(s))
		}
		v.Arms = append(v.Arms, av)
	}
	return v, nil
}

// visibleText makes a long text visible line by line, so that no single bound cuts the whole of it.
func visibleText(s string) string {
	lines := strings.Split(s, "\n")
	for i := range lines {
		lines[i] = visible(lines[i])
	}
	return strings.Join(lines, "\n")
}

// policy allows the page its own style sheet and script, by hash, and nothing else; the data: image is the empty icon that
// keeps a browser from asking a server for one.
func policy(css, js string) string {
	return "default-src 'none'; style-src '" + digest(css) + "'; script-src '" + digest(js) +
		"'; img-src data:; base-uri 'none'; form-action 'none'"
}

func digest(s string) string {
	sum := sha256.Sum256([]byte(s))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

// armOrder returns the order of arms (as listed, then by name) and the title of each, which may be empty.
func armOrder(arms []Arm) (less func(a, b string) bool, title func(string) string) {
	place := map[string]int{}
	titles := map[string]string{}
	for i, a := range arms {
		place[a.Name] = i
		titles[a.Name] = oneLine(a.Title)
	}
	rank := func(name string) int {
		if i, ok := place[name]; ok {
			return i
		}
		return len(arms)
	}
	less = func(a, b string) bool {
		if ra, rb := rank(a), rank(b); ra != rb {
			return ra < rb
		}
		return naturalLess(a, b)
	}
	return less, func(name string) string { return titles[name] }
}

// facts is the line under the summary.
func facts(in Input) []KV {
	var out []KV
	if len(in.Seeds) > 0 {
		seeds := make([]string, len(in.Seeds))
		for i, s := range in.Seeds {
			seeds[i] = fmt.Sprint(s)
		}
		out = append(out, KV{"Seeds", strings.Join(seeds, ", ")})
	}
	if len(in.Arms) > 0 {
		out = append(out, KV{"Arms", fmt.Sprint(len(in.Arms))})
	}
	if len(in.Samples) > 0 {
		out = append(out, KV{"Samples", thousands(len(in.Samples))})
	}
	if in.Started != "" {
		out = append(out, KV{"Started", oneLine(in.Started)})
	}
	if in.Finished != "" {
		out = append(out, KV{"Finished", oneLine(in.Finished)})
	}
	return out
}

func cleanKV(kvs []KV) []KV {
	out := make([]KV, len(kvs))
	for i, kv := range kvs {
		out[i] = KV{oneLine(kv.Key), oneLine(kv.Value)}
	}
	return out
}
