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
	Model      string `arg:"" optional:"" help:"A run folder, RUN:ARM, RUN:ARM:SEED, a checkpoint folder, or a system inside this program; the default is the reasoner inside it."`
	Bare       bool   `help:"Serve the model as it is: whoever asks sees its chain of thought, and nothing is checked or recorded."`
	Listen     string `help:"Address and port; port 0 takes any that is free." default:"127.0.0.1:8473" placeholder:"HOST:PORT"`
	APIKeyFile string `name:"api-key-file" help:"File with the key that clients must send; else CANDOR_API_KEY. Needed to be reached from other machines." placeholder:"FILE"`
	Threads    int    `help:"Threads; the default is all cores. Results do not depend on it." placeholder:"N"`
}

// Help is shown by candor serve --help.
func (serveCmd) Help() string {
	return `Examples:
  candor serve --bare                              the reasoner inside this program
  candor serve --bare runs/honesty:penalty         an arm of a run
  candor serve --bare runs/default:small:2 --listen 127.0.0.1:0
                                                   with one of its seeds, at any free port

The server speaks OpenAI's protocols: chat completions, completions and responses, under /v1.
The first line that is printed tells its address. To audit what it serves:

    candor audit --base-url http://127.0.0.1:8473/v1 --model NAME

There is no encryption: between machines, put a proxy in front that has it.`
}

// Run serves until it is interrupted.
func (c *serveCmd) Run(ctx context.Context, w *world) error {
	threads := c.Threads
	switch {
	case !c.Bare:
		return usageError{errors.New("the two-part system, with its monitors and its record, cannot be served yet; --bare serves one model as it is, its chain of thought in plain view, so that it can be audited")}
	case threads < 0 || threads > mostThreads:
		return usageError{fmt.Errorf("--threads is %d, must be 1 to %d", threads, mostThreads)}
	case threads == 0:
		threads = runtime.GOMAXPROCS(0)
	}
	key, err := c.key(w)
	if err != nil {
		return err
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
	s, err := api.New(api.Options{
		Generator: m.gen, Name: m.name, Model: m.served, Key: key, Clock: w.clock,
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
	err = s.Serve(ctx, l)
	switch {
	case err == nil:
		return interrupted("stopped; all requests that were under way are answered")
	case ctx.Err() != nil:
		return interrupted(err.Error())
	}
	return err
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
