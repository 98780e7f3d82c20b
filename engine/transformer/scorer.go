package transformer

import (
	"fmt"

	"candor/engine/tensor"
)

// Scorer computes predictions of a model without gradients. It is for one goroutine.
type Scorer struct {
	// Hook, if set, sees hidden states as they are computed, under the names that TransformerLens uses:
	//
	//	hook_embed                  [n,width]  token embedding, with positions and shift
	//	blocks.i.hook_resid_pre     [n,width]  into block i
	//	blocks.i.attn.hook_pattern  [heads,n,n] flattened to rows of width n: attention of queries (rows) to keys
	//	blocks.i.attn.hook_z        [n,width]  heads' outputs side by side
	//	blocks.i.hook_attn_out      [n,width]  attention's addition to the residual stream
	//	blocks.i.hook_resid_mid     [n,width]  between attention and MLP
	//	blocks.i.mlp.hook_post      [n,4*width] after GELU
	//	blocks.i.hook_mlp_out       [n,width]  the MLP's addition to the residual stream
	//	blocks.i.hook_resid_post    [n,width]  out of block i
	//	ln_final.hook_normalized    [n,width]  after the last LayerNorm
	//
	// It is called for one sequence at a time (seq is its index in the batch), on the calling goroutine, with n rows: one
	// for each token, but at most context. The rows are only valid during the call and may not be changed.
	Hook func(name string, seq int, rows []float32, width int)

	model   *Model
	packed  *Packed
	pool    *tensor.Pool
	workers workers
	batch   []Sequence
	visit   func(shard, seq, pos int, target int32, logits []float32)
	bounds  [Shards + 1]int
	run     func(int)
}

// NewScorer returns a scorer that works on pool's threads.
func NewScorer(m *Model, pool *tensor.Pool) *Scorer {
	s := &Scorer{model: m, packed: NewPacked(m), pool: pool}
	s.run = s.runShard
	return s
}

// Score calls visit for each prediction of weight other than 0: of target = batch[seq].Tokens[pos], or Targets[pos] if set, from Tokens[:pos]. visit
// may overwrite the logits [vocab], which are only valid during the call. Calls for different shards (0..Shards-1) may be
// concurrent; those of one shard come in order. visit may be nil if only Hook matters. The error says which sequence is
// invalid and why; nothing was visited then.
func (s *Scorer) Score(batch []Sequence, visit func(shard, seq, pos int, target int32, logits []float32)) error {
	if err := s.model.Config.check(batch); err != nil {
		return fmt.Errorf("score a batch: %w", err)
	}
	s.batch, s.visit = batch, visit
	cut(batch, &s.bounds)
	s.packed.Pack(s.pool, false)
	if s.Hook != nil {
		for i := range Shards {
			s.runShard(i)
		}
	} else {
		s.pool.Run(Shards, s.run)
	}
	s.batch, s.visit = nil, nil
	return nil
}

func (s *Scorer) runShard(i int) {
	w := s.workers.take()
	defer s.workers.put(w)
	for next := s.bounds[i]; next < s.bounds[i+1]; {
		next = w.chunk.fill(s.batch, next, s.bounds[i+1], s.model.Config, s.Hook != nil)
		if len(w.chunk.rows) == 0 && s.Hook == nil {
			continue
		}
		logits := w.forward(s.model, s.packed, nil, s.Hook)
		if s.visit == nil {
			continue
		}
		rows, vocab := w.tape.Data(logits), s.model.Config.Vocab
		for j, seq := range w.chunk.seqs {
			pos := int(w.chunk.at[j])
			s.visit(i, int(seq), pos, s.batch[seq].target(pos), rows[j*vocab:(j+1)*vocab])
		}
	}
}
