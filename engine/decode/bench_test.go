package decode

import (
	"fmt"
	"testing"

	"candor/engine/transformer"
)

// BenchmarkSample samples 256 completions of 24 tokens after prompts of 16, for groups of 8 with one prompt as in
// reinforcement learning and for distinct prompts. The sizes are those of DESIGN.md section 7.
func BenchmarkSample(b *testing.B) {
	for _, c := range []struct {
		name string
		cfg  transformer.Config
	}{
		{"small", transformer.Config{Layers: 1, Heads: 4, Width: 48, Context: 64, Vocab: 100, Positions: []string{"learned"}}},
		{"small-rotary-none-shift", transformer.Config{Layers: 1, Heads: 4, Width: 48, Context: 64, Vocab: 170, Positions: []string{"rotary", "rotary", "none", "none"}, TokenShift: true}},
		{"large", transformer.Config{Layers: 4, Heads: 4, Width: 64, Context: 64, Vocab: 100, Positions: []string{"learned"}}},
		{"wide", transformer.Config{Layers: 6, Heads: 8, Width: 256, Context: 64, Vocab: 100, Positions: []string{"learned"}}},
	} {
		for _, group := range []int{8, 1} {
			for _, threads := range []int{1, 2} {
				b.Run(fmt.Sprintf("%s/group=%d/threads=%d", c.name, group, threads), func(b *testing.B) {
					s := NewSampler(newModel(b, c.cfg), newPool(b, threads))
					var requests []Request
					for i := range 256 {
						prompt := make([]int32, 16)
						for j := range prompt {
							prompt[j] = int32((i/group*7 + j*j) % c.cfg.Vocab)
						}
						requests = append(requests, Request{Prompt: prompt, MaxTokens: 24, Temperature: 1, Seed: uint64(i)})
					}
					sample(b, s, requests)
					b.ReportAllocs()
					tokens := 0
					for b.Loop() {
						for _, r := range sample(b, s, requests) {
							tokens += len(r.Tokens)
						}
					}
					b.ReportMetric(float64(tokens)/b.Elapsed().Seconds(), "tokens/s")
				})
			}
		}
	}
}
