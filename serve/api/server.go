package api

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"candor/internal/rng"
	"candor/openai"
	"candor/reasoning/llm"
)

// Bounds on what a client may cost.
const (
	maxBody       = 4 << 20          // bytes of a request's body
	maxHeader     = 64 << 10         // bytes of its header
	headerTimeout = 10 * time.Second // for the header to arrive
	bodyTimeout   = 60 * time.Second // for the body to arrive
	writeTimeout  = 60 * time.Second // for an answer to be taken
	idleTimeout   = 2 * time.Minute  // of a connection between requests
)

// defaultTokens bounds completions where neither the client nor the model's context does.
const defaultTokens = 1024

// Options say what to serve.
type Options struct {
	Generator llm.Generator
	// Name is what clients call the model.
	Name string
	// Model is what is told of it. Context is its context in words, 0 if that is not known.
	Model openai.ServedModel
	// Random is where the seeds of requests without one, and the names of answers, are drawn from.
	Random rng.Source
	// Clock tells the time for answers and deadlines, and must be that of the machine.
	Clock func() time.Time
	// Key is what clients must send as "Authorization: Bearer KEY"; "" lets everybody in.
	Key string
	// Grace is how long requests that were accepted may take once the server is to stop; 0 means 10 seconds.
	Grace time.Duration
}

// Server is the handler of all paths. It is safe for concurrent use.
type Server struct {
	Options
	batch   *batcher
	mux     *http.ServeMux
	created int64
	key     [sha256.Size]byte
	cancel  context.CancelFunc // of batches

	mu     sync.Mutex
	random rng.Source
}

// New returns a server. Its error says which option is missing.
func New(o Options) (*Server, error) {
	switch {
	case o.Generator == nil || o.Clock == nil:
		return nil, errors.New("serving a model: Generator and Clock must be given")
	case o.Name == "":
		return nil, errors.New("serving a model: it has no name")
	}
	if o.Grace == 0 {
		o.Grace = 10 * time.Second
	}
	ctx, cancel := context.WithCancel(context.Background())
	s := &Server{
		Options: o, batch: &batcher{ctx: ctx, gen: o.Generator}, cancel: cancel, mux: http.NewServeMux(),
		created: o.Clock().Unix(), key: sha256.Sum256([]byte(o.Key)), random: o.Random,
	}
	s.route("/v1/chat/completions", http.MethodPost, s.chat)
	s.route("/v1/completions", http.MethodPost, s.completions)
	s.route("/v1/responses", http.MethodPost, s.responses)
	s.route("/v1/models", http.MethodGet, s.models)
	s.route("/v1/models/{id...}", http.MethodGet, s.model)
	s.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		fail(w, &fault{status: http.StatusNotFound, message: fmt.Sprintf("there is nothing at %s; there are /v1/chat/completions, /v1/completions, /v1/responses, /v1/models and /healthz", shown(r.URL.Path))})
	})
	s.mux.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) {
		write(w, http.StatusOK, map[string]string{"status": "ok"})
	})
	return s, nil
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Time{}) // what the connection's last answer left
	s.mux.ServeHTTP(w, r)
}

// route lets a path be asked with one method, by whoever has the key.
func (s *Server) route(path, method string, do func(http.ResponseWriter, *http.Request) error) {
	s.mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
		err := s.admit(r)
		if err == nil && r.Method != method && (method != http.MethodGet || r.Method != http.MethodHead) {
			w.Header().Set("Allow", method)
			err = &fault{status: http.StatusMethodNotAllowed, message: fmt.Sprintf("%s answers %s, not %s", r.URL.Path, method, r.Method)}
		}
		if err == nil {
			err = do(w, r)
		}
		if err != nil {
			fail(w, err)
		}
	})
}

// admit checks the key. Hashes are compared, so that the time tells nothing of the key, its length included.
func (s *Server) admit(r *http.Request) error {
	if s.Key == "" {
		return nil
	}
	scheme, key, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	given := sha256.Sum256([]byte(strings.TrimSpace(key)))
	if !strings.EqualFold(scheme, "Bearer") || subtle.ConstantTimeCompare(given[:], s.key[:]) != 1 {
		return &fault{status: http.StatusUnauthorized, code: "invalid_api_key", message: `this server wants its API key, as the header "Authorization: Bearer KEY"`}
	}
	return nil
}

// Serve answers requests on l until ctx ends; then it accepts no more, answers those that it has, and returns nil. Its error
// says what made it stop earlier, or that some requests were not answered within the time of grace. A server serves once.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	defer s.cancel()
	h := &http.Server{Handler: s, ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader}
	ended := make(chan error, 1)
	go func() { ended <- h.Serve(l) }()
	select {
	case err := <-ended:
		return fmt.Errorf("serving %s at %s: %w", s.Name, l.Addr(), err)
	case <-ctx.Done():
	}
	grace, done := context.WithTimeout(context.WithoutCancel(ctx), s.Grace)
	defer done()
	err := h.Shutdown(grace)
	if err != nil {
		s.cancel()
		err = errors.Join(fmt.Errorf("stopping: some requests were not answered within %s", s.Grace), h.Close())
	}
	<-ended
	return err
}

// name draws a name for an answer.
func (s *Server) name(kind string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return fmt.Sprintf("%s-%016x", kind, s.random.Uint64())
}

// seed draws a seed for a request that has none.
func (s *Server) seed() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.random.Uint64()
}

// known returns an error unless name is that of the model; "" is, too.
func (s *Server) known(name string) error {
	if name != "" && name != s.Name {
		return &fault{status: http.StatusNotFound, param: "model", code: "model_not_found", message: fmt.Sprintf("there is no model %s here; there is %q", shown(name), s.Name)}
	}
	return nil
}

func (s *Server) entry() openai.Model {
	return openai.Model{ID: s.Name, Object: "model", Created: s.created, OwnedBy: "candor", MaxModelLen: s.Model.Context, Candor: &s.Model}
}

func (s *Server) models(w http.ResponseWriter, _ *http.Request) error {
	write(w, http.StatusOK, openai.ModelList{Object: "list", Data: []openai.Model{s.entry()}})
	return nil
}

func (s *Server) model(w http.ResponseWriter, r *http.Request) error {
	if err := s.known(r.PathValue("id")); err != nil {
		return err
	}
	write(w, http.StatusOK, s.entry())
	return nil
}
