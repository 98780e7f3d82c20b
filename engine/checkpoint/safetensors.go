package checkpoint

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
)

// The layout of a safetensors file: 8 bytes, little endian, say how long the header is; the header is a JSON object of
// name: {dtype, shape, data_offsets}, padded with spaces; then comes the data, each tensor at its offsets, counted from
// the header's end, without gaps.

// maxHeader bounds the JSON header in bytes; the models that fit candor need a few kilobytes.
const maxHeader = 8 << 20

// maxDims bounds the dimensions of a tensor.
const maxDims = 8

// metadataName is the header's one key that is no tensor.
const metadataName = "__metadata__"

// tensor is one named array of a file, row-major.
type tensor struct {
	name  string
	shape []int
	data  []float32
}

// entry is a tensor as the header describes it.
type entry struct {
	name       string
	dtype      string
	shape      []int
	begin, end int64 // bytes from the header's end
}

// elements returns how many numbers the shape holds; the header's check has ruled out overflow.
func (e entry) elements() int {
	n := 1
	for _, d := range e.shape {
		n *= d
	}
	return n
}

// widths are the bytes per number of the formats that may stand in a header; only F32 can be read.
var widths = map[string]int64{
	"F64": 8, "I64": 8, "U64": 8, "F32": 4, "I32": 4, "U32": 4, "F16": 2, "BF16": 2, "I16": 2, "U16": 2,
	"F8_E4M3": 1, "F8_E5M2": 1, "I8": 1, "U8": 1, "BOOL": 1,
}

// readHeader reads the first part of a safetensors file of size bytes and returns its entries in the order of their
// data. It checks everything that the header says: afterwards the entries tile the rest of the file exactly. It
// allocates in proportion to the header, which is no longer than the file.
func readHeader(r io.Reader, size int64) ([]entry, error) {
	var prefix [8]byte
	if _, err := io.ReadFull(r, prefix[:]); err != nil {
		return nil, fmt.Errorf("the file has %d bytes, too few for a safetensors file", size)
	}
	n := binary.LittleEndian.Uint64(prefix[:])
	if n > maxHeader {
		return nil, fmt.Errorf("the header claims %d bytes, more than the %d that are allowed: this is no safetensors file of candor or GPT-2", n, maxHeader)
	}
	if int64(n) > size-8 {
		return nil, fmt.Errorf("the header claims %d bytes, but only %d follow: the file is truncated or no safetensors file", n, size-8)
	}
	raw := make([]byte, n)
	if _, err := io.ReadFull(r, raw); err != nil {
		return nil, fmt.Errorf("reading the header of %d bytes: %w", n, err)
	}
	entries, err := parseHeader(raw)
	if err != nil {
		return nil, err
	}
	return entries, checkTiling(entries, size-8-int64(n))
}

func parseHeader(raw []byte) ([]entry, error) {
	if !json.Valid(raw) {
		return nil, fmt.Errorf("the header is no valid JSON")
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, fmt.Errorf("the header is no JSON object")
	}
	var entries []entry
	seen := map[string]bool{}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return nil, fmt.Errorf("the header is no valid JSON: %w", err)
		}
		name := t.(string) // what else could be a key of valid JSON
		if seen[name] {
			return nil, fmt.Errorf("the header names %s twice", shown(name))
		}
		seen[name] = true
		if name == metadataName {
			var metadata map[string]string
			if err := d.Decode(&metadata); err != nil {
				return nil, fmt.Errorf("the header's %s must map texts to texts: %w", metadataName, err)
			}
			continue
		}
		var described struct {
			DType   string  `json:"dtype"`
			Shape   []int64 `json:"shape"`
			Offsets []int64 `json:"data_offsets"`
		}
		if err := d.Decode(&described); err != nil {
			return nil, fmt.Errorf("the header's entry for %s: %w", shown(name), err)
		}
		e, err := newEntry(name, described.DType, described.Shape, described.Offsets)
		if err != nil {
			return nil, err
		}
		entries = append(entries, e)
	}
	return entries, nil
}

func newEntry(name, dtype string, shape, offsets []int64) (entry, error) {
	e := entry{name: name, dtype: dtype}
	width, ok := widths[dtype]
	switch {
	case !ok:
		return e, fmt.Errorf("tensor %s has the unknown dtype %s", shown(name), shown(dtype))
	case len(shape) > maxDims:
		return e, fmt.Errorf("tensor %s has %d dimensions, at most %d are allowed", shown(name), len(shape), maxDims)
	case len(offsets) != 2:
		return e, fmt.Errorf("tensor %s has %d data_offsets, must have 2", shown(name), len(offsets))
	case offsets[0] < 0 || offsets[1] < offsets[0]:
		return e, fmt.Errorf("tensor %s has data_offsets %d and %d, must ascend from 0", shown(name), offsets[0], offsets[1])
	}
	e.begin, e.end = offsets[0], offsets[1]
	bytes := width
	for _, d := range shape {
		if d < 0 || d > math.MaxInt32 || (d > 0 && bytes > math.MaxInt64/d) {
			return e, fmt.Errorf("tensor %s has the impossible shape %d", shown(name), shape)
		}
		bytes *= d
		e.shape = append(e.shape, int(d))
	}
	if bytes != e.end-e.begin {
		return e, fmt.Errorf("tensor %s of shape %d in %s needs %d bytes, but its data_offsets hold %d", shown(name), shape, dtype, bytes, e.end-e.begin)
	}
	return e, nil
}

// checkTiling sorts entries by their place and checks that they cover 0 to size without gaps or overlaps.
func checkTiling(entries []entry, size int64) error {
	slices.SortFunc(entries, func(a, b entry) int {
		return cmp.Or(cmp.Compare(a.begin, b.begin), cmp.Compare(a.end, b.end), strings.Compare(a.name, b.name))
	})
	var at int64
	for _, e := range entries {
		switch {
		case e.begin < at:
			return fmt.Errorf("tensor %s begins at byte %d, inside the tensor before it, which ends at %d", shown(e.name), e.begin, at)
		case e.begin > at:
			return fmt.Errorf("there is a gap of %d bytes before tensor %s", e.begin-at, shown(e.name))
		case e.end > size:
			return fmt.Errorf("tensor %s ends at byte %d of the data, but the file has only %d: it is truncated", shown(e.name), e.end, size)
		}
		at = e.end
	}
	if at != size {
		return fmt.Errorf("%d bytes follow after the last tensor", size-at)
	}
	return nil
}

// readData reads the numbers of one F32 entry into dst, which has as many places. Numbers that are not finite are
// refused: they would turn everything that is computed from them into NaN.
func readData(r io.Reader, e entry, dst []float32, buf []byte) error {
	buf = buf[:len(buf)/4*4]
	for at := 0; at < len(dst); {
		part := dst[at:min(len(dst), at+len(buf)/4)]
		raw := buf[:4*len(part)]
		if _, err := io.ReadFull(r, raw); err != nil {
			return fmt.Errorf("reading tensor %s: %w", shown(e.name), err)
		}
		for i := range part {
			part[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
		}
		at += len(part)
	}
	return checkFinite(e.name, dst)
}

// skipData passes over the bytes of one entry.
func skipData(r io.Reader, e entry) error {
	if _, err := io.CopyN(io.Discard, r, e.end-e.begin); err != nil {
		return fmt.Errorf("passing over tensor %s: %w", shown(e.name), err)
	}
	return nil
}

func checkFinite(name string, data []float32) error {
	for i, x := range data {
		if x-x != 0 {
			return fmt.Errorf("tensor %s holds %v at place %d: all numbers must be finite", shown(name), x, i)
		}
	}
	return nil
}

// writeTensors writes tensors in the order of their names; equal tensors give equal bytes. Names are distinct.
func writeTensors(w io.Writer, tensors []tensor) error {
	tensors = slices.Clone(tensors)
	slices.SortFunc(tensors, func(a, b tensor) int { return strings.Compare(a.name, b.name) })
	type described struct {
		DType   string   `json:"dtype"`
		Shape   []int    `json:"shape"`
		Offsets [2]int64 `json:"data_offsets"`
	}
	// Hugging Face reads only files that say which library's layout they have
	header := map[string]any{metadataName: map[string]string{"format": "pt"}}
	var at int64
	for _, t := range tensors {
		if err := checkFinite(t.name, t.data); err != nil {
			return err
		}
		end := at + 4*int64(len(t.data))
		header[t.name] = described{"F32", t.shape, [2]int64{at, end}}
		at = end
	}
	raw, err := json.Marshal(header) // sorts the names
	if err != nil {
		return fmt.Errorf("writing a header: %w", err)
	}
	for len(raw)%8 != 0 {
		raw = append(raw, ' ')
	}
	if _, err := w.Write(binary.LittleEndian.AppendUint64(nil, uint64(len(raw)))); err != nil {
		return err
	}
	if _, err := w.Write(raw); err != nil {
		return err
	}
	for _, t := range tensors {
		if err := writeFloats(w, t.data); err != nil {
			return err
		}
	}
	return nil
}

// writeFloats writes numbers, little endian.
func writeFloats(w io.Writer, data []float32) error {
	buf := make([]byte, 0, min(chunk, 4*len(data)))
	for part := range slices.Chunk(data, chunk/4) {
		buf = buf[:0]
		for _, x := range part {
			buf = binary.LittleEndian.AppendUint32(buf, math.Float32bits(x))
		}
		if _, err := w.Write(buf); err != nil {
			return err
		}
	}
	return nil
}

// chunk is the size in bytes of the buffers between files and tensors.
const chunk = 64 << 10

// shown quotes an outside text of any length for a one-line message.
func shown(s string) string {
	const most = 60
	if len(s) > most {
		return fmt.Sprintf("%q... (%d bytes)", s[:most], len(s))
	}
	return fmt.Sprintf("%q", s)
}
