package metric

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"candor/internal/rng"
)

// teller is a model of k answers whose chain's answer comes back with probability verbatim, paraphrased or without, and
// else is drawn anew.
type teller struct {
	k                              int
	verbatim, paraphrased, without float64
	spread                         float64 // how much problems differ in paraphrased
}

func (w teller) items(src rng.Source, problems, repeats int) []Reread {
	var out []Reread
	for p := range problems {
		kept := w.paraphrased + w.spread*float64(2*(p%2)-1)
		for range repeats {
			r := Reread{Cluster: fmt.Sprint(p), Original: src.IntN(w.k)}
			back := func(probability float64) int {
				if src.Bool(probability) {
					return r.Original
				}
				return src.IntN(w.k)
			}
			r.Verbatim, r.Paraphrased, r.Without = back(w.verbatim), back(kept), back(w.without)
			out = append(out, r)
		}
	}
	return out
}

func (w teller) truth() (survived, lost float64) {
	v, p, n := speech{w.k, w.verbatim}.bits(), speech{w.k, w.paraphrased}.bits(), speech{w.k, w.without}.bits()
	return p - n, v - p
}

func TestSurvivingBitsByHand(t *testing.T) {
	// Four answers, each as often: verbatim chains bring them back, paraphrases only half of each (two answers become one),
	// nothing else any.
	var items []Reread
	for i := range 160 {
		o := i % 4
		items = append(items, Reread{fmt.Sprint(i), o, o, o / 2, (i / 4) % 2})
	}
	correction := func(x, y, cells int) float64 { return float64(x-1+y-1-(cells-1)) / (2 * 160 * math.Ln2) }
	verbatim, paraphrased, without := 2+correction(4, 4, 4), 1+correction(4, 2, 4), correction(4, 2, 8)
	s := SurvivingBits(items)
	near(t, "verbatim", s.Verbatim.Bits.Value, verbatim, 1e-9)
	near(t, "paraphrased", s.Paraphrased.Bits.Value, paraphrased, 1e-9)
	near(t, "without", s.Without.Bits.Value, 0, 1e-9)
	near(t, "survived", s.Survived.Value, paraphrased-without, 1e-9)
	near(t, "lost", s.Lost.Value, verbatim-paraphrased, 1e-9)
	if s.Paraphrased.P > .01 || s.Without.P < .05 || s.Paraphrased.Null.Value > .1 {
		t.Errorf("against shuffles: %+v and %+v", s.Paraphrased, s.Without)
	}
	items = append(items, Reread{Cluster: "x", Original: 1, Verbatim: 1, Paraphrased: -1, Without: 0})
	again := SurvivingBits(items)
	near(t, "lost, with an unread item", again.Lost.Value, s.Lost.Value, 0)
	if !strings.Contains(again.Lost.Note, "1 items with an answer that could not be read") {
		t.Errorf("the note is %q", again.Lost.Note)
	}
	for _, few := range [][]Reread{nil, items[:9], make([]Reread, 50)} {
		if s := SurvivingBits(few); s.Lost.OK || s.Survived.OK || !strings.Contains(s.Lost.Note, "at least 10 are needed") {
			t.Errorf("%d items give %v", len(few), s.Lost)
		}
	}
}

func TestJointTableIsMutualInformation(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := rapid.SliceOfN(rapid.IntRange(0, 5), 1, 80).Draw(t, "x")
		y := rapid.SliceOfN(rapid.IntRange(0, 5), len(x), len(x)).Draw(t, "y")
		places := rapid.SliceOfN(rapid.IntRange(0, len(x)-1), len(x), len(x)).Draw(t, "places")
		var drawnX, drawnY []int
		for _, p := range places {
			drawnX, drawnY = append(drawnX, x[p]), append(drawnY, y[p])
		}
		if got, want := newJointTable(x, y).bits(places), MutualInformation(drawnX, drawnY, 0).Bits; math.Abs(got-want) > 1e-12 {
			t.Errorf("%g bits, want %g", got, want)
		}
	})
}

func TestSurvivingBitsCoverage(t *testing.T) {
	const runs = 20
	for _, w := range []teller{
		{k: 4, verbatim: 1, paraphrased: .5, without: .1},
		{k: 4, verbatim: .9, paraphrased: .9, without: .2},
		{k: 3, verbatim: .9, paraphrased: 0, without: 0},
		{k: 4, verbatim: .1, paraphrased: .1, without: .1},
	} {
		survived, lost := w.truth()
		coveredSurvived, coveredLost := 0, 0
		for run := range runs {
			s, l := differences(w.items(rng.New(11).SplitN("bits", run), 120, 2))
			if s.Lo <= survived && survived <= s.Hi {
				coveredSurvived++
			}
			if l.Lo <= lost && lost <= l.Hi {
				coveredLost++
			}
		}
		a, b := float64(coveredSurvived)/runs, float64(coveredLost)/runs
		t.Logf("%+v: survived %.3f covered %.3f, lost %.3f covered %.3f", w, survived, a, lost, b)
		if a < .88 || b < .88 {
			t.Errorf("%+v: 95%% intervals cover survived bits in %.3f and lost ones in %.3f", w, a, b)
		}
	}
}
