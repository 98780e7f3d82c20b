package transformer

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"candor/engine/optim"
	"candor/engine/tensor"
	"candor/internal/rng"
)

// kinds are small configurations that together reach every operation.
var kinds = map[string]Config{
	"learned, tied":          {Layers: 2, Heads: 2, Width: 8, Context: 12, Vocab: 11, Positions: []string{Learned}, Tied: true},
	"rotary, shift":          {Layers: 1, Heads: 2, Width: 12, Context: 12, Vocab: 11, Positions: []string{Rotary}, TokenShift: true},
	"none, tied, shift":      {Layers: 1, Heads: 1, Width: 8, Context: 12, Vocab: 11, Positions: []string{None}, TokenShift: true, Tied: true},
	"rotary and none, shift": {Layers: 2, Heads: 2, Width: 8, Context: 12, Vocab: 11, Positions: []string{Rotary, None}, TokenShift: true},
	"mixed": {Layers: 2, Heads: 4, Width: 16, Context: 12, Vocab: 11,
		Positions: []string{Learned, None, Rotary, Learned}},
	"learned, one layer": {Layers: 1, Heads: 2, Width: 8, Context: 12, Vocab: 11, Positions: []string{Learned, Learned}},
}

// loud returns a model whose parameters, biases included, are all large enough to matter.
func loud(t testing.TB, cfg Config, seed uint64) *Model {
	t.Helper()
	m, err := New(cfg, rng.New(seed))
	if err != nil {
		t.Fatal(err)
	}
	src := rng.New(seed).Split("loud")
	for i := range m.flat {
		m.flat[i] += float32(.3 * src.Norm())
	}
	return m
}

// raggedBatch returns sequences of all lengths, some with blocks, some without weights; weights are between 0 and 2 with
// many zeros.
func raggedBatch(cfg Config, seed uint64, n int) []Sequence {
	src := rng.New(seed).Split("batch")
	batch := make([]Sequence, n)
	for i := range batch {
		length := src.Between(1, cfg.Context+1)
		s := &batch[i]
		s.Tokens = make([]int32, length)
		for j := range s.Tokens {
			s.Tokens[j] = int32(src.IntN(cfg.Vocab))
		}
		if i%5 == 4 {
			continue
		}
		s.Weight = make([]float32, length)
		for j := range s.Weight {
			if src.Bool(.6) {
				s.Weight[j] = float32(2 * src.Float64())
			}
		}
		if i%3 == 1 {
			a, b := src.IntN(length+1), src.IntN(length+1)
			c, d := src.IntN(length+1), src.IntN(length+1)
			s.Blocks = append(s.Blocks, Block{From: Span{"answer", min(a, b), max(a, b)}, To: Span{"prompt", min(c, d), max(c, d)}})
			s.Blocks = append(s.Blocks, Block{From: Span{"end", length / 2, length}, To: Span{"all", 0, length}})
		}
	}
	return batch
}

// Directional derivatives: along a random direction, and along each tensor on its own, so that an error in a small tensor
// cannot hide behind the large ones.
func TestGradientAgreesWithFiniteDifferences(t *testing.T) {
	pool := tensor.NewPool(1)
	defer pool.Close()
	for name, cfg := range kinds {
		t.Run(name, func(t *testing.T) { checkGradient(t, cfg, pool, raggedBatch(cfg, 6, 13)) })
		t.Run(name+", with targets", func(t *testing.T) { checkGradient(t, cfg, pool, retarget(cfg, raggedBatch(cfg, 6, 13), 8)) })
	}
}

func checkGradient(t *testing.T, cfg Config, pool *tensor.Pool, batch []Sequence) {
	m := loud(t, cfg, 5)
	trainer := NewTrainer(m, pool)
	loss := CrossEntropy(.3)
	if _, err := trainer.Gradient(batch, loss); err != nil {
		t.Fatal(err)
	}
	grad := append([]float32(nil), trainer.Grad...)
	src := rng.New(7)
	at := 0
	for _, tn := range m.Tensors() {
		end := at + len(tn.Data)
		var norm float64
		for _, g := range grad[at:end] {
			norm += float64(g) * float64(g)
		}
		norm = math.Sqrt(norm)
		// Half towards the gradient, half random: large enough a derivative to measure, yet not blind sideways.
		dir := make([]float64, len(tn.Data))
		var want, length float64
		for i, g := range grad[at:end] {
			dir[i] = float64(g)/(norm+1e-12) + src.Norm()/math.Sqrt(float64(len(dir)))
			want += dir[i] * float64(g)
			length += dir[i] * dir[i]
		}
		got := directional(t, trainer, m, tn.Data, dir, 2e-2/math.Sqrt(length), batch, loss)
		if !(math.Abs(got-want) <= 4e-3*math.Abs(want)+2e-4) {
			t.Errorf("%s: derivative %.6g, by differences %.6g (norm %.3g)", tn.Name, want, got, norm)
		}
		at = end
	}
}

// directional returns the derivative of the loss along dir by central differences of fourth order, which leaves room for a
// step large enough for float32.
func directional(t *testing.T, trainer *Trainer, m *Model, data []float32, dir []float64, h float64, batch []Sequence, loss Loss) float64 {
	t.Helper()
	old := append([]float32(nil), data...)
	at := func(k float64) float64 {
		for i := range data {
			data[i] = old[i] + float32(k*h*dir[i])
		}
		l, err := trainer.Gradient(batch, loss)
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	d := (8*(at(1)-at(-1)) - (at(2) - at(-2))) / (12 * h)
	copy(data, old)
	return d
}

// Loss, gradient, and the weights after five steps of AdamW have the same bits with any number of threads.
func TestBitsDoNotDependOnThreads(t *testing.T) {
	for name, cfg := range kinds {
		var wantLosses []float64
		var want [2][]float32
		for _, threads := range []int{1, 2, 7} {
			pool := tensor.NewPool(threads)
			m := loud(t, cfg, 1)
			trainer := NewTrainer(m, pool)
			opt, err := optim.New(optim.Default(.01), 5, len(m.Flat()), m.Decayed())
			if err != nil {
				t.Fatal(err)
			}
			var losses []float64
			for step := range 5 {
				loss, err := trainer.Gradient(raggedBatch(cfg, uint64(step), 150), CrossEntropy(.1))
				if err != nil {
					t.Fatal(err)
				}
				losses = append(losses, loss)
				opt.Step(m.Flat(), trainer.Grad)
			}
			pool.Close()
			got := [2][]float32{trainer.Grad, m.Flat()}
			if wantLosses == nil {
				wantLosses, want = losses, got
				continue
			}
			if !slices.Equal(losses, wantLosses) {
				t.Errorf("%s: losses %v with %d threads, %v with 1", name, losses, threads, wantLosses)
			}
			for j, what := range []string{"gradient", "weight"} {
				for i, w := range want[j] {
					if math.Float32bits(w) != math.Float32bits(got[j][i]) {
						t.Fatalf("%s: %s %d is %g with %d threads, %g with 1", name, what, i, got[j][i], threads, w)
					}
				}
			}
		}
	}
}

func TestSteadyStateAllocatesNothing(t *testing.T) {
	pool := tensor.NewPool(1)
	defer pool.Close()
	for name, cfg := range kinds {
		m := loud(t, cfg, 1)
		batch := raggedBatch(cfg, 2, 60)
		trainer, scorer := NewTrainer(m, pool), NewScorer(m, pool)
		loss := CrossEntropy(.1)
		visit := func(int, int, int, int32, []float32) {}
		step := func() {
			if _, err := trainer.Gradient(batch, loss); err != nil {
				t.Fatal(err)
			}
			if err := scorer.Score(batch, visit); err != nil {
				t.Fatal(err)
			}
		}
		step()
		if n := testing.AllocsPerRun(5, step); n != 0 {
			t.Errorf("%s: a gradient and a score allocate %g times", name, n)
		}
	}
}

func BenchmarkGradient(b *testing.B) {
	for _, size := range []struct {
		name          string
		layers, width int
	}{{"small", 1, 48}, {"large", 4, 64}} {
		for _, threads := range []int{1, 2} {
			b.Run(fmt.Sprintf("%s/threads=%d", size.name, threads), func(b *testing.B) {
				pool := tensor.NewPool(threads)
				defer pool.Close()
				m, err := New(Config{Layers: size.layers, Heads: 4, Width: size.width, Context: 48, Vocab: 64, Positions: []string{Learned}}, rng.New(1))
				if err != nil {
					b.Fatal(err)
				}
				src := rng.New(2)
				batch := make([]Sequence, 128)
				for i := range batch {
					for range 41 {
						batch[i].Tokens = append(batch[i].Tokens, int32(src.IntN(64)))
						batch[i].Weight = append(batch[i].Weight, 1)
					}
				}
				trainer := NewTrainer(m, pool)
				b.ReportAllocs()
				for b.Loop() {
					if _, err := trainer.Gradient(batch, CrossEntropy(1./5120)); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(128*40*float64(b.N)/b.Elapsed().Seconds(), "tokens/s")
			})
		}
	}
}
