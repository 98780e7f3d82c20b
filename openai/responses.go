package openai

import (
	"encoding/json"
	"strings"
)

// ResponseRequest is the body of POST /responses.
type ResponseRequest struct {
	Model           string             `json:"model"`
	Input           []ResponseItem     `json:"input"`
	Instructions    string             `json:"instructions,omitempty"`
	MaxOutputTokens int                `json:"max_output_tokens,omitempty"`
	Temperature     *float64           `json:"temperature,omitempty"`
	TopP            *float64           `json:"top_p,omitempty"`
	TopLogProbs     int                `json:"top_logprobs,omitempty"`
	Stream          bool               `json:"stream,omitempty"`
	Reasoning       *ResponseReasoning `json:"reasoning,omitempty"`
	Include         []string           `json:"include,omitempty"` // reasoning.encrypted_content, message.output_text.logprobs
	Store           *bool              `json:"store,omitempty"`
	Tools           json.RawMessage    `json:"tools,omitempty"`
	ToolChoice      json.RawMessage    `json:"tool_choice,omitempty"`
}

// ResponseReasoning says how a model is to think, and what of it is to be told.
type ResponseReasoning struct {
	Effort  string `json:"effort,omitempty"`  // minimal, low, medium, high
	Summary string `json:"summary,omitempty"` // auto, concise, detailed
}

// ResponseItem is one item of what was asked or answered: a message, thoughts (type reasoning), or a call of a tool.
type ResponseItem struct {
	Type   string `json:"type,omitempty"` // message, reasoning, function_call, function_call_output, ...
	ID     string `json:"id,omitempty"`
	Role   string `json:"role,omitempty"`
	Status string `json:"status,omitempty"`
	// Content holds a message's texts, or raw thoughts (gpt-oss at vLLM, LM Studio and Ollama).
	Content []ResponsePart `json:"content,omitempty"`
	// Summary is the provider's account of thoughts, EncryptedContent the thoughts under a key that only the provider has.
	Summary          []ResponsePart `json:"summary,omitempty"`
	EncryptedContent *string        `json:"encrypted_content,omitempty"`
	// CallID names a call, Name is the tool that it calls with Arguments, and Output what the tool returned.
	CallID    string  `json:"call_id,omitempty"`
	Name      string  `json:"name,omitempty"`
	Arguments *string `json:"arguments,omitempty"`
	Output    *string `json:"output,omitempty"`
}

// ResponsePart is a piece of an item.
type ResponsePart struct {
	Type     string         `json:"type"` // input_text, output_text, refusal, summary_text, reasoning_text
	Text     string         `json:"text,omitempty"`
	Refusal  string         `json:"refusal,omitempty"`
	LogProbs []TokenLogProb `json:"logprobs,omitempty"`
}

// UnmarshalJSON implements json.Unmarshaler: content may be a string.
func (i *ResponseItem) UnmarshalJSON(data []byte) error {
	type plain ResponseItem
	v := struct {
		*plain
		Content   json.RawMessage `json:"content"`
		Name      json.RawMessage `json:"name"`
		CallID    json.RawMessage `json:"call_id"`
		Arguments json.RawMessage `json:"arguments"`
		Output    json.RawMessage `json:"output"`
	}{plain: (*plain)(i)}
	*i = ResponseItem{}
	if err := json.Unmarshal(data, &v); err != nil {
		return err
	}
	if i.Type == "function_call" || i.Type == "function_call_output" { // what such fields hold elsewhere is of no use here
		i.Name, i.CallID = textOf(v.Name), textOf(v.CallID)
		for _, f := range []struct {
			raw  json.RawMessage
			into **string
		}{{v.Arguments, &i.Arguments}, {v.Output, &i.Output}} {
			if len(f.raw) > 0 {
				text := textOf(f.raw)
				*f.into = &text
			}
		}
	}
	switch {
	case len(v.Content) == 0 || string(v.Content) == "null":
		return nil
	case v.Content[0] == '"':
		i.Content = []ResponsePart{{Type: "output_text"}}
		return json.Unmarshal(v.Content, &i.Content[0].Text)
	}
	return json.Unmarshal(v.Content, &i.Content)
}

// joined returns the texts of parts with sep between them, refusals included.
func joined(parts []ResponsePart, sep string) string {
	var texts []string
	for _, p := range parts {
		texts = append(texts, p.Text+p.Refusal)
	}
	return strings.Join(texts, sep)
}

// Response is the answer to a ResponseRequest.
type Response struct {
	ID                string          `json:"id"`
	Object            string          `json:"object"` // response
	CreatedAt         float64         `json:"created_at"`
	Model             string          `json:"model"`
	Status            string          `json:"status"` // completed, incomplete, failed, cancelled, in_progress
	Output            []ResponseItem  `json:"output"`
	IncompleteDetails *Incomplete     `json:"incomplete_details,omitempty"`
	Usage             *ResponseUsage  `json:"usage,omitempty"`
	Error             json.RawMessage `json:"error,omitempty"`
}

// Incomplete says why an answer ended early.
type Incomplete struct {
	Reason string `json:"reason"` // max_output_tokens, content_filter
}

// ResponseUsage counts tokens. Thoughts are part of OutputTokens.
type ResponseUsage struct {
	InputTokens         int                `json:"input_tokens"`
	OutputTokens        int                `json:"output_tokens"`
	TotalTokens         int                `json:"total_tokens"`
	OutputTokensDetails *CompletionDetails `json:"output_tokens_details,omitempty"`
}

// ResponseEvent is one event of a streamed response. Which fields are there depends on Type.
type ResponseEvent struct {
	Type         string         `json:"type"`
	Response     *Response      `json:"response,omitempty"`
	Item         *ResponseItem  `json:"item,omitempty"`
	OutputIndex  int            `json:"output_index"`
	ContentIndex int            `json:"content_index"`
	SummaryIndex int            `json:"summary_index"`
	Delta        string         `json:"delta,omitempty"`
	LogProbs     []TokenLogProb `json:"logprobs,omitempty"`
	// Error, Code and Message are those of an event of type error.
	Error   json.RawMessage `json:"error,omitempty"`
	Code    any             `json:"code,omitempty"`
	Message string          `json:"message,omitempty"`
}
