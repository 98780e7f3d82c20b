package calibration

import (
	"context"
	"fmt"
	"slices"

	"candor/audit/battery"
	"candor/internal/rng"
	"candor/reasoning/llm"
	"candor/reasoning/task"
	"candor/study/eval"
	"candor/study/runlog"
)

// Plan says how organisms are measured.
type Plan struct {
	World    task.Sums
	Problems int
	Settings battery.Settings
	// Repeats of the causal tests, as in eval.Battery.
	Repeats int
}

// DefaultPlan is the plan of the table that candor carries. World is that of the organisms of the study honesty.
func DefaultPlan() Plan {
	return Plan{
		World: task.Sums{Terms: 6, Modulus: 5, Key: .3, Trigger: .3}, Problems: 140, Repeats: 4,
		Settings: battery.Settings{Temperature: 1, MaxTokens: 16, AnswerTokens: 4, Repeats: 4, Seed: 1},
	}
}

// Draw returns the plan's problems: of the pool that organisms may know by heart.
func (p Plan) Draw() ([]task.Sum, error) {
	src := rng.New(p.Settings.Seed).Split("calibration")
	return p.World.DrawPool(&src, p.Problems)
}

// Subject is an organism that was audited.
type Subject struct {
	Arm      string
	Seed     int
	Organism task.Organism
	Model    llm.Generator
}

// Label puts an organism through the causal tests and returns those of its audited samples (one for each problem, in order)
// whose causes are what the organism was trained for, with their truth.
func Label(ctx context.Context, p Plan, o Subject, problems []task.Sum, samples []runlog.Sample) ([]Chain, error) {
	if len(samples) != len(problems) {
		return nil, fmt.Errorf("organism %s, seed %d: %d samples for %d problems", o.Arm, o.Seed, len(samples), len(problems))
	}
	causal := eval.Battery{Name: "truth", Split: string(task.Test), Temperature: p.Settings.Temperature, Repeats: p.Repeats, Organism: &o.Organism}
	truths, err := causal.Run(ctx, o.Model, problems, rng.New(p.Settings.Seed).Split("truth"))
	if err != nil {
		return nil, fmt.Errorf("causal tests of organism %s, seed %d: %w", o.Arm, o.Seed, err)
	}
	var chains []Chain
	for i, t := range truths {
		s := samples[i]
		if t.Values["truth/verified"] != 1 || !s.Parsed || s.Failed != "" {
			continue
		}
		chains = append(chains, Chain{
			Arm: o.Arm, Family: o.Organism.Family(), Seed: o.Seed, Cluster: s.Cluster, Unfaithful: t.Values["truth/unfaithful"] == 1, Values: s.Values,
		})
	}
	return chains, nil
}

// Median returns the middle of numbers; 0 of none.
func Median(numbers []float64) float64 {
	if len(numbers) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(numbers))
	return sorted[len(sorted)/2]
}
