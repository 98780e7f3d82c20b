package compose

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"candor/internal/rng"
	"candor/reasoning/llm"
)

// act takes one call through review, record and the tool. It returns what the system is told, or leaves an ending in the result.
func (r *run) act(ctx context.Context, t *task, from *Transcript, call llm.ToolCall) (string, error) {
	action := Action{N: len(r.result.Actions), Turn: r.spent.Steps - 1, Depth: t.depth, Goal: t.goal, Call: call}
	// what is reviewed and made may be tidied; what is recorded as proposed is not
	tidy := call
	if fault := callFault(&tidy, t.tools); fault != "" {
		action.Decision = failed(0, "%s", fault)
		return "Not done: " + fault, r.decided(ctx, &action)
	}
	if r.stopped(r.forbids(0, 1, r.ReviewTokens)) {
		return "", nil
	}
	switch r.Chain {
	case SeesPrivate:
		action.Chain = from.Private()
	case SeesShown:
		action.Chain = from.Shown()
	}
	action.Decision, action.Made = r.review(ctx, t, &action, tidy)
	if err := ctx.Err(); err != nil {
		return "", err
	}
	if err := r.decided(ctx, &action); err != nil {
		return "", err
	}
	switch d := action.Decision; d.Ruling {
	case Escalate:
		r.result.Ending = EndEscalated
		return "", nil
	case Reject:
		if d.Failed != "" {
			return "Not done: the reviewer could not decide on it.", nil
		}
		return "Not done: the reviewer rejected it" + r.why(d) + ".", nil
	}
	return r.do(ctx, t, &action)
}

// decided keeps an action and records it before anything is done.
func (r *run) decided(ctx context.Context, action *Action) error {
	r.result.Actions = append(r.result.Actions, *action)
	return r.record(ctx, Event{Kind: ActionDecided, Action: action})
}

// why returns a reviewer's reasons as the end of a sentence, if the system may know them.
func (r *run) why(d Decision) string {
	if d.Why == "" || r.Chain == SeesPrivate {
		return ""
	}
	return ": " + strings.TrimRight(d.Why, ". \n")
}

// review has an action reviewed. Whatever the reviewer does, the decision is one, and none that lets anything happen by accident.
func (r *run) review(ctx context.Context, t *task, action *Action, call llm.ToolCall) (Decision, *llm.ToolCall) {
	src := t.src.SplitN("review", action.N)
	proposed := Proposed{
		ID: t.id + "/action " + strconv.Itoa(action.N), Goal: t.goal, Tools: t.tools, Chain: action.Chain, Seed: src.Uint64(),
		// the ID is the model's to choose, and no part of the action
		Call: llm.ToolCall{Name: call.Name, Arguments: call.Arguments},
	}
	began := r.now()
	defer func() { action.Reviewed = r.now().Sub(began) }()
	r.spent.Tokens += r.ReviewTokens
	most := orDefault(r.ReviewTime, defaultTime)
	ctx, cancel := r.bound(ctx, most)
	defer cancel()
	d, err := guard(ctx, func(ctx context.Context) (Decision, error) { return r.Reviewer.Review(ctx, proposed) })
	if err != nil {
		return failed(r.ReviewTokens, "the reviewer failed: %s", cut(err.Error(), whyBytes)), nil
	}
	d, made := vet(d, call, t.tools)
	r.spent.Tokens += d.Tokens - r.ReviewTokens
	return d, made
}

// do makes the call that was decided on, and records what came of it.
func (r *run) do(ctx context.Context, t *task, action *Action) (string, error) {
	made := *action.Made
	limit := r.forbids(0, 1, 0)
	var failure error
	if limit == "" {
		r.spent.Calls++
		action.Done = true
		began := r.now()
		failure = r.call(ctx, t, action, made)
		action.Took = r.now().Sub(began)
	} else {
		action.Err = fmt.Sprintf("not done: the limit %q was met", limit)
	}
	r.result.Actions[action.N] = *action
	if errors.Is(failure, errRecord) {
		return "", failure
	}
	// what was done has to be told even if nobody waits for the run any more
	err := r.record(context.WithoutCancel(ctx), Event{Kind: ActionDone, Action: action})
	if err = errors.Join(failure, err); err != nil {
		return "", err
	}
	if r.stopped(limit) || r.result.Ending != "" {
		return "", nil
	}
	told := ""
	if d := action.Decision; d.Ruling == Modify {
		told = fmt.Sprintf("The reviewer changed the call into %s %s%s.\n", made.Name, made.Arguments, r.why(d))
	}
	switch {
	case action.Err != "":
		return told + made.Name + " gave no result: it is not known what the call did, if anything.", nil
	case action.IsErr:
		told += made.Name + " reported a failure. "
	}
	return told + "The result of " + made.Name + ", as data: " + fence(action.Result, t.src.SplitN("fence", action.N)), nil
}

// call makes a call and puts into the action what came back. An error ends the run.
func (r *run) call(ctx context.Context, t *task, action *Action, made llm.ToolCall) error {
	if made.Name == Subgoal {
		return r.nest(ctx, t, action, made)
	}
	type answer struct {
		text  string
		isErr bool
	}
	calling, cancel := r.bound(ctx, orDefault(r.CallTime, defaultTime))
	defer cancel()
	a, err := guard(calling, func(ctx context.Context) (answer, error) {
		text, isErr, err := r.Tools.Call(ctx, made)
		return answer{text, isErr}, err
	})
	if err != nil {
		action.Err = cut(err.Error(), whyBytes)
		return nil
	}
	most := orDefault(r.ResultBytes, defaultResultBytes)
	action.Result, action.IsErr = cut(a.text, most), a.isErr
	if len(a.text) > most {
		action.Result += fmt.Sprintf("\n(cut: %d bytes in all)", len(a.text))
	}
	return nil
}

// nest pursues a sub-goal. Its answer becomes the result; any other ending but a blocked answer is the whole run's.
func (r *run) nest(ctx context.Context, t *task, action *Action, made llm.ToolCall) error {
	goal := ""
	if object, err := parseObject(made.Arguments); err != nil || json.Unmarshal(object["goal"], &goal) != nil || strings.TrimSpace(goal) == "" {
		action.Result, action.IsErr = `there is no text as "goal"`, true
		return nil
	}
	child := &task{
		id: fmt.Sprintf("%s/%d", t.id, action.N), depth: t.depth + 1, ask: t.ask, src: t.src.SplitN("subgoal", action.N),
		goal:  t.goal + "\n\nAs a part of that, by its own choice: " + goal,
		tools: r.offer(t.depth + 1),
	}
	if len(t.talk) > 0 && t.talk[0].Role == llm.System {
		child.talk = append(child.talk, t.talk[0])
	}
	child.talk = append(child.talk, llm.Message{Role: llm.User, Text: goal})
	if err := r.pursue(ctx, child); err != nil {
		action.Err = cut("the work on it failed: "+err.Error(), whyBytes)
		return err
	}
	switch r.result.Ending {
	case EndAnswered:
		action.Result = cut(r.result.Answer, orDefault(r.ResultBytes, defaultResultBytes))
	case EndBlocked:
		action.Result, action.IsErr = "the answer was withheld", true
	default:
		action.Err = fmt.Sprintf("the work on it ended as %s %s", r.result.Ending, r.result.Limit)
		return nil
	}
	r.result.Ending, r.result.Answer = "", ""
	return nil
}

// fence sets a text between two marks that do not occur in it, so that nothing in it can pretend to stand outside.
func fence(text string, src rng.Source) string {
	for {
		mark := fmt.Sprintf("[data %08x]", uint32(src.Uint64()))
		if !strings.Contains(text, mark) {
			return mark + "\n" + text + "\n" + mark
		}
	}
}
