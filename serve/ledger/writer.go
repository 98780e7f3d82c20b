package ledger

import (
	"context"
	"errors"
	"fmt"
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
}

// state is where the chain stands.
type state struct {
	position
	// stale says that the store may know more than this does: a commit failed, and may yet have been made.
	stale bool
}

// duty is what a commit does besides writing a group.
type duty int

const (
	sign duty = 1 << iota // append a checkpoint unless the last entry is one
	beat                  // tell other ledgers of the store that this one is alive, and give up what the dead left
)

// refusal is an error of one append that leaves others of its group alone.
type refusal struct{ error }

func (r refusal) Unwrap() error { return r.error }

// run does what is to be done without an append: checkpoints, signs of life, what was given up, a store that is away.
func (l *Ledger) run() {
	signing, retry := time.NewTicker(l.opts.Sign), time.NewTicker(l.opts.retry)
	defer signing.Stop()
	defer retry.Stop()
	var beats <-chan time.Time
	if every := l.store.beats(); every > 0 {
		t := time.NewTicker(every)
		defer t.Stop()
		beats = t.C
	}
	for {
		select {
		case <-l.stop:
			l.lead <- struct{}{} // for good
			l.finish()
			return
		case <-l.wake:
			l.aside(0, func() bool { return true })
		case <-signing.C:
			l.aside(sign, func() bool { return l.state.unsigned > 0 || l.purge || len(l.queue) > 0 })
		case <-beats:
			l.aside(beat, func() bool { return true })
		case <-retry.C:
			l.aside(sign, func() bool { return l.state.stale })
		}
	}
}

// aside takes the lead and writes, if that is due.
func (l *Ledger) aside(do duty, due func() bool) {
	l.lead <- struct{}{}
	defer func() { <-l.lead }()
	if due() {
		l.turn(l.gather(), do)
	}
}

// gather returns what waits, up to a transaction's worth.
func (l *Ledger) gather() (group []*write) {
	for size := int64(0); len(group) < queueLen && size < maxAppend; {
		select {
		case w := <-l.queue:
			group, size = append(group, w), size+w.size
		default:
			return group
		}
	}
	return group
}

// finish writes the last entries.
func (l *Ledger) finish() {
	for group := l.gather(); len(group) > 0; group = l.gather() {
		l.turn(group, 0)
	}
	l.mu.Lock()
	for trace := range l.open {
		if l.given[trace] == "" {
			l.given[trace] = "the gateway was stopped before the request ended"
		}
	}
	l.mu.Unlock()
	l.turn(nil, sign)
}

// gaveUp tells whether a trace is to be abandoned.
func (l *Ledger) gaveUp() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.given) > 0
}

// turn writes a group and tells everybody what became of it.
func (l *Ledger) turn(group []*write, do duty) {
	if len(group) == 0 && do == 0 && !l.gaveUp() {
		return // a leader before has taken all
	}
	group = slices.DeleteFunc(group, func(w *write) bool { return !w.taken.CompareAndSwap(false, true) })
	err := l.commit(group, do)
	if err != nil {
		err = fmt.Errorf("%w: %w", ErrUnavailable, l.store.explain(err))
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
func (l *Ledger) commit(group []*write, do duty) error {
	ctx := context.Background() // a commit is short, and half of a group may still want it
	tx, err := l.begin(ctx, group)
	if err != nil {
		return err
	}
	b := batch{l: l, tx: tx, position: tx.at(), changed: map[string]int64{}}
	was := b.seq
	gone, err := b.writeAll(ctx, group, do)
	if err == nil && b.seq == was && do&beat == 0 {
		err = tx.rollback() // nothing was refused or done
	} else if err == nil {
		err = tx.commit(ctx, b.position, b.since)
	} else {
		err = errors.Join(err, tx.rollback())
	}
	if err != nil {
		return err
	}
	l.state = state{position: b.position}
	l.mu.Lock()
	for trace, seq := range b.changed {
		if delete(l.open, trace); seq > 0 {
			l.open[trace] = seq
		}
	}
	for _, trace := range gone {
		delete(l.given, trace)
	}
	if b.seq > was {
		l.stats.Entries += b.seq - was
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

// begin begins a transaction where the chain stands. The state is stale until the transaction is made.
func (l *Ledger) begin(ctx context.Context, group []*write) (tx transaction, err error) {
	stale := l.state.stale
	for range 2 {
		l.state.stale = true
		if stale {
			if err := l.load(ctx); err != nil {
				return nil, err
			}
			l.state.stale = true
		}
		if tx, err = l.store.begin(ctx, l.state.position, group); !errors.Is(err, errLapsed) {
			return tx, err
		}
		stale = true
	}
	return nil, err
}

// load reads where the chain stands.
func (l *Ledger) load(ctx context.Context) error {
	now, open, err := l.store.load(ctx)
	if err != nil {
		return err
	}
	l.mu.Lock()
	for trace := range open {
		if _, ok := l.open[trace]; !ok && l.state.stale {
			l.given[trace] = "its begin was on the disk, but the store reported an error"
		}
	}
	l.open = open
	l.mu.Unlock()
	l.state = state{position: now}
	return nil
}
