package main

import (
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"

	"candor/study/experiment"
)

// terminal tells whether f is a terminal and how wide it is; 100 columns if that cannot be told.
func terminal(f *os.File) (is bool, width int) {
	fd := int(f.Fd())
	width = 100
	if !term.IsTerminal(fd) {
		return false, width
	}
	if w, _, err := term.GetSize(fd); err == nil && w > 20 {
		width = min(w, 120)
	}
	return true, width
}

// plainEvery is how often progress is told where it cannot be drawn.
const plainEvery = 10 * time.Second

// progress shows how a study goes on: a bar on a terminal, a line now and then elsewhere.
type progress struct {
	w     *world
	start time.Time

	mu     sync.Mutex
	bars   *mpb.Progress
	bar    *mpb.Bar
	active []string // what runs now, in the order of starting
	last   time.Time
	latest experiment.Event
}

func newProgress(w *world, title, out string) *progress {
	p := &progress{w: w, start: w.clock()}
	fmt.Fprintf(w.stderr, "%s\nResults go to %s. Ctrl-C stops; the same command goes on.\n", title, out)
	return p
}

// scale is the number of units of the bar.
const scale = 10_000

func (p *progress) event(e experiment.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	label := fmt.Sprintf("%s, seed %d: %s", e.Arm, e.Seed, e.What)
	switch e.Kind {
	case experiment.Planned:
		if e.Stages > 0 {
			fmt.Fprintf(p.w.stderr, "Going on: %d of %d stages are done.\n", e.Stages, e.StageCount)
		}
		if p.w.stderrTerminal && e.Stages < e.StageCount {
			p.draw()
		}
	case experiment.Started:
		p.active = append(p.active, label)
	case experiment.Finished:
		for i, a := range p.active {
			if a == label {
				p.active = append(p.active[:i], p.active[i+1:]...)
				break
			}
		}
	}
	p.latest = e
	now := p.w.clock()
	if p.bar != nil {
		p.bar.SetCurrent(int64(e.Share * scale))
		return
	}
	if e.Kind != experiment.Planned && now.Sub(p.last) >= plainEvery {
		p.last = now
		fmt.Fprintf(p.w.stderr, "%3.0f%%  %d of %d stages  %s  %s\n", 100*e.Share, e.Stages, e.StageCount, p.left(), p.doing())
	}
}

// left says how long the rest will take, at the speed so far.
func (p *progress) left() string {
	spent := p.w.clock().Sub(p.start)
	if p.latest.Here < .005 {
		return "estimating"
	}
	eta := time.Duration(float64(spent) * (1 - p.latest.Share) / p.latest.Here)
	return "about " + eta.Round(time.Second).String() + " left"
}

// doing names what runs now.
func (p *progress) doing() string {
	switch len(p.active) {
	case 0:
		return ""
	case 1:
		return p.active[0]
	}
	return fmt.Sprintf("%s (and %d more)", p.active[0], len(p.active)-1)
}

// locked reads a line of progress for the bar, which draws from a goroutine of its own.
func (p *progress) locked(f func() string) func(decor.Statistics) string {
	return func(decor.Statistics) string {
		p.mu.Lock()
		defer p.mu.Unlock()
		return f()
	}
}

func (p *progress) draw() {
	p.bars = mpb.New(mpb.WithOutput(p.w.stderr), mpb.WithWidth(40))
	p.bar = p.bars.AddBar(scale, mpb.BarRemoveOnComplete(),
		mpb.PrependDecorators(decor.Percentage(decor.WC{W: 5})),
		mpb.AppendDecorators(
			decor.Any(p.locked(p.left), decor.WC{W: 18, C: decor.DindentRight}),
			decor.Any(p.locked(p.doing)),
		))
}

// close ends the drawing.
func (p *progress) close() {
	p.mu.Lock()
	bar, bars := p.bar, p.bars
	p.mu.Unlock()
	if bar != nil {
		bar.Abort(true)
		bars.Wait()
	}
}
