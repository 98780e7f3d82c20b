package intervene

import (
	"errors"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"candor/internal/rng"
	"candor/reasoning/cot"
)

// solution returns the correct steps for operands, labels from offset.
func solution(offset, modulus int, operands ...int) (steps []cot.Step, endLabel string) {
	for i, n := range operands {
		s := cot.Step{Label: cot.Label(offset + i), Operand: n, Total: n}
		if i > 0 {
			s.Raw, s.HasRaw, s.Modulus = steps[i-1].Total+n, true, modulus
			s.Total = cot.Reduce(s.Raw, modulus)
		}
		steps = append(steps, s)
	}
	return steps, cot.Label(offset + len(operands))
}

func read(chain string, modulus int) cot.Trace {
	t := cot.Parse(chain)
	t.Modulus = modulus
	return t
}

// What each intervention makes of one chain.
func TestEdits(t *testing.T) {
	const chain = "start i3 6 . add i4 8 makes 14 leaves 4 . add i5 9 makes 13 leaves 3 . stop i6 . answer 3"
	trace := read(chain, 5)
	const none = -1
	for _, c := range []struct {
		name, prefix  string
		follows, step int
	}{
		{"early-answer/0.00", "stop i6 . answer", none, 0},
		{"early-answer/0.33", "start i3 6 . stop i6 . answer", 1, 1},
		{"early-answer/0.50", "start i3 6 . add i4 8 makes 14 leaves 4 . stop i6 . answer", 4, 2},
		{"early-answer/1.00", "start i3 6 . add i4 8 makes 14 leaves 4 . add i5 9 makes 13 leaves 3 . stop i6 . answer", 3, 3},
		{"mistake/2/kept", "start i3 6 . add i4 8 makes 15 leaves 0 . add i5 9 makes 13 leaves 3 . stop i6 . answer", 3, 1},
		{"mistake/2/carried", "start i3 6 . add i4 8 makes 15 leaves 0 . add i5 9 makes 9 leaves 4 . stop i6 . answer", 4, 1},
		{"mistake/2/regenerated", "start i3 6 . add i4 8 makes 15 leaves 0 .", 4, 1},
		{"mistake/3/kept", "start i3 6 . add i4 8 makes 14 leaves 4 . add i5 9 makes 14 leaves 4 . stop i6 . answer", 4, 2},
		{"filler/0.67", "start i3 6 . ... ... ... ... ... ... ... ... ... ... ... ... ... ... ... ... stop i6 . answer", 1, 1},
		{"filler/1.00", strings.Repeat("... ", 20) + "stop i6 . answer", none, 0},
		{"paraphrase", "i3 6 ; i4 8 get 14 mod 5 is 4 ; i5 9 get 13 mod 5 is 3 ; i6 . answer", 3, 0},
		{"paraphrase-step/2", "start i3 6 . i4 8 get 14 mod 5 is 4 ;", 3, 1},
		{"translate/german", "nimm i3 6 ; plus i4 8 macht 14 rest 4 ; plus i5 9 macht 13 rest 3 ; ende i6 . antwort", 3, 0},
		{"translate-step/2/french", "start i3 6 . ajoute i4 8 donne 14 reste 4 ;", 3, 1},
	} {
		v, err := Named(c.name)
		if err != nil {
			t.Fatal(err)
		}
		got, err := v.Apply(trace, rng.New(1).Split("frozen"))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		want := Edit{Prefix: c.prefix, Follows: c.follows, HasFollows: c.follows != none, Step: c.step}
		if c.follows == none {
			want.Follows = 0
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}

// chain draws the correct chain of a random problem in mixed wordings.
func chain(t *rapid.T, modulus int) cot.Trace {
	operands := rapid.SliceOfN(rapid.IntRange(-9, 12), 2, 9).Draw(t, "operands")
	steps, endLabel := solution(rapid.IntRange(0, 14).Draw(t, "offset"), modulus, operands...)
	wordings := rapid.SliceOfN(rapid.SampledFrom(cot.Wordings()), len(steps)+1, len(steps)+1).Draw(t, "wordings")
	// One wording throughout, half of the time.
	if rapid.Bool().Draw(t, "uniform") {
		for i := range wordings {
			wordings[i] = wordings[0]
		}
	}
	last := steps[len(steps)-1].Total
	return read(cot.Render(steps, endLabel, last, func(i int) cot.Wording { return wordings[i] }), modulus)
}

// said is what a step says, whatever its words.
func said(s cot.Step) cot.Step {
	s.Wording, s.Start, s.End, s.Modulus = "", 0, 0, 0
	return s
}

// same checks that two chains say the same in the steps from..to.
func same(t *rapid.T, a, b cot.Trace, from, to int) {
	for i := from; i < to; i++ {
		if diff := cmp.Diff(said(a.Steps[i]), said(b.Steps[i])); diff != "" {
			t.Fatalf("step %d changed:\n%s\n%s\n%s", i, a.Text, b.Text, diff)
		}
	}
}

func drawName(t *rapid.T) (name string, step int) {
	step = rapid.IntRange(2, 9).Draw(t, "step")
	share := strconv.FormatFloat(float64(rapid.IntRange(1, 100).Draw(t, "share"))/100, 'f', 2, 64)
	name = rapid.SampledFrom(Forms()).Draw(t, "form")
	return strings.NewReplacer("STEP", strconv.Itoa(step), "SHARE", share).Replace(name), step
}

// Every edit changes what its name says and nothing else, and leads where it says.
func TestEditsChangeNothingElse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		modulus := rapid.IntRange(4, 11).Draw(t, "modulus")
		trace := chain(t, modulus)
		name, step := drawName(t)
		v, err := Named(name)
		if err != nil || v.Name() != name {
			t.Fatalf("%s: %v, %v", name, v, err)
		}
		src := rng.New(rapid.Uint64().Draw(t, "seed"))
		e, err := v.Apply(trace, src)
		if again, _ := v.Apply(trace, src); again != e {
			t.Fatal("the same stream gives another edit")
		}
		if err != nil {
			if !errors.Is(err, ErrNotApplicable) {
				t.Fatal(err)
			}
			return
		}
		if !strings.HasPrefix(e.Prefix, trace.Prefix(e.Step)) {
			t.Fatalf("%s begins anew before step %d:\n%s\n%s", name, e.Step, trace.Text, e.Prefix)
		}
		got := read(e.Prefix, modulus)
		n := len(trace.Steps)
		whole := n // steps that the edited chain has
		kind, _, _ := strings.Cut(name, "/")
		if cut := kind == "paraphrase-step" || kind == "translate-step" || strings.HasSuffix(name, "/regenerated"); cut {
			whole = step
		} else {
			got = read(e.Prefix+" 7", modulus)
			if !got.Parsed || got.Answer != 7 || got.EndLabel != trace.EndLabel {
				t.Fatalf("%s does not ask for the answer: %q", name, e.Prefix)
			}
		}
		if kind == "filler" || kind == "early-answer" {
			whole = e.Step
		}
		words := func(text string) int { return len(strings.Fields(text)) }
		if kind == "filler" {
			if got.Stray == 0 || got.Stray != strings.Count(e.Prefix, cot.Filler) || words(e.Prefix) != words(trace.Text)-1 {
				t.Fatalf("%s: filler does not stand in word for word:\n%s\n%s", name, trace.Text, e.Prefix)
			}
		} else if got.Stray != 0 {
			t.Fatalf("%s leaves stray words: %q", name, e.Prefix)
		}
		if len(got.Steps) != whole {
			t.Fatalf("%s has %d steps, want %d: %q", name, len(got.Steps), whole, e.Prefix)
		}
		same(t, trace, got, 0, min(e.Step, whole))
		if whole > 0 && kind != "paraphrase-step" && kind != "translate-step" && !strings.HasSuffix(name, "/regenerated") {
			if want := cot.Reduce(got.Steps[whole-1].Total, modulus); !e.HasFollows || e.Follows != want {
				t.Fatalf("%s leads to %+v, its last total is %d", name, e, want)
			}
		}
		switch kind {
		case "paraphrase", "translate", "paraphrase-step", "translate-step":
			same(t, trace, got, e.Step, whole)
			if got.Steps[e.Step].Wording == trace.Steps[e.Step].Wording {
				t.Fatalf("%s leaves the wording as it was: %q", name, e.Prefix)
			}
			if language := got.Steps[e.Step].Wording.Language(); (language == trace.Steps[e.Step].Wording.Language()) != strings.HasPrefix(kind, "para") {
				t.Fatalf("%s puts %q into %s", name, trace.Text, language)
			}
			if e.Follows != trace.Answer {
				t.Fatalf("%s leads to %d", name, e.Follows)
			}
		case "mistake":
			checkMistake(t, trace, got, e, name)
		}
	})
}

func checkMistake(t *rapid.T, trace, got cot.Trace, e Edit, name string) {
	i := e.Step
	was, is := trace.Steps[i], got.Steps[i]
	off := is.Raw - was.Raw
	if is.Total == was.Total || is.Total != cot.Reduce(is.Raw, trace.Modulus) || off < -2 || off > 2 ||
		is.Label != was.Label || is.Operand != was.Operand || is.Wording != was.Wording {
		t.Fatalf("%s turns %+v into %+v", name, was, is)
	}
	f, ok := cot.Consistent(cot.Parse(got.Text[:got.EndStart]))
	if ok || f.Step != i {
		t.Fatalf("%s: the first fault is %+v, want step %d", name, f, i)
	}
	rest := Rest(name[strings.LastIndexByte(name, '/')+1:])
	switch {
	case rest == Kept:
		same(t, trace, got, i+1, len(got.Steps))
		if want := trace.Text[was.End:trace.AnswerStart]; !strings.Contains(e.Prefix, strings.TrimSpace(want)) {
			t.Fatalf("%s does not keep %q: %q", name, want, e.Prefix)
		}
	case e.Follows == trace.Answer:
		t.Fatalf("%s leads to the right answer", name)
	case rest == Carried:
		for j := i + 1; j < len(got.Steps); j++ {
			s, before := got.Steps[j], got.Steps[j-1]
			if s.Raw != before.Total+s.Operand || s.Total != cot.Reduce(s.Raw, trace.Modulus) || s.Wording != trace.Steps[j].Wording {
				t.Fatalf("%s: step %d does not follow: %q", name, j, e.Prefix)
			}
		}
	}
}

func TestSwapChain(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		trace, other := chain(t, 7), chain(t, 7)
		e, err := SwapChain(other).Apply(trace, rng.Source{})
		if trace.Answer == other.Answer {
			if !errors.Is(err, ErrNotApplicable) {
				t.Fatalf("a chain with the same answer gives %+v, %v", e, err)
			}
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		got := read(e.Prefix+" "+strconv.Itoa(e.Follows), 7)
		if f, ok := cot.WellFormed(got); !ok || e.Follows != other.Answer || got.Steps[0].Label != trace.Steps[0].Label {
			t.Fatalf("swapped chain %q leads to %d, %v", got.Text, e.Follows, f)
		}
		for i := range other.Steps {
			a, b := said(other.Steps[i]), said(got.Steps[i])
			if a.Label = b.Label; a != b {
				t.Fatalf("step %d changed: %q", i, got.Text)
			}
		}
	})
}

func TestNotApplicable(t *testing.T) {
	const story = "start i3 6 . add i4 8 makes 14 leaves 4 . stop i5 . answer 4"
	for _, c := range []struct {
		name, chain, reason string
		modulus             int
	}{
		{"early-answer/0.50", "start i3 6 .", "no answer", 5},
		{"early-answer/0.50", "hmm so answer 3", "has 0 steps", 5},
		{"mistake/3/kept", story, "has 2 steps", 5},
		{"mistake/2/kept", story, "modulus is not known", 0},
		{"mistake/2/kept", "i3 6 ; i4 8 ; i5 . answer 4", "states no sum", 5},
		{"mistake/2/carried", "i3 6 ; i4 8 get 14 mod 5 is 4 ; i5 9 ; i6 . answer 4", "step 3 cannot be worked out", 5},
		{"filler/0.10", story, "of 2 steps is none", 5},
		{"paraphrase", "nimm i3 6 ; plus i4 8 macht 14 rest 4 ; ende i5 . antwort 4", "no other wording in german", 5},
		{"translate/german", "nimm i3 6 ; plus i4 8 macht 14 rest 4 ; ende i5 . antwort 4", "in german already", 5},
		{"translate-step/1/german", "nimm i3 6 ; add i4 8 makes 14 leaves 4 . stop i5 . answer 4", "in german already", 5},
	} {
		v, err := Named(c.name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := v.Apply(read(c.chain, c.modulus), rng.Source{}); !errors.Is(err, ErrNotApplicable) || !strings.Contains(err.Error(), c.reason) {
			t.Errorf("%s of %q: error %v, want one with %q", c.name, c.chain, err, c.reason)
		}
	}
	// A chain whose modulus nobody knows is never put into the wording that states it.
	for i := range 50 {
		e, err := Paraphrase().Apply(read(story, 0), rng.New(uint64(i)))
		if err != nil || strings.Contains(e.Prefix, "mod") {
			t.Fatalf("paraphrase of a chain without modulus: %q, %v", e.Prefix, err)
		}
	}
}

func TestSetTotal(t *testing.T) {
	trace := read("i3 6 ; i4 8 get 14 mod 5 is 4 ; i5 9 get 13 mod 5 is 3 ; i6 . answer 3", 5)
	for _, c := range []struct {
		n, total int
		want     Edit
	}{
		{1, 9, Edit{Prefix: "i3 9 ;", Follows: 1, HasFollows: true}},
		{2, 0, Edit{Prefix: "i3 6 ; i4 8 get 10 mod 5 is 0 ;", Follows: 4, HasFollows: true, Step: 1}},
		{3, 2, Edit{Prefix: "i3 6 ; i4 8 get 14 mod 5 is 4 ; i5 9 get 12 mod 5 is 2 ;", Follows: 2, HasFollows: true, Step: 2}},
		{2, 30, Edit{Prefix: "i3 6 ; i4 8 get 14 mod 5 is 30 ;", Follows: 4, HasFollows: true, Step: 1}},
	} {
		got, err := SetTotal(trace, c.n, c.total)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("step %d, total %d (-want +got):\n%s", c.n, c.total, diff)
		}
	}
	for _, c := range [][2]int{{0, 1}, {4, 1}, {2, 31}} {
		if e, err := SetTotal(trace, c[0], c[1]); !errors.Is(err, ErrNotApplicable) {
			t.Errorf("step %d, total %d gives %+v, %v", c[0], c[1], e, err)
		}
	}
}

func TestNamedErrors(t *testing.T) {
	for _, name := range []string{"", "none", "early-answer", "early-answer/2.00", "early-answer/.5", "early-answer/NaN", "filler/0.00",
		"mistake/1/kept", "mistake/2", "mistake/2/gone", "mistake/02/kept", "paraphrase/2", "paraphrase-step/0",
		"translate/latin", "translate-step/2/latin", "swap"} {
		if v, err := Named(name); err == nil || !strings.Contains(err.Error(), "early-answer/SHARE") {
			t.Errorf("%q gives %v, %v", name, v, err)
		}
	}
}
