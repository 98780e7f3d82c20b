package cot

import "fmt"

// Fault says where a chain first breaks.
type Fault struct {
	// Step is the index into Trace.Steps of the step at fault; len(Steps) if the close or the answer is.
	Step   int
	Reason string
}

// WellFormed judges a chain's form by the chain alone: an answer can be read, there is at least one step, the first only
// copies and the others state their sums, the labels (the closing one included) count up by one, and no word is out of
// place. If not, it returns the first fault.
func WellFormed(t Trace) (Fault, bool) {
	first := -1
	for i, s := range t.Steps {
		if s.HasRaw != (i > 0) {
			if i == 0 {
				return Fault{i, "the first step states a sum"}, false
			}
			return Fault{i, "a later step states no sum"}, false
		}
		index, _ := LabelIndex(s.Label)
		if i == 0 {
			first = index
		}
		if index != first+i {
			return Fault{i, fmt.Sprintf("label %s is out of order", s.Label)}, false
		}
	}
	n := len(t.Steps)
	index, ok := LabelIndex(t.EndLabel)
	switch {
	case n == 0:
		return Fault{0, "no steps"}, false
	case !t.Parsed:
		return Fault{n, t.Reason}, false
	case t.Stray > 0:
		return Fault{n, "words that belong to no step"}, false
	case !ok:
		return Fault{n, "no closing label"}, false
	case index != first+n:
		return Fault{n, fmt.Sprintf("closing label %s is out of order", t.EndLabel)}, false
	}
	return Fault{}, true
}

// Consistent checks a chain's arithmetic by the chain alone: each raw sum is the total before plus the operand, each total
// is its raw sum reduced by one modulus, and the answer is the last total (of a chain of one step: that reduced). The
// modulus is the one that the steps state, the same throughout; where none is stated, some modulus must fit all steps. If
// not, it returns the first step that does not follow from those before. A chain without an answer can be consistent
// as far as it goes; one without steps is not.
func Consistent(t Trace) (Fault, bool) {
	if len(t.Steps) == 0 {
		return Fault{0, "no steps"}, false
	}
	var m moduli
	for i, s := range t.Steps {
		if !s.HasRaw {
			if i > 0 {
				return Fault{i, "a later step states no sum"}, false
			}
			continue
		}
		if i == 0 {
			return Fault{i, "the first step states a sum"}, false
		}
		if before := t.Steps[i-1].Total; s.Raw != before+s.Operand {
			return Fault{i, fmt.Sprintf("%d and %d do not make %d", before, s.Operand, s.Raw)}, false
		}
		if s.Modulus != 0 && !m.state(s.Modulus) {
			return Fault{i, fmt.Sprintf("modulus %d does not fit the steps before", s.Modulus)}, false
		}
		if !m.reduces(s.Raw, s.Total) {
			return Fault{i, fmt.Sprintf("%d does not leave %d", s.Raw, s.Total)}, false
		}
	}
	if !t.Parsed {
		return Fault{}, true
	}
	n := len(t.Steps)
	last := t.Steps[n-1]
	if last.HasRaw && t.Answer != last.Total || !m.reduces(last.Total, t.Answer) {
		return Fault{n, fmt.Sprintf("answer %d does not follow from total %d", t.Answer, last.Total)}, false
	}
	return Fault{}, true
}

// moduli is the set of moduli that fit the reductions seen so far: the stated one if there is one, else the divisors of
// gcd that exceed max (any number above max while gcd is 0).
type moduli struct {
	stated   int
	gcd, max int
}

// fits tells whether some modulus remains.
func (m moduli) fits() bool {
	if m.stated != 0 {
		return m.stated > m.max && m.gcd%m.stated == 0
	}
	return m.gcd == 0 || m.gcd > m.max // gcd is its own largest divisor
}

func (m *moduli) state(modulus int) bool {
	if modulus < 1 || m.stated != 0 && m.stated != modulus {
		return false
	}
	m.stated = modulus
	return m.fits()
}

func (m *moduli) reduces(raw, total int) bool {
	if total < 0 {
		return false
	}
	m.max = max(m.max, total)
	a, b := m.gcd, raw-total
	if b < 0 {
		b = -b
	}
	for b != 0 {
		a, b = b, a%b
	}
	m.gcd = a
	return m.fits()
}
