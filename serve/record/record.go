// Package record says what a gateway writes into its ledger: the bodies and contents of the entries of a trace, and what can
// be read from them again. A trace is one answer to one request; a request with n choices has n traces.
//
//	begin    body [Begin]     content "prompt": the conversation, as []llm.Message
//	stage    body [Stage]     what one try of the two-part system, or one action of an agent, was: contents "chain", "output", ...
//	held     body {}          an answer waits for a person
//	end      body [End]       content "answer": what is released, or would be once a person approves
//	review   body [Review]    a person has decided on a held answer
//
// Texts are contents, which can be redacted; bodies hold facts that stay: names, verdicts, counts, durations.
package record

import (
	"time"

	"candor/reasoning/compose"
	"candor/reasoning/llm"
	"candor/reasoning/monitor"
	"candor/serve/ledger"
)

// KindHeld is an entry that says that the answer of its trace waits for a person. It is written together with the end.
const KindHeld ledger.Kind = "held"

// Names of contents.
const (
	ContentPrompt = "prompt" // of begin: []llm.Message
	ContentTry    = "try"    // of stage: [Try]
	ContentAction = "action" // of stage: [Action]
	ContentAnswer = "answer" // of end: [Answer]
)

// Begin is the body of a trace's first entry.
type Begin struct {
	Request  string `json:"request"`  // the ID of the client's request, common to its choices
	Protocol string `json:"protocol"` // chat, completions or responses; action where an agent's action waits for a person
	Model    string `json:"model"`    // by the name that the client asked for
	Key      string `json:"key"`      // the ID of the API key; "" for somebody without one on this machine
	Choice   int    `json:"choice"`   // 0..Of-1
	Of       int    `json:"of"`
	Stream   bool   `json:"stream,omitempty"`
	// Ungated tells that the reasoner has no passing audit evidence.
	Ungated bool `json:"ungated,omitempty"`
}

// Outcome is what became of a trace.
type Outcome string

// The outcomes. Only [Released] lets anything out, and [Held] once a person approves.
const (
	Open     Outcome = "open"     // it is being worked on, or the gateway was killed a moment ago
	Released Outcome = "released" // every gate that is on has passed the answer
	Blocked  Outcome = "blocked"  // a gate has not
	Held     Outcome = "held"     // a gate has not, and a person is to decide
	Approved Outcome = "approved" // a person has let it out
	Rejected Outcome = "rejected" // a person has not
	Failed   Outcome = "failed"   // a model could not be reached, or a limit was met
	Gone     Outcome = "gone"     // the client went away before there was an answer
	Dropped  Outcome = "dropped"  // the gateway was stopped or killed; nothing was released
)

// Stage is the body of an entry about one try or one action.
type Stage struct {
	// What is "try", of an agent a turn; "action", which is about to be done or was refused; or "result", of an action.
	What string `json:"what"`
	// N counts tries from 0, and actions; a result has its action's number.
	N int `json:"n"`
	// System is which system made a try: "main", or "trusted" where it was deferred to the trusted model.
	System   string            `json:"system,omitempty"`
	Verdicts []compose.Verdict `json:"verdicts,omitempty"`
	Partial  compose.Limit     `json:"partial,omitempty"`
	// Provenance is what the chain of a try is: what the monitors read is a chain of thought only if it is raw. "" is raw as well, of a
	// model that keeps none apart.
	Provenance llm.Provenance `json:"provenance,omitempty"`
	Calls      []Call         `json:"calls,omitempty"`
	// Spent is how long each part took, in the order in which they began.
	Spent []Spent `json:"spent,omitempty"`
	// Decision is the reviewer's on an action: approve, modify, reject or escalate.
	Decision string `json:"decision,omitempty"`
	Err      string `json:"err,omitempty"`
}

// Call is one call of a model.
type Call struct {
	Role    string `json:"role"`
	Model   string `json:"model"`
	Attempt int    `json:"attempt"` // 0 the first
	// Answered is the model that answered by its server's account, if that is another name: evidence may not hold for it.
	Answered string `json:"answered,omitempty"`
	// Began is the time of the call by the gateway's clock.
	Began            time.Time     `json:"began"`
	Took             time.Duration `json:"took_ns"`
	PromptTokens     int           `json:"prompt_tokens,omitempty"`
	CompletionTokens int           `json:"completion_tokens,omitempty"`
	Err              string        `json:"err,omitempty"` // without texts of the conversation
}

// Spent is the time that a part of the gateway's work took.
type Spent struct {
	Part string        `json:"part"` // limits, begin, reasoner, paraphraser, face, monitors, end, review, tool
	Took time.Duration `json:"took_ns"`
}

// Try is what one try of the two-part system wrote.
type Try struct {
	Steps []Step `json:"steps"`
	// Draft is what the reasoner said beside its chain, if anything.
	Draft string `json:"draft,omitempty"`
	// Private and Shown are the chain as it was written and as the face read it, by which the spans of verdicts count.
	Private string `json:"private"`
	Shown   string `json:"shown"`
	// Brief is all that the face read.
	Brief string `json:"brief"`
	// Output is what the gates judged: the text with the calls of tools behind it as lines.
	Output string         `json:"output"`
	Calls  []llm.ToolCall `json:"calls,omitempty"`
	// Findings are what each gate found, in the order of Stage.Verdicts.
	Findings []monitor.Finding `json:"findings,omitempty"`
}

// Step is a step of a chain and what stands in its place for the face.
type Step struct {
	Written   string `json:"written"`
	Rewritten string `json:"rewritten"`
}

// Action is what an agent wanted to do.
type Action struct {
	Goal  string       `json:"goal"`
	Chain string       `json:"chain,omitempty"` // what the reviewer saw of it
	Call  llm.ToolCall `json:"call"`
	// Modified is what was done in its place, if the reviewer changed it.
	Modified *llm.ToolCall `json:"modified,omitempty"`
	Why      string        `json:"why,omitempty"`
	Result   string        `json:"result,omitempty"`
	// Failed says what was wrong with the reviewer or with the call, if anything was.
	Failed []string `json:"failed,omitempty"`
}

// End is the body of a trace's last entry.
type End struct {
	Outcome Outcome `json:"outcome"`
	// Reason says in one sentence what the client is told, unless the answer is released.
	Reason string `json:"reason,omitempty"`
	// Finish is how the released answer ends.
	Finish llm.Finish `json:"finish,omitempty"`
	Tries  int        `json:"tries"`
	// Took is from the arrival of the request, Upstream the part of it that models, tools and a waiting person took.
	Took     time.Duration `json:"took_ns"`
	Upstream time.Duration `json:"upstream_ns"`
	Spent    []Spent       `json:"spent,omitempty"`
	Tokens   int           `json:"tokens"`
}

// Answer is the answer of a trace.
type Answer struct {
	Text  string         `json:"text"`
	Calls []llm.ToolCall `json:"calls,omitempty"`
}

// Review is the body of a person's decision on a held answer.
type Review struct {
	Approve bool   `json:"approve"`
	Who     string `json:"who"`
	Why     string `json:"why"`
}
