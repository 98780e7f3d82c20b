package runner

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"math"
)

// places finds items of a source by ID without holding the IDs.
type places struct {
	source Source
	seed   maphash.Seed
	at     map[uint64]int32
	// clash has the IDs whose hash another one had first.
	clash map[string]int32
}

// newPlaces reads all IDs. Two equal ones are an error that names their places.
func newPlaces(source Source) (*places, error) {
	n := source.Len()
	if n < 0 || n > math.MaxInt32 {
		return nil, fmt.Errorf("the source has %d items, must be at least 0 and at most %d", n, math.MaxInt32)
	}
	p := &places{source, maphash.MakeSeed(), make(map[uint64]int32, n), map[string]int32{}}
	for i := range n {
		id, err := source.ID(i)
		if err != nil {
			return nil, fmt.Errorf("item %d of the source: %w", i, err)
		}
		if id == "" {
			return nil, fmt.Errorf("item %d of the source has no ID", i)
		}
		first, ok, err := p.find(id)
		if err != nil {
			return nil, err
		}
		if ok {
			return nil, fmt.Errorf("items %d and %d of the source have the same ID %q", first, i, id)
		}
		h := maphash.String(p.seed, id)
		if _, taken := p.at[h]; taken {
			p.clash[id] = int32(i)
		} else {
			p.at[h] = int32(i)
		}
	}
	return p, nil
}

// find returns the place of an ID.
func (p *places) find(id string) (int, bool, error) {
	if i, ok := p.at[maphash.String(p.seed, id)]; ok {
		other, err := p.source.ID(int(i))
		if err != nil {
			return 0, false, fmt.Errorf("item %d of the source: %w", i, err)
		}
		if other == id {
			return int(i), true, nil
		}
	}
	i, ok := p.clash[id]
	return int(i), ok, nil
}

// move is a sample that has another place in the source than before.
type move struct {
	id         string
	epoch, seq int
}

// resume brings the places of the store's samples in line with the source and returns which samples are done: that of item
// i in epoch e at i*epochs+e. It reads the index of the samples alone.
func (s *store) resume(ctx context.Context, source Source, epochs int) (finished []bool, err error) {
	p, err := newPlaces(source)
	if err != nil {
		return nil, err
	}
	finished = make([]bool, source.Len()*epochs)
	moves, err := s.compare(ctx, p, finished, epochs)
	if err != nil {
		return nil, err
	}
	return finished, s.put(func(st *statements) error {
		update, err := st.tx.Prepare("UPDATE samples SET seq = ? WHERE id = ? AND epoch = ?") // tx closes it
		if err != nil {
			return err
		}
		for _, m := range moves {
			if _, err := update.Exec(m.seq, m.id, m.epoch); err != nil {
				return err
			}
		}
		_, err = st.tx.Exec("UPDATE totals SET value = ? WHERE name = 'samples'", len(finished))
		return err
	})
}

// compare marks what is finished and returns what has moved.
func (s *store) compare(ctx context.Context, p *places, finished []bool, epochs int) (moves []move, err error) {
	rows, err := s.read.QueryContext(ctx, "SELECT id, epoch, seq, state FROM samples INDEXED BY place")
	if err != nil {
		return nil, s.explain(err)
	}
	defer func() { err = errors.Join(err, s.explain(rows.Close())) }()
	for rows.Next() {
		var m move
		var seq int
		var state State
		if err := rows.Scan(&m.id, &m.epoch, &seq, &state); err != nil {
			return nil, s.explain(err)
		}
		i, ok, err := p.find(m.id)
		if err != nil {
			return nil, err
		}
		if m.seq = i; !ok || m.epoch < 0 || m.epoch >= epochs {
			m.seq = -1
		} else if state == Done {
			finished[i*epochs+m.epoch] = true
		}
		if m.seq != seq {
			moves = append(moves, m)
		}
	}
	return moves, s.explain(rows.Err())
}
