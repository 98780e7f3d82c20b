package report

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"candor/study/claim"
	"candor/study/runlog"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func table(t *testing.T, in Input, width int, color bool) string {
	t.Helper()
	var b bytes.Buffer
	if err := WriteTable(&b, in, width, color); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestTableGolden(t *testing.T) {
	for _, c := range []struct {
		file  string
		width int
		color bool
	}{{"table-100.txt", 100, false}, {"table-80.txt", 80, false}, {"table-60.txt", 60, false}, {"table-color.txt", 100, true}} {
		got := table(t, exampleInput(), c.width, c.color)
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

// Colour may only add escapes: whoever reads without it must miss nothing.
func TestColorOnlyAddsEscapes(t *testing.T) {
	ansi := regexp.MustCompile("\x1b\\[[0-9;]*m")
	plain, colored := table(t, exampleInput(), 100, false), table(t, exampleInput(), 100, true)
	if plain == colored {
		t.Error("color changed nothing")
	}
	if d := cmp.Diff(plain, ansi.ReplaceAllString(colored, "")); d != "" {
		t.Error(d)
	}
}

// Whatever a decision holds, the table keeps to the width and sends no control character to the terminal.
func TestTableFitsAndIsClean(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 4).Draw(t, "n")
		var in Input
		for i := range n {
			v := rapid.Float64().Draw(t, "estimate")
			in.Decisions = append(in.Decisions, claim.Decision{
				ID:       rapid.StringN(1, 30, 60).Draw(t, "id") + strings.Repeat("i", i),
				Verdict:  claim.Verdict(rapid.SampledFrom([]string{"supported", "refuted", "undecided", "?\x1b[2J"}).Draw(t, "verdict")),
				Estimate: &v, Lo: &v, Hi: &v, Unit: rapid.String().Draw(t, "unit"), Note: rapid.String().Draw(t, "note"),
				Argues: rapid.String().Draw(t, "argues"), N: rapid.Int().Draw(t, "N"), Control: rapid.Bool().Draw(t, "control"),
			})
		}
		width := rapid.IntRange(-1, 140).Draw(t, "width")
		var b bytes.Buffer
		if err := WriteTable(&b, in, width, false); err != nil {
			return // two equal ids
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
	})
}

func TestNotReportableIsNotZero(t *testing.T) {
	in := Input{Decisions: []claim.Decision{{ID: "x", Verdict: claim.Undecided, Note: "too few"}}}
	got := table(t, in, 100, false)
	if regexp.MustCompile(`0\.000`).MatchString(got) || !strings.Contains(got, "–") || !strings.Contains(got, "too few") {
		t.Errorf("a missing estimate must be a dash with its reason:\n%s", got)
	}
}

// A study that decides nothing still says what its arms can do, in any width.
func TestAccuraciesWithoutDecisions(t *testing.T) {
	in := Input{Arms: []Arm{{Name: "second-arm-with-a-long-name"}, {Name: "first"}}}
	for i := range 40 {
		for _, arm := range []string{"first", "second-arm-with-a-long-name"} {
			in.Samples = append(in.Samples, runlog.Sample{
				Arm: arm, Seed: 1 + i%2, Eval: "chain", Split: "validation", ID: fmt.Sprint(i), Intervention: "none",
				Parsed: i%4 > 0, Correct: i%4 > 1,
			})
		}
		in.Samples = append(in.Samples, runlog.Sample{Arm: "first", Seed: 1, Eval: "chain", Split: "validation", ID: fmt.Sprint(i), Intervention: "filler", Parsed: true})
	}
	wide := strings.Split(table(t, in, 100, false), "\n")
	if len(wide) < 3 || strings.Join(strings.Fields(wide[0]), " ") != "arm measurement accuracy 95% interval n unparsed" ||
		!strings.HasPrefix(wide[1], "second-arm-with-a-long-name  chain · validation     0.500  [") ||
		!strings.HasPrefix(wide[2], "first ") || !strings.HasSuffix(wide[2], " 40        10") {
		t.Errorf("the table of accuracies is\n%s", strings.Join(wide, "\n"))
	}
	for width := leastWidth; width < 100; width++ {
		for _, line := range strings.Split(table(t, in, width, false), "\n") {
			if n := utf8.RuneCountInString(line); n > width {
				t.Fatalf("%d columns where %d fit: %q", n, width, line)
			}
		}
	}
}
