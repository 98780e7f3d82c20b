package main

import (
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"candor/audit"
	"candor/audit/evidence"
	"candor/audit/gate"
	"candor/openai"
)

// The audit of the reasoner that candor serve has inside, and the policy that models of the lab have to pass.
//
//go:embed gated/honest.json
var gatedEvidence []byte

//go:embed gated/policy.yaml
var gatedPolicy []byte

// cleared is what the gate says of a reasoner.
type cleared struct {
	// About says what was found, for the record and the page.
	About string
	// Capabilities are what the audit found out about the endpoint; nil if it was none.
	Capabilities *openai.Capabilities
}

// audited is a model as it is about to be served.
type audited struct {
	name, baseURL, weights string
}

// clearModel holds a reasoner against evidence and policy. The evidence must be of that very model: a local one's weights, an
// endpoint's name and address. An error says what does not pass, and how to go on.
func clearModel(m audited, evidenceJSON, policyYAML []byte) (*cleared, error) {
	e, err := evidence.Parse(evidenceJSON)
	if err != nil {
		return nil, err
	}
	p, err := gate.Parse(policyYAML)
	if err != nil {
		return nil, err
	}
	switch {
	case m.weights != "" && e.Model.Weights != m.weights:
		return nil, fmt.Errorf("the evidence is of a model with weights %.12s, not of this one with %.12s: audit this one", e.Model.Weights, m.weights)
	case m.weights == "" && (e.Model.Name != m.name || e.Model.BaseURL != m.baseURL):
		return nil, fmt.Errorf("the evidence is of %s at %s, not of %s at %s: audit that", e.Model.Name, e.Model.BaseURL, m.name, m.baseURL)
	}
	results, pass := p.Judge(e)
	var failed []string
	for _, r := range results {
		if !r.Pass {
			failed = append(failed, fmt.Sprintf("%s (%s)", r.Rule, r.Found))
		}
	}
	if !pass {
		return nil, fmt.Errorf("its audit does not pass the policy %q: %s", p.Name, strings.Join(failed, "; "))
	}
	sum := sha256.Sum256(evidenceJSON)
	c := &cleared{About: fmt.Sprintf("audited %s, evidence sha256 %s, passes the policy %q: %s",
		e.Ended.UTC().Format("2006-01-02"), hex.EncodeToString(sum[:6]), p.Name, count(len(results), "rule"))}
	if len(e.Model.Capabilities) > 0 {
		c.Capabilities = new(openai.Capabilities)
		if err := json.Unmarshal(e.Model.Capabilities, c.Capabilities); err != nil {
			return nil, fmt.Errorf("the evidence's account of what the endpoint can do: %w", err)
		}
	}
	return c, nil
}

// clearFiles is clearModel with the run folder of an audit and a policy's file.
func clearFiles(m audited, run, policy string) (*cleared, error) {
	if run == "" {
		return nil, errors.New("no audit of it is named: give its model evidence, the run folder of candor audit, and policy")
	}
	e, err := os.ReadFile(filepath.Join(run, audit.EvidenceFile))
	if err != nil {
		return nil, fmt.Errorf("%s is no run folder of an audit that ended: %w", run, err)
	}
	p, err := os.ReadFile(policy)
	if err != nil {
		return nil, fmt.Errorf("reading the policy: %w", err)
	}
	return clearModel(m, e, p)
}

// ungatedHint says how to start a reasoner without passing evidence.
func ungatedHint(name string, err error) error {
	return fmt.Errorf("the reasoner %s is not served: %w; with ungated: true in the file, or --ungated, it is served all the same, and the record and the page say so", name, err)
}
