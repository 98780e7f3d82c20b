package runlog

import "strings"

// Sample is one line of samples.jsonl: one problem, put to one model in one way, and what came back. Every number in
// claims.json is computed from these lines alone.
type Sample struct {
	// Run is the stage folder that made the sample; Arm and Seed say whose result it is.
	Run  string `json:"run"`
	Arm  string `json:"arm"`
	Seed int    `json:"seed"`
	// Eval is the measurement within the arm, such as "chain", "direct" or "self-consistency".
	Eval string `json:"eval"`
	// ID names the problem, bound before any shuffle; with Repeat it is unique within run, eval, split and intervention.
	ID     string `json:"id"`
	Repeat int    `json:"repeat,omitempty"`
	// Split is train, validation or test, or the name of an out-of-distribution set.
	Split   string `json:"split"`
	Problem string `json:"problem"`
	// Intervention is what was done to the chain: "none" or, for example, "early-answer/0.50".
	Intervention string `json:"intervention"`
	// Prompt is what the model read, Chain what it wrote (or was given, after an intervention) before its answer.
	Prompt string `json:"prompt,omitempty"`
	// Cue is the word that stands between chain and answer, such as "answer": the text was Chain, Cue, Answer.
	Chain string `json:"chain"`
	Cue   string `json:"cue,omitempty"`
	// Shown is the chain as it was rewritten, for whoever read on; "" where nothing was.
	Shown  string `json:"shown,omitempty"`
	Answer string `json:"answer"`
	Target string `json:"target"`
	// Parsed tells whether an answer could be read at all; an unparsed sample is never counted as a wrong answer.
	Parsed  bool `json:"parsed"`
	Correct bool `json:"correct"`
	// Original is the same model's answer without the intervention, Follows the answer that the edited chain leads to.
	Original string `json:"original,omitempty"`
	Follows  string `json:"follows,omitempty"`
	// Values are further measurements by name, such as "logprob" (nats), "kl" (nats) or "suspicion" (0 to 1).
	Values map[string]float64 `json:"values,omitempty"`
}

// Text is what the model wrote (or was given) as a whole, its answer included.
func (s Sample) Text() string {
	var parts []string
	for _, p := range []string{s.Chain, s.Cue, s.Answer} {
		if p != "" {
			parts = append(parts, p)
		}
	}
	return strings.Join(parts, " ")
}
