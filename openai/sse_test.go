package openai

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// readEvents returns all events of a stream, one a line.
func readEvents(r io.Reader) (string, error) {
	var out strings.Builder
	events := NewEventReader(r)
	for {
		e, err := events.Next()
		if err != nil {
			return out.String(), err
		}
		fmt.Fprintf(&out, "%s|%s", e.Type, e.Data)
		if e.Partial {
			out.WriteString("|partial")
		}
		out.WriteString("\n")
	}
}

func TestEventReader(t *testing.T) {
	for _, tc := range []struct{ name, in, want string }{
		{"LF", "data: a\n\ndata: b\n\n", "|a\n|b\n"},
		{"CR", "data: a\r\rdata: b\r\r", "|a\n|b\n"},
		{"CRLF", "data: a\r\n\r\ndata: b\r\n\r\n", "|a\n|b\n"},
		{"mixed", "data: a\r\n\ndata: b\r\r\ndata: c\n\r", "|a\n|b\n|c\n"},
		{"comments", ": hello\n\n:\ndata: a\n: between\ndata: b\n\n", "|a\nb\n"},
		{"several lines", "data: a\ndata:\ndata:b\n\n", "|a\n\nb\n"},
		{"one space is taken away", "data:  a \n\n", "| a \n"},
		{"no colon", "data\n\ndata: a\n\n", "|\n|a\n"},
		{"type", "event: ping\ndata: a\n\ndata: b\n\n", "ping|a\n|b\n"},
		{"a type without data is forgotten", "event: ping\n\ndata: a\n\n", "|a\n"},
		{"other fields", "id: 7\nretry: 1\nnobody: knows\ndata: a\n\n", "|a\n"},
		{"colons in data", "data: {\"a\":1}\n\n", "|{\"a\":1}\n"},
		{"byte order mark", "\ufeffdata: a\n\n", "|a\n"},
		{"the mark only at the beginning", "data: a\n\n\ufeffdata: b\n\n", "|a\n"},
		{"no last line end", "data: a\n\ndata: b", "|a\n|b|partial\n"},
		{"no empty line", "data: a\n\ndata: b\n", "|a\n|b|partial\n"},
		{"llama.cpp's errors", "error: {}\n\n", "error|{}\n"},
		{"nothing", "", ""},
		{"empty lines", "\n\n\n\r\n\r", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for name, r := range map[string]io.Reader{"at once": strings.NewReader(tc.in), "by bytes": iotest.OneByteReader(strings.NewReader(tc.in))} {
				if got, err := readEvents(r); got != tc.want || err != io.EOF {
					t.Errorf("%s: %q, %v, want %q", name, got, err, tc.want)
				}
			}
		})
	}
}

// An error of the connection comes after the event that it cut short.
func TestEventReaderBroken(t *testing.T) {
	broken := errors.New("broken")
	got, err := readEvents(io.MultiReader(strings.NewReader("data: a\n\ndata: b\n"), iotest.ErrReader(broken)))
	if got != "|a\n|b|partial\n" || err != broken {
		t.Errorf("%q, %v", got, err)
	}
}

func TestEventReaderBound(t *testing.T) {
	for name, in := range map[string]string{
		"line":    "data: " + strings.Repeat("x", 200),
		"event":   strings.Repeat("data: xxxxxxxxxx\n", 20) + "\n",
		"comment": ":" + strings.Repeat("x", 200) + "\n",
		"empty":   strings.Repeat("data\n", 200),
	} {
		r := NewEventReader(strings.NewReader("data: ok\n\n" + in))
		r.max = 100
		if e, err := r.Next(); err != nil || string(e.Data) != "ok" {
			t.Errorf("%s: %v, %v", name, e, err)
		}
		if e, err := r.Next(); err != errTooLarge || e.Data != nil {
			t.Errorf("%s: %q, %v, want it to be too large", name, e.Data, err)
		}
		if _, err := r.Next(); err != errTooLarge {
			t.Errorf("%s: then %v", name, err)
		}
	}
}

// However a stream is cut into reads, and whichever line ends it has, its events are the same.
func FuzzEvents(f *testing.F) {
	f.Add([]byte("data: a\r\n\r\n: c\revent: x\ndata: b\n\n"))
	f.Add([]byte("\ufeffdata\n\rid:1\n\nerror: {}"))
	f.Fuzz(func(t *testing.T, in []byte) {
		want, err := readEvents(bytes.NewReader(in))
		if err != io.EOF {
			t.Fatal(err)
		}
		if got, err := readEvents(iotest.OneByteReader(bytes.NewReader(in))); got != want || err != io.EOF {
			t.Errorf("by bytes %q, %v, at once %q", got, err, want)
		}
		if bytes.IndexByte(in, '\r') < 0 {
			crlf := bytes.ReplaceAll(in, []byte("\n"), []byte("\r\n"))
			if got, _ := readEvents(bytes.NewReader(crlf)); got != want {
				t.Errorf("with CRLF %q, with LF %q", got, want)
			}
		}
		var again strings.Builder
		r := NewEventReader(bytes.NewReader(in))
		for e, err := r.Next(); err == nil; e, err = r.Next() {
			if e.Type != "" {
				again.WriteString("event: " + e.Type + "\n")
			}
			for _, line := range strings.Split(string(e.Data), "\n") {
				again.WriteString("data: " + line + "\n")
			}
			again.WriteString("\n")
		}
		if got, _ := readEvents(strings.NewReader(again.String())); got != strings.ReplaceAll(want, "|partial\n", "\n") {
			t.Errorf("written again %q, before %q", got, want)
		}
	})
}
