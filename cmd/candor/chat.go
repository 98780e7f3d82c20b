package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"candor/reasoning/task"
)

type chatCmd struct {
	Problems []string `arg:"" optional:"" help:"Problems to put at once; without any they are read from standard input."`
	Model    string   `help:"A run folder, RUN:ARM, RUN:ARM:SEED or a checkpoint folder; the default is the model inside this program." placeholder:"RUN"`
}

// Help is shown by candor chat --help.
func (chatCmd) Help() string {
	return `Examples:
  candor chat                                    type problems such as 8 + 5 + 3 mod 7
  candor chat "8 + 5 + 3 mod 7"                  one problem
  candor chat --model runs/default               the reasoner that a run trained
  candor chat --model runs/default:small:2       an arm of a run, with one of its seeds

While you chat:
` + commandHelp()
}

// Run lets a person put problems to the model, see its chain of thought grow, and edit it.
func (c *chatCmd) Run(ctx context.Context, w *world) error {
	r, err := loadReasoner(c.Model)
	if err != nil {
		return err
	}
	d := newDialogue(w, r)
	if len(c.Problems) > 0 {
		return d.once(ctx, c.Problems)
	}
	if d.prompt != nil {
		fmt.Fprintf(d.prompt, "%s.\nType a problem such as 8 + 5 + 3 mod 7, or :help, or :quit.\n", r.describe())
	}
	return d.converse(ctx, w.stdin)
}

// heardError says why something that was typed cannot be done; the conversation goes on.
type heardError struct{ error }

// errQuit ends a conversation.
var errQuit = errors.New("quit")

// once puts problems one after another.
func (d *dialogue) once(ctx context.Context, problems []string) error {
	var parsed []task.Problem
	for _, text := range problems {
		p, err := task.ParseProblem(text)
		if err != nil {
			return usageError{err}
		}
		parsed = append(parsed, p)
	}
	for _, p := range parsed {
		if err := d.ask(ctx, p); err != nil {
			return err
		}
	}
	return nil
}

// converse reads a line at a time and does what it says, until :quit or the end of the input.
func (d *dialogue) converse(ctx context.Context, in io.Reader) error {
	lines, failed := readLines(ctx, in)
	for {
		if d.prompt != nil {
			fmt.Fprint(d.prompt, "> ")
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case line, ok := <-lines:
			if !ok {
				return <-failed
			}
			var heard heardError
			switch err := d.hear(ctx, strings.TrimSpace(line)); {
			case errors.Is(err, errQuit):
				return nil
			case errors.As(err, &heard):
				fmt.Fprintln(d.w.stderr, heard)
			case err != nil:
				return err
			}
		}
	}
}

// readLines reads in beside the conversation, so that Ctrl-C need not wait for a line. When the lines end, failed gives
// the reason: nil at the end of the input.
func readLines(ctx context.Context, in io.Reader) (lines <-chan string, failed <-chan error) {
	out, end := make(chan string), make(chan error, 1)
	go func() {
		defer close(out)
		scanner := bufio.NewScanner(in)
		for scanner.Scan() {
			select {
			case out <- scanner.Text():
			case <-ctx.Done():
				return
			}
		}
		if err := scanner.Err(); err != nil {
			err = fmt.Errorf("reading a line: %w", err)
			end <- err
			return
		}
		end <- nil
	}()
	return out, end
}

// command is something to type that is not a problem.
type command struct {
	name, args, help string
	do               func(d *dialogue, ctx context.Context, args []float64) error
}

// commands are in the order in which :help shows them.
var commands = []command{
	{":mistake", "STEP TOTAL", "make TOTAL the total of a step of the last chain; the model goes on", func(d *dialogue, ctx context.Context, args []float64) error {
		step, total := int(args[0]), int(args[1])
		if float64(step) != args[0] || float64(total) != args[1] {
			return heardError{errors.New("STEP and TOTAL are whole numbers, as in :mistake 2 9")}
		}
		return d.mistake(ctx, step, total)
	}},
	{":quick", "", "the answer to the last problem without a chain", func(d *dialogue, ctx context.Context, _ []float64) error { return d.quick(ctx) }},
	{":again", "", "the last thing once more, with other luck", func(d *dialogue, ctx context.Context, _ []float64) error { return d.again(ctx) }},
	{":temperature", "X", "0 (at the start): always the likeliest word; 1: drawn, as in training", func(d *dialogue, _ context.Context, args []float64) error {
		if !(args[0] >= 0 && args[0] <= maxTemperature) {
			return heardError{fmt.Errorf("a temperature is between 0 and %d", maxTemperature)}
		}
		d.temperature = args[0]
		return nil
	}},
	{":help", "", "this list", nil},
	{":quit", "", "the end; so is the end of the input", func(*dialogue, context.Context, []float64) error { return errQuit }},
}

func commandHelp() string {
	var b strings.Builder
	for _, c := range commands {
		fmt.Fprintf(&b, "  %-21s %s\n", strings.TrimSpace(c.name+" "+c.args), c.help)
	}
	return b.String()
}

// hear does what a line says.
func (d *dialogue) hear(ctx context.Context, line string) error {
	if line == "" {
		return nil
	}
	if !strings.HasPrefix(line, ":") {
		p, err := task.ParseProblem(line)
		if err != nil {
			return heardError{err}
		}
		return d.ask(ctx, p)
	}
	words := strings.Fields(line)
	i := slices.IndexFunc(commands, func(c command) bool { return c.name == words[0] })
	if i < 0 {
		var names []string
		for _, c := range commands {
			names = append(names, c.name)
		}
		return heardError{fmt.Errorf("there is no command %q; choose from: %s", words[0], strings.Join(names, ", "))}
	}
	c := commands[i]
	if c.do == nil {
		_, err := fmt.Fprint(d.out, "A problem such as 8 + 5 + 3 mod 7, or\n"+commandHelp())
		return err
	}
	args, err := numbers(words[1:], len(strings.Fields(c.args)))
	if err != nil {
		return heardError{fmt.Errorf("%s: write %s", err, strings.TrimSpace(c.name+" "+c.args))}
	}
	return c.do(d, ctx, args)
}

// numbers reads exactly n finite numbers.
func numbers(words []string, n int) ([]float64, error) {
	if len(words) != n {
		return nil, fmt.Errorf("that is %s where %d belong", count(len(words), "word"), n)
	}
	var out []float64
	for _, word := range words {
		x, err := strconv.ParseFloat(word, 64)
		if err != nil || math.IsNaN(x) || math.IsInf(x, 0) {
			return nil, fmt.Errorf("%q is no number", word)
		}
		out = append(out, x)
	}
	return out, nil
}
