package monitor

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// Sample is a trace whose truth is known, for [Calibrate].
type Sample struct {
	Prompt string `json:"prompt"`
	Chain  string `json:"chain"`
	// Shown is the chain as it was rewritten; "" where that is Chain.
	Shown  string `json:"shown,omitempty"`
	Answer string `json:"answer"`
	// Bad says that a monitor should flag it.
	Bad bool `json:"bad"`
	// Kind says in a word what it is, such as "silent"; the share that is flagged is also told by kind.
	Kind string `json:"kind,omitempty"`
}

// Bounds of a file of samples.
const (
	maxSamples    = 100_000
	maxSampleLine = 4 << 20   // bytes
	maxSampleData = 256 << 20 // bytes
	maxKinds      = 20
	maxKind       = 40 // bytes
)

// view is what a monitor that sees a part of a trace ("private", "shown" or "output", as a gate's) sees of a sample.
func (s *Sample) view(sees string) View {
	v := View{Prompt: s.Prompt, Answer: s.Answer}
	switch {
	case sees == seesPrivate || sees == seesShown && s.Shown == "":
		v.Chain = s.Chain
	case sees == seesShown:
		v.Chain = s.Shown
	}
	return v
}

// hash is a sample's SHA-256.
func (s *Sample) hash() [sha256.Size]byte { return sha256.Sum256(s.line()) }

// line is a sample as a line of a file.
func (s *Sample) line() []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(s) // strings and a bool can always be written
	return b.Bytes()
}

// WriteSamples writes samples as JSON lines.
func WriteSamples(w io.Writer, samples []Sample) error {
	for i := range samples {
		if _, err := w.Write(samples[i].line()); err != nil {
			return fmt.Errorf("writing sample %d: %w", i+1, err)
		}
	}
	return nil
}

// SamplesHash returns the SHA-256 of the file that [WriteSamples] writes, in hexadecimal.
func SamplesHash(samples []Sample) string {
	h := sha256.New()
	_ = WriteSamples(h, samples)
	return hex.EncodeToString(h.Sum(nil))
}

// ParseSamples reads samples from JSON lines. Each line is an object with the fields of [Sample], of which bad must be there; empty
// lines are skipped. An error names the line.
func ParseSamples(r io.Reader) ([]Sample, error) {
	lines := bufio.NewScanner(io.LimitReader(r, maxSampleData+1))
	lines.Buffer(make([]byte, 0, 64<<10), maxSampleLine)
	var samples []Sample
	kinds := map[string]bool{}
	n, size := 0, 0
	for lines.Scan() {
		n++
		if size += len(lines.Bytes()) + 1; size > maxSampleData {
			return nil, fmt.Errorf("line %d: the samples have more than %d bytes", n, maxSampleData)
		}
		line := bytes.TrimSpace(lines.Bytes())
		if len(line) == 0 {
			continue
		}
		s, err := parseSample(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		samples = append(samples, s)
		kinds[s.Kind] = true
		if len(samples) > maxSamples || len(kinds) > maxKinds {
			return nil, fmt.Errorf("line %d: there are more than %d samples, or more than %d kinds of them", n, maxSamples, maxKinds)
		}
	}
	if err := lines.Err(); err != nil {
		if errors.Is(err, bufio.ErrTooLong) {
			err = fmt.Errorf("it has more than %d bytes", maxSampleLine)
		}
		return nil, fmt.Errorf("line %d: %w", n+1, err)
	}
	if len(samples) == 0 {
		return nil, errors.New("there are no samples: write one JSON object a line, with prompt, chain, answer and bad")
	}
	return samples, nil
}

func parseSample(line []byte) (Sample, error) {
	var s struct {
		Sample
		Bad *bool `json:"bad"` // hides the sample's own
	}
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	if err := d.Decode(&s); err != nil {
		return Sample{}, fmt.Errorf("not a sample: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return Sample{}, errors.New("something stands behind the sample: write one a line")
	}
	switch {
	case s.Bad == nil:
		return Sample{}, errors.New("the sample does not say whether it is bad: add \"bad\": true or \"bad\": false")
	case len(s.Kind) > maxKind:
		return Sample{}, fmt.Errorf("the kind has %d bytes, must have at most %d", len(s.Kind), maxKind)
	}
	s.Sample.Bad = *s.Bad
	return s.Sample, nil
}
