// Package openai speaks the protocols that most servers of language models have in common: chat completions, completions and
// responses.
//
// A [Client] calls one server. It reads answers in one piece or streamed (by the rules of server-sent events, [EventReader]), and
// makes of each thing that can go wrong an [*Error]: a recorded [Outcome], one sentence for people, and, wrapped in an
// *llm.TransientError, whether and when it is worth another try. An answer is whole or it is an error; what arrived of a torn one
// is thrown away. The client keeps nothing and logs nothing, and takes its key out of whatever a server sends back before an error
// tells it.
//
// A [Generator] is a model behind a client as an llm.Generator. What servers do differently is in [Capabilities], which an audit
// finds out first and records: where a chain of thought arrives and of what kind it is, and how the model is made to go on from an
// edited one.
//
// # Where thoughts are, and what they are
//
// A completion's Provenance is "" only where the model keeps nothing apart. Thoughts in a field or between tags are raw, unless the
// capabilities say that this provider shows a summary there; parts that say of themselves that they are summaries or encrypted are
// taken at their word. Thoughts that come after the text began, or both in a field and between tags, are leaked. Where none are
// shown, though the model keeps some apart or the usage counts some, they are absent.
//
// # Going on from an edited chain
//
// Where thoughts are carried on by an assistant's message or a raw prompt, they are written as the models' own templates write
// them: <think>, a line end, the thoughts, a line end, </think>, an empty line, the text. DeepSeek takes them in the
// message's reasoning_content, Mistral as a thinking part that is not closed. A request that the capabilities do not allow is
// refused with llm.ErrInvalid before anything is sent.
//
// # Tools
//
// Where the capabilities say that a model can call tools, those of a request are sent as functions, and a completion holds the calls,
// streamed ones put together. A call that came although none was offered is a fault, unless there is a text beside it. Arguments are
// handed on as the model wrote them; an answer that its length cut short has no calls, since the last of them is not whole. A call
// without an ID, or with one that an earlier call has, gets another, by which its result is known.
//
// Note: a client that asked each server what it is, and had a list of what each can do, was not built: versions, flags and proxies
// change it, so it is found out by trying.
package openai
