package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"candor/internal/rng"
	"candor/serve/auth"
)

type keysCmd struct {
	Add    keysAddCmd    `cmd:"" help:"Make an API key and print it, once."`
	List   keysListCmd   `cmd:"" help:"List the keys: whose they are, what they may do, until when."`
	Revoke keysRevokeCmd `cmd:"" help:"Make a key invalid, for good."`
}

// keysFile is where the keys are unless it is said otherwise.
type keysFile struct {
	File string `help:"The file of keys; candor-serve/keys.json by default." default:"candor-serve/keys.json" type:"path" placeholder:"FILE"`
}

type keysAddCmd struct {
	keysFile
	Name            string   `required:"" help:"Who or what will have the key." placeholder:"NAME"`
	Role            []string `required:"" help:"What it is for: user, reviewer or operator; again for a second role." enum:"user,reviewer,operator" placeholder:"ROLE"`
	Expires         keyLife  `help:"How long it is valid, such as 90d or 12h; the default is for ever." placeholder:"TIME"`
	PerMinute       int      `help:"Most requests per minute; the default is the gateway's." placeholder:"N"`
	Concurrent      int      `help:"Most requests at the same time; the default is the gateway's." placeholder:"N"`
	TokensPerMinute int      `help:"Most tokens per minute; the default is the gateway's." placeholder:"N"`
}

// Help is shown by candor keys add --help.
func (keysAddCmd) Help() string {
	return `Examples:
  candor keys add --name "web shop" --role user --per-minute 600 --concurrent 32
  candor keys add --name Ada --role reviewer --expires 90d
  candor keys add --name monitoring --role operator --file /etc/candor/keys.json

A user asks models. A reviewer sees traces with their private chains and decides on held
answers. An operator sees load, latencies and metrics. No role includes another.

The key is the only line on standard output. The file keeps its hash, so a lost key cannot be
shown again. A running gateway takes changes of the file within a second.`
}

// Run makes a key.
func (c *keysAddCmd) Run(ctx context.Context, w *world) error {
	k := auth.Key{Name: c.Name, Created: w.clock(), Limits: auth.Limits{RequestsPerMinute: c.PerMinute, Concurrent: c.Concurrent, TokensPerMinute: c.TokensPerMinute}}
	for _, name := range c.Role {
		role, err := auth.ParseRole(name)
		if err != nil {
			return usageError{err}
		}
		k.Roles |= role
	}
	if c.Expires > 0 {
		k.Expires = k.Created.Add(time.Duration(c.Expires))
	}
	k, text, err := auth.Add(ctx, c.File, k, rng.Secret)
	if err != nil {
		return err
	}
	fmt.Fprintln(w.stdout, text)
	fmt.Fprintf(w.stderr, "%s, for %s, role %s, valid %s. Keep the key now: it is not shown again.\n", k.ID, k.Name, k.Roles, until(k.Expires))
	return nil
}

// keyLife is a time that is also written in days, such as 90d.
type keyLife time.Duration

// UnmarshalText reads one.
func (l *keyLife) UnmarshalText(text []byte) error {
	const most = 100 * 365 * 24 * time.Hour
	d, err := time.ParseDuration(string(text))
	if days, ok := strings.CutSuffix(string(text), "d"); ok {
		var n int
		if n, err = strconv.Atoi(days); err == nil && n <= int(most/(24*time.Hour)) {
			d = time.Duration(n) * 24 * time.Hour
		}
	}
	if err != nil || d < time.Second || d > most {
		return fmt.Errorf("%.40q is no time from now: write days or hours, such as 90d or 12h", text)
	}
	*l = keyLife(d)
	return nil
}

// until says until when a key is valid.
func until(t time.Time) string {
	if t.IsZero() {
		return "for ever"
	}
	return "until " + t.UTC().Format("2006-01-02 15:04 UTC")
}

type keysListCmd struct {
	keysFile
}

// Help is shown by candor keys list --help.
func (keysListCmd) Help() string {
	return `Examples:
  candor keys list
  candor keys list --file /etc/candor/keys.json`
}

// Run lists the keys.
func (c *keysListCmd) Run(w *world) error {
	keys, err := auth.Read(c.File)
	if err != nil {
		return err
	}
	if len(keys) == 0 {
		fmt.Fprintf(w.stderr, "There are no keys in %s. Make one with candor keys add.\n", c.File)
		return nil
	}
	now := w.clock()
	t := tabwriter.NewWriter(w.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "ID\tNAME\tROLES\tCREATED\tVALID\tLIMITS")
	for _, k := range keys {
		valid := until(k.Expires)
		switch k.Status(now) {
		case "revoked":
			valid = "revoked " + k.Revoked.UTC().Format(time.DateOnly)
		case "expired":
			valid = "expired " + k.Expires.UTC().Format(time.DateOnly)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", k.ID, k.Name, k.Roles, k.Created.UTC().Format(time.DateOnly), valid, limits(k.Limits))
	}
	return t.Flush()
}

// limits says what a key is limited to, "-" for nothing.
func limits(l auth.Limits) string {
	var parts []string
	for _, p := range []struct {
		n    int
		what string
	}{{l.RequestsPerMinute, "requests/min"}, {l.Concurrent, "at a time"}, {l.TokensPerMinute, "tokens/min"}} {
		if p.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", p.n, p.what))
		}
	}
	if parts == nil {
		return "-"
	}
	return strings.Join(parts, ", ")
}

type keysRevokeCmd struct {
	keysFile
	ID string `arg:"" help:"ID of the key, as candor keys list shows it."`
}

// Help is shown by candor keys revoke --help.
func (keysRevokeCmd) Help() string {
	return `Examples:
  candor keys revoke key-k7uk2ogo

A running gateway refuses the key within a second and ends its sessions at the page. Requests
that it has let in are answered. The key stays in the file, since the ledger names it.`
}

// Run revokes a key.
func (c *keysRevokeCmd) Run(ctx context.Context, w *world) error {
	if _, err := os.Stat(c.File); err != nil { // else an empty folder would be made
		return fmt.Errorf("opening the keys: %w", err)
	}
	k, err := auth.Revoke(ctx, c.File, c.ID, w.clock())
	if err != nil {
		return err
	}
	fmt.Fprintf(w.stdout, "%s, for %s, is revoked\n", k.ID, k.Name)
	return nil
}
