package transformer

import (
	"fmt"

	"candor/engine/nn"
)

// Sequence is one text of a batch.
type Sequence struct {
	// Tokens are ids below the vocabulary's size: 1 up to context+1 of them, for the last may be a target only.
	Tokens []int32
	// Weight has one number for each token: Weight[i] weighs the prediction of Tokens[i] from Tokens[:i]. Weight[0] is not
	// used. Predictions of weight 0 are not made at all; nil stands for zeros.
	Weight []float32
	// Targets, if set, are what is predicted in place of Tokens: Targets[i] from Tokens[:i]. It is how one learns from words that
	// were written over before the text went on.
	Targets []int32
	// Blocks cut paths of attention, in all layers and heads.
	Blocks []Block
}

// Block forbids queries at positions in From to attend to keys in To. A query with no key left gets zeros from attention.
type Block struct{ From, To Span }

// Span is the range of positions [Start,End), with a name for people.
type Span struct {
	Name       string
	Start, End int
}

// Shards is the number of parts into which every batch is cut. It is fixed, since sums of float32 depend on where they are
// cut; more threads than this bring nothing.
const Shards = 8

// chunkTokens is how many tokens a shard carries through the model at once. In a narrow model a layer's activations then stay
// in the second-level cache; in a wide one they would not, and more tokens read the weights less often. Like Shards it is part
// of what gradients' last bits depend on.
func (c Config) chunkTokens() int {
	if c.Width < 128 {
		return 168
	}
	return 336
}

// check says what is wrong with the batch, naming the sequence and the position.
func (c Config) check(batch []Sequence) error {
	for i := range batch {
		s := &batch[i]
		n := len(s.Tokens)
		if n < 1 || n > c.Context+1 {
			return fmt.Errorf("sequence %d has %d tokens: a context of %d takes 1 to %d", i, n, c.Context, c.Context+1)
		}
		for j, tok := range s.Tokens {
			if tok < 0 || int(tok) >= c.Vocab {
				return fmt.Errorf("sequence %d, position %d: token %d is outside the vocabulary of %d", i, j, tok, c.Vocab)
			}
		}
		if s.Weight != nil && len(s.Weight) != n {
			return fmt.Errorf("sequence %d has %d weights for %d tokens", i, len(s.Weight), n)
		}
		if s.Targets != nil && len(s.Targets) != n {
			return fmt.Errorf("sequence %d has %d targets for %d tokens", i, len(s.Targets), n)
		}
		for j, tok := range s.Targets {
			if tok < 0 || int(tok) >= c.Vocab {
				return fmt.Errorf("sequence %d, position %d: target %d is outside the vocabulary of %d", i, j, tok, c.Vocab)
			}
		}
		for j, w := range s.Weight {
			if d := w - w; d != 0 {
				return fmt.Errorf("sequence %d, position %d: the weight is %g, but must be finite", i, j, w)
			}
		}
		for _, b := range s.Blocks {
			for _, sp := range [...]Span{b.From, b.To} {
				if sp.Start < 0 || sp.Start > sp.End || sp.End > n {
					return fmt.Errorf("sequence %d: span %q is [%d,%d), which is no range within %d tokens", i, sp.Name, sp.Start, sp.End, n)
				}
			}
		}
	}
	return nil
}

// target returns what is predicted at position i.
func (s *Sequence) target(i int) int32 {
	if s.Targets != nil {
		return s.Targets[i]
	}
	return s.Tokens[i]
}

// needed returns how many tokens of s must be read to make its weighted predictions.
func (s *Sequence) needed() int {
	for i := len(s.Weight) - 1; i > 0; i-- {
		if s.Weight[i] != 0 {
			return i
		}
	}
	return 0
}

// cut puts the bounds of Shards contiguous ranges of sequences into bounds, so that each has about as many tokens to read.
func cut(batch []Sequence, bounds *[Shards + 1]int) {
	total := 0
	for i := range batch {
		total += batch[i].needed()
	}
	shard, seen := 0, 0
	for i := range batch {
		n := batch[i].needed()
		// Shard k begins with the first sequence whose middle lies at or behind the share k/Shards of all tokens.
		for mid := 2*seen + n; shard < Shards && mid*Shards >= 2*total*shard; shard++ {
			bounds[shard] = i
		}
		seen += n
	}
	for ; shard <= Shards; shard++ {
		bounds[shard] = len(batch)
	}
}

// chunk is some whole sequences of a batch, laid out for package nn.
type chunk struct {
	ragged nn.Ragged
	first  int     // the first sequence's index in the batch
	rows   []int32 // rows whose predictions are weighted
	seqs   []int32 // for each of rows, the index of its sequence in the batch
	at     []int32 // for each of rows, the position of its target
}

// fill takes sequences from batch[first:end] as long as they fit and returns the index of the next one. With whole set, all
// tokens are read, not just those that predictions need.
func (c *chunk) fill(batch []Sequence, first, end int, cfg Config, whole bool) (next int) {
	c.first = first
	r := &c.ragged
	r.Tokens, r.Masks = r.Tokens[:0], r.Masks[:0]
	r.Starts = append(r.Starts[:0], 0)
	c.rows, c.seqs, c.at = c.rows[:0], c.seqs[:0], c.at[:0]
	for next = first; next < end; next++ {
		s := &batch[next]
		n := s.needed()
		if whole {
			n = min(len(s.Tokens), cfg.Context)
		}
		if next > first && len(r.Tokens)+n > cfg.chunkTokens() {
			break
		}
		start := len(r.Tokens)
		for i := 1; i < len(s.Weight); i++ {
			if s.Weight[i] != 0 {
				c.rows = append(c.rows, int32(start+i-1))
				c.seqs = append(c.seqs, int32(next))
				c.at = append(c.at, int32(i))
			}
		}
		for _, b := range s.Blocks {
			r.Masks = append(r.Masks, nn.Mask{
				Seq: int32(next - first), FromStart: int32(b.From.Start), FromEnd: int32(b.From.End),
				ToStart: int32(b.To.Start), ToEnd: int32(b.To.End),
			})
		}
		r.Tokens = append(r.Tokens, s.Tokens[:n]...)
		r.Starts = append(r.Starts, int32(len(r.Tokens)))
	}
	return next
}
