package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"text/tabwriter"
	"time"

	"candor/study/runlog"
	"candor/train/speed"
)

type benchCmd struct {
	Engine benchEngineCmd `cmd:"" default:"withargs" help:"The engine, beside what the processor could do at best."`
	Serve  benchServeCmd  `cmd:"" help:"What the gateway adds to each request, and whether its memory stays flat."`
}

type benchEngineCmd struct {
	Threads int      `help:"Threads; the default is all cores." placeholder:"N"`
	Seconds float64  `help:"Seconds spent on each number." default:".6"`
	Only    []string `help:"Measure only these, of ${parts}; or single models, as in train/small." placeholder:"PART"`
	JSON    bool     `help:"Print JSON instead of tables."`
}

// mostThreads keeps a slip of the pen from asking for more memory than there is: each thread has operands of its own.
const mostThreads = 1024

// Help is shown by candor bench --help.
func (benchEngineCmd) Help() string {
	return `Examples:
  candor bench                                  everything, in less than a minute
  candor bench --only train --threads 1         training on one thread
  candor bench --json > bench.json              the numbers, for a program
  CANDOR_KERNEL=generic candor bench            the portable kernels

Each number is a median over blocks of work; before each block, the peak is measured anew.`
}

// Run measures and prints.
func (c *benchEngineCmd) Run(ctx context.Context, w *world) error {
	threads := c.Threads
	switch {
	case threads < 0 || threads > mostThreads:
		return usageError{fmt.Errorf("--threads is %d, must be 1 to %d", threads, mostThreads)}
	case !(c.Seconds > 0 && c.Seconds <= 3600):
		return usageError{fmt.Errorf("--seconds is %g, must be above 0 and at most 3600", c.Seconds)}
	case threads == 0:
		threads = runtime.GOMAXPROCS(0)
	}
	show := &benchProgress{w: w, start: w.clock()}
	r, err := speed.Run(ctx, speed.Options{Threads: threads, Seconds: c.Seconds, Only: c.Only, Now: w.clock, Progress: show.next})
	show.end()
	var unknown *speed.UnknownError
	switch {
	case errors.As(err, &unknown):
		return usageError{fmt.Errorf("--only: %w", err)}
	case errors.Is(err, context.Canceled):
		return interrupted("stopped; nothing was kept")
	case err != nil:
		return err
	}
	r.CPU = runlog.ThisMachine(r.Kernel, threads).CPU
	if c.JSON {
		out := json.NewEncoder(w.stdout)
		out.SetIndent("", "  ")
		return out.Encode(r)
	}
	printSpeed(w.stdout, r)
	return nil
}

// benchProgress tells what is being measured: a line that is written over on a terminal, else one for each part.
type benchProgress struct {
	w     *world
	start time.Time
	part  string
	wide  int // columns of the line that stands there
}

func (p *benchProgress) next(done, total int, what string) {
	left := ""
	if done > 0 {
		perOne := p.w.clock().Sub(p.start) / time.Duration(done)
		left = fmt.Sprintf(", about %s left", (perOne * time.Duration(total-done)).Round(time.Second))
	}
	part, _, _ := strings.Cut(what, "/")
	switch {
	case p.w.stderrTerminal:
		line := fmt.Sprintf("measuring %d of %d%s: %s", done+1, total, left, what)
		fmt.Fprintf(p.w.stderr, "\r%-*s", p.wide, line)
		p.wide = len(line)
	case part != p.part:
		fmt.Fprintf(p.w.stderr, "measuring %d of %d%s: %s\n", done+1, total, left, part)
	}
	p.part = part
}

// end wipes the line away.
func (p *benchProgress) end() {
	if p.wide > 0 {
		fmt.Fprintf(p.w.stderr, "\r%*s\r", p.wide, "")
	}
}

// printSpeed writes the tables that people read.
func printSpeed(out io.Writer, r *speed.Report) {
	fmt.Fprintf(out, "%s\n%s, kernels %s: at most %.0f GFLOP/s in multiply-adds on registers\n", r.CPU, count(r.Threads, "thread"), r.Kernel, r.PeakGFLOPS)
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	table := func(rows int, head string) bool {
		if rows > 0 {
			t.Flush()
			fmt.Fprintf(t, "\n%s\t\n", head)
		}
		return rows > 0
	}
	if table(len(r.Kernels), "matrix product\ttransposed\tGFLOP/s\tof peak") {
		names := map[string]string{"nn": "-", "tn": "A", "nt": "B"}
		for _, k := range r.Kernels {
			fmt.Fprintf(t, "%d x %d x %d\t%s\t%.1f\t%.0f%%\t\n", k.M, k.N, k.K, names[k.Trans], k.GFLOPS, 100*k.Share)
		}
	}
	if table(len(r.Train), "training\ttokens/s\tof peak\tallocations a step") {
		for _, m := range r.Train {
			fmt.Fprintf(t, "%s\t%.0f\t%.0f%%\t%.3g\t\n", m.Model, m.TokensPerSec, 100*m.Share, m.Allocs)
		}
	}
	if table(len(r.Sample), "sampling\ttokens/s\tof peak\tallocations a token") {
		for _, m := range r.Sample {
			fmt.Fprintf(t, "%s\t%.0f\t%.0f%%\t%.3g\t\n", m.Model, m.TokensPerSec, 100*m.Share, m.Allocs)
		}
	}
	if table(len(r.GRPO), "GRPO\tsteps/s") {
		for _, m := range r.GRPO {
			fmt.Fprintf(t, "%s\t%.3g\t\n", m.Model, m.StepsPerSec)
		}
	}
	t.Flush()
}
