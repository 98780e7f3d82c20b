package grpo

import (
	"fmt"
	"testing"

	"candor/engine/transformer"
	"candor/internal/rng"
	"candor/train/internal/traintest"
)

// BenchmarkStep is one step at the size of the lab's small reasoner: 16 prompts of 16 tokens, 8 completions each of up to 40.
func BenchmarkStep(b *testing.B) {
	for _, threads := range []int{1, 2} {
		for _, beta := range []float64{0, .005} {
			b.Run(fmt.Sprintf("threads=%d/beta=%g", threads, beta), func(b *testing.B) {
				cfg, in := toy(b, 1)
				cfg.Prompts, cfg.MaxTokens, cfg.KLBeta = 16, 40, beta
				policy, err := transformer.New(transformer.Config{
					Layers: 1, Heads: 4, Width: 48, Context: 64, Vocab: 128, Positions: []string{"learned"}, Tied: true,
				}, rng.New(1))
				if err != nil {
					b.Fatal(err)
				}
				in.Policy, in.Pool = policy, traintest.Pool(b, threads)
				in.Prompt = func(src *rng.Source) Prompt {
					p := Prompt{Data: int32(1), Tokens: make([]int32, 16)}
					for i := range p.Tokens {
						p.Tokens[i] = int32(src.Between(1, 127))
					}
					return p
				}
				r, err := newRun(cfg, in, Hooks{})
				if err != nil {
					b.Fatal(err)
				}
				b.ReportAllocs()
				var tokens int64
				for i := 0; b.Loop(); i++ {
					if _, err := r.step(b.Context(), i); err != nil {
						b.Fatal(err)
					}
					tokens += r.tokens()
				}
				b.ReportMetric(float64(tokens)/b.Elapsed().Seconds(), "tokens/s")
			})
		}
	}
}
