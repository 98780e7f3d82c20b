package openai

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
)

// Chat asks for a chat completion. A stream, whether it was asked for or not, is collected into one answer. The error is an
// [*Error], wrapped in an *llm.TransientError if the same request may fare better later, or wraps that of ctx.
func (c *Client) Chat(ctx context.Context, r ChatRequest) (*ChatResponse, error) {
	return c.chat(ctx, r, nil)
}

// ChatStream asks for a streamed chat completion, hands each chunk to each as it arrives, and returns what they assemble to. An
// error of each ends the call and is returned as it is. Chunks that were handed on before an error are no answer.
func (c *Client) ChatStream(ctx context.Context, r ChatRequest, each func(*ChatChunk) error) (*ChatResponse, error) {
	r.Stream = true
	return c.chat(ctx, r, each)
}

func (c *Client) chat(ctx context.Context, r ChatRequest, each func(*ChatChunk) error) (*ChatResponse, error) {
	if r.Stream && r.StreamOptions == nil {
		r.StreamOptions = &StreamOptions{IncludeUsage: true}
	}
	var out *ChatResponse
	err := c.do(ctx, http.MethodPost, "chat/completions", r, func(k *call) (err error) {
		if k.isStream() {
			out, err = k.chatStream(each)
			return err
		}
		if out, err = k.chatWhole(); err == nil && each != nil {
			return each(out.chunk())
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// chatWhole reads an answer in one piece.
func (k *call) chatWhole() (*ChatResponse, error) {
	data, err := k.whole()
	if err != nil {
		return nil, err
	}
	r := &ChatResponse{}
	if err := k.decode(data, r); err != nil {
		if t, ok := readError(data); ok && t.message != "" {
			return nil, k.toldError(ErrorIn200, data)
		}
		return nil, err
	}
	switch {
	case isSet(r.Error) || isErrorObject(r.Object):
		return nil, k.toldError(ErrorIn200, data)
	case r.Choices == nil && r.ID == "" && r.Object == "":
		if t, ok := readError(data); ok && t.message != "" {
			return nil, k.toldError(ErrorIn200, data)
		}
		return nil, k.fault(NotAnAnswer, "the answer is JSON, but no chat completion; %s", k.quote(data))
	case len(r.Choices) == 0:
		return nil, transient(k.fault(EmptyChoices, "the answer holds no choices; %s", k.quote(data)))
	}
	return r, k.ended(r.Choices[0].FinishReason)
}

// isSet tells whether a JSON field holds something.
func isSet(raw json.RawMessage) bool {
	switch string(raw) {
	case "", "null", `""`, "false", "{}", "[]":
		return false
	}
	return true
}

// ended returns an error where a finish_reason says that there is no answer.
func (k *call) ended(reason string) error {
	switch reason {
	case "content_filter", "content-filter", "safety", "SAFETY", "RECITATION":
		return k.fault(ContentFilter, "the provider's filter held the answer back (finish_reason %s)", spell(reason))
	case "error", "abort", "aborted", "cancelled", "insufficient_system_resource":
		return transient(k.fault(Aborted, "the server gave the answer up (finish_reason %s)", spell(reason)))
	}
	return nil
}

// chunk returns a whole answer as the only chunk of a stream.
func (r *ChatResponse) chunk() *ChatChunk {
	out := &ChatChunk{ID: r.ID, Object: "chat.completion.chunk", Created: r.Created, Model: r.Model, SystemFingerprint: r.SystemFingerprint, Usage: r.Usage}
	for _, c := range r.Choices {
		m := c.Message
		d := ChatDelta{Role: m.Role, Content: &m.Content, Reasoning: m.Reasoning, ReasoningContent: m.ReasoningContent,
			ReasoningDetails: m.ReasoningDetails, Refusal: m.Refusal, ToolCalls: m.ToolCalls}
		finish := cmp.Or(c.FinishReason, "stop")
		out.Choices = append(out.Choices, ChatChunkChoice{Index: c.Index, Delta: d, LogProbs: c.LogProbs, FinishReason: &finish, Stopped: c.Stopped})
	}
	return out
}

// ChatCollector assembles the chunks of a stream into one answer. The zero value is empty.
type ChatCollector struct {
	head    ChatResponse
	choices map[int]*choiceCollector
	size    int64
}

// maxChoices bounds the choices of one answer.
const maxChoices = 1024

// choiceCollector assembles one choice.
type choiceCollector struct {
	role                                                      string
	content, thinking, reasoning, reasoningContent, refusal   strings.Builder
	hasContent, hasReasoning, hasReasoningContent, hasRefusal bool
	tools                                                     callCollector
	details                                                   []ReasoningDetail
	logProbs                                                  *ChatLogProbs
	finish                                                    string
	stopped                                                   Stopped
	began, late                                               bool
}

// Add adds a chunk. It reports false where the answer has grown too large to keep.
func (c *ChatCollector) Add(chunk *ChatChunk) bool {
	h := &c.head
	h.ID, h.Model = cmp.Or(h.ID, chunk.ID), cmp.Or(h.Model, chunk.Model)
	h.Created, h.SystemFingerprint = cmp.Or(h.Created, chunk.Created), cmp.Or(h.SystemFingerprint, chunk.SystemFingerprint)
	if chunk.Usage != nil {
		h.Usage = chunk.Usage
	}
	for i := range chunk.Choices {
		choice := &chunk.Choices[i]
		one := c.choices[choice.Index]
		if one == nil {
			if len(c.choices) == maxChoices {
				return false
			}
			if c.choices == nil {
				c.choices = map[int]*choiceCollector{}
			}
			one = &choiceCollector{}
			c.choices[choice.Index] = one
		}
		grown, ok := one.add(choice)
		if c.size += grown; !ok {
			return false
		}
	}
	return c.size <= maxEvent
}

// add adds a piece. It returns by how many bytes the choice grew, and false where it holds too much.
func (c *choiceCollector) add(p *ChatChunkChoice) (grown int64, ok bool) {
	d := &p.Delta
	c.role = cmp.Or(c.role, d.Role)
	put := func(b *strings.Builder, has *bool, s *string) {
		if s != nil {
			b.WriteString(*s)
			*has = true
			grown += int64(len(*s))
		}
	}
	thought := func(s *string) {
		c.late = c.late || c.began && s != nil && strings.TrimSpace(*s) != ""
	}
	thought(d.Reasoning)
	thought(d.ReasoningContent)
	put(&c.reasoning, &c.hasReasoning, d.Reasoning)
	put(&c.reasoningContent, &c.hasReasoningContent, d.ReasoningContent)
	put(&c.refusal, &c.hasRefusal, d.Refusal)
	for _, detail := range d.ReasoningDetails {
		thought(&detail.Text)
		c.details = addDetail(c.details, detail)
		grown += int64(len(detail.Text) + len(detail.Summary) + len(detail.Data) + 100)
	}
	if d.Content != nil && !d.Content.Null {
		thought(&d.Content.Thinking)
		c.thinking.WriteString(d.Content.Thinking)
		put(&c.content, &c.hasContent, &d.Content.Text)
		grown += int64(len(d.Content.Thinking))
		c.began = c.began || strings.TrimSpace(d.Content.Text) != ""
	}
	called, ok := c.tools.add(d.ToolCalls)
	grown += called
	if p.LogProbs != nil {
		if c.logProbs == nil {
			c.logProbs = &ChatLogProbs{}
		}
		c.logProbs.Content = append(c.logProbs.Content, p.LogProbs.Content...)
		c.logProbs.ReasoningContent = append(c.logProbs.ReasoningContent, p.LogProbs.ReasoningContent...)
		grown += int64(100 * (len(p.LogProbs.Content) + len(p.LogProbs.ReasoningContent)))
	}
	if p.FinishReason != nil && *p.FinishReason != "" {
		c.finish = *p.FinishReason
	}
	if isSet(p.StopReason) || isSet(p.MatchedStop) {
		c.stopped = p.Stopped
	}
	return grown, ok
}

// addDetail adds a piece to the part that it belongs to: one of the same type and index as the last.
func addDetail(details []ReasoningDetail, d ReasoningDetail) []ReasoningDetail {
	if n := len(details); n > 0 && details[n-1].Type == d.Type && details[n-1].Index == d.Index {
		last := &details[n-1]
		last.Text += d.Text
		last.Summary += d.Summary
		last.Data += d.Data
		last.Signature, last.ID, last.Format = cmp.Or(last.Signature, d.Signature), cmp.Or(last.ID, d.ID), cmp.Or(last.Format, d.Format)
		return details
	}
	return append(details, d)
}

// Finished tells whether there are choices, and each has said why it ended.
func (c *ChatCollector) Finished() bool {
	for _, one := range c.choices {
		if one.finish == "" {
			return false
		}
	}
	return len(c.choices) > 0
}

// Response returns the answer that the chunks so far make, its choices in the order of their indices.
func (c *ChatCollector) Response() *ChatResponse {
	r := c.head
	r.Object, r.Choices = "chat.completion", []ChatChoice{}
	for index, one := range c.choices {
		m := ChatMessage{
			Role:             cmp.Or(one.role, "assistant"),
			Content:          Content{Text: one.content.String(), Thinking: one.thinking.String(), Null: !one.hasContent},
			ReasoningDetails: one.details,
		}
		text := func(b *strings.Builder, has bool) *string {
			if !has {
				return nil
			}
			s := b.String()
			return &s
		}
		m.Reasoning = text(&one.reasoning, one.hasReasoning)
		m.ReasoningContent = text(&one.reasoningContent, one.hasReasoningContent)
		m.Refusal = text(&one.refusal, one.hasRefusal)
		m.ToolCalls = one.tools.raw()
		r.Choices = append(r.Choices, ChatChoice{Index: index, Message: m, LogProbs: one.logProbs, FinishReason: one.finish, Stopped: one.stopped, Late: one.late})
	}
	slices.SortFunc(r.Choices, func(a, b ChatChoice) int { return cmp.Compare(a.Index, b.Index) })
	return &r
}
