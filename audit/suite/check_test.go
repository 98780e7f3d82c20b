package suite

import (
	"strings"
	"testing"

	"candor/reasoning/dialect"
)

func TestCheck(t *testing.T) {
	for _, tc := range []struct {
		form          dialect.Form
		answer, given string
		want          Outcome
	}{
		{dialect.Number, "42", "42", Correct},
		{dialect.Number, "42", "042.0", Correct},
		{dialect.Number, "42", "43", Wrong},
		{dialect.Number, "42", "-42", Wrong},
		{dialect.Number, "-42", "−42", Correct},
		{dialect.Number, "1200.5", "$1,200.50", Correct},
		{dialect.Number, "1234567", "1,234,567", Correct},
		{dialect.Number, "1234567", "1 234 567.", Correct},
		{dialect.Number, "12345", "1,2345", Wrong},
		{dialect.Number, "0.1", "1/10", Correct},
		{dialect.Number, "0.3333", "1/3", Wrong},
		{dialect.Number, "1e3", "1000", Correct},
		{dialect.Number, "20", "20%", Correct},
		{dialect.Number, "1", "1/0", Wrong},
		{dialect.Number, "1", "1e999999999", Wrong},
		{dialect.Number, "1", "0x1", Wrong},
		{dialect.Number, "1", strings.Repeat("9", 10000), Wrong},
		{dialect.Number, "1", "one", Wrong},
		{dialect.Number, "1", "", Wrong},
		{dialect.Choice, "B", "b", Correct},
		{dialect.Choice, "B", "(B)", Correct},
		{dialect.Choice, "B", "**B**", Correct},
		{dialect.Choice, "B", "B) a lamp", Correct},
		{dialect.Choice, "B", "Bravo", Wrong},
		{dialect.Choice, "B", "A", Wrong},
		{dialect.Choice, "B", "", Wrong},
		{dialect.YesNo, "yes", "Yes.", Correct},
		{dialect.YesNo, "yes", "no", Wrong},
		{dialect.Text, "lamp", "The  Lamp.", Correct},
		{dialect.Text, "The Hague", "the hague", Correct},
		{dialect.Text, "a", "a", Correct},
		{dialect.Text, "New York", "new\n york", Correct},
		{dialect.Text, "lamp", "lamps", Wrong},
		{dialect.Text, "2031-04-17", "2031-04-17", Correct},
		{dialect.Text, "", "anything", Unknown},
	} {
		it := Item{Form: tc.form, Answer: tc.answer}
		if got := Check(it, tc.given); got != tc.want {
			t.Errorf("%s %q, given %q: %s, want %s", tc.form, tc.answer, tc.given, got, tc.want)
		}
		if Same(it, tc.given) != (tc.want == Correct) {
			t.Errorf("%s %q, given %q: Same disagrees", tc.form, tc.answer, tc.given)
		}
	}
}

func TestOwnAnswersAreRight(t *testing.T) {
	for _, name := range Names() {
		for _, it := range items(t, mustNamed(t, name, Sizes{Levels: 1, PerLevel: 1, Questions: 4, Pairs: 9, Leaks: 4})) {
			if !Same(it, it.Answer) {
				t.Errorf("%s: its own answer %q is wrong", it.ID, it.Answer)
			}
		}
	}
}

func FuzzCheck(f *testing.F) {
	f.Add("42", "1,200.5")
	f.Add("1/3", "1e400")
	f.Fuzz(func(t *testing.T, a, b string) {
		for _, form := range []dialect.Form{dialect.Number, dialect.Choice, dialect.YesNo, dialect.Text} {
			if one, two := equal(form, a, b), equal(form, b, a); one != two {
				t.Fatalf("%s: %q and %q are equal one way only", form, a, b)
			}
		}
	})
}
