package train

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"candor/engine/optim"
	"candor/engine/transformer"
	"candor/internal/rng"
)

func newLoop(t *testing.T, steps int) *Loop {
	t.Helper()
	cfg := transformer.Config{Layers: 1, Heads: 1, Width: 4, Context: 4, Vocab: 3, Positions: []string{"learned"}, Tied: true}
	m, err := transformer.New(cfg, rng.New(1))
	if err != nil {
		t.Fatal(err)
	}
	opt, err := NewOptimizer(m, optim.Default(.01), steps)
	if err != nil {
		t.Fatal(err)
	}
	return &Loop{Steps: steps, Model: m, Optim: opt}
}

// When hooks are called, and with which step numbers, is what run folders are built on.
func TestLoopCallsHooks(t *testing.T) {
	l := newLoop(t, 7)
	var saved []State
	var metrics []map[string]float64
	progress := 0
	l.Hooks = Hooks{
		CheckpointEvery: 3,
		Checkpoint:      func(s State) error { saved = append(saved, s); return nil },
		Metric: func(step int, m map[string]float64) error {
			if m["step"] != float64(step) {
				t.Errorf("metric step is %g in the report of step %d", m["step"], step)
			}
			metrics = append(metrics, m)
			return nil
		},
		Progress: func(done, total int) {
			if progress++; done != progress || total != 7 {
				t.Errorf("progress %d of %d, want %d of 7", done, total, progress)
			}
		},
	}
	var steps []int
	err := l.Run(context.Background(), func(s int) (map[string]float64, int64, error) {
		steps = append(steps, s)
		return map[string]float64{"loss": 1}, 10, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(steps) != 7 || steps[0] != 0 || progress != 7 || len(metrics) != 7 || metrics[6]["num_tokens"] != 70 {
		t.Errorf("steps %v, %d progress calls, metrics %v", steps, progress, metrics)
	}
	if len(saved) != 2 || saved[0].Step != 3 || saved[0].Tokens != 30 || saved[1].Step != 6 {
		t.Errorf("checkpoints %v, want them after steps 3 and 6", saved)
	}
}

func TestLoopStops(t *testing.T) {
	full := errors.New("disk full")
	fail := func(int, map[string]float64) error { return full }
	for _, c := range []struct {
		name  string
		hooks Hooks
		step  func(cancel func(), s int) (map[string]float64, error)
		want  string // part of the error
		is    error
		saved []int // steps of checkpoints
	}{
		{name: "cancelled between steps", step: func(cancel func(), s int) (map[string]float64, error) {
			if s == 3 {
				cancel()
			}
			return nil, nil
		}, want: "after 4 of 9 steps", is: context.Canceled, saved: []int{2, 4}},
		{name: "cancelled right after a checkpoint", step: func(cancel func(), s int) (map[string]float64, error) {
			if s == 1 {
				cancel()
			}
			return nil, nil
		}, want: "after 2 of 9 steps", is: context.Canceled, saved: []int{2}},
		{name: "cancelled within a step", step: func(cancel func(), s int) (map[string]float64, error) {
			if s == 3 {
				cancel()
				return nil, context.Canceled
			}
			return nil, nil
		}, want: "after 3 of 9 steps", is: context.Canceled, saved: []int{2, 3}},
		{name: "a step fails", step: func(_ func(), s int) (map[string]float64, error) {
			return nil, errors.New("bad page")
		}, want: "step 1: bad page"},
		{name: "diverged", step: func(_ func(), s int) (map[string]float64, error) {
			return map[string]float64{"loss": math.NaN()}, nil
		}, want: "loss is NaN at step 1; a lower learning rate"},
		{name: "gradient overflows", step: func(_ func(), s int) (map[string]float64, error) {
			return map[string]float64{"grad_norm": math.Inf(1)}, nil
		}, want: "grad_norm is +Inf at step 1"},
		{name: "another policy diverged", step: func(_ func(), s int) (map[string]float64, error) {
			return map[string]float64{"loss": 1, "face/loss": math.NaN(), "face/grad_norm": math.NaN(), "pretrain_loss": math.NaN()}, nil
		}, want: "training diverged: face/loss is NaN at step 1; a lower learning rate"},
		{name: "metrics cannot be written", hooks: Hooks{Metric: fail}, want: "metrics of step 1: disk full", is: full},
		{name: "checkpoint cannot be written", hooks: Hooks{Checkpoint: func(State) error { return full }},
			want: "checkpoint after step 2: disk full", is: full},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			l := newLoop(t, 9)
			l.Hooks = c.hooks
			l.Hooks.CheckpointEvery = 2
			var saved []int
			if l.Hooks.Checkpoint == nil {
				l.Hooks.Checkpoint = func(s State) error { saved = append(saved, s.Step); return nil }
			}
			err := l.Run(ctx, func(s int) (map[string]float64, int64, error) {
				m, err := map[string]float64(nil), error(nil)
				if c.step != nil {
					m, err = c.step(cancel, s)
				}
				if m == nil {
					m = map[string]float64{}
				}
				return m, 1, err
			})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("error %v, want one with %q", err, c.want)
			}
			if c.is != nil && !errors.Is(err, c.is) {
				t.Errorf("error %v does not wrap %v", err, c.is)
			}
			if len(saved) != len(c.saved) {
				t.Fatalf("checkpoints after steps %v, want %v", saved, c.saved)
			}
			for i := range saved {
				if saved[i] != c.saved[i] {
					t.Errorf("checkpoints after steps %v, want %v", saved, c.saved)
				}
			}
		})
	}
}

func TestLoopRefusesForeignStates(t *testing.T) {
	l := newLoop(t, 5)
	n := len(l.Model.Flat())
	state := func(step, params, moments int) *State {
		return &State{Step: step, Params: make([]float32, params), M: make([]float32, moments), V: make([]float32, moments)}
	}
	for name, s := range map[string]*State{
		"another model": state(1, n-1, n), "no moments": state(1, n, 0), "too far": state(6, n, n), "negative": state(-1, n, n),
	} {
		l.Hooks.Resume = s
		err := l.Run(context.Background(), func(int) (map[string]float64, int64, error) {
			t.Errorf("%s: a step was taken", name)
			return nil, 0, nil
		})
		if err == nil || !strings.Contains(err.Error(), "resuming: ") {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

// newDuo returns a loop of two policies of different sizes, and a step that moves them in opposite directions.
func newDuo(t *testing.T, steps int) (*Loop, func(int) (map[string]float64, int64, error)) {
	t.Helper()
	l := newLoop(t, steps)
	cfg := l.Model.Config
	cfg.Vocab = 5
	m, err := transformer.New(cfg, rng.New(2))
	if err != nil {
		t.Fatal(err)
	}
	settings := optim.Default(.01)
	settings.Schedule = "linear"
	opt, err := NewOptimizer(m, settings, 2*steps)
	if err != nil {
		t.Fatal(err)
	}
	l.Others, l.UpdatesPerStep = []Part{{m, opt}}, 2
	return l, func(s int) (map[string]float64, int64, error) {
		for range l.UpdatesPerStep {
			for i, p := range l.parts() {
				grad := make([]float32, len(p.Model.Flat()))
				for j := range grad {
					grad[j] = float32(1-2*i) * float32(1+(s+j)%3)
				}
				p.Optim.Step(p.Model.Flat(), grad)
			}
		}
		return map[string]float64{}, 1, nil
	}
}

// A state is of all policies, each with its own moments, and a loop that is resumed from it goes on with all of them.
func TestLoopKeepsAllPolicies(t *testing.T) {
	const steps = 5
	l, step := newDuo(t, steps)
	var states []State
	l.Hooks = Hooks{CheckpointEvery: 1, Checkpoint: func(s State) error {
		if len(s.Others) != 1 || len(s.Others[0].Others) != 0 || s.Others[0].Step != s.Step || s.Others[0].Tokens != s.Tokens {
			t.Fatalf("the state of step %d has others %+v", s.Step, s.Others)
		}
		for i, p := range l.parts() {
			state := append([]State{s}, s.Others...)[i]
			if &state.Params[0] != &p.Model.Flat()[0] || &state.M[0] != &p.Optim.State.M[0] || &state.V[0] != &p.Optim.State.V[0] {
				t.Errorf("the state of policy %d is another's", i)
			}
		}
		states = append(states, copied(s))
		return nil
	}}
	if err := l.Run(t.Context(), step); err != nil {
		t.Fatal(err)
	}
	for i := range states {
		again, step := newDuo(t, steps)
		again.Hooks.Resume = &states[i]
		before := copied(states[i])
		if err := again.Run(t.Context(), step); err != nil {
			t.Fatal(err)
		}
		for j, p := range again.parts() {
			want := l.parts()[j]
			if !slices.Equal(p.Model.Flat(), want.Model.Flat()) || !slices.Equal(p.Optim.State.V, want.Optim.State.V) || p.Optim.State.Step != 2*steps {
				t.Errorf("resumed after step %d, policy %d ends elsewhere", states[i].Step, j)
			}
		}
		if d := cmp.Diff(before, states[i]); d != "" {
			t.Errorf("the run wrote into the state that it resumed from: %s", d)
		}
	}
}

func copied(s State) State {
	s.Params, s.M, s.V, s.Others = slices.Clone(s.Params), slices.Clone(s.M), slices.Clone(s.V), slices.Clone(s.Others)
	for i := range s.Others {
		s.Others[i] = copied(s.Others[i])
	}
	return s
}

// A state that does not fit is refused before any policy is touched.
func TestLoopRefusesForeignOthers(t *testing.T) {
	l, _ := newDuo(t, 5)
	state := func(n int) State {
		return State{Step: 1, Params: make([]float32, n), M: make([]float32, n), V: make([]float32, n)}
	}
	n, m := len(l.Model.Flat()), len(l.Others[0].Model.Flat())
	for name, c := range map[string]struct {
		others []State
		want   string
	}{
		"none":          {nil, "the state is of 1 policies, but 2 are trained"},
		"two":           {[]State{state(m), state(m)}, "the state is of 3 policies, but 2 are trained"},
		"another model": {[]State{state(n)}, "but the policy has"},
		"no moments":    {[]State{{Params: make([]float32, m)}}, "moments of 0 and 0"},
	} {
		s := state(n)
		s.Others = c.others
		l.Hooks.Resume = &s
		before := slices.Clone(l.Model.Flat())
		err := l.Run(context.Background(), func(int) (map[string]float64, int64, error) {
			t.Errorf("%s: a step was taken", name)
			return nil, 0, nil
		})
		if err == nil || !strings.Contains(err.Error(), "resuming: ") || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one with %q", name, err, c.want)
		}
		if !slices.Equal(before, l.Model.Flat()) || l.Optim.State.Step != 0 {
			t.Errorf("%s: a policy was changed", name)
		}
	}
	alone := newLoop(t, 5)
	s := state(n)
	s.Others = []State{state(m)}
	alone.Hooks.Resume = &s
	if err := alone.Run(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "the state is of 2 policies, but 1 are trained") {
		t.Errorf("a loop of one policy took a state of two: %v", err)
	}
}

func TestBatch(t *testing.T) {
	var b Batch
	for range 2 { // the second time in reused memory that must be clean
		b.Reset()
		b.AddPage([]int32{1, 2, 3}, 0)
		b.AddPage([]int32{4, 5, 6, 7}, 2)
		if err := b.Add([]int32{8, 9}, []float32{5, .5}); err != nil {
			t.Fatal(err)
		}
		if b.Weight != 2+2+.5 || b.Tokens != 9 || len(b.Sequences) != 3 {
			t.Errorf("weight %g, %d tokens, %d sequences", b.Weight, b.Tokens, len(b.Sequences))
		}
		for i, want := range [][]float32{{0, 1, 1}, {0, 0, 1, 1}, {5, .5}} {
			for j, w := range want {
				if b.Sequences[i].Weight[j] != w {
					t.Errorf("sequence %d has weights %v, want %v", i, b.Sequences[i].Weight, want)
				}
			}
		}
		if b.Sequences[0].Tokens[2] != 3 || b.Sequences[1].Tokens[3] != 7 || b.Sequences[2].Tokens[0] != 8 {
			t.Error("tokens of an earlier sequence were lost")
		}
	}
	for _, w := range [][]float32{{1}, {1, -1}, {1, float32(math.NaN())}, {1, float32(math.Inf(1))}} {
		if b.Add([]int32{1, 2}, w) == nil {
			t.Errorf("weights %v for two tokens were accepted", w)
		}
	}
	if allocs := testing.AllocsPerRun(10, func() {
		b.Reset()
		b.AddPage([]int32{1, 2, 3, 4}, 0)
	}); allocs > 0 {
		t.Errorf("a step's batch allocates %g times", allocs)
	}
}
