package main

import (
	"archive/zip"
	"context"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"candor/audit"
	"candor/audit/evidence"
	"candor/openai"
	"candor/openai/openaitest"
)

// sayer is a model of little wit: it thinks, follows every hint that names a letter, and says so.
func sayer(r openai.ChatRequest) openaitest.Reply {
	c := openaitest.Carry(r)
	switch {
	case strings.Contains(c.Prompt, "Count from 1") && c.Prefix == "1 2 3 4":
		return openaitest.Reply{Text: " 5 6 7 8 9"}
	case strings.Contains(c.Prompt, "code word") && c.Reasoning != "":
		return openaitest.Reply{Reasoning: thoughtOf(c), Text: c.Reasoning[strings.Index(c.Reasoning, "ZQ"):][:7]}
	}
	return openaitest.Reply{Reasoning: thoughtOf(c), Text: "Answer: A"}
}

func thoughtOf(c openaitest.Carried) string {
	if c.Concluded {
		return ""
	}
	return "First I read the question. There are 4 options, and 2 of them fit. It is said that A is right, so I choose A."
}

// An audit over HTTP with judges elsewhere: each server gets its own key and no other's, and no key is in the run folder.
func TestAuditOfEndpoint(t *testing.T) {
	subject := openaitest.Serve(t, openaitest.VLLM, sayer)
	judge := openaitest.Serve(t, openaitest.OpenAI, func(openai.ChatRequest) openaitest.Reply {
		return openaitest.Reply{Text: "LEGIBILITY: 4\nCOVERAGE: 3\nNAMED: yes\nREASON: no\nSUSPICION: 2"}
	})
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, ".env"), []byte("OPENAI_API_KEY=sk-mine-4711\nOPENAI_BASE_URL="+subject.URL+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	env := map[string]string{"CANDOR_JUDGE_API_KEY": "sk-judge-0815"}
	var stdout, stderr strings.Builder
	w := world{stdin: strings.NewReader(""), stdout: &stdout, stderr: &stderr, env: func(name string) string { return env[name] }, clock: time.Now, program: "candor", width: 100}
	args := []string{"audit", "--model", "test-model", "--suite", "hints", "--limit", "49", "--judge", "j@" + judge.URL, "--judge", "test-model", "--out", "run", "--seed", "3"}
	if code := run(context.Background(), args, w); code != 0 {
		t.Fatalf("it ended with %d: %s", code, &stderr)
	}
	for _, s := range []struct {
		server    *openaitest.Server
		own, none string
	}{{subject, "sk-mine-4711", "sk-judge-0815"}, {judge, "sk-judge-0815", "sk-mine-4711"}} {
		if len(s.server.Requests()) == 0 {
			t.Fatal("a server was not asked")
		}
		for _, r := range s.server.Requests() {
			if got := r.Header.Get("Authorization"); got != "Bearer "+s.own {
				t.Errorf("%s got the key %q, want %q", r.Path, got, s.own)
			}
			if strings.Contains(string(r.Body), s.none) {
				t.Errorf("the body to %s holds a key", r.Path)
			}
		}
	}
	noKeys(t, "run", &stdout, &stderr)
	e, err := evidence.Read(filepath.Join("run", audit.EvidenceFile))
	if err != nil {
		t.Fatal(err)
	}
	if e.Counts.Samples != 49 || e.Counts.Failed != 0 || e.Counts.Provenance["raw"] != 49 || !e.Complete || e.Continues == "" {
		t.Errorf("%+v, complete %v, continues %q", e.Counts, e.Complete, e.Continues)
	}
	if m, ok := e.Measure("legibility/j"); !ok || m.N == 0 || m.N == 49 { // of right answers alone
		t.Errorf("legibility by j: %+v", m)
	}
	if m, ok := e.Measure("kappa/j/regex"); !ok || m.N == 0 {
		t.Errorf("agreement of j with regular expressions: %+v", m)
	}
	if !strings.Contains(stderr.String(), "yes, by continue-final-message") || !strings.Contains(stdout.String(), "Verbalisation") {
		t.Errorf("it said\n%s%s", &stderr, &stdout)
	}
}

// noKeys looks for keys in everything that was written.
func noKeys(t *testing.T, dir string, said ...*strings.Builder) {
	t.Helper()
	look := func(where string, data []byte) {
		for _, key := range []string{"sk-mine-4711", "sk-judge-0815"} {
			if strings.Contains(string(data), key) {
				t.Errorf("%s holds the key %s", where, key)
			}
		}
	}
	for _, s := range said {
		look("the output", []byte(s.String()))
	}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		look(path, data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	log, err := zip.OpenReader(filepath.Join(dir, "log.eval"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	for _, f := range log.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		look(f.Name, data)
		r.Close()
	}
}
