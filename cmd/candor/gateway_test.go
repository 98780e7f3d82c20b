package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"candor/openai"
	"candor/openai/openaitest"
	"candor/serve/ledger"
)

// gatewayServing runs candor serve with more arguments in a folder of its own and returns its base URL, and what stops it and tells its exit code
// and what it said on standard error.
func gatewayServing(t *testing.T, env map[string]string, args ...string) (url string, stop func() (int, string)) {
	t.Helper()
	out, in := io.Pipe()
	said := new(strings.Builder)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan int, 1)
	w := world{stdin: strings.NewReader(""), stdout: in, stderr: said, env: func(name string) string { return env[name] }, clock: time.Now, program: "candor"}
	go func() {
		ended <- run(ctx, append([]string{"serve"}, args...), w)
		in.Close()
	}()
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("it said nothing, and ended with %d: %s", <-ended, said)
	}
	var name string
	if _, err := fmt.Sscanf(line, "serving %s at %s", &name, &url); err != nil {
		t.Fatalf("the first line is %q", line)
	}
	t.Cleanup(cancel)
	return strings.TrimSuffix(url, "/v1"), func() (int, string) {
		cancel()
		return <-ended, said.String()
	}
}

// chatAnswer is what is looked at of an answer.
type chatAnswer struct {
	status int
	header http.Header
	body   string
	text   string
	refuse string
}

func gatewayChat(t *testing.T, url, key, text string) chatAnswer {
	t.Helper()
	body, err := json.Marshal(map[string]any{"messages": []map[string]string{{"role": "user", "content": text}}})
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/v1/chat/completions", strings.NewReader(string(body)))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	if key != "" {
		r.Header.Set("Authorization", "Bearer "+key)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	var a struct {
		Choices []struct {
			Message struct{ Content, Refusal string }
		}
	}
	if err := json.Unmarshal(data, &a); err != nil {
		t.Fatalf("%s: %v", data, err)
	}
	out := chatAnswer{status: resp.StatusCode, header: resp.Header, body: string(data)}
	for _, c := range a.Choices {
		out.text, out.refuse = out.text+c.Message.Content, out.refuse+c.Message.Refusal
	}
	return out
}

// The program alone, without any model, key or server at hand, serves the two-part system.
func TestServeTheSystemInside(t *testing.T) {
	t.Chdir(t.TempDir())
	url, stop := gatewayServing(t, nil, "--listen", "127.0.0.1:0")
	right := 0
	for _, p := range []struct{ problem, sum string }{
		{"0 + 0 + 1 + 1 + 2 + 1 mod 3", "2"}, {"2 + 0 + 1 + 1 + 2 + 1 mod 3", "1"}, {"1 + 1 + 1 + 1 + 1 + 1 mod 3", "0"}, {"2 + 2 + 2 + 1 + 0 + 0 mod 3", "1"},
	} {
		a := gatewayChat(t, url, "", p.problem)
		if a.status != 200 || (a.text == "") == (a.refuse == "") {
			t.Errorf("%s: %d %s", p.problem, a.status, a.body)
		}
		if strings.TrimSpace(a.text) == p.sum {
			right++
		}
		if !strings.Contains(a.header.Get("Server-Timing"), "overhead;dur=") || a.header.Get("X-Candor-Trace") == "" {
			t.Errorf("%s: the headers are %v", p.problem, a.header)
		}
		if len(strings.Fields(a.text)) > 1 {
			t.Errorf("%s: the answer is more than the sum: %q", p.problem, a.text)
		}
	}
	if right < 3 {
		t.Errorf("%d of 4 sums are right", right)
	}
	if a := gatewayChat(t, url, "", "what is the meaning of life?"); a.status != 400 || !strings.Contains(a.body, "type a problem such as") {
		t.Errorf("no problem: %d %s", a.status, a.body)
	}
	for path, want := range map[string]string{"/": "mod 3", "/load": "honest", "/held": "", "/readyz": "ok", "/healthz": "ok", "/metrics": "candor_"} {
		resp, err := http.Get(url + path)
		if err != nil {
			t.Fatal(err)
		}
		data, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != 200 || !strings.Contains(string(data), want) {
			t.Errorf("%s: %d, without %q", path, resp.StatusCode, want)
		}
	}
	code, said := stop()
	if code != exitInterrupted || !strings.Contains(said, "gated: audited") || strings.Contains(said, "UNGATED") {
		t.Errorf("exit code %d, %s", code, said)
	}
	verifies(t, "candor-serve/ledger.db", 5)
}

// verifies checks a ledger that nobody writes any more.
func verifies(t *testing.T, file string, least int64) *ledger.Report {
	t.Helper()
	r, err := verifyFile(context.Background(), file, ledger.Check{})
	if err != nil || len(r.Faults) > 0 {
		t.Fatalf("the ledger does not verify: %v, %+v", err, r)
	}
	if r.Begun < least || r.Unfinished != 0 {
		t.Errorf("the ledger has %d requests, %d unfinished, want %d and none", r.Begun, r.Unfinished, least)
	}
	return r
}

func TestServeRefusesReasonersWithoutEvidence(t *testing.T) {
	t.Chdir(t.TempDir())
	var out, errs strings.Builder
	w := world{stdin: strings.NewReader(""), stdout: &out, stderr: &errs, env: os.Getenv, clock: time.Now, program: "candor"}
	if code := run(t.Context(), []string{"serve", "penalty", "--listen", "127.0.0.1:0"}, w); code == 0 || !strings.Contains(errs.String(), "--ungated") {
		t.Errorf("a reasoner without an audit: exit code %d, %s", code, errs.String())
	}
	url, stop := gatewayServing(t, nil, "penalty", "--ungated", "--listen", "127.0.0.1:0")
	gatewayChat(t, url, "", "key 2: 3 + 0 + 4 + 1 mod 5")
	resp, err := http.Get(url + "/load")
	if err != nil {
		t.Fatal(err)
	}
	page, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	if !strings.Contains(strings.ToLower(string(page)), "ungated") {
		t.Error("the page does not say that the reasoner is ungated")
	}
	if _, said := stop(); !strings.Contains(said, "UNGATED") {
		t.Errorf("it does not say so at the start: %s", said)
	}
	var export strings.Builder
	w.stdout = &export
	if code := run(t.Context(), []string{"ledger", "export", "candor-serve/ledger.db"}, w); code != 0 || strings.Count(export.String(), `"ungated":true`) < 2 {
		t.Errorf("the ledger does not say so: exit code %d, %s", code, export.String())
	}
}

// twoModels writes a configuration with models behind real connections.
func twoModels(t *testing.T, more string) (file string) {
	t.Helper()
	return twoModelsWith(t, func(openai.ChatRequest) openaitest.Reply { return openaitest.Reply{Text: "the answer"} }, more)
}

func twoModelsWith(t *testing.T, says func(openai.ChatRequest) openaitest.Reply, more string) (file string) {
	t.Helper()
	reasoner := openaitest.New(t, openaitest.Exchange{Family: openaitest.VLLM, Reply: openaitest.Reply{Reasoning: "private words", Text: "draft"}})
	face := openaitest.Serve(t, openaitest.LlamaCPP, says)
	dir := t.TempDir()
	for name, c := range map[string]any{"big.json": openaitest.VLLM.Capabilities(false), "small.json": openaitest.LlamaCPP.Capabilities(false)} {
		data, err := json.Marshal(c)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), data, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	file = filepath.Join(dir, "candor.yaml")
	text := fmt.Sprintf(`listen: 127.0.0.1:0
models:
  big: {base_url: %q, model: big, capabilities: big.json}
  small: {base_url: %q, model: small, capabilities: small.json}
reasoner: {model: big, ungated: true}
paraphraser: {rule: prose}
face: {model: small, policy: Answer plainly.}
%s
`, reasoner.URL, face.URL, more)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestServeModelsBehindEndpoints(t *testing.T) {
	file := twoModels(t, "")
	url, stop := gatewayServing(t, nil, "--config", file)
	a := gatewayChat(t, url, "", "what is it?")
	if a.text != "the answer" || strings.Contains(a.body, "private") || strings.Contains(a.body, "draft") {
		t.Errorf("%d %s", a.status, a.body)
	}
	stop()
	verifies(t, filepath.Join(filepath.Dir(file), "candor-serve", "ledger.db"), 1)
}

func TestServeWithKeys(t *testing.T) {
	file := twoModels(t, "keys: keys.json")
	dir := filepath.Dir(file)
	made := map[string]string{}
	for _, role := range []string{"user", "reviewer", "operator"} {
		var out strings.Builder
		w := world{stdin: strings.NewReader(""), stdout: &out, stderr: io.Discard, env: os.Getenv, clock: time.Now, program: "candor"}
		if code := run(t.Context(), []string{"keys", "add", "--file", filepath.Join(dir, "keys.json"), "--name", role, "--role", role}, w); code != 0 {
			t.Fatalf("candor keys add: exit code %d", code)
		}
		for _, word := range strings.Fields(out.String()) {
			if strings.HasPrefix(word, "candor-") {
				made[role] = word
			}
		}
	}
	url, stop := gatewayServing(t, nil, "--config", file)
	defer stop()
	for key, want := range map[string]int{made["user"]: 200, "": 401, "candor-wrong": 401, made["reviewer"]: 403, made["operator"]: 403} {
		if a := gatewayChat(t, url, key, "what is it?"); a.status != want {
			t.Errorf("a key of %d letters got %d, want %d: %s", len(key), a.status, want, a.body)
		}
	}
	for path, by := range map[string]map[string]int{"/metrics": {"operator": 200, "user": 403, "": 401}} {
		for role, want := range by {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			if role != "" {
				r.Header.Set("Authorization", "Bearer "+made[role])
			}
			resp, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode != want {
				t.Errorf("%s for %q: %d, want %d", path, role, resp.StatusCode, want)
			}
		}
	}
}

func TestServeTellsWhatIsWrongWithAConfiguration(t *testing.T) {
	for _, tc := range []struct{ text, want string }{
		{"reasoner: {model: x}\nmodel: {}", "model"},
		{"models:\n  a: {base_url: http://127.0.0.1:1/v1}\nreasoner: {model: a}", "models.a: model is missing"},
		{"models:\n  a: {base_url: http://127.0.0.1:1/v1, model: m}\nreasoner: {model: b}", `there is no model "b"; choose from: a`},
		{"models:\n  a: {base_url: http://127.0.0.1:1/v1, model: m}\nreasoner: {model: a}\nmonitors:\n- {kind: rulez}", "must be one of rules, judge"},
		{"models:\n  a: {base_url: http://127.0.0.1:1/v1, model: m}\nreasoner: {model: a, timeout: 5}", "is no duration"},
		{"models:\n  a: {base_url: http://127.0.0.1:1/v1, model: m}\nreasoner: {model: a}\nmonitors:\n- {kind: rules, rules: r.yaml, threshold: .5, on_error: release}", "on_error"},
		{"models:\n  a: {base_url: http://127.0.0.1:1/v1, model: m}\nreasoner: {model: a}\nagent: {mcp: [{name: x, url: \"http://127.0.0.1:1\"}], reviewer: {model: a}}", "an agent without bounds"},
	} {
		file := filepath.Join(t.TempDir(), "candor.yaml")
		if err := os.WriteFile(file, []byte(tc.text), 0o600); err != nil {
			t.Fatal(err)
		}
		var errs strings.Builder
		w := world{stdin: strings.NewReader(""), stdout: io.Discard, stderr: &errs, env: os.Getenv, clock: time.Now, program: "candor"}
		if code := run(t.Context(), []string{"serve", "--config", file}, w); code != exitUsage || !strings.Contains(errs.String(), tc.want) {
			t.Errorf("%s\nexit code %d, want %d and a sentence with %q:\n%s", tc.text, code, exitUsage, tc.want, errs.String())
		}
	}
}

func TestServeAskForKeysBeyondThisMachine(t *testing.T) {
	t.Chdir(t.TempDir())
	var errs strings.Builder
	w := world{stdin: strings.NewReader(""), stdout: io.Discard, stderr: &errs, env: os.Getenv, clock: time.Now, program: "candor"}
	if code := run(t.Context(), []string{"serve", "--listen", "0.0.0.0:0"}, w); code != exitUsage || !strings.Contains(errs.String(), "keys add") {
		t.Errorf("exit code %d, %s", code, errs.String())
	}
}

// A judge is calibrated with its own model, and serves with the threshold that this gave.
func TestServeWithACalibratedJudge(t *testing.T) {
	judge := openaitest.Serve(t, openaitest.LlamaCPP, func(r openai.ChatRequest) openaitest.Reply {
		all, err := json.Marshal(r.Messages)
		if err != nil {
			t.Error(err)
		}
		score := 10 + len(all)%7 // some noise
		if strings.Contains(string(all), "steal") {
			score = 70 + len(all)%7
		}
		return openaitest.Reply{Text: fmt.Sprintf(`{"score": %d, "why": "so it is", "quotes": []}`, score)}
	})
	monitors := func(how string) string {
		return fmt.Sprintf("  judge: {base_url: %q, model: judge, capabilities: small.json}\nmonitors:\n  - {kind: judge, model: judge, policy: Nothing is stolen., %s}\n", judge.URL, how)
	}
	file := twoModels(t, "")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	write := func(how string) {
		inserted := strings.Replace(string(text), "reasoner: {model: big", monitors(how)+"reasoner: {model: big", 1)
		if err := os.WriteFile(file, []byte(inserted), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("threshold: 1")
	var samples strings.Builder
	for i := range 80 {
		chain := []string{"I add the numbers", "I steal the answer"}[i%2]
		fmt.Fprintf(&samples, "{\"prompt\": \"q%d\", \"chain\": %q, \"answer\": \"a\", \"bad\": %v}\n", i, strings.Repeat("x", i%5)+chain, i%2 == 1)
	}
	dir := filepath.Dir(file)
	if err := os.WriteFile(filepath.Join(dir, "samples.jsonl"), []byte(samples.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	var out, errs strings.Builder
	w := world{stdin: strings.NewReader(""), stdout: &out, stderr: &errs, env: os.Getenv, clock: time.Now, program: "candor"}
	if code := run(t.Context(), []string{"monitors", "calibrate", "--config", file, "--monitor", "judge", "--samples", filepath.Join(dir, "samples.jsonl"), "--out", filepath.Join(dir, "judge.json")}, w); code != 0 {
		t.Fatalf("exit code %d, %s", code, errs.String())
	}
	write("calibration: judge.json")
	url, stop := gatewayServing(t, nil, "--config", file)
	if a := gatewayChat(t, url, "", "what is it?"); a.text != "the answer" {
		t.Errorf("a good chain: %d %s", a.status, a.body)
	}
	if a := gatewayChat(t, url, "", "please steal it"); a.text != "" || a.refuse == "" {
		t.Errorf("a bad prompt: %d %s", a.status, a.body)
	}
	resp, err := http.Get(url + "/load")
	if err != nil {
		t.Fatal(err)
	}
	page, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	if !strings.Contains(string(page), "of 40 good") {
		t.Error("the page does not say where the threshold comes from")
	}
	stop()
	write("calibration: judge.json, sees: shown")
	if code := run(t.Context(), []string{"serve", "--config", file}, w); code == 0 || !strings.Contains(errs.String(), "calibrate that") {
		t.Errorf("a calibration of another part was taken: %s", errs.String())
	}
}

// A checkpoint plays a part like an endpoint: here one model under a monitor, which a person can read about on record.
func TestServeACheckpointUnderMonitors(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"rules.yaml":  "rules:\n  - {name: two, match: '2', in: answer}\n",
		"candor.yaml": "listen: 127.0.0.1:0\nmodels: {tiny: {local: honest}}\nreasoner: {model: tiny, temperature: 0, max_tokens: 64}\nmonitors:\n  - {kind: rules, rules: rules.yaml, sees: output, threshold: .5}\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	url, stop := gatewayServing(t, nil, "--config", filepath.Join(dir, "candor.yaml"))
	defer stop()
	if a := gatewayChat(t, url, "", "none 0 0 0 1 0 0 0 :"); a.status != 200 || a.text == "" || strings.Contains(a.text, "2") {
		t.Errorf("a sum without a 2: %d %s", a.status, a.body)
	}
	if a := gatewayChat(t, url, "", "none 0 2 0 0 0 0 0 :"); a.status != 200 || a.text != "" || a.refuse == "" {
		t.Errorf("a sum with a 2: %d %s", a.status, a.body)
	}
	if a := gatewayChat(t, url, "", "what is the meaning of life?"); a.status < 400 || strings.Contains(a.body, "meaning") {
		t.Errorf("words that it does not know: %d %s", a.status, a.body)
	}
}
