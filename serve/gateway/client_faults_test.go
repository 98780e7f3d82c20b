package gateway_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"candor/reasoning/llm"
	"candor/serve/record"
)

// waits is a reasoner that answers once it may, and tells when it was asked and when it was called off.
func waits(asked chan<- struct{}, may <-chan struct{}) (g llm.Generator, off <-chan struct{}) {
	gone := make(chan struct{}, 16)
	return generator(func(ctx context.Context, _ llm.Request) (llm.Completion, error) {
		asked <- struct{}{}
		select {
		case <-may:
			return llm.Completion{Text: "x", Finish: llm.FinishStop}, nil
		case <-ctx.Done():
			gone <- struct{}{}
			return llm.Completion{}, ctx.Err()
		}
	}), gone
}

func TestAClientThatGoesAway(t *testing.T) {
	for _, extra := range []string{"", `,"stream":true`, `,"n":2`} {
		asked, may := make(chan struct{}, 16), make(chan struct{})
		g, off := waits(asked, may)
		s := newStack(t, parts{reasoner: g, timeout: 30 * time.Second, keepAlive: 20 * time.Millisecond})
		ctx, leave := context.WithCancel(t.Context())
		done := make(chan got, 1)
		go func() { done <- s.askIn(ctx, extra) }()
		<-asked
		leave()
		<-off // the model is not left working for nobody
		for _, tr := range s.sound(<-done) {
			if tr.Outcome != record.Gone || tr.Answer != nil {
				t.Errorf("asked with %q: the outcome is %s", extra, tr.Outcome)
			}
		}
	}
}

func TestAStreamSaysNothingBeforeItsVerdict(t *testing.T) {
	asked, may := make(chan struct{}, 16), make(chan struct{})
	g, _ := waits(asked, may)
	s := newStack(t, parts{reasoner: g, timeout: 30 * time.Second, keepAlive: 5 * time.Millisecond})
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	body := fmt.Sprintf(chatBody, `,"stream":true`)
	fmt.Fprintf(conn, "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	<-asked
	var early strings.Builder
	buf := make([]byte, 4096)
	for strings.Count(early.String(), ": waiting") < 3 { // signs of life come all the same
		_ = conn.SetReadDeadline(time.Now().Add(5 * time.Second))
		n, err := conn.Read(buf)
		if err != nil {
			t.Fatalf("after %q: %v", early.String(), err)
		}
		early.Write(buf[:n])
	}
	if strings.Contains(early.String(), "data:") {
		t.Errorf("before its verdict a stream said %q", early.String())
	}
	close(may)
	var late strings.Builder
	for !strings.Contains(late.String(), "[DONE]") {
		_ = conn.SetReadDeadline(time.Now().Add(5 * time.Second))
		n, err := conn.Read(buf)
		if err != nil {
			t.Fatalf("after %q: %v", late.String(), err)
		}
		late.Write(buf[:n])
	}
	s.sound(got{text: saidByFace, body: early.String() + late.String()})
}

// A client that takes its answer a byte at a time holds up nobody else.
func TestASlowReader(t *testing.T) {
	s := newStack(t, parts{face: says("", strings.Repeat(saidByFace+" ", 1<<14))})
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.(*net.TCPConn).SetReadBuffer(1 << 10)
	body := fmt.Sprintf(chatBody, `,"stream":true`)
	fmt.Fprintf(conn, "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	one := make([]byte, 1)
	if _, err := conn.Read(one); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		if g := s.ask(""); g.status != 200 {
			t.Errorf("beside a slow reader: %+v", g)
		}
	}
	s.sound()
}

func TestAHugeBodyIsRefused(t *testing.T) {
	s := newStack(t, parts{})
	for _, body := range []string{
		`{"model":"candor","messages":[{"role":"user","content":"` + strings.Repeat("x", 5<<20) + `"}]}`,
		strings.Repeat("[", 1<<20),
		`{"model":"candor","messages":` + strings.Repeat(`[`, 100000) + strings.Repeat(`]`, 100000) + `}`,
	} {
		resp, err := http.Post(s.url+"/v1/chat/completions", "application/json", strings.NewReader(body))
		if err != nil {
			continue // the server may close the connection before all is sent
		}
		resp.Body.Close()
		if resp.StatusCode < 400 || resp.StatusCode > 499 {
			t.Errorf("a body of %d bytes got status %d", len(body), resp.StatusCode)
		}
	}
	if n := len(s.settle()); n != 0 {
		t.Errorf("%d traces of requests that were refused", n)
	}
	s.sound(s.ask(""))
}

// Many connections that say nothing leave room for those that do. The command's test has 10,000, in two processes.
func TestIdleConnections(t *testing.T) {
	const n = 2000
	s := newStack(t, parts{})
	address := strings.TrimPrefix(s.url, "http://")
	var mu sync.Mutex
	var open []net.Conn
	defer func() {
		for _, c := range open {
			c.Close()
		}
	}()
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			for range n / 50 {
				c, err := net.Dial("tcp", address)
				if err != nil {
					t.Errorf("connection: %v", err)
					return
				}
				mu.Lock()
				open = append(open, c)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	began := time.Now()
	g := s.ask("")
	if g.status != 200 || time.Since(began) > 5*time.Second {
		t.Errorf("beside %d idle connections: %+v after %s", len(open), g, time.Since(began))
	}
	s.sound(g)
}
