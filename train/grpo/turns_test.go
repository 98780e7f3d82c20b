package grpo

import (
	"context"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"candor/internal/rng"
	"candor/train"
)

// Two completions: the first wrote two tokens and then one, the second one and then two; a third only one turn of two. The
// tables were worked out by hand from the formulas of the package comment; what is not of a reward's turns is 0.
func TestAdvantagesOfTurns(t *testing.T) {
	lengths, turns := []int{3, 3, 2}, [][]int{{0, 0, 1}, {0, 1, 1}, {0, 0}}
	answer := []Credit{{At: 2, Value: 1}} // at the last token of turn 1, whose index is among all tokens
	s := math.Sqrt(1. / 3)                // of 1, 0, 0 with divisor 2
	third := 1. / 3
	for _, c := range []struct {
		name      string
		advantage string
		rewards   []Reward
		events    [][][]Credit
		want      [][]float64
	}{
		{"all turns", Centered, []Reward{{Weight: 1, Credit: Chain}}, [][][]Credit{{answer, nil, nil}},
			[][]float64{{2 * third, 2 * third, 2 * third}, {-third, -third, -third}, {-third, -third}}},
		{"all turns by name", Centered, []Reward{{Weight: 1, Credit: Chain, Turns: []int{1, 0}}}, [][][]Credit{{answer, nil, nil}},
			[][]float64{{2 * third, 2 * third, 2 * third}, {-third, -third, -third}, {-third, -third}}},
		{"the chain alone", Centered, []Reward{{Weight: 1, Credit: Chain, Turns: []int{0}}}, [][][]Credit{{answer, nil, nil}},
			[][]float64{{2 * third, 2 * third, 0}, {-third, 0, 0}, {-third, -third}}},
		{"the output alone", Centered, []Reward{{Weight: 1, Credit: Chain, Turns: []int{1}}}, [][][]Credit{{answer, nil, nil}},
			[][]float64{{0, 0, 2 * third}, {0, -third, -third}, {0, 0}}},
		{"a turn that nobody has", Centered, []Reward{{Weight: 1, Credit: Chain, Turns: []int{2}}}, [][][]Credit{{answer, nil, nil}},
			[][]float64{{0, 0, 0}, {0, 0, 0}, {0, 0}}},
		{"left out of its own set", LeaveOneOut, []Reward{{Weight: 1, Credit: Chain, Turns: []int{1}}}, [][][]Credit{{answer, nil, nil}},
			[][]float64{{0, 0, 1}, {0, -.5, -.5}, {0, 0}}},
		// The scale is of the total rewards, whatever they are credited to.
		{"standardized", Standardized, []Reward{{Weight: 1, Credit: Chain, Turns: []int{0}}}, [][][]Credit{{answer, nil, nil}},
			[][]float64{{2 * third / (s + 1e-4), 2 * third / (s + 1e-4), 0}, {-third / (s + 1e-4), 0, 0}, {-third / (s + 1e-4), -third / (s + 1e-4)}}},
		{"a penalty of the output", Centered, []Reward{{Name: "a", Weight: 1, Credit: Chain}, {Name: "b", Weight: -3, Credit: Chain, Turns: []int{1}}},
			[][][]Credit{{answer, nil, nil}, {nil, {{At: 1, Value: 2}}, nil}},
			[][]float64{{2 * third, 2 * third, 2*third + 2}, {-third, -third - 4, -third - 4}, {-third, -third}}},
		// Token 1 is of turn 0 in the first and the third, of turn 1 in the second; all three are its baseline.
		{"token", Centered, []Reward{{Weight: 1, Credit: Token, Turns: []int{1}}}, [][][]Credit{{{{At: 1, Value: 3}}, {{At: 2, Value: 1}}, nil}},
			[][]float64{{0, 0, -.5}, {0, -1, .5}, {0, 0}}},
		// Returns by token: first 0 1 1, second 0 0 0.
		{"a horizon into the next turn", Centered, []Reward{{Weight: 1, Credit: Horizon, Horizon: 1, Turns: []int{0}}}, [][][]Credit{{answer, nil, nil}},
			[][]float64{{0, 2 * third, 0}, {0, 0, 0}, {0, -third}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := Config{Advantage: c.advantage, Rewards: c.rewards}
			totals, weights := make([]float64, len(lengths)), make([]float64, len(c.rewards))
			for k, r := range c.rewards {
				weights[k] = r.Weight
				for i := range totals {
					totals[i] += r.Weight * sum(c.events[k][i])
				}
			}
			got := dirty(lengths)
			cfg.advantages(returns{adv: got, ret: dirty(lengths), turn: turns}, c.events, weights, totals)
			for i := range c.want {
				for j, want := range c.want[i] {
					if math.Abs(got[i][j]-want) > 1e-12 || want == 0 && got[i][j] != 0 {
						t.Fatalf("advantages %v, want %v", got, c.want)
					}
				}
			}
		})
	}
}

// Credited to each turn on its own, a reward gives each token exactly what it gives it when it is credited to all.
func TestTurnsPartitionTheTokens(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		reward := Reward{Weight: 1, Credit: rapid.SampledFrom([]string{Chain, Horizon, Token}).Draw(t, "credit")}
		if reward.Credit == Horizon {
			reward.Horizon = rapid.IntRange(0, 4).Draw(t, "horizon")
		}
		cfg := Config{Advantage: rapid.SampledFrom([]string{Centered, LeaveOneOut, Standardized}).Draw(t, "advantage"), Rewards: []Reward{reward}}
		group := rapid.IntRange(2, 4).Draw(t, "group")
		lengths, turns, totals := make([]int, group), make([][]int, group), make([]float64, group)
		events := [][][]Credit{make([][]Credit, group)}
		for i := range group {
			for turn := range rapid.IntRange(1, 3).Draw(t, "turns") {
				turns[i] = append(turns[i], slices.Repeat([]int{turn}, rapid.IntRange(1, 3).Draw(t, "length"))...)
			}
			lengths[i] = len(turns[i])
			for range rapid.IntRange(0, 3).Draw(t, "events") {
				e := Credit{At: rapid.IntRange(0, lengths[i]-1).Draw(t, "at"), Value: float64(rapid.IntRange(-3, 3).Draw(t, "value"))}
				events[0][i], totals[i] = append(events[0][i], e), totals[i]+e.Value
			}
		}
		advantages := func(credited ...int) [][]float64 {
			cfg.Rewards[0].Turns = credited
			got := dirty(lengths)
			cfg.advantages(returns{adv: got, ret: dirty(lengths), turn: turns}, events, []float64{1}, totals)
			return got
		}
		all := advantages()
		for turn := range 3 {
			for i, adv := range advantages(turn) {
				for k, x := range adv {
					want := 0.
					if turns[i][k] == turn {
						want = all[i][k]
					}
					if x != want {
						t.Fatalf("credited to turn %d, token %d of completion %d gets %g, want %g", turn, k, i, x, want)
					}
				}
			}
		}
	})
}

// The weight that counts is the one of this step, not the reward's own.
func TestAdvantagesUseTheWeightsGiven(t *testing.T) {
	cfg := Config{Advantage: Centered, Rewards: []Reward{{Name: "a", Weight: 5, Credit: Chain}, {Name: "b", Weight: 5, Credit: Token}}}
	got := dirty([]int{1, 1})
	events := [][][]Credit{{{{At: 0, Value: 1}}, nil}, {{{At: 0, Value: 1}}, nil}}
	cfg.advantages(returns{adv: got, ret: dirty([]int{1, 1})}, events, []float64{2, -1}, []float64{1, 0})
	if got[0][0] != .5 || got[1][0] != -.5 {
		t.Errorf("advantages %v, want .5 and -.5", got)
	}
}

func TestRamp(t *testing.T) {
	for _, c := range []struct {
		ramp [2]float64
		want [8]float64 // of 8 steps
	}{
		{[2]float64{}, [8]float64{-2, -2, -2, -2, -2, -2, -2, -2}},
		{[2]float64{.25, .75}, [8]float64{0, 0, 0, -.5, -1, -1.5, -2, -2}},
		{[2]float64{0, .5}, [8]float64{0, -.5, -1, -1.5, -2, -2, -2, -2}},
		{[2]float64{0, 1}, [8]float64{0, -.25, -.5, -.75, -1, -1.25, -1.5, -1.75}},
		{[2]float64{.5, .5}, [8]float64{0, 0, 0, 0, -2, -2, -2, -2}},
		{[2]float64{1, 1}, [8]float64{}},
	} {
		r := Reward{Name: "r", Weight: -2, Credit: Chain, Ramp: c.ramp}
		if err := r.validate(); err != nil {
			t.Error(err)
		}
		for step, want := range c.want {
			if got := r.at(step, len(c.want)); math.Abs(got-want) > 1e-12 || want == 0 && got != 0 || want == -2 && got != -2 {
				t.Errorf("ramp %v: weight %g at step %d, want %g", c.ramp, got, step, want)
			}
		}
	}
	if got := (Reward{Weight: 3, Ramp: [2]float64{0, 1}}).at(0, 1); got != 0 {
		t.Errorf("weight %g in a run of one step, want 0", got)
	}
}

// A reward at the bottom of its ramp is told, but teaches nothing.
func TestRampedRewardTeachesNothingYet(t *testing.T) {
	cfg, in := toy(t, 4)
	cfg.Rewards[0].Ramp = [2]float64{.5, .75}
	before := accuracy(t, in.Policy)
	told := 0.
	_, err := Run(t.Context(), cfg, in, Hooks{Hooks: train.Hooks{Metric: func(step int, m map[string]float64) error {
		told += m["rewards/right/mean"]
		if after := accuracy(t, in.Policy); (after == before) != (step <= 3) || (m["reward"] == 0) != (step <= 3) {
			t.Errorf("step %d: accuracy went from %g to %g, the reward is %g", step, before, after, m["reward"])
		}
		return nil
	}}})
	if err != nil || told == 0 {
		t.Errorf("rewards %g, error %v", told, err)
	}
}

// A rollout may have very many turns: none is taken for another.
func TestManyTurns(t *testing.T) {
	const many = 600
	cfg, in := toy(t, 1)
	cfg.Prompts, cfg.Group = 1, 2
	cfg.Rewards[0].Turns = []int{0, 300}
	in.Play = func(_ context.Context, _ int, rollouts []Rollout) error {
		for i := range rollouts {
			for j := range many {
				rollouts[i].Turns = append(rollouts[i].Turns, Turn{Context: []int32{1}, Tokens: []int32{int32(i + j%2)}})
			}
		}
		return nil
	}
	in.Rewards = map[string]RewardFunc{"right": func(o *Rollout, _ *rng.Source) []Credit {
		return []Credit{{Turn: many - 1, Value: float64(o.Index)}}
	}}
	_, err := Run(t.Context(), cfg, in, Hooks{Completion: func(_ int, o *Rollout) error {
		for turn, adv := range o.Advantages {
			if credited := turn == 0 || turn == 300; (adv != 0) != credited || len(o.Advantages) != many {
				t.Fatalf("turn %d of %d has advantage %g", turn, len(o.Advantages), adv)
			}
		}
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
}
