package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// querier is what both a database and a connection can do.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// sqliteSource reads a SQLite file.
type sqliteSource struct {
	path string
	db   *sql.DB
	from querier // db, or the one connection that is used
}

// readers is how many connections a reader may have.
const readers = 4

// openSQLiteSource opens the file for reading.
func openSQLiteSource(ctx context.Context, path string) (*sqliteSource, error) {
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
		db.SetMaxOpenConns(readers)
		db.SetMaxIdleConns(readers)
		version, err := userVersion(ctx, db)
		if err == nil && version == 0 {
			err = errNoLedger
		} else if err == nil {
			err = checkVersion(version)
		}
		s := &sqliteSource{path, db, db}
		if err == nil {
			return s, nil
		}
		if closing := db.Close(); closing != nil || !readOnlyPlace(path, err) || settings == "mode=ro&immutable=1" {
			return nil, errors.Join(s.explain(err), closing)
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

func (s *sqliteSource) each(ctx context.Context, query string, args []any, f func(scan func(...any) error) error) (err error) {
	rows, err := s.from.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		if err := f(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}

func (s *sqliteSource) close() error { return s.explain(s.db.Close()) }

var errNoLedger = errors.New("it is a database of another program, not a ledger: choose another file")

func userVersion(ctx context.Context, from querier) (version int, err error) {
	err = from.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version)
	return version, err
}

func checkVersion(version int) error {
	if version != format {
		return fmt.Errorf(formatError, version, format)
	}
	return nil
}

// moveLog moves what is in the write-ahead log to the file. Busy tells that not all could be, as somebody reads or writes;
// pages is how many the log has.
func moveLog(ctx context.Context, from querier, mode string) (busy bool, pages int, err error) {
	var moved int
	err = from.QueryRowContext(ctx, "PRAGMA wal_checkpoint("+mode+")").Scan(&busy, &pages, &moved)
	return busy, pages, err
}

// openFile opens a database with SQLite's settings for a connection.
func openFile(path, settings string) (*sql.DB, error) {
	escaped := strings.NewReplacer("%", "%25", "?", "%3f", "#", "%23").Replace(filepath.ToSlash(path))
	if filepath.VolumeName(path) != "" {
		escaped = "/" + escaped
	}
	db, err := sql.Open("sqlite", "file:"+escaped+"?"+settings)
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", path, err)
	}
	return db, nil
}

// explain says what to do about an error of SQLite's.
func (s *sqliteSource) explain(err error) error {
	if err == nil {
		return nil
	}
	var e *sqlite.Error
	if errors.As(err, &e) {
		switch e.Code() & 0xff {
		case sqlite3.SQLITE_FULL:
			err = fmt.Errorf("the disk is full; make room on it (%w)", err)
		case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
			err = fmt.Errorf("another program has it locked; close that (%w)", err)
		case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
			err = fmt.Errorf("the file is damaged or no ledger; put a copy in its place, or move it away to begin a new ledger (%w)", err)
		case sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM:
			err = fmt.Errorf("it cannot be opened for this; check the rights of the file and of its folder (%w)", err)
		case sqlite3.SQLITE_IOERR:
			err = fmt.Errorf("the disk reports an error; check it (%w)", err)
		}
	}
	return fmt.Errorf("the ledger %s: %w", s.path, err)
}

// ignoreDone leaves out that SQLite has rolled back by itself, as it does when the disk is full.
func ignoreDone(err error) error {
	var e *sqlite.Error
	if errors.Is(err, sql.ErrTxDone) || errors.As(err, &e) {
		return nil
	}
	return err
}

// syncDir makes new files in dir durable.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil // folders cannot be synced there
	}
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
