package gateway

import (
	"context"
	"slices"
	"sync"
	"time"

	"candor/reasoning/compose"
	"candor/serve/record"
)

// recent is how many of the last requests latencies are told of.
const recent = 1000

// hub counts what happens and tells whoever watches. It keeps no texts but the beginnings of prompts on their way to watchers.
type hub struct {
	mu       sync.Mutex
	started  time.Time
	waiting  int // held answers
	outcomes map[record.Outcome]int
	seconds  [61]struct {
		at int64
		n  int
	}
	parts    map[string]*ring
	order    []string // of parts, as they were first seen
	gates    map[gateKey]*record.GateStats
	gateList []gateKey
	models   []record.ModelStats
	watchers map[chan record.Summary]bool
}

type gateKey struct {
	monitor string
	sees    compose.Part
}

// ring has the last durations of a part.
type ring struct {
	last [recent]time.Duration
	n    int
}

func (r *ring) add(d time.Duration) {
	r.last[r.n%recent] = d
	r.n++
}

func newHub(now time.Time, systems []System) *hub {
	h := &hub{started: now, outcomes: map[record.Outcome]int{}, parts: map[string]*ring{}, gates: map[gateKey]*record.GateStats{}, watchers: map[chan record.Summary]bool{}}
	for _, s := range systems {
		h.models = append(h.models, record.ModelStats{Name: s.Name, About: s.About, Ungated: s.Ungated, Evidence: s.Evidence})
		for _, r := range s.Rules {
			h.gate(gateKey{r.Monitor, r.Sees}).About = r.About
		}
	}
	return h
}

func (h *hub) held(n int) {
	h.mu.Lock()
	h.waiting = n
	h.mu.Unlock()
}

// began notes that a trace has begun.
func (h *hub) began(w *work, seq int64) {
	w.seq = seq
	h.mu.Lock()
	defer h.mu.Unlock()
	at := w.began.Unix()
	s := &h.seconds[at%int64(len(h.seconds))]
	if s.at != at {
		s.at, s.n = at, 0
	}
	s.n++
	if len(h.watchers) > 0 {
		h.tell(w.summary(record.Open))
	}
}

func (w *work) summary(o record.Outcome) record.Summary {
	s := record.Summary{ID: w.id, Seq: w.seq, Began: w.began, Begin: w.opened, Outcome: o, Reason: w.end.Reason, Took: w.end.Took, Prompt: w.prompt}
	if n := len(w.facts); n > 0 {
		s.Flagged = record.Flagged(w.facts[n-1].Verdicts)
	}
	return s
}

// judged counts verdicts.
func (h *hub) judged(verdicts []compose.Verdict) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, v := range verdicts {
		g := h.gate(gateKey{v.Monitor, v.Sees})
		g.Threshold = v.Threshold
		g.States[v.State]++
	}
}

func (h *hub) gate(k gateKey) *record.GateStats {
	g := h.gates[k]
	if g == nil {
		g = &record.GateStats{Monitor: k.monitor, Sees: k.sees, States: map[compose.State]int{}}
		h.gates[k] = g
		h.gateList = append(h.gateList, k)
	}
	return g
}

// ended notes that a trace has ended.
func (h *hub) ended(w *work) {
	overhead := w.overhead()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.outcomes[w.end.Outcome]++
	if w.end.Outcome == record.Held {
		h.waiting++
	}
	for _, s := range w.spent {
		h.part(s.Part, s.Took)
	}
	h.part("overhead", overhead)
	if len(h.watchers) > 0 {
		h.tell(w.summary(w.end.Outcome))
	}
}

func (h *hub) part(name string, took time.Duration) {
	r := h.parts[name]
	if r == nil {
		r = new(ring)
		h.parts[name] = r
		h.order = append(h.order, name)
	}
	r.add(took)
}

// heldAction notes that an action waits for a person.
func (h *hub) heldAction(s record.Summary) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.waiting++
	h.tell(s)
}

// reviewed notes that a person has decided.
func (h *hub) reviewed(s *record.Summary) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.outcomes[s.Outcome]++
	h.waiting = max(h.waiting-1, 0)
	h.tell(*s)
}

// tell tells watchers; who is behind misses it.
func (h *hub) tell(s record.Summary) {
	for c := range h.watchers {
		select {
		case c <- s:
		default:
		}
	}
}

func (h *hub) watch(ctx context.Context) <-chan record.Summary {
	c := make(chan record.Summary, 64)
	h.mu.Lock()
	h.watchers[c] = true
	h.mu.Unlock()
	context.AfterFunc(ctx, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.watchers, c)
		close(c)
	})
	return c
}

func (h *hub) stats(now time.Time) record.Stats {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := record.Stats{Started: h.started, Now: now, Held: h.waiting, Outcomes: map[record.Outcome]int{}, Models: h.models}
	for o, n := range h.outcomes {
		s.Outcomes[o] = n
	}
	for at := now.Unix() - 60; at < now.Unix(); at++ {
		n := 0
		if c := h.seconds[at%int64(len(h.seconds))]; c.at == at {
			n = c.n
		}
		s.PerSecond = append(s.PerSecond, n)
	}
	for _, name := range h.order {
		s.Parts = append(s.Parts, h.parts[name].latency(name))
	}
	for _, k := range h.gateList {
		g := *h.gates[k]
		g.States = map[compose.State]int{}
		for state, n := range h.gates[k].States {
			g.States[state] = n
		}
		s.Gates = append(s.Gates, g)
	}
	return s
}

func (r *ring) latency(part string) record.Latency {
	last := slices.Clone(r.last[:min(r.n, recent)])
	slices.Sort(last)
	at := func(share float64) time.Duration { return last[min(int(share*float64(len(last))), len(last)-1)] }
	return record.Latency{Part: part, N: r.n, P50: at(.5), P95: at(.95), P99: at(.99)}
}
