package metric

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"candor/internal/rng"
)

// speech is a channel: y is one of k totals, and x names it with probability told, else it is any of k words.
type speech struct {
	k    int
	told float64
}

// bits is the channel's information, by its definition.
func (c speech) bits() float64 {
	k := float64(c.k)
	hit, miss := c.told+(1-c.told)/k, (1-c.told)/k
	return math.Log2(k) + xlogx(hit) + (k-1)*xlogx(miss)
}

func xlogx(p float64) float64 {
	if p == 0 {
		return 0
	}
	return p * math.Log2(p)
}

// say draws pairs, steps of them for each problem.
func (c speech) say(src rng.Source, problems, steps int) []Pair {
	var out []Pair
	for p := range problems {
		for range steps {
			y := src.IntN(c.k)
			x := src.IntN(c.k)
			if src.Bool(c.told) {
				x = y
			}
			out = append(out, Pair{fmt.Sprint(p), 100 + x, y})
		}
	}
	return out
}

// balanced makes pairs whose joint frequencies are exactly these counts, over as many problems as there are pairs.
func balanced(counts [][]int) []Pair {
	var out []Pair
	for x, row := range counts {
		for y, n := range row {
			for range n {
				out = append(out, Pair{fmt.Sprint(len(out)), x, y})
			}
		}
	}
	return out
}

func TestBitsOfKnownChannels(t *testing.T) {
	// The corrections of the two marginals and of the joint entropy, with seen symbols and cells.
	correction := func(x, y, cells, n int) float64 { return float64(x-1+y-1-(cells-1)) / (2 * float64(n) * math.Ln2) }
	for name, c := range map[string]struct {
		counts [][]int
		want   float64
	}{
		"a code for 4": {[][]int{{0, 50, 0, 0}, {0, 0, 0, 50}, {50, 0, 0, 0}, {0, 0, 50, 0}}, 2 + correction(4, 4, 4, 200)},
		"a code for 3": {[][]int{{70, 0, 0}, {0, 70, 0}, {0, 0, 70}}, math.Log2(3) + correction(3, 3, 3, 210)},
		"synonyms":     {[][]int{{40, 0}, {60, 0}, {0, 100}}, 1 + correction(3, 2, 3, 200)},
		"symmetric":    {[][]int{{90, 10}, {10, 90}}, 1 + xlogx(.1) + xlogx(.9) + correction(2, 2, 4, 200)},
		"erasure":      {[][]int{{75, 0}, {0, 75}, {25, 25}}, .75 + correction(3, 2, 4, 200)},
		"a Z":          {[][]int{{100, 0}, {50, 50}}, -xlogx(.25) - xlogx(.75) - .5 + correction(2, 2, 3, 200)},
		"nothing":      {[][]int{{20, 20, 20}, {20, 20, 20}}, 0}, // the correction takes it below 0, which is 0
		"one word":     {[][]int{{20, 20, 20}}, 0},
	} {
		seed := balanced(c.counts)
		for k := 1; k <= 3; k++ {
			e := Bits(slices.Repeat([][]Pair{seed}, k))
			near(t, fmt.Sprintf("%s in %d seeds", name, k), e.Value, c.want, 1e-12)
			if !e.OK || e.N != k*len(seed) || e.Seeds != k || len(e.PerSeed) != k || e.Lo > e.Value || e.Hi < e.Value || e.Lo < 0 {
				t.Errorf("%s in %d seeds: %+v", name, k, e)
			}
		}
	}
	for _, c := range []speech{{2, .5}, {3, .3}, {8, .7}, {8, 1}, {5, 0}} {
		var seeds [][]Pair
		for seed := range 5 {
			seeds = append(seeds, c.say(rng.New(1).SplitN("known", seed), 400, 5))
		}
		e := Bits(seeds)
		near(t, fmt.Sprintf("%+v", c), e.Value, c.bits(), .03)
		if e.Lo > c.bits() || e.Hi < c.bits()-1e-3 {
			t.Errorf("%+v has %.4f bits, the interval is %v", c, c.bits(), e)
		}
	}
}

// Few pairs make the plug-in value too large by cells/(2n ln 2); what Bits gives is right in the mean over many samples.
func TestBitsAreCorrectedForBias(t *testing.T) {
	const samples, problems = 1000, 150 // enough that each cell is seen, few enough that the correction matters
	for _, c := range []speech{{4, .4}, {4, .5}, {3, .5}} {
		var corrected, plugin float64
		for run := range samples {
			seed := c.say(rng.New(2).SplitN("bias", run), problems, 1)
			b := Bits([][]Pair{seed}).Value
			corrected += b / samples
			x, y, cells := map[int]bool{}, map[int]bool{}, map[[2]int]bool{}
			for _, p := range seed {
				x[p.X], y[p.Y], cells[[2]int{p.X, p.Y}] = true, true, true
			}
			plugin += (b - float64(len(x)+len(y)-len(cells)-1)/(2*problems*math.Ln2)) / samples
		}
		t.Logf("%+v: %.4f bits, plug-in %.4f, true %.4f", c, corrected, plugin, c.bits())
		want := float64((c.k-1)*(c.k-1)) / (2 * problems * math.Ln2)
		near(t, fmt.Sprintf("%+v: bias of the plug-in value", c), plugin-c.bits(), want, .25*want)
		near(t, fmt.Sprintf("%+v: bits", c), corrected, c.bits(), .25*want)
	}
}

// What the interval takes for a problem's part of the error is what becomes of the value without that problem.
func TestInfluencesAgainstJackknife(t *testing.T) {
	for _, c := range []speech{{2, .5}, {3, .3}, {5, .7}} {
		const problems, steps = 250, 8
		seed := c.say(rng.New(3), problems, steps)
		x, y := symbols(seed)
		index := newClusters()
		for _, p := range seed {
			index.of(p.Cluster)
		}
		influence := influences(seed, x, y, index)
		whole := MutualInformation(x, y, 0).Bits
		left := make([]float64, problems)
		var sum, jackMean float64
		for p := range left {
			x, y := symbols(slices.DeleteFunc(slices.Clone(seed), func(q Pair) bool { return q.Cluster == fmt.Sprint(p) }))
			left[p] = MutualInformation(x, y, 0).Bits
			jackMean += left[p] / problems
			sum += influence[p]
		}
		near(t, "sum of influences", sum, 0, 1e-12)
		var variance, jackknife, worst float64
		for p := range left {
			variance += influence[p] * influence[p] * problems / (problems - 1)
			jackknife += (left[p] - jackMean) * (left[p] - jackMean) * (problems - 1) / problems
			worst = max(worst, math.Abs((whole-left[p])*(problems-1)/problems-influence[index.of(fmt.Sprint(p))]))
		}
		t.Logf("%+v: deviation %.5f, by the jackknife %.5f, farthest influence %.2g", c, math.Sqrt(variance), math.Sqrt(jackknife), worst)
		near(t, fmt.Sprintf("%+v: deviation over the jackknife's", c), math.Sqrt(variance/jackknife), 1, .03)
		if deviation := math.Sqrt(jackknife / problems); worst > .3*deviation {
			t.Errorf("%+v: an influence is %g away from the jackknife, where they vary by %g", c, worst, deviation)
		}
	}
}

func symbols(seed []Pair) (x, y []int) {
	for _, p := range seed {
		x, y = append(x, p.X), append(y, p.Y)
	}
	return x, y
}

func TestSeedsWithoutPairs(t *testing.T) {
	code := speech{4, 1}.say(rng.New(4), 40, 2)
	few := speech{4, 1}.say(rng.New(5), MinClusters-1, 5)
	other := slices.Clone(few)
	for i := range other {
		other[i].Cluster += "!"
	}
	full := Bits([][]Pair{code})
	for name, c := range map[string]struct {
		seeds [][]Pair
		value float64
		note  string
	}{
		"none is few":     {[][]Pair{code, code}, full.Value, ""},
		"one has none":    {[][]Pair{code, nil, code}, full.Value * 2 / 3, "1 seeds wrote too few such words and count as 0"},
		"one has few":     {[][]Pair{code, few, code}, full.Value * 2 / 3, "1 seeds wrote too few such words and count as 0"},
		"two have not":    {[][]Pair{few, code, nil}, full.Value / 3, "2 seeds wrote too few such words and count as 0"},
		"nobody has any":  {[][]Pair{nil, nil, nil}, 0, "3 seeds wrote too few such words and count as 0"},
		"the seed has no": {[][]Pair{nil}, 0, "1 seeds wrote too few such words and count as 0"},
	} {
		e := Bits(c.seeds)
		near(t, name, e.Value, c.value, 1e-12)
		if !e.OK || e.Seeds != len(c.seeds) || len(e.PerSeed) != len(c.seeds) || !strings.Contains(e.Note, c.note) || strings.Contains(e.Note, "too few") != (c.note != "") {
			t.Errorf("%s: %+v", name, e)
		}
		n := 0
		for i, seed := range c.seeds {
			n += len(seed)
			if silent := len(seed) == 0 || len(seed) == len(few); silent != (e.PerSeed[i] == 0) {
				t.Errorf("%s: seed %d has %g bits", name, i, e.PerSeed[i])
			}
		}
		if e.N != n || c.value == 0 && (e.Lo != 0 || e.Hi != 0) {
			t.Errorf("%s: %+v of %d pairs", name, e, n)
		}
	}
	// A seed that carries nothing beside two that do is no small matter: the interval says so.
	if e := Bits([][]Pair{code, nil, code}); e.Lo > 0 || e.Hi < full.Value {
		t.Errorf("one seed of three without words gives %v", e)
	}
	for name, c := range map[string]struct {
		seeds [][]Pair
		note  string
	}{
		"no seeds":            {nil, "pairs of only 0 problems"},
		"few, one seed":       {[][]Pair{few}, "pairs of only 9 problems"},
		"few, the same":       {[][]Pair{few, few, few}, "pairs of only 9 problems"},
		"few, and none":       {[][]Pair{few, nil}, "pairs of only 9 problems"},
		"few, many together":  {[][]Pair{few, other}, "pairs of only 9 problems"},
		"few, many and none":  {[][]Pair{nil, few, other}, "pairs of only 9 problems"},
		"one pair in a seed":  {[][]Pair{few[:1], nil}, "pairs of only 1 problems"},
		"one problem's pairs": {[][]Pair{few[:5], few[:4]}, "pairs of only 1 problems"},
	} {
		for _, e := range []Estimate{Bits(c.seeds), ShuffledBits(c.seeds)} {
			if e.OK || !math.IsNaN(e.Value) || !strings.Contains(e.Note, c.note) || e.Seeds != len(c.seeds) {
				t.Errorf("%s: got %+v, want not reportable with a note containing %q", name, e, c.note)
			}
		}
	}
}

// Shuffled, the best of codes tells nothing; where symbols are too many for the pairs, shuffling shows that Bits is no measure.
func TestShuffledBits(t *testing.T) {
	for _, c := range []speech{{3, 1}, {8, 1}, {8, .5}, {3, 0}} {
		var seeds, before [][]Pair
		for seed := range 3 {
			seeds = append(seeds, c.say(rng.New(6).SplitN("shuffled", seed), 200, 5))
			before = append(before, slices.Clone(seeds[seed]))
		}
		e := ShuffledBits(seeds)
		if !e.OK || e.Value > .01 || e.Lo != 0 || e.Hi > .03 || e.N != 3000 {
			t.Errorf("%+v shuffled has %v", c, e)
		}
		if !reflect.DeepEqual(seeds, before) {
			t.Errorf("%+v: shuffling has changed what was given", c)
		}
	}
	var sparse []Pair
	for i := range 200 {
		sparse = append(sparse, Pair{fmt.Sprint(i), i, i % 4})
	}
	if e := ShuffledBits([][]Pair{sparse, sparse, sparse}); e.Value < 1 {
		t.Errorf("a word for each problem, shuffled, has %v", e)
	}
}

func TestBitsAreDeterministic(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seeds := pairSeeds(t)
		for _, f := range []func([][]Pair) Estimate{Bits, ShuffledBits} {
			a, b := f(seeds), f(seeds)
			if fmt.Sprintf("%x %v", []float64{a.Value, a.Lo, a.Hi}, a) != fmt.Sprintf("%x %v", []float64{b.Value, b.Lo, b.Hi}, b) {
				t.Fatalf("%+v and %+v", a, b)
			}
		}
	})
}

func pairSeeds(t *rapid.T) [][]Pair {
	out := make([][]Pair, rapid.IntRange(1, 4).Draw(t, "seeds"))
	for s := range out {
		problems := rapid.IntRange(0, 30).Draw(t, "problems")
		words, totals := rapid.IntRange(1, 6).Draw(t, "words"), rapid.IntRange(1, 6).Draw(t, "totals")
		for p := range problems {
			for range rapid.IntRange(0, 3).Draw(t, "steps") {
				out[s] = append(out[s], Pair{fmt.Sprint(p), rapid.IntRange(0, words).Draw(t, "x"), rapid.IntRange(0, totals).Draw(t, "y")})
			}
		}
	}
	return out
}

// Symbols and problems are names only, and what x tells about y is what y tells about x.
func TestBitsInvariances(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seeds := pairSeeds(t)
		e := Bits(seeds)
		same := func(what string, change func(Pair) Pair) {
			changed := make([][]Pair, len(seeds))
			for s, seed := range seeds {
				for _, p := range seed {
					changed[s] = append(changed[s], change(p))
				}
			}
			g := Bits(changed)
			if g.OK != e.OK || g.N != e.N || e.OK && (math.Abs(g.Value-e.Value) > 1e-9 || math.Abs(g.Lo-e.Lo) > 1e-9 || math.Abs(g.Hi-e.Hi) > 1e-9) {
				t.Fatalf("%s: %v, before %v", what, g, e)
			}
		}
		x, y := rapid.Permutation([]int{-3, 0, 1, 5, 6, 40, 99}).Draw(t, "x"), rapid.Permutation([]int{-1, 0, 2, 3, 4, 7, 1000}).Draw(t, "y")
		same("other words and totals", func(p Pair) Pair { return Pair{p.Cluster, x[p.X], y[p.Y]} })
		same("x and y swapped", func(p Pair) Pair { return Pair{p.Cluster, p.Y, p.X} })
		same("other problems' names", func(p Pair) Pair { return Pair{"problem " + p.Cluster, p.X, p.Y} })
		if e.OK && !(e.Lo <= e.Value && e.Value <= e.Hi && e.Lo >= 0) {
			t.Fatalf("interval %v", e)
		}
		// Each seed's own code is nothing to the mean: seeds do not have to agree on what a word means.
		for s := range seeds {
			turned := slices.Clone(seeds)
			turned[s] = nil
			for _, p := range seeds[s] {
				turned[s] = append(turned[s], Pair{p.Cluster, x[p.X], p.Y})
			}
			if g := Bits(turned); g.OK != e.OK || e.OK && math.Abs(g.Value-e.Value)+math.Abs(g.Lo-e.Lo)+math.Abs(g.Hi-e.Hi) > 1e-9 {
				t.Fatalf("another code in seed %d: %v, before %v", s, g, e)
			}
		}
	})
}
