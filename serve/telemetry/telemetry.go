package telemetry

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"candor/reasoning/llm"
	"candor/serve/record"
)

// Options say what is told to whom.
type Options struct {
	// Endpoint is the URL of an OTLP collector that speaks HTTP, such as http://localhost:4318; where it has no path, /v1/traces is
	// meant. "" sends no spans.
	Endpoint string
	// Headers go with what is sent, such as a key.
	Headers map[string]string
	// Service is the name of the service; "" means candor.
	Service string
	// Content shows prompts and released answers, and PrivateChain beside it the chains of thought.
	Content, PrivateChain bool
	// Clock is the gateway's.
	Clock func() time.Time
}

// Observation is a trace that has ended.
type Observation struct {
	Trace   string // its ID in the ledger
	Arrived time.Time
	Begin   record.Begin
	Stages  []record.Stage
	End     record.End
	// Prompt, Answer and Tries are for Options.Content, and may be left out. Tries stand for the stages whose What is try, in order.
	Prompt []llm.Message
	Answer *record.Answer
	Tries  []*record.Try
}

const (
	maxQueued      = 4096     // traces
	maxQueuedBytes = 64 << 20 // of texts
	batchSize      = 512      // spans
	batchWait      = 2 * time.Second
	sendTimeout    = 5 * time.Second // of a batch, with all attempts
)

// Telemetry sends spans and counts. It is safe for concurrent use; nil does nothing.
type Telemetry struct {
	o       Options
	metrics *metrics

	// The rest is there only with an endpoint.
	exporter sdktrace.SpanExporter
	client   *http.Client
	queue    chan queued
	bytes    atomic.Int64 // of texts in the queue
	sending  context.Context
	giveUp   context.CancelFunc
	stop     chan struct{}
	once     sync.Once
	done     chan struct{}
}

// queued is a trace on its way out.
type queued struct {
	Observation
	parent trace.SpanContext
	ended  time.Time
	bytes  int64
}

// New starts telling. The collector need not be there.
func New(ctx context.Context, o Options) (*Telemetry, error) {
	if o.Clock == nil {
		return nil, errors.New("starting telemetry: there is no clock")
	}
	if o.Service == "" {
		o.Service = "candor"
	}
	t := &Telemetry{o: o, metrics: newMetrics()}
	if o.Endpoint == "" {
		return t, nil
	}
	u, err := url.Parse(o.Endpoint)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, errors.New("starting telemetry: the endpoint must be a URL such as http://localhost:4318")
	}
	if u.Path == "" || u.Path == "/" {
		u.Path = "/v1/traces"
	}
	headers := o.Headers
	if headers == nil {
		headers = map[string]string{}
	}
	t.client = &http.Client{
		Timeout:       sendTimeout,
		Transport:     &http.Transport{Proxy: http.ProxyFromEnvironment, MaxIdleConnsPerHost: 1, IdleConnTimeout: time.Minute, TLSHandshakeTimeout: sendTimeout},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // headers may hold a key
	}
	t.exporter, err = otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(u.String()), otlptracehttp.WithHeaders(headers),
		otlptracehttp.WithHTTPClient(t.client), otlptracehttp.WithTimeout(sendTimeout), otlptracehttp.WithCompression(otlptracehttp.GzipCompression), otlptracehttp.WithEncoding(otlptracehttp.EncodingProtobuf),
		otlptracehttp.WithRetry(otlptracehttp.RetryConfig{Enabled: true, InitialInterval: time.Second / 2, MaxInterval: 2 * time.Second, MaxElapsedTime: sendTimeout}))
	if err != nil {
		return nil, fmt.Errorf("starting telemetry: %w", err)
	}
	t.queue, t.stop, t.done = make(chan queued, maxQueued), make(chan struct{}), make(chan struct{})
	t.sending, t.giveUp = context.WithCancel(context.Background())
	go t.send()
	return t, nil
}

// Parent returns a context that knows the span of the client, if the headers of its request name one.
func Parent(ctx context.Context, h http.Header) context.Context {
	if len(h["Traceparent"]) != 1 {
		return ctx
	}
	// The tracestate, which other vendors may fill with anything, is not taken over.
	return propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier{"traceparent": h["Traceparent"][0]})
}

// Observe tells of a trace that has ended. The context may know the span of the client; one that is not sampled is only counted.
// It never blocks. What the observation points to must not be changed afterwards.
func (t *Telemetry) Observe(ctx context.Context, o Observation) {
	if t == nil {
		return
	}
	t.metrics.observe(&o)
	if t.exporter == nil {
		return
	}
	parent := trace.SpanContextFromContext(ctx)
	if parent.IsValid() && !parent.IsSampled() {
		return
	}
	q := queued{Observation: o, parent: parent, ended: t.o.Clock()}
	if !t.o.Content {
		q.Prompt, q.Answer, q.Tries = nil, nil, nil
	} else if !t.o.PrivateChain {
		q.Tries = nil
	}
	q.bytes = textBytes(&q.Observation)
	select {
	case <-t.stop:
		t.metrics.dropped.Add(1)
		return
	default:
	}
	if t.bytes.Add(q.bytes) > maxQueuedBytes {
		t.bytes.Add(-q.bytes)
		t.metrics.dropped.Add(1)
		return
	}
	select {
	case t.queue <- q:
	default:
		t.bytes.Add(-q.bytes)
		t.metrics.dropped.Add(1)
	}
}

// textBytes counts the texts of an observation.
func textBytes(o *Observation) (n int64) {
	for _, m := range o.Prompt {
		n += int64(len(m.Text))
		for _, c := range m.Calls {
			n += int64(len(c.Arguments))
		}
	}
	if o.Answer != nil {
		n += int64(len(o.Answer.Text))
		for _, c := range o.Answer.Calls {
			n += int64(len(c.Arguments))
		}
	}
	for _, t := range o.Tries {
		if t != nil {
			n += int64(2*len(t.Private) + 2*len(t.Shown) + len(t.Draft) + len(t.Brief) + len(t.Output)) // the steps hold both once more
		}
	}
	return n
}

// send builds spans and hands them to the exporter until Shutdown.
func (t *Telemetry) send() {
	defer close(t.done)
	b := newBuilder(&t.o)
	tick := time.NewTicker(batchWait)
	defer tick.Stop()
	take := func(q queued) {
		t.bytes.Add(-q.bytes)
		if t.sending.Err() != nil {
			t.metrics.dropped.Add(1)
			return
		}
		b.add(&q)
		if len(b.spans) >= batchSize {
			t.export(b)
		}
	}
	for {
		select {
		case q := <-t.queue:
			take(q)
		case <-tick.C:
			t.export(b)
		case <-t.stop:
			for {
				select {
				case q := <-t.queue:
					take(q)
				default:
					t.export(b)
					return
				}
			}
		}
	}
}

// export sends what is built and begins anew, however that went.
func (t *Telemetry) export(b *builder) {
	if len(b.spans) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(t.sending, sendTimeout)
	defer cancel()
	if err := t.exporter.ExportSpans(ctx, b.spans); err != nil {
		t.metrics.failed.Add(float64(len(b.spans)))
	} else {
		t.metrics.sent.Add(float64(len(b.spans)))
	}
	clear(b.spans)
	b.spans = b.spans[:0]
}

// Shutdown sends what is queued and ends. When ctx ends, the rest is thrown away.
func (t *Telemetry) Shutdown(ctx context.Context) error {
	if t == nil || t.exporter == nil {
		return nil
	}
	t.once.Do(func() { close(t.stop) })
	var err error
	select {
	case <-t.done:
	case <-ctx.Done():
		t.giveUp()
		<-t.done // sending ends with its context
		err = fmt.Errorf("ending telemetry: %w", ctx.Err())
	}
	t.giveUp()
	if e := t.exporter.Shutdown(context.WithoutCancel(ctx)); err == nil && e != nil {
		err = fmt.Errorf("ending telemetry: %w", e)
	}
	t.client.CloseIdleConnections()
	return err
}
