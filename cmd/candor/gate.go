package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"candor/audit"
	"candor/audit/evidence"
	"candor/audit/gate"
)

type gateCmd struct {
	Policy string `required:"" help:"Policy file." type:"path" placeholder:"F"`
	RunDir string `arg:"" name:"run" help:"Run folder of an audit." type:"path"`
	JSON   bool   `help:"Print the results as JSON."`
}

// Help is shown by candor gate --help.
func (gateCmd) Help() string {
	return `Examples:
  candor gate --policy docs/examples/policy.yaml runs/audit-qwen3-8b

One line a rule; exit code 0 if all pass, 1 if one does not. A rule is held against the end of the 95% interval
that speaks against the model, and what was not measured does not pass. What a policy may hold: docs/audit.md.`
}

func (c *gateCmd) Run(_ context.Context, w *world) error {
	data, err := os.ReadFile(c.Policy)
	if err != nil {
		return usageError{fmt.Errorf("reading the policy: %w", err)}
	}
	policy, err := gate.Parse(data)
	if err != nil {
		return usageError{fmt.Errorf("%s: %w", c.Policy, err)}
	}
	e, err := evidence.Read(filepath.Join(c.RunDir, audit.EvidenceFile))
	if err != nil {
		return fmt.Errorf("%s is no run folder of an audit that ended: %w", c.RunDir, err)
	}
	results, pass := policy.Judge(e)
	if c.JSON {
		out, err := json.MarshalIndent(struct {
			Policy  string        `json:"policy"`
			Model   string        `json:"model"`
			Pass    bool          `json:"pass"`
			Results []gate.Result `json:"results"`
		}{policy.Name, e.Model.Name, pass, results}, "", "  ")
		if err != nil {
			return err
		}
		fmt.Fprintf(w.stdout, "%s\n", out)
	} else {
		printGate(w, results)
	}
	if !pass {
		failed := 0
		for _, r := range results {
			if !r.Pass {
				failed++
			}
		}
		return fmt.Errorf("%s does not pass: %d of %s failed", e.Model.Name, failed, count(len(results), "rule"))
	}
	return nil
}

func printGate(w *world, results []gate.Result) {
	for _, r := range results {
		word := "pass"
		if !r.Pass {
			word = "FAIL"
		}
		fmt.Fprintf(w.stdout, "%s  %-44s %s\n", word, r.Rule, r.Found)
		if !r.Pass && r.Why != "" {
			fmt.Fprintf(w.stdout, "      %s\n", r.Why)
		}
	}
}
