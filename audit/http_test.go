package audit_test

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"candor/audit"
	"candor/audit/battery"
	"candor/audit/calibration"
	"candor/audit/evidence"
	"candor/audit/preflight"
	"candor/audit/runner"
	"candor/audit/suite"
	"candor/openai"
	"candor/openai/openaitest"
	"candor/reasoning/dialect"
	"candor/study/runlog"
)

const secret = "sk-live-9f8e7d6c5b4a3210"

// open opens a run folder.
func open(t *testing.T, dir string) *runlog.Folder {
	t.Helper()
	folder, err := runlog.Open(dir, clock, "candor audit")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = folder.Close() })
	return folder
}

// configure does what the command does: it finds out what the server can do, and puts an audit together.
func configure(t *testing.T, url string, source suite.Source, dir string) audit.Config {
	t.Helper()
	client, err := openai.NewClient(openai.Options{BaseURL: url, Key: secret, Timeout: 20 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	report, err := preflight.Run(t.Context(), client, preflight.Options{Model: "test-model"})
	if err != nil {
		t.Fatal(err)
	}
	gen, err := openai.NewGenerator(client, "test-model", report.Capabilities)
	if err != nil {
		t.Fatal(err)
	}
	capabilities, err := json.Marshal(report.Capabilities)
	if err != nil {
		t.Fatal(err)
	}
	table, err := calibration.Embedded()
	if err != nil {
		t.Fatal(err)
	}
	b := &battery.Battery{
		Settings:  battery.Settings{Temperature: .6, TopP: .95, MaxTokens: 4000, AnswerTokens: 100, Repeats: 1, Seed: 3},
		Dialect:   dialect.Prose{},
		Abilities: battery.Abilities{Continues: report.Continues(), Apart: report.Apart()},
	}
	return audit.Config{
		Folder: open(t, dir), Source: source, Battery: b, Table: table, Clock: clock, Version: "test", Connections: 16, Timeout: time.Minute,
		Models: map[string]runner.Model{battery.Subject: {Generator: gen, Identity: "test-model at " + client.BaseURL() + " by " + string(capabilities)}},
		Manifest: audit.Manifest{
			Model:  evidence.Model{Name: "test-model", BaseURL: client.BaseURL(), Dialect: "prose", Capabilities: capabilities},
			Suites: []string{"additions"}, Battery: b.Settings, Abilities: b.Abilities, Epochs: 1, Preflight: report, Started: clock(),
		},
	}
}

// run runs an audit to its end and checks what holds of all.
func run(t *testing.T, c audit.Config) *evidence.Evidence {
	t.Helper()
	if err := c.Folder.WriteJSON(audit.ManifestFile, c.Manifest); err != nil {
		t.Fatal(err)
	}
	e, err := audit.Run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	dir := c.Folder.Dir()
	again, err := evidence.Read(filepath.Join(dir, audit.EvidenceFile))
	if err != nil {
		t.Fatal(err)
	}
	if a, b := toJSON(t, e), toJSON(t, again); a != b {
		t.Errorf("evidence.json is not what was returned:\n%s\n%s", a, b)
	}
	n := 0
	for _, count := range e.Counts.Reasons {
		n += count
	}
	if e.Counts.Samples != c.Source.Len() || n != e.Counts.Failed {
		t.Errorf("%d items, but %+v", c.Source.Len(), e.Counts)
	}
	if lines := bytes.Count(read(t, filepath.Join(dir, "samples.jsonl")), []byte("\n")); lines != c.Source.Len() {
		t.Errorf("samples.jsonl has %d lines for %d items", lines, c.Source.Len())
	}
	noSecret(t, dir)
	return e
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func toJSON(t *testing.T, v any) string {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// noSecret looks for the API key in all files of a run folder, also in what is packed.
func noSecret(t *testing.T, dir string) {
	t.Helper()
	look := func(where string, data []byte) {
		if bytes.Contains(data, []byte(secret)) || bytes.Contains(data, []byte(secret[:12])) {
			t.Errorf("the API key is in %s", where)
		}
	}
	files := map[string]bool{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		files[d.Name()] = true
		look(path, read(t, path))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{audit.ManifestFile, audit.EvidenceFile, "audit.db", "samples.jsonl", "report.html", "log.eval"} {
		if !files[name] {
			t.Errorf("there is no %s, only %v", name, slices.Sorted(maps.Keys(files)))
		}
	}
	log, err := zip.OpenReader(filepath.Join(dir, "log.eval"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	for _, f := range log.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		look("log.eval: "+f.Name, data)
	}
	err = runner.Each(dir, func(e runner.Entry) error {
		look("audit.db: "+e.ID, []byte(toJSON(t, e)))
		calls, err := runner.CallsOf(dir, e.ID, e.Epoch)
		look("audit.db: the calls of "+e.ID, []byte(toJSON(t, calls)))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// value returns a measure's value; the test fails if there is none.
func value(t *testing.T, e *evidence.Evidence, id string) float64 {
	t.Helper()
	m, ok := e.Measure(id)
	if !ok || m.Value == nil {
		t.Errorf("%s is not reported: %q, %q", id, m.Note, untested(e, m.Title))
		return -1
	}
	return *m.Value
}

func untested(e *evidence.Evidence, what string) string {
	for _, u := range e.Untested {
		if u.What == what {
			return u.Why
		}
	}
	return ""
}

// The measures tell a model that needs its chain from one that knows the answer whatever the chain says.
func TestImportance(t *testing.T) {
	for name, tc := range map[string]struct {
		model reasoner
		want  map[string]float64
	}{
		"needs":  {reasoner{goesOn: true}, map[string]float64{"accuracy": 1, "same-without-chain": 0, "early-answering": .25, "mistake": 0, "filler": 0, "paraphrase": 0, "paraphrase-steps": 0, "verbatim": 1, "repeat": 0, "reworded": 0, "necessity": 1}},
		"knows":  {reasoner{knows: true, goesOn: true}, map[string]float64{"accuracy": 1, "same-without-chain": 1, "early-answering": 1, "mistake": 1, "filler": 1, "paraphrase": 0, "verbatim": 1, "necessity": 0}},
		"cannot": {reasoner{together: true, goesOn: false}, map[string]float64{"accuracy": 1, "same-without-chain": 0, "necessity": 1, "repeat": 0}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := openaitest.Serve(t, openaitest.VLLM, tc.model.answer)
			e := run(t, configure(t, s.URL, additions{n: 12}, t.TempDir()))
			for id, want := range tc.want {
				if got := value(t, e, id); got != want {
					t.Errorf("%s is %v, want %v", id, got, want)
				}
			}
			if !e.Complete || e.Counts.Failed != 0 || e.Counts.Provenance["raw"] != 12 {
				t.Errorf("%+v", e.Counts)
			}
			if name != "cannot" {
				if e.Continues != "as its own message to be continued" || untested(e, "All edits of the chain") != "" {
					t.Errorf("%q, %+v", e.Continues, e.Untested)
				}
				return
			}
			if why := untested(e, "All edits of the chain"); e.Continues != "" || !strings.Contains(why, "after 1 2 3 4") {
				t.Errorf("%q, %q", e.Continues, why)
			}
			if _, ok := e.Measure("mistake"); ok || untested(e, "Same answer in spite of a mistake") == "" {
				t.Error("mistakes are measured where no chain can be edited")
			}
		})
	}
}

// A server that takes only thoughts to be carried on is tested with those, and the rest is told to be untested.
func TestOnlyOpenThoughts(t *testing.T) {
	s := openaitest.Serve(t, openaitest.DeepSeek, reasoner{goesOn: true}.answer)
	e := run(t, configure(t, s.URL, additions{n: 12}, t.TempDir()))
	for id, want := range map[string]float64{"accuracy": 1, "mistake": 0, "paraphrase-steps": 0} {
		if got := value(t, e, id); got != want {
			t.Errorf("%s is %v, want %v", id, got, want)
		}
	}
	for what, part := range map[string]string{"Edits that end the chain": "only where a text follows", "Same answer from a chain cut short": "only where a text follows", "Same answer from filler": "only where a text follows"} {
		if why := untested(e, what); !strings.Contains(why, part) {
			t.Errorf("%s: %q", what, why)
		}
	}
	for _, id := range []string{"early-answering", "filler", "paraphrase", "verbatim"} {
		if m, ok := e.Measure(id); ok {
			t.Errorf("measured: %+v", m)
		}
	}
}
