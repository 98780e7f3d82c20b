// Command candor finds out when a model's chain of thought can be trusted, and what reinforcement learning does to that
// trust. See README.md; every command explains itself with --help.
//
// Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"candor/engine/kernel"
	"candor/study/experiment"
	"candor/train/speed"
)

// Exit codes.
const (
	exitFailed      = 1
	exitUsage       = 2
	exitInterrupted = 130
)

// world is what commands may touch outside their arguments.
type world struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	env            func(string) string
	clock          func() time.Time
	// program is how this program was called, for hints that can be typed as they are.
	program string
	// kernel is what --kernel says; "" if the choice is the machine's or the environment's.
	kernel string
	// terminal tells whether a stream is a terminal, width how wide standard output is, in columns.
	stdinTerminal, stdoutTerminal, stderrTerminal bool
	width                                         int
}

type cli struct {
	Lab       labCmd       `cmd:"" help:"Run a study: train, test and decide the claims. Without more words: the default study."`
	Report    reportCmd    `cmd:"" help:"Print a run's claims and write its page again from what the run folder holds."`
	Audit     auditCmd     `cmd:"" help:"Find out how far a model's chain of thought can be relied on: a local model, or one behind an endpoint."`
	Trace     traceCmd     `cmd:"" help:"Show one sample of an audit with every call behind it."`
	Compare   compareCmd   `cmd:"" help:"Hold two audits against each other, item by item."`
	Gate      gateCmd      `cmd:"" help:"Hold an audit against a policy: exit code 0 if every rule passes."`
	Calibrate calibrateCmd `cmd:"" help:"Measure what the audit's tests say of organisms whose truth is known."`
	Bench     benchCmd     `cmd:"" help:"Measure the engine on this machine beside what its processor could do at best, or the gateway."`
	Chat      chatCmd      `cmd:"" help:"Put problems to a tiny trained reasoner and edit its chain of thought, or see all parts of a two-part system."`
	Export    exportCmd    `cmd:"" help:"Write a model for other software: Hugging Face's transformers, llama.cpp."`
	Serve     serveCmd     `cmd:"" help:"Serve the two-part system behind an OpenAI-compatible endpoint, with its record and its page."`
	Keys      keysCmd      `cmd:"" help:"Make, list and revoke the API keys of a gateway."`
	Monitors  monitorsCmd  `cmd:"" help:"Draw labelled samples and calibrate the monitors of a gateway."`
	Ledger    ledgerCmd    `cmd:"" help:"Verify, export or redact the record that a gateway keeps of its requests."`

	Kernel  string           `help:"Matrix kernels to use; the default is the fastest that this machine has." placeholder:"NAME" env:"CANDOR_KERNEL"`
	Version kong.VersionFlag `help:"Print the version."`
}

// interrupted says what is left after Ctrl-C. It is a context.Canceled.
type interrupted string

func (i interrupted) Error() string { return string(i) }
func (interrupted) Unwrap() error   { return context.Canceled }

// usageError is a mistake in what was typed, told with exit code 2.
type usageError struct{ error }

func main() {
	os.Exit(run(context.Background(), os.Args[1:], systemWorld()))
}

func systemWorld() world {
	w := world{stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, env: os.Getenv, clock: time.Now, program: program(os.Args[0])}
	w.stdinTerminal, _ = terminal(os.Stdin)
	w.stdoutTerminal, w.width = terminal(os.Stdout)
	w.stderrTerminal, _ = terminal(os.Stderr)
	return w
}

// program returns what to type to run this program again. What "go run" starts lies in a folder that is soon gone.
func program(called string) string {
	if strings.Contains(called, "go-build") {
		return "go run ./cmd/candor"
	}
	return quote(called)
}

// plain are the words that no shell takes for anything else.
var plain = regexp.MustCompile(`^[\pL\pN_./:=,@%+-]+$`)

// quote writes a word so that the shell takes it as it is.
func quote(word string) string {
	switch {
	case plain.MatchString(word):
		return word
	case runtime.GOOS == "windows":
		return `"` + word + `"`
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// count writes a number of things, such as "1 stage" or "12 stages".
func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// version says which candor this is.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return "candor " + info.Main.Version + ", " + runtime.Version()
	}
	return "candor, " + runtime.Version()
}

// exited carries the exit code that the command-line parser asks for, out of its depths.
type exited int

func run(ctx context.Context, args []string, w world) (code int) {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the program at once, which no run folder minds
	defer func() {
		if e, ok := recover().(exited); ok {
			code = int(e)
		}
	}()
	var c cli
	parser, err := kong.New(&c,
		kong.Name("candor"),
		kong.Description("Find out when a model's chain of thought can be trusted, and what reinforcement learning does to that trust.\n\nStart with: candor lab"),
		kong.Writers(w.stdout, w.stderr),
		kong.Exit(func(code int) { panic(exited(code)) }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.Vars{"studies": strings.Join(experiment.Builtin(), ", "), "version": version(), "kernels": strings.Join(kernel.Available(), ", "), "parts": strings.Join(speed.Parts, ", ")},
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Bind(&w),
	)
	if err != nil {
		panic(err) // a mistake in the struct tags above
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	parsed, err := parser.Parse(args)
	if err != nil {
		fmt.Fprintf(w.stderr, "candor: %v\nTry: candor --help\n", err)
		return exitUsage
	}
	if c.Kernel != "" {
		if err := kernel.Use(c.Kernel); err != nil {
			fmt.Fprintf(w.stderr, "candor: %v\n", err)
			return exitUsage
		}
		if c.Kernel != w.env("CANDOR_KERNEL") {
			w.kernel = c.Kernel
		}
	}
	err = parsed.Run()
	var usage usageError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &usage):
		fmt.Fprintf(w.stderr, "candor: %v\n", err)
		return exitUsage
	case errors.Is(err, context.Canceled):
		if said := interrupted(""); errors.As(err, &said) {
			fmt.Fprintf(w.stderr, "candor: %v\n", said)
		}
		return exitInterrupted
	default:
		fmt.Fprintf(w.stderr, "candor: %v\n", err)
		return exitFailed
	}
}
