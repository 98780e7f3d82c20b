package runner

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"candor/study/runlog"
)

// file is the store's name in a run folder.
const file = "audit.db"

// format is the store's user_version.
const format = 1

// A sample's seq is its place in the source of the last run, -1 if that does not name it; body is packed JSON of a
// runlog.Sample, calls packed JSON of its uses. A call's request and completion are packed JSON. The index covers all that a
// run needs to go on, so that no body is read then.
const schema = `
CREATE TABLE samples (
	id TEXT NOT NULL, epoch INTEGER NOT NULL, seq INTEGER NOT NULL,
	state TEXT NOT NULL, reason TEXT NOT NULL, calls BLOB NOT NULL, body BLOB NOT NULL,
	PRIMARY KEY (id, epoch)
);
CREATE INDEX place ON samples (seq, epoch, state, id);
CREATE TABLE calls (key BLOB PRIMARY KEY, identity TEXT NOT NULL, request BLOB NOT NULL, completion BLOB NOT NULL);
CREATE TABLE totals (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
INSERT INTO totals VALUES ('samples', 0), ('calls', 0), ('tokens_in', 0), ('tokens_out', 0);
PRAGMA user_version = 1;
`

// store is an open audit.db. Its methods may be called concurrently.
type store struct {
	dir   string
	write *sql.DB // one connection, of the writer
	read  *sql.DB
	// Statements of write, but for lookup.
	lookup, call, sample, add *sql.Stmt

	queue  chan *write
	closed sync.WaitGroup
	err    error // the first that a write met, the writer's alone: nothing is written after it
}

// write is one thing to be written, and done says what became of it once it is durable.
type write struct {
	apply func(*statements) error
	done  chan error
}

// openStore opens the store of the run folder dir, whose lock is held, and makes it if there is none.
func openStore(ctx context.Context, dir string) (*store, error) {
	s := &store{dir: dir, queue: make(chan *write, 1024)}
	var err error
	if s.write, err = open(dir, "_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_txlock=immediate"); err != nil {
		return nil, err
	}
	s.write.SetMaxOpenConns(1)
	if s.read, err = open(dir, "mode=ro"); err != nil {
		return nil, errors.Join(err, s.closeFiles())
	}
	s.read.SetMaxOpenConns(2)
	if err = s.makeTables(ctx); err == nil {
		err = s.prepare(ctx)
	}
	if err != nil {
		err = s.explain(err)
		return nil, errors.Join(err, s.closeFiles())
	}
	s.closed.Go(s.writer)
	return s, nil
}

// prepare prepares what is executed often.
func (s *store) prepare(ctx context.Context) (err error) {
	for _, q := range []struct {
		db   *sql.DB
		stmt **sql.Stmt
		text string
	}{
		{s.read, &s.lookup, "SELECT completion FROM calls WHERE key = ?"},
		{s.write, &s.call, "INSERT INTO calls VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING"},
		{s.write, &s.sample, "INSERT OR REPLACE INTO samples (id, epoch, seq, state, reason, calls, body) VALUES (?, ?, ?, ?, ?, ?, ?)"},
		{s.write, &s.add, "UPDATE totals SET value = value + CASE name WHEN 'calls' THEN ? WHEN 'tokens_in' THEN ? WHEN 'tokens_out' THEN ? ELSE 0 END"},
	} {
		if *q.stmt, err = q.db.PrepareContext(ctx, q.text); err != nil {
			return err
		}
	}
	return nil
}

// makeTables makes the tables, or checks that they are ours.
func (s *store) makeTables(ctx context.Context) error {
	version, err := userVersion(ctx, s.write)
	if err != nil {
		return err
	}
	if version == 0 {
		var tables int
		if err := s.write.QueryRowContext(ctx, "SELECT COUNT(*) FROM sqlite_schema").Scan(&tables); err != nil {
			return err
		}
		if tables > 0 {
			return errors.New("it is a database of another program: choose another run folder")
		}
		tx, err := s.write.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, schema); err != nil {
			return errors.Join(err, tx.Rollback())
		}
		return tx.Commit()
	}
	return checkVersion(version)
}

func userVersion(ctx context.Context, db *sql.DB) (version int, err error) {
	err = db.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version)
	return version, err
}

func checkVersion(version int) error {
	if version != format {
		return fmt.Errorf("it has format %d, and this candor knows format %d: use the candor that wrote it, or another run folder", version, format)
	}
	return nil
}

// open opens the database of the run folder dir with SQLite's settings for a connection.
func open(dir, settings string) (*sql.DB, error) {
	escaped := strings.NewReplacer("%", "%25", "?", "%3f", "#", "%23").Replace(filepath.ToSlash(filepath.Join(dir, file)))
	if filepath.VolumeName(dir) != "" {
		escaped = "/" + escaped
	}
	db, err := sql.Open("sqlite", "file:"+escaped+"?_pragma=busy_timeout(10000)&"+settings)
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", filepath.Join(dir, file), err)
	}
	return db, nil
}

// explain says what to do about an error of SQLite's.
func (s *store) explain(err error) error { return explain(s.dir, err) }

func explain(dir string, err error) error {
	if err == nil {
		return nil
	}
	path := filepath.Join(dir, file)
	var e *sqlite.Error
	if errors.As(err, &e) {
		switch e.Code() & 0xff {
		case sqlite3.SQLITE_FULL:
			err = &runlog.FullError{Folder: dir, Err: fmt.Errorf("%w; %w", syscall.ENOSPC, err)}
		case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
			err = fmt.Errorf("another program has it locked; close that and run the same command again to go on (%w)", err)
		case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
			err = fmt.Errorf("the file is damaged; put a copy in its place, or move it away to start over (%w)", err)
		case sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM:
			err = fmt.Errorf("it cannot be opened for this; check the rights of the file and of its folder (%w)", err)
		}
	}
	return fmt.Errorf("%s: %w", path, err)
}

// close waits for what is queued and closes the file. No put may come later.
func (s *store) close() error {
	close(s.queue)
	s.closed.Wait()
	return s.explain(s.closeFiles())
}

func (s *store) closeFiles() error {
	var errs []error
	for _, stmt := range []*sql.Stmt{s.lookup, s.call, s.sample, s.add} {
		if stmt != nil {
			errs = append(errs, stmt.Close())
		}
	}
	if s.read != nil {
		errs = append(errs, s.read.Close())
	}
	return errors.Join(append(errs, s.write.Close())...)
}

// put queues a write and waits until it is durable. The error is for good: the store takes nothing more.
func (s *store) put(apply func(*statements) error) error {
	w := &write{apply: apply, done: make(chan error, 1)}
	s.queue <- w
	return <-w.done
}

// writer commits what is queued, as much as there is, as one transaction after the other.
func (s *store) writer() {
	for w := range s.queue {
		group := []*write{w}
	more:
		for len(group) < cap(s.queue) {
			select {
			case w, ok := <-s.queue:
				if !ok {
					break more
				}
				group = append(group, w)
			default:
				break more
			}
		}
		if s.err == nil {
			s.err = s.explain(s.commit(group))
		}
		for _, w := range group {
			w.done <- s.err
		}
	}
}

// commit writes a group as one transaction.
func (s *store) commit(group []*write) error {
	ctx := context.Background() // a commit is short, and what was paid for is kept even if the run is being stopped
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	st := statements{tx: tx}
	for _, w := range group {
		if err := w.apply(&st); err != nil {
			return errors.Join(err, ignoreDone(tx.Rollback()))
		}
	}
	if st.calls > 0 {
		if _, err := tx.Stmt(s.add).Exec(st.calls, st.tokensIn, st.tokensOut); err != nil {
			return errors.Join(err, ignoreDone(tx.Rollback()))
		}
	}
	return tx.Commit()
}

// ignoreDone leaves out that SQLite has rolled back by itself, as it does when the disk is full.
func ignoreDone(err error) error {
	var e *sqlite.Error
	if errors.Is(err, sql.ErrTxDone) || errors.As(err, &e) {
		return nil
	}
	return err
}

// statements is what one transaction has to write with, and what the calls in it cost.
type statements struct {
	tx                         *sql.Tx
	calls, tokensIn, tokensOut int64
}

// putCall keeps a call's completion and what it cost.
func (s *store) putCall(k key, identity string, request, completion []byte, tokensIn, tokensOut int64) error {
	request, err := pack(request)
	if err != nil {
		return err
	}
	if completion, err = pack(completion); err != nil {
		return err
	}
	return s.put(func(st *statements) error {
		result, err := st.tx.Stmt(s.call).Exec(k[:], identity, request, completion)
		if err != nil {
			return err
		}
		n, err := result.RowsAffected()
		if n > 0 {
			st.calls, st.tokensIn, st.tokensOut = st.calls+1, st.tokensIn+tokensIn, st.tokensOut+tokensOut
		}
		return err
	})
}

// getCall returns the completion of a call as JSON, nil if it has not been made.
func (s *store) getCall(ctx context.Context, k key) ([]byte, error) {
	var blob []byte
	err := s.lookup.QueryRowContext(ctx, k[:]).Scan(&blob)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err == nil {
		blob, err = unpack(blob)
	}
	if err != nil && ctx.Err() == nil {
		return nil, s.explain(err)
	}
	return blob, err
}

// row is a sample as the store has it.
type row struct {
	id         string
	epoch, seq int
	state      State
	reason     string
	uses, body []byte // packed JSON
}

// putSample keeps a sample in the place of the one that had the same ID and epoch.
func (s *store) putSample(r row) error {
	return s.put(func(st *statements) error {
		_, err := st.tx.Stmt(s.sample).Exec(r.id, r.epoch, r.seq, string(r.state), r.reason, r.uses, r.body)
		return err
	})
}

// bind notes what the folder's samples are made with, and refuses to go on with anything else.
func (s *store) bind(ctx context.Context, settings map[string]string) error {
	data, err := json.Marshal(settings)
	if err != nil {
		return err
	}
	var old string
	err = s.write.QueryRowContext(ctx, "SELECT value FROM settings WHERE name = 'run'").Scan(&old)
	if errors.Is(err, sql.ErrNoRows) {
		return s.put(func(st *statements) error {
			_, err := st.tx.Exec("INSERT INTO settings VALUES ('run', ?)", string(data))
			return err
		})
	}
	if err != nil {
		return s.explain(err)
	}
	var was map[string]string
	if err := json.Unmarshal([]byte(old), &was); err != nil {
		return s.explain(fmt.Errorf("the file is damaged: its settings cannot be read: %w", err))
	}
	for _, name := range slices.Sorted(maps.Keys(was)) {
		if _, ok := settings[name]; !ok {
			return fmt.Errorf("%s was begun with %s %q and cannot go on without: run the same command again, or choose another run folder", s.dir, name, was[name])
		}
	}
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		if was, now := was[name], settings[name]; was != now {
			return fmt.Errorf("%s was begun with %s %q and cannot go on with %q: run the same command again, or choose another run folder", s.dir, name, was, now)
		}
	}
	return nil
}

// openReader opens the store of a run folder for reading only.
func openReader(ctx context.Context, dir string) (*sql.DB, error) {
	if _, err := os.Stat(filepath.Join(dir, file)); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%s holds no audit: %w", dir, err)
		}
		return nil, err
	}
	settings := "mode=ro"
	for {
		db, err := open(dir, settings)
		if err != nil {
			return nil, err
		}
		version, err := userVersion(ctx, db)
		if err == nil {
			err = checkVersion(version)
		}
		if err == nil {
			return db, nil
		}
		if err := db.Close(); err != nil {
			return nil, explain(dir, err)
		}
		// Where the folder cannot be written, as on a read-only disk, SQLite needs to be told that nobody else does so.
		_, walErr := os.Stat(filepath.Join(dir, file+"-wal"))
		var e *sqlite.Error
		if settings != "mode=ro" || !errors.As(err, &e) || e.Code()&0xff != sqlite3.SQLITE_CANTOPEN && e.Code()&0xff != sqlite3.SQLITE_READONLY || walErr == nil {
			return nil, explain(dir, err)
		}
		settings = "mode=ro&immutable=1"
	}
}
