package main

import (
	"os"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/alecthomas/kong"
	"github.com/rogpeppe/go-internal/testscript"

	"candor/engine/kernel"
	"candor/study/experiment"
	"candor/train/speed"
)

// TestMain lets scripts and tests call this very program as "candor".
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"candor": main})
}

// TestScripts plays the command line as a person uses it; testdata/script says what must come of each line.
func TestScripts(t *testing.T) {
	tiny, err := os.ReadFile("testdata/tiny.yaml")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			env.Setenv("CANDOR_KERNEL", "")
			return os.WriteFile(env.WorkDir+"/tiny.yaml", tiny, 0o666)
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"exitcode": exitCode,
			"narrow":   narrow,
			"replace":  replace,
		},
	})
}

// exitCode runs candor and demands an exit code: exitcode CODE ARGS...
func exitCode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: exitcode CODE ARGS...")
	}
	err := ts.Exec("candor", args[1:]...)
	got := "0"
	if err != nil {
		got = strings.TrimPrefix(err.Error(), "exit status ")
	}
	if got != args[0] {
		ts.Fatalf("candor %s ended with exit code %s, want %s", strings.Join(args[1:], " "), got, args[0])
	}
	if out := ts.ReadFile("stderr"); strings.Contains(out, "goroutine ") || strings.Contains(out, "panic") {
		ts.Fatalf("a person was shown a stack trace")
	}
}

// narrow demands that no line of a file, or of stdout or stderr, is longer than 100 columns.
func narrow(ts *testscript.TestScript, neg bool, args []string) {
	for _, file := range args {
		for _, line := range strings.Split(ts.ReadFile(file), "\n") {
			if n := utf8.RuneCountInString(line); n > 100 {
				ts.Fatalf("%s has a line of %d columns: %s", file, n, line)
			}
		}
	}
}

// replace writes a file with the first OLD made NEW under another name: replace OLD NEW FROM TO.
func replace(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 4 {
		ts.Fatalf("usage: replace OLD NEW FROM TO")
	}
	text := ts.ReadFile(args[2])
	if !strings.Contains(text, args[0]) {
		ts.Fatalf("%s has no %q", args[2], args[0])
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[3]), []byte(strings.Replace(text, args[0], args[1], 1)), 0o666))
}

// TestHelpExamples reads every example of every command as the shell would and parses it: an example that is shown must
// be one that can be typed.
func TestHelpExamples(t *testing.T) {
	commands := map[string]interface{ Help() string }{"lab run": labRunCmd{}, "report": reportCmd{}, "bench": benchEngineCmd{}, "bench serve": benchServeCmd{}, "chat": chatCmd{}, "export": exportCmd{}, "serve": serveCmd{},
		"audit": auditCmd{}, "trace": traceCmd{}, "compare": compareCmd{}, "gate": gateCmd{}, "calibrate": calibrateCmd{},
		"ledger verify": ledgerVerifyCmd{}, "ledger export": ledgerExportCmd{}, "ledger redact": ledgerRedactCmd{},
		"keys add": keysAddCmd{}, "keys list": keysListCmd{}, "keys revoke": keysRevokeCmd{}, "monitors calibrate": monitorsCalibrateCmd{}, "monitors samples": monitorsSamplesCmd{}}
	for name, command := range commands {
		found := 0
		for _, line := range strings.Split(command.Help(), "\n") {
			example, ok := strings.CutPrefix(line, "  candor ")
			if !ok {
				continue
			}
			found++
			if i := strings.Index(example, "  "); i >= 0 {
				example = example[:i]
			}
			var c cli
			parser, err := kong.New(&c, kong.Name("candor"), kong.Exit(func(int) { t.Errorf("%s: %q shows help", name, example) }),
				kong.Vars{"studies": strings.Join(experiment.Builtin(), ", "), "version": "", "kernels": strings.Join(kernel.Available(), ", "), "parts": strings.Join(speed.Parts, ", ")})
			if err != nil {
				t.Fatal(err)
			}
			parsed, err := parser.Parse(shellWords(example))
			if err != nil {
				t.Errorf("%s: the example %q: %v", name, example, err)
				continue
			}
			if got := parsed.Command(); !strings.HasPrefix(got, name) {
				t.Errorf("%s: the example %q calls %q", name, example, got)
			}
		}
		if found == 0 {
			t.Errorf("%s has no example", name)
		}
	}
}

var shellWord = regexp.MustCompile(`"[^"]*"|\S+`)

// shellWords returns the words that the shell hands on: what comes after > is its own.
func shellWords(line string) []string {
	line, _, _ = strings.Cut(line, " > ")
	words := shellWord.FindAllString(line, -1)
	for i, w := range words {
		words[i] = strings.Trim(w, `"`)
	}
	return words
}

func TestQuote(t *testing.T) {
	for word, want := range map[string]string{
		"runs/default": "runs/default", "a b": "'a b'", "it's": `'it'\''s'`, "$HOME": "'$HOME'", "": "''", "größe": "größe", "a;b": "'a;b'",
	} {
		if got := quote(word); got != want {
			t.Errorf("quote(%q) = %s, want %s", word, got, want)
		}
	}
}
