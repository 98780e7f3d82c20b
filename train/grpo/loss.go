package grpo

import (
	"math"

	"candor/engine/kernel"
	"candor/engine/transformer"
)

// rows is what is known about each token that was written, rollout after rollout and in them turn after turn. The
// surrogates of all policies share it, for each token is one policy's.
type rows struct {
	adv    []float64 // A
	old    []float64 // log p_old
	ref    []float64 // log p_ref, where beta > 0
	banned [][]int32 // tokens that could not be sampled; nil where all could
}

// surrogate is the loss of the package comment, for one policy. The first len(first) sequences of its batch are turns, the
// others pretraining pages.
type surrogate struct {
	temperature       float64
	clipLow, clipHigh float64
	beta, bonus       float64 // KLBeta and Entropy
	onPolicy          bool    // the parameters are those that sampled: record old instead of reading it
	pageScale         float32 // PretrainShare / predicted tokens of all pages

	first  []int     // what to add to a position in sequence i to get its row; may be negative
	weight []float64 // w of sequence i
	rows   *rows

	shards [transformer.Shards]shard
}

// shard is what the rows of one shard add up to, and its scratch. Sums of shards are added in order.
type shard struct {
	kl, entropy, pages float64
	low, high          int
	probs              []float32
	_                  [64]byte // keeps shards on cache lines of their own
}

// logProb returns the log-probability of target; the logits [vocab] must already be divided by the temperature.
func logProb(logits []float32, target int32) float64 {
	return float64(logits[target] - kernel.LogSumExp(logits))
}

// ban makes tokens impossible. The number is finite, so that 0 times it is 0.
func ban(logits []float32, banned []int32) {
	for _, b := range banned {
		logits[b] = -1e30
	}
}

// temper divides logits by the temperature.
func temper(logits []float32, temperature float64) {
	if temperature != 1 {
		kernel.Scale(logits, float32(1/temperature))
	}
}

// Row implements [transformer.Loss].
func (l *surrogate) Row(shardIndex, seq, pos int, target int32, weight float32, logits []float32) float64 {
	s := &l.shards[shardIndex]
	if seq >= len(l.first) {
		return l.page(s, target, weight, logits)
	}
	row := l.first[seq] + pos
	banned := l.rows.banned[row]
	ban(logits, banned)
	temper(logits, l.temperature)
	if len(s.probs) != len(logits) {
		s.probs = make([]float32, len(logits))
	}
	probs := s.probs
	lse := kernel.Softmax(probs, logits)
	logp := float64(logits[target] - lse)
	entropy := float64(lse - kernel.Dot(probs, logits))
	s.entropy += entropy

	if l.onPolicy {
		l.rows.old[row] = logp
	}
	value, slope := l.objective(s, logp, l.rows.old[row], l.rows.adv[row])
	if l.beta > 0 {
		r := l.rows.ref[row] - logp
		k3 := math.Exp(r) - r - 1
		s.kl += k3
		value += l.beta * k3
		slope += l.beta * (1 - math.Exp(r))
	}
	value -= l.bonus * entropy

	// With z the tempered logits, log p(a) has the gradient [j=a] - p_j and H has -p_j (log p_j + H).
	w := l.weight[seq]
	scale := w / l.temperature
	g, c := float32(scale*slope), float32(scale*l.bonus)
	shift := float32(entropy) - lse
	for j, p := range probs {
		logits[j] = p * (c*(logits[j]+shift) - g)
	}
	logits[target] += g
	for _, b := range banned {
		logits[b] = 0
	}
	return w * value
}

// objective returns the clipped term of the loss and its derivative with respect to logp.
func (l *surrogate) objective(s *shard, logp, old, adv float64) (value, slope float64) {
	ratio := math.Exp(logp - old)
	switch {
	case adv > 0 && ratio > 1+l.clipHigh:
		s.high++
		return -(1 + l.clipHigh) * adv, 0
	case adv < 0 && ratio < 1-l.clipLow:
		s.low++
		return -(1 - l.clipLow) * adv, 0
	}
	return -ratio * adv, -ratio * adv
}

// page is the cross-entropy of a token of a pretraining page.
func (l *surrogate) page(s *shard, target int32, weight float32, logits []float32) float64 {
	logit := logits[target]
	surprise := float64(kernel.Softmax(logits, logits) - logit)
	s.pages += float64(weight) * surprise
	scale := l.pageScale * weight
	kernel.Scale(logits, scale)
	logits[target] -= scale
	return float64(scale) * surprise
}

// clear resets the sums of all shards.
func (l *surrogate) clear() {
	for i := range l.shards {
		s := &l.shards[i]
		s.kl, s.entropy, s.pages, s.low, s.high = 0, 0, 0, 0, 0
	}
}
