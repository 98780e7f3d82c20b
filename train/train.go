// Package train holds what all of candor's recipes share: the loop around their steps, what it tells its caller, and how a
// run stops and goes on. The recipes are the packages below it, one loss each:
//
//	train/pretrain  next-token prediction over pages of text
//	train/sft       fine-tuning on an answer, or on a chain of thought and its answer
//	train/grpo      reinforcement learning with groups of rollouts
//
// train/twopart is no recipe: it makes grpo's rollouts through compose's two-part system.
//
// Each has a Config with a strict Validate, an Input (the policy, the worker pool, a random stream, the data) and a Run
// that trains the policy in place.
//
// # Repeatability
//
// Whatever step s draws comes from the streams below Source.SplitN("step", s), the gradients of [transformer.Trainer] have
// the same bits for any number of threads, and a [State] holds all that a step leaves to the next. So a run that is resumed
// from any of its States ends with the same bits as one that was never disturbed.
//
// # Metrics
//
// [Hooks.Metric] gets one flat map a step, under the names that Hugging Face's TRL uses where it has one. Steps count from
// 1, in metrics as in States: the numbers of step s describe the update that made State.Step s. "loss" is what the step
// minimised, "grad_norm" the gradient's norm before clipping, "learning_rate" that of the last update, "num_tokens" the
// number of tokens read or sampled so far, those before a resume included. Time is not measured here.
package train

import (
	"context"
	"fmt"
	"maps"
	"math"
	"path"
	"slices"

	"candor/engine/optim"
	"candor/engine/transformer"
)

// State is all that one step leaves to the next.
type State struct {
	Step   int       // steps completed
	Tokens int64     // tokens read or sampled so far, for the metric num_tokens
	Params []float32 // the policy's parameters, in the order of transformer.Model.Flat
	M, V   []float32 // AdamW's moment estimates, one an element of Params
	// Others are the same of the other policies, where a recipe trains several at once.
	Others []State
}

// Hooks is how a run reports and where it starts. The zero value reports nothing and starts at the beginning. An error from
// a hook ends the run and is returned, wrapped.
type Hooks struct {
	// Metric gets the metrics of a step, which is counted from 1, after its update. The map belongs to the hook. A run that
	// is resumed repeats the steps after the State it resumes from, and reports them again with the same numbers.
	Metric func(step int, metrics map[string]float64) error
	// Progress is called after each step.
	Progress func(done, total int)
	// Checkpoint gets the State after every CheckpointEvery steps, and once more when the context ends, unless nothing was
	// done since the last one. The slices are the run's own: they must be written or copied before the hook returns.
	// After the last step it is not called: the policy itself is the result.
	Checkpoint func(State) error
	// CheckpointEvery is the number of steps between checkpoints; 0 makes only the one at the context's end. It does not
	// influence the result.
	CheckpointEvery int
	// Resume, if set, is where the run goes on. It is copied, not kept.
	Resume *State
}

// Part is one policy of a loop with its optimizer.
type Part struct {
	Model *transformer.Model
	Optim *optim.AdamW
}

// Loop drives a recipe's steps.
type Loop struct {
	Steps int                // the number of steps in all
	Model *transformer.Model // the policy, trained in place
	Optim *optim.AdamW       // its optimizer
	// Others are further policies that the same steps train.
	Others []Part
	// UpdatesPerStep is how many updates of Optim one step makes; 0 means 1.
	UpdatesPerStep int
	Hooks          Hooks

	tokens int64
}

// Run takes the steps that are left. For each, step is called with its number, counted from 0, and returns the metrics of its
// update and the number of tokens it read or sampled; it either completes or, on an error, leaves the policy and the
// optimizer as they were. Run adds the metrics "step" and "num_tokens".
//
// When ctx ends, Run makes a last checkpoint and returns ctx's error, wrapped. It also returns an error when Hooks.Resume
// does not belong to this run or when "loss" or "grad_norm", those of other policies ("face/loss") included, is no longer a
// finite number.
func (l *Loop) Run(ctx context.Context, step func(s int) (metrics map[string]float64, tokens int64, err error)) error {
	done, err := l.resume()
	if err != nil {
		return fmt.Errorf("resuming: %w", err)
	}
	saved := done
	for ; done < l.Steps; done++ {
		var metrics map[string]float64
		var tokens int64
		err := ctx.Err()
		if err == nil {
			metrics, tokens, err = step(done)
		}
		if ctx.Err() != nil && err != nil {
			if done > saved {
				if err := l.checkpoint(done); err != nil {
					return err
				}
			}
			return fmt.Errorf("training stopped after %d of %d steps: %w", done, l.Steps, err)
		}
		if err != nil {
			return fmt.Errorf("step %d: %w", done+1, err)
		}
		l.tokens += tokens
		if err := diverged(metrics); err != nil {
			return fmt.Errorf("training diverged: %w at step %d; a lower learning rate may help", err, done+1)
		}
		if l.Hooks.Metric != nil {
			metrics["step"] = float64(done + 1)
			metrics["num_tokens"] = float64(l.tokens)
			if err := l.Hooks.Metric(done+1, metrics); err != nil {
				return fmt.Errorf("reporting the metrics of step %d: %w", done+1, err)
			}
		}
		if l.Hooks.Progress != nil {
			l.Hooks.Progress(done+1, l.Steps)
		}
		if every := l.Hooks.CheckpointEvery; every > 0 && (done+1)%every == 0 && done+1 < l.Steps {
			if err := l.checkpoint(done + 1); err != nil {
				return err
			}
			saved = done + 1
		}
	}
	return nil
}

// diverged returns an error if a policy's loss or gradient is no longer finite.
func diverged(metrics map[string]float64) error {
	for _, base := range []string{"loss", "grad_norm"} {
		for _, name := range slices.Sorted(maps.Keys(metrics)) {
			if x := metrics[name]; path.Base(name) == base && (math.IsNaN(x) || math.IsInf(x, 0)) {
				return fmt.Errorf("%s is %g", name, x)
			}
		}
	}
	return nil
}

// Tokens returns the number of tokens read or sampled so far, those before a resume included.
func (l *Loop) Tokens() int64 { return l.tokens }

func (l *Loop) updates(step int) int { return step * max(1, l.UpdatesPerStep) }

// parts returns all policies, the first included.
func (l *Loop) parts() []Part { return append([]Part{{l.Model, l.Optim}}, l.Others...) }

// resume loads Hooks.Resume, if set, and returns the number of steps that are done.
func (l *Loop) resume() (int, error) {
	s := l.Hooks.Resume
	if s == nil {
		return 0, nil
	}
	if s.Step < 0 || s.Step > l.Steps || s.Tokens < 0 {
		return 0, fmt.Errorf("the state has done %d steps and %d tokens of a run of %d steps", s.Step, s.Tokens, l.Steps)
	}
	parts := l.parts()
	if len(s.Others) != len(l.Others) {
		return 0, fmt.Errorf("the state is of %d policies, but %d are trained", 1+len(s.Others), len(parts))
	}
	for i, state := range append([]State{*s}, s.Others...) {
		params, opt := parts[i].Model.Flat(), &parts[i].Optim.State
		if len(state.Params) != len(params) || len(state.M) != len(opt.M) || len(state.V) != len(opt.V) {
			return 0, fmt.Errorf("the state has %d parameters and moments of %d and %d, but the policy has %d parameters",
				len(state.Params), len(state.M), len(state.V), len(params))
		}
	}
	for i, state := range append([]State{*s}, s.Others...) {
		opt := &parts[i].Optim.State
		copy(parts[i].Model.Flat(), state.Params)
		copy(opt.M, state.M)
		copy(opt.V, state.V)
		opt.Step = l.updates(s.Step)
	}
	l.tokens = s.Tokens
	return s.Step, nil
}

// checkpoint hands the present state to the hook.
func (l *Loop) checkpoint(done int) error {
	if l.Hooks.Checkpoint == nil {
		return nil
	}
	var states []State
	for _, p := range l.parts() {
		states = append(states, State{Step: done, Tokens: l.tokens, Params: p.Model.Flat(), M: p.Optim.State.M, V: p.Optim.State.V})
	}
	states[0].Others = states[1:]
	if err := l.Hooks.Checkpoint(states[0]); err != nil {
		return fmt.Errorf("checkpoint after step %d: %w", done, err)
	}
	return nil
}

// NewOptimizer returns an AdamW for the model's parameters and a schedule over the given number of updates. Weight decay
// applies to matrices only.
func NewOptimizer(m *transformer.Model, cfg optim.Config, updates int) (*optim.AdamW, error) {
	return optim.New(cfg, updates, len(m.Flat()), m.Decayed())
}
