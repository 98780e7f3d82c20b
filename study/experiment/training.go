package experiment

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"candor/engine/checkpoint"
	"candor/engine/tensor"
	"candor/engine/transformer"
	"candor/internal/rng"
	"candor/study/runlog"
	"candor/train"
	"candor/train/grpo"
	"candor/train/pretrain"
	"candor/train/sft"
)

// partial is the folder, beside a stage's model, that holds where an unfinished training stood.
const partial = "partial"

// checkpoints is how many times a training stage saves where it stands.
const checkpoints = 6

// training runs a training stage: from the input's model, or from where an interrupted try left off.
func (r *runner) training(ctx context.Context, st *stage, folder *runlog.Stage, pool *tensor.Pool) error {
	model, resume, err := r.startingPoint(st, folder)
	if err != nil {
		return err
	}
	after := -1
	if resume != nil {
		after = resume.Step
	}
	metrics, err := folder.Metrics(after)
	if err != nil {
		return err
	}
	hooks := train.Hooks{
		Metric:   metrics.WriteMetrics,
		Progress: func(done, total int) { r.progress.step(st, done, total) },
		Resume:   resume,
	}
	var completions *runlog.Writer
	hooks.Checkpoint = func(s train.State) error {
		if err := metrics.Flush(); err != nil {
			return err
		}
		if completions != nil {
			if err := completions.Flush(); err != nil {
				return err
			}
		}
		extra, err := json.Marshal(extraState{s.Tokens})
		if err != nil {
			return err
		}
		return checkpoint.Save(folder.Path(partial), checkpoint.Checkpoint{Model: model, Tokenizer: r.tokenizer,
			Training: &checkpoint.Training{Step: s.Step, M: s.M, V: s.V, Extra: extra}})
	}
	src := rng.New(uint64(st.seed)).Split(st.kind)
	switch {
	case st.what.Init != nil:
		err = nil // the untrained model is the result
	case st.what.Pretrain != nil:
		hooks.CheckpointEvery = every(st.what.Pretrain.Steps)
		_, err = pretrain.Run(ctx, st.what.Pretrain.Config, pretrain.Input{Policy: model, Pool: pool, Source: src, Pages: r.pages(st.what.Pretrain.Corpus, st.what.Pretrain.Planning)}, hooks)
	case st.what.SFT != nil:
		hooks.CheckpointEvery = every(st.what.SFT.Steps)
		_, err = sft.Run(ctx, st.what.SFT.Config, sft.Input{Policy: model, Pool: pool, Source: src, Examples: r.examples(st.what.SFT)}, hooks)
	case st.what.GRPO != nil:
		hooks.CheckpointEvery = every(st.what.GRPO.Steps)
		if completions, err = folder.Log("completions.jsonl", after); err != nil {
			return err
		}
		err = r.reinforce(ctx, st, model, pool, src, hooks, completions)
	}
	if err != nil {
		return err
	}
	if err := checkpoint.Save(folder.ModelDir(), checkpoint.Checkpoint{Model: model, Tokenizer: r.tokenizer}); err != nil {
		return err
	}
	if err := os.RemoveAll(folder.Path(partial)); err != nil {
		return fmt.Errorf("removing the partial checkpoint: %w", err)
	}
	return nil
}

func every(steps int) int { return max(1, (steps+checkpoints-1)/checkpoints) }

type extraState struct {
	Tokens int64 `json:"tokens"`
}

// startingPoint returns the model that training begins with, and the state to resume from if an earlier try left one.
func (r *runner) startingPoint(st *stage, folder *runlog.Stage) (*transformer.Model, *train.State, error) {
	c, err := checkpoint.Load(folder.Path(partial))
	switch {
	case err == nil && c.Training != nil:
		var extra extraState
		if err := json.Unmarshal(c.Training.Extra, &extra); err != nil {
			return nil, nil, fmt.Errorf("reading the partial checkpoint of stage %s: %w; remove that folder to begin the stage anew", st.id, err)
		}
		t := c.Training
		return c.Model, &train.State{Step: t.Step, Tokens: extra.Tokens, Params: c.Model.Flat(), M: t.M, V: t.V}, nil
	case err == nil:
		return nil, nil, fmt.Errorf("the partial checkpoint in %s has no optimizer state; remove that folder to begin the stage anew", folder.Path(partial))
	case !errors.Is(err, fs.ErrNotExist) && exists(folder.Path(partial)):
		return nil, nil, fmt.Errorf("%w; remove that folder to begin the stage anew", err)
	}
	if st.input == nil {
		m, err := transformer.New(st.model, rng.New(uint64(st.seed)).Split("init"))
		return m, nil, err
	}
	m, err := r.model(st.input)
	return m, nil, err
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// model loads what a finished training stage left.
func (r *runner) model(st *stage) (*transformer.Model, error) {
	c, err := checkpoint.Load(r.folder.Path("stages", st.id, "model"))
	if err != nil {
		return nil, err
	}
	return c.Model, nil
}

func (r *runner) reinforce(ctx context.Context, st *stage, model *transformer.Model, pool *tensor.Pool, src rng.Source, hooks train.Hooks, completions *runlog.Writer) error {
	what := st.what.GRPO
	reference, err := r.model(st.input)
	if err != nil {
		return err
	}
	in := grpo.Input{Policy: model, Reference: reference, Pool: pool, Source: src, Prompt: r.prompts(what), Rewards: r.rewards(what), End: r.end}
	if what.PretrainShare > 0 {
		in.Pages = r.pages(what.Corpus, what.Planning)
	}
	_, err = grpo.Run(ctx, what.Config, in, grpo.Hooks{Hooks: hooks, Completion: func(step int, o *grpo.Rollout) error {
		return completions.Write(completion{Step: step, Index: o.Index, ID: o.Prompt.ID, Text: r.written(o.Tokens), Reward: o.Reward, Finish: string(o.Finish)})
	}})
	return err
}

// completion is one line of completions.jsonl.
type completion struct {
	Step   int     `json:"step"`
	Index  int     `json:"index"`
	ID     string  `json:"id"`
	Text   string  `json:"completion"`
	Reward float64 `json:"reward"`
	Finish string  `json:"finish"`
}
