package preflight

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"candor/openai"
	"candor/reasoning/llm"
)

const smallSum = "What is 17 + 25 + 8? Work it out step by step, then end with a line that says Answer: and the number."

// chat finds out what chat completions of this server can do.
func (p *probe) chat(ctx context.Context) error {
	c := openai.Capabilities{API: openai.ChatAPI, Stream: true, Reasoning: openai.NoReasoning, Continue: openai.NoContinue, Seeds: true, LogProbs: true}
	raw, err := p.simplest(ctx, &c)
	if err != nil {
		return err
	}
	p.arrives(&c, raw)
	if err := p.streams(ctx, &c); err != nil {
		return err
	}
	p.report.Capabilities = c
	for _, next := range []func(context.Context, *openai.Capabilities) error{p.carriesOn, p.thoughts, p.turns, p.repeats} {
		if err := next(ctx, &p.report.Capabilities); err != nil {
			return err
		}
	}
	if !p.report.Continues() && p.Template != "" {
		return p.completions(ctx)
	}
	return nil
}

// field is a part of a request that some servers refuse.
type field struct {
	name string
	// words are what a refusal may call it.
	words []string
	leave func()
}

// leavingOut makes a call, leaving out what the server refuses: the field that it names, or else the first that is left.
func (p *probe) leavingOut(ctx context.Context, fields []field, call func() error) error {
	var out []string
	for {
		err := patiently(ctx, call)
		if err == nil && len(out) > 0 {
			p.found("refused fields", "left out", "the server refused a request until these were left out: %s", strings.Join(out, ", "))
		}
		if !refused(err) || len(fields) == 0 {
			return err
		}
		at := max(0, slices.IndexFunc(fields, func(f field) bool {
			return slices.ContainsFunc(f.words, func(w string) bool { return strings.Contains(strings.ToLower(err.Error()), w) })
		}))
		fields[at].leave()
		out = append(out, fields[at].name)
		fields = slices.Delete(fields, at, at+1)
	}
}

// simplest asks a simple question, leaving out what the server refuses.
func (p *probe) simplest(ctx context.Context, c *openai.Capabilities) (*openai.ChatResponse, error) {
	fields := []field{
		{"log-probabilities", []string{"logprob", "log_prob"}, func() { c.LogProbs = false }},
		{"max_tokens (max_completion_tokens is taken)", []string{"max_tokens"}, func() { c.MaxTokensField = "max_completion_tokens" }},
		{"temperature", []string{"temperature"}, func() { c.NoTemperature = true }},
		{"seed", []string{"seed"}, func() { c.Seeds = false }},
	}
	var out *openai.ChatResponse
	err := p.leavingOut(ctx, fields, func() (err error) {
		r := p.plainly(c, openai.ChatMessage{Role: "user", Content: openai.Text(smallSum)})
		r.LogProbs = c.LogProbs
		if zero := 0.; !c.NoTemperature {
			r.Temperature = &zero
		}
		if one := int64(1); c.Seeds {
			r.Seed = &one
		}
		out, err = p.client.Chat(ctx, r)
		return err
	})
	if err != nil {
		return nil, err
	}
	l := out.Choices[0].LogProbs
	c.LogProbs = c.LogProbs && l != nil && len(l.Content) > 0
	p.count(out)
	return out, nil
}

// plainly is a request of messages alone.
func (p *probe) plainly(c *openai.Capabilities, messages ...openai.ChatMessage) openai.ChatRequest {
	r := openai.ChatRequest{Model: p.Model, Messages: messages, MaxTokens: p.MaxTokens}
	if c.MaxTokensField == "max_completion_tokens" {
		r.MaxTokens, r.MaxCompletionTokens = 0, p.MaxTokens
	}
	return r
}

func (p *probe) count(r *openai.ChatResponse) {
	if r.Usage != nil {
		p.report.Tokens += r.Usage.PromptTokens + r.Usage.CompletionTokens
	}
}

// place notes where a chain arrives, and what it is.
func (p *probe) place(c *openai.Capabilities, reasoning string, kind llm.Provenance, how string, args ...any) {
	c.Reasoning, c.Provenance = reasoning, kind
	where := reasoning
	if reasoning == openai.NoReasoning {
		where = "nothing that is shown"
	}
	p.found("chain", fmt.Sprintf("%s, in %s", kind, where), how, args...)
}

// notApart notes that nothing of a chain came beside the text.
func (p *probe) notApart(c *openai.Capabilities) {
	c.Reasoning, c.Provenance = openai.NoReasoning, ""
	p.found("chain", "raw, part of the text", "nothing came beside the text, and no tokens of reasoning were counted")
}

// arrives looks where the chain of thought is in an answer.
func (p *probe) arrives(c *openai.Capabilities, r *openai.ChatResponse) {
	m := r.Choices[0].Message
	has := func(s *string) bool { return s != nil && strings.TrimSpace(*s) != "" }
	kinds, by, shown := map[string]bool{}, "", 0
	for _, d := range m.ReasoningDetails {
		kinds[d.Type] = true
		shown += len(d.Text)
		if format := strings.ToLower(d.Format); d.Type == "reasoning.text" && summarises(format) {
			by = format
		}
	}
	thoughts := r.Usage.Thoughts()
	raw := func(reasoning string, shown int, how string) {
		if thoughts > shown {
			p.place(c, reasoning, llm.Summary, "%s of %d characters, but %d tokens of reasoning were counted: that is not all of them", how, shown, thoughts)
			return
		}
		p.place(c, reasoning, llm.Raw, "%s of %d characters", how, shown)
	}
	switch {
	case kinds["reasoning.summary"]:
		p.place(c, openai.ReasoningDetails, llm.Summary, "the answer has details of the type reasoning.summary")
	case kinds["reasoning.encrypted"] && !kinds["reasoning.text"]:
		p.place(c, openai.ReasoningDetails, llm.Encrypted, "the answer has details of the type reasoning.encrypted alone")
	case by != "":
		p.place(c, openai.ReasoningDetails, llm.Summary, "the answer has details of the format %.40q, whose provider gives out summaries as text", by)
	case kinds["reasoning.text"]:
		raw(openai.ReasoningDetails, shown, "the answer has details of the type reasoning.text")
	case has(m.Reasoning):
		raw(openai.ReasoningField, len(*m.Reasoning), "the message has a field reasoning")
	case has(m.ReasoningContent):
		raw(openai.ReasoningContent, len(*m.ReasoningContent), "the message has a field reasoning_content")
	case m.Content.Thinking != "":
		raw(openai.ThinkingParts, len(m.Content.Thinking), "the content has parts of the type thinking")
	case tagged(m.Content.Text):
		p.tags(c, m.Content.Text)
	case thoughts > 0:
		p.place(c, openai.NoReasoning, llm.Absent, "%d tokens of reasoning were counted, and none is shown", thoughts)
	default:
		p.notApart(c)
	}
	if r.Choices[0].FinishReason == "length" {
		p.found("length", "cut off", "the answer to a small sum did not fit into %d tokens: what else was found out may be wrong", p.MaxTokens)
	}
}

// summarises tells whether thoughts of a format come from a provider who gives out summaries and calls them text.
func summarises(format string) bool {
	return slices.ContainsFunc([]string{"anthropic-", "google-", "openai-", "xai-"}, func(s string) bool { return strings.HasPrefix(format, s) })
}

// tagged tells whether a text has thoughts in tags, which may not have ended.
func tagged(text string) bool {
	return strings.Contains(text, "</think>") || strings.HasPrefix(strings.TrimSpace(text), "<think>")
}

// tags notes that thoughts are in the text, between tags.
func (p *probe) tags(c *openai.Capabilities, text string) {
	c.Opened = !strings.Contains(text, "<think>")
	how := "the text has thoughts between <think> and </think>"
	if c.Opened {
		how = "the text has thoughts that end in </think>; the server's chat template begins them"
	}
	p.place(c, openai.ThinkTags, llm.Raw, "%s", how)
}

// streams tries whether streamed answers arrive, their thoughts included: that keeps long ones from running into a proxy's time
// limit.
func (p *probe) streams(ctx context.Context, c *openai.Capabilities) error {
	out, err := p.ask(ctx, *c, p.user(smallSum))
	switch {
	case err == nil && c.Provenance == llm.Raw && out.Provenance != llm.Raw:
		c.Stream = false
		p.found("streaming", "no", "the thoughts of an answer in one piece are raw, those of a streamed one %s", out.Provenance)
		return nil
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return err
	}
	c.Stream = false
	if _, again := p.ask(ctx, *c, p.user(smallSum)); again != nil {
		return again
	}
	p.found("streaming", "no", "a streamed answer failed (%v), one in a piece did not", bare(err))
	return nil
}

// bare is an error without which of the requests it was: there is but one.
func bare(err error) error {
	var e *llm.RequestError
	if errors.As(err, &e) {
		return e.Err
	}
	return err
}
