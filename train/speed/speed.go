// Package speed measures the engine on this machine: the matrix kernels, training, sampling and reinforcement learning of
// three reference models, each beside what the processor could do at best.
//
//	report, err := speed.Run(ctx, speed.Options{Threads: 2, Seconds: .3, Now: time.Now})
//
// Every number is a median over blocks of work, and just before each block all threads run [kernel.Spin], fused
// multiply-adds on registers: the peak. A share is the median of the blocks' own shares, so that a machine whose speed
// drifts, because its neighbours or its temperature do, does not distort it.
//
// # Operations counted
//
// A product of m by k and k by n matrices counts 2mnk. Training counts, for each token, 6 times the parameters that it is
// multiplied with (all matrices but the two embeddings, which are only looked up) and 12 x layers x width x the mean number
// of positions that it sees for attention: Kaplan et al. 2020, section 2.1, with the masked half of the attention pattern
// left out. Sampling counts a third of that.
package speed

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"time"

	"candor/engine/kernel"
	"candor/engine/tensor"
	"candor/engine/transformer"
	"candor/internal/rng"
)

// Options says what is measured, and how long.
type Options struct {
	Threads int     // how many threads work at a time, at least 1
	Seconds float64 // spent on each number, above 0; the whole takes about 60 times as long
	// Only restricts the measurements to some of Parts, or to single models of them, as in "train/small"; empty is all.
	Only []string
	// Now reads the clock.
	Now func() time.Time
	// Progress, if set, is told before each measurement how many are done and what comes next.
	Progress func(done, total int, what string)
}

// Parts are the valid entries of Options.Only, apart from those with a model behind a slash.
var Parts = []string{"kernel", "train", "sample", "grpo"}

// Report holds the results; its JSON is a stable format.
type Report struct {
	CPU        string   `json:"cpu"` // left to the caller
	Threads    int      `json:"threads"`
	Kernel     string   `json:"kernel"`      // the implementation in use; see kernel.Name
	PeakGFLOPS float64  `json:"peak_gflops"` // of all threads together, in 1e9 floating-point operations a second
	Kernels    []Kernel `json:"kernels"`
	Train      []Train  `json:"train"`
	Sample     []Sample `json:"sample"`
	GRPO       []GRPO   `json:"grpo"`
}

// Kernel is the speed of one matrix product, made by every thread at once on matrices of its own.
type Kernel struct {
	M      int     `json:"m"`
	N      int     `json:"n"`
	K      int     `json:"k"`
	Trans  string  `json:"trans"`  // of A and B, as in BLAS: "nn", "tn" (weight gradients), "nt" (input gradients)
	GFLOPS float64 `json:"gflops"` // of all threads together
	Share  float64 `json:"share"`  // of the peak, 0 to 1
}

// Train is the speed of training: gradient, clipping and AdamW for 128 sequences of 40 tokens.
type Train struct {
	Model        string  `json:"model"`
	TokensPerSec float64 `json:"tokens_per_s"`
	Share        float64 `json:"share"`  // of the peak
	Allocs       float64 `json:"allocs"` // a step
}

// Sample is the speed of sampling 24 tokens after each of 256 different prompts of 16.
type Sample struct {
	Model        string  `json:"model"`
	TokensPerSec float64 `json:"tokens_per_s"` // sampled tokens
	Share        float64 `json:"-"`            // of the peak
	Allocs       float64 `json:"allocs"`       // a sampled token
}

// GRPO is the speed of reinforcement learning: 16 prompts of 16 tokens, 8 completions of 24 tokens each, one update.
type GRPO struct {
	Model       string  `json:"model"`
	StepsPerSec float64 `json:"steps_per_s"`
}

// UnknownError says that nothing is called as Options.Only has it.
type UnknownError struct{ Name string }

func (e *UnknownError) Error() string {
	var names []string
	for _, m := range models {
		names = append(names, m.name)
	}
	return fmt.Sprintf("nothing is called %q: choose from %s, or one model of %s, as in train/%s",
		e.Name, strings.Join(Parts, ", "), strings.Join(names, ", "), models[0].name)
}

// model is a reference model. All have a vocabulary and a context of 64 and learned positions.
type model struct {
	name                 string
	layers, width, heads int
}

var models = []model{{"small", 1, 48, 4}, {"large", 4, 64, 4}, {"wide", 6, 256, 8}}

const (
	vocab     = 64
	positions = 64
)

func (m model) new() *transformer.Model {
	made, err := transformer.New(transformer.Config{
		Layers: m.layers, Heads: m.heads, Width: m.width, Context: positions, Vocab: vocab, Positions: []string{transformer.Learned},
	}, rng.New(1))
	if err != nil {
		panic("speed: a reference model is impossible: " + err.Error())
	}
	return made
}

// forwardFlops returns the operations that one token costs which sees the given number of positions, itself included.
func (m model) forwardFlops(seen float64) float64 {
	w := float64(m.width)
	matrices := float64(m.layers)*12*w*w + vocab*w
	return 2*matrices + 4*float64(m.layers)*w*seen
}

// Run measures. The error is an [*UnknownError] if Only has an unknown entry, or wraps ctx.Err().
func Run(ctx context.Context, o Options) (*Report, error) {
	jobs, err := o.jobs()
	if err != nil {
		return nil, err
	}
	pool := tensor.NewPool(o.Threads)
	defer pool.Close()
	m := &meter{Options: o, pool: pool, spun: make([]float64, o.Threads)}
	m.spin = func(i int) { m.spun[i] = kernel.Spin(m.rounds) }
	m.calibrate()
	r := &Report{Threads: o.Threads, Kernel: kernel.Name(), Kernels: []Kernel{}, Train: []Train{}, Sample: []Sample{}, GRPO: []GRPO{}}
	for i, j := range jobs {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("measuring %s: %w", j.what, err)
		}
		if o.Progress != nil {
			o.Progress(i, len(jobs), j.what)
		}
		if err := j.run(ctx, m, r); err != nil {
			return nil, fmt.Errorf("measuring %s: %w", j.what, err)
		}
	}
	r.PeakGFLOPS = median(m.peaks) / 1e9
	return r, nil
}

// job is one measurement.
type job struct {
	what string
	run  func(ctx context.Context, m *meter, r *Report) error
}

// jobs lists what Only asks for, part after part and nothing twice.
func (o *Options) jobs() ([]job, error) {
	var all []job
	for _, p := range products() {
		all = append(all, job{"kernel/" + p.String(), func(ctx context.Context, m *meter, r *Report) error { return m.product(ctx, p, r) }})
	}
	for _, part := range []struct {
		name    string
		measure func(*meter, context.Context, model, *Report) error
	}{{"train", (*meter).train}, {"sample", (*meter).sample}, {"grpo", (*meter).grpo}} {
		for _, mo := range models {
			all = append(all, job{part.name + "/" + mo.name, func(ctx context.Context, m *meter, r *Report) error { return part.measure(m, ctx, mo, r) }})
		}
	}
	if len(o.Only) == 0 {
		return all, nil
	}
	wanted := make([]bool, len(all))
	for _, want := range o.Only {
		found := false
		for i, j := range all {
			if part, _, _ := strings.Cut(j.what, "/"); part == want || j.what == want {
				wanted[i], found = true, true
			}
		}
		if !found {
			return nil, &UnknownError{want}
		}
	}
	var chosen []job
	for i, j := range all {
		if wanted[i] {
			chosen = append(chosen, j)
		}
	}
	return chosen, nil
}

// meter measures rates, each beside the peak of the moment.
type meter struct {
	Options
	pool   *tensor.Pool
	rounds int // of one burst of Spin
	spun   []float64
	spin   func(int)
	peaks  []float64 // operations a second, all bursts
}

// burstSeconds is how long the peak is measured at a time.
const burstSeconds = .002

// calibrate finds out how many rounds of Spin a burst takes.
func (m *meter) calibrate() {
	m.rounds = 1 << 10
	for {
		start := m.Now()
		kernel.Spin(m.rounds)
		if m.Now().Sub(start).Seconds() > burstSeconds/2 {
			break
		}
		m.rounds *= 2
	}
	for range 5 {
		m.peak() // wakes the threads
	}
	m.peaks = m.peaks[:0]
}

// peak returns the operations a second that all threads do together in one burst of Spin.
func (m *meter) peak() float64 {
	start := m.Now()
	m.pool.Run(m.Threads, m.spin)
	elapsed := m.Now().Sub(start).Seconds()
	var flops float64
	for _, f := range m.spun {
		flops += f
	}
	m.peaks = append(m.peaks, flops/elapsed)
	return flops / elapsed
}

// fewest is how many blocks a median is taken over at least.
const fewest = 5

// tokens measures work: tokens a second, the share of the peak, and the allocations of a step.
func (m *meter) tokens(ctx context.Context, w work) (perSecond, share, allocated float64, err error) {
	steps, share, err := m.rate(ctx, w.flops, w.step)
	if err != nil {
		return 0, 0, 0, err
	}
	allocated, err = allocs(w.step)
	return steps * w.tokens, share, allocated, err
}

// rate returns how often step happens a second, and the share of the peak that it reaches with flops operations. The error
// is that of a step, or ctx.Err(), which is looked at before each block.
func (m *meter) rate(ctx context.Context, flops float64, step func() error) (perSecond, share float64, err error) {
	if err := step(); err != nil {
		return 0, 0, err
	}
	start := m.Now()
	if err := step(); err != nil {
		return 0, 0, err
	}
	once := max(m.Now().Sub(start).Seconds(), 1e-9)
	block := max(1, int(min(m.Seconds/10, .1)/once))
	var rates, shares []float64
	for begin := m.Now(); len(rates) < fewest || m.Now().Sub(begin).Seconds() < m.Seconds; {
		if err := ctx.Err(); err != nil {
			return 0, 0, err
		}
		peak := m.peak()
		start := m.Now()
		for range block {
			if err := step(); err != nil {
				return 0, 0, err
			}
		}
		r := float64(block) / m.Now().Sub(start).Seconds()
		rates, shares = append(rates, r), append(shares, r*flops/peak)
	}
	return median(rates), median(shares), nil
}

// allocs returns the allocations of one call in a steady state: a median, for the runtime's own are counted with them. Where those fall
// into two of three calls, up to nine are made.
func allocs(step func() error) (float64, error) {
	var counts []float64
	var before, after runtime.MemStats
	for len(counts) < 3 || len(counts) < 9 && median(counts) > slices.Min(counts) {
		runtime.ReadMemStats(&before)
		if err := step(); err != nil {
			return 0, err
		}
		runtime.ReadMemStats(&after)
		counts = append(counts, float64(after.Mallocs-before.Mallocs))
	}
	return median(counts), nil
}

func median(x []float64) float64 {
	x = slices.Sorted(slices.Values(x))
	n := len(x)
	if n == 0 {
		return 0
	}
	return (x[(n-1)/2] + x[n/2]) / 2
}
