package compose

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"candor/internal/rng"
	"candor/reasoning/llm"
)

// Dialogue is the two-part system around models that hold conversations: a private reasoner, a paraphraser, gates, and a face that
// writes what the user may see. Where [TwoPart] goes step by step in the language of the lab, a dialogue lets the reasoner think to
// its end, since few servers let anybody carry its thoughts on. The work on a prompt:
//
//  1. The reasoner reads the conversation, with Instruct in front. Tools are described to it in words; it does not call them.
//  2. The chain is what it thought ([llm.Completion.Reasoning]); of a model that keeps no chain apart it is all that it wrote, and
//     so it is where nobody can tell the thoughts from the rest ([llm.Leaked]). What else it said is [Transcript.Draft]. A chain that
//     was cut goes to no face: the transcript is partial and has no output.
//  3. The chain is cut into steps and rewritten. If that fails, nobody reads it on: the transcript has Err and no output.
//  4. The face reads Policy and the rewritten chain in a system message, as notes that are private and not to be quoted, then what it
//     may see of the conversation. It writes the output and may call the user's tools.
//  5. The gates judge.
//
// Of [Prompt.Ask] it reads Messages, Tools, ToolChoice, MaxTokens, Temperature, TopP, TopK, Stop and LogProbs, and takes no request
// that asks for a prefix, thoughts or bans. Without one (nil) Prompt.Text is the user's message, and the output is sampled at
// Temperature. Monitors see the whole conversation as the prompt, which [Transcript.View] gives: if it is one message of the user's, its
// text, else each message behind its role.
//
// Without a face (nil) the reasoner's own text is the output, as the prompt asks for it: one model under monitors.
//
// Only [Transcript.Answer], [Transcript.ReleasedCalls] and [Transcript.ReleasedTokens] let the output out, as in [TwoPart]. The IDs of
// tool calls are made anew, since no monitor reads them. A dialogue keeps nothing between calls of Solve and may be used by many
// goroutines at once.
type Dialogue struct {
	Reasoner llm.Generator
	Face     llm.Generator
	// Paraphrase rewrites the chain before anybody but the private gates reads it; nil leaves it as it is, as it must be without a
	// face.
	Paraphrase Paraphraser
	// Cut cuts a chain into steps whose texts join to it; nil leaves it one step. See [CutParagraphs] and [CutLines].
	Cut func(chain string) []string
	// View returns what the face sees of a conversation, and changes nothing in it; nil shows all of it. Without a face nothing can
	// be hidden.
	View func([]llm.Message) []llm.Message
	// Instruct is a system message for the reasoner, and Policy the text that the face has to apply; "" for none.
	Instruct, Policy string
	Gates            []Gate
	// ReasonerTokens and OutputTokens bound what the reasoner and the face write, at least 1; a prompt may ask for less output. Without
	// a face the reasoner may write both together, and ReasonerTokens may be 0 for one that does not think first.
	ReasonerTokens, OutputTokens int
	// Temperature is the reasoner's. The output is sampled as the prompt asks.
	Temperature float64
}

// Parts is a system of parts that work on a conversation or a problem: [TwoPart] or [Dialogue].
type Parts interface {
	// Name names the system in records.
	Name() string
	// Solve returns transcript i for prompt i. An error is about the settings or the prompts, wraps the context's, or is a [*PartError];
	// no transcript is returned then.
	Solve(ctx context.Context, prompts []Prompt) ([]Transcript, error)
}

// The parts that can fail.
const (
	PartReasoner    = "reasoner"
	PartParaphraser = "paraphraser"
	PartFace        = "face"
)

// PartError says which part of a system failed.
type PartError struct {
	Part string // one of the constants
	Err  error  // says so, too
}

func (e *PartError) Error() string { return e.Err.Error() }
func (e *PartError) Unwrap() error { return e.Err }

// Name returns "dialogue".
func (Dialogue) Name() string { return "dialogue" }

// Validate returns an error that says which settings are wrong and what is allowed.
func (s Dialogue) Validate() error {
	errs := []error{atLeast("OutputTokens", s.OutputTokens, 1), checkGates(s.Gates)}
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	least := 1
	if s.Face == nil {
		least = 0
	}
	errs = append(errs, atLeast("ReasonerTokens", s.ReasonerTokens, least))
	if s.Reasoner == nil {
		bad("the Reasoner is nil, must be a generator")
	}
	if !(s.Temperature >= 0 && s.Temperature <= 100) {
		bad("the Temperature is %g, must be between 0 and 100", s.Temperature)
	}
	if s.Face == nil && (s.View != nil || s.Paraphrase != nil || s.Policy != "") {
		bad("View, Paraphrase and Policy are for a face, but there is no Face: set one, which may be the Reasoner")
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("%s: %w", s.Name(), err)
	}
	return nil
}

// turn is one prompt in a dialogue.
type turn struct {
	system *Dialogue
	t      *Transcript
	ask    llm.Request
	src    rng.Source
	id     string
}

// Solve implements [Parts]. The calls of the reasoner for all prompts go out as one batch, and so do those of the face.
func (s Dialogue) Solve(ctx context.Context, prompts []Prompt) ([]Transcript, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	transcripts, turns := make([]Transcript, len(prompts)), make([]*turn, len(prompts))
	for i, p := range prompts {
		turns[i] = &turn{system: &s, t: &transcripts[i], src: rng.New(p.Seed).Split("compose/" + s.Name()), id: p.ID}
		if err := turns[i].begin(p); err != nil {
			return nil, fmt.Errorf("%s: %w", s.Name(), &llm.RequestError{Index: i, ID: p.ID, Err: err})
		}
	}
	if err := s.round(ctx, PartReasoner, s.Reasoner, turns, (*turn).askReasoner, (*turn).takeChain); err != nil {
		return nil, err
	}
	if err := s.rewrite(ctx, turns); err != nil {
		return nil, err
	}
	if s.Face != nil {
		turns = slices.DeleteFunc(turns, func(u *turn) bool { return u.t.Partial != "" || u.t.Err != nil })
		if err := s.round(ctx, PartFace, s.Face, turns, (*turn).askFace, (*turn).takeOutput); err != nil {
			return nil, err
		}
	}
	if err := judge(ctx, s.Name(), s.Gates, transcripts); err != nil {
		return nil, err
	}
	return transcripts, nil
}

// round puts all turns to one of the models.
func (s *Dialogue) round(ctx context.Context, part string, model llm.Generator, turns []*turn, ask func(*turn) llm.Request,
	take func(*turn, llm.Completion) error) error {
	if len(turns) == 0 {
		return nil
	}
	fail := func(err error) error { return &PartError{part, fmt.Errorf("%s, %s: %w", s.Name(), part, err)} }
	requests := make([]llm.Request, len(turns))
	for i, u := range turns {
		requests[i] = ask(u)
	}
	completions, err := model.Generate(ctx, requests)
	if err != nil {
		return fail(err)
	}
	if len(completions) != len(requests) {
		return fail(fmt.Errorf("the model gave %d completions for %d requests", len(completions), len(requests)))
	}
	for i, u := range turns {
		c := completions[i]
		switch c.Finish {
		case llm.FinishStop, llm.FinishLength, llm.FinishTools:
		default:
			return fail(fmt.Errorf("the model ended a completion for the reason %q, must be %q, %q or %q", c.Finish, llm.FinishStop, llm.FinishLength, llm.FinishTools))
		}
		u.t.Calls++
		u.t.Tokens += c.CompletionTokens
		if err := take(u, c); err != nil {
			return fail(err)
		}
	}
	return nil
}

// begin takes in the prompt.
func (u *turn) begin(p Prompt) error {
	u.ask = llm.Request{Messages: []llm.Message{{Role: llm.User, Text: p.Text}}, Temperature: u.system.Temperature}
	if p.Ask != nil {
		u.ask = *p.Ask
	}
	r := &u.ask
	switch {
	case r.Prefix != "" || r.Reasoning != "" || r.Concluded || len(r.Ban) > 0 || r.BanFrom != 0:
		return fmt.Errorf("%w: a dialogue takes no prefix, no thoughts and no bans", llm.ErrInvalid)
	case len(r.Messages) == 0:
		return fmt.Errorf("%w: there are no messages", llm.ErrInvalid)
	case r.MaxTokens < 0:
		return r.Validate()
	case r.MaxTokens == 0 || r.MaxTokens > u.system.OutputTokens:
		r.MaxTokens = u.system.OutputTokens
	}
	u.t.Prompt, u.t.Rewritten = p, u.system.Paraphrase != nil
	if p.Ask != nil {
		u.t.Prompt.Text = conversation(r.Messages)
	}
	return r.Validate()
}

// request is what the prompt asks for, of a part.
func (u *turn) request(part string, messages []llm.Message) llm.Request {
	src := u.src.Split(part)
	r := u.ask
	r.ID, r.Messages, r.Seed = u.id+"/"+part, messages, src.Uint64()
	return r
}

func (u *turn) askReasoner() llm.Request {
	s := u.system
	if s.Face == nil {
		r := u.request(PartReasoner, withSystem(s.Instruct, u.ask.Messages))
		r.MaxTokens += s.ReasonerTokens
		u.t.Context = brief(r)
		return r
	}
	r := u.request(PartReasoner, withSystem(joinParagraphs(s.Instruct, describeTools(u.ask)), flattened(u.ask.Messages)))
	return llm.Request{ID: r.ID, Messages: r.Messages, MaxTokens: s.ReasonerTokens, Temperature: s.Temperature, Seed: r.Seed}
}

// takeChain takes what the reasoner wrote.
func (u *turn) takeChain(c llm.Completion) error {
	chain := c.Reasoning
	said := Output{Text: c.Text, Calls: c.Calls}.Judged()
	switch {
	case strings.TrimSpace(chain) == "":
		chain = said
	case c.Provenance == llm.Leaked:
		chain = joinParagraphs(chain, said)
	case u.system.Face != nil:
		u.t.Draft = said
	}
	u.t.private, u.t.Stop, u.t.Provenance = chain, c.Stop, c.Provenance
	if err := u.cut(chain); err != nil {
		return err
	}
	if u.system.Face == nil {
		return u.takeOutput(c)
	}
	if c.Finish == llm.FinishLength {
		u.t.Partial = LimitCompletion
		return nil
	}
	u.t.Closed = true
	return nil
}

// maxSteps is how many steps a chain has at most; what follows belongs to the last.
const maxSteps = 1000

// cut makes steps of the chain, which stand as they were written until they are rewritten.
func (u *turn) cut(chain string) error {
	if chain == "" {
		return nil
	}
	texts := []string{chain}
	if u.system.Cut != nil {
		texts = u.system.Cut(chain)
	}
	if strings.Join(texts, "") != chain {
		return errors.New("the steps that Cut returned do not join to the chain")
	}
	if n := maxSteps - 1; len(texts) > maxSteps {
		texts = append(texts[:n:n], strings.Join(texts[n:], ""))
	}
	for _, text := range texts {
		s := Step{Written: text}
		if u.system.Paraphrase == nil {
			s.Rewritten = text
		}
		u.t.Steps = append(u.t.Steps, s)
	}
	if u.system.Paraphrase == nil {
		u.t.shown = chain
	}
	return nil
}

func (u *turn) askFace() llm.Request {
	s := u.system
	messages := u.ask.Messages
	if s.View != nil {
		messages = s.View(slices.Clone(messages))
	}
	r := u.request(PartFace, withSystem(joinParagraphs(s.Policy, notes(u.t.shown)), messages))
	u.t.Context = brief(r)
	return r
}

// takeOutput takes what is to be judged.
func (u *turn) takeOutput(c llm.Completion) error {
	if len(c.Calls) > 0 && (len(u.ask.Tools) == 0 || u.ask.ToolChoice == llm.ToolNone) {
		return errors.New("the model called a tool, though it may call none")
	}
	u.t.Output = Output{Text: c.Text, Calls: renamed(c.Calls), Tokens: c.Tokens, Finish: c.Finish}
	switch cut := c.Finish == llm.FinishLength; {
	case cut && u.system.Face == nil && u.t.Output.empty(): // in its thoughts
		u.t.Partial = LimitCompletion
	default:
		u.t.answered, u.t.Closed = true, true
	}
	return nil
}
