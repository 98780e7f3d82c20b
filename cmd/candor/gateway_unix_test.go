//go:build unix

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"candor/openai"
	"candor/openai/openaitest"
	"candor/serve/ledger"
	"candor/serve/record"
)

// gatewayChild starts candor serve as a process of its own.
func gatewayChild(t *testing.T, args ...string) (cmd *exec.Cmd, url string) {
	t.Helper()
	cmd = exec.Command("candor", append([]string{"serve"}, args...)...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	said := new(strings.Builder)
	cmd.Stderr = said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	var name string
	if _, scanErr := fmt.Sscanf(line, "serving %s at %s", &name, &url); err != nil || scanErr != nil {
		t.Fatalf("the first line is %q: %s", line, said)
	}
	return cmd, strings.TrimSuffix(url, "/v1")
}

// Killed under load three times, the gateway has lost no answer that any client received.
func TestServeKilledUnderLoad(t *testing.T) {
	file := twoModelsThatCount(t)
	received := map[string]string{} // by trace
	var mu sync.Mutex
	for round := range 3 {
		cmd, url := gatewayChild(t, "--config", file)
		ctx, stop := context.WithCancel(t.Context())
		enough := make(chan struct{}, 1000)
		var wg sync.WaitGroup
		for client := range 8 {
			wg.Go(func() {
				for n := 0; ctx.Err() == nil; n++ {
					trace, text, err := askOnce(ctx, url, n%2 == client%2)
					if err != nil {
						return
					}
					mu.Lock()
					received[trace] = text
					mu.Unlock()
					select {
					case enough <- struct{}{}:
					default:
					}
				}
			})
		}
		for range 60 + 20*round {
			select {
			case <-enough:
			case <-time.After(20 * time.Second):
				t.Fatal("no answers come")
			}
		}
		if err := cmd.Process.Kill(); err != nil { // kill -9
			t.Fatal(err)
		}
		_ = cmd.Wait()
		stop()
		wg.Wait()
	}
	// One more start closes what was open.
	cmd, _ := gatewayChild(t, "--config", file)
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	path := filepath.Join(filepath.Dir(file), "candor-serve", "ledger.db")
	report := verifies(t, path, int64(len(received)))
	t.Logf("%d answers received; %d requests begun, %d given up", len(received), report.Begun, report.Abandoned)
	r, err := ledger.OpenReader(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if len(received) < 150 {
		t.Errorf("only %d answers were received", len(received))
	}
	for trace, text := range received {
		entries, err := r.Trace(t.Context(), trace)
		if err != nil {
			t.Fatal(err)
		}
		tr, err := record.Read(entries)
		if err != nil || tr.Outcome != record.Released || tr.Answer == nil || tr.Answer.Text != text {
			t.Errorf("a client received %q as %s, and the ledger has %+v, %v", text, trace, tr, err)
		}
	}
}

// twoModelsThatCount is twoModels whose answers all differ.
func twoModelsThatCount(t *testing.T) string {
	t.Helper()
	var mu sync.Mutex
	n := 0
	return twoModelsWith(t, func(openai.ChatRequest) openaitest.Reply {
		mu.Lock()
		defer mu.Unlock()
		n++
		return openaitest.Reply{Text: fmt.Sprintf("answer number %d", n)}
	}, "")
}

// askOnce asks, and returns the answer once it is whole.
func askOnce(ctx context.Context, url string, stream bool) (trace, text string, err error) {
	body := fmt.Sprintf(`{"stream":%v,"messages":[{"role":"user","content":"what is it?"}]}`, stream)
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/v1/chat/completions", strings.NewReader(body))
	if err != nil {
		return "", "", err
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return "", "", err
	}
	defer resp.Body.Close()
	if resp.StatusCode != 200 {
		return "", "", fmt.Errorf("status %d", resp.StatusCode)
	}
	trace = resp.Header.Get("X-Candor-Trace")
	if !stream {
		var a struct {
			Choices []struct{ Message struct{ Content string } }
		}
		err := json.NewDecoder(resp.Body).Decode(&a)
		if err != nil || len(a.Choices) != 1 {
			return "", "", fmt.Errorf("no answer: %w", err)
		}
		return trace, a.Choices[0].Message.Content, nil
	}
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		data, ok := strings.CutPrefix(lines.Text(), "data: ")
		if data == "[DONE]" {
			return trace, text, nil
		}
		var c openai.ChatChunk
		if !ok || json.Unmarshal([]byte(data), &c) != nil {
			continue
		}
		for _, choice := range c.Choices {
			if choice.Delta.Content != nil {
				text += choice.Delta.Content.Text
			}
		}
	}
	return "", "", io.ErrUnexpectedEOF // the end is missing, and so may the text be
}

// Ten thousand connections that say nothing, or as many as this process may open, leave room for those that ask.
func TestServeBesideIdleConnections(t *testing.T) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	n := int(min(10000, uint64(limit.Cur)-500))
	_, url := gatewayChild(t, "--config", twoModelsThatCount(t))
	address := strings.TrimPrefix(url, "http://")
	var mu sync.Mutex
	var open []net.Conn
	t.Cleanup(func() {
		for _, c := range open {
			c.Close()
		}
	})
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			for range n / 50 {
				c, err := net.Dial("tcp", address)
				if err != nil {
					return // the gateway may have fewer
				}
				mu.Lock()
				open = append(open, c)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if len(open) < n*9/10 {
		t.Fatalf("%d of %d connections could be opened", len(open), n)
	}
	t.Logf("%d idle connections", len(open))
	for range 5 {
		if trace, text, err := askOnce(t.Context(), url, false); err != nil || trace == "" || text == "" {
			t.Errorf("beside %d idle connections: %q, %v", len(open), text, err)
		}
	}
}
