package telemetry

import (
	"encoding/binary"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"candor/internal/rng"
	"candor/serve/record"
)

const (
	maxSpans = 256 // of one trace
	maxName  = 128 // bytes of a name
)

// builder makes spans of observations. The SDK's own spans are made while things happen, by a provider that reads the environment;
// these are put together afterwards, for which the SDK has tracetest.SpanStub.
type builder struct {
	o        *Options
	random   rng.Source
	resource *resource.Resource
	scope    instrumentation.Scope
	spans    []sdktrace.ReadOnlySpan
}

func newBuilder(o *Options) *builder {
	return &builder{
		o:        o,
		random:   rng.New(binary.LittleEndian.Uint64(rng.Secret(8))),
		resource: resource.NewWithAttributes(semanticConventions, attribute.String(attrService, o.Service)),
		scope:    instrumentation.Scope{Name: "candor/serve", SchemaURL: semanticConventions},
	}
}

// spanID returns a new ID, which is not zero.
func (b *builder) spanID() (id trace.SpanID) {
	binary.BigEndian.PutUint64(id[:], b.random.Uint64()|1)
	return id
}

// one is a trace whose spans are being built.
type one struct {
	*builder
	*queued
	root  trace.SpanContext
	count int
}

// add builds the spans of a trace.
func (b *builder) add(q *queued) {
	t := one{builder: b, queued: q}
	traceID := q.parent.TraceID()
	if !q.parent.IsValid() {
		binary.BigEndian.PutUint64(traceID[:8], b.random.Uint64())
		binary.BigEndian.PutUint64(traceID[8:], b.random.Uint64()|1)
	}
	t.root = trace.NewSpanContext(trace.SpanContextConfig{TraceID: traceID, SpanID: b.spanID(), TraceFlags: trace.FlagsSampled})
	end := q.Arrived.Add(q.End.Took)
	if q.ended.After(end) {
		end = q.ended // the end was still to be written
	}
	last := t.parts(end)
	t.stages(&last)
	t.rest(last)
	t.top(end)
}

// span adds a span below a parent.
func (t *one) span(name string, kind trace.SpanKind, parent trace.SpanContext, from, to time.Time, status sdktrace.Status, events []sdktrace.Event, attrs ...attribute.KeyValue) trace.SpanContext {
	sc := t.root.WithSpanID(t.spanID())
	t.put(tracetest.SpanStub{Name: name, SpanContext: sc, Parent: parent, SpanKind: kind, StartTime: from, EndTime: to, Status: status,
		Events: events, Attributes: attrs})
	return sc
}

func (t *one) put(s tracetest.SpanStub) {
	if t.count++; t.count > maxSpans && s.SpanContext.SpanID() != t.root.SpanID() {
		return
	}
	s.Resource, s.InstrumentationScope = t.resource, t.scope
	t.spans = append(t.spans, s.Snapshot())
}

var failed = sdktrace.Status{Code: codes.Error}

// early tells whether a part lies before the first stage, and late whether it lies behind all others.
func early(part string) bool { return part == "limits" || part == "begin" }
func late(part string) bool  { return part == "end" }

// partName is the name of a part's span.
func partName(part string) string {
	switch part {
	case "begin", "end":
		return "ledger " + part
	}
	return clip(part)
}

// parts adds the parts that lie at the beginning and the end, and returns when the first stage begins.
func (t *one) parts(end time.Time) (at time.Time) {
	at = t.Arrived
	for _, s := range t.End.Spent {
		switch {
		case early(s.Part):
			t.span(partName(s.Part), trace.SpanKindInternal, t.root, at, at.Add(s.Took), sdktrace.Status{}, nil)
			at = at.Add(s.Took)
		case late(s.Part):
			t.span(partName(s.Part), trace.SpanKindInternal, t.root, end.Add(-s.Took), end, sdktrace.Status{}, nil)
		}
	}
	return at
}

// stages adds a span for each stage, with its calls below. at is where one without calls lies, and then the end of the last.
func (t *one) stages(at *time.Time) {
	try := 0
	for i := range t.Stages {
		s := &t.Stages[i]
		from, to := *at, *at
		for k, c := range s.Calls {
			if k == 0 || c.Began.Before(from) {
				from = c.Began
			}
			if ended := c.Began.Add(c.Took); ended.After(to) {
				to = ended
			}
		}
		for _, p := range s.Spent {
			to = to.Add(p.Took)
		}
		attrs := []attribute.KeyValue{attribute.String(attrStage, clip(s.What)), attribute.Int(attrNumber, s.N)}
		word := func(key, value string) {
			if value != "" {
				attrs = append(attrs, attribute.String(key, clip(value)))
			}
		}
		word(attrSystem, s.System)
		word(attrPartial, string(s.Partial))
		word(attrDecision, s.Decision)
		if s.What == "try" {
			if try < len(t.Tries) && t.Tries[try] != nil { // only with Content and PrivateChain
				attrs = append(attrs, attribute.String(attrPrivate, cut(t.Tries[try].Private, maxText)),
					attribute.String(attrShown, cut(t.Tries[try].Shown, maxText)))
			}
			try++
		}
		status := sdktrace.Status{}
		if s.Err != "" {
			status = failed // what went wrong may quote a text
		}
		sc := t.span(strings.TrimSpace(clip(s.What)+" "+clip(s.System)), trace.SpanKindInternal, t.root, from, to, status, verdicts(s, to), attrs...)
		for k := range s.Calls {
			t.call(sc, &s.Calls[k])
		}
		inner := to
		for _, p := range slices.Backward(s.Spent) {
			t.tool(sc, p, inner.Add(-p.Took), inner)
			inner = inner.Add(-p.Took)
		}
		*at = to
	}
}

// tool adds a part of a stage.
func (t *one) tool(parent trace.SpanContext, p record.Spent, from, to time.Time) {
	if p.Part == "tool" {
		t.span(operationTool, trace.SpanKindInternal, parent, from, to, sdktrace.Status{}, nil, attribute.String(attrOperation, operationTool))
		return
	}
	t.span(partName(p.Part), trace.SpanKindInternal, parent, from, to, sdktrace.Status{}, nil)
}

// verdicts are the events of a stage. What a monitor noted beside its number may quote a text.
func verdicts(s *record.Stage, at time.Time) []sdktrace.Event {
	if len(s.Verdicts) == 0 {
		return nil
	}
	events := make([]sdktrace.Event, len(s.Verdicts))
	for i, v := range s.Verdicts {
		events[i] = sdktrace.Event{Name: eventEvaluation, Time: at, Attributes: []attribute.KeyValue{
			attribute.String(attrEvaluation, clip(v.Monitor)), attribute.String(attrLabel, clip(string(v.State))),
			attribute.Float64(attrScore, v.Score), attribute.Float64(attrThreshold, v.Threshold)}}
	}
	return events
}

// call adds the call of a model.
func (t *one) call(parent trace.SpanContext, c *record.Call) {
	attrs := make([]attribute.KeyValue, 0, 7)
	attrs = append(attrs, attribute.String(attrOperation, operationChat), attribute.String(attrRequestModel, clip(c.Model)),
		attribute.String(attrRole, clip(c.Role)), attribute.Int(attrAttempt, c.Attempt))
	status := sdktrace.Status{}
	if c.Err != "" {
		attrs, status = append(attrs, attribute.String(attrErrorType, clip(c.Err))), failed
	} else {
		attrs = append(attrs, attribute.Int(attrInputTokens, c.PromptTokens), attribute.Int(attrOutputTokens, c.CompletionTokens))
	}
	t.span(operationChat+" "+clip(c.Model), trace.SpanKindClient, parent, c.Began, c.Began.Add(c.Took), status, nil, attrs...)
}

// rest adds the other parts behind the last stage: those that are no calls of a role.
func (t *one) rest(at time.Time) {
	for _, s := range t.End.Spent {
		if early(s.Part) || late(s.Part) || t.called(s.Part) {
			continue
		}
		t.span(partName(s.Part), trace.SpanKindInternal, t.root, at, at.Add(s.Took), sdktrace.Status{}, nil)
		at = at.Add(s.Took)
	}
}

// called tells whether a part is a role whose calls have spans, or stands in a stage.
func (t *one) called(part string) bool {
	for i := range t.Stages {
		s := &t.Stages[i]
		if slices.ContainsFunc(s.Calls, func(c record.Call) bool { return c.Role == part }) ||
			slices.ContainsFunc(s.Spent, func(p record.Spent) bool { return p.Part == part }) {
			return true
		}
	}
	return false
}

// top adds the span of the whole trace.
func (t *one) top(end time.Time) {
	operation := operationChat
	if t.Begin.Protocol == "completions" {
		operation = operationCompletion
	}
	var in, out int
	for i := range t.Stages {
		for _, c := range t.Stages[i].Calls {
			in, out = in+c.PromptTokens, out+c.CompletionTokens
		}
	}
	model := clip(t.Begin.Model)
	attrs := make([]attribute.KeyValue, 0, 18)
	attrs = append(attrs, attribute.String(attrOperation, operation), attribute.String(attrProvider, provider),
		attribute.String(attrRequestModel, model), attribute.String(attrResponseModel, model), attribute.String(attrResponseID, clip(t.Begin.Request)),
		attribute.Int(attrInputTokens, in), attribute.Int(attrOutputTokens, out), attribute.String(attrTrace, clip(t.Trace)),
		attribute.String(attrProtocol, clip(t.Begin.Protocol)), attribute.String(attrOutcome, clip(string(t.End.Outcome))),
		attribute.Int(attrTries, t.End.Tries), attribute.Bool(attrUngated, t.Begin.Ungated),
		attribute.Float64(attrOverhead, (t.End.Took-t.End.Upstream).Seconds()))
	if t.Begin.Of > 1 {
		attrs = append(attrs, attribute.Int(attrChoices, t.Begin.Of))
	}
	if t.End.Finish != "" {
		attrs = append(attrs, attribute.StringSlice(attrFinish, []string{clip(string(t.End.Finish))}))
	}
	status := sdktrace.Status{}
	if o := t.End.Outcome; o == record.Failed || o == record.Dropped {
		attrs, status = append(attrs, attribute.String(attrErrorType, string(o))), failed
	}
	if dropped := t.count - maxSpans; dropped > 0 {
		attrs = append(attrs, attribute.Int(attrDropped, dropped))
	}
	if t.o.Content {
		attrs = t.content(attrs)
	}
	t.put(tracetest.SpanStub{Name: operation + " " + model, SpanContext: t.root, Parent: t.parent, SpanKind: trace.SpanKindServer,
		StartTime: t.Arrived, EndTime: end, Status: status, Attributes: attrs})
}

// clip bounds a name and makes it valid.
func clip(s string) string { return cut(s, maxName) }

// cut returns at most n bytes of a text, as valid UTF-8.
func cut(s string, n int) string {
	if len(s) > n {
		for n > 0 && !utf8.RuneStart(s[n]) {
			n--
		}
		s = s[:n]
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}
