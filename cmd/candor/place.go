package main

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"candor/engine/checkpoint"
	"candor/study/experiment"
	"candor/study/runlog"
)

// place is where a model lies that a user named: a checkpoint folder, or an arm and seed of a run.
type place struct {
	dir       string
	run       *runlog.RunManifest // nil for a checkpoint folder
	arm, seed string              // of a run
}

// findPlace reads RUN, RUN:ARM, RUN:ARM:SEED or the name of a checkpoint folder.
func findPlace(name string) (*place, error) {
	dir, arm, seed := splitModel(name)
	if exists(filepath.Join(dir, "config.json")) {
		if arm != "" {
			return nil, usageError{fmt.Errorf("%s is a checkpoint, which has no arms: leave out %q", dir, name[len(dir):])}
		}
		return &place{dir: dir}, nil
	}
	if !exists(filepath.Join(dir, "manifest.json")) {
		if !exists(dir) {
			return nil, fmt.Errorf("there is no run folder or checkpoint folder %s", dir)
		}
		return nil, fmt.Errorf("%s is neither a run folder (it has no manifest.json) nor a checkpoint (it has no config.json)", dir)
	}
	m, err := runlog.ReadRunManifest(filepath.Join(dir, "manifest.json"))
	if err != nil {
		return nil, fmt.Errorf("%s is no run folder: %w", dir, err)
	}
	if arm == "" {
		arm = showcase
		// a study of honesty has others
		for _, a := range slices.Backward(systemArms) {
			if slices.ContainsFunc(m.Arms, func(b runlog.Arm) bool { return b.Name == a.name }) {
				arm = a.name
			}
		}
	}
	if seed, err = pickSeed(m, dir, seed); err != nil {
		return nil, err
	}
	return &place{dir: dir, run: &m, arm: arm, seed: seed}, nil
}

// stage returns the folder of the training stage that the place's model is from.
func (p *place) stage() (string, error) {
	if p.run == nil {
		return filepath.Dir(p.dir), nil
	}
	return armStage(*p.run, p.dir, p.arm, p.seed)
}

// load reads the model.
func (p *place) load() (checkpoint.Checkpoint, error) {
	if p.run == nil {
		return checkpoint.Load(p.dir)
	}
	stage, err := p.stage()
	if err != nil {
		return checkpoint.Checkpoint{}, err
	}
	return checkpoint.Load(filepath.Join(stage, "model"))
}

// String says where the model is from.
func (p *place) String() string {
	if p.run == nil {
		return p.dir
	}
	return fmt.Sprintf("arm %s, seed %s, of %s", p.arm, p.seed, p.dir)
}

// reasoner makes the model of the place, of labelled problems, ready to talk.
func (p *place) reasoner(c checkpoint.Checkpoint, name string) (*reasoner, error) {
	r := &reasoner{Checkpoint: c, about: p.String()}
	if p.run != nil {
		// a spec of another version of candor may not be readable; then nothing is known about the training
		if spec, err := experiment.Parse(p.run.Study+".yaml", []byte(p.run.Spec)); err == nil {
			r.trained = core(spec)
		}
	}
	return newReasoner(r, name)
}

// splitModel takes RUN, RUN:ARM or RUN:ARM:SEED apart. A folder's name may have colons, too: what exists as a whole is
// taken as a whole.
func splitModel(name string) (dir, arm, seed string) {
	if exists(name) {
		return name, "", ""
	}
	if i := strings.LastIndexByte(name, ':'); i > 0 {
		if j := strings.LastIndexByte(name[:i], ':'); j > 0 && !exists(name[:i]) {
			return name[:j], name[j+1 : i], name[i+1:]
		}
		return name[:i], name[i+1:], ""
	}
	return name, "", ""
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// pickSeed checks that a run has a seed; "" is the lowest.
func pickSeed(m runlog.RunManifest, dir, seed string) (string, error) {
	if len(m.Seeds) == 0 {
		return "", fmt.Errorf("the manifest of %s names no seeds", dir)
	}
	if seed == "" {
		return strconv.Itoa(slices.Min(m.Seeds)), nil
	}
	var all []string
	for _, s := range m.Seeds {
		all = append(all, strconv.Itoa(s))
	}
	if !slices.Contains(all, seed) {
		return "", usageError{fmt.Errorf("%s has no seed %q; choose from: %s", dir, seed, strings.Join(all, ", "))}
	}
	return seed, nil
}

// armStage returns the folder of the stage whose model an arm of a run ended with.
func armStage(m runlog.RunManifest, dir, name, seed string) (string, error) {
	arms := map[string]runlog.Arm{}
	var names []string
	for _, a := range m.Arms {
		arms[a.Name] = a
		names = append(names, a.Name)
	}
	if _, ok := arms[name]; !ok {
		return "", usageError{fmt.Errorf("%s has no arm %q; choose one with --model %s:ARM from: %s", dir, name, dir, strings.Join(names, ", "))}
	}
	// an arm that only measures has the model of the one it starts from
	for arm := name; arm != ""; {
		a := arms[arm]
		delete(arms, arm) // a manifest that leads in a circle ends here
		stages, ok := a.Stages[seed]
		if !ok {
			return "", usageError{fmt.Errorf("arm %s of %s has no seed %s; choose from: %s", arm, dir, seed, strings.Join(slices.Sorted(maps.Keys(a.Stages)), ", "))}
		}
		for i := len(stages) - 1; i >= 0; i-- {
			if i >= len(a.Kinds) || !slices.Contains([]string{"init", "pretrain", "sft", "grpo"}, a.Kinds[i]) {
				continue
			}
			stage := filepath.Join("stages", stages[i])
			if !filepath.IsLocal(stage) {
				return "", fmt.Errorf("the manifest of %s names a stage outside of it: %q", dir, stages[i])
			}
			status, err := runlog.ReadStatus(filepath.Join(dir, stage, "status.json"))
			if err != nil {
				return "", err
			}
			if status.State != runlog.Done {
				return "", fmt.Errorf("arm %s, seed %s, of %s is not trained yet: its stage %s is %s", name, seed, dir, stages[i], status.State)
			}
			return filepath.Join(dir, stage), nil
		}
		arm = a.From
	}
	return "", errors.New("arm " + name + " of " + dir + " has no model")
}
