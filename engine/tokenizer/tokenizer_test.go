package tokenizer

import (
	"encoding/json"
	"errors"
	"flag"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var update = flag.Bool("update", false, "rewrite golden files")

func must(t testing.TB, words []string, specials ...string) *Tokenizer {
	t.Helper()
	tok, err := New(words, specials...)
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

func TestEncode(t *testing.T) {
	tok := must(t, []string{"q", "i14", "6", "-2", ":"}, End)
	ids, err := tok.Encode("q i14  6\n-2 : " + End)
	if err != nil {
		t.Fatal(err)
	}
	if want := []int32{0, 1, 2, 3, 4, 5}; !slices.Equal(ids, want) {
		t.Fatalf("got %v, want %v", ids, want)
	}
	if got := tok.Decode(ids); got != "q i14 6 -2 : <|end|>" {
		t.Errorf("decoded %q", got)
	}
	if ids, err := tok.Encode(" "); err != nil || len(ids) != 0 {
		t.Errorf("blank text gave %v, %v", ids, err)
	}
	kept := []int32{9}
	if got, err := tok.AppendEncode(kept, "q what"); err == nil || !slices.Equal(got, kept) {
		t.Errorf("after an unknown word dst is %v (%v), want it as it was", got, err)
	}
}

func TestUnknownWordIsNamed(t *testing.T) {
	tok := must(t, []string{"steps", "quick", "-2", "12", "mod", "get", "is"}, End)
	for _, c := range []struct{ text, word, near string }{
		{"mod step", "step", "steps"},
		{"-12 is", "-12", "-2"},
		{"mod<|end|>", "mod<|end|>", "<|end|>"},
		{strings.Repeat("x", 500), strings.Repeat("x", 500), ""},
	} {
		_, err := tok.Encode(c.text)
		var unknown *UnknownWordError
		if !errors.As(err, &unknown) {
			t.Fatalf("%q: error %v", c.text, err)
		}
		if unknown.Word != c.word {
			t.Errorf("%q: names %q", c.text, unknown.Word)
		}
		if c.near != "" && !slices.Contains(unknown.Near[:2], c.near) {
			t.Errorf("%q: near are %q, want %q among the first", c.text, unknown.Near, c.near)
		}
		if len(err.Error()) > 300 {
			t.Errorf("message of %d bytes", len(err.Error()))
		}
	}
	empty := must(t, nil)
	if _, err := empty.Encode("a"); err == nil {
		t.Error("an empty vocabulary encoded a word")
	}
}

func TestNewRefuses(t *testing.T) {
	for name, words := range map[string][]string{
		"twice": {"a", "b", "a"}, "empty": {""}, "space": {"a b"}, "no-break space": {"a\u00a0b"}, "not UTF-8": {"\xff"}, "special twice": {"a", End},
	} {
		if _, err := New(words, End); err == nil {
			t.Errorf("%s: accepted %q", name, words)
		}
	}
}

func TestEdits(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"abc", "", 3}, {"", "ab", 2}, {"kitten", "sitting", 3}, {"steps", "step", 1}, {"ab", "ba", 2}} {
		if got := edits(c.a, c.b); got != c.want {
			t.Errorf("edits(%q,%q) = %d, want %d", c.a, c.b, got, c.want)
		}
	}
}

func TestGoldenJSON(t *testing.T) {
	tok := must(t, []string{"q", "é", "<", `"`, "-3"}, End)
	got, err := json.MarshalIndent(tok, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	const path = "testdata/tokenizer.json"
	if *update {
		if err := os.WriteFile(path, got, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), string(got)); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
}

func TestJSONRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		words := rapid.SliceOfDistinct(rapid.StringMatching(`[^\s\x{0}-\x{20}\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}]{1,4}`), rapid.ID[string]).Draw(t, "words")
		n := rapid.IntRange(0, len(words)).Draw(t, "specials")
		tok, err := New(words[n:], words[:n]...)
		if err != nil {
			t.Fatal(err)
		}
		data, err := json.Marshal(tok)
		if err != nil {
			t.Fatal(err)
		}
		var back Tokenizer
		if err := json.Unmarshal(data, &back); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(tok.Words(), back.Words()); d != "" {
			t.Error(d)
		}
		if d := cmp.Diff(tok.Specials(), back.Specials()); d != "" {
			t.Error(d)
		}
		text := strings.Join(words, " ")
		ids, err := back.Encode(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := back.Decode(ids); got != text {
			t.Errorf("%q became %q", text, got)
		}
	})
}

// refused are tokenizer.json files that would give other ids than Encode does, or none.
var refused = map[string]string{
	"model.type":     `{"pre_tokenizer":{"type":"WhitespaceSplit"},"model":{"type":"BPE","vocab":{"a":0}}}`,
	"missing":        `{}`,
	"pre_tokenizer":  `{"pre_tokenizer":{"type":"Whitespace"},"model":{"type":"WordLevel","vocab":{"a":0}}}`,
	"normalizer":     `{"normalizer":{"type":"Lowercase"},"pre_tokenizer":{"type":"WhitespaceSplit"},"model":{"type":"WordLevel","vocab":{"a":0}}}`,
	"padding":        `{"padding":{},"pre_tokenizer":{"type":"WhitespaceSplit"},"model":{"type":"WordLevel","vocab":{"a":0}}}`,
	"no word":        `{"pre_tokenizer":{"type":"WhitespaceSplit"},"model":{"type":"WordLevel","vocab":{"a":1}}}`,
	"both have id 0": `{"pre_tokenizer":{"type":"WhitespaceSplit"},"model":{"type":"WordLevel","vocab":{"a":0,"b":0}}}`,
	"twice":          `{"pre_tokenizer":{"type":"WhitespaceSplit"},"model":{"type":"WordLevel","vocab":{"a":0,"a":1}}}`,
	"the id of word": `{"pre_tokenizer":{"type":"WhitespaceSplit"},"model":{"type":"WordLevel","vocab":{"a":0.5}}}`,
	"must be an obj": `{"pre_tokenizer":{"type":"WhitespaceSplit"},"model":{"type":"WordLevel","vocab":["a"]}}`,
	"white space":    `{"pre_tokenizer":{"type":"WhitespaceSplit"},"model":{"type":"WordLevel","vocab":{"a b":0}}}`,
	"added_tokens":   `{"added_tokens":[{"id":0,"content":"a"}],"pre_tokenizer":{"type":"WhitespaceSplit"},"model":{"type":"WordLevel","vocab":{}}}`,
	"added token":    `{"added_tokens":[{"id":1,"content":"b"}],"pre_tokenizer":{"type":"WhitespaceSplit"},"model":{"type":"WordLevel","vocab":{"a":0}}}`,
}

func TestUnmarshalRefuses(t *testing.T) {
	for says, data := range refused {
		var tok Tokenizer
		err := json.Unmarshal([]byte(data), &tok)
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: error %v, should say %q", data, err, says)
		}
	}
}

func FuzzUnmarshal(f *testing.F) {
	golden, err := os.ReadFile("testdata/tokenizer.json")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(golden)
	for _, data := range refused {
		f.Add([]byte(data))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var tok Tokenizer
		if json.Unmarshal(data, &tok) != nil {
			return
		}
		ids := make([]int32, tok.Size())
		for i := range ids {
			ids[i] = int32(i)
		}
		back, err := tok.Encode(tok.Decode(ids))
		if err != nil || !slices.Equal(back, ids) {
			t.Fatalf("accepted a vocabulary whose words do not survive: %v, %v", back, err)
		}
		again, err := json.Marshal(&tok)
		if err != nil {
			t.Fatal(err)
		}
		var second Tokenizer
		if err := json.Unmarshal(again, &second); err != nil {
			t.Fatalf("cannot read what it wrote: %v", err)
		}
	})
}
