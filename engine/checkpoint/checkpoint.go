// Package checkpoint stores models in folders that Hugging Face's tools read, and reads them with every bound checked.
//
// A folder holds
//
//	model.safetensors      the weights, float32, row-major
//	config.json            the sizes: GPT-2's keys, plus "candor" for what GPT-2 lacks
//	tokenizer.json         the vocabulary (see engine/tokenizer)
//	optimizer.safetensors  AdamW's "m" and "v", flat in the order of the model's parameters; only while training
//	state.json             the step, and whatever the trainer adds; only while training
//
// A model with learned positions in every head and no token shift is a GPT-2, and is stored under GPT2LMHeadModel's
// names and layout, so that transformers' from_pretrained loads it. Other models keep the names for the parts that they
// share with GPT-2 and say model_type "candor". Reading also accepts GPT-2 files without the prefix "transformer." and
// passes over the causal masks that old ones contain.
//
// [ExportHF] and [ExportGGUF] write models for other software, rotary ones too; [FamilyOf] says which models it can compute.
// Only [Save] writes what [Load] reads.
//
// [Save] is atomic: whatever happens to the writer, [Load] finds either the checkpoint before or the one after. The same
// checkpoint always gives the same bytes. [Load] trusts nothing: a truncated file, a header that lies about sizes,
// overlapping or missing tensors, wrong shapes, NaN or infinity each give an error of one sentence that names the file,
// and reading allocates in proportion to the bytes that are there, not to the sizes that a file claims.
package checkpoint

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"candor/engine/tokenizer"
	"candor/engine/transformer"
)

// Checkpoint is a model, and what is needed to go on training it.
type Checkpoint struct {
	Model     *transformer.Model
	Tokenizer *tokenizer.Tokenizer
	Training  *Training // nil for a finished model
}

// Training is where a training run stood.
type Training struct {
	Step int // optimizer steps taken
	// M and V are AdamW's first and second moments, flat, as long as Model.Flat().
	M, V []float32
	// Extra is JSON of the trainer's own; it may be empty. Load returns it without white space.
	Extra json.RawMessage
}

// The files of a checkpoint.
const (
	modelFile     = "model.safetensors"
	configName    = "config.json"
	tokenizerName = "tokenizer.json"
	optimizerFile = "optimizer.safetensors"
	stateName     = "state.json"
)

// maxJSON bounds the JSON files in bytes.
const maxJSON = 64 << 20

// prefix stands before every parameter's name but the head's, as in files that GPT2LMHeadModel writes.
const prefix = "transformer."

func stored(name string) string {
	if strings.HasPrefix(name, "lm_head.") {
		return name
	}
	return prefix + name
}

type stateFile struct {
	Step  int             `json:"step"`
	Extra json.RawMessage `json:"extra,omitempty"`
}

// Save writes c to the folder dir, replacing a checkpoint that is there; dir's parent must exist. One writer at a time.
//
// The files are written to dir+".new" and made durable; the old folder then becomes dir+".old", the new one dir, and the
// old one is removed. After a crash between these steps [Load] takes dir+".old" where dir is missing. Weights that are
// not finite are refused, since a later Load would refuse them.
func Save(dir string, c Checkpoint) error {
	dir = filepath.Clean(dir)
	if c.Model == nil || c.Tokenizer == nil {
		return fmt.Errorf("saving checkpoint %s: it has no model or no tokenizer", dir)
	}
	if v := c.Model.Config.Vocab; v != c.Tokenizer.Size() {
		return fmt.Errorf("saving checkpoint %s: the model has a vocabulary of %d words, the tokenizer of %d", dir, v, c.Tokenizer.Size())
	}
	if t := c.Training; t != nil {
		if n := len(c.Model.Flat()); len(t.M) != n || len(t.V) != n {
			return fmt.Errorf("saving checkpoint %s: the model has %d parameters, but M has %d and V %d", dir, n, len(t.M), len(t.V))
		}
	}
	if err := replaceFolder(dir, func(w folder) error { return writeAll(w, c) }); err != nil {
		return fmt.Errorf("saving checkpoint %s: %w", dir, err)
	}
	return nil
}

func writeAll(w folder, c Checkpoint) error {
	config, err := encodeConfig(c.Model.Config, c.Tokenizer)
	if err != nil {
		return err
	}
	words, err := encodeJSON(c.Tokenizer)
	if err != nil {
		return err
	}
	var weights []tensor
	for _, t := range c.Model.Tensors() {
		weights = append(weights, tensor{stored(t.Name), t.Shape, t.Data})
	}
	err = errors.Join(w.write(configName, bytesOf(config)), w.write(tokenizerName, bytesOf(words)),
		w.write(modelFile, func(out io.Writer) error { return writeTensors(out, weights) }))
	if err != nil || c.Training == nil {
		return err
	}
	t := c.Training
	state, err := encodeJSON(stateFile{t.Step, t.Extra})
	if err != nil {
		return fmt.Errorf("%s: %w", stateName, err)
	}
	moments := []tensor{{"m", []int{len(t.M)}, t.M}, {"v", []int{len(t.V)}, t.V}}
	return errors.Join(w.write(stateName, bytesOf(state)),
		w.write(optimizerFile, func(out io.Writer) error { return writeTensors(out, moments) }))
}

func bytesOf(data []byte) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	}
}

// Load reads the checkpoint in the folder dir.
func Load(dir string) (Checkpoint, error) {
	dir = filepath.Clean(dir)
	from := dir
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Stat(dir + oldSuffix); err != nil {
			return Checkpoint{}, fmt.Errorf("loading checkpoint %s: there is no such folder", dir)
		}
		from = dir + oldSuffix // a writer was killed between its two renames
	}
	c, err := LoadFS(os.DirFS(from))
	if err != nil {
		return Checkpoint{}, fmt.Errorf("loading checkpoint %s: %w", dir, err)
	}
	return c, nil
}

// LoadFS reads the checkpoint whose files are at the root of fsys, for example one embedded in the program.
func LoadFS(fsys fs.FS) (Checkpoint, error) {
	var c Checkpoint
	raw, err := readJSON(fsys, configName)
	if err != nil {
		return c, err
	}
	config, err := decodeConfig(raw)
	if err != nil {
		return c, fmt.Errorf("%s: %w", configName, err)
	}
	if raw, err = readJSON(fsys, tokenizerName); err != nil {
		return c, err
	}
	tok := new(tokenizer.Tokenizer)
	if err := json.Unmarshal(raw, tok); err != nil {
		return c, fmt.Errorf("%s: %w", tokenizerName, err)
	}
	if tok.Size() != config.Vocab {
		return c, fmt.Errorf("%s has %d words, but %s says vocab_size %d", tokenizerName, tok.Size(), configName, config.Vocab)
	}
	var model *transformer.Model
	err = readTensors(fsys, modelFile, func(entries []entry) ([]tensor, error) {
		model, err = emptyModel(config, entries)
		if err != nil {
			return nil, err
		}
		return wanted(model, entries), nil
	})
	if err != nil {
		return c, err
	}
	training, err := loadTraining(fsys, len(model.Flat()))
	if err != nil {
		return c, err
	}
	return Checkpoint{model, tok, training}, nil
}

// emptyModel makes a model to be filled, once the file has been seen to hold enough numbers for it.
func emptyModel(config transformer.Config, entries []entry) (*transformer.Model, error) {
	var have int64
	for _, e := range entries {
		have += int64(e.elements())
	}
	if need := int64(config.Parameters()); have < need {
		return nil, fmt.Errorf("the file holds %d numbers, but a model as in %s has %d", have, configName, need)
	}
	model, err := transformer.Zero(config)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", configName, err)
	}
	return model, nil
}

// wanted lists a model's tensors under the names that the file uses: with GPT2LMHeadModel's prefix, or bare.
func wanted(m *transformer.Model, entries []entry) []tensor {
	bare := true
	for _, e := range entries {
		bare = bare && !strings.HasPrefix(e.name, prefix)
	}
	var out []tensor
	for _, t := range m.Tensors() {
		name := t.Name
		if !bare {
			name = stored(name)
		}
		out = append(out, tensor{name, t.Shape, t.Data})
	}
	return out
}

func loadTraining(fsys fs.FS, parameters int) (*Training, error) {
	raw, err := readJSON(fsys, stateName)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var s stateFile
	if err := json.Unmarshal(raw, &s); err != nil {
		return nil, fmt.Errorf("%s: %w", stateName, err)
	}
	if s.Step < 0 {
		return nil, fmt.Errorf("%s: step is %d, must be 0 or more", stateName, s.Step)
	}
	var extra bytes.Buffer
	if len(s.Extra) > 0 {
		if err := json.Compact(&extra, s.Extra); err != nil {
			return nil, fmt.Errorf("%s: %w", stateName, err)
		}
	}
	t := &Training{Step: s.Step, Extra: extra.Bytes()}
	shape := []int{parameters}
	err = readTensors(fsys, optimizerFile, func(entries []entry) ([]tensor, error) {
		t.M, t.V = make([]float32, parameters), make([]float32, parameters)
		return []tensor{{"m", shape, t.M}, {"v", shape, t.V}}, nil
	})
	if err != nil {
		return nil, err
	}
	for i, v := range t.V {
		if v < 0 {
			return nil, fmt.Errorf("%s: v is %g at place %d, but a second moment is never negative", optimizerFile, v, i)
		}
	}
	return t, nil
}

// readTensors fills the tensors that want names from a safetensors file. want is called once with the checked header.
// Every wanted tensor must be there in its shape, and no other, causal masks apart.
func readTensors(fsys fs.FS, name string, want func([]entry) ([]tensor, error)) error {
	f, size, err := open(fsys, name)
	if err != nil {
		return err
	}
	defer f.Close()
	in := bufio.NewReaderSize(f, chunk)
	entries, err := readHeader(in, size)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	tensors, err := want(entries)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if err := fill(in, entries, tensors); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

func fill(in io.Reader, entries []entry, tensors []tensor) error {
	places := make(map[string]tensor, len(tensors))
	for _, t := range tensors {
		places[t.name] = t
	}
	// what is missing or of the wrong shape is said before anything is read
	found := 0
	for _, e := range entries {
		t, ok := places[e.name]
		switch {
		case ok:
			found++
			if e.dtype != "F32" {
				return fmt.Errorf("tensor %s is stored as %s, candor reads F32", shown(e.name), e.dtype)
			}
			if !slices.Equal(e.shape, t.shape) {
				return fmt.Errorf("tensor %s has shape %d, must have %d", shown(e.name), e.shape, t.shape)
			}
		case !isMask(e.name):
			return fmt.Errorf("tensor %s has no place in this model", shown(e.name))
		}
	}
	if found < len(tensors) {
		have := make(map[string]bool, len(entries))
		for _, e := range entries {
			have[e.name] = true
		}
		for _, t := range tensors {
			if !have[t.name] {
				return fmt.Errorf("tensor %q of shape %d is missing", t.name, t.shape)
			}
		}
	}
	buf := make([]byte, chunk)
	for _, e := range entries {
		var err error
		if t, ok := places[e.name]; ok {
			err = readData(in, e, t.data, buf)
		} else {
			err = skipData(in, e)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// isMask says whether a tensor is one of the constant causal masks that old GPT-2 files contain.
func isMask(name string) bool {
	return strings.HasSuffix(name, ".attn.bias") || strings.HasSuffix(name, ".attn.masked_bias")
}

// open opens a regular file and returns its size.
func open(fsys fs.FS, name string) (fs.File, int64, error) {
	f, err := fsys.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, fmt.Errorf("%s is missing%w", name, silent{fs.ErrNotExist})
	}
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, 0, err
	}
	if !info.Mode().IsRegular() {
		f.Close()
		return nil, 0, fmt.Errorf("%s is not a regular file", name)
	}
	return f, info.Size(), nil
}

// silent is wrapped for errors.Is without adding to the sentence.
type silent struct{ error }

func (silent) Error() string   { return "" }
func (s silent) Unwrap() error { return s.error }

func readJSON(fsys fs.FS, name string) ([]byte, error) {
	f, size, err := open(fsys, name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if size > maxJSON {
		return nil, fmt.Errorf("%s has %d bytes, at most %d are allowed", name, size, maxJSON)
	}
	data, err := io.ReadAll(io.LimitReader(f, maxJSON))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return data, nil
}
