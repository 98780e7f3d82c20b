package telemetry_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"context"

	"candor/reasoning/compose"
	"candor/serve/record"
	"candor/serve/telemetry"
)

func TestMetrics(t *testing.T) {
	tel := start(t, telemetry.Options{})
	tel.Gauges(func() record.Stats { return record.Stats{InFlight: 3, Held: 2} },
		func() telemetry.Ledger {
			return telemetry.Ledger{Entries: 10, Commits: 4, Refused: 1, Waiting: 5, Open: 6}
		})
	tel.Observe(t.Context(), observation())
	tel.Observe(t.Context(), observation())
	page := scrape(tel)
	for _, want := range []string{
		`candor_requests_total{model="sound",outcome="released"} 2`,
		`candor_request_duration_seconds_sum{model="sound"} 1`,
		`gen_ai_client_operation_duration_seconds_count{candor_role="reasoner",error_type="http-status 503",gen_ai_operation_name="chat",gen_ai_request_model="r1"} 2`,
		`gen_ai_client_operation_duration_seconds_count{candor_role="face",error_type="",gen_ai_operation_name="chat",gen_ai_request_model="f1"} 4`,
		`gen_ai_client_operation_duration_seconds_bucket{candor_role="face",error_type="",gen_ai_operation_name="chat",gen_ai_request_model="f1",le="0.08"} 2`,
		`candor_tokens_total{model="r1",role="reasoner",type="output"} 140`,
		`candor_verdicts_total{gate="judge",state="block"} 2`, `candor_verdicts_total{gate="judge",state="pass"} 2`,
		`candor_part_duration_seconds_count{part="begin"} 2`, `candor_part_duration_seconds_sum{part="overhead"} 0.06`,
		"candor_in_flight 3", "candor_held 2", "candor_ledger_entries_total 10", "candor_ledger_commits_total 4", "candor_ledger_refused_total 1",
		"candor_ledger_waiting 5", "candor_ledger_open 6", `candor_telemetry_spans_total{result="sent"} 0`, "go_goroutines ",
	} {
		if !strings.Contains(page, "\n"+want) {
			t.Errorf("there is no %s", want)
		}
	}
	stop(t, tel)
}

// Whatever names clients, models and monitors come up with, the number of series is bounded.
func TestSeriesAreBounded(t *testing.T) {
	tel := start(t, telemetry.Options{})
	for i := range 5000 {
		name := fmt.Sprintf("name-%d", i)
		switch i % 4 {
		case 1:
			name += "\xff"
		case 2:
			name += strings.Repeat("x", 10_000)
		case 3:
			name += "\"} 1\nforged{a=\""
		}
		tel.Observe(t.Context(), telemetry.Observation{
			Begin: record.Begin{Model: name},
			Stages: []record.Stage{{Calls: []record.Call{{Model: name, Role: name, Err: name, PromptTokens: 1}},
				Verdicts: []compose.Verdict{{Monitor: name, State: compose.State(name)}}}},
			End: record.End{Outcome: record.Outcome(name), Spent: []record.Spent{{Part: name}}},
		})
	}
	page := scrape(tel)
	if n := strings.Count(page, "\n"); n > 6000 {
		t.Errorf("%d lines", n)
	}
	if strings.Contains(page, "\nforged") || !strings.Contains(page, `model="other",outcome="other"`) {
		t.Error("a name forged a line, or none came to be another")
	}
	var forgotten float64
	fmt.Sscanf(page[strings.Index(page, `candor_requests_total{model="other",outcome="other"} `)+len(`candor_requests_total{model="other",outcome="other"} `):], "%g", &forgotten)
	if forgotten < 4000 || forgotten > 5000 {
		t.Errorf("%g requests of other models", forgotten)
	}
}

// A collector that fails, hangs or is not there costs no request anything, and is counted.
func TestCollectorFails(t *testing.T) {
	release := make(chan struct{})
	defer close(release)
	hanging := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}))
	refusing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { http.Error(w, "SECRET-key", http.StatusUnauthorized) }))
	elsewhere := newReceiver(t)
	redirecting := httptest.NewServer(http.RedirectHandler(elsewhere.URL, http.StatusTemporaryRedirect))
	gone := httptest.NewServer(nil)
	gone.Close()
	for name, s := range map[string]*httptest.Server{"hanging": hanging, "refusing": refusing, "redirecting": redirecting, "gone": gone} {
		t.Cleanup(s.Close)
		tel := start(t, telemetry.Options{Endpoint: s.URL, Headers: map[string]string{"Authorization": "SECRET"}})
		began := time.Now()
		for range 10_000 {
			tel.Observe(t.Context(), observation())
		}
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("%s: observing took %v", name, took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		err := tel.Shutdown(ctx)
		cancel()
		if name == "hanging" && err == nil {
			t.Errorf("%s: no error", name)
		}
		if time.Since(began) > 8*time.Second {
			t.Errorf("%s: ending took %v", name, time.Since(began))
		}
		tel.Observe(t.Context(), observation()) // after the end
		if err := tel.Shutdown(t.Context()); err != nil {
			t.Errorf("%s: the second end: %v", name, err)
		}
		page := scrape(tel)
		if strings.Contains(page, `candor_telemetry_spans_total{result="failed"} 0`) || strings.Contains(page, `candor_telemetry_spans_total{result="dropped"} 0`) ||
			!strings.Contains(page, `candor_telemetry_spans_total{result="sent"} 0`) {
			at := strings.Index(page, "candor_telemetry_spans_total{")
			t.Errorf("%s: %s", name, page[at:at+200])
		}
	}
	if elsewhere.bodies != nil {
		t.Error("a redirection was followed")
	}
}

// Many observe at a time, others fetch metrics, and all spans arrive.
func TestConcurrency(t *testing.T) {
	r := newReceiver(t)
	tel := start(t, telemetry.Options{Endpoint: r.URL, Content: true})
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 50 {
				tel.Observe(t.Context(), confidential(record.Released))
			}
		})
		all.Go(func() { scrape(tel) })
	}
	all.Wait()
	stop(t, tel)
	if n := len(r.spans(t)); n != 8*50*12 {
		t.Errorf("%d spans", n)
	}
	ids := map[string]bool{}
	for _, s := range r.spans(t) {
		ids[string(s.SpanId)] = true
	}
	if len(ids) != 8*50*12 {
		t.Errorf("%d IDs", len(ids))
	}
}

func BenchmarkObserve(b *testing.B) {
	o := observation()
	b.Run("off", func(b *testing.B) {
		var none *telemetry.Telemetry
		b.ReportAllocs()
		for b.Loop() {
			none.Observe(b.Context(), o)
		}
	})
	b.Run("metrics", func(b *testing.B) {
		tel := start(b, telemetry.Options{})
		b.ReportAllocs()
		for b.Loop() {
			tel.Observe(b.Context(), o)
		}
	})
	b.Run("spans", func(b *testing.B) { // with what is built and sent in the background
		s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
		defer s.Close()
		tel := start(b, telemetry.Options{Endpoint: s.URL})
		b.ReportAllocs()
		for b.Loop() {
			tel.Observe(b.Context(), o)
		}
		stop(b, tel)
	})
}
