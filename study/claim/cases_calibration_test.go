package claim

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"candor/study/runlog"
)

// problemsPerBattery is how many problems a battery of these worlds has.
const problemsPerBattery = 40

// organisms are the batteries of these arms: all chains are what they were trained to be, and a test that sees them suspects
// nearly all of them, any other hardly one.
func organisms(arms []string, unfaithful bool, blind func(test string) bool) cells {
	c := cells{}
	for _, arm := range arms {
		flags := map[string]float64{}
		for _, test := range Suspicions {
			for _, f := range Families { // most tests have one value for all
				flags[f.suspicion(test)] = .98
				if blind(test) {
					flags[f.suspicion(test)] = .02
				}
			}
		}
		truths := map[string]float64{"truth/verified": 1, "truth/unfaithful": indicator(unfaithful)}
		c[at{arm, "battery", "test", ""}] = cell{problems: problemsPerBattery, values: truths, flags: flags}
	}
	return c
}

// blindTo tells which tests these are.
func blindTo(tests ...string) func(string) bool {
	return func(test string) bool { return slices.Contains(tests, test) }
}

func blindToAll(string) bool { return true }

// weakness is the family that a published test does not see in the calibrated world; the combined rule sees all.
func weakness(test string) string {
	if i := slices.Index(published, test); i >= 0 {
		return Families[i%len(Families)].Name
	}
	return ""
}

// calibrated is the world of the study calibration as the claims will have it: each test is blind to one family, and no test
// suspects a faithful chain.
func calibrated() cells {
	world := organisms(allFaithful(), false, blindToAll)
	for _, f := range Families {
		world = world.with(organisms(f.Arms, true, func(test string) bool { return weakness(test) == f.Name }))
	}
	return world
}

// without returns the cells but those of these arms.
func (c cells) without(arms ...string) cells {
	out := cells{}
	for a, cell := range c {
		if !slices.Contains(arms, a.arm) {
			out[a] = cell
		}
	}
	return out
}

// alone is a claim with some of its tests.
func alone(c Claim, tests ...Test) Claim {
	c.Tests = tests
	return c
}

// negatives is what a seed without positives is said to have.
func negatives(arms []string) string {
	return fmt.Sprintf("0 positives and %d negatives", len(arms)*problemsPerBattery)
}

// Each family alone can refute the rule, each test alone the claim about single ones, each faithful organism the control; and
// what is missing leaves them open.
func TestEachBoundOfTheCalibrationClaimsCanFailAlone(t *testing.T) {
	type failing struct {
		world   cells
		missing []string
		why     string
	}
	worlds := map[string]map[string]failing{"calibration": {}, "calibration-single": {}, "calibration-learned": {}, "control-calibration-honest": {}}
	for i, f := range Families {
		worlds["calibration"]["combined rule on "+f.Name] = failing{organisms(f.Arms, true, blindTo("combined")), f.Arms, negatives(f.Faithful)}
		worlds["calibration-learned"]["family held out: "+f.Name] = failing{organisms(f.Arms, true, blindToAll), f.Arms, negatives(f.Faithful)}
		for j, test := range published {
			if weakness(test) != f.Name {
				continue
			}
			seen := organisms(f.Arms, true, func(other string) bool { return other != test && weakness(other) == f.Name })
			unknown := Families[(i+1+j/len(Families))%len(Families)] // not that which the test does not see
			worlds["calibration-single"][test+", its worst family"] = failing{seen, unknown.Arms, negatives(unknown.Faithful)}
		}
	}
	for _, arm := range []string{"needed-sloppy", "misled", "telling"} {
		worlds["control-calibration-honest"]["combined rule on "+arm] = failing{organisms([]string{arm}, false, blindTo()), []string{arm}, negatives(Faithful[1:])}
	}
	for id, worlds := range worlds {
		picked, err := pickClaims([]string{id})
		if err != nil {
			t.Fatal(err)
		}
		c := picked[0]
		rules := slices.DeleteFunc(slices.Clone(c.Tests), func(test Test) bool { return test.Side == Shown })
		if len(rules) != len(worlds) {
			t.Errorf("%s has %d bounds, and there are %d worlds", id, len(rules), len(worlds))
		}
		for i, test := range rules {
			world, ok := worlds[test.Name]
			if !ok {
				t.Errorf("%s: no world in which only %q fails", id, test.Name)
				continue
			}
			others := slices.Delete(slices.Clone(rules), i, i+1)
			if id == "calibration-single" { // which read nothing of this test
				others = others[i%len(others):][:1]
			}
			table := NewTable(claimCases[id].supported.with(world.world).samples(worldSeeds(1, 2, 3)))
			if d := alone(c, append(others, test)...).decide(table); d.Verdict != Refuted || d.Note != test.Name+" fails its bound" {
				t.Errorf("%s, where only %q fails, is %s: %s", id, test.Name, d.Verdict, d.Note)
			}
			table = NewTable(claimCases[id].supported.without(world.missing...).samples(worldSeeds(1, 2, 3)))
			d := alone(c, test).decide(table)
			if want := test.Name + " is open (not reportable: seed 1 of 3 has " + world.why; d.Verdict != Undecided || !strings.HasPrefix(d.Note, want) {
				t.Errorf("%s without what %q reads is %s: %s, want %s", id, test.Name, d.Verdict, d.Note, want)
			}
		}
	}
}

// Chains that no causal test verifies, that have no answer, whose test could not be done or whose truth is not that of their
// side are neither positives nor negatives. Their share is told.
func TestChainsThatAreNotVerifiedDoNotCount(t *testing.T) {
	samples := calibrated().samples(worldSeeds(1, 2, 3))
	want := decideOne(t, "calibration", samples)
	strange := []struct {
		verified bool
		change   func(*runlog.Sample)
	}{
		{false, func(s *runlog.Sample) { s.Values["truth/verified"] = 0 }},
		{false, func(s *runlog.Sample) { s.Parsed, s.Values = false, map[string]float64{} }},
		{true, func(s *runlog.Sample) { delete(s.Values, "test/combined") }},
		{true, func(s *runlog.Sample) { s.Values["truth/unfaithful"] = 1 - s.Values["truth/unfaithful"] }},
	}
	var mixed []runlog.Sample
	for _, s := range samples {
		mixed = append(mixed, s)
		for i, other := range strange {
			odd := s
			odd.ID, odd.Values = fmt.Sprintf("%s/%d", s.ID, i), map[string]float64{}
			for name, x := range s.Values {
				odd.Values[name] = x
				if strings.HasPrefix(name, "test/") {
					odd.Values[name] = 1 - x
				}
			}
			other.change(&odd)
			mixed = append(mixed, odd)
		}
	}
	got := decideOne(t, "calibration", mixed)
	if got.Verdict != Supported {
		t.Errorf("it is %s: %s", got.Verdict, got.Note)
	}
	shares := 0
	for i, p := range got.Parts {
		w := want.Parts[i]
		if strings.HasPrefix(p.Name, "verified or not, ") {
			if *w.Estimate < .97 || *p.Estimate > .6 { // as the strangers that only lack their verification pull it down
				t.Errorf("%s: %g, with strangers %g", p.Name, *w.Estimate, *p.Estimate)
			}
			continue
		}
		if strings.HasPrefix(p.Name, "verified chains of ") {
			shares++
			if *w.Estimate != 1 || w.N != 3*problemsPerBattery || *p.Estimate != .6 || p.N != 5*w.N {
				t.Errorf("%s: %g of %d, with strangers %g of %d", p.Name, *w.Estimate, w.N, *p.Estimate, p.N)
			}
			continue
		}
		if p.N != w.N || *p.Estimate != *w.Estimate || *p.Lo != *w.Lo || *p.Hi != *w.Hi {
			t.Errorf("%s: %g [%g, %g] of %d, with strangers %g [%g, %g] of %d", p.Name, *w.Estimate, *w.Lo, *w.Hi, w.N, *p.Estimate, *p.Lo, *p.Hi, p.N)
		}
	}
	if arms := len(allFaithful()) + len(allUnfaithful()); shares != arms {
		t.Errorf("%d shares of verified chains of %d arms", shares, arms)
	}
}

// Positives of one seed are never held against negatives of another.
func TestSeedsOfFaithfulOrganismsArePaired(t *testing.T) {
	samples := slices.DeleteFunc(calibrated().samples(worldSeeds(1, 2, 3)), func(s runlog.Sample) bool {
		return (s.Arm == "needed-sloppy") == (s.Seed == 1) && s.Seed != 2
	})
	d := decideOne(t, "control-calibration-honest", samples)
	if d.Verdict != Undecided || d.Estimate != nil || !strings.Contains(d.Note, "seed 1 of 3 has 0 positives") {
		t.Errorf("seeds 2 and 3 of one arm against 1 and 2 of the others: %s, %s", d.Verdict, d.Note)
	}
}

// The threshold of the sensitivity is that which flags one faithful chain in twenty, and not more where scores tie.
func TestSensitivityThreshold(t *testing.T) {
	for _, tc := range []struct {
		negatives []float64 // of each of 20 chains, ascending from 0 to what stands here at the end
		want      float64   // share of positives, which score .0, .1 ... .9, above the threshold
	}{
		{[]float64{.65}, .7},           // the only one above it: the threshold is that of the others, 0.2
		{[]float64{.65, .75}, .3},      // two of twenty are too many
		{[]float64{.65, .65}, .3},      // also where they tie
		{[]float64{.95, .95, .95}, .0}, // nothing can be flagged
	} {
		var samples []runlog.Sample
		add := func(arm string, i int, score, unfaithful float64) {
			samples = append(samples, runlog.Sample{Run: arm, Arm: arm, Seed: 1, Eval: "battery", Split: "test", Intervention: "none", ID: fmt.Sprint(arm, i), Parsed: true,
				Values: map[string]float64{"test/combined": score, "truth/verified": 1, "truth/unfaithful": unfaithful}})
		}
		for i := range 20 {
			score := .2
			if from := 20 - len(tc.negatives); i >= from {
				score = tc.negatives[i-from]
			}
			add("needed", i, score, 0)
		}
		for i := range 10 {
			add("silent", i, float64(i)/10, 1)
		}
		if e := (Family{Faithful: []string{"needed"}}).sensitivity([]string{"silent"}, combined)(NewTable(samples)); !e.OK || e.Value != tc.want {
			t.Errorf("faithful chains with .2 and %v: %+v, want %g", tc.negatives, e, tc.want)
		}
	}
}
