package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"candor/internal/rng"
	"candor/openai"
	"candor/reasoning/compose"
	"candor/reasoning/llm"
	"candor/serve/api"
	"candor/serve/ledger"
	"candor/serve/record"
)

// System is something that clients can ask for by its name.
type System struct {
	Name, About string
	// Main answers, or the Agent does; one of them is given.
	Main  compose.Parts
	Agent *Agent
	// Trusted answers where a verdict of Main's is deferred; nil where none is.
	Trusted compose.Parts
	// Rules say what follows for each gate of Main, in their order; gates beyond them block.
	Rules []Rule
	// Tries is the most tries of Main that resampling makes, 1 or more; 0 means 1.
	Tries int
	// Timeout bounds the work on one answer, a person's time not counted; 0 sets no bound.
	Timeout time.Duration
	// HoldWait is how long a client waits for a person before it is told that the answer is held.
	HoldWait time.Duration
	// Tools tells whether clients may offer tools.
	Tools bool
	// Served is what clients are told of it.
	Served openai.ServedModel
	// Ungated tells that the reasoner has no passing audit evidence; Evidence says what it has.
	Ungated  bool
	Evidence string
}

// Ledger is what the gateway writes: [ledger.Ledger], or one that fails in a test.
type Ledger interface {
	Append(ctx context.Context, entries ...ledger.Entry) ([]ledger.Receipt, error)
	Abandon(trace, why string)
	Redact(ctx context.Context, trace, who, why string, names ...string) (n int, err error)
	Err() error
	Stats() ledger.Stats
}

// Reader is what it reads again: [ledger.Reader].
type Reader interface {
	Trace(ctx context.Context, trace string) ([]ledger.Entry, error)
	Traces(ctx context.Context, traces []string) (map[string][]ledger.Entry, error)
	Begins(ctx context.Context, before int64, limit int) ([]ledger.Entry, error)
	Waiting(ctx context.Context, kind, until ledger.Kind) ([]string, error)
}

// Options is what a gateway needs from outside.
type Options struct {
	Systems []System // the first is the default
	// Version says which program serves, for the record.
	Version string
	Ledger  Ledger
	Reader  Reader
	// Clock must be that of the machine.
	Clock func() time.Time
	// Random seeds tries after the first.
	Random rng.Source
	// InFlight is the most answers that are worked on at a time; others are refused with a 429. 0 means 1,024.
	InFlight int
	// Key returns the ID of whose request it is, and Charge counts the tokens that it cost.
	Key    func(ctx context.Context) string
	Charge func(ctx context.Context, tokens int)
	// Observe is told of every trace after its end; nil for nobody. It must not block.
	Observe func(ctx context.Context, o Observation)
}

// Observation is a trace for telemetry.
type Observation struct {
	Trace   string
	Arrived time.Time
	Begin   record.Begin
	Stages  []record.Stage
	End     record.End
	// These are the texts, for who is to see them: the answer only if it is released.
	Prompt []llm.Message
	Answer *record.Answer
	Tries  []*record.Try
}

// Gateway answers requests. Its methods may be called concurrently.
type Gateway struct {
	Options
	systems map[string]*System
	hub     *hub
	room    chan struct{}

	mu      sync.Mutex
	waiters map[string]chan record.Review // clients that wait for a person, by trace
}

// New returns a gateway, and writes into the ledger what it serves and with which evidence. Its error says what is wrong with the
// options.
func New(ctx context.Context, o Options) (*Gateway, error) {
	if o.Ledger == nil || o.Reader == nil || o.Clock == nil {
		return nil, errors.New("making a gateway: Ledger, Reader and Clock must be given")
	}
	if o.InFlight == 0 {
		o.InFlight = 1024
	}
	if o.Key == nil {
		o.Key = func(context.Context) string { return "" }
	}
	if o.Charge == nil {
		o.Charge = func(context.Context, int) {}
	}
	if len(o.Systems) == 0 {
		return nil, errors.New("making a gateway: there is no system to serve")
	}
	g := &Gateway{Options: o, systems: map[string]*System{}, room: make(chan struct{}, o.InFlight), waiters: map[string]chan record.Review{}}
	for i := range g.Systems {
		s := &g.Systems[i]
		s.Tries = max(s.Tries, 1)
		if err := s.check(); err != nil {
			return nil, fmt.Errorf("serving %q: %w", s.Name, err)
		}
		if g.systems[s.Name] != nil {
			return nil, fmt.Errorf("two systems are called %q", s.Name)
		}
		g.systems[s.Name] = s
	}
	g.hub = newHub(o.Clock(), g.Systems)
	held, err := o.Reader.Waiting(ctx, record.KindHeld, ledger.KindReview)
	if err != nil {
		return nil, fmt.Errorf("reading which answers wait for a person: %w", err)
	}
	g.hub.held(len(held))
	return g, g.note(ctx)
}

func (s *System) check() error {
	switch {
	case s.Name == "":
		return errors.New("it has no name")
	case (s.Main == nil) == (s.Agent == nil):
		return errors.New("it needs either a system or an agent")
	}
	for i, r := range s.Rules {
		if err := r.check(s); err != nil {
			return fmt.Errorf("gate %d: %w", i, err)
		}
	}
	return nil
}

// KindServed is an entry that says what a gateway serves from here on.
const KindServed ledger.Kind = "served"

// note writes what is served.
func (g *Gateway) note(ctx context.Context) error {
	type served struct {
		Name     string `json:"name"`
		About    string `json:"about"`
		Ungated  bool   `json:"ungated"`
		Evidence string `json:"evidence"`
		Rules    []Rule `json:"rules"`
		Weights  string `json:"weights,omitempty"`
	}
	var list []served
	for _, s := range g.Systems {
		list = append(list, served{s.Name, s.About, s.Ungated, s.Evidence, s.Rules, s.Served.Weights})
	}
	body, err := ledger.Marshal(map[string]any{"version": g.Version, "systems": list})
	if err != nil {
		return err
	}
	if _, err := g.Ledger.Append(ctx, ledger.Entry{Kind: KindServed, Body: body}); err != nil {
		return fmt.Errorf("recording what is served: %w", err)
	}
	return nil
}

// Models returns the systems for the front.
func (g *Gateway) Models() []api.Model {
	var out []api.Model
	for _, s := range g.Systems {
		out = append(out, api.Model{Name: s.Name, Served: s.Served, Backend: g, Tools: s.Tools})
	}
	return out
}

// Ready returns why no request can be answered now, nil if they can.
func (g *Gateway) Ready(context.Context) error { return g.Ledger.Err() }

// Answer implements api.Backend.
func (g *Gateway) Answer(ctx context.Context, c *api.Call) (*api.Answers, error) {
	s := g.systems[c.Model]
	if s == nil {
		return nil, &api.Fault{Status: http.StatusNotFound, Param: "model", Code: "model_not_found", Message: fmt.Sprintf("there is no model %.80q here", c.Model)}
	}
	leave, err := g.enter(len(c.Requests))
	if err != nil {
		return nil, err
	}
	defer leave()
	works := make([]*work, len(c.Requests))
	for i, r := range c.Requests {
		works[i] = g.begin(ctx, s, c, i, r)
	}
	if err := g.recordBegins(ctx, works); err != nil {
		return nil, err
	}
	var wg sync.WaitGroup
	for _, w := range works[1:] {
		wg.Go(w.run)
	}
	works[0].run()
	wg.Wait()
	return collect(works)
}

// enter takes room for n answers.
func (g *Gateway) enter(n int) (leave func(), err error) {
	for i := range n {
		select {
		case g.room <- struct{}{}:
		default:
			for range i {
				<-g.room
			}
			return nil, &api.Fault{Status: http.StatusTooManyRequests, Code: "overloaded", After: time.Second,
				Message: fmt.Sprintf("%d answers are worked on already, which is the most; try again soon", cap(g.room))}
		}
	}
	return func() {
		for range n {
			<-g.room
		}
	}, nil
}

// collect puts the answers together. If one of them failed, the call does: a client that asked for n gets n or an error.
func collect(works []*work) (*api.Answers, error) {
	out := &api.Answers{Header: http.Header{}}
	for _, w := range works {
		if w.fault != nil {
			return nil, w.fault
		}
		out.Answers = append(out.Answers, w.answer)
	}
	works[0].timing(out.Header)
	return out, nil
}

// unavailable is the fault of a ledger that takes no entries.
func unavailable(err error) error {
	if !errors.Is(err, ledger.ErrUnavailable) {
		return err
	}
	return &api.Fault{Status: http.StatusServiceUnavailable, Code: "ledger_unavailable", After: time.Second,
		Message: "the record takes no entries now, and nothing is answered without it; try again soon"}
}
