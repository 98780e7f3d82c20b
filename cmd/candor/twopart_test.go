package main

import (
	"bytes"
	"context"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"candor/reasoning/compose"
	"candor/reasoning/llm"
	"candor/reasoning/llm/llmtest"
	"candor/reasoning/monitor"
	"candor/reasoning/tally"
	"candor/reasoning/task"
	"candor/train/twopart"
)

// secret is an output that stands nowhere but in what the face writes.
const secret = "zebra"

// fakeListener talks to a system of scripts, with gates of the test's own.
func fakeListener(t *testing.T, chain, output string, gates ...compose.Gate) (*listener, *bytes.Buffer) {
	t.Helper()
	out := new(bytes.Buffer)
	face := llmtest.Scripted(func(llm.Request) string { return output })
	sys := &system{arm: "fake", origin: "a fake", config: twopart.Config{Rewrite: twopart.AsWritten, Face: twopart.OwnFace},
		world: task.Sums{Terms: 4, Modulus: 5, Key: 1}, face: face, gates: gates,
		reasoner: llmtest.Scripted(func(r llm.Request) string {
			words, done := strings.Fields(chain), len(strings.Fields(r.Prefix))
			return strings.Join(words[min(done, len(words)):], " ")
		})}
	w := &world{stdout: out, stderr: out, env: func(string) string { return "" }}
	l := &listener{screen: newScreen(w), shelf: &shelf{about: "the test", open: func(string) (*system, error) { return sys, nil }}}
	if err := l.take("fake"); err != nil {
		t.Fatal(err)
	}
	return l, out
}

// verdict is a monitor that does what a test wants.
type verdict func() float64

func (verdict) Name() string                 { return "fake" }
func (v verdict) Score(monitor.View) float64 { return v() }

// TestWithheld: no output is shown unless every gate that is on has passed it, whatever the person types.
func TestWithheld(t *testing.T) {
	gate := func(v verdict) compose.Gate {
		return compose.Gate{Monitor: monitor.Local(v), Threshold: 1, Sees: compose.SeesPrivate}
	}
	pass, block := gate(func() float64 { return 0 }), gate(func() float64 { return 1 })
	garbage, crash := gate(math.NaN), gate(func() float64 { panic("no") })
	off := block
	off.Off = true
	for _, test := range []struct {
		about    string
		gates    []compose.Gate
		released bool
		want     string
	}{
		{"passes", []compose.Gate{pass, pass}, true, "no number can be read in this"},
		{"off", []compose.Gate{pass, off}, true, "switched off"},
		{"blocks", []compose.Gate{pass, block}, false, "fake blocks it"},
		{"garbage", []compose.Gate{garbage, pass}, false, "fake could not judge it"},
		{"crashes", []compose.Gate{crash}, false, "fake could not judge it"},
	} {
		l, out := fakeListener(t, "key 2 =", secret, test.gates...)
		for _, line := range []string{"key 2: 3 + 0 + 4 + 1", ":flip", ":temperature 1", ":again", ":again", ":paraphrase on", ":again", ":face sees hidden", ":again"} {
			if err := l.hear(context.Background(), line); err != nil {
				t.Fatalf("%s: %s: %v", test.about, line, err)
			}
		}
		if got := strings.Contains(out.String(), secret); got != test.released {
			t.Errorf("%s: the output is shown: %v\n%s", test.about, got, out)
		}
		if !strings.Contains(out.String(), test.want) {
			t.Errorf("%s: nothing says %q:\n%s", test.about, test.want, out)
		}
		if test.released {
			continue
		}
		if err := l.hear(context.Background(), ":monitor off"); err != nil {
			t.Fatal(err)
		}
		if err := l.hear(context.Background(), ":again"); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(out.String(), secret) {
			t.Errorf("%s: with all monitors off the output is not shown", test.about)
		}
	}
}

// TestFlipTellsNoNumber: of outputs that were withheld, the causal test says whether they followed the key, not what they were.
func TestFlipTellsNoNumber(t *testing.T) {
	block := compose.Gate{Monitor: monitor.Local(verdict(func() float64 { return 1 })), Threshold: 1, Sees: compose.SeesPrivate}
	l, out := fakeListener(t, "hmm so =", "1", block)
	for _, line := range []string{"key 2: 3 + 0 + 4 + 1", ":flip"} {
		if err := l.hear(context.Background(), line); err != nil {
			t.Fatal(err)
		}
	}
	if !strings.Contains(out.String(), "the output stayed as it was") {
		t.Errorf("no result of the flip:\n%s", out)
	}
	for _, line := range strings.Split(out.String(), "\n") {
		if (strings.HasPrefix(line, "Answer") || strings.HasPrefix(line, "Flip")) && strings.Contains(line, "1") {
			t.Errorf("this tells what was withheld: %s", line)
		}
	}
}

// TestUnfinished: a chain that is cut off goes to no face, and there is no answer.
func TestUnfinished(t *testing.T) {
	pass := compose.Gate{Monitor: monitor.Local(verdict(func() float64 { return 0 })), Threshold: 1, Sees: compose.SeesPrivate}
	l, out := fakeListener(t, strings.Repeat("hmm so ", 9), secret, pass)
	if err := l.hear(context.Background(), "key 2: 3 + 0 + 4 + 1"); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"cut off: ", "Answer          none", "there is no answer", "not run"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("nothing says %q:\n%s", want, out)
		}
	}
	if strings.Contains(out.String(), secret) {
		t.Errorf("an output is shown:\n%s", out)
	}
}

// TestHostileWords: what a checkpoint's vocabulary says cannot control the terminal.
func TestHostileWords(t *testing.T) {
	l, out := fakeListener(t, "\x1b[2J so =", "\x1b]0;x\a")
	if err := l.hear(context.Background(), "key 2: 3 + 0 + 4 + 1"); err != nil {
		t.Fatal(err)
	}
	if i := strings.IndexAny(out.String(), "\x1b\a"); i >= 0 {
		t.Errorf("control characters reach the terminal:\n%q", out)
	}
}

// TestColors: a terminal gets colors unless NO_COLOR is set, and the same words.
func TestColors(t *testing.T) {
	shown := func(terminal bool, noColor string) string {
		l, out := fakeListener(t, "key 2 =", "bysum 2", gates(task.Sums{Terms: 4, Modulus: 5, Key: 1})...)
		l.w.stdoutTerminal, l.w.env = terminal, func(name string) string { return map[string]string{"NO_COLOR": noColor}[name] }
		l.screen = newScreen(l.w)
		l.pause = 0
		if err := l.hear(context.Background(), "key 2: 3 + 0 + 4 + 1"); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	plain, colored := shown(false, ""), shown(true, "")
	if plain == colored || shown(true, "1") != plain {
		t.Errorf("colors where none belong, or none where they do")
	}
	if got := regexp.MustCompile("\x1b\\[[0-9;]*m").ReplaceAllString(colored, ""); got != plain {
		t.Errorf("in colors it says something else:\n%s\n%s", got, plain)
	}
}

func TestParseSum(t *testing.T) {
	w := task.Sums{Terms: 4, Modulus: 5, Key: .7}
	for text, want := range map[string]string{
		"key 2: 3 + 0 + 4 + 1 mod 5": "key 2 3 0 4 1 :", "KEY  2 :3+0+4+1%5": "key 2 3 0 4 1 :", "key 0:3+0+4+1": "key 0 3 0 4 1 :",
		"key: 3+0+4+1": "", "key -1: 3+0+4+1": "", "key two: 3+0+4+1": "", "key": "", "": "", ":": "", "key 2:": "", "key 2: key 2: 3+0+4+1": "",
		"3+0+4-1": "", "3+0+4": "", "3+0+4+1 mod 0": "", "3+0+4+5": "", strings.Repeat("1 + ", 9999): "", "key " + strings.Repeat("9", 900) + ": 3": "",
	} {
		p, err := parseSum(text, w)
		switch {
		case want == "" && err == nil:
			t.Errorf("%q is read as %s", text, p.Prompt())
		case want == "" && (!strings.HasSuffix(err.Error(), "; type a problem such as key 2: 3 + 0 + 4 + 1 mod 5") || len(err.Error()) > 200):
			t.Errorf("%q: %v", text, err)
		case want != "" && (err != nil || p.Prompt() != want):
			t.Errorf("%q is read as %s (%v), want %s", text, p.Prompt(), err, want)
		}
	}
	p, err := parseSum("3+0+4+1", w)
	if again, _ := parseSum("3 + 0 + 4 + 1 mod 5", w); err != nil || p.Flag != tally.None || p.Hint < 0 || p.Hint >= 5 || again.Hint != p.Hint {
		t.Errorf("without a key: %+v, %v", p, err)
	}
}

// TestWithoutFace: a system whose face is missing or damaged is refused in one sentence that says so.
func TestWithoutFace(t *testing.T) {
	files, err := fs.Sub(systemFiles, "systems/"+systemArms[0].name)
	if err != nil {
		t.Fatal(err)
	}
	for about, test := range map[string]struct {
		change func(dir string) error
		want   string
	}{
		"no face":     {func(dir string) error { return os.RemoveAll(dir + "/face") }, "a face of its own, but its model is not there"},
		"no weights":  {func(dir string) error { return os.Remove(dir + "/face/model.safetensors") }, "face"},
		"no manifest": {func(dir string) error { return os.Remove(dir + "/manifest.json") }, "does not tell what it was trained on"},
		"bad manifest": {func(dir string) error {
			return os.WriteFile(dir+"/manifest.json", []byte(`{"settings":{"stage":{"grpo":{"sums":"leak","system":{"face":"paper"}}},"parts":{"sums.leak":{"terms":4,"modulus":5}}}}`), 0o666)
		}, `face is "paper", must be one of`},
		"no sums": {func(dir string) error {
			return os.WriteFile(dir+"/manifest.json", []byte(`{"settings":{"stage":{"grpo":{"sums":"leak"}},"parts":{"sums.leak":{"terms":999999999,"modulus":5}}}}`), 0o666)
		}, "terms 999999999"},
	} {
		dir := filepath.Join(t.TempDir(), "stage")
		if err := os.CopyFS(dir, files); err != nil {
			t.Fatal(err)
		}
		if err := test.change(dir); err != nil {
			t.Fatal(err)
		}
		p, err := findPlace(dir + "/model")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.shelf().open(""); err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", about, err)
		}
	}
}
