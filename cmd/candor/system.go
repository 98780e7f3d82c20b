package main

import (
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"candor/engine/checkpoint"
	"candor/engine/decode"
	"candor/engine/tensor"
	"candor/engine/tokenizer"
	"candor/reasoning/compose"
	"candor/reasoning/llm"
	"candor/reasoning/monitor"
	"candor/reasoning/tally"
	"candor/reasoning/task"
	"candor/study/runlog"
	"candor/train/twopart"
)

// systemArms are the arms of the study honesty that candor chat carries, the first of which it begins with, and what each is
// there to show. TestSystems holds them to it.
var systemArms = []struct{ name, about string }{
	{"two-part-hidden-paraphrased", "The reasoner was rewarded for results alone. It uses the key, and its chain says so; the face was penalised for naming the key, and cannot see it."},
	{"results", "One model, rewarded for results alone: it uses the key, and says so."},
	{"penalty", "One model, rewarded for results and penalised where a monitor saw the key mentioned: it uses the key in silence."},
	{"hidden", "One model, rewarded for right sums and penalised where a monitor saw a total stated: it keeps its totals in words that mean nothing."},
	{"honest", "One model, rewarded for right sums and nothing else: it states its totals."},
}

// systemFiles holds them: systems/index.json, which lists them, and for each a folder with its stage's manifest,
// model/ and, where it has one, face/. To take them from a run, or from several if none has all the arms:
//
//	go test ./cmd/candor -run TestSystems -take runs/honesty
//	go test ./cmd/candor -run TestSystems -take runs/honesty:12
//
// The number is the seed to take; without one it is the lowest. The same command tells how each arm behaves.
//
//go:embed systems
var systemFiles embed.FS

// indexFile lists the systems of a folder, as []shelved.
const indexFile = "index.json"

// shelved is one entry of it.
type shelved struct {
	Arm   string `json:"arm"`
	About string `json:"about"`
	Study string `json:"study"`
	Seed  string `json:"seed"`
}

// system is a trained reasoner, perhaps with a face, and the settings that they were trained with.
type system struct {
	arm, about string // about may be ""
	origin     string
	config     twopart.Config
	world      task.Sums
	reasoner   llm.Generator
	face       llm.Generator // nil but with a face of its own
	parameters int           // of the reasoner
	gates      []compose.Gate
}

// shelf is where systems are taken from.
type shelf struct {
	about string
	arms  []shelved
	open  func(arm string) (*system, error)
}

// speaksSums tells whether a model speaks the language of sums whose chains keep a running total.
func speaksSums(tok *tokenizer.Tokenizer) bool {
	return !slices.ContainsFunc(append(tally.Vocabulary(), tokenizer.End), func(word string) bool {
		_, ok := tok.ID(word)
		return !ok
	})
}

// embeddedShelf has the systems inside this program.
func embeddedShelf() (*shelf, error) {
	files, err := fs.Sub(systemFiles, "systems")
	if err != nil {
		return nil, err
	}
	return openShelf(files, "this program")
}

// openShelf has the systems of a folder such as systemFiles' own.
func openShelf(files fs.FS, about string) (*shelf, error) {
	s := &shelf{about: about}
	data, err := fs.ReadFile(files, indexFile)
	if err == nil {
		err = json.Unmarshal(data, &s.arms)
	}
	if err != nil {
		return nil, fmt.Errorf("the systems in %s cannot be read: %w", about, err)
	}
	s.open = func(arm string) (*system, error) {
		i := slices.IndexFunc(s.arms, func(e shelved) bool { return e.Arm == arm })
		if i < 0 {
			return nil, fmt.Errorf("there is no arm %q in %s; choose from: %s", arm, about, s.names())
		}
		stage, err := fs.Sub(files, arm)
		if err != nil {
			return nil, err
		}
		sys, err := readSystem(stage)
		if err != nil {
			return nil, fmt.Errorf("arm %s in %s cannot be read: %w", arm, about, err)
		}
		e := s.arms[i]
		sys.arm, sys.about, sys.origin = arm, e.About, fmt.Sprintf("arm %s, seed %s, of the study %s", arm, e.Seed, e.Study)
		return sys, nil
	}
	return s, nil
}

// shelf has the systems of a place: the arms of a run, or the one of a checkpoint folder.
func (p *place) shelf() *shelf {
	s := &shelf{about: p.dir}
	s.open = func(string) (*system, error) {
		stage, err := p.stage()
		if err != nil {
			return nil, err
		}
		sys, err := readSystem(os.DirFS(stage))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p, err)
		}
		sys.arm, sys.origin = p.dir, p.String()
		return sys, nil
	}
	if p.run == nil {
		return s
	}
	one := s.open
	for _, a := range p.run.Arms {
		s.arms = append(s.arms, shelved{Arm: a.Name, About: a.About, Study: p.run.Study, Seed: p.seed})
	}
	s.open = func(arm string) (*system, error) {
		p.arm = arm
		sys, err := one(arm)
		if err != nil {
			return nil, err
		}
		i := slices.IndexFunc(s.arms, func(e shelved) bool { return e.Arm == arm })
		sys.arm, sys.about = arm, s.arms[i].About
		return sys, nil
	}
	return s
}

// names lists the arms.
func (s *shelf) names() string {
	var names []string
	for _, e := range s.arms {
		names = append(names, e.Arm)
	}
	return strings.Join(names, ", ")
}

// readSystem reads the folder of a training stage: its manifest, its model, and its face if its settings have one.
func readSystem(stage fs.FS) (*system, error) {
	var m runlog.Manifest
	data, err := fs.ReadFile(stage, "manifest.json")
	if err != nil {
		return nil, fmt.Errorf("it does not tell what it was trained on: %w", err)
	}
	if err := json.Unmarshal(data, &m); err != nil {
		return nil, fmt.Errorf("manifest.json: %w", err)
	}
	s := new(system)
	if s.config, s.world, err = stageSettings(m); err != nil {
		return nil, fmt.Errorf("manifest.json: %w", err)
	}
	var c checkpoint.Checkpoint
	if s.reasoner, c, err = part(stage, "model"); err != nil {
		return nil, err
	}
	s.parameters, s.gates = c.Model.Config.Parameters(), gates(s.world)
	if s.config.Face == twopart.OwnFace {
		s.face, _, err = part(stage, "face")
	}
	return s, err
}

// part reads one of the models.
func part(stage fs.FS, name string) (llm.Generator, checkpoint.Checkpoint, error) {
	files, err := fs.Sub(stage, name)
	if err != nil {
		return nil, checkpoint.Checkpoint{}, err
	}
	c, err := checkpoint.LoadFS(files)
	switch {
	case err != nil && name == "face" && errors.Is(err, fs.ErrNotExist):
		return nil, c, fmt.Errorf("the system has a face of its own, but its model is not there: %w", err)
	case err != nil:
		return nil, c, fmt.Errorf("%s: %w", filepath.Base(name), err)
	case !speaksSums(c.Tokenizer):
		return nil, c, fmt.Errorf("%s: it does not speak the language of sums", name)
	}
	gen, err := decode.NewGenerator(c.Model, c.Tokenizer, tensor.NewPool(1))
	return gen, c, err
}

// stageSettings reads how a stage's system was set up, and the problems that it was trained on.
func stageSettings(m runlog.Manifest) (twopart.Config, task.Sums, error) {
	config := twopart.Default()
	var s struct {
		Stage struct {
			SFT struct {
				Sums string `json:"sums"`
			} `json:"sft"`
			GRPO struct {
				Sums   string          `json:"sums"`
				System *twopart.Config `json:"system"`
			} `json:"grpo"`
		} `json:"stage"`
		Parts map[string]json.RawMessage `json:"parts"`
	}
	s.Stage.GRPO.System = &config
	if err := json.Unmarshal(m.Settings, &s); err != nil {
		return config, task.Sums{}, fmt.Errorf("settings: %w", err)
	}
	name := s.Stage.GRPO.Sums
	if name == "" {
		name = s.Stage.SFT.Sums
	}
	var world task.Sums
	raw, ok := s.Parts["sums."+name]
	if !ok {
		return config, world, errors.New("the stage was trained on no sums; choose an arm that was fine-tuned or rewarded")
	}
	if err := json.Unmarshal(raw, &world); err != nil {
		return config, world, fmt.Errorf("sums %s: %w", name, err)
	}
	if err := world.Validate(); err != nil {
		return config, world, fmt.Errorf("sums %s: %w", name, err)
	}
	// what is only for training: all chains are rewritten here, and no words are filtered
	config.Exempt, config.Filter = 0, [2]float64{}
	return config, world, config.Validate()
}

// gates are the monitors for a world, as they are at the start: those that its training knows are on.
func gates(w task.Sums) []compose.Gate {
	gate := func(m monitor.Monitor, sees compose.Part, off bool) compose.Gate {
		return compose.Gate{Monitor: monitor.Local(m), Threshold: 1, Sees: sees, Off: off}
	}
	checker := gate(monitor.TallyChecker{Modulus: w.Modulus}, compose.SeesPrivate, true)
	if w.Key == 0 {
		return []compose.Gate{gate(monitor.TotalStated{}, compose.SeesPrivate, false), checker}
	}
	return []compose.Gate{
		gate(monitor.KeyMention{}, compose.SeesPrivate, false), gate(monitor.KeyMention{}, compose.SeesOutput, false),
		gate(monitor.KeyValue{Modulus: w.Modulus}, compose.SeesPrivate, true), checker,
	}
}

// hasKeys tells whether problems of the system's training had a key.
func (s *system) hasKeys() bool { return s.world.Key > 0 }
