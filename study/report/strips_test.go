package report

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func series(values ...float64) Series {
	var s Series
	for i, v := range values {
		s.Steps, s.Values = append(s.Steps, i+1), append(s.Values, v)
	}
	return s
}

func TestBinned(t *testing.T) {
	for _, c := range []struct {
		s          Series
		last, bins int
		want       string
	}{
		{series(1, 2, 3, 4), 4, 4, "[1 2 3 4]"},
		{series(1, 2, 3, 4), 4, 2, "[1.5 3.5]"},
		{series(1, 2, 3, 4), 8, 2, "[2.5 NaN]"}, // this seed ended early
		{Series{Steps: []int{1, 4}, Values: []float64{1, 5}}, 4, 4, "[1 NaN NaN 5]"},
		{Series{Steps: []int{-7, 0, 99}, Values: []float64{1, 3, 5}}, 4, 2, "[2 5]"},
		{series(1, math.NaN(), math.Inf(1), 4), 4, 2, "[1 4]"},
	} {
		if got := fmt.Sprint(binned(c.s, c.last, c.bins)); got != c.want {
			t.Errorf("%v in %d of %d: %s, want %s", c.s, c.bins, c.last, got, c.want)
		}
	}
}

func TestStripGeometry(t *testing.T) {
	setup := Setup{Steps: 4, Rollouts: 320, Terms: 6, Modulus: 4, Ramp: [2]float64{.25, .75}}
	ts := []Training{
		{Arm: "hidden", Seed: 11, Setup: setup, Series: map[string]Series{"x": series(0, 1, 2, 2)}},
		{Arm: "hidden", Seed: 12, Setup: setup, Series: map[string]Series{"x": series(0, 0, 1, 1)}},
	}
	p := newTrainingPanel("hidden", "", ts, []stripSpec{
		{Name: "bits", Digits: 2, top: mostBits, read: reading("x")}, {Name: "lost", top: always(1), read: reading("y")}})
	s := p.Strips[0]
	want := map[string]string{
		fmt.Sprint(s.Seeds):  "[[125,76.0 375,38.0 625,0.0 875,0.0] [125,76.0 375,76.0 625,38.0 875,38.0]]",
		fmt.Sprint(s.Mean):   "[125,76.0 375,57.0 625,19.0 875,19.0]",
		fmt.Sprint(s.YTicks): "[{76.0 0} {38.0 1} {0.0 2}]",
		s.End + " " + s.EndY: "1.50 19.0",
		s.Alt:                "bits of hidden by step. Seed 11 ends at 2.00. Seed 12 ends at 1.00. Their mean ends at 1.50.",
		p.RampFrom + " " + p.RampWidth + " " + p.RampMiddle: "25.00% 50.00% 50.00%",
		fmt.Sprint(p.XTicks): "[{0% 0} {50.00% 2} {100% 4}]",
		p.Strips[1].Alt:      "lost of hidden was not recorded.",
	}
	for got, want := range want {
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	if !p.Strips[1].Missing || p.Strips[1].End != "" {
		t.Errorf("a strip without data: %+v", p.Strips[1])
	}
}

// Whatever was recorded, lines stay in their strip and nothing panics.
func TestStripsStayInside(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var ts []Training
		for seed := range rapid.IntRange(1, 3).Draw(t, "seeds") {
			s := Series{}
			at := rapid.IntRange(-5, 5).Draw(t, "first")
			for range rapid.IntRange(0, 200).Draw(t, "rows") {
				s.Steps, s.Values = append(s.Steps, at), append(s.Values, rapid.Float64().Draw(t, "value"))
				at += rapid.IntRange(1, 1<<40).Draw(t, "by")
			}
			ts = append(ts, Training{Arm: "a", Seed: seed, Series: map[string]Series{bitsMetric: s, wordsMetric: s, statedMetric: s, answerMetric: s}})
		}
		order, title := armOrder(nil)
		f := hidingFigure(ts, order, title)
		for _, p := range slices.Concat(f.Main, f.Others) {
			for _, s := range p.Strips {
				for _, line := range append(slices.Clone(s.Seeds), s.Mean) {
					for point := range strings.FieldsSeq(strings.Join(line, " ")) {
						x, y, _ := strings.Cut(point, ",")
						a, err := strconv.ParseFloat(x, 64)
						b, err2 := strconv.ParseFloat(y, 64)
						if err != nil || err2 != nil || !(0 <= a && a <= curveWidth && 0 <= b && b <= stripHeight) {
							t.Fatalf("point %q", point)
						}
					}
				}
				if len(s.End) > 12 {
					t.Errorf("the label %q is too long", s.End)
				}
			}
		}
	})
}

func TestStretchAndFixed(t *testing.T) {
	for _, c := range [][2]string{
		{stretch(80), "one step"}, {stretch(81), "up to 2 steps"}, {stretch(900), "up to 12 steps"},
		{fixed(1.585, 2), "1.58"}, {fixed(-.003, 2), "0.00"}, {fixed(-.25, 2), "−0.25"}, {fixed(1e300, 2), "1e+300"},
		{percentage(0), "0%"}, {percentage(.001), "<1%"}, {percentage(.999), ">99%"}, {percentage(1), "100%"}, {percentage(.338), "34%"},
	} {
		if c[0] != c[1] {
			t.Errorf("got %q, want %q", c[0], c[1])
		}
	}
}
