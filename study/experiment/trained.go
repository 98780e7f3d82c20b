package experiment

import "candor/reasoning/task"

// Trained is an arm that lessons trained into a known mechanism.
type Trained struct {
	Name     string
	Organism task.Organism
}

// Trained returns the arms whose last training was that of an organism on a world of sums, in the order of the spec.
func (s *Spec) Trained(w task.Sums) []Trained {
	var out []Trained
	for _, a := range s.Arms {
		var last *SFTStage
		for _, stage := range a.Stages {
			if stage.SFT != nil {
				last = stage.SFT
			}
			if stage.GRPO != nil || stage.Pretrain != nil {
				last = nil
			}
		}
		if last != nil && last.Organism != "" && s.Sums[last.Sums] == w {
			out = append(out, Trained{a.Name, s.Organisms[last.Organism]})
		}
	}
	return out
}
