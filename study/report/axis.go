package report

import (
	"math"
	"strconv"
	"strings"
)

// axis maps values of one unit to percentages of a figure's width.
type axis struct {
	lo, hi float64
	// Unit is what the axis measures, as the register words it.
	Unit string
	// Ticks stand at round values.
	Ticks []tick
	// Zero is where 0 lies inside the axis, or "" if it is outside or at an end.
	Zero string
}

// tick is one labelled place on an axis. At is a percentage such as "25.00%".
type tick struct{ At, Label string }

// newAxis chooses the range for a unit: an accuracy, share or AUROC spans 0 to 1 and a difference or correlation -1 to 1,
// so that small effects look small; any other unit takes the round range that holds its values and 0. Values outside a
// fixed range widen it.
func newAxis(unit string, values []float64) axis {
	lo, hi, fixed := unitRange(unit)
	min, max := 0.0, 0.0
	for _, v := range values {
		if isFinite(v) {
			min, max = math.Min(min, v), math.Max(max, v)
		}
	}
	if fixed {
		min, max = math.Min(lo, min), math.Max(hi, max)
	}
	return axisOver(unit, min, max, 5)
}

// unitRange tells the range that a unit has by its nature.
func unitRange(unit string) (lo, hi float64, ok bool) {
	u := strings.ToLower(unit)
	has := func(words ...string) bool {
		for _, w := range words {
			if strings.Contains(u, w) {
				return true
			}
		}
		return false
	}
	switch {
	case has("nat", "bit", "token", "step"):
		return 0, 0, false
	case signedUnit(unit), has("correlation"):
		return -1, 1, true
	case has("auroc", "auc", "aoc", "p(", "accuracy", "probability", "share", "rate", "fraction", "proportion"):
		return 0, 1, true
	}
	return 0, 0, false
}

// signedUnit tells whether values of the unit are differences, which are written with their sign.
func signedUnit(unit string) bool { return strings.Contains(strings.ToLower(unit), "difference") }

// axisOver rounds [min, max] outwards to steps of 1, 2, 2.5 or 5 times a power of ten, with about n intervals.
func axisOver(unit string, min, max float64, n int) axis {
	if !(max > min) {
		max = min + 1
	}
	step := niceStep((max - min) / float64(n))
	first, last := math.Floor(min/step+1e-9), math.Ceil(max/step-1e-9)
	a := axis{lo: first * step, hi: last * step, Unit: unit}
	for i := first; i <= last; i++ {
		a.Ticks = append(a.Ticks, tick{At: a.at(i * step), Label: short(i * step)})
	}
	if a.lo < 0 && a.hi > 0 {
		a.Zero = a.at(0)
	}
	return a
}

func niceStep(raw float64) float64 {
	scale := math.Pow(10, math.Floor(math.Log10(raw)))
	for _, m := range []float64{1, 2, 2.5, 5} {
		if m*scale >= raw*(1-1e-9) {
			return m * scale
		}
	}
	return 10 * scale
}

// share is v's place on the axis, 0 to 1; values outside stop at the ends.
func (a axis) share(v float64) float64 {
	return math.Max(0, math.Min(1, (v-a.lo)/(a.hi-a.lo)))
}

// at is v's place as a percentage for an SVG attribute.
func (a axis) at(v float64) string {
	return strconv.FormatFloat(100*a.share(v), 'f', 2, 64) + "%"
}
