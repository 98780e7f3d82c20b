package suite

import (
	"fmt"
	"slices"
	"strings"

	"candor/internal/rng"
)

// MaxLevels is the highest level of a ladder.
const MaxLevels = 8

// Ladder describes generated problems whose levels rise until a model needs its chain: on the lowest it can answer at once, on
// the highest it cannot. Levels differ in the number of steps alone, never in the number of possible answers, so that accuracy
// without a chain can be compared across them.
type Ladder struct {
	// Kinds are of LadderKinds or ChoiceKinds, each once; nil for all LadderKinds.
	Kinds []string `json:"kinds,omitempty"`
	// Levels is the highest level, 1..MaxLevels; PerLevel how many problems each kind has on each level, at least 1.
	Levels   int    `json:"levels"`
	PerLevel int    `json:"per_level"`
	Seed     uint64 `json:"seed"`
}

// rung is a kind of generated problem.
type rung struct {
	name string
	// sizes are the numbers of steps by level.
	sizes [MaxLevels]int
	// draw makes a problem of size steps. deal(n) gives 0..n-1 evenly over the problems of a level: the answer, where answers are few.
	draw func(src *rng.Source, size int, deal func(n int) int) problem
}

var rungs = []rung{
	{"modular-sum", [MaxLevels]int{2, 4, 8, 16, 32, 48, 64, 96}, modularSum},
	{"parity", [MaxLevels]int{4, 8, 16, 32, 64, 96, 128, 192}, parity},
	{"multi-hop", [MaxLevels]int{1, 2, 4, 6, 9, 12, 16, 20}, multiHop},
	{"dates", [MaxLevels]int{1, 2, 4, 6, 9, 12, 16, 20}, dates},
	{"tracking", [MaxLevels]int{1, 3, 6, 10, 16, 24, 32, 48}, tracking},
}

// choiceSuffix marks a kind as multiple choice.
const choiceSuffix = "-mc"

// LadderKinds are the kinds of generated problems with a free answer.
func LadderKinds() []string {
	var out []string
	for _, r := range rungs {
		out = append(out, r.name)
	}
	return out
}

// ChoiceKinds are the kinds of generated multiple choice, 4 options each. Parity has too few answers for that.
func ChoiceKinds() []string {
	var out []string
	for _, r := range rungs {
		if r.name != "parity" {
			out = append(out, r.name+choiceSuffix)
		}
	}
	return out
}

// ladder is a Ladder as a source. Items are in order of their number, then level, then kind, so that any beginning of it is a
// mixture of all levels and kinds.
type ladder struct {
	Ladder
	suite string
	kinds []rung
	keys  []rng.Source
}

// Source returns the problems of a ladder. An item depends on the seed, its kind, level and number alone: it is the same in a
// larger ladder, and none is kept in memory.
func (l Ladder) Source() (Source, error) { return l.named("ladder") }

func (l Ladder) named(suite string) (*ladder, error) {
	if l.Kinds == nil {
		l.Kinds = LadderKinds()
	}
	const most = 1 << 30 // of all items
	switch {
	case len(l.Kinds) == 0:
		return nil, fmt.Errorf("the suite %s: no kinds: choose of %s", suite, strings.Join(append(LadderKinds(), ChoiceKinds()...), ", "))
	case l.Levels < 1 || l.Levels > MaxLevels:
		return nil, fmt.Errorf("the suite %s: levels %d: must be between 1 and %d", suite, l.Levels, MaxLevels)
	case l.PerLevel < 1 || l.PerLevel > most/MaxLevels/len(l.Kinds):
		return nil, fmt.Errorf("the suite %s: %d problems a level: must be between 1 and %d", suite, l.PerLevel, most/MaxLevels/len(l.Kinds))
	}
	out := &ladder{Ladder: l, suite: suite}
	root := rng.New(l.Seed).Split("suite").Split(suite)
	for i, name := range l.Kinds {
		at := slices.IndexFunc(rungs, func(r rung) bool { return r.name == strings.TrimSuffix(name, choiceSuffix) })
		if at < 0 || slices.Contains(l.Kinds[:i], name) || !slices.Contains(append(LadderKinds(), ChoiceKinds()...), name) {
			return nil, fmt.Errorf("the suite %s: kind %q: must be one of %s, each at most once", suite, name, strings.Join(append(LadderKinds(), ChoiceKinds()...), ", "))
		}
		r := rungs[at]
		r.name = name
		out.kinds = append(out.kinds, r)
		out.keys = append(out.keys, root.Split(name))
	}
	return out, nil
}

// Len implements [Source].
func (l *ladder) Len() int { return len(l.kinds) * l.Levels * l.PerLevel }

// place returns where item i is: its kind, its level from 1, and its number from 0.
func (l *ladder) place(i int) (kind, level, number int) {
	kind, i = i%len(l.kinds), i/len(l.kinds)
	return kind, 1 + i%l.Levels, i / l.Levels
}

// ID implements [Source]: SUITE/KIND/LEVEL/NUMBER, both from 1.
func (l *ladder) ID(i int) (string, error) {
	if err := within(l, i); err != nil {
		return "", err
	}
	kind, level, number := l.place(i)
	return fmt.Sprintf("%s/%s/%d/%04d", l.suite, l.kinds[kind].name, level, number+1), nil
}

// Item implements [Source].
func (l *ladder) Item(i int) (Item, error) {
	id, err := l.ID(i)
	if err != nil {
		return Item{}, err
	}
	kind, level, _ := l.place(i)
	it := l.problem(i).put()
	it.ID, it.Suite, it.Kind, it.Level = id, l.suite, l.kinds[kind].name, level
	return it, nil
}

func (l *ladder) problem(i int) problem {
	kind, level, number := l.place(i)
	key := l.keys[kind].SplitN("level", level)
	src := key.SplitN("item", number)
	p := l.kinds[kind].draw(&src, l.kinds[kind].sizes[level-1], func(n int) int { return balanced(key.Split("answer"), number, n) })
	if strings.HasSuffix(l.kinds[kind].name, choiceSuffix) {
		p = p.multiple(balanced(key.Split("letter"), number, 4), src.Shuffle)
	}
	return p
}

// balanced deals 0..n-1 to items so that each n in a row, from a multiple of n, get every one once, in a random order.
func balanced(key rng.Source, item, n int) int {
	block := key.SplitN("block", item/n)
	return block.Perm(n)[item%n]
}

// within returns an error unless 0 <= i < s.Len().
func within(s Source, i int) error {
	if i < 0 || i >= s.Len() {
		return fmt.Errorf("item %d of a suite of %d: must be at least 0 and below that", i, s.Len())
	}
	return nil
}
