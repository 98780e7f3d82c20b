package experiment

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"candor/engine/checkpoint"
	"candor/study/runlog"
)

// reference runs the tiny study once for all tests that compare with it.
func reference(t *testing.T) (dir string, all map[string]string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "run")
	mustRun(t, dir, tiny, 2)
	return dir, files(t, dir)
}

func TestThreadsDoNotMatter(t *testing.T) {
	_, want := reference(t)
	for _, threads := range []int{1, 7} {
		dir := filepath.Join(t.TempDir(), "run")
		mustRun(t, dir, tiny, threads)
		sameFiles(t, fmt.Sprintf("%d threads", threads), want, files(t, dir))
	}
	models := 0
	for name := range want {
		if strings.HasSuffix(name, "model.safetensors") {
			models++
		}
		if strings.Contains(name, partial) {
			t.Errorf("%s is left over", name)
		}
	}
	if models != 14 {
		t.Errorf("%d models, want one a training stage, 13 where arms share the first, and a face", models)
	}
}

func TestRunReportsAndRecords(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	var events []Event
	res, err := run(t, t.Context(), dir, tiny, 2, func(o *Options) { o.Progress = func(e Event) { events = append(events, e) } })
	if err != nil {
		t.Fatal(err)
	}
	count := map[EventKind]int{}
	for _, e := range events {
		count[e.Kind]++
		if e.Share < 0 || e.Share > 1+1e-9 || e.StageCount != len(res.Stages) {
			t.Errorf("event %+v", e)
		}
	}
	if count[Planned] != 1 || count[Started] != len(res.Stages) || count[Finished] != len(res.Stages) || count[Stepped] < 20 {
		t.Errorf("events: %v for %d stages", count, len(res.Stages))
	}
	if last := events[len(events)-1]; last.Kind != Finished || last.Share < 1-1e-9 || last.Stages != len(res.Stages) {
		t.Errorf("the last event: %+v", last)
	}
	m, err := runlog.ReadRunManifest(filepath.Join(dir, "manifest.json"))
	if err != nil {
		t.Fatal(err)
	}
	if m.Study != "tiny" || m.Spec != tiny || len(m.Arms) != 9 || m.Started.IsZero() || m.Ended.IsZero() || !slices.Equal(m.Stages, res.Stages) {
		t.Errorf("the manifest: %+v", m)
	}
	if res.Computed != len(res.Stages) || res.Samples == 0 {
		t.Errorf("the result: %+v", res)
	}
	for name, data := range files(t, dir) {
		if strings.HasSuffix(name, completionsFile) {
			if n := strings.Count(data, "\n"); n != 4*2*3 {
				t.Errorf("%s has %d lines, want steps x prompts x group = 24", name, n)
			}
		}
	}

	again := mustRun(t, dir, tiny, 1)
	if again.Computed != 0 || again.Samples != res.Samples {
		t.Errorf("a second run computes %d stages and finds %d samples", again.Computed, again.Samples)
	}
	if m, err := runlog.ReadRunManifest(filepath.Join(dir, "manifest.json")); err != nil || m.Ended.IsZero() {
		t.Errorf("a second run forgets when the first one ended: %v", err)
	}
}

// A run that is cancelled at any event, over and over, ends with the bytes of one that was not.
func TestCancelledRunsGoOn(t *testing.T) {
	_, want := reference(t)
	for _, threads := range []int{1, 3} {
		dir := filepath.Join(t.TempDir(), "run")
		tries := 0
		for every := 2; ; tries++ {
			ctx, cancel := context.WithCancel(t.Context())
			seen := 0
			_, err := run(t, ctx, dir, tiny, threads, func(o *Options) {
				o.Progress = func(e Event) {
					if seen++; seen == every && tries < 30 {
						cancel()
					}
				}
			})
			cancel()
			if err == nil {
				break
			}
			if !errors.Is(err, context.Canceled) {
				t.Fatal(err)
			}
			every = 2 + (every+2)%9
			states(t, dir, runlog.Cancelled)
		}
		if tries < 10 {
			t.Errorf("only %d interruptions", tries)
		}
		got := files(t, dir)
		for name := range got { // the times and reasons of a status are not results
			if strings.HasSuffix(name, "status.json") {
				got[name] = want[name]
			}
		}
		sameFiles(t, fmt.Sprintf("after %d interruptions on %d threads", tries, threads), want, got)
	}
}

// states checks that no stage of a run is in another state than done, pending or this one.
func states(t *testing.T, dir string, state runlog.State) {
	t.Helper()
	infos, err := runlog.Stages(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range infos {
		if s := i.Status.State; s != runlog.Done && s != runlog.Pending && s != state {
			t.Errorf("stage %s is %s (%s)", i.Folder, s, i.Status.Reason)
		}
	}
}

// interrupted leaves a run in the middle of a training stage of the kind given, and returns that stage's folder.
func interrupted(t *testing.T, kind string) (dir, folder string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "run")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	_, err := run(t, ctx, dir, tiny, 1, func(o *Options) {
		o.Progress = func(e Event) {
			if e.What == kind && e.Kind == Stepped && e.Done == 3 && folder == "" {
				folder = filepath.Join(dir, "stages", e.Stage)
				cancel()
			}
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if _, err := checkpoint.Load(filepath.Join(folder, partial)); err != nil {
		t.Fatalf("a cancelled stage leaves where it stood: %v", err)
	}
	return dir, folder
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// A run that is killed, with no chance to save, goes on from its last checkpoint and ends with the same bytes.
func TestKilledRunsGoOn(t *testing.T) {
	_, want := reference(t)
	dir, copies := filepath.Join(t.TempDir(), "run"), t.TempDir()
	kills := []Event{{What: "pretrain", Kind: Stepped, Done: 5}, {What: "grpo", Kind: Stepped, Done: 3, Arm: "rl"}, {What: "grpo", Kind: Stepped, Done: 3, Arm: "duo"},
		{What: "eval", Kind: Stepped, Done: 12}, {What: "sft", Kind: Stepped, Done: 15, Arm: "telling"}, {What: "battery", Kind: Started}}
	killed := make([]string, len(kills)) // the stages
	snapshot := func(i int) string { return filepath.Join(copies, fmt.Sprint(i)) }
	_, err := run(t, t.Context(), dir, tiny, 1, func(o *Options) {
		o.Progress = func(e Event) { // with one thread nothing is written meanwhile
			for i, at := range kills {
				if killed[i] == "" && e.What == at.What && (at.Arm == "" || e.Arm == at.Arm) && e.Kind == at.Kind && e.Done == at.Done {
					killed[i] = e.Stage
					if err := os.CopyFS(snapshot(i), os.DirFS(dir)); err != nil {
						t.Error(err)
					}
				}
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	for i, at := range kills {
		if killed[i] == "" {
			t.Fatalf("no event %+v", at)
		}
		first := 0
		_, err := run(t, t.Context(), snapshot(i), tiny, 1, func(o *Options) {
			o.Progress = func(e Event) {
				if e.Stage == killed[i] && e.Kind == Stepped && first == 0 {
					first = e.Done
				}
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		// a checkpoint is made every second step of 7, sixth of 24, and after every one of 4, once its progress has been told
		if after := map[string]int{"pretrain": 5, "grpo": 3, "sft": 13}[at.What]; at.Kind == Stepped && after != 0 && first != after {
			t.Errorf("killed at %+v, it goes on with step %d, want %d", at, first, after)
		}
		sameFiles(t, fmt.Sprintf("killed at %+v", at), want, files(t, snapshot(i)))
	}
}

// What an interrupted stage left is used if it is whole, and computed anew if it is not; the bytes are the same.
func TestDamagedLeftovers(t *testing.T) {
	_, want := reference(t)
	for _, tc := range []struct {
		name, kind string
		damage     func(folder string)
		resumes    bool
	}{
		{"whole", "grpo", func(string) {}, true},
		{"later lines of a log", "grpo", func(f string) {
			p := filepath.Join(f, "metrics.jsonl")
			write(t, p, read(t, p)+`{"step":4,"loss":9}`+"\n"+`{"st`)
		}, true},
		{"half the weights", "pretrain", func(f string) {
			p := filepath.Join(f, partial, "model.safetensors")
			write(t, p, read(t, p)[:500])
		}, false},
		{"no weights", "grpo", func(f string) { os.Remove(filepath.Join(f, partial, "model.safetensors")) }, false},
		{"no optimizer", "grpo", func(f string) { os.Remove(filepath.Join(f, partial, "optimizer.safetensors")) }, false},
		{"no state", "pretrain", func(f string) { os.Remove(filepath.Join(f, partial, "state.json")) }, false},
		{"another step", "pretrain", func(f string) {
			p := filepath.Join(f, partial, "state.json")
			write(t, p, strings.Replace(read(t, p), `"step":3`, `"step":30`, 1))
			if !strings.Contains(read(t, p), "30") {
				write(t, p, strings.Replace(read(t, p), `"step": 3`, `"step": 30`, 1))
			}
		}, false},
		{"another stage's checkpoint", "grpo", func(f string) {
			os.RemoveAll(filepath.Join(f, partial))
			_, from := interrupted(t, "pretrain")
			if err := os.CopyFS(filepath.Join(f, partial), os.DirFS(filepath.Join(from, partial))); err != nil {
				t.Fatal(err)
			}
		}, false},
		{"metrics lost", "pretrain", func(f string) { os.Remove(filepath.Join(f, "metrics.jsonl")) }, false},
		{"metrics garbled", "pretrain", func(f string) { write(t, filepath.Join(f, "metrics.jsonl"), "nonsense\n") }, false},
		{"completions lost", "grpo", func(f string) { write(t, filepath.Join(f, completionsFile), "") }, false},
		{"a folder half made", "pretrain", func(f string) {
			os.RemoveAll(f)
			write(t, filepath.Join(f, "model", "config.json"), "{")
			write(t, filepath.Join(f, "samples.jsonl"), "{")
			write(t, filepath.Join(f, "status.json"), "")
		}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir, folder := interrupted(t, tc.kind)
			tc.damage(folder)
			first := 0
			_, err := run(t, t.Context(), dir, tiny, 2, func(o *Options) {
				o.Progress = func(e Event) {
					if e.Kind == Stepped && e.Stage == filepath.Base(folder) && first == 0 {
						first = e.Done
					}
				}
			})
			if err != nil {
				t.Fatal(err)
			}
			if resumed := first == 4; resumed != tc.resumes || first == 0 {
				t.Errorf("the first step after it is %d; resumed must be %v", first, tc.resumes)
			}
			got := files(t, dir)
			delete(got, "stages/"+filepath.Base(folder)+"/samples.jsonl") // planted by a case
			sameFiles(t, tc.name, want, got)
		})
	}
}

// A finished stage is trusted. What is missing or garbled in it is an error that names the stage and says what to do, and
// doing so gives the same bytes.
func TestDamagedResults(t *testing.T) {
	whole, want := reference(t)
	first := func(dir, kind string) string {
		t.Helper()
		m, err := runlog.ReadRunManifest(filepath.Join(dir, "manifest.json"))
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range m.Stages {
			if strings.HasPrefix(s, kind+"-") {
				return filepath.Join(dir, "stages", s)
			}
		}
		t.Fatalf("no stage of kind %s", kind)
		return ""
	}
	for _, tc := range []struct {
		name, kind string
		damage     func(folder string)
		says       string
	}{
		{"samples lost", "eval", func(f string) { os.Remove(filepath.Join(f, "samples.jsonl")) }, "samples.jsonl"},
		{"samples torn", "eval", func(f string) {
			p := filepath.Join(f, "samples.jsonl")
			write(t, p, read(t, p)[:700])
		}, "samples.jsonl"},
		{"model lost", "pretrain", func(f string) { os.RemoveAll(filepath.Join(f, "model")) }, "marked as done"},
		{"model torn", "pretrain", func(f string) {
			p := filepath.Join(f, "model", "model.safetensors")
			write(t, p, read(t, p)[:300])
		}, "marked as done"},
		{"model of another shape", "pretrain", func(f string) {
			os.RemoveAll(filepath.Join(f, "model"))
			if err := os.CopyFS(filepath.Join(f, "model"), os.DirFS(filepath.Join(first(whole, "sft"), "model"))); err != nil {
				t.Fatal(err)
			}
		}, "another shape"},
		{"manifest lost", "init", func(f string) { os.Remove(filepath.Join(f, "manifest.json")) }, "manifest"},
		{"another stage's manifest", "init", func(f string) {
			write(t, filepath.Join(f, "manifest.json"), read(t, filepath.Join(first(whole, "pretrain"), "manifest.json")))
		}, "manifest"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "run")
			if err := os.CopyFS(dir, os.DirFS(whole)); err != nil {
				t.Fatal(err)
			}
			folder := first(dir, tc.kind)
			if tc.kind == "pretrain" { // something has to need the model
				user := first(dir, "grpo")
				if err := os.RemoveAll(user); err != nil {
					t.Fatal(err)
				}
			}
			tc.damage(folder)
			_, err := run(t, t.Context(), dir, tiny, 2, nil)
			if err == nil {
				t.Fatal("the damage is not noticed")
			}
			for _, text := range []string{tc.says, filepath.Base(folder), "remove"} {
				if !strings.Contains(err.Error(), text) {
					t.Errorf("the error lacks %q: %v", text, err)
				}
			}
			if err := os.RemoveAll(folder); err != nil {
				t.Fatal(err)
			}
			mustRun(t, dir, tiny, 2)
			sameFiles(t, tc.name, want, files(t, dir))
		})
	}
}

// A stage that fails says why, in its folder too; what was finished beside it stays.
func TestFailureKeepsWhatIsDone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	yaml := edited(t, tiny, "context: 24", "context: 12") // too short for the prompts of the last arms
	_, err := run(t, t.Context(), dir, yaml, 1, nil)
	if err == nil || !strings.Contains(err.Error(), "stage sft-") {
		t.Fatalf("want the failure of the sft stage: %v", err)
	}
	infos, serr := runlog.Stages(dir)
	if serr != nil {
		t.Fatal(serr)
	}
	var failed, done []string
	for _, i := range infos {
		switch i.Status.State {
		case runlog.Failed:
			failed = append(failed, i.Folder)
			if i.Status.Reason == "" {
				t.Error("a failed stage has no reason")
			}
		case runlog.Done:
			done = append(done, i.Folder)
		}
	}
	if len(failed) != 1 || len(done) == 0 {
		t.Errorf("failed %v, done %v", failed, done)
	}
}

func TestClockStaysOfTheFirstRun(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := run(t, ctx, dir, tiny, 1, nil); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	later := time.Unix(1_800_000_000, 0).UTC()
	if _, err := run(t, t.Context(), dir, tiny, 1, func(o *Options) { o.Clock = func() time.Time { return later } }); err != nil {
		t.Fatal(err)
	}
	m, err := runlog.ReadRunManifest(filepath.Join(dir, "manifest.json"))
	if err != nil || !m.Started.Before(later) || !m.Ended.Equal(later) {
		t.Errorf("started %v, ended %v, %v", m.Started, m.Ended, err)
	}
	if _, err := run(t, t.Context(), dir, tiny, 1, func(o *Options) { o.Clock = func() time.Time { return later.Add(time.Hour) } }); err != nil {
		t.Fatal(err)
	}
	if m, err = runlog.ReadRunManifest(filepath.Join(dir, "manifest.json")); err != nil || !m.Ended.Equal(later) {
		t.Errorf("a run that computes nothing ends at %v, %v", m.Ended, err)
	}
}
