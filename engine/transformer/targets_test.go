package transformer

import (
	"math"
	"slices"
	"testing"

	"candor/engine/kernel"
	"candor/engine/tensor"
	"candor/internal/rng"
)

// retarget gives most sequences of a batch targets of their own.
func retarget(cfg Config, batch []Sequence, seed uint64) []Sequence {
	src := rng.New(seed).Split("targets")
	for i := range batch {
		if i%4 == 3 {
			continue
		}
		s := &batch[i]
		s.Targets = make([]int32, len(s.Tokens))
		for j := range s.Targets {
			s.Targets[j] = int32(src.IntN(cfg.Vocab))
		}
	}
	return batch
}

// spelledOut is what targets stand for: a sequence for each prediction, what is read up to there and then the target.
func spelledOut(batch []Sequence) (naive []Sequence, from []at) {
	for i, s := range batch {
		for pos := 1; pos < len(s.Weight); pos++ {
			if s.Weight[pos] == 0 {
				continue
			}
			last := s.Tokens[pos]
			if s.Targets != nil {
				last = s.Targets[pos]
			}
			one := Sequence{Tokens: append(slices.Clone(s.Tokens[:pos]), last), Weight: make([]float32, pos+1)}
			one.Weight[pos] = s.Weight[pos]
			for _, b := range s.Blocks {
				for _, sp := range []*Span{&b.From, &b.To} {
					sp.Start, sp.End = min(sp.Start, pos+1), min(sp.End, pos+1)
				}
				one.Blocks = append(one.Blocks, b)
			}
			naive, from = append(naive, one), append(from, at{i, pos})
		}
	}
	return naive, from
}

func TestTargetsAreTheSpelledOutBatch(t *testing.T) {
	pool := tensor.NewPool(2)
	defer pool.Close()
	for name, cfg := range kinds {
		m := loud(t, cfg, 5)
		batch := retarget(cfg, raggedBatch(cfg, 6, 40), 1)
		naive, from := spelledOut(batch)
		trainer := NewTrainer(m, pool)
		loss, err := trainer.Gradient(batch, CrossEntropy(.3))
		if err != nil {
			t.Fatal(err)
		}
		grad := slices.Clone(trainer.Grad)
		want, err := trainer.Gradient(naive, CrossEntropy(.3))
		if err != nil {
			t.Fatal(err)
		}
		if math.Abs(loss-want) > 1e-5*want {
			t.Errorf("%s: loss %g, spelled out %g", name, loss, want)
		}
		i := 0
		for _, tn := range m.Tensors() {
			var largest, off float64
			for range tn.Data {
				largest = max(largest, math.Abs(float64(trainer.Grad[i])))
				off = max(off, math.Abs(float64(trainer.Grad[i]-grad[i])))
				i++
			}
			if !(off <= 2e-5*largest+1e-6) {
				t.Errorf("%s: the gradient of %s is off by %g, its largest number is %g", name, tn.Name, off, largest)
			}
		}

		// The scorer tells the same targets and, bit by bit, the same logits.
		targets, logits := scoreTargets(t, m, pool, batch)
		naiveTargets, naiveLogits := scoreTargets(t, m, pool, naive)
		if len(targets) != len(naive) || len(naiveTargets) != len(naive) {
			t.Errorf("%s: %d predictions, spelled out %d, want %d", name, len(targets), len(naiveTargets), len(naive))
		}
		for i, place := range from {
			here := at{i, len(naive[i].Tokens) - 1}
			if targets[place] != naiveTargets[here] || !sameBits(logits[place], naiveLogits[here]) {
				t.Fatalf("%s: sequence %d, position %d: target %d, spelled out %d, or other logits", name, place.seq, place.pos, targets[place], naiveTargets[here])
			}
		}
	}
}

func scoreTargets(t *testing.T, m *Model, pool *tensor.Pool, batch []Sequence) (map[at]int32, map[at][]float32) {
	t.Helper()
	var targets [Shards]map[at]int32
	var logits [Shards]map[at][]float32
	for i := range targets {
		targets[i], logits[i] = map[at]int32{}, map[at][]float32{}
	}
	err := NewScorer(m, pool).Score(batch, func(shard, seq, pos int, target int32, row []float32) {
		targets[shard][at{seq, pos}], logits[shard][at{seq, pos}] = target, slices.Clone(row)
	})
	if err != nil {
		t.Fatal(err)
	}
	for i := range targets[1:] {
		for k, v := range targets[i+1] {
			targets[0][k], logits[0][k] = v, logits[i+1][k]
		}
	}
	return targets[0], logits[0]
}

// Targets that repeat the tokens change no bit, and neither do targets of predictions that are not made.
func TestTargetsChangeNothingElse(t *testing.T) {
	pool := tensor.NewPool(1)
	for name, cfg := range kinds {
		trainer := NewTrainer(loud(t, cfg, 5), pool)
		gradient := func(batch []Sequence) (float64, []float32) {
			loss, err := trainer.Gradient(batch, CrossEntropy(.3))
			if err != nil {
				t.Fatal(err)
			}
			return loss, slices.Clone(trainer.Grad)
		}
		batch := raggedBatch(cfg, 6, 20)
		wantLoss, want := gradient(batch)
		for i := range batch {
			s := &batch[i]
			s.Targets = slices.Clone(s.Tokens)
			for j := range s.Targets {
				if j == 0 || s.Weight == nil || s.Weight[j] == 0 {
					s.Targets[j] = (s.Targets[j] + 1) % int32(cfg.Vocab)
				}
			}
		}
		if loss, got := gradient(batch); loss != wantLoss || !sameBits(got, want) {
			t.Errorf("%s: targets that are the tokens change the loss from %g to %g, or the gradient", name, wantLoss, loss)
		}
	}
}

// What was written over can be learned: after each digit another was written than stands there, always the next but one.
func TestLearnsWhatWasWrittenOver(t *testing.T) {
	cfg := Config{Layers: 1, Heads: 2, Width: 16, Context: 12, Vocab: 7, Positions: []string{None}}
	m, err := New(cfg, rng.New(1))
	if err != nil {
		t.Fatal(err)
	}
	pool := tensor.NewPool(1)
	trainer := NewTrainer(m, pool)
	batch := make([]Sequence, 7)
	src := rng.New(2)
	for i := range batch {
		s := &batch[i]
		for j := range 12 {
			s.Tokens = append(s.Tokens, int32(src.IntN(7)))
			s.Targets = append(s.Targets, (s.Tokens[max(0, j-1)]+2)%7)
			s.Weight = append(s.Weight, 1)
		}
	}
	var last float64
	for range 150 {
		if last, err = trainer.Gradient(batch, CrossEntropy(1./77)); err != nil {
			t.Fatal(err)
		}
		kernel.Axpy(m.Flat(), -.5, trainer.Grad)
	}
	if last > .1 {
		t.Errorf("the loss went to %g, want below .1", last)
	}
}
