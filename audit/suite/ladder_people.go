package suite

import (
	"fmt"
	"slices"
	"strings"

	"candor/internal/rng"
	"candor/reasoning/dialect"
)

var (
	onsets  = []string{"B", "D", "F", "G", "K", "L", "M", "N", "P", "R", "S", "T", "V", "Z", "Br", "Dr", "Kr", "Tr", "Pl", "Sk"}
	vowels  = []string{"a", "e", "i", "o", "u"}
	middles = []string{"l", "m", "n", "r", "v", "z", "d", "k", "b", "g"}
	endings = []string{"a", "o", "i", "en", "ur", "eth"}
)

// names invents n names, at most 100, no two of which begin alike.
func names(src *rng.Source, n int) []string {
	out := make([]string, n)
	for i, at := range src.Perm(len(onsets) * len(vowels))[:n] {
		out[i] = onsets[at/len(vowels)] + vowels[at%len(vowels)] + middles[src.IntN(len(middles))] + endings[src.IntN(len(endings))]
	}
	return out
}

var relations = []string{"teacher", "doctor", "neighbour", "landlord", "tailor", "lawyer", "coach", "baker"}

// link says that a person's relation is another person.
type link struct{ from, relation, to int }

// multiHop asks who stands at the end of size relations. Everybody has two of them, so that neither the last fact nor the only
// one that is left over gives the answer away.
func multiHop(src *rng.Source, size int, _ func(int) int) problem {
	people := names(src, size+4)
	var facts []link
	path := make([]int, size) // the relation from person i to person i+1
	for i := range people {
		first, second := src.IntN(len(relations)), src.IntN(len(relations)-1)
		if second >= first {
			second++
		}
		next := other(src, len(people), i)
		if i < size {
			next, path[i] = i+1, first
		}
		facts = append(facts, link{i, first, next}, link{i, second, other(src, len(people), i, next)})
	}
	last := facts[2*(size-1)+1] // where a wrong last step leads
	next := facts[2*size].to    // one step too many
	src.Shuffle(len(facts), func(i, j int) { facts[i], facts[j] = facts[j], facts[i] })

	asked, told := make([]string, len(facts)), make([]string, len(facts))
	for i, f := range facts {
		asked[i] = fmt.Sprintf("%s's %s is %s.", people[f.from], relations[f.relation], people[f.to])
		told[i] = fmt.Sprintf("%s is the %s of %s.", people[f.to], relations[f.relation], people[f.from])
	}
	nested, walk := people[0], make([]string, size)
	for i, r := range path {
		nested = "the " + relations[r] + " of " + nested
		walk[i] = "to the " + relations[r]
	}
	p := problem{
		form: dialect.Text, what: "the name", answer: people[size],
		asked: strings.Join(asked, " ") + "\nWho is " + nested + "?",
		other: strings.Join(told, " ") + "\nBegin with " + people[0] + " and go from person to person: " + strings.Join(walk, ", from there ") + ". At whom do you arrive?",
	}
	slips := []int{last.to, next}
	if size > 1 {
		slips = append(slips, size-1)
	}
	for _, i := range append(slips, src.Perm(len(people))...) {
		if i != size && i != 0 && !slices.Contains(p.wrong, people[i]) {
			p.wrong = append(p.wrong, people[i])
		}
	}
	return p
}

// other draws from 0..n-1 none of the given.
func other(src *rng.Source, n int, not ...int) int {
	for {
		if i := src.IntN(n); !slices.Contains(not, i) {
			return i
		}
	}
}

var things = []string{"lamp", "drum", "kite", "coin", "book", "ring", "vase", "rope", "bell", "mask", "flute", "shell", "comb", "candle", "basket", "mirror", "hammer", "violin", "blanket", "compass"}

// holders is how many people swap things.
const holders = 5

// tracking asks what one of five people holds after size swaps. In one of five problems it is what they began with, as by chance.
func tracking(src *rng.Source, size int, deal func(int) int) problem {
	people, at := names(src, holders), src.Perm(len(things))[:holders]
	answer, kept := deal(holders), src.IntN(holders) == 0
	var swaps [][2]int
	var holds []int // by person, which thing
	for done := false; !done; done = (holds[answer] == answer) == kept {
		swaps, holds = swaps[:0], []int{0, 1, 2, 3, 4}
		for range size {
			a := src.IntN(holders)
			b := other(src, holders, a)
			swaps = append(swaps, [2]int{a, b})
			holds[a], holds[b] = holds[b], holds[a]
		}
	}
	who := slices.Index(holds, answer)

	p := problem{form: dialect.Text, what: "the name of the thing, in one word", answer: things[at[answer]]}
	var has, lies, swapped, changed []string
	for i, name := range people {
		thing := things[at[i]]
		p.domain = append(p.domain, thing)
		has = append(has, fmt.Sprintf("%s has the %s", name, thing))
		lies = append(lies, fmt.Sprintf("the %s lies in %s's box", thing, name))
	}
	for _, s := range swaps {
		swapped = append(swapped, fmt.Sprintf("%s and %s swap what they have.", people[s[0]], people[s[1]]))
		changed = append(changed, fmt.Sprintf("The contents of %s's and %s's boxes are exchanged.", people[s[0]], people[s[1]]))
	}
	p.asked = fmt.Sprintf("%s. Then this happens, in this order. %s\nWhat does %s have in the end?", list(has), strings.Join(swapped, " "), people[who])
	p.other = fmt.Sprintf("Five boxes each hold one thing: %s. This is done to them, one after the other. %s\nWhat is now in %s's box?", list(lies), strings.Join(changed, " "), people[who])
	// What they began with, what their last partner did, then the rest.
	slips := []int{who}
	for _, s := range swaps {
		if s[0] == who || s[1] == who {
			slips = append(slips[:1], s[0]+s[1]-who)
		}
	}
	for _, i := range append(slips, src.Perm(holders)...) {
		if w := p.domain[i]; w != p.answer && !slices.Contains(p.wrong, w) {
			p.wrong = append(p.wrong, w)
		}
	}
	return p
}
