package checkpoint

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"candor/engine/tokenizer"
	"candor/engine/transformer"
)

// rotary is the shape of a GPT-NeoX.
var rotary = transformer.Config{Layers: 1, Heads: 2, Width: 12, Context: 6, Vocab: 5, Positions: []string{"rotary"}, Tied: true}

// gguf is a file as a reader finds it.
type gguf struct {
	keys    []string
	values  map[string]any
	names   []string
	tensors map[string]tensor // shapes as stored, the innermost dimension first
}

// ggufReader reads a file from front to back. It is written from the format's description, and for this test alone.
type ggufReader struct {
	data []byte
	at   int
}

func (r *ggufReader) take(n int) []byte {
	r.at += n
	return r.data[r.at-n : r.at]
}
func (r *ggufReader) u32() int     { return int(binary.LittleEndian.Uint32(r.take(4))) }
func (r *ggufReader) u64() int     { return int(binary.LittleEndian.Uint64(r.take(8))) }
func (r *ggufReader) text() string { return string(r.take(r.u64())) }

func (r *ggufReader) value(kind int) any {
	switch kind {
	case 4:
		return r.u32()
	case 5:
		return int(int32(r.u32()))
	case 6:
		return math.Float32frombits(uint32(r.u32()))
	case 7:
		return r.take(1)[0] == 1
	case 8:
		return r.text()
	case 9:
		of, n := r.u32(), r.u64()
		list := make([]any, n)
		for i := range list {
			list[i] = r.value(of)
		}
		return list
	}
	panic(fmt.Sprintf("a value of type %d", kind))
}

func readGGUF(t *testing.T, path string) gguf {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	r := &ggufReader{data: data}
	if magic, version := string(r.take(4)), r.u32(); magic != "GGUF" || version != 3 {
		t.Fatalf("it begins with %q, version %d", magic, version)
	}
	f := gguf{values: map[string]any{}, tensors: map[string]tensor{}}
	tensors, keys := r.u64(), r.u64()
	for range keys {
		key := r.text()
		if _, ok := f.values[key]; ok {
			t.Errorf("%s is there twice", key)
		}
		f.keys = append(f.keys, key)
		f.values[key] = r.value(r.u32())
	}
	offsets := map[string]int{}
	for range tensors {
		x := tensor{name: r.text()}
		size := 1
		for range r.u32() {
			x.shape = append(x.shape, r.u64())
			size *= x.shape[len(x.shape)-1]
		}
		if kind := r.u32(); kind != 0 {
			t.Errorf("%s is of type %d, want 0, which is F32", x.name, kind)
		}
		x.data, offsets[x.name] = make([]float32, size), r.u64()
		f.names = append(f.names, x.name)
		f.tensors[x.name] = x
	}
	start := (r.at + 31) / 32 * 32
	end := start
	for _, name := range f.names {
		x := f.tensors[name]
		if at := start + offsets[name]; at%32 != 0 || at < end || at >= end+32 {
			t.Errorf("%s begins at %d; the tensor before it ended at %d", name, at, end)
		} else {
			end = at + 4*len(x.data)
			for i := range x.data {
				x.data[i] = math.Float32frombits(binary.LittleEndian.Uint32(data[at+4*i:]))
			}
		}
	}
	if want := (end + 31) / 32 * 32; len(data) != want {
		t.Errorf("the file has %d bytes, want %d", len(data), want)
	}
	return f
}

func TestGGUF(t *testing.T) {
	for arch, cfg := range map[string]transformer.Config{"gpt2": configs["gpt2-untied"], "gptneox": rotary} {
		c := newCheckpoint(t, cfg, 1)
		path := filepath.Join(t.TempDir(), "model.gguf")
		if err := ExportGGUF(path, "a name", c); err != nil {
			t.Fatal(err)
		}
		f := readGGUF(t, path)
		want := map[string]any{
			"general.architecture": arch, "general.type": "model", "general.name": "a name", "general.alignment": 32, "general.file_type": 0,
			arch + ".context_length": 6, arch + ".embedding_length": cfg.Width, arch + ".feed_forward_length": 4 * cfg.Width,
			arch + ".block_count": 1, arch + ".attention.head_count": 2, arch + ".attention.layer_norm_epsilon": float32(1e-5),
			"tokenizer.ggml.model": "t5", "tokenizer.ggml.pre": "default",
			"tokenizer.ggml.tokens":       []any{"▁a", "▁b", "▁c", "▁d", "<|end|>"},
			"tokenizer.ggml.scores":       []any{float32(0), float32(0), float32(0), float32(0), float32(0)},
			"tokenizer.ggml.token_type":   []any{1, 1, 1, 1, 3},
			"tokenizer.ggml.bos_token_id": 4, "tokenizer.ggml.eos_token_id": 4,
			"tokenizer.ggml.unknown_token_id": 4, "tokenizer.ggml.padding_token_id": 4,
			"tokenizer.ggml.add_bos_token": false, "tokenizer.ggml.add_eos_token": false,
			"tokenizer.ggml.add_space_prefix": true, "tokenizer.ggml.remove_extra_whitespaces": true,
		}
		if arch == "gptneox" {
			want["gptneox.rope.dimension_count"], want["gptneox.rope.freq_base"], want["gptneox.use_parallel_residual"] = 6, float32(10000), false
		}
		if d := cmp.Diff(want, f.values); d != "" {
			t.Errorf("%s: keys -want +got\n%s", arch, d)
		}
		if f.keys[0] != "general.architecture" {
			t.Errorf("%s: the first key is %s", arch, f.keys[0])
		}
		checkGGUFTensors(t, arch, c.Model, f)
	}
}

func checkGGUFTensors(t *testing.T, arch string, m *transformer.Model, f gguf) {
	t.Helper()
	// what is matrices in GPT-2's own files is turned round; names and order are llama.cpp's
	var want []string
	for _, x := range m.Tensors() {
		name := strings.NewReplacer("wte", "token_embd", "wpe", "position_embd", "h.0.", "blk.0.", "ln_1", "attn_norm", "attn.c_attn", "attn_qkv",
			"attn.c_proj", "attn_output", "ln_2", "ffn_norm", "mlp.c_fc", "ffn_up", "mlp.c_proj", "ffn_down", "ln_f", "output_norm", "lm_head", "output").Replace(x.Name)
		want = append(want, name)
		got := f.tensors[name]
		turned := strings.HasPrefix(name, "blk") && len(x.Shape) == 2
		shape := slices.Clone(x.Shape)
		if !turned {
			slices.Reverse(shape)
		}
		if !slices.Equal(got.shape, shape) {
			t.Errorf("%s: %s has dimensions %d, want %d", arch, name, got.shape, shape)
			continue
		}
		for i, v := range x.Data {
			at := i
			if turned {
				at = i%x.Shape[1]*x.Shape[0] + i/x.Shape[1]
			}
			if got.data[at] != v {
				t.Fatalf("%s: %s has %g at place %d, want %g", arch, name, got.data[at], at, v)
			}
		}
	}
	if m.Config.Tied {
		want = append(want, "output.weight")
		if !slices.Equal(f.tensors["output.weight"].data, m.Weights.WTE) {
			t.Errorf("%s: the head is not the embedding", arch)
		}
	}
	if d := cmp.Diff(want, f.names); d != "" {
		t.Errorf("%s: tensors -want +got\n%s", arch, d)
	}
}

// The JSON and the names of a GPT-NeoX as Hugging Face's tools look for them; cmd/candor's tests compute with the weights.
func TestHuggingFaceGolden(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "model")
	if err := ExportHF(dir, newCheckpoint(t, rotary, 1)); err != nil {
		t.Fatal(err)
	}
	fsys := files(t, dir)
	weights := fsys[modelFile].Data
	header := weights[8 : 8+binary.LittleEndian.Uint64(weights)]
	got := string(fsys[configName].Data) + string(fsys[tokenizerSettingsName].Data) +
		strings.ReplaceAll(strings.TrimSpace(string(header)), "},", "},\n") + "\n"
	path := filepath.Join("testdata", "neox.txt")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
	tok := new(tokenizer.Tokenizer)
	if err := json.Unmarshal(fsys[tokenizerName].Data, tok); err != nil || tok.Size() != 5 {
		t.Errorf("the tokenizer is not read back: %v", err)
	}
}

// A model's place in a run is exported without its training, and twice to the same bytes.
func TestExportIsTheModelAlone(t *testing.T) {
	c := newCheckpoint(t, configs["gpt2"], 1)
	c.Training = training(c)
	dir := t.TempDir()
	a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	for _, to := range []string{a, b} {
		if err := errors.Join(ExportHF(to, c), ExportGGUF(to+".gguf", "m", c)); err != nil {
			t.Fatal(err)
		}
	}
	if d := cmp.Diff(files(t, a), files(t, b)); d != "" {
		t.Error(d)
	}
	if list, _ := os.ReadDir(a); len(list) != 4 {
		t.Errorf("the folder holds %v", list)
	}
	var names []string
	list, _ := os.ReadDir(dir)
	for _, e := range list {
		names = append(names, e.Name())
	}
	if want := []string{"a", "a.gguf", "b", "b.gguf"}; !slices.Equal(names, want) {
		t.Errorf("%q are left, want %q", names, want)
	}
}

func TestExportRefuses(t *testing.T) {
	plain := func(positions ...string) transformer.Config {
		return transformer.Config{Layers: 1, Heads: 2, Width: 8, Context: 6, Vocab: 5, Positions: positions}
	}
	shift := plain("learned")
	shift.TokenShift = true
	for says, cfg := range map[string]transformer.Config{
		"its heads' positions are learned, none;":                           plain("learned", "none"),
		"its heads' positions are rotary, learned;":                         plain("rotary", "learned"),
		"its heads' positions are none, none;":                              plain("none"),
		"model: it has token shift;":                                        shift,
		"its heads' positions are rotary, none and it has token shift; a m": configs["rotary-shift"],
	} {
		refused(t, says, newCheckpoint(t, cfg, 1), "x")
	}
	good := newCheckpoint(t, rotary, 1)
	refused(t, "no model", Checkpoint{Tokenizer: good.Tokenizer}, "x")
	few := good
	few.Tokenizer, _ = tokenizer.New([]string{"a"}, tokenizer.End)
	refused(t, "a vocabulary of 5 words, the tokenizer of 2", few, "x")
	nan := newCheckpoint(t, rotary, 1)
	nan.Model.Flat()[3] = float32(math.NaN())
	refused(t, "finite", nan, "x")
	refused(t, "there is no folder ", good, "nowhere/x")

	// what only llama.cpp minds
	path := filepath.Join(t.TempDir(), "x")
	for says, words := range map[string][]string{"no word <|end|>": {"a", "b", "c", "d", "e"}, `"▁a"`: {"▁a", "b", "c", "d", tokenizer.End}} {
		c := good
		c.Tokenizer, _ = tokenizer.New(words)
		if err := ExportGGUF(path, "", c); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("error %v, should say %q", err, says)
		}
	}
}

// refused demands that both exports of c to name fail and leave nothing behind.
func refused(t *testing.T, says string, c Checkpoint, name string) {
	t.Helper()
	dir := t.TempDir()
	for _, err := range []error{ExportHF(filepath.Join(dir, name), c), ExportGGUF(filepath.Join(dir, name), "", c)} {
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("error %v, should say %q", err, says)
		} else if strings.Contains(err.Error(), "\n") {
			t.Errorf("not one sentence: %q", err)
		}
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("%s: %v are left over", says, left)
	}
}

func TestExportKeepsWhatIsThere(t *testing.T) {
	dir := t.TempDir()
	file, folder := filepath.Join(dir, "file"), filepath.Join(dir, "folder")
	if err := errors.Join(os.WriteFile(file, []byte("mine"), 0o666), os.Mkdir(folder, 0o777)); err != nil {
		t.Fatal(err)
	}
	c := newCheckpoint(t, rotary, 1)
	for _, path := range []string{file, folder} {
		for _, err := range []error{ExportHF(path, c), ExportGGUF(path, "", c)} {
			if !errors.Is(err, fs.ErrExist) || !strings.Contains(err.Error(), "exists already: choose another name") {
				t.Errorf("error %v", err)
			}
		}
	}
	if data, _ := os.ReadFile(file); string(data) != "mine" {
		t.Errorf("the file is now %q", data)
	}
}
