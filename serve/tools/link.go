package tools

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// closeTime is how long a command has to end after its input was closed, and again after it was told to.
const closeTime = time.Second

// link is the way to a server.
type link struct {
	transport mcp.Transport
	stderr    *tail        // of a command
	own       *http.Client // whose connections have to be closed
}

func (s *server) link() *link {
	switch {
	case s.transport != nil:
		return &link{transport: s.transport()}
	case s.URL != "":
		return s.httpLink()
	}
	cmd := exec.Command(s.Command[0], s.Command[1:]...)
	cmd.Env = make([]string, 0, len(s.Env)) // not nil, which would inherit
	for name, value := range s.Env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	slices.Sort(cmd.Env)
	l := &link{stderr: new(tail)}
	cmd.Stderr = l.stderr
	cmd.WaitDelay = closeTime // for children of it that hold on to the standard error
	l.transport = &mcp.CommandTransport{Command: cmd, TerminateDuration: closeTime}
	return l
}

func (s *server) httpLink() *link {
	l := &link{}
	base := s.options.HTTP
	if base == nil {
		own := &http.Transport{
			Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, TLSHandshakeTimeout: 10 * time.Second, IdleConnTimeout: 90 * time.Second,
			DialContext: (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext, MaxIdleConnsPerHost: 100,
		}
		base, l.own = own, &http.Client{Transport: own}
	}
	client := &http.Client{
		Transport:     &sender{base, s.Headers},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	l.transport = &mcp.StreamableClientTransport{
		Endpoint: s.URL, HTTPClient: client, DisableStandaloneSSE: true, MaxEventSize: mostMessage, MaxRetries: 2,
	}
	return l
}

// cleanUp gives back what closing the session does not.
func (l *link) cleanUp() {
	if l.own != nil {
		l.own.CloseIdleConnections()
	}
}

// explain adds what a command said before it could be connected to. What it says later may be about people's data, and goes nowhere.
func (l *link) explain(err error) error {
	if l.stderr == nil {
		return err
	}
	if said := l.stderr.String(); said != "" {
		return fmt.Errorf("%w; its last words: %q", err, said)
	}
	return err
}

// sender adds headers to requests and bounds what is read of answers, and how long a goodbye may take.
type sender struct {
	base    http.RoundTripper
	headers map[string]string
}

func (s *sender) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx, cancel := r.Context(), context.CancelFunc(func() {})
	if r.Method == http.MethodDelete { // goodbye, for which a server that hangs takes its time
		ctx, cancel = context.WithTimeout(ctx, closeTime)
	}
	r = r.Clone(ctx)
	for name, value := range s.headers {
		r.Header.Set(name, value)
	}
	response, err := s.base.RoundTrip(r)
	if err != nil {
		cancel()
		return nil, err
	}
	response.Body = &boundedBody{response.Body, mostMessage, cancel}
	return response, nil
}

// boundedBody is a body that fails when it is too long. The SDK reads an answer to its end before it looks at it.
type boundedBody struct {
	body   io.ReadCloser
	left   int
	cancel context.CancelFunc
}

func (b *boundedBody) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, fmt.Errorf("the answer has more than %d bytes", mostMessage)
	}
	n, err := b.body.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}

func (b *boundedBody) Close() error {
	defer b.cancel()
	return b.body.Close()
}

// tail keeps the end of what is written.
type tail struct {
	mu   sync.Mutex
	last []byte
}

func (t *tail) Write(p []byte) (int, error) {
	const most = 500
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last = append(t.last, p[max(0, len(p)-most):]...)
	t.last = t.last[max(0, len(t.last)-most):]
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(strings.ToValidUTF8(string(t.last), "\uFFFD"))
}
