package compose

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"candor/reasoning/llm"
)

func TestAgentLimits(t *testing.T) {
	one := func(n int) []llm.ToolCall { return []llm.ToolCall{look(fmt.Sprintf(`{"n":%d}`, n))} }
	busy := []any{one(1), one(2), one(3), one(4), "done"}
	for _, tc := range []struct {
		name   string
		limits AgentLimits
		prices Prices
		tick   time.Duration // that a turn takes
		limit  Limit
		steps  int
		calls  int
	}{
		{"enough", AgentLimits{Steps: 5, Calls: 4, Tokens: 208, Cost: 8 + 2.08}, Prices{.01, 2}, 0, "", 5, 4},
		{"steps", AgentLimits{Steps: 3}, Prices{}, 0, LimitSteps, 3, 3},
		{"tokens for a turn", AgentLimits{Steps: 9, Tokens: 173}, Prices{}, 0, LimitTokens, 2, 2},
		{"a token less", AgentLimits{Steps: 9, Tokens: 149}, Prices{}, 0, LimitTokens, 0, 0},
		{"money for a turn", AgentLimits{Steps: 9, Cost: 5.7}, Prices{.01, 2}, 0, LimitCost, 2, 2},
		{"no money for a turn", AgentLimits{Steps: 9, Cost: 1.49}, Prices{.01, 2}, 0, LimitCost, 0, 0},
		{"time", AgentLimits{Steps: 9, Time: time.Hour}, Prices{}, 25 * time.Minute, LimitTime, 3, 2},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := &bench{}
			now, model := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), turns(busy...)
			a, _ := agent(t, b, func(r llm.Request) llm.Completion { now = now.Add(tc.tick); return model(r) })
			a.Limits, a.Prices = tc.limits, tc.prices
			a.Clock = func() time.Time { return now }
			r := pursue(t, a)
			ending := EndPartial
			if tc.limit == "" {
				ending = EndAnswered
			}
			if r.Ending != ending || r.Limit != tc.limit || r.Spent.Steps != tc.steps || len(b.calls()) != tc.calls || r.Spent.Calls != tc.calls || (r.Answer != "") != (tc.limit == "") {
				t.Errorf("result %s %q %q, spent %+v, made %q", r.Ending, r.Limit, r.Answer, r.Spent, b.calls())
			}
		})
	}
}

// Once no call can be paid any more the system is asked for words, and one that had no turn left for a call is stopped.
func TestAgentWithoutCallsLeft(t *testing.T) {
	b := &bench{}
	a, _ := agent(t, b, func(r llm.Request) llm.Completion {
		if r.ToolChoice == llm.ToolNone {
			return llm.Completion{Text: "what I have", Finish: llm.FinishStop}
		}
		return turns([]llm.ToolCall{look("{}")})(r)
	})
	a.Limits.Calls = 2
	if r := pursue(t, a); r.Ending != EndAnswered || r.Answer != "what I have" || len(b.calls()) != 2 {
		t.Errorf("result %+v", r)
	}
	b = &bench{}
	a, _ = agent(t, b, turns([]llm.ToolCall{look(`{"n":1}`), look(`{"n":2}`), look(`{"n":3}`)}))
	a.Limits.Calls = 2
	if r := pursue(t, a); r.Ending != EndPartial || r.Limit != LimitCalls || len(b.calls()) != 2 {
		t.Errorf("result %+v", r)
	}
}

// The time of a run ends a system, a reviewer and a tool that hang.
func TestAgentTimeEndsWhatHangs(t *testing.T) {
	hang := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	for _, what := range []string{"list", "system", "reviewer", "tool"} {
		b := &bench{}
		a, _ := agent(t, b, turns([]llm.ToolCall{look("{}")}))
		a.Limits.Time, a.Clock = 30*time.Millisecond, time.Now
		switch what {
		case "list":
			a.Tools = hangingList{b}
		case "system":
			a.System = hangingSystem{}
		case "reviewer":
			a.Reviewer = judgeBy(func(ctx context.Context, _ Proposed) (Decision, error) { return Decision{Ruling: Approve}, hang(ctx) })
		case "tool":
			b.do = func(ctx context.Context, _ llm.ToolCall) (string, bool, error) { return "", false, hang(ctx) }
		}
		if r := pursue(t, a); r.Ending != EndPartial || r.Limit != LimitTime {
			t.Errorf("%s: %+v", what, r)
		}
	}
}

type hangingList struct{ *bench }

func (hangingList) List(ctx context.Context) ([]llm.ToolSpec, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

type hangingSystem struct{}

func (hangingSystem) Name() string { return "hanging" }
func (hangingSystem) Solve(ctx context.Context, _ []Prompt) ([]Transcript, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// A run that nobody waits for any more ends, and what was done by then is recorded.
func TestAgentIsCancelled(t *testing.T) {
	b := &bench{}
	ctx, cancel := context.WithCancel(t.Context())
	b.do = func(context.Context, llm.ToolCall) (string, bool, error) {
		cancel()
		<-ctx.Done()
		return "", false, ctx.Err()
	}
	a, events := agent(t, b, turns([]llm.ToolCall{look("{}")}))
	record := a.Record
	a.Record = func(ctx context.Context, e Event) error { return errors.Join(ctx.Err(), record(ctx, e)) }
	r, err := a.Run(ctx, goal())
	if !errors.Is(err, context.Canceled) || r.Ending != EndFailed || len(*events) != 3 || (*events)[2].Kind != ActionDone {
		t.Errorf("%+v, %v after %d events", r, err, len(*events))
	}
}

func TestSubgoals(t *testing.T) {
	sub := func(goal string) []llm.ToolCall {
		return []llm.ToolCall{{Name: Subgoal, Arguments: `{"goal":"` + goal + `"}`}}
	}
	// the model of one who has goals by their text
	model := func(r llm.Request) llm.Completion {
		last := r.Messages[len(r.Messages)-1]
		offered := slices.ContainsFunc(r.Tools, func(s llm.ToolSpec) bool { return s.Name == Subgoal })
		switch {
		case last.Role == llm.Tool:
			return llm.Completion{Text: "heard: " + last.Text, Finish: llm.FinishStop, CompletionTokens: 10}
		case strings.HasPrefix(last.Text, "look"):
			return turns([]llm.ToolCall{look("{}")})(r)
		case strings.HasPrefix(last.Text, "empty"):
			return turns(sub(" "))(r)
		case offered:
			return turns(sub("deeper"))(r)
		}
		return llm.Completion{Text: fmt.Sprintf("the bottom, after %d messages", len(r.Messages)), Finish: llm.FinishStop, CompletionTokens: 10}
	}
	b := &bench{}
	a, events := agent(t, b, model)
	a.Limits.Depth = 2
	var goals []string
	a.Reviewer = judgeBy(func(_ context.Context, p Proposed) (Decision, error) {
		goals = append(goals, p.Goal)
		return Decision{Ruling: Approve}, nil
	})
	r := pursue(t, a)
	if r.Ending != EndAnswered || strings.Count(r.Answer, "heard: ") != 2 || !strings.Contains(r.Answer, "the bottom, after 2 messages") || r.Spent.Steps != 5 || r.Spent.Calls != 2 {
		t.Errorf("result %+v", r)
	}
	if len(goals) != 2 || goals[0] != "find the key" || !strings.HasPrefix(goals[1], "find the key\n\nAs a part of that") || !strings.HasSuffix(goals[1], ": deeper") {
		t.Errorf("goals %q", goals)
	}
	depths := ""
	for _, e := range *events {
		if e.Action != nil {
			depths += fmt.Sprintf("%s %d;", e.Kind, e.Action.Depth)
		}
	}
	if want := "decided 0;decided 1;done 1;done 0;"; depths != want {
		t.Errorf("events %s, want %s", depths, want)
	}

	a, _ = agent(t, b, model)
	a.Limits.Depth, a.Limits.Steps = 2, 2
	if r := pursue(t, a); r.Ending != EndPartial || r.Limit != LimitSteps || r.Answer != "" {
		t.Errorf("the budget is common: %+v", r)
	}

	a, _ = agent(t, b, turns(sub("look"), []llm.ToolCall{look("{}")}))
	a.Limits.Depth = 1
	a.Reviewer = judgeBy(func(_ context.Context, p Proposed) (Decision, error) {
		if p.Call.Name == "look" {
			return Decision{Ruling: Escalate}, nil
		}
		return Decision{Ruling: Approve}, nil
	})
	if r := pursue(t, a); r.Ending != EndEscalated || len(r.Actions) != 2 || len(b.calls()) != 0 {
		t.Errorf("a sub-goal escalates: %+v", r)
	}

	a, events = agent(t, b, turns(sub("look"), []llm.ToolCall{look("{}")}))
	a.Limits.Depth, a.Limits.Time, a.Clock = 1, 300*time.Millisecond, time.Now
	a.Tools = &bench{do: func(ctx context.Context, _ llm.ToolCall) (string, bool, error) {
		<-ctx.Done()
		return "", false, ctx.Err()
	}}
	if r := pursue(t, a); r.Ending != EndPartial || r.Limit != LimitTime || !r.Actions[0].Done || r.Actions[0].Err == "" || (*events)[len(*events)-1].Action.N != 0 {
		t.Errorf("a sub-goal takes too long: %+v", r)
	}

	a, events = agent(t, b, turns(sub("look"), []llm.ToolCall{look("{}")}))
	a.Limits.Depth = 1
	full, record := errors.New("the disk is full"), a.Record
	a.Record = func(ctx context.Context, e Event) error {
		_ = record(ctx, e)
		if len(*events) > 3 {
			return full
		}
		return nil
	}
	if _, err := a.Run(t.Context(), goal()); !errors.Is(err, full) || len(*events) != 4 {
		t.Errorf("a sub-goal cannot be recorded: %v after %d events", err, len(*events))
	}

	a, _ = agent(t, b, turns(sub(" "), "done"))
	a.Limits.Depth = 1
	if r := pursue(t, a); r.Ending != EndAnswered || !r.Actions[0].IsErr {
		t.Errorf("a sub-goal without words: %+v", r)
	}
}

// Whatever the model, the reviewer and the tools do, no budget is passed so long as nobody takes more than was reserved.
func TestAgentNeverPassesItsLimits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limits := AgentLimits{
			Steps: rapid.IntRange(1, 6).Draw(t, "steps"), Depth: rapid.IntRange(0, 2).Draw(t, "depth"), Calls: rapid.IntRange(0, 5).Draw(t, "calls"),
			Tokens: rapid.IntRange(0, 900).Draw(t, "tokens"), Cost: rapid.Float64Range(0, 20).Draw(t, "cost"),
		}
		prices := Prices{Token: rapid.Float64Range(0, .1).Draw(t, "token"), Call: rapid.Float64Range(0, 3).Draw(t, "call")}
		b := &bench{do: func(context.Context, llm.ToolCall) (string, bool, error) {
			switch rapid.IntRange(0, 3).Draw(t, "tool") {
			case 0:
				return "", false, errors.New("broken")
			case 1:
				return "no", true, nil
			}
			return "yes", false, nil
		}}
		tokens := 0
		model := func(r llm.Request) llm.Completion {
			c := llm.Completion{Finish: llm.FinishStop, Text: "done", CompletionTokens: rapid.IntRange(0, 150).Draw(t, "written")}
			tokens += c.CompletionTokens
			if r.ToolChoice == llm.ToolNone {
				return c
			}
			for range rapid.IntRange(0, 4).Draw(t, "asks") {
				c.Finish = llm.FinishTools
				c.Calls = append(c.Calls, rapid.SampledFrom([]llm.ToolCall{
					look("{}"), {Name: "send"}, {Name: Subgoal, Arguments: `{"goal":"more"}`}, {Name: "rm"}, look("x"),
				}).Draw(t, "call"))
			}
			return c
		}
		approved, rejected := 0, 0
		a := &Agent{
			System: talk(model, nil), Tools: b, Limits: limits, Prices: prices, TurnTokens: 150, ReviewTokens: 7,
			Reviewer: judgeBy(func(context.Context, Proposed) (Decision, error) {
				d := Decision{Ruling: rapid.SampledFrom([]Ruling{Approve, Approve, Approve, Reject, Modify, Escalate, "?"}).Draw(t, "ruling"), Tokens: rapid.IntRange(0, 7).Draw(t, "read")}
				tokens += d.Tokens
				if d.Ruling == Modify {
					d.Call = &llm.ToolCall{Name: "send"}
				}
				if d.Ruling == Approve || d.Ruling == Modify {
					approved++
				} else {
					rejected++
				}
				return d, nil
			}),
		}
		a.Record = func(_ context.Context, e Event) error { return nil }
		r, err := a.Run(context.Background(), Prompt{Text: "go", Seed: 1})
		if err != nil {
			t.Fatal(err)
		}
		s := r.Spent
		calls := 0
		for _, action := range r.Actions {
			if action.Done {
				calls++
			}
		}
		switch {
		case s.Steps > limits.Steps, limits.Calls > 0 && s.Calls > limits.Calls, limits.Tokens > 0 && tokens > limits.Tokens, limits.Cost > 0 && s.Cost > limits.Cost:
			t.Fatalf("spent %+v of %+v", s, limits)
		case s.Calls != calls || s.Tokens != tokens:
			t.Fatalf("spent %+v, but %d calls were made and %d tokens written", s, calls, tokens)
		case len(b.calls()) > approved:
			t.Fatalf("%d calls were made, %d approved", len(b.calls()), approved)
		case (r.Ending == EndPartial) != (r.Limit != "") || (r.Answer != "") != (r.Ending == EndAnswered):
			t.Fatalf("result %+v", r)
		}
	})
}

func TestAgentSettings(t *testing.T) {
	for _, tc := range []struct {
		change func(*Agent)
		want   string
	}{
		{func(a *Agent) { a.Limits.Steps = 0 }, "Limits.Steps is 0, must be at least 1"},
		{func(a *Agent) { a.Reviewer = nil }, "must all be set"},
		{func(a *Agent) { a.Record = nil }, "must all be set"},
		{func(a *Agent) { a.TurnTokens = 0 }, "TurnTokens is 0"},
		{func(a *Agent) { a.Chain = "all" }, `Chain is "all"`},
		{func(a *Agent) { a.Limits.Time = time.Second }, "no Clock"},
		{func(a *Agent) { a.Limits.Time = -1 }, "must not be negative"},
		{func(a *Agent) { a.Prices.Call = -1 }, "must be 0 or more"},
		{func(a *Agent) { a.Tools = hangingList{}; a.CallTime = time.Millisecond }, "listing the tools"},
	} {
		a, events := agent(t, &bench{}, turns("done"))
		tc.change(a)
		if r, err := a.Run(t.Context(), goal()); err == nil || !strings.Contains(err.Error(), tc.want) || r.Ending != EndFailed || len(*events) > 0 {
			t.Errorf("error %v, want one with %q", err, tc.want)
		}
	}
}
