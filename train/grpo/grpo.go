// Package grpo trains a policy by reinforcement learning with groups of rollouts and no critic: for each prompt a group of
// completions is sampled, each is rewarded, and a completion's advantage is what it earned above its group.
//
// The recipe is GRPO (Shao et al. 2024, section 4.1) with the choices of Dr. GRPO (Liu et al. 2025), DAPO (Yu et al. 2025) and
// RLOO (Ahmadian et al. 2024) as settings. It deviates from them in this:
//
//   - Prompts are drawn afresh for each step, and a step's rollouts are one batch: there are no minibatches. With Inner
//     above 1 the whole batch is used for several updates.
//   - The old policy's log-probabilities are those of the first update's own forward pass, which sees the very parameters
//     that sampled; so the ratio of the first update is exactly 1, and with Inner 1 nothing is ever clipped.
//   - Rewards may be credited to parts of a completion (see Credit below); the papers credit all of it.
//   - The entropy bonus uses the exact entropy of the next-token distribution, not an estimate from sampled tokens.
//   - A share of the pretraining loss may be added (InstructGPT's PPO-ptx, Ouyang et al. 2022, has a similar term).
//   - DAPO's dynamic sampling and overlong filtering are absent: groups of equal rewards stay in, with advantage 0, and a
//     completion that was cut off is trained on like any other.
//
// # The loss
//
// For token t of completion i, with logits divided by the sampling temperature everywhere (policy, old policy and reference),
// p the next-token distribution, rho = p(token)/p_old(token) and A its advantage:
//
//	L(i,t) = -min(rho A, clip(rho, 1-ClipLow, 1+ClipHigh) A) + KLBeta k3 - Entropy H(p)
//	k3     = r - log r - 1,  r = p_ref(token)/p(token)         (Schulman 2020)
//
// The step minimises the sum of w(i,t) L(i,t) + PretrainShare x (cross-entropy of the pretraining pages, nats a token), where
// N = Prompts x Group and |o_i| is completion i's number of tokens, the end token included:
//
//	LossNorm "token"     w = 1 / (|o_1| + ... + |o_N|)      DAPO
//	LossNorm "sequence"  w = 1 / (N |o_i|)                  GRPO
//	LossNorm "constant"  w = 1 / (N MaxTokens)              Dr. GRPO
//
// Gradients with respect to the logits are computed in closed form ([transformer.Loss]).
//
// # Turns and policies
//
// By default a completion is one turn, sampled from the policy. [Input.Play] may make rollouts of several turns instead, each
// written by the policy or by a second one, the face, in a context of its own. Every turn is then a sequence of its policy's
// batch: |o_i| above is the length of a turn, and "token" sums over the turns of one policy. Each policy has an optimizer, a
// reference and a loss of its own. Where other words were put in the place of what was written (Turn.Read), the loss is on what was written,
// in the context of what stands there. Tokens that could not be sampled (Turn.Banned) are left out of p, p_old and p_ref alike.
//
// # Credit
//
// A reward function returns events: a value at a token of the completion. Reward k gives token t of completion i the return
//
//	Credit "chain"    R_k(i,t) = the sum of all events of i, the same for each token
//	Credit "horizon"  R_k(i,t) = the sum of the events with t <= At <= t+Horizon
//	Credit "token"    R_k(i,t) = the sum of the events with At = t
//
// and a baseline b_k(i,t), the mean of R_k(j,t) over a set of completions j of the same prompt: for "chain" the whole group;
// for the others those that are longer than t, since only they decided anything there. Then, summed over the rewards with
// weights v_k:
//
//	Advantage "centered"       A(i,t) = sum_k v_k (R_k(i,t) - b_k(i,t)), i in the set         Dr. GRPO
//	Advantage "leave-one-out"  the same, i left out of its own set; 0 if nobody else is in it   RLOO
//	Advantage "standardized"   "centered" / (s + 1e-4), s the group's sample standard deviation
//	                           (divisor G-1) of total rewards sum_k v_k sum of events; 0 if all totals are equal   GRPO
//
// Of several turns, t counts the tokens of all turns on end, so "horizon" and "token" compare completions at the same count and
// are meant for turns of a fixed form. Reward.Turns restricts which turns a reward reaches; Reward.Ramp lets v_k grow over the run.
//
// # Metrics
//
// Those of the face bear the prefix "face/". Under TRL's names. Averages over tokens are plain means over all completion tokens and updates of the step.
//
//	loss, grad_norm, learning_rate    means over the step's updates; learning_rate is the last update's
//	reward, reward_std                mean total reward; mean over groups of s
//	rewards/NAME/mean, .../std        of the unweighted reward NAME, over all completions (std: divisor N-1)
//	frac_reward_zero_std              share of groups whose total rewards are all equal
//	entropy                           nats a token, at the sampling temperature
//	kl                                mean k3 a token; only where KLBeta is above 0
//	clip_ratio/low_mean, /high_mean   share of tokens with rho < 1-ClipLow and A < 0; rho > 1+ClipHigh and A > 0
//	clip_ratio/region_mean            either
//	completions/mean_length, /min_length, /max_length    tokens
//	completions/clipped_ratio         share of completions that did not end by themselves
//	pretrain_loss                     nats a token; only with PretrainShare above 0
//	num_tokens, step
package grpo

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"candor/engine/optim"
	"candor/train"
)

// The ways to turn returns into advantages; see the package comment.
const (
	Standardized = "standardized"
	Centered     = "centered"
	LeaveOneOut  = "leave-one-out"
)

// The ways to weigh tokens; see the package comment.
const (
	PerToken    = "token"
	PerSequence = "sequence"
	Constant    = "constant"
)

// The ways to credit a reward's events to tokens; see the package comment.
const (
	Chain   = "chain"
	Horizon = "horizon"
	Token   = "token"
)

// Config is the recipe's settings. [Default] gives those that nobody usually changes.
type Config struct {
	Steps       int     `yaml:"steps" json:"steps"`             // at least 1
	Prompts     int     `yaml:"prompts" json:"prompts"`         // prompts a step, at least 1
	Group       int     `yaml:"group" json:"group"`             // completions a prompt, at least 2
	Temperature float64 `yaml:"temperature" json:"temperature"` // of sampling and of the loss, in (0,100]
	MaxTokens   int     `yaml:"max_tokens" json:"max_tokens"`   // of a completion, at least 1
	Inner       int     `yaml:"inner" json:"inner"`             // updates a step (mu), at least 1
	Advantage   string  `yaml:"advantage" json:"advantage"`
	ClipLow     float64 `yaml:"clip_low" json:"clip_low"`   // in (0,1]
	ClipHigh    float64 `yaml:"clip_high" json:"clip_high"` // in (0,100]
	KLBeta      float64 `yaml:"kl_beta" json:"kl_beta"`     // in [0,100]; 0 runs no reference model
	Entropy     float64 `yaml:"entropy" json:"entropy"`     // coefficient of the bonus, in [0,100]
	LossNorm    string  `yaml:"loss_norm" json:"loss_norm"`
	// Optim counts updates, of which there are Steps x Inner.
	Optim optim.Config `yaml:"optim" json:"optim"`
	// PretrainShare weighs the pretraining loss of PretrainBatch pages a step; in [0,100], 0 draws none.
	PretrainShare float64  `yaml:"pretrain_share" json:"pretrain_share"`
	PretrainBatch int      `yaml:"pretrain_batch" json:"pretrain_batch"`
	Rewards       []Reward `yaml:"rewards" json:"rewards"` // at least one
}

// Reward is one entry of the weighted list of rewards.
type Reward struct {
	Name    string  `yaml:"name" json:"name"`       // which function of Input.Rewards
	Weight  float64 `yaml:"weight" json:"weight"`   // in [-1000,1000], a penalty where negative
	Credit  string  `yaml:"credit" json:"credit"`   // "chain", "horizon" or "token"
	Horizon int     `yaml:"horizon" json:"horizon"` // tokens, at least 0; only with credit "horizon"
	// Turns are the turns of a rollout whose tokens are credited; none stands for all.
	Turns []int `yaml:"turns" json:"turns,omitempty"`
	// Ramp lets the weight rise in a line from 0 to Weight between these two shares of the run; {0,0} has it constant.
	Ramp [2]float64 `yaml:"ramp" json:"ramp,omitzero"`
}

// at returns the reward's weight at a step, counted from 0, of a run of so many.
func (r Reward) at(step, steps int) float64 {
	if r.Ramp[1] == 0 {
		return r.Weight
	}
	switch done := float64(step) / float64(steps); {
	case done >= r.Ramp[1]:
		return r.Weight
	case done <= r.Ramp[0]:
		return 0
	default:
		return r.Weight * (done - r.Ramp[0]) / (r.Ramp[1] - r.Ramp[0])
	}
}

// Default returns the settings of Dr. GRPO with DAPO's clip range, without KL or entropy terms. Steps, Prompts, MaxTokens, Optim
// and Rewards are left to the caller.
func Default() Config {
	return Config{
		Group: 8, Temperature: 1, Inner: 1, Advantage: Centered, ClipLow: .2, ClipHigh: .28, LossNorm: Constant,
	}
}

// Validate returns an error that names each bad field and its valid range or choices.
func (c Config) Validate() error {
	errs := []error{
		train.AtLeast("steps", c.Steps, 1),
		train.AtLeast("prompts", c.Prompts, 1),
		train.AtLeast("group", c.Group, 2),
		train.Above("temperature", c.Temperature, 0, 100),
		train.AtLeast("max_tokens", c.MaxTokens, 1),
		train.AtLeast("inner", c.Inner, 1),
		oneOf("advantage", c.Advantage, Standardized, Centered, LeaveOneOut),
		train.Above("clip_low", c.ClipLow, 0, 1),
		train.Above("clip_high", c.ClipHigh, 0, 100),
		train.Within("kl_beta", c.KLBeta, 0, 100),
		train.Within("entropy", c.Entropy, 0, 100),
		oneOf("loss_norm", c.LossNorm, PerToken, PerSequence, Constant),
		train.InField("optim", c.Optim.Validate()),
		train.Within("pretrain_share", c.PretrainShare, 0, 100),
	}
	if c.PretrainShare > 0 {
		errs = append(errs, train.AtLeast("pretrain_batch", c.PretrainBatch, 1))
	}
	if len(c.Rewards) == 0 {
		errs = append(errs, errors.New("rewards is empty, must name at least one reward"))
	}
	for i, r := range c.Rewards {
		errs = append(errs, train.InField(fmt.Sprintf("rewards[%d]", i), r.validate()))
		if slices.ContainsFunc(c.Rewards[:i], func(o Reward) bool { return o.Name == r.Name }) {
			errs = append(errs, fmt.Errorf("rewards[%d]: name %q is there twice", i, r.Name))
		}
	}
	return errors.Join(errs...)
}

func (r Reward) validate() error {
	errs := []error{
		train.Within("weight", r.Weight, -1000, 1000),
		oneOf("credit", r.Credit, Chain, Horizon, Token),
	}
	if r.Name == "" {
		errs = append(errs, errors.New("name is empty"))
	}
	if lo, hi := r.Ramp[0], r.Ramp[1]; !(0 <= lo && lo <= hi && hi <= 1) {
		errs = append(errs, fmt.Errorf("ramp is [%g, %g], must be two shares of the run in order, between 0 and 1", lo, hi))
	}
	for _, turn := range r.Turns {
		errs = append(errs, train.AtLeast("turns", turn, 0))
	}
	if r.Credit == Horizon {
		errs = append(errs, train.AtLeast("horizon", r.Horizon, 0))
	} else if r.Horizon != 0 {
		errs = append(errs, fmt.Errorf("horizon is %d, must be 0 unless credit is %q", r.Horizon, Horizon))
	}
	return errors.Join(errs...)
}

func oneOf(field, value string, choices ...string) error {
	if !slices.Contains(choices, value) {
		return fmt.Errorf("%s is %q, must be one of %s", field, value, strings.Join(choices, ", "))
	}
	return nil
}
