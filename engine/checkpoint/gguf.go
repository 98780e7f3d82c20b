package checkpoint

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	"candor/engine/nn"
	"candor/engine/tokenizer"
	"candor/engine/transformer"
)

// A GGUF file, version 3, little endian: "GGUF", the version, how many tensors and how many keys there are; the keys with
// their values; for each tensor its name, dimensions (the innermost first), type and offset; and from the next multiple of
// the alignment on the tensors' numbers, each at a multiple of it.

const (
	ggufVersion   = 3
	ggufAlignment = 32
)

// The types of values, and of tensors the one that is written.
const (
	ggufUint32  = 4
	ggufInt32   = 5
	ggufFloat32 = 6
	ggufBool    = 7
	ggufString  = 8
	ggufArray   = 9

	ggmlF32 = 0
)

// The types of words in tokenizer.ggml.token_type.
const (
	wordNormal  = 1
	wordControl = 3
)

// wordStart stands for the space before a word in the vocabularies of SentencePiece and llama.cpp.
const wordStart = "▁"

// ExportGGUF writes c's model to the new file path for llama.cpp and what is built on it, as the architecture gpt2 or
// gptneox, see [FamilyOf], in float32. name is what such software shows as the model's. The file appears whole or not at
// all. It is an error that is fs.ErrExist if path is there already.
//
// The vocabulary is written as a unigram model (Kudo 2018; llama.cpp calls it "t5") in which every piece is a space and a
// whole word: a text of known words, separated by spaces, gets the ids of c's tokenizer. Such a model must name a piece for
// what it does not know. candor's have none, so that [tokenizer.End] is named: an unknown word, and a line break, ends the
// text, where candor refuses the word.
func ExportGGUF(path, name string, c Checkpoint) error {
	family, err := checkExport(c, path)
	var g ggufFile
	if err == nil {
		err = g.describe(family, name, c)
	}
	if err == nil {
		err = appear(path, func(w folder, name string) error {
			return w.write(name, func(out io.Writer) error { return g.writeTo(out, ggufTensors(family, c.Model)) })
		})
	}
	if err != nil {
		return fmt.Errorf("exporting to %s: %w", path, err)
	}
	return nil
}

// ggufFile is a file's keys and values, as bytes.
type ggufFile struct {
	count  uint64
	values []byte
}

func (g *ggufFile) describe(family Family, name string, c Checkpoint) error {
	arch := map[Family]string{GPT2: "gpt2", GPTNeoX: "gptneox"}[family]
	m := c.Model.Config
	g.text("general.architecture", arch)
	g.text("general.type", "model")
	g.text("general.name", name)
	g.uint32("general.alignment", ggufAlignment)
	g.uint32("general.file_type", ggmlF32)
	g.uint32(arch+".context_length", m.Context)
	g.uint32(arch+".embedding_length", m.Width)
	g.uint32(arch+".feed_forward_length", 4*m.Width)
	g.uint32(arch+".block_count", m.Layers)
	g.uint32(arch+".attention.head_count", m.Heads)
	g.float32(arch+".attention.layer_norm_epsilon", epsilon)
	if family == GPTNeoX {
		g.uint32(arch+".rope.dimension_count", m.HeadWidth())
		g.float32(arch+".rope.freq_base", nn.RotaryBase)
		g.boolean(arch+".use_parallel_residual", false)
	}
	return g.vocabulary(c.Tokenizer)
}

func (g *ggufFile) vocabulary(tok *tokenizer.Tokenizer) error {
	end, ok := tok.ID(tokenizer.End)
	if !ok {
		return fmt.Errorf("its vocabulary has no word %s, with which a completion could end", tokenizer.End)
	}
	words, specials := tok.Words(), tok.Specials()
	types := make([]uint32, len(words))
	for id, word := range words {
		switch {
		case slices.Contains(specials, word):
			types[id] = wordControl
			continue
		case strings.Contains(word, wordStart):
			return fmt.Errorf("the word %q of its vocabulary contains %s, which llama.cpp takes for a space", word, wordStart)
		}
		types[id], words[id] = wordNormal, wordStart+word
	}
	g.text("tokenizer.ggml.model", "t5")
	g.text("tokenizer.ggml.pre", "default")
	g.array("tokenizer.ggml.tokens", ggufString, len(words))
	for _, w := range words {
		g.string(w)
	}
	g.array("tokenizer.ggml.scores", ggufFloat32, len(words))
	g.values = append(g.values, make([]byte, 4*len(words))...) // all 0: no text has two segmentations
	g.array("tokenizer.ggml.token_type", ggufInt32, len(words))
	for _, t := range types {
		g.values = binary.LittleEndian.AppendUint32(g.values, t)
	}
	// where a key is missing, llama.cpp takes ids of T5's vocabulary, which are words here
	for _, key := range []string{"bos", "eos", "unknown", "padding"} {
		g.uint32("tokenizer.ggml."+key+"_token_id", int(end))
	}
	g.boolean("tokenizer.ggml.add_bos_token", false)
	g.boolean("tokenizer.ggml.add_eos_token", false)
	g.boolean("tokenizer.ggml.add_space_prefix", true)
	g.boolean("tokenizer.ggml.remove_extra_whitespaces", true)
	return nil
}

func (g *ggufFile) string(s string) {
	g.values = appendString(g.values, s)
}

func appendString(b []byte, s string) []byte {
	return append(binary.LittleEndian.AppendUint64(b, uint64(len(s))), s...)
}

// key begins a key's entry; its value is to follow.
func (g *ggufFile) key(name string, kind uint32) {
	g.count++
	g.string(name)
	g.values = binary.LittleEndian.AppendUint32(g.values, kind)
}

func (g *ggufFile) text(name, value string) {
	g.key(name, ggufString)
	g.string(value)
}

func (g *ggufFile) uint32(name string, value int) {
	g.key(name, ggufUint32)
	g.values = binary.LittleEndian.AppendUint32(g.values, uint32(value))
}

func (g *ggufFile) float32(name string, value float32) {
	g.key(name, ggufFloat32)
	g.values = binary.LittleEndian.AppendUint32(g.values, math.Float32bits(value))
}

func (g *ggufFile) boolean(name string, value bool) {
	g.key(name, ggufBool)
	b := byte(0)
	if value {
		b = 1
	}
	g.values = append(g.values, b)
}

// array begins the entry of an array; n elements are to follow.
func (g *ggufFile) array(name string, kind uint32, n int) {
	g.key(name, ggufArray)
	g.values = binary.LittleEndian.AppendUint32(g.values, kind)
	g.values = binary.LittleEndian.AppendUint64(g.values, uint64(n))
}

// writeTo writes the file with tensors; their shapes have the outermost dimension first.
func (g *ggufFile) writeTo(w io.Writer, tensors []tensor) error {
	head := append([]byte("GGUF"), 0, 0, 0, 0)
	binary.LittleEndian.PutUint32(head[4:], ggufVersion)
	head = binary.LittleEndian.AppendUint64(head, uint64(len(tensors)))
	head = binary.LittleEndian.AppendUint64(head, g.count)
	head = append(head, g.values...)
	offset := 0
	for _, t := range tensors {
		if err := checkFinite(t.name, t.data); err != nil {
			return err
		}
		head = appendString(head, t.name)
		head = binary.LittleEndian.AppendUint32(head, uint32(len(t.shape)))
		for _, d := range slices.Backward(t.shape) {
			head = binary.LittleEndian.AppendUint64(head, uint64(d))
		}
		head = binary.LittleEndian.AppendUint32(head, ggmlF32)
		head = binary.LittleEndian.AppendUint64(head, uint64(offset))
		offset = aligned(offset + 4*len(t.data))
	}
	head = append(head, make([]byte, aligned(len(head))-len(head))...)
	if _, err := w.Write(head); err != nil {
		return err
	}
	for _, t := range tensors {
		size := 4 * len(t.data)
		if err := writeFloats(w, t.data); err != nil {
			return err
		}
		if _, err := w.Write(make([]byte, aligned(size)-size)); err != nil {
			return err
		}
	}
	return nil
}

func aligned(n int) int { return (n + ggufAlignment - 1) / ggufAlignment * ggufAlignment }

// ggufTensors returns a model's weights under llama.cpp's names, matrices as [out,in].
func ggufTensors(family Family, m *transformer.Model) []tensor {
	width, vocab := m.Config.Width, m.Config.Vocab
	var out []tensor
	vector := func(name string, data []float32) { out = append(out, tensor{name, []int{len(data)}, data}) }
	matrix := func(name string, data []float32, from, to int) {
		out = append(out, tensor{name, []int{to, from}, transposed(data, from, to)})
	}
	w := &m.Weights
	out = append(out, tensor{"token_embd.weight", []int{vocab, width}, w.WTE})
	if family == GPT2 {
		out = append(out, tensor{"position_embd.weight", []int{m.Config.Context, width}, w.WPE})
	}
	for i := range w.Layers {
		l, name := &w.Layers[i], fmt.Sprintf("blk.%d.", i)
		vector(name+"attn_norm.weight", l.Gain1)
		vector(name+"attn_norm.bias", l.Bias1)
		matrix(name+"attn_qkv.weight", l.QKV, width, 3*width)
		vector(name+"attn_qkv.bias", l.QKVBias)
		matrix(name+"attn_output.weight", l.Proj, width, width)
		vector(name+"attn_output.bias", l.ProjBias)
		vector(name+"ffn_norm.weight", l.Gain2)
		vector(name+"ffn_norm.bias", l.Bias2)
		matrix(name+"ffn_up.weight", l.FC, width, 4*width)
		vector(name+"ffn_up.bias", l.FCBias)
		matrix(name+"ffn_down.weight", l.FCProj, 4*width, width)
		vector(name+"ffn_down.bias", l.FCProjBias)
	}
	vector("output_norm.weight", w.FinalGain)
	vector("output_norm.bias", w.FinalBias)
	// only gpt2 could do without a head of its own
	return append(out, tensor{"output.weight", []int{vocab, width}, w.Head})
}
