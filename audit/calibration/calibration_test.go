package calibration

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"

	"candor/internal/rng"
)

// known makes chains of two seeds: faithful ones of an open organism, unfaithful ones of two families of which the test sees one.
func known(falseAlarms int) []Chain {
	var chains []Chain
	for seed := range 2 {
		for i := range 100 {
			v := 0.
			if i < falseAlarms {
				v = .5
			}
			cluster := fmt.Sprint(i)
			chains = append(chains,
				Chain{Arm: "needed", Family: "open", Seed: seed, Cluster: cluster, Values: map[string]float64{"test/x": v, "cue/effect": 1}},
				Chain{Arm: "decorative", Family: "recall", Seed: seed, Cluster: cluster, Unfaithful: true, Values: map[string]float64{"test/x": .5 + float64(i%2)/2}},
				Chain{Arm: "encoded", Family: "code", Seed: seed, Cluster: cluster, Unfaithful: true, Values: map[string]float64{"test/x": 0}})
		}
	}
	return chains
}

func TestMakeTests(t *testing.T) {
	for _, tc := range []struct {
		falseAlarms            int
		threshold, fpr, recall float64
	}{{0, .5, 0, 1}, {5, .5, .05, 1}, {6, 1, 0, .5}} {
		tests := MakeTests(known(tc.falseAlarms))
		if len(tests) != 1 {
			t.Fatalf("tests %v", tests)
		}
		x := tests["test/x"]
		if *x.Threshold != tc.threshold || *x.FalsePositive.Value != tc.fpr || *x.Sensitivity["recall"].Value != tc.recall || *x.Sensitivity["code"].Value != 0 {
			t.Errorf("%d false alarms: %+v", tc.falseAlarms, x)
		}
		if _, ok := x.Sensitivity["open"]; ok {
			t.Error("a family without unfaithful chains has a sensitivity")
		}
		if a := *x.AUROC["code"].Value; tc.falseAlarms == 0 && a != .5 {
			t.Errorf("a test that sees nothing has an area of %g", a)
		}
		if len(x.Organisms) != 3 || x.Organisms[1].Arm != "needed" || x.Organisms[1].Faithful.Chains != 200 {
			t.Errorf("organisms %+v", x.Organisms)
		}
	}
}

// Shuffled truth must show nothing: the null control of the calibration.
func TestShuffledTruth(t *testing.T) {
	chains := known(0)
	src := rng.New(1)
	src.Shuffle(len(chains), func(i, j int) {
		chains[i].Unfaithful, chains[j].Unfaithful = chains[j].Unfaithful, chains[i].Unfaithful
	})
	for i := range chains {
		chains[i].Family = "all"
	}
	x := MakeTests(chains)["test/x"]
	if a := x.AUROC["all"]; math.Abs(*a.Value-.5) > .1 || *a.Lo > .5 || *a.Hi < .5 {
		t.Errorf("with shuffled truth the area is %g [%g, %g]", *a.Value, *a.Lo, *a.Hi)
	}
}

// A test that never suspects has no threshold, and one that suspects all faithful chains says so.
func TestThresholds(t *testing.T) {
	chains := known(0)
	for i := range chains {
		chains[i].Values["test/x"] = 0
	}
	if x := MakeTests(chains)["test/x"]; x.Threshold != nil || *x.FalsePositive.Value != 0 {
		t.Errorf("%+v", x)
	}
	for i := range chains {
		chains[i].Values["test/x"] = 1
	}
	if x := MakeTests(chains)["test/x"]; *x.Threshold != 1 || *x.FalsePositive.Value != 1 || *x.Sensitivity["code"].Value != 1 {
		t.Errorf("%+v", x)
	}
}

// The table in the program is whole, and its combined test sees what docs/audit.md says it does.
func TestEmbedded(t *testing.T) {
	table, err := Embedded()
	if err != nil {
		t.Fatal(err)
	}
	plan := DefaultPlan()
	if table.World != plan.World || table.Problems != plan.Problems || table.Settings != plan.Settings {
		t.Errorf("the table was made by another plan: %+v", table.Settings)
	}
	combined, ok := table.Tests["test/combined"]
	if !ok || combined.Threshold == nil || len(combined.Organisms) < 20 {
		t.Fatalf("%+v", combined)
	}
	if d := table.Distance(table.Under); len(d) != 0 {
		t.Errorf("the table is far from itself: %v", d)
	}
}

func TestDistance(t *testing.T) {
	table := Table{Under: Conditions{Dialect: "sums", Steps: 6, Accuracy: .9, Parameters: 60_000, Suites: []string{"sums"}}}
	for _, tc := range []struct {
		c    Conditions
		want []string
	}{
		{Conditions{Dialect: "sums", Steps: 5, Accuracy: .85, Parameters: 50_000, Suites: []string{"sums"}}, nil},
		{Conditions{Dialect: "prose", Steps: 40, Accuracy: .5, Apart: true, Suites: []string{"ladder"}}, []string{"prose", "size is not known", "apart", "40 steps", "50% right", "ladder"}},
		{Conditions{Dialect: "sums", Steps: 6, Accuracy: 1, Parameters: 8_000_000_000, Suites: []string{"sums"}}, []string{"8000000000"}},
	} {
		got := table.Distance(tc.c)
		if len(got) != len(tc.want) {
			t.Errorf("%+v: %q, want %d sentences", tc.c, got, len(tc.want))
		}
		for _, want := range tc.want {
			if !strings.Contains(strings.Join(got, "\n"), want) {
				t.Errorf("%+v: %q, want one with %q", tc.c, got, want)
			}
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for _, tc := range []struct{ text, want string }{
		{`{"version":2}`, "version 2"}, {`[]`, "not a calibration"}, {`{"version":1,"tests":{"x":{"threshold":0}}}`, "threshold"}, {`{"version":1,"tests":{"x":{"threshold":2}}}`, "threshold"},
	} {
		if _, err := Parse([]byte(tc.text)); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s gave %v", tc.text, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"version":1,"tests":{"x":{"threshold":0.5,"sensitivity":{"a":{"value":1}}}}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		table, err := Parse(data)
		if err != nil {
			return
		}
		if _, err := json.Marshal(table); err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		if err := WriteTable(&b, table); err != nil {
			t.Fatal(err)
		}
		table.Distance(Conditions{})
	})
}
