package main

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"candor/train/speed"
)

// The widest tables that can be expected stay within 100 columns.
func TestSpeedTablesFit(t *testing.T) {
	var out strings.Builder
	printSpeed(&out, &speed.Report{
		CPU: "12th Gen Intel(R) Core(TM) i9-12900HK with Radeon Graphics @ 2.50GHz", Threads: 1024, Kernel: "generic", PeakGFLOPS: 123456,
		Kernels: []speed.Kernel{{M: 10240, N: 10240, K: 10240, Trans: "tn", GFLOPS: 123456.7, Share: 1}},
		Train:   []speed.Train{{Model: "small", TokensPerSec: 123456789, Share: 1, Allocs: 1234567}},
		Sample:  []speed.Sample{{Model: "small", TokensPerSec: 123456789, Share: 1, Allocs: .000123456}},
		GRPO:    []speed.GRPO{{Model: "small", StepsPerSec: 123456}},
	})
	for _, line := range strings.Split(out.String(), "\n") {
		if n := utf8.RuneCountInString(line); n > 100 {
			t.Errorf("a line has %d columns: %s", n, line)
		}
	}
}

// bench calls the program with these arguments after "bench" and a standard error that is a terminal.
func bench(ctx context.Context, args ...string) (code int, stdout, stderr string) {
	var out, errs strings.Builder
	w := world{stdin: strings.NewReader(""), stdout: &out, stderr: &errs, env: os.Getenv, clock: time.Now, program: "candor", stderrTerminal: true}
	code = run(ctx, append([]string{"bench"}, args...), w)
	return code, out.String(), errs.String()
}

// On a terminal one line tells what is being measured, and in the end it is gone.
func TestBenchProgressOnATerminal(t *testing.T) {
	code, stdout, stderr := bench(t.Context(), "--only", "train/small,sample/small", "--seconds", ".001")
	if code != 0 || !strings.Contains(stdout, "sampling") {
		t.Fatalf("bench ended with exit code %d: %s%s", code, stdout, stderr)
	}
	if strings.Contains(stderr, "\n") || !strings.Contains(stderr, "\rmeasuring 1 of 2: train/small\rmeasuring 2 of 2, ") {
		t.Errorf("the progress is %q, want one line written over", stderr)
	}
	screen := []rune{}
	for _, line := range strings.Split(stderr, "\r") {
		for i, c := range line {
			if i == len(screen) {
				screen = append(screen, ' ')
			}
			screen[i] = c
		}
	}
	if left := strings.TrimSpace(string(screen)); left != "" {
		t.Errorf("the terminal still shows %q", left)
	}
}

func TestBenchInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	code, stdout, stderr := bench(ctx, "--seconds", "3600")
	if code != exitInterrupted || stdout != "" || stderr != "candor: stopped; nothing was kept\n" {
		t.Errorf("interrupted, bench ends with exit code %d, %q and %q", code, stdout, stderr)
	}
}
