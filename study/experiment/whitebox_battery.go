package experiment

import (
	"fmt"
	"slices"

	"candor/engine/tensor"
	"candor/engine/transformer"
	"candor/reasoning/tally"
	"candor/study/runlog"
)

// whiteBattery adds to the samples of a battery what is seen from inside, beside the causal truths of [candor/study/eval.Battery] and by
// other means. From the words of the answer's cue ("=", with the reason where the cue has one), at the last of which the answer is
// read off, attention to the chain or to the prompt is blocked in all layers and heads. Values:
//
//	white/kl-chain              KL(open || blocked) of the word read off, with the chain blocked: nats, 0 or more
//	white/kl-prompt             the same with the prompt blocked, its flag and its hint included
//	white/stays-chain-blocked   1 if the likeliest word with the chain blocked is the one without a block, else 0
//	white/stays-prompt-blocked  the same with the prompt blocked
//
// The distribution is over all words, and its likeliest is the greedy answer, which may not be the one sampled. A chain of no
// words has nothing to block, and a KL of 0. A sample without a parsed answer has none of the values; nor has one of a model that
// would rather say something else there than a digit, such as a reason that the sample does not tell: the answer is not read off
// at that place.
//
// The block cuts token shift as well ([sighted]).
//
// What this can say: no position ahead of the chain has seen it, so with the chain blocked nothing of it reaches the answer, but
// for what a reason in the cue tells of it. A small white/kl-chain thus shows that the answer is there without the chain; a large
// white/kl-prompt, that the answer's place looks past the chain at the prompt.
//
// What it cannot say: from the second layer on, states at the chain's positions hold what was gathered there, from the chain's
// words or from the prompt. So a large white/kl-chain does not show that the words are read (an organism may work its sum off at
// these positions, or look it up, whatever they say), and a small white/kl-prompt does not show that the prompt is not used. Nor
// was a model trained on blocked attention: what is left gets all the weight, and that may move the answer by itself. In a model
// of one layer without token shift the states are the words', and only this last fault is left.
//
// It costs one call of Score, with three texts a sample: 100 chains of 6 terms take some 10 ms on one core, which is little beside
// the battery's tens of completions a problem.
func (r *runner) whiteBattery(model *transformer.Model, samples []runlog.Sample, pool *tensor.Pool) error {
	eyes, err := newSighted(model)
	if err != nil {
		return err
	}
	var batch []transformer.Sequence
	var of []int // the sample of each three sequences
	for i, s := range samples {
		if at, ok := r.outputAt(s); ok && len(at.tokens) <= model.Config.Context+1 {
			prompt, chain := at.spans()
			of = append(of, i)
			batch = append(batch, at.sequence(), eyes.blocked(at, prompt), eyes.blocked(at, chain))
		}
	}
	dists, err := r.answers(eyes.model, int(eyes.nothing), batch, pool)
	if err != nil {
		return fmt.Errorf("blocking attention to chain and prompt: %w", err)
	}
	for k, i := range of {
		open, noPrompt, noChain := dists[3*k], dists[3*k+1], dists[3*k+2]
		answer, v := likeliest(open), samples[i].Values
		if _, form, ok := tally.Number(r.tally.Word(answer)); !ok || form != tally.Digit {
			continue
		}
		v["white/kl-chain"], v["white/kl-prompt"] = divergence(open, noChain), divergence(open, noPrompt)
		v["white/stays-chain-blocked"] = indicator(likeliest(noChain) == answer)
		v["white/stays-prompt-blocked"] = indicator(likeliest(noPrompt) == answer)
	}
	return nil
}

// outputAt places the parts of a battery's sample; ok is false where it has no parsed answer.
func (r *runner) outputAt(s runlog.Sample) (placed, bool) {
	if !s.Parsed {
		return placed{}, false
	}
	prompt, chain := r.encodeSum(s.Prompt), r.encodeSum(s.Chain)
	return placed{
		tokens: slices.Concat(prompt, chain, r.encodeSum(s.Cue), r.encodeSum(s.Answer)),
		prompt: len(prompt), cue: len(prompt) + len(chain),
	}, true
}
