package telemetry_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel/trace"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"

	"candor/reasoning/compose"
	"candor/reasoning/llm"
	"candor/serve/record"
	"candor/serve/telemetry"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// receiver is a collector.
type receiver struct {
	*httptest.Server
	mu     sync.Mutex
	bodies [][]byte
	header http.Header
	path   string
}

func newReceiver(t testing.TB) *receiver {
	r := &receiver{}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		z, err := gzip.NewReader(req.Body)
		if err != nil {
			t.Error(err)
			return
		}
		body, err := io.ReadAll(z)
		if err != nil {
			t.Error(err)
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.bodies, r.header, r.path = append(r.bodies, body), req.Header, req.URL.Path
	}))
	t.Cleanup(r.Close)
	return r
}

// spans returns what arrived.
func (r *receiver) spans(t *testing.T) (out []*otlp.Span) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, body := range r.bodies {
		var q collector.ExportTraceServiceRequest
		if err := proto.Unmarshal(body, &q); err != nil {
			t.Fatal(err)
		}
		for _, res := range q.ResourceSpans {
			if res.Resource.Attributes[0].Value.GetStringValue() != "candor" {
				t.Errorf("resource %v", res.Resource)
			}
			for _, scope := range res.ScopeSpans {
				out = append(out, scope.Spans...)
			}
		}
	}
	return out
}

var arrived = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)

func after(ms int) time.Time { return arrived.Add(time.Duration(ms) * time.Millisecond) }

func ms(n int) time.Duration { return time.Duration(n) * time.Millisecond }

// clock stands where the end of observation's trace has been written.
func clock() time.Time { return after(503) }

// observation is a trace of two tries: in the first the reasoner failed once, the second was released.
func observation() telemetry.Observation {
	verdict := compose.Verdict{Monitor: "judge", State: compose.Block, Score: .9, Threshold: .5}
	passed := verdict
	passed.State, passed.Score = compose.Pass, .25
	return telemetry.Observation{
		Trace: "t1", Arrived: arrived,
		Begin: record.Begin{Request: "chatcmpl-1", Protocol: "chat", Model: "sound", Key: "k1", Of: 1},
		Stages: []record.Stage{
			{What: "try", System: "main", Verdicts: []compose.Verdict{verdict}, Calls: []record.Call{
				{Role: "reasoner", Model: "r1", Began: after(10), Took: ms(90), Err: "http-status 503"},
				{Role: "reasoner", Model: "r1", Attempt: 1, Began: after(150), Took: ms(50), PromptTokens: 7, CompletionTokens: 30},
				{Role: "face", Model: "f1", Began: after(200), Took: ms(50), PromptTokens: 20, CompletionTokens: 5},
			}},
			{What: "try", N: 1, System: "main", Verdicts: []compose.Verdict{passed}, Calls: []record.Call{
				{Role: "reasoner", Model: "r1", Began: after(260), Took: ms(140), PromptTokens: 7, CompletionTokens: 40},
				{Role: "face", Model: "f1", Began: after(400), Took: ms(90), PromptTokens: 20, CompletionTokens: 8},
			}},
		},
		End: record.End{Outcome: record.Released, Finish: llm.FinishStop, Tries: 2, Took: ms(500), Upstream: ms(470), Tokens: 137,
			Spent: []record.Spent{{Part: "limits", Took: ms(1)}, {Part: "begin", Took: ms(5)}, {Part: "monitors", Took: ms(4)},
				{Part: "reasoner", Took: ms(280)}, {Part: "face", Took: ms(140)}, {Part: "end", Took: ms(3)}}},
	}
}

func start(t testing.TB, o telemetry.Options) *telemetry.Telemetry {
	t.Helper()
	o.Clock = clock
	tel, err := telemetry.New(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	return tel
}

func stop(t testing.TB, tel *telemetry.Telemetry) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := tel.Shutdown(ctx); err != nil {
		t.Error(err)
	}
}

// attributes spells the attributes of a span or event.
func attributes(list []*common.KeyValue) string {
	var words []string
	for _, kv := range list {
		v := kv.Value
		word := v.GetStringValue()
		switch x := v.Value.(type) {
		case *common.AnyValue_IntValue:
			word = fmt.Sprint(x.IntValue)
		case *common.AnyValue_DoubleValue:
			word = fmt.Sprint(x.DoubleValue)
		case *common.AnyValue_BoolValue:
			word = fmt.Sprint(x.BoolValue)
		case *common.AnyValue_ArrayValue:
			word = "[" + x.ArrayValue.Values[0].GetStringValue() + "]"
		}
		words = append(words, kv.Key+"="+word)
	}
	return strings.Join(words, " ")
}

// A trace arrives as a tree whose spans lie within their parents.
func TestSpans(t *testing.T) {
	r := newReceiver(t)
	tel := start(t, telemetry.Options{Endpoint: r.URL, Headers: map[string]string{"X-Key": "k"}})
	tel.Observe(t.Context(), observation())
	stop(t, tel)
	spans := r.spans(t)
	if r.path != "/v1/traces" || r.header.Get("X-Key") != "k" {
		t.Errorf("sent to %s with %v", r.path, r.header)
	}
	byID := map[string]*otlp.Span{}
	var root *otlp.Span
	for _, s := range spans {
		byID[string(s.SpanId)] = s
		if len(s.ParentSpanId) == 0 {
			root = s
		}
	}
	if root == nil || len(byID) != len(spans) {
		t.Fatalf("%d spans of %d IDs, the root is %v", len(spans), len(byID), root)
	}
	var path func(s *otlp.Span) string
	path = func(s *otlp.Span) string {
		if s == root {
			return ""
		}
		p := byID[string(s.ParentSpanId)]
		if p == nil || s.StartTimeUnixNano < p.StartTimeUnixNano || s.EndTimeUnixNano > p.EndTimeUnixNano || !bytes.Equal(s.TraceId, root.TraceId) {
			t.Errorf("%s does not lie in %v", s, p)
			return "?"
		}
		return path(p) + "/" + s.Name
	}
	var got []string
	for _, s := range spans {
		if s != root {
			from := time.Unix(0, int64(s.StartTimeUnixNano)).Sub(arrived) / time.Millisecond
			to := time.Unix(0, int64(s.EndTimeUnixNano)).Sub(arrived) / time.Millisecond
			got = append(got, fmt.Sprintf("%s %d-%d", path(s), from, to))
		}
	}
	want := `/limits 0-1
/ledger begin 1-6
/ledger end 500-503
/try main 10-250
/try main/chat r1 10-100
/try main/chat r1 150-200
/try main/chat f1 200-250
/try main 260-490
/try main/chat r1 260-400
/try main/chat f1 400-490
/monitors 490-494`
	if s := strings.Join(got, "\n"); s != want {
		t.Errorf("spans\n%s\nwant\n%s", s, want)
	}
	if got, want := root.Name+" "+attributes(root.Attributes), "chat sound gen_ai.operation.name=chat gen_ai.provider.name=candor gen_ai.request.model=sound gen_ai.response.model=sound "+
		"gen_ai.response.id=chatcmpl-1 gen_ai.usage.input_tokens=54 gen_ai.usage.output_tokens=83 candor.trace=t1 candor.protocol=chat candor.outcome=released "+
		"candor.tries=2 candor.ungated=false candor.overhead=0.03 gen_ai.response.finish_reasons=[stop]"; got != want {
		t.Errorf("the root is\n%s\nwant\n%s", got, want)
	}
	if got, want := attributes(spans[4].Attributes), "gen_ai.operation.name=chat gen_ai.request.model=r1 candor.role=reasoner candor.attempt=0 error.type=http-status 503"; got != want || spans[4].Status.Code != otlp.Status_STATUS_CODE_ERROR {
		t.Errorf("a failed call: %s, status %v", got, spans[4].Status)
	}
	if e := spans[3].Events; len(e) != 1 || e[0].Name+" "+attributes(e[0].Attributes) != "gen_ai.evaluation.result gen_ai.evaluation.name=judge gen_ai.evaluation.score.label=block gen_ai.evaluation.score.value=0.9 candor.threshold=0.5" {
		t.Errorf("verdicts %v", e)
	}
}

// Other kinds of traces: a failure without any stage, an agent's actions, and more spans than are kept.
func TestOtherTraces(t *testing.T) {
	r := newReceiver(t)
	tel := start(t, telemetry.Options{Endpoint: r.URL + "/collect"})
	gone := telemetry.Observation{Arrived: arrived, Begin: record.Begin{Model: "m\xff" + strings.Repeat("x", 1000), Protocol: "completions", Of: 3}, End: record.End{Outcome: record.Failed, Took: ms(1)}}
	agent := observation()
	agent.Stages = []record.Stage{{What: "action", Decision: "approve", Calls: []record.Call{{Role: "reviewer", Model: "v", Began: after(10), Took: ms(5)}}},
		{What: "result", Spent: []record.Spent{{Part: "tool", Took: ms(20)}}, Err: "it is not known"}}
	agent.End.Spent = []record.Spent{{Part: "review", Took: ms(5)}, {Part: "tool", Took: ms(20)}}
	long := observation()
	for range 1000 {
		long.Stages = append(long.Stages, long.Stages[0])
	}
	for _, o := range []telemetry.Observation{gone, agent, long} {
		tel.Observe(t.Context(), o)
	}
	stop(t, tel)
	spans := r.spans(t)
	if r.path != "/collect" {
		t.Errorf("sent to %s", r.path)
	}
	first := attributes(spans[0].Attributes)
	if len(spans[0].Name) > 160 || !strings.HasPrefix(spans[0].Name, "text_completion m\uFFFDxxx") || !strings.Contains(first, "gen_ai.request.choice.count=3") || !strings.Contains(first, "error.type=failed") {
		t.Errorf("a failure: %s %s", spans[0].Name, first)
	}
	var names []string
	for _, s := range spans[1:7] {
		names = append(names, s.Name)
	}
	if got := strings.Join(names, ", "); got != "action, chat v, result, execute_tool, review, chat sound" || spans[3].Status.Code != otlp.Status_STATUS_CODE_ERROR {
		t.Errorf("an agent's spans are %s, the result's status %v", got, spans[3].Status)
	}
	rest := spans[7:]
	if root := rest[len(rest)-1]; len(rest) != 257 || !strings.Contains(attributes(root.Attributes), "candor.spans_dropped=") || len(root.ParentSpanId) != 0 {
		t.Errorf("%d spans of a long trace, the last is %v", len(rest), root)
	}
}

const traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

// The client's trace is taken over, and nothing of it that is not in order.
func TestParent(t *testing.T) {
	for header, want := range map[string]string{
		traceparent: "4bf92f3577b34da6a3ce929d0e0e4736", "": "new", "00-x": "new", "00-00000000000000000000000000000000-00f067aa0ba902b7-01": "new",
		"ff" + traceparent[2:]: "new", traceparent + "-more": "new", traceparent[:53] + "00": "none",
	} {
		r := newReceiver(t)
		tel := start(t, telemetry.Options{Endpoint: r.URL})
		h := http.Header{"Traceparent": {header}, "Tracestate": {"vendor=what-a-client-says"}}
		tel.Observe(telemetry.Parent(t.Context(), h), observation())
		stop(t, tel)
		spans := r.spans(t)
		if want == "none" {
			if len(spans) != 0 {
				t.Errorf("%q: %d spans, although the client's is not sampled", header, len(spans))
			}
			continue
		}
		root := spans[len(spans)-1]
		if got := fmt.Sprintf("%x", root.TraceId); (got == want) != (want != "new") || (fmt.Sprintf("%x", root.ParentSpanId) == "00f067aa0ba902b7") != (want != "new") {
			t.Errorf("%q: trace %s below %x", header, got, root.ParentSpanId)
		}
		if bytes.Contains(bytes.Join(r.bodies, nil), []byte("client-says")) {
			t.Errorf("%q: the tracestate is handed on", header)
		}
	}
	two := http.Header{"Traceparent": {traceparent, traceparent}}
	if sc := trace.SpanContextFromContext(telemetry.Parent(t.Context(), two)); sc.IsValid() {
		t.Error("one of two headers is believed")
	}
}

func FuzzParent(f *testing.F) {
	f.Add(traceparent)
	f.Add("00-" + strings.Repeat("f", 32) + "-" + strings.Repeat("f", 16) + "-ff")
	f.Add("\xff-00")
	f.Fuzz(func(t *testing.T, header string) {
		sc := trace.SpanContextFromContext(telemetry.Parent(t.Context(), http.Header{"Traceparent": {header}}))
		if sc.IsValid() && !strings.Contains(header, sc.TraceID().String()+"-"+sc.SpanID().String()) || sc.TraceState().Len() > 0 {
			t.Errorf("%q gave %v", header, sc)
		}
	})
}

func TestNew(t *testing.T) {
	for _, endpoint := range []string{"localhost:4318", "ftp://x", "http://", "http://x\x00:secret"} {
		if _, err := telemetry.New(t.Context(), telemetry.Options{Endpoint: endpoint, Clock: clock}); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v", endpoint, err)
		}
	}
	if _, err := telemetry.New(t.Context(), telemetry.Options{}); err == nil {
		t.Error("no clock is fine")
	}
	var none *telemetry.Telemetry
	none.Observe(t.Context(), observation())
	if err := none.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}
