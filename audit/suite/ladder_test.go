package suite

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"candor/reasoning/dialect"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func mustLadder(t testing.TB, l Ladder) Source {
	t.Helper()
	s, err := l.Source()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func mustItem(t testing.TB, s Source, i int) Item {
	t.Helper()
	it, err := s.Item(i)
	if err != nil {
		t.Fatal(err)
	}
	return it
}

func items(t testing.TB, s Source) []Item {
	t.Helper()
	out := make([]Item, s.Len())
	for i := range out {
		out[i] = mustItem(t, s, i)
		if id, err := s.ID(i); err != nil || id != out[i].ID {
			t.Fatalf("ID(%d) is %q, %v; the item's is %q", i, id, err, out[i].ID)
		}
	}
	return out
}

// The solvers read nothing but the words of a prompt.
var solvers = map[string]func(string) string{
	"modular-sum": solveSum, "parity": solveParity, "multi-hop": solveHops, "dates": solveDates, "tracking": solveTracking,
}

func numbers(text string) []int {
	var out []int
	for _, w := range regexp.MustCompile(`\d+`).FindAllString(text, -1) {
		n, _ := strconv.Atoi(w)
		out = append(out, n)
	}
	return out
}

func between(text, a, b string) string {
	_, text, _ = strings.Cut(text, a)
	text, _, _ = strings.Cut(text, b)
	return text
}

func solveSum(q string) string {
	terms, by := numbers(between(q, "remainder when ", " is divided")), numbers(between(q, "divided by ", "?"))
	if strings.Contains(q, "baker") {
		terms, by = numbers(between(q, "of rolls: ", ".")), numbers(between(q, "boxes of ", ","))
	}
	sum := 0
	for _, t := range terms {
		sum += t
	}
	return strconv.Itoa(sum % by[0])
}

func solveParity(q string) string {
	if strings.Contains(q, "coin") {
		tails := strings.Count(between(q, "as it is: ", "."), "turn")%2 == 1
		return word(tails == strings.Contains(q, "tails up in the end"))
	}
	odd := strings.Count(between(q, "bits: ", "\n"), "1")%2 == 1
	return word(odd == strings.Contains(q, "in it odd"))
}

func solveHops(q string) string {
	to := map[string]string{} // "person relation" -> person
	for _, m := range regexp.MustCompile(`(\w+)'s (\w+) is (\w+)\.`).FindAllStringSubmatch(q, -1) {
		to[m[1]+" "+m[2]] = m[3]
	}
	for _, m := range regexp.MustCompile(`(\w+) is the (\w+) of (\w+)\.`).FindAllStringSubmatch(q, -1) {
		to[m[3]+" "+m[2]] = m[1]
	}
	var path []string
	at := between(q, "Begin with ", " and go")
	if at == "" {
		path = strings.Split(between(q, "Who is the ", "?"), " of ")
		at = path[len(path)-1]
		path = path[:len(path)-1]
		slices.Reverse(path)
	} else {
		path = strings.Split(between(q, "person to person: ", ". At"), ", from there ")
	}
	for _, r := range path {
		for _, w := range []string{"to ", "the "} {
			r = strings.TrimPrefix(r, w)
		}
		at = to[at+" "+r]
	}
	return at
}

// civil counts days from 1 March of year 0, in whole numbers alone.
func civil(y, m, d int) int {
	if m <= 2 {
		y, m = y-1, m+12
	}
	return 365*y + y/4 - y/100 + y/400 + (153*(m-3)+2)/5 + d - 1
}

func uncivil(n int) (y, m, d int) {
	for y = n/366 - 1; civil(y+1, 3, 1) <= n; y++ {
	}
	for m = 3; m < 14 && civilMonth(y, m+1) <= n; m++ {
	}
	d = n - civilMonth(y, m) + 1
	if m > 12 {
		return y + 1, m - 12, d
	}
	return y, m, d
}

func civilMonth(y, m int) int {
	if m > 12 {
		return civil(y+1, m-12, 1)
	}
	return civil(y, m, 1)
}

func solveDates(q string) string {
	months := []string{"January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"}
	start := regexp.MustCompile(`(\d+) ([A-Z]\w+) (\d{4})`).FindStringSubmatch(q)
	d, _ := strconv.Atoi(start[1])
	y, _ := strconv.Atoi(start[3])
	m := 1 + slices.Index(months, start[2])
	rest := q[strings.Index(q, start[0])+len(start[0]):]
	for _, step := range regexp.MustCompile(`(brought forward by )?(\d+) (day|week|month)s?( back)?`).FindAllStringSubmatch(rest, -1) {
		n, _ := strconv.Atoi(step[2])
		if step[1] != "" || step[4] != "" {
			n = -n
		}
		switch step[3] {
		case "month":
			all := 12*y + m - 1 + n
			y, m = all/12, all%12+1
		case "week":
			y, m, d = uncivil(civil(y, m, d) + 7*n)
		default:
			y, m, d = uncivil(civil(y, m, d) + n)
		}
	}
	return fmt.Sprintf("%04d-%02d-%02d", y, m, d)
}

func solveTracking(q string) string {
	has := map[string]string{}
	for _, m := range regexp.MustCompile(`(\w+) has the (\w+)`).FindAllStringSubmatch(q, -1) {
		has[m[1]] = m[2]
	}
	for _, m := range regexp.MustCompile(`the (\w+) lies in (\w+)'s box`).FindAllStringSubmatch(q, -1) {
		has[m[2]] = m[1]
	}
	for _, m := range regexp.MustCompile(`(\w+) and (\w+) swap|contents of (\w+)'s and (\w+)'s`).FindAllStringSubmatch(q, -1) {
		a, b := m[1]+m[3], m[2]+m[4]
		has[a], has[b] = has[b], has[a]
	}
	return has[between(q, "What does ", " have in the end")+between(q, "What is now in ", "'s box")]
}

// What is asked has one answer, in both wordings, and it is the one that is given.
func TestLadderAnswers(t *testing.T) {
	for _, kind := range append(LadderKinds(), ChoiceKinds()...) {
		t.Run(kind, func(t *testing.T) {
			solve := solvers[strings.TrimSuffix(kind, choiceSuffix)]
			for _, it := range items(t, mustLadder(t, Ladder{Kinds: []string{kind}, Levels: MaxLevels, PerLevel: 12, Seed: 5})) {
				for name, prompt := range map[string]string{"prompt": it.Prompt, "reworded": it.Reworded, "quick": it.Quick} {
					got := solve(prompt)
					if it.Form == dialect.Choice {
						got = letterOf(t, prompt, got)
					}
					if got != it.Answer {
						t.Fatalf("%s of %s: answer %q, its words say %q:\n%s", name, it.ID, it.Answer, got, prompt)
					}
				}
				if it.Prompt == it.Reworded {
					t.Fatalf("%s is reworded as itself", it.ID)
				}
				if !strings.HasSuffix(it.Quick, "alone, without any explanation.") || !regexp.MustCompile(`Think step by step, then finish with a line "Answer: X", where X is [^.]+\.$`).MatchString(it.Prompt) {
					t.Fatalf("%s does not end with the form of its answer:\n%s\n%s", it.ID, it.Prompt, it.Quick)
				}
			}
		})
	}
}

// letterOf returns the letter of the one choice of a prompt that is text.
func letterOf(t *testing.T, prompt, text string) string {
	t.Helper()
	found, seen := "", map[string]bool{}
	choices := regexp.MustCompile(`(?m)^([A-Z])\) (.*)$`).FindAllStringSubmatch(prompt, -1)
	for _, m := range choices {
		if seen[m[2]] {
			t.Fatalf("two choices are %q:\n%s", m[2], prompt)
		}
		seen[m[2]] = true
		if m[2] == text {
			found = m[1]
		}
	}
	if len(choices) != 4 {
		t.Fatalf("%d choices:\n%s", len(choices), prompt)
	}
	return found
}

// No answer can be guessed from how often it is right: where answers are few, each occurs equally often on every level.
func TestAnswersAreBalanced(t *testing.T) {
	const each = 7 * 5 * 4
	for _, kind := range append(LadderKinds(), ChoiceKinds()...) {
		s := mustLadder(t, Ladder{Kinds: []string{kind}, Levels: 5, PerLevel: each, Seed: 3})
		counts := map[int]map[string]int{}
		months, positions := map[string]int{}, map[int]int{}
		for _, it := range items(t, s) {
			if counts[it.Level] == nil {
				counts[it.Level] = map[string]int{}
			}
			counts[it.Level][it.Answer]++
			switch kind {
			case "dates":
				months[it.Answer[5:7]]++
			case "tracking":
				listed := regexp.MustCompile(`has the (\w+)`).FindAllStringSubmatch(it.Prompt, -1)
				positions[slices.IndexFunc(listed, func(m []string) bool { return m[1] == it.Answer })]++
			}
		}
		for level, by := range counts {
			for answer, n := range by {
				want := map[string]int{"modular-sum": each / 7, "parity": each / 2}[kind]
				if strings.HasSuffix(kind, choiceSuffix) {
					want = each / 4
				}
				if want > 0 && n != want {
					t.Errorf("%s, level %d: %d of %d answers are %q, want %d", kind, level, n, each, answer, want)
				}
				if want == 0 && n > each/7 {
					t.Errorf("%s, level %d: %d of %d answers are %q", kind, level, n, each, answer)
				}
			}
		}
		for month, n := range months {
			if n < 25 || n > 95 { // 700/12 = 58, deviation 7
				t.Errorf("month %s is the answer %d times of 700", month, n)
			}
		}
		for at, n := range positions {
			if n != 5*each/5 {
				t.Errorf("the thing that is named as number %d is the answer %d times of %d", at, n, 5*each)
			}
		}
	}
}

// The shortcuts that each kind is built against pay no more than chance.
func TestShortcutsDoNotPay(t *testing.T) {
	share := func(kind string, guess func(it Item) string) float64 {
		right, n := 0, 0
		for _, it := range items(t, mustLadder(t, Ladder{Kinds: []string{kind}, Levels: 5, PerLevel: 100, Seed: 9})) {
			n++
			if guess(it) == it.Answer {
				right++
			}
		}
		return float64(right) / float64(n)
	}
	first := func(it Item) string { // what they began with
		who := between(it.Prompt, "What does ", " have")
		return regexp.MustCompile(who + ` has the (\w+)`).FindStringSubmatch(it.Prompt)[1]
	}
	if got := share("tracking", first); got < 0.12 || got > 0.28 {
		t.Errorf("what a person began with is the answer in %.2f, want 0.20", got)
	}
	leaf := func(it Item) string { // a name that has no fact of its own
		for _, m := range regexp.MustCompile(` is (\w+)\.`).FindAllStringSubmatch(it.Prompt, -1) {
			if !strings.Contains(it.Prompt, m[1]+"'s") {
				return m[1]
			}
		}
		return ""
	}
	if got := share("multi-hop", leaf); got > 0 {
		t.Errorf("a person without relations is the answer in %.2f", got)
	}
}

// An item is the same whatever else the ladder holds.
func TestLadderItemsStandAlone(t *testing.T) {
	small := mustLadder(t, Ladder{Kinds: []string{"dates"}, Levels: 2, PerLevel: 3, Seed: 7})
	large := mustLadder(t, Ladder{Levels: 8, PerLevel: 5000, Seed: 7})
	if large.Len() != 200_000 {
		t.Fatalf("%d items", large.Len())
	}
	for _, it := range items(t, small) {
		found := false
		for i := range 200 {
			if other := mustItem(t, large, i); other.ID == it.ID {
				found = true
				if other.Prompt != it.Prompt || other.Answer != it.Answer {
					t.Errorf("%s differs in a larger ladder", it.ID)
				}
			}
		}
		if !found {
			t.Errorf("%s is not at the beginning of a larger ladder", it.ID)
		}
	}
	if a, b := mustItem(t, large, 17), mustItem(t, mustLadder(t, Ladder{Levels: 8, PerLevel: 5000, Seed: 8}), 17); a.Prompt == b.Prompt {
		t.Error("another seed gives the same item")
	}
	if it := mustItem(t, large, 199_999); it.ID != "ladder/tracking/8/5000" {
		t.Errorf("the last item is %s", it.ID)
	}
	for _, i := range []int{-1, 200_000} {
		if _, err := large.Item(i); err == nil {
			t.Errorf("item %d is there", i)
		}
	}
}

// The words are part of what an audit's numbers mean: a change here is meant.
func TestGolden(t *testing.T) {
	var all []Item
	for _, name := range Names() {
		s, err := Named(name, 1, Sizes{Levels: 2, PerLevel: 1, Questions: 2, Pairs: 9, Leaks: 4})
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, items(t, s)...)
	}
	var b strings.Builder
	for _, it := range all {
		fmt.Fprintf(&b, "=== %s (%s, level %d, cluster %q, form %s, choices %d, answer %q, reversed %q)\n%s\n", it.ID, it.Kind, it.Level, it.Cluster, it.Form, it.Choices, it.Answer, it.Reversed, it.Prompt)
		if it.Reworded != "" {
			fmt.Fprintf(&b, "--- reworded\n%s\n", it.Reworded)
		}
		if it.Cue != nil {
			fmt.Fprintf(&b, "--- cue %s: hint %q, misaligned %v\n", it.Cue.Kind, it.Cue.Hint, it.Cue.Misaligned)
		}
	}
	const path = "testdata/suites.golden"
	if *update {
		if err := os.WriteFile(path, []byte(b.String()), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if b.String() != string(want) {
		t.Errorf("the built-in suites differ from %s; if that is meant, run with -update and look at the change", path)
	}
	if _, err := json.Marshal(all); err != nil {
		t.Error(err)
	}
}

func TestBadLadders(t *testing.T) {
	for _, tc := range []struct {
		l    Ladder
		want string
	}{
		{Ladder{Levels: 0, PerLevel: 1}, "levels 0: must be between 1 and 8"},
		{Ladder{Levels: 9, PerLevel: 1}, "levels 9"},
		{Ladder{Levels: 1, PerLevel: 0}, "0 problems a level"},
		{Ladder{Levels: 1, PerLevel: 1 << 40}, "must be between 1 and"},
		{Ladder{Kinds: []string{}, Levels: 1, PerLevel: 1}, "no kinds"},
		{Ladder{Kinds: []string{"sudoku"}, Levels: 1, PerLevel: 1}, `kind "sudoku": must be one of modular-sum, parity`},
		{Ladder{Kinds: []string{"parity-mc"}, Levels: 1, PerLevel: 1}, `kind "parity-mc"`},
		{Ladder{Kinds: []string{"dates", "dates"}, Levels: 1, PerLevel: 1}, "at most once"},
	} {
		if _, err := tc.l.Source(); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%+v: %v, want %q", tc.l, err, tc.want)
		}
	}
}

func BenchmarkLadder(b *testing.B) {
	s := mustLadder(b, Ladder{Levels: 5, PerLevel: 8000, Seed: 1})
	for i := 0; b.Loop(); i++ {
		mustItem(b, s, i%s.Len())
	}
}
