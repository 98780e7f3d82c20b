package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"
	"time"
)

// write is what one append has to write. Done says what became of it once that is sure.
type write struct {
	entries  []Entry
	redact   *redaction
	size     int64
	receipts []Receipt
	done     chan error
	// taken is set by who decides: the writer that begins to write it, or the caller that gives it up before.
	taken atomic.Bool
	err   error
}

// redaction is the body of a redaction.
type redaction struct {
	Who      string     `json:"who"`
	Why      string     `json:"why"`
	Contents []redacted `json:"contents"`

	trace string
	names []string
}

// redacted names a content that was deleted.
type redacted struct {
	Seq        int64  `json:"seq"`
	Name       string `json:"name"`
	Commitment Hash   `json:"commitment"`

	place int
}

// state is where the chain stands.
type state struct {
	seq      int64
	hash     Hash
	time     int64 // Unix milliseconds
	unsigned int   // entries since the last checkpoint
	open     map[string]bool
	// stale says that the store may know more than this does: a commit failed, and may yet have been made.
	stale bool
}

// refusal is an error of one append that leaves others of its group alone.
type refusal struct{ error }

func (r refusal) Unwrap() error { return r.error }

// run writes what is queued, as much as there is, in one transaction after the other.
func (l *Ledger) run() {
	sign, retry := time.NewTicker(l.opts.Sign), time.NewTicker(l.opts.retry)
	defer sign.Stop()
	defer retry.Stop()
	for {
		select {
		case w, ok := <-l.queue:
			if !ok {
				l.finish()
				return
			}
			l.turn(l.gather(w), false)
		case <-l.wake:
			l.turn(nil, false)
		case <-sign.C:
			if l.state.unsigned > 0 || l.purge {
				l.turn(nil, true)
			}
		case <-retry.C:
			if l.state.stale {
				l.turn(nil, true)
			}
		}
	}
}

// gather returns w and what else waits, up to a transaction's worth.
func (l *Ledger) gather(w *write) []*write {
	group, size := []*write{w}, w.size
	for len(group) < queueLen && size < maxAppend {
		select {
		case w, ok := <-l.queue:
			if !ok {
				return group
			}
			group, size = append(group, w), size+w.size
		default:
			return group
		}
	}
	return group
}

// finish writes the last entries.
func (l *Ledger) finish() {
	l.mu.Lock()
	for trace := range l.unended {
		if l.given[trace] == "" {
			l.given[trace] = "the gateway was stopped before the request ended"
		}
	}
	l.mu.Unlock()
	l.turn(nil, true)
}

// turn writes a group and tells everybody what became of it.
func (l *Ledger) turn(group []*write, sign bool) {
	group = slices.DeleteFunc(group, func(w *write) bool { return !w.taken.CompareAndSwap(false, true) })
	err := l.commit(group, sign)
	if err != nil {
		err = fmt.Errorf("%w: %w", ErrUnavailable, explain(l.path, err))
	}
	l.mu.Lock()
	l.err = err
	for _, w := range group {
		if w.err == nil && err != nil {
			w.err = err
			l.stats.Refused++
		}
	}
	l.mu.Unlock()
	for _, w := range group {
		w.done <- w.err
	}
}

// commit writes a group, and what is given up, as one transaction. After an error nothing of it counts, and the next commit
// first finds out what the store has.
func (l *Ledger) commit(group []*write, sign bool) error {
	ctx := context.Background() // a commit is short, and half of a group may still want it
	stale := l.state.stale
	l.state.stale = true
	if err := l.store.same(); err != nil {
		return err
	}
	if stale {
		if err := l.load(ctx); err != nil {
			return err
		}
		l.state.stale = true
	}
	tx, err := l.store.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	b := batch{l: l, tx: tx, state: l.state}
	b.open = maps.Clone(l.state.open)
	gone, err := b.writeAll(ctx, group, sign)
	if err != nil {
		return errors.Join(err, ignoreDone(tx.Rollback()))
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	added := b.seq - l.state.seq
	l.state = b.state
	l.state.stale = false
	l.mu.Lock()
	l.unended = maps.Clone(b.open)
	for _, trace := range gone {
		delete(l.given, trace)
	}
	if added > 0 {
		l.stats.Entries += added
		l.stats.Commits++
	}
	l.mu.Unlock()
	l.purge = l.purge || b.purge
	if l.purge {
		done, err := l.store.purge(ctx)
		l.purge = err != nil || !done // the log empties later
	}
	return nil
}

// load reads where the chain stands.
func (l *Ledger) load(ctx context.Context) error {
	head, err := l.store.head(ctx)
	if err != nil {
		return err
	}
	open, err := l.store.begun(ctx)
	if err != nil {
		return err
	}
	now := state{open: open}
	if head != nil {
		if head.Contents, err = readContents(ctx, l.store.db, head.Seq); err != nil {
			return err
		}
		if head.sum() != head.Hash {
			return fmt.Errorf("entry %d, the last, is not as it was written: candor ledger verify says more", head.Seq)
		}
		now.seq, now.hash, now.time = head.Seq, head.Hash, head.Time.UnixMilli()
		var last int64
		if err := l.store.db.QueryRowContext(ctx, "SELECT COALESCE(MAX(seq), 0) FROM entries WHERE seq > ? AND kind = ?", head.Seq-Every, string(KindCheckpoint)).Scan(&last); err != nil {
			return err
		}
		now.unsigned = int(min(head.Seq-last, Every))
	}
	l.mu.Lock()
	for trace := range open {
		if !l.state.open[trace] && l.state.stale {
			l.given[trace] = "its begin was on the disk, but the store reported an error"
		}
	}
	l.unended = maps.Clone(open)
	l.mu.Unlock()
	l.state = now
	return nil
}

// batch is a transaction and where the chain will stand after it.
type batch struct {
	l  *Ledger
	tx *sql.Tx
	state
	purge bool
}

// writeAll writes a group, abandons the traces that were given up, which it returns, and signs if that is due.
func (b *batch) writeAll(ctx context.Context, group []*write, sign bool) (gone []string, err error) {
	for _, w := range group {
		err := b.write(ctx, w)
		if errors.As(err, new(refusal)) {
			w.err = err
		} else if err != nil {
			return nil, err
		}
	}
	b.l.mu.Lock()
	given := maps.Clone(b.l.given)
	b.l.mu.Unlock()
	for _, trace := range slices.Sorted(maps.Keys(given)) {
		gone = append(gone, trace)
		if !b.open[trace] {
			continue
		}
		body, err := Marshal(map[string]string{"why": given[trace]})
		if err != nil {
			return nil, err
		}
		if err := b.add(&Entry{Kind: KindAbandoned, Trace: trace, Body: body}); err != nil {
			return nil, err
		}
	}
	if sign && b.unsigned > 0 {
		return gone, b.sign()
	}
	return gone, nil
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
	changed := map[string]bool{}
	for i := range entries {
		e := &entries[i]
		open, ok := changed[e.Trace]
		if !ok {
			open = b.open[e.Trace]
		}
		switch e.Kind {
		case KindBegin:
			if open {
				return refusal{fmt.Errorf("beginning %q in the ledger: %w", e.Trace, ErrBegun)}
			}
			changed[e.Trace] = true
		case KindStage, KindEnd:
			if !open {
				return refusal{fmt.Errorf("appending %s of %q to the ledger: %w", e.Kind, e.Trace, ErrNotBegun)}
			}
			changed[e.Trace] = e.Kind != KindEnd
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
	if err := b.l.store.insert(b.tx, e); err != nil {
		return err
	}
	b.seq, b.hash, b.time = e.Seq, e.Hash, at
	b.unsigned++
	switch e.Kind {
	case KindBegin:
		b.open[e.Trace] = true
	case KindEnd, KindAbandoned:
		delete(b.open, e.Trace)
	case KindCheckpoint:
		b.unsigned = 0
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

// redact deletes contents and appends that it did.
func (b *batch) redact(ctx context.Context, r *redaction) error {
	var err error
	if r.Contents, err = b.contentsOf(ctx, r.trace, r.names); err != nil {
		return err
	}
	if len(r.Contents) == 0 {
		return refusal{fmt.Errorf("redacting %q in the ledger: it has no such content, or that was redacted before", r.trace)}
	}
	for _, c := range r.Contents {
		if _, err := b.tx.ExecContext(ctx, "UPDATE contents SET salt = NULL, content = NULL WHERE seq = ? AND place = ?", c.Seq, c.place); err != nil {
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

// contentsOf returns the contents of a trace that are there, those with the names if any is given.
func (b *batch) contentsOf(ctx context.Context, trace string, names []string) (out []redacted, err error) {
	rows, err := b.tx.QueryContext(ctx, `SELECT c.seq, c.place, c.name, c.commitment FROM entries e JOIN contents c ON c.seq = e.seq
		WHERE e.trace = ? AND e.trace <> '' AND c.salt IS NOT NULL ORDER BY c.seq, c.place`, trace)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var c redacted
		var commitment []byte
		if err := rows.Scan(&c.Seq, &c.place, &c.Name, &commitment); err != nil {
			return nil, err
		}
		if len(names) > 0 && !slices.Contains(names, c.Name) {
			continue
		}
		c.Commitment = storedHash(commitment)
		out = append(out, c)
	}
	return out, rows.Err()
}

// readContents returns the contents of an entry.
func readContents(ctx context.Context, db querier, seq int64) (out []Content, err error) {
	rows, err := db.QueryContext(ctx, selectContents+"WHERE seq = ? ORDER BY place", seq)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		_, c, err := scanContent(rows)
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, rows.Err()
}
