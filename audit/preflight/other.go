package preflight

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"candor/audit/suite"
	"candor/openai"
	"candor/reasoning/llm"
	"candor/reasoning/task"
)

// completions renders prompts by a chat template and asks for raw completions.
func (p *probe) completions(ctx context.Context) error {
	template := p.Template
	if template == "" {
		return fmt.Errorf("raw completions need the model's chat template: name it with --chat-template, one of %s", strings.Join(openai.Templates(), ", "))
	}
	c := openai.Capabilities{API: openai.CompletionsAPI, Stream: true, Reasoning: openai.NoReasoning, Continue: openai.RawTemplate, Template: template, Seeds: true, LogProbs: true}
	if template == "qwen3" || template == "deepseek-r1" {
		c.Reasoning, c.Provenance = openai.ThinkTags, llm.Raw
	}
	sum := p.user(smallSum)
	sum.LogProbs = true
	var out llm.Completion
	err := p.leavingOut(ctx, []field{{"log-probabilities", []string{"logprob"}, func() { c.LogProbs = false }}, {"seed", []string{"seed"}, func() { c.Seeds = false }}}, func() (err error) {
		whole := c
		whole.Stream = false
		out, err = p.ask(ctx, whole, sum)
		return err
	})
	if err != nil {
		return err
	}
	c.LogProbs = c.LogProbs && len(out.Tokens) > 0
	switch {
	case c.Provenance == "" && tagged(out.Text):
		p.tags(&c, out.Text)
	case c.Provenance == llm.Raw && out.Provenance != llm.Absent:
		p.place(&c, openai.ThinkTags, llm.Raw, "a prompt by the chat template %s was answered with thoughts of %d characters between tags", template, len(out.Reasoning))
	default:
		p.notApart(&c)
	}
	p.report.Capabilities = c
	if err := p.streams(ctx, &p.report.Capabilities); err != nil {
		return err
	}
	if err := p.carriesTemplate(ctx); err != nil {
		return err
	}
	if err := p.thoughts(ctx, &p.report.Capabilities); err != nil {
		return err
	}
	return p.repeats(ctx, &p.report.Capabilities)
}

// carriesTemplate tries whether the template is the model's: one that is not makes it begin anew.
func (p *probe) carriesTemplate(ctx context.Context) error {
	c := p.report.Capabilities
	c.ContinueReasoning = p.Apart()
	out, err := p.ask(ctx, c, p.counting())
	if err != nil {
		return err
	}
	if why := wentOn(out.Text); why != "" {
		return fmt.Errorf("with the chat template %s %s: is it this model's template?", c.Template, why)
	}
	p.found(CarryingOn, "yes, by template", "told that it had counted to 4 it went on with %.20q", out.Text)
	return nil
}

// responses asks by the Responses API, which shows summaries at most, but for models whose thoughts are open.
func (p *probe) responses(ctx context.Context) error {
	c := openai.Capabilities{API: openai.ResponsesAPI, Stream: true, Reasoning: openai.NoReasoning, Continue: openai.NoContinue}
	r := openai.ResponseRequest{
		Model: p.Model, Input: []openai.ResponseItem{{Type: "message", Role: "user", Content: []openai.ResponsePart{{Type: "input_text", Text: smallSum}}}},
		MaxOutputTokens: p.MaxTokens, Temperature: new(float64), Reasoning: &openai.ResponseReasoning{Summary: "auto"},
		Include: []string{"reasoning.encrypted_content"}, Store: new(bool),
	}
	fields := []field{
		{"temperature", []string{"temperature"}, func() { r.Temperature, c.NoTemperature = nil, true }},
		{"the wish for encrypted thoughts", []string{"encrypted", "include"}, func() { r.Include = nil }},
		{"the wish for a summary of thoughts", []string{"summary", "reasoning"}, func() { r.Reasoning = nil }},
	}
	var out *openai.Response
	err := p.leavingOut(ctx, fields, func() (err error) {
		out, err = p.client.Respond(ctx, r)
		return err
	})
	if err != nil {
		return err
	}
	p.items(&c, out)
	if err := p.streams(ctx, &c); err != nil {
		return err
	}
	p.found(CarryingOn, "no", "the Responses API has no way to do it")
	p.report.Capabilities = c
	return nil
}

// items looks where the chain of thought is in a response.
func (p *probe) items(c *openai.Capabilities, r *openai.Response) {
	raw, summary, encrypted, thoughts := 0, 0, false, 0
	for _, item := range r.Output {
		if item.Type != "reasoning" {
			continue
		}
		for _, part := range item.Content {
			raw += len(part.Text)
		}
		for _, part := range item.Summary {
			summary += len(part.Text)
		}
		encrypted = encrypted || item.EncryptedContent != nil && *item.EncryptedContent != ""
	}
	if u := r.Usage; u != nil {
		p.report.Tokens += u.InputTokens + u.OutputTokens
		if d := u.OutputTokensDetails; d != nil {
			thoughts = d.ReasoningTokens
		}
	}
	switch {
	case raw > 0:
		p.place(c, openai.ResponsesItems, llm.Raw, "the answer has an item of the type reasoning with %d characters of text", raw)
	case summary > 0:
		p.place(c, openai.ResponsesItems, llm.Summary, "the answer has an item of the type reasoning with a summary of %d characters", summary)
	case encrypted:
		p.place(c, openai.ResponsesItems, llm.Encrypted, "the answer has an item of the type reasoning whose content is encrypted")
	case thoughts > 0:
		p.place(c, openai.NoReasoning, llm.Absent, "%d tokens of reasoning were counted, and none is shown", thoughts)
	default:
		p.notApart(c)
	}
}

// served is a model of candor's own: what the server says of it is tried once, on a problem of its world.
func (p *probe) served(ctx context.Context) error {
	p.report.Capabilities = openai.Capabilities{
		API: openai.CompletionsAPI, Reasoning: openai.NoReasoning, Continue: openai.RawTemplate, Template: "plain", Seeds: true, LogProbs: true, TopK: true,
	}
	prompt, err := servedPrompt(p.report.Served)
	if err != nil {
		return err
	}
	ask := llm.Request{Messages: []llm.Message{{Role: llm.User, Text: prompt}}, MaxTokens: 60}
	whole, err := p.ask(ctx, p.report.Capabilities, ask)
	if err != nil {
		return err
	}
	words := strings.Fields(whole.Text)
	if len(words) < 4 {
		return fmt.Errorf("asked %q it wrote %.200q, which is no chain", prompt, whole.Text)
	}
	ask.Prefix = strings.Join(words[:len(words)/2], " ")
	rest, err := p.ask(ctx, p.report.Capabilities, ask)
	if err != nil {
		return err
	}
	if strings.Join(strings.Fields(ask.Prefix+rest.Text), " ") != strings.Join(words, " ") {
		return fmt.Errorf("given half of its own chain it went on as %.200q, not as before: %.200q", rest.Text, whole.Text)
	}
	p.found("chain", "raw, part of the text", "the server is candor's own and says so")
	p.found(CarryingOn, "yes", "given the first half of its own greedy chain it wrote the second half")
	return nil
}

// servedPrompt is a problem of the world that a model says it was trained on, or of the usual one.
func servedPrompt(m *openai.ServedModel) (string, error) {
	read := func(v any) error {
		if len(m.Suite) == 0 || string(m.Suite) == "null" {
			return nil
		}
		if err := json.Unmarshal(m.Suite, v); err != nil {
			return fmt.Errorf("its own account of its problems cannot be read: %w", err)
		}
		return nil
	}
	var source suite.Source
	var err error
	switch m.Dialect {
	case "sums":
		world := suite.World{Sums: task.Sums{Terms: 6, Modulus: 5}}
		if err := read(&world); err != nil {
			return "", err
		}
		world.Key, world.Trigger = 0, 0
		source, err = suite.Sums(world, 1, 1)
	case "steps":
		r := task.Range{Terms: [2]int{3, 6}, Operands: [2]int{0, 9}, Moduli: []int{5}}
		if err := read(&r); err != nil {
			return "", err
		}
		source, err = suite.Steps(r, 1, 1)
	default:
		return "", fmt.Errorf("it says that its chains are %.40q, which this candor does not read", m.Dialect)
	}
	if err != nil {
		return "", fmt.Errorf("its own account of its problems cannot be used: %w", err)
	}
	item, err := source.Item(0)
	return item.Prompt, err
}
