package grpo

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"candor/engine/tensor"
	"candor/engine/transformer"
	"candor/internal/rng"
	"candor/reasoning/llm"
	"candor/train"
	"candor/train/internal/traintest"
)

// A reasoner and a face that must agree on what signs mean come to agree, through a rewriter that leaves signs apart; through
// one that makes all the same they cannot. Now and then two digits end up with one sign, so there is a second and a third try.
func TestTwoPoliciesLearnToAgree(t *testing.T) {
	for _, c := range []struct {
		name  string
		read  func(int32) int32
		learn bool
	}{
		{"as written", nil, true},
		{"rewritten one to one", func(sign int32) int32 { return (sign + 2) % toyVocab }, true},
		{"all the same", func(int32) int32 { return 4 }, false},
	} {
		var tries []float64
		for len(tries) < 3 && (len(tries) == 0 || c.learn && slices.Max(tries) < .9) {
			d := duo{signs: 1, says: 1, read: c.read}
			cfg, in := d.input(t, 200)
			cfg.Entropy = .05
			in.Source = rng.New(uint64(len(tries)))
			if before := d.probability(t, in); before > .4 {
				t.Errorf("%s: a right answer has probability %.2f before anything was learned", c.name, before)
			}
			if _, err := Run(t.Context(), cfg, in, Hooks{}); err != nil {
				t.Fatal(err)
			}
			tries = append(tries, d.probability(t, in))
		}
		if best := slices.Max(tries); c.learn && best < .9 || !c.learn && best > .4 {
			t.Errorf("%s: a right answer has probabilities %.2f", c.name, tries)
		}
	}
}

// Whatever is credited to turn 1 alone leaves turn 0 as it was, bit by bit: a penalty for what a face says puts no pressure
// on the reasoner. Credited to all turns it does.
func TestPenaltyOfOneTurn(t *testing.T) {
	advantages := func(rewards ...Reward) (first, second []float64) {
		_, cfg, in := everything(t, 1)
		cfg.Rewards = append([]Reward{{Name: "agree", Weight: 1, Credit: Chain}}, rewards...)
		in.Rewards["three"] = func(o *Rollout, _ *rng.Source) []Credit {
			if i := slices.Index(o.Turns[1].Tokens, 3); i >= 0 {
				return []Credit{{Turn: 1, At: i, Value: 1}}
			}
			return nil
		}
		_, err := Run(t.Context(), cfg, in, Hooks{Completion: func(_ int, o *Rollout) error {
			n := len(o.Turns[0].Tokens)
			m := n + len(o.Turns[1].Tokens)
			first, second = append(first, o.Advantages[:n]...), append(second, o.Advantages[n:m]...)
			return nil
		}})
		if err != nil {
			t.Fatal(err)
		}
		return first, second
	}
	first, second := advantages()
	for _, credit := range []string{Chain, Horizon, Token} {
		penalty := Reward{Name: "three", Weight: -.7, Credit: credit, Turns: []int{1}}
		if credit == Horizon {
			penalty.Horizon = 9
		}
		a, b := advantages(penalty)
		if !slices.Equal(a, first) || slices.Equal(b, second) {
			t.Errorf("credit %q: a penalty of turn 1 changes turn 0: %v, turn 1: %v", credit, !slices.Equal(a, first), !slices.Equal(b, second))
		}
		penalty.Turns = nil
		if a, _ := advantages(penalty); slices.Equal(a, first) {
			t.Errorf("credit %q: a penalty of all turns does not reach turn 0", credit)
		}
	}
}

// Resumed from any checkpoint, both policies end with the same bits, also where one of them has nothing to say for some steps.
func TestTwoPoliciesAreRepeatable(t *testing.T) {
	const steps = 4
	for name, mute := range map[string]func(int) bool{
		"both": nil, "late face": func(step int) bool { return step < 2 }, "tired face": func(step int) bool { return step%2 == 1 },
	} {
		t.Run(name, func(t *testing.T) {
			d, cfg, in := everything(t, steps)
			cfg.Inner, d.mute = 2, mute
			cfg.Optim.Schedule, cfg.Optim.WeightDecay = "linear", .1
			in.Pages = randomPage{}
			cfg.Prompts, cfg.Group = 3, 4
			var want []float32
			traintest.Repeatable(t, in.Policy, steps, func(ctx context.Context, policy *transformer.Model, pool *tensor.Pool, hooks train.Hooks) error {
				in, cfg := in, cfg
				in.Policy, in.Face, in.Pool = policy, in.Face.Clone(), pool
				d.join(&cfg, &in)
				_, err := Run(ctx, cfg, in, Hooks{Hooks: hooks})
				if err != nil {
					return err
				}
				if want == nil {
					want = slices.Clone(in.Face.Flat())
				}
				if !slices.Equal(want, in.Face.Flat()) {
					t.Error("the face has other parameters than the undisturbed run's")
				}
				return nil
			})
			if slices.Equal(want, in.Face.Flat()) {
				t.Error("the face learned nothing")
			}
		})
	}
}

// A policy that writes nothing in a step is left alone, and tells no metrics.
func TestMuteFaceIsLeftAlone(t *testing.T) {
	d := duo{signs: 1, says: 1, mute: func(step int) bool { return step != 1 }}
	cfg, in := d.input(t, 3)
	cfg.Rewards = append(cfg.Rewards, Reward{Name: "coin", Weight: 1, Credit: Chain})
	before := slices.Clone(in.Face.Flat())
	_, err := Run(t.Context(), cfg, in, Hooks{Hooks: train.Hooks{Metric: func(step int, m map[string]float64) error {
		_, told := m["face/loss"]
		if changed := !slices.Equal(before, in.Face.Flat()); told != (step == 2) || changed != (step == 2) {
			t.Errorf("step %d: a loss of the face is told: %v, the face changed: %v", step, told, changed)
		}
		before = slices.Clone(in.Face.Flat())
		return nil
	}}})
	if err != nil {
		t.Fatal(err)
	}
}

func TestReportsOfTwoPolicies(t *testing.T) {
	_, cfg, in := everything(t, 2)
	var tokens, own, said, cut, weighted float64
	var metrics map[string]float64
	result, err := Run(t.Context(), cfg, in, Hooks{
		Completion: func(step int, o *Rollout) error {
			weight := map[int]float64{1: 0, 2: -.5}[step] // on its ramp, which ends half-way
			if want := o.Rewards[0] + weight*o.Rewards[1]; math.Abs(o.Reward-want) > 1e-12 {
				t.Errorf("step %d: reward %g of %v, want %g", step, o.Reward, o.Rewards, want)
			}
			for _, turn := range o.Turns {
				tokens += float64(len(turn.Context) + len(turn.Tokens))
				if turn.Policy == 0 {
					own += float64(len(turn.Tokens))
				} else {
					said += float64(len(turn.Tokens))
				}
			}
			if step == 2 {
				weighted += o.Reward / float64(cfg.Prompts*cfg.Group)
				if o.Turns[2].Finish == llm.FinishLength {
					cut += 1 / float64(cfg.Prompts*cfg.Group)
				}
			}
			return nil
		},
		Hooks: train.Hooks{Metric: func(step int, m map[string]float64) error {
			n := float64(cfg.Prompts * cfg.Group)
			if got := m["completions/mean_length"]; math.Abs(got-(own+said)/n) > 1e-9 {
				t.Errorf("step %d: mean length %g, want %g", step, got, (own+said)/n)
			}
			own, said, metrics = 0, 0, m
			return nil
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	pages := 2 * 2 * float64(cfg.PretrainBatch*3) // of both policies in both steps
	for name, want := range map[string]float64{
		"num_tokens": tokens + pages, "completions/clipped_ratio": cut, "reward": weighted, "clip_ratio/region_mean": 0, "face/clip_ratio/region_mean": 0,
	} {
		if got, ok := metrics[name]; !ok || math.Abs(got-want) > 1e-9 {
			t.Errorf("%s is %g, want %g", name, got, want)
		}
	}
	if result.Tokens != int64(tokens+pages) {
		t.Errorf("%d tokens, want %g", result.Tokens, tokens+pages)
	}
	for _, name := range []string{"loss", "grad_norm", "learning_rate", "kl", "entropy", "pretrain_loss", "clip_ratio/low_mean", "clip_ratio/high_mean"} {
		if a, b := metrics[name], metrics["face/"+name]; a == b && a != 0 && name != "learning_rate" {
			t.Errorf("both policies have %s %g", name, a)
		}
		if _, ok := metrics["face/"+name]; !ok {
			t.Errorf("there is no metric face/%s", name)
		}
	}
}

// What Play may not do, each with the error that says so. Nothing is trained then, neither policy.
func TestBadPlay(t *testing.T) {
	tired := errors.New("tired")
	for want, spoil := range map[string]func([]Rollout){
		"rollout 3: it has no turns":                        func(r []Rollout) { r[3].Turns = nil },
		"turn 1 is by policy 2, but there are 2":            func(r []Rollout) { r[0].Turns[1].Policy = 2 },
		"turn 0 is by policy -1":                            func(r []Rollout) { r[0].Turns[0].Policy = -1 },
		"turn 0 has 1 tokens on a context of 0, must":       func(r []Rollout) { r[0].Turns[0].Context = nil },
		"turn 1 has 0 tokens on a context of 2":             func(r []Rollout) { r[0].Turns[1].Tokens = nil },
		"turn 0 has 1 tokens, but 2 that are read and bans": func(r []Rollout) { r[0].Turns[0].Read = []int32{1, 2} },
		"turn 1 has 1 tokens, but 0 that are read and bans for 2": func(r []Rollout) {
			r[0].Turns[1].Banned = make([][]int32, 2)
		},
		"turn 0 bans token 6 at 0":          func(r []Rollout) { r[0].Turns[0].Banned = [][]int32{{1, toyVocab}} },
		"turn 1 bans token -1 at 0":         func(r []Rollout) { r[0].Turns[1].Banned = [][]int32{{-1}} },
		"token 6 is outside the vocabulary": func(r []Rollout) { r[1].Turns[1].Context = []int32{toyVocab} },
		"target 6 is outside":               func(r []Rollout) { r[1].Turns[1].Tokens, r[1].Turns[1].Read = []int32{toyVocab}, []int32{1} },
		"has 10 tokens: a context of 8":     func(r []Rollout) { r[1].Turns[1].Context = make([]int32, 9) },
		"playing: tired":                    nil,
	} {
		cfg, in := duo{signs: 1, says: 1}.input(t, 1)
		play := in.Play
		in.Play = func(ctx context.Context, step int, rollouts []Rollout) error {
			if spoil == nil {
				return tired
			}
			if err := play(ctx, step, rollouts); err != nil {
				return err
			}
			spoil(rollouts)
			return nil
		}
		policy, face := slices.Clone(in.Policy.Flat()), slices.Clone(in.Face.Flat())
		_, err := Run(t.Context(), cfg, in, Hooks{})
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "step 1") || errors.Is(err, tired) != (spoil == nil) {
			t.Errorf("error %v does not say %q of step 1", err, want)
		}
		if !slices.Equal(policy, in.Policy.Flat()) || !slices.Equal(face, in.Face.Flat()) {
			t.Errorf("%s: a step that failed changed a policy", want)
		}
	}
}

// A Play that forgets a rollout does not get away with its turns of the step before.
func TestTurnsAreNotLeftOver(t *testing.T) {
	cfg, in := duo{signs: 1, says: 1}.input(t, 2)
	play := in.Play
	in.Play = func(ctx context.Context, step int, rollouts []Rollout) error {
		for _, o := range rollouts {
			if len(o.Turns) != 0 || o.Note != nil {
				t.Errorf("step %d: rollout %d comes with %d turns and note %v", step, o.Index, len(o.Turns), o.Note)
			}
		}
		defer func() { rollouts[0].Note = step }()
		return play(ctx, step, rollouts[step:])
	}
	if _, err := Run(t.Context(), cfg, in, Hooks{}); err == nil || !strings.Contains(err.Error(), "step 2: rollout 0: it has no turns") {
		t.Errorf("error %v", err)
	}
}

func TestBadDuo(t *testing.T) {
	small := traintest.Model(t, 16, 8, toyVocab-1)
	for want, spoil := range map[string]func(*Config, *Input){
		"a face but nothing that lets it write":         func(_ *Config, in *Input) { in.Play = nil },
		"the face has a vocabulary of 5, the policy of": func(_ *Config, in *Input) { in.Face = small },
		"the reference has a vocabulary of 5":           func(c *Config, in *Input) { c.KLBeta, in.FaceReference = 1, small },
		"rewards[0]: turns is -1, must be at least 0":   func(c *Config, _ *Input) { c.Rewards[0].Turns = []int{0, -1} },
		"ramp is [0.5, 0.25], must be two shares":       func(c *Config, _ *Input) { c.Rewards[0].Ramp = [2]float64{.5, .25} },
		"ramp is [-0.1, 1]":                             func(c *Config, _ *Input) { c.Rewards[0].Ramp = [2]float64{-.1, 1} },
		"ramp is [0, 1.5]":                              func(c *Config, _ *Input) { c.Rewards[0].Ramp = [2]float64{0, 1.5} },
		"ramp is [NaN, 1]":                              func(c *Config, _ *Input) { c.Rewards[0].Ramp = [2]float64{math.NaN(), 1} },
		"it credits turn 2 of a rollout of 2 turns": func(_ *Config, in *Input) {
			in.Rewards["agree"] = func(*Rollout, *rng.Source) []Credit { return []Credit{{Turn: 2}} }
		},
	} {
		cfg, in := duo{signs: 1, says: 1}.input(t, 1)
		spoil(&cfg, &in)
		if _, err := Run(t.Context(), cfg, in, Hooks{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v does not say %q", err, want)
		}
	}
}

// A state of one policy does not start a run of two, nor the other way round.
func TestRefusesStatesOfOtherPolicies(t *testing.T) {
	var states []train.State
	keep := train.Hooks{CheckpointEvery: 1, Checkpoint: func(s train.State) error { states = append(states, s); return nil }}
	one, alone := toy(t, 2)
	two, both := duo{signs: 1, says: 1}.input(t, 2)
	if _, err := Run(t.Context(), one, alone, Hooks{Hooks: keep}); err != nil {
		t.Fatal(err)
	}
	if _, err := Run(t.Context(), two, both, Hooks{Hooks: keep}); err != nil {
		t.Fatal(err)
	}
	if len(states) != 2 || len(states[0].Others) != 0 || len(states[1].Others) != 1 {
		t.Fatalf("%d states", len(states))
	}
	if _, err := Run(t.Context(), two, both, Hooks{Hooks: train.Hooks{Resume: &states[0]}}); err == nil || !strings.Contains(err.Error(), "of 1 policies, but 2 are trained") {
		t.Errorf("error %v", err)
	}
	if _, err := Run(t.Context(), one, alone, Hooks{Hooks: train.Hooks{Resume: &states[1]}}); err == nil || !strings.Contains(err.Error(), "of 2 policies, but 1 are trained") {
		t.Errorf("error %v", err)
	}
}

// A reward function may hand out the same events again and again; where they are is told from the rollout each time.
func TestRewardsKeepTheirEvents(t *testing.T) {
	cfg, in := duo{signs: 2, says: 1}.input(t, 2)
	events := []Credit{{Turn: 1, At: 0, Value: 1}}
	in.Rewards["agree"] = func(*Rollout, *rng.Source) []Credit { return events }
	if _, err := Run(t.Context(), cfg, in, Hooks{}); err != nil || events[0].At != 0 {
		t.Errorf("after a run the events are %v, error %v", events, err)
	}
}
