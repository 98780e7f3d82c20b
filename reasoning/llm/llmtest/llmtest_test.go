package llmtest

import (
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"candor/reasoning/llm"
)

// counting is a small language model: it counts on from the prompt's last word, sometimes skips a letter and may end.
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
		if s.Greedy() || s.Rand.Float64() < .75 {
			return alphabet[at+1 : at+2], math.Log(.75)
		}
		return alphabet[at+2 : at+3], math.Log(.25)
	}}
}

var options = Options{Prompts: []string{"count on from a", "and c", "k"}}

func TestFakeConforms(t *testing.T) {
	Run(t, func(*testing.T) llm.Generator { return counting() }, options)
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
	got, err := f.Generate(t.Context(), []llm.Request{ask, prefixed, short, stopped})
	if err != nil {
		t.Fatal(err)
	}
	want := []llm.Completion{
		{Text: "one two three", Finish: llm.FinishStop, PromptTokens: 1, CompletionTokens: 3},
		{Text: " one two three zero", Finish: llm.FinishStop, PromptTokens: 2, CompletionTokens: 4},
		{Text: "one two", Finish: llm.FinishLength, PromptTokens: 1, CompletionTokens: 2},
		{Text: "one two", Finish: llm.FinishStop, PromptTokens: 1, CompletionTokens: 2},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
	if n := len(f.Requests()); n != 4 {
		t.Errorf("%d requests kept", n)
	}
}
