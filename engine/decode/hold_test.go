package decode

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"candor/internal/rng"
)

// A chain written in several calls, some of whose last words are written over in between, comes out the same whether caches are
// held or not, on any number of threads; and what is held is used.
func TestHoldChangesNothing(t *testing.T) {
	for name, cfg := range configs {
		m := newModel(t, cfg)
		for _, threads := range []int{1, 3} {
			plain, holding := NewSampler(m, newPool(t, threads)), NewSampler(m, newPool(t, threads))
			src := rng.New(11).Split(name)
			for round := range 3 {
				holding.Hold()
				prompts := make([][]int32, 60)
				for i := range prompts {
					group := src.SplitN(fmt.Sprint("group", round), i/4) // some share their prompt
					for range 3 + i/4%9 {
						prompts[i] = append(prompts[i], int32(group.IntN(vocab)))
					}
				}
				resumed := 0
				for call := range 5 {
					requests := make([]Request, len(prompts))
					for i := range requests {
						requests[i] = Request{Prompt: prompts[i], MaxTokens: 1 + (i+call)%4, Temperature: 1, Stop: []int32{0}, Seed: uint64(100*call + i)}
						if i%3 == 0 {
							requests[i].Ban, requests[i].BanFrom = []int32{1, 2, 3}, 1
						}
					}
					want, err := plain.Sample(t.Context(), requests)
					if err != nil {
						t.Fatal(err)
					}
					before := heldBy(holding)
					got, err := holding.Sample(t.Context(), requests)
					if err != nil {
						t.Fatal(err)
					}
					if diff := cmp.Diff(want, got); diff != "" {
						t.Fatalf("%s, %d threads, round %d, call %d: holding changes what is sampled:\n%s", name, threads, round, call, diff)
					}
					resumed += before + len(requests) - heldBy(holding)
					for i := range prompts {
						next := append([]int32(nil), prompts[i]...)
						next = append(next, got[i].Tokens...)
						if i%2 == 0 { // the last word is written over, and one more stands behind it
							next[len(next)-1] = int32((i + call) % vocab)
							next = append(next, int32(i%vocab))
						}
						if len(next) < cfg.Context {
							prompts[i] = next
						}
					}
				}
				if resumed < 100 {
					t.Errorf("%s: only %d prompts went on from a held one", name, resumed)
				}
				holding.Release()
				if n := heldBy(holding); n != 0 {
					t.Errorf("%d are held after Release", n)
				}
			}
		}
	}
}

// Whoever asks the same again, to sample otherwise or to learn how likely a word was, goes on from what was read.
func TestHoldKeepsThePromptItself(t *testing.T) {
	m := newModel(t, configs["mixed"])
	plain, holding := NewSampler(m, newPool(t, 1)), NewSampler(m, newPool(t, 1))
	holding.Hold()
	defer holding.Release()
	prompt := []int32{1, 2, 3, 4, 5}
	for seed := range uint64(3) {
		request := []Request{{Prompt: prompt, MaxTokens: 2, Temperature: 1, Seed: seed}}
		if diff := cmp.Diff(sample(t, plain, request), sample(t, holding, request)); diff != "" {
			t.Errorf("seed %d: holding changes what is sampled:\n%s", seed, diff)
		}
		if n := heldBy(holding); n != 1 {
			t.Errorf("seed %d: %d are held, want the one that read the prompt first", seed, n)
		}
	}
}

// After Release the model may be changed, and nothing of the old one is left.
func TestReleaseForgets(t *testing.T) {
	m := newModel(t, configs["rotary"])
	s := NewSampler(m, newPool(t, 1))
	ask := func(prompt ...int32) Result {
		r, err := s.Sample(t.Context(), []Request{{Prompt: prompt, MaxTokens: 4, Seed: 5}})
		if err != nil {
			t.Fatal(err)
		}
		return r[0]
	}
	s.Hold()
	ask(1, 2, 3)
	s.Release()
	for i := range m.Flat() {
		m.Flat()[i] *= -.7
	}
	s.Hold()
	defer s.Release()
	got := ask(1, 2, 3, 4)
	fresh := NewSampler(m, newPool(t, 1))
	want, err := fresh.Sample(t.Context(), []Request{{Prompt: []int32{1, 2, 3, 4}, MaxTokens: 4, Seed: 5}})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want[0], got); diff != "" {
		t.Error(diff)
	}
}

func heldBy(s *Sampler) int {
	n := 0
	for _, bucket := range s.held {
		n += len(bucket)
	}
	return n
}
