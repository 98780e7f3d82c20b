package speed

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"candor/engine/decode"
	"candor/engine/kernel"
	"candor/reasoning/llm"
	"candor/train/internal/traintest"
)

const (
	aProduct = "kernel/256x256x64 nn"
	tick     = 2 * time.Millisecond // more than calibrate asks of a burst, so that the first number of rounds will do
)

// ticks returns a clock that goes on by d whenever it is read.
func ticks(d time.Duration) func() time.Time {
	var now time.Time
	return func() time.Time {
		now = now.Add(d)
		return now
	}
}

// On a clock that ticks when it is read each step lasts one tick, whatever the machine: every number is known.
func TestRun(t *testing.T) {
	const threads = 2
	var told []string
	only := []string{"grpo/small", "train/small", "train/small", "sample/small", aProduct}
	r, err := Run(t.Context(), Options{Threads: threads, Seconds: .001, Only: only, Now: ticks(tick), Progress: func(done, total int, what string) {
		if done != len(told) || total != 4 {
			t.Errorf("%s is announced after %d of %d, want %d of 4", what, done, total, len(told))
		}
		told = append(told, what)
	}})
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{aProduct, "train/small", "sample/small", "grpo/small"}; !slices.Equal(told, want) {
		t.Errorf("measured %q, want %q", told, want)
	}
	if len(r.Kernels) != 1 || len(r.Train) != 1 || len(r.Sample) != 1 || len(r.GRPO) != 1 {
		t.Fatalf("the report has other entries than one of each kind: %+v", r)
	}
	k, tr, s, g := r.Kernels[0], r.Train[0], r.Sample[0], r.GRPO[0]
	if r.Threads != threads || r.Kernel != kernel.Name() || k.M != 256 || k.N != 256 || k.K != 64 || k.Trans != "nn" ||
		tr.Model != "small" || s.Model != "small" || g.Model != "small" {
		t.Errorf("the report is about something else: %+v", r)
	}
	perSecond := 1 / tick.Seconds()
	peak := threads * kernel.Spin(1<<10) * perSecond
	// Products are repeated until they have about 2e8 operations, 23 times. A token costs 2 x 30,720 operations in small's
	// matrices and 4 x 48 for each position that it sees: 20.5 on average in training, 20 in sampling.
	const product, train, sample = 23 * threads * 2 * 256 * 256 * 64, 128 * 40 * 3 * (61440 + 192*20.5), 256 * 39 * (61440 + 192*20)
	for _, n := range []struct {
		name      string
		got, want float64
	}{
		{"peak", r.PeakGFLOPS, peak / 1e9},
		{"kernel", k.GFLOPS, product * perSecond / 1e9},
		{"share of kernel", k.Share, product * perSecond / peak},
		{"train", tr.TokensPerSec, 128 * 40 * perSecond},
		{"share of train", tr.Share, train * perSecond / peak},
		{"sample", s.TokensPerSec, 256 * 24 * perSecond},
		{"share of sample", s.Share, sample * perSecond / peak},
		{"grpo", g.StepsPerSec, perSecond},
	} {
		if !(math.Abs(n.got-n.want) <= 1e-9*n.want) {
			t.Errorf("%s is %g, want %g", n.name, n.got, n.want)
		}
	}
	if tr.Allocs != 0 {
		t.Errorf("a training step allocates %g times in the steady state, want never", tr.Allocs)
	}
	if !(s.Allocs < .01) {
		t.Errorf("a sampled token costs %g allocations, want less than .01", s.Allocs)
	}
}

// Programs read these names.
func TestReportJSON(t *testing.T) {
	const want = `{"cpu":"c","threads":2,"kernel":"avx2","peak_gflops":1,` +
		`"kernels":[{"m":3,"n":4,"k":5,"trans":"tn","gflops":6,"share":0.5}],` +
		`"train":[{"model":"small","tokens_per_s":7,"share":0.25,"allocs":8}],` +
		`"sample":[{"model":"large","tokens_per_s":9,"allocs":10}],` +
		`"grpo":[{"model":"wide","steps_per_s":11}]}`
	got, err := json.Marshal(Report{"c", 2, "avx2", 1, []Kernel{{3, 4, 5, "tn", 6, .5}}, []Train{{"small", 7, .25, 8}},
		[]Sample{{"large", 9, .75, 10}}, []GRPO{{"wide", 11}}})
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("the report is\n%s, want\n%s", got, want)
	}
	// What was not measured is an empty list, not null.
	r, err := Run(t.Context(), Options{Threads: 1, Seconds: .001, Only: []string{aProduct}, Now: ticks(tick)})
	if err != nil {
		t.Fatal(err)
	}
	if got, err = json.Marshal(r); err != nil {
		t.Fatal(err)
	}
	if want := `"train":[],"sample":[],"grpo":[]}`; !strings.HasSuffix(string(got), want) {
		t.Errorf("the report ends otherwise than in %s: %s", want, got)
	}
}

func TestJobs(t *testing.T) {
	perModel := func(part string) []string { return []string{part + "/small", part + "/large", part + "/wide"} }
	var kernels []string
	for _, p := range products() {
		kernels = append(kernels, "kernel/"+p.String())
	}
	if unique := slices.Compact(slices.Sorted(slices.Values(kernels))); len(kernels) != 23 || len(unique) != 23 {
		t.Errorf("there are %d products and %d names, want 23", len(kernels), len(unique))
	}
	for _, tc := range []struct {
		only, want []string
	}{
		{nil, slices.Concat(kernels, perModel("train"), perModel("sample"), perModel("grpo"))},
		{Parts, slices.Concat(kernels, perModel("train"), perModel("sample"), perModel("grpo"))},
		{[]string{"kernel"}, kernels},
		{[]string{"grpo", "train"}, slices.Concat(perModel("train"), perModel("grpo"))},
		{[]string{"sample/wide", "sample", "sample/wide"}, perModel("sample")},
	} {
		jobs, err := (&Options{Only: tc.only}).jobs()
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, j := range jobs {
			got = append(got, j.what)
		}
		if !slices.Equal(got, tc.want) {
			t.Errorf("Only %q measures %q, want %q", tc.only, got, tc.want)
		}
	}
}

func TestUnknown(t *testing.T) {
	for _, name := range []string{"nonsense", "small", "train/", "train/huge", "Train", ""} {
		r, err := Run(t.Context(), Options{Threads: 1, Seconds: .001, Only: []string{"train", name}, Now: ticks(tick), Progress: func(int, int, string) {
			t.Errorf("with %q something is measured", name)
		}})
		var unknown *UnknownError
		if r != nil || !errors.As(err, &unknown) || unknown.Name != name {
			t.Errorf("Only %q gives %v and the error %v, want an UnknownError", name, r, err)
		}
	}
	const want = `nothing is called "x": choose from kernel, train, sample, grpo, or one model of small, large, wide, as in train/small`
	if got := (&UnknownError{"x"}).Error(); got != want {
		t.Errorf("the error is %q, want %q", got, want)
	}
}

// Ctrl-C ends even a measurement that would go on for an hour, and half a measurement is none.
func TestRunCancelled(t *testing.T) {
	for _, what := range []string{aProduct, "train/small", "sample/small", "grpo/small"} {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		clock, readings := ticks(time.Second), 0
		r, err := Run(ctx, Options{Threads: 2, Seconds: 3600, Only: []string{what}, Now: func() time.Time {
			if readings++; readings == 30 { // some blocks or steps after calibration
				cancel()
			}
			return clock()
		}})
		if r != nil || !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: cancelled, the run returns %v and the error %v, want context.Canceled", what, r, err)
		}
		if readings > 60 {
			t.Errorf("%s: the clock is read %d times more", what, readings-30)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := Run(ctx, Options{Threads: 1, Seconds: .001, Now: ticks(tick), Progress: func(int, int, string) { t.Error("something is measured") }})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled before, the run returns the error %v, want context.Canceled", err)
	}
}

// The operations are those of the model itself: two for each element of a matrix that a token is multiplied with, and two
// for each element of the keys and of the values that it sees.
func TestForwardFlops(t *testing.T) {
	for _, mo := range models {
		made := mo.new()
		matrices := 0
		for _, x := range made.Tensors() {
			if len(x.Shape) == 2 && x.Name != "wte.weight" && x.Name != "wpe.weight" {
				matrices += len(x.Data)
			}
		}
		c := made.Config
		for _, seen := range []float64{0, 1, 20.5} {
			attention := float64(c.Layers*c.Heads) * (2*float64(c.HeadWidth())*seen + 2*float64(c.HeadWidth())*seen)
			if got, want := mo.forwardFlops(seen), 2*float64(matrices)+attention; got != want {
				t.Errorf("a token of %s that sees %g positions costs %g operations, want %g", mo.name, seen, got, want)
			}
		}
	}
}

// Steps of reinforcement learning are the same work only if no completion ends early.
func TestEndless(t *testing.T) {
	pool := traintest.Pool(t, 2)
	for _, mo := range models {
		requests := make([]decode.Request, 64)
		for i := range requests {
			requests[i] = decode.Request{Prompt: []int32{int32(i)}, MaxTokens: sampled, Temperature: 1, Stop: []int32{end}, Seed: uint64(i)}
		}
		count := func(s *decode.Sampler) (ended int) {
			results, err := s.Sample(t.Context(), requests)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range results {
				if r.Finish != llm.FinishLength {
					ended++
				}
			}
			return ended
		}
		if n := count(decode.NewSampler(endless(mo.new()), pool)); n != 0 {
			t.Errorf("%d completions of the endless %s end early", n, mo.name)
		}
		if n := count(decode.NewSampler(mo.new(), pool)); n == 0 {
			t.Errorf("no completion of %s ends early as it is: the test would not see a difference", mo.name)
		}
	}
}

func TestMedian(t *testing.T) {
	for _, tc := range []struct {
		x    []float64
		want float64
	}{{nil, 0}, {[]float64{3}, 3}, {[]float64{9, 1, 2}, 2}, {[]float64{4, 1, 100, 2}, 3}} {
		before := slices.Clone(tc.x)
		if got := median(tc.x); got != tc.want || !reflect.DeepEqual(tc.x, before) {
			t.Errorf("the median of %v is %g and leaves %v, want %g", before, got, tc.x, tc.want)
		}
	}
}
