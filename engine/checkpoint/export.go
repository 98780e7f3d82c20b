package checkpoint

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"candor/engine/tokenizer"
	"candor/engine/transformer"
)

// Family is an architecture of other software that computes the very function that a model computes.
type Family string

// The families that candor's models belong to; many belong to none.
const (
	// GPT2 has learned positions in all heads and no token shift.
	GPT2 Family = "GPT-2"
	// GPTNeoX has rotary positions in all heads and no token shift (Black et al. 2022). Its blocks are sequential ones, which
	// GPT-NeoX knows as use_parallel_residual = false.
	GPTNeoX Family = "GPT-NeoX"
)

// FamilyOf returns the family of a model, or an error that says what about the model no family has.
func FamilyOf(c transformer.Config) (Family, error) {
	heads := c.HeadPositions()
	allRotary := !slices.ContainsFunc(heads, func(p string) bool { return p != transformer.Rotary })
	switch {
	case isGPT2(c):
		return GPT2, nil
	case allRotary && !c.TokenShift:
		return GPTNeoX, nil
	}
	var odd []string
	if !allRotary && !c.EmbedsPositions() {
		odd = append(odd, "its heads' positions are "+strings.Join(heads, ", "))
	}
	if c.TokenShift {
		odd = append(odd, "it has token shift")
	}
	return "", fmt.Errorf("other software has no architecture for this model: %s; a model can be exported as GPT-2 if its positions are all learned, "+
		"as GPT-NeoX if they are all rotary, and in both cases only without token shift", strings.Join(odd, " and "))
}

// ExportHF writes c's model to the new folder dir in the form that Hugging Face's from_pretrained loads: as GPT2LMHeadModel
// or GPTNeoXForCausalLM, see [FamilyOf], with a tokenizer that gives the ids of c's own. dir appears whole or not at all.
// It is an error that is fs.ErrExist if dir is there already.
func ExportHF(dir string, c Checkpoint) error {
	family, err := checkExport(c, dir)
	if err == nil {
		err = appear(dir, func(w folder, name string) error {
			inner := folder(filepath.Join(string(w), name))
			if err := os.Mkdir(string(inner), 0o777); err != nil {
				return err
			}
			return errors.Join(writeHF(inner, family, c), syncFolder(string(inner)))
		})
	}
	if err != nil {
		return fmt.Errorf("exporting to %s: %w", dir, err)
	}
	return nil
}

func writeHF(w folder, family Family, c Checkpoint) error {
	c.Training = nil
	if family == GPT2 {
		if err := writeAll(w, c); err != nil { // a checkpoint of such a model is one of GPT-2
			return err
		}
	} else if err := writeNeoX(w, c); err != nil {
		return err
	}
	// without this file the class of the tokenizer would follow from the model, and that class reads no lists of words
	settings := tokenizerSettings{Class: "PreTrainedTokenizerFast", MaxLength: c.Model.Config.Context}
	if _, ok := c.Tokenizer.ID(tokenizer.End); ok {
		settings.BOS, settings.EOS = tokenizer.End, tokenizer.End
	}
	return writeJSON(w, tokenizerSettingsName, settings)
}

const tokenizerSettingsName = "tokenizer_config.json"

// tokenizerSettings is tokenizer_config.json.
type tokenizerSettings struct {
	Class     string `json:"tokenizer_class"`
	MaxLength int    `json:"model_max_length"`
	BOS       string `json:"bos_token,omitempty"`
	EOS       string `json:"eos_token,omitempty"`
	CleanUp   bool   `json:"clean_up_tokenization_spaces"`
}

func writeJSON(w folder, name string, v any) error {
	data, err := encodeJSON(v)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return w.write(name, bytesOf(data))
}

// checkExport checks that c can be exported and that nothing lies at path.
func checkExport(c Checkpoint, path string) (Family, error) {
	if c.Model == nil || c.Tokenizer == nil {
		return "", errors.New("there is no model or no tokenizer")
	}
	if v := c.Model.Config.Vocab; v != c.Tokenizer.Size() {
		return "", fmt.Errorf("the model has a vocabulary of %d words, the tokenizer of %d", v, c.Tokenizer.Size())
	}
	family, err := FamilyOf(c.Model.Config)
	if err != nil {
		return "", err
	}
	parent := filepath.Dir(filepath.Clean(path))
	if _, err := os.Stat(parent); errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("there is no folder %s: make it first", parent)
	}
	switch _, err := os.Lstat(path); {
	case err == nil:
		return "", fmt.Errorf("it exists already: choose another name or remove it first%w", silent{fs.ErrExist})
	case !errors.Is(err, fs.ErrNotExist):
		return "", err
	}
	return family, nil
}

// appear lets write make the file or folder name in a new folder, and then moves it to path.
func appear(path string, write func(w folder, name string) error) error {
	path = filepath.Clean(path)
	parent, name := filepath.Dir(path), filepath.Base(path)
	// beside path, so that a rename suffices, and under a name that nothing of the user's has
	fresh, err := os.MkdirTemp(parent, name+".*"+newSuffix)
	if err != nil {
		return err
	}
	defer os.RemoveAll(fresh)
	if err := write(folder(fresh), name); err != nil {
		return err
	}
	if err := os.Rename(filepath.Join(fresh, name), path); err != nil {
		return err
	}
	return syncFolder(parent)
}

// transposed returns the matrix x [rows,cols] as [cols,rows].
func transposed(x []float32, rows, cols int) []float32 {
	y := make([]float32, len(x))
	for i := range rows {
		for j := range cols {
			y[j*rows+i] = x[i*cols+j]
		}
	}
	return y
}
