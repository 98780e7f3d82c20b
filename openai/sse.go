package openai

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

// maxEvent bounds a line and an event of a stream, in bytes.
const maxEvent = 64 << 20

// errTooLarge says that something longer than is allowed was being read.
var errTooLarge = errors.New("too large")

// Event is one server-sent event.
type Event struct {
	// Type is what the field event said, "" for none. It is "error" for an event whose data came in a field named error: the
	// standard ignores such fields, but older versions of llama.cpp tell errors there.
	Type string
	Data []byte
	// Partial tells that the stream ended before the event's empty line, so that some of Data may be missing.
	Partial bool
}

// EventReader reads an event stream by the rules of the WHATWG (HTML standard, section 9.2.6): lines end in CR, LF or both; lines
// that begin with a colon are comments; several data lines make one event. Unlike the standard it hands on an event that the end
// of the stream cut short, as Partial.
type EventReader struct {
	in     *bufio.Reader
	max    int
	line   []byte
	data   []byte
	skipLF bool // the last line ended in CR: an LF that follows belongs to it
	begun  bool
	err    error
}

// NewEventReader returns a reader of the events in r. An event of more than 64 MiB is an error.
func NewEventReader(r io.Reader) *EventReader {
	return &EventReader{in: bufio.NewReaderSize(r, 16<<10), max: maxEvent}
}

// Next returns the next event, whose Data is valid until Next is called again. Its error is io.EOF at the end of the stream.
func (r *EventReader) Next() (Event, error) {
	e, some := Event{}, false
	r.data = r.data[:0]
	for r.err == nil {
		line, err := r.readLine()
		r.err = err
		if err == nil && len(line) == 0 {
			if some {
				e.Data = r.data
				return e, nil
			}
			e.Type = ""
			continue
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		switch string(name) {
		case "event":
			e.Type = string(value)
		case "error":
			e.Type = "error"
			fallthrough
		case "data":
			if len(r.data)+len(value) >= r.max {
				r.err = errTooLarge
				return Event{}, r.err
			}
			if some {
				r.data = append(r.data, '\n')
			}
			r.data, some = append(r.data, value...), true
		}
	}
	if some && !errors.Is(r.err, errTooLarge) {
		e.Data, e.Partial = r.data, true
		return e, nil
	}
	return Event{}, r.err
}

// readLine returns a line without its end. A line that the end of the stream cut short comes with the error.
func (r *EventReader) readLine() ([]byte, error) {
	r.line = r.line[:0]
	for {
		if _, err := r.in.Peek(1); err != nil {
			return r.line, err
		}
		if !r.begun {
			r.begun = true
			if first, _ := r.in.Peek(1); first[0] == 0xef {
				if mark, _ := r.in.Peek(3); string(mark) == "\ufeff" {
					_, _ = r.in.Discard(3)
					continue
				}
			}
		}
		b, _ := r.in.Peek(r.in.Buffered())
		if r.skipLF {
			r.skipLF = false
			if b[0] == '\n' {
				_, _ = r.in.Discard(1)
				continue
			}
		}
		i := bytes.IndexByte(b, '\n')
		if i >= 0 {
			b = b[:i+1]
		}
		if cr := bytes.IndexByte(b, '\r'); cr >= 0 {
			i = cr
		}
		if i >= 0 {
			r.skipLF = b[i] == '\r'
			r.line = append(r.line, b[:i]...)
			_, _ = r.in.Discard(i + 1)
		} else {
			r.line = append(r.line, b...)
			_, _ = r.in.Discard(len(b))
		}
		if len(r.line) > r.max {
			return nil, errTooLarge
		}
		if i >= 0 {
			return r.line, nil
		}
	}
}
