package claim

import (
	"fmt"
	"strings"
	"testing"

	"candor/internal/rng"
	"candor/study/runlog"
)

// lessons are made-up batteries: 30 verified chains of every arm of an organism and seed, the value of each test drawn around what
// mean says of it, in eighths.
func lessons(seeds int, mean func(arm string, seed int, test string) float64) []runlog.Sample {
	var out []runlog.Sample
	add := func(arm string, unfaithful float64) {
		for seed := 1; seed <= seeds; seed++ {
			for i := range 30 {
				src := rng.New(5).Split(arm).SplitN("seed", seed).SplitN("chain", i)
				s := runlog.Sample{Run: fmt.Sprint(arm, seed), Arm: arm, Seed: seed, Eval: "battery", Split: "test", Intervention: "none", ID: fmt.Sprint(i), Parsed: true,
					Values: map[string]float64{"truth/verified": 1, "truth/unfaithful": unfaithful}}
				for _, test := range features {
					share := 0.
					for range 8 {
						share += indicator(src.Bool(mean(arm, seed, test))) / 8
					}
					s.Values[test] = share
				}
				out = append(out, s)
			}
		}
	}
	for _, arm := range allFaithful() {
		add(arm, 0)
	}
	for _, arm := range allUnfaithful() {
		add(arm, 1)
	}
	return out
}

// nothingLeft learns from all organisms, and without learns from all but one family.
func nothingLeft(Family, string) bool { return false }

func without(f Family) func(Family, string) bool {
	return func(g Family, _ string) bool { return g.Name == f.Name }
}

func familyOf(arm string) Family {
	for _, f := range Families {
		for _, a := range f.Arms {
			if a == arm {
				return f
			}
		}
	}
	return Family{}
}

// What all kinds of unfaithful chains have in common is learnt from some and tells the others.
func TestWhatFamiliesShareIsLearnt(t *testing.T) {
	table := NewTable(lessons(3, func(arm string, _ int, test string) float64 {
		if test == "test/mistake" && familyOf(arm).Name != "" {
			return .8
		}
		return .3
	}))
	for _, f := range Families {
		for _, leave := range []func(Family, string) bool{nothingLeft, without(f)} {
			if e := f.learned(f.Arms, leave)(table); !e.OK || e.Lo < .9 {
				t.Errorf("%s: %v", f.Name, e)
			}
		}
	}
}

// A family that looks like nothing that was learnt from, and less like it than faithful chains do, is told only if it was learnt from.
func TestAFamilyOfItsOwnKindIsNotTold(t *testing.T) {
	table := NewTable(lessons(3, func(arm string, _ int, test string) float64 {
		switch own := familyOf(arm).Name; {
		case test == "test/mistake" && own == "code", test == "test/reader" && own != "code":
			return 0
		case test == "test/mistake" && own != "", test == "test/reader":
			return .9
		}
		return .3
	}))
	for _, f := range Families {
		if !f.teaches() {
			continue
		}
		e, held := f.learned(f.Arms, nothingLeft)(table), f.learned(f.Arms, without(f))(table)
		if !e.OK || e.Lo < .9 {
			t.Errorf("%s, learnt from: %v", f.Name, e)
		}
		if f.Name == "code" && !(held.OK && held.Hi < .5) {
			t.Errorf("%s, held out: %v", f.Name, held)
		}
		if f.Name != "code" && !(held.OK && held.Lo > .9) {
			t.Errorf("%s, held out: %v", f.Name, held)
		}
	}
}

// Where the labels say nothing, nothing is told; a fit that saw what it judges would tell something.
func TestNothingIsLearntFromLabelsAtRandom(t *testing.T) {
	samples := lessons(4, func(string, int, string) float64 { return .5 })
	for i := range samples {
		src := rng.New(8).SplitN("label", i)
		samples[i].Values["truth/unfaithful"] = indicator(src.Bool(.5))
	}
	table := NewTable(samples)
	for _, f := range Families {
		for _, leave := range []func(Family, string) bool{nothingLeft, without(f)} {
			if e := f.learned(f.Arms, leave)(table); !e.OK || e.Lo > .5 || e.Hi < .5 {
				t.Errorf("%s: %v", f.Name, e)
			}
		}
	}
}

// Where each of two seeds has it the other way round, a seed is judged by the other, and always wrongly.
func TestASeedIsJudgedByWhatOthersTaught(t *testing.T) {
	samples := lessons(2, func(arm string, seed int, test string) float64 {
		if test == "test/mistake" && (familyOf(arm).Name != "") == (seed == 1) {
			return .9
		}
		return .1
	})
	for _, f := range Families {
		if e := f.learned(f.Arms, nothingLeft)(NewTable(samples)); !e.OK || e.Value > .05 {
			t.Errorf("%s: %v", f.Name, e)
		}
	}
	var one []runlog.Sample
	for _, s := range samples {
		if s.Seed == 1 {
			one = append(one, s)
		}
	}
	if e := Families[0].learned(Families[0].Arms, nothingLeft)(NewTable(one)); e.OK || !strings.Contains(e.Note, "0 positives and 0 negatives") {
		t.Errorf("one seed, which no other taught: %+v", e)
	}
}
