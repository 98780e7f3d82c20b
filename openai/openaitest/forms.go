package openaitest

import (
	"strings"

	"candor/reasoning/llm"
)

// body is an answer in one piece.
func (f *form) body() obj {
	switch {
	case strings.HasSuffix(f.asked.Path, "/responses"):
		return f.response("completed")
	case !strings.HasSuffix(f.asked.Path, "/chat/completions"):
		b := f.head("text_completion")
		c := f.choice("text", nil, f.reply.Finish)
		c["text"], c["logprobs"] = f.raw(), f.rawLogProbs(f.reply.Tokens)
		b["choices"], b["usage"] = []any{c}, f.usage()
		return b
	}
	b := f.head("chat.completion")
	c := f.choice("message", f.message(), f.reply.Finish)
	if l := f.logProbs(f.reply.Tokens); l != nil {
		c["logprobs"] = l
	}
	b["choices"], b["usage"] = []any{c}, f.usage()
	return b
}

// raw is what a completion of a raw prompt says: thoughts stand in tags, and the prompt may have opened or ended them.
func (f *form) raw() string {
	r := f.reply
	switch {
	case r.Reasoning == "" || f.family == Candor:
		return r.Text
	case f.inside() && r.Text == "" && r.Finish == "length":
		return r.Reasoning
	case f.inside():
		return r.Reasoning + "\n</think>\n\n" + r.Text
	}
	return "<think>\n" + r.Reasoning + "\n</think>\n\n" + r.Text
}

// rawLogProbs is how completions tell log-probabilities, by a family.
func (f *form) rawLogProbs(tokens []llm.Token) any {
	if !f.asked.Chat.LogProbs || len(tokens) == 0 {
		return nil
	}
	if f.family == LlamaCPP {
		return f.logProbs(tokens)
	}
	var texts, logProbs, offsets []any
	at := 0
	for _, t := range tokens {
		texts, logProbs, offsets = append(texts, t.Text), append(logProbs, t.LogProb), append(offsets, at)
		at += len(t.Text)
	}
	return obj{"tokens": texts, "token_logprobs": logProbs, "text_offset": offsets, "top_logprobs": nil}
}

// pieces cuts a text as a stream would, at most some hundred times.
func pieces(s string) []string {
	if s == "" {
		return nil
	}
	size := max(6, len(s)/300)
	var out []string
	var b strings.Builder
	for _, r := range s {
		b.WriteRune(r)
		if b.Len() >= size {
			out = append(out, b.String())
			b.Reset()
		}
	}
	if b.Len() > 0 {
		out = append(out, b.String())
	}
	return out
}

// said cuts the text of a stream: into its tokens if they are told.
func (f *form) textPieces(s string) (texts []string, tokens [][]llm.Token) {
	if f.asked.Chat.LogProbs && len(f.reply.Tokens) > 0 && s == f.reply.Text {
		for _, t := range f.reply.Tokens {
			texts, tokens = append(texts, t.Text), append(tokens, []llm.Token{t})
		}
		return texts, tokens
	}
	texts = pieces(s)
	return texts, make([][]llm.Token, len(texts))
}

// events are the data of a stream's events, without an end marker.
func (f *form) events() []string {
	switch {
	case strings.HasSuffix(f.asked.Path, "/responses"):
		return f.responseEvents()
	case !strings.HasSuffix(f.asked.Path, "/chat/completions"):
		return f.completionEvents()
	}
	var out []string
	emit := func(delta obj, finish any, tokens []llm.Token) {
		b := f.head("chat.completion.chunk")
		c := f.choice("delta", delta, finish)
		if l := f.logProbs(tokens); l != nil {
			c["logprobs"] = l
		}
		b["choices"] = []any{c}
		if f.family == OpenAI {
			b["usage"], b["obfuscation"] = nil, "x9"
		}
		if finish != nil && (f.family == DeepSeek || f.family == Mistral) {
			b["usage"] = f.usage()
		}
		out = append(out, text(b))
	}
	if f.family != Ollama && f.family != OpenRouter {
		emit(obj{"role": "assistant", "content": ""}, nil, nil)
	}
	think := func() {
		for _, piece := range pieces(f.chain()) {
			if delta := f.thoughts(piece); delta != nil {
				f.fill(delta)
				emit(delta, nil, nil)
			}
		}
	}
	say := func() {
		texts, tokens := f.textPieces(f.said())
		for i, piece := range texts {
			delta := obj{"content": piece}
			f.fill(delta)
			emit(delta, nil, tokens[i])
		}
	}
	if f.fault == Late {
		say()
		think()
	} else {
		think()
		say()
	}
	for _, delta := range f.callDeltas() {
		f.fill(delta)
		emit(delta, nil, nil)
	}
	if e := f.encrypted(); e != nil {
		f.fill(e)
		emit(e, nil, nil)
	}
	emit(obj{}, f.reply.Finish, nil)
	if o := f.asked.Chat.StreamOptions; f.family != DeepSeek && f.family != Mistral && (f.family == OpenRouter || o != nil && o.IncludeUsage) {
		b := f.head("chat.completion.chunk")
		b["choices"], b["usage"] = []any{}, f.usage()
		out = append(out, text(b))
	}
	return out
}

// fill adds to a delta the fields that a family always sends.
func (f *form) fill(delta obj) {
	switch f.family {
	case Ollama, OpenRouter:
		delta["role"] = "assistant"
		if _, ok := delta["content"]; !ok {
			delta["content"] = ""
		}
	case SGLang, DeepSeek:
		for _, name := range []string{"content", "reasoning_content"} {
			if _, ok := delta[name]; !ok {
				delta[name] = nil
			}
		}
	}
}

func (f *form) completionEvents() []string {
	var out []string
	emit := func(piece string, finish any, tokens []llm.Token) {
		b := f.head("text_completion")
		c := f.choice("text", nil, finish)
		c["text"], c["logprobs"] = piece, f.rawLogProbs(tokens)
		b["choices"] = []any{c}
		out = append(out, text(b))
	}
	texts, tokens := f.textPieces(f.raw())
	for i, piece := range texts {
		emit(piece, nil, tokens[i])
	}
	emit("", f.reply.Finish, nil)
	b := f.head("text_completion")
	b["choices"], b["usage"] = []any{}, f.usage()
	return append(out, text(b))
}

// items are the output of a response.
func (f *form) items() []obj {
	r := f.reply
	var out []obj
	thoughts := obj{"id": "rs_1", "type": "reasoning", "summary": []any{}}
	if r.Summary != "" {
		thoughts["summary"] = []any{obj{"type": "summary_text", "text": r.Summary}}
	}
	if r.Encrypted != "" {
		thoughts["encrypted_content"] = r.Encrypted
	}
	if r.Reasoning != "" && f.family != OpenAI { // gpt-oss at vLLM
		thoughts["content"] = []any{obj{"type": "reasoning_text", "text": r.Reasoning}}
	}
	if len(thoughts) > 3 || r.Summary != "" || r.ReasoningTokens > 0 {
		out = append(out, thoughts)
	}
	part := obj{"type": "output_text", "text": r.Text, "annotations": []any{}, "logprobs": []any{}}
	if l, ok := f.logProbs(r.Tokens).(obj); ok {
		part["logprobs"] = l["content"]
	}
	if r.Text != "" || len(r.Calls) == 0 {
		out = append(out, obj{"id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": []any{part}})
	}
	return append(out, f.callItems()...)
}

func (f *form) response(status string) obj {
	prompt, completion, reasoning := f.counts()
	b := obj{"id": "resp_1", "object": "response", "created_at": 1760000000, "status": status, "model": f.reply.Model, "error": nil,
		"incomplete_details": nil, "instructions": nil, "metadata": obj{}, "parallel_tool_calls": true, "tools": []any{},
		"tool_choice": "auto", "temperature": 1.0, "top_p": 1.0, "output": []any{}, "usage": nil}
	if status == "in_progress" {
		return b
	}
	if f.reply.Finish != "stop" && f.reply.Finish != "tool_calls" {
		reason := f.reply.Finish
		if reason == "length" {
			reason = "max_output_tokens"
		}
		b["status"], b["incomplete_details"] = "incomplete", obj{"reason": reason}
	}
	b["output"] = f.items()
	b["usage"] = obj{"input_tokens": prompt, "output_tokens": completion, "total_tokens": prompt + completion,
		"input_tokens_details": obj{"cached_tokens": 0}, "output_tokens_details": obj{"reasoning_tokens": reasoning}}
	return b
}

func (f *form) responseEvents() []string {
	var out []string
	emit := func(kind string, fields obj) {
		fields["type"], fields["sequence_number"] = kind, len(out)
		out = append(out, text(fields))
	}
	emit("response.created", obj{"response": f.response("in_progress")})
	emit("response.in_progress", obj{"response": f.response("in_progress")})
	for i, item := range f.items() {
		added := obj{"id": item["id"], "type": item["type"], "status": "in_progress", "role": "assistant", "content": []any{}, "summary": []any{}}
		if item["type"] == "function_call" {
			added = obj{"id": item["id"], "type": item["type"], "status": "in_progress", "call_id": item["call_id"], "name": item["name"], "arguments": ""}
		}
		emit("response.output_item.added", obj{"output_index": i, "item": added})
		at := func() obj { return obj{"item_id": item["id"], "output_index": i} }
		deltas := func(kind, index, s string) {
			for _, piece := range pieces(s) {
				d := at()
				d[index], d["delta"], d["logprobs"] = 0, piece, []any{}
				emit(kind, d)
			}
		}
		switch item["type"] {
		case "function_call":
			for _, piece := range pieces(item["arguments"].(string)) {
				d := at()
				d["delta"] = piece
				emit("response.function_call_arguments.delta", d)
			}
		case "reasoning":
			deltas("response.reasoning_summary_text.delta", "summary_index", f.reply.Summary)
			if item["content"] != nil {
				deltas("response.reasoning_text.delta", "content_index", f.reply.Reasoning)
			}
		default:
			deltas("response.output_text.delta", "content_index", f.reply.Text)
		}
		done := at()
		done["item"] = item
		emit("response.output_item.done", done)
	}
	whole := f.response("completed")
	emit("response."+whole["status"].(string), obj{"response": whole})
	return out
}
