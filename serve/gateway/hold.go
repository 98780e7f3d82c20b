package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"candor/reasoning/compose"
	"candor/reasoning/llm"
	"candor/serve/api"
	"candor/serve/ledger"
	"candor/serve/record"
)

// hold withholds the output until a person decides.
func (w *work) hold(t *compose.Transcript, gates []string) {
	w.end.Outcome, w.end.Finish = record.Held, t.Output.Finish
	w.end.Reason = fmt.Sprintf("the answer is held: %s, and a person is to decide; ask for it later under %s", reason(t.Verdicts), w.id)
	w.held = record.Answer{Text: t.Output.Text, Calls: t.Output.Calls}
	w.refuse(true)
}

// await waits for the person's decision for as long as the system says, and the client is there.
func (w *work) await() {
	if w.system.HoldWait <= 0 {
		return
	}
	began := w.g.Clock()
	if r := w.g.awaitReview(w.ctx, w.id, w.system.HoldWait); r != nil {
		w.answer = answerOf(w.id, w.end.Finish, &w.held, r)
	}
	w.span("person", began)
	w.end.Upstream += w.g.Clock().Sub(began)
}

// awaitReview waits for the decision on a trace, nil if there is none in time. It looks into the ledger now and then, since somebody
// may decide at another gateway.
func (g *Gateway) awaitReview(ctx context.Context, id string, most time.Duration) *record.Review {
	decided := g.waiter(id)
	defer g.forget(id)
	timer, look := time.NewTimer(most), time.NewTicker(time.Second)
	defer timer.Stop()
	defer look.Stop()
	for {
		select {
		case r := <-decided:
			return &r
		case <-look.C:
			if t, err := g.Trace(ctx, id); err == nil && t.Review != nil {
				return t.Review
			}
		case <-timer.C:
			return nil
		case <-ctx.Done():
			return nil
		}
	}
}

// waiter returns where a decision on a trace arrives, beside the ledger.
func (g *Gateway) waiter(trace string) <-chan record.Review {
	g.mu.Lock()
	defer g.mu.Unlock()
	c := make(chan record.Review, 1)
	g.waiters[trace] = c
	return c
}

func (g *Gateway) forget(trace string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.waiters, trace)
}

// answerOf is what a client gets of a held answer after a decision.
func answerOf(trace string, finish llm.Finish, held *record.Answer, r *record.Review) api.Answer {
	switch {
	case !r.Approve:
		return api.Answer{ID: trace, Refusal: "the answer is withheld: a person decided so", Completion: llm.Completion{Finish: llm.FinishStop}}
	case held == nil:
		return api.Answer{ID: trace, Refusal: "the answer was deleted", Completion: llm.Completion{Finish: llm.FinishStop}}
	}
	return api.Answer{ID: trace, Completion: llm.Completion{Text: held.Text, Calls: held.Calls, Finish: finish}}
}

// Decide implements record.Source. The decision is durable before anything goes out.
func (g *Gateway) Decide(ctx context.Context, id string, r record.Review) error {
	if strings.TrimSpace(r.Who) == "" || strings.TrimSpace(r.Why) == "" {
		return errors.New("deciding on a held answer: say who decides and why")
	}
	t, err := g.Trace(ctx, id)
	if err != nil {
		return err
	}
	switch {
	case t.Review != nil:
		return fmt.Errorf("%s: %w, by %s", id, record.ErrDecided, t.Review.Who)
	case t.Outcome != record.Held:
		return fmt.Errorf("%s does not wait for anybody, its outcome is %s: %w", id, t.Outcome, record.ErrUnknown)
	}
	body, err := ledger.Marshal(r)
	if err != nil {
		return err
	}
	receipts, err := g.Ledger.Append(ctx, ledger.Entry{Kind: ledger.KindReview, Trace: id, Body: body})
	if err != nil {
		return fmt.Errorf("recording the decision on %s: %w", id, err)
	}
	if t, err = g.Trace(ctx, id); err != nil {
		return err
	}
	if t.ReviewSeq != receipts[0].Seq { // somebody was faster, perhaps at another gateway
		return fmt.Errorf("%s: %w, by %s", id, record.ErrDecided, t.Review.Who)
	}
	g.mu.Lock()
	c := g.waiters[id]
	g.mu.Unlock()
	if c != nil {
		select {
		case c <- *t.Review:
		default:
		}
	}
	g.hub.reviewed(&t.Summary)
	return nil
}

// Retrieve implements api.Retriever: a trace's answer, for whoever asked for it.
func (g *Gateway) Retrieve(ctx context.Context, id string) (*api.Answer, *api.Call, error) {
	t, err := g.Trace(ctx, id)
	if errors.Is(err, record.ErrUnknown) || err == nil && (t.Begin.Key != g.Key(ctx) || t.Begin.Protocol == protocolAction) {
		return nil, nil, &api.Fault{Status: http.StatusNotFound, Code: "not_found", Message: fmt.Sprintf("there is no answer %.80q of yours", id)}
	}
	if err != nil {
		return nil, nil, err
	}
	a := api.Answer{ID: id, Refusal: t.Reason, Completion: llm.Completion{Finish: llm.FinishStop}}
	switch t.Outcome {
	case record.Open:
		a.Pending, a.Refusal = true, "the answer is being worked on"
	case record.Held:
		a.Pending = true
	case record.Approved, record.Rejected:
		a = answerOf(id, t.End.Finish, t.Answer, t.Review)
	case record.Released:
		a = answerOf(id, t.End.Finish, t.Answer, &record.Review{Approve: true})
	}
	call := &api.Call{ID: t.Begin.Request, Protocol: t.Begin.Protocol, Model: t.Begin.Model, N: 1, Arrived: t.Began, Requests: []llm.Request{{Messages: t.Messages}}}
	return &a, call, nil
}
