package dialect

import (
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

// Steps are written with "|" where the text is cut.
func TestProseSteps(t *testing.T) {
	for _, tc := range []struct{ name, want string }{
		{"sentences", "There are 3 apples. |She buys 4 more! |How many? |So 7."},
		{"one sentence", "So 7"},
		{"decimals", "Pi is 3.14 or so. |Half of it is 1.57."},
		{"abbreviations", "Take a metal, e.g. Copper, i.e. a conductor. |Dr. Smith et al. agree, cf. Fig. 3."},
		{"country", "The U.S. has 50 states. |In the U.S. |The flag has 50 stars."},
		{"etc", "Dogs, cats, etc. are animals. |Cars, boats, etc. |They are not."},
		{"number", "It is No. 5 on the list. |Is it 6? |No. |It is 5."},
		{"initials", "J. K. Rowling wrote it. |So it is B. |Then we stop."},
		{"letter ends a sentence", "The answer must be B. |Copper conducts."},
		{"ellipsis", "Hmm... |Let me see... maybe it is 3. |Well… |Next."},
		{"filler", " ... ... ..."},
		{"no blank", "So the sum is 7.|Then we double it.|So 14."},
		{"code names", "Call fmt.Println and Node.js here."},
		{"factorial", "5! = 120 and n! is large. |Great! |Done."},
		{"quote", "She said \"stop.\" |He did (at once.) |Fine."},
		{"bold", "**Step 1.** Add. |**It is 7.** |Good."},
		{"list", "Options:\n|1. Rome is old. |It is big.\n|2. Paris\n|- London is wet.\n|* Oslo\n|A. Bern\n|(B) Wien\n"},
		{"step labels", "Step 1. Add 3 and 4. |Step 2. Double it."},
		{"rule", "First.\n\n---\n\n|Second."},
		{"blank lines", "First line\n\n|second line\n|third"},
		{"blank in front", "\n\nOkay, so. |Yes."},
		{"inline latex", "We get $x = 3. Y$ here. |Then $y.$ |So."},
		{"prices", "It costs $5. |He pays $10. |She pays $3.50 each."},
		{"display latex", "We get\n|\\[\nx = 3.\nSo y\n\\]\n|Done."},
		{"environment", "\\begin{align}\na &= 1. \\\\\nB &= 2\n\\end{align}\n|Done."},
		{"brackets latex", "Since \\(a. B\\) holds. |Done."},
		{"boxed", "It is \\boxed{3. Four}. |Done."},
		{"fence", "Look:\n|```go\nx := 1. // So\n\ny := 2\n```\n\n|Done."},
		{"open fence", "Look:\n|```\nx = 1. So\n\ny"},
		{"inline code", "Use `a. B` here. |Done."},
		{"chinese", "一共有三个苹果。|所以答案是三。"},
		{"gsm8k", "Natalia sold 48/2 = <<48/2=24>>24 clips in May.\n|Altogether she sold 48+24 = <<48+24=72>>72 clips.\n"},
		{"r1", "Okay, so I need to find 12 * 3. |Wait, let me check: 12*3 = 36. |Hmm, that's right.\n\n|So 36."},
		{"time", "We meet at 5 p.m. and leave at 7 p.m. |Then we eat."},
		{"punctuation alone", "?! ..."},
	} {
		t.Run(tc.name, func(t *testing.T) {
			text := strings.ReplaceAll(tc.want, "|", "")
			if got := strings.Join(splitProse(text), "|"); got != tc.want {
				t.Errorf("\n got %q\nwant %q", got, tc.want)
			}
		})
	}
}

// drawProse draws a text of pieces that mean something to the reader, the splitter or an edit.
func drawProse(t *rapid.T) string {
	pieces := []string{
		"so ", "Then ", "we get ", "3 apples", "3.14", "3 + 4 = 7", ". ", ".", "! ", "? ", "...", " ", "\n", "\n\n", "1. ", "- ", "(B)",
		"e.g. ", "U.S.", "$x = 2$", "$5", "\\[ y. Z \\]", "\\(", "\\boxed{7}", "`a. b`", "```\n", "```", "\"It is 3\"", "“so”", "Answer: ", "The answer is ",
		"is not ", "greater than ", "because ", "don't ", "true", "option C ", "**", "B", "No", "%", "，", "。", "ÄÖ", "\xff", "#### ", "{\"answer\": 3}",
		"</think>", "therefore ", "There are five pears", "The box is big", "twelve", "x_2", "10:30", "-4",
	}
	return strings.Join(rapid.SliceOfN(rapid.SampledFrom(pieces), 0, 40).Draw(t, "pieces"), "")
}

func joined(t interface{ Fatalf(string, ...any) }, text string) {
	steps := splitProse(text)
	if strings.TrimSpace(text) == "" {
		if len(steps) > 0 {
			t.Fatalf("%q has no steps, got %q", text, steps)
		}
		return
	}
	if got := strings.Join(steps, ""); got != text {
		t.Fatalf("%q became %q", text, got)
	}
	for _, s := range steps {
		if s == "" || utf8.ValidString(text) && !utf8.ValidString(s) {
			t.Fatalf("%q has the step %q", text, s)
		}
	}
}

func TestProseStepsJoinToTheText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { joined(t, drawProse(t)) })
	rapid.Check(t, func(t *rapid.T) { joined(t, rapid.String().Draw(t, "text")) })
}

func FuzzProseSteps(f *testing.F) {
	for _, s := range []string{"", "A. b", "```\nx", "$$", "\\[\\]", "1.\n2.", "\xff. A", "...?!", "a.\u2028B"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) { joined(t, text) })
}
