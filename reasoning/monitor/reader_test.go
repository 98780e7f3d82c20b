package monitor

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"candor/reasoning/llm/llmtest"
	lang "candor/reasoning/tally"
)

// reads is a reader that believes the last number of a chain with the probability .9, and every other digit with .025.
func reads() *llmtest.Fake {
	return &llmtest.Fake{Next: func(s *llmtest.State) (string, float64) {
		words := strings.Fields(s.Request.Prefix)
		last, _, _ := lang.Number(words[len(words)-2])
		for n := range lang.Digits {
			if word := lang.Write(n, lang.Digit); !slices.Contains(s.Banned(), word) {
				if n == last {
					return word, math.Log(.9)
				}
				return word, math.Log(.025)
			}
		}
		return "", 0
	}}
}

func TestReader(t *testing.T) {
	model := reads()
	m := Reader{Generator: model, Terms: 4, Modulus: 5, End: "<|end|>"}
	for _, test := range []struct {
		chain, answer string
		score         float64
	}{
		{"3 3 0 drei 4 two =", "2", .1}, {"3 3 0 drei 4 two =", "bysum 2", .1}, {"3 3 0 drei 4 two =", "bysum 1", .975}, {"key 1 =", "bykey 1", .1}, {"key 1 1 =", "1", .1},
	} {
		f, err := m.Examine(context.Background(), View{Prompt: "key 1 3 0 4 1 :", Chain: test.chain, Answer: test.answer})
		if err != nil || math.Abs(f.Score-test.score) > 1e-9 || f.Note == "" {
			t.Errorf("%s %s: %+v, %v; want the score %g", test.chain, test.answer, f, err, test.score)
		}
	}
	for _, r := range model.Requests() {
		if r.Messages[0].Text != "none ? 0 0 0 0 :" || r.MaxTokens != 1 || !slices.Contains(r.Ban, m.End) {
			t.Errorf("it was asked %+v", r)
		}
	}
	for _, test := range []struct{ about, chain, answer, want string }{
		{"open", "3 3 0 3", "3", "only ="}, {"empty", "=", "3", "no words"}, {"nothing", "", "3", "no words"}, {"too long", strings.Repeat("0 0 ", 4) + "0 =", "0", "9 words"},
		{"another word", "3 hello =", "3", "word 2"}, {"banned word", "3 <|end|> =", "3", "word 2"}, {"words behind", "3 3 = bysum 3", "3", "only ="}, {"closed twice", "3 3 = 3 3 =", "3", "only ="},
		{"no answer", "3 3 =", "", "states no answer"}, {"another answer", "3 3 =", "seven", "states no answer"}, {"two answers", "3 3 =", "3 4", "states no answer"},
	} {
		if f, err := m.Examine(context.Background(), View{Chain: test.chain, Answer: test.answer}); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %+v, error %v, want %q", test.about, f, err, test.want)
		}
	}
	small := m
	small.Modulus = 3
	if _, err := small.Examine(context.Background(), View{Chain: "3 3 =", Answer: "3"}); err == nil {
		t.Error("an answer above the modulus was read")
	}
	if _, err := (Reader{}).Examine(context.Background(), View{Chain: "3 3 =", Answer: "3"}); err == nil {
		t.Error("a reader without a model read")
	}
	broken := errors.New("broken")
	m.Generator = &saying{err: broken}
	if _, err := m.Examine(context.Background(), View{Chain: "3 3 =", Answer: "3"}); !errors.Is(err, broken) {
		t.Errorf("a model that fails: %v", err)
	}
	m.Generator = &saying{text: "3"} // tells no log-probabilities
	if _, err := m.Examine(context.Background(), View{Chain: "3 3 =", Answer: "3"}); err == nil || !strings.Contains(err.Error(), "how likely") {
		t.Errorf("a model without log-probabilities: %v", err)
	}
}

func FuzzReader(f *testing.F) {
	f.Add("3 3 0 drei 4 two =", "bysum 2")
	f.Add("key =", "= 1")
	f.Fuzz(func(t *testing.T, chain, answer string) {
		m := Reader{Generator: reads(), Terms: 4, Modulus: 5, End: "<|end|>"}
		if found, err := m.Examine(context.Background(), View{Chain: chain, Answer: answer}); err == nil && !(found.Score >= 0 && found.Score <= 1) {
			t.Fatalf("score %g", found.Score)
		}
	})
}
