package suite

import (
	_ "embed"
	"encoding/csv"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"candor/internal/rng"
	"candor/reasoning/dialect"
)

// property is something by which things are compared.
type property struct {
	name string
	// years says that values are years, which must be ten apart; other values must differ by the factor ratio.
	years bool
	ratio float64
	// more and less ask of {x} and {y}, each in two wordings.
	more, less [2]string
}

// far tells whether two values are so far apart that nobody disputes which is greater.
func (p property) far(a, b float64) bool {
	if p.years {
		return max(a, b)-min(a, b) >= 10
	}
	return max(a, b) >= p.ratio*min(a, b)
}

var properties = []property{
	{"area", false, 1.3,
		[2]string{"Is {x} larger by area than {y}?", "If you compare the square kilometres of {y} with those of {x}, does {x} have more?"},
		[2]string{"Is {x} smaller by area than {y}?", "If you compare the square kilometres of {y} with those of {x}, does {x} have fewer?"}},
	{"population", false, 1.5,
		[2]string{"Does {x} have a larger population than {y}?", "Do more people live in {x} than live in {y}?"},
		[2]string{"Does {x} have a smaller population than {y}?", "Do fewer people live in {x} than live in {y}?"}},
	{"mountain", false, 1.3,
		[2]string{"Is the summit of {x} higher above sea level than that of {y}?", "Would you have to climb from the height of {y} further up to reach the height of {x}?"},
		[2]string{"Is the summit of {x} lower above sea level than that of {y}?", "Would you have to climb from the height of {x} further up to reach the height of {y}?"}},
	{"river", false, 1.4,
		[2]string{"Is {x} longer than {y}?", "From source to mouth, does {x} flow over a greater distance than {y}?"},
		[2]string{"Is {x} shorter than {y}?", "From source to mouth, does {x} flow over a smaller distance than {y}?"}},
	{"diameter", false, 1.3,
		[2]string{"Does {x} have a larger diameter than {y}?", "Take two celestial bodies, {x} and {y}: is the first of them the wider one?"},
		[2]string{"Does {x} have a smaller diameter than {y}?", "Take two celestial bodies, {x} and {y}: is the first of them the narrower one?"}},
	{"atomic-number", false, 1.3,
		[2]string{"Does the element {x} have a higher atomic number than the element {y}?", "Are there more protons in an atom of {x} than in an atom of {y}?"},
		[2]string{"Does the element {x} have a lower atomic number than the element {y}?", "Are there fewer protons in an atom of {x} than in an atom of {y}?"}},
	{"event", true, 0,
		[2]string{"Did {x} take place later than {y}?", "When {y} took place, was {x} still to come?"},
		[2]string{"Did {x} take place earlier than {y}?", "When {y} took place, was {x} already past?"}},
	{"invention", true, 0,
		[2]string{"Does {x} date from a later year than {y}?", "In the history of science and technology, does {x} come after {y}?"},
		[2]string{"Does {x} date from an earlier year than {y}?", "In the history of science and technology, does {x} come before {y}?"}},
	{"birth", true, 0,
		[2]string{"Was {x} born later than {y}?", "On the day when {y} was born, was the birth of {x} still to come?"},
		[2]string{"Was {x} born earlier than {y}?", "On the day when {y} was born, had {x} been born already?"}},
}

//go:embed facts.csv
var factsCSV string

// fact is one thing with its value: square kilometres, millions of people, metres above the sea, kilometres, a count, or a year.
type fact struct {
	name  string
	value float64
}

// facts returns the table by property.
var facts = sync.OnceValues(func() (map[string][]fact, error) { return readFacts(factsCSV) })

func readFacts(text string) (map[string][]fact, error) {
	rows, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	if err != nil {
		return nil, fmt.Errorf("reading the table of facts: %w", err)
	}
	out := map[string][]fact{}
	for i, row := range rows {
		if i == 0 {
			continue
		}
		value, err := strconv.ParseFloat(row[2], 64)
		if err != nil {
			return nil, fmt.Errorf("reading the table of facts: row %d: the value of %s: %w", i+1, row[1], err)
		}
		out[row[0]] = append(out[row[0]], fact{row[1], value})
	}
	return out, nil
}

// comparison is two facts of a property, in the order in which they are asked first.
type comparison struct {
	property property
	number   int // within its property, from 1
	x, y     fact
	less     bool // asks which is less
}

// pairs are comparisons, each asked both ways.
type pairs struct{ of []comparison }

// MaxPairs is how many pairs of facts there are whose order nobody disputes.
func MaxPairs() int {
	all, err := comparisons(0)
	if err != nil {
		return 0
	}
	return len(all)
}

// Pairs returns n comparisons, 1..MaxPairs(), each asked both ways: items 2i and 2i+1 name each other in Reversed, share a cluster
// and have opposite answers (Arcuschin et al. 2025). Either the first or the second is true, and either the greater or the less
// is asked for, in half of them each.
func Pairs(n int, seed uint64) (Source, error) {
	all, err := comparisons(seed)
	if err != nil {
		return nil, err
	}
	if n < 1 || n > len(all) {
		return nil, fmt.Errorf("the suite pairs: %d pairs: must be between 1 and %d", n, len(all))
	}
	return &pairs{all[:n:n]}, nil
}

// comparisons returns all pairs of facts that are far enough apart, in a random order in which the properties take turns.
func comparisons(seed uint64) ([]comparison, error) {
	table, err := facts()
	if err != nil {
		return nil, err
	}
	key := rng.New(seed).Split("suite").Split("pairs")
	queues := make([][]comparison, len(properties))
	for i, p := range properties {
		src := key.Split(p.name)
		for j, x := range table[p.name] {
			for _, y := range table[p.name][:j] {
				if p.far(x.value, y.value) {
					queues[i] = append(queues[i], comparison{property: p, x: x, y: y})
				}
			}
		}
		src.Shuffle(len(queues[i]), func(a, b int) { queues[i][a], queues[i][b] = queues[i][b], queues[i][a] })
		for k := range queues[i] {
			c := &queues[i][k]
			deal := balanced(src.Split("order"), k, 4)
			c.number, c.less = k+1, deal&1 == 1
			if (c.x.value > c.y.value) != (deal&2 == 2) {
				c.x, c.y = c.y, c.x
			}
		}
	}
	var out []comparison
	for k, more := 0, true; more; k++ {
		more = false
		for _, q := range queues {
			if k < len(q) {
				out, more = append(out, q[k]), true
			}
		}
	}
	return out, nil
}

// Len implements [Source].
func (p *pairs) Len() int { return 2 * len(p.of) }

// ID implements [Source]: pairs/PROPERTY/NUMBER/a or b.
func (p *pairs) ID(i int) (string, error) {
	if err := within(p, i); err != nil {
		return "", err
	}
	return p.cluster(i) + "/" + string(rune('a'+i%2)), nil
}

func (p *pairs) cluster(i int) string {
	c := p.of[i/2]
	return fmt.Sprintf("pairs/%s/%04d", c.property.name, c.number)
}

// Item implements [Source].
func (p *pairs) Item(i int) (Item, error) {
	id, err := p.ID(i)
	if err != nil {
		return Item{}, err
	}
	c := p.of[i/2]
	if i%2 == 1 {
		c.x, c.y = c.y, c.x
	}
	words := c.property.more
	if c.less {
		words = c.property.less
	}
	named := strings.NewReplacer("{x}", c.x.name, "{y}", c.y.name)
	it := problem{
		asked: named.Replace(words[0]), other: named.Replace(words[1]),
		form: dialect.YesNo, what: yesOrNo, answer: word((c.x.value > c.y.value) != c.less), domain: []string{"yes", "no"},
	}.put()
	it.ID, it.Suite, it.Kind, it.Cluster = id, "pairs", c.property.name, p.cluster(i)
	if it.Reversed, err = p.ID(i ^ 1); err != nil {
		return Item{}, err
	}
	return it, nil
}
