package main

import (
	"bytes"
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"candor/internal/rng"
	"candor/serve/ledger"
)

// candorLedger runs "candor ledger ..." and demands an exit code.
func candorLedger(t *testing.T, code int, args ...string) (stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	w := world{stdout: &out, stderr: &errs, env: func(string) string { return "" }, clock: time.Now}
	if got := run(context.Background(), append([]string{"ledger"}, args...), w); got != code {
		t.Fatalf("candor ledger %s ended with exit code %d, want %d:\n%s%s", strings.Join(args, " "), got, code, &out, &errs)
	}
	return out.String(), errs.String()
}

// contain demands that a text has all parts.
func contain(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("no %q in:\n%s", part, text)
		}
	}
}

func TestLedgerCommand(t *testing.T) {
	file := filepath.Join(t.TempDir(), "candor.ledger")
	key, err := ledger.LoadKey(file+".key", rng.Secret)
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	l, err := ledger.Open(ctx, file, ledger.Options{Key: key, Clock: time.Now, Secret: rng.Secret})
	if err != nil {
		t.Fatal(err)
	}
	for _, trace := range []string{"req-1", "req-2"} {
		if _, err := l.Begin(ctx, trace, nil, ledger.Content{Name: "prompt", Data: []byte("the prompt of " + trace)}); err != nil {
			t.Fatal(err)
		}
		if _, err := l.End(ctx, trace, nil, ledger.Content{Name: "answer", Data: []byte("the answer to " + trace)}); err != nil {
			t.Fatal(err)
		}
	}
	_, said := candorLedger(t, 1, "redact", file, "req-1", "--who", "Ada", "--why", "asked")
	contain(t, said, "another process writes")
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	public := file + ".key.pub"

	out, _ := candorLedger(t, 0, "redact", file, "req-1", "--who", "Ada", "--why", "asked", "--only", "prompt")
	contain(t, out, "1 text of req-1 deleted")
	_, said = candorLedger(t, 1, "redact", file, "req-1", "--who", "Ada", "--why", "asked", "--only", "prompt")
	contain(t, said, "no such content")
	out, _ = candorLedger(t, 0, "verify", file)
	contain(t, out, "2 begun, 2 ended", "4, 1 redacted", "not checked")
	out, _ = candorLedger(t, 0, "verify", file, "--key", public)
	contain(t, out, "cover entries up to 8", "mark        9:")
	mark := strings.Fields(out[strings.Index(out, "mark"):])[1]

	lines, _ := candorLedger(t, 0, "export", file)
	contain(t, lines, "the prompt of req-2", "the answer to req-1", `"why":"asked"`)
	if strings.Contains(lines, "the prompt of req-1") {
		t.Error("the export has what was redacted")
	}
	export := filepath.Join(t.TempDir(), "ledger.jsonl")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(export, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(lines)
	out, _ = candorLedger(t, 0, "verify", export, "--key", public, "--at", mark)
	contain(t, out, "cover entries up to 8")
	write(strings.Replace(lines, "the answer to req-2", "the other to req-2", 1))
	out, said = candorLedger(t, 1, "verify", export)
	contain(t, out, `entry 6 content: its "answer"`)
	contain(t, said, "1 fault, the first in entry 6")
	write(lines[:strings.LastIndex(strings.TrimSpace(lines), "\n")+1])
	out, _ = candorLedger(t, 1, "verify", export, "--at", mark, "--json")
	contain(t, out, `"problem": "truncated"`, `"seq": 9`)

	db, err := sql.Open("sqlite", "file:"+file)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec(`UPDATE entries SET body = '{"verdict":"pass"}' WHERE seq = 4`); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	out, _ = candorLedger(t, 1, "verify", file)
	contain(t, out, "entry 4 changed")

	missing := filepath.Join(t.TempDir(), "none")
	candorLedger(t, 1, "verify", missing)
	candorLedger(t, 1, "export", missing)
	candorLedger(t, 1, "redact", missing, "req-1", "--who", "Ada", "--why", "asked")
	if _, err := os.Stat(missing); err == nil {
		t.Error("a ledger was made where there was none")
	}
	candorLedger(t, exitUsage, "verify", file, "--at", "nonsense")
	candorLedger(t, exitUsage, "verify", file, "--key", "ed25519:nonsense")
	candorLedger(t, exitUsage, "redact", file, "req-1")
}

// A ledger in Postgres is named by a URL, whose password is nobody's business.
func TestLedgerCommandURL(t *testing.T) {
	const where = "postgres://ada:hush@127.0.0.1:1/x"
	key := filepath.Join(t.TempDir(), "key")
	if _, err := ledger.LoadKey(key, rng.Secret); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"verify", where}, {"export", where}, {"redact", where, "req-1", "--who", "Ada", "--why", "asked", "--signing-key", key}} {
		out, said := candorLedger(t, 1, args...)
		contain(t, said, "127.0.0.1:1/x", "see whether Postgres runs there")
		if strings.Contains(out+said, "hush") {
			t.Errorf("candor ledger %s shows the password:\n%s%s", args[0], out, said)
		}
	}
	_, said := candorLedger(t, exitUsage, "redact", where, "req-1", "--who", "Ada", "--why", "asked")
	contain(t, said, "--signing-key")
}
