package main

import (
	"bytes"
	"context"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"candor/internal/rng"
	"candor/serve/auth"
)

// candorKeys runs "candor keys ..." at a time and demands an exit code.
func candorKeys(t *testing.T, at time.Time, code int, args ...string) (stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	w := world{stdout: &out, stderr: &errs, env: func(string) string { return "" }, clock: func() time.Time { return at }}
	if got := run(context.Background(), append([]string{"keys"}, args...), w); got != code {
		t.Fatalf("candor keys %s ended with exit code %d, want %d:\n%s%s", strings.Join(args, " "), got, code, &out, &errs)
	}
	return out.String(), errs.String()
}

func TestKeysCommand(t *testing.T) {
	at := time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)
	file := filepath.Join(t.TempDir(), "new", "keys.json")
	_, said := candorKeys(t, at, 0, "list", "--file", file)
	contain(t, said, "no keys in", "candor keys add")
	candorKeys(t, at, 1, "revoke", "key-none", "--file", file)
	if _, err := os.Stat(filepath.Dir(file)); err == nil {
		t.Error("a folder was made though nothing is in it")
	}

	key, said := candorKeys(t, at, 0, "add", "--file", file, "--name", "web shop", "--role", "user", "--expires", "90d", "--per-minute", "600", "--concurrent", "32", "--tokens-per-minute", "9000")
	contain(t, said, "for web shop, role user, valid until 2026-09-29 12:00 UTC", "not shown again")
	second, said := candorKeys(t, at, 0, "add", "--file", file, "--name", "Ada", "--role", "reviewer", "--role", "operator")
	contain(t, said, "role reviewer, operator, valid for ever")
	id := strings.TrimSuffix(strings.Fields(said)[0], ",")

	list, _ := candorKeys(t, at, 0, "list", "--file", file)
	contain(t, list, "web shop", "until 2026-09-29", "600 requests/min, 32 at a time, 9000 tokens/min", id, "reviewer, operator", "for ever")
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{strings.TrimSpace(key), strings.TrimSpace(second)} {
		if len(strings.Fields(text)) != 1 || strings.Contains(list, text) || strings.Contains(said, text) || bytes.Contains(data, []byte(text)) {
			t.Error("a key is not one line of the output alone, or is shown elsewhere too")
		}
	}
	a, err := auth.Open(auth.Options{File: file, Clock: func() time.Time { return at }, Secret: rng.Secret})
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest("POST", "/v1/chat/completions", nil)
	r.Header.Set("Authorization", "Bearer "+strings.TrimSpace(key))
	if _, _, err := a.Admit(r); err != nil {
		t.Errorf("the key that was made opens nothing: %v", err)
	}

	out, _ := candorKeys(t, at, 0, "revoke", "--file", file, id)
	contain(t, out, id+", for Ada, is revoked")
	list, _ = candorKeys(t, at.Add(91*24*time.Hour), 0, "list", "--file", file)
	contain(t, list, "revoked 2026-07-01", "expired 2026-09-29")

	_, said = candorKeys(t, at, 1, "revoke", "--file", file, "key-none")
	contain(t, said, "no key with the ID")
	_, said = candorKeys(t, at, 1, "add", "--file", file, "--name", "a\nb", "--role", "user")
	contain(t, said, "printable")
	candorKeys(t, at, 1, "add", "--file", file, "--name", "x", "--role", "user", "--concurrent=-1")
	candorKeys(t, at, exitUsage, "add", "--file", file, "--name", "x", "--role", "root")
	candorKeys(t, at, exitUsage, "add", "--file", file, "--name", "x")
	candorKeys(t, at, exitUsage, "add", "--file", file, "--role", "user")
	for _, life := range []string{"0d", "-1d", "90", "forever", "1000000d", "99999999999999999999d", "1ms"} {
		_, said = candorKeys(t, at, exitUsage, "add", "--file", file, "--name", "x", "--role", "user", "--expires="+life)
		contain(t, said, "such as 90d or 12h")
	}
	if err := os.WriteFile(file, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, said = candorKeys(t, at, 1, "list", "--file", file)
	contain(t, said, "line 1")
}
