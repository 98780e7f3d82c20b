package report

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"candor/study/runlog"
)

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestReadSeries(t *testing.T) {
	path := filepath.Join(t.TempDir(), "metrics.jsonl")
	writeFile(t, path, `{"step":1,"reward":0.5}`+"\n"+`{"channel/bits":1.5,"step":3,"reward":0.25}`+"\n"+`{"step":4,"other":7}`+"\n")
	steps, values, err := readSeries(path, []string{"reward", bitsMetric, recallMetric})
	if err != nil {
		t.Fatal(err)
	}
	training, ok := newTraining("a", 1, "grpo-x", Setup{}, steps, values)
	if bits := training.Series[bitsMetric]; !ok || !slices.Equal(steps, []int{1, 3, 4}) || !slices.Equal(bits.Steps, []int{3}) || !slices.Equal(bits.Values, []float64{1.5}) {
		t.Errorf("steps %v, bits %+v", steps, bits)
	}
	if c := sparse(steps, values["reward"]); !slices.Equal(c.Steps, []int{1, 3}) || !slices.Equal(c.Values, []float64{.5, .25}) {
		t.Errorf("the curve of the reward is %+v", c)
	}
	if _, ok := values[recallMetric]; ok {
		t.Error("a metric that no row has is there")
	}
}

func TestDamagedMetricsAreRefusedWithTheirPlace(t *testing.T) {
	const good = `{"step":1,"channel/bits":1}` + "\n"
	for text, want := range map[string]string{
		"{\n":                                    ":2: not a line of metrics",
		"[1]\n":                                  ":2: not a line of metrics",
		"\n":                                     ":2: not a line of metrics",
		"{}\n":                                   `:2: not a line of metrics: "step" is missing`,
		"null\n":                                 `:2: not a line of metrics: "step" is missing`,
		`{"step":1.5}` + "\n":                    "not a whole number",
		`{"step":1e300}` + "\n":                  "not a whole number",
		`{"step":2,"channel/bits":1e999}` + "\n": ":2: not a line of metrics",
		`{"step":2,"channel/bits":"x"}` + "\n":   ":2: not a line of metrics",
		`{"step":2,"channel/bits":NaN}` + "\n":   ":2: not a line of metrics",
		`{"step":1}` + "\n":                      ":2: step 1 comes after step 1",
		`{"step":-9}` + "\n":                     ":2: step -9 comes after step 1",
		`{"step":2}`:                             ":2: the last line is torn",
		`{"step":2,"x":"` + strings.Repeat("x", 1<<20) + "\"}\n": ":2: the line is longer",
	} {
		path := filepath.Join(t.TempDir(), "metrics.jsonl")
		writeFile(t, path, good+text)
		if _, _, err := readSeries(path, trainingMetrics); err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: error %v, want %q", text, err, want)
		}
	}
}

func TestReadSetup(t *testing.T) {
	manifest := func(stage, sums string) string {
		return `{"settings":{"stage":{"grpo":{"sums":"tally",` + stage + `}},"parts":{"sums.tally":` + sums + `,"other":[1]}}}`
	}
	for text, want := range map[string]Setup{
		manifest(`"steps":160,"prompts":40,"group":8,"rewards":[{"name":"answer"},{"name":"stated","ramp":[0.4,0.6]}]`, `{"terms":6,"modulus":3}`): {
			Steps: 160, Rollouts: 320, Terms: 6, Modulus: 3, Ramp: [2]float64{.4, .6}},
		manifest(`"steps":200,"prompts":24,"group":8,"rewards":[{"name":"key-in-chain","weight":1},{"name":"key-in-output","weight":-1}]`, `{"terms":4,"modulus":5,"leak":true,"noise":0.6}`): {
			Steps: 200, Rollouts: 192, Terms: 4, Modulus: 5, Leak: true, Noise: .6},
		manifest(`"steps":-1,"prompts":9000000000,"group":8,"rewards":[{"name":"stated","ramp":[0.9,0.6]},{"name":"other","ramp":[0.1,0.2]}]`,
			`{"terms":0,"modulus":1,"noise":7}`): {},
		manifest(`"rewards":[{"name":"key-in-chain","weight":-0.5}]`, `{"terms":4,"modulus":5,"leak":true}`): {Terms: 4, Modulus: 5, Leak: true, Penalised: true},
		`{"settings":{"stage":{"eval":{}}}}`: {},
		`{}`:                                 {},
	} {
		path := filepath.Join(t.TempDir(), "manifest.json")
		writeFile(t, path, text)
		got, err := readSetup(path)
		if (got.Recipe != "") != strings.Contains(text, "sums.tally") {
			t.Errorf("%s has the recipe %q", text, got.Recipe)
		}
		if got.Recipe = ""; err != nil || got != want {
			t.Errorf("%s gives %+v, %v; want %+v", text, got, err, want)
		}
	}
	if got, err := readSetup(filepath.Join(t.TempDir(), "none.json")); err != nil || got != (Setup{}) {
		t.Errorf("without a manifest: %+v, %v", got, err)
	}
	for _, text := range []string{"", "{", `{"settings":[]}`, manifest(`"steps":1`, `"x"`), manifest(`"steps":"many"`, `{}`)} {
		path := filepath.Join(t.TempDir(), "manifest.json")
		writeFile(t, path, text)
		if _, err := readSetup(path); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%q: error %v, want one that names the file", text, err)
		}
	}
}

func TestLoadArm(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "stages", "grpo-aa", "metrics.jsonl"), `{"step":1,"reward":0.5,"hint/followed":0.25}`+"\n")
	writeFile(t, filepath.Join(dir, "stages", "sft-bb", "metrics.jsonl"), `{"step":1,"loss":2,"channel/bits":1}`+"\n")
	writeFile(t, filepath.Join(dir, "stages", "grpo-cc", "metrics.jsonl"), `{"step":1,"reward":0.5,"rewards/answer/mean":0.5}`+"\n")
	arm := runlog.Arm{Name: "penalty", Stages: map[string][]string{"1": {"sft-bb", "grpo-aa", "grpo-cc", "probe-dd"}}}
	curves, trainings, err := loadArm(dir, arm, 1)
	if err != nil {
		t.Fatal(err)
	}
	if len(curves) != 3 || curves[0].Metric != "sft: loss" || curves[1].Metric != "grpo: reward" {
		t.Errorf("curves %+v", curves)
	}
	if len(trainings) != 1 || trainings[0].Run != "grpo-aa" || len(trainings[0].Series) != 1 {
		t.Errorf("trainings %+v, want that of grpo-aa alone: the others are of another study, or no reinforcement", trainings)
	}
	arm.Stages["1"] = []string{"../grpo-aa"}
	if _, _, err := loadArm(dir, arm, 1); err == nil || !strings.Contains(err.Error(), "is no name of a folder") {
		t.Errorf("a stage outside the run: error %v", err)
	}
}
