package decode

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"candor/engine/kernel"
	"candor/engine/tensor"
	"candor/engine/transformer"
	"candor/internal/rng"
	"candor/reasoning/llm"
)

const vocab = 23

// configs are one of each kind of model.
var configs = map[string]transformer.Config{
	"learned tied":        {Layers: 2, Heads: 2, Width: 16, Context: 40, Vocab: vocab, Positions: []string{"learned"}, Tied: true},
	"rotary":              {Layers: 1, Heads: 2, Width: 16, Context: 40, Vocab: vocab, Positions: []string{"rotary"}},
	"none, shift":         {Layers: 2, Heads: 1, Width: 12, Context: 40, Vocab: vocab, Positions: []string{"none"}, TokenShift: true},
	"rotary, none, shift": {Layers: 2, Heads: 4, Width: 24, Context: 40, Vocab: vocab, Positions: []string{"rotary", "none", "rotary", "none"}, TokenShift: true, Tied: true},
	"mixed":               {Layers: 2, Heads: 3, Width: 24, Context: 40, Vocab: vocab, Positions: []string{"learned", "none", "rotary"}},
	"learned, shift":      {Layers: 1, Heads: 2, Width: 16, Context: 40, Vocab: vocab, Positions: []string{"learned"}, TokenShift: true},
}

// newModel returns a random model whose predictions differ from token to token.
func newModel(t testing.TB, cfg transformer.Config) *transformer.Model {
	t.Helper()
	m, err := transformer.New(cfg, rng.New(3))
	if err != nil {
		t.Fatal(err)
	}
	src := rng.New(4)
	for i := range m.Flat() {
		m.Flat()[i] = 1.5*m.Flat()[i] + float32(.05*src.Norm())
	}
	return m
}

func newPool(t testing.TB, threads int) *tensor.Pool {
	t.Helper()
	p := tensor.NewPool(threads)
	t.Cleanup(p.Close)
	return p
}

// mixture returns requests of many kinds: prompts of one to all tokens of the context, some of them shared, and some words
// banned, of those of shared prompts not everywhere the same.
func mixture(n int) []Request {
	src := rng.New(9)
	var prompts [][]int32
	for _, length := range []int{1, 2, 5, 17, 39, 40} {
		for range 2 {
			p := make([]int32, length)
			for i := range p {
				p[i] = int32(src.IntN(vocab))
			}
			prompts = append(prompts, p)
		}
	}
	requests := make([]Request, n)
	for i := range requests {
		requests[i] = Request{
			Prompt: prompts[src.IntN(len(prompts))], MaxTokens: 1 + src.IntN(25), Temperature: float64(i%3) * .75,
			Stop: []int32{0}, StopSeqs: [][]int32{{1, 2}, {3, 3}}, Seed: uint64(i),
		}
		if i%5 == 0 {
			requests[i].TopK = 4
		}
		if i%7 == 0 {
			requests[i].TopP = .8
		}
		if i%4 == 1 {
			requests[i].Ban = []int32{int32(i) % vocab, 7, int32(i*i) % vocab, 4, 7}
			requests[i].BanFrom = i / 4 % 4
		}
	}
	return requests
}

func sample(t testing.TB, s *Sampler, requests []Request) []Result {
	t.Helper()
	results, err := s.Sample(t.Context(), requests)
	if err != nil {
		t.Fatal(err)
	}
	if len(results) != len(requests) {
		t.Fatalf("%d results for %d requests", len(results), len(requests))
	}
	return results
}

// The cache, the shared prompts and the transposed keys must not change a bit of what a full forward pass computes.
func TestAgreesWithFullForwardPass(t *testing.T) {
	before := kernel.Name()
	defer kernel.Use(before)
	for _, kernels := range kernel.Available() {
		if err := kernel.Use(kernels); err != nil {
			t.Fatal(err)
		}
		for name, cfg := range configs {
			t.Run(kernels+"/"+name, func(t *testing.T) { agreesWithScorer(t, cfg) })
		}
	}
}

func agreesWithScorer(t *testing.T, cfg transformer.Config) {
	m, pool := newModel(t, cfg), newPool(t, 2)
	requests := mixture(90)
	results := sample(t, NewSampler(m, pool), requests)
	batch := make([]transformer.Sequence, len(requests))
	for i, r := range requests {
		tokens := slices.Concat(r.Prompt, results[i].Tokens)
		weight := make([]float32, len(tokens))
		for j := len(r.Prompt); j < len(tokens); j++ {
			weight[j] = 1
		}
		batch[i] = transformer.Sequence{Tokens: tokens, Weight: weight}
	}
	err := transformer.NewScorer(m, pool).Score(batch, func(_, seq, pos int, target int32, logits []float32) {
		r, at := requests[seq], pos-len(requests[seq].Prompt)
		want := logits[target] - kernel.LogSumExp(logits)
		if got := results[seq].LogProbs[at]; got != want {
			t.Errorf("request %d, token %d: log-probability %g, a full forward pass gives %g", seq, at, got, want)
		}
		if at >= r.BanFrom {
			if slices.Contains(r.Ban, target) {
				t.Errorf("request %d, token %d is the banned %d", seq, at, target)
			}
			for _, b := range r.Ban {
				logits[b] = float32(math.Inf(-1))
			}
		}
		if r.Temperature == 0 && target != likeliest(logits) {
			t.Errorf("request %d, token %d: greedy took %d, the likeliest is %d", seq, at, target, likeliest(logits))
		}
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestIndependence(t *testing.T) {
	requests := mixture(200)
	for name, cfg := range configs {
		m := newModel(t, cfg)
		want := sample(t, NewSampler(m, newPool(t, 1)), requests)
		for _, threads := range []int{2, 7} {
			s := NewSampler(m, newPool(t, threads))
			if d := cmp.Diff(want, sample(t, s, requests)); d != "" {
				t.Errorf("%s: %d threads give other results: %s", name, threads, d)
			}
			// the same sampler, another order
			src := rng.New(1)
			perm := src.Perm(len(requests))
			shuffled := make([]Request, len(requests))
			for i, p := range perm {
				shuffled[i] = requests[p]
			}
			for i, got := range sample(t, s, shuffled) {
				if d := cmp.Diff(want[perm[i]], got); d != "" {
					t.Fatalf("%s: request %d depends on its place: %s", name, perm[i], d)
				}
			}
			for i := 0; i < len(requests); i += 23 {
				if d := cmp.Diff(want[i:i+1], sample(t, s, requests[i:i+1])); d != "" {
					t.Errorf("%s: request %d alone gives another result: %s", name, i, d)
				}
			}
		}
	}
}

func TestEnds(t *testing.T) {
	m := newModel(t, configs["mixed"])
	s := NewSampler(m, newPool(t, 1))
	free := sample(t, s, []Request{{Prompt: []int32{5, 6}, MaxTokens: 12, Temperature: 1, Seed: 3}})[0]
	if len(free.Tokens) != 12 || free.Finish != llm.FinishLength {
		t.Fatalf("%d tokens, finish %s, want 12 and length", len(free.Tokens), free.Finish)
	}
	// where a token or a pair occurs first
	after := func(seq ...int32) int {
		for n := 1; n <= len(free.Tokens); n++ {
			if endsIn(free.Tokens[:n], seq) {
				return n
			}
		}
		return 0
	}
	a, b := free.Tokens[6], free.Tokens[7]
	for name, c := range map[string]struct {
		edit   func(*Request)
		tokens int
		finish llm.Finish
	}{
		"length":            {func(r *Request) { r.MaxTokens = 4 }, 4, llm.FinishLength},
		"stop token":        {func(r *Request) { r.Stop = []int32{-1, a} }, after(a), llm.FinishStop},
		"stop sequence":     {func(r *Request) { r.StopSeqs = [][]int32{{a, a, a, a, b}, {a, b}} }, after(a, b), llm.FinishStop},
		"stop at the limit": {func(r *Request) { r.MaxTokens = after(a); r.Stop = []int32{a} }, after(a), llm.FinishStop},
		"only whole sequences, and not in the prompt": {func(r *Request) { r.StopSeqs = [][]int32{{5, 6}, {6, free.Tokens[0], free.Tokens[1]}} }, 12, llm.FinishLength},
	} {
		r := Request{Prompt: []int32{5, 6}, MaxTokens: 12, Temperature: 1, Seed: 3}
		c.edit(&r)
		got := sample(t, s, []Request{r})[0]
		if got.Finish != c.finish || !slices.Equal(got.Tokens, free.Tokens[:c.tokens]) {
			t.Errorf("%s: %v, finish %s, want the first %d of %v, finish %s", name, got.Tokens, got.Finish, c.tokens, free.Tokens, c.finish)
		}
	}
	for _, length := range []int{1, 39, 40} {
		got := sample(t, s, []Request{{Prompt: make([]int32, length), MaxTokens: 1 << 40}})[0]
		if len(got.Tokens) != 41-length || got.Finish != llm.FinishLength {
			t.Errorf("a prompt of %d tokens in a context of 40 got %d, finish %s", length, len(got.Tokens), got.Finish)
		}
	}
}

func TestInvalid(t *testing.T) {
	s := NewSampler(newModel(t, configs["mixed"]), newPool(t, 1))
	for says, edit := range map[string]func(*Request){
		"prompt is empty":          func(r *Request) { r.Prompt = nil },
		"at most 40":               func(r *Request) { r.Prompt = make([]int32, 41) },
		"token 1 of the prompt":    func(r *Request) { r.Prompt = []int32{0, vocab} },
		"outside the vocabulary":   func(r *Request) { r.Prompt = []int32{-1} },
		"MaxTokens is 0":           func(r *Request) { r.MaxTokens = 0 },
		"Temperature is NaN":       func(r *Request) { r.Temperature = math.NaN() },
		"Temperature is -1":        func(r *Request) { r.Temperature = -1 },
		"TopK is -1":               func(r *Request) { r.TopK = -1 },
		"TopP is 2":                func(r *Request) { r.TopP = 2 },
		"stop sequence 1 is empty": func(r *Request) { r.StopSeqs = [][]int32{{1}, {}} },
		"token 1 of those banned is 23, outside the": func(r *Request) { r.Ban = []int32{22, vocab} },
		"token 0 of those banned is -1":              func(r *Request) { r.Ban, r.BanFrom = []int32{-1}, 9 },
		"every token is banned": func(r *Request) {
			for id := range int32(vocab) {
				r.Ban = append(r.Ban, id, id)
			}
		},
	} {
		good := Request{Prompt: []int32{1}, MaxTokens: 1}
		bad := good
		edit(&bad)
		results, err := s.Sample(t.Context(), []Request{good, bad})
		var invalid *InvalidError
		if !errors.As(err, &invalid) || invalid.Index != 1 || !strings.Contains(err.Error(), says) || results != nil {
			t.Errorf("error %v, should say %q of request 1", err, says)
		}
	}
}

// timeBomb is a context that ends after some looks at it.
type timeBomb struct {
	context.Context
	looks int
}

func (c *timeBomb) Err() error {
	if c.looks--; c.looks < 0 {
		return context.Canceled
	}
	return nil
}

func TestCancelled(t *testing.T) {
	requests := mixture(100)
	m := newModel(t, configs["mixed"])
	want := sample(t, NewSampler(m, newPool(t, 1)), requests)
	s := NewSampler(m, newPool(t, 1))
	for looks := range 20 {
		if results, err := s.Sample(&timeBomb{t.Context(), looks}, requests); !errors.Is(err, context.Canceled) || results != nil {
			t.Fatalf("cancelled after %d looks: %d results, error %v", looks, len(results), err)
		}
	}
	if d := cmp.Diff(want, sample(t, s, requests)); d != "" {
		t.Errorf("after cancelled calls the sampler gives other results: %s", d)
	}
}

// A sampler follows its model: reinforcement learning changes the weights between calls.
func TestModelMayChange(t *testing.T) {
	m := newModel(t, configs["learned tied"])
	s := NewSampler(m, newPool(t, 1))
	requests := mixture(20)
	sample(t, s, requests)
	for i := range m.Flat() {
		m.Flat()[i] *= 1.1
	}
	if d := cmp.Diff(sample(t, NewSampler(m, newPool(t, 1)), requests), sample(t, s, requests)); d != "" {
		t.Errorf("the sampler kept something of the old weights: %s", d)
	}
}

func TestNoAllocationForATokenInSteadyState(t *testing.T) {
	s := NewSampler(newModel(t, configs["mixed"]), newPool(t, 1))
	allocations := func(tokens int) float64 {
		var requests []Request
		for i := range 100 {
			requests = append(requests, Request{Prompt: []int32{int32(i / 4 % vocab), 2}, MaxTokens: tokens, Temperature: .9, TopK: 9, Seed: uint64(i)})
		}
		return testing.AllocsPerRun(5, func() { sample(t, s, requests) })
	}
	if few, many := allocations(2), allocations(38); many > few {
		t.Errorf("%v allocations for 2 tokens each, %v for 38", few, many)
	} else if few > 10 {
		t.Errorf("%v allocations a call", few)
	}
}

// choose must sample what the settings say: compare with probabilities computed in another way.
func TestChoose(t *testing.T) {
	logits := []float32{1, 3, -2, 2.5, 0, float32(math.Inf(-1))}
	softmax := func(temperature float64, keep ...int) []float64 {
		p := make([]float64, len(logits))
		var sum float64
		for _, i := range keep {
			p[i] = math.Exp(float64(logits[i]) / temperature)
			sum += p[i]
		}
		for i := range p {
			p[i] /= sum
		}
		return p
	}
	for name, c := range map[string]struct {
		request Request
		want    []float64
	}{
		"greedy":              {Request{}, softmax(1, 1)},
		"T=1":                 {Request{Temperature: 1}, softmax(1, 0, 1, 2, 3, 4)},
		"T=2":                 {Request{Temperature: 2}, softmax(2, 0, 1, 2, 3, 4)},
		"T=1e-300":            {Request{Temperature: 1e-300}, softmax(1, 1)},
		"top 1":               {Request{Temperature: 1, TopK: 1}, softmax(1, 1)},
		"top 3, T=.5":         {Request{Temperature: .5, TopK: 3}, softmax(.5, 0, 1, 3)},
		"top 99":              {Request{Temperature: 1, TopK: 99}, softmax(1, 0, 1, 2, 3, 4)},
		"nucleus .5":          {Request{Temperature: 1, TopP: .5}, softmax(1, 1)},
		"nucleus .6":          {Request{Temperature: 1, TopP: .6}, softmax(1, 1, 3)},
		"nucleus 1":           {Request{Temperature: 1, TopP: 1}, softmax(1, 0, 1, 2, 3, 4)},
		"top 2, then nucleus": {Request{Temperature: 1, TopK: 2, TopP: .6}, softmax(1, 1)},
		// the token chosen is the third
		"greedy, ban":            {Request{Ban: []int32{1, 4}, BanFrom: 2}, softmax(1, 3)},
		"T=1, ban":               {Request{Temperature: 1, Ban: []int32{1, 4}, BanFrom: 2}, softmax(1, 0, 2, 3)},
		"T=1, ban later":         {Request{Temperature: 1, Ban: []int32{1, 4}, BanFrom: 3}, softmax(1, 0, 1, 2, 3, 4)},
		"T=2, ban twice":         {Request{Temperature: 2, Ban: []int32{3, 3}}, softmax(2, 0, 1, 2, 4)},
		"T=100, all but one":     {Request{Temperature: 100, Ban: []int32{0, 1, 3, 4, 5}}, softmax(1, 2)},
		"T=1e-300, ban":          {Request{Temperature: 1e-300, Ban: []int32{1}}, softmax(1, 3)},
		"top 1, ban":             {Request{Temperature: 1, TopK: 1, Ban: []int32{1, 3}}, softmax(1, 0)},
		"top 3 of what is left":  {Request{Temperature: .5, TopK: 3, Ban: []int32{1}}, softmax(.5, 0, 3, 4)},
		"top 5, two left":        {Request{Temperature: 1, TopK: 5, Ban: []int32{1, 2, 3}}, softmax(1, 0, 4)},
		"nucleus of what's left": {Request{Temperature: 1, TopP: .7, Ban: []int32{1}}, softmax(1, 3)},
		"nucleus, two of them":   {Request{Temperature: 1, TopP: .9, Ban: []int32{1}}, softmax(1, 0, 3)},
	} {
		var ch chooser
		before := slices.Clone(logits)
		src := rng.New(8)
		const n = 20000
		var count [6]float64
		for range n {
			token, logProb := ch.choose(&c.request, 2, &src, logits)
			count[token]++
			if want := softmax(1, 0, 1, 2, 3, 4)[token]; math.Abs(math.Exp(float64(logProb))-want) > 1e-6 {
				t.Fatalf("%s: token %d has log-probability %g, want log %g", name, token, logProb, want)
			}
		}
		for i, p := range c.want {
			if f := count[i] / n; math.Abs(f-p) > 5*math.Sqrt(p*(1-p)/n)+1e-9 {
				t.Errorf("%s: token %d came with frequency %g, want %g", name, i, f, p)
			}
		}
		if !slices.Equal(logits, before) { // those of a shared prompt are other requests', too
			t.Fatalf("%s: choose changed the logits to %v", name, logits)
		}
	}
}

func TestNaNEndsNothingEarly(t *testing.T) {
	m := newModel(t, configs["mixed"])
	for i := range m.Flat() {
		m.Flat()[i] = float32(math.NaN())
	}
	got := sample(t, NewSampler(m, newPool(t, 1)), []Request{{Prompt: []int32{1}, MaxTokens: 3, Temperature: 1, TopK: 2}, {Prompt: []int32{1}, MaxTokens: 3}})
	for _, r := range got {
		if len(r.Tokens) != 3 {
			t.Errorf("a broken model gave %d tokens", len(r.Tokens))
		}
	}
}
