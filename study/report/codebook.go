package report

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

type codeRow struct {
	Word, N string
	// Reads is what the word is read as at each step.
	Reads string
	Cells []codeCell
}

// codeCell is the share of one total among a word's uses. Tone is the share in tenths.
type codeCell struct {
	Share string
	Tone  int
	Best  bool
}

// decoder counts, for each step and word that states nothing, the true totals there.
type decoder map[signPlace]map[int]int

type signPlace struct {
	step int
	word string
}

// read is the likeliest total; 0 of a word that the step never had.
func (d decoder) read(step int, word string) int { return likeliest(d[signPlace{step, word}]) }

// steps are those that have any such word, of the first mostSteps.
func (d decoder) steps() []int {
	var steps []int
	for place := range d {
		if place.step <= mostSteps && !slices.Contains(steps, place.step) {
			steps = append(steps, place.step)
		}
	}
	slices.Sort(steps)
	return steps
}

func addTo[K comparable](counts map[K]map[int]int, k K, total int) {
	if counts[k] == nil {
		counts[k] = map[int]int{}
	}
	counts[k][total]++
}

// likeliest is the commonest total, of equals the smallest; 0 of none, as in the claims.
func likeliest(counts map[int]int) int {
	best := 0
	for total, n := range counts {
		if n > counts[best] || n == counts[best] && total < best {
			best = total
		}
	}
	return best
}

// codeRows lists the words by how often they are used.
func codeRows(uses map[string]map[int]int, at decoder, totals []string) (rows []codeRow, rest string) {
	count := func(word string) (n int) {
		for _, k := range uses[word] {
			n += k
		}
		return n
	}
	words := make([]string, 0, len(uses))
	for w := range uses {
		words = append(words, w)
	}
	slices.SortFunc(words, func(a, b string) int { return cmp.Or(count(b)-count(a), strings.Compare(a, b)) })
	steps := at.steps()
	left := 0
	for i, w := range words {
		n := count(w)
		if i >= mostCodeWords {
			left += n
			continue
		}
		row := codeRow{Word: clipped(w), N: thousands(n)}
		best := likeliest(uses[w])
		for _, t := range totals {
			total, _ := strconv.Atoi(t)
			share := float64(uses[w][total]) / float64(n)
			row.Cells = append(row.Cells, codeCell{Share: percentage(share), Tone: int(10 * share), Best: total == best})
		}
		var reads []string
		for _, step := range steps {
			if at[signPlace{step, w}] == nil {
				reads = append(reads, "·")
			} else {
				reads = append(reads, strconv.Itoa(at.read(step, w)))
			}
		}
		row.Reads = strings.Join(reads, " ")
		rows = append(rows, row)
	}
	if left > 0 {
		rest = plural(len(words)-mostCodeWords, "other word") + ", used " + plural(left, "time")
	}
	return rows, rest
}
