package openai

import (
	"errors"
	"strings"
	"testing"

	"candor/reasoning/llm"
)

// The prompts, as the models' own templates write them but for the mark at the beginning of a text.
func TestTemplates(t *testing.T) {
	messages := []llm.Message{{Role: llm.System, Text: "Be brief."}, {Role: llm.User, Text: "1+1?"}, {Role: llm.Assistant, Text: "2"}, {Role: llm.User, Text: "2+2?"}}
	fresh := llm.Request{Messages: messages}
	open := llm.Request{Messages: messages, Reasoning: "Well, two"}
	closed := llm.Request{Messages: messages, Reasoning: "Well, two", Concluded: true, Prefix: "It is"}
	none := llm.Request{Messages: messages, Concluded: true, Prefix: "It is"}
	prefix := llm.Request{Messages: messages, Prefix: "It is"}
	const chatml = "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\n1+1?<|im_end|>\n<|im_start|>assistant\n2<|im_end|>\n<|im_start|>user\n2+2?<|im_end|>\n<|im_start|>assistant\n"
	const deepseek = "Be brief.<｜User｜>1+1?<｜Assistant｜>2<｜end▁of▁sentence｜><｜User｜>2+2?<｜Assistant｜>"
	const llama = "<|start_header_id|>system<|end_header_id|>\n\nBe brief.<|eot_id|><|start_header_id|>user<|end_header_id|>\n\n1+1?<|eot_id|>" +
		"<|start_header_id|>assistant<|end_header_id|>\n\n2<|eot_id|><|start_header_id|>user<|end_header_id|>\n\n2+2?<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n"
	const gemma = "<start_of_turn>user\nBe brief.\n\n1+1?<end_of_turn>\n<start_of_turn>model\n2<end_of_turn>\n<start_of_turn>user\n2+2?<end_of_turn>\n<start_of_turn>model\n"
	const mistral = "[SYSTEM_PROMPT]Be brief.[/SYSTEM_PROMPT][INST]1+1?[/INST]2</s>[INST]2+2?[/INST]"
	for _, tc := range []struct {
		template  string
		reasoning bool
		r         llm.Request
		want      string
	}{
		{"chatml", false, fresh, chatml},
		{"chatml", false, prefix, chatml + "It is"},
		{"qwen3", true, fresh, chatml},
		{"qwen3", true, open, chatml + "<think>\nWell, two"},
		{"qwen3", true, closed, chatml + "<think>\nWell, two\n</think>\n\nIt is"},
		{"qwen3", true, none, chatml + "<think>\n\n</think>\n\nIt is"},
		{"deepseek-r1", true, fresh, deepseek + "<think>\n"},
		{"deepseek-r1", true, open, deepseek + "<think>\nWell, two"},
		{"deepseek-r1", true, closed, deepseek + "<think>\nWell, two\n</think>\n\nIt is"},
		{"llama3", false, prefix, llama + "It is"},
		{"mistral", false, fresh, mistral},
		{"gemma", false, fresh, gemma},
		{"plain", false, fresh, "Be brief. 1+1? 2 2+2?"},
		{"plain", false, prefix, "Be brief. 1+1? 2 2+2? It is"},
		{"plain", false, llm.Request{Prefix: "It is"}, "It is"},
	} {
		c := Capabilities{API: CompletionsAPI, Reasoning: NoReasoning, Continue: RawTemplate, Template: tc.template}
		if tc.reasoning {
			c.Reasoning, c.Provenance, c.ContinueReasoning = ThinkTags, llm.Raw, true
		}
		if err := c.Validate(); err != nil {
			t.Error(err)
		}
		if got, err := c.prompt(tc.r); got != tc.want || err != nil {
			t.Errorf("%s: %q, %v\nwant %q", tc.template, got, err, tc.want)
		}
	}
}

// How each way of carrying on writes an assistant's last message, and which requests it refuses.
func TestCarryingOn(t *testing.T) {
	user := `{"role":"user","content":"q"}`
	fresh := llm.Request{}
	open := llm.Request{Reasoning: "R"}
	closed := llm.Request{Reasoning: "R", Concluded: true, Prefix: "P"}
	ended := llm.Request{Reasoning: "R", Concluded: true}
	none := llm.Request{Concluded: true, Prefix: "P"}
	prefix := llm.Request{Prefix: "P"}
	const refused = ""
	for _, tc := range []struct {
		name      string
		way       string
		place     string
		reasoning bool
		want      map[*llm.Request]string
	}{
		{"none", NoContinue, ReasoningField, false, map[*llm.Request]string{&fresh: user, &open: refused, &closed: refused, &ended: refused, &none: refused, &prefix: refused}},
		{"nothing apart", ContinueFinalMessage, NoReasoning, false, map[*llm.Request]string{&fresh: user, &open: refused, &closed: refused, &none: refused,
			&prefix: user + `,{"role":"assistant","content":"P"}`}},
		{"prefill", Prefill, ThinkTags, true, map[*llm.Request]string{&fresh: user, &prefix: refused,
			&open:   user + `,{"role":"assistant","content":"<think>\nR"}`,
			&ended:  user + `,{"role":"assistant","content":"<think>\nR\n</think>\n\n"}`,
			&closed: user + `,{"role":"assistant","content":"<think>\nR\n</think>\n\nP"}`,
			&none:   user + `,{"role":"assistant","content":"<think>\n\n</think>\n\nP"}`}},
		{"prefill of text alone", Prefill, ReasoningField, false, map[*llm.Request]string{&open: refused, &closed: refused, &ended: refused, &prefix: refused,
			&none: user + `,{"role":"assistant","content":"P"}`}},
		{"deepseek", PrefixMessage, ReasoningContent, true, map[*llm.Request]string{&ended: refused, &prefix: refused,
			&open:   user + `,{"role":"assistant","content":"","reasoning_content":"R","prefix":true}`,
			&closed: user + `,{"role":"assistant","content":"P","reasoning_content":"R","prefix":true}`,
			&none:   user + `,{"role":"assistant","content":"P","prefix":true}`}},
		{"mistral", PrefixMessage, ThinkingParts, true, map[*llm.Request]string{
			&open:   user + `,{"role":"assistant","content":[{"type":"thinking","thinking":[{"type":"text","text":"R"}],"closed":false}],"prefix":true}`,
			&ended:  user + `,{"role":"assistant","content":[{"type":"thinking","thinking":[{"type":"text","text":"R"}],"closed":true}],"prefix":true}`,
			&closed: user + `,{"role":"assistant","content":[{"type":"thinking","thinking":[{"type":"text","text":"R"}],"closed":true},{"type":"text","text":"P"}],"prefix":true}`}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := Capabilities{API: ChatAPI, Reasoning: tc.place, Continue: tc.way, ContinueReasoning: tc.reasoning}
			if tc.place != NoReasoning {
				c.Provenance = llm.Raw
			}
			if err := c.Validate(); err != nil {
				t.Fatal(err)
			}
			for r, want := range tc.want {
				ask := *r
				ask.Messages, ask.MaxTokens = []llm.Message{{Role: llm.User, Text: "q"}}, 1
				err := c.check(ask)
				if (err != nil) != (want == refused) || err != nil && !errors.Is(err, llm.ErrInvalid) {
					t.Errorf("%+v: error %v", *r, err)
				}
				if want == refused {
					continue
				}
				body := c.chatRequest("m", ask)
				got, err := plainJSON(body.Messages)
				if string(got) != "["+want+"]" || err != nil {
					t.Errorf("%+v: %s\nwant [%s]", *r, got, want)
				}
				carries := r.Reasoning != "" || r.Concluded || r.Prefix != ""
				if flagged := body.ContinueFinalMessage && !*body.AddGenerationPrompt; flagged != (carries && tc.way == ContinueFinalMessage) {
					t.Errorf("%+v: continue_final_message is %v", *r, flagged)
				}
			}
		})
	}
}

func TestCapabilitiesValidate(t *testing.T) {
	good := Capabilities{API: ChatAPI, Reasoning: ThinkTags, Provenance: llm.Raw, Continue: Prefill}
	for want, spoil := range map[string]func(*Capabilities){
		"api is":              func(c *Capabilities) { c.API = "grpc" },
		"continue is":         func(c *Capabilities) { c.Continue = RawTemplate },
		"reasoning is":        func(c *Capabilities) { c.Reasoning = ResponsesItems },
		"provenance is":       func(c *Capabilities) { c.Provenance = "rumour" },
		"no provenance":       func(c *Capabilities) { c.Provenance = "" },
		"tags are":            func(c *Capabilities) { c.Tags = []string{"<a>"} },
		"max_tokens_field is": func(c *Capabilities) { c.MaxTokensField = "n" },
		"template is":         func(c *Capabilities) { c.Template = "qwen3" },
		"cannot be carried":   func(c *Capabilities) { c.Continue, c.ContinueReasoning = NoContinue, true },
		"must be one of chatml, deepseek-r1, gemma": func(c *Capabilities) {
			c.API, c.Continue, c.Template = CompletionsAPI, RawTemplate, "vicuna"
		},
	} {
		c := good
		spoil(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %s", c, err, want)
		}
	}
}
