package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"candor/openai"
	"candor/reasoning/llm"
)

// gated is a generator whose calls begin when they are let in, and which tells how large they are.
type gated struct {
	llm.Generator
	came chan int      // the size of each call
	let  chan struct{} // lets a call in
	done chan error    // how each call ended
	ctx  chan context.Context
}

func newGated(gen llm.Generator) *gated {
	return &gated{gen, make(chan int, 100), make(chan struct{}), make(chan error, 100), make(chan context.Context, 100)}
}

func (g *gated) Generate(ctx context.Context, requests []llm.Request) (out []llm.Completion, err error) {
	g.came <- len(requests)
	g.ctx <- ctx
	defer func() { g.done <- err }()
	select {
	case <-g.let:
		return g.Generator.Generate(ctx, requests)
	case <-ctx.Done():
		return nil, fmt.Errorf("gated: %w", ctx.Err())
	}
}

// waits is how many requests the queue holds, once it holds n or more.
func waits(t *testing.T, b *Batch, n int) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		b.mu.Lock()
		have := len(b.waiting)
		b.mu.Unlock()
		if have == n {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d requests wait, want %d", have, n)
		}
	}
}

func body(prompt string, seed int) string {
	return fmt.Sprintf(`{"prompt":%q,"seed":%d}`, prompt, seed)
}

// Requests that arrive while a batch runs are answered together; each as if it were alone, and one that the model cannot
// read disturbs no other.
func TestBatch(t *testing.T) {
	g := newGated(picky{words()})
	s := newServer(t, g, nil)
	var all sync.WaitGroup
	answers := make([]*httptest.ResponseRecorder, 301)
	ask := func(i int) {
		prompt := string(rune('a' + i%8))
		if i%10 == 3 {
			prompt = "zebra"
		}
		all.Go(func() { answers[i] = post(s, "/v1/completions", body(prompt, i)) })
	}
	ask(0)
	if n := <-g.came; n != 1 {
		t.Fatalf("the first call has %d requests: something waited while the model was idle", n)
	}
	for i := 1; i < len(answers); i++ {
		ask(i)
	}
	waits(t, batchOf(s), 300)
	close(g.let)
	if n := <-g.came; n != maxBatch {
		t.Errorf("the second call has %d requests, want %d", n, maxBatch)
	}
	all.Wait()
	for i, w := range answers {
		if i%10 == 3 {
			if w.Code != 400 || !strings.Contains(told(t, w).Message, "zebra") {
				t.Errorf("request %d: %d %s", i, w.Code, w.Body)
			}
			continue
		}
		want := direct(t, llm.Request{Prefix: string(rune('a' + i%8)), MaxTokens: 32, Temperature: 1, Seed: uint64(i)})
		var got openai.CompletionResponse
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || len(got.Choices) != 1 || got.Choices[0].Text != want.Text {
			t.Errorf("request %d: %s, want %q", i, w.Body, want.Text)
		}
	}
	batchOf(s).mu.Lock()
	defer batchOf(s).mu.Unlock()
	if batchOf(s).busy || len(batchOf(s).waiting) > 0 {
		t.Errorf("in the end it is busy: %v, %d wait", batchOf(s).busy, len(batchOf(s).waiting))
	}
}

// A client that goes away is not answered: its request leaves the queue, and a batch that nobody else waits for is called off.
func TestGone(t *testing.T) {
	g := newGated(words())
	s := newServer(t, g, nil)
	var all sync.WaitGroup
	ask := func(ctx context.Context) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		all.Go(func() {
			s.ServeHTTP(w, httptest.NewRequestWithContext(ctx, http.MethodPost, "/v1/completions", strings.NewReader(`{"prompt":"a","n":2}`)))
		})
		return w
	}
	first, goFirst := context.WithCancel(t.Context())
	second, goSecond := context.WithCancel(t.Context())
	one := ask(first)
	if n := <-g.came; n != 2 {
		t.Fatalf("%d requests", n)
	}
	<-g.ctx
	two, three := ask(second), ask(t.Context())
	waits(t, batchOf(s), 4)
	goSecond()
	goFirst()
	if err := <-g.done; !errors.Is(err, context.Canceled) {
		t.Errorf("the batch that nobody waited for ended with %v", err)
	}
	if n := <-g.came; n != 2 {
		t.Errorf("the next batch has %d requests, want the 2 that are waited for", n)
	}
	g.let <- struct{}{}
	all.Wait()
	if one.Code != statusGone || two.Code != statusGone || three.Code != 200 {
		t.Errorf("status %d, %d and %d", one.Code, two.Code, three.Code)
	}
}

// Where one of several clients goes away, the others' batch goes on; also after a request at fault was taken out of it.
func TestGoneAmongOthers(t *testing.T) {
	g := newGated(words())
	b := NewBatch(t.Context(), &faulty{gated: g})
	leaving, leave := context.WithCancel(t.Context())
	var jobs []*job
	for _, ctx := range []context.Context{leaving, leaving, t.Context()} {
		jobs = append(jobs, &job{ctx: ctx, request: llm.Request{Messages: []llm.Message{{Role: llm.User, Text: "a"}}, MaxTokens: 1}, done: make(chan outcome, 1)})
	}
	if err := b.enqueue(jobs); err != nil {
		t.Fatal(err)
	}
	if o := <-jobs[0].done; o.fault == nil {
		t.Error("the request at fault was answered")
	}
	<-g.came
	ctx := <-g.ctx
	leave() // jobs 0 and 1
	select {
	case <-ctx.Done():
		t.Error("a batch that somebody waits for was called off")
	case <-time.After(20 * time.Millisecond):
	}
	g.let <- struct{}{}
	if o := <-jobs[2].done; o.err != nil || o.completion.Text != "b" {
		t.Errorf("%+v", o)
	}
	<-g.done
}

// faulty finds fault with the first request of its first call.
type faulty struct {
	*gated
	once sync.Once
}

func (f *faulty) Generate(ctx context.Context, requests []llm.Request) (out []llm.Completion, err error) {
	f.once.Do(func() { err = &llm.RequestError{Err: llm.ErrInvalid} })
	if err != nil {
		return nil, err
	}
	return f.gated.Generate(ctx, requests)
}

// The queue has bounds.
func TestTooManyWait(t *testing.T) {
	g := newGated(words())
	s := newServer(t, g, nil)
	var all sync.WaitGroup
	ctx, leave := context.WithCancel(t.Context())
	many := func() {
		_, _ = batchOf(s).Generate(ctx, make([]llm.Request, maxWaiting/2))
	}
	all.Go(func() { _, _ = batchOf(s).Generate(ctx, make([]llm.Request, maxBatch)) })
	<-g.came
	all.Go(many)
	all.Go(many)
	waits(t, batchOf(s), maxWaiting)
	w := post(s, "/v1/completions", body("a", 1))
	if d := told(t, w); w.Code != 429 || w.Header().Get("Retry-After") == "" || d.Type != "rate_limit_error" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	leave()
	all.Wait()
	waits(t, batchOf(s), 0)
}

// listen serves on a port until stop is called; ended tells what Serve returned.
func listen(t *testing.T, s *Server) (url string, stop func(), ended chan error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended = make(chan error, 1)
	go func() { ended <- s.Serve(ctx, l) }()
	t.Cleanup(stop)
	return "http://" + l.Addr().String(), stop, ended
}

func put(url string) (*http.Response, error) {
	r, err := http.NewRequest(http.MethodPost, url+"/v1/completions", strings.NewReader(`{"prompt":"a"}`))
	if err != nil {
		return nil, err
	}
	r.Close = true // no connection outlives the test
	return http.DefaultClient.Do(r)
}

// A server that is to stop answers what it has and accepts no more.
func TestStop(t *testing.T) {
	g := newGated(words())
	url, stop, ended := listen(t, newServer(t, g, nil))
	answer := make(chan int, 1)
	go func() {
		r, err := put(url)
		if err != nil {
			t.Error(err)
			answer <- 0
			return
		}
		defer r.Body.Close()
		answer <- r.StatusCode
	}()
	<-g.came
	stop()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		c, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
		if err != nil {
			break
		}
		c.Close()
		if time.Now().After(deadline) {
			t.Fatal("it still accepts connections")
		}
	}
	select {
	case err := <-ended:
		t.Fatalf("it ended with a request unanswered: %v", err)
	default:
	}
	g.let <- struct{}{}
	if code := <-answer; code != 200 {
		t.Errorf("the request that was there got %d", code)
	}
	if err := <-ended; err != nil {
		t.Errorf("ended with %v", err)
	}
}

// A request that takes longer than the time of grace is called off.
func TestGraceEnds(t *testing.T) {
	g := newGated(words())
	url, stop, ended := listen(t, newServer(t, g, func(o *Options) { o.Grace = 20 * time.Millisecond }))
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		if r, err := put(url); err == nil {
			r.Body.Close()
		}
	}()
	<-g.came
	stop()
	if err := <-ended; err == nil || !strings.Contains(err.Error(), "not answered within 20ms") {
		t.Errorf("ended with %v", err)
	}
	if err := <-g.done; !errors.Is(err, context.Canceled) {
		t.Errorf("the batch ended with %v", err)
	}
	<-gone
}

// A client that hangs up is noticed while its request runs.
func TestHangUp(t *testing.T) {
	g := newGated(words())
	url, stop, ended := listen(t, newServer(t, g, nil))
	c, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(c, "POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 14\r\n\r\n{\"prompt\":\"a\"}")
	<-g.came
	c.Close()
	if err := <-g.done; !errors.Is(err, context.Canceled) {
		t.Errorf("the batch ended with %v", err)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestServeFails(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	if err := newServer(t, words(), nil).Serve(t.Context(), l); err == nil || !strings.Contains(err.Error(), `serving "small:rl" at`) {
		t.Errorf("a closed listener gave %v", err)
	}
}
