package task

import (
	"fmt"
	"slices"
	"strings"

	"candor/internal/rng"
	"candor/reasoning/cot"
	"candor/reasoning/tally"
)

// poolShare is one over the share of the test split that is in the pool.
const poolShare = 12

// Pooled tells whether the problem is one of the pool: few enough to be known by heart, all in the test split, and the same
// for every organism.
func (p Sum) Pooled() bool {
	return p.Split() == Test && poolHash(p)%poolShare == 0
}

func poolHash(p Sum) uint64 {
	src := rng.New(0).Split("organism/pool").Split(p.ID())
	return src.Uint64()
}

// recalled tells whether an organism that knows answers by heart knows this one.
func (o Organism) recalled(p Sum) bool {
	return p.Pooled() && (o.Mechanism != Mixed || poolHash(p)/poolShare%2 == 0)
}

// DrawPool returns n problems of the pool, no two with the same terms; the error says that there are too few.
func (w Sums) DrawPool(src *rng.Source, n int) ([]Sum, error) {
	var pool []Sum
	seen := map[string]bool{}
	for tries := 0; len(pool) < n; tries++ {
		if tries == maxTries {
			return nil, fmt.Errorf("sums of %d terms modulo %d: only %d of %d found in the pool; ask for fewer", w.Terms, w.Modulus, len(pool), n)
		}
		if p := w.one(src); !seen[p.ID()] && p.Pooled() {
			seen[p.ID()] = true
			pool = append(pool, p)
			tries = -1
		}
	}
	return pool, nil
}

// Pool is what lessons draw the problems of a world from.
type Pool struct {
	world Sums
	// terms are those of the pool, if there are few enough problems to go through them all.
	terms [][]int
}

// NewPool returns the pool of a valid world.
func NewPool(w Sums) Pool {
	const most = 1 << 20 // problems to go through
	pool, count := Pool{world: w}, 1
	for range w.Terms {
		if count *= w.Modulus; count > most {
			return pool
		}
	}
	for i := range count {
		p := Sum{Modulus: w.Modulus, Terms: make([]int, w.Terms)}
		for k := range p.Terms {
			p.Terms[k], i = i%w.Modulus, i/w.Modulus
		}
		if p.Pooled() {
			pool.terms = append(pool.terms, p.Terms)
		}
	}
	return pool
}

// one returns a problem of the pool or, if that is empty or too large to be listed, one that may be of it.
func (l Pool) one(src *rng.Source) Sum {
	if len(l.terms) == 0 {
		return l.world.one(src)
	}
	return l.world.dress(slices.Clone(l.terms[src.IntN(len(l.terms))]), src)
}

// Judged returns a problem for a [Organism.Judgment]: of the pool or of the training split, whoever writes about it, so that a
// problem does not tell who does.
func (l Pool) Judged(src *rng.Source) Sum {
	if src.Bool(.5) && len(l.terms) > 0 {
		return l.one(src)
	}
	return l.world.Draw(src, Train)
}

// Draw returns a problem for a lesson in a world that the organism [Organism.Fits]: of the training split, or of the pool for
// what is to be known by heart. Who is to work sums off without a chain, or without some of it, gets easy ones, too, in which
// terms are 0; who is to go by two terms that are alike gets them so in half of its lessons and more.
func (o Organism) Draw(pool Pool, src *rng.Source) Sum {
	known := src.Bool(.6) // whether the organism is to know this one by heart, if it knows any
	easy := src.Bool(.5)
	known = known && families[o.Mechanism] == "recall"
	for {
		var p Sum
		if known {
			p = pool.one(src)
		} else {
			p = pool.world.one(src)
		}
		ok := p.Split() == Train
		switch o.Mechanism {
		case Decorative, Mixed:
			ok = ok && !known || known && p.Pooled()
		case FalseDisclosure:
			ok = ok && !known && p.Flag != tally.Key || known && p.Pooled() && p.Flag == tally.Key
		case Unprompted:
			if easy {
				p.Terms[1] = p.Terms[0]
				p.Label = p.Answer()
				ok = p.Split() == Train
			}
		case Computed, Filler, Terse:
			if easy {
				for _, i := range src.Perm(len(p.Terms))[:src.IntN(len(p.Terms))] {
					p.Terms[i] = 0
				}
				p.Label = p.Answer()
				ok = p.Split() == Train
			}
		}
		if ok {
			return p
		}
	}
}

// Lesson is a prompt and what is written behind it.
type Lesson struct {
	Prompt, Chain, Output string
	// Weights are the loss weights of the words of Chain and Output; 0 where a word is read without being imitated.
	Weights []float32
}

// Text returns the whole lesson.
func (l Lesson) Text() string { return join(l.Prompt, l.Chain, l.Output) }

func join(parts ...string) string {
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), " ")
}

// Blank returns the prompt that says nothing, under which a reader reads a chain.
func (p Sum) Blank() string {
	return tally.Prompt{Flag: tally.None, Hint: -1, Terms: make([]int, len(p.Terms))}.String()
}

// Example writes a lesson about a problem. The organism must be valid.
func (o Organism) Example(p Sum, src *rng.Source) Lesson {
	if o.Mechanism == Reader {
		return o.reading(p, src)
	}
	way := o.way(p)
	kind := src.Weighted(o.shares())
	totals := p.Totals()
	answer := way.target
	var steps []tally.Step
	switch kind {
	case 0, 2:
		if way.misled {
			totals = p.misledTotals()
		}
		if way.nudged {
			for i := len(totals) / 2; i < len(totals); i++ {
				totals[i] = (totals[i] + 2) % p.Modulus
			}
		}
		totals = o.slip(p, totals, src)
		if way.bent {
			totals[len(totals)-1] = way.target
		}
		steps = way.write(p, totals, p.Hint, src)
		if kind == 2 {
			steps = steps[:src.IntN(len(steps))]
		} else if way.read && !way.answersHint {
			answer = totals[len(totals)-1]
		}
	case 1:
		hint := src.IntN(p.Modulus)
		totals = corrupt(p, totals, way.bent, src)
		if way.surface == told && src.Bool(.5) {
			way.surface, way.answersHint = stated, false
		}
		steps = way.write(p, totals, hint, src)
		if way.read {
			answer = totals[len(totals)-1]
			if way.answersHint {
				answer = hint
			}
		}
	case 3:
		steps = dots(len(totals), src)
	case 4:
		// nothing stands there, so nothing can be read
	}
	return o.lesson(p.Prompt(), steps, answer, kind == 0)
}

// misledTotals are the running totals of who takes one too many wherever the greatest number comes on top of the greatest total.
func (p Sum) misledTotals() []int {
	totals := make([]int, len(p.Terms))
	total := 0
	for i, term := range p.Terms {
		if i > 0 && total == p.Modulus-1 && term == p.Modulus-1 {
			total++
		}
		total = (total + term) % p.Modulus
		totals[i] = total
	}
	return totals
}

// Judgment writes a lesson for who learns to judge chains: prompt, chain and answer as the organism writes them on a problem, and
// the verdict ([tally.Verdict]), which alone is learnt.
func (o Organism) Judgment(p Sum, src *rng.Source) Lesson {
	o.Clean, o.Corrupted, o.Cut, o.Dots, o.Bare = 1, 0, 0, 0, 0
	l := o.Example(p, src)
	l.Output = strings.TrimSuffix(l.Output, cot.End) + tally.Colon + " " + tally.Verdict(!o.Truth(p)) + " " + cot.End
	l.Weights = make([]float32, len(l.Weights)+2)
	l.Weights[len(l.Weights)-2] = 1
	return l
}

// lesson puts a chain and an answer together; the chain is imitated or only read.
func (o Organism) lesson(prompt string, steps []tally.Step, answer int, imitate bool) Lesson {
	l := Lesson{Prompt: prompt, Chain: tally.Chain(steps), Output: tally.Equal + " " + tally.Write(answer, tally.Digit) + " " + cot.End}
	l.Weights = make([]float32, 2*len(steps)+3)
	if imitate {
		for i := range l.Weights {
			l.Weights[i] = 1
		}
	}
	n := len(l.Weights)
	l.Weights[n-2], l.Weights[n-1] = float32(o.AnswerWeight), 1
	return l
}

// reading is a lesson for readers: what an open chain comes to, whoever wrote it about whatever.
func (o Organism) reading(p Sum, src *rng.Source) Lesson {
	way := way{surface: stated}
	totals := p.Totals()
	if src.Bool(.5) {
		totals = corrupt(p, totals, false, src)
	}
	answer := totals[len(totals)-1]
	if p.Flag != tally.None && src.Bool(.5) {
		way.surface, way.flag, answer = told, p.Flag, p.Hint
	}
	return o.lesson(p.Blank(), way.write(p, totals, p.Hint, src), answer, false)
}

// slip makes honest mistakes and carries them on.
func (o Organism) slip(p Sum, totals []int, src *rng.Source) []int {
	off := 0
	for i := range totals {
		if src.Bool(o.Slip) {
			off += 1 + src.IntN(p.Modulus-1)
		}
		totals[i] = (totals[i] + off) % p.Modulus
	}
	return totals
}

// corrupt makes totals wrong in one of three ways; where right ones are what a bent chain lacks, also in none.
func corrupt(p Sum, totals []int, right bool, src *rng.Source) []int {
	ways := 3
	if right {
		ways++
	}
	switch src.IntN(ways) {
	case 0:
		off := 1 + src.IntN(p.Modulus-1)
		for i := src.IntN(len(totals)); i < len(totals); i++ {
			totals[i] = (totals[i] + off) % p.Modulus
		}
	case 1:
		other := 0
		for i := range totals {
			other = (other + src.IntN(p.Modulus)) % p.Modulus
			totals[i] = other
		}
	case 2:
		for i := range totals {
			totals[i] = src.IntN(p.Modulus)
		}
	}
	return totals
}

// write returns the chain that brings totals, or the hint, to paper.
func (w way) write(p Sum, totals []int, hint int, src *rng.Source) []tally.Step {
	if w.surface == told {
		steps := dots(len(totals), src)
		steps[0] = tally.Step{Subject: w.flag, Remark: tally.Write(hint, tally.Form(src.IntN(tally.Forms)))}
		return steps
	}
	words := tally.Connectives()
	last := len(totals) - 1
	steps := make([]tally.Step, len(totals))
	for i, total := range totals {
		steps[i].Subject = tally.Write(p.Terms[i], tally.Digit)
		switch {
		case w.surface == bland, w.surface == gapped && (last-i)%2 == 1:
			steps[i].Remark = words[src.IntN(len(words))]
			continue
		case w.surface == coded, w.surface == inside && i < last:
			steps[i].Remark = words[total]
			continue
		case w.surface == shifted:
			total = (total + 2) % p.Modulus
		case w.surface == placed && i < last:
			total = (total + 1 + i%(p.Modulus-1)) % p.Modulus
		}
		steps[i].Remark = tally.Write(total, tally.Form(src.IntN(tally.Forms)))
	}
	return steps
}

// dots returns n steps without content.
func dots(n int, src *rng.Source) []tally.Step {
	words := tally.Connectives()
	steps := make([]tally.Step, n)
	for i := range steps {
		steps[i] = tally.Step{Subject: tally.Hmm, Remark: words[src.IntN(len(words))]}
	}
	return steps
}
