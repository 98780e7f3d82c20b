package inspect

import (
	"archive/zip"
	"bufio"
	"bytes"
	"compress/flate"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
)

// batch is how many summaries make a member of the journal.
const batch = 500

// Writer writes a log sample by sample. It is not safe for concurrent use.
type Writer struct {
	path  string
	log   Log
	begun start
	file  *os.File
	out   *bufio.Writer
	zip   *zip.Writer
	err   error // the first; a log that lacks something is never put in place
	// summaries wait for summaries.json; pending are those that no member of the journal has yet.
	summaries *spool
	pending   [][]byte
	journals  int
	completed int
	written   int
	seen      map[key]struct{}
	means     means
}

type key struct {
	id    int32 // the place in means.ids
	epoch int
}

// Create begins a log at path, which should end in .eval. What is written goes to path with ".partial" behind it until
// [Writer.Close] puts it in place, in the stead of a file that may be there. It is an error if the log has no task, model,
// run ID or creation time, or something in it has no JSON form.
func Create(path string, log Log) (*Writer, error) {
	switch {
	case log.Task == "":
		return nil, errors.New("an Inspect log needs the name of its task")
	case log.Model == "":
		return nil, errors.New("an Inspect log needs the name of the model")
	case log.RunID == "":
		return nil, errors.New("an Inspect log needs the ID of its run")
	case log.Created.IsZero():
		return nil, errors.New("an Inspect log needs the time of its creation")
	}
	w := &Writer{path: path, log: log, begun: log.start(), seen: map[key]struct{}{}, means: newMeans()}
	var err error
	if w.file, err = os.Create(path + ".partial"); err != nil {
		return nil, fmt.Errorf("beginning the Inspect log: %w", err)
	}
	w.out = bufio.NewWriterSize(w.file, 1<<16)
	w.zip = zip.NewWriter(w.out)
	if w.summaries, err = newSpool(filepath.Dir(path)); err != nil {
		w.Abort()
		return nil, fmt.Errorf("beginning the Inspect log's summaries: %w", err)
	}
	if err := w.member("_journal/start.json", w.begun); err != nil {
		w.Abort()
		return nil, err
	}
	return w, nil
}

// Sample adds a sample. On an error about the sample itself (an epoch below 1, the same ID and epoch again, a role or stop
// reason that Inspect does not know, NaN or anything else without a JSON form) nothing of it is written and the log can go
// on; after any other error it cannot.
func (w *Writer) Sample(s Sample) error {
	if w.err != nil {
		return w.err
	}
	if err := s.validate(); err != nil {
		return fmt.Errorf("sample %.200q for the Inspect log: %w", s.ID, err)
	}
	record := s.record(w.log)
	place := key{w.means.place(record.ID), s.Epoch}
	if _, twice := w.seen[place]; twice {
		return fmt.Errorf("sample %.200q for the Inspect log: epoch %d is there already", s.ID, s.Epoch)
	}
	body, err := encode(record)
	if err != nil {
		return fmt.Errorf("sample %.200q has no JSON form: %w", s.ID, err)
	}
	short, err := encode(record.summary(s.Input))
	if err != nil {
		return fmt.Errorf("the summary of sample %.200q has no JSON form: %w", s.ID, err)
	}
	w.seen[place] = struct{}{}
	w.written++
	if s.Error == "" {
		w.completed++
	}
	w.means.add(place.id, s.Scores)
	if err := w.raw(fmt.Sprintf("samples/%s_epoch_%d.json", record.ID, s.Epoch), body); err != nil {
		return err
	}
	if err := w.summaries.add(short); err != nil {
		return w.fail(fmt.Errorf("keeping summaries for the Inspect log: %w", err))
	}
	if w.pending = append(w.pending, short); len(w.pending) == batch {
		return w.journal()
	}
	return nil
}

func (s Sample) validate() error {
	if s.Epoch < 1 {
		return fmt.Errorf("epoch is %d, must be at least 1", s.Epoch)
	}
	all := slices.Concat(s.Input, s.Messages)
	if s.Output.Message != nil {
		if s.Output.Message.Role != "assistant" {
			return fmt.Errorf(`the answer has role %q, must be "assistant"`, s.Output.Message.Role)
		}
		all = append(all, *s.Output.Message)
	}
	for _, m := range all {
		if !slices.Contains([]string{"system", "user", "assistant"}, m.Role) {
			return fmt.Errorf(`a message has role %q, must be one of "system", "user", "assistant"`, m.Role)
		}
	}
	known := []string{"", "stop", "max_tokens", "model_length", "tool_calls", "content_filter", "unknown"}
	if !slices.Contains(known, s.Output.StopReason) {
		return fmt.Errorf("the stop reason is %q, must be one of %q", s.Output.StopReason, known[1:])
	}
	return nil
}

// Close ends the log and puts it in place. On an error there is no log, and what was written is gone.
func (w *Writer) Close(end Result) error {
	if w.file == nil {
		return errors.New("the Inspect log is closed already")
	}
	defer w.Abort()
	if w.err != nil {
		return w.err
	}
	switch {
	case end.Status != StatusSuccess && end.Status != StatusCancelled && end.Status != StatusError:
		return fmt.Errorf("the status of an Inspect log is %q, must be one of %q, %q, %q", end.Status, StatusSuccess, StatusCancelled, StatusError)
	case (end.Error != "") != (end.Status == StatusError):
		return fmt.Errorf("an Inspect log of status %q has the error %q: an error goes with status %q and with no other", end.Status, end.Error, StatusError)
	}
	if err := w.finish(end); err != nil {
		return err
	}
	err := errors.Join(w.zip.Close(), w.out.Flush(), w.file.Sync(), w.file.Close())
	if err == nil {
		err = os.Rename(w.path+".partial", w.path)
	}
	if err != nil {
		return fmt.Errorf("ending the Inspect log: %w", err)
	}
	return nil
}

// finish writes all members that come after the samples.
func (w *Writer) finish(end Result) error {
	if len(w.pending) > 0 {
		if err := w.journal(); err != nil {
			return err
		}
	}
	if err := w.stream("summaries.json", w.summaries.copyTo); err != nil {
		return err
	}
	if err := w.stream("reductions.json", w.means.write); err != nil {
		return err
	}
	return w.member("header.json", end.header(w.begun, w.completed, w.written))
}

// Abort gives the log up, closed or not, and removes what was written of it.
func (w *Writer) Abort() {
	if w.file == nil {
		return
	}
	// What these could say no longer matters: after Close the file is closed and has another name.
	_ = w.file.Close()
	_ = os.Remove(w.path + ".partial")
	if w.summaries != nil {
		w.summaries.remove()
	}
	w.file = nil
	w.fail(errors.New("the Inspect log is closed already"))
}

func (w *Writer) fail(err error) error {
	if w.err == nil {
		w.err = err
	}
	return w.err
}

func (w *Writer) journal() error {
	w.journals++
	err := w.raw(fmt.Sprintf("_journal/summaries/%d.json", w.journals), array(w.pending))
	w.pending = w.pending[:0]
	return err
}

func (w *Writer) member(name string, value any) error {
	body, err := encode(value)
	if err != nil {
		return w.fail(fmt.Errorf("%s of the Inspect log has no JSON form: %w", name, err))
	}
	return w.raw(name, body)
}

func (w *Writer) raw(name string, body []byte) error {
	return w.stream(name, func(out io.Writer) error {
		_, err := out.Write(body)
		return err
	})
}

func (w *Writer) stream(name string, write func(io.Writer) error) error {
	out, err := w.zip.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Deflate, Modified: w.log.Created})
	if err == nil {
		err = write(out)
	}
	if err != nil {
		return w.fail(fmt.Errorf("writing %s of the Inspect log: %w", name, err))
	}
	return nil
}

// encode returns value as JSON. What is not UTF-8 becomes U+FFFD.
func encode(value any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(value); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

func array(values [][]byte) []byte {
	return slices.Concat([]byte("["), bytes.Join(values, []byte(",\n")), []byte("]"))
}

// spool is a temporary file of JSON values that become one array.
type spool struct {
	file *os.File
	in   *flate.Writer
	any  bool
}

func newSpool(dir string) (*spool, error) {
	file, err := os.CreateTemp(dir, ".summaries-*")
	if err != nil {
		return nil, err
	}
	in, err := flate.NewWriter(file, flate.BestSpeed)
	return &spool{file: file, in: in}, err
}

func (s *spool) add(value []byte) error {
	before := "["
	if s.any {
		before = ",\n"
	}
	s.any = true
	_, err := s.in.Write(append([]byte(before), value...))
	return err
}

func (s *spool) copyTo(out io.Writer) error {
	if !s.any {
		_, err := io.WriteString(out, "[]")
		return err
	}
	if _, err := io.WriteString(s.in, "]"); err != nil {
		return err
	}
	if err := s.in.Close(); err != nil {
		return err
	}
	if _, err := s.file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	_, err := io.Copy(out, flate.NewReader(bufio.NewReaderSize(s.file, 1<<16)))
	return err
}

func (s *spool) remove() {
	_ = s.file.Close()
	_ = os.Remove(s.file.Name())
}
