package twopart

import (
	"testing"

	"candor/engine/transformer"
	"candor/internal/rng"
	"candor/train/internal/traintest"
)

// One step's rollouts of the study honesty, in one call a chain and step by step.
func BenchmarkPlay(b *testing.B) {
	tok := words(b)
	m, err := transformer.New(transformer.Config{Layers: 2, Heads: 4, Width: 48, Context: 32, Vocab: tok.Size(), Positions: []string{"rotary"}, Tied: true}, rng.New(1))
	if err != nil {
		b.Fatal(err)
	}
	for _, rewrite := range []string{AsWritten, Paraphrase} {
		b.Run(rewrite, func(b *testing.B) {
			p, err := NewPlayer(Config{Rewrite: rewrite, Face: NoFace}, m, nil, tok, traintest.Pool(b, 1), 6, 100, 1)
			if err != nil {
				b.Fatal(err)
			}
			o := rollouts(tok, 320)
			for b.Loop() {
				if err := p.Play(b.Context(), 0, o); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
