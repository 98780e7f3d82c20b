package sft

import (
	"context"
	"slices"
	"strings"
	"testing"

	"candor/engine/kernel"
	"candor/engine/optim"
	"candor/engine/tensor"
	"candor/engine/transformer"
	"candor/internal/rng"
	"candor/train"
	"candor/train/internal/traintest"
)

// Tokens of the toy task: a prompt of one digit 0..4, a chain of one word that is one of two at random, and as answer the
// digit again.
const (
	wordA, wordB = 5, 6
	vocab        = 7
)

type echo struct{ loss Loss }

func (e echo) Example(src *rng.Source) ([]int32, []float32) {
	digit := int32(src.IntN(5))
	tokens := []int32{digit, int32(src.Between(wordA, wordB)), digit}
	return tokens, e.loss.Mask(make([]float32, 3), 1, 2)
}

func config(steps int) Config { return Config{Steps: steps, Batch: 16, Optim: optim.Default(1e-2)} }

// probs returns the probabilities that the policy gives to the word of its choice and to the right answer, averaged.
func probs(t *testing.T, policy *transformer.Model) (chain, answer float64) {
	t.Helper()
	scorer := transformer.NewScorer(policy, traintest.Pool(t, 1))
	var batch []transformer.Sequence
	for d := range int32(5) {
		batch = append(batch, transformer.Sequence{Tokens: []int32{d, wordA, d}, Weight: []float32{0, 1, 1}})
	}
	err := scorer.Score(batch, func(_, seq, pos int, _ int32, logits []float32) {
		p := softmax(logits)
		if pos == 1 {
			chain += (p[wordA] + p[wordB]) / 5
		} else {
			answer += p[seq] / 5
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return chain, answer
}

func TestLossDecidesWhatIsLearned(t *testing.T) {
	for _, loss := range []Loss{Answer, Chain} {
		policy := traintest.Model(t, 16, 4, vocab)
		in := Input{Policy: policy, Pool: traintest.Pool(t, 1), Source: rng.New(2), Examples: echo{loss}}
		result, err := Run(t.Context(), config(150), in, train.Hooks{})
		if err != nil {
			t.Fatal(err)
		}
		chain, answer := probs(t, policy)
		if answer < .95 {
			t.Errorf("loss %q: the right answer has probability %.2f", loss, answer)
		}
		if learned := chain > .9; learned != (loss == Chain) {
			t.Errorf("loss %q: the chain's words have probability %.2f", loss, chain)
		}
		if result.Tokens != 150*16*3 {
			t.Errorf("loss %q: result %+v", loss, result)
		}
	}
}

func TestIsRepeatable(t *testing.T) {
	traintest.Repeatable(t, traintest.Model(t, 8, 4, vocab), 5,
		func(ctx context.Context, policy *transformer.Model, pool *tensor.Pool, hooks train.Hooks) error {
			_, err := Run(ctx, config(5), Input{Policy: policy, Pool: pool, Source: rng.New(5), Examples: echo{Chain}}, hooks)
			return err
		})
}

func TestMask(t *testing.T) {
	dirty := []float32{9, 9, 9, 9, 9}
	if got := Chain.Mask(slices.Clone(dirty), 2, 4); !slices.Equal(got, []float32{0, 0, 1, 1, 1}) {
		t.Errorf("chain: %v", got)
	}
	if got := Answer.Mask(slices.Clone(dirty), 2, 4); !slices.Equal(got, []float32{0, 0, 0, 0, 1}) {
		t.Errorf("answer: %v", got)
	}
	if err := Loss("both").Validate(); err == nil || !strings.Contains(err.Error(), "answer, chain") {
		t.Errorf("an unknown loss gives %v", err)
	}
	if err := Chain.Validate(); err != nil {
		t.Error(err)
	}
}

type broken struct{}

func (broken) Example(*rng.Source) ([]int32, []float32) { return []int32{1, 2}, []float32{1} }

func TestBadExampleEndsTheRun(t *testing.T) {
	in := Input{Policy: traintest.Model(t, 8, 4, vocab), Pool: traintest.Pool(t, 1), Examples: broken{}}
	_, err := Run(t.Context(), config(1), in, train.Hooks{})
	if want := "sft: step 1: example 0: it has 2 tokens but 1 loss weights"; err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
	if err := (Config{}).Validate(); err == nil || !strings.Contains(err.Error(), "steps is 0") {
		t.Errorf("an empty config gives %v", err)
	}
}

func softmax(logits []float32) []float64 {
	p := make([]float32, len(logits))
	kernel.Softmax(p, logits)
	out := make([]float64, len(p))
	for i, x := range p {
		out[i] = float64(x)
	}
	return out
}
