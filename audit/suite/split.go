package suite

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
)

// maxRecord bounds one question of a file, in bytes.
const maxRecord = 1 << 20

var errLong = fmt.Errorf("longer than %d bytes", maxRecord)

// span is one question in a file.
type span struct {
	at   int64  // of its first byte
	line int    // where it begins, from 1
	text []byte // valid until the next one is read
}

// splitter cuts a file into its questions without a look at what is in them. It returns the first error of emit as it is, and its
// own as a *lineError.
type splitter func(r *bufio.Reader, emit func(span) error) error

// lineError is an error at a line of a file.
type lineError struct {
	line int
	err  error
}

func (e *lineError) Error() string { return fmt.Sprintf("%d: %v", e.line, e.err) }
func (e *lineError) Unwrap() error { return e.err }

// newReader returns a reader of size bytes whose ReadSlice can return the longest line.
func newReader(r io.Reader, size int64) *bufio.Reader {
	return bufio.NewReaderSize(r, int(min(size+1, maxRecord+2)))
}

// lines calls f with every line, its end included.
func lines(r *bufio.Reader, f func(s span) error) error {
	at, line := int64(0), 1
	for {
		text, err := r.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) || len(bytes.TrimRight(text, "\r\n")) > maxRecord {
			return &lineError{line, errLong}
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return &lineError{line, err}
		}
		if len(text) > 0 {
			if err := f(span{at, line, text}); err != nil {
				return err
			}
		}
		if err != nil {
			return nil
		}
		at, line = at+int64(len(text)), line+1
	}
}

// splitLines cuts JSONL: a question a line; empty lines are none.
func splitLines(r *bufio.Reader, emit func(span) error) error {
	return lines(r, func(s span) error {
		if s.text = bytes.TrimRight(s.text, " \t\r\n"); len(s.text) == 0 {
			return nil
		}
		return emit(s)
	})
}

// splitCSV cuts CSV (RFC 4180): a record ends with its line unless a quote is open.
func splitCSV(r *bufio.Reader, emit func(span) error) error {
	var open span // a record that goes on
	inQuotes := false
	err := lines(r, func(s span) error {
		if !inQuotes {
			if text := bytes.TrimSuffix(s.text, []byte("\n")); len(bytes.TrimSuffix(text, []byte("\r"))) == 0 {
				return nil
			}
			open = span{s.at, s.line, open.text[:0]}
		}
		if len(open.text)+len(s.text) > maxRecord {
			return &lineError{open.line, fmt.Errorf("a record %w: is a quote open that never closes?", errLong)}
		}
		open.text = append(open.text, s.text...)
		if inQuotes = quoted(s.text, inQuotes); inQuotes {
			return nil
		}
		return emit(open)
	})
	if err == nil && inQuotes {
		return &lineError{open.line, errors.New("a quote opens in this record and never closes")}
	}
	return err
}

// quoted tells whether a quote is open behind a line, inQuotes whether one was before it.
func quoted(line []byte, inQuotes bool) bool {
	begins := !inQuotes // at the first byte of a field
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case inQuotes && c == '"' && i+1 < len(line) && line[i+1] == '"':
			i++
		case inQuotes && c == '"':
			inQuotes = false
		case !inQuotes && begins && c == '"':
			inQuotes = true
		}
		begins = !inQuotes && line[i] == ','
	}
	return inQuotes
}

// array cuts a JSON array of objects, byte by byte.
type array struct {
	at      int64
	line    int
	started bool // [ was read
	ended   bool // ] was read
	comma   bool // a comma, or the end, must come next
	pending bool // an object must come next
	depth   int  // of brackets in the element, 0 outside of one
	quote   bool // in a string of the element
	escape  bool // behind a backslash
	element span
}

// splitArray cuts a JSON array.
func splitArray(r *bufio.Reader, emit func(span) error) error {
	a := array{line: 1}
	for {
		c, err := r.ReadByte()
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			err = a.take(c, emit)
		} else {
			err = &lineError{a.line, err}
		}
		if err != nil {
			return err
		}
		a.at++
		if c == '\n' {
			a.line++
		}
	}
	if !a.ended {
		return &lineError{a.line, errEnd}
	}
	return nil
}

func (a *array) take(c byte, emit func(span) error) error {
	if a.depth > 0 {
		return a.inside(c, emit)
	}
	switch {
	case c == ' ' || c == '\t' || c == '\n' || c == '\r':
	case !a.started && c == '[':
		a.started = true
	case !a.started:
		return &lineError{a.line, fmt.Errorf("begins with %q: a .json file must be an array of objects; for one object a line name it .jsonl", c)}
	case !a.ended && !a.comma && c == '{':
		a.depth, a.comma, a.pending = 1, true, false
		a.element = span{a.at, a.line, append(a.element.text[:0], c)}
	case !a.ended && a.comma && c == ',':
		a.comma, a.pending = false, true
	case !a.ended && !a.pending && c == ']':
		a.ended = true
	default:
		return &lineError{a.line, fmt.Errorf("%q where an array of objects cannot have it", c)}
	}
	return nil
}

// inside takes a byte of an element.
func (a *array) inside(c byte, emit func(span) error) error {
	if len(a.element.text) == maxRecord {
		return &lineError{a.element.line, errLong}
	}
	a.element.text = append(a.element.text, c)
	switch {
	case a.escape:
		a.escape = false
	case a.quote && c == '\\':
		a.escape = true
	case c == '"':
		a.quote = !a.quote
	case a.quote:
	case c == '{' || c == '[':
		a.depth++
	case c == '}' || c == ']':
		if a.depth--; a.depth == 0 {
			return emit(a.element)
		}
	}
	return nil
}
