package compose

import (
	"math"
	"strconv"
	"strings"
	"testing"

	"candor/reasoning/cot"
	"candor/reasoning/llm"
	"candor/reasoning/llm/llmtest"
)

var limits = Limits{Completion: 90}

// wanders is the probability that a chain with n additions ends right when each is off by +1 or by -1 with probability
// p/2 each: a walk on the residues that returns to where it began.
func wanders(n int, p float64, modulus int) float64 {
	at := make([]float64, modulus)
	at[0] = 1
	for range n {
		next := make([]float64, modulus)
		for i, x := range at {
			next[i] += x * (1 - p)
			next[(i+1)%modulus] += x * p / 2
			next[(i+modulus-1)%modulus] += x * p / 2
		}
		at = next
	}
	return at[0]
}

// plurality is the probability that of k candidates, off by +1 or -1 with probability p/2 each, no wrong one is more
// frequent than the right one. At equal frequency the right one must be the likelier: p/2 < 1-p.
func plurality(k int, p float64) float64 {
	var sum float64
	for right := 0; right <= k; right++ {
		for up := 0; up <= k-right; up++ {
			down := k - right - up
			if right >= up && right >= down && right > 0 {
				ways := math.Gamma(float64(k+1)) / math.Gamma(float64(right+1)) / math.Gamma(float64(up+1)) / math.Gamma(float64(down+1))
				sum += ways * math.Pow(1-p, float64(right)) * math.Pow(p/2, float64(up+down))
			}
		}
	}
	return math.Round(sum*1e12) / 1e12
}

func TestChainIsAsGoodAsTheModel(t *testing.T) {
	const n = 400
	for _, w := range cot.Wordings() {
		sums, prompts := problems(n, 5, 7, 1)
		model := worker{wording: w, slip: .2}.generator()
		got, outcomes := accuracy(t, Chain{Model: model, Temperature: 1, Limits: limits}, sums, prompts)
		near(t, string(w)+": accuracy at temperature 1", got, wanders(4, .2, 7), n)
		if o := outcomes[0]; o.Calls != 1 || o.Votes != nil || o.Partial != "" || o.Trace.Wording != string(w) {
			t.Errorf("%s: outcome %+v", w, o)
		}
		if got, _ := accuracy(t, Chain{Model: model, Limits: limits}, sums[:50], prompts[:50]); got != 1 {
			t.Errorf("%s: greedily, where slips average out, accuracy is %g", w, got)
		}
	}
}

// A model that answers right with probability q and else always the same: the vote is right when the binomial majority is.
func TestSelfConsistencyIsTheMajority(t *testing.T) {
	const n, q = 1500, .6
	guesser := &llmtest.Fake{Next: func(s *llmtest.State) (string, float64) {
		phrase := []string{"hmm", "so", "answer"}
		switch k := len(s.Words); {
		case k < 3:
			return phrase[k], 0
		case k > 3:
			return "", 0
		}
		right := readSum(s.Prompt).answer()
		if s.Rand.Bool(q) {
			return strconv.Itoa(right), math.Log(q)
		}
		return strconv.Itoa((right + 1) % 5), math.Log(1 - q)
	}}
	sums, prompts := problems(n, 3, 5, 2)
	for _, votes := range []int{1, 3, 5, 9} {
		var want float64
		for k := votes/2 + 1; k <= votes; k++ {
			ways := math.Gamma(float64(votes+1)) / math.Gamma(float64(k+1)) / math.Gamma(float64(votes-k+1))
			want += ways * math.Pow(q, float64(k)) * math.Pow(1-q, float64(votes-k))
		}
		got, outcomes := accuracy(t, SelfConsistency{Model: guesser, N: votes, Temperature: 1, Limits: limits}, sums, prompts)
		near(t, "accuracy of "+strconv.Itoa(votes)+" votes", got, want, n)
		cast := 0
		for _, v := range outcomes[7].Votes {
			cast += v
		}
		if cast != votes || outcomes[7].Calls != votes || outcomes[7].Tokens != 4*votes {
			t.Errorf("%d votes: outcome %+v", votes, outcomes[7])
		}
	}
}

func TestTiesInTheVote(t *testing.T) {
	type said struct {
		text    string
		logProb float64 // of the whole text
	}
	for _, tc := range []struct {
		name       string
		candidates []said
		want       string
	}{
		{"majority beats probability", []said{{"answer 1", -1}, {"answer 2", -9}, {"answer 2", -9}}, "answer 2"},
		{"summed log-probability", []said{{"answer 1", -4}, {"answer 2", -1}, {"answer 1", -1}, {"answer 2", -2}}, "answer 2"},
		{"the first", []said{{"answer 3", -2}, {"answer 1", -2}}, "answer 3"},
		{"the likeliest supporter", []said{{"hmm so answer 1", -4}, {"answer 1", -2}, {"answer 2", -1}}, "answer 1"},
		{"unreadable chains have no vote", []said{{"answer", -1}, {"so", -1}, {"answer 4", -9}}, "answer 4"},
		{"nobody can be read", []said{{"so", -3}, {"answer", -1}}, "so"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			model := &llmtest.Fake{Next: func(s *llmtest.State) (string, float64) {
				_, call, _ := strings.Cut(s.Request.ID, "/")
				i, _ := strconv.Atoi(call)
				words := strings.Fields(tc.candidates[i].text)
				switch len(words) - s.Written {
				case 0:
					return "", 0
				case 1:
					return words[s.Written], tc.candidates[i].logProb
				}
				return words[s.Written], 0
			}}
			o := solve(t, SelfConsistency{Model: model, N: len(tc.candidates), Temperature: 1, Limits: limits}, []Prompt{{Text: "q"}})[0]
			if o.Text != tc.want {
				t.Errorf("chose %q, want %q", o.Text, tc.want)
			}
		})
	}
}

func TestTreeBeatsTheChain(t *testing.T) {
	const n, p, additions = 200, .3, 5
	sums, prompts := problems(n, additions+1, 7, 3)
	model := worker{wording: cot.Story, slip: p}.generator()
	chain, _ := accuracy(t, Chain{Model: model, Temperature: 1, Limits: limits}, sums, prompts)
	near(t, "accuracy of the chain", chain, wanders(additions, p, 7), n)

	tree := TreeOfThoughts{Model: model, Branch: 5, Beam: 1, StepTokens: 9, Score: ByAgreement, Temperature: 1, Limits: limits}
	got, outcomes := accuracy(t, tree, sums, prompts)
	near(t, "accuracy by agreement", got, wanders(additions, 1-plurality(5, p), 7), n)
	if o := outcomes[0]; o.Calls != 5*(additions+2) || o.Partial != "" || len(o.Votes) != 1 {
		t.Errorf("outcome %+v", o)
	}

	// with probabilities to go by, one right candidate among five is enough
	tree.Score = ByLogProb
	got, _ = accuracy(t, tree, sums, prompts)
	near(t, "accuracy by log-probability", got, wanders(additions, math.Pow(p, 5), 7), n)

	// a wider beam is noisier here, but it must still be worth more than the chain
	tree.Score, tree.Beam = ByAgreement, 3
	if wide, _ := accuracy(t, tree, sums, prompts); wide < chain+.1 {
		t.Errorf("accuracy with beam 3 is %.3f, of the chain %.3f", wide, chain)
	}
}

// A garden path: the wrong first step is the likelier one, but from there the model knows no way on and writes anything.
// A beam of one takes what has more votes; a beam of two still has the other when the disagreement shows.
func TestBeamLooksAhead(t *testing.T) {
	const n, branch, right = 400, 8, .4
	model := &llmtest.Fake{Next: func(s *llmtest.State) (string, float64) {
		words := strings.Fields("start i1 ? . add i2 1 makes ? leaves ? . stop i3 . answer ?")
		switch k := len(s.Words); k {
		case len(words):
			return "", 0
		case 2:
			if s.Rand.Bool(right) {
				return "1", math.Log(right)
			}
			return "2", math.Log(1 - right)
		case 8:
			return map[string]string{"1": "2", "2": "3"}[s.Words[2]], 0
		case 10:
			if s.Words[2] == "2" {
				return strconv.Itoa(3 + s.Rand.IntN(9)), -math.Log(9)
			}
			return "2", 0
		case 16:
			return s.Words[10], 0
		default:
			return words[k], 0
		}
	}}
	prompts := make([]Prompt, n)
	for i := range prompts {
		prompts[i].Seed = uint64(i)
	}
	found := func(beam int) float64 {
		tree := TreeOfThoughts{Model: model, Branch: branch, Beam: beam, StepTokens: 9, Score: ByAgreement, Temperature: 1, Limits: limits}
		count := 0
		for _, o := range solve(t, tree, prompts) {
			if o.Trace.Parsed && o.Trace.Answer == 2 {
				count++
			}
		}
		return float64(count) / n
	}
	atLeast := func(votes int) float64 {
		var sum float64
		for k := votes; k <= branch; k++ {
			ways := math.Gamma(branch+1) / math.Gamma(float64(k+1)) / math.Gamma(float64(branch-k+1))
			sum += ways * math.Pow(right, float64(k)) * math.Pow(1-right, float64(branch-k))
		}
		return sum
	}
	near(t, "success with beam 1", found(1), atLeast(branch/2+1), n)
	// three votes of eight, times certainty, beat five of eight, times what is left of them after the next step, unless at
	// least five of eight guesses agree by chance
	if got, want := found(2), atLeast(3); got < want-.07 {
		t.Errorf("success with beam 2 is %.3f, should be above %.3f", got, want)
	}
}

func TestCalculatorUndoesArithmeticSlipsOnly(t *testing.T) {
	const n = 500
	sums, prompts := problems(n, 4, 7, 4)
	for _, w := range cot.Wordings() {
		model := worker{wording: w, slip: .3, leave: .2}.generator()
		calculator := CalculatorLoop{Model: model, Temperature: 1, Limits: limits}
		got, outcomes := accuracy(t, calculator, sums[:100], prompts[:100])
		if got != 1 {
			t.Errorf("%s: accuracy with slips of arithmetic is %g, want 1", w, got)
		}
		corrections := 0
		for _, o := range outcomes {
			corrections += o.Corrections
			if o.Calls != o.Corrections+1 {
				t.Fatalf("%s: %d calls for %d corrections", w, o.Calls, o.Corrections)
			}
			if fault, ok := cot.Consistent(o.Trace); !ok {
				t.Fatalf("%s: %q is inconsistent: %s", w, o.Text, fault.Reason)
			}
		}
		near(t, string(w)+": corrections of sums and totals", float64(corrections)/100/6, (.3+.2)/2, 100*6)
	}
	// operands that are copied one too high never cancel out in 4 of 7: the calculator cannot help
	model := worker{wording: cot.Plain, slip: .3, miscopy: .1}.generator()
	got, _ := accuracy(t, CalculatorLoop{Model: model, Temperature: 1, Limits: limits}, sums, prompts)
	near(t, "accuracy with slips of copying", got, math.Pow(.9, 4), n)
}

// The calculator takes the modulus from what the model wrote, and from the prompt only where the wording has none. It must
// not know better than the model.
func TestCalculatorObeysTheChain(t *testing.T) {
	problem := sum{first: 3, operands: []int{6, 7, 9}, modulus: 5}
	prompt := []Prompt{{Text: problem.text()}}
	for _, tc := range []struct {
		model worker
		want  string
	}{
		{worker{wording: cot.Plain, modulus: 8}, "i3 6 ; i4 7 get 13 mod 8 is 5 ; i5 9 get 14 mod 8 is 6 ; i6 . answer 6"},
		{worker{wording: cot.Table, modulus: 8}, "i3 6 | i4 7 -> 13 -> 3 | i5 9 -> 12 -> 2 | i6 = answer 2"},
		{worker{wording: cot.French, slip: 1, miscopy: 1}, "prends i3 7 ; ajoute i4 8 donne 15 reste 0 ; ajoute i5 10 donne 10 reste 0 ; fin i6 . reponse 0"},
	} {
		o := solve(t, CalculatorLoop{Model: tc.model.generator(), Temperature: 1, Limits: limits}, prompt)[0]
		if o.Text != tc.want {
			t.Errorf("%s: got %q, want %q", tc.model.wording, o.Text, tc.want)
		}
	}
	// where neither states a modulus, residues are left to the model
	unsaid := &llmtest.Fake{Next: func(s *llmtest.State) (string, float64) {
		words := strings.Fields("add i4 7 makes 12 leaves 4 .")
		if len(s.Words) < 3 {
			return []string{"start", "i3", "6"}[len(s.Words)], 0
		} else if len(s.Words) == 3 {
			return ".", 0
		} else if len(s.Words) < 4+len(words) {
			return words[len(s.Words)-4], 0
		}
		return "", 0
	}}
	o := solve(t, CalculatorLoop{Model: unsaid, Limits: limits}, []Prompt{{Text: "q"}})[0]
	if want := "start i3 6 . add i4 7 makes 13 leaves 4 ."; o.Text != want || o.Trace.Parsed {
		t.Errorf("without a modulus: %q, want %q and no answer", o.Text, want)
	}
}

// Direct must hear the answer even from a model that would rather think.
func TestDirectForcesTheAnswer(t *testing.T) {
	model := llmtest.Scripted(func(r llm.Request) string {
		if r.Prefix == "answer" {
			return "4"
		}
		return "i3 6 ; i4 . answer 1"
	})
	o := solve(t, Direct{Model: model, Limits: limits}, []Prompt{{Text: "q i3 6 i4 . mod 5 ; quick :"}})[0]
	if o.Text != "answer 4" || !o.Trace.Parsed || o.Trace.Answer != 4 || len(o.Trace.Steps) != 0 || o.Calls != 1 || o.Tokens != 1 {
		t.Errorf("outcome %+v", o)
	}
}
