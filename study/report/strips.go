package report

import (
	"math"
	"strconv"
	"strings"
)

// A figure of training has a panel an arm, and in it strips above each other, one a metric, over the same steps.
const (
	stripHeight = 76 // pixels
	maxBins     = 80 // stretches of training; a line has one point in each, the mean over the stretch
	endShare    = .1 // of the steps: the numbers at the lines' ends are means over these last ones
)

// stripSpec says what a strip shows.
type stripSpec struct {
	Name string
	// Accent marks the strip that the section is about.
	Accent bool
	// Digits of the number at the line's end.
	Digits int
	// top is the upper end of the axis; its lower end is 0.
	top func(Setup) float64
	// read takes the values of one training; an empty series leaves its seed out.
	read func(Training) Series
}

// trainingPanel is one arm.
type trainingPanel struct {
	Arm, Title string
	Strips     []strip
	XTicks     []tick
	// RampFrom and RampWidth are where the penalty grows, as percentages; "" where nothing says so.
	RampFrom, RampWidth, RampMiddle string
	// Ends tells how the seeds end, After what samples show afterwards; either may be empty.
	Ends, After string
}

// strip is one metric of one arm: a faint line a seed, a strong one for their mean.
type strip struct {
	Name   string
	Accent bool
	// Missing is set where the run did not record the metric.
	Missing bool
	Seeds   [][]string // pieces of points, as in curveLine
	Mean    []string
	YTicks  []curveTick
	End     string // the mean's value over the last steps, and where it is written
	EndY    string
	Alt     string
	// ends are the seeds' values over the last steps.
	ends []seedEnd
}

type seedEnd struct {
	seed  int
	value float64
}

func always(top float64) func(Setup) float64 { return func(Setup) float64 { return top } }

// newTrainingPanel draws the trainings of one arm, by seed.
func newTrainingPanel(arm, title string, ts []Training, specs []stripSpec) trainingPanel {
	p := trainingPanel{Arm: arm, Title: title}
	last := 1
	for _, t := range ts {
		last = max(last, t.last())
	}
	p.XTicks = stepTicks(last)
	for _, t := range ts {
		if lo, hi := t.Setup.Ramp[0], t.Setup.Ramp[1]; hi > lo && p.RampFrom == "" {
			p.RampFrom, p.RampWidth, p.RampMiddle = percent(lo), percent(hi-lo), percent((lo+hi)/2)
		}
	}
	for _, spec := range specs {
		p.Strips = append(p.Strips, newStrip(arm, ts, spec, last))
	}
	return p
}

func newStrip(arm string, ts []Training, spec stripSpec, last int) strip {
	top := 0.0
	for _, t := range ts {
		top = math.Max(top, spec.top(t.Setup))
	}
	s := strip{Name: spec.Name, Accent: spec.Accent, Missing: true, Alt: spec.Name + " of " + arm + " by step."}
	y := axis{lo: 0, hi: top}
	ticks := []float64{0, 1}
	if top != 1 {
		ticks = append(ticks, top)
	}
	for _, v := range ticks {
		s.YTicks = append(s.YTicks, curveTick{Y: pixels(stripHeight * (1 - y.share(v))), Label: strings.TrimSuffix(fixed(v, 2), ".00")})
	}
	bins := min(maxBins, last)
	sums, counts := make([]float64, bins), make([]float64, bins)
	for _, t := range ts {
		series := spec.read(t)
		if len(series.Steps) == 0 {
			continue
		}
		s.Missing = false
		line := binned(series, last, bins)
		for i, v := range line {
			if isFinite(v) {
				sums[i] += v
				counts[i]++
			}
		}
		s.Seeds = append(s.Seeds, polyline(line, y))
		if end := endOf(series, last); isFinite(end) {
			s.ends = append(s.ends, seedEnd{t.Seed, end})
			s.Alt += " Seed " + strconv.Itoa(t.Seed) + " ends at " + fixed(end, 2) + "."
		}
	}
	if s.Missing {
		s.Alt = spec.Name + " of " + arm + " was not recorded."
		return s
	}
	for i := range sums {
		sums[i] /= counts[i] // NaN where no seed has a value, which breaks the line
	}
	s.Mean = polyline(sums, y)
	if mean := meanEnd(s.ends); isFinite(mean) {
		s.End = fixed(mean, spec.Digits)
		s.EndY = pixels(stripHeight * (1 - y.share(mean)))
		s.Alt += " Their mean ends at " + s.End + "."
	}
	if len(s.Seeds) == 1 {
		s.Seeds = nil // the mean says it all
	}
	return s
}

// binned is the mean of the series over equal stretches of the steps 1 to last; NaN where it has no value.
func binned(s Series, last, bins int) []float64 {
	sums, counts := make([]float64, bins), make([]float64, bins)
	for i, step := range s.Steps {
		if v := s.Values[i]; isFinite(v) {
			b := min(bins-1, max(0, int(float64(step-1)/float64(last)*float64(bins))))
			sums[b] += v
			counts[b]++
		}
	}
	for i := range sums {
		sums[i] /= counts[i]
	}
	return sums
}

// endOf is the mean over the last steps of the run.
func endOf(s Series, last int) float64 {
	sum, n := 0.0, 0.0
	for i, step := range s.Steps {
		if v := s.Values[i]; isFinite(v) && float64(step) > (1-endShare)*float64(last) {
			sum += v
			n++
		}
	}
	return sum / n
}

func meanEnd(ends []seedEnd) float64 {
	sum := 0.0
	for _, e := range ends {
		sum += e.value
	}
	return sum / float64(len(ends))
}

// polyline turns a value a stretch into SVG points, each at the middle of its stretch, in pieces between missing values.
func polyline(values []float64, y axis) (pieces []string) {
	var b strings.Builder
	flush := func() {
		if b.Len() > 0 {
			pieces = append(pieces, b.String())
			b.Reset()
		}
	}
	for i, v := range values {
		if !isFinite(v) {
			flush()
			continue
		}
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		x := curveWidth * (float64(i) + .5) / float64(len(values))
		b.WriteString(strconv.Itoa(int(math.Round(x))) + "," + pixels(stripHeight*(1-y.share(v))))
	}
	flush()
	return pieces
}

// stretch words how many steps a point stands for.
func stretch(last int) string {
	if per := (last + maxBins - 1) / maxBins; per > 1 {
		return "up to " + plural(per, "step")
	}
	return "one step"
}

func percent(share float64) string { return strconv.FormatFloat(100*share, 'f', 2, 64) + "%" }

// fixed writes v with so many decimals and a true minus sign; what rounds to zero has no sign. Absurd sizes are shortened.
func fixed(v float64, decimals int) string {
	if math.Abs(v) >= 1e6 {
		return strconv.FormatFloat(v, 'g', 3, 64)
	}
	s := strconv.FormatFloat(math.Abs(v), 'f', decimals, 64)
	if v < 0 && strings.Trim(s, "0.") != "" {
		return "−" + s
	}
	return s
}
