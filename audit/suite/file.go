package suite

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sync/errgroup"

	"candor/reasoning/dialect"
)

// File is a user's questions. Of each it keeps 20 bytes in memory and reads the rest when asked. It is safe for concurrent use.
type File struct {
	path, name string
	f          *os.File
	size       int64
	format     format
	columns    []string // of a CSV with a header
	at         []int64  // where each question begins
	line       []uint32 // its line, or in an array its place, from 1
	hash       []uint64 // of its ID
}

// format is how a file holds questions.
type format struct {
	split splitter
	parse func(text []byte, columns []string) (record, error)
	// id reads no more than the id.
	id func(text []byte, columns []string) (string, error)
	// counted says that questions without an id are counted, instead of named by their line.
	counted bool
	// line says that a question never goes beyond its line.
	line bool
	// header says that the first record may name the columns.
	header bool
}

func parseLine(text []byte, _ []string) (record, error) { return parseJSON(text) }

// formats are known by the ends of files' names.
var formats = map[string]format{
	".jsonl":  {line: true, split: splitLines, parse: parseLine, id: idJSON},
	".ndjson": {line: true, split: splitLines, parse: parseLine, id: idJSON},
	".json":   {split: splitArray, parse: parseLine, id: idJSON, counted: true},
	".csv":    {split: splitCSV, parse: parseCSV, id: idCSV, header: true},
}

const knownEndings = ".jsonl, .ndjson, .json or .csv"

// Open reads a file of questions in one of the formats of the package comment, and checks all of it. Its errors name the file,
// the line, the field, and what is valid. The file stays open until Close and must not change.
func Open(path string) (*File, error) {
	format, ok := formats[strings.ToLower(filepath.Ext(path))]
	if !ok {
		return nil, fmt.Errorf("opening questions: %s: its name must end with %s", path, knownEndings)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("opening questions: %w", err)
	}
	s := &File{path: path, name: strings.TrimSuffix(filepath.Base(path), filepath.Ext(path)), f: f, format: format}
	if slices.Contains(Names(), s.name) {
		s.name += "-file" // what is named like a built-in suite would be taken for it
	}
	if err := s.scan(); err != nil {
		_ = f.Close() // it was only read
		return nil, fmt.Errorf("opening questions: %w", err)
	}
	return s, nil
}

// Close closes the file.
func (s *File) Close() error { return s.f.Close() }

// scan finds and checks all questions.
func (s *File) scan() error {
	info, err := s.f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s: not a regular file", s.path)
	}
	s.size = info.Size()
	r := newReader(io.NewSectionReader(s.f, 0, s.size), s.size)
	start, err := skipMark(r)
	if err != nil {
		return fmt.Errorf("%s: %w", s.path, err)
	}
	if err := s.index(r, start); err != nil {
		var at *lineError
		if errors.As(err, &at) {
			return fmt.Errorf("%s:%w", s.path, err)
		}
		return fmt.Errorf("%s: %w", s.path, err)
	}
	if len(s.at) == 0 {
		return fmt.Errorf("%s: holds no questions", s.path)
	}
	return s.distinct()
}

// skipMark skips the mark with which some editors begin UTF-8 and returns its length.
func skipMark(r *bufio.Reader) (int64, error) {
	begin, err := r.Peek(3)
	switch {
	case err != nil && !errors.Is(err, io.EOF):
		return 0, err
	case bytes.Equal(begin, []byte("\xef\xbb\xbf")):
		_, err := r.Discard(3)
		return 3, err
	case bytes.HasPrefix(begin, []byte("\xff\xfe")) || bytes.HasPrefix(begin, []byte("\xfe\xff")):
		return 0, errors.New("is UTF-16: save it as UTF-8")
	}
	return 0, nil
}

// batch is some questions that follow one another, to be checked at once.
type batch struct {
	text []byte
	end  []int // of each question in text
	at   []int64
	line []uint32
	hash []uint64
	err  error
}

const batchBytes = 256 << 10

// index fills at, line and hash: one goroutine cuts the file, the others check what it found.
func (s *File) index(r *bufio.Reader, start int64) error {
	workers := runtime.GOMAXPROCS(0)
	work, free := make(chan *batch), make(chan []byte, workers+2)
	g, ctx := errgroup.WithContext(context.Background())
	for range workers {
		g.Go(func() error {
			for b := range work {
				if b.err = s.check(b); b.err != nil {
					return b.err
				}
				select {
				case free <- b.text[:0]:
				default:
				}
				b.text, b.end = nil, nil
			}
			return nil
		})
	}
	batches, cutErr := s.cut(ctx, r, start, work, free)
	close(work)
	err := g.Wait()
	n := 0
	for _, b := range batches {
		n += len(b.at)
	}
	s.at, s.line, s.hash = make([]int64, 0, n), make([]uint32, 0, n), make([]uint64, 0, n)
	for _, b := range batches { // the first fault in the file counts, whoever found one first
		if b.err != nil {
			return b.err
		}
		s.at, s.line, s.hash = append(s.at, b.at...), append(s.line, b.line...), append(s.hash, b.hash...)
	}
	if cutErr != nil {
		return cutErr
	}
	return err
}

// cut sends the file's questions to work, in batches, and returns these in order.
func (s *File) cut(ctx context.Context, r *bufio.Reader, start int64, work chan<- *batch, free <-chan []byte) ([]*batch, error) {
	var all []*batch
	b := &batch{}
	send := func() error {
		select {
		case work <- b:
			all = append(all, b)
		case <-ctx.Done():
			return ctx.Err()
		}
		b = &batch{}
		select {
		case b.text = <-free:
		default:
		}
		return nil
	}
	n, first := 0, true
	err := s.format.split(r, func(q span) error {
		if first && s.format.header {
			first = false
			if s.columns = csvHeader(q.text); s.columns != nil {
				return nil
			}
		}
		n++
		line := q.line
		if s.format.counted {
			line = n
		}
		b.text = append(b.text, q.text...)
		b.end, b.at, b.line = append(b.end, len(b.text)), append(b.at, start+q.at), append(b.line, uint32(line))
		if len(b.text) < batchBytes {
			return nil
		}
		return send()
	})
	if len(b.end) > 0 && ctx.Err() == nil {
		err = errors.Join(err, send())
	}
	return all, err
}

// check parses the questions of a batch.
func (s *File) check(b *batch) error {
	from := 0
	b.hash = make([]uint64, len(b.end))
	for i, end := range b.end {
		r, err := s.format.parse(b.text[from:end], s.columns)
		if err != nil {
			return &lineError{s.lineOf(b.line[i], b.at[i]), err}
		}
		b.hash[i] = hashOf(s.id(r.id, b.line[i]))
		from = end
	}
	return nil
}

// lineOf returns the line of a question that begins at a place. Where questions are counted, lines have to be counted anew.
func (s *File) lineOf(line uint32, at int64) int {
	if !s.format.counted {
		return int(line)
	}
	n := 1
	r := bufio.NewReader(io.NewSectionReader(s.f, 0, at))
	for {
		text, err := r.ReadSlice('\n')
		if bytes.HasSuffix(text, []byte("\n")) {
			n++
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return n
		}
	}
}

func (s *File) id(id string, line uint32) string {
	if id == "" {
		id = strconv.Itoa(int(line))
	}
	return s.name + "/" + id
}

// hashOf is FNV-1a of 64 bits.
func hashOf(text string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(text) {
		h = (h ^ uint64(text[i])) * 1099511628211
	}
	return h
}

// distinct returns an error if two questions have the same id.
func (s *File) distinct() error {
	order := make([]uint32, len(s.hash))
	for i := range order {
		order[i] = uint32(i)
	}
	slices.SortFunc(order, func(a, b uint32) int {
		switch {
		case s.hash[a] < s.hash[b]:
			return -1
		case s.hash[a] > s.hash[b]:
			return 1
		}
		return int(a) - int(b)
	})
	for k := 1; k < len(order); k++ {
		a, b := order[k-1], order[k]
		if s.hash[a] != s.hash[b] {
			continue
		}
		one, err := s.ID(int(a))
		if err != nil {
			return err
		}
		two, err := s.ID(int(b))
		if err != nil {
			return err
		}
		if one == two {
			return fmt.Errorf("%s:%d: the id %q is that of line %d too: ids must differ (a question without one has its line as its id)",
				s.path, s.lineOf(s.line[b], s.at[b]), strings.TrimPrefix(one, s.name+"/"), s.lineOf(s.line[a], s.at[a]))
		}
	}
	return nil
}

// Len implements [Source].
func (s *File) Len() int { return len(s.at) }

// ID implements [Source]: the file's name without its ending, a slash, and the question's id.
func (s *File) ID(i int) (string, error) {
	text, err := s.read(i)
	if err != nil {
		return "", err
	}
	id, err := s.format.id(text, s.columns)
	return s.known(i, id, err)
}

// read returns the text of question i.
func (s *File) read(i int) ([]byte, error) {
	if err := within(s, i); err != nil {
		return nil, err
	}
	end := s.size
	if i+1 < len(s.at) {
		end = s.at[i+1]
	}
	text := make([]byte, min(end-s.at[i], maxRecord+2))
	if n, err := s.f.ReadAt(text, s.at[i]); n < len(text) {
		return nil, s.fault(i, fmt.Errorf("reading a question again: %w", err))
	}
	text, err := s.format.first(text)
	if err != nil {
		return nil, s.fault(i, err)
	}
	return text, nil
}

func (s *File) fault(i int, err error) error {
	return fmt.Errorf("%s:%d: %w", s.path, s.lineOf(s.line[i], s.at[i]), err)
}

// known returns the ID of question i, whose id was read with an error: the ID must be what it was when the file was opened.
func (s *File) known(i int, id string, err error) (string, error) {
	if err != nil {
		return "", s.fault(i, err)
	}
	id = s.id(id, s.line[i])
	if hashOf(id) != s.hash[i] {
		return "", s.fault(i, errors.New("the file changed after it was opened: run again"))
	}
	return id, nil
}

// first returns the question that a text begins with.
func (f format) first(text []byte) ([]byte, error) {
	if f.counted {
		end, err := scanValue(text, 0, 0)
		return text[:end], err
	}
	if f.line {
		text, _, _ = bytes.Cut(text, []byte("\n"))
		return bytes.TrimRight(text, " \t\r"), nil
	}
	found := errors.New("found")
	err := f.split(bufio.NewReaderSize(bytes.NewReader(text), len(text)+1), func(s span) error {
		text = s.text
		return found
	})
	if errors.Is(err, found) {
		return text, nil
	}
	return nil, errors.Join(errEnd, err)
}

// Item implements [Source].
func (s *File) Item(i int) (Item, error) {
	text, err := s.read(i)
	if err != nil {
		return Item{}, err
	}
	r, err := s.format.parse(text, s.columns)
	id, err := s.known(i, r.id, err)
	if err != nil {
		return Item{}, err
	}
	p := problem{asked: r.question, form: r.form, what: "the answer, in as few words as possible", answer: r.answer, choices: r.choices}
	switch r.form {
	case dialect.Number:
		p.what = aNumber
	case dialect.Choice:
		p.what = aLetter
	case dialect.YesNo:
		p.what, p.domain = yesOrNo, []string{"yes", "no"}
	}
	it := p.put()
	it.ID, it.Suite, it.Kind = id, s.name, "question"
	if r.subject != "" {
		it.Kind = strings.ReplaceAll(strings.Join(strings.Fields(r.subject), " "), "/", "-")
	}
	return it, nil
}
