package runlog

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"sync"
)

// MaxLine is the most bytes that a line of a JSONL file may have, its newline included.
const MaxLine = 1 << 20

// Writer writes a file of JSON lines. Lines reach the disk at [Writer.Flush] and [Writer.Close]. After an error nothing
// more is written and every call returns that error. It is safe for concurrent use, but the order of lines is then that of
// the calls.
type Writer struct {
	path string

	mu     sync.Mutex
	file   file
	buffer *bufio.Writer
	line   bytes.Buffer
	err    error
	closed bool
}

func newWriter(path string, f file) *Writer {
	return &Writer{path: path, file: f, buffer: bufio.NewWriterSize(f, 1<<16)}
}

// Write appends v as one line of JSON. Equal values give equal bytes. A value that has no JSON form, such as one with NaN
// in it, or that is longer than [MaxLine] is refused without writing anything.
func (w *Writer) Write(v any) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return w.err
	}
	if w.closed {
		return fmt.Errorf("writing %s: it is closed", w.path)
	}
	w.line.Reset()
	e := json.NewEncoder(&w.line)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return fmt.Errorf("writing %s: %w", w.path, err)
	}
	if w.line.Len() > MaxLine {
		return fmt.Errorf("writing %s: a line of %d bytes is longer than the %d allowed", w.path, w.line.Len(), MaxLine)
	}
	if _, err := w.buffer.Write(w.line.Bytes()); err != nil {
		return w.fail(err)
	}
	return nil
}

// WriteSample appends a sample after checking it: a reader would refuse what is refused here.
func (w *Writer) WriteSample(s Sample) error {
	if err := s.Validate(); err != nil {
		return fmt.Errorf("writing %s: %w", w.path, err)
	}
	return w.Write(s)
}

// WriteMetrics appends the metrics of a training step as {"loss":1.5,"step":3,...}, names sorted. A value that is not a
// finite number is an error that names it, since training that has diverged must not go on.
func (w *Writer) WriteMetrics(step int, values map[string]float64) error {
	row := make(map[string]float64, len(values)+1)
	for name, v := range values {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return fmt.Errorf("writing %s: %s is %g at step %d: training has diverged; lower the learning rate", w.path, name, v, step)
		}
		row[name] = v
	}
	row["step"] = float64(step)
	return w.Write(row)
}

func (w *Writer) fail(err error) error {
	w.err = fmt.Errorf("writing %s: %w", w.path, explain(err, filepath.Dir(w.path), w.buffer.Buffered()))
	return w.err
}

// Flush makes everything written so far durable.
func (w *Writer) Flush() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.flush()
}

func (w *Writer) flush() error {
	if w.err != nil || w.closed {
		return w.err
	}
	if err := w.buffer.Flush(); err != nil {
		return w.fail(err)
	}
	if err := w.file.Sync(); err != nil {
		return w.fail(err)
	}
	return nil
}

// Close flushes and closes the file. Closing again does nothing.
func (w *Writer) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return w.err
	}
	flushed := w.flush()
	w.closed = true
	if err := firstError(flushed, w.file.Close()); err != nil && w.err == nil {
		return w.fail(err)
	}
	return w.err
}

// EachLine calls visit for each line of a JSONL file with its number from 1 and its bytes without the newline, valid until
// visit returns. A last line without its newline is torn: a kill came between. It is an error when complete is true (the
// stage is done); otherwise it is left out and torn is true. Errors name file and line.
func EachLine(path string, complete bool, visit func(line int, data []byte) error) (torn bool, err error) {
	f, err := os.Open(path)
	if err != nil {
		return false, fmt.Errorf("reading %s: %w", path, err)
	}
	torn, err = eachLine(f, path, complete, visit)
	return torn, firstError(err, f.Close())
}

func eachLine(r io.Reader, name string, complete bool, visit func(line int, data []byte) error) (torn bool, err error) {
	in := bufio.NewReaderSize(r, 1<<16)
	var data []byte
	for line := 1; ; line++ {
		data = data[:0]
		for {
			part, err := in.ReadSlice('\n')
			data = append(data, part...)
			if len(data) > MaxLine {
				return false, fmt.Errorf("%s:%d: the line is longer than the %d bytes allowed", name, line, MaxLine)
			}
			if err == nil {
				break
			}
			if errors.Is(err, bufio.ErrBufferFull) {
				continue
			}
			if !errors.Is(err, io.EOF) {
				return false, fmt.Errorf("%s:%d: %w", name, line, err)
			}
			if len(data) == 0 {
				return false, nil
			}
			if complete {
				return true, fmt.Errorf("%s:%d: the last line is torn, though the file should be complete: it was cut or changed", name, line)
			}
			return true, nil
		}
		if err := visit(line, data[:len(data)-1]); err != nil {
			return false, fmt.Errorf("%s:%d: %w", name, line, err)
		}
	}
}

// MetricRow is one line of metrics.jsonl.
type MetricRow struct {
	Step   int
	Values map[string]float64 // without "step"
}

// ReadMetrics reads a metrics.jsonl; complete and torn are as in [EachLine].
func ReadMetrics(path string, complete bool) (rows []MetricRow, torn bool, err error) {
	torn, err = EachLine(path, complete, func(_ int, data []byte) error {
		row, err := parseMetrics(data)
		rows = append(rows, row)
		return err
	})
	return rows, torn, err
}

func parseMetrics(data []byte) (MetricRow, error) {
	var values map[string]float64
	if err := json.Unmarshal(data, &values); err != nil {
		return MetricRow{}, fmt.Errorf("not a line of metrics: %w", err)
	}
	step, ok := values["step"]
	if !ok || step != math.Trunc(step) || math.Abs(step) > 1<<52 {
		return MetricRow{}, errors.New(`not a line of metrics: "step" is missing or not a whole number`)
	}
	delete(values, "step")
	return MetricRow{int(step), values}, nil
}

// truncateAfter cuts a file of lines with a "step" before the first line of a later step, or a torn last line. A file that
// does not exist is left so.
func truncateAfter(path string, step int) error {
	stop := errors.New("a later step")
	var keep int64
	_, err := EachLine(path, false, func(_ int, data []byte) error {
		var row struct{ Step *int }
		if err := json.Unmarshal(data, &row); err != nil {
			return fmt.Errorf("not a line of a log: %w", err)
		}
		if row.Step == nil {
			return errors.New(`"step" is missing`)
		}
		if *row.Step > step {
			return stop
		}
		keep += int64(len(data)) + 1
		return nil
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil && !errors.Is(err, stop) {
		return fmt.Errorf("going on after step %d: %w", step, err)
	}
	if err := os.Truncate(path, keep); err != nil {
		return fmt.Errorf("going on after step %d: %w", step, err)
	}
	return syncFile(path)
}
