package api

import (
	"math"
	"net/http"
	"strings"

	"candor/openai"
	"candor/reasoning/llm"
)

// generate answers a call; what it returns as an error is for the client.
func (s *Server) generate(r *http.Request, c *call) ([]llm.Completion, error) {
	for i := range c.requests {
		c.requests[i].LogProbs = c.logProbs
	}
	out, err := s.batch.generate(r.Context(), c.requests)
	if err != nil {
		return nil, failed(r.Context(), err)
	}
	return out, nil
}

// usage counts the tokens of a call's completions; choices of one prompt share it.
func (c *call) count(out []llm.Completion) *openai.Usage {
	u := new(openai.Usage)
	for i, o := range out {
		if i%c.n == 0 {
			u.PromptTokens += o.PromptTokens
		}
		u.CompletionTokens += o.CompletionTokens
	}
	u.TotalTokens = u.PromptTokens + u.CompletionTokens
	return u
}

// stopped tells the stop text that ended a completion.
func stopped(c llm.Completion) openai.Stopped {
	if c.Stop == "" {
		return openai.Stopped{}
	}
	raw, _ := encode(c.Stop)
	return openai.Stopped{StopReason: raw}
}

// tokenLogProb tells a token.
func tokenLogProb(t llm.Token) openai.TokenLogProb {
	p := openai.TokenLogProb{Token: t.Text, LogProb: finite(t.LogProb), Bytes: make([]int, len(t.Text))}
	for i := range len(t.Text) {
		p.Bytes[i] = int(t.Text[i])
	}
	return p
}

// finite makes a log-probability one that JSON can tell; OpenAI has the same number for the impossible.
func finite(logProb float64) float64 {
	if math.IsNaN(logProb) || math.IsInf(logProb, 0) {
		return -9999
	}
	return logProb
}

func tokenLogProbs(tokens []llm.Token) []openai.TokenLogProb {
	out := make([]openai.TokenLogProb, len(tokens))
	for i, t := range tokens {
		out[i] = tokenLogProb(t)
	}
	return out
}

// piece is what one event of a stream adds.
type piece struct {
	text   string
	tokens []llm.Token
}

// pieces cuts a completion for a stream. The texts join to its text.
func pieces(c llm.Completion) []piece {
	var joined strings.Builder
	var out []piece
	for i, t := range c.Tokens {
		joined.WriteString(t.Text)
		out = append(out, piece{t.Text, c.Tokens[i : i+1]})
	}
	switch {
	case c.Text == "" && len(c.Tokens) == 0:
		return nil
	case joined.String() == c.Text:
		return out
	case len(c.Tokens) > 0: // a stop text ended it within a token
		return []piece{{c.Text, c.Tokens}}
	}
	out = nil
	for text := c.Text; text != ""; {
		end := strings.IndexByte(text[1:], ' ') + 1
		if end == 0 {
			end = len(text)
		}
		out = append(out, piece{text: text[:end]})
		text = text[end:]
	}
	return out
}

// events writes a stream of server-sent events. The first error is kept and the rest not written; it is not told, since
// it means that the client is gone.
type events struct {
	w   http.ResponseWriter
	err error
}

// stream begins a stream.
func (s *Server) stream(w http.ResponseWriter) *events {
	s.deadline(w)
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusOK)
	return &events{w: w}
}

// deadline bounds how long a client may take to read its answer.
func (s *Server) deadline(w http.ResponseWriter) {
	_ = http.NewResponseController(w).SetWriteDeadline(s.Clock().Add(writeTimeout)) // not every ResponseWriter has one
}

// send writes an event; name is "" for one without.
func (e *events) send(name string, v any) {
	var data []byte
	if e.err == nil {
		data, e.err = encode(v)
	}
	if name != "" {
		e.raw("event: " + name + "\n")
	}
	e.raw("data: " + string(data) + "\n\n")
}

func (e *events) done() { e.raw("data: [DONE]\n\n") }

func (e *events) raw(text string) {
	if e.err == nil {
		_, e.err = e.w.Write([]byte(text))
	}
}

// reply writes an answer that is not streamed.
func (s *Server) reply(w http.ResponseWriter, v any) {
	s.deadline(w)
	write(w, http.StatusOK, v)
}
