package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// embeddedCopy writes the embedded reasoner into a folder, each file as change leaves it; a file made nil is left out.
func embeddedCopy(t *testing.T, change func(name string, data []byte) []byte) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"config.json", "model.safetensors", "tokenizer.json"} {
		data, err := reasonerFiles.ReadFile("reasoner/" + name)
		if err != nil {
			t.Fatal(err)
		}
		if data = change(name, slices.Clone(data)); data == nil {
			continue
		}
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// chatWith puts one problem to the checkpoint in dir.
func chatWith(t *testing.T, dir string) (stdout, stderr string, code int) {
	t.Helper()
	var out, said bytes.Buffer
	cmd := exec.Command("candor", "chat", "--model", dir, "8 + 5 + 3 mod 7")
	cmd.Stdout, cmd.Stderr = &out, &said
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return out.String(), said.String(), cmd.ProcessState.ExitCode()
}

// TestCorruptCheckpoint damages one file of a checkpoint at a time: the user gets one sentence that names it, and exit
// code 1.
func TestCorruptCheckpoint(t *testing.T) {
	old := func(from, to string) func([]byte) []byte {
		return func(b []byte) []byte {
			if !bytes.Contains(b, []byte(from)) {
				t.Fatalf("the embedded reasoner has no %q", from)
			}
			return bytes.Replace(b, []byte(from), []byte(to), 1)
		}
	}
	for _, test := range []struct {
		about, file string
		change      func([]byte) []byte
	}{
		{"weights cut short", "model.safetensors", func(b []byte) []byte { return b[:len(b)/2] }},
		{"weights empty", "model.safetensors", func([]byte) []byte { return []byte{} }},
		{"a huge header", "model.safetensors", func(b []byte) []byte { b[6] = 0xff; return b }},
		{"a foreign format", "model.safetensors", func([]byte) []byte { return []byte("PK\x03\x04 a zip archive as torch.save writes") }},
		{"a weight under another name", "model.safetensors", old(`wte.weight`, `wtx.weight`)},
		{"a weight that is not a number", "model.safetensors", func(b []byte) []byte { return append(b[:len(b)-4], 0, 0, 0xc0, 0x7f) }},
		{"no weights", "model.safetensors", func([]byte) []byte { return nil }},
		{"settings cut short", "config.json", func(b []byte) []byte { return b[:len(b)/2] }},
		{"settings of another width", "config.json", old(`"n_embd": 48`, `"n_embd": 64`)},
		{"a vocabulary cut short", "tokenizer.json", func(b []byte) []byte { return b[:len(b)/2] }},
		{"a vocabulary of nothing", "tokenizer.json", func([]byte) []byte { return []byte("{}") }},
	} {
		t.Run(test.about, func(t *testing.T) {
			dir := embeddedCopy(t, func(name string, data []byte) []byte {
				if name == test.file {
					return test.change(data)
				}
				return data
			})
			stdout, stderr, code := chatWith(t, dir)
			if code != exitFailed || stdout != "" {
				t.Errorf("exit code %d, want %d; stdout %q", code, exitFailed, stdout)
			}
			sentence := strings.TrimSuffix(stderr, "\n")
			if !strings.HasPrefix(sentence, "candor: ") || strings.Contains(sentence, "\n") || !strings.Contains(sentence, dir) {
				t.Errorf("not one sentence that says where: %s", stderr)
			}
		})
	}
}

// TestHostileVocabulary gives every word that no problem needs a colour of its own: a terminal must not obey a model.
func TestHostileVocabulary(t *testing.T) {
	whole := embeddedCopy(t, func(_ string, data []byte) []byte { return data })
	want, _, _ := chatWith(t, whole)
	dir := embeddedCopy(t, func(name string, data []byte) []byte {
		if name != "tokenizer.json" {
			return data
		}
		var file map[string]any
		if err := json.Unmarshal(data, &file); err != nil {
			t.Fatal(err)
		}
		vocabulary := file["model"].(map[string]any)["vocab"].(map[string]any)
		for word, id := range maps.Clone(vocabulary) {
			if strings.Trim(word, "abcdefghijklmnopqrstuvwxyz") == "" && !slices.Contains(promptWords(), word) {
				delete(vocabulary, word)
				vocabulary["\x1b[31m"+word] = id
			}
		}
		data, err := json.Marshal(file)
		if err != nil {
			t.Fatal(err)
		}
		return data
	})
	stdout, stderr, code := chatWith(t, dir)
	if code != 0 || stdout == want {
		t.Fatalf("exit code %d; no hostile word was spoken: %q %q", code, stdout, stderr)
	}
	if strings.ContainsRune(stdout+stderr, 0x1b) {
		t.Errorf("an escape sequence reached the terminal: %q %q", stdout, stderr)
	}
}
