package api

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// exchange is a request on its way through a route, and its answer.
type exchange struct {
	s       *Server
	w       http.ResponseWriter
	r       *http.Request
	control *http.ResponseController
	arrived time.Time
	stream  string // the protocol of a streamed answer, "" before one is asked for
	read    bool   // the body is read
	begun   bool   // the header of a stream is sent
}

// route lets a path be asked with one method, by whom Admit lets in.
func (s *Server) route(path, method string, do func(*exchange) error) {
	s.v1.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
		x := &exchange{s: s, w: w, r: r, control: http.NewResponseController(w), arrived: s.Clock()}
		defer func() {
			if p := recover(); p != nil { // the client is told, and net/http prints where it was and goes on
				x.fail(&Fault{Status: http.StatusInternalServerError, Message: "the server failed"})
				_ = x.control.Flush()
				panic(p)
			}
		}()
		done, err := x.admit()
		if done != nil {
			defer done()
		}
		if err == nil && r.Method != method && (method != http.MethodGet || r.Method != http.MethodHead) {
			w.Header().Set("Allow", method)
			err = &Fault{Status: http.StatusMethodNotAllowed, Message: fmt.Sprintf("%s answers %s, not %s", r.URL.Path, method, shown(r.Method))}
		}
		if err == nil {
			err = do(x)
		}
		if err != nil {
			f, _ := kind(r.Context(), err)
			x.fail(f)
		}
	})
}

// admit asks whether the request may be answered.
func (x *exchange) admit() (done func(), err error) {
	if x.s.Admit == nil {
		return nil, nil
	}
	ctx, done, err := x.s.Admit(x.r)
	if err == nil && ctx != nil {
		x.r = x.r.WithContext(ctx)
	}
	return done, err
}

// fail tells the client of an error, in the stream if that has begun.
func (x *exchange) fail(f *Fault) {
	switch {
	case x.begun:
		x.fault(f)
		return
	case !x.read:
		x.s.leave(x.w, x.r)
	}
	x.s.fail(x.w, f)
}

// leave lets net/http, which reads on before it answers, do so for a moment only.
func (s *Server) leave(w http.ResponseWriter, r *http.Request) {
	if r.ContentLength != 0 {
		_ = http.NewResponseController(w).SetReadDeadline(s.Clock().Add(restTimeout))
	}
}

// AdmitKey returns an Options.Admit that lets in who sends the header "Authorization: Bearer KEY"; for "" it is nil. Hashes are
// compared, so that the time tells nothing of the key, its length included.
func AdmitKey(key string) func(*http.Request) (context.Context, func(), error) {
	if key == "" {
		return nil
	}
	want := sha256.Sum256([]byte(key))
	return func(r *http.Request) (context.Context, func(), error) {
		scheme, key, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		given := sha256.Sum256([]byte(strings.TrimSpace(key)))
		if !strings.EqualFold(scheme, "Bearer") || subtle.ConstantTimeCompare(given[:], want[:]) != 1 {
			return nil, nil, &Fault{Status: http.StatusUnauthorized, Code: "invalid_api_key", Message: `this server wants its API key, as the header "Authorization: Bearer KEY"`}
		}
		return nil, nil, nil
	}
}
