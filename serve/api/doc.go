// Package api serves one model, an llm.Generator, over the protocols of candor/openai, as it is: its chain of thought is
// shown to whoever asks, and nothing is checked or recorded. It is there so that a model that candor trained can be audited
// and tried like any other.
//
//	POST /v1/chat/completions   streamed or not
//	POST /v1/completions        streamed or not
//	POST /v1/responses          streamed or not; nothing is stored
//	GET  /v1/models             the one model, with what candor knows of it
//	GET  /v1/models/{id}
//	GET  /healthz               for whoever watches the server; needs no key
//
// # Text
//
// What a client gets is Completion.Text, byte for byte; the pieces of a stream join to it. A last message of the assistant's
// is what the assistant has already written (llm.Request.Prefix), and the answer goes on from there without repeating it,
// whether the client says so (continue_final_message, prefix) or not; only add_generation_prompt true, said outright, makes
// it a message like others. A prompt of /v1/completions is such a prefix without messages: prompt and text join as they are.
// For candor's own models roles make no difference: they read all text joined by single spaces.
//
// A generator hands over whole completions, so a stream begins when its last word is known. It comes in pieces of a
// token each where log-probabilities are asked for, else of a word each.
//
// # Sampling
//
// Equal requests with equal seeds give equal texts, whatever else is asked at the time. Choice 0 has the seed that was asked
// for, further ones have seeds derived from it. Without a seed one is drawn for each prompt. Without a bound the answer may
// fill the model's context. Defaults are OpenAI's: temperature 1, top_p 1, one choice. Beside OpenAI's fields, top_k is
// read, and stop_reason in an answer tells the stop text that ended it.
//
// Only the sampled token's probability is known: log-probabilities come without alternatives. Fields that ask for what a
// Generator cannot do (tools, penalties, a response format, ...) are refused unless they ask for nothing; fields that
// are not known are ignored.
//
// # Batches
//
// Requests that wait at the same time are answered by one call of Generate, up to [maxBatch] of them, since a local model
// answers a batch far faster than one after another. Nothing waits while the model is idle. A request that a client gives
// up leaves the queue, and a batch that nobody waits for any more is called off.
//
// # Errors
//
// Errors have OpenAI's shape. Status 400 is the client's fault, with the generator's own sentence (such as which word the
// model does not know); 401 a missing or wrong key; 404 another model or path; 405, 413 and 415 as HTTP has them; 429 too
// many waiting requests; 499 a client that went away; 500 a generator that failed; 503 a server that is stopping.
package api
