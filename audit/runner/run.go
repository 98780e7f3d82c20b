package runner

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"candor/internal/rng"
	"candor/reasoning/llm"
	"candor/study/runlog"
)

// Source is what an audit goes through: items with IDs that were bound before any shuffle. See candor/audit/suite.
type Source interface {
	Len() int
	// ID returns the ID of item i, 0 <= i < Len. No two items have the same one. It is asked for often, so it should be quick.
	ID(i int) (string, error)
}

// Calls is how the work of one sample reaches the models. It may be used concurrently, until the work returns.
type Calls interface {
	// Do makes a call, or returns what the same call has given before. Its completion is as the store has it and must not be
	// changed. An error says which call failed; it is final, all retries being over.
	Do(ctx context.Context, model string, r llm.Request) (llm.Completion, error)
}

// Work makes the sample of one item for one epoch, counted from 0. It is called concurrently for different samples. An error
// makes the sample a failed one; what is filled in of it is kept, except for an answer. When ctx ends it should return soon,
// and it must not return before its calls have. A sample without an ID gets the item's; Repeat becomes the epoch. Requests
// that are sampled should have seeds that differ by epoch.
type Work func(ctx context.Context, calls Calls, index, epoch int) (runlog.Sample, error)

// Options say how an audit runs.
type Options struct {
	// Folder is the run folder; the caller holds its lock.
	Folder *runlog.Folder
	// Models are the models by the names that [Calls] knows them by.
	Models map[string]Model
	// Settings are what else the samples depend on, such as the suite and the tests, by name. Together with the models'
	// identities they must be the same whenever a run goes on in the folder. Limits and budgets do not belong here.
	Settings map[string]string
	// Epochs is how often each item is put; 0 is 1.
	Epochs int
	// Connections is a fixed number of calls under way for each remote model; 0 adapts it to what the model bears.
	Connections int
	// Timeout bounds one try of one call to a remote model; 0 is 10 minutes.
	Timeout time.Duration
	// Budget is how many tokens, read and written, all runs in the folder may spend together; 0 is without bound. A model that
	// does not count its tokens is charged one for each four bytes.
	Budget int64
	// Seed is that of the jitter between retries. It does not influence the samples.
	Seed uint64
	// Progress, if it is not nil, is told of every change, one at a time. The run waits for it, so it should be quick.
	Progress func(Progress)
}

// Progress is how far a run is.
type Progress struct {
	// Total counts samples, epochs included. Done and Failed are those that ended; Before of the done ones did so in earlier
	// runs. Failed ones of earlier runs are tried again and do not count until then.
	Total, Done, Failed, Before int
	// Calls were answered by a model in this run, Hits by the store or by an equal call under way. Retries are tries after a
	// first one.
	Calls, Hits, Retries int
	// TokensIn and TokensOut are those of this run's calls; Spent is the sum over all runs in the folder.
	TokensIn, TokensOut, Spent int64
	// InFlight is how many calls are with the models, Limit how many may be, summed over the models that have been called.
	InFlight, Limit int
	// Paused is how long a server has asked not to be called, 0 when none does. It is the whole time, not what is left.
	Paused time.Duration
}

// ETA returns how long the rest will take if it goes on as in the time since this run began; false if nothing has ended yet.
func (p Progress) ETA(elapsed time.Duration) (time.Duration, bool) {
	ended := p.Done + p.Failed - p.Before
	if ended <= 0 {
		return 0, false
	}
	left := float64(p.Total - p.Done - p.Failed)
	return time.Duration(min(float64(elapsed)/float64(ended)*left, math.MaxInt64/2)), true
}

var (
	// ErrBudget is wrapped by the error of a run that spent its tokens before its samples were done.
	ErrBudget = errors.New("out of budget")
	// ErrGivenUp is wrapped by the error of a run that stopped because everything failed.
	ErrGivenUp = errors.New("given up")
)

// giveUpAfter is how many samples must fail in a row for a run to give up.
const giveUpAfter = 100

// run is one Run.
type run struct {
	Options
	source Source
	work   Work
	store  *store
	models map[string]*model
	jitter rng.Source

	ctx     context.Context
	cancel  context.CancelCauseFunc
	samples sync.WaitGroup
	calls   sync.WaitGroup // flights, which may outlast who asked

	mu       sync.Mutex
	progress Progress
	flights  map[key]*flight
	broke    bool // a call was refused because the budget is spent
	streak   int  // of failed samples
}

// model is a [Model] as a run has it.
type model struct {
	Model
	caller
	called bool
}

// Run makes the samples of source that the folder does not have yet, and tries the failed ones again. It returns how far it
// came, also with an error. The error wraps [ErrBudget], [ErrGivenUp] or, when ctx ended, its cause, or says what is wrong
// with the folder or the source; in every case what was finished is kept, and the same Run goes on. That samples failed is
// no error.
func Run(ctx context.Context, o Options, source Source, work Work) (Progress, error) {
	r := &run{Options: o, source: source, work: work, models: map[string]*model{}, flights: map[key]*flight{},
		jitter: rng.New(o.Seed).Split("retry")}
	if err := r.check(); err != nil {
		return Progress{}, err
	}
	r.ctx, r.cancel = context.WithCancelCause(ctx)
	defer r.cancel(nil)
	var err error
	if r.store, err = openStore(ctx, r.Folder.Dir()); err != nil {
		return Progress{}, err
	}
	if err := r.all(ctx); err != nil {
		return r.progress, errors.Join(err, r.store.close())
	}
	return r.progress, r.store.close()
}

func (r *run) check() error {
	if r.Epochs == 0 {
		r.Epochs = 1
	}
	if r.Timeout == 0 {
		r.Timeout = 10 * time.Minute
	}
	switch {
	case r.Folder == nil:
		return errors.New("running an audit: there is no run folder")
	case r.Epochs < 1:
		return fmt.Errorf("running an audit: %d epochs, must be at least 1", r.Epochs)
	case r.Connections < 0:
		return fmt.Errorf("running an audit: %d connections, must be at least 1, or 0 to adapt", r.Connections)
	case r.Timeout < 0:
		return fmt.Errorf("running an audit: a timeout of %v, must be positive", r.Timeout)
	case r.Budget < 0:
		return fmt.Errorf("running an audit: a budget of %d tokens, must be at least 1, or 0 for none", r.Budget)
	}
	for name, m := range r.Models {
		if m.Generator == nil || m.Identity == "" {
			return fmt.Errorf("running an audit: the model %q has no generator or no identity", name)
		}
	}
	return nil
}

// all makes all samples.
func (r *run) all(ctx context.Context) error {
	for name, m := range r.Models {
		if m.Local {
			r.models[name] = &model{Model: m, caller: &local{generator: m.Generator, ctx: r.ctx}}
		} else {
			r.models[name] = &model{Model: m, caller: &remote{m.Generator, newLimiter(r.Connections), r.Timeout}}
		}
	}
	settings := map[string]string{}
	for name, value := range r.Settings {
		settings[name] = value
	}
	for name, m := range r.Models {
		settings["model "+name] = m.Identity
	}
	if err := r.store.bind(ctx, settings); err != nil {
		return err
	}
	finished, err := r.store.resume(ctx, r.source, r.Epochs)
	if err != nil {
		return err
	}
	c, err := counts(ctx, r.store.read)
	if err != nil {
		return r.store.explain(err)
	}
	r.note(func(p *Progress) {
		p.Total, p.Done, p.Before, p.Spent = c.Total, c.Done, c.Done, c.TokensIn+c.TokensOut
	})
	err = r.start(finished)
	r.samples.Wait()
	r.calls.Wait()
	for _, m := range r.models {
		if l, ok := m.caller.(*local); ok {
			l.running.Wait()
		}
	}
	left := r.progress.Total - r.progress.Done - r.progress.Failed
	switch {
	case err != nil:
		return err
	case left == 0:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("stopped with %d of %d samples left: %w", left, r.progress.Total, context.Cause(ctx))
	case r.ctx.Err() != nil:
		return context.Cause(r.ctx)
	}
	return fmt.Errorf("%w: %d tokens are spent of %d, and %d of %d samples are left: run the same command with a larger budget to go on",
		ErrBudget, r.progress.Spent, r.Budget, left, r.progress.Total)
}

// start starts the work of all samples that are not finished, a bounded number at a time, until it is done or the run ends.
func (r *run) start(finished []bool) error {
	ended := make(chan struct{}, 1) // there may be room for another sample
	active := 0
	var mu sync.Mutex
	for at := range finished {
		if finished[at] {
			continue
		}
		id, err := r.source.ID(at / r.Epochs)
		if err != nil {
			r.cancel(err)
			return fmt.Errorf("item %d of the source: %w", at/r.Epochs, err)
		}
		for {
			if r.ctx.Err() != nil || r.isBroke() {
				return nil
			}
			mu.Lock()
			room := active < r.room()
			if room {
				active++
			}
			mu.Unlock()
			if room {
				break
			}
			select {
			case <-ended:
			case <-r.ctx.Done():
			}
		}
		r.samples.Go(func() {
			r.sample(id, at/r.Epochs, at%r.Epochs)
			mu.Lock()
			active--
			mu.Unlock()
			select {
			case ended <- struct{}{}:
			default:
			}
		})
	}
	return nil
}

// room is how many samples may be worked on at once: twice what keeps the slowest kind of model busy.
func (r *run) room() int {
	room := 0
	for _, m := range r.models {
		if !m.Local {
			_, limit, _ := m.load()
			room = max(room, 2*limit)
		}
	}
	if room == 0 {
		room = 2 * maxBatch
	}
	return room
}

func (r *run) isBroke() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.broke
}

// note changes the progress and tells of it.
func (r *run) note(change func(*Progress)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change(&r.progress)
	r.tell()
}

// tell tells of the progress. r.mu is held.
func (r *run) tell() {
	if r.Progress == nil {
		return
	}
	p := &r.progress
	p.InFlight, p.Limit, p.Paused = 0, 0, 0
	for _, m := range r.models {
		if m.called {
			inFlight, limit, paused := m.load()
			p.InFlight, p.Limit, p.Paused = p.InFlight+inFlight, p.Limit+limit, max(p.Paused, paused)
		}
	}
	r.Progress(*p)
}
