package checkpoint

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// file builds a safetensors file from a header and a number of data bytes.
func file(header string, data int) []byte {
	raw := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	return append(append(raw, header...), make([]byte, data)...)
}

// lies are files that must be refused, by what the error says.
var lies = map[string][]byte{
	"too few":                  []byte("1234567"),
	"claims 1125899906842624 ": binary.LittleEndian.AppendUint64(nil, 1<<50),
	"claims 4096 bytes, but":   append(binary.LittleEndian.AppendUint64(nil, 4096), "{}"...),
	"no JSON object":           file("[]", 0),
	"no valid JSON":            file(`{"a"`, 0),
	"header is no valid":       file(`{} {}`, 0),
	"names \"a\" twice":        file(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}`, 8),
	"__metadata__ must":        file(`{"__metadata__":{"a":1}}`, 0),
	"unknown dtype \"F33\"":    file(`{"a":{"dtype":"F33","shape":[1],"data_offsets":[0,4]}}`, 4),
	"has 1 data_offsets":       file(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0]}}`, 4),
	"must ascend":              file(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}}`, 4),
	"offsets -4":               file(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[-4,0]}}`, 4),
	"9 dimensions":             file(`{"a":{"dtype":"F32","shape":[1,1,1,1,1,1,1,1,1],"data_offsets":[0,4]}}`, 4),
	"shape [-1]":               file(`{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}`, 4),
	"impossible shape [2147483647 2147483647 4": file(`{"a":{"dtype":"F32","shape":[2147483647,2147483647,4],"data_offsets":[0,4]}}`, 4),
	"needs 8 bytes":     file(`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}`, 4),
	"inside the tensor": file(`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}`, 8),
	"a gap of 4":        file(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[8,12]}}`, 12),
	"truncated":         file(`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}`, 7),
	"1 bytes follow":    file(`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}`, 9),
	"cannot unmarshal":  file(`{"a":{"dtype":"F32","shape":[1.5],"data_offsets":[0,8]}}`, 8),
}

func TestHeaderRefuses(t *testing.T) {
	for says, data := range lies {
		_, err := readHeader(bytes.NewReader(data), int64(len(data)))
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("error %v, should say %q", err, says)
		}
	}
	long := file(fmt.Sprintf(`{%q:{"dtype":"F33"}}`, strings.Repeat("x", 9999)), 0)
	if _, err := readHeader(bytes.NewReader(long), int64(len(long))); err == nil || len(err.Error()) > 300 {
		t.Errorf("a long name gives %v", err)
	}
}

func TestReadingAllocatesNoMoreThanTheFileHas(t *testing.T) {
	data := file(`{"a":{"dtype":"F32","shape":[1000000000],"data_offsets":[0,4000000000]}}`, 100)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := readHeader(bytes.NewReader(data), int64(len(data))); err == nil {
		t.Fatal("accepted")
	}
	runtime.ReadMemStats(&after)
	allocated := after.TotalAlloc - before.TotalAlloc
	if allocated > 64<<10 {
		t.Errorf("%d bytes for a file of %d", allocated, len(data))
	}
}

func TestOtherWritersOrder(t *testing.T) {
	// names need not be in the order of the data, nor shapes have dimensions; white space may pad
	data := file(`{"b":{"dtype":"F32","shape":[],"data_offsets":[8,12]},"a":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]}}   `, 12)
	data[len(data)-4], data[len(data)-2], data[len(data)-1] = 0, 0x80, 0x3f
	in := bytes.NewReader(data)
	entries, err := readHeader(in, int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	a, b := make([]float32, 2), make([]float32, 1)
	if err := fill(in, entries, []tensor{{"b", []int{}, b}, {"a", []int{2, 1}, a}}); err != nil {
		t.Fatal(err)
	}
	if b[0] != 1 || a[0] != 0 {
		t.Errorf("read %v and %v", a, b)
	}
}

func FuzzSafetensors(f *testing.F) {
	for _, data := range lies {
		f.Add(data)
	}
	f.Add(encode(f, []tensor{{"m", []int{2, 3}, make([]float32, 6)}, {"v", []int{1}, []float32{-1.5}}}))
	f.Fuzz(func(t *testing.T, data []byte) {
		in := bytes.NewReader(data)
		entries, err := readHeader(in, int64(len(data)))
		if err != nil {
			return
		}
		var tensors []tensor
		total := 0
		for _, e := range entries {
			n := e.elements()
			total += n
			if total > len(data) {
				t.Fatalf("the header of %d bytes was accepted with %d elements", len(data), total)
			}
			if e.dtype == "F32" {
				tensors = append(tensors, tensor{e.name, e.shape, make([]float32, n)})
			}
		}
		if fill(in, entries, tensors) != nil {
			return
		}
		written := encode(t, tensors)
		in = bytes.NewReader(written)
		if entries, err = readHeader(in, int64(len(written))); err != nil {
			t.Fatalf("cannot read what it wrote: %v", err)
		}
		var again []tensor
		for _, x := range tensors {
			again = append(again, tensor{x.name, x.shape, make([]float32, len(x.data))})
		}
		if err := fill(in, entries, again); err != nil {
			t.Fatalf("cannot read what it wrote: %v", err)
		}
		for i := range again {
			if !slices.Equal(again[i].data, tensors[i].data) {
				t.Fatalf("tensor %q changed", again[i].name)
			}
		}
	})
}
