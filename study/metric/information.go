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

// Pair is one observation of two symbols.
type Pair struct {
	Cluster string // names the problem, as in Observation
	X, Y    int
}

// Bits estimates I(x;y) as [MutualInformation] does, the mean over seeds. Its interval is that of package documentation; a
// pair's influence is log2 p(x,y)/(p(x)p(y)) minus the information (the first term of the delta method). A seed with pairs of
// fewer than [MinClusters] problems, such as one whose chains have none of the words looked at, counts as 0 bits: it carries
// nothing there, and leaving it out would show only the seeds that do. Where no seed has pairs of that many, it is not
// reportable, unless there is no pair at all: that is 0 bits.
func Bits(seeds [][]Pair) Estimate { return bits(seeds, false) }

// ShuffledBits is the same with y shuffled within each seed: what Bits would show where there is nothing.
func ShuffledBits(seeds [][]Pair) Estimate { return bits(seeds, true) }

func bits(seeds [][]Pair, shuffled bool) Estimate {
	index := newClusters()
	s := spread{bounds: NonNeg}
	empty, most := 0, 0 // seeds that count as 0, the most problems in one seed
	for _, seed := range seeds {
		s.n += len(seed)
		before := map[int]bool{}
		x, y := make([]int, len(seed)), make([]int, len(seed))
		for i, p := range seed {
			x[i], y[i] = p.X, p.Y
			before[index.of(p.Cluster)] = true
		}
		most = max(most, len(before))
		if len(before) < MinClusters {
			empty++
			s.values, s.errors = append(s.values, 0), append(s.errors, nil)
			continue
		}
		if shuffled {
			src := rng.New(0).Split("metric/shuffled")
			src.Shuffle(len(y), func(i, j int) { y[i], y[j] = y[j], y[i] })
		}
		value := MutualInformation(x, y, 0).Bits
		s.values = append(s.values, max(0, value))
		s.errors = append(s.errors, influences(seed, x, y, index))
	}
	if s.clusters = index.len(); empty == len(seeds) {
		if len(seeds) == 0 || s.n > 0 {
			return NotReportable(s.n, len(seeds), "pairs of only %d problems in a seed, at least %d are needed", most, MinClusters)
		}
		s.clusters = MinClusters // nobody wrote any such word: no bits, for certain
	}
	e := s.estimate()
	if empty > 0 {
		e.note(fmt.Sprintf("%d seeds wrote too few such words and count as 0", empty))
	}
	return e
}

// influences returns by cluster the sum of its pairs' contributions to the error of the information.
func influences(seed []Pair, x, y []int, index *clusters) []float64 {
	n := float64(len(seed))
	px, py, pxy := map[int]float64{}, map[int]float64{}, map[[2]int]float64{}
	for i := range x {
		px[x[i]] += 1 / n
		py[y[i]] += 1 / n
		pxy[[2]int{x[i], y[i]}] += 1 / n
	}
	terms := make([]float64, len(x))
	var mean float64
	for i := range x {
		terms[i] = math.Log2(pxy[[2]int{x[i], y[i]}] / (px[x[i]] * py[y[i]]))
		mean += terms[i] / n
	}
	out := make([]float64, index.len())
	for i, p := range seed {
		out[index.of(p.Cluster)] += (terms[i] - mean) / n
	}
	return out
}
