package runner

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"candor/reasoning/llm"
	"candor/reasoning/llm/llmtest"
	"candor/study/runlog"
)

func TestSamplesComeInTheOrderOfTheSource(t *testing.T) {
	f := folder(t, fastDir(t))
	s := numbered(60)
	g := &generator{answer: said}
	o := options(f, g)
	o.Epochs = 2
	var last Progress
	o.Progress = func(p Progress) { last = p }
	p := mustRun(t, o, s, echo(s))
	if p.Total != 120 || p.Done != 120 || p.Failed != 0 || p.Calls != 240 || p.TokensIn != 240*7 || p.TokensOut != 240*3 || p.Spent != 2400 {
		t.Errorf("progress %+v", p)
	}
	if last != p {
		t.Errorf("the last event is %+v, the result %+v", last, p)
	}
	for i, e := range entries(t, f) {
		want := runlog.Sample{Eval: "chain", Split: "test", ID: s[i/2], Repeat: i % 2, Prompt: s[i/2], Intervention: "none", Chain: "chain of " + s[i/2], Answer: "answer", Parsed: true}
		if got := e.Sample; fmt.Sprint(got) != fmt.Sprint(want) || e.ID != s[i/2] || e.Epoch != i%2 || e.State != Done {
			t.Fatalf("entry %d is %+v", i, e)
		}
	}
	c, err := Count(f.Dir())
	if err != nil || c != (Counts{120, 120, 0, 240, 1680, 720}) {
		t.Errorf("counts %+v, %v", c, err)
	}
	calls, err := CallsOf(f.Dir(), s[5], 1)
	if err != nil || len(calls) != 2 || calls[0].Name != s[5]+"/answer" || calls[1].Name != s[5]+"/chain" || calls[1].Model != "subject" ||
		calls[0].Request.Prefix != "chain of "+s[5] || calls[1].Completion.Text != "chain of "+s[5] || calls[1].Request.Seed != 1 {
		t.Errorf("the calls behind a sample are %+v, %v", calls, err)
	}
	before := exported(t, f)
	if p := mustRun(t, o, s, echo(s)); p.Before != 120 || p.Done != 120 || p.Calls+p.Hits != 0 || g.calls != 240 {
		t.Errorf("a second run: %+v, %d calls", p, g.calls)
	}
	if exported(t, f) != before {
		t.Error("a second run changed the samples")
	}
}

func TestCallsAreAskedOnceAcrossRuns(t *testing.T) {
	f := folder(t, fastDir(t))
	s := numbered(40)
	g := &generator{answer: said}
	mustRun(t, options(f, g), s[:20], echo(s))
	// Another source whose first items share their calls with the old one's.
	other := make(ids, 40)
	for i := range other {
		other[i] = "other-" + s[i]
	}
	p := mustRun(t, options(f, g), other, echo(s))
	if p.Done != 40 || p.Hits != 40 || p.Calls != 40 || g.calls != 80 {
		t.Errorf("%+v, %d calls", p, g.calls)
	}
	for what, n := range g.asked {
		if n != 1 {
			t.Errorf("%s was asked %d times", what, n)
		}
	}
	// Samples that the source does not name any more are kept but do not count; named again they are there.
	if c, err := Count(f.Dir()); err != nil || c.Total != 40 || c.Done != 40 {
		t.Errorf("counts %+v, %v", c, err)
	}
	swapped := append(ids{"new"}, s[:20]...)
	p = mustRun(t, options(f, g), swapped, echo(swapped))
	if es := entries(t, f); p.Before != 20 || p.Calls != 2 || len(es) != 21 || es[0].ID != "new" || es[1].ID != s[0] {
		t.Errorf("%+v, %d entries", p, len(es))
	}
}

func TestEpochsOfARemoteModelAreAskedAnew(t *testing.T) {
	s := numbered(10)
	same := func(ctx context.Context, calls Calls, index, _ int) (runlog.Sample, error) {
		c, err := calls.Do(ctx, "subject", request(s[index], 0))
		return runlog.Sample{Chain: c.Text}, err
	}
	for _, local := range []bool{false, true} {
		g := &generator{answer: said}
		o := options(folder(t, fastDir(t)), g)
		o.Epochs = 3
		o.Models["subject"] = Model{Generator: g, Identity: "test", Local: local}
		mustRun(t, o, s, same)
		if want := map[bool]int{false: 30, true: 10}[local]; g.calls != want {
			t.Errorf("local %v: %d calls, want %d", local, g.calls, want)
		}
	}
}

func TestEqualCallsUnderWayAreOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := folder(t, fastDir(t))
		s := numbered(30)
		g := &generator{answer: taking(time.Second)}
		p := mustRun(t, options(f, g), s, func(ctx context.Context, calls Calls, index, _ int) (runlog.Sample, error) {
			r := request("shared", 1)
			r.ID = s[index]
			c, err := calls.Do(ctx, "subject", r)
			return runlog.Sample{Chain: c.Text}, err
		})
		if g.calls != 1 || p.Calls != 1 || p.Hits != 29 {
			t.Errorf("%d calls, %+v", g.calls, p)
		}
		for _, id := range s {
			if calls, err := CallsOf(f.Dir(), id, 0); err != nil || len(calls) != 1 || calls[0].Name != id || calls[0].Completion.Text != "chain of shared" {
				t.Fatalf("the calls behind %s are %+v, %v", id, calls, err)
			}
		}
	})
}

// A call that two samples share outlives the one that asked first.
func TestSharedCallOutlivesWhoAskedFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := ids{"a", "b"}
		g := &generator{answer: taking(10 * time.Second)}
		p := mustRun(t, options(folder(t, fastDir(t)), g), s, func(ctx context.Context, calls Calls, index, _ int) (runlog.Sample, error) {
			if index == 0 {
				var cancel func()
				ctx, cancel = context.WithTimeout(ctx, 5*time.Second)
				defer cancel()
			} else if err := sleep(ctx, time.Second); err != nil {
				return runlog.Sample{}, err
			}
			_, err := calls.Do(ctx, "subject", request("shared", 1))
			return runlog.Sample{}, err
		})
		if p.Done != 1 || p.Failed != 1 || g.calls != 1 {
			t.Errorf("%+v, %d calls", p, g.calls)
		}
	})
}

func TestLocalModelGetsBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := numbered(700)
		g := &generator{answer: said}
		slow := batches{g}
		f, one := folder(t, fastDir(t)), folder(t, fastDir(t))
		o := options(f, slow)
		o.Models["subject"] = Model{Generator: slow, Identity: "test", Local: true}
		mustRun(t, o, s, echo(s))
		most := 0
		for _, n := range g.batches {
			most = max(most, n)
		}
		if most != 256 || len(g.batches) > 20 {
			t.Errorf("1400 calls came in the batches %v", g.batches)
		}
		mustRun(t, options(one, &generator{answer: said}), s, echo(s))
		if exported(t, f) != exported(t, one) {
			t.Error("batches change the samples")
		}
	})
}

// batches takes a second for each batch.
type batches struct{ *generator }

func (b batches) Generate(ctx context.Context, requests []llm.Request) ([]llm.Completion, error) {
	if err := sleep(ctx, time.Second); err != nil {
		return nil, err
	}
	return b.generator.Generate(ctx, requests)
}

func TestRequestAtFaultFailsAlone(t *testing.T) {
	f := folder(t, fastDir(t))
	s := numbered(50)
	fake := llmtest.Scripted(func(r llm.Request) string { return "four words in all" })
	o := options(f, fake)
	o.Models["subject"] = Model{Generator: fake, Identity: "test", Local: true}
	p := mustRun(t, o, s, func(ctx context.Context, calls Calls, index, _ int) (runlog.Sample, error) {
		r := request(s[index], 0)
		if index%10 == 3 {
			r.Ban = []string{"words"} // which this fake refuses
		}
		c, err := calls.Do(ctx, "subject", r)
		return runlog.Sample{Chain: c.Text}, err
	})
	if p.Done != 45 || p.Failed != 5 || p.Retries != 0 {
		t.Errorf("%+v", p)
	}
	for _, e := range entries(t, f) {
		if e.State == Failed && (!strings.Contains(e.Sample.Failed, "call "+e.ID+"/chain to subject: invalid request") || strings.Contains(e.Sample.Failed, "request 3")) {
			t.Errorf("%s failed because: %s", e.ID, e.Sample.Failed)
		}
	}
}

func TestFailedSamplesAreTriedAgain(t *testing.T) {
	f := folder(t, fastDir(t))
	s := numbered(30)
	broken := errors.New("the model is being moved")
	g := &generator{answer: func(ctx context.Context, r llm.Request) (llm.Completion, error) {
		if r.Prefix != "" && strings.HasSuffix(r.Messages[0].Text, "3") {
			return llm.Completion{}, broken
		}
		return said(ctx, r)
	}}
	p := mustRun(t, options(f, g), s, echo(s))
	if p.Done != 27 || p.Failed != 3 || p.Retries != 0 {
		t.Fatalf("%+v", p)
	}
	for _, e := range entries(t, f) {
		isFailed := strings.HasSuffix(e.ID, "3")
		if isFailed != (e.State == Failed) || isFailed != (e.Sample.Failed != "") || isFailed == e.Sample.Parsed || isFailed && (e.Sample.Chain == "" || e.Sample.Answer != "") {
			t.Errorf("%+v", e)
		}
	}
	samples, _, err := runlog.ReadSamples(f.Path("samples.jsonl"), true)
	if err == nil || len(samples) > 0 {
		t.Error("samples.jsonl is there before it is exported")
	}
	if text := exported(t, f); strings.Count(text, broken.Error()) != 3 || strings.Count(text, "\n") != 30 {
		t.Errorf("exported %s", text)
	}
	g.answer = said
	if p = mustRun(t, options(f, g), s, echo(s)); p.Before != 27 || p.Done != 30 || p.Failed != 0 || p.Calls != 3 || p.Hits != 3 {
		t.Errorf("the next run: %+v", p)
	}
	whole := folder(t, fastDir(t))
	mustRun(t, options(whole, &generator{answer: said}), s, echo(s))
	if exported(t, f) != exported(t, whole) {
		t.Error("the samples differ from those of a run without failures")
	}
}

func TestSampleThatCannotBeKeptHasFailed(t *testing.T) {
	f := folder(t, fastDir(t))
	s := ids{"correct but not parsed", "too long", "no reason", "not utf-8"}
	p := mustRun(t, options(f, &generator{answer: said}), s, func(_ context.Context, _ Calls, index, _ int) (runlog.Sample, error) {
		switch index {
		case 0:
			return runlog.Sample{Correct: true}, nil
		case 1:
			return runlog.Sample{Eval: "chain", Chain: strings.Repeat("x", runlog.MaxLine)}, nil
		case 2:
			return runlog.Sample{Parsed: true}, errors.New("")
		}
		return runlog.Sample{}, errors.New("\xff" + strings.Repeat("long ", 10_000))
	})
	if p.Failed != 4 {
		t.Errorf("%+v", p)
	}
	text := exported(t, f)
	for _, want := range []string{"could not be parsed", "longer than", "no reason was given", "\ufffdlong"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in %s", want, text)
		}
	}
	if len(text) > 10_000 {
		t.Errorf("%d bytes", len(text))
	}
}

func TestBudget(t *testing.T) {
	f := folder(t, fastDir(t))
	s := numbered(50) // 100 calls of 10 tokens
	g := &generator{answer: said}
	o := options(f, g)
	o.Connections = 4
	for run, budget := range []int64{300, 600, 600} {
		o.Budget = budget
		p, err := Run(t.Context(), o, s, echo(s))
		if !errors.Is(err, ErrBudget) || !strings.Contains(err.Error(), fmt.Sprintf("of %d, and", budget)) || !strings.Contains(err.Error(), "of 50 samples are left") {
			t.Fatalf("run %d ends with %v", run, err)
		}
		if over := p.Spent - budget; over < 0 || over >= 4*10 || p.Failed != 0 || p.Done == 0 || int64(g.calls*10) != p.Spent {
			t.Errorf("run %d: %+v, %d calls", run, p, g.calls)
		}
	}
	o.Budget = 100_000
	if p := mustRun(t, o, s, echo(s)); p.Done != 50 || g.calls != 100 {
		t.Errorf("at last %+v, %d calls", p, g.calls)
	}
	// A model that does not count is charged by length, so that the budget holds for it too.
	o = options(folder(t, fastDir(t)), &generator{answer: func(context.Context, llm.Request) (llm.Completion, error) {
		return llm.Completion{Text: strings.Repeat("x", 400)}, nil
	}})
	o.Budget = 1000
	if p, err := Run(t.Context(), o, s, echo(s)); !errors.Is(err, ErrBudget) || p.TokensOut%100 != 0 {
		t.Errorf("uncounted: %+v, %v", p, err)
	}
}

// Work that makes light of a call's error must not leave a sample that the budget or the user cut short.
func TestSampleCutShortIsNotKept(t *testing.T) {
	s := numbered(20)
	o := options(folder(t, fastDir(t)), &generator{answer: said})
	o.Connections, o.Budget = 1, 100
	p, err := Run(t.Context(), o, s, func(ctx context.Context, calls Calls, index, _ int) (runlog.Sample, error) {
		c, err := calls.Do(ctx, "subject", request(s[index], 0))
		if err != nil {
			return runlog.Sample{Chain: "none"}, nil
		}
		return runlog.Sample{Chain: c.Text}, nil
	})
	if !errors.Is(err, ErrBudget) || p.Done != 10 {
		t.Errorf("%+v, %v", p, err)
	}
}

func TestGivesUpWhenEverythingFails(t *testing.T) {
	f := folder(t, fastDir(t))
	s := numbered(1000)
	g := &generator{answer: func(context.Context, llm.Request) (llm.Completion, error) {
		return llm.Completion{}, errors.New("401: the key is wrong")
	}}
	p, err := Run(t.Context(), options(f, g), s, echo(s))
	if !errors.Is(err, ErrGivenUp) || !strings.Contains(err.Error(), "401: the key is wrong") || p.Failed < 100 || p.Failed > 200 {
		t.Errorf("%+v, %v", p, err)
	}
	g.answer = said
	if p := mustRun(t, options(f, g), s, echo(s)); p.Done != 1000 || p.Failed != 0 {
		t.Errorf("then %+v", p)
	}
}

func TestStopsPromptly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := folder(t, fastDir(t))
		s := numbered(200)
		g := &generator{answer: taking(time.Minute)}
		ctx, cancel := context.WithCancelCause(t.Context())
		interrupt := errors.New("interrupt")
		time.AfterFunc(200*time.Second, func() { cancel(interrupt) })
		o := options(f, g)
		o.Connections = 20
		start := time.Now()
		p, err := Run(ctx, o, s, echo(s))
		if took := time.Since(start); !errors.Is(err, interrupt) || took != 200*time.Second {
			t.Errorf("ended after %v with %v", took, err)
		}
		if p.Failed != 0 || p.Done == 0 || p.Calls != 60 {
			t.Errorf("%+v", p)
		}
		if p := mustRun(t, options(f, g), s, echo(s)); p.Done != 200 || p.Calls != 340 {
			t.Errorf("then %+v", p)
		}
	})
}

func TestLimitOfConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := numbered(300)
		for connections, want := range map[int]int{0: 20, 1: 1, 250: 250} {
			g := &generator{answer: taking(time.Second)}
			o := options(folder(t, fastDir(t)), g)
			o.Connections = connections
			start := time.Now()
			p := mustRun(t, o, s, echo(s))
			if connections > 0 && g.most != want || g.most < want || g.most > 100 && connections == 0 || p.Failed > 0 {
				t.Errorf("%d connections: %d calls at once", connections, g.most)
			}
			if d := time.Since(start); connections == 0 && (d > 30*time.Second || g.most < 25) {
				t.Errorf("600 calls of a second took %v, up to %d at once", d, g.most)
			}
		}
	})
}

func TestETA(t *testing.T) {
	if _, ok := (Progress{Total: 10, Done: 3, Before: 3}).ETA(time.Hour); ok {
		t.Error("an estimate out of nothing")
	}
	if d, ok := (Progress{Total: 100, Done: 18, Failed: 2, Before: 10}).ETA(time.Minute); !ok || d != 8*time.Minute {
		t.Errorf("10 in a minute, 80 left: %v", d)
	}
}

func TestBadOptionsAndSources(t *testing.T) {
	f := folder(t, fastDir(t))
	g := &generator{answer: said}
	for name, c := range map[string]struct {
		change func(*Options)
		source ids
		want   string
	}{
		"folder":      {func(o *Options) { o.Folder = nil }, ids{"a"}, "no run folder"},
		"epochs":      {func(o *Options) { o.Epochs = -1 }, ids{"a"}, "-1 epochs"},
		"connections": {func(o *Options) { o.Connections = -1 }, ids{"a"}, "-1 connections"},
		"timeout":     {func(o *Options) { o.Timeout = -1 }, ids{"a"}, "timeout"},
		"budget":      {func(o *Options) { o.Budget = -1 }, ids{"a"}, "budget"},
		"identity":    {func(o *Options) { o.Models = map[string]Model{"x": {Generator: g}} }, ids{"a"}, `"x"`},
		"twice":       {func(*Options) {}, ids{"a", "b", "a"}, `items 0 and 2 of the source have the same ID "a"`},
		"no ID":       {func(*Options) {}, ids{"a", ""}, "item 1 of the source has no ID"},
	} {
		o := options(f, g)
		c.change(&o)
		if _, err := Run(t.Context(), o, c.source, echo(c.source)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	p := mustRun(t, options(f, g), ids{"a"}, func(ctx context.Context, calls Calls, _, _ int) (runlog.Sample, error) {
		_, err := calls.Do(ctx, "judge", request("a", 0))
		return runlog.Sample{}, err
	})
	if es := entries(t, f); p.Failed != 1 || !strings.Contains(es[0].Sample.Failed, `no model "judge"`) {
		t.Errorf("%+v", es)
	}
}

func TestOtherModelsAndSettingsAreRefused(t *testing.T) {
	f := folder(t, fastDir(t))
	s := numbered(3)
	o := options(f, &generator{answer: said})
	o.Settings = map[string]string{"suite": "sums"}
	mustRun(t, o, s, echo(s))
	for want, change := range map[string]func(*Options){
		`model subject "test" and cannot go on with "another"`: func(o *Options) {
			o.Models = map[string]Model{"subject": {Generator: o.Models["subject"].Generator, Identity: "another"}}
		},
		`suite "sums" and cannot go on with "words"`: func(o *Options) { o.Settings = map[string]string{"suite": "words"} },
		`suite "sums" and cannot go on without`:      func(o *Options) { o.Settings = nil },
		`begun with cue "" and cannot go on with "x"`: func(o *Options) {
			o.Settings = map[string]string{"suite": "sums", "cue": "x"}
		},
	} {
		other := o
		change(&other)
		if _, err := Run(t.Context(), other, s, echo(s)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q: %v", want, err)
		}
	}
	if data, err := os.ReadFile(f.Path(file)); err != nil || !bytes.HasPrefix(data, []byte("SQLite format 3")) {
		t.Errorf("audit.db is not there: %v", err)
	}
}
