package compose

import (
	"context"
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
	s.FaceTemperature = .5
	var views []monitor.View
	for _, part := range []Part{SeesPrivate, SeesShown, SeesOutput} {
		s.Gates = append(s.Gates, Gate{Monitor: monitor.Local(spy{views: &views}), Threshold: .5, Sees: part})
	}
	got := transcripts(t, s, twoPartPrompts(3))[0]
	if len(got.Steps) != 3 || !got.Closed || !got.Rewritten || got.Calls != 5 || got.Tokens != 6+2 || got.Partial != "" {
		t.Fatalf("transcript %+v", got)
	}
	read, private, shown := "", "", ""
	for i, step := range got.Steps {
		if request := r.Requests()[i]; request.Prefix != read || request.MaxTokens != 2 || !slices.Equal(request.Stop, []string{"="}) ||
			request.Messages[0].Text != "secret think 3 :" || request.Temperature != 1 {
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
	if words := strings.Fields(shown); words[0] == words[2] && words[1] == words[3] || words[2] == words[4] && words[3] == words[5] {
		t.Errorf("steps are rewritten by the same random numbers: %q", shown)
	}
	if got.Private() != private+" =" || got.Shown() != shown+" =" || got.Context != "think 3 : "+shown+" =" {
		t.Errorf("private %q, shown %q, context %q of steps %+v", got.Private(), got.Shown(), got.Context, got.Steps)
	}
	if asked := f.Requests(); len(asked) != 1 || asked[0].Prefix != shown+" =" || asked[0].Messages[0].Text != "think 3 :" || asked[0].MaxTokens != 4 || asked[0].Temperature != .5 {
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
				Monitor:   broken(rapid.SampledFrom([]float64{0, .2, .5, 1, math.NaN()}).Draw(t, "score")),
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
		score, want := float64(monitor.Unwrap(g.Monitor).(brokenMonitor)), Pass
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

// telling names the stop text of every completion that had one to stop at.
type telling struct{ llm.Generator }

func (m telling) Generate(ctx context.Context, requests []llm.Request) ([]llm.Completion, error) {
	out, err := m.Generator.Generate(ctx, requests)
	for i := range out {
		if out[i].Finish == llm.FinishStop {
			out[i].Stop = requests[i].Stop[0]
		}
	}
	return out, err
}

func TestTwoPartTellsWhatClosedTheChain(t *testing.T) {
	s := plain(telling{reasoner()}, face())
	if got := transcripts(t, s, twoPartPrompts(2))[0]; !got.Closed || got.Stop != "=" {
		t.Errorf("closed %v by %q", got.Closed, got.Stop)
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
