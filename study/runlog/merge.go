package runlog

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
)

// EachSample calls visit for each sample of a samples.jsonl; complete and torn are as in [EachLine].
func EachSample(path string, complete bool, visit func(Sample) error) (torn bool, err error) {
	return EachLine(path, complete, func(_ int, data []byte) error {
		s, err := parseSample(data)
		if err != nil {
			return err
		}
		return visit(s)
	})
}

// ReadSamples reads all samples of a samples.jsonl; complete and torn are as in [EachLine].
func ReadSamples(path string, complete bool) (samples []Sample, torn bool, err error) {
	torn, err = EachSample(path, complete, func(s Sample) error {
		samples = append(samples, s)
		return nil
	})
	return samples, torn, err
}

func parseSample(data []byte) (Sample, error) {
	var s Sample
	if err := json.Unmarshal(data, &s); err != nil {
		return Sample{}, fmt.Errorf("not a sample: %w", err)
	}
	return s, s.Validate()
}

// Part is one stage's share of a run's samples.
type Part struct {
	// Stage is the stage's folder name.
	Stage string
	// Arm and Seed, if Arm is not empty, replace those of the stage's samples: equal stages are computed once and shared by
	// arms, so a stage cannot know every arm that it belongs to.
	Arm  string
	Seed int
}

// MergeSamples writes the run's samples.jsonl: the samples of the parts in the order given, each with Run, and where the
// part says so Arm and Seed, filled in. All parts' stages must be done. It returns how many samples there are. The same
// parts give the same bytes.
func (f *Folder) MergeSamples(parts []Part) (n int, err error) {
	path := f.Path("samples.jsonl")
	err = f.disk.replace(path, func(out io.Writer) error {
		w := bufio.NewWriterSize(out, 1<<16)
		e := json.NewEncoder(w)
		e.SetEscapeHTML(false)
		for _, p := range parts {
			dir := f.Path("stages", p.Stage)
			status, err := ReadStatus(filepath.Join(dir, "status.json"))
			if err != nil {
				return err
			}
			if status.State != Done {
				return fmt.Errorf("stage %s is %s, not done", p.Stage, status.State)
			}
			_, err = EachSample(filepath.Join(dir, "samples.jsonl"), true, func(s Sample) error {
				s.Run = p.Stage
				if p.Arm != "" {
					s.Arm, s.Seed = p.Arm, p.Seed
				}
				n++
				return e.Encode(s)
			})
			if err != nil {
				return err
			}
		}
		return w.Flush()
	})
	if err != nil {
		return 0, fmt.Errorf("merging samples: %w", err)
	}
	return n, nil
}
