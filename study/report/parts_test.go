package report

import (
	"math"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"candor/study/runlog"
)

func TestNumbers(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{number(.5, false), "0.500"}, {number(-.0214, false), "−0.021"}, {number(.0214, true), "+0.021"},
		{number(-.0001, false), "0.000"}, {number(12.34, false), "12.3"}, {number(-1234.5, true), "−1234"},
		{short(-.05), "−0.05"}, {short(.25), "0.25"}, {short(3), "3"}, {short(-.00001), "0"}, {short(100), "100"},
		{thousands(0), "0"}, {thousands(999), "999"}, {thousands(1000), "1,000"}, {thousands(-1234567), "-1,234,567"}, {thousands(-100), "-100"},
		{capital("9 claims"), "Nine claims"}, {capital("40 claims"), "40 claims"}, {capital("1 claim"), "One claim"},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
}

func TestVisible(t *testing.T) {
	for in, want := range map[string]string{
		"plain i14 6":       "plain i14 6",
		"a\u202eb":          "a⟨U+202E⟩b",
		"a\u200bb\ufeff":    "a⟨U+200B⟩b⟨U+FEFF⟩",
		"\u2028\x00\x1b":    "⟨U+2028⟩⟨U+0000⟩⟨U+001B⟩",
		"\U000e0041 \u3164": "⟨U+E0041⟩ ⟨U+3164⟩",
		"line\n\ttab":       "line\n\ttab",
		"über 数":            "über 数",
		"\xff":              "\ufffd",
	} {
		if got := visible(in); got != want {
			t.Errorf("visible(%q) = %q, want %q", in, got, want)
		}
	}
	long := visible(strings.Repeat("é", maxRunes+1500))
	if !strings.HasSuffix(long, "é … (1,500 more characters)") || utf8.RuneCountInString(long) > maxRunes+40 {
		t.Errorf("a long text ends with %q", long[len(long)-60:])
	}
}

func TestAxisRanges(t *testing.T) {
	for _, c := range []struct {
		unit   string
		values []float64
		lo, hi float64
	}{
		{"difference of accuracy", []float64{.01}, -1, 1},
		{"accuracy", []float64{.9}, 0, 1},
		{"AUROC", nil, 0, 1},
		{"nats", []float64{1.84, 2.16}, 0, 2.5},
		{"nats per token", []float64{-.2, .25}, -.2, .3},
		{"difference of accuracy", []float64{-1.4}, -1.5, 1},
		{"tokens", []float64{}, 0, 1},
	} {
		a := newAxis(c.unit, c.values)
		if math.Abs(a.lo-c.lo) > 1e-9 || math.Abs(a.hi-c.hi) > 1e-9 {
			t.Errorf("%s %v: [%g, %g], want [%g, %g]", c.unit, c.values, a.lo, a.hi, c.lo, c.hi)
		}
	}
}

// An axis must hold what it is to show, in the right order, with few ticks.
func TestAxisHoldsItsValues(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.Float64Range(-1e9, 1e9), 1, 8).Draw(t, "values")
		a := newAxis(rapid.SampledFrom([]string{"nats", "accuracy", "difference", ""}).Draw(t, "unit"), values)
		if len(a.Ticks) < 2 || len(a.Ticks) > 12 {
			t.Errorf("%d ticks on [%g, %g]", len(a.Ticks), a.lo, a.hi)
		}
		for _, v := range values {
			if slack := 1e-6 * (a.hi - a.lo); v < a.lo-slack || v > a.hi+slack {
				t.Errorf("%g is outside [%g, %g]", v, a.lo, a.hi)
			}
		}
		if s := slices.Sorted(slices.Values(values)); a.share(s[0]) > a.share(s[len(s)-1]) {
			t.Error("the axis runs backwards")
		}
	})
}

func TestInterventionsAreInReadingOrder(t *testing.T) {
	got := []string{"translate/german", "mistake/10/kept", "zebra", "none", "mistake/2/regenerated", "early-answer/0.75", "mistake/2/kept", "early-answer/0.00", "paraphrase-step/2", "paraphrase"}
	sortInterventions(got)
	want := []string{"none", "early-answer/0.00", "early-answer/0.75", "mistake/2/kept", "mistake/2/regenerated", "mistake/10/kept", "paraphrase", "paraphrase-step/2", "translate/german", "zebra"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q\nwant %q", got, want)
	}
}

// Labels at the lines' ends may not lie on each other nor leave the panel.
func TestLabelsAreApart(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var lines []curveLine
		for _, y := range rapid.SliceOfN(rapid.Float64Range(0, curveHeight), 1, 6).Draw(t, "ends") {
			lines = append(lines, curveLine{end: y})
		}
		var ys []float64
		for _, y := range spread(lines) {
			if y < 0 || y > curveHeight {
				t.Errorf("a label at %g is outside the panel", y)
			}
			ys = append(ys, y)
		}
		slices.Sort(ys)
		for i := 1; i < len(ys); i++ {
			if ys[i]-ys[i-1] < labelGap-1e-9 {
				t.Errorf("labels at %g and %g", ys[i-1], ys[i])
			}
		}
	})
}

func TestThinKeepsEndsAndGaps(t *testing.T) {
	steps, values := make([]int, 1000), make([]float64, 1000)
	for i := range steps {
		steps[i], values[i] = i, float64(i)
		if i >= 400 && i < 500 {
			values[i] = math.NaN()
		}
	}
	s, v := thin(steps, values)
	if len(s) != maxPoints || s[len(s)-1] != 999 {
		t.Fatalf("%d points, the last at %d", len(s), s[len(s)-1])
	}
	gap := 0
	for i := range s {
		if math.IsNaN(v[i]) {
			gap++
		} else if math.Abs(v[i]-float64(s[i])) > 5 {
			t.Errorf("step %d has the value %g", s[i], v[i])
		}
	}
	if gap == 0 {
		t.Error("the gap was closed")
	}
}

// The numbers by intervention, from samples counted by hand.
func TestEditFigureCounts(t *testing.T) {
	var samples []runlog.Sample
	for seed := 1; seed <= 2; seed++ {
		for p := range 20 {
			s := runlog.Sample{Arm: "small-rl", Seed: seed, Eval: "chain", Split: "test", ID: string(rune('a' + p)), Intervention: "none",
				Parsed: true, Correct: true, Answer: "3", Target: "3"}
			samples = append(samples, s)
			if p >= 16 {
				continue // not edited: must not count in the baseline
			}
			s.Intervention, s.Original = "filler/1.00", "3"
			switch {
			case p < 4:
				s.Parsed, s.Correct, s.Answer = false, false, ""
			case p < 10:
				s.Answer, s.Correct = "1", false
			}
			samples = append(samples, s)
		}
	}
	samples[0].Correct, samples[0].Answer = false, "2"
	order, title := armOrder(nil)
	fs := editFigures(samples, order, title)
	if len(fs) != 1 || len(fs[0].Rows) != 2 {
		t.Fatalf("%d figures, want one with two rows: %+v", len(fs), fs)
	}
	none, filler := fs[0].Rows[0], fs[0].Rows[1]
	if none.N != "32" || none.Accuracy.Numbers.Estimate != "0.969" || none.Changed.Has {
		t.Errorf("unedited row: n %s, right %s, has change %v; want 32, 0.969 (31 of 32), false", none.N, none.Accuracy.Numbers.Estimate, none.Changed.Has)
	}
	if filler.N != "32" || filler.Unparsed != "8" || filler.Accuracy.Numbers.Estimate != "0.375" || filler.Changed.Numbers.Estimate != "0.625" {
		t.Errorf("filler row: %+v; want n 32, 8 unparsed, 12 right, 20 changed", filler)
	}
}

func TestPickShowsEveryKindWithinBounds(t *testing.T) {
	in := exampleInput()
	const limit = 1500
	picked := pick(in.Samples, limit, maxText)
	if len(picked) > limit || len(picked) < limit-100 {
		t.Fatalf("%d samples picked of %d, limit %d", len(picked), len(in.Samples), limit)
	}
	type kind struct {
		arm, intervention string
		outcome           outcome
	}
	all, shown := map[kind]bool{}, map[kind]bool{}
	for i := range in.Samples {
		s := &in.Samples[i]
		all[kind{s.Arm, s.Intervention, outcomeOf(s)}] = true
	}
	for _, i := range picked {
		s := &in.Samples[i]
		shown[kind{s.Arm, s.Intervention, outcomeOf(s)}] = true
	}
	for k := range all {
		if !shown[k] {
			t.Errorf("%v is in the run but not on the page", k)
		}
	}
	// The choice is of samples, not of places in a file.
	reversed := slices.Clone(in.Samples)
	slices.Reverse(reversed)
	other := pick(reversed, limit, maxText)
	for n := range picked {
		a, b := in.Samples[picked[n]], reversed[other[n]]
		if compareSamples(&a, &b) != 0 {
			t.Fatalf("place %d holds %v, or %v when the file is reversed", n, a, b)
		}
	}
	if got := pick(in.Samples, 4000, 20000); len(got) == 0 || len(got) > 400 {
		t.Errorf("%d samples in 20,000 bytes", len(got))
	}
}
