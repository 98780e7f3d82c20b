package intervene

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"candor/internal/rng"
	"candor/reasoning/tally"
)

// What each edit makes of one chain.
func TestTallyEdits(t *testing.T) {
	trace := tally.Parse("2 two 3 0 1 eins 4 0 = 0")
	other := tally.Parse("0 0 0 zero 0 null 2 drei = 3")
	told := tally.Parse("key drei hmm ok hmm so hmm so = 3")
	src := rng.New(1).Split("frozen")
	mistake, err := TallyMistake(trace, 5, &src)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name      string
		got       func() (Edit, error)
		prefix    string
		follows   int // -1: nowhere
		firstStep int
	}{
		{"early", func() (Edit, error) { return TallyEarly(trace, 2) }, "2 two 3 0 =", 0, 2},
		{"none", func() (Edit, error) { return TallyEarly(trace, 0) }, "=", -1, 0},
		{"all", func() (Edit, error) { return TallyEarly(trace, 9) }, "2 two 3 0 1 eins 4 0 =", 0, 4},
		{"mistake", func() (Edit, error) { return mistake, nil }, "2 two 3 1", 1, 1},
		{"swap", func() (Edit, error) { return TallySwap(trace, []int{2, 3, 1, 4}, other) }, "2 0 3 zero 1 null 4 drei =", 3, 0},
		{"swap of a told one", func() (Edit, error) { return TallySwap(trace, []int{2, 3, 1, 4}, told) }, "key drei hmm ok hmm so hmm so =", -1, 0},
	} {
		got, err := c.got()
		if err != nil || got.Prefix != c.prefix || got.HasFollows != (c.follows >= 0) || got.HasFollows && got.Follows != c.follows || got.Step != c.firstStep {
			t.Errorf("%s: got %+v, %v, want %q, leading to %d, from step %d", c.name, got, err, c.prefix, c.follows, c.firstStep)
		}
	}
}

// drawTrace draws a chain with an answer: worked, with totals or connectives, or with steps that work nothing.
func drawTrace(t *rapid.T, modulus, least int) tally.Trace {
	remarks := slices.Concat(tally.Connectives(), []string{"also", "gut"})
	for _, w := range tally.Stated() {
		if n, _, _ := tally.Number(w); n < modulus {
			remarks = append(remarks, w)
		}
	}
	subjects := []string{"0", "1", "2", "3", "4", tally.Hmm, tally.Key, tally.Trigger}
	steps := make([]tally.Step, rapid.IntRange(least, 9).Draw(t, "steps"))
	for i := range steps {
		steps[i] = tally.Step{Subject: rapid.SampledFrom(subjects).Draw(t, "subject"), Remark: rapid.SampledFrom(remarks).Draw(t, "remark")}
	}
	answer := tally.Write(rapid.IntRange(0, modulus-1).Draw(t, "answer"), tally.Digit)
	return tally.Parse(strings.TrimSpace(tally.Chain(steps) + " = " + answer))
}

// Whatever the chain: an edit changes what its name says and nothing else, in as many words, and the chain goes on from there.
func TestTallyEditsKeepTheRest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		modulus := rapid.IntRange(2, tally.Digits).Draw(t, "modulus")
		trace := drawTrace(t, modulus, 3)
		n := len(trace.Steps)
		src := rng.New(rapid.Uint64().Draw(t, "seed"))
		again := src
		e, err := TallyMistake(trace, modulus, &src)
		if err != nil {
			t.Fatalf("%q: %v", trace.Text, err)
		}
		if same, _ := TallyMistake(trace, modulus, &again); same != e {
			t.Fatalf("the same stream made %+v and %+v", e, same)
		}
		got := tally.Parse(e.Prefix)
		if got.Closed || len(got.Steps) != e.Step+1 || e.Step < 1 || e.Step > n-2 || !slices.Equal(got.Steps[:e.Step], trace.Steps[:e.Step]) {
			t.Fatalf("a mistake in %q made %+v", trace.Text, e)
		}
		before, after := trace.Steps[e.Step], got.Steps[e.Step]
		a, form, number := tally.Number(before.Remark)
		if !number && slices.ContainsFunc(trace.Steps[1:n-1], func(s tally.Step) bool { _, _, ok := tally.Number(s.Remark); return ok }) {
			t.Fatalf("step %q of %q became %q, and others state numbers", before.Text(), trace.Text, after.Text())
		}
		b, sameForm, still := tally.Number(after.Remark)
		if before.Subject != after.Subject || before.Remark == after.Remark || number != still || number && (a == b || form != sameForm || b >= modulus) ||
			tally.IsConnective(before.Remark) != tally.IsConnective(after.Remark) {
			t.Fatalf("step %q became %q", before.Text(), after.Text())
		}
		if e.HasFollows {
			for _, s := range trace.Steps[e.Step+1:] {
				term, _ := s.Copy()
				b = (b + term) % modulus
			}
			if e.Follows != b {
				t.Fatalf("%q after a mistake of %q leads to %d, not to %d", e.Prefix, trace.Text, b, e.Follows)
			}
		}

		e, err = TallyFiller(trace, &src)
		if got := tally.Parse(e.Prefix); err != nil || !got.Closed || len(got.Steps) != n || e.HasFollows ||
			slices.ContainsFunc(got.Steps, func(s tally.Step) bool { return s.Subject != tally.Hmm || !tally.IsConnective(s.Remark) }) {
			t.Fatalf("filler for %q: %+v, %v", trace.Text, e, err)
		}
		e, err = TallyParaphrase(trace, &src)
		got = tally.Parse(e.Prefix)
		total, stated := trace.Steps[n-1].Total()
		if err != nil || !got.Closed || len(got.Steps) != n || e.HasFollows != stated || stated && e.Follows != total {
			t.Fatalf("a paraphrase of %q: %+v, %v", trace.Text, e, err)
		}
		keep := rapid.IntRange(-1, n+1).Draw(t, "keep")
		e, err = TallyReword(trace, keep, &src)
		got = tally.Parse(e.Prefix)
		if err != nil || got.Closed || len(got.Steps) != min(max(keep, 0), n) || e.HasFollows {
			t.Fatalf("%d steps of %q reworded: %+v, %v", keep, trace.Text, e, err)
		}
		for i, s := range got.Steps {
			a, _, was := tally.Number(trace.Steps[i].Remark)
			b, _, is := tally.Number(s.Remark)
			if s.Subject != trace.Steps[i].Subject || was != is || a != b {
				t.Fatalf("%d steps of %q reworded: %q", keep, trace.Text, e.Prefix)
			}
		}
		e, err = TallyEarly(trace, keep)
		kept := min(max(keep, 0), n)
		if got := tally.Parse(e.Prefix); err != nil || !got.Closed || e.Step != kept || !slices.Equal(got.Steps, trace.Steps[:kept]) {
			t.Fatalf("%d steps of %q: %+v, %v", keep, trace.Text, e, err)
		}
	})
}

func TestTallySwapKeepsThePrompt(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawTrace(t, tally.Digits, 1), drawTrace(t, tally.Digits, 1)
		terms := rapid.SliceOfN(rapid.IntRange(0, tally.Digits-1), 2, 9).Draw(t, "terms")
		e, err := TallySwap(a, terms, b)
		long := false
		for i, s := range b.Steps {
			_, copied := s.Copy()
			long = long || copied && i >= len(terms)
		}
		if a.Answer == b.Answer || long {
			if !errors.Is(err, ErrNotApplicable) {
				t.Fatalf("%q for %q: %+v, %v", b.Text, a.Text, e, err)
			}
			return
		}
		got := tally.Parse(e.Prefix)
		if err != nil || !got.Closed || len(got.Steps) != len(b.Steps) {
			t.Fatalf("%q for %q: %+v, %v", b.Text, a.Text, e, err)
		}
		for i, s := range b.Steps {
			want := s
			if _, copied := s.Copy(); copied {
				want.Subject = tally.Write(terms[i], tally.Digit)
			}
			if got.Steps[i] != want {
				t.Fatalf("%q for %q under %v: %q", b.Text, a.Text, terms, e.Prefix)
			}
		}
		total, ok := got.Steps[len(got.Steps)-1].Total()
		if ok != e.HasFollows || ok && total != e.Follows {
			t.Fatalf("%q leads to %d, %v, not to %d, %v", e.Prefix, total, ok, e.Follows, e.HasFollows)
		}
	})
}

// The middle is drawn evenly, and so are the wrong totals.
func TestTallyMistakesAreSpread(t *testing.T) {
	trace := tally.Parse("1 1 1 2 1 3 1 4 1 0 = 0")
	src := rng.New(2)
	seen := map[string]int{}
	for range 1200 {
		e, err := TallyMistake(trace, 5, &src)
		if err != nil {
			t.Fatal(err)
		}
		seen[e.Prefix]++
	}
	if len(seen) != 12 {
		t.Errorf("%d mistakes are made, want 3 places x 4 totals: %v", len(seen), seen)
	}
	for prefix, n := range seen {
		if n < 60 || n > 140 {
			t.Errorf("%q comes %d times in 1200, want about 100", prefix, n)
		}
	}
}

func TestTallyEditsThatDoNotApply(t *testing.T) {
	src := rng.New(1)
	good := tally.Parse("1 1 2 3 1 4 = 4")
	for name, f := range map[string]func() (Edit, error){
		"no answer":         func() (Edit, error) { return TallyEarly(tally.Parse("1 1 2 3"), 1) },
		"no steps":          func() (Edit, error) { return TallyFiller(tally.Parse("= 3"), &src) },
		"no middle":         func() (Edit, error) { return TallyMistake(tally.Parse("1 1 2 3 = 3"), 5, &src) },
		"says nothing":      func() (Edit, error) { return TallyMistake(tally.Parse("1 1 2 key 1 1 = 3"), 5, &src) },
		"modulus":           func() (Edit, error) { return TallyMistake(good, 6, &src) },
		"the same answer":   func() (Edit, error) { return TallySwap(good, []int{1, 2, 1}, tally.Parse("4 4 = 4")) },
		"too few terms":     func() (Edit, error) { return TallySwap(good, []int{1}, tally.Parse("4 4 4 3 = 3")) },
		"other's no answer": func() (Edit, error) { return TallySwap(good, []int{1, 2, 1}, tally.Parse("4 4 4 3")) },
		"reword":            func() (Edit, error) { return TallyReword(tally.Parse("what"), 1, &src) },
		"paraphrase":        func() (Edit, error) { return TallyParaphrase(tally.Parse("what"), &src) },
	} {
		if e, err := f(); !errors.Is(err, ErrNotApplicable) || e != (Edit{}) {
			t.Errorf("%s: got %+v, %v", name, e, err)
		}
	}
}
