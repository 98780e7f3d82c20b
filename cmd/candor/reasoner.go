package main

import (
	"embed"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"candor/engine/checkpoint"
	"candor/engine/decode"
	"candor/engine/tensor"
	"candor/engine/tokenizer"
	"candor/reasoning/cot"
	"candor/reasoning/task"
	"candor/study/experiment"
)

// reasonerFiles is the checkpoint that candor chat uses unless told otherwise: arm small-rl, lowest seed, of the default
// study. To take it from a newer run, copy the model folder of that arm's grpo stage (its name is in the run's
// manifest.json) over reasoner/.
//
//go:embed reasoner/config.json reasoner/model.safetensors reasoner/tokenizer.json
var reasonerFiles embed.FS

// showcase is the arm whose model chat takes from a run.
const showcase = "small-rl"

// reasoner is a model to talk to.
type reasoner struct {
	checkpoint.Checkpoint
	gen *decode.Generator
	// about says where it is from.
	about string
	// trained is what the problems it was trained on were like; nil if that is not known.
	trained *task.Range
}

// newReasoner makes a model ready to talk; name is what the user called it.
func newReasoner(r *reasoner, name string) (*reasoner, error) {
	for _, word := range promptWords() {
		if _, ok := r.Tokenizer.ID(word); !ok {
			return nil, fmt.Errorf("the model in %s does not speak the language of candor's problems: it has no word %q", name, word)
		}
	}
	var err error
	r.gen, err = decode.NewGenerator(r.Model, r.Tokenizer, tensor.NewPool(1))
	return r, err
}

// promptWords lists every word that the prompts of problems are made of.
func promptWords() []string {
	p := task.Problem{Operands: make([]int, task.MaxTerms), Modulus: 2}
	words := append(strings.Fields(p.Prompt(task.Steps)), strings.Fields(p.Prompt(task.Quick))...)
	for n := cot.MinNumber; n <= cot.MaxNumber; n++ {
		words = append(words, strconv.Itoa(n))
	}
	return append(words, tokenizer.End)
}

// embedded returns the reasoner inside this program.
func embedded() (*reasoner, error) {
	files, err := fs.Sub(reasonerFiles, "reasoner")
	if err != nil {
		return nil, err
	}
	c, err := checkpoint.LoadFS(files)
	if err != nil {
		return nil, fmt.Errorf("the model inside this program cannot be read: %w", err)
	}
	spec, _, err := experiment.Load("default")
	if err != nil {
		return nil, err
	}
	return newReasoner(&reasoner{Checkpoint: c, about: "arm " + showcase + " of the default study", trained: core(spec)}, "this program")
}

// core returns the problems that a study trains on.
func core(spec *experiment.Spec) *task.Range {
	if r, ok := spec.Problems["core"]; ok {
		return &r
	}
	return nil
}

// unlike says in what a problem differs from all that the model was trained on; "" if in nothing, or if that is not known.
func (r *reasoner) unlike(p task.Problem) string {
	t := r.trained
	if t == nil {
		return ""
	}
	var odd []string
	if n := len(p.Operands); n < t.Terms[0] || n > t.Terms[1] {
		odd = append(odd, fmt.Sprintf("%d numbers", n))
	}
	for _, n := range p.Operands {
		if n < t.Operands[0] || n > t.Operands[1] {
			odd = append(odd, fmt.Sprintf("the number %d", n))
			break
		}
	}
	if !slices.Contains(t.Moduli, p.Modulus) {
		odd = append(odd, fmt.Sprintf("mod %d", p.Modulus))
	}
	return strings.Join(odd, ", ")
}
