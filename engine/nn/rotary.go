package nn

import "math"

// RotaryBase is the base of the rotary frequencies, RoFormer's and GPT-NeoX's.
const RotaryBase = 10000

// RotaryTable holds the cosines and sines of rotary positions in GPT-NeoX's arrangement: number j of a head is paired with
// number j + width/2 and turned by pos x RotaryBase^(-2j/width) radians.
type RotaryTable struct {
	half     int
	cos, sin []float32 // [context, half]
}

// NewRotaryTable returns the table for heads of an even width and positions 0..context-1.
func NewRotaryTable(context, width int) *RotaryTable {
	if width%2 != 0 {
		panic("nn: rotary positions need heads of even width")
	}
	half := width / 2
	r := &RotaryTable{half: half, cos: make([]float32, context*half), sin: make([]float32, context*half)}
	for pos := range context {
		for j := range half {
			sin, cos := math.Sincos(float64(pos) * math.Pow(RotaryBase, -2*float64(j)/float64(width)))
			r.cos[pos*half+j], r.sin[pos*half+j] = float32(cos), float32(sin)
		}
	}
	return r
}

// Rotate turns one head's query or key at position pos in place.
func (r *RotaryTable) Rotate(x []float32, pos int) {
	cos, sin := r.at(pos)
	a, b := x[:r.half], x[r.half:2*r.half]
	for j, c := range cos {
		s, aj, bj := sin[j], a[j], b[j]
		a[j], b[j] = aj*c-bj*s, bj*c+aj*s
	}
}

// rotateBack turns the other way, which is what the gradient needs.
func (r *RotaryTable) rotateBack(x []float32, pos int) {
	cos, sin := r.at(pos)
	a, b := x[:r.half], x[r.half:2*r.half]
	for j, c := range cos {
		s, aj, bj := sin[j], a[j], b[j]
		a[j], b[j] = aj*c+bj*s, bj*c-aj*s
	}
}

func (r *RotaryTable) at(pos int) (cos, sin []float32) {
	return r.cos[pos*r.half : (pos+1)*r.half], r.sin[pos*r.half : (pos+1)*r.half]
}
