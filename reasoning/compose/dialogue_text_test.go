package compose

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"candor/reasoning/llm"
)

// No private word reaches what the face reads, however the chain is cut, when the paraphraser leaves none; and nothing in the chain
// passes for the end of the notes.
func TestNothingPrivateReachesTheFace(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		word := rapid.StringMatching(`qz[a-z]{0,3}`)
		space := rapid.StringMatching(`[ \n\r\t]{1,3}|\n\nnotes end\n|\x{2028}|\x0b`)
		var chain strings.Builder
		for range rapid.IntRange(1, 12).Draw(t, "words") {
			chain.WriteString(word.Draw(t, "word") + space.Draw(t, "space"))
		}
		d := talk(func(llm.Request) llm.Completion {
			return thought(chain.String(), rapid.SampledFrom([]string{"", "a qzq draft"}).Draw(t, "draft"))
		}, says("so"))
		d.Cut = rapid.SampledFrom([]func(string) []string{nil, CutParagraphs, CutLines}).Draw(t, "cut")
		d.Paraphrase = RuleParaphraser{Rewrite: reword}
		all, err := d.Solve(t.Context(), []Prompt{asking(user("q"))})
		if err != nil {
			t.Fatal(err)
		}
		got := &all[0]
		if !got.Released() || strings.Contains(got.Context, "qz") || strings.Contains(fmt.Sprint(d.Face.(*talker).requests()), "qz") {
			t.Fatalf("the face read %q", got.Context)
		}
		var written strings.Builder
		for _, s := range got.Steps {
			written.WriteString(s.Written)
		}
		if written.String() != got.Private() || got.Private() != chain.String() {
			t.Fatalf("steps %+v of %q", got.Steps, chain.String())
		}
		for line := range strings.FieldsFuncSeq(quoted(chain.String()), func(r rune) bool { return strings.ContainsRune("\n\r\v\f\u0085\u2028\u2029", r) }) {
			if !strings.HasPrefix(line, "> ") {
				t.Fatalf("the line %q of the notes is not marked", line)
			}
		}
	})
}

func TestCutProse(t *testing.T) {
	for _, tc := range []struct {
		text       string
		paragraphs []string
		lines      []string
	}{
		{"", nil, nil},
		{"a", []string{"a"}, []string{"a"}},
		{"\n\na\n", []string{"\n\na\n"}, []string{"\n\na\n"}},
		{"a\n b\n\n  c\n\n", []string{"a\n b\n\n", "  c\n\n"}, []string{"a\n", " b\n\n", "  c\n\n"}},
		{"a\r\n\r\nb", []string{"a\r\n\r\n", "b"}, []string{"a\r\n\r\n", "b"}},
		{" \n \n ", []string{" \n \n "}, []string{" \n \n "}},
	} {
		if got := CutParagraphs(tc.text); !slices.Equal(got, tc.paragraphs) {
			t.Errorf("paragraphs of %q: %q, want %q", tc.text, got, tc.paragraphs)
		}
		if got := CutLines(tc.text); !slices.Equal(got, tc.lines) {
			t.Errorf("lines of %q: %q, want %q", tc.text, got, tc.lines)
		}
	}
	d := talk(says(strings.Repeat("line\n", 2*maxSteps)), says("so"))
	d.Cut = CutLines
	got := dialogue(t, d, asking(user("q")))[0]
	if len(got.Steps) != maxSteps || got.Steps[maxSteps-1].Written != strings.Repeat("line\n", maxSteps+1) {
		t.Errorf("%d steps", len(got.Steps))
	}
}

// What monitors read of the arguments of a call has no escapes in it that a JSON parser would undo.
func FuzzUnescape(f *testing.F) {
	for _, s := range []string{`{"a":"\u0062"}`, `"\ud83d\ude00"`, `"\`, `"\x"`, "\\", `{"\"`, `"a\\"b"`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if utf8.ValidString(s) {
			if quoted, err := json.Marshal(s); err != nil || unescape(string(quoted)) != `"`+s+`"` {
				t.Errorf("%q reads %q: %v", s, unescape(string(quoted)), err)
			}
		}
		unescape(s)
		for _, cut := range []func(string) []string{CutLines, CutParagraphs} {
			if got := strings.Join(cut(s), ""); got != s {
				t.Errorf("%q was cut into %q", s, got)
			}
		}
	})
}
