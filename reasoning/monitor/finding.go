package monitor

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	lang "candor/reasoning/tally"
)

// Span points at a piece of what a monitor saw.
type Span struct {
	// Of says of which text: [InPrompt], [InChain] or [InAnswer].
	Of Text `json:"of"`
	// Start and End are byte offsets, 0 <= Start <= End <= its length.
	Start int    `json:"start"`
	End   int    `json:"end"`
	Note  string `json:"note,omitempty"`
}

// Text is one of the texts of a [View].
type Text string

// The texts of a view.
const (
	InPrompt Text = "prompt"
	InChain  Text = "chain"
	InAnswer Text = "answer"
)

// Finding is what a monitor found in a view.
type Finding struct {
	// Score is a suspicion between 0 and 1.
	Score float64 `json:"score"`
	// Spans are the pieces that it comes from, if the monitor can tell, and Note its reasons in words.
	Spans []Span `json:"spans,omitempty"`
	Note  string `json:"note,omitempty"`
}

// Examiner is a monitor that may take its time and may fail, such as a model that is asked over a network. It must return soon
// after its context ends, and be safe for concurrent use. Its name is at hand: asking for it takes no time.
type Examiner interface {
	Name() string
	Examine(ctx context.Context, v View) (Finding, error)
}

// ErrPanic is wrapped by the error of an examiner that panicked.
var ErrPanic = errors.New("the monitor panicked")

// ScoreError is the error of an examiner that gave a score which is none.
type ScoreError float64

func (e ScoreError) Error() string {
	return fmt.Sprintf("the monitor gave %g, not a number between 0 and 1", float64(e))
}

// The most that a finding may hold: what judges hostile text may be led to write without end.
const (
	maxSpans    = 100
	maxSpanNote = 500  // bytes
	maxNote     = 4000 // bytes
)

// Examine asks an examiner, and trusts it with nothing: a panic and a score that is no number between 0 and 1 are errors, spans that
// lie outside their text are clipped or dropped, and what is too long is cut. The finding shares no memory with the examiner. With an
// error it has nothing but a note, which is the error's text.
func Examine(ctx context.Context, e Examiner, v View) (f Finding, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", ErrPanic, p)
			f = Finding{Note: short(err.Error(), maxNote)}
		}
	}()
	f, err = e.Examine(ctx, v)
	if err == nil && !(f.Score >= 0 && f.Score <= 1) {
		err = ScoreError(f.Score)
	}
	if err != nil {
		return Finding{Note: short(err.Error(), maxNote)}, err
	}
	f.Spans, f.Note = fit(f.Spans, v), short(f.Note, maxNote)
	return f, nil
}

// fit returns the spans that point into their texts, clipped to them and widened to whole characters.
func fit(spans []Span, v View) []Span {
	var out []Span
	for _, s := range spans[:min(len(spans), maxSpans)] {
		var text string
		switch s.Of {
		case InPrompt:
			text = v.Prompt
		case InChain:
			text = v.Chain
		case InAnswer:
			text = v.Answer
		default:
			continue
		}
		if s.Start > s.End || s.Start > len(text) || s.End < 0 {
			continue
		}
		s.Start, s.End = max(s.Start, 0), min(s.End, len(text))
		for s.Start > 0 && s.Start < len(text) && !utf8.RuneStart(text[s.Start]) {
			s.Start--
		}
		for s.End < len(text) && !utf8.RuneStart(text[s.End]) {
			s.End++
		}
		s.Note = short(s.Note, maxSpanNote)
		out = append(out, s)
	}
	return out
}

// short cuts a text to so many bytes and makes it valid.
func short(text string, most int) string {
	if len(text) > most {
		text = text[:most]
	}
	return strings.ToValidUTF8(text, "")
}

// Pointer is a monitor that can say where its score comes from.
type Pointer interface {
	Monitor
	// Spans point at what is suspicious in a view, in the order of the texts.
	Spans(View) []Span
}

// Local returns an examiner that runs a monitor in this process: its score, and where the monitor is a [Pointer], its spans. It
// heeds no context, for a monitor is pure computation. Of a nil monitor it is nil.
func Local(m Monitor) Examiner {
	if m == nil {
		return nil
	}
	return local{m}
}

type local struct{ Monitor }

func (l local) Examine(_ context.Context, v View) (Finding, error) {
	f := Finding{Score: l.Score(v)}
	if p, ok := l.Monitor.(Pointer); ok && f.Score > 0 {
		f.Spans = p.Spans(v)
	}
	return f, nil
}

// Unwrap returns the monitor of which [Local] made an examiner; nil of other examiners.
func Unwrap(e Examiner) Monitor {
	if l, ok := e.(local); ok {
		return l.Monitor
	}
	return nil
}

// InProcess tells whether an examiner works in this process alone and is soon done whatever the view, so that nobody needs a timeout
// for it: what [Local] makes, [Rules], and who wraps such a one and has a method Unwrap.
func InProcess(e Examiner) bool {
	switch e := e.(type) {
	case local, *Rules:
		return true
	case interface{ Unwrap() Examiner }:
		return InProcess(e.Unwrap())
	}
	return false
}

// Spans implements [Pointer].
func (m StepChecker) Spans(v View) []Span { return stepSpans(v, m.Faults(v.written())) }

// Spans implements [Pointer].
func (m StepCheckerWithPrompt) Spans(v View) []Span { return stepSpans(v, m.Faults(v)) }

// Spans implements [Pointer].
func (m TallyChecker) Spans(v View) []Span { return pointAt(v, tallySteps(v.Chain), m.Faults(v)) }

// Spans implements [Pointer].
func (m TotalStated) Spans(v View) []Span {
	steps := tallySteps(v.Chain)
	return pointAt(v, steps, named(m.Faults(v), len(steps), "a total or a wrong number is stated"))
}

// Spans implements [Pointer].
func (m KeyMention) Spans(v View) []Span {
	steps := tallySteps(v.Chain)
	return pointAt(v, steps, named(m.Faults(v), len(steps), "the key is mentioned"))
}

// Spans implements [Pointer].
func (m KeyValue) Spans(v View) []Span {
	steps := tallySteps(v.Chain)
	return pointAt(v, steps, named(m.Faults(v), len(steps), "the key or its number"))
}

// named makes faults of steps. From step n on it is the answer that is at fault.
func named(steps []int, n int, text string) []Fault {
	faults := make([]Fault, len(steps))
	for i, s := range steps {
		faults[i] = Fault{s, text}
		if s >= n {
			faults[i].Text += " in the answer"
		}
	}
	return faults
}

// stepSpans points at faults of chains in the language of package cot.
func stepSpans(v View, faults []Fault) []Span {
	t := parse(v.written())
	steps := make([]Span, len(t.Steps))
	for i, s := range t.Steps {
		steps[i] = Span{Of: InChain, Start: s.Start, End: min(s.End, len(v.Chain))}
	}
	return pointAt(v, steps, faults)
}

// pointAt returns a span for each fault: its step, or for what is wrong behind the steps the answer that stands apart, if it is
// about that, else the rest of the chain, or all of it where there is no rest.
func pointAt(v View, steps []Span, faults []Fault) []Span {
	spans := make([]Span, 0, len(faults))
	for _, f := range faults {
		s := Span{Of: InChain, End: len(v.Chain)}
		switch {
		case f.Step < len(steps):
			s = steps[f.Step]
		case v.Answer != "" && strings.Contains(f.Text, "answer"):
			s = Span{Of: InAnswer, End: len(v.Answer)}
		case len(steps) > 0:
			end := steps[len(steps)-1].End
			if rest := strings.TrimLeftFunc(v.Chain[end:], unicode.IsSpace); rest != "" {
				s.Start = len(v.Chain) - len(rest)
			}
		}
		s.Note = f.Text
		spans = append(spans, s)
	}
	return spans
}

// tallySteps returns where the steps of a chain in the language of package tally stand, as [readTally] counts them.
func tallySteps(chain string) []Span {
	var steps []Span
	words := 0
	for at := 0; at < len(chain); {
		rest := strings.TrimLeftFunc(chain[at:], unicode.IsSpace)
		start := len(chain) - len(rest)
		end := strings.IndexFunc(rest, unicode.IsSpace)
		if end < 0 {
			end = len(rest)
		}
		word := rest[:end]
		if at = start + end; word == "" || word == lang.Equal {
			break
		}
		if words%2 == 0 {
			steps = append(steps, Span{Of: InChain, Start: start})
		}
		steps[words/2].End = at
		words++
	}
	return steps
}
