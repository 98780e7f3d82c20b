// Package gateway answers requests with a two-part system and lets nothing out without a verdict that is on record.
//
//	g, err := gateway.New(ctx, gateway.Options{Systems: systems, Ledger: l, Reader: r, Clock: time.Now, ...})
//	front, err := api.New(api.Options{Models: g.Models(), ...})   // OpenAI's protocols
//	page.New(page.Options{Source: g, ...})                       // the web page
//
// # From a request to an answer
//
// A request with n choices is n traces. For each:
//
//	begin in the ledger -> system (reasoner, paraphraser, face, gates) -> what follows the verdicts -> end in the ledger -> answer
//
// The begin is durable before any model is asked, the end before a byte is released. Both are one append each: the tries that the
// system made are written together with the end. An agent's actions are appended one by one, each before it is done.
//
// # Verdicts and what follows
//
// Each gate gives pass, block, not run or error ([compose.State]). An output goes out only if [compose.Transcript.Answer] lets it,
// which is the lab's own code: every gate that is on has passed it. Otherwise the strictest of what the gates that did not pass ask
// for is done ([Follow]):
//
//	release   only for a gate that blocks, and only by its setting: the verdict is recorded and withholds nothing
//	resample  the system tries again with another seed, at most [System.Tries] times in all, then the output is blocked
//	defer     the trusted system answers in its place, under its own gates
//	hold      a person decides; the answer can be had afterwards under the trace's ID
//	block     the client is told that the answer is withheld, and why in general words
//
// A gate that failed (crashed, hung, answered garbage, was not reached) never releases: its error is block unless it asks for
// resample, defer or hold.
//
// # What a client is told
//
// A blocked or held answer is a refusal in OpenAI's sense, with the reason "content_filter". A model that cannot be reached is a
// 502, one that takes too long a 504, a ledger that takes no entries a 503 (the request was not begun), too many requests a 429. No
// sentence repeats what a model said: errors of servers quote answers, and an answer may hold a private chain.
//
// # Held answers
//
// A held answer ends its trace with the outcome held. A person's decision is appended as a review before anything is released,
// at any time later and from any gateway on the same ledger; the first in the chain counts. Nothing that is held is kept in memory,
// so a restart loses none.
package gateway
