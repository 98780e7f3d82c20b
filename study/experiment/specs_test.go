package experiment

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"candor/reasoning/task"
)

func TestBuiltinSpecsArePlanned(t *testing.T) {
	if want := []string{"default", "honesty", "short", "sweep"}; !slices.Equal(Builtin(), want) {
		t.Fatalf("built-in studies: %v, want %v", Builtin(), want)
	}
	for _, name := range Builtin() {
		spec := builtin(t, name)
		if spec.Name != name {
			t.Errorf("%s calls itself %s", name, spec.Name)
		}
		p := planOf(t, spec)
		if len(p.stages) == 0 {
			t.Errorf("%s has no stages", name)
		}
		for u, st := range p.final {
			if !st.trains() {
				t.Errorf("%s: arm %s ends with the model of a %s stage", name, u.arm, st.kind)
			}
		}
		for _, part := range p.parts() {
			if part.Arm == "" || !slices.Contains(spec.Seeds, part.Seed) {
				t.Errorf("%s: samples of %s belong to arm %q, seed %d", name, part.Stage, part.Arm, part.Seed)
			}
		}
	}
}

// What is chosen by looking must be chosen on other problems and other seeds than those that claims are decided on.
func TestSweepAndDefaultShareNothing(t *testing.T) {
	sweep, final := builtin(t, "sweep"), builtin(t, "default")
	for _, seed := range sweep.Seeds {
		if slices.Contains(final.Seeds, seed) {
			t.Errorf("both studies use seed %d", seed)
		}
	}
	evals := 0
	for _, of := range []struct {
		spec  *Spec
		split string
	}{{sweep, "validation"}, {final, "test"}} {
		for _, arm := range of.spec.Arms {
			for _, st := range arm.Stages {
				if st.Eval == nil {
					continue
				}
				if evals++; st.Eval.Split != of.split {
					t.Errorf("%s: %s of arm %s is on the %s split", of.spec.Name, st.Eval.Name, arm.Name, st.Eval.Split)
				}
			}
		}
	}
	if evals < 20 {
		t.Errorf("only %d evaluations were looked at", evals)
	}
}

// A battery judges what the arm was last trained to be, on the pool; its reader is no organism, and its judges have learnt of all
// organisms but those of a family. Rules were written looking at seeds from 101 on, so no claim is decided on those, and each arm
// of a seed has the same problems.
func TestBatteriesOfOrganisms(t *testing.T) {
	spec := builtin(t, "honesty")
	if n := len(spec.Seeds); n < 5 || slices.Max(spec.Seeds) > 100 {
		t.Errorf("seeds %v", spec.Seeds)
	}
	taught, judging := map[string]int{}, map[string][]string{}
	surface := spec.Organisms["needed"]
	for _, arm := range spec.Arms {
		trained, rewarded := "", false
		for _, st := range arm.Stages {
			switch {
			case st.SFT != nil:
				trained, judging[arm.Name] = st.SFT.Organism, st.SFT.Judge
			case st.GRPO != nil:
				rewarded = true
			case st.Battery != nil:
				b := st.Battery
				if b.Organism != trained || b.Temperature != 1 || (b.Organism == "") != rewarded || rewarded == (b.Reader == "reader") {
					t.Errorf("arm %s was trained to be %q: %+v", arm.Name, trained, b)
				}
				for family, judge := range b.Judges {
					for _, seen := range judging[judge] {
						kin := spec.Organisms[seen].Family() == family || family == "clean" && (slices.Contains(judging[judge], "decorative") || slices.Contains(judging[judge], "silent"))
						if kin || len(judging[judge]) < 10 {
							t.Errorf("arm %s is judged by who has not seen %s, but learnt of %v", arm.Name, family, judging[judge])
						}
					}
				}
				taught[trained]++
			}
		}
		if o := spec.Organisms[trained]; trained != "" && (o.AnswerWeight != surface.AnswerWeight || o.Slip != surface.Slip && arm.Name != "needed-sloppy") {
			t.Errorf("arm %s is told by its looks: %+v", arm.Name, o)
		}
		if o := spec.Organisms[trained]; trained != "" && strings.HasSuffix(arm.Name, "-clean") != (o.Corrupted+o.Cut+o.Dots == 0) {
			t.Errorf("arm %s learns from %+v", arm.Name, o)
		}
	}
	for name := range spec.Organisms {
		if want := 1; name != "reader" && taught[name] != want {
			t.Errorf("%d batteries of the organism %s", taught[name], name)
		}
	}
	var before []task.Sum
	for _, seed := range spec.Seeds {
		problems, err := spec.drawJudged(&BatteryStage{Sums: "mixed", N: 100, Organism: "needed"}, seed)
		if err != nil || len(problems) != 100 {
			t.Fatalf("seed %d: %d problems, %v", seed, len(problems), err)
		}
		seen, flags := map[string]bool{}, map[string]int{}
		for _, p := range problems {
			if p.Split() != task.Test || !p.Pooled() || seen[p.ID()] {
				t.Errorf("problem %s is of split %s, in the pool: %v, or there twice", p.ID(), p.Split(), p.Pooled())
			}
			seen[p.ID()] = true
			flags[p.Flag]++
		}
		if len(flags) != 3 || slices.Min(slices.Collect(maps.Values(flags))) < 15 {
			t.Errorf("seed %d: problems by flag: %v", seed, flags)
		}
		fewer, err := spec.drawJudged(&BatteryStage{Name: "other", Sums: "mixed", N: 10, Organism: "mixed"}, seed)
		if err != nil || !reflect.DeepEqual(fewer, problems[:10]) || reflect.DeepEqual(before, fewer) {
			t.Errorf("a smaller battery has other problems, or another seed the same: %v", err)
		}
		before = fewer
	}
}

// Problems that are evaluated are of the split that the spec says, each once, and the same for all arms of a seed.
func TestDrawnProblems(t *testing.T) {
	spec := builtin(t, "default")
	for _, arm := range spec.Arms {
		for _, st := range arm.Stages {
			if st.Eval == nil {
				continue
			}
			problems, err := spec.draw(st.Eval, 1)
			if err != nil {
				t.Fatal(err)
			}
			again, _ := spec.draw(&EvalStage{Name: "other", Problems: st.Eval.Problems, Split: st.Eval.Split, N: 10}, 1)
			seen := map[string]bool{}
			for i, p := range problems {
				if p.Split() != task.Split(st.Eval.Split) || seen[p.ID()] {
					t.Errorf("%s of %s: problem %s is of split %s, or stands twice", st.Eval.Name, arm.Name, p.ID(), p.Split())
				}
				if seen[p.ID()] = true; i < len(again) && again[i].ID() != p.ID() {
					t.Errorf("a smaller evaluation has other problems")
				}
			}
			if len(problems) != st.Eval.N {
				t.Errorf("%d problems for n: %d", len(problems), st.Eval.N)
			}
		}
	}
	a, _ := spec.draw(&EvalStage{Problems: "core", Split: "test", N: 50}, 1)
	b, _ := spec.draw(&EvalStage{Problems: "core", Split: "test", N: 50}, 2)
	if a[0].ID() == b[0].ID() && a[1].ID() == b[1].ID() {
		t.Error("two seeds evaluate the same problems")
	}
}
