package api

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"candor/internal/rng"
)

// Bounds on what a client may cost.
const (
	maxHeader     = 64 << 10         // bytes of a request's header
	headerTimeout = 10 * time.Second // for the header to arrive
	bodyTimeout   = 60 * time.Second // for the body to arrive
	writeTimeout  = 60 * time.Second // for an answer to be taken
	idleTimeout   = 2 * time.Minute  // of a connection between requests
	restTimeout   = time.Second      // for the rest of a body that is not wanted
	offTimeout    = 5 * time.Second  // for handlers to end that were called off
)

// defaultTokens bounds completions where neither the client nor the model's context does.
const defaultTokens = 1024

// Options say what to serve.
type Options struct {
	// Models are those that clients can ask for, by their names; the first is for who asks for none.
	Models []Model
	// Admit decides who may ask for anything below /v1, before more than the header is read. ctx is that of the request from there
	// on, nil for the request's own; done is called when it is answered, nil for nothing to do. Its error is a [*Fault], or one of
	// which the client is told the kind. nil lets everybody in.
	Admit func(*http.Request) (ctx context.Context, done func(), err error)
	// Ready tells why requests cannot be answered now, for GET /readyz; nil if they always can.
	Ready func(context.Context) error
	// Random is where the seeds of requests without one, and the names of answers, are drawn from.
	Random rng.Source
	// Clock tells the time for answers and deadlines, and must be that of the machine.
	Clock func() time.Time
	// Grace is how long requests that were accepted may take once the server is to stop; 0 means 10 seconds.
	Grace time.Duration
	// MaxBody is the most bytes of a request's body; 0 means 4 MiB.
	MaxBody int64
	// KeepAlive is how long a client that waits for a stream hears nothing; 0 means 15 seconds.
	KeepAlive time.Duration
}

// Server is the handler of all paths. It is safe for concurrent use.
type Server struct {
	Options
	v1         *http.ServeMux // the paths that are the server's own
	mounted    *http.ServeMux // the others
	created    int64
	byName     map[string]*Model
	retrievers []Retriever
	running    atomic.Int64       // handlers
	stopping   context.Context    // ends when the server is to stop
	stop       context.CancelFunc // ends it

	mu     sync.Mutex
	random rng.Source
}

// New returns a server. Its error says which option is missing.
func New(o Options) (*Server, error) {
	if len(o.Models) == 0 || o.Clock == nil {
		return nil, errors.New("serving models: Models and Clock must be given")
	}
	if o.Grace == 0 {
		o.Grace = 10 * time.Second
	}
	if o.MaxBody == 0 {
		o.MaxBody = 4 << 20
	}
	if o.KeepAlive == 0 {
		o.KeepAlive = 15 * time.Second
	}
	s := &Server{Options: o, v1: http.NewServeMux(), mounted: http.NewServeMux(), created: o.Clock().Unix(), byName: map[string]*Model{}, random: o.Random}
	for i := range o.Models {
		m := &o.Models[i]
		switch {
		case m.Name == "":
			return nil, fmt.Errorf("serving models: model %d has no name", i)
		case m.Backend == nil:
			return nil, fmt.Errorf("serving models: %q has no backend", m.Name)
		case s.byName[m.Name] != nil:
			return nil, fmt.Errorf("serving models: two have the name %q", m.Name)
		}
		s.byName[m.Name] = m
		s.addRetriever(m.Backend)
	}
	s.stopping, s.stop = context.WithCancel(context.Background())
	s.route("/v1/chat/completions", http.MethodPost, (*exchange).chat)
	s.route("/v1/completions", http.MethodPost, (*exchange).completions)
	s.route("/v1/responses", http.MethodPost, (*exchange).responses)
	s.route("/v1/responses/{id}", http.MethodGet, (*exchange).retrieve)
	s.route("/v1/models", http.MethodGet, (*exchange).models)
	s.route("/v1/models/{id...}", http.MethodGet, (*exchange).oneModel)
	s.v1.HandleFunc("/", s.nothing)
	s.v1.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) {
		s.write(w, http.StatusOK, map[string]string{"status": "ok"})
	})
	s.v1.HandleFunc("/readyz", s.readyz)
	return s, nil
}

// addRetriever keeps a backend whose answers can be asked for again; models may share one.
func (s *Server) addRetriever(b Backend) {
	r, ok := b.(Retriever)
	if !ok {
		return
	}
	for _, have := range s.retrievers {
		if reflect.TypeOf(have).Comparable() && have == r {
			return
		}
	}
	s.retrievers = append(s.retrievers, r)
}

// Handle mounts a handler, such as a page, by a pattern of http.ServeMux. Paths below /v1, /healthz and /readyz stay the server's
// own. Nobody is asked for a key there: the handler decides who may see it. A GET that runs when the server is to stop, such as a
// stream of events, is called off. It is to be called before the server serves.
func (s *Server) Handle(pattern string, h http.Handler) { s.mounted.Handle(pattern, h) }

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.running.Add(1)
	defer s.running.Add(-1)
	control := http.NewResponseController(w)  // not every ResponseWriter has deadlines; those of a connection have
	_ = control.SetWriteDeadline(time.Time{}) // what the connection's last answer left
	if r.ContentLength != 0 {
		// also where the body is not read: the connection waits for the rest of it
		_ = control.SetReadDeadline(s.Clock().Add(bodyTimeout))
	}
	if path := r.URL.Path; strings.HasPrefix(path, "/v1/") || path == "/v1" || path == "/healthz" || path == "/readyz" {
		s.v1.ServeHTTP(w, r)
		return
	}
	if _, pattern := s.mounted.Handler(r); pattern == "" {
		s.nothing(w, r)
		return
	}
	if r.Method == http.MethodGet {
		ctx, cancel := context.WithCancel(r.Context())
		defer cancel()
		defer context.AfterFunc(s.stopping, cancel)()
		r = r.WithContext(ctx)
	}
	s.mounted.ServeHTTP(w, r)
}

func (s *Server) nothing(w http.ResponseWriter, r *http.Request) {
	s.leave(w, r)
	s.fail(w, &Fault{Status: http.StatusNotFound, Message: fmt.Sprintf("there is nothing at %s for %s; there are /v1/chat/completions, /v1/completions, /v1/responses, /v1/models, /healthz and /readyz", shown(r.URL.Path), shown(r.Method))})
}

func (s *Server) readyz(w http.ResponseWriter, r *http.Request) {
	var err error
	if s.Ready != nil {
		err = s.Ready(r.Context())
	}
	if err != nil {
		s.write(w, http.StatusServiceUnavailable, map[string]string{"status": "not ready", "reason": err.Error()})
		return
	}
	s.write(w, http.StatusOK, map[string]string{"status": "ok"})
}

// Serve answers requests on l until ctx ends; then it accepts no more, answers those that it has, and returns nil. Its error
// says what made it stop earlier, or that some requests were not answered within the time of grace; those are called off, and
// given a moment to end. A server serves once.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	base, off := context.WithCancel(context.WithoutCancel(ctx))
	defer off()
	defer s.stop()
	h := &http.Server{
		Handler: s, ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader,
		BaseContext: func(net.Listener) context.Context { return base },
	}
	ended := make(chan error, 1)
	go func() { ended <- h.Serve(l) }()
	select {
	case err := <-ended:
		return fmt.Errorf("serving %s at %s: %w", s.names(), l.Addr(), err)
	case <-ctx.Done():
	}
	s.stop()
	grace, done := context.WithTimeout(context.WithoutCancel(ctx), s.Grace)
	defer done()
	err := h.Shutdown(grace)
	if err != nil {
		off()
		err = errors.Join(fmt.Errorf("stopping: some requests were not answered within %s", s.Grace), h.Close(), s.idle())
	}
	<-ended
	return err
}

// idle waits until no handler runs.
func (s *Server) idle() error {
	poll := time.NewTicker(time.Millisecond)
	defer poll.Stop()
	for range offTimeout / time.Millisecond {
		if s.running.Load() == 0 {
			return nil
		}
		<-poll.C
	}
	return fmt.Errorf("%d requests did not end when they were called off", s.running.Load())
}

// draw draws a number.
func (s *Server) draw() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.random.Uint64()
}

// name draws a name for an answer.
func (s *Server) name(kind string) string {
	const digits = 16
	b := make([]byte, 0, 32)
	b = append(b, kind...)
	n := s.draw()
	for i := digits - 1; i >= 0; i-- {
		b = append(b, "0123456789abcdef"[n>>(4*i)&15])
	}
	return string(b)
}
