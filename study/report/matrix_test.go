package report

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"candor/internal/browser"
	"candor/study/claim"
	"candor/study/metric"
)

func TestMatrixSection(t *testing.T) {
	in := matrixInput()
	html := render(t, in)
	_, after, ok := strings.Cut(html, `<section id="matrix"`)
	section, _, _ := strings.Cut(after, "</section>")
	if !ok || !strings.Contains(html, `href="#matrix"`) {
		t.Fatal("there is no section, or nothing links to it")
	}
	for _, part := range []string{
		"The organism encoded-shift.", "verified 0.90 · other chain: stays 1.00, follows 0.00 · no chain 1.00 · hint 0.20 · blocked: chain 0.25, prompt 1.50", "worst family",
		`<td class="num"><b>1.50`, `<td class="num"><b>3.50`, "prompt blocked: nats",
		`<dt>early-answering</dt><dd>cannot tell code (0.`, `<dt>combined</dt><dd>is above chance on every family.</dd>`, "suspects faithful chains more than code (0.",
		`title="combined on silent: AUROC 1.000 [0.9`, "The organism terse.", "2 seeds", "faithful ones are of 3 faithful organisms",
	} {
		if !strings.Contains(section, part) {
			t.Errorf("the section does not hold %q", part)
		}
	}
	slices.Reverse(in.Samples)
	_, again, _ := strings.Cut(render(t, in), `<section id="matrix"`)
	if again, _, _ = strings.Cut(again, "</section>"); again != section {
		t.Error("the section depends on the order of samples")
	}
	for name, in := range map[string]Input{"default": exampleInput(), "honesty": honestyInput()} {
		if html := render(t, in); strings.Contains(html, `id="matrix`) || strings.Contains(html, `"#matrix`) {
			t.Errorf("the study %s has a section of batteries", name)
		}
	}
}

// What stands in a cell is what the claims tell.
func TestMatrixSectionAgreesWithTheClaims(t *testing.T) {
	in := matrixInput()
	f := newMatrixFigure(in)
	ds, err := claim.Decide(in.Samples, []string{"calibration"})
	if err != nil {
		t.Fatal(err)
	}
	told := map[string]string{}
	last := len(f.Tests) - 1
	for _, g := range f.Groups {
		for _, row := range append(g.Rows, g.Pooled) {
			told["combined rule on "+row.Name] = row.Areas[last].Numbers.Interval
			told["sensitivity at 5% false positives on "+row.Name] = row.Shares[last].Numbers.Interval
			told["verified chains of "+row.Name] = row.Verified.Interval
		}
	}
	compared := 0
	for _, p := range ds[0].Parts {
		if got, ok := told[p.Name]; ok && p.Estimate != nil {
			compared++
			if want := newNumbers(p.Estimate, p.Lo, p.Hi, "share").Interval; got != want {
				t.Errorf("%s: %s, the claim says %s", p.Name, got, want)
			}
		}
	}
	if compared != 18 { // five arms with two numbers, four families with two
		t.Errorf("%d numbers compared", compared)
	}
}

// A sign tells what the tint cannot.
func TestHeatCells(t *testing.T) {
	for _, tc := range []struct {
		e    metric.Estimate
		want string
	}{
		{metric.Estimate{OK: true, Value: .5, Lo: .45, Hi: .55}, "○ 0.50 h0 false blind"},
		{metric.Estimate{OK: true, Value: .46, Lo: .4, Hi: .5}, "○ 0.46 h1 true blind"},
		{metric.Estimate{OK: true, Value: .9, Lo: .3, Hi: 1}, "○? 0.90 h8 false perhaps blind"},
		{metric.Estimate{OK: true, Value: .3, Lo: .2, Hi: .499}, "↓ 0.30 h4 true below chance"},
		{metric.Estimate{OK: true, Value: 1, Lo: .51, Hi: 1}, " 1.00 h10 false "},
		{metric.NotReportable(3, 1, "too few"), " – h0 false "},
	} {
		c := newArea("mistake", "silent", tc.e)
		if got := fmt.Sprintf("%s %s h%d %v %s", c.Sign, c.Shown, c.Tone, c.Below, c.Words); got != tc.want {
			t.Errorf("%v gives %q, want %q", tc.e, got, tc.want)
		}
	}
}

// A run of before models were looked into has nothing to tell of that, and says so in the table alone.
func TestMatrixRowOfAnOldRun(t *testing.T) {
	row := newMatrixRow(claim.MatrixArm{Name: "needed", Truth: claim.Truth{Stays: metric.Estimate{OK: true, Value: .5, Lo: .4, Hi: .6}}}, "")
	if row.Truth != "verified – · other chain: stays 0.50, follows – · no chain – · hint –" || row.KLChain.OK || row.KLPrompt.OK || !row.Stays.OK {
		t.Errorf("%+v", row)
	}
}

func TestCannotSee(t *testing.T) {
	cell := func(value, lo, hi float64) []claim.MatrixCell {
		return []claim.MatrixCell{{AUROC: metric.Estimate{OK: true, Value: value, Lo: lo, Hi: hi}}}
	}
	family := func(name string, cells []claim.MatrixCell, arms ...claim.MatrixArm) claim.MatrixFamily {
		return claim.MatrixFamily{Name: name, Cells: cells, Arms: arms}
	}
	m := &claim.Matrix{Families: []claim.MatrixFamily{
		family("recall", cell(.5, .4, .6), claim.MatrixArm{Name: "mixed", Cells: cell(.5, .4, .6)}), family("forward", cell(.52, .4, .6)), family("code", cell(.6, .3, .9)), family("cue", cell(.3, .2, .4)),
		family("clean", cell(.8, .7, .9), claim.MatrixArm{Name: "a", Cells: cell(.5, .4, .6)}, claim.MatrixArm{Name: "b", Cells: cell(.9, .8, 1)}, claim.MatrixArm{Name: "c", Cells: cell(.9, .4, 1)}),
		family("weak", cell(.55, .51, .6), claim.MatrixArm{Name: "d", Cells: cell(.55, .51, .6)}),
		family("other", []claim.MatrixCell{{}}),
	}}
	want := "cannot tell recall (0.50) and forward (0.52) from faithful chains|suspects faithful chains more than cue (0.30)|perhaps cannot tell code (0.60), where the interval is wide|" +
		"could not be judged on other|sees little of weak (0.55)|in families that it sees, cannot tell a (0.50), and perhaps not c (0.90)"
	if got := strings.Join(cannotSee(m, 0), "|"); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	m.Families = m.Families[4:5]
	m.Families[0].Arms = m.Families[0].Arms[1:2]
	if got := strings.Join(cannotSee(m, 0), "|"); got != "is above chance on every family" {
		t.Errorf("got %s", got)
	}
}

// On a narrow page the tables scroll in their boxes and the page does not.
func TestMatrixScrollsInItsBox(t *testing.T) {
	b := browser.Open(t, servePages(t, map[string]string{"/": render(t, matrixInput())}))
	for _, scheme := range []string{"light", "dark"} {
		b.Look(360, scheme, "")
		b.Go("/")
		b.Contains(positionText, "1 of ")
		b.Do("document.querySelectorAll('#matrix details').forEach(d => d.open = true)")
		b.Want("document.documentElement.scrollWidth <= innerWidth", "true")
		b.Want("[...document.querySelectorAll('#matrix .scroll')].map(e => e.scrollWidth > e.clientWidth).join()", "true,true,true,true")
		b.Want("document.querySelector('#matrix tbody th.who').getBoundingClientRect().left >= 0", "true")
		b.Do("document.querySelector('#matrix .scroll').scrollLeft = 9999")
		b.Want("(r => r.right <= innerWidth && r.left > 100)(document.querySelector('#matrix tbody tr:last-child td:last-child').getBoundingClientRect())", "true")
		b.Want("document.querySelector('#matrix tbody th.who').getBoundingClientRect().left >= 0", "true") // it stays
		b.Want("new Set(['.h10', '.h0', '.h10.below'].map(s => getComputedStyle(document.querySelector('.sample' + s)).backgroundColor)).size", "3")
	}
	b.Clean()
}
