package claim

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the golden file")

// The register may not change unseen: whoever moves a bound has to move it here too, where a reviewer reads it.
func TestRegisterIsAsItWasFixed(t *testing.T) {
	var b strings.Builder
	for _, c := range Register() {
		fmt.Fprintf(&b, "%s (argued by: %s)\n  %s\n  statistic: %s\n  source: %s\n  rule: %s\n", c.ID, c.Argues, c.Statement, c.Statistic, c.Source, c.Rule())
		for _, test := range c.Tests {
			fmt.Fprintf(&b, "  - %s [%s]\n", test.Name, test.Unit)
		}
	}
	const golden = "testdata/register.txt"
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(golden, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), b.String()); diff != "" {
		t.Errorf("the register has changed (go test ./study/claim -update writes the new one):\n%s", diff)
	}
}

func TestRegisterIsWhole(t *testing.T) {
	ids := map[string]bool{}
	control := false
	for _, c := range Register() {
		if ids[c.ID] || !regexp.MustCompile(`^[a-z]+(-[a-z]+)*$`).MatchString(c.ID) {
			t.Errorf("the id %q is there twice, or is no id", c.ID)
		}
		ids[c.ID] = true
		if c.Statement == "" || c.Statistic == "" || c.Source == "" || !slices.Contains([]string{"author", "respondents", "both"}, c.Argues) {
			t.Errorf("%s: a part is missing: %+v", c.ID, c)
		}
		if control = control || c.Control; control != c.Control || c.Control != strings.HasPrefix(c.ID, "control-") {
			t.Errorf("%s: controls stand behind the claims and are called so", c.ID)
		}
		names := map[string]bool{}
		for i, test := range c.Tests {
			if names[test.Name] || test.Name == "" || test.Unit == "" || test.Estimate == nil {
				t.Errorf("%s: the test %q is there twice, or not whole", c.ID, test.Name)
			}
			names[test.Name] = true
			if i == 0 && test.Side == Shown {
				t.Errorf("%s: its headline decides nothing", c.ID)
			}
			if minus := strings.Contains(test.Name, " minus "); minus != strings.HasPrefix(test.Unit, "difference of ") && !strings.HasPrefix(test.Name, "KL ") {
				t.Errorf("%s: %q is in %q", c.ID, test.Name, test.Unit)
			}
		}
	}
}

// One study must make all samples that a claim reads: a renamed arm would leave it undecided.
func TestStudiesHaveWhatTheRegisterReads(t *testing.T) {
	studies := map[string]map[Select]bool{}
	for _, name := range []string{"default", "honesty"} {
		studies[name] = samplesOf(t, name)
	}
	read, of := 0, map[string]int{}
	for _, c := range Register() {
		table := NewTable(nil)
		c.decide(table)
		best, lacks := "", []Select{}
		for name, made := range studies {
			var missing []Select
			for s := range table.asked {
				if !made[s] {
					missing = append(missing, s)
				}
			}
			if best == "" || len(missing) < len(lacks) {
				best, lacks = name, missing
			}
		}
		for _, s := range lacks {
			t.Errorf("%s reads %s, which the study %s does not make", c.ID, s, best)
		}
		read += len(table.asked)
		of[best]++
	}
	if of["default"] < 10 || of["honesty"] != 12 {
		t.Errorf("claims by study: %v", of)
	}
	if read < 100 {
		t.Errorf("only %d selections were looked at", read)
	}
}

// samplesOf lists the selections that a built-in study makes.
func samplesOf(t *testing.T, name string) map[Select]bool {
	data, err := os.ReadFile("../experiment/specs/" + name + ".yaml")
	if err != nil {
		t.Fatal(err)
	}
	var study struct {
		Arms []struct {
			Name   string
			Stages []map[string]map[string]any
		}
	}
	if err := yaml.Unmarshal(data, &study); err != nil {
		t.Fatal(err)
	}
	made := map[Select]bool{}
	for _, arm := range study.Arms {
		for _, stage := range arm.Stages {
			if stage["choice"] != nil {
				made[Select{arm.Name, "choice", "test", "none"}] = true
			}
			if p := stage["probe"]; p != nil {
				for _, edit := range []string{"none", "flip-key"} {
					made[Select{arm.Name, fmt.Sprint(p["name"]), fmt.Sprint(p["split"]), edit}] = true
				}
			}
			if b := stage["battery"]; b != nil {
				made[Select{arm.Name, fmt.Sprint(b["name"]), "test", "none"}] = true
			}
			e := stage["eval"]
			if e == nil {
				continue
			}
			split := fmt.Sprint(e["split"])
			if set := fmt.Sprint(e["problems"]); set != "core" {
				split = set
			}
			edits := []any{"none"}
			if more, ok := e["interventions"].([]any); ok {
				edits = append(edits, more...)
			}
			if e["white_box"] == true {
				edits = append(edits, "block/answer-to-chain", "block/answer-to-prompt")
			}
			for _, edit := range edits {
				made[Select{arm.Name, fmt.Sprint(e["name"]), split, fmt.Sprint(edit)}] = true
			}
		}
	}
	return made
}

// The claims read all batteries: none of them is for nothing.
func TestEveryBatteryIsRead(t *testing.T) {
	arms, err := Arms([]string{"calibration"})
	if err != nil {
		t.Fatal(err)
	}
	var made []string
	for s := range samplesOf(t, "honesty") {
		if s.Eval == "battery" {
			made = append(made, s.Arm)
		}
	}
	slices.Sort(made)
	if diff := cmp.Diff(arms, made); diff != "" || slices.Contains(made, "reader") {
		t.Errorf("the arms that are read, and those with a battery:\n%s", diff)
	}
	for id, n := range map[string]int{"calibration-single": len(arms), "control-calibration-honest": len(Faithful) + 2} {
		if read, err := Arms([]string{id}); err != nil || len(read) != n {
			t.Errorf("%s reads %d arms (%v), want %d", id, len(read), err, n)
		}
	}
}
