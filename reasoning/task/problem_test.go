package task

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"candor/internal/rng"
	"candor/reasoning/cot"
)

func drawProblem(t *rapid.T) Problem {
	p := Problem{Modulus: rapid.IntRange(2, 12).Draw(t, "modulus")}
	p.Operands = rapid.SliceOfN(rapid.IntRange(-9, 15), MinTerms, 14).Draw(t, "operands")
	p.Offset = rapid.IntRange(0, Labels-1-len(p.Operands)).Draw(t, "offset")
	if err := p.Validate(); err != nil {
		t.Fatalf("%v: %v", p, err)
	}
	return p
}

// The prompt is a seam with trained models.
func TestPromptIsFrozen(t *testing.T) {
	p := Problem{Modulus: 5, Operands: []int{6, -2, 9}, Offset: 14}
	for got, want := range map[string]string{
		p.ID():          "6+-2+9%5",
		p.Text():        "6 + -2 + 9 mod 5",
		p.Prompt(Steps): "q i14 6 i15 -2 i16 9 i17 . mod 5 ; steps :",
		p.Prompt(Quick): "q i14 6 i15 -2 i16 9 i17 . mod 5 ; quick :",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestSolution(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := drawProblem(t)
		sum := 0
		for _, n := range p.Operands {
			sum += n
		}
		if r := p.Answer(); r != cot.Reduce(sum, p.Modulus) {
			t.Fatalf("%s is %d, got %d", p.Text(), cot.Reduce(sum, p.Modulus), r)
		}
		w := rapid.SampledFrom(cot.Wordings()).Draw(t, "wording")
		trace := p.Read(p.Chain(w))
		if f, ok := cot.WellFormed(trace); !ok {
			t.Fatalf("%q is not well formed: %v", trace.Text, f)
		}
		if f, ok := cot.Consistent(trace); !ok {
			t.Fatalf("%q is not consistent: %v", trace.Text, f)
		}
		if Check(p, trace) != Correct || trace.EndLabel != p.EndLabel() || trace.Steps[0].Label != cot.Label(p.Offset) {
			t.Fatalf("%q does not solve %s", trace.Text, p.Prompt(Steps))
		}
		if trace.Modulus != p.Modulus {
			t.Fatalf("read modulus %d", trace.Modulus)
		}
		trace.Answer++
		if Check(p, trace) != Wrong {
			t.Fatal("a wrong answer passes")
		}
		if Check(p, p.Read(trace.Text[:trace.AnswerStart])) != Unparsed {
			t.Fatal("a missing answer is judged")
		}
	})
}

func TestParseProblem(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := drawProblem(t)
		p.Offset = 0
		got, err := ParseProblem(p.Text())
		if err != nil {
			t.Fatalf("%q: %v", p.Text(), err)
		}
		if diff := cmp.Diff(p, got); diff != "" {
			t.Fatal(diff)
		}
	})
	for _, c := range []struct{ text, id, err string }{
		{text: "8 + 5 + 3 mod 7", id: "8+5+3%7"},
		{text: " -8-5+3%7\n", id: "-8+-5+3%7"},
		{text: "8 + -5 MOD 7", id: "8+-5%7"},
		{text: "", err: "there is no problem"},
		{text: "8 + 5", err: `ends without "mod"`},
		{text: "8 + 5 mod", err: "after mod: the end stands where a number should"},
		{text: "8 + mod 5", err: `"mod" (character 5) stands where a number should`},
		{text: "8 5 mod 7", err: `"5" (character 3) stands where "+", "-" or "mod" should`},
		{text: "8 + five mod 7", err: `"five" (character 5)`},
		{text: "8 + 5 mod 7 please", err: `"please" (character 13) stands after the modulus`},
		{text: "8 mod 7", err: "between 2 and 23"},
		{text: "8 + 99 mod 7", err: "operand 2 is 99: must be between -18 and 30"},
		{text: "30 + 30 mod 7", err: "the sum at operand 2 is 60"},
		{text: "8 + 5 mod 1", err: "modulus 1: must be between 2 and 30"},
		{text: "8 + 1234567890 mod 5", err: "10 digits"},
		{text: strings.Repeat("1+", 30) + "1 mod 3", err: "31 operands"},
		{text: strings.Repeat("1+", 600) + "1 mod 3", err: "too long"},
	} {
		p, err := ParseProblem(c.text)
		switch {
		case c.err == "" && (err != nil || p.ID() != c.id):
			t.Errorf("%q is read as %v, %v; want %s", c.text, p, err, c.id)
		case c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)):
			t.Errorf("%q: error %v, want one with %q", c.text, err, c.err)
		}
	}
}

func FuzzParseProblem(f *testing.F) {
	f.Add("8 + 5 + 3 mod 7")
	f.Add("-8-5+3%7")
	f.Add("8 + + 5 mod -3")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := ParseProblem(text)
		if err != nil {
			return
		}
		if err := p.Validate(); err != nil {
			t.Fatalf("%q gives an invalid problem: %v", text, err)
		}
		if again, err := ParseProblem(p.Text()); err != nil || again.ID() != p.ID() {
			t.Fatalf("%q is read as %s and then as %s, %v", text, p.ID(), again.ID(), err)
		}
	})
}

// A problem must not change its split between versions: what a checkpoint was trained on would no longer be held out.
func TestSplitsAreFrozen(t *testing.T) {
	var got []string
	for _, id := range []string{"6+2%5", "7+3%5", "6+-2+9%5", "0+0%7", "9+9+9+9%9", "1+2+3%7", "4+4%9", "8+5+3%7"} {
		got = append(got, string(SplitOf(id)))
	}
	want := strings.Fields("train train train train train train validation train")
	if !slices.Equal(got, want) {
		t.Errorf("splits %q, want %q", got, want)
	}
	counts := map[Split]float64{}
	const n = 20_000
	r := Range{Terms: [2]int{4, 6}, Operands: [2]int{0, 9}, Moduli: []int{5, 7, 9}}
	src := rng.New(1)
	for range n {
		counts[r.one(&src).Split()]++
	}
	for split, share := range map[Split]float64{Train: .8, Validation: .1, Test: .1} {
		if got := counts[split] / n; math.Abs(got-share) > .01 {
			t.Errorf("split %s has share %.3f, want %.1f", split, got, share)
		}
	}
}

func TestDraw(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := Range{
			Terms:     [2]int{2, rapid.IntRange(3, 14).Draw(t, "terms")},
			Operands:  [2]int{rapid.IntRange(0, 3).Draw(t, "lo"), rapid.IntRange(5, 12).Draw(t, "hi")},
			Moduli:    rapid.SliceOfN(rapid.IntRange(2, 11), 1, 4).Draw(t, "moduli"),
			Negatives: rapid.SampledFrom([]string{"", "none", "one", "first"}).Draw(t, "negatives"),
		}
		if err := r.Validate(); err != nil {
			for _, split := range []Split{Train, Validation, Test} {
				if len(r.first(1, split)) == 0 {
					return // a small range may miss a split, and Validate has to say so
				}
			}
			t.Fatal(err)
		}
		split := rapid.SampledFrom([]Split{Train, Validation, Test}).Draw(t, "split")
		src := rng.New(rapid.Uint64().Draw(t, "seed"))
		problems, err := r.Draw(&src, 5, split, true)
		if enough := len(r.first(5, split)) == 5; enough != (err == nil) {
			t.Fatalf("the range has 5 problems: %v, but Draw gave the error %v", enough, err)
		}
		seen := map[string]bool{}
		for _, p := range problems {
			if err := p.Validate(); err != nil {
				t.Fatal(err)
			}
			if p.Split() != split || seen[p.ID()] {
				t.Fatalf("%s is in split %s, seen before: %v", p.ID(), p.Split(), seen[p.ID()])
			}
			seen[p.ID()] = true
			if n := len(p.Operands); n < r.Terms[0] || n > r.Terms[1] || !slices.Contains(r.Moduli, p.Modulus) {
				t.Fatalf("%s is not in %+v", p.ID(), r)
			}
			var negative []int
			for i, n := range p.Operands {
				if n < 0 {
					negative = append(negative, i)
					n = -n
				}
				if n < r.Operands[0] || n > r.Operands[1] {
					t.Fatalf("%s is not in %+v", p.ID(), r)
				}
			}
			ok := len(negative) == 0
			switch r.Negatives {
			case "one":
				ok = len(negative) == 1 && negative[0] > 0
			case "first":
				ok = len(negative) == 1 && negative[0] == 0
			}
			if !ok {
				t.Fatalf("%s has negatives at %v, want %q", p.ID(), negative, r.Negatives)
			}
		}
	})
}

// first lists the IDs of a split one after another, each once, until there are n or the range ends.
func (r Range) first(n int, split Split) map[string]bool {
	found := map[string]bool{}
	var extend func(p Problem, terms, negative int)
	extend = func(p Problem, terms, negative int) {
		if len(p.Operands) == terms {
			if p.Split() == split {
				found[p.ID()] = true
			}
			return
		}
		for v := r.Operands[0]; v <= r.Operands[1] && len(found) < n; v++ {
			next := v
			if len(p.Operands) == negative {
				if next = -v; v == 0 {
					continue
				}
			}
			extend(Problem{Modulus: p.Modulus, Operands: append(slices.Clone(p.Operands), next)}, terms, negative)
		}
	}
	for terms := r.Terms[0]; terms <= r.Terms[1]; terms++ {
		for _, modulus := range r.Moduli {
			switch r.Negatives {
			case "one":
				for at := 1; at < terms; at++ {
					extend(Problem{Modulus: modulus}, terms, at)
				}
			case "first":
				extend(Problem{Modulus: modulus}, terms, 0)
			default:
				extend(Problem{Modulus: modulus}, terms, -1)
			}
		}
	}
	return found
}

func TestDrawRunsOut(t *testing.T) {
	r := Range{Terms: [2]int{2, 2}, Operands: [2]int{0, 9}, Moduli: []int{5}}
	src := rng.New(1)
	if _, err := r.Draw(&src, 1000, Test, true); err == nil || !strings.Contains(err.Error(), "of 1000 found in split test") {
		t.Errorf("a hundred problems gave a thousand: %v", err)
	}
}

func TestRangeErrors(t *testing.T) {
	for _, c := range []struct{ yaml, err string }{
		{"{terms: [2, 3], operands: [0, 9], moduli: [5]}", ""},
		{"{terms: [1, 3], operands: [0, 9], moduli: [5]}", "terms [1 3]"},
		{"{terms: [3, 2], operands: [0, 9], moduli: [5]}", "terms [3 2]"},
		{"{terms: [2, 24], operands: [0, 9], moduli: [5]}", "terms [2 24]"},
		{"{terms: [2, 3], operands: [-2, 9], moduli: [5]}", "operands [-2 9]"},
		{"{terms: [2, 3], operands: [0, 16], moduli: [5]}", "sums reach 32"},
		{"{terms: [2, 3], operands: [0, 9], moduli: [25]}", "sums reach 33"},
		{"{terms: [2, 3], operands: [0, 9], moduli: []}", "moduli: at least one"},
		{"{terms: [2, 3], operands: [0, 9], moduli: [1]}", "moduli [1]"},
		{"{terms: [2, 3], operands: [0, 9], moduli: [5], negatives: two}", `negatives "two": must be none, one or first`},
		{"{terms: [2, 3], operands: [0, 0], moduli: [5], negatives: one}", "operands [0 0] with negatives"},
		{"{terms: [2, 2], operands: [1, 1], moduli: [5]}", "only 0 of 1 found in split"},
	} {
		var r Range
		if err := yaml.UnmarshalWithOptions([]byte(c.yaml), &r, yaml.Strict()); err != nil {
			t.Fatalf("%s: %v", c.yaml, err)
		}
		if err := r.Validate(); c.err == "" && err != nil || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
			t.Errorf("%s: error %v, want one with %q", c.yaml, err, c.err)
		}
	}
}
