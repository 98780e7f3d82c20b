package compose

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode"

	"candor/internal/rng"
	"candor/reasoning/llm"
)

// TwoPart is a private reasoner behind a face, with a paraphraser between them (Kokotajlo's Shoggoth and Face). The reasoner
// writes a chain, step by step. Each step is rewritten as soon as it stands, so that the reasoner itself goes on from other
// words than its own. A face, another model, reads what it may see of the prompt and the rewritten chain, and writes the
// output. Monitors judge the trace, and only [Transcript.Answer] lets the output out.
//
// Solve keeps nothing between its calls: a TwoPart may be used by many goroutines at once, as far as its functions and models can.
//
// It knows the reasoner's format by its settings alone: words separated by single spaces, a number of words that make a step,
// and a word that closes the chain.
//
// A chain that a limit ends goes to no face: the transcript is partial and has no output.
type TwoPart struct {
	Reasoner llm.Generator
	// Face writes the output. Without one (nil) the reasoner does, in a call of its own that carries on its chain as it was
	// rewritten. For a face with the reasoner's weights that reads a chain as somebody else's, set both to the same model.
	Face llm.Generator
	// Rewrite rewrites each step; nil rewrites none.
	Rewrite Rewriter
	// Exempt is the share of problems whose chains are left as they are, drawn by each problem's seed. 0 rewrites all.
	Exempt float64
	// View returns what the face sees of a prompt; nil shows all of it. Without a face nothing can be hidden.
	View func(prompt string) string
	// Gates judge each transcript; see [Gate].
	Gates []Gate
	// StepTokens is how many words make a step. Where steps are rewritten or words banned the reasoner is asked for so many
	// at a time; otherwise one call writes the whole chain, which is cut into steps afterwards. 0 leaves a chain one step, and
	// can only be where nothing else needs to know.
	StepTokens int
	// Close is the word that closes a chain, such as "=". However a reasoner ends its chain, this is what the face reads.
	Close string
	// OutputTokens is the most tokens of an output.
	OutputTokens int
	// Temperature is the reasoner's and FaceTemperature the face's. Without a face the output is sampled at Temperature, too.
	Temperature, FaceTemperature float64
	// Limits bound a problem: Completion the tokens of a chain as the reasoner writes it, its end included; Depth its steps.
	Limits Limits
	// Ban returns the words that the reasoner may not write in a step, counted from 0; it is asked for the step after the last
	// too, in whose place the chain may be closed. It must depend on its arguments alone: draw from a stream of Prompt.Seed.
	// nil bans none.
	Ban func(prompt Prompt, step int) []string
	// BanFrom is how many words at the beginning of each step are free of the ban.
	BanFrom int
}

// Rewriter rewrites one step of a chain. It sees the step, without space around it, and a random stream of its own, and
// nothing else. A step that it makes empty is left out.
type Rewriter func(step string, src *rng.Source) string

// Name returns "two-part".
func (TwoPart) Name() string { return "two-part" }

// Solve returns transcript i for prompt i. An error is about the settings or comes from a model (wrapped); no transcript is
// returned then. The calls that all problems wait for go out as one batch: those of the reasoner until every chain has ended,
// then those of the face.
func (s TwoPart) Solve(ctx context.Context, prompts []Prompt) ([]Transcript, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	transcripts, writers := make([]Transcript, len(prompts)), make([]*writer, len(prompts))
	stop := []string{s.Close}
	for i, p := range prompts {
		w := &writer{problem: newProblem(p, s.Name(), s.Limits, s.Temperature), system: &s, t: &transcripts[i], stop: stop}
		w.begin()
		writers[i] = w
	}
	if _, err := drive(ctx, s.Name()+", reasoner", s.Reasoner, writers); err != nil {
		return nil, &PartError{PartReasoner, err}
	}
	face := s.Face
	if face == nil {
		face = s.Reasoner
	}
	for _, w := range writers {
		w.conclude()
	}
	if _, err := drive(ctx, s.Name()+", face", face, writers); err != nil {
		return nil, &PartError{PartFace, err}
	}
	for _, w := range writers {
		w.t.Calls, w.t.Tokens = w.calls, w.tokens
	}
	if err := judge(ctx, s.Name(), s.Gates, transcripts); err != nil {
		return nil, err
	}
	return transcripts, nil
}

// check validates the settings.
func (s *TwoPart) check() error {
	errs := []error{s.Limits.validate(), atLeast("OutputTokens", s.OutputTokens, 1), atLeast("BanFrom", s.BanFrom, 0)}
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if s.Reasoner == nil {
		bad("the Reasoner is nil, must be a generator")
	}
	if !(s.Temperature >= 0 && s.Temperature <= 100 && s.FaceTemperature >= 0 && s.FaceTemperature <= 100) {
		bad("Temperature and FaceTemperature are %g and %g, must be between 0 and 100", s.Temperature, s.FaceTemperature)
	}
	if !(s.Exempt >= 0 && s.Exempt <= 1) {
		bad("Exempt is %g, must be a share between 0 and 1", s.Exempt)
	}
	if s.View != nil && s.Face == nil {
		bad("View hides parts of the prompt from the face, but there is no Face: set one, which may be the Reasoner")
	}
	if words := strings.Fields(s.Close); len(words) != 1 || words[0] != s.Close {
		bad("Close is %q, must be one word", s.Close)
	}
	switch needed := s.Rewrite != nil || s.Ban != nil || s.Limits.Depth > 0; {
	case needed && s.StepTokens < 1:
		bad("StepTokens is %d, must be at least 1 with Rewrite, Ban or Limits.Depth", s.StepTokens)
	case s.StepTokens < 0:
		bad("StepTokens is %d, must be 0 (one step) or more", s.StepTokens)
	}
	errs = append(errs, checkGates(s.Gates))
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("%s: %w", s.Name(), err)
	}
	return nil
}

// writer is one problem in the two-part system. It asks for the steps of a chain and, once that is concluded, for the output.
type writer struct {
	problem
	system    *TwoPart
	t         *Transcript
	stop      []string
	stepwise  bool
	concluded bool
	chain     string // as it was rewritten: what the next call reads
	length    int    // tokens of the chain, as written
	asked     int    // tokens that the call under way may write
	banned    []string
}

// begin draws whether the problem is rewritten.
func (w *writer) begin() {
	w.t.Prompt = w.prompt
	if w.system.Rewrite != nil {
		src := w.src.Split("exempt")
		w.t.Rewritten = !src.Bool(w.system.Exempt)
	}
	w.stepwise = w.t.Rewritten || w.system.Ban != nil
}

func (w *writer) ask() []llm.Request {
	switch {
	case w.t.Partial != "":
		return nil
	case w.concluded:
		return w.askOutput()
	case w.t.Closed:
		return nil
	}
	return w.askStep()
}

// askStep asks for the next step, or for the whole chain.
func (w *writer) askStep() []llm.Request {
	want := w.limits.Completion - w.length
	if want < 1 {
		w.t.Partial = LimitCompletion
		return nil
	}
	// at full depth a chain may still be closed, which takes one token
	n, words, depth := len(w.t.Steps), w.system.StepTokens, w.limits.Depth
	switch {
	case depth > 0 && n >= depth:
		want = 1
	case w.stepwise:
		want = min(want, words)
	case depth > 0 && depth <= want/words:
		want = min(want, depth*words+1)
	}
	r, ok := w.call(w.chain, want)
	if !ok {
		w.t.Partial = w.refused
		return nil
	}
	r.Stop = w.stop
	if w.system.Ban != nil {
		w.banned = w.system.Ban(w.prompt, n)
		r.Ban, r.BanFrom = w.banned, w.system.BanFrom
	}
	w.asked = r.MaxTokens
	return []llm.Request{r}
}

// askOutput asks for the output, once.
func (w *writer) askOutput() []llm.Request {
	if w.t.answered {
		return nil
	}
	r, ok := w.call(w.t.shown, w.system.OutputTokens)
	if !ok {
		w.t.Partial = w.refused
		return nil
	}
	seen := w.prompt.Text
	if w.system.View != nil {
		seen = w.system.View(seen)
	}
	if w.system.Face != nil {
		r.Temperature = w.system.FaceTemperature
	}
	r.Messages = []llm.Message{{Role: llm.User, Text: seen}}
	w.t.Context = seen + " " + w.t.shown
	w.asked = r.MaxTokens
	return []llm.Request{r}
}

func (w *writer) take(completions []llm.Completion) error {
	w.account(completions)
	c := completions[0]
	if c.Finish != llm.FinishStop && c.Finish != llm.FinishLength {
		return fmt.Errorf("the model ended a completion for the reason %q, must be %q or %q", c.Finish, llm.FinishStop, llm.FinishLength)
	}
	if w.concluded {
		w.t.Output, w.t.answered = Output{Text: strings.TrimSpace(c.Text), Tokens: c.Tokens, Finish: c.Finish}, true
		if c.Finish == llm.FinishLength && w.asked < w.system.OutputTokens {
			w.t.Partial = LimitTokens
		}
		return nil
	}
	w.length += c.CompletionTokens
	steps := cutSteps(c, w.system.StepTokens)
	if depth := w.limits.Depth; depth > 0 && len(w.t.Steps)+len(steps) > depth {
		steps = steps[:depth-len(w.t.Steps)]
		w.t.Partial = LimitDepth
	}
	w.add(steps)
	switch {
	case w.t.Partial != "":
	case c.Finish == llm.FinishStop:
		w.t.Closed, w.t.Stop, w.t.CloseBanned = true, c.Stop, w.banned
	case !w.stepwise || c.CompletionTokens < w.asked:
		w.t.Partial = w.cutLimit(c)
	}
	return nil
}

// add appends steps to the chain, each rewritten if this problem's are.
func (w *writer) add(steps []Step) {
	var chain strings.Builder
	chain.WriteString(w.chain)
	for i := range steps {
		s := &steps[i]
		s.Banned, s.Rewritten = w.banned, s.Written
		if w.t.Rewritten {
			s.Rewritten = w.rewrite(s.Written, len(w.t.Steps)+i, chain.Len() == 0)
		}
		chain.WriteString(s.Rewritten)
	}
	w.chain = chain.String()
	w.t.Steps = append(w.t.Steps, steps...)
}

// rewrite returns what stands in the place of step n. Not even the space around the step is kept, which could carry something.
func (w *writer) rewrite(step string, n int, first bool) string {
	if step = strings.TrimSpace(step); step == "" {
		return ""
	}
	src := w.src.SplitN("rewrite", n)
	text := strings.TrimSpace(w.system.Rewrite(step, &src))
	if text == "" || first {
		return text
	}
	return " " + text
}

// conclude ends the work on the chain.
func (w *writer) conclude() {
	w.concluded = true
	w.t.shown = w.close(w.chain)
	w.t.private = w.t.shown
	if w.t.Rewritten {
		var private strings.Builder
		for _, s := range w.t.Steps {
			private.WriteString(s.Written)
		}
		w.t.private = w.close(private.String())
	}
}

// close appends the closing word to a chain, if the reasoner closed it.
func (w *writer) close(chain string) string {
	switch {
	case !w.t.Closed:
		return chain
	case strings.TrimRightFunc(chain, unicode.IsSpace) == chain && chain != "":
		return chain + " " + w.system.Close
	}
	return chain + w.system.Close
}

// outcome is what drive collects. A transcript says more and is filled in place.
func (w *writer) outcome() Outcome {
	return Outcome{Text: w.chain, Calls: w.calls, Tokens: w.tokens, Partial: w.t.Partial}
}
