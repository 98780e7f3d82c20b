package auth

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// checkEvery is how often the file is looked at, and settled how old it must be so that an unchanged time of change means
// unchanged content: clocks of file systems are coarse.
const (
	checkEvery = time.Second
	settled    = 2 * time.Second
)

// Options say whom to let in.
type Options struct {
	// File is where the keys are. It may be made later.
	File  string
	Clock func() time.Time
	// Secret returns n bytes that nobody can predict, such as rng.Secret.
	Secret func(n int) []byte
	// Limits are those of keys that have none of their own, and of somebody without a key.
	Limits Limits
	// Anonymous lets whoever is on this machine do everything as long as there are no keys. It is for a gateway that listens at a
	// loopback address only.
	Anonymous bool
	// Address is where the gateway listens. Browsers send cookies to all ports of a host, so those of two gateways have the port in
	// their name.
	Address string
	// TLS tells that browsers reach the page by HTTPS, of this server or of a proxy before it.
	TLS bool
}

// Auth is the door of a running gateway. It is safe for concurrent use.
type Auth struct {
	Options
	sessions  *Sessions
	table     atomic.Pointer[table]
	err       atomic.Pointer[error] // why the file cannot be read now
	checked   atomic.Int64          // when the file was last looked at, Unix nanoseconds
	anonymous *holder

	mu   sync.Mutex // held to look at the file
	info fs.FileInfo
	data []byte // of the file, as it was last read
}

// table is what the file says. It does not change.
type table struct {
	byHash map[Hash]*entry
	byID   map[string]*entry
}

type entry struct {
	holder
	key Key
}

// Open reads the file of keys. Its error names the place of a mistake.
func Open(o Options) (*Auth, error) {
	if o.Clock == nil || o.Secret == nil || o.File == "" {
		return nil, errors.New("opening the keys: File, Clock and Secret must be given")
	}
	if err := o.Limits.check(); err != nil {
		return nil, fmt.Errorf("the default limits of keys: %w", err)
	}
	a := &Auth{Options: o}
	a.anonymous = &holder{Identity{Name: "somebody on this machine", Roles: allRoles}, o.Limits, &usage{}}
	a.table.Store(&table{})
	a.sessions = newSessions(a)
	now := o.Clock()
	a.checked.Store(now.UnixNano())
	if err := a.look(now); err != nil {
		return nil, err
	}
	return a, nil
}

// Guard returns the sessions of people at the page.
func (a *Auth) Guard() *Sessions { return a.sessions }

// Ready looks at the file if it is time to, and says why it cannot be read; nil if it can, or if there never was one. The keys are
// then those that were last read.
func (a *Auth) Ready() error {
	a.refresh()
	if err := a.err.Load(); err != nil {
		return *err
	}
	return nil
}

// refresh looks at the file if that is due and returns the time.
func (a *Auth) refresh() time.Time {
	now := a.Clock()
	last := a.checked.Load()
	if passed := now.UnixNano() - last; passed >= 0 && passed < int64(checkEvery) { // a clock may go back
		return now
	}
	if a.checked.CompareAndSwap(last, now.UnixNano()) {
		a.mu.Lock()
		defer a.mu.Unlock()
		if err := a.look(now); err != nil {
			a.err.Store(&err)
		} else {
			a.err.Store(nil)
		}
	}
	return now
}

// look reads the file again if it has changed.
func (a *Auth) look(now time.Time) error {
	info, err := os.Stat(a.File)
	switch {
	case errors.Is(err, fs.ErrNotExist) && a.data == nil:
		return nil
	case err != nil:
		return fmt.Errorf("looking at the keys: %w", err)
	case a.info != nil && os.SameFile(info, a.info) && info.ModTime().Equal(a.info.ModTime()) && info.Size() == a.info.Size() && info.Mode() == a.info.Mode():
		return nil
	}
	a.info = nil // until it has been read without a fault
	data, info, err := load(a.File)
	if err != nil {
		return err
	}
	if a.data == nil || !bytes.Equal(data, a.data) {
		keys, err := Parse(data)
		if err != nil {
			return fmt.Errorf("reading %s: %w", a.File, err)
		}
		a.table.Store(newTable(keys, a.table.Load(), a.Limits))
		a.data = data
	}
	if now.Sub(info.ModTime()) >= settled {
		a.info = info
	}
	return nil
}

// newTable makes a table. Keys that the old one has go on with what they have used.
func newTable(keys []Key, old *table, defaults Limits) *table {
	t := &table{make(map[Hash]*entry, len(keys)), make(map[string]*entry, len(keys))}
	for _, k := range keys {
		e := &entry{holder{Identity{k.ID, k.Name, k.Roles}, k.Limits.or(defaults), &usage{}}, k}
		if before := old.byID[k.ID]; before != nil {
			e.use = before.use
		}
		t.byHash[k.Hash], t.byID[k.ID] = e, e
	}
	return t
}

// Admit lets a request for a model in. The context says who asks; done must be called once it is answered. The error is
// an [*Error], and then done does nothing.
func (a *Auth) Admit(r *http.Request) (ctx context.Context, done func(), err error) {
	now := a.refresh()
	h, err := a.who(r, now)
	if err == nil && !h.Roles.Any(User) {
		err = forbidden("this key is for %s, not for asking models: use one with the role user", h.Roles)
	}
	if err == nil {
		err = h.use.begin(now, h.limits)
	}
	if err != nil {
		return r.Context(), func() {}, err
	}
	var ended atomic.Bool
	done = func() {
		if ended.CompareAndSwap(false, true) {
			h.use.end()
		}
	}
	return context.WithValue(r.Context(), contextKey{}, h), done, nil
}

// Key returns the ID of the key that a request let in by [Auth.Admit] has; "" if it needs none.
func (a *Auth) Key(ctx context.Context) string { return From(ctx).ID }

// Charge counts tokens that a request let in by [Auth.Admit] has used against the limit of its key.
func (a *Auth) Charge(ctx context.Context, tokens int) {
	if h, ok := ctx.Value(contextKey{}).(*holder); ok && h.use != nil {
		h.use.charge(a.Clock(), h.limits, tokens)
	}
}

// who returns whose key a request has.
func (a *Auth) who(r *http.Request, now time.Time) (*holder, error) {
	if a.open() {
		if err := local(r); err != nil {
			return nil, err
		}
		return a.anonymous, nil
	}
	text, err := bearer(r.Header)
	if err != nil {
		return nil, err
	}
	e := a.find(text)
	if e == nil {
		return nil, unauthorized("this API key is not known here")
	}
	if why := e.key.refuses(now); why != "" { // who has the key may know
		return nil, unauthorized("this API key is %s", why)
	}
	return &e.holder, nil
}

// open tells whether no key is needed. A file that cannot be read may have keys.
func (a *Auth) open() bool {
	return a.Anonymous && len(a.table.Load().byID) == 0 && a.err.Load() == nil
}

// find returns the entry of a key, nil if there is none.
func (a *Auth) find(text string) *entry {
	hash, ok := hashKey(text)
	if !ok {
		return nil
	}
	return a.table.Load().byHash[hash]
}

// bearer returns the key in a header.
func bearer(h http.Header) (string, error) {
	lines := h["Authorization"]
	if len(lines) == 0 {
		return "", unauthorized(`this server wants an API key, as the header "Authorization: Bearer KEY"`)
	}
	scheme, key, _ := strings.Cut(lines[0], " ")
	key = strings.Trim(key, " ")
	if len(lines) > 1 || !strings.EqualFold(scheme, "Bearer") || key == "" {
		return "", unauthorized(`the header Authorization must be there once, as "Authorization: Bearer KEY"`)
	}
	return key, nil
}

// hasBearer tells whether a header has a key, good or not.
func hasBearer(h http.Header) bool {
	for _, line := range h["Authorization"] {
		if scheme, _, _ := strings.Cut(line, " "); strings.EqualFold(scheme, "Bearer") {
			return true
		}
	}
	return false
}

func unauthorized(format string, args ...any) *Error {
	return &Error{Status: http.StatusUnauthorized, Code: "invalid_api_key", Message: fmt.Sprintf(format, args...)}
}

func forbidden(format string, args ...any) *Error {
	return &Error{Status: http.StatusForbidden, Code: "insufficient_permissions", Message: fmt.Sprintf(format, args...)}
}
