package grpo

import (
	"math"
	"slices"
	"testing"

	"candor/internal/rng"
)

// objective64 is the package comment's w L for one token, written out in float64 with no regard for speed.
func objective64(z []float64, target int, temperature, old, ref, adv, low, high, beta, bonus, weight float64) float64 {
	var sum float64
	for _, x := range z {
		sum += math.Exp(x / temperature)
	}
	var entropy float64
	for _, x := range z {
		p := math.Exp(x/temperature) / sum
		entropy -= p * math.Log(p)
	}
	logp := z[target]/temperature - math.Log(sum)
	rho := math.Exp(logp - old)
	clipped := math.Max(1-low, math.Min(1+high, rho))
	r := math.Exp(ref - logp)
	return weight * (-math.Min(rho*adv, clipped*adv) + beta*(r-math.Log(r)-1) - bonus*entropy)
}

func TestRowAgreesWithFiniteDifferences(t *testing.T) {
	const vocab, low, high, h = 7, .2, .28, 1e-4
	src := rng.New(8)
	clippedLow, clippedHigh, free := 0, 0, 0
	for _, temperature := range []float64{1, .6, 1.7} {
		for _, beta := range []float64{0, .3} {
			for _, bonus := range []float64{0, .2} {
				for range 60 {
					z, logits := make([]float64, vocab), make([]float32, vocab)
					for j := range z {
						logits[j] = float32(2 * src.Norm())
						z[j] = float64(logits[j])
					}
					target := src.IntN(vocab)
					f := func(z []float64, old, ref, adv, weight float64) float64 {
						return objective64(z, target, temperature, old, ref, adv, low, high, beta, bonus, weight)
					}
					// -f with old 0, advantage 1, no clipping in the way and nothing else is the ratio to old 0.
					logp := math.Log(-objective64(z, target, temperature, 0, 0, 1, 1, 1e9, 0, 0, 1))
					// Ratios from .6 to 1.6, but not next to a kink, where the two-sided difference is no derivative.
					ratio := .6 + src.Float64()
					if math.Abs(ratio-(1-low)) < .01 || math.Abs(ratio-(1+high)) < .01 {
						ratio = 1
					}
					old, ref := logp-math.Log(ratio), logp+.7*src.Norm()
					adv, weight := src.Norm(), .1+src.Float64()

					l := &surrogate{
						temperature: temperature, clipLow: low, clipHigh: high, beta: beta, bonus: bonus,
						first: []int{-3}, weight: []float64{weight}, rows: &rows{adv: []float64{0, adv}, old: []float64{0, old}, ref: []float64{0, ref}, banned: make([][]int32, 2)},
					}
					value := l.Row(2, 0, 4, int32(target), 1, logits)
					if want := f(z, old, ref, adv, weight); math.Abs(value-want) > 1e-5 {
						t.Fatalf("loss %g, want %g", value, want)
					}
					for j := range z {
						up, down := append([]float64(nil), z...), append([]float64(nil), z...)
						up[j] += h
						down[j] -= h
						want := (f(up, old, ref, adv, weight) - f(down, old, ref, adv, weight)) / (2 * h)
						if math.Abs(float64(logits[j])-want) > 1e-5*(1+math.Abs(want)) {
							t.Fatalf("T %g, beta %g, bonus %g, ratio %g, advantage %g: gradient %d is %g, want %g",
								temperature, beta, bonus, ratio, adv, j, logits[j], want)
						}
					}
					s := l.shards[2]
					clippedLow, clippedHigh = clippedLow+s.low, clippedHigh+s.high
					if s.low+s.high == 0 {
						free++
					}
					if (s.low == 1) != (adv < 0 && ratio < 1-low) || (s.high == 1) != (adv > 0 && ratio > 1+high) {
						t.Errorf("ratio %g with advantage %g was counted as low %d, high %d", ratio, adv, s.low, s.high)
					}
				}
			}
		}
	}
	if clippedLow < 30 || clippedHigh < 30 || free < 30 {
		t.Errorf("%d rows clipped below, %d above, %d free: the test misses a side", clippedLow, clippedHigh, free)
	}
}

// A token that could not be sampled does not exist: not in the loss, not in its gradient, which is exactly 0 for it, and not
// in what is recorded. What its logit was does not matter.
func TestBannedTokensDoNotExist(t *testing.T) {
	const vocab, h = 7, 1e-4
	src := rng.New(9)
	for _, temperature := range []float64{.1, 1, 30} {
		for count := range vocab {
			for range 20 {
				perm := src.Perm(vocab)
				banned := make([]int32, count)
				for i := range banned {
					banned[i] = int32(perm[i])
				}
				target := int32(perm[count])
				logits, other := make([]float32, vocab), make([]float32, vocab)
				for j := range logits {
					logits[j] = float32(2 * temperature * src.Norm())
				}
				copy(other, logits)
				for _, b := range banned {
					other[b] = float32(1e4 * src.Norm())
				}
				z := make([]float64, vocab)
				for j := range z {
					z[j] = float64(logits[j])
				}
				f := func(z []float64, old, ref, adv, weight float64) float64 {
					left, at := allowed(z, banned, target)
					return objective64(left, at, temperature, old, ref, adv, .2, .28, .3, .2, weight)
				}
				logp := logProb64(z, banned, target, temperature)
				old, ref, adv, weight := logp-.1*src.Float64(), logp+.7*src.Norm(), src.Norm(), .1+src.Float64()
				l := &surrogate{
					temperature: temperature, clipLow: .2, clipHigh: .28, beta: .3, bonus: .2,
					first: []int{0, 1}, weight: []float64{weight, weight},
					rows: &rows{adv: []float64{0, adv, adv}, old: []float64{0, old, old}, ref: []float64{0, ref, ref}, banned: [][]int32{nil, banned, append(banned, banned...)}},
				}
				value, again := l.Row(2, 0, 1, target, 1, logits), l.Row(3, 1, 1, target, 1, other)
				if want := f(z, old, ref, adv, weight); math.Abs(value-want) > 1e-5 || value != again {
					t.Fatalf("T %g, %d banned: loss %g, with other logits of banned tokens %g, want %g", temperature, count, value, again, want)
				}
				if l.shards[2].entropy != l.shards[3].entropy {
					t.Fatalf("T %g, %d banned: entropy %g, with other logits of banned tokens %g", temperature, count, l.shards[2].entropy, l.shards[3].entropy)
				}
				for j := range z {
					if logits[j] != other[j] {
						t.Fatalf("T %g, %d banned: gradient %v, with other logits of banned tokens %v", temperature, count, logits, other)
					}
					if slices.Contains(banned, int32(j)) {
						if logits[j] != 0 {
							t.Fatalf("T %g: banned token %d has gradient %g", temperature, j, logits[j])
						}
						continue
					}
					up, down := slices.Clone(z), slices.Clone(z)
					up[j] += h * temperature
					down[j] -= h * temperature
					want := (f(up, old, ref, adv, weight) - f(down, old, ref, adv, weight)) / (2 * h * temperature)
					if math.Abs(float64(logits[j])-want) > 1e-5*(1+math.Abs(want)) {
						t.Fatalf("T %g, %d banned: gradient %d is %g, want %g", temperature, count, j, logits[j], want)
					}
				}
			}
		}
	}
}

// On the first update the ratio must be exactly 1 whatever old holds, and old must hold the sampling policy afterwards.
func TestOnPolicyRowRecordsOld(t *testing.T) {
	l := &surrogate{
		temperature: 1, clipLow: .2, clipHigh: .28, onPolicy: true,
		first: []int{0}, weight: []float64{1}, rows: &rows{adv: []float64{0, 2}, old: []float64{0, 99}, banned: make([][]int32, 2)},
	}
	value := l.Row(0, 0, 1, 1, 1, []float32{0, 0, 0, 0})
	if value != -2 {
		t.Errorf("loss %g, want minus the advantage, -2", value)
	}
	if math.Abs(l.rows.old[1]+math.Log(4)) > 1e-6 {
		t.Errorf("old is %g, want log 1/4", l.rows.old[1])
	}
	l.rows.banned[1] = []int32{0, 3}
	if value := l.Row(0, 0, 1, 1, 1, []float32{9, 0, 0, 9}); value != -2 || math.Abs(l.rows.old[1]+math.Log(2)) > 1e-6 {
		t.Errorf("loss %g, old %g, want -2 and log 1/2 where two of four tokens are banned", value, l.rows.old[1])
	}
}

func TestPageRowIsCrossEntropy(t *testing.T) {
	l := &surrogate{pageScale: .25}
	logits := []float32{0, 0}
	value := l.Row(0, 0, 3, 1, 2, logits)
	if math.Abs(value-.5*math.Log(2)) > 1e-6 || math.Abs(float64(logits[0])-.25) > 1e-6 || math.Abs(float64(logits[1])+.25) > 1e-6 {
		t.Errorf("loss %g with gradient %v, want .5 log 2 with .25, -.25", value, logits)
	}
}
