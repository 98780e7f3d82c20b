package auth

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Roles is a set of roles.
type Roles uint8

// The roles. None includes another.
const (
	User     Roles = 1 << iota // asks models
	Reviewer                   // sees traces with private chains, decides on held answers
	Operator                   // sees how the gateway does: load, latency, verdict rates, metrics

	allRoles = User | Reviewer | Operator
)

var roleNames = []string{"user", "reviewer", "operator"} // in the order of the bits

// ParseRole returns the role called name.
func ParseRole(name string) (Roles, error) {
	i := slices.Index(roleNames, name)
	if i < 0 {
		return 0, fmt.Errorf("there is no role %.40q; there are %s", name, strings.Join(roleNames, ", "))
	}
	return 1 << i, nil
}

// Any tells whether r has at least one of the roles in of.
func (r Roles) Any(of Roles) bool { return r&of != 0 }

// Names returns the names of the roles, such as ["reviewer", "operator"].
func (r Roles) Names() (names []string) {
	for i, name := range roleNames {
		if r&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return names
}

// String returns the names, such as "reviewer, operator".
func (r Roles) String() string { return strings.Join(r.Names(), ", ") }

// MarshalJSON writes a list of names.
func (r Roles) MarshalJSON() ([]byte, error) { return json.Marshal(r.Names()) }

// UnmarshalJSON reads a list of different names.
func (r *Roles) UnmarshalJSON(data []byte) error {
	var names []string
	if err := json.Unmarshal(data, &names); err != nil {
		return fmt.Errorf("its roles must be a list of names")
	}
	*r = 0
	for _, name := range names {
		role, err := ParseRole(name)
		if err != nil {
			return err
		}
		if r.Any(role) {
			return fmt.Errorf("its role %s is there twice", name)
		}
		*r |= role
	}
	return nil
}

// Identity is who asks. The zero value is nobody and may do nothing.
type Identity struct {
	// ID is that of the API key; "" for somebody on this machine who needs none.
	ID    string
	Name  string
	Roles Roles
}

// holder is an identity with what Admit and Charge count by. It does not change.
type holder struct {
	Identity
	limits Limits
	use    *usage // nil where nothing is counted
}

type contextKey struct{}

// With returns a context that carries who asks.
func With(ctx context.Context, who Identity) context.Context {
	return context.WithValue(ctx, contextKey{}, &holder{Identity: who})
}

// From returns who asks, nobody if the context does not say.
func From(ctx context.Context) Identity {
	if h, ok := ctx.Value(contextKey{}).(*holder); ok {
		return h.Identity
	}
	return Identity{}
}

// Error is a refusal, as the client is told.
type Error struct {
	Status  int    // an HTTP status: 401, 403 or 429; 400 for a damaged form
	Code    string // in OpenAI's words: invalid_api_key, insufficient_permissions, rate_limit_exceeded; invalid_form
	Message string // what is wrong and what to do
	// After is when to try again at the earliest; 0 if waiting does not help.
	After time.Duration
}

func (e *Error) Error() string { return e.Message }
