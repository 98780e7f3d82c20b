package openai

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"syscall"

	"candor/reasoning/llm"
)

// call is one request with its answer. Its methods turn what goes wrong into errors.
type call struct {
	client      *Client
	caller      context.Context // ends when the caller gives up, not when Options.Timeout has passed
	method, url string
	resp        *http.Response
	body        *bufio.Reader
	media       string // the answer's content type
}

// take notes the answer, whose body is still to be read.
func (k *call) take(resp *http.Response) {
	k.resp = resp
	k.body = buffers.Get().(*bufio.Reader)
	k.body.Reset(&limited{r: resp.Body, left: k.client.maxRead})
	k.media, _, _ = mime.ParseMediaType(resp.Header.Get("Content-Type"))
}

// buffers are those of answers that have been read: most of what a call would allocate.
var buffers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, 16<<10) }}

// release gives the buffer back, when nobody reads the answer any more.
func (k *call) release() {
	k.body.Reset(nil)
	buffers.Put(k.body)
	k.body = nil
}

// limited reads up to left bytes, and fails beyond instead of seeming to end.
type limited struct {
	r    io.Reader
	left int64
}

func (l *limited) Read(p []byte) (int, error) {
	n, err := l.r.Read(p)
	if l.left -= int64(n); l.left < 0 {
		return 0, errTooLarge
	}
	return n, err
}

// fault makes an error. Arguments that come from outside must have gone through quote or redact.
func (k *call) fault(o Outcome, format string, args ...any) *Error {
	e := &Error{Outcome: o, Method: k.method, URL: k.url, Message: fmt.Sprintf(format, args...)}
	if k.resp != nil {
		e.Status = k.resp.StatusCode
	}
	return e
}

// quote spells out the beginning of what the server sent.
func (k *call) quote(data []byte) string {
	if len(bytes.TrimSpace(data)) == 0 {
		return "it is empty"
	}
	return "it begins: " + spell(k.client.redact(string(data[:min(len(data), 64<<10)])))
}

// gaveUp returns an error if the caller's context has ended.
func (k *call) gaveUp() error {
	if err := k.caller.Err(); err != nil {
		return fmt.Errorf("%s %s: %w", k.method, k.url, err)
	}
	return nil
}

func isTimeout(err error) bool {
	var n net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &n) && n.Timeout()
}

func (k *call) late() error {
	if k.client.timeout > 0 {
		return transient(k.fault(Timeout, "there was no whole answer within %v", k.client.timeout))
	}
	return transient(k.fault(Timeout, "there was no whole answer in time"))
}

// unanswered says why there was no answer at all.
func (k *call) unanswered(err error) error {
	if gone := k.gaveUp(); gone != nil {
		return gone
	}
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	why := spell(k.client.redact(err.Error()))
	var (
		name        *net.DNSError
		certificate *tls.CertificateVerificationError
		record      tls.RecordHeaderError
		authority   x509.UnknownAuthorityError
	)
	switch {
	case isTimeout(err):
		return k.late()
	case errors.Is(err, syscall.ECONNREFUSED):
		return transient(k.fault(RefusedConnection, "the connection was refused: is the server running, and at this port?"))
	case errors.As(err, &name) && name.IsNotFound:
		return k.fault(UnknownHost, "there is no host of that name")
	case errors.As(err, &certificate), errors.As(err, &record), errors.As(err, &authority),
		errors.Is(err, http.ErrSchemeMismatch):
		return k.fault(BadTLS, "no safe connection could be made: %s", why)
	case strings.Contains(err.Error(), "malformed HTTP"):
		return k.fault(NotHTTP, "what answers there does not speak HTTP: %s", why)
	}
	return transient(k.fault(LostConnection, "the connection broke before an answer came: %s", why))
}

// broke says why an answer could not be read to its end.
func (k *call) broke(o Outcome, err error) error {
	switch gone := k.gaveUp(); {
	case gone != nil:
		return gone
	case errors.Is(err, errTooLarge):
		return k.fault(TooLarge, "the answer is too long (more than %d MiB) and was not read further", k.client.max>>20)
	case isTimeout(err):
		return k.late()
	}
	return transient(k.fault(o, "the connection broke in the midst of the answer: %s", spell(k.client.redact(err.Error()))))
}

// refused makes the error of an answer whose status is no success.
func (k *call) refused() error {
	// What of an error page does not arrive is no loss.
	data, _ := io.ReadAll(io.LimitReader(k.body, 64<<10))
	if gone := k.gaveUp(); gone != nil {
		return gone
	}
	status, h := k.resp.StatusCode, k.resp.Header
	t, ok := readError(data)
	e := k.fault(HTTPStatus, "the server answered %d %s", status, http.StatusText(status))
	switch {
	case status/100 == 3:
		e.Message += ", a redirection, which is not followed; use where it leads as base URL: " + spell(k.client.redact(h.Get("Location")))
	case ok:
		e.Message += ": " + spell(k.client.redact(t.message))
		e.Code = k.code(t)
	case isHTML(data):
		e.Message += " with an HTML page; " + k.quote(data)
	default:
		e.Message += "; " + k.quote(data)
	}
	passes, overloaded := statusPasses(status)
	if passes && ok {
		if again, _, known := t.passing(); known && !again && t.status < 400 && status == 429 {
			passes = false // no quota left: waiting does not help
		}
	}
	switch h.Get("X-Should-Retry") { // OpenAI
	case "true":
		passes = true
	case "false":
		passes = false
	}
	if !passes {
		return e
	}
	return &llm.TransientError{After: retryAfter(h, k.client.now), Overloaded: overloaded, Err: e}
}

// code returns the server's word for an error.
func (k *call) code(t told) string {
	if t.code != "" {
		return spell(k.client.redact(t.code))
	}
	return spell(k.client.redact(t.kind))
}

// toldError makes the error of one that stands where an answer, or a part of one, should.
func (k *call) toldError(o Outcome, data []byte) error {
	where := "under a status that says success"
	if o == ErrorInStream {
		where = "in the midst of the stream"
	}
	t, ok := readError(data)
	if !ok {
		return transient(k.fault(o, "the server sent an error %s; %s", where, k.quote(data)))
	}
	e := k.fault(o, "the server sent an error %s: %s", where, spell(k.client.redact(t.message)))
	e.Code = k.code(t)
	passes, overloaded, known := t.passing()
	if !known {
		passes = o == ErrorInStream // what began well may go well the next time
	}
	if !passes {
		return e
	}
	return &llm.TransientError{After: retryAfter(k.resp.Header, k.client.now), Overloaded: overloaded, Err: e}
}

func isHTML(data []byte) bool {
	start := strings.ToLower(strings.TrimSpace(string(data[:min(len(data), 200)])))
	return strings.HasPrefix(start, "<!doctype html") || strings.HasPrefix(start, "<html") || strings.HasPrefix(start, "<head")
}

// isStream finds out whether the answer is an event stream; a server that does not say what it sends is taken by what it sends.
func (k *call) isStream() bool {
	switch k.media {
	case "text/event-stream":
		return true
	case "", "text/plain", "application/octet-stream":
		start, _ := k.body.Peek(6)
		return bytes.HasPrefix(start, []byte("data:")) || string(start) == "event:" || bytes.HasPrefix(start, []byte(":"))
	}
	return false
}

// whole reads an answer in one piece, a JSON object or list.
func (k *call) whole() ([]byte, error) {
	data, err := io.ReadAll(&limited{r: k.body, left: k.client.max})
	if err != nil {
		return nil, k.broke(TornReply, err)
	}
	data = bytes.TrimSpace(bytes.TrimPrefix(data, []byte("\ufeff")))
	if len(data) > 0 && (data[0] == '{' || data[0] == '[') && json.Valid(data) {
		return data, nil
	}
	switch {
	case isHTML(data):
		return nil, k.fault(NotJSON, "the answer is an HTML page: is this the address of an API? %s", k.quote(data))
	case k.media == "application/x-ndjson":
		return nil, k.fault(WrongContentType, "the answer is a list of JSON lines, which is Ollama's own API: its other one lies below /v1; %s", k.quote(data))
	case k.media == "" || k.media == "application/json" || strings.HasSuffix(k.media, "+json") || len(data) == 0:
		return nil, k.fault(NotJSON, "the answer is not JSON; %s", k.quote(data))
	}
	return nil, k.fault(WrongContentType, "the answer is of type %s, where JSON or an event stream was asked for; %s",
		spell(k.client.redact(k.media)), k.quote(data))
}
