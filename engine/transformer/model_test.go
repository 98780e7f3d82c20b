package transformer

import (
	"encoding/json"
	"math"
	"strings"
	"testing"

	"candor/internal/rng"

	"github.com/goccy/go-yaml"
)

func TestConfigErrorsNameTheSetting(t *testing.T) {
	for want, spoil := range map[string]func(*Config){
		"layers is 0":           func(c *Config) { c.Layers = 0 },
		"heads is -1":           func(c *Config) { c.Heads = -1 },
		"vocab is 4194305":      func(c *Config) { c.Vocab = maxVocab + 1 },
		"context is 0":          func(c *Config) { c.Context = 0 },
		"not divisible":         func(c *Config) { c.Width = 9 },
		"has 3 entries":         func(c *Config) { c.Positions = []string{None, None, None} },
		"has 0 entries":         func(c *Config) { c.Positions = nil },
		"learned, rotary, none": func(c *Config) { c.Positions = []string{"absolute"} },
		"even width":            func(c *Config) { c.Width, c.Positions = 6, []string{Rotary} },
		"parameters":            func(c *Config) { c.Width, c.Layers = 1<<16, 1<<10 },
	} {
		cfg := Config{Layers: 1, Heads: 2, Width: 8, Context: 4, Vocab: 5, Positions: []string{Learned}}
		spoil(&cfg)
		if _, err := New(cfg, rng.New(1)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one with %q", err, want)
		}
	}
}

// A configuration is the same after a trip through a study's YAML or a checkpoint's JSON.
func TestConfigRoundTrip(t *testing.T) {
	want := Config{Layers: 3, Heads: 2, Width: 8, Context: 4, Vocab: 5, Positions: []string{Rotary, None}, TokenShift: true, Tied: true}
	for name, trip := range map[string]func(*Config) error{
		"json": func(c *Config) error {
			text, err := json.Marshal(want)
			if err != nil {
				return err
			}
			return json.Unmarshal(text, c)
		},
		"yaml": func(c *Config) error {
			text, err := yaml.Marshal(want)
			if err != nil {
				return err
			}
			return yaml.UnmarshalWithOptions(text, c, yaml.Strict())
		},
	} {
		var got Config
		if err := trip(&got); err != nil {
			t.Fatal(err)
		}
		if a, b := got.HeadPositions(), want.HeadPositions(); got.Width != want.Width || !got.TokenShift || !got.Tied ||
			got.Layers != 3 || strings.Join(a, " ") != strings.Join(b, " ") {
			t.Errorf("%s: %+v came back as %+v", name, want, got)
		}
	}
}

// Names and shapes are those of GPT-2's checkpoints where the model is a GPT-2, and they tile Flat.
func TestTensorsTileFlat(t *testing.T) {
	for name, cfg := range kinds {
		m := loud(t, cfg, 1)
		at, decayed := 0, 0
		for _, tn := range m.Tensors() {
			if &tn.Data[0] != &m.Flat()[at] {
				t.Fatalf("%s: %s is not where Flat has it", name, tn.Name)
			}
			size := 1
			for _, d := range tn.Shape {
				size *= d
			}
			if size != len(tn.Data) {
				t.Errorf("%s: %s of shape %v has %d numbers", name, tn.Name, tn.Shape, len(tn.Data))
			}
			at += size
			if len(tn.Shape) == 2 {
				decayed += size
			}
		}
		if at != len(m.Flat()) || at != cfg.Parameters() {
			t.Errorf("%s: tensors have %d numbers, Flat has %d, Parameters is %d", name, at, len(m.Flat()), cfg.Parameters())
		}
		last := -1
		for _, r := range m.Decayed() {
			if r[0] <= last {
				t.Errorf("%s: decayed range %v begins before %d", name, r, last+1)
			}
			last = r[1]
			decayed -= r[1] - r[0]
		}
		if decayed != 0 {
			t.Errorf("%s: decayed ranges miss %d numbers of matrices", name, decayed)
		}
	}
	gpt2 := Config{Layers: 12, Heads: 12, Width: 768, Context: 1024, Vocab: 50257, Positions: []string{Learned}, Tied: true}
	if n := gpt2.Parameters(); n != 124_439_808 {
		t.Errorf("GPT-2 has %d parameters, want 124439808", n)
	}
}

func TestInit(t *testing.T) {
	cfg := Config{Layers: 2, Heads: 4, Width: 64, Context: 32, Vocab: 100, Positions: []string{Learned}}
	m, err := New(cfg, rng.New(1))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]float64{
		"wte.weight": .125, "wpe.weight": .125, "lm_head.weight": .125, "h.0.attn.c_attn.weight": .125,
		"h.1.attn.c_proj.weight": .125 / 2, "h.0.mlp.c_fc.weight": .125, "h.1.mlp.c_proj.weight": .0625 / 2,
		"h.0.ln_1.weight": 1, "ln_f.weight": 1, "ln_f.bias": 0, "h.1.mlp.c_fc.bias": 0,
	}
	for _, tn := range m.Tensors() {
		var sq float64
		for _, x := range tn.Data {
			sq += float64(x) * float64(x)
		}
		got := math.Sqrt(sq / float64(len(tn.Data)))
		if w, ok := want[tn.Name]; ok && math.Abs(got-w) > .05*w {
			t.Errorf("%s has root mean square %g, want %g", tn.Name, got, w)
		}
		delete(want, tn.Name)
	}
	if len(want) > 0 {
		t.Errorf("no tensors %v", want)
	}
	other, err := New(cfg, rng.New(1))
	if err != nil {
		t.Fatal(err)
	}
	for i, x := range other.Flat() {
		if x != m.Flat()[i] {
			t.Fatal("the same stream gave other weights")
		}
	}
}

func TestCloneSharesNothing(t *testing.T) {
	m := loud(t, kinds["mixed"], 1)
	c := m.Clone()
	for i := range m.Flat() {
		if c.Flat()[i] != m.Flat()[i] {
			t.Fatal("a clone has other weights")
		}
	}
	before := m.Weights.Layers[1].FC[3]
	c.Weights.Layers[1].FC[3]++
	if m.Weights.Layers[1].FC[3] != before {
		t.Error("writing to a clone changed the model")
	}
}
