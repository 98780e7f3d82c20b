package runlog

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func clock() time.Time { return time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC) }

func open(t *testing.T, dir string) *Folder {
	t.Helper()
	f, err := Open(dir, clock, "candor lab")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

func manifest(name string) Manifest {
	hash, err := Hash(name)
	if err != nil {
		panic(err)
	}
	return Manifest{Name: name, Hash: hash, Version: 1, Seed: 2, Inputs: []string{}, Settings: json.RawMessage(`{"steps": 3}`)}
}

func stage(t *testing.T, f *Folder, name string) *Stage {
	t.Helper()
	s, err := f.Stage(manifest(name))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wants(t *testing.T, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one with %q", parts)
	}
	for _, p := range parts {
		if !strings.Contains(err.Error(), p) {
			t.Errorf("error %q does not say %q", err, p)
		}
	}
}

func TestSecondProcessIsToldWhoHoldsTheFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	f, err := Open(dir, clock, "candor lab --seeds 3")
	check(t, err)
	_, err = Open(dir, clock, "candor lab")
	var held *HeldError
	if !errors.As(err, &held) || held.Holder.PID != os.Getpid() || held.Holder.Host == "" {
		t.Fatalf("the second open gives %v", err)
	}
	wants(t, err, fmt.Sprint(os.Getpid()), "candor lab --seeds 3", dir, "2026-03-04 05:06:07")
	check(t, f.Close())
	// What a killed process leaves behind, a holder without a lock, stops nobody.
	check(t, os.WriteFile(filepath.Join(dir, "holder.json"), []byte(`{"pid":1`), 0o644))
	f, err = Open(dir, clock, "candor lab")
	check(t, err)
	check(t, f.Close())
	if _, err := os.Stat(filepath.Join(dir, "holder.json")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a closed folder still names a holder: %v", err)
	}
}

func TestStageLife(t *testing.T) {
	f := open(t, t.TempDir())
	s := stage(t, f, "grpo")
	if s.Status().State != Pending {
		t.Fatalf("a new stage is %s", s.Status().State)
	}
	check(t, s.Start())
	w, err := s.Samples()
	check(t, err)
	check(t, w.WriteSample(Sample{ID: "a", Intervention: "none"}))
	check(t, s.Done()) // closes w
	wants(t, w.Write(1), "closed")
	status, err := ReadStatus(s.Path("status.json"))
	check(t, err)
	if want := (Status{State: Done, Started: clock(), Ended: clock()}); status != want {
		t.Errorf("status is %+v, want %+v", status, want)
	}
	samples, torn, err := ReadSamples(s.Path("samples.jsonl"), true)
	if err != nil || torn || len(samples) != 1 || samples[0].ID != "a" {
		t.Errorf("read %v, %v, %v", samples, torn, err)
	}
	infos, err := Stages(f.Dir())
	check(t, err)
	if len(infos) != 1 || infos[0].Status.State != Done || infos[0].Folder != s.Name() || infos[0].Manifest.Name != "grpo" {
		t.Errorf("stages are %+v", infos)
	}
	// The same stage opens again, whatever the white space of its settings; another one with the same first digits does not.
	same := manifest("grpo")
	same.Settings = json.RawMessage(`{"steps":3}`)
	again, err := f.Stage(same)
	check(t, err)
	if again.Status().State != Done {
		t.Errorf("opened again the stage is %s", again.Status().State)
	}
	other := manifest("grpo")
	other.Hash = other.Hash[:12] + strings.Repeat("0", 52)
	_, err = f.Stage(other)
	wants(t, err, "another stage", other.Hash)
}

func TestStageNamesAreChecked(t *testing.T) {
	f := open(t, t.TempDir())
	for _, m := range []Manifest{{Name: "../x", Hash: strings.Repeat("a", 12)}, {Name: "", Hash: strings.Repeat("a", 12)}, {Name: "x", Hash: "abc"}, {Name: "x", Hash: "../../../../aaaa"}} {
		if _, err := f.Stage(m); err == nil {
			t.Errorf("stage %+v is accepted", m)
		}
	}
}

func TestMetricsResumeAfterAStep(t *testing.T) {
	f := open(t, t.TempDir())
	s := stage(t, f, "grpo")
	w, err := s.Metrics(0) // no file yet
	check(t, err)
	for step := 1; step <= 5; step++ {
		check(t, w.WriteMetrics(step, map[string]float64{"loss": float64(step) / 2, "step": float64(step)}))
	}
	check(t, w.Close())
	whole, err := os.ReadFile(s.Path("metrics.jsonl"))
	check(t, err)
	for _, tail := range []string{"", `{"loss":3,"st`, "\x00\x00\x00"} {
		for _, after := range []int{0, 3, 5, 9} {
			check(t, os.WriteFile(s.Path("metrics.jsonl"), append(bytes.Clone(whole), tail...), 0o644))
			w, err := s.Metrics(after)
			check(t, err)
			for step := after + 1; step <= 5; step++ {
				check(t, w.WriteMetrics(step, map[string]float64{"loss": float64(step) / 2}))
			}
			check(t, w.Close())
			got, err := os.ReadFile(s.Path("metrics.jsonl"))
			check(t, err)
			if !bytes.Equal(got, whole) {
				t.Errorf("resumed after %d with tail %q: %s", after, tail, got)
			}
		}
	}
	rows, _, err := ReadMetrics(s.Path("metrics.jsonl"), true)
	check(t, err)
	if want := (MetricRow{2, map[string]float64{"loss": 1}}); len(rows) != 5 || cmp.Diff(rows[1], want) != "" {
		t.Errorf("rows are %v", rows)
	}
	w, err = s.Metrics(-1)
	check(t, err)
	wants(t, w.WriteMetrics(7, map[string]float64{"loss": math.NaN()}), "loss is NaN at step 7")
	check(t, w.Close())
	if info, err := os.Stat(s.Path("metrics.jsonl")); err != nil || info.Size() != 0 {
		t.Errorf("starting afresh leaves %d bytes (%v)", info.Size(), err)
	}
}

func TestTornAndBrokenLines(t *testing.T) {
	path := filepath.Join(t.TempDir(), "samples.jsonl")
	good := `{"id":"a","intervention":"none"}` + "\n"
	for _, c := range []struct {
		text     string
		complete bool
		n        int
		torn     bool
		err      string
	}{
		{"", true, 0, false, ""},
		{good + good, true, 2, false, ""},
		{good + good[:10], false, 1, true, ""},
		{good + good[:len(good)-1], false, 1, true, ""}, // a whole line but for its newline: it may be a part of a longer one
		{good + good[:10], true, 1, true, "samples.jsonl:2: the last line is torn"},
		{good + "nonsense\n" + good, false, 1, false, "samples.jsonl:2: not a sample"},
		{good + "\n" + good, false, 1, false, "samples.jsonl:2: not a sample"},
		{good + `{"id":"a"}` + "\n", false, 1, false, `samples.jsonl:2: sample a has no "intervention"`},
		{`{"intervention":"none"}` + "\n", false, 0, false, `samples.jsonl:1: a sample without "id"`},
		{good + `{"id":"a","intervention":"none","values":{"kl":1e999}}` + "\n", false, 1, false, "samples.jsonl:2"},
		{good + strings.Repeat("x", MaxLine+1), false, 1, false, "samples.jsonl:2: the line is longer"},
	} {
		check(t, os.WriteFile(path, []byte(c.text), 0o644))
		samples, torn, err := ReadSamples(path, c.complete)
		if len(samples) != c.n || torn != c.torn || (err == nil) != (c.err == "") {
			t.Errorf("%.80q: %d samples, torn %v, %v", c.text, len(samples), torn, err)
		}
		if c.err != "" {
			wants(t, err, c.err)
		}
	}
}

func TestWriterRefusesWhatAReaderWould(t *testing.T) {
	f := open(t, t.TempDir())
	s := stage(t, f, "eval")
	w, err := s.Samples()
	check(t, err)
	good := Sample{ID: "1", Intervention: "none", Chain: "a <b> & \u2028\n\"c\"", Values: map[string]float64{"kl": .1, "a": 2}}
	long := good
	long.Chain = strings.Repeat("x", MaxLine)
	nan := good
	nan.Values = map[string]float64{"kl": math.NaN()}
	wants(t, w.WriteSample(long), "longer than")
	wants(t, w.WriteSample(nan), "NaN")
	wants(t, w.WriteSample(Sample{Intervention: "none"}), "id")
	wants(t, w.WriteSample(Sample{ID: "1", Intervention: "none", Correct: true}), "could not be parsed")
	check(t, w.WriteSample(good)) // a refused line leaves the writer whole
	check(t, w.Close())
	samples, _, err := ReadSamples(s.Path("samples.jsonl"), true)
	if err != nil || cmp.Diff(samples, []Sample{good}) != "" {
		t.Errorf("read back %v, %v", samples, err)
	}
}

// fullDisk lets a number of bytes through and then has no room.
type fullDisk struct {
	file
	left *int
}

func (f fullDisk) Write(p []byte) (int, error) {
	if n := *f.left; n < len(p) {
		*f.left = 0
		n, _ = f.file.Write(p[:n])
		return n, &os.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC}
	}
	*f.left -= len(p)
	return f.file.Write(p)
}

func TestFullDisk(t *testing.T) {
	f := open(t, t.TempDir())
	s := stage(t, f, "eval")
	check(t, s.Start())
	check(t, f.WriteJSON("claims.json", "old"))
	left := 1000
	f.disk = disk{func(path string, flag int) (file, error) {
		real, err := realDisk.open(path, flag)
		return fullDisk{real, &left}, err
	}}
	w, err := s.Samples()
	check(t, err)
	for range 100 {
		check(t, w.WriteSample(Sample{ID: "a", Intervention: "none"}))
	}
	err = w.Flush()
	wants(t, err, "no room for", "more bytes in "+s.Dir(), "make room and run the same command again")
	if !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("%v does not wrap ENOSPC", err)
	}
	if again := w.Write(1); !errors.Is(again, syscall.ENOSPC) {
		t.Errorf("a write after the error gives %v", again)
	}
	if s.Done() == nil {
		t.Fatal("the stage is done with half of its samples")
	}
	if err := f.WriteJSON("claims.json", strings.Repeat("new", 1000)); !errors.Is(err, syscall.ENOSPC) || strings.Count(err.Error(), "no room") != 1 {
		t.Errorf("replacing a file gives %v", err)
	}
	var kept string
	if check(t, ReadJSON(f.Path("claims.json"), &kept)); kept != "old" {
		t.Errorf("claims.json became %q", kept)
	}
	if _, err := os.Stat(f.Path("claims.json.tmp")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the half-written file still takes room: %v", err)
	}
	check(t, s.Fail(err))
	status, err := ReadStatus(s.Path("status.json"))
	check(t, err)
	if status.State != Failed || !strings.Contains(status.Reason, "no room for") {
		t.Errorf("status is %+v", status)
	}
	// Room again: the same stage starts over in the same folder.
	f.disk = realDisk
	s = stage(t, f, "eval")
	check(t, s.Start())
	w, err = s.Samples()
	check(t, err)
	check(t, w.WriteSample(Sample{ID: "b", Intervention: "none"}))
	check(t, s.Done())
	samples, _, err := ReadSamples(s.Path("samples.jsonl"), true)
	if err != nil || len(samples) != 1 || samples[0].ID != "b" {
		t.Errorf("after the rerun: %v, %v", samples, err)
	}
}

func TestStatusKeepsItsRoom(t *testing.T) {
	f := open(t, t.TempDir())
	s := stage(t, f, "eval")
	for _, reason := range []string{"", strings.Repeat("long ", 5000), strings.Repeat("\x00", 5000), strings.Repeat("ü", 1600), strings.Repeat("日", 1600), strings.Repeat("<", 5000)} {
		check(t, s.Cancel(reason))
		info, err := os.Stat(s.Path("status.json"))
		if err != nil || info.Size() != statusSize {
			t.Fatalf("status.json has %d bytes (%v)", info.Size(), err)
		}
		status, err := ReadStatus(s.Path("status.json"))
		if err != nil || status.State != Cancelled || (reason != "") != (status.Reason != "") {
			t.Errorf("reason %.20q: %+v, %v", reason, status, err)
		}
	}
	// A status that a crash of the machine left unreadable means: not done.
	check(t, os.WriteFile(s.Path("status.json"), make([]byte, 100), 0o644))
	if s = stage(t, f, "eval"); s.Status().State != Pending {
		t.Errorf("an unreadable status counts as %s", s.Status().State)
	}
	check(t, s.Start())
}

func TestMergeIsDeterministic(t *testing.T) {
	f := open(t, t.TempDir())
	var stages []*Stage
	for i, name := range []string{"eval", "eval-ood"} {
		s := stage(t, f, name)
		w, err := s.Samples()
		check(t, err)
		for j := range 3 {
			check(t, w.WriteSample(Sample{ID: fmt.Sprint(i, j), Arm: "x", Intervention: "none", Values: map[string]float64{"b": 1, "a": float64(j) / 3}}))
		}
		check(t, s.Done())
		stages = append(stages, s)
	}
	parts := []Part{{Stage: stages[1].Name()}, {stages[0].Name(), "small", 1}, {stages[0].Name(), "small-rl", 2}}
	merge := func() []byte {
		n, err := f.MergeSamples(parts)
		if err != nil || n != 9 {
			t.Fatalf("merged %d samples, %v", n, err)
		}
		data, err := os.ReadFile(f.Path("samples.jsonl"))
		check(t, err)
		return data
	}
	first := merge()
	if !bytes.Equal(first, merge()) {
		t.Error("merging twice gives different bytes")
	}
	samples, _, err := ReadSamples(f.Path("samples.jsonl"), true)
	check(t, err)
	var got []string
	for _, s := range samples {
		got = append(got, fmt.Sprintf("%s %s %d %s", s.ID, s.Arm, s.Seed, s.Run[:5]))
	}
	want := []string{"1 0 x 0 eval-", "1 1 x 0 eval-", "1 2 x 0 eval-", "0 0 small 1 eval-", "0 1 small 1 eval-", "0 2 small 1 eval-", "0 0 small-rl 2 eval-", "0 1 small-rl 2 eval-", "0 2 small-rl 2 eval-"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	s := stage(t, f, "late")
	check(t, s.Start())
	parts = append(parts, Part{Stage: s.Name()})
	_, err = f.MergeSamples(parts)
	wants(t, err, s.Name(), "running, not done")
	if after, err := os.ReadFile(f.Path("samples.jsonl")); err != nil || !bytes.Equal(after, first) {
		t.Error("a merge that failed changed samples.jsonl")
	}
}

func TestHashIgnoresWhiteSpaceOfRawJSON(t *testing.T) {
	a, errA := Hash(Manifest{Settings: json.RawMessage(`{"a": 1}`)})
	b, errB := Hash(Manifest{Settings: json.RawMessage(`{"a":1}`)})
	c, errC := Hash(Manifest{Settings: json.RawMessage(`{"a":2}`)})
	check(t, firstError(errA, errB, errC))
	if a != b || a == c || len(a) != 64 {
		t.Errorf("hashes %s, %s, %s", a, b, c)
	}
	if _, err := Hash(math.NaN()); err == nil {
		t.Error("NaN has a hash")
	}
}

func TestThisMachine(t *testing.T) {
	m := ThisMachine("generic", 2)
	if m.Commit == "" || m.CPU == "" || !strings.HasPrefix(m.Go, "go") || m.Kernel != "generic" || m.Threads != 2 {
		t.Errorf("%+v", m)
	}
}
