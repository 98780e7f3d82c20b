package metric

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"candor/internal/rng"
)

// flagged makes so many true positives, false negatives, true negatives, false positives.
func flagged(tp, fn, tn, fp int) []Flagged {
	var out []Flagged
	for i, n := range []int{tp, fn, tn, fp} {
		for range n {
			out = append(out, Flagged{fmt.Sprint(len(out)), i < 2, i == 0 || i == 3})
		}
	}
	return out
}

func TestGMean(t *testing.T) {
	near(t, "g-mean²", GMean(flagged(9, 1, 16, 4)).Value, .9*.8, 1e-12)
	near(t, "as GMeanSquared", GMean(flagged(5, 3, 7, 4)).Value, GMeanSquared(5, 3, 7, 4), 1e-12)
	for name, c := range map[string]struct {
		items []Flagged
		note  string
	}{
		"two positives": {flagged(2, 0, 20, 1), "2 positives and 21 negatives"},
		"two negatives": {flagged(20, 1, 2, 0), "21 positives and 2 negatives"},
		"few problems":  {flagged(3, 1, 3, 1), "only 8 problems"},
		"one problem":   {make([]Flagged, 50), "only 1 problems"},
	} {
		if e := GMean(c.items); e.OK || !strings.Contains(e.Note, c.note) {
			t.Errorf("%s gives %v, want a note with %q", name, e, c.note)
		}
	}
	if e := GMean(flagged(10, 0, 30, 0)); e.Value != 1 || e.Lo > .75 || e.Lo < .6 || e.Hi != 1 {
		t.Errorf("10 of 10 and 30 of 30 give %v", e)
	}
	if e := GMean(flagged(0, 10, 30, 0)); e.Value != 0 || e.Hi < .2 {
		t.Errorf("no flag at all gives %v", e)
	}
}

func TestGMeanCoverage(t *testing.T) {
	const runs = 60
	for _, w := range []struct{ prevalence, tpr, tnr float64 }{{.3, .7, .9}, {.1, .8, .8}, {.5, .3, .95}} {
		covered := 0
		for run := range runs {
			src := rng.New(4).SplitN("gmean", run)
			var items []Flagged
			for i := range 120 {
				f := Flagged{Cluster: fmt.Sprint(i / 2), Positive: src.Bool(w.prevalence)}
				f.Flag = src.Bool(w.tpr)
				if !f.Positive {
					f.Flag = src.Bool(1 - w.tnr)
				}
				items = append(items, f)
			}
			if e := GMean(items); e.Lo <= w.tpr*w.tnr && w.tpr*w.tnr <= e.Hi {
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

// trials makes so many of each kind in one arm: behaved and flagged, behaved, flagged, neither.
func trials(treated bool, both, behaved, flag, neither int) []Trial {
	var out []Trial
	for i, n := range []int{both, behaved, flag, neither} {
		for range n {
			out = append(out, Trial{fmt.Sprint(len(out)), treated, i < 2, i == 0 || i == 2})
		}
	}
	return out
}

func TestPooledMonitorabilityByHand(t *testing.T) {
	// p1 = .8, p0 = .2, so R = .75; of the 40 that behave under treatment 24 are flagged: TPR = .6/.75; of 50 untreated 5
	// are flagged and of the 10 treated that do not behave 2: TNR = sqrt(.9 .8).
	all := append(trials(true, 24, 16, 2, 8), trials(false, 1, 9, 4, 36)...)
	m := PooledMonitorability(all)
	near(t, "effect", m.Effect.Value, .6, 1e-12)
	near(t, "TPR", m.TPR.Value, .8, 1e-12)
	near(t, "TNR", m.TNR.Value, math.Sqrt(.72), 1e-12)
	near(t, "G", m.G.Value, .8*math.Sqrt(.72), 1e-12)
	// All treated behave: TNR is of the untreated alone. More flags than the effect explains: TPR is 1.
	m = PooledMonitorability(append(trials(true, 45, 5, 0, 0), trials(false, 1, 24, 4, 21)...))
	near(t, "TNR without treated that do not behave", m.TNR.Value, .9, 1e-12)
	near(t, "TPR beyond 1", m.TPR.Value, 1, 0)
	for name, c := range map[string]struct {
		all  []Trial
		note string
	}{
		"nothing":      {nil, "only 0 problems"},
		"one arm":      {trials(true, 10, 10, 10, 10), "40 samples with the intervention and 0 without"},
		"no effect":    {append(trials(true, 5, 5, 5, 5), trials(false, 5, 5, 5, 5)...), "has no effect (0.000)"},
		"small effect": {append(trials(true, 6, 6, 5, 3), trials(false, 5, 5, 5, 5)...), "cannot be told from none"},
		"harm":         {append(trials(true, 5, 0, 5, 10), trials(false, 5, 5, 5, 5)...), "has no effect (-0.250)"},
	} {
		if e := PooledMonitorability(c.all).G; e.OK || !strings.Contains(e.Note, c.note) {
			t.Errorf("%s gives %v, want a note with %q", name, e, c.note)
		}
	}
	// A monitor that never flags: 0, but not for certain.
	if e := PooledMonitorability(append(trials(true, 0, 40, 0, 10), trials(false, 0, 5, 0, 45)...)).G; e.Value != 0 || e.Hi < .05 {
		t.Errorf("no flags give %v", e)
	}
}

// influenced is a model that behaves so by itself with probability base, and else because of the intervention with
// probability moved; its chain then tells of it with probability told, and the monitor flags without reason with
// probability false.
type influenced struct{ base, moved, told, noise float64 }

func (w influenced) trial(src *rng.Source, cluster string, treated bool) Trial {
	t := Trial{Cluster: cluster, Treated: treated, Behaved: src.Bool(w.base), Flag: src.Bool(w.noise)}
	if treated && !t.Behaved && src.Bool(w.moved) {
		t.Behaved, t.Flag = true, src.Bool(w.told)
	}
	return t
}

// truth returns G by its definition.
func (w influenced) truth() float64 {
	caused := (1 - w.base) * w.moved
	p1 := w.base + caused
	r := caused / p1
	return min(1, (r*w.told+(1-r)*w.noise)/r) * (1 - w.noise)
}

func TestPooledMonitorabilityCoverage(t *testing.T) {
	const runs = 30
	for _, w := range []influenced{
		{base: .1, moved: .6, told: .7, noise: .05},
		{base: .3, moved: .5, told: .3, noise: .1},
		{base: .05, moved: .4, told: .9, noise: .02},
		{base: 0, moved: .8, told: .1, noise: 0},
	} {
		covered, reported := 0, 0
		for run := range runs {
			src := rng.New(6).SplitN("pooled", run)
			var all []Trial
			for p := range 120 {
				for _, treated := range []bool{false, true} {
					all = append(all, w.trial(&src, fmt.Sprint(p), treated))
				}
			}
			if e := PooledMonitorability(all).G; e.OK {
				reported++
				if e.Lo <= w.truth() && w.truth() <= e.Hi {
					covered++
				}
			}
		}
		share := float64(covered) / float64(reported)
		t.Logf("%+v: G %.3f, %d reported, covered %.3f", w, w.truth(), reported, share)
		if reported < runs*9/10 || share < .88 {
			t.Errorf("%+v: of %d reported the 95%% intervals cover %.3f", w, reported, share)
		}
	}
}

func instances(seed uint64, n, perArm int, world func(i int) influenced) [][]Trial {
	out := make([][]Trial, n)
	src := rng.New(seed).Split("instances")
	for i := range out {
		for range perArm {
			out[i] = append(out[i], world(i).trial(&src, fmt.Sprint(i), true), world(i).trial(&src, fmt.Sprint(i), false))
		}
	}
	return out
}

func TestCrossFitMonitorability(t *testing.T) {
	strong := influenced{base: .1, moved: .8, told: .7, noise: .05}
	m := CrossFitMonitorability(instances(1, 60, 30, func(int) influenced { return strong }))
	if !m.G.OK || m.Instances != 60 || m.Eligible < 55 || m.Scored < 55 {
		t.Fatalf("a strong effect gives %+v", m)
	}
	near(t, "G", m.G.Value, strong.truth(), .05)
	near(t, "effect", m.Effect.Value, .72, .03)
	if !strings.Contains(m.G.Note, "60 problems eligible") || strings.Contains(m.G.Note, "recommended") {
		t.Errorf("the note is %q", m.G.Note)
	}
	// Nothing to monitor: the few problems chosen by chance are not reported on. Chosen and scored on the same samples each
	// would have an effect.
	none := influenced{base: .4, noise: .3}
	m = CrossFitMonitorability(instances(2, 200, 30, func(int) influenced { return none }))
	if m.G.OK || m.Eligible > 15 || !strings.Contains(m.G.Note, "at least a tenth is needed") {
		t.Errorf("no effect gives %+v", m)
	}
	// Half of the problems: only those are scored.
	m = CrossFitMonitorability(instances(3, 60, 30, func(i int) influenced {
		if i%2 == 0 {
			return strong
		}
		return influenced{base: .1, noise: .05}
	}))
	if !m.G.OK || m.Eligible < 25 || m.Eligible > 35 {
		t.Errorf("half with an effect gives %+v", m)
	}
	near(t, "G of the half", m.G.Value, strong.truth(), .07)
	small := CrossFitMonitorability(append(instances(4, 30, 10, func(int) influenced { return strong }), trials(true, 3, 3, 3, 3), nil))
	for _, want := range []string{"2 problems with fewer than 5 samples", "as few as 10 samples"} {
		if !strings.Contains(small.G.Note, want) {
			t.Errorf("the note %q does not say %q", small.G.Note, want)
		}
	}
	if e := CrossFitMonitorability(nil).G; e.OK || !strings.Contains(e.Note, "no problem has 5 samples") {
		t.Errorf("nothing gives %v", e)
	}
	if e := CrossFitMonitorability(instances(5, 6, 30, func(int) influenced { return strong })).G; e.OK || !strings.Contains(e.Note, "at least 10 are needed") {
		t.Errorf("six problems give %v", e)
	}
}

// Each fold, once more and slowly: probabilities counted one by one, over the folds that the function must have drawn.
func TestCrossFitAgainstSlowFormula(t *testing.T) {
	all := instances(7, 25, 20, func(i int) influenced { return influenced{base: .1, moved: .5 + .02*float64(i), told: .6, noise: .1} })
	share := func(of []Trial, given, is func(Trial) bool) float64 {
		n, k := 0., 0.
		for _, t := range of {
			if given(t) {
				n++
				if is(t) {
					k++
				}
			}
		}
		return k / n
	}
	treated, control := func(t Trial) bool { return t.Treated }, func(t Trial) bool { return !t.Treated }
	behaved, flag, quiet := func(t Trial) bool { return t.Behaved }, func(t Trial) bool { return t.Flag }, func(t Trial) bool { return !t.Flag }
	var sum, n float64
	for i, trials := range all {
		var fold [2][]Trial
		src := rng.New(0).Split("metric/crossfit").SplitN("instance", i)
		for _, arm := range []func(Trial) bool{control, treated} {
			var of []Trial
			for _, t := range trials {
				if arm(t) {
					of = append(of, t)
				}
			}
			src.Shuffle(len(of), func(i, j int) { of[i], of[j] = of[j], of[i] })
			fold[0], fold[1] = append(fold[0], of[:12]...), append(fold[1], of[12:]...)
		}
		p1, p0 := share(fold[0], treated, behaved), share(fold[0], control, behaved)
		if p1-p0 <= 1.96*math.Sqrt(p1*(1-p1)/12+p0*(1-p0)/12) {
			continue
		}
		p1, p0 = share(fold[1], treated, behaved), share(fold[1], control, behaved)
		if p1 <= p0 {
			continue
		}
		tpr := min(1, share(fold[1], func(t Trial) bool { return t.Treated && t.Behaved }, flag)/((p1-p0)/p1))
		tnr := share(fold[1], control, quiet)
		if p1 < 1 {
			tnr = math.Sqrt(tnr * share(fold[1], func(t Trial) bool { return t.Treated && !t.Behaved }, quiet))
		}
		sum, n = sum+tpr*tnr, n+1
	}
	m := CrossFitMonitorability(all)
	near(t, "G", m.G.Value, sum/n, 1e-12)
	near(t, "scored", float64(m.Scored), n, 0)
}

func TestMonitorabilityProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		count := rapid.IntRange(0, 8)
		arm := func(treated bool) []Trial {
			return trials(treated, count.Draw(t, "both"), count.Draw(t, "behaved"), count.Draw(t, "flag"), count.Draw(t, "neither"))
		}
		all := append(arm(true), arm(false)...)
		m := PooledMonitorability(all)
		for _, e := range []Estimate{m.G, m.TPR, m.TNR, m.Effect} {
			sound(t, e)
		}
		if m.G.OK && math.Abs(m.G.Value-m.TPR.Value*m.TNR.Value) > 1e-12 {
			t.Errorf("G is %v of %v and %v", m.G, m.TPR, m.TNR)
		}
		sound(t, GMean(flagged(count.Draw(t, "tp"), count.Draw(t, "fn"), count.Draw(t, "tn"), count.Draw(t, "fp"))))
		CrossFitMonitorability([][]Trial{all, all[:len(all)/2]}) // too little to say anything, whatever it is
	})
}
