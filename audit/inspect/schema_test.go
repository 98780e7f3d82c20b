package inspect

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// references returns the folder with Inspect's schema and logs. It is not a part of the repository: CI must have it, and
// elsewhere the tests that need it say that they did not run.
func references(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("CANDOR_INSPECT")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared", "data", "inspect")
	}
	_, err := os.Stat(filepath.Join(dir, "openapi.json"))
	if err == nil {
		return dir
	}
	if !errors.Is(err, fs.ErrNotExist) || os.Getenv("CI") != "" || os.Getenv("CANDOR_INSPECT") != "" {
		t.Fatalf("Inspect's schema and logs: %v; put the folder there or name it in CANDOR_INSPECT", err)
	}
	t.Skipf("not compared with Inspect's schema and logs, which are not in %s; name their folder in CANDOR_INSPECT", dir)
	return ""
}

// schemas are Inspect's, with one change: an object may have no key that its schema does not name.
type schemas struct{ compiler *jsonschema.Compiler }

func readSchemas(t *testing.T) schemas {
	t.Helper()
	file, err := os.Open(filepath.Join(references(t), "openapi.json"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	doc, err := jsonschema.UnmarshalJSON(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range doc.(map[string]any)["components"].(map[string]any)["schemas"].(map[string]any) {
		s := s.(map[string]any)
		if _, open := s["additionalProperties"]; s["properties"] != nil && !open {
			s["additionalProperties"] = false
		}
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020) // that of OpenAPI 3.1
	c.AssertFormat()
	if err := c.AddResource("inspect.json", doc); err != nil {
		t.Fatal(err)
	}
	return schemas{c}
}

func (s schemas) validate(t *testing.T, what, name string, value any) {
	t.Helper()
	schema, err := s.compiler.Compile("inspect.json#/components/schemas/" + name)
	if err != nil {
		t.Fatal(err)
	}
	if err := schema.Validate(value); err != nil {
		t.Errorf("%s is no %s: %v", what, name, err)
	}
}

// members reads a log.
func members(t *testing.T, path string) map[string]any {
	t.Helper()
	z, err := zip.OpenReader(path)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	out := map[string]any{}
	for _, f := range z.File {
		if f.Method != zip.Deflate {
			t.Errorf("%s has compression method %d", f.Name, f.Method)
		}
		if _, twice := out[f.Name]; twice {
			t.Errorf("%s is there twice", f.Name)
		}
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		if out[f.Name], err = jsonschema.UnmarshalJSON(r); err != nil {
			t.Errorf("%s: %v", f.Name, err)
		}
		r.Close()
	}
	return out
}

// assembled is the log that a reader makes of its members.
func assembled(all map[string]any) map[string]any {
	log := maps.Clone(all["header.json"].(map[string]any))
	log["reductions"] = all["reductions.json"]
	samples := []any{}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if strings.HasPrefix(name, "samples/") {
			samples = append(samples, all[name])
		}
	}
	log["samples"] = samples
	return log
}

func (s schemas) validateLog(t *testing.T, path string) {
	t.Helper()
	all := members(t, path)
	s.validate(t, "the whole log", "EvalLog", assembled(all))
	s.validate(t, "header.json", "EvalLog", all["header.json"])
	begun := all["_journal/start.json"].(map[string]any)
	s.validate(t, "start.json", "EvalSpec", begun["eval"])
	s.validate(t, "start.json", "EvalPlan", begun["plan"])
	for name, value := range all {
		switch {
		case strings.HasPrefix(name, "samples/"):
			s.validate(t, name, "EvalSample", value)
		case name == "summaries.json" || strings.HasPrefix(name, "_journal/summaries/"):
			for _, v := range value.([]any) {
				s.validate(t, name, "EvalSampleSummary", v)
			}
		case name == "reductions.json":
			for _, v := range value.([]any) {
				s.validate(t, name, "EvalSampleReductions", v)
			}
		}
	}
}

// any log can be held against the schema: go test ./audit/inspect -run Satisfy -log runs/audit/log.eval
var logToCheck = flag.String("log", "", "an Inspect log to be held against the schema, too")

func TestLogsSatisfyInspectsSchema(t *testing.T) {
	s := readSchemas(t)
	if *logToCheck != "" {
		s.validateLog(t, *logToCheck)
	}
	for name, end := range map[string]Result{
		"success":   finished(),
		"cancelled": {Status: StatusCancelled},
		"error":     {Status: StatusError, Error: "the endpoint is gone"},
	} {
		t.Run(name, func(t *testing.T) { s.validateLog(t, write(t, audit(), end, samples()...)) })
	}
	t.Run("least", func(t *testing.T) {
		least := Log{Task: "t", Model: "m", RunID: "r", Created: noon}
		s.validateLog(t, write(t, least, Result{Status: StatusSuccess}, Sample{ID: "a", Epoch: 1}))
		s.validateLog(t, write(t, least, Result{Status: StatusSuccess}))
	})
	t.Run("hostile", func(t *testing.T) {
		for _, text := range hostile {
			l, sample := poisoned(text)
			s.validateLog(t, write(t, l, finished(), sample))
		}
	})
}

// The schema must be able to refuse: a log with a wrong type, without a key or with a misspelt one is none.
func TestSchemaRefuses(t *testing.T) {
	s := readSchemas(t)
	schema, err := s.compiler.Compile("inspect.json#/components/schemas/EvalLog")
	if err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(header, sample map[string]any){
		"type":     func(h, _ map[string]any) { h["status"] = "done" },
		"missing":  func(_, s map[string]any) { delete(s, "attachments") },
		"misspelt": func(_, s map[string]any) { s["massages"] = "" },
		"nested":   func(_, s map[string]any) { s["output"].(map[string]any)["completions"] = "" },
	} {
		log := assembled(members(t, write(t, audit(), finished(), samples()...)))
		if err := schema.Validate(log); err != nil {
			t.Fatal(err)
		}
		if spoil(log, log["samples"].([]any)[0].(map[string]any)); schema.Validate(log) == nil {
			t.Errorf("%s: the schema has nothing against it", name)
		}
	}
}

var (
	sampleName  = regexp.MustCompile(`^samples/.+_epoch_\d+\.json$`)
	journalName = regexp.MustCompile(`/\d+\.json$`)
)

// shape returns the patterns of a log's members and the keys of its objects, by where they stand.
func shape(all map[string]any) (names []string, keys map[string][]string) {
	keys = map[string][]string{}
	for name, value := range all {
		pattern := sampleName.ReplaceAllString(journalName.ReplaceAllString(name, "/K.json"), "samples/ID_epoch_N.json")
		names = append(names, pattern)
		collect(pattern, value, keys)
	}
	slices.Sort(names)
	for at := range keys {
		slices.Sort(keys[at])
		keys[at] = slices.Compact(keys[at])
	}
	return slices.Compact(names), keys
}

func collect(at string, value any, keys map[string][]string) {
	switch value := value.(type) {
	case []any:
		for _, v := range value {
			collect(at+"[]", v, keys)
		}
	case map[string]any:
		for k, v := range value {
			switch last := at[strings.LastIndexAny(at, "./")+1:]; {
			case k == "events" || last == "attachments" || last == "metadata" || last == "params":
				continue // different in every log
			case last == "model_usage" || last == "metrics" || last == "scores" || last == "packages":
				k = "*"
			}
			keys[at] = append(keys[at], k)
			collect(at+"."+k, v, keys)
		}
	}
}

// Ours have the members that Inspect's own logs have and, in each object, the keys.
func TestSameShapeAsInspectsOwnLogs(t *testing.T) {
	dir := references(t)
	// What Inspect no longer writes, what only settings have that an audit has not, and the answer of a mean over epochs.
	lacking := []string{
		"header.json.results.scores.*.metrics.*.options", "header.json.results.scores[].metrics.*.options",
		"header.json.eval.config.log_images", "_journal/start.json.eval.config.log_images", "reductions.json[].samples[].answer",
	}
	names, keys := shape(members(t, write(t, audit(), finished(), samples()...)))
	for _, name := range []string{"log_formats.eval", "log_streaming.eval"} {
		theirs, theirKeys := shape(members(t, filepath.Join(dir, name)))
		if !slices.Equal(names, theirs) {
			t.Errorf("our members are %q, those of %s %q", names, name, theirs)
		}
		for at, want := range theirKeys {
			for _, k := range want {
				if !slices.Contains(keys[at], k) && !slices.Contains(lacking, at+"."+k) {
					t.Errorf("%s has the key %q in %s, ours only %q", name, k, at, keys[at])
				}
			}
		}
	}
	// The same log in Inspect's other format has as members of one object what are members of the zip here.
	text, err := os.ReadFile(filepath.Join(dir, "log_formats.json"))
	if err != nil {
		t.Fatal(err)
	}
	var other map[string]any
	if err := json.NewDecoder(bytes.NewReader(text)).Decode(&other); err != nil {
		t.Fatal(err)
	}
	ours := assembled(members(t, write(t, audit(), finished(), samples()...)))
	for k := range other {
		if _, ok := ours[k]; !ok {
			t.Errorf("the assembled log has no %q", k)
		}
	}
}
