package ledger

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// batch is a transaction and where the chain will stand after it.
type batch struct {
	l  *Ledger
	tx transaction
	position
	changed map[string]int64 // traces that began, with the number of the begin, or that ended: 0
	pending []*Entry         // entries that the transaction does not have yet
	since   int64            // no open trace began before; 0 if that was not found out
	purge   bool
}

// isOpen tells whether a trace is open after what was written up to now.
func (b *batch) isOpen(trace string) bool {
	if seq, ok := b.changed[trace]; ok {
		return seq > 0
	}
	_, ok := b.l.open[trace]
	return ok
}

// writeAll writes a group, abandons the traces that were given up, which it returns, and does its duties.
func (b *batch) writeAll(ctx context.Context, group []*write, do duty) (gone []string, err error) {
	if b.seq == 0 {
		if err := b.first(); err != nil {
			return nil, err
		}
	}
	for _, w := range group {
		err := b.write(ctx, w)
		if errors.As(err, new(refusal)) {
			w.err = err
		} else if err != nil {
			return nil, err
		}
	}
	if gone, err = b.abandonGiven(); err != nil {
		return nil, err
	}
	if do&beat != 0 {
		orphans, err := b.tx.beat(ctx)
		if err != nil {
			return nil, err
		}
		for _, trace := range orphans {
			if err := b.abandon(trace, "nothing was heard for too long of the gateway that it belonged to"); err != nil {
				return nil, err
			}
		}
	}
	if do&sign != 0 && b.unsigned > 0 {
		if err := b.sign(); err != nil {
			return nil, err
		}
	}
	return gone, b.flush(ctx)
}

// first writes the first entry of a ledger.
func (b *batch) first() error {
	body, err := Marshal(map[string]string{"ledger": fmt.Sprintf("%x", b.l.opts.Secret(16)), "key": b.l.publicKey()})
	if err != nil {
		return err
	}
	return b.add(&Entry{Kind: KindLedger, Body: body})
}

// abandonGiven abandons the traces that were given up and are open, and returns all that were given up.
func (b *batch) abandonGiven() (gone []string, err error) {
	b.l.mu.Lock()
	given := b.l.given
	if len(given) > 0 {
		given = maps.Clone(given)
	}
	b.l.mu.Unlock()
	if len(given) == 0 {
		return nil, nil
	}
	for _, trace := range slices.Sorted(maps.Keys(given)) {
		gone = append(gone, trace)
		if b.isOpen(trace) {
			if err := b.abandon(trace, given[trace]); err != nil {
				return nil, err
			}
		}
	}
	return gone, nil
}

func (b *batch) abandon(trace, why string) error {
	body, err := Marshal(map[string]string{"why": why})
	if err != nil {
		return err
	}
	return b.add(&Entry{Kind: KindAbandoned, Trace: trace, Body: body})
}

// flush gives the transaction the entries that it does not have.
func (b *batch) flush(ctx context.Context) error {
	if len(b.pending) == 0 {
		return nil
	}
	err := b.tx.insert(ctx, b.pending)
	b.pending = b.pending[:0]
	return err
}

// write writes one append, or refuses all of it.
func (b *batch) write(ctx context.Context, w *write) error {
	if w.redact != nil {
		return b.redact(ctx, w.redact)
	}
	if err := b.allows(w.entries); err != nil {
		return err
	}
	w.receipts = make([]Receipt, len(w.entries))
	for i := range w.entries {
		e := &w.entries[i]
		if err := b.add(e); err != nil {
			return err
		}
		w.receipts[i] = Receipt{e.Seq, e.Time, e.Hash}
	}
	return nil
}

// allows tells whether each of the entries may follow what is there and those before it.
func (b *batch) allows(entries []Entry) error {
	var changed map[string]bool
	if len(entries) > 1 {
		changed = map[string]bool{}
	}
	for i := range entries {
		e := &entries[i]
		open, ok := changed[e.Trace]
		if !ok {
			open = b.isOpen(e.Trace)
		}
		switch e.Kind {
		case KindBegin:
			if open || b.tx.taken(e.Trace) {
				return refusal{fmt.Errorf("beginning %q in the ledger: %w", e.Trace, ErrBegun)}
			}
			open = true
		case KindStage, KindEnd:
			if !open {
				return refusal{fmt.Errorf("appending %s of %q to the ledger: %w", e.Kind, e.Trace, ErrNotBegun)}
			}
			open = e.Kind != KindEnd
		default:
			continue
		}
		if changed != nil {
			changed[e.Trace] = open
		}
	}
	return nil
}

// add puts an entry at the end of the chain, and a checkpoint after it if that is due.
func (b *batch) add(e *Entry) error {
	now := b.l.opts.Clock().UnixMilli()
	at := max(now, b.time)
	if b.seq == 0 {
		at = now
	}
	e.Seq, e.Prev, e.Time, e.Back = b.seq+1, b.hash, time.UnixMilli(at).UTC(), at-now
	e.Hash = e.sum()
	b.pending = append(b.pending, e)
	b.seq, b.hash, b.time = e.Seq, e.Hash, at
	b.unsigned++
	switch e.Kind {
	case KindBegin:
		b.changed[e.Trace] = e.Seq
	case KindEnd, KindAbandoned:
		b.changed[e.Trace] = 0
	case KindCheckpoint:
		b.unsigned, b.since = 0, b.oldest()
	}
	if b.unsigned >= Every {
		return b.sign()
	}
	return nil
}

// sign appends a checkpoint.
func (b *batch) sign() error {
	body, err := Marshal(signed(b.l.opts.Key, Mark{b.seq, b.hash}, b.l.opts.Clock()))
	if err != nil {
		return err
	}
	return b.add(&Entry{Kind: KindCheckpoint, Body: body})
}

// oldest returns a number that no open trace began before.
func (b *batch) oldest() int64 {
	oldest := b.seq
	for trace, seq := range b.l.open {
		if b.isOpen(trace) {
			oldest = min(oldest, seq)
		}
	}
	for _, seq := range b.changed {
		if seq > 0 {
			oldest = min(oldest, seq)
		}
	}
	return oldest
}

// redact deletes contents and appends that it did.
func (b *batch) redact(ctx context.Context, r *redaction) error {
	if err := b.flush(ctx); err != nil { // they may be among those to delete
		return err
	}
	changed, err := b.blank(ctx, r)
	if err != nil {
		return err
	}
	if len(r.Contents) == 0 {
		return refusal{fmt.Errorf("redacting %q in the ledger: it has no such content, or that was redacted before", r.trace)}
	}
	for _, e := range changed {
		if err := b.tx.exec(ctx, "UPDATE entries SET contents = $1 WHERE seq = $2", e.stored, e.Seq); err != nil {
			return err
		}
	}
	body, err := Marshal(r)
	if err != nil {
		return err
	}
	b.purge = true
	return b.add(&Entry{Kind: KindRedaction, Trace: r.trace, Body: body})
}

// blank finds what is to be redacted, notes it and returns the entries with what they are to have in its place.
func (b *batch) blank(ctx context.Context, r *redaction) (changed []Entry, err error) {
	r.Contents = nil
	err = b.tx.each(ctx, "SELECT seq, contents FROM entries WHERE trace = $1 AND trace <> '' AND contents IS NOT NULL ORDER BY seq", []any{r.trace}, func(scan func(...any) error) error {
		var e Entry
		if err := scan(&e.Seq, &e.stored); err != nil {
			return err
		}
		contents, ok := splitContents(e.stored)
		if !ok {
			return refusal{fmt.Errorf("redacting %q in the ledger: the contents of entry %d are not as they were written", r.trace, e.Seq)}
		}
		before := len(r.Contents)
		for i := range contents {
			c := &contents[i]
			if !c.Redacted() && (len(r.names) == 0 || slices.Contains(r.names, c.Name)) {
				r.Contents = append(r.Contents, redacted{e.Seq, c.Name, c.Commitment})
				c.blank()
			}
		}
		if len(r.Contents) > before {
			changed = append(changed, e)
		}
		return nil
	})
	return changed, err
}
