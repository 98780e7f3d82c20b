package api

import (
	"encoding/json"
	"net/http"
	"slices"

	"candor/reasoning/llm"
)

// responsesBody is the body of POST /v1/responses.
type responsesBody struct {
	settings
	Input           json.RawMessage `json:"input"`
	Instructions    *string         `json:"instructions"`
	MaxOutputTokens *int            `json:"max_output_tokens"`
	Include         []string        `json:"include"`
	Text            struct {
		Format struct {
			Type string `json:"type"`
		} `json:"format"`
	} `json:"text"`
}

// includeLogProbs is what a client includes to get log-probabilities.
const includeLogProbs = "message.output_text.logprobs"

// inputItem is an item of the input: a message, a call of a tool, or what the tool gave.
type inputItem struct {
	Type      string          `json:"type"`
	Role      string          `json:"role"`
	Content   json.RawMessage `json:"content"`
	CallID    string          `json:"call_id"`
	Name      string          `json:"name"`
	Arguments string          `json:"arguments"`
	Output    json.RawMessage `json:"output"`
}

// prompt reads instructions and input.
func (b *responsesBody) prompt(tools bool) (prompt, error) {
	var p prompt
	h := history{tools: tools}
	if b.Instructions != nil && *b.Instructions != "" {
		h.messages = append(h.messages, llm.Message{Role: llm.System, Text: *b.Instructions})
	}
	var text string
	if !absent(b.Input) && b.Input[0] == '"' && json.Unmarshal(b.Input, &text) == nil {
		p.messages = append(h.messages, llm.Message{Role: llm.User, Text: text})
		return p, nil
	}
	var items []inputItem
	if absent(b.Input) || json.Unmarshal(b.Input, &items) != nil || len(items) == 0 {
		return p, refuse("input", "input must be a string, or a list of at least one message")
	}
	for i := range items {
		if err := h.item(&items[i], field("input", i)); err != nil {
			return p, err
		}
	}
	p.messages = h.messages
	if last := h.messages[len(h.messages)-1]; last.Role == llm.Assistant && len(last.Calls) == 0 {
		p.messages, p.prefix = h.messages[:len(h.messages)-1], last.Text
	}
	if len(p.messages) == 0 && p.prefix == "" {
		return p, refuse("input", "input has no text")
	}
	return p, nil
}

// item reads an item.
func (h *history) item(item *inputItem, at string) error {
	switch {
	case item.Type == "" || item.Type == "message":
		m, err := h.message(item.Role, item.Content, at)
		if err == nil {
			h.messages = append(h.messages, m)
		}
		return err
	case item.Type == "function_call" && h.tools:
		// calls follow what the assistant said with them, and one another
		n := len(h.messages)
		if n == 0 || h.messages[n-1].Role != llm.Assistant {
			h.messages = append(h.messages, llm.Message{Role: llm.Assistant})
			n++
		}
		return h.call(&h.messages[n-1], llm.ToolCall{ID: item.CallID, Name: item.Name, Arguments: item.Arguments}, at)
	case item.Type == "function_call_output" && h.tools:
		return h.result(item.CallID, item.Output, at+".call_id", at+".output")
	}
	reads := "messages alone"
	if h.tools {
		reads = "messages, function_call and function_call_output"
	}
	return refuse(at+".type", "%s is an item of type %s; this server reads %s", at, shown(item.Type), reads)
}

// responsesCall reads the body of POST /v1/responses.
func (x *exchange) responsesCall(b *responsesBody) (*call, error) {
	m, err := x.s.find(b.Model)
	if err != nil {
		return nil, err
	}
	switch {
	case b.N != nil && *b.N != 1:
		return nil, refuse("n", "n is %d, but a response has one output", *b.N)
	case b.Text.Format.Type != "" && b.Text.Format.Type != "text":
		return nil, refuse("text.format", "text.format is %s; this model writes text alone", shown(b.Text.Format.Type))
	}
	p, err := b.prompt(m.Tools)
	if err != nil {
		return nil, err
	}
	c, err := x.asks(m, "responses", x.s.name("resp_"), &b.settings, []prompt{p}, b.MaxOutputTokens, "max_output_tokens")
	if err == nil {
		c.tellLogProbs(slices.Contains(b.Include, includeLogProbs))
	}
	return c, err
}

func (x *exchange) responses() error {
	var b responsesBody
	if err := x.body(&b); err != nil {
		return err
	}
	c, err := x.responsesCall(&b)
	if err != nil {
		return err
	}
	out, err := x.answer(c)
	if err != nil {
		return err
	}
	r := newResponse(&c.Call, &out[0])
	r.Instructions = b.Instructions
	if c.Stream {
		x.streamResponse(c, r, &out[0])
	} else {
		x.reply(r)
	}
	return nil
}

// retrieve answers GET /v1/responses/{id}.
func (x *exchange) retrieve() error {
	id := x.r.PathValue("id")
	if x.r.URL.RawQuery != "" && x.r.URL.Query().Get("stream") == "true" {
		return refuse("stream", "an answer that is asked for again is not streamed; leave stream out")
	}
	for _, m := range x.s.retrievers {
		a, c, err := m.Retrieve(x.r.Context(), id)
		if err != nil {
			f, _ := kind(x.r.Context(), err)
			if f.Status == http.StatusNotFound {
				continue
			}
			return f
		}
		if a == nil {
			continue
		}
		if c == nil {
			c = &Call{}
		}
		told := fit(*a, false)
		if told.ID == "" {
			told.ID = id
		}
		x.reply(newResponse(c, &told))
		return nil
	}
	return &Fault{Status: http.StatusNotFound, Param: "id", Message: "there is no response " + shown(id) + " here"}
}
