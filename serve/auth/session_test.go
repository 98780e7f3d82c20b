package auth

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

// desk is a gateway with a reviewer, an operator and a user.
type desk struct {
	*Sessions
	t                                *testing.T
	clock                            *clock
	path                             string
	reviewer                         Key
	reviewerKey, operatorKey, useKey string
}

func newDesk(t *testing.T, change ...func(*Options)) *desk {
	t.Helper()
	d := &desk{t: t, clock: newClock(), path: keysFile(t)}
	d.reviewer, d.reviewerKey = add(t, d.path, named("Ada", Reviewer))
	_, d.operatorKey = add(t, d.path, named("Ops", Operator))
	_, d.useKey = add(t, d.path, named("shop", User))
	d.Sessions = open(t, d.path, d.clock, change...).Guard()
	return d
}

// login returns the cookie of a new session.
func (d *desk) login(key string, had ...*http.Cookie) *http.Cookie {
	d.t.Helper()
	r := request("POST", "/login", "")
	for _, c := range had {
		r.AddCookie(c)
	}
	w := httptest.NewRecorder()
	must(d.t, d.Login(w, r, key))
	cookies := w.Result().Cookies()
	check(d.t, len(cookies) == 1, "%d cookies", len(cookies))
	return cookies[0]
}

func (d *desk) with(method, path string, cookies ...*http.Cookie) *http.Request {
	r := request(method, path, "")
	for _, c := range cookies {
		r.AddCookie(&http.Cookie{Name: c.Name, Value: c.Value})
	}
	return r
}

func (d *desk) knows(cookies ...*http.Cookie) bool {
	_, _, _, ok := d.Who(d.with("GET", "/", cookies...))
	return ok
}

func TestLogin(t *testing.T) {
	d := newDesk(t)
	cookie := d.login(" " + d.reviewerKey + "\n")
	if !cookie.HttpOnly || cookie.Secure || cookie.SameSite != http.SameSiteStrictMode || cookie.Path != "/" || cookie.Domain != "" || cookie.Name != "candor-session-8473" {
		t.Errorf("the cookie is %s", cookie)
	}
	if strings.Contains(cookie.Value, d.reviewerKey) || len(cookie.Value) < 40 {
		t.Errorf("the cookie is %q", cookie.Value)
	}
	name, reviewer, operator, ok := d.Who(d.with("GET", "/", cookie))
	if name != "Ada ("+d.reviewer.ID+")" || !reviewer || operator || !ok {
		t.Errorf("it is %q: reviewer %t, operator %t, %t", name, reviewer, operator, ok)
	}
	_, reviewer, operator, ok = d.Who(d.with("GET", "/", d.login(d.operatorKey)))
	if reviewer || !operator || !ok {
		t.Errorf("the operator is reviewer %t, operator %t, %t", reviewer, operator, ok)
	}
	if d.knows() || d.knows(&http.Cookie{Name: cookie.Name, Value: cookie.Value[1:]}) || d.knows(&http.Cookie{Name: cookie.Name, Value: ""}) {
		t.Error("somebody without the cookie is known")
	}
	if d.knows(cookie, &http.Cookie{Name: cookie.Name, Value: "x"}) {
		t.Error("a cookie beside one of the same name is taken")
	}
	secure := newDesk(t, func(o *Options) { o.TLS = true })
	if c := secure.login(secure.reviewerKey); !c.Secure || c.Name != "__Host-candor-session" || c.Path != "/" || c.Domain != "" {
		t.Errorf("with TLS the cookie is %s", c)
	}
}

// Whatever is wrong with a key, the answer is the same.
func TestLoginRefuses(t *testing.T) {
	d := newDesk(t)
	late := named("late", Reviewer)
	late.Expires = start.Add(time.Second)
	_, lateKey := add(t, d.path, late)
	gone, goneKey := add(t, d.path, named("gone", Reviewer))
	_, err := Revoke(context.Background(), d.path, gone.ID, start)
	must(t, err)
	d.clock.pass(time.Minute)
	said := map[string]bool{}
	for name, key := range map[string]string{
		"empty": "", "nonsense": "nonsense", "unknown": keyPrefix + strings.Repeat("a", keyLen-len(keyPrefix)), "a user's": d.useKey,
		"expired": lateKey, "revoked": goneKey, "huge": strings.Repeat("a", 1<<16),
	} {
		w := httptest.NewRecorder()
		err := d.Login(w, request("POST", "/login", ""), key)
		var refused *Error
		check(t, errors.As(err, &refused) && refused.Status == 401, "%s key: %v", name, err)
		check(t, w.Header().Get("Set-Cookie") == "", "%s key: a cookie is set", name)
		said[err.Error()] = true
	}
	check(t, len(said) == 1, "there are different answers: %v", said)
	r := request("POST", "/login", "")
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	check(t, d.Login(httptest.NewRecorder(), r, d.reviewerKey) != nil, "another site logs people in")
	check(t, len(d.byToken) == 0, "%d sessions began", len(d.byToken))
}

func TestLoginIsLimited(t *testing.T) {
	d := newDesk(t)
	try := func(from, key string) *Error {
		r := request("POST", "/login", "")
		r.RemoteAddr = from
		var refused *Error
		if err := d.Login(httptest.NewRecorder(), r, key); err != nil {
			check(t, errors.As(err, &refused), "the error is %T", err)
		}
		return refused
	}
	for range 100 { // who succeeds is not counted
		check(t, try("192.0.2.1:1", d.reviewerKey) == nil, "a good key is refused")
	}
	for range attemptsPerAddress {
		check(t, try("192.0.2.1:1", "x").Status == 401, "refused too early")
	}
	refused := try("192.0.2.1:2", d.reviewerKey)
	check(t, refused != nil && refused.Status == 429 && refused.After > 0, "a good key after too many wrong ones: %+v", refused)
	check(t, try("192.0.2.2:1", d.reviewerKey) == nil, "another address is refused")
	d.clock.pass(refused.After)
	check(t, try("192.0.2.1:2", d.reviewerKey) == nil, "refused when it was told to come")

	for i := range attemptsPerAddress { // one customer's addresses count as one
		check(t, try(fmt.Sprintf("[2001:db8::%x]:1", i+1), "x").Status == 401, "refused too early")
	}
	check(t, try("[2001:db8::ffff]:1", "x").Status == 429, "a /64 has many addresses")
	check(t, try("[2001:db8:0:1::1]:1", "x").Status == 401, "another /64 is refused")
	check(t, try("[::ffff:192.0.2.9]:1", d.reviewerKey) == nil, "a mapped address is refused")

	overall := 0
	for i := range 10 * attemptsOverall {
		if try(fmt.Sprintf("10.%d.%d.1:1", i/250, i%250), "x").Status == 401 {
			overall++
		}
	}
	check(t, overall <= attemptsOverall && overall > attemptsOverall-50, "%d logins from many addresses were tried", overall)
	for i := range 3000 {
		d.clock.pass(100 * time.Millisecond)
		try(fmt.Sprintf("11.%d.%d.1:1", i/250, i%250), "x")
	}
	check(t, len(d.attempts.byAddress) <= 2*attemptsOverall, "%d addresses are remembered", len(d.attempts.byAddress))
}

// A token that the client had before is worth nothing afterwards, whoever gave it.
func TestSessionFixation(t *testing.T) {
	d := newDesk(t)
	planted := &http.Cookie{Name: d.cookie, Value: "planted"}
	if c := d.login(d.reviewerKey, planted); c.Value == planted.Value || d.knows(planted) {
		t.Error("a planted token became a session")
	}
	attackers := d.login(d.operatorKey)
	own := d.login(d.reviewerKey, attackers)
	if own.Value == attackers.Value || d.knows(attackers) || !d.knows(own) {
		t.Error("the session from before the login goes on")
	}
}

func TestSessionEnds(t *testing.T) {
	for name, end := range map[string]func(d *desk, c *http.Cookie){
		"idle": func(d *desk, _ *http.Cookie) { d.clock.pass(idle) },
		"long": func(d *desk, c *http.Cookie) {
			for range int(longest/(30*time.Minute)) - 1 {
				d.clock.pass(30 * time.Minute)
				check(d.t, d.knows(c), "ended at %s, though it was used", d.clock.now())
			}
			d.clock.pass(30 * time.Minute)
		},
		"a stream is no use": func(d *desk, c *http.Cookie) {
			r := d.with("GET", "/events", c)
			r.Header.Set("Accept", "text/event-stream")
			d.clock.pass(idle / 2)
			_, _, _, ok := d.Who(r)
			check(d.t, ok, "the stream is refused")
			d.clock.pass(idle / 2)
		},
		"logout": func(d *desk, c *http.Cookie) {
			r := d.with("POST", "/logout", c)
			r.Header.Set(FormHeader, d.Token(r))
			w := httptest.NewRecorder()
			d.Logout(w, r)
			cookies := w.Result().Cookies()
			check(d.t, len(cookies) == 1 && cookies[0].MaxAge < 0 && cookies[0].Name == c.Name, "the cookie stays: %v", cookies)
		},
		"revoked": func(d *desk, _ *http.Cookie) {
			_, err := Revoke(context.Background(), d.path, d.reviewer.ID, d.clock.now())
			must(d.t, err)
			d.clock.pass(checkEvery)
		},
		"key taken out": func(d *desk, _ *http.Cookie) {
			must(d.t, change(context.Background(), d.path, func(keys []Key) ([]Key, error) { return keys[1:], nil }))
			d.clock.pass(checkEvery)
		},
		"another key of that ID": func(d *desk, _ *http.Cookie) {
			must(d.t, change(context.Background(), d.path, func(keys []Key) ([]Key, error) { keys[0].Hash[0]++; return keys, nil }))
			d.clock.pass(checkEvery)
		},
		"key expired": func(d *desk, _ *http.Cookie) {
			must(d.t, change(context.Background(), d.path, func(keys []Key) ([]Key, error) {
				keys[0].Expires = start.Add(time.Minute)
				return keys, nil
			}))
			d.clock.pass(time.Minute)
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t)
			c := d.login(d.reviewerKey)
			check(t, d.knows(c), "not logged in")
			end(d, c)
			check(t, !d.knows(c), "still logged in")
			check(t, len(d.byToken) == 0 || strings.Contains(name, "key"), "the session is kept")
			check(t, d.Token(d.with("GET", "/", c)) == "", "it has a form token")
		})
	}
	t.Run("role changed", func(t *testing.T) {
		d := newDesk(t)
		c := d.login(d.reviewerKey)
		must(t, change(context.Background(), d.path, func(keys []Key) ([]Key, error) { keys[0].Roles = Operator; return keys, nil }))
		d.clock.pass(checkEvery)
		if _, reviewer, operator, _ := d.Who(d.with("GET", "/", c)); reviewer || !operator {
			t.Errorf("reviewer %t, operator %t", reviewer, operator)
		}
	})
	t.Run("a logout of another site", func(t *testing.T) {
		d := newDesk(t)
		c := d.login(d.reviewerKey)
		d.Logout(httptest.NewRecorder(), d.with("POST", "/logout", c))
		check(t, d.knows(c), "logged out without the form token")
	})
}

func TestSessionsAreBounded(t *testing.T) {
	d := newDesk(t)
	operators := d.login(d.operatorKey)
	var cookies []*http.Cookie
	for range maxPerKey + 5 {
		d.clock.pass(time.Second)
		cookies = append(cookies, d.login(d.reviewerKey))
	}
	if d.knows(cookies[4]) || !d.knows(cookies[5]) || !d.knows(operators) {
		t.Error("the wrong session had to go")
	}
	d.clock.pass(time.Second)
	for i := range maxSessions { // as of so many keys
		d.byToken[[32]byte{byte(i), byte(i >> 8), 1}] = &session{token: [32]byte{byte(i), byte(i >> 8), 1}, key: d.reviewer, created: d.clock.now(), used: d.clock.now()}
	}
	d.login(d.operatorKey)
	before := len(d.byToken)
	d.login(d.operatorKey)
	check(t, len(d.byToken) == before, "%d sessions became %d", before, len(d.byToken))
	d.clock.pass(idle)
	d.login(d.operatorKey)
	check(t, len(d.byToken) == 1, "%d sessions are kept that have ended", len(d.byToken)-1)
}

func TestCheck(t *testing.T) {
	d := newDesk(t)
	cookie, other := d.login(d.reviewerKey), d.login(d.operatorKey)
	token, others := d.Token(d.with("GET", "/", cookie)), d.Token(d.with("GET", "/", other))
	check(t, token != "" && token != others && token != cookie.Value, "the tokens are %q and %q", token, others)
	same := http.Header{"Sec-Fetch-Site": {"same-origin"}}
	for _, tc := range []struct {
		name   string
		token  string // in the form
		header http.Header
		change func(r *http.Request)
		status int
	}{
		{"own form", token, same, nil, 0},
		{"own form without Sec-Fetch-Site", token, http.Header{"Origin": {"http://127.0.0.1:8473"}}, nil, 0},
		{"own form of an old browser", token, nil, nil, 0},
		{"token in a header", "", http.Header{"Sec-Fetch-Site": {"same-origin"}, FormHeader: {token}}, nil, 0},
		{"no token", "", same, nil, 403},
		{"empty token in a header", "", http.Header{FormHeader: {""}}, nil, 403},
		{"another session's token", others, same, nil, 403},
		{"part of the token", token[:len(token)-1], same, nil, 403},
		{"wrong header, right form", token, http.Header{FormHeader: {"x"}}, nil, 403},
		{"another site", token, http.Header{"Sec-Fetch-Site": {"cross-site"}}, nil, 403},
		{"another host of the site", token, http.Header{"Sec-Fetch-Site": {"same-site"}}, nil, 403},
		{"another origin", token, http.Header{"Origin": {"http://evil.example"}}, nil, 403},
		{"another port", token, http.Header{"Origin": {"http://127.0.0.1:9000"}}, nil, 403},
		{"no origin", token, http.Header{"Origin": {"null"}}, nil, 403},
		{"token in the address", "", same, func(r *http.Request) { r.URL.RawQuery = FormField + "=" + url.QueryEscape(token) }, 403},
		{"another kind of form", token, same, func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") }, 403},
		{"damaged form", "%zz", same, func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader("csrf=%zz")) }, 400},
		{"huge form", token, same, func(r *http.Request) {
			r.Body = io.NopCloser(strings.NewReader("why=" + strings.Repeat("a", maxForm+1) + "&csrf=" + url.QueryEscape(token)))
		}, 400},
		{"no session", token, same, func(r *http.Request) { r.Header.Del("Cookie") }, 401},
		{"key in the header", "", nil, func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+d.reviewerKey) }, 0},
		{"wrong key in the header", token, same, func(r *http.Request) { r.Header.Set("Authorization", "Bearer x") }, 401},
		{"a proxy's password", token, same, func(r *http.Request) { r.SetBasicAuth("a", "b") }, 0},
		{"a proxy's password alone", "", nil, func(r *http.Request) { r.SetBasicAuth("a", "b") }, 403},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := httptest.NewRequest("POST", "/traces/x/review", strings.NewReader(url.Values{FormField: {tc.token}, "why": {"fine"}}.Encode()))
			r.Host = "127.0.0.1:8473"
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			for name, values := range tc.header {
				r.Header[name] = values
			}
			r.AddCookie(cookie)
			if tc.change != nil {
				tc.change(r)
			}
			reached := false
			w := httptest.NewRecorder()
			h := d.Require(Reviewer)(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				reached = true
				if r.Header.Get(FormHeader) == "" && tc.token != "" && r.PostFormValue("why") != "fine" {
					t.Error("the form is gone")
				}
				if err := d.Check(r); err != nil {
					t.Errorf("a second check: %v", err)
				}
			}))
			h.ServeHTTP(w, r)
			if reached != (tc.status == 0) || tc.status != 0 && w.Code != tc.status {
				t.Errorf("reached %t, status %d, want %d: %s", reached, w.Code, tc.status, w.Body)
			}
		})
	}
}

func TestRequire(t *testing.T) {
	d := newDesk(t)
	reviewer, operator := d.login(d.reviewerKey), d.login(d.operatorKey)
	for _, tc := range []struct {
		name   string
		roles  Roles
		cookie *http.Cookie
		key    string
		accept string
		status int
	}{
		{"reviewer", Reviewer, reviewer, "", "", 200},
		{"operator is no reviewer", Reviewer, operator, "", "", 403},
		{"operator's page is no reviewer's", Operator, reviewer, "", "text/html", 403},
		{"either", Reviewer | Operator, operator, "", "", 200},
		{"key", Operator, nil, d.operatorKey, "", 200},
		{"key of another role", Operator, nil, d.useKey, "", 403},
		{"unknown key", Operator, nil, "x", "", 401},
		{"nobody", Operator, nil, "", "application/json", 401},
		{"nobody with a browser", Operator, nil, "", "text/html,*/*", 303},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := request("GET", "/metrics?a=b", tc.key)
			if tc.cookie != nil {
				r.AddCookie(tc.cookie)
			}
			r.Header.Set("Accept", tc.accept)
			w := httptest.NewRecorder()
			d.Require(tc.roles)(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				if who := From(r.Context()); !who.Roles.Any(tc.roles) || who.ID == "" {
					t.Errorf("the context has %+v", who)
				}
			})).ServeHTTP(w, r)
			check(t, w.Code == tc.status, "status %d, want %d", w.Code, tc.status)
			switch tc.status {
			case 303:
				check(t, w.Header().Get("Location") == "/login?next=%2Fmetrics%3Fa%3Db", "sent to %s", w.Header().Get("Location"))
			case 401:
				check(t, w.Header().Get("WWW-Authenticate") == "Bearer", "no WWW-Authenticate")
			}
			check(t, tc.status == 200 || w.Header().Get("Cache-Control") == "no-store", "the refusal may be kept")
		})
	}
}

// Whoever needs no key has a session all the same, and other sites' pages have not.
func TestAnonymousSession(t *testing.T) {
	c := newClock()
	d := open(t, keysFile(t), c, func(o *Options) { o.Anonymous = true }).Guard()
	_, reviewer, operator, ok := d.Who(request("GET", "/", ""))
	check(t, reviewer && operator && ok, "reviewer %t, operator %t, %t", reviewer, operator, ok)
	r := request("POST", "/traces/x/review", "")
	check(t, d.Check(r) != nil, "no form token is needed")
	r.Header.Set(FormHeader, d.Token(r))
	must(t, d.Check(r))
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	check(t, d.Check(r) != nil, "another site's form is taken")
	rebound := request("GET", "/", "")
	rebound.Host = "evil.example:8473"
	if _, _, _, ok := d.Who(rebound); ok || d.Token(rebound) != "" {
		t.Error("a page of a rebound name reads the traces")
	}
}
