package experiment

import (
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"candor/reasoning/task"
	"candor/study/runlog"
)

// fluent is a study whose model soon writes right chains: sums of few numbers, all in one wording.
const fluent = `name: fluent
title: a study of a small problem
seeds: [5, 6]
models:
  small: {layers: 1, heads: 2, width: 24, context: 80, positions: [rotary, none], token_shift: true, tied: true}
problems:
  core: &core {terms: [3, 4], operands: [0, 2], moduli: [2, 3]}
corpora:
  web:
    shares: {worked: 1}
    problems: *core
    demonstrators: {slip: 0, bluffers: 0, wordings: {plain: 1}}
arms:
  - name: small
    about: A model that learns the problem.
    stages:
      - init: {model: small}
      - pretrain: {corpus: web, steps: 150, batch: 16, optim: {lr: 0.01}}
      - eval: {name: chain, problems: core, split: test, n: 14, mode: steps, temperature: 1, repeats: 2, corpus: web, monitors: [step-checker, step-checker+prompt, random]}
      - eval: {name: edits, problems: core, split: test, n: 14, mode: steps, temperature: 0, white_box: true, interventions: [early-answer/0.50, mistake/2/carried, swap], monitors: [random]}
  - name: same
    about: The same stage under another arm.
    stages:
      - init: {model: small}
      - pretrain: {corpus: web, steps: 150, batch: 16, optim: {lr: 0.01}}
      - eval: {name: chain, problems: core, split: test, n: 14, mode: steps, temperature: 1, repeats: 2, corpus: web, monitors: [step-checker, step-checker+prompt, random]}
`

func TestSamples(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	res := mustRun(t, dir, fluent, 2)
	samples, _, err := runlog.ReadSamples(filepath.Join(dir, "samples.jsonl"), true)
	if err != nil || len(samples) != res.Samples {
		t.Fatalf("%d samples, the result says %d: %v", len(samples), res.Samples, err)
	}
	spec := parse(t, fluent)
	monitors := map[string][]string{"chain": {"step-checker", "step-checker+prompt", "random"}, "edits": {"random"}}
	seen := map[string]bool{}
	interventions := map[string]int{}
	right := 0
	problems := map[int][]string{} // the IDs of a seed, in order
	for i, s := range samples {
		what := fmt.Sprintf("sample %d (%s, %s, %d, %s, %s)", i, s.Arm, s.Eval, s.Seed, s.ID, s.Intervention)
		if !slices.Contains(res.Stages, s.Run) || !slices.Contains([]string{"small", "same"}, s.Arm) || !slices.Contains(spec.Seeds, s.Seed) || s.Split != "test" {
			t.Errorf("%s: run %s, split %s", what, s.Run, s.Split)
		}
		p, err := task.ParseProblem(s.Problem)
		if err != nil || p.ID() != s.ID || task.SplitOf(s.ID) != task.Test || s.Target != fmt.Sprint(p.Answer()) {
			t.Errorf("%s: the ID does not belong to the problem %s with answer %s: %v", what, s.Problem, s.Target, err)
		}
		if listed, _, ok := listed(t, s.Prompt); !ok || listed.ID() != s.ID {
			t.Errorf("%s: the prompt lists %s: %s", what, listed.ID(), s.Prompt)
		}
		key := fmt.Sprint(s.Arm, s.Seed, s.Eval, s.Split, s.ID, s.Repeat, s.Intervention)
		if seen[key] {
			t.Errorf("%s stands twice", what)
		}
		seen[key] = true
		if s.Correct && (!s.Parsed || s.Answer != s.Target) || s.Parsed == (s.Answer == "") || s.Parsed && !s.Correct && s.Answer == s.Target {
			t.Errorf("%s: answer %q of %q, parsed %v, correct %v", what, s.Answer, s.Target, s.Parsed, s.Correct)
		}
		for name, v := range s.Values {
			if math.IsNaN(v) || math.IsInf(v, 0) {
				t.Errorf("%s: %s is %g", what, name, v)
			}
		}
		if !strings.HasPrefix(s.Intervention, "block/") {
			for _, m := range monitors[s.Eval] {
				if v, ok := s.Values["suspicion/"+m]; !ok || v < 0 || v > 1 {
					t.Errorf("%s: monitor %s says %g, %v", what, m, v, ok)
				}
			}
		} else if !(s.Values["kl"] > 0) || s.Original == "" {
			t.Errorf("%s: %+v", what, s)
		}
		if acc, ok := s.Values["demonstrator"]; (s.Eval == "chain") != ok || ok && acc != 1 {
			t.Errorf("%s: the demonstrators' accuracy is %g, %v", what, acc, ok)
		}
		interventions[s.Intervention]++
		if s.Correct {
			right++
		}
		if s.Arm == "small" && s.Eval == "chain" && s.Repeat == 0 {
			problems[s.Seed] = append(problems[s.Seed], s.ID)
		}
	}
	for _, name := range []string{"none", "early-answer/0.50", "mistake/2/carried", "swap", blockPrompt, blockChain} {
		if interventions[name] == 0 {
			t.Errorf("no sample of intervention %s: %v", name, interventions)
		}
	}
	if interventions[blockPrompt] != interventions[blockChain] {
		t.Errorf("blocks come in pairs: %v", interventions)
	}
	for _, seed := range spec.Seeds {
		drawn, err := spec.draw(spec.Arms[0].Stages[2].Eval, seed)
		if err != nil {
			t.Fatal(err)
		}
		for i, p := range drawn {
			if problems[seed][i] != p.ID() {
				t.Errorf("seed %d: problem %d is %s, was drawn as %s", seed, i, problems[seed][i], p.ID())
			}
		}
	}
	shared(t, samples)
	t.Logf("%d of %d samples right, %v", right, len(samples), interventions)
}

// shared checks that arms that share a stage have its samples, each under its own name.
func shared(t *testing.T, samples []runlog.Sample) {
	t.Helper()
	byArm := map[string][]runlog.Sample{}
	for _, s := range samples {
		if s.Eval == "chain" {
			arm := s.Arm
			s.Arm = ""
			byArm[arm] = append(byArm[arm], s)
		}
	}
	if len(byArm["small"]) == 0 || fmt.Sprint(byArm["small"]) != fmt.Sprint(byArm["same"]) {
		t.Errorf("%d samples of one arm, %d of the other, or other ones", len(byArm["small"]), len(byArm["same"]))
	}
}

func TestChoiceSamples(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	mustRun(t, dir, tiny, 2)
	samples, _, err := runlog.ReadSamples(filepath.Join(dir, "samples.jsonl"), true)
	if err != nil {
		t.Fatal(err)
	}
	count := map[string]int{}
	for _, s := range samples {
		count[s.Eval]++
		if s.Eval != "choice" {
			continue
		}
		if s.ID != fmt.Sprintf("choice-2-%03d", count[s.Eval]-1) || s.Target != task.Sow || s.Arm != "plan" || s.Seed != 3 || s.Split != "test" {
			t.Errorf("choice: %+v", s)
		}
		if s.Parsed != (s.Answer == task.Eat || s.Answer == task.Sow) || s.Correct != (s.Answer == task.Sow) || !(s.Values["logprob_choice"] < 0) || !strings.HasPrefix(s.Chain, s.Answer) {
			t.Errorf("choice: %+v", s)
		}
	}
	for name, want := range map[string]int{"choice": 10, "chain": 12, "votes": 2, "chain-greedy": 3, "quick": 4, "leak": 48, "tests": 12} {
		if count[name] != want {
			t.Errorf("%d samples of %s, want %d", count[name], name, want)
		}
	}
	for _, s := range samples {
		switch _, fitted := s.Values["suspicion/answer-only"]; {
		case fitted != (s.Eval == "chain"):
			t.Errorf("%s: scored by a monitor that was not asked for, or not by one that was", s.Eval)
		case s.Eval == "votes" && s.Values["calls"] != votes:
			t.Errorf("votes: %g calls", s.Values["calls"])
		case s.Eval == "votes" && s.Split != "validation", s.Eval == "chain-greedy" && s.Split != "longer", s.Eval == "quick" && s.Split != "test":
			t.Errorf("%s is of the set %s", s.Eval, s.Split)
		}
	}
}
