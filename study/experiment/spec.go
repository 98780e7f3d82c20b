package experiment

import (
	"embed"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"candor/engine/transformer"
	"candor/reasoning/task"
	"candor/train/grpo"
	"candor/train/pretrain"
	"candor/train/sft"
	"candor/train/twopart"
)

// Spec is a study as its YAML file says it.
type Spec struct {
	Name  string `yaml:"name" json:"name"`
	Title string `yaml:"title" json:"title"`
	// Seeds are the independent replicates; every arm runs once for each.
	Seeds []int `yaml:"seeds" json:"seeds"`
	// Models, Corpora, Problems and Planning are named parts that stages refer to.
	Models   map[string]transformer.Config `yaml:"models" json:"models"`
	Corpora  map[string]task.Corpus        `yaml:"corpora" json:"corpora"`
	Problems map[string]task.Range         `yaml:"problems" json:"problems"`
	Planning map[string]task.Planning      `yaml:"planning" json:"planning"`
	// Sums and Essays are worlds and corpora in the language of package tally.
	Sums   map[string]task.Sums   `yaml:"sums" json:"sums,omitempty"`
	Essays map[string]task.Essays `yaml:"essays" json:"essays,omitempty"`
	// Organisms are writers of lessons that train a model of sums into a known mechanism.
	Organisms map[string]task.Organism `yaml:"organisms" json:"organisms,omitempty"`
	Arms      []Arm                    `yaml:"arms" json:"arms"`
}

// Arm is one condition of a study: a chain of stages.
type Arm struct {
	Name string `yaml:"name" json:"name"`
	// About says in one sentence what the arm is.
	About string `yaml:"about" json:"about"`
	// Seeds, if not 0, has the arm run for the first so many of the study's seeds only.
	Seeds int `yaml:"seeds" json:"seeds,omitempty"`
	// From names an earlier arm whose final model this arm starts from.
	From   string  `yaml:"from" json:"from,omitempty"`
	Stages []Stage `yaml:"stages" json:"stages"`
}

// Stage is one step of an arm: exactly one of its fields is set. Training stages change the arm's model, the others
// measure it.
type Stage struct {
	Init     *InitStage     `yaml:"init" json:"init,omitempty"`
	Pretrain *PretrainStage `yaml:"pretrain" json:"pretrain,omitempty"`
	SFT      *SFTStage      `yaml:"sft" json:"sft,omitempty"`
	GRPO     *GRPOStage     `yaml:"grpo" json:"grpo,omitempty"`
	Eval     *EvalStage     `yaml:"eval" json:"eval,omitempty"`
	Choice   *ChoiceStage   `yaml:"choice" json:"choice,omitempty"`
	Probe    *ProbeStage    `yaml:"probe" json:"probe,omitempty"`
	Battery  *BatteryStage  `yaml:"battery" json:"battery,omitempty"`
}

// InitStage makes an untrained model, for arms that start from nothing and for the untrained control.
type InitStage struct {
	Model string `yaml:"model" json:"model"`
	// Language is "tally" for a model of sums; "" is the language of labelled problems. All stages that follow speak it.
	Language string `yaml:"language" json:"language,omitempty"`
}

// PretrainStage trains on the next token of a corpus, or of a planning world.
type PretrainStage struct {
	Corpus          string `yaml:"corpus" json:"corpus,omitempty"`
	Planning        string `yaml:"planning" json:"planning,omitempty"`
	pretrain.Config `yaml:",inline"`
}

// SFTStage fine-tunes on problems of the training split.
type SFTStage struct {
	Problems string `yaml:"problems" json:"problems"`
	// Data is one of: "direct" (quick prompt, answer alone), "chain" (a right chain in any wording, then the answer),
	// "decorative" (half direct; half a chain, which is corrupted in Corrupted of the cases, and the right answer all the
	// same: the model learns to write a chain that its answer does not depend on).
	Data string `yaml:"data" json:"data"`
	// Corrupted is the share of decorative chains that are another problem's.
	Corrupted float64 `yaml:"corrupted" json:"corrupted,omitempty"`
	// Shuffled gives each example the answer of another problem: the control that must learn nothing.
	Shuffled bool `yaml:"shuffled" json:"shuffled,omitempty"`
	// Sums and Essays name a world and a corpus about it, in place of Problems and Data.
	Sums   string `yaml:"sums" json:"sums,omitempty"`
	Essays string `yaml:"essays" json:"essays,omitempty"`
	// Organism names a writer of lessons about Sums, in place of Essays.
	Organism string `yaml:"organism" json:"organism,omitempty"`
	// Judge names writers of chains about Sums, in place of Organism: what is learnt is to tell which of these chains are
	// unfaithful ([task.Organism.Judgment]).
	Judge      []string `yaml:"judge" json:"judge,omitempty"`
	sft.Config `yaml:",inline"`
}

// GRPOStage trains by reinforcement learning on problems of the training split, or in a planning world. The names of its
// rewards are "correct" (1 for the right answer, at the completion's last token), "random" (a coin, the control) and
// "planning" (the world's own).
type GRPOStage struct {
	Problems string `yaml:"problems" json:"problems,omitempty"`
	Planning string `yaml:"planning" json:"planning,omitempty"`
	// Corpus feeds the pretraining share of the loss.
	Corpus string `yaml:"corpus" json:"corpus,omitempty"`
	// Sums names a world whose problems are put to the two-part System; see package twopart for the rewards.
	Sums        string         `yaml:"sums" json:"sums,omitempty"`
	System      twopart.Config `yaml:"system" json:"system,omitzero"`
	grpo.Config `yaml:",inline"`
}

// EvalStage puts problems to the model.
type EvalStage struct {
	// Name becomes Sample.Eval.
	Name     string `yaml:"name" json:"name"`
	Problems string `yaml:"problems" json:"problems"`
	// Split is train, validation or test; N problems are drawn from it, the same ones for every arm of a seed.
	Split string `yaml:"split" json:"split"`
	N     int    `yaml:"n" json:"n"`
	// Mode is "steps" (a chain is asked for) or "quick" (the answer at once).
	Mode        string  `yaml:"mode" json:"mode"`
	Temperature float64 `yaml:"temperature" json:"temperature"`
	Repeats     int     `yaml:"repeats" json:"repeats,omitempty"`
	// System composes several calls: "self-consistency", "tree-of-thoughts", "calculator", or none.
	System        string   `yaml:"system" json:"system,omitempty"`
	Interventions []string `yaml:"interventions" json:"interventions,omitempty"`
	// Monitors scores each chain, without the prompt unless the monitor's name says otherwise.
	Monitors []string `yaml:"monitors" json:"monitors,omitempty"`
	// Reader names the arm whose final model also reads the chains: Values["nll"], nats per token.
	Reader string `yaml:"reader" json:"reader,omitempty"`
	// WhiteBox adds the runs with attention blocked from the answer to the prompt and to the chain.
	WhiteBox bool `yaml:"white_box" json:"white_box,omitempty"`
	// Corpus names the corpus whose demonstrators' exact accuracy is noted beside each problem.
	Corpus string `yaml:"corpus" json:"corpus,omitempty"`
}

// ChoiceStage samples first tokens in a planning world and notes which way the policy goes.
type ChoiceStage struct {
	Planning string `yaml:"planning" json:"planning"`
	N        int    `yaml:"n" json:"n"`
}

// ProbeStage puts sums to the two-part system around the arm's model, and looks at what its chains carry.
type ProbeStage struct {
	// Name becomes Sample.Eval.
	Name string `yaml:"name" json:"name"`
	Sums string `yaml:"sums" json:"sums"`
	// Split is train, validation or test; N problems are drawn from it, the same ones for every arm of a seed.
	Split string `yaml:"split" json:"split"`
	N     int    `yaml:"n" json:"n"`
	// Repeats is how often each problem is asked; 0 means once.
	Repeats     int            `yaml:"repeats" json:"repeats,omitempty"`
	Temperature float64        `yaml:"temperature" json:"temperature"`
	System      twopart.Config `yaml:"system" json:"system,omitzero"`
	// Flip asks again with another hint in the prompt, the same seed and all else equal: the causal truth of its use.
	Flip bool `yaml:"flip" json:"flip,omitempty"`
}

// BatteryStage asks in many ways whether a model's chains are faithful, and tells the causal truth beside it
// ([candor/study/eval.Battery]).
type BatteryStage struct {
	// Name becomes Sample.Eval.
	Name string `yaml:"name" json:"name"`
	Sums string `yaml:"sums" json:"sums"`
	// N problems are drawn from the pool that organisms may know by heart or, without Organism, from the test split, the same
	// ones for every arm of a seed.
	N           int     `yaml:"n" json:"n"`
	Temperature float64 `yaml:"temperature" json:"temperature"`
	// Organism names what the model was trained to be, "" for nothing in particular.
	Organism string `yaml:"organism" json:"organism,omitempty"`
	// Reader names an earlier arm whose last model reads the chains.
	Reader string `yaml:"reader" json:"reader,omitempty"`
	// Judges names earlier arms whose last models judge the chains, each by the family of organisms that it has not seen.
	Judges map[string]string `yaml:"judges" json:"judges,omitempty"`
}

//go:embed specs/*.yaml
var specFiles embed.FS

// Builtin lists the names of the studies that candor carries.
func Builtin() []string {
	files, err := fs.ReadDir(specFiles, "specs")
	if err != nil {
		panic(err) // the files are compiled in
	}
	var names []string
	for _, f := range files {
		names = append(names, strings.TrimSuffix(f.Name(), ".yaml"))
	}
	return names
}

// Load reads a study by the name of a built-in one or by the path of a YAML file, and returns it with its YAML. Its error
// names file, line and column.
func Load(nameOrPath string) (*Spec, []byte, error) {
	if data, err := specFiles.ReadFile("specs/" + nameOrPath + ".yaml"); err == nil {
		spec, err := Parse(nameOrPath+".yaml", data)
		return spec, data, err
	}
	f, err := os.Open(nameOrPath)
	if err != nil {
		return nil, nil, fmt.Errorf("there is no study %q: name a YAML file or one of: %s", nameOrPath, list(Builtin()))
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxSpec+1)) // one more than Parse lets pass: a pipe does not tell its size
	if err != nil {
		return nil, nil, fmt.Errorf("reading the study: %w", err)
	}
	spec, err := Parse(nameOrPath, data)
	return spec, data, err
}

// Parse reads a study from YAML; file is the name used in errors.
func Parse(file string, data []byte) (*Spec, error) {
	spec := new(Spec)
	doc, err := decodeYAML(file, data, spec)
	if err != nil {
		return nil, err
	}
	c := checker{spec: spec, doc: doc, models: map[string]ended{}, drawn: map[drawing]int{}}
	if err := c.study(); err != nil {
		return nil, err
	}
	return spec, nil
}

// SetSeeds makes the study have n seeds, at least 1: its own as far as they go, then the numbers that follow the greatest of them.
func (s *Spec) SetSeeds(n int) {
	for len(s.Seeds) < n {
		s.Seeds = append(s.Seeds, slices.Max(s.Seeds)+1)
	}
	s.Seeds = s.Seeds[:n]
}

// Keep drops all arms but those named and those that they start from or are read by. It returns an error if the study
// lacks an arm.
func (s *Spec) Keep(names []string) error {
	index := map[string]int{}
	for i, arm := range s.Arms {
		index[arm.Name] = i
	}
	keep := map[string]bool{}
	var add func(name string) error
	add = func(name string) error {
		i, ok := index[name]
		if !ok {
			return fmt.Errorf("the study %s has no arm %q, which is needed; it has: %s", s.Name, name, list(sortedKeys(index)))
		}
		if keep[name] {
			return nil
		}
		keep[name] = true
		if from := s.Arms[i].From; from != "" {
			if err := add(from); err != nil {
				return err
			}
		}
		for _, st := range s.Arms[i].Stages {
			for _, reader := range st.readers() {
				if err := add(reader); err != nil {
					return err
				}
			}
		}
		return nil
	}
	for _, name := range names {
		if err := add(name); err != nil {
			return err
		}
	}
	s.Arms = slices.DeleteFunc(s.Arms, func(a Arm) bool { return !keep[a.Name] })
	return nil
}
