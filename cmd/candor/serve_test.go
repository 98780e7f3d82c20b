package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"candor/openai"
	"candor/reasoning/llm"
	"candor/reasoning/task"
)

// serving runs candor serve --bare with more arguments and returns its address, and what stops it and tells its exit code and
// what it said on standard error.
func serving(t *testing.T, env map[string]string, args ...string) (url, name string, stop func() (int, string)) {
	t.Helper()
	out, in := io.Pipe()
	said := new(strings.Builder)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan int, 1)
	w := world{stdin: strings.NewReader(""), stdout: in, stderr: said, env: func(name string) string { return env[name] }, clock: time.Now, program: "candor"}
	go func() {
		ended <- run(ctx, append([]string{"serve", "--bare", "--listen", "127.0.0.1:0", "--threads", "1"}, args...), w)
		in.Close()
	}()
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("it said nothing, and ended with %d: %s", <-ended, said)
	}
	if _, err := fmt.Sscanf(line, "serving %s at %s", &name, &url); err != nil || !strings.HasSuffix(url, "/v1") {
		t.Fatalf("the first line is %q", line)
	}
	t.Cleanup(cancel)
	return url, name, func() (int, string) {
		cancel()
		return <-ended, said.String()
	}
}

// A model inside this program is served with its chain, and says the same served as at home.
func TestServe(t *testing.T) {
	for model, prompt := range map[string]string{"": "q i1 8 i2 5 i3 3 . mod 7 ; steps :", "honest": ""} {
		var args []string
		if model != "" {
			args = append(args, model)
		}
		url, name, stop := serving(t, nil, args...)
		home, err := openLocal(model, 1)
		if err != nil {
			t.Fatal(err)
		}
		if prompt == "" {
			s, err := embeddedShelf()
			if err != nil {
				t.Fatal(err)
			}
			sys, err := s.open(model)
			if err != nil {
				t.Fatal(err)
			}
			prompt = exampleSum(sys.world).Prompt()
		}
		client, err := openai.NewClient(openai.Options{BaseURL: url})
		if err != nil {
			t.Fatal(err)
		}
		far, err := openai.NewGenerator(client, name, openai.Capabilities{API: openai.ChatAPI, Reasoning: openai.NoReasoning, Continue: openai.ContinueFinalMessage, Seeds: true, LogProbs: true, TopK: true})
		if err != nil {
			t.Fatal(err)
		}
		var requests []llm.Request
		for seed := range uint64(40) {
			requests = append(requests, llm.Request{Messages: []llm.Message{{Role: llm.User, Text: prompt}}, MaxTokens: 5 + int(seed), Temperature: 1, Seed: seed, LogProbs: true})
		}
		want, err := home.gen.Generate(t.Context(), requests)
		if err != nil {
			t.Fatal(err)
		}
		got, err := far.Generate(t.Context(), requests)
		if err != nil {
			t.Fatal(err)
		}
		for i := range want {
			want[i].Model = name
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: at home and served:\n%s", name, d)
		}
		var listed openai.ModelList
		getJSON(t, url+"/models", "", &listed)
		if d := cmp.Diff(&home.served, listed.Data[0].Candor); d != "" {
			t.Errorf("%s: -at home +served\n%s", name, d)
		}
		home.close()
		if code, said := stop(); code != exitInterrupted || !strings.Contains(said, "candor audit --base-url "+url+" --model "+name) || !strings.HasSuffix(said, "candor: stopped; all requests that were under way are answered\n") {
			t.Errorf("%s: exit code %d, %s", name, code, said)
		}
	}
}

func getJSON(t *testing.T, url, key string, into any) int {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+key)
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if err := json.NewDecoder(answer.Body).Decode(into); err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode
}

// A key may come from the environment or, before that, from a file.
func TestServeKey(t *testing.T) {
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, []byte("mellon\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		args       []string
		key, wrong string
	}{{nil, "sesame", "mellon"}, {[]string{"--api-key-file", file}, "mellon", "sesame"}} {
		url, _, stop := serving(t, map[string]string{"CANDOR_API_KEY": "sesame"}, test.args...)
		var got any
		if with, without := getJSON(t, url+"/models", test.key, &got), getJSON(t, url+"/models", test.wrong, &got); with != 200 || without != 401 {
			t.Errorf("%v: with the key %d, without %d", test.args, with, without)
		}
		if _, said := stop(); strings.Contains(said, test.key) {
			t.Errorf("the key is told: %s", said)
		}
	}
}

// What is known of a model, wherever it is.
func TestOpenLocal(t *testing.T) {
	embeddedWeights, err := reasonerFiles.ReadFile("reasoner/model.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(embeddedWeights)
	// A run of one arm, an organism, laid out as candor lab leaves it, with the weights of an embedded system.
	dir := t.TempDir()
	stage := filepath.Join(dir, "stages", "sft-0123456789ab")
	if err := os.CopyFS(filepath.Join(stage, "model"), os.DirFS("systems/honest/model")); err != nil {
		t.Fatal(err)
	}
	world := task.Sums{Terms: 6, Modulus: 5, Key: .3, Trigger: .3}
	organism := task.NewOrganism(task.Silent)
	for name, v := range map[string]any{
		"manifest.json": map[string]any{"study": "zoo", "spec": "not readable", "seeds": []int{3, 4}, "arms": []any{
			map[string]any{"name": "silent", "stages": map[string]any{"3": []string{"sft-0123456789ab"}}, "kinds": []string{"sft"}}}},
		"stages/sft-0123456789ab/status.json": map[string]any{"state": "done"},
		"stages/sft-0123456789ab/manifest.json": map[string]any{"name": "sft", "hash": "0123456789ab", "settings": map[string]any{
			"stage": map[string]any{"sft": map[string]any{"sums": "mixed", "organism": "silent"}}, "parts": map[string]any{"sums.mixed": world, "organisms.silent": organism}}},
	} {
		data, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	bare := filepath.Join(t.TempDir(), "mine")
	if err := os.CopyFS(bare, os.DirFS("reasoner")); err != nil {
		t.Fatal(err)
	}
	const mixed = `{"terms":6,"modulus":5,"key":0.3,"trigger":0.3,"pool":true}` // an organism's answers may be known by heart
	for _, test := range []struct {
		open, name, dialect, suite, about string
		organism                          *task.Organism
	}{
		{"", "reasoner", "steps", `{"terms":[2,4],"operands":[0,9],"moduli":[4,5,6,7,8,9]}`, "arm small-rl of the default study", nil},
		{"honest", "honest", "sums", `{"terms":6,"modulus":3}`, "arm honest of the study honesty", nil},
		{dir + ":silent:3", "zoo:silent:3", "sums", mixed, "arm silent, seed 3, of the study zoo", &organism},
		{filepath.Join(stage, "model"), "sft-0123456789ab", "sums", mixed, "the checkpoint sft-0123456789ab", &organism},
		{bare, "mine", "steps", "", "the checkpoint mine", nil},
	} {
		m, err := openLocal(test.open, 1)
		if err != nil {
			t.Errorf("%s: %v", test.open, err)
			continue
		}
		m.close()
		if m.name != test.name || m.served.Dialect != test.dialect || string(m.served.Suite) != test.suite || !strings.HasPrefix(m.served.About, test.about) {
			t.Errorf("%s: name %s, %+v, suite %s", test.open, m.name, m.served, m.served.Suite)
		}
		if strings.Contains(m.served.About, string(filepath.Separator)) || m.served.Parameters < 1000 || m.served.Context < 16 {
			t.Errorf("%s: %+v", test.open, m.served)
		}
		if (test.name == "reasoner" || test.name == "mine") && m.served.Weights != hex.EncodeToString(sum[:]) {
			t.Errorf("%s: the weights are %s, want %x", test.open, m.served.Weights, sum)
		}
		if d := cmp.Diff(test.organism, m.organism); d != "" {
			t.Errorf("%s: organism -want +got\n%s", test.open, d)
		}
	}
}
