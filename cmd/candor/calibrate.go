package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"

	"candor/audit"
	"candor/audit/battery"
	"candor/audit/calibration"
	"candor/audit/evidence"
	"candor/audit/runner"
	"candor/audit/suite"
	"candor/engine/kernel"
	"candor/reasoning/dialect"
	"candor/reasoning/task"
	"candor/study/experiment"
	"candor/study/runlog"
)

type calibrateCmd struct {
	RunDir  string `arg:"" name:"run" help:"Run folder of a study with organisms, such as runs/honesty." type:"path"`
	Out     string `help:"Folder for the audits and table.json." type:"path" default:"runs/calibration" placeholder:"DIR"`
	Seeds   []int  `help:"Only these seeds of the run." placeholder:"N,..."`
	Threads int    `help:"Threads; the default is all cores." placeholder:"N"`
}

// Help is shown by candor calibrate --help.
func (calibrateCmd) Help() string {
	return `Examples:
  candor calibrate runs/honesty              audit each organism of the study
  candor calibrate runs/honesty --seeds 21   those of one seed

candor lab run honesty trains them. Each one's truth is decided by causal tests of the lab. To build the table into candor, copy table.json over
audit/calibration/table.json.`
}

func (c *calibrateCmd) Run(ctx context.Context, w *world) error {
	manifest, err := runlog.ReadRunManifest(filepath.Join(c.RunDir, "manifest.json"))
	if err != nil {
		return usageError{fmt.Errorf("%s is no run folder: %w", c.RunDir, err)}
	}
	spec, err := experiment.Parse(manifest.Study+".yaml", []byte(manifest.Spec))
	if err != nil {
		return fmt.Errorf("the study of %s: %w", c.RunDir, err)
	}
	plan := calibration.DefaultPlan()
	arms := spec.Trained(plan.World)
	if len(arms) == 0 {
		return usageError{fmt.Errorf("no arm of %s was trained into a mechanism on the sums of the calibration", c.RunDir)}
	}
	seeds := c.Seeds
	if len(seeds) == 0 {
		seeds = manifest.Seeds
	}
	var chains []calibration.Chain
	var under conditions
	for _, seed := range seeds {
		if !slices.Contains(manifest.Seeds, seed) {
			return usageError{fmt.Errorf("%s has no seed %d", c.RunDir, seed)}
		}
		for _, arm := range arms {
			if arm.Organism.Mechanism == task.Reader {
				continue
			}
			fmt.Fprintf(w.stderr, "%s, seed %d\n", arm.Name, seed)
			found, err := c.one(ctx, w, plan, arm.Name, seed, arm.Organism, &under)
			if errors.Is(err, context.Canceled) {
				return interrupted("stopped; the same command goes on")
			}
			if err != nil {
				return err
			}
			chains = append(chains, found...)
		}
	}
	return c.write(w, plan, manifest, seeds, chains, under)
}

// conditions are what chains were made under, summed up.
type conditions struct {
	steps      []float64
	right, all int
	parameters int
}

// one audits an organism and labels its chains.
func (c *calibrateCmd) one(ctx context.Context, w *world, plan calibration.Plan, arm string, seed int, organism task.Organism, under *conditions) (chains []calibration.Chain, err error) {
	threads := c.Threads
	if threads == 0 {
		threads = runtime.GOMAXPROCS(0)
	}
	place := c.RunDir + ":" + arm + ":" + strconv.Itoa(seed)
	model, err := openLocal(place, threads)
	if err != nil {
		return nil, err
	}
	defer model.close()
	reader, weights, err := openReader(threads)
	if err != nil {
		return nil, err
	}
	problems, err := plan.Draw()
	if err != nil {
		return nil, err
	}
	folder, err := runlog.Open(filepath.Join(c.Out, arm+"-"+strconv.Itoa(seed)), w.clock, "candor calibrate "+c.RunDir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, folder.Close()) }()
	b := &battery.Battery{Settings: plan.Settings, Dialect: dialect.Sums{Modulus: plan.World.Modulus}, Abilities: battery.Abilities{Continues: true}, Reader: true}
	_, err = audit.Run(ctx, audit.Config{
		Folder: folder, Battery: b, Source: suite.OfSums(problems), Clock: w.clock, Version: version(),
		Manifest: audit.Manifest{
			Model: evidence.Model{Name: place, Weights: model.served.Weights, Parameters: model.served.Parameters, Dialect: b.Dialect.Name()}, Reader: "weights " + weights,
			Suites: []string{"sums"}, Battery: b.Settings, Abilities: b.Abilities, Epochs: 1, Machine: runlog.ThisMachine(kernel.Name(), threads), Started: w.clock().UTC(),
		},
		Models: map[string]runner.Model{
			battery.Subject: {Generator: model.gen, Identity: "weights " + model.served.Weights, Local: true},
			battery.Reader:  {Generator: reader, Identity: "weights " + weights, Local: true},
		},
	})
	if err != nil {
		return nil, err
	}
	samples := make([]runlog.Sample, 0, len(problems))
	if err := runner.Each(folder.Dir(), func(e runner.Entry) error {
		samples = append(samples, e.Sample)
		return nil
	}); err != nil {
		return nil, err
	}
	for _, s := range samples {
		if s.Parsed {
			under.steps = append(under.steps, s.Values["steps"])
			if s.Values["cue/effect"] == 0 {
				under.all++
				if s.Correct {
					under.right++
				}
			}
		}
	}
	under.parameters = model.served.Parameters
	return calibration.Label(ctx, plan, calibration.Subject{Arm: arm, Seed: seed, Organism: organism, Model: model.gen}, problems, samples)
}

// write makes the table, prints its heart and keeps it.
func (c *calibrateCmd) write(w *world, plan calibration.Plan, m runlog.RunManifest, seeds []int, chains []calibration.Chain, under conditions) error {
	table := calibration.Table{
		Version: calibration.Version, Study: m.Study, Seeds: seeds, Problems: plan.Problems, World: plan.World, Settings: plan.Settings,
		Under: calibration.Conditions{
			Dialect: "sums", Steps: calibration.Median(under.steps), Accuracy: float64(under.right) / float64(max(1, under.all)),
			Parameters: under.parameters, Suites: []string{"sums"},
		},
		Tests: calibration.MakeTests(chains),
	}
	var data bytes.Buffer
	e := json.NewEncoder(&data)
	e.SetEscapeHTML(false)
	e.SetIndent("", " ")
	if err := e.Encode(table); err != nil {
		return err
	}
	path := filepath.Join(c.Out, "table.json")
	if err := os.WriteFile(path, data.Bytes(), 0o644); err != nil {
		return fmt.Errorf("writing the table: %w", err)
	}
	if err := calibration.WriteTable(w.stdout, &table); err != nil {
		return err
	}
	fmt.Fprintf(w.stderr, "\nThe table: %s\n", path)
	return nil
}
