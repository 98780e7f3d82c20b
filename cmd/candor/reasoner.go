package main

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"candor/engine/checkpoint"
	"candor/engine/decode"
	"candor/engine/tensor"
	"candor/engine/tokenizer"
	"candor/reasoning/cot"
	"candor/reasoning/task"
	"candor/study/experiment"
	"candor/study/runlog"
)

// reasonerFiles is the checkpoint that candor chat uses unless told otherwise: arm small-rl, lowest seed, of the default
// study. To take it from a newer run, copy the model folder of that arm's grpo stage (its name is in the run's
// manifest.json) over reasoner/.
//
//go:embed reasoner/config.json reasoner/model.safetensors reasoner/tokenizer.json
var reasonerFiles embed.FS

// showcase is the arm whose model chat takes from a run.
const showcase = "small-rl"

// reasoner is a model to talk to.
type reasoner struct {
	checkpoint.Checkpoint
	gen *decode.Generator
	// about says where it is from.
	about string
	// trained is what the problems it was trained on were like; nil if that is not known.
	trained *task.Range
}

// loadReasoner reads the model that name stands for: the embedded one (""), a checkpoint folder, a run folder, or an arm
// of a run, RUN:ARM or RUN:ARM:SEED.
func loadReasoner(name string) (*reasoner, error) {
	var r *reasoner
	var err error
	if name == "" {
		r, err = embedded()
	} else {
		r, err = load(name)
	}
	if err != nil {
		return nil, err
	}
	for _, word := range promptWords() {
		if _, ok := r.Tokenizer.ID(word); !ok {
			return nil, fmt.Errorf("the model in %s does not speak the language of candor's problems: it has no word %q", name, word)
		}
	}
	r.gen, err = decode.NewGenerator(r.Model, r.Tokenizer, tensor.NewPool(1))
	return r, err
}

// promptWords lists every word that the prompts of problems are made of.
func promptWords() []string {
	p := task.Problem{Operands: make([]int, task.MaxTerms), Modulus: 2}
	words := append(strings.Fields(p.Prompt(task.Steps)), strings.Fields(p.Prompt(task.Quick))...)
	for n := cot.MinNumber; n <= cot.MaxNumber; n++ {
		words = append(words, strconv.Itoa(n))
	}
	return append(words, tokenizer.End)
}

func embedded() (*reasoner, error) {
	files, err := fs.Sub(reasonerFiles, "reasoner")
	if err != nil {
		return nil, err
	}
	c, err := checkpoint.LoadFS(files)
	if err != nil {
		return nil, fmt.Errorf("the model inside this program cannot be read: %w", err)
	}
	spec, _, err := experiment.Load("default")
	if err != nil {
		return nil, err
	}
	return &reasoner{Checkpoint: c, about: "arm " + showcase + " of the default study", trained: core(spec)}, nil
}

// core returns the problems that a study trains on.
func core(spec *experiment.Spec) *task.Range {
	if r, ok := spec.Problems["core"]; ok {
		return &r
	}
	return nil
}

func load(name string) (*reasoner, error) {
	dir, arm, seed := splitModel(name)
	if exists(filepath.Join(dir, "config.json")) {
		if arm != "" {
			return nil, usageError{fmt.Errorf("%s is a checkpoint, which has no arms: leave out %q", dir, name[len(dir):])}
		}
		c, err := checkpoint.Load(dir)
		return &reasoner{Checkpoint: c, about: dir}, err
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
	}
	seed, err = pickSeed(m, dir, seed)
	if err != nil {
		return nil, err
	}
	model, err := armModel(m, dir, arm, seed)
	if err != nil {
		return nil, err
	}
	r := &reasoner{about: fmt.Sprintf("arm %s, seed %s, of %s", arm, seed, dir)}
	// a spec of another version of candor may not be readable; then nothing is known about the training
	if spec, err := experiment.Parse(m.Study+".yaml", []byte(m.Spec)); err == nil {
		r.trained = core(spec)
	}
	r.Checkpoint, err = checkpoint.Load(model)
	return r, err
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

// armModel returns the folder of the model that an arm of a run ended with.
func armModel(m runlog.RunManifest, dir, name, seed string) (string, error) {
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
	for arm := name; arm != ""; arm = arms[arm].From {
		a := arms[arm]
		delete(arms, arm) // a manifest that leads in a circle ends here
		stages := a.Stages[seed]
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
			return filepath.Join(dir, stage, "model"), nil
		}
	}
	return "", errors.New("arm " + name + " of " + dir + " has no model")
}

// unlike says in what a problem differs from all that the model was trained on; "" if in nothing, or if that is not known.
func (r *reasoner) unlike(p task.Problem) string {
	t := r.trained
	if t == nil {
		return ""
	}
	var odd []string
	if n := len(p.Operands); n < t.Terms[0] || n > t.Terms[1] {
		odd = append(odd, fmt.Sprintf("%d numbers", n))
	}
	for _, n := range p.Operands {
		if n < t.Operands[0] || n > t.Operands[1] {
			odd = append(odd, fmt.Sprintf("the number %d", n))
			break
		}
	}
	if !slices.Contains(t.Moduli, p.Modulus) {
		odd = append(odd, fmt.Sprintf("mod %d", p.Modulus))
	}
	return strings.Join(odd, ", ")
}
