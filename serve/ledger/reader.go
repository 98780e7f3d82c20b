package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// Reader reads a ledger, also while a gateway writes it.
type Reader struct {
	path string
	db   *sql.DB
}

// page is how many entries are read at once, without their contents. No page holds the store for long: a reader that did
// would keep the write-ahead log growing.
const page = 256

// OpenReader opens the ledger in the file called path for reading.
func OpenReader(ctx context.Context, path string) (*Reader, error) {
	if _, err := os.Stat(path); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("there is no ledger %s: %w", path, err)
		}
		return nil, fmt.Errorf("opening the ledger: %w", err)
	}
	settings := "_pragma=busy_timeout(10000)&mode=ro"
	for {
		db, err := openFile(path, settings)
		if err != nil {
			return nil, err
		}
		version, err := userVersion(ctx, db)
		if err == nil && version == 0 {
			err = errNoLedger
		} else if err == nil {
			err = checkVersion(version)
		}
		if err == nil {
			return &Reader{path, db}, nil
		}
		if closing := db.Close(); closing != nil || !readOnlyPlace(path, err) || settings == "mode=ro&immutable=1" {
			return nil, errors.Join(explain(path, err), closing)
		}
		settings = "mode=ro&immutable=1"
	}
}

// readOnlyPlace tells whether a ledger could not be opened because it lies where nobody can write, as on a read-only disk.
// SQLite then needs to be told that nobody does.
func readOnlyPlace(path string, err error) bool {
	var e *sqlite.Error
	if !errors.As(err, &e) || e.Code()&0xff != sqlite3.SQLITE_CANTOPEN && e.Code()&0xff != sqlite3.SQLITE_READONLY {
		return false
	}
	_, walErr := os.Stat(path + "-wal")
	return walErr != nil
}

// Close closes the reader.
func (r *Reader) Close() error { return explain(r.path, r.db.Close()) }

// Trace returns the entries of a trace with their contents, in order.
func (r *Reader) Trace(ctx context.Context, trace string) ([]Entry, error) {
	entries, err := readEntries(ctx, r.db, "WHERE trace = ? AND trace <> '' ORDER BY seq", trace)
	if err != nil {
		return nil, explain(r.path, err)
	}
	for i := range entries {
		if entries[i].Contents, err = readContents(ctx, r.db, entries[i].Seq); err != nil {
			return nil, explain(r.path, err)
		}
	}
	return entries, nil
}

// Each calls f with each entry and its contents, in order, up to the one that is the last when it gets there. The entry is
// f's to read until it returns.
func (r *Reader) Each(ctx context.Context, f func(*Entry) error) error {
	for after := int64(0); ; {
		entries, err := readEntries(ctx, r.db, "WHERE seq > ? ORDER BY seq LIMIT ?", after, page)
		if err != nil {
			return explain(r.path, fmt.Errorf("reading after entry %d: %w", after, err))
		}
		if len(entries) == 0 {
			return nil
		}
		after = entries[len(entries)-1].Seq
		if err := r.eachOf(ctx, entries, f); err != nil {
			return err
		}
	}
}

// eachOf calls f with each of some entries that follow each other, one entry's contents in memory at a time.
func (r *Reader) eachOf(ctx context.Context, entries []Entry, f func(*Entry) error) (err error) {
	rows, err := r.db.QueryContext(ctx, selectContents+"WHERE seq BETWEEN ? AND ? ORDER BY seq, place", entries[0].Seq, entries[len(entries)-1].Seq)
	if err != nil {
		return explain(r.path, err)
	}
	defer func() { err = errors.Join(err, explain(r.path, rows.Close())) }()
	var seq int64
	var content Content
	more := rows.Next()
	if more {
		if seq, content, err = scanContent(rows); err != nil {
			return explain(r.path, err)
		}
	}
	for i := range entries {
		e := &entries[i]
		for more && seq <= e.Seq {
			if seq == e.Seq {
				e.Contents = append(e.Contents, content)
			}
			if more = rows.Next(); more {
				if seq, content, err = scanContent(rows); err != nil {
					return explain(r.path, fmt.Errorf("reading the contents of entry %d: %w", e.Seq, err))
				}
			}
		}
		if err := rows.Err(); err != nil {
			return explain(r.path, fmt.Errorf("reading the contents of entry %d: %w", e.Seq, err))
		}
		if err := f(e); err != nil {
			return err
		}
		e.Contents = nil
	}
	return nil
}

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
