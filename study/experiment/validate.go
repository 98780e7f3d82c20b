package experiment

import (
	"reflect"
	"slices"
	"strings"

	"candor/engine/optim"
	"candor/study/eval"
	"candor/train/grpo"
)

// The valid choices of text settings.
var (
	sftData     = []string{"direct", "chain", "decorative"}
	rewardNames = []string{"correct", "random", "planning"}
	splits      = []string{"train", "validation", "test"}
	modes       = []string{"steps", "quick"}
	systems     = []string{"", "self-consistency", "tree-of-thoughts", "calculator"}
)

// defaults fills the fields of the struct into that the spec leaves out, from a struct of the same type.
func (d *document) defaults(path string, into, from reflect.Value) {
	t := into.Type()
	for i := range t.NumField() {
		name, opts, _ := strings.Cut(t.Field(i).Tag.Get("yaml"), ",")
		below := path + "." + name
		if strings.Contains(opts, "inline") {
			below = path
		}
		switch {
		case into.Field(i).Kind() == reflect.Struct:
			d.defaults(below, into.Field(i), from.Field(i))
		case d.places[below] == nil:
			into.Field(i).Set(from.Field(i))
		}
	}
}

func fill[T any](d *document, path string, into *T, from T) {
	d.defaults(path, reflect.ValueOf(into).Elem(), reflect.ValueOf(from))
}

// choice returns an error at path unless value is one of choices.
func (s *Spec) choice(path, value string, choices []string) error {
	if slices.Contains(choices, value) {
		return nil
	}
	var shown []string
	for _, c := range choices {
		if c != "" {
			shown = append(shown, c)
		}
	}
	field := path[strings.LastIndexByte(path, '.')+1:]
	return s.doc.at(path, "%s is %q; choose from: %s", field, value, strings.Join(shown, ", "))
}

// named returns an error at path unless name is a key of parts.
func named[V any](s *Spec, path, name string, parts map[string]V) error {
	if _, ok := parts[name]; ok {
		return nil
	}
	section := map[string]string{"model": "models", "corpus": "corpora", "problems": "problems", "planning": "planning"}[path[strings.LastIndexByte(path, '.')+1:]]
	if len(parts) == 0 {
		return s.doc.at(path, "there is no %q: the study has no section %q", name, section)
	}
	return s.doc.at(path, "there is no %q under %s; there are: %s", name, section, strings.Join(sortedKeys(parts), ", "))
}

func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *Spec) validateStage(at string, st Stage, hasModel bool, arms map[string]bool, arm string) error {
	set := 0
	v := reflect.ValueOf(st)
	for i := range v.NumField() {
		if !v.Field(i).IsNil() {
			set++
		}
	}
	kinds := map[string]reflect.Type{}
	yamlFields(v.Type(), kinds)
	if set != 1 {
		return s.doc.at(at, "a stage has exactly one of the keys: %s", strings.Join(sortedKeys(kinds), ", "))
	}
	if !hasModel && st.Init == nil {
		return s.doc.at(at, "arm %q has no model yet: begin with an init stage, or name an arm under from", arm)
	}
	if hasModel && st.Init != nil {
		return s.doc.at(at, "arm %q has a model already: init can only be its first stage", arm)
	}
	switch {
	case st.Init != nil:
		return named(s, at+".init.model", st.Init.Model, s.Models)
	case st.Pretrain != nil:
		return s.validatePretrain(at+".pretrain", st.Pretrain)
	case st.SFT != nil:
		return s.validateSFT(at+".sft", st.SFT)
	case st.GRPO != nil:
		return s.validateGRPO(at+".grpo", st.GRPO)
	case st.Eval != nil:
		return s.validateEval(at+".eval", st.Eval, arms, arm)
	default:
		if st.Choice.N < 10 || st.Choice.N > 100_000 {
			return s.doc.at(at+".choice.n", "n is %d, must be between 10 and 100000", st.Choice.N)
		}
		return named(s, at+".choice.planning", st.Choice.Planning, s.Planning)
	}
}

func (s *Spec) validatePretrain(at string, p *PretrainStage) error {
	fill(s.doc, at+".optim", &p.Optim, optim.Default(0))
	if err := s.source(at, p.Corpus, p.Planning); err != nil {
		return err
	}
	return s.doc.under(at, p.Config.Validate())
}

// source checks that exactly one of a corpus and a planning world is named.
func (s *Spec) source(at, corpus, planning string) error {
	switch {
	case corpus != "" && planning != "", corpus == "" && planning == "":
		return s.doc.at(at, "name either a corpus or a planning world")
	case corpus != "":
		return named(s, at+".corpus", corpus, s.Corpora)
	default:
		return named(s, at+".planning", planning, s.Planning)
	}
}

func (s *Spec) validateSFT(at string, f *SFTStage) error {
	fill(s.doc, at+".optim", &f.Optim, optim.Default(0))
	if f.Corrupted < 0 || f.Corrupted > 1 {
		return s.doc.at(at+".corrupted", "corrupted is %g, must be between 0 and 1", f.Corrupted)
	}
	return first(named(s, at+".problems", f.Problems, s.Problems), s.choice(at+".data", f.Data, sftData), s.doc.under(at, f.Config.Validate()))
}

func (s *Spec) validateGRPO(at string, g *GRPOStage) error {
	preset := grpo.Default()
	preset.Optim = optim.Default(0)
	fill(s.doc, at, &g.Config, preset)
	switch {
	case (g.Problems == "") == (g.Planning == ""):
		return s.doc.at(at, "name either problems or a planning world")
	case g.Problems != "":
		if err := named(s, at+".problems", g.Problems, s.Problems); err != nil {
			return err
		}
	default:
		if err := named(s, at+".planning", g.Planning, s.Planning); err != nil {
			return err
		}
	}
	if g.PretrainShare > 0 && g.Planning == "" {
		if err := named(s, at+".corpus", g.Corpus, s.Corpora); err != nil {
			return err
		}
	}
	for i, r := range g.Rewards {
		path := at + ".rewards[" + itoa(i) + "].name"
		if err := s.choice(path, r.Name, rewardNames); err != nil {
			return err
		}
		if (r.Name == "planning") != (g.Planning != "") && r.Name != "random" {
			return s.doc.at(path, "the reward %q does not go with these prompts: correct is for problems, planning for a planning world", r.Name)
		}
	}
	return s.doc.under(at, g.Config.Validate())
}

func (s *Spec) validateEval(at string, e *EvalStage, arms map[string]bool, arm string) error {
	if !validName.MatchString(e.Name) {
		return s.doc.at(at+".name", "eval name %q must be 1 to 64 small letters, digits, dots and dashes", e.Name)
	}
	switch {
	case e.N < 1 || e.N > 100_000:
		return s.doc.at(at+".n", "n is %d, must be between 1 and 100000", e.N)
	case !(e.Temperature >= 0 && e.Temperature <= 100):
		return s.doc.at(at+".temperature", "temperature is %g, must be between 0 and 100", e.Temperature)
	case e.Repeats < 0 || e.Repeats > 1000:
		return s.doc.at(at+".repeats", "repeats is %d, must be between 0 and 1000", e.Repeats)
	case e.System != "" && (len(e.Interventions) > 0 || e.WhiteBox):
		return s.doc.at(at+".system", "interventions and white_box are for single chains, not for a system")
	case e.Mode == "quick" && (e.System != "" || len(e.Interventions) > 0 || e.WhiteBox):
		return s.doc.at(at+".mode", "systems, interventions and white_box need a chain: mode must be steps")
	}
	for i, name := range e.Interventions {
		if err := new(eval.Suite).Intervene([]string{name}); err != nil {
			return s.doc.at(at+".interventions["+itoa(i)+"]", "%s", err)
		}
	}
	for i, name := range e.Monitors {
		if err := s.choice(at+".monitors["+itoa(i)+"]", name, monitorNames); err != nil {
			return err
		}
	}
	if e.Reader != "" && !arms[e.Reader] && e.Reader != arm {
		return s.doc.at(at+".reader", "no arm before this one is called %q and has a model; there are: %s", e.Reader, strings.Join(sortedKeys(arms), ", "))
	}
	if e.Reader == arm {
		return s.doc.at(at+".reader", "an arm cannot be its own reader; leave reader out and the values \"logprob_mean\" tell the same")
	}
	if e.Corpus != "" {
		if err := named(s, at+".corpus", e.Corpus, s.Corpora); err != nil {
			return err
		}
	}
	err := first(named(s, at+".problems", e.Problems, s.Problems), s.choice(at+".split", e.Split, splits), s.choice(at+".mode", e.Mode, modes), s.choice(at+".system", e.System, systems))
	if err != nil {
		return err
	}
	for _, seed := range s.Seeds {
		if _, err := s.draw(e, seed); err != nil {
			return s.doc.at(at+".n", "%s", err)
		}
	}
	return nil
}
