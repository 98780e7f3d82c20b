package gateway_test

import (
	"context"
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"

	"candor/reasoning/compose"
	"candor/reasoning/llm"
	"candor/serve/gateway"
	"candor/serve/ledger"
	"candor/serve/record"
)

// shop are tools of which one buys. It remembers what was in the ledger when it was called.
type shop struct {
	s *stack

	mu     sync.Mutex
	bought []string
	before []record.StageOf // the last stage in the ledger at each call
}

func (*shop) List(context.Context) ([]llm.ToolSpec, error) {
	return []llm.ToolSpec{{Name: "buy", Description: "buys something", Schema: json.RawMessage(`{"type":"object"}`)}}, nil
}

func (p *shop) Call(ctx context.Context, c llm.ToolCall) (string, bool, error) {
	begins, err := p.s.reader.Begins(ctx, 0, 1)
	if err != nil {
		return "", false, err
	}
	tr, err := p.s.gate.Trace(ctx, begins[0].Trace)
	if err != nil {
		return "", false, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.bought = append(p.bought, c.Arguments)
	p.before = append(p.before, tr.Stages[len(tr.Stages)-1])
	return "bought", false, nil
}

// reviews is a reviewer of a function.
type reviews func(compose.Proposed) compose.Decision

func (r reviews) Review(_ context.Context, p compose.Proposed) (compose.Decision, error) {
	return r(p), nil
}

// buyer wants to buy milk and then an elephant, and says how it went.
func buyer() llm.Generator {
	return generator(func(_ context.Context, r llm.Request) (llm.Completion, error) {
		call := func(what string) (llm.Completion, error) {
			return llm.Completion{Calls: []llm.ToolCall{{ID: "x", Name: "buy", Arguments: `{"what":"` + what + `"}`}}, Finish: llm.FinishTools, CompletionTokens: 5}, nil
		}
		results := 0
		for _, m := range r.Messages {
			if m.Role == llm.Tool {
				results++
			}
		}
		switch results {
		case 0:
			return call("milk")
		case 1:
			return call("elephant")
		}
		return llm.Completion{Text: "milk is here", Finish: llm.FinishStop, CompletionTokens: 3}, nil
	})
}

func newShop(t *testing.T, review reviews, change func(*compose.Agent), p parts) (*stack, *shop) {
	p.face = buyer()
	tools := &shop{}
	p.change = func(s *gateway.System) {
		a := compose.Agent{System: s.Main, Tools: tools, Reviewer: review, Chain: compose.SeesPrivate, Limits: compose.AgentLimits{Steps: 5, Calls: 5}, TurnTokens: 2000, ReviewTokens: 10, Clock: time.Now}
		if change != nil {
			change(&a)
		}
		s.Main, s.Tools, s.Agent = nil, false, &gateway.Agent{Agent: a}
	}
	s := newStack(t, p)
	tools.s = s
	return s, tools
}

func approveMilk(p compose.Proposed) compose.Decision {
	if strings.Contains(p.Call.Arguments, "elephant") {
		return compose.Decision{Ruling: compose.Reject, Why: "too large"}
	}
	return compose.Decision{Ruling: compose.Approve, Why: "fine"}
}

func TestEveryActionIsReviewedAndOnRecordBeforeItIsDone(t *testing.T) {
	s, tools := newShop(t, approveMilk, nil, parts{})
	g := s.ask("")
	tr := s.sound(g)[0]
	if g.text != "milk is here" || tr.Outcome != record.Released {
		t.Errorf("outcome %s, the client got %+v", tr.Outcome, g)
	}
	if len(tools.bought) != 1 || !strings.Contains(tools.bought[0], "milk") {
		t.Errorf("bought %v, want milk alone", tools.bought)
	}
	if b := tools.before[0]; b.What != "action" || b.Decision != "approve" || b.Action.Call.Name != "buy" || b.Action.Goal != "what is it?" || b.Action.Chain != secretChain {
		t.Errorf("when milk was bought the last entry was %+v, %+v", b.Stage, b.Action)
	}
	var what []string
	for _, st := range tr.Stages {
		what = append(what, strings.TrimSpace(st.What+" "+st.Decision))
	}
	if got := strings.Join(what, ", "); got != "try, action approve, result approve, try, action reject, try" {
		t.Errorf("the ledger has %s", got)
	}
}

func TestAnAgentStops(t *testing.T) {
	escalate := func(compose.Proposed) compose.Decision {
		return compose.Decision{Ruling: compose.Escalate, Why: "ask a person"}
	}
	for _, tc := range []struct {
		name    string
		review  reviews
		change  func(*compose.Agent)
		parts   parts
		outcome record.Outcome
		bought  int
	}{
		{"escalated", escalate, nil, parts{}, record.Blocked, 0},
		{"out of steps", approveMilk, func(a *compose.Agent) { a.Limits.Steps = 1 }, parts{}, record.Failed, 1},
		{"blocked by a monitor", approveMilk, nil, parts{monitor: scores(1)}, record.Blocked, 0},
		{"reviewer panics", func(compose.Proposed) compose.Decision { panic("no") }, nil, parts{}, record.Released, 0},
		{"ledger away", approveMilk, nil, parts{ledger: func(l *ledger.Ledger) gateway.Ledger {
			return breaking{l, func(e []ledger.Entry) bool {
				return e[0].Kind == ledger.KindStage && strings.Contains(string(e[0].Body), `"action"`)
			}}
		}}, record.Failed, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s, tools := newShop(t, tc.review, tc.change, tc.parts)
			g := s.ask("")
			tr := s.sound(g)[0]
			if tr.Outcome != tc.outcome || len(tools.bought) != tc.bought {
				t.Errorf("outcome %s (%s), bought %v; want %s and %d", tr.Outcome, tr.Reason, tools.bought, tc.outcome, tc.bought)
			}
			if (g.text != "") != (tc.outcome == record.Released) {
				t.Errorf("the client got %+v", g)
			}
		})
	}
}

// An escalated action waits for a person, and is done only once that person's decision is on record.
func TestAPersonDecidesOnAnEscalatedAction(t *testing.T) {
	escalate := func(p compose.Proposed) compose.Decision {
		if strings.Contains(p.Call.Arguments, "milk") {
			return compose.Decision{Ruling: compose.Escalate, Why: "is it fresh?"}
		}
		return compose.Decision{Ruling: compose.Reject, Why: "no"}
	}
	for _, tc := range []struct {
		name    string
		decide  bool
		approve bool
		bought  int
		outcome record.Outcome
	}{{"approved", true, true, 1, record.Released}, {"rejected", true, false, 0, record.Released}, {"nobody comes", false, false, 0, record.Blocked}} {
		t.Run(tc.name, func(t *testing.T) {
			p := parts{}
			s, tools := newShopWith(t, escalate, p, 200*time.Millisecond)
			if tc.decide {
				s.gate.Systems[0].HoldWait = 10 * time.Second
				go func() {
					for t.Context().Err() == nil {
						held, _ := s.gate.Held(t.Context())
						for _, h := range held {
							if strings.Contains(h.ID, "-action-1") {
								_ = s.gate.Decide(t.Context(), h.ID, record.Review{Approve: tc.approve, Who: "ann", Why: "looked"})
							}
						}
						time.Sleep(5 * time.Millisecond)
					}
				}()
			}
			g := s.ask("")
			traces := s.sound(g)
			if traces[0].Outcome != tc.outcome || len(tools.bought) != tc.bought {
				t.Errorf("outcome %s (%s), bought %v", traces[0].Outcome, traces[0].Reason, tools.bought)
			}
			if len(traces) != 2 || traces[1].Review == nil || (traces[1].Review.Who == "ann") != tc.decide || traces[1].Stages[0].Action.Call.Name != "buy" {
				t.Errorf("the action's own trace: %+v", traces[1:])
			}
		})
	}
}

func newShopWith(t *testing.T, review reviews, p parts, wait time.Duration) (*stack, *shop) {
	s, tools := newShop(t, review, nil, p)
	s.gate.Systems[0].HoldWait = wait
	return s, tools
}
