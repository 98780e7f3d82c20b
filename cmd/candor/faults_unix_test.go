//go:build unix

package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// studySeeds makes the tiny study long enough to be hit in the middle.
const studySeeds = "6"

// labCommand is "candor lab run tiny.yaml --seeds 6 --out out" as a process of its own.
func labCommand(t *testing.T, out string) (cmd *exec.Cmd, stderr *bytes.Buffer) {
	t.Helper()
	program, err := exec.LookPath("candor") // this test binary, under the name that TestMain gave it
	if err != nil {
		t.Fatal(err)
	}
	cmd = exec.Command(program, "lab", "run", "testdata/tiny.yaml", "--seeds", studySeeds, "--out", out)
	stderr = new(bytes.Buffer)
	cmd.Stderr = stderr
	return cmd, stderr
}

// undisturbed runs the study to its end and returns what it leaves.
func undisturbed(t *testing.T, out string) (claims, samples []byte) {
	t.Helper()
	cmd, stderr := labCommand(t, out)
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v: %s", err, stderr)
	}
	return results(t, out)
}

func results(t *testing.T, out string) (claims, samples []byte) {
	t.Helper()
	for name, into := range map[string]*[]byte{"claims.json": &claims, "samples.jsonl": &samples} {
		data, err := os.ReadFile(filepath.Join(out, name))
		if err != nil {
			t.Fatal(err)
		}
		*into = data
	}
	return claims, samples
}

// same fails unless the folder holds what an undisturbed run leaves.
func same(t *testing.T, out string, claims, samples []byte) {
	t.Helper()
	c, s := results(t, out)
	if !bytes.Equal(c, claims) {
		t.Errorf("claims.json is not that of an undisturbed run")
	}
	if !bytes.Equal(s, samples) {
		t.Errorf("samples.jsonl is not that of an undisturbed run")
	}
}

// startedLab starts the study and waits until it has finished at least one stage.
func startedLab(t *testing.T, out string) (cmd *exec.Cmd, stderr *bytes.Buffer) {
	t.Helper()
	cmd, stderr = labCommand(t, out)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for range 2000 {
		found, _ := filepath.Glob(filepath.Join(out, "stages", "*", "status.json"))
		for _, f := range found {
			if data, _ := os.ReadFile(f); bytes.Contains(data, []byte(`"done"`)) {
				return cmd, stderr
			}
		}
		time.Sleep(5 * time.Millisecond)
	}
	cmd.Process.Kill()
	t.Fatal("the run has not finished a stage in ten seconds")
	return nil, nil
}

func exitStatus(err error) int {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return exit.ExitCode() // -1 if a signal ended it
	}
	return -2
}

// TestKilled kills the study again and again, each time a little later after its start, and then lets it finish.
func TestKilled(t *testing.T) {
	claims, samples := undisturbed(t, filepath.Join(t.TempDir(), "whole"))
	out := filepath.Join(t.TempDir(), "killed")
	killed := 0
	for after := 40 * time.Millisecond; after < 400*time.Millisecond; after += 45 * time.Millisecond {
		cmd, _ := labCommand(t, out)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(after)
		if err := cmd.Process.Kill(); err == nil {
			killed++
		}
		if exitStatus(cmd.Wait()) == 0 {
			break // it was faster
		}
	}
	if killed < 2 {
		t.Fatalf("killed only %d times; the study is too short for this test", killed)
	}
	again, stderr := labCommand(t, out)
	if err := again.Run(); err != nil {
		t.Fatalf("after %d kills: %v: %s", killed, err, stderr)
	}
	same(t, out, claims, samples)
}

// TestInterrupted stops the study as Ctrl-C does, types the command that it prints, and compares.
func TestInterrupted(t *testing.T) {
	claims, samples := undisturbed(t, filepath.Join(t.TempDir(), "whole"))
	out := filepath.Join(t.TempDir(), "a folder")
	cmd, stderr := startedLab(t, out)
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if code := exitStatus(cmd.Wait()); code != exitInterrupted {
		t.Fatalf("exit code %d, want %d: %s", code, exitInterrupted, stderr)
	}
	if _, err := os.Stat(filepath.Join(out, "claims.json")); err == nil {
		t.Fatal("an interrupted run has decided its claims")
	}
	_, hint, ok := strings.Cut(stderr.String(), "To go on:\n")
	if !ok {
		t.Fatalf("no word on how to go on: %s", stderr)
	}
	if got, err := exec.Command("sh", "-c", hint).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", hint, err, got)
	}
	same(t, out, claims, samples)
}

// TestTwoProcesses starts a second process on a run folder: it says who holds it, and disturbs nothing.
func TestTwoProcesses(t *testing.T) {
	out := filepath.Join(t.TempDir(), "run")
	first, stderr := startedLab(t, out)
	if err := first.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	second, said := labCommand(t, out)
	code := exitStatus(second.Run())
	if err := first.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if err := first.Wait(); err != nil {
		t.Fatalf("the first process: %v: %s", err, stderr)
	}
	if code != exitFailed || !strings.Contains(said.String(), fmt.Sprint(first.Process.Pid)) {
		t.Errorf("the second process: exit code %d, want %d and the number %d of the first: %s", code, exitFailed, first.Process.Pid, said)
	}
}

// TestNoRoom lets the system refuse what is written beyond a limit, as a full disk does: the run is marked failed with
// the reason, and goes on once there is room.
func TestNoRoom(t *testing.T) {
	claims, samples := undisturbed(t, filepath.Join(t.TempDir(), "whole"))
	out := filepath.Join(t.TempDir(), "full")
	cmd, stderr := labCommand(t, out)
	// 24 blocks are 12 or 24 KiB: enough for a manifest, too little for a model
	limited := exec.Command("sh", append([]string{"-c", `ulimit -f 24; exec "$0" "$@"`, cmd.Path}, cmd.Args[1:]...)...)
	limited.Stderr = stderr
	if code := exitStatus(limited.Run()); code != exitFailed {
		t.Fatalf("exit code %d, want %d: %s", code, exitFailed, stderr)
	}
	if !strings.Contains(stderr.String(), syscall.EFBIG.Error()) || !strings.Contains(stderr.String(), "To go on once that is mended:") {
		t.Errorf("neither the reason nor how to go on: %s", stderr)
	}
	failed := false
	found, _ := filepath.Glob(filepath.Join(out, "stages", "*", "status.json"))
	for _, f := range found {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		failed = failed || bytes.Contains(data, []byte(`"failed"`)) && bytes.Contains(data, []byte(syscall.EFBIG.Error()))
	}
	if !failed {
		t.Error("no stage is marked failed with the reason")
	}
	again, stderr := labCommand(t, out)
	if err := again.Run(); err != nil {
		t.Fatalf("with room again: %v: %s", err, stderr)
	}
	same(t, out, claims, samples)
}
