package grpo

import (
	"math"
	"slices"
	"testing"

	"candor/engine/tensor"
	"candor/engine/transformer"
	"candor/internal/rng"
)

// logits64 returns the logits behind a text.
func logits64(t *testing.T, m *transformer.Model, pool *tensor.Pool, text []int32) (logits []float64) {
	t.Helper()
	one := transformer.Sequence{Tokens: append(slices.Clone(text), 0), Weight: make([]float32, len(text)+1)}
	one.Weight[len(text)] = 1
	err := transformer.NewScorer(m, pool).Score([]transformer.Sequence{one}, func(_, _, _ int, _ int32, row []float32) {
		for _, x := range row {
			logits = append(logits, float64(x))
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return logits
}

// allowed leaves the banned tokens out of a row of logits and says where the target is then.
func allowed(logits []float64, banned []int32, target int32) (left []float64, at int) {
	for i, x := range logits {
		if int32(i) == target {
			at = len(left)
		}
		if !slices.Contains(banned, int32(i)) {
			left = append(left, x)
		}
	}
	return left, at
}

func logProb64(logits []float64, banned []int32, target int32, temperature float64) float64 {
	left, at := allowed(logits, banned, target)
	var sum float64
	for _, x := range left {
		sum += math.Exp(x / temperature)
	}
	return left[at]/temperature - math.Log(sum)
}

// naiveLoss is the sum of the package comment for one policy, written out: each token is predicted on its own, from the
// context and what stands in the place of the tokens before it, as if what was banned there did not exist.
func naiveLoss(t *testing.T, r *run, policy int, model, old, reference *transformer.Model) float64 {
	t.Helper()
	cfg, written := r.cfg, 0
	for _, o := range r.rollouts {
		for _, turn := range o.Turns {
			if turn.Policy == policy {
				written += len(turn.Tokens)
			}
		}
	}
	n, loss := float64(cfg.Prompts*cfg.Group), 0.
	for _, o := range r.rollouts {
		row := 0
		for _, turn := range o.Turns {
			weight := map[string]float64{
				PerToken: 1 / float64(written), PerSequence: 1 / (n * float64(len(turn.Tokens))), Constant: 1 / (n * float64(cfg.MaxTokens)),
			}[cfg.LossNorm]
			for k, token := range turn.Tokens {
				adv := o.Advantages[row]
				row++
				if turn.Policy != policy {
					continue
				}
				text := slices.Concat(turn.Context, turn.seen()[:k])
				var banned []int32
				if turn.Banned != nil {
					banned = turn.Banned[k]
				}
				was := logProb64(logits64(t, old, r.in.Pool, text), banned, token, cfg.Temperature)
				ref := logProb64(logits64(t, reference, r.in.Pool, text), banned, token, cfg.Temperature)
				left, at := allowed(logits64(t, model, r.in.Pool, text), banned, token)
				loss += objective64(left, at, cfg.Temperature, was, ref, adv, cfg.ClipLow, cfg.ClipHigh, cfg.KLBeta, cfg.Entropy, weight)
			}
		}
	}
	page, _ := r.in.Pages.Page(nil)
	for k := 1; k < len(page); k++ { // all pages are the same
		loss -= cfg.PretrainShare * logProb64(logits64(t, model, r.in.Pool, page[:k]), nil, page[k], 1) / float64(len(page)-1)
	}
	return loss
}

// With two policies, three turns, words written over, bans and all terms of the loss: what each policy's trainer minimises is
// the naive sum, and its gradient is that of the naive sum, by central differences along the gradient's own direction.
func TestStepGradientOfTwoPolicies(t *testing.T) {
	for _, norm := range []string{PerToken, PerSequence, Constant} {
		_, cfg, in := everything(t, 4)
		cfg.Prompts, cfg.Group, cfg.LossNorm, cfg.Advantage = 2, 4, norm, Standardized
		cfg.Optim.LR = 3e-2 // far enough for some ratios to be clipped
		var olds, references []*transformer.Model
		for i, m := range []*transformer.Model{in.Policy, in.Face} {
			reference, err := transformer.New(m.Config, rng.New(uint64(90+i)))
			if err != nil {
				t.Fatal(err)
			}
			olds, references = append(olds, m.Clone()), append(references, reference)
		}
		in.Reference, in.FaceReference = references[0], references[1]
		r, err := newRun(cfg, in, Hooks{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.step(t.Context(), 1); err != nil { // moves the policies away from what they were
			t.Fatal(err)
		}
		banned, clipped := 0, 0
		for _, o := range r.rollouts {
			if len(o.Turns) != 3 || len(o.Advantages) != o.length() {
				t.Fatalf("rollout %+v", o)
			}
			for _, turn := range o.Turns {
				for _, b := range turn.Banned {
					banned += len(b)
				}
			}
		}
		for i, s := range r.sides {
			s.loss.onPolicy = false
			s.loss.clear()
			loss, err := s.trainer.Gradient(s.batch.Sequences, &s.loss)
			if err != nil {
				t.Fatal(err)
			}
			for k := range s.loss.shards {
				clipped += s.loss.shards[k].low + s.loss.shards[k].high
			}
			naive := func() float64 { return naiveLoss(t, r, i, s.policy, olds[i], references[i]) }
			if want := naive(); math.Abs(loss-want) > 1e-5*(1+math.Abs(want)) {
				t.Errorf("norm %q, policy %d: the loss is %.8g, spelled out %.8g", norm, i, loss, want)
			}
			params, grad := s.policy.Flat(), slices.Clone(s.trainer.Grad)
			var length float64
			for _, g := range grad {
				length += float64(g) * float64(g)
			}
			length = math.Sqrt(length)
			at := slices.Clone(params)
			move := func(h float64) float64 {
				for j := range params {
					params[j] = at[j] + float32(h*float64(grad[j])/length)
				}
				return naive()
			}
			const h = 2e-3
			if slope := (move(h) - move(-h)) / (2 * h); math.Abs(slope-length) > .01*length {
				t.Errorf("norm %q, policy %d: the loss rises by %g along the gradient, whose norm is %g", norm, i, slope, length)
			}
			copy(params, at)
		}
		if banned == 0 || clipped == 0 {
			t.Errorf("%d bans, %d tokens clipped: the test misses something", banned, clipped)
		}
	}
}
