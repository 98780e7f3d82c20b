package main

import (
	"embed"
	"fmt"
	"io/fs"

	"candor/engine/checkpoint"
	"candor/engine/decode"
	"candor/engine/tensor"
	"candor/reasoning/llm"
	"candor/reasoning/task"
)

// readerFiles is the model that reads chains of organisms for an audit: arm reader, seed 31, of the study honesty's organisms. The
// calibration was made with it, so a newer one needs candor calibrate again.
//
//go:embed reader/config.json reader/model.safetensors reader/tokenizer.json
var readerFiles embed.FS

// readerWorld is the world whose chains it can read.
var readerWorld = task.Sums{Terms: 6, Modulus: 5}

// openReader opens it, and returns the SHA-256 of its weights with it.
func openReader(threads int) (gen llm.Generator, sum string, err error) {
	files, err := fs.Sub(readerFiles, "reader")
	if err != nil {
		return nil, "", err
	}
	c, err := checkpoint.LoadFS(files)
	if err != nil {
		return nil, "", fmt.Errorf("the reader inside this program cannot be read: %w", err)
	}
	if sum, err = weights(files); err != nil {
		return nil, "", fmt.Errorf("the reader inside this program cannot be read: %w", err)
	}
	gen, err = decode.NewGenerator(c.Model, c.Tokenizer, tensor.NewPool(threads))
	return gen, sum, err
}
