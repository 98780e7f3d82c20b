package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"candor/openai"
	"candor/reasoning/compose"
	"candor/reasoning/llm"
	"candor/serve/api"
	"candor/serve/ledger"
	"candor/serve/record"
	"candor/serve/role"
)

// work is one answer in the making.
type work struct {
	g       *Gateway
	system  *System
	call    *api.Call
	request llm.Request
	id      string
	seq     int64 // of its begin in the ledger
	opened  record.Begin
	prompt  string // its beginning, for lists
	ctx     context.Context
	began   time.Time

	calls   *role.Record
	noted   int            // how many of the calls stand in a stage
	stages  []ledger.Entry // to be written with the end
	facts   []record.Stage
	wrote   []*record.Try
	spent   []record.Spent
	outside time.Duration // that tools and people took
	// escalated counts the actions that a person was asked about.
	escalated int
	tokens    int
	tries     int

	// What it comes to.
	answer api.Answer
	held   record.Answer // what a person may let out
	fault  error
	end    record.End
}

// begin makes the work on request i of a call.
func (g *Gateway) begin(ctx context.Context, s *System, c *api.Call, i int, r llm.Request) *work {
	w := &work{g: g, system: s, call: c, request: r, id: c.ID, began: c.Arrived, calls: new(role.Record)}
	if len(c.Requests) > 1 {
		w.id += "-" + strconv.Itoa(i)
	}
	if n := len(r.Messages); n > 0 {
		w.prompt = record.Excerpt(r.Messages[n-1].Text)
	}
	w.opened = record.Begin{Request: c.ID, Protocol: c.Protocol, Model: s.Name, Key: g.Key(ctx), Choice: i, Of: len(c.Requests), Stream: c.Stream, Ungated: s.Ungated}
	w.ctx = role.With(ctx, w.calls)
	w.span("limits", w.began)
	return w
}

// span notes that a part of the work began at a time and ended now.
func (w *work) span(part string, began time.Time) {
	w.spent = append(w.spent, record.Spent{Part: part, Took: w.g.Clock().Sub(began)})
}

// recordBegins makes the begins of a call durable, all or none.
func (g *Gateway) recordBegins(ctx context.Context, works []*work) error {
	began := g.Clock()
	entries := make([]ledger.Entry, len(works))
	for i, w := range works {
		body, err := ledger.Marshal(w.opened)
		if err != nil {
			return err
		}
		prompt, err := json.Marshal(w.request.Messages)
		if err != nil {
			return fmt.Errorf("recording the prompt: %w", err)
		}
		entries[i] = ledger.Entry{Kind: ledger.KindBegin, Trace: w.id, Body: body, Contents: []ledger.Content{{Name: record.ContentPrompt, Data: prompt}}}
	}
	receipts, err := g.Ledger.Append(ctx, entries...)
	if err != nil {
		if ctx.Err() != nil {
			return &api.Fault{Status: statusGone, Message: "the client went away"}
		}
		return unavailable(err)
	}
	for i, w := range works {
		w.span("begin", began)
		g.hub.began(w, receipts[i].Seq)
	}
	return nil
}

// statusGone is nginx's status for a client that went away.
const statusGone = 499

// run does the work, and whatever happens to it there is an end.
func (w *work) run() {
	defer func() {
		if p := recover(); p != nil {
			w.fail(fmt.Errorf("panic: %v", p))
		}
		w.finish()
	}()
	ctx := w.ctx
	if w.system.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, w.system.Timeout)
		defer cancel()
	}
	if w.system.Agent != nil {
		w.runAgent(ctx)
		return
	}
	w.converse(ctx)
}

// converse lets the system try until something else follows than another try.
func (w *work) converse(ctx context.Context) {
	for {
		t, err := w.try(ctx, w.system.Main, "main")
		if err != nil {
			w.fail(err)
			return
		}
		if w.released(t) {
			return
		}
		does, gates := strictest(t.Verdicts, w.system.Rules)
		switch {
		case !t.Answered():
			w.fail(partial(t))
			return
		case does == Resample && w.tries < w.system.Tries:
			continue
		case does == Defer:
			w.deferred(ctx)
			return
		case does == Hold:
			w.hold(t, gates)
			return
		}
		w.block(t)
		return
	}
}

// deferred lets the trusted system answer, under its own gates.
func (w *work) deferred(ctx context.Context) {
	t, err := w.try(ctx, w.system.Trusted, "trusted")
	switch {
	case err != nil:
		w.fail(err)
	case w.released(t):
	case !t.Answered():
		w.fail(partial(t))
	default:
		w.block(t)
	}
}

// try lets a system work on the prompt once.
func (w *work) try(ctx context.Context, s compose.Parts, name string) (*compose.Transcript, error) {
	seed := w.request.Seed
	if w.tries > 0 {
		src := w.g.Random.Split(strconv.FormatUint(seed, 16)).SplitN("try", w.tries)
		seed = src.Uint64()
	}
	n := w.tries
	w.tries++
	stage := record.Stage{What: "try", N: n, System: name}
	transcripts, err := s.Solve(ctx, []compose.Prompt{{ID: w.id, Text: lastText(w.request), Seed: seed, Ask: &w.request}})
	stage.Calls = w.newCalls()
	if err != nil {
		stage.Err = plain(err)
		return nil, errors.Join(err, w.stage(stage, "", nil))
	}
	t := &transcripts[0]
	w.tokens += t.Tokens
	stage.Verdicts, stage.Partial, stage.Provenance = t.Verdicts, t.Partial, t.Provenance
	wrote := tryOf(t)
	w.wrote = append(w.wrote, wrote)
	return t, w.stage(stage, record.ContentTry, wrote)
}

func lastText(r llm.Request) string {
	if n := len(r.Messages); n > 0 {
		return r.Messages[n-1].Text
	}
	return ""
}

// tryOf is what a transcript leaves in the record.
func tryOf(t *compose.Transcript) *record.Try {
	out := &record.Try{Draft: t.Draft, Private: t.Private(), Shown: t.Shown(), Brief: t.Context, Output: t.Output.Judged(), Calls: t.Output.Calls, Findings: t.Findings}
	for _, s := range t.Steps {
		out.Steps = append(out.Steps, record.Step{Written: s.Written, Rewritten: s.Rewritten})
	}
	return out
}

// stage keeps an entry for the end; an agent's are written at once.
func (w *work) stage(s record.Stage, name string, content any) error {
	e, err := stageEntry(w.id, s, name, content)
	if err != nil {
		return err
	}
	w.facts = append(w.facts, s)
	w.stages = append(w.stages, e)
	w.g.hub.judged(s.Verdicts)
	return nil
}

func stageEntry(trace string, s record.Stage, name string, content any) (ledger.Entry, error) {
	body, err := ledger.Marshal(s)
	if err != nil {
		return ledger.Entry{}, err
	}
	e := ledger.Entry{Kind: ledger.KindStage, Trace: trace, Body: body}
	if name != "" {
		data, err := json.Marshal(content)
		if err != nil {
			return ledger.Entry{}, fmt.Errorf("recording a stage: %w", err)
		}
		e.Contents = []ledger.Content{{Name: name, Data: data}}
	}
	return e, nil
}

// released makes the transcript's output the answer, if it is released.
func (w *work) released(t *compose.Transcript) bool {
	if !t.Released() {
		return false
	}
	w.end.Outcome, w.end.Finish = record.Released, t.Output.Finish
	w.answer = api.Answer{ID: w.id, Completion: llm.Completion{Text: t.Answer(), Calls: t.ReleasedCalls(), Finish: t.Output.Finish, CompletionTokens: t.Tokens}}
	if w.request.LogProbs {
		w.answer.Tokens = t.ReleasedTokens()
	}
	return true
}

// block withholds the output.
func (w *work) block(t *compose.Transcript) {
	w.end.Outcome = record.Blocked
	w.end.Reason = "the answer is withheld: " + reason(t.Verdicts)
	w.refuse(false)
}

// reason says in general words why a transcript is not released. It names no monitor and no finding: whoever asks could learn from
// them how to get around it.
func reason(verdicts []compose.Verdict) string {
	failed := false
	for _, v := range verdicts {
		switch {
		case v.Off || v.Advisory && v.State == compose.Block:
		case v.State == compose.Block:
			return "a monitor objected to it"
		case v.State != compose.Pass:
			failed = true
		}
	}
	if failed {
		return "a monitor could not judge it"
	}
	return "nothing was written that could be judged"
}

func (w *work) refuse(pending bool) {
	w.answer = api.Answer{ID: w.id, Refusal: w.end.Reason, Pending: pending, Completion: llm.Completion{Finish: llm.FinishStop, CompletionTokens: w.tokens}}
}

// partial is the error of a transcript that has no output: a limit ended the work, or the chain could not be rewritten.
func partial(t *compose.Transcript) error {
	if t.Err != nil {
		return t.Err
	}
	return limitError(t.Partial)
}

type limitError compose.Limit

func (l limitError) Error() string {
	return fmt.Sprintf("the work ended at the limit %q before there was an answer", string(l))
}

// fail ends the work with a fault for the client.
func (w *work) fail(err error) {
	var f *api.Fault
	var limit limitError
	var bad *PromptError
	var part *compose.PartError
	what := "the system"
	if errors.As(err, &part) {
		what = "the " + part.Part
	}
	w.end.Outcome = record.Failed
	switch {
	case errors.As(err, &f):
	case w.ctx.Err() != nil:
		w.end.Outcome = record.Gone
		f = &api.Fault{Status: statusGone, Message: "the client went away"}
	case errors.As(err, &bad):
		f = &api.Fault{Status: http.StatusBadRequest, Param: "messages", Message: bad.Message}
	case part == nil && errors.Is(err, llm.ErrInvalid): // about the request alone: no model was asked
		f = &api.Fault{Status: http.StatusBadRequest, Message: err.Error()}
	case errors.As(err, &limit):
		f = &api.Fault{Status: http.StatusUnprocessableEntity, Code: "limit_reached", Message: limit.Error() + "; ask for something shorter"}
	case late(err):
		f = &api.Fault{Status: http.StatusGatewayTimeout, Code: "upstream_timeout", After: time.Second, Message: what + " took too long"}
	default:
		f = &api.Fault{Status: http.StatusBadGateway, Code: "upstream_failed", After: time.Second, Message: what + " failed: " + plain(err)}
	}
	w.fault, w.end.Reason = f, f.Message
}

// PromptError is about what a client asked: its message may be told to it.
type PromptError struct{ Message string }

func (e *PromptError) Error() string { return e.Message }

// late tells whether time ran out.
func late(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, role.ErrTimeout)
}

// plain says what kind of error it is without anything that a model wrote.
func plain(err error) string {
	var transient *llm.TransientError
	outcome := openai.OutcomeOf(err)
	switch {
	case late(err):
		return "it took too long"
	case errors.Is(err, context.Canceled):
		return "it was called off"
	case outcome != "":
		return "its server's answer is of the kind " + string(outcome)
	case errors.Is(err, llm.ErrInvalid):
		return "it cannot answer such a request"
	case errors.As(err, &transient) && transient.Overloaded:
		return "it is overloaded"
	case strings.HasPrefix(err.Error(), "panic"):
		return "it panicked"
	}
	return "an error of its own"
}

// finish makes the end durable. Without it nothing goes out.
func (w *work) finish() {
	spoken := 0
	for _, c := range w.calls.Calls() { // judges and paraphrasers included, which a transcript does not count
		spoken += c.CompletionTokens
	}
	w.tokens = max(w.tokens, spoken)
	w.end.Tries, w.end.Tokens = w.tries, w.tokens
	w.end.Upstream = w.calls.Upstream() + w.outside
	w.spent = append(w.spent, partsOf(w.calls.Calls())...)
	w.end.Spent = w.spent
	w.end.Took = w.g.Clock().Sub(w.began)
	if err := w.write(); err != nil {
		w.g.Ledger.Abandon(w.id, "its end could not be written")
		w.fault = unavailable(err)
		w.answer = api.Answer{}
		w.end.Outcome = record.Dropped
	}
	w.g.Charge(w.ctx, w.tokens)
	w.g.hub.ended(w)
	if w.g.Observe != nil {
		w.g.Observe(w.ctx, w.observation())
	}
	if w.end.Outcome == record.Held && w.fault == nil {
		w.await()
	}
}

func (w *work) observation() Observation {
	o := Observation{Trace: w.id, Arrived: w.began, Begin: w.opened, Stages: w.facts, End: w.end, Prompt: w.request.Messages, Tries: w.wrote}
	o.End.Spent = w.spent // with the writing of the end, of which the end itself cannot tell
	if w.end.Outcome == record.Released {
		o.Answer = &record.Answer{Text: w.answer.Text, Calls: w.answer.Calls}
	}
	return o
}

// write appends the stages and the end.
func (w *work) write() error {
	began := w.g.Clock()
	body, err := ledger.Marshal(w.end)
	if err != nil {
		return err
	}
	end := ledger.Entry{Kind: ledger.KindEnd, Trace: w.id, Body: body}
	if w.end.Outcome == record.Released || w.end.Outcome == record.Held {
		kept := w.held
		if w.end.Outcome == record.Released {
			kept = record.Answer{Text: w.answer.Text, Calls: w.answer.Calls}
		}
		answer, err := json.Marshal(kept)
		if err != nil {
			return fmt.Errorf("recording the answer: %w", err)
		}
		end.Contents = []ledger.Content{{Name: record.ContentAnswer, Data: answer}}
	}
	entries := append(w.stages, end)
	if w.end.Outcome == record.Held {
		entries = append(entries, ledger.Entry{Kind: record.KindHeld, Trace: w.id})
	}
	_, err = w.g.Ledger.Append(context.WithoutCancel(w.ctx), entries...)
	w.span("end", began)
	return err
}

// partsOf adds the calls of models up by role, in the order in which they began.
func partsOf(calls []record.Call) (out []record.Spent) {
next:
	for _, c := range calls {
		for i := range out {
			if out[i].Part == c.Role {
				out[i].Took += c.Took
				continue next
			}
		}
		out = append(out, record.Spent{Part: c.Role, Took: c.Took})
	}
	return out
}

// timing tells where the time went, as the header Server-Timing has it; "overhead" is what is not models, tools and people.
func (w *work) timing(h http.Header) {
	var b strings.Builder
	add := func(part string, took time.Duration) {
		if b.Len() > 0 {
			b.WriteString(", ")
		}
		b.WriteString(part)
		b.WriteString(";dur=")
		b.WriteString(strconv.FormatFloat(took.Seconds()*1e3, 'f', 3, 64))
	}
	for _, s := range w.spent {
		add(s.Part, s.Took)
	}
	add("overhead", w.overhead())
	h.Set("Server-Timing", b.String())
	h.Set("X-Candor-Trace", w.id)
}

// overhead is what the gateway itself took, the writing of the end included.
func (w *work) overhead() time.Duration {
	return w.g.Clock().Sub(w.began) - w.end.Upstream
}
