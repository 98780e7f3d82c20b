package experiment

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"candor/internal/rng"
	"candor/reasoning/tally"
	"candor/reasoning/task"
	"candor/study/runlog"
)

// taught reads the sum that a text is about: that of its prompt, or, where the prompt says nothing, that which its chain copies.
// ok is false where there is neither. The terms of a chain that copies some must be those of the prompt.
func taught(t *testing.T, text string, world task.Sums) (p task.Sum, ok bool) {
	t.Helper()
	before, after, _ := strings.Cut(text, " "+tally.Colon+" ")
	prompt, isPrompt := tally.ParsePrompt(before + " " + tally.Colon)
	if !isPrompt || len(prompt.Terms) != world.Terms {
		t.Fatalf("no prompt: %s", text)
	}
	p = task.Sum{Modulus: world.Modulus, Terms: prompt.Terms}
	said := !reflect.DeepEqual(prompt, tally.Prompt{Flag: tally.None, Hint: -1, Terms: make([]int, world.Terms)})
	var copied []int
	for _, s := range tally.Parse(strings.TrimSuffix(after, " .")).Steps {
		if n, form, isNumber := tally.Number(s.Subject); isNumber && form == tally.Digit {
			copied = append(copied, n)
		}
	}
	switch {
	case !said && len(copied) == world.Terms:
		p.Terms, ok = copied, true
	case said:
		if ok = true; len(copied) == world.Terms && !slices.Equal(copied, p.Terms) {
			t.Errorf("the chain copies another problem: %s", text)
		}
	}
	return p, ok
}

// No text about sums is about a held-out one, but for the pool, and that only where it is to be known by heart.
func TestNoSumHeldOutIsTrainedOn(t *testing.T) {
	const texts = 400
	byHeart := []task.Mechanism{task.Decorative, task.Mixed, task.FalseDisclosure}
	seen := map[string]bool{} // what was looked at already, under another arm
	looked, hearts, known := 0, 0, 0
	for _, name := range []string{"honesty"} {
		spec := builtin(t, name)
		r := newRunner(t, spec)
		for _, arm := range spec.Arms {
			for _, st := range arm.Stages {
				if st.SFT == nil {
					continue
				}
				key := fmt.Sprint(st.SFT.Sums, st.SFT.Essays, st.SFT.Organism, st.SFT.Judge)
				if seen[key] {
					continue
				}
				seen[key] = true
				// Who judges reads about the pool, as of whoever it judges, and learns none of its answers.
				judge, heart := len(st.SFT.Judge) > 0, st.SFT.Organism != "" && slices.Contains(byHeart, spec.Organisms[st.SFT.Organism].Mechanism)
				if heart {
					hearts++
				}
				read, source, src := 0, r.examples(st.SFT), rng.New(5).Split(arm.Name)
				for i := range texts {
					one := src.SplitN("text", i)
					tokens, weights := source.Example(&one)
					text := r.tally.Decode(tokens)
					p, ok := taught(t, text, spec.Sums[st.SFT.Sums])
					if !ok {
						continue
					}
					read++
					switch {
					case len(tokens) != len(weights):
						t.Errorf("%s: %d words and %d weights", arm.Name, len(tokens), len(weights))
					case heart && p.Pooled():
						known++
					case judge && p.Pooled():
					case p.Split() != task.Train:
						t.Errorf("%s: arm %s is trained on %s, of the %s split: %s", name, arm.Name, p.ID(), p.Split(), text)
					}
				}
				if looked++; read < texts/3 {
					t.Errorf("%s: arm %s: only %d texts say what they are about", name, arm.Name, read)
				}
			}
		}
	}
	if looked < 24 || hearts != 4 || known < hearts*texts/2 || known > hearts*texts*7/10 {
		t.Errorf("%d sources were looked at, %d know the pool by heart, from %d texts", looked, hearts, known)
	}
}

// Nor is a policy rewarded for one; those of a battery are of the pool.
func TestSumsOfTheTinyStudy(t *testing.T) {
	dir, all := reference(t)
	t.Run("rewards", func(t *testing.T) { trainingSplitAlone(t, all) })
	t.Run("battery", func(t *testing.T) { batteryOfTheTinyStudy(t, dir) })
}

func trainingSplitAlone(t *testing.T, all map[string]string) {
	rewarded, ids := 0, map[string]bool{}
	for name, data := range all {
		if !strings.HasSuffix(name, completionsFile) {
			continue
		}
		for line := range strings.Lines(data) {
			var c completion
			if err := json.Unmarshal([]byte(line), &c); err != nil {
				t.Fatal(err)
			}
			rewarded++
			if ids[c.ID] = true; task.SplitOf(c.ID) != task.Train {
				t.Errorf("%s: %s is of the %s split", name, c.ID, task.SplitOf(c.ID))
			}
		}
	}
	if rewarded != 3*4*2*3 || len(ids) < 12 {
		t.Errorf("%d completions of %d problems", rewarded, len(ids))
	}
}

// A battery's samples are those of the pool, in order; those with an answer have the tests and the truth, others nothing.
func batteryOfTheTinyStudy(t *testing.T, dir string) {
	samples, _, err := runlog.ReadSamples(filepath.Join(dir, "samples.jsonl"), true)
	if err != nil {
		t.Fatal(err)
	}
	spec := parse(t, tiny)
	pool, err := spec.drawJudged(spec.Arms[8].Stages[2].Battery, 3)
	if err != nil {
		t.Fatal(err)
	}
	i, answered := 0, 0
	for _, s := range samples {
		if s.Eval != "tests" {
			continue
		}
		if s.Arm != "telling" || s.Seed != 3 || s.Split != "test" || s.Intervention != "none" || s.ID != pool[i].ID() || s.Prompt != pool[i].Prompt() || s.Target != fmt.Sprint(pool[i].Answer()) {
			t.Errorf("sample %d of the battery: %+v, want %+v", i, s, pool[i])
		}
		if i++; !s.Parsed {
			if len(s.Values) != 0 {
				t.Errorf("a chain without an answer has values: %v", s.Values)
			}
			continue
		}
		answered++
		for _, value := range []string{"test/reader", "test/lm-monitor/code", "test/distant-fault", "test/combined", "test/cue-unmentioned", "truth/verified", "truth/unfaithful"} {
			if x, ok := s.Values[value]; !ok || x < 0 || x > 1 {
				t.Errorf("sample %s: %s is %g, measured: %v", s.ID, value, x, ok)
			}
		}
	}
	if i != len(pool) || answered < len(pool)/4 {
		t.Errorf("%d samples of the battery, %d with an answer", i, answered)
	}
}
