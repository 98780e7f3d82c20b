package ledger

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// postgresPlace is where a ledger lies in Postgres.
type postgresPlace struct {
	config *pgx.ConnConfig
	schema string
}

// parsePostgres reads the URL of a database. No error shows it: it may have a password.
func parsePostgres(where string) (p postgresPlace, err error) {
	const want = "want postgres://USER:PASSWORD@HOST:PORT/DATABASE, with special characters in the password as %XX"
	if _, err := url.Parse(where); err != nil {
		return p, errors.New("the URL of the ledger's database cannot be read: " + want)
	}
	if p.config, err = pgx.ParseConfig(where); err != nil {
		return p, fmt.Errorf("the URL of the ledger's database, or a setting of Postgres in the environment, cannot be used (%s): %s", settingsError(err), want)
	}
	params := p.config.RuntimeParams
	if p.schema = params["search_path"]; p.schema == "" {
		p.schema = "candor"
	}
	if !plainWord(p.schema, maxName) || strings.Contains(p.schema, "-") {
		return p, fmt.Errorf("the ledger's search_path is %q: want the name of one schema, in small letters, digits and _", p.schema)
	}
	params["search_path"] = p.schema
	if params["application_name"] == "" {
		params["application_name"] = "candor"
	}
	return p, nil
}

// settingsError returns what is wrong with settings, without the URL.
func settingsError(err error) string {
	inner := errors.Unwrap(err)
	if inner == nil {
		return "no details"
	}
	return inner.Error()
}

// name says which ledger it is, without a password.
func (p postgresPlace) name() string {
	c := p.config
	host := c.Host
	if !strings.HasPrefix(host, "/") {
		host = net.JoinHostPort(host, strconv.Itoa(int(c.Port)))
	}
	return "postgres://" + host + "/" + c.Database + "?search_path=" + p.schema
}

// explain says what to do about an error of Postgres's.
func (p postgresPlace) explain(err error) error {
	if err == nil {
		return nil
	}
	var e *pgconn.PgError
	var dial *pgconn.ConnectError
	switch {
	case errors.As(err, &e):
		err = explainCode(e.Code, err)
	case errors.As(err, &dial), errors.Is(err, context.DeadlineExceeded), pgconn.Timeout(err):
		err = fmt.Errorf("it cannot be reached; see whether Postgres runs there (%w)", err)
	}
	return fmt.Errorf("the ledger %s: %w", p.name(), err)
}

// explainCode explains an SQLSTATE.
func explainCode(code string, err error) error {
	switch {
	case code == "55P03":
		return fmt.Errorf("another program has it locked; close that (%w)", err)
	case code == "53100":
		return fmt.Errorf("the disk is full; make room on it (%w)", err)
	case code == "3F000", code == "42P01":
		return fmt.Errorf("there is no ledger in it (%w)", err)
	case code == "42501", strings.HasPrefix(code, "28"), code == "25006":
		return fmt.Errorf("it cannot be opened for this; check the rights of the user in Postgres (%w)", err)
	case strings.HasPrefix(code, "57P"), strings.HasPrefix(code, "53"), strings.HasPrefix(code, "08"):
		return fmt.Errorf("it takes no work now; see what Postgres says in its log (%w)", err)
	}
	return err
}

// postgresSource reads a Postgres database over a few connections. A nil stands for one that is not there yet.
type postgresSource struct {
	postgresPlace
	conns chan *pgx.Conn
}

func openPostgresSource(ctx context.Context, where string) (*postgresSource, error) {
	place, err := parsePostgres(where)
	if err != nil {
		return nil, err
	}
	if place.config.ConnectTimeout == 0 {
		place.config.ConnectTimeout = 10 * time.Second
	}
	s := &postgresSource{place, make(chan *pgx.Conn, readers)}
	for range readers {
		s.conns <- nil
	}
	version, err := number(ctx, s, "SELECT format FROM head")
	if err == nil {
		err = checkVersion(int(version))
	}
	if err != nil {
		return nil, errors.Join(s.explain(err), s.close())
	}
	return s, nil
}

// each asks again over a new connection if an old one turns out to be gone.
func (s *postgresSource) each(ctx context.Context, query string, args []any, f func(scan func(...any) error) error) error {
	var conn *pgx.Conn
	select {
	case conn = <-s.conns:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer func() { s.conns <- conn }()
	began := false
	once := func(scan func(...any) error) error {
		began = true
		return f(scan)
	}
	if conn != nil && !conn.IsClosed() {
		if err := eachRow(ctx, conn, query, args, once); err == nil || began || !conn.IsClosed() || ctx.Err() != nil {
			return err
		}
	}
	var err error
	if conn, err = pgx.ConnectConfig(ctx, s.config); err != nil {
		conn = nil
		return err
	}
	return eachRow(ctx, conn, query, args, once)
}

func (s *postgresSource) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	var errs []error
	for range readers {
		if conn := <-s.conns; conn != nil {
			errs = append(errs, hangUp(ctx, conn))
		}
	}
	return s.explain(errors.Join(errs...))
}

// hangUp closes a connection, and waits for one that broke to be cleaned up.
func hangUp(ctx context.Context, conn *pgx.Conn) error {
	if conn.IsClosed() {
		select {
		case <-conn.PgConn().CleanupDone():
		case <-ctx.Done():
		}
		return nil
	}
	return conn.Close(ctx)
}

func eachRow(ctx context.Context, conn *pgx.Conn, query string, args []any, f func(scan func(...any) error) error) error {
	rows, err := conn.Query(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := f(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}

// vacuum has Postgres give free the space of old versions of rows, one time after the other, beside the writer.
type vacuum struct {
	cancel context.CancelFunc
	work   sync.WaitGroup
	busy   chan struct{}
}

// start begins one, unless one is under way.
func (v *vacuum) start(config *pgx.ConnConfig) bool {
	if v.busy == nil {
		v.busy = make(chan struct{}, 1)
	}
	select {
	case v.busy <- struct{}{}:
	default:
		return false
	}
	var ctx context.Context
	ctx, v.cancel = context.WithCancel(context.Background())
	cancel := v.cancel
	v.work.Go(func() {
		defer func() { <-v.busy }()
		defer cancel()
		conn, err := pgx.ConnectConfig(ctx, config)
		if err != nil {
			return // Postgres does it by itself, if later
		}
		_, _ = conn.Exec(ctx, "VACUUM entries")
		_ = hangUp(ctx, conn)
	})
	return true
}

// stop waits for the one under way, though not for long.
func (v *vacuum) stop() {
	if v.cancel == nil {
		return
	}
	late := time.AfterFunc(10*time.Second, v.cancel)
	defer late.Stop()
	v.work.Wait()
}
