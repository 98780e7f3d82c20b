package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"candor/internal/rng"
	"candor/reasoning/compose"
	"candor/reasoning/tally"
	"candor/reasoning/task"
	"candor/train/twopart"
)

// listener is a conversation with a two-part system whose every part is heard and can be switched.
type listener struct {
	screen
	shelf *shelf
	sys   *system
	settings
	last *asked // nil before the first problem
}

// settings are what can be switched while one talks. They are comparable.
type settings struct {
	arm         string
	rewrite     string  // twopart.AsWritten and so on
	hide        bool    // the key from the face
	off         [8]bool // which monitors
	temperature float64
}

// asked is a problem that was put, and how.
type asked struct {
	problem task.Sum
	sample  int // how many times it was put before under the same settings
	with    settings
}

// order is something to type that is not a problem. To do it may return a heardError.
type order struct {
	name, args, help string
	do               func(l *listener, ctx context.Context, words []string) error
}

// orders are in the order in which :help shows them.
var orders = []order{
	{":flip", "", "the last problem with another key: does the answer follow it?", func(l *listener, ctx context.Context, _ []string) error { return l.flip(ctx) }},
	{":again", "", "the last problem, after a switch with the same luck, else with other luck", func(l *listener, ctx context.Context, _ []string) error { return l.again(ctx) }},
	{":monitor", "on|off [NAME]", "switch all monitors, or one", func(l *listener, _ context.Context, words []string) error { return l.monitor(words) }},
	{":paraphrase", "on|off", "rewrite every step, or leave steps as written", func(l *listener, _ context.Context, words []string) error { return l.paraphrase(words) }},
	{":face", "sees key|hidden", "show the face the key, or keep it from it", func(l *listener, _ context.Context, words []string) error { return l.faceSees(words) }},
	{":arm", "[NAME]", "take another arm's models and settings; alone: list the arms", func(l *listener, _ context.Context, words []string) error { return l.otherArm(words) }},
	{":temperature", "X", "0 (at the start): always the likeliest word; 1: drawn, as in training", func(l *listener, _ context.Context, words []string) error {
		x, err := strconv.ParseFloat(strings.Join(words, " "), 64)
		if err != nil || math.IsNaN(x) || x < 0 || x > maxTemperature {
			return heardError{fmt.Errorf("a temperature is a number between 0 and %d, as in :temperature 1", maxTemperature)}
		}
		l.temperature = x
		return l.report()
	}},
	{":help", "", "this list", nil},
	{":quit", "", "the end; so is the end of the input", func(*listener, context.Context, []string) error { return errQuit }},
}

func orderHelp() string {
	var b strings.Builder
	for _, o := range orders {
		fmt.Fprintf(&b, "  %-22s %s\n", strings.TrimSpace(o.name+" "+o.args), o.help)
	}
	return b.String()
}

// hear does what a line says.
func (l *listener) hear(ctx context.Context, line string) error {
	if line == "" {
		return nil
	}
	if !strings.HasPrefix(line, ":") {
		p, err := parseSum(line, l.sys.world)
		if err != nil {
			return heardError{err}
		}
		l.echo(typedSum(p))
		return l.ask(ctx, p)
	}
	words := strings.Fields(line)
	i := slices.IndexFunc(orders, func(o order) bool { return o.name == words[0] })
	switch {
	case i < 0:
		var names []string
		for _, o := range orders {
			names = append(names, o.name)
		}
		return noCommand(words[0], names)
	case orders[i].args == "" && len(words) > 1:
		return heardError{fmt.Errorf("%s stands alone: leave out %q", words[0], strings.Join(words[1:], " "))}
	}
	l.echo(strings.Join(words, " "))
	if orders[i].do == nil {
		_, err := fmt.Fprintf(l.out, "A problem such as %s, or\n%s", typedSum(exampleSum(l.sys.world)), orderHelp())
		return err
	}
	return orders[i].do(l, ctx, words[1:])
}

// echo writes what was typed where nobody saw it typed.
func (l *listener) echo(line string) {
	if l.prompt == nil {
		fmt.Fprintf(l.out, "\n> %s\n", line)
	}
}

// take makes an arm the one that is talked to, with its own settings.
func (l *listener) take(arm string) error {
	sys, err := l.shelf.open(arm)
	if err != nil {
		return err
	}
	l.sys = sys
	l.settings = settings{arm: sys.arm, rewrite: sys.config.Rewrite, hide: sys.config.HideKey, temperature: l.temperature}
	for i, g := range sys.gates {
		l.off[i] = g.Off
	}
	return nil
}

// system returns the two-part system as it is set.
func (l *listener) system() compose.TwoPart {
	config := l.sys.config
	config.Rewrite, config.HideKey = l.rewrite, l.hide
	s := config.System(l.sys.reasoner, l.sys.face, l.sys.world.Terms, l.temperature)
	s.Gates = l.gates()
	return s
}

// gates returns the monitors as they are set.
func (l *listener) gates() []compose.Gate {
	gates := slices.Clone(l.sys.gates)
	for i := range gates {
		gates[i].Off = l.off[i]
	}
	return gates
}

// ask puts a problem to the system.
func (l *listener) ask(ctx context.Context, p task.Sum) error {
	l.last = &asked{problem: p, with: l.settings}
	_, err := l.perform(ctx, p, 0)
	return err
}

// perform lets the system work on a problem, and shows it all. The same problem and sample have the same luck, whatever the key.
func (l *listener) perform(ctx context.Context, p task.Sum, sample int) (*compose.Transcript, error) {
	t, err := l.solve(ctx, p, sample)
	if err != nil {
		return nil, err
	}
	return t, l.show(ctx, p, t)
}

func (l *listener) solve(ctx context.Context, p task.Sum, sample int) (*compose.Transcript, error) {
	src := rng.New(0).Split("chat").Split("two-part").Split(p.ID()).SplitN("sample", sample)
	transcripts, err := l.system().Solve(ctx, []compose.Prompt{{ID: p.ID(), Text: p.Prompt(), Seed: src.Uint64()}})
	if err != nil {
		return nil, err
	}
	return &transcripts[0], nil
}

var errNoSum = errors.New("there is no problem yet; type one")

// again puts the last problem once more.
func (l *listener) again(ctx context.Context) error {
	switch {
	case l.last == nil:
		return heardError{errNoSum}
	case l.last.with == l.settings && l.temperature == 0 && l.rewrite != twopart.Paraphrase:
		return heardError{errors.New("at temperature 0 it would write the same again; switch something, or :temperature 1 lets it draw")}
	}
	p, err := parseSum(typedSum(l.last.problem), l.sys.world)
	if err != nil {
		return heardError{err}
	}
	sample := l.last.sample
	if l.last.with == l.settings {
		sample++
	}
	l.last = &asked{problem: p, sample: sample, with: l.settings}
	_, err = l.perform(ctx, p, sample)
	return err
}

// flip puts the last problem twice: as it was, which is not shown again, and with another key, all else equal.
func (l *listener) flip(ctx context.Context) error {
	if l.last == nil {
		return heardError{errNoSum}
	}
	p, err := parseSum(typedSum(l.last.problem), l.sys.world)
	switch {
	case err != nil:
		return heardError{err}
	case p.Flag != tally.Key:
		return heardError{fmt.Errorf("the last problem has no key to flip; type one such as %s", typedSum(exampleSum(l.sys.world)))}
	}
	other := p
	if other.Hint = (p.Hint + 1) % p.Modulus; other.Hint == p.Answer() { // a key that is the sum would tell nothing
		other.Hint = (other.Hint + 1) % p.Modulus
	}
	before, err := l.solve(ctx, p, l.last.sample)
	if err != nil {
		return err
	}
	fmt.Fprintf(l.out, "Asked again as %s\n", typedSum(other))
	after, err := l.perform(ctx, other, l.last.sample)
	if err != nil {
		return err
	}
	return l.row(ctx, "Flip", fmt.Sprintf("key %d to %d: %s", p.Hint, other.Hint, followed(p, other, before, after)), "", "")
}

// monitor switches monitors.
func (l *listener) monitor(words []string) error {
	if len(words) == 0 {
		return l.report()
	}
	if len(words) > 2 || words[0] != "on" && words[0] != "off" {
		return heardError{errors.New("write :monitor on, :monitor off, or with a name as in :monitor off key-mention")}
	}
	var names []string
	found := false
	for i, g := range l.gates() {
		name := g.Monitor.Name()
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
		if len(words) == 1 || words[1] == name {
			l.off[i], found = words[0] == "off", true
		}
	}
	if !found {
		return heardError{fmt.Errorf("there is no monitor %q; choose from: %s", words[1], strings.Join(names, ", "))}
	}
	return l.report()
}

// paraphrase switches what stands between the reasoner and everybody who reads on.
func (l *listener) paraphrase(words []string) error {
	switch {
	case len(words) == 1 && words[0] == "off":
		l.rewrite = twopart.AsWritten
	case len(words) == 1 && words[0] == "on":
		if l.rewrite = l.sys.config.Rewrite; l.rewrite == twopart.AsWritten {
			l.rewrite = twopart.Paraphrase
		}
	default:
		return heardError{errors.New("write :paraphrase on or :paraphrase off")}
	}
	return l.report()
}

// faceSees switches what the face sees of the prompt.
func (l *listener) faceSees(words []string) error {
	if len(words) != 2 || words[0] != "sees" || words[1] != "key" && words[1] != "hidden" {
		return heardError{errors.New("write :face sees key or :face sees hidden")}
	}
	if l.sys.config.Face == twopart.NoFace {
		return heardError{fmt.Errorf("arm %s has no face from which the key could be kept: its reasoner writes the output itself", l.arm)}
	}
	l.hide = words[1] == "hidden"
	return l.report()
}

// otherArm takes another arm, or lists them.
func (l *listener) otherArm(words []string) error {
	switch {
	case len(l.shelf.arms) == 0:
		return heardError{fmt.Errorf("%s is one checkpoint without arms; --model RUN:ARM takes an arm of a run", l.shelf.about)}
	case len(words) == 0:
		for _, e := range l.shelf.arms {
			l.paragraph(e.Arm, e.About)
		}
		return nil
	case len(words) > 1 || !slices.ContainsFunc(l.shelf.arms, func(e shelved) bool { return e.Arm == words[0] }):
		return heardError{fmt.Errorf("there is no arm %q in %s; choose from: %s", strings.Join(words, " "), l.shelf.about, l.shelf.names())}
	}
	if err := l.take(words[0]); err != nil {
		return heardError{err} // the arm before is kept
	}
	_, err := fmt.Fprintln(l.out, l.describe())
	return err
}
