package decode

import (
	"cmp"
	"math"
	"slices"

	"candor/engine/kernel"
	"candor/internal/rng"
)

// chooser picks tokens from logits. It holds scratch for one goroutine.
type chooser struct {
	probs   []float32
	allowed []float32
	kept    []candidate
}

type candidate struct {
	prob  float32
	token int32
}

// choose picks the completion's token of index at and returns it with its log-probability at temperature 1, nothing banned.
// It draws at most one number from src. The logits are only read: completions of one prompt share those of the first token.
func (c *chooser) choose(r *Request, at int, src *rng.Source, logits []float32) (token int32, logProb float32) {
	c.probs = append(c.probs[:0], logits...)
	total := kernel.Softmax(c.probs, logits)
	allowed := logits
	if len(r.Ban) > 0 && at >= r.BanFrom {
		c.allowed = append(c.allowed[:0], logits...)
		allowed = c.allowed
		for _, b := range r.Ban {
			allowed[b] = float32(math.Inf(-1))
		}
		kernel.Softmax(c.probs, allowed)
	}
	switch {
	case r.Temperature == 0 || r.TopK == 1:
		token = likeliest(allowed)
	case r.TopK > 0 && r.TopK < len(logits) || r.TopP > 0 && r.TopP < 1:
		c.temper(r, allowed)
		token = c.truncated(r, src)
	default:
		c.temper(r, allowed)
		token = draw(c.probs, src.Float64())
	}
	return token, min(logits[token]-total, 0)
}

// likeliest returns the index of the largest number, of equals the first.
func likeliest(x []float32) int32 {
	best := 0
	for i, v := range x {
		if v > x[best] {
			best = i
		}
	}
	return int32(best)
}

// temper turns probs from the softmax of logits into that of logits/temperature.
func (c *chooser) temper(r *Request, logits []float32) {
	if r.Temperature == 1 {
		return
	}
	// the largest becomes 0 first, so that a tiny temperature cannot overflow
	top := logits[likeliest(logits)]
	scale := 1 / r.Temperature
	for i, v := range logits {
		c.probs[i] = float32(math.Max(float64(v-top)*scale, -math.MaxFloat32))
	}
	kernel.Softmax(c.probs, c.probs)
}

// draw returns the index at which the running sum of probs passes u, a number in [0,1).
func draw(probs []float32, u float64) int32 {
	var sum float64
	last := 0
	for i, p := range probs {
		if p > 0 {
			sum += float64(p)
			last = i
			if u < sum {
				break
			}
		}
	}
	return int32(last) // rounding can leave the sum a little below u: then the last possible one
}

// truncated draws from what TopK and TopP leave of probs.
func (c *chooser) truncated(r *Request, src *rng.Source) int32 {
	c.kept = c.kept[:0]
	for i, p := range c.probs {
		c.kept = append(c.kept, candidate{p, int32(i)})
	}
	slices.SortFunc(c.kept, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(b.prob, a.prob), cmp.Compare(a.token, b.token))
	})
	if r.TopK > 0 && r.TopK < len(c.kept) {
		c.kept = c.kept[:r.TopK]
	}
	var sum float64
	for _, k := range c.kept {
		sum += float64(k.prob)
	}
	if r.TopP > 0 && r.TopP < 1 {
		enough := r.TopP * sum
		sum = 0
		for i, k := range c.kept {
			sum += float64(k.prob)
			if sum >= enough {
				c.kept = c.kept[:i+1]
				break
			}
		}
	}
	u := src.Float64() * sum
	sum = 0
	for _, k := range c.kept {
		sum += float64(k.prob)
		if u < sum {
			return k.token
		}
	}
	return c.kept[len(c.kept)-1].token
}

// ended says whether the tokens so far end in one of the request's stops.
func ended(r *Request, tokens []int32) bool {
	last := tokens[len(tokens)-1]
	for _, stop := range r.Stop {
		if last == stop {
			return true
		}
	}
	for _, seq := range r.StopSeqs {
		if endsIn(tokens, seq) {
			return true
		}
	}
	return false
}

func endsIn(tokens, seq []int32) bool {
	n := len(tokens) - len(seq)
	return n >= 0 && slices.Equal(tokens[n:], seq)
}
