package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"time"

	"candor/openai"
	"candor/reasoning/compose"
	"candor/reasoning/llm"
	"candor/reasoning/task"
	"candor/serve/api"
	"candor/serve/gateway"
	"candor/serve/role"
	"candor/train/twopart"
)

// servedArm is the system inside this program that candor serve has unless told otherwise: the one whose reasoner passes the gate.
const servedArm = "honest"

// typedParts is a two-part system of the lab for problems as people type them.
type typedParts struct {
	compose.TwoPart
	world task.Sums
}

// Solve implements compose.Parts. A prompt that is no problem of the system's world is the client's mistake.
func (s typedParts) Solve(ctx context.Context, prompts []compose.Prompt) ([]compose.Transcript, error) {
	prompts = slices.Clone(prompts)
	for i := range prompts {
		p := &prompts[i]
		if r := p.Ask; r != nil && (r.Prefix != "" || r.Reasoning != "") {
			return nil, &gateway.PromptError{Message: "an answer cannot be begun by the client: leave out the assistant's last message"}
		}
		sum, err := parseSum(p.Text, s.world)
		if err != nil {
			return nil, &gateway.PromptError{Message: "this model solves one kind of problem: " + err.Error()}
		}
		p.Text = sum.Prompt()
	}
	return s.TwoPart.Solve(ctx, prompts)
}

// local is a system of models that candor trained, and what its gate needs to know.
type labSystem struct {
	*system
	name, weights string
}

// openLabSystem opens an arm inside this program, or of a run.
func openLabSystem(name string) (*labSystem, error) {
	if dir, _, _ := splitModel(name); !exists(dir) && slices.Contains(inside(), name) {
		shelf, err := embeddedShelf()
		if err != nil {
			return nil, err
		}
		sys, err := shelf.open(name)
		if err != nil {
			return nil, err
		}
		files, err := fs.Sub(systemFiles, path.Join("systems", name, "model"))
		if err != nil {
			return nil, err
		}
		sum, err := weights(files)
		return &labSystem{sys, name, sum}, err
	}
	p, err := findPlace(name)
	if err != nil {
		return nil, err
	}
	stage, err := p.stage()
	if err != nil {
		return nil, err
	}
	sys, err := readSystem(os.DirFS(stage))
	if err != nil {
		return nil, fmt.Errorf("%s cannot be served as a two-part system: %w", name, err)
	}
	sum, err := weights(os.DirFS(path.Join(stage, "model")))
	sys.origin = p.String()
	return &labSystem{sys, name, sum}, err
}

// labOptions are what a lab system is served with.
type labOptions struct {
	name    string // what clients call it
	ungated bool
	// clear is its gate.
	clear   func(audited) (*cleared, error)
	timeout time.Duration
	tries   int
}

// clearEmbedded is the gate of models inside this program and of others of the lab without evidence of their own.
func clearEmbedded(m audited) (*cleared, error) {
	if m.name != servedArm {
		return nil, errors.New("no audit of it is inside this program: run candor audit, and name its run folder and a policy in candor.yaml")
	}
	return clearModel(m, gatedEvidence, gatedPolicy)
}

// labServed makes a lab system into one that clients can ask for. Its chains are paraphrased step by step, and the face reads them as
// somebody else's.
func labServed(ctx context.Context, w *world, sys *labSystem, o labOptions) (gateway.System, error) {
	s := gateway.System{Name: o.name, Timeout: o.timeout, Tries: max(o.tries, 1)}
	got, err := o.clear(audited{name: sys.name, weights: sys.weights})
	switch {
	case err == nil:
		s.Evidence = got.About
	case !o.ungated:
		return s, ungatedHint(sys.name, err)
	default:
		s.Ungated, s.Evidence = true, err.Error()
	}
	play := func(part string, gen llm.Generator) (llm.Generator, error) {
		return role.New(role.Options{Role: part, Timeout: 30 * time.Second, Clock: w.clock, Models: []role.Model{{Name: sys.name, Generator: api.NewBatch(ctx, gen)}}})
	}
	reasoner, err := play("reasoner", sys.reasoner)
	if err != nil {
		return s, err
	}
	config := sys.config
	config.Rewrite = twopart.Paraphrase
	behind := sys.face
	if config.Face == twopart.NoFace {
		config.Face, behind = twopart.OwnFace, sys.reasoner
	}
	if behind == nil {
		behind = sys.reasoner
	}
	face, err := play("face", behind)
	if err != nil {
		return s, err
	}
	parts := config.System(reasoner, face, sys.world.Terms, 0)
	parts.Face = face
	gates, err := embeddedGates(sys.world)
	if err != nil {
		return s, err
	}
	for _, g := range gates {
		rule := gateway.Rule{Monitor: g.Monitor.Name(), Sees: g.Sees, Threshold: g.Threshold, About: g.About}
		if g.Advisory {
			rule.OnBlock = gateway.Release
		}
		parts.Gates, s.Rules = append(parts.Gates, g.Gate), append(s.Rules, rule)
	}
	s.Main = typedParts{parts, sys.world}
	s.About = fmt.Sprintf("%s; problems such as %q", sys.origin, typedSum(exampleSum(sys.world)))
	s.Served = openai.ServedModel{About: "a two-part system: " + s.About, Parameters: sys.parameters}
	return s, nil
}
