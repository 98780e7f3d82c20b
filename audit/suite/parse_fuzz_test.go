package suite

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"
)

// What the scanner takes is JSON, and what it does not take is none, but for depth and encoding.
func FuzzJSONLine(f *testing.F) {
	for _, seed := range []string{
		`{"id":"a","question":"x\u00e9\n","choices":["1",2.5e-3],"answer":0}`, `{}`, `{"a":[{"b":null},true,false,-0]}`, `{"a":01}`,
		`{"a":"\ud800"}`, `{"a":"\ud83d\ude00\ud83d\u0041\"\\\/\b\f\r\t"}`, `{"a":1,}`, `{"question":"?","choices":{"A":"x","B":"y"},"answer":"B"}`, `{"question":"?","answer":"#### 3"}`, ` { "a" : 1 } `,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		var members map[string]json.RawMessage
		seen := map[string]string{}
		err := eachField(line, func(name string, value []byte) error {
			seen[name] = string(value)
			return nil
		})
		valid := json.Unmarshal(line, &members) == nil && members != nil && utf8.Valid(line)
		if valid != (err == nil) && !errors.Is(err, errDepth) {
			t.Fatalf("%q: %v, encoding/json says valid: %v", line, err, valid)
		}
		if err == nil {
			for name, value := range members {
				if seen[name] != string(value) {
					t.Fatalf("%q: member %q is %q, want %q", line, name, seen[name], value)
				}
				var want string
				if got, err := jsonString(value); err == nil && (json.Unmarshal(value, &want) != nil || got != want) {
					t.Fatalf("%q: member %q reads %q, want %q", line, name, got, want)
				}
			}
		}
		r, err := parseJSON(line)
		if err == nil && (strings.TrimSpace(r.question) == "" || r.form == "") {
			t.Fatalf("%q was read as %+v", line, r)
		}
	})
}

// A file that encoding/csv can read is cut into the same records.
func FuzzCSVRecord(f *testing.F) {
	for _, seed := range []string{"a,b\nc,d\n", "\"a\nb\",c\r\n", "\"a\"\"b\",\"\n\"\n", "\n\n,\n", "\r\r", "question,answer\n?,1\n", "\"open", "a\"b,c\n", "Which?,1,2,3,4,B"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var got [][]string
		var parts int
		err := splitCSV(newReader(bytes.NewReader(text), int64(len(text))), func(s span) error {
			parts++
			if string(text[s.at:s.at+int64(len(s.text))]) != string(s.text) {
				t.Fatalf("%q: %q does not begin at byte %d", text, s.text, s.at)
			}
			row, err := csvRow(s.text)
			if err == nil {
				got = append(got, row)
			}
			_, _ = parseCSV(s.text, nil)
			_, _ = parseCSV(s.text, csvHeader(s.text))
			return nil
		})
		reader := csv.NewReader(bytes.NewReader(text))
		reader.FieldsPerRecord = -1
		want, wantErr := reader.ReadAll()
		if wantErr != nil {
			return
		}
		if err != nil || parts != len(want) || len(got) != len(want) {
			t.Fatalf("%q: %d records, %v; want %d", text, parts, err, len(want))
		}
		for i := range want {
			if strings.Join(got[i], "\x00") != strings.Join(want[i], "\x00") {
				t.Fatalf("%q: record %d is %q, want %q", text, i, got[i], want[i])
			}
		}
	})
}

// An array of objects is cut into its elements.
func FuzzArray(f *testing.F) {
	for _, seed := range []string{`[]`, `[{"a":"]}\""},{"b":[{}]}]`, ` [ {} , {} ] `, `[{}`, `[{},]`, `{}`, `[{}]]`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var got []string
		err := splitArray(bufio.NewReader(bytes.NewReader(text)), func(s span) error {
			got = append(got, string(s.text))
			return nil
		})
		var want []json.RawMessage
		if json.Unmarshal(text, &want) != nil || want == nil {
			return
		}
		for _, w := range want {
			if w[0] != '{' {
				return
			}
		}
		if err != nil || len(got) != len(want) {
			t.Fatalf("%q: %q, %v", text, got, err)
		}
		for i := range want {
			if got[i] != string(want[i]) {
				t.Fatalf("%q: element %d is %q", text, i, got[i])
			}
		}
	})
}
