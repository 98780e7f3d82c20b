package metric

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"candor/internal/rng"
)

func scored(observations []Observation, score float64) []Scored {
	var out []Scored
	for _, o := range observations {
		out = append(out, Scored{o.Cluster, score * o.Value, false})
	}
	return out
}

func items(t *rapid.T) []Scored {
	n := rapid.IntRange(12, 60).Draw(t, "n")
	out := make([]Scored, n)
	for i := range out {
		out[i] = Scored{fmt.Sprint(i), float64(rapid.IntRange(-4, 4).Draw(t, "score")), i < MinClass || (i >= 2*MinClass && rapid.Bool().Draw(t, "positive"))}
	}
	return out
}

func transform(in []Scored, f func(Scored) Scored) []Scored {
	out := make([]Scored, len(in))
	for i, s := range in {
		out[i] = f(s)
	}
	return out
}

func TestAUROCIsTheShareOfPairs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := items(t)
		var wins, pairs float64
		for _, p := range in {
			for _, n := range in {
				if p.Positive && !n.Positive {
					pairs++
					switch {
					case p.Score > n.Score:
						wins++
					case p.Score == n.Score:
						wins += .5
					}
				}
			}
		}
		r := newRanking(in, newClusters())
		if got := r.area(nil); math.Abs(got-wins/pairs) > 1e-12 {
			t.Fatalf("area is %g, the share of pairs %g", got, wins/pairs)
		}
		// The influences are the derivative of the area by an item's weight, so they sum to 0 and agree with it.
		var sum float64
		influence := r.influence(1)
		for _, e := range influence {
			sum += e
		}
		if math.Abs(sum) > 1e-12 {
			t.Fatalf("influences sum to %g", sum)
		}
		weight := make([]float64, len(in))
		for i := range weight {
			weight[i] = 1
		}
		const h = 1e-6
		weight[3] += h
		if slope := (r.area(weight) - r.area(nil)) / h; math.Abs(slope-influence[3]) > 1e-5 {
			t.Fatalf("influence of item 3 is %g, the slope %g", influence[3], slope)
		}
	})
}

func TestAUROCInvariances(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := items(t)
		e := AUROC([][]Scored{in})
		monotone := AUROC([][]Scored{transform(in, func(s Scored) Scored { s.Score = math.Exp(s.Score) + 7; return s })})
		if fmt.Sprint(e) != fmt.Sprint(monotone) {
			t.Fatalf("%v becomes %v under a monotone transform", e, monotone)
		}
		complement := AUROC([][]Scored{transform(in, func(s Scored) Scored { s.Positive = !s.Positive; return s })})
		for _, c := range [][2]float64{{e.Value, complement.Value}, {e.Lo, complement.Hi}, {e.Hi, complement.Lo}} {
			if math.Abs(c[0]-(1-c[1])) > .02 {
				t.Fatalf("%v becomes %v when the classes are swapped", e, complement)
			}
		}
		if !(e.Lo <= e.Value && e.Value <= e.Hi && e.Lo >= 0 && e.Hi <= 1) {
			t.Fatalf("interval %v", e)
		}
		if d := AUROCDifference([][]Scored{in}, [][]Scored{in}); d.Value != 0 || d.Lo > 0 || d.Hi < 0 {
			t.Fatalf("a detector differs from itself by %v", d)
		}
	})
}

func TestPerfectDetectorKeepsAWidth(t *testing.T) {
	var in []Scored
	for i := range 200 {
		in = append(in, Scored{fmt.Sprint(i), float64(i), i >= 180})
	}
	e := AUROC([][]Scored{in, in, in})
	if e.Value != 1 || e.Hi != 1 || e.Lo > .9 || e.Lo < .7 {
		t.Errorf("a perfect detector on 20 positives has %v", e)
	}
}

// detect simulates a detector of a known area on shared problems for k models.
func detect(src rng.Source, k, problems int, shift float64) [][]Scored {
	out := make([][]Scored, k)
	hard := make([]float64, problems)
	for p := range hard {
		hard[p] = src.Norm()
	}
	for s := range out {
		for p := range hard {
			positive := src.Bool(.3)
			score := .5*hard[p] + math.Sqrt(.75)*src.Norm()
			if positive {
				score += shift
			}
			out[s] = append(out[s], Scored{fmt.Sprint(p), score, positive})
		}
	}
	return out
}

func TestAUROCCoverage(t *testing.T) {
	const runs = 150
	shift := 1.
	want := .5 * math.Erfc(-shift/2) // P(N(shift,1) > N(0,1)); scores of one problem correlate only across seeds
	covered, differences := 0, 0
	for run := range runs {
		src := rng.New(11).SplitN("run", run)
		a, b := detect(src.Split("a"), 3, 80, shift), detect(src.Split("b"), 3, 80, shift)
		if e := AUROC(a); e.Lo <= want && want <= e.Hi {
			covered++
		}
		if e := AUROCDifference(a, b); e.Lo <= 0 && 0 <= e.Hi {
			differences++
		}
	}
	t.Logf("covered: AUROC %.3f, difference %.3f", float64(covered)/runs, float64(differences)/runs)
	if covered < runs*90/100 || differences < runs*90/100 {
		t.Errorf("95%% intervals cover the truth %d (area) and %d (difference) times in %d", covered, differences, runs)
	}
}

// A detector whose scores take few values, as shares of edits do, and one whose scores are all different.
func BenchmarkAUROC(b *testing.B) {
	for name, values := range map[string]int{"few scores": 17, "all different": 1 << 40} {
		b.Run(name, func(b *testing.B) {
			src := rng.New(1)
			seeds := make([][]Scored, 5)
			for i := range seeds {
				for k := range 1000 {
					positive := k%4 == 0
					x := src.Float64() + indicator(positive)*.3
					seeds[i] = append(seeds[i], Scored{fmt.Sprint(k % 100), math.Floor(x*float64(values)) / float64(values), positive})
				}
			}
			for b.Loop() {
				AUROC(seeds)
			}
		})
	}
}

func indicator(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// plainBootstrap is bootstrap, one sample after the other.
func plainBootstrap(first, second []ranking, clusters int) (lo, hi float64, ok bool) {
	var values []float64
	for draw := range 2 * resamples {
		src := rng.New(0).Split("metric/auroc").SplitN("draw", draw)
		weight := make([]float64, clusters)
		for range clusters {
			weight[src.IntN(clusters)]++
		}
		var sum float64
		for i := range first {
			sum += first[i].area(weight)
			if second != nil {
				sum -= second[i].area(weight)
			}
		}
		if !math.IsNaN(sum) && len(values) < resamples {
			values = append(values, sum/float64(len(first)))
		}
	}
	if len(values) < resamples {
		return 0, 0, false
	}
	slices.Sort(values)
	return values[24], values[975], true
}

// Samples that are gone through together come out as one after the other, to the bit: also where some have no positives.
func TestBootstrapAgainstThePlainOne(t *testing.T) {
	src := rng.New(7)
	refused := 0
	for run := range 40 {
		problems, values, rare := 2+src.IntN(60), []int{1, 3, 17, 1 << 40}[run%4], []float64{.02, .4, .97}[run%3]
		var sides [2][]ranking
		index := newClusters()
		for seed := range 6 {
			in := make([]Scored, 80)
			for i := range in {
				in[i] = Scored{fmt.Sprint(src.IntN(problems)), math.Floor(src.Float64() * float64(values)), src.Bool(rare)}
			}
			sides[seed%2] = append(sides[seed%2], newRanking(in, index))
		}
		if run%5 == 0 {
			sides[1] = nil
		}
		lo, hi, ok := bootstrap(sides[0], sides[1], index.len())
		wantLo, wantHi, want := plainBootstrap(sides[0], sides[1], index.len())
		if lo != wantLo || hi != wantHi || ok != want {
			t.Errorf("run %d: [%g, %g] %t, one after the other [%g, %g] %t", run, lo, hi, ok, wantLo, wantHi, want)
		}
		if !ok {
			refused++
		}
	}
	if refused == 0 || refused == 40 {
		t.Errorf("%d of 40 are refused: one of the two is not tried", refused)
	}
}
