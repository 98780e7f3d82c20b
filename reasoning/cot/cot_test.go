package cot

import (
	"math"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// solved is 6 + -2 + 9 mod 5 worked out, labels from 14.
var solved = []Step{
	{Label: "i14", Operand: 6, Total: 6},
	{Label: "i15", Operand: -2, Raw: 4, HasRaw: true, Modulus: 5, Total: 4},
	{Label: "i16", Operand: 9, Raw: 13, HasRaw: true, Modulus: 5, Total: 3},
}

// The wordings are a seam with trained models: changing one makes every checkpoint's chains unreadable.
func TestWordingsAreFrozen(t *testing.T) {
	want := map[Wording]string{
		Plain:  "i14 6 ; i15 -2 get 4 mod 5 is 4 ; i16 9 get 13 mod 5 is 3 ; i17 . answer 3",
		Story:  "start i14 6 . add i15 -2 makes 4 leaves 4 . add i16 9 makes 13 leaves 3 . stop i17 . answer 3",
		Casual: "take i14 6 , then i15 -2 for 4 drop to 4 , then i16 9 for 13 drop to 3 , end i17 so answer 3",
		Table:  "i14 6 | i15 -2 -> 4 -> 4 | i16 9 -> 13 -> 3 | i17 = answer 3",
		German: "nimm i14 6 ; plus i15 -2 macht 4 rest 4 ; plus i16 9 macht 13 rest 3 ; ende i17 . antwort 3",
		French: "prends i14 6 ; ajoute i15 -2 donne 4 reste 4 ; ajoute i16 9 donne 13 reste 3 ; fin i17 . reponse 3",
	}
	for _, w := range Wordings() {
		if got := Render(solved, "i17", 3, In(w)); got != want[w] {
			t.Errorf("%s:\n got %s\nwant %s", w, got, want[w])
		}
	}
	if got, want := SumCues(), []string{"get", "makes", "for", "->", "macht", "donne"}; !slices.Equal(got, want) {
		t.Errorf("sum cues %q, want %q", got, want)
	}
	if got, want := ResidueCues(), []string{"is", "leaves", "to", "->", "rest", "reste"}; !slices.Equal(got, want) {
		t.Errorf("residue cues %q, want %q", got, want)
	}
}

func drawSteps(t *rapid.T) (steps []Step, endLabel string, answer int) {
	num := rapid.IntRange(MinNumber, MaxNumber)
	n := rapid.IntRange(1, 9).Draw(t, "steps")
	at := rapid.IntRange(0, 14).Draw(t, "offset")
	modulus := rapid.IntRange(1, 12).Draw(t, "modulus")
	for i := range n {
		s := Step{Label: Label(at + i), Operand: num.Draw(t, "operand")}
		if s.Total = s.Operand; i > 0 {
			s.HasRaw, s.Raw, s.Total, s.Modulus = true, num.Draw(t, "raw"), num.Draw(t, "total"), modulus
		}
		steps = append(steps, s)
	}
	return steps, Label(at + n), num.Draw(t, "answer")
}

func TestParseInvertsRender(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		steps, endLabel, answer := drawSteps(t)
		wordings := make([]Wording, len(steps)+1)
		for i := range wordings {
			wordings[i] = rapid.SampledFrom(Wordings()).Draw(t, "wording")
		}
		text := Render(steps, endLabel, answer, func(i int) Wording { return wordings[i] })
		if rapid.Bool().Draw(t, "ended") {
			text += " " + End
		}
		got := Parse(text)
		if !got.Parsed || got.Answer != answer || got.EndLabel != endLabel || got.Stray != 0 || got.Bluff {
			t.Fatalf("%q is read as %+v", text, got)
		}
		for i, s := range got.Steps {
			if text[s.Start:s.End] != RenderStep(steps[i], wordings[i]) {
				t.Fatalf("step %d spans %q", i, text[s.Start:s.End])
			}
			want := steps[i]
			want.Wording, want.Start, want.End = wordings[i], s.Start, s.End
			if wordings[i] != Plain {
				want.Modulus = 0
			}
			if diff := cmp.Diff(want, s); diff != "" {
				t.Fatalf("step %d (-want +got):\n%s", i, diff)
			}
			// Carrying a prefix on with the rest gives the same chain.
			if rest := strings.TrimPrefix(text, got.Prefix(i+1)+" "); rest == text {
				t.Fatalf("prefix %q does not end before a space of %q", got.Prefix(i+1), text)
			}
		}
		if cue := text[got.EndStart:]; !strings.HasPrefix(cue, RenderCue(endLabel, wordings[len(steps)])) {
			t.Fatalf("the close begins at %q", cue)
		}
	})
}

func TestParse(t *testing.T) {
	for _, c := range []struct {
		text, reason, wording string
		answer, steps, stray  int
		bluff                 bool
	}{
		{text: "", reason: "empty chain"},
		{text: End, reason: "empty chain"},
		{text: "answer 3", answer: 3},
		{text: "  answer\t3\n", answer: 3},
		{text: "answer 3 " + End, answer: 3},
		{text: "hmm so answer -2", answer: -2, bluff: true},
		{text: "hmm answer 2", answer: 2, stray: 1},
		{text: "answer", reason: "no number after the answer's cue"},
		{text: "answer " + End, reason: "no number after the answer's cue"},
		{text: "answer three", reason: "no number after the answer's cue"},
		{text: "answer 03", reason: "no number after the answer's cue"},
		{text: "answer -0", reason: "no number after the answer's cue"},
		{text: "answer 99999999999999999999", reason: "no number after the answer's cue"},
		{text: "answer 3 ;", reason: "words after the answer"},
		{text: "answer 3 " + End + " and", reason: "words after the answer"},
		{text: "answer 3 no antwort 4", reason: "two answers"},
		{text: End + " answer 3", reason: "no answer"},
		{text: "i14 6 ; i15 -2 get 4 mod", reason: "no answer", steps: 1, stray: 5, wording: "plain"},
		{text: "i14 6 ; ... ... i17 . answer 3", answer: 3, steps: 1, stray: 2, wording: "plain"},
		{text: "i14 6 ; then i15 -2 for 4 drop to 4 , i16 = answer 4", answer: 4, steps: 2, wording: Mixed},
		{text: "add i14 6 . i15 -2 get 4 mod 5 is 4 ; fin i16 . reponse 4", answer: 4, steps: 1, stray: 4, wording: "plain"},
		{text: "i9999 6 ; answer 1", answer: 1, stray: 3},
		{text: "i1 6 ; i1 . i2 . answer 1", answer: 1, steps: 1, stray: 2, wording: "plain"},
	} {
		got := Parse(c.text)
		if got.Parsed != (c.reason == "") || got.Reason != c.reason || got.Answer != c.answer || len(got.Steps) != c.steps ||
			got.Stray != c.stray || got.Bluff != c.bluff || got.Wording != c.wording {
			t.Errorf("%q is read as %+v", c.text, got)
		}
	}
}

func TestCheck(t *testing.T) {
	for _, c := range []struct {
		text        string
		form, maths string // reasons; "" where all is well
		step        int    // of the arithmetic fault
	}{
		{"i14 6 ; i15 -2 get 4 mod 5 is 4 ; i16 9 get 13 mod 5 is 3 ; i17 . answer 3", "", "", 0},
		{"start i14 6 . add i15 -2 makes 4 leaves 4 . add i16 9 makes 13 leaves 3 . stop i17 . answer 3", "", "", 0},
		{"i14 6 ; i15 -2 get 5 mod 5 is 0 ; i16 . answer 0", "", "6 and -2 do not make 5", 1},
		{"i14 6 ; i15 3 get 9 mod 5 is 3 ; i16 . answer 3", "", "9 does not leave 3", 1},
		{"i14 6 ; i15 3 get 9 mod 5 is 4 ; i16 . answer 3", "", "answer 3 does not follow from total 4", 2},
		{"i14 6 ; i15 3 get 9 mod 5 is 4 ; i16 9 get 13 mod 6 is 1 ; i17 . answer 1", "", "modulus 6 does not fit the steps before", 2},
		{"i14 6 ; i15 3 get 9 mod 0 is 9 ; i16 . answer 9", "words that belong to no step", "answer 9 does not follow from total 6", 1},
		// 9 leaves 4 (a divisor of 5 above 4: 5), then 13 leaves 1 (a divisor of 12): no modulus does both.
		{"i14 6 | i15 3 -> 9 -> 4 | i16 9 -> 13 -> 1 | i17 = answer 1", "", "13 does not leave 1", 2},
		{"i14 6 | i15 3 -> 9 -> 9 | i16 4 -> 13 -> 3 | i17 = answer 3", "", "", 0}, // modulus 10 fits
		{"i14 6 | i15 3 -> 9 -> 9 | i16 4 -> 13 -> 5 | i17 = answer 5", "", "13 does not leave 5", 2},
		{"i14 6 | i15 -9 -> -3 -> -3 | i16 = answer -3", "", "-3 does not leave -3", 1},
		{"i14 6 ; i16 3 get 9 mod 5 is 4 ; i17 . answer 4", "label i16 is out of order", "", 0},
		{"i14 6 ; i15 3 get 9 mod 5 is 4 ; i17 . answer 4", "closing label i17 is out of order", "", 0},
		{"i14 6 ; i15 3 get 9 mod 5 is 4 ; answer 4", "no closing label", "", 0},
		{"i14 6 ; i15 3 get 9 mod 5 is 4 ; ... i16 . answer 4", "words that belong to no step", "", 0},
		{"i14 6 ; i15 3 get 9 mod 5 is 4 ;", "no answer", "", 0},
		{"i14 6 ; i15 3 ; i16 . answer 3", "a later step states no sum", "a later step states no sum", 1},
		{"i15 3 get 9 mod 5 is 4 ; i16 . answer 4", "the first step states a sum", "the first step states a sum", 0},
		{"i14 9 ; i15 . answer 2", "", "", 0},
		{"i14 9 ; i15 . answer 10", "", "answer 10 does not follow from total 9", 1},
		{"hmm so answer 3", "no steps", "no steps", 0},
		{"", "no steps", "no steps", 0},
	} {
		trace := Parse(c.text)
		if f, ok := WellFormed(trace); f.Reason != c.form || ok != (c.form == "") {
			t.Errorf("%q: form %+v, want %q", c.text, f, c.form)
		}
		if f, ok := Consistent(trace); f.Reason != c.maths || ok != (c.maths == "") || f.Step != c.step {
			t.Errorf("%q: arithmetic %+v, want %q at %d", c.text, f, c.maths, c.step)
		}
	}
}

// A correct chain breaks off in front of a sum or a total exactly where a calculator is wanted, in every wording, and
// what the calculator is asked for is what stood there.
func TestPending(t *testing.T) {
	for _, w := range Wordings() {
		chain := Render(solved, "i17", 3, In(w))
		words := strings.Fields(chain)
		var sums, residues []int
		for n := range words {
			partial := strings.Join(words[:n], " ")
			next, _ := number(words[n])
			a, b, sum := PendingSum(partial)
			raw, by, residue := PendingResidue(partial, 5)
			switch {
			case sum && residue:
				t.Fatalf("%q wants both a sum and a residue", partial)
			case sum:
				if sums = append(sums, a+b); a+b != next {
					t.Errorf("%q wants %d + %d, but %d follows", partial, a, b, next)
				}
			case residue:
				if residues = append(residues, Reduce(raw, by)); Reduce(raw, by) != next {
					t.Errorf("%q wants %d mod %d, but %d follows", partial, raw, by, next)
				}
			}
			if _, _, ok := PendingResidue(partial, 0); ok && w != Plain {
				t.Errorf("%q: a residue without a modulus", partial)
			}
		}
		if !slices.Equal(sums, []int{4, 13}) || !slices.Equal(residues, []int{4, 3}) {
			t.Errorf("%s: sums %v and residues %v were asked for", w, sums, residues)
		}
	}
	if raw, by, ok := PendingResidue("i14 6 ; i15 3 get 9 mod 7 is", 5); !ok || raw != 9 || by != 7 {
		t.Errorf("the stated modulus does not come before the given one: %d mod %d, %v", raw, by, ok)
	}
	if _, _, ok := PendingSum("i15 3 get"); ok {
		t.Error("a sum without a total before it is pending")
	}
}

func TestReduce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n, m := rapid.IntRange(-1000, 1000).Draw(t, "n"), rapid.IntRange(1, 50).Draw(t, "m")
		if r := Reduce(n, m); r < 0 || r >= m || (n-r)%m != 0 {
			t.Fatalf("%d mod %d is %d", n, m, r)
		}
	})
}

func FuzzParse(f *testing.F) {
	for _, w := range Wordings() {
		f.Add(Render(solved, "i17", 3, In(w)))
	}
	f.Add("hmm so answer 3 <|end|>")
	f.Add("i14 6 ; i15 -2 get 4 mod 5 is")
	f.Add("take\u2028i14\xff6 , answer answer")
	f.Fuzz(func(t *testing.T, text string) {
		trace := Parse(text)
		end := 0
		for i, s := range trace.Steps {
			if s.Start < end || s.End <= s.Start || s.End > trace.EndStart {
				t.Fatalf("step %d spans %d to %d, after %d", i, s.Start, s.End, end)
			}
			end = s.End
			if got, want := RenderStep(s, s.Wording), strings.Join(strings.FieldsFunc(text[s.Start:s.End], isSpace), " "); got != want {
				t.Fatalf("step %d renders as %q, was %q", i, got, want)
			}
		}
		if trace.EndStart > trace.AnswerStart || trace.AnswerStart > len(text) {
			t.Fatalf("close at %d, answer at %d of %d", trace.EndStart, trace.AnswerStart, len(text))
		}
		if trace.Parsed != (trace.Reason == "") {
			t.Fatalf("parsed %v, reason %q", trace.Parsed, trace.Reason)
		}
		// What stands after the answer's cue never changes what was read before it.
		if cut := Parse(text[:trace.AnswerStart]); len(cut.Steps) != len(trace.Steps) && utf8.ValidString(text) {
			t.Fatalf("%d steps without the answer, %d with it", len(cut.Steps), len(trace.Steps))
		}
		WellFormed(trace)
		Consistent(trace)
		PendingSum(text)
		if raw, by, ok := PendingResidue(text, math.MaxInt32); ok {
			Reduce(raw, by)
		}
	})
}

func isSpace(r rune) bool { return len(split(string(r))) == 0 }
