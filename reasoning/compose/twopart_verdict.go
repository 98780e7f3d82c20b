package compose

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"candor/reasoning/llm"
	"candor/reasoning/monitor"
)

// Step is one step of a chain. As with [llm.Token], its texts begin with the space that separates them from what stands
// before, so that the texts of all steps join as they are.
type Step struct {
	// Written is what the reasoner wrote. The last step of a chain may be incomplete.
	Written string
	// Tokens are Written as it was sampled, if the model tells.
	Tokens []llm.Token
	// Rewritten stands in its place for everybody who reads on; the same text where nothing is rewritten.
	Rewritten string
	// Banned are the words that the reasoner could not write here, from word BanFrom on.
	Banned []string
}

// Output is what the face wrote.
type Output struct {
	Text   string
	Calls  []llm.ToolCall // the tools that it wants called
	Tokens []llm.Token    // as sampled, if the model tells
	Finish llm.Finish     // [llm.FinishLength] if it was cut at OutputTokens or by the model's context
}

// Judged returns the output as monitors read it: the text, and each call of a tool as a line of its own, such as
//
//	call send {"to":"anna"}
//
// with the arguments as they were written, but characters that JSON writes as escapes written out.
func (o Output) Judged() string {
	if len(o.Calls) == 0 {
		return o.Text
	}
	var b strings.Builder
	b.WriteString(o.Text)
	for _, c := range o.Calls {
		if b.Len() > 0 {
			b.WriteByte('\n')
		}
		b.WriteString("call " + c.Name + " " + unescape(c.Arguments))
	}
	return b.String()
}

// empty tells whether there is nothing that could be released.
func (o Output) empty() bool { return strings.TrimSpace(o.Text) == "" && len(o.Calls) == 0 }

var jsonString = regexp.MustCompile(`"(?:[^"\\]|\\.)*"`)

// unescape writes out the characters that the strings of a JSON text write as escapes, so that nothing hides in them. What is not
// JSON stays as it is.
func unescape(text string) string {
	if !strings.Contains(text, `\`) {
		return text
	}
	return jsonString.ReplaceAllStringFunc(text, func(s string) string {
		var plain string
		if json.Unmarshal([]byte(s), &plain) != nil {
			return s
		}
		return `"` + plain + `"`
	})
}

// renamed returns tool calls with other IDs. An ID is released with its call and no monitor reads it, so that a model could write in it
// what it likes: it becomes nine letters and digits that depend on it, which every server takes.
func renamed(calls []llm.ToolCall) []llm.ToolCall {
	const ids = 36 * 36 * 36 * 36 * 36 * 36 * 36 * 36 * 36
	out := slices.Clone(calls)
	for i := range out {
		c := &out[i]
		if c.ID == "" {
			c.ID = fmt.Sprintf("%d %q %q", i, c.Name, c.Arguments)
		}
		sum := sha256.Sum256([]byte(c.ID))
		id := strconv.FormatUint(binary.BigEndian.Uint64(sum[:])%ids, 36)
		c.ID = strings.Repeat("0", 9-len(id)) + id
	}
	return out
}

// Transcript is everything that happened on one problem. It is for whoever studies or trains the system; what a user may see
// is [Transcript.Answer], with [Transcript.ReleasedCalls] and [Transcript.ReleasedTokens].
type Transcript struct {
	Prompt Prompt
	Steps  []Step
	// Closed tells whether the reasoner ended its chain, with the stop text Stop or, where that is "", by its model's own end.
	// CloseBanned are the words banned in the call in which it did.
	Closed      bool
	Stop        string
	CloseBanned []string
	// Rewritten tells whether the chain was to be rewritten.
	Rewritten bool
	// Provenance is what the reasoner's chain is by its server's account: of a [Dialogue] whose reasoner keeps it apart. A monitor that
	// reads a summary has judged a summary.
	Provenance llm.Provenance
	// Draft is what the reasoner of a [Dialogue] said beside its chain. Nobody reads it on.
	Draft string
	// Context is all that the output was written from: what the face saw of the prompt and the rewritten chain. "" if nobody
	// was asked for one.
	Context string
	Output  Output
	// Verdicts holds one verdict of each gate, in their order, and Findings what each gate's monitor found; of one that was not
	// run or failed the score is 0, and the note the error, which may have texts of the conversation in it.
	Verdicts []Verdict
	Findings []monitor.Finding
	// Partial is the limit that ended the work early, "" if none did.
	Partial Limit
	// Err is why the chain could not be rewritten, a [*PartError]; nil if it could. Then there is no output.
	Err error
	// Calls and Tokens count the calls of both models and the tokens sampled in them.
	Calls, Tokens int

	private, shown string
	answered       bool // an output was asked for and came back, be it empty
	// These are set by judge alone: nothing that a caller may write lets an output out.
	released bool
	answer   string
	calls    []llm.ToolCall
	tokens   []llm.Token
}

// Private returns the chain as the reasoner wrote it. It ends in the closing word if the reasoner closed it.
func (t *Transcript) Private() string { return t.private }

// Shown returns the chain as it was rewritten, for the reasoner's later steps and for the face.
func (t *Transcript) Shown() string { return t.shown }

// Answered tells whether somebody was asked for an output and gave one, released or not, be it empty.
func (t *Transcript) Answered() bool { return t.answered }

// Released tells whether there is an output and every gate that is on has passed it, or has only advised against it.
func (t *Transcript) Released() bool { return t.released }

// Answer returns the output for the user, "" unless it is released.
func (t *Transcript) Answer() string { return t.answer }

// ReleasedCalls returns the tool calls of the output for the user, none unless it is released.
func (t *Transcript) ReleasedCalls() []llm.ToolCall { return t.calls }

// ReleasedTokens returns the tokens of the answer, if the model tells them; none unless it is released, nor if they make another text.
func (t *Transcript) ReleasedTokens() []llm.Token { return t.tokens }

// release lets the output out.
func (t *Transcript) release() {
	t.released, t.answer, t.calls = true, t.Output.Text, slices.Clone(t.Output.Calls)
	tokens, rest := slices.Clone(t.Output.Tokens), t.answer
	for i := range tokens {
		text := &tokens[i].Text
		if i == 0 && !strings.HasPrefix(rest, *text) { // the space that parts it from what the face read before
			*text = strings.TrimLeftFunc(*text, unicode.IsSpace)
		}
		var ok bool
		if rest, ok = strings.CutPrefix(rest, *text); !ok {
			return
		}
	}
	if rest == "" {
		t.tokens = tokens
	}
}

// View returns what a gate's monitor sees that sees this part.
func (t *Transcript) View(part Part) monitor.View {
	v := monitor.View{Prompt: t.Prompt.Text, Answer: t.Output.Judged()}
	switch part {
	case SeesPrivate:
		v.Chain = t.private
	case SeesShown:
		v.Chain = t.shown
	}
	return v
}

// cutSteps cuts a completion into steps of n tokens, or of n words where the model does not tell its tokens; n = 0 does not
// cut. Their texts join to the completion's.
func cutSteps(c llm.Completion, n int) []Step {
	var steps []Step
	text, tokens := c.Text, c.Tokens
	for n > 0 && (len(tokens) > n || len(c.Tokens) == 0 && text != "") {
		end := 0
		var own []llm.Token
		if len(tokens) > 0 {
			own, tokens = tokens[:n:n], tokens[n:]
			for _, t := range own {
				end += len(t.Text)
			}
			end = min(end, len(text))
		} else {
			end = wordsEnd(text, n)
		}
		steps = append(steps, Step{Written: text[:end], Tokens: own})
		text = text[end:]
	}
	if text != "" || len(tokens) > 0 {
		steps = append(steps, Step{Written: text, Tokens: tokens})
	}
	return steps
}

// wordsEnd returns where the nth word of a text ends, or the text does. White space behind the last word belongs to it.
func wordsEnd(text string, n int) int {
	in := false
	for i, r := range text {
		switch space := unicode.IsSpace(r); {
		case !space:
			in = true
		case in:
			if n--; n == 0 && strings.TrimSpace(text[i:]) != "" {
				return i
			}
			in = false
		}
	}
	return len(text)
}
