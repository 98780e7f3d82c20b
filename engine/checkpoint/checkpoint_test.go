package checkpoint

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"candor/engine/tokenizer"
	"candor/engine/transformer"
	"candor/internal/rng"
)

var update = flag.Bool("update", false, "rewrite golden files")

// configs are one of each kind of model.
var configs = map[string]transformer.Config{
	"gpt2":         {Layers: 2, Heads: 2, Width: 8, Context: 6, Vocab: 5, Positions: []string{"learned"}, Tied: true},
	"gpt2-untied":  {Layers: 1, Heads: 2, Width: 8, Context: 6, Vocab: 5, Positions: []string{"learned", "learned"}},
	"rotary-shift": {Layers: 1, Heads: 2, Width: 8, Context: 6, Vocab: 5, Positions: []string{"rotary", "none"}, TokenShift: true},
	"mixed":        {Layers: 1, Heads: 2, Width: 8, Context: 6, Vocab: 5, Positions: []string{"learned", "none"}, Tied: true},
}

func words(t testing.TB) *tokenizer.Tokenizer {
	t.Helper()
	tok, err := tokenizer.New([]string{"a", "b", "c", "d"}, tokenizer.End)
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

func newCheckpoint(t testing.TB, cfg transformer.Config, seed uint64) Checkpoint {
	t.Helper()
	m, err := transformer.New(cfg, rng.New(seed))
	if err != nil {
		t.Fatal(err)
	}
	return Checkpoint{Model: m, Tokenizer: words(t)}
}

func training(c Checkpoint) *Training {
	n := len(c.Model.Flat())
	tr := &Training{Step: 7, M: make([]float32, n), V: make([]float32, n), Extra: json.RawMessage(`{"loss":"<1>","seen":[1,2]}`)}
	for i := range n {
		tr.M[i], tr.V[i] = float32(i)-3, float32(i)/7
	}
	return tr
}

func save(t testing.TB, dir string, c Checkpoint) {
	t.Helper()
	if err := Save(dir, c); err != nil {
		t.Fatal(err)
	}
}

// files returns what lies in a folder.
func files(t testing.TB, dir string) fstest.MapFS {
	t.Helper()
	out := fstest.MapFS{}
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		data, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		out[e.Name()] = &fstest.MapFile{Data: data}
	}
	return out
}

func TestRoundTrip(t *testing.T) {
	for name, cfg := range configs {
		for _, train := range []bool{false, true} {
			dir := filepath.Join(t.TempDir(), "model")
			c := newCheckpoint(t, cfg, 1)
			if train {
				c.Training = training(c)
			}
			save(t, dir, c)
			got, err := Load(dir)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			want := cfg
			if cfg.EmbedsPositions() {
				want.Positions = []string{"learned"}
			}
			if d := cmp.Diff(want, got.Model.Config); d != "" {
				t.Errorf("%s: config -want +got\n%s", name, d)
			}
			if !slices.Equal(c.Model.Flat(), got.Model.Flat()) {
				t.Errorf("%s: weights changed", name)
			}
			if d := cmp.Diff(c.Tokenizer.Words(), got.Tokenizer.Words()); d != "" {
				t.Errorf("%s: words %s", name, d)
			}
			if d := cmp.Diff(c.Training, got.Training); d != "" {
				t.Errorf("%s: training state -want +got\n%s", name, d)
			}
		}
	}
}

func TestSameBytes(t *testing.T) {
	c := newCheckpoint(t, configs["mixed"], 1)
	c.Training = training(c)
	a, b := filepath.Join(t.TempDir(), "a"), filepath.Join(t.TempDir(), "b")
	save(t, a, c)
	save(t, b, c)
	if d := cmp.Diff(files(t, a), files(t, b)); d != "" {
		t.Errorf("the same checkpoint gave two contents: %s", d)
	}
	for name, f := range files(t, a) {
		if strings.HasSuffix(name, ".safetensors") && (f.Data[0]%8 != 0 || f.Data[8] != '{') {
			t.Errorf("%s: the header is not padded to 8 bytes", name)
		}
	}
}

// The JSON that Hugging Face's tools read, and the names and shapes under which they look for weights.
func TestGolden(t *testing.T) {
	for name, cfg := range configs {
		dir := filepath.Join(t.TempDir(), "model")
		save(t, dir, newCheckpoint(t, cfg, 1))
		fsys := files(t, dir)
		weights := fsys[modelFile].Data
		header := weights[8 : 8+int(weights[0])+256*int(weights[1])]
		var got bytes.Buffer
		got.Write(fsys[configName].Data)
		got.Write(bytes.ReplaceAll(bytes.TrimSpace(header), []byte(`},`), []byte("},\n")))
		got.WriteByte('\n')
		path := filepath.Join("testdata", name+".txt")
		if *update {
			if err := os.WriteFile(path, got.Bytes(), 0o666); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(string(want), got.String()); d != "" {
			t.Errorf("%s -want +got\n%s", name, d)
		}
	}
}

// Files of the original GPT-2 have bare names and constant masks.
func TestBareNamesAndMasks(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "model")
	c := newCheckpoint(t, configs["gpt2"], 1)
	save(t, dir, c)
	tensors := []tensor{{"h.0.attn.bias", []int{1, 1, 6, 6}, make([]float32, 36)}}
	for _, x := range c.Model.Tensors() {
		tensors = append(tensors, tensor{x.Name, x.Shape, x.Data})
	}
	fsys := files(t, dir)
	fsys[modelFile] = &fstest.MapFile{Data: encode(t, tensors)}
	got, err := LoadFS(fsys)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(c.Model.Flat(), got.Model.Flat()) {
		t.Error("weights changed")
	}
}

func encode(t testing.TB, tensors []tensor) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := writeTensors(&b, tensors); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// A writer may be killed between any two of its steps; Load must always find a whole checkpoint.
func TestKilledWriter(t *testing.T) {
	first, second := newCheckpoint(t, configs["gpt2"], 1), newCheckpoint(t, configs["gpt2"], 2)
	for name, kill := range map[string]func(dir string){
		"while writing": func(dir string) {
			save(t, dir+newSuffix, second)
			os.Truncate(filepath.Join(dir+newSuffix, modelFile), 100)
		},
		"before the first rename":   func(dir string) { save(t, dir+newSuffix, second) },
		"while removing a leavings": func(dir string) { os.Mkdir(dir+oldSuffix, 0o777); save(t, dir+newSuffix, second) },
		"between the renames": func(dir string) {
			save(t, dir+newSuffix, second)
			os.Rename(dir, dir+oldSuffix)
		},
	} {
		dir := filepath.Join(t.TempDir(), "model")
		save(t, dir, first)
		kill(dir)
		got, err := Load(dir)
		if err != nil {
			t.Fatalf("killed %s: %v", name, err)
		}
		if !slices.Equal(got.Model.Flat(), first.Model.Flat()) {
			t.Errorf("killed %s: the old checkpoint is gone", name)
		}
		save(t, dir, second)
		if got, err = Load(dir); err != nil || !slices.Equal(got.Model.Flat(), second.Model.Flat()) {
			t.Errorf("killed %s: saving again did not put the new one in place (%v)", name, err)
		}
		if left, _ := filepath.Glob(dir + ".*"); len(left) > 0 {
			t.Errorf("killed %s: %v are left over", name, left)
		}
	}
}

// A write that fails, as on a full disk, leaves the old checkpoint and no rubbish.
func TestFailedWrite(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "model")
	save(t, dir, newCheckpoint(t, configs["gpt2"], 1))
	before := files(t, dir)
	err := replaceFolder(dir, func(w folder) error {
		if err := w.write("a", bytesOf([]byte("x"))); err != nil {
			return err
		}
		return w.write("b", func(io.Writer) error { return syscall.ENOSPC })
	})
	if !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("error %v", err)
	}
	if d := cmp.Diff(before, files(t, dir)); d != "" {
		t.Error("the old checkpoint changed: " + d)
	}
	if left, _ := filepath.Glob(dir + ".*"); len(left) > 0 {
		t.Errorf("%v are left over", left)
	}
}

func TestSaveRefuses(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "model")
	nan := newCheckpoint(t, configs["gpt2"], 1)
	nan.Model.Flat()[3] = float32(math.NaN())
	short := newCheckpoint(t, configs["gpt2"], 1)
	short.Training = &Training{M: make([]float32, 1)}
	few := newCheckpoint(t, configs["gpt2"], 1)
	few.Tokenizer, _ = tokenizer.New([]string{"a"})
	for says, c := range map[string]Checkpoint{"finite": nan, "parameters": short, "vocabulary": few, "no model": {}} {
		if err := Save(dir, c); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("error %v, should say %q", err, says)
		}
	}
	if _, err := Load(dir); err == nil || !strings.Contains(err.Error(), "no such folder") {
		t.Errorf("something was left behind: %v", err)
	}
}

func TestLoadRefuses(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "model")
	c := newCheckpoint(t, configs["gpt2"], 1)
	c.Training = training(c)
	save(t, dir, c)
	edit := func(name, old, new string) func(fstest.MapFS) {
		return func(f fstest.MapFS) {
			if !bytes.Contains(f[name].Data, []byte(old)) {
				t.Fatalf("%s does not contain %q", name, old)
			}
			f[name].Data = bytes.Replace(f[name].Data, []byte(old), []byte(new), 1)
		}
	}
	for says, spoil := range map[string]func(fstest.MapFS){
		"config.json is missing":           func(f fstest.MapFS) { delete(f, configName) },
		"tokenizer.json is missing":        func(f fstest.MapFS) { delete(f, tokenizerName) },
		"model.safetensors is missing":     func(f fstest.MapFS) { delete(f, modelFile) },
		"optimizer.safetensors is missing": func(f fstest.MapFS) { delete(f, optimizerFile) },
		"config.json: no valid":            edit(configName, "{", "["),
		`model_type is "bert"`:             edit(configName, `"gpt2"`, `"bert"`),
		"activation_function":              edit(configName, "gelu_new", "relu"),
		"layer_norm_epsilon":               edit(configName, "0.00001", "0.1"),
		"scale_attn_weights":               edit(configName, `"scale_attn_weights": true`, `"scale_attn_weights": false`),
		"n_layer is 0":                     edit(configName, `"n_layer": 2`, `"n_layer": 0`),
		"n_layer is 2000000":               edit(configName, `"n_layer": 2`, `"n_layer": 2000000`),
		"n_inner":                          edit(configName, `"n_inner": null`, `"n_inner": 7`),
		"not divisible":                    edit(configName, `"n_head": 2`, `"n_head": 3`),
		"holds 1848 numbers, but a model":  edit(configName, `"n_layer": 2`, `"n_layer": 1000`),
		"holds 1848 numbers":               edit(configName, `"n_positions": 6`, `"n_positions": 1000000`),
		"has no place":                     edit(configName, `"n_layer": 2`, `"n_layer": 1`),
		"has shape":                        edit(configName, `"n_positions": 6`, `"n_positions": 5`),
		`tensor "lm_head.weight" of shape [5 8] is miss`: func(f fstest.MapFS) {
			edit(configName, `"tie_word_embeddings": true`, `"tie_word_embeddings": false`)(f)
			// one number too few is said first: give the file some
			tensors := []tensor{{"x.attn.bias", []int{99}, make([]float32, 99)}}
			for _, x := range c.Model.Tensors() {
				tensors = append(tensors, tensor{stored(x.Name), x.Shape, x.Data})
			}
			f[modelFile].Data = encode(t, tensors)
		},
		"vocab_size 6":              edit(configName, `"vocab_size": 5`, `"vocab_size": 6`),
		"tokenizer.json: ":          edit(tokenizerName, "WordLevel", "BPE"),
		"model.safetensors: tensor": edit(modelFile, "F32", "F16"),
		"state.json: ":              edit(stateName, "7", "[]"),
		"state.json: step is -7":    edit(stateName, "7", "-7"),
		"never negative":            func(f fstest.MapFS) { d := f[optimizerFile].Data; d[len(d)-1] |= 0x80 },
		"must be finite": func(f fstest.MapFS) {
			d := f[modelFile].Data
			copy(d[len(d)-4:], []byte{0, 0, 0xc0, 0x7f})
		},
		"truncated": func(f fstest.MapFS) { f[modelFile].Data = f[modelFile].Data[:len(f[modelFile].Data)-1] },
	} {
		fsys := files(t, dir)
		spoil(fsys)
		_, err := LoadFS(fsys)
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("error %q, should say %q", err, says)
		} else if strings.Contains(err.Error(), "\n") || len(err.Error()) > 400 {
			t.Errorf("not one sentence: %q", err)
		}
	}
	if _, err := Load(filepath.Join(dir, "nowhere")); err == nil || !strings.Contains(err.Error(), "no such folder") {
		t.Errorf("a missing folder: %v", err)
	}
}

func FuzzConfig(f *testing.F) {
	tok := words(f)
	for _, cfg := range configs {
		data, err := encodeConfig(cfg, tok)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte(`{"model_type":"candor","candor":{"positions":[]},"activation_function":"gelu_new","vocab_size":1,"n_positions":1,"n_embd":1048576,"n_layer":1024,"n_head":1}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		cfg, err := decodeConfig(data)
		if err != nil {
			return
		}
		again, err := encodeConfig(cfg, tok)
		if err != nil {
			t.Fatal(err)
		}
		back, err := decodeConfig(again)
		if err != nil {
			t.Fatalf("cannot read what it wrote: %v", err)
		}
		if cfg.EmbedsPositions() {
			cfg.Positions = back.Positions
		}
		if d := cmp.Diff(cfg, back); d != "" {
			t.Fatal(d)
		}
	})
}
