package api

import (
	"encoding/json"
	"net/http"

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
func (s *Server) completionsCall(id string, b *completionsBody) (*call, error) {
	if err := s.known(b.Model); err != nil {
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
	var prompts []prompt
	for i, text := range given {
		if text == "" {
			return nil, refuse("prompt", "prompt %d is empty", i)
		}
		prompts = append(prompts, prompt{prefix: text})
	}
	c, err := s.call(id, &b.settings, prompts, b.MaxTokens, "max_tokens")
	if err == nil {
		c.logProbs = b.LogProbs != nil
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

func (s *Server) completions(w http.ResponseWriter, r *http.Request) error {
	var b completionsBody
	if err := s.body(w, r, &b); err != nil {
		return err
	}
	c, err := s.completionsCall(s.name("cmpl"), &b)
	if err != nil {
		return err
	}
	out, err := s.generate(r, c)
	if err != nil {
		return err
	}
	answer := completionAnswer{CompletionResponse: openai.CompletionResponse{ID: c.id, Object: "text_completion", Created: s.Clock().Unix(), Model: s.Name}}
	if c.stream {
		s.streamCompletions(w, c, out, answer)
		return nil
	}
	answer.Usage = c.count(out)
	for i, o := range out {
		answer.Choices = append(answer.Choices, c.choice(i, piece{o.Text, o.Tokens}, 0, &o))
	}
	s.reply(w, answer)
	return nil
}

// choice is a piece of choice i, which begins at byte offset of its text; o is the completion if it ends there, or nil.
func (c *call) choice(i int, p piece, offset int, o *llm.Completion) completionChoice {
	choice := completionChoice{CompletionChoice: openai.CompletionChoice{Index: i, Text: p.text}}
	if c.logProbs {
		l := &openai.CompletionLogProbs{Tokens: []string{}, TokenLogProbs: []*float64{}, TextOffset: []int{}}
		for _, t := range p.tokens {
			logProb := finite(t.LogProb)
			l.Tokens, l.TokenLogProbs, l.TextOffset = append(l.Tokens, t.Text), append(l.TokenLogProbs, &logProb), append(l.TextOffset, offset)
			offset += len(t.Text)
		}
		choice.LogProbs = l
	}
	if o != nil {
		finish := string(o.Finish)
		choice.FinishReason, choice.Stopped = &finish, stopped(*o)
	}
	return choice
}

// streamCompletions writes the choices one after another.
func (s *Server) streamCompletions(w http.ResponseWriter, c *call, out []llm.Completion, chunk completionAnswer) {
	e := s.stream(w)
	for i, o := range out {
		offset := 0
		for _, p := range pieces(o) {
			chunk.Choices = []completionChoice{c.choice(i, p, offset, nil)}
			e.send("", chunk)
			offset += len(p.text)
		}
		chunk.Choices = []completionChoice{c.choice(i, piece{}, offset, &o)}
		e.send("", chunk)
	}
	if c.usage {
		chunk.Choices, chunk.Usage = []completionChoice{}, c.count(out)
		e.send("", chunk)
	}
	e.done()
}
