package openai

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"candor/reasoning/llm"
)

// Outcome says in one word what went wrong with a call. It is what run folders record.
type Outcome string

// What can go wrong.
const (
	RefusedConnection Outcome = "refused-connection" // nobody listens there
	UnknownHost       Outcome = "unknown-host"       // the name has no address
	BadTLS            Outcome = "bad-tls"            // no trusted certificate, or http and https confused
	LostConnection    Outcome = "lost-connection"    // it broke before an answer began
	NotHTTP           Outcome = "not-http"           // something else than HTTP answers there
	Timeout           Outcome = "timeout"            // no whole answer within Options.Timeout
	HTTPStatus        Outcome = "http-status"        // a status that is no success: see Error.Status
	TornReply         Outcome = "torn-reply"         // the connection broke within an answer in one piece
	TornStream        Outcome = "torn-stream"        // the connection broke within a stream
	NoEndMarker       Outcome = "no-end-marker"      // a stream ended properly, but the answer in it did not
	WrongContentType  Outcome = "wrong-content-type" // neither JSON nor an event stream
	NotJSON           Outcome = "not-json"           // said to be JSON, or an HTML page
	NotAnAnswer       Outcome = "not-an-answer"      // JSON, but not of the form of an answer
	TooLarge          Outcome = "too-large"          // longer than is read
	ErrorIn200        Outcome = "error-in-200"       // an error under a status that says success
	ErrorInStream     Outcome = "error-in-stream"    // an error in the midst of a stream
	EmptyChoices      Outcome = "empty-choices"      // an answer without any choice or output
	ContentFilter     Outcome = "content-filter"     // the provider held the answer back
	ToolCall          Outcome = "tool-call"          // a tool was called that nobody offered
	Aborted           Outcome = "aborted"            // the server gave the answer up
)

// Error is a fault of a call. It never holds a key.
type Error struct {
	Outcome Outcome
	// Method and URL say what was called; the URL is without its query.
	Method, URL string
	// Status is the HTTP status, 0 if none arrived.
	Status int
	// Code is the server's own word or number for the error, "" if there is none.
	Code string
	// Message is one sentence for people, without control characters.
	Message string
}

func (e *Error) Error() string { return e.Method + " " + e.URL + ": " + e.Message }

// OutcomeOf returns the outcome of the [*Error] that err is or wraps, "" if there is none.
func OutcomeOf(err error) Outcome {
	var e *Error
	if errors.As(err, &e) {
		return e.Outcome
	}
	return ""
}

// maxQuoted is how many characters of what a server sent are told in an error.
const maxQuoted = 200

// spell returns the beginning of what a server sent for people to read: control characters, terminal escapes and marks that turn
// the direction of writing are spelled out, and invalid UTF-8 by its bytes.
func spell(s string) string {
	var b strings.Builder
	s = strings.TrimSpace(s)
	for n := 0; s != ""; n++ {
		if n == maxQuoted {
			b.WriteString("…")
			break
		}
		r, size := utf8.DecodeRuneInString(s)
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\x%02x`, s[0])
		case strconv.IsPrint(r):
			b.WriteRune(r)
		default:
			quoted := strconv.QuoteRuneToASCII(r)
			b.WriteString(quoted[1 : len(quoted)-1])
		}
		s = s[size:]
	}
	return b.String()
}

// redact takes the key and the words of headers that may be keys out of what a server or a library said.
func (c *Client) redact(s string) string {
	for _, secret := range c.secrets {
		s = strings.ReplaceAll(s, secret, "[redacted]")
	}
	return s
}

// told is an error as a server words it.
type told struct {
	message, kind, code string
	status              int // the code, where that is a number
}

// readError finds the error in a body or event: {"error": {...}} or {"error": "..."}, [{"error": ...}] (Google), {"object":
// "error", "message": ...} (vLLM before 0.10), {"detail": ...} (FastAPI), {"message": ...}.
func readError(data []byte) (told, bool) {
	var list []json.RawMessage
	if json.Unmarshal(data, &list) == nil && len(list) > 0 {
		data = list[0]
	}
	var body struct {
		Error, Detail, Message, Type, Code, Object json.RawMessage
	}
	if json.Unmarshal(data, &body) != nil {
		return told{}, false
	}
	word := func(raw json.RawMessage) string {
		var s string
		if json.Unmarshal(raw, &s) == nil {
			return s
		}
		if string(raw) == "null" {
			return ""
		}
		return string(raw)
	}
	t := told{}
	var inner struct{ Message, Type, Code json.RawMessage }
	switch {
	case isSet(body.Error):
		t.message = word(body.Error)
		if json.Unmarshal(body.Error, &inner) == nil && word(inner.Message) != "" {
			t = told{message: word(inner.Message), kind: word(inner.Type), code: word(inner.Code)}
		}
	case isSet(body.Detail):
		t.message = word(body.Detail)
	case isSet(body.Message):
		t = told{message: word(body.Message), kind: word(body.Type), code: word(body.Code)}
	default:
		return told{}, false
	}
	t.status, _ = strconv.Atoi(t.code)
	return t, true
}

// isErrorObject tells an error of the old form that vLLM had, which may stand where an answer should.
func isErrorObject(object string) bool { return object == "error" }

// passing says whether what a server told may not happen again, and whether it has too much to do; known is false where nothing
// can be concluded from it.
func (t told) passing() (transient, overloaded, known bool) {
	if t.status >= 400 {
		transient, overloaded = statusPasses(t.status)
		return transient, overloaded, true
	}
	words := strings.ToLower(t.kind + " " + t.code)
	has := func(parts ...string) bool {
		for _, p := range parts {
			if strings.Contains(words, p) {
				return true
			}
		}
		return false
	}
	switch {
	case has("insufficient_quota", "billing"):
		return false, false, true
	case has("overloaded", "rate_limit", "ratelimit", "too_many", "resource_exhausted"):
		return true, true, true
	case has("server_error", "internal", "timeout", "unavailable", "api_error"):
		return true, false, true
	case has("invalid", "badrequest", "bad_request", "auth", "permission", "not_found", "notfound", "context_length"):
		return false, false, true
	}
	return false, false, false
}

// statusPasses says whether a request that met an HTTP status may fare better later.
func statusPasses(status int) (transient, overloaded bool) {
	switch status {
	case 408, 409, 425, 500, 502, 504, 520, 521, 522, 523, 524:
		return true, false
	case 429, 503, 529:
		return true, true
	}
	return false, false
}

// retryAfter reads how long a server asks to be left alone: retry-after-ms, or Retry-After in seconds or as a date, which needs
// now. It is 0 if nobody said, and at most a day.
func retryAfter(h http.Header, now func() time.Time) time.Duration {
	const most = 24 * time.Hour
	bounded := func(seconds float64) time.Duration {
		switch {
		case !(seconds > 0) || math.IsInf(seconds, 1):
			return 0
		case seconds > most.Seconds():
			return most
		}
		return time.Duration(seconds * float64(time.Second))
	}
	if ms, err := strconv.ParseFloat(h.Get("Retry-After-Ms"), 64); err == nil {
		return bounded(ms / 1000)
	}
	value := h.Get("Retry-After")
	if s, err := strconv.ParseFloat(value, 64); err == nil {
		return bounded(s)
	}
	if at, err := http.ParseTime(value); err == nil && now != nil {
		return bounded(at.Sub(now()).Seconds())
	}
	return 0
}

// transient wraps an error that may pass.
func transient(e *Error) error { return &llm.TransientError{Err: e} }
