package suite

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"candor/reasoning/dialect"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func write(t testing.TB, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}

func open(t testing.TB, name, text string) *File {
	t.Helper()
	s, err := Open(write(t, name, text))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := Close(s); err != nil {
			t.Error(err)
		}
	})
	return s
}

// Each case is one question as somebody publishes it.
func TestPublishedForms(t *testing.T) {
	for _, tc := range []struct{ name, file, text, id, kind, form, answer, choices string }{
		{"own", "q.jsonl", `{"id":"x-1","question":"Which?","choices":["one","two"],"answer":"B"}`, "q/x-1", "question", "choice", "B", "one|two"},
		{"own, index", "q.jsonl", `{"id":7,"question":"Which?","choices":["one","two"],"answer":1}`, "q/7", "question", "choice", "B", "one|two"},
		{"own, text of the choice", "q.jsonl", `{"question":"Which?","choices":["one","two"],"answer":"two"}`, "q/1", "question", "choice", "B", "one|two"},
		{"own, by letter", "q.jsonl", `{"question":"Which?","choices":{"B":"two","A":"one"},"answer":"b"}`, "q/1", "question", "choice", "B", "one|two"},
		{"numbers as choices", "q.jsonl", `{"question":"Which?","choices":[3,2,1],"answer":2}`, "q/1", "question", "choice", "C", "3|2|1"},
		{"a number's text", "q.jsonl", `{"question":"Which?","choices":["3","2","1"],"answer":"2"}`, "q/1", "question", "choice", "B", "3|2|1"},
		{"an index as text", "q.jsonl", `{"question":"Which?","options":["x","y"],"label":"1"}`, "q/1", "question", "choice", "B", "x|y"},
		{"nobody knows", "q.jsonl", `{"question":"Which?","choices":["x","y"],"answer":null}`, "q/1", "question", "choice", "", "x|y"},
		{"free number", "q.jsonl", `{"question":"How many?","answer":4.50}`, "q/1", "question", "number", "4.50", ""},
		{"free number as text", "q.jsonl", `{"question":"How many?","answer":"1,200"}`, "q/1", "question", "number", "1,200", ""},
		{"free text", "q.jsonl", `{"question":"Who?","answer":"Ada Lovelace"}`, "q/1", "question", "text", "Ada Lovelace", ""},
		{"yes", "q.jsonl", `{"question":"Is it?","answer":"Yes"}`, "q/1", "question", "yes-no", "yes", ""},
		{"BoolQ", "q.jsonl", `{"question":"is it","passage":"...","answer":false}`, "q/1", "question", "yes-no", "no", ""},
		{"GSM8K", "gsm8k.jsonl", `{"question": "How many clips?", "answer": "48/2 = <<48/2=24>>24.\nSo 48+24 = 1,072.\n#### 1,072"}`, "gsm8k/1", "question", "number", "1,072", ""},
		{"MMLU", "mmlu.jsonl", `{"question":"Find the degree.","subject":"abstract_algebra","choices":["0","4","2","6"],"answer":1}`, "mmlu/1", "abstract_algebra", "choice", "B", "0|4|2|6"},
		{"MMLU, first form", "mmlu.csv", "\"Find the degree, of\nit.\",0,4,2,6,B\n", "mmlu/1", "question", "choice", "B", "0|4|2|6"},
		{"ARC", "arc.jsonl", `{"id":"M_7","question":"Which?","choices":{"text":["a","b","c"],"label":["1","2","3"]},"answerKey":"2"}`, "arc/M_7", "question", "choice", "B", "a|b|c"},
		{"Inspect", "i.json", "[\n {\"input\":\"Which?\",\"target\":[\"A\"],\"choices\":[\"x\",\"y\"],\"id\":\"q\"}\n]", "i/q", "question", "choice", "A", "x|y"},
		{"CSV with a header", "h.csv", "id,question,answer\r\nfirst,\"How, many?\",3\r\n", "h/first", "question", "number", "3", ""},
		{"CSV with choices", "h.csv", "question,A,B,C,answer,subject\nWhich?,x,y,z,c,law/uk\n", "h/2", "law-uk", "choice", "C", "x|y|z"},
		{"mark, CRLF and empty lines", "q.jsonl", "\xef\xbb\xbf\r\n\r\n {\"question\":\"é\\u00e9?\",\"answer\":\"1\"}\r\n\r\n", "q/3", "question", "number", "1", ""},
		{"choices of several lines", "q.jsonl", `{"question":"Which?","choices":["x\ny","z"],"answer":"x\ny"}`, "q/1", "question", "choice", "A", "x y|z"},
		{"named like a built-in suite", "pairs.jsonl", `{"question":"?","answer":"1"}`, "pairs-file/1", "question", "number", "1", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := open(t, tc.file, tc.text)
			all := items(t, s)
			if len(all) != 1 {
				t.Fatalf("%d questions", len(all))
			}
			it := all[0]
			if it.ID != tc.id || it.Kind != tc.kind || string(it.Form) != tc.form || it.Answer != tc.answer {
				t.Errorf("got %q, kind %q, form %q, answer %q; want %q, %q, %q, %q", it.ID, it.Kind, it.Form, it.Answer, tc.id, tc.kind, tc.form, tc.answer)
			}
			want := 0
			for i, choice := range strings.Split(tc.choices, "|") {
				if tc.choices == "" {
					break
				}
				want++
				if line := "\n" + letter(i) + ") " + choice + "\n"; !strings.Contains(it.Prompt, line) {
					t.Errorf("no line %q in:\n%s", line, it.Prompt)
				}
			}
			if tc.form == "yes-no" {
				want = 2
			}
			if it.Choices != want || !strings.Contains(it.Prompt, "Answer: X") || it.Quick == "" {
				t.Errorf("%d choices, want %d:\n%s", it.Choices, want, it.Prompt)
			}
		})
	}
}

const fine = `{"question":"?","answer":"1"}` + "\n"

// Each case is a file that cannot be used; the error says where and what to do.
func TestBadFiles(t *testing.T) {
	for _, tc := range []struct{ name, file, text, want string }{
		{"no question", "q.jsonl", fine + `{"answer":"1"}`, `q.jsonl:2: field "question": missing (also read: prompt`},
		{"question a number", "q.jsonl", `{"question":5,"answer":"1"}`, `q.jsonl:1: field "question": 5: must be a text`},
		{"question null", "q.jsonl", `{"question":null,"answer":"1"}`, `field "question"`},
		{"question empty", "q.jsonl", `{"prompt":" \n","answer":"1"}`, `field "prompt": must not be empty`},
		{"no answer", "q.jsonl", `{"question":"?","anwser":"1"}`, `field "answer": missing (also read: target, label, answerKey); write null`},
		{"answer empty", "q.jsonl", `{"question":"?","answer":""}`, `field "answer": must not be empty`},
		{"answer an object", "q.jsonl", `{"question":"?","answer":{}}`, `field "answer": {}: must be a text, a number`},
		{"answers", "q.jsonl", `{"question":"?","answer":["1","2"]}`, `field "answer": ["1","2"]: must be`},
		{"letter beyond", "q.jsonl", `{"question":"?","choices":["x","y"],"answer":"C"}`, `field "answer": "C": must be a letter A to B, an index 0 to 1, or the text`},
		{"index beyond", "q.jsonl", `{"question":"?","choices":["x","y"],"target":2}`, `field "target": "2": must be`},
		{"index of parts", "q.jsonl", `{"question":"?","choices":["x","y"],"target":0.5}`, `field "target": "0.5": must be`},
		{"letter or text", "q.jsonl", `{"question":"?","choices":["B","A"],"answer":"A"}`, `"A": is the letter of one choice and the text of another`},
		{"text of two", "q.jsonl", `{"question":"?","choices":["same","same"],"answer":"same"}`, `is the text of two choices: write the letter`},
		{"one choice", "q.jsonl", `{"question":"?","choices":["x"],"answer":"A"}`, `field "choices": ["x"]: must be a list of 2 to 26 texts`},
		{"letters with a gap", "q.jsonl", `{"question":"?","choices":{"A":"x","C":"y"},"answer":"A"}`, `field "choices"`},
		{"choices a text", "q.jsonl", `{"question":"?","choices":"x,y","answer":"A"}`, `field "choices": "x,y"`},
		{"a choice null", "q.jsonl", `{"question":"?","choices":["x",null],"answer":"A"}`, `field "choices"`},
		{"id an object", "q.jsonl", `{"id":{},"question":"?","answer":"1"}`, `field "id": {}: must be a text or a number`},
		{"id with an escape", "q.jsonl", `{"id":"\u001b[2J","question":"?","answer":"1"}`, `must be 1 to 200 bytes of printable characters`},
		{"id empty", "q.jsonl", `{"id":"","question":"?","answer":"1"}`, `field "id"`},
		{"same id", "q.jsonl", `{"id":"a","question":"?","answer":"1"}` + "\n\n" + fine + `{"id":"a","question":"?","answer":"2"}`, `q.jsonl:4: the id "a" is that of line 1 too`},
		{"id is a line", "q.jsonl", `{"id":2,"question":"?","answer":"1"}` + "\n" + fine, `q.jsonl:2: the id "2" is that of line 1 too`},
		{"no object", "q.jsonl", fine + "[1]", "q.jsonl:2: not a JSON object"},
		{"cut off", "q.jsonl", fine + fine + `{"question":"?`, "q.jsonl:3: the JSON ends too early"},
		{"two on a line", "q.jsonl", strings.TrimSpace(fine) + fine, "q.jsonl:1: at byte 30: something follows"},
		{"not UTF-8", "q.jsonl", "{\"question\":\"\xff\",\"answer\":\"1\"}", "q.jsonl:1: not UTF-8"},
		{"UTF-16", "q.jsonl", "\xff\xfe{\x00", "q.jsonl: is UTF-16: save it as UTF-8"},
		{"too long", "q.jsonl", fine + `{"question":"` + strings.Repeat("x", maxRecord) + `","answer":"1"}` + "\n" + fine, "q.jsonl:2: longer than 1048576 bytes"},
		{"nested", "q.jsonl", `{"question":"?","answer":` + strings.Repeat("[", 100000) + "}", "nested deeper than 100"},
		{"empty", "q.jsonl", "\n\n", "q.jsonl: holds no questions"},
		{"ending", "q.txt", fine, "q.txt: its name must end with .jsonl, .ndjson, .json or .csv"},
		{"lines in an array's place", "q.json", fine, "q.json:1: begins with '{': a .json file must be an array of objects; for one object a line name it .jsonl"},
		{"array cut off", "q.json", "[\n" + fine + ",\n", "q.json:4: the JSON ends too early"},
		{"array of texts", "q.json", "[\n\"x\"]", "q.json:2: '\"' where an array of objects cannot have it"},
		{"comma at the end", "q.json", "[" + fine + ",]", "q.json:2: ']' where an array"},
		{"no comma", "q.json", "[" + fine + fine + "]", "q.json:2: '{' where an array"},
		{"behind the array", "q.json", "[" + fine + "]\n\n]", "q.json:4: ']'"},
		{"bad element", "q.json", "[" + fine + ",\n\n{\"question\":\"?\"}]", `q.json:4: field "answer": missing`},
		{"same id in an array", "q.json", "[{\"id\":\"a\",\"question\":\"?\",\"answer\":\"1\"},\n{\"id\":\"a\",\"question\":\"?\",\"answer\":\"1\"}]", `q.json:2: the id "a" is that of line 1 too`},
		{"MMLU without a letter", "q.csv", "Which?,1,2,3,4,D\nWhich?,1,2,3,4,E\n", "q.csv:2: field \"answer\": \"E\": must be a letter A to D"},
		{"few columns", "q.csv", "Which?,1\n", "q.csv:1: 2 columns: a file without a header has"},
		{"columns differ", "q.csv", "question,answer\nHow many?,1,2\n", "q.csv:2: 3 columns, and the header has 2"},
		{"one choice column", "q.csv", "question,A,answer\n?,x,A\n", `q.csv:2: column "B": missing`},
		{"quote never closed", "q.csv", "question,answer\n?,1\n\"?,1\n?,1\n", "q.csv:3: a quote opens in this record and never closes"},
		{"quote never closed, long", "q.csv", "question,answer\n\"?" + strings.Repeat("x\n", maxRecord), "q.csv:2: a record longer than"},
		{"quote inside", "q.csv", "question,answer\n5\" long?,1\n", "q.csv:2: column 2: bare"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s, err := Open(write(t, tc.file, tc.text))
			if err == nil {
				t.Errorf("no error, %d questions", s.Len())
				_ = s.Close()
				return
			}
			if !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "\n") || len(err.Error()) > 500 {
				t.Errorf("%v, want %q", err, tc.want)
			}
		})
	}
	if _, err := Open(filepath.Join(t.TempDir(), "none.jsonl")); err == nil || !os.IsNotExist(unwrapAll(err)) {
		t.Errorf("a file that is not there: %v", err)
	}
	dir := filepath.Join(t.TempDir(), "dir.jsonl")
	if err := os.Mkdir(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("a folder: %v", err)
	}
}

func unwrapAll(err error) error {
	for {
		u, ok := err.(interface{ Unwrap() error })
		if !ok || u.Unwrap() == nil {
			return err
		}
		if _, ok := err.(*os.PathError); ok {
			return err
		}
		err = u.Unwrap()
	}
}

// The first fault in a file is the one that is told, however many goroutines look.
func TestFirstFault(t *testing.T) {
	var b strings.Builder
	for i := range 20_000 {
		if i == 7_000 || i == 7_001 || i == 15_000 {
			b.WriteString("{\"question\":1}\n")
			continue
		}
		fmt.Fprintf(&b, "{\"id\":%d,\"question\":\"What is %s?\",\"answer\":\"1\"}\n", i, strings.Repeat("it ", 20))
	}
	path := write(t, "q.jsonl", b.String())
	for range 3 {
		if _, err := Open(path); err == nil || !strings.Contains(err.Error(), "q.jsonl:7001: ") {
			t.Fatalf("%v, want line 7001", err)
		}
	}
}

// Whatever is written as JSONL, as an array or as CSV is read as the same questions.
func TestFormatsAgree(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		type q struct {
			Question string `json:"question"`
			Answer   string `json:"answer"`
		}
		text := rapid.StringMatching(`[a-zA-Z"',\\{}\[\]é \n]{0,30}x`)
		var qs []q
		for range rapid.IntRange(1, 8).Draw(rt, "n") {
			qs = append(qs, q{text.Draw(rt, "question"), "word"})
		}
		var jsonl, table bytes.Buffer
		w := csv.NewWriter(&table)
		w.UseCRLF = rapid.Bool().Draw(rt, "crlf")
		rows := [][]string{{"question", "answer"}}
		for _, one := range qs {
			line, _ := json.Marshal(one)
			jsonl.Write(append(line, rapid.SampledFrom([]string{"\n", "\r\n", "\n\n"}).Draw(rt, "end")...))
			rows = append(rows, []string{one.Question, one.Answer})
		}
		if err := w.WriteAll(rows); err != nil {
			rt.Fatal(err)
		}
		array, _ := json.MarshalIndent(qs, "", rapid.SampledFrom([]string{"", "  "}).Draw(rt, "indent"))
		for name, text := range map[string][]byte{"q.jsonl": jsonl.Bytes(), "q.json": array, "q.csv": table.Bytes()} {
			s, err := Open(write(t, name, string(text)))
			if err != nil {
				rt.Fatalf("%v:\n%q", err, text)
			}
			for i := range qs {
				it, err := s.Item(i)
				want := qs[i].Question
				if strings.HasSuffix(name, ".csv") {
					want = strings.TrimSpace(want) // a column's blanks do not count
				}
				if question, _ := cut(it.Prompt); err != nil || s.Len() != len(qs) || question != want {
					rt.Fatalf("%s: question %d of %d is %q, %v; want %q", name, i, s.Len(), question, err, want)
				}
			}
			_ = s.Close()
		}
	})
}

func TestFileThatChanges(t *testing.T) {
	path := write(t, "q.jsonl", `{"id":"a","question":"?","answer":"1"}`+"\n"+`{"id":"b","question":"?","answer":"1"}`+"\n")
	s, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte("c"), 7); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Item(0); err == nil || !strings.Contains(err.Error(), "q.jsonl:1: the file changed after it was opened") {
		t.Errorf("a changed line: %v", err)
	}
	if err := f.Truncate(50); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Item(1); err == nil || !strings.Contains(err.Error(), "q.jsonl:2: reading a question again") {
		t.Errorf("a line cut off: %v", err)
	}
	_ = f.Close()
}

// large writes a file of n questions of 1 KB.
func large(t testing.TB, n int) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "large.jsonl")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w := bufio.NewWriterSize(f, 1<<20)
	filler := strings.Repeat("A sentence with \\\"quotes\\\" and words. ", 23)
	for i := range n {
		fmt.Fprintf(w, "{\"id\": \"question-%06d\", \"question\": \"%s\", \"choices\": [\"one\", \"two\", \"three\", \"four\"], \"answer\": %d}\n", i, filler, i%4)
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// A large file is not held in memory, and can be read from many places at once.
func TestLargeFile(t *testing.T) {
	const n = 20_000
	path := large(t, n)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	s, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	runtime.GC()
	runtime.ReadMemStats(&after)
	if kept := int64(after.HeapAlloc) - int64(before.HeapAlloc); kept > n*40 {
		t.Errorf("%d bytes are kept for %d questions, want at most 40 each", kept, n)
	}
	runtime.KeepAlive(s)
	var g sync.WaitGroup
	for k := range 4 {
		g.Go(func() {
			for i := k; i < n; i += 97 {
				it, err := s.Item(i)
				if want := fmt.Sprintf("large/question-%06d", i); err != nil || it.ID != want || it.Answer != letter(i%4) || it.Form != dialect.Choice {
					t.Errorf("item %d: %q, %q, %v", i, it.ID, it.Answer, err)
					return
				}
			}
		})
	}
	g.Wait()
}

func BenchmarkOpen200k(b *testing.B) {
	path := large(b, 200_000)
	info, err := os.Stat(path)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(info.Size())
	b.ReportAllocs()
	for b.Loop() {
		s, err := Open(path)
		if err != nil {
			b.Fatal(err)
		}
		_ = s.Close()
	}
}

// What a resume needs of a suite: it, and all of its IDs.
func BenchmarkIDs200k(b *testing.B) {
	s, err := Open(large(b, 200_000))
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	for b.Loop() {
		for i := range s.Len() {
			if _, err := s.ID(i); err != nil {
				b.Fatal(err)
			}
		}
	}
}
