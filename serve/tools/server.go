package tools

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// server is a server and the connection to it.
type server struct {
	Server
	options Options

	ctx  context.Context // ends with close
	stop context.CancelFunc
	wait sync.WaitGroup // everything that runs in the background

	mu      sync.Mutex
	current *connection // nil if there is none, and the next use has to make one
	closed  bool
}

// connection is one session with a server. ready is closed once session or err is set. Those who use it are counted, so that a
// connection that has failed for one is closed only when the others are done.
type connection struct {
	ready   chan struct{}
	session *mcp.ClientSession
	err     error
	link    *link

	users   int  // under server.mu, as is retired
	retired bool // nobody new may use it
}

func newServer(s Server, o Options) *server {
	out := &server{Server: s, options: o}
	out.ctx, out.stop = context.WithCancel(context.Background())
	return out
}

var errClosed = errors.New("the tools were closed")

// use returns a connection that works as far as is known, and counts the caller as a user of it until release.
func (s *server) use(ctx context.Context) (*connection, error) {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil, errClosed
	}
	c := s.current
	if c == nil {
		c = &connection{ready: make(chan struct{})}
		s.current = c
		s.wait.Go(func() { s.connect(c) })
	}
	c.users++
	s.mu.Unlock()
	select {
	case <-c.ready:
	case <-ctx.Done():
		s.release(c, false)
		return nil, fmt.Errorf("connecting to %s: %w", s.Name, ctx.Err())
	}
	if c.err != nil {
		s.release(c, true)
		return nil, fmt.Errorf("connecting to %s: %w", s.Name, c.err)
	}
	return c, nil
}

// release ends a use. A connection that has failed is used for nothing new, and closed when its last user is done.
func (s *server) release(c *connection, failed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.users--
	s.retire(c, failed)
}

// retire is called under the lock.
func (s *server) retire(c *connection, failed bool) {
	if failed && !c.retired {
		c.retired = true
		if s.current == c {
			s.current = nil
		}
	}
	if c.retired && c.users == 0 && c.session != nil {
		session := c.session
		c.session = nil
		s.wait.Go(func() { s.end(session, c.link) })
	}
}

// connect makes a connection, and watches it until it ends.
func (s *server) connect(c *connection) {
	ctx, cancel := context.WithTimeout(s.ctx, s.options.ConnectTime)
	defer cancel()
	client := mcp.NewClient(&mcp.Implementation{Name: "candor", Version: s.options.Version}, &mcp.ClientOptions{
		Capabilities: &mcp.ClientCapabilities{}, // none: nothing of this machine is offered
		// otherwise the SDK makes a call again that a server answers with a question
		MultiRoundTrip: &mcp.MultiRoundTripOptions{Disabled: true},
	})
	link := s.link()
	session, err := client.Connect(ctx, link.transport, nil)
	if err != nil {
		err = link.explain(err)
		link.cleanUp()
	}
	s.mu.Lock()
	c.session, c.err, c.link = session, err, link
	close(c.ready)
	s.retire(c, err != nil)
	s.mu.Unlock()
	if err != nil {
		return
	}
	_ = session.Wait()
	s.mu.Lock()
	s.retire(c, true)
	s.mu.Unlock()
}

// end closes a session. A command that does not end by itself is killed.
func (s *server) end(session *mcp.ClientSession, l *link) {
	_ = session.Close()
	l.cleanUp()
}

// list returns the tools that the server allows itself and the settings allow, by name.
func (s *server) list(ctx context.Context) ([]*mcp.Tool, error) {
	ctx, cancel := context.WithTimeout(ctx, s.options.ConnectTime)
	defer cancel()
	defer context.AfterFunc(s.ctx, cancel)()
	c, err := s.use(ctx)
	if err != nil {
		return nil, err
	}
	all, err := listAll(ctx, c.session)
	s.release(c, err != nil)
	if err != nil {
		return nil, fmt.Errorf("listing the tools of %s: %w", s.Name, err)
	}
	var out []*mcp.Tool
	for _, t := range all {
		if t != nil && (len(s.Allow) == 0 || slices.Contains(s.Allow, t.Name)) {
			out = append(out, t)
		}
	}
	slices.SortStableFunc(out, func(a, b *mcp.Tool) int { return strings.Compare(a.Name, b.Name) })
	for i, t := range out {
		if t.Name == "" || i > 0 && t.Name == out[i-1].Name {
			return nil, fmt.Errorf("listing the tools of %s: it lists a tool named %q, must have names that are distinct", s.Name, bounded(t.Name, nameBytes))
		}
	}
	for _, name := range s.Allow {
		if !slices.ContainsFunc(out, func(t *mcp.Tool) bool { return t.Name == name }) {
			return nil, fmt.Errorf("listing the tools of %s: it has no tool %q, which Allow names", s.Name, name)
		}
	}
	return out, nil
}

// listAll reads all pages of a list.
func listAll(ctx context.Context, session *mcp.ClientSession) ([]*mcp.Tool, error) {
	var out []*mcp.Tool
	cursor := ""
	for page := 0; ; page++ {
		r, err := session.ListTools(ctx, &mcp.ListToolsParams{Cursor: cursor})
		if err != nil {
			return nil, err
		}
		if out = append(out, r.Tools...); len(out) > mostTools || page > mostTools {
			return nil, fmt.Errorf("it lists more than %d tools, or its list has no end", mostTools)
		}
		if cursor = r.NextCursor; cursor == "" {
			return out, nil
		}
	}
}

// call calls a tool once.
func (s *server) call(ctx context.Context, tool string, arguments json.RawMessage) (string, bool, error) {
	ctx, cancel := context.WithTimeout(ctx, s.options.CallTime)
	defer cancel()
	defer context.AfterFunc(s.ctx, cancel)() // a call ends with Close
	c, err := s.use(ctx)
	if err != nil {
		return "", false, err
	}
	r, err := c.session.CallTool(ctx, &mcp.CallToolParams{Name: tool, Arguments: arguments})
	var refused *jsonrpc.Error
	switch {
	case err == nil:
	case errors.As(err, &refused) && (refused.Code < -32099 || refused.Code > -32000) && ctx.Err() == nil:
		// The server has answered, if only that it will not. Codes in that range are also what the SDK itself reports faults of
		// a connection by.
		s.release(c, false)
		return bounded("the server refused the call: "+refused.Message, s.options.ResultBytes), true, nil
	default:
		s.release(c, true)
		return "", false, fmt.Errorf("calling %s of %s: %w", tool, s.Name, err)
	}
	s.release(c, false)
	if r.NeedsInput() {
		return "the tool asks for something that cannot be given here", true, nil
	}
	return text(r, s.options.ResultBytes), r.IsError, nil
}

// close ends everything and waits until it has.
func (s *server) close() {
	s.mu.Lock()
	s.closed = true
	c := s.current
	if c != nil {
		s.retire(c, true)
	}
	s.mu.Unlock()
	s.stop()
	s.wait.Wait()
}
