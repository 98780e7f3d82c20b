package transformer

import (
	"fmt"

	"candor/engine/kernel"
	"candor/engine/tensor"
)

// Loss turns rows of logits into a loss and its gradient.
type Loss interface {
	// Row is called once for each weighted prediction: of target = batch[seq].Tokens[pos], or Targets[pos] if set, from Tokens[:pos]. It replaces
	// the logits [vocab] by the gradient of its loss with respect to them, and returns the loss. Weight and any scale must
	// be applied to both. Calls for different shards (0..Shards-1) may be concurrent; those of one shard come in order.
	Row(shard int, seq, pos int, target int32, weight float32, logits []float32) (loss float64)
}

// CrossEntropy returns the loss scale x weight x -log p(target).
func CrossEntropy(scale float32) Loss { return crossEntropy{scale} }

type crossEntropy struct{ scale float32 }

func (c crossEntropy) Row(_ int, _, _ int, target int32, weight float32, logits []float32) float64 {
	scale := c.scale * weight
	logit := logits[target]
	surprise := kernel.Softmax(logits, logits) - logit
	kernel.Scale(logits, scale)
	logits[target] -= scale
	return float64(scale) * float64(surprise)
}

// Trainer computes gradients of a model.
type Trainer struct {
	// Grad is the gradient of the latest batch, one number for each of Model.Flat. The next Gradient overwrites it.
	Grad []float32

	model   *Model
	packed  *Packed
	pool    *tensor.Pool
	workers workers
	shards  [Shards]struct {
		grad  []float32
		views Weights
		used  bool
		loss  float64
	}
	// The current batch, and the two phases as functions that need no allocation.
	batch       []Sequence
	loss        Loss
	bounds      [Shards + 1]int
	run, reduce func(int)
}

// NewTrainer returns a trainer that works on pool's threads. It needs memory for 9 gradients. It is for one goroutine, and
// the model must not be changed during Gradient.
func NewTrainer(m *Model, pool *tensor.Pool) *Trainer {
	t := &Trainer{model: m, packed: NewPacked(m), pool: pool, Grad: make([]float32, len(m.flat))}
	for i := range t.shards {
		s := &t.shards[i]
		s.grad = make([]float32, len(m.flat))
		s.views = m.Config.views(s.grad)
	}
	t.run, t.reduce = t.runShard, t.reduceRange
	return t
}

// Gradient returns the sum of loss over all weighted predictions of the batch and puts its gradient into Grad. The error
// says which sequence is invalid and why; Grad is then unchanged.
func (t *Trainer) Gradient(batch []Sequence, loss Loss) (float64, error) {
	if err := t.model.Config.check(batch); err != nil {
		return 0, fmt.Errorf("compute a gradient: %w", err)
	}
	t.batch, t.loss = batch, loss
	cut(batch, &t.bounds)
	t.packed.Pack(t.pool, true)
	t.pool.Run(Shards, t.run)
	t.pool.Run((len(t.Grad)+reduceSize-1)/reduceSize, t.reduce)
	t.batch, t.loss = nil, nil
	var sum float64
	for i := range t.shards {
		sum += t.shards[i].loss
	}
	return sum, nil
}

// runShard fills the gradient buffer of shard i.
func (t *Trainer) runShard(i int) {
	s := &t.shards[i]
	s.used, s.loss = false, 0
	w := t.workers.take()
	defer t.workers.put(w)
	for next := t.bounds[i]; next < t.bounds[i+1]; {
		next = w.chunk.fill(t.batch, next, t.bounds[i+1], t.model.Config, false)
		if len(w.chunk.rows) == 0 {
			continue
		}
		if !s.used {
			clear(s.grad)
			s.used = true
		}
		logits := w.forward(t.model, t.packed, &s.views, nil)
		rows, vocab := w.tape.Data(logits), t.model.Config.Vocab
		for j, seq := range w.chunk.seqs {
			pos := int(w.chunk.at[j])
			q := &t.batch[seq]
			s.loss += t.loss.Row(i, int(seq), pos, q.target(pos), q.Weight[pos], rows[j*vocab:(j+1)*vocab])
		}
		w.tape.Backward(logits)
	}
}

// reduceSize is how many parameters are summed over the shards at once.
const reduceSize = 8192

// reduceRange sums one range of the shards' gradients, first shard to last.
func (t *Trainer) reduceRange(i int) {
	lo := i * reduceSize
	hi := min(lo+reduceSize, len(t.Grad))
	sum := t.Grad[lo:hi]
	clear(sum)
	for j := range t.shards {
		if s := &t.shards[j]; s.used {
			kernel.Add(sum, s.grad[lo:hi])
		}
	}
}
