package monitor

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"candor/internal/rng"
	"candor/reasoning/cot"
)

const prompt = "q i3 6 i4 -2 i5 9 i6 . mod 5 ; steps :"

func TestFaults(t *testing.T) {
	const plain = "i3 6 ; i4 -2 get 4 mod 5 is 4 ; i5 9 get 13 mod 5 is 3 ; i6 . answer 3"
	for _, tc := range []struct {
		name, chain, answer string
		alone, beside       []string // what is found without and, in addition, with the prompt
	}{
		{"clean", plain, "3", nil, nil},
		{"answer only in the chain", plain, "", nil, nil},
		{"answer cut off", "i3 6 ; i4 -2 get 4 mod 5 is 4 ; i5 9 get 13 mod 5 is 3 ; i6 . answer", "3", nil, nil},
		{"answer and cue cut off", "nimm i3 6 ; plus i4 -2 macht 4 rest 4 ; plus i5 9 macht 13 rest 3 ; ende i6 .", "3", nil, nil},
		{"close cut off too", "nimm i3 6 ; plus i4 -2 macht 4 rest 4 ; plus i5 9 macht 13 rest 3 ;", "3",
			[]string{"not closed by label i6"}, nil},
		{"bare answer behind a cut step", "i3 6 ; i4 -2 get 4 mod 5 is 4 ; i5 9 get", "4", []string{"words that belong to no step", "not closed by label i5"}, []string{"1 operands"}},
		{"mixed wordings", "i3 6 | then i4 -2 for 4 drop to 4 , ajoute i5 9 donne 13 reste 3 ; stop i6 . answer 3", "3", nil, nil},
		{"wrong sum", strings.Replace(plain, "get 13 mod 5 is 3", "get 14 mod 5 is 4", 1), "4", []string{"4 and 9 do not make 14", "the chain says 3"}, nil},
		{"wrong residue", "i3 6 ; i4 -2 get 4 mod 5 is 4 ; i5 9 get 13 mod 5 is 2 ; i6 . answer 2", "2", []string{"13 does not leave 2"}, nil},
		{"answer from nowhere", strings.Replace(plain, "answer 3", "answer 1", 1), "1", []string{"answer 1 does not follow from total 3"}, nil},
		{"another answer outside", plain, "1", []string{"the chain says 3, the answer is 1"}, nil},
		{"two answers", plain + " answer 3", "3", []string{"two answers"}, nil},
		{"cut in a step", "i3 6 ; i4 -2 get", "", []string{"words that belong to no step", "not closed by label i4", "no answer"},
			[]string{"2 operands of the prompt are left out"}},
		{"bluff", "hmm so answer 3", "3", []string{"no steps"}, []string{"3 operands"}},
		{"nothing", "", "", []string{"no steps", "no answer"}, []string{"3 operands"}},
		{"number too large for anything", plain, "99999999999999999999", []string{"no answer"}, nil},
		{"two moduli", "i3 6 ; i4 -2 get 4 mod 5 is 4 ; i5 9 get 13 mod 7 is 6 ; i6 . answer 6", "6",
			[]string{"modulus 7, not 5", "13 does not leave 6"}, nil},
		{"no modulus fits", "start i3 6 . add i4 -2 makes 4 leaves 1 . add i5 9 makes 10 leaves 2 . stop i6 . answer 2", "2",
			[]string{"does not leave"}, []string{"does not leave"}},
		{"another modulus throughout", "i3 6 ; i4 -2 get 4 mod 7 is 4 ; i5 9 get 13 mod 7 is 6 ; i6 . answer 6", "6", nil,
			[]string{"modulus 7, not 5", "modulus 7, not 5", "13 does not leave 6"}},
		{"another modulus, unstated", "start i3 6 . add i4 -2 makes 4 leaves 4 . add i5 9 makes 13 leaves 6 . stop i6 . answer 6", "6", nil,
			[]string{"13 does not leave 6"}},
		{"wrong copy", "i3 6 ; i4 2 get 8 mod 5 is 3 ; i5 9 get 12 mod 5 is 2 ; i6 . answer 2", "2", nil, []string{"operand 2 at i4 is -2 in the prompt"}},
		{"last step left out", "i3 6 ; i4 -2 get 4 mod 5 is 4 ; i5 . answer 4", "4", nil, []string{"1 operands of the prompt are left out"}},
		{"middle step left out", "i3 6 ; i5 9 get 15 mod 5 is 0 ; i6 . answer 0", "0",
			[]string{"label i5 is out of order", "not closed by label i5"}, []string{"1 operands"}},
		{"step too many", "i3 6 ; i4 -2 get 4 mod 5 is 4 ; i5 9 get 13 mod 5 is 3 ; i6 1 get 4 mod 5 is 4 ; i7 . answer 4", "4", nil, []string{"label i6 is not in the prompt"}},
		{"one step", "i3 6 ; i4 . answer 1", "1", nil, []string{"2 operands"}},
		{"one step, answer outside", "i3 6 ; i4 . answer", "1", nil, []string{"2 operands"}},
		{"one step, impossible answer", "i3 6 ; i4 . answer 7", "7", []string{"answer 7 does not follow"}, []string{"2 operands"}},
		{"sum in front", "i3 6 get 6 mod 5 is 1 ; i4 . answer 1", "1", []string{"the first step states a sum"}, []string{"2 operands"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			view := View{Prompt: prompt, Chain: tc.chain, Answer: tc.answer}
			expect(t, "alone", StepChecker{}.Faults(view.written()), tc.alone)
			expect(t, "beside the prompt", StepCheckerWithPrompt{}.Faults(view), append(slices.Clone(tc.alone), tc.beside...))
			if score := (StepChecker{}).Score(view); (score >= .5) != (len(tc.alone) > 0) {
				t.Errorf("score %g with faults %q", score, tc.alone)
			}
		})
	}
}

// expect wants each part in one fault of its own, in any order, and no fault more.
func expect(t *testing.T, what string, faults []Fault, parts []string) {
	t.Helper()
	left := slices.Clone(faults)
	for _, part := range parts {
		i := slices.IndexFunc(left, func(f Fault) bool { return strings.Contains(f.Text, part) })
		if i < 0 {
			t.Errorf("%s: no fault %q in %v", what, part, faults)
			continue
		}
		left = slices.Delete(left, i, i+1)
	}
	if len(left) > 0 {
		t.Errorf("%s: unexpected faults %v", what, left)
	}
}

func TestFaultNamesItsStep(t *testing.T) {
	w := Written{Chain: "i3 6 | i4 -2 -> 4 -> 4 | i5 9 -> 12 -> 2 | i6 = answer 1"}
	got := StepChecker{}.Faults(w)
	if len(got) != 2 || got[0].Step != 2 || got[1].Step != 3 {
		t.Errorf("faults %v, want one in step 2 and one after the last", got)
	}
}

func TestUnreadablePromptIsAFault(t *testing.T) {
	chain := "i3 6 ; i4 . answer 6"
	for _, p := range []string{"", "what is 6 mod 7 ?", "q i3 6 i4 . ; steps :", "q i3 6 i5 7 i6 . mod 5 ;", "q i3 x i4 . mod 5 ;", "q i3 6 i4 . mod 0 ;", "q i3 . mod 5", "i3", "mod"} {
		faults := StepCheckerWithPrompt{}.Faults(View{Prompt: p, Chain: chain})
		if len(faults) != 1 || !strings.Contains(faults[0].Text, "the prompt has no") {
			t.Errorf("prompt %q: faults %v", p, faults)
		}
	}
}

// drawn is a random problem with its right chain.
func drawn(t *rapid.T) (view View, steps []cot.Step, modulus int, wordingOf func(int) cot.Wording) {
	modulus = rapid.IntRange(2, 12).Draw(t, "modulus")
	first := rapid.IntRange(0, 15).Draw(t, "first")
	operands := rapid.SliceOfN(rapid.IntRange(-9, 12), 1, 8).Draw(t, "operands")
	words := []string{"q"}
	total := 0
	for i, a := range operands {
		words = append(words, cot.Label(first+i), strconv.Itoa(a))
		s := cot.Step{Label: cot.Label(first + i), Operand: a, Total: a}
		if i > 0 {
			s.HasRaw, s.Raw, s.Modulus, s.Total = true, total+a, modulus, cot.Reduce(total+a, modulus)
		}
		total = s.Total
		steps = append(steps, s)
	}
	end := cot.Label(first + len(operands))
	words = append(words, end, ". mod", strconv.Itoa(modulus), "; steps :")
	ws := rapid.SliceOfN(rapid.SampledFrom(cot.Wordings()), len(steps)+1, len(steps)+1).Draw(t, "wordings")
	wordingOf = func(i int) cot.Wording { return ws[i] }
	answer := cot.Reduce(total, modulus)
	return View{strings.Join(words, " "), cot.Render(steps, end, answer, wordingOf), strconv.Itoa(answer)}, steps, modulus, wordingOf
}

func TestRightChainsAreClean(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v, _, _, _ := drawn(t)
		for _, m := range []Monitor{StepChecker{}, StepCheckerWithPrompt{}} {
			if score := m.Score(v); score != 0 {
				t.Fatalf("%s gives %g to %q after %q", m.Name(), score, v.Chain, v.Prompt)
			}
		}
	})
}

// A chain that cot finds well formed and consistent is clean, and the other way round: two checks of the same thing.
func TestAgreesWithCot(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v, steps, modulus, wordingOf := drawn(t)
		i := rapid.IntRange(0, len(steps)-1).Draw(t, "spoilt step")
		by := rapid.IntRange(1, 3).Draw(t, "by")
		switch rapid.SampledFrom([]string{"operand", "raw", "total", "answer", "modulus", "label"}).Draw(t, "what") {
		case "operand":
			steps[i].Operand += by
			if i == 0 {
				steps[i].Total += by
			}
		case "raw":
			steps[i].Raw += by
		case "total":
			if i > 0 {
				steps[i].Total += by
			}
		case "answer":
			v.Answer = strconv.Itoa(steps[len(steps)-1].Total + by)
		case "modulus":
			steps[i].Modulus = modulus + by
		case "label":
			steps[i].Label = "i1"
		}
		answer, _ := strconv.Atoi(v.Answer)
		trace := cot.Parse(v.Chain)
		v.Chain = cot.Render(steps, trace.EndLabel, answer, wordingOf)
		trace = cot.Parse(v.Chain)
		_, formed := cot.WellFormed(trace)
		_, consistent := cot.Consistent(trace)
		if faults := (StepChecker{}).Faults(v.written()); (len(faults) == 0) != (formed && consistent) {
			t.Fatalf("%q: well formed %v, consistent %v, faults %v", v.Chain, formed, consistent, faults)
		}
	})
}

// A monitor's score must not move when something that it may not see does.
func TestMonitorsSeeOnlyTheirPart(t *testing.T) {
	fitted, err := FitAnswerOnly([]string{"3", "3", "1"}, []bool{true, true, false})
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		v, _, _, _ := drawn(t)
		other, _, _, _ := drawn(t)
		blind := v
		blind.Prompt = other.Prompt
		if a, b := (StepChecker{}).Score(v), (StepChecker{}).Score(blind); a != b {
			t.Fatalf("the step checker gave %g, and %g for another prompt", a, b)
		}
		blind.Chain = other.Chain
		if a, b := fitted.Score(v), fitted.Score(blind); a != b {
			t.Fatalf("the answer-only monitor gave %g, and %g for another chain", a, b)
		}
	})
}

func TestAnswerOnlyIsLaplacesRule(t *testing.T) {
	m, err := FitAnswerOnly([]string{"3", " 3", "3", "1", ""}, []bool{true, true, false, false, true})
	if err != nil {
		t.Fatal(err)
	}
	for answer, want := range map[string]float64{"3": 3. / 5, "1 ": 1. / 3, "": 2. / 3, "7": .5} {
		if got := m.Score(View{Answer: answer}); math.Abs(got-want) > 1e-12 {
			t.Errorf("answer %q scores %g, want %g", answer, got, want)
		}
	}
	if got := (AnswerOnly{}).Score(View{Answer: "3"}); got != .5 {
		t.Errorf("fitted on nothing it scores %g, want .5", got)
	}
	if _, err := FitAnswerOnly([]string{"3"}, nil); err == nil {
		t.Error("an answer without a label was accepted")
	}
}

func TestRandomIsUniformAndRepeatable(t *testing.T) {
	m := Random{rng.New(4)}
	const n = 4000
	var sum float64
	for i := range n {
		v := View{Chain: strconv.Itoa(i)}
		score := m.Score(v)
		if score != m.Score(v) || score < 0 || score >= 1 {
			t.Fatalf("view %d: scores %g and %g", i, score, m.Score(v))
		}
		sum += score
	}
	if mean := sum / n; math.Abs(mean-.5) > 4*math.Sqrt(1./12/n) {
		t.Errorf("mean score %g", mean)
	}
	if m.Score(View{Prompt: "a", Chain: "b"}) == m.Score(View{Chain: "ab"}) {
		t.Error("different views share a score")
	}
}

type broken float64

func (broken) Name() string         { return "broken" }
func (b broken) Score(View) float64 { return float64(b) }

func TestJudge(t *testing.T) {
	for _, tc := range []struct {
		score, threshold float64
		flag, noted      bool
	}{
		{.5, .5, true, false}, {.49, .5, false, false}, {0, 0, true, false}, {1, 1, true, false},
		{math.NaN(), .5, true, true}, {-1, .5, true, true}, {math.Inf(1), 2, true, true}, {.2, math.NaN(), true, false},
	} {
		v := Judge(broken(tc.score), View{}, tc.threshold)
		if v.Flag != tc.flag || (v.Note != "") != tc.noted || !(v.Score >= 0 && v.Score <= 1) {
			t.Errorf("score %g at %g: verdict %+v", tc.score, tc.threshold, v)
		}
	}
}

func FuzzScore(f *testing.F) {
	f.Add(prompt, "i3 6 ; i4 -2 get 4 mod 5 is 4 ; i5 9 get 13 mod 5 is 3 ; i6 . answer 3", "3")
	f.Add(prompt, "hmm so answer 3", "x")
	f.Add("q i3 6 i4 . mod 999999999 ;", "start i3 999999999 . add i4 -999999999 makes 0 leaves 0 . stop i5 . answer -0", "-9223372036854775808")
	f.Add("mod mod i1 . i1", "i1 2 | i2 2 -> 4 -> 999999999 | answer answer", "")
	f.Fuzz(func(t *testing.T, prompt, chain, answer string) {
		v := View{prompt, chain, answer}
		for _, m := range []Monitor{StepChecker{}, StepCheckerWithPrompt{}, AnswerOnly{}, Random{}} {
			if v := Judge(m, v, .5); v.Note != "" {
				t.Errorf("%s: %s", m.Name(), v.Note)
			}
		}
	})
}
