package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"candor/reasoning/compose"
	"candor/reasoning/llm"
	"candor/serve/api"
	"candor/serve/ledger"
	"candor/serve/record"
)

// Agent is a loop of a system with tools. Its Record is the gateway's.
type Agent struct{ compose.Agent }

// runAgent pursues the goal. Every turn, decision and result is durable when the next thing happens.
func (w *work) runAgent(ctx context.Context) {
	a := w.system.Agent.Agent
	a.Record = w.event
	if wait := w.system.HoldWait; wait > 0 {
		a.ReviewTime = max(a.ReviewTime, time.Minute) + wait
		a.Reviewer = person{a.Reviewer, w}
	}
	result, err := a.Run(ctx, compose.Prompt{ID: w.id, Text: lastText(w.request), Seed: w.request.Seed, Ask: &w.request})
	w.tokens = result.Spent.Tokens
	if err != nil {
		w.fail(err)
		return
	}
	switch result.Ending {
	case compose.EndAnswered:
		w.end.Outcome, w.end.Finish = record.Released, llm.FinishStop
		w.answer = api.Answer{ID: w.id, Completion: llm.Completion{Text: result.Answer, Finish: llm.FinishStop, CompletionTokens: w.tokens}}
	case compose.EndPartial:
		w.fail(limitError(result.Limit))
	case compose.EndEscalated:
		w.end.Outcome = record.Blocked
		w.end.Reason = "the work was stopped: its reviewer wants a person to decide on an action, which was not done"
		w.refuse(false)
	default:
		last := &compose.Transcript{}
		if n := len(result.Transcripts); n > 0 {
			last = &result.Transcripts[n-1]
		}
		w.block(last)
	}
}

// event records what an agent did or is about to do.
func (w *work) event(ctx context.Context, e compose.Event) error {
	var stage record.Stage
	var name string
	var content any
	switch {
	case e.Transcript != nil:
		stage = record.Stage{What: "try", N: w.tries, System: "main", Verdicts: e.Transcript.Verdicts, Partial: e.Transcript.Partial, Provenance: e.Transcript.Provenance, Calls: w.newCalls()}
		wrote := tryOf(e.Transcript)
		w.wrote = append(w.wrote, wrote)
		name, content = record.ContentTry, wrote
		w.tries++
		w.g.hub.judged(stage.Verdicts)
	case e.Action != nil:
		stage = record.Stage{What: "action", N: e.Action.N, Decision: string(e.Action.Decision.Ruling), Calls: w.newCalls()}
		if e.Kind == compose.ActionDone {
			stage.What = "result"
			stage.Spent = []record.Spent{{Part: "tool", Took: e.Action.Took}}
			w.outside += e.Action.Took
		}
		switch {
		case e.Action.Err != "" && e.Action.Done:
			stage.Err = "it is not known what the call did"
		case e.Kind == compose.ActionDone && !e.Action.Done:
			stage.Err = "it was not called: a limit was met"
		case e.Action.Decision.Failed != "":
			stage.Err = "the reviewer failed"
		}
		name, content = record.ContentAction, actionOf(e.Action)
	}
	entry, err := stageEntry(w.id, stage, name, content)
	if err != nil {
		return err
	}
	w.facts = append(w.facts, stage)
	if _, err := w.g.Ledger.Append(ctx, entry); err != nil {
		return fmt.Errorf("recording what an agent does: %w", unavailable(err))
	}
	return nil
}

// newCalls returns the calls of models since the last stage.
func (w *work) newCalls() []record.Call {
	all := w.calls.Calls()
	out := all[w.noted:]
	w.noted = len(all)
	return out
}

func actionOf(a *compose.Action) *record.Action {
	out := &record.Action{Goal: a.Goal, Chain: a.Chain, Call: a.Call, Why: a.Decision.Why, Result: a.Result}
	if a.Decision.Ruling == compose.Modify {
		out.Modified = a.Made
	}
	for _, failed := range []string{a.Decision.Failed, a.Err} {
		if failed != "" {
			out.Failed = append(out.Failed, failed)
		}
	}
	return out
}

// person asks a person about actions that the reviewer escalates. They stand in the queue as held answers do, each under a trace of its
// own: the agent's with the action's name behind it.
type person struct {
	compose.Reviewer
	w *work
}

// Review implements compose.Reviewer. Where nobody decides in time, the escalation stands and the agent stops.
func (p person) Review(ctx context.Context, proposed compose.Proposed) (compose.Decision, error) {
	d, err := p.Reviewer.Review(ctx, proposed)
	if err != nil || d.Ruling != compose.Escalate {
		return d, err
	}
	w := p.w
	w.escalated++
	id := fmt.Sprintf("%s-action-%d", w.id, w.escalated)
	if err := w.holdAction(ctx, id, proposed, d); err != nil {
		return d, err
	}
	began := w.g.Clock()
	r := w.g.awaitReview(ctx, id, w.system.HoldWait)
	w.outside += w.g.Clock().Sub(began)
	if r == nil {
		// Out of the queue, unless somebody decides at this very moment: then that counts.
		late := record.Review{Who: "candor", Why: "nobody decided in time"}
		after := context.WithoutCancel(ctx)
		if err := w.g.Decide(after, id, late); !errors.Is(err, record.ErrDecided) {
			return d, err
		}
		t, err := w.g.Trace(after, id)
		if err != nil || ctx.Err() != nil {
			return d, err
		}
		r = t.Review
	}
	out := compose.Decision{Ruling: compose.Reject, Why: "a person decided so: " + r.Why, Tokens: d.Tokens}
	if r.Approve {
		out.Ruling = compose.Approve
	}
	return out, nil
}

// protocolAction is that of traces which are an agent's actions, and no answers to a client.
const protocolAction = "action"

// holdAction puts an action into the queue, durably.
func (w *work) holdAction(ctx context.Context, id string, p compose.Proposed, d compose.Decision) error {
	opened := w.opened
	opened.Protocol = protocolAction
	prompt := []llm.Message{{Role: llm.User, Text: p.Goal}}
	action := record.Action{Goal: p.Goal, Chain: p.Chain, Call: p.Call, Why: d.Why}
	answer := record.Answer{Text: strings.TrimSpace(p.Call.Name + " " + p.Call.Arguments), Calls: []llm.ToolCall{p.Call}}
	end := record.End{Outcome: record.Held, Reason: "an action of " + w.id + " waits for a person", Finish: llm.FinishTools}
	entries := make([]ledger.Entry, 0, 4)
	for _, part := range []struct {
		kind    ledger.Kind
		body    any
		name    string
		content any
	}{
		{ledger.KindBegin, opened, record.ContentPrompt, prompt},
		{ledger.KindStage, record.Stage{What: "action", Decision: string(d.Ruling)}, record.ContentAction, action},
		{ledger.KindEnd, end, record.ContentAnswer, answer},
		{record.KindHeld, struct{}{}, "", nil},
	} {
		body, err := ledger.Marshal(part.body)
		if err != nil {
			return err
		}
		e := ledger.Entry{Kind: part.kind, Trace: id, Body: body}
		if part.name != "" {
			data, err := json.Marshal(part.content)
			if err != nil {
				return err
			}
			e.Contents = []ledger.Content{{Name: part.name, Data: data}}
		}
		entries = append(entries, e)
	}
	receipts, err := w.g.Ledger.Append(ctx, entries...)
	if err != nil {
		return fmt.Errorf("recording an action that waits for a person: %w", unavailable(err))
	}
	w.g.hub.heldAction(record.Summary{ID: id, Seq: receipts[0].Seq, Began: receipts[0].Time, Begin: opened, Outcome: record.Held, Reason: end.Reason, Prompt: record.Excerpt(p.Goal)})
	return nil
}
