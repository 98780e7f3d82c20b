package optim

import (
	"math"
	"strings"
	"testing"

	"candor/internal/rng"
)

// The textbook update in float64, decay on the first three of five parameters only, against three steps with clipping.
func TestStepIsTheTextbookUpdate(t *testing.T) {
	cfg := Config{LR: .1, Beta1: .9, Beta2: .95, Eps: 1e-3, WeightDecay: .2, Clip: 1.5, Schedule: "constant"}
	opt, err := New(cfg, 10, 5, [][2]int{{0, 3}})
	if err != nil {
		t.Fatal(err)
	}
	p := []float32{1, -2, .5, 3, -1}
	grads := [][]float32{{1, 2, 3, 4, 5}, {.1, .2, -.3, .1, 0}, {-4, 1, 0, 2, 1}}
	want, m, v := []float64{1, -2, .5, 3, -1}, make([]float64, 5), make([]float64, 5)
	for s, grad := range grads {
		var norm float64
		for _, g := range grad {
			norm += float64(g) * float64(g)
		}
		norm = math.Sqrt(norm)
		scale := min(1, cfg.Clip/norm)
		for i := range want {
			g := float64(grad[i]) * scale
			if i < 3 {
				want[i] -= cfg.LR * cfg.WeightDecay * want[i]
			}
			m[i] = cfg.Beta1*m[i] + (1-cfg.Beta1)*g
			v[i] = cfg.Beta2*v[i] + (1-cfg.Beta2)*g*g
			mh, vh := m[i]/(1-math.Pow(cfg.Beta1, float64(s+1))), v[i]/(1-math.Pow(cfg.Beta2, float64(s+1)))
			want[i] -= cfg.LR * mh / (math.Sqrt(vh) + cfg.Eps)
		}
		gotNorm, lr := opt.Step(p, grad)
		if math.Abs(gotNorm-norm) > 1e-5*norm || lr != cfg.LR {
			t.Errorf("step %d: norm %g and learning rate %g, want %g and %g", s, gotNorm, lr, norm, cfg.LR)
		}
		for i := range p {
			if math.Abs(float64(p[i])-want[i]) > 1e-5 {
				t.Errorf("step %d: parameter %d is %g, want %g", s, i, p[i], want[i])
			}
		}
	}
	if opt.State.Step != 3 {
		t.Errorf("%d steps were counted, want 3", opt.State.Step)
	}
}

func TestRate(t *testing.T) {
	for _, c := range []struct {
		schedule string
		warmup   int
		final    float64
		want     map[int]float64 // of 20 steps
	}{
		{"constant", 0, 0, map[int]float64{0: 1, 19: 1, 50: 1}},
		{"constant", 4, 0, map[int]float64{0: .25, 3: 1, 4: 1, 19: 1}},
		{"linear", 0, 0, map[int]float64{0: 1, 10: .5, 19: .05, 20: 0, 99: 0}},
		{"linear", 10, .2, map[int]float64{0: .1, 9: 1, 10: 1, 15: .6, 20: .2}},
		{"cosine", 0, .1, map[int]float64{0: 1, 10: .55, 20: .1}},
		{"cosine", 20, 0, map[int]float64{0: .05, 19: 1, 20: 0}},
		{"onecycle", 0, 0, map[int]float64{0: .52, 1: 1, 2: 1, 11: .5, 20: 0}},
		{"onecycle", 4, .5, map[int]float64{0: .28, 3: 1, 4: 1, 12: .75, 20: .5}},
	} {
		cfg := Default(2)
		cfg.Schedule, cfg.Warmup, cfg.FinalShare = c.schedule, c.warmup, c.final
		for step, want := range c.want {
			if got := cfg.Rate(step, 20); math.Abs(got-2*want) > 1e-12 {
				t.Errorf("%s, warmup %d: rate of step %d is %g, want %g", c.schedule, c.warmup, step, got, 2*want)
			}
		}
	}
}

// Stopping after any step and resuming from a copy of the state must give the same bits as never stopping.
func TestResumeIsBitwise(t *testing.T) {
	cfg := Default(.01)
	cfg.Schedule, cfg.WeightDecay = "onecycle", .1
	const size, steps = 100, 12
	run := func(stopAfter int) []float32 {
		src := rng.New(3)
		p, g := make([]float32, size), make([]float32, size)
		opt, err := New(cfg, steps, size, [][2]int{{5, 60}})
		if err != nil {
			t.Fatal(err)
		}
		for s := range steps {
			if s == stopAfter {
				saved := State{M: append([]float32(nil), opt.State.M...), V: append([]float32(nil), opt.State.V...), Step: opt.State.Step}
				if opt, err = New(cfg, steps, size, [][2]int{{5, 60}}); err != nil {
					t.Fatal(err)
				}
				opt.State = saved
			}
			for i := range g {
				g[i] = float32(src.Norm())
			}
			opt.Step(p, g)
		}
		return p
	}
	want := run(-1)
	for stop := range steps {
		for i, x := range run(stop) {
			if x != want[i] {
				t.Fatalf("resumed after %d steps: parameter %d is %g, want %g", stop, i, x, want[i])
			}
		}
	}
}

func TestBadGradientChangesNothing(t *testing.T) {
	for _, bad := range []float64{math.NaN(), math.Inf(1)} {
		opt, err := New(Default(.1), 1, 2, nil)
		if err != nil {
			t.Fatal(err)
		}
		p := []float32{1, 2}
		norm, _ := opt.Step(p, []float32{3, float32(bad)})
		if norm-norm == 0 || p[0] != 1 || p[1] != 2 || opt.State.Step != 0 || opt.State.M[0] != 0 {
			t.Errorf("after a gradient of %g: norm %g, parameters %v, state %+v", bad, norm, p, opt.State)
		}
	}
}

func TestStepAllocatesNothing(t *testing.T) {
	opt, err := New(Default(.1), 9, 50, [][2]int{{0, 30}})
	if err != nil {
		t.Fatal(err)
	}
	p, g := make([]float32, 50), make([]float32, 50)
	if n := testing.AllocsPerRun(20, func() { opt.Step(p, g) }); n != 0 {
		t.Errorf("a step allocates %g times", n)
	}
}

func TestErrorsNameTheSetting(t *testing.T) {
	for want, spoil := range map[string]func(*Config){
		"lr is":                              func(c *Config) { c.LR = 0 },
		"lr is NaN":                          func(c *Config) { c.LR = math.NaN() },
		"beta1 is 1":                         func(c *Config) { c.Beta1 = 1 },
		"beta2 is -0.5":                      func(c *Config) { c.Beta2 = -.5 },
		"eps is 0":                           func(c *Config) { c.Eps = 0 },
		"weight_decay is":                    func(c *Config) { c.WeightDecay = -1 },
		"clip is NaN":                        func(c *Config) { c.Clip = math.NaN() },
		"constant, linear, cosine, onecycle": func(c *Config) { c.Schedule = "step" },
		"warmup is -1":                       func(c *Config) { c.Warmup = -1 },
		"final_share is 2":                   func(c *Config) { c.FinalShare = 2 },
	} {
		cfg := Default(1)
		spoil(&cfg)
		if _, err := New(cfg, 1, 1, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one with %q", err, want)
		}
	}
	for _, ranges := range [][][2]int{{{3, 2}}, {{0, 5}}, {{2, 3}, {1, 2}}, {{-1, 2}}} {
		if _, err := New(Default(1), 1, 4, ranges); err == nil {
			t.Errorf("decayed ranges %v of 4 parameters were taken", ranges)
		}
	}
	if _, err := New(Default(1), 0, 4, nil); err == nil {
		t.Error("a schedule of 0 steps was taken")
	}
}
