// Package role asks the models that play a part in the two-part system: the reasoner, the paraphraser, the face, a judge.
//
// A [Generator] is an [llm.Generator] over one model and its fall-backs. It bounds each attempt by a timeout, tries again what
// may go well the next time, goes on to the next model when one has failed, and notes every attempt in the [Record] that the
// context carries:
//
//	reasoner, err := role.New(role.Options{Role: "reasoner", Models: []role.Model{{Name: "r1", Generator: g}}, Timeout: time.Minute,
//		Retries: 2, Clock: time.Now, Random: random.Split("reasoner")})
//	var calls role.Record
//	completions, err := reasoner.Generate(role.With(ctx, &calls), requests)
//	stage.Calls, end.Upstream = calls.Calls(), calls.Upstream()
//
// What happens to a failed attempt depends on its error:
//
//	the caller's context has ended             nothing more is tried
//	the request is not valid for any model     nothing more is tried
//	the provider's content filter              nothing more is tried: a fall-back is no way round a refusal
//	transient, in the sense of llm; a timeout  again after a pause, Options.Retries times, then the next model
//	anything else, a panic or an answer of     the next model
//	the wrong form included
//
// The pause grows with each attempt and is drawn at random, so that many requests that failed together do not come back
// together. A server that says how long to wait is obeyed, unless that is more than half a minute or more than the caller's
// deadline leaves: then the next model is asked at once.
//
// A batch is one attempt and one noted call, with the tokens of all its completions: the models get it as it came.
//
// A model that ignores the end of its context does not hold the caller: it is left to itself. How many calls may be left so is
// bounded for each model; beyond that it fails at once until some have returned. Such a call may still read the requests after
// Generate has returned, so that they must not be changed.
package role
