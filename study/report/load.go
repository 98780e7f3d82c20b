package report

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"candor/study/runlog"
)

// curveMetrics are the training metrics that the page draws, by the kind of stage.
var curveMetrics = map[string][]string{
	"pretrain": {"loss"},
	"sft":      {"loss"},
	"grpo":     {"reward", "entropy", "completions/mean_length"},
}

// Load reads a finished run folder: its manifest, claims.json, samples.jsonl and the metrics of its training stages.
func Load(dir string) (Input, error) {
	m, err := runlog.ReadRunManifest(filepath.Join(dir, "manifest.json"))
	if err != nil {
		return Input{}, fmt.Errorf("%s is no run folder: %w", dir, err)
	}
	in := Input{
		Title: m.Title, Settings: m.Spec, Seeds: m.Seeds, Started: shown(m.Started), Finished: shown(m.Ended),
		Machine: []KV{
			{"processor", m.Machine.CPU}, {"system", m.Machine.System}, {"matrix kernels", m.Machine.Kernel},
			{"threads", strconv.Itoa(m.Machine.Threads)}, {"Go", m.Machine.Go}, {"commit", m.Machine.Commit},
		},
	}
	if !m.Started.IsZero() && !m.Ended.IsZero() {
		in.Machine = append(in.Machine, KV{"from start to end", m.Ended.Sub(m.Started).Round(time.Second).String()})
	}
	if err := runlog.ReadJSON(filepath.Join(dir, "claims.json"), &in.Decisions); err != nil {
		return Input{}, fmt.Errorf("%s is not finished: %w", dir, err)
	}
	if in.Samples, _, err = runlog.ReadSamples(filepath.Join(dir, "samples.jsonl"), true); err != nil {
		return Input{}, err
	}
	for _, arm := range m.Arms {
		in.Arms = append(in.Arms, Arm{Name: arm.Name, Title: arm.Name, Description: arm.About, Stages: arm.Kinds})
		for _, seed := range m.Seeds {
			curves, trainings, err := loadArm(dir, arm, seed)
			if err != nil {
				return Input{}, err
			}
			in.Curves, in.Trainings = append(in.Curves, curves...), append(in.Trainings, trainings...)
		}
	}
	return in, nil
}

func shown(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02 15:04:05 UTC")
}

// mostPoints bounds the points of a curve; more could not be told apart.
const mostPoints = 120

func kindOf(stage string) string {
	kind, _, _ := strings.Cut(stage, "-")
	return kind
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
