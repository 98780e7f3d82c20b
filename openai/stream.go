package openai

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
)

// errLast is returned by the reader of an event that ends its stream.
var errLast = errors.New("the last event")

// ending is how a stream ended: marked, by [DONE] or an event that says so; or else by an error of the connection, nil if it was
// closed properly.
type ending struct {
	marked bool
	torn   error
}

// events hands each event to each until one is the last. An event that tells of an error becomes one; one that is not JSON is
// an error, unless the end of the stream cut it short.
func (k *call) events(each func(Event) error) (ending, error) {
	r := NewEventReader(k.body)
	for {
		e, err := r.Next()
		if err == io.EOF {
			return ending{}, nil
		}
		if err != nil {
			if gone := k.gaveUp(); gone != nil || errors.Is(err, errTooLarge) || isTimeout(err) {
				return ending{}, k.broke(TornStream, err)
			}
			return ending{torn: err}, nil
		}
		data := bytes.TrimSpace(e.Data)
		switch {
		case len(data) == 0:
			continue
		case string(data) == "[DONE]":
			return ending{marked: true}, nil
		case !json.Valid(data):
			if e.Partial {
				continue
			}
			return ending{}, k.fault(NotJSON, "an event of the stream is not JSON; %s", k.quote(data))
		case e.Type == "error" || isErrorEvent(data):
			return ending{}, k.toldError(ErrorInStream, data)
		}
		e.Data = data
		if err := each(e); errors.Is(err, errLast) {
			return ending{marked: true}, nil
		} else if err != nil {
			return ending{}, err
		}
	}
}

// isErrorEvent tells events that hold an error by their fields.
func isErrorEvent(data []byte) bool {
	if !bytes.Contains(data, []byte(`error`)) {
		return false
	}
	var e struct {
		Error  json.RawMessage `json:"error"`
		Object json.RawMessage `json:"object"`
		Type   json.RawMessage `json:"type"`
	}
	return json.Unmarshal(data, &e) == nil && (isSet(e.Error) || string(e.Object) == `"error"` || string(e.Type) == `"error"`)
}

// cutShort says why a stream that ended without any sign that the answer in it had is none.
func (k *call) cutShort(end ending, size int) error {
	if end.torn != nil {
		return k.broke(TornStream, end.torn)
	}
	return transient(k.fault(NoEndMarker, "the stream ended after %d bytes of text without an end marker or a reason why it finished: the answer is not whole", size))
}

func (k *call) chatStream(each func(*ChatChunk) error) (*ChatResponse, error) {
	var all ChatCollector
	end, err := k.events(func(e Event) error {
		chunk := &ChatChunk{}
		if err := k.decode(e.Data, chunk); err != nil {
			return err
		}
		if !all.Add(chunk) {
			return k.broke(TornStream, errTooLarge)
		}
		if each != nil {
			return each(chunk)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	r := all.Response()
	switch {
	case len(r.Choices) == 0 && end.marked:
		return nil, transient(k.fault(EmptyChoices, "the stream ended without any choice in it"))
	case len(r.Choices) == 0:
		return nil, k.cutShort(end, 0)
	case !end.marked && !all.Finished():
		return nil, k.cutShort(end, len(r.Choices[0].Message.Content.Text))
	}
	if err := k.ended(r.Choices[0].FinishReason); err != nil {
		return nil, err
	}
	return r, nil
}

// Complete asks for a completion of a prompt as it is; see [Client.Chat] for streams and errors.
func (c *Client) Complete(ctx context.Context, r CompletionRequest) (*CompletionResponse, error) {
	if r.Stream && r.StreamOptions == nil {
		r.StreamOptions = &StreamOptions{IncludeUsage: true}
	}
	var out *CompletionResponse
	err := c.do(ctx, http.MethodPost, "completions", r, func(k *call) (err error) {
		if k.isStream() {
			out, err = k.completionStream()
		} else {
			out, err = k.completionWhole()
		}
		if err == nil {
			err = k.ended(out.Choices[0].FinishReason)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

func (k *call) completionWhole() (*CompletionResponse, error) {
	data, err := k.whole()
	if err != nil {
		return nil, err
	}
	r := &CompletionResponse{}
	err = k.decode(data, r)
	switch {
	case isSet(r.Error) || isErrorObject(r.Object):
		return nil, k.toldError(ErrorIn200, data)
	case err != nil:
		return nil, err
	case r.Choices == nil:
		return nil, k.fault(NotAnAnswer, "the answer is JSON, but no completion; %s", k.quote(data))
	case len(r.Choices) == 0:
		return nil, transient(k.fault(EmptyChoices, "the answer holds no choices; %s", k.quote(data)))
	}
	return r, nil
}

func (k *call) completionStream() (*CompletionResponse, error) {
	all := &CompletionResponse{Object: "text_completion"}
	one, seen := CompletionChoice{}, false
	var text strings.Builder
	end, err := k.events(func(e Event) error {
		var piece CompletionResponse
		if err := k.decode(e.Data, &piece); err != nil {
			return err
		}
		all.ID, all.Model, all.Created = cmp.Or(all.ID, piece.ID), cmp.Or(all.Model, piece.Model), cmp.Or(all.Created, piece.Created)
		if piece.Usage != nil {
			all.Usage = piece.Usage
		}
		for _, c := range piece.Choices {
			if c.Index != 0 {
				continue // Complete never asks for more than one
			}
			seen = true
			text.WriteString(c.Text)
			one.FinishReason = cmp.Or(c.FinishReason, one.FinishReason)
			one.LogProbs = one.LogProbs.join(c.LogProbs)
			if isSet(c.StopReason) || isSet(c.MatchedStop) {
				one.Stopped = c.Stopped
			}
		}
		if text.Len() > maxEvent {
			return k.broke(TornStream, errTooLarge)
		}
		return nil
	})
	switch {
	case err != nil:
		return nil, err
	case !seen && end.marked:
		return nil, transient(k.fault(EmptyChoices, "the stream ended without any choice in it"))
	case !end.marked && one.FinishReason == "":
		return nil, k.cutShort(end, text.Len())
	}
	one.Text = text.String()
	all.Choices = []CompletionChoice{one}
	return all, nil
}

// join appends what a piece of a stream tells.
func (l *CompletionLogProbs) join(piece *CompletionLogProbs) *CompletionLogProbs {
	if l == nil || piece == nil {
		return cmp.Or(l, piece)
	}
	l.Tokens = append(l.Tokens, piece.Tokens...)
	l.TokenLogProbs = append(l.TokenLogProbs, piece.TokenLogProbs...)
	l.TextOffset = append(l.TextOffset, piece.TextOffset...)
	l.Content = append(l.Content, piece.Content...)
	return l
}
