package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"candor/study/claim"
	"candor/study/runlog"
)

func render(t testing.TB, in Input) string {
	t.Helper()
	var b bytes.Buffer
	if err := WriteHTML(&b, in); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

var (
	scriptTag = regexp.MustCompile(`(?is)<script([^>]*)>(.*?)</script`)
	anyTag    = regexp.MustCompile(`<[a-zA-Z][^>]*>`)
)

// dataOf reads back the reader's data block.
func dataOf(t testing.TB, html string) data {
	t.Helper()
	for _, m := range scriptTag.FindAllStringSubmatch(html, -1) {
		if strings.Contains(m[1], "application/json") {
			var d data
			if err := json.Unmarshal([]byte(m[2]), &d); err != nil {
				t.Fatalf("the data block is no JSON: %v", err)
			}
			return d
		}
	}
	t.Fatal("no data block")
	return data{}
}

func TestPageHoldsEverySection(t *testing.T) {
	in := exampleInput()
	html := render(t, in)
	at := -1
	for _, id := range []string{"claims", "controls", "arms", "curves", "edits", "reader", "settings"} {
		i := strings.Index(html, `<section id="`+id+`"`)
		if i <= at {
			t.Errorf("section %s is missing or out of order", id)
		}
		at = i
		if !strings.Contains(html, `href="#`+id+`"`) {
			t.Errorf("nothing links to section %s", id)
		}
	}
	for _, d := range in.Decisions {
		_, after, ok := strings.Cut(html, `id="claim-`+d.ID+`"`)
		if !ok {
			t.Errorf("%s is missing", d.ID)
			continue
		}
		entry, _, _ := strings.Cut(after, "</article>")
		entry = anyTag.ReplaceAllString(entry, "")
		for _, want := range []string{string(d.Verdict), shape(d.Verdict), d.Rule, "threshold " + short(d.Threshold), "3,000", d.Runs[0]} {
			if !strings.Contains(strings.ReplaceAll(entry, "\n", " "), strings.ReplaceAll(want, "'", "&#39;")) {
				t.Errorf("%s does not say %q", d.ID, want)
			}
		}
	}
	for _, part := range []string{"small-rl-noleash", "completions/mean_length", "mistake/2/regenerated", "AMD EPYC", "clip: [0.2, 0.28]", "Nine claims, each with a rule fixed before the run, tested over 3 seeds: 6 supported"} {
		if !strings.Contains(html, part) {
			t.Errorf("the page does not hold %q", part)
		}
	}
}

func TestEmptyInputIsAPage(t *testing.T) {
	html := render(t, Input{})
	if strings.Contains(html, "<section") || strings.Contains(html, "<script") || !strings.Contains(html, "none is decided here") {
		t.Errorf("an empty input must give a page without sections and script:\n%s", html)
	}
}

// The policy in the page must allow exactly the script and style that are in it.
func TestPolicyFitsThePage(t *testing.T) {
	html := render(t, exampleInput())
	csp := regexp.MustCompile(`Content-Security-Policy" content="([^"]*)"`).FindStringSubmatch(html)
	if csp == nil {
		t.Fatal("no policy")
	}
	policy := strings.NewReplacer("&#39;", "'", "&#43;", "+").Replace(csp[1])
	style := regexp.MustCompile(`(?s)<style>(.*?)</style>`).FindStringSubmatch(html)[1]
	var code []string
	for _, m := range scriptTag.FindAllStringSubmatch(html, -1) {
		if m[1] == "" {
			code = append(code, m[2])
		}
	}
	if len(code) != 1 {
		t.Fatalf("%d scripts, want one", len(code))
	}
	for _, want := range []string{"default-src 'none'", "style-src '" + digest(style) + "'", "script-src '" + digest(code[0]) + "'"} {
		if !strings.Contains(policy, want) {
			t.Errorf("the policy %q lacks %q", policy, want)
		}
	}
	if strings.Contains(policy, "unsafe") {
		t.Errorf("the policy is loose: %s", policy)
	}
	if m := regexp.MustCompile(`(?i)\s(style|on[a-z]+)=`).FindString(anyTags(html)); m != "" {
		t.Errorf("the page has an inline %q, which the policy forbids", m)
	}
	if m := regexp.MustCompile(`(?i)(src|href|action|url)\s*[=(]\s*["']?\s*(https?:|//)`).FindString(html); m != "" {
		t.Errorf("the page points elsewhere: %q", m)
	}
}

// anyTags joins the tags of the page outside its scripts.
func anyTags(html string) string {
	return strings.Join(anyTag.FindAllString(scriptTag.ReplaceAllString(html, ""), -1), "\n")
}

// poisoned puts text into every field that a model, a file or a user could fill.
func poisoned(text string) Input {
	v := .5
	in := Input{
		Title: text, Settings: text, Machine: []KV{{text, text}}, Started: text, Finished: text, Seeds: []int{1},
		Arms:   []Arm{{text, text, text, []string{text}}},
		Curves: []Curve{{text, 1, text, []int{0, 1}, []float64{0, 1}}},
		Decisions: []claim.Decision{{ID: "x", Verdict: claim.Verdict(text), Estimate: &v, Lo: &v, Hi: &v, Rule: text, Statement: text, Argues: text,
			Statistic: text, Unit: text, Source: text, Note: text, Runs: []string{text}, Parts: []claim.Part{{Name: text, Unit: text, Estimate: &v}}}},
	}
	s := runlog.Sample{Run: text, Arm: text, Seed: 1, Eval: text, ID: text, Split: text, Problem: text, Intervention: "none", Prompt: text, Chain: text,
		Answer: text, Target: text, Parsed: true, Values: map[string]float64{text: 1}}
	in.Samples = append(in.Samples, s)
	s.Intervention, s.Original, s.Follows = text+"/edit", text, text
	in.Samples = append(in.Samples, s)
	return in
}

// checkPoisoned fails unless the page made of text has the tags of a page made of harmless text, and the data block gives
// the text back.
func checkPoisoned(t *testing.T, text string) {
	html := render(t, poisoned(text))
	if got, want := tagNames(html), tagNames(render(t, poisoned("harmless"))); !slices.Equal(got, want) {
		t.Errorf("text %q changed the page's tags from %d to %d", text, len(want), len(got))
	}
	if n := strings.Count(strings.ToLower(html), "</script"); n != 2 {
		t.Errorf("text %q: %d script ends, want 2", text, n)
	}
	d := dataOf(t, html)
	if got := d.Items[0].Base.Chain; got != visible(text) {
		t.Errorf("the chain %q became %q", visible(text), got)
	}
	for _, r := range html {
		if hidden(r) {
			t.Errorf("%U is in the page", r)
		}
	}
	if !utf8.ValidString(html) {
		t.Error("the page is not UTF-8")
	}
}

func tagNames(html string) []string {
	var names []string
	for _, tag := range anyTag.FindAllString(scriptTag.ReplaceAllString(html, "<script>"), -1) {
		names = append(names, strings.TrimRight(strings.Fields(tag)[0], ">/"))
	}
	return names
}

func TestHostileTextIsText(t *testing.T) { checkPoisoned(t, hostile) }

func FuzzWriteHTML(f *testing.F) {
	for _, s := range []string{hostile, "</script>", "<!--", "]]>", "\u2028", "{{.}}", "\" onload=x", "javascript:alert(1)", "\xff", "&lt;", "none"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if strings.TrimSpace(oneLine(text)) == "" || len(text) > 2000 || strings.ContainsAny(text, "\n\t") {
			return // empty fields leave their elements out, so the tags differ by design
		}
		checkPoisoned(t, "x"+text)
	})
}

func TestSameInputSameBytes(t *testing.T) {
	in := exampleInput()
	first := render(t, in)
	slices.Reverse(in.Samples)
	if render(t, in) != first {
		t.Error("the page depends on the order of the samples")
	}
}

func TestBadInputIsRefused(t *testing.T) {
	for want, in := range map[string]Input{
		"two decisions have the id \"a\"": {Decisions: []claim.Decision{{ID: "a"}, {ID: "a"}}},
		"decision 0 has no id":            {Decisions: []claim.Decision{{}}},
		"has 2 steps but 1 values":        {Curves: []Curve{{Steps: []int{1, 2}, Values: []float64{1}}}},
	} {
		if err := WriteHTML(io.Discard, in); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
		if err := WriteTable(io.Discard, in, 0, false); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("table: error %v, want %q", err, want)
		}
	}
}

type brokenWriter struct{}

var errDisk = errors.New("no space left")

func (brokenWriter) Write([]byte) (int, error) { return 0, errDisk }

func TestWriteErrorsArePassedOn(t *testing.T) {
	if err := WriteHTML(brokenWriter{}, exampleInput()); !errors.Is(err, errDisk) {
		t.Errorf("WriteHTML gave %v", err)
	}
	if err := WriteTable(brokenWriter{}, exampleInput(), 0, false); !errors.Is(err, errDisk) {
		t.Errorf("WriteTable gave %v", err)
	}
}

// A run of 50,000 samples must stay a page that opens.
func TestLargeRunStaysSmall(t *testing.T) {
	in := exampleInput()
	base := in.Samples
	for k := 1; len(in.Samples) < 50000; k++ {
		for _, s := range base {
			s.ID += strings.Repeat("'", k)
			in.Samples = append(in.Samples, s)
		}
	}
	html := render(t, in)
	d := dataOf(t, html)
	if d.Shown > maxSamples || d.Shown < maxSamples/2 || d.Total != len(in.Samples) || len(html) > 4<<20 {
		t.Errorf("%d of %d samples in %d bytes", d.Shown, d.Total, len(html))
	}
}
