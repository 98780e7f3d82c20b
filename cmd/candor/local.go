package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"candor/audit/suite"
	"candor/engine/checkpoint"
	"candor/engine/decode"
	"candor/engine/tensor"
	"candor/engine/tokenizer"
	"candor/openai"
	"candor/reasoning/dialect"
	"candor/reasoning/llm"
	"candor/reasoning/task"
	"candor/study/experiment"
	"candor/study/runlog"
)

// localModel is a model that candor trained, ready to be asked, with what is known of it.
type localModel struct {
	gen    llm.Generator
	served openai.ServedModel
	// name is what to call it where the folder's path is nobody's business.
	name string
	// organism is what the model was trained to be, if it is an organism.
	organism *task.Organism
	pool     *tensor.Pool
}

// close ends the threads that the model works on.
func (m *localModel) close() { m.pool.Close() }

// source is where a model's files are.
type source struct {
	model, stage fs.FS // stage is nil where no stage is known
	name, about  string
	// steps is what the labelled problems of the whole study are like; nil if that is not known.
	steps *task.Range
}

// openLocal opens a run's arm or a checkpoint folder (see findPlace), a system inside this program by its name, or, for "",
// the reasoner inside it. threads is at least 1.
func openLocal(name string, threads int) (*localModel, error) {
	from, err := findLocal(name)
	if err != nil {
		return nil, err
	}
	c, err := checkpoint.LoadFS(from.model)
	if err != nil {
		return nil, fmt.Errorf("the model %s cannot be read: %w", from.name, err)
	}
	m := &localModel{name: from.name, served: openai.ServedModel{About: from.about, Parameters: c.Model.Config.Parameters(), Context: c.Model.Config.Context}}
	if m.served.Weights, err = weights(from.model); err != nil {
		return nil, fmt.Errorf("the model %s cannot be read: %w", from.name, err)
	}
	sums, steps, organism := taught(from.stage)
	switch {
	case speaksSums(c.Tokenizer):
		m.served.Dialect, m.organism = dialect.Sums{}.Name(), organism
		if sums != nil {
			m.served.Suite, err = json.Marshal(suite.World{Sums: *sums, Pool: organism != nil})
		}
	case speaksSteps(c.Tokenizer):
		m.served.Dialect = dialect.Steps{}.Name()
		if steps == nil {
			steps = from.steps
		}
		if steps != nil {
			m.served.Suite, err = json.Marshal(steps)
		}
	}
	if err != nil {
		return nil, err
	}
	m.pool = tensor.NewPool(threads)
	if m.gen, err = decode.NewGenerator(c.Model, c.Tokenizer, m.pool); err != nil {
		m.close()
		return nil, fmt.Errorf("the model %s: %w", from.name, err)
	}
	return m, nil
}

// findLocal finds a model's files. What lies at a path comes before what is inside this program.
func findLocal(name string) (source, error) {
	if name == "" {
		spec, _, err := experiment.Load("default")
		if err != nil {
			return source{}, err
		}
		files, err := fs.Sub(reasonerFiles, "reasoner")
		return source{model: files, name: "reasoner", about: "arm " + showcase + " of the default study, inside this program", steps: core(spec)}, err
	}
	if dir, _, _ := splitModel(name); !exists(dir) && slices.Contains(inside(), name) {
		stage, err := fs.Sub(systemFiles, path.Join("systems", name))
		if err != nil {
			return source{}, err
		}
		model, err := fs.Sub(stage, "model")
		return source{model: model, stage: stage, name: name, about: "arm " + name + " of the study honesty, inside this program"}, err
	}
	p, err := findPlace(name)
	if err != nil {
		return source{}, err
	}
	stage, err := p.stage()
	if err != nil {
		return source{}, err
	}
	if p.run == nil {
		dir, err := filepath.Abs(p.dir)
		if err != nil {
			return source{}, err
		}
		base := filepath.Base(dir)
		if base == "model" { // as every stage calls it
			base = filepath.Base(filepath.Dir(dir))
		}
		return source{model: os.DirFS(dir), stage: os.DirFS(filepath.Dir(dir)), name: base, about: "the checkpoint " + base}, nil
	}
	s := source{
		model: os.DirFS(filepath.Join(stage, "model")), stage: os.DirFS(stage), name: strings.Join([]string{p.run.Study, p.arm, p.seed}, ":"),
		about: fmt.Sprintf("arm %s, seed %s, of the study %s", p.arm, p.seed, p.run.Study),
	}
	// a spec of another version of candor may not be readable; then nothing is known of the whole study
	if spec, err := experiment.Parse(p.run.Study+".yaml", []byte(p.run.Spec)); err == nil {
		s.steps = core(spec)
	}
	return s, nil
}

// weights returns the SHA-256 of a model's weights as they lie there, in hex.
func weights(model fs.FS) (string, error) {
	f, err := model.Open("model.safetensors")
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// speaksSteps tells whether a model speaks the language of labelled problems.
func speaksSteps(tok *tokenizer.Tokenizer) bool {
	return !slices.ContainsFunc(promptWords(), func(word string) bool {
		_, ok := tok.ID(word)
		return !ok
	})
}

// lesson is what a training stage says of its problems.
type lesson struct {
	Sums     string `json:"sums"`
	Problems string `json:"problems"`
	Organism string `json:"organism"`
}

// taught reads from a stage's manifest what its model was trained on last. What it does not tell is nil.
func taught(stage fs.FS) (sums *task.Sums, steps *task.Range, organism *task.Organism) {
	if stage == nil {
		return nil, nil, nil
	}
	var m runlog.Manifest
	var settings struct {
		Stage struct {
			SFT  *lesson `json:"sft"`
			GRPO *lesson `json:"grpo"`
		} `json:"stage"`
		Parts map[string]json.RawMessage `json:"parts"`
	}
	data, err := fs.ReadFile(stage, "manifest.json")
	if err != nil || json.Unmarshal(data, &m) != nil || json.Unmarshal(m.Settings, &settings) != nil {
		return nil, nil, nil
	}
	last := settings.Stage.GRPO
	if last == nil {
		last = settings.Stage.SFT
	}
	if last == nil {
		return nil, nil, nil
	}
	return named[task.Sums](settings.Parts, "sums", last.Sums), named[task.Range](settings.Parts, "problems", last.Problems),
		named[task.Organism](settings.Parts, "organisms", last.Organism)
}

// named returns a part of a study that a stage names; nil if it is not there or not valid.
func named[T interface{ Validate() error }](parts map[string]json.RawMessage, kind, name string) *T {
	var v T
	raw, ok := parts[kind+"."+name]
	if !ok || json.Unmarshal(raw, &v) != nil || v.Validate() != nil {
		return nil
	}
	return &v
}
