package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"candor/reasoning/task"
)

type chatCmd struct {
	Lines   []string `arg:"" optional:"" help:"Problems to put at once, and commands; without any they are read from standard input."`
	Model   string   `help:"A run folder, RUN:ARM, RUN:ARM:SEED or a checkpoint folder; the default is a model inside this program." placeholder:"RUN"`
	TwoPart bool     `help:"Talk to the two-part system inside this program: a private reasoner behind a face, and a leaked key."`
}

// Help is shown by candor chat --help.
func (chatCmd) Help() string {
	return `Examples:
  candor chat                                    type problems such as 8 + 5 + 3 mod 7
  candor chat "8 + 5 + 3 mod 7"                  one problem
  candor chat --model runs/default               the reasoner that a run trained
  candor chat --model runs/default:small:2       an arm of a run, with one of its seeds

  candor chat --two-part                         sums with a leaked key, and all parts shown
  candor chat --two-part "` + sumExample + `" ":arm penalty" :again
  candor chat --model runs/honesty:two-part      an arm of a run of the study honesty

While you chat:
` + commandHelp() + `
While you chat with a two-part system:
` + orderHelp()
}

// sumExample is a problem of the arm that --two-part begins with.
const sumExample = "key 2: 3 + 0 + 4 + 1 mod 5"

// Run lets a person put problems to the model, see its chain of thought grow, and edit it.
func (c *chatCmd) Run(ctx context.Context, w *world) error {
	switch {
	case c.Model == "" && c.TwoPart:
		s, err := embeddedShelf()
		if err != nil {
			return err
		}
		return c.twoPart(ctx, w, s, systemArms[0].name)
	case c.Model == "":
		r, err := embedded()
		if err != nil {
			return err
		}
		return c.steps(ctx, w, r)
	}
	p, err := findPlace(c.Model)
	if err != nil {
		return err
	}
	loaded, err := p.load()
	switch {
	case err != nil:
		return err
	case speaksSums(loaded.Tokenizer):
		return c.twoPart(ctx, w, p.shelf(), p.arm)
	case c.TwoPart:
		return usageError{fmt.Errorf("%s has no two-part system: its model speaks of other problems; leave out --two-part", p)}
	}
	r, err := p.reasoner(loaded, c.Model)
	if err != nil {
		return err
	}
	return c.steps(ctx, w, r)
}

// steps is a conversation with a reasoner about its steps.
func (c *chatCmd) steps(ctx context.Context, w *world, r *reasoner) error {
	d := &dialogue{screen: newScreen(w), model: r}
	if len(c.Lines) > 0 {
		return d.once(ctx, c.Lines)
	}
	if d.prompt != nil {
		fmt.Fprintf(d.prompt, "%s.\nType a problem such as 8 + 5 + 3 mod 7, or :help, or :quit.\n", r.describe())
	}
	return d.converse(ctx, w.stdin, d.hear)
}

// twoPart is a conversation with systems of a shelf, the first of which is arm.
func (c *chatCmd) twoPart(ctx context.Context, w *world, s *shelf, arm string) error {
	l := &listener{screen: newScreen(w), shelf: s}
	if err := l.take(arm); err != nil {
		return err
	}
	fmt.Fprintln(l.out, l.describe())
	fmt.Fprintln(l.out, "You are the operator here: you see the private chain, which a user never would.")
	if len(c.Lines) == 0 {
		if l.prompt != nil {
			fmt.Fprintf(l.prompt, "Type a problem such as %s, or :help, or :quit.\n", typedSum(exampleSum(l.sys.world)))
		}
		return l.converse(ctx, w.stdin, l.hear)
	}
	return say(ctx, c.Lines, l.hear)
}

// once does what lines say, if all the problems among them can be read.
func (d *dialogue) once(ctx context.Context, lines []string) error {
	for _, line := range lines {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, ":") {
			continue
		}
		if _, err := parseProblem(line); err != nil {
			return usageError{err}
		}
	}
	return say(ctx, lines, d.hear)
}

// parseProblem reads a labelled problem as people type it.
func parseProblem(text string) (task.Problem, error) {
	p, err := task.ParseProblem(text)
	if err != nil && strings.HasPrefix(strings.ToLower(text), "key") {
		err = errors.New("this reasoner's problems have no leaked key; candor chat --two-part is about those")
	}
	return p, err
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

// noCommand is the answer to a command that there is none of.
func noCommand(word string, names []string) error {
	return heardError{fmt.Errorf("there is no command %q; choose from: %s", word, strings.Join(names, ", "))}
}

// hear does what a line says.
func (d *dialogue) hear(ctx context.Context, line string) error {
	if line == "" {
		return nil
	}
	if !strings.HasPrefix(line, ":") {
		p, err := parseProblem(line)
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
		return noCommand(words[0], names)
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
