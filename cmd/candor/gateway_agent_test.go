package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"candor/openai"
	"candor/openai/openaitest"
	"candor/reasoning/llm"
)

// store is an MCP server with a tool that buys.
type store struct {
	mu     sync.Mutex
	bought []string
}

type wish struct {
	What string `json:"what"`
}

func (s *store) serve(t *testing.T) (url string) {
	server := mcp.NewServer(&mcp.Implementation{Name: "store", Version: "1"}, nil)
	mcp.AddTool(server, &mcp.Tool{Name: "buy", Description: "buys something"}, func(_ context.Context, _ *mcp.CallToolRequest, in wish) (*mcp.CallToolResult, any, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.bought = append(s.bought, in.What)
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: "bought " + in.What}}}, nil, nil
	})
	web := httptest.NewServer(mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, nil))
	t.Cleanup(web.Close)
	return web.URL
}

// shopper buys milk, then an elephant, and tells how it went.
func shopper(r openai.ChatRequest) openaitest.Reply {
	results := 0
	for _, m := range r.Messages {
		if m.Role == "tool" {
			results++
		}
	}
	if results < 2 {
		return openaitest.Reply{Calls: []llm.ToolCall{{ID: "c", Name: "buy", Arguments: fmt.Sprintf(`{"what":%q}`, []string{"milk", "elephant"}[results])}}}
	}
	return openaitest.Reply{Text: "there is milk, and no elephant"}
}

// reviewing approves all but elephants.
func reviewing(t *testing.T) *openaitest.Server {
	return openaitest.Serve(t, openaitest.LlamaCPP, func(r openai.ChatRequest) openaitest.Reply {
		all, err := json.Marshal(r.Messages)
		if err != nil {
			t.Error(err)
		}
		if strings.Contains(string(all), "elephant") {
			return openaitest.Reply{Text: `{"decision": "reject", "why": "it does not fit"}`}
		}
		return openaitest.Reply{Text: `{"decision": "approve", "why": "fine"}`}
	})
}

// collecting is an OTLP collector that keeps what it is sent.
func collecting(t *testing.T) (url string, sent func() string) {
	var mu sync.Mutex
	var all bytes.Buffer
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body := io.Reader(r.Body)
		if r.Header.Get("Content-Encoding") == "gzip" {
			plain, err := gzip.NewReader(r.Body)
			if err != nil {
				t.Error(err)
				return
			}
			body = plain
		}
		mu.Lock()
		defer mu.Unlock()
		_, _ = all.ReadFrom(body)
	}))
	t.Cleanup(web.Close)
	return web.URL, func() string {
		mu.Lock()
		defer mu.Unlock()
		return all.String()
	}
}

// From the configuration to the tool: an agent whose actions are reviewed, under budgets, on record, with telemetry that has no texts.
func TestServeAnAgent(t *testing.T) {
	tools := &store{}
	collector, sent := collecting(t)
	reviewer := reviewing(t)
	file := twoModelsWith(t, shopper, fmt.Sprintf(`agent:
  mcp: [{name: store, url: %q}]
  reviewer: {model: reviewer, policy: Nothing that does not fit into a fridge.}
  steps: 5
  calls: 5
  tokens: 100000
  time: 30s
telemetry: {endpoint: %q}
`, tools.serve(t), collector))
	dir := filepath.Dir(file)
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	text = bytes.Replace(text, []byte("reasoner: {model: big"), fmt.Appendf(nil, "  reviewer: {base_url: %q, model: reviewer, capabilities: small.json}\nreasoner: {model: big", reviewer.URL), 1)
	for _, name := range []string{"big.json", "small.json"} { // these servers know tools
		data, err := os.ReadFile(filepath.Join(dir, name))
		var c openai.Capabilities
		if err == nil {
			err = json.Unmarshal(data, &c)
		}
		if c.Tools = true; err == nil {
			data, err = json.Marshal(c)
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), data, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	url, stop := gatewayServing(t, nil, "--config", file)
	resp, err := http.Post(url+"/v1/chat/completions", "application/json", strings.NewReader(`{"model":"candor-agent","messages":[{"role":"user","content":"fill the fridge with confidential goods"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	if resp.StatusCode != 200 || !strings.Contains(string(body), "there is milk, and no elephant") || strings.Contains(string(body), "private") {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
	if got := strings.Join(tools.bought, ", "); got != "milk" {
		t.Errorf("bought %s, want milk alone", got)
	}
	stop()
	verifies(t, filepath.Join(dir, "candor-serve", "ledger.db"), 1)
	var export, errs strings.Builder
	w := world{stdin: strings.NewReader(""), stdout: &export, stderr: &errs, env: os.Getenv, clock: time.Now, program: "candor"}
	if code := run(t.Context(), []string{"ledger", "export", filepath.Join(dir, "candor-serve", "ledger.db")}, w); code != 0 {
		t.Fatalf("exit code %d, %s", code, errs.String())
	}
	for _, want := range []string{"it does not fit", `"decision":"reject"`, "bought milk"} {
		if !strings.Contains(export.String(), want) && !strings.Contains(export.String(), strings.ReplaceAll(want, `"`, `\"`)) {
			t.Errorf("the record does not have %q", want)
		}
	}
	told := sent()
	if !strings.Contains(told, "gen_ai.") || !strings.Contains(told, "reasoner") {
		t.Errorf("telemetry was told %d bytes, without the spans of the models", len(told))
	}
	for _, secret := range []string{"confidential", "private words", "elephant", "milk", "does not fit"} {
		if strings.Contains(told, secret) {
			t.Errorf("telemetry was told %q", secret)
		}
	}
}
