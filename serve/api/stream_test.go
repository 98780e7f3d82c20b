package api

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	openaigo "github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/packages/param"
	"github.com/openai/openai-go/v3/responses"

	"candor/reasoning/llm"
)

// slow is a backend whose calls end when they are let go on, with what do returns.
type slow struct {
	came chan context.Context
	let  chan struct{}
	do   func(*Call) (*Answers, error)
}

func newSlow(do func(*Call) (*Answers, error)) *slow {
	return &slow{make(chan context.Context, 10), make(chan struct{}, 10), do}
}

func (s *slow) Answer(ctx context.Context, c *Call) (*Answers, error) {
	s.came <- ctx
	select {
	case <-s.let:
		return s.do(c)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func says(text string) func(*Call) (*Answers, error) {
	return func(c *Call) (*Answers, error) {
		out := &Answers{Answers: make([]Answer, len(c.Requests))}
		for i := range out.Answers {
			out.Answers[i].Completion = llm.Completion{Text: text, Finish: llm.FinishStop}
		}
		return out, nil
	}
}

func soon(o *Options) { o.KeepAlive = time.Millisecond }

var streams = map[string]string{
	"/v1/chat/completions": `{"messages":[{"role":"user","content":"a"}],"stream":true}`, "/v1/completions": `{"prompt":"a","stream":true}`, "/v1/responses": `{"input":"a","stream":true}`,
}

// ask posts a body over the network.
func ask(t *testing.T, ctx context.Context, url, body string) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Close = true
	w, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Body.Close() })
	return w
}

// While a streamed answer is held back the client gets comments, and nothing of the answer; then all of it.
func TestWaiting(t *testing.T) {
	for path, body := range streams {
		b := newSlow(says("one two"))
		w := ask(t, t.Context(), start(t, serverOf(t, b, soon))+path, body) // its header comes with the first comment
		if w.StatusCode != 200 || w.Header.Get("Content-Type") != "text/event-stream" {
			t.Errorf("%s: %d %v", path, w.StatusCode, w.Header)
		}
		lines := bufio.NewReader(w.Body)
		for range 3 {
			if line, err := lines.ReadString('\n'); line != ": waiting\n" || err != nil {
				t.Fatalf("%s: line %q, %v", path, line, err)
			}
		}
		b.let <- struct{}{}
		rest, err := io.ReadAll(lines)
		if end := map[bool]string{true: "response.completed", false: "data: [DONE]\n\n"}[path == "/v1/responses"]; err != nil || !strings.Contains(string(rest), "one two") || !strings.Contains(string(rest), end) {
			t.Errorf("%s: %v, %s", path, err, rest)
		}
	}
}

// A stream that nothing waits for comes with its length, whole.
func TestAtOnce(t *testing.T) {
	for path, body := range streams {
		w := ask(t, t.Context(), start(t, serverOf(t, Bare(words()), nil))+path, body)
		data, err := io.ReadAll(w.Body)
		if err != nil || w.ContentLength != int64(len(data)) || len(data) == 0 || strings.Contains(string(data), "waiting") {
			t.Errorf("%s: %v, length %d of %d\n%s", path, err, w.ContentLength, len(data), data)
		}
	}
	long := strings.Repeat("words and more ", 20_000)
	c := client(t, serverOf(t, &scripted{answer: func(_ context.Context, c *Call) (*Answers, error) { return says(long)(c) }}, nil))
	stream := c.Chat.Completions.NewStreaming(t.Context(), openaigo.ChatCompletionNewParams{Model: "small:rl", Messages: user("a")})
	var text strings.Builder
	for stream.Next() {
		text.WriteString(stream.Current().Choices[0].Delta.Content)
	}
	if stream.Err() != nil || text.String() != long {
		t.Errorf("%v, %d bytes of %d", stream.Err(), text.Len(), len(long))
	}
}

// OpenAI's client sees an error that comes behind comments; before them it is a status.
func TestErrorInStream(t *testing.T) {
	for _, waits := range []bool{true, false} {
		b := newSlow(func(*Call) (*Answers, error) {
			return nil, &Fault{Status: 503, Message: "the disk is full", Code: "store"}
		})
		c := client(t, serverOf(t, b, func(o *Options) {
			if waits {
				o.KeepAlive = time.Millisecond
			}
		}))
		go func() {
			for range 2 {
				<-b.came
				if waits {
					time.Sleep(20 * time.Millisecond) // some comments; that there are any is TestWaiting's
				}
				b.let <- struct{}{}
			}
		}()
		chat := c.Chat.Completions.NewStreaming(t.Context(), openaigo.ChatCompletionNewParams{Model: "small:rl", Messages: user("a")})
		for chat.Next() {
			t.Errorf("an event %s", chat.Current().RawJSON())
		}
		response := c.Responses.NewStreaming(t.Context(), responses.ResponseNewParams{Model: "small:rl", Input: responses.ResponseNewParamsInputUnion{OfString: param.NewOpt("a")}})
		for response.Next() {
			t.Errorf("an event %s", response.Current().RawJSON())
		}
		for _, err := range []error{chat.Err(), response.Err()} {
			var status *openaigo.Error
			if errors.As(err, &status) {
				err = errors.New(status.Message)
			}
			if err == nil || !strings.Contains(err.Error(), "the disk is full") || (status == nil) != waits {
				t.Errorf("waits %v: %v", waits, err)
			}
		}
	}
}

// A client that goes away while it waits ends the call.
func TestGoneWhileWaiting(t *testing.T) {
	for path, body := range streams {
		b := newSlow(says("x"))
		s := serverOf(t, b, soon)
		ctx, leave := context.WithCancel(t.Context())
		ask(t, ctx, start(t, s)+path, body)
		called := <-b.came
		leave()
		<-called.Done()
		idle(t, s)
	}
}

// idle waits until no handler runs.
func idle(t *testing.T, s *Server) {
	t.Helper()
	if err := s.idle(); err != nil {
		t.Fatal(err)
	}
}

// late makes all deadlines end soon.
func late(o *Options) {
	o.Clock = func() time.Time { return time.Now().Add(100*time.Millisecond - writeTimeout) }
}

// dial sends a request and reads nothing.
func dial(t *testing.T, url, request string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	return c
}

func request(path, body string) string {
	return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", path, len(body), body)
}

// A client that never reads holds nothing for longer than the deadline, neither with an answer nor with comments.
func TestNeverReads(t *testing.T) {
	large := strings.Repeat("words and more ", 4<<20/15)
	for path, body := range streams {
		for _, stream := range []string{"true", "false"} {
			s := serverOf(t, same(Answer{Completion: llm.Completion{Text: large}}), late)
			dial(t, start(t, s), request(path, strings.Replace(body, "true", stream, 1)))
			for s.running.Load() == 0 {
				time.Sleep(time.Millisecond)
			}
			idle(t, s)
		}
	}
}

// A body that does not come is not waited for, whether anybody wants to read it or not.
func TestSlowBody(t *testing.T) {
	half := strings.TrimSuffix(request("/v1/completions", `{"prompt":"a"}`), `a"}`)
	for name, test := range map[string]struct {
		change func(*Options)
		status string
	}{
		"read":     {late, "408"},
		"no key":   {func(o *Options) { late(o); o.Admit = AdmitKey("k") }, "401"},
		"too long": {func(o *Options) { late(o); o.MaxBody = 13 }, "413"},
	} {
		s := newServer(t, words(), test.change)
		c := dial(t, start(t, s), half)
		answer, err := io.ReadAll(c)
		if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 "+test.status) || !strings.Contains(string(answer), `{"error":{"message":`) {
			t.Errorf("%s: %v, %s", name, err, answer)
		}
		idle(t, s)
	}
}

// A backend that panics costs its own request alone.
func TestPanic(t *testing.T) {
	b := newSlow(func(*Call) (*Answers, error) { panic("bug") })
	for _, change := range []func(*Options){nil, soon} {
		h := httptest.NewUnstartedServer(serverOf(t, b, change))
		h.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
		h.Start()
		for path, body := range streams {
			go func() {
				<-b.came
				if change != nil {
					time.Sleep(10 * time.Millisecond)
				}
				b.let <- struct{}{}
			}()
			w := ask(t, t.Context(), h.URL+path, body)
			data, _ := io.ReadAll(w.Body) // the connection breaks behind it
			if !strings.Contains(string(data), "the server failed") || strings.Contains(string(data), "bug") || change == nil && w.StatusCode != 500 {
				t.Errorf("%s: %d %s", path, w.StatusCode, data)
			}
		}
		h.Close()
	}
}

// A server that is to stop ends the streams of what is mounted at once, and waits for calls that were called off to end.
func TestStopMounted(t *testing.T) {
	var ended atomic.Bool
	b := &scripted{}
	came := make(chan struct{}, 2)
	b.answer = func(ctx context.Context, _ *Call) (*Answers, error) {
		came <- struct{}{}
		<-ctx.Done()
		time.Sleep(20 * time.Millisecond) // what is left to do, such as a record
		ended.Store(true)
		return nil, ctx.Err()
	}
	s := serverOf(t, b, func(o *Options) { o.Grace = 50 * time.Millisecond })
	s.Handle("GET /live", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		came <- struct{}{}
		<-r.Context().Done()
	}))
	url, stop, stopped := listen(t, s)
	live := dial(t, url, "GET /live HTTP/1.1\r\nHost: x\r\n\r\n")
	<-came
	dial(t, url, request("/v1/completions", `{"prompt":"a"}`))
	<-came
	stop()
	if answer, err := bufio.NewReader(live).ReadString('\n'); err != nil || !strings.Contains(answer, "200") {
		t.Errorf("%q, %v", answer, err)
	}
	if ended.Load() {
		t.Error("the call was called off before its time")
	}
	if err := <-stopped; err == nil || !strings.Contains(err.Error(), "not answered within 50ms") || strings.Contains(err.Error(), "did not end") {
		t.Errorf("it ended with %v", err)
	}
	if !ended.Load() {
		t.Error("it did not wait for the call")
	}
}
