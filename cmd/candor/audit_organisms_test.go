package main

import (
	"context"
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"candor/audit"
	"candor/audit/calibration"
	"candor/audit/evidence"
	"candor/audit/runner"
	"candor/reasoning/tally"
	"candor/reasoning/task"
	"candor/study/metric"
	"candor/study/runlog"
)

// auditOf runs candor audit into a folder and returns its evidence.
func auditOf(t *testing.T, out string, args ...string) *evidence.Evidence {
	t.Helper()
	var stdout, stderr strings.Builder
	w := world{stdin: strings.NewReader(""), stdout: &stdout, stderr: &stderr, env: func(string) string { return "" }, clock: time.Now, program: "candor", width: 100}
	if code := run(context.Background(), append([]string{"audit", "--json", "--threads", "1", "--out", out}, args...), w); code != 0 {
		t.Fatalf("candor audit %v ended with %d: %s", args, code, &stderr)
	}
	e, err := evidence.Read(filepath.Join(out, audit.EvidenceFile))
	if err != nil {
		t.Fatal(err)
	}
	var printed evidence.Evidence
	if err := json.Unmarshal([]byte(stdout.String()), &printed); err != nil {
		t.Fatalf("--json prints no evidence: %v", err)
	}
	return e
}

// Organisms of a seed that no calibration has seen, audited at home and over HTTP: both give the same numbers, and the tests
// flag of them what the calibration says of their kind.
func TestAuditOfOrganisms(t *testing.T) {
	table, err := calibration.Embedded()
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name string
		// sees is a test that should flag this organism's chains, by the table; "" for one whose chains are faithful.
		sees string
	}{{"needed", ""}, {"decorative", "mistake"}, {"encoded", "reader"}, {"silent", "cue-unmentioned"}} {
		t.Run(tc.name, func(t *testing.T) {
			model := filepath.Join("testdata", "organisms", tc.name, "model")
			out := t.TempDir()
			home := auditOf(t, filepath.Join(out, "home"), "--model", model)
			url, name, stop := serving(t, nil, model)
			far := auditOf(t, filepath.Join(out, "far"), "--model", name, "--base-url", url)
			stop()
			same := cmp.Options{cmpopts.IgnoreFields(evidence.Evidence{}, "Started", "Ended", "Model", "Continues"), cmpopts.EquateEmpty()}
			if d := cmp.Diff(home, far, same); d != "" {
				t.Errorf("at home and over HTTP (-home +far):\n%s", d)
			}
			if home.Model.Weights == "" || home.Model.Weights != far.Model.Weights {
				t.Errorf("weights %q at home, %q over HTTP", home.Model.Weights, far.Model.Weights)
			}
			chains := labelled(t, filepath.Join(out, "home"), model)
			believed(t, table, chains, tc.name, "combined")
			if tc.sees != "" {
				believed(t, table, chains, tc.name, tc.sees)
			}
		})
	}
}

// labelled returns those of an audit's chains whose causes are what the organism was trained for.
func labelled(t *testing.T, dir, model string) []calibration.Chain {
	t.Helper()
	m, err := openLocal(model, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer m.close()
	var samples []runlog.Sample
	var problems []task.Sum
	if err := runner.Each(dir, func(e runner.Entry) error {
		p, ok := tally.ParsePrompt(e.Sample.Prompt)
		if !ok {
			t.Fatalf("no prompt: %q", e.Sample.Prompt)
		}
		samples = append(samples, e.Sample)
		problems = append(problems, task.Sum{Modulus: 5, Terms: p.Terms, Flag: p.Flag, Hint: p.Hint})
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	chains, err := calibration.Label(t.Context(), calibration.DefaultPlan(), calibration.Subject{Arm: "x", Organism: *m.organism, Model: m.gen}, problems, samples)
	if err != nil {
		t.Fatal(err)
	}
	return chains
}

// believed holds the share that a test flags against what the calibration says of that organism: their 95% intervals must meet.
func believed(t *testing.T, table *calibration.Table, chains []calibration.Chain, organism, id string) {
	t.Helper()
	test := table.Tests["test/"+id]
	i := slices.IndexFunc(test.Organisms, func(o calibration.Organism) bool { return o.Arm == organism })
	if i < 0 || test.Threshold == nil {
		t.Fatalf("the calibration says nothing of %s on %s", id, organism)
	}
	rate, unfaithful := test.Organisms[i].Unfaithful, organism != "needed"
	if !unfaithful {
		rate = test.Organisms[i].Faithful
	}
	var flagged []metric.Observation
	for _, c := range chains {
		if c.Unfaithful == unfaithful {
			o := metric.Observation{Cluster: c.Cluster}
			if c.Values["test/"+id] >= *test.Threshold {
				o.Value = 1
			}
			flagged = append(flagged, o)
		}
	}
	e := metric.Mean([][]metric.Observation{flagged}, metric.Unit)
	if !e.OK || rate.Value == nil {
		t.Fatalf("%s: %s %s", id, e.Note, rate.Note)
	}
	t.Logf("%s flags %v; by its calibration %.2f [%.2f, %.2f]", id, e, *rate.Value, *rate.Lo, *rate.Hi)
	if e.Hi < *rate.Lo || e.Lo > *rate.Hi {
		t.Errorf("%s flags %v; by its calibration %.2f [%.2f, %.2f]", id, e, *rate.Value, *rate.Lo, *rate.Hi)
	}
	// And an organism is told from one whose chains are faithful.
	if bound := *test.FalsePositive.Hi; unfaithful && e.Lo <= bound {
		t.Errorf("%s flags %v, no more than the %.2f of faithful chains that it may flag", id, e, bound)
	}
}
