package openai

import "encoding/json"

// ChatRequest is the body of POST /chat/completions. Fields that are not OpenAI's own say whose they are.
type ChatRequest struct {
	Model               string          `json:"model"`
	Messages            []ChatMessage   `json:"messages"`
	MaxTokens           int             `json:"max_tokens,omitempty"`
	MaxCompletionTokens int             `json:"max_completion_tokens,omitempty"` // instead of MaxTokens, for OpenAI's reasoning models
	Temperature         *float64        `json:"temperature,omitempty"`
	TopP                *float64        `json:"top_p,omitempty"`
	TopK                int             `json:"top_k,omitempty"` // vLLM, SGLang, llama.cpp, candor
	N                   int             `json:"n,omitempty"`
	Seed                *int64          `json:"seed,omitempty"`
	Stop                []string        `json:"stop,omitempty"`
	Stream              bool            `json:"stream,omitempty"`
	StreamOptions       *StreamOptions  `json:"stream_options,omitempty"`
	LogProbs            bool            `json:"logprobs,omitempty"`
	TopLogProbs         int             `json:"top_logprobs,omitempty"`
	ReasoningEffort     string          `json:"reasoning_effort,omitempty"`
	Tools               json.RawMessage `json:"tools,omitempty"`
	ToolChoice          json.RawMessage `json:"tool_choice,omitempty"`
	ResponseFormat      json.RawMessage `json:"response_format,omitempty"`
	// ContinueFinalMessage and AddGenerationPrompt (vLLM, SGLang) make the model go on with the last message, an assistant's.
	ContinueFinalMessage bool  `json:"continue_final_message,omitempty"`
	AddGenerationPrompt  *bool `json:"add_generation_prompt,omitempty"`
	// ChatTemplateKwargs (vLLM, SGLang, llama.cpp) go to the chat template, such as {"enable_thinking": false}.
	ChatTemplateKwargs map[string]any `json:"chat_template_kwargs,omitempty"`
	// SkipSpecialTokens false (vLLM, SGLang) keeps marks such as </think> in the text.
	SkipSpecialTokens *bool `json:"skip_special_tokens,omitempty"`
}

// StreamOptions asks for the usage at the end of a stream.
type StreamOptions struct {
	IncludeUsage bool `json:"include_usage,omitempty"`
}

// ChatMessage is one message of a conversation, asked or answered.
type ChatMessage struct {
	Role    string  `json:"role"`
	Content Content `json:"content"`
	Name    string  `json:"name,omitempty"`
	// Reasoning (vLLM from 0.11, SGLang, Ollama, OpenRouter, Groq), ReasoningContent (DeepSeek, vLLM before, llama.cpp) and
	// ReasoningDetails (OpenRouter, MiniMax) are where a chain of thought may arrive.
	Reasoning        *string           `json:"reasoning,omitempty"`
	ReasoningContent *string           `json:"reasoning_content,omitempty"`
	ReasoningDetails []ReasoningDetail `json:"reasoning_details,omitempty"`
	Refusal          *string           `json:"refusal,omitempty"`
	ToolCalls        json.RawMessage   `json:"tool_calls,omitempty"`
	ToolCallID       string            `json:"tool_call_id,omitempty"`
	// Prefix (DeepSeek, Mistral) makes the model go on with this message, an assistant's and the last one.
	Prefix bool `json:"prefix,omitempty"`
}

// ReasoningDetail is a part of a chain of thought by OpenRouter's account of it.
type ReasoningDetail struct {
	Type      string `json:"type"` // reasoning.text, reasoning.summary or reasoning.encrypted
	Text      string `json:"text,omitempty"`
	Summary   string `json:"summary,omitempty"`
	Data      string `json:"data,omitempty"`
	Signature string `json:"signature,omitempty"`
	ID        string `json:"id,omitempty"`
	Format    string `json:"format,omitempty"`
	Index     int    `json:"index,omitempty"`
}

// ChatResponse is the answer to a ChatRequest that is not streamed.
type ChatResponse struct {
	ID                string       `json:"id"`
	Object            string       `json:"object"` // chat.completion
	Created           int64        `json:"created"`
	Model             string       `json:"model"`
	SystemFingerprint string       `json:"system_fingerprint,omitempty"`
	Choices           []ChatChoice `json:"choices"`
	Usage             *Usage       `json:"usage,omitempty"`
	// Error is there where a server says with status 200 that something went wrong.
	Error json.RawMessage `json:"error,omitempty"`
}

// ChatChoice is one of n answers.
type ChatChoice struct {
	Index        int           `json:"index"`
	Message      ChatMessage   `json:"message"`
	LogProbs     *ChatLogProbs `json:"logprobs,omitempty"`
	FinishReason string        `json:"finish_reason"` // stop, length, tool_calls, content_filter
	Stopped
	// Late tells that thoughts arrived after the text had begun; only a stream can show it.
	Late bool `json:"-"`
}

// Stopped says what ended an answer whose finish_reason is stop: a stop text as a string, a token by its number, or null.
type Stopped struct {
	StopReason  json.RawMessage `json:"stop_reason,omitempty"`  // vLLM, candor
	MatchedStop json.RawMessage `json:"matched_stop,omitempty"` // SGLang
}

// Text returns the stop text, "" if there is none or the server does not tell.
func (s Stopped) Text() string {
	for _, raw := range []json.RawMessage{s.StopReason, s.MatchedStop} {
		var text string
		if json.Unmarshal(raw, &text) == nil && text != "" {
			return text
		}
	}
	return ""
}

// ChatLogProbs are the log-probabilities of the tokens of an answer.
type ChatLogProbs struct {
	Content []TokenLogProb `json:"content"`
	// ReasoningContent is there for the chain of thought at the servers that tell it apart.
	ReasoningContent []TokenLogProb `json:"reasoning_content,omitempty"`
}

// TokenLogProb is one token with the natural logarithm of its probability.
type TokenLogProb struct {
	Token       string         `json:"token"`
	LogProb     float64        `json:"logprob"`
	Bytes       []int          `json:"bytes,omitempty"`
	TopLogProbs []TokenLogProb `json:"top_logprobs,omitempty"`
}

// ChatChunk is one event of a streamed answer.
type ChatChunk struct {
	ID                string            `json:"id"`
	Object            string            `json:"object"` // chat.completion.chunk
	Created           int64             `json:"created"`
	Model             string            `json:"model"`
	SystemFingerprint string            `json:"system_fingerprint,omitempty"`
	Choices           []ChatChunkChoice `json:"choices"`
	Usage             *Usage            `json:"usage,omitempty"`
	// Error is there where a server says in the midst of a stream that something went wrong.
	Error json.RawMessage `json:"error,omitempty"`
}

// ChatChunkChoice is what an event adds to one of n answers.
type ChatChunkChoice struct {
	Index        int           `json:"index"`
	Delta        ChatDelta     `json:"delta"`
	LogProbs     *ChatLogProbs `json:"logprobs,omitempty"`
	FinishReason *string       `json:"finish_reason"`
	Stopped
}

// ChatDelta is a piece of a message.
type ChatDelta struct {
	Role             string            `json:"role,omitempty"`
	Content          *Content          `json:"content,omitempty"`
	Reasoning        *string           `json:"reasoning,omitempty"`
	ReasoningContent *string           `json:"reasoning_content,omitempty"`
	ReasoningDetails []ReasoningDetail `json:"reasoning_details,omitempty"`
	Refusal          *string           `json:"refusal,omitempty"`
	ToolCalls        json.RawMessage   `json:"tool_calls,omitempty"`
}

// Usage counts tokens. Thoughts are part of CompletionTokens.
type Usage struct {
	PromptTokens            int                `json:"prompt_tokens"`
	CompletionTokens        int                `json:"completion_tokens"`
	TotalTokens             int                `json:"total_tokens"`
	CompletionTokensDetails *CompletionDetails `json:"completion_tokens_details,omitempty"`
	ReasoningTokens         int                `json:"reasoning_tokens,omitempty"` // SGLang
}

// Thoughts returns how many tokens were thoughts; 0 if there were none or the server does not tell.
func (u *Usage) Thoughts() int {
	if u == nil {
		return 0
	}
	if u.CompletionTokensDetails != nil && u.CompletionTokensDetails.ReasoningTokens > 0 {
		return u.CompletionTokensDetails.ReasoningTokens
	}
	return u.ReasoningTokens
}

// CompletionDetails says what completion tokens were spent on.
type CompletionDetails struct {
	ReasoningTokens int `json:"reasoning_tokens,omitempty"`
}

// CompletionRequest is the body of POST /completions: a prompt as it is, without a chat template.
type CompletionRequest struct {
	Model         string         `json:"model"`
	Prompt        string         `json:"prompt"`
	MaxTokens     int            `json:"max_tokens,omitempty"`
	Temperature   *float64       `json:"temperature,omitempty"`
	TopP          *float64       `json:"top_p,omitempty"`
	TopK          int            `json:"top_k,omitempty"`
	N             int            `json:"n,omitempty"`
	Seed          *int64         `json:"seed,omitempty"`
	Stop          []string       `json:"stop,omitempty"`
	Stream        bool           `json:"stream,omitempty"`
	StreamOptions *StreamOptions `json:"stream_options,omitempty"`
	LogProbs      *int           `json:"logprobs,omitempty"` // how many alternatives, 0 for the sampled token alone
	Echo          bool           `json:"echo,omitempty"`
	// SkipSpecialTokens false (vLLM, SGLang) keeps marks such as </think> in the text.
	SkipSpecialTokens *bool `json:"skip_special_tokens,omitempty"`
}

// CompletionResponse is the answer to a CompletionRequest, and each event of a streamed one.
type CompletionResponse struct {
	ID      string             `json:"id"`
	Object  string             `json:"object"` // text_completion
	Created int64              `json:"created"`
	Model   string             `json:"model"`
	Choices []CompletionChoice `json:"choices"`
	Usage   *Usage             `json:"usage,omitempty"`
	Error   json.RawMessage    `json:"error,omitempty"`
}

// CompletionChoice is one of n answers.
type CompletionChoice struct {
	Index        int                 `json:"index"`
	Text         string              `json:"text"`
	LogProbs     *CompletionLogProbs `json:"logprobs,omitempty"`
	FinishReason string              `json:"finish_reason"`
	Stopped
}

// CompletionLogProbs are the log-probabilities of an answer's tokens, in parallel lists.
type CompletionLogProbs struct {
	Tokens        []string   `json:"tokens"`
	TokenLogProbs []*float64 `json:"token_logprobs"`
	TextOffset    []int      `json:"text_offset,omitempty"`
	// Content is there instead at llama.cpp.
	Content []TokenLogProb `json:"content,omitempty"`
}

// ModelList is the answer to GET /models.
type ModelList struct {
	Object string  `json:"object"` // list
	Data   []Model `json:"data"`
}

// Model is one model that a server has.
type Model struct {
	ID      string `json:"id"`
	Object  string `json:"object"` // model
	Created int64  `json:"created"`
	OwnedBy string `json:"owned_by"` // "vllm", "llamacpp", "sglang", "library" (Ollama), "candor", ...
	// MaxModelLen (vLLM, SGLang) is the context in tokens.
	MaxModelLen int `json:"max_model_len,omitempty"`
	// Candor is there where candor itself serves one of its own models.
	Candor *ServedModel `json:"candor,omitempty"`
}

// ServedModel is what candor's own server says of a model that candor trained.
type ServedModel struct {
	// Dialect is the language of its chains, by the name that candor/reasoning/dialect has for it.
	Dialect string `json:"dialect"`
	// About says where the model is from, Parameters how many it has, Context how many words fit.
	About      string `json:"about"`
	Parameters int    `json:"parameters"`
	Context    int    `json:"context"`
	// Weights is the SHA-256 of its weights.
	Weights string `json:"weights"`
	// Suite is the suite of problems that it was trained for, with its settings; null if that is not known.
	Suite json.RawMessage `json:"suite,omitempty"`
}

// ErrorBody is how a server says what went wrong.
type ErrorBody struct {
	Error ErrorDetail `json:"error"`
}

// ErrorDetail is what went wrong.
type ErrorDetail struct {
	Message string `json:"message"`
	Type    string `json:"type,omitempty"`
	Param   string `json:"param,omitempty"`
	Code    any    `json:"code,omitempty"` // a word, a number or null
}
