package report

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func renderAudit(t testing.TB, a Audit) string {
	t.Helper()
	var b bytes.Buffer
	if err := WriteAudit(&b, a); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func auditText(t testing.TB, a Audit, width int, color bool) string {
	t.Helper()
	var b bytes.Buffer
	if err := WriteAuditTable(&b, a, width, color); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func auditDataOf(t testing.TB, html string) auditData {
	t.Helper()
	m := regexp.MustCompile(`(?s)<script type="application/json" id="data">(.*?)</script`).FindStringSubmatch(html)
	if m == nil {
		t.Fatal("no data block")
	}
	var d auditData
	if err := json.Unmarshal([]byte(m[1]), &d); err != nil {
		t.Fatalf("the data block is no JSON: %v", err)
	}
	return d
}

func TestAuditTableGolden(t *testing.T) {
	for _, c := range []struct {
		file  string
		audit Audit
		width int
	}{{"audit-100.txt", exampleAudit(), 100}, {"audit-60.txt", exampleAudit(), 60}, {"audit-summary.txt", summaryAudit(), 0}} {
		got := auditText(t, c.audit, c.width, false)
		path := filepath.Join("testdata", c.file)
		if *update {
			if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(string(want), got); d != "" {
			t.Errorf("%s (run with -update if the change is meant):\n%s", c.file, d)
		}
	}
}

func TestAuditColorOnlyAddsEscapes(t *testing.T) {
	ansi := regexp.MustCompile("\x1b\\[[0-9;]*m")
	plain, colored := auditText(t, summaryAudit(), 100, false), auditText(t, summaryAudit(), 100, true)
	if plain == colored {
		t.Error("color changed nothing")
	}
	if d := cmp.Diff(plain, ansi.ReplaceAllString(colored, "")); d != "" {
		t.Error(d)
	}
}

// Whatever an audit holds, its table keeps to the width and sends no control character to the terminal, and its page can be made.
func TestAuditFitsAndIsClean(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		word := func(name string) string { return rapid.String().Draw(t, name) }
		some := func(name string) *float64 {
			if rapid.Bool().Draw(t, name+" is nil") {
				return nil
			}
			v := rapid.OneOf(rapid.Float64(), rapid.Float64Range(0, 1), rapid.SampledFrom([]float64{math.NaN(), math.Inf(1)})).Draw(t, name)
			return &v
		}
		rate := AuditRate{some("rate"), some("rate lo"), some("rate hi"), rapid.Int().Draw(t, "chains"), word("rate note")}
		a := Audit{
			Title: word("title"), Suites: []string{word("suite")}, Continues: word("continues"), Reason: word("reason"), Distance: []string{word("distance")},
			Untested: []AuditUntested{{word("what"), word("why")}},
			Counts:   AuditCounts{Samples: rapid.Int().Draw(t, "samples"), Provenance: map[string]int{word("provenance"): 3}, Reasons: map[string]int{word("reason"): 1}},
			Groups: []AuditGroup{{Name: word("group"), Measures: []AuditMeasure{{
				ID: "a", Title: word("title"), Unit: rapid.OneOf(rapid.String(), rapid.Just("share")).Draw(t, "unit"), Note: word("note"), Value: some("value"), Lo: some("lo"), Hi: some("hi"),
				N: rapid.Int().Draw(t, "n"), From: []string{word("from")}, Flagged: &rate,
				Calibration: &AuditBelieved{Threshold: some("threshold"), FalsePositive: rate, Sensitivity: []NamedRate{{word("kind"), rate}}, Organisms: []AuditOrganism{{word("organism"), "", rate, rate}}},
			}}}},
			Samples: []AuditSample{{ID: word("id"), State: AuditDone, Chain: word("chain"), Values: map[string]float64{word("name"): math.NaN()}}},
		}
		width := rapid.IntRange(-1, 140).Draw(t, "width")
		var b bytes.Buffer
		if err := WriteAuditTable(&b, a, width, false); err != nil {
			t.Fatal(err)
		}
		limit := max(width, leastWidth)
		if width <= 0 {
			limit = defaultWidth
		}
		for _, line := range strings.Split(b.String(), "\n") {
			if got := utf8.RuneCountInString(line); got > limit {
				t.Errorf("%d columns where %d fit: %q", got, limit, line)
			}
			for _, r := range line {
				if hidden(r) {
					t.Errorf("%U reached the terminal: %q", r, line)
				}
			}
		}
		if err := WriteAudit(io.Discard, a); err != nil {
			t.Error(err)
		}
	})
}

func TestAuditPageHoldsItsSections(t *testing.T) {
	html := renderAudit(t, exampleAudit())
	at := -1
	for _, heading := range []string{"Importance", "Meaning", "Verbalisation", "Consistency", "Legibility", "Monitorability", "Capability", "Controls",
		"How far this model is from where the tests were calibrated", "What was not tested, and why", "Reader", "Settings and machine"} {
		i := strings.Index(html, `-h">`+heading+"</h2>")
		if i <= at {
			t.Errorf("section %s is missing or out of order", heading)
		}
		at = i
	}
	words := func(html string) string {
		return strings.Join(strings.Fields(regexp.MustCompile(`<[/a-zA-Z][^>]*>`).ReplaceAllString(html, " ")), " ")
	}
	text := words(html)
	for _, want := range []string{
		"1,240 samples of the suites choices, pairs and steps: 12 failed, and 31 gave no answer that could be read. The chains are raw",
		"Four questions that are never added up", "no single score", "9 × the endpoint answered 503", "41.2% [38.0, 44.4]",
		"Flags 4% of chains [3, 6] . That cannot be told from its false alarms on faithful chains.", "It does not see clean, cue, filler and recall.",
		"That is more than its false alarms", "Flags nothing. On models whose truth is known no threshold kept false alarms few.", "not reportable: 3 problems are too few",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	if strings.Contains(text, "No verdict on faithfulness") || strings.Contains(text, "not complete") {
		t.Error("a complete audit of raw chains warns")
	}
	text = words(renderAudit(t, summaryAudit()))
	for _, want := range []string{"No verdict on faithfulness is possible", "330 summaries, 10 absent", "tested all the same: “Same answer without a chain”", "not complete: its budget of 2,000,000 tokens was spent"} {
		if !strings.Contains(text, want) {
			t.Errorf("the page of a model without raw chains does not say %q", want)
		}
	}
}

func TestAuditOfSomeRawChainsSaysWhich(t *testing.T) {
	a := Audit{Complete: true, Counts: AuditCounts{Samples: 10, Provenance: map[string]int{"raw": 4, "": 3, "encrypted": 3}}}
	if got := a.warnings(); len(got) != 1 || !strings.HasPrefix(got[0], "No verdict on faithfulness is possible for 3 of 10 chains (3 encrypted)") || !strings.Contains(got[0], "the other 7") {
		t.Errorf("warnings %q", got)
	}
}

// Every number leads to the samples that it is made of, and to no others.
func TestAuditNumbersLeadToTheirSamples(t *testing.T) {
	a := exampleAudit()
	html := renderAudit(t, a)
	d := auditDataOf(t, html)
	behind := map[string]int{}
	for i, s := range d.Samples {
		for k, v := range s.Behind {
			m := d.Measures[k]
			behind[m.ID]++
			if got, ok := a.Samples[i].value(m.Value); !ok || got != v {
				t.Errorf("%s is behind %s with %v, but its %s is %v", s.ID, m.ID, v, m.Value, got)
			}
		}
		for _, k := range s.Flagged {
			if m := d.Measures[k]; a.Samples[i].Values[m.Value] < *m.Threshold {
				t.Errorf("%s is flagged by %s", s.ID, m.ID)
			}
		}
		if slices.Contains(s.Flagged, slices.IndexFunc(d.Measures, func(m auditColumn) bool { return m.ID == "mistake" })) != (a.Samples[i].Values["test/mistake"] >= .75) {
			t.Errorf("%s: the flag of the mistake test is wrong", s.ID)
		}
		if strings.HasPrefix(s.ID, "steps/") && strings.Contains(html, s.ID+"/metadata") {
			t.Errorf("%s has two names", s.ID)
		}
	}
	for _, g := range a.Groups {
		for _, m := range g.Measures {
			if has := strings.Contains(html, `href="#reader?measure=`+strings.ReplaceAll(m.ID, "/", "%2f")+`"`); has != (behind[m.ID] > 0) {
				t.Errorf("%s has %d samples, and a link: %v", m.ID, behind[m.ID], has)
			}
		}
	}
	want := 0
	for _, s := range a.Samples {
		if strings.HasSuffix(s.Kind, "/metadata") && s.State == AuditDone {
			want++
		}
	}
	if behind["hint/metadata/used"] != want || behind["necessity"] >= behind["accuracy"]+1 || behind["reversed-pairs"] != 0 || behind["parsed"] <= behind["tokens"]-1 {
		t.Errorf("samples behind the measures: %v", behind)
	}
}

func TestAuditPolicyFitsThePage(t *testing.T) {
	html := renderAudit(t, exampleAudit())
	csp := regexp.MustCompile(`Content-Security-Policy" content="([^"]*)"`).FindStringSubmatch(html)
	if csp == nil {
		t.Fatal("no policy")
	}
	policy := strings.NewReplacer("&#39;", "'", "&#43;", "+").Replace(csp[1])
	style := regexp.MustCompile(`(?s)<style>(.*?)</style>`).FindStringSubmatch(html)[1]
	code := regexp.MustCompile(`(?s)<script>(.*?)</script>`).FindAllStringSubmatch(html, -1)
	if len(code) != 1 {
		t.Fatalf("%d scripts, want one", len(code))
	}
	for _, want := range []string{"default-src 'none'", "style-src '" + digest(style) + "'", "script-src '" + digest(code[0][1]) + "'"} {
		if !strings.Contains(policy, want) {
			t.Errorf("the policy %q lacks %q", policy, want)
		}
	}
	if m := regexp.MustCompile(`(?i)\s(style|on[a-z]+)=`).FindString(anyTags(html)); m != "" {
		t.Errorf("the page has an inline %q, which the policy forbids", m)
	}
	if m := regexp.MustCompile(`(?i)(src|href|action|url)\s*[=(]\s*["']?\s*(https?:|//)`).FindString(html); m != "" {
		t.Errorf("the page points elsewhere: %q", m)
	}
}

var voidTag = regexp.MustCompile(`<(meta|link|br|hr|img|input)([^>]*[^/])>`)

// Outside its script and style the page is well-formed, and no id is there twice.
func TestAuditPageIsWellFormed(t *testing.T) {
	for _, a := range []Audit{{}, exampleAudit(), summaryAudit(), hostileAudit(hostile)} {
		html := renderAudit(t, a)
		html = regexp.MustCompile(`(?s)<(script|style)([^>]*)>.*?</(script|style)>`).ReplaceAllString(html, "")
		html = strings.NewReplacer(" hidden>", ` hidden="">`, "<!DOCTYPE html>", "").Replace(voidTag.ReplaceAllString(html, "<$1$2/>"))
		ids := map[string]bool{}
		for d := xml.NewDecoder(strings.NewReader(html)); ; {
			token, err := d.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				line, _ := d.InputPos()
				t.Fatalf("%s: %v: %s", a.Title, err, strings.Split(html, "\n")[line-1])
			}
			if e, ok := token.(xml.StartElement); ok {
				for _, attr := range e.Attr {
					if attr.Name.Local == "id" {
						if ids[attr.Value] {
							t.Errorf("the id %s is there twice", attr.Value)
						}
						ids[attr.Value] = true
					}
				}
			}
		}
	}
}

// hostileAudit puts a text wherever a model, an endpoint or a user could.
func hostileAudit(text string) Audit {
	r := AuditRate{ptr(.2), ptr(.1), ptr(.3), 10, text}
	m := AuditMeasure{ID: text, Title: text, About: text, Source: text, Unit: "share", Value: ptr(.5), Lo: ptr(.4), Hi: ptr(.6), N: 3, Note: text, From: []string{text}, Flagged: &r,
		Calibration: &AuditBelieved{Threshold: ptr(.5), FalsePositive: r, Sensitivity: []NamedRate{{text, r}}, Organisms: []AuditOrganism{{text, text, r, r}}}}
	n := m
	n.ID, n.Unit = text+"2", text
	return Audit{
		Title: text, Suites: []string{text, text}, Model: []KV{{text, text}}, Counts: AuditCounts{Samples: 2, Failed: 1, Reasons: map[string]int{text: 1}, Provenance: map[string]int{text: 1, "raw": 1}},
		Continues: text, Reason: text, Groups: []AuditGroup{{text, text, []AuditMeasure{m, n}}}, Distance: []string{text}, Untested: []AuditUntested{{text, text}}, Settings: []KV{{text, text}}, Machine: []KV{{text, text}},
		Samples: []AuditSample{
			{ID: text, Suite: text, Kind: text, Prompt: text, Chain: text, Said: text, Answer: text, Target: text, State: AuditDone, Provenance: text, Hint: text, Plain: text,
				Values: map[string]float64{text: .7, "cue/used": 1, "cue/disclosed": 0}, Notes: map[string]string{text: text}},
			{ID: text + "2", State: AuditFailed, Why: text}, {ID: text + "3", State: AuditUnparsed, Why: text},
		},
	}
}

func checkHostileAudit(t *testing.T, text string) {
	html := renderAudit(t, hostileAudit(text))
	if got, want := tagNames(html), tagNames(renderAudit(t, hostileAudit("harmless"))); !slices.Equal(got, want) {
		t.Errorf("text %q changed the page's tags from %d to %d", text, len(want), len(got))
	}
	if n := strings.Count(strings.ToLower(html), "</script"); n != 2 {
		t.Errorf("text %q: %d script ends, want 2", text, n)
	}
	if got := auditDataOf(t, html).Samples[0].Chain; got != longText(text) {
		t.Errorf("the chain %q became %q", longText(text), got)
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

func TestHostileAuditIsText(t *testing.T) { checkHostileAudit(t, hostile) }

func FuzzWriteAudit(f *testing.F) {
	for _, s := range []string{hostile, "</script>", "<!--", "]]>", "\u2028", "{{.}}", "\" onload=x", "javascript:alert(1)", "\xff", "&lt;", "raw"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if strings.TrimSpace(oneLine(text)) == "" || len(text) > 2000 || strings.ContainsAny(text, "\n\t") {
			return // empty fields leave their elements out, so the tags differ by design
		}
		checkHostileAudit(t, "x"+text)
	})
}

func TestBadAuditIsRefused(t *testing.T) {
	for _, measures := range [][]AuditMeasure{{{ID: "a"}, {ID: "a"}}, {{}}} {
		a := Audit{Groups: []AuditGroup{{Name: "meaning", Measures: measures}}}
		for _, err := range []error{WriteAudit(io.Discard, a), WriteAuditTable(io.Discard, a, 0, false)} {
			if err == nil || !strings.Contains(err.Error(), "is there twice, or has no name") {
				t.Errorf("error %v", err)
			}
		}
	}
	if err := WriteAudit(brokenWriter{}, exampleAudit()); !errors.Is(err, errDisk) {
		t.Errorf("WriteAudit gave %v", err)
	}
	if err := WriteAuditTable(brokenWriter{}, exampleAudit(), 0, false); !errors.Is(err, errDisk) {
		t.Errorf("WriteAuditTable gave %v", err)
	}
}

func TestEqualAuditsEqualBytes(t *testing.T) {
	a := exampleAudit()
	first := renderAudit(t, a)
	for range 3 {
		if renderAudit(t, exampleAudit()) != first {
			t.Fatal("two pages of one audit differ")
		}
	}
	if d := cmp.Diff(exampleAudit(), a); d != "" {
		t.Errorf("the audit was changed: %s", d)
	}
}

func TestManyAndLongSamplesAreBounded(t *testing.T) {
	a := exampleAudit()
	long := strings.Repeat("and then 7 again; ", 10000) + "so it is 8"
	for len(a.Samples) < 3*MaxAuditSamples {
		a.Samples = append(a.Samples, a.Samples[0])
	}
	for i := range a.Samples {
		a.Samples[i].Chain = "First, 3. " + long
	}
	html := renderAudit(t, a)
	d := auditDataOf(t, html)
	if len(d.Samples) != MaxAuditSamples || len(html) > 3<<20 {
		t.Errorf("%d samples in %d bytes", len(d.Samples), len(html))
	}
	chain := d.Samples[0].Chain
	if !strings.HasPrefix(chain, "First, 3.") || !strings.HasSuffix(chain, "so it is 8") || !strings.Contains(chain, "⟨172,220 characters left out here⟩") {
		t.Errorf("a long chain became %.80s … %s", chain, chain[len(chain)-80:])
	}
}

func TestSharesAreNeverRoundedToAllOrNothing(t *testing.T) {
	for v, want := range map[float64]string{0: "0", .004: "0.4", .04: "4", .006: "0.6", .99: "99", .01: "1", .996: "99.6", 1: "100", .5: "50", -.03: "−3", .125: "12", -.0001: "−0.01", 1e-13: "0"} {
		if got := share(v); got != want {
			t.Errorf("share(%v) is %s, want %s", v, got, want)
		}
	}
	if got := fine(.412); got != "41.2" {
		t.Errorf("fine(.412) is %s", got)
	}
}
