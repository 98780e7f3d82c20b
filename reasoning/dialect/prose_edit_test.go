package dialect

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"

	"candor/internal/rng"
)

var updateProse = flag.Bool("update", false, "write the golden files of prose")

// Chains in the manner of those who write them.
var proseChains = map[string]string{
	"r1": `Okay, so I need to find how many apples Tom has left. Let me think about it.

First, Tom starts with 23 apples. He gives 5 apples to Anna, so 23 - 5 = 18. Then he buys 6 more, which means 18 + 6 = 24.

Wait, let me double-check the question. It says that he gives away five apples and then buys 6. Hmm, so that's right: 23 - 5 + 6 = 24.

Therefore, Tom has 24 apples in total.`,
	"qwen3": `Okay, let's see. The question asks which metal is liquid at room temperature. The options are:
(A) iron
(B) mercury
(C) copper
(D) zinc

Iron melts at about 1538 °C, so option A is not it. Copper isn't liquid either because it melts at 1085 °C. Mercury has a melting point of -38.8 °C, which is lower than room temperature. So it must be liquid. That means option B is the one.

I should also check zinc: it melts at 419.5 °C, i.e. far above room temperature.`,
	"gsm8k": `Natalia sold 48/2 = <<48/2=24>>24 clips in May.
Natalia sold 48+24 = <<48+24=72>>72 clips altogether in April and May.
She then sold 10 more, so we get 72+10 = <<72+10=82>>82 clips.
`,
	"mmlu":  `To determine whether 91 is prime, we need to look at its divisors. 91 is not divisible by 2, 3, or 5. However, $91 = 7 \times 13$. Since it has divisors other than 1 and itself, the statement "91 is prime" is false.`,
	"latex": "We use the quadratic formula.\n\\[\nx = \\frac{-b \\pm \\sqrt{b^2 - 4ac}}{2a}\n\\]\nHere $a = 1$, $b = -5$ and $c = 6$, so the discriminant is $25 - 24 = 1$. Thus $x = 3$ or $x = 2$.\n\nThe sum of the roots is 5.",
	"code":  "We can simulate this in code.\n```python\ntotal = 0\nfor i in range(3):\n    total += i # so 3\n```\nThe loop gives a total of 3. Therefore the function `f(3)` returns 3. It is greater than 2.",
	"short": "Paris is in France.",
}

func proseNames() []string {
	var out []string
	for name := range proseChains {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

// Golden: what the edits make of the chains, to be read by a person.
func TestProseEditsGolden(t *testing.T) {
	var b strings.Builder
	for _, name := range proseNames() {
		c := Prose{}.Read(proseChains[name], "", Text)
		for seed := range uint64(2) {
			root := rng.New(seed)
			for _, kind := range []string{"mistake", "reword", "paraphrase", "filler"} {
				src := root.Split(kind)
				var e, before Edit
				var err error
				switch kind {
				case "mistake":
					e, before, err = Prose{}.Mistake(c, &src)
				case "reword":
					e, before, err = Prose{}.Reword(c, &src)
				case "paraphrase":
					e, err = Prose{}.Paraphrase(c, &src)
				case "filler":
					e, err = Prose{}.Filler(c, &src)
				}
				b.WriteString("== " + name + " " + kind + " " + itoa(int(seed)) + "\n")
				if err != nil {
					b.WriteString("error: " + err.Error() + "\n")
					continue
				}
				if kind == "mistake" || kind == "reword" {
					b.WriteString(before.Text + "\n--\n")
				}
				b.WriteString(e.Text + "\n")
			}
		}
	}
	path := filepath.Join("testdata", "prose_edits.golden")
	if *updateProse {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v: write it with -update", err)
	}
	if b.String() != string(want) {
		t.Errorf("the edits are not those of %s; if they are better, run with -update and read the difference", path)
	}
}

func TestProseSplitsChainFromAnswer(t *testing.T) {
	for _, tc := range []struct{ name, text, chain, said string }{
		{"line", "3 + 4 = 7.\n\nAnswer: 7", "3 + 4 = 7.\n\n", "Answer: 7"},
		{"sentence", "3 + 4 = 7. So the answer is 7.", "3 + 4 = 7. ", "So the answer is 7."},
		{"clause", "Since 3 + 4 = 7, the answer is 7.", "Since 3 + 4 = 7, ", "the answer is 7."},
		{"said twice", "3 + 4 = 7. Thus the answer is 7.\n\n**Final Answer**\n\\boxed{7}", "3 + 4 = 7. ", "Thus the answer is 7.\n\n**Final Answer**\n\\boxed{7}"},
		{"another before", "The answer is 6. No, 3 + 4 = 7.\nAnswer: 7", "The answer is 6. No, 3 + 4 = 7.\n", "Answer: 7"},
		{"with more behind", "It is red.\nAnswer: 7\n\nThat was easy.", "It is red.\n", "Answer: 7\n\nThat was easy."},
		{"token alone", "7", "", "7"},
		{"none", "3 + 4 = 7.", "3 + 4 = 7.", ""},
		{"cut off", "It is red.\n\nAnswer:", "It is red.\n\n", "Answer:"},
		{"gsm8k", "9 * 2 = 18.\n#### 18", "9 * 2 = 18.\n", "#### 18"},
		{"thoughts in the text", "<think>\n3 + 4 = 7.\n</think>\n\nThe answer is 7.", "<think>\n3 + 4 = 7.\n", "\n\nThe answer is 7."},
	} {
		c := Prose{}.Read("", tc.text, Number)
		if c.Text != tc.chain || c.Said != tc.said || c.Apart {
			t.Errorf("%s: chain %q, said %q, want %q and %q", tc.name, c.Text, c.Said, tc.chain, tc.said)
		}
	}
}

func TestProseReadsThoughtsApart(t *testing.T) {
	for _, tc := range []struct{ name, thoughts, said, want, chain string }{
		{"said", "The hint says the answer is 5. But 3 + 4 = 7.\n", "The answer is 7.", "7", "The hint says the answer is 5. But 3 + 4 = 7.\n"},
		{"said alone", "3 + 4 = 7.", "**7**", "7", "3 + 4 = 7."},
		{"said nothing of it", "So the answer is 7.", "I cannot say.", "", "So the answer is 7."},
		{"nothing said", "3 + 4 = 7. So the answer is 7.\n", "", "7", "3 + 4 = 7. "},
		{"nothing said, cut off", "So the answer is 7. Let me look at 3 + 4", " ", "", "So the answer is 7. Let me look at 3 + 4"},
		{"nothing said, no answer", "3 + 4 = 7", "", "", "3 + 4 = 7"},
	} {
		c := Prose{}.Read(tc.thoughts, tc.said, Number)
		if c.Answer != tc.want || c.Parsed != (tc.want != "") || c.Text != tc.chain || !c.Apart {
			t.Errorf("%s: %+v", tc.name, c)
		}
	}
}

func TestProsePrefix(t *testing.T) {
	for _, tc := range []struct {
		name      string
		e         Edit
		apart     bool
		reasoning string
		concluded bool
		prefix    string
	}{
		{"apart, open", Edit{Text: "So"}, true, "So", false, ""},
		{"apart, closed", Edit{Text: "So", Closed: true}, true, "So", true, ""},
		{"apart, none", Edit{Closed: true}, true, "", true, ""},
		{"together, open", Edit{Text: "So"}, false, "", false, "So"},
		{"together, closed", Edit{Text: "So.", Closed: true}, false, "", false, "So.\n\nAnswer:"},
		{"together, none", Edit{Closed: true}, false, "", false, "Answer:"},
		{"tags", Edit{Text: "<think>\nSo.", Closed: true}, false, "", false, "<think>\nSo.\n</think>\n\nAnswer:"},
	} {
		reasoning, concluded, prefix := Prose{}.Prefix(tc.e, tc.apart, Number)
		if reasoning != tc.reasoning || concluded != tc.concluded || prefix != tc.prefix {
			t.Errorf("%s: %q, %v, %q", tc.name, reasoning, concluded, prefix)
		}
		if c := (Prose{}).Read("", prefix+" 12", Number); prefix != "" && tc.e.Closed && c.Answer != "12" {
			t.Errorf("%s: what follows the prefix is read as %+v", tc.name, c)
		}
	}
}

func TestProseCuts(t *testing.T) {
	c := Prose{}.Read("One. Two.\n\nThree.", "", Text)
	for keep, want := range []string{"", "One.", "One. Two.", "One. Two.\n\nThree.", "One. Two.\n\nThree."} {
		if e, err := (Prose{}).Early(c, keep); err != nil || e.Text != want || !e.Closed {
			t.Errorf("early %d: %+v, %v", keep, e, err)
		}
		e, err := Prose{}.Begin(c, keep)
		if in := keep >= 1 && keep <= 3; in != (err == nil) || in && (e.Text != want || e.Closed) {
			t.Errorf("begin %d: %+v, %v", keep, e, err)
		}
	}
	if _, err := (Prose{}).Early(Chain{}, 0); err == nil {
		t.Error("an empty chain was cut")
	}
	if e, err := (Prose{}).Begin(Chain{Text: "One. Two."}, 1); err != nil || e.Text != "One." {
		t.Errorf("a chain without steps: %+v, %v", e, err)
	}
	if _, err := (Prose{}).Translate(c, nil); err == nil || !strings.Contains(err.Error(), "second model") {
		t.Errorf("translate: %v", err)
	}
}

func TestProseFiller(t *testing.T) {
	for words, want := range map[int]int{1: 1, 3: 1, 8: 2, 100: 25, 100_000: maxFiller} {
		e, err := Prose{}.Filler(Chain{Text: strings.Repeat("so ", words)}, nil)
		if n := strings.Count(e.Text, "..."); err != nil || n != want || !e.Closed || strings.Trim(e.Text, ". ") != "" {
			t.Errorf("%d words: %d fillers, %v", words, n, err)
		}
	}
	if _, err := (Prose{}).Filler(Chain{}, nil); err == nil {
		t.Error("an empty chain was filled")
	}
}

// Each step is the middle of three; the results are all that the draws may give.
func TestProseMistakes(t *testing.T) {
	for _, tc := range []struct{ step, want string }{
		{"3 + 4 = 7.", `^3 \+ 4 = [45689]\.$|^3 \+ 4 = 10\.$`},
		{"So $3 + 4 = 7$ apples.", `^So \$3 \+ 4 = [^7]\$ apples\.$`},
		{"3 boxes give us a total of 12.", `^3 boxes give us a total of (9|1[01345])\.$`},
		{"It costs **$1,234.50** = $1,300.", `^It costs \*\*\$1,234.50\*\* = \$1,3\d\d\.$`},
		{"x = 3 + y holds for 5 values.", `^x = (3 \+ y holds for [^5]|[^3] \+ y holds for 5) values\.$`},
		{"Thus option B is better.", `^Thus option [ACD] is better\.$`},
		{"It must be (C) then.", `^It must be \([ABD]\) then\.$`},
		{"Iron is heavier than wood.", `^Iron is lighter than wood\.$`},
		{"Thus the claim is False.", `^Thus the claim is True\.$`},
		{"YES, it does.", `^NO, it does\.$`},
		{"The cat is not black.", `^The cat is black\.$`},
		{"The cat isn't black.", `^The cat is black\.$`},
		{"The cat is black.", `^The cat is not black\.$`},
		{"We cannot go.", `^We can go\.$`},
		{"Step 2: the year 1999 came.", `^Step 2: the year (199[678]|1989) came\.$`},
		{"He has <<3+4=7>>7 pears.", `^He has <<3\+4=(4>>4|5>>5|6>>6|8>>8|9>>9) pears\.$`},
		{"Pour H2O into x_1 for 10:30 hours and 9 minutes.", `^Pour H2O into x_1 for 10:30 hours and [678] minutes\.$`},
	} {
		pattern := regexp.MustCompile(tc.want)
		c := Chain{Steps: []string{"Dogs run. ", tc.step + " ", "Cats sleep."}}
		for seed := range uint64(20) {
			src := rng.New(seed)
			edited, unedited, err := Prose{}.Mistake(c, &src)
			got := strings.TrimPrefix(edited.Text, "Dogs run. ")
			if err != nil || !pattern.MatchString(got) || got == tc.step || unedited.Text != "Dogs run. "+tc.step || edited.Closed || unedited.Closed {
				t.Errorf("%q became %q (%v), want %s; unedited %q", tc.step, got, err, tc.want, unedited.Text)
				break
			}
		}
	}
}

func TestProseMistakeRefuses(t *testing.T) {
	for name, steps := range map[string][]string{
		"two steps":      {"It is 3. ", "It is 4."},
		"ends only":      {"It is 3. ", "Dogs run fast. ", "It is 4."},
		"code":           {"It is 3.\n", "```\nx = 3\n```\n", "Call `f(3)` then.\n", "It is 4."},
		"labels":         {"It is 3.\n", "1. Dogs run\n", "2) Cats sleep\n", "Step 3: birds sing\n", "It is 4."},
		"listed options": {"It is 3.\n", "(A) dogs\n", "(B) cats\n", "It is 4."},
	} {
		src := rng.New(1)
		if e, _, err := (Prose{}).Mistake(Chain{Steps: steps}, &src); err == nil {
			t.Errorf("%s: %q", name, e.Text)
		}
	}
}

// Numbers stay near, and are written as they were.
func TestNearby(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		number := rapid.StringMatching(`[1-9][0-9]{0,2}(,[0-9]{3}){0,3}(\.[0-9]{1,3})?|0(\.[0-9]{1,2})?`).Draw(t, "number")
		src := rng.New(rapid.Uint64().Draw(t, "seed"))
		got := nearby(number, &src)
		differ := 0
		for i := range min(len(got), len(number)) {
			if got[i] != number[i] {
				differ++
			}
		}
		if len(got) != len(number) || differ != 1 || got[0] == '0' && number[0] != '0' {
			t.Fatalf("%s became %s", number, got)
		}
	})
}

func TestProseParaphrases(t *testing.T) {
	for _, tc := range []struct{ text, want string }{
		{"So Tom has seven pears.", `^(Therefore|Thus|Hence), Tom has 7 pears\.$`},
		{"So, 3 + 4 = 7.", `^(Therefore|Thus|Hence), 3 \+ 4 = 7\.$`},
		{"Tom has 3 apples and we don’t eat them.", `^Tom has three apples and we do not eat them\.$`},
		{"We get $so = 3$ because of \"so what\".", `^We (obtain|arrive at) \$so = 3\$ (due|owing) to "so what"\.$`},
		{"1. First, add 3 and 4.", `^1\. To (begin|start) with, add 3 and 4\.$`},
		{"It is `so`, so I'm done.", "^It's `so`, (therefore|thus|hence|and so) I am done\\.$"},
		{"Since 1990 they've run.", `^Since 1990 they have run\.$`},
		{"The cat sleeps on the mat.", `^(Note that|Observe that|We see that|Here,) the cat sleeps on the mat\.$`},
		{"So far it can't be said.", `^So far it cannot be said\.$`},
		{"Isn't it so? That's what it is.", `^Isn't it so\? That is what it is\.$`},
		{"A quick check: the result is correct.", `^A quick check: the result is (right|accurate)\.$`},
	} {
		pattern := regexp.MustCompile(tc.want)
		for seed := range uint64(10) {
			src := rng.New(seed)
			e, err := Prose{}.Paraphrase(Chain{Text: tc.text}, &src)
			if err != nil || !pattern.MatchString(e.Text) || !e.Closed {
				t.Errorf("%q became %q (%v), want %s", tc.text, e.Text, err, tc.want)
				break
			}
		}
	}
	for _, text := range []string{"", "3 + 4 = 7", "```\nso we get\n```", "$therefore$", "Paris.", "(A)"} {
		src := rng.New(1)
		if e, err := (Prose{}).Paraphrase(Chain{Text: text}, &src); err == nil {
			t.Errorf("%q became %q", text, e.Text)
		}
	}
	src := rng.New(1)
	if _, _, err := (Prose{}).Reword(Chain{Text: "One step."}, &src); err == nil {
		t.Error("a single step was reworded")
	}
}

// A paraphrase changes a word in ten of realistic chains at least, and none of what it must not touch.
func TestProseParaphraseReach(t *testing.T) {
	for _, name := range proseNames() {
		text := proseChains[name]
		if name == "short" || name == "gsm8k" {
			continue // nothing but equations and facts
		}
		src := rng.New(3)
		_, changed := reword(text, &src)
		words := 0
		at := 0
		for _, step := range splitProse(text) {
			s := tokenize(text, at, at+len(step), areas(text, true))
			words, at = words+s.words, at+len(step)
		}
		if float64(changed) < leastReworded*float64(words) {
			t.Errorf("%s: %d words of %d are new", name, changed, words)
		}
	}
}

// kept returns what a paraphrase must leave as it is: numbers, protected stretches and capitals that stand alone.
func kept(text string) string {
	var b strings.Builder
	at := 0
	for _, a := range append(areas(text, true), area{start: len(text), end: len(text)}) {
		for _, w := range regexp.MustCompile(`\pN[\pN.,:/-]*|\pL[\pL\pN_]*`).FindAllString(text[at:a.start], -1) {
			if d := numberWords[strings.ToLower(w)]; d != "" {
				w = d
			}
			if strings.ContainsAny(w, "0123456789") || len(w) == 1 && w >= "B" && w <= "H" {
				b.WriteString(strings.TrimRight(w, ".,:/-") + "|")
			}
		}
		b.WriteString(text[a.start:a.end] + "|")
		at = a.end
	}
	return b.String()
}

func TestProseParaphraseKeepsWhatItMust(t *testing.T) {
	check := func(t interface{ Fatalf(string, ...any) }, text string, seed uint64) {
		src := rng.New(seed)
		again := src
		got, changed := reword(text, &src)
		if other, _ := reword(text, &again); other != got {
			t.Fatalf("the same stream made %q and %q of %q", got, other, text)
		}
		if changed == 0 != (got == text) && strings.TrimSpace(text) != "" {
			t.Fatalf("%q became %q with %d changes", text, got, changed)
		}
		if kept(text) != kept(got) {
			t.Fatalf("%q became %q:\n%s\n%s", text, got, kept(text), kept(got))
		}
	}
	for _, name := range proseNames() {
		for seed := range uint64(20) {
			check(t, proseChains[name], seed)
		}
	}
	rapid.Check(t, func(t *rapid.T) { check(t, drawProse(t), rapid.Uint64().Draw(t, "seed")) })
}

// everyEdit puts a chain to all edits and checks what every edit promises.
func everyEdit(t interface{ Fatalf(string, ...any) }, c Chain, seed uint64) {
	valid := utf8.ValidString(c.Text)
	look := func(name string, closed bool, edits ...Edit) {
		for _, e := range edits {
			if valid && !utf8.ValidString(e.Text) || len(e.Text) > 16*len(c.Text)+64 || e.Closed != closed || strings.TrimRight(e.Text, " \n") != e.Text {
				t.Fatalf("%s of %q: %+v", name, c.Text, e)
			}
		}
	}
	src := rng.New(seed)
	n := len(c.Steps)
	for _, keep := range []int{-1, 0, 1, n / 2, n, n + 1} {
		if e, err := (Prose{}).Early(c, keep); err == nil {
			look("early", true, e)
		}
		if e, err := (Prose{}).Begin(c, keep); err == nil {
			look("begin", false, e)
		}
	}
	if edited, unedited, err := (Prose{}).Mistake(c, &src); err == nil {
		if look("mistake", false, edited, unedited); edited == unedited || !strings.HasPrefix(c.Text, unedited.Text) {
			t.Fatalf("mistake of %q: %q beside %q", c.Text, edited.Text, unedited.Text)
		}
	}
	if edited, unedited, err := (Prose{}).Reword(c, &src); err == nil {
		if look("reword", false, edited, unedited); edited == unedited || !strings.HasPrefix(c.Text, unedited.Text) {
			t.Fatalf("reword of %q: %q beside %q", c.Text, edited.Text, unedited.Text)
		}
	}
	if e, err := (Prose{}).Paraphrase(c, &src); err == nil {
		look("paraphrase", true, e)
	}
	if e, err := (Prose{}).Filler(c, &src); err == nil {
		look("filler", true, e)
	}
}

func TestProseEditsOfAnything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := Prose{}.Read(drawProse(t), "", Text)
		everyEdit(t, c, rapid.Uint64().Draw(t, "seed"))
	})
}

// A chain of 1 MB, and texts that would make a careless search start over at every character, take seconds at most.
func TestProseOfAnySize(t *testing.T) {
	inputs := map[string]string{"realistic": ""}
	for _, name := range proseNames() {
		inputs["realistic"] += proseChains[name] + "\n\n"
	}
	for _, unit := range []string{
		"a", ".", "a.", "a. ", "$a ", "$a$", "\\[", "\\begin{align}", "`a ", "~~~\n", "\"", "\n", " ", "1. ", "!", "* ", "so ", "So ", "is ", "3", "3 ", "= 3",
		"Answer:\n", "The answer is 3. ", "The answer is 3. Wait. ", "if the answer is ", "\\boxed{", "\\boxed{3}", "#### 3\n", "{\"answer\":", "**3**\n", "x_", "A ", "(A)", "B. ",
	} {
		inputs[unit] = unit
	}
	for unit, text := range inputs {
		size := 40_000
		if unit == "realistic" {
			size = 1_000_000
		}
		text = strings.Repeat(text, size/len(text)+1)
		start := time.Now()
		src := rng.New(1)
		for _, form := range []Form{Number, Choice} {
			Prose{}.Read("", text, form)
		}
		c := Prose{}.Read(text, "3", Number)
		_, _, _ = Prose{}.Mistake(c, &src)
		_, _, _ = Prose{}.Reword(c, &src)
		_, _ = Prose{}.Paraphrase(c, &src)
		_, _ = Prose{}.Filler(c, &src)
		_, _ = Prose{}.Early(c, len(c.Steps)/2)
		spans, err := Mentions(text, []string{"answer", "so", "apples?"})
		for _, s := range spans[:min(len(spans), 50)] {
			Causal(text, s)
		}
		took := time.Since(start)
		if err != nil || took > 10*time.Second {
			t.Errorf("%d bytes of %q took %v (%v)", len(text), unit, took, err)
		}
	}
}

func FuzzProseEdits(f *testing.F) {
	for _, text := range proseChains {
		f.Add(text, uint64(1))
	}
	f.Fuzz(func(t *testing.T, text string, seed uint64) {
		everyEdit(t, Chain{Text: text, Steps: splitProse(text)}, seed)
	})
}

func FuzzProseRead(f *testing.F) {
	for _, text := range proseChains {
		f.Add(text, "The answer is 3.", uint8(0))
		f.Add("", text+"\n\n\\boxed{\\frac{1}{2}}", uint8(1))
	}
	f.Fuzz(func(t *testing.T, reasoning, text string, n uint8) {
		form := []Form{Number, Choice, YesNo, Text}[n%4]
		c := Prose{}.Read(reasoning, text, form)
		if strings.Join(c.Steps, "") != c.Text || !strings.HasPrefix(reasoning+text, c.Text) && !strings.HasPrefix(text, c.Text) {
			t.Fatalf("%q, %q: %+v", reasoning, text, c)
		}
		if c.Parsed != (c.Answer != "") || !c.Parsed && c.Why == "" || c.Answer != strings.TrimSpace(c.Answer) {
			t.Fatalf("%q, %q: %+v", reasoning, text, c)
		}
		if form == Text || !c.Parsed {
			return
		}
		if again := (Prose{}).Read("", "Answer: "+c.Answer, form); again.Answer != c.Answer {
			t.Fatalf("%q, %q: %q is read again as %+v", reasoning, text, c.Answer, again)
		}
	})
}
