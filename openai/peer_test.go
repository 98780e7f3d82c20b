package openai_test

import (
	"strings"
	"testing"

	official "github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/responses"

	"candor/openai/openaitest"
	"candor/reasoning/llm"
)

// OpenAI's own client reads the replies of openaitest, so that what this package is tested against is what servers send.
// Mistral's and Anthropic's lists of parts are not for it.
func TestOfficialClientReadsTheFixtures(t *testing.T) {
	tokens := []llm.Token{{Text: "It", LogProb: -.5}, {Text: " is 4.", LogProb: -.25}}
	reply := openaitest.Reply{Text: "It is 4.", Reasoning: "two and two", Tokens: tokens, PromptTokens: 7, CompletionTokens: 9, ReasoningTokens: 3, Finish: "length"}
	for _, f := range openaitest.Families() {
		if f == openaitest.Mistral || f == openaitest.Anthropic {
			continue
		}
		t.Run(string(f), func(t *testing.T) {
			s := openaitest.New(t, openaitest.Exchange{Family: f, Reply: reply})
			c := official.NewClient(option.WithBaseURL(s.URL), option.WithAPIKey("k"), option.WithMaxRetries(0))
			params := official.ChatCompletionNewParams{
				Model: "m", Messages: []official.ChatCompletionMessageParamUnion{official.UserMessage("2 + 2?")}, Logprobs: official.Bool(true),
				StreamOptions: official.ChatCompletionStreamOptionsParam{IncludeUsage: official.Bool(true)},
			}
			check := func(how string, r *official.ChatCompletion) {
				t.Helper()
				if len(r.Choices) != 1 {
					t.Fatalf("%s: %d choices", how, len(r.Choices))
				}
				choice := r.Choices[0]
				if !strings.HasSuffix(choice.Message.Content, "It is 4.") || choice.FinishReason != "length" || r.Model != "m" ||
					r.Usage.PromptTokens != 7 || r.Usage.CompletionTokens != 9 {
					t.Errorf("%s: %s", how, r.RawJSON())
				}
				if l := choice.Logprobs.Content; choice.Message.Content == "It is 4." && (len(l) != 2 || l[1].Token != " is 4." || l[1].Logprob != -.25) {
					t.Errorf("%s: log-probabilities %+v", how, l)
				}
			}
			whole, err := c.Chat.Completions.New(t.Context(), params)
			if err != nil {
				t.Fatal(err)
			}
			check("whole", whole)
			stream := c.Chat.Completions.NewStreaming(t.Context(), params)
			var all official.ChatCompletionAccumulator
			for stream.Next() {
				if chunk := stream.Current(); !all.AddChunk(chunk) {
					t.Fatalf("a chunk does not fit the others: %s", chunk.RawJSON())
				}
			}
			if stream.Err() != nil {
				t.Fatal(stream.Err())
			}
			check("streamed", &all.ChatCompletion)
			list, err := c.Models.List(t.Context())
			if err != nil || len(list.Data) != 1 {
				t.Errorf("models %+v, %v", list, err)
			}
		})
	}
}

func TestOfficialClientReadsTheResponses(t *testing.T) {
	for _, f := range []openaitest.Family{openaitest.OpenAI, openaitest.VLLM} {
		s := openaitest.New(t, openaitest.Exchange{Family: f, Reply: openaitest.Reply{Text: "It is 4.", Reasoning: "two and two", Summary: "It added.", Encrypted: "gAAA", CompletionTokens: 9, ReasoningTokens: 3}})
		c := official.NewClient(option.WithBaseURL(s.URL), option.WithAPIKey("k"), option.WithMaxRetries(0))
		params := responses.ResponseNewParams{Model: "m", Input: responses.ResponseNewParamsInputUnion{OfString: official.String("2 + 2?")}}
		check := func(how string, r *responses.Response) {
			t.Helper()
			if r.OutputText() != "It is 4." || r.Usage.OutputTokens != 9 || r.Usage.OutputTokensDetails.ReasoningTokens != 3 || len(r.Output) != 2 {
				t.Errorf("%s: %s", how, r.RawJSON())
				return
			}
			thoughts := r.Output[0].AsReasoning()
			if thoughts.Summary[0].Text != "It added." || thoughts.EncryptedContent != "gAAA" || f == openaitest.VLLM && thoughts.Content[0].Text != "two and two" {
				t.Errorf("%s: %s", how, thoughts.RawJSON())
			}
		}
		// Its input is a string, which candor never sends.
		whole, err := c.Responses.New(t.Context(), params)
		if err != nil {
			t.Fatal(err)
		}
		check("whole", whole)
		stream := c.Responses.NewStreaming(t.Context(), params)
		var text strings.Builder
		for stream.Next() {
			switch e := stream.Current().AsAny().(type) {
			case responses.ResponseTextDeltaEvent:
				text.WriteString(e.Delta)
			case responses.ResponseCompletedEvent:
				check("streamed", &e.Response)
			}
		}
		if stream.Err() != nil || text.String() != "It is 4." {
			t.Errorf("streamed %q, %v", text.String(), stream.Err())
		}
	}
}
