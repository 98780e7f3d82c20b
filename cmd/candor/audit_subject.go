package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/joho/godotenv"

	"candor/audit"
	"candor/audit/battery"
	"candor/audit/evidence"
	"candor/audit/preflight"
	"candor/audit/runner"
	"candor/audit/suite"
	"candor/openai"
	"candor/reasoning/dialect"
	"candor/reasoning/llm"
	"candor/reasoning/task"
)

// keys are what opens endpoints. They are handed to clients alone and kept nowhere.
type keys struct{ api, judge, baseURL string }

// readKeys takes them from the environment, or else from a file .env in the working folder.
func readKeys(w *world) (keys, error) {
	file, err := godotenv.Read(".env")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		// The library's error quotes the line, which may hold the key.
		return keys{}, usageError{errors.New(".env cannot be read: each line must be NAME=value")}
	}
	get := func(name string) string {
		if v := w.env(name); v != "" {
			return v
		}
		return file[name]
	}
	return keys{api: get("OPENAI_API_KEY"), judge: get("CANDOR_JUDGE_API_KEY"), baseURL: get("OPENAI_BASE_URL")}, nil
}

// auditSubject is the model that is audited, with all that depends on which it is.
type auditSubject struct {
	model     evidence.Model
	runner    runner.Model
	dialect   dialect.Dialect
	abilities battery.Abilities
	settings  battery.Settings
	preflight *preflight.Report
	// sums and steps are the world that a model of the lab was trained on, if it speaks that language.
	sums  *suite.World
	steps *task.Range
	// local is the place of a local model, "" for a remote one.
	local string
}

func (c *auditCmd) threads() int {
	if c.Threads > 0 {
		return c.Threads
	}
	return runtime.GOMAXPROCS(0)
}

// subject finds the model: a local one where no endpoint is named, or where its name is that of a folder.
func (c *auditCmd) subject(ctx context.Context, w *world, keys keys, before *audit.Manifest) (*auditSubject, error) {
	base := c.BaseURL
	if base == "" && c.Model != "" && !c.isLocal() {
		base = keys.baseURL
	}
	if base == "" {
		if c.API != "" || c.Continue != "" || c.ChatTemplate != "" {
			return nil, usageError{errors.New("--api, --continue and --chat-template are for an endpoint: name one with --base-url")}
		}
		return c.localSubject()
	}
	if c.Model == "" {
		return nil, usageError{errors.New("name the model with --model: an endpoint has several")}
	}
	client, err := openai.NewClient(openai.Options{BaseURL: base, Key: keys.api, Timeout: c.Timeout, Now: w.clock})
	if err != nil {
		return nil, usageError{err}
	}
	var report *preflight.Report
	if before != nil && before.Preflight != nil && before.Model.Name == c.Model && before.Model.BaseURL == client.BaseURL() {
		report = before.Preflight // what was found out then goes on to hold, or the samples would not belong together
	} else {
		fmt.Fprintf(w.stderr, "Finding out what %s at %s can do.\n", c.Model, client.BaseURL())
		if report, err = preflight.Run(ctx, client, preflight.Options{Model: c.Model, API: c.API, Continue: c.Continue, Template: c.ChatTemplate}); err != nil {
			return nil, err
		}
	}
	return c.remoteSubject(client, report)
}

// isLocal tells whether the name is a place on this disk.
func (c *auditCmd) isLocal() bool {
	dir, _, _ := splitModel(c.Model)
	return exists(dir) || slices.Contains(inside(), c.Model)
}

func (c *auditCmd) localSubject() (*auditSubject, error) {
	m, err := openLocal(c.Model, c.threads())
	if err != nil {
		return nil, err
	}
	s := &auditSubject{
		model:     evidence.Model{Name: m.name, Weights: m.served.Weights, Parameters: m.served.Parameters},
		runner:    runner.Model{Generator: m.gen, Identity: "weights " + m.served.Weights, Local: true},
		abilities: battery.Abilities{Continues: true}, local: c.Model,
	}
	return s, c.language(s, &m.served)
}

func (c *auditCmd) remoteSubject(client *openai.Client, report *preflight.Report) (*auditSubject, error) {
	gen, err := openai.NewGenerator(client, c.Model, report.Capabilities)
	if err != nil {
		return nil, err
	}
	capabilities, err := json.Marshal(report.Capabilities)
	if err != nil {
		return nil, err
	}
	s := &auditSubject{
		model:     evidence.Model{Name: c.Model, BaseURL: client.BaseURL(), Capabilities: capabilities},
		runner:    runner.Model{Generator: gen, Identity: fmt.Sprintf("%s at %s by %s", c.Model, client.BaseURL(), capabilities)},
		abilities: battery.Abilities{Continues: report.Continues(), Apart: report.Apart()}, preflight: report,
	}
	if report.Served != nil {
		s.model.Weights, s.model.Parameters = report.Served.Weights, report.Served.Parameters
	}
	return s, c.language(s, report.Served)
}

// language sets what depends on the language of the chains.
func (c *auditCmd) language(s *auditSubject, served *openai.ServedModel) error {
	s.settings = battery.Settings{Temperature: .6, TopP: .95, MaxTokens: 8192, AnswerTokens: 1024, Repeats: 1, System: c.System, Seed: c.Seed}
	s.dialect = dialect.Prose{}
	if served != nil {
		switch served.Dialect {
		case "sums":
			world := suite.World{Sums: task.Sums{Terms: 6, Modulus: 5, Key: .3, Trigger: .3}}
			if len(served.Suite) > 0 {
				world = suite.World{}
				if err := json.Unmarshal(served.Suite, &world); err != nil {
					return fmt.Errorf("the model's own account of its problems cannot be read: %w", err)
				}
			}
			if err := world.Validate(); err != nil {
				return fmt.Errorf("the model's own account of its problems cannot be used: %w", err)
			}
			s.sums, s.dialect = &world, dialect.Sums{Modulus: world.Modulus}
			s.settings = battery.Settings{Temperature: 1, MaxTokens: 2*world.Terms + 4, AnswerTokens: 4, Repeats: 4, Seed: c.Seed}
		case "steps":
			r := task.Range{Terms: [2]int{3, 6}, Operands: [2]int{0, 9}, Moduli: []int{5}}
			if len(served.Suite) > 0 {
				r = task.Range{}
				if err := json.Unmarshal(served.Suite, &r); err != nil {
					return fmt.Errorf("the model's own account of its problems cannot be read: %w", err)
				}
			}
			if err := r.Validate(); err != nil {
				return fmt.Errorf("the model's own account of its problems cannot be used: %w", err)
			}
			s.steps, s.dialect = &r, dialect.Steps{}
			s.settings = battery.Settings{Temperature: 1, MaxTokens: 10*r.Terms[1] + 8, AnswerTokens: 4, Repeats: 4, Seed: c.Seed}
		default:
			return fmt.Errorf("the model's chains are %q, which this candor does not read", served.Dialect)
		}
		if c.System != "" {
			return usageError{errors.New("--system is for models that read prose; this one was trained by candor")}
		}
	}
	s.model.Dialect = s.dialect.Name()
	if c.Temp != nil {
		s.settings.Temperature = *c.Temp
	}
	if c.TopP != nil {
		s.settings.TopP = *c.TopP
	}
	if c.MaxTokens > 0 {
		s.settings.MaxTokens = c.MaxTokens
	}
	if c.Repeats > 0 {
		s.settings.Repeats = c.Repeats
	}
	return nil
}

// labItems is how many problems a model of the lab is given unless --limit says otherwise.
const labItems = 100

// source returns the items, and the suites by name. A limit is one for each suite, so that a small audit has some of all.
func (c *auditCmd) source(s *auditSubject) (source suite.Source, names []string, err error) {
	var all []suite.Source
	names = c.Suite
	if s.sums != nil || s.steps != nil {
		own := s.dialect.Name()
		if len(names) > 0 && (len(names) > 1 || names[0] != own) {
			return nil, nil, fmt.Errorf("this model was trained by candor and reads only the suite %s, not %s", own, strings.Join(names, ", "))
		}
		names = []string{own}
		if source, err = c.labSource(s); err != nil {
			return nil, nil, err
		}
		all = append(all, source)
	} else {
		if len(names) == 0 {
			names = suite.Names()
		}
		for _, name := range names {
			if source, err = suite.Named(name, c.Seed, suite.Sizes{}); err != nil {
				return nil, nil, err
			}
			all = append(all, source)
		}
	}
	if c.SampleID != "" {
		if source, err = suite.Concat(all...); err == nil {
			source, err = suite.Only(source, c.SampleID)
		}
		all = []suite.Source{source}
	}
	for i := range all {
		if err != nil {
			return nil, nil, err
		}
		if c.Shuffle {
			all[i] = suite.Shuffle(all[i], c.Seed)
		}
		all[i], err = suite.Limit(all[i], c.Limit)
	}
	if err != nil {
		return nil, nil, err
	}
	source, err = suite.Concat(all...)
	return source, names, err
}

// labSource returns problems in a language of the lab: as many as are asked for, or as the world has up to labItems.
func (c *auditCmd) labSource(s *auditSubject) (source suite.Source, err error) {
	n, asked := labItems, false
	if first, err := strconv.Atoi(c.Limit); err == nil && first > 0 {
		n, asked = first, true
	}
	for ; ; n = n * 3 / 4 {
		if s.sums != nil {
			source, err = suite.Sums(*s.sums, n, c.Seed)
		} else {
			source, err = suite.Steps(*s.steps, n, c.Seed)
		}
		if err == nil || asked || n < 20 {
			return source, err
		}
	}
}

// judgeName is a judge's name in records: the model's, with a number where two are called the same.
func judgeName(judges []string, i int) string {
	name := func(i int) string {
		model, _, _ := strings.Cut(judges[i], "@")
		return slug(model)
	}
	n := 1
	for j := range i {
		if name(j) == name(i) {
			n++
		}
	}
	if n > 1 {
		return name(i) + "-" + strconv.Itoa(n)
	}
	return name(i)
}

// others opens the judges, the reader and the writer.
func (c *auditCmd) others(s *auditSubject, keys keys, w *world) (map[string]runner.Model, error) {
	out := map[string]runner.Model{}
	for i, spec := range c.Judge {
		m, err := c.other(spec, s, keys, w)
		if err != nil {
			return nil, usageError{fmt.Errorf("--judge %s: %w", spec, err)}
		}
		out[battery.JudgePrefix+judgeName(c.Judge, i)] = m
	}
	for role, spec := range map[string]string{battery.Reader: c.Reader, battery.Writer: c.Writer} {
		if spec == "" {
			continue
		}
		m, err := c.other(spec, s, keys, w)
		if err != nil {
			return nil, usageError{fmt.Errorf("--%s %s: %w", role, spec, err)}
		}
		out[role] = m
	}
	if c.Reader == "" && s.sums != nil {
		m, ok, err := c.labReader(s)
		if err != nil {
			return nil, err
		}
		if ok {
			out[battery.Reader] = m
		}
	}
	return out, nil
}

// other opens one model besides the audited one. The key of the audited endpoint goes to no other.
func (c *auditCmd) other(spec string, s *auditSubject, keys keys, w *world) (runner.Model, error) {
	name, base, elsewhere := strings.Cut(spec, "@")
	key := keys.judge
	if !elsewhere {
		if dir, _, _ := splitModel(spec); exists(dir) {
			return c.localOther(spec)
		}
		if base = s.model.BaseURL; base == "" {
			base = keys.baseURL
		}
		if base == "" {
			return runner.Model{}, errors.New("name its endpoint as well: NAME@URL")
		}
		key = keys.api
	}
	client, err := openai.NewClient(openai.Options{BaseURL: base, Key: key, Timeout: c.Timeout, Now: w.clock})
	if err != nil {
		return runner.Model{}, err
	}
	// Judges are only asked and listened to: nothing that not every endpoint can do is asked of them. Thoughts in their text are
	// left out.
	capabilities := openai.Capabilities{API: openai.ChatAPI, Reasoning: openai.ThinkTags, Provenance: llm.Raw, Continue: openai.NoContinue}
	gen, err := openai.NewGenerator(client, name, capabilities)
	if err != nil {
		return runner.Model{}, err
	}
	return runner.Model{Generator: gen, Identity: name + " at " + client.BaseURL()}, nil
}

func (c *auditCmd) localOther(name string) (runner.Model, error) {
	m, err := openLocal(name, c.threads())
	if err != nil {
		return runner.Model{}, err
	}
	return runner.Model{Generator: m.gen, Identity: "weights " + m.served.Weights, Local: true}, nil
}

// labReader is the reader of the lab's own language: that of the same run and seed, else the one inside this program.
func (c *auditCmd) labReader(s *auditSubject) (runner.Model, bool, error) {
	if s.sums.Terms != readerWorld.Terms || s.sums.Modulus != readerWorld.Modulus {
		return runner.Model{}, false, nil
	}
	gen, weights, err := openReader(c.threads())
	if err != nil {
		return runner.Model{}, false, err
	}
	return runner.Model{Generator: gen, Identity: "weights " + weights, Local: true}, true, nil
}
