package gateway_test

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"candor/openai"
	"candor/openai/openaitest"
	"candor/reasoning/llm"
	"candor/reasoning/monitor"
	"candor/serve/record"
)

// upstream is a model behind a real connection, with a fault, and whether its answers are streamed.
func upstream(t *testing.T, fault openaitest.Fault, stream bool, chain, text string) llm.Generator {
	t.Helper()
	s := openaitest.New(t, openaitest.Exchange{Family: openaitest.VLLM, Reply: openaitest.Reply{Reasoning: chain, Text: text}, Fault: fault})
	client, err := openai.NewClient(openai.Options{BaseURL: s.URL})
	if err != nil {
		t.Fatal(err)
	}
	c := openaitest.VLLM.Capabilities(stream)
	c.Tools = true
	g, err := openai.NewGenerator(client, "m", c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return g
}

// Every way in which a model's server is known to break, for each role that a model plays, its answers streamed or not. Each cell
// asks twice, for a whole answer and for a stream, and then everything that must always hold is checked.
func TestFaultsOfModels(t *testing.T) {
	verdict := `{"score": 3, "why": "fine", "quotes": []}`
	for _, who := range []string{"reasoner", "face", "judge", "paraphraser"} {
		for _, stream := range []bool{false, true} {
			for fault, outcome := range openaitest.Outcomes(stream) {
				if fault == openaitest.Huge && (who != "reasoner" || testing.Short()) {
					continue // 64 MiB take a while, and the client is the same
				}
				name := who + "/" + string(fault)
				if stream {
					name += "/streamed"
				}
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					p := parts{timeout: 10 * time.Second}
					if fault == openaitest.Hang || fault == openaitest.HangMidst {
						p.timeout = 150 * time.Millisecond
					}
					switch who {
					case "reasoner":
						p.reasoner = upstream(t, fault, stream, secretChain, "draft")
					case "face":
						p.face = upstream(t, fault, stream, "", saidByFace)
					case "judge":
						p.monitor = monitor.LMJudge{Generator: upstream(t, fault, stream, "", verdict), Policy: "Find lies."}
					case "paraphraser":
						p.paraphraser = upstream(t, fault, stream, "", "the same in other words")
					}
					s := newStack(t, p)
					whole, streamed := s.ask(""), s.ask(`,"stream":true`)
					traces := s.sound(whole, streamed)
					if len(traces) != 2 {
						t.Fatalf("%d traces, want 2", len(traces))
					}
					for i, g := range []got{whole, streamed} {
						s.clear(g, traces[i], who, outcome == "")
					}
				})
			}
		}
	}
}

// clear checks that a client was told plainly what became of its request. In fine cells the answer came through.
func (s *stack) clear(g got, tr *record.Trace, who string, fine bool) {
	s.t.Helper()
	switch {
	case fine && tr.Outcome == record.Released && strings.HasPrefix(g.text, "forty"):
	case fine: // what the server said was whole, but not what this role needs; a refusal or an error all the same
		fallthrough
	case who == "judge":
		if tr.Outcome != record.Blocked || g.status != 200 || g.text != "" || g.refusal == "" || g.finish != "content_filter" || !g.whole {
			s.t.Errorf("outcome %s, the client got %+v; want a refusal", tr.Outcome, g)
		}
	default:
		if tr.Outcome != record.Failed || g.status < 500 || g.code == "" {
			s.t.Errorf("outcome %s (%s), the client got %+v; want an error of the server's with a code", tr.Outcome, tr.Reason, g)
		}
		if !strings.Contains(tr.Reason, who) {
			s.t.Errorf("the reason %q does not name the %s", tr.Reason, who)
		}
	}
}

// Monitors that break in ways that no server has.
func TestFaultsOfMonitors(t *testing.T) {
	never := make(chan struct{})
	t.Cleanup(func() { close(never) })
	for _, tc := range []struct {
		name string
		m    examiner
		want record.Outcome
	}{
		{"killed", func(context.Context, monitor.View) (monitor.Finding, error) {
			return monitor.Finding{}, errors.New("connection refused")
		}, record.Blocked},
		{"panics", func(context.Context, monitor.View) (monitor.Finding, error) { panic("slice bounds") }, record.Blocked},
		{"hangs", func(ctx context.Context, _ monitor.View) (monitor.Finding, error) {
			<-ctx.Done()
			return monitor.Finding{}, ctx.Err()
		}, record.Blocked},
		{"hangs for ever", func(context.Context, monitor.View) (monitor.Finding, error) { <-never; return monitor.Finding{}, nil }, record.Blocked},
		{"not a number", func(context.Context, monitor.View) (monitor.Finding, error) {
			return monitor.Finding{Score: math.NaN()}, nil
		}, record.Blocked},
		{"below 0", func(context.Context, monitor.View) (monitor.Finding, error) { return monitor.Finding{Score: -1}, nil }, record.Blocked},
		{"infinite", func(context.Context, monitor.View) (monitor.Finding, error) {
			return monitor.Finding{Score: math.Inf(-1)}, nil
		}, record.Blocked},
		{"wild spans", func(context.Context, monitor.View) (monitor.Finding, error) {
			return monitor.Finding{Spans: []monitor.Span{{Of: "nothing", Start: -5, End: 1 << 40}}}, nil
		}, record.Released},
		{"slow", func(ctx context.Context, _ monitor.View) (monitor.Finding, error) {
			time.Sleep(50 * time.Millisecond)
			return monitor.Finding{}, nil
		}, record.Released},
		{"too slow", func(context.Context, monitor.View) (monitor.Finding, error) {
			time.Sleep(700 * time.Millisecond)
			return monitor.Finding{}, nil
		}, record.Blocked},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := newStack(t, parts{monitor: tc.m, timeout: 300 * time.Millisecond})
			whole, streamed := s.ask(""), s.ask(`,"stream":true`)
			for i, tr := range s.sound(whole, streamed) {
				g := []got{whole, streamed}[i]
				if tr.Outcome != tc.want || (g.text != "") != (tc.want == record.Released) || !g.whole {
					t.Errorf("outcome %s, the client got %+v", tr.Outcome, g)
				}
			}
		})
	}
}

// Paraphrasers that give back something else than a paraphrase.
func TestFaultsOfParaphrasers(t *testing.T) {
	for _, tc := range []struct {
		name, text string
		want       record.Outcome
	}{
		{"empty", "", record.Failed},
		{"blank", " \n ", record.Failed},
		{"identical", secretChain, record.Released},
		{"enormous", strings.Repeat("x ", 1<<20), record.Failed},
		{"other words", "hidden reasoning", record.Released},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := newStack(t, parts{paraphraser: says("", tc.text)})
			g := s.ask("")
			tr := s.sound(g)[0]
			if tr.Outcome != tc.want || (tc.want == record.Failed) != (g.status >= 500) {
				t.Errorf("outcome %s (%s), the client got %+v", tr.Outcome, tr.Reason, g)
			}
			if tc.want == record.Released && !slices.ContainsFunc(tr.Stages, func(st record.StageOf) bool { return st.Try.Shown == tc.text }) {
				t.Errorf("the face did not read %q", tc.text)
			}
		})
	}
}
