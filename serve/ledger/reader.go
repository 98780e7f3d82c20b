package ledger

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Reader reads a ledger, also while gateways write it: it sees what has a receipt. Its methods may be called concurrently; it
// holds a few connections at most.
type Reader struct{ from source }

// page is how many entries are read at once. No page holds the store for long: a reader that did would keep the write-ahead log
// growing.
const page = 256

// OpenReader opens the ledger at where, a file or the URL of a Postgres database, for reading.
func OpenReader(ctx context.Context, where string) (*Reader, error) {
	if IsPostgres(where) {
		from, err := openPostgresSource(ctx, where)
		if err != nil {
			return nil, err
		}
		return &Reader{from}, nil
	}
	from, err := openSQLiteSource(ctx, where)
	if err != nil {
		return nil, err
	}
	return &Reader{from}, nil
}

// Close closes the reader.
func (r *Reader) Close() error { return r.from.close() }

// Trace returns the entries of a trace with their contents, in order.
func (r *Reader) Trace(ctx context.Context, trace string) ([]Entry, error) {
	entries, err := readEntries(ctx, r.from, "WHERE trace = $1 AND trace <> '' ORDER BY seq", trace)
	return entries, r.from.explain(err)
}

// Traces returns the entries of several traces with their contents, those of each in order. A trace without entries has none
// in the map.
func (r *Reader) Traces(ctx context.Context, traces []string) (map[string][]Entry, error) {
	out := make(map[string][]Entry, len(traces))
	for some := range slices.Chunk(traces, page) {
		args := make([]any, len(some))
		for i, trace := range some {
			args[i] = trace
		}
		err := eachEntry(ctx, r.from, "WHERE trace IN ("+placeholders(len(some))+") AND trace <> '' ORDER BY seq", args, func(e *Entry) error {
			out[e.Trace] = append(out[e.Trace], *e)
			return nil
		})
		if err != nil {
			return nil, r.from.explain(err)
		}
	}
	return out, nil
}

// placeholders returns $1, $2, ... $n.
func placeholders(n int) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString("$" + strconv.Itoa(i+1))
	}
	return b.String()
}

// Begins returns at most limit entries of kind [KindBegin] with their contents, the newest first: those numbered below before,
// or the last ones if before is 0.
func (r *Reader) Begins(ctx context.Context, before int64, limit int) ([]Entry, error) {
	if before <= 0 {
		before = 1<<63 - 1
	}
	entries, err := readEntries(ctx, r.from, "WHERE seq < $1 AND kind = 'begin' ORDER BY seq DESC LIMIT $2", before, max(limit, 0))
	return entries, r.from.explain(err)
}

// isOther is the condition of the index of entries of rare kinds. For NOT IN (...) SQLite would make a table at each insertion.
const isOther = "kind <> 'begin' AND kind <> 'stage' AND kind <> 'end' AND kind <> 'checkpoint'"

// Waiting returns the traces that have an entry of a kind and none of the kind until after the last of them, the longest waiting first. It
// takes time for each entry of the kind, so neither may be one of those that every request has.
func (r *Reader) Waiting(ctx context.Context, kind, until Kind) (traces []string, err error) {
	for _, k := range []Kind{kind, until} {
		if slices.Contains([]Kind{KindBegin, KindStage, KindEnd, KindCheckpoint}, k) {
			return nil, fmt.Errorf("looking in the ledger for what waits: entries of kind %s are not indexed", k)
		}
	}
	err = r.from.each(ctx, `SELECT w.trace FROM (SELECT trace, MAX(seq) AS seq FROM entries WHERE kind = $1 AND trace <> '' AND `+isOther+` GROUP BY trace) w
		WHERE NOT EXISTS (SELECT 1 FROM entries u WHERE u.kind = $2 AND u.trace = w.trace AND u.seq > w.seq AND `+strings.ReplaceAll(isOther, "kind", "u.kind")+`) ORDER BY w.seq`,
		[]any{string(kind), string(until)}, func(scan func(...any) error) error {
			var trace string
			if err := scan(&trace); err != nil {
				return err
			}
			traces = append(traces, trace)
			return nil
		})
	return traces, r.from.explain(err)
}

// Head returns the last entry, for a [Mark].
func (r *Reader) Head(ctx context.Context) (Receipt, error) {
	entries, err := readEntries(ctx, r.from, "ORDER BY seq DESC LIMIT 1")
	if err != nil {
		return Receipt{}, r.from.explain(err)
	}
	if len(entries) == 0 {
		return Receipt{}, r.from.explain(errors.New("it has no entries; every ledger has a first"))
	}
	return Receipt{entries[0].Seq, entries[0].Time, entries[0].Hash}, nil
}

// Each calls f with each entry and its contents, in order, up to the one that is the last when it gets there. The entry is
// f's to read until it returns.
func (r *Reader) Each(ctx context.Context, f func(*Entry) error) error {
	for after, n := int64(0), page; n == page; {
		n = 0
		err := eachEntry(ctx, r.from, "WHERE seq > $1 ORDER BY seq LIMIT $2", []any{after, page}, func(e *Entry) error {
			n, after = n+1, e.Seq
			if err := f(e); err != nil {
				return callerError{err}
			}
			return nil
		})
		if own := (callerError{}); errors.As(err, &own) {
			return own.error
		}
		if err != nil {
			return r.from.explain(fmt.Errorf("reading after entry %d: %w", after, err))
		}
	}
	return nil
}

// callerError is an error that is not the store's.
type callerError struct{ error }

// Verify checks the whole ledger. The error says that it could not be read, the report what was found in it.
func (r *Reader) Verify(ctx context.Context, check Check) (*Report, error) {
	c := newChecker(check)
	err := r.Each(ctx, func(e *Entry) error {
		c.add(e)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return c.end(), nil
}
