package auth

import (
	"fmt"
	"net/http"
	"sync"
	"time"
)

// Limits bound what one key may use. 0 means the gateway's default, and no bound where it has none.
type Limits struct {
	RequestsPerMinute int `json:"requests_per_minute,omitzero"`
	Concurrent        int `json:"concurrent,omitzero"` // requests at the same time
	TokensPerMinute   int `json:"tokens_per_minute,omitzero"`
}

const maxLimit = 1_000_000_000

func (l Limits) check() error {
	for _, f := range []struct {
		name string
		n    int
	}{{"requests_per_minute", l.RequestsPerMinute}, {"concurrent", l.Concurrent}, {"tokens_per_minute", l.TokensPerMinute}} {
		if f.n < 0 || f.n > maxLimit {
			return fmt.Errorf("%s is %d, must be 0 to %d", f.name, f.n, maxLimit)
		}
	}
	return nil
}

// or returns l with what is 0 taken from another.
func (l Limits) or(other Limits) Limits {
	if l.RequestsPerMinute == 0 {
		l.RequestsPerMinute = other.RequestsPerMinute
	}
	if l.Concurrent == 0 {
		l.Concurrent = other.Concurrent
	}
	if l.TokensPerMinute == 0 {
		l.TokensPerMinute = other.TokensPerMinute
	}
	return l
}

// bucket is a token bucket of one minute's worth that may be overdrawn, which golang.org/x/time/rate cannot. The zero value
// is full. It keeps what is gone, not what is left, so that a change of the limit needs nothing.
type bucket struct {
	spent float64
	at    time.Time
}

// fill counts in the time since the last call. A clock that goes back fills nothing.
func (b *bucket) fill(now time.Time, perMinute int) {
	if passed := now.Sub(b.at).Minutes(); passed > 0 {
		b.spent = max(0, b.spent-passed*float64(perMinute))
	}
	b.at = now
}

// lacks returns how long it takes until n more can be spent; 0 if they can be now.
func (b *bucket) lacks(n float64, perMinute int) time.Duration {
	over := b.spent + n - float64(perMinute)
	if over <= 1e-6 { // sums of fractions are not exact
		return 0
	}
	const most = 365 * 24 * time.Hour
	return time.Duration(min(over/float64(perMinute)*float64(time.Minute), float64(most)))
}

// usage is what one key uses. It outlives changes of the file.
type usage struct {
	mu               sync.Mutex
	requests, tokens bucket
	running          int
}

// begin counts a request in, or says why not.
func (u *usage) begin(now time.Time, l Limits) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if l.TokensPerMinute > 0 {
		u.tokens.fill(now, l.TokensPerMinute)
		if wait := u.tokens.lacks(0, l.TokensPerMinute); wait > 0 {
			return tooMany(wait, "this key has used more than its %d tokens per minute", l.TokensPerMinute)
		}
	}
	if l.Concurrent > 0 && u.running >= l.Concurrent {
		return tooMany(time.Second, "this key has as many requests at the same time as it may, %d", l.Concurrent)
	}
	if l.RequestsPerMinute > 0 {
		u.requests.fill(now, l.RequestsPerMinute)
		if wait := u.requests.lacks(1, l.RequestsPerMinute); wait > 0 {
			return tooMany(wait, "this key has sent more than its %d requests per minute", l.RequestsPerMinute)
		}
		u.requests.spent++
	}
	u.running++
	return nil
}

func (u *usage) end() {
	u.mu.Lock()
	u.running--
	u.mu.Unlock()
}

// charge takes tokens that were used.
func (u *usage) charge(now time.Time, l Limits, tokens int) {
	if l.TokensPerMinute == 0 || tokens <= 0 {
		return
	}
	u.mu.Lock()
	u.tokens.fill(now, l.TokensPerMinute)
	u.tokens.spent += float64(tokens)
	u.mu.Unlock()
}

func tooMany(after time.Duration, format string, args ...any) *Error {
	return &Error{
		Status: http.StatusTooManyRequests, Code: "rate_limit_exceeded", After: after,
		Message: fmt.Sprintf(format, args...) + fmt.Sprintf("; try again in %s", max(time.Second, after.Round(time.Second))),
	}
}
