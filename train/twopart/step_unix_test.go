//go:build unix

package twopart

import (
	"context"
	"errors"
	"syscall"
	"testing"
	"time"

	"candor/engine/optim"
	"candor/engine/tokenizer"
	"candor/engine/transformer"
	"candor/internal/rng"
	"candor/reasoning/task"
	"candor/train"
	"candor/train/grpo"
	"candor/train/internal/traintest"
	"candor/train/sft"
)

// BenchmarkStep is a step of RL as the study honesty takes it, playing and the update, for what rewriting and the filter cost.
// Processor time (cpu-ms/op) is compared, which neighbours disturb less than the time on the wall.
func BenchmarkStep(b *testing.B) {
	tok := words(b)
	world := task.Sums{Terms: 6, Modulus: 3}
	encode := func(text string) []int32 {
		ids, err := tok.Encode(text)
		if err != nil {
			b.Fatal(err)
		}
		return ids
	}
	writer := writerOf(b, tok, world, encode)
	half := [2]float64{.65, .65}
	for _, c := range []struct {
		name string
		cfg  Config
	}{
		{"none", Config{Rewrite: AsWritten, Face: NoFace}},
		{"filtered", Config{Rewrite: AsWritten, Face: NoFace, Filter: half}},
		{"paraphrase", Config{Rewrite: Paraphrase, Face: NoFace, Filter: half}},
		{"paraphrase-fifth", Config{Rewrite: Paraphrase, Exempt: .8, Face: NoFace, Filter: half}},
		{"translate", Config{Rewrite: Translate, Face: NoFace, Filter: half}},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			policy, pool := writer.Clone(), traintest.Pool(b, 1)
			p, err := NewPlayer(c.cfg, policy, nil, tok, pool, world.Terms, 1, 1)
			if err != nil {
				b.Fatal(err)
			}
			p.ScoreAnswers = true
			g := grpo.Default()
			g.Steps, g.Prompts, g.Group, g.MaxTokens, g.Advantage, g.LossNorm, g.Entropy = 1e6, 40, 8, 16, grpo.LeaveOneOut, grpo.PerToken, .01
			g.Optim = optim.Default(1e-12) // the writer stays what it is
			g.Rewards = []grpo.Reward{
				{Name: "answer", Weight: 1, Credit: grpo.Chain, Turns: []int{1}},
				{Name: "answer-logprob", Weight: 1, Credit: grpo.Chain, Turns: []int{0}},
				{Name: "left-out", Weight: -1, Credit: grpo.Chain, Turns: []int{0}},
				{Name: "stated", Weight: -1, Credit: grpo.Token},
			}
			end, _ := tok.ID(tokenizer.End)
			in := grpo.Input{Policy: policy, Pool: pool, Source: rng.New(5), End: end, Play: p.Play, Rewards: Rewards(),
				Prompt: func(src *rng.Source) grpo.Prompt {
					p := world.Draw(src, task.Train)
					return grpo.Prompt{ID: p.ID(), Tokens: encode(p.Prompt()), Data: p}
				}}
			ctx, stop := context.WithCancel(b.Context())
			defer stop()
			var began time.Duration
			_, err = grpo.Run(ctx, g, in, grpo.Hooks{Hooks: train.Hooks{Metric: func(step int, _ map[string]float64) error {
				if step == 3 { // memory is in place
					began = processorTime()
				}
				if step >= 3 && !b.Loop() {
					stop()
				}
				return nil
			}}})
			if !errors.Is(err, context.Canceled) {
				b.Fatal(err)
			}
			b.ReportMetric((processorTime()-began).Seconds()*1e3/float64(b.N), "cpu-ms/op")
		})
	}
}

// writerOf returns a model that has learnt to write chains, if not to count.
func writerOf(b *testing.B, tok *tokenizer.Tokenizer, world task.Sums, encode func(string) []int32) *transformer.Model {
	m, err := transformer.New(transformer.Config{Layers: 2, Heads: 4, Width: 48, Context: 32, Vocab: tok.Size(), Positions: []string{"rotary"}, Tied: true}, rng.New(1))
	if err != nil {
		b.Fatal(err)
	}
	examples := pages(func(src *rng.Source) ([]int32, []float32) {
		page := task.Essays{Stated: .5, Bland: .5, Hint: .2}.Page(world.Draw(src, task.Train), src)
		tokens, head := encode(page.Text()), len(encode(page.Prompt))
		return tokens, sft.Chain.Mask(make([]float32, len(tokens)), head, head)
	})
	cfg := sft.Config{Steps: 150, Batch: 64, Optim: optim.Default(4e-3)}
	if _, err := sft.Run(b.Context(), cfg, sft.Input{Policy: m, Pool: traintest.Pool(b, 1), Source: rng.New(2), Examples: examples}, train.Hooks{}); err != nil {
		b.Fatal(err)
	}
	return m
}

type pages func(*rng.Source) ([]int32, []float32)

func (p pages) Example(src *rng.Source) ([]int32, []float32) { return p(src) }

func processorTime() time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		panic(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
