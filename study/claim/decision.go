package claim

// Verdict is the outcome of a decision rule.
type Verdict string

// The verdicts. A control is Supported when it shows nothing, as it must.
const (
	Supported Verdict = "supported"
	Refuted   Verdict = "refuted"
	Undecided Verdict = "undecided"
)

// Decision is one entry of claims.json.
type Decision struct {
	ID      string  `json:"id"`
	Control bool    `json:"control,omitempty"`
	Verdict Verdict `json:"verdict"`
	// Estimate with its 95% interval [Lo, Hi] over seeds, in Unit. All three are null when not reportable.
	Estimate *float64 `json:"estimate"`
	Lo       *float64 `json:"lo"`
	Hi       *float64 `json:"hi"`
	// N counts samples behind the estimate, Seeds the independent replicates.
	N     int `json:"n"`
	Seeds int `json:"seeds"`
	// Threshold is where the rule cuts, fixed before the run.
	Threshold float64 `json:"threshold"`
	// Rule is the decision rule in words; Statement, Argues (who holds it), Statistic, Unit and Source as in the register.
	Rule      string `json:"rule"`
	Statement string `json:"statement"`
	Argues    string `json:"argues"`
	Statistic string `json:"statistic"`
	Unit      string `json:"unit"`
	Source    string `json:"source"`
	// Parts are the further estimates that the rule or the reader looks at, each with its own interval.
	Parts []Part `json:"parts"`
	// Note says in one sentence why a claim is undecided or not reportable.
	Note string `json:"note,omitempty"`
	// Runs are the stage folders whose samples were used.
	Runs []string `json:"runs"`
}

// Part is one estimate beside the main one.
type Part struct {
	Name     string    `json:"name"`
	Estimate *float64  `json:"estimate"`
	Lo       *float64  `json:"lo"`
	Hi       *float64  `json:"hi"`
	N        int       `json:"n"`
	Seeds    int       `json:"seeds"`
	Unit     string    `json:"unit"`
	PerSeed  []float64 `json:"per_seed"`
	// Threshold, if set, is the bound that the rule puts on this part.
	Threshold *float64 `json:"threshold,omitempty"`
}
