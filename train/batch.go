package train

import (
	"fmt"

	"candor/engine/transformer"
)

// Batch collects sequences for [transformer.Trainer]. Its memory is reused from step to step. The zero value is empty.
type Batch struct {
	Sequences []transformer.Sequence
	Tokens    int64 // the number of tokens
	// Weight is the sum of the loss weights that Add and AddPage set, those of first tokens excluded since nothing predicts
	// them.
	Weight float64

	tokens  []int32
	weights []float32
}

// Reset empties the batch. Sequences added before become invalid.
func (b *Batch) Reset() {
	b.Sequences = b.Sequences[:0]
	b.tokens, b.weights = b.tokens[:0], b.weights[:0]
	b.Weight, b.Tokens = 0, 0
}

// Grow appends a sequence of n tokens and returns its tokens and its loss weights, all zero, for the caller to fill in.
func (b *Batch) Grow(n int) (tokens []int32, weights []float32) {
	// When these outgrow their arrays, the sequences added before keep the old ones.
	at := len(b.tokens)
	b.tokens = append(b.tokens, make([]int32, n)...)
	b.weights = append(b.weights, make([]float32, n)...)
	tokens, weights = b.tokens[at:at+n:at+n], b.weights[at:at+n:at+n]
	b.Sequences = append(b.Sequences, transformer.Sequence{Tokens: tokens, Weight: weights})
	b.Tokens += int64(n)
	return tokens, weights
}

// Add appends a copy of a sequence; weights[i] weighs the prediction of tokens[i]. It returns an error when there are not as
// many weights as tokens or a weight is negative or not finite.
func (b *Batch) Add(tokens []int32, weights []float32) error {
	if len(tokens) != len(weights) {
		return fmt.Errorf("it has %d tokens but %d loss weights", len(tokens), len(weights))
	}
	for i, w := range weights {
		if !(w >= 0 && w-w == 0) {
			return fmt.Errorf("the loss weight of token %d is %g, must be finite and not negative", i, w)
		}
		if i > 0 {
			b.Weight += float64(w)
		}
	}
	t, w := b.Grow(len(tokens))
	copy(t, tokens)
	copy(w, weights)
	return nil
}

// AddPage appends a copy of a page on which every token from index lossFrom on is predicted with weight 1.
func (b *Batch) AddPage(tokens []int32, lossFrom int) {
	t, w := b.Grow(len(tokens))
	copy(t, tokens)
	for i := max(1, lossFrom); i < len(w); i++ {
		w[i] = 1
		b.Weight++
	}
}
