package api

import (
	"encoding/json"
	"strconv"
	"strings"

	"candor/openai"
	"candor/reasoning/llm"
)

// response is an answer to POST /v1/responses. Its fields are those that OpenAI's clients require; empty ones are written out.
type response struct {
	ID                string          `json:"id"`
	Object            string          `json:"object"`
	CreatedAt         int64           `json:"created_at"`
	Status            string          `json:"status"` // completed, incomplete or in_progress
	Model             string          `json:"model"`
	Instructions      *string         `json:"instructions"`
	Output            []item          `json:"output"`
	Usage             *usage          `json:"usage"`
	Error             *string         `json:"error"` // always null: errors come with a status of their own
	IncompleteDetails *incomplete     `json:"incomplete_details"`
	Temperature       float64         `json:"temperature"`
	TopP              float64         `json:"top_p"`
	ParallelToolCalls bool            `json:"parallel_tool_calls"`
	ToolChoice        any             `json:"tool_choice"`
	Tools             []responseTool  `json:"tools"`
	Metadata          json.RawMessage `json:"metadata"`
}

type incomplete struct {
	Reason string `json:"reason"`
}

type responseTool struct {
	Type        string          `json:"type"`
	Name        string          `json:"name"`
	Description string          `json:"description,omitempty"`
	Parameters  json.RawMessage `json:"parameters"` // null for a tool without any
	Strict      bool            `json:"strict"`
}

// item is an output item: a message, which has Role and Content, or a call of a tool, which has the others.
type item struct {
	ID        string  `json:"id"`
	Type      string  `json:"type"` // message or function_call
	Status    string  `json:"status"`
	Role      string  `json:"role,omitempty"`
	Content   *[]part `json:"content,omitempty"`
	CallID    string  `json:"call_id,omitempty"`
	Name      string  `json:"name,omitempty"`
	Arguments *string `json:"arguments,omitempty"`
}

// part is a message's text, which has Text, Annotations and LogProbs, or a refusal.
type part struct {
	Type        string                 `json:"type"` // output_text or refusal
	Text        *string                `json:"text,omitempty"`
	Annotations *[]struct{}            `json:"annotations,omitempty"`
	LogProbs    *[]openai.TokenLogProb `json:"logprobs,omitempty"`
	Refusal     *string                `json:"refusal,omitempty"`
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

func textPart(text string, tokens []llm.Token) part {
	logProbs := tokenLogProbs(tokens)
	return part{Type: "output_text", Text: &text, Annotations: &[]struct{}{}, LogProbs: &logProbs}
}

func refusalPart(text string) part { return part{Type: "refusal", Refusal: &text} }

// newResponse returns an answer as it is in the end.
func newResponse(c *Call, a *Answer) *response {
	r := &response{
		ID: c.ID, Object: "response", CreatedAt: c.Arrived.Unix(), Status: "completed", Model: c.Model, Output: []item{}, ParallelToolCalls: true,
		Temperature: 1, TopP: 1, ToolChoice: "auto", Tools: []responseTool{}, Metadata: json.RawMessage("{}"),
	}
	if a.ID != "" {
		r.ID = a.ID
	}
	if len(c.Requests) > 0 {
		r.echo(&c.Requests[0])
	}
	if a.Pending {
		r.Status = "in_progress"
		return r
	}
	r.Usage = &usage{InputTokens: a.PromptTokens, OutputTokens: a.CompletionTokens, TotalTokens: a.PromptTokens + a.CompletionTokens}
	said := "completed"
	switch {
	case a.Refusal != "":
		r.Status, r.IncompleteDetails = "incomplete", &incomplete{"content_filter"}
	case a.Finish == llm.FinishLength:
		r.Status, r.IncompleteDetails, said = "incomplete", &incomplete{"max_output_tokens"}, "incomplete"
	}
	r.Output = outputItems(r.ID, said, a)
	return r
}

// echo tells how it was asked.
func (r *response) echo(q *llm.Request) {
	r.Temperature = q.Temperature
	if q.TopP != 0 {
		r.TopP = q.TopP
	}
	for _, t := range q.Tools {
		r.Tools = append(r.Tools, responseTool{Type: "function", Name: t.Name, Description: t.Description, Parameters: t.Schema})
	}
	switch q.ToolChoice {
	case llm.ToolAuto:
	case llm.ToolNone, llm.ToolRequired:
		r.ToolChoice = q.ToolChoice
	default:
		r.ToolChoice = map[string]string{"type": "function", "name": q.ToolChoice}
	}
}

// outputItems are what an answer says and calls.
func outputItems(id, status string, a *Answer) []item {
	var out []item
	if a.Refusal != "" || a.Text != "" || len(a.Calls) == 0 {
		m := item{ID: "msg_" + bareID(id), Type: "message", Role: string(llm.Assistant), Status: status}
		if a.Refusal != "" {
			m.Content = &[]part{refusalPart(a.Refusal)}
		} else {
			m.Content = &[]part{textPart(a.Text, a.Tokens)}
		}
		out = append(out, m)
	}
	for k, t := range a.Calls {
		out = append(out, item{ID: "fc_" + bareID(id) + "_" + strconv.Itoa(k), Type: "function_call", Status: status, CallID: callID(t, id, 0, k), Name: t.Name, Arguments: &t.Arguments})
	}
	return out
}

// bareID is an ID without what it says of its kind.
func bareID(id string) string {
	if at := strings.LastIndexAny(id, "_-"); at >= 0 && at+1 < len(id) {
		return id[at+1:]
	}
	return id
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
	Refusal      *string                `json:"refusal,omitempty"`
	Name         string                 `json:"name,omitempty"`
	Arguments    *string                `json:"arguments,omitempty"`
	LogProbs     *[]openai.TokenLogProb `json:"logprobs,omitempty"`
}

// responseStream is a streamed response; its event is reused.
type responseStream struct {
	*events
	event event
	next  int // sequence_number
}

func (s *responseStream) send(kind string, v event) {
	v.Type, v.Sequence = kind, s.next
	s.next++
	s.event = v
	s.events.send(kind, &s.event)
}

// streamResponse writes the events of a response, each part of it as it was when it began and as it is in the end. One that waits for a
// person ends with response.in_progress.
func (x *exchange) streamResponse(c *call, ended *response, a *Answer) {
	s := responseStream{events: x.events(c)}
	defer s.end()
	begun := *ended
	begun.Status, begun.Output, begun.Usage, begun.IncompleteDetails = "in_progress", []item{}, nil, nil
	s.send("response.created", event{Response: &begun})
	s.send("response.in_progress", event{Response: &begun})
	if a.Pending {
		return
	}
	for i := range ended.Output {
		if done := &ended.Output[i]; done.Type == "message" {
			s.message(i, done, a)
		} else {
			s.call(i, done)
		}
	}
	s.send("response."+ended.Status, event{Response: ended})
}

// message writes output item i.
func (s *responseStream) message(i int, done *item, a *Answer) {
	added := *done
	added.Status, added.Content = "in_progress", &[]part{}
	at, whole := new(int), &(*done.Content)[0]
	empty := textPart("", nil)
	if a.Refusal != "" {
		empty = refusalPart("")
	}
	s.send("response.output_item.added", event{OutputIndex: &i, Item: &added})
	s.send("response.content_part.added", event{OutputIndex: &i, ContentIndex: at, ItemID: done.ID, Part: &empty})
	if a.Refusal != "" {
		s.send("response.refusal.delta", event{OutputIndex: &i, ContentIndex: at, ItemID: done.ID, Delta: &a.Refusal})
		s.send("response.refusal.done", event{OutputIndex: &i, ContentIndex: at, ItemID: done.ID, Refusal: &a.Refusal})
	} else {
		for p := range pieces(&a.Completion) {
			tokens := tokenLogProbs(p.tokens)
			s.send("response.output_text.delta", event{OutputIndex: &i, ContentIndex: at, ItemID: done.ID, Delta: &p.text, LogProbs: &tokens})
		}
		s.send("response.output_text.done", event{OutputIndex: &i, ContentIndex: at, ItemID: done.ID, Text: whole.Text, LogProbs: whole.LogProbs})
	}
	s.send("response.content_part.done", event{OutputIndex: &i, ContentIndex: at, ItemID: done.ID, Part: whole})
	s.send("response.output_item.done", event{OutputIndex: &i, Item: done})
}

// call writes output item i.
func (s *responseStream) call(i int, done *item) {
	added, none := *done, ""
	added.Status, added.Arguments = "in_progress", &none
	s.send("response.output_item.added", event{OutputIndex: &i, Item: &added})
	s.send("response.function_call_arguments.delta", event{OutputIndex: &i, ItemID: done.ID, Delta: done.Arguments})
	s.send("response.function_call_arguments.done", event{OutputIndex: &i, ItemID: done.ID, Name: done.Name, Arguments: done.Arguments})
	s.send("response.output_item.done", event{OutputIndex: &i, Item: done})
}
