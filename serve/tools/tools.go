package tools

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"candor/reasoning/llm"
)

// Server is an MCP server: either a Command or a URL.
type Server struct {
	// Name names it in errors and before names of tools that two servers have: 1..32 letters, digits, "_" and "-".
	Name string
	// Command is the program and its arguments, and Env the whole of its environment.
	Command []string
	Env     map[string]string
	// URL is http or https, and Headers are sent with each request.
	URL     string
	Headers map[string]string
	// Allow names the tools that may be used; without any, all of them may. [Tools.List] fails if the server lacks one.
	Allow []string

	transport func() mcp.Transport // of a test, in place of both
}

// Options are what all servers have in common. The zero value is good.
type Options struct {
	// ConnectTime bounds connecting to a server and listing its tools; 0 means 10 seconds. CallTime bounds a call; 0 means a minute.
	ConnectTime, CallTime time.Duration
	// ResultBytes is the most that is kept of a result; 0 means 1 MiB.
	ResultBytes int
	// HTTP sends the requests to URLs; nil makes its own connections, through the proxy that the environment names.
	HTTP http.RoundTripper
	// Version is the client's version, as servers are told; "" means "dev".
	Version string
}

const (
	mostTools       = 1000     // of one server
	mostNames       = 10_000   // that are given in all
	mostDescription = 16 << 10 // bytes
	mostSchema      = 64 << 10 // bytes
	mostMessage     = 16 << 20 // bytes of one message of a server
	nameBytes       = 64       // of a name that every chat API takes
)

// Tools are the tools of some servers. It is safe for concurrent use.
type Tools struct {
	options Options
	servers []*server

	mu     sync.Mutex
	names  map[string]target // what a name stands for; none is ever changed
	byTool map[target]string
}

// target is a tool of a server.
type target struct {
	server *server
	tool   string
}

// ErrUnknown is wrapped by errors about calls of a tool that was not listed.
var ErrUnknown = errors.New("there is no such tool")

var serverName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,32}$`)

// New checks the settings. It connects to nothing: the first [Tools.List] does.
func New(servers []Server, o Options) (*Tools, error) {
	if o.ConnectTime < 0 || o.CallTime < 0 || o.ResultBytes < 0 {
		return nil, fmt.Errorf("tools: ConnectTime, CallTime and ResultBytes are %v, %v and %d, must not be negative", o.ConnectTime, o.CallTime, o.ResultBytes)
	}
	if o.ConnectTime == 0 {
		o.ConnectTime = 10 * time.Second
	}
	if o.CallTime == 0 {
		o.CallTime = time.Minute
	}
	if o.ResultBytes == 0 {
		o.ResultBytes = 1 << 20
	}
	if o.Version == "" {
		o.Version = "dev"
	}
	t := &Tools{options: o, names: map[string]target{}, byTool: map[target]string{}}
	for i, s := range servers {
		if err := s.check(); err != nil {
			return nil, fmt.Errorf("tools, server %d (%q): %w", i, s.Name, err)
		}
		if slices.ContainsFunc(servers[:i], func(o Server) bool { return o.Name == s.Name }) {
			return nil, fmt.Errorf("tools, server %d: the name %q is taken by another server", i, s.Name)
		}
		t.servers = append(t.servers, newServer(s, o))
	}
	return t, nil
}

func (s *Server) check() error {
	if !serverName.MatchString(s.Name) {
		return errors.New("the Name must have 1 to 32 letters, digits, _ and -")
	}
	if s.transport != nil {
		return nil
	}
	switch hasCommand := len(s.Command) > 0; {
	case hasCommand == (s.URL != ""):
		return errors.New("there must be either a Command or a URL")
	case hasCommand && s.Command[0] == "":
		return errors.New("the Command has no program")
	case hasCommand && len(s.Headers) > 0, !hasCommand && len(s.Env) > 0:
		return errors.New("there are Headers without a URL or Env without a Command")
	}
	for name, value := range s.Env {
		if name == "" || strings.ContainsAny(name, "=\x00") || strings.Contains(value, "\x00") {
			return fmt.Errorf("the variable %q of Env has a name or a value that cannot be", name)
		}
	}
	for name, value := range s.Headers {
		if name == "" || strings.ContainsAny(name, " :\r\n\x00") || strings.ContainsAny(value, "\r\n\x00") {
			return fmt.Errorf("the header %q has a name or a value that cannot be sent", name)
		}
	}
	if s.URL == "" {
		return nil
	}
	if u, err := url.Parse(s.URL); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return errors.New("the URL must begin with http:// or https:// and name a host")
	}
	return nil
}

// List returns the tools that may be called, in the order of the servers and of their names. It fails if one of the servers cannot be
// reached, and names it: an agent should not work on as if some of its tools had never been.
func (t *Tools) List(ctx context.Context) ([]llm.ToolSpec, error) {
	lists, errs := make([][]*mcp.Tool, len(t.servers)), make([]error, len(t.servers))
	var wait sync.WaitGroup
	for i, s := range t.servers {
		wait.Go(func() { lists[i], errs[i] = s.list(ctx) })
	}
	wait.Wait()
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("listing tools: %w", err)
	}
	var specs []llm.ToolSpec
	t.mu.Lock()
	defer t.mu.Unlock()
	times := map[string]int{}
	for _, list := range lists {
		for _, tool := range list {
			times[plain(tool.Name)]++
		}
	}
	for i, s := range t.servers {
		for _, tool := range lists[i] {
			name, err := t.name(target{s, tool.Name}, times[plain(tool.Name)] > 1)
			if err != nil {
				return nil, fmt.Errorf("listing tools of %s: %w", s.Name, err)
			}
			schema, err := json.Marshal(tool.InputSchema)
			if err != nil || len(schema) > mostSchema {
				return nil, fmt.Errorf("listing tools of %s: the schema of %s has %d bytes, must be JSON with at most %d (%v)", s.Name, name, len(schema), mostSchema, err)
			}
			specs = append(specs, llm.ToolSpec{Name: name, Description: bounded(tool.Description, mostDescription), Schema: schema})
		}
	}
	return specs, nil
}

// name returns the name that stands for a tool.
func (t *Tools) name(tool target, shared bool) (string, error) {
	if name, ok := t.byTool[tool]; ok {
		return name, nil
	}
	if len(t.names) >= mostNames {
		return "", fmt.Errorf("the servers have listed %d names so far, too many: allow only those that are needed", mostNames)
	}
	name := plain(tool.tool)
	if _, taken := t.names[name]; taken || shared {
		name = plain(tool.server.Name + "__" + tool.tool)
	}
	for n, base := 2, name; ; n++ {
		if _, taken := t.names[name]; !taken {
			break
		}
		end := fmt.Sprintf("_%d", n)
		name = base[:min(len(base), nameBytes-len(end))] + end
	}
	t.names[name], t.byTool[tool] = tool, name
	return name, nil
}

// plain returns a name with characters and of a length that every chat API takes.
func plain(name string) string {
	out := []byte(name)
	for i, c := range out {
		if c != '_' && c != '-' && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			out[i] = '_'
		}
	}
	return string(out[:min(len(out), nameBytes)])
}

// Call calls a tool by the name that List gave it. That a tool fails is a result with isErr; so is what the server refuses, such as
// arguments that do not fit the schema. An error wraps [ErrUnknown] if nothing was called; after any other it is not known what the
// call did, if anything.
func (t *Tools) Call(ctx context.Context, call llm.ToolCall) (result string, isErr bool, err error) {
	t.mu.Lock()
	tool, ok := t.names[call.Name]
	t.mu.Unlock()
	if !ok {
		return "", false, fmt.Errorf("calling %q: %w", call.Name, ErrUnknown)
	}
	arguments := json.RawMessage(call.Arguments)
	if strings.TrimSpace(call.Arguments) == "" {
		arguments = json.RawMessage("{}")
	}
	if !json.Valid(arguments) {
		return "the arguments are not valid JSON", true, nil
	}
	return tool.server.call(ctx, tool.tool, arguments)
}

// Close ends the connections and the commands, and waits until they have ended. Calls that are under way fail.
func (t *Tools) Close() error {
	var wait sync.WaitGroup
	for _, s := range t.servers {
		wait.Go(s.close)
	}
	wait.Wait()
	return nil
}
