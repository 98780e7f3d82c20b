package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"strings"

	"candor/internal/rng"
	"candor/serve/api"
)

type serveCmd struct {
	Model      string `arg:"" optional:"" help:"A run folder, RUN:ARM, RUN:ARM:SEED, a checkpoint folder, or a system inside this program; the default is one of those."`
	Config     string `help:"What to serve and how: models behind endpoints for each part, monitors, keys, the record." type:"path" placeholder:"FILE"`
	Ungated    bool   `help:"Serve a reasoner without passing audit evidence. The record and the page say so."`
	Listen     string `help:"Address and port; port 0 takes any that is free. 127.0.0.1:8473 unless the configuration says otherwise." placeholder:"HOST:PORT"`
	Bare       bool   `help:"Serve one model as it is, to audit it: whoever asks sees its chain of thought, and nothing is checked or recorded."`
	APIKeyFile string `name:"api-key-file" help:"With --bare: file with the key that clients must send; else CANDOR_API_KEY. Needed to be reached from other machines." placeholder:"FILE"`
	Threads    int    `help:"With --bare: threads; the default is all cores. Results do not depend on it." placeholder:"N"`
}

// Help is shown by candor serve --help.
func (serveCmd) Help() string {
	return `Examples:
  candor serve                              the two-part system inside this program
  candor serve --config candor.yaml         your models in the parts; see docs/serve.md
  candor serve penalty --ungated            a reasoner that does not pass its audit
  candor serve --bare runs/honesty:penalty  one model as it is, to audit it

A private reasoner writes a chain, a paraphraser rewrites it, monitors judge it, a face writes the answer. Nothing is
released without a verdict that is on record. It speaks OpenAI's protocols under /v1; the page shows what happened:

    curl http://127.0.0.1:8473/v1/chat/completions -H 'Content-Type: application/json' \
      -d '{"messages": [{"role": "user", "content": "2 + 0 + 1 + 1 + 2 + 1 mod 3"}]}'

The record, its key and the API keys are in candor-serve/ unless the configuration says otherwise. To be reached from
other machines it needs keys (candor keys add) and TLS, or a proxy in front.`
}

// Run serves until it is interrupted.
func (c *serveCmd) Run(ctx context.Context, w *world) error {
	if !c.Bare {
		if c.APIKeyFile != "" || c.Threads != 0 {
			return usageError{errors.New("--api-key-file and --threads belong to --bare; keys of the two-part system are made by candor keys add")}
		}
		return c.serveSystem(ctx, w)
	}
	return c.serveBare(ctx, w)
}

// serveBare serves one model as it is.
func (c *serveCmd) serveBare(ctx context.Context, w *world) error {
	threads := c.Threads
	switch {
	case c.Config != "" || c.Ungated:
		return usageError{errors.New("--config and --ungated are for the two-part system, not for --bare")}
	case threads < 0 || threads > mostThreads:
		return usageError{fmt.Errorf("--threads is %d, must be 1 to %d", threads, mostThreads)}
	case threads == 0:
		threads = runtime.GOMAXPROCS(0)
	}
	key, err := c.key(w)
	if err != nil {
		return err
	}
	if c.Listen == "" {
		c.Listen = "127.0.0.1:8473"
	}
	address, err := net.ResolveTCPAddr("tcp", c.Listen)
	if err != nil {
		return usageError{fmt.Errorf("--listen %s: %w; write an address and a port, such as 127.0.0.1:8473", c.Listen, err)}
	}
	if !address.IP.IsLoopback() && key == "" {
		return usageError{fmt.Errorf("--listen %s can be reached from other machines: give clients a key with --api-key-file or CANDOR_API_KEY, or listen at 127.0.0.1", c.Listen)}
	}
	m, err := openLocal(c.Model, threads)
	if err != nil {
		return err
	}
	defer m.close()
	batches, stop := context.WithCancel(context.WithoutCancel(ctx)) // requests that are under way are answered
	defer stop()
	s, err := api.New(api.Options{
		Models: []api.Model{{Name: m.name, Served: m.served, Backend: api.Bare(api.NewBatch(batches, m.gen))}},
		Admit:  api.AdmitKey(key),
		Clock:  w.clock,
		Random: rng.New(uint64(w.clock().UnixNano())).Split("serve"), // requests without a seed want another one each time
	})
	if err != nil {
		return err
	}
	l, err := net.ListenTCP("tcp", address)
	if err != nil {
		return fmt.Errorf("listening: %w", err)
	}
	url := fmt.Sprintf("http://%s/v1", l.Addr())
	fmt.Fprintf(w.stdout, "serving %s at %s\n", m.name, url)
	fmt.Fprintf(w.stderr, "It is %s. To audit it:\n  %s audit --base-url %s --model %s\nCtrl-C stops it.\n", m.served.About, w.program, url, quote(m.name))
	return ended(ctx, s.Serve(ctx, l))
}

// maxKey bounds a key's length, so that a wrong file is noticed.
const maxKey = 4096

// key returns what clients must send, "" for nothing.
func (c *serveCmd) key(w *world) (string, error) {
	if c.APIKeyFile == "" {
		return checkKey("CANDOR_API_KEY", w.env("CANDOR_API_KEY"))
	}
	f, err := os.Open(c.APIKeyFile)
	if err != nil {
		return "", usageError{fmt.Errorf("--api-key-file: %w", err)}
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxKey+2))
	if err != nil {
		return "", fmt.Errorf("--api-key-file: %w", err)
	}
	if data = bytes.TrimSpace(data); len(data) == 0 {
		return "", usageError{fmt.Errorf("--api-key-file: %s is empty", c.APIKeyFile)}
	}
	return checkKey("--api-key-file", string(data))
}

// checkKey refuses a key that no header can carry. Its error does not tell the key.
func checkKey(from, key string) (string, error) {
	if len(key) > maxKey || strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", usageError{fmt.Errorf("%s: a key is one word of at most %d visible ASCII characters", from, maxKey)}
	}
	return key, nil
}
