package page

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"

	"candor/serve/auth"
	"candor/serve/record"
)

//go:embed html
var pagesFS embed.FS

// site is the page.
type site struct {
	Options
	pages map[string]*template.Template
	hub   *hub
}

// New returns the page as a handler for "/".
func New(o Options) (http.Handler, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	s := &site{Options: o}
	if err := s.parse(); err != nil {
		return nil, fmt.Errorf("page: reading its templates: %w", err)
	}
	s.hub = newHub(o.Source, o.Streams, s.row)
	files, err := assets()
	if err != nil {
		return nil, fmt.Errorf("page: reading its files: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.known(s.list))
	mux.HandleFunc("GET /events", s.events)
	mux.HandleFunc("GET /traces/{id}", s.known(s.trace))
	mux.HandleFunc("GET /traces/{id}/text/{part...}", s.known(s.text))
	mux.HandleFunc("POST /traces/{id}/review", s.known(s.review))
	mux.HandleFunc("POST /traces/{id}/redact", s.known(s.redact))
	mux.HandleFunc("GET /held", s.known(s.held))
	mux.HandleFunc("GET /load", s.known(s.load))
	mux.HandleFunc("GET /login", s.loginForm)
	mux.HandleFunc("POST /login", s.login)
	mux.HandleFunc("GET /logout", s.known(s.logoutForm))
	mux.HandleFunc("POST /logout", s.logout)
	mux.Handle("GET /assets/{file}", files)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		s.fault(w, r, s.viewer(r), http.StatusNotFound, "There is no such page.")
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		auth.Protect(w.Header())
		r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
		mux.ServeHTTP(w, r)
	}), nil
}

func (s *site) parse() error {
	base, err := template.New("").Funcs(template.FuncMap{
		"line": line, "short": short, "shape": shape, "clock": clock, "date": date, "stamp": stamp, "took": took, "count": count, "plural": plural,
		"number": number, "scale": scaleOf, "escape": escape, "words": stateWords, "sum": sum, "decisions": func() []string { return []string{"approve", "reject"} },
	}).ParseFS(pagesFS, "html/layout.html", "html/parts.html")
	if err != nil {
		return err
	}
	names, err := fs.Glob(pagesFS, "html/*.html")
	if err != nil {
		return err
	}
	s.pages = map[string]*template.Template{}
	for _, name := range names {
		own, err := template.Must(base.Clone()).ParseFS(pagesFS, name)
		if err != nil {
			return err
		}
		s.pages[name[len("html/"):len(name)-len(".html")]] = own
	}
	return nil
}

// viewer is who looks at a page; the zero value is nobody.
type viewer struct {
	Name               string
	Reviewer, Operator bool
}

// Texts tells whether the viewer may read what people and models wrote.
func (v viewer) Texts() bool { return v.Reviewer }

// Known tells whether the viewer may see anything.
func (v viewer) Known() bool { return v.Reviewer || v.Operator }

// As says what the viewer is, in words.
func (v viewer) As() string {
	switch {
	case v.Reviewer && v.Operator:
		return "reviewer and operator"
	case v.Reviewer:
		return "reviewer"
	}
	return "operator"
}

func (s *site) viewer(r *http.Request) viewer {
	name, reviewer, operator, ok := s.Guard.Who(r)
	if !ok {
		return viewer{}
	}
	return viewer{name, reviewer, operator}
}

// known lets in who may see anything and sends everybody else to the login.
func (s *site) known(next func(http.ResponseWriter, *http.Request, viewer)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		name, reviewer, operator, ok := s.Guard.Who(r)
		v := viewer{name, reviewer, operator}
		switch {
		case !ok && r.Method == http.MethodGet:
			http.Redirect(w, r, "/login?next="+escape(r.URL.RequestURI()), http.StatusSeeOther)
		case !ok:
			s.fault(w, r, viewer{}, http.StatusUnauthorized, "You are not logged in, so nothing was done. Log in and do it again.")
		case !v.Known():
			s.fault(w, r, viewer{}, http.StatusForbidden, "Your key is for asking models. These pages need a key of a reviewer or an operator.")
		default:
			next(w, r, v)
		}
	}
}

// frame is what every page has.
type frame struct {
	Title, Name string
	// At is the path of the page in the navigation.
	At     string
	Viewer viewer
	Token  string
	Held   int
	// Store is why the gateway refuses requests, if it does.
	Store string
	// Live tells that the page has a stream.
	Live bool
	Body any
}

// show writes a page. Nothing is written before it is whole.
func (s *site) show(w http.ResponseWriter, r *http.Request, v viewer, status int, page, title string, body any) {
	f := frame{Title: title, Name: s.Name, At: r.URL.Path, Viewer: v, Body: body, Token: s.Guard.Token(r)}
	if v.Known() {
		stats := s.Source.Stats()
		f.Held, f.Store = stats.Held, stats.Store
	}
	var b bytes.Buffer
	if err := s.pages[page].ExecuteTemplate(&b, "layout", f); err != nil {
		http.Error(w, "The page could not be written: "+line(err.Error()), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes()) // who asked is gone, or not
}

// fault writes a page that says one sentence.
func (s *site) fault(w http.ResponseWriter, r *http.Request, v viewer, status int, sentence string) {
	s.show(w, r, v, status, "fault", http.StatusText(status), sentence)
}

// failed tells what went wrong in the Source.
func (s *site) failed(w http.ResponseWriter, r *http.Request, v viewer, what string, err error) {
	switch {
	case r.Context().Err() != nil: // nobody reads it
	case errors.Is(err, record.ErrUnknown):
		s.fault(w, r, v, http.StatusNotFound, "There is no such trace. It may be of another ledger, or its number was mistyped.")
	default:
		s.fault(w, r, v, http.StatusServiceUnavailable, what+" could not be read: "+line(err.Error())+". Reload the page in a moment; if it stays, look at the ledger's file.")
	}
}
