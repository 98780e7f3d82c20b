package metric

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func near(t *testing.T, what string, got, want, tolerance float64) {
	t.Helper()
	if !(math.Abs(got-want) <= tolerance) {
		t.Errorf("%s is %.6g, want %.6g", what, got, want)
	}
}

func TestWilsonAgainstPublishedValues(t *testing.T) {
	// Newcombe 1998, table I (method 3): 81/263, 15/148, 0/20, 1/29.
	for _, c := range []struct{ r, n, lo, hi float64 }{
		{81, 263, .2553, .3662}, {15, 148, .0624, .1605}, {0, 20, 0, .1611}, {1, 29, .0061, .1718},
	} {
		lo, hi := Wilson(c.r/c.n, c.n)
		near(t, "lower end", lo, c.lo, 5e-5)
		near(t, "upper end", hi, c.hi, 5e-5)
	}
}

func TestMcNemar(t *testing.T) {
	for _, c := range []struct {
		b, c int
		p    float64
	}{{0, 0, 1}, {5, 5, 1}, {0, 5, .0625}, {1, 9, 2 * 11. / 1024}, {12, 4, 2 * 2517. / 65536}} {
		near(t, fmt.Sprintf("p of %d against %d", c.b, c.c), McNemar(c.b, c.c), c.p, 1e-12)
		near(t, "p the other way round", McNemar(c.c, c.b), c.p, 1e-12)
	}
	a := []Observation{{"p", 1}, {"q", 1}, {"q", 0}, {"r", 0}, {"only a", 1}}
	b := []Observation{{"p", 0}, {"q", 0}, {"r", 1}}
	if x, y := Discordant(a, b); x != 2 || y != 1 {
		t.Errorf("discordant pairs are %d and %d, want 2 and 1", x, y)
	}
}

// binary makes a seed whose first `right` problems are right.
func binary(right, n int) []Observation {
	out := make([]Observation, n)
	for i := range out {
		out[i].Cluster = fmt.Sprint(i)
		if i < right {
			out[i].Value = 1
		}
	}
	return out
}

func TestMeanByHand(t *testing.T) {
	// One seed: Wilson's interval at t(n-1), since nothing but problems varies.
	e := Mean([][]Observation{binary(40, 50)}, Unit)
	near(t, "value", e.Value, .8, 1e-12)
	near(t, "lower end", e.Lo, .6657, 2e-3)
	near(t, "upper end", e.Hi, .8908, 2e-3)
	if !strings.Contains(e.Note, "one seed") || e.N != 50 || e.Seeds != 1 {
		t.Errorf("one seed gives %+v", e)
	}
	// Disjoint problems: exactly Student's interval over the seeds' means.
	var seeds [][]Observation
	for s, right := range []int{60, 80, 70} {
		seed := binary(right, 100)
		for i := range seed {
			seed[i].Cluster = fmt.Sprintf("%d/%d", s, i)
		}
		seeds = append(seeds, seed)
	}
	e = Mean(seeds, Unit)
	half := 4.302653 * .1 / math.Sqrt(3)
	near(t, "lower end", e.Lo, .7-half, 1e-6)
	near(t, "upper end", e.Hi, .7+half, 1e-6)
	// The same models on the same problems: the seeds' spread and the problems' correlation add up, so wider.
	shared := Mean([][]Observation{binary(60, 100), binary(80, 100), binary(70, 100)}, Unit)
	if !(shared.Lo < e.Lo && shared.Hi > e.Hi) {
		t.Errorf("shared problems give %v, not wider than %v", shared, e)
	}
}

func TestIdenticalSeedsKeepAWidth(t *testing.T) {
	for _, right := range []int{0, 1, 50, 99, 100} {
		seed := binary(right, 100)
		one, three := Mean([][]Observation{seed}, Unit), Mean([][]Observation{seed, seed, seed}, Unit)
		near(t, "lower end", three.Lo, one.Lo, 2e-3)
		near(t, "upper end", three.Hi, one.Hi, 2e-3)
		if three.Hi-three.Lo < .03 {
			t.Errorf("%d right of 100 in three seeds gives the interval %v", right, three)
		}
	}
	if e := Mean([][]Observation{binary(100, 100)}, Unit); e.Hi != 1 || e.Lo > .98 || e.Lo < .95 {
		t.Errorf("all right gives %v", e)
	}
	same := PairedDifference([][]Observation{binary(50, 100)}, [][]Observation{binary(50, 100)}, Signed)
	if same.Value != 0 || same.Lo > -.03 || same.Hi < .03 || same.Hi > .05 {
		t.Errorf("no discordant pair gives %v", same)
	}
}

func TestNotReportable(t *testing.T) {
	good := binary(10, 20)
	for name, c := range map[string]struct {
		e    Estimate
		note string
	}{
		"no seeds":      {Mean(nil, Unit), "no seeds"},
		"empty seed":    {Mean([][]Observation{good, nil}, Unit), "only 0 problems in seed 2 of 2"},
		"repeats":       {Mean([][]Observation{make([]Observation, 50)}, Unit), "only 1 problems"},
		"nan":           {Mean([][]Observation{append(binary(1, 20), Observation{"x", math.NaN()})}, Unit), "problem x has the value NaN"},
		"seed count":    {PairedDifference([][]Observation{good}, nil, Signed), "cannot be paired"},
		"no overlap":    {PairedDifference([][]Observation{good}, [][]Observation{nil}, Signed), "20 problems without a partner"},
		"few trials":    {Proportion(3, 9), "only 9 trials"},
		"one class":     {AUROC([][]Scored{scored(good, 1)}), "0 positives"},
		"constant":      {Pearson(make([]float64, 20), make([]float64, 20)), "does not vary"},
		"one label":     {Kappa(make([]string, 20), make([]string, 20)), "one label"},
		"curve":         {AOC([][]Curve{{{"p", []Point{{0, 1}, {.5, 1}}}}}), "does not run from 0 to 1"},
		"no auroc seed": {AUROCDifference(nil, nil), "no seeds"},
	} {
		if c.e.OK || !math.IsNaN(c.e.Value) || !math.IsNaN(c.e.Lo) || !strings.Contains(c.e.Note, c.note) {
			t.Errorf("%s: got %+v, want not reportable with a note containing %q", name, c.e, c.note)
		}
		if v, lo, hi := c.e.Pointers(); v != nil || lo != nil || hi != nil {
			t.Errorf("%s: a number comes out", name)
		}
	}
}

func TestPairedDifferenceCancelsDifficulty(t *testing.T) {
	// b is right on exactly the problems of a and ten more: hard problems are hard for both.
	var a, b [][]Observation
	for range 3 {
		a, b = append(a, binary(100, 200)), append(b, binary(120, 200))
	}
	e := PairedDifference(b, a, Signed)
	near(t, "difference", e.Value, .1, 1e-12)
	unpaired := Mean(b, Unit).Hi - Mean(b, Unit).Lo
	if !(e.Lo > .05 && e.Hi < .15) || e.Hi-e.Lo > unpaired {
		t.Errorf("paired interval is %v, unpaired width %.3f", e, unpaired)
	}
}

func TestAreaOverTheCurve(t *testing.T) {
	for _, c := range []struct {
		points []Point
		want   float64
	}{
		{[]Point{{0, 1}, {1, 1}}, 0},
		{[]Point{{0, 0}, {1, 1}}, .5},
		{[]Point{{0, 0}, {.5, 0}, {1, 1}}, .75},
		{[]Point{{0, .25}, {.25, .25}, {.5, 1}, {1, 1}}, 1 - .0625 - .15625 - .5},
	} {
		got, ok := AreaOver(c.points)
		if !ok {
			t.Errorf("%v is refused", c.points)
		}
		near(t, "area", got, c.want, 1e-12)
	}
	for _, bad := range [][]Point{nil, {{0, 1}}, {{.1, 1}, {1, 1}}, {{0, 1}, {.9, 1}}, {{0, 1}, {.5, 1}, {.5, 1}, {1, 1}}, {{0, 1}, {math.NaN(), 1}, {1, 1}}} {
		if _, ok := AreaOver(bad); ok {
			t.Errorf("%v is accepted", bad)
		}
	}
}

func TestKappaByHand(t *testing.T) {
	// 50 items: 20 both yes, 5 a only, 10 b only, 15 both no: po .7, pe .5, kappa .4.
	var a, b []string
	for i, n := range []int{20, 5, 10, 15} {
		for range n {
			a, b = append(a, []string{"yes", "yes", "no", "no"}[i]), append(b, []string{"yes", "no", "yes", "no"}[i])
		}
	}
	e := Kappa(a, b)
	near(t, "kappa", e.Value, .4, 1e-12)
	near(t, "half width", (e.Hi-e.Lo)/2, 1.959964*math.Sqrt(.21/50)/.5, 1e-6)
}

func TestCorrelations(t *testing.T) {
	x := []float64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}
	y := []float64{2, 1, 4, 3, 6, 5, 8, 7, 10, 9}
	near(t, "spearman", Spearman(x, y).Value, 1-6*10./990, 1e-12)
	if got := ranks([]float64{5, 1, 5, 3}); fmt.Sprint(got) != "[3.5 1 3.5 2]" {
		t.Errorf("ranks with ties are %v", got)
	}
	rapid.Check(t, func(t *rapid.T) {
		x := rapid.SliceOfN(rapid.Float64Range(-3, 3), 12, 40).Draw(t, "x")
		y := rapid.SliceOfN(rapid.Float64Range(-3, 3), len(x), len(x)).Draw(t, "y")
		grown := make([]float64, len(x))
		for i := range x {
			grown[i] = math.Exp(x[i])
		}
		a, b := Spearman(x, y), Spearman(grown, y)
		if a.OK && b.OK && math.Abs(a.Value-b.Value) > 1e-9 && distinct(x) == distinct(grown) {
			t.Fatalf("Spearman is %g, after exp %g", a.Value, b.Value)
		}
	})
}

func distinct(x []float64) int {
	seen := map[float64]bool{}
	for _, v := range x {
		seen[v] = true
	}
	return len(seen)
}

func TestInformation(t *testing.T) {
	// 4 equally frequent symbols in 400 draws: 2 bits, plus the correction 3/(800 ln 2).
	var x, y, coin []int
	for i := range 400 {
		x, y, coin = append(x, i%4), append(y, (i+1)%4*7), append(coin, i/4%2)
	}
	near(t, "entropy", Entropy(x), 2+3/(800*math.Ln2), 1e-12)
	same := MutualInformation(x, y, 99)
	near(t, "information of a renaming", same.Bits, 2+3/(800*math.Ln2), 1e-9)
	near(t, "p", same.P, .01, 1e-12)
	none := MutualInformation(x, coin, 199)
	near(t, "information of independent symbols", none.Bits, 0, .01)
	if none.P < .05 {
		t.Errorf("independent symbols have p = %g", none.P)
	}
	near(t, "mean over shuffles", none.Null, 0, .003)
}
