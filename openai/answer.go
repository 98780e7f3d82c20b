package openai

import (
	"strings"

	"candor/reasoning/llm"
)

// shown is what an answer shows of text and thoughts, as the server tells them apart.
type shown struct {
	text, thoughts string
	kind           llm.Provenance // of thoughts; "" if there are none
	encrypted      bool           // there are thoughts that cannot be read
	announced      bool           // tokens were counted as thoughts
	late           bool           // thoughts came after text
	refusal        string
	tool           bool // a tool is called
	calls          []llm.ToolCall
	odd            error // calls that could not be read
}

// fields reads what a chat message shows.
func (m *ChatMessage) fields(late bool) shown {
	s := shown{text: m.Content.Text, late: late, tool: isSet(m.ToolCalls)}
	s.calls, s.odd = m.Calls()
	if m.Refusal != nil {
		s.refusal = *m.Refusal
	}
	note := func(text string, kind llm.Provenance) {
		if strings.TrimSpace(text) != "" && s.thoughts == "" {
			s.thoughts, s.kind = text, kind
		}
	}
	// The details come first, since they say of what kind they are; what other fields show beside them is the same.
	var raw, summary strings.Builder
	for _, d := range m.ReasoningDetails {
		raw.WriteString(d.Text)
		summary.WriteString(d.Summary)
		s.encrypted = s.encrypted || d.Data != ""
	}
	note(raw.String(), llm.Raw)
	note(summary.String(), llm.Summary)
	for _, field := range []*string{m.Reasoning, m.ReasoningContent} {
		if field != nil {
			note(*field, llm.Raw)
		}
	}
	note(m.Content.Thinking, llm.Raw)
	return s
}

// items reads what a response shows.
func (r *Response) items() (s shown, tokens []TokenLogProb) {
	var text []string
	var raw, summary []string
	for _, item := range r.Output {
		switch item.Type {
		case "reasoning":
			if thought := joined(item.Content, ""); thought != "" {
				raw = append(raw, thought)
				s.late = s.late || strings.TrimSpace(strings.Join(text, "")) != ""
			}
			if account := joined(item.Summary, "\n\n"); account != "" {
				summary = append(summary, account)
			}
			s.encrypted = s.encrypted || item.EncryptedContent != nil && *item.EncryptedContent != ""
		case "function_call":
			s.tool = true
			c := llm.ToolCall{ID: item.CallID, Name: item.Name}
			if item.Arguments != nil {
				c.Arguments = *item.Arguments
			}
			s.calls = append(s.calls, c)
		case "message", "":
			for _, p := range item.Content {
				text = append(text, p.Text)
				s.refusal += p.Refusal
				tokens = append(tokens, p.LogProbs...)
			}
		default:
			s.tool = s.tool || strings.HasSuffix(item.Type, "_call")
		}
	}
	s.text = strings.Join(text, "")
	switch {
	case len(raw) > 0:
		s.thoughts, s.kind = strings.Join(raw, "\n\n"), llm.Raw
	case len(summary) > 0:
		s.thoughts, s.kind = strings.Join(summary, "\n\n"), llm.Summary
	}
	return s, tokens
}

// settle decides what of an answer is text and what thought, and of what kind the thoughts are.
func (c Capabilities) settle(r llm.Request, s shown, finish llm.Finish) (text, thoughts string, kind llm.Provenance) {
	if !c.apart() && strings.TrimSpace(s.thoughts) == "" && !s.encrypted && !s.announced {
		return s.text, "", ""
	}
	open, end := c.tags()
	s.thoughts = withoutMarks(s.thoughts, open, end)
	carried := r.Reasoning != "" || r.Concluded
	if r.Concluded && s.thoughts != "" && len(s.calls) == 0 && strings.TrimSpace(s.text) == "" {
		// The thoughts had ended in the prompt, where the server's parser did not look: it took the answer for thoughts.
		return s.thoughts, "", llm.Raw
	}
	inside := !r.Concluded && (r.Reasoning != "" || c.Opened || c.opens())
	tagged := c.Reasoning == ThinkTags
	if !tagged && c.Reasoning != NoReasoning {
		tagged = strings.Contains(s.text, end) || strings.HasPrefix(strings.TrimSpace(s.text), open)
	}
	var parted split
	if tagged {
		parted = splitThoughts(s.text, open, end, inside && s.thoughts == "")
	} else {
		parted.text = s.text
		if r.Reasoning != "" && !r.Concluded && s.thoughts == "" && finish == llm.FinishLength {
			// Nothing says whether the model was still thinking. An answer this long would have ended.
			parted = split{thoughts: s.text, leaked: true}
		}
	}
	text = parted.text
	if r.Prefix == "" && (s.thoughts != "" || parted.tagged) {
		text = strings.TrimLeft(text, "\r\n")
	}
	thoughts = joinNonempty([]string{s.thoughts, parted.thoughts})
	if thoughts != "" && !carried {
		thoughts = strings.TrimLeft(thoughts, "\r\n")
	}
	if parted.tagged || s.thoughts != "" {
		thoughts = strings.TrimRight(thoughts, "\r\n")
	}
	kind = s.kind
	switch {
	case strings.TrimSpace(thoughts) == "" && (carried || parted.tagged):
		kind = llm.Raw // there are none, or none more
	case strings.TrimSpace(thoughts) == "" && s.encrypted:
		kind = llm.Encrypted
	case strings.TrimSpace(thoughts) == "":
		kind = llm.Absent
	case kind == llm.Summary || c.Provenance == llm.Summary:
		kind = llm.Summary
	case parted.leaked, s.late, s.thoughts != "" && parted.thoughts != "", c.Provenance == llm.Leaked:
		kind = llm.Leaked
	default:
		kind = llm.Raw
	}
	return text, thoughts, kind
}

// withoutMarks takes away the marks that some servers leave at the ends of their field for thoughts.
func withoutMarks(s, open, end string) string {
	if t, ok := strings.CutPrefix(strings.TrimLeft(s, " \r\n"), open); ok {
		s = t
	}
	if t, ok := strings.CutSuffix(strings.TrimRight(s, " \r\n"), end); ok {
		s = t
	}
	return s
}

// finish translates a finish_reason.
func finish(reason string) llm.Finish {
	switch strings.ToLower(reason) {
	case "length", "max_tokens", "max_output_tokens", "model_length":
		return llm.FinishLength
	}
	return llm.FinishStop
}

// firstOf returns where the earliest of some texts begins in s and which it is; -1 if none is there.
func firstOf(s string, texts []string) (at int, which string) {
	at = -1
	for _, t := range texts {
		if i := strings.Index(s, t); i >= 0 && (at < 0 || i < at) {
			at, which = i, t
		}
	}
	return at, which
}

// tokensOf returns the tokens that spell text, which stands at or near the end of what all of them spell; nil if it does not. One
// that reaches over its edges is cut there.
func tokensOf(all []TokenLogProb, text string) []llm.Token {
	if text == "" || len(all) == 0 {
		return nil
	}
	spelled := make([]string, len(all))
	for i, t := range all {
		spelled[i] = t.Token
		if len(t.Bytes) > 0 {
			raw := make([]byte, len(t.Bytes))
			for k, b := range t.Bytes {
				raw[k] = byte(b)
			}
			spelled[i] = string(raw)
		}
	}
	start := strings.LastIndex(strings.Join(spelled, ""), text)
	if start < 0 {
		return nil
	}
	var out []llm.Token
	at, end := 0, start+len(text)
	for i, s := range spelled {
		from, to := max(at, start), min(at+len(s), end)
		if from < to {
			out = append(out, llm.Token{Text: s[from-at : to-at], LogProb: all[i].LogProb})
		}
		at += len(s)
	}
	return out
}

// tokens returns the log-probabilities of a completion in one form.
func (l *CompletionLogProbs) tokens() []TokenLogProb {
	if l == nil {
		return nil
	}
	if len(l.Content) > 0 {
		return l.Content
	}
	var out []TokenLogProb
	for i, t := range l.Tokens {
		if i < len(l.TokenLogProbs) && l.TokenLogProbs[i] != nil {
			out = append(out, TokenLogProb{Token: t, LogProb: *l.TokenLogProbs[i]})
		}
	}
	return out
}
