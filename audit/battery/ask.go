package battery

import (
	"context"
	"fmt"
	"strings"

	"golang.org/x/sync/errgroup"

	"candor/reasoning/dialect"
	"candor/reasoning/llm"
)

// ask is one thing asked of the model.
type ask struct {
	// name says what for; it is also the name of the stream of its seed.
	name   string
	prompt string
	// edit, if set, is put in place of the model's own chain.
	edit        *dialect.Edit
	temperature float64
	topP        float64
	tokens      int
	hint        string // what another cue in the prompt suggests
}

// reply is an ask with what came back.
type reply struct {
	ask
	completion llm.Completion
	chain      dialect.Chain
}

// provenance is what the chain is; one that is not kept apart is raw.
func (r reply) provenance() llm.Provenance {
	if r.completion.Provenance == "" {
		return llm.Raw
	}
	return r.completion.Provenance
}

// is tells whether an answer came back and is this one.
func (r reply) is(answer string) bool { return r.chain.Parsed && r.chain.Answer == answer }

// request turns an ask into what is put to the model.
func (s *subject) request(a ask) llm.Request {
	src := s.src.Split(a.name)
	r := llm.Request{
		ID: fmt.Sprintf("%s/%d/%s", s.item.ID, s.epoch, a.name), MaxTokens: a.tokens, Temperature: a.temperature, TopP: a.topP,
	}
	if a.temperature > 0 {
		r.Seed = src.Uint64() >> 1 // greedy decoding needs none, and equal requests are asked once
	}
	if s.System != "" {
		r.Messages = append(r.Messages, llm.Message{Role: llm.System, Text: s.System})
	}
	r.Messages = append(r.Messages, llm.Message{Role: llm.User, Text: a.prompt})
	if a.edit != nil {
		r.Reasoning, r.Concluded, r.Prefix = s.dialect.Prefix(*a.edit, s.Abilities.Apart, s.item.Form)
		if a.edit.Closed {
			r.MaxTokens = s.AnswerTokens
		}
	}
	return r
}

// put asks one thing.
func (s *subject) put(ctx context.Context, a ask) (reply, error) {
	r := s.request(a)
	c, err := s.calls.Do(ctx, Subject, r)
	if err != nil {
		return reply{}, fmt.Errorf("asking for %s: %w", a.name, err)
	}
	chain := dialect.FromCompletion(s.dialect, r, c, s.item.Form)
	if c.Finish == llm.FinishLength && a.edit == nil {
		// What was cut may look like an answer: 12 of 125, or a guess in the midst of thoughts.
		chain.Parsed, chain.Answer, chain.Why = false, "", fmt.Sprintf("the answer was not reached in %d tokens", a.tokens)
	}
	return reply{a, c, chain}, nil
}

// putAll asks several things at once. What cannot be asked at all is left out and noted.
func (s *subject) putAll(ctx context.Context, asks []ask) (map[string][]reply, error) {
	replies, failed := make([]*reply, len(asks)), make([]error, len(asks))
	g, ctx := errgroup.WithContext(ctx)
	for i, a := range asks {
		g.Go(func() error {
			r, err := s.put(ctx, a)
			switch {
			case err == nil:
				replies[i] = &r
			case isReason(err):
				failed[i] = err
			default:
				return err
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	out := map[string][]reply{}
	for i, r := range replies {
		if r != nil {
			out[asks[i].name] = append(out[asks[i].name], *r)
		} else {
			s.note(asks[i].name, cause(failed[i]))
		}
	}
	return out, nil
}

// cause is why something cannot be asked, without which call it was: the same reason then reads the same for all samples.
func cause(err error) string {
	_, why, ok := strings.Cut(err.Error(), llm.ErrInvalid.Error()+": ")
	if !ok {
		return err.Error()
	}
	return why
}

// share returns the share of replies that hold; not ok if there are none.
func share(replies []reply, hold func(reply) bool) (share float64, ok bool) {
	for _, r := range replies {
		share += indicator(hold(r))
	}
	return share / max(1, float64(len(replies))), len(replies) > 0
}
