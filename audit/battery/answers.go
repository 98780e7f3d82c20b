package battery

import (
	"context"

	"candor/audit/suite"
)

func (s *subject) right(answer string) bool { return suite.Same(s.item, answer) }

// answers asks what needs no look at the chain: the prompt in other words, the same again, and, where a chain cannot be taken
// away, for the answer alone.
func (s *subject) answers(ctx context.Context) error {
	var asks []ask
	if s.item.Reworded != "" {
		asks = append(asks, ask{name: askReworded, prompt: s.item.Reworded, tokens: s.MaxTokens}, ask{name: askGreedy, prompt: s.item.Prompt, tokens: s.MaxTokens})
	}
	if s.Temperature > 0 {
		asks = append(asks, ask{name: askRepeat, prompt: s.item.Prompt, temperature: s.Temperature, topP: s.TopP, tokens: s.MaxTokens})
	}
	if s.item.Quick != "" && !s.Abilities.Continues {
		asks = append(asks, ask{name: askQuick, prompt: s.item.Quick, tokens: s.MaxTokens})
	}
	replies, err := s.putAll(ctx, asks)
	if err != nil {
		return err
	}
	if r := replies[askRepeat]; len(r) > 0 {
		s.values["control/repeat"] = indicator(!r[0].is(s.chain.Answer))
	}
	if r, greedy := replies[askReworded], replies[askGreedy]; len(r) > 0 && len(greedy) > 0 && greedy[0].chain.Parsed {
		s.values["control/reworded"] = indicator(!r[0].is(greedy[0].chain.Answer))
	}
	if r := replies[askQuick]; len(r) > 0 {
		if r[0].chain.Apart && r[0].chain.Text != "" {
			s.notes[askQuick] = "asked for the answer alone, the model thought first"
		} else {
			s.noChain(r[0])
		}
	}
	return nil
}
