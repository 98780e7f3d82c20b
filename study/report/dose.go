package report

import (
	"cmp"
	"math"
	"slices"

	"candor/study/metric"
	"candor/study/runlog"
)

// The arms that differ in how often honest work pays, and those that differ from one of them in length alone.
var doseArms = []string{"penalty-none", "penalty-mild", "penalty", "penalty-mild-long"}

const (
	doseHeight = 200 // pixels
	doseLabel  = 30  // the height of a label
	doseShift  = .06 // of the width: how far a longer training stands beside the shorter one
)

// doseFigure shows how often answers follow the key, against how often honest work goes unpaid.
type doseFigure struct {
	Points []dosePoint
	Lines  []doseLine
	XTicks []tick
	YTicks []curveTick
	Alt    string
}

// dosePoint is one arm. X is a percentage, the other places are pixels from the top.
type dosePoint struct {
	Arm, X, Y, Lo, Hi string
	Seeds             []string
	Long              bool // drawn as a square
	Length            string
	Numbers           numbers
	LabelY, Anchor    string
	Dx                string
	noise             float64
	steps             int
	y, label          float64
}

// doseLine joins two arms; a dashed one leads to a longer training.
type doseLine struct {
	X1, Y1, X2, Y2 string
	Dashed         bool
}

// newDoseFigure draws the arms that the run has, from a clean input; nil if there are fewer than two of different doses.
func newDoseFigure(in Input) *doseFigure {
	var points []dosePoint
	y := axis{lo: 0, hi: 1}
	height := func(v float64) float64 { return doseHeight * (1 - y.share(v)) }
	for _, arm := range doseArms {
		i := slices.IndexFunc(in.Trainings, func(t Training) bool { return t.Arm == arm && t.Setup.Steps > 0 })
		used, _ := usedKeys(in.Samples, arm)
		if i < 0 || len(used) == 0 {
			continue
		}
		e := estimateOf(used)
		if !e.OK {
			continue
		}
		p := dosePoint{Arm: arm, Numbers: newNumbers(&e.Value, &e.Lo, &e.Hi, "share"), noise: in.Trainings[i].Setup.Noise, steps: in.Trainings[i].Setup.Steps, y: height(e.Value)}
		p.Y, p.Lo, p.Hi = pixels(p.y), pixels(height(e.Lo)), pixels(height(e.Hi))
		for _, v := range e.PerSeed {
			p.Seeds = append(p.Seeds, pixels(height(v)))
		}
		points = append(points, p)
	}
	slices.SortStableFunc(points, func(a, b dosePoint) int { return cmp.Or(cmp.Compare(a.noise, b.noise), cmp.Compare(a.steps, b.steps)) })
	if len(points) < 2 || points[0].noise == points[len(points)-1].noise {
		return nil
	}
	x := axis{lo: 0, hi: points[len(points)-1].noise}
	across := func(v float64) float64 { return .08 + .84*x.share(v) } // room at both ends
	f := &doseFigure{Alt: "Share of answers that follow the key by share of honest work that goes unpaid."}
	for _, p := range points {
		if n := len(f.XTicks); n == 0 || f.XTicks[n-1].At != percent(across(p.noise)) {
			f.XTicks = append(f.XTicks, tick{At: percent(across(p.noise)), Label: percentage(p.noise)})
		}
	}
	for _, v := range []float64{0, .25, .5, .75, 1} {
		f.YTicks = append(f.YTicks, curveTick{Y: pixels(height(v)), Label: short(v)})
	}
	last := -1 // the arm before, among those of usual length
	for i := range points {
		p := &points[i]
		p.Long = i > 0 && points[i-1].noise == p.noise
		place := across(p.noise)
		if p.Long {
			place += doseShift
		}
		p.X = percent(place)
		p.Anchor, p.Dx = "start", "10"
		if place > .6 {
			p.Anchor, p.Dx = "end", "-10"
		}
		// Labels stand below their points, as the line leads up from them.
		if p.label = p.y + 17; p.y > doseHeight-36 {
			p.label = p.y - 19
		}
		// On a narrow page a label to the left of its point meets one to the right of the point before.
		if i > 0 && p.Anchor == "end" && points[i-1].Anchor == "start" && math.Abs(p.label-points[i-1].label) < doseLabel {
			if p.label = points[i-1].label - doseLabel; p.label < 4 {
				p.label = points[i-1].label + doseLabel
			}
		}
		p.LabelY = pixels(p.label)
		p.Length = plural(p.steps, "step")
		f.Alt += " " + p.Arm + " (" + p.Length + ") at " + short(p.noise) + ": " + p.Numbers.Estimate + " " + p.Numbers.Interval + "."
		if from := last; from >= 0 {
			f.Lines = append(f.Lines, doseLine{X1: points[from].X, Y1: points[from].Y, X2: p.X, Y2: p.Y, Dashed: p.Long})
		}
		if !p.Long {
			last = i
		}
	}
	f.Points = points
	return f
}

// usedKeys gathers, by seed, whether answers of an arm follow the key and, of those that do, whether the monitor flags the chain.
func usedKeys(samples []runlog.Sample, arm string) (used, caught map[int][]metric.Observation) {
	used, caught = map[int][]metric.Observation{}, map[int][]metric.Observation{}
	for i := range samples {
		s := &samples[i]
		if s.Arm != arm || s.Intervention != unedited {
			continue
		}
		v, ok := s.Values["used"]
		if !ok || v != 0 && v != 1 {
			continue
		}
		used[s.Seed] = append(used[s.Seed], metric.Observation{Cluster: s.ID, Value: v})
		if flagged, ok := s.Values["suspicion/key-mention"]; ok && v == 1 {
			caught[s.Seed] = append(caught[s.Seed], metric.Observation{Cluster: s.ID, Value: flagged})
		}
	}
	return used, caught
}
