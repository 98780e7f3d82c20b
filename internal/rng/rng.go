// Package rng is candor's only source of randomness: named, splittable streams.
//
// A [Source] is a key. [Source.Split] derives a child key from a name, so that every consumer draws from a stream of its
// own whose numbers do not depend on who else drew before: the sampler of sequence 7 sees the same numbers whether
// sequences 0 to 6 ran first, at the same time or not at all. That is what makes results bitwise equal for any number
// of threads and after a resume: there is no generator state to store, only a seed and names.
//
//	root := rng.New(seed)
//	for step := range steps {
//		src := root.Split("pretrain").SplitN("step", step)
//		...
//	}
//
// Splitting hashes with FNV-1a and mixes with the finaliser of SplitMix64 (Steele, Lea and Flood 2014); the stream
// itself is math/rand/v2's PCG-DXSM. No other package may import math/rand (see internal/archtest).
package rng

import (
	"math"
	"math/rand/v2"
)

// Source is a stream of random numbers and, at the same time, a key from which further streams are split. The zero value
// is a valid stream. A Source is a small value: copy it freely, but a copy repeats the numbers of the original. It is not
// safe for concurrent use; split one for each goroutine instead.
type Source struct {
	hi, lo uint64
	pcg    rand.PCG
	drawn  bool
}

// New returns the root stream of a seed.
func New(seed uint64) Source { return fromKey(mix(seed), mix(seed^0x9e3779b97f4a7c15)) }

func fromKey(hi, lo uint64) Source {
	s := Source{hi: hi, lo: lo}
	s.pcg.Seed(hi, lo)
	s.drawn = true
	return s
}

// Split returns the child stream called name. It depends on s's key and the name alone, not on what was drawn from s.
func (s Source) Split(name string) Source {
	h := uint64(14695981039346656037)
	for i := range len(name) {
		h = (h ^ uint64(name[i])) * 1099511628211
	}
	return fromKey(mix(s.hi^h), mix(s.lo+mix(h)))
}

// SplitN returns the nth child stream called name; it is what Split gives for a name with a number, without allocating.
func (s Source) SplitN(name string, n int) Source {
	c := s.Split(name)
	return fromKey(mix(c.hi+uint64(n)*0xbf58476d1ce4e5b9), mix(c.lo^mix(uint64(n)+1)))
}

func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// Uint64 returns the next 64 random bits.
func (s *Source) Uint64() uint64 {
	if !s.drawn {
		s.pcg.Seed(s.hi, s.lo)
		s.drawn = true
	}
	return s.pcg.Uint64()
}

// Float64 returns a number in [0,1) with 53 random bits.
func (s *Source) Float64() float64 { return float64(s.Uint64()>>11) / (1 << 53) }

// IntN returns a number in [0,n) without modulo bias. It panics if n < 1.
func (s *Source) IntN(n int) int {
	if n < 1 {
		panic("rng: IntN of a number below 1")
	}
	limit := math.MaxUint64 - math.MaxUint64%uint64(n)
	for {
		if x := s.Uint64(); x < limit {
			return int(x % uint64(n))
		}
	}
}

// Between returns a number in [lo,hi], both ends included. It panics if hi < lo.
func (s *Source) Between(lo, hi int) int { return lo + s.IntN(hi-lo+1) }

// Bool returns true with probability p.
func (s *Source) Bool(p float64) bool { return s.Float64() < p }

// Norm returns a standard normal number (Box and Muller 1958).
func (s *Source) Norm() float64 {
	u := 1 - s.Float64()
	return math.Sqrt(-2*math.Log(u)) * math.Cos(2*math.Pi*s.Float64())
}

// Shuffle permutes n elements by Fisher and Yates.
func (s *Source) Shuffle(n int, swap func(i, j int)) {
	for i := n - 1; i > 0; i-- {
		swap(i, s.IntN(i+1))
	}
}

// Perm returns a random permutation of 0..n-1.
func (s *Source) Perm(n int) []int {
	p := make([]int, n)
	for i := range p {
		p[i] = i
	}
	s.Shuffle(n, func(i, j int) { p[i], p[j] = p[j], p[i] })
	return p
}

// Weighted returns an index with probability proportional to its weight. Weights are non-negative with a positive sum;
// it panics otherwise.
func (s *Source) Weighted(weights []float64) int {
	var sum float64
	for _, w := range weights {
		if !(w >= 0) {
			panic("rng: a weight is negative or NaN")
		}
		sum += w
	}
	if !(sum > 0) || math.IsInf(sum, 1) {
		panic("rng: weights without a positive finite sum")
	}
	x := s.Float64() * sum
	last := 0
	for i, w := range weights {
		if w == 0 {
			continue
		}
		last = i
		if x < w {
			return i
		}
		x -= w
	}
	return last
}
