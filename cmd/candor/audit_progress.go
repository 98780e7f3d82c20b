package main

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"candor/audit/preflight"
	"candor/audit/runner"
)

// auditProgress shows how an audit goes on: a bar on a terminal, a line now and then elsewhere.
type auditProgress struct {
	w     *world
	start time.Time

	mu     sync.Mutex
	bars   *mpb.Progress
	bar    *mpb.Bar
	last   time.Time
	latest runner.Progress
}

func newAuditProgress(w *world, s *auditSubject, samples int, out string) *auditProgress {
	p := &auditProgress{w: w, start: w.clock(), last: w.clock()}
	fmt.Fprintf(w.stderr, "Auditing %s with %s. Results go to %s. Ctrl-C stops; the same command goes on.\n", s.model.Name, count(samples, "sample"), out)
	if s.preflight != nil {
		printPreflight(w.stderr, s.preflight)
	}
	return p
}

func (p *auditProgress) event(e runner.Progress) {
	p.mu.Lock()
	defer p.mu.Unlock()
	first := p.latest.Total == 0
	p.latest = e
	if first {
		if e.Before > 0 {
			fmt.Fprintf(p.w.stderr, "Going on: %d of %d samples are done.\n", e.Before, e.Total)
		}
		if p.w.stderrTerminal && e.Before < e.Total {
			p.draw()
		}
	}
	if p.bar != nil {
		p.bar.SetCurrent(int64(e.Done + e.Failed))
		return
	}
	if now := p.w.clock(); now.Sub(p.last) >= plainEvery {
		p.last = now
		fmt.Fprintf(p.w.stderr, "%d of %d samples  %s  %s\n", e.Done+e.Failed, e.Total, p.left(), p.doing())
	}
}

func (p *auditProgress) left() string {
	eta, ok := p.latest.ETA(p.w.clock().Sub(p.start))
	if !ok {
		return "estimating"
	}
	return "about " + eta.Round(time.Second).String() + " left"
}

func (p *auditProgress) doing() string {
	e := p.latest
	parts := []string{fmt.Sprintf("%d calls, %s tokens", e.Calls, thousands(e.TokensIn+e.TokensOut))}
	if e.Failed > 0 {
		parts = append(parts, fmt.Sprintf("%d failed", e.Failed))
	}
	if e.Limit > 0 {
		parts = append(parts, fmt.Sprintf("%d of %d connections", e.InFlight, e.Limit))
	}
	if e.Paused > 0 {
		parts = append(parts, "the server asked to wait "+e.Paused.Round(time.Second).String())
	}
	return strings.Join(parts, ", ")
}

// thousands writes a count such as 12,345.
func thousands(n int64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func (p *auditProgress) locked(f func() string) func(decor.Statistics) string {
	return func(decor.Statistics) string {
		p.mu.Lock()
		defer p.mu.Unlock()
		return f()
	}
}

func (p *auditProgress) draw() {
	p.bars = mpb.New(mpb.WithOutput(p.w.stderr), mpb.WithWidth(40))
	p.bar = p.bars.AddBar(int64(p.latest.Total), mpb.BarRemoveOnComplete(),
		mpb.PrependDecorators(decor.CountersNoUnit("%d of %d", decor.WC{W: 12})),
		mpb.AppendDecorators(decor.Any(p.locked(p.left), decor.WC{W: 18, C: decor.DindentRight}), decor.Any(p.locked(p.doing))))
}

// conclude says what takes a while after the last sample of a large audit.
func (p *auditProgress) conclude() {
	p.close()
	if p.latest.Total >= 10_000 {
		fmt.Fprintln(p.w.stderr, "Writing the results.")
	}
}

// close ends the drawing.
func (p *auditProgress) close() {
	p.mu.Lock()
	bar, bars := p.bar, p.bars
	p.bar, p.bars = nil, nil
	p.mu.Unlock()
	if bar != nil {
		bar.Abort(true)
		bars.Wait()
	}
}

// printPreflight says what was found out about an endpoint.
func printPreflight(out io.Writer, r *preflight.Report) {
	fmt.Fprintf(out, "\n%s at %s\n", r.Model, r.BaseURL)
	for _, f := range r.Findings {
		fmt.Fprintf(out, "  %-28s %s\n", f.What, f.Found)
		fmt.Fprintf(out, "  %-28s   %s\n", "", f.How)
	}
	fmt.Fprintf(out, "  %-28s %s\n\n", "tokens for this", thousands(int64(r.Tokens)))
}
