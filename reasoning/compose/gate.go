package compose

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"candor/reasoning/llm"
	"candor/reasoning/monitor"
)

// Part is the part of a transcript that a monitor sees, beside the prompt.
type Part string

// The parts.
const (
	SeesPrivate Part = "private" // the chain as the reasoner wrote it, and the output
	SeesShown   Part = "shown"   // the chain as it was rewritten, and the output
	SeesOutput  Part = "output"  // the output alone
)

// Gate is a monitor that an output has to pass: its score must stay below the threshold.
type Gate struct {
	Monitor monitor.Examiner
	// Threshold is in 0..1; at 0 nothing passes.
	Threshold float64
	Sees      Part
	// Off switches the gate off: it gives no score and withholds nothing.
	Off bool
	// Advisory lets an output pass though its score reaches the threshold: the verdict is for whoever reads it. A monitor that fails
	// withholds it all the same.
	Advisory bool
	// Timeout is how long the monitor may take for one transcript; 0 leaves it as long as the context does.
	Timeout time.Duration
}

func (g Gate) check() error {
	switch {
	case g.Monitor == nil:
		return errors.New("the Monitor is nil")
	case !(g.Threshold >= 0 && g.Threshold <= 1):
		return fmt.Errorf("the Threshold is %g, must be between 0 and 1", g.Threshold)
	case g.Sees != SeesPrivate && g.Sees != SeesShown && g.Sees != SeesOutput:
		return fmt.Errorf("the part that it Sees is %q, must be %q, %q or %q", g.Sees, SeesPrivate, SeesShown, SeesOutput)
	case g.Timeout < 0:
		return fmt.Errorf("the Timeout is %s, must be 0 (the context's alone) or more", g.Timeout)
	}
	return nil
}

func checkGates(gates []Gate) error {
	var errs []error
	for i, g := range gates {
		if err := g.check(); err != nil {
			errs = append(errs, fmt.Errorf("gate %d: %w", i, err))
		}
	}
	return errors.Join(errs...)
}

// State is what became of a gate.
type State string

// The states. All but Pass withhold the output, unless the gate is off, or it is advisory and the state is Block.
const (
	Pass   State = "pass"
	Block  State = "block"   // the score reaches the threshold
	NotRun State = "not run" // the gate is off, or there is no output
	Failed State = "error"   // the monitor gave no number between 0 and 1, failed, panicked, or took too long
)

// Verdict is what one gate made of one transcript. It has no text of the conversation in it, so that it can be kept where the texts
// must not be.
type Verdict struct {
	Monitor   string  `json:"monitor"`
	Sees      Part    `json:"sees"`
	State     State   `json:"state"`
	Score     float64 `json:"score"` // counts only in the states Pass and Block
	Threshold float64 `json:"threshold"`
	Note      string  `json:"note,omitempty"` // why it was not run or failed
	Off       bool    `json:"off,omitempty"`  // the gate's, as is Advisory
	Advisory  bool    `json:"advisory,omitempty"`
}

// maxJudged is how many transcripts are before monitors that take their time at once.
const maxJudged = 32

// judge gives every transcript its verdicts and releases the outputs that pass. A monitor that hangs cannot be stopped, but it holds
// nobody up for longer than its gate's timeout and the context do. If the context ends, an error is returned; what hangs may write
// into the transcripts then, so that nobody may read them any more.
func judge(ctx context.Context, name string, gates []Gate, transcripts []Transcript) error {
	if len(transcripts) == 0 {
		return nil
	}
	gates = slices.Clone(gates) // whatever the caller does with them when the context has ended
	wait := start(func() (struct{}, error) {
		waits := make([]func(), 0, len(transcripts))
		for i := range transcripts {
			if ctx.Err() != nil {
				break
			}
			if wait := rule(ctx, gates, &transcripts[i]); wait != nil {
				waits = append(waits, wait)
			}
			if len(waits) == maxJudged {
				for _, wait := range waits {
					wait()
				}
				waits = waits[:0]
			}
		}
		for _, wait := range waits {
			wait()
		}
		return struct{}{}, nil
	})
	_, err := wait(ctx)
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return fmt.Errorf("%s, monitors: %w", name, err)
	}
	return nil
}

// rule takes the verdicts on a transcript and releases its output if all gates let it pass. Where a monitor takes its
// time, it does so in the function that it returns, which is nil otherwise.
func rule(ctx context.Context, gates []Gate, t *Transcript) (wait func()) {
	t.Verdicts, t.Findings = make([]Verdict, len(gates)), make([]monitor.Finding, len(gates))
	var waits []func()
	for i := range gates {
		g, v := &gates[i], &t.Verdicts[i]
		*v = Verdict{Monitor: g.name(), Sees: g.Sees, State: NotRun, Threshold: g.Threshold, Off: g.Off, Advisory: g.Advisory}
		switch {
		case g.Off:
			v.Note = "switched off"
		case !t.answered:
			v.Note = t.whyNoOutput()
		case g.Timeout == 0 && monitor.InProcess(g.Monitor):
			f, err := monitor.Examine(ctx, g.Monitor, t.View(g.Sees))
			t.Findings[i] = f
			g.take(v, f, err)
		default:
			result := g.examine(ctx, t.View(g.Sees))
			waits = append(waits, func() {
				f, err := result()
				t.Findings[i] = f
				g.take(v, f, err)
			})
		}
	}
	if len(waits) == 0 {
		t.conclude(gates)
		return nil
	}
	return func() {
		for _, wait := range waits {
			wait()
		}
		t.conclude(gates)
	}
}

// conclude releases the output if the verdicts allow it.
func (t *Transcript) conclude(gates []Gate) {
	if !t.answered || t.Err != nil || t.Output.empty() {
		return
	}
	for i, g := range gates {
		state := t.Verdicts[i].State
		if passed := state == Pass || g.Off || g.Advisory && state == Block; !passed {
			return
		}
	}
	t.release()
}

// whyNoOutput says why nothing can be judged.
func (t *Transcript) whyNoOutput() string {
	if t.Err != nil {
		return "there is no output: the chain could not be rewritten"
	}
	return fmt.Sprintf("there is no output: the work ended at the limit %q", t.Partial)
}

// examine lets the monitor work beside the caller. The function that it returns waits for it, no longer than the gate's timeout.
func (g *Gate) examine(ctx context.Context, v monitor.View) func() (monitor.Finding, error) {
	cancel := func() {}
	own := ctx
	if g.Timeout > 0 {
		own, cancel = context.WithTimeout(ctx, g.Timeout)
	}
	wait := start(func() (monitor.Finding, error) { return monitor.Examine(own, g.Monitor, v) })
	return func() (monitor.Finding, error) {
		defer cancel()
		f, err := wait(own)
		if err != nil && own.Err() != nil && ctx.Err() == nil {
			err = timeoutError(g.Timeout)
		}
		if err != nil && f.Note == "" { // it is not the monitor's
			f.Note = err.Error()
		}
		return f, err
	}
}

// timeoutError is that of a monitor that took too long.
type timeoutError time.Duration

func (e timeoutError) Error() string { return "no verdict within " + time.Duration(e).String() }

// take makes a verdict of a finding. Whatever the monitor did, it is a verdict, and none that lets anything pass by accident.
func (g *Gate) take(v *Verdict, f monitor.Finding, err error) {
	switch {
	case err != nil:
		v.State, v.Note = Failed, whyFailed(err)
	case f.Score < g.Threshold:
		v.State, v.Score = Pass, f.Score
	default:
		v.State, v.Score = Block, f.Score
	}
}

// whyFailed says why a monitor failed, in words of this package's own: what an error says may come from the conversation.
func whyFailed(err error) (why string) {
	why = "the monitor failed"
	defer func() { _ = recover() }() // an error may be a nil pointer
	var score monitor.ScoreError
	var timeout timeoutError
	var transient *llm.TransientError
	switch {
	case errors.As(err, &timeout):
		return timeout.Error()
	case errors.As(err, &score):
		return score.Error()
	case errors.Is(err, monitor.ErrPanic):
		return monitor.ErrPanic.Error()
	case errors.As(err, &transient):
		why += ": its model cannot be had for now"
	case errors.Is(err, llm.ErrInvalid):
		why += ": its model refused what it was asked"
	case errors.Is(err, context.DeadlineExceeded):
		why += ": something that it waited for took too long"
	}
	return why
}

// name returns the monitor's name; its type if not even that can be had.
func (g *Gate) name() (name string) {
	defer func() {
		if recover() != nil {
			name = fmt.Sprintf("%T", g.Monitor)
			if m := monitor.Unwrap(g.Monitor); m != nil {
				name = fmt.Sprintf("%T", m)
			}
		}
	}()
	return g.Monitor.Name()
}

// start runs f beside the caller. The function that it returns waits for its result, until a context ends; what comes later goes nowhere.
// A panic is an error.
func start[T any](f func() (T, error)) (wait func(context.Context) (T, error)) {
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1)
	go func() {
		r := result{err: errors.New("it ended without a result")}
		defer func() { done <- r }()
		r.value, r.err = guarded(f)
	}()
	return func(ctx context.Context) (T, error) {
		select {
		case r := <-done:
			return r.value, r.err
		case <-ctx.Done():
			return *new(T), ctx.Err()
		}
	}
}

// finished is start for what is soon done: f has ended when it returns.
func finished[T any](f func() (T, error)) (wait func(context.Context) (T, error)) {
	value, err := guarded(f)
	return func(context.Context) (T, error) { return value, err }
}

// guarded calls f, whose panic is an error.
func guarded[T any](f func() (T, error)) (value T, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("it panicked: %v", p)
		}
	}()
	return f()
}
