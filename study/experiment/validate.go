package experiment

import (
	"fmt"
	"math"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"candor/engine/optim"
	"candor/reasoning/task"
	"candor/study/eval"
	"candor/train/grpo"
	"candor/train/twopart"
)

// The valid choices of text settings.
var (
	sftData     = []string{"direct", "chain", "decorative"}
	rewardNames = []string{"correct", "random", "planning"}
	splits      = []string{"train", "validation", "test"}
	modes       = []string{"steps", "quick"}
	systems     = []string{"self-consistency", "tree-of-thoughts", "calculator"}
)

var validName = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{0,63}$`)

const nameRule = "must be 1 to 64 small letters, digits, dots and dashes, and begin with a letter or digit"

const (
	maxSeeds = 1000
	// maxDrawn bounds how many problems are drawn to see whether a range has enough, so that reading a spec stays quick;
	// what is not tried here is an error when the stage runs.
	maxDrawn = 1_000_000
)

// checker validates a spec that has been read, and fills in what it leaves to the defaults.
type checker struct {
	spec   *Spec
	doc    *document
	models map[string]ended // the arms so far, each of which ends with a model
	arm    string           // the arm being looked at
	at     ended            // what it has come to
	drawn  map[drawing]int  // the most problems that a drawing is known to give
	tried  int              // problems drawn so far
}

// drawing says where the problems of an evaluation come from. Those of a smaller evaluation are the first ones of a
// bigger one.
type drawing struct {
	problems, split string
	seed            int
}

func (c *checker) study() error {
	s := c.spec
	if !validName.MatchString(s.Name) {
		return c.doc.at("name", "name is %q, %s", abridged(s.Name), nameRule)
	}
	if n := len(s.Seeds); n == 0 || n > maxSeeds {
		return c.doc.at("seeds", "seeds has %d entries, must have 1 to %d, such as [1, 2, 3]", n, maxSeeds)
	}
	for i, seed := range s.Seeds {
		path := fmt.Sprintf("seeds[%d]", i)
		switch {
		case seed < 0 || seed > math.MaxInt32:
			return c.doc.at(path, "seed %d must be between 0 and %d", seed, math.MaxInt32)
		case slices.Index(s.Seeds, seed) != i:
			return c.doc.at(path, "seed %d stands here a second time", seed)
		}
	}
	if err := c.parts(); err != nil {
		return err
	}
	if len(s.Arms) == 0 {
		return c.doc.at("arms", "a study has at least one arm")
	}
	for i, arm := range s.Arms {
		if err := c.checkArm(fmt.Sprintf("arms[%d]", i), arm); err != nil {
			return err
		}
	}
	return nil
}

// parts checks the named parts that stages refer to.
func (c *checker) parts() error {
	s := c.spec
	for _, name := range sortedKeys(s.Models) {
		m := s.Models[name]
		if m.Vocab != 0 {
			return c.doc.at("models."+name+".vocab", "vocab follows from the task language; leave it out")
		}
		m.Vocab = vocabulary("") // that of an arm's own language later on
		s.Models[name] = m
	}
	return first(section(c, "models", s.Models), section(c, "corpora", s.Corpora), section(c, "problems", s.Problems), section(c, "planning", s.Planning),
		section(c, "sums", s.Sums), section(c, "essays", s.Essays), section(c, "organisms", s.Organisms))
}

func section[V interface{ Validate() error }](c *checker, name string, parts map[string]V) error {
	for _, key := range sortedKeys(parts) {
		path := name + "." + key
		if !validName.MatchString(key) {
			return c.doc.at(path, "%q under %s is no name: it %s", abridged(key), name, nameRule)
		}
		if err := c.doc.under(path, parts[key].Validate()); err != nil {
			return err
		}
	}
	return nil
}

func (c *checker) checkArm(path string, arm Arm) error {
	switch {
	case !validName.MatchString(arm.Name):
		return c.doc.at(path+".name", "arm name %q %s", abridged(arm.Name), nameRule)
	case c.models[arm.Name] != ended{}:
		return c.doc.at(path+".name", "two arms are called %q", arm.Name)
	case arm.From != "" && c.models[arm.From] == ended{}:
		return c.doc.at(path+".from", "from: no arm before this one is called %q; there are: %s", arm.From, list(sortedKeys(c.models)))
	case arm.Seeds < 0 || arm.Seeds > maxSeeds:
		return c.doc.at(path+".seeds", "seeds is %d, must be how many of the study's seeds the arm runs for, from 1 on; leave it out for all", arm.Seeds)
	case arm.From != "" && c.models[arm.From].fewer(arm.Seeds):
		return c.doc.at(path+".from", "arm %q runs for %d seeds only: give this arm seeds: %d or fewer", arm.From, c.models[arm.From].seeds, c.models[arm.From].seeds)
	case len(arm.Stages) == 0:
		return c.doc.at(path, "arm %q has no stages", arm.Name)
	}
	c.arm, c.at = arm.Name, c.models[arm.From]
	c.at.seeds = arm.Seeds
	measured := map[string]bool{}
	for j, st := range arm.Stages {
		at := fmt.Sprintf("%s.stages[%d]", path, j)
		if err := c.stage(at, st, c.at.model); err != nil {
			return err
		}
		switch {
		case st.Init != nil:
			c.at = ended{model: true, language: st.Init.Language, seeds: arm.Seeds}
		case st.Pretrain != nil, st.SFT != nil, st.GRPO != nil:
			c.at.face = st.GRPO != nil && st.GRPO.System.Face == twopart.OwnFace
		}
		var what string
		switch {
		case st.Eval != nil:
			what = "evals are called " + st.Eval.Name + " on " + st.Eval.set()
		case st.Choice != nil:
			what = "choices are in the world " + st.Choice.Planning
		case st.Probe != nil:
			what = "probes are called " + st.Probe.Name
		case st.Battery != nil:
			what = "batteries are called " + st.Battery.Name
		default:
			continue
		}
		if measured[what] {
			return c.doc.at(at+"."+st.kind(), "two of arm %q's %s: their samples could not be told apart", arm.Name, what)
		}
		measured[what] = true
	}
	c.models[arm.Name] = c.at
	return nil
}

// ended is what an arm ends with.
type ended struct {
	model    bool
	language string
	face     bool
	seeds    int // Arm.Seeds
}

// fewer tells whether the arm runs for fewer seeds than one that has so many of them (0: all) needs.
func (e ended) fewer(seeds int) bool { return e.seeds > 0 && (seeds == 0 || seeds > e.seeds) }

func (c *checker) stage(at string, st Stage, hasModel bool) error {
	set := 0
	v := reflect.ValueOf(st)
	for i := range v.NumField() {
		if !v.Field(i).IsNil() {
			set++
		}
	}
	switch {
	case set != 1:
		kinds := map[string][]int{}
		yamlFields(v.Type(), nil, kinds)
		return c.doc.at(at, "a stage has exactly one of the keys: %s", list(sortedKeys(kinds)))
	case !hasModel && st.Init == nil:
		return c.doc.at(at, "arm %q has no model yet: begin with an init stage, or name an arm under from", c.arm)
	case hasModel && st.Init != nil:
		return c.doc.at(at, "arm %q has a model already: init can only be its first stage", c.arm)
	case st.Init != nil:
		if st.Init.Language != "" {
			if err := c.choice(at+".init.language", st.Init.Language, []string{tallyLanguage}); err != nil {
				return err
			}
		}
		return named(c, at+".init.model", st.Init.Model, "models", c.spec.Models)
	case c.at.language == tallyLanguage:
		return c.tally(at, st)
	case st.Probe != nil || st.Battery != nil || st.SFT != nil && (st.SFT.Sums+st.SFT.Essays+st.SFT.Organism != "" || len(st.SFT.Judge) > 0) || st.GRPO != nil && st.GRPO.Sums != "":
		return c.doc.at(at, "sums are for models of their language: give the arm's init stage language: tally")
	case st.Pretrain != nil:
		return c.pretrain(at+".pretrain", st.Pretrain)
	case st.SFT != nil:
		return c.sft(at+".sft", st.SFT)
	case st.GRPO != nil:
		return c.grpo(at+".grpo", st.GRPO)
	case st.Eval != nil:
		return c.eval(at+".eval", st.Eval)
	}
	if st.Choice.N < 10 || st.Choice.N > 100_000 {
		return c.doc.at(at+".choice.n", "n is %d, must be between 10 and 100000", st.Choice.N)
	}
	return named(c, at+".choice.planning", st.Choice.Planning, "planning", c.spec.Planning)
}

func (c *checker) pretrain(at string, p *PretrainStage) error {
	fill(c.doc, at+".optim", &p.Optim, optim.Default(0))
	if (p.Corpus == "") == (p.Planning == "") {
		return c.doc.at(at, "name either a corpus or a planning world")
	}
	return first(c.corpus(at, p.Corpus), c.planning(at, p.Planning), c.doc.under(at, p.Config.Validate()))
}

// corpus and planning check names that may be left out.
func (c *checker) corpus(at, name string) error {
	if name == "" {
		return nil
	}
	return named(c, at+".corpus", name, "corpora", c.spec.Corpora)
}

func (c *checker) planning(at, name string) error {
	if name == "" {
		return nil
	}
	return named(c, at+".planning", name, "planning", c.spec.Planning)
}

func (c *checker) sft(at string, f *SFTStage) error {
	fill(c.doc, at+".optim", &f.Optim, optim.Default(0))
	switch {
	case f.Corrupted < 0 || f.Corrupted > 1:
		return c.doc.at(at+".corrupted", "corrupted is %g, must be between 0 and 1", f.Corrupted)
	case f.Corrupted > 0 && f.Data != "decorative":
		return c.doc.at(at+".corrupted", "corrupted is the share of decorative chains; data is %q", f.Data)
	}
	return first(named(c, at+".problems", f.Problems, "problems", c.spec.Problems), c.choice(at+".data", f.Data, sftData), c.doc.under(at, f.Config.Validate()))
}

func (c *checker) grpo(at string, g *GRPOStage) error {
	preset := grpo.Default()
	preset.Optim = optim.Default(0)
	fill(c.doc, at, &g.Config, preset)
	if (g.Problems == "") == (g.Planning == "") {
		return c.doc.at(at, "name either problems or a planning world")
	}
	if g.Problems != "" {
		if err := named(c, at+".problems", g.Problems, "problems", c.spec.Problems); err != nil {
			return err
		}
		if g.PretrainShare > 0 && g.Corpus == "" {
			return c.doc.at(at+".pretrain_share", "pretrain_share needs a corpus; there are: %s", list(sortedKeys(c.spec.Corpora)))
		}
	}
	if err := first(c.planning(at, g.Planning), c.corpus(at, g.Corpus)); err != nil {
		return err
	}
	for i, r := range g.Rewards {
		path := fmt.Sprintf("%s.rewards[%d].name", at, i)
		if err := c.choice(path, r.Name, rewardNames); err != nil {
			return err
		}
		if r.Name != "random" && (r.Name == "planning") != (g.Planning != "") {
			return c.doc.at(path, "the reward %q does not go with these prompts: correct is for problems, planning for a planning world", r.Name)
		}
	}
	return c.doc.under(at, g.Config.Validate())
}

func (c *checker) eval(at string, e *EvalStage) error {
	chainless := e.Mode == "quick" && (e.System != "" || len(e.Interventions) > 0 || e.WhiteBox)
	switch {
	case !validName.MatchString(e.Name):
		return c.doc.at(at+".name", "eval name %q %s", abridged(e.Name), nameRule)
	case e.N < 1 || e.N > 100_000:
		return c.doc.at(at+".n", "n is %d, must be between 1 and 100000", e.N)
	case e.Temperature < 0 || e.Temperature > 100:
		return c.doc.at(at+".temperature", "temperature is %g, must be between 0 and 100", e.Temperature)
	case e.Repeats < 0 || e.Repeats > 1000:
		return c.doc.at(at+".repeats", "repeats is %d, must be between 0 and 1000", e.Repeats)
	case e.System != "" && (len(e.Interventions) > 0 || e.WhiteBox):
		return c.doc.at(at+".system", "interventions and white_box are for single chains, not for a system")
	case chainless:
		return c.doc.at(at+".mode", "systems, interventions and white_box need a chain: mode must be steps")
	case e.Reader == c.arm:
		return c.doc.at(at+".reader", "an arm cannot be its own reader; leave reader out and the values \"logprob_mean\" tell the same")
	case e.Reader != "" && (!c.models[e.Reader].model || c.models[e.Reader].language != "" || c.models[e.Reader].fewer(c.at.seeds)):
		return c.doc.at(at+".reader", "reader: no arm before this one is called %q; there are: %s", e.Reader, list(sortedKeys(c.models)))
	}
	err := first(named(c, at+".problems", e.Problems, "problems", c.spec.Problems), c.choice(at+".split", e.Split, splits),
		c.choice(at+".mode", e.Mode, modes), c.corpus(at, e.Corpus), c.interventions(at, e.Interventions), c.monitors(at, e.Monitors))
	if err != nil {
		return err
	}
	if e.System != "" {
		if err := c.choice(at+".system", e.System, systems); err != nil {
			return err
		}
	}
	return c.enough(at, e)
}

func (c *checker) interventions(at string, names []string) error {
	for i, name := range names {
		path := fmt.Sprintf("%s.interventions[%d]", at, i)
		if err := new(eval.Suite).Intervene([]string{name}); err != nil {
			return c.doc.at(path, "%s", err)
		}
		if slices.Index(names, name) != i {
			return c.doc.at(path, "the intervention %s stands here a second time", name)
		}
	}
	return nil
}

func (c *checker) monitors(at string, names []string) error {
	for i, name := range names {
		path := fmt.Sprintf("%s.monitors[%d]", at, i)
		if err := c.choice(path, name, monitorNames); err != nil {
			return err
		}
		if slices.Index(names, name) != i {
			return c.doc.at(path, "the monitor %s stands here a second time", name)
		}
	}
	return nil
}

// enough checks that the range has as many problems as the evaluation asks for, and as its answer-only monitor is fitted
// on.
func (c *checker) enough(at string, e *EvalStage) error {
	if slices.Contains(e.Monitors, "answer-only") {
		if err := c.draws(at+".monitors", &EvalStage{Problems: e.Problems, Split: string(task.Train), N: fitProblems}); err != nil {
			return err
		}
	}
	return c.draws(at+".n", e)
}

func (c *checker) draws(path string, e *EvalStage) error {
	for _, seed := range c.spec.Seeds {
		from := drawing{e.Problems, e.Split, seed}
		if c.drawn[from] >= e.N || c.tried+e.N > maxDrawn {
			continue
		}
		c.tried += e.N
		if _, err := c.spec.draw(e, seed); err != nil {
			return c.doc.at(path, "%s", err)
		}
		c.drawn[from] = e.N
	}
	return nil
}

// choice returns an error at path unless value is one of choices.
func (c *checker) choice(path, value string, choices []string) error {
	if slices.Contains(choices, value) {
		return nil
	}
	return c.doc.at(path, "%s is %q; choose from: %s", path[strings.LastIndexByte(path, '.')+1:], abridged(value), list(choices))
}

// named returns an error at path unless name is a key of parts, which are those of a section of the study.
func named[V any](c *checker, path, name, section string, parts map[string]V) error {
	switch _, ok := parts[name]; {
	case ok:
		return nil
	case name == "":
		return c.doc.at(path, "%s is missing; there are: %s", path[strings.LastIndexByte(path, '.')+1:], list(sortedKeys(parts)))
	default:
		return c.doc.at(path, "there is no %q under %s; there are: %s", abridged(name), section, list(sortedKeys(parts)))
	}
}

func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// fill sets the fields of into that the spec leaves out to those of from. What the spec says counts, zero or not.
func fill[T any](d *document, path string, into *T, from T) {
	d.defaults(path, reflect.ValueOf(into).Elem(), reflect.ValueOf(from))
}

func (d *document) defaults(path string, into, from reflect.Value) {
	t := into.Type()
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("yaml"), ",")
		below := path + "." + name
		switch {
		case into.Field(i).Kind() == reflect.Struct:
			d.defaults(below, into.Field(i), from.Field(i))
		case d.places[below] == nil:
			into.Field(i).Set(from.Field(i))
		}
	}
}
