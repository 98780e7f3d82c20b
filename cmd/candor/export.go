package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"candor/engine/checkpoint"
)

type exportCmd struct {
	Model string `arg:"" help:"A run folder, RUN:ARM, RUN:ARM:SEED, a checkpoint folder, or a system inside this program."`
	HF    string `name:"hf" help:"Write a folder that Hugging Face's transformers load." placeholder:"DIR"`
	GGUF  string `name:"gguf" help:"Write a GGUF file, for llama.cpp and what is built on it." placeholder:"FILE"`
}

// Help is shown by candor export --help.
func (exportCmd) Help() string {
	return `Examples:
  candor export honest --gguf honest.gguf           a reasoner inside this program
  candor export runs/honesty:penalty --hf penalty   an arm of a run
  candor export runs/honesty:results:22 --hf r --gguf r.gguf
                                                    one of its seeds, in both forms

A model with learned positions is written as GPT-2, one with rotary positions as GPT-NeoX. Models with
token shift or several kinds of positions are neither, and stay candor's own. Of a two-part system the
reasoner is written. Nothing is written over.

Inside this program: ` + strings.Join(inside(), ", ") + "."
}

// Run writes the model in each form that was asked for.
func (c *exportCmd) Run(_ context.Context, w *world) error {
	if c.HF == "" && c.GGUF == "" {
		return usageError{errors.New("say what to write: --hf DIR, --gguf FILE or both")}
	}
	if c.HF != "" && c.GGUF != "" && filepath.Clean(c.HF) == filepath.Clean(c.GGUF) {
		return usageError{fmt.Errorf("--hf and --gguf both name %s: give each its own", c.HF)}
	}
	loaded, err := exported(c.Model)
	if err != nil {
		return err
	}
	model := loaded.Model.Config
	family, err := checkpoint.FamilyOf(model)
	if err != nil {
		return fmt.Errorf("%s: %w", c.Model, err)
	}
	what := fmt.Sprintf("%s, %s of width %d, %d parameters", family, count(model.Layers, "layer"), model.Width, model.Parameters())
	if c.HF != "" {
		if err := checkpoint.ExportHF(c.HF, loaded); err != nil {
			return err
		}
		fmt.Fprintf(w.stdout, "%s: %s, for AutoModelForCausalLM and AutoTokenizer\n", c.HF, what)
	}
	if c.GGUF != "" {
		if err := checkpoint.ExportGGUF(c.GGUF, c.Model, loaded); err != nil {
			return err
		}
		fmt.Fprintf(w.stdout, "%s: %s, for llama.cpp\n", c.GGUF, what)
	}
	fmt.Fprintln(w.stdout, "Its texts are words with spaces between; it knows no others than those in its vocabulary.")
	return nil
}

// exported reads the model that a user named. What lies at that path comes before what is inside this program.
func exported(name string) (checkpoint.Checkpoint, error) {
	if dir, _, _ := splitModel(name); exists(dir) || strings.ContainsAny(name, `:/\`) {
		p, err := findPlace(name)
		if err != nil {
			return checkpoint.Checkpoint{}, err
		}
		return p.load()
	}
	if !slices.Contains(inside(), name) {
		return checkpoint.Checkpoint{}, fmt.Errorf("there is no run folder or checkpoint folder %s, and no such system inside this program; choose from: %s",
			name, strings.Join(inside(), ", "))
	}
	files, err := fs.Sub(systemFiles, path.Join("systems", name, "model"))
	if err != nil {
		return checkpoint.Checkpoint{}, err
	}
	return checkpoint.LoadFS(files)
}

// inside names the systems in this program.
func inside() (names []string) {
	for _, a := range systemArms {
		names = append(names, a.name)
	}
	return names
}
