package report

import (
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"candor/internal/rng"
	"candor/study/runlog"
)

func TestDoseFigure(t *testing.T) {
	f := newDoseFigure(honestyInput())
	var arms, ticks, use []string
	for _, r := range f.Rows {
		arms = append(arms, fmt.Sprint(r.Arm, " ", r.Pays, " ", r.Steps))
	}
	want := []string{"penalty 40% 200", "penalty-long 40% 600", "penalty-marked 55% 200", "penalty-marked-long 55% 600", "penalty-mild 70% 200",
		"penalty-mild-long 70% 600", "penalty-slight 85% 200", "penalty-slight-long 85% 600", "penalty-none 100% 200", "penalty-none-long 100% 600"}
	if !slices.Equal(arms, want) {
		t.Errorf("arms %q\nwant %q", arms, want)
	}
	for _, x := range f.XTicks {
		ticks = append(ticks, x.At+" "+x.Label)
	}
	if want := []string{"4.00% 40%", "27.00% 55%", "50.00% 70%", "73.00% 85%", "96.00% 100%"}; !slices.Equal(ticks, want) {
		t.Errorf("ticks %q, want %q", ticks, want)
	}
	for _, l := range f.Panels[0].Lines {
		use = append(use, fmt.Sprint(l.Label, " ", l.Long, " ", l.Shift, " ", l.Dots, " ", len(l.Points), " ", len(l.Trends), " ", l.Points[0].X, " ", l.Points[0].Y, " ", l.LabelX))
	}
	if want := []string{"200 steps false -4 -6 5 4 4.00% 0.0 96.00%", "600 steps true 4 6 5 4 4.00% 0.0 96.00%"}; !slices.Equal(use, want) {
		t.Errorf("lines %q, want %q", use, want)
	}
	if part := "600 steps at 40%: 1.000 [0.9"; !strings.Contains(f.Panels[0].Alt, part) {
		t.Errorf("the text for those who do not see it lacks %q: %s", part, f.Panels[0].Alt)
	}
	recall := f.Panels[2].Lines // at 200 steps answers follow the key too seldom where honest work pays .85 and more
	if len(recall) != 2 || len(recall[0].Points) != 3 || recall[0].LabelX != "50.00%" || len(recall[1].Points) < 4 {
		t.Errorf("recall %+v", recall)
	}
	if c := f.Rows[8].Cells[2]; c.Numbers.OK || c.Seeds != "0 of 3 seeds" {
		t.Errorf("recall of too few answers: %+v", c)
	}
}

// What differs in more than dose and length is of another family, and the larger family is drawn.
func TestDoseFamily(t *testing.T) {
	setup := Setup{Steps: 200, Leak: true, Penalised: true, Recipe: "a"}
	with := func(change func(*Setup)) Setup { s := setup; change(&s); return s }
	ts := []Training{
		{Arm: "one", Seed: 1, Setup: with(func(s *Setup) { s.Recipe = "before" })}, {Arm: "one", Seed: 1, Setup: setup},
		{Arm: "two", Seed: 1, Setup: with(func(s *Setup) { s.Noise = .5 })},
		{Arm: "long", Seed: 1, Setup: with(func(s *Setup) { s.Steps = 900 })},
		{Arm: "one", Seed: 2, Setup: with(func(s *Setup) { s.Recipe = "b" })}, {Arm: "two", Seed: 2, Setup: with(func(s *Setup) { s.Recipe = "b" })},
		{Arm: "free", Seed: 1, Setup: with(func(s *Setup) { s.Penalised = false })},
		{Arm: "keyless", Seed: 1, Setup: with(func(s *Setup) { s.Leak = false })},
		{Arm: "lost", Seed: 1, Setup: Setup{Leak: true, Penalised: true}},
		{Arm: "other", Seed: 1, Setup: with(func(s *Setup) { s.Recipe = "other" })},
	}
	got := doseFamily(ts)
	if len(got) != 3 || got["one"] != setup || got["two"].Noise != .5 || got["long"].Steps != 900 {
		t.Errorf("the family is %+v", got)
	}
	if got := doseFamily(ts[6:9]); got != nil {
		t.Errorf("a family of none: %+v", got)
	}
	in := honestyInput()
	for i := range in.Trainings {
		in.Trainings[i].Setup.Noise = .6
	}
	if newDoseFigure(in) != nil {
		t.Error("a figure of one dose")
	}
	if newDoseFigure(Input{}) != nil {
		t.Error("a figure of nothing")
	}
}

// Stages with one recipe differ in dose and length alone.
func TestRecipe(t *testing.T) {
	const manifest = `{"settings":{"seed":1,"input":"ab","stage":{"grpo":{"sums":"leak","steps":200,"kl_beta":0.02}},"parts":{"sums.leak":{"terms":4,"modulus":5,"noise":0.6}}}}`
	of := func(oldnew ...string) string {
		t.Helper()
		path := filepath.Join(t.TempDir(), "manifest.json")
		writeFile(t, path, strings.NewReplacer(oldnew...).Replace(manifest))
		s, err := readSetup(path)
		if err != nil || s.Recipe == "" {
			t.Fatalf("%+v, %v", s, err)
		}
		return s.Recipe
	}
	for _, c := range []struct {
		same   bool
		oldnew []string
	}{
		{true, []string{`"steps":200`, `"steps":600`}},
		{true, []string{`"noise":0.6`, `"noise":0.15`}},
		{true, []string{`,"noise":0.6`, ``}},
		{true, []string{`"leak"`, `"leak-none"`, `sums.leak`, `sums.leak-none`}},
		{false, []string{`"seed":1`, `"seed":2`}},
		{false, []string{`"ab"`, `"cd"`}},
		{false, []string{`0.02`, `0.03`}},
		{false, []string{`"terms":4`, `"terms":5`}},
	} {
		if got := of(c.oldnew...) == of(); got != c.same {
			t.Errorf("with %q the recipe is the same: %v, want %v", c.oldnew, got, c.same)
		}
	}
}

// Whatever the arms did, all is drawn inside, and a line has no bar without a number in the table.
func TestDosesStayInside(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var in Input
		for k := range rapid.IntRange(0, 12).Draw(t, "arms") {
			setup := Setup{Leak: true, Penalised: true, Recipe: "r", Steps: rapid.IntRange(1, 3).Draw(t, "steps"), Noise: rapid.Float64Range(0, 1).Draw(t, "noise")}
			arm := strconv.Itoa(k)
			in.Trainings = append(in.Trainings, Training{Arm: arm, Setup: setup})
			share, suspicion := rapid.Float64Range(0, 1).Draw(t, "share"), rapid.Float64().Draw(t, "suspicion")
			src := rng.New(uint64(k))
			for i := range rapid.IntRange(0, 60).Draw(t, "samples") {
				in.Samples = append(in.Samples, runlog.Sample{Arm: arm, Seed: i % 2, ID: strconv.Itoa(i), Intervention: unedited,
					Values: map[string]float64{"used": indicator(src.Bool(share)), "suspicion/key-mention": suspicion * float64(i%3)}})
			}
		}
		f := newDoseFigure(in)
		if f == nil {
			return
		}
		inside := func(at, unit string, most float64) {
			v, err := strconv.ParseFloat(strings.TrimSuffix(at, unit), 64)
			if err != nil || math.IsNaN(v) || v < 0 || v > most {
				t.Fatalf("%q is outside", at)
			}
		}
		for i, p := range f.Panels {
			points, numbers := 0, 0
			for _, l := range p.Lines {
				inside(l.LabelX, "%", 100)
				inside(l.LabelY, "", curveHeight)
				for _, at := range l.Points {
					points++
					inside(at.X, "%", 100)
					for _, y := range append(at.Seeds, at.Y, at.Lo, at.Hi) {
						inside(y, "", curveHeight)
					}
				}
			}
			for _, r := range f.Rows {
				numbers += int(indicator(r.Cells[i].Numbers.OK))
			}
			if points != numbers {
				t.Fatalf("%s: %d points, %d numbers", p.Name, points, numbers)
			}
		}
	})
}
