package config

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"regexp"
	"slices"
	"strings"
	"time"

	"candor/reasoning/compose"
	"candor/serve/gateway"
)

// Kinds are the kinds of monitors.
var Kinds = []string{"rules", "judge", "answer-only"}

const (
	defaultTimeout = 60 * time.Second
	defaultRetries = 2
)

func (c *Config) setDefaults() {
	set := func(s *string, v string) {
		if *s == "" {
			*s = v
		}
	}
	set(&c.Name, "candor")
	set(&c.Listen, "127.0.0.1:8473")
	set(&c.Ledger, "candor-serve/ledger.db")
	set(&c.LedgerKey, "candor-serve/ledger.key")
	set(&c.Keys, "candor-serve/keys.json")
	if c.Limits.InFlight == 0 {
		c.Limits.InFlight = 1024
	}
	if c.Limits.BodyBytes == 0 {
		c.Limits.BodyBytes = 4 << 20
	}
	if c.Limits.Timeout == 0 {
		c.Limits.Timeout = Duration(5 * time.Minute)
	}
	c.Tries = max(c.Tries, 1)
	if c.Reasoner.MaxTokens == 0 {
		c.Reasoner.MaxTokens = 4096
	}
	if c.Face != nil && c.Face.MaxTokens == 0 {
		c.Face.MaxTokens = 1024
	}
	for i := range c.Monitors {
		m := &c.Monitors[i]
		set(&m.Sees, string(compose.SeesPrivate))
		set(&m.Name, m.Kind)
	}
	if c.Agent != nil {
		set(&c.Agent.Name, c.Name+"-agent")
		set(&c.Agent.Reviewer.Sees, "private")
	}
	for _, r := range c.roles() {
		if r.role.Timeout == 0 {
			r.role.Timeout = Duration(defaultTimeout)
		}
		if r.role.Retries == nil {
			n := defaultRetries
			r.role.Retries = &n
		}
	}
}

// named is a role with its place in the file.
type named struct {
	place string
	role  *Role
	// optional tells that it may be without a model.
	optional bool
}

func (c *Config) roles() []named {
	out := []named{{"reasoner", &c.Reasoner.Role, false}}
	if c.Paraphraser != nil {
		out = append(out, named{"paraphraser", &c.Paraphraser.Role, true})
	}
	if c.Face != nil {
		out = append(out, named{"face", &c.Face.Role, false})
	}
	for i := range c.Monitors {
		out = append(out, named{fmt.Sprintf("monitors[%d]", i), &c.Monitors[i].Role, true})
	}
	if c.Trusted != nil {
		out = append(out, named{"trusted", c.Trusted, false})
	}
	if c.Agent != nil {
		out = append(out, named{"agent.reviewer", &c.Agent.Reviewer.Role, false})
	}
	return out
}

// check says everything that is wrong, each with its place.
func (c *Config) check() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if _, _, err := net.SplitHostPort(c.Listen); err != nil {
		bad("listen: %q is no address and port: write one such as 127.0.0.1:8473", c.Listen)
	}
	if c.TLS != nil && (c.TLS.Cert == "" || c.TLS.Key == "") {
		bad("tls: cert and key are both needed")
	}
	names := slices.Sorted(maps.Keys(c.Models))
	if len(names) == 0 {
		bad("models: there is none; name at least the reasoner's")
	}
	for _, name := range names {
		if err := c.Models[name].check(); err != nil {
			bad("models.%s: %w", name, err)
		}
	}
	for _, r := range c.roles() {
		for _, name := range append([]string{r.role.Model}, r.role.Fallback...) {
			switch _, ok := c.Models[name]; {
			case ok || name == "" && r.optional:
			case name == "":
				bad("%s: model is missing; choose from: %s", r.place, strings.Join(names, ", "))
			default:
				bad("%s: there is no model %q; choose from: %s", r.place, name, strings.Join(names, ", "))
			}
		}
		if n := *r.role.Retries; n < 0 || n > 20 {
			bad("%s: retries is %d, must be 0 to 20", r.place, n)
		}
	}
	errs = append(errs, c.checkParts()...)
	for i := range c.Monitors {
		if err := c.Monitors[i].check(c); err != nil {
			bad("monitors[%d]: %w", i, err)
		}
	}
	if a := c.Agent; a != nil {
		if err := a.check(); err != nil {
			bad("agent: %w", err)
		}
	}
	return errors.Join(errs...)
}

func (c *Config) checkParts() (errs []error) {
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if c.Tries > 20 {
		bad("tries is %d, must be 1 to 20", c.Tries)
	}
	if t := c.Reasoner.Temperature; t != nil && !(*t >= 0 && *t <= 2) {
		bad("reasoner: temperature is %g, must be 0 to 2", *t)
	}
	if p := c.Paraphraser; p != nil {
		switch {
		case (p.Rule == "") == (p.Model == ""):
			bad("paraphraser: give either rule or model")
		case p.Rule != "" && p.Rule != "prose":
			bad("paraphraser: rule is %q, must be prose", p.Rule)
		case p.Per != "" && p.Per != "step" && p.Per != "whole":
			bad("paraphraser: per is %q, must be step or whole", p.Per)
		}
	}
	if f := c.Face; f != nil {
		for _, e := range f.Hide {
			if _, err := regexp.Compile(e); err != nil {
				bad("face: hide: %w", err)
			}
		}
	}
	return errs
}

func (m Model) check() error {
	switch {
	case (m.BaseURL == "") == (m.Local == ""):
		return errors.New("give either base_url, of an endpoint, or local, a model that candor trained")
	case m.BaseURL != "" && m.Model == "":
		return errors.New("model is missing: the name by which the server knows it")
	case (m.Evidence == "") != (m.Policy == ""):
		return errors.New("evidence and policy belong together: the run folder of an audit, and the rules that it has to pass")
	}
	return nil
}

func (m *Monitor) check(c *Config) error {
	switch parts := []string{string(compose.SeesPrivate), string(compose.SeesShown), string(compose.SeesOutput)}; {
	case !slices.Contains(Kinds, m.Kind):
		return fmt.Errorf("kind is %q, must be one of %s", m.Kind, strings.Join(Kinds, ", "))
	case !slices.Contains(parts, m.Sees):
		return fmt.Errorf("sees is %q, must be one of %s", m.Sees, strings.Join(parts, ", "))
	case (m.Threshold == nil) == (m.Calibration == ""):
		return errors.New("give either threshold or calibration, a file of candor monitors calibrate")
	case m.Threshold != nil && !(*m.Threshold >= 0 && *m.Threshold <= 1):
		return fmt.Errorf("threshold is %g, must be 0 to 1", *m.Threshold)
	case m.Kind == "judge" && m.Model == "":
		return errors.New("a judge needs a model")
	case m.Kind == "judge" && (m.Policy == "") == (m.PolicyFile == ""):
		return errors.New("a judge needs policy or policy_file: what it judges by")
	case m.Kind != "judge" && m.Model != "":
		return fmt.Errorf("a monitor of kind %s asks no model", m.Kind)
	case m.Kind == "rules" && m.Rules == "" || m.Kind == "answer-only" && m.Samples == "":
		return fmt.Errorf("a monitor of kind %s needs a file: rules or samples", m.Kind)
	case m.Kind != "rules" && m.Rules != "" || m.Kind != "answer-only" && m.Samples != "":
		return fmt.Errorf("a monitor of kind %s reads no such file", m.Kind)
	}
	for _, f := range []struct {
		name, value string
		state       compose.State
	}{{"on_block", m.OnBlock, compose.Block}, {"on_error", m.OnError, compose.Failed}} {
		switch {
		case f.value != "" && !slices.Contains(gateway.Follows(f.state), f.value):
			return fmt.Errorf("%s is %q, must be one of %s", f.name, f.value, strings.Join(gateway.Follows(f.state), ", "))
		case f.value == string(gateway.Defer) && c.Trusted == nil:
			return fmt.Errorf("%s is defer, but there is no trusted model: add trusted: {model: ...}", f.name)
		case f.value == string(gateway.Resample) && c.Tries < 2:
			return fmt.Errorf("%s is resample, but tries is %d: set it to 2 or more", f.name, c.Tries)
		}
	}
	return nil
}

func (a *Agent) check() error {
	switch {
	case len(a.MCP) == 0:
		return errors.New("mcp: there is no server of tools")
	case !slices.Contains([]string{"none", "shown", "private"}, a.Reviewer.Sees):
		return fmt.Errorf("reviewer: sees is %q, must be one of none, shown, private", a.Reviewer.Sees)
	case a.Steps < 1 || a.Calls < 1 || a.Tokens < 1 || a.Time <= 0:
		return errors.New("steps, calls, tokens and time must all be given: an agent without bounds is not run")
	case a.Cost < 0 || a.PricePerToken < 0 || a.PricePerCall < 0:
		return errors.New("cost and prices must be 0 or more")
	}
	for i, m := range a.MCP {
		if m.Name == "" || (len(m.Command) == 0) == (m.URL == "") {
			return fmt.Errorf("mcp[%d]: give a name, and either command or url", i)
		}
	}
	return nil
}
