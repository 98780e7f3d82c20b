package page

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"candor/serve/record"
)

const (
	// gather is how long what changes is gathered before it is sent.
	gather = 250 * time.Millisecond
	// maxBatch is the most traces of one batch, and maxWaiting the most batches that wait for a stream to write.
	maxBatch   = 1000
	maxWaiting = 4
)

// errFull means that as many pages are live as may be.
var errFull = errors.New("too many pages are live at the same time")

// hub hands what changes to all streams from one watch, which it keeps while there are streams.
type hub struct {
	source record.Source
	most   int
	row    func(s *record.Summary, texts bool) (string, error)

	mu      sync.Mutex
	streams map[*stream]bool
	stop    context.CancelFunc // of the watch
}

// stream is one page that is live. Batches is closed when the source ends.
type stream struct {
	batches chan *batch
	missed  bool // under the hub's lock: a batch did not fit
}

// batch is what changed in a while, the oldest trace first.
type batch struct {
	changes []*change
	// missed tells that there was more, here or before.
	missed bool
}

// change is a trace that changed. Its row is written at most once for those who see texts and once for the others.
type change struct {
	record.Summary
	rows [2]func() (string, error)
}

func newHub(source record.Source, most int, row func(*record.Summary, bool) (string, error)) *hub {
	return &hub{source: source, most: most, row: row, streams: map[*stream]bool{}}
}

// join begins a stream, and the watch with the first.
func (h *hub) join() (*stream, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.streams) >= h.most {
		return nil, errFull
	}
	s := &stream{batches: make(chan *batch, maxWaiting)}
	h.streams[s] = true
	if h.stop == nil {
		ctx, stop := context.WithCancel(context.Background())
		h.stop = stop
		go h.run(ctx, h.source.Watch(ctx))
	}
	return s, nil
}

// leave ends a stream, and the watch with the last.
func (h *hub) leave(s *stream) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.streams, s)
	if len(h.streams) == 0 && h.stop != nil {
		h.stop()
		h.stop = nil
	}
}

// run gathers and hands on until its context ends or the source does.
func (h *hub) run(ctx context.Context, in <-chan record.Summary) {
	tick := time.NewTicker(gather)
	defer tick.Stop()
	latest := map[string]*change{}
	missed := false
	for {
		select {
		case sum, ok := <-in:
			if !ok {
				h.end(ctx)
				return
			}
			if latest[sum.ID] == nil && len(latest) == maxBatch {
				missed = true
				continue
			}
			latest[sum.ID] = h.change(sum)
		case <-tick.C:
			if len(latest) > 0 {
				h.send(ctx, latest, missed)
				latest, missed = map[string]*change{}, false
			}
		}
	}
}

func (h *hub) change(sum record.Summary) *change {
	c := &change{Summary: sum}
	for i, texts := range []bool{false, true} {
		c.rows[i] = sync.OnceValues(func() (string, error) { return h.row(&c.Summary, texts) })
	}
	return c
}

func (h *hub) send(ctx context.Context, latest map[string]*change, missed bool) {
	b := batch{missed: missed, changes: make([]*change, 0, len(latest))}
	for _, c := range latest {
		b.changes = append(b.changes, c)
	}
	slices.SortFunc(b.changes, func(x, y *change) int { return cmp.Compare(x.Seq, y.Seq) })
	late := b
	late.missed = true
	h.mu.Lock()
	defer h.mu.Unlock()
	if ctx.Err() != nil { // the streams are those of a later watch
		return
	}
	for s := range h.streams {
		next := &b
		if s.missed {
			next = &late
		}
		select {
		case s.batches <- next:
			s.missed = false
		default:
			s.missed = true
		}
	}
}

// end tells all streams that the source has ended. A watch that was stopped because nobody looked tells nobody.
func (h *hub) end(ctx context.Context) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if ctx.Err() != nil {
		return
	}
	for s := range h.streams {
		close(s.batches)
	}
	clear(h.streams)
	h.stop()
	h.stop = nil
}
