package api

import (
	"context"
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

// Fault is an error that a client is told.
type Fault struct {
	Status  int // of HTTP
	Message string
	Param   string // the field of the body that is at fault, "" for none
	Code    string // a word for programs, such as model_not_found
	// After is when to try again; 0 says nothing of it.
	After time.Duration
}

func (f *Fault) Error() string { return f.Message }

// refuse is a fault of the client's, about a field of the body; "" for none in particular.
func refuse(param, format string, args ...any) error {
	return &Fault{Status: http.StatusBadRequest, Param: param, Message: fmt.Sprintf(format, args...)}
}

// ToFault tells a client of a model's error in the model's own words. It is for errors that hold nothing a client may not see.
func ToFault(ctx context.Context, err error) *Fault {
	f, known := kind(ctx, err)
	var transient *llm.TransientError
	var one *llm.RequestError
	switch {
	case known:
	case errors.As(err, &transient):
		f.Message = transient.Error()
	case errors.As(err, &one): // which by its contract is the request's own fault
		f.Message = one.Err.Error()
	case errors.Is(err, llm.ErrInvalid):
		f.Message = err.Error()
	default:
		f.Message = "the model failed: " + err.Error()
	}
	return f
}

// kind is the fault that an error amounts to, without its words unless they are meant for the client: an error can quote what a
// model has thought. Known tells that f says it all.
func kind(ctx context.Context, err error) (f *Fault, known bool) {
	var transient *llm.TransientError
	var one *llm.RequestError
	switch {
	case errors.As(err, &f):
		return f, true
	case ctx.Err() != nil:
		return &Fault{Status: statusGone, Message: "the client went away"}, true
	case errors.As(err, &transient):
		f = &Fault{Status: http.StatusServiceUnavailable, Message: "a model cannot be reached now: try again later", After: max(transient.After, time.Second)}
		if transient.Overloaded {
			f.Status, f.Message = http.StatusTooManyRequests, "a model has too much to do: try again later"
		}
		return f, false
	case errors.Is(err, context.Canceled):
		return &Fault{Status: http.StatusServiceUnavailable, Message: "the server is stopping"}, true
	case errors.Is(err, context.DeadlineExceeded):
		return &Fault{Status: http.StatusGatewayTimeout, Message: "the model took too long"}, true
	case errors.As(err, &one), errors.Is(err, llm.ErrInvalid):
		return &Fault{Status: http.StatusBadRequest, Message: "the model cannot answer this request"}, false
	}
	return &Fault{Status: http.StatusInternalServerError, Message: "the server failed"}, false
}

// detail is a fault in OpenAI's shape.
func (f *Fault) detail() openai.ErrorDetail {
	d := openai.ErrorDetail{Message: f.Message, Param: f.Param, Type: "invalid_request_error"}
	switch {
	case f.Status == http.StatusUnauthorized:
		d.Type = "authentication_error"
	case f.Status == http.StatusForbidden:
		d.Type = "permission_error"
	case f.Status == http.StatusTooManyRequests:
		d.Type = "rate_limit_error"
	case f.Status >= http.StatusInternalServerError:
		d.Type = "server_error"
	}
	if f.Code != "" {
		d.Code = f.Code
	}
	return d
}

// fail writes an error that no part of an answer went before.
func (s *Server) fail(w http.ResponseWriter, f *Fault) {
	if f.After > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(f.After.Seconds()))))
	}
	if f.Status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", "Bearer")
	}
	s.write(w, f.Status, openai.ErrorBody{Error: f.detail()})
}

// shown quotes what a client sent, of any length, for a sentence.
func shown(text string) string {
	const most = 80
	if len(text) > most {
		return fmt.Sprintf("%q... (%d bytes)", text[:most], len(text))
	}
	return strconv.Quote(text)
}
