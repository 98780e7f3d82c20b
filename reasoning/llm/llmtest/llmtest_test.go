package llmtest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"candor/reasoning/llm"
)

// counting is a small language model: it counts on from the prompt's last word, sometimes skips a letter and may end. Of two
// letters of which one is banned it takes the other.
func counting() *Fake {
	const alphabet = "abcdefghijklm"
	return &Fake{Next: func(s *State) (string, float64) {
		last := s.Prompt
		if len(s.Words) > 0 {
			last = s.Words[len(s.Words)-1]
		}
		at := strings.IndexByte(alphabet, last[len(last)-1])
		if at >= len(alphabet)-2 {
			return "", 0
		}
		next, skip := alphabet[at+1:at+2], alphabet[at+2:at+3]
		takes := s.Greedy() || s.Rand.Float64() < .75
		switch banned := s.Banned(); {
		case slices.Contains(banned, next) && slices.Contains(banned, skip):
			return "", 0
		case slices.Contains(banned, next):
			takes = false
		case slices.Contains(banned, skip):
			takes = true
		}
		if takes {
			return next, math.Log(.75)
		}
		return skip, math.Log(.25)
	}}
}

var options = Options{Prompts: []string{"count on from a", "and c", "k"}}

func TestFakeConforms(t *testing.T) {
	Run(t, func(*testing.T) llm.Generator { return counting() }, options)
}

// A fake that calls the tool that it must, or the first.
func TestFakeWithToolsConforms(t *testing.T) {
	tools := options
	tools.Tools = true
	Run(t, func(*testing.T) llm.Generator {
		f := counting()
		f.Calls = func(r llm.Request) []llm.ToolCall {
			name := r.ToolChoice
			if name == llm.ToolAuto || name == llm.ToolRequired {
				name = r.Tools[0].Name
			}
			return []llm.ToolCall{{ID: "call_1", Name: name, Arguments: "{}"}}
		}
		return f
	}, tools)
}

// A fake that knows nothing of bans refuses what it cannot keep to, and nothing else.
func TestFakeRefusesBans(t *testing.T) {
	f := Scripted(func(llm.Request) string { return "one two three one" })
	ask := llm.Request{Messages: []llm.Message{{Role: llm.User, Text: "x"}}, MaxTokens: 9, Ban: []string{"four", "one"}, BanFrom: 1}
	if out, err := f.Generate(t.Context(), []llm.Request{ask}); !errors.Is(err, llm.ErrInvalid) || !strings.Contains(err.Error(), `"one"`) || out != nil {
		t.Errorf("a script with a banned word gave %v, %v", out, err)
	}
	ask.MaxTokens = 3
	if out, err := f.Generate(t.Context(), []llm.Request{ask}); err != nil || out[0].Text != "one two three" {
		t.Errorf("a script without a banned word gave %v, %v", out, err)
	}
	Run(t, func(*testing.T) llm.Generator {
		return refusing{counting()}
	}, Options{Prompts: options.Prompts, NoBans: true})
}

// refusing is a generator that cannot ban words.
type refusing struct{ llm.Generator }

func (g refusing) Generate(ctx context.Context, requests []llm.Request) ([]llm.Completion, error) {
	for i, r := range requests {
		if len(r.Ban) > 0 {
			return nil, &llm.RequestError{Index: i, ID: r.ID, Err: fmt.Errorf("%w: no bans here", llm.ErrInvalid)}
		}
	}
	return g.Generator.Generate(ctx, requests)
}

func TestScripted(t *testing.T) {
	f := Scripted(func(r llm.Request) string { return "one two  three " + r.Prefix })
	ask := llm.Request{Messages: []llm.Message{{Role: llm.User, Text: "x"}}, MaxTokens: 9}
	prefixed := ask
	prefixed.Prefix = "zero"
	short := ask
	short.MaxTokens = 2
	stopped := ask
	stopped.Stop = []string{"three"}
	longest := ask
	longest.Stop = []string{"e tw", "two", "one two"}
	got, err := f.Generate(t.Context(), []llm.Request{ask, prefixed, short, stopped, longest})
	if err != nil {
		t.Fatal(err)
	}
	want := []llm.Completion{
		{Text: "one two three", Finish: llm.FinishStop, PromptTokens: 1, CompletionTokens: 3},
		{Text: " one two three zero", Finish: llm.FinishStop, PromptTokens: 2, CompletionTokens: 4},
		{Text: "one two", Finish: llm.FinishLength, PromptTokens: 1, CompletionTokens: 2},
		{Text: "one two", Finish: llm.FinishStop, Stop: "three", PromptTokens: 1, CompletionTokens: 2},
		{Text: "", Finish: llm.FinishStop, Stop: "one two", PromptTokens: 1, CompletionTokens: 0},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
	if n := len(f.Requests()); n != 5 {
		t.Errorf("%d requests kept", n)
	}
}
