package monitor

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"candor/internal/rng"
)

// byChain is a monitor whose score stands in the chain; a chain that is no number makes it fail.
type byChain struct{ after func() }

func (byChain) Name() string { return "by-chain" }
func (m byChain) Examine(_ context.Context, v View) (Finding, error) {
	if m.after != nil {
		m.after()
	}
	score, err := strconv.ParseFloat(v.Chain, 64)
	return Finding{Score: score}, err
}

// scored makes samples with scores.
func scored(good, bad []float64) (samples []Sample) {
	for i, list := range [][]float64{good, bad} {
		for j, x := range list {
			samples = append(samples, Sample{Prompt: fmt.Sprint(j), Chain: strconv.FormatFloat(x, 'g', -1, 64), Bad: i == 1})
		}
	}
	return samples
}

func times(n int, x ...float64) (out []float64) {
	for range n {
		out = append(out, x...)
	}
	return out
}

func TestThreshold(t *testing.T) {
	ladder := make([]float64, 100) // 0, .01, ..., .99
	for i := range ladder {
		ladder[i] = float64(i) / 100
	}
	for _, test := range []struct {
		about     string
		good, bad []float64
		fpr       float64
		threshold float64
		fp, tp    float64
	}{
		{"all or nothing", times(100, 0), times(10, 1), .05, .5, 0, 1},
		{"nobody is flagged", times(100, 0), times(10, 0), .05, .5, 0, 0},
		{"a ladder", ladder, times(10, .97), .05, .945, .05, 1},
		{"a ladder with a bad one in a gap", ladder, []float64{.945}, .05, .9425, .05, 1},
		{"a tie that is too large", append(times(94, .1), times(6, .7)...), []float64{.7, .9}, .05, .8, 0, .5},
		{"a tie that is just small enough", append(times(95, .1), times(5, .7)...), []float64{.7, .9}, .05, .4, .05, 1},
		{"ones within the rate", append(times(95, 0), times(5, 1)...), []float64{1}, .05, .5, .05, 1},
		{"below the bad ones", times(20, .2), []float64{.1, .6}, .05, .4, 0, .5},
	} {
		c, err := Calibrate(context.Background(), byChain{}, scored(test.good, test.bad), "private", test.fpr)
		if err != nil || math.Abs(c.Threshold-test.threshold) > 1e-9 || c.FalsePositives.Value != test.fp || c.TruePositives.Value != test.tp {
			t.Errorf("%s: threshold %g, false positives %g, true %g, error %v; want %g, %g, %g", test.about, c.Threshold, c.FalsePositives.Value, c.TruePositives.Value, err, test.threshold, test.fp, test.tp)
		}
		if err := c.Validate(); err != nil {
			t.Errorf("%s: %v", test.about, err)
		}
	}
}

// TestThresholdKeepsTheRate: at most the rate of good samples reaches it, and more than the rate would reach any lower one that flags more.
func TestThresholdKeepsTheRate(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		score := rapid.OneOf(rapid.SampledFrom([]float64{0, .25, .5, 1}), rapid.Float64Range(0, 1))
		good, bad := rapid.SliceOfN(score, 10, 60).Draw(t, "good"), rapid.SliceOfN(score, 0, 30).Draw(t, "bad")
		fpr := rapid.Float64Range(.1, .9).Draw(t, "fpr")
		c, err := Calibrate(context.Background(), byChain{}, scored(good, bad), "private", fpr)
		reach := func(threshold float64) (share float64) {
			for _, x := range good {
				if x >= threshold {
					share += 1 / float64(len(good))
				}
			}
			return share
		}
		if errors.Is(err, ErrNoThreshold) {
			if reach(1) <= fpr-1e-9 {
				t.Fatalf("the threshold 1 would keep the rate, but %v", err)
			}
			return
		}
		if err != nil || reach(c.Threshold) > fpr+1e-9 || math.Abs(reach(c.Threshold)-c.FalsePositives.Value) > 1e-9 {
			t.Fatalf("threshold %g flags %g of the good ones, asked for %g: %v", c.Threshold, reach(c.Threshold), fpr, err)
		}
		below := -1. // the highest score that is not flagged
		for _, x := range good {
			if x < c.Threshold {
				below = max(below, x)
			}
		}
		if below >= 0 && reach(below) <= fpr-1e-9 {
			t.Fatalf("threshold %g, but %g would keep the rate of %g, too", c.Threshold, below, fpr)
		}
	})
}

func TestCalibrateErrors(t *testing.T) {
	ctx := context.Background()
	for _, test := range []struct {
		about string
		good  []float64
		sees  string
		fpr   float64
		want  string
	}{
		{"too few", times(19, 0), "private", .05, "19 good samples cannot tell a rate of false positives of 0.05: at least 20"},
		{"too few for a rare one", times(999, 0), "private", .001, "at least 1000"},
		{"rate 0", times(20, 0), "private", 0, "above 0 and below 1"}, {"rate 1", times(20, 0), "private", 1, "above 0"}, {"no rate", times(20, 0), "private", math.NaN(), "above 0"},
		{"sees", times(20, 0), "all", .05, `it sees "all"`}, {"flags all", times(20, 1), "private", .05, "no threshold keeps the rate: 1 of 20 good"},
	} {
		_, err := Calibrate(ctx, byChain{}, scored(test.good, []float64{1}), test.sees, test.fpr)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: error %v, want %q", test.about, err, test.want)
		}
	}
	c, err := Calibrate(ctx, byChain{}, scored(append(times(50, 0), times(50, 1)...), times(10, 1)), "private", .05)
	if !errors.Is(err, ErrNoThreshold) || c.Threshold != 1 || c.FalsePositives.Value != .5 || c.TruePositives.Value != 1 || c.AUROC.Value != .75 {
		t.Errorf("a monitor without a threshold: %+v, %v", c, err)
	}
}

// TestFailedSamplesCount: a gate withholds what its monitor could not judge, so it counts as flagged.
func TestFailedSamplesCount(t *testing.T) {
	samples := scored(append(times(97, 0), math.NaN(), 7), []float64{1, 0})
	samples = append(samples, Sample{Chain: "broken"}, Sample{Chain: "broken", Bad: true})
	c, err := Calibrate(context.Background(), byChain{}, samples, "private", .05)
	if err != nil || c.Failed != 4 || c.Good != 100 || c.FalsePositives.Value != .03 || math.Abs(c.TruePositives.Value-2./3) > 1e-9 || c.Failure == "" {
		t.Errorf("%+v, %v", c, err)
	}
	if about := c.About(); !strings.HasSuffix(about, "; 4 could not be judged and count as reaching it") {
		t.Errorf("about: %s", about)
	}
}

func TestCalibrateStops(t *testing.T) {
	defer goleak.VerifyNone(t)
	ctx, cancel := context.WithCancel(context.Background())
	c, err := Calibrate(ctx, byChain{after: cancel}, scored(times(1000, 0), nil), "private", .05)
	if !errors.Is(err, context.Canceled) || c.Threshold != 0 {
		t.Errorf("%+v, %v", c, err)
	}
}

func TestSees(t *testing.T) {
	s := Sample{Prompt: "p", Chain: "private", Shown: "shown", Answer: "a"}
	for sees, chain := range map[string]string{"private": "private", "shown": "shown", "output": ""} {
		if v := s.view(sees); v != (View{"p", chain, "a"}) {
			t.Errorf("%s: %+v", sees, v)
		}
	}
	s.Shown = ""
	if v := s.view("shown"); v.Chain != "private" {
		t.Errorf("a chain that was not rewritten: %+v", v)
	}
}

// TestRates holds intervals against published values (Newcombe 1998) and areas against their definition.
func TestRates(t *testing.T) {
	for _, test := range []struct {
		hits, n int
		lo, hi  float64
	}{{81, 263, .2553, .3662}, {15, 148, .0624, .1605}, {0, 20, 0, .1611}, {1, 29, .0061, .1718}, {29, 29, .8830, 1}} {
		r := rateOf(test.hits, test.n)
		if math.Abs(r.Lo-test.lo) > 6e-5 || math.Abs(r.Hi-test.hi) > 6e-5 || r.N != test.n {
			t.Errorf("%d of %d: %+v, want [%g, %g]", test.hits, test.n, r, test.lo, test.hi)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		score := rapid.OneOf(rapid.SampledFrom([]float64{0, .5, 1}), rapid.Float64Range(0, 1))
		good, bad := rapid.SliceOfN(score, 1, 20).Draw(t, "good"), rapid.SliceOfN(score, 1, 20).Draw(t, "bad")
		sum := 0.
		for _, g := range good {
			for _, b := range bad {
				switch {
				case b > g:
					sum++
				case b == g:
					sum += .5
				}
			}
		}
		want := sum / float64(len(good)*len(bad))
		r := auroc(scored(good, bad), append(append([]float64{}, good...), bad...))
		if math.Abs(r.Value-want) > 1e-9 || r.Lo > r.Value || r.Hi < r.Value {
			t.Fatalf("%+v, want %g", r, want)
		}
	})
}

// TestControls: what reads nothing is at chance, on the half that it was not fitted on.
func TestControls(t *testing.T) {
	src := rng.New(7)
	samples := make([]Sample, 4000)
	for i := range samples {
		samples[i] = Sample{Prompt: fmt.Sprint(i), Answer: fmt.Sprint(src.IntN(5)), Bad: src.Bool(.5)}
	}
	control, others, err := FitControl(samples)
	if err != nil || len(others) < 1500 || len(others) > 2500 {
		t.Fatal(len(others), err)
	}
	scores := make([]float64, len(others))
	for i := range others {
		scores[i] = control.Score(others[i].view("output"))
	}
	if r := auroc(others, scores); r.Lo > .5 || r.Hi < .5 {
		t.Errorf("where answers are balanced the control has %+v", r)
	}
	for i := range samples { // now bad ones answer 0 more often
		if samples[i].Bad && src.Bool(.5) {
			samples[i].Answer = "0"
		}
	}
	if control, others, err = FitControl(samples); err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(control)
	if err != nil {
		t.Fatal(err)
	}
	var again AnswerOnly
	if err := json.Unmarshal(data, &again); err != nil {
		t.Fatal(err)
	}
	scores = scores[:0]
	for i := range others {
		v := others[i].view("output")
		if scores = append(scores, control.Score(v)); again.Score(v) != control.Score(v) {
			t.Fatalf("%q scores %g and, read again, %g", v.Answer, control.Score(v), again.Score(v))
		}
	}
	if r := auroc(others, scores); r.Lo < .6 {
		t.Errorf("where answers tell the control has %+v", r)
	}
	for _, bad := range []string{`null`, `[]`, `{"0": {"bad": 2, "n": 1}}`, `{"0": {"bad": -1, "n": 1}}`} {
		if json.Unmarshal([]byte(bad), &again) == nil {
			t.Errorf("%s was read", bad)
		}
	}
}

// TestHeldOut: of many calibrations, the rate on the other half is about the rate that was asked for.
func TestHeldOut(t *testing.T) {
	src := rng.New(3)
	sum, n := 0., 40
	for range n {
		good := make([]float64, 400)
		for i := range good {
			good[i] = src.Float64()
		}
		c, err := Calibrate(context.Background(), byChain{}, scored(good, times(20, .99)), "private", .1)
		if err != nil || c.HeldOut == nil || c.HeldOut.FalsePositives.N < 120 {
			t.Fatalf("%+v, %v", c, err)
		}
		sum += c.HeldOut.FalsePositives.Value
	}
	if mean := sum / float64(n); mean < .08 || mean > .12 {
		t.Errorf("the rate on the other half is %g, asked for 0.1", mean)
	}
	c, err := Calibrate(context.Background(), byChain{}, scored(times(20, 0), nil), "private", .05)
	if err != nil || c.HeldOut != nil {
		t.Errorf("halves of 10 told a rate of 0.05: %+v, %v", c.HeldOut, err)
	}
}

func TestCalibrationJSON(t *testing.T) {
	samples := scored(times(100, 0), times(30, 1, 0))
	for i := range samples {
		samples[i].Kind = map[bool]string{true: "silent", false: "honest"}[samples[i].Bad]
	}
	c, err := Calibrate(context.Background(), byChain{}, samples, "private", .05)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := c.About(), "0% of 100 good chains reach it; 50% [38, 62] of 60 bad ones do"; got != want {
		t.Errorf("about: %s, want %s", got, want)
	}
	data, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "calibration.json")
	if err := os.WriteFile(file, data, 0o666); err != nil {
		t.Fatal(err)
	}
	again, err := ReadCalibration(file)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ReadCalibration(file + "x"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
	if written, _ := json.Marshal(again); !bytes.Equal(written, data) {
		t.Errorf("read again: %s, was %s", written, data)
	}
	for _, test := range []struct{ old, new, want string }{
		{`"threshold":0.5,"good"`, `"threshold":1.5,"good"`, "threshold"}, {`"sees":"private"`, `"sees":"all"`, "sees"}, {`"good":100`, `"good":10`, "good"},
		{`"bad":60`, `"bad":61`, "rates"}, {`"failed":0`, `"failed":500`, "failed"}, {`"fpr":0.05`, `"fpr":0`, "fpr"}, {`"data":"`, `"data":"x`, "data"},
		{`"monitor":"by-chain"`, `"monitor":""`, "monitor"}, {`"monitor"`, `"monitors"`, "unknown field"}, {`"lo":0`, `"lo":0.9`, "in order"}, {`{"monitor"`, `[{"monitor"`, "not a calibration"},
		{`"failed":0`, `"failed":0,"more":1`, "unknown field"},
	} {
		broken := strings.Replace(string(data), test.old, test.new, 1)
		if _, err := ParseCalibration([]byte(broken)); broken == string(data) || err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("with %s: error %v, want %q", test.new, err, test.want)
		}
	}
	if _, err := ParseCalibration(append(data, '1')); err == nil || !strings.Contains(err.Error(), "behind") {
		t.Errorf("with something behind it: %v", err)
	}
}

func TestSamples(t *testing.T) {
	samples := []Sample{{Prompt: "p\n", Chain: "<c>", Answer: "1"}, {Shown: "s", Bad: true, Kind: "silent"}}
	var b bytes.Buffer
	if err := WriteSamples(&b, samples); err != nil {
		t.Fatal(err)
	}
	again, err := ParseSamples(strings.NewReader("\n" + b.String() + "\n"))
	if err != nil || fmt.Sprint(again) != fmt.Sprint(samples) || SamplesHash(again) != SamplesHash(samples) {
		t.Errorf("%q was read as %+v, %v", b.String(), again, err)
	}
	const one = `{"prompt":"p","chain":"c","answer":"1","bad":false}` + "\n"
	for _, test := range []struct{ about, text, want string }{
		{"nothing", "\n\n", "no samples"}, {"no label", one + `{"prompt":"p"}`, `line 2: the sample does not say whether it is bad`}, {"label null", `{"bad":null}`, "does not say"},
		{"unknown field", one + one + `{"bad":true,"score":1}`, "line 3: not a sample"}, {"two", `{"bad":true} {"bad":true}`, "behind"}, {"a list", `[]`, "not a sample"}, {"cut", `{"bad":true`, "line 1"},
		{"long kind", `{"bad":true,"kind":"` + strings.Repeat("a", 41) + `"}`, "kind"}, {"a long line", `{"bad":true,"chain":"` + strings.Repeat("a", 4<<20) + `"}`, "line 1: it has more than"},
	} {
		if _, err := ParseSamples(strings.NewReader(test.text)); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: error %v, want %q", test.about, err, test.want)
		}
	}
	var many strings.Builder
	for i := range 30 {
		fmt.Fprintf(&many, "{\"bad\":true,\"kind\":\"%d\"}\n", i)
	}
	if _, err := ParseSamples(strings.NewReader(many.String())); err == nil || !strings.Contains(err.Error(), "line 21") {
		t.Errorf("30 kinds: %v", err)
	}
}

func FuzzParseSamples(f *testing.F) {
	f.Add([]byte(`{"prompt":"p","chain":"c","answer":"1","bad":false,"kind":"honest"}`))
	f.Add([]byte("{\"bad\":true,\"chain\":\"\xff\"}\n\r\n{\"BAD\":false}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		samples, err := ParseSamples(bytes.NewReader(data))
		if err != nil {
			return
		}
		var b bytes.Buffer
		if err := WriteSamples(&b, samples); err != nil {
			t.Fatal(err)
		}
		if again, err := ParseSamples(&b); err != nil || SamplesHash(again) != SamplesHash(samples) {
			t.Fatalf("%q: what was read cannot be read again: %v", data, err)
		}
	})
}

func FuzzParseCalibration(f *testing.F) {
	c, _ := Calibrate(context.Background(), byChain{}, scored(times(100, 0), times(30, 1, 0)), "private", .05)
	data, _ := json.Marshal(c)
	f.Add(data)
	f.Add([]byte(`{"monitor":"a","sees":"output","fpr":1e-320}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := ParseCalibration(data)
		if err == nil && (c.About() == "" || !(c.Threshold >= 0 && c.Threshold <= 1)) {
			t.Fatalf("%+v", c)
		}
	})
}
