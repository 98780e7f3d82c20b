package experiment

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"candor/engine/transformer"
	"candor/train/twopart"
)

// versions are part of every stage's hash. Raise a kind's number when the meaning of its stages changes, so that results
// of the old meaning are not taken for results of the new one.
var versions = map[string]int{"init": 1, "pretrain": 1, "sft": 3, "grpo": 1, "eval": 2, "choice": 1, "probe": 1, "battery": 4}

// stage is one node of a plan: a pure function of its settings, its inputs and its seed.
type stage struct {
	id   string // folder name: kind-hash12
	hash string
	kind string
	what Stage
	seed int
	// settings is what the hash covers besides inputs: the stage with the named parts it refers to.
	settings settings
	model    transformer.Config
	language string            // "tally", or "" for labelled problems
	face     bool              // the stage leaves a face beside its model
	input    *stage            // whose model this stage starts from; nil for none
	reader   *stage            // whose model reads the chains; nil for none
	judges   map[string]*stage // whose models judge the chains, by what they have not seen
	uses     []use
	cost     float64 // rough floating-point operations, for the order of work and the ETA
	done     bool
}

// use is an arm that a stage's results belong to.
type use struct {
	arm  string
	seed int
}

type settings struct {
	Kind    string `json:"kind"`
	Version int    `json:"version"`
	Kernel  string `json:"kernel"`
	Seed    int    `json:"seed"`
	Input   string `json:"input,omitempty"`
	Reader  string `json:"reader,omitempty"`
	// Judges are hashes, by what the judge has not seen.
	Judges map[string]string `json:"judges,omitempty"`
	Stage  Stage             `json:"stage"`
	// Parts are the models, corpora, problem ranges and planning worlds that the stage names.
	Parts map[string]any `json:"parts,omitempty"`
}

func (s *stage) needs() []*stage {
	var n []*stage
	add := func(need *stage) {
		if need != nil && !slices.Contains(n, need) {
			n = append(n, need)
		}
	}
	add(s.input)
	add(s.reader)
	for _, family := range slices.Sorted(maps.Keys(s.judges)) {
		add(s.judges[family])
	}
	return n
}

// trains tells whether the stage leaves a model of its own.
func (s *stage) trains() bool {
	return s.kind != "eval" && s.kind != "choice" && s.kind != "probe" && s.kind != "battery"
}

// plan is a study as a graph of stages, each after the ones that it needs. Equal stages stand in it once.
type plan struct {
	spec   *Spec
	stages []*stage
	// final is the last model of each arm and seed.
	final map[use]*stage
	// chain is all stages of each arm and seed, in order.
	chain map[use][]*stage
}

// newPlan lays out a valid spec.
func newPlan(spec *Spec, kernel string) (*plan, error) {
	p := &plan{spec: spec, final: map[use]*stage{}, chain: map[use][]*stage{}}
	byHash := map[string]*stage{}
	for i, seed := range spec.Seeds {
		for _, arm := range spec.Arms {
			if arm.Seeds > 0 && i >= arm.Seeds {
				continue
			}
			u := use{arm.Name, seed}
			model := p.final[use{arm.From, seed}]
			for _, what := range arm.Stages {
				st, err := p.node(what, seed, kernel, model)
				if err != nil {
					return nil, fmt.Errorf("arm %s: %w", arm.Name, err)
				}
				if same, ok := byHash[st.hash]; ok {
					st = same
				} else {
					byHash[st.hash] = st
					p.stages = append(p.stages, st)
				}
				st.uses = append(st.uses, u)
				p.chain[u] = append(p.chain[u], st)
				if st.trains() {
					model = st
				}
			}
			p.final[u] = model
		}
	}
	return p, nil
}

func (p *plan) node(what Stage, seed int, kernel string, model *stage) (*stage, error) {
	st := &stage{what: what, kind: what.kind(), seed: seed, input: model}
	s := settings{Kind: st.kind, Version: versions[st.kind], Kernel: kernel, Seed: seed, Stage: what, Parts: p.spec.parts(what)}
	if what.Init != nil {
		st.model, st.language = p.spec.Models[what.Init.Model], what.Init.Language
		st.model.Vocab = vocabulary(st.language)
		st.input = nil
	} else {
		st.model, st.language = model.model, model.language
		st.face = what.GRPO != nil && what.GRPO.System.Face == twopart.OwnFace
		s.Input = model.hash
	}
	if reader := what.reader(); reader != "" {
		st.reader = p.final[use{reader, seed}]
		s.Reader = st.reader.hash
	}
	if what.Battery != nil && len(what.Battery.Judges) > 0 {
		st.judges, s.Judges = map[string]*stage{}, map[string]string{}
		for family, arm := range what.Battery.Judges {
			st.judges[family] = p.final[use{arm, seed}]
			s.Judges[family] = st.judges[family].hash
		}
	}
	data, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("hashing the settings of a %s stage: %w", st.kind, err)
	}
	sum := sha256.Sum256(data)
	st.hash = hex.EncodeToString(sum[:])
	st.id = st.kind + "-" + st.hash[:12]
	st.settings = s
	st.cost = p.spec.cost(what, st.model)
	return st, nil
}

// reader names the arm whose model reads what is written, "" for none.
func (s Stage) reader() string {
	switch {
	case s.Eval != nil:
		return s.Eval.Reader
	case s.Battery != nil:
		return s.Battery.Reader
	}
	return ""
}

// readers names all arms whose models look at what is written.
func (s Stage) readers() []string {
	var arms []string
	if s.reader() != "" {
		arms = append(arms, s.reader())
	}
	if s.Battery != nil {
		arms = slices.AppendSeq(arms, maps.Values(s.Battery.Judges))
	}
	return arms
}

// kind names the field that is set.
func (s Stage) kind() string {
	switch {
	case s.Init != nil:
		return "init"
	case s.Pretrain != nil:
		return "pretrain"
	case s.SFT != nil:
		return "sft"
	case s.GRPO != nil:
		return "grpo"
	case s.Eval != nil:
		return "eval"
	case s.Choice != nil:
		return "choice"
	case s.Probe != nil:
		return "probe"
	case s.Battery != nil:
		return "battery"
	}
	return ""
}

// parts collects the named parts that a stage refers to, so that its hash changes when they do, and only then.
func (s *Spec) parts(what Stage) map[string]any {
	parts := map[string]any{}
	add := func(kind, name string, have bool, part any) {
		if name != "" && have {
			parts[kind+"."+name] = part
		}
	}
	corpus := func(name string) { c, ok := s.Corpora[name]; add("corpora", name, ok, c) }
	problems := func(name string) { c, ok := s.Problems[name]; add("problems", name, ok, c) }
	sums := func(name string) { w, ok := s.Sums[name]; add("sums", name, ok, w) }
	organism := func(name string) { o, ok := s.Organisms[name]; add("organisms", name, ok, o) }
	planning := func(name string) { c, ok := s.Planning[name]; add("planning", name, ok, c) }
	switch {
	case what.Init != nil:
		m, ok := s.Models[what.Init.Model]
		add("models", what.Init.Model, ok, m)
	case what.Pretrain != nil:
		corpus(what.Pretrain.Corpus)
		planning(what.Pretrain.Planning)
	case what.SFT != nil:
		problems(what.SFT.Problems)
		sums(what.SFT.Sums)
		e, ok := s.Essays[what.SFT.Essays]
		add("essays", what.SFT.Essays, ok, e)
		organism(what.SFT.Organism)
		for _, name := range what.SFT.Judge {
			organism(name)
		}
	case what.GRPO != nil:
		problems(what.GRPO.Problems)
		corpus(what.GRPO.Corpus)
		planning(what.GRPO.Planning)
		sums(what.GRPO.Sums)
	case what.Eval != nil:
		problems(what.Eval.Problems)
		corpus(what.Eval.Corpus)
	case what.Choice != nil:
		planning(what.Choice.Planning)
	case what.Probe != nil:
		sums(what.Probe.Sums)
	case what.Battery != nil:
		sums(what.Battery.Sums)
		organism(what.Battery.Organism)
	}
	return parts
}

// Typical lengths in tokens, for the estimate of costs.
const (
	pageTokens   = 45
	directTokens = 18
	chainTokens  = 55
	choiceTokens = 20
)

// sumTokens is the length of a sum with its chain.
func (s *Spec) sumTokens(world string) float64 { return 6 + 3*float64(s.Sums[world].Terms) }

// cost estimates a stage's floating-point operations: six a parameter and token for training (two forward, four
// backward; Kaplan et al. 2020, section 2.1), two for reading and, since single tokens are slow, eight for writing.
func (s *Spec) cost(what Stage, m transformer.Config) float64 {
	n := float64(m.Parameters())
	switch {
	case what.Pretrain != nil:
		length := float64(pageTokens)
		if what.Pretrain.Planning != "" {
			length = choiceTokens
		}
		return 6 * n * length * float64(what.Pretrain.Steps) * float64(what.Pretrain.Batch)
	case what.SFT != nil:
		length := float64(directTokens)
		switch {
		case what.SFT.Sums != "":
			length = s.sumTokens(what.SFT.Sums)
		case what.SFT.Data != "direct":
			length = pageTokens
		}
		return 6 * n * length * float64(what.SFT.Steps) * float64(what.SFT.Batch)
	case what.GRPO != nil:
		length := float64(chainTokens)
		switch {
		case what.GRPO.Planning != "":
			length = choiceTokens
		case what.GRPO.Sums != "":
			length = s.sumTokens(what.GRPO.Sums)
			if what.GRPO.System.Rewrite != twopart.AsWritten {
				length *= 2 // a call for each step
			}
		}
		return (6 + 2 + 8) * n * length * float64(what.GRPO.Steps) * float64(what.GRPO.Prompts) * float64(what.GRPO.Group)
	case what.Eval != nil:
		e := what.Eval
		runs := float64(max(1, e.Repeats)) + .4*float64(len(e.Interventions))
		if e.System != "" {
			runs = 16
		}
		return 10 * n * chainTokens * float64(e.N) * runs
	case what.Choice != nil:
		return 10 * n * choiceTokens * float64(what.Choice.N)
	case what.Battery != nil:
		return 400 * n * s.sumTokens(what.Battery.Sums) * float64(what.Battery.N)
	case what.Probe != nil:
		return 40 * n * s.sumTokens(what.Probe.Sums) * float64(what.Probe.N*max(1, what.Probe.Repeats))
	}
	return n
}
