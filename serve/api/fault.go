package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"time"

	"candor/openai"
	"candor/reasoning/llm"
)

// statusGone is nginx's status for a client that went away. Nobody reads it but whoever stands between.
const statusGone = 499

// fault is an error that a client is told.
type fault struct {
	status  int
	message string
	param   string // the field at fault
	code    string
	after   time.Duration // when to try again; 0 says nothing of it
}

func (f *fault) Error() string { return f.message }

// refuse is a fault of the client's, about a field of the body; "" for none in particular.
func refuse(param, format string, args ...any) error {
	return &fault{status: http.StatusBadRequest, param: param, message: fmt.Sprintf(format, args...)}
}

// failed tells what a client is to know of a generator's error.
func failed(ctx context.Context, err error) error {
	var f *fault
	var transient *llm.TransientError
	var one *llm.RequestError
	switch {
	case errors.As(err, &f):
		return f
	case ctx.Err() != nil:
		return &fault{status: statusGone, message: "the client went away"}
	case errors.As(err, &transient):
		status := http.StatusServiceUnavailable
		if transient.Overloaded {
			status = http.StatusTooManyRequests
		}
		return &fault{status: status, message: transient.Error(), after: max(transient.After, time.Second)}
	case errors.Is(err, context.Canceled):
		return &fault{status: http.StatusServiceUnavailable, message: "the server is stopping"}
	case errors.As(err, &one): // which by its contract is the request's own fault
		return refuse("", "%s", one.Err)
	case errors.Is(err, llm.ErrInvalid):
		return refuse("", "%s", err)
	}
	return &fault{status: http.StatusInternalServerError, message: "the model failed: " + err.Error()}
}

// fail writes an error in OpenAI's shape.
func fail(w http.ResponseWriter, err error) {
	var f *fault
	if !errors.As(err, &f) {
		f = &fault{status: http.StatusInternalServerError, message: err.Error()}
	}
	d := openai.ErrorDetail{Message: f.message, Param: f.param, Type: "invalid_request_error"}
	switch {
	case f.status == http.StatusTooManyRequests:
		d.Type = "rate_limit_error"
	case f.status >= http.StatusInternalServerError:
		d.Type = "server_error"
	}
	if f.code != "" {
		d.Code = f.code
	}
	if f.after > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(f.after.Seconds()))))
	}
	write(w, f.status, openai.ErrorBody{Error: d})
}

// write writes an answer in one piece.
func write(w http.ResponseWriter, status int, v any) {
	data, err := encode(v)
	if err != nil {
		status, data = http.StatusInternalServerError, []byte(`{"error":{"message":"the answer cannot be written as JSON","type":"server_error"}}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(data, '\n')) // a client that is gone is told nothing
}

// encode is json.Marshal that leaves <, > and & as they are.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// shown quotes what a client sent, of any length, for a sentence.
func shown(text string) string {
	const most = 80
	if len(text) > most {
		return fmt.Sprintf("%q... (%d bytes)", text[:most], len(text))
	}
	return strconv.Quote(text)
}
