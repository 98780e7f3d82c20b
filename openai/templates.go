package openai

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"candor/reasoning/llm"
)

// template renders a conversation as the prompt that a model was trained on. The mark that begins a text (BOS) is left out: servers
// put it in front of a prompt themselves.
type template struct {
	render func([]llm.Message) string
	// ends are the marks that end the model's turn. A server that knows them as tokens stops there by itself.
	ends []string
	// opens tells that the template opens the thoughts.
	opens bool
}

var templates = map[string]template{
	"chatml":      {render: renderChatML, ends: []string{"<|im_end|>"}},
	"qwen3":       {render: renderChatML, ends: []string{"<|im_end|>"}},
	"deepseek-r1": {render: renderDeepSeek, ends: []string{"<｜end▁of▁sentence｜>"}, opens: true},
	"llama3":      {render: renderLlama3, ends: []string{"<|eot_id|>"}},
	"mistral":     {render: renderMistral, ends: []string{"</s>"}},
	"gemma":       {render: renderGemma, ends: []string{"<end_of_turn>"}},
	"plain":       {render: renderPlain},
}

// Templates returns the names of the chat templates, in order: chatml; qwen3, which is chatml for models that think in tags;
// deepseek-r1, which opens the thoughts itself; llama3; mistral (the V7 tokenizer's, with a mark for the system's message); gemma,
// which has no system and puts it before the user's first words; and plain: the messages as they are, joined by single spaces,
// as candor's own models want them. A server takes a plain prompt as an llm.Request.Prefix; the space in front of the word that
// follows is no part of an answer.
func Templates() []string { return slices.Sorted(maps.Keys(templates)) }

// prompt renders a request, what the assistant wrote already at its end. Tags are the marks around thoughts.
func (c Capabilities) prompt(r llm.Request) (string, error) {
	t, ok := templates[c.Template]
	if !ok {
		return "", fmt.Errorf("there is no chat template %q, only %s", c.Template, strings.Join(Templates(), ", "))
	}
	prompt, written := t.render(r.Messages), c.written(r)
	if c.Template == "plain" && prompt != "" && written != "" {
		prompt += " "
	}
	return prompt + written, nil
}

// written returns what the assistant has written already, thoughts in their tags.
func (c Capabilities) written(r llm.Request) string {
	open, end := c.tags()
	begin := open + "\n"
	switch {
	case !c.apart():
		return r.Prefix
	case r.Concluded && c.ContinueReasoning:
		return begin + r.Reasoning + "\n" + end + "\n\n" + r.Prefix
	case r.Concluded:
		return r.Prefix
	case r.Reasoning != "" || c.opens():
		return begin + r.Reasoning
	}
	return ""
}

// opens tells whether the template, candor's own rendering of it, opens the thoughts.
func (c Capabilities) opens() bool { return templates[c.Template].opens && c.apart() }

func renderChatML(messages []llm.Message) string {
	var b strings.Builder
	for _, m := range messages {
		fmt.Fprintf(&b, "<|im_start|>%s\n%s<|im_end|>\n", m.Role, m.Text)
	}
	b.WriteString("<|im_start|>assistant\n")
	return b.String()
}

func renderDeepSeek(messages []llm.Message) string {
	var system, rest strings.Builder
	for _, m := range messages {
		switch m.Role {
		case llm.System:
			if system.Len() > 0 {
				system.WriteString("\n\n")
			}
			system.WriteString(m.Text)
		case llm.User:
			rest.WriteString("<｜User｜>" + m.Text)
		case llm.Assistant:
			rest.WriteString("<｜Assistant｜>" + m.Text + "<｜end▁of▁sentence｜>")
		}
	}
	return system.String() + rest.String() + "<｜Assistant｜>"
}

func renderLlama3(messages []llm.Message) string {
	var b strings.Builder
	for _, m := range messages {
		fmt.Fprintf(&b, "<|start_header_id|>%s<|end_header_id|>\n\n%s<|eot_id|>", m.Role, strings.TrimSpace(m.Text))
	}
	b.WriteString("<|start_header_id|>assistant<|end_header_id|>\n\n")
	return b.String()
}

func renderMistral(messages []llm.Message) string {
	var b strings.Builder
	for _, m := range messages {
		switch m.Role {
		case llm.System:
			b.WriteString("[SYSTEM_PROMPT]" + m.Text + "[/SYSTEM_PROMPT]")
		case llm.User:
			b.WriteString("[INST]" + m.Text + "[/INST]")
		case llm.Assistant:
			b.WriteString(m.Text + "</s>")
		}
	}
	return b.String()
}

func renderGemma(messages []llm.Message) string {
	var b strings.Builder
	before := ""
	for _, m := range messages {
		text := strings.TrimSpace(m.Text)
		switch m.Role {
		case llm.System:
			before += text + "\n\n"
		case llm.User:
			b.WriteString("<start_of_turn>user\n" + before + text + "<end_of_turn>\n")
			before = ""
		case llm.Assistant:
			b.WriteString("<start_of_turn>model\n" + text + "<end_of_turn>\n")
		}
	}
	if before != "" {
		b.WriteString("<start_of_turn>user\n" + strings.TrimSpace(before) + "<end_of_turn>\n")
	}
	b.WriteString("<start_of_turn>model\n")
	return b.String()
}

func renderPlain(messages []llm.Message) string {
	texts := make([]string, len(messages))
	for i, m := range messages {
		texts[i] = m.Text
	}
	return strings.Join(texts, " ")
}
