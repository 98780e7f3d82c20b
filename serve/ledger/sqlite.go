package ledger

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gofrs/flock"
	"modernc.org/sqlite"
)

// format is the user_version of a file.
const format = 2

// The index others finds entries of rare kinds, such as what waits for a person. The table start says where to look for traces
// that are open, so that a start need not read all entries; nothing in it counts as evidence.
const schema = `
CREATE TABLE entries (
	seq INTEGER PRIMARY KEY, time INTEGER NOT NULL, back INTEGER NOT NULL, kind TEXT NOT NULL, trace TEXT NOT NULL,
	body TEXT NOT NULL, prev BLOB NOT NULL, hash BLOB NOT NULL, contents BLOB
) STRICT;
CREATE INDEX traces ON entries (trace) WHERE trace <> '';
CREATE INDEX others ON entries (kind, trace) WHERE ` + isOther + `;
CREATE TABLE start (since INTEGER NOT NULL) STRICT;
INSERT INTO start VALUES (1);
PRAGMA user_version = 2;
`

const (
	// moveAfter is how many bytes are written to the write-ahead log before another goroutine moves them to the file.
	moveAfter = 24 << 20
	// maxLog is how many pages the log may have before the writer moves the last of them itself, so that the log can begin
	// anew: while others move, it writes.
	maxLog = 16384
)

// sqliteStore is a SQLite file.
type sqliteStore struct {
	sqliteSource
	lock *flock.Flock
	file os.FileInfo
	// conn is the writer's connection, which the statements belong to. Database/sql would lock and look up for every entry.
	conn                                    *sql.Conn
	beginStmt, insertStmt, commitStmt, undo driver.Stmt
	args                                    [9]driver.NamedValue

	was      position
	signs    bool // the transaction has a checkpoint
	written  int  // bytes since the last move
	move     chan struct{}
	mover    sync.WaitGroup
	mustMove atomic.Bool
}

// openSQLite locks and opens the file, and makes its tables if it is new. busy is how long to wait for a program that has the
// file locked.
func openSQLite(ctx context.Context, path string, busy time.Duration) (_ *sqliteStore, err error) {
	s := &sqliteStore{sqliteSource: sqliteSource{path: path}, lock: flock.New(path + ".lock"), move: make(chan struct{}, 1)}
	got, err := s.lock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("locking the ledger %s: %w", path, err)
	}
	if !got {
		return nil, fmt.Errorf("another process writes to the ledger %s: stop that gateway first, or choose another file", path)
	}
	defer func() {
		if err != nil {
			err = errors.Join(s.explain(err), s.close())
		}
	}()
	// fdatasync makes the same durable as fsync but for the time of the last change; where there is none, fsync it is.
	if _, err := sqlite.Fdatasync(true); err != nil && !errors.Is(err, sqlite.ErrFdatasyncUnavailable) {
		return nil, err
	}
	settings := fmt.Sprintf("_pragma=busy_timeout(%d)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=secure_delete(ON)&_pragma=wal_autocheckpoint(0)&_pragma=cache_size(-16384)", busy.Milliseconds())
	if s.db, err = openFile(path, settings); err != nil {
		return nil, err
	}
	if s.conn, err = s.db.Conn(ctx); err != nil {
		return nil, err
	}
	s.from = s.conn
	if err := s.makeTables(ctx); err != nil {
		return nil, err
	}
	if err := s.conn.Raw(s.prepare); err != nil {
		return nil, err
	}
	if s.file, err = os.Stat(path); err != nil {
		return nil, err
	}
	s.mover.Go(s.moveAll)
	return s, syncDir(filepath.Dir(path))
}

func (s *sqliteStore) makeTables(ctx context.Context) error {
	version, err := userVersion(ctx, s.conn)
	if err != nil {
		return err
	}
	if version != 0 {
		return checkVersion(version)
	}
	var tables int
	if err := s.conn.QueryRowContext(ctx, "SELECT COUNT(*) FROM sqlite_schema").Scan(&tables); err != nil {
		return err
	}
	if tables > 0 {
		return errNoLedger
	}
	tx, err := s.conn.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, schema); err != nil {
		return errors.Join(err, ignoreDone(tx.Rollback()))
	}
	return tx.Commit()
}

func (s *sqliteStore) prepare(conn any) (err error) {
	for _, q := range []struct {
		stmt *driver.Stmt
		text string
	}{
		{&s.beginStmt, "BEGIN IMMEDIATE"},
		{&s.insertStmt, "INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"},
		{&s.commitStmt, "COMMIT"},
		{&s.undo, "ROLLBACK"},
	} {
		if *q.stmt, err = conn.(driver.Conn).Prepare(q.text); err != nil {
			return err
		}
	}
	for i := range s.args {
		s.args[i].Ordinal = i + 1
	}
	return nil
}

// run runs one of the statements; only inside of conn.Raw.
func run(stmt driver.Stmt, args []driver.NamedValue) error {
	_, err := stmt.(driver.StmtExecContext).ExecContext(context.Background(), args)
	return err
}

// load finds the open traces among the entries since the one that the table start names.
func (s *sqliteStore) load(ctx context.Context) (now position, open map[string]int64, err error) {
	if now, err = standing(ctx, s); err != nil {
		return now, nil, err
	}
	open = map[string]int64{}
	err = s.each(ctx, "SELECT seq, kind, trace FROM entries WHERE seq >= (SELECT MIN(since) FROM start) AND kind IN ('begin', 'end', 'abandoned') ORDER BY seq", nil,
		func(scan func(...any) error) error {
			var seq int64
			var kind, trace string
			if err := scan(&seq, &kind, &trace); err != nil {
				return err
			}
			if delete(open, trace); Kind(kind) == KindBegin {
				open[trace] = seq
			}
			return nil
		})
	return now, open, err
}

// same tells whether the file still is the one that was opened. SQLite would go on writing to one that was deleted.
func (s *sqliteStore) same() error {
	info, err := os.Stat(s.path)
	if err == nil && !os.SameFile(info, s.file) {
		err = errors.New("another file has taken its place")
	}
	if err != nil {
		return fmt.Errorf("%s was moved or deleted while in use; put it back, or start the gateway again to begin a new ledger: %w", s.path, err)
	}
	return nil
}

func (s *sqliteStore) begin(ctx context.Context, was position, _ []*write) (transaction, error) {
	if err := s.same(); err != nil {
		return nil, err
	}
	if s.mustMove.Swap(false) {
		if _, _, err := moveLog(ctx, s.conn, "PASSIVE"); err != nil {
			s.mustMove.Store(true)
			return nil, fmt.Errorf("moving entries from the write-ahead log to the file: %w", err)
		}
	}
	s.was, s.signs = was, false
	return s, s.conn.Raw(func(any) error { return run(s.beginStmt, nil) })
}

func (s *sqliteStore) at() position { return s.was }

func (s *sqliteStore) taken(string) bool { return false }

func (s *sqliteStore) beat(context.Context) ([]string, error) { return nil, nil }

func (s *sqliteStore) beats() time.Duration { return 0 }

func (s *sqliteStore) insert(_ context.Context, entries []*Entry) error {
	return s.conn.Raw(func(any) error {
		defer func() {
			for i := range s.args {
				s.args[i].Value = nil // texts are not to be kept
			}
		}()
		for _, e := range entries {
			var stored driver.Value
			if e.stored != nil {
				stored = e.stored
			}
			for i, v := range [...]driver.Value{e.Seq, e.Time.UnixMilli(), e.Back, string(e.Kind), e.Trace, string(e.Body), e.Prev[:], e.Hash[:], stored} {
				s.args[i].Value = v
			}
			if err := run(s.insertStmt, s.args[:]); err != nil {
				return err
			}
			s.signs = s.signs || e.Kind == KindCheckpoint
			s.written += len(e.Body) + len(e.stored) + 2<<12 // two pages or so are only half new
		}
		return nil
	})
}

func (s *sqliteStore) exec(ctx context.Context, query string, args ...any) error {
	_, err := s.conn.ExecContext(ctx, query, args...)
	return err
}

func (s *sqliteStore) commit(ctx context.Context, _ position, since int64) error {
	if s.signs && since > 0 {
		if err := s.exec(ctx, "UPDATE start SET since = $1", since); err != nil {
			return errors.Join(err, s.rollback())
		}
	}
	if err := s.conn.Raw(func(any) error { return run(s.commitStmt, nil) }); err != nil {
		return errors.Join(err, s.rollback())
	}
	if s.written > moveAfter {
		s.written = 0
		select {
		case s.move <- struct{}{}:
		default: // it is at it
		}
	}
	return nil
}

func (s *sqliteStore) rollback() error {
	return ignoreDone(s.conn.Raw(func(any) error { return run(s.undo, nil) }))
}

// purge empties the log, so that what was redacted is not in it. Somebody may be reading, and then it cannot.
func (s *sqliteStore) purge(ctx context.Context) (done bool, err error) {
	busy, _, err := moveLog(ctx, s.conn, "TRUNCATE")
	return err == nil && !busy, err
}

// moveAll moves what was written from the log to the file, so that the writer need not wait for that.
func (s *sqliteStore) moveAll() {
	for range s.move {
		_, pages, err := moveLog(context.Background(), s.db, "PASSIVE")
		s.mustMove.Store(err != nil || pages > maxLog)
	}
}

func (s *sqliteStore) close() error {
	close(s.move)
	s.mover.Wait()
	var errs []error
	if s.conn != nil {
		errs = append(errs, s.conn.Raw(func(any) error {
			var errs []error
			for _, stmt := range []driver.Stmt{s.beginStmt, s.insertStmt, s.commitStmt, s.undo} {
				if stmt != nil {
					errs = append(errs, stmt.Close())
				}
			}
			return errors.Join(errs...)
		}), s.conn.Close())
	}
	if s.db != nil {
		errs = append(errs, s.sqliteSource.close())
	}
	return errors.Join(append(errs, s.lock.Unlock())...)
}
