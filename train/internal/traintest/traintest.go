// Package traintest holds what the tests of all recipes check in the same way: that a run is repeatable.
package traintest

import (
	"context"
	"errors"
	"math"
	"reflect"
	"slices"
	"testing"

	"candor/engine/tensor"
	"candor/engine/transformer"
	"candor/internal/rng"
	"candor/train"
)

// Model returns a tiny model of one layer.
func Model(t testing.TB, width, contextLen, vocab int) *transformer.Model {
	t.Helper()
	m, err := transformer.New(transformer.Config{
		Layers: 1, Heads: 2, Width: width, Context: contextLen, Vocab: vocab, Positions: []string{"learned"}, Tied: true,
	}, rng.New(11))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// Pool returns a pool that lives as long as the test.
func Pool(t testing.TB, threads int) *tensor.Pool {
	t.Helper()
	p := tensor.NewPool(threads)
	t.Cleanup(p.Close)
	return p
}

// Repeatable runs a recipe undisturbed, with two threads, resumed from every checkpoint of the first run, and cancelled and
// resumed, and fails unless all end with the same bits and report the same metrics. run trains the policy it is given.
func Repeatable(t *testing.T, initial *transformer.Model, steps int,
	run func(ctx context.Context, policy *transformer.Model, pool *tensor.Pool, hooks train.Hooks) error) {
	t.Helper()
	one, two := Pool(t, 1), Pool(t, 2)
	var states []train.State
	var want []map[string]float64
	policy := initial.Clone()
	err := run(t.Context(), policy, one, train.Hooks{
		CheckpointEvery: 1,
		Checkpoint:      func(s train.State) error { states = append(states, copied(s)); return nil },
		Metric:          func(_ int, m map[string]float64) error { want = append(want, m); return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	if slices.Equal(policy.Flat(), initial.Flat()) {
		t.Fatal("the run changed nothing")
	}
	if len(states) != steps-1 || len(want) != steps {
		t.Fatalf("%d checkpoints and %d metrics in %d steps", len(states), len(want), steps)
	}
	check := func(name string, pool *tensor.Pool, resume *train.State) {
		t.Helper()
		again := initial.Clone()
		from := 0
		if resume != nil {
			from = resume.Step
		}
		err := run(t.Context(), again, pool, train.Hooks{Resume: resume, Metric: func(step int, m map[string]float64) error {
			if step != from+1 || !reflect.DeepEqual(m, want[step-1]) {
				t.Errorf("%s: metrics of step %d are %v, want %v", name, step, m, want[step-1])
			}
			from = step
			return nil
		}})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if !sameBits(again.Flat(), policy.Flat()) {
			t.Errorf("%s: other parameters than the undisturbed run's", name)
		}
	}
	check("two threads", two, nil)
	for i := range states {
		check("resumed", one, &states[i])
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var last *train.State
	err = run(ctx, initial.Clone(), one, train.Hooks{
		Checkpoint: func(s train.State) error { c := copied(s); last = &c; return nil },
		Progress: func(done, _ int) {
			if done == 2 {
				cancel()
			}
		},
	})
	if !errors.Is(err, context.Canceled) || last == nil || last.Step != 2 {
		t.Fatalf("a run cancelled after 2 steps returned %v with the checkpoint %v", err, last)
	}
	check("cancelled and resumed", two, last)
}

func copied(s train.State) train.State {
	s.Params, s.M, s.V = slices.Clone(s.Params), slices.Clone(s.M), slices.Clone(s.V)
	s.Others = slices.Clone(s.Others)
	for i := range s.Others {
		s.Others[i] = copied(s.Others[i])
	}
	return s
}

func sameBits(a, b []float32) bool {
	return slices.EqualFunc(a, b, func(x, y float32) bool { return math.Float32bits(x) == math.Float32bits(y) })
}
