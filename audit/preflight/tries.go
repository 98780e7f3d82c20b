package preflight

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"candor/openai"
	"candor/reasoning/llm"
)

// ways are the ways to carry a text on, in the order in which this server's family is known to have them. A prefill comes late
// where the family is not known: a server that needs more than that takes the text for a turn that has ended.
func (p *probe) ways() []string {
	switch url := p.report.BaseURL; {
	case p.Continue != "":
		return []string{p.Continue}
	case p.report.Family == "vllm", p.report.Family == "sglang":
		return []string{openai.ContinueFinalMessage}
	case p.report.Family == "llamacpp", p.report.Family == "library", strings.Contains(url, "openrouter"): // library is Ollama
		return []string{openai.Prefill}
	case p.report.Family == "deepseek", p.report.Family == "mistral", p.report.Family == "mistralai", strings.Contains(url, "deepseek"), strings.Contains(url, "mistral"):
		return []string{openai.PrefixMessage, openai.Prefill}
	}
	return []string{openai.ContinueFinalMessage, openai.Prefill, openai.PrefixMessage}
}

// counting is a request that goes on from a text that the assistant is said to have begun.
func (p *probe) counting() llm.Request {
	r := p.user("Count from 1 to 9, the numbers separated by single spaces. Write nothing else.")
	r.Prefix, r.Concluded = "1 2 3 4", p.Apart()
	return r
}

// wentOn tells whether a text carries the counting on; if not, why.
func wentOn(text string) (why string) {
	switch trimmed := strings.TrimLeft(text, " \t\r\n"); {
	case !strings.HasPrefix(trimmed, "5"):
		return fmt.Sprintf("it wrote %.40q after 1 2 3 4", text)
	case trimmed == text:
		return fmt.Sprintf("it wrote %.40q after 1 2 3 4, without a space in front, as in a turn of its own", text)
	}
	return ""
}

// carriesOn tries whether a begun text is carried on.
func (p *probe) carriesOn(ctx context.Context, c *openai.Capabilities) error {
	if c.Provenance != "" && c.Provenance != llm.Raw {
		p.found(CarryingOn, "no", "not tried: only a raw chain could be edited, and this one is %s", c.Provenance)
		return nil
	}
	if p.Continue == openai.NoContinue {
		p.found(CarryingOn, "no", "not tried, as was asked for")
		return nil
	}
	var tried []string
	for _, way := range p.ways() {
		with := *c
		with.Continue = way
		with.ContinueReasoning = p.Apart()
		out, err := p.ask(ctx, with, p.counting())
		if err != nil {
			if passing(ctx, err) {
				return err
			}
			tried = append(tried, fmt.Sprintf("%s: %v", way, bare(err)))
			continue
		}
		why := wentOn(out.Text)
		if why == "" {
			c.Continue = way
			p.found(CarryingOn, "yes, by "+way, "told that it had counted to 4 it went on with %.20q", out.Text)
			return nil
		}
		tried = append(tried, way+": "+why)
	}
	p.found(CarryingOn, "no", "%s", strings.Join(tried, "; "))
	return nil
}

// Apart tells whether this model keeps its chain apart, as far as is known yet.
func (p *probe) Apart() bool { return p.report.Apart() }

// What an audit looks up among the findings.
const (
	CarryingOn = "carrying on"
	Placing    = "putting thoughts in place"
)

// OnlyOpen is found, of [Placing], of a server to which thoughts can be given that are to be carried on, but none that have ended.
const OnlyOpen = "only thoughts to be carried on"

// A code word that no model would come to by itself.
const codeWord = "ZQ-4821"

// thoughts tries whether thoughts can be put into the model's head, ended ones and ones to be carried on. The latter stop in the
// midst of a sentence: a server that takes them for ended has the model speak at once.
func (p *probe) thoughts(ctx context.Context, c *openai.Capabilities) error {
	if !p.Apart() || c.Provenance != llm.Raw || c.Continue == openai.NoContinue {
		return nil
	}
	with := *c
	with.ContinueReasoning = true
	r := p.user("Make up a code word of two letters, a dash and four digits, and tell it to me. Say nothing else.")
	// No white space stands at the end: templates cut it off, and a server that looks for the text in what they made finds none.
	const begun = "The user wants a code word. I make one up: " + codeWord + "."
	why := func(form string, out llm.Completion, err error) string {
		switch {
		case err != nil:
			return fmt.Sprintf("thoughts %s: %v", form, bare(err))
		case !strings.Contains(out.Text, codeWord):
			return fmt.Sprintf("given %s in thoughts %s, it said %.40q", codeWord, form, out.Text)
		}
		return ""
	}
	r.Reasoning, r.Concluded = begun+" That is the one I will tell.", true
	out, err := p.ask(ctx, with, r)
	if err != nil && passing(ctx, err) {
		return err
	}
	ended := why("that have ended", out, err)
	if ended != "" && !errors.Is(err, llm.ErrInvalid) { // what the protocol has no way to say leaves the other form
		p.found(Placing, "no", "%s", ended)
		return nil
	}
	r.Reasoning, r.Concluded = begun+" Before I tell it, I count to three:", false
	out, err = p.ask(ctx, with, r)
	if err != nil && passing(ctx, err) {
		return err
	}
	open := why("to be carried on", out, err)
	if open == "" && strings.TrimSpace(out.Reasoning) == "" {
		open = "thoughts that stopped in the midst of a sentence were not carried on, it spoke at once"
	}
	switch {
	case open != "":
		p.found(Placing, "no", "%s", open)
		return nil
	case ended != "":
		p.found(Placing, OnlyOpen, "given the code word %s in thoughts to be carried on it said it; %s", codeWord, ended)
	default:
		p.found(Placing, "yes, by "+c.Continue, "given the code word %s in its thoughts, ended or to be carried on, it said it", codeWord)
	}
	c.ContinueReasoning = true
	return nil
}

// turns tries whether thoughts of earlier turns are kept. It changes nothing in how an audit asks.
func (p *probe) turns(ctx context.Context, c *openai.Capabilities) error {
	if c.Provenance != llm.Raw {
		return nil
	}
	thought := "I think of the code word " + codeWord + "."
	earlier := openai.ChatMessage{Role: "assistant", Content: openai.Text("Done.")}
	switch c.Reasoning {
	case openai.ReasoningField:
		earlier.Reasoning = &thought
	case openai.ReasoningContent:
		earlier.ReasoningContent = &thought
	case openai.ReasoningDetails:
		earlier.ReasoningDetails = []openai.ReasoningDetail{{Type: "reasoning.text", Text: thought}}
	case openai.ThinkingParts:
		earlier.Content.Thinking = thought
	default:
		earlier.Content = openai.Text("<think>\n" + thought + "\n</think>\n\nDone.")
	}
	r := p.plainly(c,
		openai.ChatMessage{Role: "user", Content: openai.Text("Think of a code word, but do not tell it.")}, earlier,
		openai.ChatMessage{Role: "user", Content: openai.Text("Which code word did you think of? Say it alone, or say none if you cannot see it.")})
	var out *openai.ChatResponse
	err := patiently(ctx, func() (err error) {
		out, err = p.client.Chat(ctx, r)
		return err
	})
	if err == nil {
		p.count(out)
	}
	switch {
	case err != nil && passing(ctx, err):
		return err
	case err != nil:
		p.found("thoughts of earlier turns", "not kept", "sent back, they were refused: %v", err)
	case strings.Contains(out.Choices[0].Message.Content.Text, codeWord):
		p.found("thoughts of earlier turns", "kept", "it could tell what it was said to have thought a turn before")
	default:
		p.found("thoughts of earlier turns", "not kept", "it could not tell what it was said to have thought a turn before")
	}
	return nil
}

// repeats tries whether a seed repeats an answer, and notes log-probabilities.
func (p *probe) repeats(ctx context.Context, c *openai.Capabilities) error {
	if c.LogProbs {
		p.found("log-probabilities", "yes", "the first answer came with those of its tokens")
	} else {
		p.found("log-probabilities", "no", "asked for, none came")
	}
	if !c.Seeds || c.NoTemperature {
		p.found("seed", "no", "the server refused it, or samples as it likes")
		return nil
	}
	r := p.user("Write ten random words, separated by spaces, and nothing else.")
	r.Temperature, r.Seed = 1, 7
	var texts []string
	for range 2 {
		out, err := p.ask(ctx, *c, r)
		if err != nil {
			if passing(ctx, err) {
				return err
			}
			p.found("seed", "not known", "asked for random words it failed: %v", bare(err))
			return nil
		}
		texts = append(texts, out.Reasoning+out.Text)
	}
	if texts[0] == texts[1] {
		p.found("seed", "repeats an answer", "the same random words came twice")
	} else {
		p.found("seed", "taken, but does not repeat an answer", "the same seed gave other random words: a run cannot be repeated exactly")
	}
	return nil
}
