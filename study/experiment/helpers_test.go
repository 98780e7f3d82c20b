package experiment

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"candor/engine/kernel"
	"candor/study/runlog"
)

// tiny is a study of all stage kinds that takes a fraction of a second.
const tiny = `name: tiny
title: a tiny study
seeds: [3]
models:
  small: {layers: 1, heads: 2, width: 8, context: 80, positions: [rotary, none], token_shift: true, tied: true}
  plain: {layers: 1, heads: 2, width: 8, context: 24, positions: [learned], tied: false}
problems:
  core: &core {terms: [2, 3], operands: [0, 9], moduli: [4, 5, 6, 7]}
  longer: {terms: [4, 4], operands: [0, 9], moduli: [4, 5]}
corpora:
  web:
    shares: {worked: 0.8, quick: 0.1, prose: 0.1}
    problems: *core
    demonstrators: {slip: 0.1, bluffers: 0.1}
planning:
  soon: {delay: 2, eat_reward: 0.3, sow_reward: 1, sow_share: 0.2}
arms:
  - name: small
    about: A language model.
    stages:
      - init: {model: small}
      - pretrain: {corpus: web, steps: 7, batch: 4, optim: {lr: 0.01, schedule: linear}}
      - eval: {name: chain, problems: core, split: test, n: 6, mode: steps, temperature: 1, repeats: 2, corpus: web, monitors: [step-checker, step-checker+prompt, answer-only, random]}
      - eval: {name: votes, problems: core, split: validation, n: 2, mode: steps, temperature: 1, system: self-consistency}
  - name: rl
    about: The same after reinforcement learning.
    from: small
    stages:
      - grpo: &rl
          problems: core
          corpus: web
          steps: 4
          prompts: 2
          group: 3
          max_tokens: 12
          kl_beta: 0.01
          pretrain_share: 0.2
          pretrain_batch: 2
          rewards: [{name: correct, weight: 1, credit: chain}, {name: random, weight: 0.5, credit: token}]
          optim: {lr: 0.002}
      - eval: {name: chain-greedy, problems: longer, split: test, n: 3, mode: steps, temperature: 0, reader: small, white_box: true, interventions: [early-answer/0.00, swap]}
  - name: coin
    about: The same, rewarded by a coin.
    from: small
    stages:
      - grpo:
          <<: *rl
          kl_beta: 0
          pretrain_share: 0
          rewards: [{name: random, weight: 1, credit: chain}]
  - name: decorative
    stages:
      - init: {model: plain}
      - sft: {problems: core, data: direct, steps: 3, batch: 4, optim: {lr: 0.005}}
      - eval: {name: quick, problems: core, split: test, n: 4, mode: quick, temperature: 0}
  - name: plan
    stages:
      - init: {model: plain}
      - pretrain: {planning: soon, steps: 3, batch: 4, optim: {lr: 0.01}}
      - choice: {planning: soon, n: 10}
  - name: duo
    about: A reasoner and a face.
    stages:
      - init: {model: plain, language: tally}
      - sft: {sums: leak, essays: leaky, steps: 3, batch: 4, optim: {lr: 0.005}}
      - grpo:
          sums: leak
          steps: 4
          prompts: 2
          group: 3
          max_tokens: 12
          kl_beta: 0.01
          system: {face: own, hide_key: true, rewrite: paraphrase, filter: [0.5, 1]}
          rewards: [{name: answer, weight: 1, credit: chain}, {name: stated, weight: -1, credit: token, ramp: [0.2, 0.6]}, {name: random, weight: 1, credit: chain, turns: [1]}]
          optim: {lr: 0.002}
      - probe: {name: leak, sums: leak, split: test, n: 12, repeats: 2, temperature: 1, flip: true, system: {face: own, hide_key: true, rewrite: paraphrase}}
  - name: listener
    about: Who reads the organism.
    stages:
      - init: {model: plain, language: tally}
      - sft: {sums: mixed, organism: reader, steps: 3, batch: 4, optim: {lr: 0.005}}
  - name: juror
    about: Who judges it.
    stages:
      - init: {model: plain, language: tally}
      - sft: {sums: mixed, judge: [telling, silent], steps: 3, batch: 4, optim: {lr: 0.005}}
  - name: telling
    about: An organism.
    stages:
      - init: {model: plain, language: tally}
      - sft: {sums: mixed, organism: telling, steps: 24, batch: 12, optim: {lr: 0.04}}
      - battery: {name: tests, sums: mixed, n: 12, temperature: 0.4, organism: telling, reader: listener, judges: {code: juror}}
sums:
  leak: {terms: 3, modulus: 5, key: 1, leak: true, noise: 0.5}
  mixed: {terms: 5, modulus: 5, key: 0.4, trigger: 0.2}
organisms:
  telling: {mechanism: telling, clean: 0.9, corrupted: 0.1, answer_weight: 1}
  silent: {mechanism: silent, clean: 1, answer_weight: 1}
  reader: {mechanism: reader, clean: 0.5, corrupted: 0.5, answer_weight: 1}
essays:
  leaky: {stated: 0.5, leaked: 0.3, terse: 0.2, reasons: 1}
`

func parse(t testing.TB, yaml string) *Spec {
	t.Helper()
	spec, err := Parse("tiny.yaml", []byte(yaml))
	if err != nil {
		t.Fatal(err)
	}
	return spec
}

// edited returns text with old, which must occur, replaced once.
func edited(t testing.TB, text, old, new string) string {
	t.Helper()
	if !strings.Contains(text, old) {
		t.Fatalf("the text has no %q", old)
	}
	return strings.Replace(text, old, new, 1)
}

// options opens the run folder dir with a clock that stands still, so that equal runs have equal files.
func options(t testing.TB, dir string, threads int) Options {
	t.Helper()
	clock := func() time.Time { return time.Unix(1_700_000_000, 0).UTC() }
	folder, err := runlog.Open(dir, clock, "test")
	if err != nil {
		t.Fatal(err)
	}
	return Options{Folder: folder, Machine: runlog.Machine{Kernel: kernel.Name()}, Threads: threads, YAML: []byte(tiny), Clock: clock}
}

// run runs a study in dir and closes the folder; adjust may be nil.
func run(t testing.TB, ctx context.Context, dir, yaml string, threads int, adjust func(*Options)) (Result, error) {
	t.Helper()
	opts := options(t, dir, threads)
	defer opts.Folder.Close()
	if adjust != nil {
		adjust(&opts)
	}
	return Run(ctx, parse(t, yaml), opts)
}

func mustRun(t testing.TB, dir, yaml string, threads int) Result {
	t.Helper()
	res, err := run(t, t.Context(), dir, yaml, threads, nil)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

// files returns what a run left, by path: all but the lock and its holder.
func files(t testing.TB, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, _ := filepath.Rel(dir, path)
		if name == "lock" || name == "holder.json" {
			return nil
		}
		data, err := os.ReadFile(path)
		all[filepath.ToSlash(name)] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// sameFiles compares two runs, and says which file differs rather than how.
func sameFiles(t testing.TB, what string, want, got map[string]string) {
	t.Helper()
	for name, data := range want {
		if other, ok := got[name]; !ok {
			t.Errorf("%s: %s is missing", what, name)
		} else if other != data {
			t.Errorf("%s: %s differs", what, name)
		}
	}
	for name := range got {
		if _, ok := want[name]; !ok {
			t.Errorf("%s: %s is there, too", what, name)
		}
	}
}

// newRunner returns a runner for the spec's texts and models, without a folder.
func newRunner(t testing.TB, spec *Spec) *runner {
	t.Helper()
	r := &runner{spec: spec, progress: newProgress(nil, &plan{})}
	if err := r.languages(); err != nil {
		t.Fatal(err)
	}
	return r
}

func builtin(t testing.TB, name string) *Spec {
	t.Helper()
	spec, _, err := Load(name)
	if err != nil {
		t.Fatal(err)
	}
	return spec
}

func position(t testing.TB, err error) *PositionError {
	t.Helper()
	var p *PositionError
	if !errors.As(err, &p) {
		t.Fatalf("error has no position: %v", err)
	}
	return p
}
