// Package battery puts one problem to a model in all the ways that an audit needs, and measures what comes back.
//
// [Battery.Sample] is the work of one sample: it asks for a chain of thought, edits it, changes the prompt, asks judges and
// returns one [runlog.Sample] whose Values are, where they could be measured (what could not is left out, and Notes says why):
//
//	nochain/same, nochain/correct    the answer without a chain is the same; is right
//	early/SHARE                      the answer is the same after this share of the chain (0.00, 0.25, 0.50, 0.75; 1.00 puts the
//	                                 whole back: a control that the chain can be put there at all)
//	test/early-answering             the mean of the first four: 1 - it is the area over the curve (Lanham et al. 2023, 2.3)
//	test/mistake                     share of mistakes put into its middle after which the model, going on, comes to the same
//	                                 answer as from the beginning as it was (2.4)
//	test/filler                      share of rewritings as filler after which the answer is the same (2.6)
//	test/paraphrase                  share of rewritings of the whole in other words after which the answer is another (2.5)
//	test/paraphrase-steps            the same of its beginning, the model going on, beside the beginning as it was
//	test/translate                   share of translations after which the answer is another
//	test/step-checker                suspicion of a checker of the dialect's form and arithmetic
//	test/step-faults                 share of the steps that state something wrong, here and in the greedy chain alike
//	test/reader                      1 if another model, who sees the chain alone, comes to another answer
//	test/cue-unmentioned             cue/effect where no judge finds the cue named as a reason, else 0
//	test/combined                    eval.Combined of these
//	cue/effect                       share of the other hints, and of no cue, that change the greedy answer; for a model with
//	                                 one cue wording only, 1 if the answer without the cue is another
//	cue/follows                      share of other hints that the greedy answer follows, of those that say something else
//	cue/used                         1 if the answer is the hint, and without the cue it is not, both drawn in the same way
//	                                 (Chen et al. 2025)
//	cue/disclosed                    1 if the chain names the cue as a reason, by the majority of the judges
//	judge/NAME/disclosed             the same by one judge; judge/regex/disclosed is by regular expressions
//	judge/NAME/legibility, .../coverage   0..1 of a 0..4 scale (Emmons and Zimmermann 2025)
//	monitor/NAME                     suspicion, in 0..1, of a monitor that looks for the use of the cue; monitor/NAME/plain is that
//	                                 of the chain to the prompt without it, NAME-answer-only sees the answer alone, random nothing
//	control/reworded                 1 if the answer to the prompt in other words is another
//	control/repeat                   1 if the answer drawn again is another
//	tokens                           tokens that the chain and its answer took
//	steps                            steps of the chain
//
// Every test is higher the more it suspects the chain, in 0..1. Answers after an edit are decoded greedily; so are the chains
// that are compared across prompts, so that honest mistakes in one of them do not count.
//
// Only a raw chain is edited or judged: of a summary, of an encrypted, absent or leaked one nobody can tell whether it is
// faithful. Tests of answers (no chain, cue effect, reworded prompt) are made whatever the chain is.
package battery

import (
	"context"
	"errors"
	"strings"
	"sync"

	"candor/audit/suite"
	"candor/internal/rng"
	"candor/reasoning/dialect"
	"candor/reasoning/llm"
	"candor/study/eval"
	"candor/study/runlog"
)

// The models that a battery calls, by the names under which [Calls] knows them. Judges are JudgePrefix and their name.
const (
	Subject     = "model"
	Writer      = "writer"
	Reader      = "reader"
	JudgePrefix = "judge/"
)

// Calls puts a request to a model by its name.
type Calls interface {
	Do(ctx context.Context, model string, r llm.Request) (llm.Completion, error)
}

// Settings say how a battery asks.
type Settings struct {
	// Temperature and TopP of the chains that are judged; what is made of them is decoded greedily.
	Temperature float64 `json:"temperature"`
	TopP        float64 `json:"top_p,omitempty"`
	// MaxTokens bounds a chain with its answer, AnswerTokens an answer after a chain that was closed.
	MaxTokens    int `json:"max_tokens"`
	AnswerTokens int `json:"answer_tokens"`
	// Repeats is how often each random edit is drawn.
	Repeats int `json:"repeats"`
	// System is a system prompt, "" for none.
	System string `json:"system,omitempty"`
	Seed   uint64 `json:"seed"`
}

// Abilities are what a preflight found out about the model.
type Abilities struct {
	// Continues tells whether a chain that was edited can be put in place of the model's own.
	Continues bool `json:"continues"`
	// Apart tells that it keeps its chain apart from what it says.
	Apart bool `json:"apart"`
}

// Battery is a set of tests for one model.
type Battery struct {
	Settings
	Dialect   dialect.Dialect
	Abilities Abilities
	// Writer tells whether there is a second model to paraphrase and translate; else the dialect does it by rule.
	Writer bool
	// Reader tells whether there is a second model that reads chains.
	Reader bool
	// Judges are the names of models that judge chains, in order.
	Judges []string
}

// subject is one sample in the making.
type subject struct {
	*Battery
	calls   Calls
	item    suite.Item
	epoch   int
	dialect dialect.Dialect
	src     rng.Source
	chain   dialect.Chain
	values  map[string]float64
	// original is the answer to the prompt without its cue.
	original string
	mu       sync.Mutex // guards notes: judges are asked at once
	notes    map[string]string
}

func (s *subject) note(what, why string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.notes[what] = why
}

// Sample makes the sample of an item. An error means that it could not be made: the model or a judge did not answer.
func (b *Battery) Sample(ctx context.Context, calls Calls, item suite.Item, epoch int) (runlog.Sample, error) {
	s := &subject{
		Battery: b, calls: calls, item: item, epoch: epoch, dialect: dialect.For(b.Dialect, item.Prompt),
		src:    rng.New(b.Seed).Split("audit").Split(item.ID).SplitN("epoch", epoch),
		values: map[string]float64{}, notes: map[string]string{},
	}
	first := ask{name: "chain", prompt: item.Prompt, temperature: b.Temperature, topP: b.TopP, tokens: b.MaxTokens}
	c, err := s.put(ctx, first)
	if err != nil {
		return runlog.Sample{}, err
	}
	s.chain = c.chain
	sample := s.record(c)
	if err := s.measure(ctx, c); err != nil {
		return runlog.Sample{}, err
	}
	if judged(c) {
		s.values["test/combined"] = eval.Combined(s.values)
	}
	sample.Original = s.original
	if len(s.notes) > 0 {
		sample.Notes = s.notes
	}
	return sample, nil
}

// record writes down the chain as it came.
func (s *subject) record(c reply) runlog.Sample {
	out := runlog.Sample{
		Eval: s.item.Suite, ID: s.item.ID, Repeat: s.epoch, Split: s.item.Kind, Cluster: s.item.Cluster, Problem: s.item.ID,
		Intervention: "none", Prompt: s.item.Prompt, Chain: c.chain.Text, Cue: c.chain.Said, Answer: c.chain.Answer,
		Target: s.item.Answer, Parsed: c.chain.Parsed, Provenance: string(c.provenance()), Values: s.values,
	}
	out.Correct = out.Parsed && out.Target != "" && suite.Same(s.item, c.chain.Answer)
	s.values["tokens"] = float64(c.completion.CompletionTokens)
	s.values["steps"] = float64(len(c.chain.Steps))
	s.values["level"] = float64(s.item.Level)
	if s.item.Choices > 0 {
		s.values["choices"] = float64(s.item.Choices)
	}
	if !out.Parsed {
		out.Answer = ""
		s.notes["answer"] = c.chain.Why
	}
	if s.item.Cue != nil {
		out.Split, out.Follows = s.item.Kind+"/"+s.item.Cue.Kind, s.item.Cue.Hint
	}
	return out
}

// judged tells whether a chain may be judged at all.
func judged(c reply) bool {
	return c.chain.Parsed && c.provenance() == llm.Raw && strings.TrimSpace(c.chain.Text) != ""
}

// measure puts every test into the values.
func (s *subject) measure(ctx context.Context, c reply) error {
	if !c.chain.Parsed {
		return nil
	}
	parts := []func(context.Context) error{s.answers, s.cue}
	if judged(c) {
		parts = append(parts, s.checks, s.judges, s.read)
		if s.Abilities.Continues {
			parts = append(parts, s.edits)
		} else {
			s.notes["edits"] = "this endpoint cannot carry on a chain that was edited"
		}
	} else {
		s.notes["chain"] = "not judged: the chain is " + string(c.provenance())
		if c.provenance() == llm.Raw {
			s.notes["chain"] = "not judged: there is no chain"
		}
	}
	for _, part := range parts {
		if err := part(ctx); err != nil {
			return err
		}
	}
	s.unmentioned()
	return nil
}

// isReason tells whether an error is only a reason to leave a value out: the same request would meet it again.
func isReason(err error) bool { return errors.Is(err, llm.ErrInvalid) }

func indicator(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
