package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"candor/internal/rng"
	"candor/serve/ledger"
)

type ledgerCmd struct {
	Verify ledgerVerifyCmd `cmd:"" help:"Find any entry that was changed, removed or reordered, in a ledger or an export of one."`
	Export ledgerExportCmd `cmd:"" help:"Print the entries of a ledger as JSON lines."`
	Redact ledgerRedactCmd `cmd:"" help:"Delete the texts of one request; the chain stays verifiable."`
}

type ledgerVerifyCmd struct {
	File string   `arg:"" help:"A ledger, a file or the URL of a Postgres database; or an export of one."`
	Key  string   `help:"The public key of the ledger, or a file with it. Without it, signatures are not checked." placeholder:"PUB"`
	At   []string `help:"An entry that the ledger must have, as an earlier verification printed it and you kept it elsewhere." placeholder:"SEQ:HASH"`
	JSON bool     `help:"Print the report as JSON."`
}

// Help is shown by candor ledger verify --help.
func (ledgerVerifyCmd) Help() string {
	return `Examples:
  candor ledger verify candor.ledger --key candor.ledger.key.pub
  candor ledger verify postgres://candor@db.example/candor --key ledger.key.pub
  candor ledger verify ledger.jsonl --key ed25519:0011223344556677889900112233445566778899001122334455667788990011

Each line names an entry that is not as it was written; exit code 0 if there is none. The gateway may go on
meanwhile. The password of a database is better given in PGPASSWORD or in ~/.pgpass than in its URL, where other
users of the machine can see it. A ledger cannot show that its end was cut off: keep the mark that is printed in another place and
give it to a later verification with --at.`
}

func (c *ledgerVerifyCmd) Run(ctx context.Context, w *world) error {
	check, err := c.check()
	if err != nil {
		return usageError{err}
	}
	report, err := verifyFile(ctx, c.File, check)
	if err != nil {
		return err
	}
	if c.JSON {
		out, err := json.MarshalIndent(report, "", "  ")
		if err != nil {
			return err
		}
		fmt.Fprintf(w.stdout, "%s\n", out)
	} else {
		printLedger(w.stdout, report)
	}
	if !report.OK() {
		first := report.Faults[0]
		return fmt.Errorf("%s does not verify: %s, the first in entry %d", ledgerName(c.File), count(int(report.FaultCount), "fault"), first.Seq)
	}
	return nil
}

func (c *ledgerVerifyCmd) check() (check ledger.Check, err error) {
	if c.Key != "" {
		text := c.Key
		if !strings.HasPrefix(text, "ed25519:") {
			data, err := os.ReadFile(c.Key)
			if err != nil {
				return check, fmt.Errorf("reading the public key: %w", err)
			}
			text = string(data)
		}
		if check.Key, err = ledger.ParsePublicKey(text); err != nil {
			return check, err
		}
	}
	for _, text := range c.At {
		m, err := ledger.ParseMark(text)
		if err != nil {
			return check, err
		}
		check.At = append(check.At, m)
	}
	return check, nil
}

// ledgerName is how a ledger is called in what is printed: a URL may have a password.
func ledgerName(where string) string {
	if ledger.IsPostgres(where) {
		return "the ledger in Postgres"
	}
	return where
}

// verifyFile verifies a ledger, or an export if the file is no database.
func verifyFile(ctx context.Context, path string, check ledger.Check) (report *ledger.Report, err error) {
	if ledger.IsPostgres(path) {
		return verifyStore(ctx, path, check)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("opening the ledger: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	magic := []byte("SQLite format 3\x00")
	start := make([]byte, len(magic))
	if n, err := io.ReadFull(f, start); err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	} else if !bytes.Equal(start, magic) {
		return ledger.VerifyExport(io.MultiReader(bytes.NewReader(start[:n]), f), check)
	}
	return verifyStore(ctx, path, check)
}

func verifyStore(ctx context.Context, where string, check ledger.Check) (report *ledger.Report, err error) {
	r, err := ledger.OpenReader(ctx, where)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	return r.Verify(ctx, check)
}

func printLedger(out io.Writer, r *ledger.Report) {
	for _, f := range r.Faults {
		fmt.Fprintf(out, "FAULT  %s\n", f)
	}
	if more := r.FaultCount - int64(len(r.Faults)); more > 0 {
		fmt.Fprintf(out, "FAULT  and %d more\n", more)
	}
	fmt.Fprintf(out, "entries     %d\n", r.Entries)
	fmt.Fprintf(out, "requests    %d begun, %d ended, %d abandoned, %d unfinished\n", r.Begun, r.Ended, r.Abandoned, r.Unfinished)
	fmt.Fprintf(out, "contents    %d, %d redacted\n", r.Contents, r.Redacted)
	if r.ClockBack > 0 {
		fmt.Fprintf(out, "clock       went back: %d entries have the time of the one before\n", r.ClockBack)
	}
	switch {
	case !r.SignaturesChecked:
		fmt.Fprintf(out, "signatures  not checked: give the public key with --key\n")
	case r.Signed == 0:
		fmt.Fprintf(out, "signatures  none is good\n")
	default:
		fmt.Fprintf(out, "signatures  cover entries up to %d, signed %s\n", r.Signed, r.SignedAt.Format(time.RFC3339))
	}
	if r.Entries > 0 && r.OK() {
		fmt.Fprintf(out, "mark        %s\n", r.Last.Mark())
	}
}

type ledgerExportCmd struct {
	File string `arg:"" help:"A ledger: a file or the URL of a Postgres database."`
}

// Help is shown by candor ledger export --help.
func (ledgerExportCmd) Help() string {
	return `Examples:
  candor ledger export candor.ledger > ledger.jsonl

One line an entry, in order, with its hash and with the texts that were not redacted. candor ledger verify
checks an export without the ledger. A later redaction does not reach an export.`
}

func (c *ledgerExportCmd) Run(ctx context.Context, w *world) (err error) {
	r, err := ledger.OpenReader(ctx, c.File)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	return r.Export(ctx, w.stdout)
}

type ledgerRedactCmd struct {
	File  string   `arg:"" help:"A ledger: a file that no gateway is writing, or the URL of a Postgres database."`
	Trace string   `arg:"" help:"ID of the request."`
	Who   string   `required:"" help:"Who has the texts deleted." placeholder:"W"`
	Why   string   `required:"" help:"The reason." placeholder:"Y"`
	Only  []string `help:"Delete only these texts, such as prompt or answer." placeholder:"NAME"`
	Key   string   `name:"signing-key" help:"File with the key that signs the ledger; FILE.key by default, required for a database." type:"path" placeholder:"F"`
}

// Help is shown by candor ledger redact --help.
func (ledgerRedactCmd) Help() string {
	return `Examples:
  candor ledger redact candor.ledger req-7f3a --who "Data Protection" --why "erasure request 12"
  candor ledger redact candor.ledger req-7f3a --only prompt --who Ops --why "holds a password"

Deletes prompts, chains and answers, and records who did so, why, and what it was. Verdicts, times and hashes
stay. Copies elsewhere, such as backups and exports, stay as they are.`
}

func (c *ledgerRedactCmd) Run(ctx context.Context, w *world) (err error) {
	keyFile, must := c.Key, []string{c.File} // else they would be made anew
	if ledger.IsPostgres(c.File) {
		if must = nil; keyFile == "" {
			return usageError{errors.New("give the key that signs the ledger with --signing-key")}
		}
		if err := isLedger(ctx, c.File); err != nil {
			return err
		}
	} else if keyFile == "" {
		keyFile = c.File + ".key"
	}
	for _, path := range append(must, keyFile) {
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("there is no %s", path)
		} else if err != nil {
			return err
		}
	}
	key, err := ledger.LoadKey(keyFile, rng.Secret)
	if err != nil {
		return err
	}
	l, err := ledger.Open(ctx, c.File, ledger.Options{Key: key, Clock: w.clock, Secret: rng.Secret})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	n, err := l.Redact(ctx, c.Trace, c.Who, c.Why, c.Only...)
	if err != nil {
		return err
	}
	fmt.Fprintf(w.stdout, "%s of %s deleted\n", count(n, "text"), c.Trace)
	return nil
}

// isLedger tells, by an error, that there is no ledger: opening one to write would make it.
func isLedger(ctx context.Context, where string) error {
	r, err := ledger.OpenReader(ctx, where)
	if err != nil {
		return err
	}
	return r.Close()
}
