package openai

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"candor/reasoning/llm"
)

// The protocols that a model can be asked by.
const (
	ChatAPI        = "chat"        // POST /chat/completions
	CompletionsAPI = "completions" // POST /completions, with the prompt rendered by Capabilities.Template
	ResponsesAPI   = "responses"   // POST /responses
)

// Where a chain of thought arrives.
const (
	NoReasoning      = "none"              // nowhere: the model keeps none apart, or nothing of it is shown
	ReasoningField   = "reasoning"         // message.reasoning
	ReasoningContent = "reasoning_content" // message.reasoning_content
	ReasoningDetails = "reasoning_details" // message.reasoning_details
	ThinkTags        = "think-tags"        // in the text, between Capabilities.Tags
	ThinkingParts    = "thinking-parts"    // parts of type thinking in message.content
	ResponsesItems   = "responses-items"   // output items of type reasoning
)

// How an assistant's text is carried on.
const (
	NoContinue           = "none"
	Prefill              = "prefill"                // the last message is an assistant's
	ContinueFinalMessage = "continue-final-message" // and the fields of vLLM and SGLang say so
	PrefixMessage        = "prefix"                 // and it has a field prefix (DeepSeek, Mistral)
	RawTemplate          = "template"               // the prompt of /completions ends in it
)

// Capabilities say what a server can do with a model, and how. They are found out before an audit and recorded with it.
type Capabilities struct {
	// API is one of the protocols, Stream whether answers are streamed.
	API    string `json:"api"`
	Stream bool   `json:"stream"`
	// Reasoning says where a chain of thought arrives, and Provenance of what kind it is there. What a completion shows
	// can only lower it: raw thoughts may turn out leaked, or absent. Both "none" and "" mean a model that keeps none apart.
	Reasoning  string         `json:"reasoning"`
	Provenance llm.Provenance `json:"provenance"`
	// Tags are the marks around thoughts in a text, <think> and </think> if empty. Opened tells that the server's chat template
	// writes the first of them, so that an answer begins within the thoughts.
	Tags   []string `json:"tags,omitempty"`
	Opened bool     `json:"opened,omitempty"`
	// Continue says how an assistant's text is carried on, ContinueReasoning whether thoughts can be, by the same way.
	Continue          string `json:"continue"`
	ContinueReasoning bool   `json:"continue_reasoning"`
	// Template names the chat template that prompts are rendered by for CompletionsAPI: one of Templates.
	Template string `json:"template,omitempty"`
	// Seeds, LogProbs and TopK tell whether these are sent: a seed, the wish for log-probabilities, top_k.
	Seeds    bool `json:"seeds"`
	LogProbs bool `json:"logprobs"`
	TopK     bool `json:"top_k"`
	// Tools tells that the model can call tools; those of a request are then sent.
	Tools bool `json:"tools,omitempty"`
	// MaxTokensField bounds a chat completion: max_tokens, which is meant if it is empty, or max_completion_tokens.
	MaxTokensField string `json:"max_tokens_field,omitempty"`
	// NoTemperature tells that temperature and top_p are refused, as by OpenAI's reasoning models, which sample at 1 whatever a
	// request says.
	NoTemperature bool `json:"no_temperature,omitempty"`
}

// apart tells whether the model keeps a chain of thought apart from its text.
func (c Capabilities) apart() bool { return c.Reasoning != NoReasoning || c.Provenance != "" }

func (c Capabilities) tags() (open, end string) {
	if len(c.Tags) == 2 {
		return c.Tags[0], c.Tags[1]
	}
	return "<think>", "</think>"
}

// Validate says which field is wrong and what is allowed.
func (c Capabilities) Validate() error {
	oneOf := func(field, value string, allowed ...string) error {
		if slices.Contains(allowed, value) {
			return nil
		}
		return fmt.Errorf("capabilities: %s is %q, must be one of %s", field, value, strings.Join(allowed, ", "))
	}
	continues := map[string][]string{
		ChatAPI:        {NoContinue, Prefill, ContinueFinalMessage, PrefixMessage},
		CompletionsAPI: {RawTemplate},
		ResponsesAPI:   {NoContinue},
	}
	places := map[string][]string{
		ChatAPI:        {NoReasoning, ReasoningField, ReasoningContent, ReasoningDetails, ThinkTags, ThinkingParts},
		CompletionsAPI: {NoReasoning, ThinkTags},
		ResponsesAPI:   {NoReasoning, ResponsesItems},
	}
	err := oneOf("api", c.API, ChatAPI, CompletionsAPI, ResponsesAPI)
	if err == nil {
		err = oneOf("continue", c.Continue, continues[c.API]...)
	}
	if err == nil {
		err = oneOf("reasoning", c.Reasoning, places[c.API]...)
	}
	if err == nil {
		err = oneOf("provenance", string(c.Provenance), "", string(llm.Raw), string(llm.Summary), string(llm.Encrypted), string(llm.Absent), string(llm.Leaked))
	}
	if err == nil {
		err = oneOf("max_tokens_field", c.MaxTokensField, "", "max_tokens", "max_completion_tokens")
	}
	if err == nil && c.API == CompletionsAPI {
		err = oneOf("template", c.Template, Templates()...)
	}
	switch {
	case err != nil:
		return err
	case c.API == CompletionsAPI && c.Tools:
		return fmt.Errorf("capabilities: tools cannot be called over the api %q", c.API)
	case c.API != CompletionsAPI && c.Template != "":
		return fmt.Errorf("capabilities: template is %q, which only the api %q renders", c.Template, CompletionsAPI)
	case len(c.Tags) != 0 && (len(c.Tags) != 2 || c.Tags[0] == "" || c.Tags[1] == "" || c.Tags[0] == c.Tags[1]):
		return fmt.Errorf("capabilities: tags are %q, must be a mark that opens thoughts and another that ends them", c.Tags)
	case c.Reasoning != NoReasoning && c.Provenance == "":
		return fmt.Errorf("capabilities: reasoning arrives as %s, but no provenance says of what kind it is", c.Reasoning)
	case c.ContinueReasoning && (!c.apart() || c.Continue == NoContinue):
		return errors.New("capabilities: reasoning cannot be carried on where none is kept apart or nothing is carried on")
	}
	return nil
}
