package api

import (
	"encoding/json"
	"net/http"
	"slices"

	"candor/openai"
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

// prompt reads instructions and input.
func (b *responsesBody) prompt() (prompt, error) {
	var p prompt
	if b.Instructions != nil && *b.Instructions != "" {
		p.messages = append(p.messages, llm.Message{Role: llm.System, Text: *b.Instructions})
	}
	var text string
	if !absent(b.Input) && json.Unmarshal(b.Input, &text) == nil {
		p.messages = append(p.messages, llm.Message{Role: llm.User, Text: text})
		return p, nil
	}
	var items []struct {
		Type    string          `json:"type"`
		Role    string          `json:"role"`
		Content json.RawMessage `json:"content"`
	}
	if absent(b.Input) || json.Unmarshal(b.Input, &items) != nil || len(items) == 0 {
		return p, refuse("input", "input must be a string, or a list of at least one message")
	}
	for i, item := range items {
		at := field("input", i)
		if item.Type != "" && item.Type != "message" {
			return p, refuse(at+".type", "%s is an item of type %s; this server reads messages alone", at, shown(item.Type))
		}
		m, err := message(item.Role, item.Content, at)
		if err != nil {
			return p, err
		}
		if i == len(items)-1 && m.Role == llm.Assistant {
			p.prefix = m.Text
		} else {
			p.messages = append(p.messages, m)
		}
	}
	return p, nil
}

// responsesCall reads the body of POST /v1/responses.
func (s *Server) responsesCall(id string, b *responsesBody) (*call, error) {
	if err := s.known(b.Model); err != nil {
		return nil, err
	}
	switch {
	case b.N != nil && *b.N != 1:
		return nil, refuse("n", "n is %d, but a response has one output", *b.N)
	case b.Text.Format.Type != "" && b.Text.Format.Type != "text":
		return nil, refuse("text.format", "text.format is %s; this model writes text alone", shown(b.Text.Format.Type))
	}
	p, err := b.prompt()
	if err != nil {
		return nil, err
	}
	c, err := s.call(id, &b.settings, []prompt{p}, b.MaxOutputTokens, "max_output_tokens")
	if err == nil {
		c.logProbs = slices.Contains(b.Include, includeLogProbs)
	}
	return c, err
}

// response is the answer. Its fields are those that OpenAI's clients require; empty ones are written out.
type response struct {
	ID                string          `json:"id"`
	Object            string          `json:"object"`
	CreatedAt         int64           `json:"created_at"`
	Status            string          `json:"status"`
	Model             string          `json:"model"`
	Instructions      *string         `json:"instructions"`
	Output            []item          `json:"output"`
	Usage             *usage          `json:"usage"`
	Error             *string         `json:"error"` // always null: errors come with a status of their own
	IncompleteDetails *incomplete     `json:"incomplete_details"`
	Temperature       float64         `json:"temperature"`
	TopP              float64         `json:"top_p"`
	ParallelToolCalls bool            `json:"parallel_tool_calls"`
	ToolChoice        string          `json:"tool_choice"`
	Tools             []struct{}      `json:"tools"`
	Metadata          json.RawMessage `json:"metadata"`
}

type incomplete struct {
	Reason string `json:"reason"`
}

// item is an output item, a message.
type item struct {
	ID      string `json:"id"`
	Type    string `json:"type"`
	Role    string `json:"role"`
	Status  string `json:"status"`
	Content []part `json:"content"`
}

// part is a message's text.
type part struct {
	Type        string                `json:"type"`
	Text        string                `json:"text"`
	Annotations []struct{}            `json:"annotations"`
	LogProbs    []openai.TokenLogProb `json:"logprobs"`
}

type usage struct {
	InputTokens        int `json:"input_tokens"`
	InputTokensDetails struct {
		CachedTokens int `json:"cached_tokens"`
	} `json:"input_tokens_details"`
	OutputTokens        int `json:"output_tokens"`
	OutputTokensDetails struct {
		ReasoningTokens int `json:"reasoning_tokens"`
	} `json:"output_tokens_details"`
	TotalTokens int `json:"total_tokens"`
}

// event is one event of a stream; which fields it has depends on its type.
type event struct {
	Type         string                 `json:"type"`
	Sequence     int                    `json:"sequence_number"`
	Response     *response              `json:"response,omitempty"`
	OutputIndex  *int                   `json:"output_index,omitempty"`
	Item         *item                  `json:"item,omitempty"`
	ItemID       string                 `json:"item_id,omitempty"`
	ContentIndex *int                   `json:"content_index,omitempty"`
	Part         *part                  `json:"part,omitempty"`
	Delta        *string                `json:"delta,omitempty"`
	Text         *string                `json:"text,omitempty"`
	LogProbs     *[]openai.TokenLogProb `json:"logprobs,omitempty"`
}

func textPart(text string, tokens []llm.Token) part {
	return part{Type: "output_text", Text: text, Annotations: []struct{}{}, LogProbs: tokenLogProbs(tokens)}
}

func (s *Server) responses(w http.ResponseWriter, r *http.Request) error {
	var b responsesBody
	if err := s.body(w, r, &b); err != nil {
		return err
	}
	c, err := s.responsesCall(s.name("resp"), &b)
	if err != nil {
		return err
	}
	out, err := s.generate(r, c)
	if err != nil {
		return err
	}
	o, first := out[0], c.requests[0]
	begun := response{
		ID: c.id, Object: "response", CreatedAt: s.Clock().Unix(), Status: "in_progress", Model: s.Name, Instructions: b.Instructions,
		Output: []item{}, Temperature: first.Temperature, TopP: first.TopP, ToolChoice: "auto", Tools: []struct{}{}, Metadata: json.RawMessage("{}"),
	}
	if begun.TopP == 0 {
		begun.TopP = 1
	}
	message := item{ID: s.name("msg"), Type: "message", Role: string(llm.Assistant), Status: "in_progress", Content: []part{}}
	ended, said := begun, message
	ended.Status, said.Status = "completed", "completed"
	if o.Finish == llm.FinishLength {
		ended.Status, said.Status, ended.IncompleteDetails = "incomplete", "incomplete", &incomplete{"max_output_tokens"}
	}
	said.Content = []part{textPart(o.Text, o.Tokens)}
	ended.Output, ended.Usage = []item{said}, &usage{InputTokens: o.PromptTokens, OutputTokens: o.CompletionTokens, TotalTokens: o.PromptTokens + o.CompletionTokens}
	if c.stream {
		streamResponse(s.stream(w), o, begun, ended, message, said)
	} else {
		s.reply(w, ended)
	}
	return nil
}

// streamResponse writes the events of a response with one message, each as it was when it begun and as it is in the end.
func streamResponse(e *events, o llm.Completion, begun, ended response, message, said item) {
	sequence, at := 0, new(int)
	send := func(kind string, v event) {
		v.Type, v.Sequence = kind, sequence
		sequence++
		e.send(kind, v)
	}
	empty, whole := textPart("", nil), said.Content[0]
	send("response.created", event{Response: &begun})
	send("response.in_progress", event{Response: &begun})
	send("response.output_item.added", event{OutputIndex: at, Item: &message})
	send("response.content_part.added", event{OutputIndex: at, ContentIndex: at, ItemID: said.ID, Part: &empty})
	for _, p := range pieces(o) {
		tokens := tokenLogProbs(p.tokens)
		send("response.output_text.delta", event{OutputIndex: at, ContentIndex: at, ItemID: said.ID, Delta: &p.text, LogProbs: &tokens})
	}
	send("response.output_text.done", event{OutputIndex: at, ContentIndex: at, ItemID: said.ID, Text: &whole.Text, LogProbs: &whole.LogProbs})
	send("response.content_part.done", event{OutputIndex: at, ContentIndex: at, ItemID: said.ID, Part: &whole})
	send("response.output_item.done", event{OutputIndex: at, Item: &said})
	send("response."+ended.Status, event{Response: &ended})
}
