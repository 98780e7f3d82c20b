package api

import (
	"encoding/json"

	"candor/openai"
	"candor/reasoning/llm"
)

// completionsBody is the body of POST /v1/completions.
type completionsBody struct {
	settings
	Prompt    json.RawMessage `json:"prompt"`
	MaxTokens *int            `json:"max_tokens"`
	LogProbs  *int            `json:"logprobs"`
}

// completionsCall reads the body of POST /v1/completions.
func (x *exchange) completionsCall(b *completionsBody) (*call, error) {
	m, err := x.s.find(b.Model)
	if err != nil {
		return nil, err
	}
	given, err := texts(b.Prompt, "prompt")
	if err != nil {
		return nil, err
	}
	if len(given) == 0 {
		return nil, refuse("prompt", "prompt must be a string, or a list of at least one string")
	}
	if n := b.LogProbs; n != nil && (*n < 0 || *n > 5) {
		return nil, refuse("logprobs", "logprobs is %d, must be between 0 and 5", *n)
	}
	prompts := make([]prompt, len(given))
	for i, text := range given {
		if text == "" {
			return nil, refuse("prompt", "prompt %d is empty", i)
		}
		prompts[i].prefix = text
	}
	c, err := x.asks(m, "completions", x.s.name("cmpl-"), &b.settings, prompts, b.MaxTokens, "max_tokens")
	if err == nil {
		c.tellLogProbs(b.LogProbs != nil)
	}
	return c, err
}

// completionChoice is openai.CompletionChoice whose finish_reason is null while a stream has not ended.
type completionChoice struct {
	openai.CompletionChoice
	FinishReason *string `json:"finish_reason"`
}

// completionAnswer is openai.CompletionResponse with these.
type completionAnswer struct {
	openai.CompletionResponse
	Choices []completionChoice `json:"choices"`
}

func (x *exchange) completions() error {
	var b completionsBody
	if err := x.body(&b); err != nil {
		return err
	}
	c, err := x.completionsCall(&b)
	if err != nil {
		return err
	}
	out, err := x.answer(c)
	if err != nil {
		return err
	}
	answer := completionAnswer{CompletionResponse: openai.CompletionResponse{ID: c.ID, Object: "text_completion", Created: c.Arrived.Unix(), Model: c.Model}}
	if c.Stream {
		x.streamCompletions(c, out, answer)
		return nil
	}
	answer.Usage = c.count(out)
	for i := range out {
		answer.Choices = append(answer.Choices, c.choice(i, piece{out[i].Text, out[i].Tokens}, 0, &out[i]))
	}
	x.reply(answer)
	return nil
}

// choice is a piece of choice i, which begins at byte offset of its text; o is the answer if it ends there, or nil.
func (c *call) choice(i int, p piece, offset int, o *Answer) completionChoice {
	choice := completionChoice{CompletionChoice: openai.CompletionChoice{Index: i, Text: p.text}}
	if c.logProbs {
		choice.LogProbs = completionLogProbs(p.tokens, offset)
	}
	if o != nil {
		finish := o.finish()
		choice.FinishReason, choice.Stopped = &finish, stopped(&o.Completion)
	}
	return choice
}

func completionLogProbs(tokens []llm.Token, offset int) *openai.CompletionLogProbs {
	l := &openai.CompletionLogProbs{Tokens: []string{}, TokenLogProbs: []*float64{}, TextOffset: []int{}}
	for _, t := range tokens {
		logProb := finite(t.LogProb)
		l.Tokens, l.TokenLogProbs, l.TextOffset = append(l.Tokens, t.Text), append(l.TokenLogProbs, &logProb), append(l.TextOffset, offset)
		offset += len(t.Text)
	}
	return l
}

// streamCompletions writes the choices one after another.
func (x *exchange) streamCompletions(c *call, out []Answer, chunk completionAnswer) {
	e := x.events(c)
	defer e.end()
	chunk.Choices = make([]completionChoice, 1)
	for i := range out {
		offset := 0
		for p := range pieces(&out[i].Completion) {
			chunk.Choices[0] = c.choice(i, p, offset, nil)
			e.send("", &chunk)
			offset += len(p.text)
		}
		chunk.Choices[0] = c.choice(i, piece{}, offset, &out[i])
		e.send("", &chunk)
	}
	if c.usage {
		chunk.Choices, chunk.Usage = []completionChoice{}, c.count(out)
		e.send("", &chunk)
	}
	e.done()
}
