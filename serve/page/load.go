package page

import (
	"cmp"
	"math"
	"net/http"
	"slices"
	"strconv"
	"time"

	"candor/reasoning/compose"
	"candor/serve/record"
)

// loadPage is how the gateway does.
type loadPage struct {
	record.Stats
	Up       string
	Rate     rate
	Parts    []part
	Ticks    []tick
	Outcomes []outcomeRow
	Gates    []gateRow
}

// rate is the chart of requests per second.
type rate struct {
	Bars []bar
	Top  int // of the axis
	Last int
	Peak int
	Mean string
}

// bar is one of a chart; X, W, Y and H are places on it.
type bar struct{ X, W, Y, H string }

// tick is a label on an axis.
type tick struct{ At, Label string }

// part is the latency of a part, with places on a logarithmic axis.
type part struct {
	record.Latency
	X50, X95, X99 string
}

type outcomeRow struct {
	Outcome record.Outcome
	N       int
	Share   string // in percent
	Width   string
}

// gateRow is how a gate has judged.
type gateRow struct {
	record.GateStats
	N      int // verdicts
	States []stateRow
}

type stateRow struct {
	State    compose.State
	N        int
	Share    string
	X, Width string
}

func (s *site) load(w http.ResponseWriter, r *http.Request, v viewer) {
	s.show(w, r, v, http.StatusOK, "load", "Load", newLoadPage(s.Source.Stats()))
}

func newLoadPage(st record.Stats) *loadPage {
	p := &loadPage{Stats: st, Up: took(max(0, st.Now.Sub(st.Started)).Round(time.Second)), Rate: newRate(st.PerSecond)}
	p.Parts, p.Ticks = latencies(st.Parts)
	total := 0
	for _, n := range st.Outcomes {
		total += n
	}
	for _, o := range outcomes {
		if n := st.Outcomes[o]; n > 0 {
			p.Outcomes = append(p.Outcomes, outcomeRow{o, n, share(n, total), percent(float64(n) / float64(total))})
		}
	}
	for _, g := range st.Gates {
		p.Gates = append(p.Gates, newGateRow(g))
	}
	return p
}

func newRate(seconds []int) rate {
	c := rate{Top: 1}
	total := 0
	for _, n := range seconds {
		total += n
		c.Peak = max(c.Peak, n)
	}
	c.Top = roundUp(c.Peak)
	if len(seconds) > 0 {
		c.Last = seconds[len(seconds)-1]
		c.Mean = digits(float64(total) / float64(len(seconds)))
	}
	for i, n := range seconds {
		if n > 0 {
			high := float64(n) / float64(c.Top)
			c.Bars = append(c.Bars, bar{percent((float64(i) + .1) / float64(len(seconds))), percent(.8 / float64(len(seconds))), percent(1 - high), percent(high)})
		}
	}
	return c
}

// roundUp returns the next of 1, 2, 5, 10, 20, ...
func roundUp(n int) int {
	for unit := 1; unit < math.MaxInt/10; unit *= 10 {
		for _, m := range []int{1, 2, 5} {
			if unit*m >= n {
				return unit * m
			}
		}
	}
	return max(n, 1)
}

// latencies puts parts on a logarithmic axis from a power of ten to another.
func latencies(parts []record.Latency) (out []part, ticks []tick) {
	low, high := time.Duration(math.MaxInt64), time.Duration(0)
	for _, l := range parts {
		if l.N > 0 {
			low, high = min(low, max(l.P50, time.Microsecond)), max(high, l.P99)
		}
	}
	if high == 0 {
		low, high = time.Millisecond, time.Second
	}
	from := math.Floor(math.Log10(float64(low)))
	to := max(math.Ceil(math.Log10(float64(high))), from+1)
	place := func(d time.Duration) string {
		return percent((math.Log10(float64(max(d, 1))) - from) / (to - from))
	}
	for _, l := range parts {
		out = append(out, part{l, place(l.P50), place(l.P95), place(l.P99)})
	}
	every := math.Ceil((to - from) / 4)
	for e := from; e <= to; e += every {
		d := time.Duration(math.Pow(10, e))
		ticks = append(ticks, tick{place(d), power(d)})
	}
	return out, ticks
}

// power writes a power of ten of time.
func power(d time.Duration) string {
	switch {
	case d < time.Microsecond:
		return count(int(d)) + " ns"
	case d < time.Millisecond:
		return count(int(d/time.Microsecond)) + " µs"
	case d < time.Second:
		return count(int(d/time.Millisecond)) + " ms"
	}
	return count(int(d/time.Second)) + " s"
}

func newGateRow(g record.GateStats) gateRow {
	row := gateRow{GateStats: g}
	states := []compose.State{compose.Pass, compose.Block, compose.Failed, compose.NotRun}
	for s := range g.States { // one that a later version knows
		if !slices.Contains(states, s) {
			states = append(states, s)
		}
	}
	slices.SortFunc(states[4:], func(a, b compose.State) int { return cmp.Compare(a, b) })
	for _, n := range g.States {
		row.N += n
	}
	at := 0
	for _, s := range states {
		n := g.States[s]
		if n == 0 {
			continue
		}
		row.States = append(row.States, stateRow{s, n, share(n, row.N), percent(float64(at) / float64(row.N)), percent(float64(n) / float64(row.N))})
		at += n
	}
	return row
}

// share writes n of total in percent.
func share(n, total int) string {
	if total == 0 {
		return "0%"
	}
	switch p := 100 * float64(n) / float64(total); {
	case p > 0 && p < .1:
		return "< 0.1%"
	case p > 99.9 && p < 100:
		return "> 99.9%"
	case p < 10:
		return strconv.FormatFloat(p, 'f', 1, 64) + "%"
	default:
		return digits(p) + "%"
	}
}
