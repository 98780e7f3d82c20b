package pretrain

import (
	"context"
	"math"
	"strings"
	"testing"

	"candor/engine/optim"
	"candor/engine/tensor"
	"candor/engine/transformer"
	"candor/internal/rng"
	"candor/train"
	"candor/train/internal/traintest"
)

// cycle is a language whose entropy is known: a start token 0, then a random letter of 1..3, then a run of letters each of
// which follows from the one before it (1 2 3 1 2 ...), except that each third token after the start is drawn afresh.
type cycle struct{}

const cycleTokens = 10

func (cycle) Page(src *rng.Source) ([]int32, int) {
	page := []int32{0}
	for i := 1; i < cycleTokens; i++ {
		if i%3 == 1 {
			page = append(page, int32(src.Between(1, 3)))
		} else {
			page = append(page, page[i-1]%3+1)
		}
	}
	return page, 0
}

// entropy is nats a predicted token: three of nine are uniform over three letters.
var entropy = 3 * math.Log(3) / (cycleTokens - 1)

func config(steps int) Config {
	c := Config{Steps: steps, Batch: 16, Optim: optim.Default(5e-3)}
	c.Optim.Schedule = "linear"
	return c
}

func TestLearnsToTheEntropyBound(t *testing.T) {
	policy := traintest.Model(t, 16, cycleTokens, 4)
	var late float64
	const steps, tail = 250, 50
	hooks := train.Hooks{Metric: func(step int, m map[string]float64) error {
		if step == 1 && math.Abs(m["loss"]-math.Log(4)) > .5 {
			t.Errorf("the first loss is %g, not near chance", m["loss"])
		}
		if step > steps-tail {
			late += m["loss"] / tail
		}
		return nil
	}}
	in := Input{Policy: policy, Pool: traintest.Pool(t, 2), Source: rng.New(5), Pages: cycle{}}
	result, err := Run(t.Context(), config(steps), in, hooks)
	if err != nil {
		t.Fatal(err)
	}
	// Every page has the same number of uniform letters, so the loss cannot lie below the entropy by more than noise.
	if late > entropy+.03 || late < entropy-.02 {
		t.Errorf("the loss came to %.4f nats, want the entropy %.4f", late, entropy)
	}
	if want := int64(steps * 16 * cycleTokens); result.Tokens != want || result.Steps != steps {
		t.Errorf("result %+v, want %d tokens", result, want)
	}
}

func TestIsRepeatable(t *testing.T) {
	traintest.Repeatable(t, traintest.Model(t, 8, cycleTokens, 4), 5,
		func(ctx context.Context, policy *transformer.Model, pool *tensor.Pool, hooks train.Hooks) error {
			_, err := Run(ctx, config(5), Input{Policy: policy, Pool: pool, Source: rng.New(5), Pages: cycle{}}, hooks)
			return err
		})
}

// pages returns the same page always.
type pages struct {
	tokens   []int32
	lossFrom int
}

func (p pages) Page(*rng.Source) ([]int32, int) { return p.tokens, p.lossFrom }

func TestHeadOfAPageIsNotLearned(t *testing.T) {
	policy := traintest.Model(t, 8, 8, 5)
	in := Input{Policy: policy, Pool: traintest.Pool(t, 1), Source: rng.New(5), Pages: pages{[]int32{0, 1, 2, 3, 4}, 3}}
	if _, err := Run(t.Context(), config(200), in, train.Hooks{}); err != nil {
		t.Fatal(err)
	}
	surprise := map[int]float64{}
	scorer := transformer.NewScorer(policy, in.Pool)
	batch := []transformer.Sequence{{Tokens: []int32{0, 1, 2, 3, 4}, Weight: []float32{0, 1, 1, 1, 1}}}
	err := scorer.Score(batch, func(_, _, pos int, target int32, logits []float32) {
		var sum float64
		for _, z := range logits {
			sum += math.Exp(float64(z - logits[target]))
		}
		surprise[pos] = math.Log(sum)
	})
	if err != nil {
		t.Fatal(err)
	}
	if surprise[1] < 1 || surprise[2] < 1 || surprise[3] > .1 || surprise[4] > .1 {
		t.Errorf("nats at each position: %v; want only the last two learned", surprise)
	}
}

func TestBadPagesEndTheRun(t *testing.T) {
	for want, p := range map[string]pages{
		"sequence 0 has 10 tokens":                        {make([]int32, 10), 0},
		"outside the vocabulary":                          {[]int32{0, 9}, 0},
		"step 1: no token of the batch has a loss weight": {[]int32{0, 1}, 2},
	} {
		in := Input{Policy: traintest.Model(t, 8, 8, 5), Pool: traintest.Pool(t, 1), Pages: p}
		if _, err := Run(t.Context(), config(2), in, train.Hooks{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("page %v: error %v, want %q", p, err, want)
		}
	}
}

func TestConfigValidate(t *testing.T) {
	if err := config(1).Validate(); err != nil {
		t.Error(err)
	}
	err := Config{Optim: optim.Config{LR: -1}}.Validate()
	for _, want := range []string{"steps is 0, must be at least 1", "batch is 0", "optim: lr is -1"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v does not say %q", err, want)
		}
	}
}
