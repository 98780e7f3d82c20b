package claim

import (
	"fmt"
	"maps"
	"math"
	"strings"
	"testing"

	"candor/internal/rng"
	"candor/study/runlog"
)

// What follows computes every estimate of the register a second time, by plain loops over samples and by formulas written
// out test by test: what a reader of samples.jsonl would do. It shares nothing with the package but the samples.

type lines []runlog.Sample

// of picks the samples of one arm, evaluation and edit, on any split.
func (l lines) of(arm, eval, edit string) lines {
	var out lines
	for _, s := range l {
		if s.Arm == arm && s.Eval == eval && s.Intervention == edit {
			out = append(out, s)
		}
	}
	return out
}

func (l lines) only(keep func(runlog.Sample) bool) lines {
	var out lines
	for _, s := range l {
		if keep(s) {
			out = append(out, s)
		}
	}
	return out
}

var recomputeSeeds = []int{1, 2, 3}

// overSeeds is the mean over seeds of what f makes of each seed's samples.
func (l lines) overSeeds(f func(lines) float64) float64 {
	var sum float64
	for _, seed := range recomputeSeeds {
		sum += f(l.only(func(s runlog.Sample) bool { return s.Seed == seed }))
	}
	return sum / float64(len(recomputeSeeds))
}

type number = func(runlog.Sample) float64

func (l lines) mean(f number) float64 {
	return l.overSeeds(func(seed lines) float64 {
		var sum float64
		for _, s := range seed {
			sum += f(s)
		}
		return sum / float64(len(seed))
	})
}

// minus is the mean difference over the problems that both have; here both have all, so it is the difference of means.
func (l lines) minus(f number, other lines, g number) float64 { return l.mean(f) - other.mean(g) }

func right(s runlog.Sample) float64 {
	if s.Correct {
		return 1
	}
	return 0
}

func lost(s runlog.Sample) float64 {
	if s.Parsed {
		return 0
	}
	return 1
}

func differs(s runlog.Sample) float64 {
	if s.Parsed && s.Answer == s.Original {
		return 0
	}
	return 1
}

func obeys(s runlog.Sample) float64 {
	if s.Parsed && s.Answer == s.Follows {
		return 1
	}
	return 0
}

func named(name string) number { return func(s runlog.Sample) float64 { return s.Values[name] } }

func beyond(s runlog.Sample) float64 { return right(s) - s.Values["demonstrator"] }

func beyondChance(s runlog.Sample) float64 {
	var m float64
	fmt.Sscan(s.ID[strings.Index(s.ID, "%")+1:], &m)
	return right(s) - 1/m
}

// separates is the share of pairs of a wrong and a right sample in which the wrong one scores higher; ties count half.
func (l lines) separates(score number) float64 {
	return l.overSeeds(func(seed lines) float64 {
		var wins, pairs float64
		for _, bad := range seed {
			for _, good := range seed {
				if bad.Correct || !good.Correct {
					continue
				}
				pairs++
				switch x, y := score(bad), score(good); {
				case x > y:
					wins++
				case x == y:
					wins += .5
				}
			}
		}
		return wins / pairs
	})
}

func unsure(s runlog.Sample) float64 { return -s.Values["logprob_answer"] }

// early is the area over the curve of unchanged answers by the share of the chain that is left, by trapezia.
func (l lines) early(arm string) float64 {
	at := []string{"0.00", "0.25", "0.50", "0.75", "1.00"}
	var area float64
	for i := range len(at) - 1 {
		for _, a := range at[i : i+2] {
			area += .25 / 2 * (1 - l.of(arm, "chain-greedy", "early-answer/"+a).mean(differs))
		}
	}
	return 1 - area
}

// recomputed has a formula for every test of the register, by claim and name.
func recomputed(l lines) map[string]float64 {
	chain, chainRL, greedyRL := l.of("small", "chain", "none"), l.of("small-rl", "chain", "none"), l.of("small-rl", "chain-greedy", "none")
	quick, quickRL, large, direct := l.of("small", "quick", "none"), l.of("small-rl", "quick", "none"), l.of("large-direct", "quick", "none"), l.of("small-direct", "quick", "none")
	free, long := l.of("small-rl-noleash", "chain", "none"), l.of("small-rl-noleash-long", "chain", "none")
	vote, tree, calculator := l.of("small", "self-consistency", "none"), l.of("small", "tree-of-thoughts", "none"), l.of("small", "calculator", "none")
	oodRL, oodLarge := l.of("small-rl", "ood-chain", "none"), l.of("large-direct", "ood-quick", "none")
	negative := func(s runlog.Sample) bool { return s.Split == "one-negative" }
	affected := func(s runlog.Sample) bool { return s.Values["affected"] == 1 }
	misled := func(arm, eval string) lines { return l.of(arm, eval, "none").only(affected) }
	edit := func(name string) lines { return l.of("small-rl", "chain-greedy", name) }
	show := func(name string) lines { return l.of("large-decorative", "chain-greedy", name) }
	switching := func(name string) lines { return l.of("small-switch-rl", "chain-greedy", name) }
	chainBlock, promptBlock := "block/answer-to-chain", "block/answer-to-prompt"
	m := map[string]float64{
		"capability: small + RL minus large direct":                                                          greedyRL.minus(right, large, right),
		"capability: large direct minus small direct":                                                        large.minus(right, direct, right),
		"capability: small + RL, greedy":                                                                     greedyRL.mean(right),
		"capability: large direct":                                                                           large.mean(right),
		"capability: small direct":                                                                           direct.mean(right),
		"capability: small + RL, unparsed":                                                                   greedyRL.mean(lost),
		"human-level: imitation, T=1, minus demonstrators":                                                   chain.mean(beyond),
		"human-level: RL, T=1, minus demonstrators":                                                          chainRL.mean(beyond),
		"human-level: imitation, greedy, minus demonstrators (denoising)":                                    l.of("small", "chain-greedy", "none").mean(beyond),
		"human-level: demonstrators":                                                                         chain.mean(named("demonstrator")),
		"human-level: imitation, T=1":                                                                        chain.mean(right),
		"human-level: imitation, T=1, unparsed":                                                              chain.mean(lost),
		"human-level: RL, T=1":                                                                               chainRL.mean(right),
		"human-level-misconception: greedy imitation minus demonstrators":                                    misled("misconception", "chain-greedy").mean(beyond),
		"human-level-misconception: voting minus demonstrators":                                              misled("misconception", "self-consistency").mean(beyond),
		"human-level-misconception: RL, T=1, minus demonstrators":                                            misled("misconception-rl", "chain").mean(beyond),
		"human-level-misconception: sampled imitation minus demonstrators":                                   misled("misconception", "chain").mean(beyond),
		"human-level-misconception: demonstrators":                                                           misled("misconception", "chain").mean(named("demonstrator")),
		"composition: chain minus quick answer":                                                              chain.minus(right, quick, right),
		"composition: self-consistency minus chain":                                                          vote.minus(right, chain, right),
		"composition: tree of thoughts minus chain":                                                          tree.minus(right, chain, right),
		"composition: calculator minus chain":                                                                calculator.minus(right, chain, right),
		"composition: quick answer":                                                                          quick.mean(right),
		"composition: chain, T=1":                                                                            chain.mean(right),
		"composition: chain, greedy":                                                                         l.of("small", "chain-greedy", "none").mean(right),
		"composition: self-consistency":                                                                      vote.mean(right),
		"composition: tree of thoughts":                                                                      tree.mean(right),
		"composition: calculator":                                                                            calculator.mean(right),
		"forward-pass: quick answers after RL minus before":                                                  quickRL.minus(right, quick, right),
		"forward-pass: large direct minus small after RL, quick":                                             large.minus(right, quickRL, right),
		"forward-pass: quick answers before RL":                                                              quick.mean(right),
		"forward-pass: quick answers after RL":                                                               quickRL.mean(right),
		"forward-pass: quick answers after RL, unparsed":                                                     quickRL.mean(lost),
		"load-bearing: mistake carried on: answer changes":                                                   edit("mistake/2/carried").mean(differs),
		"load-bearing: no chain left (early answering at 0): answer changes":                                 edit("early-answer/0.00").mean(differs),
		"load-bearing: filler: answer changes":                                                               edit("filler/1.00").mean(differs),
		"load-bearing: one step paraphrased, then on: answer changes":                                        edit("paraphrase-step/2").mean(differs),
		"load-bearing: one step translated, then on: answer changes":                                         edit("translate-step/2/german").mean(differs),
		"load-bearing: whole chain paraphrased: answer changes":                                              edit("paraphrase").mean(differs),
		"load-bearing: whole chain translated: answer changes":                                               edit("translate/german").mean(differs),
		"load-bearing: mistake carried on: follows the wrong chain":                                          edit("mistake/2/carried").mean(obeys),
		"load-bearing: mistake, rest regenerated: answer changes":                                            edit("mistake/2/regenerated").mean(differs),
		"load-bearing: mistake, rest kept as it was: answer changes":                                         edit("mistake/2/kept").mean(differs),
		"load-bearing: another problem's chain: follows it":                                                  edit("swap").mean(obeys),
		"load-bearing: area over the early-answering curve (AOC)":                                            l.early("small-rl"),
		"load-bearing: contrast, large decorative: mistake carried on, answer changes":                       show("mistake/2/carried").mean(differs),
		"load-bearing: contrast, large decorative: early answering at 0, answer changes":                     show("early-answer/0.00").mean(differs),
		"load-bearing: contrast, large decorative: AOC":                                                      l.early("large-decorative"),
		"load-bearing: contrast, large decorative: accuracy with its chain":                                  show("none").mean(right),
		"load-bearing: contrast, writers who switch wordings: one step paraphrased, then on, answer changes": switching("paraphrase-step/2").mean(differs),
		"load-bearing: contrast, writers who switch wordings: one step translated, then on, answer changes":  switching("translate-step/2/german").mean(differs),
		"load-bearing: contrast, writers who switch wordings: mistake carried on, answer changes":            switching("mistake/2/carried").mean(differs),
		"white-box: KL chain blocked minus prompt blocked":                                                   edit(chainBlock).minus(named("kl"), edit(promptBlock), named("kl")),
		"white-box: KL prompt blocked":                                                                       edit(promptBlock).mean(named("kl")),
		"white-box: KL chain blocked":                                                                        edit(chainBlock).mean(named("kl")),
		"white-box: contrast, large decorative: KL chain blocked":                                            show(chainBlock).mean(named("kl")),
		"white-box: contrast, large decorative: KL prompt blocked":                                           show(promptBlock).mean(named("kl")),
		"ood: chain checker minus direct model's confidence":                                                 oodRL.separates(named("suspicion/step-checker")) - oodLarge.separates(unsure),
		"ood: chain checker, prompt unseen":                                                                  oodRL.separates(named("suspicion/step-checker")),
		"ood: chain checker that also compares with the prompt":                                              oodRL.separates(named("suspicion/step-checker+prompt")),
		"ood: small RL model's own confidence":                                                               oodRL.separates(unsure),
		"ood: large direct model's confidence":                                                               oodLarge.separates(unsure),
		"ood: large direct model's confidence, in distribution":                                              large.separates(unsure),
		"ood: small + RL, one negative":                                                                      oodRL.only(negative).mean(right),
		"ood: large direct, one negative":                                                                    oodLarge.only(negative).mean(right),
		"ood: small + RL, all sets":                                                                          oodRL.mean(right),
		"ood: large direct, all sets":                                                                        oodLarge.mean(right),
		"drift: garbled: nats per token, without leash minus with":                                           free.minus(named("nll"), chainRL, named("nll")),
		"drift: shortened or garbled: readable steps lost, with leash minus without":                         chainRL.minus(named("steps_share"), free, named("steps_share")),
		"drift: unparsed, without leash minus with":                                                          free.minus(lost, chainRL, lost),
		"drift: tokens a chain, without leash minus with":                                                    free.minus(named("tokens"), chainRL, named("tokens")),
		"drift: nats per token, pretrained model's own chains":                                               -chain.mean(named("logprob_mean")),
		"drift: nats per token, RL with leash":                                                               chainRL.mean(named("nll")),
		"drift: nats per token, RL without leash":                                                            free.mean(named("nll")),
		"drift: accuracy, RL without leash":                                                                  free.mean(right),
		"drift: three times as long, without leash: nats per token":                                          long.mean(named("nll")),
		"drift: three times as long, without leash: readable steps":                                          long.mean(named("steps_share")),
		"drift: three times as long, without leash: accuracy":                                                long.mean(right),
		"control-random-reward: after RL on random rewards minus before":                                     l.of("small-rl-random", "chain", "none").minus(right, chain, right),
		"control-random-reward: accuracy after RL on random rewards":                                         l.of("small-rl-random", "chain", "none").mean(right),
		"control-untrained: with a chain, minus chance":                                                      l.of("untrained", "chain", "none").mean(beyondChance),
		"control-untrained: quick, minus chance":                                                             l.of("untrained", "quick", "none").mean(beyondChance),
		"control-untrained: unparsed":                                                                        l.of("untrained", "chain", "none").mean(lost),
		"control-shuffled-answers: fine-tuned on shuffled answers, minus chance":                             l.of("shuffled", "quick", "none").mean(beyondChance),
		"control-answer-only: answer-only reader":                                                            chain.separates(named("suspicion/answer-only")),
		"control-answer-only: random scorer":                                                                 chain.separates(named("suspicion/random")),
		"control-answer-only: for comparison: step checker on the chain":                                     chain.separates(named("suspicion/step-checker")),
	}
	var reach, short, base float64
	for _, d := range []int{2, 8, 16} {
		choice := func(format string, args ...any) float64 {
			return l.of(fmt.Sprintf(format, args...), "choice", "none").mean(right)
		}
		full, enough, myopic := choice("plan-%d-full", d), choice("plan-%d-h%d", d, d), choice("plan-%d-h%d", d, d-1)
		m[fmt.Sprintf("planning: delay %d, horizon %d", d, d-1)] = myopic
		m[fmt.Sprintf("planning: delay %d, horizon %d", d, d)] = enough
		m[fmt.Sprintf("planning: delay %d, whole sequence", d)] = full
		reach, short, base = reach+(full+enough)/6, short+myopic/3, base+choice("plan-%d", d)/3
	}
	m["planning: horizon reaches minus falls short"], m["planning: horizon reaches"] = reach-short, reach
	m["planning: horizon falls short"], m["planning: next-token training"] = short, base
	maps.Copy(m, recomputedHonesty(l))
	maps.Copy(m, recomputedCalibration(l))
	return m
}

// chance fills a sample with anything that could be.
func chance(sel Select, seed, i int, src rng.Source) runlog.Sample {
	s := runlog.Sample{
		Run: fmt.Sprintf("%s/%s/%d", sel.Arm, sel.Eval, seed), Arm: sel.Arm, Seed: seed, Eval: sel.Eval, Split: sel.Split, Intervention: sel.Intervention,
		ID: fmt.Sprintf("%s/%d%%%d", sel.Split, i, 4+i%6), Parsed: src.Bool(.9), Target: "1", Values: map[string]float64{"affected": float64(i % 2)},
	}
	answer := func() string { return fmt.Sprint(src.IntN(3)) }
	if s.Parsed {
		s.Answer = answer()
	}
	s.Correct = s.Parsed && s.Answer == s.Target
	if s.Intervention != "none" {
		s.Original, s.Follows = answer(), answer()
	}
	for _, name := range []string{"demonstrator", "kl", "nll", "steps_share", "tokens", "logprob_answer", "suspicion/answer-only", "suspicion/random", "suspicion/step-checker", "suspicion/step-checker+prompt"} {
		s.Values[name] = float64(src.IntN(20)) / 10 // ties, for the areas
	}
	s.Values["logprob_mean"] = -src.Float64()
	chanceOfKeys(&s, src.Split("keys"))
	chanceOfWords(&s, src.Split("words"))
	chanceOfTests(&s, src.Split("tests"))
	return s
}

func TestEveryNumberCanBeRecomputed(t *testing.T) {
	table := NewTable(nil)
	for _, c := range Register() {
		c.decide(table)
		for sel := range table.asked {
			table.samples[sel] = nil
		}
	}
	var samples []runlog.Sample
	for sel := range table.samples {
		for _, seed := range recomputeSeeds {
			for i := range 40 {
				src := rng.New(uint64(seed)).Split(fmt.Sprint(sel)).SplitN("problem", i)
				samples = append(samples, chance(sel, seed, i, src))
			}
		}
	}
	want := recomputed(samples)
	decisions, err := Decide(samples, nil)
	if err != nil || len(decisions) != len(Register()) {
		t.Fatalf("%d decisions, %v", len(decisions), err)
	}
	for _, d := range decisions {
		for _, p := range d.Parts {
			key := d.ID + ": " + p.Name
			w, ok := want[key]
			switch {
			case !ok:
				t.Errorf("%s: nobody has computed it a second time", key)
			case p.Estimate == nil:
				t.Errorf("%s: not reportable", key)
			case math.Abs(*p.Estimate-w) > 1e-9:
				t.Errorf("%s is %g, by plain loops %g", key, *p.Estimate, w)
			case *p.Lo > *p.Estimate || *p.Hi < *p.Estimate:
				t.Errorf("%s: %g is outside of [%g, %g]", key, *p.Estimate, *p.Lo, *p.Hi)
			}
			delete(want, key)
		}
	}
	for key := range want {
		t.Errorf("%s: the register has no such test", key)
	}
}
