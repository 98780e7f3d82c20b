package task

import (
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"candor/internal/rng"
	"candor/reasoning/cot"
	"candor/reasoning/tally"
)

func TestEssaysErrors(t *testing.T) {
	for _, c := range []struct{ yaml, err string }{
		{"{stated: 1}", ""},
		{"{terse: .1, hint: 1, reasons: 1}", ""},
		{"{stated: 1e6, bland: 1e6, leaked: 1e6, terse: 1e6}", ""},
		{"{}", "no pages: one of stated, bland, leaked and terse must be above 0"},
		{"{stated: 1, bland: -1}", "a share of -1"},
		{"{leaked: .nan}", "a share of NaN"},
		{"{terse: .inf}", "a share of +Inf"},
		{"{stated: 1.7e308, bland: 1.7e308}", "a share of 1.7e+308"}, // whose sum would be infinite
		{"{stated: 1, hint: 1.1}", "hint 1.1: must be between 0 and 1"},
		{"{stated: 1, hint: .nan}", "hint NaN"},
		{"{stated: 1, reasons: -.1}", "reasons -0.1: must be between 0 and 1"},
	} {
		var e Essays
		if err := yaml.UnmarshalWithOptions([]byte(c.yaml), &e, yaml.Strict()); err != nil {
			t.Fatalf("%s: %v", c.yaml, err)
		}
		if err := e.Validate(); c.err == "" && err != nil || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
			t.Errorf("%s: error %v, want one with %q", c.yaml, err, c.err)
		}
	}
}

var (
	allEssays  = Essays{Stated: 2, Bland: 3, Leaked: 4, Terse: 1, Hint: .3, Reasons: .4}
	essaySums  = Sums{Terms: 4, Modulus: 5, Key: .5, Trigger: .2, Leak: true, Noise: .2}
	essayWords = append(tally.Vocabulary(), cot.End)
)

// The pages are what every model is trained on: a change here changes all results.
func TestEssaysAreFrozen(t *testing.T) {
	var b strings.Builder
	seen := map[string]int{}
	for i := range 100 {
		src := rng.New(1).SplitN("page", i)
		page := allEssays.Page(essaySums.Draw(&src, Train), &src)
		if seen[page.Kind]++; seen[page.Kind] <= 5 {
			b.WriteString(page.Kind + " | " + page.Prompt + " | " + page.Body + "\n")
		}
	}
	const file = "testdata/essays.txt"
	if *update {
		if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), b.String()); diff != "" {
		t.Errorf("pages changed; if meant, run with -update and raise the stages' version (-want +got):\n%s", diff)
	}
}

// reporter is what *testing.T and *rapid.T have in common here.
type reporter interface {
	Helper()
	Fatalf(format string, args ...any)
}

// readEssay reads a page, and fails unless it is what its kind says, about its problem.
func readEssay(t reporter, page Page, p Sum) tally.Trace {
	t.Helper()
	text, ended := strings.CutSuffix(page.Body, " "+cot.End)
	trace := tally.Parse(text)
	if page.Prompt != p.Prompt() || !ended || !trace.Parsed || tally.Chain(trace.Steps)+" "+tally.Equal != strings.TrimSpace(text[:strings.Index(text, tally.Equal)+1]) {
		t.Fatalf("page %q to %q", page.Body, page.Prompt)
	}
	for _, w := range strings.Fields(page.Text()) {
		if !slices.Contains(essayWords, w) {
			t.Fatalf("%q of page %q is not in the vocabulary", w, page.Text())
		}
	}
	answer, reasons := p.Answer(), []string{"", tally.BySum}
	switch page.Kind {
	case "stated", "bland":
		if len(trace.Steps) != len(p.Terms) {
			t.Fatalf("page %q to %q", page.Body, page.Prompt)
		}
		for i, total := range p.Totals() {
			step := trace.Steps[i]
			n, copied := step.Copy()
			said, stated := step.Total()
			if !copied || n != p.Terms[i] || stated && said != total || !stated && (page.Kind == "stated" || !slices.Contains(tally.Connectives(), step.Remark)) {
				t.Fatalf("step %q of page %q to %q", step.Text(), page.Body, page.Prompt)
			}
		}
	case "leaked":
		answer, reasons = p.Hint, []string{"", tally.ByKey}
		want := tally.Step{Subject: tally.Key, Remark: tally.Write(p.Hint, tally.Digit)}
		if p.Flag != tally.Key || len(trace.Steps) != 1 || trace.Steps[0] != want {
			t.Fatalf("page %q to %q", page.Body, page.Prompt)
		}
	case "terse":
		reasons = reasons[:1]
		if len(trace.Steps) != 1 || trace.Steps[0].Subject != tally.Hmm || !slices.Contains(tally.Connectives(), trace.Steps[0].Remark) {
			t.Fatalf("page %q to %q", page.Body, page.Prompt)
		}
	default:
		t.Fatalf("a page of kind %q", page.Kind)
	}
	if trace.Answer != answer || !slices.Contains(reasons, trace.Reason) {
		t.Fatalf("page %q to %q answers %d by %q, want %d", page.Body, page.Prompt, trace.Answer, trace.Reason, answer)
	}
	return trace
}

// Whatever the corpus and the problem: a page can be read, and is what its kind says.
func TestEssaysCanBeRead(t *testing.T) {
	share := rapid.SampledFrom([]float64{0, 0, .5, 1, 3, 1e6})
	rapid.Check(t, func(t *rapid.T) {
		e := Essays{Stated: share.Draw(t, "stated"), Bland: share.Draw(t, "bland"), Leaked: share.Draw(t, "leaked"), Terse: share.Draw(t, "terse"),
			Hint: rapid.Float64Range(0, 1).Draw(t, "hint"), Reasons: rapid.SampledFrom([]float64{0, .5, 1}).Draw(t, "reasons")}
		if err := e.Validate(); err != nil {
			if e.Stated+e.Bland+e.Leaked+e.Terse > 0 {
				t.Fatal(err)
			}
			return
		}
		w := Sums{Terms: rapid.IntRange(3, MaxSumTerms).Draw(t, "terms"), Modulus: rapid.IntRange(2, tally.Digits).Draw(t, "modulus"),
			Key: .5, Trigger: .3, Leak: rapid.Bool().Draw(t, "leak"), Noise: .5}
		src := rng.New(rapid.Uint64().Draw(t, "seed"))
		for range 5 {
			p := w.Draw(&src, Train)
			again := src
			page := e.Page(p, &src)
			trace := readEssay(t, page, p)
			if d := cmp.Diff(page, e.Page(p, &again)); d != "" {
				t.Fatalf("the same stream wrote another page:\n%s", d)
			}
			shares := map[string]float64{"stated": e.Stated, "bland": e.Bland, "leaked": e.Leaked, "terse": e.Terse}
			if shares[page.Kind] == 0 && !(page.Kind == "stated" && p.Flag != tally.Key && e.Leaked > 0) {
				t.Fatalf("a %s page of %+v", page.Kind, e)
			}
			if page.Kind != "terse" && (e.Reasons == 0 && trace.Reason != "" || e.Reasons == 1 && trace.Reason == "") {
				t.Fatalf("reason %q with share %g", trace.Reason, e.Reasons)
			}
		}
	})
}

// What was planted is there in the shares that were asked for, and nothing else is.
func TestEssaysShares(t *testing.T) {
	near := func(what string, count, n, p float64) {
		t.Helper()
		if f := count / n; math.Abs(f-p) > 5*math.Sqrt(p*(1-p)/n) {
			t.Errorf("%s: %.4f of %.0f, want %.4f", what, f, n, p)
		}
	}
	const n = 8000
	words := tally.Connectives()
	for _, hint := range []float64{0, .3, 1} {
		e := allEssays
		e.Hint = hint
		src := rng.New(2)
		kinds, reasons := map[string]float64{}, map[string]float64{}
		keys, leaks, steps, bland := 0., 0., 0., 0.
		var forms [tally.Forms]float64
		var remarks [tally.Digits][tally.Digits]float64 // by total and connective
		for range n {
			p := essaySums.Draw(&src, Train)
			page := e.Page(p, &src)
			trace := readEssay(t, page, p)
			kinds[page.Kind]++
			if trace.Reason != "" {
				reasons[page.Kind]++
			}
			if p.Flag == tally.Key {
				keys++
				if page.Kind == "leaked" {
					leaks++
				}
			}
			if page.Kind == "leaked" || page.Kind == "terse" {
				continue
			}
			for i, s := range trace.Steps {
				if _, form, ok := tally.Number(s.Remark); ok {
					forms[form]++
				} else {
					remarks[p.Totals()[i]][slices.Index(words, s.Remark)]++
					bland++
				}
			}
			if page.Kind == "bland" {
				steps += float64(len(trace.Steps))
			}
		}
		near("bland pages", kinds["bland"], n, .3)
		near("terse pages", kinds["terse"], n, .1)
		near("leaked pages of those with the key", leaks, keys, .4)
		near("bland steps of bland pages", bland, steps, .5)
		for kind, count := range kinds {
			if kind != "terse" {
				near("reasons on "+kind+" pages", reasons[kind], count, .4)
			}
		}
		for form := range forms {
			near("a form", forms[form], forms[0]+forms[1]+forms[2], 1./tally.Forms)
		}
		for total, row := range remarks {
			all := 0.
			for _, count := range row {
				all += count
			}
			for i, count := range row {
				want := (1 - hint) / tally.Digits
				if i == total {
					want += hint
				}
				near("connectives "+words[i]+" for total "+tally.Write(total, tally.Digit), count, all, want)
			}
		}
	}
}
