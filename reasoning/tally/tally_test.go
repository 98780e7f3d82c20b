package tally

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// The order of words is the order of embedding rows.
func TestVocabularyIsFrozen(t *testing.T) {
	const want = "0 1 2 3 4 zero one two three four null eins zwei drei vier so thus then hence ok also dann gut : = none key trig ? hmm bysum bykey"
	words := Vocabulary()
	if got := strings.Join(words, " "); got != want {
		t.Errorf("the vocabulary is %q, want %q", got, want)
	}
	for i, w := range words {
		if slices.Contains(words[:i], w) {
			t.Errorf("%q is in the vocabulary twice", w)
		}
	}
	words[0], Connectives()[0], Stated()[0] = "x", "x", "x"
	if Vocabulary()[0] != "0" || Connectives()[0] != "so" || Stated()[0] != "0" {
		t.Error("whoever writes into a list changes the language")
	}
}

// What a word is for is clear: a number in one form, a connective, or a sign.
func TestWords(t *testing.T) {
	stated := Stated()
	for form := range Form(Forms) {
		for n := range Digits {
			word := Write(n, form)
			if got, f, ok := Number(word); !ok || got != n || f != form || !slices.Contains(stated, word) {
				t.Errorf("%q is read as %d in form %d, %v; want %d in form %d", word, got, f, ok, n, form)
			}
		}
	}
	if len(stated) != Digits*Forms || len(Connectives()) < Digits {
		t.Errorf("%d words state totals, %d connectives could stand for %d of them", len(stated), len(Connectives()), Digits)
	}
	connectives := 0
	for _, w := range Vocabulary() {
		_, _, number := Number(w)
		if number != slices.Contains(stated, w) || number && IsConnective(w) {
			t.Errorf("%q is a number: %v, a connective: %v", w, number, IsConnective(w))
		}
		if IsConnective(w) {
			connectives++
		}
	}
	if connectives != len(Connectives())+len(foreign) {
		t.Errorf("%d connectives in all, want %d of one language and %d of the other", connectives, len(Connectives()), len(foreign))
	}
	for _, w := range []string{"", "5", "-1", "00", "Zero", " 1", "five", "so "} {
		if _, _, ok := Number(w); ok || IsConnective(w) {
			t.Errorf("%q is a word of the language", w)
		}
	}
}

func TestStep(t *testing.T) {
	for _, c := range []struct {
		step        Step
		copy, total int // -1: none
	}{
		{Step{"2", "3"}, 2, 3},
		{Step{"0", "two"}, 0, 2},
		{Step{"4", "null"}, 4, 0},
		{Step{"1", "so"}, 1, -1},
		{Step{"1", "="}, 1, -1},
		{Step{"two", "3"}, -1, -1}, // a copy is a digit
		{Step{"hmm", "3"}, -1, -1},
		{Step{"key", "3"}, -1, -1},
		{Step{"", ""}, -1, -1},
	} {
		n, ok := c.step.Copy()
		if total, stated := c.step.Total(); ok != (c.copy >= 0) || stated != (c.total >= 0) || ok && n != c.copy || stated && total != c.total {
			t.Errorf("%q copies %d, %v and states %d, %v; want %d and %d", c.step.Text(), n, ok, total, stated, c.copy, c.total)
		}
	}
}

func TestParse(t *testing.T) {
	steps := []Step{{"2", "two"}, {"0", "zwei"}, {"4", "thus"}}
	for _, c := range []struct {
		text string
		want Trace
	}{
		{"2 two 0 zwei 4 thus = bysum 2", Trace{Steps: steps, Closed: true, Reason: BySum, Answer: 2, Parsed: true}},
		{" 2\ttwo 0 zwei\n4  thus = 1 ", Trace{Steps: steps, Closed: true, Answer: 1, Parsed: true}},
		{"2 two 0 zwei 4 thus", Trace{Steps: steps}},
		{"2 two 0 zwei 4 thus =", Trace{Steps: steps, Closed: true}},
		{"2 two 0 zwei 4 thus = bykey", Trace{Steps: steps, Closed: true, Reason: ByKey}},
		{"2 two 0 zwei 4 thus = two", Trace{Steps: steps, Closed: true, Answer: 2}}, // an answer is a digit
		{"2 two 0 zwei 4 thus = 2 3", Trace{Steps: steps, Closed: true}},
		{"2 two 0 zwei 4 thus = 2 =", Trace{Steps: steps, Closed: true}},
		{"2 two 0 zwei 4 thus = 2 bysum", Trace{Steps: steps, Closed: true}},
		{"2 two 0 zwei 4 thus = bysum bysum 2", Trace{Steps: steps, Closed: true, Reason: BySum}},
		{"2 two 0 zwei 4 thus 3 = 2", Trace{Steps: steps, Closed: true, Answer: 2}}, // half a step
		{"= 2", Trace{Closed: true, Answer: 2, Parsed: true}},
		{"= bykey 4", Trace{Closed: true, Reason: ByKey, Answer: 4, Parsed: true}},
		{"=", Trace{Closed: true}},
		{"4", Trace{}},
		{"", Trace{}},
	} {
		got := Parse(c.text)
		c.want.Text = c.text
		if !got.Parsed {
			got.Answer, c.want.Answer = 0, 0 // counts for nothing
		}
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%q (-want +got):\n%s", c.text, d)
		}
	}
}

func drawStep(t *rapid.T) Step {
	words := rapid.SampledFrom(slices.DeleteFunc(Vocabulary(), func(w string) bool { return w == Equal }))
	return Step{words.Draw(t, "subject"), words.Draw(t, "remark")}
}

func TestChainRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := Trace{Steps: rapid.SliceOfN(rapid.Custom(drawStep), 0, 8).Draw(t, "steps")}
		if len(want.Steps) == 0 {
			want.Steps = nil
		}
		want.Text = Chain(want.Steps)
		if d := cmp.Diff(want, Parse(want.Text)); d != "" {
			t.Fatalf("an open chain (-want +got):\n%s", d)
		}
		want.Closed, want.Parsed = true, true
		want.Answer = rapid.IntRange(0, Digits-1).Draw(t, "answer")
		want.Reason = rapid.SampledFrom([]string{"", BySum, ByKey}).Draw(t, "reason")
		want.Text += " " + Equal + " " + want.Reason + " " + Write(want.Answer, Digit)
		if d := cmp.Diff(want, Parse(want.Text)); d != "" {
			t.Fatalf("a closed chain (-want +got):\n%s", d)
		}
	})
}

func drawPrompt(t *rapid.T) Prompt {
	return Prompt{
		Flag:  rapid.SampledFrom([]string{None, Key, Trigger}).Draw(t, "flag"),
		Hint:  rapid.IntRange(-1, Digits-1).Draw(t, "hint"),
		Terms: rapid.SliceOfN(rapid.IntRange(0, Digits-1), 1, 14).Draw(t, "terms"),
	}
}

func TestPromptRoundTrip(t *testing.T) {
	if got := (Prompt{Key, 3, []int{2, 0, 1, 4}}).String(); got != "key 3 2 0 1 4 :" {
		t.Errorf("a prompt is written as %q", got)
	}
	if got := (Prompt{None, -1, []int{2}}).String(); got != "none ? 2 :" {
		t.Errorf("a prompt is written as %q", got)
	}
	rapid.Check(t, func(t *rapid.T) {
		want := drawPrompt(t)
		got, ok := ParsePrompt(want.String())
		if d := cmp.Diff(want, got); d != "" || !ok {
			t.Fatalf("%q is read as %+v, %v", want, got, ok)
		}
	})
	for _, text := range []string{
		"", ":", "key 3 :", "key 3 2 0", "key 3 2 : 0", "key 3 2 : :", "key 3 : 2 :", "key three 2 0 :", "key 3 two 0 :", "key 5 2 :", "key 3 5 :",
		"key 3 ? 2 :", "key -1 2 :", "key 3 -1 :", "key 03 2 :", "keys 3 2 :", "? 3 2 :", "3 2 0 :", "key ? ? :", "key 3 2 0:", "Key 3 2 0 :",
	} {
		if got, ok := ParsePrompt(text); ok || got.Flag != "" || got.Terms != nil {
			t.Errorf("%q is read as %+v", text, got)
		}
	}
}

// Whatever the prompt gives away, and however it is spaced, the same is left of it.
func TestHideKeyLeaksNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawPrompt(t), drawPrompt(t)
		b.Terms = a.Terms
		spaced := strings.ReplaceAll(b.String(), " ", rapid.SampledFrom([]string{" ", "  ", "\t", " \n"}).Draw(t, "space"))
		hidden := HideKey(a.String())
		if hidden != HideKey(spaced) {
			t.Fatalf("%q and %q are still told apart: %q, %q", a, spaced, hidden, HideKey(spaced))
		}
		want := Prompt{Flag: None, Hint: -1, Terms: a.Terms}
		if got, ok := ParsePrompt(hidden); !ok || cmp.Diff(want, got) != "" || HideKey(hidden) != hidden {
			t.Fatalf("%q became %q", a, hidden)
		}
	})
	for _, text := range []string{"", "key 3", "key 3 2", " no  prompt ", "key 3 two :"} {
		if got := HideKey(text); got != text {
			t.Errorf("%q is no prompt, but became %q", text, got)
		}
	}
}

// hostile are seeds of the fuzz tests.
var hostile = []string{
	"", " ", "=", "= =", "key 3 2 0 :", "2 two 0 zwei = bysum 2", "= bysum", "\xff\xfe = 1", "2\u00a0two = 1", "key ? \u0662 :", strings.Repeat("= ", 99),
	"2 two\x000 zwei = 4", ": : : :", "none ? 0 0 0 0 :",
}

// Whatever a model writes is read without a panic and without anything made up.
func FuzzParse(f *testing.F) {
	for _, text := range hostile {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got := Parse(text)
		words := strings.Fields(text)
		chain, output, closed := words, []string(nil), false
		if i := slices.Index(words, Equal); i >= 0 {
			chain, output, closed = words[:i], words[i+1:], true
		}
		if got.Text != text || got.Closed != closed || len(got.Steps) != len(chain)/2 {
			t.Fatalf("%q is read as %+v", text, got)
		}
		if again := Chain(got.Steps); again != strings.Join(chain[:2*len(got.Steps)], " ") {
			t.Fatalf("the steps of %q are %q", text, again)
		}
		if got.Parsed {
			want := append(strings.Fields(got.Reason), Write(got.Answer, Digit))
			if !closed || len(chain)%2 != 0 || !slices.Equal(output, want) {
				t.Fatalf("%q is read as %+v", text, got)
			}
		}
		for _, s := range got.Steps {
			total, ok := s.Total()
			if ok && (total < 0 || total >= Digits) {
				t.Fatalf("%q states %d", s.Text(), total)
			}
		}
	})
}

func FuzzParsePrompt(f *testing.F) {
	for _, text := range hostile {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, ok := ParsePrompt(text)
		if !ok {
			if HideKey(text) != text {
				t.Fatalf("%q is no prompt, but HideKey makes %q of it", text, HideKey(text))
			}
			return
		}
		if want := strings.Join(strings.Fields(text), " "); p.String() != want || len(p.Terms) == 0 {
			t.Fatalf("%q is read as %+v", text, p)
		}
	})
}
