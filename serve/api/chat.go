package api

import (
	"encoding/json"
	"net/http"

	"candor/openai"
	"candor/reasoning/llm"
)

// chatBody is the body of POST /v1/chat/completions, in all the forms that clients write it.
type chatBody struct {
	settings
	Messages             []chatMessage `json:"messages"`
	MaxTokens            *int          `json:"max_tokens"`
	MaxCompletionTokens  *int          `json:"max_completion_tokens"`
	LogProbs             bool          `json:"logprobs"`
	ContinueFinalMessage bool          `json:"continue_final_message"`
	AddGenerationPrompt  *bool         `json:"add_generation_prompt"`
}

type chatMessage struct {
	Role             string          `json:"role"`
	Content          json.RawMessage `json:"content"`
	Prefix           bool            `json:"prefix"`
	Reasoning        string          `json:"reasoning"`
	ReasoningContent string          `json:"reasoning_content"`
}

// prompt reads the conversation.
func (b *chatBody) prompt() (prompt, error) {
	var p prompt
	if len(b.Messages) == 0 {
		return p, refuse("messages", "messages must be a list of at least one message")
	}
	last := len(b.Messages) - 1
	again := b.AddGenerationPrompt != nil && *b.AddGenerationPrompt // a new message is asked for outright
	for i, m := range b.Messages {
		at := field("messages", i)
		read, err := message(m.Role, m.Content, at)
		goesOn := m.Prefix || (i == last && b.ContinueFinalMessage)
		switch {
		case err != nil:
			return p, err
		case goesOn && (i != last || read.Role != llm.Assistant):
			return p, refuse(at, "%s cannot be carried on: only a last message, of role assistant, can", at)
		case goesOn && again:
			return p, refuse("add_generation_prompt", "add_generation_prompt is true, so a new message is to begin, but the last one is to be carried on: set one of them")
		case i == last && read.Role == llm.Assistant && !again:
			p.prefix, p.reasoning = read.Text, m.Reasoning+m.ReasoningContent
			p.concluded = p.reasoning != "" && p.prefix != ""
		default:
			p.messages = append(p.messages, read)
		}
	}
	if len(p.messages) == 0 && p.prefix == "" {
		return p, refuse("messages", "messages have no text")
	}
	return p, nil
}

// chatCall reads the body of POST /v1/chat/completions.
func (s *Server) chatCall(id string, b *chatBody) (*call, error) {
	if err := s.known(b.Model); err != nil {
		return nil, err
	}
	p, err := b.prompt()
	if err != nil {
		return nil, err
	}
	bound, param := b.MaxCompletionTokens, "max_completion_tokens"
	if bound == nil {
		bound, param = b.MaxTokens, "max_tokens"
	}
	c, err := s.call(id, &b.settings, []prompt{p}, bound, param)
	if err == nil {
		c.logProbs = b.LogProbs
	}
	return c, err
}

func (s *Server) chat(w http.ResponseWriter, r *http.Request) error {
	var b chatBody
	if err := s.body(w, r, &b); err != nil {
		return err
	}
	c, err := s.chatCall(s.name("chatcmpl"), &b)
	if err != nil {
		return err
	}
	out, err := s.generate(r, c)
	if err != nil {
		return err
	}
	if c.stream {
		s.streamChat(w, c, out)
		return nil
	}
	answer := openai.ChatResponse{ID: c.id, Object: "chat.completion", Created: s.Clock().Unix(), Model: s.Name, Usage: c.count(out)}
	for i, o := range out {
		choice := openai.ChatChoice{Index: i, FinishReason: string(o.Finish), Stopped: stopped(o)}
		choice.Message = openai.ChatMessage{Role: string(llm.Assistant), Content: openai.Text(o.Text)}
		if o.Reasoning != "" {
			choice.Message.Reasoning = &o.Reasoning
		}
		if c.logProbs {
			choice.LogProbs = &openai.ChatLogProbs{Content: tokenLogProbs(o.Tokens)}
		}
		answer.Choices = append(answer.Choices, choice)
	}
	s.reply(w, answer)
	return nil
}

// streamChat writes the choices one after another.
func (s *Server) streamChat(w http.ResponseWriter, c *call, out []llm.Completion) {
	e := s.stream(w)
	chunk := openai.ChatChunk{ID: c.id, Object: "chat.completion.chunk", Created: s.Clock().Unix(), Model: s.Name}
	for i, o := range out {
		send := func(choice openai.ChatChunkChoice) {
			choice.Index = i
			chunk.Choices = []openai.ChatChunkChoice{choice}
			e.send("", chunk)
		}
		none := openai.Text("")
		send(openai.ChatChunkChoice{Delta: openai.ChatDelta{Role: string(llm.Assistant), Content: &none}})
		if o.Reasoning != "" {
			send(openai.ChatChunkChoice{Delta: openai.ChatDelta{Reasoning: &o.Reasoning}})
		}
		for _, p := range pieces(o) {
			text := openai.Text(p.text)
			choice := openai.ChatChunkChoice{Delta: openai.ChatDelta{Content: &text}}
			if c.logProbs {
				choice.LogProbs = &openai.ChatLogProbs{Content: tokenLogProbs(p.tokens)}
			}
			send(choice)
		}
		finish := string(o.Finish)
		send(openai.ChatChunkChoice{FinishReason: &finish, Stopped: stopped(o)})
	}
	if c.usage {
		chunk.Choices, chunk.Usage = []openai.ChatChunkChoice{}, c.count(out)
		e.send("", chunk)
	}
	e.done()
}
