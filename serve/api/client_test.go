package api

import (
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"candor/openai"
	"candor/reasoning/llm"
	"candor/reasoning/llm/llmtest"
)

// remote is a model behind a server, by candor's own client.
func remote(t *testing.T, s *Server, capabilities openai.Capabilities) llm.Generator {
	t.Helper()
	transport := &http.Transport{MaxIdleConnsPerHost: 256}
	t.Cleanup(transport.CloseIdleConnections)
	c, err := openai.NewClient(openai.Options{BaseURL: start(t, s) + "/v1", HTTP: &http.Client{Transport: transport}, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	g, err := openai.NewGenerator(c, s.Models[0].Name, capabilities)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// ways are those by which candor's client can ask this server.
func ways() map[string]openai.Capabilities {
	all := map[string]openai.Capabilities{}
	for name, stream := range map[string]bool{"": false, " streamed": true} {
		plain := openai.Capabilities{Stream: stream, Reasoning: openai.NoReasoning, Seeds: true, LogProbs: true, TopK: true}
		chat, field, completions := plain, plain, plain
		chat.API, chat.Continue = openai.ChatAPI, openai.Prefill
		field.API, field.Continue = openai.ChatAPI, openai.ContinueFinalMessage
		completions.API, completions.Continue, completions.Template = openai.CompletionsAPI, openai.RawTemplate, "plain"
		all["chat"+name], all["chat by field"+name], all["completions"+name] = chat, field, completions
	}
	return all
}

// A model behind this server is a generator like any other.
func TestConformance(t *testing.T) {
	for _, name := range []string{"chat streamed", "completions"} { // the others are TestServedGivesTheSame's
		capabilities := ways()[name]
		t.Run(name, func(t *testing.T) {
			s := newServer(t, words(), nil)
			llmtest.Run(t, func(t *testing.T) llm.Generator { return remote(t, s, capabilities) },
				llmtest.Options{Prompts: []string{"count on from a", "and c", "k"}, NoBans: true})
		})
	}
}

// What comes back over the chat protocol is the generator's own completion, but for the model's name.
func TestServedGivesTheSame(t *testing.T) {
	s := newServer(t, words(), nil)
	for name, capabilities := range ways() {
		if capabilities.API != openai.ChatAPI {
			continue // raw prompts are no messages
		}
		g := remote(t, s, capabilities)
		for seed := range uint64(20) {
			r := llm.Request{
				Messages: []llm.Message{{Role: llm.System, Text: "count"}, {Role: llm.User, Text: "a"}}, Prefix: []string{"", "b", "b "}[seed%3],
				MaxTokens: 3 + int(seed), Temperature: 1, Seed: seed, LogProbs: true, Stop: [][]string{nil, {"j"}, {"never", "h i"}}[seed%3],
			}
			want := direct(t, r)
			want.Model = s.Models[0].Name
			got, err := g.Generate(t.Context(), []llm.Request{r})
			if err != nil {
				t.Fatal(err)
			}
			if len(want.Tokens) == 0 {
				want.Tokens = nil
			}
			if d := cmp.Diff(want, got[0]); d != "" {
				t.Errorf("%s, seed %d: -want +got\n%s", name, seed, d)
			}
		}
	}
}
