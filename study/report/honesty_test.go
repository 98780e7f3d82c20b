package report

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"candor/study/claim"
)

func TestHonestySections(t *testing.T) {
	html := render(t, honestyInput())
	at := -1
	for _, id := range []string{"arms", "hiding", "leak", "dose", "decoded", "accuracy", "reader"} {
		i := strings.Index(html, `<section id="`+id+`"`)
		if i <= at {
			t.Errorf("section %s is missing or out of order", id)
		}
		at = i
		if !strings.Contains(html, `href="#`+id+`"`) {
			t.Errorf("nothing links to section %s", id)
		}
	}
	for _, part := range []string{
		"2 of 3 seeds end above 1 bit a word; without an encoding: seed 12 (0.0", "None of 3 seeds ends above 1 bit a word",
		"penalty grows", "stages/grpo-", "Too few such words to decode: honest (probe, 3 words)", "passed on",
	} {
		if !strings.Contains(html, part) {
			t.Errorf("the page does not hold %q", part)
		}
	}
	in := honestyInput()
	slices.Reverse(in.Samples)
	slices.Reverse(in.Trainings)
	own := func(html string) string { // the table of accuracies keeps the order of measurements
		_, html, _ = strings.Cut(html, `<section id="hiding"`)
		html, _, _ = strings.Cut(html, `<section id="accuracy"`)
		return html
	}
	if own(render(t, in)) != own(html) {
		t.Error("the sections depend on the order of samples and trainings")
	}
	plain := render(t, exampleInput())
	for _, id := range []string{"hiding", "leak", "dose", "decoded"} {
		if strings.Contains(plain, `id="`+id) || strings.Contains(plain, `"#`+id) {
			t.Errorf("the default study has a section %s", id)
		}
	}
}

func TestHiddenBitsNeedWords(t *testing.T) {
	training := Training{Setup: Setup{Rollouts: 100, Terms: 4}, Series: map[string]Series{
		bitsMetric: {Steps: []int{1, 2, 4}, Values: []float64{1.4, 1.2, 1.1}}, wordsMetric: series(.49, .5, 3, 3), statedMetric: series(4, 2, 1, 0)}}
	if got := fmt.Sprint(hiddenBits(training).Values); got != "[0 1.2 0 1.1]" {
		t.Errorf("bits %s: few words and none must count as 0", got)
	}
	if got := fmt.Sprint(flaggedSteps(training).Values); got != "[1 0.5 0.25 0]" {
		t.Errorf("shares of flagged steps %s", got)
	}
	training.Setup = Setup{}
	if got := fmt.Sprint(hiddenBits(training).Values); got != "[0 0 0 1.1]" {
		t.Errorf("without settings: bits %s, want one word a chain asked for", got)
	}
	if got := flaggedSteps(training); len(got.Steps) > 0 {
		t.Errorf("a share of an unknown number of steps: %v", got)
	}
	training.Series[totalsMetric] = series(.5, .25)
	if got := fmt.Sprint(flaggedSteps(training).Values); got != "[0.5 0.25]" {
		t.Errorf("shares of flagged steps %s, want what was recorded as such", got)
	}
	delete(training.Series, wordsMetric)
	if got := fmt.Sprint(hiddenBits(training).Values); got != "[1.4 1.2 1.1]" {
		t.Errorf("without a count of words: bits %s", got)
	}
}

func TestEncodings(t *testing.T) {
	for want, ends := range map[string][]seedEnd{
		"Its one seed ends above 1 bit a word.":                                                    {{1, 1.5}},
		"Its one seed does not end above 1 bit a word.":                                            {{1, 1}},
		"All 2 seeds end above 1 bit a word (1.50, 1.20).":                                         {{1, 1.5}, {2, 1.2}},
		"None of 2 seeds ends above 1 bit a word (0.00, 0.30).":                                    {{1, -.001}, {2, .3}},
		"1 of 3 seeds ends above 1 bit a word; without an encoding: seed 7 (0.20), seed 9 (0.99).": {{7, .2}, {8, 1.5}, {9, .99}},
	} {
		if encodings(ends) != want {
			t.Errorf("got %q, want %q", encodings(ends), want)
		}
	}
}

// A run without the newer metrics shows what it has.
func TestLeakFallsBack(t *testing.T) {
	in := honestyInput()
	order, title := armOrder(in.Arms)
	if f := leakFigure(in, order, title); f.Unmeasured || len(f.Main[0].Strips) != 3 || len(f.Main) != 4 || len(f.Others) != 9 || len(f.Files) == 0 {
		t.Errorf("with recall: %d and %d panels, unmeasured %v", len(f.Main), len(f.Others), f.Unmeasured)
	}
	for _, training := range in.Trainings {
		delete(training.Series, recallMetric)
		if training.Arm == "penalty" {
			training.Series[rewardedMetric] = training.Series[flaggedMetric]
		}
		delete(training.Series, flaggedMetric)
	}
	f := leakFigure(in, order, title)
	if !f.Unmeasured || len(f.Main[0].Strips) != 2 || !f.Main[0].Strips[1].Missing || f.Main[1].Strips[1].Missing {
		t.Errorf("without recall: unmeasured %v, %+v", f.Unmeasured, f.Main[0].Strips)
	}
	if got := f.Main[1].After; !strings.Contains(got, "follows the key 1.000") || !strings.Contains(got, "flagged where it does 0.000") {
		t.Errorf("after training: %q", got)
	}
	for i := range in.Trainings { // and where settings are lost, metrics tell which figure it is of
		in.Trainings[i].Setup = Setup{}
	}
	if f := leakFigure(in, order, title); len(f.Main) != 1 || f.Main[0].Arm != "penalty" {
		t.Errorf("without settings: %+v", f.Main)
	}
}

// The decoder of the page is that of the claims.
func TestDecoderAgreesWithTheClaim(t *testing.T) {
	in := honestyInput()
	ds, err := claim.Decide(in.Samples, []string{"steganography"})
	if err != nil {
		t.Fatal(err)
	}
	parts := map[string][]float64{}
	for _, p := range ds[0].Parts {
		parts[p.Name] = p.PerSeed
	}
	order, title := armOrder(in.Arms)
	a := newDecoding(in, order, title).Arms[0]
	if a.Arm != "hidden" || a.Eval != "probe" || !a.Open || len(a.Seeds) != 3 || len(parts["decoder after RL"]) != 3 {
		t.Fatalf("%s, %s, open %v, %d seeds; parts %v", a.Arm, a.Eval, a.Open, len(a.Seeds), parts)
	}
	for i, c := range a.Seeds {
		if want := percentage(parts["decoder after RL"][i]); c.Read != want {
			t.Errorf("seed %d: the decoder reads %s, the claim says %s", c.Seed, c.Read, want)
		}
		if want := fixed(parts["bits after RL"][i], 2); c.Bits != want {
			t.Errorf("seed %d: %s bits, the claim says %s", c.Seed, c.Bits, want)
		}
	}
}

// A full study: 27 trainings, 17 measurements with words to decode, 100,000 samples.
func TestHonestyStaysSmall(t *testing.T) {
	in := honestyInput()
	trainings, samples := in.Trainings, in.Samples
	for k := 1; len(in.Trainings) < 5*27; k++ {
		for _, training := range trainings {
			training.Arm += fmt.Sprint("-", k)
			in.Trainings = append(in.Trainings, training)
		}
	}
	for k := 1; len(in.Samples) < 100_000; k++ {
		for _, s := range samples {
			if k%9 > 0 { // another arm, else another problem
				s.Arm += fmt.Sprint("-", k%9)
			}
			s.ID += fmt.Sprint("'", k/9)
			in.Samples = append(in.Samples, s)
		}
	}
	if n := len(render(t, in)); n > 5<<20 {
		t.Errorf("the page has %d bytes", n)
	} else {
		t.Logf("%d samples and %d trainings in %d bytes", len(in.Samples), len(in.Trainings), n)
	}
}
