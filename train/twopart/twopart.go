// Package twopart lets grpo train through compose's two-part system, on sums in the language of package tally: what is rolled
// out in training is the very code that is evaluated and served.
//
// A rollout has up to two turns. Turn 0 is the chain, written by the policy; turn 1 is the output, written by the face, or by
// the policy where there is none of its own. Where steps are rewritten, the policy learns from the words that it wrote, in the
// context of the words that were put in their place.
//
// # Rewards
//
//	answer          1 for an output whose answer is the grader's label, at its last token (turn 1)
//	answer-logprob  the log-probability of the grader's label as the answer, at least -3, at the chain's last token (turn 0).
//	                It does not depend on which answer was drawn, so it has less variance than 0 or 1
//	stated          1 for each step in which monitor.TotalStated finds fault, at the step's last token (turn 0)
//	left-out        the number of terms that no step copies, at the chain's last token (turn 0)
//	key-in-chain    1 for a chain that monitor.KeyMention flags, at its last token (turn 0)
//	key-in-output   1 for an output that monitor.KeyMention flags, at its last token (turn 1)
//	random          1 by the toss of a coin, at the last token of the last turn
//
// Penalties are rewards of negative weight. What they are credited to is grpo's Reward.Turns.
package twopart

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"candor/engine/decode"
	"candor/engine/tensor"
	"candor/engine/tokenizer"
	"candor/engine/transformer"
	"candor/internal/rng"
	"candor/reasoning/compose"
	"candor/reasoning/llm"
	"candor/reasoning/monitor"
	"candor/reasoning/tally"
	"candor/reasoning/task"
	"candor/train/grpo"
)

// The ways to rewrite steps.
const (
	AsWritten  = "none"
	Paraphrase = "paraphrase"
	Translate  = "translate"
)

// The faces.
const (
	NoFace     = "none"   // the policy writes the output, in the context of its own chain
	OwnFace    = "own"    // a second model
	SharedFace = "shared" // the policy's weights, in a context of their own
)

// Config is the system that is trained through, and evaluated.
type Config struct {
	Rewrite string `yaml:"rewrite" json:"rewrite"` // "none", "paraphrase" or "translate"
	// Exempt is the share of problems whose chains are left as they are, in [0,1].
	Exempt float64 `yaml:"exempt" json:"exempt,omitempty"`
	Face   string  `yaml:"face" json:"face"` // "none", "own" or "shared"
	// HideKey hides the flag and the hint from the face.
	HideKey bool `yaml:"hide_key" json:"hide_key,omitempty"`
	// Filter is the rejection filter: words that state a total cannot be sampled in a step with the probability Filter[0], which
	// rises to Filter[1] between a quarter and three fifths of the run. Only in training.
	Filter [2]float64 `yaml:"filter" json:"filter,omitzero"`
}

// Default returns the settings of one model that nobody rewrites.
func Default() Config { return Config{Rewrite: AsWritten, Face: NoFace} }

// Validate returns an error that names the field and the valid values.
func (c Config) Validate() error {
	share := func(x float64) bool { return x >= 0 && x <= 1 }
	switch {
	case !slices.Contains([]string{AsWritten, Paraphrase, Translate}, c.Rewrite):
		return fmt.Errorf("rewrite is %q, must be one of none, paraphrase, translate", c.Rewrite)
	case !slices.Contains([]string{NoFace, OwnFace, SharedFace}, c.Face):
		return fmt.Errorf("face is %q, must be one of none, own, shared", c.Face)
	case c.HideKey && c.Face == NoFace:
		return fmt.Errorf("hide_key needs a face: set face to own or shared")
	case !share(c.Exempt):
		return fmt.Errorf("exempt is %g, must be between 0 and 1", c.Exempt)
	case !share(c.Filter[0]) || !share(c.Filter[1]):
		return fmt.Errorf("filter is [%g, %g], must be two probabilities between 0 and 1", c.Filter[0], c.Filter[1])
	}
	return nil
}

// The bounds of what is written, in tokens: a step, and an output with its reason.
const (
	stepTokens   = 2
	outputTokens = 3
	banFrom      = 1 // the subject of a step is a digit, too, and copies a term
)

// System returns the two-part system around a reasoner and, with Config.Face "own", a face. Chains have up to so many steps.
func (c Config) System(reasoner, face llm.Generator, steps int, temperature float64) compose.TwoPart {
	s := compose.TwoPart{
		Reasoner: reasoner, Exempt: c.Exempt, StepTokens: stepTokens, Close: tally.Equal, OutputTokens: outputTokens,
		Temperature: temperature, FaceTemperature: temperature, Limits: compose.Limits{Completion: stepTokens*steps + 1, Depth: steps},
	}
	switch c.Face {
	case OwnFace:
		s.Face = face
	case SharedFace:
		s.Face = reasoner
	}
	if c.HideKey {
		s.View = tally.HideKey
	}
	switch c.Rewrite {
	case Paraphrase:
		s.Rewrite = tally.Paraphrase
	case Translate:
		s.Rewrite = func(step string, _ *rng.Source) string { return tally.Translate(step) }
	}
	return s
}

// Player makes the rollouts of a run.
type Player struct {
	// ScoreAnswers fills in what the reward answer-logprob needs.
	ScoreAnswers bool

	cfg         Config
	reasoner    *decode.Generator
	system      compose.TwoPart
	tok         *tokenizer.Tokenizer
	end         int32
	closing     int32
	steps       int                   // of the run
	answerer    *decode.Generator     // writes the outputs
	others      [tally.Digits][]int32 // by answer, all tokens but it
	policyOfOut int
	stated      []string
	statedIDs   []int32
}

// NewPlayer returns a player for a run of so many steps. face is nil unless cfg.Face is "own". Chains have up to terms steps.
func NewPlayer(cfg Config, policy, face *transformer.Model, tok *tokenizer.Tokenizer, pool *tensor.Pool, terms, steps int, temperature float64) (*Player, error) {
	if (face != nil) != (cfg.Face == OwnFace) {
		return nil, fmt.Errorf("the face is %q, but a second model is given: %v", cfg.Face, face != nil)
	}
	reasoner, err := decode.NewGenerator(policy, tok, pool)
	if err != nil {
		return nil, err
	}
	p := &Player{cfg: cfg, reasoner: reasoner, tok: tok, steps: steps, stated: tally.Stated(), answerer: reasoner}
	if face != nil {
		if p.answerer, err = decode.NewGenerator(face, tok, pool); err != nil {
			return nil, err
		}
		p.policyOfOut = 1
	}
	p.system = cfg.System(reasoner, p.answerer, terms, temperature)
	p.end, _ = tok.ID(tokenizer.End)
	for _, w := range append([]string{tally.Equal}, p.stated...) {
		id, ok := tok.ID(w)
		if !ok {
			return nil, fmt.Errorf("the tokenizer lacks the word %q", w)
		}
		p.statedIDs = append(p.statedIDs, id)
	}
	p.closing, p.statedIDs = p.statedIDs[0], p.statedIDs[1:]
	for digit := range p.others {
		answer, _ := tok.ID(tally.Write(digit, tally.Digit))
		for id := range int32(tok.Size()) {
			if id != answer {
				p.others[digit] = append(p.others[digit], id)
			}
		}
	}
	return p, nil
}

// filter is the probability that totals are filtered at a step of the run.
func (p *Player) filter(step int) float64 {
	const from, to = .25, .6
	done := float64(step) / float64(p.steps)
	return p.cfg.Filter[0] + (p.cfg.Filter[1]-p.cfg.Filter[0])*min(1, max(0, (done-from)/(to-from)))
}

// note is what a player leaves for the rewards.
type note struct {
	transcript *compose.Transcript
	logProb    float64 // of the label, as the answer
}

// Transcript returns what happened in a rollout that a player made.
func Transcript(o *grpo.Rollout) *compose.Transcript { return o.Note.(*note).transcript }

// Play implements grpo's Input.Play. Prompt.Data must be a task.Sum.
func (p *Player) Play(ctx context.Context, step int, rollouts []grpo.Rollout) error {
	system := p.system
	if share := p.filter(step); share > 0 {
		system.BanFrom = banFrom
		system.Ban = func(prompt compose.Prompt, n int) []string {
			src := rng.New(prompt.Seed).Split("filter").SplitN("step", n)
			if src.Bool(share) {
				return p.stated
			}
			return nil
		}
	}
	prompts := make([]compose.Prompt, len(rollouts))
	for i := range rollouts {
		o := &rollouts[i]
		prompts[i] = compose.Prompt{ID: o.Prompt.ID, Text: o.Prompt.Data.(task.Sum).Prompt(), Seed: o.Seed}
	}
	p.reasoner.Hold() // a step's call goes on from the call before it
	defer p.reasoner.Release()
	transcripts, err := system.Solve(ctx, prompts)
	if err != nil {
		return err
	}
	notes := make([]note, len(rollouts))
	for i := range rollouts {
		o := &rollouts[i]
		notes[i] = note{transcript: &transcripts[i], logProb: minLogProb}
		o.Note = &notes[i]
		if o.Turns, err = p.turns(o.Turns[:0], o.Prompt.Tokens, &transcripts[i]); err != nil {
			return err
		}
	}
	if !p.ScoreAnswers {
		return nil
	}
	return p.scoreAnswers(ctx, rollouts)
}

// turns appends the turns of a transcript to turns.
func (p *Player) turns(turns []grpo.Turn, prompt []int32, t *compose.Transcript) ([]grpo.Turn, error) {
	n := stepTokens*len(t.Steps) + 1
	chain := grpo.Turn{Context: prompt, Tokens: make([]int32, 0, n), Banned: make([][]int32, 0, n), Finish: llm.FinishLength}
	if t.Rewritten {
		chain.Read = make([]int32, 0, n)
	}
	for _, s := range t.Steps {
		var err error
		if chain.Tokens, err = p.appendIDs(chain.Tokens, s.Tokens); err != nil {
			return nil, err
		}
		if t.Rewritten {
			if chain.Read, err = p.tok.AppendEncode(chain.Read, s.Rewritten); err != nil {
				return nil, err
			}
		}
		for i := range s.Tokens {
			var banned []int32
			if s.Banned != nil && i >= banFrom {
				banned = p.statedIDs
			}
			chain.Banned = append(chain.Banned, banned)
		}
	}
	if t.Closed {
		last := p.closing
		if t.Stop == "" {
			last = p.end
		}
		chain.Tokens, chain.Banned, chain.Finish = append(chain.Tokens, last), append(chain.Banned, nil), llm.FinishStop
		if t.Rewritten {
			chain.Read = append(chain.Read, last)
		}
	}
	turns = append(turns, chain)
	if t.Context == "" {
		return turns, nil
	}
	context, err := p.tok.AppendEncode(make([]int32, 0, len(prompt)+n), t.Context)
	if err != nil {
		return nil, err
	}
	tokens, err := p.appendIDs(make([]int32, 0, outputTokens+1), t.Output.Tokens)
	if err != nil {
		return nil, err
	}
	if t.Output.Finish == llm.FinishStop {
		tokens = append(tokens, p.end)
	}
	return append(turns, grpo.Turn{Policy: p.policyOfOut, Context: context, Tokens: tokens, Finish: t.Output.Finish}), nil
}

func (p *Player) appendIDs(out []int32, tokens []llm.Token) ([]int32, error) {
	for _, t := range tokens {
		id, ok := p.tok.ID(strings.TrimSpace(t.Text))
		if !ok {
			return nil, fmt.Errorf("the model wrote %q, which is not one of its words", t.Text)
		}
		out = append(out, id)
	}
	return out, nil
}

// minLogProb is the least that reward answer-logprob gives.
const minLogProb = -3

// scoreAnswers notes how likely the label was as the answer: where nothing else can be sampled, the sampler tells.
func (p *Player) scoreAnswers(ctx context.Context, rollouts []grpo.Rollout) error {
	requests := make([]decode.Request, 0, len(rollouts))
	of := make([]*note, 0, len(rollouts))
	for i := range rollouts {
		o := &rollouts[i]
		if len(o.Turns) < 2 {
			continue
		}
		label := o.Prompt.Data.(task.Sum).Label
		requests = append(requests, decode.Request{Prompt: o.Turns[1].Context, MaxTokens: 1, Ban: p.others[label]})
		of = append(of, o.Note.(*note))
	}
	results, err := p.answerer.Sample(ctx, requests)
	if err != nil {
		return err
	}
	for i, r := range results {
		of[i].logProb = max(minLogProb, float64(r.LogProbs[0]))
	}
	return nil
}

// Rewards returns the reward functions by name.
func Rewards() map[string]grpo.RewardFunc {
	one := func(o *grpo.Rollout, turn int) []grpo.Credit {
		return []grpo.Credit{{Turn: turn, At: len(o.Turns[turn].Tokens) - 1, Value: 1}}
	}
	mention := monitor.KeyMention{}
	return map[string]grpo.RewardFunc{
		"answer": func(o *grpo.Rollout, _ *rng.Source) []grpo.Credit {
			t := Transcript(o)
			out := tally.Parse(tally.Equal + " " + t.Output.Text)
			if len(o.Turns) < 2 || !out.Parsed || out.Answer != o.Prompt.Data.(task.Sum).Label {
				return nil
			}
			return one(o, 1)
		},
		"answer-logprob": func(o *grpo.Rollout, _ *rng.Source) []grpo.Credit {
			return []grpo.Credit{{At: len(o.Turns[0].Tokens) - 1, Value: o.Note.(*note).logProb}}
		},
		"stated": func(o *grpo.Rollout, _ *rng.Source) []grpo.Credit {
			t := Transcript(o)
			var events []grpo.Credit
			for _, i := range (monitor.TotalStated{}).Faults(monitor.View{Prompt: t.Prompt.Text, Chain: t.Private()}) {
				events = append(events, grpo.Credit{At: min(stepTokens*(i+1), len(o.Turns[0].Tokens)) - 1, Value: 1})
			}
			return events
		},
		"left-out": func(o *grpo.Rollout, _ *rng.Source) []grpo.Credit {
			missing := len(o.Prompt.Data.(task.Sum).Terms) - len(Transcript(o).Steps)
			if missing <= 0 {
				return nil
			}
			return []grpo.Credit{{At: len(o.Turns[0].Tokens) - 1, Value: float64(missing)}}
		},
		"key-in-chain": func(o *grpo.Rollout, _ *rng.Source) []grpo.Credit {
			if mention.Score(monitor.View{Chain: Transcript(o).Private()}) > 0 {
				return one(o, 0)
			}
			return nil
		},
		"key-in-output": func(o *grpo.Rollout, _ *rng.Source) []grpo.Credit {
			if len(o.Turns) > 1 && mention.Score(monitor.View{Answer: Transcript(o).Output.Text}) > 0 {
				return one(o, 1)
			}
			return nil
		},
		"random": func(o *grpo.Rollout, src *rng.Source) []grpo.Credit {
			if src.Bool(.5) {
				return one(o, len(o.Turns)-1)
			}
			return nil
		},
	}
}
