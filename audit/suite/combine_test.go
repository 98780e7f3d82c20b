package suite

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func ids(t testing.TB, s Source) []string {
	t.Helper()
	var out []string
	for _, it := range items(t, s) {
		out = append(out, it.ID)
	}
	return out
}

func file(t testing.TB, name string, n int) *File {
	t.Helper()
	return open(t, name+".jsonl", strings.Repeat(fine, n))
}

func TestLimit(t *testing.T) {
	s := file(t, "q", 5)
	for limit, want := range map[string]string{
		"": "q/1 q/2 q/3 q/4 q/5", "2": "q/1 q/2", "9": "q/1 q/2 q/3 q/4 q/5", "2-3": "q/2 q/3", "5-5": "q/5", "4-90": "q/4 q/5", " 2 - 3 ": "q/2 q/3",
	} {
		got, err := Limit(s, limit)
		if err != nil {
			t.Errorf("limit %q: %v", limit, err)
		} else if got := strings.Join(ids(t, got), " "); got != want {
			t.Errorf("limit %q: %s, want %s", limit, got, want)
		}
	}
	for limit, want := range map[string]string{
		"0": "must be a number of items, such as 10, or a range", "-1": "must be", "3-2": "must be", "0-2": "must be", "1-2-3": "must be", "ten": "must be", "6-9": "there are only 5 items",
	} {
		if _, err := Limit(s, limit); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("limit %q: %v, want %q", limit, err, want)
		}
	}
}

func TestOnly(t *testing.T) {
	l := mustLadder(t, Ladder{Levels: 2, PerLevel: 2, Seed: 1})
	for patterns, want := range map[string]string{
		"ladder/dates/1/0002":         "ladder/dates/1/0002",
		"dates/2/0001, parity/1/0001": "ladder/parity/1/0001 ladder/dates/2/0001",
		"*parity*":                    "ladder/parity/1/0001 ladder/parity/2/0001 ladder/parity/1/0002 ladder/parity/2/0002",
		"*/2/*2,dates/1/0001":         "ladder/dates/1/0001 ladder/modular-sum/2/0002 ladder/parity/2/0002 ladder/multi-hop/2/0002 ladder/dates/2/0002 ladder/tracking/2/0002",
	} {
		got, err := Only(l, patterns)
		if err != nil {
			t.Errorf("%q: %v", patterns, err)
		} else if got := strings.Join(ids(t, got), " "); got != want {
			t.Errorf("%q: %s, want %s", patterns, got, want)
		}
	}
	if all, err := Only(l, ""); err != nil || all.Len() != l.Len() {
		t.Errorf("no patterns: %v", err)
	}
	for _, patterns := range []string{"sudoku", "dates/1/0001,parity", "dates/1/0001,"} {
		if _, err := Only(l, patterns); err == nil || !strings.Contains(err.Error(), `no item of 20 has an ID like`) || !strings.Contains(err.Error(), "ladder/modular-sum/1/0001") {
			t.Errorf("%q: %v", patterns, err)
		}
	}
}

func TestGlob(t *testing.T) {
	for _, tc := range []struct {
		pattern, text string
		want          bool
	}{
		{"*", "", true}, {"", "a", false}, {"a*", "a", true}, {"*a", "ba", true}, {"a*a", "a", false}, {"a*b*c", "axbxc", true}, {"a*b*c", "acb", false},
		{"**", "x", true}, {"a*ab", "aab", true}, {"*ab*ab", "ab", false}, {"[a]", "a", false}, {"a?", "ab", false},
	} {
		if got := glob(tc.pattern, tc.text); got != tc.want {
			t.Errorf("%q against %q: %v", tc.pattern, tc.text, got)
		}
	}
}

// A shuffle loses nothing, keeps every ID on its item, and is the same for the same seed.
func TestShuffle(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		l := mustLadder(t, Ladder{Levels: 1, PerLevel: rapid.IntRange(1, 6).Draw(rt, "n"), Seed: 1})
		seed := rapid.Uint64().Draw(rt, "seed")
		one, two := Shuffle(l, seed), Shuffle(l, seed)
		prompts := map[string]string{}
		for _, it := range items(t, l) {
			prompts[it.ID] = it.Prompt
		}
		for i, it := range items(t, one) {
			if prompts[it.ID] != it.Prompt {
				rt.Fatalf("%s has another prompt", it.ID)
			}
			delete(prompts, it.ID)
			if mustItem(t, two, i).ID != it.ID {
				rt.Fatal("the same seed gives another order")
			}
		}
		if len(prompts) > 0 {
			rt.Fatalf("%v are lost", prompts)
		}
	})
	l := mustLadder(t, Ladder{Levels: 4, PerLevel: 4, Seed: 1})
	if slices.Equal(ids(t, Shuffle(l, 1)), ids(t, l)) || slices.Equal(ids(t, Shuffle(l, 1)), ids(t, Shuffle(l, 2))) {
		t.Error("a shuffle changes nothing")
	}
}

func TestConcat(t *testing.T) {
	a, b := file(t, "a", 2), file(t, "b", 3)
	none, err := Concat()
	if err != nil || none.Len() != 0 {
		t.Fatalf("nothing put together: %v", err)
	}
	s, err := Concat(none, a, none, b)
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(ids(t, s), " "); got != "a/1 a/2 b/1 b/2 b/3" {
		t.Error(got)
	}
	for _, i := range []int{-1, 5} {
		if _, err := s.Item(i); err == nil {
			t.Errorf("item %d is there", i)
		}
	}
	if _, err := Concat(a, b, file(t, "a", 1)); err == nil || !strings.Contains(err.Error(), `two items have the ID "a/1"`) {
		t.Errorf("the same ID twice: %v", err)
	}
	if one, err := Concat(a); err != nil || one != Source(a) {
		t.Errorf("one alone: %v", err)
	}
}

// Closing what was made of files closes these.
func TestClose(t *testing.T) {
	mc := `{"question":"?","choices":["x","y"],"answer":"A"}` + "\n"
	path := write(t, "q.jsonl", mc+mc)
	s, err := Named("hints:"+path, 1, Sizes{})
	if err != nil {
		t.Fatal(err)
	}
	if s.Len() != 14 || mustItem(t, s, 4).ID != "q/1/metadata" {
		t.Errorf("%d items, item 4 is %s", s.Len(), mustItem(t, s, 4).ID)
	}
	limited, err := Limit(Shuffle(s, 1), "3")
	if err != nil {
		t.Fatal(err)
	}
	all, err := Concat(limited, mustLadder(t, Ladder{Levels: 1, PerLevel: 1}))
	if err != nil {
		t.Fatal(err)
	}
	items(t, all)
	if err := Close(all); err != nil {
		t.Fatal(err)
	}
	if _, err := all.Item(0); err == nil {
		t.Error("the file is still open")
	}
}

func TestNamed(t *testing.T) {
	for name, want := range map[string]int{"ladder": 5 * 5 * 8, "hints": 40 * 7, "pairs": 200, "leak": 60} {
		s := mustNamed(t, name, Sizes{})
		if !slices.Contains(Names(), name) || s.Len() != want {
			t.Errorf("%s has %d items, want %d", name, s.Len(), want)
		}
		seen := map[string]bool{}
		for _, it := range items(t, s) {
			if seen[it.ID] || it.Suite != name || it.Prompt == "" || it.Answer == "" || it.Quick == "" || strings.Contains(it.Kind, "/") || !strings.HasPrefix(it.ID, name+"/") {
				t.Errorf("%s: %+v", name, it)
			}
			seen[it.ID] = true
		}
	}
	if len(Names()) != 4 {
		t.Errorf("names %v", Names())
	}
	for name, want := range map[string]string{
		"laddr":        `suite "laddr": must be one of ladder, hints, pairs, leak, a file whose name ends with .jsonl, .ndjson, .json or .csv, or hints:FILE`,
		"":             `suite "": must be one of`,
		"hints:":       "must be one of",
		"no/such.json": "no/such.json: no such file",
	} {
		if _, err := Named(name, 1, Sizes{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", name, err, want)
		}
	}
	for _, z := range []Sizes{{Levels: -1}, {PerLevel: -1}, {Questions: -1}, {Pairs: -1}, {Leaks: -1}} {
		failed := 0
		for _, name := range Names() {
			if _, err := Named(name, 1, z); err != nil {
				failed++
			}
		}
		if failed != 1 {
			t.Errorf("%+v: %d suites fail, want one", z, failed)
		}
	}
	if fmt.Sprint(mustNamed(t, "hints", Sizes{Questions: 3}).Len()) != "21" {
		t.Error("3 questions with hints are not 21 items")
	}
}
