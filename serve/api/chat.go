package api

import (
	"bytes"
	"encoding/json"
	"strconv"

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
	Refusal          string          `json:"refusal"` // an answer's that the client sends back
	Prefix           bool            `json:"prefix"`
	Reasoning        string          `json:"reasoning"`
	ReasoningContent string          `json:"reasoning_content"`
	ToolCalls        []chatToolCall  `json:"tool_calls"`
	ToolCallID       string          `json:"tool_call_id"`
}

// chatToolCall is a call of a tool, asked or answered; Index is there in a stream.
type chatToolCall struct {
	Index    *int   `json:"index,omitempty"`
	ID       string `json:"id,omitempty"`
	Type     string `json:"type,omitempty"`
	Function struct {
		Name      string `json:"name,omitempty"`
		Arguments string `json:"arguments"`
	} `json:"function"`
}

// prompt reads the conversation.
func (b *chatBody) prompt(tools bool) (prompt, error) {
	var p prompt
	if len(b.Messages) == 0 {
		return p, refuse("messages", "messages must be a list of at least one message")
	}
	h := history{tools: tools, messages: make([]llm.Message, 0, len(b.Messages))}
	last := len(b.Messages) - 1
	again := b.AddGenerationPrompt != nil && *b.AddGenerationPrompt // a new message is asked for outright
	for i := range b.Messages {
		m, at := &b.Messages[i], field("messages", i)
		if m.Role == string(llm.Tool) && tools {
			if err := h.result(m.ToolCallID, m.Content, at+".tool_call_id", at+".content"); err != nil {
				return p, err
			}
			continue
		}
		read, err := b.message(&h, m, at)
		goesOn := m.Prefix || (i == last && b.ContinueFinalMessage)
		switch {
		case err != nil:
			return p, err
		case goesOn && (i != last || read.Role != llm.Assistant || len(read.Calls) > 0):
			return p, refuse(at, "%s cannot be carried on: only a last message, of role assistant, can", at)
		case goesOn && again:
			return p, refuse("add_generation_prompt", "add_generation_prompt is true, so a new message is to begin, but the last one is to be carried on: set one of them")
		case i == last && read.Role == llm.Assistant && len(read.Calls) == 0 && !again:
			p.prefix, p.reasoning = read.Text, m.Reasoning+m.ReasoningContent
			p.concluded = p.reasoning != "" && p.prefix != ""
		default:
			h.messages = append(h.messages, read)
		}
	}
	p.messages = h.messages
	if len(p.messages) == 0 && p.prefix == "" {
		return p, refuse("messages", "messages have no text")
	}
	return p, nil
}

// message reads a message that is no tool's.
func (b *chatBody) message(h *history, m *chatMessage, at string) (llm.Message, error) {
	read, err := h.message(m.Role, m.Content, at)
	if err != nil {
		return read, err
	}
	if read.Text == "" && read.Role == llm.Assistant {
		read.Text = m.Refusal
	}
	for k, c := range m.ToolCalls {
		at := field(at+".tool_calls", k)
		switch {
		case read.Role != llm.Assistant:
			return read, refuse(at, "%s is in a message of role %s; only an assistant's can call tools", at, read.Role)
		case c.Type != "function" && c.Type != "":
			return read, refuse(at+".type", "%s is a call of type %s, must be of type function", at, shown(c.Type))
		}
		if err := h.call(&read, llm.ToolCall{ID: c.ID, Name: c.Function.Name, Arguments: c.Function.Arguments}, at); err != nil {
			return read, err
		}
	}
	return read, nil
}

// chatCall reads the body of POST /v1/chat/completions.
func (x *exchange) chatCall(b *chatBody) (*call, error) {
	m, err := x.s.find(b.Model)
	if err != nil {
		return nil, err
	}
	p, err := b.prompt(m.Tools)
	if err != nil {
		return nil, err
	}
	bound, param := b.MaxCompletionTokens, "max_completion_tokens"
	if bound == nil {
		bound, param = b.MaxTokens, "max_tokens"
	}
	c, err := x.asks(m, "chat", x.s.name("chatcmpl-"), &b.settings, []prompt{p}, bound, param)
	if err == nil {
		c.tellLogProbs(b.LogProbs)
	}
	return c, err
}

func (x *exchange) chat() error {
	var b chatBody
	if err := x.body(&b); err != nil {
		return err
	}
	c, err := x.chatCall(&b)
	if err != nil {
		return err
	}
	out, err := x.answer(c)
	if err != nil {
		return err
	}
	if c.Stream {
		x.streamChat(c, out)
		return nil
	}
	answer := openai.ChatResponse{ID: c.ID, Object: "chat.completion", Created: c.Arrived.Unix(), Model: c.Model, Usage: c.count(out)}
	answer.Choices = make([]openai.ChatChoice, len(out))
	for i := range out {
		o, choice := &out[i], &answer.Choices[i]
		*choice = openai.ChatChoice{Index: i, FinishReason: o.finish(), Stopped: stopped(&o.Completion)}
		choice.Message = openai.ChatMessage{Role: string(llm.Assistant), Content: openai.Text(o.Text)}
		if o.Refusal != "" {
			choice.Message.Content, choice.Message.Refusal = openai.Content{Null: true}, &o.Refusal
		}
		if o.Reasoning != "" {
			choice.Message.Reasoning = &o.Reasoning
		}
		if len(o.Calls) > 0 {
			choice.Message.Content.Null = o.Text == ""
			choice.Message.ToolCalls = chatCalls(c, i, o)
		}
		if c.logProbs {
			choice.LogProbs = &openai.ChatLogProbs{Content: tokenLogProbs(o.Tokens)}
		}
	}
	x.reply(answer)
	return nil
}

// chatCalls writes choice i's calls of tools.
func chatCalls(c *call, i int, o *Answer) json.RawMessage {
	list := make([]chatToolCall, len(o.Calls))
	for k, t := range o.Calls {
		list[k] = chatToolCall{ID: callID(t, c.ID, i, k), Type: "function"}
		list[k].Function.Name, list[k].Function.Arguments = t.Name, t.Arguments
	}
	return encode(list)
}

// callID is the ID of call k of choice i of the answer called id; models need not give one.
func callID(t llm.ToolCall, id string, i, k int) string {
	if t.ID != "" {
		return t.ID
	}
	return "call_" + bareID(id) + "_" + strconv.Itoa(i) + "_" + strconv.Itoa(k)
}

// streamChat writes the choices one after another.
func (x *exchange) streamChat(c *call, out []Answer) {
	e := x.events(c)
	defer e.end()
	s := newChatStream(e, c)
	for i := range out {
		s.choice(c, i, &out[i])
	}
	if c.usage {
		s.chunk.Choices, s.chunk.Usage = []openai.ChatChunkChoice{}, c.count(out)
		e.send("", &s.chunk)
	}
	e.done()
}

// chatStream is a streamed chat; its chunk is reused.
type chatStream struct {
	e     *events
	chunk openai.ChatChunk
	head  []byte // of its JSON, up to the choices
}

func newChatStream(e *events, c *call) chatStream {
	s := chatStream{e: e, chunk: openai.ChatChunk{ID: c.ID, Object: "chat.completion.chunk", Created: c.Arrived.Unix(), Model: c.Model, Choices: []openai.ChatChunkChoice{}}}
	s.head = bytes.TrimSuffix(encode(&s.chunk), []byte("]}"))
	s.chunk.Choices = make([]openai.ChatChunkChoice, 1)
	return s
}

func (s *chatStream) send(choice openai.ChatChunkChoice) {
	s.chunk.Choices[0] = choice
	s.e.send("", &s.chunk)
}

// text writes a piece of choice i. It is what most of a stream is made of, and spares the encoder all but the text.
func (s *chatStream) text(i int, text string) {
	o := s.e.out
	o.WriteString("data: ")
	o.Write(s.head)
	o.WriteString(`{"index":`)
	o.Write(strconv.AppendInt(o.AvailableBuffer(), int64(i), 10))
	o.WriteString(`,"delta":{"content":`)
	o.string(text)
	o.WriteString(`},"finish_reason":null}]}` + "\n\n")
	s.e.wrote()
}

// choice writes choice i.
func (s *chatStream) choice(c *call, i int, o *Answer) {
	first := openai.ChatDelta{Role: string(llm.Assistant), Content: &openai.Content{Null: o.Refusal != "" || o.Text == "" && len(o.Calls) > 0}}
	s.send(openai.ChatChunkChoice{Index: i, Delta: first})
	if o.Reasoning != "" {
		s.send(openai.ChatChunkChoice{Index: i, Delta: openai.ChatDelta{Reasoning: &o.Reasoning}})
	}
	if o.Refusal != "" {
		s.send(openai.ChatChunkChoice{Index: i, Delta: openai.ChatDelta{Refusal: &o.Refusal}})
	}
	for p := range pieces(&o.Completion) {
		if !c.logProbs {
			s.text(i, p.text)
			continue
		}
		choice := openai.ChatChunkChoice{Index: i, Delta: openai.ChatDelta{Content: &openai.Content{Text: p.text}}}
		choice.LogProbs = &openai.ChatLogProbs{Content: tokenLogProbs(p.tokens)}
		s.send(choice)
	}
	for k, t := range o.Calls {
		begun := chatToolCall{Index: &k, ID: callID(t, c.ID, i, k), Type: "function"}
		begun.Function.Name = t.Name
		goesOn := chatToolCall{Index: &k}
		goesOn.Function.Arguments = t.Arguments
		for _, part := range []chatToolCall{begun, goesOn} {
			s.send(openai.ChatChunkChoice{Index: i, Delta: openai.ChatDelta{ToolCalls: encode([]chatToolCall{part})}})
		}
	}
	finish := o.finish()
	s.send(openai.ChatChunkChoice{Index: i, FinishReason: &finish, Stopped: stopped(&o.Completion)})
}
