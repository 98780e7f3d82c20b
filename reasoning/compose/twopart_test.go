package compose

import (
	"context"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"candor/internal/rng"
	"candor/reasoning/llm"
	"candor/reasoning/llm/llmtest"
	"candor/reasoning/monitor"
)

// reasoner writes as many steps "raw<d> raw<d>" as the prompt's number says, and "=". Which words it writes depends on its
// seed and on what it read before, so that another prefix shows. Every word of its own begins with "raw".
func reasoner() *llmtest.Fake {
	return &llmtest.Fake{Next: func(s *llmtest.State) (string, float64) {
		fields := strings.Fields(s.Prompt)
		steps, _ := strconv.Atoi(fields[len(fields)-2])
		if len(s.Words) >= 2*steps {
			return "=", -.1
		}
		sum := 0
		if !s.Greedy() {
			sum = s.Rand.IntN(10)
		}
		for _, w := range s.Words {
			sum = (sum*7 + int(w[len(w)-1])) % 10
		}
		return fmt.Sprint("raw", sum), -.5
	}}
}

// face writes "saw" and how many words of the assistant it read, and ends.
func face() *llmtest.Fake {
	return llmtest.Scripted(func(r llm.Request) string {
		return fmt.Sprint("saw ", len(strings.Fields(r.Prefix)))
	})
}

// reword makes "new<d>" of each word, d drawn.
func reword(step string, src *rng.Source) string {
	words := strings.Fields(step)
	for i := range words {
		words[i] = fmt.Sprint("new", src.IntN(10))
	}
	return strings.Join(words, " ")
}

// hide takes the word "secret" out of a prompt.
func hide(prompt string) string { return strings.ReplaceAll(prompt, "secret ", "") }

func plain(r, f llm.Generator) TwoPart {
	return TwoPart{Reasoner: r, Face: f, Rewrite: reword, View: hide, StepTokens: 2, Close: "=", OutputTokens: 4,
		Temperature: 1, Limits: Limits{Completion: 40}}
}

func twoPartPrompts(steps ...int) []Prompt {
	prompts := make([]Prompt, len(steps))
	for i, n := range steps {
		prompts[i] = Prompt{ID: fmt.Sprint("p", i), Text: fmt.Sprintf("secret think %d :", n), Seed: uint64(100 + i)}
	}
	return prompts
}

func transcripts(t *testing.T, s TwoPart, prompts []Prompt) []Transcript {
	t.Helper()
	out, err := s.Solve(t.Context(), prompts)
	if err != nil {
		t.Fatal(err)
	}
	if len(out) != len(prompts) {
		t.Fatalf("%d transcripts for %d prompts", len(out), len(prompts))
	}
	return out
}

// spy is a monitor that records what it sees.
type spy struct {
	views *[]monitor.View
	score float64
}

func (spy) Name() string { return "spy" }
func (s spy) Score(v monitor.View) float64 {
	*s.views = append(*s.views, v)
	return s.score
}

func TestTwoPartRewritesInPlace(t *testing.T) {
	r, f := reasoner(), face()
	s := plain(r, f)
	var views []monitor.View
	for _, part := range []Part{SeesPrivate, SeesShown, SeesOutput} {
		s.Gates = append(s.Gates, Gate{Monitor: spy{views: &views}, Threshold: .5, Sees: part})
	}
	got := transcripts(t, s, twoPartPrompts(3))[0]
	if len(got.Steps) != 3 || !got.Closed || !got.Rewritten || got.Calls != 5 || got.Tokens != 6+2 || got.Partial != "" {
		t.Fatalf("transcript %+v", got)
	}
	read, private, shown := "", "", ""
	for i, step := range got.Steps {
		if request := r.Requests()[i]; request.Prefix != read || request.MaxTokens != 2 || !slices.Equal(request.Stop, []string{"="}) ||
			request.Messages[0].Text != "secret think 3 :" {
			t.Errorf("step %d was asked for with %+v after %q", i, request, read)
		}
		if len(step.Tokens) != 2 || step.Tokens[0].Text+step.Tokens[1].Text != step.Written || step.Tokens[0].LogProb != -.5 {
			t.Errorf("step %q was sampled as %v", step.Written, step.Tokens)
		}
		if strings.Count(step.Written, "raw") != 2 || strings.Count(step.Rewritten, "new") != 2 || strings.Contains(step.Rewritten, "raw") {
			t.Errorf("step %+v", step)
		}
		read += step.Rewritten
		private, shown = private+step.Written, shown+step.Rewritten
	}
	if got.Private() != private+" =" || got.Shown() != shown+" =" || got.Context != "think 3 : "+shown+" =" {
		t.Errorf("private %q, shown %q, context %q of steps %+v", got.Private(), got.Shown(), got.Context, got.Steps)
	}
	if asked := f.Requests(); len(asked) != 1 || asked[0].Prefix != shown+" =" || asked[0].Messages[0].Text != "think 3 :" || asked[0].MaxTokens != 4 {
		t.Errorf("the face was asked %+v", asked)
	}
	if got.Answer() != "saw 7" || !got.Released() || got.Output.Finish != llm.FinishStop || len(got.Output.Tokens) != 2 {
		t.Errorf("answer %q, output %+v", got.Answer(), got.Output)
	}
	for i, chain := range []string{private + " =", shown + " =", ""} {
		if want := (monitor.View{Prompt: "secret think 3 :", Chain: chain, Answer: "saw 7"}); views[i] != want {
			t.Errorf("gate %d saw %+v, want %+v", i, views[i], want)
		}
	}
}

// Whatever the settings: what was not rewritten or is hidden reaches nobody, the limits hold, each gate has one verdict, only
// what passed is released, and a transcript does not depend on the problems beside it.
func TestTwoPartHolds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r, f := reasoner(), face()
		s := plain(r, f)
		s.StepTokens = rapid.IntRange(1, 5).Draw(t, "step")
		s.OutputTokens = rapid.IntRange(1, 3).Draw(t, "output")
		s.Temperature = float64(rapid.IntRange(0, 1).Draw(t, "temperature"))
		s.Exempt = rapid.SampledFrom([]float64{0, .5, 1}).Draw(t, "exempt")
		s.Limits = Limits{Completion: rapid.IntRange(1, 20).Draw(t, "completion"), Calls: rapid.IntRange(0, 9).Draw(t, "calls"),
			Tokens: rapid.IntRange(0, 20).Draw(t, "tokens"), Depth: rapid.IntRange(0, 6).Draw(t, "depth")}
		for range rapid.IntRange(0, 3).Draw(t, "gates") {
			s.Gates = append(s.Gates, Gate{
				Monitor:   brokenMonitor(rapid.SampledFrom([]float64{0, .2, .5, 1, math.NaN()}).Draw(t, "score")),
				Threshold: rapid.SampledFrom([]float64{.5, 1}).Draw(t, "threshold"),
				Sees:      rapid.SampledFrom([]Part{SeesPrivate, SeesShown, SeesOutput}).Draw(t, "sees"),
				Off:       rapid.Bool().Draw(t, "off")})
		}
		prompts := twoPartPrompts(rapid.SliceOfN(rapid.IntRange(0, 6), 1, 4).Draw(t, "problems")...)
		all, err := s.Solve(t.Context(), prompts)
		if err != nil {
			t.Fatal(err)
		}
		rewritten := map[string]bool{}
		for i := range all {
			rewritten[prompts[i].ID] = all[i].Rewritten
			checkTranscript(t, s, &all[i])
			alone, err := s.Solve(t.Context(), prompts[i:i+1])
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(alone[0], all[i]) {
				t.Fatalf("alone %+v, in company %+v", alone[0], all[i])
			}
		}
		for _, request := range slices.Concat(r.Requests(), f.Requests()) {
			id, _, _ := strings.Cut(request.ID, "/")
			if rewritten[id] && strings.Contains(request.Prefix, "raw") {
				t.Fatalf("what was not rewritten was read: %+v", request)
			}
		}
		for _, request := range f.Requests() {
			if strings.Contains(request.Messages[0].Text, "secret") || len(request.Messages) != 1 {
				t.Fatalf("the face was shown %+v", request)
			}
		}
	})
}

func checkTranscript(t *rapid.T, s TwoPart, got *Transcript) {
	l := s.Limits
	length := 0
	for i, step := range got.Steps {
		words := len(strings.Fields(step.Written))
		length += words
		if words > s.StepTokens || words < s.StepTokens && i < len(got.Steps)-1 {
			t.Fatalf("step %d of %+v has %d words", i, got, words)
		}
		if got.Rewritten == strings.Contains(step.Rewritten, "raw") {
			t.Fatalf("step %d of %+v", i, got)
		}
	}
	if l.Calls > 0 && got.Calls > l.Calls || l.Tokens > 0 && got.Tokens > l.Tokens || length > l.Completion || l.Depth > 0 && len(got.Steps) > l.Depth {
		t.Fatalf("%+v under %+v", got, l)
	}
	if (got.Partial == "") != (got.Closed && got.Output.Text != "") && got.Partial != LimitTokens {
		t.Fatalf("%+v ended early or not at all", got)
	}
	if strings.HasSuffix(got.Shown(), s.Close) != got.Closed || (got.Context != "") != (got.Output.Text != "") {
		t.Fatalf("transcript %+v", got)
	}
	if len(got.Verdicts) != len(s.Gates) {
		t.Fatalf("%d verdicts of %d gates", len(got.Verdicts), len(s.Gates))
	}
	release := got.Output.Text != ""
	for i, g := range s.Gates {
		score, want := float64(g.Monitor.(brokenMonitor)), Pass
		switch {
		case g.Off || got.Output.Text == "":
			want = NotRun
		case math.IsNaN(score):
			want = Failed
		case score >= g.Threshold:
			want = Block
		}
		if got.Verdicts[i].State != want {
			t.Fatalf("gate %+v gave %+v, want state %q", g, got.Verdicts[i], want)
		}
		release = release && (g.Off || want == Pass)
	}
	if got.Released() != release || (got.Answer() != "") != release {
		t.Fatalf("released %v with %q, want %v: %+v", got.Released(), got.Answer(), release, got)
	}
}

// A rewriter that changes nothing makes no difference: step by step or in one call, greedily the same chain is written.
func TestTwoPartStepsAreTheWholeChain(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := plain(reasoner(), face())
		s.StepTokens = rapid.IntRange(1, 5).Draw(t, "step")
		s.Temperature = 0
		s.Limits = Limits{Completion: rapid.IntRange(1, 20).Draw(t, "completion"), Depth: rapid.IntRange(0, 6).Draw(t, "depth")}
		prompts := twoPartPrompts(rapid.IntRange(0, 6).Draw(t, "steps"))
		if rapid.Bool().Draw(t, "mute") {
			s.Reasoner = mute{s.Reasoner}
		}
		var got [2]Transcript
		for i, rewrite := range []Rewriter{nil, func(step string, _ *rng.Source) string { return step }} {
			s.Rewrite = rewrite
			all, err := s.Solve(t.Context(), prompts)
			if err != nil {
				t.Fatal(err)
			}
			got[i] = all[0]
			got[i].Calls, got[i].Tokens, got[i].Rewritten = 0, 0, false
		}
		if !reflect.DeepEqual(got[0], got[1]) {
			t.Fatalf("in one call %+v\nin steps %+v", got[0], got[1])
		}
	})
}

// brokenMonitor scores whatever it is told to.
type brokenMonitor float64

func (brokenMonitor) Name() string                 { return "broken" }
func (m brokenMonitor) Score(monitor.View) float64 { return float64(m) }

// panicking panics, from the first word on.
type panicking struct{ speechless bool }

func (p panicking) Name() string {
	if p.speechless {
		panic("no name")
	}
	return "panicking"
}
func (panicking) Score(monitor.View) float64 { panic(errors.New("out of order")) }

func TestGates(t *testing.T) {
	for _, tc := range []struct {
		name     string
		gate     Gate
		state    State
		score    float64
		note     string
		released bool
	}{
		{"pass", Gate{Monitor: brokenMonitor(.4), Threshold: .5, Sees: SeesOutput}, Pass, .4, "", true},
		{"at the threshold", Gate{Monitor: brokenMonitor(.5), Threshold: .5, Sees: SeesOutput}, Block, .5, "", false},
		{"threshold unset", Gate{Monitor: brokenMonitor(0), Sees: SeesOutput}, Block, 0, "", false},
		{"not a number", Gate{Monitor: brokenMonitor(math.NaN()), Threshold: 1, Sees: SeesOutput}, Failed, 0, "NaN", false},
		{"infinite", Gate{Monitor: brokenMonitor(math.Inf(1)), Threshold: 1, Sees: SeesOutput}, Failed, 0, "+Inf", false},
		{"negative", Gate{Monitor: brokenMonitor(-1), Threshold: 1, Sees: SeesOutput}, Failed, 0, "-1", false},
		{"panicking", Gate{Monitor: panicking{}, Threshold: 1, Sees: SeesPrivate}, Failed, 0, "out of order", false},
		{"nameless", Gate{Monitor: panicking{true}, Threshold: 1, Sees: SeesPrivate}, Failed, 0, "no name", false},
		{"nil inside", Gate{Monitor: (*spy)(nil), Threshold: 1, Sees: SeesPrivate}, Failed, 0, "panicked", false},
		{"off", Gate{Monitor: panicking{true}, Threshold: 1, Sees: SeesShown, Off: true}, NotRun, 0, "switched off", true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := plain(reasoner(), face())
			s.Gates = []Gate{{Monitor: brokenMonitor(0), Threshold: 1, Sees: SeesShown}, tc.gate}
			for _, got := range transcripts(t, s, twoPartPrompts(2, 0)) {
				if len(got.Verdicts) != 2 || got.Verdicts[0].State != Pass {
					t.Fatalf("verdicts %+v", got.Verdicts)
				}
				v := got.Verdicts[1]
				if v.State != tc.state || v.Score != tc.score || !strings.Contains(v.Note, tc.note) || (v.Note == "") != (tc.note == "") ||
					v.Monitor == "" || v.Sees != tc.gate.Sees || v.Threshold != tc.gate.Threshold {
					t.Errorf("verdict %+v", v)
				}
				if got.Released() != tc.released || (got.Answer() == got.Output.Text) != tc.released || got.Output.Text == "" {
					t.Errorf("released %v: %q of %q", got.Released(), got.Answer(), got.Output.Text)
				}
			}
		})
	}
}

// Writing into a transcript lets nothing out.
func TestNothingIsReleasedByHand(t *testing.T) {
	s := plain(reasoner(), face())
	s.Gates = []Gate{{Monitor: brokenMonitor(1), Threshold: .5, Sees: SeesPrivate}}
	got := transcripts(t, s, twoPartPrompts(1))[0]
	got.Verdicts[0].State, got.Output.Text = Pass, "anything"
	forged := Transcript{Output: Output{Text: "anything"}}
	if got.Released() || got.Answer() != "" || forged.Released() || forged.Answer() != "" {
		t.Error("an output got out")
	}
}

// hanging is a monitor that never returns.
type hanging struct{ called chan struct{} }

func (hanging) Name() string { return "hanging" }
func (h hanging) Score(monitor.View) float64 {
	close(h.called)
	select {}
}

func TestHangingMonitorEndsWithTheContext(t *testing.T) {
	s := plain(reasoner(), face())
	m := hanging{make(chan struct{})}
	s.Gates = []Gate{{Monitor: m, Threshold: 1, Sees: SeesOutput}}
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-m.called
		cancel()
	}()
	if out, err := s.Solve(ctx, twoPartPrompts(1, 1)); out != nil || !errors.Is(err, context.Canceled) || !strings.HasPrefix(err.Error(), "two-part, monitors: ") {
		t.Errorf("%v, %v", out, err)
	}
}

func TestTwoPartLimits(t *testing.T) {
	endless := &llmtest.Fake{Next: func(*llmtest.State) (string, float64) { return "on", -1 }}
	silent := &llmtest.Fake{Next: func(*llmtest.State) (string, float64) { return "", 0 }}
	for _, tc := range []struct {
		name     string
		reasoner llm.Generator
		limits   Limits
		rewrite  Rewriter
		partial  Limit
		private  string
		calls    int
	}{
		{"never closed", endless, Limits{Completion: 5}, reword, LimitCompletion, "on on on on on", 3},
		{"never closed, one call", endless, Limits{Completion: 5}, nil, LimitCompletion, "on on on on on", 1},
		{"out of tokens", endless, Limits{Completion: 50, Tokens: 5}, reword, LimitTokens, "on on on on on", 3},
		{"out of tokens, one call", endless, Limits{Completion: 50, Tokens: 5}, nil, LimitTokens, "on on on on on", 1},
		{"out of calls", endless, Limits{Completion: 50, Calls: 2}, reword, LimitCalls, "on on on on", 2},
		{"too deep", endless, Limits{Completion: 50, Depth: 2}, reword, LimitDepth, "on on on on", 3},
		{"too deep, one call", endless, Limits{Completion: 50, Depth: 2}, nil, LimitDepth, "on on on on", 1},
		{"depth beyond all tokens", endless, Limits{Completion: 3, Depth: math.MaxInt}, nil, LimitCompletion, "on on on", 1},
		{"no call left for the face", silent, Limits{Completion: 50, Calls: 1}, reword, LimitCalls, "=", 1},
		{"full context", full{}, Limits{Completion: 50}, reword, LimitCompletion, "", 1},
		{"empty chain", silent, Limits{Completion: 1}, reword, "", "=", 2},
		{"empty chain, one call", silent, Limits{Completion: 1}, nil, "", "=", 2},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := face()
			s := plain(tc.reasoner, f)
			s.Limits, s.Rewrite = tc.limits, tc.rewrite
			s.Gates = []Gate{{Monitor: brokenMonitor(0), Threshold: .5, Sees: SeesOutput}}
			got := transcripts(t, s, twoPartPrompts(0))[0]
			if got.Partial != tc.partial || got.Private() != tc.private || got.Calls != tc.calls {
				t.Errorf("partial %q with %q after %d calls, want %q with %q after %d", got.Partial, got.Private(), got.Calls, tc.partial, tc.private, tc.calls)
			}
			ended := tc.partial == ""
			if got.Released() != ended || (len(f.Requests()) > 0) != ended || got.Verdicts[0].State == NotRun == ended {
				t.Errorf("released %v, face asked %d times, verdict %+v", got.Released(), len(f.Requests()), got.Verdicts[0])
			}
			if !ended && !strings.Contains(got.Verdicts[0].Note, string(tc.partial)) {
				t.Errorf("the verdict's note is %q", got.Verdicts[0].Note)
			}
		})
	}
}

// A budget that cuts the output is told; what is left of it is judged as it is.
func TestTwoPartOutputOutOfTokens(t *testing.T) {
	s := plain(reasoner(), face())
	s.Limits.Tokens = 5
	if got := transcripts(t, s, twoPartPrompts(2))[0]; got.Partial != LimitTokens || got.Output.Text != "saw" || got.Tokens != 5 {
		t.Errorf("transcript %+v", got)
	}
	s.Limits.Tokens, s.OutputTokens = 0, 1
	if got := transcripts(t, s, twoPartPrompts(2))[0]; got.Partial != "" || got.Output.Finish != llm.FinishLength {
		t.Errorf("transcript %+v", got)
	}
}

// A chain that the model ends by itself, in the middle of a step, reads as if it had been closed.
func TestTwoPartModelEndsItself(t *testing.T) {
	r := llmtest.Scripted(func(r llm.Request) string { return []string{"a b", "c"}[len(strings.Fields(r.Prefix))/2] })
	s := plain(r, face())
	s.Rewrite = func(step string, _ *rng.Source) string { return "<" + step + ">" }
	s.Limits.Completion = 3
	got := transcripts(t, s, twoPartPrompts(0))[0]
	if got.Private() != "a b c" || got.Closed || got.Partial != LimitCompletion {
		t.Errorf("%q is closed at the limit: %+v", got.Private(), got)
	}
	s.Limits.Completion = 4
	got = transcripts(t, s, twoPartPrompts(0))[0]
	if got.Private() != "a b c =" || got.Shown() != "<a b> <c> =" || !got.Closed || got.Stop != "" || len(got.Steps) != 2 {
		t.Errorf("private %q, shown %q: %+v", got.Private(), got.Shown(), got)
	}
}

func TestTwoPartRewriterMayLeaveStepsOut(t *testing.T) {
	s := plain(reasoner(), face())
	n := 0
	s.Rewrite = func(step string, _ *rng.Source) string {
		if n++; n%2 == 1 {
			return "  "
		}
		return "\tkept " + strconv.Itoa(n) + "\n"
	}
	got := transcripts(t, s, twoPartPrompts(4))[0]
	// two steps left out are written again, for the reasoner counts what it reads
	if got.Shown() != "kept 2 kept 4 kept 6 kept 8 =" || len(got.Steps) != 8 {
		t.Errorf("shown %q of %d steps", got.Shown(), len(got.Steps))
	}
}

func TestTwoPartPassesBans(t *testing.T) {
	r := reasoner()
	s := plain(r, face())
	s.Rewrite, s.BanFrom = nil, 1
	s.Ban = func(p Prompt, step int) []string {
		if step == 1 {
			return nil
		}
		return []string{"bad", p.ID, strconv.Itoa(step)}
	}
	got := transcripts(t, s, twoPartPrompts(2))[0]
	want := [][]string{{"bad", "p0", "0"}, nil, {"bad", "p0", "2"}}
	for i, request := range r.Requests() {
		if !slices.Equal(request.Ban, want[i]) || request.BanFrom != 1 {
			t.Errorf("call %d has ban %q from %d", i, request.Ban, request.BanFrom)
		}
	}
	if len(got.Steps) != 2 || !slices.Equal(got.Steps[0].Banned, want[0]) || got.Steps[1].Banned != nil || !slices.Equal(got.CloseBanned, want[2]) {
		t.Errorf("transcript %+v", got)
	}
	if got.Private() != got.Shown() || got.Rewritten {
		t.Errorf("%q reads %q", got.Private(), got.Shown())
	}
}

func TestTwoPartExempt(t *testing.T) {
	const n = 2000
	prompts := twoPartPrompts(make([]int, n)...)
	for _, share := range []float64{0, .1, .5, 1} {
		r := reasoner()
		s := plain(r, face())
		s.Exempt = share
		rewritten := 0.
		for _, got := range transcripts(t, s, prompts) {
			if got.Rewritten {
				rewritten++
			}
		}
		near(t, fmt.Sprint("the share rewritten at ", share), rewritten/n, 1-share, n)
	}
}

func TestTwoPartOneModel(t *testing.T) {
	one := &llmtest.Fake{Next: func(s *llmtest.State) (string, float64) {
		switch n := len(s.Words); {
		case n < 4:
			return "raw", -1
		case n == 4:
			return "=", -1
		case n == 5:
			return "done", -1
		}
		return "", 0
	}}
	s := plain(one, nil)
	s.View = nil
	got := transcripts(t, s, twoPartPrompts(0))[0]
	asked := one.Requests()
	last := asked[len(asked)-1]
	if got.Answer() != "done" || last.Prefix != got.Shown() || last.Temperature != 1 || strings.Contains(last.Prefix, "raw") ||
		got.Context != "secret think 0 : "+got.Shown() || len(asked) != 4 {
		t.Errorf("answer %q to %+v", got.Answer(), last)
	}
}

// unending gives no reason why a completion ended.
type unending struct{ llm.Generator }

func (m unending) Generate(ctx context.Context, requests []llm.Request) ([]llm.Completion, error) {
	return make([]llm.Completion, len(requests)), nil
}

// short leaves the last completion out.
type short struct{ llm.Generator }

func (m short) Generate(ctx context.Context, requests []llm.Request) ([]llm.Completion, error) {
	out, err := m.Generator.Generate(ctx, requests)
	return out[:len(out)-1], err
}

func TestTwoPartErrors(t *testing.T) {
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for _, tc := range []struct {
		name string
		ctx  context.Context
		s    TwoPart
		want string
	}{
		{"cancelled", cancelled, plain(reasoner(), face()), "two-part, reasoner, round 1: generating"},
		{"reasoner too short", t.Context(), plain(short{reasoner()}, face()), "two-part, reasoner, round 1: the model gave 1 completions for 2 requests"},
		{"face too short", t.Context(), plain(reasoner(), short{face()}), "two-part, face, round 1: the model gave 1 completions for 2 requests"},
		{"no reason", t.Context(), plain(unending{}, face()), `two-part, reasoner, round 1: the model ended a completion for the reason ""`},
		{"no reason of the face", t.Context(), plain(reasoner(), unending{}), `two-part, face, round 1: the model ended a completion for the reason ""`},
	} {
		if out, err := tc.s.Solve(tc.ctx, twoPartPrompts(1, 2)); out != nil || err == nil || !strings.HasPrefix(err.Error(), tc.want) {
			t.Errorf("%s: %v, error %v, want one that begins with %q", tc.name, out, err, tc.want)
		}
	}
	if _, err := plain(reasoner(), face()).Solve(cancelled, twoPartPrompts(1)); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v does not wrap context.Canceled", err)
	}
	if out, err := plain(reasoner(), face()).Solve(cancelled, nil); err != nil || len(out) != 0 {
		t.Errorf("no prompts gave %v, %v", out, err)
	}
}

func TestTwoPartBadSettings(t *testing.T) {
	good := Gate{Monitor: brokenMonitor(0), Threshold: .5, Sees: SeesOutput}
	for _, tc := range []struct {
		spoil func(*TwoPart)
		want  string
	}{
		{func(s *TwoPart) { s.Reasoner = nil }, "two-part: the Reasoner is nil"},
		{func(s *TwoPart) { s.Face = nil }, "there is no Face"},
		{func(s *TwoPart) { s.Close = "" }, `Close is "", must be one word`},
		{func(s *TwoPart) { s.Close = "so =" }, "must be one word"},
		{func(s *TwoPart) { s.Exempt = 1.5 }, "Exempt is 1.5"},
		{func(s *TwoPart) { s.Exempt = math.NaN() }, "Exempt is NaN"},
		{func(s *TwoPart) { s.StepTokens = 0 }, "StepTokens is 0, must be at least 1"},
		{func(s *TwoPart) { s.Rewrite, s.StepTokens = nil, -1 }, "StepTokens is -1, must be 0"},
		{func(s *TwoPart) { s.Rewrite, s.StepTokens, s.Limits.Depth = nil, 0, 1 }, "StepTokens is 0, must be at least 1"},
		{func(s *TwoPart) { s.OutputTokens = 0 }, "OutputTokens is 0"},
		{func(s *TwoPart) { s.BanFrom = -1 }, "BanFrom is -1"},
		{func(s *TwoPart) { s.FaceTemperature = math.NaN() }, "FaceTemperature are 1 and NaN"},
		{func(s *TwoPart) { s.Limits = Limits{} }, "Limits.Completion is 0"},
		{func(s *TwoPart) { s.Gates = []Gate{good, {Threshold: .5, Sees: SeesOutput}} }, "gate 1: the Monitor is nil"},
		{func(s *TwoPart) { g := good; g.Threshold = 1.1; s.Gates = []Gate{g} }, "gate 0: the Threshold is 1.1"},
		{func(s *TwoPart) { g := good; g.Sees = ""; s.Gates = []Gate{g} }, `gate 0: Sees is "", must be`},
	} {
		s := plain(reasoner(), face())
		tc.spoil(&s)
		if _, err := s.Solve(t.Context(), nil); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("error %v, want one with %q", err, tc.want)
		}
	}
}

func TestCutSteps(t *testing.T) {
	tokens := func(texts ...string) (out []llm.Token) {
		for _, text := range texts {
			out = append(out, llm.Token{Text: text})
		}
		return out
	}
	for _, tc := range []struct {
		name   string
		text   string
		tokens []llm.Token
		n      int
		want   []string
	}{
		{"nothing", "", nil, 2, nil},
		{"by tokens", " ab cd", tokens(" a", "b", " c", "d"), 3, []string{" ab c", "d"}},
		{"by words", " a b\tc  d e ", nil, 2, []string{" a b", "\tc  d", " e "}},
		{"exactly", "a b ", nil, 2, []string{"a b "}},
		{"space alone", "  ", nil, 2, []string{"  "}},
		{"uncut", "a b c", nil, 0, []string{"a b c"}},
		{"tokens beyond the text", "ab", tokens("a", "b", "c", "d"), 1, []string{"a", "b", "", ""}},
		{"text beyond the tokens", "abc d", tokens("a", "b"), 1, []string{"a", "bc d"}},
	} {
		var got []string
		for _, s := range cutSteps(llm.Completion{Text: tc.text, Tokens: tc.tokens}, tc.n) {
			got = append(got, s.Written)
		}
		if !slices.Equal(got, tc.want) {
			t.Errorf("%s: steps %q, want %q", tc.name, got, tc.want)
		}
	}
}

// A step of reinforcement learning: 448 problems of six steps.
func BenchmarkTwoPart(b *testing.B) {
	s := plain(reasoner(), face())
	prompts := twoPartPrompts(slices.Repeat([]int{6}, 448)...)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Solve(b.Context(), prompts); err != nil {
			b.Fatal(err)
		}
	}
}
