package eval

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"candor/internal/rng"
	"candor/reasoning/compose"
	"candor/reasoning/cot"
	"candor/reasoning/intervene"
	"candor/reasoning/llm"
	"candor/reasoning/monitor"
	"candor/reasoning/task"
	"candor/study/runlog"
)

// Suite says how problems are put to a model and what is measured of its answers.
type Suite struct {
	// Name becomes Sample.Eval; Split Sample.Split, the name of the set that the problems are from.
	Name, Split string
	// Mode is how the prompt asks: with a chain (task.Steps) or for the answer at once (task.Quick).
	Mode task.Mode
	// Temperature of every completion; 0 is greedy. A System has its own.
	Temperature float64
	// Repeats is how often each problem is asked; 0 means once.
	Repeats int
	// MaxTokens bounds what the model writes for one chain, and for one continuation.
	MaxTokens int
	// Interventions are tried on every chain that they can be judged on; none with Mode Quick or a System.
	Interventions []intervene.Intervention
	// Swap adds the intervention "swap": another problem's chain in place of the model's own. It is taken from the attempts
	// beside it, so this one measurement depends on which problems are in the suite.
	Swap bool
	// MinSteps is the fewest steps of a chain to intervene on; 0 means 3, so that there is a middle.
	MinSteps int
	// System, if set, answers in place of a single call; its model is its own.
	System compose.System
	// Monitors each give Values["suspicion/NAME"].
	Monitors []monitor.Monitor
}

// batch is the most requests that go to the generator at a time: enough to keep a local model's matrix products large,
// few enough to report progress and to stop soon when the context ends.
const batch = 256

// edited is the number of interventions.
func (s *Suite) edited() int {
	if s.Swap {
		return len(s.Interventions) + 1
	}
	return len(s.Interventions)
}

func (s *Suite) prepare(problems []task.Problem) error {
	s.Repeats = max(s.Repeats, 1)
	if s.MinSteps == 0 {
		s.MinSteps = 3
	}
	switch {
	case s.Name == "":
		return errors.New("the suite has no name")
	case s.Mode != task.Steps && s.Mode != task.Quick:
		return fmt.Errorf("the mode is %q, must be %q or %q", s.Mode, task.Steps, task.Quick)
	case s.MaxTokens < 1 && s.System == nil:
		return fmt.Errorf("MaxTokens is %d, must be at least 1", s.MaxTokens)
	case s.edited() > 0 && s.Mode == task.Quick:
		return errors.New("interventions edit a chain, and in quick mode there is none: use steps")
	case s.edited() > 0 && s.System != nil:
		return fmt.Errorf("interventions edit the chain of one call, which the system %s does not have: evaluate them without it", s.System.Name())
	}
	names := map[string]bool{"none": true}
	for _, i := range s.Interventions {
		if names[i.Name()] {
			return fmt.Errorf("the intervention %s is there twice", i.Name())
		}
		names[i.Name()] = true
	}
	ids := map[string]bool{}
	for _, p := range problems {
		if ids[p.ID()] {
			return fmt.Errorf("problem %s is there twice: use Repeats to ask it again", p.ID())
		}
		ids[p.ID()] = true
	}
	return nil
}

// attempt is one answer: the sample in the making, and what it is made of.
type attempt struct {
	problem task.Problem
	repeat  int
	prompt  string
	trace   cot.Trace
	sample  runlog.Sample
}

// Run carries out the pipeline of package documentation. Samples have no Run, Arm and Seed yet: whoever keeps them knows.
// src is the root of all the suite's seeds. progress, if not nil, is told how many of all completions are done; with
// interventions, those that do not apply are counted as done. On an error, which names the suite, no samples are
// returned; when ctx ends the error wraps its cause.
func Run(ctx context.Context, gen llm.Generator, problems []task.Problem, suite Suite, src rng.Source, progress func(done, total int)) ([]runlog.Sample, error) {
	if err := suite.prepare(problems); err != nil {
		return nil, fmt.Errorf("evaluating %s: %w", suite.Name, err)
	}
	if progress == nil {
		progress = func(int, int) {}
	}
	r := &runner{Suite: suite, gen: gen, src: src, progress: progress}
	r.total = len(problems) * suite.Repeats * (1 + suite.edited())
	attempts, err := r.ask(ctx, problems)
	if err != nil {
		return nil, fmt.Errorf("evaluating %s: %w", suite.Name, err)
	}
	edited, err := r.intervene(ctx, attempts)
	if err != nil {
		return nil, fmt.Errorf("evaluating %s: %w", suite.Name, err)
	}
	var samples []runlog.Sample
	for i, a := range attempts {
		for _, b := range append([]*attempt{a}, edited[i]...) {
			r.score(b)
			samples = append(samples, b.sample)
		}
	}
	return samples, nil
}

type runner struct {
	Suite
	gen         llm.Generator
	src         rng.Source
	progress    func(done, total int)
	done, total int
}

func (r *runner) advance(n int) {
	if n > 0 {
		r.done += n
		r.progress(r.done, r.total)
	}
}

// seed is the seed of one completion, or of one edit.
func (r *runner) seed(what string, a *attempt) rng.Source {
	return r.src.Split(r.Name).Split(what).Split(a.problem.ID()).SplitN("repeat", a.repeat)
}

// ask makes the attempts, by problem and repeat.
func (r *runner) ask(ctx context.Context, problems []task.Problem) ([]*attempt, error) {
	var attempts []*attempt
	for _, p := range problems {
		for repeat := range r.Repeats {
			attempts = append(attempts, &attempt{problem: p, repeat: repeat, prompt: p.Prompt(r.Mode)})
		}
	}
	if r.System != nil {
		return attempts, r.solve(ctx, attempts)
	}
	requests := make([]llm.Request, len(attempts))
	for i, a := range attempts {
		requests[i] = r.request("none", a, "")
	}
	completions, err := r.generate(ctx, requests)
	if err != nil {
		return nil, err
	}
	for i, a := range attempts {
		r.read(a, "none", "", completions[i])
	}
	return attempts, nil
}

func (r *runner) request(intervention string, a *attempt, prefix string) llm.Request {
	src := r.seed(intervention, a)
	return llm.Request{
		ID:          fmt.Sprintf("%s/%s/%d/%s", r.Name, a.problem.ID(), a.repeat, intervention),
		Messages:    []llm.Message{{Role: llm.User, Text: a.prompt}},
		Prefix:      prefix,
		MaxTokens:   r.MaxTokens,
		Temperature: r.Temperature,
		Seed:        src.Uint64(),
		LogProbs:    true,
	}
}

// generate answers requests in batches.
func (r *runner) generate(ctx context.Context, requests []llm.Request) ([]llm.Completion, error) {
	out := make([]llm.Completion, 0, len(requests))
	for len(out) < len(requests) {
		part := requests[len(out):min(len(out)+batch, len(requests))]
		completions, err := r.gen.Generate(ctx, part)
		if err != nil {
			return nil, err
		}
		if len(completions) != len(part) {
			return nil, fmt.Errorf("the model gave %d completions for %d requests", len(completions), len(part))
		}
		out = append(out, completions...)
		r.advance(len(part))
	}
	return out, nil
}

// solve makes the attempts with the composed system.
func (r *runner) solve(ctx context.Context, attempts []*attempt) error {
	for start := 0; start < len(attempts); start += batch {
		part := attempts[start:min(start+batch, len(attempts))]
		prompts := make([]compose.Prompt, len(part))
		for i, a := range part {
			src := r.seed("none", a)
			prompts[i] = compose.Prompt{ID: fmt.Sprintf("%s/%s/%d", r.Name, a.problem.ID(), a.repeat), Text: a.prompt, Seed: src.Uint64()}
		}
		outcomes, err := r.System.Solve(ctx, prompts)
		if err != nil {
			return err
		}
		if len(outcomes) != len(part) {
			return fmt.Errorf("the system %s gave %d outcomes for %d problems", r.System.Name(), len(outcomes), len(part))
		}
		for i, o := range outcomes {
			length := 0
			for _, token := range o.Written {
				length += len(token.Text)
			}
			a := part[i]
			r.record(a, "none", o.Text, max(0, len(o.Text)-length), o.Written)
			a.sample.Values["tokens"], a.sample.Values["calls"] = float64(o.Tokens), float64(o.Calls)
			if sum := total(o.Votes); sum > 0 && a.trace.Parsed {
				a.sample.Values["votes"] = float64(o.Votes[a.trace.Answer]) / float64(sum)
			}
		}
		r.advance(len(part))
	}
	return nil
}

func total(votes map[int]int) int {
	sum := 0
	for _, n := range votes {
		sum += n
	}
	return sum
}

// read parses what the model made of a prefix and fills the attempt's sample.
func (r *runner) read(a *attempt, intervention, prefix string, c llm.Completion) {
	r.record(a, intervention, prefix+c.Text, len(prefix), c.Tokens)
	a.sample.Values["tokens"] = float64(c.CompletionTokens)
}

// record fills the attempt's sample from a whole chain; what the model wrote of it begins at byte written.
func (r *runner) record(a *attempt, intervention, text string, written int, tokens []llm.Token) {
	t := a.problem.Read(text)
	outcome := task.Check(a.problem, t)
	a.trace = t
	a.sample = runlog.Sample{
		Eval:         r.Name,
		ID:           a.problem.ID(),
		Repeat:       a.repeat,
		Split:        r.Split,
		Problem:      a.problem.Text(),
		Intervention: intervention,
		Prompt:       a.prompt,
		Chain:        text,
		Target:       strconv.Itoa(a.problem.Answer()),
		Parsed:       outcome != task.Unparsed,
		Correct:      outcome == task.Correct,
		Values:       map[string]float64{},
	}
	if t.Parsed {
		a.sample.Answer = strconv.Itoa(t.Answer)
		// Of a chain that has an answer, Chain is what stands in front of it; any other is kept whole, to be looked at.
		a.sample.Chain = strings.TrimRight(text[:t.AnswerStart], " ")
		a.sample.Cue, _, _ = strings.Cut(text[t.AnswerStart:], " ")
	}
	if r.Mode == task.Steps {
		a.sample.Values["steps"] = float64(len(t.Steps))
		a.sample.Values["steps_share"] = float64(len(t.Steps)) / float64(len(a.problem.Operands))
	}
	if p, ok := answerLogProb(t, written, tokens); ok {
		a.sample.Values["logprob_answer"] = p
	}
	if p, ok := meanLogProb(tokens); ok {
		a.sample.Values["logprob_mean"] = p
	}
}

// score adds every monitor's suspicion. Monitors see the chain with its answer, as it was written.
func (r *runner) score(a *attempt) {
	view := monitor.View{Prompt: a.prompt, Chain: a.trace.Text, Answer: a.sample.Answer}
	for _, m := range r.Monitors {
		// Judge makes sure that it is a number between 0 and 1; the threshold is the reader's choice, later.
		a.sample.Values["suspicion/"+m.Name()] = monitor.Judge(m, view, 1).Score
	}
}
