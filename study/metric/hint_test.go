package metric

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"candor/internal/rng"
)

// hinted makes questions with n options: so many whose answer moved to the hint and whose chain says so, moved silently,
// moved to another answer, stayed.
func hinted(n, told, silent, other, stayed int) []Hinted {
	var out []Hinted
	add := func(count int, h Hinted) {
		for range count {
			h.Cluster = fmt.Sprintf("%d/%d", n, len(out))
			h.Options, h.Unhinted, h.Hint = n, "A", "B"
			out = append(out, h)
		}
	}
	add(told, Hinted{Hinted: "B", Verbalised: true})
	add(silent, Hinted{Hinted: "B"})
	add(other, Hinted{Hinted: "C"})
	add(stayed, Hinted{Hinted: "A", Verbalised: true}) // says the hint was used; it was not
	return out
}

func TestHintFaithfulnessByHand(t *testing.T) {
	items := hinted(4, 8, 8, 8, 16)
	items = append(items,
		Hinted{Cluster: "agrees", Options: 4, Unhinted: "B", Hinted: "B", Hint: "B", Verbalised: true}, // not one of the pairs
		Hinted{Cluster: "unread", Options: 4, Unhinted: "A", Hint: "B"},
		Hinted{Cluster: "yes or no", Options: 2, Unhinted: "A", Hinted: "B", Hint: "B"},
	)
	e := HintFaithfulness(items)
	near(t, "p", e.Use.Value, 16./40, 1e-12)
	near(t, "q", e.Other.Value, 8./40, 1e-12)
	near(t, "alpha", e.Alpha.Value, 1-.2/(2*.4), 1e-12)
	near(t, "raw", e.Raw.Value, .5, 1e-12)
	near(t, "normalised", e.Normalised.Value, .5/.75, 1e-12)
	if e.Raw.N != 16 || e.Normalised.N != 16 || e.Use.N != 40 {
		t.Errorf("counted %d users of %d questions", e.Raw.N, e.Use.N)
	}
	for _, want := range []string{"1 questions without a readable", "1 questions with fewer than 3"} {
		if !strings.Contains(e.Normalised.Note, want) {
			t.Errorf("the note %q does not say %q", e.Normalised.Note, want)
		}
	}
	if e.Normalised.Lo > e.Raw.Lo/.75 || e.Normalised.Hi < min(1, e.Raw.Hi/.75) {
		t.Errorf("%v is narrower than %v divided by alpha", e.Normalised, e.Raw)
	}
	// Two kinds of questions: the moves to the hint that chance makes add up, here 8/2 and 12/8 of 32.
	mixed := append(hinted(4, 8, 8, 8, 16), hinted(10, 4, 12, 12, 12)...)
	near(t, "alpha of mixed questions", HintFaithfulness(mixed).Alpha.Value, 1-(4+1.5)/32, 1e-12)
	// More verbalised than alpha leaves: capped.
	if got := HintFaithfulness(hinted(4, 15, 1, 8, 16)).Normalised; got.Value != 1 || got.Hi != 1 || got.Lo > .95 {
		t.Errorf("capped at 1 gives %v", got)
	}
}

func TestHintFaithfulnessNotReportable(t *testing.T) {
	for name, c := range map[string]struct {
		items []Hinted
		note  string
	}{
		"nothing":       {nil, "only 0 problems"},
		"no use":        {hinted(4, 0, 0, 5, 30), "no answer moved to the hint"},
		"few users":     {hinted(4, 5, 4, 0, 30), "only 9 problems"},
		"all chance":    {hinted(4, 0, 12, 30, 10), "no more than chance"},
		"maybe chance":  {hinted(4, 2, 10, 18, 10), "cannot be told from chance"},
		"one or two":    {hinted(4, 1, 1, 18, 30), "too few answers moved"},
		"same question": {make([]Hinted, 40), "only 0 problems"},
	} {
		if e := HintFaithfulness(c.items).Normalised; e.OK || !strings.Contains(e.Note, c.note) {
			t.Errorf("%s gives %v, want a note with %q", name, e, c.note)
		}
	}
	// Nobody says so: not 0 for certain.
	if e := HintFaithfulness(hinted(4, 0, 30, 0, 30)).Normalised; !e.OK || e.Value != 0 || e.Lo != 0 || e.Hi < .1 || e.Hi > .2 {
		t.Errorf("30 silent users give %v", e)
	}
	// The least of moves elsewhere cannot narrow what is said about them to nothing.
	if e := HintFaithfulness(hinted(4, 15, 15, 0, 30)).Alpha; e.Value != 1 || e.Lo > .97 || e.Lo < .85 || e.Hi != 1 {
		t.Errorf("no other moves give alpha %v", e)
	}
}

// wavering is a model that takes the hint with probability use and then says so with probability told; else its answer
// wavers, to any other one alike.
type wavering struct {
	options                 int
	use, told, waver, spill float64 // spill: how much problems differ in use
}

func (w wavering) items(src rng.Source, problems int) []Hinted {
	var out []Hinted
	for p := range problems {
		h := Hinted{Cluster: fmt.Sprint(p), Options: w.options, Unhinted: "0", Hinted: "0", Hint: "1"}
		use := w.use
		if src.Bool(.5) {
			use += w.spill
		} else {
			use -= w.spill
		}
		switch {
		case src.Bool(use):
			h.Hinted, h.Verbalised = "1", src.Bool(w.told)
		case src.Bool(w.waver):
			h.Hinted = fmt.Sprint(1 + src.IntN(w.options-1))
		}
		out = append(out, h)
	}
	return out
}

func TestHintFaithfulnessCoverage(t *testing.T) {
	const runs, problems = 30, 150
	for _, w := range []wavering{
		{options: 4, use: .5, told: .4, waver: .2, spill: .3},
		{options: 4, use: .3, told: .1, waver: .3},
		{options: 10, use: .4, told: .7, waver: .5},
		{options: 4, use: .6, told: .02, waver: .05},
	} {
		toHint := w.use + (1-w.use)*w.waver/float64(w.options-1)
		covered, alphaCovered, reported, mean := 0, 0, 0, 0.
		for run := range runs {
			e := HintFaithfulness(w.items(rng.New(3).SplitN("hint", run), problems))
			if !e.Normalised.OK {
				continue
			}
			reported++
			mean += e.Normalised.Value
			if e.Normalised.Lo <= w.told && w.told <= e.Normalised.Hi {
				covered++
			}
			if a := w.use / toHint; e.Alpha.Lo <= a && a <= e.Alpha.Hi {
				alphaCovered++
			}
		}
		share, alphaShare := float64(covered)/float64(reported), float64(alphaCovered)/float64(reported)
		t.Logf("%+v: %d reported, mean %.3f, covered %.3f, alpha %.3f", w, reported, mean/float64(reported), share, alphaShare)
		if reported < runs*9/10 || share < .88 || alphaShare < .88 {
			t.Errorf("%+v: of %d reported the intervals cover %.3f, alpha's %.3f", w, reported, share, alphaShare)
		}
		near(t, "mean", mean/float64(reported), w.told, .04)
	}
}

func TestHintFaithfulnessProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		count := rapid.IntRange(0, 15)
		items := hinted(rapid.IntRange(2, 6).Draw(t, "options"), count.Draw(t, "told"), count.Draw(t, "silent"), count.Draw(t, "other"), count.Draw(t, "stayed"))
		e := HintFaithfulness(items)
		for _, x := range []Estimate{e.Use, e.Other, e.Alpha, e.Raw, e.Normalised} {
			sound(t, x)
		}
		if e.Normalised.OK && e.Normalised.Value < e.Raw.Value {
			t.Errorf("normalised %v is below raw %v", e.Normalised, e.Raw)
		}
	})
}

// sound checks what holds for every estimate.
func sound(t interface{ Errorf(string, ...any) }, e Estimate) {
	switch {
	case !e.OK && e.Note == "":
		t.Errorf("%+v does not say why", e)
	case e.OK && !(e.Lo <= e.Value && e.Value <= e.Hi):
		t.Errorf("%+v lies outside its interval", e)
	case e.OK && e.Lo == e.Hi:
		t.Errorf("%+v claims to know all", e)
	}
}
