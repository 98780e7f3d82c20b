package openai

import (
	"strings"
	"testing"
)

func TestSplitThoughts(t *testing.T) {
	for _, tc := range []struct {
		name, in string
		inside   bool
		want     split
	}{
		{"plain", "It is 4.", false, split{text: "It is 4."}},
		{"tags", "<think>2+2</think>4", false, split{thoughts: "2+2", text: "4", tagged: true}},
		{"white space in front", "\n <think>2+2</think>4", false, split{thoughts: "2+2", text: "\n 4", tagged: true}},
		{"a lone end", "2+2</think>4", false, split{thoughts: "2+2", text: "4", tagged: true}},
		{"begun in the prompt", "2+2</think>4", true, split{thoughts: "2+2", text: "4", tagged: true}},
		{"begun twice", "\n<think>2+2</think>4", true, split{thoughts: "2+2", text: "4", tagged: true}},
		{"not ended", "<think>2+2", false, split{thoughts: "2+2", tagged: true, unclosed: true}},
		{"begun in the prompt and not ended", "2+2", true, split{thoughts: "2+2", unclosed: true}},
		{"empty", "<think></think>4", false, split{text: "4", tagged: true}},
		{"behind text", "4<think>2+2</think>", false, split{thoughts: "2+2", text: "4", tagged: true, leaked: true}},
		{"twice", "<think>a</think>b<think>c</think>d", false, split{thoughts: "a\nc", text: "bd", tagged: true, leaked: true}},
		{"ended twice", "<think>a</think>b</think>c", false, split{thoughts: "a\nb", text: "c", tagged: true, leaked: true}},
		{"a beginning within", "<think>a<think>b</think>c", false, split{thoughts: "a<think>b", text: "c", tagged: true}},
		{"nothing", "", false, split{}},
		{"nothing, begun in the prompt", "", true, split{unclosed: true}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := splitThoughts(tc.in, "<think>", "</think>", tc.inside); got != tc.want {
				t.Errorf("%+v\nwant %+v", got, tc.want)
			}
		})
	}
}

// Whatever a model writes, nothing of it is lost or invented but letters of the marks, and a text without marks stays as it is.
func FuzzThoughts(f *testing.F) {
	f.Add("<think>a</think>b", false)
	f.Add("a</think>b<think>c</think></think><think>", true)
	f.Fuzz(func(t *testing.T, in string, inside bool) {
		const open, end = "<think>", "</think>"
		got := splitThoughts(in, open, end, inside)
		letters := func(s string) (n [256]int) {
			for i := range len(s) {
				n[s[i]]++
			}
			return n
		}
		have, before := letters(got.thoughts+got.text), letters(in)
		for b := range have {
			if mark := strings.IndexByte(open+end, byte(b)) >= 0; !mark && b > ' ' && have[b] != before[b] {
				t.Errorf("%q became %+v: byte %q is there %d times, was %d", in, got, byte(b), have[b], before[b])
			}
		}
		if !strings.Contains(in, open) && !strings.Contains(in, end) && (inside && got.thoughts != in || !inside && got.text != in) {
			t.Errorf("%q without marks became %+v", in, got)
		}
	})
}
