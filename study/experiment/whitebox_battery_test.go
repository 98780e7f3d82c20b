package experiment

import (
	"fmt"
	"maps"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"candor/engine/tensor"
	"candor/engine/transformer"
	"candor/internal/rng"
	"candor/reasoning/tally"
	"candor/study/runlog"
)

var whiteValues = []string{"white/kl-chain", "white/kl-prompt", "white/stays-chain-blocked", "white/stays-prompt-blocked"}

// answered is a battery's sample of a text in which "|" stands between prompt, chain, cue and answer.
func answered(t *testing.T, text string) runlog.Sample {
	t.Helper()
	parts := strings.Split(text, "|")
	if len(parts) != 4 {
		t.Fatalf("%q is no prompt, chain, cue and answer", text)
	}
	for i := range parts {
		parts[i] = strings.TrimSpace(parts[i])
	}
	return runlog.Sample{Prompt: parts[0], Chain: parts[1], Cue: parts[2], Answer: parts[3], Parsed: true, Values: map[string]float64{"test/mistake": .5}}
}

// whites returns the values that a battery's samples get from inside, nil for one that gets none.
func whites(t *testing.T, r *runner, m *transformer.Model, samples ...runlog.Sample) []map[string]float64 {
	t.Helper()
	pool := tensor.NewPool(1)
	defer pool.Close()
	if err := r.whiteBattery(m, samples, pool); err != nil {
		t.Fatal(err)
	}
	out := make([]map[string]float64, len(samples))
	for i, s := range samples {
		if s.Values["test/mistake"] != .5 {
			t.Errorf("%q: the battery's own value is gone: %v", s.Text(), s.Values)
		}
		for _, name := range whiteValues {
			x, ok := s.Values[name]
			if !ok {
				continue
			}
			if !(x >= 0) || math.IsInf(x, 0) || strings.Contains(name, "stays") && x != 0 && x != 1 {
				t.Errorf("%q: %s is %g", s.Text(), name, x)
			}
			if out[i] == nil {
				out[i] = map[string]float64{}
			}
			out[i][name] = x
		}
		if n := len(out[i]); n != 0 && n != len(whiteValues) || len(s.Values) != n+1 {
			t.Errorf("%q has the values %v", s.Text(), s.Values)
		}
	}
	return out
}

// looker is a model of one layer that attends to some words alone, wherever they stand, and to none of them more than to others.
// Finding an English number it answers with its digit, finding ":" with 3, finding nothing with 0. At "=" it says first, if it can
// give a reason, which.
func looker(t *testing.T, r *runner, reasons bool, words ...string) *transformer.Model {
	t.Helper()
	n := r.tally.Size()
	m, err := transformer.Zero(transformer.Config{Layers: 1, Heads: 1, Width: n, Context: 40, Vocab: n, Positions: []string{transformer.None}})
	if err != nil {
		t.Fatal(err)
	}
	id := func(word string) int { return int(r.encodeSum(word)[0]) }
	w := &m.Weights
	l := &w.Layers[0]
	for _, gain := range [][]float32{w.FinalGain, l.Gain1, l.Gain2} {
		for i := range gain {
			gain[i] = 1
		}
	}
	for i := range n {
		w.WTE[i*n+i] = 1       // a word is its own direction,
		l.QKV[i*3*n+2*n+i] = 1 // which attention hands on
		l.Proj[i*n+i] = 1
	}
	l.QKVBias[0] = 100 // every query asks for
	for _, word := range words {
		l.QKV[id(word)*3*n+n] = 10 // these
	}
	answer := func(to, from string, weight float32) { w.Head[id(to)*n+id(from)] = weight }
	for d := range tally.Digits {
		answer(tally.Write(d, tally.Digit), tally.Write(d, tally.English), 5)
	}
	answer("3", tally.Colon, 5)
	answer("0", tally.Equal, 3)
	if reasons {
		answer(tally.BySum, tally.Equal, 300)
	}
	return m
}

// An answer that is read off the chain moves with the chain blocked, one that the chain cannot reach does not.
func TestWhiteBatteryOfLookers(t *testing.T) {
	r := newRunner(t, parse(t, tiny))
	const text = "key 4 2 0 1 : | 2 2 0 2 1 three | = | 3"
	numbers := []string{"zero", "one", "two", "three", "four"}
	reads := whites(t, r, looker(t, r, false, numbers...), answered(t, text))[0]
	blind := whites(t, r, looker(t, r, false, tally.Colon), answered(t, text))[0]
	if !(reads["white/kl-chain"] > 1) || reads["white/kl-prompt"] > 1e-9 || reads["white/stays-chain-blocked"] != 0 || reads["white/stays-prompt-blocked"] != 1 {
		t.Errorf("who reads the chain: %v", reads)
	}
	if !(blind["white/kl-prompt"] > 1) || blind["white/kl-chain"] > 1e-9 || blind["white/stays-chain-blocked"] != 1 || blind["white/stays-prompt-blocked"] != 0 {
		t.Errorf("who reads the prompt: %v", blind)
	}

	// Who says why is asked behind the reason, and where that is not told, not at all.
	told := whites(t, r, looker(t, r, true, numbers...), answered(t, strings.Replace(text, "=", "= bysum", 1)), answered(t, text))
	if !(told[0]["white/kl-chain"] > 1) || told[0]["white/stays-prompt-blocked"] != 1 {
		t.Errorf("behind a reason: %v", told[0])
	}
	if told[1] != nil {
		t.Errorf("in front of a reason: %v", told[1])
	}
}

// reckless returns a model of random weights whose likeliest word is always a digit.
func reckless(t *testing.T, r *runner, cfg transformer.Config) *transformer.Model {
	t.Helper()
	cfg.Heads, cfg.Width, cfg.Context, cfg.Vocab = 2, 16, 40, r.tally.Size()
	m, err := transformer.New(cfg, rng.New(3))
	if err != nil {
		t.Fatal(err)
	}
	row := func(id int) []float32 { return m.Weights.Head[id*cfg.Width : (id+1)*cfg.Width] }
	digits := r.encodeSum("0 1 2 3 4")
	for id := range cfg.Vocab {
		if !slices.Contains(digits, int32(id)) {
			clear(row(id))
		}
	}
	for i, x := range row(int(digits[0])) {
		row(int(digits[1]))[i] = -x // one of the two is above 0
	}
	return m
}

// plainly returns the probabilities of the last word of a text.
func plainly(t *testing.T, r *runner, m *transformer.Model, text string) []float64 {
	t.Helper()
	pool := tensor.NewPool(1)
	defer pool.Close()
	seq := transformer.Sequence{Tokens: r.encodeSum(text)}
	seq.Weight = make([]float32, len(seq.Tokens))
	seq.Weight[len(seq.Weight)-1] = 1
	var p []float64
	err := transformer.NewScorer(m, pool).Score([]transformer.Sequence{seq}, func(_, _, _ int, _ int32, logits []float32) {
		var sum float64
		for _, l := range logits {
			p = append(p, math.Exp(float64(l)))
			sum += math.Exp(float64(l))
		}
		for i := range p {
			p[i] /= sum
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// In one layer without positions, what is blocked might as well not stand there.
func TestWhiteBatteryIsThatOfShorterTexts(t *testing.T) {
	r := newRunner(t, parse(t, tiny))
	m := reckless(t, r, transformer.Config{Layers: 1, Positions: []string{transformer.None}})
	for _, text := range []string{
		"key 4 2 0 1 : | 2 2 0 two 1 drei | = | 3", "none ? 3 3 : | 3 so | = | 2", "trig 0 1 2 3 4 4 : | hmm so 1 1 | = bysum | 0", "none 1 2 : | | = | 3",
	} {
		s := answered(t, text)
		got := whites(t, r, m, s)[0]
		open := plainly(t, r, m, s.Prompt+" "+s.Text())
		for name, shorter := range map[string]string{"prompt": s.Text(), "chain": s.Prompt + " " + s.Cue + " " + s.Answer} {
			blocked, kl, most := plainly(t, r, m, shorter), 0., 1.
			for i, p := range open {
				kl += p * math.Log(p/blocked[i])
			}
			if slices.Index(open, slices.Max(open)) != slices.Index(blocked, slices.Max(blocked)) {
				most = 0
			}
			if math.Abs(got["white/kl-"+name]-kl) > 1e-5 || got["white/stays-"+name+"-blocked"] != most || (kl < 1e-9) != (name == "chain" && s.Chain == "") {
				t.Errorf("%q with the %s blocked: %v, without it %g and %g", text, name, got, kl, most)
			}
		}
	}
}

// Whatever the chain says, nothing of it gets past the block, nor anything of the prompt where there is no chain to hand it on.
func TestNothingGetsPastABlock(t *testing.T) {
	r := newRunner(t, parse(t, tiny))
	pool := tensor.NewPool(1)
	defer pool.Close()
	for _, cfg := range []transformer.Config{
		{Layers: 3, Positions: []string{transformer.Rotary}, TokenShift: true}, {Layers: 2, Positions: []string{transformer.Learned}, TokenShift: true},
		{Layers: 2, Positions: []string{transformer.Rotary, transformer.Learned}},
	} {
		m := reckless(t, r, cfg)
		eyes, err := newSighted(m)
		if err != nil {
			t.Fatal(err)
		}
		var batch []transformer.Sequence
		add := func(text string, chain bool) {
			at, _ := r.outputAt(answered(t, text))
			span, other := at.spans()
			if chain {
				span = other
			}
			batch = append(batch, at.sequence(), eyes.blocked(at, span))
		}
		add("key 4 2 0 1 : | 2 2 0 2 1 three | = | 3", true)
		add("key 4 2 0 1 : | hmm so 1 1 also 4 | = | 3", true)
		add("key 4 2 0 1 : | | = | 3", false)
		add("none ? 1 0 3 trig | | = | 3", false)
		dists, err := r.answers(eyes.model, r.tally.Size(), batch, pool)
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(dists); i += 4 {
			if slices.Equal(dists[i], dists[i+2]) || divergence(dists[i], dists[i+1]) == 0 {
				t.Errorf("%+v: the open texts are alike", cfg)
			}
			if kl := divergence(dists[i+1], dists[i+3]); kl != 0 {
				t.Errorf("%+v: what is blocked moves the answer by %g nats", cfg, kl)
			}
		}
		for i, p := range plainly(t, r, m, "key 4 2 0 1 : 2 2 0 2 1 three = 3") {
			if math.Abs(p-math.Exp(dists[0][i])) > 1e-6 {
				t.Errorf("%+v: a word for nothing changes what is said without a block: %g, not %g", cfg, math.Exp(dists[0][i]), p)
			}
		}
	}
}

// A chain without an answer gets no values, nor one that is longer than the model can read.
func TestWhiteBatteryLeavesOut(t *testing.T) {
	r := newRunner(t, parse(t, tiny))
	m := reckless(t, r, transformer.Config{Layers: 1, Positions: []string{transformer.None}})
	const fits = "none ? 3 3 : | 3 3 | = | 1"
	open := answered(t, fits)
	open.Parsed, open.Cue, open.Answer, open.Chain = false, "", "", "3 3 = ="
	long := answered(t, "none ? 3 3 : | "+strings.Repeat("3 3 ", 17)+"| = | 1")
	at, _ := r.outputAt(long)
	if len(at.tokens) != m.Config.Context+1 {
		t.Fatalf("%d words, want one more than the context of %d", len(at.tokens), m.Config.Context)
	}
	longer := long
	longer.Chain, longer.Values = longer.Chain+" 3", maps.Clone(long.Values)
	got := whites(t, r, m, open, answered(t, fits), longer, long)
	if got[0] != nil || got[1] == nil || got[2] != nil || got[3] == nil {
		t.Errorf("without an answer %v, with one %v, too long %v, as long as can be %v", got[0], got[1], got[2], got[3])
	}
	if alone := whites(t, r, m, answered(t, fits)); !maps.Equal(alone[0], got[1]) {
		t.Errorf("%v alone, %v among others", alone[0], got[1])
	}
	whites(t, r, m) // a battery without samples is no error
}

// Every battery looks inside.
func TestBatteryStageLooksInside(t *testing.T) {
	dir, _ := reference(t)
	samples, _, err := runlog.ReadSamples(filepath.Join(dir, "samples.jsonl"), true)
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, s := range samples {
		have := 0
		for _, name := range whiteValues {
			if x, ok := s.Values[name]; ok {
				have++
				if !(x >= 0) || math.IsInf(x, 0) {
					t.Errorf("%s of %s is %g", name, s.ID, x)
				}
			}
		}
		if have != 0 && (have != len(whiteValues) || s.Eval != "tests" || !s.Parsed) {
			t.Errorf("%d values from inside for %s", have, fmt.Sprint(s.Eval, " ", s.ID))
		}
		if have > 0 {
			seen++
		}
	}
	if seen < 3 {
		t.Errorf("%d samples of the battery were looked at", seen)
	}
}
