package twopart

import (
	"context"
	"strings"

	"candor/reasoning/llm"
)

// script is a model that writes a chain, and the output behind it.
type script struct{ chain, output string }

// Generate implements llm.Generator.
func (s script) Generate(_ context.Context, requests []llm.Request) ([]llm.Completion, error) {
	out := make([]llm.Completion, len(requests))
	for i, r := range requests {
		text, stop := strings.TrimSuffix(s.chain, " ="), "="
		if strings.HasSuffix(r.Prefix, "=") {
			text, stop = " "+s.output, ""
		}
		c := llm.Completion{Text: text, Finish: llm.FinishStop, Stop: stop}
		for j, w := range strings.Fields(text) {
			if j > 0 || strings.HasPrefix(text, " ") {
				w = " " + w
			}
			c.Tokens = append(c.Tokens, llm.Token{Text: w, LogProb: -1})
		}
		c.CompletionTokens = len(c.Tokens)
		out[i] = c
	}
	return out, nil
}
