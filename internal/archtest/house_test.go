package archtest

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "candor"

// maxLines bounds a file that a person wrote. Longer ones hold more than one subject.
const maxLines = 600

// A source is one parsed Go file of the module.
type source struct {
	name string // path relative to the module, with slashes
	pkg  string // its folder
	test bool
	file *ast.File
	fset *token.FileSet
}

// imports returns the import paths of the file.
func (s source) imports() []string {
	var out []string
	for _, spec := range s.file.Imports {
		path, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			panic(fmt.Sprintf("%s: import %s: %v", s.name, spec.Path.Value, err))
		}
		out = append(out, path)
	}
	return out
}

func (s source) at(p token.Pos) string {
	return fmt.Sprintf("%s:%d", s.name, s.fset.Position(p).Line)
}

// sources parses the module's Go files, those of all platforms and the tests included.
func sources(t *testing.T) []source {
	t.Helper()
	root := filepath.Join("..", "..")
	mod, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil || !strings.HasPrefix(string(mod), "module "+module+"\n") {
		t.Fatalf("no go.mod of module %s two folders up: %v", module, err)
	}
	var out []source
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := filepath.ToSlash(strings.TrimPrefix(path, root+string(filepath.Separator)))
		if d.IsDir() {
			if path == root {
				return nil
			}
			base := d.Name()
			if base == "testdata" || strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") {
				return filepath.SkipDir
			}
			if _, err := os.Stat(filepath.Join(path, "go.mod")); err == nil {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") || strings.HasPrefix(d.Name(), ".") || strings.HasPrefix(d.Name(), "_") {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		s, err := parseSource(name, text)
		if err != nil {
			return err
		}
		out = append(out, s)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func parseSource(name string, text []byte) (source, error) {
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, name, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return source{}, fmt.Errorf("parse %s: %w", name, err)
	}
	folder, _, ok := cutLast(name, "/")
	if !ok {
		folder = "."
	}
	return source{name: name, pkg: folder, test: strings.HasSuffix(name, "_test.go"), file: file, fset: fset}, nil
}

func cutLast(s, sep string) (before, after string, ok bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

// houseFaults returns one sentence for each breach of a house rule in the file.
func houseFaults(s source) []string {
	var faults []string
	for i, path := range s.imports() {
		at := s.at(s.file.Imports[i].Pos())
		switch path {
		case "math/rand", "math/rand/v2", "crypto/rand":
			if s.pkg != "internal/rng" {
				faults = append(faults, fmt.Sprintf("%s: imports %s: draw from an internal/rng stream, so that the same seed gives the same result", at, path))
			}
		case "log":
			faults = append(faults, fmt.Sprintf("%s: imports log: return the error, cmd prints it", at))
		case "time", "os":
			if name := s.file.Imports[i].Name; name != nil && name.Name == "." {
				faults = append(faults, fmt.Sprintf("%s: imports %s into its own names: the house rules cannot see its calls then", at, path))
			}
		}
	}
	if lines := s.fset.File(s.file.Pos()).LineCount(); lines > maxLines && !ast.IsGenerated(s.file) {
		faults = append(faults, fmt.Sprintf("%s: %d lines, at most %d: split it by subject", s.name, lines, maxLines))
	}
	if !s.test && !in(s.pkg, "cmd") && s.pkg != "internal/browser" { // which is a part of tests
		faults = append(faults, outsideReads(s)...)
	}
	return faults
}

// outsideReads finds uses of the clock and of the environment, whether called or passed on as functions.
func outsideReads(s source) []string {
	kept := map[string]struct {
		names  []string
		advice string
	}{
		"time": {[]string{"Now", "Since", "Until"}, "take a clock from cmd"},
		"os":   {[]string{"Getenv", "LookupEnv", "Environ", "ExpandEnv"}, "take the setting from cmd"},
	}
	local := map[string]string{} // the file's name for the package -> its path
	for i, path := range s.imports() {
		if _, ok := kept[path]; ok {
			local[path] = path
			if name := s.file.Imports[i].Name; name != nil {
				delete(local, path)
				local[name.Name] = path
			}
		}
	}
	var faults []string
	ast.Inspect(s.file, func(n ast.Node) bool {
		sel, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		x, ok := sel.X.(*ast.Ident)
		if !ok {
			return true
		}
		if path := local[x.Name]; path != "" && slices.Contains(kept[path].names, sel.Sel.Name) {
			faults = append(faults, fmt.Sprintf("%s: %s.%s outside cmd: %s", s.at(sel.Pos()), path, sel.Sel.Name, kept[path].advice))
		}
		return true
	})
	return faults
}

func TestHouseRules(t *testing.T) {
	for _, s := range sources(t) {
		for _, fault := range houseFaults(s) {
			t.Error(fault)
		}
	}
}

// Each case breaks one house rule, or keeps them where a careless check would complain.
func TestBrokenHouseRulesAreReported(t *testing.T) {
	long := strings.Repeat("// line\n", maxLines)
	for _, tc := range []struct{ name, file, text, want string }{
		{"randomness", "train/a.go", "package a\nimport _ \"math/rand/v2\"\n", "train/a.go:2: imports math/rand/v2"},
		{"randomness in a test", "train/a_test.go", "package a\nimport _ \"math/rand\"\n", "imports math/rand"},
		{"randomness at its place", "internal/rng/a.go", "package rng\nimport _ \"math/rand/v2\"\n", ""},
		{"log", "cmd/candor/a.go", "package main\nimport _ \"log\"\n", "return the error"},
		{"clock", "study/a.go", "package a\nimport \"time\"\nvar t = time.Now()\n", "study/a.go:3: time.Now"},
		{"clock passed on", "study/a.go", "package a\nimport \"time\"\nvar f = time.Now\n", "time.Now"},
		{"clock under another name", "study/a.go", "package a\nimport clock \"time\"\nvar t = clock.Since\n", "time.Since"},
		{"clock unpacked", "study/a.go", "package a\nimport . \"time\"\nvar t = Now()\n", "into its own names"},
		{"clock in cmd", "cmd/candor/a.go", "package main\nimport \"time\"\nvar t = time.Now()\n", ""},
		{"clock in a test", "study/a_test.go", "package a\nimport \"time\"\nvar t = time.Now()\n", ""},
		{"durations", "study/a.go", "package a\nimport \"time\"\nvar t = time.Second\n", ""},
		{"environment", "engine/a.go", "package a\nimport \"os\"\nvar t = os.Getenv(\"X\")\n", "os.Getenv outside cmd"},
		{"environment in a helper of tests", "internal/browser/a.go", "package browser\nimport \"os\"\nvar t = os.Getenv(\"CI\")\n", ""},
		{"files", "engine/a.go", "package a\nimport \"os\"\nvar t = os.Stdout\n", ""},
		{"long", "engine/a.go", "package a\n" + long, "split it"},
		{"long but generated", "engine/a.go", "// Code generated by x. DO NOT EDIT.\n\npackage a\n" + long, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s, err := parseSource(tc.file, []byte(tc.text))
			if err != nil {
				t.Fatal(err)
			}
			got := strings.Join(houseFaults(s), "\n")
			if tc.want == "" && got != "" || !strings.Contains(got, tc.want) {
				t.Errorf("faults %q, want %q", got, tc.want)
			}
		})
	}
}
