package openai

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"

	"candor/reasoning/llm"
)

// Generator is a model behind a server, as an llm.Generator. It is safe for concurrent use.
type Generator struct {
	client *Client
	model  string
	caps   Capabilities
}

// NewGenerator returns a generator for a model of a server that can do what capabilities say.
func NewGenerator(c *Client, model string, capabilities Capabilities) (*Generator, error) {
	if c == nil {
		return nil, errors.New("making a generator: there is no client")
	}
	if err := capabilities.Validate(); err != nil {
		return nil, err
	}
	capabilities.Tags = slices.Clone(capabilities.Tags)
	return &Generator{client: c, model: model, caps: capabilities}, nil
}

// Capabilities returns what the generator supposes that the server can do.
func (g *Generator) Capabilities() Capabilities { return g.caps }

// Generate implements llm.Generator: one call for each request, all at a time. The error of a request wraps that of [Client.Chat],
// or llm.ErrInvalid if the capabilities do not allow the request; then nothing is sent. What makes no difference to an answer's
// meaning is left out where the server cannot do it: a seed, log-probabilities, and a temperature under NoTemperature. Stop texts
// that a server ignores or repeats are seen to here; Completion.Stop stays "" where a server does not tell which of them it met.
func (g *Generator) Generate(ctx context.Context, requests []llm.Request) ([]llm.Completion, error) {
	for i, r := range requests {
		if err := g.caps.check(r); err != nil {
			return nil, &llm.RequestError{Index: i, ID: r.ID, Err: err}
		}
	}
	if len(requests) == 0 {
		return nil, nil
	}
	caller := ctx
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	out := make([]llm.Completion, len(requests))
	var first error
	var once sync.Once
	var wg sync.WaitGroup
	ask := func(i int) {
		var err error
		if out[i], err = g.complete(ctx, requests[i]); err != nil {
			once.Do(func() {
				first = &llm.RequestError{Index: i, ID: requests[i].ID, Err: err}
				cancel()
			})
		}
	}
	for i := range requests[1:] {
		wg.Go(func() { ask(i + 1) })
	}
	ask(0) // here: a stack that has grown already is cheaper than a new one
	wg.Wait()
	if err := caller.Err(); err != nil && first != nil {
		return nil, fmt.Errorf("asking %s for %d completions: %w", g.model, len(requests), err)
	}
	if first != nil {
		return nil, first
	}
	return out, nil
}

// answer is what the three protocols' answers have in common.
type answer struct {
	shown
	model, finish, stop string
	tokens              []TokenLogProb
	prompt, completion  int
}

func (g *Generator) complete(ctx context.Context, r llm.Request) (llm.Completion, error) {
	var a answer
	var err error
	path := "chat/completions"
	switch g.caps.API {
	case ChatAPI:
		a, err = g.chat(ctx, r)
	case CompletionsAPI:
		path = "completions"
		a, err = g.prompted(ctx, r)
	case ResponsesAPI:
		path = "responses"
		a, err = g.respond(ctx, r)
	}
	if err != nil {
		return llm.Completion{}, err
	}
	if a.text == "" && a.refusal != "" {
		a.text = a.refusal
	}
	if outcome, why := a.wrong(r); why != "" {
		return llm.Completion{}, &Error{Outcome: outcome, Method: http.MethodPost, URL: g.client.BaseURL() + "/" + path, Status: http.StatusOK, Message: why}
	}
	return g.completion(r, a), nil
}

// wrong says what is wrong with the calls of tools in an answer, "" if nothing is.
func (a *answer) wrong(r llm.Request) (o Outcome, why string) {
	switch {
	case !offered(r):
		a.calls = nil
		if a.tool && strings.TrimSpace(a.text) == "" {
			return ToolCall, "the model called a tool, though none was offered, and said nothing"
		}
	case finish(a.finish) == llm.FinishLength:
		a.calls = nil // the last of them is not whole
	case a.odd != nil:
		return NotAnAnswer, "the model called a tool in a form that cannot be read"
	case len(a.calls) > maxCalls:
		return TooLarge, fmt.Sprintf("the model made %d calls of tools at once, %d are the most", len(a.calls), maxCalls)
	case len(a.calls) == 0 && strings.TrimSpace(a.text) == "" && (a.finish == "tool_calls" || a.finish == "function_call"):
		return NotAnAnswer, "the model is said to call a tool, but not which"
	}
	for _, c := range a.calls {
		if c.Name == "" {
			return NotAnAnswer, "the model called a tool without a name"
		}
	}
	return "", ""
}

// completion makes a completion of an answer.
func (g *Generator) completion(r llm.Request, a answer) llm.Completion {
	c := llm.Completion{Model: a.model, Finish: finish(a.finish), PromptTokens: a.prompt, CompletionTokens: a.completion}
	if at, _ := firstOf(a.text, templates[g.caps.Template].ends); at >= 0 {
		a.text, c.Finish = a.text[:at], llm.FinishStop
	}
	if g.caps.Template == "plain" && r.Prefix == "" {
		a.text = strings.TrimPrefix(a.text, " ") // of the word that follows the prompt
	}
	if len(a.calls) > 0 {
		c.Finish, c.Calls = llm.FinishTools, a.calls
		named(c.Calls, r.Messages)
	}
	c.Text, c.Reasoning, c.Provenance = g.caps.settle(r, a.shown, c.Finish)
	if at, stop := firstOf(c.Text, r.Stop); at >= 0 {
		c.Text, c.Finish, c.Stop, c.Calls = c.Text[:at], llm.FinishStop, stop, nil
	} else if c.Finish == llm.FinishStop && slices.Contains(r.Stop, a.stop) {
		c.Stop = a.stop
	}
	if r.LogProbs && g.caps.LogProbs {
		c.Tokens = tokensOf(a.tokens, c.Text)
	}
	if c.CompletionTokens == 0 {
		c.CompletionTokens = len(a.tokens)
	}
	return c
}

func (g *Generator) chat(ctx context.Context, r llm.Request) (answer, error) {
	resp, err := g.client.Chat(ctx, g.caps.chatRequest(g.model, r))
	if err != nil {
		return answer{}, err
	}
	choice := &resp.Choices[0]
	a := answer{shown: choice.Message.fields(choice.Late), model: resp.Model, finish: choice.FinishReason, stop: choice.Stopped.Text()}
	if l := choice.LogProbs; l != nil {
		a.tokens = l.Content
	}
	if u := resp.Usage; u != nil {
		a.prompt, a.completion, a.announced = u.PromptTokens, u.CompletionTokens, u.Thoughts() > 0
	}
	return a, nil
}

func (g *Generator) prompted(ctx context.Context, r llm.Request) (answer, error) {
	req, err := g.caps.completionRequest(g.model, r)
	if err != nil {
		return answer{}, err
	}
	resp, err := g.client.Complete(ctx, req)
	if err != nil {
		return answer{}, err
	}
	choice := &resp.Choices[0]
	a := answer{shown: shown{text: choice.Text}, model: resp.Model, finish: choice.FinishReason, stop: choice.Stopped.Text(), tokens: choice.LogProbs.tokens()}
	if u := resp.Usage; u != nil {
		a.prompt, a.completion = u.PromptTokens, u.CompletionTokens
	}
	return a, nil
}

func (g *Generator) respond(ctx context.Context, r llm.Request) (answer, error) {
	resp, err := g.client.Respond(ctx, g.caps.responseRequest(g.model, r))
	if err != nil {
		return answer{}, err
	}
	a := answer{model: resp.Model, finish: "stop"}
	a.shown, a.tokens = resp.items()
	if resp.Status == "incomplete" {
		a.finish = "length"
	}
	if u := resp.Usage; u != nil {
		a.prompt, a.completion = u.InputTokens, u.OutputTokens
		a.announced = u.OutputTokensDetails != nil && u.OutputTokensDetails.ReasoningTokens > 0
	}
	return a, nil
}
