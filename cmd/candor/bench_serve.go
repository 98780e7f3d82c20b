package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"candor/openai"
	"candor/reasoning/llm"
	"candor/serve/load"
	"candor/study/runlog"
)

type benchServeCmd struct {
	Rate    float64       `help:"Requests a second, sent whether earlier ones are answered or not." default:"1000" placeholder:"N"`
	Streams int           `help:"Streams that are kept open at a time." default:"256" placeholder:"N"`
	For     time.Duration `help:"How long each part is measured." default:"20s" placeholder:"TIME"`
	Soak    time.Duration `help:"How long requests at half the rate are sent afterwards, for whether memory stays flat; 0 leaves it out." placeholder:"TIME"`
	JSON    bool          `help:"Print JSON instead of the table."`
}

// Help is shown by candor bench serve --help.
func (benchServeCmd) Help() string {
	return `Examples:
  candor bench serve                       what the gateway adds, in about a minute
  candor bench serve --soak 30m            and whether its memory stays flat
  candor bench serve --rate 200 --json     at another rate, for a program

The gateway runs in a process of its own, with its record on and a monitor; reasoner and face are a server in this
process that answers at once, reached over HTTP. Latency counts from when a request was due.`
}

// gatewayUse is what a gateway takes of the machine.
type gatewayUse struct {
	// RSS are its resident bytes, sampled; Peak the most.
	Peak, First, Last int64
	// CPU is the processor time that it took by request.
	CPUPerRequest time.Duration
}

// serveReport is what was measured.
type serveReport struct {
	CPU     string       `json:"cpu"`
	Cores   int          `json:"cores"`
	Rate    float64      `json:"rate"`
	Direct  *load.Report `json:"direct"`
	Gateway *load.Report `json:"gateway"`
	Streams *load.Report `json:"streams"`
	Soak    *load.Report `json:"soak,omitempty"`
	Use     gatewayUse   `json:"use"`
	SoakUse gatewayUse   `json:"soak_use"`
}

const benchChain = "First I read the question. It asks for a sum. Two and two make four. So the answer is four."

// Run measures and prints.
func (c *benchServeCmd) Run(ctx context.Context, w *world) (err error) {
	switch {
	case !(c.Rate > 0 && c.Rate <= 1e5):
		return usageError{fmt.Errorf("--rate is %g, must be above 0 and at most 100000", c.Rate)}
	case c.Streams < 1 || c.Streams > 10000:
		return usageError{fmt.Errorf("--streams is %d, must be 1 to 10000", c.Streams)}
	case c.For < time.Second || c.Soak < 0:
		return usageError{errors.New("--for must be at least 1s, and --soak 0 or more")}
	}
	dir, err := os.MkdirTemp("", "candor-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	mock, closeMock, err := startMock()
	if err != nil {
		return err
	}
	defer closeMock()
	g, err := startGateway(ctx, dir, mock)
	if err != nil {
		return err
	}
	defer g.stop()
	r, err := c.measure(ctx, w, mock, g)
	switch {
	case errors.Is(err, context.Canceled):
		return interrupted("stopped; nothing was kept")
	case err != nil:
		return err
	}
	if c.JSON {
		out := json.NewEncoder(w.stdout)
		out.SetIndent("", "  ")
		return out.Encode(r)
	}
	printServe(w.stdout, r)
	return nil
}

func (c *benchServeCmd) measure(ctx context.Context, w *world, mock string, g *gatewayProcess) (*serveReport, error) {
	machine := runlog.ThisMachine("", runtime.NumCPU())
	r := &serveReport{CPU: machine.CPU, Cores: runtime.NumCPU(), Rate: c.Rate}
	body := func(stream bool) []byte {
		return fmt.Appendf(nil, `{"model":"candor","stream":%v,"messages":[{"role":"user","content":"What is two and two? Please think it through and tell me the number alone."}]}`, stream)
	}
	o := load.Options{Path: "/v1/chat/completions", Body: body(false), Rate: c.Rate, Streams: c.Streams, Time: c.For, Warm: min(c.For/4, 3*time.Second), Clock: w.clock}
	say := func(what string, took time.Duration) {
		fmt.Fprintf(w.stderr, "%s, %s ...\n", what, took.Round(time.Second))
	}
	var err error
	say("The upstream alone", c.For/2+o.Warm)
	direct := o
	direct.Address, direct.Time = mock, c.For/2
	if r.Direct, err = load.Run(ctx, direct); err != nil {
		return nil, err
	}
	o.Address = g.address
	say(fmt.Sprintf("The gateway at %g requests a second", c.Rate), c.For+o.Warm)
	before := g.cpu()
	if r.Gateway, err = load.Run(ctx, o); err != nil {
		return nil, err
	}
	if n := c.Rate * (o.Time + o.Warm).Seconds(); n > 0 {
		r.Use.CPUPerRequest = (g.cpu() - before) / time.Duration(n)
	}
	say(fmt.Sprintf("%d streams at a time", c.Streams), c.For+o.Warm)
	o.Body = body(true)
	if r.Streams, err = load.Streams(ctx, o); err != nil {
		return nil, err
	}
	r.Use.Peak = g.peak()
	if c.Soak > 0 {
		say(fmt.Sprintf("%g requests a second", c.Rate/2), c.Soak)
		o.Body, o.Rate, o.Time = body(false), c.Rate/2, c.Soak
		g.forget()
		if r.Soak, err = load.Run(ctx, o); err != nil {
			return nil, err
		}
		r.SoakUse = g.use()
	}
	return r, nil
}

// startMock serves the upstream of reasoner and face.
func startMock() (address string, stop func(), err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, fmt.Errorf("starting the upstream: %w", err)
	}
	s := &http.Server{Handler: load.NewMock(benchChain, "four"), ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = s.Serve(l) }()
	return l.Addr().String(), func() { _ = s.Close() }, nil
}

// gatewayProcess is candor serve in a process of its own.
type gatewayProcess struct {
	cmd     *exec.Cmd
	address string
	stderr  strings.Builder
	done    chan struct{}
	sampled chan func(*[]int64)
}

// startGateway starts one in a folder, with everything at one upstream.
func startGateway(ctx context.Context, dir, upstream string) (*gatewayProcess, error) {
	capabilities, err := json.Marshal(openai.Capabilities{API: openai.ChatAPI, Reasoning: openai.ReasoningContent, Provenance: llm.Raw, Continue: openai.NoContinue})
	if err != nil {
		return nil, err
	}
	files := map[string]string{"capabilities.json": string(capabilities), "rules.yaml": benchRules, "candor.yaml": fmt.Sprintf(benchConfig, upstream)}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return nil, err
		}
	}
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	g := &gatewayProcess{done: make(chan struct{}), sampled: make(chan func(*[]int64))}
	g.cmd = exec.CommandContext(ctx, program, "serve", "--config", filepath.Join(dir, "candor.yaml"))
	g.cmd.Cancel = func() error { return g.cmd.Process.Signal(os.Interrupt) }
	g.cmd.WaitDelay = 15 * time.Second
	g.cmd.Stderr = &g.stderr
	out, err := g.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := g.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting the gateway: %w", err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	_, rest, ok := strings.Cut(strings.TrimSpace(line), "http://")
	if err != nil || !ok {
		_ = g.cmd.Process.Kill()
		return nil, errors.Join(fmt.Errorf("the gateway did not start: %s", strings.TrimSpace(g.stderr.String())), ignoreEOF(err), g.cmd.Wait())
	}
	g.address, _, _ = strings.Cut(rest, "/")
	go func() { _, _ = io.Copy(io.Discard, out) }()
	go g.sample()
	return g, nil
}

func ignoreEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

const benchRules = `rules:
  - name: leak
    match: '(?i)leaked answer'
    in: chain
    score: 1
    note: it speaks of a leaked answer
`

const benchConfig = `listen: 127.0.0.1:0
models:
  mock: {base_url: "http://%s/v1", model: mock, capabilities: capabilities.json}
reasoner: {model: mock, ungated: true, max_tokens: 500}
paraphraser: {rule: prose}
face: {model: mock, policy: Answer in plain words., max_tokens: 200}
monitors:
  - {kind: rules, rules: rules.yaml, sees: private, threshold: 0.5}
`

// sample looks at the memory now and then.
func (g *gatewayProcess) sample() {
	var all []int64
	ticker := time.NewTicker(500 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			if n := residentBytes(g.cmd.Process.Pid); n > 0 {
				all = append(all, n)
			}
		case f := <-g.sampled:
			f(&all)
		case <-g.done:
			return
		}
	}
}

// samples returns what was seen since the last forget.
func (g *gatewayProcess) samples() (all []int64) {
	done := make(chan struct{})
	g.sampled <- func(s *[]int64) { all = slices.Clone(*s); close(done) }
	<-done
	return all
}

func (g *gatewayProcess) forget() {
	g.sampled <- func(s *[]int64) { *s = nil }
}

func (g *gatewayProcess) peak() int64 {
	return slices.Max(append(g.samples(), 0))
}

// use compares the second tenth of the samples with the last: the first is warming up.
func (g *gatewayProcess) use() gatewayUse {
	all := g.samples()
	n := max(len(all)/10, 1)
	if len(all) < 3 {
		return gatewayUse{Peak: g.peak()} // too short, or a system that does not tell
	}
	median := func(s []int64) int64 { s = slices.Clone(s); slices.Sort(s); return s[len(s)/2] }
	return gatewayUse{Peak: slices.Max(all), First: median(all[n : 2*n]), Last: median(all[len(all)-n:])}
}

// cpu is the processor time that the gateway has taken; 0 where that is not known.
func (g *gatewayProcess) cpu() time.Duration { return processorTime(g.cmd.Process.Pid) }

func (g *gatewayProcess) stop() {
	close(g.done)
	_ = g.cmd.Process.Signal(syscall.SIGINT)
	_ = g.cmd.Wait() // it ends with 130, as interrupted
}

func printServe(out io.Writer, r *serveReport) {
	fmt.Fprintf(out, "%s, %d cores for the gateway, the load and the upstream together\n\n", r.CPU, r.Cores)
	t := tabwriter.NewWriter(out, 2, 8, 2, ' ', tabwriter.AlignRight)
	ms := func(d time.Duration) string { return fmt.Sprintf("%.3f", d.Seconds()*1e3) }
	row := func(what string, q load.Quantiles) {
		fmt.Fprintf(t, "%s\t%d\t%s\t%s\t%s\t%s\t\n", what, q.N, ms(q.P50), ms(q.P99), ms(q.P999), ms(q.Max))
	}
	fmt.Fprintf(t, "milliseconds\trequests\tp50\tp99\tp99.9\tmost\t\n")
	row("one upstream call, directly", r.Direct.Latency)
	row("a request through the gateway", r.Gateway.Latency)
	row("of it by the gateway's own account", r.Gateway.Overhead)
	row("by which the load was late", r.Gateway.Late)
	row("a stream", r.Streams.Latency)
	if r.Soak != nil {
		row("a request of the soak", r.Soak.Latency)
		row("of it by the gateway's own account", r.Soak.Overhead)
	}
	_ = t.Flush()
	fmt.Fprintf(out, "\nsent %.0f a second (asked for %.0f), %d failed; %.0f streams a second, %d failed\n", float64(r.Gateway.Sent)/r.Gateway.Took.Seconds(), r.Rate,
		r.Gateway.Failed, float64(r.Streams.Sent)/r.Streams.Took.Seconds(), r.Streams.Failed)
	mb := func(n int64) string { return fmt.Sprintf("%.0f MB", float64(n)/1e6) }
	fmt.Fprintf(out, "gateway: %s of processor time a request, at most %s of memory\n", r.Use.CPUPerRequest.Round(time.Microsecond), mb(r.Use.Peak))
	if r.Soak != nil {
		fmt.Fprintf(out, "soak of %s: %d sent, %d failed", r.Soak.Took.Round(time.Second), r.Soak.Sent, r.Soak.Failed)
		if u := r.SoakUse; u.Last > 0 {
			fmt.Fprintf(out, "; memory %s after a tenth of it, %s at its end, at most %s", mb(u.First), mb(u.Last), mb(u.Peak))
		}
		fmt.Fprintln(out)
	}
	for what, report := range map[string]*load.Report{"requests": r.Gateway, "streams": r.Streams, "soak": r.Soak} {
		if report == nil {
			continue
		}
		for text, n := range report.Errors {
			fmt.Fprintf(out, "failed %s: %d x %s\n", what, n, text)
		}
	}
}
