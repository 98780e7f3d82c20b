package openai

import (
	"cmp"
	"context"
	"net/http"
	"strings"
)

// Respond asks for a response; see [Client.Chat] for streams and errors.
func (c *Client) Respond(ctx context.Context, r ResponseRequest) (*Response, error) {
	var out *Response
	err := c.do(ctx, http.MethodPost, "responses", r, func(k *call) (err error) {
		if k.isStream() {
			out, err = k.responseStream()
			return err
		}
		data, err := k.whole()
		if err != nil {
			return err
		}
		out = &Response{}
		err = k.decode(data, out)
		switch {
		case isErrorObject(out.Object), isSet(out.Error) && out.Status != "failed":
			return k.toldError(ErrorIn200, data)
		case err != nil:
			return err
		case out.Output == nil && out.Object != "response" && out.Status != "failed":
			return k.fault(NotAnAnswer, "the answer is JSON, but no response; %s", k.quote(data))
		}
		return k.responded(out, ErrorIn200)
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// responded returns an error where a response is whole but no answer; failure is the outcome of one that says that it failed.
func (k *call) responded(r *Response, failure Outcome) error {
	switch {
	case r.Status == "failed" || isSet(r.Error):
		data, _ := plainJSON(map[string]any{"error": r.Error})
		return k.toldError(failure, data)
	case r.Status == "cancelled":
		return transient(k.fault(Aborted, "the server gave the answer up (status cancelled)"))
	case r.Status == "incomplete" && r.IncompleteDetails != nil && r.IncompleteDetails.Reason == "content_filter":
		return k.fault(ContentFilter, "the provider's filter held the answer back (incomplete because of content_filter)")
	case r.Status == "queued" || r.Status == "in_progress":
		return transient(k.fault(Aborted, "the server sent an answer that it was still working at (status %s)", r.Status))
	case len(r.Output) == 0:
		return transient(k.fault(EmptyChoices, "the answer holds no output"))
	}
	return nil
}

// responseStream reads a streamed response. The event that ends it holds all of it; where a server leaves the output out of that,
// the finished items count, and where there are none, the pieces.
func (k *call) responseStream() (*Response, error) {
	var out *Response
	var all responseCollector
	end, err := k.events(func(e Event) error {
		var v ResponseEvent
		if err := k.decode(e.Data, &v); err != nil {
			return err
		}
		switch v.Type {
		case "response.completed", "response.incomplete", "response.failed", "response.cancelled":
			if v.Response == nil {
				v.Response = &Response{}
			}
			out = v.Response
			out.Status = cmp.Or(out.Status, strings.TrimPrefix(v.Type, "response."))
			return errLast
		}
		if !all.add(&v) {
			return k.broke(TornStream, errTooLarge)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if out == nil {
		return nil, k.cutShort(end, all.size)
	}
	if len(out.Output) == 0 {
		out.Output = all.items()
	}
	return out, k.responded(out, ErrorInStream)
}

// responseCollector assembles the items of a stream.
type responseCollector struct {
	parts []*itemCollector
	size  int
}

type itemCollector struct {
	done                  *ResponseItem
	text, summary, raw    strings.Builder
	hasText, hasReasoning bool
	call                  *ResponseItem // as it began
	arguments             strings.Builder
	part                  int // of the summary
	logProbs              []TokenLogProb
}

// add adds an event. It reports false where the response has grown too large to keep.
func (c *responseCollector) add(v *ResponseEvent) bool {
	if v.OutputIndex < 0 || v.OutputIndex > maxChoices {
		return false
	}
	for len(c.parts) <= v.OutputIndex {
		c.parts = append(c.parts, &itemCollector{})
	}
	p := c.parts[v.OutputIndex]
	switch v.Type {
	case "response.output_item.done":
		p.done = v.Item
	case "response.output_item.added":
		if v.Item != nil && v.Item.Type == "function_call" {
			p.call = v.Item
		}
	case "response.function_call_arguments.delta":
		p.arguments.WriteString(v.Delta)
	case "response.output_text.delta", "response.refusal.delta":
		p.text.WriteString(v.Delta)
		p.logProbs = append(p.logProbs, v.LogProbs...)
		p.hasText = true
	case "response.reasoning_text.delta":
		p.raw.WriteString(v.Delta)
		p.hasReasoning = true
	case "response.reasoning_summary_text.delta":
		if v.SummaryIndex != p.part {
			p.summary.WriteString("\n\n")
			p.part = v.SummaryIndex
		}
		p.summary.WriteString(v.Delta)
		p.hasReasoning = true
	}
	c.size += len(v.Delta) + 100*len(v.LogProbs)
	return c.size <= maxEvent
}

func (c *responseCollector) items() []ResponseItem {
	var out []ResponseItem
	for _, p := range c.parts {
		switch {
		case p.done != nil:
			out = append(out, *p.done)
		case p.call != nil:
			item, arguments := *p.call, p.arguments.String()
			item.Arguments = &arguments
			out = append(out, item)
		case p.hasReasoning:
			item := ResponseItem{Type: "reasoning"}
			if p.raw.Len() > 0 {
				item.Content = []ResponsePart{{Type: "reasoning_text", Text: p.raw.String()}}
			}
			if p.summary.Len() > 0 {
				item.Summary = []ResponsePart{{Type: "summary_text", Text: p.summary.String()}}
			}
			out = append(out, item)
		case p.hasText:
			out = append(out, ResponseItem{Type: "message", Role: "assistant", Content: []ResponsePart{{Type: "output_text", Text: p.text.String(), LogProbs: p.logProbs}}})
		}
	}
	return out
}
