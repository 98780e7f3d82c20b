// Package page is the web page of a gateway: what it answers, why, what waits for a person, and how it does.
//
//	h, err := page.New(page.Options{Source: gateway, Guard: sessions, Clock: time.Now, Name: "candor"})
//	mux.Handle("/", h)
//
// # Pages
//
//	/                       the traces as they come, with filters; /events is its stream of server-sent events
//	/traces/{id}            one trace in full; /traces/{id}/text/... one of its texts whole, as a download; POST /traces/{id}/redact
//	                        deletes its texts
//	/held                   the answers that wait for a person; POST /traces/{id}/review decides on one
//	/load                   requests, latencies, verdicts, models
//	/login, /logout         a session
//
// Every page works without scripts. The script adds live rows, the keys of the queue and nothing that a reload does not.
//
// # Who sees what
//
// A reviewer sees texts: prompts, private chains, answers. An operator sees facts alone: names, verdicts, counts, durations,
// hashes. What an operator may not see is taken out of a trace before a template sees it ([record.Summary.Prompt] and all
// contents), and an operator cannot search in texts either. Only a reviewer decides. Everybody else has to log in.
//
// # Hostile text
//
// Prompts and models are not to be trusted, so nothing of them is more than text: html/template escapes it, the policy of every
// response allows no script or style but the page's own files, and characters that have no glyph, reorder the line or control a
// terminal are spelled out, as ⟨U+202E⟩ ([pieces]). A long text is cut, and so is the page as a whole ([maxText], [maxPage]);
// the rest is a download.
//
// # Cost of open pages
//
// All streams share one [record.Source.Watch], which exists only while somebody looks. What changes is gathered for a quarter
// of a second; a row is rendered once for all who see it; a stream gets the newest 50 rows of a batch, and one that does not
// read loses batches and is told so. The number of streams is bounded ([Options.Streams]).
package page

import (
	"errors"
	"net/http"
	"time"

	"candor/serve/record"
)

// Guard knows who asks; [candor/serve/auth.Sessions] is one. It is safe for concurrent use.
type Guard interface {
	// Who returns who is logged in. OK is false if nobody is.
	Who(r *http.Request) (name string, reviewer, operator, ok bool)
	// Token returns what a form has to send back as "csrf", so that no other site can send it.
	Token(r *http.Request) string
	// Check returns an error if a posted form did not, or comes from another site.
	Check(r *http.Request) error
	// Login begins a session for the owner of a key, unless the form comes from another site. The error is for the person to read.
	Login(w http.ResponseWriter, r *http.Request, key string) error
	// Logout ends the session, if there is one.
	Logout(w http.ResponseWriter, r *http.Request)
}

// Options say what a page shows to whom.
type Options struct {
	Source record.Source
	Guard  Guard
	// Clock is the time of this machine, such as time.Now: writes to streams have deadlines by it.
	Clock func() time.Time
	// Name is the gateway's, for titles; "" means "candor".
	Name string
	// Streams is how many pages may be live at the same time, 0 for 200. Others work and are not live.
	Streams int
}

func (o *Options) check() error {
	switch {
	case o.Source == nil:
		return errors.New("page: the Source is nil: pass the gateway")
	case o.Guard == nil:
		return errors.New("page: the Guard is nil: without one anybody could read private chains")
	case o.Clock == nil:
		return errors.New("page: the Clock is nil: pass time.Now")
	case o.Streams < 0:
		return errors.New("page: Streams is negative, must be 0 (200) or more")
	}
	if o.Name == "" {
		o.Name = "candor"
	}
	if o.Streams == 0 {
		o.Streams = 200
	}
	return nil
}
