package compose

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode"

	"candor/reasoning/llm"
	"candor/reasoning/monitor"
)

// Step is one step of a chain. As with [llm.Token], its texts begin with the space that separates them from what stands
// before, so that the texts of all steps join as they are.
type Step struct {
	// Written is what the reasoner wrote. The last step of a chain may be incomplete.
	Written string
	// Tokens are Written as it was sampled, if the model tells.
	Tokens []llm.Token
	// Rewritten stands in its place for everybody who reads on; the same text where nothing is rewritten.
	Rewritten string
	// Banned are the words that the reasoner could not write here, from word BanFrom on.
	Banned []string
}

// Output is what the face wrote.
type Output struct {
	Text   string
	Tokens []llm.Token // as sampled, if the model tells
	Finish llm.Finish  // [llm.FinishLength] if it was cut at OutputTokens or by the model's context
}

// Transcript is everything that happened on one problem. It is for whoever studies or trains the system; what a user may see
// is [Transcript.Answer].
type Transcript struct {
	Prompt Prompt
	Steps  []Step
	// Closed tells whether the reasoner ended its chain, with the stop text Stop or, where that is "", by its model's own end.
	// CloseBanned are the words banned in the call in which it did.
	Closed      bool
	Stop        string
	CloseBanned []string
	// Rewritten tells whether the chain was to be rewritten.
	Rewritten bool
	// Context is all that the output was written from: what the face saw of the prompt and the rewritten chain. "" if nobody
	// was asked for one.
	Context string
	Output  Output
	// Verdicts holds one verdict of each gate, in their order.
	Verdicts []Verdict
	// Partial is the limit that ended the work early, "" if none did.
	Partial Limit
	// Calls and Tokens count the calls of both models and the tokens sampled in them.
	Calls, Tokens int

	private, shown string
	answered       bool // an output was asked for and came back, be it empty
	released       bool // set by judge alone, as is answer: nothing that a caller may write lets an output out
	answer         string
}

// Private returns the chain as the reasoner wrote it. It ends in the closing word if the reasoner closed it.
func (t *Transcript) Private() string { return t.private }

// Shown returns the chain as it was rewritten, for the reasoner's later steps and for the face.
func (t *Transcript) Shown() string { return t.shown }

// Released tells whether there is an output and every gate that is on has passed it.
func (t *Transcript) Released() bool { return t.released }

// Answer returns the output for the user, "" unless it is released.
func (t *Transcript) Answer() string { return t.answer }

// cutSteps cuts a completion into steps of n tokens, or of n words where the model does not tell its tokens; n = 0 does not
// cut. Their texts join to the completion's.
func cutSteps(c llm.Completion, n int) []Step {
	var steps []Step
	text, tokens := c.Text, c.Tokens
	for n > 0 && (len(tokens) > n || len(c.Tokens) == 0 && text != "") {
		end := 0
		var own []llm.Token
		if len(tokens) > 0 {
			own, tokens = tokens[:n:n], tokens[n:]
			for _, t := range own {
				end += len(t.Text)
			}
			end = min(end, len(text))
		} else {
			end = wordsEnd(text, n)
		}
		steps = append(steps, Step{Written: text[:end], Tokens: own})
		text = text[end:]
	}
	if text != "" || len(tokens) > 0 {
		steps = append(steps, Step{Written: text, Tokens: tokens})
	}
	return steps
}

// wordsEnd returns where the nth word of a text ends, or the text does. White space behind the last word belongs to it.
func wordsEnd(text string, n int) int {
	in := false
	for i, r := range text {
		switch space := unicode.IsSpace(r); {
		case !space:
			in = true
		case in:
			if n--; n == 0 && strings.TrimSpace(text[i:]) != "" {
				return i
			}
			in = false
		}
	}
	return len(text)
}

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
	Monitor monitor.Monitor
	// Threshold is in 0..1; at 0 nothing passes.
	Threshold float64
	Sees      Part
	// Off switches the gate off: it gives no score and withholds nothing.
	Off bool
}

func (g Gate) check() error {
	switch {
	case g.Monitor == nil:
		return errors.New("the Monitor is nil")
	case !(g.Threshold >= 0 && g.Threshold <= 1):
		return fmt.Errorf("the Threshold is %g, must be between 0 and 1", g.Threshold)
	case g.Sees != SeesPrivate && g.Sees != SeesShown && g.Sees != SeesOutput:
		return fmt.Errorf("the part that it Sees is %q, must be %q, %q or %q", g.Sees, SeesPrivate, SeesShown, SeesOutput)
	}
	return nil
}

// State is what became of a gate.
type State string

// The states. All but Pass withhold the output, unless the gate is off.
const (
	Pass   State = "pass"
	Block  State = "block"   // the score reaches the threshold
	NotRun State = "not run" // the gate is off, or there is no output
	Failed State = "error"   // the monitor gave no number between 0 and 1, or panicked
)

// Verdict is what one gate made of one transcript.
type Verdict struct {
	Monitor   string  `json:"monitor"`
	Sees      Part    `json:"sees"`
	State     State   `json:"state"`
	Score     float64 `json:"score"` // counts only in the states Pass and Block
	Threshold float64 `json:"threshold"`
	Note      string  `json:"note,omitempty"` // why it was not run or failed
}

// judge gives every transcript its verdicts. A monitor that hangs cannot be stopped, but it holds nobody up for longer than
// the context does, and nothing is released then.
func (s *TwoPart) judge(ctx context.Context, transcripts []Transcript) error {
	if len(transcripts) == 0 {
		return nil
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range transcripts {
			if ctx.Err() != nil {
				return
			}
			s.rule(&transcripts[i])
		}
	}()
	select {
	case <-done:
	case <-ctx.Done():
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%s, monitors: %w", s.Name(), err)
	}
	return nil
}

// rule takes the verdicts on a transcript and releases its output if all gates that are on let it pass.
func (s *TwoPart) rule(t *Transcript) {
	passed := t.Output.Text != ""
	t.Verdicts = make([]Verdict, len(s.Gates))
	for i, g := range s.Gates {
		v := g.judge(t)
		t.Verdicts[i] = v
		passed = passed && (g.Off || v.State == Pass)
	}
	if passed {
		t.released, t.answer = true, t.Output.Text
	}
}

// judge returns the gate's verdict. Whatever the monitor does, it is a verdict, and none that lets anything pass by accident.
func (g Gate) judge(t *Transcript) (v Verdict) {
	v = Verdict{Monitor: g.name(), Sees: g.Sees, State: NotRun, Threshold: g.Threshold}
	switch {
	case g.Off:
		v.Note = "switched off"
		return v
	case !t.answered:
		v.Note = fmt.Sprintf("there is no output: the work ended at the limit %q", t.Partial)
		return v
	}
	v.State = Failed
	defer func() {
		if p := recover(); p != nil {
			v.Note = fmt.Sprint("the monitor panicked: ", p)
		}
	}()
	ruling := monitor.Judge(g.Monitor, t.view(g.Sees), g.Threshold)
	switch {
	case ruling.Note != "":
		v.Note = ruling.Note
	case ruling.Flag:
		v.State, v.Score = Block, ruling.Score
	default:
		v.State, v.Score = Pass, ruling.Score
	}
	return v
}

// name returns the monitor's name; its type if not even that can be had.
func (g Gate) name() (name string) {
	defer func() {
		if recover() != nil {
			name = fmt.Sprintf("%T", g.Monitor)
		}
	}()
	return g.Monitor.Name()
}

// view is what a monitor sees.
func (t *Transcript) view(part Part) monitor.View {
	v := monitor.View{Prompt: t.Prompt.Text, Answer: t.Output.Text}
	switch part {
	case SeesPrivate:
		v.Chain = t.private
	case SeesShown:
		v.Chain = t.shown
	}
	return v
}
