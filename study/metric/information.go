package metric

import (
	"fmt"
	"math"
	"slices"

	"candor/internal/rng"
)

// Entropy returns the entropy in bits of a sample of symbols, corrected for the bias of few samples as by Miller (1955)
// and Madow: the plug-in value plus (K-1)/(2n ln 2) for K symbols seen in n draws. Symbols never seen are not corrected
// for, so it stays low where n is not well above the number of symbols. 0 for an empty sample.
func Entropy(symbols []int) float64 {
	counts := map[int]int{}
	for _, s := range symbols {
		counts[s]++
	}
	return entropy(tally(counts), len(symbols))
}

func tally[K comparable](counts map[K]int) []int {
	out := make([]int, 0, len(counts))
	for _, c := range counts {
		out = append(out, c)
	}
	slices.Sort(out) // sums in an order that does not depend on the map
	return out
}

func entropy(counts []int, n int) float64 {
	if n == 0 {
		return 0
	}
	var h float64
	for _, c := range counts {
		p := float64(c) / float64(n)
		h -= p * math.Log2(p)
	}
	return h + float64(len(counts)-1)/(2*float64(n)*math.Ln2)
}

// Information is what one sequence of symbols tells about another.
type Information struct {
	// Bits is the mutual information with Miller and Madow's correction. It can be a little below 0: that means none.
	Bits float64
	// Null is the mean of the same statistic over shuffled pairs, P the share of shuffles (and the sample itself) that
	// reach Bits: small where the information is real.
	Null, P float64
	N       int
}

// MutualInformation estimates I(x;y) = H(x) + H(y) - H(x,y) in bits from pairs (x[i], y[i]), each entropy corrected as
// in [Entropy], and compares it with shuffles of y drawn from a fixed stream. The correction is of first order: with many
// symbol pairs and few samples the estimate is biased, and Null shows by how much. Shuffling supposes independent pairs.
func MutualInformation(x, y []int, shuffles int) Information {
	if len(x) != len(y) {
		panic(fmt.Sprintf("metric: mutual information of %d with %d symbols", len(x), len(y)))
	}
	n := len(x)
	marginal := Entropy(x) + Entropy(y)
	pairs := make(map[[2]int]int, n)
	information := func(y []int) float64 {
		clear(pairs)
		for i := range x {
			pairs[[2]int{x[i], y[i]}]++
		}
		return marginal - entropy(tally(pairs), n)
	}
	out := Information{Bits: information(y), N: n}
	reached := 1
	src := rng.New(0).Split("metric/information")
	shuffled := slices.Clone(y)
	for range shuffles {
		src.Shuffle(n, func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		b := information(shuffled)
		out.Null += b / float64(shuffles)
		if b >= out.Bits {
			reached++
		}
	}
	out.P = float64(reached) / float64(shuffles+1)
	return out
}
