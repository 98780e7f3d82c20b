package tools

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"go.uber.org/goleak"

	"candor/reasoning/compose"
	"candor/reasoning/llm"
)

var _ compose.Tools = (*Tools)(nil)

// The test binary started with this variable is an MCP server over its standard input and output.
const asServer = "CANDOR_TEST_MCP"

func TestMain(m *testing.M) {
	if os.Getenv(asServer) != "" {
		fmt.Fprintln(os.Stderr, "the server is up")
		if os.Getenv(asServer) == "broken" {
			fmt.Fprintln(os.Stderr, "no such database")
			os.Exit(3)
		}
		_ = testServer().Run(context.Background(), &mcp.StdioTransport{})
		return
	}
	goleak.VerifyTestMain(m)
}

type said struct {
	Text string `json:"text,omitempty"`
	N    int    `json:"n,omitempty"`
}

// testServer has a tool for each thing that can happen.
func testServer() *mcp.Server { return testServerUntil(nil) }

// testServerUntil is one whose tool hang gives up when over is closed.
func testServerUntil(over <-chan struct{}) *mcp.Server {
	s := mcp.NewServer(&mcp.Implementation{Name: "test", Version: "1"}, &mcp.ServerOptions{PageSize: 3})
	add := func(name string, f func(ctx context.Context, in said) (*mcp.CallToolResult, error)) {
		mcp.AddTool(s, &mcp.Tool{Name: name, Description: "does " + name}, func(ctx context.Context, _ *mcp.CallToolRequest, in said) (*mcp.CallToolResult, any, error) {
			r, err := f(ctx, in)
			return r, nil, err
		})
	}
	texts := func(texts ...string) *mcp.CallToolResult {
		r := &mcp.CallToolResult{}
		for _, t := range texts {
			r.Content = append(r.Content, &mcp.TextContent{Text: t})
		}
		return r
	}
	add("echo", func(_ context.Context, in said) (*mcp.CallToolResult, error) {
		return texts(in.Text, "and that was it"), nil
	})
	add("fail", func(context.Context, said) (*mcp.CallToolResult, error) { return nil, errors.New("the disk is full") })
	add("crash", func(context.Context, said) (*mcp.CallToolResult, error) { os.Exit(9); return nil, nil })
	add("hang", func(ctx context.Context, _ said) (*mcp.CallToolResult, error) {
		select {
		case <-ctx.Done():
		case <-over:
		}
		return nil, errors.New("given up")
	})
	add("long", func(_ context.Context, in said) (*mcp.CallToolResult, error) {
		return texts(strings.Repeat("é", in.N)), nil
	})
	add("picture", func(context.Context, said) (*mcp.CallToolResult, error) {
		return &mcp.CallToolResult{Content: []mcp.Content{
			&mcp.TextContent{Text: "see:"}, &mcp.ImageContent{MIMEType: "image/png", Data: []byte("12345")}, &mcp.AudioContent{MIMEType: "audio/wav"},
			&mcp.EmbeddedResource{Resource: &mcp.ResourceContents{URI: "file:///a", Text: "a file's text"}},
			&mcp.EmbeddedResource{Resource: &mcp.ResourceContents{URI: "file:///b", Blob: []byte{1, 2}, MIMEType: "application/zip"}},
			&mcp.ResourceLink{Name: "c", URI: "file:///c"},
		}}, nil
	})
	add("numbers", func(context.Context, said) (*mcp.CallToolResult, error) {
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: "two numbers"}}, StructuredContent: map[string]any{"a": 1, "b": 2}}, nil
	})
	add("environ", func(context.Context, said) (*mcp.CallToolResult, error) { return texts(os.Environ()...), nil })
	mcp.AddTool(s, &mcp.Tool{Name: "typed"}, func(_ context.Context, _ *mcp.CallToolRequest, in said) (*mcp.CallToolResult, said, error) {
		return nil, said{Text: in.Text, N: 7}, nil
	})
	return s
}

// command is the server as a command.
func command(t *testing.T, name string) Server {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return Server{Name: name, Command: []string{exe, "-test.run=^$"}, Env: map[string]string{asServer: "1", "GIVEN": "yes"}}
}

// overHTTP is the server behind a URL. Its handler may be wrapped.
func overHTTP(t *testing.T, name string, wrap func(http.Handler) http.Handler) Server {
	t.Helper()
	over := make(chan struct{})
	server := testServerUntil(over)
	var h http.Handler = mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, nil)
	if wrap != nil {
		h = wrap(h)
	}
	web := httptest.NewServer(h)
	t.Cleanup(func() {
		close(over)
		for session := range server.Sessions() {
			_ = session.Close()
		}
		web.CloseClientConnections()
		web.Close()
	})
	return Server{Name: name, URL: web.URL}
}

// inMemory is a server in this process.
func inMemory(t *testing.T, name string, s *mcp.Server) Server {
	t.Helper()
	return Server{Name: name, transport: func() mcp.Transport {
		here, there := mcp.NewInMemoryTransports()
		if _, err := s.Connect(context.Background(), there, nil); err != nil {
			t.Error(err)
		}
		return here
	}}
}

func newTools(t *testing.T, o Options, servers ...Server) *Tools {
	t.Helper()
	tools, err := New(servers, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tools.Close() })
	return tools
}

func names(t *testing.T, tools *Tools) []string {
	t.Helper()
	specs, err := tools.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, s := range specs {
		out = append(out, s.Name)
	}
	return out
}

func call(t *testing.T, tools *Tools, name, arguments string) (string, bool, error) {
	t.Helper()
	return tools.Call(t.Context(), llm.ToolCall{Name: name, Arguments: arguments})
}

func TestResults(t *testing.T) {
	for _, server := range []Server{command(t, "a"), overHTTP(t, "a", nil), inMemory(t, "a", testServer())} {
		tools := newTools(t, Options{ResultBytes: 1001}, server)
		if got, want := names(t, tools), strings.Fields("crash echo environ fail hang long numbers picture typed"); !reflect.DeepEqual(got, want) {
			t.Fatalf("tools %v, want %v", got, want)
		}
		for _, tc := range []struct {
			name, arguments, want string
			isErr                 bool
		}{
			{"echo", `{"text":"hello"}`, "hello\nand that was it", false},
			{"echo", "", "\nand that was it", false},
			{"fail", "{}", "the disk is full", true},
			{"typed", `{"text":"x"}`, `{"n":7,"text":"x"}`, false},
			{"numbers", "{}", "two numbers\n" + `{"a":1,"b":2}`, false},
			{"long", `{"n":4000}`, strings.Repeat("é", 500) + "\n(cut here: there was more)", false},
			{"picture", "{}", `see:
(There was an image of type "image/png" with 5 bytes here, which cannot be shown.)
(There was a sound of type "audio/wav" with 0 bytes here, which cannot be shown.)
a file's text
(There was a file of type "application/zip" with 2 bytes here, which cannot be shown.)
(There was a link to the resource "c" at "file:///c" here.)`, false},
			{"echo", "{", "the arguments are not valid JSON", true},
		} {
			got, isErr, err := call(t, tools, tc.name, tc.arguments)
			if err != nil || got != tc.want && strings.TrimSpace(got) != strings.TrimSpace(tc.want) || isErr != tc.isErr {
				t.Errorf("%s %s: %q, %v, %v, want %q, %v", tc.name, tc.arguments, got, isErr, err, tc.want, tc.isErr)
			}
		}
		// what the server refuses is an answer of it, not a fault of the connection
		if got, isErr, err := call(t, tools, "echo", `{"text":5}`); err != nil || !isErr || got == "" {
			t.Errorf("arguments that do not fit: %q, %v, %v", got, isErr, err)
		}
		if _, _, err := call(t, tools, "none", "{}"); !errors.Is(err, ErrUnknown) {
			t.Errorf("a tool that was not listed: %v", err)
		}
	}
}

func TestCommandInheritsNothing(t *testing.T) {
	t.Setenv("CANDOR_TEST_SECRET", "hush")
	tools := newTools(t, Options{}, command(t, "a"))
	names(t, tools)
	got, _, err := call(t, tools, "environ", "{}")
	if err != nil || got != asServer+"=1\nGIVEN=yes" {
		t.Errorf("environment %q, %v", got, err)
	}
}

func TestHeadersAndRedirects(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a redirection was followed") }))
	defer elsewhere.Close()
	var moved atomic.Bool
	server := overHTTP(t, "a", func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("X-Key") != "k" {
				t.Errorf("%s without its header", r.Method)
			}
			if moved.Load() {
				http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
				return
			}
			h.ServeHTTP(w, r)
		})
	})
	server.Headers = map[string]string{"X-Key": "k"}
	tools := newTools(t, Options{}, server)
	names(t, tools)
	moved.Store(true)
	if _, _, err := call(t, tools, "echo", "{}"); err == nil {
		t.Error("a redirected call succeeded")
	}
}

func TestNames(t *testing.T) {
	odd := mcp.NewServer(&mcp.Implementation{Name: "odd"}, nil)
	add := func(s *mcp.Server, names ...string) {
		for _, name := range names {
			s.AddTool(&mcp.Tool{Name: name, InputSchema: json.RawMessage(`{"type":"object"}`)}, func(context.Context, *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
				return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: "odd " + name}}}, nil
			})
		}
	}
	long := strings.Repeat("x", 80)
	add(odd, "echo", "a.b", "a/b", "b__fail", long)
	a, b := inMemory(t, "a", odd), inMemory(t, "b", testServer())
	b.Allow = []string{"echo", "fail"}
	tools := newTools(t, Options{}, a, b)
	if got, want := names(t, tools), []string{"a__a_b", "a__a_b_2", "b__fail", "a__echo", long[:nameBytes], "b__echo", "fail"}; !reflect.DeepEqual(got, want) {
		t.Errorf("names %v, want %v", got, want)
	}
	for name, want := range map[string]string{"a__echo": "odd echo", "b__echo": "x\nand that was it", "a__a_b": "odd a.b", "a__a_b_2": "odd a/b", "b__fail": "odd b__fail", "fail": "the disk is full", long[:nameBytes]: "odd " + long} {
		if got, _, err := call(t, tools, name, `{"text":"x"}`); err != nil || got != want {
			t.Errorf("%s: %q, %v, want %q", name, got, err, want)
		}
	}
	// a name stays, whatever is listed later
	add(odd, "fail")
	found := false
	for _, name := range names(t, tools) {
		found = found || name == "a__fail"
	}
	if got, _, err := call(t, tools, "fail", "{}"); !found || err != nil || got != "the disk is full" {
		t.Errorf("fail is now %q, %v; a__fail listed: %v", got, err, found)
	}
	if _, _, err := call(t, tools, "crash", "{}"); !errors.Is(err, ErrUnknown) {
		t.Errorf("a tool that is not allowed: %v", err)
	}
}

func TestAllowNamesWhatIsThere(t *testing.T) {
	server := inMemory(t, "a", testServer())
	server.Allow = []string{"echo", "ecko"}
	if _, err := newTools(t, Options{}, server).List(t.Context()); err == nil || !strings.Contains(err.Error(), `no tool "ecko"`) {
		t.Errorf("error %v", err)
	}
}

// A call that kills its server fails, is not made again, and the next one finds a new server.
func TestServerDies(t *testing.T) {
	tools := newTools(t, Options{}, command(t, "a"))
	names(t, tools)
	for range 2 {
		if _, _, err := call(t, tools, "crash", "{}"); err == nil || !strings.Contains(err.Error(), "calling crash of a") || strings.Contains(err.Error(), "the server is up") {
			t.Errorf("error %v", err)
		}
		if got, _, err := call(t, tools, "echo", `{"text":"again"}`); err != nil || !strings.HasPrefix(got, "again") {
			t.Errorf("after the crash: %q, %v", got, err)
		}
	}
}

func TestServerCannotStart(t *testing.T) {
	broken := command(t, "a")
	broken.Env[asServer] = "broken"
	for _, tc := range []struct {
		server Server
		want   string
	}{
		{broken, "no such database"},
		{Server{Name: "a", Command: []string{"/nowhere/program"}}, "no such file"},
		{Server{Name: "a", URL: "http://127.0.0.1:1/mcp"}, "connecting to a"},
	} {
		_, err := newTools(t, Options{}, tc.server).List(t.Context())
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("error %v, want one with %q", err, tc.want)
		}
	}
}

// A server that loses its sessions, as one that was restarted, is connected to anew; the call that met that is made once at most.
func TestHTTPServerForgets(t *testing.T) {
	var lost atomic.Bool
	var calls atomic.Int32
	server := overHTTP(t, "a", func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if lost.CompareAndSwap(true, false) {
				calls.Add(1)
				http.Error(w, "bad gateway", http.StatusNotFound)
				return
			}
			h.ServeHTTP(w, r)
		})
	})
	tools := newTools(t, Options{}, server)
	names(t, tools)
	lost.Store(true)
	if _, _, err := call(t, tools, "echo", "{}"); err == nil {
		t.Error("a lost call succeeded")
	}
	if got, _, err := call(t, tools, "echo", `{"text":"back"}`); err != nil || !strings.HasPrefix(got, "back") || calls.Load() != 1 {
		t.Errorf("after that: %q, %v, %d lost", got, err, calls.Load())
	}
}

func TestCallTime(t *testing.T) {
	for _, server := range []Server{command(t, "a"), overHTTP(t, "a", nil)} {
		tools := newTools(t, Options{CallTime: 500 * time.Millisecond}, server)
		names(t, tools)
		if _, _, err := call(t, tools, "hang", "{}"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
		names(t, tools) // connects anew, which may take longer than a call
		if got, _, err := call(t, tools, "echo", `{"text":"again"}`); err != nil || !strings.HasPrefix(got, "again") {
			t.Errorf("after that: %q, %v", got, err)
		}
	}
}

// Close ends calls that are under way, and later ones fail.
func TestClose(t *testing.T) {
	tools := newTools(t, Options{}, command(t, "a"), overHTTP(t, "b", nil))
	names(t, tools)
	done := make(chan error)
	for _, name := range []string{"a__hang", "b__hang"} {
		go func() {
			_, _, err := tools.Call(context.Background(), llm.ToolCall{Name: name})
			done <- err
		}()
	}
	for _, s := range tools.servers { // until both are under way
		for using := false; !using; time.Sleep(time.Millisecond) {
			s.mu.Lock()
			using = s.current.users > 0
			s.mu.Unlock()
		}
	}
	if err := tools.Close(); err != nil {
		t.Error(err)
	}
	for range 2 {
		if err := <-done; err == nil {
			t.Error("a call under way succeeded")
		}
	}
	if _, _, err := call(t, tools, "a__echo", "{}"); !errors.Is(err, errClosed) {
		t.Errorf("after Close: %v", err)
	}
	if _, err := tools.List(t.Context()); !errors.Is(err, errClosed) {
		t.Errorf("after Close: %v", err)
	}
}

// An answer without end does not fill the memory.
func TestEndlessAnswer(t *testing.T) {
	var endless atomic.Bool
	server := overHTTP(t, "a", func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !endless.Load() {
				h.ServeHTTP(w, r)
				return
			}
			w.Header().Set("Content-Type", "application/json")
			page := []byte(strings.Repeat("[", 1<<16))
			for n := 0; n < 64<<20; n += len(page) {
				if _, err := w.Write(page); err != nil {
					return
				}
			}
			t.Error("all of a long answer was read")
		})
	})
	tools := newTools(t, Options{}, server)
	names(t, tools)
	endless.Store(true)
	if _, _, err := call(t, tools, "echo", "{}"); err == nil {
		t.Error("no error")
	}
}

func TestSettings(t *testing.T) {
	for _, tc := range []struct {
		servers []Server
		want    string
	}{
		{[]Server{{Name: "a b", URL: "http://x"}}, "the Name must"},
		{[]Server{{Name: "a"}}, "either a Command or a URL"},
		{[]Server{{Name: "a", URL: "http://x", Command: []string{"x"}}}, "either a Command or a URL"},
		{[]Server{{Name: "a", URL: "file:///x"}}, "must begin with http"},
		{[]Server{{Name: "a", URL: "http://x", Env: map[string]string{"A": "b"}}}, "Env without a Command"},
		{[]Server{{Name: "a", Command: []string{"x"}, Headers: map[string]string{"A": "b"}}}, "Headers without a URL"},
		{[]Server{{Name: "a", Command: []string{"x"}, Env: map[string]string{"A=": "b"}}}, `variable "A="`},
		{[]Server{{Name: "a", URL: "http://x", Headers: map[string]string{"A": "b\r\nC: d"}}}, `header "A"`},
		{[]Server{{Name: "a", URL: "http://x"}, {Name: "a", URL: "http://y"}}, "is taken"},
	} {
		if _, err := New(tc.servers, Options{}); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%+v: error %v, want one with %q", tc.servers, err, tc.want)
		}
	}
}

func FuzzResult(f *testing.F) {
	for _, data := range []string{
		`{"content":[{"type":"text","text":"{\"a\":1}"}],"structuredContent":{"a":1}}`, `{"content":[{"type":"image","mimeType":"a","data":"aGk="}],"isError":true}`,
		`{"content":[{"type":"resource","resource":{"uri":"x","blob":"aGk="}},{"type":"resource_link","uri":"é","name":"y"}]}`, `{"structuredContent":[1,"\ud800"]}`,
	} {
		f.Add([]byte(data), 20)
	}
	f.Fuzz(func(t *testing.T, data []byte, most int) {
		most = max(most%1000, 0)
		var r mcp.CallToolResult
		if json.Unmarshal(data, &r) != nil {
			return
		}
		if got := text(&r, most); !utf8.ValidString(got) || len(got) > 3*most+40 { // a byte that is not UTF-8 becomes three
			t.Errorf("%q of at most %d bytes", got, most)
		}
	})
}

func FuzzPlain(f *testing.F) {
	f.Add("a.b/c")
	f.Add(strings.Repeat("é", 50))
	f.Fuzz(func(t *testing.T, name string) {
		got := plain(name)
		if len(got) > nameBytes || strings.Trim(got, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") != "" {
			t.Errorf("%q", got)
		}
	})
}
