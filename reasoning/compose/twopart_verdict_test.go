package compose

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"candor/reasoning/llm"
	"candor/reasoning/llm/llmtest"
	"candor/reasoning/monitor"
)

// brokenMonitor scores whatever it is told to.
type brokenMonitor float64

func (brokenMonitor) Name() string                 { return "broken" }
func (m brokenMonitor) Score(monitor.View) float64 { return float64(m) }

func broken(score float64) monitor.Examiner { return monitor.Local(brokenMonitor(score)) }

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
		{"pass", Gate{Monitor: broken(.4), Threshold: .5, Sees: SeesOutput}, Pass, .4, "", true},
		{"at the threshold", Gate{Monitor: broken(.5), Threshold: .5, Sees: SeesOutput}, Block, .5, "", false},
		{"threshold unset", Gate{Monitor: broken(0), Sees: SeesOutput}, Block, 0, "", false},
		{"not a number", Gate{Monitor: broken(math.NaN()), Threshold: 1, Sees: SeesOutput}, Failed, 0, "NaN", false},
		{"infinite", Gate{Monitor: broken(math.Inf(1)), Threshold: 1, Sees: SeesOutput}, Failed, 0, "+Inf", false},
		{"negative", Gate{Monitor: broken(-1), Threshold: 1, Sees: SeesOutput}, Failed, 0, "-1", false},
		{"panicking", Gate{Monitor: monitor.Local(panicking{}), Threshold: 1, Sees: SeesPrivate}, Failed, 0, "the monitor panicked", false},
		{"nameless", Gate{Monitor: monitor.Local(panicking{true}), Threshold: 1, Sees: SeesPrivate}, Failed, 0, "the monitor panicked", false},
		{"nil inside", Gate{Monitor: monitor.Local((*spy)(nil)), Threshold: 1, Sees: SeesPrivate}, Failed, 0, "panicked", false},
		{"off", Gate{Monitor: monitor.Local(panicking{true}), Threshold: 1, Sees: SeesShown, Off: true}, NotRun, 0, "switched off", true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := plain(reasoner(), face())
			s.Gates = []Gate{{Monitor: broken(0), Threshold: 1, Sees: SeesShown}, tc.gate}
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
	s.Gates = []Gate{{Monitor: broken(1), Threshold: .5, Sees: SeesPrivate}}
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
	s.Gates = []Gate{{Monitor: monitor.Local(m), Threshold: 1, Sees: SeesOutput}}
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
		tokens   int
	}{
		{"never closed", endless, Limits{Completion: 5}, reword, LimitCompletion, "on on on on on", 3, 5},
		{"never closed, one call", endless, Limits{Completion: 5}, nil, LimitCompletion, "on on on on on", 1, 5},
		{"out of tokens", endless, Limits{Completion: 50, Tokens: 5}, reword, LimitTokens, "on on on on on", 3, 5},
		{"out of tokens, one call", endless, Limits{Completion: 50, Tokens: 5}, nil, LimitTokens, "on on on on on", 1, 5},
		{"out of calls", endless, Limits{Completion: 50, Calls: 2}, reword, LimitCalls, "on on on on", 2, 4},
		{"too deep", endless, Limits{Completion: 50, Depth: 2}, reword, LimitDepth, "on on on on", 3, 5},
		{"too deep, one call", endless, Limits{Completion: 50, Depth: 2}, nil, LimitDepth, "on on on on", 1, 5},
		{"depth beyond all tokens", endless, Limits{Completion: 3, Depth: math.MaxInt}, nil, LimitCompletion, "on on on", 1, 3},
		{"no call left for the face", silent, Limits{Completion: 50, Calls: 1}, reword, LimitCalls, "=", 1, 0},
		{"full context", full{}, Limits{Completion: 50}, reword, LimitCompletion, "", 1, 0},
		{"empty chain", silent, Limits{Completion: 1}, reword, "", "=", 2, 2},
		{"empty chain, one call", silent, Limits{Completion: 1}, nil, "", "=", 2, 2},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := face()
			s := plain(tc.reasoner, f)
			s.Limits, s.Rewrite = tc.limits, tc.rewrite
			s.Gates = []Gate{{Monitor: broken(0), Threshold: .5, Sees: SeesOutput}}
			got := transcripts(t, s, twoPartPrompts(0))[0]
			if got.Partial != tc.partial || got.Private() != tc.private || got.Calls != tc.calls || got.Tokens != tc.tokens {
				t.Errorf("partial %q with %q, %d calls, %d tokens; want %q with %q, %d calls, %d tokens",
					got.Partial, got.Private(), got.Calls, got.Tokens, tc.partial, tc.private, tc.calls, tc.tokens)
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
	good := Gate{Monitor: broken(0), Threshold: .5, Sees: SeesOutput}
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
		{func(s *TwoPart) { g := good; g.Sees = ""; s.Gates = []Gate{g} }, `gate 0: the part that it Sees is "", must be`},
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
