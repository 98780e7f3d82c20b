package load

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func options(s *httptest.Server) Options {
	return Options{Address: s.Listener.Addr().String(), Path: "/v1/chat/completions", Body: []byte(`{"model":"m"}`), Clock: time.Now}
}

func TestRunCountsFromWhenARequestWasDue(t *testing.T) {
	stall := 300 * time.Millisecond
	first := make(chan struct{}, 1)
	first <- struct{}{}
	hold := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		select {
		case <-first:
			time.AfterFunc(stall, func() { close(hold) })
		default:
		}
		<-hold // everybody waits until the stall is over
		w.Header().Set("Server-Timing", "begin;dur=.1, overhead;dur=0.25")
		fmt.Fprint(w, "{}")
	}))
	defer s.Close()
	o := options(s)
	o.Rate, o.Time = 200, 600*time.Millisecond
	r, err := Run(t.Context(), o)
	if err != nil || r.Failed != 0 || r.Sent != 120 {
		t.Fatalf("report %+v, %v, want 120 answers", r, err)
	}
	// Half of the requests were due during the stall; by their own account, from when they were due, they waited for what was left.
	if r.Latency.Max < stall*9/10 || r.Latency.P50 < 0 || r.Overhead.P50 != 250*time.Microsecond || r.Overhead.N != 120 {
		t.Errorf("report %+v: latencies do not count the stall, or the header was not read", r)
	}
}

func TestFailuresAreCounted(t *testing.T) {
	n := 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if n++; n%2 == 0 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		fmt.Fprint(w, "{}")
	}))
	defer s.Close()
	o := options(s)
	o.Rate, o.Time = 50, 200*time.Millisecond // so slow that one comes after the other
	r, err := Run(t.Context(), o)
	if err != nil || r.Sent != 10 || r.Failed != 5 || r.Errors["status 503"] != 5 {
		t.Errorf("report %+v, %v, want 5 of 10 failed with status 503", r, err)
	}
}

func TestStreamsSeeTheEnd(t *testing.T) {
	for _, tc := range []struct {
		name, end string
		fails     bool
	}{{"whole", "data: [DONE]\n\n", false}, {"cut", "", true}} {
		t.Run(tc.name, func(t *testing.T) {
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				fmt.Fprint(w, "data: "+strings.Repeat("x", 3000)+"\n\n")
				w.(http.Flusher).Flush()
				fmt.Fprint(w, tc.end)
			}))
			defer s.Close()
			o := options(s)
			o.Streams, o.Time = 8, 100*time.Millisecond
			r, err := Streams(t.Context(), o)
			if err != nil || r.Sent < 8 || (r.Failed == r.Sent) != tc.fails || (r.Failed == 0) == tc.fails {
				t.Errorf("report %+v, %v", r, err)
			}
		})
	}
}

func TestMock(t *testing.T) {
	m := NewMock("so 1 and 1 is 2", "2")
	s := httptest.NewServer(m)
	defer s.Close()
	o := options(s)
	o.Rate, o.Time = 100, 100*time.Millisecond
	r, err := Run(t.Context(), o)
	if err != nil || r.Failed != 0 || m.Calls() != int64(r.Sent) {
		t.Errorf("report %+v, %v, %d calls", r, err, m.Calls())
	}
	http.DefaultClient.CloseIdleConnections()
}
