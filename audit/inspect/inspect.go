// Package inspect writes what an audit did as a log of Inspect AI, so that its viewer and its analysis tools open it.
//
// A log is a zip (its name ends in .eval) with these members, all of them JSON and deflated:
//
//	_journal/start.json          what was about to be run
//	samples/ID_epoch_N.json      one sample each, N from 1
//	_journal/summaries/K.json    short forms of some samples, K from 1
//	summaries.json               the short forms of all samples
//	reductions.json              for each scorer every sample's mean over its epochs
//	header.json                  start.json with results and statistics
//
// The members and their names are those of logs that Inspect wrote; what stands in them satisfies the schema that Inspect
// published in August 2026 (log version 2). Inspect can compress with Zstandard too where Python can; deflate is what all of
// its versions read. Members are written as a stream, so their sizes stand behind them and in the zip's directory, where
// Inspect's readers look.
//
// # Memory
//
// A [Writer] holds one sample at a time. What stays in memory is the zip's directory and a running mean for each sample and
// scorer: 90 MB for 200,000 samples with 5 scorers, of a process of 210 MB. The summaries wait in a compressed temporary
// file beside the log. Whoever opens the log holds all summaries in memory, which is why texts in them are cut to a
// thousand bytes.
//
// # What is not there
//
// Events (Inspect's transcript) are left empty: the conversation is under messages. Images, tools and sandboxes have no form
// here. Times are told to the second.
package inspect

import "time"

// Log says what is to be run: what is known before the first sample.
type Log struct {
	// Task names the audit, TaskVersion its version; TaskFile is where it is defined, "" if nowhere.
	Task, TaskVersion, TaskFile string
	// Args are the audit's settings by name; they must have a JSON form.
	Args map[string]any
	// Model is the model by the name that the endpoint knows, BaseURL the endpoint without credentials, "" if there is none.
	Model, BaseURL string
	// RunID names this run among all runs. The IDs that Inspect wants of tasks and samples are made from it.
	RunID string
	// Created is when the run was begun.
	Created time.Time
	Config  Config
	Dataset Dataset
	// Steps are what was done to get an answer, in order.
	Steps []Step
	// Revision is the commit of the code that ran.
	Revision Revision
	// Packages are versions of software by its name.
	Packages map[string]string
	// Tags and Metadata are what else is to be known. Metadata must have a JSON form.
	Tags     []string
	Metadata map[string]any
}

// Config is how samples were drawn and how many. A zero is left out, other than the temperature's and the seed's.
type Config struct {
	Temperature float64
	TopP        float64
	TopK        int
	MaxTokens   int
	Seed        int64
	// MaxConnections is how many requests were under way at a time.
	MaxConnections int
	// Epochs is how often each sample was put, Limit how many samples were asked for (0: all).
	Epochs, Limit int
}

// Dataset is where samples are from.
type Dataset struct {
	Name, Location string
	// Samples is how many it has; IDs are those that were used, nil if they are not to be listed.
	Samples  int
	IDs      []string
	Shuffled bool
}

// Step is one step of the plan.
type Step struct {
	Solver string
	Params map[string]any
}

// Revision is a commit.
type Revision struct {
	// Origin is the repository's address, Commit the commit's hash; without a commit nothing is told.
	Origin, Commit string
	// Dirty tells whether the working tree differed from it.
	Dirty bool
}

// Result says how the run ended: what is known after the last sample.
type Result struct {
	// Status is one of StatusSuccess, StatusCancelled and StatusError; Error says what went wrong with StatusError.
	Status, Error string
	// Started and Completed are when the first sample was begun and the last one done; zero if never.
	Started, Completed time.Time
	Scores             []ScoreSummary
	// Usage counts tokens by model.
	Usage    map[string]Usage
	Metadata map[string]any
	// Total is how many samples (times epochs) there should be, 0 for as many as were written.
	Total int
}

// How a run ended.
const (
	StatusSuccess   = "success"
	StatusCancelled = "cancelled"
	StatusError     = "error"
)

// ScoreSummary is what a scorer found over all samples.
type ScoreSummary struct {
	// Name is shown, Scorer is the name under which samples have the score; Reducer is how epochs were put together, "" if
	// they were not.
	Name, Scorer, Reducer string
	Params                map[string]any
	// Metrics are finite numbers by name. A metric that is not reportable is left out, never 0; Metadata can say why.
	Metrics  map[string]float64
	Metadata map[string]any
	// Scored and Unscored count samples; both 0 if they were not counted.
	Scored, Unscored int
}

// Usage counts tokens.
type Usage struct {
	Input, Output int
	// Reasoning is the part of Output that was thought; 0 if the endpoint does not say.
	Reasoning int
}

// Message is one turn of a conversation.
type Message struct {
	// Role is "system", "user" or "assistant".
	Role string
	// Reasoning is what was thought before Text; nil if that is not known.
	Reasoning *Reasoning
	Text      string
}

// Reasoning is a chain of thought that came apart from the text.
type Reasoning struct {
	// Text is the chain itself; for one that is encrypted its cipher, or "".
	Text string
	// Summary is somebody's account of it; "" if there is none.
	Summary string
	// Redacted tells that Text is not the chain that the model thought: it is a cipher, or empty beside a summary.
	Redacted bool
}

// Sample is one problem put to the model once.
type Sample struct {
	// ID with Epoch (from 1) is unique in a log. An ID that cannot be a part of a file's name (longer than 200 bytes, invalid
	// UTF-8, control characters, a backslash, a path that climbs) is replaced by one made of its hash, and Metadata under
	// "id" has what it was.
	ID    string
	Epoch int
	// Input is what the model was asked.
	Input   []Message
	Choices []string
	// Target is the right answer; "" if nobody knows.
	Target string
	// Messages are the whole conversation, Input and the answer included.
	Messages []Message
	Output   Output
	// Scores are by the scorer's name.
	Scores map[string]Score
	// Metadata must have a JSON form.
	Metadata map[string]any
	// Error says why there is no answer; "" if there is one.
	Error string
	// Started and Completed are zero if that is not known.
	Started, Completed time.Time
	Usage              map[string]Usage // by model
}

// Output is what the model answered.
type Output struct {
	// Model is the model that answered, by its own account; "" is taken as the log's.
	Model string
	// Message is the answer; nil if there is none.
	Message *Message
	// StopReason is one of Inspect's: "stop", "max_tokens", "model_length", "tool_calls", "content_filter"; "" is unknown.
	StopReason string
	Usage      Usage
	// LogProbs are the answer's tokens in order, nil if they were not asked for.
	LogProbs []LogProb
}

// LogProb is a token with the natural logarithm of its probability, a finite number.
type LogProb struct {
	Token   string  `json:"token"`
	LogProb float64 `json:"logprob"`
}

// Score is what a scorer found in a sample.
type Score struct {
	// Text is the score if it is not "", such as Inspect's "C" (correct), "I" (incorrect), "P" (partial) and "N" (no answer);
	// otherwise Value is, a finite number.
	Text  string
	Value float64
	// Answer is what was scored, Explanation why it got the score.
	Answer, Explanation string
	Metadata            map[string]any
}
