package experiment

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"candor/engine/tensor"
	"candor/engine/tokenizer"
	"candor/reasoning/tally"
	"candor/reasoning/task"
	"candor/study/runlog"
)

// Options say where and how a study runs.
type Options struct {
	Folder *runlog.Folder
	// Machine is recorded; its Kernel is part of every stage's hash.
	Machine runlog.Machine
	// Threads is the number of stages or shards at work at a time. It does not influence results.
	Threads int
	// YAML is the spec as it was read, for the manifest.
	YAML []byte
	// Clock gives the times in the manifest.
	Clock func() time.Time
	// Progress, if set, is told what happens. Calls may come from several goroutines, one at a time.
	Progress func(Event)
}

// Event is a piece of progress.
type Event struct {
	Kind EventKind
	// Stage is the stage's folder name; Arm and Seed the first arm that it belongs to; What its kind.
	Stage, Arm, What string
	Seed             int
	// Done and Total count the stage's steps.
	Done, Total int
	// Share is how much of the whole study's estimated work is done (0 to 1), Here the part of it done by this process.
	Share, Here float64
	// Stages counts finished stages of StageCount.
	Stages, StageCount int
}

// EventKind says what happened.
type EventKind int

// The kinds of events.
const (
	Planned  EventKind = iota // once, before anything runs: Stages are done already
	Started                   // a stage began
	Stepped                   // a stage went on
	Finished                  // a stage is done
)

// Result is what a finished study left in its folder.
type Result struct {
	// Samples is the number of lines in samples.jsonl.
	Samples int
	// Computed counts the stages that this process ran; 0 means that all was done before.
	Computed int
	Stages   []string
}

// runner carries out a plan.
type runner struct {
	Options
	spec      *Spec
	folder    *runlog.Folder
	tokenizer *tokenizer.Tokenizer // of labelled problems
	end       int32                // the id of its end token
	tally     *tokenizer.Tokenizer // of sums
	progress  *progress
}

// tallyLanguage is what a spec calls the language of package tally.
const tallyLanguage = "tally"

// vocabulary is the number of words of a language, the end included.
func vocabulary(language string) int {
	if language == tallyLanguage {
		return len(tally.Vocabulary()) + 1
	}
	return len(task.Vocabulary()) + 1
}

// languages makes the tokenizers.
func (r *runner) languages() (err error) {
	if r.tokenizer, err = tokenizer.New(task.Vocabulary(), tokenizer.End); err != nil {
		return err
	}
	r.end, _ = r.tokenizer.ID(tokenizer.End)
	r.tally, err = tokenizer.New(tally.Vocabulary(), tokenizer.End)
	return err
}

// words is the tokenizer of the language that a stage's model speaks.
func (r *runner) words(st *stage) *tokenizer.Tokenizer {
	if st.language == tallyLanguage {
		return r.tally
	}
	return r.tokenizer
}

// Run computes every stage of spec that the folder does not hold yet, then merges the samples. An interrupted run is
// resumed by calling it again with the same spec. When ctx ends it stops after saving where it stands and returns ctx's
// error, wrapped.
func Run(ctx context.Context, spec *Spec, opts Options) (Result, error) {
	p, err := newPlan(spec, opts.Machine.Kernel)
	if err != nil {
		return Result{}, err
	}
	r := &runner{Options: opts, spec: spec, folder: opts.Folder}
	if err := r.languages(); err != nil {
		return Result{}, err
	}
	r.progress = newProgress(opts.Progress, p)
	manifest := runlog.RunManifest{Study: spec.Name, Title: spec.Title, Spec: string(opts.YAML), Arms: p.arms(), Seeds: spec.Seeds, Machine: opts.Machine, Started: opts.Clock()}
	old, err := runlog.ReadRunManifest(opts.Folder.Path("manifest.json"))
	if err == nil && !old.Started.IsZero() {
		manifest.Started = old.Started
	}
	for _, st := range p.stages {
		manifest.Stages = append(manifest.Stages, st.id)
		if st.done, err = r.isDone(st); err != nil {
			return Result{}, err
		}
	}
	if manifest.Hash, err = runlog.Hash(manifest.Spec); err != nil {
		return Result{}, err
	}
	computed := r.progress.begin(p.stages)
	if computed == 0 {
		manifest.Ended = old.Ended
	}
	if err := opts.Folder.WriteJSON("manifest.json", manifest); err != nil {
		return Result{}, err
	}
	if err := schedule(ctx, p.stages, opts.Threads, r.run); err != nil {
		return Result{}, err
	}
	n, err := opts.Folder.MergeSamples(p.parts())
	if err != nil {
		return Result{}, fmt.Errorf("merging the samples: %w; remove the folder of a damaged stage to have it computed anew", err)
	}
	if manifest.Ended.IsZero() {
		manifest.Ended = opts.Clock()
		if err := opts.Folder.WriteJSON("manifest.json", manifest); err != nil {
			return Result{}, err
		}
	}
	return Result{Samples: n, Computed: computed, Stages: manifest.Stages}, nil
}

// isDone tells whether the folder holds a stage's result. The error says that it holds another's in its place.
func (r *runner) isDone(st *stage) (bool, error) {
	status, err := runlog.ReadStatus(r.folder.Path("stages", st.id, "status.json"))
	if err != nil || status.State != runlog.Done {
		return false, err
	}
	dir := r.folder.Path("stages", st.id)
	m, err := runlog.ReadManifest(filepath.Join(dir, "manifest.json"))
	if err == nil && m.Hash != st.hash {
		err = fmt.Errorf("it is the stage of hash %s", m.Hash)
	}
	if err != nil {
		return false, fmt.Errorf("stage %s is marked as done, but its manifest does not say so: %w; remove %s to have it computed anew", st.id, err, dir)
	}
	return true, nil
}

// arms describes the study's arms for the manifest.
func (p *plan) arms() []runlog.Arm {
	var arms []runlog.Arm
	for _, a := range p.spec.Arms {
		arm := runlog.Arm{Name: a.Name, About: a.About, From: a.From, Stages: map[string][]string{}}
		for _, st := range a.Stages {
			arm.Kinds = append(arm.Kinds, st.kind())
		}
		for _, seed := range p.spec.Seeds {
			for _, st := range p.chain[use{a.Name, seed}] {
				arm.Stages[strconv.Itoa(seed)] = append(arm.Stages[strconv.Itoa(seed)], st.id)
			}
		}
		arms = append(arms, arm)
	}
	return arms
}

// parts lists the stages whose samples make up the run's, for each arm and seed that they belong to.
func (p *plan) parts() []runlog.Part {
	var parts []runlog.Part
	for _, seed := range p.spec.Seeds {
		for _, arm := range p.spec.Arms {
			for _, st := range p.chain[use{arm.Name, seed}] {
				if !st.trains() {
					parts = append(parts, runlog.Part{Stage: st.id, Arm: arm.Name, Seed: seed})
				}
			}
		}
	}
	return parts
}

// run computes one stage on the given number of threads.
func (r *runner) run(ctx context.Context, st *stage, threads int) error {
	raw, err := json.Marshal(st.settings)
	if err != nil {
		return fmt.Errorf("writing down the settings: %w", err)
	}
	var inputs []string
	for _, need := range st.needs() {
		inputs = append(inputs, need.id)
	}
	folder, err := r.folder.Stage(runlog.Manifest{Name: st.kind, Hash: st.hash, Version: versions[st.kind], Seed: st.seed, Inputs: inputs, Settings: raw, Machine: r.Machine})
	if err != nil {
		return err
	}
	if err := folder.Start(); err != nil {
		return err
	}
	r.progress.event(Started, st)
	pool := tensor.NewPool(threads)
	defer pool.Close()
	if st.trains() {
		err = r.training(ctx, st, folder, pool)
	} else {
		err = r.measure(ctx, st, folder, pool)
	}
	if err == nil {
		err = folder.Done()
	}
	switch {
	case err == nil:
		r.progress.event(Finished, st)
		return nil
	case stopped(err):
		return errors.Join(err, folder.Cancel("interrupted"))
	default:
		return errors.Join(err, folder.Fail(err))
	}
}

// progress turns what stages tell into events with the share of the whole work that is done.
type progress struct {
	tell func(Event)

	mu          sync.Mutex
	total       float64
	before, now float64            // cost done by earlier processes, and by finished stages of this one
	partial     map[*stage]float64 // cost done of the stages under way
	done, count int
}

func newProgress(tell func(Event), p *plan) *progress {
	if tell == nil {
		tell = func(Event) {}
	}
	g := &progress{tell: tell, partial: map[*stage]float64{}, count: len(p.stages)}
	for _, st := range p.stages {
		g.total += st.cost
	}
	return g
}

// begin tells what is planned and returns the number of stages to be computed.
func (g *progress) begin(stages []*stage) int {
	for _, st := range stages {
		if st.done {
			g.before += st.cost
			g.done++
		}
	}
	g.tell(g.fill(Event{Kind: Planned}))
	return g.count - g.done
}

func (g *progress) fill(e Event) Event {
	here := g.now
	for _, c := range g.partial {
		here += c
	}
	e.Share, e.Here = (g.before+here)/g.total, here/g.total
	e.Stages, e.StageCount = g.done, g.count
	return e
}

func (g *progress) event(kind EventKind, st *stage) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if kind == Finished {
		delete(g.partial, st)
		g.now += st.cost
		g.done++
	}
	g.tell(g.fill(st.event(kind)))
}

func (g *progress) step(st *stage, done, total int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.partial[st] = st.cost * float64(done) / float64(max(1, total))
	e := st.event(Stepped)
	e.Done, e.Total = done, total
	g.tell(g.fill(e))
}

func (s *stage) event(kind EventKind) Event {
	return Event{Kind: kind, Stage: s.id, Arm: s.uses[0].arm, Seed: s.uses[0].seed, What: s.kind}
}
