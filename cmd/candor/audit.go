package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"candor/audit"
	"candor/audit/battery"
	"candor/audit/calibration"
	"candor/audit/evidence"
	"candor/audit/runner"
	"candor/engine/kernel"
	"candor/study/runlog"
)

type auditCmd struct {
	Model   string `help:"What to audit: a model's name at --base-url, or a local run (RUN, RUN:ARM, RUN:ARM:SEED) or checkpoint folder. Without it: the reasoner inside this program." placeholder:"M"`
	BaseURL string `name:"base-url" help:"Endpoint that speaks OpenAI's protocols ($$OPENAI_BASE_URL, also from .env)." placeholder:"URL"`
	API     string `name:"api" help:"chat, completions or responses; the default is found out." placeholder:"NAME"`
	// How chains are carried on.
	Continue     string `help:"How to carry on an edited chain: prefill, continue-final-message, prefix or none; the default is found out." placeholder:"WAY"`
	ChatTemplate string `help:"Chat template for raw completions, where chat cannot carry on a chain." placeholder:"NAME"`

	Suite     []string `help:"Suites (ladder, hints, pairs, leak) or files (.jsonl, .json, .csv; GSM8K and MMLU as published); the default is all that the model can read." placeholder:"S"`
	Limit     string   `help:"The first N items of each suite, or items A-B." placeholder:"N"`
	SampleID  string   `name:"sample-id" help:"Only these items, by ID; * stands for anything." placeholder:"ID,..."`
	Shuffle   bool     `help:"Take the items in random order, by --seed."`
	Epochs    int      `default:"1" help:"How often each item is put." placeholder:"N"`
	Seed      uint64   `default:"1" help:"Seed of items, samples and edits." placeholder:"N"`
	Judge     []string `help:"Model that judges chains, as NAME (at --base-url) or NAME@URL with the key $$CANDOR_JUDGE_API_KEY; several are better." placeholder:"NAME"`
	Reader    string   `help:"Model that reads chains alone, in the same way, or a local one." placeholder:"NAME"`
	Writer    string   `help:"Model that paraphrases and translates chains, in the same way; else prose is paraphrased by rule." placeholder:"NAME"`
	System    string   `help:"System prompt." placeholder:"TEXT"`
	Temp      *float64 `name:"temperature" help:"Temperature of the chains that are judged." placeholder:"T"`
	TopP      *float64 `name:"top-p" help:"Nucleus of the chains that are judged." placeholder:"P"`
	MaxTokens int      `name:"max-tokens" help:"Most tokens of a chain with its answer." placeholder:"N"`
	Repeats   int      `help:"How often each random edit is drawn." placeholder:"N"`

	MaxConnections int           `name:"max-connections" help:"Calls at a time; the default adapts between 10 and 100." placeholder:"N"`
	Timeout        time.Duration `default:"10m" help:"Longest time for one call."`
	TokenBudget    int64         `name:"token-budget" help:"Most tokens, read and written, that the audit may spend." placeholder:"N"`
	LogDir         string        `name:"log-dir" default:"runs" help:"Folder for run folders." type:"path" placeholder:"DIR"`
	Out            string        `help:"Run folder; the default is named by the model, in --log-dir." type:"path" placeholder:"DIR"`
	Threads        int           `help:"Threads of a local model; the default is all cores." placeholder:"N"`
	Preflight      bool          `help:"Only find out what the endpoint can do, and say it."`
	JSON           bool          `help:"Print evidence.json instead of the table."`
}

// Help is shown by candor audit --help.
func (auditCmd) Help() string {
	return `Examples:
  candor audit                                                   the reasoner inside this program
  candor audit --model qwen3-8b --base-url http://localhost:8000/v1
  candor audit --model runs/honesty:encoded:21                   an arm of a run
  candor audit --model M --base-url U --suite my.jsonl --limit 200 --judge J1 --judge J2@URL
  candor audit --model M --base-url U --preflight                what can be tested there

The key is taken from $OPENAI_API_KEY or .env, and kept nowhere. The same command again goes on where it stood.
What the numbers mean and do not mean: docs/audit.md.`
}

// slugPattern is what a folder's name may hold.
var slugPattern = regexp.MustCompile(`[^A-Za-z0-9._-]+`)

func slug(name string) string {
	s := strings.Trim(slugPattern.ReplaceAllString(name, "-"), "-.")
	if s == "" {
		return "embedded"
	}
	return s[:min(len(s), 80)]
}

func (c *auditCmd) Run(ctx context.Context, w *world) (err error) {
	if err := c.check(); err != nil {
		return usageError{err}
	}
	out := c.Out
	if out == "" {
		out = filepath.Join(c.LogDir, "audit-"+slug(c.Model))
	}
	keys, err := readKeys(w)
	if err != nil {
		return err
	}
	if c.Preflight {
		return c.preflightOnly(ctx, w, keys)
	}
	folder, err := runlog.Open(out, w.clock, "candor audit "+c.Model)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, folder.Close()) }()
	return c.run(ctx, w, folder, keys)
}

// check refuses values that mean nothing.
func (c *auditCmd) check() error {
	switch {
	case c.Epochs < 1:
		return fmt.Errorf("--epochs is %d, must be at least 1", c.Epochs)
	case c.MaxConnections < 0 || c.MaxConnections > 10_000:
		return fmt.Errorf("--max-connections is %d, must be between 1 and 10000", c.MaxConnections)
	case c.Temp != nil && !(*c.Temp >= 0 && *c.Temp <= 2):
		return fmt.Errorf("--temperature is %g, must be between 0 and 2", *c.Temp)
	case c.TopP != nil && !(*c.TopP > 0 && *c.TopP <= 1):
		return fmt.Errorf("--top-p is %g, must be above 0 and at most 1", *c.TopP)
	case c.MaxTokens < 0:
		return fmt.Errorf("--max-tokens is %d, must be at least 1", c.MaxTokens)
	case c.Repeats < 0 || c.Repeats > 100:
		return fmt.Errorf("--repeats is %d, must be between 1 and 100", c.Repeats)
	case c.TokenBudget < 0:
		return fmt.Errorf("--token-budget is %d, must be at least 1", c.TokenBudget)
	case c.Timeout <= 0:
		return fmt.Errorf("--timeout is %v, must be above 0", c.Timeout)
	case c.Threads < 0:
		return fmt.Errorf("--threads is %d, must be at least 1", c.Threads)
	}
	return nil
}

func (c *auditCmd) run(ctx context.Context, w *world, folder *runlog.Folder, keys keys) error {
	before, err := readAudit(folder)
	if err != nil {
		return err
	}
	s, err := c.subject(ctx, w, keys, before)
	if err != nil {
		return err
	}
	source, names, err := c.source(s)
	if err != nil {
		return usageError{err}
	}
	config, err := c.config(ctx, w, folder, s, keys)
	if err != nil {
		return err
	}
	config.Source, config.Manifest.Suites = source, names
	if before != nil {
		config.Manifest.Started = before.Started
		if err := sameAudit(*before, config.Manifest, folder.Dir()); err != nil {
			return usageError{err}
		}
	}
	if err := folder.WriteJSON(audit.ManifestFile, config.Manifest); err != nil {
		return err
	}
	show := newAuditProgress(w, s, source.Len()*c.Epochs, folder.Dir())
	config.Progress, config.Concluding = show.event, show.conclude
	e, err := audit.Run(ctx, config)
	show.close()
	again := c.again(w, folder.Dir())
	switch {
	case errors.Is(err, context.Canceled):
		return interrupted("stopped; what is done is kept. To go on:\n  " + again)
	case err != nil && e == nil:
		return fmt.Errorf("%w\nTo go on once that is mended:\n  %s", err, again)
	}
	if shown := c.show(w, folder, e); shown != nil {
		return errors.Join(err, shown)
	}
	if err != nil {
		return fmt.Errorf("%w\nThe results above are of what there is. To go on:\n  %s", err, again)
	}
	return nil
}

// config puts together what does not depend on the suite.
func (c *auditCmd) config(ctx context.Context, w *world, folder *runlog.Folder, s *auditSubject, keys keys) (audit.Config, error) {
	table, err := calibration.Embedded()
	if err != nil {
		return audit.Config{}, err
	}
	others, err := c.others(s, keys, w)
	if err != nil {
		return audit.Config{}, err
	}
	models := map[string]runner.Model{battery.Subject: s.runner}
	m := audit.Manifest{
		Model: s.model, Battery: s.settings, Abilities: s.abilities, Epochs: c.Epochs, Preflight: s.preflight,
		Machine: runlog.ThisMachine(kernel.Name(), c.threads()), Started: w.clock().UTC().Truncate(time.Second),
	}
	b := &battery.Battery{Settings: s.settings, Dialect: s.dialect, Abilities: s.abilities}
	for name, other := range others {
		models[name] = other
		switch {
		case name == battery.Writer:
			b.Writer, m.Writer = true, other.Identity
		case name == battery.Reader:
			b.Reader, m.Reader = true, other.Identity
		}
	}
	for i := range c.Judge {
		name := judgeName(c.Judge, i)
		b.Judges = append(b.Judges, name)
		m.Judges = append(m.Judges, models[battery.JudgePrefix+name].Identity)
	}
	return audit.Config{
		Folder: folder, Manifest: m, Battery: b, Models: models, Table: table, Connections: c.MaxConnections, Timeout: c.Timeout,
		Budget: c.TokenBudget, Clock: w.clock, Version: version(),
	}, nil
}

// readAudit reads the manifest of an audit that was begun; nil if there is none.
func readAudit(folder *runlog.Folder) (*audit.Manifest, error) {
	path := folder.Path(audit.ManifestFile)
	if !exists(path) {
		if exists(folder.Path("manifest.json")) {
			return nil, fmt.Errorf("%s is the run folder of a study: name another with --out", folder.Dir())
		}
		return nil, nil
	}
	var m audit.Manifest
	if err := runlog.ReadJSON(path, &m); err != nil {
		return nil, err
	}
	return &m, nil
}

// sameAudit refuses to mix the samples of different audits.
func sameAudit(before, now audit.Manifest, dir string) error {
	var differs []string
	compare := func(what string, a, b any) {
		x, errX := json.Marshal(a)
		y, errY := json.Marshal(b)
		if errX != nil || errY != nil || string(x) != string(y) {
			differs = append(differs, fmt.Sprintf("%s was %s and is %s", what, x, y))
		}
	}
	compare("the model", []string{before.Model.Name, before.Model.BaseURL, before.Model.Weights}, []string{now.Model.Name, now.Model.BaseURL, now.Model.Weights})
	compare("the way of asking", before.Battery, now.Battery)
	compare("what the endpoint can do", before.Abilities, now.Abilities)
	compare("the list of suites", before.Suites, now.Suites)
	compare("the list of judges", before.Judges, now.Judges)
	compare("the writer", before.Writer, now.Writer)
	compare("the reader", before.Reader, now.Reader)
	compare("the number of epochs", before.Epochs, now.Epochs)
	if len(differs) == 0 {
		return nil
	}
	return fmt.Errorf("%s holds another audit: %s; name another folder with --out", dir, strings.Join(differs, "; "))
}

// show prints the results.
func (c *auditCmd) show(w *world, folder *runlog.Folder, e *evidence.Evidence) error {
	if c.JSON {
		data, err := os.ReadFile(folder.Path(audit.EvidenceFile))
		if err != nil {
			return err
		}
		_, err = w.stdout.Write(data)
		return err
	}
	if err := audit.WriteTable(w.stdout, e, w.width); err != nil {
		return err
	}
	dir := folder.Dir()
	fmt.Fprintf(w.stderr, "\nThe page:     %s\nThe evidence: %s\nThe samples:  %s\nFor Inspect:  %s\n", filepath.Join(dir, "report.html"),
		filepath.Join(dir, audit.EvidenceFile), filepath.Join(dir, "samples.jsonl"), filepath.Join(dir, "log.eval"))
	return nil
}

// preflightOnly says what the endpoint can do.
func (c *auditCmd) preflightOnly(ctx context.Context, w *world, keys keys) error {
	s, err := c.subject(ctx, w, keys, nil)
	if err != nil {
		return err
	}
	if s.preflight == nil {
		return usageError{errors.New("--preflight is for an endpoint: name one with --base-url")}
	}
	if c.JSON {
		data, err := json.MarshalIndent(s.preflight, "", "  ")
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(w.stdout, "%s\n", data)
		return err
	}
	printPreflight(w.stdout, s.preflight)
	return nil
}

// again is the command that goes on with this audit.
func (c *auditCmd) again(w *world, out string) string {
	words := []string{w.program, "audit"}
	add := func(flag, value string) {
		if value != "" {
			words = append(words, "--"+flag, quote(value))
		}
	}
	add("model", c.Model)
	add("base-url", c.BaseURL)
	add("api", c.API)
	add("continue", c.Continue)
	add("chat-template", c.ChatTemplate)
	for _, s := range c.Suite {
		add("suite", s)
	}
	add("limit", c.Limit)
	add("sample-id", c.SampleID)
	for _, j := range c.Judge {
		add("judge", j)
	}
	add("reader", c.Reader)
	add("writer", c.Writer)
	add("system", c.System)
	number := func(flag string, value, usual any) {
		if value != usual {
			add(flag, fmt.Sprint(value))
		}
	}
	number("epochs", c.Epochs, 1)
	number("seed", c.Seed, uint64(1))
	number("max-tokens", c.MaxTokens, 0)
	number("repeats", c.Repeats, 0)
	number("max-connections", c.MaxConnections, 0)
	number("token-budget", c.TokenBudget, int64(0))
	number("timeout", c.Timeout, 10*time.Minute)
	number("threads", c.Threads, 0)
	if c.Temp != nil {
		add("temperature", fmt.Sprint(*c.Temp))
	}
	if c.TopP != nil {
		add("top-p", fmt.Sprint(*c.TopP))
	}
	if c.Shuffle {
		words = append(words, "--shuffle")
	}
	add("out", out)
	return strings.Join(words, " ")
}
