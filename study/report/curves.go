package report

import (
	"math"
	"slices"
	"sort"
	"strconv"
	"strings"
)

// Size of a learning curve's drawing area. Width is in the units of a stretched inner SVG, height in pixels.
const (
	curveWidth  = 1000
	curveHeight = 110
	labelGap    = 13  // pixels between labels at the lines' ends
	maxPoints   = 240 // a longer curve is thinned by means over equal stretches
)

// curveGroup is one metric: a row of panels that share the upright axis.
type curveGroup struct {
	Metric string
	// Open tells whether the group is unfolded: what was trained for is, what went along with it is not.
	Open   bool
	Panels []curvePanel
}

// curvePanel is one arm.
type curvePanel struct {
	Arm, Title string
	Lines      []curveLine
	YTicks     []curveTick
	XTicks     []tick
	Alt        string
}

// curveTick is a tick of the vertical axis; Y is in pixels from the top.
type curveTick struct{ Y, Label string }

// curveLine is one seed. Points holds an SVG points list a piece, pieces being what lies between values that are missing.
type curveLine struct {
	Pieces []string
	Label  string
	LabelY string
	Tone   int
	end    float64
}

// curves arranges the input's curves by metric (rewards and accuracies first, then in order of first appearance) and arm.
func curves(in Input, order func(a, b string) bool, title func(string) string) []curveGroup {
	byMetric := map[string][]Curve{}
	var metrics []string
	for _, c := range in.Curves {
		if len(c.Steps) == 0 {
			continue
		}
		if _, ok := byMetric[c.Metric]; !ok {
			metrics = append(metrics, c.Metric)
		}
		byMetric[c.Metric] = append(byMetric[c.Metric], c)
	}
	var groups []curveGroup
	for _, m := range metrics {
		groups = append(groups, newCurveGroup(m, byMetric[m], order, title))
	}
	slices.SortStableFunc(groups, func(a, b curveGroup) int { return int(indicator(b.Open) - indicator(a.Open)) })
	return groups
}

func newCurveGroup(metric string, cs []Curve, order func(a, b string) bool, title func(string) string) curveGroup {
	minY, maxY := math.Inf(1), math.Inf(-1)
	for i, c := range cs {
		cs[i].Steps, cs[i].Values = thin(c.Steps, c.Values)
		for _, v := range cs[i].Values {
			if isFinite(v) {
				minY, maxY = math.Min(minY, v), math.Max(maxY, v)
			}
		}
	}
	if minY > maxY {
		minY, maxY = 0, 1
	}
	if minY >= 0 && maxY <= 1 && maxY > .3 { // a share: show it against the whole
		minY, maxY = 0, 1
	} else if minY > 0 && minY < maxY/2 {
		minY = 0
	}
	y := axisOver("", minY, maxY, 4)

	byArm := map[string][]Curve{}
	var arms []string
	for _, c := range cs {
		if _, ok := byArm[c.Arm]; !ok {
			arms = append(arms, c.Arm)
		}
		byArm[c.Arm] = append(byArm[c.Arm], c)
	}
	sort.SliceStable(arms, func(i, j int) bool { return order(arms[i], arms[j]) })
	g := curveGroup{Metric: metric, Open: strings.HasSuffix(metric, "reward") || strings.HasSuffix(metric, "accuracy")}
	for _, a := range arms {
		g.Panels = append(g.Panels, newCurvePanel(g.Metric, a, title(a), byArm[a], y))
	}
	return g
}

// stepAxis spans steps 0 to the last, so that labels stand right at the lines' ends.
func stepAxis(cs []Curve) axis {
	last := 1
	for _, c := range cs {
		last = max(last, c.Steps[len(c.Steps)-1])
	}
	return axis{lo: 0, hi: float64(last), Unit: "step", Ticks: stepTicks(last)}
}

// stepTicks are the ends of the steps and the round steps that fit between them.
func stepTicks(last int) []tick {
	x := axis{lo: 0, hi: float64(last)}
	ticks := []tick{{At: "0%", Label: "0"}}
	step := niceStep(x.hi / 3)
	for v := step; v < .85*x.hi; v += step {
		ticks = append(ticks, tick{At: x.at(v), Label: stepLabel(v)})
	}
	return append(ticks, tick{At: "100%", Label: stepLabel(x.hi)})
}

// stepLabel writes a step, and one that no training has reached in few characters.
func stepLabel(step float64) string {
	if step >= 1e7 {
		return strconv.FormatFloat(step, 'g', 3, 64)
	}
	return short(step)
}

func newCurvePanel(metric, arm, title string, cs []Curve, y axis) curvePanel {
	x := stepAxis(cs)
	sort.SliceStable(cs, func(i, j int) bool { return cs[i].Seed < cs[j].Seed })
	p := curvePanel{Arm: arm, Title: title, XTicks: x.Ticks, Alt: metric + " of " + arm + " by step."}
	for _, t := range y.Ticks {
		share, _ := strconv.ParseFloat(strings.TrimSuffix(t.At, "%"), 64)
		p.YTicks = append(p.YTicks, curveTick{Y: pixels(curveHeight * (1 - share/100)), Label: t.Label})
	}
	for i, c := range cs {
		line := curveLine{Label: "seed " + strconv.Itoa(c.Seed), Tone: i % 3, end: curveHeight}
		var piece strings.Builder
		flush := func() {
			if piece.Len() > 0 {
				line.Pieces = append(line.Pieces, piece.String())
				piece.Reset()
			}
		}
		last := math.NaN()
		for k, v := range c.Values {
			if !isFinite(v) {
				flush()
				continue
			}
			if piece.Len() > 0 {
				piece.WriteByte(' ')
			}
			last, line.end = v, curveHeight*(1-y.share(v))
			piece.WriteString(pixels(curveWidth*x.share(float64(c.Steps[k]))) + "," + pixels(line.end))
		}
		flush()
		if isFinite(last) {
			p.Alt += " Seed " + strconv.Itoa(c.Seed) + " ends at " + number(last, false) + "."
		}
		p.Lines = append(p.Lines, line)
	}
	for i, at := range spread(p.Lines) {
		p.Lines[i].LabelY = pixels(at)
	}
	return p
}

// spread places a label at each line's end, in pixels from the top, and moves labels that touch apart: from the top down
// and then, if that ran out of the panel, back up.
func spread(lines []curveLine) []float64 {
	order := make([]int, len(lines))
	for i := range order {
		order[i] = i
	}
	sort.SliceStable(order, func(i, j int) bool { return lines[order[i]].end < lines[order[j]].end })
	ys := make([]float64, len(order))
	for i, k := range order {
		ys[i] = lines[k].end
		if i > 0 {
			ys[i] = math.Max(ys[i], ys[i-1]+labelGap)
		}
	}
	limit := float64(curveHeight)
	for i := len(ys) - 1; i >= 0; i-- {
		ys[i] = math.Min(ys[i], limit)
		limit = ys[i] - labelGap
	}
	out := make([]float64, len(lines))
	for i, k := range order {
		out[k] = ys[i]
	}
	return out
}

// thin reduces a curve to at most maxPoints points, each the mean of a stretch of finite values at the stretch's last step.
func thin(steps []int, values []float64) ([]int, []float64) {
	if len(steps) <= maxPoints {
		return steps, values
	}
	outSteps, outValues := make([]int, maxPoints), make([]float64, maxPoints)
	for i := range maxPoints {
		from, to := i*len(steps)/maxPoints, (i+1)*len(steps)/maxPoints
		sum, n := 0.0, 0
		for _, v := range values[from:to] {
			if isFinite(v) {
				sum += v
				n++
			}
		}
		outSteps[i] = steps[to-1]
		outValues[i] = sum / float64(n) // NaN when the stretch is empty, which breaks the line
	}
	return outSteps, outValues
}

func pixels(v float64) string { return strconv.FormatFloat(v, 'f', 1, 64) }
