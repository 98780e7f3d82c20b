package metric

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"candor/internal/rng"
)

// labels spells out counts of labels by item.
func labels(counts [][]int) [][]string {
	out := make([][]string, len(counts))
	for i, row := range counts {
		for l, n := range row {
			for range n {
				out[i] = append(out[i], fmt.Sprint(l))
			}
		}
	}
	return out
}

func TestKappaManyOfAKnownTable(t *testing.T) {
	// Ten items, fourteen raters, five labels: P = .378, Pe = .213.
	e := KappaMany(labels([][]int{
		{0, 0, 0, 0, 14}, {0, 2, 6, 4, 2}, {0, 0, 3, 5, 6}, {0, 3, 9, 2, 0}, {2, 2, 8, 1, 1},
		{7, 7, 0, 0, 0}, {3, 2, 6, 3, 0}, {2, 5, 3, 2, 2}, {6, 5, 2, 1, 0}, {0, 2, 2, 3, 7},
	}))
	near(t, "kappa", e.Value, .210, 5e-4)
	if e.N != 10 || !(e.Lo < .1 && e.Hi > .3 && e.Hi < .5) {
		t.Errorf("the interval is %v", e)
	}
}

func TestKappaManyNotReportable(t *testing.T) {
	same := labels([][]int{{3}, {3}, {3}, {3}, {3}, {3}, {3}, {3}, {3}, {3}, {3}, {3}})
	for name, c := range map[string]struct {
		ratings [][]string
		note    string
	}{
		"few":       {same[:9], "only 9 items"},
		"one label": {same, "one label only"},
		"unequal":   {append(same[:11:11], []string{"0", "1"}), "item 12 has 2 labels and item 1 3"},
		"one rater": {make([][]string, 12), "item 1 has 0 labels"},
	} {
		if e := KappaMany(c.ratings); e.OK || !strings.Contains(e.Note, c.note) {
			t.Errorf("%s gives %v, want a note with %q", name, e, c.note)
		}
	}
	perfect := append(labels([][]int{{3}, {3}, {3}, {3}, {3}, {3}}), labels([][]int{{0, 3}, {0, 3}, {0, 3}, {0, 3}, {0, 3}, {0, 3}})...)
	if e := KappaMany(perfect); e.Value != 1 || e.Hi != 1 || e.Lo > .6 {
		t.Errorf("perfect agreement gives %v", e)
	}
}

// Fleiss's kappa by its definition: agreement of pairs of raters of one item against that of any two labels.
func TestKappaManyAgainstPairs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := rapid.IntRange(2, 5).Draw(t, "raters")
		ratings := rapid.SliceOfN(rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "c"}), m, m), 10, 25).Draw(t, "ratings")
		var same, pairs, equal, all float64
		for _, item := range ratings {
			for i := range item {
				for j := range item {
					if i != j {
						pairs++
						if item[i] == item[j] {
							same++
						}
					}
				}
				for _, other := range ratings {
					for j := range other {
						all++
						if item[i] == other[j] {
							equal++
						}
					}
				}
			}
		}
		e := KappaMany(ratings)
		sound(t, e)
		if want := (same/pairs - equal/all) / (1 - equal/all); e.OK && (e.Value-want > 1e-9 || want-e.Value > 1e-9) {
			t.Errorf("kappa is %g, want %g", e.Value, want)
		}
		if e.OK == (equal == all) {
			t.Errorf("labels are all equal: %v, yet the estimate is %v", equal == all, e)
		}
	})
}

func TestKappaManyCoverage(t *testing.T) {
	const runs = 400
	// Raters see the truth (one of two labels, the second with this share) with probability sight, else guess by the same
	// share. Any two then agree beyond chance in sight².
	for _, w := range []struct{ share, sight float64 }{{.5, .7}, {.3, .8}, {.5, .2}, {.15, .9}} {
		covered := 0
		for run := range runs {
			src := rng.New(12).SplitN("kappa", run)
			ratings := make([][]string, 80)
			for i := range ratings {
				truth := src.Bool(w.share)
				for range 3 {
					label := truth
					if !src.Bool(w.sight) {
						label = src.Bool(w.share)
					}
					ratings[i] = append(ratings[i], fmt.Sprint(label))
				}
			}
			if e := KappaMany(ratings); e.Lo <= w.sight*w.sight && w.sight*w.sight <= e.Hi {
				covered++
			}
		}
		share := float64(covered) / runs
		t.Logf("%+v: covered %.3f", w, share)
		if share < .91 {
			t.Errorf("%+v: 95%% intervals cover %.3f", w, share)
		}
	}
}
