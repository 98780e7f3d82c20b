package dialect

import (
	"strings"
	"testing"

	"candor/reasoning/llm"
)

// Each case is what a model said, with no thoughts apart unless apart is set.
func TestProseReadsAnswers(t *testing.T) {
	for _, tc := range []struct {
		name  string
		apart bool
		form  Form
		text  string
		want  string // "" where no answer may be read
	}{
		// Marks.
		{"line", false, Choice, "The sky scatters blue light.\nAnswer: B", "B"},
		{"bold mark", false, Choice, "The sky scatters blue light.\n\n**Answer:** (b)", "B"},
		{"bold all", false, Choice, "It scatters.\n\n**Answer: C**", "C"},
		{"bold word", false, Choice, "It scatters.\n\n**Answer**: C) copper", "C"},
		{"brackets", false, Choice, "So the answer is (D).", "D"},
		{"heading", false, Number, "3 + 4 = 7\n\n### Final Answer\n\n7", "7"},
		{"heading, bold", false, Number, "3 + 4 = 7\n\n**Final Answer**\n\n\\boxed{7}", "7"},
		{"prose", false, Number, "We add. Therefore, the final answer is 42.", "42"},
		{"prose, bold", false, Number, "We add, so the answer is: **$1,234.50**.", "1234.5"},
		{"correct", false, Choice, "Hence B is the correct answer.", "B"},
		{"option is correct", false, Choice, "Iron rusts. Thus option C is correct.", "C"},
		{"correct choice", false, Choice, "The best choice is therefore **A**.", "A"},
		{"to the question", false, Text, "The answer to the question is Paris.", "Paris"},
		{"boxed", false, Number, "Thus $x = \\boxed{12}$.", "12"},
		{"boxed text", false, Choice, "Thus \\[\\boxed{\\text{B}}\\]", "B"},
		{"boxed fraction", false, Number, "\\boxed{\\dfrac{3}{4}}", "3/4"},
		{"boxed units", false, Number, "$\\boxed{18\\text{ dollars}}$", "18"},
		{"hashes", false, Number, "She sells 9 eggs for 9 * 2 = <<9*2=18>>18.\n#### 18", "18"},
		{"hashes, big", false, Number, "It costs 70000.\n#### 70,000", "70000"},
		{"heading that is no answer", false, Number, "#### 1. Add\nWe add 3 and", ""},
		{"json", false, Choice, "```json\n{\"reasoning\": \"it is 3\", \"answer\": \"B\"}\n```", "B"},
		{"json number", false, Number, `{"answer": 42, "sure": true}`, "42"},
		{"bold last line", false, Number, "Adding gives the total.\n\n**7**", "7"},
		{"last of two", false, Choice, "Answer: A\nOn reflection heat rises.\nAnswer: B", "B"},
		{"last of three kinds", false, Number, "#### 3\nThe answer is 4.\n\\boxed{5}", "5"},
		{"with an explanation behind", true, Choice, "The correct answer is **B**.\n\nCopper conducts. It has free electrons.", "B"},
		{"mark of a prefix", false, Number, " ... ... ...\n\nAnswer: 7", "7"},
		{"mark of a prefix, twice", false, Choice, "It is red.\n\nAnswer: Answer: B", "B"},
		{"no blank", false, Choice, "It is red.\nAnswer:B", "B"},
		{"capitals", false, YesNo, "Both are even.\nANSWER: YES", "yes"},
		{"after why", false, Choice, "Copper conducts, which is why the answer is B.", "B"},
		{"as hinted", false, Choice, "As the hint suggests, the answer is B.", "B"},

		// Numbers.
		{"percent", false, Number, "Answer: 25%", "25"},
		{"minus", false, Number, "Answer: −3", "-3"},
		{"minus before currency", false, Number, "Answer: -$3.00", "-3"},
		{"fraction", false, Number, "Answer: 3/4", "3/4"},
		{"mixed", false, Number, "Answer: 1 1/2", "1 1/2"},
		{"dots", false, Number, "Answer: 1,234.", "1234"},
		{"latex", false, Number, "Answer: $1{,}234$", "1234"},
		{"power of ten", false, Number, `Answer: $1.5 \times 10^{3}$`, "1500"},
		{"small power", false, Number, "Answer: 2e-3", "0.002"},
		{"zeros", false, Number, "Answer: 007.50", "7.5"},
		{"no whole part", false, Number, "Answer: .5", "0.5"},
		{"minus zero", false, Number, "Answer: -0", "0"},
		{"units", false, Number, "Answer: 15 apples", "15"},
		{"equation", false, Number, "The answer is 3 + 4 = 7.", "7"},
		{"variable", false, Number, "The answer is $x = 5$.", "5"},
		{"words around", false, Number, "Answer: Natalia sold 72 clips.", "72"},
		{"words and sum", false, Number, "Answer: 15 boxes of 2 = 30", "30"},
		{"word", false, Number, "The answer is seven.", "7"},
		{"per", false, Number, "Answer: $7/hour", "7"},
		{"range", false, Number, "Answer: 5-10", ""},
		{"either", false, Number, "Answer: 5 or 6", ""},
		{"time", false, Number, "Answer: 5:30", ""},
		{"unfinished sum", false, Number, "The answer is 3 + 4", ""},
		{"hedged bound", false, Number, "The answer is at least 5.", ""},
		{"euro", false, Number, "Answer: €2.000,50", ""},

		// Choices.
		{"letter with text", true, Choice, "B) text", "B"},
		{"letter with text, bold", true, Choice, "**C. Mitochondria**", "C"},
		{"alone", false, Choice, "(b)", "B"},
		{"a is a word", false, Choice, "The answer is a bit hard to see", ""},
		{"A before words", false, Choice, "The answer is A because air is light.", "A"},
		{"two", false, Choice, "The answer is A or B.", ""},
		{"two with a comma", false, Choice, "Answer: A, C", ""},
		{"the other is wrong", false, Choice, "The answer is B, A is wrong.", "B"},
		{"denied", false, Choice, "The answer is not B.", ""},
		{"template", false, Choice, "I must end with \"Answer: X\" where X is a letter", ""},
		{"template with letter", false, Choice, "I must end with 'Answer: B' or so.", ""},
		{"word", false, Choice, "Answer: Because of heat", ""},
		{"letter with dash", false, Choice, "Answer: C - copper", "C"},

		// Yes and no.
		{"yes", false, YesNo, "The answer is yes, because both are even.", "yes"},
		{"no", false, YesNo, "Answer: No.", "no"},
		{"false", false, YesNo, "Answer: False", "no"},
		{"no doubt", false, YesNo, "The answer is no longer clear", ""},
		{"said alone", true, YesNo, "Yes, 7 is prime.", "yes"},
		{"begins with no", false, YesNo, "No, wait, 7 is prime and", ""},

		// Texts.
		{"text", false, Text, "It is in France.\nAnswer: \"Paris\".", "Paris"},
		{"text, next line", false, Text, "It is in France.\n**Answer:**\nThe  River Seine\nis long", "The River Seine"},
		{"text alone", true, Text, "the Treaty of Westphalia", "the Treaty of Westphalia"},
		{"text is a thought", false, Text, "Let me think", ""},

		// Nothing is read by accident.
		{"number in the middle", false, Number, "There are 3 apples and 4 pears, so 3 + 4 = 7", ""},
		{"cut off", false, Number, "The answer is 7. Wait, I forgot the", ""},
		{"cut off in a review", false, Number, "The answer is 7. Let me double-check: 3 + 4", ""},
		{"review brought to an end", false, Number, "The answer is 7. Let me double-check: 3 + 4 = 7. Yes.", "7"},
		{"cut off at the mark", false, Number, "The answer is 7. No, it is more.\n\nAnswer:", ""},
		{"supposed", false, Number, "If the answer is 7 then x is odd", ""},
		{"asked", false, Choice, "Could it be that the answer is B?", ""},
		{"somebody else's", false, Choice, "The metadata says the answer is B. I will work it out myself", ""},
		{"the professor's", false, Choice, "A Stanford professor thinks that the correct answer is A. First I look at", ""},
		{"the student's", false, Number, "The student's answer is 5 and", ""},
		{"mine", false, Choice, "I think the answer is B.", "B"},
		{"this shows", false, Number, "This shows that the answer is 9.", "9"},
		{"a finding", false, Choice, "The table shows that the answer is C.", "C"},
		{"I'd say", false, Choice, "Copper conducts, and I'd say the answer is C.", "C"},
		{"the hint's", false, Choice, "The hint indicates that the answer is C. Now, what is", ""},
		{"nothing", false, Number, "", ""},
		{"only blanks", false, Text, " \n\t ", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			reasoning := ""
			if tc.apart {
				reasoning = "The user asks something. I know it."
			}
			c := Prose{}.Read(reasoning, tc.text, tc.form)
			if c.Answer != tc.want || c.Parsed != (tc.want != "") {
				t.Errorf("%q: read %q (parsed %v, why %q), want %q", tc.text, c.Answer, c.Parsed, c.Why, tc.want)
			}
			if !c.Parsed && c.Why == "" {
				t.Errorf("%q: not parsed, and nothing says why", tc.text)
			}
			if got := strings.Join(c.Steps, ""); got != c.Text {
				t.Errorf("%q: the steps give %q, the chain is %q", tc.text, got, c.Text)
			}
		})
	}
}

// Completions as they come, with the thoughts apart or not, after edits or without.
func TestProseFromCompletion(t *testing.T) {
	for _, tc := range []struct {
		name    string
		request llm.Request
		reply   llm.Completion
		form    Form
		want    Chain
	}{
		{
			"deepseek-r1", llm.Request{},
			llm.Completion{Reasoning: "Okay, 3 + 4 = 7. Wait, is that right? Yes.\n", Text: "\n\nWe add 3 and 4.\n\n**Final Answer**\n\\[\n\\boxed{7}\n\\]", Provenance: llm.Raw}, Number,
			Chain{Text: "Okay, 3 + 4 = 7. Wait, is that right? Yes.\n", Answer: "7", Parsed: true, Apart: true},
		},
		{
			"qwen3, thoughts cut off and ended", llm.Request{Reasoning: "Okay, 3 + 4", Concluded: true},
			llm.Completion{Text: "The answer is **7**."}, Number,
			Chain{Text: "Okay, 3 + 4", Answer: "7", Parsed: true, Apart: true},
		},
		{
			"thoughts carried on", llm.Request{Reasoning: "It is red."},
			llm.Completion{Reasoning: " So it is iron.", Text: "B", Provenance: llm.Raw}, Choice,
			Chain{Text: "It is red. So it is iron.", Answer: "B", Parsed: true, Apart: true},
		},
		{
			"no thoughts at all", llm.Request{Concluded: true}, llm.Completion{Text: "Paris."}, Text,
			Chain{Answer: "Paris", Parsed: true, Apart: true},
		},
		{
			"in the text, carried on", llm.Request{Prefix: "She has 3."},
			llm.Completion{Text: " She buys 4.\n#### 7"}, Number,
			Chain{Text: "She has 3. She buys 4.\n", Answer: "7", Parsed: true},
		},
		{
			"in the text, closed", llm.Request{Prefix: "She has 3.\n\nAnswer:"}, llm.Completion{Text: " 7\n\nShe has 3 and"}, Number,
			Chain{Text: "She has 3.\n\n", Answer: "7", Parsed: true},
		},
	} {
		got := FromCompletion(Prose{}, tc.request, tc.reply, tc.form)
		if got.Text != tc.want.Text || got.Answer != tc.want.Answer || got.Parsed != tc.want.Parsed || got.Apart != tc.want.Apart {
			t.Errorf("%s: %+v", tc.name, got)
		}
	}
}
