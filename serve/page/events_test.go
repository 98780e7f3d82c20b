package page

import (
	"bufio"
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"candor/serve/record"
)

// open begins a stream at a server and returns what comes as events, "name data". The channel is closed at the stream's end.
func open(t *testing.T, url, as string) (events <-chan string, status int, leave func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r, err := http.NewRequestWithContext(ctx, "GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.AddCookie(&http.Cookie{Name: "as", Value: as})
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	out := make(chan string, 1000)
	go func() {
		defer close(out)
		defer answer.Body.Close()
		lines := bufio.NewScanner(answer.Body)
		lines.Buffer(nil, 1<<24)
		var name, data string
		for lines.Scan() {
			switch l := lines.Text(); {
			case strings.HasPrefix(l, "event: "):
				name = l[7:]
			case strings.HasPrefix(l, "data: "):
				data += l[6:] + "\n"
			case l == "" && name != "":
				out <- name + " " + data
				name, data = "", ""
			}
		}
	}()
	return out, answer.StatusCode, cancel
}

// next returns the next event, "" if the stream has ended.
func next(t *testing.T, events <-chan string) string {
	t.Helper()
	select {
	case e := <-events:
		return e
	case <-time.After(10 * time.Second):
		t.Fatal("no event came")
		return ""
	}
}

func waitUntil(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for range 1000 {
		if ok() {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatal("not so after 5 s: " + what)
}

func TestStream(t *testing.T) {
	defer goleak.VerifyNone(t)
	defer http.DefaultClient.CloseIdleConnections()
	src := newSource()
	server := httptest.NewServer(newPage(t, src))
	defer server.Close()

	all, status, leaveAll := open(t, server.URL+"/events", "reviewer")
	facts, _, leaveFacts := open(t, server.URL+"/events?text=nothing", "operator")
	blocked, _, leaveBlocked := open(t, server.URL+"/events?outcome=blocked&text=SECRET", "reviewer")
	if status != http.StatusOK || src.watched() != 1 {
		t.Errorf("status %d, %d watches for three streams", status, src.watched())
	}
	tr := exampleTrace(1, record.Open)
	tr.Prompt = secretPrompt + "<script>\r\nevent: evil\ndata: x\n\n"
	src.add(tr)
	e := next(t, all)
	row := one(t, parse(t, strings.TrimPrefix(e, "rows ")), "tr", "data-id", "tr_000001")
	if !strings.HasPrefix(e, "rows ") || !strings.Contains(row.text, secretPrompt+"<script> event: evil data: x") || !strings.Contains(row.text, "open") {
		t.Errorf("the reviewer gets %q", e)
	}
	if e := next(t, facts); !strings.HasPrefix(e, "rows ") || strings.Contains(e, secretPrompt) || !strings.Contains(e, "tr_000001") {
		t.Errorf("the operator gets %q", e)
	}
	if e := next(t, blocked); e != "away tr_000001\n" {
		t.Errorf("the stream of blocked traces begins with %q", e)
	}
	src.add(exampleTrace(1, record.Blocked))
	for _, s := range []<-chan string{all, blocked} {
		if e := next(t, s); !strings.Contains(e, "blocked") || !strings.Contains(e, "tr_000001") {
			t.Errorf("a blocked trace is told as %q", e)
		}
	}
	leaveAll()
	leaveFacts()
	leaveBlocked()
	waitUntil(t, "nobody looks, so nobody watches", func() bool { return src.watched() == 0 })

	again, _, leave := open(t, server.URL+"/events", "reviewer")
	defer leave()
	src.add(exampleTrace(2, record.Released))
	if e := next(t, again); !strings.Contains(e, "tr_000002") {
		t.Errorf("a later stream gets %q", e)
	}
	src.end()
	if e := next(t, again); e != "" {
		t.Errorf("after the source's end comes %q", e)
	}
}

func TestStreamsAreGuardedAndBounded(t *testing.T) {
	src := newSource()
	h, err := New(Options{Source: src, Guard: fakeGuard{}, Clock: time.Now, Streams: 2})
	if err != nil {
		t.Fatal(err)
	}
	if w := get(h, "", "/events"); w.Code != http.StatusUnauthorized {
		t.Errorf("nobody: status %d", w.Code)
	}
	if w := get(h, "user", "/events"); w.Code != http.StatusUnauthorized {
		t.Errorf("a user: status %d", w.Code)
	}
	if w := get(h, "reviewer", "/events?outcome=none"); w.Code != http.StatusBadRequest {
		t.Errorf("a wrong filter: status %d", w.Code)
	}
	server := httptest.NewServer(h)
	defer server.Close()
	_, _, leave := open(t, server.URL+"/events", "reviewer")
	_, _, leave2 := open(t, server.URL+"/events", "reviewer")
	defer leave2()
	if _, status, _ := open(t, server.URL+"/events", "reviewer"); status != http.StatusServiceUnavailable {
		t.Errorf("a third stream of two: status %d", status)
	}
	leave()
	waitUntil(t, "there is room again", func() bool {
		_, status, leave := open(t, server.URL+"/events", "reviewer")
		leave()
		return status == http.StatusOK
	})
}

// lateGuard lets people in as long as in is true.
type lateGuard struct {
	fakeGuard
	in func() bool
}

func (g lateGuard) Who(r *http.Request) (string, bool, bool, bool) {
	name, reviewer, operator, ok := g.fakeGuard.Who(r)
	return name, reviewer, operator, ok && g.in()
}

func TestStreamEndsWithItsSession(t *testing.T) {
	src := newSource()
	in := make(chan bool, 1)
	in <- true
	h, err := New(Options{Source: src, Clock: time.Now, Guard: lateGuard{in: func() bool { return len(in) > 0 }}})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(h)
	defer server.Close()
	events, _, leave := open(t, server.URL+"/events", "reviewer")
	defer leave()
	<-in
	src.add(exampleTrace(1, record.Released))
	if e := next(t, events); e != "" {
		t.Errorf("after the logout comes %q", e)
	}
}

// A burst is one batch, a stream gets the newest of it, and one that does not read is told that it misses some.
func TestBurst(t *testing.T) {
	src := newSource()
	s := &site{Options: Options{Source: src, Guard: fakeGuard{}, Clock: time.Now}}
	if err := s.parse(); err != nil {
		t.Fatal(err)
	}
	written := 0
	h := newHub(src, 10, func(sum *record.Summary, texts bool) (string, error) { written++; return s.row(sum, texts) })
	slow, err := h.join()
	if err != nil {
		t.Fatal(err)
	}
	defer h.leave(slow)
	batchOf := func(n int) map[string]*change {
		latest := map[string]*change{}
		for i := range int64(n) {
			tr := exampleTrace(i+1, record.Released)
			latest[tr.ID] = h.change(tr.Summary)
		}
		return latest
	}
	for range maxWaiting + 3 {
		h.send(t.Context(), batchOf(200), false)
	}
	var b *batch
	for range maxWaiting {
		b = <-slow.batches
		if b.missed {
			t.Error("it missed something while there was room")
		}
	}
	for range 5 {
		text := b.text(record.Filter{}, true)
		if n := strings.Count(text, "<tr"); n != rows || !strings.Contains(text, "tr_000200") || strings.Contains(text, "tr_000150") || strings.Contains(text, "event: missed") {
			t.Errorf("a stream gets %d rows", n)
		}
	}
	if written != rows {
		t.Errorf("%d rows were written for five streams", written)
	}
	h.send(t.Context(), batchOf(1), false)
	if text := (<-slow.batches).text(record.Filter{Outcome: record.Held}, true); text != "event: away\ndata: tr_000001\n\nevent: missed\ndata: 1\n\n" {
		t.Errorf("a stream that was slow gets %q", text)
	}
	h.send(t.Context(), batchOf(1), false)
	if (<-slow.batches).missed {
		t.Error("it is told twice")
	}
}
