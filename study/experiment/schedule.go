package experiment

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// schedule runs every stage of order that is not yet done, each after the stages it needs, at most `threads` threads at
// a time. A stage gets one thread while there is other work to do beside it, and the idle ones too when there is not:
// results do not depend on the number of threads, so this only changes how long things take. Among the stages that are
// ready the one with the longest way to the end of the study goes first.
//
// When a stage fails, no new one is started, those under way are cancelled, and the first error is returned.
func schedule(ctx context.Context, order []*stage, threads int, run func(ctx context.Context, s *stage, threads int) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s := &scheduler{free: max(1, threads), waiting: map[*stage]int{}, users: map[*stage][]*stage{}, way: longestWays(order)}
	s.wake = sync.NewCond(&s.mu)
	stop := context.AfterFunc(ctx, func() { s.mu.Lock(); s.wake.Broadcast(); s.mu.Unlock() })
	defer stop()
	for _, st := range order {
		if st.done {
			continue
		}
		s.left++
		for _, need := range st.needs() {
			if !need.done {
				s.waiting[st]++
				s.users[need] = append(s.users[need], st)
			}
		}
		if s.waiting[st] == 0 {
			s.ready = append(s.ready, st)
		}
	}
	var group sync.WaitGroup
	for {
		st, n := s.next(ctx)
		if st == nil {
			break
		}
		group.Go(func() {
			err := run(ctx, st, n)
			if err != nil {
				cancel()
			}
			s.finished(st, n, err)
		})
	}
	group.Wait()
	if s.err != nil {
		return s.err
	}
	return ctx.Err()
}

type scheduler struct {
	mu      sync.Mutex
	wake    *sync.Cond
	ready   []*stage
	waiting map[*stage]int
	users   map[*stage][]*stage
	way     map[*stage]float64
	free    int // threads not in use
	left    int // stages not finished
	err     error
}

// next waits for a ready stage and a free thread; nil when nothing is left to start.
func (s *scheduler) next(ctx context.Context) (*stage, int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		if s.err != nil || ctx.Err() != nil || s.left == 0 {
			return nil, 0
		}
		if s.free > 0 && len(s.ready) > 0 {
			best := 0
			for i, st := range s.ready {
				if s.way[st] > s.way[s.ready[best]] {
					best = i
				}
			}
			st := s.ready[best]
			s.ready = append(s.ready[:best], s.ready[best+1:]...)
			n := max(1, s.free/(len(s.ready)+1))
			s.free -= n
			return st, n
		}
		s.wake.Wait()
	}
}

func (s *scheduler) finished(st *stage, n int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.free += n
	s.left--
	switch {
	case err == nil:
		st.done = true
		for _, u := range s.users[st] {
			if s.waiting[u]--; s.waiting[u] == 0 {
				s.ready = append(s.ready, u)
			}
		}
	case s.err == nil || stopped(s.err) && !stopped(err): // a stage that was told to stop may be quicker to say so
		s.err = fmt.Errorf("stage %s: %w", st.id, err)
	}
	s.wake.Broadcast()
}

// stopped tells whether a stage ended because its context did.
func stopped(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// longestWays gives for each stage its own cost plus that of the costliest chain of stages that wait for it.
func longestWays(order []*stage) map[*stage]float64 {
	way := make(map[*stage]float64, len(order))
	for i := len(order) - 1; i >= 0; i-- {
		st := order[i]
		way[st] += st.cost
		for _, need := range st.needs() {
			way[need] = max(way[need], way[st])
		}
	}
	return way
}
