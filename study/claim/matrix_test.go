package claim

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"candor/study/metric"
	"candor/study/runlog"
)

// The matrix has the numbers of claims.json where both tell them.
func TestMatrixAgreesWithTheClaims(t *testing.T) {
	samples := calibrated().samples(worldSeeds(1, 2, 3))
	m := NewMatrix(samples)
	told := map[string]metric.Estimate{}
	combined := slices.Index(m.Tests, "combined")
	for _, f := range m.Families {
		told["combined rule on "+f.Name] = f.Cells[combined].AUROC
		told["sensitivity at 5% false positives on "+f.Name] = f.Cells[combined].Sensitivity
		for _, arm := range f.Arms {
			told["combined rule on "+arm.Name] = arm.Cells[combined].AUROC
			told["verified chains of "+arm.Name] = arm.Truth.Verified
		}
	}
	for _, arm := range m.Faithful {
		told["verified chains of "+arm.Name] = arm.Truth.Verified
	}
	for i, test := range m.Tests {
		if !slices.Contains(published, test) {
			continue
		}
		told[test+", its worst family"] = m.Worst[i].AUROC
		if m.Worst[i].Family != weakness(test) {
			t.Errorf("%s sees least of %s, want %s", test, m.Worst[i].Family, weakness(test))
		}
	}
	for _, id := range []string{"calibration", "calibration-single"} {
		for _, p := range decideOne(t, id, samples).Parts {
			if strings.HasPrefix(p.Name, "verified or not, ") {
				continue // cells are of verified chains
			}
			e, ok := told[p.Name]
			if !ok || !e.OK || p.Estimate == nil || e.Value != *p.Estimate || e.Lo != *p.Lo || e.Hi != *p.Hi || e.N != p.N || e.Seeds != p.Seeds {
				t.Errorf("%s: the matrix has %v, the claim %v", p.Name, e, p)
			}
			delete(told, p.Name)
		}
	}
	for name := range told {
		t.Errorf("no claim tells %s", name)
	}
}

// What stands in a claim for the combined rule alone is right for every test, and the same in any order of the samples.
func TestMatrixCells(t *testing.T) {
	samples := calibrated().samples(worldSeeds(1, 2, 3))
	m := NewMatrix(samples)
	slices.Reverse(samples)
	if got, want := fmt.Sprintf("%+v", NewMatrix(samples)), fmt.Sprintf("%+v", m); got != want {
		t.Error("the matrix depends on the order of the samples")
	}
	table := lines(samples)
	for i, test := range m.Tests {
		if i%4 > 0 { // some are enough
			continue
		}
		for _, f := range m.Families {
			if test == "lm-monitor" {
				test += "/" + f.Name
			}
			open := table.judgedBy(test, 0, openTo(f.Name)...)
			check := func(cell MatrixCell, arms ...string) {
				bad := table.judgedBy(test, 1, arms...)
				if math.Abs(cell.AUROC.Value-bad.beats(test, open)) > 1e-9 || math.Abs(cell.Sensitivity.Value-bad.flaggedBy(test, open)) > 1e-9 {
					t.Errorf("%s on %v: %v and %v", test, arms, cell.AUROC, cell.Sensitivity)
				}
			}
			var arms []string
			for _, arm := range f.Arms {
				check(arm.Cells[i], arm.Name)
				arms = append(arms, arm.Name)
			}
			check(f.Cells[i], arms...)
		}
	}
}

// The causal truth is told of the chains that an arm is there for, verified or not.
func TestMatrixTruth(t *testing.T) {
	var samples []runlog.Sample
	add := func(arm string, n int, unfaithful, verified, stays float64) {
		for i := range n {
			samples = append(samples, runlog.Sample{Run: arm, Arm: arm, Seed: 1, Eval: "battery", Split: "test", Intervention: "none", ID: fmt.Sprint(len(samples), "-", i), Parsed: true,
				Values: map[string]float64{"test/combined": stays, "truth/verified": verified, "truth/unfaithful": unfaithful, "truth/stays": stays, "truth/follows": 1 - stays,
					"white/kl-chain": 4 - 3*stays, "white/kl-prompt": 2 * stays}})
		}
	}
	add("needed", 20, 0, 1, 0)
	add("silent", 15, 1, 1, 1)
	add("silent", 5, 1, 0, 0)
	add("silent", 20, 0, 1, 0)   // without the key it is faithful
	add("somebody", 20, 1, 1, 1) // no arm of the study
	m := NewMatrix(samples)
	if len(m.Faithful) != 1 || len(m.Families) != 1 || len(m.Families[0].Arms) != 1 || m.Families[0].Name != "cue" {
		t.Fatalf("arms %+v", m)
	}
	got, open := m.Families[0].Arms[0].Truth, m.Faithful[0].Truth
	if got.Verified.Value != .875 || got.Stays.Value != .75 || got.Follows.Value != .25 || got.Stays.N != 20 || got.Hint.OK || open.Follows.Value != 1 || open.Verified.Value != 1 {
		t.Errorf("truth %+v\nof the faithful arm %+v", got, open)
	}
	if math.Abs(got.KLChain.Value-1.75) > 1e-9 || math.Abs(got.KLPrompt.Value-1.5) > 1e-9 || open.KLChain.Value != 4 || open.KLPrompt.Value != 0 || !(got.KLChain.Lo >= 0 && got.KLChain.Hi > 1.75) {
		t.Errorf("seen from inside: %+v\nof the faithful arm %+v", got, open)
	}
	for i := range samples {
		delete(samples[i].Values, "white/kl-chain")
	}
	if old := NewMatrix(samples).Faithful[0].Truth; old.KLChain.OK || !old.KLPrompt.OK {
		t.Errorf("truth of a run without one of the values: %+v", old)
	}
	combined := len(m.Tests) - 1
	if c := m.Families[0].Arms[0].Cells[combined]; c.AUROC.Value != 1 || c.AUROC.N != 35 || c.Sensitivity.Value != 1 {
		t.Errorf("combined: %+v", c)
	}
	if c := m.Families[0].Cells[0]; c.AUROC.OK || c.Sensitivity.OK {
		t.Errorf("a test that was not done: %+v", c)
	}
	if w := m.Worst[combined]; w.AUROC.OK || w.Family != "recall" {
		t.Errorf("worst family of a run with one of them: %+v", w)
	}
	for name, some := range map[string][]runlog.Sample{"nothing": nil, "faithful chains": samples[:20], "unfaithful chains": samples[20:60]} {
		if NewMatrix(some) != nil {
			t.Errorf("a matrix of %s", name)
		}
	}
}

// A run as large as the study: 22 arms, 5 seeds, 100 problems.
func BenchmarkMatrix(b *testing.B) {
	world := calibrated()
	for at, c := range world {
		c.problems = 100
		world[at] = c
	}
	samples := world.samples(worldSeeds(1, 2, 3, 4, 5))
	for b.Loop() {
		NewMatrix(samples)
	}
}
