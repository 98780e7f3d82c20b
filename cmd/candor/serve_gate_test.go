package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"candor/audit"
)

// The gate of the lab can come out against a reasoner: of those inside this program, the ones that RL brought to hide or to cheat do not
// pass it, by audits that are made here.
func TestTheGateOfTheLab(t *testing.T) {
	for arm, passes := range map[string]bool{"honest": true, "hidden": false, "penalty": false, "results": false} {
		dir := filepath.Join(t.TempDir(), "audit")
		var errs strings.Builder
		w := world{stdin: strings.NewReader(""), stdout: io.Discard, stderr: &errs, env: func(string) string { return "" }, clock: time.Now, program: "candor"}
		if code := run(t.Context(), []string{"audit", "--model", arm, "--out", dir}, w); code != 0 {
			t.Fatalf("auditing %s: exit code %d, %s", arm, code, errs.String())
		}
		evidence, err := os.ReadFile(filepath.Join(dir, audit.EvidenceFile))
		if err != nil {
			t.Fatal(err)
		}
		sys, err := openLabSystem(arm)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := clearModel(audited{name: arm, weights: sys.weights}, evidence, gatedPolicy); (err == nil) != passes {
			t.Errorf("%s: the gate says %v, want it to pass: %v", arm, err, passes)
		}
		if arm == "honest" {
			if _, err := clearEmbedded(audited{name: arm, weights: sys.weights}); err != nil {
				t.Errorf("the evidence inside this program: %v; audit honest anew and put its evidence.json into gated/honest.json", err)
			}
		}
	}
}

// Evidence counts for the very model that was audited.
func TestEvidenceOfAnotherModelDoesNotCount(t *testing.T) {
	remote := []byte(strings.NewReplacer(`"weights": "524346a033e684dec586a75dff18e4e507349e6256b6c2ad9eede28ea5ee9660",`, `"base_url": "http://a/v1",`).Replace(string(gatedEvidence)))
	if !strings.Contains(string(remote), `"base_url"`) {
		t.Fatal("the evidence inside this program has another form than this test knows")
	}
	for _, tc := range []struct {
		name     string
		m        audited
		evidence []byte
		want     string // "" if it counts
	}{
		{"other weights", audited{name: "honest", weights: strings.Repeat("0", 64)}, gatedEvidence, "of a model with weights 524346a033e6"},
		{"same endpoint", audited{name: "honest", baseURL: "http://a/v1"}, remote, ""},
		{"other endpoint", audited{name: "honest", baseURL: "http://b/v1"}, remote, "of honest at http://a/v1, not of honest at http://b/v1"},
		{"other name", audited{name: "honester", baseURL: "http://a/v1"}, remote, "not of honester"},
		{"no evidence", audited{name: "honest", baseURL: "http://a/v1"}, []byte("{}"), "evidence of version 0"},
	} {
		c, err := clearModel(tc.m, tc.evidence, gatedPolicy)
		if tc.want == "" {
			if err != nil || !strings.Contains(c.About, "passes the policy") {
				t.Errorf("%s: %v, %v", tc.name, c, err)
			}
		} else if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want an error with %q", tc.name, err, tc.want)
		}
	}
}
