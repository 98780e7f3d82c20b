package rng

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

// The first numbers of named streams are part of every stage's meaning: a change here changes all results.
func TestStreamsAreFrozen(t *testing.T) {
	s := New(1)
	a := s.Split("pretrain").SplitN("step", 3)
	got := []uint64{s.Uint64(), a.Uint64(), a.Uint64()}
	want := []uint64{0xffeb7d7afcf0aba1, 0x5c3dd048446b3621, 0xa0bd4cb810873e0f}
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("number %d is %#x, want %#x: streams changed, so raise every stage's version", i, got[i], want[i])
		}
	}
}

func TestSplitIgnoresDraws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seed, name := rapid.Uint64().Draw(t, "seed"), rapid.String().Draw(t, "name")
		a, b := New(seed), New(seed)
		for range rapid.IntRange(0, 9).Draw(t, "draws") {
			b.Uint64()
		}
		x, y := a.Split(name), b.Split(name)
		if x.Uint64() != y.Uint64() {
			t.Fatal("a child stream depends on what was drawn from its parent")
		}
	})
}

func TestNeighbouringStreamsDiffer(t *testing.T) {
	seen := map[uint64]string{}
	root := New(7)
	for _, name := range []string{"", "a", "b", "ab", "ba"} {
		for n := range 1000 {
			c := root.SplitN(name, n)
			v := c.Uint64()
			if other, ok := seen[v]; ok {
				t.Fatalf("streams %q/%d and %s start alike", name, n, other)
			}
			seen[v] = name
		}
	}
}

func TestDistributions(t *testing.T) {
	s := New(3)
	const n = 200_000
	var counts [5]int
	var sum, sq, picked float64
	for range n {
		counts[s.IntN(5)]++
		x := s.Norm()
		sum, sq = sum+x, sq+x*x
		if s.Weighted([]float64{1, 0, 3}) == 2 {
			picked++
		}
	}
	for i, c := range counts {
		if math.Abs(float64(c)-n/5) > 5*math.Sqrt(n*.16) {
			t.Errorf("IntN(5) gave %d %d times in %d", i, c, n)
		}
	}
	if m := sum / n; math.Abs(m) > 5/math.Sqrt(n) {
		t.Errorf("Norm has mean %g", m)
	}
	if v := sq / n; math.Abs(v-1) > .02 {
		t.Errorf("Norm has variance %g", v)
	}
	if p := picked / n; math.Abs(p-.75) > .01 {
		t.Errorf("Weighted picked the heavy index with share %g, want .75", p)
	}
}

func TestPermIsAPermutation(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := New(rapid.Uint64().Draw(t, "seed"))
		n := rapid.IntRange(0, 50).Draw(t, "n")
		seen := make([]bool, n)
		for _, x := range s.Perm(n) {
			seen[x] = true
		}
		for i, ok := range seen {
			if !ok {
				t.Fatalf("%d is missing", i)
			}
		}
	})
}
