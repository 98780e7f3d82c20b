package grpo

import (
	"context"
	"math"
	"slices"
	"strings"
	"testing"

	"candor/engine/optim"
	"candor/engine/tensor"
	"candor/engine/transformer"
	"candor/internal/rng"
	"candor/reasoning/llm"
	"candor/train"
	"candor/train/internal/traintest"
)

// The toy task: a prompt of one digit 1..3, to be answered by the same digit and the end token.
const (
	end       = 0
	toyVocab  = 6
	maxTokens = 4
)

// right rewards the digit at once; what follows does not matter.
func right(o *Rollout, _ *rng.Source) []Credit {
	if o.Turns[0].Tokens[0] == o.Prompt.Data.(int32) {
		return []Credit{{At: 0, Value: 1}}
	}
	return nil
}

// coin rewards at random.
func coin(o *Rollout, src *rng.Source) []Credit {
	if src.Bool(.5) {
		return []Credit{{At: len(o.Turns[0].Tokens) - 1, Value: 1}}
	}
	return nil
}

func toy(t testing.TB, steps int) (Config, Input) {
	cfg := Default()
	cfg.Steps, cfg.Prompts, cfg.MaxTokens = steps, 6, maxTokens
	cfg.Optim = optim.Default(1e-2)
	cfg.Rewards = []Reward{{Name: "right", Weight: 1, Credit: Chain}}
	return cfg, Input{
		Policy: traintest.Model(t, 16, 8, toyVocab),
		Pool:   traintest.Pool(t, 1),
		Source: rng.New(3),
		Prompt: func(src *rng.Source) Prompt {
			digit := int32(src.Between(1, 3))
			return Prompt{ID: string('0' + rune(digit)), Tokens: []int32{digit}, Data: digit}
		},
		Rewards: map[string]RewardFunc{"right": right, "coin": coin},
		End:     end,
	}
}

// accuracy is the policy's probability of a right first token, averaged over the three problems.
func accuracy(t *testing.T, policy *transformer.Model) float64 {
	t.Helper()
	var p float64
	var batch []transformer.Sequence
	for d := range int32(3) {
		batch = append(batch, transformer.Sequence{Tokens: []int32{d + 1, d + 1}, Weight: []float32{0, 1}})
	}
	err := transformer.NewScorer(policy, traintest.Pool(t, 1)).Score(batch, func(_, _, _ int, target int32, logits []float32) {
		p += math.Exp(logProb(logits, target)) / 3
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestLearnsTheToyTask(t *testing.T) {
	for _, c := range []struct{ advantage, norm string }{
		{Centered, Constant}, {Standardized, PerSequence}, {LeaveOneOut, PerToken},
	} {
		cfg, in := toy(t, 60)
		cfg.Advantage, cfg.LossNorm = c.advantage, c.norm
		before := accuracy(t, in.Policy)
		result, err := Run(t.Context(), cfg, in, Hooks{})
		if err != nil {
			t.Fatal(err)
		}
		if after := accuracy(t, in.Policy); before > .5 || after < .9 || result.Reward < .9 {
			t.Errorf("%s, %s: accuracy went from %.2f to %.2f, the last reward is %.2f", c.advantage, c.norm, before, after, result.Reward)
		}
	}
}

// Several updates a step on clipped ratios must still learn, and must clip.
func TestLearnsWithInnerUpdates(t *testing.T) {
	cfg, in := toy(t, 30)
	cfg.Inner = 4
	var clipped float64
	_, err := Run(t.Context(), cfg, in, Hooks{Hooks: train.Hooks{Metric: func(_ int, m map[string]float64) error {
		clipped += m["clip_ratio/region_mean"]
		if d := m["clip_ratio/low_mean"] + m["clip_ratio/high_mean"] - m["clip_ratio/region_mean"]; math.Abs(d) > 1e-12 {
			t.Errorf("clip ratios do not add up: %v", m)
		}
		return nil
	}}})
	if err != nil {
		t.Fatal(err)
	}
	if after := accuracy(t, in.Policy); after < .9 || clipped == 0 {
		t.Errorf("accuracy %.2f, clipped %g", after, clipped)
	}
}

// Rewards that know nothing must teach nothing: the mean over several runs stays where it was.
func TestRandomRewardsTeachNothing(t *testing.T) {
	const runs = 6
	var before, after float64
	for seed := range uint64(runs) {
		cfg, in := toy(t, 60)
		cfg.Rewards = []Reward{{Name: "coin", Weight: 1, Credit: Chain}}
		cfg.Optim.LR = 2e-3
		in.Source = rng.New(seed)
		before += accuracy(t, in.Policy) / runs
		if _, err := Run(t.Context(), cfg, in, Hooks{}); err != nil {
			t.Fatal(err)
		}
		after += accuracy(t, in.Policy) / runs
	}
	if math.Abs(after-before) > .12 {
		t.Errorf("random rewards moved accuracy from %.3f to %.3f", before, after)
	}
}

// The planning experiment in small: eat pays a little at once, sow pays 1 after delay tokens. Credit that reaches back to
// the choice must teach sowing, credit that ends one token short of it must teach eating.
func TestHorizonMustReachTheChoice(t *testing.T) {
	const eat, sow, delay = 1, 2, 3
	harvest := func(o *Rollout, _ *rng.Source) []Credit {
		written := o.Turns[0].Tokens
		switch {
		case written[0] == eat:
			return []Credit{{At: 0, Value: .3}}
		case written[0] == sow && len(written) > delay:
			return []Credit{{At: delay, Value: 1}}
		}
		return nil
	}
	for horizon, want := range map[int]int32{delay: sow, delay + 2: sow, delay - 1: eat, 0: eat} {
		cfg, in := toy(t, 80)
		cfg.MaxTokens = delay + 1
		cfg.Rewards = []Reward{{Name: "harvest", Weight: 1, Credit: Horizon, Horizon: horizon}}
		in.Rewards = map[string]RewardFunc{"harvest": harvest}
		in.Prompt = func(*rng.Source) Prompt { return Prompt{Tokens: []int32{5}} }
		if _, err := Run(t.Context(), cfg, in, Hooks{}); err != nil {
			t.Fatal(err)
		}
		batch := []transformer.Sequence{{Tokens: []int32{5, want}, Weight: []float32{0, 1}}}
		err := transformer.NewScorer(in.Policy, in.Pool).Score(batch, func(_, _, _ int, target int32, logits []float32) {
			if p := math.Exp(logProb(logits, target)); p < .9 {
				t.Errorf("with horizon %d and delay %d, choice %d has probability %.2f", horizon, delay, want, p)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// A strong leash must keep the policy near the reference even where the reward pulls.
func TestKLHoldsThePolicy(t *testing.T) {
	for beta, low := range map[float64]bool{1e-6: false, 20: true} {
		cfg, in := toy(t, 40)
		cfg.KLBeta = beta
		var last float64
		_, err := Run(t.Context(), cfg, in, Hooks{Hooks: train.Hooks{Metric: func(step int, m map[string]float64) error {
			if step == 1 && m["kl"] > 1e-9 {
				t.Errorf("kl is %g before anything was learned", m["kl"])
			}
			last = m["kl"]
			return nil
		}}})
		if err != nil {
			t.Fatal(err)
		}
		if (last < .02) != low {
			t.Errorf("beta %g: kl ends at %g", beta, last)
		}
	}
}

func TestIsRepeatable(t *testing.T) {
	const steps = 4
	cfg, in := toy(t, steps)
	cfg.Inner, cfg.KLBeta, cfg.Entropy, cfg.PretrainShare, cfg.PretrainBatch = 2, .1, .01, .3, 3
	cfg.Rewards = append(cfg.Rewards, Reward{Name: "coin", Weight: .2, Credit: Token})
	in.Pages = randomPage{}
	traintest.Repeatable(t, in.Policy, steps,
		func(ctx context.Context, policy *transformer.Model, pool *tensor.Pool, hooks train.Hooks) error {
			in := in
			in.Policy, in.Pool = policy, pool
			_, err := Run(ctx, cfg, in, Hooks{Hooks: hooks})
			return err
		})
}

type randomPage struct{}

func (randomPage) Page(src *rng.Source) ([]int32, int) {
	return []int32{int32(src.IntN(6)), int32(src.IntN(6)), end}, 1
}

func TestReports(t *testing.T) {
	cfg, in := toy(t, 2)
	cfg.KLBeta, cfg.PretrainShare, cfg.PretrainBatch = .1, .5, 2
	cfg.Rewards = append(cfg.Rewards, Reward{Name: "coin", Weight: -2, Credit: Token})
	in.Pages = randomPage{}
	var rewards, firsts []float64
	tokens, cut, n := 0, 0, 0
	var metrics map[string]float64
	hooks := Hooks{
		Completion: func(step int, o *Rollout) error {
			if step == 1 {
				return nil
			}
			n++
			turn := o.Turns[0]
			tokens += len(o.Prompt.Tokens) + len(turn.Tokens)
			ended := turn.Tokens[len(turn.Tokens)-1] == end
			if !ended {
				cut++
			}
			if ended != (turn.Finish == llm.FinishStop) || slices.Contains(turn.Tokens[:len(turn.Tokens)-1], end) {
				t.Errorf("completion %v finished by %q", turn.Tokens, turn.Finish)
			}
			if len(o.Advantages) != len(turn.Tokens) || len(turn.Context) != len(o.Prompt.Tokens) || o.Prompt.ID == "" || o.Index != len(rewards) {
				t.Errorf("incomplete rollout %+v", o)
			}
			if o.Reward != o.Rewards[0]-2*o.Rewards[1] {
				t.Errorf("reward %g from %v with weights 1, -2", o.Reward, o.Rewards)
			}
			rewards, firsts = append(rewards, o.Reward), append(firsts, o.Rewards[0])
			return nil
		},
		Hooks: train.Hooks{Metric: func(_ int, m map[string]float64) error { metrics = m; return nil }},
	}
	result, err := Run(t.Context(), cfg, in, hooks)
	if err != nil {
		t.Fatal(err)
	}
	if n != cfg.Prompts*cfg.Group {
		t.Fatalf("%d completions were kept, want %d", n, cfg.Prompts*cfg.Group)
	}
	var std, equal float64
	for g := range cfg.Prompts {
		group := rewards[g*cfg.Group : (g+1)*cfg.Group]
		_, s := meanStd(group)
		std += s / float64(cfg.Prompts)
		if slices.Max(group) == slices.Min(group) {
			equal += 1 / float64(cfg.Prompts)
		}
	}
	mean, _ := meanStd(rewards)
	first, firstStd := meanStd(firsts)
	for name, want := range map[string]float64{
		"reward": mean, "reward_std": std, "frac_reward_zero_std": equal, "rewards/right/mean": first, "rewards/right/std": firstStd,
		"completions/clipped_ratio": float64(cut) / float64(n), "completions/mean_length": float64(tokens)/float64(n) - 1,
		"step": 2, "clip_ratio/region_mean": 0, "learning_rate": cfg.Optim.LR, "num_tokens": float64(result.Tokens),
	} {
		if got, ok := metrics[name]; !ok || math.Abs(got-want) > 1e-9 {
			t.Errorf("%s is %g, want %g", name, got, want)
		}
	}
	for _, name := range []string{"loss", "grad_norm", "kl", "entropy", "pretrain_loss", "completions/min_length", "completions/max_length",
		"clip_ratio/low_mean", "clip_ratio/high_mean", "rewards/coin/mean", "rewards/coin/std"} {
		if _, ok := metrics[name]; !ok {
			t.Errorf("there is no metric %s", name)
		}
	}
	if h := metrics["entropy"]; h < .5*math.Log(toyVocab) || h > math.Log(toyVocab) {
		t.Errorf("entropy is %g nats for a fresh policy over %d tokens", h, toyVocab)
	}
}

func TestBadInput(t *testing.T) {
	for want, spoil := range map[string]func(*Config, *Input){
		"group is 1, must be at least 2":           func(c *Config, _ *Input) { c.Group = 1 },
		"temperature is 0, must be above 0":        func(c *Config, _ *Input) { c.Temperature = 0 },
		"temperature is NaN":                       func(c *Config, _ *Input) { c.Temperature = math.NaN() },
		"must be one of standardized, centered":    func(c *Config, _ *Input) { c.Advantage = "ppo" },
		"must be one of token, sequence, constant": func(c *Config, _ *Input) { c.LossNorm = "" },
		"inner is 0":                  func(c *Config, _ *Input) { c.Inner = 0 },
		"clip_low is 2":               func(c *Config, _ *Input) { c.ClipLow = 2 },
		"optim: lr is 0":              func(c *Config, _ *Input) { c.Optim.LR = 0 },
		"pretrain_batch is 0":         func(c *Config, _ *Input) { c.PretrainShare = 1 },
		"rewards is empty":            func(c *Config, _ *Input) { c.Rewards = nil },
		`name "right" is there twice`: func(c *Config, _ *Input) { c.Rewards = append(c.Rewards, c.Rewards[0]) },
		"rewards[0]: credit is \"all\", must be one of":      func(c *Config, _ *Input) { c.Rewards[0].Credit = "all" },
		"horizon is 3, must be 0 unless":                     func(c *Config, _ *Input) { c.Rewards[0].Horizon = 3 },
		`the input has no function for reward "right"`:       func(_ *Config, in *Input) { in.Rewards = nil },
		"the end token is 6, must be within":                 func(_ *Config, in *Input) { in.End = toyVocab },
		"the input has no pages":                             func(c *Config, _ *Input) { c.PretrainShare, c.PretrainBatch = 1, 1 },
		"step 1: sampling completions: request 0: the promp": func(_ *Config, in *Input) { in.Prompt = func(*rng.Source) Prompt { return Prompt{} } },
		`reward "right" of completion 0: it credits token`: func(_ *Config, in *Input) {
			in.Rewards = map[string]RewardFunc{"right": func(*Rollout, *rng.Source) []Credit { return []Credit{{At: 9, Value: 1}} }}
		},
	} {
		cfg, in := toy(t, 1)
		spoil(&cfg, &in)
		if _, err := Run(t.Context(), cfg, in, Hooks{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v does not say %q", err, want)
		}
	}
}
