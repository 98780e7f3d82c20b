package speed

import (
	"context"
	"errors"
	"fmt"
	"math"

	"candor/engine/decode"
	"candor/engine/kernel"
	"candor/engine/optim"
	"candor/engine/tensor"
	"candor/engine/transformer"
	"candor/internal/rng"
	"candor/train"
	"candor/train/grpo"
)

// Sizes of the work; the comparison in bench/ has the same.
const (
	trainBatch, trainLength     = 128, 40
	sequences, prompt, sampled  = 256, 16, 24
	grpoPrompts, grpoCompletion = 16, 8
)

// product is one matrix product.
type product struct {
	m, n, k        int
	transA, transB bool
}

func (p product) trans() string {
	name := []byte("nn")
	if p.transA {
		name[0] = 't'
	}
	if p.transB {
		name[1] = 't'
	}
	return string(name)
}

func (p product) String() string { return fmt.Sprintf("%dx%dx%d %s", p.m, p.n, p.k, p.trans()) }

// products lists big square ones, and those of an MLP with their gradients for a batch of 5,120 tokens and a chunk of 256.
func products() []product {
	list := []product{
		{512, 512, 512, false, false}, {512, 512, 512, true, false}, {512, 512, 512, false, true},
		{768, 768, 768, false, false}, {1024, 1024, 1024, false, false},
	}
	for _, s := range [...][3]int{{5120, 48, 192}, {5120, 64, 256}, {256, 64, 256}} {
		rows, width, hidden := s[0], s[1], s[2]
		list = append(list,
			product{rows, hidden, width, false, false}, product{rows, width, hidden, false, false},
			product{rows, width, hidden, false, true}, product{rows, hidden, width, false, true},
			product{width, hidden, rows, true, false}, product{hidden, width, rows, true, false})
	}
	return list
}

func (m *meter) product(ctx context.Context, p product, r *Report) error {
	type operands struct {
		a, b, c []float32
		ws      kernel.Workspace
	}
	lda, ldb := p.k, p.n
	if p.transA {
		lda = p.m
	}
	if p.transB {
		ldb = p.k
	}
	work := make([]operands, m.Threads)
	src := rng.New(1)
	for i := range work {
		w := &work[i]
		w.a, w.b, w.c = make([]float32, p.m*p.k), make([]float32, p.k*p.n), make([]float32, p.m*p.n)
		for _, x := range [][]float32{w.a, w.b} {
			for j := range x {
				x[j] = float32(src.Norm())
			}
		}
	}
	// Small products are repeated within a thread, or waking the threads would be most of what is measured.
	flops := 2 * float64(p.m) * float64(p.n) * float64(p.k)
	repeat := max(1, int(2e8/flops))
	f := func(i int) {
		w := &work[i]
		for range repeat {
			kernel.Gemm(p.transA, p.transB, p.m, p.n, p.k, w.a, lda, w.b, ldb, w.c, p.n, false, &w.ws)
		}
	}
	all := flops * float64(repeat*m.Threads)
	perSecond, share, err := m.rate(ctx, all, func() error { m.pool.Run(m.Threads, f); return nil })
	if err != nil {
		return err
	}
	r.Kernels = append(r.Kernels, Kernel{M: p.m, N: p.n, K: p.k, Trans: p.trans(), GFLOPS: perSecond * all / 1e9, Share: share})
	return nil
}

// randomTokens draws n tokens.
func randomTokens(src *rng.Source, n int) []int32 {
	x := make([]int32, n)
	for i := range x {
		x[i] = int32(src.IntN(vocab))
	}
	return x
}

// work is a step that is measured, how many tokens it trains on or samples, and how many operations that takes.
type work struct {
	step          func() error
	tokens, flops float64
}

// training is one update of a new model.
func training(mo model, pool *tensor.Pool) (work, error) {
	made := mo.new()
	trainer := transformer.NewTrainer(made, pool)
	opt, err := optim.New(optim.Default(1e-3), math.MaxInt32, len(made.Flat()), made.Decayed())
	if err != nil {
		return work{}, err
	}
	src := rng.New(2)
	batch := make([]transformer.Sequence, trainBatch)
	for i := range batch {
		weight := make([]float32, trainLength+1)
		for j := 1; j < len(weight); j++ {
			weight[j] = 1
		}
		batch[i] = transformer.Sequence{Tokens: randomTokens(&src, trainLength+1), Weight: weight}
	}
	loss := transformer.CrossEntropy(1. / (trainBatch * trainLength))
	step := func() error {
		if _, err := trainer.Gradient(batch, loss); err != nil {
			return err
		}
		opt.Step(made.Flat(), trainer.Grad)
		return nil
	}
	const tokens = trainBatch * trainLength
	return work{step, tokens, tokens * 3 * mo.forwardFlops((trainLength+1)/2.)}, nil
}

// sampling is one completion for each prompt.
func sampling(ctx context.Context, mo model, pool *tensor.Pool) work {
	sampler := decode.NewSampler(mo.new(), pool)
	src := rng.New(3)
	requests := make([]decode.Request, sequences)
	for i := range requests {
		requests[i] = decode.Request{Prompt: randomTokens(&src, prompt), MaxTokens: sampled, Temperature: 1, Seed: uint64(i)}
	}
	step := func() error {
		_, err := sampler.Sample(ctx, requests)
		return err
	}
	// The last token is sampled, but not read.
	const read = prompt + sampled - 1
	return work{step, sequences * sampled, sequences * read * mo.forwardFlops((read+1)/2.)}
}

// reinforce takes steps of reinforcement learning for as long as more, which is told after each how many there were, says
// so. The reward is the share of even tokens. The error wraps ctx.Err() if ctx ends first.
func reinforce(ctx context.Context, mo model, pool *tensor.Pool, more func(done int) bool) error {
	running, stop := context.WithCancel(ctx)
	defer stop()
	cfg := grpo.Default()
	cfg.Steps, cfg.Prompts, cfg.Group, cfg.MaxTokens = math.MaxInt32, grpoPrompts, grpoCompletion, sampled
	cfg.Optim = optim.Default(1e-3)
	cfg.Rewards = []grpo.Reward{{Name: "even", Weight: 1, Credit: grpo.Chain}}
	in := grpo.Input{
		Policy: endless(mo.new()), Pool: pool, Source: rng.New(4), End: end,
		Prompt:  func(src *rng.Source) grpo.Prompt { return grpo.Prompt{Tokens: randomTokens(src, prompt)} },
		Rewards: map[string]grpo.RewardFunc{"even": even},
	}
	hooks := grpo.Hooks{Hooks: train.Hooks{Progress: func(done, _ int) {
		if !more(done) {
			stop()
		}
	}}}
	_, err := grpo.Run(running, cfg, in, hooks)
	if ctx.Err() == nil && errors.Is(err, context.Canceled) {
		return nil // stopped from within
	}
	return err
}

func (m *meter) train(ctx context.Context, mo model, r *Report) error {
	w, err := training(mo, m.pool)
	if err != nil {
		return err
	}
	perSecond, share, allocs, err := m.tokens(ctx, w)
	if err != nil {
		return err
	}
	r.Train = append(r.Train, Train{mo.name, perSecond, share, allocs})
	return nil
}

func (m *meter) sample(ctx context.Context, mo model, r *Report) error {
	w := sampling(ctx, mo, m.pool)
	perSecond, share, allocs, err := m.tokens(ctx, w)
	if err != nil {
		return err
	}
	r.Sample = append(r.Sample, Sample{mo.name, perSecond, share, allocs / w.tokens})
	return nil
}

// grpo times the steps after the first few, until they have lasted long enough.
func (m *meter) grpo(ctx context.Context, mo model, r *Report) error {
	var times []float64
	begin, last := m.Now(), m.Now()
	err := reinforce(ctx, mo, m.pool, func(done int) bool {
		now := m.Now()
		if done > warm {
			times = append(times, now.Sub(last).Seconds())
		}
		last = now
		return len(times) < fewest || now.Sub(begin).Seconds() < m.Seconds
	})
	if err != nil {
		return err
	}
	r.GRPO = append(r.GRPO, GRPO{mo.name, 1 / median(times)})
	return nil
}

// warm is how many steps of reinforcement learning come before those that are timed.
const warm = 2

// end is the token that would end a completion.
const end = 0

// endless makes the end token so unlikely that every completion has its full length, and all steps the same work.
func endless(m *transformer.Model) *transformer.Model {
	const far = 30
	m.Weights.FinalBias[0] = far
	width := m.Config.Width
	for token := range m.Config.Vocab {
		m.Weights.Head[token*width] = 0
	}
	m.Weights.Head[end*width] = -far
	return m
}

// even rewards each even token.
func even(o *grpo.Rollout, _ *rng.Source) []grpo.Credit {
	n := 0.
	for _, t := range o.Turns[0].Tokens {
		if t%2 == 0 {
			n++
		}
	}
	return []grpo.Credit{{At: 0, Value: n / sampled}}
}
