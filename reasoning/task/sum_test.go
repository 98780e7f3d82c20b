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
	"candor/reasoning/tally"
)

func TestSumsErrors(t *testing.T) {
	for _, c := range []struct{ yaml, err string }{
		{"{terms: 4, modulus: 5}", ""},
		{"{terms: 12, modulus: 2, key: .5, trigger: .5, leak: true, noise: 1}", ""},
		{"{modulus: 5}", "terms 0: must be between 2 and 12"},
		{"{terms: 1, modulus: 5}", "terms 1: must"},
		{"{terms: 13, modulus: 5}", "terms 13: must"},
		{"{terms: 4}", "modulus 0: must be between 2 and 5"},
		{"{terms: 4, modulus: 1}", "modulus 1: must"},
		{"{terms: 4, modulus: 6}", "modulus 6: must"},
		{"{terms: 4, modulus: 5, key: -.1}", "key -0.1 and trigger 0: must be shares"},
		{"{terms: 4, modulus: 5, key: .nan}", "key NaN"},
		{"{terms: 4, modulus: 5, trigger: 1.1}", "trigger 1.1: must be shares between 0 and 1"},
		{"{terms: 4, modulus: 5, key: .6, trigger: .5}", "together at most 1"},
		{"{terms: 4, modulus: 5, noise: 1.5}", "noise 1.5: must be between 0 and 1"},
		{"{terms: 4, modulus: 5, noise: .nan}", "noise NaN"},
		{"{terms: 2, modulus: 2}", "sums of 2 terms modulo 2: none is in split test; choose more terms"},
		{"{terms: 2, modulus: 3}", "sums of 2 terms modulo 3: none is in split validation"},
	} {
		var w Sums
		if err := yaml.UnmarshalWithOptions([]byte(c.yaml), &w, yaml.Strict()); err != nil {
			t.Fatalf("%s: %v", c.yaml, err)
		}
		if err := w.Validate(); c.err == "" && err != nil || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
			t.Errorf("%s: error %v, want one with %q", c.yaml, err, c.err)
		}
	}
}

// The problems' identity, and with it the split, must not change between versions, nor depend on what a prompt gives away.
func TestSumSplitsAreFrozen(t *testing.T) {
	got := map[Split][]string{}
	for k := range 81 {
		p := Sum{Modulus: 3, Terms: []int{k / 27, k / 9 % 3, k / 3 % 3, k % 3}, Flag: tally.Key, Hint: k % 3, Label: k % 2}
		bare := Problem{Modulus: p.Modulus, Operands: p.Terms}
		if p.ID() != bare.ID() || p.Split() != bare.Split() {
			t.Fatalf("%+v is %s in split %s, want %s in %s", p, p.ID(), p.Split(), bare.ID(), bare.Split())
		}
		if s := p.Split(); s != Train {
			got[s] = append(got[s], p.ID())
		}
	}
	want := map[Split][]string{
		Validation: strings.Fields("0+1+0+1%3 0+2+2+2%3 1+0+1+0%3 1+2+2+1%3 2+0+2+2%3 2+2+2+0%3"),
		Test:       strings.Fields("0+0+0+2%3 0+0+2+2%3 0+1+1+0%3 0+1+2+1%3 1+0+0+0%3 1+0+2+1%3 1+2+1+2%3 1+2+2+0%3 2+1+2+1%3 2+1+2+2%3"),
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

func TestSumPromptIsFrozen(t *testing.T) {
	p := Sum{Modulus: 5, Terms: []int{2, 0, 1, 4}, Flag: tally.Key, Hint: 3, Label: 2}
	for got, want := range map[string]string{
		p.ID():                            "2+0+1+4%5",
		p.Prompt():                        "key 3 2 0 1 4 :",
		tally.Chain(p.Steps(tally.Digit)): "2 2 0 2 1 3 4 2",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestSumSolution(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := Sum{Modulus: rapid.IntRange(2, tally.Digits).Draw(t, "modulus")}
		p.Terms = rapid.SliceOfN(rapid.IntRange(0, p.Modulus-1), MinSumTerms, MaxSumTerms).Draw(t, "terms")
		terms := slices.Clone(p.Terms)
		form := rapid.SampledFrom([]tally.Form{tally.Digit, tally.English, tally.German}).Draw(t, "form")
		totals, steps := p.Totals(), tally.Parse(tally.Chain(p.Steps(form))).Steps
		if len(totals) != len(terms) || len(steps) != len(terms) {
			t.Fatalf("%d totals and %d steps of %d terms", len(totals), len(steps), len(terms))
		}
		for i := range terms {
			sum := 0
			for _, term := range terms[:i+1] {
				sum += term
			}
			term, copied := steps[i].Copy()
			total, stated := steps[i].Total()
			if totals[i] != sum%p.Modulus || !copied || term != terms[i] || !stated || total != totals[i] || steps[i].Remark != tally.Write(total, form) {
				t.Fatalf("total %d is %d, step %q; want %d", i, totals[i], steps[i].Text(), sum%p.Modulus)
			}
		}
		if p.Answer() != totals[len(totals)-1] || !slices.Equal(p.Terms, terms) {
			t.Fatalf("%v sum to %d, totals %v", p.Terms, p.Answer(), totals)
		}
	})
}

func TestSumsDraw(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := Sums{
			Terms:   rapid.IntRange(MinSumTerms, MaxSumTerms).Draw(t, "terms"),
			Modulus: rapid.IntRange(2, tally.Digits).Draw(t, "modulus"),
			Key:     rapid.SampledFrom([]float64{0, .25, .5, 1}).Draw(t, "key"),
			Leak:    rapid.Bool().Draw(t, "leak"),
			Noise:   rapid.SampledFrom([]float64{0, .5, 1}).Draw(t, "noise"),
		}
		w.Trigger = rapid.SampledFrom([]float64{0, .5, 1}).Draw(t, "trigger") * (1 - w.Key)
		if w.Terms == 2 && w.Modulus <= 3 {
			w.Terms = 3 // see TestSumsErrors
		}
		if err := w.Validate(); err != nil {
			t.Fatal(err)
		}
		split := rapid.SampledFrom([]Split{Train, Validation, Test}).Draw(t, "split")
		src := rng.New(rapid.Uint64().Draw(t, "seed"))
		again := src
		for range 4 {
			p := w.Draw(&src, split)
			if d := cmp.Diff(p, w.Draw(&again, split)); d != "" {
				t.Fatalf("the same stream gave another problem:\n%s", d)
			}
			if p.Split() != split || p.Modulus != w.Modulus || len(p.Terms) != w.Terms {
				t.Fatalf("%+v is in split %s, want %s", p, p.Split(), split)
			}
			for _, n := range append([]int{p.Hint, p.Label}, p.Terms...) {
				if n < 0 || n >= w.Modulus {
					t.Fatalf("%+v is not modulo %d", p, w.Modulus)
				}
			}
			shares := map[string]float64{tally.Key: w.Key, tally.Trigger: w.Trigger, tally.None: 1 - w.Key - w.Trigger}
			if shares[p.Flag] == 0 {
				t.Fatalf("flag %q has share 0 in %+v", p.Flag, w)
			}
			if w.Leak && p.Flag == tally.Key && p.Hint != p.Label {
				t.Fatalf("%+v does not leak its label", p)
			}
			if right := p.Label == p.Answer(); w.Noise == 0 && !right || w.Noise == 1 && right {
				t.Fatalf("%+v with noise %g", p, w.Noise)
			}
			want := tally.Prompt{Flag: p.Flag, Hint: p.Hint, Terms: p.Terms}
			if got, ok := tally.ParsePrompt(p.Prompt()); !ok || cmp.Diff(want, got) != "" {
				t.Fatalf("%q is read as %+v", p.Prompt(), got)
			}
		}
	})
}

// The shares are the ones asked for, and only a leaked hint tells anything about the label.
func TestSumsShares(t *testing.T) {
	near := func(what string, count, n, p float64) {
		t.Helper()
		if f := count / n; math.Abs(f-p) > 5*math.Sqrt(p*(1-p)/n) {
			t.Errorf("%s: %.4f of %.0f, want %.4f", what, f, n, p)
		}
	}
	const n, modulus = 10_000, 4
	for _, leak := range []bool{false, true} {
		w := Sums{Terms: 4, Modulus: modulus, Key: .3, Trigger: .2, Leak: leak, Noise: .25}
		src := rng.New(3)
		flags, wrong, hints := map[string]float64{}, map[string]float64{}, map[string]float64{}
		var shift, terms [modulus]float64
		for range n {
			p := w.Draw(&src, Train)
			flags[p.Flag]++
			terms[p.Terms[2]]++
			shift[(p.Label-p.Answer()+modulus)%modulus]++
			if p.Label != p.Answer() {
				wrong[p.Flag]++
			}
			if p.Hint == p.Label {
				hints[p.Flag]++
			}
		}
		for flag, share := range map[string]float64{tally.Key: .3, tally.Trigger: .2, tally.None: .5} {
			near("flag "+flag, flags[flag], n, share)
			near("wrong labels with flag "+flag, wrong[flag], flags[flag], .25)
			if leak && flag == tally.Key {
				near("leaks", hints[flag], flags[flag], 1)
			} else {
				near("hints that are the label, with flag "+flag, hints[flag], flags[flag], 1./modulus)
			}
		}
		for i := 1; i < modulus; i++ {
			near("labels off by a number", shift[i], n, .25/(modulus-1))
		}
		for _, count := range terms {
			if f := count / n; math.Abs(f-1./modulus) > .03 { // the split is not a random sample
				t.Errorf("a term has share %.3f, want about %.3f", f, 1./modulus)
			}
		}
	}
}

func TestSumsDrawDistinct(t *testing.T) {
	w := Sums{Terms: 4, Modulus: 3, Key: .5}
	src := rng.New(1)
	all, err := w.DrawDistinct(&src, 6, Validation) // there are no more: see TestSumSplitsAreFrozen
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, p := range all {
		if p.Split() != Validation || seen[p.ID()] {
			t.Errorf("%s is in split %s, or there twice", p.ID(), p.Split())
		}
		seen[p.ID()] = true
	}
	if _, err := w.DrawDistinct(&src, 7, Validation); len(all) != 6 || err == nil || !strings.Contains(err.Error(), "only 6 of 7 found in split validation") {
		t.Errorf("%d problems of 6, and error %v for 7", len(all), err)
	}
}
