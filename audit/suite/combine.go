package suite

import (
	"fmt"
	"slices"
	"strings"

	"candor/internal/rng"
)

// picked is some items of a source, in an order.
type picked struct {
	from Source
	of   []uint32
}

func (p *picked) Len() int { return len(p.of) }

func (p *picked) ID(i int) (string, error) {
	if err := within(p, i); err != nil {
		return "", err
	}
	return p.from.ID(int(p.of[i]))
}

func (p *picked) Item(i int) (Item, error) {
	if err := within(p, i); err != nil {
		return Item{}, err
	}
	return p.from.Item(int(p.of[i]))
}

func (p *picked) Close() error { return Close(p.from) }

// Limit keeps the first items, "10", or a range from 1 with both ends, "11-20", as Inspect's --limit does; "" keeps all. A limit
// beyond the end is no error, a range that begins there is.
func Limit(s Source, limit string) (Source, error) {
	if limit == "" {
		return s, nil
	}
	fault := fmt.Errorf("limit %q: must be a number of items, such as 10, or a range from 1, such as 11-20", limit)
	from, to := 1, 0
	var err error
	if a, b, ranged := strings.Cut(limit, "-"); ranged {
		if from, err = number(a); err != nil {
			return nil, fault
		}
		limit = b
	}
	if to, err = number(limit); err != nil || to < from {
		return nil, fault
	}
	if from > s.Len() {
		return nil, fmt.Errorf("limit from %d on: there are only %d items", from, s.Len())
	}
	out := &picked{from: s}
	for i := from - 1; i < min(to, s.Len()); i++ {
		out.of = append(out.of, uint32(i))
	}
	return out, nil
}

// Only keeps the items whose ID matches one of some patterns, separated by commas, in which * stands for any characters; "" keeps
// all. A pattern is compared with the whole ID and with what follows its first slash, so that "17" is enough for "mmlu/17". One
// that matches nothing is an error.
func Only(s Source, patterns string) (Source, error) {
	if patterns == "" {
		return s, nil
	}
	globs := strings.Split(patterns, ",")
	for i := range globs {
		globs[i] = strings.TrimSpace(globs[i])
	}
	used := make([]bool, len(globs))
	out := &picked{from: s}
	for i := range s.Len() {
		id, err := s.ID(i)
		if err != nil {
			return nil, fmt.Errorf("looking for the items %s: %w", patterns, err)
		}
		_, rest, _ := strings.Cut(id, "/")
		found := false
		for k, g := range globs {
			if glob(g, id) || rest != "" && glob(g, rest) {
				used[k], found = true, true
			}
		}
		if found {
			out.of = append(out.of, uint32(i))
		}
	}
	if k := slices.Index(used, false); k >= 0 {
		example := ""
		if s.Len() > 0 {
			id, err := s.ID(0)
			if err != nil {
				return nil, err
			}
			example = fmt.Sprintf("; the first is %q", id)
		}
		return nil, fmt.Errorf("no item of %d has an ID like %q%s", s.Len(), globs[k], example)
	}
	return out, nil
}

// glob tells whether a text matches a pattern in which * stands for any characters.
func glob(pattern, text string) bool {
	first, rest, star := strings.Cut(pattern, "*")
	if !star {
		return pattern == text
	}
	text, ok := strings.CutPrefix(text, first)
	if !ok {
		return false
	}
	parts := strings.Split(rest, "*")
	for _, part := range parts[:len(parts)-1] {
		at := strings.Index(text, part)
		if at < 0 {
			return false
		}
		text = text[at+len(part):]
	}
	return strings.HasSuffix(text, parts[len(parts)-1])
}

// Shuffle puts the items in a random order. Their IDs, and all that is drawn for them, stay as they are.
func Shuffle(s Source, seed uint64) Source {
	src := rng.New(seed).Split("suite").Split("shuffle")
	of := make([]uint32, s.Len())
	for i := range of {
		of[i] = uint32(i)
	}
	src.Shuffle(len(of), func(i, j int) { of[i], of[j] = of[j], of[i] })
	return &picked{s, of}
}

// joined is several sources, one after the other.
type joined struct {
	of   []Source
	ends []int
}

// Concat puts sources one after the other. Two items with the same ID are an error.
func Concat(sources ...Source) (Source, error) {
	out := &joined{of: sources}
	n := 0
	for _, s := range sources {
		n += s.Len()
		out.ends = append(out.ends, n)
	}
	if len(sources) == 1 {
		return sources[0], nil
	}
	type hashed struct {
		hash uint64
		item uint32
	}
	all := make([]hashed, n)
	for i := range all {
		id, err := out.ID(i)
		if err != nil {
			return nil, fmt.Errorf("putting suites together: %w", err)
		}
		all[i] = hashed{hashOf(id), uint32(i)}
	}
	slices.SortFunc(all, func(a, b hashed) int {
		switch {
		case a.hash < b.hash:
			return -1
		case a.hash > b.hash:
			return 1
		}
		return 0
	})
	for k := 1; k < n; k++ {
		if all[k].hash != all[k-1].hash {
			continue
		}
		a, errA := out.ID(int(all[k-1].item))
		b, errB := out.ID(int(all[k].item))
		if errA == nil && errB == nil && a == b {
			return nil, fmt.Errorf("putting suites together: two items have the ID %q: name each suite once, and files differently", a)
		}
	}
	return out, nil
}

// Len implements [Source].
func (j *joined) Len() int {
	if len(j.ends) == 0 {
		return 0
	}
	return j.ends[len(j.ends)-1]
}

// find returns the source of item i and its place there.
func (j *joined) find(i int) (Source, int, error) {
	if err := within(j, i); err != nil {
		return nil, 0, err
	}
	at, _ := slices.BinarySearch(j.ends, i+1)
	return j.of[at], i - (j.ends[at] - j.of[at].Len()), nil
}

// ID implements [Source].
func (j *joined) ID(i int) (string, error) {
	s, at, err := j.find(i)
	if err != nil {
		return "", err
	}
	return s.ID(at)
}

// Item implements [Source].
func (j *joined) Item(i int) (Item, error) {
	s, at, err := j.find(i)
	if err != nil {
		return Item{}, err
	}
	return s.Item(at)
}

// Close implements io.Closer.
func (j *joined) Close() error { return Close(j.of...) }
