package compose

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"candor/internal/rng"
	"candor/reasoning/cot"
	"candor/reasoning/llm"
	"candor/reasoning/llm/llmtest"
)

// systems returns one system of each kind around a model.
func systems(model llm.Generator, l Limits) []System {
	return []System{
		Direct{model, 1, l},
		Chain{model, 1, l},
		SelfConsistency{model, 4, 1, l},
		TreeOfThoughts{model, 3, 2, 9, ByAgreement, 1, l},
		TreeOfThoughts{model, 2, 2, 7, ByLogProb, 1, l},
		CalculatorLoop{model, 1, l},
	}
}

// Whatever the limits, they hold; the account is right; the tokens are those of the text; and an outcome does not depend
// on the problems beside it.
func TestLimitsHold(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := Limits{
			Completion: rapid.IntRange(1, 70).Draw(t, "completion"),
			Calls:      rapid.IntRange(0, 12).Draw(t, "calls"),
			Tokens:     rapid.IntRange(0, 150).Draw(t, "tokens"),
			Depth:      rapid.IntRange(0, 5).Draw(t, "depth"),
		}
		w := worker{wording: rapid.SampledFrom(cot.Wordings()).Draw(t, "wording"), slip: .4, miscopy: .1, leave: .1}
		src := rng.New(rapid.Uint64().Draw(t, "seed"))
		prompts := make([]Prompt, rapid.IntRange(1, 3).Draw(t, "problems"))
		for i := range prompts {
			prompts[i] = Prompt{ID: fmt.Sprint(i), Text: randomSum(&src, src.Between(1, 5), 5).text(), Seed: src.Uint64()}
		}
		for k := range systems(nil, l) {
			model := w.generator()
			s := systems(model, l)[k]
			outcomes, err := s.Solve(context.Background(), prompts)
			if err != nil {
				t.Fatal(err)
			}
			calls := 0
			for i, o := range outcomes {
				calls += o.Calls
				if l.Calls > 0 && o.Calls > l.Calls || l.Tokens > 0 && o.Tokens > l.Tokens {
					t.Fatalf("%s: %d calls and %d tokens under %+v", s.Name(), o.Calls, o.Tokens, l)
				}
				words := strings.Fields(o.Text)
				if s.Name() == "direct" {
					words = words[1:]
				}
				if len(words) > l.Completion {
					t.Fatalf("%s: %d words under %+v: %q", s.Name(), len(words), l, o.Text)
				}
				var said []string
				for _, token := range o.Written {
					said = append(said, strings.TrimSpace(token.Text))
				}
				if strings.Join(said, " ") != strings.Join(words, " ") {
					t.Fatalf("%s: tokens %q of text %q", s.Name(), said, o.Text)
				}
				stepwise := s.Name() == "tree-of-thoughts" || s.Name() == "calculator"
				if stepwise && l.Depth > 0 && len(o.Trace.Steps) > l.Depth {
					t.Fatalf("%s: %d steps under %+v", s.Name(), len(o.Trace.Steps), l)
				}
				if !o.Trace.Parsed && o.Partial == "" {
					t.Fatalf("%s: %q has no answer, yet is not marked as partial under %+v", s.Name(), o.Text, l)
				}
				alone, err := s.Solve(context.Background(), prompts[i:i+1])
				if err != nil {
					t.Fatal(err)
				}
				if !reflect.DeepEqual(alone[0], o) {
					t.Fatalf("%s: alone %+v, in company %+v", s.Name(), alone[0], o)
				}
			}
			if made := len(model.Requests()); made != 2*calls {
				t.Fatalf("%s: %d calls booked, %d made", s.Name(), calls, made/2)
			}
		}
	})
}

func TestPartialNamesTheLimit(t *testing.T) {
	problem := sum{first: 2, operands: []int{4, 3, 8, 9}, modulus: 5}
	model := worker{wording: cot.Story, slip: .999}.generator()
	tree := TreeOfThoughts{Model: model, Branch: 2, Beam: 1, StepTokens: 9, Score: ByAgreement, Temperature: 1}
	calculator := CalculatorLoop{Model: model, Temperature: 1}
	for _, tc := range []struct {
		name   string
		system func(Limits) System
		limits Limits
		want   Limit
		text   string // what the text begins with
	}{
		{"chain cut", func(l Limits) System { return Chain{model, 1, l} }, Limits{Completion: 6}, LimitCompletion, "start i2 4 . add i3"},
		{"chain over budget", func(l Limits) System { return Chain{model, 1, l} }, Limits{Completion: 60, Tokens: 6}, LimitTokens, "start i2 4 . add i3"},
		{"enough", func(l Limits) System { return Chain{model, 1, l} }, Limits{Completion: 40, Tokens: 40, Calls: 1}, "", "start"},
		{"votes over calls", func(l Limits) System { return SelfConsistency{model, 5, 1, l} }, Limits{Completion: 60, Calls: 3}, LimitCalls, "start"},
		{"votes over tokens", func(l Limits) System { return SelfConsistency{model, 5, 1, l} }, Limits{Completion: 60, Tokens: 100}, LimitTokens, "start"},
		{"tree over calls", func(l Limits) System { tree.Limits = l; return tree }, Limits{Completion: 60, Calls: 4}, LimitCalls, "start i2 4 . add i3 3 makes"},
		{"tree too deep", func(l Limits) System { tree.Limits = l; return tree }, Limits{Completion: 60, Depth: 2}, LimitDepth, "start i2 4 . add i3 3 makes"},
		{"tree as deep as needed", func(l Limits) System { tree.Limits = l; return tree }, Limits{Completion: 60, Depth: 4}, "", "start"},
		{"tree cut", func(l Limits) System { tree.Limits = l; return tree }, Limits{Completion: 13}, LimitCompletion, "start"},
		{"calculator over calls", func(l Limits) System { calculator.Limits = l; return calculator }, Limits{Completion: 60, Calls: 2}, LimitCalls, "start i2 4 . add i3 3 makes 7 leaves 2 . add i4 8 makes 10"},
		{"calculator too deep", func(l Limits) System { calculator.Limits = l; return calculator }, Limits{Completion: 60, Depth: 2}, LimitDepth, "start i2 4 . add i3 3 makes 7 leaves 2 ."},
	} {
		t.Run(tc.name, func(t *testing.T) {
			o := solve(t, tc.system(tc.limits), []Prompt{{Text: problem.text(), Seed: 5}})[0]
			if o.Partial != tc.want || !strings.HasPrefix(o.Text, tc.text) {
				t.Errorf("partial %q with %q, want %q with %q", o.Partial, o.Text, tc.want, tc.text)
			}
		})
	}
}

// What one chain leaves unused of the budget goes to the next: 5 chains of 33 tokens fit in 200 though 60 are reserved each.
func TestUnusedTokensAreGivenBack(t *testing.T) {
	problem := sum{first: 2, operands: []int{4, 3, 8, 9}, modulus: 5}
	model := worker{wording: cot.Story}.generator()
	o := solve(t, SelfConsistency{model, 5, 1, Limits{Completion: 60, Tokens: 200}}, []Prompt{{Text: problem.text()}})[0]
	if o.Calls != 5 || o.Partial != "" || o.Votes[problem.answer()] != 5 {
		t.Errorf("outcome %+v", o)
	}
}

// Prose without steps goes through all systems, and garbage ends them.
func TestTextWithoutSteps(t *testing.T) {
	prose := strings.Fields(strings.Repeat("the old man walks home in the rain . ", 9))
	model := &llmtest.Fake{Next: func(s *llmtest.State) (string, float64) {
		if len(s.Words) == len(prose) {
			return "", 0
		}
		return prose[len(s.Words)], -1
	}}
	for _, s := range systems(model, Limits{Completion: 99})[1:] {
		o := solve(t, s, []Prompt{{Text: "once"}})[0]
		if o.Text != strings.Join(prose, " ") || o.Trace.Parsed || o.Partial != "" {
			t.Errorf("%s: outcome %+v", s.Name(), o)
		}
	}
	silent := &llmtest.Fake{Next: func(*llmtest.State) (string, float64) { return "", 0 }}
	for _, s := range systems(silent, Limits{Completion: 9}) {
		if o := solve(t, s, []Prompt{{Text: "once"}})[0]; o.Tokens != 0 || o.Trace.Parsed {
			t.Errorf("%s: outcome %+v", s.Name(), o)
		}
	}
}

// full is a model whose context is full: it can write nothing, and says that it was cut.
type full struct{}

func (full) Generate(_ context.Context, requests []llm.Request) ([]llm.Completion, error) {
	out := make([]llm.Completion, len(requests))
	for i := range out {
		out[i] = llm.Completion{Finish: llm.FinishLength, PromptTokens: 1}
	}
	return out, nil
}

func TestFullContextEnds(t *testing.T) {
	for _, s := range systems(full{}, Limits{Completion: 9}) {
		if o := solve(t, s, []Prompt{{Text: "once"}})[0]; o.Partial != LimitCompletion {
			t.Errorf("%s: partial is %q, want %q", s.Name(), o.Partial, LimitCompletion)
		}
	}
}

// mute hides the tokens of a model, as some endpoints do.
type mute struct{ llm.Generator }

func (m mute) Generate(ctx context.Context, requests []llm.Request) ([]llm.Completion, error) {
	out, err := m.Generator.Generate(ctx, requests)
	for i := range out {
		out[i].Tokens = nil
	}
	return out, err
}

func TestModelWithoutProbabilities(t *testing.T) {
	problem := sum{first: 2, operands: []int{4, 3, 8}, modulus: 5}
	for _, s := range systems(mute{worker{wording: cot.Plain, slip: .2}.generator()}, Limits{Completion: 99}) {
		outcomes, err := s.Solve(t.Context(), []Prompt{{Text: problem.text()}})
		if tree, ok := s.(TreeOfThoughts); ok && tree.Score == ByLogProb {
			if err == nil || !strings.Contains(err.Error(), `choose the score "agreement"`) {
				t.Errorf("search by log-probability without any: error %v", err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", s.Name(), err)
		} else if s.Name() != "direct" && !outcomes[0].Trace.Parsed {
			t.Errorf("%s: outcome %+v", s.Name(), outcomes[0])
		}
	}
}

func TestBadSettings(t *testing.T) {
	model := worker{wording: cot.Plain}.generator()
	l := Limits{Completion: 9}
	for _, tc := range []struct {
		system System
		want   string
	}{
		{Chain{Model: model}, "chain: Limits.Completion is 0, must be at least 1"},
		{Chain{Limits: l}, "Model is nil"},
		{Direct{Model: model, Temperature: -1, Limits: l}, "Temperature is -1"},
		{SelfConsistency{Model: model, Limits: l}, "N is 0, must be at least 1"},
		{TreeOfThoughts{Model: model, Beam: 1, StepTokens: 9, Score: ByLogProb, Limits: l}, "Branch is 0"},
		{TreeOfThoughts{Model: model, Branch: 1, Beam: 1, StepTokens: 9, Score: "taste", Limits: l}, `must be "agreement" or "logprob"`},
		{CalculatorLoop{Model: model, Limits: Limits{Completion: 1, Depth: -1}}, "0 (no bound) or more"},
	} {
		if _, err := tc.system.Solve(t.Context(), nil); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("error %v, want one with %q", err, tc.want)
		}
	}
}

func TestModelErrorsAreWrapped(t *testing.T) {
	problem := sum{first: 2, operands: []int{4, 3}, modulus: 5}
	model := worker{wording: cot.Plain}.generator()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, s := range systems(model, Limits{Completion: 99}) {
		_, err := s.Solve(ctx, []Prompt{{ID: "p", Text: problem.text()}})
		if !errors.Is(err, context.Canceled) || !strings.HasPrefix(err.Error(), s.Name()+", round 1: ") {
			t.Errorf("%s: error %v, want one that names the system and wraps context.Canceled", s.Name(), err)
		}
		if outcomes, err := s.Solve(ctx, nil); err != nil || len(outcomes) != 0 {
			t.Errorf("%s: no prompts gave %v, %v", s.Name(), outcomes, err)
		}
	}
}
