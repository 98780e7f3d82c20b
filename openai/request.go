package openai

import (
	"fmt"
	"math"

	"candor/reasoning/llm"
)

// seed maps a seed to what servers take: its low 63 bits, which make no negative number. A seed below 2^63 arrives at candor's own
// server as it is, so that a served model gives what it would give here.
func seed(s uint64) *int64 {
	v := int64(s & math.MaxInt64)
	return &v
}

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %s", llm.ErrInvalid, fmt.Sprintf(format, args...))
}

// check refuses what the capabilities do not allow.
func (c Capabilities) check(r llm.Request) error {
	if err := r.Validate(); err != nil {
		return err
	}
	if err := c.checkTools(r); err != nil {
		return err
	}
	switch {
	case len(r.Ban) > 0:
		return invalid("no word can be banned over this protocol")
	case r.TopK > 0 && !c.TopK:
		return invalid("TopK is %d, but the server cannot truncate to the likeliest tokens: use 0", r.TopK)
	case !c.apart() && (r.Reasoning != "" || r.Concluded):
		return invalid("this model keeps no chain of thought apart from its text: put what it has thought into Prefix")
	case c.apart() && r.Prefix != "" && !r.Concluded:
		return invalid("the model would think before it goes on from a Prefix: set Concluded")
	case r.Prefix != "" && c.Continue == NoContinue:
		return invalid("this server does not go on from an assistant's text")
	case r.Reasoning != "" && !c.ContinueReasoning:
		return invalid("this server does not go on from a chain of thought")
	case r.Concluded && r.Prefix == "" && !c.ContinueReasoning:
		return invalid("this server cannot be told that the model has done thinking")
	case r.Concluded && r.Prefix == "" && c.Continue == PrefixMessage && c.Reasoning != ThinkingParts && c.Reasoning != ThinkTags:
		return invalid("this server takes thoughts for ended only where a text follows: give a Prefix beside Concluded")
	}
	return nil
}

// sampling returns the temperature and top_p to send, nil for those that go without saying.
func (c Capabilities) sampling(r llm.Request) (temperature, topP *float64) {
	if c.NoTemperature {
		return nil, nil
	}
	if r.TopP > 0 && r.TopP < 1 {
		topP = &r.TopP
	}
	return &r.Temperature, topP
}

func (c Capabilities) chatRequest(model string, r llm.Request) ChatRequest {
	out := ChatRequest{Model: model, TopK: r.TopK, Stop: r.Stop, Stream: c.Stream, LogProbs: r.LogProbs && c.LogProbs}
	out.Temperature, out.TopP = c.sampling(r)
	if c.MaxTokensField == "max_completion_tokens" {
		out.MaxCompletionTokens = r.MaxTokens
	} else {
		out.MaxTokens = r.MaxTokens
	}
	if c.Seeds {
		out.Seed = seed(r.Seed)
	}
	for _, m := range r.Messages {
		out.Messages = append(out.Messages, chatMessage(m))
	}
	out.Tools, out.ToolChoice = chatTools(r)
	if r.Prefix == "" && r.Reasoning == "" && !r.Concluded {
		return out
	}
	last := ChatMessage{Role: string(llm.Assistant)}
	switch {
	case c.Continue == PrefixMessage && c.Reasoning == ThinkingParts:
		last.Prefix = true
		last.Content = Content{Text: r.Prefix, Thinking: r.Reasoning, Open: !r.Concluded}
	case c.Continue == PrefixMessage && c.Reasoning != ThinkTags:
		last.Prefix, last.Content = true, Text(r.Prefix)
		if r.Reasoning != "" {
			last.ReasoningContent = &r.Reasoning
		}
	default:
		last.Content = Text(c.written(r))
		last.Prefix = c.Continue == PrefixMessage
	}
	if c.Continue == ContinueFinalMessage {
		no := false
		out.ContinueFinalMessage, out.AddGenerationPrompt = true, &no
	}
	out.Messages = append(out.Messages, last)
	return out
}

func (c Capabilities) completionRequest(model string, r llm.Request) (CompletionRequest, error) {
	prompt, err := c.prompt(r)
	if err != nil {
		return CompletionRequest{}, err
	}
	out := CompletionRequest{Model: model, Prompt: prompt, MaxTokens: r.MaxTokens, TopK: r.TopK, Stream: c.Stream}
	out.Stop = append(append(out.Stop, r.Stop...), templates[c.Template].ends...)
	out.Temperature, out.TopP = c.sampling(r)
	if c.Seeds {
		out.Seed = seed(r.Seed)
	}
	if r.LogProbs && c.LogProbs {
		one := 1 // some servers take 0 for none at all
		out.LogProbs = &one
	}
	return out, nil
}

func (c Capabilities) responseRequest(model string, r llm.Request) ResponseRequest {
	no := false
	out := ResponseRequest{Model: model, MaxOutputTokens: r.MaxTokens, Stream: c.Stream, Store: &no}
	out.Temperature, out.TopP = c.sampling(r)
	if c.Reasoning == ResponsesItems {
		switch c.Provenance {
		case llm.Summary:
			out.Reasoning = &ResponseReasoning{Summary: "auto"}
		case llm.Encrypted:
			out.Include = append(out.Include, "reasoning.encrypted_content")
		}
	}
	if r.LogProbs && c.LogProbs {
		out.Include = append(out.Include, "message.output_text.logprobs")
	}
	for _, m := range r.Messages {
		out.Input = append(out.Input, responseItems(m)...)
	}
	out.Tools, out.ToolChoice = responseTools(r)
	return out
}
