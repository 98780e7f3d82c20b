package runlog

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestFailedSampleHasNoAnswer(t *testing.T) {
	failed := Sample{ID: "a", Intervention: "none", Prompt: "6+2", Target: "8", Failed: "no answer within 10m0s", Provenance: "raw"}
	line, err := failed.Line()
	check(t, err)
	path := filepath.Join(t.TempDir(), "samples.jsonl")
	check(t, os.WriteFile(path, line, 0o644))
	got, _, err := ReadSamples(path, true)
	if err != nil || cmp.Diff(got, []Sample{failed}) != "" {
		t.Errorf("read back %+v, %v", got, err)
	}
	for name, change := range map[string]func(*Sample){
		"parsed":  func(s *Sample) { s.Parsed = true },
		"correct": func(s *Sample) { s.Correct, s.Parsed = true, true },
		"answer":  func(s *Sample) { s.Answer = "8" },
	} {
		s := failed
		change(&s)
		if err := s.Validate(); err == nil || !strings.Contains(err.Error(), "failed") {
			t.Errorf("%s: a failed sample that has an answer gives %v", name, err)
		}
	}
}

func TestWriteSamplesReplacesAllOrNothing(t *testing.T) {
	f := open(t, t.TempDir())
	write := func(samples []Sample, end error) (int, error) {
		return f.WriteSamples(func(write func(Sample) error) error {
			for _, s := range samples {
				if err := write(s); err != nil {
					return err
				}
			}
			return end
		})
	}
	want := []Sample{{ID: "b", Intervention: "none", Chain: "<b>"}, {ID: "a", Intervention: "none", Failed: "refused"}}
	n, err := write(want, nil)
	if err != nil || n != 2 {
		t.Fatalf("wrote %d, %v", n, err)
	}
	gone := errors.New("gone")
	_, err = write(want[:1], gone)
	if !errors.Is(err, gone) {
		t.Errorf("each's own error comes back as %v", err)
	}
	_, err = write([]Sample{{ID: "c"}}, nil)
	wants(t, err, "intervention")
	_, err = write([]Sample{{ID: "c", Intervention: "none", Chain: strings.Repeat("x", MaxLine)}}, nil)
	wants(t, err, "sample c", "longer than")
	got, _, err := ReadSamples(f.Path("samples.jsonl"), true)
	if err != nil || cmp.Diff(got, want) != "" {
		t.Errorf("after failed writes the file holds %+v, %v", got, err)
	}
}
