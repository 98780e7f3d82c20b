// Package optim updates flat parameters from flat gradients: AdamW (Loshchilov and Hutter 2019) with clipping by the global
// norm and a schedule of the learning rate. It agrees with torch.optim.AdamW after torch.nn.utils.clip_grad_norm_.
//
//	opt, err := optim.New(cfg, steps, len(model.Flat()), model.Decayed())
//	norm, lr := opt.Step(model.Flat(), trainer.Grad)
//
// The learning rate of step t = 0, 1, ..., steps-1 is LR times a factor. During the first Warmup steps the factor is
// (t+1)/Warmup. After them, with p = (t-Warmup)/(steps-Warmup) and F = FinalShare,
//
//	constant   1
//	linear     1 - (1-F) p
//	cosine     F + (1-F) (1 + cos(pi p))/2
//
// and onecycle (Smith and Topin 2018) rises from 1/25 in equal steps to 1 over the first Warmup steps, a tenth of all if
// Warmup is 0, then falls like cosine. Past the planned steps p stays 1.
package optim

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"candor/engine/kernel"
)

// Schedules lists the valid schedules.
var Schedules = []string{"constant", "linear", "cosine", "onecycle"}

// oneCycleStart is the factor that onecycle starts from.
const oneCycleStart = 1. / 25

// Config holds the settings of an optimizer; [Default] gives usual ones.
type Config struct {
	LR          float64 `yaml:"lr" json:"lr"`                     // peak learning rate, above 0
	Beta1       float64 `yaml:"beta1" json:"beta1"`               // decay of the first moment, in [0,1)
	Beta2       float64 `yaml:"beta2" json:"beta2"`               // decay of the second moment, in [0,1)
	Eps         float64 `yaml:"eps" json:"eps"`                   // added to the root of the second moment, above 0
	WeightDecay float64 `yaml:"weight_decay" json:"weight_decay"` // share of a matrix taken off per step at learning rate 1
	Clip        float64 `yaml:"clip" json:"clip"`                 // largest norm of the whole gradient; 0 does not clip
	Schedule    string  `yaml:"schedule" json:"schedule"`         // one of Schedules
	Warmup      int     `yaml:"warmup" json:"warmup"`             // steps
	FinalShare  float64 `yaml:"final_share" json:"final_share"`   // of LR, where the schedule ends; in [0,1]
}

// Default returns AdamW's usual settings for small GPTs at the given learning rate: betas .9 and .98, eps 1e-8, no weight
// decay, clipping at norm 1, a constant learning rate.
func Default(lr float64) Config {
	return Config{LR: lr, Beta1: .9, Beta2: .98, Eps: 1e-8, Clip: 1, Schedule: "constant"}
}

// Validate says which setting is not possible and what would be.
func (c Config) Validate() error {
	in := func(x, lo, hi float64) bool { return x >= lo && x <= hi } // false for NaN
	switch {
	case !(c.LR > 0) || math.IsInf(c.LR, 0):
		return fmt.Errorf("lr is %g: choose a number above 0", c.LR)
	case !in(c.Beta1, 0, 1) || c.Beta1 == 1:
		return fmt.Errorf("beta1 is %g: choose a number from 0 to below 1", c.Beta1)
	case !in(c.Beta2, 0, 1) || c.Beta2 == 1:
		return fmt.Errorf("beta2 is %g: choose a number from 0 to below 1", c.Beta2)
	case !in(c.Eps, math.SmallestNonzeroFloat32, 1):
		return fmt.Errorf("eps is %g: choose a number above 0, such as 1e-8", c.Eps)
	case !in(c.WeightDecay, 0, math.MaxFloat32):
		return fmt.Errorf("weight_decay is %g: choose 0 or more", c.WeightDecay)
	case !in(c.Clip, 0, math.MaxFloat32):
		return fmt.Errorf("clip is %g: choose a norm above 0, or 0 for none", c.Clip)
	case !slices.Contains(Schedules, c.Schedule):
		return fmt.Errorf("schedule is %q: choose from %s", c.Schedule, strings.Join(Schedules, ", "))
	case c.Warmup < 0:
		return fmt.Errorf("warmup is %d: choose 0 steps or more", c.Warmup)
	case !in(c.FinalShare, 0, 1):
		return fmt.Errorf("final_share is %g: choose a share from 0 to 1", c.FinalShare)
	}
	return nil
}

// Rate returns the learning rate of step t = 0, 1, ... out of steps.
func (c Config) Rate(t, steps int) float64 {
	warmup, start := c.Warmup, 0.
	if c.Schedule == "onecycle" {
		start = oneCycleStart
		if warmup == 0 {
			warmup = (steps + 9) / 10
		}
	}
	if t < warmup {
		return c.LR * (start + (1-start)*float64(t+1)/float64(warmup))
	}
	p := 1.
	if t < steps {
		p = float64(t-warmup) / float64(steps-warmup)
	}
	switch c.Schedule {
	case "linear":
		return c.LR * (1 - (1-c.FinalShare)*p)
	case "cosine", "onecycle":
		return c.LR * (c.FinalShare + (1-c.FinalShare)*(1+math.Cos(math.Pi*p))/2)
	default:
		return c.LR
	}
}

// State is what an optimizer remembers between steps; a checkpoint stores it.
type State struct {
	M, V []float32 // moments, one number for each parameter
	Step int       // steps done
}

// AdamW is an optimizer of one flat slice of parameters.
type AdamW struct {
	// State may be replaced between steps by one of the same size, to resume.
	State State

	cfg     Config
	steps   int
	regions []region
}

// region is a range of parameters that are all decayed or all not.
type region struct {
	start, end int
	decay      bool
}

// New returns an optimizer for size parameters and a schedule over steps. decayed lists the ranges [start,end) to which
// weight decay applies, ascending.
func New(cfg Config, steps, size int, decayed [][2]int) (*AdamW, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("make an optimizer: %w", err)
	}
	if steps < 1 {
		return nil, fmt.Errorf("make an optimizer: a schedule of %d steps: choose at least 1", steps)
	}
	a := &AdamW{cfg: cfg, steps: steps, State: State{M: make([]float32, size), V: make([]float32, size)}}
	at := 0
	for _, r := range decayed {
		if r[0] < at || r[1] < r[0] || r[1] > size {
			return nil, fmt.Errorf("make an optimizer: range [%d,%d) of decayed parameters is out of order or beyond %d", r[0], r[1], size)
		}
		a.regions = append(a.regions, region{at, r[0], false}, region{r[0], r[1], true})
		at = r[1]
	}
	a.regions = append(a.regions, region{at, size, false})
	return a, nil
}

// Step updates params from their gradient and returns the gradient's norm before clipping and the learning rate used. If
// the norm is not finite, nothing is changed and the step does not count: the caller should stop and say so.
func (a *AdamW) Step(params, grad []float32) (norm, lr float64) {
	s := &a.State
	if len(params) != len(grad) || len(params) != len(s.M) || len(params) != len(s.V) {
		panic(fmt.Sprintf("optim: %d parameters, %d gradients, moments of %d and %d", len(params), len(grad), len(s.M), len(s.V)))
	}
	lr = a.cfg.Rate(s.Step, a.steps)
	norm = math.Sqrt(kernel.SumSquares(grad))
	if math.IsNaN(norm) || math.IsInf(norm, 0) {
		return norm, lr
	}
	s.Step++
	beta1, beta2 := float32(a.cfg.Beta1), float32(a.cfg.Beta2)
	step := kernel.AdamWStep{
		LR: float32(lr), Beta1: beta1, Beta2: beta2, Eps: float32(a.cfg.Eps), GradScale: 1,
		Correct1: float32(1 - math.Pow(float64(beta1), float64(s.Step))),
		Correct2: float32(1 - math.Pow(float64(beta2), float64(s.Step))),
	}
	if a.cfg.Clip > 0 && norm > a.cfg.Clip {
		step.GradScale = float32(a.cfg.Clip / (norm + 1e-6)) // the 1e-6 is PyTorch's
	}
	for _, r := range a.regions {
		step.WeightDecay = 0
		if r.decay {
			step.WeightDecay = float32(a.cfg.WeightDecay)
		}
		kernel.AdamW(params[r.start:r.end], grad[r.start:r.end], s.M[r.start:r.end], s.V[r.start:r.end], step)
	}
	return norm, lr
}
