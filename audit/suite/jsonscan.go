package suite

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// maxDepth bounds how deep a value may be nested.
const maxDepth = 100

var (
	errEnd   = errors.New("the JSON ends too early")
	errDepth = fmt.Errorf("nested deeper than %d", maxDepth)
)

// eachField calls f for every member of the JSON object that text is, with its name and its value as it stands there. It checks
// all of the text, so that an error means that it is no JSON object, or is f's own. It exists because opening a suite of 200,000
// lines needs a few members of each, and encoding/json, which goes over all of it three times, took too long.
func eachField(text []byte, f func(name string, value []byte) error) error {
	if !utf8.Valid(text) {
		return errors.New("not UTF-8: save the file as UTF-8")
	}
	i := blank(text, 0)
	if i == len(text) || text[i] != '{' {
		return errors.New("not a JSON object: must be one {...}")
	}
	i = blank(text, i+1)
	if i < len(text) && text[i] == '}' {
		return onlyBlank(text, i+1)
	}
	for {
		end, err := scanString(text, i)
		if err != nil {
			return err
		}
		name := unescape(text[i+1 : end-1])
		if i, err = expect(text, blank(text, end), ':'); err != nil {
			return err
		}
		i = blank(text, i)
		if end, err = scanValue(text, i, 1); err != nil {
			return err
		}
		if err := f(name, text[i:end]); err != nil {
			return err
		}
		i = blank(text, end)
		if i < len(text) && text[i] == '}' {
			return onlyBlank(text, i+1)
		}
		if i, err = expect(text, i, ','); err != nil {
			return err
		}
		i = blank(text, i)
	}
}

// eachElement calls f for every element of the JSON array that text is, which has been scanned before.
func eachElement(text []byte, f func(value []byte) error) error {
	if len(text) == 0 || text[0] != '[' {
		return errors.New("not a JSON array")
	}
	i := blank(text, 1)
	for i < len(text) && text[i] != ']' {
		end, err := scanValue(text, i, 1)
		if err != nil {
			return err
		}
		if err := f(text[i:end]); err != nil {
			return err
		}
		if i = blank(text, end); i < len(text) && text[i] == ',' {
			i = blank(text, i+1)
		}
	}
	return nil
}

func onlyBlank(text []byte, i int) error {
	if i = blank(text, i); i < len(text) {
		return fmt.Errorf("at byte %d: something follows the JSON object", i+1)
	}
	return nil
}

// blank returns the place of the next byte at or after i that is no white space.
func blank(text []byte, i int) int {
	for i < len(text) && (text[i] == ' ' || text[i] == '\t' || text[i] == '\n' || text[i] == '\r') {
		i++
	}
	return i
}

func expect(text []byte, i int, c byte) (int, error) {
	if i >= len(text) {
		return 0, errEnd
	}
	if text[i] != c {
		return 0, fmt.Errorf("at byte %d: %q where JSON needs %q", i+1, text[i], c)
	}
	return i + 1, nil
}

// scanValue returns where the value that begins at i ends.
func scanValue(text []byte, i, depth int) (int, error) {
	if i >= len(text) {
		return 0, errEnd
	}
	if depth > maxDepth {
		return 0, errDepth
	}
	switch c := text[i]; {
	case c == '"':
		return scanString(text, i)
	case c == '{' || c == '[':
		return scanInside(text, i, depth)
	case c == '-' || c >= '0' && c <= '9':
		return scanNumber(text, i)
	}
	for _, w := range []string{"true", "false", "null"} {
		if bytes.HasPrefix(text[i:], []byte(w)) {
			return i + len(w), nil
		}
	}
	return 0, fmt.Errorf("at byte %d: %q begins no JSON value", i+1, text[i])
}

// scanInside returns where the object or array that begins at i ends.
func scanInside(text []byte, i, depth int) (int, error) {
	object := text[i] == '{'
	closing := byte(']')
	if object {
		closing = '}'
	}
	i = blank(text, i+1)
	if i < len(text) && text[i] == closing {
		return i + 1, nil
	}
	for {
		var err error
		if object {
			if i, err = scanString(text, i); err != nil {
				return 0, err
			}
			if i, err = expect(text, blank(text, i), ':'); err != nil {
				return 0, err
			}
		}
		if i, err = scanValue(text, blank(text, i), depth+1); err != nil {
			return 0, err
		}
		i = blank(text, i)
		if i < len(text) && text[i] == closing {
			return i + 1, nil
		}
		if i, err = expect(text, i, ','); err != nil {
			return 0, err
		}
		i = blank(text, i)
	}
}

// scanString returns where the string that begins at i ends.
func scanString(text []byte, i int) (int, error) {
	i, err := expect(text, i, '"')
	if err != nil {
		return 0, err
	}
	for i < len(text) {
		switch c := text[i]; {
		case c > '\\' || c != '\\' && c > '"':
			i++
		case c == '"':
			return i + 1, nil
		case c < 0x20:
			return 0, fmt.Errorf("at byte %d: a control character in a string: write it as \\u%04x", i+1, c)
		case c == '\\':
			n, err := scanEscape(text, i)
			if err != nil {
				return 0, err
			}
			i += n
		default:
			i++
		}
	}
	return 0, errEnd
}

// scanEscape returns how long the escape that begins at i is.
func scanEscape(text []byte, i int) (int, error) {
	if i+1 >= len(text) {
		return 0, errEnd
	}
	if bytes.IndexByte([]byte(`"\/bfnrt`), text[i+1]) >= 0 {
		return 2, nil
	}
	if text[i+1] != 'u' {
		return 0, fmt.Errorf("at byte %d: \\%c is no escape of JSON", i+1, text[i+1])
	}
	for j := i + 2; j < i+6; j++ {
		if j >= len(text) {
			return 0, errEnd
		}
		if c := text[j]; (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'f') {
			return 0, fmt.Errorf("at byte %d: \\u needs four hexadecimal digits", i+1)
		}
	}
	return 6, nil
}

// scanNumber returns where the number that begins at i ends.
func scanNumber(text []byte, i int) (int, error) {
	start := i
	digits := func() bool {
		from := i
		for i < len(text) && text[i] >= '0' && text[i] <= '9' {
			i++
		}
		return i > from
	}
	if text[i] == '-' {
		i++
	}
	zero := i < len(text) && text[i] == '0'
	from := i
	ok := digits() && (!zero || i == from+1)
	if ok && i < len(text) && text[i] == '.' {
		i++
		ok = digits()
	}
	if ok && i < len(text) && text[i]|0x20 == 'e' {
		i++
		if i < len(text) && (text[i] == '+' || text[i] == '-') {
			i++
		}
		ok = digits()
	}
	if !ok {
		return 0, fmt.Errorf("at byte %d: no number of JSON", start+1)
	}
	return i, nil
}

// unescape returns the text of a string, given without its quotes, that has been scanned before. Half of a surrogate pair becomes
// U+FFFD, as in encoding/json.
func unescape(s []byte) string {
	at := bytes.IndexByte(s, '\\')
	if at < 0 {
		return string(s)
	}
	var b strings.Builder
	b.Grow(len(s))
	for ; at >= 0; at = bytes.IndexByte(s, '\\') {
		b.Write(s[:at])
		c := s[at+1]
		s = s[at+2:]
		if c != 'u' {
			b.WriteByte(escaped[c])
			continue
		}
		r := hex(s)
		s = s[4:]
		if utf16.IsSurrogate(r) {
			low := rune(0)
			if len(s) >= 6 && s[0] == '\\' && s[1] == 'u' {
				low = hex(s[2:])
			}
			if r = utf16.DecodeRune(r, low); r != utf8.RuneError {
				s = s[6:]
			}
		}
		b.WriteRune(r)
	}
	b.Write(s)
	return b.String()
}

// escaped is what the letter behind a backslash stands for.
var escaped = [256]byte{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

// hex reads four hexadecimal digits.
func hex(s []byte) rune {
	r := rune(0)
	for _, c := range s[:4] {
		switch {
		case c <= '9':
			c -= '0'
		default:
			c = c | 0x20 - 'a' + 10
		}
		r = r<<4 | rune(c)
	}
	return r
}
