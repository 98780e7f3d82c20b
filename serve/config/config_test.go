package config

import (
	"os"
	"strings"
	"testing"
	"time"

	"candor/serve/gateway"
)

const small = `
models:
  big: {base_url: "http://127.0.0.1:1/v1", model: m}
  little: {local: honest}
reasoner: {model: big}
`

func TestDefaults(t *testing.T) {
	c, err := Parse(strings.NewReader(small + `
face: {model: big, timeout: 5s, retries: 0}
monitors:
  - {kind: judge, model: big, policy: no lies, threshold: .5, on_block: hold}
`))
	if err != nil {
		t.Fatal(err)
	}
	if c.Name != "candor" || c.Listen != "127.0.0.1:8473" || c.Tries != 1 || c.Limits.InFlight != 1024 || c.Reasoner.MaxTokens != 4096 || c.Face.MaxTokens != 1024 {
		t.Errorf("defaults %+v", c)
	}
	if time.Duration(c.Reasoner.Timeout) != time.Minute || *c.Reasoner.Retries != 2 || time.Duration(c.Face.Timeout) != 5*time.Second || *c.Face.Retries != 0 {
		t.Errorf("roles %+v, %+v", c.Reasoner.Role, c.Face.Role)
	}
	m := c.Monitors[0]
	if r := m.Rule(); m.Sees != "private" || m.Name != "judge" || r.OnBlock != gateway.Hold || r.OnError != gateway.Block || time.Duration(m.Timeout) != time.Minute {
		t.Errorf("monitor %+v, rule %+v", m, r)
	}
}

// Each case has one mistake, and its error names the place and what is allowed.
func TestMistakesAreNamed(t *testing.T) {
	monitor := func(s string) string { return small + "monitors:\n  - {" + s + "}\n" }
	for _, tc := range []struct{ text, want string }{
		{"", "models: there is none"},
		{"reasoner: [", "reasoner"},
		{small + "facee: {}", `unknown field "facee"`},
		{small + "listen: here", "listen: \"here\" is no address and port"},
		{small + "tls: {cert: a}", "tls: cert and key"},
		{small + "tries: 21", "tries is 21, must be 1 to 20"},
		{small + "face: {model: bigger}", `face: there is no model "bigger"; choose from: big, little`},
		{small + "face: {policy: x}", "face: model is missing; choose from: big, little"},
		{small + "face: {model: big, fallback: [x]}", `face: there is no model "x"`},
		{small + "face: {model: big, retries: 99}", "face: retries is 99, must be 0 to 20"},
		{small + "face: {model: big, hide: ['(']}", "face: hide: error parsing regexp"},
		{small + "face: {model: big, timeout: 5}", "5 is no duration"},
		{small + "face: {model: big, timeout: -5s}", "is negative"},
		{small + "paraphraser: {}", "paraphraser: give either rule or model"},
		{small + "paraphraser: {rule: poetry}", "must be prose"},
		{small + "paraphraser: {model: big, per: word}", "must be step or whole"},
		{strings.Replace(small, "reasoner: {model: big}", "reasoner: {model: big, temperature: 3}", 1), "temperature is 3, must be 0 to 2"},
		{strings.Replace(small, "local: honest", "local: honest, base_url: x", 1), "models.little: give either base_url"},
		{strings.Replace(small, "local: honest", "local: honest, evidence: x", 1), "evidence and policy belong together"},
		{monitor("kind: magic"), `kind is "magic", must be one of rules, judge`},
		{monitor("kind: judge, policy: x, threshold: .5"), "a judge needs a model"},
		{monitor("kind: judge, model: big, threshold: .5"), "a judge needs policy or policy_file"},
		{monitor("kind: rules, rules: a, threshold: .5, sees: all"), `sees is "all", must be one of private, shown, output`},
		{monitor("kind: rules, rules: a"), "give either threshold or calibration"},
		{monitor("kind: rules, rules: a, threshold: 2"), "threshold is 2, must be 0 to 1"},
		{monitor("kind: rules, threshold: .5"), "needs a file"},
		{monitor("kind: rules, rules: a, samples: b, threshold: .5"), "reads no such file"},
		{monitor("kind: rules, rules: a, model: big, threshold: .5"), "asks no model"},
		{monitor("kind: rules, rules: a, threshold: .5, on_block: resample"), "tries is 1: set it to 2 or more"},
		{monitor("kind: rules, rules: a, threshold: .5, on_block: defer"), "there is no trusted model"},
		{monitor("kind: rules, rules: a, threshold: .5, on_error: release"), "must be one of resample, defer, hold, block"},
		{small + "agent: {mcp: [{name: a, url: b}], reviewer: {model: big}}", "an agent without bounds is not run"},
		{small + "agent: {reviewer: {model: big}}", "there is no server of tools"},
		{small + "agent: {mcp: [{name: a}], reviewer: {model: big}, steps: 1, calls: 1, tokens: 1, time: 1s}", "give a name, and either command or url"},
		{strings.Repeat("# much\n", 200000), "longer than"},
	} {
		if _, err := Parse(strings.NewReader(tc.text)); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%.300s\ngave %v, want an error with %q", tc.text, err, tc.want)
		}
	}
}

// The configurations of the documentation can be read.
func TestExamples(t *testing.T) {
	for _, file := range []string{"../../docs/examples/candor.yaml", "../../docs/examples/compose/candor.yaml"} {
		f, err := os.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Parse(f); err != nil {
			t.Errorf("%s: %v", file, err)
		}
		f.Close()
	}
}

func FuzzParse(f *testing.F) {
	f.Add(small)
	f.Add(small + "agent: {mcp: [{name: a, url: b}], reviewer: {model: big}, steps: 1, calls: 1, tokens: 1, time: 1s}")
	f.Add("models: &a\n  b: *a")
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 4096 {
			return
		}
		c, err := Parse(strings.NewReader(text))
		if err == nil && (len(c.Models) == 0 || c.Models[c.Reasoner.Model].check() != nil || c.Tries < 1 || c.Name == "") {
			t.Errorf("%q was taken: %+v", text, c)
		}
	})
}
