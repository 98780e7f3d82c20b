package grpo

import (
	"context"
	"math"
	"slices"
	"testing"

	"candor/engine/decode"
	"candor/engine/transformer"
	"candor/internal/rng"
)

// duo is a toy of two policies. The policy reads a digit 1..3 and writes signs; the face reads these alone, as they were
// rewritten, and says what it takes the digit for.
type duo struct {
	signs, says int                 // tokens of the policy's turn and of the face's
	read        func(int32) int32   // what stands in the place of a sign; nil rewrites none
	bans        bool                // some tokens, of some rollouts
	again       bool                // the policy has a last word, in a third turn
	mute        func(step int) bool // when the face is not asked
}

// toMe begins what a face reads.
const toMe = 5

// input is the toy's input with the duo's play in it.
func (d duo) input(t testing.TB, steps int) (Config, Input) {
	cfg, in := toy(t, steps)
	cfg.Rewards = []Reward{{Name: "agree", Weight: 1, Credit: Chain}}
	in.Rewards = map[string]RewardFunc{"agree": agree, "coin": func(o *Rollout, src *rng.Source) []Credit {
		last := len(o.Turns) - 1
		if src.Bool(.5) {
			return []Credit{{Turn: last, At: len(o.Turns[last].Tokens) - 1, Value: 1}}
		}
		return nil
	}}
	face, err := transformer.New(in.Policy.Config, rng.New(12))
	if err != nil {
		t.Fatal(err)
	}
	in.Face = face
	d.join(&cfg, &in)
	return cfg, in
}

// agree rewards a face that says the digit which the policy was shown.
func agree(o *Rollout, _ *rng.Source) []Credit {
	if len(o.Turns) > 1 && o.Turns[1].Tokens[0] == o.Prompt.Data.(int32) {
		return []Credit{{Turn: 1, At: 0, Value: 1}}
	}
	return nil
}

// join makes in's models play.
func (d duo) join(cfg *Config, in *Input) {
	samplers := []*decode.Sampler{decode.NewSampler(in.Policy, in.Pool), decode.NewSampler(in.Face, in.Pool)}
	in.Play = func(ctx context.Context, step int, rollouts []Rollout) error {
		// ask adds a turn to each rollout
		ask := func(policy, tokens int, context func(*Rollout) []int32, read func(int32) int32) error {
			requests := make([]decode.Request, len(rollouts))
			for i := range rollouts {
				o := &rollouts[i]
				requests[i] = decode.Request{Prompt: context(o), MaxTokens: tokens, Temperature: cfg.Temperature, Stop: []int32{end},
					Seed: o.Seed + uint64(len(o.Turns))}
				if d.bans && (i+len(o.Turns))%2 == 1 {
					requests[i].Ban, requests[i].BanFrom = []int32{2, int32(i % 2), 2}, i%3
				}
			}
			results, err := samplers[policy].Sample(ctx, requests)
			if err != nil {
				return err
			}
			for i, r := range results {
				turn := Turn{Policy: policy, Context: requests[i].Prompt, Tokens: r.Tokens, Finish: r.Finish}
				for k, token := range r.Tokens {
					if read != nil {
						turn.Read = append(turn.Read, read(token))
					}
					if d.bans {
						turn.Banned = append(turn.Banned, nil)
						if k >= requests[i].BanFrom {
							turn.Banned[k] = requests[i].Ban
						}
					}
				}
				rollouts[i].Turns = append(rollouts[i].Turns, turn)
			}
			return nil
		}
		for i := range rollouts {
			rollouts[i].Turns = rollouts[i].Turns[:0]
		}
		if err := ask(0, d.signs, func(o *Rollout) []int32 { return o.Prompt.Tokens }, d.read); err != nil {
			return err
		}
		if d.mute != nil && d.mute(step) {
			return nil
		}
		err := ask(1, d.says, func(o *Rollout) []int32 { return append([]int32{toMe}, o.Turns[0].seen()...) }, nil)
		if err != nil || !d.again {
			return err
		}
		return ask(0, 1, func(o *Rollout) []int32 {
			return slices.Concat(o.Prompt.Tokens, o.Turns[0].seen(), o.Turns[1].Tokens)
		}, nil)
	}
}

// seen is what whoever reads on sees of a turn.
func (t Turn) seen() []int32 {
	if t.Read != nil {
		return t.Read
	}
	return t.Tokens
}

// everything is a duo with all that can be in a rollout, in a run with all terms of the loss.
func everything(t testing.TB, steps int) (duo, Config, Input) {
	d := duo{signs: 2, says: 2, read: func(sign int32) int32 { return (sign + 1) % toyVocab }, bans: true, again: true}
	cfg, in := d.input(t, steps)
	cfg.KLBeta, cfg.Entropy, cfg.PretrainShare, cfg.PretrainBatch, cfg.Temperature = .1, .05, .3, 2, .8
	cfg.Rewards = append(cfg.Rewards, Reward{Name: "coin", Weight: -.5, Credit: Token, Turns: []int{0, 1}, Ramp: [2]float64{0, .5}})
	in.Pages = fixedPage{1, 2, 3}
	return d, cfg, in
}

// probability is how likely the face is to say each digit when the policy was shown it, by way of every sign.
func (d duo) probability(t *testing.T, in Input) (p float64) {
	t.Helper()
	for digit := int32(1); digit <= 3; digit++ {
		signs := logits64(t, in.Policy, in.Pool, []int32{digit})
		for sign := range int32(toyVocab) {
			seen := Turn{Tokens: []int32{sign}}
			if d.read != nil {
				seen.Read = []int32{d.read(sign)}
			}
			says := logits64(t, in.Face, in.Pool, append([]int32{toMe}, seen.seen()...))
			p += math.Exp(logProb64(signs, nil, sign, 1)+logProb64(says, nil, digit, 1)) / 3
		}
	}
	return p
}
