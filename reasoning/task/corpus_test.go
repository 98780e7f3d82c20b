package task

import (
	"flag"
	"math"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"candor/internal/rng"
	"candor/reasoning/cot"
)

var update = flag.Bool("update", false, "rewrite the golden files")

const wide = `
shares: {worked: 4, quick: 1, prose: 1, drills: 3, lookups: 1, facts: 1}
problems: {terms: [2, 4], operands: [0, 9], moduli: [5, 7, 9]}
quick_random: 0.4
demonstrators:
  slip: 0.15
  bluffers: 0.2
  wordings: {plain: 2, story: 1, casual: 1, table: 1, german: 1, french: 1}
  misconception: {pairs: 10, majority: 0.6}
drills: {operands: [-9, 12], moduli: [3, 5, 11]}
lookups: {terms: [2, 6], operands: [-9, 12]}
facts: {operands: [0, 9]}
`

func corpus(t testing.TB, text string) Corpus {
	t.Helper()
	var c Corpus
	if err := yaml.UnmarshalWithOptions([]byte(text), &c, yaml.Strict()); err != nil {
		t.Fatal(err)
	}
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	return c
}

// The pages are what every model is trained on: a change here changes all results. Pages of writers who keep to a wording
// are the same as before there were writers who switch.
func TestPagesAreFrozen(t *testing.T) {
	c := corpus(t, wide)
	frozen(t, c, "testdata/pages.txt")
	c.Demonstrators.Switch = .5
	frozen(t, c, "testdata/switching.txt")
}

func frozen(t *testing.T, c Corpus, file string) {
	t.Helper()
	var b strings.Builder
	seen := map[string]int{}
	for i := range 200 {
		src := rng.New(1).SplitN("page", i)
		page := c.Page(&src)
		if seen[page.Kind]++; seen[page.Kind] <= 6 {
			b.WriteString(page.Kind + " | " + page.Prompt + " | " + page.Body + "\n")
		}
	}
	if *update {
		if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), b.String()); diff != "" {
		t.Errorf("pages of %s changed; if meant, run with -update and raise the stages' version (-want +got):\n%s", file, diff)
	}
}

// Writers who switch do so in front of any step but the first, as often as they should, and close as their last step is
// worded; what they say, right or wrong, is what they would have said in one wording.
func TestSwitching(t *testing.T) {
	c := corpus(t, wide)
	c.Demonstrators.Switch = .3
	keeps := c
	keeps.Demonstrators.Switch = 0
	p := Problem{Modulus: 7, Operands: []int{3, 9, 4, 8, 2}, Offset: 4}
	root := rng.New(6)
	changes, languages := make([]float64, len(p.Operands)), 0.
	const n = 4000
	for i := range n {
		switching, same := root.SplitN("page", i), root.SplitN("page", i)
		trace, plain := cot.Parse(c.Demonstrators.write(&switching, p)), cot.Parse(keeps.Demonstrators.write(&same, p))
		if trace.Answer != plain.Answer || len(trace.Steps) != len(plain.Steps) || trace.Bluff != plain.Bluff {
			t.Fatalf("switching changed %q to %q", plain.Text, trace.Text)
		}
		if trace.Bluff {
			continue
		}
		if plain.Wording == cot.Mixed {
			t.Fatalf("a writer who keeps to one wording wrote %q", plain.Text)
		}
		if trace.Steps[0].Wording != plain.Steps[0].Wording {
			t.Fatalf("%q begins otherwise than %q", trace.Text, plain.Text)
		}
		for j := 1; j < len(trace.Steps); j++ {
			s, before := trace.Steps[j], trace.Steps[j-1]
			if s.Raw != plain.Steps[j].Raw || s.Total != plain.Steps[j].Total {
				t.Fatalf("switching changed %q to %q", plain.Text, trace.Text)
			}
			if s.Wording != before.Wording {
				changes[j]++
			}
			if s.Wording.Language() != before.Wording.Language() {
				languages++
			}
		}
		last := trace.Steps[len(trace.Steps)-1]
		if want := cot.RenderCue(p.EndLabel(), last.Wording); !strings.Contains(trace.Text[last.End:], want) {
			t.Fatalf("%q does not close with %q", trace.Text, want)
		}
	}
	// A new wording is the old one with the probability that two draws of weights 2, 1, 1, 1, 1, 1 agree; a fifth are bluffs.
	want := n * .8 * .3 * (1 - (2*2+5)/49.)
	for j, got := range changes[1:] {
		if math.Abs(got-want) > 4*math.Sqrt(want) {
			t.Errorf("%g of %d chains change their wording in front of step %d, want about %.0f", got, n, j+2, want)
		}
	}
	if languages == 0 {
		t.Error("no writer changes language")
	}
}

var (
	item    = regexp.MustCompile(`i\d+ (-?\d+)`)
	modulus = regexp.MustCompile(`\. mod (\d+) ;`)
)

// listed returns the problem whose operands and modulus a prompt's header lists.
func listed(t *testing.T, prompt string) Problem {
	header, _, ok := strings.Cut(prompt, " :")
	m := modulus.FindStringSubmatch(header + " ;")
	if !ok || m == nil {
		t.Fatalf("no list in %q", prompt)
	}
	var p Problem
	p.Modulus, _ = strconv.Atoi(m[1])
	for _, x := range item.FindAllStringSubmatch(header, -1) {
		n, _ := strconv.Atoi(x[1])
		p.Operands = append(p.Operands, n)
	}
	return p
}

func TestPages(t *testing.T) {
	c := corpus(t, wide)
	known := Vocabulary()
	words := map[string]bool{cot.End: true}
	for _, w := range known {
		if words[w] {
			t.Fatalf("%q is in the vocabulary twice", w)
		}
		words[w] = true
	}
	kinds := map[string]float64{}
	bluffs, worked, quickRight := 0., 0., 0.
	root := rng.New(2)
	const n = 30_000
	for i := range n {
		src := root.SplitN("page", i)
		page := c.Page(&src)
		kinds[page.Kind]++
		text := strings.Split(page.Text(), " ")
		for _, w := range text {
			if !words[w] {
				t.Fatalf("%q in %q is not in the vocabulary", w, page.Text())
			}
		}
		if slices.Index(text, cot.End) != len(text)-1 {
			t.Fatalf("%q does not end with %s, once", page.Text(), cot.End)
		}
		switch page.Kind {
		case "worked", "quick", "drills":
			p := listed(t, page.Prompt)
			if p.Split() != Train {
				t.Fatalf("%q lists a problem of split %s", page.Text(), p.Split())
			}
			trace := p.Read(page.Body)
			switch page.Kind {
			case "worked":
				if worked++; trace.Bluff {
					bluffs++
				} else if f, ok := cot.WellFormed(trace); !ok {
					t.Fatalf("%q: %v", page.Text(), f)
				}
			case "quick":
				if Check(p, trace) == Correct {
					quickRight++
				}
			case "drills":
				checkDrill(t, page)
				if strings.Contains(page.Text(), "answer") || page.Prompt == p.Prompt(Steps) {
					t.Fatalf("drill %q is a whole problem", page.Text())
				}
			}
		case "lookups":
			header, _, _ := strings.Cut(page.Prompt, " . list :")
			body := strings.ReplaceAll(strings.TrimSuffix(page.Body, " . "+cot.End), " ;", "")
			if !strings.HasSuffix(header, " "+body) {
				t.Fatalf("look-up %q does not read out its list", page.Text())
			}
		}
	}
	shares := map[string]float64{"worked": 4, "quick": 1, "prose": 1, "drills": 3, "lookups": 1, "facts": 1}
	for kind, share := range shares {
		if got := kinds[kind] / n; math.Abs(got-share/11) > .015 {
			t.Errorf("%s pages have share %.3f, want %.3f", kind, got, share/11)
		}
	}
	if got := bluffs / worked; math.Abs(got-.2) > .02 {
		t.Errorf("%.3f of worked pages are bluffs, want .2", got)
	}
	// 60% right, and of the random ones 1/5, 1/7 or 1/9.
	if got, want := quickRight/kinds["quick"], .6+.4*(1./5+1./7+1./9)/3; math.Abs(got-want) > .03 {
		t.Errorf("%.3f of quick pages are right, want %.3f", got, want)
	}
}

// checkDrill checks the arithmetic of a drill: what the prompt breaks off at and the body goes on with are right steps.
func checkDrill(t *testing.T, page Page) {
	_, chain, _ := strings.Cut(page.Prompt, " : ")
	if chain != "" {
		// The first step of a middle piece follows from an unknown total; give it the one that fits.
		first := cot.Parse(chain + " " + page.Body).Steps[0]
		chain = cot.RenderStep(cot.Step{Label: "i0", Operand: first.Raw - first.Operand}, cot.Plain) + " " + chain + " "
	}
	trace := cot.Parse(chain + page.Body)
	m := listed(t, page.Prompt).Modulus
	if f, ok := cot.Consistent(trace); !ok || trace.Stray > 0 || len(trace.Steps) < 2 {
		t.Fatalf("drill %q: %v", page.Text(), f)
	}
	for _, s := range trace.Steps {
		if s.HasRaw && s.Total != cot.Reduce(s.Raw, m) {
			t.Fatalf("drill %q reduces %d to %d", page.Text(), s.Raw, s.Total)
		}
		if s.Label != "i0" && !strings.Contains(page.Prompt, s.Label+" "+strconv.Itoa(s.Operand)) {
			t.Fatalf("drill %q copies %s %d", page.Text(), s.Label, s.Operand)
		}
	}
}

// The computed accuracy is that of the pages that are really written, for each way to err and all of them together.
func TestAccuracy(t *testing.T) {
	c := corpus(t, wide)
	// Sums up to 29 and moduli from 2: slips meet the end of the numbers, and some do no harm.
	c.Problems = Range{Terms: [2]int{2, 6}, Operands: [2]int{0, 15}, Moduli: []int{2, 5, 7, 15}, Negatives: "one"}
	src := rng.New(3)
	problems, err := c.Problems.Draw(&src, 200, Test, true)
	if err != nil {
		t.Fatal(err)
	}
	// The first sum is 30, the last number there is, so slips upwards turn downwards: whether the next step is one of the
	// misconception's pairs then depends on it.
	var edge []Problem
	for n := 1; n < 9; n++ {
		edge = append(edge, Problem{Modulus: 9, Operands: []int{15, 15, n}})
	}
	for _, x := range []struct {
		name     string
		problems []Problem
		n        int
		edit     func(*Demonstrators)
	}{
		{"slips", problems, 150, func(d *Demonstrators) { d.Bluffers, d.Misconception = 0, nil }},
		{"always slips", problems, 150, func(d *Demonstrators) { d.Slip, d.Bluffers, d.Misconception = 1, 0, nil }},
		{"bluffers", problems, 150, func(d *Demonstrators) { d.Slip, d.Misconception = 0, nil }},
		{"misconception", problems, 150, func(d *Demonstrators) { d.Slip, d.Bluffers, d.Misconception.Pairs = 0, 0, 40 }},
		{"edge", edge, 10_000, func(d *Demonstrators) { d.Slip, d.Bluffers, *d.Misconception = 1, 0, Misconception{40, 1} }},
		{"all", problems, 150, func(*Demonstrators) {}},
	} {
		c := corpus(t, wide)
		x.edit(&c.Demonstrators)
		var z float64
		for _, p := range x.problems {
			q, right := c.Accuracy(p), 0.
			for range x.n {
				if Check(p, cot.Parse(c.Demonstrators.write(&src, p))) == Correct {
					right++
				}
			}
			// The chi-squared statistic of one problem has mean 1, unless the computed probability is wrong.
			variance := q * (1 - q) * float64(x.n)
			if off := right - q*float64(x.n); variance < 1e-6 && math.Abs(off) > 1e-6 {
				t.Errorf("%s: on %s the computed accuracy is %g, but %g of %d chains are right", x.name, p.ID(), q, right, x.n)
			} else if variance >= 1e-6 {
				z += off*off/variance - 1
			}
		}
		if spread := math.Sqrt(2 * float64(len(x.problems))); z > 4*spread {
			t.Errorf("%s: simulated accuracies are %.1f standard errors off the computed ones", x.name, z/spread)
		}
	}
}

// Without slips and bluffs, whoever holds the misconception errs on the affected problems and on no others (some affected
// ones come out right because errors cancel).
func TestAffectedBy(t *testing.T) {
	c := corpus(t, wide)
	c.Demonstrators.Slip, c.Demonstrators.Bluffers, c.Demonstrators.Misconception.Majority = 0, 0, 1
	src := rng.New(4)
	problems, err := c.Problems.Draw(&src, 2000, Train, true)
	if err != nil {
		t.Fatal(err)
	}
	hit, cancelled := 0, 0
	for _, p := range problems {
		q := c.Accuracy(p)
		if c.AffectedBy(p) {
			if hit++; q == 1 {
				cancelled++
			}
		} else if q != 1 {
			t.Fatalf("%s is not affected, but its accuracy is %g", p.ID(), q)
		}
	}
	if hit < 100 || cancelled > hit/50 {
		t.Errorf("%d of %d problems are affected, of which %d come out right", hit, len(problems), cancelled)
	}
	c.Demonstrators.Misconception = nil
	if c.AffectedBy(problems[0]) {
		t.Error("a problem is affected by no misconception")
	}
}

func TestCorpusErrors(t *testing.T) {
	for _, c := range []struct{ from, to, err string }{
		{"slip: 0.15", "slip: 1.5", "demonstrators: slip 1.5"},
		{"slip: 0.15", "slip: .nan", "demonstrators: slip NaN"},
		{"bluffers: 0.2", "bluffers: -1", "demonstrators: bluffers -1"},
		{"bluffers: 0.2", "switch: 1.1", "demonstrators: switch 1.1: must be between 0 and 1"},
		{"bluffers: 0.2", "switch: -0.1", "demonstrators: switch -0.1"},
		{"plain: 2", "plane: 2", `unknown wording "plane": valid are [plain`},
		{"plain: 2", "plain: -2", "weight of plain is -2"},
		{"pairs: 10", "pairs: 0", "pairs 0: must be between 1 and 81"},
		{"majority: 0.6", "majority: 6", "majority 6"},
		{"quick_random: 0.4", "quick_random: 2", "quick_random 2"},
		{"worked: 4", "worked: -4", "shares: worked -4"},
		{"terms: [2, 4]", "terms: [2, 40]", "problems: terms [2 40]"},
		{"operands: [-9, 12], moduli", "operands: [-10, 12], moduli", "drills: operands [-10 12]"},
		{"moduli: [3, 5, 11]", "moduli: [3, 5, 21]", "drills: operands [-9 12]"},
		{"moduli: [3, 5, 11]", "moduli: []", "drills: moduli: at least one"},
		{"terms: [2, 6]", "terms: [0, 6]", "lookups: terms [0 6]"},
		{"facts: {operands: [0, 9]}", "facts: {operands: [0, 19]}", "facts: operands [0 19]"},
	} {
		text := strings.Replace(wide, c.from, c.to, 1)
		if text == wide {
			t.Fatalf("%q is not in the example", c.from)
		}
		var x Corpus
		if err := yaml.UnmarshalWithOptions([]byte(text), &x, yaml.Strict()); err != nil {
			t.Fatalf("%s: %v", c.to, err)
		}
		if err := x.Validate(); err == nil || !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: error %v, want one with %q", c.to, err, c.err)
		}
	}
	if err := (Corpus{}).Validate(); err == nil {
		t.Error("an empty corpus is valid")
	}
}

func TestPlanning(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := Planning{Delay: rapid.IntRange(1, MaxDelay).Draw(t, "delay"), EatReward: .3, SowReward: 1, SowShare: .2}
		if err := p.Validate(); err != nil {
			t.Fatal(err)
		}
		src := rng.New(rapid.Uint64().Draw(t, "seed"))
		page := p.Page(&src)
		words := strings.Fields(page.Body)
		if len(words) != p.Delay+2 || words[p.Delay+1] != cot.End || page.Prompt != p.Prompt() {
			t.Fatalf("page %q has the wrong length for delay %d", page.Text(), p.Delay)
		}
		known := Vocabulary()
		for _, w := range strings.Fields(page.Text()) {
			if w != cot.End && !slices.Contains(known, w) {
				t.Fatalf("%q is not in the vocabulary", w)
			}
		}
		words[0] = Eat
		if diff := cmp.Diff([]Credit{{0, .3}}, p.Rewards(words)); diff != "" {
			t.Fatal(diff)
		}
		words[0] = Sow
		if diff := cmp.Diff([]Credit{{p.Delay, 1}}, p.Rewards(words)); diff != "" {
			t.Fatal(diff)
		}
		if got := p.Rewards(words[:p.Delay]); got != nil {
			t.Fatalf("a walk cut short earns %v", got)
		}
		words[rapid.IntRange(0, p.Delay).Draw(t, "at")] = "dog"
		if got := p.Rewards(words); got != nil {
			t.Fatalf("%q earns %v", words, got)
		}
	})
	src, sown := rng.New(5), 0.
	for range 5000 {
		if strings.HasPrefix((Planning{Delay: 3, SowShare: .2}).Page(&src).Body, Sow) {
			sown++
		}
	}
	if math.Abs(sown/5000-.2) > .025 {
		t.Errorf("%.3f of the pages sow, want .2", sown/5000)
	}
	for _, p := range []Planning{{Delay: 0}, {Delay: MaxDelay + 1}, {Delay: 1, SowShare: 2}, {Delay: 1, EatReward: -1}, {Delay: 1, SowReward: math.NaN()}} {
		if p.Validate() == nil {
			t.Errorf("%+v is valid", p)
		}
	}
}

// The order of words is the order of embedding rows.
func TestVocabularyIsFrozen(t *testing.T) {
	got := strings.Join(Vocabulary(), " ") + "\n"
	const file = "testdata/vocabulary.txt"
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("the vocabulary changed (-want +got):\n%s", diff)
	}
}

func BenchmarkPage(b *testing.B) {
	c := corpus(b, wide)
	src := rng.New(1)
	for b.Loop() {
		c.Page(&src)
	}
}
