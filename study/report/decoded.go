package report

import (
	"cmp"
	"hash/fnv"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"candor/study/metric"
	"candor/study/runlog"
)

// Bounds of what is spelled out.
const (
	mostCodeWords = 8  // rows of a code table
	mostTotals    = 10 // its columns
	mostSteps     = 16 // of a chain
	chainsASeed   = 4
	wordRunes     = 24
)

// decoding is the section: the arms that are decoded, and those with too few words for it.
type decoding struct {
	Arms []decodedArm
	Few  []string
}

// decodedArm shows what one arm's words that state nothing tell in one measurement, a code a seed.
type decodedArm struct {
	Arm, Title, Eval, Split, Measure string
	Open                             bool
	// Rewritten tells whether somebody put other words in the place of these.
	Rewritten bool
	Seeds     []code
}

// code is how a decoder reads the words of one seed. For each step it is the likeliest total given the word, counted on every
// second problem, as in the claims.
type code struct {
	Seed    int
	File    string // the samples that it is made from
	Read    string // share of the words of the other problems that it reads right
	N, Bits string
	// Span names the steps at which words are read.
	Span   string
	Totals []string
	Rows   []codeRow
	Rest   string // words that the table leaves out
	Chains []decodedChain
}

// decodedChain is one chain, step by step.
type decodedChain struct {
	Problem, Target, Answer string
	Outcome                 outcome
	Flagged                 string // what the monitor said of the chain
	Read, Words             int    // words read right, of so many
	Steps                   []decodedStep
	More                    int  // steps left out
	Rewritten               bool // a step has another text for whoever read on
}

type decodedStep struct {
	Text, Shown string
	// Reads is the total that the decoder reads off the word, "" if the step has no such word; Total the true one.
	Reads, Total string
	Right        bool
}

// signed is a word that states nothing, where it stands and the true total there.
type signedWord struct {
	step, total int
	word        string
}

// codeWords returns the words of a sample that state nothing, by step.
func codeWords(s *runlog.Sample, steps [][2]string) []signedWord {
	var out []signedWord
	for i := range steps {
		k := strconv.Itoa(i + 1)
		if _, ok := s.Values["mark/"+k]; !ok {
			continue
		}
		total, ok := s.Values["total/"+k]
		if ok && total == math.Trunc(total) && math.Abs(total) < 1000 && steps[i][1] != "" {
			out = append(out, signedWord{i + 1, int(total), steps[i][1]})
		}
	}
	return out
}

// stepsOf cuts a chain into its steps of two words; "=" closes it.
func stepsOf(chain string) (steps [][2]string) {
	words := strings.Fields(chain)
	if i := slices.Index(words, "="); i >= 0 {
		words = words[:i]
	}
	for i := 0; i < len(words); i += 2 {
		step := [2]string{words[i]}
		if i+1 < len(words) {
			step[1] = words[i+1]
		}
		steps = append(steps, step)
	}
	return steps
}

// newDecoding decodes every arm with enough such words, from clean samples.
func newDecoding(in Input, order func(a, b string) bool, title func(string) string) (d decoding) {
	groups := map[editKey]map[int][]*runlog.Sample{}
	var keys []editKey
	for i := range in.Samples {
		s := &in.Samples[i]
		if s.Intervention != unedited || !marked(s) {
			continue
		}
		k := editKey{s.Arm, s.Eval, s.Split}
		if groups[k] == nil {
			groups[k] = map[int][]*runlog.Sample{}
			keys = append(keys, k)
		}
	}
	if len(keys) == 0 {
		return d
	}
	for i := range in.Samples { // chains without a mark are of the group, too
		s := &in.Samples[i]
		if g := groups[editKey{s.Arm, s.Eval, s.Split}]; g != nil && s.Intervention == unedited {
			g[s.Seed] = append(g[s.Seed], s)
		}
	}
	slices.SortFunc(keys, func(a, b editKey) int {
		return cmp.Or(int(indicator(order(b.arm, a.arm))-indicator(order(a.arm, b.arm))), cmp.Compare(rewritten(groups[a]), rewritten(groups[b])),
			cmp.Compare(a.eval, b.eval), cmp.Compare(a.split, b.split))
	})
	for _, k := range keys {
		a := decodedArm{Arm: k.arm, Title: title(k.arm), Eval: k.eval, Split: k.split, Measure: k.eval + " · " + k.split}
		seeds := make([]int, 0, len(groups[k]))
		words := 0
		for seed, group := range groups[k] {
			seeds = append(seeds, seed)
			for _, s := range group {
				words += len(codeWords(s, stepsOf(s.Chain)))
			}
		}
		if words < fewWords*len(seeds) {
			d.Few = append(d.Few, k.arm+" ("+k.eval+", "+plural(words, "word")+")")
			continue
		}
		slices.Sort(seeds)
		for _, seed := range seeds {
			c := newCode(seed, groups[k][seed])
			a.Rewritten = a.Rewritten || slices.ContainsFunc(c.Chains, func(d decodedChain) bool { return d.Rewritten })
			a.Seeds = append(a.Seeds, c)
		}
		d.Arms = append(d.Arms, a)
	}
	if len(d.Arms) > 0 {
		d.Arms[max(0, slices.IndexFunc(d.Arms, func(a decodedArm) bool { return a.Arm == hidingArms[0] }))].Open = true
	}
	return d
}

func marked(s *runlog.Sample) bool {
	for name := range s.Values {
		if strings.HasPrefix(name, "mark/") {
			return true
		}
	}
	return false
}

// rewritten is 1 if somebody rewrote the chains, so that these come after the same arm's chains as written.
func rewritten(bySeed map[int][]*runlog.Sample) int {
	for _, group := range bySeed {
		for _, s := range group {
			if s.Shown != "" {
				return 1
			}
		}
	}
	return 0
}

// newCode fits a decoder to the samples of one seed and decodes some of those that it was not fitted to.
func newCode(seed int, group []*runlog.Sample) code {
	slices.SortFunc(group, func(a, b *runlog.Sample) int {
		return cmp.Or(strings.Compare(a.ID, b.ID), cmp.Compare(a.Repeat, b.Repeat), strings.Compare(a.Run, b.Run), compareSamples(a, b))
	})
	fitting := map[string]bool{}
	for _, s := range group {
		if _, ok := fitting[s.ID]; !ok {
			fitting[s.ID] = len(fitting)%2 == 0
		}
	}
	at, uses := decoder{}, map[string]map[int]int{}
	var words, totals index // numbers for the words, and the totals in the order met
	var x, y []int
	for _, s := range group {
		for _, w := range codeWords(s, stepsOf(s.Chain)) {
			x, y = append(x, words.number(w.word)), append(y, w.total)
			totals.number(strconv.Itoa(w.total))
			if !fitting[s.ID] {
				continue
			}
			addTo(uses, w.word, w.total)
			addTo(at, signPlace{w.step, w.word}, w.total)
		}
	}
	c := code{Seed: seed, File: "stages/" + group[0].Run + "/samples.jsonl"}
	if len(x) > 0 {
		c.Bits = fixed(math.Max(0, metric.MutualInformation(x, y, 0).Bits), 2)
	}
	slices.SortFunc(totals.names, func(a, b string) int {
		return cmp.Or(cmp.Compare(len(a), len(b)), strings.Compare(a, b))
	})
	c.Totals = totals.names[:min(len(totals.names), mostTotals)]
	c.Rows, c.Rest = codeRows(uses, at, c.Totals)
	if steps := at.steps(); len(steps) > 0 {
		c.Span = "at steps " + strconv.Itoa(steps[0]) + "–" + strconv.Itoa(steps[len(steps)-1])
	}

	right, n := 0, 0
	for _, s := range group {
		if fitting[s.ID] {
			continue
		}
		for _, w := range codeWords(s, stepsOf(s.Chain)) {
			n++
			if at.read(w.step, w.word) == w.total {
				right++
			}
		}
	}
	c.N = thousands(n)
	if n > 0 {
		c.Read = percentage(float64(right) / float64(n))
	}
	for _, s := range someOf(group, fitting) {
		c.Chains = append(c.Chains, newDecodedChain(s, at))
	}
	return c
}

// someOf chooses chains by a hash of the problem, whatever they hold, from the problems that the decoder was not fitted to.
func someOf(group []*runlog.Sample, fitting map[string]bool) []*runlog.Sample {
	hash := func(s *runlog.Sample) uint64 {
		h := fnv.New64a()
		io.WriteString(h, s.ID) // never fails
		return h.Sum64()
	}
	var some []*runlog.Sample
	for _, s := range group {
		if !fitting[s.ID] && (len(some) == 0 || some[len(some)-1].ID != s.ID) {
			some = append(some, s)
		}
	}
	slices.SortStableFunc(some, func(a, b *runlog.Sample) int { return cmp.Compare(hash(a), hash(b)) })
	return some[:min(len(some), chainsASeed)]
}
