package ledger

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// The tables of a Postgres database, in a schema of their own. Head has one row: where the chain stands. Who locks it writes, one
// gateway after the other, so there is one chain. Begun has the traces that are open and whose they are, instances the gateways
// that are alive. Nothing in these three counts as evidence.
const postgresSchema = `
CREATE TABLE entries (
	seq BIGINT PRIMARY KEY, time BIGINT NOT NULL, back BIGINT NOT NULL, kind TEXT NOT NULL, trace TEXT COLLATE "C" NOT NULL,
	body TEXT NOT NULL, prev BYTEA NOT NULL, hash BYTEA NOT NULL, contents BYTEA
);
CREATE INDEX traces ON entries (trace) WHERE trace <> '';
CREATE INDEX others ON entries (kind, trace, seq) WHERE ` + isOther + `;
CREATE TABLE head (format INTEGER NOT NULL, seq BIGINT NOT NULL, hash BYTEA NOT NULL, time BIGINT NOT NULL, unsigned INTEGER NOT NULL);
INSERT INTO head VALUES (2, 0, '', 0, 0);
CREATE TABLE instances (id TEXT COLLATE "C" PRIMARY KEY, token TEXT NOT NULL, seen TIMESTAMPTZ NOT NULL);
CREATE TABLE begun (trace TEXT COLLATE "C" PRIMARY KEY, seq BIGINT NOT NULL, instance TEXT COLLATE "C" NOT NULL);
`

// postgresStore is a Postgres database as one gateway writes to it, over one connection. What Postgres's clock says decides who is
// alive, since the gateways' own may differ.
type postgresStore struct {
	postgresPlace
	opts       *Options
	conn       *pgx.Conn
	token      string // tells this process from others of the same name
	registered bool

	was    position
	others map[string]bool // traces of the group that others have open
	queue  *pgx.Batch      // statements that were not sent yet
	size   int             // bytes in them
	vacuum vacuum
}

func openPostgres(ctx context.Context, where string, opts *Options) (_ *postgresStore, err error) {
	place, err := parsePostgres(where)
	if err != nil {
		return nil, err
	}
	place.config.ConnectTimeout = max(opts.Busy, 10*time.Second) // nobody waits for a receipt yet
	place.config.RuntimeParams["synchronous_commit"] = "on"
	place.config.RuntimeParams["lock_timeout"] = milliseconds(opts.Busy)
	place.config.RuntimeParams["idle_in_transaction_session_timeout"] = milliseconds(opts.Busy + 5*time.Second)
	s := &postgresStore{postgresPlace: place, opts: opts, token: fmt.Sprintf("%x", opts.Secret(16)), queue: &pgx.Batch{}}
	defer func() {
		if err != nil {
			err = errors.Join(s.explain(err), s.close())
		}
	}()
	if err := s.connect(ctx); err != nil {
		return nil, err
	}
	s.config.ConnectTimeout = opts.Busy
	return s, s.makeTables(ctx)
}

// milliseconds writes a time limit as Postgres reads it, to which 0 is none.
func milliseconds(d time.Duration) string { return fmt.Sprint(max(d.Milliseconds(), 1)) }

// connect connects unless there is a connection.
func (s *postgresStore) connect(ctx context.Context) (err error) {
	if s.conn == nil || s.conn.IsClosed() {
		s.queue, s.size = &pgx.Batch{}, 0
		s.conn, err = pgx.ConnectConfig(ctx, s.config)
	}
	return err
}

// within limits a round trip, by what it has to carry.
func (s *postgresStore) within(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, s.opts.Busy+500*time.Millisecond+time.Duration(s.size)*time.Second/(4<<20))
}

func (s *postgresStore) makeTables(ctx context.Context) error {
	for _, need := range []struct{ setting, value, why string }{
		{"fsync", "on", "what it has taken could be lost"},
		{"server_encoding", "UTF8", "it could not hold every text"},
	} {
		var is string
		if err := s.conn.QueryRow(ctx, "SHOW "+need.setting).Scan(&is); err != nil {
			return err
		}
		if is != need.value {
			return fmt.Errorf("the database has %s = %s, and so %s: use one with %s = %s", need.setting, is, need.why, need.setting, need.value)
		}
	}
	return pgx.BeginFunc(ctx, s.conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock(hashtext($1))", "candor ledger "+s.schema); err != nil {
			return err
		}
		var there, tables bool
		if err := tx.QueryRow(ctx, "SELECT to_regnamespace($1) IS NOT NULL, to_regclass('head') IS NOT NULL", s.schema).Scan(&there, &tables); err != nil {
			return err
		}
		if tables {
			var version int
			if err := tx.QueryRow(ctx, "SELECT format FROM head").Scan(&version); err != nil {
				return err
			}
			return checkVersion(version)
		}
		if !there {
			if _, err := tx.Exec(ctx, "CREATE SCHEMA "+s.schema); err != nil {
				return err
			}
		}
		_, err := tx.Exec(ctx, postgresSchema)
		return err
	})
}

// load also makes this gateway known to the others.
func (s *postgresStore) load(ctx context.Context) (now position, open map[string]int64, err error) {
	ctx, cancel := s.within(ctx)
	defer cancel()
	if err := s.connect(ctx); err != nil {
		return now, nil, err
	}
	open = map[string]int64{}
	err = pgx.BeginFunc(ctx, s.conn, func(tx pgx.Tx) error {
		var head position
		var hash []byte
		if err := tx.QueryRow(ctx, "SELECT seq, hash FROM head FOR UPDATE").Scan(&head.seq, &hash); err != nil {
			return err
		}
		if now, err = standing(ctx, s); err != nil {
			return err
		}
		if now.seq != head.seq || now.seq > 0 && now.hash != storedHash(hash) {
			return fmt.Errorf("entry %d is the last, but the table head says that it is entry %d with hash %x: candor ledger verify says more", now.seq, head.seq, hash)
		}
		if err := s.register(ctx, tx); err != nil {
			return err
		}
		return s.each(ctx, "SELECT trace, seq FROM begun WHERE instance = $1", []any{s.opts.Instance}, func(scan func(...any) error) error {
			var trace string
			var seq int64
			err := scan(&trace, &seq)
			open[trace] = seq
			return err
		})
	})
	s.registered = s.registered || err == nil
	return now, open, err
}

// register writes this gateway's name into the table of those that are alive. One that starts takes the name over.
func (s *postgresStore) register(ctx context.Context, tx pgx.Tx) error {
	if s.registered {
		token, err := s.tokenOf(ctx, tx)
		if err != nil || token == s.token {
			return err
		}
		if token != "" {
			return s.replaced()
		}
	}
	_, err := tx.Exec(ctx, "INSERT INTO instances VALUES ($1, $2, clock_timestamp()) ON CONFLICT (id) DO UPDATE SET token = EXCLUDED.token, seen = EXCLUDED.seen", s.opts.Instance, s.token)
	return err
}

func (s *postgresStore) tokenOf(ctx context.Context, tx pgx.Tx) (token string, err error) {
	err = tx.QueryRow(ctx, "SELECT COALESCE(MAX(token), '') FROM instances WHERE id = $1", s.opts.Instance).Scan(&token)
	return token, err
}

func (s *postgresStore) replaced() error {
	return fmt.Errorf("another gateway with the name %q has started and has taken over: give each a name of its own, and start this one again", s.opts.Instance)
}

// begin begins a transaction, locks the head and finds out all that matters in one round trip.
func (s *postgresStore) begin(ctx context.Context, _ position, group []*write) (transaction, error) {
	ctx, cancel := s.within(ctx)
	defer cancel()
	if err := s.connect(ctx); err != nil {
		return nil, err
	}
	var hash []byte
	var token string
	s.others = nil
	b := &pgx.Batch{}
	b.Queue("BEGIN")
	b.Queue("SELECT seq, hash, time, unsigned FROM head FOR UPDATE").QueryRow(func(row pgx.Row) error {
		return row.Scan(&s.was.seq, &hash, &s.was.time, &s.was.unsigned)
	})
	b.Queue("SELECT COALESCE(MAX(token), '') FROM instances WHERE id = $1", s.opts.Instance).QueryRow(func(row pgx.Row) error { return row.Scan(&token) })
	if begins := beginsOf(group); len(begins) > 0 {
		b.Queue("SELECT trace FROM begun WHERE trace = ANY($1) AND instance <> $2", begins, s.opts.Instance).Query(func(rows pgx.Rows) error {
			others, err := pgx.CollectRows(rows, pgx.RowTo[string])
			for _, trace := range others {
				if s.others == nil {
					s.others = map[string]bool{}
				}
				s.others[trace] = true
			}
			return err
		})
	}
	err := s.conn.SendBatch(ctx, b).Close()
	switch {
	case err != nil:
	case token == "":
		err = errLapsed
	case token != s.token:
		err = s.replaced()
	}
	if err != nil {
		return nil, errors.Join(err, s.rollback())
	}
	if s.was.hash = (Hash{}); s.was.seq > 0 {
		s.was.hash = storedHash(hash)
	}
	return s, nil
}

func beginsOf(group []*write) (traces []string) {
	for _, w := range group {
		for i := range w.entries {
			if w.entries[i].Kind == KindBegin {
				traces = append(traces, w.entries[i].Trace)
			}
		}
	}
	return traces
}

func (s *postgresStore) at() position { return s.was }

func (s *postgresStore) taken(trace string) bool { return s.others[trace] }

func (s *postgresStore) beats() time.Duration { return s.opts.lease / 3 }

// beat takes for dead who was not heard of for the length of a lease; unless this gateway was away itself, or Postgres was,
// for then the others may have been away with it.
func (s *postgresStore) beat(ctx context.Context) (orphans []string, err error) {
	var judges bool
	lease := s.opts.lease.Milliseconds()
	const since = "clock_timestamp() - $1 * interval '1 millisecond'"
	if err := s.each(ctx, "SELECT seen > "+since+" AND pg_postmaster_start_time() < "+since+" FROM instances WHERE id = $2", []any{lease, s.opts.Instance},
		func(scan func(...any) error) error { return scan(&judges) }); err != nil {
		return nil, err
	}
	if err := s.exec(ctx, "UPDATE instances SET seen = clock_timestamp() WHERE id = $1", s.opts.Instance); err != nil {
		return nil, err
	}
	if judges {
		if err := s.exec(ctx, "DELETE FROM instances WHERE seen < "+since, lease); err != nil {
			return nil, err
		}
	}
	err = s.each(ctx, "SELECT trace FROM begun b WHERE NOT EXISTS (SELECT 1 FROM instances i WHERE i.id = b.instance) ORDER BY seq", nil, func(scan func(...any) error) error {
		var trace string
		err := scan(&trace)
		orphans = append(orphans, trace)
		return err
	})
	return orphans, err
}

func (s *postgresStore) insert(_ context.Context, entries []*Entry) error {
	n := len(entries)
	seq, at, back := make([]int64, n), make([]int64, n), make([]int64, n)
	kind, trace, body := make([]string, n), make([]string, n), make([]string, n)
	prev, hash, contents := make([][]byte, n), make([][]byte, n), make([][]byte, n)
	began := map[string]int64{}
	var ended []string
	for i, e := range entries {
		seq[i], at[i], back[i] = e.Seq, e.Time.UnixMilli(), e.Back
		kind[i], trace[i], body[i] = string(e.Kind), e.Trace, string(e.Body)
		prev[i], hash[i], contents[i] = e.Prev[:], e.Hash[:], e.stored
		s.size += len(e.Body) + len(e.stored) + len(e.Trace)
		switch e.Kind {
		case KindBegin:
			began[e.Trace] = e.Seq
		case KindEnd, KindAbandoned:
			ended = append(ended, e.Trace)
			delete(began, e.Trace)
		}
	}
	s.queue.Queue("INSERT INTO entries SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::bytea[], $8::bytea[], $9::bytea[])",
		seq, at, back, kind, trace, body, prev, hash, contents)
	if len(ended) > 0 {
		s.queue.Queue("DELETE FROM begun WHERE trace = ANY($1)", ended)
	}
	if len(began) > 0 {
		traces, seqs := make([]string, 0, len(began)), make([]int64, 0, len(began))
		for trace, seq := range began {
			traces, seqs = append(traces, trace), append(seqs, seq)
		}
		s.queue.Queue("INSERT INTO begun SELECT unnest($1::text[]), unnest($2::bigint[]), $3", traces, seqs, s.opts.Instance)
	}
	return nil
}

// send sends what waits to be sent.
func (s *postgresStore) send(ctx context.Context) error {
	if s.queue.Len() == 0 {
		return nil
	}
	ctx, cancel := s.within(ctx)
	defer cancel()
	b := s.queue
	s.queue, s.size = &pgx.Batch{}, 0
	return s.conn.SendBatch(ctx, b).Close()
}

func (s *postgresStore) each(ctx context.Context, query string, args []any, f func(scan func(...any) error) error) error {
	if err := s.send(ctx); err != nil {
		return err
	}
	ctx, cancel := s.within(ctx)
	defer cancel()
	return eachRow(ctx, s.conn, query, args, f)
}

func (s *postgresStore) exec(ctx context.Context, query string, args ...any) error {
	if err := s.send(ctx); err != nil {
		return err
	}
	ctx, cancel := s.within(ctx)
	defer cancel()
	_, err := s.conn.Exec(ctx, query, args...)
	return err
}

func (s *postgresStore) commit(ctx context.Context, now position, _ int64) error {
	s.queue.Queue("UPDATE head SET seq = $1, hash = $2, time = $3, unsigned = $4", now.seq, now.hash[:], now.time, now.unsigned)
	s.queue.Queue("COMMIT")
	if err := s.send(ctx); err != nil {
		return errors.Join(err, s.rollback())
	}
	return nil
}

func (s *postgresStore) rollback() error {
	s.queue, s.size = &pgx.Batch{}, 0
	if s.conn.IsClosed() || s.conn.PgConn().TxStatus() == 'I' {
		return nil
	}
	return s.exec(context.Background(), "ROLLBACK")
}

func (s *postgresStore) close() error {
	s.vacuum.stop()
	if s.conn == nil {
		return nil
	}
	ctx, cancel := s.within(context.Background())
	defer cancel()
	var err error
	if s.registered && !s.conn.IsClosed() { // what it has open is everybody's now
		_, err = s.conn.Exec(ctx, "DELETE FROM instances WHERE id = $1 AND token = $2", s.opts.Instance, s.token)
	}
	return s.explain(errors.Join(err, hangUp(ctx, s.conn)))
}

// purge has Postgres give free the space of what was redacted.
func (s *postgresStore) purge(context.Context) (done bool, err error) {
	return s.vacuum.start(s.config.Copy()), nil
}
