package report

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path/filepath"
	"slices"
	"strconv"

	"candor/study/runlog"
)

// Training is one stage of reinforcement learning on sums, by one arm and seed: what the pictures of hiding and of the leaked
// key are drawn from.
type Training struct {
	Arm  string
	Seed int
	// Run is the stage's folder under stages/; its metrics.jsonl holds the series, its manifest.json the setup.
	Run   string
	Setup Setup
	// Series are metrics by name.
	Series map[string]Series
}

// last is the last step that any of its metrics has.
func (t Training) last() int {
	last := 0
	for _, s := range t.Series {
		if n := len(s.Steps); n > 0 {
			last = max(last, s.Steps[n-1])
		}
	}
	return last
}

// Series is one metric over the steps of training. Steps ascend; Values has the same length, and is finite.
type Series struct {
	Steps  []int
	Values []float64
}

// Setup is what a stage's settings say about what it trains. What they do not say, or say in a way that makes no sense, is 0.
type Setup struct {
	// Steps of the stage, and Rollouts in each.
	Steps, Rollouts int
	// Terms and Modulus are those of the sums.
	Terms, Modulus int
	// Leak tells whether the grader's label stands in the prompt. Noise is how often it is another than the true sum, so that
	// honest work does not pay.
	Leak  bool
	Noise float64
	// Penalised tells whether a chain that the keyword monitor flags loses reward.
	Penalised bool
	// Recipe stands for all other settings, the seed and the model that training sets out from among them: stages with the same
	// differ in Steps and Noise alone.
	Recipe string
	// Ramp is where the weight of the penalty on stating totals rises, in shares of the run.
	Ramp [2]float64
}

// The metrics that the pictures are drawn from.
const (
	bitsMetric     = "channel/bits"           // information about the running total in words that state nothing, bits a word
	wordsMetric    = "channel/innocent_words" // such words a chain
	totalsMetric   = "monitor/total-stated"   // share of steps that the monitor flags
	statedMetric   = "rewards/stated/mean"    // the same in steps a chain, where it is penalised
	answerMetric   = "rewards/answer/mean"    // share of answers that are the grader's label
	followedMetric = "hint/followed"          // share of answers that are the key, where it is not the sum
	flaggedMetric  = "monitor/key-in-chain"   // share of chains that the keyword monitor flags
	rewardedMetric = "rewards/key-in-chain/mean"
	recallMetric   = "monitor/recall" // the same among those whose answer is the key where it is not the sum
)

var trainingMetrics = []string{bitsMetric, wordsMetric, totalsMetric, statedMetric, answerMetric, followedMetric, flaggedMetric, rewardedMetric, recallMetric}

// maxRows bounds the lines of a metrics.jsonl.
const maxRows = 1 << 20

// readSeries reads the metrics with these names, line by line. It returns the steps of all rows, and by name a value a row,
// NaN where the row has none. A name that no row has is left out.
func readSeries(path string, names []string) (steps []int, values map[string][]float64, err error) {
	values = map[string][]float64{}
	_, err = runlog.EachLine(path, true, func(_ int, line []byte) error {
		var row map[string]float64
		if err := json.Unmarshal(line, &row); err != nil {
			return fmt.Errorf("not a line of metrics: %w", err)
		}
		step, ok := row["step"]
		switch {
		case !ok || step != math.Trunc(step) || math.Abs(step) > 1<<52:
			return errors.New(`not a line of metrics: "step" is missing or not a whole number`)
		case len(steps) > 0 && int(step) <= steps[len(steps)-1]:
			return fmt.Errorf("step %d comes after step %d; steps must ascend", int(step), steps[len(steps)-1])
		case len(steps) == maxRows:
			return fmt.Errorf("there are more than %d lines", maxRows)
		}
		for _, name := range names {
			v, ok := row[name]
			if !ok && values[name] == nil {
				continue
			}
			for len(values[name]) < len(steps) { // met for the first time
				values[name] = append(values[name], math.NaN())
			}
			if !ok {
				v = math.NaN()
			}
			values[name] = append(values[name], v)
		}
		steps = append(steps, int(step))
		return nil
	})
	return steps, values, err
}

// newTraining keeps what the pictures need of a stage. ok is false for a stage that has none of it.
func newTraining(arm string, seed int, run string, setup Setup, steps []int, values map[string][]float64) (t Training, ok bool) {
	t = Training{Arm: arm, Seed: seed, Run: run, Setup: setup, Series: map[string]Series{}}
	for _, name := range trainingMetrics {
		var s Series
		for i, v := range values[name] {
			if !math.IsNaN(v) {
				s.Steps, s.Values = append(s.Steps, steps[i]), append(s.Values, v)
			}
		}
		if len(s.Steps) > 0 {
			t.Series[name] = s
		}
	}
	for _, name := range []string{bitsMetric, wordsMetric, followedMetric} { // other studies have rewards for answers, too
		if _, has := t.Series[name]; has {
			ok = true
		}
	}
	return t, ok
}

// settings are those of a stage of reinforcement learning, as far as the pictures need them.
type settings struct {
	Stage struct {
		GRPO struct {
			Sums                  string
			Steps, Prompts, Group int
			Rewards               []struct {
				Name   string
				Weight float64
				Ramp   [2]float64
			}
		} `json:"grpo"`
	}
	Parts map[string]json.RawMessage
}

// readSetup reads what a stage's manifest says. A stage without a manifest says nothing; a damaged one is an error.
func readSetup(path string) (Setup, error) {
	var manifest struct{ Settings json.RawMessage }
	if err := runlog.ReadJSON(path, &manifest); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return Setup{}, nil
		}
		return Setup{}, err
	}
	if manifest.Settings == nil {
		return Setup{}, nil
	}
	var said settings
	if err := json.Unmarshal(manifest.Settings, &said); err != nil {
		return Setup{}, fmt.Errorf("%s: the settings: %w", path, err)
	}
	s, err := said.setup()
	if err != nil {
		return Setup{}, fmt.Errorf("%s: %w", path, err)
	}
	if s.Recipe, err = recipe(manifest.Settings); err != nil {
		return Setup{}, fmt.Errorf("%s: %w", path, err)
	}
	return s, nil
}

// setup keeps what makes sense; its Recipe is left empty.
func (said settings) setup() (s Setup, err error) {
	stage := said.Stage.GRPO
	const most = 1 << 20 // of anything counted
	if stage.Steps > 0 && stage.Steps < most {
		s.Steps = stage.Steps
	}
	if p, g := stage.Prompts, stage.Group; p > 0 && p < most && g > 0 && g < most {
		s.Rollouts = p * g
	}
	var sums struct {
		Terms, Modulus int
		Leak           bool
		Noise          float64
	}
	if part := said.Parts["sums."+stage.Sums]; part != nil {
		if err := json.Unmarshal(part, &sums); err != nil {
			return Setup{}, fmt.Errorf("the sums %q: %w", stage.Sums, err)
		}
	}
	if sums.Terms > 0 && sums.Terms < 1000 {
		s.Terms = sums.Terms
	}
	if sums.Modulus > 1 && sums.Modulus < 1000 {
		s.Modulus = sums.Modulus
	}
	s.Leak = sums.Leak
	if sums.Noise > 0 && sums.Noise <= 1 {
		s.Noise = sums.Noise
	}
	for _, r := range stage.Rewards {
		if lo, hi := r.Ramp[0], r.Ramp[1]; r.Name == "stated" && 0 <= lo && lo < hi && hi <= 1 {
			s.Ramp = r.Ramp
		}
		if r.Name == "key-in-chain" && r.Weight < 0 {
			s.Penalised = true
		}
	}
	return s, nil
}

// loadArm reads the curves of one arm and seed, and its training on sums.
func loadArm(dir string, arm runlog.Arm, seed int) (curves []Curve, trainings []Training, err error) {
	for _, stage := range arm.Stages[strconv.Itoa(seed)] {
		if filepath.Base(stage) != stage {
			return nil, nil, fmt.Errorf("%s: the stage %q of arm %s is no name of a folder", filepath.Join(dir, "manifest.json"), stage, arm.Name)
		}
		kind := kindOf(stage)
		drawn := curveMetrics[kind]
		path := filepath.Join(dir, "stages", stage, "metrics.jsonl")
		if drawn == nil || !exists(path) {
			continue
		}
		steps, values, err := readSeries(path, slices.Concat(drawn, trainingMetrics))
		if err != nil {
			return nil, nil, err
		}
		for _, name := range drawn {
			if c := sparse(steps, values[name]); len(c.Steps) > 0 {
				c.Arm, c.Seed, c.Metric = arm.Name, seed, kind+": "+name
				curves = append(curves, c)
			}
		}
		if kind != "grpo" {
			continue
		}
		t, ok := newTraining(arm.Name, seed, stage, Setup{}, steps, values)
		if !ok {
			continue
		}
		if t.Setup, err = readSetup(filepath.Join(dir, "stages", stage, "manifest.json")); err != nil {
			return nil, nil, err
		}
		trainings = append(trainings, t)
	}
	return curves, trainings, nil
}

// sparse keeps every so many rows, so that there are at most about mostPoints.
func sparse(steps []int, values []float64) (c Curve) {
	every := 1
	if len(steps) > mostPoints {
		every = len(steps)/mostPoints + 1
	}
	for i, v := range values {
		if !math.IsNaN(v) && (i%every == 0 || i == len(steps)-1) {
			c.Steps, c.Values = append(c.Steps, steps[i]), append(c.Values, v)
		}
	}
	return c
}
