package page

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"

	"candor/reasoning/compose"
	"candor/reasoning/monitor"
	"candor/serve/record"
)

// mark up pieces: [marked], {code}, and ^n for a reference.
func flat(list []piece) string {
	var b strings.Builder
	for _, p := range list {
		text := p.Text
		if p.Code {
			text = "{" + text + "}"
		}
		if p.Marked {
			text = "[" + text + "]"
		}
		b.WriteString(text)
		for _, r := range p.Refs {
			fmt.Fprintf(&b, "^%d", r.N)
		}
	}
	return b.String()
}

func TestPieces(t *testing.T) {
	for _, tc := range []struct {
		text  string
		spans [][2]int
		want  string
	}{
		{"", nil, ""},
		{"plain\ttext\n", nil, "plain\ttext\n"},
		{"a\u202eb\u200b\x00c\xff\r\nd\ue000", nil, "a{⟨U+202E⟩}b{⟨U+200B⟩⟨U+0000⟩}c{⟨byte FF⟩⟨U+000D⟩}\nd{⟨U+E000⟩}"},
		{"the total is 17", [][2]int{{4, 9}}, "the [total]^1 is 17"},
		{"the total is 17", [][2]int{{0, 9}, {4, 15}}, "[the ][total]^1[ is 17]^2"},
		{"the total", [][2]int{{0, 9}, {0, 9}}, "[the total]^1^2"},
		{"the total", [][2]int{{-5, 3}, {4, 99}}, "[the]^1 [total]^2"},
		{"the total", [][2]int{{4, 2}, {10, 12}, {-3, -1}}, "the total"},
		{"the total", [][2]int{{0, 0}, {3, 3}, {9, 9}}, "^1the^2 total^3"},
		{"", [][2]int{{0, 0}}, "^1"},
		{"süß", [][2]int{{2, 3}}, "s[ü]^1ß"}, // in the middle of ü
		{"süß", [][2]int{{1, 2}}, "s[ü]^1ß"},
		{"a😀b", [][2]int{{2, 4}}, "a[😀]^1b"},
		{"\xf0\x9f\x98", [][2]int{{1, 2}}, "{⟨byte F0⟩}[{⟨byte 9F⟩}]^1{⟨byte 98⟩}"},
		{"a\u202eb", [][2]int{{1, 4}}, "a[{⟨U+202E⟩}]^1b"},
	} {
		var marks []mark
		for i, s := range tc.spans {
			if m, ok := newMark(tc.text, s[0], s[1]); ok {
				m.ref.N = i + 1
				marks = append(marks, m)
			}
		}
		if got := flat(pieces(tc.text, 0, marks, "")); got != tc.want {
			t.Errorf("%q with %v is %s, want %s", tc.text, tc.spans, got, tc.want)
		}
	}
}

// However a text is cut into steps and wherever monitors point, nothing is lost, nothing invisible is left, each place is named once,
// and what is marked is what was pointed at.
func TestPiecesKeepEverything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(rapid.String(), rapid.StringMatching(`[a\x{202e}ü😀 ]{0,30}`), rapid.Map(rapid.SliceOfN(rapid.Byte(), 0, 40), func(b []byte) string { return string(b) })).Draw(t, "text")
		var marks []mark
		pointed := make([]bool, len(text))
		for i, s := range rapid.SliceOfN(rapid.SliceOfN(rapid.IntRange(-3, len(text)+3), 2, 2), 0, 5).Draw(t, "spans") {
			if m, ok := newMark(text, s[0], s[1]); ok {
				m.ref.N = i
				marks = append(marks, m)
				for at := m.start; at < m.end; at++ {
					pointed[at] = true
				}
				if m.start > max(s[0], 0) || m.end < min(s[1], len(text)) || m.start > m.end {
					t.Fatalf("span %v became %+v", s, m)
				}
			}
		}
		cut := rapid.IntRange(0, len(text)).Draw(t, "cut")
		for cut < len(text) && !utf8.RuneStart(text[cut]) {
			cut++
		}
		list := append(pieces(text[:cut], 0, marks, ""), pieces(text[cut:], cut, marks, "")...)
		if cut == 0 { // an empty step before the first says what points there
			list = pieces(text, 0, marks, "")
		}
		named := map[int]int{}
		var plain, marked, want strings.Builder
		for _, p := range list {
			plain.WriteString(p.Text)
			if p.Marked {
				marked.WriteString(p.Text)
			}
			if !p.Code && strings.ContainsFunc(p.Text, hidden) || !utf8.ValidString(p.Text) {
				t.Fatalf("%q is not safe", p.Text)
			}
			for _, r := range p.Refs {
				named[r.N]++
			}
		}
		for i := 0; i < len(text); {
			_, n := utf8.DecodeRuneInString(text[i:])
			if pointed[i] {
				want.WriteString(flatText(text[i : i+n]))
			}
			i += n
		}
		if plain.String() != flatText(text) || marked.String() != want.String() {
			t.Fatalf("%q is shown as %q with %q marked, want %q", text, plain.String(), marked.String(), want.String())
		}
		for _, m := range marks {
			if named[m.ref.N] != 1 {
				t.Fatalf("place %d is named %d times", m.ref.N, named[m.ref.N])
			}
		}
	})
}

// flatText is a text with what has no glyph spelled out, by another way than the page's.
func flatText(text string) string {
	var b strings.Builder
	for i, r := range text {
		switch {
		case r == utf8.RuneError && text[i] != 0xef:
			fmt.Fprintf(&b, "⟨byte %02X⟩", text[i])
		case r == utf8.RuneError && !strings.HasPrefix(text[i:], "\uFFFD"):
			fmt.Fprintf(&b, "⟨byte %02X⟩", text[i])
		case hidden(r):
			fmt.Fprintf(&b, "⟨U+%04X⟩", r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

func TestClip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text, most := rapid.String().Draw(t, "text"), rapid.IntRange(0, 60).Draw(t, "most")
		size, cost := clip(text, most)
		if cost > most || !utf8.ValidString(text[:size]) || size < len(text) && cost < most {
			t.Fatalf("%d characters of %q: %d bytes that cost %d", most, text, size, cost)
		}
		if n := utf8.RuneCountInString(flatText(text[:size])); n > 2*most {
			t.Fatalf("%d characters at most became %d", most, n)
		}
	})
}

func TestCompare(t *testing.T) {
	show := func(a, b string, cells int) string {
		var out strings.Builder
		for _, e := range compare(a, b, &cells) {
			switch e.op {
			case "del":
				out.WriteString("-" + a[e.a0:e.a1] + "-")
			case "ins":
				out.WriteString("+" + b[e.b0:e.b1] + "+")
			default:
				out.WriteString(b[e.b0:e.b1])
			}
		}
		return out.String()
	}
	for _, tc := range []struct{ a, b, want string }{
		{"", "", ""},
		{"same words", "same words", "same words"},
		{"", "new words", "+new words+"},
		{"old words", "", "-old words-"},
		{"Tom gets 3 more", "Tom makes 3 more", "Tom -gets-+makes+ 3 more"},
		{"one two", "uno due", "-one two-+uno due+"},
		{"a b c", "a c", "a -b -c"},
		{"a c", "a b c", "a +b +c"},
	} {
		if got := show(tc.a, tc.b, maxCells); got != tc.want {
			t.Errorf("%q to %q is %q, want %q", tc.a, tc.b, got, tc.want)
		}
	}
	if got := show("x a b y", "x c d y", 2); got != "x -a b-+c d+ y" {
		t.Errorf("without room to compare: %q", got)
	}
	rapid.Check(t, func(t *rapid.T) {
		word := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "c", " ", "  ", "\n", "ü"}), 0, 20)
		a, b := strings.Join(word.Draw(t, "a"), ""), strings.Join(word.Draw(t, "b"), "")
		cells := rapid.IntRange(0, 500).Draw(t, "cells")
		var back, forth strings.Builder
		for _, e := range compare(a, b, &cells) {
			if e.op != "ins" {
				back.WriteString(a[e.a0:e.a1])
			}
			if e.op != "del" {
				forth.WriteString(b[e.b0:e.b1])
			}
			if e.op == "" && a[e.a0:e.a1] != b[e.b0:e.b1] {
				t.Fatal("what is kept is not the same")
			}
		}
		if back.String() != a || forth.String() != b || cells < 0 {
			t.Fatalf("%q to %q gives %q and %q, %d cells left", a, b, back.String(), forth.String(), cells)
		}
	})
}

func TestSpansPointIntoTheTextThatTheGateReads(t *testing.T) {
	try := &record.Try{Private: "private", Shown: "shown", Output: "output"}
	for _, tc := range []struct {
		sees compose.Part
		of   monitor.Text
		want string
	}{
		{compose.SeesPrivate, monitor.InChain, "priv"}, {compose.SeesShown, monitor.InChain, "show"}, {compose.SeesOutput, monitor.InChain, ""},
		{compose.SeesPrivate, monitor.InAnswer, "outp"}, {compose.SeesOutput, monitor.InPrompt, ""}, {"other", "other", ""},
	} {
		g := gate{Verdict: compose.Verdict{Sees: tc.sees}}
		var m spotted
		n := g.spot(&m, try, &monitor.Finding{Spans: []monitor.Span{{Of: tc.of, Start: 0, End: 4}}}, "s0", 0)
		if len(g.Spans) != 1 || n != 1 || g.Spans[0].Quote != tc.want || g.Spans[0].Seen != (tc.want != "") || len(m.private)+len(m.shown)+len(m.output) != map[bool]int{true: 1}[tc.want != ""] {
			t.Errorf("%s of %s: %+v", tc.of, tc.sees, g.Spans)
		}
	}
	var g gate
	if n := g.spot(&spotted{}, try, &monitor.Finding{Spans: make([]monitor.Span, maxSpans+5)}, "s0", 3); n != maxSpans || g.More != 8 {
		t.Errorf("%d spans are listed, %d left out", n, g.More)
	}
}

// Steps that do not join to the chain, and chains that go on behind them, lose nothing.
func TestSteps(t *testing.T) {
	build := func(try *record.Try, spans ...monitor.Span) stage {
		v := &view{id: "t", left: maxPage, cells: maxCompare}
		in := record.StageOf{Stage: record.Stage{Verdicts: []compose.Verdict{{Sees: compose.SeesPrivate}}}, Try: try}
		try.Findings = []monitor.Finding{{Spans: spans}}
		return v.stage(0, &in)
	}
	s := build(&record.Try{Private: "one two end", Shown: "uno two end", Steps: []record.Step{{Written: "one", Rewritten: "uno"}, {Written: " two", Rewritten: " two"}}},
		monitor.Span{Of: monitor.InChain, Start: 1, End: 9})
	if len(s.Steps) != 3 || s.Same || flat(s.Steps[0].Written)+"|"+flat(s.Steps[1].Written)+"|"+flat(s.Steps[2].Written) != "o[ne]|[ two]|[ e]^1nd" || flat(s.Steps[0].After) != "oneuno" {
		t.Errorf("steps are %+v", s.Steps)
	}
	s = build(&record.Try{Private: "something else", Shown: "shown", Steps: []record.Step{{Written: "one", Rewritten: ""}}}, monitor.Span{Of: monitor.InChain, Start: 0, End: 4})
	if len(s.Steps) != 1 || !s.Steps[0].Left || flat(s.Private.Pieces) != "[some]^1thing else" || flat(s.Shown.Pieces) != "shown" {
		t.Errorf("a chain of other texts is %+v", s)
	}
	s = build(&record.Try{Private: strings.Repeat("x", 400), Shown: strings.Repeat("x", 400), Steps: slices.Repeat([]record.Step{{Written: "x", Rewritten: "x"}}, 400)})
	if len(s.Steps) != maxSteps || s.More != 100 || !s.Same || s.Private.All != "/traces/t/text/stages/0/private" {
		t.Errorf("a long chain has %d steps and %d more, all at %q", len(s.Steps), s.More, s.Private.All)
	}
}

func TestFormats(t *testing.T) {
	for d, want := range map[time.Duration]string{0: "0", 1500: "1.50 µs", 12 * time.Millisecond: "12.0 ms", 3420 * time.Millisecond: "3.42 s", 125 * time.Second: "2 min 5 s", 26 * time.Hour: "26 h 0 min", 72 * time.Hour: "3 days", -time.Second: "-1.00 s"} {
		if got := took(d); got != want {
			t.Errorf("%d is %q, want %q", d, got, want)
		}
	}
	for v, want := range map[compose.Verdict]string{{State: compose.Pass}: "pass", {State: compose.Block, Advisory: true}: "block, advisory", {State: compose.NotRun, Off: true}: "off", {State: compose.Failed, Advisory: true}: "error"} {
		if got := stateWords(v); got != want {
			t.Errorf("%+v is %q, want %q", v, got, want)
		}
	}
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", -1234567: "-1,234,567"} {
		if got := count(n); got != want {
			t.Errorf("%d is %q, want %q", n, got, want)
		}
	}
	for n, want := range map[int]int{0: 1, 1: 1, 3: 5, 62: 100, 1001: 2000} {
		if got := roundUp(n); got != want {
			t.Errorf("the axis for %d ends at %d, want %d", n, got, want)
		}
	}
	if got := line("a\u202e b\r\nc" + strings.Repeat("x", 1000)); !strings.HasPrefix(got, "a⟨U+202E⟩ b cxxx") || !strings.HasSuffix(got, "x…") || utf8.RuneCountInString(got) > maxLine+1 {
		t.Errorf("a line is %q", got)
	}
}
