package transformer

import (
	"candor/engine/nn"
	"candor/engine/tensor"
)

// Packed is a model's matrices in the orders in which products read them. It holds copies: pack it again when the model has
// changed.
type Packed struct {
	Shift  *nn.Packed // nil without token shift
	Layers []PackedLayer
	Head   *nn.Packed

	jobs     []packing
	backward bool
	run      func(int)
}

// PackedLayer is the matrices of one block.
type PackedLayer struct{ QKV, Proj, FC, FCProj nn.Packed }

// packing is one matrix and where it goes.
type packing struct {
	from       []float32
	rows, cols int
	to         *nn.Packed
	head       bool // read transposed forward, and as it is backward
}

// NewPacked returns room for m's matrices.
func NewPacked(m *Model) *Packed {
	w := m.Config.Width
	p := &Packed{Head: new(nn.Packed), Layers: make([]PackedLayer, m.Config.Layers)}
	if m.Weights.Shift != nil {
		p.Shift = new(nn.Packed)
		p.jobs = append(p.jobs, packing{m.Weights.Shift, w, w, p.Shift, false})
	}
	for i := range p.Layers {
		from, to := &m.Weights.Layers[i], &p.Layers[i]
		p.jobs = append(p.jobs,
			packing{from.QKV, w, 3 * w, &to.QKV, false}, packing{from.Proj, w, w, &to.Proj, false},
			packing{from.FC, w, 4 * w, &to.FC, false}, packing{from.FCProj, 4 * w, w, &to.FCProj, false})
	}
	p.jobs = append(p.jobs, packing{m.Weights.Head, m.Config.Vocab, w, p.Head, true})
	p.run = p.pack
	return p
}

// Pack copies the model's present parameters, for backward passes, too, if asked to.
func (p *Packed) Pack(pool *tensor.Pool, backward bool) {
	p.backward = backward
	pool.Run(len(p.jobs), p.run)
}

func (p *Packed) pack(i int) {
	j := &p.jobs[i]
	if p.backward || !j.head {
		j.to.Pack(j.from, j.rows, j.cols)
	}
	if p.backward || j.head {
		j.to.PackTransposed(j.from, j.rows, j.cols)
	}
}
