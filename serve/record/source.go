package record

import (
	"context"
	"errors"
	"strings"
	"time"
	"unicode/utf8"

	"candor/reasoning/compose"
)

// Filter says which traces a list has. The zero value has all.
type Filter struct {
	Outcome Outcome // "" for all
	Model   string  // "" for all
	Key     string  // the ID of an API key; "" for all
	Monitor string  // a gate that did not pass it; "" for all
	Text    string  // that the prompt's beginning or the ID contains, whatever the case
	// Before goes on behind a trace: only those whose Summary.Seq is smaller; 0 begins with the newest.
	Before int64
	// Limit is the most traces that are returned, 1..200; 0 means 50.
	Limit int
}

// Has tells whether a trace is in the list.
func (f Filter) Has(s *Summary) bool {
	text := strings.ToLower(f.Text)
	return (f.Outcome == "" || s.Outcome == f.Outcome) && (f.Model == "" || s.Begin.Model == f.Model) && (f.Key == "" || s.Begin.Key == f.Key) &&
		(f.Monitor == "" || contains(s.Flagged, f.Monitor)) && (f.Before == 0 || s.Seq < f.Before) &&
		(text == "" || strings.Contains(strings.ToLower(s.Prompt), text) || strings.Contains(s.ID, text))
}

func contains(list []string, s string) bool {
	for _, v := range list {
		if v == s {
			return true
		}
	}
	return false
}

// Source is where a page reads what a gateway did, and by which a person decides. It is safe for concurrent use.
type Source interface {
	// Traces returns the newest first. More tells that there are others behind the last.
	Traces(ctx context.Context, f Filter) (list []Summary, more bool, err error)
	// Trace returns one; the error wraps [ErrUnknown] if there is none.
	Trace(ctx context.Context, id string) (*Trace, error)
	// Held returns the answers that wait for a person, the oldest first.
	Held(ctx context.Context) ([]Summary, error)
	// Decide lets a held answer out or not, once it is in the ledger who did so and why. The error wraps [ErrUnknown] if
	// there is none, [ErrDecided] if somebody has decided.
	Decide(ctx context.Context, id string, r Review) error
	// Redact deletes the texts of a trace that has ended, and records who did so and why. It returns how many there were; the error
	// wraps [ErrUnknown] if there were none.
	Redact(ctx context.Context, id, who, why string) (n int, err error)
	// Stats tells how the gateway does.
	Stats() Stats
	// Watch returns what changes: a trace that began, ended or was reviewed. The channel is closed when ctx ends; who reads too slowly
	// misses some.
	Watch(ctx context.Context) <-chan Summary
}

// Errors of a [Source].
var (
	ErrUnknown = errors.New("there is no such trace")
	ErrDecided = errors.New("it was decided already")
)

// Stats is how a gateway does.
type Stats struct {
	Started  time.Time       `json:"started"`
	Now      time.Time       `json:"now"`
	InFlight int             `json:"in_flight"`
	Held     int             `json:"held"`
	Outcomes map[Outcome]int `json:"outcomes"` // since the start
	// PerSecond are the requests of each of the last 60 whole seconds, the oldest first.
	PerSecond []int `json:"per_second"`
	// Parts are the latencies of the last requests, 1,000 at most, by part; the part "overhead" is what the gateway itself took.
	Parts []Latency `json:"parts"`
	// Gates are how often each gate gave which verdict since the start.
	Gates []GateStats `json:"gates"`
	// Store is why the ledger takes no entries, "" if it does.
	Store string `json:"store,omitempty"`
	// Models are those that clients can ask for.
	Models []ModelStats `json:"models"`
}

// Latency is how long a part of the work took.
type Latency struct {
	Part          string
	N             int
	P50, P95, P99 time.Duration
}

// GateStats counts a gate's verdicts.
type GateStats struct {
	Monitor   string                `json:"monitor"`
	Sees      compose.Part          `json:"sees"`
	Threshold float64               `json:"threshold"`
	States    map[compose.State]int `json:"states"`
	// About says where the threshold comes from, such as "5% of 400 good chains reach it".
	About string `json:"about,omitempty"`
}

// ModelStats is one of the systems that are served.
type ModelStats struct {
	Name  string `json:"name"`
	About string `json:"about"`
	// Ungated tells that its reasoner has no passing audit evidence, and Evidence says what it has.
	Ungated  bool   `json:"ungated"`
	Evidence string `json:"evidence,omitempty"`
}

// Flagged names the gates that did not pass, those that are off left out.
func Flagged(verdicts []compose.Verdict) (names []string) {
	for _, v := range verdicts {
		if v.State != compose.Pass && !v.Off {
			names = append(names, v.Monitor)
		}
	}
	return names
}

// Excerpt returns the beginning of a text in one line, for a list.
func Excerpt(text string) string {
	const most = 160
	text = strings.Join(strings.Fields(text[:min(len(text), 4*most)]), " ")
	if len(text) <= most {
		return strings.ToValidUTF8(text, "\uFFFD")
	}
	end := most
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return strings.ToValidUTF8(text[:end], "\uFFFD") + "…"
}
