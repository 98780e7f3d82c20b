package compose

import (
	"context"
	"errors"
	"fmt"
	"time"

	"candor/reasoning/llm"
)

// Agent pursues a goal with tools, in turns. In each turn the system reads the goal, what was done so far and what is left of the
// budgets, and releases either an answer in words, which ends the work, or calls of tools: the actions. It may always decline by
// answering.
//
// Before an action a reviewer, who has not seen the conversation, decides on the goal and the action alone. Then Record is told
// what was proposed and decided, and only then is anything done, as the reviewer approved or modified it. A reviewer who fails in
// any way has rejected.
//
// Every limit is a hard stop. A turn, a review and a call reserve what they may take at most before they begin, so that no limit is
// passed so long as nobody takes more than that.
type Agent struct {
	// System proposes actions and answers; it gets the tools by [Prompt.Ask].
	System Parts
	Tools  Tools
	// Reviewer reviews each action.
	Reviewer Reviewer
	// Chain is what reviewers see of the chain behind an action: [SeesShown], [SeesPrivate], or "" for nothing. The reasons of those
	// who have seen the private chain are recorded, but the system is not told them: its face could repeat them.
	Chain  Part
	Limits AgentLimits
	Prices Prices
	// TurnTokens and ReviewTokens are the most tokens that one turn of the system, all of its models together, and one review may
	// sample. They are what is reserved; an Agent cannot hold others to them.
	TurnTokens, ReviewTokens int
	// CallTime and ReviewTime bound one call of a tool, and one review; 0 means a minute.
	CallTime, ReviewTime time.Duration
	// ResultBytes is the most that the system reads of one result; 0 means 16384.
	ResultBytes int
	// Clock is needed only to bound or to measure time.
	Clock func() time.Time
	// Record is told what happens, one event after the other. If it returns an error, the agent does nothing more.
	Record func(ctx context.Context, e Event) error
}

// Tools are what an agent acts with. They must be safe for concurrent use.
type Tools interface {
	// List returns the tools that may be called. Their names are distinct.
	List(ctx context.Context) ([]llm.ToolSpec, error)
	// Call calls one. That the tool itself reports a failure is a result with isErr; an error means that it is not known what the
	// call did, if anything. It must return soon after its context ends.
	Call(ctx context.Context, call llm.ToolCall) (result string, isErr bool, err error)
}

// AgentLimits bound one run of an [Agent], its sub-goals included. All but Steps and Depth may be 0 for no bound.
type AgentLimits struct {
	// Steps is the most turns of the system; at least 1.
	Steps int
	// Depth is how deep sub-goals may be nested; 0 offers none. See [Subgoal].
	Depth int
	// Calls is the most calls of tools that are made, and Tokens the most tokens that are sampled, reviews included.
	Calls, Tokens int
	// Time is how long a run may take.
	Time time.Duration
	// Cost is the most that tokens and calls may cost, in the unit of the prices.
	Cost float64
}

// Prices are what things cost, in any one unit.
type Prices struct{ Token, Call float64 }

// The limits of an agent, beside those that it shares with other systems.
const (
	LimitSteps Limit = "steps"
	LimitTime  Limit = "time"
	LimitCost  Limit = "cost"
)

// Subgoal is the tool by which the system may set itself a goal of its own, where Limits.Depth allows that: another agent pursues
// it with the same tools, reviewer and budgets, knowing nothing of the conversation, and its answer is the result.
const Subgoal = "pursue_subgoal"

// Ending says how a run ended.
type Ending string

// How a run can end.
const (
	EndAnswered  Ending = "answered"  // with words that are released; they may decline
	EndBlocked   Ending = "blocked"   // a gate has not released what the system wrote
	EndEscalated Ending = "escalated" // a reviewer wants a person to decide on the last of the actions
	EndPartial   Ending = "partial"   // at Result.Limit
	EndFailed    Ending = "failed"    // with an error
)

// Result is what became of a run.
type Result struct {
	// Answer is the released answer; "" unless the run ended in one.
	Answer string
	Ending Ending
	// Limit is the limit that ended it early; "" if none did.
	Limit Limit
	// Actions are those that were decided on, in order.
	Actions []Action
	// Transcripts are what the system wrote, in order. They are not for users.
	Transcripts []Transcript
	Spent       Spent
}

// Spent is what a run took. A turn or a review that failed counts with all that was reserved for it.
type Spent struct {
	Steps, Calls, Tokens int
	Cost                 float64
	Time                 time.Duration
}

// Action is one call that the system wanted made.
type Action struct {
	// N counts the actions of a run from 0, and Turn is the turn that it is from.
	N, Turn int
	// Depth is 0 for actions on the goal itself, 1 for those on a sub-goal of it, and so on.
	Depth int
	Goal  string
	// Chain is what the reviewer saw of the chain.
	Chain string
	// Call is what was proposed.
	Call     llm.ToolCall
	Decision Decision
	// Made is what is to be called, nil for nothing: Call itself, or what the reviewer put in its place.
	Made *llm.ToolCall
	// Done tells whether it was called. Result is what came back then, without marks and at most ResultBytes and a remark long;
	// IsErr that the tool reported a failure; Err why it is not known what the call did, or why it was not made in the end. Err may
	// have texts of the conversation in it.
	Done   bool
	Result string
	IsErr  bool
	Err    string
	// Reviewed and Took are how long the review and the call took.
	Reviewed, Took time.Duration
}

// Kind is a kind of [Event].
type Kind string

// The kinds of events.
const (
	TurnTaken     Kind = "turn"    // the system has written something: nobody has used it yet
	ActionDecided Kind = "decided" // nothing has been done yet
	ActionDone    Kind = "done"    // it has a result, or a limit was met before it was begun
)

// Event is something that an agent records.
type Event struct {
	Kind Kind
	// Transcript is what a turn gave; nil for other events. It must not be changed.
	Transcript *Transcript
	// Action is what was decided or done; nil for a turn.
	Action *Action
}

// check validates the settings.
func (a *Agent) check() error {
	errs := []error{
		atLeast("Limits.Steps", a.Limits.Steps, 1), atLeast("Limits.Depth", a.Limits.Depth, 0), atLeast("Limits.Calls", a.Limits.Calls, 0),
		atLeast("Limits.Tokens", a.Limits.Tokens, 0), atLeast("TurnTokens", a.TurnTokens, 1), atLeast("ReviewTokens", a.ReviewTokens, 0),
		atLeast("ResultBytes", a.ResultBytes, 0),
	}
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if a.System == nil || a.Tools == nil || a.Reviewer == nil || a.Record == nil {
		bad("System, Tools, Reviewer and Record must all be set")
	}
	if a.Chain != "" && a.Chain != SeesShown && a.Chain != SeesPrivate {
		bad("Chain is %q, must be %q, %q or \"\"", a.Chain, SeesShown, SeesPrivate)
	}
	if a.Limits.Time < 0 || a.CallTime < 0 || a.ReviewTime < 0 {
		bad("Limits.Time, CallTime and ReviewTime are %v, %v and %v, must not be negative", a.Limits.Time, a.CallTime, a.ReviewTime)
	}
	if a.Limits.Time > 0 && a.Clock == nil {
		bad("Limits.Time is set, but there is no Clock to measure it with")
	}
	// negated, so that not-a-number is refused too
	if !(a.Limits.Cost >= 0 && a.Prices.Token >= 0 && a.Prices.Call >= 0) {
		bad("Limits.Cost and Prices are %g and %+v, must be 0 or more", a.Limits.Cost, a.Prices)
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("agent: %w", err)
	}
	return nil
}

// account is what a run may take and has taken.
type account struct {
	limits AgentLimits
	prices Prices
	clock  func() time.Time
	began  time.Time
	spent  Spent
}

func (c *account) now() time.Time {
	if c.clock == nil {
		return time.Time{}
	}
	return c.clock()
}

// cost of all so far and of what may come. It is computed from whole numbers each time, so that no error adds up.
func (c *account) cost(calls, tokens int) float64 {
	return float64(c.spent.Calls+calls)*c.prices.Call + float64(c.spent.Tokens+tokens)*c.prices.Token
}

// forbids returns the limit that forbids to begin what may take so much; "" if none does.
func (c *account) forbids(steps, calls, tokens int) Limit {
	l, s := c.limits, &c.spent
	switch {
	case s.Steps+steps > l.Steps:
		return LimitSteps
	case l.Calls > 0 && s.Calls+calls > l.Calls:
		return LimitCalls
	case l.Tokens > 0 && s.Tokens+tokens > l.Tokens:
		return LimitTokens
	case l.Cost > 0 && c.cost(calls, tokens) > l.Cost:
		return LimitCost
	case l.Time > 0 && c.left() <= 0:
		return LimitTime
	}
	return ""
}

// left is how much of the time is left.
func (c *account) left() time.Duration { return c.limits.Time - c.now().Sub(c.began) }

// errTime is the cause that ends a context when the time of a run is over.
var errTime = errors.New("the time of the run is over")

// bound ends a context after a time, and at the end of the run's own time with the cause errTime.
func (c *account) bound(ctx context.Context, most time.Duration) (context.Context, context.CancelFunc) {
	if left := c.left(); c.limits.Time > 0 && (most <= 0 || left < most) {
		return context.WithTimeoutCause(ctx, left, errTime)
	}
	if most <= 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, most)
}

// total is what was spent until now.
func (c *account) total() Spent {
	s := c.spent
	s.Cost, s.Time = c.cost(0, 0), c.now().Sub(c.began)
	return s
}
