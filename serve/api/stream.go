package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// flushBytes is how much of a stream is gathered before it is written.
const flushBytes = 64 << 10

// output gathers what is written, as JSON with <, > and & as they are.
type output struct {
	bytes.Buffer
	json *json.Encoder
}

var outputs = sync.Pool{New: func() any {
	o := new(output)
	o.json = json.NewEncoder(&o.Buffer)
	o.json.SetEscapeHTML(false)
	return o
}}

func newOutput() *output { return outputs.Get().(*output) }

func (o *output) free() {
	if o.Cap() <= maxPooled {
		o.Reset()
		outputs.Put(o)
	}
}

// string writes a text as JSON.
func (o *output) string(text string) {
	_ = o.json.Encode(text) // any string has a JSON; a line of it
	o.Truncate(o.Len() - 1)
}

// encode is json.Marshal that leaves <, > and & as they are; v must be one that has a JSON.
func encode(v any) json.RawMessage {
	o := newOutput()
	defer o.free()
	if err := o.json.Encode(v); err != nil {
		return json.RawMessage("null")
	}
	return bytes.Clone(bytes.TrimSuffix(o.Bytes(), []byte("\n")))
}

// deadline bounds how long a client may take to read its answer, the one that is written next.
func (s *Server) deadline(w http.ResponseWriter) {
	_ = http.NewResponseController(w).SetWriteDeadline(s.Clock().Add(writeTimeout)) // not every ResponseWriter has one
}

// write writes an answer in one piece.
func (s *Server) write(w http.ResponseWriter, status int, v any) {
	o := newOutput()
	defer o.free()
	if err := o.json.Encode(v); err != nil {
		o.Reset()
		status = http.StatusInternalServerError
		o.WriteString(`{"error":{"message":"the answer cannot be written as JSON","type":"server_error"}}` + "\n")
	}
	s.deadline(w)
	h := w.Header()
	h["Content-Type"], h["X-Content-Type-Options"] = jsonType, noSniff
	h.Set("Content-Length", strconv.Itoa(o.Len()))
	w.WriteHeader(status)
	_, _ = w.Write(o.Bytes()) // a client that is gone is told nothing
}

var (
	jsonType   = []string{"application/json"}
	eventsType = []string{"text/event-stream"}
	noStore    = []string{"no-store"}
	noSniff    = []string{"nosniff"}
)

// reply writes an answer that is not streamed.
func (x *exchange) reply(v any) { x.s.write(x.w, http.StatusOK, v) }

// answer asks the backend. While a streamed call waits for it, comments tell the client and whatever stands between that the
// connection lives. The error is for the client.
func (x *exchange) answer(c *call) ([]Answer, error) {
	ctx := x.r.Context()
	if c.Stream {
		waiting, cancel := context.WithCancel(ctx)
		defer cancel()
		ctx = waiting
		x.stream = c.Protocol
		defer x.keepAlive(cancel)()
	}
	a, err := c.model.Backend.Answer(ctx, &c.Call)
	if err != nil {
		f, _ := kind(x.r.Context(), err)
		return nil, f
	}
	out, err := c.fit(a)
	if err != nil {
		return nil, err
	}
	header := x.w.Header()
	for name, values := range a.Header {
		header[http.CanonicalHeaderKey(name)] = values
	}
	return out, nil
}

// keepAlive writes a comment whenever KeepAlive has gone by, until stop is called; stop waits for a comment that is being written.
// A client that does not take it is gone.
func (x *exchange) keepAlive(gone context.CancelFunc) (stop func()) {
	var mu sync.Mutex
	var timer *time.Timer
	stopped := false
	mu.Lock()
	defer mu.Unlock()
	timer = time.AfterFunc(x.s.KeepAlive, func() {
		mu.Lock()
		defer mu.Unlock()
		if stopped {
			return
		}
		x.begin()
		x.s.deadline(x.w)
		_, err := x.w.Write([]byte(": waiting\n"))
		if err == nil {
			err = x.control.Flush()
		}
		if err != nil && !errors.Is(err, http.ErrNotSupported) {
			gone()
			return
		}
		timer.Reset(x.s.KeepAlive)
	})
	return func() {
		timer.Stop()
		mu.Lock()
		stopped = true
		mu.Unlock()
	}
}

// begin sends the header of a stream, once.
func (x *exchange) begin() {
	if x.begun {
		return
	}
	x.begun = true
	h := x.w.Header()
	h["Content-Type"], h["Cache-Control"] = eventsType, noStore
	x.w.WriteHeader(http.StatusOK)
}

// events writes a stream of server-sent events. The first error is kept and the rest not written; it is not told, since
// it means that the client is gone.
type events struct {
	x   *exchange
	out *output
	err error
}

// events begins a stream, all of which is known.
func (x *exchange) events(*call) *events {
	x.s.deadline(x.w)
	return &events{x: x, out: newOutput()}
}

// send writes an event; name is "" for one without.
func (e *events) send(name string, v any) {
	if e.err != nil {
		return
	}
	if name != "" {
		e.out.WriteString("event: ")
		e.out.WriteString(name)
		e.out.WriteByte('\n')
	}
	e.out.WriteString("data: ")
	if e.err = e.out.json.Encode(v); e.err != nil { // which ends the line
		return
	}
	e.out.WriteByte('\n')
	e.wrote()
}

// wrote sends what is gathered once that is much.
func (e *events) wrote() {
	if e.out.Len() >= flushBytes {
		e.x.begin()
		e.write()
	}
}

func (e *events) done() { e.out.WriteString("data: [DONE]\n\n") }

func (e *events) write() {
	if e.err == nil {
		_, e.err = e.x.w.Write(e.out.Bytes())
	}
	e.out.Reset()
}

// end writes what is left. A stream that is written in one piece has a length, which spares the chunks.
func (e *events) end() {
	if !e.x.begun && e.err == nil {
		e.x.w.Header().Set("Content-Length", strconv.Itoa(e.out.Len()))
	}
	e.x.begin()
	e.write()
	if e.err == nil {
		_ = e.x.control.Flush()
	}
	e.out.free()
}

// fault ends a stream that has begun with an error.
func (x *exchange) fault(f *Fault) {
	e := x.events(nil)
	defer e.end()
	d := f.detail()
	if x.stream != "responses" {
		e.send("", map[string]any{"error": d})
		return
	}
	// the fields beside error are those of OpenAI's reference; its clients look for error, too
	e.send("error", map[string]any{"type": "error", "code": d.Code, "message": d.Message, "param": d.Param, "sequence_number": 0, "error": d})
}
