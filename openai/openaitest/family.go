package openaitest

import (
	"strings"

	"candor/openai"
	"candor/reasoning/llm"
)

// Family is a kind of server.
type Family string

// The families.
const (
	VLLM       Family = "vllm"        // reasoning in message.reasoning
	VLLMOld    Family = "vllm-old"    // before 0.11: in message.reasoning_content
	VLLMTags   Family = "vllm-tags"   // without a reasoning parser: <think> in the text
	VLLMOpened Family = "vllm-opened" // the same, with a template that opens the thoughts: </think> alone
	SGLang     Family = "sglang"
	LlamaCPP   Family = "llama.cpp"
	Ollama     Family = "ollama"
	OpenRouter Family = "openrouter" // reasoning and reasoning_details, also summaries and encrypted ones
	DeepSeek   Family = "deepseek"
	Mistral    Family = "mistral" // parts of type thinking
	OpenAI     Family = "openai"  // nothing of the thoughts but their number in chat completions; items in responses
	Anthropic  Family = "anthropic"
	Candor     Family = "candor" // nothing apart
)

// Families returns all families.
func Families() []Family {
	return []Family{VLLM, VLLMOld, VLLMTags, VLLMOpened, SGLang, LlamaCPP, Ollama, OpenRouter, DeepSeek, Mistral, OpenAI, Anthropic, Candor}
}

// Capabilities returns what a preflight finds out about a family's chat completions.
func (f Family) Capabilities(stream bool) openai.Capabilities {
	c := openai.Capabilities{API: openai.ChatAPI, Stream: stream, Provenance: llm.Raw, Continue: openai.Prefill}
	local := func() { c.Seeds, c.LogProbs, c.TopK = true, true, true }
	switch f {
	case VLLM, VLLMOld, SGLang, VLLMTags, VLLMOpened:
		local()
		c.Continue, c.ContinueReasoning = openai.ContinueFinalMessage, true
		c.Reasoning = map[Family]string{VLLM: openai.ReasoningField, VLLMOld: openai.ReasoningContent, SGLang: openai.ReasoningContent}[f]
		if c.Reasoning == "" {
			c.Reasoning, c.Opened = openai.ThinkTags, f == VLLMOpened
		}
	case LlamaCPP:
		local()
		c.Reasoning = openai.ReasoningContent
	case Ollama:
		c.Reasoning, c.Seeds = openai.ReasoningField, true
	case OpenRouter:
		c.Reasoning = openai.ReasoningDetails
	case DeepSeek:
		c.Reasoning, c.Continue, c.ContinueReasoning = openai.ReasoningContent, openai.PrefixMessage, true
	case Mistral:
		c.Reasoning, c.Continue, c.ContinueReasoning = openai.ThinkingParts, openai.PrefixMessage, true
	case OpenAI:
		c.Reasoning, c.Provenance, c.Continue = openai.NoReasoning, llm.Absent, openai.NoContinue
		c.MaxTokensField, c.NoTemperature = "max_completion_tokens", true
	case Anthropic:
		c.Reasoning = openai.ThinkingParts
	case Candor:
		local()
		c.Reasoning, c.Provenance, c.Continue = openai.NoReasoning, "", openai.ContinueFinalMessage
	}
	return c
}

// form gives a reply the form of a family.
type form struct {
	family Family
	asked  *Request
	reply  Reply
	fault  Fault
}

// said is the text of a message, with the thoughts in it where the family leaves them there.
func (f *form) said() string {
	r := f.reply
	switch {
	case r.Reasoning == "":
		return r.Text
	case f.family == VLLMTags && !f.inside():
		return "<think>\n" + r.Reasoning + "\n</think>\n\n" + r.Text
	case f.family == VLLMTags, f.family == VLLMOpened:
		return r.Reasoning + "\n</think>\n\n" + r.Text
	}
	return r.Text
}

// inside tells whether what the assistant wrote already ends within thoughts.
func (f *form) inside() bool {
	messages := f.asked.Chat.Messages
	if len(messages) == 0 {
		return false
	}
	last := messages[len(messages)-1].Content.Text
	return strings.LastIndex(last, "<think>") > strings.LastIndex(last, "</think>")
}

// thoughts returns the fields of a message or delta that show a piece of the chain of thought; nil if the family shows none.
func (f *form) thoughts(piece string) obj {
	switch f.family {
	case VLLM, Ollama:
		return obj{"reasoning": piece}
	case VLLMOld, SGLang, LlamaCPP, DeepSeek:
		return obj{"reasoning_content": piece}
	case OpenRouter:
		detail := obj{"type": "reasoning.text", "text": piece, "format": "unknown", "index": 0}
		if f.reply.Summary != "" {
			detail = obj{"type": "reasoning.summary", "summary": piece, "format": "openai-responses-v1", "index": 0}
		}
		return obj{"reasoning": piece, "reasoning_details": []any{detail}}
	case Mistral:
		return obj{"content": []any{obj{"type": "thinking", "thinking": []any{obj{"type": "text", "text": piece}}}}}
	case Anthropic:
		return obj{"content": []any{obj{"type": "thinking", "thinking": piece, "signature": "ErUBCkYIBRgCIkAx"}}}
	}
	return nil
}

// chain is what is shown of the thoughts.
func (f *form) chain() string {
	if f.reply.Summary != "" {
		return f.reply.Summary
	}
	return f.reply.Reasoning
}

// encrypted returns the fields that show thoughts nobody can read; nil if there are none.
func (f *form) encrypted() obj {
	if f.reply.Encrypted == "" || f.family != OpenRouter {
		return nil
	}
	return obj{"reasoning": nil, "reasoning_details": []any{
		obj{"type": "reasoning.encrypted", "data": f.reply.Encrypted, "id": "rs_1", "format": "openai-responses-v1", "index": 1}}}
}

// message is an answer in one piece.
func (f *form) message() obj {
	m := obj{"role": "assistant", "content": f.said()}
	merge := func(fields obj) {
		for name, value := range fields {
			if old, ok := m[name].([]any); ok && value != nil {
				value = append(old, value.([]any)...)
			}
			if name == "content" {
				value = append(value.([]any), obj{"type": "text", "text": f.said()})
			}
			m[name] = value
		}
	}
	if f.chain() != "" {
		merge(f.thoughts(f.chain()))
	}
	if e := f.encrypted(); e != nil {
		if f.chain() != "" {
			delete(e, "reasoning")
		}
		merge(e)
	}
	switch f.family {
	case VLLM, VLLMOld, VLLMTags, VLLMOpened:
		m["refusal"], m["annotations"], m["audio"], m["function_call"], m["tool_calls"] = nil, nil, nil, nil, []any{}
	case SGLang, Mistral:
		m["tool_calls"] = nil
	case OpenAI:
		m["refusal"], m["annotations"] = nil, []any{}
	case OpenRouter:
		m["refusal"] = nil
	}
	if calls := f.calls(); calls != nil {
		m["tool_calls"] = calls
		if m["content"] == "" && f.family != Ollama && f.family != DeepSeek {
			m["content"] = nil
		}
	}
	return m
}

// choice wraps a message or delta.
func (f *form) choice(name string, value obj, finish any) obj {
	c := obj{"index": 0, name: value, "finish_reason": finish}
	var stop any
	if finish != nil && f.reply.Stop != "" {
		stop = f.reply.Stop
	}
	switch f.family {
	case VLLM, VLLMOld, VLLMTags, VLLMOpened, Candor:
		c["logprobs"], c["stop_reason"] = nil, stop
	case SGLang:
		if stop == nil && finish != nil {
			stop = 151645 // the token that ends a turn
		}
		c["logprobs"], c["matched_stop"] = nil, stop
	case OpenAI:
		c["logprobs"] = nil
	case OpenRouter:
		c["logprobs"], c["native_finish_reason"] = nil, finish
	}
	return c
}

// head is what all answers begin with.
func (f *form) head(object string) obj {
	h := obj{"id": "chatcmpl-7c1e", "object": object, "created": 1760000000, "model": f.reply.Model}
	switch f.family {
	case LlamaCPP:
		h["system_fingerprint"] = "b6500-3f9f0b7"
	case Ollama:
		h["system_fingerprint"] = "fp_ollama"
	case OpenRouter:
		h["id"], h["provider"] = "gen-1760000000-x", "Somebody"
	case OpenAI:
		h["service_tier"], h["system_fingerprint"] = "default", nil
	}
	return h
}

func words(s string) int { return len(strings.Fields(s)) }

// counts returns the numbers of tokens.
func (f *form) counts() (prompt, completion, reasoning int) {
	r := f.reply
	prompt, completion, reasoning = r.PromptTokens, r.CompletionTokens, r.ReasoningTokens
	if prompt == 0 {
		for _, m := range f.asked.Chat.Messages {
			prompt += 1 + words(m.Content.Text)
		}
	}
	if reasoning == 0 {
		reasoning = words(r.Reasoning)
	}
	if completion == 0 {
		completion = reasoning + words(r.Text)
	}
	return prompt, completion, reasoning
}

func (f *form) usage() obj {
	prompt, completion, reasoning := f.counts()
	u := obj{"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
	switch f.family {
	case OpenAI, DeepSeek, OpenRouter:
		u["completion_tokens_details"] = obj{"reasoning_tokens": reasoning}
	case SGLang:
		u["reasoning_tokens"], u["prompt_tokens_details"] = reasoning, nil
	case VLLM, VLLMOld:
		u["prompt_tokens_details"] = nil
	}
	return u
}

// logProbs returns the fields of tokens; nil if nobody asked.
func (f *form) logProbs(tokens []llm.Token) any {
	if !f.asked.Chat.LogProbs || len(tokens) == 0 {
		return nil
	}
	out := []any{}
	for _, t := range tokens {
		raw := []int{}
		for _, b := range []byte(t.Text) {
			raw = append(raw, int(b))
		}
		out = append(out, obj{"token": t.Text, "logprob": t.LogProb, "bytes": raw, "top_logprobs": []any{}})
	}
	return obj{"content": out}
}

// failure is how a family words an error.
func (f *form) failure(message string, status int) obj {
	switch f.family {
	case VLLMOld:
		return obj{"object": "error", "message": message, "type": "BadRequestError", "param": nil, "code": status}
	case VLLM, VLLMTags, VLLMOpened, SGLang:
		return obj{"error": obj{"message": message, "type": "BadRequestError", "param": nil, "code": status}}
	case LlamaCPP:
		return obj{"error": obj{"code": status, "message": message, "type": "server_error"}}
	case OpenRouter:
		return obj{"error": obj{"code": status, "message": message}, "user_id": "user_1"}
	case Mistral:
		return obj{"object": "error", "message": obj{"detail": []any{obj{"msg": message}}}, "type": "invalid_request_error", "param": nil, "code": nil}
	case Ollama:
		return obj{"error": obj{"message": message, "type": "api_error", "param": nil, "code": nil}}
	}
	return obj{"error": obj{"message": message, "type": "server_error", "param": nil, "code": nil}}
}

func (f *form) models() obj {
	owner := map[Family]string{LlamaCPP: "llamacpp", Ollama: "library", SGLang: "sglang", Candor: "candor"}[f.family]
	if owner == "" {
		owner = strings.SplitN(string(f.family), "-", 2)[0]
	}
	name := f.reply.Model
	if name == "" {
		name = "test-model"
	}
	m := obj{"id": name, "object": "model", "created": 1760000000, "owned_by": owner}
	if owner == "vllm" || owner == "sglang" {
		m["max_model_len"] = 32768
	}
	return obj{"object": "list", "data": []any{m}}
}
