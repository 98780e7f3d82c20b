package auth

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

const (
	maxSessions = 1024
	maxPerKey   = 32      // sessions of one key
	maxForm     = 1 << 20 // bytes of a form
	tokenBytes  = 32
	idle        = time.Hour      // ends a session that is not used
	longest     = 12 * time.Hour // ends any session
)

// FormField is the form field that must have [Sessions.Token], and FormHeader the header that may have it in its place.
const (
	FormField  = "csrf"
	FormHeader = "X-Csrf-Token"
)

// LoginPath is where [Sessions.Require] sends people who are not logged in, with the path they came for as the parameter next. Whoever
// leads them back must see that it is a path of this server.
const LoginPath = "/login"

// Sessions are the people who are logged in at the page. They are safe for concurrent use, and are gone with the process.
type Sessions struct {
	auth   *Auth
	cookie string
	// anonymous is the session of whoever is on this machine, where no key is needed. It is in no table.
	anonymous *session

	mu       sync.Mutex
	byToken  map[[sha256.Size]byte]*session // by the hash of the cookie
	attempts attempts
}

type session struct {
	token         [sha256.Size]byte
	form          string // the form token
	key           Key    // as it was at the login
	created, used time.Time
}

func newSessions(a *Auth) *Sessions {
	cookie := "candor-session"
	if a.TLS {
		cookie = "__Host-" + cookie // a browser takes it from this host only, by HTTPS only
	} else if _, port, err := net.SplitHostPort(a.Address); err == nil {
		cookie += "-" + port
	}
	return &Sessions{
		auth: a, cookie: cookie, anonymous: &session{form: a.token()},
		byToken: map[[sha256.Size]byte]*session{}, attempts: attempts{byAddress: map[string]*bucket{}},
	}
}

func (a *Auth) token() string { return base64.RawURLEncoding.EncodeToString(a.Secret(tokenBytes)) }

// Login begins a session for whoever has the key, if it is a reviewer's or an operator's, and sets its cookie. A session that
// the request already has is ended, whoever began it. The error is an [*Error], the same for every key that opens nothing.
func (s *Sessions) Login(w http.ResponseWriter, r *http.Request, key string) error {
	if err := sameOrigin(r); err != nil {
		return err
	}
	now := s.auth.refresh()
	s.mu.Lock()
	defer s.mu.Unlock()
	from := address(r)
	if err := s.attempts.take(now, from); err != nil {
		return err
	}
	e := s.auth.find(strings.TrimSpace(key))
	if e == nil || e.key.refuses(now) != "" || !e.Roles.Any(Reviewer|Operator) {
		return unauthorized("this key does not open the page; it takes a valid one of a reviewer or an operator")
	}
	s.attempts.refund(from)
	if old := s.find(r, now); old != nil {
		delete(s.byToken, old.token)
	}
	s.makeRoom(now, e.key.ID)
	token := s.auth.token()
	n := &session{token: sha256.Sum256([]byte(token)), form: s.auth.token(), key: e.key, created: now, used: now}
	s.byToken[n.token] = n
	s.set(w, token, int(longest/time.Second))
	return nil
}

// set sends the cookie; age is in seconds, negative to delete it.
func (s *Sessions) set(w http.ResponseWriter, value string, age int) {
	http.SetCookie(w, &http.Cookie{
		Name: s.cookie, Value: value, Path: "/", MaxAge: age, HttpOnly: true, Secure: s.auth.TLS, SameSite: http.SameSiteStrictMode,
	})
}

// makeRoom ends what has expired, and the session that was not used for longest where a key, or all, have too many.
func (s *Sessions) makeRoom(now time.Time, id string) {
	var oldest, oldestOfKey *session
	ofKey := 0
	for token, one := range s.byToken {
		if !s.valid(one, now) {
			delete(s.byToken, token)
			continue
		}
		if oldest == nil || one.used.Before(oldest.used) {
			oldest = one
		}
		if one.key.ID == id {
			ofKey++
			if oldestOfKey == nil || one.used.Before(oldestOfKey.used) {
				oldestOfKey = one
			}
		}
	}
	if ofKey >= maxPerKey {
		oldest = oldestOfKey
	}
	if ofKey >= maxPerKey || len(s.byToken) >= maxSessions {
		delete(s.byToken, oldest.token)
	}
}

// valid tells whether a session has not ended.
func (s *Sessions) valid(one *session, now time.Time) bool {
	return now.Sub(one.used) < idle && now.Sub(one.created) < longest && s.auth.holderOf(one.key, now) != nil
}

// holderOf returns who has a key now, nil if it is not valid any more or another one.
func (a *Auth) holderOf(key Key, now time.Time) *holder {
	e := a.table.Load().byID[key.ID]
	if e == nil || e.key.Hash != key.Hash || e.key.refuses(now) != "" {
		return nil
	}
	return &e.holder
}

// find returns the session of a request's cookie, nil if there is none. s.mu must be held.
func (s *Sessions) find(r *http.Request, now time.Time) *session {
	cookies := r.CookiesNamed(s.cookie)
	if len(cookies) != 1 { // a second one of that name was put there by somebody else
		return nil
	}
	one := s.byToken[sha256.Sum256([]byte(cookies[0].Value))]
	if one != nil && !s.valid(one, now) {
		delete(s.byToken, one.token)
		return nil
	}
	return one
}

// Logout ends the request's session and deletes its cookie. It does nothing unless the request passes [Sessions.Check].
func (s *Sessions) Logout(w http.ResponseWriter, r *http.Request) {
	_, one, err := s.visitor(r)
	if err != nil || s.check(r, one) != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if one != nil {
		delete(s.byToken, one.token)
	}
	s.set(w, "", -1)
}

// visitor returns who asks, and the session, which is nil for a request with a key in its header. The error is an [*Error].
func (s *Sessions) visitor(r *http.Request) (*holder, *session, error) {
	now := s.auth.refresh()
	if s.auth.open() {
		h, err := s.auth.who(r, now)
		return h, s.anonymous, err
	}
	if hasBearer(r.Header) { // another scheme may be that of a proxy before the page
		h, err := s.auth.who(r, now)
		return h, nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if one := s.find(r, now); one != nil {
		if h := s.auth.holderOf(one.key, now); h != nil {
			if r.Header.Get("Accept") != "text/event-stream" { // a page that is open and live is not one that is used
				one.used = now
			}
			return h, one, nil
		}
	}
	return nil, nil, unauthorized("nobody is logged in; log in at %s, or send an API key", LoginPath)
}

// Who returns who is logged in or has sent a key; ok is false if nobody. The name has the key's ID, since names need not differ.
func (s *Sessions) Who(r *http.Request) (name string, reviewer, operator, ok bool) {
	h, _, err := s.visitor(r)
	if err != nil {
		return "", false, false, false
	}
	if name = h.Name; h.ID != "" {
		name += " (" + h.ID + ")"
	}
	return name, h.Roles.Any(Reviewer), h.Roles.Any(Operator), true
}

// Require lets in whoever has at least one of the roles, by a session or by a key in the header, and puts who it is into the context.
// Requests other than GET, HEAD and OPTIONS must pass [Sessions.Check] too. Browsers that look for a page are sent to [LoginPath],
// others get 401 or 403.
func (s *Sessions) Require(roles Roles) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			h, one, err := s.visitor(r)
			if err == nil && !h.Roles.Any(roles) {
				err = forbidden("this is for the role %s; your key has %s", strings.Join(roles.Names(), " or "), h.Roles)
			}
			if err == nil && r.Method != http.MethodGet && r.Method != http.MethodHead && r.Method != http.MethodOptions {
				err = s.check(r, one)
			}
			if err != nil {
				refuse(w, r, err)
				return
			}
			next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), contextKey{}, h)))
		})
	}
}

// Token returns the form token of the request's session; "" if it has none or needs none.
func (s *Sessions) Token(r *http.Request) string {
	_, one, err := s.visitor(r)
	if err != nil || one == nil {
		return ""
	}
	return one.form
}

// Check tells whether a request that changes something comes from the page itself: from its origin, and with the session's form
// token in [FormField] of a form (urlencoded, at most 1 MiB) or in [FormHeader]. The error is an [*Error].
func (s *Sessions) Check(r *http.Request) error {
	_, one, err := s.visitor(r)
	if err != nil {
		return err
	}
	return s.check(r, one)
}

func (s *Sessions) check(r *http.Request, one *session) error {
	if one == nil {
		return nil // no browser sends a key by itself
	}
	if err := sameOrigin(r); err != nil {
		return err
	}
	token := r.Header.Get(FormHeader)
	if token == "" && r.Body != nil {
		if r.PostForm == nil {
			r.Body = http.MaxBytesReader(nil, r.Body, maxForm)
		}
		if err := r.ParseForm(); err != nil {
			return &Error{Status: http.StatusBadRequest, Code: "invalid_form", Message: "this form cannot be read: it is damaged or too large"}
		}
		token = r.PostForm.Get(FormField)
	}
	if subtle.ConstantTimeCompare([]byte(token), []byte(one.form)) != 1 {
		return forbidden("this form is not of your session; load the page again")
	}
	return nil
}

// refuse answers a request that Require does not let in.
func refuse(w http.ResponseWriter, r *http.Request, err error) {
	e := &Error{Status: http.StatusForbidden}
	errors.As(err, &e)
	Protect(w.Header())
	page := (r.Method == http.MethodGet || r.Method == http.MethodHead) &&
		(r.Header.Get("Sec-Fetch-Mode") == "navigate" || strings.Contains(r.Header.Get("Accept"), "text/html"))
	if e.Status == http.StatusUnauthorized && page {
		http.Redirect(w, r, LoginPath+"?next="+url.QueryEscape(r.URL.RequestURI()), http.StatusSeeOther)
		return
	}
	if e.Status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", "Bearer")
	}
	http.Error(w, e.Message, e.Status)
}
