package report

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"candor/study/runlog"
)

// runFolder writes the files of a small finished run.
func runFolder(t *testing.T) string {
	dir := t.TempDir()
	write := func(name string, v any) {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		data, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, append(data, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	start := time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC)
	write("manifest.json", runlog.RunManifest{
		Study: "short", Spec: "seeds: [1]\n", Hash: strings.Repeat("ab", 16), Seeds: []int{1}, Stages: []string{"grpo-0123456789ab"}, Title: "a short study",
		Arms:    []runlog.Arm{{Name: "small-rl", About: "With RL.", Stages: map[string][]string{"1": {"grpo-0123456789ab"}}, Kinds: []string{"grpo"}}},
		Started: start, Ended: start.Add(90 * time.Second),
	})
	write("claims.json", exampleDecisions())
	write("samples.jsonl", runlog.Sample{Run: "grpo-0123456789ab", Arm: "small-rl", Seed: 1, Eval: "chain", ID: "1+2%5", Split: "test", Intervention: "none", Parsed: true, Answer: "3", Target: "3", Correct: true})
	write("stages/grpo-0123456789ab/metrics.jsonl", map[string]float64{"step": 7, "reward": .25})
	return dir
}

func TestLoad(t *testing.T) {
	dir := runFolder(t)
	in, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	if in.Title != "a short study" || len(in.Decisions) != 13 || len(in.Samples) != 1 || in.Started != "2026-03-02 10:00:00 UTC" {
		t.Errorf("title %q, %d decisions, %d samples, started %q", in.Title, len(in.Decisions), len(in.Samples), in.Started)
	}
	if len(in.Curves) != 1 || in.Curves[0].Metric != "grpo: reward" || in.Curves[0].Steps[0] != 7 || in.Curves[0].Values[0] != .25 {
		t.Errorf("curves %+v, want the reward of step 7", in.Curves)
	}
	for _, c := range [][2]string{{"claims.json", "is not finished"}, {"manifest.json", "is no run folder"}} {
		name, want := c[0], c[1]
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(dir); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("without %s: error %v, want %q", name, err, want)
		}
	}
}
