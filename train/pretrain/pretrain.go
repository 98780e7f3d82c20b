// Package pretrain trains a policy to predict the next token of pages of text.
//
// It is GPT-2's recipe (Radford et al. 2019) made small. It deviates in this:
//
//   - Pages are kept whole, one a sequence, from position 0: they are neither packed into one context nor cut.
//   - The head of a page, up to its lossFrom, may be read without being predicted (a prompt is not what writers write).
//   - The loss is averaged over the predicted tokens of the batch, so that long pages weigh more than short ones.
//   - Pages are drawn afresh for each step; there are no epochs and there is no dropout.
//
// Metrics a step: loss (nats a predicted token), grad_norm, learning_rate, num_tokens, step.
package pretrain

import (
	"context"

	"candor/engine/optim"
	"candor/engine/tensor"
	"candor/engine/transformer"
	"candor/internal/rng"
	"candor/train"
)

// Config is the recipe's settings.
type Config struct {
	Steps int          `yaml:"steps" json:"steps"` // updates, at least 1
	Batch int          `yaml:"batch" json:"batch"` // pages a step, at least 1
	Optim optim.Config `yaml:"optim" json:"optim"`
}

// Validate returns an error that names each bad field and its valid range.
func (c Config) Validate() error {
	return train.Supervised{Steps: c.Steps, Batch: c.Batch, Optim: c.Optim}.Validate()
}

// Source writes pages.
type Source interface {
	// Page returns one page drawn from src. Tokens before index lossFrom are read but not predicted; the first token
	// never is. The slice may be reused by the next call. A page of more than the policy's context + 1
	// tokens ends the run with an error.
	Page(src *rng.Source) (tokens []int32, lossFrom int)
}

// Input is what a run works on.
type Input struct {
	Policy *transformer.Model // trained in place
	Pool   *tensor.Pool
	Source rng.Source // the run's random stream
	Pages  Source
}

// Run trains in.Policy for cfg.Steps steps. It honours ctx between steps; see [train.Loop.Run] for how it ends early.
func Run(ctx context.Context, cfg Config, in Input, hooks train.Hooks) (train.Result, error) {
	if err := cfg.Validate(); err != nil {
		return train.Result{}, train.InField("pretrain", err)
	}
	result, err := train.Supervised{
		Steps: cfg.Steps, Batch: cfg.Batch, Optim: cfg.Optim,
		Policy: in.Policy, Pool: in.Pool, Source: in.Source, Hooks: hooks,
		Draw: func(src *rng.Source, batch *train.Batch) error {
			batch.AddPage(in.Pages.Page(src))
			return nil
		},
	}.Run(ctx)
	return result, train.InField("pretrain", err)
}
