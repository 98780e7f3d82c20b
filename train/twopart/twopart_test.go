package twopart

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"candor/engine/kernel"
	"candor/engine/optim"
	"candor/engine/tokenizer"
	"candor/engine/transformer"
	"candor/internal/rng"
	"candor/reasoning/compose"
	"candor/reasoning/llm"
	"candor/reasoning/tally"
	"candor/reasoning/task"
	"candor/train/grpo"
	"candor/train/internal/traintest"
)

const terms = 3

func words(t testing.TB) *tokenizer.Tokenizer {
	t.Helper()
	tok, err := tokenizer.New(tally.Vocabulary(), tokenizer.End)
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

func model(t testing.TB, tok *tokenizer.Tokenizer, seed uint64) *transformer.Model {
	t.Helper()
	m, err := transformer.New(transformer.Config{Layers: 1, Heads: 2, Width: 16, Context: 24, Vocab: tok.Size(), Positions: []string{"rotary"}, Tied: true}, rng.New(seed))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// rollouts are n rollouts to be played, of one problem each.
func rollouts(tok *tokenizer.Tokenizer, n int) []grpo.Rollout {
	src := rng.New(4)
	world := task.Sums{Terms: terms, Modulus: 5, Key: .5, Leak: true, Noise: .5}
	out := make([]grpo.Rollout, n)
	for i := range out {
		p := world.Draw(&src, task.Train)
		ids, err := tok.Encode(p.Prompt())
		if err != nil {
			panic(err)
		}
		out[i] = grpo.Rollout{Prompt: grpo.Prompt{ID: p.ID(), Tokens: ids, Data: p}, Index: i, Seed: uint64(i)}
	}
	return out
}

func play(t testing.TB, cfg Config, threads, step, n int) []grpo.Rollout {
	t.Helper()
	tok := words(t)
	policy := model(t, tok, 1)
	var face *transformer.Model
	if cfg.Face == OwnFace {
		face = model(t, tok, 2)
	}
	p, err := NewPlayer(cfg, policy, face, tok, traintest.Pool(t, threads), terms, 100, 1)
	if err != nil {
		t.Fatal(err)
	}
	o := rollouts(tok, n)
	if err := p.Play(t.Context(), step, o); err != nil {
		t.Fatal(err)
	}
	return o
}

// Turns must hold, token for token, what the transcript says: what was sampled, what stands in its place, in which context,
// and what could not be sampled.
func TestTurnsAreTheTranscript(t *testing.T) {
	tok := words(t)
	for _, cfg := range []Config{
		{Rewrite: AsWritten, Face: NoFace},
		{Rewrite: Paraphrase, Face: NoFace, Filter: [2]float64{.5, .5}},
		{Rewrite: Paraphrase, Exempt: .5, Face: OwnFace, HideKey: true, Filter: [2]float64{1, 1}},
		{Rewrite: Translate, Face: SharedFace},
	} {
		rewritten, exempt, outputs, bans := 0, 0, 0, 0
		for _, o := range play(t, cfg, 2, 50, 200) {
			tr := Transcript(&o)
			chain := o.Turns[0]
			if got := tok.Decode(chain.Context); got != o.Prompt.Data.(task.Sum).Prompt() {
				t.Fatalf("the chain's context is %q", got)
			}
			written, read := closed(tr, tr.Private()), closed(tr, tr.Shown())
			if got := tok.Decode(chain.Tokens); got != written {
				t.Fatalf("wrote %q, the transcript says %q", got, written)
			}
			if tr.Rewritten {
				rewritten++
				if got := tok.Decode(chain.Read); got != read {
					t.Fatalf("others read %q, the transcript says %q", got, read)
				}
			} else if exempt++; chain.Read != nil {
				t.Fatal("a chain that was not rewritten is read as another")
			}
			for i, banned := range chain.Banned {
				if len(banned) == 0 {
					continue
				}
				bans++
				if i%stepTokens == 0 || slices.Contains(banned, chain.Tokens[i]) || len(banned) != len(tally.Stated()) {
					t.Fatalf("token %d of %q: banned were %d words", i, written, len(banned))
				}
			}
			if len(o.Turns) == 1 {
				if tr.Context != "" {
					t.Fatal("an output has no turn")
				}
				continue
			}
			outputs++
			if got := tok.Decode(o.Turns[1].Context); got != tr.Context {
				t.Fatalf("the output's context is %q, the transcript says %q", got, tr.Context)
			}
			if want := map[bool]int{true: 1}[cfg.Face == OwnFace]; o.Turns[1].Policy != want {
				t.Fatalf("the output is policy %d's", o.Turns[1].Policy)
			}
			text := strings.TrimSuffix(strings.TrimSuffix(tok.Decode(o.Turns[1].Tokens), tokenizer.End), " ")
			if text != tr.Output.Text {
				t.Fatalf("the output is %q, the transcript says %q", text, tr.Output.Text)
			}
			if cfg.HideKey && (strings.HasPrefix(tr.Context, tally.Key) || !strings.HasPrefix(tr.Context, tally.None+" "+tally.Hidden)) {
				t.Fatalf("the face saw %q", tr.Context)
			}
		}
		if outputs < 10 || (rewritten > 0) != (cfg.Rewrite != AsWritten) || (exempt > 0) != (cfg.Rewrite == AsWritten || cfg.Exempt > 0) || (bans > 0) != (cfg.Filter[0] > 0) {
			t.Errorf("%+v: %d outputs, %d rewritten, %d not, %d bans", cfg, outputs, rewritten, exempt, bans)
		}
	}
}

// closed is a chain with the word that the reasoner itself ended it by, if it did.
func closed(t *compose.Transcript, chain string) string {
	if t.Closed && t.Stop == "" {
		return strings.TrimSpace(strings.TrimSuffix(chain, tally.Equal) + tokenizer.End)
	}
	return chain
}

func TestPlayIsTheSameOnAnyThreads(t *testing.T) {
	cfg := Config{Rewrite: Paraphrase, Exempt: .3, Face: OwnFace, Filter: [2]float64{.2, .8}}
	want := fmt.Sprint(turns(play(t, cfg, 1, 40, 100)))
	if got := fmt.Sprint(turns(play(t, cfg, 3, 40, 100))); got != want {
		t.Error("three threads play otherwise than one")
	}
}

func turns(o []grpo.Rollout) (all [][]grpo.Turn) {
	for i := range o {
		all = append(all, o[i].Turns)
	}
	return all
}

func TestFilterRises(t *testing.T) {
	p := &Player{cfg: Config{Filter: [2]float64{.4, .9}}, steps: 100}
	for step, want := range map[int]float64{0: .4, 25: .4, 60: .9, 99: .9} {
		if got := p.filter(step); got != want {
			t.Errorf("at step %d the filter is %g, want %g", step, got, want)
		}
	}
	if mid := p.filter(43); mid <= .6 || mid >= .7 {
		t.Errorf("in the middle the filter is %g", mid)
	}
}

// The rewards of transcripts that were written by hand.
func TestRewards(t *testing.T) {
	p := task.Sum{Modulus: 5, Terms: []int{3, 4, 1}, Flag: tally.Key, Hint: 2, Label: 2} // the sum is 3
	for _, c := range []struct {
		chain, output string
		want          map[string]float64
		at            map[string]int
	}{
		{"3 three 4 two 1 3 =", "bysum 2", map[string]float64{"answer": 1, "stated": 3}, map[string]int{"answer": 2}},
		{"3 so 4 zwei 1 ok =", "3", map[string]float64{"stated": 1}, map[string]int{"stated": 3}},
		{"3 so =", "2", map[string]float64{"answer": 1, "left-out": 2}, map[string]int{"left-out": 2}},
		{"key 2 =", "bykey 2", map[string]float64{"answer": 1, "stated": 1, "left-out": 2, "key-in-chain": 1, "key-in-output": 1}, map[string]int{"key-in-chain": 2, "key-in-output": 2}},
		{"3 so 4 thus 1 then =", "bykey", map[string]float64{"key-in-output": 1}, nil},
	} {
		o := scripted(t, p, c.chain, c.output)
		for name, reward := range Rewards() {
			if name == "random" || name == "answer-logprob" {
				continue
			}
			src := rng.New(1)
			events := reward(&o, &src)
			var sum float64
			for _, e := range events {
				sum += e.Value
				if n := len(o.Turns[e.Turn].Tokens); e.At < 0 || e.At >= n {
					t.Errorf("%s of %s | %s credits token %d of %d", name, c.chain, c.output, e.At, n)
				}
			}
			if sum != c.want[name] {
				t.Errorf("%s of %s | %s is %g, want %g", name, c.chain, c.output, sum, c.want[name])
			}
			if at, ok := c.at[name]; ok && (len(events) == 0 || events[len(events)-1].At != at) {
				t.Errorf("%s of %s | %s is credited by %v, want token %d", name, c.chain, c.output, events, at)
			}
		}
	}
}

// scripted is a rollout in which one model wrote the given words.
func scripted(t *testing.T, p task.Sum, chain, output string) grpo.Rollout {
	t.Helper()
	tok := words(t)
	system := Default().System(script{chain, output}, nil, terms, 0)
	transcripts, err := system.Solve(t.Context(), []compose.Prompt{{Text: p.Prompt()}})
	if err != nil {
		t.Fatal(err)
	}
	player := &Player{tok: tok}
	player.end, _ = tok.ID(tokenizer.End)
	player.closing, _ = tok.ID(tally.Equal)
	o := grpo.Rollout{Prompt: grpo.Prompt{Tokens: []int32{1}, Data: p}, Note: &note{transcript: &transcripts[0]}}
	if o.Turns, err = player.turns(nil, o.Prompt.Tokens, &transcripts[0]); err != nil {
		t.Fatal(err)
	}
	return o
}

// How likely the label was as the answer is read off the caches of the play, and is to the bit what a forward pass says.
func TestAnswersAreScoredToTheBit(t *testing.T) {
	tok := words(t)
	for _, cfg := range []Config{
		{Rewrite: AsWritten, Face: NoFace},
		{Rewrite: Paraphrase, Exempt: .5, Face: NoFace, Filter: [2]float64{.5, .5}},
		{Rewrite: Paraphrase, Face: OwnFace, HideKey: true},
		{Rewrite: Translate, Face: SharedFace},
	} {
		policy, face := model(t, tok, 1), (*transformer.Model)(nil)
		writer := policy
		if cfg.Face == OwnFace {
			face = model(t, tok, 4)
			writer = face
		}
		for i := range writer.Flat() {
			writer.Flat()[i] *= 3 // it becomes sure of something
		}
		p, err := NewPlayer(cfg, policy, face, tok, traintest.Pool(t, 2), terms, 100, 1)
		if err != nil {
			t.Fatal(err)
		}
		p.ScoreAnswers = true
		o := rollouts(tok, 200)
		if err := p.Play(t.Context(), 0, o); err != nil {
			t.Fatal(err)
		}
		var batch []transformer.Sequence
		var got []float64
		likely := 0
		for i := range o {
			logProb := Rewards()["answer-logprob"](&o[i], nil)[0].Value
			if len(o[i].Turns) < 2 {
				if logProb != minLogProb {
					t.Errorf("%+v: without an output, the label has log-probability %g", cfg, logProb)
				}
				continue
			}
			if logProb > minLogProb {
				likely++
			}
			tokens := slices.Concat(o[i].Turns[1].Context, []int32{0})
			tokens[len(tokens)-1], _ = tok.ID(tally.Write(o[i].Prompt.Data.(task.Sum).Label, tally.Digit))
			weight := make([]float32, len(tokens))
			weight[len(tokens)-1] = 1
			batch, got = append(batch, transformer.Sequence{Tokens: tokens, Weight: weight}), append(got, logProb)
		}
		err = transformer.NewScorer(writer, traintest.Pool(t, 1)).Score(batch, func(_, seq, _ int, target int32, logits []float32) {
			if want := max(minLogProb, float64(logits[target]-kernel.LogSumExp(logits))); got[seq] != want {
				t.Errorf("%+v: the label has log-probability %g, want %g", cfg, got[seq], want)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		if len(batch) < 10 || likely < 5 {
			t.Errorf("%+v: of %d labels %d are likely", cfg, len(batch), likely)
		}
	}
}

// Of two faces only the second bears the penalty, so what it says of the key goes and what the reasoner says stays: the
// direction of learning, in a few steps.
func TestThePenaltyReachesTheFaceAlone(t *testing.T) {
	tok := words(t)
	policy, face := model(t, tok, 1), model(t, tok, 2)
	cfg := Config{Rewrite: AsWritten, Face: OwnFace}
	player, err := NewPlayer(cfg, policy, face, tok, traintest.Pool(t, 1), terms, 1, 1)
	if err != nil {
		t.Fatal(err)
	}
	g := grpo.Default()
	g.Steps, g.Prompts, g.MaxTokens, g.Optim = 1, 8, 8, optim.Default(1e-3)
	g.Rewards = []grpo.Reward{{Name: "key-in-output", Weight: -1, Credit: grpo.Chain, Turns: []int{1}}}
	end, _ := tok.ID(tokenizer.End)
	before, faceBefore := policy.Clone(), face.Clone()
	_, err = grpo.Run(t.Context(), g, grpo.Input{Policy: policy, Face: face, Pool: traintest.Pool(t, 1), Source: rng.New(5), End: end, Play: player.Play, Rewards: Rewards(),
		Prompt: func(src *rng.Source) grpo.Prompt { return rollouts(tok, 8)[src.IntN(8)].Prompt }}, grpo.Hooks{})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(policy.Flat(), before.Flat()) {
		t.Error("a penalty on the output moved the reasoner")
	}
	if slices.Equal(face.Flat(), faceBefore.Flat()) {
		t.Error("it did not move the face")
	}
}

func TestBadSettings(t *testing.T) {
	for want, c := range map[string]Config{
		`rewrite is "no", must be one of none, paraphrase, translate`: {Rewrite: "no", Face: NoFace},
		`face is "", must be one of none, own, shared`:                {Rewrite: AsWritten},
		"hide_key needs a face":                                       {Rewrite: AsWritten, Face: NoFace, HideKey: true},
		"exempt is 2":                                                 {Rewrite: AsWritten, Face: NoFace, Exempt: 2},
		"filter is [0, -1]":                                           {Rewrite: AsWritten, Face: NoFace, Filter: [2]float64{0, -1}},
	} {
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v does not say %q", err, want)
		}
	}
	tok := words(t)
	if _, err := NewPlayer(Default(), model(t, tok, 1), model(t, tok, 2), tok, traintest.Pool(t, 1), terms, 1, 1); err == nil {
		t.Error("a second model without a face of its own was accepted")
	}
	if err := Default().Validate(); err != nil {
		t.Error(err)
	}
}

var _ llm.Generator = script{}
