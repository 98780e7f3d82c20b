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

// Completion is what the policy wrote.
type Completion struct {
	Tokens   []int32   // at least one; the end token included, where it was reached
	LogProbs []float32 // of the tokens when they were sampled, at temperature 1
	Finish   llm.Finish
}

// RewardFunc judges a completion by events at its tokens; none means a reward of 0. src is a stream of its own for this
// completion and reward. The slices of the arguments may not be kept or changed, the result is not kept.
type RewardFunc func(prompt *Prompt, completion *Completion, src *rng.Source) []Credit

// Rollout is the record of one completion. Its slices are reused after the hook that gets it returns.
type Rollout struct {
	Prompt Prompt
	Index  int // 0..Prompts*Group-1; its group is Index / Group
	Completion
	Seed       uint64
	Rewards    []float64 // the sum of each reward's events, unweighted, in the order of Config.Rewards
	Reward     float64   // the weighted sum of Rewards
	Advantages []float64 // one for each token
}

// Input is what a run works on.
type Input struct {
	Policy *transformer.Model // trained in place
	// Reference is the frozen model of the KL term; nil stands for the policy as it is when Run is called, before
	// Hooks.Resume is loaded. So a resumed run must be given the policy that the first one was given.
	Reference *transformer.Model
	Pool      *tensor.Pool
	Source    rng.Source // the run's random stream
	// Prompt draws a problem from src. The result must not be changed by later calls.
	Prompt func(src *rng.Source) Prompt
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

// Run trains in.Policy for cfg.Steps steps. It honours ctx between steps; see [train.Loop.Run] for how it ends early.
func Run(ctx context.Context, cfg Config, in Input, hooks Hooks) (Result, error) {
	r, err := newRun(cfg, in, hooks)
	if err != nil {
		return Result{}, fmt.Errorf("grpo: %w", err)
	}
	loop := train.Loop{Steps: cfg.Steps, Model: in.Policy, Optim: r.opt, UpdatesPerStep: cfg.Inner, Hooks: hooks.Hooks}
	var last float64
	err = loop.Run(ctx, func(s int) (map[string]float64, int64, error) {
		metrics, err := r.step(ctx, s)
		if err != nil {
			return nil, 0, err
		}
		last = metrics["reward"]
		return metrics, r.batch.Tokens, nil
	})
	return Result{Steps: cfg.Steps, Tokens: loop.Tokens(), Reward: last}, train.InField("grpo", err)
}

// run is what one run needs from step to step. All slices are reused.
type run struct {
	cfg   Config
	in    Input
	hooks Hooks

	trainer *transformer.Trainer
	scorer  *transformer.Scorer // of the reference; nil without KL
	sampler *decode.Sampler
	opt     *optim.AdamW

	requests []decode.Request
	rollouts []Rollout
	batch    train.Batch
	loss     surrogate
	scratch  []float64     // rows of returns
	events   [][][]Credit  // [reward][completion of the group]
	totals   []float64     // total rewards of a group
	adv, ret [][]float64   // [completion of the group][token]
	groups   []groupTotals // one a prompt
	values   []float64     // one reward of all completions
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
	}
	for _, reward := range cfg.Rewards {
		if in.Rewards[reward.Name] == nil {
			return nil, fmt.Errorf("the input has no function for reward %q", reward.Name)
		}
	}
	opt, err := train.NewOptimizer(in.Policy, cfg.Optim, cfg.Steps*cfg.Inner)
	if err != nil {
		return nil, err
	}
	n := cfg.Prompts * cfg.Group
	r := &run{
		cfg: cfg, in: in, hooks: hooks, opt: opt,
		trainer:  transformer.NewTrainer(in.Policy, in.Pool),
		sampler:  decode.NewSampler(in.Policy, in.Pool),
		requests: make([]decode.Request, n),
		rollouts: make([]Rollout, n),
		events:   make([][][]Credit, len(cfg.Rewards)),
		totals:   make([]float64, cfg.Group),
		adv:      make([][]float64, cfg.Group),
		ret:      make([][]float64, cfg.Group),
		groups:   make([]groupTotals, cfg.Prompts),
		values:   make([]float64, n),
		loss: surrogate{
			temperature: cfg.Temperature, clipLow: cfg.ClipLow, clipHigh: cfg.ClipHigh, beta: cfg.KLBeta, bonus: cfg.Entropy,
			first: make([]int, n), weight: make([]float64, n),
		},
	}
	for k := range r.events {
		r.events[k] = make([][]Credit, cfg.Group)
	}
	for i := range r.rollouts {
		r.rollouts[i].Index, r.rollouts[i].Rewards = i, make([]float64, len(cfg.Rewards))
	}
	if cfg.KLBeta > 0 {
		reference := in.Reference
		if reference == nil {
			reference = in.Policy.Clone()
		}
		if reference.Config.Vocab != in.Policy.Config.Vocab {
			return nil, fmt.Errorf("the reference has a vocabulary of %d, the policy of %d", reference.Config.Vocab, in.Policy.Config.Vocab)
		}
		r.scorer = transformer.NewScorer(reference, in.Pool)
	}
	return r, nil
}

// step samples, judges and updates. On an error nothing was updated.
func (r *run) step(ctx context.Context, s int) (map[string]float64, error) {
	stream := r.in.Source.SplitN("step", s)
	if err := r.sample(ctx, stream); err != nil {
		return nil, err
	}
	if err := r.layOut(stream); err != nil {
		return nil, err
	}
	if err := r.judge(stream); err != nil {
		return nil, err
	}
	if err := r.scoreReference(); err != nil {
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

// sample draws the step's prompts and their groups of completions.
func (r *run) sample(ctx context.Context, stream rng.Source) error {
	for p := range r.cfg.Prompts {
		src := stream.SplitN("prompt", p)
		prompt := r.in.Prompt(&src)
		for i := p * r.cfg.Group; i < (p+1)*r.cfg.Group; i++ {
			seed := stream.SplitN("rollout", i)
			o := &r.rollouts[i]
			o.Prompt, o.Seed = prompt, seed.Uint64()
			r.requests[i] = decode.Request{
				Prompt: prompt.Tokens, MaxTokens: r.cfg.MaxTokens, Temperature: r.cfg.Temperature,
				Stop: r.requests[i].Stop, Seed: o.Seed,
			}
			if r.requests[i].Stop == nil {
				r.requests[i].Stop = []int32{r.in.End}
			}
		}
	}
	results, err := r.sampler.Sample(ctx, r.requests)
	if err != nil {
		return fmt.Errorf("sampling completions: %w", err)
	}
	for i := range results {
		r.rollouts[i].Completion = Completion{Tokens: results[i].Tokens, LogProbs: results[i].LogProbs, Finish: results[i].Finish}
	}
	return nil
}

// layOut fills the batch with the rollouts and, behind them, the pretraining pages, and sizes everything that has one
// element a completion token.
func (r *run) layOut(stream rng.Source) error {
	r.batch.Reset()
	rows := 0
	for i := range r.rollouts {
		o := &r.rollouts[i]
		head, n := len(o.Prompt.Tokens), len(o.Tokens)
		tokens, weights := r.batch.Grow(head + n)
		copy(tokens, o.Prompt.Tokens)
		copy(tokens[head:], o.Tokens)
		for t := head; t < len(weights); t++ {
			weights[t] = 1
		}
		r.loss.first[i] = rows - head
		rows += n
	}
	n := float64(len(r.rollouts))
	for i := range r.rollouts {
		switch r.cfg.LossNorm {
		case PerToken:
			r.loss.weight[i] = 1 / float64(rows)
		case PerSequence:
			r.loss.weight[i] = 1 / (n * float64(len(r.rollouts[i].Tokens)))
		case Constant:
			r.loss.weight[i] = 1 / (n * float64(r.cfg.MaxTokens))
		}
	}
	for _, x := range []*[]float64{&r.loss.adv, &r.loss.old, &r.loss.ref, &r.scratch} {
		if cap(*x) < rows {
			*x = make([]float64, rows, rows+rows/4)
		}
		*x = (*x)[:rows]
	}
	if r.cfg.PretrainShare > 0 {
		for i := range r.cfg.PretrainBatch {
			src := stream.SplitN("page", i)
			r.batch.AddPage(r.in.Pages.Page(&src))
		}
		if r.batch.Weight == 0 {
			return errors.New("no token of the pretraining pages is predicted")
		}
		r.loss.pageScale = float32(r.cfg.PretrainShare / r.batch.Weight)
	}
	return nil
}

// judge computes rewards and advantages.
func (r *run) judge(stream rng.Source) error {
	row := 0
	for g := range r.groups {
		group := r.rollouts[g*r.cfg.Group : (g+1)*r.cfg.Group]
		for i := range group {
			o := &group[i]
			r.adv[i] = r.loss.adv[row : row+len(o.Tokens)]
			r.ret[i] = r.scratch[row : row+len(o.Tokens)]
			row += len(o.Tokens)
			o.Advantages, o.Reward = r.adv[i], 0
			own := stream.SplitN("reward", o.Index)
			for k, reward := range r.cfg.Rewards {
				src := own.Split(reward.Name)
				events := r.in.Rewards[reward.Name](&o.Prompt, &o.Completion, &src)
				if err := check(events, len(o.Tokens)); err != nil {
					return fmt.Errorf("reward %q of completion %d: %w", reward.Name, o.Index, err)
				}
				r.events[k][i] = events
				o.Rewards[k] = sum(events)
				o.Reward += reward.Weight * o.Rewards[k]
			}
			r.totals[i] = o.Reward
		}
		r.cfg.advantages(r.adv, r.ret, r.events, r.totals)
		_, std := meanStd(r.totals)
		r.groups[g] = groupTotals{std: std, equal: allEqual(r.totals)}
	}
	return nil
}

// scoreReference fills in the reference model's log-probabilities.
func (r *run) scoreReference() error {
	if r.scorer == nil {
		return nil
	}
	l := &r.loss
	err := r.scorer.Score(r.batch.Sequences[:len(r.rollouts)], func(_, seq, pos int, target int32, logits []float32) {
		temper(logits, l.temperature)
		l.ref[l.first[seq]+pos] = logProb(logits, target)
	})
	return train.InField("scoring by the reference model", err)
}

// update makes the step's updates and reports what they were like.
func (r *run) update(metrics map[string]float64) error {
	r.loss.clear()
	updates := float64(r.cfg.Inner)
	for epoch := range r.cfg.Inner {
		r.loss.onPolicy = epoch == 0
		loss, err := r.trainer.Gradient(r.batch.Sequences, &r.loss)
		if err != nil {
			return err
		}
		norm, lr := r.opt.Step(r.in.Policy.Flat(), r.trainer.Grad)
		metrics["loss"] += loss / updates
		metrics["grad_norm"] += norm / updates
		metrics["learning_rate"] = lr
	}
	var all shard
	for i := range r.loss.shards {
		s := &r.loss.shards[i]
		all.kl += s.kl
		all.entropy += s.entropy
		all.pages += s.pages
		all.low += s.low
		all.high += s.high
	}
	tokens := updates * float64(len(r.loss.adv))
	metrics["entropy"] = all.entropy / tokens
	metrics["clip_ratio/low_mean"] = float64(all.low) / tokens
	metrics["clip_ratio/high_mean"] = float64(all.high) / tokens
	metrics["clip_ratio/region_mean"] = float64(all.low+all.high) / tokens
	if r.cfg.KLBeta > 0 {
		metrics["kl"] = all.kl / tokens
	}
	if r.cfg.PretrainShare > 0 {
		metrics["pretrain_loss"] = all.pages / (updates * r.batch.Weight)
	}
	return nil
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
	shortest, longest := len(r.rollouts[0].Tokens), 0
	for i := range r.rollouts {
		n := len(r.rollouts[i].Tokens)
		shortest, longest = min(shortest, n), max(longest, n)
		if r.rollouts[i].Finish == llm.FinishLength {
			cut++
		}
	}
	n := float64(len(r.rollouts))
	metrics["completions/mean_length"] = float64(len(r.loss.adv)) / n
	metrics["completions/min_length"] = float64(shortest)
	metrics["completions/max_length"] = float64(longest)
	metrics["completions/clipped_ratio"] = cut / n
}
