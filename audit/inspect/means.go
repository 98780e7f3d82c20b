package inspect

import (
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
)

// means are for each scorer the running mean of each sample over its epochs: what Inspect calls the mean reducer.
type means struct {
	places map[string]int32
	ids    []string
	by     map[string][]running // by scorer, then by place
}

type running struct {
	sum float64
	n   int32
}

func newMeans() means { return means{places: map[string]int32{}, by: map[string][]running{}} }

// place returns the number of an ID, in order of first appearance.
func (m *means) place(id string) int32 {
	p, ok := m.places[id]
	if !ok {
		p = int32(len(m.ids))
		m.places[id], m.ids = p, append(m.ids, id)
	}
	return p
}

func (m *means) add(place int32, scores map[string]Score) {
	for name, s := range scores {
		x, ok := s.number()
		if !ok {
			continue
		}
		r := m.by[name]
		for int(place) >= len(r) {
			r = append(r, running{})
		}
		r[place].sum += x
		r[place].n++
		m.by[name] = r
	}
}

// number returns a score as Inspect's mean counts it. Texts that are neither its letters nor numbers have none, nor has
// what is so large that a sum of them could be infinite.
func (s Score) number() (float64, bool) {
	x := s.Value
	switch s.Text {
	case "":
	case "C":
		return 1, true
	case "P":
		return .5, true
	case "I", "N":
		return 0, true
	default:
		var err error
		if x, err = strconv.ParseFloat(s.Text, 64); err != nil {
			return 0, false
		}
	}
	return x, math.Abs(x) < 1e290
}

// write writes reductions.json, one sample at a time.
func (m *means) write(out io.Writer) error {
	before := "["
	for _, name := range slices.Sorted(maps.Keys(m.by)) {
		scorer, err := encode(name)
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(out, `%s{"scorer":%s,"reducer":"mean","samples":[`, before, scorer); err != nil {
			return err
		}
		before = ""
		for p, r := range m.by[name] {
			if r.n == 0 {
				continue
			}
			line, err := encode(sampleScore{r.sum / float64(r.n), m.ids[p], []any{}})
			if err != nil {
				return fmt.Errorf("the mean score %q of sample %q: %w", name, m.ids[p], err)
			}
			if _, err := fmt.Fprintf(out, "%s%s", before, line); err != nil {
				return err
			}
			before = ",\n"
		}
		if _, err := io.WriteString(out, "]}"); err != nil {
			return err
		}
		before = ",\n"
	}
	if len(m.by) == 0 {
		_, err := io.WriteString(out, "[]")
		return err
	}
	_, err := io.WriteString(out, "]")
	return err
}
