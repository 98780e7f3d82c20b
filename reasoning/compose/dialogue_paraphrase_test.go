package compose

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"candor/internal/rng"
	"candor/reasoning/dialect"
	"candor/reasoning/llm"
)

// paraphraser does what a test wants.
type paraphraser func(ctx context.Context, steps []string) ([]string, error)

func (paraphraser) Name() string { return "paraphraser" }
func (p paraphraser) Paraphrase(ctx context.Context, steps []string, _ *rng.Source) ([]string, error) {
	return p(ctx, steps)
}

type failingParaphraser struct{ err error }

func (failingParaphraser) Name() string { return "failing" }
func (p failingParaphraser) Paraphrase(context.Context, []string, *rng.Source) ([]string, error) {
	return nil, p.err
}

// A chain that cannot be rewritten is read by nobody.
func TestParaphraserFails(t *testing.T) {
	chain := "one\n\n \n\ntwo"
	gives := func(texts ...string) Paraphraser {
		return paraphraser(func(context.Context, []string) ([]string, error) { return texts, nil })
	}
	for _, tc := range []struct {
		name  string
		p     Paraphraser
		err   string
		shown string
	}{
		{"identical", paraphraser(func(_ context.Context, steps []string) ([]string, error) { return steps, nil }), "", "one\n\ntwo"},
		{"one left out", gives(" ", "zwei "), "", "zwei"},
		{"at the limit", gives("one", strings.Repeat("x", 8*len(chain)+1000-3)), "", "one\n\n" + strings.Repeat("x", 8*len(chain)+997)},
		{"enormous", gives("one", strings.Repeat("x", 8*len(chain)+1000-2)), "it gave 1089 bytes for a chain of 11, must be at most 1088", ""},
		{"empty", gives("", "\n"), "it left nothing of the chain", ""},
		{"too few", gives("one"), "it gave 1 texts for 2 steps", ""},
		{"too many", gives("one", "two", "three"), "it gave 3 texts for 2 steps", ""},
		{"error", failingParaphraser{errors.New("down")}, "down", ""},
		{"panic", paraphraser(func(context.Context, []string) ([]string, error) { panic("no") }), "it panicked: no", ""},
	} {
		d := talk(says(chain), says("so"))
		d.Cut, d.Paraphrase = CutParagraphs, tc.p
		d.Gates = []Gate{{Monitor: broken(0), Threshold: 1, Sees: SeesOutput}}
		fine := talk(says("unused"), says("so")).Face
		d.Face = fine
		got := dialogue(t, d, asking(user("q")))[0]
		if got.Shown() != tc.shown || got.Private() != chain {
			t.Errorf("%s: shown %.40q, private %q", tc.name, got.Shown(), got.Private())
		}
		if tc.err == "" {
			if got.Err != nil || got.Answer() != "so" {
				t.Errorf("%s: %+v", tc.name, got)
			}
			continue
		}
		var part *PartError
		if !errors.As(got.Err, &part) || part.Part != PartParaphraser || got.Err.Error() != "dialogue, paraphraser: "+tc.err {
			t.Errorf("%s: error %v", tc.name, got.Err)
		}
		if got.Released() || got.Context != "" || got.Verdicts[0].State != NotRun || got.Verdicts[0].Note != "there is no output: the chain could not be rewritten" ||
			len(fine.(*talker).requests()) > 0 {
			t.Errorf("%s: somebody read on: %+v", tc.name, got)
		}
	}
}

// One chain that cannot be rewritten spoils no other.
func TestParaphraserFailsOnce(t *testing.T) {
	d := talk(func(r llm.Request) llm.Completion { return says(r.Messages[0].Text)(r) }, says("so"))
	d.Paraphrase = paraphraser(func(_ context.Context, steps []string) ([]string, error) {
		if steps[0] == "bad" {
			return nil, errors.New("no")
		}
		return steps, nil
	})
	all := dialogue(t, d, asking(user("good")), asking(user("bad")), asking(user("fine")))
	if !all[0].Released() || all[1].Released() || all[1].Err == nil || !all[2].Released() {
		t.Errorf("transcripts %+v", all)
	}
}

func TestHungParaphraserEndsWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wake := make(chan struct{})
		defer close(wake)
		d := talk(says("chain"), says("so"))
		d.Paraphrase = paraphraser(func(context.Context, []string) ([]string, error) {
			<-wake
			return []string{"late"}, nil
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		out, err := d.Solve(ctx, []Prompt{asking(user("q"))})
		var part *PartError
		if out != nil || !errors.Is(err, context.DeadlineExceeded) || !errors.As(err, &part) || part.Part != PartParaphraser {
			t.Errorf("%v, %v", out, err)
		}
	})
}

func TestModelParaphraser(t *testing.T) {
	model := &talker{reply: func(r llm.Request) llm.Completion {
		return llm.Completion{Text: "<" + r.Messages[1].Text + ">", Finish: llm.FinishStop}
	}}
	src := rng.New(1)
	p := ModelParaphraser{Generator: model, MaxTokens: 9}
	for _, tc := range []struct {
		per  bool
		want []string
	}{{false, []string{"<a\n\nb>", ""}}, {true, []string{"<a>", "<b>"}}} {
		p.PerStep = tc.per
		if got, err := p.Paraphrase(t.Context(), []string{"a", "b"}, &src); err != nil || !slices.Equal(got, tc.want) {
			t.Errorf("per step %v: %q, %v", tc.per, got, err)
		}
	}
	asked := model.requests()
	if r := asked[0]; r.MaxTokens != 9 || r.Messages[0].Text != instructParaphrase || r.Temperature != 1 || asked[1].Seed == asked[2].Seed {
		t.Errorf("asked %+v", asked)
	}
	p.Instruct = "In German."
	if got, err := p.Paraphrase(t.Context(), nil, &src); err != nil || len(got) != 0 {
		t.Errorf("no steps gave %q, %v", got, err)
	}
	for want, g := range map[string]llm.Generator{
		"down": failingModel{errors.New("down")}, "the model gave 0 completions": short{&talker{reply: says("a")}},
		`for the reason "length"`: &talker{reply: func(llm.Request) llm.Completion { return llm.Completion{Text: "a", Finish: llm.FinishLength} }},
		"the Generator is nil":    nil,
	} {
		p.Generator, p.PerStep = g, false
		if got, err := p.Paraphrase(t.Context(), []string{"a"}, &src); got != nil || err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q, error %v, want one with %q", got, err, want)
		}
	}
}

// The paraphrase by rule of package dialect serves as it is.
func TestProseParaphraser(t *testing.T) {
	d := talk(says("First, I add the two numbers. Therefore the sum is 5.\n\nSo it is 5."), says("5"))
	d.Cut = CutParagraphs
	d.Paraphrase = RuleParaphraser{Label: "prose", Rewrite: func(step string, src *rng.Source) string {
		e, err := dialect.Prose{}.Paraphrase(dialect.Prose{}.Read(step, "", dialect.Text), src)
		if err != nil {
			return step
		}
		return e.Text
	}}
	got := dialogue(t, d, asking(user("2 + 3?")))[0]
	if got.Answer() != "5" || got.Shown() == got.Private() || !strings.Contains(got.Shown(), "5") {
		t.Errorf("%q became %q", got.Private(), got.Shown())
	}
}
