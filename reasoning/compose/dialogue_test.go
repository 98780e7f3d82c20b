package compose

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"candor/internal/rng"
	"candor/reasoning/llm"
	"candor/reasoning/monitor"
)

// talker is a chat model that keeps what it was asked.
type talker struct {
	reply func(llm.Request) llm.Completion

	mu    sync.Mutex
	asked []llm.Request
}

func (m *talker) Generate(ctx context.Context, requests []llm.Request) ([]llm.Completion, error) {
	out := make([]llm.Completion, len(requests))
	for i, r := range requests {
		if err := r.Validate(); err != nil {
			return nil, &llm.RequestError{Index: i, ID: r.ID, Err: err}
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		out[i] = m.reply(r)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.asked = append(m.asked, requests...)
	return out, nil
}

func (m *talker) requests() []llm.Request {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.asked)
}

// thought is what a model writes that keeps its chain apart.
func thought(chain, text string) llm.Completion {
	return llm.Completion{Reasoning: chain, Provenance: llm.Raw, Text: text, Finish: llm.FinishStop, CompletionTokens: 3}
}

func says(text string) func(llm.Request) llm.Completion {
	return func(llm.Request) llm.Completion {
		return llm.Completion{Text: text, Finish: llm.FinishStop, CompletionTokens: 2}
	}
}

func calls(list ...llm.ToolCall) func(llm.Request) llm.Completion {
	return func(llm.Request) llm.Completion {
		return llm.Completion{Calls: list, Finish: llm.FinishTools, CompletionTokens: 1}
	}
}

func talk(reasoner, face func(llm.Request) llm.Completion) Dialogue {
	d := Dialogue{Reasoner: &talker{reply: reasoner}, ReasonerTokens: 100, OutputTokens: 50, Temperature: .7}
	if face != nil {
		d.Face = &talker{reply: face}
	}
	return d
}

func asking(messages ...llm.Message) Prompt {
	return Prompt{ID: "p", Seed: 7, Ask: &llm.Request{Messages: messages, MaxTokens: 20, Temperature: .3}}
}

func user(text string) llm.Message { return llm.Message{Role: llm.User, Text: text} }

func dialogue(t *testing.T, d Dialogue, prompts ...Prompt) []Transcript {
	t.Helper()
	out, err := d.Solve(t.Context(), prompts)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// upper is a paraphraser that puts every word in capitals.
var upper = RuleParaphraser{Label: "upper", Rewrite: func(step string, _ *rng.Source) string { return strings.ToUpper(step) }}

func TestDialogue(t *testing.T) {
	d := talk(func(llm.Request) llm.Completion { return thought("first a\n\nthen b\n", "draft") }, func(llm.Request) llm.Completion {
		return llm.Completion{Text: "it is c", Tokens: []llm.Token{{Text: "it"}, {Text: " is c"}}, Finish: llm.FinishStop, CompletionTokens: 2}
	})
	d.Paraphrase, d.Cut, d.Instruct, d.Policy = upper, CutParagraphs, "Think well.", "Be kind."
	d.View = func(messages []llm.Message) []llm.Message {
		for i := range messages {
			messages[i].Text = strings.ReplaceAll(messages[i].Text, " hidden", "")
		}
		return messages
	}
	var views []monitor.View
	for _, part := range []Part{SeesPrivate, SeesShown, SeesOutput} {
		d.Gates = append(d.Gates, Gate{Monitor: monitor.Local(spy{views: &views}), Threshold: .5, Sees: part})
	}
	p := asking(llm.Message{Role: llm.System, Text: "You are old."}, user("what is hidden c?"))
	p.Ask.TopP, p.Ask.TopK, p.Ask.Stop, p.Ask.LogProbs = .9, 5, []string{"STOP"}, true
	got := dialogue(t, d, p)[0]

	r := d.Reasoner.(*talker).requests()[0]
	if want := []llm.Message{{Role: llm.System, Text: "Think well.\n\nYou are old."}, user("what is hidden c?")}; !reflect.DeepEqual(r.Messages, want) ||
		r.MaxTokens != 100 || r.Temperature != .7 || r.TopP != 0 || r.Stop != nil {
		t.Errorf("the reasoner was asked %+v", r)
	}
	f := d.Face.(*talker).requests()[0]
	if len(f.Messages) != 2 || f.Messages[1].Text != "what is c?" || f.MaxTokens != 20 || f.Temperature != .3 || f.TopP != .9 || f.TopK != 5 ||
		!slices.Equal(f.Stop, []string{"STOP"}) || !f.LogProbs || f.Seed == r.Seed {
		t.Errorf("the face was asked %+v", f)
	}
	system := f.Messages[0].Text
	for _, want := range []string{"Be kind.\n\n", "\n\n> FIRST A\n> \n> THEN B\n\n", "\n\nYou are old."} {
		if !strings.Contains(system, want) {
			t.Errorf("%q is not in what the face read: %q", want, system)
		}
	}
	for _, never := range []string{"first a", "then b", "draft", "hidden"} {
		if strings.Contains(system+f.Messages[1].Text+got.Context, never) {
			t.Errorf("the face read %q: %q", never, got.Context)
		}
	}
	if got.Context != "system: "+system+"\n\nuser: what is c?" {
		t.Errorf("context %q", got.Context)
	}
	if got.Private() != "first a\n\nthen b\n" || got.Shown() != "FIRST A\n\nTHEN B" || got.Draft != "draft" || !got.Closed || !got.Rewritten ||
		got.Calls != 2 || got.Tokens != 5 || len(got.Steps) != 2 || got.Steps[0].Written+got.Steps[1].Written != got.Private() || got.Steps[0].Rewritten+got.Steps[1].Rewritten != got.Shown() {
		t.Errorf("transcript %+v", got)
	}
	if got.Answer() != "it is c" || len(got.ReleasedTokens()) != 2 || p.Ask.Messages[1].Text != "what is hidden c?" {
		t.Errorf("answer %q, tokens %v, conversation %v", got.Answer(), got.ReleasedTokens(), p.Ask.Messages)
	}
	for i, chain := range []string{got.Private(), got.Shown(), ""} {
		if want := (monitor.View{Prompt: "system: You are old.\n\nuser: what is hidden c?", Chain: chain, Answer: "it is c"}); views[i] != want {
			t.Errorf("gate %d saw %+v, want %+v", i, views[i], want)
		}
	}
}

// What the chain is, by what the reasoner keeps apart.
func TestDialogueChain(t *testing.T) {
	for _, tc := range []struct {
		name                  string
		c                     llm.Completion
		chain, draft, context string
	}{
		{"apart", thought("a", "b"), "a", "b", "> a\n"},
		{"in the text", llm.Completion{Text: "a so b", Finish: llm.FinishStop}, "a so b", "", "> a so b\n"},
		{"not shown", llm.Completion{Text: "b", Provenance: llm.Absent, Finish: llm.FinishStop}, "b", "", "> b\n"},
		{"leaked", llm.Completion{Reasoning: "a", Text: "a2</think>b", Provenance: llm.Leaked, Finish: llm.FinishStop}, "a\n\na2</think>b", "", "> a\n> \n> a2</think>b"},
		{"nothing", llm.Completion{Finish: llm.FinishStop}, "", "", ""},
		{"a call that it cannot make", llm.Completion{Reasoning: "a", Provenance: llm.Raw, Calls: []llm.ToolCall{{Name: "f", Arguments: "{}"}}, Finish: llm.FinishTools}, "a", "call f {}", "> a\n"},
	} {
		d := talk(func(llm.Request) llm.Completion { return tc.c }, says("so"))
		got := dialogue(t, d, asking(user("q")))[0]
		if got.Private() != tc.chain || got.Shown() != tc.chain || got.Draft != tc.draft || got.Answer() != "so" ||
			!strings.Contains(got.Context, tc.context) || tc.context == "" && strings.Contains(got.Context, "notes") {
			t.Errorf("%s: chain %q, draft %q, context %q", tc.name, got.Private(), got.Draft, got.Context)
		}
	}
}

// A chain that was cut goes to no face, and without an answer nothing is asked of monitors.
func TestDialogueCut(t *testing.T) {
	long := func(llm.Request) llm.Completion {
		c := thought("on and on", "")
		c.Finish = llm.FinishLength
		return c
	}
	d := talk(long, says("never"))
	d.Paraphrase = failingParaphraser{errors.New("never asked")}
	d.Gates = []Gate{{Monitor: broken(0), Threshold: 1, Sees: SeesOutput}}
	got := dialogue(t, d, asking(user("q")))[0]
	if got.Partial != LimitCompletion || got.Closed || got.Released() || got.Context != "" || got.Private() != "on and on" || got.Shown() != "" || got.Err != nil ||
		got.Verdicts[0].State != NotRun || len(d.Face.(*talker).requests()) > 0 {
		t.Errorf("transcript %+v", got)
	}
	alone := talk(long, nil)
	if got := dialogue(t, alone, asking(user("q")))[0]; got.Partial != LimitCompletion || got.Released() || got.Answer() != "" {
		t.Errorf("without a face: %+v", got)
	}
	short := talk(says("chain"), func(llm.Request) llm.Completion { return llm.Completion{Text: "cut sho", Finish: llm.FinishLength} })
	if got := dialogue(t, short, asking(user("q")))[0]; got.Partial != "" || got.Answer() != "cut sho" || got.Output.Finish != llm.FinishLength {
		t.Errorf("a short output: %+v", got)
	}
}

func TestDialogueWithoutFace(t *testing.T) {
	d := talk(func(llm.Request) llm.Completion { return thought("a", "b") }, nil)
	d.Instruct = "Think."
	p := asking(user("q"))
	p.Ask.Tools = []llm.ToolSpec{{Name: "f"}}
	got := dialogue(t, d, p)[0]
	r := d.Reasoner.(*talker).requests()[0]
	if got.Answer() != "b" || got.Private() != "a" || got.Draft != "" || got.Context != "system: Think.\n\nuser: q\n\ntool f: " || r.MaxTokens != 120 || r.Temperature != .3 || len(r.Tools) != 1 || got.Calls != 1 {
		t.Errorf("asked %+v: %+v", r, got)
	}
}

func TestDialogueTools(t *testing.T) {
	d := talk(says("look it up"), calls(llm.ToolCall{ID: "my secret", Name: "find", Arguments: `{"q":"\u0062omb","q":"b\\\"x"}`}))
	var views []monitor.View
	watch := spy{views: &views}
	d.Gates = []Gate{{Monitor: monitor.Local(&watch), Threshold: .5, Sees: SeesOutput}}
	p := asking(user("q"), llm.Message{Role: llm.Assistant, Calls: []llm.ToolCall{{ID: "1", Name: "find", Arguments: "{}"}}},
		llm.Message{Role: llm.Tool, CallID: "1", Text: "nothing"}, user("go on"))
	p.Ask.Tools = []llm.ToolSpec{{Name: "find", Description: "Finds it.", Schema: []byte(`{"type":"object"}`)}}
	p.Ask.ToolChoice = llm.ToolRequired

	got := dialogue(t, d, p)[0]
	if views[0].Answer != `call find {"q":"bomb","q":"b\"x"}` {
		t.Errorf("the monitor saw %q", views[0].Answer)
	}
	released := got.ReleasedCalls()
	if !got.Released() || got.Answer() != "" || len(released) != 1 || released[0].Name != "find" || released[0].Arguments != got.Output.Calls[0].Arguments ||
		len(released[0].ID) != 9 || strings.Trim(released[0].ID, "0123456789abcdefghijklmnopqrstuvwxyz") != "" {
		t.Errorf("released %+v", released)
	}
	got.Output.Calls[0].Name = "forged"
	if got.ReleasedCalls()[0].Name != "find" {
		t.Error("writing into the output changes what is released")
	}
	r, f := d.Reasoner.(*talker).requests()[0], d.Face.(*talker).requests()[0]
	if len(r.Tools) > 0 || r.ToolChoice != "" || len(f.Tools) != 1 || f.ToolChoice != llm.ToolRequired {
		t.Errorf("the reasoner has tools %+v, the face %+v", r.Tools, f.Tools)
	}
	for _, want := range []string{"tool find: Finds it.", `{"type":"object"}`, "At least one must be called."} {
		if !strings.Contains(r.Messages[0].Text, want) {
			t.Errorf("%q is not in what the reasoner read: %q", want, r.Messages[0].Text)
		}
	}
	if want := []llm.Message{user("q"), {Role: llm.Assistant, Text: "call find {}"}, user("result of find:\nnothing\n\ngo on")}; !reflect.DeepEqual(r.Messages[1:], want) {
		t.Errorf("the reasoner read %+v", r.Messages[1:])
	}
	if !reflect.DeepEqual(f.Messages[1:], p.Ask.Messages) {
		t.Errorf("the face read %+v", f.Messages[1:])
	}

	watch.score = 1
	if got := dialogue(t, d, p)[0]; got.Released() || got.ReleasedCalls() != nil || len(got.Output.Calls) != 1 {
		t.Errorf("a call got out: %+v", got.ReleasedCalls())
	}
	if forged := (Transcript{Output: Output{Calls: released}}); forged.ReleasedCalls() != nil || forged.ReleasedTokens() != nil {
		t.Error("a call got out of a transcript that nobody judged")
	}
	p.Ask.Tools, p.Ask.ToolChoice = nil, ""
	if _, err := d.Solve(t.Context(), []Prompt{p}); err == nil || !strings.Contains(err.Error(), "dialogue, face: the model called a tool") {
		t.Errorf("a call without tools gave error %v", err)
	}
}

// Tokens that make another text than the one that was judged are not released.
func TestReleasedTokens(t *testing.T) {
	for _, tc := range []struct {
		text   string
		tokens []string
		want   []string
	}{
		{"it is", []string{"it", " is"}, []string{"it", " is"}},
		{"it is", []string{" it", " is"}, []string{"it", " is"}},
		{"it is", []string{"it", " is", " not"}, nil},
		{"it is", []string{"it"}, nil},
		{"it is", []string{"the", " bomb"}, nil},
		{"it is", nil, nil},
	} {
		d := talk(says("chain"), func(llm.Request) llm.Completion {
			c := llm.Completion{Text: tc.text, Finish: llm.FinishStop}
			for _, text := range tc.tokens {
				c.Tokens = append(c.Tokens, llm.Token{Text: text})
			}
			return c
		})
		got := dialogue(t, d, asking(user("q")))[0]
		var texts []string
		for _, token := range got.ReleasedTokens() {
			texts = append(texts, token.Text)
		}
		if !slices.Equal(texts, tc.want) {
			t.Errorf("%q of %q releases %q, want %q", tc.text, tc.tokens, texts, tc.want)
		}
	}
}

func TestDialogueEmptyOutput(t *testing.T) {
	d := talk(says("chain"), says(" \n"))
	if got := dialogue(t, d, asking(user("q")))[0]; got.Released() {
		t.Errorf("an empty output is released: %+v", got.Output)
	}
}

// A transcript depends on its own prompt alone.
func TestDialogueInCompany(t *testing.T) {
	write := func(r llm.Request) llm.Completion {
		return llm.Completion{Text: fmt.Sprint(r.Seed, r.Messages[len(r.Messages)-1].Text), Finish: llm.FinishStop}
	}
	d := talk(write, write)
	d.Paraphrase, d.Cut = RuleParaphraser{Rewrite: reword}, CutLines
	var prompts []Prompt
	for i := range 5 {
		p := asking(user(fmt.Sprint("q", i/2)))
		p.Seed = uint64(i)
		prompts = append(prompts, p)
	}
	all := dialogue(t, d, prompts...)
	for i := range prompts {
		if alone := dialogue(t, d, prompts[i])[0]; !reflect.DeepEqual(alone, all[i]) {
			t.Errorf("alone %+v, in company %+v", alone, all[i])
		}
	}
	if all[0].Output.Text == all[1].Output.Text || all[0].Shown() == all[1].Shown() {
		t.Errorf("other seeds give the same: %+v and %+v", all[0], all[1])
	}
}

func TestDialogueErrors(t *testing.T) {
	down := &talker{reply: says("")}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for _, tc := range []struct {
		name  string
		spoil func(*Dialogue, *Prompt)
		ctx   context.Context
		part  string
		want  string
	}{
		{"reasoner down", func(d *Dialogue, _ *Prompt) { d.Reasoner = failingModel{errors.New("down")} }, nil, PartReasoner, "dialogue, reasoner: down"},
		{"face down", func(d *Dialogue, _ *Prompt) { d.Face = failingModel{errors.New("down")} }, nil, PartFace, "dialogue, face: down"},
		{"too few", func(d *Dialogue, _ *Prompt) { d.Face = short{down} }, nil, PartFace, "dialogue, face: the model gave 0 completions for 1 requests"},
		{"no reason", func(d *Dialogue, _ *Prompt) { d.Reasoner = unending{} }, nil, PartReasoner, `dialogue, reasoner: the model ended a completion for the reason ""`},
		{"cancelled", func(*Dialogue, *Prompt) {}, cancelled, PartReasoner, "dialogue, reasoner: context canceled"},
		{"bad cut", func(d *Dialogue, _ *Prompt) { d.Cut = func(string) []string { return []string{"ch", "ai"} } }, nil, PartReasoner, "dialogue, reasoner: the steps that Cut returned"},
		{"no messages", func(_ *Dialogue, p *Prompt) { p.Ask.Messages = nil }, nil, "", "dialogue: request 0 (p): invalid request: there are no messages"},
		{"prefix", func(_ *Dialogue, p *Prompt) { p.Ask.Prefix = "x" }, nil, "", "dialogue: request 0 (p): invalid request: a dialogue takes no prefix"},
		{"bad role", func(_ *Dialogue, p *Prompt) { p.Ask.Messages[0].Role = "boss" }, nil, "", `dialogue: request 0 (p): invalid request: message 0 has role "boss"`},
		{"bad length", func(_ *Dialogue, p *Prompt) { p.Ask.MaxTokens = -1 }, nil, "", "dialogue: request 0 (p): invalid request: MaxTokens is -1"},
		{"no reasoner", func(d *Dialogue, _ *Prompt) { d.Reasoner = nil }, nil, "", "dialogue: the Reasoner is nil"},
		{"no tokens", func(d *Dialogue, _ *Prompt) { d.ReasonerTokens, d.OutputTokens = 0, 0 }, nil, "", "dialogue: OutputTokens is 0, must be at least 1\nReasonerTokens is 0"},
		{"hot", func(d *Dialogue, _ *Prompt) { d.Temperature = 101 }, nil, "", "dialogue: the Temperature is 101"},
		{"nothing to hide it from", func(d *Dialogue, _ *Prompt) { d.Face, d.Policy = nil, "be kind" }, nil, "", "dialogue: View, Paraphrase and Policy are for a face"},
	} {
		d, p := talk(says("chain"), says("so")), asking(user("q"))
		tc.spoil(&d, &p)
		ctx := tc.ctx
		if ctx == nil {
			ctx = t.Context()
		}
		out, err := d.Solve(ctx, []Prompt{p})
		if out != nil || err == nil || !strings.HasPrefix(err.Error(), tc.want) {
			t.Errorf("%s: %v, error %v, want one that begins with %q", tc.name, out, err, tc.want)
		}
		var part *PartError
		if errors.As(err, &part); (part == nil) != (tc.part == "") || part != nil && part.Part != tc.part {
			t.Errorf("%s: the part is %+v, want %q", tc.name, part, tc.part)
		}
		if strings.Contains(tc.want, "invalid request") != errors.Is(err, llm.ErrInvalid) || (tc.ctx != nil) != errors.Is(err, context.Canceled) {
			t.Errorf("%s: error %v wraps the wrong errors", tc.name, err)
		}
	}
	if _, err := plain(reasoner(), short{face()}).Solve(t.Context(), twoPartPrompts(1)); !errors.As(err, new(*PartError)) {
		t.Errorf("the lab's system gives error %v", err)
	}
}

type failingModel struct{ err error }

func (m failingModel) Generate(context.Context, []llm.Request) ([]llm.Completion, error) {
	return nil, m.err
}
