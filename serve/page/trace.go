package page

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"candor/reasoning/compose"
	"candor/reasoning/llm"
	"candor/reasoning/monitor"
	"candor/serve/record"
)

const (
	// maxSteps, maxSpans, maxMessages and maxStages bound the parts of one page. Of messages and stages the last are shown.
	maxSteps    = 300 // of one try
	maxSpans    = 100 // of one try
	maxMessages = 200
	maxStages   = 100
	// partCost is what a part counts of [maxPage], beside its text.
	partCost = 200
)

// tracePage is one trace in full. Without Texts there is nothing in it that a person or a model wrote.
type tracePage struct {
	record.Summary
	Texts    bool
	Protocol string
	Messages []message
	Skipped  int // messages before the first that is shown
	Stages   []stage
	Before   int // stages before the first that is shown
	End      *record.End
	Answer   *answer
	Review   *record.Review
	Trace    *record.Trace
	// Redacted are the names of the contents that were deleted.
	Redacted []string
	Decide   *decide
}

// block is a text as it is shown.
type block struct {
	Pieces []piece
	// Size is its length in bytes, and All the download of what was cut off, "" if nothing was.
	Size int
	All  string
}

type message struct {
	Role  string
	Text  block
	Calls []toolCall
	// CallID names the call whose result it is.
	CallID string
}

type toolCall struct {
	Name, ID  string
	Arguments block
}

type answer struct {
	Text  block
	Calls []toolCall
}

// stage is a try or an action.
type stage struct {
	record.StageOf
	ID    string // of its place on the page
	Gates []gate
	Steps []step
	// More is how many steps are left out.
	More int
	// Same tells that nothing was rewritten.
	Same                 bool
	Private, Shown       block // where they are not the steps joined
	Draft, Brief, Output block
	Calls                []toolCall
	Action               *action
	Redacted             bool
}

// gate is a verdict and where it comes from.
type gate struct {
	compose.Verdict
	Note  string // of the finding
	Spans []span
	More  int // spans that are left out
}

// span is a place that a monitor points at.
type span struct {
	N     int
	ID    string
	Of    string
	Quote string
	Note  string
	// Seen tells that it is marked on the page.
	Seen bool
}

// step is a step of a chain, and what the face read in its place.
type step struct {
	N              int
	Written, After []piece
	Left           bool // it was left out
	Cut            bool
}

type action struct {
	Goal, Chain, Why, Result block
	Call                     toolCall
	Modified                 *toolCall
	Failed                   block
}

// view puts a page together and keeps account of what it shows.
type view struct {
	id     string
	left   int // characters that may still be shown
	cells  int // for comparisons
	prompt *prompt
}

func (s *site) trace(w http.ResponseWriter, r *http.Request, v viewer) {
	t, err := s.Source.Trace(r.Context(), r.PathValue("id"))
	if err != nil {
		s.failed(w, r, v, "The trace", err)
		return
	}
	p := newTracePage(t, v, s.Guard.Token(r))
	s.show(w, r, v, http.StatusOK, "trace", "Trace "+line(t.ID), p)
}

func newTracePage(t *record.Trace, viewer viewer, token string) *tracePage {
	if !viewer.Texts() {
		t = facts(t)
	}
	v := &view{id: t.ID, left: maxPage, cells: maxCompare}
	p := &tracePage{Summary: t.Summary, Texts: viewer.Texts(), Protocol: t.Begin.Protocol, End: t.End, Review: t.Review, Trace: t, Redacted: t.Redacted}
	if t.Outcome == record.Held && viewer.Reviewer {
		p.Decide = &decide{ID: t.ID, Token: token}
	}
	v.prompt = newPrompt(t)
	// The answer first, so that however long the rest is, it is shown.
	if t.Answer != nil {
		p.Answer = &answer{v.block(t.Answer.Text, "answer", nil), v.toolCalls(t.Answer.Calls, "answer/calls")}
	}
	p.Skipped = max(0, len(t.Messages)-maxMessages)
	p.Before = max(0, len(t.Stages)-maxStages)
	for i := len(t.Stages) - 1; i >= p.Before; i-- { // the last counts, so it has the first share
		p.Stages = append(p.Stages, v.stage(i, &t.Stages[i]))
	}
	slices.Reverse(p.Stages)
	for i, m := range t.Messages[p.Skipped:] {
		part := "messages/" + strconv.Itoa(p.Skipped+i)
		v.left = max(0, v.left-partCost)
		p.Messages = append(p.Messages, message{string(m.Role), v.block(m.Text, part, v.prompt.marksOf(p.Skipped+i)), v.toolCalls(m.Calls, part+"/calls"), m.CallID})
	}
	return p
}

// facts returns a trace without what people and models wrote. The note of a monitor that failed goes too: it may quote what the
// monitor read.
func facts(t *record.Trace) *record.Trace {
	c := *t
	c.Prompt, c.Messages, c.Answer = "", nil, nil
	c.Stages = make([]record.StageOf, len(t.Stages))
	for i, s := range t.Stages {
		c.Stages[i] = record.StageOf{Stage: s.Stage, At: s.At}
		c.Stages[i].Verdicts = slices.Clone(s.Verdicts)
		for j := range s.Verdicts {
			if v := &c.Stages[i].Verdicts[j]; v.State != compose.NotRun {
				v.Note = ""
			}
		}
	}
	return &c
}

// block shows a text, which part names for the download.
func (v *view) block(text, part string, marks []mark) block {
	size := v.take(text, maxText)
	b := block{Size: len(text), Pieces: pieces(text[:size], 0, marks, "")}
	if size < len(text) {
		b.All = v.link(part)
	}
	return b
}

// take returns how much of a text is shown and takes it from what the page has left.
func (v *view) take(text string, most int) int {
	size, cost := clip(text, max(0, min(most, v.left)))
	v.left -= cost
	return size
}

func (v *view) link(part string) string { return "/traces/" + escape(v.id) + "/text/" + part }

func (v *view) toolCalls(calls []llm.ToolCall, part string) (out []toolCall) {
	for i, c := range calls {
		if v.left -= partCost; v.left <= 0 {
			break
		}
		out = append(out, v.toolCall(c, part+"/"+strconv.Itoa(i)))
	}
	return out
}

func (v *view) toolCall(c llm.ToolCall, part string) toolCall {
	return toolCall{c.Name, c.ID, v.block(c.Arguments, part, nil)}
}

func (v *view) stage(i int, in *record.StageOf) stage {
	part := "stages/" + strconv.Itoa(i)
	s := stage{StageOf: *in, ID: "s" + strconv.Itoa(i)}
	for _, verdict := range in.Verdicts {
		s.Gates = append(s.Gates, gate{Verdict: verdict})
	}
	switch {
	case in.Try != nil:
		v.try(&s, in.Try, part)
	case in.Action != nil:
		a := in.Action
		s.Action = &action{v.block(a.Goal, part+"/goal", nil), v.block(a.Chain, part+"/chain", nil), v.block(a.Why, part+"/why", nil),
			v.block(a.Result, part+"/result", nil), v.toolCall(a.Call, part+"/call"), nil, v.block(strings.Join(a.Failed, "\n"), part+"/failed", nil)}
		if a.Modified != nil {
			c := v.toolCall(*a.Modified, part+"/modified")
			s.Action.Modified = &c
		}
	}
	return s
}

// spotted are the marks of the texts of a try.
type spotted struct {
	private, shown, output []mark
	// prompt says how monitors read the conversation; nil if that is not known.
	prompt *prompt
}

func (v *view) try(s *stage, t *record.Try, part string) {
	m := spotted{prompt: v.prompt}
	n := 0
	for g := range s.Gates {
		if g < len(t.Findings) {
			n = s.Gates[g].spot(&m, t, &t.Findings[g], s.ID, n)
		}
	}
	s.Output = v.block(t.Output, part+"/output", m.output)
	s.Calls = v.toolCalls(t.Calls, part+"/calls")
	v.steps(s, t, &m, part)
	s.Draft = v.block(t.Draft, part+"/draft", nil)
	s.Brief = v.block(t.Brief, part+"/brief", nil)
}

// spot notes where a finding points; n counts the spans of the try.
func (g *gate) spot(m *spotted, t *record.Try, f *monitor.Finding, id string, n int) int {
	g.Note = f.Note
	for i, sp := range f.Spans {
		if n == maxSpans {
			g.More = len(f.Spans) - i
			break
		}
		n++
		one := span{N: n, ID: id + "-f" + strconv.Itoa(n), Of: string(sp.Of), Note: sp.Note}
		text, marks := "", (*[]mark)(nil)
		switch {
		case sp.Of == monitor.InAnswer:
			text, marks, one.Of = t.Output, &m.output, "output"
		case sp.Of == monitor.InChain && g.Sees == compose.SeesPrivate:
			text, marks, one.Of = t.Private, &m.private, "chain as written"
		case sp.Of == monitor.InChain && g.Sees == compose.SeesShown:
			text, marks, one.Of = t.Shown, &m.shown, "chain as the face read it"
		}
		if sp.Of == monitor.InPrompt && m.prompt != nil {
			one.Quote, one.Seen = m.prompt.spot(sp.Start, sp.End, ref{n, one.ID})
			one.Of = "conversation"
		}
		if marks != nil {
			if at, ok := newMark(text, sp.Start, sp.End); ok {
				at.ref = ref{n, one.ID}
				*marks = append(*marks, at)
				one.Quote, one.Seen = line(text[at.start:at.end]), true
			}
		}
		g.Spans = append(g.Spans, one)
	}
	return n
}

// steps shows a chain step by step, as it was written beside what was changed. Where the steps do not join to the texts that
// the spans count in, the texts are shown as well.
func (v *view) steps(s *stage, t *record.Try, m *spotted, part string) {
	private, shown := 0, 0
	joined := true
	for _, st := range t.Steps {
		joined = joined && at(t.Private, private, st.Written) && at(t.Shown, shown, st.Rewritten)
		private, shown = private+len(st.Written), shown+len(st.Rewritten)
	}
	steps := t.Steps
	if joined && (private < len(t.Private) || shown < len(t.Shown)) { // the closing word
		steps = append(steps[:len(steps):len(steps)], record.Step{Written: t.Private[private:], Rewritten: t.Shown[shown:]})
	}
	if !joined {
		s.Private, s.Shown = v.block(t.Private, part+"/private", m.private), v.block(t.Shown, part+"/shown", m.shown)
		m = &spotted{}
	}
	s.Same = true
	for _, st := range steps {
		s.Same = s.Same && st.Written == st.Rewritten
	}
	if s.Same && joined { // one column has the marks of both
		m.private = append(m.private, m.shown...)
	}
	private, shown = 0, 0
	for i, st := range steps {
		if i == maxSteps || v.left <= 0 {
			s.More = len(steps) - i
			break
		}
		s.Steps = append(s.Steps, v.step(i, st, private, shown, m))
		private, shown = private+len(st.Written), shown+len(st.Rewritten)
	}
	for i := range s.Steps {
		if s.Steps[i].Cut || s.More > 0 {
			s.Private.All, s.Shown.All = v.link(part+"/private"), v.link(part+"/shown")
			break
		}
	}
}

// at tells whether part is at byte i of text.
func at(text string, i int, part string) bool {
	return i <= len(text) && len(text)-i >= len(part) && text[i:i+len(part)] == part
}

// step compares a step's two texts; they begin at bytes private and shown of their chains.
func (v *view) step(n int, st record.Step, private, shown int, m *spotted) step {
	a, b := st.Written[:v.take(st.Written, maxText)], st.Rewritten
	out := step{N: n + 1, Written: pieces(trim(a, private, m.private), private, m.private, ""), Left: b == "" && st.Written != "", Cut: len(a) < len(st.Written)}
	if st.Written == b {
		return out
	}
	b = b[:v.take(b, maxText)]
	out.Cut = out.Cut || len(b) < len(st.Rewritten)
	if strings.HasSuffix(a, "\n") && strings.HasSuffix(b, "\n") {
		a, b = trim(a, private, nil), trim(b, shown, m.shown)
	}
	for _, e := range compare(a, b, &v.cells) {
		if e.op == "del" {
			out.After = append(out.After, pieces(a[e.a0:e.a1], 0, nil, "del")...)
		} else {
			out.After = append(out.After, pieces(b[e.b0:e.b1], shown+e.b0, m.shown, e.op)...)
		}
	}
	return out
}

// trim takes the empty lines off the end of a step that begins at byte base, unless a mark points at them.
func trim(text string, base int, marks []mark) string {
	short := strings.TrimRight(text, "\n")
	for _, m := range marks {
		if m.end > base+len(short) && m.start < base+len(text) {
			return text
		}
	}
	return short
}
