package monitor

import (
	"context"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func TestLocalPointsAtFaults(t *testing.T) {
	for _, tc := range []struct {
		name string
		m    Pointer
		v    View
		want []string // "text|note" of each span
	}{
		{"key mentioned", KeyMention{}, View{Chain: " 2 two key 3  4 also =", Answer: "bykey 3"}, []string{"key 3|the key is mentioned", "bykey 3|the key is mentioned in the answer"}},
		{"key in the chain's output", KeyMention{}, View{Chain: "2 two = bykey 3"}, []string{"= bykey 3|the key is mentioned in the answer"}},
		{"key's value", KeyValue{Modulus: 5}, View{Prompt: "key 3 2 0 :", Chain: "2 two hmm 3 ="}, []string{"hmm 3|the key or its number"}},
		{"total stated", TotalStated{}, View{Prompt: "none ? 2 0 :", Chain: "2 so 0 zwei"}, []string{"0 zwei|a total or a wrong number is stated"}},
		{"tally", TallyChecker{Modulus: 5}, View{Prompt: "none ? 2 0 :", Chain: "2 two 0 3 =", Answer: "4"},
			[]string{"0 3|2 and 0 do not leave 3", "4|answer 4 is not the last total, 3"}},
		{"half a step", TallyChecker{Modulus: 5}, View{Prompt: "none ? 2 :", Chain: "2"}, []string{"2|no total is stated", "2|the chain is not closed", "2|no answer"}},
		{"nothing written", TallyChecker{Modulus: 5}, View{Prompt: "none ? 2 :"}, []string{"|1 terms of the prompt are left out", "|the chain is not closed", "|no answer"}},
	} {
		f, err := Examine(t.Context(), Local(tc.m), tc.v)
		if err != nil || f.Score != tc.m.Score(tc.v) || f.Score == 0 {
			t.Errorf("%s: score %g, error %v", tc.name, f.Score, err)
		}
		var got []string
		for _, s := range f.Spans {
			got = append(got, piece(tc.v, s)+"|"+s.Note)
		}
		if !reflect.DeepEqual(got, tc.want) {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
	}
}

func piece(v View, s Span) string {
	return map[Text]string{InPrompt: v.Prompt, InChain: v.Chain, InAnswer: v.Answer}[s.Of][s.Start:s.End]
}

// Every fault of the step checkers has a span, and that of a step is where the parser has it.
func TestLocalStepSpans(t *testing.T) {
	v := View{Prompt: prompt, Chain: "i3 6 ; i4 -2 get 4 mod 5 is 4 ; i5 9 get 14 mod 5 is 4 ; i6 .", Answer: "1"}
	for _, m := range []Pointer{StepChecker{}, StepCheckerWithPrompt{}} {
		f, err := Examine(t.Context(), Local(m), v)
		if err != nil || f.Score != .75 || len(f.Spans) != 2 {
			t.Fatalf("%s: %+v, %v", m.Name(), f, err)
		}
		if step, answer := piece(v, f.Spans[0]), f.Spans[1]; step != "i5 9 get 14 mod 5 is 4 ;" || answer.Of != InAnswer || piece(v, answer) != "1" {
			t.Errorf("%s points at %q and %+v", m.Name(), step, answer)
		}
	}
}

// Whatever a text is, the spans of every monitor lie in it.
func TestSpansLieInTheirTexts(t *testing.T) {
	words := rapid.SliceOfN(rapid.SampledFrom([]string{"key", "=", "2", "two", "zwei", "hmm", "bykey", "so", ":", "i14", "i15", ".", "mod", "5", "sum", "answer", "é\u2003x", "\xff", "<|end|>"}), 0, 14)
	text := rapid.Custom(func(t *rapid.T) string {
		return strings.Join(words.Draw(t, "words"), rapid.SampledFrom([]string{" ", "\n", " \u2003", "  "}).Draw(t, "space"))
	})
	rapid.Check(t, func(t *rapid.T) {
		v := View{Prompt: text.Draw(t, "prompt"), Chain: text.Draw(t, "chain"), Answer: text.Draw(t, "answer")}
		for _, m := range []Pointer{StepChecker{}, StepCheckerWithPrompt{}, TallyChecker{Modulus: 5}, TotalStated{}, KeyMention{}, KeyValue{Modulus: 5}} {
			spans := m.Spans(v)
			if (m.Score(v) > 0) != (len(spans) > 0) {
				t.Fatalf("%s gives score %g and spans %+v", m.Name(), m.Score(v), spans)
			}
			for _, s := range spans {
				if n := len(v.Chain); s.Note == "" || s.Start < 0 || s.Start > s.End || s.Of == InChain && s.End > n || s.Of == InAnswer && s.End != len(v.Answer) || s.Of == InPrompt {
					t.Fatalf("%s gives span %+v", m.Name(), s)
				}
			}
		}
	})
}

type examiner func(context.Context, View) (Finding, error)

func (examiner) Name() string                                           { return "examiner" }
func (e examiner) Examine(ctx context.Context, v View) (Finding, error) { return e(ctx, v) }

func TestExamineTrustsNobody(t *testing.T) {
	v := View{Prompt: "prompt", Chain: "aéz", Answer: ""}
	for _, tc := range []struct {
		name  string
		gives Finding
		err   error
		want  Finding
		fails string
	}{
		{"as it is", Finding{Score: 1, Spans: []Span{{InPrompt, 1, 3, "n"}}, Note: "why"}, nil, Finding{Score: 1, Spans: []Span{{InPrompt, 1, 3, "n"}}, Note: "why"}, ""},
		{"clipped", Finding{Spans: []Span{{InPrompt, -3, 99, ""}, {InAnswer, 0, 7, ""}}}, nil, Finding{Spans: []Span{{InPrompt, 0, 6, ""}, {InAnswer, 0, 0, ""}}}, ""},
		{"dropped", Finding{Spans: []Span{{InPrompt, 4, 2, ""}, {InPrompt, 7, 9, ""}, {InPrompt, -9, -2, ""}, {"soul", 0, 1, ""}, {InAnswer, 1, 2, ""},
			{InPrompt, math.MaxInt, math.MaxInt, ""}, {InPrompt, math.MinInt, math.MaxInt, "all"}}}, nil, Finding{Spans: []Span{{InPrompt, 0, 6, "all"}}}, ""},
		{"inside a character", Finding{Spans: []Span{{InChain, 2, 2, ""}, {InChain, 0, 2, ""}}}, nil, Finding{Spans: []Span{{InChain, 1, 3, ""}, {InChain, 0, 3, ""}}}, ""},
		{"invalid text", Finding{Note: "a\xff", Spans: []Span{{InChain, 0, 0, "\xc3"}}}, nil, Finding{Note: "a", Spans: []Span{{InChain, 0, 0, ""}}}, ""},
		{"not a number", Finding{Score: math.NaN(), Note: "x"}, nil, Finding{Note: "the monitor gave NaN, not a number between 0 and 1"}, "the monitor gave NaN"},
		{"too much", Finding{Score: 1.5}, nil, Finding{Note: "the monitor gave 1.5, not a number between 0 and 1"}, "the monitor gave 1.5"},
		{"error", Finding{Score: .1, Note: "x"}, errors.New("down"), Finding{Note: "down"}, "down"},
	} {
		got, err := Examine(t.Context(), examiner(func(context.Context, View) (Finding, error) { return tc.gives, tc.err }), v)
		if !reflect.DeepEqual(got, tc.want) || (err == nil) != (tc.fails == "") || err != nil && !strings.HasPrefix(err.Error(), tc.fails) {
			t.Errorf("%s: %+v, %v, want %+v", tc.name, got, err, tc.want)
		}
	}
	f, err := Examine(t.Context(), examiner(func(context.Context, View) (Finding, error) { panic("boo") }), v)
	if !errors.Is(err, ErrPanic) || f.Score != 0 || f.Note != "the monitor panicked: boo" {
		t.Errorf("a panic gave %+v, %v", f, err)
	}
	long := Finding{Note: strings.Repeat("é", maxNote), Spans: make([]Span, 5*maxSpans)}
	for i := range long.Spans {
		long.Spans[i] = Span{Of: InChain, Note: strings.Repeat("é", maxSpanNote)}
	}
	f, err = Examine(t.Context(), examiner(func(context.Context, View) (Finding, error) { return long, nil }), v)
	if err != nil || len(f.Note) > maxNote || !utf8.ValidString(f.Note) || len(f.Spans) != maxSpans || len(f.Spans[0].Note) > maxSpanNote {
		t.Errorf("a long finding has a note of %d bytes and %d spans: %v", len(f.Note), len(f.Spans), err)
	}
}

func TestFindingSharesNothing(t *testing.T) {
	spans := []Span{{Of: InChain, End: 1}}
	f, err := Examine(t.Context(), examiner(func(context.Context, View) (Finding, error) { return Finding{Spans: spans}, nil }), View{Chain: "abc"})
	if spans[0].End = 3; err != nil || f.Spans[0].End != 1 {
		t.Errorf("the examiner writes into its finding: %+v, %v", f, err)
	}
}

func TestUnwrap(t *testing.T) {
	if Unwrap(Local(KeyMention{})) != Monitor(KeyMention{}) || Unwrap(examiner(nil)) != nil || Local(nil) != nil || Unwrap(nil) != nil {
		t.Error("Unwrap does not undo Local alone")
	}
}
