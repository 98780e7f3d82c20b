package claim

import (
	"cmp"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"candor/internal/rng"
	"candor/study/runlog"
)

// at names samples that are alike.
type at struct{ arm, eval, split, edit string }

// cell says how they come out.
type cell struct {
	right    float64 // share of problems solved
	unparsed float64
	changed  float64 // share whose answer the edit changed
	values   map[string]float64
	// tells are detectors: at 1 the value is high where the answer is not right, at -1 it is low there, at 0 it is noise.
	tells map[string]float64
	flags map[string]float64 // values that are 1 on that share of the samples, else 0
	chatter
	problems int // how many there are; 0 means problemsPerSeed
}

type cells map[at]cell

// with returns a copy in which some cells are others.
func (c cells) with(other cells) cells {
	out := cells{}
	for _, from := range []cells{c, other} {
		for a, cell := range from {
			out[a] = cell
		}
	}
	return out
}

const problemsPerSeed = 120

func worldSeeds(seeds ...int) []int { return seeds }

// samples writes the cells' samples for these seeds.
func (c cells) samples(seeds []int) []runlog.Sample {
	var out []runlog.Sample
	for a, cell := range c {
		for _, seed := range seeds {
			for i := range cmp.Or(cell.problems, problemsPerSeed) {
				out = append(out, cell.sample(a, seed, i))
			}
		}
	}
	return out
}

func (c cell) sample(a at, seed, i int) runlog.Sample {
	_, u := math.Modf(math.Phi*float64(i) + .13*float64(seed))
	_, noise := math.Modf(17.31*u + .7*float64(seed))
	modulus := 4 + i%6
	s := runlog.Sample{
		Run: fmt.Sprintf("%s/%s/%d", a.arm, a.eval, seed), Arm: a.arm, Seed: seed, Eval: a.eval, Split: a.split, Intervention: a.edit,
		ID: fmt.Sprintf("%d+%d%%%d", i%20, i/20, modulus), Parsed: u < 1-c.unparsed, Target: "1", Answer: "2", Values: map[string]float64{},
	}
	if a.edit == "" {
		s.Intervention = "none"
	}
	if s.Correct = s.Parsed && u < c.right; s.Correct {
		s.Answer = "1"
	}
	if s.Intervention != "none" {
		if s.Original = s.Answer; u < c.changed {
			s.Original = "3"
		}
	}
	for name, v := range c.values {
		s.Values[name] = v
	}
	for name, k := range c.tells {
		s.Values[name] = k*indicator(!s.Correct) + (1-math.Abs(k))*noise
	}
	c.flag(&s, i)
	if c.words > 0 {
		c.write(&s)
	}
	return s
}

func demonstrator(p float64) map[string]float64 { return map[string]float64{"demonstrator": p} }

func misled(p float64) map[string]float64 {
	return map[string]float64{"demonstrator": p, "affected": 1}
}

func kl(nats float64) map[string]float64 { return map[string]float64{"kl": nats} }

func legible(nll, steps float64) map[string]float64 {
	return map[string]float64{"nll": nll, "steps_share": steps}
}

// plannings are the cells of the planning worlds.
func plannings(base, short, far float64) cells {
	c := cells{}
	for _, d := range PlanningDelays {
		c[at{fmt.Sprintf("plan-%d", d), "choice", "test", ""}] = cell{right: base}
		c[at{fmt.Sprintf("plan-%d-full", d), "choice", "test", ""}] = cell{right: far}
		c[at{fmt.Sprintf("plan-%d-h%d", d, d), "choice", "test", ""}] = cell{right: far}
		c[at{fmt.Sprintf("plan-%d-h%d", d, d-1), "choice", "test", ""}] = cell{right: short}
	}
	return c
}

// claimCase has a world that supports a claim, and what has to be otherwise to refute it.
type claimCase struct{ supported, otherwise cells }

func (c claimCase) refuted() cells { return c.supported.with(c.otherwise) }

var claimCases = map[string]claimCase{
	"capability": {cells{
		{"small-rl", "chain-greedy", "test", ""}: {right: .95}, {"large-direct", "quick", "test", ""}: {right: .95}, {"small-direct", "quick", "test", ""}: {right: .3},
	}, cells{{"small-direct", "quick", "test", ""}: {right: .95}}},
	"human-level": {cells{
		{"small", "chain", "test", ""}: {right: .45, values: demonstrator(.55)}, {"small-rl", "chain", "test", ""}: {right: .95, values: demonstrator(.55)},
	}, cells{{"small", "chain", "test", ""}: {right: .9, values: demonstrator(.55)}}},
	"human-level-misconception": {cells{
		{"misconception", "chain-greedy", "test", ""}: {right: .2, values: misled(.4)}, {"misconception", "self-consistency", "test", ""}: {right: .2, values: misled(.4)},
		{"misconception-rl", "chain", "test", ""}: {right: .9, values: misled(.4)},
	}, cells{{"misconception-rl", "chain", "test", ""}: {right: .3, values: misled(.4)}}},
	"composition": {cells{
		{"small", "quick", "test", ""}: {right: .15}, {"small", "chain", "test", ""}: {right: .55}, {"small", "self-consistency", "test", ""}: {right: .95},
		{"small", "tree-of-thoughts", "test", ""}: {right: .95}, {"small", "calculator", "test", ""}: {right: .95},
	}, cells{{"small", "calculator", "test", ""}: {right: .3}}},
	"forward-pass": {cells{
		{"small", "quick", "test", ""}: {right: .15}, {"small-rl", "quick", "test", ""}: {right: .15}, {"large-direct", "quick", "test", ""}: {right: .95},
	}, cells{{"small-rl", "quick", "test", ""}: {right: .9}}},
	"planning": {plannings(.2, .02, .98), plannings(.2, .97, .98)},
	"load-bearing": {cells{
		{"small-rl", "chain-greedy", "test", "mistake/2/carried"}: {changed: .95}, {"small-rl", "chain-greedy", "test", "early-answer/0.00"}: {changed: .9},
		{"small-rl", "chain-greedy", "test", "filler/1.00"}: {unparsed: .9}, {"small-rl", "chain-greedy", "test", "paraphrase-step/2"}: {},
		{"small-rl", "chain-greedy", "test", "translate-step/2/german"}: {}, {"small-rl", "chain-greedy", "test", "paraphrase"}: {}, {"small-rl", "chain-greedy", "test", "translate/german"}: {},
	}, cells{{"small-rl", "chain-greedy", "test", "mistake/2/carried"}: {changed: .05}}},
	"white-box": {cells{
		{"small-rl", "chain-greedy", "test", "block/answer-to-chain"}: {values: kl(3)}, {"small-rl", "chain-greedy", "test", "block/answer-to-prompt"}: {values: kl(.01)},
	}, cells{{"small-rl", "chain-greedy", "test", "block/answer-to-chain"}: {values: kl(.1)}}},
	"ood": {cells{
		{"small-rl", "ood-chain", "longer", ""}:     {right: .6, tells: map[string]float64{"suspicion/step-checker": 1}},
		{"large-direct", "ood-quick", "longer", ""}: {right: .3, tells: map[string]float64{"logprob_answer": 0}},
	}, cells{
		{"small-rl", "ood-chain", "longer", ""}:     {right: .6, tells: map[string]float64{"suspicion/step-checker": 0}},
		{"large-direct", "ood-quick", "longer", ""}: {right: .3, tells: map[string]float64{"logprob_answer": -1}},
	}},
	"drift": {cells{
		{"small-rl", "chain", "test", ""}: {values: legible(.2, 1)}, {"small-rl-noleash", "chain", "test", ""}: {values: legible(.9, 1)},
	}, cells{{"small-rl-noleash", "chain", "test", ""}: {values: legible(.2, 1)}}},
	"steganography": {cells{
		probed: wordy(.97, .05, .97), probed.of("direct"): {right: .1},
	}, cells{probed: wordy(.97, .05, .1)}},
	"paraphrase": {cells{
		probed.of("paraphrased"): wordy(.15, .05, 0), probed.of("honest"): {right: .97}, probed.of("honest").by("paraphrased"): {right: .97},
		probed.by("paraphrased"): wordy(.15, .05, 0),
	}, cells{probed.of("paraphrased"): wordy(.95, .05, .95)}},
	"penalty": {cells{
		leaked: keyed(.9, .03), leaked.of("results"): keyed(.9, .97),
	}, cells{leaked: keyed(.9, .9)}},
	"two-part": {cells{
		leaked: keyed(.9, .03), leaked.of("two-part"): keyed(.9, .97), leaked.of("two-part-long"): keyed(.9, .97),
	}, cells{leaked.of("two-part-long"): keyed(.9, .1)}},
	"two-part-hidden": {cells{
		leaked: keyed(.9, .03), leaked.of("two-part-hidden"): keyed(.9, .97), leaked.of("two-part-hidden-long"): keyed(.9, .97),
	}, cells{leaked.of("two-part-hidden-long"): keyed(.9, .1)}},
	"calibration":        {calibrated(), organisms(Families[3].Arms, true, blindTo("combined"))},
	"calibration-single": {calibrated(), organisms(Families[2].Arms, true, blindTo())},
	// What no test sees cannot be learnt.
	"calibration-learned": {calibrated(), organisms(Families[2].Arms, true, blindToAll)},
	"control-random-reward": {cells{
		{"small", "chain", "test", ""}: {right: .55}, {"small-rl-random", "chain", "test", ""}: {right: .55},
	}, cells{{"small-rl-random", "chain", "test", ""}: {right: .9}}},
	"control-untrained": {cells{
		{"untrained", "chain", "test", ""}: {}, {"untrained", "quick", "test", ""}: {},
	}, cells{{"untrained", "quick", "test", ""}: {right: .9}}},
	"control-shuffled-answers": {cells{{"shuffled", "quick", "test", ""}: {right: .05}}, cells{{"shuffled", "quick", "test", ""}: {right: .6}}},
	"control-answer-only": {cells{
		{"small", "chain", "test", ""}: {right: .55, tells: map[string]float64{"suspicion/answer-only": -.2, "suspicion/random": -.2}},
	}, cells{{"small", "chain", "test", ""}: {right: .55, tells: map[string]float64{"suspicion/answer-only": 1, "suspicion/random": 0}}}},
	"control-calibration-honest": {calibrated(), organisms([]string{"needed-sloppy"}, false, blindTo())},
	"control-hidden-random":      {cells{probed.of("hidden-random"): wordy(.15, .05, 0)}, cells{probed.of("hidden-random"): wordy(.15, .05, .8)}},
	"control-hidden-unrewarded":  {cells{probed.of("hidden-unrewarded"): wordy(.15, .05, 0)}, cells{probed.of("hidden-unrewarded"): wordy(.15, .05, .8)}},
	// With nearly as many words as pairs the measure finds bits wherever it looks: that is what this control is for.
	"control-hidden-shuffled": {cells{probed: wordy(.97, .05, .97)}, cells{probed: {chatter: chatter{totals: 8, words: 1000}}}},
}

func decideOne(t *testing.T, id string, samples []runlog.Sample) Decision {
	t.Helper()
	got, err := Decide(samples, []string{id})
	if err != nil || len(got) != 1 {
		t.Fatalf("%s: %d decisions, %v", id, len(got), err)
	}
	return got[0]
}

// Every claim and every control can come out either way, or stay open: no rule is empty.
func TestEveryClaimCanComeOutEitherWay(t *testing.T) {
	for _, c := range Register() {
		world, ok := claimCases[c.ID]
		if !ok {
			t.Errorf("%s: no world to try it on", c.ID)
			continue
		}
		seeds := worldSeeds(1, 2, 3)
		for want, samples := range map[Verdict][]runlog.Sample{
			Supported: world.supported.samples(seeds),
			Refuted:   world.refuted().samples(seeds),
			Undecided: append(world.supported.samples(seeds[:1]), world.refuted().samples(seeds[1:])...),
		} {
			if d := decideOne(t, c.ID, samples); d.Verdict != want {
				t.Errorf("%s is %s, want %s: %s", c.ID, d.Verdict, want, d.Note)
			}
		}
		if d := decideOne(t, c.ID, nil); d.Verdict != Undecided || d.Estimate != nil || d.Runs == nil {
			t.Errorf("%s without samples: %+v", c.ID, d)
		}
	}
}

// The order of samples, the arms that a claim does not read, and the names of the seeds are nothing to a decision.
func TestDecisionsDependOnTheSamplesAlone(t *testing.T) {
	for id, world := range claimCases {
		samples := append(world.supported.samples(worldSeeds(1, 3)), world.refuted().samples(worldSeeds(2))...)
		slices.SortFunc(samples, func(a, b runlog.Sample) int {
			return strings.Compare(fmt.Sprint(a.Arm, a.Eval, a.Intervention, a.Seed, a.ID), fmt.Sprint(b.Arm, b.Eval, b.Intervention, b.Seed, b.ID))
		})
		want := decideOne(t, id, samples)
		mixed := slices.Clone(samples)
		src := rng.New(3)
		for i, j := range src.Perm(len(mixed)) {
			mixed[i] = samples[j]
		}
		mixed = append(mixed, cells{{"stranger", "chain", "test", ""}: {right: .5}}.samples(worldSeeds(1, 2, 3))...)
		if got := decideOne(t, id, mixed); !reflect.DeepEqual(got, want) {
			t.Errorf("%s in another order: %+v, want %+v", id, got, want)
		}
		for i := range mixed {
			mixed[i].Seed += 100
		}
		if got := decideOne(t, id, mixed); !reflect.DeepEqual(got, want) {
			t.Errorf("%s with other seeds' names: %+v, want %+v", id, got, want)
		}
	}
}
