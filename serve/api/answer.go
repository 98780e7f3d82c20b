package api

import (
	"fmt"
	"iter"
	"math"
	"net/http"
	"strings"

	"candor/openai"
	"candor/reasoning/llm"
)

// tellLogProbs asks for log-probabilities or not.
func (c *call) tellLogProbs(tell bool) {
	c.logProbs = tell
	for i := range c.Requests {
		c.Requests[i].LogProbs = tell
	}
}

// fit returns what the client may see of a backend's answers: of one that is withheld nothing but the refusal and the counts.
func (c *call) fit(a *Answers) ([]Answer, error) {
	if a == nil || len(a.Answers) != len(c.Requests) {
		return nil, &Fault{Status: http.StatusInternalServerError, Message: fmt.Sprintf("the server failed: it has not %d answers", len(c.Requests))}
	}
	out := make([]Answer, len(a.Answers))
	for i := range out {
		out[i] = fit(a.Answers[i], c.logProbs)
	}
	return out, nil
}

func fit(a Answer, logProbs bool) Answer {
	switch {
	case a.Pending || a.Refusal != "":
		a.Completion = llm.Completion{PromptTokens: a.PromptTokens, CompletionTokens: a.CompletionTokens}
		if a.Refusal == "" {
			a.Refusal = pendingText
		}
	case !logProbs:
		a.Tokens = nil
	}
	return a
}

// finish is finish_reason.
func (a *Answer) finish() string {
	switch {
	case a.Refusal != "":
		return "content_filter"
	case a.Finish == llm.FinishTools:
		return "tool_calls"
	case a.Finish == "":
		return string(llm.FinishStop)
	}
	return string(a.Finish)
}

// count counts the tokens of a call's answers; choices of one prompt share it.
func (c *call) count(out []Answer) *openai.Usage {
	u := new(openai.Usage)
	for i := range out {
		if i%c.N == 0 {
			u.PromptTokens += out[i].PromptTokens
		}
		u.CompletionTokens += out[i].CompletionTokens
	}
	u.TotalTokens = u.PromptTokens + u.CompletionTokens
	return u
}

// stopped tells the stop text that ended a completion.
func stopped(c *llm.Completion) openai.Stopped {
	if c.Stop == "" {
		return openai.Stopped{}
	}
	return openai.Stopped{StopReason: encode(c.Stop)}
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

// pieceBytes is about how long a piece is whose tokens are not known. All of an answer is known when it is streamed, so that small
// pieces would only cost.
const pieceBytes = 64

// pieces cuts a completion for a stream: a token each if they are known, else words. The texts join to its text.
func pieces(c *llm.Completion) iter.Seq[piece] {
	return func(yield func(piece) bool) {
		if len(c.Tokens) > 0 {
			tokenPieces(c, yield)
			return
		}
		for text := c.Text; text != ""; {
			end := len(text)
			if end > pieceBytes {
				if at := strings.IndexByte(text[pieceBytes:], ' '); at >= 0 {
					end = pieceBytes + at
				}
			}
			if !yield(piece{text: text[:end]}) {
				return
			}
			text = text[end:]
		}
	}
}

func tokenPieces(c *llm.Completion, yield func(piece) bool) {
	rest := c.Text
	for i := range c.Tokens {
		if !strings.HasPrefix(rest, c.Tokens[i].Text) {
			rest = "?" // they do not join to the text
			break
		}
		rest = rest[len(c.Tokens[i].Text):]
	}
	if rest != "" { // a stop text ended it within a token
		yield(piece{c.Text, c.Tokens})
		return
	}
	for i := range c.Tokens {
		if !yield(piece{c.Tokens[i].Text, c.Tokens[i : i+1]}) {
			return
		}
	}
}
