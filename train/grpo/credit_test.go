package grpo

import (
	"math"
	"testing"

	"candor/engine/transformer"
	"candor/internal/rng"
)

// dirty returns scratch for completions of the given lengths, dirty so that forgotten clearing shows.
func dirty(lengths []int) [][]float64 {
	out := make([][]float64, len(lengths))
	for i, n := range lengths {
		out[i] = make([]float64, n)
		for t := range out[i] {
			out[i][t] = 77
		}
	}
	return out
}

// The tables were worked out by hand from the formulas of the package comment.
func TestAdvantages(t *testing.T) {
	at := func(pairs ...float64) []Credit {
		var events []Credit
		for i := 0; i < len(pairs); i += 2 {
			events = append(events, Credit{At: int(pairs[i]), Value: pairs[i+1]})
		}
		return events
	}
	chain := []Reward{{Name: "r", Weight: 1, Credit: Chain}}
	s := math.Sqrt(1. / 3) // of 1, 0, 0, 1 with divisor 3
	for _, c := range []struct {
		name      string
		advantage string
		rewards   []Reward
		lengths   []int
		events    [][][]Credit
		want      [][]float64
	}{
		{"centered chain", Centered, chain, []int{2, 1, 3, 1},
			[][][]Credit{{at(1, 1), nil, nil, at(0, 1)}},
			[][]float64{{.5, .5}, {-.5}, {-.5, -.5, -.5}, {.5}}},
		{"leave-one-out chain", LeaveOneOut, chain, []int{2, 1, 3, 1},
			[][][]Credit{{at(1, 1), nil, nil, at(0, 1)}},
			[][]float64{{2. / 3, 2. / 3}, {-2. / 3}, {-2. / 3, -2. / 3, -2. / 3}, {2. / 3}}},
		{"standardized chain", Standardized, chain, []int{2, 1, 3, 1},
			[][][]Credit{{at(1, 1), nil, nil, at(0, 1)}},
			[][]float64{{.5 / (s + 1e-4), .5 / (s + 1e-4)}, {-.5 / (s + 1e-4)},
				{-.5 / (s + 1e-4), -.5 / (s + 1e-4), -.5 / (s + 1e-4)}, {.5 / (s + 1e-4)}}},
		{"several events of a chain add up", Centered, chain, []int{2, 2},
			[][][]Credit{{at(0, .25, 1, .5), at(0, -.25)}},
			[][]float64{{.5, .5}, {-.5, -.5}}},
		{"equal totals", Standardized, chain, []int{2, 1, 2},
			[][][]Credit{{at(0, .3), at(0, .3), at(1, .3)}},
			[][]float64{{0, 0}, {0}, {0, 0}}},
		{"equal totals that do not sum exactly", Centered, chain, []int{1, 1, 1},
			[][][]Credit{{at(0, .1), at(0, .1), at(0, .1)}},
			[][]float64{{0}, {0}, {0}}},
		// Returns by token: first 1 1 1 0, second 2 2 2; token 3 has nobody to compare with.
		{"horizon", Centered, []Reward{{Name: "r", Weight: 1, Credit: Horizon, Horizon: 2}}, []int{4, 3},
			[][][]Credit{{at(2, 1), at(2, 2)}},
			[][]float64{{-.5, -.5, -.5, 0}, {.5, .5, .5}}},
		{"horizon too short for the first token", Centered, []Reward{{Name: "r", Weight: 1, Credit: Horizon, Horizon: 1}}, []int{3, 3},
			[][][]Credit{{at(2, 1), nil}},
			[][]float64{{0, .5, .5}, {0, -.5, -.5}}},
		// Token 0: mean of 0 and 1 and 0; token 1: only the first and the third have one.
		{"token", LeaveOneOut, []Reward{{Name: "r", Weight: -2, Credit: Token}}, []int{2, 1, 2},
			[][][]Credit{{at(1, 1), at(0, 1), nil}},
			[][]float64{{1, -2}, {-2}, {1, 2}}},
		{"weighted list", Centered, []Reward{{Name: "a", Weight: 2, Credit: Chain}, {Name: "b", Weight: -1, Credit: Token}}, []int{2, 2},
			[][][]Credit{{at(1, 1), nil}, {at(0, 1), nil}},
			[][]float64{{1 - .5, 1}, {-1 + .5, -1}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := Config{Advantage: c.advantage, Rewards: c.rewards}
			totals, weights := make([]float64, len(c.lengths)), make([]float64, len(c.rewards))
			for k, r := range c.rewards {
				weights[k] = r.Weight
				for i := range totals {
					totals[i] += r.Weight * sum(c.events[k][i])
				}
			}
			got := dirty(c.lengths)
			cfg.advantages(returns{adv: got, ret: dirty(c.lengths)}, c.events, weights, totals)
			for i := range c.want {
				for j := range c.want[i] {
					if math.Abs(got[i][j]-c.want[i][j]) > 1e-12 {
						t.Fatalf("advantages %v, want %v", got, c.want)
					}
				}
			}
			if c.name[:5] == "equal" && got[0][0] != 0 {
				t.Errorf("advantage %g, want exactly 0", got[0][0])
			}
		})
	}
}

func TestCheckRefusesBadEvents(t *testing.T) {
	o := Rollout{Turns: []Turn{{Tokens: []int32{1, 2, 3}}, {Tokens: []int32{4}}}}
	for _, bad := range []Credit{{-1, 1, 0}, {3, 1, 0}, {1, 1, 1}, {0, 1, 2}, {0, 1, -1}, {0, math.NaN(), 0}, {0, math.Inf(-1), 1}} {
		if o.locate([]Credit{bad}) == nil {
			t.Errorf("event %v was accepted for turns of 3 tokens and of 1", bad)
		}
	}
	events := []Credit{{0, 1, 0}, {2, -1, 0}, {0, 1, 1}}
	if err := o.locate(events); err != nil || events[1].At != 2 || events[2].At != 3 {
		t.Errorf("events are at %v, error %v; want the last at token 3 of all", events, err)
	}
}

// The weights of two completions of 1 and 3 tokens, and of a page, under each norm.
func TestLossNorm(t *testing.T) {
	for norm, want := range map[string][2]float64{
		PerToken:    {1. / 4, 1. / 4},
		PerSequence: {1. / 2, 1. / 6},
		Constant:    {1. / 10, 1. / 10},
	} {
		s := &side{}
		r := &run{cfg: Config{Prompts: 1, Group: 2, LossNorm: norm, MaxTokens: 5, PretrainShare: .5, PretrainBatch: 2}, rollouts: make([]Rollout, 2), sides: []*side{s}}
		r.in.Pages = fixedPage{1, 2, 3}
		for i, completion := range [][]int32{{4}, {5, 6, 7}} {
			r.rollouts[i].Turns = []Turn{{Context: []int32{1, 2}, Tokens: completion}}
		}
		if err := r.layOut(rng.New(1)); err != nil {
			t.Fatal(err)
		}
		if [2]float64(s.loss.weight) != want {
			t.Errorf("norm %q weighs %v, want %v", norm, s.loss.weight, want)
		}
		if s.loss.first[0] != -2 || s.loss.first[1] != -1 || len(r.rows.adv) != 4 {
			t.Errorf("rows begin at %v of %d", s.loss.first, len(r.rows.adv))
		}
		if len(s.batch.Sequences) != 4 || s.loss.pageScale != .125 { // two pages of two predictions each
			t.Errorf("%d sequences, page scale %g, want 4 and .125", len(s.batch.Sequences), s.loss.pageScale)
		}
	}
}

type fixedPage []int32

func (p fixedPage) Page(*rng.Source) ([]int32, int) { return p, 0 }

// With everything on, the gradient of a whole step must be that of the package comment's sum, here by central differences
// of the loss along the gradient's own direction.
func TestStepGradient(t *testing.T) {
	cfg, in := toy(t, 1)
	cfg.KLBeta, cfg.Entropy, cfg.PretrainShare, cfg.PretrainBatch, cfg.Temperature = .1, .05, .3, 2, .8
	cfg.Advantage, cfg.LossNorm = Standardized, PerSequence
	in.Pages = fixedPage{1, 2, 3}
	other, err := transformer.New(in.Policy.Config, rng.New(99))
	if err != nil {
		t.Fatal(err)
	}
	in.Reference = other
	r, err := newRun(cfg, in, Hooks{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.step(t.Context(), 0); err != nil { // fills old, ref and advantages, then moves the policy away from old
		t.Fatal(err)
	}
	s := r.sides[0]
	s.loss.onPolicy = false
	loss := func() float64 {
		x, err := s.trainer.Gradient(s.batch.Sequences, &s.loss)
		if err != nil {
			t.Fatal(err)
		}
		return x
	}
	loss()
	params, grad := in.Policy.Flat(), append([]float32(nil), s.trainer.Grad...)
	var norm float64
	for _, g := range grad {
		norm += float64(g) * float64(g)
	}
	norm = math.Sqrt(norm)
	at := append([]float32(nil), params...)
	move := func(h float64) float64 {
		for i := range params {
			params[i] = at[i] + float32(h*float64(grad[i])/norm)
		}
		return loss()
	}
	const h = 2e-3
	if slope := (move(h) - move(-h)) / (2 * h); math.Abs(slope-norm) > .01*norm {
		t.Errorf("the loss rises by %g along the gradient, whose norm is %g", slope, norm)
	}
}
