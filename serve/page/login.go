package page

import (
	"errors"
	"math"
	"net/http"
	"strconv"
	"strings"

	"candor/serve/auth"
)

// loginPage is the form; Fault says why the last try failed.
type loginPage struct{ Next, Fault string }

func (s *site) loginForm(w http.ResponseWriter, r *http.Request) {
	if s.viewer(r).Known() {
		http.Redirect(w, r, local(r.FormValue("next")), http.StatusSeeOther)
		return
	}
	s.show(w, r, viewer{}, http.StatusOK, "login", "Log in", loginPage{Next: local(r.FormValue("next"))})
}

// login needs no token, for there is no session that it could belong to; the guard refuses forms of other sites.
func (s *site) login(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		s.fault(w, r, viewer{}, http.StatusBadRequest, "The form could not be read: "+line(err.Error())+".")
		return
	}
	next := local(r.PostForm.Get("next"))
	if err := s.Guard.Login(w, r, strings.TrimSpace(r.PostForm.Get("key"))); err != nil {
		status := http.StatusUnauthorized
		if e := (*auth.Error)(nil); errors.As(err, &e) {
			status = e.Status
			if e.After > 0 {
				w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(e.After.Seconds()))))
			}
		}
		s.show(w, r, viewer{}, status, "login", "Log in", loginPage{next, sentence(err)})
		return
	}
	http.Redirect(w, r, next, http.StatusSeeOther)
}

func (s *site) logoutForm(w http.ResponseWriter, r *http.Request, v viewer) {
	s.show(w, r, v, http.StatusOK, "logout", "Log out", nil)
}

func (s *site) logout(w http.ResponseWriter, r *http.Request) {
	if err := s.Guard.Check(r); err != nil {
		s.fault(w, r, s.viewer(r), http.StatusForbidden, "You are still logged in: "+line(err.Error())+".")
		return
	}
	s.Guard.Logout(w, r)
	http.Redirect(w, r, "/login", http.StatusSeeOther)
}

// local returns a path of this site, "/" for anything else.
func local(next string) string {
	if !strings.HasPrefix(next, "/") || strings.HasPrefix(next, "//") || strings.ContainsAny(next, "\\\r\n\t") {
		return "/"
	}
	return next
}
