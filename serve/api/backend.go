package api

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"candor/openai"
	"candor/reasoning/llm"
)

// Backend answers calls. It must be safe for concurrent use.
type Backend interface {
	// Answer returns one answer for each request of c, of which it changes nothing. Nothing is sent to the client before it
	// returns, but for the sign that it still waits. ctx ends when the client goes away or the server stops. The client is told the
	// text of a [*Fault]; of any other error only of which kind it is (see [ToFault]).
	Answer(ctx context.Context, c *Call) (*Answers, error)
}

// Call is what a client asks for.
type Call struct {
	ID       string // of the answer, such as "chatcmpl-..." or "resp_..."
	Protocol string // "chat", "completions", "responses"
	Model    string // its Name
	// Requests are for all choices: choice k of prompt p is Requests[p*N+k]. They are valid, and share their slices.
	Requests []llm.Request
	N        int
	Stream   bool
	Arrived  time.Time // when the request's first byte was handled, by Options.Clock
}

// Answers are a backend's to a call.
type Answers struct {
	Answers []Answer // one for each request
	// Header is added to the response, such as Server-Timing; nil for none. It is lost where a client that waits for a stream was
	// sent a sign of life before.
	Header http.Header
}

// Answer is one of them.
type Answer struct {
	// Completion is shown to the client: Text, Calls and, if it has any, Reasoning.
	llm.Completion
	// Refusal is what the client is told in place of a text that is withheld; of Completion only the counts are looked at then.
	Refusal string
	// Pending tells that a person is to decide; the text is withheld until then.
	Pending bool
	// ID is that of this answer, for GET /v1/responses/{id}; "" if it cannot be asked for again.
	ID string
}

// Retriever is a Backend whose answers can be asked for again, by GET /v1/responses/{id}.
type Retriever interface {
	// Retrieve returns an answer as it is now, and the call that it answers. It is for the backend to see to it that whoever asks
	// (which ctx tells, as Options.Admit left it) may. A [*Fault] with status 404 says that there is none.
	Retrieve(ctx context.Context, id string) (*Answer, *Call, error)
}

// Model is one that clients can ask for.
type Model struct {
	Name string
	// Served is what is told of it. Context is its context in words or tokens, 0 if that is not known.
	Served  openai.ServedModel
	Backend Backend
	// Tools tells that it can call tools.
	Tools bool
}

// pendingText is what is told of a pending answer whose backend says nothing.
const pendingText = "This answer waits for a person to decide on it."

// Bare returns a backend that lets a model answer as it is: its chain of thought is shown to whoever asks, and nothing is checked or
// recorded. Clients are told the model's errors in its own words.
func Bare(gen llm.Generator) Backend { return bare{gen} }

type bare struct{ gen llm.Generator }

func (b bare) Answer(ctx context.Context, c *Call) (*Answers, error) {
	out, err := b.gen.Generate(ctx, c.Requests)
	if err != nil {
		return nil, ToFault(ctx, err)
	}
	if len(out) != len(c.Requests) {
		return nil, &Fault{Status: http.StatusInternalServerError, Message: fmt.Sprintf("the model failed: it gave %d completions for %d requests", len(out), len(c.Requests))}
	}
	answers := make([]Answer, len(out))
	for i := range out {
		answers[i].Completion = out[i]
	}
	return &Answers{Answers: answers}, nil
}
