package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"candor/internal/rng"
	"candor/serve/api"
	"candor/serve/auth"
	"candor/serve/config"
	"candor/serve/gateway"
	"candor/serve/ledger"
	webpage "candor/serve/page"
	"candor/serve/telemetry"
)

// gatewayRun is a gateway with everything that it stands on. Its parts are closed in the reverse of the order in which they were opened.
type gatewayRun struct {
	c       *config.Config
	dir     string // of the configuration
	w       *world
	random  rng.Source
	closers []func() error

	ledger    *ledger.Ledger
	reader    *ledger.Reader
	auth      *auth.Auth
	gateway   *gateway.Gateway
	telemetry *telemetry.Telemetry
}

func (r *gatewayRun) atEnd(f func() error) { r.closers = append(r.closers, f) }

func (r *gatewayRun) close() error {
	var errs []error
	for i := len(r.closers) - 1; i >= 0; i-- {
		errs = append(errs, r.closers[i]())
	}
	return errors.Join(errs...)
}

// configuration reads the file, or makes the one of a system of the lab.
func (c *serveCmd) configuration() (cfg *config.Config, dir string, err error) {
	if c.Config == "" {
		name := c.Model
		if name == "" {
			name = servedArm
		}
		cfg, err = config.Lab(name, c.Ungated)
		return cfg, ".", err
	}
	if c.Model != "" {
		return nil, "", usageError{errors.New("name a model or give --config, not both: the file names its models")}
	}
	if cfg, err = readConfig(c.Config); err != nil {
		return nil, "", err
	}
	cfg.Reasoner.Ungated = cfg.Reasoner.Ungated || c.Ungated
	return cfg, filepath.Dir(c.Config), nil
}

func readConfig(file string) (*config.Config, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, usageError{fmt.Errorf("--config: %w", err)}
	}
	defer f.Close()
	c, err := config.Parse(f)
	if err != nil {
		return nil, usageError{fmt.Errorf("%s:\n%w", file, err)}
	}
	return c, nil
}

// serveSystem serves the two-part system until it is interrupted.
func (c *serveCmd) serveSystem(ctx context.Context, w *world) (err error) {
	cfg, dir, err := c.configuration()
	if err != nil {
		return err
	}
	if c.Listen != "" {
		cfg.Listen = c.Listen
	}
	r := &gatewayRun{c: cfg, dir: dir, w: w, random: rng.New(uint64(w.clock().UnixNano())).Split("serve")}
	defer func() { err = errors.Join(err, r.close()) }()
	if err := r.openLedger(ctx); err != nil {
		return err
	}
	l, err := r.listen()
	if err != nil {
		return err
	}
	front, err := r.front(ctx, l.Addr())
	if err != nil {
		return errors.Join(err, l.Close())
	}
	r.greet(l.Addr())
	return ended(ctx, front.Serve(ctx, l))
}

// ended says how a server stopped.
func ended(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return interrupted("stopped; all requests that were under way are answered")
	case ctx.Err() != nil:
		return interrupted(err.Error())
	}
	return err
}

// path is a path of the configuration's.
func (r *gatewayRun) path(p string) string { return (&builder{dir: r.dir}).path(p) }

func (r *gatewayRun) openLedger(ctx context.Context) error {
	keyFile := r.path(r.c.LedgerKey)
	if err := os.MkdirAll(filepath.Dir(keyFile), 0o700); err != nil {
		return fmt.Errorf("making the folder of the ledger's key: %w", err)
	}
	key, err := ledger.LoadKey(keyFile, rng.Secret)
	if err != nil {
		return err
	}
	where, err := r.ledgerPlace()
	if err != nil {
		return err
	}
	if r.ledger, err = ledger.Open(ctx, where, ledger.Options{Key: key, Clock: r.w.clock, Secret: rng.Secret}); err != nil {
		return err
	}
	r.atEnd(r.ledger.Close)
	if n := len(r.ledger.Recovered()); n > 0 {
		fmt.Fprintf(r.w.stderr, "%s found open and closed: the gateway before this one was killed. Nothing of them was released.\n", count(n, "request"))
	}
	if r.reader, err = ledger.OpenReader(ctx, where); err != nil {
		return err
	}
	r.atEnd(r.reader.Close)
	return nil
}

// ledgerPlace is a file, or a database's URL from the environment.
func (r *gatewayRun) ledgerPlace() (string, error) {
	if name, ok := strings.CutPrefix(r.c.Ledger, "env:"); ok {
		where := r.w.env(name)
		if where == "" {
			return "", usageError{fmt.Errorf("ledger: the variable %s is empty; set it to a postgres:// URL", name)}
		}
		return where, nil
	}
	where := r.path(r.c.Ledger)
	return where, os.MkdirAll(filepath.Dir(where), 0o700)
}

// listen opens the address. Beyond this machine clients need keys and the connection encryption, unless a proxy in front has it.
func (r *gatewayRun) listen() (net.Listener, error) {
	address, err := net.ResolveTCPAddr("tcp", r.c.Listen)
	if err != nil {
		return nil, usageError{fmt.Errorf("listen %s: %w; write an address and a port, such as 127.0.0.1:8473", r.c.Listen, err)}
	}
	l, err := net.ListenTCP("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listening: %w", err)
	}
	if err := r.openAuth(l.Addr()); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	if r.c.TLS == nil {
		return l, nil
	}
	cert, err := tls.LoadX509KeyPair(r.path(r.c.TLS.Cert), r.path(r.c.TLS.Key))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("tls: %w", err), l.Close())
	}
	return tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}), nil
}

// loopback tells whether an address can be reached from this machine alone.
func loopback(a net.Addr) bool {
	t, ok := a.(*net.TCPAddr)
	return ok && t.IP.IsLoopback()
}

func (r *gatewayRun) openAuth(a net.Addr) (err error) {
	file := r.path(r.c.Keys)
	_, missing := os.Stat(file)
	anonymous := loopback(a) && errors.Is(missing, fs.ErrNotExist)
	if !loopback(a) && errors.Is(missing, fs.ErrNotExist) {
		return usageError{fmt.Errorf("%s can be reached from other machines, and there are no keys in %s: make one with %s keys add --file %s --name NAME, or listen at 127.0.0.1",
			a, file, r.w.program, quote(file))}
	}
	r.auth, err = auth.Open(auth.Options{File: file, Anonymous: anonymous, Address: a.String(), TLS: r.c.TLS != nil, Clock: r.w.clock, Secret: rng.Secret})
	return err
}

// front puts everything together.
func (r *gatewayRun) front(ctx context.Context, a net.Addr) (*api.Server, error) {
	systems, err := r.systems(ctx)
	if err != nil {
		return nil, err
	}
	if err := r.openTelemetry(ctx); err != nil {
		return nil, err
	}
	r.gateway, err = gateway.New(ctx, gateway.Options{
		Systems: systems, Version: version(), Ledger: r.ledger, Reader: r.reader, Clock: r.w.clock, Random: r.random.Split("tries"), InFlight: r.c.Limits.InFlight,
		Key: r.auth.Key, Charge: r.auth.Charge, Observe: r.observe,
	})
	if err != nil {
		return nil, err
	}
	r.telemetry.Gauges(r.gateway.Stats, func() telemetry.Ledger {
		s := r.ledger.Stats()
		return telemetry.Ledger{Entries: s.Entries, Commits: s.Commits, Refused: s.Refused, Waiting: s.Waiting, Open: s.Open}
	})
	s, err := api.New(api.Options{Models: r.gateway.Models(), Admit: r.admit, Ready: r.ready, Random: r.random.Split("names"), Clock: r.w.clock, MaxBody: r.c.Limits.BodyBytes})
	if err != nil {
		return nil, err
	}
	pages, err := webpage.New(webpage.Options{Source: r.gateway, Guard: r.auth.Guard(), Clock: r.w.clock, Name: r.c.Name})
	if err != nil {
		return nil, err
	}
	s.Handle("/", pages)
	s.Handle("/metrics", r.auth.Guard().Require(auth.Operator)(r.telemetry.Metrics()))
	return s, nil
}

// systems makes what is served.
func (r *gatewayRun) systems(ctx context.Context) ([]gateway.System, error) {
	b := &builder{w: r.w, dir: r.dir, c: r.c, clients: map[string]*remote{}, random: r.random.Split("roles")}
	systems, err := b.systems(ctx)
	for _, close := range b.closers {
		r.atEnd(close)
	}
	return systems, err
}

// observe tells telemetry of a trace. Texts are handed over only where they are to be shown.
func (r *gatewayRun) observe(ctx context.Context, o gateway.Observation) {
	out := telemetry.Observation{Trace: o.Trace, Arrived: o.Arrived, Begin: o.Begin, Stages: o.Stages, End: o.End}
	if t := r.c.Telemetry; t != nil && t.Content {
		out.Prompt, out.Answer, out.Tries = o.Prompt, o.Answer, o.Tries
	}
	r.telemetry.Observe(ctx, out)
}

// ready tells whether requests can be answered.
func (r *gatewayRun) ready(ctx context.Context) error {
	return errors.Join(r.gateway.Ready(ctx), r.auth.Ready())
}

// admit lets a client in by its key.
func (r *gatewayRun) admit(req *http.Request) (context.Context, func(), error) {
	ctx, done, err := r.auth.Admit(req)
	if ctx != nil {
		ctx = telemetry.Parent(ctx, req.Header)
	}
	var refused *auth.Error
	if errors.As(err, &refused) {
		err = &api.Fault{Status: refused.Status, Code: refused.Code, Message: refused.Message, After: refused.After}
	}
	return ctx, done, err
}

// greet says where to go.
func (r *gatewayRun) greet(a net.Addr) {
	scheme := "http"
	if r.c.TLS != nil {
		scheme = "https"
	}
	url := scheme + "://" + a.String()
	fmt.Fprintf(r.w.stdout, "serving %s at %s/v1\n", r.c.Name, url)
	fmt.Fprintf(r.w.stderr, "The page is at %s/\n", url)
	for _, s := range r.gateway.Systems {
		word := "gated"
		if s.Ungated {
			word = "UNGATED"
		}
		fmt.Fprintf(r.w.stderr, "%s is %s\n  %s: %s\n", s.Name, s.About, word, s.Evidence)
	}
	fmt.Fprintf(r.w.stderr, "Record: %s. Ctrl-C stops.\n", r.c.Ledger)
}

// openTelemetry starts what is told to others.
func (r *gatewayRun) openTelemetry(ctx context.Context) error {
	o := telemetry.Options{Clock: r.w.clock}
	if t := r.c.Telemetry; t != nil {
		o.Endpoint, o.Headers, o.Content, o.PrivateChain = t.Endpoint, t.Headers, t.Content, t.PrivateChain
	}
	var err error
	if r.telemetry, err = telemetry.New(ctx, o); err != nil {
		return fmt.Errorf("telemetry: %w", err)
	}
	r.atEnd(func() error {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		return r.telemetry.Shutdown(ctx)
	})
	return nil
}
