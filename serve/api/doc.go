// Package api is the HTTP front of OpenAI's protocols: it reads calls, lets a [Backend] answer them, and writes the answers. A
// gateway is such a backend; [Bare] makes one of a model as it is.
//
//	POST /v1/chat/completions   streamed or not
//	POST /v1/completions        streamed or not
//	POST /v1/responses          streamed or not
//	GET  /v1/responses/{id}     of a backend that is a [Retriever]
//	GET  /v1/models             the models, with what candor knows of those that it trained
//	GET  /v1/models/{id}
//	GET  /healthz               200 while the server runs
//	GET  /readyz                200, or 503 with the reason why nothing can be answered now
//
// Below /v1 whoever asks has to be let in by Options.Admit; the last two are open to everybody. [Server.Handle] mounts other paths.
//
// # Text
//
// What a client gets is Completion.Text, byte for byte; the pieces of a stream join to it. A last message of the assistant's
// is what the assistant has already written (llm.Request.Prefix), and the answer goes on from there without repeating it,
// whether the client says so (continue_final_message, prefix) or not; only add_generation_prompt true, said outright, makes
// it a message like others. A prompt of /v1/completions is such a prefix without messages: prompt and text join as they are.
// For candor's own models roles make no difference: they read all text joined by single spaces.
//
// # Answers that are withheld
//
// Of an answer with a Refusal, or one that is Pending, the client gets the refusal and the counts of tokens, and nothing else, whatever
// the backend left in it. Chat completions have message.content null, message.refusal and finish_reason content_filter; completions an
// empty text and that finish_reason; responses an output message with a part of type refusal, status incomplete and
// incomplete_details.reason content_filter. A response that is pending has status in_progress and no output, and is asked for again
// under its id; clients of the older protocols see a refusal.
//
// # Tools
//
// Models with Tools take functions: tools and tool_choice (auto, none, required, or one function), the calls of earlier messages and
// their results, which must name a call. Other models refuse all of it. Arguments are passed on as the model wrote them, not checked
// against the schema, strict or not. The functions of responses may be offered in the form of chat completions, and the other way round.
// A call of a model that gives no ID gets one. Calls may be parallel, whatever parallel_tool_calls says.
//
// # Streams
//
// A backend hands over whole answers, each held back until its verdict, so a stream begins when its last word is known. It comes in
// pieces of a token each where log-probabilities are asked for, else of some words. A client that waits for it longer than
// Options.KeepAlive gets the header and then comments (": waiting"), so that nothing between cuts the connection. An error before that
// has a status of its own; one behind it is an event: {"error": {...}}, for responses of the name error.
//
// # Sampling
//
// Choice 0 has the seed that was asked for, further ones have seeds derived from it, so that a model whose equal requests with equal
// seeds give equal texts does so served. Without a seed one is drawn for each prompt. Without a bound the answer may
// fill the model's context. Defaults are OpenAI's: temperature 1, top_p 1, one choice. Beside OpenAI's fields, top_k is
// read, and stop_reason in an answer tells the stop text that ended it.
//
// Only the sampled token's probability is known: log-probabilities come without alternatives. Fields that ask for what a
// Backend cannot do (penalties, a response format, a conversation that the server keeps, ...) are refused unless they ask for nothing;
// fields that are not known, or would change nothing here (store, metadata, user, service_tier, ...), are ignored.
//
// # Bounds
//
// A body has at most Options.MaxBody bytes, lists and objects 100 deep, and 100,000 values; it arrives within a minute, and the answer is
// taken within another. Who is slower is cut off, so that nobody holds memory or a goroutine for longer. Tools are bounded in number
// and size.
//
// # Batches
//
// A [Batch] merges the requests of many callers into one call of Generate, up to [maxBatch] of them.
//
// # Errors
//
// Errors have OpenAI's shape. Status 400 is the client's fault; 401 a missing or wrong key; 404 another model, response or path; 405,
// 408, 413 and 415 as HTTP has them; 429 too many requests; 499 a client that went away; 500 a server that failed; 503 one that is
// stopping, or whose model cannot be reached now; 504 a model that took too long. The words of an error reach a client only in a
// [*Fault]: those of others may quote what a model thought. [ToFault] puts a model's own words (such as which word it does not know)
// into one, where there is nothing to hide, as [Bare] does.
package api
