package ledger

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"time"
)

// position is where a chain stands.
type position struct {
	seq      int64
	hash     Hash
	time     int64 // Unix milliseconds
	unsigned int   // entries since the last checkpoint, at most Every
}

// source answers queries, whose arguments are called $1, $2 and so on.
type source interface {
	// each calls f for each row.
	each(ctx context.Context, query string, args []any, f func(scan func(...any) error) error) error
	// explain says of which ledger an error is, and what to do about it.
	explain(err error) error
	close() error
}

// store is where the entries of a ledger lie, as the writer of one process sees it. Its methods are not called concurrently.
type store interface {
	source
	// load returns where the chain stands, and which traces this ledger has open: the number of each one's begin.
	load(ctx context.Context) (position, map[string]int64, error)
	// begin begins a transaction, in which nobody else writes; was is where the chain stood after the last one. A group of
	// writes is to follow. errLapsed says to load first.
	begin(ctx context.Context, was position, group []*write) (transaction, error)
	// purge removes what was redacted from wherever else the store may have it, and tells whether that was possible now.
	purge(ctx context.Context) (done bool, err error)
	// beats says how often to call beat in a transaction; 0 is never.
	beats() time.Duration
}

// transaction is what one group commit does to the store.
type transaction interface {
	// at returns where the chain stood when the transaction began.
	at() position
	// taken tells whether another ledger has a trace of the group open.
	taken(trace string) bool
	insert(ctx context.Context, entries []*Entry) error
	// each and exec are for what insert cannot do.
	each(ctx context.Context, query string, args []any, f func(scan func(...any) error) error) error
	exec(ctx context.Context, query string, args ...any) error
	// beat says that this ledger is alive, and returns the open traces of those that are not.
	beat(ctx context.Context) (orphans []string, err error)
	// commit makes all durable, or rolls back and says why not. The chain then stands at now, and no open trace of this ledger began before since; 0 if that
	// is not known.
	commit(ctx context.Context, now position, since int64) error
	rollback() error
}

// errLapsed says that others have taken this ledger for dead, and have given up its traces.
var errLapsed = errors.New("other gateways have seen no sign of life from this one for too long, and gave up its requests")

// openStore opens a Postgres database if where is a URL of one, else a file.
func openStore(ctx context.Context, where string, opts *Options) (store, error) {
	if IsPostgres(where) {
		return openPostgres(ctx, where, opts)
	}
	return openSQLite(ctx, where, opts.Busy)
}

// IsPostgres tells whether a ledger lies in a Postgres database: whether where begins with postgres:// or postgresql://.
func IsPostgres(where string) bool {
	return strings.HasPrefix(where, "postgres://") || strings.HasPrefix(where, "postgresql://")
}

const selectEntries = "SELECT seq, time, back, kind, trace, body, prev, hash, contents FROM entries "

// eachEntry calls f with each entry that a query finds.
func eachEntry(ctx context.Context, from source, where string, args []any, f func(*Entry) error) error {
	return from.each(ctx, selectEntries+where, args, func(scan func(...any) error) error {
		var e Entry
		var at int64
		var body, prev, hash, contents []byte
		if err := scan(&e.Seq, &at, &e.Back, (*string)(&e.Kind), &e.Trace, &body, &prev, &hash, &contents); err != nil {
			return err
		}
		e.Time, e.Body = time.UnixMilli(at).UTC(), body
		e.Prev, e.Hash = storedHash(prev), storedHash(hash)
		e.Contents = readContents(contents)
		return f(&e)
	})
}

// readEntries returns the entries that a query finds.
func readEntries(ctx context.Context, from source, where string, args ...any) (out []Entry, err error) {
	err = eachEntry(ctx, from, where, args, func(e *Entry) error {
		out = append(out, *e)
		return nil
	})
	return out, err
}

// number returns the number that a query finds.
func number(ctx context.Context, from source, query string, args ...any) (n int64, err error) {
	err = from.each(ctx, query, args, func(scan func(...any) error) error { return scan(&n) })
	return n, err
}

// storedHash returns a hash from the store. One of another length was tampered with: it becomes a hash that nothing has.
func storedHash(b []byte) Hash {
	if len(b) != len(Hash{}) {
		return sha256.Sum256(b)
	}
	return Hash(b)
}

// standing reads where the chain stands, and refuses to go on from a last entry that is not what it was.
func standing(ctx context.Context, from source) (now position, err error) {
	last, err := readEntries(ctx, from, "ORDER BY seq DESC LIMIT 1")
	if err != nil || len(last) == 0 {
		return now, err
	}
	e := &last[0]
	if e.sum() != e.Hash {
		return now, fmt.Errorf("entry %d, the last, is not as it was written: candor ledger verify says more", e.Seq)
	}
	signed, err := number(ctx, from, "SELECT COALESCE(MAX(seq), 0) FROM entries WHERE seq > $1 AND kind = $2", e.Seq-Every, string(KindCheckpoint))
	if err != nil {
		return now, err
	}
	return position{e.Seq, e.Hash, e.Time.UnixMilli(), int(min(e.Seq-signed, Every))}, nil
}

const formatError = "it has format %d, and this candor knows format %d: use the candor that wrote it, or another place"
