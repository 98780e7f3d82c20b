package tally

import (
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"candor/internal/rng"
)

// drawText draws words of the language and others, as many as it happens.
func drawText(t *rapid.T) string {
	words := append(Vocabulary(), "what", "=2", "2.", "ÄÖ", "\xff")
	return strings.Join(rapid.SliceOfN(rapid.SampledFrom(words), 0, 12).Draw(t, "words"), " ")
}

// sameMeaning fails unless after says what before says: word for word, subjects as they were, numbers the same, connectives
// still connectives and all else untouched.
func sameMeaning(t *rapid.T, before, after string) {
	a, b := strings.Fields(before), strings.Fields(after)
	if len(a) != len(b) || strings.Join(b, " ") != after {
		t.Fatalf("%q became %q", before, after)
	}
	for i := range a {
		n, _, number := Number(a[i])
		m, _, still := Number(b[i])
		switch {
		case i%2 == 0 && a[i] != b[i]:
			t.Fatalf("subject %q became %q", a[i], b[i])
		case number != still || n != m || IsConnective(a[i]) != IsConnective(b[i]):
			t.Fatalf("%q became %q", a[i], b[i])
		case !number && !IsConnective(a[i]) && a[i] != b[i]:
			t.Fatalf("%q, which means nothing, became %q", a[i], b[i])
		}
	}
	x, y := Parse(before), Parse(after)
	if len(x.Steps) != len(y.Steps) || x.Closed != y.Closed {
		t.Fatalf("%q became %q", before, after)
	}
	for i := range x.Steps {
		n, ok := x.Steps[i].Total()
		if m, still := y.Steps[i].Total(); n != m || ok != still {
			t.Fatalf("step %q became %q", x.Steps[i].Text(), y.Steps[i].Text())
		}
	}
}

func TestParaphraseKeepsTheMeaning(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := drawText(t)
		src := rng.New(rapid.Uint64().Draw(t, "seed"))
		again := src
		got := Paraphrase(text, &src)
		sameMeaning(t, text, got)
		if other := Paraphrase(text, &again); other != got {
			t.Fatalf("the same stream made %q and %q of %q", got, other, text)
		}
	})
}

func TestTranslateKeepsTheMeaning(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := drawText(t)
		got := Translate(text)
		sameMeaning(t, text, got)
		words := strings.Fields(got)
		for i := 1; i < len(words); i += 2 {
			if n, _, ok := Number(words[i]); ok && words[i] != Write(n, German) || slices.Contains(connectives, words[i]) {
				t.Fatalf("%q is not German in %q", words[i], got)
			}
		}
		if again := Translate(got); again != got {
			t.Fatalf("translated twice, %q becomes %q", got, again)
		}
	})
	const text = "2 two 0 zwei 1 3 4 so 4 thus 4 then 4 hence 4 ok hmm dann key 3"
	if got, want := Translate(text), "2 zwei 0 zwei 1 drei 4 also 4 also 4 dann 4 also 4 gut hmm dann key drei"; got != want {
		t.Errorf("%q became %q, want %q", text, got, want)
	}
}

// Whatever stood there, each form and each connective comes equally often, each time anew: nothing of the choice of words is
// left to carry anything.
func TestParaphraseDrawsUniformly(t *testing.T) {
	const n = 6000
	src := rng.New(1)
	for _, remark := range slices.Concat(Stated(), connectives, foreign) {
		choices := connectives
		if total, _, ok := Number(remark); ok {
			choices = []string{Write(total, Digit), Write(total, English), Write(total, German)}
		}
		text := "1 " + remark + " 2 " + remark
		pairs := map[string]float64{}
		for range n {
			words := strings.Fields(Paraphrase(text, &src))
			pairs[words[1]+" "+words[3]]++
		}
		p := 1 / float64(len(choices)*len(choices))
		for _, a := range choices {
			for _, b := range choices {
				if f := pairs[a+" "+b] / n; math.Abs(f-p) > 5*math.Sqrt(p*(1-p)/n) {
					t.Errorf("%q became %q and %q with frequency %.4f, want %.4f", text, a, b, f, p)
				}
				delete(pairs, a+" "+b)
			}
		}
		if len(pairs) > 0 {
			t.Errorf("%q became %v", text, pairs)
		}
	}
}
