package decode

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"candor/engine/tokenizer"
	"candor/engine/transformer"
	"candor/reasoning/llm"
	"candor/reasoning/llm/llmtest"
)

var vocabulary = strings.Fields("q i14 i15 i16 6 -2 16 . ; : mod get is steps answer start add leaves gets")

func newGenerator(t *testing.T, cfg transformer.Config) *Generator {
	t.Helper()
	tok, err := tokenizer.New(vocabulary, tokenizer.End)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Vocab = tok.Size()
	g, err := NewGenerator(newModel(t, cfg), tok, newPool(t, 2))
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func TestGeneratorConforms(t *testing.T) {
	for name, cfg := range configs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			llmtest.Run(t, func(t *testing.T) llm.Generator { return newGenerator(t, cfg) },
				llmtest.Options{Prompts: []string{"q i14 6 i15 -2 . mod 16 ; steps :", "q i15 6", "start", "answer ; add get"}})
		})
	}
}

func TestGeneratorRefuses(t *testing.T) {
	g := newGenerator(t, configs["mixed"])
	user := func(text string) llm.Request {
		return llm.Request{ID: "x", Messages: []llm.Message{{Role: llm.User, Text: text}}, MaxTokens: 3}
	}
	stop := user("q")
	stop.Stop = []string{" "}
	prefix := user("q")
	prefix.Prefix = "hello"
	for says, r := range map[string]llm.Request{
		`does not know the word "gett"`:  user("q get gett"),
		`prefix: the model does not`:     prefix,
		"41 tokens":                      user(strings.Repeat("q ", 41)),
		"messages and prefix have no wo": user(" "),
		"single space as stop":           stop,
	} {
		out, err := g.Generate(t.Context(), []llm.Request{user("q"), r})
		var at *llm.RequestError
		if !errors.As(err, &at) || at.Index != 1 || at.ID != "x" || out != nil || !strings.Contains(err.Error(), says) {
			t.Errorf("error %v, should say %q of request 1", err, says)
		}
	}
	_, err := g.Generate(t.Context(), []llm.Request{user("q get gett")})
	if !strings.Contains(err.Error(), `"get", "gets"`) {
		t.Errorf("%v does not name the nearest words", err)
	}
	small, _ := tokenizer.New([]string{"a"})
	if _, err := NewGenerator(newModel(t, configs["mixed"]), small, newPool(t, 1)); err == nil {
		t.Error("a generator with too few words")
	}
}

func TestStopSeqs(t *testing.T) {
	g := newGenerator(t, configs["mixed"])
	for stop, want := range map[string][]string{
		"get":      {"get", "gets"},
		" get":     {"get", "gets"},
		"get ":     {"get"},
		" get ":    {"get"},
		"6":        {"6", "16", "i16"},
		"6 -2 get": {"6 -2 get", "6 -2 gets", "16 -2 get", "16 -2 gets", "i16 -2 get", "i16 -2 gets"},
		"s i1":     {"is i14", "is i15", "is i16", "leaves i14", "leaves i15", "leaves i16", "gets i14", "gets i15", "gets i16", "steps i14", "steps i15", "steps i16"},
		"\n":       nil,
		"get  is":  nil,
		"nothing":  nil,
	} {
		seqs, err := g.stopSeqs(stop)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, s := range seqs {
			got = append(got, g.tok.Decode(s))
		}
		slices.Sort(got)
		slices.Sort(want)
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%q -want +got\n%s", stop, d)
		}
	}
}

// A completion stops with the first word at which its text, with the edges of words as spaces, contains the stop text.
func TestStopSeqsMatchText(t *testing.T) {
	g := newGenerator(t, configs["mixed"])
	rapid.Check(t, func(t *rapid.T) {
		tokens := rapid.SliceOfN(rapid.Int32Range(0, int32(len(vocabulary)-1)), 1, 8).Draw(t, "tokens")
		padded := " " + g.tok.Decode(tokens) + " "
		from := rapid.IntRange(0, len(padded)-1).Draw(t, "from")
		stop := padded[from:rapid.IntRange(from+1, len(padded)).Draw(t, "to")]
		if stop == " " {
			return
		}
		seqs, err := g.stopSeqs(stop)
		if err != nil {
			t.Fatal(err)
		}
		for n := 1; n <= len(tokens); n++ {
			want := strings.Contains(" "+g.tok.Decode(tokens[:n])+" ", stop)
			if got := ended(&Request{StopSeqs: seqs}, tokens[:n]); got != want {
				t.Fatalf("stop %q at %q: %v, want %v", stop, g.tok.Decode(tokens[:n]), got, want)
			}
			if want {
				return
			}
		}
	})
}

func TestPrefixAndTextJoin(t *testing.T) {
	g := newGenerator(t, configs["mixed"])
	for prefix, space := range map[string]bool{"": false, "6": true, "6 ": false, "6\n": false} {
		out, err := g.Generate(t.Context(), []llm.Request{{Messages: []llm.Message{{Role: llm.User, Text: "q"}}, Prefix: prefix, MaxTokens: 3}})
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.HasPrefix(out[0].Text, " "); got != space || out[0].Text == "" {
			t.Errorf("after prefix %q the text is %q", prefix, out[0].Text)
		}
	}
}
