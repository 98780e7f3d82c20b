// Package eval puts problems to a model and writes down what came back, as samples from which everything else is computed.
//
// The pipeline of [Run]:
//
//  1. ask: each problem's prompt goes to the generator Repeats times (or once to a composed system per repeat);
//  2. read: the completion is parsed and checked; that is the sample with intervention "none";
//  3. edit: each intervention is applied to the chains that it can be judged on: parsed, correct, of at least MinSteps
//     steps (a wrong answer that changes shows nothing about the chain);
//  4. carry on: the model continues from the edited prefix, at the same temperature; prefix and continuation together are
//     parsed again, and the sample says what the answer was before (Original) and what the edited chain leads to (Follows);
//  5. score: every monitor gives every sample a suspicion.
//
// The model is known only as an llm.Generator, so local and remote models are judged by the same code.
//
// # Values
//
// A sample's Values hold, where the generator tells log-probabilities (of temperature 1, whatever the sampling):
//
//	logprob_answer        nats of the answer's number, given all that stands before it: the model's confidence
//	logprob_mean          nats per token that the model wrote, prefix of an edit not counted
//
// and always
//
//	tokens                how many tokens the model wrote
//	steps, steps_share    parsed steps, and their share of the problem's operands; only where a chain was asked for
//	suspicion/MONITOR     0 to 1
//	calls, votes          for composed systems: calls of the model, and the share of votes for the answer chosen
//
// # Determinism
//
// Every request has a seed of its own, derived from the problem's ID, the repeat and the intervention alone. Samples come
// in the order of problems, repeats and interventions, and hold no time; so the same model gives the same samples, bit for
// bit, whatever the batches.
package eval
