package gateway

import (
	"context"
	"fmt"
	"slices"

	"candor/serve/ledger"
	"candor/serve/record"
)

// scan is the most traces that one list looks through for those that a filter has.
const scan = 2000

// Traces implements record.Source. A list looks through [scan] traces at most; more tells that there may be others behind.
func (g *Gateway) Traces(ctx context.Context, f record.Filter) (list []record.Summary, more bool, err error) {
	limit := f.Limit
	if limit <= 0 || limit > 200 {
		limit = 50
	}
	const page = 200
	before := f.Before
	for seen := 0; seen < scan; {
		begins, err := g.Reader.Begins(ctx, before, page)
		if err != nil {
			return nil, false, err
		}
		traces, err := g.read(ctx, begins)
		if err != nil {
			return nil, false, err
		}
		for i := range traces {
			if !f.Has(&traces[i]) {
				continue
			}
			if len(list) == limit {
				return list, true, nil
			}
			list = append(list, traces[i])
		}
		if len(begins) < page {
			return list, false, nil
		}
		before = begins[len(begins)-1].Seq
		seen += len(begins)
	}
	return list, true, nil
}

// read makes summaries of traces by their begins.
func (g *Gateway) read(ctx context.Context, begins []ledger.Entry) ([]record.Summary, error) {
	ids := make([]string, len(begins))
	for i := range begins {
		ids[i] = begins[i].Trace
	}
	entries, err := g.Reader.Traces(ctx, ids)
	if err != nil {
		return nil, err
	}
	out := make([]record.Summary, 0, len(begins))
	for _, id := range ids {
		t, err := record.Read(entries[id])
		if err != nil {
			return nil, err
		}
		out = append(out, t.Summary)
	}
	return out, nil
}

// Trace implements record.Source.
func (g *Gateway) Trace(ctx context.Context, id string) (*record.Trace, error) {
	entries, err := g.Reader.Trace(ctx, id)
	if err != nil {
		return nil, err
	}
	if len(entries) == 0 {
		return nil, fmt.Errorf("%.80q: %w", id, record.ErrUnknown)
	}
	return record.Read(entries)
}

// Held implements record.Source.
func (g *Gateway) Held(ctx context.Context) ([]record.Summary, error) {
	ids, err := g.Reader.Waiting(ctx, record.KindHeld, ledger.KindReview)
	if err != nil {
		return nil, err
	}
	const most = 500
	ids = ids[:min(len(ids), most)]
	entries, err := g.Reader.Traces(ctx, ids)
	if err != nil {
		return nil, err
	}
	var out []record.Summary
	for _, id := range ids {
		t, err := record.Read(entries[id])
		if err != nil {
			return nil, err
		}
		out = append(out, t.Summary)
	}
	return out, nil
}

// Redact implements record.Source. A held answer is redacted once it is decided: nobody could let out what is not there.
func (g *Gateway) Redact(ctx context.Context, id, who, why string) (int, error) {
	t, err := g.Trace(ctx, id)
	if err != nil {
		return 0, err
	}
	switch kept := t.Messages != nil || t.Answer != nil || slices.ContainsFunc(t.Stages, func(s record.StageOf) bool { return s.Try != nil || s.Action != nil }); {
	case t.Outcome == record.Open || t.Outcome == record.Held:
		return 0, fmt.Errorf("%s is %s: wait until it has ended or is decided", id, t.Outcome)
	case !kept:
		return 0, fmt.Errorf("%s has no texts any more: %w", id, record.ErrUnknown)
	}
	return g.Ledger.Redact(ctx, id, who, why)
}

// Watch implements record.Source.
func (g *Gateway) Watch(ctx context.Context) <-chan record.Summary { return g.hub.watch(ctx) }

// Stats implements record.Source.
func (g *Gateway) Stats() record.Stats {
	s := g.hub.stats(g.Clock())
	if err := g.Ledger.Err(); err != nil {
		s.Store = err.Error()
	}
	s.InFlight = len(g.room)
	return s
}
