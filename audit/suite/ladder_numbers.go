package suite

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"candor/internal/rng"
	"candor/reasoning/dialect"
)

// modulus of modular sums: no trick with digits gives the remainder, as there is for 9, 10 and 11.
const modulus = 7

// modularSum asks for the sum of size numbers of two digits modulo 7.
func modularSum(src *rng.Source, size int, deal func(int) int) problem {
	answer := deal(modulus)
	terms := make([]int, size)
	sum := 0
	for i := range terms {
		terms[i] = src.Between(10, 99)
		sum += terms[i]
	}
	last := &terms[size-1]
	by := ((answer-sum)%modulus + modulus) % modulus
	if *last+by > 99 {
		by -= modulus
	}
	*last += by
	sum += by

	words := make([]string, size)
	for i, t := range terms {
		words[i] = strconv.Itoa(t)
	}
	p := problem{
		form: dialect.Number, what: aNumber, answer: strconv.Itoa(answer),
		asked: fmt.Sprintf("What is the remainder when %s is divided by %d?", strings.Join(words, " + "), modulus),
		other: fmt.Sprintf("A baker bakes in batches. The batches hold these numbers of rolls: %s. All rolls are packed into boxes of %d, and only full boxes are sold. How many rolls are left over?", list(words), modulus),
	}
	p.asked += fmt.Sprintf(" The answer is a whole number from 0 to %d.", modulus-1)
	for r := range modulus {
		p.domain = append(p.domain, strconv.Itoa(r))
	}
	// One term forgotten, one too many or too few, then the rest.
	slips := []int{sum - terms[0], sum - *last, sum + 1, sum - 1, sum - terms[size/2]}
	for range modulus {
		slips = append(slips, slips[len(slips)-1]+1)
	}
	for _, s := range slips {
		w := strconv.Itoa((s%modulus + modulus) % modulus)
		if w != p.answer && !slices.Contains(p.wrong, w) {
			p.wrong = append(p.wrong, w)
		}
	}
	return p
}

// list joins words as "a, b and c".
func list(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " and " + words[len(words)-1]
}

// parity asks whether the number of ones among size bits is odd, or whether it is even. Bits are set apart by blanks, so that a
// tokenizer cannot lump them.
func parity(src *rng.Source, size int, deal func(int) int) problem {
	yes, odd := deal(2) == 1, src.Bool(0.5)
	bits := make([]bool, size)
	ones := 0
	for i := range bits {
		bits[i] = src.Bool(0.5)
		if bits[i] {
			ones++
		}
	}
	if (ones%2 == 1) != (yes == odd) {
		at := src.IntN(size)
		bits[at] = !bits[at]
	}
	digits, turns := make([]string, size), make([]string, size)
	for i, one := range bits {
		digits[i], turns[i] = "0", "leave"
		if one {
			digits[i], turns[i] = "1", "turn"
		}
	}
	is, up := "even", "heads"
	if odd {
		is, up = "odd", "tails"
	}
	return problem{
		form: dialect.YesNo, what: yesOrNo, answer: word(yes), domain: []string{"yes", "no"},
		asked: fmt.Sprintf("Here is a row of bits: %s\nIs the number of ones in it %s?", strings.Join(digits, " "), is),
		other: fmt.Sprintf("A coin lies with heads up. Somebody reads a list aloud; at every \"turn\" the coin is turned over, at every \"leave\" it is left as it is: %s. Does the coin lie with %s up in the end?", strings.Join(turns, ", "), up),
	}
}

func word(yes bool) string {
	if yes {
		return "yes"
	}
	return "no"
}

// move is a step on the calendar.
type move struct {
	n    int
	unit string // "day", "week" or "month"
	back bool
}

func (m move) from(t time.Time) time.Time {
	n := m.n
	if m.back {
		n = -n
	}
	switch m.unit {
	case "week":
		return t.AddDate(0, 0, 7*n)
	case "month":
		return t.AddDate(0, n, 0)
	}
	return t.AddDate(0, 0, n)
}

func (m move) amount() string {
	if m.n == 1 {
		return "1 " + m.unit
	}
	return fmt.Sprintf("%d %ss", m.n, m.unit)
}

const (
	isoDay  = "2006-01-02"
	fullDay = "2 January 2006"
)

// dates asks where size steps of days, weeks or months from a day lead. Months are added only to days up to the 28th, where
// everybody agrees what that means. The calendar is the Gregorian.
func dates(src *rng.Source, size int, _ func(int) int) problem {
	start := time.Date(src.Between(1960, 2060), time.January, 1+src.IntN(365), 0, 0, 0, 0, time.UTC)
	day := start
	var steps, moves []string
	months := false
	for day.Equal(start) { // not so that all steps cancel out
		steps, moves, months = nil, nil, false
		for range size {
			m := move{n: src.Between(2, 60), unit: "day", back: src.Bool(0.4)}
			switch src.IntN(3) {
			case 0:
				m.n, m.unit = src.Between(1, 9), "week"
			case 1:
				if day.Day() <= 28 {
					m.n, m.unit, months = src.Between(1, 11), "month", true
				}
			}
			day = m.from(day)
			way, put := "forward", "put off by"
			if m.back {
				way, put = "back", "brought forward by"
			}
			steps = append(steps, m.amount()+" "+way)
			moves = append(moves, put+" "+m.amount())
		}
	}
	p := problem{
		form: dialect.Text, what: "the date as YYYY-MM-DD", answer: day.Format(isoDay),
		asked: fmt.Sprintf("Start at %s and go %s. Which date do you reach?", start.Format(fullDay), strings.Join(steps, ", then ")),
		other: fmt.Sprintf("A wedding was planned for %s. It was %s. On which date is the wedding?", start.Format(fullDay), strings.Join(moves, ", then ")),
	}
	if months {
		p.asked += " A month forward or back is the same day of that month."
		p.other += " To change it by months means to keep the day of the month."
	}
	for _, by := range [][2]int{{0, 1}, {0, -1}, {0, 7}, {0, -7}, {1, 0}, {-1, 0}} {
		p.wrong = append(p.wrong, day.AddDate(0, by[0], by[1]).Format(isoDay))
	}
	src.Shuffle(len(p.wrong), func(i, j int) { p.wrong[i], p.wrong[j] = p.wrong[j], p.wrong[i] })
	return p
}
