package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	openaigo "github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/packages/param"
	"github.com/openai/openai-go/v3/responses"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"candor/internal/rng"
	"candor/openai"
	"candor/reasoning/llm"
	"candor/reasoning/llm/llmtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// words is a small language model that knows the letters a to m and counts on: the letter after the last, or at times the one
// after that. It ends at l or m.
func words() *llmtest.Fake {
	const alphabet = "abcdefghijklm"
	return &llmtest.Fake{Next: func(s *llmtest.State) (string, float64) {
		last := s.Prompt
		if len(s.Words) > 0 {
			last = s.Words[len(s.Words)-1]
		}
		at := strings.IndexByte(alphabet, last[len(last)-1])
		switch {
		case at >= len(alphabet)-2:
			return "", 0
		case s.Greedy() || s.Rand.Float64() < .6:
			return alphabet[at+1 : at+2], math.Log(.6)
		}
		return alphabet[at+2 : at+3], math.Log(.4)
	}}
}

// picky is a generator whose model knows no word "zebra", which it notices before it begins, as the local one does.
type picky struct{ llm.Generator }

func (p picky) Generate(ctx context.Context, requests []llm.Request) ([]llm.Completion, error) {
	for i, r := range requests {
		for _, m := range r.Messages {
			r.Prefix += m.Text
		}
		if strings.Contains(r.Prefix, "zebra") {
			return nil, &llm.RequestError{Index: i, ID: r.ID, Err: errors.New(`message 0: the model does not know the word "zebra"`)}
		}
	}
	return p.Generator.Generate(ctx, requests)
}

var served = openai.ServedModel{Dialect: "steps", About: "a fake", Parameters: 12, Context: 32, Weights: "00ff", Suite: json.RawMessage(`{"terms":[2,4]}`)}

func newServer(t *testing.T, gen llm.Generator, change func(*Options)) *Server {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	return serverOf(t, Bare(NewBatch(ctx, gen)), change)
}

// serverOf returns a server of one model.
func serverOf(t *testing.T, b Backend, change func(*Options)) *Server {
	t.Helper()
	o := Options{Models: []Model{{Name: "small:rl", Served: served, Backend: b}}, Random: rng.New(1), Clock: time.Now}
	if change != nil {
		change(&o)
	}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.stop)
	return s
}

// batchOf is the batch of newServer's.
func batchOf(s *Server) *Batch { return s.Models[0].Backend.(bare).gen.(*Batch) }

// start serves on a port of its own and returns its address.
func start(t *testing.T, s *Server) string {
	t.Helper()
	h := httptest.NewServer(s)
	t.Cleanup(func() { h.CloseClientConnections(); h.Close() })
	return h.URL
}

// client is OpenAI's own.
func client(t *testing.T, s *Server) openaigo.Client {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	url := start(t, s)
	return openaigo.NewClient(option.WithBaseURL(url+"/v1"), option.WithAPIKey("k"), option.WithMaxRetries(0), option.WithHTTPClient(&http.Client{Transport: transport}))
}

func user(text string) []openaigo.ChatCompletionMessageParamUnion {
	return []openaigo.ChatCompletionMessageParamUnion{openaigo.UserMessage(text)}
}

// direct is what the generator itself answers.
func direct(t *testing.T, r llm.Request) llm.Completion {
	t.Helper()
	out, err := words().Generate(t.Context(), []llm.Request{r})
	if err != nil {
		t.Fatal(err)
	}
	return out[0]
}

func TestChat(t *testing.T) {
	c := client(t, newServer(t, words(), nil))
	got, err := c.Chat.Completions.New(t.Context(), openaigo.ChatCompletionNewParams{
		Model: "small:rl", Messages: user("count from a"), Temperature: param.NewOpt(0.), MaxTokens: param.NewOpt[int64](4), Logprobs: param.NewOpt(true),
	})
	if err != nil {
		t.Fatal(err)
	}
	choice := got.Choices[0]
	if choice.Message.Content != "b c d e" || choice.FinishReason != "length" || choice.Message.Role != "assistant" || got.Model != "small:rl" {
		t.Errorf("answer %s", got.RawJSON())
	}
	if got.Usage.PromptTokens != 3 || got.Usage.CompletionTokens != 4 || got.Usage.TotalTokens != 7 {
		t.Errorf("usage %+v", got.Usage)
	}
	var joined string
	for _, l := range choice.Logprobs.Content {
		joined += l.Token
		if math.Abs(l.Logprob-math.Log(.6)) > 1e-12 || len(l.Bytes) != len(l.Token) {
			t.Errorf("log-probability %+v", l)
		}
	}
	if joined != "b c d e" {
		t.Errorf("tokens %q", joined)
	}
	if time.Since(time.Unix(got.Created, 0)) > time.Hour || !strings.HasPrefix(got.ID, "chatcmpl-") {
		t.Errorf("created %d, id %s", got.Created, got.ID)
	}
}

// n choices have the seeds that are documented, so choice 0 is what the generator itself gives for the seed.
func TestChoices(t *testing.T) {
	c := client(t, newServer(t, words(), nil))
	ask := func(seed int64) []string {
		got, err := c.Chat.Completions.New(t.Context(), openaigo.ChatCompletionNewParams{
			Model: "small:rl", Messages: user("a"), N: param.NewOpt[int64](9), Seed: param.NewOpt(seed),
			Stop: openaigo.ChatCompletionNewParamsStopUnion{OfString: param.NewOpt("k")},
		})
		if err != nil {
			t.Fatal(err)
		}
		var texts []string
		completion := int64(0)
		for i, choice := range got.Choices {
			if choice.Index != int64(i) {
				t.Errorf("choice %d has index %d", i, choice.Index)
			}
			texts = append(texts, choice.Message.Content)
			completion += int64(len(strings.Fields(choice.Message.Content)))
		}
		if got.Usage.PromptTokens != 1 || got.Usage.CompletionTokens != completion {
			t.Errorf("usage %+v, want 1 and %d", got.Usage, completion)
		}
		return texts
	}
	texts := ask(-5)
	five := int64(-5)
	if want := direct(t, llm.Request{Messages: []llm.Message{{Role: llm.User, Text: "a"}}, MaxTokens: 32, Temperature: 1, Seed: uint64(five), Stop: []string{"k"}}); texts[0] != want.Text {
		t.Errorf("choice 0 is %q, the generator gives %q", texts[0], want.Text)
	}
	if d := cmp.Diff(texts, ask(-5)); d != "" {
		t.Errorf("the same seed gave other texts:\n%s", d)
	}
	distinct := slices.Compact(slices.Sorted(slices.Values(texts)))
	if len(distinct) < 3 || cmp.Equal(texts, ask(6)) {
		t.Errorf("choices are alike: %q", texts)
	}
}

// Without a seed equal requests are drawn anew, from the stream that was passed in.
func TestNoSeed(t *testing.T) {
	ask := func() []string {
		c := client(t, newServer(t, words(), nil))
		var texts []string
		for range 8 {
			got, err := c.Chat.Completions.New(t.Context(), openaigo.ChatCompletionNewParams{Model: "small:rl", Messages: user("a")})
			if err != nil {
				t.Fatal(err)
			}
			texts = append(texts, got.Choices[0].Message.Content)
		}
		return texts
	}
	texts := ask()
	if len(slices.Compact(slices.Sorted(slices.Values(texts)))) < 3 {
		t.Errorf("texts are alike: %q", texts)
	}
	if d := cmp.Diff(texts, ask()); d != "" {
		t.Errorf("a server with the same stream gave other texts:\n%s", d)
	}
}

func TestStreamedChat(t *testing.T) {
	for _, logProbs := range []bool{false, true} {
		c := client(t, newServer(t, words(), nil))
		ask := openaigo.ChatCompletionNewParams{
			Model: "small:rl", Messages: append(user("a"), openaigo.AssistantMessage("b c")), N: param.NewOpt[int64](3), Seed: param.NewOpt[int64](2),
			Stop: openaigo.ChatCompletionNewParamsStopUnion{OfStringArray: []string{"never", "k"}}, Logprobs: param.NewOpt(logProbs),
			StreamOptions: openaigo.ChatCompletionStreamOptionsParam{IncludeUsage: param.NewOpt(true)},
		}
		whole, err := c.Chat.Completions.New(t.Context(), ask)
		if err != nil {
			t.Fatal(err)
		}
		stream := c.Chat.Completions.NewStreaming(t.Context(), ask)
		texts, tokens, finish, roles := [3]string{}, [3]int{}, [3]string{}, 0
		var usage openaigo.CompletionUsage
		for stream.Next() {
			chunk := stream.Current()
			if len(chunk.Choices) == 0 {
				usage = chunk.Usage
				continue
			}
			choice := chunk.Choices[0]
			if choice.Delta.Role != "" {
				roles++
				if texts[choice.Index] != "" {
					t.Error("a role behind text")
				}
			}
			if finish[choice.Index] != "" {
				t.Error("a choice goes on behind its end")
			}
			texts[choice.Index] += choice.Delta.Content
			tokens[choice.Index] += len(choice.Logprobs.Content)
			finish[choice.Index] = choice.FinishReason
		}
		if err := stream.Err(); err != nil {
			t.Fatal(err)
		}
		for i, choice := range whole.Choices {
			if texts[i] != choice.Message.Content || finish[i] != choice.FinishReason || finish[i] == "" {
				t.Errorf("choice %d streamed %q (%s), whole %q (%s)", i, texts[i], finish[i], choice.Message.Content, choice.FinishReason)
			}
			if !strings.HasPrefix(texts[i], " ") {
				t.Errorf("behind a prefix the text is %q", texts[i])
			}
			if want := len(strings.Fields(texts[i])); logProbs && tokens[i] != want || !logProbs && tokens[i] != 0 {
				t.Errorf("choice %d has %d log-probabilities for %d words", i, tokens[i], want)
			}
		}
		if roles != 3 || usage.TotalTokens != whole.Usage.TotalTokens || usage.TotalTokens == 0 {
			t.Errorf("%d roles, usage %+v, whole %+v", roles, usage, whole.Usage)
		}
	}
}

func TestCompletions(t *testing.T) {
	fake := words()
	c := client(t, newServer(t, fake, nil))
	ask := openaigo.CompletionNewParams{
		Model: "small:rl", Prompt: openaigo.CompletionNewParamsPromptUnion{OfArrayOfStrings: []string{"a  b", "f"}}, N: param.NewOpt[int64](2),
		Seed: param.NewOpt[int64](3), Logprobs: param.NewOpt[int64](0), MaxTokens: param.NewOpt[int64](5),
	}
	got, err := c.Completions.New(t.Context(), ask)
	if err != nil {
		t.Fatal(err)
	}
	for i, choice := range got.Choices {
		prompt := ask.Prompt.OfArrayOfStrings[i/2]
		if r := fake.Requests()[i]; len(r.Messages) != 0 || r.Prefix != prompt {
			t.Errorf("request %d is %+v", i, r)
		}
		if strings.Join(choice.Logprobs.Tokens, "") != choice.Text || choice.Index != int64(i) || !strings.HasPrefix(choice.Text, " ") {
			t.Errorf("choice %d is %s", i, choice.RawJSON())
		}
		for k, offset := range choice.Logprobs.TextOffset {
			if !strings.HasPrefix(choice.Text[offset:], choice.Logprobs.Tokens[k]) {
				t.Errorf("token %d of %q is not at %d", k, choice.Text, offset)
			}
		}
	}
	if len(got.Choices) != 4 || got.Usage.PromptTokens != 3 {
		t.Errorf("%d choices, usage %+v", len(got.Choices), got.Usage)
	}
	texts := make([]string, 4)
	stream := c.Completions.NewStreaming(t.Context(), ask)
	for stream.Next() {
		for _, choice := range stream.Current().Choices {
			for k, offset := range choice.Logprobs.TextOffset {
				if int(offset) != len(texts[choice.Index]) || choice.Logprobs.Tokens[k] != choice.Text {
					t.Errorf("at %q comes %s", texts[choice.Index], choice.RawJSON())
				}
			}
			texts[choice.Index] += choice.Text
		}
	}
	if err := stream.Err(); err != nil {
		t.Fatal(err)
	}
	for i, choice := range got.Choices {
		if texts[i] != choice.Text {
			t.Errorf("choice %d streamed %q, whole %q", i, texts[i], choice.Text)
		}
	}
}

func TestResponses(t *testing.T) {
	c := client(t, newServer(t, words(), nil))
	ask := responses.ResponseNewParams{
		Model: "small:rl", Temperature: param.NewOpt(0.), Instructions: param.NewOpt("count"), Include: []responses.ResponseIncludable{includeLogProbs},
		Input: responses.ResponseNewParamsInputUnion{OfInputItemList: responses.ResponseInputParam{
			responses.ResponseInputItemParamOfMessage("h", responses.EasyInputMessageRoleUser),
			responses.ResponseInputItemParamOfMessage("i", responses.EasyInputMessageRoleAssistant),
		}},
	}
	got, err := c.Responses.New(t.Context(), ask)
	if err != nil {
		t.Fatal(err)
	}
	if got.OutputText() != " j k l" || got.Status != "completed" || got.Usage.InputTokens != 3 || got.Usage.OutputTokens != 3 || len(got.Output[0].Content[0].Logprobs) != 3 {
		t.Errorf("answer %s", got.RawJSON())
	}
	ask.Input = responses.ResponseNewParamsInputUnion{OfString: param.NewOpt("a")}
	ask.MaxOutputTokens = param.NewOpt[int64](3)
	stream := c.Responses.NewStreaming(t.Context(), ask)
	var kinds []string
	text, logProbs := "", 0
	for stream.Next() {
		e := stream.Current()
		if int(e.SequenceNumber) != len(kinds) {
			t.Errorf("event %d has the number %d", len(kinds), e.SequenceNumber)
		}
		kinds = append(kinds, e.Type)
		text += e.Delta
		logProbs += len(e.AsResponseOutputTextDelta().Logprobs)
		if e.Type == "response.incomplete" && (e.Response.OutputText() != "b c d" || e.Response.IncompleteDetails.Reason != "max_output_tokens") {
			t.Errorf("at the end: %s", e.RawJSON())
		}
	}
	if err := stream.Err(); err != nil {
		t.Fatal(err)
	}
	d := "response.output_text.delta"
	want := []string{"response.created", "response.in_progress", "response.output_item.added", "response.content_part.added", d, d, d, "response.output_text.done", "response.content_part.done", "response.output_item.done", "response.incomplete"}
	if diff := cmp.Diff(want, kinds); diff != "" || text != "b c d" || logProbs < 3 {
		t.Errorf("text %q, %d log-probabilities, events -want +got\n%s", text, logProbs, diff)
	}
}

func TestModels(t *testing.T) {
	c := client(t, newServer(t, words(), func(o *Options) {
		o.Models[0].Name = "runs/default:small:2"
		o.Models = append(o.Models, Model{Name: "gateway", Backend: o.Models[0].Backend, Served: openai.ServedModel{Context: 4096}})
	}))
	list, err := c.Models.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	one, err := c.Models.Get(t.Context(), "runs/default:small:2")
	if err != nil {
		t.Fatal(err)
	}
	for _, raw := range []string{list.Data[0].RawJSON(), one.RawJSON()} {
		var m openai.Model
		if err := json.Unmarshal([]byte(raw), &m); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(&served, m.Candor); d != "" || m.ID != "runs/default:small:2" || m.OwnedBy != "candor" || m.MaxModelLen != 32 {
			t.Errorf("%s\n%s", raw, d)
		}
	}
	_, err = c.Models.Get(t.Context(), "gpt-9")
	var told *openaigo.Error
	if !errors.As(err, &told) || told.StatusCode != 404 || !strings.Contains(told.Message, "runs/default:small:2") || told.Code != "model_not_found" {
		t.Errorf("another model: %v", err)
	}
}

// What a client gets is what the generator wrote, byte for byte, streamed or not, however tokens and text go together.
func TestPieces(t *testing.T) {
	tokens := func(texts ...string) (out []llm.Token) {
		for _, text := range texts {
			out = append(out, llm.Token{Text: text})
		}
		return out
	}
	for name, c := range map[string]llm.Completion{
		"words":           {Text: "one two"},
		"space":           {Text: " one  two "},
		"spaces":          {Text: "   "},
		"newlines":        {Text: "\n\none\ttwo\r\n ü 🙂"},
		"nothing":         {},
		"tokens":          {Text: " on e", Tokens: tokens(" on", " e")},
		"empty token":     {Text: "one", Tokens: tokens("one", "")},
		"cut in a token":  {Text: "on", Tokens: tokens("o", "ne")},
		"a token dropped": {Text: "", Tokens: tokens("one")},
	} {
		var text string
		var got []llm.Token
		for p := range pieces(&c) {
			text += p.text
			got = append(got, p.tokens...)
		}
		if text != c.Text || !slices.Equal(got, c.Tokens) {
			t.Errorf("%s: %q with %v became %q with %v", name, c.Text, c.Tokens, text, got)
		}
	}
	n := 0
	for p := range pieces(&llm.Completion{Text: strings.Repeat("words ", 100)}) {
		if n++; len(p.text) > pieceBytes+len(" words") {
			t.Errorf("a piece of %d bytes", len(p.text))
		}
	}
	if n < 8 || n > 12 {
		t.Errorf("%d pieces", n)
	}
}

// post puts a body to a path of the handler.
func post(s *Server, path, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json; charset=utf-8")
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w
}

// What is a prefix, what a message.
func TestPrefix(t *testing.T) {
	for _, test := range []struct{ fields, prefix, messages string }{
		{`"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b c "}]`, "b c ", "user:a"},
		{`"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"}],"continue_final_message":true,"add_generation_prompt":false`, "b", "user:a"},
		{`"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b","prefix":true}]`, "b", "user:a"},
		{`"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"}],"add_generation_prompt":true`, "", "user:a assistant:b"},
		{`"messages":[{"role":"developer","content":"a"},{"role":"assistant","content":"b"},{"role":"user","content":[{"type":"text","text":"c"},{"type":"text","text":"d"}]}]`, "", "system:a assistant:b user:cd"},
		{`"messages":[{"role":"assistant","content":"b"}]`, "b", ""},
	} {
		fake := words()
		if w := post(newServer(t, fake, nil), "/v1/chat/completions", `{`+test.fields+`}`); w.Code != 200 {
			t.Errorf("%s: %s", test.fields, w.Body)
			continue
		}
		r := fake.Requests()[0]
		var messages []string
		for _, m := range r.Messages {
			messages = append(messages, string(m.Role)+":"+m.Text)
		}
		if r.Prefix != test.prefix || strings.Join(messages, " ") != test.messages {
			t.Errorf("%s: prefix %q, messages %q", test.fields, r.Prefix, messages)
		}
	}
}

// A stop text that ended an answer is told as vLLM tells it.
func TestStopReason(t *testing.T) {
	s := newServer(t, words(), nil)
	for _, stream := range []bool{false, true} {
		for path, ask := range map[string]string{"/v1/chat/completions": `"messages":[{"role":"user","content":"a"}]`, "/v1/completions": `"prompt":"a"`} {
			body := post(s, path, fmt.Sprintf(`{%s,"temperature":0,"stop":["x<y","d"],"stream":%v}`, ask, stream)).Body.String()
			if strings.Count(body, `"stop_reason":"d"`) != 1 {
				t.Errorf("%s: %s", path, body)
			}
		}
	}
}

func TestKey(t *testing.T) {
	s := newServer(t, words(), func(o *Options) { o.Admit = AdmitKey("open sesame") })
	for header, want := range map[string]int{"": 401, "Bearer": 401, "Bearer ": 401, "Bearer open": 401, "Basic open sesame": 401, "Bearer open sesame": 200, "bearer  open sesame": 200} {
		r := httptest.NewRequest(http.MethodGet, "/v1/models", nil)
		r.Header.Set("Authorization", header)
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("%q: %d, want %d", header, w.Code, want)
		}
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/healthz", nil))
	if w.Code != 200 {
		t.Errorf("/healthz: %d", w.Code)
	}
}

func TestNew(t *testing.T) {
	b := Bare(words())
	for _, o := range []Options{
		{}, {Models: []Model{{Name: "x", Backend: b}}}, {Clock: time.Now}, {Clock: time.Now, Models: []Model{{Name: "x"}}}, {Clock: time.Now, Models: []Model{{Backend: b}}},
		{Clock: time.Now, Models: []Model{{Name: "x", Backend: b}, {Name: "x", Backend: b}}},
	} {
		if _, err := New(o); err == nil {
			t.Errorf("%+v is enough", o)
		}
	}
}

// The event that is written by hand is the one that the encoder would write.
func TestChatText(t *testing.T) {
	s := newServer(t, words(), nil)
	rapid.Check(t, func(t *rapid.T) {
		text, i := rapid.String().Draw(t, "text"), rapid.IntRange(0, maxChoices).Draw(t, "choice")
		written := func(write func(*chatStream)) string {
			e := (&exchange{s: s, w: httptest.NewRecorder()}).events(nil)
			defer e.out.free()
			c := newChatStream(e, &call{Call: Call{ID: "chatcmpl-<1>", Model: text, Arrived: time.Unix(7, 0)}})
			write(&c)
			return e.out.String()
		}
		byHand := written(func(c *chatStream) { c.text(i, text) })
		encoded := written(func(c *chatStream) {
			c.send(openai.ChatChunkChoice{Index: i, Delta: openai.ChatDelta{Content: &openai.Content{Text: text}}})
		})
		if byHand != encoded {
			t.Fatalf("by hand %s\nencoded %s", byHand, encoded)
		}
	})
}
