package auth

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"candor/internal/rng"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start is when tests begin: behind the times of the files that they write, so that a file is never settled unless a test says so.
var start = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)

// clock is a time that tests move.
type clock struct{ at atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.at.Store(start.UnixNano())
	return c
}

func (c *clock) now() time.Time          { return time.Unix(0, c.at.Load()).UTC() }
func (c *clock) pass(d time.Duration)    { c.at.Add(int64(d)) }
func keysFile(t testing.TB) string       { return filepath.Join(t.TempDir(), "folder", "keys.json") }
func must(t testing.TB, err error)       { t.Helper(); check(t, err == nil, "%v", err) }
func named(name string, roles Roles) Key { return Key{Name: name, Roles: roles, Created: start} }

func check(t testing.TB, ok bool, format string, args ...any) {
	t.Helper()
	if !ok {
		t.Fatalf(format, args...)
	}
}

// add makes a key in a file.
func add(t testing.TB, path string, k Key) (Key, string) {
	t.Helper()
	k, text, err := Add(context.Background(), path, k, rng.Secret)
	must(t, err)
	return k, text
}

func open(t testing.TB, path string, c *clock, change ...func(*Options)) *Auth {
	t.Helper()
	o := Options{File: path, Clock: c.now, Secret: rng.Secret, Address: "127.0.0.1:8473"}
	for _, f := range change {
		f(&o)
	}
	a, err := Open(o)
	must(t, err)
	return a
}

// request is one from this machine, with a key unless it is "".
func request(method, path, key string) *http.Request {
	r := httptest.NewRequest(method, path, nil)
	r.Host, r.RemoteAddr = "127.0.0.1:8473", "127.0.0.1:50000"
	if key != "" {
		r.Header.Set("Authorization", "Bearer "+key)
	}
	return r
}

// admitted lets a request in or returns why not.
func admitted(t testing.TB, a *Auth, key string) (done func(), refused *Error) {
	t.Helper()
	_, done, err := a.Admit(request("POST", "/v1/chat/completions", key))
	if err != nil {
		check(t, errors.As(err, &refused), "the error is %T", err)
	}
	return done, refused
}

func TestAdmit(t *testing.T) {
	path, c := keysFile(t), newClock()
	user, userKey := add(t, path, named("shop", User))
	_, reviewerKey := add(t, path, named("Ada", Reviewer|Operator))
	short := named("short", User)
	short.Expires = start.Add(time.Hour)
	_, shortKey := add(t, path, short)
	gone, goneKey := add(t, path, named("gone", User))
	_, err := Revoke(context.Background(), path, gone.ID, start)
	must(t, err)
	a := open(t, path, c)

	for _, tc := range []struct {
		name          string
		authorization []string
		status        int
		message       string
	}{
		{"good", []string{"Bearer " + userKey}, 0, ""},
		{"scheme in other letters", []string{"bearer  " + userKey + " "}, 0, ""},
		{"none", nil, 401, "wants an API key"},
		{"empty", []string{""}, 401, "must be there once"},
		{"no key", []string{"Bearer "}, 401, "must be there once"},
		{"no scheme", []string{userKey}, 401, "must be there once"},
		{"another scheme", []string{"Basic " + userKey}, 401, "must be there once"},
		{"two", []string{"Bearer " + userKey, "Bearer " + userKey}, 401, "must be there once"},
		{"unknown", []string{"Bearer " + keyPrefix + strings.Repeat("a", keyLen-len(keyPrefix))}, 401, "not known"},
		{"another letter", []string{"Bearer " + strings.ToUpper(userKey)}, 401, "not known"},
		{"part", []string{"Bearer " + userKey[:keyLen-1]}, 401, "not known"},
		{"more", []string{"Bearer " + userKey + "a"}, 401, "not known"},
		{"the hash", []string{"Bearer " + hex.EncodeToString(user.Hash[:])}, 401, "not known"},
		{"the ID", []string{"Bearer " + user.ID}, 401, "not known"},
		{"huge", []string{"Bearer " + strings.Repeat("x", 1<<20)}, 401, "not known"},
		{"revoked", []string{"Bearer " + goneKey}, 401, "revoked"},
		{"before it expires", []string{"Bearer " + shortKey}, 0, ""},
		{"no user", []string{"Bearer " + reviewerKey}, 403, "for reviewer, operator, not for asking models"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := request("POST", "/v1/chat/completions", "")
			r.Header["Authorization"] = tc.authorization
			ctx, done, err := a.Admit(r)
			done()
			if tc.status == 0 {
				must(t, err)
				if who := From(ctx); who.ID == "" || who.ID != a.Key(ctx) || who.Roles != User {
					t.Errorf("the context has %+v", who)
				}
				return
			}
			var refused *Error
			check(t, errors.As(err, &refused), "error %v (%T)", err, err)
			if refused.Status != tc.status || !strings.Contains(refused.Message, tc.message) || refused.Code == "" || refused.After != 0 {
				t.Errorf("%+v, want status %d and %q", refused, tc.status, tc.message)
			}
			for _, line := range tc.authorization {
				if key := strings.TrimSpace(line[strings.Index(line, " ")+1:]); key != "" && strings.Contains(refused.Message, key) {
					t.Error("the message tells the key")
				}
			}
			if From(ctx) != (Identity{}) {
				t.Error("the context has somebody")
			}
		})
	}
	c.pass(time.Hour)
	_, refused := admitted(t, a, shortKey)
	check(t, refused != nil && strings.Contains(refused.Message, "expired"), "an expired key: %+v", refused)
}

func TestContext(t *testing.T) {
	who := Identity{"key-a", "Ada", Reviewer}
	if got := From(With(context.Background(), who)); got != who {
		t.Errorf("the context has %+v", got)
	}
	if got := From(context.Background()); got.Roles.Any(allRoles) {
		t.Errorf("nobody may do %s", got.Roles)
	}
	a := open(t, keysFile(t), newClock())
	a.Charge(context.Background(), 5) // counts for nobody
	a.Charge(With(context.Background(), who), 5)
}

func TestRoles(t *testing.T) {
	for _, r := range []Roles{User, Reviewer, Operator} {
		for _, other := range []Roles{User, Reviewer, Operator} {
			if r.Any(other) != (r == other) {
				t.Errorf("%s is taken for %s", r, other)
			}
		}
		if got, err := ParseRole(r.String()); err != nil || got != r {
			t.Errorf("%s is read as %s: %v", r, got, err)
		}
	}
	if _, err := ParseRole("root"); err == nil {
		t.Error("there is a role root")
	}
}

// settle gives a file a time of change that looks settled to the clock.
func settle(t *testing.T, path string, at time.Time) {
	t.Helper()
	must(t, os.Chtimes(path, at, at))
}

func TestReload(t *testing.T) {
	path, c := keysFile(t), newClock()
	a := open(t, path, c)
	k, key := add(t, path, named("shop", User))
	_, refused := admitted(t, a, key)
	check(t, refused != nil, "the file was looked at twice within a second")
	c.pass(checkEvery)
	done, refused := admitted(t, a, key)
	check(t, refused == nil, "a new key is not known after a second: %+v", refused)

	t.Run("counts go on", func(t *testing.T) {
		must(t, change(context.Background(), path, func(keys []Key) ([]Key, error) { keys[0].Limits.Concurrent = 1; return keys, nil }))
		c.pass(checkEvery)
		_, refused := admitted(t, a, key)
		check(t, refused != nil && refused.Status == 429, "a request from before the change does not count: %+v", refused)
		done()
		done, refused = admitted(t, a, key)
		check(t, refused == nil, "after it ended: %+v", refused)
		done()
	})
	good, err := os.ReadFile(path)
	must(t, err)
	for name, damage := range map[string]func() error{
		"damaged":  func() error { return os.WriteFile(path, good[:len(good)/2], 0o600) },
		"empty":    func() error { return os.WriteFile(path, nil, 0o600) },
		"missing":  func() error { return os.Remove(path) },
		"writable": func() error { return os.Chmod(path, 0o666) },
		"a folder": func() error { return errors.Join(os.Remove(path), os.Mkdir(path, 0o700)) },
	} {
		t.Run(name, func(t *testing.T) {
			if name == "writable" && runtime.GOOS == "windows" {
				t.Skip("files have no such modes here")
			}
			must(t, damage())
			c.pass(checkEvery)
			done, refused := admitted(t, a, key)
			check(t, refused == nil, "the keys are lost: %+v", refused)
			done()
			err := a.Ready()
			check(t, err != nil && strings.Contains(err.Error(), "keys"), "Ready says %v", err)
			c.pass(checkEvery)
			check(t, a.Ready() != nil, "a second look finds nothing wrong")
			must(t, os.RemoveAll(path))
			must(t, os.WriteFile(path, good, 0o600))
			c.pass(checkEvery)
			must(t, a.Ready())
		})
	}
	t.Run("same size and time", func(t *testing.T) { // as two quick changes on a coarse clock
		settle(t, path, c.now())
		c.pass(checkEvery)
		must(t, a.Ready())
		changed := strings.Replace(string(good), `"shop"`, `"pohs"`, 1)
		must(t, os.WriteFile(path, []byte(changed), 0o600))
		settle(t, path, c.now().Add(-checkEvery))
		c.pass(checkEvery)
		ctx, done, err := a.Admit(request("POST", "/", key))
		must(t, err)
		done()
		check(t, From(ctx).Name == "pohs", "the key is still %s's", From(ctx).Name)
	})
	t.Run("revoked", func(t *testing.T) {
		settle(t, path, c.now().Add(-time.Hour))
		c.pass(checkEvery)
		must(t, a.Ready())
		_, err := Revoke(context.Background(), path, k.ID, c.now())
		must(t, err)
		c.pass(checkEvery)
		_, refused := admitted(t, a, key)
		check(t, refused != nil && strings.Contains(refused.Message, "revoked"), "a revoked key: %+v", refused)
	})
}

func TestOpenRefuses(t *testing.T) {
	path := keysFile(t)
	add(t, path, named("shop", User))
	must(t, os.WriteFile(path, []byte("{"), 0o600))
	for name, o := range map[string]Options{
		"damaged":   {File: path, Clock: time.Now, Secret: rng.Secret},
		"no file":   {Clock: time.Now, Secret: rng.Secret},
		"no clock":  {File: path, Secret: rng.Secret},
		"no secret": {File: path, Clock: time.Now},
		"limits":    {File: keysFile(t), Clock: time.Now, Secret: rng.Secret, Limits: Limits{Concurrent: -1}},
	} {
		if _, err := Open(o); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// Whoever needs no key loses that when there are keys, or may be.
func TestAnonymousEndsWithTheFirstKey(t *testing.T) {
	anonymous := func(o *Options) { o.Anonymous = true }
	t.Run("key", func(t *testing.T) {
		path, c := keysFile(t), newClock()
		a := open(t, path, c, anonymous)
		ctx, done, err := a.Admit(request("POST", "/", "sk-whatever"))
		must(t, err)
		done()
		check(t, a.Key(ctx) == "" && From(ctx).Roles == allRoles, "the context has %+v", From(ctx))
		k, _ := add(t, path, named("Ada", User))
		_, err = Revoke(context.Background(), path, k.ID, start)
		must(t, err)
		c.pass(checkEvery)
		_, refused := admitted(t, a, "")
		check(t, refused != nil && refused.Status == 401, "let in where there are keys, revoked ones: %+v", refused)
	})
	t.Run("damaged", func(t *testing.T) {
		path, c := keysFile(t), newClock()
		a := open(t, path, c, anonymous)
		must(t, os.MkdirAll(filepath.Dir(path), 0o700))
		must(t, os.WriteFile(path, []byte("{"), 0o600))
		c.pass(checkEvery)
		_, refused := admitted(t, a, "")
		check(t, refused != nil && refused.Status == 401, "let in where there may be keys: %+v", refused)
	})
	t.Run("not allowed", func(t *testing.T) {
		_, refused := admitted(t, open(t, keysFile(t), newClock()), "")
		check(t, refused != nil && refused.Status == 401, "let in without a key: %+v", refused)
	})
	t.Run("limits", func(t *testing.T) {
		a := open(t, keysFile(t), newClock(), anonymous, func(o *Options) { o.Limits.Concurrent = 1 })
		_, refused := admitted(t, a, "")
		check(t, refused == nil, "refused: %+v", refused)
		_, refused = admitted(t, a, "")
		check(t, refused != nil && refused.Status == 429, "no limit: %+v", refused)
	})
}

// Many requests at once, while the file changes and people log in, never let more in than may, and count all out again.
func TestConcurrentUse(t *testing.T) {
	path, c := keysFile(t), newClock()
	k := named("shop", User|Reviewer)
	k.Limits = Limits{Concurrent: 3, TokensPerMinute: 1_000_000}
	k, key := add(t, path, k)
	a := open(t, path, c)
	var inside, most, let atomic.Int64
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 300 {
				c.pass(5 * time.Millisecond)
				ctx, done, err := a.Admit(request("POST", "/", key))
				if err != nil {
					continue
				}
				let.Add(1)
				n := inside.Add(1)
				for old := most.Load(); n > old && !most.CompareAndSwap(old, n); old = most.Load() {
				}
				a.Charge(ctx, 1)
				inside.Add(-1)
				done()
			}
		})
	}
	all.Go(func() {
		for i := range 10 {
			if err := change(context.Background(), path, func(keys []Key) ([]Key, error) {
				keys[0].Name = fmt.Sprint("shop ", i)
				return keys, nil
			}); err != nil {
				t.Error(err)
			}
		}
	})
	all.Go(func() {
		for range 50 {
			w := httptest.NewRecorder()
			if err := a.Guard().Login(w, request("POST", "/login", ""), key); err != nil {
				t.Error(err)
			}
			r := request("POST", "/logout", "")
			r.AddCookie(w.Result().Cookies()[0])
			r.Header.Set(FormHeader, a.Guard().Token(r))
			a.Guard().Logout(httptest.NewRecorder(), r)
		}
	})
	all.Wait()
	check(t, most.Load() <= 3 && let.Load() > 0, "%d at the same time where 3 may be", most.Load())
	u := a.table.Load().byID[k.ID].use
	check(t, u.running == 0, "%d requests are still counted", u.running)
	check(t, len(a.Guard().byToken) == 0, "%d sessions are left", len(a.Guard().byToken))
}

func FuzzAuthorization(f *testing.F) {
	path, c := keysFile(f), newClock()
	_, key := add(f, path, named("shop", User))
	a := open(f, path, c)
	for _, seed := range []string{"Bearer " + key, "bearer", "Bearer  ", "Basic " + key, key, "Bearer " + key + " x", "Bearer\t" + key, "\x00"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line string) {
		r := request("POST", "/", "")
		r.Header["Authorization"] = []string{line}
		ctx, done, err := a.Admit(r)
		done()
		scheme, rest, _ := strings.Cut(line, " ")
		if good := strings.EqualFold(scheme, "Bearer") && strings.Trim(rest, " ") == key; good != (err == nil) {
			t.Fatalf("%q: %v", line, err)
		}
		if err != nil && From(ctx).Roles != 0 {
			t.Fatalf("%q is %+v", line, From(ctx))
		}
	})
}

func BenchmarkAdmit(b *testing.B) {
	path := keysFile(b)
	k := named("shop", User)
	k.Limits = Limits{RequestsPerMinute: maxLimit, Concurrent: 1000, TokensPerMinute: maxLimit}
	_, key := add(b, path, k)
	a, err := Open(Options{File: path, Clock: time.Now, Secret: rng.Secret})
	must(b, err)
	r := request("POST", "/", key)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			ctx, done, err := a.Admit(r)
			if err != nil {
				b.Fatal(err)
			}
			a.Charge(ctx, 1)
			done()
		}
	})
}
