// Package config is candor.yaml: what a gateway serves and how. [Parse] is strict: an unknown key, a value of the wrong kind or a
// name that nothing has is an error with its place and the valid choices.
//
//	models:
//	  big:   {base_url: http://127.0.0.1:8000/v1, model: qwen3-8b, evidence: runs/audit-qwen3-8b, policy: policy.yaml}
//	  small: {base_url: http://127.0.0.1:8001/v1, model: smollm3-3b}
//	reasoner: {model: big, max_tokens: 4096, timeout: 60s, retries: 2}
//	paraphraser: {model: small, per: step}
//	face: {model: small, policy: "Answer in plain words."}
//	monitors:
//	  - {kind: judge, model: small, policy_file: judge.txt, sees: private, threshold: .7, on_block: hold}
//
// Paths are relative to the file's folder. Keys of servers never stand in the file: api_key_env names a variable of the environment.
package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/goccy/go-yaml"

	"candor/reasoning/compose"
	"candor/serve/gateway"
)

// Config is a whole file.
type Config struct {
	// Name is what clients call the two-part system; "candor" if it is empty.
	Name   string `yaml:"name"`
	Listen string `yaml:"listen"`
	TLS    *TLS   `yaml:"tls"`
	// Ledger is a file, or env:NAME of a variable with a postgres:// URL.
	Ledger string `yaml:"ledger"`
	// LedgerKey is the file with the key that signs checkpoints; it is made if it is not there.
	LedgerKey string `yaml:"ledger_key"`
	// Keys is the file with the API keys that candor keys writes.
	Keys        string           `yaml:"keys"`
	Models      map[string]Model `yaml:"models"`
	Reasoner    Reasoner         `yaml:"reasoner"`
	Paraphraser *Paraphraser     `yaml:"paraphraser"`
	Face        *Face            `yaml:"face"`
	Monitors    []Monitor        `yaml:"monitors"`
	Trusted     *Role            `yaml:"trusted"`
	// Tries is how often a prompt is tried in all where a verdict asks for another try.
	Tries     int        `yaml:"tries"`
	HoldWait  Duration   `yaml:"hold_wait"`
	Agent     *Agent     `yaml:"agent"`
	Limits    Limits     `yaml:"limits"`
	Telemetry *Telemetry `yaml:"telemetry"`
}

// TLS names the files of a certificate.
type TLS struct {
	Cert string `yaml:"cert"`
	Key  string `yaml:"key"`
}

// Model is an endpoint, or a model that candor trained.
type Model struct {
	BaseURL string `yaml:"base_url"`
	Model   string `yaml:"model"`
	// APIKeyEnv names the variable with the server's key; Headers are sent with each call.
	APIKeyEnv string            `yaml:"api_key_env"`
	Headers   map[string]string `yaml:"headers"`
	// Capabilities is a JSON file with what the server can do, as an audit's preflight finds it out; without it that of the
	// evidence counts, and without that it is found out at the start.
	Capabilities string `yaml:"capabilities"`
	// Local is a model that candor trained: what candor audit takes as its argument.
	Local string `yaml:"local"`
	// Evidence is the run folder of its audit, and Policy the policy that it has to pass to be a reasoner.
	Evidence string `yaml:"evidence"`
	Policy   string `yaml:"policy"`
}

// Role is a model in a role.
type Role struct {
	Model    string   `yaml:"model"`
	Fallback []string `yaml:"fallback"`
	Timeout  Duration `yaml:"timeout"` // of a call; 0 means 60 s
	Retries  *int     `yaml:"retries"` // 2 if it is not given
	// InFlight is the most calls at a time; 0 sets no bound.
	InFlight int `yaml:"in_flight"`
}

// Reasoner is the private part.
type Reasoner struct {
	Role        `yaml:",inline"`
	Instruct    string   `yaml:"instruct"`
	MaxTokens   int      `yaml:"max_tokens"`
	Temperature *float64 `yaml:"temperature"`
	// Ungated lets a reasoner start without passing audit evidence. It stands in the ledger and on the page.
	Ungated bool `yaml:"ungated"`
}

// Paraphraser stands between the reasoner and everybody who reads on.
type Paraphraser struct {
	Role `yaml:",inline"`
	// Rule is "prose": rewording by candor's own rules. Rule or a model is given.
	Rule      string `yaml:"rule"`
	Instruct  string `yaml:"instruct"`
	Per       string `yaml:"per"` // "step" or "whole"; whole if it is empty
	MaxTokens int    `yaml:"max_tokens"`
}

// Face writes the answer.
type Face struct {
	Role `yaml:",inline"`
	// Policy is the text that it applies.
	Policy    string `yaml:"policy"`
	MaxTokens int    `yaml:"max_tokens"`
	// Hide are regular expressions of what is kept from it: what they match in the prompt is replaced by "[...]".
	Hide []string `yaml:"hide"`
	// Last keeps all but the last messages of a conversation from it; 0 shows all.
	Last int `yaml:"last"`
}

// Monitor is a gate.
type Monitor struct {
	// Kind is one of [Kinds]. The systems of the lab bring their own monitors, which read the lab's languages.
	Kind string `yaml:"kind"`
	Role `yaml:",inline"`
	Name string `yaml:"name"`
	// Rules is the file of kind rules, Policy or PolicyFile the text of kind judge, Samples the file that answer-only is fitted on.
	Rules      string `yaml:"rules"`
	Policy     string `yaml:"policy"`
	PolicyFile string `yaml:"policy_file"`
	Samples    string `yaml:"samples"`
	// Sees is private, shown or output.
	Sees string `yaml:"sees"`
	// Threshold is given, or Calibration is a file of candor monitors calibrate.
	Threshold   *float64 `yaml:"threshold"`
	Calibration string   `yaml:"calibration"`
	OnBlock     string   `yaml:"on_block"`
	OnError     string   `yaml:"on_error"`
}

// Agent is a loop of the same system with tools.
type Agent struct {
	// Name is what clients call it; Config.Name + "-agent" if it is empty.
	Name     string         `yaml:"name"`
	MCP      []MCP          `yaml:"mcp"`
	Reviewer ReviewerConfig `yaml:"reviewer"`
	// Depth is how deep sub-goals may be nested; 0 offers none.
	Depth  int      `yaml:"depth"`
	Steps  int      `yaml:"steps"`
	Calls  int      `yaml:"calls"`
	Tokens int      `yaml:"tokens"`
	Time   Duration `yaml:"time"`
	// Cost is the most that one goal may cost: tokens at PricePerToken, and each tool call at PricePerCall, in any unit.
	Cost          float64 `yaml:"cost"`
	PricePerToken float64 `yaml:"price_per_token"`
	PricePerCall  float64 `yaml:"price_per_call"`
}

// ReviewerConfig is who reviews each action.
type ReviewerConfig struct {
	Role   `yaml:",inline"`
	Policy string `yaml:"policy"`
	// Sees is none, shown or private.
	Sees string `yaml:"sees"`
}

// MCP is a server of tools: a command, or a URL.
type MCP struct {
	Name    string            `yaml:"name"`
	Command []string          `yaml:"command"`
	Env     map[string]string `yaml:"env"`
	URL     string            `yaml:"url"`
	Headers map[string]string `yaml:"headers"`
	Allow   []string          `yaml:"allow"`
	Timeout Duration          `yaml:"timeout"`
}

// Limits bound what clients may cost.
type Limits struct {
	InFlight  int      `yaml:"in_flight"`  // answers at a time; 1,024 if 0
	BodyBytes int64    `yaml:"body_bytes"` // of a request; 4 MiB if 0
	Timeout   Duration `yaml:"timeout"`    // of an answer; 5 minutes if 0
}

// Telemetry is where traces go. Texts stay at home unless Content is set, and private chains unless PrivateChain is.
type Telemetry struct {
	Endpoint     string            `yaml:"endpoint"`
	Headers      map[string]string `yaml:"headers"`
	Content      bool              `yaml:"content"`
	PrivateChain bool              `yaml:"private_chain"`
}

// Duration is written as in "60s".
type Duration time.Duration

// UnmarshalYAML reads a duration.
func (d *Duration) UnmarshalYAML(data []byte) error {
	v, err := time.ParseDuration(strings.Trim(strings.TrimSpace(string(data)), `"'`))
	if err != nil {
		return fmt.Errorf("%s is no duration: write one such as 500ms, 60s or 5m", bytes.TrimSpace(data))
	}
	if v < 0 {
		return fmt.Errorf("the duration %s is negative", bytes.TrimSpace(data))
	}
	*d = Duration(v)
	return nil
}

// maxFile bounds the file.
const maxFile = 1 << 20

// Parse reads a file, fills in what it leaves out, and checks all that can be checked without other files.
func Parse(r io.Reader) (*Config, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxFile {
		return nil, fmt.Errorf("it is longer than %d bytes", maxFile)
	}
	var c Config
	if err := decode(data, &c); err != nil {
		return nil, err
	}
	c.setDefaults()
	return &c, c.check()
}

func decode(data []byte, into *Config) (err error) {
	defer func() {
		if p := recover(); p != nil { // the YAML library's fault, on a file that is no YAML anyway
			err = fmt.Errorf("it cannot be read as YAML: %v", p)
		}
	}()
	if err := yaml.NewDecoder(bytes.NewReader(data), yaml.Strict()).Decode(into); err != nil && !errors.Is(err, io.EOF) {
		return errors.New(strings.TrimSpace(yaml.FormatError(err, false, true)))
	}
	return nil
}

// follow returns a setting as what follows; "" is block.
func follow(s string) gateway.Follow {
	if s == "" {
		return gateway.Block
	}
	return gateway.Follow(s)
}

// Rule returns what follows for a monitor's gate.
func (m *Monitor) Rule() gateway.Rule {
	return gateway.Rule{OnBlock: follow(m.OnBlock), OnError: follow(m.OnError), Sees: compose.Part(m.Sees)}
}

// Lab returns the configuration of a system of models that candor trained, by the name that candor serve was given.
func Lab(name string, ungated bool) (*Config, error) {
	c := &Config{Models: map[string]Model{name: {Local: name}}}
	c.Reasoner.Model, c.Reasoner.Ungated = name, ungated
	c.setDefaults()
	return c, c.check()
}
