package load

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// Options say what to send where.
type Options struct {
	// Address is HOST:PORT; Path such as /v1/chat/completions; Key is sent as a bearer token, "" sends none.
	Address, Path, Key string
	// Body is the JSON that every request has.
	Body []byte
	// Rate is how many requests a second [Run] sends; Streams how many [Streams] keeps open.
	Rate    float64
	Streams int
	// Time is for how long, after Warm, whose requests do not count.
	Time, Warm time.Duration
	Clock      func() time.Time
	// Progress is told how it goes now and then; nil for nobody.
	Progress func(done, failed int)
}

// Report is what was measured.
type Report struct {
	Sent, Failed int
	// Errors counts why requests failed.
	Errors map[string]int
	// Took is how long all counted requests took together on the clock, so that Sent/Took is the rate that was reached.
	Took time.Duration
	// Latency is from when a request was due to the last byte of its answer; Overhead what the gateway says of itself.
	Latency, Overhead Quantiles
	// Late is by how much the load itself was behind when it sent a request: if that is much, the machine is too small for the load.
	Late Quantiles
}

// Quantiles of durations.
type Quantiles struct {
	P50, P90, P99, P999, Max time.Duration
	N                        int
}

func quantiles(all []time.Duration) Quantiles {
	slices.Sort(all)
	n := len(all)
	if n == 0 {
		return Quantiles{}
	}
	at := func(share float64) time.Duration { return all[min(int(share*float64(n)), n-1)] }
	return Quantiles{at(.5), at(.9), at(.99), at(.999), all[n-1], n}
}

// request is the bytes of a request.
func (o *Options) request() []byte {
	auth := ""
	if o.Key != "" {
		auth = "Authorization: Bearer " + o.Key + "\r\n"
	}
	return append(fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: %s\r\n%sContent-Type: application/json\r\nContent-Length: %d\r\n\r\n", o.Path, o.Address, auth, len(o.Body)), o.Body...)
}

// most is how many connections a load opens at most. Requests beyond wait for one, which counts as latency.
const most = 2000

// timeout of a request.
const timeout = 30 * time.Second

// tally is what many senders gather.
type tally struct {
	mu                      sync.Mutex
	latency, overhead, late []time.Duration
	failed                  int
	errors                  map[string]int
}

func (t *tally) add(r reply, err error, latency, late time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err == nil && r.status != 200 {
		err = fmt.Errorf("status %d", r.status)
	}
	if err != nil {
		t.failed++
		if t.errors == nil {
			t.errors = map[string]int{}
		}
		if text := err.Error(); len(t.errors) < 20 || t.errors[text] > 0 {
			t.errors[text]++
		}
		return
	}
	t.latency, t.late = append(t.latency, latency), append(t.late, late)
	if r.overhead >= 0 {
		t.overhead = append(t.overhead, r.overhead)
	}
}

func (t *tally) report(took time.Duration) *Report {
	return &Report{Sent: len(t.latency) + t.failed, Failed: t.failed, Errors: t.errors, Took: took, Latency: quantiles(t.latency), Overhead: quantiles(t.overhead), Late: quantiles(t.late)}
}

// pool keeps connections.
type pool struct {
	address string
	idle    chan *conn
	room    chan struct{}
}

func newPool(address string) *pool {
	return &pool{address, make(chan *conn, most), make(chan struct{}, most)}
}

func (p *pool) get() (*conn, error) {
	select {
	case c := <-p.idle:
		return c, nil
	default:
	}
	select {
	case c := <-p.idle:
		return c, nil
	case p.room <- struct{}{}:
		c, err := dial(p.address)
		if err != nil {
			<-p.room
		}
		return c, err
	}
}

func (p *pool) put(c *conn, err error) {
	if err != nil {
		c.Close()
		<-p.room
		return
	}
	p.idle <- c
}

func (p *pool) close() {
	for {
		select {
		case c := <-p.idle:
			c.Close()
		default:
			return
		}
	}
}

// Run sends requests at the rate. Its error says why it could not begin, or that ctx ended.
func Run(ctx context.Context, o Options) (*Report, error) {
	if o.Rate <= 0 || o.Clock == nil {
		return nil, errors.New("a load needs a rate above 0 and a clock")
	}
	p, request := newPool(o.Address), o.request()
	defer p.close()
	var t tally
	var wg sync.WaitGroup
	start := o.Clock()
	every := time.Duration(float64(time.Second) / o.Rate)
	n := int((o.Warm + o.Time) / every)
	for i := range n {
		due := start.Add(time.Duration(i) * every)
		if wait := due.Sub(o.Clock()); wait > 0 {
			time.Sleep(wait)
		}
		if err := ctx.Err(); err != nil {
			wg.Wait()
			return nil, err
		}
		counts := time.Duration(i)*every >= o.Warm
		wg.Go(func() {
			late := o.Clock().Sub(due)
			c, err := p.get()
			var r reply
			if err == nil {
				r, err = c.do(request, timeout, o.Clock())
				p.put(c, err)
			}
			if counts {
				t.add(r, err, o.Clock().Sub(due), late)
			}
		})
		if o.Progress != nil && i%int(max(o.Rate, 1)) == 0 {
			t.mu.Lock()
			o.Progress(i, t.failed)
			t.mu.Unlock()
		}
	}
	wg.Wait()
	return t.report(o.Clock().Sub(start) - o.Warm), nil
}

// Streams keeps o.Streams requests under way at a time, each sent when the one before on its connection is answered. An answer whose
// stream did not come to its end has failed.
func Streams(ctx context.Context, o Options) (*Report, error) {
	if o.Streams <= 0 || o.Clock == nil {
		return nil, errors.New("a load needs streams and a clock")
	}
	request := o.request()
	var t tally
	var wg sync.WaitGroup
	start := o.Clock()
	for range o.Streams {
		wg.Go(func() {
			var c *conn
			defer func() {
				if c != nil {
					c.Close()
				}
			}()
			for ctx.Err() == nil {
				began := o.Clock()
				if began.Sub(start) > o.Warm+o.Time {
					return
				}
				var err error
				if c == nil {
					c, err = dial(o.Address)
				}
				var r reply
				if err == nil {
					r, err = c.do(request, timeout, began)
				}
				if err == nil && r.status == 200 && !r.finished {
					err = errors.New("the stream did not come to its end")
				}
				if began.Sub(start) >= o.Warm {
					t.add(r, err, o.Clock().Sub(began), 0)
				}
				if err != nil {
					if c != nil {
						c.Close()
						c = nil
					}
					time.Sleep(10 * time.Millisecond)
				}
			}
		})
	}
	wg.Wait()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return t.report(o.Clock().Sub(start) - o.Warm), nil
}
