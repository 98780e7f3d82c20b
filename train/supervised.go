package train

import (
	"context"
	"errors"
	"fmt"

	"candor/engine/optim"
	"candor/engine/tensor"
	"candor/engine/transformer"
	"candor/internal/rng"
)

// Supervised is the recipe behind pretrain and sft: each step draws Batch examples and takes one AdamW step on their
// cross-entropy, normalised by the sum of the batch's loss weights.
type Supervised struct {
	Steps, Batch int // both at least 1
	Optim        optim.Config
	Policy       *transformer.Model // trained in place
	Pool         *tensor.Pool
	// Source is the random stream of the whole run; example i of step s, counted from 0, is drawn from
	// Source.SplitN("step", s).SplitN("example", i).
	Source rng.Source
	// Draw adds one example to the batch.
	Draw  func(src *rng.Source, batch *Batch) error
	Hooks Hooks
}

// Result is what a supervised run did in all, the steps before a resume included.
type Result struct {
	Steps  int
	Tokens int64   // tokens read
	Loss   float64 // cross-entropy of the last step, nats per unit of loss weight; 0 if no step was left to do
}

// Run trains the policy. It honours ctx between steps.
func (r Supervised) Run(ctx context.Context) (Result, error) {
	if r.Policy == nil || r.Pool == nil {
		return Result{}, errors.New("the input has no policy or no pool")
	}
	trainer := transformer.NewTrainer(r.Policy, r.Pool)
	opt, err := NewOptimizer(r.Policy, r.Optim, r.Steps)
	if err != nil {
		return Result{}, err
	}
	loop := Loop{Steps: r.Steps, Model: r.Policy, Optim: opt, Hooks: r.Hooks}
	var batch Batch
	var last float64
	err = loop.Run(ctx, func(s int) (map[string]float64, int64, error) {
		batch.Reset()
		stream := r.Source.SplitN("step", s)
		for i := range r.Batch {
			src := stream.SplitN("example", i)
			if err := r.Draw(&src, &batch); err != nil {
				return nil, 0, fmt.Errorf("example %d: %w", i, err)
			}
		}
		if !(batch.Weight > 0) {
			return nil, 0, errors.New("no token of the batch has a loss weight")
		}
		loss, err := trainer.Gradient(batch.Sequences, transformer.CrossEntropy(float32(1/batch.Weight)))
		if err != nil {
			return nil, 0, err
		}
		norm, lr := opt.Step(r.Policy.Flat(), trainer.Grad)
		last = loss
		return map[string]float64{"loss": loss, "grad_norm": norm, "learning_rate": lr}, batch.Tokens, nil
	})
	return Result{Steps: r.Steps, Tokens: loop.Tokens(), Loss: last}, err
}

// Validate checks the numbers that pretrain and sft have in common; its error names the field and its range.
func (r Supervised) Validate() error {
	return errors.Join(
		AtLeast("steps", r.Steps, 1),
		AtLeast("batch", r.Batch, 1),
		InField("optim", r.Optim.Validate()),
	)
}
