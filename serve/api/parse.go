package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

// Bounds on a body's JSON. Read, it may be many times as large as written; they bound how many.
const (
	maxDepth  = 100     // lists and objects in one another
	maxValues = 100_000 // elements of all lists and objects
)

// maxPooled is the most room, in bytes, that is kept for bodies and answers to come.
const maxPooled = 256 << 10

var bodies = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// body reads a request's body, which must be JSON.
func (x *exchange) body(into any) error {
	if kind := x.r.Header.Get("Content-Type"); kind != "" && kind != "application/json" {
		if media, _, err := mime.ParseMediaType(kind); err != nil || media != "application/json" {
			return &Fault{Status: http.StatusUnsupportedMediaType, Message: fmt.Sprintf("the body is said to be %s; send application/json", shown(kind))}
		}
	}
	if x.r.ContentLength > x.s.MaxBody {
		return tooLarge(x.s.MaxBody)
	}
	b := bodies.Get().(*bytes.Buffer)
	defer func() {
		if b.Cap() <= maxPooled {
			b.Reset()
			bodies.Put(b)
		}
	}()
	_, err := b.ReadFrom(http.MaxBytesReader(x.w, x.r.Body, x.s.MaxBody)) // ServeHTTP has set a deadline
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return tooLarge(large.Limit)
	case err != nil && isTimeout(err):
		return &Fault{Status: http.StatusRequestTimeout, Message: fmt.Sprintf("the body did not arrive within %s", bodyTimeout)}
	case err != nil:
		return refuse("", "the body could not be read to its end: %s", err)
	}
	// the connection is watched from here on: who waits for an answer may wait
	x.read = true
	_ = x.control.SetReadDeadline(time.Time{})
	if err := scan(b.Bytes()); err != nil {
		return err
	}
	return parse(b.Bytes(), into)
}

func tooLarge(limit int64) error {
	return &Fault{Status: http.StatusRequestEntityTooLarge, Message: fmt.Sprintf("the body is longer than %d bytes", limit)}
}

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}

// scan refuses what would cost too much to read, and text that is no UTF-8, which would be read as other text. It does not see
// whether data is JSON.
func scan(data []byte) error {
	if !utf8.Valid(data) {
		return refuse("", "the body is not valid JSON: it is not UTF-8")
	}
	depth, values := 0, 0
	for i := 0; i < len(data); i++ {
		switch data[i] {
		case '"':
			for i++; i < len(data) && data[i] != '"'; i++ {
				if data[i] == '\\' {
					i++
				}
			}
		case '[', '{':
			depth++
			values++
		case ',':
			values++
		case ']', '}':
			depth--
		}
		if depth > maxDepth {
			return refuse("", "the body has more than %d lists and objects in one another", maxDepth)
		}
		if values > maxValues {
			return refuse("", "the body has more than %d values", maxValues)
		}
	}
	return nil
}

// parse reads JSON. Its error names the field that is wrong.
func parse(data []byte, into any) error {
	err := json.Unmarshal(data, into)
	var wrong *json.UnmarshalTypeError
	switch {
	case err == nil:
		return nil
	case !errors.As(err, &wrong):
		return refuse("", "the body is not valid JSON: %s", err)
	case wrong.Field == "":
		return refuse("", "the body is a JSON %s, must be an object", wrong.Value)
	}
	name := embedded.Replace(wrong.Field)
	return refuse(name, "%s is a JSON %s, must be %s", name, wrong.Value, expected(wrong.Type))
}

// embedded takes the names of embedded structs out of a field's, where encoding/json names them, too.
var embedded = strings.NewReplacer("settings.", "", "toolFunction.", "")

// expected says what a field of a Go type must be.
func expected(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Int, reflect.Int64:
		return "a whole number of 64 bits"
	case reflect.Float64:
		return "a number of 64 bits"
	case reflect.Bool:
		return "true or false"
	case reflect.String:
		return "a string"
	case reflect.Slice:
		return "a list"
	}
	return "an object"
}

// texts reads a string or a list of strings; null is none.
func texts(raw json.RawMessage, param string) ([]string, error) {
	var one string
	var list []string
	switch {
	case absent(raw):
		return nil, nil
	case json.Unmarshal(raw, &one) == nil:
		return []string{one}, nil
	case raw[0] == '[' && json.Unmarshal(raw, &list) == nil:
		return list, nil
	}
	return nil, refuse(param, "%s must be a string or a list of strings", param)
}

func absent(raw json.RawMessage) bool { return len(raw) == 0 || string(raw) == "null" }

// content reads a message's content: a string, null, or a list of parts, whose texts are joined. Parts that are not text
// are refused: an answer that ignored a picture would be worth nothing.
func content(raw json.RawMessage, param string) (string, error) {
	if absent(raw) {
		return "", nil
	}
	var text string
	if raw[0] == '"' && json.Unmarshal(raw, &text) == nil {
		return text, nil
	}
	var parts []struct {
		Type    string  `json:"type"`
		Text    *string `json:"text"`
		Refusal *string `json:"refusal"` // of an answer that the client sends back
	}
	if raw[0] != '[' || json.Unmarshal(raw, &parts) != nil {
		return "", refuse(param, "%s must be a string or a list of parts of type text", param)
	}
	var all strings.Builder
	for i, p := range parts {
		switch {
		case (p.Type == "text" || p.Type == "input_text" || p.Type == "output_text") && p.Text != nil:
			all.WriteString(*p.Text)
		case p.Type == "refusal" && p.Refusal != nil:
			all.WriteString(*p.Refusal)
		default:
			return "", refuse(param, "part %d of %s has the type %s; this model reads parts of type text, which have a text", i, param, shown(p.Type))
		}
	}
	return all.String(), nil
}
