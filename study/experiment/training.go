package experiment

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"reflect"

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

// A stage that trains a face leaves it beside its model; partialFace is to it what partial is to the model.
const (
	faceDir     = "face"
	partialFace = "partial-face"
)

// completionsFile holds the completions that a reinforcement learning stage sampled.
const completionsFile = "completions.jsonl"

// checkpoints is the number of parts after each of which, but the last, a training stage saves where it stands.
const checkpoints = 6

// training runs a training stage: from the input's model, or from where an interrupted try left off.
func (r *runner) training(ctx context.Context, st *stage, folder *runlog.Stage, pool *tensor.Pool) error {
	model, face, resume, err := r.startingPoint(st, folder)
	if err != nil {
		return err
	}
	logs, err := openLogs(st, folder, resume)
	if err != nil {
		return err
	}
	hooks := train.Hooks{
		Metric:          logs.metrics.WriteMetrics,
		Progress:        func(done, total int) { r.progress.step(st, done, total) },
		Resume:          resume,
		CheckpointEvery: every(st.what.steps()),
		Checkpoint: func(s train.State) error {
			if err := logs.flush(); err != nil {
				return err
			}
			extra, err := json.Marshal(extraState{st.hash, s.Tokens})
			if err != nil {
				return err
			}
			save := func(name string, m *transformer.Model, s train.State) error {
				return checkpoint.Save(folder.Path(name), checkpoint.Checkpoint{Model: m, Tokenizer: r.words(st),
					Training: &checkpoint.Training{Step: s.Step, M: s.M, V: s.V, Extra: extra}})
			}
			if face != nil { // first: what the policy's checkpoint names must be there
				if err := save(partialFace, face, s.Others[0]); err != nil {
					return err
				}
			}
			return save(partial, model, s)
		},
	}
	src := rng.New(uint64(st.seed)).Split(st.kind)
	switch what := st.what; {
	case what.Init != nil:
		// the untrained model is the result
	case what.Pretrain != nil:
		_, err = pretrain.Run(ctx, what.Pretrain.Config, pretrain.Input{Policy: model, Pool: pool, Source: src, Pages: r.pages(what.Pretrain.Corpus, what.Pretrain.Planning)}, hooks)
	case what.SFT != nil:
		_, err = sft.Run(ctx, what.SFT.Config, sft.Input{Policy: model, Pool: pool, Source: src, Examples: r.examples(what.SFT)}, hooks)
	case what.GRPO != nil && what.GRPO.Sums != "":
		err = r.reinforceSums(ctx, st, model, face, pool, src, hooks, logs.completions)
	case what.GRPO != nil:
		err = r.reinforce(ctx, st, model, pool, src, hooks, logs.completions)
	}
	if err != nil {
		return err
	}
	if face != nil {
		if err := checkpoint.Save(folder.Path(faceDir), checkpoint.Checkpoint{Model: face, Tokenizer: r.words(st)}); err != nil {
			return err
		}
	}
	if err := checkpoint.Save(folder.ModelDir(), checkpoint.Checkpoint{Model: model, Tokenizer: r.words(st)}); err != nil {
		return err
	}
	for _, name := range []string{partial, partialFace} {
		if err := os.RemoveAll(folder.Path(name)); err != nil {
			return fmt.Errorf("removing the partial checkpoint: %w", err)
		}
	}
	return nil
}

// steps is how many steps the stage trains for.
func (s Stage) steps() int {
	switch {
	case s.Pretrain != nil:
		return s.Pretrain.Steps
	case s.SFT != nil:
		return s.SFT.Steps
	case s.GRPO != nil:
		return s.GRPO.Steps
	}
	return 0
}

func every(steps int) int { return max(1, (steps+checkpoints-1)/checkpoints) }

// extraState is what a partial checkpoint says beside the step.
type extraState struct {
	Stage  string `json:"stage"` // the hash of the stage that it belongs to
	Tokens int64  `json:"tokens"`
}

// startingPoint returns the model that training begins with, the face beside it if the stage trains one, and the state to
// resume from if an earlier try left one. What it left counts only if it is whole and this stage's: otherwise training begins
// anew, and ends with the same bits.
func (r *runner) startingPoint(st *stage, folder *runlog.Stage) (model, face *transformer.Model, resume *train.State, err error) {
	if c, err := checkpoint.Load(folder.Path(partial)); err == nil {
		if state := resumable(c, st, folder); state != nil {
			if !st.face {
				return c.Model, nil, state, nil
			}
			f, err := checkpoint.Load(folder.Path(partialFace))
			if err == nil && f.Training != nil && f.Training.Step == state.Step {
				state.Others = []train.State{{Step: state.Step, Tokens: state.Tokens, Params: f.Model.Flat(), M: f.Training.M, V: f.Training.V}}
				return c.Model, f.Model, state, nil
			}
		}
	}
	if st.input == nil {
		model, err = transformer.New(st.model, rng.New(uint64(st.seed)).Split("init"))
		return model, nil, nil, err
	}
	if model, err = r.model(st.input); err != nil {
		return nil, nil, nil, err
	}
	if st.face {
		face = model.Clone() // both parts set out as the same model
	}
	return model, face, nil, nil
}

// resumable returns the state that a checkpoint holds, or nil if the stage cannot go on from there.
func resumable(c checkpoint.Checkpoint, st *stage, folder *runlog.Stage) *train.State {
	var extra extraState
	t := c.Training
	if t == nil || json.Unmarshal(t.Extra, &extra) != nil || extra.Stage != st.hash || t.Step < 1 || t.Step >= st.what.steps() {
		return nil
	}
	if !logged(folder.Path("metrics.jsonl"), t.Step, 1) {
		return nil
	}
	if g := st.what.GRPO; g != nil && !logged(folder.Path(completionsFile), t.Step, g.Prompts*g.Group) {
		return nil
	}
	return &train.State{Step: t.Step, Tokens: extra.Tokens, Params: c.Model.Flat(), M: t.M, V: t.V}
}

// sameShape compares two configs; positions may be given once for all heads.
func sameShape(a, b transformer.Config) bool {
	a.Positions, b.Positions = a.HeadPositions(), b.HeadPositions()
	return reflect.DeepEqual(a, b)
}

// logged tells whether a log has all its lines up to a step, so many for each.
func logged(path string, upTo, each int) bool {
	lines := 0
	enough := errors.New("a later step")
	_, err := runlog.EachLine(path, false, func(_ int, data []byte) error {
		var row struct{ Step int }
		switch err := json.Unmarshal(data, &row); {
		case err != nil:
			return err
		case row.Step > upTo:
			return enough
		case row.Step != 1+lines/each:
			return fmt.Errorf("step %d is out of its place", row.Step)
		}
		lines++
		return nil
	})
	return (err == nil || errors.Is(err, enough)) && lines == upTo*each
}

// logs are the files that a training stage writes while it goes on.
type logs struct {
	metrics     *runlog.Writer
	completions *runlog.Writer // nil but for reinforcement learning
}

func openLogs(st *stage, folder *runlog.Stage, resume *train.State) (l logs, err error) {
	after := -1
	if resume != nil {
		after = resume.Step
	}
	if l.metrics, err = folder.Metrics(after); err != nil {
		return logs{}, err
	}
	if st.what.GRPO != nil {
		l.completions, err = folder.Log(completionsFile, after)
	}
	return l, err
}

func (l logs) flush() error {
	if err := l.metrics.Flush(); err != nil || l.completions == nil {
		return err
	}
	return l.completions.Flush()
}

// model loads what a finished training stage left.
func (r *runner) model(st *stage) (*transformer.Model, error) { return r.load(st, "model") }

// face loads the face that a finished training stage left beside its model.
func (r *runner) face(st *stage) (*transformer.Model, error) { return r.load(st, faceDir) }

func (r *runner) load(st *stage, name string) (*transformer.Model, error) {
	c, err := checkpoint.Load(r.folder.Path("stages", st.id, name))
	if err == nil && !sameShape(c.Model.Config, st.model) {
		err = fmt.Errorf("it holds a model of another shape than %+v", st.model)
	}
	if err != nil {
		return nil, fmt.Errorf("stage %s is marked as done, but its model cannot be used: %w; remove %s to have it computed anew", st.id, err, r.folder.Path("stages", st.id))
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
		return completions.Write(completion{Step: step, Index: o.Index, ID: o.Prompt.ID, Text: r.written(o.Turns[0].Tokens), Reward: o.Reward, Finish: string(o.Turns[0].Finish)})
	}})
	return err
}

// completion is one line of completionsFile.
type completion struct {
	Step   int     `json:"step"`
	Index  int     `json:"index"`
	ID     string  `json:"id"`
	Text   string  `json:"completion"`
	Reward float64 `json:"reward"`
	Finish string  `json:"finish"`
}
