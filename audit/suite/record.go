package suite

import (
	"encoding/csv"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"candor/reasoning/dialect"
)

// record is one question of a user's file.
type record struct {
	id       string // "" if it has none
	subject  string
	question string
	choices  []string
	labels   []string // names of the choices in the file, nil for A, B, ...
	answer   string   // in the form of Item.Answer
	form     dialect.Form
}

// The names under which fields are published, the first that is there counts.
var (
	idNames       = []string{"id", "sample_id", "question_id"}
	questionNames = []string{"question", "prompt", "input", "problem"}
	choicesNames  = []string{"choices", "options"}
	answerNames   = []string{"answer", "target", "label", "answerKey"}
	subjectNames  = []string{"subject", "category"}
)

// given is an answer as it stands in a file.
type given struct {
	text    string
	number  bool // a JSON number, which in a multiple choice is an index from 0
	unknown bool // null
}

const maxID = 200 // bytes

var memberNames = [...][]string{idNames, questionNames, choicesNames, answerNames, subjectNames}

// members returns the values of the members that count, in the order of memberNames, nil where there is none, and which name each
// was found under.
func members(line []byte) (values [len(memberNames)][]byte, rank [len(memberNames)]int, err error) {
	err = eachField(line, func(name string, value []byte) error {
		for i, names := range memberNames {
			if at := slices.Index(names, name); at >= 0 && (values[i] == nil || at <= rank[i]) {
				values[i], rank[i] = value, at
			}
		}
		return nil
	})
	return values, rank, err
}

// idJSON reads the id of a question alone, "" if it has none.
func idJSON(line []byte, _ []string) (string, error) {
	values, _, err := members(line)
	if err != nil {
		return "", err
	}
	return jsonID(values[0])
}

// idCSV reads the id of a question alone, "" if it has none.
func idCSV(text []byte, columns []string) (string, error) {
	r, err := parseCSV(text, columns)
	return r.id, err
}

// parseJSON reads a question from one JSON object. An error names the field and says what is valid.
func parseJSON(line []byte) (record, error) {
	values, rank, err := members(line)
	if err != nil {
		return record{}, err
	}
	name := func(i int) string { return memberNames[i][rank[i]] }
	var r record
	if r.id, err = jsonID(values[0]); err != nil {
		return record{}, fmt.Errorf("field %q: %w", name(0), err)
	}
	if values[1] == nil {
		return record{}, fmt.Errorf("field %q: missing (also read: %s)", "question", strings.Join(questionNames[1:], ", "))
	}
	if r.question, err = jsonString(values[1]); err != nil {
		return record{}, fmt.Errorf("field %q: %s: must be a text", name(1), short(values[1]))
	}
	if values[2] != nil && !isNull(values[2]) {
		if r.choices, r.labels, err = jsonChoices(values[2]); err != nil {
			return record{}, fmt.Errorf("field %q: %w", name(2), err)
		}
	}
	if values[3] == nil {
		return record{}, fmt.Errorf("field %q: missing (also read: %s); write null where nobody knows", "answer", strings.Join(answerNames[1:], ", "))
	}
	answer, err := jsonAnswer(values[3])
	if err != nil {
		return record{}, fmt.Errorf("field %q: %w", name(3), err)
	}
	if values[4] != nil && !isNull(values[4]) {
		if r.subject, err = jsonString(values[4]); err != nil {
			return record{}, fmt.Errorf("field %q: %s: must be a text", name(4), short(values[4]))
		}
	}
	if err := r.finish(answer, name(1), name(3)); err != nil {
		return record{}, err
	}
	return r, nil
}

func isNull(value []byte) bool { return string(value) == "null" }

// short shows the beginning of a value in an error.
func short(value []byte) string {
	const most = 60
	if len(value) > most {
		return strings.ToValidUTF8(string(value[:most]), "") + "..."
	}
	return string(value)
}

// jsonID reads an id: a text or a number.
func jsonID(value []byte) (string, error) {
	if value == nil || isNull(value) {
		return "", nil
	}
	id, err := jsonText(value)
	if err != nil {
		return "", fmt.Errorf("%s: must be a text or a number", short(value))
	}
	return checkID(id)
}

func checkID(id string) (string, error) {
	if id == "" || len(id) > maxID || strings.ContainsFunc(id, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return "", fmt.Errorf("%q: must be 1 to %d bytes of printable characters", short([]byte(id)), maxID)
	}
	return id, nil
}

// jsonChoices reads the choices: a list of texts or numbers, an object by letter, or an object of the lists "text" and "label".
func jsonChoices(value []byte) (texts, labels []string, err error) {
	fault := func() error {
		return fmt.Errorf("%s: must be a list of 2 to 26 texts, an object of texts by letter from A on, or an object of the lists text and label", short(value))
	}
	switch value[0] {
	case '[':
		texts, err = jsonTexts(value)
	case '{':
		byName := map[string][]byte{}
		if err := eachField(value, func(name string, value []byte) error {
			byName[name] = value
			return nil
		}); err != nil {
			return nil, nil, fault()
		}
		if text, ok := byName["text"]; ok {
			if texts, err = jsonTexts(text); err != nil {
				return nil, nil, fault()
			}
			if labels, err = jsonTexts(byName["label"]); err != nil || len(labels) != len(texts) {
				return nil, nil, fault()
			}
			break
		}
		for i := range len(byName) {
			text, ok := byName[letter(i)]
			if !ok {
				text, ok = byName[strings.ToLower(letter(i))]
			}
			one, bad := jsonText(text)
			if !ok || bad != nil || i >= 26 {
				return nil, nil, fault()
			}
			texts = append(texts, one)
		}
	default:
		return nil, nil, fault()
	}
	if err != nil || len(texts) < 2 || len(texts) > 26 {
		return nil, nil, fault()
	}
	return texts, labels, nil
}

func jsonTexts(value []byte) ([]string, error) {
	var out []string
	err := eachElement(value, func(value []byte) error {
		text, err := jsonText(value)
		out = append(out, text)
		return err
	})
	return out, err
}

// jsonText reads a text, or a number as it is written.
func jsonText(value []byte) (string, error) {
	if len(value) > 0 && (value[0] == '-' || value[0] >= '0' && value[0] <= '9') {
		return string(value), nil
	}
	return jsonString(value)
}

// jsonString reads a text.
func jsonString(value []byte) (string, error) {
	if len(value) < 2 || value[0] != '"' {
		return "", errors.New("must be a text")
	}
	return unescape(value[1 : len(value)-1]), nil
}

// jsonAnswer reads an answer: a text, a number, true, false, null, or a list of one of these.
func jsonAnswer(value []byte) (given, error) {
	switch c := value[0]; {
	case isNull(value):
		return given{unknown: true}, nil
	case c == 't' || c == 'f':
		return given{text: word(c == 't')}, nil
	case c == '-' || c >= '0' && c <= '9':
		return given{text: string(value), number: true}, nil
	case c == '[':
		var list [][]byte
		err := eachElement(value, func(value []byte) error {
			list = append(list, value)
			return nil
		})
		if err == nil && len(list) == 1 && list[0][0] != '[' {
			return jsonAnswer(list[0])
		}
	case c == '"':
		text, err := jsonString(value)
		return given{text: strings.TrimSpace(text)}, err
	}
	return given{}, fmt.Errorf("%s: must be a text, a number, true, false or null", short(value))
}

// finish checks the question and settles the form of the answer. The names are for errors.
func (r *record) finish(answer given, questionName, answerName string) error {
	if strings.TrimSpace(r.question) == "" {
		return fmt.Errorf("field %q: must not be empty", questionName)
	}
	for i, c := range r.choices {
		r.choices[i] = strings.Join(strings.Fields(c), " ") // an option is one line
	}
	var err error
	if len(r.choices) > 0 {
		r.form = dialect.Choice
		if !answer.unknown {
			if r.answer, err = r.choose(answer); err != nil {
				return fmt.Errorf("field %q: %w", answerName, err)
			}
		}
		return nil
	}
	r.form = dialect.Text
	if answer.unknown {
		return nil
	}
	// GSM8K gives the working, then #### and the number.
	text := answer.text
	if at := strings.LastIndex(text, "####"); at >= 0 {
		text = strings.TrimSpace(text[at+len("####"):])
	}
	if text == "" {
		return fmt.Errorf("field %q: must not be empty; write null where nobody knows", answerName)
	}
	switch folded := strings.ToLower(text); {
	case rational(text) != nil:
		r.form = dialect.Number
	case folded == "yes" || folded == "no":
		r.form, text = dialect.YesNo, folded
	}
	r.answer = text
	return nil
}

// choose returns the letter of the choice that an answer names: by a label of the file, an index if it is a JSON number, the
// whole text of the choice, its letter, or an index written as a text.
func (r *record) choose(answer given) (string, error) {
	n := len(r.choices)
	valid := func() error {
		return fmt.Errorf("%q: must be a letter A to %s, an index 0 to %d, or the text of one of the choices", short([]byte(answer.text)), letter(n-1), n-1)
	}
	if at := slices.Index(r.labels, answer.text); at >= 0 {
		return letter(at), nil
	}
	if answer.number {
		if at, ok := place(answer.text, n); ok {
			return letter(at), nil
		}
		return "", valid()
	}
	byLetter := -1
	if len(answer.text) == 1 {
		if at := int(strings.ToUpper(answer.text)[0]) - 'A'; at >= 0 && at < n {
			byLetter = at
		}
	}
	byText := slices.Index(r.choices, strings.Join(strings.Fields(answer.text), " "))
	switch {
	case byText >= 0 && byLetter >= 0 && byText != byLetter:
		return "", fmt.Errorf("%q: is the letter of one choice and the text of another: write the index, from 0, as a number", answer.text)
	case byText >= 0 && slices.Contains(r.choices[byText+1:], r.choices[byText]):
		return "", fmt.Errorf("%q: is the text of two choices: write the letter", short([]byte(answer.text)))
	case byText >= 0:
		return letter(byText), nil
	case byLetter >= 0:
		return letter(byLetter), nil
	}
	if at, ok := place(answer.text, n); ok {
		return letter(at), nil
	}
	return "", valid()
}

// parseCSV reads a question from one record: of the named columns, or, if there are none, as MMLU was first published: the
// question, its choices, and the letter.
func parseCSV(text []byte, columns []string) (record, error) {
	if !utf8.Valid(text) {
		return record{}, errors.New("not UTF-8: save the file as UTF-8")
	}
	row, err := csvRow(text)
	if err != nil {
		return record{}, err
	}
	var r record
	if columns == nil {
		if len(row) < 4 || len(row) > 28 {
			return record{}, fmt.Errorf("%d columns: a file without a header has the question, 2 to 26 choices and the letter of the right one", len(row))
		}
		r.question, r.choices = row[0], slices.Clone(row[1:len(row)-1])
		return r, r.finish(given{text: strings.TrimSpace(row[len(row)-1])}, "question", "answer")
	}
	if len(row) != len(columns) {
		return record{}, fmt.Errorf("%d columns, and the header has %d", len(row), len(columns))
	}
	column := func(names []string) (value, name string) {
		for _, name := range names {
			if at := slices.Index(columns, name); at >= 0 {
				return strings.TrimSpace(row[at]), name
			}
		}
		return "", names[0]
	}
	if id, name := column(idNames); id != "" {
		if r.id, err = checkID(id); err != nil {
			return record{}, fmt.Errorf("field %q: %w", name, err)
		}
	}
	r.subject, _ = column(subjectNames)
	for i := 0; i < 26 && slices.Contains(columns, letter(i)); i++ {
		value, _ := column([]string{letter(i)})
		r.choices = append(r.choices, value)
	}
	if len(r.choices) == 1 {
		return record{}, errors.New("column \"B\": missing: a multiple choice has the columns A, B and so on")
	}
	question, questionName := column(questionNames)
	answer, answerName := column(answerNames)
	r.question = question
	return r, r.finish(given{text: answer, unknown: answer == ""}, questionName, answerName)
}

func csvRow(text []byte) ([]string, error) {
	reader := csv.NewReader(strings.NewReader(string(text)))
	reader.FieldsPerRecord = -1
	row, err := reader.Read()
	var fault *csv.ParseError
	if errors.As(err, &fault) {
		return nil, fmt.Errorf("column %d: %w", fault.Column, fault.Err)
	}
	return row, err
}

// csvHeader returns the names of the columns if a record is a header: if it names a question and an answer.
func csvHeader(text []byte) []string {
	row, err := csvRow(text)
	if err != nil {
		return nil
	}
	for i := range row {
		row[i] = strings.TrimSpace(row[i])
	}
	named := func(names []string) bool {
		return slices.ContainsFunc(names, func(n string) bool { return slices.Contains(row, n) })
	}
	if named(questionNames) && named(answerNames) {
		return row
	}
	return nil
}
