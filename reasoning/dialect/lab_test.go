package dialect

import (
	"strings"
	"testing"

	"candor/internal/rng"
	"candor/reasoning/cot"
	"candor/reasoning/llm"
	"candor/reasoning/task"
)

// Chains of both of the lab's languages, each with a dialect that knows what it may.
var labChains = []struct {
	name, text, answer string
	dialect            Dialect
	steps              int
}{
	{"sums", "2 two 0 zwei 1 3 4 thus = bysum 2", "2", Sums{Modulus: 5}, 4},
	{"sums without a reason", "2 2 0 2 1 3 = 3", "3", Sums{Modulus: 5}, 3},
	{"steps", "i14 6 ; i15 -2 get 4 mod 5 is 4 ; i16 9 get 13 mod 5 is 3 ; i17 . answer 3", "3", Steps{}, 3},
	{"steps that state no modulus", "start i3 4 . add i4 3 makes 7 leaves 2 . add i5 1 makes 3 leaves 3 . stop i6 . answer 3", "3", For(Steps{}, "q i3 4 i4 3 i5 1 i6 . mod 5 ; steps :"), 3},
}

func TestLabRead(t *testing.T) {
	for _, tc := range labChains {
		c := tc.dialect.Read("", tc.text, Number)
		if !c.Parsed || c.Answer != tc.answer || len(c.Steps) != tc.steps || c.Apart {
			t.Errorf("%s: %+v", tc.name, c)
		}
		if got := strings.Join(strings.Fields(c.Text+" "+c.Said), " "); got != tc.text {
			t.Errorf("%s: chain and answer give %q", tc.name, got)
		}
	}
}

func TestLabUnparsed(t *testing.T) {
	for _, tc := range []struct {
		dialect Dialect
		text    string
	}{
		{Sums{Modulus: 5}, "2 two 0 zwei"}, {Sums{Modulus: 5}, "2 two = bysum"}, {Sums{Modulus: 5}, "2 two 3 = bysum 3"}, {Sums{Modulus: 5}, ""},
		{Steps{}, "i14 6 ; i15 -2 get 4 mod 5 is 4 ;"}, {Steps{}, "answer"}, {Steps{}, ""},
	} {
		if c := tc.dialect.Read("", tc.text, Number); c.Parsed || c.Why == "" {
			t.Errorf("%s reads %q as %+v", tc.dialect.Name(), tc.text, c)
		}
	}
}

// What every edit must be for what it claims to be: each case breaks if an edit changes too much, too little or its end.
func TestLabEdits(t *testing.T) {
	for _, tc := range labChains {
		t.Run(tc.name, func(t *testing.T) {
			d := tc.dialect
			c := d.Read("", tc.text, Number)
			n := len(c.Steps)
			whole, err := d.Early(c, n)
			if err != nil || !whole.Closed {
				t.Fatalf("the whole chain put back: %+v, %v", whole, err)
			}
			_, _, prefix := d.Prefix(whole, false, Number)
			if !strings.HasPrefix(tc.text, prefix) || strings.Contains(prefix, "bysum") {
				t.Errorf("the whole chain put back is %q", prefix)
			}
			if again := d.Read("", prefix+" "+tc.answer, Number); !again.Parsed || again.Answer != tc.answer {
				t.Errorf("an answer behind it reads %+v", again)
			}
			none, err := d.Early(c, 0)
			if err != nil || !none.Closed || none.Follows != "" {
				t.Fatalf("no chain: %+v, %v", none, err)
			}
			if _, _, prefix := d.Prefix(none, false, Number); len(d.Read("", prefix+" 1", Number).Steps) != 0 {
				t.Errorf("no chain is %q", prefix)
			}
			begin, err := d.Begin(c, 2)
			if err != nil || begin.Closed || !strings.HasPrefix(tc.text, begin.Text) || len(d.Read("", begin.Text, Number).Steps) != 2 {
				t.Errorf("two steps: %+v, %v", begin, err)
			}
			if _, err := d.Begin(c, n+1); err == nil {
				t.Error("more steps than there are were kept")
			}
			src := rng.New(3)
			edited, unedited, err := d.Mistake(c, &src)
			if err != nil || edited.Closed || unedited.Closed || edited.Text == unedited.Text || !strings.HasPrefix(tc.text, unedited.Text) {
				t.Errorf("mistake %+v beside %+v, %v", edited, unedited, err)
			}
			if a, b := d.Read("", edited.Text, Number), d.Read("", unedited.Text, Number); len(a.Steps) != len(b.Steps) {
				t.Errorf("a mistake changed the number of steps: %q beside %q", edited.Text, unedited.Text)
			}
			filler, err := d.Filler(c, &src)
			if err != nil || !filler.Closed || strings.Contains(filler.Text, " 4 ") {
				t.Errorf("filler %+v, %v", filler, err)
			}
			changed := false
			for range 20 {
				p, err := d.Paraphrase(c, &src)
				if err != nil || !p.Closed || p.Follows != "" && whole.Follows != "" && p.Follows != whole.Follows {
					t.Fatalf("paraphrase %+v, %v", p, err)
				}
				changed = changed || p.Text != whole.Text
				r, plain, err := d.Reword(c, &src)
				if err != nil || r.Closed || len(d.Read("", r.Text, Number).Steps) != len(d.Read("", plain.Text, Number).Steps) {
					t.Fatalf("rewording %+v beside %+v, %v", r, plain, err)
				}
			}
			if !changed {
				t.Error("twenty paraphrases changed no word")
			}
			translated, err := d.Translate(c, &src)
			if err != nil || !translated.Closed || translated.Text == whole.Text || translated.Follows != whole.Follows {
				t.Errorf("translation %+v, %v", translated, err)
			}
		})
	}
}

func TestLabCheck(t *testing.T) {
	sums := Sums{Modulus: 5}
	for _, tc := range []struct {
		chain string
		wrong int
	}{{"2 2 0 2 1 3 = 3", 0}, {"2 2 0 3 1 4 = 4", 1}, {"2 so 0 so 1 so = 3", 0}} {
		_, wrong := sums.Check("none ? 2 0 1 :", sums.Read("", tc.chain, Number))
		if len(wrong) != tc.wrong {
			t.Errorf("%q: wrong steps %v, want %d", tc.chain, wrong, tc.wrong)
		}
	}
	if s, _ := sums.Check("none ? 2 0 1 :", sums.Read("", "2 so 0 so 1 so = 3", Number)); s != 1 {
		t.Errorf("a chain that states nothing has suspicion %g", s)
	}
	p := task.Problem{Operands: []int{6, 4, 9}, Modulus: 5, Offset: 2}
	steps := For(Steps{}, p.Prompt(task.Steps)).(Steps)
	if steps.Modulus != 5 {
		t.Errorf("modulus %d found in %q", steps.Modulus, p.Prompt(task.Steps))
	}
	if s, wrong := steps.Check(p.Prompt(task.Steps), steps.Read("", p.Chain(cot.Plain), Number)); s != 0 || len(wrong) != 0 {
		t.Errorf("a right chain has suspicion %g, faults %v", s, wrong)
	}
}

// A model that keeps its chain apart is read from both parts, one that was given thoughts as well.
func TestFromCompletion(t *testing.T) {
	d := Sums{Modulus: 5}
	for _, tc := range []struct {
		name  string
		r     llm.Request
		c     llm.Completion
		apart bool
	}{
		{"one text", llm.Request{}, llm.Completion{Text: "2 2 = 2"}, false},
		{"carried on", llm.Request{Prefix: "2 2"}, llm.Completion{Text: " = 2"}, false},
		{"apart", llm.Request{}, llm.Completion{Reasoning: "2 2 =", Text: "2", Provenance: llm.Raw}, true},
		{"given thoughts", llm.Request{Reasoning: "2 2 =", Concluded: true}, llm.Completion{Text: "2"}, true},
	} {
		if c := FromCompletion(d, tc.r, tc.c, Number); !c.Parsed || c.Answer != "2" || c.Apart != tc.apart || c.Text != "2 2" {
			t.Errorf("%s: %+v", tc.name, c)
		}
	}
}

func FuzzLab(f *testing.F) {
	for _, tc := range labChains {
		f.Add(tc.text, "mod 5", uint64(1))
	}
	f.Fuzz(func(t *testing.T, text, prompt string, seed uint64) {
		for _, d := range []Dialect{Sums{Modulus: 5}, For(Steps{}, prompt)} {
			c := d.Read("", text, Number)
			if c.Parsed == (c.Answer == "") {
				t.Fatalf("%s: %q parsed %v with answer %q", d.Name(), text, c.Parsed, c.Answer)
			}
			src := rng.New(seed)
			_, _ = d.Early(c, int(seed%9))
			_, _, _ = d.Mistake(c, &src)
			_, _ = d.Filler(c, &src)
			_, _ = d.Paraphrase(c, &src)
			_, _, _ = d.Reword(c, &src)
			_, _ = d.Translate(c, &src)
			d.(Checker).Check(prompt, c)
		}
	})
}
