package decode

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"candor/engine/kernel"
	"candor/engine/transformer"
	"candor/reasoning/llm"
)

// Whatever else is asked for: what is banned is not sampled from BanFrom on, log-probabilities are those of the whole
// distribution, and neither depends on the requests beside it, not even on those that have the same prompt and other bans.
func TestBansHold(t *testing.T) {
	m, pool := newModel(t, configs["rotary"]), newPool(t, 1)
	s, scorer := NewSampler(m, pool), transformer.NewScorer(m, pool)
	rapid.Check(t, func(t *rapid.T) {
		requests := make([]Request, rapid.IntRange(1, 6).Draw(t, "requests"))
		for i := range requests {
			requests[i] = Request{
				Prompt:      rapid.SampledFrom([][]int32{{1}, {2, 3}}).Draw(t, "prompt"),
				MaxTokens:   rapid.IntRange(1, 8).Draw(t, "tokens"),
				Temperature: rapid.SampledFrom([]float64{0, .01, 1, 100}).Draw(t, "temperature"),
				TopK:        rapid.SampledFrom([]int{0, 1, 5, vocab}).Draw(t, "top k"),
				TopP:        rapid.SampledFrom([]float64{0, .3, .99, 1}).Draw(t, "top p"),
				Ban:         rapid.SliceOfNDistinct(rapid.Int32Range(0, vocab-1), 0, vocab-1, rapid.ID[int32]).Draw(t, "ban"),
				BanFrom:     rapid.IntRange(0, 9).Draw(t, "from"),
				Seed:        uint64(i),
			}
		}
		results, err := s.Sample(t.Context(), requests)
		if err != nil {
			t.Fatal(err)
		}
		batch := make([]transformer.Sequence, len(requests))
		for i, r := range requests {
			batch[i].Tokens = slices.Concat(r.Prompt, results[i].Tokens)
			batch[i].Weight = append(make([]float32, len(r.Prompt)), slices.Repeat([]float32{1}, len(results[i].Tokens))...)
			for at, token := range results[i].Tokens {
				if at >= r.BanFrom && slices.Contains(r.Ban, token) {
					t.Fatalf("request %d wrote the banned token %d at %d: %v", i, token, at, results[i].Tokens)
				}
			}
			alone, err := s.Sample(t.Context(), requests[i:i+1])
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(alone[0], results[i]); d != "" {
				t.Fatalf("request %d alone (-) and in company (+):\n%s", i, d)
			}
		}
		err = scorer.Score(batch, func(_, seq, pos int, target int32, logits []float32) {
			if want := logits[target] - kernel.LogSumExp(logits); results[seq].LogProbs[pos-len(requests[seq].Prompt)] != want {
				t.Errorf("request %d, position %d: log-probabilities %v, want %g", seq, pos, results[seq].LogProbs, want)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}

// A ban begins exactly at BanFrom: what would have been written up to there stands, and the word that it forbids there does not.
func TestBanFrom(t *testing.T) {
	s := NewSampler(newModel(t, configs["mixed"]), newPool(t, 1))
	for _, temperature := range []float64{0, 1} {
		free := Request{Prompt: []int32{5, 6}, MaxTokens: 10, Temperature: temperature, Seed: 3}
		want := sample(t, s, []Request{free})[0]
		for at, token := range want.Tokens {
			late, exact := free, free
			late.Ban, late.BanFrom = []int32{token}, at+1
			exact.Ban, exact.BanFrom = []int32{token}, at
			results := sample(t, s, []Request{late, exact})
			if !slices.Equal(results[0].Tokens[:at+1], want.Tokens[:at+1]) || slices.Contains(results[0].Tokens[at+1:], token) {
				t.Errorf("T %g: %v, with %d banned from %d on %v", temperature, want.Tokens, token, at+1, results[0].Tokens)
			}
			if !slices.Equal(results[1].Tokens[:at], want.Tokens[:at]) || slices.Contains(results[1].Tokens[at:], token) {
				t.Errorf("T %g: %v, with %d banned from %d on %v", temperature, want.Tokens, token, at, results[1].Tokens)
			}
			if !slices.Equal(results[1].LogProbs[:at], want.LogProbs[:at]) {
				t.Errorf("T %g: a ban from %d on changed log-probabilities before it", temperature, at)
			}
		}
	}
}

// A ban of the stop token keeps a completion going; where one token is left it is written, however unlikely it is.
func TestBansLeaveOneToken(t *testing.T) {
	s := NewSampler(newModel(t, configs["mixed"]), newPool(t, 1))
	var requests []Request
	for _, temperature := range []float64{0, 1e-3, 1, 100} {
		for only := range int32(vocab) {
			r := Request{Prompt: []int32{5, 6}, MaxTokens: 3, Temperature: temperature, TopK: int(only) % 3, TopP: float64(only%2) / 2, Stop: []int32{0}}
			for id := range int32(vocab) {
				if id != only {
					r.Ban = append(r.Ban, id)
				}
			}
			requests = append(requests, r)
		}
	}
	for i, got := range sample(t, s, requests) {
		only, n, finish := int32(i%vocab), 3, llm.FinishLength
		if only == 0 {
			n, finish = 1, llm.FinishStop
		}
		if want := slices.Repeat([]int32{only}, n); !slices.Equal(got.Tokens, want) || got.Finish != finish {
			t.Errorf("T %g: %v by %s, but %d is all that is left", requests[i].Temperature, got.Tokens, got.Finish, only)
		}
		for _, p := range got.LogProbs {
			if p > -1e-3 || math.IsInf(float64(p), 0) {
				t.Errorf("the only token left is told to have log-probability %g", p)
			}
		}
	}
}

func TestGeneratorTellsWhichStop(t *testing.T) {
	g := newGenerator(t, configs["mixed"])
	words := func(text string) []int32 {
		tokens, err := g.tok.Encode(text)
		if err != nil {
			t.Fatal(err)
		}
		return tokens
	}
	for _, c := range []struct {
		text  string
		stops []string
		stop  string
		kept  int
	}{
		{"get 6 ;", []string{";"}, ";", 2},
		{"get 6 ;", []string{"never", ";"}, ";", 2},
		{"get 6 ;", []string{";", "6 ;", "get"}, "6 ;", 1}, // of several that end here the longest
		{"get 6 ;", []string{"t 6 ;", "6 ;"}, "t 6 ;", 0},
		{"get 6 ;", []string{" ; ", ";"}, " ; ", 2}, // of equals the first
		{"get i16", []string{"6"}, "6", 1},          // within a word
		{"get <|end|>", []string{"get"}, "", 1},     // the model's own end
	} {
		tokens := words(c.text)
		stop, n := g.stopped(&llm.Request{Stop: c.stops}, tokens, stopTexts{})
		if stop != c.stop || len(tokens)-n != c.kept {
			t.Errorf("%q with stops %q ends by %q after %d words, want %q after %d", c.text, c.stops, stop, len(tokens)-n, c.stop, c.kept)
		}
	}
	ask := llm.Request{Messages: []llm.Message{{Role: llm.User, Text: "q"}}, MaxTokens: 4}
	for _, word := range g.tok.Words() {
		if word != "<|end|>" {
			ask.Ban = append(ask.Ban, word)
		}
	}
	out, err := g.Generate(t.Context(), []llm.Request{ask})
	if err != nil || out[0].Stop != "" || out[0].Finish != llm.FinishStop || out[0].Text != "" {
		t.Errorf("a model that can do nothing but end gave %s, %v", fmt.Sprint(out), err)
	}
}
