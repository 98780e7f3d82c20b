// Package sft fine-tunes a policy on worked examples: on their answers alone, or on their chains of thought and answers.
//
// It is supervised fine-tuning as in Ouyang et al. 2022, section 3, with loss on the completion only. It deviates in this:
//
//   - Every token has a loss weight of its own, so that a part of a chain (a slip planted in it, say) can be read without
//     being imitated and an answer can count for more.
//   - The loss is averaged over the weights of the batch, not over examples.
//   - Examples are drawn afresh for each step; there are no epochs and there is no dropout.
//
// Metrics a step: loss (nats per unit of loss weight), grad_norm, learning_rate, num_tokens, step.
package sft

import (
	"context"
	"fmt"
	"strings"

	"candor/engine/optim"
	"candor/engine/tensor"
	"candor/engine/transformer"
	"candor/internal/rng"
	"candor/train"
)

// Config is the recipe's settings.
type Config struct {
	Steps int          `yaml:"steps" json:"steps"` // updates, at least 1
	Batch int          `yaml:"batch" json:"batch"` // examples a step, at least 1
	Optim optim.Config `yaml:"optim" json:"optim"`
}

// Validate returns an error that names each bad field and its valid range.
func (c Config) Validate() error {
	return train.Supervised{Steps: c.Steps, Batch: c.Batch, Optim: c.Optim}.Validate()
}

// Source gives examples.
type Source interface {
	// Example returns one example drawn from src: prompt and completion in one slice, and as many loss weights, where
	// weights[i] weighs the prediction of tokens[i]; weights[0] is not used. The slices may be reused by the next call.
	// An
	// example of more than the policy's context + 1 tokens ends the run with an error.
	Example(src *rng.Source) (tokens []int32, weights []float32)
}

// Loss says which part of a completion is imitated.
type Loss string

// The parts of a completion.
const (
	Answer Loss = "answer" // only what follows the chain of thought
	Chain  Loss = "chain"  // the whole completion: the chain of thought and the answer
)

// Validate returns an error that lists the valid choices.
func (l Loss) Validate() error {
	switch l {
	case Answer, Chain:
		return nil
	}
	return fmt.Errorf("loss is %q, must be one of %s", string(l), strings.Join([]string{string(Answer), string(Chain)}, ", "))
}

// Mask sets weights to 1 from the token on where the imitated part of an example begins, and to 0 before it. The example has
// len(weights) tokens, its completion begins at index completion, its answer at index answer. It returns weights.
func (l Loss) Mask(weights []float32, completion, answer int) []float32 {
	from := completion
	if l == Answer {
		from = answer
	}
	for i := range weights {
		weights[i] = 0
		if i >= from {
			weights[i] = 1
		}
	}
	return weights
}

// Input is what a run works on.
type Input struct {
	Policy   *transformer.Model // trained in place
	Pool     *tensor.Pool
	Source   rng.Source // the run's random stream
	Examples Source
}

// Run trains in.Policy for cfg.Steps steps. It honours ctx between steps; see [train.Loop.Run] for how it ends early.
func Run(ctx context.Context, cfg Config, in Input, hooks train.Hooks) (train.Result, error) {
	if err := cfg.Validate(); err != nil {
		return train.Result{}, train.InField("sft", err)
	}
	result, err := train.Supervised{
		Steps: cfg.Steps, Batch: cfg.Batch, Optim: cfg.Optim,
		Policy: in.Policy, Pool: in.Pool, Source: in.Source, Hooks: hooks,
		Draw: func(src *rng.Source, batch *train.Batch) error {
			return batch.Add(in.Examples.Example(src))
		},
	}.Run(ctx)
	return result, train.InField("sft", err)
}
