package openaitest_test

import (
	"context"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"candor/openai"
	"candor/openai/openaitest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func chat(t *testing.T, url, text string) (string, error) {
	t.Helper()
	c, err := openai.NewClient(openai.Options{BaseURL: url})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	r, err := c.Chat(context.Background(), openai.ChatRequest{Model: "m", Messages: []openai.ChatMessage{{Role: "user", Content: openai.Text(text)}}})
	if err != nil {
		return "", err
	}
	return r.Choices[0].Message.Content.Text, nil
}

// Exchanges answer in their order, the last one all that is left; those that choose their requests come first.
func TestScript(t *testing.T) {
	s := openaitest.New(t,
		openaitest.Exchange{Family: openaitest.VLLM, Reply: openaitest.Reply{Text: "one"}},
		openaitest.Exchange{Family: openaitest.VLLM, Fault: openaitest.Overloaded},
		openaitest.Exchange{Family: openaitest.VLLM, Reply: openaitest.Reply{Text: "chosen"}, When: func(r *openaitest.Request) bool {
			return strings.Contains(r.Chat.Messages[0].Content.Text, "special")
		}},
		openaitest.Exchange{Family: openaitest.VLLM, Reply: openaitest.Reply{Text: "rest"}})
	for i, want := range []string{"one", "chosen", "", "chosen", "rest", "rest"} {
		text := "q"
		if want == "chosen" {
			text = "something special"
		}
		if got, err := chat(t, s.URL, text); got != want || (err != nil) != (want == "") {
			t.Errorf("request %d: %q, %v, want %q", i, got, err, want)
		}
	}
	if r := s.Requests(); len(r) != 6 || r[1].Chat.Messages[0].Content.Text != "something special" || r[0].Chat.Model != "m" || r[0].Path != "/v1/chat/completions" {
		t.Errorf("%+v", r)
	}
	s.Close()
	s.Close()
	if _, err := chat(t, s.URL, "q"); openai.OutcomeOf(err) != openai.RefusedConnection {
		t.Errorf("after Close: %v", err)
	}
}

// A function answers by all protocols, many at a time.
func TestServe(t *testing.T) {
	s := openaitest.Serve(t, openaitest.LlamaCPP, func(r openai.ChatRequest) openaitest.Reply {
		last := r.Messages[len(r.Messages)-1]
		if last.Content.Text == "bad" {
			return openaitest.Reply{Status: 400, Error: "no"}
		}
		return openaitest.Reply{Text: last.Role + " said " + last.Content.Text}
	})
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if got, err := chat(t, s.URL, "hi"); got != "user said hi" || err != nil {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
	wg.Wait()
	c, _ := openai.NewClient(openai.Options{BaseURL: s.URL})
	defer c.Close()
	if r, err := c.Complete(t.Context(), openai.CompletionRequest{Prompt: "hi", Stream: true}); err != nil || r.Choices[0].Text != "prompt said hi" {
		t.Errorf("%+v, %v", r, err)
	}
	if r, err := c.Respond(t.Context(), openai.ResponseRequest{Input: []openai.ResponseItem{{Role: "user", Content: []openai.ResponsePart{{Type: "input_text", Text: "hi"}}}}}); err != nil || r.Output[0].Content[0].Text != "user said hi" {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err := chat(t, s.URL, "bad"); openai.OutcomeOf(err) != openai.HTTPStatus {
		t.Errorf("%v", err)
	}
}
