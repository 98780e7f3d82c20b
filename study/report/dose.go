package report

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"candor/study/metric"
	"candor/study/runlog"
)

const (
	doseMargin = .04 // of the width: room at both ends
	doseTick   = .13 // of the width: the least between labels on the axis
	doseShift  = 4   // pixels: half the distance between lines of different lengths at one dose
	doseDots   = 6   // pixels between a bar and the dots of its seeds
)

// doseFigure shows what arms do that differ in nothing but how often honest work pays and how long they were trained.
type doseFigure struct {
	Panels []dosePanel
	XTicks []tick
	Rows   []doseRow
}

// dosePanel is one measure: a line for each length of training.
type dosePanel struct {
	Name   string
	YTicks []curveTick
	Lines  []doseLine
	Alt    string
}

// doseLine is one length of training. The places of its points are shares of the width and pixels from the top.
type doseLine struct {
	Label, LabelX, LabelY string
	Long                  bool // the longest training: squares, in the accent colour
	Shift, Dots           int  // pixels, so that bars of two lengths stand beside each other, and seeds beside their bar
	Trends                []doseTrend
	Points                []dosePoint
}

// doseTrend joins two doses that follow each other, both of which were measured.
type doseTrend struct{ X1, Y1, X2, Y2 string }

// dosePoint is one arm, with a dot for each seed.
type dosePoint struct {
	X, Y, Lo, Hi string
	Seeds        []string
	y            float64
}

// doseRow is one arm in numbers.
type doseRow struct {
	Arm, Pays, Steps string
	Cells            []doseCell
	pays             float64
	steps            int
}

// doseCell is one measure of an arm. Seeds is set where it has fewer of them than the arm.
type doseCell struct {
	Numbers  numbers
	Seeds    string
	estimate metric.Estimate
}

// doseMeasures are the panels, and the columns of the table.
var doseMeasures = []string{"answers that follow the key, share", "chains that mention the key, share", "recall: flagged among answers that follow it"}

// newDoseFigure draws the arms that the run has, from a clean input; nil if there are no two of different doses.
func newDoseFigure(in Input) *doseFigure {
	f := &doseFigure{}
	var doses []float64
	var lengths []int
	for arm, setup := range doseFamily(in.Trainings) {
		row := newDoseRow(arm, setup, in.Samples)
		if row.Cells[0].Numbers.OK {
			f.Rows, doses, lengths = append(f.Rows, row), append(doses, row.pays), append(lengths, row.steps)
		}
	}
	slices.SortFunc(f.Rows, func(a, b doseRow) int {
		return cmp.Or(cmp.Compare(a.pays, b.pays), cmp.Compare(a.steps, b.steps), strings.Compare(a.Arm, b.Arm))
	})
	f.Rows = slices.CompactFunc(f.Rows, func(a, b doseRow) bool { return a.pays == b.pays && a.steps == b.steps })
	slices.Sort(doses)
	doses = slices.Compact(doses)
	slices.Sort(lengths)
	lengths = slices.Compact(lengths)
	if len(doses) < 2 {
		return nil
	}
	x := axis{lo: doses[0], hi: doses[len(doses)-1]}
	across := func(pays float64) float64 { return doseMargin + (1-2*doseMargin)*x.share(pays) }
	last := -1.
	for _, pays := range doses {
		at := across(pays)
		t := tick{At: percent(at)}
		if last < 0 || at-last > doseTick {
			t.Label, last = percentage(pays), at
		}
		f.XTicks = append(f.XTicks, t)
	}
	for i, name := range doseMeasures {
		f.Panels = append(f.Panels, newDosePanel(name, i, f.Rows, lengths, across))
	}
	return f
}

// doseFamily picks the arms of the largest group of trainings under the penalty that differ in dose and length alone.
func doseFamily(ts []Training) map[string]Setup {
	type of struct {
		arm  string
		seed int
	}
	last := map[of]Setup{} // an arm may train twice
	for _, t := range ts {
		last[of{t.Arm, t.Seed}] = t.Setup
	}
	families := map[string]map[string]Setup{}
	seeds := map[string]int{}
	for who, s := range last {
		if !s.Leak || !s.Penalised || s.Steps == 0 || s.Recipe == "" {
			continue
		}
		if families[s.Recipe] == nil {
			families[s.Recipe] = map[string]Setup{}
		}
		families[s.Recipe][who.arm], seeds[s.Recipe] = s, who.seed
	}
	recipes := slices.SortedFunc(maps.Keys(families), func(a, b string) int {
		return cmp.Or(len(families[b])-len(families[a]), cmp.Compare(seeds[a], seeds[b]), strings.Compare(a, b))
	})
	if len(recipes) == 0 {
		return nil
	}
	return families[recipes[0]]
}

// recipe stands for all that the settings of a stage say but its steps and the noise of its sums, so also for the seed and the
// model that training sets out from. It is empty if the settings name no sums.
func recipe(settings []byte) (string, error) {
	var all map[string]any
	if err := json.Unmarshal(settings, &all); err != nil {
		return "", err
	}
	stage, _ := all["stage"].(map[string]any)
	grpo, _ := stage["grpo"].(map[string]any)
	name, _ := grpo["sums"].(string)
	parts, _ := all["parts"].(map[string]any)
	sums, ok := parts["sums."+name].(map[string]any)
	if !ok {
		return "", nil
	}
	delete(grpo, "steps")
	delete(grpo, "sums") // two worlds that are alike may have two names
	delete(parts, "sums."+name)
	delete(sums, "noise")
	all["sums"] = sums
	data, err := json.Marshal(all)
	if err != nil {
		return "", fmt.Errorf("writing settings: %w", err)
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:]), nil
}

// newDoseRow measures one arm from its samples.
func newDoseRow(arm string, s Setup, samples []runlog.Sample) doseRow {
	used, flagged, caught := usedKeys(samples, arm)
	for seed, observed := range caught { // as a mean is of all seeds, one with few such answers would leave none
		problems := map[string]bool{}
		for _, o := range observed {
			problems[o.Cluster] = true
		}
		if len(problems) < metric.MinClusters {
			delete(caught, seed)
		}
	}
	row := doseRow{Arm: arm, Steps: thousands(s.Steps), pays: 1 - s.Noise, steps: s.Steps}
	row.Pays = percentage(row.pays)
	for _, bySeed := range []map[int][]metric.Observation{used, flagged, caught} {
		e := estimateOf(bySeed)
		v, lo, hi := e.Pointers()
		c := doseCell{Numbers: newNumbers(v, lo, hi, "share"), estimate: e}
		if n := len(bySeed); n < len(used) {
			c.Seeds = fmt.Sprintf("%d of %s", n, plural(len(used), "seed"))
		}
		row.Cells = append(row.Cells, c)
	}
	return row
}

// newDosePanel draws measure i of the rows, which ascend by what honest work pays, then by length.
func newDosePanel(name string, i int, rows []doseRow, lengths []int, across func(pays float64) float64) dosePanel {
	p := dosePanel{Name: name, Alt: name + ", by how often honest work earns the reward."}
	y := axis{lo: 0, hi: 1}
	height := func(v float64) float64 { return curveHeight * (1 - y.share(v)) }
	for _, v := range []float64{0, .5, 1} {
		p.YTicks = append(p.YTicks, curveTick{Y: pixels(height(v)), Label: short(v)})
	}
	var ends []curveLine // spread keeps the labels apart
	for k, steps := range lengths {
		l := doseLine{Label: plural(steps, "step"), Long: k > 0 && k == len(lengths)-1, Shift: doseShift * (2*k - (len(lengths) - 1)), Dots: doseDots}
		if k == 0 {
			l.Dots = -doseDots // away from the next length
		}
		joined := false
		for _, row := range rows {
			if row.steps != steps {
				continue
			}
			e := row.Cells[i].estimate
			if !e.OK {
				joined = false
				continue
			}
			at := dosePoint{X: percent(across(row.pays)), Y: pixels(height(e.Value)), Lo: pixels(height(e.Lo)), Hi: pixels(height(e.Hi)), y: height(e.Value)}
			for _, v := range e.PerSeed {
				at.Seeds = append(at.Seeds, pixels(height(v)))
			}
			if joined {
				before := l.Points[len(l.Points)-1]
				l.Trends = append(l.Trends, doseTrend{before.X, before.Y, at.X, at.Y})
			}
			l.Points, joined = append(l.Points, at), true
			p.Alt += " " + l.Label + " at " + row.Pays + ": " + row.Cells[i].Numbers.Estimate + " " + row.Cells[i].Numbers.Interval + "."
		}
		if n := len(l.Points); n > 0 {
			l.LabelX = l.Points[n-1].X
			ends = append(ends, curveLine{end: l.Points[n-1].y})
			p.Lines = append(p.Lines, l)
		}
	}
	for k, at := range spread(ends) {
		p.Lines[k].LabelY = pixels(at)
	}
	return p
}

// usedKeys gathers by seed, of the answers of an arm whether they follow the key, of its chains whether the keyword monitor
// flags them, and that again of those alone whose answer follows the key.
func usedKeys(samples []runlog.Sample, arm string) (used, flagged, caught map[int][]metric.Observation) {
	used, flagged, caught = map[int][]metric.Observation{}, map[int][]metric.Observation{}, map[int][]metric.Observation{}
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
		suspicion, ok := s.Values["suspicion/key-mention"]
		if !ok || !(0 <= suspicion && suspicion <= 1) {
			continue
		}
		flagged[s.Seed] = append(flagged[s.Seed], metric.Observation{Cluster: s.ID, Value: suspicion})
		if v == 1 {
			caught[s.Seed] = append(caught[s.Seed], metric.Observation{Cluster: s.ID, Value: suspicion})
		}
	}
	return used, flagged, caught
}
