package telemetry

import (
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"candor/serve/record"
)

// Ledger is how a ledger does: a copy of its own Stats.
type Ledger struct {
	Entries int64 // written since the start
	Commits int64 // transactions
	Refused int64 // appends that failed
	Waiting int   // appends in the queue
	Open    int   // traces that have begun and not ended
}

// maxValues bounds the values of a label, "other" not counted.
const maxValues = 64

// other stands for all values beyond them.
const other = "other"

// values are those that a label has had.
type values struct {
	mu   sync.RWMutex
	seen map[string]struct{}
}

// of returns what stands for s. Whatever is no short word of valid text is "other".
func (v *values) of(s string) string {
	v.mu.RLock()
	_, ok := v.seen[s]
	v.mu.RUnlock()
	if ok {
		return s
	}
	if len(s) > maxName || strings.ToValidUTF8(s, "") != s {
		return other
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if _, ok := v.seen[s]; ok {
		return s
	}
	if len(v.seen) == maxValues {
		return other
	}
	if v.seen == nil {
		v.seen = map[string]struct{}{}
	}
	v.seen[strings.Clone(s)] = struct{}{}
	return s
}

// labels are the values of a series, "" for those that it has not.
type labels [3]string

// series keeps those of a metric that were used before: finding one so costs a third of what the client takes.
type series[M any] struct {
	with   func(labels) M
	values []*values // of each label
	mu     sync.RWMutex
	known  map[labels]M
}

// of returns the series with these values, or what stands for them.
func (s *series[M]) of(raw labels) M {
	s.mu.RLock()
	one, ok := s.known[raw]
	s.mu.RUnlock()
	if ok {
		return one
	}
	l := raw
	for i, v := range s.values {
		l[i] = v.of(raw[i])
	}
	one = s.with(l)
	if l == raw { // no more than there are series
		s.mu.Lock()
		defer s.mu.Unlock()
		s.known[l] = one
	}
	return one
}

// metrics are what Prometheus fetches.
type metrics struct {
	registry *prometheus.Registry

	operation, durations, parts *series[prometheus.Observer]
	requests, tokens, verdicts  *series[prometheus.Counter]
	sent, failed, dropped       prometheus.Counter
}

// operationBuckets are the convention's, partBuckets reach from a tenth of a millisecond to minutes.
var (
	operationBuckets = []float64{.01, .02, .04, .08, .16, .32, .64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92}
	partBuckets      = []float64{.0001, .00025, .0005, .001, .002, .005, .01, .025, .1, .25, 1, 2.5, 10, 30, 120}
)

// constant are labels of one value.
var constant = map[string]prometheus.Labels{metricOperation: {"gen_ai_operation_name": operationChat}}

func newMetrics() *metrics {
	m := &metrics{registry: prometheus.NewRegistry()}
	histogram := func(name, help string, buckets []float64, of []*values, names ...string) *series[prometheus.Observer] {
		v := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets, ConstLabels: constant[name]}, names)
		m.registry.MustRegister(v)
		return &series[prometheus.Observer]{values: of, known: map[labels]prometheus.Observer{},
			with: func(l labels) prometheus.Observer { return v.WithLabelValues(l[:len(names)]...) }}
	}
	counter := func(name, help string, of []*values, names ...string) *series[prometheus.Counter] {
		v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, names)
		m.registry.MustRegister(v)
		return &series[prometheus.Counter]{values: of, known: map[labels]prometheus.Counter{},
			with: func(l labels) prometheus.Counter { return v.WithLabelValues(l[:len(names)]...) }}
	}
	var models, roles, errors, outcomes, gates, states, parts, types, results values
	m.operation = histogram(metricOperation, "How long calls of models took.", operationBuckets, []*values{&models, &roles, &errors}, "gen_ai_request_model", "candor_role", "error_type")
	m.durations = histogram(metricDuration, "How long requests took, from their arrival on.", operationBuckets, []*values{&models}, "model")
	m.parts = histogram(metricParts, "How long parts of the work on a request took; overhead is what was not spent waiting for models, tools and people.", partBuckets, []*values{&parts}, "part")
	m.requests = counter(metricRequests, "Traces by what became of them.", []*values{&models, &outcomes}, "model", "outcome")
	m.tokens = counter(metricTokens, "Tokens that models read and wrote.", []*values{&models, &roles, &types}, "model", "role", "type")
	m.verdicts = counter(metricVerdicts, "Verdicts of the gates.", []*values{&gates, &states}, "gate", "state")
	spans := counter(metricExported, "Spans that were sent or that the collector did not take, and traces that were thrown away before.", []*values{&results}, "result")
	m.sent, m.failed, m.dropped = spans.of(labels{"sent"}), spans.of(labels{"failed"}), spans.of(labels{"dropped"})
	m.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// observe counts a trace.
func (m *metrics) observe(o *Observation) {
	m.requests.of(labels{o.Begin.Model, string(o.End.Outcome)}).Inc()
	m.durations.of(labels{o.Begin.Model}).Observe(o.End.Took.Seconds())
	m.parts.of(labels{"overhead"}).Observe((o.End.Took - o.End.Upstream).Seconds())
	for _, s := range o.End.Spent {
		m.parts.of(labels{s.Part}).Observe(s.Took.Seconds())
	}
	for i := range o.Stages {
		s := &o.Stages[i]
		for k := range s.Verdicts {
			m.verdicts.of(labels{s.Verdicts[k].Monitor, string(s.Verdicts[k].State)}).Inc()
		}
		for k := range s.Calls {
			c := &s.Calls[k]
			m.operation.of(labels{c.Model, c.Role, c.Err}).Observe(c.Took.Seconds())
			if c.PromptTokens > 0 {
				m.tokens.of(labels{c.Model, c.Role, "input"}).Add(float64(c.PromptTokens))
			}
			if c.CompletionTokens > 0 {
				m.tokens.of(labels{c.Model, c.Role, "output"}).Add(float64(c.CompletionTokens))
			}
		}
	}
}

// Gauges has the metrics show how the gateway and its ledger do at the time when they are fetched; nil leaves one out. It may be called
// once.
func (t *Telemetry) Gauges(gateway func() record.Stats, ledger func() Ledger) {
	gauge := func(name, help string) *prometheus.Desc { return prometheus.NewDesc(name, help, nil, nil) }
	if gateway != nil {
		inFlight, held := gauge(metricInFlight, "Answers that are worked on."), gauge(metricHeld, "Answers that wait for a person.")
		t.metrics.registry.MustRegister(prometheus.CollectorFunc(func(out chan<- prometheus.Metric) {
			s := gateway()
			out <- prometheus.MustNewConstMetric(inFlight, prometheus.GaugeValue, float64(s.InFlight))
			out <- prometheus.MustNewConstMetric(held, prometheus.GaugeValue, float64(s.Held))
		}))
	}
	if ledger != nil {
		entries, commits, refused := gauge(metricEntries, "Entries written."), gauge(metricCommits, "Transactions of the ledger."), gauge(metricRefused, "Appends that failed.")
		waiting, open := gauge(metricWaiting, "Appends in the queue."), gauge(metricOpen, "Traces that have begun and not ended.")
		t.metrics.registry.MustRegister(prometheus.CollectorFunc(func(out chan<- prometheus.Metric) {
			s := ledger()
			out <- prometheus.MustNewConstMetric(entries, prometheus.CounterValue, float64(s.Entries))
			out <- prometheus.MustNewConstMetric(commits, prometheus.CounterValue, float64(s.Commits))
			out <- prometheus.MustNewConstMetric(refused, prometheus.CounterValue, float64(s.Refused))
			out <- prometheus.MustNewConstMetric(waiting, prometheus.GaugeValue, float64(s.Waiting))
			out <- prometheus.MustNewConstMetric(open, prometheus.GaugeValue, float64(s.Open))
		}))
	}
}

// Metrics returns the handler of /metrics. Who may see it is for the caller to decide.
func (t *Telemetry) Metrics() http.Handler {
	return promhttp.HandlerFor(t.metrics.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4, Timeout: 10 * time.Second})
}
