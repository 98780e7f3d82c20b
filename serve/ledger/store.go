package ledger

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// format is the store's user_version.
const format = 1

// A content without salt was redacted. The table begun has the traces that are open, so that a start need not read all
// entries; nothing in it counts as evidence.
const schema = `
CREATE TABLE entries (
	seq INTEGER PRIMARY KEY, time INTEGER NOT NULL, back INTEGER NOT NULL, kind TEXT NOT NULL, trace TEXT NOT NULL,
	body TEXT NOT NULL, prev BLOB NOT NULL, hash BLOB NOT NULL
) STRICT;
CREATE INDEX traces ON entries (trace) WHERE trace <> '';
CREATE TABLE contents (
	seq INTEGER NOT NULL, place INTEGER NOT NULL, name TEXT NOT NULL, commitment BLOB NOT NULL, salt BLOB, content BLOB,
	PRIMARY KEY (seq, place)
) STRICT;
CREATE TABLE begun (trace TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;
PRAGMA user_version = 1;
`

const (
	selectEntries  = "SELECT seq, time, back, kind, trace, body, prev, hash FROM entries "
	selectContents = "SELECT seq, name, commitment, salt, content FROM contents "
)

// store is the SQLite file as its one writer sees it.
type store struct {
	path string
	file os.FileInfo
	db   *sql.DB
	// Statements of db.
	entry, content, begin, end *sql.Stmt
}

// openStore opens the file, whose lock is held, and makes its tables if it is new. busy is how long to wait for a program
// that has the file locked.
func openStore(ctx context.Context, path string, busy time.Duration) (*store, error) {
	s := &store{path: path}
	settings := fmt.Sprintf("_pragma=busy_timeout(%d)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=secure_delete(ON)&_txlock=immediate", busy.Milliseconds())
	var err error
	if s.db, err = openFile(path, settings); err != nil {
		return nil, err
	}
	s.db.SetMaxOpenConns(1)
	err = s.makeTables(ctx)
	if err == nil {
		err = s.prepare(ctx)
	}
	if err == nil {
		s.file, err = os.Stat(path)
	}
	if err == nil {
		err = syncDir(filepath.Dir(path))
	}
	if err != nil {
		return nil, errors.Join(explain(path, err), s.close())
	}
	return s, nil
}

func (s *store) makeTables(ctx context.Context) error {
	version, err := userVersion(ctx, s.db)
	if err != nil {
		return err
	}
	if version != 0 {
		return checkVersion(version)
	}
	var tables int
	if err := s.db.QueryRowContext(ctx, "SELECT COUNT(*) FROM sqlite_schema").Scan(&tables); err != nil {
		return err
	}
	if tables > 0 {
		return errNoLedger
	}
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, schema); err != nil {
		return errors.Join(err, ignoreDone(tx.Rollback()))
	}
	return tx.Commit()
}

func (s *store) prepare(ctx context.Context) (err error) {
	for _, q := range []struct {
		stmt **sql.Stmt
		text string
	}{
		{&s.entry, "INSERT INTO entries (seq, time, back, kind, trace, body, prev, hash) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"},
		{&s.content, "INSERT INTO contents (seq, place, name, commitment, salt, content) VALUES (?, ?, ?, ?, ?, ?)"},
		{&s.begin, "INSERT INTO begun VALUES (?) ON CONFLICT DO NOTHING"},
		{&s.end, "DELETE FROM begun WHERE trace = ?"},
	} {
		if *q.stmt, err = s.db.PrepareContext(ctx, q.text); err != nil {
			return err
		}
	}
	return nil
}

// same tells whether the file still is the one that was opened. SQLite would go on writing to one that was deleted.
func (s *store) same() error {
	info, err := os.Stat(s.path)
	if err == nil && !os.SameFile(info, s.file) {
		err = errors.New("another file has taken its place")
	}
	if err != nil {
		return fmt.Errorf("%s was moved or deleted while in use; put it back, or start the gateway again to begin a new ledger: %w", s.path, err)
	}
	return nil
}

// insert writes an entry.
func (s *store) insert(tx *sql.Tx, e *Entry) error {
	if _, err := tx.Stmt(s.entry).Exec(e.Seq, e.Time.UnixMilli(), e.Back, string(e.Kind), e.Trace, string(e.Body), e.Prev[:], e.Hash[:]); err != nil {
		return err
	}
	for i := range e.Contents {
		c := &e.Contents[i]
		data := c.Data
		if data == nil {
			data = []byte{}
		}
		if _, err := tx.Stmt(s.content).Exec(e.Seq, i, c.Name, c.Commitment[:], c.Salt, data); err != nil {
			return err
		}
	}
	var err error
	switch e.Kind {
	case KindBegin:
		_, err = tx.Stmt(s.begin).Exec(e.Trace)
	case KindEnd, KindAbandoned:
		_, err = tx.Stmt(s.end).Exec(e.Trace)
	}
	return err
}

// head returns the last entry, nil if there is none.
func (s *store) head(ctx context.Context) (*Entry, error) {
	found, err := readEntries(ctx, s.db, "ORDER BY seq DESC LIMIT 1")
	if err != nil || len(found) == 0 {
		return nil, err
	}
	return &found[0], nil
}

// begun returns the traces that are open in the store.
func (s *store) begun(ctx context.Context) (open map[string]bool, err error) {
	rows, err := s.db.QueryContext(ctx, "SELECT trace FROM begun")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	open = map[string]bool{}
	for rows.Next() {
		var trace string
		if err := rows.Scan(&trace); err != nil {
			return nil, err
		}
		open[trace] = true
	}
	return open, rows.Err()
}

// purge moves all from the write-ahead log to the file and empties the log, so that what was deleted is in neither. It
// tells whether that was possible: somebody may be reading.
func (s *store) purge(ctx context.Context) (done bool, err error) {
	var busy, pages, moved int
	err = s.db.QueryRowContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)").Scan(&busy, &pages, &moved)
	return err == nil && busy == 0, err
}

func (s *store) close() error {
	var errs []error
	for _, stmt := range []*sql.Stmt{s.entry, s.content, s.begin, s.end} {
		if stmt != nil {
			errs = append(errs, stmt.Close())
		}
	}
	return explain(s.path, errors.Join(append(errs, s.db.Close())...))
}

// querier is what both a database and a transaction can do.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// readEntries returns entries without their contents.
func readEntries(ctx context.Context, db querier, where string, args ...any) (out []Entry, err error) {
	rows, err := db.QueryContext(ctx, selectEntries+where, args...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var e Entry
		var at int64
		var body, prev, hash []byte
		if err := rows.Scan(&e.Seq, &at, &e.Back, (*string)(&e.Kind), &e.Trace, &body, &prev, &hash); err != nil {
			return nil, err
		}
		e.Time, e.Body = time.UnixMilli(at).UTC(), body
		e.Prev, e.Hash = storedHash(prev), storedHash(hash)
		out = append(out, e)
	}
	return out, rows.Err()
}

// scanContent reads one row of selectContents.
func scanContent(rows *sql.Rows) (seq int64, c Content, err error) {
	var commitment []byte
	if err := rows.Scan(&seq, &c.Name, &commitment, &c.Salt, &c.Data); err != nil {
		return 0, Content{}, err
	}
	c.Commitment = storedHash(commitment)
	return seq, c, nil
}

// storedHash returns a hash from the store. One of another length was tampered with: it becomes a hash that nothing has.
func storedHash(b []byte) Hash {
	if len(b) != len(Hash{}) {
		return sha256.Sum256(b)
	}
	return Hash(b)
}

var errNoLedger = errors.New("it is a database of another program, not a ledger: choose another file")

func userVersion(ctx context.Context, db *sql.DB) (version int, err error) {
	err = db.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version)
	return version, err
}

func checkVersion(version int) error {
	if version != format {
		return fmt.Errorf("it has format %d, and this candor knows format %d: use the candor that wrote it, or another file", version, format)
	}
	return nil
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
func explain(path string, err error) error {
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
	return fmt.Errorf("the ledger %s: %w", path, err)
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
