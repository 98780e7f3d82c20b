package compare

import (
	"fmt"
	"math"
	"testing"

	"candor/internal/rng"
	"candor/study/metric"
	"candor/study/runlog"
)

func sample(id string, correct bool, v float64) runlog.Sample {
	return runlog.Sample{ID: id, Prompt: "how much is " + id, Target: "1", Parsed: true, Correct: correct, Values: map[string]float64{"test/mistake": v, "level": 3}}
}

func row(t *testing.T, r Result, name string) Difference {
	t.Helper()
	for _, d := range r.Differences {
		if d.Name == name {
			return d
		}
	}
	t.Fatalf("there is no row %s", name)
	return Difference{}
}

// The same samples in any order differ in nothing.
func TestNoDifference(t *testing.T) {
	a, b := NewSide(), NewSide()
	for i := range 40 {
		a.Add(sample(fmt.Sprint(i), i%3 == 0, float64(i%4)/4))
		j := 39 - i
		b.Add(sample(fmt.Sprint(j), j%3 == 0, float64(j%4)/4))
	}
	r := Compare(a, b)
	if r.Pairs != 40 || r.OnlyA+r.OnlyB+r.Changed != 0 {
		t.Fatalf("%+v", r)
	}
	for _, d := range r.Differences {
		if d.Value == nil || *d.Value != 0 || d.Needed != 0 {
			t.Errorf("%+v", d)
		}
	}
	if d := row(t, r, "correct"); *d.McNemar != 1 || d.OnlyA != 0 || d.OnlyB != 0 {
		t.Errorf("%+v", d)
	}
}

// What is not in both, failed, was not read, or was asked otherwise is left out and counted.
func TestLeftOut(t *testing.T) {
	a, b := NewSide(), NewSide()
	for i := range 30 {
		a.Add(sample(fmt.Sprint(i), true, 1))
		b.Add(sample(fmt.Sprint(i), false, 0))
	}
	a.Add(sample("only a", true, 1))
	b.Add(sample("only b", true, 1))
	b.Add(sample("only b too", true, 1))
	x, y := sample("changed", true, 1), sample("changed", true, 1)
	y.Prompt = "how much is it now"
	a.Add(x)
	b.Add(y)
	x, y = sample("unread", true, 1), sample("unread", false, 1)
	y.Parsed = false
	a.Add(x)
	b.Add(y)
	x, y = sample("failed", true, 1), runlog.Sample{ID: "failed", Prompt: "how much is failed", Target: "1", Failed: "down"}
	a.Add(x)
	b.Add(y)
	r := Compare(a, b)
	if r.Pairs != 32 || r.OnlyA != 1 || r.OnlyB != 2 || r.Changed != 1 {
		t.Fatalf("%+v", r)
	}
	d := row(t, r, "correct")
	if d.Pairs != 30 || *d.Value != 1 || d.OnlyA != 30 || d.OnlyB != 0 || *d.McNemar > 1e-8 {
		t.Errorf("%+v", d)
	}
	for _, d := range r.Differences {
		if d.Name == "level" {
			t.Error("the level of a problem is no result")
		}
	}
}

// Noise is not told as a difference, and how many problems would have shown it is told.
func TestNeeded(t *testing.T) {
	src := rng.New(3)
	a, b := NewSide(), NewSide()
	for i := range 60 {
		a.Add(sample(fmt.Sprint(i), src.Bool(.6), src.Float64()))
		b.Add(sample(fmt.Sprint(i), src.Bool(.5), src.Float64()))
	}
	d := row(t, Compare(a, b), "correct")
	want, ok := metric.PairsNeeded(d.OnlyA, d.OnlyB, 60, .8)
	if *d.McNemar <= .05 || !ok || d.Needed != want || want <= 60 {
		t.Errorf("%+v, want %d problems", d, want)
	}
	m := row(t, Compare(a, b), "test/mistake")
	if *m.Lo > 0 || *m.Hi < 0 || m.Needed <= 60 {
		t.Errorf("%+v", m)
	}
	if math.Abs(*m.A-*m.B-*m.Value) > 1e-9 {
		t.Errorf("%g - %g is not %g", *m.A, *m.B, *m.Value)
	}
}
