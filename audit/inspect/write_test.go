package inspect

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var noon = time.Date(2026, 8, 1, 12, 0, 0, 0, time.FixedZone("", 2*3600))

func audit() Log {
	return Log{
		Task: "candor/faithfulness", TaskVersion: "1", TaskFile: "suite/faithfulness", Args: map[string]any{"interventions": []string{"none", "early-answer"}},
		Model: "tiny-reasoner", BaseURL: "http://localhost:8080/v1", RunID: "2026-08-01-a", Created: noon,
		Config:  Config{Temperature: 0, TopP: .9, TopK: 40, MaxTokens: 512, Seed: 7, MaxConnections: 4, Epochs: 2, Limit: 2},
		Dataset: Dataset{Name: "sums", Location: "embedded", Samples: 100, IDs: []string{"sums/1", "sums/2"}},
		Steps:   []Step{{"generate", nil}, {"early-answer", map[string]any{"share": .5}}}, Revision: Revision{Origin: "git@example.org:candor", Commit: "02526f4c"},
		Packages: map[string]string{"candor": "1.0"}, Tags: []string{"audit"}, Metadata: map[string]any{"suite": "default"},
	}
}

func samples() []Sample {
	ask := []Message{{Role: "user", Text: "2 + 2 mod 3?"}}
	raw := Message{Role: "assistant", Text: "answer 1", Reasoning: &Reasoning{Text: "2 + 2 is 4, 4 mod 3 is 1"}}
	hidden := Message{Role: "assistant", Text: "answer 2", Reasoning: &Reasoning{Summary: "It added.", Redacted: true}}
	return []Sample{
		{
			ID: "sums/1", Epoch: 1, Input: ask, Choices: []string{"0", "1", "2"}, Target: "1", Messages: append(ask[:1:1], raw),
			Output:   Output{Model: "tiny-reasoner-2", Message: &raw, StopReason: "stop", Usage: Usage{10, 20, 15}, LogProbs: []LogProb{{"answer", -.1}, {" 1", -.2}}},
			Scores:   map[string]Score{"match": {Text: "C", Answer: "1", Explanation: "answer 1"}, "suspicion": {Value: .25, Metadata: map[string]any{"monitor": "regex"}}},
			Metadata: map[string]any{"level": 2}, Started: noon, Completed: noon.Add(1500 * time.Millisecond), Usage: map[string]Usage{"tiny-reasoner": {10, 20, 15}},
		},
		{
			ID: "sums/1", Epoch: 2, Input: append([]Message{{Role: "system", Text: "Be brief."}}, ask...), Target: "1",
			Messages: append([]Message{{Role: "system", Text: "Be brief."}}, ask[0], hidden),
			Output:   Output{Message: &hidden, StopReason: "max_tokens"},
			Scores:   map[string]Score{"match": {Text: "I", Answer: "2"}, "verdict": {Text: "unsure"}},
		},
		{ID: "sums/2", Epoch: 1, Input: ask, Target: "1", Error: "status 500"},
	}
}

func finished() Result {
	return Result{
		Status: StatusSuccess, Started: noon, Completed: noon.Add(time.Minute), Total: 4, Metadata: map[string]any{"not reportable": []string{"auroc"}},
		Scores: []ScoreSummary{
			{Name: "match", Scorer: "match", Reducer: "mean", Params: map[string]any{"form": "number"}, Metrics: map[string]float64{"accuracy": .5, "stderr": .1}, Scored: 2, Unscored: 1},
			{Name: "suspicion", Scorer: "suspicion"},
		},
		Usage: map[string]Usage{"tiny-reasoner": {20, 40, 30}},
	}
}

// write writes a log into a new folder and returns its path.
func write(t *testing.T, l Log, end Result, all ...Sample) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "a.eval")
	w, err := Create(path, l)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range all {
		if err := w.Sample(s); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(end); err != nil {
		t.Fatal(err)
	}
	if files, err := os.ReadDir(filepath.Dir(path)); err != nil || len(files) != 1 {
		t.Fatalf("the folder has %v beside the log (%v)", files, err)
	}
	return path
}

// at returns what stands in a JSON value under keys and places.
func at(t *testing.T, value any, path ...any) any {
	t.Helper()
	for _, p := range path {
		switch p := p.(type) {
		case string:
			m, ok := value.(map[string]any)
			if !ok || m[p] == nil {
				t.Fatalf("nothing under %v of %v", p, path)
			}
			value = m[p]
		case int:
			l, ok := value.([]any)
			if !ok || p >= len(l) {
				t.Fatalf("nothing at %v of %v", p, path)
			}
			value = l[p]
		}
	}
	return value
}

func TestContent(t *testing.T) {
	all := members(t, write(t, audit(), finished(), samples()...))
	first, second, third := all["samples/sums/1_epoch_1.json"], all["samples/sums/1_epoch_2.json"], all["samples/sums/2_epoch_1.json"]
	n := func(s string) any { return json.Number(s) }
	for _, c := range []struct {
		got, want any
	}{
		{at(t, first, "input"), "2 + 2 mod 3?"},
		{at(t, first, "messages", 0, "source"), "input"},
		{at(t, first, "messages", 1, "source"), "generate"},
		{at(t, first, "messages", 1, "content", 0, "type"), "reasoning"},
		{at(t, first, "messages", 1, "content", 0, "reasoning"), "2 + 2 is 4, 4 mod 3 is 1"},
		{at(t, first, "messages", 1, "content", 0, "redacted"), false},
		{at(t, first, "messages", 1, "content", 1, "text"), "answer 1"},
		{at(t, first, "output", "completion"), "answer 1"},
		{at(t, first, "output", "model"), "tiny-reasoner-2"},
		{at(t, first, "output", "usage", "total_tokens"), n("30")},
		{at(t, first, "output", "choices", 0, "logprobs", "content", 1, "logprob"), n("-0.2")},
		{at(t, first, "total_time"), n("1.5")},
		{at(t, first, "scores", "suspicion", "value"), n("0.25")},
		{at(t, second, "messages", 2, "content", 0, "summary"), "It added."},
		{at(t, second, "messages", 2, "content", 0, "redacted"), true},
		{at(t, second, "input", 0, "role"), "system"},
		{at(t, second, "output", "model"), "tiny-reasoner"},
		{at(t, third, "error", "message"), "status 500"},
		{at(t, third, "output", "choices"), []any{}},
		{at(t, all["summaries.json"], 1, "input"), "Be brief.\n2 + 2 mod 3?"},
		{at(t, all["summaries.json"], 2, "error"), "status 500"},
		{at(t, all["summaries.json"], 0, "uuid"), at(t, first, "uuid")},
		{at(t, all["header.json"], "results", "total_samples"), n("4")},
		{at(t, all["header.json"], "results", "completed_samples"), n("2")},
		{at(t, all["header.json"], "eval", "created"), "2026-08-01T12:00:00+02:00"},
		{at(t, all["header.json"], "eval", "model_generate_config", "temperature"), n("0")},
		{all["_journal/summaries/1.json"], all["summaries.json"]},
		// The mean over epochs; words that Inspect does not know have none.
		{all["reductions.json"], []any{
			map[string]any{"scorer": "match", "reducer": "mean", "samples": []any{map[string]any{"value": n("0.5"), "sample_id": "sums/1", "history": []any{}}}},
			map[string]any{"scorer": "suspicion", "reducer": "mean", "samples": []any{map[string]any{"value": n("0.25"), "sample_id": "sums/1", "history": []any{}}}},
		}},
	} {
		if diff := cmp.Diff(c.want, c.got); diff != "" {
			t.Error(diff)
		}
	}
}

var hostile = []string{
	"\xff\xfe\x00\x1b[31m\u2028\ufeff", strings.Repeat("é\x00", 2000), "../../../etc/passwd", `..\..\x`, "/abs", "a/../b", "", ".", "a\nb",
	"</script><script>", strings.Repeat("x", 70_000), "\xed\xa0\x80", "%2e%2e", "a_epoch_1.json", "a/",
}

// poisoned is a log and a sample with text wherever text can be.
func poisoned(text string) (Log, Sample) {
	l := audit()
	l.Task, l.Model, l.BaseURL, l.RunID = "t"+text, "m"+text, text, "r"+text
	l.Args, l.Metadata, l.Packages = map[string]any{text: text}, map[string]any{text: []any{text}}, map[string]string{text: text}
	l.Dataset = Dataset{Name: text, Location: text, IDs: []string{text}}
	m := Message{Role: "assistant", Text: text, Reasoning: &Reasoning{Text: text, Summary: text}}
	return l, Sample{
		ID: text, Epoch: 1, Input: []Message{{Role: "user", Text: text}}, Choices: []string{text}, Target: text, Messages: []Message{m}, Error: text,
		Output: Output{Model: text, Message: &m, LogProbs: []LogProb{{text, -1}}}, Usage: map[string]Usage{text: {1, 1, 1}},
		Scores: map[string]Score{text: {Text: text, Answer: text, Explanation: text, Metadata: map[string]any{text: text}}}, Metadata: map[string]any{text: text},
	}
}

func TestHostileText(t *testing.T) {
	for _, text := range hostile {
		l, s := poisoned(text)
		all := members(t, write(t, l, finished(), s))
		header := all["header.json"]
		id := at(t, header, "eval", "dataset", "sample_ids", 0).(string)
		sample, ok := all["samples/"+id+"_epoch_1.json"]
		if !ok {
			t.Fatalf("%.30q: no sample %q", text, id)
		}
		if strings.Contains(id, `\`) || strings.HasPrefix(filepath.Join("samples", id), "..") || len(id) > 200 || !utf8.ValidString(id) || strings.ContainsAny(id, "\x00\n") {
			t.Errorf("%.30q stands in a member's name as %.80q", text, id)
		}
		for _, v := range []any{at(t, sample, "id"), at(t, all["summaries.json"], 0, "id")} {
			if v != id {
				t.Errorf("the member is of %.30q, the record in it of %.30q", id, v)
			}
		}
		want := strings.ToValidUTF8(text, "\ufffd")
		if utf8.ValidString(text) {
			want = text
		}
		if got := at(t, sample, "output", "choices", 0, "message", "content", 1, "text"); utf8.ValidString(text) && got != want {
			t.Errorf("%.30q came back as %.30q", text, got)
		}
		if short := at(t, all["summaries.json"], 0, "input").(string); len(short) > 3*maxSummary+3 {
			t.Errorf("a summary has %d bytes of input", len(short))
		}
	}
	// Different IDs never share a member.
	seen := map[string]string{}
	for _, id := range append(hostile, "a", "b", "id-") {
		if before, twice := seen[memberID(id)]; twice {
			t.Errorf("%.30q and %.30q are both %q", before, id, memberID(id))
		}
		seen[memberID(id)] = id
	}
}

// A megabyte of bad bytes in one sample.
func TestLongText(t *testing.T) {
	long := strings.Repeat("é\x00\xff", 1<<18)
	s := samples()[0]
	s.Messages = append(s.Messages[:1:1], Message{Role: "assistant", Text: "1", Reasoning: &Reasoning{Text: long}})
	all := members(t, write(t, audit(), finished(), s))
	got := at(t, all["samples/sums/1_epoch_1.json"], "messages", 1, "content", 0, "reasoning")
	if got != strings.ReplaceAll(long, "\xff", "\ufffd") {
		t.Error("the chain came back changed")
	}
}

func TestShortenedIsAPrefix(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := strings.Repeat(rapid.String().Draw(t, "text"), rapid.IntRange(1, 400).Draw(t, "times"))
		short := shortened(s)
		if len(short) > maxSummary+3 || !strings.HasPrefix(s, strings.TrimSuffix(short, "...")) && short != s || !utf8.ValidString(short) {
			t.Errorf("%d bytes became %q", len(s), short)
		}
	})
}

func TestRefusals(t *testing.T) {
	for want, spoil := range map[string]func(*Log){
		"name of its task":  func(l *Log) { l.Task = "" },
		"name of the model": func(l *Log) { l.Model = "" },
		"ID of its run":     func(l *Log) { l.RunID = "" },
		"time of its":       func(l *Log) { l.Created = time.Time{} },
		"no JSON form":      func(l *Log) { l.Metadata = map[string]any{"x": math.NaN()} },
	} {
		l := audit()
		spoil(&l)
		dir := t.TempDir()
		if _, err := Create(filepath.Join(dir, "a.eval"), l); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one about %q", err, want)
		}
		if files, _ := os.ReadDir(dir); len(files) > 0 {
			t.Errorf("%q leaves %v", want, files)
		}
	}
	w, err := Create(filepath.Join(t.TempDir(), "a.eval"), audit())
	if err != nil {
		t.Fatal(err)
	}
	good := samples()[0]
	if err := w.Sample(good); err != nil {
		t.Fatal(err)
	}
	for want, spoil := range map[string]func(*Sample){
		"epoch is 0":              func(s *Sample) { s.Epoch = 0 },
		"epoch 1 is there":        func(s *Sample) { s.ID = "sums/1" },
		`role "tool"`:             func(s *Sample) { s.Messages = []Message{{Role: "tool"}} },
		"the answer has role":     func(s *Sample) { s.Output.Message = &Message{Role: "user"} },
		`stop reason is "length"`: func(s *Sample) { s.Output.StopReason = "length" },
		"NaN":                     func(s *Sample) { s.Scores = map[string]Score{"x": {Value: math.NaN()}} },
		"-Inf":                    func(s *Sample) { s.Output.LogProbs = []LogProb{{"x", math.Inf(-1)}} },
		"unsupported type":        func(s *Sample) { s.Metadata = map[string]any{"f": func() {}} },
	} {
		s := good
		s.ID = "bad"
		spoil(&s)
		if err := w.Sample(s); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one about %q", err, want)
		}
	}
	good.ID = "bad" // which none of the bad ones has taken
	if err := w.Sample(good); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(finished()); err != nil {
		t.Fatal(err)
	}
	all := members(t, w.path)
	if n := len(at(t, all["summaries.json"]).([]any)); n != 2 || at(t, all["header.json"], "results", "completed_samples") != json.Number("2") {
		t.Errorf("%d samples after refusals", n)
	}
	if w.Sample(good) == nil || w.Close(finished()) == nil {
		t.Error("a closed log takes more")
	}
}

func TestCloseThatFailsLeavesNothing(t *testing.T) {
	for want, end := range map[string]Result{
		"status":             {Status: "done"},
		"an error goes with": {Status: StatusSuccess, Error: "x"},
		`has the error ""`:   {Status: StatusError},
		"no JSON form":       {Status: StatusSuccess, Scores: []ScoreSummary{{Metrics: map[string]float64{"x": math.Inf(1)}}}},
	} {
		path := filepath.Join(t.TempDir(), "a.eval")
		if err := os.WriteFile(path, []byte("an older log"), 0o600); err != nil {
			t.Fatal(err)
		}
		w, err := Create(path, audit())
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Close(end); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one about %q", err, want)
		}
		if files, _ := os.ReadDir(filepath.Dir(path)); len(files) != 1 {
			t.Errorf("%q leaves %v", want, files)
		}
		if text, _ := os.ReadFile(path); string(text) != "an older log" {
			t.Errorf("%q has touched the older log", want)
		}
	}
}

// More samples than one member of the journal holds: every summary is in the journal once, in order, and in summaries.json.
func TestJournal(t *testing.T) {
	var all []Sample
	for i := range 2*batch + 1 {
		all = append(all, Sample{ID: fmt.Sprint(i / 2), Epoch: i%2 + 1, Scores: map[string]Score{"x": {Value: float64(i)}}})
	}
	path := write(t, audit(), finished(), all...)
	m := members(t, path)
	var joined []any
	for k := 1; k <= 3; k++ {
		joined = append(joined, m[fmt.Sprintf("_journal/summaries/%d.json", k)].([]any)...)
	}
	if diff := cmp.Diff(m["summaries.json"], any(joined)); diff != "" || len(joined) != len(all) {
		t.Errorf("%d summaries in the journal of %d samples: %s", len(joined), len(all), diff)
	}
	// Equal input, equal bytes.
	first, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	second, err := os.ReadFile(write(t, audit(), finished(), all...))
	if err != nil {
		t.Fatal(err)
	}
	if string(first) != string(second) {
		t.Error("the same log written twice differs")
	}
}
