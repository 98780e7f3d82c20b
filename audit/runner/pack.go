package runner

import (
	"bytes"
	"compress/flate"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"

	"candor/reasoning/llm"
)

// key names a call in the store.
type key [sha256.Size]byte

// callKey returns a call's key and its request as JSON.
func callKey(identity string, epoch int, r llm.Request) (key, []byte, error) {
	r = canonical(r)
	body, err := json.Marshal(r)
	if err != nil {
		return key{}, nil, fmt.Errorf("%w: %w", llm.ErrInvalid, err)
	}
	h := sha256.New()
	fmt.Fprintf(h, "%d %d %s", epoch, len(identity), identity) // a hash's Write returns no error
	h.Write(body)
	return key(h.Sum(nil)), body, nil
}

// canonical leaves out what does not change the completion: the ID, and whether an empty list is nil.
func canonical(r llm.Request) llm.Request {
	r.ID = ""
	if len(r.Messages) == 0 {
		r.Messages = nil
	}
	if len(r.Stop) == 0 {
		r.Stop = nil
	}
	if len(r.Ban) == 0 {
		r.Ban = nil
	}
	return r
}

// How a blob begins.
const (
	plain    = 0
	deflated = 1
)

const (
	packFrom    = 512      // bytes; shorter blobs gain nothing
	maxUnpacked = 64 << 20 // bytes; a longer blob is none of ours
)

// writers are there to be used again: one is a megabyte.
var writers = sync.Pool{New: func() any {
	w, err := flate.NewWriter(io.Discard, flate.BestSpeed)
	if err != nil {
		panic(err) // the level is a valid one
	}
	return w
}}

// pack makes a blob of data.
func pack(data []byte) ([]byte, error) {
	if len(data) >= packFrom {
		b := bytes.NewBuffer(make([]byte, 0, len(data)/2))
		b.WriteByte(deflated)
		w := writers.Get().(*flate.Writer)
		defer writers.Put(w)
		w.Reset(b)
		if _, err := w.Write(data); err != nil {
			return nil, err
		}
		if err := w.Close(); err != nil {
			return nil, err
		}
		if b.Len() <= len(data) {
			return b.Bytes(), nil
		}
	}
	return append([]byte{plain}, data...), nil
}

// unpack undoes pack.
func unpack(blob []byte) ([]byte, error) {
	if len(blob) == 0 {
		return nil, errors.New("the entry is empty")
	}
	switch blob[0] {
	case plain:
		return blob[1:], nil
	case deflated:
		data, err := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(blob[1:])), maxUnpacked+1))
		if err != nil {
			return nil, fmt.Errorf("unpacking the entry: %w", err)
		}
		if len(data) > maxUnpacked {
			return nil, fmt.Errorf("the entry is longer than %d bytes", maxUnpacked)
		}
		return data, nil
	}
	return nil, fmt.Errorf("the entry begins with byte %d, not 0 or 1", blob[0])
}

// packJSON makes a blob of v as JSON.
func packJSON(v any) ([]byte, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return pack(data)
}

// unpackJSON reads a blob of JSON into v.
func unpackJSON(blob []byte, v any) error {
	data, err := unpack(blob)
	if err != nil {
		return err
	}
	return json.Unmarshal(data, v)
}
