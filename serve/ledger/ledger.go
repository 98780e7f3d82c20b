package ledger

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Every is the most entries that follow each other without a checkpoint.
const Every = 256

// queueLen is how many appends may wait. The second half is for those of requests that have begun.
const queueLen = 1024

// maxQueued is how many bytes of entries may wait.
const maxQueued = 2 * maxAppend

var (
	// ErrUnavailable says that the store takes no entries now: refuse the request, and try again later.
	ErrUnavailable = errors.New("the ledger takes no entries now")
	// ErrNotBegun says that a trace has no [KindBegin], or has ended.
	ErrNotBegun = errors.New("the trace has not begun, or has ended")
	// ErrBegun says that a trace has begun and not ended.
	ErrBegun = errors.New("the trace has begun already")
)

// Options is what a ledger needs from outside. Key, Clock and Secret are required.
type Options struct {
	// Key signs checkpoints. It must be the one that the ledger was begun with.
	Key ed25519.PrivateKey
	// Clock gives the times of entries.
	Clock func() time.Time
	// Secret returns n unpredictable bytes, for salts.
	Secret func(n int) []byte
	// Busy is how long to wait for a program that has the store locked; 1 s if 0.
	Busy time.Duration
	// Sign is how long an entry waits for a checkpoint; 5 s if 0.
	Sign time.Duration
	// Instance names this gateway among those that share a Postgres database, in letters, digits, - and _. A gateway that
	// starts gives up at once what one of the same name has left open, and shuts that out if it still runs; the requests of
	// others it gives up once nothing was heard of them for some time. "" means a name of its own for each start.
	Instance string

	retry time.Duration // between tries of a store that is away
	lease time.Duration // how long nothing is heard of a gateway before it is taken for dead
}

func (o *Options) setDefaults() {
	if o.Busy == 0 {
		o.Busy = time.Second
	}
	if o.Sign == 0 {
		o.Sign = 5 * time.Second
	}
	if o.retry == 0 {
		o.retry = time.Second
	}
	if o.lease == 0 {
		o.lease = 15 * time.Second
	}
	if o.Instance == "" {
		o.Instance = fmt.Sprintf("%x", o.Secret(8))
	}
}

// Ledger is an open ledger. Its methods may be called concurrently.
type Ledger struct {
	opts   Options
	store  store
	queue  chan *write
	lead   chan struct{} // held by whoever writes: it has room for one
	stop   chan struct{} // closed by Close
	wake   chan struct{}
	writer sync.WaitGroup
	queued atomic.Int64 // bytes

	gate   sync.RWMutex // held for reading while something is put into the queue
	closed bool

	mu        sync.Mutex
	given     map[string]string // traces to abandon, and why
	err       error             // of the last try to write
	stats     Stats
	open      map[string]int64 // traces that have begun and not ended, with the number of the begin; only the writer writes
	recovered []string

	state state // the writer's alone
	purge bool  // the write-ahead log may hold what was redacted; the writer's alone
}

// Stats counts what a ledger did since it was opened.
type Stats struct {
	Entries int64 `json:"entries"`
	Commits int64 `json:"commits"` // transactions, each with one sync
	Refused int64 `json:"refused"` // appends that failed with ErrUnavailable
	Waiting int   `json:"waiting"` // appends in the queue
	Open    int   `json:"open"`    // traces that have begun and not ended
}

// Open opens the ledger at where, and makes it if there is none: a file, or the URL of a Postgres database, postgres://...,
// that several gateways with the same key may share. Traces that a killed process left open are abandoned; [Ledger.Recovered]
// lists them.
func Open(ctx context.Context, where string, opts Options) (*Ledger, error) {
	if len(opts.Key) != ed25519.PrivateKeySize || opts.Clock == nil || opts.Secret == nil {
		return nil, errors.New("opening a ledger: options without key, clock or secret")
	}
	opts.setDefaults()
	if !plainWord(strings.ToLower(opts.Instance), maxName) {
		return nil, fmt.Errorf("opening a ledger: the gateway has the name %q: want at most %d letters, digits, - and _", opts.Instance, maxName)
	}
	l := &Ledger{opts: opts, queue: make(chan *write, queueLen), lead: make(chan struct{}, 1), stop: make(chan struct{}), wake: make(chan struct{}, 1), given: map[string]string{}}
	var err error
	if l.store, err = openStore(ctx, where, &l.opts); err != nil {
		return nil, err
	}
	if err := l.start(ctx); err != nil {
		return nil, errors.Join(l.store.explain(err), l.store.close())
	}
	l.writer.Go(l.run)
	return l, nil
}

// start brings the ledger to where it can go on, and signs that.
func (l *Ledger) start(ctx context.Context) error {
	if err := l.load(ctx); err != nil {
		return err
	}
	if l.state.seq == 0 {
		if err := l.commit(nil, 0); err != nil {
			return err
		}
	}
	if err := l.checkOurs(ctx); err != nil {
		return err
	}
	l.recovered = slices.Sorted(maps.Keys(l.open))
	for _, trace := range l.recovered {
		l.given[trace] = "the process that wrote the ledger ended before the request did"
	}
	return l.commit(nil, sign|beat)
}

func (l *Ledger) publicKey() string {
	return FormatPublicKey(l.opts.Key.Public().(ed25519.PublicKey))
}

// checkOurs refuses a ledger that another key signs, or whose last entry is not what it was.
func (l *Ledger) checkOurs(ctx context.Context) error {
	first, err := readEntries(ctx, l.store, "WHERE seq = 1")
	if err != nil {
		return err
	}
	var body struct{ Key string }
	if len(first) != 1 || json.Unmarshal(first[0].Body, &body) != nil {
		return errors.New("its first entry is missing or damaged: candor ledger verify says more")
	}
	if body.Key != l.publicKey() {
		return fmt.Errorf("it is signed with the key %s, not %s: give that key, or choose another file", body.Key, l.publicKey())
	}
	return nil
}

// Close writes what is queued, abandons what is open, signs the end and gives the file free.
func (l *Ledger) Close() error {
	l.gate.Lock()
	if l.closed {
		l.gate.Unlock()
		return nil
	}
	l.closed = true
	close(l.stop)
	l.gate.Unlock()
	l.writer.Wait()
	return errors.Join(l.Err(), l.store.close())
}

// Err returns why the store takes no entries, nil if it does, as far as the last try has shown.
func (l *Ledger) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// Stats returns the counts up to now.
func (l *Ledger) Stats() Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.stats
	s.Waiting, s.Open = len(l.queue), len(l.open)
	return s
}

// Unfinished returns the traces that have begun and not ended, in order.
func (l *Ledger) Unfinished() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Sorted(maps.Keys(l.open))
}

// Recovered returns the traces that [Open] found open and abandoned, in order.
func (l *Ledger) Recovered() []string { return l.recovered }

// Begin appends that the request called trace was accepted. Nothing may be sent upstream before it returns.
func (l *Ledger) Begin(ctx context.Context, trace string, body []byte, contents ...Content) (Receipt, error) {
	return l.one(ctx, Entry{Kind: KindBegin, Trace: trace, Body: body, Contents: contents})
}

// End appends the outcome of the request called trace. Nothing may be released before it returns. It does not stop when the
// context does: a client that has gone away still has an end. If it fails and is not tried again, call [Ledger.Abandon].
func (l *Ledger) End(ctx context.Context, trace string, body []byte, contents ...Content) (Receipt, error) {
	return l.one(context.WithoutCancel(ctx), Entry{Kind: KindEnd, Trace: trace, Body: body, Contents: contents})
}

func (l *Ledger) one(ctx context.Context, e Entry) (Receipt, error) {
	receipts, err := l.Append(ctx, e)
	if err != nil {
		return Receipt{}, err
	}
	return receipts[0], nil
}

// Append appends entries, all or none, and returns when they are durable. It returns [ErrUnavailable], [ErrNotBegun] or
// [ErrBegun] wrapped, the context's error if that ended before the entries were written, or says what is wrong with them.
func (l *Ledger) Append(ctx context.Context, entries ...Entry) ([]Receipt, error) {
	if len(entries) == 0 || len(entries) > Every {
		return nil, fmt.Errorf("appending %d entries to the ledger: want 1 to %d", len(entries), Every)
	}
	w := &write{entries: slices.Clone(entries), done: make(chan error, 1)}
	begins := false
	for i := range w.entries {
		size, err := w.entries[i].ready(l.opts.Secret)
		if err != nil {
			return nil, fmt.Errorf("appending to the ledger: %w", err)
		}
		w.size += int64(size)
		begins = begins || w.entries[i].Kind == KindBegin
	}
	if w.size > maxAppend {
		return nil, fmt.Errorf("appending %d bytes to the ledger: at most %d are allowed", w.size, int64(maxAppend))
	}
	if err := l.put(ctx, w, begins); err != nil {
		return nil, err
	}
	return w.receipts, nil
}

// Redact deletes the contents of the trace with these names, all if none is given, and appends who did so and why. It
// returns how many there were; it is an error if there were none.
func (l *Ledger) Redact(ctx context.Context, trace, who, why string, names ...string) (n int, err error) {
	if trace == "" || who == "" || why == "" {
		return 0, errors.New("redacting content of the ledger: say of which trace, who does it and why")
	}
	if err := checkTrace(trace); err != nil {
		return 0, err
	}
	w := &write{redact: &redaction{Who: who, Why: why, trace: trace, names: names}, done: make(chan error, 1)}
	if err := l.put(ctx, w, true); err != nil {
		return 0, err
	}
	return len(w.redact.Contents), nil
}

// Abandon gives up a trace that has begun: an [KindAbandoned] with the reason is appended as soon as the store takes it, by
// the next [Open] at the latest. A trace that is not open is left as it is.
func (l *Ledger) Abandon(trace, why string) {
	l.mu.Lock()
	if _, ok := l.open[trace]; ok {
		l.given[trace] = why
	}
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// put queues a write and waits until it is durable. New work is not taken while the store is known to be away.
//
// Who finds nobody writing writes what has gathered, its own and that of others; so an append that is alone costs no switch to
// another goroutine, and those that come while one writes go together into the next transaction.
func (l *Ledger) put(ctx context.Context, w *write, isNew bool) error {
	if ctx.Err() != nil {
		return fmt.Errorf("appending to the ledger: %w", context.Cause(ctx))
	}
	if err := l.enqueue(w, isNew); err != nil {
		l.mu.Lock()
		l.stats.Refused++
		l.mu.Unlock()
		return err
	}
	defer l.queued.Add(-w.size)
	for {
		select {
		case err := <-w.done:
			return err
		case l.lead <- struct{}{}:
			l.turn(l.gather(), 0)
			<-l.lead
		case <-ctx.Done():
			if w.taken.CompareAndSwap(false, true) {
				w.entries = nil // it may stay in the queue for a while, its texts need not
				return fmt.Errorf("appending to the ledger: %w", context.Cause(ctx))
			}
			return <-w.done // it is being written, and the store's patience is short
		}
	}
}

func (l *Ledger) enqueue(w *write, isNew bool) error {
	l.gate.RLock()
	defer l.gate.RUnlock()
	if l.closed {
		return fmt.Errorf("%w: it is closed", ErrUnavailable)
	}
	if isNew {
		if err := l.Err(); err != nil {
			return err
		}
		if len(l.queue) >= queueLen/2 {
			return fmt.Errorf("%w: %d appends wait already", ErrUnavailable, len(l.queue))
		}
	}
	if l.queued.Add(w.size) > maxQueued {
		l.queued.Add(-w.size)
		return fmt.Errorf("%w: %d bytes wait already", ErrUnavailable, l.queued.Load())
	}
	select {
	case l.queue <- w:
		return nil
	default:
		l.queued.Add(-w.size)
		return fmt.Errorf("%w: %d appends wait already", ErrUnavailable, queueLen)
	}
}
