package ledger

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// maxLine is how long a line of an export may be: an append at its largest, each byte written as six.
const maxLine = 8 * maxAppend

// Export writes all entries as JSON lines, with what contents were not redacted. The lines are enough to verify the chain:
// see [VerifyExport].
func (r *Reader) Export(ctx context.Context, w io.Writer) error {
	out := bufio.NewWriter(w)
	err := r.Each(ctx, func(e *Entry) error {
		line, err := pack(e)
		if err != nil {
			return fmt.Errorf("writing entry %d: %w", e.Seq, err)
		}
		_, err = out.Write(append(line, '\n'))
		return err
	})
	if err == nil {
		err = out.Flush()
	}
	if err != nil {
		return fmt.Errorf("exporting the ledger: %w", err)
	}
	return nil
}

// parseLine reads one line of an export. A line must be written as Export writes it, to the byte: what two programs could
// read differently is no record.
func parseLine(line []byte) (*Entry, error) {
	var e Entry
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	if err := d.Decode(&e); err != nil {
		return nil, err
	}
	e.Time = e.Time.UTC().Truncate(time.Millisecond)
	again, err := pack(&e)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(again, line) {
		return nil, errors.New("it is not written as an export writes it: export the ledger again")
	}
	return &e, nil
}

// VerifyExport checks the lines that [Reader.Export] wrote, as [Reader.Verify] does the store. It keeps one line in memory,
// and of each redacted content its name and commitment until it meets the redaction.
func VerifyExport(r io.Reader, check Check) (*Report, error) {
	c := newChecker(check)
	in := bufio.NewReaderSize(r, 1<<16)
	for n := int64(1); ; n++ {
		line, err := readLine(in)
		if errors.Is(err, io.EOF) {
			return c.end(), nil
		}
		if err != nil {
			return nil, fmt.Errorf("reading line %d of the export: %w", n, err)
		}
		e, err := parseLine(line)
		if err != nil {
			c.fault(n, Unreadable, "line %d is no entry: %v", n, err)
			continue
		}
		c.add(e)
	}
}

// readLine returns the next line without its end. The last needs none.
func readLine(in *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := in.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case len(line) > maxLine:
			return nil, fmt.Errorf("it is longer than %d bytes", maxLine)
		case err == nil:
			return line[:len(line)-1], nil
		case errors.Is(err, io.EOF) && len(line) > 0:
			return line, nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, err
		}
	}
}
