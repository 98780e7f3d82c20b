package monitor

import (
	"encoding/json"
	"errors"
	"fmt"
)

// FitControl fits the control that sees the answer alone on one half of the samples, parted by their hashes, and returns the other half,
// on which it can be calibrated. Where the answers of good and bad samples are alike it is at chance: a monitor that does no better
// reads nothing in the chain.
func FitControl(samples []Sample) (control AnswerOnly, others []Sample, err error) {
	var answers []string
	var bad []bool
	for _, s := range samples {
		if firstHalf(&s) {
			answers, bad = append(answers, s.Answer), append(bad, s.Bad)
		} else {
			others = append(others, s)
		}
	}
	control, err = FitAnswerOnly(answers, bad)
	return control, others, err
}

// answerCount is how often an answer was bad.
type answerCount struct {
	Bad int `json:"bad"`
	N   int `json:"n"`
}

// MarshalJSON writes what the control was fitted on: by answer, how many samples were bad of how many.
func (m AnswerOnly) MarshalJSON() ([]byte, error) {
	out := map[string]answerCount{}
	for a, t := range m.counts {
		out[a] = answerCount{t.bad, t.n}
	}
	return json.Marshal(out)
}

// UnmarshalJSON reads it again.
func (m *AnswerOnly) UnmarshalJSON(data []byte) error {
	var in map[string]answerCount
	if err := json.Unmarshal(data, &in); err != nil {
		return err
	}
	if in == nil {
		return errors.New("what the answer-only control was fitted on must be an object")
	}
	m.counts = map[string]tally{}
	for a, c := range in {
		if c.Bad < 0 || c.Bad > c.N {
			return fmt.Errorf("the answer %q was bad %d times of %d", excerpt(a), c.Bad, c.N)
		}
		m.counts[a] = tally{c.Bad, c.N}
	}
	return nil
}
