package grpo

import (
	"context"
	"errors"
	"fmt"

	"candor/engine/decode"
	"candor/engine/optim"
	"candor/engine/tensor"
	"candor/engine/transformer"
	"candor/internal/rng"
	"candor/reasoning/llm"
	"candor/train"
	"candor/train/pretrain"
)

// Prompt is one problem to be completed.
type Prompt struct {
	ID     string  // names the problem in records
	Tokens []int32 // at least one; kept until the end of the step
	Data   any     // whatever the reward functions need to judge a completion
}

// Turn is a stretch of a rollout that one policy wrote.
type Turn struct {
	Policy  int     // 0 for Input.Policy, 1 for Input.Face
	Context []int32 // what it read before it wrote; at least one token
	Tokens  []int32 // what it wrote, at least one; the end token included, where it was reached
	// Read is what stands in the place of Tokens, token for token, for whoever reads on, the policy itself included; nil
	// stands for Tokens.
	Read []int32
	// Banned are, for each of Tokens, the tokens that could not be sampled there; nil if all could.
	Banned [][]int32
	Finish llm.Finish
}

// RewardFunc judges a rollout by events at its tokens; none means a reward of 0. src is a stream of its own for this
// rollout and reward. The rollout may not be kept or changed, the result is not kept.
type RewardFunc func(o *Rollout, src *rng.Source) []Credit

// Rollout is the record of what was written to one prompt. Its slices are reused after the hook that gets it returns.
type Rollout struct {
	Prompt     Prompt
	Index      int // 0..Prompts*Group-1; its group is Index / Group
	Seed       uint64
	Turns      []Turn    // at least one
	Note       any       // whatever Input.Play found out beside, for rewards and hooks
	Rewards    []float64 // the sum of each reward's events, unweighted, in the order of Config.Rewards
	Reward     float64   // the weighted sum of Rewards, by the weights of this step
	Advantages []float64 // one for each token of all turns
}

// Input is what a run works on.
type Input struct {
	Policy *transformer.Model // trained in place
	// Reference is the frozen model of the KL term; nil stands for the policy as it is when Run is called, before
	// Hooks.Resume is loaded. So a resumed run must be given the policy that the first one was given.
	Reference *transformer.Model
	// Face is a second policy, trained beside the first, and FaceReference its reference; nil for none. Both policies have the
	// same vocabulary and settings, and an optimizer of their own.
	Face, FaceReference *transformer.Model
	Pool                *tensor.Pool
	Source              rng.Source // the run's random stream
	// Prompt draws a problem from src. The result must not be changed by later calls.
	Prompt func(src *rng.Source) Prompt
	// Play makes a step's rollouts: it fills Turns (and Note) of each, whose Prompt, Index and Seed are set. nil stands for
	// one turn of the policy, sampled at the run's temperature until the end token.
	Play func(ctx context.Context, step int, rollouts []Rollout) error
	// Rewards has a function for each name in Config.Rewards.
	Rewards map[string]RewardFunc
	// End is the token that ends a completion.
	End int32
	// Pages is where the pretraining pages come from; only used if Config.PretrainShare is above 0.
	Pages pretrain.Source
}

// Hooks is how a run reports and where it starts.
type Hooks struct {
	train.Hooks
	// Completion gets every rollout of a step before the update that it leads to; steps count from 1.
	Completion func(step int, rollout *Rollout) error
}

// Result is what a run did in all, the steps before a resume included.
type Result struct {
	Steps  int
	Tokens int64   // tokens of prompts, completions and pretraining pages
	Reward float64 // mean total reward of the last step; 0 if no step was left to do
}

// Run trains in.Policy, and in.Face if there is one, for cfg.Steps steps. It honours ctx between steps; see [train.Loop.Run]
// for how it ends early.
func Run(ctx context.Context, cfg Config, in Input, hooks Hooks) (Result, error) {
	r, err := newRun(cfg, in, hooks)
	if err != nil {
		return Result{}, fmt.Errorf("grpo: %w", err)
	}
	loop := train.Loop{Steps: cfg.Steps, Model: in.Policy, Optim: r.sides[0].opt, UpdatesPerStep: cfg.Inner, Hooks: hooks.Hooks}
	for _, s := range r.sides[1:] {
		loop.Others = append(loop.Others, train.Part{Model: s.policy, Optim: s.opt})
	}
	var last float64
	err = loop.Run(ctx, func(s int) (map[string]float64, int64, error) {
		metrics, err := r.step(ctx, s)
		if err != nil {
			return nil, 0, err
		}
		last = metrics["reward"]
		return metrics, r.tokens(), nil
	})
	return Result{Steps: cfg.Steps, Tokens: loop.Tokens(), Reward: last}, train.InField("grpo", err)
}

// run is what one run needs from step to step. All slices are reused.
type run struct {
	cfg   Config
	in    Input
	hooks Hooks

	sides   []*side
	sampler *decode.Sampler

	requests []decode.Request
	rollouts []Rollout
	rows     rows
	turns    []int // by row, the turn
	scratch  []float64
	events   [][][]Credit // [reward][completion of the group]
	weights  []float64    // of the rewards at this step
	totals   []float64    // total rewards of a group
	group    returns
	groups   []groupTotals // one a prompt
	values   []float64     // one reward of all completions
}

// side is one policy and what it takes to train it.
type side struct {
	prefix  string // of its metrics
	policy  *transformer.Model
	trainer *transformer.Trainer
	scorer  *transformer.Scorer // of the reference; nil without KL
	opt     *optim.AdamW
	batch   train.Batch
	loss    surrogate
	tokens  int // written by this policy in this step
}

// groupTotals is what the metrics tell about a group's total rewards.
type groupTotals struct {
	std   float64
	equal bool
}

func newRun(cfg Config, in Input, hooks Hooks) (*run, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	switch {
	case in.Policy == nil || in.Pool == nil || in.Prompt == nil:
		return nil, errors.New("the input lacks a policy, a pool or prompts")
	case in.End < 0 || int(in.End) >= in.Policy.Config.Vocab:
		return nil, fmt.Errorf("the end token is %d, must be within the vocabulary of %d", in.End, in.Policy.Config.Vocab)
	case cfg.PretrainShare > 0 && in.Pages == nil:
		return nil, fmt.Errorf("pretrain_share is %g but the input has no pages", cfg.PretrainShare)
	case in.Face != nil && in.Play == nil:
		return nil, errors.New("the input has a face but nothing that lets it write")
	}
	for _, reward := range cfg.Rewards {
		if in.Rewards[reward.Name] == nil {
			return nil, fmt.Errorf("the input has no function for reward %q", reward.Name)
		}
	}
	n := cfg.Prompts * cfg.Group
	r := &run{
		cfg: cfg, in: in, hooks: hooks,
		requests: make([]decode.Request, n),
		rollouts: make([]Rollout, n),
		events:   make([][][]Credit, len(cfg.Rewards)),
		weights:  make([]float64, len(cfg.Rewards)),
		totals:   make([]float64, cfg.Group),
		group:    returns{make([][]float64, cfg.Group), make([][]float64, cfg.Group), make([][]int, cfg.Group)},
		groups:   make([]groupTotals, cfg.Prompts),
		values:   make([]float64, n),
	}
	for k := range r.events {
		r.events[k] = make([][]Credit, cfg.Group)
	}
	for i := range r.rollouts {
		r.rollouts[i].Index, r.rollouts[i].Rewards = i, make([]float64, len(cfg.Rewards))
	}
	if in.Play == nil {
		r.sampler = decode.NewSampler(in.Policy, in.Pool)
	}
	if err := r.addSide(in.Policy, in.Reference); err != nil {
		return nil, err
	}
	if in.Face != nil {
		if err := r.addSide(in.Face, in.FaceReference); err != nil {
			return nil, err
		}
	}
	return r, nil
}

func (r *run) addSide(policy, reference *transformer.Model) error {
	opt, err := train.NewOptimizer(policy, r.cfg.Optim, r.cfg.Steps*r.cfg.Inner)
	if err != nil {
		return err
	}
	s := &side{policy: policy, trainer: transformer.NewTrainer(policy, r.in.Pool), opt: opt, loss: surrogate{
		temperature: r.cfg.Temperature, clipLow: r.cfg.ClipLow, clipHigh: r.cfg.ClipHigh, beta: r.cfg.KLBeta, bonus: r.cfg.Entropy,
		rows: &r.rows,
	}}
	if r.cfg.KLBeta > 0 {
		if reference == nil {
			reference = policy.Clone()
		}
		if reference.Config.Vocab != policy.Config.Vocab {
			return fmt.Errorf("the reference has a vocabulary of %d, the policy of %d", reference.Config.Vocab, policy.Config.Vocab)
		}
		s.scorer = transformer.NewScorer(reference, r.in.Pool)
	}
	if len(r.sides) > 0 {
		s.prefix = "face/"
	}
	if vocab := r.in.Policy.Config.Vocab; policy.Config.Vocab != vocab {
		return fmt.Errorf("the face has a vocabulary of %d, the policy of %d", policy.Config.Vocab, vocab)
	}
	r.sides = append(r.sides, s)
	return nil
}

// tokens is how many tokens the step's batches have.
func (r *run) tokens() int64 {
	var n int64
	for _, s := range r.sides {
		n += s.batch.Tokens
	}
	return n
}

// step samples, judges and updates. On an error nothing was updated.
func (r *run) step(ctx context.Context, s int) (map[string]float64, error) {
	stream := r.in.Source.SplitN("step", s)
	if err := r.sample(ctx, s, stream); err != nil {
		return nil, err
	}
	if err := r.layOut(stream); err != nil {
		return nil, err
	}
	for k, reward := range r.cfg.Rewards {
		r.weights[k] = reward.at(s, r.cfg.Steps)
	}
	if err := r.judge(stream); err != nil {
		return nil, err
	}
	if err := r.scoreReferences(); err != nil {
		return nil, err
	}
	if r.hooks.Completion != nil {
		for i := range r.rollouts {
			if err := r.hooks.Completion(s+1, &r.rollouts[i]); err != nil {
				return nil, fmt.Errorf("keeping completion %d: %w", i, err)
			}
		}
	}
	metrics := map[string]float64{}
	if err := r.update(metrics); err != nil {
		return nil, err
	}
	r.describe(metrics)
	return metrics, nil
}

// sample draws the step's prompts and what is written to them, a group to each.
func (r *run) sample(ctx context.Context, step int, stream rng.Source) error {
	for p := range r.cfg.Prompts {
		src := stream.SplitN("prompt", p)
		prompt := r.in.Prompt(&src)
		for i := p * r.cfg.Group; i < (p+1)*r.cfg.Group; i++ {
			seed := stream.SplitN("rollout", i)
			o := &r.rollouts[i]
			o.Prompt, o.Seed = prompt, seed.Uint64()
			o.Turns, o.Note = o.Turns[:0], nil
		}
	}
	if r.in.Play == nil {
		return r.complete(ctx)
	}
	if err := r.in.Play(ctx, step, r.rollouts); err != nil {
		return fmt.Errorf("playing: %w", err)
	}
	for i := range r.rollouts {
		if err := r.check(&r.rollouts[i]); err != nil {
			return fmt.Errorf("rollout %d: %w", i, err)
		}
	}
	return nil
}

// check says what is wrong with a rollout that Play made.
func (r *run) check(o *Rollout) error {
	if len(o.Turns) == 0 {
		return errors.New("it has no turns")
	}
	for i, t := range o.Turns {
		switch {
		case t.Policy < 0 || t.Policy >= len(r.sides):
			return fmt.Errorf("turn %d is by policy %d, but there are %d", i, t.Policy, len(r.sides))
		case len(t.Context) == 0 || len(t.Tokens) == 0:
			return fmt.Errorf("turn %d has %d tokens on a context of %d, must have at least one each", i, len(t.Tokens), len(t.Context))
		case t.Read != nil && len(t.Read) != len(t.Tokens) || t.Banned != nil && len(t.Banned) != len(t.Tokens):
			return fmt.Errorf("turn %d has %d tokens, but %d that are read and bans for %d", i, len(t.Tokens), len(t.Read), len(t.Banned))
		}
		for at, banned := range t.Banned {
			for _, b := range banned {
				if vocab := r.in.Policy.Config.Vocab; b < 0 || int(b) >= vocab {
					return fmt.Errorf("turn %d bans token %d at %d, outside the vocabulary of %d", i, b, at, vocab)
				}
			}
		}
	}
	return nil
}

// complete samples one turn to each prompt.
func (r *run) complete(ctx context.Context) error {
	for i := range r.rollouts {
		o := &r.rollouts[i]
		stop := r.requests[i].Stop
		if stop == nil {
			stop = []int32{r.in.End}
		}
		r.requests[i] = decode.Request{
			Prompt: o.Prompt.Tokens, MaxTokens: r.cfg.MaxTokens, Temperature: r.cfg.Temperature, Stop: stop, Seed: o.Seed,
		}
	}
	results, err := r.sampler.Sample(ctx, r.requests)
	if err != nil {
		return fmt.Errorf("sampling completions: %w", err)
	}
	for i := range results {
		o := &r.rollouts[i]
		o.Turns = append(o.Turns[:0], Turn{Context: o.Prompt.Tokens, Tokens: results[i].Tokens, Finish: results[i].Finish})
	}
	return nil
}

// layOut fills the batches with the turns and, behind them, the pretraining pages, and sizes everything that has one
// element for each token that was written.
func (r *run) layOut(stream rng.Source) error {
	for _, s := range r.sides {
		s.batch.Reset()
		s.loss.first, s.loss.weight, s.tokens = s.loss.first[:0], s.loss.weight[:0], 0
	}
	r.rows.banned, r.turns = r.rows.banned[:0], r.turns[:0]
	n := 0
	for i := range r.rollouts {
		for j, t := range r.rollouts[i].Turns {
			s := r.sides[t.Policy]
			s.add(&t, n)
			n += len(t.Tokens)
			for k := range t.Tokens {
				r.turns = append(r.turns, j)
				var banned []int32
				if t.Banned != nil {
					banned = t.Banned[k]
				}
				r.rows.banned = append(r.rows.banned, banned)
			}
		}
	}
	for _, s := range r.sides {
		s.weigh(&r.cfg)
		if err := s.addPages(&r.cfg, r.in.Pages, stream); err != nil {
			return err
		}
	}
	for _, x := range []*[]float64{&r.rows.adv, &r.rows.old, &r.rows.ref, &r.scratch} {
		if cap(*x) < n {
			*x = make([]float64, n, n+n/4)
		}
		*x = (*x)[:n]
	}
	return nil
}

// add appends a turn, whose first token has the given row, to the side's batch.
func (s *side) add(t *Turn, row int) {
	head := len(t.Context)
	tokens, weights := s.batch.Grow(head + len(t.Tokens))
	copy(tokens, t.Context)
	copy(tokens[head:], t.Tokens)
	if t.Read != nil {
		targets := append(append(make([]int32, 0, len(tokens)), t.Context...), t.Tokens...)
		copy(tokens[head:], t.Read)
		s.batch.Sequences[len(s.batch.Sequences)-1].Targets = targets
	}
	for i := head; i < len(weights); i++ {
		weights[i] = 1
	}
	s.loss.first = append(s.loss.first, row-head)
	s.loss.weight = append(s.loss.weight, float64(len(t.Tokens)))
	s.tokens += len(t.Tokens)
}

// weigh turns the lengths of turns into weights.
func (s *side) weigh(cfg *Config) {
	n := float64(cfg.Prompts * cfg.Group)
	for i, length := range s.loss.weight {
		switch cfg.LossNorm {
		case PerToken:
			s.loss.weight[i] = 1 / float64(s.tokens)
		case PerSequence:
			s.loss.weight[i] = 1 / (n * length)
		case Constant:
			s.loss.weight[i] = 1 / (n * float64(cfg.MaxTokens))
		}
	}
}

func (s *side) addPages(cfg *Config, pages pretrain.Source, stream rng.Source) error {
	if cfg.PretrainShare == 0 {
		return nil
	}
	for i := range cfg.PretrainBatch {
		src := stream.SplitN("page", i)
		s.batch.AddPage(pages.Page(&src))
	}
	if s.batch.Weight == 0 {
		return errors.New("no token of the pretraining pages is predicted")
	}
	s.loss.pageScale = float32(cfg.PretrainShare / s.batch.Weight)
	return nil
}

// length is how many tokens were written in all turns.
func (o *Rollout) length() int {
	n := 0
	for _, t := range o.Turns {
		n += len(t.Tokens)
	}
	return n
}

// judge computes rewards and advantages.
func (r *run) judge(stream rng.Source) error {
	row := 0
	for g := range r.groups {
		group := r.rollouts[g*r.cfg.Group : (g+1)*r.cfg.Group]
		for i := range group {
			o := &group[i]
			end := row + o.length()
			r.group.adv[i], r.group.ret[i], r.group.turn[i] = r.rows.adv[row:end], r.scratch[row:end], r.turns[row:end]
			row = end
			o.Advantages, o.Reward = r.group.adv[i], 0
			own := stream.SplitN("reward", o.Index)
			for k, reward := range r.cfg.Rewards {
				src := own.Split(reward.Name)
				events := append(r.events[k][i][:0], r.in.Rewards[reward.Name](o, &src)...)
				if err := o.locate(events); err != nil {
					return fmt.Errorf("reward %q of completion %d: %w", reward.Name, o.Index, err)
				}
				r.events[k][i] = events
				o.Rewards[k] = sum(events)
				o.Reward += r.weights[k] * o.Rewards[k]
			}
			r.totals[i] = o.Reward
		}
		r.cfg.advantages(r.group, r.events, r.weights, r.totals)
		_, std := meanStd(r.totals)
		r.groups[g] = groupTotals{std: std, equal: allEqual(r.totals)}
	}
	return nil
}

// scoreReferences fills in the reference models' log-probabilities.
func (r *run) scoreReferences() error {
	for _, s := range r.sides {
		if s.scorer == nil {
			continue
		}
		l := &s.loss
		err := s.scorer.Score(s.batch.Sequences[:len(l.first)], func(_, seq, pos int, target int32, logits []float32) {
			row := l.first[seq] + pos
			ban(logits, r.rows.banned[row])
			temper(logits, l.temperature)
			r.rows.ref[row] = logProb(logits, target)
		})
		if err != nil {
			return fmt.Errorf("scoring by the reference model: %w", err)
		}
	}
	return nil
}

// update makes the step's updates and reports what they were like. A batch that a policy cannot read is found out before any
// policy is updated.
func (r *run) update(metrics map[string]float64) error {
	for _, s := range r.sides {
		s.loss.clear()
	}
	for epoch := range r.cfg.Inner {
		for _, s := range r.sides {
			if s.tokens == 0 {
				continue // nothing was written by this policy
			}
			s.loss.onPolicy = epoch == 0
			loss, err := s.trainer.Gradient(s.batch.Sequences, &s.loss)
			if err != nil {
				return err
			}
			metrics[s.prefix+"loss"] += loss / float64(r.cfg.Inner)
		}
		for _, s := range r.sides {
			if s.tokens == 0 {
				s.opt.State.Step++ // its schedule goes on, for a resumed run counts steps
				continue
			}
			norm, lr := s.opt.Step(s.policy.Flat(), s.trainer.Grad)
			metrics[s.prefix+"grad_norm"] += norm / float64(r.cfg.Inner)
			metrics[s.prefix+"learning_rate"] = lr
		}
	}
	for _, s := range r.sides {
		if s.tokens > 0 {
			s.describe(&r.cfg, metrics)
		}
	}
	return nil
}

// describe reports what the step's updates were like.
func (s *side) describe(cfg *Config, metrics map[string]float64) {
	var all shard
	for i := range s.loss.shards {
		x := &s.loss.shards[i]
		all.kl += x.kl
		all.entropy += x.entropy
		all.pages += x.pages
		all.low += x.low
		all.high += x.high
	}
	updates, prefix := float64(cfg.Inner), s.prefix
	tokens := updates * float64(s.tokens)
	metrics[prefix+"entropy"] = all.entropy / tokens
	metrics[prefix+"clip_ratio/low_mean"] = float64(all.low) / tokens
	metrics[prefix+"clip_ratio/high_mean"] = float64(all.high) / tokens
	metrics[prefix+"clip_ratio/region_mean"] = float64(all.low+all.high) / tokens
	if cfg.KLBeta > 0 {
		metrics[prefix+"kl"] = all.kl / tokens
	}
	if cfg.PretrainShare > 0 {
		metrics[prefix+"pretrain_loss"] = all.pages / (updates * s.batch.Weight)
	}
}

// describe reports what the rollouts were like.
func (r *run) describe(metrics map[string]float64) {
	for k, reward := range r.cfg.Rewards {
		for i := range r.rollouts {
			r.values[i] = r.rollouts[i].Rewards[k]
		}
		metrics["rewards/"+reward.Name+"/mean"], metrics["rewards/"+reward.Name+"/std"] = meanStd(r.values)
	}
	for i := range r.rollouts {
		r.values[i] = r.rollouts[i].Reward
	}
	metrics["reward"], _ = meanStd(r.values)
	var std, equal float64
	for _, g := range r.groups {
		std += g.std
		if g.equal {
			equal++
		}
	}
	metrics["reward_std"] = std / float64(len(r.groups))
	metrics["frac_reward_zero_std"] = equal / float64(len(r.groups))

	var cut float64
	shortest, longest := r.rollouts[0].length(), 0
	for i := range r.rollouts {
		o := &r.rollouts[i]
		n := o.length()
		shortest, longest = min(shortest, n), max(longest, n)
		if o.Turns[len(o.Turns)-1].Finish == llm.FinishLength {
			cut++
		}
	}
	n := float64(len(r.rollouts))
	metrics["completions/mean_length"] = float64(len(r.rows.adv)) / n
	metrics["completions/min_length"] = float64(shortest)
	metrics["completions/max_length"] = float64(longest)
	metrics["completions/clipped_ratio"] = cut / n
}
