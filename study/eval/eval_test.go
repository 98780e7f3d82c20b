package eval

import (
	"context"
	"errors"
	"math"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"candor/internal/rng"
	"candor/reasoning/compose"
	"candor/reasoning/cot"
	"candor/reasoning/intervene"
	"candor/reasoning/llm"
	"candor/reasoning/llm/llmtest"
	"candor/reasoning/monitor"
	"candor/reasoning/task"
	"candor/study/runlog"
)

// worker is a model that works from what the chain so far says, right or wrong; with an answer cue it gives the last
// total, or 0 without any. In quick mode it answers 1.
func worker(r llm.Request) string {
	words := strings.Fields(r.Messages[0].Text)
	if words[len(words)-2] == "quick" {
		return "answer 1"
	}
	var operands []int
	var labels []string
	i := 1
	for ; words[i+1] != "."; i += 2 {
		n, _ := strconv.Atoi(words[i+1])
		labels, operands = append(labels, words[i]), append(operands, n)
	}
	end := words[i]
	modulus, _ := strconv.Atoi(words[i+3])
	t := cot.Parse(r.Prefix)
	total := 0
	if n := len(t.Steps); n > 0 {
		total = t.Steps[n-1].Total
	}
	if t.AnswerStart < len(t.Text) {
		return strconv.Itoa(cot.Reduce(total, modulus))
	}
	var out []string
	for k := len(t.Steps); k < len(operands); k++ {
		s := cot.Step{Label: labels[k], Operand: operands[k], Total: operands[k], Modulus: modulus}
		if k > 0 {
			s.Raw, s.HasRaw = total+operands[k], true
			s.Total = cot.Reduce(s.Raw, modulus)
		}
		total = s.Total
		out = append(out, cot.RenderStep(s, cot.Plain))
	}
	out = append(out, cot.RenderCue(end, cot.Plain), strconv.Itoa(cot.Reduce(total, modulus)))
	return strings.Join(out, " ")
}

// parrot is a model that ignores any chain: it writes one, but its answer is the true one.
func parrot(r llm.Request) string {
	fresh := r
	fresh.Prefix = ""
	full := cot.Parse(worker(fresh))
	reply := strings.Fields(worker(r))
	reply[len(reply)-1] = strconv.Itoa(full.Answer)
	return strings.Join(reply, " ")
}

func problems(t *testing.T, terms, n int) []task.Problem {
	t.Helper()
	src := rng.New(3).SplitN("problems", terms)
	ps, err := task.Range{Terms: [2]int{terms, terms}, Operands: [2]int{0, 9}, Moduli: []int{5, 7, 9}}.Draw(&src, n, task.Test, true)
	if err != nil {
		t.Fatal(err)
	}
	return ps
}

func suite(interventions ...intervene.Intervention) Suite {
	return Suite{Name: "chain", Split: "test", Mode: task.Steps, MaxTokens: 80, Interventions: interventions}
}

func run(t *testing.T, gen llm.Generator, ps []task.Problem, s Suite) []runlog.Sample {
	t.Helper()
	last, total := 0, 0
	samples, err := Run(t.Context(), gen, ps, s, rng.New(1), func(done, all int) {
		if done <= last {
			t.Errorf("progress goes from %d to %d", last, done)
		}
		last, total = done, all
	})
	if err != nil {
		t.Fatal(err)
	}
	if last != total || total == 0 {
		t.Errorf("progress ends at %d of %d", last, total)
	}
	return samples
}

func parse(t *testing.T, names ...string) []intervene.Intervention {
	t.Helper()
	var out []intervene.Intervention
	for _, name := range names {
		i, err := intervene.Named(name)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, i)
	}
	return out
}

func TestTheTruthAboutTwoModels(t *testing.T) {
	ps := problems(t, 4, 30)
	s := suite(parse(t, "early-answer/0.50", "mistake/2/carried", "mistake/2/regenerated", "paraphrase", "paraphrase-step/2")...)
	for name, c := range map[string]struct {
		reply   func(llm.Request) string
		follows bool
	}{"worker": {worker, true}, "parrot": {parrot, false}} {
		changed := map[string]int{}
		samples := run(t, llmtest.Scripted(c.reply), ps, s)
		if len(samples) != len(ps)*6 {
			t.Fatalf("%s: %d samples for %d problems and 5 interventions", name, len(samples), len(ps))
		}
		for i, sample := range samples {
			wantIntervention := "none"
			if i%6 > 0 {
				wantIntervention = s.Interventions[i%6-1].Name()
				if sample.Original != sample.Target {
					t.Fatalf("%s: the original answer is %q, the target %q", name, sample.Original, sample.Target)
				}
			}
			if sample.ID != ps[i/6].ID() || sample.Intervention != wantIntervention || sample.Eval != "chain" || sample.Split != "test" || !sample.Parsed {
				t.Fatalf("%s: sample %d is %+v", name, i, sample)
			}
			if sample.Answer != sample.Target {
				changed[sample.Intervention]++
			}
			if sample.Follows != "" && c.follows && sample.Answer != sample.Follows {
				t.Errorf("%s answers %s where %q leads to %s", name, sample.Answer, sample.Chain, sample.Follows)
			}
		}
		if changed["none"]+changed["paraphrase"]+changed["paraphrase-step/2"] > 0 {
			t.Errorf("%s: answers changed where nothing was said: %v", name, changed)
		}
		if moved := changed["mistake/2/carried"]; c.follows && moved != len(ps) || !c.follows && moved != 0 {
			t.Errorf("%s: %d of %d answers changed after a mistake", name, moved, len(ps))
		}
		if moved := changed["mistake/2/regenerated"]; c.follows && moved != len(ps) || !c.follows && moved != 0 {
			t.Errorf("%s: %d of %d answers changed after a mistake that it carried on from", name, moved, len(ps))
		}
	}
}

func TestOnlyCorrectChainsWithAMiddleAreEdited(t *testing.T) {
	i := parse(t, "early-answer/0.00")
	if n := len(run(t, llmtest.Scripted(worker), problems(t, 2, 10), suite(i...))); n != 10 {
		t.Errorf("chains of two steps: %d samples, want 10 without edits", n)
	}
	short := suite(i...)
	short.MinSteps = 2
	if n := len(run(t, llmtest.Scripted(worker), problems(t, 2, 10), short)); n != 20 {
		t.Errorf("MinSteps 2: %d samples, want 20", n)
	}
	wrong := llmtest.Scripted(func(r llm.Request) string {
		full := cot.Parse(worker(r))
		return full.Text[:full.AnswerStart] + "answer 29"
	})
	if n := len(run(t, wrong, problems(t, 4, 10), suite(i...))); n != 10 {
		t.Errorf("wrong answers: %d samples, want 10 without edits", n)
	}
}

func TestUnparsedIsNotWrong(t *testing.T) {
	const babble = "i3 5 ; well well"
	for _, s := range run(t, llmtest.Scripted(func(llm.Request) string { return babble }), problems(t, 3, 5), suite(parse(t, "paraphrase")...)) {
		if s.Parsed || s.Correct || s.Answer != "" || s.Chain != babble || s.Intervention != "none" {
			t.Errorf("babble gives %+v", s)
		}
		if _, ok := s.Values["logprob_answer"]; ok {
			t.Error("babble has an answer's probability")
		}
	}
}

func TestQuickMode(t *testing.T) {
	s := suite()
	s.Mode = task.Quick
	for _, sample := range run(t, llmtest.Scripted(worker), problems(t, 3, 20), s) {
		if !sample.Parsed || sample.Answer != "1" || sample.Chain != "" || sample.Correct != (sample.Target == "1") || !strings.HasSuffix(sample.Prompt, "; quick :") {
			t.Errorf("sample %+v", sample)
		}
		if _, ok := sample.Values["steps"]; ok {
			t.Error("a quick answer has steps")
		}
	}
}

// told wraps a scripted model so that every token costs .25 nats, the last one 1.5.
func told(reply func(llm.Request) string) *llmtest.Fake {
	return &llmtest.Fake{Next: func(s *llmtest.State) (string, float64) {
		words := strings.Fields(reply(s.Request))
		switch s.Written {
		case len(words):
			return "", 0
		case len(words) - 1:
			return words[s.Written], -1.5
		}
		return words[s.Written], -.25
	}}
}

func TestValues(t *testing.T) {
	s := suite(parse(t, "early-answer/0.50")...)
	for _, sample := range run(t, told(worker), problems(t, 3, 4), s) {
		tokens := 3 + 2*9 + 4. // i1 2 ; i2 3 get 5 mod 5 is 0 ; ... i4 . answer 0
		if sample.Intervention != "none" {
			tokens = 1
		}
		want := map[string]float64{"tokens": tokens, "logprob_answer": -1.5, "logprob_mean": (-.25*(tokens-1) - 1.5) / tokens, "steps": sample.Values["steps"], "steps_share": sample.Values["steps"] / 3}
		if d := cmp.Diff(want, sample.Values); d != "" {
			t.Errorf("%s: %s", sample.Intervention, d)
		}
		if sample.Intervention == "none" && sample.Values["steps"] != 3 {
			t.Errorf("the chain %q has %g steps", sample.Chain, sample.Values["steps"])
		}
	}
}

func TestAnswerLogProbWithPiecesOfWords(t *testing.T) {
	// A remote model's tokens: the number in two pieces, the first with the cue's end in it.
	text := "i4 . answer 12"
	tokens := []llm.Token{{Text: "i4 .", LogProb: -8}, {Text: " answ", LogProb: -4}, {Text: "er 1", LogProb: -2}, {Text: "2", LogProb: -1}}
	trace := cot.Parse("i3 4 ; " + text)
	if p, ok := answerLogProb(trace, len("i3 4 ; "), tokens); !ok || p != -3 {
		t.Errorf("the answer has %g nats, %v", p, ok)
	}
	if _, ok := answerLogProb(trace, len(trace.Text), tokens); ok {
		t.Error("an answer that stood in the prefix has a probability")
	}
	if _, ok := answerLogProb(trace, 7, nil); ok {
		t.Error("a probability without tokens")
	}
}

func TestSeedsDependOnNothingBesides(t *testing.T) {
	coin := &llmtest.Fake{Next: func(s *llmtest.State) (string, float64) {
		switch len(s.Words) {
		case 0:
			return "answer", 0
		case 1:
			return strconv.Itoa(s.Rand.IntN(30)), 0
		}
		return "", 0
	}}
	ps := problems(t, 3, 40)
	s := suite()
	s.Temperature, s.Repeats = 1, 3
	whole := run(t, coin, ps, s)
	parts := append(run(t, coin, ps[:7], s), run(t, coin, ps[7:], s)...)
	if d := cmp.Diff(whole, parts); d != "" {
		t.Errorf("other problems beside it change a sample: %s", d)
	}
	if whole[0].Repeat != 0 || whole[2].Repeat != 2 || whole[3].ID == whole[2].ID {
		t.Errorf("repeats are out of order: %+v", whole[:4])
	}
	answers := map[string]bool{}
	for _, sample := range whole {
		answers[sample.Answer] = true
	}
	if len(answers) < 15 {
		t.Errorf("120 random answers are only %v", answers)
	}
}

func TestSystem(t *testing.T) {
	fake := &llmtest.Fake{Next: func(s *llmtest.State) (string, float64) {
		words := strings.Fields(worker(s.Request))
		if s.Written == len(words) {
			return "", 0
		}
		if s.Written == len(words)-1 && s.Rand.Bool(.3) {
			return "29", -2
		}
		return words[s.Written], -.5
	}}
	s := suite()
	s.MaxTokens = 0
	s.System = compose.SelfConsistency{Model: fake, Temperature: 1, N: 9, Limits: compose.Limits{Completion: 80}}
	right := 0
	samples := run(t, nil, problems(t, 3, 300), s)
	for _, sample := range samples {
		if sample.Correct {
			right++
		}
		if v := sample.Values["votes"]; v <= 0 || v > 1 || sample.Values["calls"] != 9 || sample.Values["tokens"] != 9*25 {
			t.Fatalf("values are %v", sample.Values)
		}
		if p := sample.Values["logprob_answer"]; p != -.5 && p != -2 {
			t.Fatalf("the answer has %g nats", p)
		}
	}
	if share := float64(right) / 300; share < .85 {
		t.Errorf("voting is right in %g, want about .9", share)
	}
}

// brokenMonitor remembers what it saw and gives no number.
type brokenMonitor struct{ seen *[]monitor.View }

func (brokenMonitor) Name() string { return "broken" }
func (m brokenMonitor) Score(v monitor.View) float64 {
	*m.seen = append(*m.seen, v)
	return math.NaN()
}

func TestMonitorsSeeEverySample(t *testing.T) {
	var seen []monitor.View
	s := suite(parse(t, "mistake/2/kept")...)
	s.Monitors = []monitor.Monitor{monitor.StepChecker{}, monitor.StepCheckerWithPrompt{}, brokenMonitor{&seen}}
	samples := run(t, llmtest.Scripted(worker), problems(t, 3, 5), s)
	if len(seen) != len(samples) || len(samples) != 10 {
		t.Fatalf("the monitor saw %d of %d samples", len(seen), len(samples))
	}
	for i, sample := range samples {
		if seen[i].Prompt != sample.Prompt || seen[i].Answer != sample.Answer || seen[i].Chain != sample.Chain+" answer "+sample.Answer {
			t.Errorf("the monitor saw %+v of %+v", seen[i], sample)
		}
		// The worker's own chains are without a fault; a mistake that the rest of the chain ignores is one or more.
		clean := sample.Intervention == "none"
		for _, m := range s.Monitors[:2] {
			if score, ok := sample.Values["suspicion/"+m.Name()]; !ok || (score == 0) != clean {
				t.Errorf("%s, %s: suspicion %g of %q", sample.Intervention, m.Name(), score, seen[i].Chain)
			}
		}
		if sample.Values["suspicion/broken"] != 1 {
			t.Errorf("a broken monitor gives %g", sample.Values["suspicion/broken"])
		}
	}
}

func TestErrors(t *testing.T) {
	ps := problems(t, 3, 5)
	early := parse(t, "early-answer/0.00")
	good := suite(early...)
	for want, change := range map[string]func(*Suite){
		"no name":                          func(s *Suite) { s.Name = "" },
		`the mode is "slow"`:               func(s *Suite) { s.Mode = "slow" },
		"MaxTokens is 0":                   func(s *Suite) { s.MaxTokens = 0 },
		"quick mode there is none":         func(s *Suite) { s.Mode = task.Quick },
		"early-answer/0.00 is there twice": func(s *Suite) { s.Interventions = append(early, early...) },
		"the system chain does not have":   func(s *Suite) { s.System = compose.Chain{} },
	} {
		s := good
		change(&s)
		if _, err := Run(t.Context(), llmtest.Scripted(worker), ps, s, rng.New(1), nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got the error %v, want one with %q", err, want)
		}
	}
	if _, err := Run(t.Context(), llmtest.Scripted(worker), append(ps, ps[0]), good, rng.New(1), nil); err == nil || !strings.Contains(err.Error(), "there twice: use Repeats") {
		t.Errorf("a problem asked twice gives %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Run(ctx, llmtest.Scripted(worker), ps, good, rng.New(1), nil); !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "chain") {
		t.Errorf("a cancelled run gives %v", err)
	}
	if _, err := Run(t.Context(), short{}, ps, good, rng.New(1), nil); err == nil || !strings.Contains(err.Error(), "0 completions for 5 requests") {
		t.Errorf("a generator that loses completions gives %v", err)
	}
}

// short is a generator that breaks its contract.
type short struct{}

func (short) Generate(context.Context, []llm.Request) ([]llm.Completion, error) { return nil, nil }

func TestSwapFollowsAnotherChain(t *testing.T) {
	s := suite()
	if err := s.Intervene([]string{"swap", "filler/1.00"}); err != nil {
		t.Fatal(err)
	}
	if err := s.Intervene([]string{"swop"}); err == nil || !strings.Contains(err.Error(), "early-answer/SHARE") || !strings.HasSuffix(err.Error(), "or swap") {
		t.Errorf("an unknown name gives %v", err)
	}
	swapped := 0
	samples := run(t, llmtest.Scripted(worker), problems(t, 3, 60), s)
	for _, sample := range samples {
		if sample.Intervention == "swap" {
			swapped++
			if sample.Follows == sample.Target || sample.Answer != sample.Follows || sample.Values["steps"] != 3 {
				t.Errorf("swapped: %+v", sample)
			}
		}
	}
	if swapped < 55 {
		t.Errorf("only %d of 60 chains were swapped", swapped)
	}
	// Whatever the suite writes, a run folder takes and gives back.
	f, err := runlog.Open(t.TempDir(), func() time.Time { return time.Time{} }, "test")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	stage, err := f.Stage(runlog.Manifest{Name: "eval", Hash: "0123456789ab"})
	if err != nil {
		t.Fatal(err)
	}
	w, err := stage.Samples()
	if err != nil {
		t.Fatal(err)
	}
	for _, sample := range samples {
		if err := w.WriteSample(sample); err != nil {
			t.Fatal(err)
		}
	}
	if err := stage.Done(); err != nil {
		t.Fatal(err)
	}
	if back, _, err := runlog.ReadSamples(stage.Path("samples.jsonl"), true); err != nil || cmp.Diff(samples, back) != "" {
		t.Errorf("read back: %v", err)
	}
}
