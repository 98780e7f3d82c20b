package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"time"

	"candor/audit/preflight"
	"candor/internal/rng"
	"candor/openai"
	"candor/reasoning/compose"
	"candor/reasoning/dialect"
	"candor/reasoning/llm"
	"candor/reasoning/monitor"
	"candor/serve/api"
	"candor/serve/config"
	"candor/serve/gateway"
	"candor/serve/role"
	"candor/serve/tools"
)

// builder makes systems of a configuration.
type builder struct {
	w       *world
	dir     string // of the file, from which its paths count
	c       *config.Config
	clients map[string]*remote
	random  rng.Source
	closers []func() error
}

// remote is a model behind an endpoint, or a local one in such a model's place.
type remote struct {
	name   string
	gen    llm.Generator
	client *openai.Client // nil of a local one
	// cleared is what its audit says, if one is named; uncleared why it does not pass.
	cleared   *cleared
	uncleared error
}

// path is a path of the file's.
func (b *builder) path(p string) string {
	if p == "" || filepath.IsAbs(p) {
		return p
	}
	return filepath.Join(b.dir, p)
}

// model opens a model of the file's, once.
func (b *builder) model(ctx context.Context, name string) (*remote, error) {
	if r := b.clients[name]; r != nil {
		return r, nil
	}
	m := b.c.Models[name]
	open := b.open
	if m.Local != "" {
		open = b.openLocal
	}
	r, err := open(ctx, m)
	if err != nil {
		return nil, fmt.Errorf("models.%s: %w", name, err)
	}
	b.clients[name] = r
	return r, nil
}

func (b *builder) open(ctx context.Context, m config.Model) (*remote, error) {
	key := ""
	if m.APIKeyEnv != "" {
		if key = b.w.env(m.APIKeyEnv); key == "" {
			return nil, fmt.Errorf("api_key_env: the variable %s is empty", m.APIKeyEnv)
		}
	}
	client, err := openai.NewClient(openai.Options{BaseURL: m.BaseURL, Key: key, Headers: m.Headers, Now: b.w.clock})
	if err != nil {
		return nil, err
	}
	r := &remote{name: m.Model, client: client}
	r.cleared, r.uncleared = clearFiles(audited{name: m.Model, baseURL: client.BaseURL()}, b.path(m.Evidence), b.path(m.Policy))
	capabilities, err := b.capabilities(ctx, r, m)
	if err != nil {
		return nil, err
	}
	if r.gen, err = openai.NewGenerator(client, m.Model, *capabilities); err != nil {
		return nil, err
	}
	return r, nil
}

// openLocal opens a model that candor trained. It knows the words of the lab alone, and refuses requests with others.
func (b *builder) openLocal(ctx context.Context, m config.Model) (*remote, error) {
	local, err := openLocal(m.Local, runtime.GOMAXPROCS(0))
	if err != nil {
		return nil, err
	}
	batches, stop := context.WithCancel(context.WithoutCancel(ctx)) // requests that are under way are answered
	b.closers = append(b.closers, func() error { stop(); local.close(); return nil })
	r := &remote{name: local.name, gen: api.NewBatch(batches, local.gen)}
	a := audited{name: local.name, weights: local.served.Weights}
	if m.Evidence != "" {
		r.cleared, r.uncleared = clearFiles(a, b.path(m.Evidence), b.path(m.Policy))
	} else {
		r.cleared, r.uncleared = clearEmbedded(a)
	}
	return r, nil
}

// capabilities are what the file says, or the audit found out, or is found out now.
func (b *builder) capabilities(ctx context.Context, r *remote, m config.Model) (*openai.Capabilities, error) {
	if m.Capabilities != "" {
		data, err := os.ReadFile(b.path(m.Capabilities))
		if err != nil {
			return nil, fmt.Errorf("capabilities: %w", err)
		}
		c := new(openai.Capabilities)
		if err := json.Unmarshal(data, c); err != nil {
			return nil, fmt.Errorf("capabilities: %s: %w", m.Capabilities, err)
		}
		return c, c.Validate()
	}
	if r.cleared != nil && r.cleared.Capabilities != nil {
		c := *r.cleared.Capabilities
		c.Tools = c.API != openai.CompletionsAPI
		return &c, nil
	}
	fmt.Fprintf(b.w.stderr, "Finding out what %s at %s can do.\n", m.Model, r.client.BaseURL())
	report, err := preflight.Run(ctx, r.client, preflight.Options{Model: m.Model})
	if err != nil {
		return nil, fmt.Errorf("finding out what it can do: %w", err)
	}
	c := report.Capabilities
	c.Tools = c.API != openai.CompletionsAPI
	return &c, nil
}

// play puts a model into a role.
func (b *builder) play(ctx context.Context, name string, r *config.Role) (llm.Generator, error) {
	o := role.Options{Role: name, Timeout: time.Duration(r.Timeout), Retries: *r.Retries, InFlight: r.InFlight, Clock: b.w.clock,
		Random: b.random.Split("role " + name), Breaker: role.Breaker{Failures: 5, Pause: 5 * time.Second}}
	for _, model := range append([]string{r.Model}, r.Fallback...) {
		m, err := b.model(ctx, model)
		if err != nil {
			return nil, err
		}
		o.Models = append(o.Models, role.Model{Name: m.name, Generator: m.gen})
	}
	return role.New(o)
}

// alone tells whether the file names a reasoner and no other part: then a model that candor trained brings the parts that it was trained
// with.
func alone(c *config.Config) bool {
	return c.Face == nil && c.Paraphraser == nil && len(c.Monitors) == 0 && c.Trusted == nil && c.Agent == nil
}

// lab makes the system of a model that candor trained.
func (b *builder) lab(ctx context.Context) (gateway.System, error) {
	c, m := b.c, b.c.Models[b.c.Reasoner.Model]
	sys, err := openLabSystem(m.Local)
	if err != nil {
		return gateway.System{}, err
	}
	clear := clearEmbedded
	if m.Evidence != "" {
		clear = func(a audited) (*cleared, error) { return clearFiles(a, b.path(m.Evidence), b.path(m.Policy)) }
	}
	batches, stop := context.WithCancel(context.WithoutCancel(ctx)) // requests that are under way are answered
	b.closers = append(b.closers, func() error { stop(); return nil })
	return labServed(batches, b.w, sys, labOptions{name: c.Name, ungated: c.Reasoner.Ungated, clear: clear, timeout: time.Duration(c.Limits.Timeout), tries: c.Tries})
}

// systems makes what the file describes.
func (b *builder) systems(ctx context.Context) ([]gateway.System, error) {
	if b.c.Models[b.c.Reasoner.Model].Local != "" && alone(b.c) {
		s, err := b.lab(ctx)
		return []gateway.System{s}, err
	}
	s := gateway.System{Name: b.c.Name, Tries: b.c.Tries, Timeout: time.Duration(b.c.Limits.Timeout), HoldWait: time.Duration(b.c.HoldWait), Tools: true}
	if err := b.allow(ctx, &s); err != nil {
		return nil, err
	}
	d, err := b.dialogue(ctx, &s)
	if err != nil {
		return nil, err
	}
	s.Main = d
	if b.c.Trusted != nil {
		trusted := *d
		if trusted.Reasoner, err = b.play(ctx, "trusted", b.c.Trusted); err != nil {
			return nil, err
		}
		trusted.Face, trusted.Paraphrase, trusted.Instruct = nil, nil, ""
		s.Trusted = &trusted
	}
	s.About = fmt.Sprintf("reasoner %s, %s", b.c.Reasoner.Model, describeFace(b.c))
	s.Served.About = "a two-part system: " + s.About
	out := []gateway.System{s}
	if b.c.Agent != nil {
		agent, err := b.agent(ctx, s, d)
		if err != nil {
			return nil, err
		}
		out = append(out, agent)
	}
	return out, nil
}

func describeFace(c *config.Config) string {
	if c.Face == nil {
		return "no face of its own"
	}
	return "face " + c.Face.Model
}

// allow lets the reasoner and its fall-backs start, with evidence or without where the file says so.
func (b *builder) allow(ctx context.Context, s *gateway.System) error {
	var about []string
	for _, name := range append([]string{b.c.Reasoner.Model}, b.c.Reasoner.Fallback...) {
		r, err := b.model(ctx, name)
		switch {
		case err != nil:
			return err
		case r.cleared != nil:
			about = append(about, name+": "+r.cleared.About)
		case !b.c.Reasoner.Ungated:
			return ungatedHint(name, r.uncleared)
		default:
			s.Ungated = true
			about = append(about, name+": "+r.uncleared.Error())
		}
	}
	s.Evidence = strings.Join(about, "; ")
	return nil
}

func (b *builder) dialogue(ctx context.Context, s *gateway.System) (*compose.Dialogue, error) {
	c := b.c
	d := &compose.Dialogue{Instruct: c.Reasoner.Instruct, ReasonerTokens: c.Reasoner.MaxTokens, OutputTokens: c.Reasoner.MaxTokens, Cut: compose.CutParagraphs, Temperature: 1}
	if c.Reasoner.Temperature != nil {
		d.Temperature = *c.Reasoner.Temperature
	}
	var err error
	if d.Reasoner, err = b.play(ctx, "reasoner", &c.Reasoner.Role); err != nil {
		return nil, err
	}
	if p := c.Paraphraser; p != nil {
		if d.Paraphrase, err = b.paraphraser(ctx, p); err != nil {
			return nil, err
		}
	}
	if f := c.Face; f != nil {
		if d.Face, err = b.play(ctx, "face", &f.Role); err != nil {
			return nil, err
		}
		d.Policy, d.OutputTokens = f.Policy, f.MaxTokens
		d.View = view(f)
	}
	for i := range c.Monitors {
		g, rule, err := b.gate(ctx, &c.Monitors[i])
		if err != nil {
			return nil, fmt.Errorf("monitors[%d]: %w", i, err)
		}
		d.Gates = append(d.Gates, g)
		s.Rules = append(s.Rules, rule)
	}
	return d, nil
}

func (b *builder) paraphraser(ctx context.Context, p *config.Paraphraser) (compose.Paraphraser, error) {
	if p.Rule != "" {
		return compose.RuleParaphraser{Label: "prose", Rewrite: dialect.RewordProse}, nil
	}
	gen, err := b.play(ctx, "paraphraser", &p.Role)
	if err != nil {
		return nil, err
	}
	return compose.ModelParaphraser{Generator: gen, Instruct: p.Instruct, PerStep: p.Per == "step", MaxTokens: max(p.MaxTokens, b.c.Reasoner.MaxTokens)}, nil
}

// view keeps parts of a conversation from the face.
func view(f *config.Face) func([]llm.Message) []llm.Message {
	if len(f.Hide) == 0 && f.Last == 0 {
		return nil
	}
	var hide []*regexp.Regexp
	for _, e := range f.Hide {
		hide = append(hide, regexp.MustCompile(e)) // config.Parse has compiled it
	}
	return func(messages []llm.Message) []llm.Message {
		if f.Last > 0 && len(messages) > f.Last {
			messages = messages[len(messages)-f.Last:]
		}
		out := make([]llm.Message, len(messages))
		for i, m := range messages {
			for _, e := range hide {
				m.Text = e.ReplaceAllString(m.Text, "[...]")
			}
			out[i] = m
		}
		return out
	}
}

// gate makes a monitor into a gate, with what follows its verdict.
func (b *builder) gate(ctx context.Context, m *config.Monitor) (compose.Gate, gateway.Rule, error) {
	rule := m.Rule()
	e, err := b.examiner(ctx, m)
	if err != nil {
		return compose.Gate{}, rule, err
	}
	g := compose.Gate{Monitor: renamed{m.Name, e}, Sees: compose.Part(m.Sees), Advisory: rule.OnBlock == gateway.Release}
	if !monitor.InProcess(g.Monitor) {
		g.Timeout = time.Duration(m.Timeout)
	}
	if m.Threshold != nil {
		g.Threshold, rule.About = *m.Threshold, "set by hand"
	} else {
		c, err := monitor.ReadCalibration(b.path(m.Calibration))
		if err != nil {
			return g, rule, err
		}
		if c.Monitor != m.Name || c.Sees != m.Sees {
			return g, rule, fmt.Errorf("%s is the calibration of %s on the %s part, not of %s on the %s part: calibrate that", m.Calibration, c.Monitor, c.Sees, m.Name, m.Sees)
		}
		g.Threshold, rule.About = c.Threshold, c.About()
	}
	rule.Monitor, rule.Threshold = m.Name, g.Threshold
	return g, rule, nil
}

// renamed is an examiner under the name that the file gives it.
type renamed struct {
	name string
	monitor.Examiner
}

func (r renamed) Name() string { return r.name }

// Unwrap lets a gate see whether the monitor needs a timeout.
func (r renamed) Unwrap() monitor.Examiner { return r.Examiner }

func (b *builder) examiner(ctx context.Context, m *config.Monitor) (monitor.Examiner, error) {
	switch m.Kind {
	case "rules":
		data, err := os.ReadFile(b.path(m.Rules))
		if err != nil {
			return nil, err
		}
		rules, err := monitor.ParseRules(data)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", m.Rules, err)
		}
		return rules, nil
	case "judge":
		policy := m.Policy
		if m.PolicyFile != "" {
			data, err := os.ReadFile(b.path(m.PolicyFile))
			if err != nil {
				return nil, err
			}
			policy = string(data)
		}
		gen, err := b.play(ctx, "judge "+m.Name, &m.Role)
		if err != nil {
			return nil, err
		}
		return monitor.LMJudge{Generator: gen, Policy: policy}, nil
	}
	return b.answerOnly(m) // the last of config.Kinds
}

// answerOnly fits the control that sees answers alone.
func (b *builder) answerOnly(m *config.Monitor) (monitor.Examiner, error) {
	samples, err := readSamples(b.path(m.Samples))
	if err != nil {
		return nil, err
	}
	control, _, err := monitor.FitControl(samples)
	return monitor.Local(control), err
}

// agent makes a system with tools of the file's two-part system.
func (b *builder) agent(ctx context.Context, s gateway.System, d *compose.Dialogue) (gateway.System, error) {
	a := b.c.Agent
	reviewer, err := b.play(ctx, "reviewer", &a.Reviewer.Role)
	if err != nil {
		return s, err
	}
	var servers []tools.Server
	for _, m := range a.MCP {
		servers = append(servers, tools.Server{Name: m.Name, Command: m.Command, Env: m.Env, URL: m.URL, Headers: m.Headers, Allow: m.Allow})
	}
	with, err := tools.New(servers, tools.Options{Version: version()})
	if err != nil {
		return s, err
	}
	b.closers = append(b.closers, with.Close)
	const reviewTokens = 2048
	agent := compose.Agent{
		System: d, Tools: with, Reviewer: compose.ModelReviewer{Model: reviewer, Policy: a.Reviewer.Policy, MaxTokens: reviewTokens},
		Limits: compose.AgentLimits{Steps: a.Steps, Calls: a.Calls, Tokens: a.Tokens, Time: time.Duration(a.Time), Cost: a.Cost, Depth: a.Depth},
		Prices: compose.Prices{Token: a.PricePerToken, Call: a.PricePerCall}, TurnTokens: d.ReasonerTokens + d.OutputTokens, ReviewTokens: reviewTokens,
		Clock: b.w.clock,
	}
	if a.Reviewer.Sees != "none" {
		agent.Chain = compose.Part(a.Reviewer.Sees)
	}
	s.Name, s.Main, s.Trusted, s.Tools = a.Name, nil, nil, false
	s.Agent = &gateway.Agent{Agent: agent}
	s.Rules = onlyBlock(s.Rules)
	s.Timeout = time.Duration(a.Time) + time.Minute
	s.About = fmt.Sprintf("an agent with tools of %s, around %s", count(len(servers), "server"), s.About)
	s.Served.About = s.About
	return s, nil
}

// onlyBlock returns rules whose gates block: what an agent proposes is not tried again, held or deferred.
func onlyBlock(rules []gateway.Rule) []gateway.Rule {
	out := slices.Clone(rules)
	for i := range out {
		if out[i].OnBlock != gateway.Release {
			out[i].OnBlock = gateway.Block
		}
		out[i].OnError = gateway.Block
	}
	return out
}
